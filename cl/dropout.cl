/* y (+)= keep ? scale x : 0 with scale = 1 / (1 - p); the backward pass is the same on the gradient. */
#include "common.h"
#include "philox.h"

/* keep = uniform(element, sample) >= p, drawn again in the backward pass instead of being stored. Group: (block of
 * BLOCK elements, sample), the block fastest. */
__kernel void dropout(ARG(y), const int acc, ARG_CONST(x), ARG_U32_CONST(record), const uint stream, const float p,
                      const float scale, const uint per_sample, const uint blocks)
{
    PTR(y);
    PTR_CONST(x);
    PTR_U32_CONST(record);
    const uint row = (uint)(get_group_id(0) / blocks), block = (uint)(get_group_id(0) % blocks);
    const ulong base = (ulong)row * per_sample;
    CHUNK_FOR(e, n, block, per_sample)
    {
        vf u[4];
        uniform_chunk(u, record, stream, row, e);
        VECTOR_FOR(j, n)
        {
            const ulong at = base + e + j * VW;
            const int left = (int)n - j * VW;
            const vf v = select(scale * ldv(x + at, left), (vf)(0.0f), u[j] < p);
            stv_acc(v, y + at, left, acc);
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
