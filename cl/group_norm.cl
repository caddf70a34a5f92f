/*
 * Group norm over [B,P,C] with an optional scale and shift per sample and a fused activation:
 *   n = (x - mean) rstd gamma[c] + beta[c];  with scale and shift n = n (1 + scale[b,c]) + shift[b,c];  y = act(n)
 *
 * Two forms of each direction. By tiles, on the cpu class, where a sample's columns of some whole groups of channels (a
 * slab) fit the second-level cache: a work-item does everything for a slab, and memory sees each tensor once. By chunks
 * otherwise: the first kernel folds `chunk` points of one sample per channel; the second one folds those partial results
 * over chunks and over the channels of a group (every group of work-items does it for its own sample: it is little work
 * and saves a launch), keeps the coefficients of each channel in local memory and walks the points. Local arrays hold
 * `pad` = channels (of a tile) rounded up to whole vectors.
 */
#include "common.h"

/* Activation applied to the result: number of enum bf_act. */
#ifndef ACT
#define ACT ACT_NONE
#endif

/* Chan's combination of mean and sum of squared distances (dist) of `seen` numbers with those of `n` more. */
static inline void merge_stats(vf *mean, vf *dist, const int seen, const vf more_mean, const vf more_dist, const int n)
{
    const float share = (float)n / (float)(seen + n);
    const vf delta = more_mean - *mean;
    *mean += delta * share;
    *dist += more_dist + delta * delta * ((float)seen * share);
}

#define STAT_ROWS 8

/* Elements that COLV vectors hold. Functions that take the number of columns that are `left` are called in two ways: with
 * this constant where so many are, so that the compiler makes loops without tests, and with what is left. */
#define WHOLE (COLV * VW)

INLINE int column_stats_of(const int left, __global const float *p, const int ch, const int row, const int count,
                           const int step, __global const float *later, vf *base, vf *mean, vf *dist)
{
    int seen = 0, r = row;
    for (int v = 0; v < COLV; v++) {
        base[v] = v * VW < left ? ldv(p + v * VW, left - v * VW) : (vf)(0.0f);
        mean[v] = dist[v] = (vf)(0.0f);
    }
    for (; r + (STAT_ROWS - 1) * step < count; r += STAT_ROWS * step, seen += STAT_ROWS)
#pragma unroll
        for (int v = 0; v < COLV; v++)
            if (v * VW < left) {
                vf x[STAT_ROWS], sum = (vf)(0.0f), around = (vf)(0.0f);
#pragma unroll
                for (int k = 0; k < STAT_ROWS; k++) {
                    const ulong at = (ulong)(r + k * step) * (ulong)ch + v * VW;
                    x[k] = ldv(p + at, left - v * VW) - base[v];
                    PREFETCH_L2(later + at);
                    sum += x[k];
                }
                sum *= 1.0f / STAT_ROWS;
#pragma unroll
                for (int k = 0; k < STAT_ROWS; k++) around += (x[k] - sum) * (x[k] - sum);
                merge_stats(&mean[v], &dist[v], seen, sum, around, STAT_ROWS);
            }
    for (; r < count; r += step, seen++)
        for (int v = 0; v < COLV; v++)
            if (v * VW < left)
                merge_stats(&mean[v], &dist[v], seen,
                            ldv(p + (ulong)r * (ulong)ch + v * VW, left - v * VW) - base[v], (vf)(0.0f), 1);
    return seen;
}

/* Mean and dist of COLV column vectors over the rows row, row + step, ... below count, counted from the first row of all
 * (`base`), so that a large common mean costs no digits. Eight rows at a time in registers, by their own mean: nothing
 * cancels. The lines at the same places of `later` (p: nothing more) come into the second-level cache meanwhile. Returns
 * the number of rows. */
static inline int column_stats(__global const float *p, const int ch, const int left, const int row, const int count,
                               const int step, __global const float *later, vf *base, vf *mean, vf *dist)
{
    return left >= WHOLE ? column_stats_of(WHOLE, p, ch, row, count, step, later, base, mean, dist)
                         : column_stats_of(left, p, ch, row, count, step, later, base, mean, dist);
}

/* part[b,chunk,0,c] = mean over the chunk, part[b,chunk,1,c] = sum of squared distances from that mean. Group: (b, chunk,
 * column tile). */
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

    vf base[COLV], mean[COLV], dist[COLV];
    const float seen = (float)column_stats(p, ch, left, row, count, step, p, base, mean, dist);
    for (int v = 0; v < COLV; v++) {
        const vf all = col_sum(seen * mean[v], lanes, scratch) / (float)count, d = mean[v] - all;
        const vf sum = col_sum(dist[v] + seen * d * d, lanes, scratch);
        if (row == 0 && v * VW < left) {
            __global float *to = part + id * 2 * (ulong)ch + col + v * VW;
            stv(base[v] + all, to, left - v * VW);
            stv(sum, to + ch, left - v * VW);
        }
    }
}

/* From mean (lm) and dist (ld) of each of `ch` channels over `points` to those of its group of `size` channels: lm[c] =
 * mean, ld[c] = 1 / sqrt(variance + eps). */
static inline void fold_channels(const int points, const int ch, const int size, const float eps, __local float *lm,
                                 __local float *ld)
{
    group_sync();
    for (int c0 = (int)get_local_id(0) * size; c0 < ch; c0 += WG * size) {
        float mean = 0.0f, dist = 0.0f;
        for (int c = c0; c < c0 + size; c++) mean += lm[c];
        mean /= (float)size;
        for (int c = c0; c < c0 + size; c++) {
            const float d = lm[c] - mean;
            dist += ld[c] + (float)points * d * d;
        }
        const float rstd = 1.0f / sqrt(dist / ((float)points * (float)size) + eps);
        for (int c = c0; c < c0 + size; c++) {
            lm[c] = mean;
            ld[c] = rstd;
        }
    }
    group_sync();
}

/* The partial results of one sample, folded over chunks, then over the channels of a group: fold_channels. */
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
    fold_channels(points, ch, ch / groups, eps, lm, ld);
}

/* What the normalised value of each of `ch` channels is multiplied with (la) and what is added (lb): gamma and beta, then
 * scale and shift if there are any. */
static inline void load_affine(__global const float *gamma, __global const float *beta, __global const float *scale,
                               __global const float *shift, int has_scale, int ch, __local float *la, __local float *lb)
{
    ROW_FOR(c, ch)
    {
        vf a = ldv(gamma + c, ch - c), off = ldv(beta + c, ch - c);
        if (has_scale) {
            const vf s = 1.0f + ldv(scale + c, ch - c);
            a *= s;
            off = off * s + ldv(shift + c, ch - c);
        }
        stl(a, la + c);
        stl(off, lb + c);
    }
}

/* y = act((x - mean) rstd a + b) with a = gamma (1 + scale), b = beta (1 + scale) + shift. Group: (b, chunk). The first
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
    __local float *lm = local_mem, *lr = lm + pad, *la = lr + pad, *lb = la + pad;
    fold_stats(part + b * (ulong)chunks * 2 * (ulong)ch, points, ch, chunk, chunks, groups, eps, lm, lr);
    if (first == 0) {
        const int size = ch / groups;
        for (int g = (int)get_local_id(0); g < groups; g += WG) {
            mean[b * (ulong)groups + g] = lm[g * size];
            rstd[b * (ulong)groups + g] = lr[g * size];
        }
    }
    load_affine(gamma, beta, scale + b * (ulong)pitch, shift + b * (ulong)pitch, has_scale, ch, la, lb);
    group_sync();

    const int count = min(chunk, points - first * chunk);
    const ulong base = (b * (ulong)points + (ulong)first * (ulong)chunk) * (ulong)ch;
    TILE_FOR(r, c, count, ch)
    {
        const ulong at = base + (ulong)r * (ulong)ch + c;
        const vf n = (ldv(x + at, ch - c) - ldl(lm + c)) * ldl(lr + c) * ldl(la + c) + ldl(lb + c);
        stv(act_fwd(ACT, n), y + at, ch - c);
    }
}

/* Per channel: lm mean, lr rstd (from those of the groups of `size` channels), la and lb as load_affine, so that
 * n = (x - lm) lr la + lb. */
static inline void load_channels(__global const float *mean, __global const float *rstd, __global const float *gamma,
                                 __global const float *beta, __global const float *scale, __global const float *shift,
                                 int has_scale, int ch, int size, int pad, __local float *lm, __local float *lr,
                                 __local float *la, __local float *lb)
{
    for (int g = (int)get_local_id(0); g < ch / size; g += WG)
        for (int c = g * size; c < (g + 1) * size; c++) {
            lm[c] = mean[g];
            lr[c] = rstd[g];
        }
    for (int c = ch + (int)get_local_id(0); c < pad; c += WG) lm[c] = lr[c] = 0.0f;
    load_affine(gamma, beta, scale, shift, has_scale, ch, la, lb);
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
    load_channels(mean + b * (ulong)groups, rstd + b * (ulong)groups, gamma, beta, scale + b * (ulong)pitch,
                  shift + b * (ulong)pitch, has_scale, ch, ch / groups, pad, lm, lr, la, lb);

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

/* The gradients that belong to one sample, from the sums of its channels: by_gamma and by_beta (to be summed over
 * samples), dscale (+)= gamma s2 + beta s1, dshift (+)= s1. */
static inline void sample_grads(__global float *by_gamma, __global float *by_beta, __global float *dscale,
                                __global float *dshift, int has_dscale, int has_dshift, int acc_scale,
                                __global const float *gamma, __global const float *beta, __global const float *scale,
                                int has_scale, int ch, __local const float *s1, __local const float *s2)
{
    ROW_FOR(c, ch)
    {
        const int left = ch - c;
        const vf p = ldl(s1 + c), q = ldl(s2 + c);
        vf s = (vf)(1.0f);
        if (has_scale) s += ldv(scale + c, left);
        if (has_dscale) stv_acc(q * ldv(gamma + c, left) + p * ldv(beta + c, left), dscale + c, left, acc_scale);
        if (has_dshift) stv_acc(p, dshift + c, left, acc_scale);
        stv(q * s, by_gamma + c, left);
        stv(p * s, by_beta + c, left);
    }
}

/* Group: b. by_gamma, by_beta [B,C]. */
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
    const ulong at = b * (ulong)ch, at_scale = b * (ulong)pitch;
    sample_grads(by_gamma + at, by_beta + at, dscale + at_scale, dshift + at_scale, has_dscale, has_dshift, acc_scale,
                 gamma, beta, scale + at_scale, has_scale, ch, s1, s2);
}

/* From the sums of each channel to the means over its group of dh = dn la (into s1) and of dh h (into s2). */
static inline void fold_means(const int points, const int ch, const int size, __local const float *la,
                              __local float *s1, __local float *s2)
{
    for (int c0 = (int)get_local_id(0) * size; c0 < ch; c0 += WG * size) {
        float m1 = 0.0f, m2 = 0.0f;
        for (int c = c0; c < c0 + size; c++) {
            m1 += la[c] * s1[c];
            m2 += la[c] * s2[c];
        }
        m1 /= (float)points * (float)size;
        m2 /= (float)points * (float)size;
        for (int c = c0; c < c0 + size; c++) {
            s1[c] = m1;
            s2[c] = m2;
        }
    }
    group_sync();
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
    load_channels(mean + b * (ulong)groups, rstd + b * (ulong)groups, gamma, beta, scale + b * (ulong)pitch,
                  shift + b * (ulong)pitch, has_scale, ch, ch / groups, pad, lm, lr, la, lb);
    fold_sums(part + b * (ulong)chunks * 2 * (ulong)ch, ch, chunks, s1, s2);
    fold_means(points, ch, ch / groups, la, s1, s2);

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

#if !WIDE
/* ---- by tiles: cpu class only ------------------------------------------------------------------------------------- */

/* Neither arithmetic nor memory may wait for the other: each loop over a slab asks for lines that a later one needs, those
 * that will be written among them, and the last one for x of the next tile, which usually is the same core's. */

/* The tile of this work-item: `tile` columns (the last may be narrower), whole groups of `size` channels. next_slab: of
 * the tile that comes after it. */
#define TILE_SETUP                                                                                                     \
    const int size = ch / groups;                                                                                      \
    const ulong id = get_group_id(0), b = id / (ulong)tiles, next = id + 1 < get_num_groups(0) ? id + 1 : id;          \
    const int c0 = (int)(id % (ulong)tiles) * tile, cols = min(tile, ch - c0);                                         \
    const ulong slab = b * (ulong)points * (ulong)ch + (ulong)c0, at_group = b * (ulong)groups + (ulong)(c0 / size);   \
    const ulong next_slab = next / (ulong)tiles * (ulong)points * (ulong)ch + next % (ulong)tiles * (ulong)tile;       \
    const ulong at_scale = b * (ulong)pitch + (ulong)c0

/* Of COLV vectors of channels: n = (x - mean) scale + shift. */
INLINE void tile_apply(const int left, __global float *y, __global const float *x, __global const float *next_x,
                       const int points, const int ch, __local const float *lm, __local const float *lr,
                       __local const float *la, __local const float *lb)
{
    vf mean[COLV], scale[COLV], shift[COLV];
#pragma unroll
    for (int v = 0; v < COLV; v++) {
        mean[v] = ldl(lm + v * VW);
        scale[v] = ldl(lr + v * VW) * ldl(la + v * VW);
        shift[v] = ldl(lb + v * VW);
    }
    for (int r = 0; r < points; r++, x += ch, y += ch, next_x += ch)
#pragma unroll
        for (int v = 0; v < COLV; v++) {
            if (v * VW >= left) break;
            const vf n = (ldv(x + v * VW, left - v * VW) - mean[v]) * scale[v] + shift[v];
            stv(act_fwd(ACT, n), y + v * VW, left - v * VW);
            PREFETCH_L2(next_x + v * VW);
        }
}

__kernel void group_norm_forward_tile(ARG(y), ARG(mean), ARG(rstd), ARG_CONST(x), ARG_CONST(gamma), ARG_CONST(beta),
                                      ARG_CONST(scale), ARG_CONST(shift), const int points, const int ch,
                                      const int groups, const int pitch, const int has_scale, const float eps,
                                      const int tile, const int tiles, const int pad, __local float *local_mem)
{
    PTR(y);
    PTR(mean);
    PTR(rstd);
    PTR_CONST(x);
    PTR_CONST(gamma);
    PTR_CONST(beta);
    PTR_CONST(scale);
    PTR_CONST(shift);
    TILE_SETUP;
    __local float *lm = local_mem, *lr = lm + pad, *la = lr + pad, *lb = la + pad;
    for (int c = 0; c < cols; c += WHOLE) {
        vf base[COLV], m[COLV], d[COLV];
        column_stats(x + slab + c, ch, cols - c, 0, points, 1, y + slab + c, base, m, d);
        for (int v = 0; v < COLV && c + v * VW < cols; v++) {
            stl(base[v] + m[v], lm + c + v * VW);
            stl(d[v], lr + c + v * VW);
        }
    }
    fold_channels(points, cols, size, eps, lm, lr);
    for (int g = 0; g < cols / size; g++) {
        mean[at_group + g] = lm[g * size];
        rstd[at_group + g] = lr[g * size];
    }
    load_affine(gamma + c0, beta + c0, scale + at_scale, shift + at_scale, has_scale, cols, la, lb);

    for (int c = 0; c < cols; c += WHOLE) {
        __global float *to = y + slab + c;
        __global const float *from = x + slab + c, *soon = x + next_slab + c;
        if (cols - c >= WHOLE)
            tile_apply(WHOLE, to, from, soon, points, ch, lm + c, lr + c, la + c, lb + c);
        else
            tile_apply(cols - c, to, from, soon, points, ch, lm + c, lr + c, la + c, lb + c);
    }
}

#define RUN 64        /* rows summed at a time, so that rounding errors stay small */
#define ROWS_AHEAD 24 /* rows that take as long as memory does */

/* The sums of COLV vectors of channels over all points; dn = dy act'(n) is kept for dx. `later`: where dx will be
 * written. */
INLINE void tile_sums(const int left, __global const float *dy, __global const float *x, __global const float *later,
                      const int points, const int ch, __local const float *lm, __local const float *lr,
                      __local const float *la, __local const float *lb, __local float *s1, __local float *s2,
                      __local float *kept)
{
    vf mean[COLV], rstd[COLV], a[COLV], b[COLV], plain[COLV], normed[COLV];
#pragma unroll
    for (int v = 0; v < COLV; v++) {
        mean[v] = ldl(lm + v * VW);
        rstd[v] = ldl(lr + v * VW);
        a[v] = rstd[v] * ldl(la + v * VW);
        b[v] = ldl(lb + v * VW);
        plain[v] = normed[v] = (vf)(0.0f);
    }
    for (int r0 = 0; r0 < points; r0 += RUN) {
        vf p[COLV], q[COLV];
#pragma unroll
        for (int v = 0; v < COLV; v++) p[v] = q[v] = (vf)(0.0f);
        for (int r = r0; r < min(r0 + RUN, points); r++, x += ch, dy += ch, later += ch, kept += WHOLE)
#pragma unroll
            for (int v = 0; v < COLV; v++) {
                if (v * VW >= left) break;
                const vf d = ldv(x + v * VW, left - v * VW) - mean[v];
                const vf dn = ldv(dy + v * VW, left - v * VW) * act_bwd(ACT, d * a[v] + b[v]);
                stl(dn, kept + v * VW);
                p[v] += dn;
                q[v] += dn * d;
                PREFETCH(x + ROWS_AHEAD * ch + v * VW);
                PREFETCH(dy + ROWS_AHEAD * ch + v * VW);
                PREFETCH_L2(later + v * VW);
            }
#pragma unroll
        for (int v = 0; v < COLV; v++) {
            plain[v] += p[v];
            normed[v] += q[v];
        }
    }
    for (int v = 0; v < COLV && v * VW < left; v++) {
        stl(plain[v], s1 + v * VW);
        stl(normed[v] * rstd[v], s2 + v * VW);
    }
}

/* dx of COLV vectors of channels; s1, s2: as fold_means leaves them. */
INLINE void tile_input(const int left, __global float *dx, const int acc, __global const float *x,
                       __global const float *next_x, const int points, const int ch, __local const float *lm,
                       __local const float *lr, __local const float *la, __local const float *s1,
                       __local const float *s2, __local const float *kept)
{
    vf mean[COLV], a[COLV], by_1[COLV], by_x[COLV];
#pragma unroll
    for (int v = 0; v < COLV; v++) {
        const vf rstd = ldl(lr + v * VW);
        mean[v] = ldl(lm + v * VW);
        a[v] = rstd * ldl(la + v * VW);
        by_1[v] = rstd * ldl(s1 + v * VW);
        by_x[v] = rstd * rstd * ldl(s2 + v * VW);
    }
    for (int r = 0; r < points; r++, x += ch, dx += ch, next_x += ch, kept += WHOLE)
#pragma unroll
        for (int v = 0; v < COLV; v++) {
            if (v * VW >= left) break;
            const vf d = ldv(x + v * VW, left - v * VW) - mean[v];
            stv_acc(ldl(kept + v * VW) * a[v] - by_1[v] - d * by_x[v], dx + v * VW, left - v * VW, acc);
            PREFETCH_L2(next_x + v * VW);
        }
}

/* Everything of one tile: the gradients of its sample (as sample_grads, all of them optional) and dx. */
__kernel void group_norm_backward_tile(ARG(dx), const int has_dx, const int acc, ARG(by_gamma), ARG(by_beta),
                                       ARG(dscale), ARG(dshift), const int has_grads, const int has_dscale,
                                       const int has_dshift, const int acc_scale, ARG_CONST(dy), ARG_CONST(x),
                                       ARG_CONST(mean), ARG_CONST(rstd), ARG_CONST(gamma), ARG_CONST(beta),
                                       ARG_CONST(scale), ARG_CONST(shift), const int points, const int ch,
                                       const int groups, const int pitch, const int has_scale, const int tile,
                                       const int tiles, const int pad, __local float *local_mem)
{
    PTR(dx);
    PTR(by_gamma);
    PTR(by_beta);
    PTR(dscale);
    PTR(dshift);
    PTR_CONST(dy);
    PTR_CONST(x);
    PTR_CONST(mean);
    PTR_CONST(rstd);
    PTR_CONST(gamma);
    PTR_CONST(beta);
    PTR_CONST(scale);
    PTR_CONST(shift);
    TILE_SETUP;
    __local float *lm = local_mem, *lr = lm + pad, *la = lr + pad, *lb = la + pad, *s1 = lb + pad, *s2 = s1 + pad;
    __local float *kept = s2 + pad; /* vectors [pad / WHOLE, points, COLV] */
    load_channels(mean + at_group, rstd + at_group, gamma + c0, beta + c0, scale + at_scale, shift + at_scale, has_scale,
                  cols, size, pad, lm, lr, la, lb);
    for (int c = 0; c < cols; c += WHOLE) {
        __global const float *g = dy + slab + c, *from = x + slab + c, *later = has_dx ? dx + slab + c : from;
        __local float *keep = kept + (size_t)c * (size_t)points;
        if (cols - c >= WHOLE)
            tile_sums(WHOLE, g, from, later, points, ch, lm + c, lr + c, la + c, lb + c, s1 + c, s2 + c, keep);
        else
            tile_sums(cols - c, g, from, later, points, ch, lm + c, lr + c, la + c, lb + c, s1 + c, s2 + c, keep);
    }
    if (has_grads) {
        const ulong at = b * (ulong)ch + (ulong)c0;
        sample_grads(by_gamma + at, by_beta + at, dscale + at_scale, dshift + at_scale, has_dscale, has_dshift,
                     acc_scale, gamma + c0, beta + c0, scale + at_scale, has_scale, cols, s1, s2);
    }
    if (!has_dx) return;
    fold_means(points, cols, size, la, s1, s2);
    for (int c = 0; c < cols; c += WHOLE) {
        __global float *to = dx + slab + c;
        __global const float *from = x + slab + c, *soon = x + next_slab + c;
        __local const float *keep = kept + (size_t)c * (size_t)points;
        if (cols - c >= WHOLE)
            tile_input(WHOLE, to, acc, from, soon, points, ch, lm + c, lr + c, la + c, s1 + c, s2 + c, keep);
        else
            tile_input(cols - c, to, acc, from, soon, points, ch, lm + c, lr + c, la + c, s1 + c, s2 + c, keep);
    }
}
#endif
