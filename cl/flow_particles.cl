/*
 * Particles (src/flow/particles.h): messages that all particles of a sample hear alike, and how likely each of them found what
 * it heard. A lane is one variable of one particle, as in the other flow kernels; where nothing is given it counts 0.
 */
#include "flow.h"

#define PARTICLE_FLOOR 1e-37f /* of a probability */

/* Noise xi [rows, dims, width] of what is given [rows, dims] becomes that of the first particle of the sample. */
__kernel void particle_share(ARG(xi), ARG_CONST(given), const ulong rows, const int dims, const int width,
                             const int particles, const int block)
{
    PTR(xi);
    PTR_CONST(given);
    const ulong begin = (ulong)get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - begin);
    ELEM_FOR(r, c, count, dims * width)
    {
        const ulong row = begin + (ulong)r, pitch = (ulong)dims * (ulong)width;
        const ulong first = row / (ulong)particles * (ulong)particles;
        if (row != first && !isnan(given[row * (ulong)dims + (ulong)(c / width)]))
            xi[row * pitch + (ulong)c] = xi[first * pitch + (ulong)c];
    }
}

/* ln of a sum of exp, which grows by one term after the other: exp(top) sum. */
typedef struct log_sum {
    lf top, sum;
} log_sum;

static inline void log_add(log_sum *s, const lf x)
{
    const lf top = fmax(s->top, x);
    s->sum = s->sum * vexp(s->top - top) + vexp(x - top);
    s->top = top;
}

static inline lf log_of(const lf p)
{
    return vlog(fmax(p, (lf)(PARTICLE_FLOOR)));
}

/* ln sum_k p_k exp(score_k), p [B, dims, K], given x. classes: score_k = y_k - y_x, y [B, dims, K]; x is a class, or
 * (discretize) falls into one. Else bins with centres c_k: score_k = alpha ((y - x)^2 - (y - c_k)^2) / 2, y [B, dims]. last: ln
 * p_x alone. */
__kernel void particle_levels(ARG(out), ARG_CONST(p), ARG_CONST(y), ARG_CONST(given), ARG_CONST(record), const int dims,
                              const int levels, const int classes, const int discretize, const int last)
{
    PTR(out);
    PTR_CONST(p);
    PTR_CONST(y);
    PTR_CONST(given);
    PTR_CONST(record);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float alpha = record[STEP_SENDER_MEAN], n = (float)levels;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)levels;
        const lf held = ldn(given + row + d, left);
        const lf label = classes && !discretize ? held : bin_index(held, n), x = bin_centre(label, n);
        const lf heard = classes ? (lf)(0.0f) : ldn(y + row + d, left);
        lf own = (lf)(0.0f), own_p = (lf)(0.0f);
        for (int k = 0; k < levels; k++) {
            const li hit = label == (float)k;
            if (classes && !last) own = select(own, ldg(y + at + k, levels, left), hit);
            if (last) own_p = select(own_p, ldg(p + at + k, levels, left), hit);
        }
        log_sum s = {(lf)(-FLT_MAX), (lf)(0.0f)};
        for (int k = 0; !last && k < levels; k++) {
            const lf c = bin_centre((lf)((float)k), n);
            const lf score = classes ? ldg(y + at + k, levels, left) - own : 0.5f * alpha * (c - x) * (2.0f * heard - x - c);
            log_add(&s, log_of(ldg(p + at + k, levels, left)) + score);
        }
        const lf found = last ? log_of(own_p) : s.top + vlog(s.sum);
        stn(select(found, (lf)(0.0f), isnan(held)), out + row + d, left);
    }
}

/* ln sum_i w_i N(y; m_i, s_i^2 + 1 / alpha) - ln N(y; x, 1 / alpha), params [B, dims, P] as real_params leaves them. */
__kernel void particle_real(ARG(out), ARG_CONST(params), ARG_CONST(y), ARG_CONST(given), ARG_CONST(record), const int dims,
                            const int components, const int width)
{
    PTR(out);
    PTR_CONST(params);
    PTR_CONST(y);
    PTR_CONST(given);
    PTR_CONST(record);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float alpha = record[STEP_SENDER_MEAN];
    const int mixture = width > 2, first = mixture ? components : 0;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)width;
        const lf held = ldn(given + row + d, left), heard = ldn(y + row + d, left);
        const lf sent = 0.5f * alpha * (heard - held) * (heard - held);
        log_sum s = {(lf)(-FLT_MAX), (lf)(0.0f)}, weights = s;
        for (int i = 0; i < components; i++) {
            const lf m = ldg(params + at + first + i, width, left), miss = heard - m;
            const lf sd = width == 1 ? (lf)(0.0f) : ldg(params + at + first + components + i, width, left);
            const lf w = mixture ? ldg(params + at + i, width, left) : (lf)(0.0f);
            const lf wide = 1.0f + alpha * sd * sd;
            log_add(&weights, w);
            log_add(&s, w - 0.5f * alpha * miss * miss / wide - 0.5f * vlog(wide));
        }
        const lf found = sent + s.top + vlog(s.sum) - weights.top - vlog(weights.sum);
        stn(select(found, (lf)(0.0f), isnan(held)), out + row + d, left);
    }
}
