/*
 * Convolution 3x3, pad 1, stride 1 by Winograd's minimal filtering F(4x4, 3x3): each tile of 4x4 results costs 36 products
 * per pair of channels instead of 144. "cpu" class; src/op/conv.c says when it pays. With d a tile of 6x6 source pixels (4x4
 * and one around it; zeros outside the image), g a 3x3 filter, e a tile of 4x4 gradients, * by element:
 *
 *   result    A' [ sum over channels of (G g G') * (B' d B) ] A
 *   filter's  G' [ sum over tiles    of (A e A') * (B' d B) ] G     gradient
 *
 *        |ab   0  -a-b  0   1  0|       | 1/ab                      |        |1  1  1  1  1  0|
 *        | 0 -bp   -b   p   1  0|       | 1/f     p/f     a/f       |        |0  p -p  q -q  0|
 *   B' = | 0  bp   -b  -p   1  0|   G = | 1/f    -p/f     a/f       |   A' = |0  a  a  b  b  0|
 *        | 0 -aq   -a   q   1  0|       | 1/h     q/h     b/h       |        |0 ap -ap bq -bq 1|
 *        | 0  aq   -a  -q   1  0|       | 1/h    -q/h     b/h       |
 *        | 0  ab    0 -a-b  0  1|       |  0       0       1        |
 *
 * a = p^2, b = q^2, f = 2a(a - b), h = 2b(b - a): polynomials through 0, p, -p, q, -q and infinity (Lavin and Gray, "Fast
 * algorithms for convolutional neural networks", 2016). Any p and q are right. The usual 1 and 2 lose a digit; with 3/4 and
 * 3/2, which are exact as well, the error is twice that of a direct sum (measured, 16 to 256 channels).
 *
 * The sum over channels, or tiles, is 36 independent matrix products. The gradient by the input is the convolution of dy with
 * each filter turned by 180 degrees and its channels exchanged.
 *
 * Channels come in multiples of 16.
 *
 * winograd          r from s, as conv in conv.cl
 * winograd_filter   U = G g G' as panels [cr/32][36][cs][32]
 * winograd_weight   dw of one range of tiles into its own part: stage one of the sum over tiles
 */
#include "common.h"
#include "conv.h"
#include "tile.h"

#if !WIDE

#define P 0.75f
#define Q 1.5f
#define A (P * P)
#define B (Q * Q)
#define F (1.0f / (2.0f * A * (A - B)))
#define H (1.0f / (2.0f * B * (B - A)))

#define SIZE 4  /* of a tile */
#define EDGE 6  /* SIZE + 2 */
#define POINTS (EDGE * EDGE)

/* Vectors of source channels at most (src/op/conv.c): the transformed tiles of a block stay in the second-level cache. */
#define MAX_VECTORS 16
/* Floats between points of V, M and U: a line more than the content, or they fight for the same sets of the cache. */
#define V_STEP(vectors) ((vectors)*TILE_M * VW + VW)
#define M_STEP (TILE_M * TILE_N + VW)
#define U_STEP(cs) ((cs)*TILE_N + VW)

/* A tile: its first pixel. */
typedef struct {
    int image, y, x;
} place;

INLINE place locate(const int tile, const int h, const int w)
{
    const int across = (w + SIZE - 1) / SIZE, down = (h + SIZE - 1) / SIZE, line = tile / across;
    const place at = {line / down, line % down * SIZE, tile % across * SIZE};
    return at;
}

INLINE place next_place(place at, const int h, const int w)
{
    at.x += SIZE;
    if (at.x >= w) {
        at.x = 0;
        at.y += SIZE;
        if (at.y >= h) {
            at.y = 0;
            at.image++;
        }
    }
    return at;
}

/* off[EDGE i + j]: where pixel (i, j) of the 6x6 around a tile begins in an image of `pitch` channels; -1 outside. */
INLINE void source_offsets(int *off, const place at, const int h, const int w, const int pitch)
{
    const int origin = ((at.image * h + at.y - 1) * w + at.x - 1) * pitch;
#pragma unroll
    for (int i = 0; i < EDGE; i++) {
        const int row = at.y + i > 0 && at.y + i <= h;
#pragma unroll
        for (int j = 0; j < EDGE; j++)
            off[EDGE * i + j] = row && at.x + j > 0 && at.x + j <= w ? origin + (i * w + j) * pitch : -1;
    }
}

/* t[0], t[step], ... = B' d */
INLINE void source_transform_1(float16 *t, const int step, const float16 *d)
{
    const float16 e = d[4] - B * d[2], o = d[3] - B * d[1], e2 = d[4] - A * d[2], o2 = d[3] - A * d[1];
    t[0] = (d[4] - (A + B) * d[2]) + (A * B) * d[0];
    t[step] = e + P * o;
    t[2 * step] = e - P * o;
    t[3 * step] = e2 + Q * o2;
    t[4 * step] = e2 - Q * o2;
    t[5 * step] = (d[5] - (A + B) * d[3]) + (A * B) * d[1];
}

/* out[step (EDGE i + j)][0..16) = (B' d B)[i][j] for 16 channels from s. */
INLINE void source_transform(float *out, const int step, __global const float *s, __global const float *zero,
                             const int *off)
{
    float16 t[POINTS], d[EDGE];
#pragma unroll
    for (int j = 0; j < EDGE; j++) {
#pragma unroll
        for (int i = 0; i < EDGE; i++) d[i] = ld16(off[EDGE * i + j] < 0 ? zero : s + off[EDGE * i + j]);
        source_transform_1(t + j, EDGE, d);
    }
#pragma unroll
    for (int i = 0; i < EDGE; i++) {
        source_transform_1(d, 1, t + EDGE * i);
#pragma unroll
        for (int j = 0; j < EDGE; j++) stp16(d[j], out + (EDGE * i + j) * step);
    }
}

/* m[r][0..16 NV) = sum over 16 * vectors channels of v[vector][r][16] u[channel][32]. */
#define DEFINE_MULTIPLY(name, NV)                                                                                      \
    inline void name(float *m, const float *v, __global const float *u, const int vectors)                             \
    {                                                                                                                  \
        float16 acc[TILE_M][NV];                                                                                       \
        _Pragma("unroll") for (int r = 0; r < TILE_M; r++)                                                             \
            _Pragma("unroll") for (int n = 0; n < NV; n++) acc[r][n] = (float16)(0.0f);                                \
        for (int b = 0; b < vectors; b++) {                                                                            \
            _Pragma("unroll 4") for (int c = 0; c < VW; c++)                                                           \
            {                                                                                                          \
                float16 row[NV];                                                                                       \
                _Pragma("unroll") for (int n = 0; n < NV; n++) row[n] = ld16(u + 16 * n);                              \
                PREFETCH(u + AHEAD * TILE_N);                                                                          \
                PREFETCH(u + AHEAD * TILE_N + VW * (NV - 1));                                                          \
                u += TILE_N;                                                                                           \
                _Pragma("unroll") for (int r = 0; r < TILE_M; r++)                                                     \
                {                                                                                                      \
                    const float x = v[r * VW + c];                                                                     \
                    _Pragma("unroll") for (int n = 0; n < NV; n++) acc[r][n] += x * row[n];                            \
                }                                                                                                      \
            }                                                                                                          \
            v += TILE_M * VW;                                                                                          \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < TILE_M; r++)                                                             \
            _Pragma("unroll") for (int n = 0; n < NV; n++) stp16(acc[r][n], m + r * TILE_N + 16 * n);                  \
    }
DEFINE_MULTIPLY(multiply_2, 2)
DEFINE_MULTIPLY(multiply_1, 1)

/* y[0], y[step], ... = A' m */
INLINE void result_transform_1(float16 *y, const int step, const float16 *m)
{
    const float16 s = m[1] + m[2], d = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
    y[0] = m[0] + s + s2;
    y[step] = P * d + Q * d2;
    y[2 * step] = A * s + B * s2;
    y[3 * step] = m[5] + (A * P) * d + (B * Q) * d2;
}

/* y[SIZE i + j] = (A' m A)[i][j] for 16 channels; points of m are M_STEP apart. */
INLINE void result_transform(float16 *y, const float *m)
{
    float16 t[SIZE * EDGE], d[EDGE];
#pragma unroll
    for (int j = 0; j < EDGE; j++) {
#pragma unroll
        for (int i = 0; i < EDGE; i++) d[i] = ldp16(m + (EDGE * i + j) * M_STEP);
        result_transform_1(t + j, EDGE, d);
    }
#pragma unroll
    for (int i = 0; i < SIZE; i++) result_transform_1(y + SIZE * i, 1, t + EDGE * i);
}

/*
 * Group (i, j): `block` tiles from i * block, `panels` panels of result channels from j * panels. Source channels c0 ..
 * c0 + cn of cs, whose part of the sum is added to r where the epilogue says so.
 */
__kernel void winograd(ARG(r), ARG_CONST(s), ARG_CONST(u), ARG_CONST(bias), ARG_CONST(per_sample), ARG_CONST(residual),
                       ARG_CONST(zero), const int batch, const int h, const int w, const int cs, const int cr,
                       const int c0, const int cn, const int epi, const int block, const int panels)
{
    PTR(r);
    PTR_CONST(s);
    PTR_CONST(u);
    PTR_CONST(bias);
    PTR_CONST(per_sample);
    PTR_CONST(residual);
    PTR_CONST(zero);
    LINES(v, POINTS * V_STEP(MAX_VECTORS));
    LINES(m, POINTS * M_STEP);
    const int vectors = cn / VW, step = V_STEP(vectors);
    const int tiles = batch * ((h + SIZE - 1) / SIZE) * ((w + SIZE - 1) / SIZE);
    const int end = min(tiles, ((int)get_group_id(0) + 1) * block);
    const int j0 = (int)get_group_id(1) * panels * TILE_N, j1 = min(cr, j0 + panels * TILE_N);
    place here = locate((int)get_group_id(0) * block, h, w);
    for (int first = (int)get_group_id(0) * block; first < end; first += TILE_M) {
        place at[TILE_M];
        for (int i = 0; i < TILE_M; i++) {
            int off[POINTS];
            at[i] = here;
            source_offsets(off, here, h, w, cs);
            for (int b = 0; b < vectors; b++)
                source_transform(v + (b * TILE_M + i) * VW, step, s + c0 + b * VW, zero, off);
            if (first + i + 1 < end) here = next_place(here, h, w); /* past the end: the last tile again */
        }
        for (int j = j0; j < j1; j += TILE_N) {
            __global const float *panel = u + (long)(j / TILE_N) * POINTS * U_STEP(cs) + c0 * TILE_N;
            const int wide = cr - j > VW;
            for (int e = 0; e < POINTS; e++) {
                if (wide)
                    multiply_2(m + e * M_STEP, v + e * step, panel + (long)e * U_STEP(cs), vectors);
                else
                    multiply_1(m + e * M_STEP, v + e * step, panel + (long)e * U_STEP(cs), vectors);
            }
            for (int i = 0; i < min(TILE_M, end - first); i++) {
                const int rows = min(SIZE, h - at[i].y), columns = min(SIZE, w - at[i].x);
                for (int n = 0; n <= wide * VW; n += VW) {
                    const int to = ((at[i].image * h + at[i].y) * w + at[i].x) * cr + j + n;
                    float16 y[SIZE * SIZE];
                    result_transform(y, m + i * TILE_N + n);
                    for (int row = 0; row < rows; row++) {
                        for (int column = 0; column < columns; column++) {
                            const int p = to + (row * w + column) * cr;
                            float16 x = y[SIZE * row + column];
                            if (epi) x = finish(x, r, bias, per_sample, residual, p, at[i].image, j + n, cr, epi);
                            st16(x, r + p);
                        }
                    }
                }
            }
        }
    }
}

/* t[0], t[step], ... = G g, */
INLINE void filter_transform_1(float16 *t, const int step, const float16 g0, const float16 g1, const float16 g2)
{
    const float16 e = F * g0 + (F * A) * g2, e2 = H * g0 + (H * B) * g2;
    t[0] = (1.0f / (A * B)) * g0;
    t[step] = e + (F * P) * g1;
    t[2 * step] = e - (F * P) * g1;
    t[3 * step] = e2 + (H * Q) * g1;
    t[4 * step] = e2 - (H * Q) * g1;
    t[5 * step] = g2;
}

/* Group (i, j): 16 rows of panel j, from row 16 i. w is [3, 3, cs, cr]; backward [3, 3, cr, cs]. */
__kernel void winograd_filter(ARG(u), ARG_CONST(w), const int cs, const int cr, const int backward)
{
    PTR(u);
    PTR_CONST(w);
    const int c0 = (int)get_group_id(0) * VW, j = (int)get_group_id(1) * TILE_N;
    float16 g[9][VW]; /* of each tap 16 rows */
    for (int n = 0; n < min(TILE_N, cr - j); n += VW) {
        for (int d = 0; d < 9; d++) {
            if (backward) {
                for (int i = 0; i < VW; i++) g[d][i] = ld16(w + ((long)(8 - d) * cr + j + n + i) * cs + c0);
                transpose_16(g[d]);
            } else {
                for (int i = 0; i < VW; i++) g[d][i] = ld16(w + ((long)d * cs + c0 + i) * cr + j + n);
            }
        }
        for (int c = 0; c < VW; c++) {
            __global float *to = u + (long)(j / TILE_N) * POINTS * U_STEP(cs) + (c0 + c) * TILE_N + n;
            float16 t[EDGE * 3], x[EDGE];
#pragma unroll
            for (int i = 0; i < 3; i++) filter_transform_1(t + i, 3, g[i][c], g[3 + i][c], g[6 + i][c]);
#pragma unroll
            for (int i = 0; i < EDGE; i++) {
                filter_transform_1(x, 1, t[3 * i], t[3 * i + 1], t[3 * i + 2]);
#pragma unroll
                for (int k = 0; k < EDGE; k++) st16(x[k], to + (long)(EDGE * i + k) * U_STEP(cs));
            }
        }
    }
}

/* Tiles of one pass of winograd_weight, and channels of x and dy of one group. */
#define PASS 32
#define CI_BLOCK 32
#define CO_BLOCK 64
#define CI_ROWS 8
#define X_STEP (PASS * CI_BLOCK + VW)
#define Y_STEP (PASS * CO_BLOCK + VW)
#define S_STEP (CI_BLOCK * CO_BLOCK)

/* t[0], t[step], ... = A e */
INLINE void gradient_transform_1(float16 *t, const int step, const float16 *e)
{
    const float16 s = e[0] + A * e[2], d = e[1] + A * e[3], s2 = e[0] + B * e[2], d2 = e[1] + B * e[3];
    t[0] = e[0];
    t[step] = s + P * d;
    t[2 * step] = s - P * d;
    t[3 * step] = s2 + Q * d2;
    t[4 * step] = s2 - Q * d2;
    t[5 * step] = e[3];
}

/* out[step (EDGE i + j)] = (A e A')[i][j] for 16 channels of the tile at e, of which rows x columns pixels exist. */
INLINE void gradient_transform(float *out, const int step, __global const float *e, __global const float *zero,
                               const int row, const int pixel, const int rows, const int columns)
{
    float16 t[EDGE * SIZE], d[EDGE];
#pragma unroll
    for (int j = 0; j < SIZE; j++) {
#pragma unroll
        for (int i = 0; i < SIZE; i++) d[i] = ld16(i < rows && j < columns ? e + i * row + j * pixel : zero);
        gradient_transform_1(t + j, SIZE, d);
    }
#pragma unroll
    for (int i = 0; i < EDGE; i++) {
        gradient_transform_1(d, 1, t + SIZE * i);
#pragma unroll
        for (int j = 0; j < EDGE; j++) stp16(d[j], out + (EDGE * i + j) * step);
    }
}

/* sum[r][0..16 NV) += sum over n tiles of v[tile][r] z[tile][0..16 NV), r < CI_ROWS. */
#define DEFINE_ACCUMULATE(name, NV)                                                                                    \
    inline void name(float *sum, const float *v, const float *z, const int n)                                          \
    {                                                                                                                  \
        float16 acc[CI_ROWS][NV];                                                                                      \
        _Pragma("unroll") for (int r = 0; r < CI_ROWS; r++)                                                            \
            _Pragma("unroll") for (int k = 0; k < NV; k++) acc[r][k] = ldp16(sum + r * CO_BLOCK + 16 * k);             \
        _Pragma("unroll 2") for (int i = 0; i < n; i++)                                                                \
        {                                                                                                              \
            float16 row[NV];                                                                                           \
            _Pragma("unroll") for (int k = 0; k < NV; k++) row[k] = ldp16(z + i * CO_BLOCK + 16 * k);                  \
            _Pragma("unroll") for (int r = 0; r < CI_ROWS; r++)                                                        \
            {                                                                                                          \
                const float x = v[i * CI_BLOCK + r];                                                                   \
                _Pragma("unroll") for (int k = 0; k < NV; k++) acc[r][k] += x * row[k];                                \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < CI_ROWS; r++)                                                            \
            _Pragma("unroll") for (int k = 0; k < NV; k++) stp16(acc[r][k], sum + r * CO_BLOCK + 16 * k);              \
    }
DEFINE_ACCUMULATE(accumulate_2, 2)
DEFINE_ACCUMULATE(accumulate_1, 1)

/* g[0], g[step], ... = G' m */
INLINE void weight_transform_1(float16 *g, const int step, const float16 *m)
{
    const float16 s = F * (m[1] + m[2]), d = F * (m[1] - m[2]), s2 = H * (m[3] + m[4]), d2 = H * (m[3] - m[4]);
    g[0] = (1.0f / (A * B)) * m[0] + s + s2;
    g[step] = P * d + Q * d2;
    g[2 * step] = A * s + B * s2 + m[5];
}

/* part[z][3][3][ci][co] = sum over tiles z * tiles .. of x dy. Group (i, j, z): CI_BLOCK channels of x, CO_BLOCK of dy. */
__kernel void winograd_weight(ARG(part), ARG_CONST(x), ARG_CONST(dy), ARG_CONST(zero), const int batch, const int h,
                              const int w, const int ci, const int co, const int tiles)
{
    PTR(part);
    PTR_CONST(x);
    PTR_CONST(dy);
    PTR_CONST(zero);
    LINES(sum, POINTS * S_STEP);
    LINES(v, POINTS * X_STEP);
    LINES(z, POINTS * Y_STEP);
    const int c0 = (int)get_group_id(0) * CI_BLOCK, j0 = (int)get_group_id(1) * CO_BLOCK, part_z = (int)get_group_id(2);
    const int end = min(batch * ((h + SIZE - 1) / SIZE) * ((w + SIZE - 1) / SIZE), (part_z + 1) * tiles);
    const int rows = min(CI_BLOCK, ci - c0), columns = min(CO_BLOCK, co - j0);
    place here = locate(part_z * tiles, h, w);
    for (int i = 0; i < POINTS * S_STEP; i += VW) stp16((float16)(0.0f), sum + i);
    for (int first = part_z * tiles; first < end; first += PASS) {
        const int n = min(PASS, end - first);
        for (int i = 0; i < n; i++) {
            int off[POINTS];
            source_offsets(off, here, h, w, ci);
            for (int c = 0; c < rows; c += VW)
                source_transform(v + i * CI_BLOCK + c, X_STEP, x + c0 + c, zero, off);
            __global const float *e = dy + (long)((here.image * h + here.y) * w + here.x) * co + j0;
            for (int c = 0; c < columns; c += VW)
                gradient_transform(z + i * CO_BLOCK + c, Y_STEP, e + c, zero, w * co, co, h - here.y, w - here.x);
            here = next_place(here, h, w);
        }
        for (int e = 0; e < POINTS; e++) {
            for (int j = 0; j < columns; j += TILE_N) {
                for (int r = 0; r < rows; r += CI_ROWS) {
                    float *to = sum + e * S_STEP + r * CO_BLOCK + j;
                    if (columns - j > VW)
                        accumulate_2(to, v + e * X_STEP + r, z + e * Y_STEP + j, n);
                    else
                        accumulate_1(to, v + e * X_STEP + r, z + e * Y_STEP + j, n);
                }
            }
        }
    }
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += VW) {
            const float *from = sum + r * CO_BLOCK + c;
            float16 t[3 * EDGE], g[3], d[EDGE];
#pragma unroll
            for (int j = 0; j < EDGE; j++) {
#pragma unroll
                for (int i = 0; i < EDGE; i++) d[i] = ldp16(from + (EDGE * i + j) * S_STEP);
                weight_transform_1(t + j, EDGE, d);
            }
#pragma unroll
            for (int i = 0; i < 3; i++) {
                weight_transform_1(g, 1, t + EDGE * i);
#pragma unroll
                for (int j = 0; j < 3; j++)
                    st16(g[j], part + (((long)part_z * 9 + 3 * i + j) * ci + c0 + r) * co + j0 + c);
            }
        }
    }
}

#endif
