/*
 * Real-valued data: the flow, the sender, the Bayesian update (spec 2.2), and the output distribution and losses of
 * continuous data. Discretised data share the first part; their distribution is in flow_bins.cl.
 */
#include "flow_real.h"

/* mu = gamma x + sqrt(gamma (1 - gamma)) noise, gamma = 1 - v^t (paper eq. 77-80). */
__kernel void real_sample(ARG(mu), ARG_CONST(x), ARG_CONST(noise), ARG_CONST(t), const int dims,
                          const float ln_v, const float ln_v_low)
{
    PTR(mu);
    PTR_CONST(x);
    PTR_CONST(noise);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const schedule s = schedule_at(ln_v, ln_v_low, t[get_group_id(1)]);
    const float sd = sqrt(s.gamma * s.post);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const ulong at = row + (ulong)d;
        stn(s.gamma * ldn(x + at, end - d) + sd * ldn(noise + at, end - d), mu + at, end - d);
    }
}

/* y = x + noise / sqrt(alpha) */
__kernel void real_send(ARG(y), ARG_CONST(x), ARG_CONST(noise), ARG_CONST(step), const int dims)
{
    PTR(y);
    PTR_CONST(x);
    PTR_CONST(noise);
    PTR_CONST(step);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float sd = step[STEP_SENDER_SD];
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const ulong at = row + (ulong)d;
        stn(ldn(x + at, end - d) + sd * ldn(noise + at, end - d), y + at, end - d);
    }
}

/* mu = (rho mu + alpha y) / (rho + alpha) (eq. 49-50): the two weights come from the host, in double. */
__kernel void real_update(ARG(mu), ARG_CONST(y), ARG_CONST(step), const int dims)
{
    PTR(mu);
    PTR_CONST(y);
    PTR_CONST(step);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float keep = step[STEP_KEEP], gain = step[STEP_GAIN];
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const ulong at = row + (ulong)d;
        stn(keep * ldn(mu + at, end - d) + gain * ldn(y + at, end - d), mu + at, end - d);
    }
}

/* Parameters of the output distribution in terms of the data, laid out as the network's output. clamped 0: before the
 * clip of a delta and the clamp of deviations. */
__kernel void real_params(ARG(params), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t), const int dims, HEAD_ARGS,
                          const int clamped)
{
    PTR(params);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const head h = HEAD(t[get_group_id(1)]);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)h.width;
        const lf state = ldn(mu + row + d, left);
        for (int i = 0; i < h.n; i++) {
            const component c = head_component(&h, state, net + at, left, i);
            const int first = MIXTURE ? h.n + i : 0;
            const int clip = clamped && out == OUT_DELTA;
            if (MIXTURE) stg(ldg(net + at + i, h.width, left), params + at + i, h.width, left);
            stg(clip ? clamp(c.m, (lf)(h.lo), (lf)(h.hi)) : c.m, params + at + first, h.width, left);
            if (out != OUT_DELTA) stg(clamped ? c.s : c.raw, params + at + first + h.n, h.width, left);
        }
    }
}

/* Hands the gradient g by the mean on to the network's numbers. */
static inline void head_mean_grad(const head *h, const weights *w, const lf mu, __global const float *net, __global float *grad,
                           const int left, const lf mean, const lf g)
{
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        const lf weight = head_weight(h, w, net, left, i);
        head_store_grad(h, &c, grad, left, i, g * weight * (c.m - mean), g * weight, (lf)(0.0f));
    }
}

/* A value of every variable (head_value in flow_real.h). noise: normals [B, dims], for mixtures [2, B, dims]: uniforms, then
 * normals. */
__kernel void continuous_value(ARG(y), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(noise), ARG_CONST(t), const int dims,
                               HEAD_ARGS, const int what)
{
    PTR(y);
    PTR_CONST(mu);
    PTR_CONST(net);
    PTR_CONST(noise);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const ulong normals = (ulong)get_num_groups(1) * (ulong)dims;
    const head h = HEAD(t[get_group_id(1)]);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        __global const float *lane = net + (row + (ulong)d) * (ulong)h.width;
        const lf state = ldn(mu + row + d, left);
        const lf u = MIXTURE && what == 1 ? ldn(noise + row + d, left) : (lf)(0.0f);
        const lf eps = what == 1 && out != OUT_DELTA ? ldn(noise + (MIXTURE ? normals : 0) + row + d, left) : (lf)(0.0f);
        stn(head_value(&h, state, lane, left, what, u, eps), y + row + d, left);
    }
}

/* ln density at x. */
__kernel void continuous_log_density(ARG(y), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t), const int dims,
                                     HEAD_ARGS)
{
    PTR(y);
    PTR_CONST(x);
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
        const lf state = ldn(mu + row + d, left);
        stn(head_log_density(&h, &w, state, lane, left, ldn(x + row + d, left)), y + row + d, left);
    }
}

/* Squared error weighted by time (spec 2.2). n_steps 0: factor (x - mean)^2 / max(v^t, floor_v), factor = -ln sigma_1.
 * n_steps > 0: n alpha_i (x - mean)^2 / 2 with alpha_i = v^(-i/n) (1 - v^(1/n)) = factor / v^t, factor = v^(-1/n) - 1.
 * scale multiplies the gradient; has_grad 0: grad is not touched. */
__kernel void continuous_loss(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t),
                              const int dims, HEAD_ARGS, const int n_steps, const int any_time, const float factor,
                              const float floor_v, const int has_grad, const float scale)
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
    const float post = schedule_at(ln_v, ln_v_low, step_time(time, n_steps, any_time)).post;
    const float weight = n_steps > 0 ? 0.5f * (float)n_steps * factor / post : factor / fmax(post, floor_v);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)h.width;
        const lf state = ldn(mu + row + d, left);
        const weights w = head_mix(&h, net + at, left);
        lf pass;
        const lf mean = head_mean(&h, &w, state, net + at, left, &pass);
        const lf miss = mean - ldn(x + row + d, left);
        stn(weight * miss * miss, loss + row + d, left);
        if (has_grad) {
            const lf g = 2.0f * scale * weight * miss * pass;
            head_mean_grad(&h, &w, state, net + at, grad + at, left, mean, g);
        }
    }
}

/* -ln P(bin of x) under a clipped discretised normal around the mean with fixed deviation sd. */
__kernel void continuous_recon(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(mu), ARG_CONST(net), ARG_CONST(t),
                               const int dims, HEAD_ARGS, const int bins, const float sd, const int has_grad,
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
        lf pass;
        const lf mean = head_mean(&h, &w, state, net + at, left, &pass);
        const lf index = bin_index(ldn(x + row + d, left), nb);
        const lf left_z = (2.0f * index / nb - 1.0f - mean) / sd, right_z = (2.0f * (index + 1.0f) / nb - 1.0f - mean) / sd;
        const edge lo = edge_at(select(left_z, (lf)(-FLOW_FAR), index <= 0.0f));
        const edge hi = edge_at(select(right_z, (lf)(FLOW_FAR), index >= nb - 1.0f));
        const lf p = interval_mass(lo, hi, (lf)(2.0f / (nb * sd)));
        const lf centre = bin_centre(index, nb);
        const li thin = p < FLOW_MIN_PROB;
        const lf dense = log_normal(centre, mean, (lf)(sd)) + log(2.0f / nb);
        stn(-select(vlog(fmax(p, (lf)(FLOW_LOG_FLOOR))), dense, thin), loss + row + d, left);
        if (has_grad) {
            const lf by_density = (mean - centre) / (sd * sd);
            const lf by_mass = SQRT_1_2PI * (hi.e - lo.e) / (sd * fmax(p, (lf)(FLOW_LOG_FLOOR)));
            const lf g = scale * pass * select(by_mass, by_density, thin);
            head_mean_grad(&h, &w, state, net + at, grad + at, left, mean, g);
        }
    }
}
