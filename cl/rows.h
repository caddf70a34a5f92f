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

/* held[k][LANES] = column first + k of the rows, k < n; rows that are not there repeat the last one. */
CALLED void read_columns(float *held, __global const float *rows, const int cols, const int left, const int first,
                         const int n)
{
    float16 x[LANES];
    const int last = min(left, LANES) - 1;
    if (cols == 2 && left >= LANES) {
        pair_columns(held, ld16(rows), ld16(rows + LANES));
    } else if (cols < 16) {
        const int count = (last + 1) * cols;
        LINES(copy, 16 * LANES);
        for (int i = 0; i < count; i += 16) stp16(ldv(rows + i, count - i), copy + i);
#pragma unroll
        for (int r = 0; r < LANES; r++) x[r] = ldp16(copy + min(r, last) * cols);
        transpose_16(x);
#pragma unroll
        for (int k = 0; k < 15; k++) stp16(x[k], held + k * LANES);
    } else {
#pragma unroll 1
        for (int k = 0; k < n; k += 16) {
            const int from = min(k, n - 16);
#pragma unroll
            for (int r = 0; r < LANES; r++) {
                x[r] = ld16(rows + min(r, last) * cols + first + from);
                PREFETCH(rows + (r + LANES) * cols + first + from);
            }
            transpose_16(x);
#pragma unroll
            for (int i = 0; i < 16; i++) stp16(x[i], held + (from + i) * LANES);
        }
    }
}

/* The way back. */
CALLED void write_columns(__global float *rows, const float *held, const int cols, const int left, const int first,
                          const int n)
{
    float16 x[LANES];
    const int count = min(left, LANES);
    if (cols < 16) {
        LINES(copy, 16 * LANES);
#pragma unroll
        for (int k = 0; k < 16; k++) x[k] = ldp16(held + k * LANES);
        transpose_16(x);
#pragma unroll
        for (int r = 0; r < LANES; r++) stp16(x[r], copy + r * cols); /* the next row covers what is too much */
        for (int i = 0; i < count * cols; i += 16) stv(ldp16(copy + i), rows + i, count * cols - i);
    } else {
#pragma unroll 1
        for (int k = 0; k < n; k += 16) {
            const int to = min(k, n - 16);
#pragma unroll
            for (int i = 0; i < 16; i++) x[i] = ldp16(held + (to + i) * LANES);
            transpose_16(x);
#pragma unroll
            for (int r = 0; r < LANES; r++)
                if (r < count) st16(x[r], rows + r * cols + first + to);
        }
    }
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
