/* Convolution and linear layer, forward and backward, both device classes, against the definition. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "op/op.h"
#include "ref/conv.h"
#include "ref/linear.h"
#include "support.h"

/* Host values of a tensor beside the device tensor that starts with them. */
typedef struct pair {
    float *host;
    test_tensor dev;
} pair;

static pair pair_new(bf_ctx *ctx, size_t n, uint32_t seed)
{
    pair p = {.host = malloc(n * sizeof(float))};
    ck_assert_ptr_nonnull(p.host);
    test_fill(p.host, n, seed);
    p.dev = test_new(ctx, n, p.host);
    return p;
}

/* For an output: `keep` starts the device tensor with the values (it is added to), else with NaN. */
static pair pair_out(bf_ctx *ctx, size_t n, uint32_t seed, bool keep)
{
    pair p = pair_new(ctx, n, seed);
    if (!keep) {
        test_free(&p.dev);
        p.dev = test_new(ctx, n, NULL);
    }
    return p;
}

static void pair_free(pair *p)
{
    test_free(&p->dev);
    free(p->host);
}

/* Device against host values, then frees both. */
static void pair_close(bf_ctx *ctx, const char *what, const char *name, pair *p, double terms)
{
    char text[160];
    snprintf(text, sizeof text, "%s, class %d: %s", what, (int)bf_ctx_class(ctx), name);
    float *got = malloc(p->dev.n * sizeof *got);
    ck_assert_ptr_nonnull(got);
    test_get(ctx, &p->dev, got);
    test_close(text, got, p->host, p->dev.n, 1e-6, 3e-7 * (4.0 + sqrt(terms)));
    free(got);
    pair_free(p);
}

static void check_workspace(bf_ctx *ctx, test_tensor *ws)
{
    float *all = malloc(ws->n * sizeof *all);
    ck_assert_ptr_nonnull(all);
    test_get(ctx, ws, all);
    free(all);
    test_free(ws);
}

/* Multiply-adds of the largest case when every work-item is simulated. */
#define QUICK_PRODUCTS 1e5

static void conv_case(bf_ctx *ctx, const bf_conv *s, bool extras)
{
    const size_t nx = (size_t)(s->batch * s->h * s->w * s->ci), nw = (size_t)(s->k * s->k * s->ci * s->co);
    const size_t ny =
        (size_t)(s->batch * bf_conv_out(s->h, s->k, s->stride) * bf_conv_out(s->w, s->k, s->stride) * s->co);
    const double taps = s->k * s->k;
    if (test_quick() && taps * s->ci * (double)ny > QUICK_PRODUCTS) return;
    pair x = pair_new(ctx, nx, 1), w = pair_new(ctx, nw, 2), bias = pair_new(ctx, (size_t)s->co, 3);
    pair sample = pair_new(ctx, (size_t)(s->batch * s->co), 4), residual = pair_new(ctx, ny, 5);
    pair y = pair_out(ctx, ny, 6, false), dy = pair_new(ctx, ny, 7);
    pair dx = pair_out(ctx, nx, 8, extras), dw = pair_out(ctx, nw, 9, extras);
    test_tensor ws[] = {test_new(ctx, (size_t)bf_conv_forward_workspace(ctx, s) / 4 + 1, NULL),
                        test_new(ctx, (size_t)bf_conv_backward_input_workspace(ctx, s) / 4 + 1, NULL),
                        test_new(ctx, (size_t)bf_conv_backward_weight_workspace(ctx, s) / 4 + 1, NULL)};
    const bf_mem none = BF_MEM_NONE;
    char what[120];
    bf_cmds *c;
    snprintf(what, sizeof what, "conv %dx%d stride %d [%d,%d,%d,%d] to %d", s->k, s->k, s->stride, s->batch, s->h, s->w,
             s->ci, s->co);
    OK(bf_cmds_new(ctx, &c, err));
    const bool prepare = extras && bf_conv_prepares(ctx, s);
    if (prepare) OK(bf_conv_prepare(c, s, w.dev.mem, ws[0].mem, err));
    OK(bf_conv_forward(c, s, y.dev.mem, x.dev.mem, prepare ? none : w.dev.mem, extras ? bias.dev.mem : none,
                       extras ? sample.dev.mem : none, extras ? residual.dev.mem : none, ws[0].mem, err));
    OK(bf_conv_backward_input(c, s, dx.dev.mem, extras, dy.dev.mem, w.dev.mem, ws[1].mem, err));
    OK(bf_conv_backward_weight(c, s, dw.dev.mem, extras, dy.dev.mem, x.dev.mem, ws[2].mem, err));
    test_run(c);
    ref_conv_forward(s, y.host, x.host, w.host, extras ? bias.host : NULL, extras ? sample.host : NULL,
                     extras ? residual.host : NULL);
    ref_conv_backward(s, dx.host, dw.host, extras, dy.host, x.host, w.host);
    pair_close(ctx, what, "y", &y, taps * s->ci);
    pair_close(ctx, what, "dx", &dx, taps * s->co);
    pair_close(ctx, what, "dw", &dw, (double)ny / s->co);
    for (size_t i = 0; i < BF_COUNT(ws); i++) check_workspace(ctx, &ws[i]);
    pair *in[] = {&x, &w, &bias, &sample, &residual, &dy};
    for (size_t i = 0; i < BF_COUNT(in); i++) pair_free(in[i]);
}

/* Every channel count at an edge of the tiles, odd images, images smaller than the kernel. */
static const bf_conv cases[] = {
    {1, 1, 1, 1, 1, 3, 1},     {2, 5, 7, 3, 17, 3, 1},    {1, 2, 1, 2, 3, 3, 2},    {3, 7, 7, 32, 32, 3, 1},
    {2, 9, 4, 33, 31, 3, 2},   {1, 6, 5, 8, 64, 3, 1},    {2, 8, 8, 64, 65, 3, 2},  {3, 7, 6, 16, 48, 3, 2},
    {2, 14, 13, 12, 96, 1, 1}, {5, 3, 3, 63, 33, 1, 2},   {1, 28, 28, 1, 16, 3, 1}, {2, 7, 7, 40, 2, 1, 1},
    {1, 3, 4, 16, 16, 3, 1},   {2, 9, 11, 80, 112, 3, 1}, {1, 5, 2, 256, 48, 3, 1}, {1, 4, 5, 272, 48, 3, 1},
    {7, 7, 7, 64, 96, 3, 1},   {1, 1, 9, 16, 16, 3, 1},   {2, 5, 9, 288, 32, 3, 1}, {1, 12, 16, 16, 144, 3, 1}};

START_TEST(conv_matches_definition)
{
    TEST_BOTH(ctx)
    {
        for (size_t i = 0; i < BF_COUNT(cases); i++) {
            conv_case(ctx, &cases[i], i % 2 == 0);
            if (i < 4) conv_case(ctx, &cases[i], i % 2 != 0);
        }
    }
}
END_TEST

/* Finite differences of sum(y * dy), independent of the reference's backward: along random directions of x and w. */
START_TEST(reference_gradients)
{
    const bf_conv s = {2, 5, 4, 3, 5, 3, 2};
    enum { NX = 2 * 5 * 4 * 3, NW = 9 * 3 * 5, NY = 2 * 3 * 2 * 5 };
    float x[NX], w[NW], dy[NY], y[NY], dx[NX], dw[NW], vx[NX], vw[NW], x2[NX], w2[NW];
    double loss[2] = {0, 0}, slope = 0;
    const float h = 1e-2f; /* y is bilinear: the central difference has no truncation error along one direction */
    test_fill(x, NX, 1), test_fill(w, NW, 2), test_fill(dy, NY, 3), test_fill(vx, NX, 4), test_fill(vw, NW, 5);
    ref_conv_backward(&s, dx, dw, false, dy, x, w);
    for (int i = 0; i < NX; i++) slope += (double)dx[i] * vx[i];
    for (int i = 0; i < NW; i++) slope += (double)dw[i] * vw[i];
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < NX; i++) x2[i] = x[i] + (side ? h : -h) * vx[i];
        for (int i = 0; i < NW; i++) w2[i] = w[i] + (side ? h : -h) * vw[i];
        ref_conv_forward(&s, y, x2, w2, NULL, NULL, NULL);
        for (int i = 0; i < NY; i++) loss[side] += (double)y[i] * dy[i];
    }
    ck_assert_double_eq_tol((loss[1] - loss[0]) / (2 * h), slope, 1e-4 * (1 + fabs(slope)));
}
END_TEST

static void linear_case(bf_ctx *ctx, int rows, int in, int out, bf_act act, bool extras)
{
    pair x = pair_new(ctx, (size_t)(rows * in), 1), w = pair_new(ctx, (size_t)(in * out), 2);
    pair b = pair_new(ctx, (size_t)out, 3), residual = pair_new(ctx, (size_t)(rows * out), 4);
    pair y = pair_out(ctx, (size_t)(rows * out), 5, false), pre = pair_out(ctx, (size_t)(rows * out), 6, false);
    pair dy = pair_new(ctx, (size_t)(rows * out), 7), dx = pair_out(ctx, (size_t)(rows * in), 8, extras);
    pair dw = pair_out(ctx, (size_t)(in * out), 9, extras), db = pair_out(ctx, (size_t)out, 10, extras);
    test_tensor ws = test_new(ctx, (size_t)bf_linear_workspace(ctx, (uint64_t)rows, in, out) / 4 + 1, NULL);
    const bf_mem none = BF_MEM_NONE;
    bf_cmds *c;
    OK(bf_cmds_new(ctx, &c, err));
    const bool prepare = extras && bf_linear_prepares(ctx, (uint64_t)rows, in, out);
    if (prepare) OK(bf_linear_prepare(c, w.dev.mem, (uint64_t)rows, in, out, ws.mem, err));
    OK(bf_linear_forward(c, y.dev.mem, pre.dev.mem, x.dev.mem, prepare ? none : w.dev.mem, extras ? b.dev.mem : none,
                         extras ? residual.dev.mem : none, act, (uint64_t)rows, in, out, ws.mem, err));
    OK(bf_linear_backward(c, dx.dev.mem, extras, dw.dev.mem, extras, db.dev.mem, extras, dy.dev.mem, x.dev.mem,
                          w.dev.mem, (uint64_t)rows, in, out, ws.mem, err));
    OK(bf_linear_backward(c, none, false, none, false, none, false, dy.dev.mem, x.dev.mem, w.dev.mem, (uint64_t)rows,
                          in, out, ws.mem, err));
    test_run(c);
    ref_linear_forward(y.host, pre.host, x.host, w.host, extras ? b.host : NULL, extras ? residual.host : NULL, act,
                       rows, in, out);
    ref_linear_backward(dx.host, dw.host, db.host, extras, dy.host, x.host, w.host, rows, in, out);
    pair_close(ctx, "linear", "y", &y, in);
    pair_close(ctx, "linear", "pre", &pre, in);
    pair_close(ctx, "linear", "dx", &dx, out);
    pair_close(ctx, "linear", "dw", &dw, rows);
    pair_close(ctx, "linear", "db", &db, rows);
    check_workspace(ctx, &ws);
    pair *in_out[] = {&x, &w, &b, &residual, &dy};
    for (size_t i = 0; i < BF_COUNT(in_out); i++) pair_free(in_out[i]);
}

/* Layers side by side or apart, all of one input, against one layer after the other. */
static void linears_case(bf_ctx *ctx, int layers, int rows, int in, int out, int gap, bool extras)
{
    const size_t nw = (size_t)(in * out + gap), nb = (size_t)(out + gap), ny = (size_t)(rows * out);
    const bf_linears s = {
        .rows = (uint64_t)rows, .in = in, .out = out, .layers = layers, .w_stride = nw, .b_stride = nb};
    const size_t n = (size_t)layers;
    pair x = pair_new(ctx, (size_t)(rows * in), 1), w = pair_new(ctx, n * nw, 2), b = pair_new(ctx, n * nb, 3);
    pair y = pair_out(ctx, n * ny, 4, false), dy = pair_new(ctx, n * ny, 5);
    pair dx = pair_out(ctx, (size_t)(rows * in), 6, extras), dw = pair_out(ctx, n * nw, 7, true);
    pair db = pair_out(ctx, n * nb, 8, true);
    test_tensor ws = test_new(ctx, (size_t)bf_linears_workspace(ctx, &s) / 4 + 1, NULL);
    float *pre = malloc(ny * sizeof *pre);
    bf_cmds *c;
    ck_assert_ptr_nonnull(pre);
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_linears_forward(c, &s, y.dev.mem, x.dev.mem, w.dev.mem, extras ? b.dev.mem : BF_MEM_NONE, ws.mem, err));
    OK(bf_linears_backward(c, &s, dx.dev.mem, extras, dw.dev.mem, extras, db.dev.mem, extras, dy.dev.mem, x.dev.mem,
                           w.dev.mem, ws.mem, err));
    test_run(c);
    for (size_t l = 0; l < n; l++) {
        if (!extras && l == 0) memset(dx.host, 0, dx.dev.n * sizeof(float));
        if (!extras) memset(dw.host + l * nw, 0, (nw - (size_t)gap) * sizeof(float));
        if (!extras) memset(db.host + l * nb, 0, (nb - (size_t)gap) * sizeof(float));
        ref_linear_forward(y.host + l * ny, pre, x.host, w.host + l * nw, extras ? b.host + l * nb : NULL, NULL,
                           BF_ACT_NONE, rows, in, out);
        ref_linear_backward(dx.host, dw.host + l * nw, db.host + l * nb, true, dy.host + l * ny, x.host,
                            w.host + l * nw, rows, in, out);
    }
    pair_close(ctx, "linears", "y", &y, in);
    pair_close(ctx, "linears", "dx", &dx, out * layers);
    pair_close(ctx, "linears", "dw", &dw, rows);
    pair_close(ctx, "linears", "db", &db, rows);
    check_workspace(ctx, &ws);
    pair *in_out[] = {&x, &w, &b, &dy};
    for (size_t i = 0; i < BF_COUNT(in_out); i++) pair_free(in_out[i]);
    free(pre);
}

START_TEST(linears_match_one_after_the_other)
{
    TEST_BOTH(ctx)
    {
        linears_case(ctx, 3, 5, 33, 17, 0, true);
        linears_case(ctx, 2, 3, 7, 31, 5, false);
        if (test_quick()) continue;
        linears_case(ctx, 17, 16, 256, 128, 0, false);
        linears_case(ctx, 4, 16, 64, 64, 1, true);
        linears_case(ctx, 1, 31, 63, 65, 0, true);
    }
}
END_TEST

START_TEST(linear_matches_definition)
{
    TEST_BOTH(ctx)
    {
        linear_case(ctx, 1, 1, 1, BF_ACT_NONE, true);
        linear_case(ctx, 31, 33, 17, BF_ACT_NONE, false);
        if (test_quick()) continue;
        linear_case(ctx, 48, 64, 128, BF_ACT_SILU, true);
        linear_case(ctx, 2053, 7, 2, BF_ACT_SILU, true);
    }
}
END_TEST

START_TEST(wrong_shapes_are_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const bf_conv five = {1, 8, 8, 4, 4, 5, 1}, huge = {1 << 14, 256, 256, 64, 64, 3, 1};
    const bf_mem none = BF_MEM_NONE;
    bf_cmds *c;
    bf_err e;
    OK(bf_cmds_new(ctx, &c, err));
    ck_assert_int_eq(bf_conv_forward(c, &five, none, none, none, none, none, none, none, &e), BF_RUNTIME);
    ck_assert_int_eq(bf_conv_backward_weight(c, &huge, none, false, none, none, none, &e), BF_RUNTIME);
    ck_assert_int_eq(bf_linear_forward(c, none, none, none, none, none, none, BF_ACT_NONE, 0, 3, 4, none, &e),
                     BF_RUNTIME);
    ck_assert_uint_eq(bf_cmds_count(c), 0);
    bf_cmds_free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conv");
    TCase *conv = tcase_create("conv"), *linear = tcase_create("linear");
    tcase_add_test(conv, reference_gradients);
    tcase_add_test(conv, conv_matches_definition);
    tcase_add_test(conv, wrong_shapes_are_refused);
    tcase_add_test(linear, linear_matches_definition);
    tcase_add_test(linear, linears_match_one_after_the_other);
    tcase_set_timeout(conv, 120);
    tcase_set_timeout(linear, 120);
    suite_add_tcase(s, conv);
    suite_add_tcase(s, linear);
    return test_main(s);
}
