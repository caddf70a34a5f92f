/* Matrix products: checks, choice of the provider, self-test. */
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "device/cl.h"
#include "device/gemm_provider.h"

/* The product with every default filled in. */
static bf_gemm complete(const bf_gemm *g)
{
    bf_gemm out = *g;
    if (out.lda == 0) out.lda = g->trans_a ? g->m : g->k;
    if (out.ldb == 0) out.ldb = g->trans_b ? g->k : g->n;
    if (out.ldc == 0) out.ldc = g->n;
    if (out.batch == 0) out.batch = 1;
    return out;
}

static bool empty(const bf_gemm *g)
{
    return g->m == 0 || g->n == 0;
}

/* CLBlast refuses an empty sum. */
static bool use_clblast(const bf_ctx *ctx, const bf_gemm *g)
{
    return bf_ctx_gemm(ctx) == BF_GEMM_CLBLAST && g->k > 0;
}

uint64_t bf_gemm_workspace(bf_ctx *ctx, const bf_gemm *g)
{
    const bf_gemm full = complete(g);
    if (empty(&full)) return 0;
    return use_clblast(ctx, &full) ? bf_clblast_workspace(ctx, &full) : bf_packed_workspace(ctx, &full);
}

/* Bytes from the first to the last element that `batch` matrices of rows x cols touch. */
static uint64_t extent(int rows, int cols, int ld, int batch, uint64_t stride)
{
    if (rows <= 0 || cols <= 0) return 0;
    return sizeof(float) * ((uint64_t)(batch - 1) * stride + (uint64_t)(rows - 1) * (uint64_t)ld + (uint64_t)cols);
}

static bf_status check(bf_ctx *ctx, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(g->m >= 0 && g->n >= 0 && g->k >= 0 && g->batch >= 1, BF_RUNTIME, "gemm: %d products of %dx%d by %dx%d",
             g->batch, g->m, g->k, g->k, g->n);
    BF_CHECK(g->lda >= (g->trans_a ? g->m : g->k) && g->ldb >= (g->trans_b ? g->k : g->n) && g->ldc >= g->n, BF_RUNTIME,
             "gemm: pitches %d, %d, %d are less than a row of %dx%d by %dx%d", g->lda, g->ldb, g->ldc, g->m, g->k, g->k,
             g->n);
    BF_CHECK(g->lda < INT32_MAX / 32 && g->ldb < INT32_MAX / 32 && g->ldc < INT32_MAX / 32, BF_RUNTIME,
             "gemm: pitches %d, %d, %d are too large", g->lda, g->ldb, g->ldc);
    BF_CHECK(!(g->residual && g->beta != 0.0f), BF_RUNTIME, "gemm: a residual excludes beta");
    BF_CHECK(!bf_mem_is_none(mem->bias) || !g->bias, BF_RUNTIME, "gemm: no bias given");
    const uint64_t c = extent(g->m, g->n, g->ldc, g->batch, g->stride_c);
    BF_TRY(bf_range_check(ctx, mem->c, c, "gemm, C", err));
    BF_TRY(bf_range_check(ctx, mem->a,
                          extent(g->trans_a ? g->k : g->m, g->trans_a ? g->m : g->k, g->lda, g->batch, g->stride_a),
                          "gemm, A", err));
    if (!bf_mem_is_none(mem->b) || !bf_gemm_prepares(ctx, g))
        BF_TRY(bf_range_check(ctx, mem->b,
                              extent(g->trans_b ? g->n : g->k, g->trans_b ? g->k : g->n, g->ldb, g->batch, g->stride_b),
                              "gemm, B", err));
    if (g->residual) BF_TRY(bf_range_check(ctx, mem->residual, c, "gemm, residual", err));
    if (g->save_pre) BF_TRY(bf_range_check(ctx, mem->pre, c, "gemm, C before the activation", err));
out:
    return st;
}

bool bf_gemm_prepares(bf_ctx *ctx, const bf_gemm *g)
{
    const bf_gemm full = complete(g);
    return !empty(&full) && !use_clblast(ctx, &full) && bf_packed_prepares(ctx, &full);
}

bf_status bf_cmds_gemm_prepare(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(cmds);
    const bf_gemm full = complete(g);
    BF_CHECK(bf_gemm_prepares(ctx, g), BF_RUNTIME, "gemm: nothing to prepare for %dx%d by %dx%d", g->m, g->k, g->k,
             g->n);
    BF_TRY(bf_range_check(
        ctx, mem->b, extent(g->trans_b ? g->n : g->k, g->trans_b ? g->k : g->n, full.ldb, full.batch, full.stride_b),
        "gemm, B", err));
    BF_TRY(bf_range_check(ctx, mem->workspace, bf_gemm_workspace(ctx, g), "gemm, workspace", err));
    BF_TRY(bf_packed_prepare(cmds, &full, mem, err));
out:
    return st;
}

bf_status bf_cmds_gemm(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(cmds);
    const bf_gemm full = complete(g);
    BF_TRY(check(ctx, &full, mem, err));
    if (empty(&full)) return BF_OK;
    const uint64_t need = bf_gemm_workspace(ctx, g);
    if (need > 0) BF_TRY(bf_range_check(ctx, mem->workspace, need, "gemm, workspace", err));
    st = use_clblast(ctx, &full) ? bf_clblast_gemm(cmds, &full, mem, err) : bf_packed_gemm(cmds, &full, mem, err);
out:
    return st;
}

/* ---- self-test ------------------------------------------------------------------------------------------------- */

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

/* Largest |C t - op(A) (op(B) t)| allowed: rounding of sums of k products of numbers below 1, times n weights. */
static bf_status compare(const bf_ctx *ctx, const bf_gemm *g, const float *a, const float *b, const float *c,
                         bf_err *err)
{
    bf_status st = BF_OK;
    double *t = NULL, *bt = NULL, *abt = NULL, *ct = NULL;
    const double tolerance = 1e-6 * g->k * g->n;
    uint32_t state = 99;
    float weight;
    BF_NEW(t, g->n);
    BF_NEW(bt, g->k);
    BF_NEW(abt, g->m);
    BF_NEW(ct, g->m);
    for (int j = 0; j < g->n; j++) {
        noise(&weight, 1, &state);
        t[j] = weight;
    }
    times(bt, b, g->trans_b, g->k, g->n, g->trans_b ? g->k : g->n, t);
    times(abt, a, g->trans_a, g->m, g->k, g->trans_a ? g->m : g->k, bt);
    times(ct, c, false, g->m, g->n, g->n, t);
    for (int i = 0; i < g->m; i++) {
        /* written so that a NaN fails */
        if (!(fabs(ct[i] - abt[i]) <= tolerance)) {
            st =
                bf_fail(err, BF_DEVICE, "%s: the %s matrix product %s%s of %dx%dx%d is wrong (row %d: %g, %g expected)",
                        ctx->name, bf_ctx_gemm(ctx) == BF_GEMM_CLBLAST ? "clblast" : "packed", g->trans_a ? "t" : "n",
                        g->trans_b ? "t" : "n", g->m, g->n, g->k, i, ct[i], abt[i]);
            bf_hint(err, "try --gemm %s, another driver or --device cpu",
                    bf_ctx_gemm(ctx) == BF_GEMM_CLBLAST ? "packed" : "clblast");
            break;
        }
    }
out:
    free(t);
    free(bt);
    free(abt);
    free(ct);
    return st;
}

static bf_status test_product(bf_ctx *ctx, const bf_gemm *g, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t na = (size_t)g->m * (size_t)g->k, nb = (size_t)g->k * (size_t)g->n, nc = (size_t)g->m * (size_t)g->n;
    const uint64_t at_b = bf_round_up(4 * na, ctx->align), at_c = at_b + bf_round_up(4 * nb, ctx->align);
    const uint64_t at_w = at_c + bf_round_up(4 * nc, ctx->align);
    float *host = NULL;
    bf_buf *buf = NULL;
    bf_cmds *cmds = NULL;
    uint32_t state = 1;
    BF_NEW(host, na + nb + nc);
    noise(host, na + nb, &state);
    for (size_t i = 0; i < nc; i++) host[na + nb + i] = NAN; /* must not be read: beta is 0 */
    BF_TRY(bf_buf_new(ctx, at_w + bf_gemm_workspace(ctx, g) + 4, "matrix product self-test", &buf, err));
    const bf_gemm_mem mem = {.a = {buf, 0}, .b = {buf, at_b}, .c = {buf, at_c}, .workspace = {buf, at_w}};
    BF_TRY(bf_write(ctx, mem.a, host, 4 * na, err));
    BF_TRY(bf_write(ctx, mem.b, host + na, 4 * nb, err));
    BF_TRY(bf_write(ctx, mem.c, host + na + nb, 4 * nc, err));
    BF_TRY(bf_cmds_new(ctx, &cmds, err));
    BF_TRY(bf_cmds_gemm(cmds, g, &mem, err));
    BF_TRY(bf_cmds_run(cmds, err));
    BF_TRY(bf_read(ctx, host + na + nb, mem.c, 4 * nc, err));
    BF_TRY(compare(ctx, g, host, host + na, host + na + nb, err));
out:
    bf_cmds_free(cmds);
    bf_buf_free(buf);
    free(host);
    return st;
}

bf_status bf_gemm_selftest(bf_ctx *ctx, bf_err *err)
{
    static const bf_gemm products[] = {{.m = 67, .n = 45, .k = 61, .alpha = 1.0f},
                                       {.m = 64, .n = 96, .k = 400, .trans_b = true, .alpha = 1.0f},
                                       {.m = 33, .n = 128, .k = 32, .trans_a = true, .alpha = 1.0f}};
    bf_status st = BF_OK;
    for (size_t i = 0; i < BF_COUNT(products) && st == BF_OK; i++) st = test_product(ctx, &products[i], err);
    if (st == BF_OK || !ctx->gemm_auto || ctx->gemm != BF_GEMM_CLBLAST) return st;
    bf_log(BFNCL_LOG_WARN, "%s; taking the packed kernel instead", err->message);
    ctx->gemm = BF_GEMM_PACKED;
    for (size_t i = 0; i < BF_COUNT(products) && (i == 0 || st == BF_OK); i++)
        st = test_product(ctx, &products[i], err);
    return st;
}
