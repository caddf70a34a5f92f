/*
 * Fills from Philox: element e of sample s at s * per_sample + e. Group (g, s) makes BLOCK elements of sample s from
 * element g * BLOCK on; an item makes the four numbers of one counter at a time.
 */
#include "common.h"
#include "philox.h"

#define BLOCKS_FOR(b, per_sample)                                                                                      \
    for (uint b = (uint)get_group_id(0) * (BLOCK / 4) + (uint)get_local_id(0),                                         \
              b##_end = min(((uint)get_group_id(0) + 1u) * (BLOCK / 4), ((per_sample) + 3u) / 4u);                     \
         b < b##_end; b += WG)

#define FILL(name, T, PUT_ARG, PUT_PTR, convert)                                                                       \
    __kernel void name(PUT_ARG(out), ARG_U32_CONST(record), const uint stream, const uint per_sample)                  \
    {                                                                                                                  \
        PUT_PTR(out);                                                                                                  \
        PTR_U32_CONST(record);                                                                                         \
        const uint row = (uint)get_group_id(1);                                                                        \
        __global T *o = out + (ulong)row * per_sample;                                                                 \
        BLOCKS_FOR(b, per_sample)                                                                                      \
        {                                                                                                              \
            T t[4];                                                                                                    \
            vstore4(convert(philox_row(record, stream, row, b)), 0, t);                                                \
            for (uint i = 0; i < min(4u, per_sample - 4u * b); i++) o[4u * b + i] = t[i];                              \
        }                                                                                                              \
    }

#define SAME(w) (w)

FILL(random_u32, uint, ARG_U32, PTR_U32, SAME)
FILL(random_uniform, float, ARG, PTR, uniform4)
FILL(random_normal, float, ARG, PTR, normal4)

/* out = uniform < p ? 1 : 0 */
__kernel void random_bernoulli(ARG(out), ARG_CONST(p), ARG_U32_CONST(record), const uint stream, const uint per_sample)
{
    PTR(out);
    PTR_CONST(p);
    PTR_U32_CONST(record);
    const uint row = (uint)get_group_id(1);
    const ulong start = (ulong)row * per_sample;
    BLOCKS_FOR(b, per_sample)
    {
        float u[4];
        vstore4(uniform4(philox_row(record, stream, row, b)), 0, u);
        for (uint i = 0; i < min(4u, per_sample - 4u * b); i++) {
            out[start + 4u * b + i] = u[i] < p[start + 4u * b + i] ? 1.0f : 0.0f;
        }
    }
}

/* k = number of running sums of the probabilities, all but the last, that are <= u */
__kernel void random_categorical(ARG_I32(k), ARG_CONST(p), const int classes, ARG_U32_CONST(record), const uint stream,
                                 const uint per_sample)
{
    PTR_I32(k);
    PTR_CONST(p);
    PTR_U32_CONST(record);
    const uint row = (uint)get_group_id(1);
    const ulong start = (ulong)row * per_sample;
    BLOCKS_FOR(b, per_sample)
    {
        float u[4];
        vstore4(uniform4(philox_row(record, stream, row, b)), 0, u);
        for (uint i = 0; i < min(4u, per_sample - 4u * b); i++) {
            __global const float *q = p + (start + 4u * b + i) * (ulong)classes;
            float sum = 0.0f;
            int n = 0;
            for (int c = 0; c < classes - 1; c++) {
                sum += q[c];
                n += sum <= u[i];
            }
            k[start + 4u * b + i] = n;
        }
    }
}
