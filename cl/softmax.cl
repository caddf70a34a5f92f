/* Softmax over the last axis. A group takes `block` rows one after the other. */
#include "common.h"

/* y = exp(x - max) / sum */
__kernel void softmax_forward(ARG(y), ARG_CONST(x), const ulong rows, const int cols, const int block)
{
    PTR(y);
    PTR_CONST(x);
    ROW_SCRATCH(scratch);
    const ulong r0 = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    for (int r = 0; r < count; r++) {
        __global const float *from = x + (r0 + (ulong)r) * (ulong)cols;
        __global float *to = y + (r0 + (ulong)r) * (ulong)cols;
        vf top = (vf)(-INFINITY);
        ROW_FOR(i, cols)
        {
            top = fmax(top, ldv_or(from + i, cols - i, -INFINITY));
            PREFETCH_L2(to + i);
            PREFETCH_L2(from + cols + i); /* the next row: passes over this one leave memory idle */
        }
        const float most = row_max(vmax(top), scratch);
        vf sum = (vf)(0.0f);
        ROW_FOR(i, cols)
        {
            const vf e = vexp(ldv_or(from + i, cols - i, -INFINITY) - most);
            sum += e;
            stv(e, to + i, cols - i);
        }
        const float norm = 1.0f / row_sum(vsum(sum), scratch);
        ROW_FOR(i, cols) stv(norm * ldv(to + i, cols - i), to + i, cols - i);
    }
}

/* dx (+)= y (dy - sum dy y) */
__kernel void softmax_backward(ARG(dx), const int acc, ARG_CONST(dy), ARG_CONST(y), const ulong rows, const int cols,
                               const int block)
{
    PTR(dx);
    PTR_CONST(dy);
    PTR_CONST(y);
    ROW_SCRATCH(scratch);
    const ulong r0 = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, rows - r0);
    for (int r = 0; r < count; r++) {
        const ulong at = (r0 + (ulong)r) * (ulong)cols;
        vf sum = (vf)(0.0f);
        ROW_FOR(i, cols) sum += ldv(dy + at + i, cols - i) * ldv(y + at + i, cols - i);
        const float dot_y = row_sum(vsum(sum), scratch);
        ROW_FOR(i, cols)
        {
            const vf g = ldv(y + at + i, cols - i) * (ldv(dy + at + i, cols - i) - dot_y);
            stv_acc(g, dx + at + i, cols - i, acc);
        }
    }
}
