/* Timing and what else the benchmarks share. run/bench.h */
#include "run/bench.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"

enum { MAX_RUNS = 400, MIN_RUNS = 3 };
#define RUN_SECONDS 2e-3 /* a timed run repeats a short list until it is about this long */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bf_bench_times bf_bench_order(double *seconds, unsigned n)
{
    qsort(seconds, n, sizeof *seconds, ascending);
    return (bf_bench_times){.median = 0.5 * (seconds[(n - 1) / 2] + seconds[n / 2]),
                            .least = seconds[0],
                            .largest = seconds[n - 1],
                            .runs = n};
}

/* Seconds of one run out of `repeats` in a row. */
static bf_status run(bf_ctx *ctx, bf_cmds *cmds, unsigned repeats, double *seconds, bf_err *err)
{
    bf_status st = BF_OK;
    const double start = bf_seconds();
    for (unsigned i = 0; i < repeats; i++) BF_TRY(bf_cmds_run(cmds, err));
    BF_TRY(bf_finish(ctx, err));
    *seconds = (bf_seconds() - start) / repeats;
out:
    return st;
}

bf_status bf_bench_once(bf_ctx *ctx, bf_cmds *cmds, bf_err *err)
{
    double unused;
    return run(ctx, cmds, 1, &unused, err);
}

bf_status bf_bench_time(bf_ctx *ctx, bf_cmds *cmds, double seconds, bf_bench_times *out, bf_err *err)
{
    bf_status st = BF_OK;
    double times[MAX_RUNS], once;
    unsigned n = 0;
    BF_TRY(run(ctx, cmds, 1, &once, err));
    const unsigned repeats = once > RUN_SECONDS ? 1 : 1 + (unsigned)(RUN_SECONDS / fmax(once, 1e-6));
    const double start = bf_seconds();
    while (n < MIN_RUNS || (n < MAX_RUNS && bf_seconds() - start < seconds))
        BF_TRY(run(ctx, cmds, repeats, &times[n++], err));
    *out = bf_bench_order(times, n);
out:
    return st;
}

bf_status bf_bench_fill(bf_ctx *ctx, bf_mem mem, uint64_t n, float low, float high, bf_err *err)
{
    bf_status st = BF_OK;
    float *x = NULL;
    uint32_t state = 1;
    BF_NEW(x, n);
    for (uint64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = low + (high - low) * ((float)(state >> 8) / 16777216.0f);
    }
    BF_TRY(bf_write(ctx, mem, x, (size_t)n * sizeof *x, err));
out:
    free(x);
    return st;
}

bf_status bf_bench_open(const bfncl_device_options *d, bf_gemm_choice gemm, bf_ctx **out, bf_err *err)
{
    const bf_ctx_options o = {.selector = d->selector,
                              .selector_from = d->selector_from,
                              .gemm = gemm,
                              .kernel_dir = d->kernel_dir,
                              .memory_limit = d->memory_limit};
    return bf_ctx_open(&o, out, err);
}

bf_status bf_bench_progress(bfncl_progress_fn fn, void *user, uint64_t done, uint64_t total, bf_err *err)
{
    bf_status st = BF_OK;
    const bfncl_progress p = {"measuring", done, total, NAN, NAN, NAN, NAN, NAN};
    BF_CHECK(fn == NULL || fn(user, &p), BF_STOPPED, "stopped while measuring");
out:
    return st;
}
