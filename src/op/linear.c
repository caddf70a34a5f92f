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

/* ---- several layers of one input --------------------------------------------------------------------------------- */

static uint64_t result_size(const bf_linears *s)
{
    return s->rows * (uint64_t)s->out;
}

static bf_gemm forward_products(const bf_linears *s)
{
    bf_gemm g = forward_product(s->rows, s->in, s->out);
    g.batch = s->layers;
    g.stride_b = s->w_stride;
    g.stride_bias = s->b_stride;
    g.stride_c = result_size(s);
    return g;
}

/* The terms of dx: one for each layer. */
static bf_gemm input_products(const bf_linears *s)
{
    bf_gemm g = input_product(s->rows, s->in, s->out);
    g.batch = s->layers;
    g.stride_a = result_size(s);
    g.stride_b = s->w_stride;
    g.stride_c = s->rows * (uint64_t)s->in;
    return g;
}

static bf_gemm weight_products(const bf_linears *s)
{
    bf_gemm g = weight_product(s->rows, s->in, s->out);
    g.batch = s->layers;
    g.stride_a = result_size(s);
    g.stride_c = s->w_stride;
    return g;
}

/* Bytes in front of what the products and the sum over the terms need. */
static uint64_t terms_bytes(bf_ctx *ctx, const bf_linears *s)
{
    return bf_round_up((uint64_t)s->layers * s->rows * (uint64_t)s->in * sizeof(float), bf_ctx_align(ctx));
}

uint64_t bf_linears_workspace(bf_ctx *ctx, const bf_linears *s)
{
    const bf_gemm g[] = {forward_products(s), weight_products(s), input_products(s)};
    const uint64_t layers = (uint64_t)s->layers, in = (uint64_t)s->in, out = (uint64_t)s->out;
    uint64_t sum = bf_sum_mid_workspace(ctx, 1, layers, s->rows * in);
    sum = BF_MAX(sum, bf_gemm_workspace(ctx, &g[2]));
    uint64_t need = terms_bytes(ctx, s) + sum;
    need = BF_MAX(need, bf_sum_mid_workspace(ctx, layers, s->rows, out));
    need = BF_MAX(need, bf_sum_mid_workspace(ctx, 1, s->rows, out));
    for (size_t i = 0; i < 2; i++) need = BF_MAX(need, bf_gemm_workspace(ctx, &g[i]));
    return need;
}

bf_status bf_linears_forward(bf_cmds *c, const bf_linears *s, bf_mem y, bf_mem x, bf_mem w, bf_mem b, bf_mem ws,
                             bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(s->rows, s->in, s->out, err));
    bf_gemm g = forward_products(s);
    g.bias = !bf_mem_is_none(b);
    const bf_gemm_mem mem = {.c = y, .a = x, .b = w, .bias = b, .workspace = ws};
    BF_TRY(bf_cmds_gemm(c, &g, &mem, err));
out:
    return st;
}

/* One launch where the biases lie side by side. */
static bf_status bias_sums(bf_cmds *c, const bf_linears *s, bf_mem db, bool acc, bf_mem dy, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t out = (uint64_t)s->out;
    if (s->b_stride == out || s->layers == 1)
        return bf_sum_mid(c, db, acc, 1.0f, dy, (uint64_t)s->layers, s->rows, out, ws, err);
    for (uint64_t l = 0; l < (uint64_t)s->layers; l++)
        BF_TRY(bf_sum_mid(c, bf_mem_at(db, l * s->b_stride * sizeof(float)), acc, 1.0f,
                          bf_mem_at(dy, l * result_size(s) * sizeof(float)), 1, s->rows, out, ws, err));
out:
    return st;
}

bf_status bf_linears_backward(bf_cmds *c, const bf_linears *s, bf_mem dx, bool acc_x, bf_mem dw, bool acc_w, bf_mem db,
                              bool acc_b, bf_mem dy, bf_mem x, bf_mem w, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(s->rows, s->in, s->out, err));
    if (!bf_mem_is_none(dx)) {
        const bf_gemm g = input_products(s);
        const bf_mem rest = bf_mem_at(ws, terms_bytes(bf_cmds_ctx(c), s));
        const bf_gemm_mem mem = {.c = ws, .a = dy, .b = w, .workspace = rest};
        BF_TRY(bf_cmds_gemm(c, &g, &mem, err));
        BF_TRY(bf_sum_mid(c, dx, acc_x, 1.0f, ws, 1, (uint64_t)s->layers, s->rows * (uint64_t)s->in, rest, err));
    }
    if (!bf_mem_is_none(dw)) {
        bf_gemm g = weight_products(s);
        g.beta = acc_w ? 1.0f : 0.0f;
        const bf_gemm_mem mem = {.c = dw, .a = dy, .b = x, .workspace = ws};
        BF_TRY(bf_cmds_gemm(c, &g, &mem, err));
    }
    if (!bf_mem_is_none(db)) BF_TRY(bias_sums(c, s, db, acc_b, dy, ws, err));
out:
    return st;
}
