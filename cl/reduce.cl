/* out[o,i] (+)= scale * sum_m x[o,m,i] in one or two stages: stage one folds `chunk` values of m at a time into
 * partial[o,part,i], stage two is the same kernel over the partials. */
#include "common.h"

/* total[v] = the sum of rows row, row + step, .. below count of COLV vectors at p, `left` columns of them valid. Short runs
 * first, then their sums: the rounding error grows with the square root of the number of rows. */
static inline void add_rows(vf *total, __global const float *p, const ulong pitch, const int row, const int step,
                            const int count, const int left)
{
    for (int v = 0; v < COLV; v++) total[v] = (vf)(0.0f);
    for (int r0 = row; r0 < count; r0 += 32 * step) {
        vf run[COLV];
        for (int v = 0; v < COLV; v++) run[v] = (vf)(0.0f);
        for (int r = r0; r < min(r0 + 32 * step, count); r += step)
#pragma unroll
            for (int v = 0; v < COLV; v++)
                if (v * VW < left) run[v] += ldv(p + (ulong)r * pitch + v * VW, left - v * VW);
        for (int v = 0; v < COLV; v++) total[v] += run[v];
    }
}

/* inner > 1. Group: (o, part, column tile), the tile fastest. */
__kernel void sum_columns(ARG(out), const int acc, const float scale, ARG_CONST(x), const ulong mid, const ulong inner,
                          const ulong chunk, const ulong parts, const ulong tiles, const int lanes)
{
    PTR(out);
    PTR_CONST(x);
    ROW_SCRATCH(scratch);
    const ulong id = get_group_id(0);
    const ulong part = id / tiles % parts, o = id / tiles / parts;
    COL_SETUP(col, row, step, id % tiles, lanes);
    const int left = col < inner ? (int)min(inner - col, (ulong)(COLV * VW)) : 0;
    const ulong m0 = part * chunk;
    const int count = (int)min(chunk, mid - m0);
    __global const float *p = x + (o * mid + m0) * inner + col;

    vf total[COLV];
    add_rows(total, p, inner, row, step, count, left);
    for (int v = 0; v < COLV; v++) {
        const vf sum = col_sum(total[v], lanes, scratch);
        if (row == 0 && v * VW < left)
            stv_acc(scale * sum, out + (o * parts + part) * inner + col + v * VW, left - v * VW, acc);
    }
}

/* inner = 1. Group: (o, part). */
__kernel void sum_rows(ARG(out), const int acc, const float scale, ARG_CONST(x), const ulong mid, const ulong chunk,
                       const ulong parts)
{
    PTR(out);
    PTR_CONST(x);
    ROW_SCRATCH(scratch);
    const ulong o = get_group_id(0) / parts, m0 = get_group_id(0) % parts * chunk;
    const int count = (int)min(chunk, mid - m0);
    __global const float *p = x + o * mid + m0;
    vf sum = (vf)(0.0f);
    ROW_FOR(i, count) sum += ldv(p + i, count - i);
    const float all = scale * row_sum(vsum(sum), scratch);
    if (get_local_id(0) == 0) out[get_group_id(0)] = acc ? out[get_group_id(0)] + all : all;
}

/* Up to 8 small sums over rows in one launch: out[i] (+)= sum_m x[m,i] for i < cols, m < mid. Group: (column tile, which);
 * `which` has fewer tiles than others where it has fewer columns. */
#define FOLD_ARGS(i) ARG(out##i), ARG_CONST(x##i), const int mid##i, const int cols##i, const int lanes##i, const int acc##i
#define FOLD_CASE(i)                                                                                                   \
    case i:                                                                                                            \
        out = out##i##_buf + out##i##_off;                                                                             \
        x = x##i##_buf + x##i##_off;                                                                                   \
        mid = mid##i;                                                                                                  \
        cols = cols##i;                                                                                                \
        lanes = lanes##i;                                                                                              \
        acc = acc##i;                                                                                                  \
        break
__kernel void fold_columns(FOLD_ARGS(0), FOLD_ARGS(1), FOLD_ARGS(2), FOLD_ARGS(3), FOLD_ARGS(4), FOLD_ARGS(5),
                           FOLD_ARGS(6), FOLD_ARGS(7))
{
    __global float *out;
    __global const float *x;
    int mid, cols, lanes, acc;
    ROW_SCRATCH(scratch);
    switch ((int)get_group_id(1)) {
        FOLD_CASE(0);
        FOLD_CASE(1);
        FOLD_CASE(2);
        FOLD_CASE(3);
        FOLD_CASE(4);
        FOLD_CASE(5);
        FOLD_CASE(6);
        FOLD_CASE(7);
    default: return;
    }
    COL_SETUP(col, row, step, get_group_id(0), lanes);
    if (get_group_id(0) * COL_TILE(lanes) >= (ulong)cols) return; /* the whole group */
    const int left = (int)max((long)cols - (long)col, 0L);
    vf total[COLV];
    add_rows(total, x + col, (ulong)cols, row, step, mid, left);
    for (int v = 0; v < COLV; v++) {
        const vf sum = col_sum(total[v], lanes, scratch);
        if (row == 0 && v * VW < left) stv_acc(sum, out + col + v * VW, left - v * VW, acc);
    }
}
