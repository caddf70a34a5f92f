/* Measuring convolutions. Public interface: bfncl_bench_conv in include/bfncl.h. */
#include <stdio.h>

#include "op/op.h"
#include "run/bench.h"

#define LARGEST 65536 /* of any extent */

/* Of the MNIST U-Net on its three levels, and of the CIFAR-10 U-Net at half and at full width. */
static const char *const default_shapes[] = {"16x28x28x64x64", "16x14x14x128x128", "16x7x7x128x128", "8x32x32x64x64",
                                             "8x32x32x128x128"};

enum { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, KINDS };
static const char *const kinds[KINDS] = {"conv forward", "conv input gradient", "conv weight gradient"};

/* One convolution; x and y also stand for their gradients. */
typedef struct conv_case {
    bf_ctx *ctx;
    bf_conv s;
    int kind;
    uint64_t nx, ny, nw;
    bf_buf *x, *y, *w, *ws;
} conv_case;

static void case_free(conv_case *c)
{
    bf_buf_free(c->x);
    bf_buf_free(c->y);
    bf_buf_free(c->w);
    bf_buf_free(c->ws);
}

static bf_status parse_shape(const char *text, bf_conv *s, bf_err *err)
{
    bf_status st = BF_OK;
    int used = 0;
    *s = (bf_conv){.k = 3, .stride = 1};
    bool ok = sscanf(text, "%5dx%5dx%5dx%5dx%5d%n", &s->batch, &s->h, &s->w, &s->ci, &s->co, &used) == 5 && used > 0;
    const char *p = text + used;
    if (ok && p[0] == ':' && p[1] == 'k' && p[2] != '\0') s->k = p[2] - '0', p += 3;
    if (ok && p[0] == ':' && p[1] == 's' && p[2] != '\0') s->stride = p[2] - '0', p += 3;
    const int extents[] = {s->batch, s->h, s->w, s->ci, s->co};
    for (size_t i = 0; i < BF_COUNT(extents); i++) ok = ok && extents[i] >= 1 && extents[i] <= LARGEST;
    ok = ok && *p == '\0' && (s->k == 1 || s->k == 3) && (s->stride == 1 || s->stride == 2);
    BF_CHECK(ok, BF_USAGE,
             "\"%.60s\" is not a convolution such as 16x28x28x64x128 or 8x32x32x64x64:k1:s2, sizes up to %d", text,
             LARGEST);
out:
    return st;
}

static uint64_t workspace(const conv_case *c)
{
    switch (c->kind) {
    case FORWARD: return bf_conv_forward_workspace(c->ctx, &c->s);
    case INPUT_GRADIENT: return bf_conv_backward_input_workspace(c->ctx, &c->s);
    default: return bf_conv_backward_weight_workspace(c->ctx, &c->s);
    }
}

static bf_status append(void *user, bf_cmds *cmds, bf_err *err)
{
    bf_status st = BF_OK;
    conv_case *c = user;
    const uint64_t bytes = workspace(c);
    if (bytes > 0) BF_TRY(bf_buf_new(c->ctx, bytes, "workspace to measure", &c->ws, err));
    const bf_mem x = {c->x, 0}, y = {c->y, 0}, w = {c->w, 0}, ws = {c->ws, 0};
    switch (c->kind) {
    case FORWARD: BF_TRY(bf_conv_forward(cmds, &c->s, y, x, w, BF_MEM_NONE, BF_MEM_NONE, BF_MEM_NONE, ws, err)); break;
    case INPUT_GRADIENT: BF_TRY(bf_conv_backward_input(cmds, &c->s, x, false, y, w, ws, err)); break;
    default: BF_TRY(bf_conv_backward_weight(cmds, &c->s, w, false, y, x, ws, err));
    }
out:
    return st;
}

static bf_status fill(conv_case *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_conv *s = &c->s;
    const uint64_t ho = (uint64_t)bf_conv_out(s->h, s->k, s->stride), wo = (uint64_t)bf_conv_out(s->w, s->k, s->stride);
    const uint64_t ci = (uint64_t)s->ci, co = (uint64_t)s->co, batch = (uint64_t)s->batch;
    c->nw = ci * co * (uint64_t)(s->k * s->k);
    /* two factors of at most 2^32 each */
    BF_CHECK(bf_mul_u64(batch * (uint64_t)s->h, (uint64_t)s->w * ci, &c->nx) &&
                 bf_mul_u64(batch * ho, wo * co, &c->ny) && c->nx < UINT64_C(1) << 40 && c->ny < UINT64_C(1) << 40,
             BF_USAGE, "a convolution of %dx%dx%dx%dx%d is too large to measure", s->batch, s->h, s->w, s->ci, s->co);
    BF_TRY(bf_buf_new(c->ctx, c->nx * sizeof(float), "images to measure", &c->x, err));
    BF_TRY(bf_buf_new(c->ctx, c->ny * sizeof(float), "images to measure", &c->y, err));
    BF_TRY(bf_buf_new(c->ctx, c->nw * sizeof(float), "weights to measure", &c->w, err));
    BF_TRY(bf_bench_fill(c->ctx, (bf_mem){c->x, 0}, c->nx, -1, 1, err));
    BF_TRY(bf_bench_fill(c->ctx, (bf_mem){c->y, 0}, c->ny, -1, 1, err));
    BF_TRY(bf_bench_fill(c->ctx, (bf_mem){c->w, 0}, c->nw, -1, 1, err));
out:
    return st;
}

static bf_status measure(bf_bench_table *t, const bf_conv *s, int kind, const char *text, bf_err *err)
{
    bf_status st = BF_OK;
    conv_case c = {.ctx = t->ctx, .s = *s, .kind = kind};
    if (bf_bench_wanted(t, kinds[kind])) BF_TRY(fill(&c, err));
    const bf_bench_work w = {.op = kinds[kind],
                             .shape = text,
                             .flop = 2.0 * (double)c.ny * (double)(s->k * s->k) * s->ci,
                             .bytes = sizeof(float) * (double)(c.nx + c.ny + c.nw)};
    BF_TRY(bf_bench_row(t, &w, append, &c, err));
out:
    case_free(&c);
    return st;
}

static bf_status check(const char *text, bf_err *err)
{
    bf_conv unused;
    return parse_shape(text, &unused, err);
}

static bf_status rows(bf_bench_table *t, const char *text, bf_err *err)
{
    bf_status st = BF_OK;
    bf_conv s;
    BF_TRY(parse_shape(text, &s, err));
    for (int k = 0; k < KINDS; k++) BF_TRY(measure(t, &s, k, text, err));
out:
    return st;
}

const bf_bench_shapes bf_bench_conv_shapes = {default_shapes, BF_COUNT(default_shapes), KINDS, check, rows};

bfncl_status bfncl_bench_conv(const bfncl_bench_options *o, bfncl_bench_result *result, bfncl_error *err)
{
    bf_err own;
    return bf_bench_run_shapes(o, &bf_bench_conv_shapes, result, err ? err : &own);
}
