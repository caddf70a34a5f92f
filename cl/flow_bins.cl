/* Discretised data: their output distribution and losses. flow_bins.h */
#include "flow_bins.h"

/* y = expected bin centre. */
__kernel void bins_expect(ARG(y), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t), const int dims, HEAD_ARGS,
                          const int bins)
{
    PTR(y);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const head h = HEAD(t[get_group_id(1)]);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        __global const float *lane = net + (row + (ulong)d) * (ulong)h.width;
        const weights w = head_mix(&h, lane, left);
        lf range;
        bin_sums s;
        stn(bins_mean(&h, &w, ldn(mu + row + d, left), lane, left, bins, &range, &s), y + row + d, left);
    }
}

/* loss = factor (x - mean)^2 / max(v^t, floor_v), factor = -ln sigma_1, with the mean over bins; grad = scale dloss. */
__kernel void bins_loss(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t), const int dims,
                        HEAD_ARGS, const int bins, const float factor, const float floor_v,
                        const int has_grad, const float scale)
{
    PTR(loss);
    PTR(grad);
    PTR_CONST(x);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float time = t[get_group_id(1)];
    const head h = HEAD(time);
    const float weight = factor / fmax(schedule_at(ln_v, ln_v_low, time).post, floor_v);
    const float nb = (float)bins;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)h.width;
        const lf state = ldn(mu + row + d, left);
        const weights w = head_mix(&h, net + at, left);
        lf range;
        bin_sums s;
        const lf mean = bins_mean(&h, &w, state, net + at, left, bins, &range, &s);
        const lf miss = mean - ldn(x + row + d, left);
        stn(weight * miss * miss, loss + row + d, left);
        if (!has_grad) continue;
        /* d mean / d F: -2 / bins at the inner boundaries, (1 - 1/bins -+ mean) at the ends; all over R. */
        const lf g = select(2.0f * scale * weight * miss / range, (lf)(0.0f), range == 0.0f);
        const lf to_hi = 1.0f - 1.0f / nb - mean, to_lo = 1.0f - 1.0f / nb + mean;
        for (int i = 0; i < h.n; i++) {
            const component c = head_component(&h, state, net + at, left, i);
            const lf weight_i = head_weight(&h, &w, net + at, left, i);
            if (MIXTURE) s = sum_bins(&c, bins);
            const lf k = g * weight_i * SQRT_1_2PI / c.s;
            const lf g_m = k * (2.0f / nb * s.e - to_hi * s.e_hi - to_lo * s.e_lo);
            const lf g_s = k * (2.0f / nb * s.ze - to_hi * s.ze_hi - to_lo * s.ze_lo);
            head_store_grad(&h, &c, grad + at, left, i, g * weight_i * (s.mean - mean * s.mass), g_m, g_s);
        }
    }
}

/* loss = -ln P(bin of x); where P < 1e-5: minus ln density at the bin's centre - ln(2 / bins). grad = scale dloss. */
__kernel void bins_recon(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t),
                         const int dims, HEAD_ARGS, const int bins, const int has_grad,
                         const float scale)
{
    PTR(loss);
    PTR(grad);
    PTR_CONST(x);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const head h = HEAD(t[get_group_id(1)]);
    const float nb = (float)bins;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)h.width;
        const lf state = ldn(mu + row + d, left);
        const weights w = head_mix(&h, net + at, left);
        const lf index = bin_index(ldn(x + row + d, left), nb);
        const lf centre = bin_centre(index, nb);
        const lf density = head_log_density(&h, &w, state, net + at, left, centre);
        const lf range = bins_range(&h, &w, state, net + at, left);
        lf mass = (lf)(0.0f);
        for (int i = 0; i < h.n; i++) {
            const component c = head_component(&h, state, net + at, left, i);
            mass += head_weight(&h, &w, net + at, left, i) * edges_at(&c, index, nb).p;
        }
        const li flat = range == 0.0f;
        const lf p = select(mass / range, (lf)(1.0f / nb), flat);
        const li thin = p < FLOW_MIN_PROB;
        stn(-select(vlog(fmax(p, (lf)(FLOW_LOG_FLOOR))), density + log(2.0f / nb), thin), loss + row + d, left);
        if (!has_grad) continue;
        for (int i = 0; i < h.n; i++) {
            const component c = head_component(&h, state, net + at, left, i);
            const lf weight = head_weight(&h, &w, net + at, left, i);
            const bin_edges b = edges_at(&c, index, nb);
            /* -ln(mass / range): by mass -1 / mass, by range 1 / range */
            const lf k = weight * SQRT_1_2PI / (c.s * mass);
            lf g_w = -weight * b.p / mass, g_m = k * (b.hi.e - b.lo.e);
            lf g_s = k * (b.hi.z * b.hi.e - b.lo.z * b.lo.e);
            if (TRUNCATED) {
                const bin_edges all = range_at(&c);
                const lf kr = weight * SQRT_1_2PI / (c.s * range);
                g_w += weight * all.p / range;
                g_m -= kr * (all.hi.e - all.lo.e);
                g_s -= kr * (all.hi.z * all.hi.e - all.lo.z * all.lo.e);
            } else {
                g_w += weight;
            }
            g_w = select(g_w, (lf)(0.0f), flat);
            g_m = select(g_m, (lf)(0.0f), flat);
            g_s = select(g_s, (lf)(0.0f), flat);
            /* -ln sum of weight_i N(centre; m_i, s_i): r = share of component i */
            const lf r = weight * vexp(log_normal(centre, c.m, c.s) - density);
            const lf z = (centre - c.m) / c.s;
            g_w = select(g_w, weight - r, thin);
            g_m = select(g_m, -r * z / c.s, thin);
            g_s = select(g_s, r * (1.0f - z * z) / c.s, thin);
            head_store_grad(&h, &c, grad + at, left, i, scale * g_w, scale * g_m, scale * g_s);
        }
    }
}

/* P of every bin, bin k of lane d at p[k * plane + d * pitch]. Returns R (0: too small, all bins equal). */
static inline lf bins_fill(const head *h, const weights *w, const lf mu, __global const float *net, __global float *p,
                    const int pitch, const int plane, const int left, const int bins)
{
    lf range = (lf)(0.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        const lf weight = head_weight(h, w, net, left, i);
        const lf inv_s = 1.0f / c.s, width = 2.0f / (float)bins * inv_s;
        edge right_end = edge_at(boundary_z(&c, inv_s, 0, bins));
        for (int k = 0; k < bins; k++) {
            __global float *at = p + (size_t)k * (size_t)plane;
            const edge left_end = right_end;
            right_end = edge_at(boundary_z(&c, inv_s, k + 1, bins));
            const lf share = weight * interval_mass(left_end, right_end, width);
            stg(i == 0 ? share : ldg(at, pitch, left) + share, at, pitch, left);
            range += share;
        }
    }
    if (!TRUNCATED) return (lf)(1.0f);
    const li thin = range < FLOW_MIN_PROB;
    for (int k = 0; k < bins; k++) {
        __global float *at = p + (size_t)k * (size_t)plane;
        stg(select(ldg(at, pitch, left) / range, (lf)(1.0f / (float)bins), thin), at, pitch, left);
    }
    return select(range, (lf)(0.0f), thin);
}

/* p [B, dims, bins] = P of every bin. */
__kernel void bins_probs(ARG(p), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t), const int dims, HEAD_ARGS, const int bins)
{
    PTR(p);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const head h = HEAD(t[get_group_id(1)]);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        __global const float *lane = net + (row + (ulong)d) * (ulong)h.width;
        const weights w = head_mix(&h, lane, left);
        bins_fill(&h, &w, ldn(mu + row + d, left), lane, p + (row + (ulong)d) * (ulong)bins, bins, 1, left, bins);
    }
}

/* A draw or the mode of every variable (bins_pick in flow_bins.h). */
__kernel void bins_value(ARG(y), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(noise), ARG_CONST(t), const int dims,
                         HEAD_ARGS, const int bins, const int what)
{
    PTR(y);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(noise);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const head h = HEAD(t[get_group_id(1)]);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        __global const float *lane = net + (row + (ulong)d) * (ulong)h.width;
        const lf state = ldn(mu + row + d, left);
        const lf eps = what == VALUE_DRAW ? ldn(noise + row + d, left) : (lf)(0.0f);
        stn(bins_pick(&h, state, lane, left, bins, what, eps), y + row + d, left);
    }
}

/* Receiver of the n-step loss: ln of the clamped weights into ws planes, returns ln of their sum. */
static inline lf receiver_weights(__global float *lnw, const int plane, const int left, const int bins, lf *total)
{
    lf sum = (lf)(0.0f), clamped = (lf)(0.0f);
    for (int k = 0; k < bins; k++) sum += ldn(lnw + (size_t)k * (size_t)plane, left);
    for (int k = 0; k < bins; k++) {
        __global float *at = lnw + (size_t)k * (size_t)plane;
        const lf c = clamp(ldn(at, left) / sum, (lf)(FLOW_EPS), (lf)(1.0f - FLOW_EPS));
        clamped += c;
        stn(vlog(c), at, left);
    }
    *total = clamped;
    return vlog(clamped);
}

/* dL/dP of every bin from the mean responsibilities r that `share` holds, in place: through the logarithm, the clamp
 * (which stops gradients) and the normalisation. n: steps. */
static inline void receiver_grad(__global const float *lnw, __global float *share, const int plane, const int left,
                          const int bins, const lf total, const float n)
{
    const float lo = log(FLOW_EPS), hi = log(1.0f - FLOW_EPS);
    lf sum = (lf)(0.0f);
    for (int k = 0; k < bins; k++) {
        __global float *at = share + (size_t)k * (size_t)plane;
        const lf ln_c = ldn(lnw + (size_t)k * (size_t)plane, left), c = vexp(ln_c);
        const lf a = select((lf)(0.0f), n * (1.0f / total - ldn(at, left) / c), (ln_c > lo) & (ln_c < hi));
        sum += a * c;
        stn(a, at, left);
    }
    for (int k = 0; k < bins; k++) {
        __global float *at = share + (size_t)k * (size_t)plane;
        stn(ldn(at, left) - sum, at, left);
    }
}

/* From dL/dP in the planes of `dp` to the network's numbers. */
static inline void bins_backward(const head *h, const weights *w, const lf mu, __global const float *net, __global float *grad,
                          __global const float *dp, const int plane, const int left, const int bins, const lf range, const float scale)
{
    const lf inv_range = select(1.0f / range, (lf)(0.0f), range == 0.0f);
    lf mean_gw = (lf)(0.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        const lf weight = head_weight(h, w, net, left, i);
        const lf inv_s = 1.0f / c.s;
        lf g_w = (lf)(0.0f), g_e = (lf)(0.0f), g_ze = (lf)(0.0f), before = (lf)(0.0f);
        for (int j = 0; j <= bins; j++) {
            const lf after = j < bins ? ldn(dp + (size_t)j * (size_t)plane, left) : (lf)(0.0f);
            const edge b = edge_at(boundary_z(&c, inv_s, j, bins));
            const lf by_cdf = before - after;
            g_w += by_cdf * select(1.0f - b.q, b.q, b.z < 0.0f);
            g_e += by_cdf * b.e;
            g_ze += by_cdf * b.z * b.e;
            before = after;
        }
        const lf k = -weight * SQRT_1_2PI * inv_s * inv_range * scale;
        g_w *= inv_range * scale;
        mean_gw += weight * g_w;
        head_store_grad(h, &c, grad, left, i, g_w, k * g_e, k * g_ze);
    }
    if (!MIXTURE) return;
    for (int i = 0; i < h->n; i++) {
        const lf g_w = ldg(grad + i, h->width, left);
        stg(head_weight(h, w, net, left, i) * (g_w - mean_gw), grad + i, h->width, left);
    }
}

/* n-step loss: y = x + noise / sqrt(alpha), draws of it;
 *   loss = n mean over draws [ln N(y; x, 1/alpha) - ln sum_k w_k N(y; centre_k, 1/alpha)]
 * with w the probabilities normalised, clamped to [eps, 1 - eps] and normalised again; alpha = factor / v^t, factor = v^(-1/n) - 1. Draw s of
 * sample b starts at noise + s * draw_pitch + b * sample_pitch. ws: [B, bins, dims], twice when has_grad. */
__kernel void bins_n_step(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t),
                          ARG_CONST(noise), ARG(ws), const int dims, HEAD_ARGS, const int bins,
                          const int n_steps, const int any_time, const float factor, const int draws,
                          const ulong draw_pitch, const ulong sample_pitch, const int has_grad, const float scale)
{
    PTR(loss);
    PTR(grad);
    PTR_CONST(x);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(t);
    PTR_CONST(noise);
    PTR(ws);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float time = t[get_group_id(1)];
    const head h = HEAD(time);
    const float n = (float)n_steps, nb = (float)bins;
    const float alpha = factor / schedule_at(ln_v, ln_v_low, step_time(time, n_steps, any_time)).post;
    const float sd = 1.0f / sqrt(alpha);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)h.width;
        __global float *lnw = ws + row * (ulong)bins + d;
        __global float *share = lnw + (ulong)get_num_groups(1) * (ulong)dims * (ulong)bins;
        const lf state = ldn(mu + row + d, left), value = ldn(x + row + d, left);
        const weights w = head_mix(&h, net + at, left);
        const lf range = bins_fill(&h, &w, state, net + at, lnw, 1, dims, left, bins);
        lf total, sum = (lf)(0.0f);
        const lf ln_total = receiver_weights(lnw, dims, left, bins, &total);
        for (int s = 0; s < draws; s++) {
            const lf y = value + sd * ldn(noise + (ulong)s * draw_pitch + get_group_id(1) * sample_pitch + d, left);
            lf top = (lf)(-FLT_MAX), mass = (lf)(0.0f);
            for (int k = 0; k < bins; k++) {
                const lf far = y - (boundary(k, nb) + 1.0f / nb);
                top = fmax(top, ldn(lnw + (size_t)k * (size_t)dims, left) - 0.5f * alpha * far * far);
            }
            for (int k = 0; k < bins; k++) {
                const lf far = y - (boundary(k, nb) + 1.0f / nb);
                mass += vexp(ldn(lnw + (size_t)k * (size_t)dims, left) - 0.5f * alpha * far * far - top);
            }
            sum -= 0.5f * alpha * (y - value) * (y - value) + top + vlog(mass) - ln_total;
            if (!has_grad) continue;
            for (int k = 0; k < bins; k++) {
                __global float *r = share + (size_t)k * (size_t)dims;
                const lf far = y - (boundary(k, nb) + 1.0f / nb);
                const lf one =
                    vexp(ldn(lnw + (size_t)k * (size_t)dims, left) - 0.5f * alpha * far * far - top) / (mass * draws);
                stn(s == 0 ? one : ldn(r, left) + one, r, left);
            }
        }
        stn(n * sum / (float)draws, loss + row + d, left);
        if (!has_grad) continue;
        receiver_grad(lnw, share, dims, left, bins, total, n);
        bins_backward(&h, &w, state, net + at, grad + at, share, dims, left, bins, range, scale);
    }
}

/* index = bin of x as a float, value = its centre. */
__kernel void bins_quantise(ARG(index), ARG(value), ARG_CONST(x), const int dims, const int bins)
{
    PTR(index);
    PTR(value);
    PTR_CONST(x);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const lf k = bin_index(ldn(x + row + d, end - d), (float)bins);
        stn(k, index + row + d, end - d);
        stn(bin_centre(k, (float)bins), value + row + d, end - d);
    }
}
