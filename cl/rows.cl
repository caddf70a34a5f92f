/* Rows picked by number. */
#include "common.h"

/* y[r,:] (+)= x[index[r] - first,:], 0 where x has no such row. A group takes `block` rows. */
__kernel void take_rows(ARG(y), const int acc, const ulong rows, ARG_CONST(x), const ulong x_rows, ARG_U32_CONST(index),
                        const int has_index, const ulong first, const int cols, const int block)
{
    PTR(y);
    PTR_CONST(x);
    PTR_U32_CONST(index);
    const ulong r0 = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    TILE_FOR(r, c, count, cols)
    {
        const ulong row = r0 + (ulong)r, from = (has_index ? (ulong)index[row] : row) - first;
        const vf v = from < x_rows ? ldv(x + from * (ulong)cols + c, cols - c) : (vf)(0.0f);
        stv_acc(v, y + row * (ulong)cols + c, cols - c, acc);
    }
}
