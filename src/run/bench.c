/* Measuring matrix products. Public interface: bfncl_bench_gemm in include/bfncl.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/size.h"
#include "device/gemm.h"

enum { MAX_RUNS = 400, MIN_RUNS = 3 };
#define RUN_SECONDS 2e-3 /* a timed run repeats a short product until it is about this long */
#define DEFAULT_SECONDS 0.3

/* M x N x K as in training: transformer layers (2048 rows), convolutions as products (8192 and 32768 pixels), attention
 * (64 heads); forward is nt, the gradient by the input nn, by the weight tn. */
static const bfncl_gemm_shape default_shapes[] = {
    {2048, 3072, 768, 1, "nt"},  {2048, 768, 3072, 1, "nn"}, {3072, 768, 2048, 1, "tn"}, {2048, 768, 768, 1, "nt"},
    {2048, 768, 768, 1, "nn"},   {768, 768, 2048, 1, "tn"},  {8192, 64, 576, 1, "nn"},   {576, 64, 8192, 1, "tn"},
    {32768, 128, 1152, 1, "nn"}, {256, 256, 64, 64, "nt"},   {256, 64, 256, 64, "nn"},   {256, 64, 256, 64, "tn"}};

void bfncl_bench_gemm_defaults(bfncl_bench_gemm_options *o)
{
    *o = (bfncl_bench_gemm_options){.seconds = DEFAULT_SECONDS};
}

/* Operands and the prepared product of one row. */
typedef struct product {
    bf_buf *buf;
    bf_cmds *cmds;
} product;

static void product_free(product *p)
{
    bf_cmds_free(p->cmds);
    bf_buf_free(p->buf);
}

static bf_status fill(bf_ctx *ctx, bf_mem mem, uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    float *x = NULL;
    uint32_t state = 1;
    BF_NEW(x, n);
    for (uint64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    BF_TRY(bf_write(ctx, mem, x, (size_t)n * sizeof *x, err));
out:
    free(x);
    return st;
}

static bf_status product_new(bf_ctx *ctx, const bfncl_gemm_shape *s, product *out, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t m = (uint64_t)s->m, n = (uint64_t)s->n, k = (uint64_t)s->k, batch = (uint64_t)s->batch;
    const bf_gemm g = {.m = s->m,
                       .n = s->n,
                       .k = s->k,
                       .trans_a = s->trans[0] == 't',
                       .trans_b = s->trans[1] == 't',
                       .batch = s->batch,
                       .stride_a = m * k,
                       .stride_b = k * n,
                       .stride_c = m * n,
                       .alpha = 1.0f};
    const uint64_t align = bf_ctx_align(ctx), at_b = bf_round_up(4 * batch * m * k, align);
    const uint64_t at_c = at_b + bf_round_up(4 * batch * k * n, align);
    const uint64_t at_w = at_c + bf_round_up(4 * batch * m * n, align);
    BF_TRY(bf_buf_new(ctx, at_w + bf_gemm_workspace(ctx, &g) + 4, "matrices to measure", &out->buf, err));
    const bf_gemm_mem mem = {
        .a = {out->buf, 0}, .b = {out->buf, at_b}, .c = {out->buf, at_c}, .workspace = {out->buf, at_w}};
    BF_TRY(fill(ctx, mem.a, batch * m * k, err));
    BF_TRY(fill(ctx, mem.b, batch * k * n, err));
    BF_TRY(bf_cmds_new(ctx, &out->cmds, err));
    BF_TRY(bf_cmds_gemm(out->cmds, &g, &mem, err));
out:
    return st;
}

/* Seconds of one product out of `repeats` in a row. */
static bf_status run(bf_ctx *ctx, const product *p, unsigned repeats, double *seconds, bf_err *err)
{
    bf_status st = BF_OK;
    const double start = bf_seconds();
    for (unsigned i = 0; i < repeats; i++) BF_TRY(bf_cmds_run(p->cmds, err));
    BF_TRY(bf_finish(ctx, err));
    *seconds = (bf_seconds() - start) / repeats;
out:
    return st;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bf_status measure(bf_ctx *ctx, const bfncl_gemm_shape *s, double seconds, bfncl_bench_gemm_row *row, bf_err *err)
{
    bf_status st = BF_OK;
    product p = {0};
    double times[MAX_RUNS], once = 0.0;
    const double gflop = 2e-9 * s->m * s->n * (double)s->k * s->batch;
    row->shape = *s;
    snprintf(row->provider, sizeof row->provider, "%s", bf_ctx_gemm(ctx) == BF_GEMM_CLBLAST ? "clblast" : "packed");
    const double created = bf_seconds();
    BF_TRY(product_new(ctx, s, &p, err));
    BF_TRY(run(ctx, &p, 1, &once, err));
    row->first_ms = 1e3 * (bf_seconds() - created);
    BF_TRY(run(ctx, &p, 1, &once, err));
    const unsigned repeats = once > RUN_SECONDS ? 1 : 1 + (unsigned)(RUN_SECONDS / fmax(once, 1e-6));
    const double start = bf_seconds();
    while (row->runs < MIN_RUNS || (row->runs < MAX_RUNS && bf_seconds() - start < seconds))
        BF_TRY(run(ctx, &p, repeats, &times[row->runs++], err));
    qsort(times, row->runs, sizeof *times, ascending);
    row->gflops = gflop / (0.5 * (times[(row->runs - 1) / 2] + times[row->runs / 2]));
    row->gflops_min = gflop / times[row->runs - 1];
    row->gflops_max = gflop / times[0];
out:
    product_free(&p);
    return st;
}

static bf_status check_shape(const bfncl_gemm_shape *s, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t sizes[] = {(uint64_t)s->m * (uint64_t)s->k, (uint64_t)s->k * (uint64_t)s->n,
                              (uint64_t)s->m * (uint64_t)s->n};
    BF_CHECK(s->m > 0 && s->n > 0 && s->k > 0 && s->batch > 0, BF_USAGE,
             "matrix product of %dx%dx%d, batch %d: sizes must be positive", s->m, s->n, s->k, s->batch);
    for (size_t i = 0; i < BF_COUNT(sizes); i++)
        BF_CHECK(sizes[i] <= (UINT64_C(1) << 40) / (uint64_t)s->batch, BF_USAGE,
                 "matrix product of %dx%dx%d, batch %d, is too large to measure", s->m, s->n, s->k, s->batch);
    BF_CHECK(strlen(s->trans) == 2 && strspn(s->trans, "nt") == 2, BF_USAGE,
             "matrix product: transposes are 'nn', 'nt', 'tn' or 'tt', not '%.2s'", s->trans);
out:
    return st;
}

static bf_status open_ctx(const bfncl_device_options *d, bf_gemm_choice gemm, bf_ctx **out, bf_err *err)
{
    const bf_ctx_options o = {.selector = d->selector,
                              .selector_from = d->selector_from,
                              .gemm = gemm,
                              .kernel_dir = d->kernel_dir,
                              .memory_limit = d->memory_limit};
    return bf_ctx_open(&o, out, err);
}

/* The providers to measure, at most two; 0 when the name is unknown. */
static size_t providers(const char *name, bf_gemm_choice out[2])
{
    out[0] = BF_GEMM_PACKED;
    out[1] = BF_GEMM_CLBLAST;
    if (name == NULL || strcmp(name, "auto") == 0) return 2;
    if (strcmp(name, "clblast") == 0) out[0] = BF_GEMM_CLBLAST;
    return strcmp(name, "clblast") == 0 || strcmp(name, "packed") == 0;
}

bfncl_status bfncl_bench_gemm(const bfncl_bench_gemm_options *o, bfncl_bench_gemm_row **rows, size_t *n_rows,
                              char device[256], bfncl_error *error)
{
    bf_status st = BF_OK;
    bf_err local, *err = error != NULL ? error : &local;
    const bfncl_gemm_shape *shapes = o->shapes != NULL ? o->shapes : default_shapes;
    const size_t n = o->shapes != NULL ? o->n_shapes : BF_COUNT(default_shapes);
    bf_gemm_choice choice[2];
    const size_t n_choice = providers(o->device.gemm, choice);
    bfncl_bench_gemm_row *out = NULL;
    bf_ctx *ctx = NULL;
    BF_CHECK(n_choice > 0, BF_USAGE, "no matrix product provider '%.40s': packed, clblast or auto", o->device.gemm);
    for (size_t i = 0; i < n; i++) BF_TRY(check_shape(&shapes[i], err));
    BF_NEW(out, n * n_choice);
    for (size_t c = 0; c < n_choice; c++) {
        BF_TRY(open_ctx(&o->device, choice[c], &ctx, err));
        if (device != NULL) snprintf(device, 256, "%s", bf_ctx_name(ctx));
        for (size_t i = 0; i < n; i++) {
            const bfncl_progress p = {"measuring", c * n + i, n * n_choice, NAN, NAN, NAN, NAN, NAN};
            if (o->progress != NULL && !o->progress(o->user, &p)) {
                st = bf_fail(err, BF_STOPPED, "stopped while measuring");
                goto out;
            }
            BF_TRY(measure(ctx, &shapes[i], o->seconds > 0 ? o->seconds : DEFAULT_SECONDS, &out[c * n + i], err));
        }
        bf_ctx_close(ctx);
        ctx = NULL;
    }
    *rows = out;
    *n_rows = n * n_choice;
    out = NULL;
out:
    bf_ctx_close(ctx);
    free(out);
    return st;
}
