/* Layer norm over the last axis, y = (x - mean) rstd gamma + beta; gamma and beta are optional. A group takes `block`
 * rows one after the other; a row stays in the cache between its passes. */
#include "common.h"

__kernel void layer_norm_forward(ARG(y), ARG(mean), ARG(rstd), ARG_CONST(x), ARG_CONST(gamma), ARG_CONST(beta),
                                 const int has_stats, const int has_gamma, const int has_beta, const ulong rows,
                                 const int cols, const float eps, const int block)
{
    PTR(y);
    PTR(mean);
    PTR(rstd);
    PTR_CONST(x);
    PTR_CONST(gamma);
    PTR_CONST(beta);
    ROW_SCRATCH(scratch);
    const ulong r0 = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    for (int r = 0; r < count; r++) {
        const ulong at = (r0 + (ulong)r) * (ulong)cols;
        vf sum = (vf)(0.0f), dist = (vf)(0.0f);
        ROW_FOR(i, cols)
        {
            sum += ldv(x + at + i, cols - i);
            PREFETCH(x + at + cols + i); /* the next row: passes over this one leave memory idle */
            PREFETCH_L2(y + at + cols + i);
        }
        const float m = row_sum(vsum(sum), scratch) / (float)cols;
        ROW_FOR(i, cols)
        {
            const vf d = ldv_or(x + at + i, cols - i, m) - m;
            dist += d * d;
        }
        const float s = 1.0f / sqrt(row_sum(vsum(dist), scratch) / (float)cols + eps);
        ROW_FOR(i, cols)
        {
            vf v = (ldv(x + at + i, cols - i) - m) * s;
            if (has_gamma) v *= ldv(gamma + i, cols - i);
            if (has_beta) v += ldv(beta + i, cols - i);
            stv(v, y + at + i, cols - i);
        }
        if (has_stats && get_local_id(0) == 0) {
            mean[r0 + (ulong)r] = m;
            rstd[r0 + (ulong)r] = s;
        }
    }
}

/* dx (+)= rstd (g - mean(g) - h mean(g h)), g = dy gamma, h = (x - mean) rstd */
__kernel void layer_norm_backward_input(ARG(dx), const int acc, ARG_CONST(dy), ARG_CONST(x), ARG_CONST(mean),
                                        ARG_CONST(rstd), ARG_CONST(gamma), const int has_gamma, const ulong rows,
                                        const int cols, const int block)
{
    PTR(dx);
    PTR_CONST(dy);
    PTR_CONST(x);
    PTR_CONST(mean);
    PTR_CONST(rstd);
    PTR_CONST(gamma);
    ROW_SCRATCH(scratch);
    const ulong r0 = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    for (int r = 0; r < count; r++) {
        const ulong at = (r0 + (ulong)r) * (ulong)cols;
        const float m = mean[r0 + (ulong)r], s = rstd[r0 + (ulong)r];
        vf sum = (vf)(0.0f), sum_h = (vf)(0.0f);
        ROW_FOR(i, cols)
        {
            vf g = ldv(dy + at + i, cols - i); /* 0 in missing lanes */
            if (has_gamma) g *= ldv(gamma + i, cols - i);
            sum += g;
            sum_h += g * (ldv(x + at + i, cols - i) - m);
        }
        const float mean_g = row_sum(vsum(sum), scratch) / (float)cols;
        const float mean_gh = row_sum(vsum(sum_h), scratch) * s / (float)cols;
        ROW_FOR(i, cols)
        {
            vf g = ldv(dy + at + i, cols - i);
            if (has_gamma) g *= ldv(gamma + i, cols - i);
            const vf h = (ldv(x + at + i, cols - i) - m) * s;
            stv_acc(s * (g - mean_g - h * mean_gh), dx + at + i, cols - i, acc);
        }
    }
}

/* Partial sums of the parameter gradients: by_beta[part,c] = sum dy, by_gamma[part,c] = sum dy h over `chunk` rows.
 * Group: (part, column tile). */
__kernel void layer_norm_backward_params(ARG(by_gamma), ARG(by_beta), ARG_CONST(dy), ARG_CONST(x), ARG_CONST(mean),
                                         ARG_CONST(rstd), const ulong rows, const int cols, const ulong chunk,
                                         const ulong tiles, const int lanes)
{
    PTR(by_gamma);
    PTR(by_beta);
    PTR_CONST(dy);
    PTR_CONST(x);
    PTR_CONST(mean);
    PTR_CONST(rstd);
    ROW_SCRATCH(scratch);
    const ulong part = get_group_id(0) / tiles, r0 = part * chunk;
    COL_SETUP(col, row, step, get_group_id(0) % tiles, lanes);
    const int left = (int)max((long)cols - (long)col, (long)0);
    const int count = (int)min(chunk, rows - r0);
    vf plain[COLV], normed[COLV];
    for (int v = 0; v < COLV; v++) plain[v] = normed[v] = (vf)(0.0f);
    for (int r = row; r < count; r += step) {
        const float m = mean[r0 + (ulong)r], s = rstd[r0 + (ulong)r];
        const ulong at = (r0 + (ulong)r) * (ulong)cols + col;
#pragma unroll
        for (int v = 0; v < COLV; v++)
            if (v * VW < left) {
                const vf g = ldv(dy + at + v * VW, left - v * VW);
                plain[v] += g;
                normed[v] += g * ((ldv(x + at + v * VW, left - v * VW) - m) * s);
            }
    }
    for (int v = 0; v < COLV; v++) {
        const vf p = col_sum(plain[v], lanes, scratch), q = col_sum(normed[v], lanes, scratch);
        if (row == 0 && v * VW < left) {
            stv(p, by_beta + part * (ulong)cols + col + v * VW, left - v * VW);
            stv(q, by_gamma + part * (ulong)cols + col + v * VW, left - v * VW);
        }
    }
}

#if !WIDE
/* Both of these in one walk over `block` rows, cpu class: a row is read from memory once, and the sums of the parameter
 * gradients stay in local memory, two arrays of `pad` = cols rounded up to whole vectors. Group: part. */
__kernel void layer_norm_backward_rows(ARG(dx), const int acc, ARG(by_gamma), ARG(by_beta), ARG_CONST(dy), ARG_CONST(x),
                                       ARG_CONST(mean), ARG_CONST(rstd), ARG_CONST(gamma), const int has_gamma,
                                       const ulong rows, const int cols, const int block, const int pad,
                                       __local float *local_mem)
{
    PTR(dx);
    PTR(by_gamma);
    PTR(by_beta);
    PTR_CONST(dy);
    PTR_CONST(x);
    PTR_CONST(mean);
    PTR_CONST(rstd);
    PTR_CONST(gamma);
    __local float *normed = local_mem, *plain = normed + pad;
    const ulong r0 = get_group_id(0) * (ulong)block, to = get_group_id(0) * (ulong)cols;
    const int count = (int)min((ulong)block, rows - r0);
    for (int i = 0; i < 2 * pad; i += VW) stl((vf)(0.0f), local_mem + i);
    for (int r = 0; r < count; r++) {
        const ulong at = (r0 + (ulong)r) * (ulong)cols;
        const float m = mean[r0 + (ulong)r], s = rstd[r0 + (ulong)r];
        vf sum = (vf)(0.0f), sum_h = (vf)(0.0f);
        for (int i = 0; i < cols; i += VW) {
            vf g = ldv(dy + at + i, cols - i); /* 0 in missing lanes */
            if (has_gamma) g *= ldv(gamma + i, cols - i);
            sum += g;
            sum_h += g * (ldv(x + at + i, cols - i) - m);
        }
        const float mean_g = vsum(sum) / (float)cols, mean_gh = vsum(sum_h) * s / (float)cols;
        for (int i = 0; i < cols; i += VW) {
            const vf d = ldv(dy + at + i, cols - i), h = (ldv(x + at + i, cols - i) - m) * s;
            const vf g = has_gamma ? d * ldv(gamma + i, cols - i) : d;
            stl(ldl(normed + i) + d * h, normed + i);
            stl(ldl(plain + i) + d, plain + i);
            stv_acc(s * (g - mean_g - h * mean_gh), dx + at + i, cols - i, acc);
        }
    }
    for (int i = 0; i < cols; i += VW) {
        stv(ldl(normed + i), by_gamma + to + i, cols - i);
        stv(ldl(plain + i), by_beta + to + i, cols - i);
    }
}
#endif
