/* What the device can do at best, measured. Public interface: bfncl_bench_peak in include/bfncl.h. */
#include "base/clock.h"
#include "base/size.h"
#include "op/op.h"
#include "run/bench.h"

#define CHAINS 16     /* cl/peak.cl */
#define VECTOR_CPU 16 /* lanes of a vector of the cpu class */
#define GROUPS 64     /* of the arithmetic, per compute unit */
#define LONG_RUN 4e-3 /* seconds that a run of the arithmetic takes at least */
#define LEAST_ROUNDS 64

size_t bf_bench_groups(const bf_ctx *ctx)
{
    return (size_t)GROUPS * bf_ctx_units(ctx);
}

bf_status bf_bench_append_arithmetic(bf_cmds *cmds, bf_mem out, int rounds, size_t *groups, size_t *sums, bf_err *err)
{
    bf_ctx *ctx = bf_cmds_ctx(cmds);
    const bf_arg args[] = {bf_arg_mem(out), bf_arg_f32(0.5f), bf_arg_f32(1.0f), bf_arg_i32(rounds)};
    bf_call call = {.file = "peak.cl", .kernel = "peak_arithmetic", .args = args, .n_args = BF_COUNT(args)};
    *groups = bf_bench_groups(ctx);
    *sums = CHAINS * bf_ctx_group(ctx) * (bf_ctx_class(ctx) == BF_CLASS_CPU ? VECTOR_CPU : 1);
    call.flops = 2.0 * (double)*groups * (double)*sums * rounds;
    bf_call_rows(&call, ctx, *groups);
    return bf_cmds_kernel(cmds, &call, err);
}

/* As many rounds as make the launch itself cheap. */
bf_status bf_bench_peak_arithmetic(bf_ctx *ctx, double seconds, bfncl_peak *p, bf_err *err)
{
    bf_status st = BF_OK;
    bf_buf *out = NULL;
    bf_cmds *cmds = NULL;
    bf_bench_times t;
    double flop = 0.0, took = 0.0;
    BF_TRY(bf_buf_new(ctx, bf_bench_groups(ctx) * sizeof(float), "peak", &out, err));
    for (int rounds = LEAST_ROUNDS; took < LONG_RUN && rounds < 1 << 24; rounds *= 2) {
        size_t groups, sums;
        bf_cmds_free(cmds);
        cmds = NULL;
        BF_TRY(bf_cmds_new(ctx, &cmds, err));
        BF_TRY(bf_bench_append_arithmetic(cmds, (bf_mem){out, 0}, rounds, &groups, &sums, err));
        flop = 2.0 * (double)groups * (double)sums * rounds;
        BF_TRY(bf_bench_once(ctx, cmds, err));
        const double start = bf_seconds();
        BF_TRY(bf_bench_once(ctx, cmds, err));
        took = bf_seconds() - start;
    }
    BF_TRY(bf_bench_time(ctx, cmds, seconds, &t, err));
    p->gflops = 1e-9 * flop / t.median;
    p->gflops_min = 1e-9 * flop / t.largest;
    p->gflops_max = 1e-9 * flop / t.least;
out:
    bf_cmds_free(cmds);
    bf_buf_free(out);
    return st;
}

bf_status bf_bench_append_copy(bf_cmds *cmds, bf_mem y, bf_mem x, uint64_t n, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(x), bf_arg_u64(n)};
    bf_call call = {.file = "peak.cl", .kernel = "peak_copy", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 2.0 * sizeof(float) * (double)n;
    bf_call_flat(&call, bf_cmds_ctx(cmds), n);
    return bf_cmds_kernel(cmds, &call, err);
}

static bf_status copy(bf_ctx *ctx, double seconds, uint64_t bytes, bfncl_peak *p, bf_err *err)
{
    bf_status st = BF_OK;
    bf_buf *from = NULL, *to = NULL;
    bf_cmds *kernel = NULL, *driver = NULL;
    bf_bench_times t;
    const double moved = 2e-9 * (double)bytes;
    p->copy_bytes = bytes;
    BF_TRY(bf_buf_new(ctx, bytes, "copy", &from, err));
    BF_TRY(bf_buf_new(ctx, bytes, "copy", &to, err));
    BF_TRY(bf_cmds_new(ctx, &kernel, err));
    BF_TRY(bf_bench_append_copy(kernel, (bf_mem){to, 0}, (bf_mem){from, 0}, bytes / sizeof(float), err));
    BF_TRY(bf_bench_once(ctx, kernel, err));
    BF_TRY(bf_bench_time(ctx, kernel, seconds, &t, err));
    p->copy_gbps = moved / t.median;
    p->copy_gbps_min = moved / t.largest;
    p->copy_gbps_max = moved / t.least;
    BF_TRY(bf_cmds_new(ctx, &driver, err));
    BF_TRY(bf_cmds_copy(driver, (bf_mem){to, 0}, (bf_mem){from, 0}, bytes, err));
    BF_TRY(bf_bench_once(ctx, driver, err));
    BF_TRY(bf_bench_time(ctx, driver, seconds, &t, err));
    p->driver_copy_gbps = moved / t.median;
out:
    bf_cmds_free(kernel);
    bf_cmds_free(driver);
    bf_buf_free(from);
    bf_buf_free(to);
    return st;
}

bf_status bf_bench_peak(bf_ctx *ctx, double seconds, uint64_t bytes, bfncl_peak *out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_bench_peak_arithmetic(ctx, seconds, out, err));
    BF_TRY(copy(ctx, seconds, bytes, out, err));
out:
    return st;
}

static bf_status no_rows(bf_bench_table *t, bf_err *err)
{
    (void)t;
    (void)err;
    return BF_OK;
}

bfncl_status bfncl_bench_peak(const bfncl_bench_options *o, bfncl_bench_result *result, bfncl_error *err)
{
    bf_err own;
    return bf_bench_run(o, 0, no_rows, result, err ? err : &own);
}
