/* The network of vectors and tables against a plain one: several inputs, several outputs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "net/mlp.h"
#include "support.h"

#define INPUTS 3
#define OUTPUTS 2

typedef struct mlp {
    bf_params *params;
    bf_graph *graph;
    bf_tid in[INPUTS], t, out[OUTPUTS];
} mlp;

static const uint64_t sizes[OUTPUTS] = {3, 8};

static mlp build(bf_ctx *ctx, const bf_net_config *c, uint64_t batch)
{
    static const char *const names[OUTPUTS] = {"output.a", "output.b"}, *const inputs[INPUTS] = {"x", "y", "z"};
    const uint64_t dims[INPUTS][3] = {{batch, 3, 0}, {batch, 2, 4}, {batch, 1, 0}};
    const int ndim[INPUTS] = {2, 3, 2};
    const bf_graph_options o = {.training = false, .weights = BF_SET_VALUE};
    mlp n = {0};

    OK(bf_params_new(ctx, &n.params, err));
    OK(bf_graph_new(ctx, n.params, &o, &n.graph, err));
    for (int i = 0; i < INPUTS; i++) n.in[i] = bf_graph_input(n.graph, inputs[i], ndim[i], dims[i]);
    n.t = bf_graph_input(n.graph, "t", 1, &batch);
    bf_mlp_build(n.graph, c, INPUTS, n.in, n.t, OUTPUTS, names, sizes, n.out);
    for (int i = 0; i < OUTPUTS; i++) bf_graph_keep(n.graph, n.out[i]);
    OK(bf_graph_status(n.graph, err));
    return n;
}

/* ---- the plain network: one row at a time, in double ------------------------------------------------------------- */

static double *parameter(const mlp *n, const char *name, size_t *count)
{
    const int k = bf_params_find(n->params, name);
    ck_assert_msg(k >= 0, "no parameter %s", name);
    *count = bf_param_numel(bf_params_spec(n->params, k));
    float *w = malloc(*count * sizeof *w);
    double *d = malloc(*count * sizeof *d);
    ck_assert(w && d);
    OK(bf_params_get(n->params, BF_SET_VALUE, k, w, err));
    for (size_t i = 0; i < *count; i++) d[i] = (double)w[i];
    free(w);
    return d;
}

static void linear(const mlp *n, const char *layer, const double *x, size_t in, double *y, size_t out, bool add)
{
    char name[64];
    size_t nw, nb;
    snprintf(name, sizeof name, "%s.weight", layer);
    double *w = parameter(n, name, &nw);
    snprintf(name, sizeof name, "%s.bias", layer);
    double *b = parameter(n, name, &nb);
    ck_assert_uint_eq(nw, in * out);
    ck_assert_uint_eq(nb, out);
    for (size_t o = 0; o < out; o++) {
        double sum = b[o] + (add ? y[o] : 0);
        for (size_t i = 0; i < in; i++) sum += w[o * in + i] * x[i];
        y[o] = sum;
    }
    free(w);
    free(b);
}

static void norm(const mlp *n, const char *layer, const double *x, double *y, size_t width)
{
    char name[64];
    size_t count;
    double mean = 0, var = 0;
    snprintf(name, sizeof name, "%s.weight", layer);
    double *w = parameter(n, name, &count);
    snprintf(name, sizeof name, "%s.bias", layer);
    double *b = parameter(n, name, &count);
    for (size_t i = 0; i < width; i++) mean += x[i] / (double)width;
    for (size_t i = 0; i < width; i++) var += (x[i] - mean) * (x[i] - mean) / (double)width;
    for (size_t i = 0; i < width; i++) y[i] = (x[i] - mean) / sqrt(var + 1e-5) * w[i] + b[i];
    free(w);
    free(b);
}

static void silu(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] /= 1 + exp(-x[i]);
}

static void plain(const mlp *n, const bf_net_config *c, const double *x, size_t in, double t, double *out)
{
    const size_t w = (size_t)c->width;
    double first[32], h[64], e[32], code[32], y[64], z[64];
    char name[64];
    for (size_t k = 0; k < w / 2; k++) {
        const double angle = 4000 * t * exp(-log(10000) * (double)k / ((double)w / 2));
        code[k] = cos(angle);
        code[w / 2 + k] = sin(angle);
    }
    linear(n, "input", x, in, first, w, false);
    linear(n, "time.0", code, w, h, w, false);
    silu(h, w);
    linear(n, "time.2", h, w, e, w, false);
    silu(e, w);
    memcpy(h, first, sizeof first);
    for (int i = 0; i < c->blocks; i++) {
        snprintf(name, sizeof name, "blocks.%d.norm", i);
        norm(n, name, h, y, w);
        snprintf(name, sizeof name, "blocks.%d.fc1", i);
        linear(n, name, y, w, z, 2 * w, false);
        snprintf(name, sizeof name, "blocks.%d.time", i);
        linear(n, name, e, w, z, 2 * w, true);
        silu(z, 2 * w);
        snprintf(name, sizeof name, "blocks.%d.fc2", i);
        linear(n, name, z, 2 * w, h, w, true);
    }
    norm(n, "norm", h, y, w);
    memcpy(y + w, first, w * sizeof *y);
    linear(n, "output.a", y, c->skip ? 2 * w : w, out, sizes[0], false);
    linear(n, "output.b", y, c->skip ? 2 * w : w, out + sizes[0], sizes[1], false);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void fill(const mlp *n, bf_ctx *ctx, float *x[INPUTS], float *t, uint64_t batch)
{
    for (int k = 0; k < bf_params_count(n->params); k++) {
        const size_t count = bf_param_numel(bf_params_spec(n->params, k));
        float *w = malloc(count * sizeof *w);
        ck_assert_ptr_nonnull(w);
        test_fill(w, count, (uint32_t)k + 7);
        for (size_t i = 0; i < count; i++) w[i] *= 0.5f;
        OK(bf_params_set(n->params, BF_SET_VALUE, k, w, err));
        free(w);
    }
    for (int i = 0; i < INPUTS; i++) {
        const size_t count = bf_graph_numel(n->graph, n->in[i]);
        x[i] = malloc(count * sizeof **x);
        ck_assert_ptr_nonnull(x[i]);
        test_fill(x[i], count, (uint32_t)i + 1);
        OK(bf_write(ctx, bf_graph_mem(n->graph, n->in[i]), x[i], count * sizeof **x, err));
    }
    for (uint64_t i = 0; i < batch; i++) t[i] = (float)i / 64;
    OK(bf_write(ctx, bf_graph_mem(n->graph, n->t), t, batch * sizeof *t, err));
}

static void check(bf_ctx *ctx, uint64_t batch, bool skip)
{
    bf_net_config c = bf_net_defaults(BF_NET_MLP);
    float *x[INPUTS], t[64], got[64 * 11], want[64 * 11];
    bf_cmds *cmds;
    c.width = 16;
    c.blocks = 2;
    c.skip = skip;
    mlp n = build(ctx, &c, batch);
    OK(bf_params_alloc(n.params, 1u << BF_SET_VALUE, err));
    OK(bf_graph_plan(n.graph, true, NULL, err));
    fill(&n, ctx, x, t, batch);
    OK(bf_cmds_new(ctx, &cmds, err));
    OK(bf_graph_emit(n.graph, cmds, err));
    test_run(cmds);
    for (uint64_t b = 0; b < batch; b++) {
        double row[12], out[11];
        for (int i = 0; i < 3; i++) row[i] = (double)x[0][b * 3 + (uint64_t)i];
        for (int i = 0; i < 8; i++) row[3 + i] = (double)x[1][b * 8 + (uint64_t)i];
        row[11] = (double)x[2][b];
        plain(&n, &c, row, 12, (double)t[b], out);
        for (int i = 0; i < 3; i++) want[b * 3 + (uint64_t)i] = (float)out[i];
        for (int i = 0; i < 8; i++) want[batch * 3 + b * 8 + (uint64_t)i] = (float)out[3 + i];
    }
    OK(bf_read(ctx, got, bf_graph_mem(n.graph, n.out[0]), batch * 3 * sizeof *got, err));
    OK(bf_read(ctx, got + batch * 3, bf_graph_mem(n.graph, n.out[1]), batch * 8 * sizeof *got, err));
    test_close("mlp", got, want, batch * 11, 1e-3, 1e-3); /* angles of 4000 in float */
    for (int i = 0; i < INPUTS; i++) free(x[i]);
    bf_graph_free(n.graph);
    bf_params_free(n.params);
}

START_TEST(against_a_plain_network)
{
    static const uint64_t batches[] = {1, 5, 31, 33, 64};
    TEST_BOTH(ctx)
    {
        for (size_t i = 0; i < BF_COUNT(batches); i++) check(ctx, batches[i], i % 2 == 0);
    }
}
END_TEST

/* A fresh network's blocks change nothing: their last layer is zero. */
START_TEST(fresh_blocks)
{
    bf_net_config c = bf_net_defaults(BF_NET_MLP);
    size_t count;
    c.width = 16;
    c.blocks = 1;
    mlp n = build(test_ctx(BF_CLASS_CPU), &c, 1);
    OK(bf_params_alloc(n.params, 1u << BF_SET_VALUE, err));
    OK(bf_params_init(n.params, 1, err));
    double *w = parameter(&n, "blocks.0.fc2.weight", &count);
    ck_assert_uint_eq(count, 16 * 32);
    for (size_t i = 0; i < count; i++) ck_assert_double_eq(w[i], 0);
    free(w);
    w = parameter(&n, "blocks.0.fc1.weight", &count);
    ck_assert_double_ne(w[0], 0);
    free(w);
    bf_graph_free(n.graph);
    bf_params_free(n.params);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mlp");
    TCase *c = tcase_create("mlp");
    tcase_add_test(c, against_a_plain_network);
    tcase_add_test(c, fresh_blocks);
    tcase_set_timeout(c, 120);
    suite_add_tcase(s, c);
    return test_main(s);
}
