/*
 * Fills from Philox: element e of sample s at s * per_sample + e. Group (g, s) makes BLOCK elements of sample s from
 * element g * BLOCK on; an item makes the 4 VW numbers of VW counters at a time.
 */
#include "common.h"
#include "philox.h"

/* CONVERT(v, w): from the words w[4] to numbers (or the words themselves, as_float) v[4] */
#define DEFINE_FILL(name, CONVERT)                                                                                     \
    __kernel void name(ARG(out), ARG_U32_CONST(record), const uint stream, const uint per_sample)                      \
    {                                                                                                                  \
        PTR(out);                                                                                                      \
        PTR_U32_CONST(record);                                                                                         \
        const uint row = (uint)get_group_id(1);                                                                        \
        __global float *o = out + (ulong)row * per_sample;                                                             \
        CHUNK_FOR(e, n, (uint)get_group_id(0), per_sample)                                                             \
        {                                                                                                              \
            vu w[4];                                                                                                   \
            vf v[4];                                                                                                   \
            philox_row_lanes(w, record, stream, row, e / 4u);                                                          \
            CONVERT(v, w);                                                                                             \
            chunk_order(v);                                                                                            \
            VECTOR_FOR(j, n) stv(v[j], o + e + j * VW, (int)n - j * VW);                                               \
        }                                                                                                              \
    }

static inline void same_lanes(vf *v, const vu *w)
{
    for (int j = 0; j < 4; j++) v[j] = vu_as_vf(w[j]);
}

DEFINE_FILL(random_u32, same_lanes)
DEFINE_FILL(random_uniform, uniform_lanes)
DEFINE_FILL(random_normal, normal_lanes)

/* out = uniform < p ? 1 : 0 */
__kernel void random_bernoulli(ARG(out), ARG_CONST(p), ARG_U32_CONST(record), const uint stream, const uint per_sample)
{
    PTR(out);
    PTR_CONST(p);
    PTR_U32_CONST(record);
    const uint row = (uint)get_group_id(1);
    const ulong start = (ulong)row * per_sample;
    CHUNK_FOR(e, n, (uint)get_group_id(0), per_sample)
    {
        vf u[4];
        uniform_chunk(u, record, stream, row, e);
        VECTOR_FOR(j, n)
        {
            const ulong at = start + e + j * VW;
            const int left = (int)n - j * VW;
            stv(select((vf)(0.0f), (vf)(1.0f), u[j] < ldv(p + at, left)), out + at, left);
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
    CHUNK_FOR(e, n, (uint)get_group_id(0), per_sample)
    {
        vf lanes[4];
        float u[CHUNK];
        uniform_chunk(lanes, record, stream, row, e);
        for (int j = 0; j < 4; j++) PUT_LANES(lanes[j], u + j * VW);
        for (uint i = 0; i < n; i++) {
            __global const float *q = p + (start + e + i) * (ulong)classes;
            float sum = 0.0f;
            int count = 0;
            for (int c = 0; c < classes - 1; c++) {
                sum += q[c];
                count += sum <= u[i];
            }
            k[start + e + i] = count;
        }
    }
}
