/* Time codes and the feature vectors at the input of the networks. */
#include "common.h"

#define CODE_UNET 0
#define CODE_VDM 1
#define CODE_POSITION 2

/* KIND: number of the code (enum bf_time_code) */
#ifndef KIND
#define KIND CODE_UNET
#endif

/* The first column of a pair is a sine (else a cosine), the second the other one. */
#define SINE_FIRST (KIND != CODE_UNET)

#if KIND == CODE_VDM
#define TIME_SCALE 1000.0f
#define SCALED_TIME(t) (TIME_SCALE * ((t) + 0.001f))
#elif KIND == CODE_UNET
#define TIME_SCALE 4000.0f
#define SCALED_TIME(t) (TIME_SCALE * (t))
#else
#define TIME_SCALE 1.0f
#define SCALED_TIME(t) (t)
#endif

static inline int is_sine(int j, int dim)
{
    const int second = KIND == CODE_POSITION ? j % 2 : j >= dim / 2;
    return SINE_FIRST ? !second : second;
}

/* y [B,dim] from t [B] and the angular speed of each column: a group per sample. The angles reach 4000: sin and cos need
 * their full range reduction. */
__kernel void time_code_forward(ARG(y), ARG_CONST(t), ARG_CONST(speed), const int dim)
{
    PTR(y);
    PTR_CONST(t);
    PTR_CONST(speed);
    const size_t b = get_group_id(0);
    const float time = SCALED_TIME(t[b]);
    __global float *row = y + b * (size_t)dim;
    for (int j = (int)get_local_id(0); j < dim; j += WG) {
        const float angle = time * speed[j];
        row[j] = is_sine(j, dim) ? sin(angle) : cos(angle);
    }
}

/* dt[b] (+)= sum_j dy[b,j] dy/dt */
__kernel void time_code_backward(ARG(dt), const int acc, ARG_CONST(dy), ARG_CONST(t), ARG_CONST(speed), const int dim)
{
    PTR(dt);
    PTR_CONST(dy);
    PTR_CONST(t);
    PTR_CONST(speed);
    ROW_SCRATCH(scratch);
    const size_t b = get_group_id(0);
    const float time = SCALED_TIME(t[b]);
    __global const float *row = dy + b * (size_t)dim;
    float sum = 0.0f;
    for (int j = (int)get_local_id(0); j < dim; j += WG) {
        const float angle = time * speed[j];
        sum += TIME_SCALE * speed[j] * row[j] * (is_sine(j, dim) ? cos(angle) : -sin(angle));
    }
    sum = row_sum(sum, scratch);
    if (get_local_id(0) == 0) dt[b] = acc ? dt[b] + sum : sum;
}

/* ---- soft bins of the time: an item has a whole row --------------------------------------------------------------- */

/* (t - centre k) / width of a bin */
static inline float bin_distance(const float t, const int k, const int dim)
{
    return (t - (float)k / (float)max(dim - 1, 1)) * (float)dim;
}

__kernel void time_bins_forward(ARG(y), ARG_CONST(t), const ulong n, const int dim)
{
    PTR(y);
    PTR_CONST(t);
    FLAT_BLOCK(base, m, n);
    for (int i = (int)get_local_id(0); i < m; i += WG) {
        __global float *const row = y + (base + i) * (ulong)dim;
        float sum = 0.0f;
        for (int k = 0; k < dim; k++) {
            const float z = bin_distance(t[base + i], k, dim);
            row[k] = exp(-0.5f * z * z);
            sum += row[k];
        }
        for (int k = 0; k < dim; k++) row[k] = 2.0f * (row[k] / sum) - 1.0f;
    }
}

/* dt (+)= sum_k dy_k 2 (e_k' - e_k / sum sum of e') / sum */
__kernel void time_bins_backward(ARG(dt), const int acc, ARG_CONST(dy), ARG_CONST(t), const ulong n, const int dim)
{
    PTR(dt);
    PTR_CONST(dy);
    PTR_CONST(t);
    FLAT_BLOCK(base, m, n);
    for (int i = (int)get_local_id(0); i < m; i += WG) {
        __global const float *const g = dy + (base + i) * (ulong)dim;
        float sum = 0.0f, dsum = 0.0f, along = 0.0f, dalong = 0.0f;
        for (int k = 0; k < dim; k++) {
            const float z = bin_distance(t[base + i], k, dim), e = exp(-0.5f * z * z), de = -z * (float)dim * e;
            sum += e;
            dsum += de;
            along += g[k] * e;
            dalong += g[k] * de;
        }
        const float d = 2.0f * (dalong - along * (dsum / sum)) / sum;
        dt[base + i] = acc ? dt[base + i] + d : d;
    }
}

/* 2 pi 2^(5 + band) */
#define FOURIER_SPEED(band) ((band) ? 402.1238597f : 201.0619298f)

/* y[r, band cx + c] = sin(speed x[r,c]) for both bands, then the cosines. A group takes `block` rows. */
__kernel void fourier_forward(ARG(y), ARG_CONST(x), const ulong rows, const int cx, const int block)
{
    PTR(y);
    PTR_CONST(x);
    const ulong r0 = (ulong)get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    __global const float *from = x + r0 * (ulong)cx;
    __global float *to = y + r0 * (ulong)cx * 4;
    ELEM_FOR(r, c, count, cx)
    {
        const float v = from[(ulong)r * (ulong)cx + c];
        __global float *out = to + (ulong)r * (ulong)cx * 4 + c;
        for (int band = 0; band < 2; band++) {
            const float angle = FOURIER_SPEED(band) * v;
            out[band * cx] = sin(angle);
            out[(2 + band) * cx] = cos(angle);
        }
    }
}

/* dx[r,c] (+)= sum over the bands of speed (dsin cos(angle) - dcos sin(angle)) */
__kernel void fourier_backward(ARG(dx), const int acc, ARG_CONST(dy), ARG_CONST(x), const ulong rows, const int cx,
                               const int block)
{
    PTR(dx);
    PTR_CONST(dy);
    PTR_CONST(x);
    const ulong r0 = (ulong)get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    __global const float *from = dy + r0 * (ulong)cx * 4;
    ELEM_FOR(r, c, count, cx)
    {
        const ulong at = (r0 + (ulong)r) * (ulong)cx + c;
        __global const float *in = from + (ulong)r * (ulong)cx * 4 + c;
        float sum = 0.0f;
        for (int band = 0; band < 2; band++) {
            const float angle = FOURIER_SPEED(band) * x[at];
            sum += FOURIER_SPEED(band) * (in[band * cx] * cos(angle) - in[(2 + band) * cx] * sin(angle));
        }
        dx[at] = acc ? dx[at] + sum : sum;
    }
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
