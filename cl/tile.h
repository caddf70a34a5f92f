/*
 * The register block of the "cpu" class, shared by matrix products and convolutions: TILE_M rows of A times TILE_N
 * columns of B (TILE_V float16) held in accumulators over a run of k, written to a small private tile for the epilogue.
 * B rows are read as vectors, elements of A are broadcast. 24 accumulators, a row of B and a broadcast fit the 32 vector
 * registers of AVX-512 and NEON/SVE class machines. Four vectors a row take fewer instructions than two (10 loads for 24
 * multiply-adds, not 14: 5 to 15 % faster where a core is shared), two waste less on narrow matrices.
 */
#ifndef BF_TILE_H
#define BF_TILE_H

#ifndef TILE_V
#define TILE_V 2
#endif
#define TILE_M (24 / TILE_V)
#define TILE_N (16 * TILE_V)

#include "transpose.h"

#if !WIDE

/* a * b + c may become one fused operation; mad() is slower than two operations on some compilers. */
#pragma OPENCL FP_CONTRACT ON

#define AHEAD (64 / TILE_V) /* steps of k: longer than a third-level cache takes */

/* Hides from the optimiser how a pointer came about: else it walks from row to row of A by a chain of additions, each of
 * which waits for the one before (14 cycles a step where the multiply-adds take 12). */
#if defined(__x86_64__) || defined(__aarch64__)
#define OPAQUE(p) __asm__("" : "+r"(p))
#else
#define OPAQUE(p)
#endif
#define FAN 4 /* rows of A that one pointer serves: multiples of their distance which addresses can hold */

/* name(t, a, rs, ks, b, bs, kn): t[r][0..16 NV) = sum over k < kn of a[r rs + k ks] b[k bs ..], r < ROWS. */
#define DEFINE_TILE(name, ROWS, NV)                                                                                    \
    inline void name(float *t, __global const float *a, const int rs, const int ks, __global const float *b,           \
                     const int bs, const int kn)                                                                       \
    {                                                                                                                  \
        float16 acc[ROWS][NV];                                                                                         \
        __global const float *p[(ROWS + FAN - 1) / FAN];                                                               \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = (float16)(0.0f);                                \
        _Pragma("unroll") for (int r = 0; r < ROWS; r += FAN) p[r / FAN] = a + (long)r * rs;                           \
        for (int k = 0; k < kn; k++) {                                                                                 \
            float16 row[NV];                                                                                           \
            _Pragma("unroll") for (int v = 0; v < NV; v++) row[v] = ld16(b + 16 * v);                                  \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                           \
            {                                                                                                          \
                const float x = p[r / FAN][(long)(r % FAN) * rs];                                                      \
                _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] += x * row[v];                                \
            }                                                                                                          \
            PREFETCH(p[0] + AHEAD * ks);                                                                               \
            PREFETCH(p[0] + AHEAD * ks + ROWS - 1);                                                                    \
            _Pragma("unroll") for (int v = 0; v < NV; v++) PREFETCH(b + AHEAD * bs + 16 * v);                          \
            _Pragma("unroll") for (int r = 0; r < ROWS; r += FAN)                                                      \
            {                                                                                                          \
                p[r / FAN] += ks;                                                                                      \
                OPAQUE(p[r / FAN]);                                                                                    \
            }                                                                                                          \
            b += bs;                                                                                                   \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < NV; v++) stp16(acc[r][v], t + r * TILE_N + 16 * v);                  \
    }

#endif
#endif
