/*
 * Sums over lists of rows and their opposite. The rows of list s are offset[s] .. offset[s+1] - 1: runs of items (segments),
 * or places in a table of row numbers. A group takes one tile of columns of `block` lists.
 */
#include "common.h"

#define NO_ITEM 0xffffffffu

/* y[e] (+)= x[index[e]], 0 of NO_ITEM; `mean`: divided by the length of list index[e]. A group takes `block` rows. */
__kernel void gather(ARG(y), const int acc, ARG_CONST(x), ARG_U32_CONST(index), ARG_U32_CONST(offset), const int mean,
                     const ulong rows, const int cols, const int block)
{
    PTR(y);
    PTR_CONST(x);
    PTR_U32_CONST(index);
    PTR_U32_CONST(offset);
    const ulong first = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - first);
    __global float *to = y + first * (ulong)cols;
#define TAKE(T, load)                                                                                                  \
    const uint from = index[first + (ulong)r];                                                                         \
    const float scale = mean && from != NO_ITEM ? 1.0f / (float)(offset[from + 1] - offset[from]) : 1.0f;              \
    __global const float *p = x + (ulong)from * (ulong)cols + c;                                                       \
    const T v = from == NO_ITEM ? (T)(0.0f) : scale * (load)
    if (cols < VW) { /* vectors would be mostly empty */
        ELEM_FOR(r, c, count, cols)
        {
            const ulong at = (ulong)r * (ulong)cols + (ulong)c;
            TAKE(float, p[0]);
            to[at] = acc ? to[at] + v : v;
        }
    } else {
        TILE_FOR(r, c, count, cols)
        {
            TAKE(vf, ldv(p, cols - c));
            stv_acc(v, to + (ulong)r * (ulong)cols + (ulong)c, cols - c, acc);
        }
    }
}

/* The columns that an item takes (`left` of them, none if below 1) and the lists of its group. */
#define LIST_SETUP(tile, lanes)                                                                                        \
    COL_SETUP(col, row, step, tile, lanes);                                                                            \
    const int left = (int)max((long)cols - (long)col, 0L)
#define LIST_FOR(s, lists, block, tiles)                                                                               \
    for (ulong s = get_group_id(0) / (tiles) * (ulong)(block), s_end = min(s + (ulong)(block), lists); s < s_end; s++)

/* y[s] (+)= sum over list s of x[m], or of x[entry[m]] where `listed`; `mean`: divided by the length of the list, 0 of an
 * empty one. Short runs first, then their sums, as in reduce.cl. */
__kernel void segment_sum(ARG(y), const int acc, const int mean, ARG_CONST(x), ARG_U32_CONST(offset),
                          ARG_U32_CONST(entry), const int listed, const ulong segments, const int cols,
                          const ulong tiles, const int lanes, const int block)
{
    PTR(y);
    PTR_CONST(x);
    PTR_U32_CONST(offset);
    PTR_U32_CONST(entry);
    ROW_SCRATCH(scratch);
    LIST_SETUP(get_group_id(0) % tiles, lanes);
    LIST_FOR(s, segments, block, tiles)
    {
        const int begin = (int)offset[s], end = (int)offset[s + 1];
        const float scale = mean && end > begin ? 1.0f / (float)(end - begin) : 1.0f;
        vf total[COLV];
        for (int v = 0; v < COLV; v++) total[v] = (vf)(0.0f);
        for (int m0 = begin + row; m0 < end; m0 += 32 * step) {
            vf run[COLV];
            for (int v = 0; v < COLV; v++) run[v] = (vf)(0.0f);
            for (int m = m0; m < min(m0 + 32 * step, end); m += step) {
                __global const float *p = x + (ulong)(listed ? entry[m] : (uint)m) * (ulong)cols + col;
                for (int v = 0; v < COLV; v++)
                    if (v * VW < left) run[v] += ldv(p + v * VW, left - v * VW);
            }
            for (int v = 0; v < COLV; v++) total[v] += run[v];
        }
        for (int v = 0; v < COLV; v++) {
            const vf sum = scale * col_sum(total[v], lanes, scratch);
            if (row == 0 && v * VW < left) stv_acc(sum, y + s * (ulong)cols + col + v * VW, left - v * VW, acc);
        }
    }
}

/* col_sum of common.h for the largest. */
INLINE vf col_max(vf v, const int lanes, __local float *scratch)
{
#if WIDE
    const int lane = (int)get_local_id(0);
    scratch[lane] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_size = WG / 2; half_size >= lanes; half_size >>= 1) {
        if (lane < half_size) scratch[lane] = fmax(scratch[lane], scratch[lane + half_size]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    v = scratch[lane % lanes];
    barrier(CLK_LOCAL_MEM_FENCE);
#else
    (void)lanes;
    (void)scratch;
#endif
    return v;
}

/* Of each column: y = exp(x - max) / sum over the rows of segment s. */
__kernel void segment_softmax_forward(ARG(y), ARG_CONST(x), ARG_U32_CONST(offset), const ulong segments, const int cols,
                                      const ulong tiles, const int lanes, const int block)
{
    PTR(y);
    PTR_CONST(x);
    PTR_U32_CONST(offset);
    ROW_SCRATCH(scratch);
    LIST_SETUP(get_group_id(0) % tiles, lanes);
    LIST_FOR(s, segments, block, tiles)
    {
        const int begin = (int)offset[s] + row, end = (int)offset[s + 1];
        for (int v = 0; v < COLV; v++) {
            const int room = left - v * VW;
            __global const float *from = x + col + v * VW;
            __global float *to = y + col + v * VW;
            vf top = (vf)(-INFINITY), sum = (vf)(0.0f);
            if (room > 0)
                for (int m = begin; m < end; m += step) top = fmax(top, ldv(from + (ulong)m * (ulong)cols, room));
            top = col_max(top, lanes, scratch);
            if (room > 0)
                for (int m = begin; m < end; m += step) {
                    const vf e = vexp(ldv(from + (ulong)m * (ulong)cols, room) - top);
                    sum += e;
                    stv(e, to + (ulong)m * (ulong)cols, room);
                }
            const vf norm = 1.0f / col_sum(sum, lanes, scratch);
            if (room > 0)
                for (int m = begin; m < end; m += step)
                    stv(norm * ldv(to + (ulong)m * (ulong)cols, room), to + (ulong)m * (ulong)cols, room);
        }
    }
}

/* dx (+)= y (dy - sum dy y) */
__kernel void segment_softmax_backward(ARG(dx), const int acc, ARG_CONST(dy), ARG_CONST(y), ARG_U32_CONST(offset),
                                       const ulong segments, const int cols, const ulong tiles, const int lanes,
                                       const int block)
{
    PTR(dx);
    PTR_CONST(dy);
    PTR_CONST(y);
    PTR_U32_CONST(offset);
    ROW_SCRATCH(scratch);
    LIST_SETUP(get_group_id(0) % tiles, lanes);
    LIST_FOR(s, segments, block, tiles)
    {
        const int begin = (int)offset[s] + row, end = (int)offset[s + 1];
        for (int v = 0; v < COLV; v++) {
            const int room = left - v * VW;
            const ulong at = col + (ulong)(v * VW);
            vf sum = (vf)(0.0f);
            if (room > 0)
                for (int m = begin; m < end; m += step)
                    sum += ldv(dy + at + (ulong)m * (ulong)cols, room) * ldv(y + at + (ulong)m * (ulong)cols, room);
            sum = col_sum(sum, lanes, scratch);
            if (room > 0)
                for (int m = begin; m < end; m += step) {
                    const ulong e = at + (ulong)m * (ulong)cols;
                    stv_acc(ldv(y + e, room) * (ldv(dy + e, room) - sum), dx + e, room, acc);
                }
        }
    }
}

/* y[m] (+)= x[m] - mean over its segment of x, each row with its `weight` (0: none, all weigh 1); nothing is taken away where
 * all weigh 0. Backward, from dy to dx: the sum has no weights and its share of every row has. */
__kernel void segment_centre(ARG(y), const int acc, ARG_CONST(x), ARG_CONST(weight), const int weighted,
                             const int backward, ARG_U32_CONST(offset), const ulong segments, const int cols,
                             const ulong tiles, const int lanes, const int block)
{
    PTR(y);
    PTR_CONST(x);
    PTR_CONST(weight);
    PTR_U32_CONST(offset);
    ROW_SCRATCH(scratch);
    LIST_SETUP(get_group_id(0) % tiles, lanes);
    LIST_FOR(s, segments, block, tiles)
    {
        const int begin = (int)offset[s] + row, end = (int)offset[s + 1];
        vf whole = (vf)(0.0f);
        for (int m = begin; m < end; m += step) whole += weighted ? weight[m] : 1.0f;
        whole = col_sum(whole, lanes, scratch);
        const vf part = whole > (vf)(0.0f) ? 1.0f / whole : (vf)(0.0f);
        for (int v = 0; v < COLV; v++) {
            const int room = left - v * VW;
            const ulong at = col + (ulong)(v * VW);
            vf sum = (vf)(0.0f);
            if (room > 0)
                for (int m = begin; m < end; m += step)
                    sum += (weighted && !backward ? weight[m] : 1.0f) * ldv(x + at + (ulong)m * (ulong)cols, room);
            const vf mean = part * col_sum(sum, lanes, scratch);
            if (room > 0)
                for (int m = begin; m < end; m += step) {
                    const ulong e = at + (ulong)m * (ulong)cols;
                    const float w = weighted && backward ? weight[m] : 1.0f;
                    stv_acc(ldv(x + e, room) - w * mean, y + e, room, acc);
                }
        }
    }
}
