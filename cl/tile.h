/*
 * The register block of the "cpu" class, shared by matrix products and convolutions: TILE_M rows of A times TILE_N
 * columns of B (two float16) held in accumulators over a run of k, written to a small private tile for the epilogue.
 * B rows are read as vectors, elements of A are broadcast. 24 accumulators, 2 rows of B and a broadcast fit the 32
 * vector registers of AVX-512 and NEON/SVE class machines.
 */
#ifndef BF_TILE_H
#define BF_TILE_H

#define TILE_M 12
#define TILE_N 32

#if !WIDE

/* a * b + c may become one fused operation; mad() is slower than two operations on some compilers. */
#pragma OPENCL FP_CONTRACT ON

/* Asks for a cache line that is needed soon. prefetch() does nothing in some drivers, and the builtin exists only where
 * kernels become machine code of the processor without a detour. */
#if defined(__x86_64__) || defined(__aarch64__)
#define PREFETCH(p) __builtin_prefetch((const void *)(size_t)(p))
#else
#define PREFETCH(p)
#endif
#define AHEAD 32 /* steps of k: longer than a third-level cache takes */

/* name(t, a, rs, ks, b, bs, kn): t[r][0..16 NV) = sum over k < kn of a[r rs + k ks] b[k bs ..], r < ROWS. */
#define DEFINE_TILE(name, ROWS, NV)                                                                                    \
    inline void name(float *t, __global const float *a, const int rs, const int ks, __global const float *b,           \
                     const int bs, const int kn)                                                                       \
    {                                                                                                                  \
        float16 acc[ROWS][NV];                                                                                         \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = (float16)(0.0f);                                \
        for (int k = 0; k < kn; k++) {                                                                                 \
            float16 row[NV];                                                                                           \
            _Pragma("unroll") for (int v = 0; v < NV; v++) row[v] = ld16(b + 16 * v);                                     \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                           \
            {                                                                                                          \
                const float x = a[(long)r * rs];                                                                       \
                _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] += x * row[v];                                \
            }                                                                                                          \
            PREFETCH(a + AHEAD * ks);                                                                                  \
            PREFETCH(a + AHEAD * ks + ROWS - 1);                                                                       \
            PREFETCH(b + AHEAD * bs);                                                                                  \
            PREFETCH(b + AHEAD * bs + 16 * (NV - 1));                                                                  \
            a += ks;                                                                                                   \
            b += bs;                                                                                                   \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < NV; v++) stp16(acc[r][v], t + r * TILE_N + 16 * v);                     \
    }

#endif
#endif
