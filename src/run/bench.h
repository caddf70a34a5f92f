/* Measuring: what the bench_*.c share. */
#ifndef BF_RUN_BENCH_H
#define BF_RUN_BENCH_H

#include "device/gemm.h"

#define BF_BENCH_SECONDS 0.3 /* of timed runs for a row, unless the caller says */

/* Seconds of one run. */
typedef struct bf_bench_times {
    double median, least, largest;
    unsigned runs; /* timed */
} bf_bench_times;

/* The median and the ends of n > 0 times, which get sorted. */
bf_bench_times bf_bench_order(double *seconds, unsigned n);

/* Runs the list and waits: its first run, which may compile. */
bf_status bf_bench_once(bf_ctx *ctx, bf_cmds *cmds, bf_err *err);

/* Times a list that has run before: one more run to warm up, then runs for about `seconds`, at least three. A list of
 * less than 2 ms runs several times in a row for each time taken. */
bf_status bf_bench_time(bf_ctx *ctx, bf_cmds *cmds, double seconds, bf_bench_times *out, bf_err *err);

/* n floats in [-1, 1), the same each time. */
bf_status bf_bench_fill(bf_ctx *ctx, bf_mem mem, uint64_t n, bf_err *err);

/* The device that option or environment choose. */
bf_status bf_bench_open(const bfncl_device_options *d, bf_gemm_choice gemm, bf_ctx **out, bf_err *err);

/* What the device can do at best; the arithmetic alone. The rest of *out stays. */
bf_status bf_bench_peak(bf_ctx *ctx, double seconds, bfncl_peak *out, bf_err *err);
bf_status bf_bench_peak_arithmetic(bf_ctx *ctx, double seconds, bfncl_peak *out, bf_err *err);

/* Tells the caller that `done` of `total` rows are measured; BF_STOPPED when it wants no more. `fn` may be NULL. */
bf_status bf_bench_progress(bfncl_progress_fn fn, void *user, uint64_t done, uint64_t total, bf_err *err);

/* ---- tables of rows (bench_rows.c) ------------------------------------------------------------------------------- */

/* Of a buffer that is to be beyond every cache: the part 1 / share of what the device allows, 4 KiB to 256 MiB. */
#define BF_BENCH_LARGEST (UINT64_C(256) << 20)
uint64_t bf_bench_tensor(const bf_ctx *ctx, uint64_t share);

/* A table under way. */
typedef struct bf_bench_table {
    const bfncl_bench_options *o;
    bf_ctx *ctx;
    double seconds; /* per row */
    bfncl_bench_result *r;
    size_t room, done, total; /* rows that were looked at, and all */
} bf_bench_table;

/* Measures all rows of a table: calls bf_bench_row for each. */
typedef bf_status (*bf_bench_fn)(bf_bench_table *t, bf_err *err);

/* Opens the device, measures its peak, then the rows, of which there are `total` before the caller's filter. */
bf_status bf_bench_run(const bfncl_bench_options *o, size_t total, bf_bench_fn rows, bfncl_bench_result *r,
                       bf_err *err);

/* What a row does: arithmetic, and the bytes of every tensor that must be read or written, once each. */
typedef struct bf_bench_work {
    const char *op, *shape;
    double flop, bytes; /* flop 0: not counted */
} bf_bench_work;

/* Appends to an empty list what is to be measured. */
typedef bf_status (*bf_bench_append)(void *user, bf_cmds *cmds, bf_err *err);

/* Unless the caller's filter leaves it out: makes a list, measures it, adds a row. */
bf_status bf_bench_row(bf_bench_table *t, const bf_bench_work *w, bf_bench_append append, void *user, bf_err *err);
/* Does the caller's filter keep rows of this op? */
bool bf_bench_wanted(const bf_bench_table *t, const char *op);

#endif
