/* Measuring matrix products. Public interface: bfncl_bench_gemm in include/bfncl.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "run/bench.h"

/* M x N x K as in training: transformer layers (2048 rows), convolutions as products (8192 and 32768 pixels), attention
 * (64 heads); forward is nt, the gradient by the input nn, by the weight tn. */
static const bfncl_gemm_shape default_shapes[] = {
    {2048, 3072, 768, 1, "nt"},  {2048, 768, 3072, 1, "nn"}, {3072, 768, 2048, 1, "tn"}, {2048, 768, 768, 1, "nt"},
    {2048, 768, 768, 1, "nn"},   {768, 768, 2048, 1, "tn"},  {8192, 64, 576, 1, "nn"},   {576, 64, 8192, 1, "tn"},
    {32768, 128, 1152, 1, "nn"}, {256, 256, 64, 64, "nt"},   {256, 64, 256, 64, "nn"},   {256, 64, 256, 64, "tn"}};

void bfncl_bench_gemm_defaults(bfncl_bench_gemm_options *o)
{
    *o = (bfncl_bench_gemm_options){.seconds = BF_BENCH_SECONDS};
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
    BF_TRY(bf_bench_fill(ctx, mem.a, batch * m * k, -1, 1, err));
    BF_TRY(bf_bench_fill(ctx, mem.b, batch * k * n, -1, 1, err));
    BF_TRY(bf_cmds_new(ctx, &out->cmds, err));
    BF_TRY(bf_cmds_gemm(out->cmds, &g, &mem, err));
out:
    return st;
}

static bf_status measure(bf_ctx *ctx, const bfncl_gemm_shape *s, double seconds, double peak, bfncl_bench_gemm_row *row,
                         bf_err *err)
{
    bf_status st = BF_OK;
    product p = {0};
    bf_bench_times t;
    const double gflop = 2e-9 * s->m * s->n * (double)s->k * s->batch, created = bf_seconds();
    row->shape = *s;
    snprintf(row->provider, sizeof row->provider, "%s", bf_ctx_gemm(ctx) == BF_GEMM_CLBLAST ? "clblast" : "packed");
    BF_TRY(product_new(ctx, s, &p, err));
    BF_TRY(bf_bench_once(ctx, p.cmds, err));
    row->first_ms = 1e3 * (bf_seconds() - created);
    BF_TRY(bf_bench_time(ctx, p.cmds, seconds, &t, err));
    row->runs = t.runs;
    row->gflops = gflop / t.median;
    row->gflops_min = gflop / t.largest;
    row->gflops_max = gflop / t.least;
    row->fraction_of_peak = row->gflops / peak;
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
    bfncl_peak peak = {0};
    const double seconds = o->seconds > 0 ? o->seconds : BF_BENCH_SECONDS;
    BF_CHECK(n_choice > 0, BF_USAGE, "no matrix product provider '%.40s': packed, clblast or auto", o->device.gemm);
    for (size_t i = 0; i < n; i++) BF_TRY(check_shape(&shapes[i], err));
    BF_NEW(out, n * n_choice);
    for (size_t c = 0; c < n_choice; c++) {
        BF_TRY(bf_bench_open(&o->device, choice[c], &ctx, err));
        if (device != NULL) snprintf(device, 256, "%s", bf_ctx_name(ctx));
        if (c == 0) BF_TRY(bf_bench_peak_arithmetic(ctx, seconds, &peak, err));
        for (size_t i = 0; i < n; i++) {
            BF_TRY(bf_bench_progress(o->progress, o->user, c * n + i, n * n_choice, err));
            BF_TRY(measure(ctx, &shapes[i], seconds, peak.gflops, &out[c * n + i], err));
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
