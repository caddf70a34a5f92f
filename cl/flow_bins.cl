/*
 * Discretised data (spec 2.3): P(bin k) = F(right) - F(left) for F the CDF of a normal or a mixture of normals.
 *   truncated 0: F := 0 left of the first bin and 1 right of the last, so the outer bins take the tails.
 *   truncated 1: divided by R = F(1) - F(-1); where R < 1e-5 every bin has 1 / bins.
 * Boundary j is at 2 j / bins - 1, j = 0..bins.
 */
#include "flow.h"

inline float boundary(const int j, const float nb)
{
    return 2.0f * (float)j / nb - 1.0f;
}

/* Boundary j of a component in standard deviations from its mean. */
inline vf boundary_z(const component *c, const vf inv_s, const int j, const int bins, const int truncated)
{
    if (!truncated && j == 0) return (vf)(-FLOW_FAR);
    if (!truncated && j == bins) return (vf)(FLOW_FAR);
    return (boundary(j, (float)bins) - c->m) * inv_s;
}

/* Sums over the boundaries of one component that the expected bin centre and its gradient need. With e = exp(-z^2/2):
 *   mean  sum of P centre; clipped: -(1/bins) sum of erf(z_j / sqrt 2) over the inner boundaries (summed by parts)
 *   mass  sum of P: 1, or the component's share of R
 *   e, ze sums of e and z e over the inner boundaries
 *   ends  e and z e at -1 and 1, zero when clipped */
typedef struct bin_sums {
    vf mean, mass, e, ze, e_lo, ze_lo, e_hi, ze_hi;
} bin_sums;

inline bin_sums sum_clipped(const component *c, const int bins)
{
    const vf inv_s = 1.0f / c->s;
    const float nb = (float)bins;
    bin_sums s;
    vf erf_sum = (vf)(0.0f);
    s.e = (vf)(0.0f);
    s.ze = (vf)(0.0f);
    for (int j = 1; j < bins; j++) {
        const edge b = edge_at((boundary(j, nb) - c->m) * inv_s);
        erf_sum += copysign(1.0f - 2.0f * b.q, b.z);
        s.e += b.e;
        s.ze += b.z * b.e;
    }
    s.mean = -erf_sum / nb;
    s.mass = (vf)(1.0f);
    s.e_lo = (vf)(0.0f);
    s.ze_lo = (vf)(0.0f);
    s.e_hi = (vf)(0.0f);
    s.ze_hi = (vf)(0.0f);
    return s;
}

inline bin_sums sum_truncated(const component *c, const int bins)
{
    const vf inv_s = 1.0f / c->s;
    const float nb = (float)bins;
    const vf width = 2.0f / nb * inv_s;
    bin_sums s;
    edge right = edge_at(boundary_z(c, inv_s, 0, bins, 1));
    s.mean = (vf)(0.0f);
    s.mass = (vf)(0.0f);
    s.e = (vf)(0.0f);
    s.ze = (vf)(0.0f);
    s.e_lo = right.e;
    s.ze_lo = right.z * right.e;
    for (int j = 1; j <= bins; j++) {
        const edge left = right;
        right = edge_at(boundary_z(c, inv_s, j, bins, 1));
        const vf p = interval_mass(left, right, width);
        s.mass += p;
        s.mean += p * (boundary(j, nb) - 1.0f / nb);
        if (j < bins) {
            s.e += right.e;
            s.ze += right.z * right.e;
        }
    }
    s.e_hi = right.e;
    s.ze_hi = right.z * right.e;
    return s;
}

inline bin_sums sum_bins(const component *c, const int bins, const int truncated)
{
    return truncated ? sum_truncated(c, bins) : sum_clipped(c, bins);
}

/* Expected bin centre; *range = R, 1 when clipped, 0 where the mass in [-1, 1] is too small to divide by. *last: sums
 * of the last component, for distributions that have only one. */
inline vf bins_mean(const head *h, const weights *w, const vf mu, __global const float *net, const int left,
                    const int bins, const int truncated, vf *range, bin_sums *last)
{
    vf mean = (vf)(0.0f), mass = (vf)(0.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        const vf weight = head_weight(h, w, net, left, i);
        *last = sum_bins(&c, bins, truncated);
        mean += weight * last->mean;
        mass += weight * last->mass;
    }
    *range = mass;
    if (truncated) {
        const vi thin = mass < FLOW_MIN_PROB;
        *range = select(mass, (vf)(0.0f), thin);
        mean = select(mean / mass, (vf)(0.0f), thin);
    }
    return mean;
}

/* y = expected bin centre. */
__kernel void bins_expect(ARG(y), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t), const int dims, HEAD_ARGS,
                          const int bins, const int truncated)
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
        vf range;
        bin_sums s;
        stv(bins_mean(&h, &w, ldv(mu + row + d, left), lane, left, bins, truncated, &range, &s), y + row + d, left);
    }
}

/* loss = factor (x - mean)^2 / max(v^t, floor_v), factor = -ln sigma_1, with the mean over bins; grad = scale dloss. */
__kernel void bins_loss(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t), const int dims,
                        HEAD_ARGS, const int bins, const int truncated, const float factor, const float floor_v,
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
        const vf state = ldv(mu + row + d, left);
        const weights w = head_mix(&h, net + at, left);
        vf range;
        bin_sums s;
        const vf mean = bins_mean(&h, &w, state, net + at, left, bins, truncated, &range, &s);
        const vf miss = mean - ldv(x + row + d, left);
        stv(weight * miss * miss, loss + row + d, left);
        if (!has_grad) continue;
        /* d mean / d F: -2 / bins at the inner boundaries, (1 - 1/bins -+ mean) at the ends; all over R. */
        const vf g = select(2.0f * scale * weight * miss / range, (vf)(0.0f), range == 0.0f);
        const vf to_hi = 1.0f - 1.0f / nb - mean, to_lo = 1.0f - 1.0f / nb + mean;
        for (int i = 0; i < h.n; i++) {
            const component c = head_component(&h, state, net + at, left, i);
            const vf weight_i = head_weight(&h, &w, net + at, left, i);
            if (h.n > 1) s = sum_bins(&c, bins, truncated);
            const vf k = g * weight_i * SQRT_1_2PI / c.s;
            const vf g_m = k * (2.0f / nb * s.e - to_hi * s.e_hi - to_lo * s.e_lo);
            const vf g_s = k * (2.0f / nb * s.ze - to_hi * s.ze_hi - to_lo * s.ze_lo);
            head_store_grad(&h, &c, grad + at, left, i, g * weight_i * (s.mean - mean * s.mass), g_m, g_s);
        }
    }
}

/* A component at the two ends of one bin per lane, and the bin's mass. */
typedef struct bin_edges {
    edge lo, hi;
    vf p;
} bin_edges;

inline bin_edges edges_at(const component *c, const vf index, const float nb, const int truncated)
{
    bin_edges b;
    vf lo = (2.0f * index / nb - 1.0f - c->m) / c->s, hi = (2.0f * (index + 1.0f) / nb - 1.0f - c->m) / c->s;
    if (!truncated) {
        lo = select(lo, (vf)(-FLOW_FAR), index <= 0.0f);
        hi = select(hi, (vf)(FLOW_FAR), index >= nb - 1.0f);
    }
    b.lo = edge_at(lo);
    b.hi = edge_at(hi);
    b.p = interval_mass(b.lo, b.hi, 2.0f / (nb * c->s));
    return b;
}

/* The whole of [-1, 1] as one bin: its p is the component's share of R. */
inline bin_edges range_at(const component *c)
{
    return edges_at(c, (vf)(0.0f), 1.0f, 1);
}

/* R = F(1) - F(-1): 1 when clipped, 0 where it is too small to divide by and all bins are equal. */
inline vf bins_range(const head *h, const weights *w, const vf mu, __global const float *net, const int left,
                     const int truncated)
{
    vf range = (vf)(0.0f);
    if (!truncated) return (vf)(1.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        range += head_weight(h, w, net, left, i) * range_at(&c).p;
    }
    return select(range, (vf)(0.0f), range < FLOW_MIN_PROB);
}

/* loss = -ln P(bin of x); where P < 1e-5: minus ln density at the bin's centre - ln(2 / bins). grad = scale dloss. */
__kernel void bins_recon(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t),
                         const int dims, HEAD_ARGS, const int bins, const int truncated, const int has_grad,
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
        const vf state = ldv(mu + row + d, left);
        const weights w = head_mix(&h, net + at, left);
        const vf index = bin_index(ldv(x + row + d, left), nb);
        const vf centre = bin_centre(index, nb);
        const vf density = head_log_density(&h, &w, state, net + at, left, centre);
        const vf range = bins_range(&h, &w, state, net + at, left, truncated);
        vf mass = (vf)(0.0f);
        for (int i = 0; i < h.n; i++) {
            const component c = head_component(&h, state, net + at, left, i);
            mass += head_weight(&h, &w, net + at, left, i) * edges_at(&c, index, nb, truncated).p;
        }
        const vi flat = range == 0.0f;
        const vf p = select(mass / range, (vf)(1.0f / nb), flat);
        const vi thin = p < FLOW_MIN_PROB;
        stv(-select(log(fmax(p, (vf)(FLOW_LOG_FLOOR))), density + log(2.0f / nb), thin), loss + row + d, left);
        if (!has_grad) continue;
        for (int i = 0; i < h.n; i++) {
            const component c = head_component(&h, state, net + at, left, i);
            const vf weight = head_weight(&h, &w, net + at, left, i);
            const bin_edges b = edges_at(&c, index, nb, truncated);
            /* -ln(mass / range): by mass -1 / mass, by range 1 / range */
            const vf k = weight * SQRT_1_2PI / (c.s * mass);
            vf g_w = -weight * b.p / mass, g_m = k * (b.hi.e - b.lo.e);
            vf g_s = k * (b.hi.z * b.hi.e - b.lo.z * b.lo.e);
            if (truncated) {
                const bin_edges all = range_at(&c);
                const vf kr = weight * SQRT_1_2PI / (c.s * range);
                g_w += weight * all.p / range;
                g_m -= kr * (all.hi.e - all.lo.e);
                g_s -= kr * (all.hi.z * all.hi.e - all.lo.z * all.lo.e);
            } else {
                g_w += weight;
            }
            g_w = select(g_w, (vf)(0.0f), flat);
            g_m = select(g_m, (vf)(0.0f), flat);
            g_s = select(g_s, (vf)(0.0f), flat);
            /* -ln sum of weight_i N(centre; m_i, s_i): r = share of component i */
            const vf r = weight * exp(log_normal(centre, c.m, c.s) - density);
            const vf z = (centre - c.m) / c.s;
            g_w = select(g_w, weight - r, thin);
            g_m = select(g_m, -r * z / c.s, thin);
            g_s = select(g_s, r * (1.0f - z * z) / c.s, thin);
            head_store_grad(&h, &c, grad + at, left, i, scale * g_w, scale * g_m, scale * g_s);
        }
    }
}

/* P of every bin, bin k of lane d at p[k * plane + d * pitch]. Returns R (0: too small, all bins equal). */
inline vf bins_fill(const head *h, const weights *w, const vf mu, __global const float *net, __global float *p,
                    const int pitch, const int plane, const int left, const int bins, const int truncated)
{
    vf range = (vf)(0.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        const vf weight = head_weight(h, w, net, left, i);
        const vf inv_s = 1.0f / c.s, width = 2.0f / (float)bins * inv_s;
        edge right_end = edge_at(boundary_z(&c, inv_s, 0, bins, truncated));
        for (int k = 0; k < bins; k++) {
            __global float *at = p + (size_t)k * (size_t)plane;
            const edge left_end = right_end;
            right_end = edge_at(boundary_z(&c, inv_s, k + 1, bins, truncated));
            const vf share = weight * interval_mass(left_end, right_end, width);
            stg(i == 0 ? share : ldg(at, pitch, left) + share, at, pitch, left);
            range += share;
        }
    }
    if (!truncated) return (vf)(1.0f);
    const vi thin = range < FLOW_MIN_PROB;
    for (int k = 0; k < bins; k++) {
        __global float *at = p + (size_t)k * (size_t)plane;
        stg(select(ldg(at, pitch, left) / range, (vf)(1.0f / (float)bins), thin), at, pitch, left);
    }
    return select(range, (vf)(0.0f), thin);
}

/* p [B, dims, bins] = P of every bin. */
__kernel void bins_probs(ARG(p), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t), const int dims, HEAD_ARGS, const int bins,
                         const int truncated)
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
        bins_fill(&h, &w, ldv(mu + row + d, left), lane, p + (row + (ulong)d) * (ulong)bins, bins, 1, left, bins,
                  truncated);
    }
}

/* A value on a bin's centre. what 1: a draw (one clipped normal: mean + sd noise, rounded to its bin; else noise is
 * uniform and the bin is found by inverse CDF); 2: the mode, first of equals. */
__kernel void bins_value(ARG(y), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(noise), ARG_CONST(t), const int dims,
                         HEAD_ARGS, const int bins, const int truncated, const int what)
{
    PTR(y);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(noise);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const head h = HEAD(t[get_group_id(1)]);
    const float nb = (float)bins;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        __global const float *lane = net + (row + (ulong)d) * (ulong)h.width;
        const vf state = ldv(mu + row + d, left);
        component c = head_component(&h, state, lane, left, 0);
        if (what == 1 && out == OUT_NORMAL && !truncated) {
            stv(bin_centre(bin_index(c.m + c.s * ldv(noise + row + d, left), nb), nb), y + row + d, left);
            continue;
        }
        const weights w = head_mix(&h, lane, left);
        const vf range = bins_range(&h, &w, state, lane, left, truncated);
        const vi flat = range == 0.0f;
        /* shares are not divided by R: u is multiplied by it */
        const vf u = what == 1 ? ldv(noise + row + d, left) * select(range, (vf)(1.0f), flat) : (vf)(0.0f);
        vf index = (vf)(0.0f), sum = (vf)(0.0f), top = (vf)(-1.0f);
        edge upper = edge_at((vf)(0.0f));
        for (int k = 0; k < bins; k++) {
            vf share = (vf)(0.0f);
            for (int i = 0; i < h.n; i++) {
                if (h.n > 1) c = head_component(&h, state, lane, left, i);
                const vf inv_s = 1.0f / c.s;
                const edge lower = h.n > 1 || k == 0 ? edge_at(boundary_z(&c, inv_s, k, bins, truncated)) : upper;
                upper = edge_at(boundary_z(&c, inv_s, k + 1, bins, truncated));
                share += head_weight(&h, &w, lane, left, i) * interval_mass(lower, upper, 2.0f / nb * inv_s);
            }
            share = select(share, (vf)(1.0f / nb), flat);
            const vi take = what == 1 ? (u >= sum) & (vi)(k > 0 ? -1 : 0) : share > top;
            index = select(index, (vf)((float)k), take);
            top = fmax(top, share);
            sum += share;
        }
        stv(bin_centre(index, nb), y + row + d, left);
    }
}

/* Receiver of the n-step loss: ln of the clamped weights into ws planes, returns ln of their sum. */
inline vf receiver_weights(__global float *lnw, const int plane, const int left, const int bins, vf *total)
{
    vf sum = (vf)(0.0f), clamped = (vf)(0.0f);
    for (int k = 0; k < bins; k++) sum += ldv(lnw + (size_t)k * (size_t)plane, left);
    for (int k = 0; k < bins; k++) {
        __global float *at = lnw + (size_t)k * (size_t)plane;
        const vf c = clamp(ldv(at, left) / sum, (vf)(FLOW_EPS), (vf)(1.0f - FLOW_EPS));
        clamped += c;
        stv(log(c), at, left);
    }
    *total = clamped;
    return log(clamped);
}

/* dL/dP of every bin from the mean responsibilities r that `share` holds, in place: through the logarithm, the clamp
 * (which stops gradients) and the normalisation. n: steps. */
inline void receiver_grad(__global const float *lnw, __global float *share, const int plane, const int left,
                          const int bins, const vf total, const float n)
{
    const float lo = log(FLOW_EPS), hi = log(1.0f - FLOW_EPS);
    vf sum = (vf)(0.0f);
    for (int k = 0; k < bins; k++) {
        __global float *at = share + (size_t)k * (size_t)plane;
        const vf ln_c = ldv(lnw + (size_t)k * (size_t)plane, left), c = exp(ln_c);
        const vf a = select((vf)(0.0f), n * (1.0f / total - ldv(at, left) / c), (ln_c > lo) & (ln_c < hi));
        sum += a * c;
        stv(a, at, left);
    }
    for (int k = 0; k < bins; k++) {
        __global float *at = share + (size_t)k * (size_t)plane;
        stv(ldv(at, left) - sum, at, left);
    }
}

/* From dL/dP in the planes of `dp` to the network's numbers. */
inline void bins_backward(const head *h, const weights *w, const vf mu, __global const float *net, __global float *grad,
                          __global const float *dp, const int plane, const int left, const int bins,
                          const int truncated, const vf range, const float scale)
{
    const vf inv_range = select(1.0f / range, (vf)(0.0f), range == 0.0f);
    vf mean_gw = (vf)(0.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        const vf weight = head_weight(h, w, net, left, i);
        const vf inv_s = 1.0f / c.s;
        vf g_w = (vf)(0.0f), g_e = (vf)(0.0f), g_ze = (vf)(0.0f), before = (vf)(0.0f);
        for (int j = 0; j <= bins; j++) {
            const vf after = j < bins ? ldv(dp + (size_t)j * (size_t)plane, left) : (vf)(0.0f);
            const edge b = edge_at(boundary_z(&c, inv_s, j, bins, truncated));
            const vf by_cdf = before - after;
            g_w += by_cdf * select(1.0f - b.q, b.q, b.z < 0.0f);
            g_e += by_cdf * b.e;
            g_ze += by_cdf * b.z * b.e;
            before = after;
        }
        const vf k = -weight * SQRT_1_2PI * inv_s * inv_range * scale;
        g_w *= inv_range * scale;
        mean_gw += weight * g_w;
        head_store_grad(h, &c, grad, left, i, g_w, k * g_e, k * g_ze);
    }
    if (h->out != OUT_MIXTURE) return;
    for (int i = 0; i < h->n; i++) {
        const vf g_w = ldg(grad + i, h->width, left);
        stg(head_weight(h, w, net, left, i) * (g_w - mean_gw), grad + i, h->width, left);
    }
}

/* n-step loss: y = x + noise / sqrt(alpha), draws of it;
 *   loss = n mean over draws [ln N(y; x, 1/alpha) - ln sum_k w_k N(y; centre_k, 1/alpha)]
 * with w the probabilities normalised, clamped to [eps, 1 - eps] and normalised again; alpha = factor / v^t, factor = v^(-1/n) - 1. Draw s of
 * sample b starts at noise + s * draw_pitch + b * sample_pitch. ws: [B, bins, dims], twice when has_grad. */
__kernel void bins_n_step(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t),
                          ARG_CONST(noise), ARG(ws), const int dims, HEAD_ARGS, const int bins, const int truncated,
                          const int n_steps, const float factor, const int draws, const ulong draw_pitch,
                          const ulong sample_pitch, const int has_grad, const float scale)
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
    const float alpha = factor / schedule_at(ln_v, ln_v_low, time).post;
    const float sd = 1.0f / sqrt(alpha);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)h.width;
        __global float *lnw = ws + row * (ulong)bins + d;
        __global float *share = lnw + (ulong)get_num_groups(1) * (ulong)dims * (ulong)bins;
        const vf state = ldv(mu + row + d, left), value = ldv(x + row + d, left);
        const weights w = head_mix(&h, net + at, left);
        const vf range = bins_fill(&h, &w, state, net + at, lnw, 1, dims, left, bins, truncated);
        vf total, sum = (vf)(0.0f);
        const vf ln_total = receiver_weights(lnw, dims, left, bins, &total);
        for (int s = 0; s < draws; s++) {
            const vf y = value + sd * ldv(noise + (ulong)s * draw_pitch + get_group_id(1) * sample_pitch + d, left);
            vf top = (vf)(-FLT_MAX), mass = (vf)(0.0f);
            for (int k = 0; k < bins; k++) {
                const vf far = y - (boundary(k, nb) + 1.0f / nb);
                top = fmax(top, ldv(lnw + (size_t)k * (size_t)dims, left) - 0.5f * alpha * far * far);
            }
            for (int k = 0; k < bins; k++) {
                const vf far = y - (boundary(k, nb) + 1.0f / nb);
                mass += exp(ldv(lnw + (size_t)k * (size_t)dims, left) - 0.5f * alpha * far * far - top);
            }
            sum -= 0.5f * alpha * (y - value) * (y - value) + top + log(mass) - ln_total;
            if (!has_grad) continue;
            for (int k = 0; k < bins; k++) {
                __global float *r = share + (size_t)k * (size_t)dims;
                const vf far = y - (boundary(k, nb) + 1.0f / nb);
                const vf one =
                    exp(ldv(lnw + (size_t)k * (size_t)dims, left) - 0.5f * alpha * far * far - top) / (mass * draws);
                stv(s == 0 ? one : ldv(r, left) + one, r, left);
            }
        }
        stv(n * sum / (float)draws, loss + row + d, left);
        if (!has_grad) continue;
        receiver_grad(lnw, share, dims, left, bins, total, n);
        bins_backward(&h, &w, state, net + at, grad + at, share, dims, left, bins, truncated, range, scale);
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
        const vf k = bin_index(ldv(x + row + d, end - d), (float)bins);
        stv(k, index + row + d, end - d);
        stv(bin_centre(k, (float)bins), value + row + d, end - d);
    }
}
