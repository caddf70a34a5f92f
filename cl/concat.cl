/* Concatenation along the channels. A group takes `block` rows. */
#include "common.h"

/* y[r] = [a[r], b[r]] */
__kernel void concat_forward(ARG(y), ARG_CONST(a), ARG_CONST(b), const ulong rows, const int ca, const int cb,
                             const int block)
{
    PTR(y);
    PTR_CONST(a);
    PTR_CONST(b);
    const ulong r0 = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    const ulong cy = (ulong)ca + (ulong)cb;
    __global float *to = y + r0 * cy;
    __global const float *from_a = a + r0 * (ulong)ca, *from_b = b + r0 * (ulong)cb;
    TILE_FOR(r, c, count, ca)
    stv(ldv(from_a + (ulong)r * (ulong)ca + c, ca - c), to + (ulong)r * cy + c, ca - c);
    TILE_FOR(r, c, count, cb)
    stv(ldv(from_b + (ulong)r * (ulong)cb + c, cb - c), to + (ulong)r * cy + ca + c, cb - c);
}

/* d[r] (+)= scale y[r, first..first+cols) of rows of cy elements */
__kernel void take_columns(ARG(d), const int acc, const float scale, ARG_CONST(y), const ulong rows, const int cols,
                           const int first, const int cy, const int block)
{
    PTR(d);
    PTR_CONST(y);
    const ulong r0 = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    __global float *to = d + r0 * (ulong)cols;
    __global const float *from = y + r0 * (ulong)cy + first;
    if (cols < VW) { /* vectors would be mostly empty */
        ELEM_FOR(r, c, count, cols)
        {
            const ulong at = (ulong)r * (ulong)cols + c;
            const float v = scale * from[(ulong)r * (ulong)cy + c];
            to[at] = acc ? to[at] + v : v;
        }
    } else {
        TILE_FOR(r, c, count, cols)
        stv_acc(scale * ldv(from + (ulong)r * (ulong)cy + c, cols - c), to + (ulong)r * (ulong)cols + c, cols - c, acc);
    }
}

/* da[r] (+)= y[r, 0..ca), db[r] (+)= y[r, ca..ca+cb), both at least a vector wide */
__kernel void concat_backward(ARG(da), const int acc_a, ARG(db), const int acc_b, ARG_CONST(y), const ulong rows,
                              const int ca, const int cb, const int block)
{
    PTR(da);
    PTR(db);
    PTR_CONST(y);
    const ulong r0 = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    const ulong cy = (ulong)ca + (ulong)cb;
    __global float *to_a = da + r0 * (ulong)ca, *to_b = db + r0 * (ulong)cb;
    __global const float *from = y + r0 * cy;
    TILE_FOR(r, c, count, ca)
    stv_acc(ldv(from + (ulong)r * cy + c, ca - c), to_a + (ulong)r * (ulong)ca + c, ca - c, acc_a);
    TILE_FOR(r, c, count, cb)
    stv_acc(ldv(from + (ulong)r * cy + ca + c, cb - c), to_b + (ulong)r * (ulong)cb + c, cb - c, acc_b);
}
