/* Linear layer: matrix products with w [out,in] as stored in the files. */
#include "op/op.h"

static bf_gemm forward_product(uint64_t rows, int in, int out)
{
    return (bf_gemm){.m = (int)rows, .n = out, .k = in, .trans_b = true, .alpha = 1.0f};
}

static bf_gemm input_product(uint64_t rows, int in, int out)
{
    return (bf_gemm){.m = (int)rows, .n = in, .k = out, .alpha = 1.0f};
}

static bf_gemm weight_product(uint64_t rows, int in, int out)
{
    return (bf_gemm){.m = out, .n = in, .k = (int)rows, .trans_a = true, .alpha = 1.0f};
}

static bf_status check(uint64_t rows, int in, int out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(rows > 0 && rows < INT32_MAX && in > 0 && out > 0, BF_RUNTIME,
             "linear: %llu rows of %d to %d features is not supported", (unsigned long long)rows, in, out);
out:
    return st;
}

uint64_t bf_linear_workspace(bf_ctx *ctx, uint64_t rows, int in, int out)
{
    const bf_gemm g[] = {forward_product(rows, in, out), input_product(rows, in, out), weight_product(rows, in, out)};
    uint64_t need = bf_sum_mid_workspace(ctx, 1, rows, (uint64_t)out);
    for (size_t i = 0; i < BF_COUNT(g); i++) need = BF_MAX(need, bf_gemm_workspace(ctx, &g[i]));
    return need;
}

uint64_t bf_linear_forward_workspace(bf_ctx *ctx, uint64_t rows, int in, int out)
{
    const bf_gemm g = forward_product(rows, in, out);
    return bf_gemm_workspace(ctx, &g);
}

bool bf_linear_prepares(bf_ctx *ctx, uint64_t rows, int in, int out)
{
    const bf_gemm g = forward_product(rows, in, out);
    return bf_gemm_prepares(ctx, &g);
}

bf_status bf_linear_prepare(bf_cmds *c, bf_mem w, uint64_t rows, int in, int out, bf_mem ws, bf_err *err)
{
    const bf_gemm g = forward_product(rows, in, out);
    const bf_gemm_mem mem = {.b = w, .workspace = ws};
    return bf_cmds_gemm_prepare(c, &g, &mem, err);
}

bf_status bf_linear_forward(bf_cmds *c, bf_mem y, bf_mem pre, bf_mem x, bf_mem w, bf_mem b, bf_mem residual, bf_act act,
                            uint64_t rows, int in, int out, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(rows, in, out, err));
    bf_gemm g = forward_product(rows, in, out);
    g.act = act;
    g.bias = !bf_mem_is_none(b);
    g.residual = !bf_mem_is_none(residual);
    g.save_pre = !bf_mem_is_none(pre);
    const bf_gemm_mem mem = {.c = y, .a = x, .b = w, .bias = b, .residual = residual, .pre = pre, .workspace = ws};
    BF_TRY(bf_cmds_gemm(c, &g, &mem, err));
out:
    return st;
}

bf_status bf_linear_backward(bf_cmds *c, bf_mem dx, bool acc_x, bf_mem dw, bool acc_w, bf_mem db, bool acc_b, bf_mem dy,
                             bf_mem x, bf_mem w, uint64_t rows, int in, int out, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(rows, in, out, err));
    if (!bf_mem_is_none(dx)) {
        bf_gemm g = input_product(rows, in, out);
        g.beta = acc_x ? 1.0f : 0.0f;
        const bf_gemm_mem mem = {.c = dx, .a = dy, .b = w, .workspace = ws};
        BF_TRY(bf_cmds_gemm(c, &g, &mem, err));
    }
    if (!bf_mem_is_none(dw)) {
        bf_gemm g = weight_product(rows, in, out);
        g.beta = acc_w ? 1.0f : 0.0f;
        const bf_gemm_mem mem = {.c = dw, .a = dy, .b = x, .workspace = ws};
        BF_TRY(bf_cmds_gemm(c, &g, &mem, err));
    }
    if (!bf_mem_is_none(db)) BF_TRY(bf_sum_mid(c, db, acc_b, 1.0f, dy, 1, rows, (uint64_t)out, ws, err));
out:
    return st;
}
