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

/* name(t, a, as, b, bs, kn): t[r][0..16 NV) = sum over k < kn of A[r][k] * b[k bs ..], r < ROWS. A_AT(r, k) reads A. */
#define DEFINE_TILE(name, A_TYPE, A_AT, ROWS, NV)                                                                      \
    inline void name(float *t, A_TYPE a, const int as, __global const float *b, const int bs, const int kn)            \
    {                                                                                                                  \
        float16 acc[ROWS][NV];                                                                                         \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = (float16)(0.0f);                                \
        for (int k = 0; k < kn; k++) {                                                                                 \
            float16 row[NV];                                                                                           \
            _Pragma("unroll") for (int v = 0; v < NV; v++) row[v] = vload16(v, b);                                     \
            b += bs;                                                                                                   \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                           \
            {                                                                                                          \
                const float x = A_AT(r, k);                                                                            \
                _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] += x * row[v];                                \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < NV; v++) vstore16(acc[r][v], v, t + r * TILE_N);                     \
    }

#endif
#endif
