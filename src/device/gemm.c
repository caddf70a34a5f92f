/* Matrix products: checks and choice of the provider. */
#include "base/size.h"
#include "device/cl.h"
#include "device/gemm_provider.h"
#include "device/tune.h"

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

bf_gemm_how bf_gemm_how_of(const bf_ctx *ctx, const bf_gemm *g)
{
    if (ctx->forced != NULL) return *ctx->forced;
    if (ctx->tune != NULL) {
        const bf_tune_row *row = &ctx->tune->rows[bf_tune_class(g)];
        if (row->gflops > 0) return row->how;
    }
    return (bf_gemm_how){.provider = ctx->gemm};
}

void bf_ctx_force_gemm(bf_ctx *ctx, const bf_gemm_how *how)
{
    ctx->forced = how;
}

/* CLBlast refuses an empty sum. */
static bool use_clblast(const bf_ctx *ctx, const bf_gemm *g)
{
    return g->k > 0 && bf_gemm_how_of(ctx, g).provider == BF_GEMM_CLBLAST;
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
