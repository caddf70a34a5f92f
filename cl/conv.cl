/*
 * Convolution 3x3 (pad 1) and 1x1, stride 1 or 2, channels-last, without an im2col copy: a matrix product whose rows of A
 * are pixels found by address. The result r [batch, rh, rw, cr] is computed from the source s [batch, sh, sw, cs]:
 *
 *   BWD 0  forward: s = x, r = y          y[p] = sum over taps of x[stride p + tap - pad] w[tap] + epilogue
 *   BWD 1  gradient by the input: s = dy  dx[p] = sum over taps of dy[(p + pad - tap) / stride] w[tap]', those that divide
 *
 * With stride 2 the pixels of dx fall into four classes (parity of row and column) that use 1, 2, 2 and 4 taps; a tile
 * holds pixels of one class only. Tiles count pixels over all images, so no lane is lost at the end of a row.
 *
 * conv         CPU: 12 pixels x 32 channels per register block; w as panels of 32 result channels (conv_pack, or w
 *              itself); taps outside the image read a row of zeros. WIDE: 64 x 64 tiles in local memory.
 * conv_pack    w -> panels [cr/32][tap][cs][32], for BWD with the channels exchanged (CPU only)
 * conv_weight  dw of one range of output rows into its own part: stage one of the sum over pixels
 * conv_fold    adds the parts in order
 */
#include "common.h"
#include "conv.h"
#include "tile.h"

#ifndef BWD
#define BWD 0
#endif

#define MAX_TAPS 9

/* The pixels of one class: gh x gw per image, `step` apart, from (y0, x0). */
typedef struct {
    int gh, gw, step, y0, x0;
} pixels;

inline pixels class_pixels(const int rh, const int rw, const int stride)
{
    pixels g;
    g.step = BWD ? stride : 1;
    g.y0 = (int)get_group_id(2) / g.step;
    g.x0 = (int)get_group_id(2) % g.step;
    g.gh = (rh - g.y0 + g.step - 1) / g.step;
    g.gw = (rw - g.x0 + g.step - 1) / g.step;
    return g;
}

/* Does a class that begins at row (or column) `first` use a tap at distance d = tap - pad? */
inline int tap_fits(const int first, const int d, const int stride)
{
    return !BWD || (first - d) % stride == 0;
}

/* Row (or column) a of the class reads row a * FACTOR + tap_shift() of the source, which may lie outside. */
#define FACTOR (BWD ? 1 : stride)
inline int tap_shift(const int first, const int d, const int stride)
{
    return BWD ? (first - d) / stride : d;
}

#if !WIDE

/* t[r][0..16 NV) = sum over taps and channels of s at off[16 tap + r] times rows of w; off -1 reads zeros. */
#define DEFINE_CONV_TILE(name, NV)                                                                                     \
    inline void name(float *t, __global const float *s, __global const float *zero, const int *off, const int *tap,    \
                     const int taps, __global const float *w, const int ldw, const int cs)                             \
    {                                                                                                                  \
        float16 acc[TILE_M][NV];                                                                                       \
        _Pragma("unroll") for (int r = 0; r < TILE_M; r++)                                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = (float16)(0.0f);                                \
        for (int q = 0; q < taps; q++) {                                                                               \
            __global const float *p[TILE_M];                                                                           \
            _Pragma("unroll") for (int r = 0; r < TILE_M; r++)                                                         \
                p[r] = off[q * 16 + r] < 0 ? zero : s + off[q * 16 + r];                                               \
            __global const float *row = w + (long)tap[q] * cs * ldw;                                                   \
            for (int c = 0; c < cs; c++) {                                                                             \
                float16 b[NV];                                                                                         \
                _Pragma("unroll") for (int v = 0; v < NV; v++) b[v] = ld16(row + 16 * v);                              \
                PREFETCH(row + AHEAD * ldw);                                                                           \
                PREFETCH(row + AHEAD * ldw + 16 * (NV - 1));                                                           \
                row += ldw;                                                                                            \
                _Pragma("unroll") for (int r = 0; r < TILE_M; r++)                                                     \
                {                                                                                                      \
                    const float x = p[r][c];                                                                           \
                    _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] += x * b[v];                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < TILE_M; r++)                                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++) stp16(acc[r][v], t + r * TILE_N + 16 * v);                  \
    }
DEFINE_CONV_TILE(conv_tile_2, 2)
DEFINE_CONV_TILE(conv_tile_1, 1)

#else

/* A work-item holds RM x RN elements of a TS x TS tile, TX items side by side; TK of the sum at a time. */
#define TS 64
#define TK 16
#define LD (TS + 1)
#define TX (WG >= 256 ? 16 : WG >= 8 ? 8 : WG)
#define TY (WG / TX)
#define RM (TS / TY)
#define RN (TS / TX)

inline void clear(float acc[RM][RN])
{
    for (int r = 0; r < RM; r++)
        for (int v = 0; v < RN; v++) acc[r][v] = 0.0f;
}

/* acc += the product of two tiles [TK][LD] in local memory. */
inline void multiply(float acc[RM][RN], __local const float *a, __local const float *b)
{
    const int ix = (int)get_local_id(0) % TX, iy = (int)get_local_id(0) / TX;
    for (int q = 0; q < TK; q++) {
        float row[RN];
        for (int v = 0; v < RN; v++) row[v] = b[q * LD + ix + v * TX];
        for (int r = 0; r < RM; r++) {
            const float x = a[q * LD + iy + r * TY];
            for (int v = 0; v < RN; v++) acc[r][v] += x * row[v];
        }
    }
}

#endif

/*
 * Group (i, j, class): CPU: `block` pixels from i * block, all channels (j = 0). WIDE: tile i of pixels, tile j of
 * channels; w is read in place and panel, ldw, zero are not used.
 */
__kernel void conv(ARG(r), ARG_CONST(s), ARG_CONST(w), ARG_CONST(bias), ARG_CONST(per_sample), ARG_CONST(residual),
                   ARG_CONST(zero), const int batch, const int rh, const int rw, const int sh, const int sw,
                   const int cs, const int cr, const int k, const int stride, const int ldw, const ulong panel,
                   const int epi, const int block)
{
    PTR(r);
    PTR_CONST(s);
    PTR_CONST(w);
    PTR_CONST(bias);
    PTR_CONST(per_sample);
    PTR_CONST(residual);
    const pixels g = class_pixels(rh, rw, stride);
    const int count = batch * g.gh * g.gw, pad = k / 2;
    if (count == 0) return; /* stride 2 on an image one pixel wide or high: no odd pixels, and nothing to divide by */
#if !WIDE
    PTR_CONST(zero);
    LINES(t, TILE_M * TILE_N);
    int off[MAX_TAPS * 16], tap[MAX_TAPS], image[16], row[16], column[16], pixel[16];
    int taps = 0;
    for (int d = 0; d < k * k; d++)
        if (tap_fits(g.y0, d / k - pad, stride) && tap_fits(g.x0, d % k - pad, stride)) tap[taps++] = d;
    const int q1 = min(count, ((int)get_group_id(0) + 1) * block);
    int q0 = (int)get_group_id(0) * block;
    int gx = q0 % g.gw, gy = q0 / g.gw % g.gh, gb = q0 / g.gw / g.gh;
    for (; q0 < q1; q0 += TILE_M) {
        const int rows = min(TILE_M, q1 - q0);
        for (int i = 0; i < 16; i++) {
            image[i] = gb;
            row[i] = gy;
            column[i] = gx;
            if (i + 1 >= rows) continue; /* lanes past the end repeat the last pixel */
            gx = gx + 1 == g.gw ? 0 : gx + 1;
            gy = gx > 0 ? gy : gy + 1 == g.gh ? 0 : gy + 1;
            gb += gx == 0 && gy == 0;
        }
        const int16 y = vload16(0, row) * FACTOR, x = vload16(0, column) * FACTOR;
        const int16 origin = ((vload16(0, image) * sh + y) * sw + x) * cs;
        const int16 ry = vload16(0, row) * g.step + g.y0, rx = vload16(0, column) * g.step + g.x0;
        vstore16(((vload16(0, image) * rh + ry) * rw + rx) * cr, 0, pixel);
        for (int q = 0; q < taps; q++) {
            const int dy = tap_shift(g.y0, tap[q] / k - pad, stride), dx = tap_shift(g.x0, tap[q] % k - pad, stride);
            const int16 inside = y + dy >= 0 && y + dy < sh && x + dx >= 0 && x + dx < sw;
            vstore16(select((int16)(-1), origin + (dy * sw + dx) * cs, inside), q, off);
        }
        /* Pixels come from memory, and the processor's own prefetch does not follow short runs of them (measured at 28 x 28
         * x 32: half as fast again): ask for the sources and results of the tile after the next one. */
        {
            __global const float *sa = s + origin.s0 + ((2 * TILE_M + 1) * FACTOR + sw) * cs;
            __global const float *ra = r + pixel[0] + 2 * TILE_M * g.step * cr;
            for (int i = 0; i < TILE_M * FACTOR * cs; i += 16) PREFETCH(sa + i);
            for (int i = 0; i < TILE_M * g.step * cr; i += 16) PREFETCH(ra + i);
        }
        for (int j = 0; j < cr; j += TILE_N) {
            __global const float *panel_j = w + (ulong)(j / TILE_N) * panel;
            if (cr - j > VW)
                conv_tile_2(t, s, zero, off, tap, taps, panel_j, ldw, cs);
            else
                conv_tile_1(t, s, zero, off, tap, taps, panel_j, ldw, cs);
            if (epi == 0 && cr - j >= TILE_N) {
                for (int i = 0; i < rows; i++) {
                    st16(ldp16(t + i * TILE_N), r + pixel[i] + j);
                    st16(ldp16(t + i * TILE_N + 16), r + pixel[i] + j + 16);
                }
                continue;
            }
            for (int i = 0; i < rows; i++) {
                for (int v = 0; v < min(TILE_N, cr - j); v += VW) {
                    const int at = pixel[i] + j + v;
                    const vf sum = ldp16(t + i * TILE_N + v);
                    stv(finish(sum, r, bias, per_sample, residual, at, image[i], j + v, cr, epi), r + at, cr - j - v);
                }
            }
        }
        /* on to the pixel after the last one of this tile */
        gx = gx + 1 == g.gw ? 0 : gx + 1;
        gy = gx > 0 ? gy : gy + 1 == g.gh ? 0 : gy + 1;
        gb += gx == 0 && gy == 0;
    }
#else
    __local float a[TK * LD], b[TK * LD];
    __local int off[TS];
    const int lane = (int)get_local_id(0), q0 = (int)get_group_id(0) * TS, j0 = (int)get_group_id(1) * TS;
    float acc[RM][RN];
    clear(acc);
    for (int d = 0; d < k * k; d++) {
        const int dy = d / k - pad, dx = d % k - pad;
        /* the same for the whole group, as are all bounds of these loops */
        if (!tap_fits(g.y0, dy, stride) || !tap_fits(g.x0, dx, stride)) continue;
        const int sy = tap_shift(g.y0, dy, stride), sx = tap_shift(g.x0, dx, stride);
        for (int i = lane; i < TS; i += WG) {
            const int line = (q0 + i) / g.gw, y = line % g.gh * FACTOR + sy, x = (q0 + i) % g.gw * FACTOR + sx;
            const int inside = q0 + i < count && y >= 0 && y < sh && x >= 0 && x < sw;
            off[i] = inside ? ((line / g.gh * sh + y) * sw + x) * cs : -1;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int c0 = 0; c0 < cs; c0 += TK) {
            for (int i = lane; i < TS * TK; i += WG) {
                const int c = c0 + i % TK, p = off[i / TK];
                a[i % TK * LD + i / TK] = p >= 0 && c < cs ? s[p + c] : 0.0f;
            }
            for (int i = lane; i < TS * TK; i += WG) {
                const int q = BWD ? i % TK : i / TS, j = BWD ? i / TK : i % TS, c = c0 + q;
                const long at = BWD ? ((long)d * cr + j0 + j) * cs + c : ((long)d * cs + c) * cr + j0 + j;
                b[q * LD + j] = c < cs && j0 + j < cr ? w[at] : 0.0f;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            multiply(acc, a, b);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
    for (int i = 0; i < RM; i++) {
        const int q = q0 + lane / TX + i * TY;
        if (q >= count) continue;
        const int line = q / g.gw, image = line / g.gh;
        const int y = line % g.gh * g.step + g.y0, x = q % g.gw * g.step + g.x0;
        const int start = ((image * rh + y) * rw + x) * cr;
        for (int v = 0; v < RN; v++) {
            const int j = j0 + lane % TX + v * TX;
            if (j < cr) r[start + j] = finish(acc[i][v], r, bias, per_sample, residual, start + j, image, j, cr, epi);
        }
    }
#endif
}

#if !WIDE

/* Group (tap and source channel, panel). w is [taps, ci, co]: cs x cr forward, cr x cs backward. */
__kernel void conv_pack(ARG(out), ARG_CONST(w), const int taps, const int cs, const int cr)
{
    PTR(out);
    PTR_CONST(w);
    const int d = (int)get_group_id(0) / cs, c = (int)get_group_id(0) % cs, j0 = (int)get_group_id(1) * TILE_N;
    __global float *row = out + ((long)j0 * taps * cs + ((long)d * cs + c) * TILE_N);
    __global const float *from = BWD ? w + ((long)d * cr + j0) * cs + c : w + ((long)d * cs + c) * cr + j0;
    for (int j = 0; j < TILE_N; j++) row[j] = j0 + j < cr ? from[(long)j * (BWD ? cs : 1)] : 0.0f;
}

/* Rows of output pixels between two visits of dw: x and dy of about this many pixels stay in the first-level cache. */
#define CHUNK 84
#define CI_ROWS 8

/* t[r][v] += x[pixel][r] dy[pixel][16 v ..] over `count` lines of `run` pixels. x and dy point at the first pixel of line
 * 0, row y of an image of ho output rows; the lines whose source row is not in [0, h) are left out. */
#define DEFINE_WEIGHT_TILE(name, ROWS, NV)                                                                             \
    inline void name(float *t, __global const float *x, __global const float *dy, const int count, const int run,      \
                     int y, const int ho, const int h, const int shift, const int stride, const int w, const int wo,   \
                     const int ci, const int co, const int left)                                                       \
    {                                                                                                                  \
        float16 acc[ROWS][NV];                                                                                         \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = ldp16(t + r * TILE_N + 16 * v);                 \
        for (int line = 0; line < count; line++) {                                                                     \
            const int n = y * stride + shift >= 0 && y * stride + shift < h ? run : 0;                                 \
            __global const float *px = x, *pd = dy;                                                                    \
            for (int p = 0; p < n; p++) {                                                                              \
                float16 b[NV];                                                                                         \
                _Pragma("unroll") for (int v = 0; v < NV; v++) b[v] =                                                  \
                    v < NV - 1 || left >= VW ? ld16(pd + 16 * v) : ldv(pd + v * VW, left);                             \
                _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                       \
                {                                                                                                      \
                    const float a = px[r];                                                                             \
                    _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] += a * b[v];                              \
                }                                                                                                      \
                px += stride * ci;                                                                                     \
                pd += co;                                                                                              \
            }                                                                                                          \
            dy += (long)wo * co;                                                                                       \
            x += (long)stride * w * ci;                                                                                \
            if (++y == ho) {                                                                                           \
                y = 0;                                                                                                 \
                x += (long)(h - ho * stride) * w * ci;                                                                 \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < NV; v++) stp16(acc[r][v], t + r * TILE_N + 16 * v);                  \
    }
DEFINE_WEIGHT_TILE(weight_8_2, CI_ROWS, 2)
DEFINE_WEIGHT_TILE(weight_8_1, CI_ROWS, 1)
DEFINE_WEIGHT_TILE(weight_1_2, 1, 2)
DEFINE_WEIGHT_TILE(weight_1_1, 1, 1)

#endif

/*
 * part[z][tap][ci][co] = sum over rows z * lines .. of the output (all images, batch * ho rows) of x dy. Group (i, j, z):
 * CPU: i = block of `block` input channels, j = panel of 32 output channels. WIDE: i = tile of 64 input channels and tap
 * (i = tile * taps + tap), j = tile of 64 output channels.
 */
__kernel void conv_weight(ARG(part), ARG_CONST(x), ARG_CONST(dy), const int batch, const int h, const int w,
                          const int ho, const int wo, const int ci, const int co, const int k, const int stride,
                          const int lines, const int block)
{
    PTR(part);
    PTR_CONST(x);
    PTR_CONST(dy);
    const int z = (int)get_group_id(2), pad = k / 2, taps = k * k;
    const int line0 = z * lines, line1 = min(batch * ho, line0 + lines);
    const long base = (long)z * taps * ci * co;
#if !WIDE
    const int c0 = (int)get_group_id(0) * block, c1 = min(ci, c0 + block), j = (int)get_group_id(1) * TILE_N;
    const int cols = min(TILE_N, co - j), step = max(1, CHUNK / wo);
    for (int a = line0; a < line1; a += step) {
        for (int d = 0; d < taps; d++) {
            const int ty = d / k - pad, tx = d % k - pad;
            /* columns of the output whose source lies inside the image */
            const int o0 = tx < 0 ? 1 : 0, o1 = min(wo, (w - tx + stride - 1) / stride);
            for (int c = c0; c < c1;) {
                const int rows = c1 - c >= CI_ROWS ? CI_ROWS : 1;
                __global float *to = part + base + ((long)d * ci + c) * co + j;
                LINES(t, CI_ROWS * TILE_N);
                for (int r = 0; r < rows; r++)
                    for (int v = 0; v < cols; v += VW)
                        stp16(a == line0 ? (vf)(0.0f) : ldv(to + (long)r * co + v, cols - v), t + r * TILE_N + v);
                const int count = min(line1 - a, step), run = o1 - o0, y = a % ho;
                __global const float *px =
                    x + ((long)(a / ho * h + y * stride + ty) * w + o0 * stride + tx) * ci + c;
                __global const float *pd = dy + ((long)a * wo + o0) * co + j;
                if (rows > 1 && cols > VW)
                    weight_8_2(t, px, pd, count, run, y, ho, h, ty, stride, w, wo, ci, co, cols - VW);
                else if (rows > 1)
                    weight_8_1(t, px, pd, count, run, y, ho, h, ty, stride, w, wo, ci, co, cols);
                else if (cols > VW)
                    weight_1_2(t, px, pd, count, run, y, ho, h, ty, stride, w, wo, ci, co, cols - VW);
                else
                    weight_1_1(t, px, pd, count, run, y, ho, h, ty, stride, w, wo, ci, co, cols);
                for (int r = 0; r < rows; r++)
                    for (int v = 0; v < cols; v += VW)
                        stv(ldp16(t + r * TILE_N + v), to + (long)r * co + v, cols - v);
                c += rows;
            }
        }
    }
#else
    (void)block;
    __local float a[TK * LD], b[TK * LD];
    __local int off_x[TK];
    const int lane = (int)get_local_id(0), d = (int)get_group_id(0) % taps;
    const int c0 = (int)get_group_id(0) / taps * TS, j0 = (int)get_group_id(1) * TS;
    const int ty = d / k - pad, tx = d % k - pad, q0 = line0 * wo, q1 = line1 * wo;
    float acc[RM][RN];
    clear(acc);
    for (int q = q0; q < q1; q += TK) {
        for (int i = lane; i < TK; i += WG) {
            const int line = (q + i) / wo, sy = line % ho * stride + ty, sx = (q + i) % wo * stride + tx;
            const int inside = q + i < q1 && sy >= 0 && sy < h && sx >= 0 && sx < w;
            off_x[i] = inside ? ((line / ho * h + sy) * w + sx) * ci : -1;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = lane; i < TS * TK; i += WG) {
            const int p = i / TS, r = i % TS;
            a[p * LD + r] = off_x[p] >= 0 && c0 + r < ci ? x[off_x[p] + c0 + r] : 0.0f;
            b[p * LD + r] = q + p < q1 && j0 + r < co ? dy[(long)(q + p) * co + j0 + r] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(acc, a, b);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int r = 0; r < RM; r++) {
        for (int v = 0; v < RN; v++) {
            const int c = c0 + lane / TX + r * TY, j = j0 + lane % TX + v * TX;
            if (c < ci && j < co) part[base + ((long)d * ci + c) * co + j] = acc[r][v];
        }
    }
#endif
}

/* dw (+)= the sum of the parts, BLOCK elements per group. */
__kernel void conv_fold(ARG(dw), ARG_CONST(part), const int n, const int parts, const int acc)
{
    PTR(dw);
    PTR_CONST(part);
    const int i0 = (int)get_group_id(0) * BLOCK, m = min(BLOCK, n - i0);
    ROW_FOR(i, m)
    {
        vf sum = acc ? ldv(dw + i0 + i, m - i) : (vf)(0.0f);
        for (int z = 0; z < parts; z++) sum += ldv(part + (long)z * n + i0 + i, m - i);
        stv(sum, dw + i0 + i, m - i);
    }
}
