/* Time codes and the feature vectors at the input of the networks. */
#include "common.h"

#define CODE_UNET 0
#define CODE_VDM 1

/* KIND: number of the code (enum bf_time_code) */
#ifndef KIND
#define KIND CODE_UNET
#endif

#define LN_10000 9.210340371976184f

/* Angular speed of pair k: exp(-ln(10000) k / half), with both ends included for the VDM code; exact for k = 0. */
static inline float code_speed(int k, int half_dim)
{
    const int last = KIND == CODE_VDM ? max(half_dim - 1, 1) : half_dim;
    return exp(-LN_10000 * (float)k / (float)last);
}

#if KIND == CODE_VDM
#define TIME_SCALE 1000.0f
#define SCALED_TIME(t) (TIME_SCALE * ((t) + 0.001f))
#else
#define TIME_SCALE 4000.0f
#define SCALED_TIME(t) (TIME_SCALE * (t))
#endif

/* y [B,dim]: a group per sample. The angles reach 4000: sin and cos need their full range reduction. */
__kernel void time_code_forward(ARG(y), ARG_CONST(t), const int dim)
{
    PTR(y);
    PTR_CONST(t);
    const size_t b = get_group_id(0);
    const int half_dim = dim / 2;
    const float time = SCALED_TIME(t[b]);
    __global float *row = y + b * (size_t)dim;
    for (int k = (int)get_local_id(0); k < half_dim; k += WG) {
        const float angle = time * code_speed(k, half_dim);
        const float s = sin(angle), c = cos(angle);
        row[k] = KIND == CODE_VDM ? s : c;
        row[half_dim + k] = KIND == CODE_VDM ? c : s;
    }
    if (dim % 2 && get_local_id(0) == 0) row[dim - 1] = 0.0f;
}

/* dt[b] (+)= sum_k dy[b,k] dy/dt */
__kernel void time_code_backward(ARG(dt), const int acc, ARG_CONST(dy), ARG_CONST(t), const int dim)
{
    PTR(dt);
    PTR_CONST(dy);
    PTR_CONST(t);
    ROW_SCRATCH(scratch);
    const size_t b = get_group_id(0);
    const int half_dim = dim / 2;
    const float time = SCALED_TIME(t[b]);
    __global const float *row = dy + b * (size_t)dim;
    float sum = 0.0f;
    for (int k = (int)get_local_id(0); k < half_dim; k += WG) {
        const float speed = code_speed(k, half_dim), angle = time * speed;
        const float by_sin = row[KIND == CODE_VDM ? k : half_dim + k];
        const float by_cos = row[KIND == CODE_VDM ? half_dim + k : k];
        sum += TIME_SCALE * speed * (by_sin * cos(angle) - by_cos * sin(angle));
    }
    sum = row_sum(sum, scratch);
    if (get_local_id(0) == 0) dt[b] = acc ? dt[b] + sum : sum;
}

/* y[b,p,:] = [x[b,p,0..cx), 2 t[b] - 1 (if ct), pos[p,0..cp)]. A group takes `block` points of one sample, `parts`
 * groups make up a sample. */
__kernel void features_forward(ARG(y), ARG_CONST(x), ARG_CONST(t), ARG_CONST(pos), const int points, const int cx,
                               const int ct, const int cp, const int block, const int parts)
{
    PTR(y);
    PTR_CONST(x);
    PTR_CONST(t);
    PTR_CONST(pos);
    const ulong b = get_group_id(0) / (ulong)parts;
    const int p0 = (int)(get_group_id(0) % (ulong)parts) * block, count = min(block, points - p0);
    const int cy = cx + ct + cp;
    const float time = ct ? 2.0f * t[b] - 1.0f : 0.0f;
    __global float *to = y + (b * (ulong)points + (ulong)p0) * (ulong)cy;
    __global const float *from = x + (b * (ulong)points + (ulong)p0) * (ulong)cx;
    ELEM_FOR(r, c, count, cy)
    {
        float v = time;
        if (c < cx) v = from[(ulong)r * (ulong)cx + c];
        if (c >= cx + ct) v = pos[(ulong)(p0 + r) * (ulong)cp + (c - cx - ct)];
        to[(ulong)r * (ulong)cy + c] = v;
    }
}

/* dpos[p,c] (+)= sum_b dy[b,p,first+c]. A group takes `block` points. */
__kernel void features_backward_pos(ARG(dpos), const int acc, ARG_CONST(dy), const int batch, const int points,
                                    const int cp, const int first, const int cy, const int block)
{
    PTR(dpos);
    PTR_CONST(dy);
    const int p0 = (int)get_group_id(0) * block, count = min(block, points - p0);
    ELEM_FOR(r, c, count, cp)
    {
        const ulong at = (ulong)(p0 + r) * (ulong)cp + c;
        __global const float *from = dy + (ulong)(p0 + r) * (ulong)cy + first + c;
        float sum = 0.0f;
        for (int b = 0; b < batch; b++) sum += from[(ulong)b * (ulong)points * (ulong)cy];
        dpos[at] = acc ? dpos[at] + sum : sum;
    }
}
