/*
 * Fills from Philox: element e of sample s at s * per_sample + e. Group (g, s) makes BLOCK elements of sample s from
 * element g * BLOCK on; an item makes the 4 VW numbers of VW counters at a time.
 */
#include "common.h"
#include "philox.h"

#define CHUNK (4 * VW) /* elements an item makes at a time */

/* Walks the chunks of this item: the first element `e` and the number `n` of elements that there are. */
#define CHUNK_FOR(e, n, per_sample)                                                                                    \
    for (uint e = (uint)get_group_id(0) * BLOCK + (uint)get_local_id(0) * CHUNK,                                       \
              e##_end = min(((uint)get_group_id(0) + 1u) * BLOCK, (per_sample)), n = 0;                                \
         e < e##_end && (n = min((uint)CHUNK, e##_end - e)) > 0; e += WG * CHUNK)

/* Element i of a chunk that lies in t with the lanes of word 0 first, then those of word 1, ... */
#define IN_CHUNK(i) (((i) & 3u) * VW + ((i) >> 2))

/* CONVERT(v, w): from the words vu w[4] to the numbers V v[4] */
#define DEFINE_FILL(name, T, V, PUT_ARG, PUT_PTR, CONVERT)                                                             \
    __kernel void name(PUT_ARG(out), ARG_U32_CONST(record), const uint stream, const uint per_sample)                  \
    {                                                                                                                  \
        PUT_PTR(out);                                                                                                  \
        PTR_U32_CONST(record);                                                                                         \
        const uint row = (uint)get_group_id(1);                                                                        \
        __global T *o = out + (ulong)row * per_sample;                                                                 \
        CHUNK_FOR(e, n, per_sample)                                                                                    \
        {                                                                                                              \
            vu w[4];                                                                                                   \
            V v[4];                                                                                                    \
            T t[CHUNK];                                                                                                \
            philox_row_lanes(w, record, stream, row, e / 4u);                                                          \
            CONVERT(v, w);                                                                                             \
            for (int j = 0; j < 4; j++) put_lanes(v[j], t + j * VW);                                                   \
            for (uint i = 0; i < n; i++) o[e + i] = t[IN_CHUNK(i)];                                                    \
        }                                                                                                              \
    }

static inline void same_lanes(vu *v, const vu *w)
{
    for (int j = 0; j < 4; j++) v[j] = w[j];
}

DEFINE_FILL(random_u32, uint, vu, ARG_U32, PTR_U32, same_lanes)
DEFINE_FILL(random_uniform, float, vf, ARG, PTR, uniform_lanes)
DEFINE_FILL(random_normal, float, vf, ARG, PTR, normal_lanes)

/* The uniform numbers of a chunk, in the order of IN_CHUNK. */
static inline void uniform_chunk(float *t, __global const uint *record, const uint stream, const uint row,
                                 const uint block)
{
    vu w[4];
    vf u[4];
    philox_row_lanes(w, record, stream, row, block);
    uniform_lanes(u, w);
    for (int j = 0; j < 4; j++) put_lanes(u[j], t + j * VW);
}

/* out = uniform < p ? 1 : 0 */
__kernel void random_bernoulli(ARG(out), ARG_CONST(p), ARG_U32_CONST(record), const uint stream, const uint per_sample)
{
    PTR(out);
    PTR_CONST(p);
    PTR_U32_CONST(record);
    const uint row = (uint)get_group_id(1);
    const ulong start = (ulong)row * per_sample;
    CHUNK_FOR(e, n, per_sample)
    {
        float u[CHUNK];
        uniform_chunk(u, record, stream, row, e / 4u);
        for (uint i = 0; i < n; i++) out[start + e + i] = u[IN_CHUNK(i)] < p[start + e + i] ? 1.0f : 0.0f;
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
    CHUNK_FOR(e, n, per_sample)
    {
        float u[CHUNK];
        uniform_chunk(u, record, stream, row, e / 4u);
        for (uint i = 0; i < n; i++) {
            __global const float *q = p + (start + e + i) * (ulong)classes;
            float sum = 0.0f;
            int count = 0;
            for (int c = 0; c < classes - 1; c++) {
                sum += q[c];
                count += sum <= u[IN_CHUNK(i)];
            }
            k[start + e + i] = count;
        }
    }
}
