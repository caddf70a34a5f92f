#include <math.h>
#include <stdio.h>

#include "op/op.h"

#define MAX_HEAD_DIM 128
#define WIDE_LANES 64 /* LANES in cl/attention.cl */
#define CPU_LANES 16

static bf_status check(const bf_attention *s, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(s->batch > 0 && s->len > 0 && s->heads > 0 && s->head_dim > 0, BF_USAGE,
             "attention: bad shape: batch %d, length %d, %d heads of %d", s->batch, s->len, s->heads, s->head_dim);
    BF_CHECK(s->head_dim <= MAX_HEAD_DIM, BF_USAGE, "attention: heads of %d channels, at most %d are supported",
             s->head_dim, MAX_HEAD_DIM);
    BF_CHECK(s->len < 1 << 24, BF_USAGE, "attention: length %d is too long", s->len);
    BF_CHECK(s->layout == BF_QKV_PER_HEAD || s->layout == BF_QKV_THIRDS, BF_USAGE, "attention: unknown layout %d",
             s->layout);
out:
    return st;
}

/* Appends the six geometry arguments that end every kernel's list and enqueues it: one group per sample, head and block
 * of lanes. */
static bf_status attention_call(bf_cmds *c, const bf_attention *s, const char *kernel, bf_arg *args, size_t n_args,
                                double products, bf_err *err)
{
    const bf_ctx *ctx = bf_cmds_ctx(c);
    const bool wide = bf_ctx_class(ctx) == BF_CLASS_WIDE, per_head = s->layout == BF_QKV_PER_HEAD;
    const int lanes = wide ? WIDE_LANES : CPU_LANES;
    const size_t blocks = (size_t)bf_ceil_div((uint64_t)s->len, (uint64_t)lanes);
    char defines[48];
    snprintf(defines, sizeof defines, "-DHD=%d -DCAUSAL=%d", s->head_dim, s->causal ? 1 : 0);
    args[n_args++] = bf_arg_i32(s->len);
    args[n_args++] = bf_arg_i32(s->heads);
    args[n_args++] = bf_arg_i32(per_head ? 3 * s->head_dim : s->head_dim);
    args[n_args++] = bf_arg_i32(per_head ? s->head_dim : s->heads * s->head_dim);
    args[n_args++] = bf_arg_f32(1.0f / sqrtf((float)s->head_dim));
    args[n_args++] = bf_arg_i32((int)blocks);
    bf_call call = {.file = "attention.cl", .kernel = kernel, .defines = defines, .args = args, .n_args = n_args};
    call.local[0] = wide ? WIDE_LANES : 1;
    call.items[0] = (size_t)s->batch * (size_t)s->heads * blocks * call.local[0];
    /* of q, k, v, y and their gradients: those that a direction reads and writes */
    call.bytes = (products == 2 ? 16.0 : 24.0) * s->batch * s->heads * s->head_dim * s->len;
    call.flops = 2.0 * products * s->batch * s->heads * s->head_dim * (double)s->len * s->len;
    return bf_cmds_kernel(c, &call, err);
}

uint64_t bf_attention_forward_workspace(bf_ctx *ctx, const bf_attention *s)
{
    (void)ctx;
    (void)s;
    return 0;
}

bf_status bf_attention_forward(bf_cmds *c, const bf_attention *s, bf_mem y, bf_mem lse, bf_mem qkv, bf_mem ws,
                               bf_err *err)
{
    (void)ws;
    bf_status st = check(s, err);
    if (st != BF_OK) return st;
    bf_arg args[9] = {bf_arg_mem(y), bf_arg_mem(lse), bf_arg_mem(qkv)};
    return attention_call(c, s, "attention_forward", args, 3, 2, err);
}

/* delta [B,heads,T] = dy . y */
uint64_t bf_attention_backward_workspace(bf_ctx *ctx, const bf_attention *s)
{
    (void)ctx;
    return 4 * (uint64_t)s->batch * (uint64_t)s->heads * (uint64_t)s->len;
}

bf_status bf_attention_backward(bf_cmds *c, const bf_attention *s, bf_mem dqkv, bool acc, bf_mem dy, bf_mem y,
                                bf_mem lse, bf_mem qkv, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(s, err));
    BF_CHECK(!bf_mem_is_none(ws), BF_USAGE, "attention backward: a workspace is needed");
    bf_arg query[13] = {bf_arg_mem(dqkv), bf_arg_i32(acc), bf_arg_mem(ws), bf_arg_mem(dy),
                        bf_arg_mem(y),    bf_arg_mem(lse), bf_arg_mem(qkv)};
    BF_TRY(attention_call(c, s, "attention_backward_query", query, 7, 3, err));
    bf_arg key[12] = {bf_arg_mem(dqkv), bf_arg_i32(acc), bf_arg_mem(ws),
                      bf_arg_mem(dy),   bf_arg_mem(lse), bf_arg_mem(qkv)};
    BF_TRY(attention_call(c, s, "attention_backward_key", key, 6, 4, err));
out:
    return st;
}
