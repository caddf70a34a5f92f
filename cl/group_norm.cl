/*
 * Group norm over [B,P,C] with an optional scale and shift per sample and a fused activation:
 *   n = (x - mean) rstd gamma[c] + beta[c];  with scale and shift n = n (1 + scale[b,c]) + shift[b,c];  y = act(n)
 *
 * Each direction reads the data twice. The first kernel folds `chunk` points of one sample per channel; the second one
 * folds those partial results over chunks and over the channels of a group (every group of work-items does it for its
 * own sample: it is little work and saves a launch), keeps the coefficients of each channel in local memory and walks
 * the points. Local arrays hold `pad` = C rounded up to whole vectors.
 */
#include "common.h"

/* Activation applied to the result: number of enum bf_act. */
#ifndef ACT
#define ACT ACT_NONE
#endif

/* part[b,chunk,0,c] = mean over the chunk, part[b,chunk,1,c] = sum of squared distances from that mean. Two passes: the
 * second finds the chunk in the cache, and nothing cancels however large the mean. Group: (b, chunk, column tile). */
__kernel void group_norm_stats(ARG(part), ARG_CONST(x), const int points, const int ch, const int chunk,
                               const int chunks, const int tiles, const int lanes)
{
    PTR(part);
    PTR_CONST(x);
    ROW_SCRATCH(scratch);
    const ulong id = get_group_id(0) / (ulong)tiles; /* b * chunks + chunk */
    COL_SETUP(col, row, step, get_group_id(0) % (ulong)tiles, lanes);
    const int left = (int)max((long)ch - (long)col, (long)0);
    const int p0 = (int)(id % (ulong)chunks) * chunk, count = min(chunk, points - p0);
    __global const float *p = x + (id / (ulong)chunks * (ulong)points + (ulong)p0) * (ulong)ch + col;

    vf mean[COLV], dist[COLV], rest[COLV];
    for (int v = 0; v < COLV; v++) mean[v] = dist[v] = rest[v] = (vf)(0.0f);
    for (int r = row; r < count; r += step)
#pragma unroll
        for (int v = 0; v < COLV; v++)
            if (v * VW < left) mean[v] += ldv(p + (ulong)r * (ulong)ch + v * VW, left - v * VW);
    for (int v = 0; v < COLV; v++) mean[v] = col_sum(mean[v], lanes, scratch) / (float)count;
    for (int r = row; r < count; r += step)
#pragma unroll
        for (int v = 0; v < COLV; v++)
            if (v * VW < left) {
                const vf d = ldv(p + (ulong)r * (ulong)ch + v * VW, left - v * VW) - mean[v];
                dist[v] += d * d;
                rest[v] += d;
            }
    for (int v = 0; v < COLV; v++) {
        /* the mean's own rounding error, taken out of both */
        const vf off = col_sum(rest[v], lanes, scratch) / (float)count;
        const vf sum = col_sum(dist[v], lanes, scratch) - (float)count * off * off;
        if (row == 0 && v * VW < left) {
            __global float *to = part + id * 2 * (ulong)ch + col + v * VW;
            stv(mean[v] + off, to, left - v * VW);
            stv(sum, to + ch, left - v * VW);
        }
    }
}

/* Chan's combination of the partial results of one sample, first over chunks (lm, ld: per channel), then over the
 * channels of a group: lm[c] = mean of c's group, ld[c] = 1 / sqrt(variance + eps) of c's group. */
static inline void fold_stats(__global const float *part, int points, int ch, int chunk, int chunks, int groups,
                              float eps, __local float *lm, __local float *ld)
{
    ROW_FOR(c, ch)
    {
        vf mean = (vf)(0.0f), dist = (vf)(0.0f);
        for (int s = 0; s < chunks; s++)
            mean += (float)min(chunk, points - s * chunk) * ldv(part + (ulong)s * 2 * (ulong)ch + c, ch - c);
        mean /= (float)points;
        for (int s = 0; s < chunks; s++) {
            __global const float *p = part + (ulong)s * 2 * (ulong)ch + c;
            const vf d = ldv(p, ch - c) - mean;
            dist += ldv(p + ch, ch - c) + (float)min(chunk, points - s * chunk) * d * d;
        }
        stl(mean, lm + c);
        stl(dist, ld + c);
    }
    group_sync();
    const int size = ch / groups;
    for (int g = (int)get_local_id(0); g < groups; g += WG) {
        float mean = 0.0f, dist = 0.0f;
        for (int c = g * size; c < (g + 1) * size; c++) mean += lm[c];
        mean /= (float)size;
        for (int c = g * size; c < (g + 1) * size; c++) {
            const float d = lm[c] - mean;
            dist += ld[c] + (float)points * d * d;
        }
        const float rstd = 1.0f / sqrt(dist / ((float)points * (float)size) + eps);
        for (int c = g * size; c < (g + 1) * size; c++) {
            lm[c] = mean;
            ld[c] = rstd;
        }
    }
    group_sync();
}

/* y = act((x - mean) a + b) with a = rstd gamma (1 + scale), b = beta (1 + scale) + shift. Group: (b, chunk). The first
 * group of a sample writes its mean and rstd. */
__kernel void group_norm_forward(ARG(y), ARG(mean), ARG(rstd), ARG_CONST(x), ARG_CONST(gamma), ARG_CONST(beta),
                                 ARG_CONST(scale), ARG_CONST(shift), ARG_CONST(part), const int points, const int ch,
                                 const int groups, const int pitch, const int has_scale, const float eps,
                                 const int chunk, const int chunks, const int pad, __local float *local_mem)
{
    PTR(y);
    PTR(mean);
    PTR(rstd);
    PTR_CONST(x);
    PTR_CONST(gamma);
    PTR_CONST(beta);
    PTR_CONST(scale);
    PTR_CONST(shift);
    PTR_CONST(part);
    const ulong b = get_group_id(0) / (ulong)chunks;
    const int first = (int)(get_group_id(0) % (ulong)chunks);
    __local float *lm = local_mem, *la = lm + pad, *lb = la + pad;
    fold_stats(part + b * (ulong)chunks * 2 * (ulong)ch, points, ch, chunk, chunks, groups, eps, lm, la);
    if (first == 0) {
        const int size = ch / groups;
        for (int g = (int)get_local_id(0); g < groups; g += WG) {
            mean[b * (ulong)groups + g] = lm[g * size];
            rstd[b * (ulong)groups + g] = la[g * size];
        }
    }
    group_sync();
    ROW_FOR(c, ch)
    {
        vf a = ldl(la + c) * ldv(gamma + c, ch - c), off = ldv(beta + c, ch - c);
        if (has_scale) {
            const vf s = 1.0f + ldv(scale + b * (ulong)pitch + c, ch - c);
            a *= s;
            off = off * s + ldv(shift + b * (ulong)pitch + c, ch - c);
        }
        stl(a, la + c);
        stl(off, lb + c);
    }
    group_sync();

    const int count = min(chunk, points - first * chunk);
    const ulong base = (b * (ulong)points + (ulong)first * (ulong)chunk) * (ulong)ch;
    TILE_FOR(r, c, count, ch)
    {
        const ulong at = base + (ulong)r * (ulong)ch + c;
        const vf n = (ldv(x + at, ch - c) - ldl(lm + c)) * ldl(la + c) + ldl(lb + c);
        stv(act_fwd(ACT, n), y + at, ch - c);
    }
}

/* Per channel of sample b: lm mean, lr rstd, la = gamma (1 + scale), lb = beta (1 + scale) + shift, so that
 * n = (x - lm) lr la + lb. */
static inline void load_channels(__global const float *mean, __global const float *rstd, __global const float *gamma,
                                 __global const float *beta, __global const float *scale, __global const float *shift,
                                 ulong b, int ch, int groups, int pitch, int has_scale, int pad, __local float *lm,
                                 __local float *lr, __local float *la, __local float *lb)
{
    const int size = ch / groups;
    for (int g = (int)get_local_id(0); g < groups; g += WG)
        for (int c = g * size; c < (g + 1) * size; c++) {
            lm[c] = mean[b * (ulong)groups + g];
            lr[c] = rstd[b * (ulong)groups + g];
        }
    for (int c = ch + (int)get_local_id(0); c < pad; c += WG) lm[c] = lr[c] = 0.0f;
    ROW_FOR(c, ch)
    {
        vf a = ldv(gamma + c, ch - c), off = ldv(beta + c, ch - c);
        if (has_scale) {
            const vf s = 1.0f + ldv(scale + b * (ulong)pitch + c, ch - c);
            a *= s;
            off = off * s + ldv(shift + b * (ulong)pitch + c, ch - c);
        }
        stl(a, la + c);
        stl(off, lb + c);
    }
    group_sync();
}

/* part[b,chunk,0,c] = sum of dn, part[b,chunk,1,c] = sum of dn (x - mean) rstd over the chunk, dn = dy act'(n). Group:
 * (b, chunk, column tile). */
__kernel void group_norm_backward_sums(ARG(part), ARG_CONST(dy), ARG_CONST(x), ARG_CONST(mean), ARG_CONST(rstd),
                                       ARG_CONST(gamma), ARG_CONST(beta), ARG_CONST(scale), ARG_CONST(shift),
                                       const int points, const int ch, const int groups, const int pitch,
                                       const int has_scale, const int chunk, const int chunks, const int tiles,
                                       const int lanes, const int pad, __local float *local_mem)
{
    PTR(part);
    PTR_CONST(dy);
    PTR_CONST(x);
    PTR_CONST(mean);
    PTR_CONST(rstd);
    PTR_CONST(gamma);
    PTR_CONST(beta);
    PTR_CONST(scale);
    PTR_CONST(shift);
    ROW_SCRATCH(scratch);
    const ulong id = get_group_id(0) / (ulong)tiles, b = id / (ulong)chunks;
    COL_SETUP(col, row, step, get_group_id(0) % (ulong)tiles, lanes);
    __local float *lm = local_mem, *lr = lm + pad, *la = lr + pad, *lb = la + pad;
    load_channels(mean, rstd, gamma, beta, scale, shift, b, ch, groups, pitch, has_scale, pad, lm, lr, la, lb);

    const int left = (int)max((long)ch - (long)col, (long)0);
    const int p0 = (int)(id % (ulong)chunks) * chunk, count = min(chunk, points - p0);
    const ulong base = (b * (ulong)points + (ulong)p0) * (ulong)ch + col;
    vf plain[COLV], normed[COLV];
    for (int v = 0; v < COLV; v++) plain[v] = normed[v] = (vf)(0.0f);
    for (int r = row; r < count; r += step)
#pragma unroll
        for (int v = 0; v < COLV; v++)
            if (v * VW < left) {
                const ulong at = base + (ulong)r * (ulong)ch + v * VW;
                const int c = (int)col + v * VW, l = left - v * VW;
                const vf h = (ldv(x + at, l) - ldl(lm + c)) * ldl(lr + c);
                const vf dn = ldv(dy + at, l) * act_bwd(ACT, h * ldl(la + c) + ldl(lb + c));
                plain[v] += dn;
                normed[v] += dn * h;
            }
    for (int v = 0; v < COLV; v++) {
        const vf s = col_sum(plain[v], lanes, scratch), t = col_sum(normed[v], lanes, scratch);
        if (row == 0 && v * VW < left) {
            __global float *to = part + id * 2 * (ulong)ch + col + v * VW;
            stv(s, to, left - v * VW);
            stv(t, to + ch, left - v * VW);
        }
    }
}

/* s1[c], s2[c]: the two sums over all chunks of one sample. */
static inline void fold_sums(__global const float *part, int ch, int chunks, __local float *s1, __local float *s2)
{
    ROW_FOR(c, ch)
    {
        vf a = (vf)(0.0f), b = (vf)(0.0f);
        for (int s = 0; s < chunks; s++) {
            __global const float *p = part + (ulong)s * 2 * (ulong)ch + c;
            a += ldv(p, ch - c);
            b += ldv(p + ch, ch - c);
        }
        stl(a, s1 + c);
        stl(b, s2 + c);
    }
    group_sync();
}

/* What the parameters need of one sample, from its sums: by_beta, by_gamma [B,C] (to be summed over samples),
 * dscale = gamma s2 + beta s1, dshift = s1. */
__kernel void group_norm_backward_params(ARG(by_gamma), ARG(by_beta), ARG(dscale), ARG(dshift), const int has_dscale,
                                         const int has_dshift, const int acc_scale, ARG_CONST(gamma), ARG_CONST(beta),
                                         ARG_CONST(scale), ARG_CONST(part), const int ch, const int pitch,
                                         const int has_scale, const int chunks, const int pad, __local float *local_mem)
{
    PTR(by_gamma);
    PTR(by_beta);
    PTR(dscale);
    PTR(dshift);
    PTR_CONST(gamma);
    PTR_CONST(beta);
    PTR_CONST(scale);
    PTR_CONST(part);
    const ulong b = get_group_id(0);
    __local float *s1 = local_mem, *s2 = s1 + pad;
    fold_sums(part + b * (ulong)chunks * 2 * (ulong)ch, ch, chunks, s1, s2);
    ROW_FOR(c, ch)
    {
        const int left = ch - c;
        const ulong at = b * (ulong)ch + c, at_scale = b * (ulong)pitch + c;
        const vf p = ldl(s1 + c), q = ldl(s2 + c);
        vf s = (vf)(1.0f);
        if (has_scale) s += ldv(scale + at_scale, left);
        if (has_dscale) stv_acc(q * ldv(gamma + c, left) + p * ldv(beta + c, left), dscale + at_scale, left, acc_scale);
        if (has_dshift) stv_acc(p, dshift + at_scale, left, acc_scale);
        stv(q * s, by_gamma + at, left);
        stv(p * s, by_beta + at, left);
    }
}

/* dx (+)= rstd (dh - mean(dh) - h mean(dh h)), h = (x - mean) rstd, dh = dn gamma (1 + scale), means over the group:
 * they follow from the sums of each channel. Group: (b, chunk). */
__kernel void group_norm_backward_input(ARG(dx), const int acc, ARG_CONST(dy), ARG_CONST(x), ARG_CONST(mean),
                                        ARG_CONST(rstd), ARG_CONST(gamma), ARG_CONST(beta), ARG_CONST(scale),
                                        ARG_CONST(shift), ARG_CONST(part), const int points, const int ch,
                                        const int groups, const int pitch, const int has_scale, const int chunk,
                                        const int chunks, const int pad, __local float *local_mem)
{
    PTR(dx);
    PTR_CONST(dy);
    PTR_CONST(x);
    PTR_CONST(mean);
    PTR_CONST(rstd);
    PTR_CONST(gamma);
    PTR_CONST(beta);
    PTR_CONST(scale);
    PTR_CONST(shift);
    PTR_CONST(part);
    const ulong b = get_group_id(0) / (ulong)chunks;
    const int first = (int)(get_group_id(0) % (ulong)chunks);
    __local float *lm = local_mem, *lr = lm + pad, *la = lr + pad, *lb = la + pad, *s1 = lb + pad, *s2 = s1 + pad;
    load_channels(mean, rstd, gamma, beta, scale, shift, b, ch, groups, pitch, has_scale, pad, lm, lr, la, lb);
    fold_sums(part + b * (ulong)chunks * 2 * (ulong)ch, ch, chunks, s1, s2);
    const int size = ch / groups;
    for (int g = (int)get_local_id(0); g < groups; g += WG) {
        float m1 = 0.0f, m2 = 0.0f;
        for (int c = g * size; c < (g + 1) * size; c++) {
            m1 += la[c] * s1[c];
            m2 += la[c] * s2[c];
        }
        m1 /= (float)points * (float)size;
        m2 /= (float)points * (float)size;
        for (int c = g * size; c < (g + 1) * size; c++) {
            s1[c] = m1;
            s2[c] = m2;
        }
    }
    group_sync();

    const int count = min(chunk, points - first * chunk);
    const ulong base = (b * (ulong)points + (ulong)first * (ulong)chunk) * (ulong)ch;
    TILE_FOR(r, c, count, ch)
    {
        const ulong at = base + (ulong)r * (ulong)ch + c;
        const vf a = ldl(la + c), rs = ldl(lr + c);
        const vf h = (ldv(x + at, ch - c) - ldl(lm + c)) * rs;
        const vf dh = ldv(dy + at, ch - c) * act_bwd(ACT, h * a + ldl(lb + c)) * a;
        stv_acc(rs * (dh - ldl(s1 + c) - h * ldl(s2 + c)), dx + at, ch - c, acc);
    }
}
