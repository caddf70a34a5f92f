/* The CLBlast provider: each product is a host command of the list, so that the call is replayed in its place. */
#include <stdlib.h>

#include <clblast_c.h>

#include "base/size.h"
#include "device/cl.h"
#include "device/gemm_provider.h"

static CLBlastTranspose transpose(bool trans)
{
    return trans ? CLBlastTransposeYes : CLBlastTransposeNo;
}

/* Bytes of temporary memory CLBlast asks for; offsets other than 0 ask for the most. */
uint64_t bf_clblast_workspace(bf_ctx *ctx, const bf_gemm *g)
{
    size_t bytes = 0;
    if (g->batch > 1) return 0; /* the batched call takes no buffer of ours */
    if (CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, transpose(g->trans_a), transpose(g->trans_b), (size_t)g->m,
                                   (size_t)g->n, (size_t)g->k, 1, (size_t)g->lda, 1, (size_t)g->ldb, 1, (size_t)g->ldc,
                                   &ctx->queue, &bytes) != CLBlastSuccess)
        return 0; /* the call itself will say why */
    return bf_round_up(bytes, ctx->align);
}

typedef struct product {
    bf_gemm g;
    bf_mem c, a, b;
    cl_mem temp; /* sub-buffer of the workspace, or NULL: CLBlast allocates for itself */
} product;

static void product_free(void *data)
{
    product *p = data;
    if (p->temp != NULL) clReleaseMemObject(p->temp);
    free(p);
}

static bf_status run(bf_ctx *ctx, void *data, bf_err *err)
{
    const product *p = data;
    const bf_gemm *g = &p->g;
    const CLBlastTranspose ta = transpose(g->trans_a), tb = transpose(g->trans_b);
    const size_t m = (size_t)g->m, n = (size_t)g->n, k = (size_t)g->k;
    const size_t lda = (size_t)g->lda, ldb = (size_t)g->ldb, ldc = (size_t)g->ldc;
    const size_t oa = (size_t)p->a.off / 4, ob = (size_t)p->b.off / 4, oc = (size_t)p->c.off / 4;
    CLBlastStatusCode code;
    if (g->batch > 1)
        code = CLBlastSgemmStridedBatched(CLBlastLayoutRowMajor, ta, tb, m, n, k, g->alpha, p->a.buf->mem, oa, lda,
                                          (size_t)g->stride_a, p->b.buf->mem, ob, ldb, (size_t)g->stride_b, g->beta,
                                          p->c.buf->mem, oc, ldc, (size_t)g->stride_c, (size_t)g->batch, &ctx->queue,
                                          NULL);
    else if (p->temp != NULL)
        code = CLBlastSgemmWithTempBuffer(CLBlastLayoutRowMajor, ta, tb, m, n, k, g->alpha, p->a.buf->mem, oa, lda,
                                          p->b.buf->mem, ob, ldb, g->beta, p->c.buf->mem, oc, ldc, &ctx->queue, NULL,
                                          p->temp);
    else
        code = CLBlastSgemm(CLBlastLayoutRowMajor, ta, tb, m, n, k, g->alpha, p->a.buf->mem, oa, lda, p->b.buf->mem, ob,
                            ldb, g->beta, p->c.buf->mem, oc, ldc, &ctx->queue, NULL);
    if (code == CLBlastSuccess) return BF_OK;
    bf_status st = bf_fail(err, BF_RUNTIME, "CLBlast: product of %dx%d by %dx%d on %s failed with %s (%d)", g->m, g->k,
                           g->k, g->n, ctx->name, code > -1024 ? bf_cl_name(code) : "a status of its own", code);
    bf_hint(err, "use --gemm packed");
    return st;
}

bf_status bf_clblast_gemm(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(cmds);
    const uint64_t bytes = bf_clblast_workspace(ctx, g);
    product *p = NULL;
    BF_NEW(p, 1);
    *p = (product){.g = *g, .c = mem->c, .a = mem->a, .b = mem->b};
    if (bytes > 0) {
        const cl_buffer_region region = {(size_t)mem->workspace.off, (size_t)bytes};
        cl_int code = CL_MISALIGNED_SUB_BUFFER_OFFSET;
        if (region.origin % ctx->align == 0)
            p->temp = clCreateSubBuffer(mem->workspace.buf->mem, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION,
                                        &region, &code);
        if (code != CL_SUCCESS) p->temp = NULL;
    }
    ctx->used_clblast = true;
    BF_TRY(bf_cmds_host(cmds, "clblast_sgemm", run, p, product_free, err));
    p = NULL;
    if (g->act != BF_ACT_NONE || g->bias || g->residual || g->save_pre)
        BF_TRY(bf_packed_epilogue(cmds, g, mem, 0, 0, err));
    return BF_OK;
out:
    return st;
}

void bf_clblast_forget(void)
{
    CLBlastClearCache();
}
