/* Products with a known result: the self-test, and what tuning measures. device/gemm.h */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "device/cl.h"
#include "device/gemm_provider.h"
#include "device/tune.h"

struct bf_product {
    bf_ctx *ctx;
    bf_gemm g; /* dense, batch >= 1 */
    bf_buf *operands, *workspace;
    bf_mem a, b, c;
    bf_cmds *cmds;
    float *host;           /* C, batch x m x n */
    double *t, *abt, *got; /* [n], [batch, m] = op(A) (op(B) t), [m] */
};

/* Uniform in [-1, 1) from a small generator: the test must not depend on anything else. */
static void noise(float *x, size_t n, uint32_t *state)
{
    for (size_t i = 0; i < n; i++) {
        *state = *state * 1664525u + 1013904223u;
        x[i] = (float)(*state >> 8) / 8388608.0f - 1.0f;
    }
}

/* y[rows] = op(X) t for X stored with pitch ld, in double. */
static void times(double *y, const float *x, bool trans, int rows, int cols, int ld, const double *t)
{
    for (int i = 0; i < rows; i++) {
        y[i] = 0.0;
        for (int j = 0; j < cols; j++) y[i] += (double)(trans ? x[j * ld + i] : x[i * ld + j]) * t[j];
    }
}

static uint64_t size_a(const bf_gemm *g)
{
    return (uint64_t)g->m * (uint64_t)g->k;
}

static uint64_t size_b(const bf_gemm *g)
{
    return (uint64_t)g->k * (uint64_t)g->n;
}

static uint64_t size_c(const bf_gemm *g)
{
    return (uint64_t)g->m * (uint64_t)g->n;
}

/* Random operands, matrix by matrix, and from them the expected vectors. */
static bf_status fill(bf_product *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_gemm *g = &p->g;
    float *a = NULL, *b = NULL, weight;
    double *bt = NULL;
    uint32_t state = 1, weights = 99;
    BF_NEW(a, size_a(g));
    BF_NEW(b, size_b(g));
    BF_NEW(bt, g->k + 1);
    for (int j = 0; j < g->n; j++) {
        noise(&weight, 1, &weights);
        p->t[j] = weight;
    }
    for (uint64_t i = 0; i < (uint64_t)g->batch; i++) {
        noise(a, size_a(g), &state);
        noise(b, size_b(g), &state);
        times(bt, b, g->trans_b, g->k, g->n, g->trans_b ? g->k : g->n, p->t);
        times(p->abt + i * (uint64_t)g->m, a, g->trans_a, g->m, g->k, g->trans_a ? g->m : g->k, bt);
        BF_TRY(bf_write(p->ctx, bf_mem_at(p->a, 4 * i * size_a(g)), a, 4 * size_a(g), err));
        BF_TRY(bf_write(p->ctx, bf_mem_at(p->b, 4 * i * size_b(g)), b, 4 * size_b(g), err));
    }
out:
    free(a);
    free(b);
    free(bt);
    return st;
}

bf_status bf_product_new(bf_ctx *ctx, const bf_gemm *g, bf_product **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_product *p = NULL;
    BF_NEW(p, 1);
    p->ctx = ctx;
    p->g = *g;
    p->g.batch = BF_MAX(g->batch, 1);
    p->g.alpha = 1.0f;
    p->g.stride_a = size_a(g);
    p->g.stride_b = size_b(g);
    p->g.stride_c = size_c(g);
    const uint64_t batch = (uint64_t)p->g.batch, at_b = bf_round_up(4 * batch * size_a(g), ctx->align);
    const uint64_t at_c = at_b + bf_round_up(4 * batch * size_b(g), ctx->align);
    BF_TRY(bf_buf_new(ctx, at_c + 4 * batch * size_c(g), "matrix product to check", &p->operands, err));
    p->a = (bf_mem){p->operands, 0};
    p->b = (bf_mem){p->operands, at_b};
    p->c = (bf_mem){p->operands, at_c};
    BF_NEW(p->host, batch * size_c(g));
    BF_NEW(p->t, g->n);
    BF_NEW(p->got, g->m);
    BF_NEW(p->abt, batch * (uint64_t)g->m);
    BF_TRY(fill(p, err));
    *out = p;
    p = NULL;
out:
    bf_product_free(p);
    return st;
}

void bf_product_free(bf_product *p)
{
    if (p == NULL) return;
    bf_cmds_free(p->cmds);
    bf_buf_free(p->operands);
    bf_buf_free(p->workspace);
    free(p->host);
    free(p->t);
    free(p->got);
    free(p->abt);
    free(p);
}

bf_status bf_product_prepare(bf_product *p, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t need = bf_gemm_workspace(p->ctx, &p->g);
    bf_cmds_free(p->cmds);
    p->cmds = NULL;
    if (p->workspace == NULL || bf_buf_size(p->workspace) < need) {
        bf_buf_free(p->workspace);
        p->workspace = NULL;
        BF_TRY(bf_buf_new(p->ctx, need + 4, "workspace of a matrix product", &p->workspace, err));
    }
    const bf_gemm_mem mem = {.a = p->a, .b = p->b, .c = p->c, .workspace = {p->workspace, 0}};
    BF_TRY(bf_cmds_new(p->ctx, &p->cmds, err));
    BF_TRY(bf_cmds_gemm(p->cmds, &p->g, &mem, err));
out:
    return st;
}

bf_cmds *bf_product_cmds(const bf_product *p)
{
    return p->cmds;
}

bf_status bf_product_check(bf_product *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_gemm *g = &p->g;
    const uint64_t floats = (uint64_t)g->batch * size_c(g);
    const bool clblast = bf_gemm_how_of(p->ctx, g).provider == BF_GEMM_CLBLAST;
    /* rounding of sums of k products of numbers below 1, times n weights */
    const double tolerance = 1e-6 * g->k * g->n;
    for (uint64_t i = 0; i < floats; i++) p->host[i] = NAN; /* must not be read: beta is 0 */
    BF_TRY(bf_write(p->ctx, p->c, p->host, 4 * floats, err));
    BF_TRY(bf_cmds_run(p->cmds, err));
    BF_TRY(bf_read(p->ctx, p->host, p->c, 4 * floats, err));
    for (int i = 0; i < g->batch * g->m; i++) {
        const double want = p->abt[i];
        if (i % g->m == 0) times(p->got, p->host + (uint64_t)(i / g->m) * size_c(g), false, g->m, g->n, g->n, p->t);
        const double got = p->got[i % g->m];
        if (fabs(got - want) <= tolerance) continue; /* written so that a NaN fails */
        st = bf_fail(err, BF_DEVICE, "%s: the %s matrix product %s%s of %dx%dx%d is wrong (row %d: %g, %g expected)",
                     p->ctx->name, clblast ? "clblast" : "packed", g->trans_a ? "t" : "n", g->trans_b ? "t" : "n", g->m,
                     g->n, g->k, i, got, want);
        bf_hint(err, "try --gemm %s, another driver or --device cpu", clblast ? "packed" : "clblast");
        break;
    }
out:
    return st;
}

/* ---- self-test ------------------------------------------------------------------------------------------------- */

static bf_status test_products(bf_ctx *ctx, bf_err *err)
{
    static const bf_gemm products[] = {{.m = 67, .n = 45, .k = 61},
                                       {.m = 64, .n = 96, .k = 400, .trans_b = true},
                                       {.m = 33, .n = 128, .k = 32, .trans_a = true}};
    bf_status st = BF_OK;
    for (size_t i = 0; i < BF_COUNT(products) && st == BF_OK; i++) {
        bf_product *p = NULL;
        st = bf_product_new(ctx, &products[i], &p, err);
        if (st == BF_OK) st = bf_product_prepare(p, err);
        if (st == BF_OK) st = bf_product_check(p, err);
        bf_product_free(p);
    }
    return st;
}

/* Every way that the table knows, once. */
static bf_status test_table(bf_ctx *ctx, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_tune_row *rows = ctx->tune->rows;
    for (int i = 0; i < BF_TUNE_CLASSES && st == BF_OK; i++) {
        bool known = rows[i].gflops <= 0;
        for (int j = 0; j < i && !known; j++)
            known = rows[j].gflops > 0 && memcmp(&rows[j].how, &rows[i].how, sizeof rows[i].how) == 0;
        if (known) continue;
        bf_ctx_force_gemm(ctx, &rows[i].how);
        st = test_products(ctx, err);
        bf_ctx_force_gemm(ctx, NULL);
    }
    return st;
}

bf_status bf_gemm_selftest(bf_ctx *ctx, bf_err *err)
{
    bf_status st = BF_OK;
    if (ctx->tune != NULL) {
        st = test_table(ctx, err);
        if (st == BF_OK) return st;
        bf_log(BFNCL_LOG_WARN, "%s; leaving out what bfncl tune wrote", err->message);
        if (ctx->tune->clblast.set) ctx->gemm = BF_GEMM_PACKED; /* its parameters stay until the process ends */
        bf_ctx_drop_tune(ctx);
    }
    st = test_products(ctx, err);
    if (st == BF_OK || !ctx->gemm_auto || ctx->gemm != BF_GEMM_CLBLAST) return st;
    bf_log(BFNCL_LOG_WARN, "%s; taking the packed kernel instead", err->message);
    ctx->gemm = BF_GEMM_PACKED;
    return test_products(ctx, err);
}
