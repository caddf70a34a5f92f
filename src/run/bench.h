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

/* n floats in [low, high), the same each time. */
bf_status bf_bench_fill(bf_ctx *ctx, bf_mem mem, uint64_t n, float low, float high, bf_err *err);

/* The device that option or environment choose. */
bf_status bf_bench_open(const bfncl_device_options *d, bf_gemm_choice gemm, bf_ctx **out, bf_err *err);

/* What the device can do at best, copying between buffers of `bytes`; the arithmetic alone. The rest of *out stays. */
bf_status bf_bench_peak(bf_ctx *ctx, double seconds, uint64_t bytes, bfncl_peak *out, bf_err *err);
bf_status bf_bench_peak_arithmetic(bf_ctx *ctx, double seconds, bfncl_peak *out, bf_err *err);

/* What they run. Arithmetic: *groups numbers into `out`, each 2 for each of the sums that a group has under way, *sums
 * of them; `rounds` multiply-adds (at least 32) for each sum. Copy: y = x, n numbers. */
bf_status bf_bench_append_arithmetic(bf_cmds *cmds, bf_mem out, int rounds, size_t *groups, size_t *sums, bf_err *err);
bf_status bf_bench_append_copy(bf_cmds *cmds, bf_mem y, bf_mem x, uint64_t n, bf_err *err);
size_t bf_bench_groups(const bf_ctx *ctx); /* *groups, before */

/* Tells the caller that `done` of `total` rows are measured; BF_STOPPED when it wants no more. `fn` may be NULL. */
bf_status bf_bench_progress(bfncl_progress_fn fn, void *user, uint64_t done, uint64_t total, bf_err *err);

/* ---- tables of rows (bench_rows.c) ------------------------------------------------------------------------------- */

/* A table under way. */
typedef struct bf_bench_table {
    const bfncl_bench_options *o;
    bf_ctx *ctx;
    double seconds;   /* per row */
    uint64_t largest; /* bytes of a tensor that is to be beyond the caches */
    bfncl_bench_result *r;
    size_t room, done, total; /* rows that were looked at, and all */
    const struct bf_bench_shapes *shapes;
} bf_bench_table;

/* Bytes of such a tensor: t->largest, but at most the part 1 / share of what the device allows, and whole pages. */
uint64_t bf_bench_tensor(const bf_bench_table *t, uint64_t share);

/* Measures all rows of a table: calls bf_bench_row for each. */
typedef bf_status (*bf_bench_fn)(bf_bench_table *t, bf_err *err);

/* Opens the device, measures its peak, then the rows, of which there are `total` before the caller's filter. */
#define BF_BENCH_LARGEST (UINT64_C(256) << 20)
bf_status bf_bench_run(const bfncl_bench_options *o, size_t total, bf_bench_fn rows, bfncl_bench_result *r,
                       bf_err *err);

/* The same for a table of `per_shape` rows for each shape of the caller, or each of those here. */
typedef struct bf_bench_shapes {
    const char *const *shapes;
    size_t n_shapes, per_shape;
    bf_status (*check)(const char *shape, bf_err *err); /* BF_USAGE for a text that is no shape */
    bf_status (*rows)(bf_bench_table *t, const char *shape, bf_err *err);
} bf_bench_shapes;
bf_status bf_bench_run_shapes(const bfncl_bench_options *o, const bf_bench_shapes *s, bfncl_bench_result *r,
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

/* The tables. */
extern const bf_bench_shapes bf_bench_conv_shapes, bf_bench_attention_shapes;
bf_status bf_bench_ops_rows(bf_bench_table *t, bf_err *err);
size_t bf_bench_ops_count(void);

#endif
