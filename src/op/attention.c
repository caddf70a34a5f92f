#include <math.h>
#include <stdio.h>

#include "op/op.h"

#define MAX_HEAD_DIM 128
#define WIDE_LANES 64 /* LANES in cl/attention.cl */
#define CPU_GROUPS 16 /* groups of the backward pass at least, where the length allows */
#define CPU_RANGE 64  /* a range of keys is a multiple of it, and so of QUERIES in cl/attention.cl */

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

/* Groups of a head's backward pass on the cpu class: with few heads its keys are cut into ranges, so that there is work
 * for many cores; a number that no machine changes, for the ranges decide the order of sums. */
typedef struct ranges {
    int count, keys;
} ranges;

static ranges plan_ranges(const bf_attention *s)
{
    const uint64_t heads = (uint64_t)s->batch * (uint64_t)s->heads, len = (uint64_t)s->len;
    const uint64_t keys = bf_round_up(bf_ceil_div(len, bf_ceil_div(CPU_GROUPS, heads)), CPU_RANGE);
    return (ranges){(int)bf_ceil_div(len, keys), (int)keys};
}

/* What a kernel does: products [T,d] x [d,T] or [T,T] x [T,d] per head; tensors [B,T,heads*d] read and written. */
typedef struct amount {
    int products, tensors;
} amount;

/* Appends the six geometry arguments that end every kernel's list and enqueues it: `blocks` groups of `group` items per
 * sample and head. */
static bf_status attention_call(bf_cmds *c, const bf_attention *s, const char *kernel, bf_arg *args, size_t n_args,
                                int blocks, size_t group, amount work, bf_err *err)
{
    const bool per_head = s->layout == BF_QKV_PER_HEAD;
    char defines[48];
    snprintf(defines, sizeof defines, "-DHD=%d -DCAUSAL=%d", s->head_dim, s->causal ? 1 : 0);
    args[n_args++] = bf_arg_i32(s->len);
    args[n_args++] = bf_arg_i32(s->heads);
    args[n_args++] = bf_arg_i32(per_head ? 3 * s->head_dim : s->head_dim);
    args[n_args++] = bf_arg_i32(per_head ? s->head_dim : s->heads * s->head_dim);
    args[n_args++] = bf_arg_f32(1.0f / sqrtf((float)s->head_dim));
    args[n_args++] = bf_arg_i32(blocks);
    bf_call call = {.file = "attention.cl", .kernel = kernel, .defines = defines, .args = args, .n_args = n_args};
    call.in_turn = work.products > 0;
    call.local[0] = group;
    call.items[0] = (size_t)s->batch * (size_t)s->heads * (size_t)blocks * group;
    call.bytes = 4.0 * work.tensors * s->batch * s->heads * s->head_dim * s->len;
    call.flops = 2.0 * work.products * s->batch * s->heads * s->head_dim * (double)s->len * s->len;
    return bf_cmds_kernel(c, &call, err);
}

static bool is_wide(const bf_ctx *ctx)
{
    return bf_ctx_class(ctx) == BF_CLASS_WIDE;
}

static int token_blocks(const bf_attention *s, int tokens)
{
    return (int)bf_ceil_div((uint64_t)s->len, (uint64_t)tokens);
}

/* QUERIES in cl/attention.cl */
static int cpu_queries(const bf_attention *s)
{
    return s->head_dim > 64 ? 32 : 64;
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
    const bool wide = is_wide(bf_cmds_ctx(c));
    bf_status st = BF_OK;
    BF_TRY(check(s, err));
    bf_arg args[9] = {bf_arg_mem(y), bf_arg_mem(lse), bf_arg_mem(qkv)};
    const int blocks = token_blocks(s, wide ? WIDE_LANES : cpu_queries(s));
    BF_TRY(attention_call(c, s, "attention_forward", args, 3, blocks, wide ? WIDE_LANES : 1, (amount){2, 4}, err));
out:
    return st;
}

/* wide: delta [B,heads,T] = dy . y; cpu: a query gradient [B,heads,T,d] of each range of keys, if there are several */
uint64_t bf_attention_backward_workspace(bf_ctx *ctx, const bf_attention *s)
{
    const uint64_t rows = (uint64_t)s->batch * (uint64_t)s->heads * (uint64_t)s->len;
    if (is_wide(ctx)) return 4 * rows;
    const ranges r = plan_ranges(s);
    return r.count == 1 ? 0 : 4 * (uint64_t)r.count * rows * (uint64_t)s->head_dim;
}

static bf_status backward_wide(bf_cmds *c, const bf_attention *s, bf_mem dqkv, bool acc, bf_mem dy, bf_mem y,
                               bf_mem lse, bf_mem qkv, bf_mem ws, bf_err *err)
{
    const int blocks = token_blocks(s, WIDE_LANES);
    bf_status st = BF_OK;
    bf_arg query[13] = {bf_arg_mem(dqkv), bf_arg_i32(acc), bf_arg_mem(ws), bf_arg_mem(dy),
                        bf_arg_mem(y),    bf_arg_mem(lse), bf_arg_mem(qkv)};
    BF_TRY(attention_call(c, s, "attention_backward_query", query, 7, blocks, WIDE_LANES, (amount){3, 6}, err));
    bf_arg key[12] = {bf_arg_mem(dqkv), bf_arg_i32(acc), bf_arg_mem(ws),
                      bf_arg_mem(dy),   bf_arg_mem(lse), bf_arg_mem(qkv)};
    BF_TRY(attention_call(c, s, "attention_backward_key", key, 6, blocks, WIDE_LANES, (amount){4, 6}, err));
out:
    return st;
}

static bf_status backward_cpu(bf_cmds *c, const bf_attention *s, bf_mem dqkv, bool acc, bf_mem dy, bf_mem y, bf_mem lse,
                              bf_mem qkv, bf_mem ws, bf_err *err)
{
    const ranges r = plan_ranges(s);
    bf_status st = BF_OK;
    bf_arg args[15] = {bf_arg_mem(dqkv), bf_arg_i32(acc), bf_arg_mem(ws),       bf_arg_mem(dy),    bf_arg_mem(y),
                       bf_arg_mem(lse),  bf_arg_mem(qkv), bf_arg_i32(s->batch), bf_arg_i32(r.keys)};
    BF_TRY(attention_call(c, s, "attention_backward", args, 9, r.count, 1, (amount){5, 8}, err));
    if (r.count == 1) goto out;
    bf_arg fold[11] = {bf_arg_mem(dqkv), bf_arg_i32(acc), bf_arg_mem(ws), bf_arg_i32(s->batch), bf_arg_i32(r.keys)};
    BF_TRY(attention_call(c, s, "attention_backward_fold", fold, 5, token_blocks(s, cpu_queries(s)), 1,
                          (amount){0, r.count + 1}, err));
out:
    return st;
}

bf_status bf_attention_backward(bf_cmds *c, const bf_attention *s, bf_mem dqkv, bool acc, bf_mem dy, bf_mem y,
                                bf_mem lse, bf_mem qkv, bf_mem ws, bf_err *err)
{
    bf_ctx *ctx = bf_cmds_ctx(c);
    bf_status st = BF_OK;
    BF_TRY(check(s, err));
    BF_CHECK(!bf_mem_is_none(ws) || bf_attention_backward_workspace(ctx, s) == 0, BF_USAGE,
             "attention backward: a workspace is needed");
    BF_TRY((is_wide(ctx) ? backward_wide : backward_cpu)(c, s, dqkv, acc, dy, y, lse, qkv, ws, err));
out:
    return st;
}
