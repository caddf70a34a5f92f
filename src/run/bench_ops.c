/* Measuring the ops that move more than they compute, on tensors beyond the caches. Public interface: bfncl_bench_ops
 * in include/bfncl.h; the flows' part is in bench_flow.c. */
#include "run/bench_ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

#define LEAST 65536 /* numbers in a tensor: the largest unit of a row below */

/* Sizes that training has: a level of the U-Nets, a row of the transformer, attention scores. */
enum { POINTS = 784, CHANNELS = 64, NORM_GROUPS = 32, WIDTH = 384, SCORES = 256 };

/* ---- the ops ----------------------------------------------------------------------------------------------------- */

static bf_status workspace(bf_bench_pool *p, uint64_t bytes, bf_mem *ws, bf_err *err)
{
    bf_status st = BF_OK;
    *ws = BF_MEM_NONE;
    if (bytes > 0) BF_TRY(bf_buf_new(p->ctx, bytes, "workspace to measure", &p->ws, err));
    if (bytes > 0) *ws = (bf_mem){p->ws, 0};
out:
    return st;
}

static bf_group_norm group_norm_of(const bf_bench_pool *p)
{
    return (bf_group_norm){.batch = (int)p->rows,
                           .points = POINTS,
                           .ch = CHANNELS,
                           .groups = NORM_GROUPS,
                           .eps = 1e-5f,
                           .act = BF_ACT_SILU};
}

/* Statistics of the norms: means and inverse deviations of every row and group. */
static bf_mem means(const bf_bench_pool *p)
{
    return p->mem[4];
}

static bf_mem deviations(const bf_bench_pool *p)
{
    return bf_mem_at(p->mem[4], p->n / 2 * sizeof(float));
}

static bf_status group_norm_forward(void *user, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_bench_pool *p = user;
    bf_mem ws;
    const bf_group_norm s = group_norm_of(p);
    BF_TRY(workspace(p, bf_group_norm_forward_workspace(p->ctx, &s), &ws, err));
    BF_TRY(bf_group_norm_forward(c, &s, p->mem[1], means(p), deviations(p), p->mem[0], p->small, p->small, BF_MEM_NONE,
                                 BF_MEM_NONE, ws, err));
out:
    return st;
}

static bf_status group_norm_backward(void *user, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_bench_pool *p = user;
    bf_mem ws;
    const bf_group_norm s = group_norm_of(p);
    const bf_group_norm_grads d = {
        .dx = p->mem[1], .dgamma = p->result, .dbeta = bf_mem_at(p->result, CHANNELS * sizeof(float))};
    BF_TRY(workspace(p, bf_group_norm_backward_workspace(p->ctx, &s), &ws, err));
    BF_TRY(bf_group_norm_backward(c, &s, &d, p->mem[2], p->mem[0], means(p), deviations(p), p->small, p->small,
                                  BF_MEM_NONE, BF_MEM_NONE, ws, err));
out:
    return st;
}

static bf_status layer_norm_forward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_layer_norm_forward(c, p->mem[1], means(p), deviations(p), p->mem[0], p->small, p->small, p->rows, WIDTH,
                                 1e-5f, err);
}

static bf_status layer_norm_backward(void *user, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_bench_pool *p = user;
    bf_mem ws;
    BF_TRY(workspace(p, bf_layer_norm_backward_workspace(p->ctx, p->rows, WIDTH), &ws, err));
    BF_TRY(bf_layer_norm_backward(c, p->mem[1], false, p->result, false, bf_mem_at(p->result, WIDTH * sizeof(float)),
                                  false, p->mem[2], p->mem[0], means(p), deviations(p), p->small, p->rows, WIDTH, ws,
                                  err));
out:
    return st;
}

static bf_status silu_forward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_act_forward(c, BF_ACT_SILU, p->mem[1], p->mem[0], p->count, err);
}

static bf_status silu_backward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_act_backward(c, BF_ACT_SILU, p->mem[1], false, p->mem[2], p->mem[0], p->count, err);
}

static bf_status gelu_forward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_act_forward(c, BF_ACT_GELU, p->mem[1], p->mem[0], p->count, err);
}

static bf_status gelu_backward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_act_backward(c, BF_ACT_GELU, p->mem[1], false, p->mem[2], p->mem[0], p->count, err);
}

static bf_status add(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_axpby(c, p->mem[1], 1.0f, p->mem[0], 1.0f, p->mem[2], p->count, err);
}

static bf_status add_vector(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_add_mid_forward(c, p->mem[1], p->mem[0], p->small, 1, p->rows, WIDTH, err);
}

static bf_status sum_rows(void *user, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_bench_pool *p = user;
    bf_mem ws;
    BF_TRY(workspace(p, bf_sum_mid_workspace(p->ctx, 1, p->rows, WIDTH), &ws, err));
    BF_TRY(bf_sum_mid(c, p->result, false, 1.0f, p->mem[0], 1, p->rows, WIDTH, ws, err));
out:
    return st;
}

static bf_status concat_forward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_concat_forward(c, p->mem[1], p->mem[0], p->mem[2], p->rows, CHANNELS, CHANNELS, err);
}

static bf_status concat_backward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_concat_backward(c, p->mem[0], false, p->mem[1], false, p->mem[2], p->rows, CHANNELS, CHANNELS, err);
}

/* Pictures of 14 x 14 points become 28 x 28. */
static bf_status upsample_forward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_upsample_forward(c, p->mem[1], p->mem[0], (int)p->rows, 14, 14, CHANNELS, err);
}

static bf_status upsample_backward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_upsample_backward(c, p->mem[1], false, p->mem[0], (int)p->rows, 14, 14, CHANNELS, err);
}

static bf_status softmax_forward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_softmax_forward(c, p->mem[1], p->mem[0], p->rows, SCORES, err);
}

static bf_status softmax_backward(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_softmax_backward(c, p->mem[1], false, p->mem[2], p->mem[0], p->rows, SCORES, err);
}

static bf_status dropout(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_dropout(c, p->mem[1], false, p->mem[0], BF_MEM_NONE, 0.1f, BF_STREAM_DROPOUT, p->step, p->rows, WIDTH,
                      err);
}

static bf_status uniforms(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_random(c, BF_RANDOM_UNIFORM, p->mem[1], BF_STREAM_FLOW, p->step, p->rows, WIDTH, err);
}

static bf_status normals(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_random(c, BF_RANDOM_NORMAL, p->mem[1], BF_STREAM_FLOW, p->step, p->rows, WIDTH, err);
}

static bf_status gradient_norm(void *user, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_bench_pool *p = user;
    bf_mem ws;
    BF_TRY(workspace(p, bf_grad_norm_workspace(p->ctx, p->count), &ws, err));
    BF_TRY(bf_grad_sumsq(c, p->result, false, p->mem[0], p->count, ws, err));
    BF_TRY(bf_clip_factor(c, p->result, 5.0f, err));
out:
    return st;
}

/* Second moments are not negative. */
static bf_status adamw(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    const bf_adamw s = {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01};
    return bf_adamw_step(c, &s, p->mem[0], p->mem[1], p->mem[2], p->mem[BF_POOL_POSITIVE], p->mem[4], p->stats, p->step,
                         p->count, err);
}

/* tensors: how many of the row's size must be read or written; flop: per number, a function such as exp counted as one
 * (0: not counted); unit: numbers of one of the `rows`. */
static const struct op {
    const char *name;
    double tensors, flop;
    uint64_t unit;
    const char *unit_text;
    bf_bench_append append;
} ops[] = {
    {"group norm forward silu", 2, 10, POINTS *CHANNELS, "784x64", group_norm_forward},
    {"group norm backward silu", 3, 20, POINTS *CHANNELS, "784x64", group_norm_backward},
    {"layer norm forward", 2, 7, WIDTH, "384", layer_norm_forward},
    {"layer norm backward", 3, 12, WIDTH, "384", layer_norm_backward},
    {"silu forward", 2, 4, WIDTH, "384", silu_forward},
    {"silu backward", 3, 8, WIDTH, "384", silu_backward},
    {"gelu forward", 2, 9, WIDTH, "384", gelu_forward},
    {"gelu backward", 3, 17, WIDTH, "384", gelu_backward},
    {"add", 3, 1, WIDTH, "384", add},
    {"add vector", 2, 1, WIDTH, "384", add_vector},
    {"sum over rows", 1, 1, WIDTH, "384", sum_rows},
    {"concat forward", 2, 0, 2 * CHANNELS, "128", concat_forward},
    {"concat backward", 2, 0, 2 * CHANNELS, "128", concat_backward},
    {"upsample forward", 1.25, 0, POINTS *CHANNELS, "28x28x64", upsample_forward},
    {"upsample backward", 1.25, 0.75, POINTS *CHANNELS, "28x28x64", upsample_backward},
    {"softmax forward", 2, 5, SCORES, "256", softmax_forward},
    {"softmax backward", 3, 4, SCORES, "256", softmax_backward},
    {"dropout", 2, 0, WIDTH, "384", dropout},
    {"random uniform", 1, 0, WIDTH, "384", uniforms},
    {"random normal", 1, 0, WIDTH, "384", normals},
    {"gradient norm", 1, 2, WIDTH, "384", gradient_norm},
    {"adamw and average", 9, 20, WIDTH, "384", adamw}, /* last: it changes what the others read */
};

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

static uint32_t word(float x)
{
    uint32_t w;
    memcpy(&w, &x, sizeof w);
    return w;
}

/* The step record of a step in the middle of training, and of sampling. */
static bf_status write_step(const bf_bench_pool *p, bf_err *err)
{
    uint32_t words[BF_STEP_WORDS] = {0};
    words[BF_STEP_STEP] = 100;
    words[BF_STEP_LR] = word(1e-4f);
    words[BF_STEP_BIAS1] = words[BF_STEP_BIAS2] = word(1.0f);
    words[BF_STEP_EMA] = word(1e-3f);
    words[BF_FLOW_SENDER_MEAN] = words[BF_FLOW_SENDER_SD] = word(1.0f);
    words[BF_FLOW_KEEP] = word(0.9f);
    words[BF_FLOW_GAIN] = word(0.1f);
    return bf_write(p->ctx, p->step, words, sizeof words, err);
}

static bf_status pool_new(bf_bench_pool *p, const bf_bench_table *t, bf_err *err)
{
    bf_status st = BF_OK;
    const float stats[BF_STATS] = {[BF_STAT_CLIP] = 1.0f, [BF_STAT_FINITE] = 1.0f};
    bf_ctx *ctx = t->ctx;
    p->ctx = ctx;
    p->n = BF_MAX(bf_bench_tensor(t, 24) / sizeof(float), (uint64_t)LEAST);
    for (int i = 0; i < BF_POOL_TENSORS; i++) {
        BF_TRY(bf_buf_new(ctx, p->n * sizeof(float), "tensors to measure", &p->buf[i], err));
        p->mem[i] = (bf_mem){p->buf[i], 0};
        BF_TRY(bf_bench_fill(ctx, p->mem[i], p->n, i == BF_POOL_POSITIVE ? 0 : -1, 1, err));
    }
    BF_TRY(bf_buf_new(ctx, BF_POOL_SMALL * sizeof(float), "tensors to measure", &p->small_buf, err));
    BF_TRY(bf_buf_new(ctx, BF_POOL_SMALL * sizeof(float), "tensors to measure", &p->result_buf, err));
    BF_TRY(bf_buf_new(ctx, 4096, "tensors to measure", &p->record_buf, err));
    p->small = (bf_mem){p->small_buf, 0};
    p->result = (bf_mem){p->result_buf, 0};
    p->step = (bf_mem){p->record_buf, 0};
    p->stats = (bf_mem){p->record_buf, 2048};
    BF_TRY(bf_bench_fill(ctx, p->small, BF_POOL_SMALL, 0, 1, err));
    BF_TRY(bf_write(ctx, p->stats, stats, sizeof stats, err));
    BF_TRY(write_step(p, err));
out:
    return st;
}

static void pool_free(bf_bench_pool *p)
{
    for (int i = 0; i < BF_POOL_TENSORS; i++) bf_buf_free(p->buf[i]);
    bf_buf_free(p->small_buf);
    bf_buf_free(p->result_buf);
    bf_buf_free(p->record_buf);
    bf_buf_free(p->ws);
}

bf_status bf_bench_pool_row(bf_bench_table *t, bf_bench_pool *p, const bf_bench_work *w, bf_bench_append append,
                            bf_err *err)
{
    const bf_status st = bf_bench_row(t, w, append, p, err);
    bf_buf_free(p->ws);
    p->ws = NULL;
    return st;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static bf_status measure(bf_bench_table *t, bf_bench_pool *p, const struct op *o, bf_err *err)
{
    char shape[48];
    p->rows = p->n / o->unit;
    p->count = p->rows * o->unit;
    snprintf(shape, sizeof shape, "%llux%s", (unsigned long long)p->rows, o->unit_text);
    const bf_bench_work w = {.op = o->name,
                             .shape = shape,
                             .flop = o->flop * (double)p->count,
                             .bytes = sizeof(float) * o->tensors * (double)p->count};
    return bf_bench_pool_row(t, p, &w, o->append, err);
}

bf_status bf_bench_ops_rows(bf_bench_table *t, bf_err *err)
{
    bf_status st = BF_OK;
    bf_bench_pool p = {0};
    BF_TRY(pool_new(&p, t, err));
    BF_TRY(bf_bench_sampler_rows(t, &p, err));
    for (size_t i = 0; i < BF_COUNT(ops); i++) BF_TRY(measure(t, &p, &ops[i], err));
    pool_free(&p);
    p = (bf_bench_pool){0};
    BF_TRY(bf_bench_flow_rows(t, err));
out:
    pool_free(&p);
    return st;
}

size_t bf_bench_ops_count(void)
{
    return BF_COUNT(ops) + bf_bench_flow_count();
}

bfncl_status bfncl_bench_ops(const bfncl_bench_options *o, bfncl_bench_result *result, bfncl_error *err)
{
    bf_err own;
    return bf_bench_run(o, bf_bench_ops_count(), bf_bench_ops_rows, result, err ? err : &own);
}
