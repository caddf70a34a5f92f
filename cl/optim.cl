/* The optimiser: gradient norm, clipping factor, AdamW with averaged weights. */
#include "common.h"

#define STAT_SUMSQ 0
#define STAT_NORM 1
#define STAT_CLIP 2
#define STAT_FINITE 3
#define STAT_LIMIT 4

/* part[k] = sum of squares over `chunk` elements. */
__kernel void sumsq_parts(ARG(part), ARG_CONST(g), const ulong n, const ulong chunk)
{
    PTR(part);
    PTR_CONST(g);
    ROW_SCRATCH(scratch);
    const ulong base = get_group_id(0) * chunk;
    const int count = (int)min(chunk, n - base);
    vf sum = (vf)(0.0f);
    ROW_FOR(i, count)
    {
        const vf v = ldv(g + base + i, count - i);
        sum += v * v;
    }
    const float all = row_sum(vsum(sum), scratch);
    if (get_local_id(0) == 0) part[get_group_id(0)] = all;
}

/* stats[SUMSQ] (+)= sum of the parts. One group. */
__kernel void sumsq_total(ARG(stats), const int acc, ARG_CONST(part), const int parts)
{
    PTR(stats);
    PTR_CONST(part);
    ROW_SCRATCH(scratch);
    vf sum = (vf)(0.0f);
    ROW_FOR(i, parts) sum += ldv(part + i, parts - i);
    const float all = row_sum(vsum(sum), scratch);
    if (get_local_id(0) == 0) stats[STAT_SUMSQ] = acc ? stats[STAT_SUMSQ] + all : all;
}

/* What one norm and its limit make of a step. A sum of squares that is not finite (tested by its bits: compilers may fold
 * isfinite) stops the update. Returns whether it was finite. */
static inline int set_clip(__global float *stats, const float norm, const float limit)
{
    const int finite = (as_uint(norm) & 0x7f800000u) != 0x7f800000u;
    const float clip = limit > 0.0f ? min(1.0f, limit / (norm + 1e-6f)) : 1.0f;
    stats[STAT_NORM] = norm;
    stats[STAT_CLIP] = finite ? clip : 0.0f;
    stats[STAT_FINITE] = finite ? 1.0f : 0.0f;
    stats[STAT_LIMIT] = limit;
    return finite;
}

/* One work-item. */
__kernel void clip_factor(ARG(stats), const float max_norm)
{
    PTR(stats);
    if (get_global_id(0) != 0) return;
    set_clip(stats, sqrt(stats[STAT_SUMSQ]), max_norm);
}

/* The limit is 1.5 mean + 2 deviations of the norms in the queue, and the norm, cut at the limit, joins them. queue[0]:
 * the bits of how many have joined so far, at least 1; behind it a ring of `length` norms. One group. */
__kernel void clip_queue(ARG(stats), ARG(queue), const int length)
{
    PTR(stats);
    PTR(queue);
    ROW_SCRATCH(scratch);
    __global uint *joined = (__global uint *)queue;
    __global float *ring = queue + 1;
    const uint place = joined[0];
    const int count = (int)min(place, (uint)length);
    vf sum = (vf)(0.0f), square = (vf)(0.0f);
    ROW_FOR(i, count) sum += ldv(ring + i, count - i);
    const float mean = row_sum(vsum(sum), scratch) / (float)count;
    ROW_FOR(i, count)
    {
        const vf off = ldv_or(ring + i, count - i, mean) - mean;
        square += off * off;
    }
    const float deviation = sqrt(row_sum(vsum(square), scratch) / (float)count);
#if WIDE
    barrier(CLK_GLOBAL_MEM_FENCE); /* everybody has read the queue before one writes to it */
#endif
    if (get_local_id(0) != 0) return;
    const float limit = 1.5f * mean + 2.0f * deviation, norm = sqrt(stats[STAT_SUMSQ]);
    if (!set_clip(stats, norm, limit)) return;
    ring[place % (uint)length] = min(norm, limit);
    joined[0] = place + 1u;
}

/* AdamW in PyTorch's order of operations, g scaled by the clipping factor first:
 *   p = p (1 - lr wd);  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
 *   p = p - (lr / bias1) m / (sqrt(v) / sqrt(bias2) + eps);  e = e - (1 - decay) (e - p) */
__kernel void adamw(ARG(p), ARG_CONST(g), ARG(m), ARG(v), ARG(ema), const int has_ema, ARG_CONST(stats),
                    ARG_CONST(step), const float beta1, const float rest1, const float beta2, const float rest2,
                    const float eps, const float weight_decay, const ulong n)
{
    PTR(p);
    PTR_CONST(g);
    PTR(m);
    PTR(v);
    PTR(ema);
    PTR_CONST(stats);
    PTR_CONST(step);
    if (stats[STAT_FINITE] == 0.0f) return;
    const float clip = stats[STAT_CLIP], lr = step[STEP_LR];
    const float keep = 1.0f - lr * weight_decay, size = lr / step[STEP_BIAS1], root = sqrt(step[STEP_BIAS2]);
    const float blend = step[STEP_EMA];
    FLAT_BLOCK(base, count, n);
    ROW_FOR(i, count)
    {
        const ulong at = base + i;
        const int left = count - i;
        const vf grad = clip * ldv(g + at, left);
        const vf first = beta1 * ldv(m + at, left) + rest1 * grad;
        const vf second = beta2 * ldv(v + at, left) + rest2 * grad * grad;
        const vf w = keep * ldv(p + at, left) - size * first / (sqrt(second) / root + eps);
        stv(first, m + at, left);
        stv(second, v + at, left);
        stv(w, p + at, left);
        if (has_ema) {
            const vf e = ldv(ema + at, left);
            stv(e - blend * (e - w), ema + at, left);
        }
    }
}
