/* y (+)= keep ? scale x : 0 with scale = 1 / (1 - p); the backward pass is the same on the gradient. */
#include "common.h"
#include "philox.h"

/* keep = uniform(element, sample) >= p, drawn again in the backward pass instead of being stored. Group: (block of
 * BLOCK elements, sample), the block fastest; an item takes the four elements of one Philox counter at a time. */
__kernel void dropout(ARG(y), const int acc, ARG_CONST(x), ARG_U32_CONST(record), const uint stream, const float p,
                      const float scale, const uint per_sample, const uint blocks)
{
    PTR(y);
    PTR_CONST(x);
    PTR_U32_CONST(record);
    const uint row = (uint)(get_group_id(0) / blocks), first = (uint)(get_group_id(0) % blocks) * BLOCK;
    const uint end = min(first + BLOCK, per_sample);
    const ulong base = (ulong)row * per_sample;
    for (uint i = first + 4u * (uint)get_local_id(0); i < end; i += 4u * WG) {
        const int4 drop = uniform4(philox_row(record, stream, row, i / 4u)) < (float4)(p);
        __global const float *from = x + base + i;
        __global float *to = y + base + i;
        if (end - i >= 4u) {
            const float4 v = select(scale * vload4(0, from), (float4)(0.0f), drop);
            vstore4(acc ? v + vload4(0, to) : v, 0, to);
        } else {
            int dropped[4];
            vstore4(drop, 0, dropped);
            for (uint k = 0; k < end - i; k++) {
                const float v = dropped[k] ? 0.0f : scale * from[k];
                to[k] = acc ? to[k] + v : v;
            }
        }
    }
}

/* keep = mask != 0, for replaying recorded masks. */
__kernel void dropout_mask(ARG(y), const int acc, ARG_CONST(x), ARG_CONST(mask), const float scale, const ulong n)
{
    PTR(y);
    PTR_CONST(x);
    PTR_CONST(mask);
    FLAT_BLOCK(base, m, n);
    ROW_FOR(i, m)
    {
        const vf keep = ldv(mask + base + i, m - i);
        const vf v = select(scale * ldv(x + base + i, m - i), (vf)(0.0f), keep == (vf)(0.0f));
        stv_acc(v, y + base + i, m - i, acc);
    }
}
