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

/* Tells the caller that `done` of `total` rows are measured; BF_STOPPED when it wants no more. `fn` may be NULL. */
bf_status bf_bench_progress(bfncl_progress_fn fn, void *user, uint64_t done, uint64_t total, bf_err *err);

#endif
