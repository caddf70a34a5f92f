/*
 * Rows of few numbers, such as the logits of one variable. On the "cpu" class a vector has one number of each of 16
 * neighbouring rows, so that no fold goes across lanes and no lane is empty: rows are read and written as they lie in memory,
 * and exchanged with columns in registers. A window of columns stays in private memory meanwhile; rows of up to LONGEST
 * numbers are read once, however often a kernel walks them. Kernels walk columns in rising order, all of them. Include after
 * flow.h, whose lanes these are.
 */
#ifndef BF_ROWS_H
#define BF_ROWS_H

#include "transpose.h"

#define WINDOW 64             /* columns */
#define LONGEST (WINDOW + 15) /* of a window: none that begins behind the first has fewer than 16 columns */

/* `left` rows of `cols` numbers; columns first .. first + n - 1 are held. */
typedef struct columns {
    __global const float *rows;
    int cols, left, first, n;
    float *held;
} columns;

/* The same for rows to write. */
typedef struct new_columns {
    __global float *rows;
    int cols, left, first, n;
    float *held;
} new_columns;

#if WIDE
#define HELD(name) float *const name = 0
#else
/* Declares the memory of a window. */
#define HELD(name) LINES(name, (WINDOW + 16) * LANES)
#endif

static inline columns columns_of(__global const float *rows, const int cols, const int left, float *held)
{
    const columns c = {rows, cols, left, 0, 0, held};
    return c;
}

static inline new_columns new_columns_of(__global float *rows, const int cols, const int left, float *held)
{
    const new_columns c = {rows, cols, left, 0, 0, held};
    return c;
}

#if !WIDE

/* Called, not inlined: kernels stay small. */
#define CALLED static __attribute__((noinline))

static inline int window_length(const int cols, const int first)
{
    return cols - first <= LONGEST ? cols - first : WINDOW;
}

INLINE void pair_columns(float *held, const float16 a, const float16 b)
{
    float16 x, y;
    x.lo = a.even;
    x.hi = b.even;
    y.lo = a.odd;
    y.hi = b.odd;
    stp16(x, held);
    stp16(y, held + LANES);
}

/* A block of 16 x 16 is exchanged in two halves, with memory between them: what transpose_16 makes of it would take a
 * compiler longer than the rest of a kernel. This is either half. */
INLINE void exchange_half(float *to, const float *from)
{
#pragma unroll 1
    for (int r = 0; r < 4; r++) {
        float16 v[4];
#pragma unroll
        for (int j = 0; j < 4; j++) v[j] = ldp16(from + (r + 4 * j) * 16);
        zip_four(v);
#pragma unroll
        for (int j = 0; j < 4; j++) stp16(v[j], to + (4 * r + j) * 16);
    }
}

/* held[k][LANES] = column first + k of the rows, k < n; rows that are not there repeat the last one. */
CALLED void read_columns(float *held, __global const float *rows, const int cols, const int left, const int first,
                         const int n)
{
    LINES(copy, 16 * LANES); /* rows shorter than a vector: from here it may be read beyond their end */
    LINES(block, 16 * LANES);
    const int last = min(left, LANES) - 1, count = cols < 16 ? (last + 1) * cols : 0;
    if (cols == 2 && left >= LANES) {
        pair_columns(held, ld16(rows), ld16(rows + LANES));
        return;
    }
    for (int i = 0; i < count; i += 16) stp16(ldv(rows + i, count - i), copy + i);
#pragma unroll 1
    for (int k = 0; k < n; k += 16) {
        const int from = max(min(k, n - 16), 0);
#pragma unroll 1
        for (int r = 0; r < 4; r++) {
            float16 v[4];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int at = min(r + 4 * j, last) * cols + first + from;
                v[j] = cols < 16 ? ldp16(copy + at) : ld16(rows + at);
                PREFETCH(rows + at + LANES * cols);
            }
            zip_four(v);
#pragma unroll
            for (int j = 0; j < 4; j++) stp16(v[j], block + (4 * r + j) * 16);
        }
        exchange_half(held + from * LANES, block);
    }
}

/* The way back. */
CALLED void write_columns(__global float *rows, const float *held, const int cols, const int left, const int first,
                          const int n)
{
    LINES(copy, 16 * LANES);
    LINES(block, 16 * LANES);
    const int rows_left = min(left, LANES), count = cols < 16 ? rows_left * cols : 0;
#pragma unroll 1
    for (int k = 0; k < n; k += 16) {
        const int to = max(min(k, n - 16), 0);
        exchange_half(block, held + to * LANES);
#pragma unroll 1
        for (int r = 0; r < LANES; r += 4) {
            float16 v[4];
#pragma unroll
            for (int j = 0; j < 4; j++) v[j] = ldp16(block + (r / 4 + 4 * j) * 16);
            zip_four(v);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (cols < 16) {
                    stp16(v[j], copy + (r + j) * cols); /* the next row covers what is too much */
                } else if (r + j < rows_left) {
                    st16(v[j], rows + (r + j) * cols + first + to);
                }
            }
        }
    }
    for (int i = 0; i < count; i += 16) stv(ldp16(copy + i), rows + i, count - i);
}

/* Brings column k into the window; whether it was not there. */
static inline int window_moves(columns *c, const int k)
{
    if ((uint)(k - c->first) < (uint)c->n) return 0;
    c->first = k;
    c->n = window_length(c->cols, k);
    read_columns(c->held, c->rows, c->cols, c->left, c->first, c->n);
    return 1;
}

#endif

/* Column k. */
static inline lf column(columns *c, const int k)
{
#if WIDE
    return c->rows[k];
#else
    window_moves(c, k);
    return ldp16(c->held + (k - c->first) * LANES);
#endif
}

/* Replaces column k, which the window has, until the window moves. */
static inline void hold_column(const lf v, columns *c, const int k)
{
#if !WIDE
    stp16(v, c->held + (k - c->first) * LANES);
#endif
}

/* Writes column k; the last one of the window takes it to memory. */
static inline void put_column(const lf v, new_columns *c, const int k)
{
#if WIDE
    c->rows[k] = v;
#else
    if (k >= c->first + c->n) {
        c->first = k;
        c->n = window_length(c->cols, k);
    }
    stp16(v, c->held + (k - c->first) * LANES);
    if (k == c->first + c->n - 1) write_columns(c->rows, c->held, c->cols, c->left, c->first, c->n);
#endif
}

#endif
