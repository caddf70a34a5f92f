/* Measuring attention. Public interface: bfncl_bench_attention in include/bfncl.h. */
#include <stdio.h>
#include <string.h>

#include "op/op.h"
#include "run/bench.h"

#define LARGEST 65536 /* of any extent */

/* Of configs/bench: text, MNIST, CIFAR-10; and of the official networks, text8 and CIFAR-10. */
static const char *const default_shapes[] = {"8x256x6x64", "16x49x4x32", "8x1024x1x64", "8x256x12x64", "8x1024x1x128"};

enum { FORWARD, BACKWARD, KINDS };
static const char *const kinds[KINDS] = {"attention forward", "attention backward"};

/* One attention layer; the gradients have buffers of their own. */
typedef struct attention_case {
    bf_ctx *ctx;
    bf_attention s;
    int kind;
    uint64_t n; /* of y; qkv has three times as many */
    bf_buf *qkv, *y, *lse, *dqkv, *dy, *ws;
} attention_case;

static void case_free(attention_case *c)
{
    bf_buf_free(c->qkv);
    bf_buf_free(c->y);
    bf_buf_free(c->lse);
    bf_buf_free(c->dqkv);
    bf_buf_free(c->dy);
    bf_buf_free(c->ws);
}

static bf_status parse_shape(const char *text, bf_attention *s, bf_err *err)
{
    bf_status st = BF_OK;
    int used = 0;
    *s = (bf_attention){.layout = BF_QKV_THIRDS};
    bool ok = sscanf(text, "%5dx%5dx%5dx%5d%n", &s->batch, &s->len, &s->heads, &s->head_dim, &used) == 4 && used > 0;
    s->causal = ok && strcmp(text + used, ":causal") == 0;
    const int extents[] = {s->batch, s->len, s->heads, s->head_dim};
    for (size_t i = 0; i < BF_COUNT(extents); i++) ok = ok && extents[i] >= 1 && extents[i] <= LARGEST;
    BF_CHECK(ok && (text[used] == '\0' || s->causal), BF_USAGE,
             "\"%.60s\" is not an attention such as 8x256x12x64 or 8x256x12x64:causal (batch, length, heads, size of a "
             "head), sizes up to %d",
             text, LARGEST);
out:
    return st;
}

static bf_status append(void *user, bf_cmds *cmds, bf_err *err)
{
    bf_status st = BF_OK;
    attention_case *c = user;
    const uint64_t bytes = c->kind == FORWARD ? bf_attention_forward_workspace(c->ctx, &c->s)
                                              : bf_attention_backward_workspace(c->ctx, &c->s);
    if (bytes > 0) BF_TRY(bf_buf_new(c->ctx, bytes, "workspace to measure", &c->ws, err));
    const bf_mem qkv = {c->qkv, 0}, y = {c->y, 0}, lse = {c->lse, 0}, ws = {c->ws, 0};
    if (c->kind == FORWARD)
        BF_TRY(bf_attention_forward(cmds, &c->s, y, lse, qkv, ws, err));
    else
        BF_TRY(
            bf_attention_backward(cmds, &c->s, (bf_mem){c->dqkv, 0}, false, (bf_mem){c->dy, 0}, y, lse, qkv, ws, err));
out:
    return st;
}

/* What backward reads of forward. */
static bf_status run_forward(attention_case *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_cmds *cmds = NULL;
    attention_case forward = *c;
    forward.kind = FORWARD;
    BF_TRY(bf_cmds_new(c->ctx, &cmds, err));
    BF_TRY(append(&forward, cmds, err));
    BF_TRY(bf_bench_once(c->ctx, cmds, err));
out:
    bf_cmds_free(cmds);
    bf_buf_free(forward.ws);
    return st;
}

static bf_status fill(attention_case *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_attention *s = &c->s;
    const uint64_t rows = (uint64_t)s->batch * (uint64_t)s->len, width = (uint64_t)s->heads * (uint64_t)s->head_dim;
    BF_CHECK(bf_mul_u64(rows, width, &c->n) && c->n < UINT64_C(1) << 40, BF_USAGE,
             "an attention of %dx%dx%dx%d is too large to measure", s->batch, s->len, s->heads, s->head_dim);
    BF_TRY(bf_buf_new(c->ctx, 3 * c->n * sizeof(float), "attention to measure", &c->qkv, err));
    BF_TRY(bf_buf_new(c->ctx, c->n * sizeof(float), "attention to measure", &c->y, err));
    BF_TRY(bf_buf_new(c->ctx, rows * (uint64_t)s->heads * sizeof(float), "attention to measure", &c->lse, err));
    BF_TRY(bf_bench_fill(c->ctx, (bf_mem){c->qkv, 0}, 3 * c->n, -1, 1, err));
    if (c->kind == FORWARD) goto out;
    BF_TRY(bf_buf_new(c->ctx, 3 * c->n * sizeof(float), "attention to measure", &c->dqkv, err));
    BF_TRY(bf_buf_new(c->ctx, c->n * sizeof(float), "attention to measure", &c->dy, err));
    BF_TRY(bf_bench_fill(c->ctx, (bf_mem){c->dy, 0}, c->n, -1, 1, err));
    BF_TRY(run_forward(c, err));
out:
    return st;
}

/* Products of a row of scores with a head: two forward; five backward, which computes the scores again. A causal one
 * needs about half of them. */
static bf_status measure(bf_bench_table *t, const bf_attention *s, int kind, const char *text, bf_err *err)
{
    bf_status st = BF_OK;
    attention_case c = {.ctx = t->ctx, .s = *s, .kind = kind};
    const double products = kind == FORWARD ? 2.0 : 5.0, tensors = kind == FORWARD ? 4.0 : 8.0;
    const double pairs = s->causal ? 0.5 * ((double)s->len + 1) : (double)s->len; /* per position */
    if (bf_bench_wanted(t, kinds[kind])) BF_TRY(fill(&c, err));
    const bf_bench_work w = {.op = kinds[kind],
                             .shape = text,
                             .flop = 2.0 * products * (double)c.n * pairs,
                             .bytes = sizeof(float) * tensors * (double)c.n};
    BF_TRY(bf_bench_row(t, &w, append, &c, err));
out:
    case_free(&c);
    return st;
}

static bf_status check(const char *text, bf_err *err)
{
    bf_attention unused;
    return parse_shape(text, &unused, err);
}

static bf_status rows(bf_bench_table *t, const char *text, bf_err *err)
{
    bf_status st = BF_OK;
    bf_attention s;
    BF_TRY(parse_shape(text, &s, err));
    for (int k = 0; k < KINDS; k++) BF_TRY(measure(t, &s, k, text, err));
out:
    return st;
}

const bf_bench_shapes bf_bench_attention_shapes = {default_shapes, BF_COUNT(default_shapes), KINDS, check, rows};

bfncl_status bfncl_bench_attention(const bfncl_bench_options *o, bfncl_bench_result *result, bfncl_error *err)
{
    bf_err own;
    return bf_bench_run_shapes(o, &bf_bench_attention_shapes, result, err ? err : &own);
}
