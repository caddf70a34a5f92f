/* out[o,i] (+)= scale * sum_m x[o,m,i] in one or two stages: stage one folds `chunk` values of m at a time into
 * partial[o,part,i], stage two is the same kernel over the partials. */
#include "common.h"

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

    /* Short runs into `run`, runs into `total`: the rounding error grows with the square root of the number of rows. */
    vf total[COLV];
    for (int v = 0; v < COLV; v++) total[v] = (vf)(0.0f);
    for (int r0 = row; r0 < count; r0 += 32 * step) {
        vf run[COLV];
        for (int v = 0; v < COLV; v++) run[v] = (vf)(0.0f);
        for (int r = r0; r < min(r0 + 32 * step, count); r += step)
#pragma unroll
            for (int v = 0; v < COLV; v++)
                if (v * VW < left) run[v] += ldv(p + (ulong)r * inner + v * VW, left - v * VW);
        for (int v = 0; v < COLV; v++) total[v] += run[v];
    }
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
