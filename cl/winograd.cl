/*
 * Convolution 3x3, pad 1, stride 1 by Winograd's minimal filtering F(2x2, 3x3): each tile of 2x2 results costs 16 products
 * per pair of channels instead of 36. "cpu" class; src/op/conv.c says when it pays. With d a tile of 4x4 source pixels (2x2
 * and one around it; zeros outside the image), g a 3x3 filter, e a tile of 2x2 gradients, * by element:
 *
 *   result    A' [ sum over channels of (G g G') * (B' d B) ] A
 *   filter's  G' [ sum over tiles    of (A e A') * (B' d B) ] G     gradient
 *
 *        |1  0 -1  0|       | 1    0    0 |        |1 1  1  0|
 *   B' = |0  1  1  0|   G = |1/2  1/2  1/2|   A' = |0 1 -1 -1|
 *        |0 -1  1  0|       |1/2 -1/2  1/2|
 *        |0  1  0 -1|       | 0    0    1 |
 *
 * (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.) The sum over channels, or tiles, is 16
 * independent matrix products. The gradient by the input is the convolution of dy with each filter turned by 180 degrees and
 * its channels exchanged.
 *
 * Channels come in multiples of 16.
 *
 * winograd          r from s, as conv in conv.cl
 * winograd_filter   U = G g G' as panels [cr/32][16][cs][32]
 * winograd_weight   dw of one range of tiles into its own part: stage one of the sum over tiles
 */
#include "common.h"
#include "conv.h"
#include "tile.h"

#if !WIDE

/* Source channels at most (src/op/conv.c): the transformed tiles of a block stay in the second-level cache. */
#define MAX_CHANNELS 256
/* Floats between elements of V and of M: a line more than the content, or they fight for the same sets of the cache. */
#define V_STEP(blocks) ((blocks)*TILE_M * VW + VW)
#define M_STEP (TILE_M * TILE_N + VW)

/* A tile of 2x2 pixels: its first pixel. */
typedef struct {
    int image, y, x;
} place;

INLINE place locate(const int tile, const int h, const int w)
{
    const int across = (w + 1) / 2, down = (h + 1) / 2, line = tile / across;
    const place at = {line / down, line % down * 2, tile % across * 2};
    return at;
}

INLINE place next_place(place at, const int h, const int w)
{
    at.x += 2;
    if (at.x >= w) {
        at.x = 0;
        at.y += 2;
        if (at.y >= h) {
            at.y = 0;
            at.image++;
        }
    }
    return at;
}

/* off[4 i + j]: where pixel (i, j) of the 4x4 around a tile begins in an image of cs channels; -1 outside. */
INLINE void source_offsets(int *off, const place at, const int h, const int w, const int cs)
{
    const int16 y = at.y - 1 + (int16)(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const int16 x = at.x - 1 + (int16)(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    const int16 inside = y >= 0 && y < h && x >= 0 && x < w;
    vstore16(select((int16)(-1), ((at.image * h + y) * w + x) * cs, inside), 0, off);
}

/* out[step (4 i + j)][0..16) = (B' d B)[i][j] for 16 channels from s. */
INLINE void source_transform(float *out, const int step, __global const float *s, __global const float *zero,
                             const int *off)
{
    float16 t[16];
#pragma unroll
    for (int j = 0; j < 4; j++) {
        float16 d[4];
#pragma unroll
        for (int i = 0; i < 4; i++) d[i] = ld16(off[4 * i + j] < 0 ? zero : s + off[4 * i + j]);
        t[j] = d[0] - d[2];
        t[4 + j] = d[1] + d[2];
        t[8 + j] = d[2] - d[1];
        t[12 + j] = d[1] - d[3];
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float *row = out + 4 * i * step;
        stp16(t[4 * i] - t[4 * i + 2], row);
        stp16(t[4 * i + 1] + t[4 * i + 2], row + step);
        stp16(t[4 * i + 2] - t[4 * i + 1], row + 2 * step);
        stp16(t[4 * i + 1] - t[4 * i + 3], row + 3 * step);
    }
}

/* m[r][0..16 NV) = sum over 16 * blocks channels of v[block][r][16] u[channel][32]. */
#define DEFINE_MULTIPLY(name, NV)                                                                                      \
    inline void name(float *m, const float *v, __global const float *u, const int blocks)                              \
    {                                                                                                                  \
        float16 acc[TILE_M][NV];                                                                                       \
        _Pragma("unroll") for (int r = 0; r < TILE_M; r++)                                                             \
            _Pragma("unroll") for (int n = 0; n < NV; n++) acc[r][n] = (float16)(0.0f);                                \
        for (int b = 0; b < blocks; b++) {                                                                             \
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

/* y[2 i + j] = (A' m A)[i][j] for 16 channels; elements of m are M_STEP apart. */
INLINE void result_transform(float16 *y, const float *m)
{
    float16 t[8];
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const float16 m1 = ldp16(m + (4 + j) * M_STEP), m2 = ldp16(m + (8 + j) * M_STEP);
        t[j] = ldp16(m + j * M_STEP) + m1 + m2;
        t[4 + j] = m1 - m2 - ldp16(m + (12 + j) * M_STEP);
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        y[2 * i] = t[4 * i] + t[4 * i + 1] + t[4 * i + 2];
        y[2 * i + 1] = t[4 * i + 1] - t[4 * i + 2] - t[4 * i + 3];
    }
}

/* Group i: `block` tiles from i * block, all channels. */
__kernel void winograd(ARG(r), ARG_CONST(s), ARG_CONST(u), ARG_CONST(bias), ARG_CONST(per_sample), ARG_CONST(residual),
                       ARG_CONST(zero), const int batch, const int h, const int w, const int cs, const int cr,
                       const int epi, const int block)
{
    PTR(r);
    PTR_CONST(s);
    PTR_CONST(u);
    PTR_CONST(bias);
    PTR_CONST(per_sample);
    PTR_CONST(residual);
    PTR_CONST(zero);
    LINES(v, 16 * V_STEP(MAX_CHANNELS / VW));
    LINES(m, 16 * M_STEP);
    const int blocks = cs / VW, step = V_STEP(blocks), tiles = batch * ((h + 1) / 2) * ((w + 1) / 2);
    const int end = min(tiles, ((int)get_group_id(0) + 1) * block);
    place here = locate((int)get_group_id(0) * block, h, w);
    for (int first = (int)get_group_id(0) * block; first < end; first += TILE_M) {
        place at[TILE_M];
        for (int i = 0; i < TILE_M; i++) {
            int off[16];
            at[i] = here;
            source_offsets(off, here, h, w, cs);
            for (int b = 0; b < blocks; b++)
                source_transform(v + (b * TILE_M + i) * VW, step, s + b * VW, zero, off);
            if (first + i + 1 < end) here = next_place(here, h, w); /* past the end: the last tile again */
        }
        for (int j = 0; j < cr; j += TILE_N) {
            __global const float *panel = u + (long)j * 16 * cs;
            const int wide = cr - j > VW;
            for (int e = 0; e < 16; e++) {
                if (wide)
                    multiply_2(m + e * M_STEP, v + e * step, panel + (long)e * cs * TILE_N, blocks);
                else
                    multiply_1(m + e * M_STEP, v + e * step, panel + (long)e * cs * TILE_N, blocks);
            }
            for (int i = 0; i < min(TILE_M, end - first); i++) {
                const int row_2 = at[i].y + 1 < h, column_2 = at[i].x + 1 < w;
                for (int n = 0; n <= wide * VW; n += VW) {
                    const int to = ((at[i].image * h + at[i].y) * w + at[i].x) * cr + j + n;
                    float16 y[4];
                    result_transform(y, m + i * TILE_N + n);
#pragma unroll
                    for (int q = 0; q < 4; q++) {
                        const int p = to + (q / 2 * w + q % 2) * cr;
                        if ((q / 2 && !row_2) || (q % 2 && !column_2)) continue;
                        if (epi) y[q] = finish(y[q], r, bias, per_sample, residual, p, at[i].image, j + n, cr, epi);
                        st16(y[q], r + p);
                    }
                }
            }
        }
    }
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
            __global float *to = u + (long)j * 16 * cs + (c0 + c) * TILE_N + n;
            float16 t[12];
#pragma unroll
            for (int i = 0; i < 3; i++) {
                t[i] = g[i][c];
                t[3 + i] = 0.5f * (g[i][c] + g[3 + i][c] + g[6 + i][c]);
                t[6 + i] = 0.5f * (g[i][c] - g[3 + i][c] + g[6 + i][c]);
                t[9 + i] = g[6 + i][c];
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                __global float *row = to + (long)4 * i * cs * TILE_N;
                st16(t[3 * i], row);
                st16(0.5f * (t[3 * i] + t[3 * i + 1] + t[3 * i + 2]), row + cs * TILE_N);
                st16(0.5f * (t[3 * i] - t[3 * i + 1] + t[3 * i + 2]), row + 2 * cs * TILE_N);
                st16(t[3 * i + 2], row + 3 * cs * TILE_N);
            }
        }
    }
}

/* Tiles of one pass of winograd_weight, and channels of x of one group. */
#define PASS 32
#define CI_BLOCK 32
#define CI_ROWS 8
#define P_STEP (PASS * CI_BLOCK + VW)
#define S_STEP (CI_BLOCK * TILE_N)

/* out[step (4 i + j)] = (A e A')[i][j]; e[2 i + j] = 16 channels of pixel (i, j). */
INLINE void gradient_transform(float *out, const int step, const float16 *e)
{
    float16 t[8];
#pragma unroll
    for (int j = 0; j < 2; j++) {
        t[j] = e[j];
        t[2 + j] = e[j] + e[2 + j];
        t[4 + j] = e[j] - e[2 + j];
        t[6 + j] = -e[2 + j];
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float *row = out + 4 * i * step;
        stp16(t[2 * i], row);
        stp16(t[2 * i] + t[2 * i + 1], row + step);
        stp16(t[2 * i] - t[2 * i + 1], row + 2 * step);
        stp16(-t[2 * i + 1], row + 3 * step);
    }
}

/* sum[r][0..16 NV) += sum over n tiles of v[tile][r] z[tile][0..16 NV), r < CI_ROWS. */
#define DEFINE_ACCUMULATE(name, NV)                                                                                    \
    inline void name(float *sum, const float *v, const float *z, const int n)                                          \
    {                                                                                                                  \
        float16 acc[CI_ROWS][NV];                                                                                      \
        _Pragma("unroll") for (int r = 0; r < CI_ROWS; r++)                                                            \
            _Pragma("unroll") for (int k = 0; k < NV; k++) acc[r][k] = ldp16(sum + r * TILE_N + 16 * k);               \
        _Pragma("unroll 2") for (int i = 0; i < n; i++)                                                                \
        {                                                                                                              \
            float16 row[NV];                                                                                           \
            _Pragma("unroll") for (int k = 0; k < NV; k++) row[k] = ldp16(z + i * TILE_N + 16 * k);                    \
            _Pragma("unroll") for (int r = 0; r < CI_ROWS; r++)                                                        \
            {                                                                                                          \
                const float x = v[i * CI_BLOCK + r];                                                                   \
                _Pragma("unroll") for (int k = 0; k < NV; k++) acc[r][k] += x * row[k];                                \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < CI_ROWS; r++)                                                            \
            _Pragma("unroll") for (int k = 0; k < NV; k++) stp16(acc[r][k], sum + r * TILE_N + 16 * k);                \
    }
DEFINE_ACCUMULATE(accumulate_2, 2)
DEFINE_ACCUMULATE(accumulate_1, 1)

/* g[0..3) = G' (m[0..4)) */
INLINE void filter_transform(float16 *g, const float16 m0, const float16 m1, const float16 m2, const float16 m3)
{
    const float16 even = 0.5f * (m1 + m2);
    g[0] = m0 + even;
    g[1] = 0.5f * (m1 - m2);
    g[2] = even + m3;
}

/* part[z][3][3][ci][co] = sum over tiles z * tiles .. of x dy. Group (i, j, z): 32 channels of x, 32 of dy. */
__kernel void winograd_weight(ARG(part), ARG_CONST(x), ARG_CONST(dy), ARG_CONST(zero), const int batch, const int h,
                              const int w, const int ci, const int co, const int tiles)
{
    PTR(part);
    PTR_CONST(x);
    PTR_CONST(dy);
    PTR_CONST(zero);
    LINES(sum, 16 * S_STEP);
    LINES(v, 16 * P_STEP);
    LINES(z, 16 * P_STEP);
    const int c0 = (int)get_group_id(0) * CI_BLOCK, j0 = (int)get_group_id(1) * TILE_N, part_z = (int)get_group_id(2);
    const int end = min(batch * ((h + 1) / 2) * ((w + 1) / 2), (part_z + 1) * tiles);
    const int rows = min(CI_BLOCK, ci - c0), columns = min(TILE_N, co - j0);
    place here = locate(part_z * tiles, h, w);
    for (int i = 0; i < 16 * S_STEP; i += VW) stp16((float16)(0.0f), sum + i);
    for (int first = part_z * tiles; first < end; first += PASS) {
        const int n = min(PASS, end - first);
        for (int i = 0; i < n; i++) {
            int off[16];
            const int row_2 = here.y + 1 < h, column_2 = here.x + 1 < w;
            __global const float *e0 = dy + (long)((here.image * h + here.y) * w + here.x) * co + j0;
            source_offsets(off, here, h, w, ci);
            for (int c = 0; c < rows; c += VW)
                source_transform(v + i * CI_BLOCK + c, P_STEP, x + c0 + c, zero, off);
            for (int c = 0; c < columns; c += VW) {
                float16 e[4];
                e[0] = ld16(e0 + c);
                e[1] = ld16(column_2 ? e0 + co + c : zero);
                e[2] = ld16(row_2 ? e0 + (long)w * co + c : zero);
                e[3] = ld16(row_2 && column_2 ? e0 + (long)(w + 1) * co + c : zero);
                gradient_transform(z + i * TILE_N + c, P_STEP, e);
            }
            here = next_place(here, h, w);
        }
        for (int e = 0; e < 16; e++) {
            for (int r = 0; r < rows; r += CI_ROWS) {
                float *to = sum + e * S_STEP + r * TILE_N;
                if (columns > VW)
                    accumulate_2(to, v + e * P_STEP + r, z + e * P_STEP, n);
                else
                    accumulate_1(to, v + e * P_STEP + r, z + e * P_STEP, n);
            }
        }
    }
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += VW) {
            const float *from = sum + r * TILE_N + c;
            float16 t[12], g[9]; /* t: [4 columns][3] */
#pragma unroll
            for (int j = 0; j < 4; j++)
                filter_transform(t + 3 * j, ldp16(from + j * S_STEP), ldp16(from + (4 + j) * S_STEP),
                                 ldp16(from + (8 + j) * S_STEP), ldp16(from + (12 + j) * S_STEP));
#pragma unroll
            for (int i = 0; i < 3; i++) filter_transform(g + 3 * i, t[i], t[3 + i], t[6 + i], t[9 + i]);
#pragma unroll
            for (int d = 0; d < 9; d++)
                st16(g[d], part + (((long)part_z * 9 + d) * ci + c0 + r) * co + j0 + c);
        }
    }
}

#endif
