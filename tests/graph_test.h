/* What the suites of graphs share: a graph with its parameters and commands, random inputs, gradients against
 * differences of the loss. */
#ifndef BF_TESTS_GRAPH_TEST_H
#define BF_TESTS_GRAPH_TEST_H

#include <math.h>
#include <stdlib.h>

#include "graph/internal.h"
#include "support.h"

typedef struct fixture {
    bf_ctx *ctx;
    bf_params *params;
    bf_graph *g;
    bf_cmds *cmds;
} fixture;

static inline fixture fixture_new(bf_ctx *ctx, bool training)
{
    const bf_graph_options o = {.training = training, .weights = BF_SET_VALUE};
    fixture f = {.ctx = ctx};

    OK(bf_params_new(ctx, &f.params, err));
    OK(bf_graph_new(ctx, f.params, &o, &f.g, err));
    OK(bf_cmds_new(ctx, &f.cmds, err));
    return f;
}

static inline void fixture_free(fixture *f)
{
    bf_cmds_free(f->cmds);
    bf_graph_free(f->g);
    bf_params_free(f->params);
}

static inline void ready(fixture *f)
{
    OK(bf_graph_status(f->g, err));
    OK(bf_params_alloc(f->params, 1u << BF_SET_VALUE | 1u << BF_SET_GRAD, err));
    OK(bf_params_init(f->params, 7, err));
    OK(bf_graph_plan(f->g, true, NULL, err));
    OK(bf_graph_emit(f->g, f->cmds, err));
}

static inline void put(const fixture *f, bf_tid t, const float *x)
{
    OK(bf_write(f->ctx, bf_graph_mem(f->g, t), x, bf_graph_numel(f->g, t) * sizeof *x, err));
}

static inline void get(const fixture *f, bf_tid t, float *x)
{
    OK(bf_read(f->ctx, x, bf_graph_mem(f->g, t), bf_graph_numel(f->g, t) * sizeof *x, err));
}

static inline void run(const fixture *f)
{
    OK(bf_cmds_run(f->cmds, err));
    OK(bf_finish(f->ctx, err));
}

static inline float *random_floats(size_t n, uint32_t seed)
{
    float *x = malloc(n * sizeof *x);

    ck_assert_ptr_nonnull(x);
    test_fill(x, n, seed);
    return x;
}

static inline void put_random(const fixture *f, bf_tid t, uint32_t seed)
{
    float *x = random_floats(bf_graph_numel(f->g, t), seed);

    put(f, t, x);
    free(x);
}

static inline bf_tid input(const fixture *f, const char *name, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t dims[4] = {a, b, c, d};

    return bf_graph_input(f->g, name, d ? 4 : c ? 3 : b ? 2 : 1, dims);
}

static inline bf_tid param(const fixture *f, const char *name, bf_layout layout, uint64_t a, uint64_t b, uint64_t c,
                           uint64_t d)
{
    const bf_param_spec s = {.name = name,
                             .ndim = d   ? 4
                                     : c ? 3
                                     : b ? 2
                                         : 1,
                             .dims = {a, b, c, d},
                             .layout = layout,
                             .decay = true,
                             .init = BF_INIT_UNIFORM,
                             .init_scale = 0.7f};

    return bf_graph_param(f->g, &s);
}

/* Central difference of the loss along a random direction of one tensor against the dot product with its gradient. */
static inline void check_direction(const fixture *f, const char *what, bf_mem at, bf_mem grad, size_t n, bf_tid loss,
                                   double tolerance)
{
    float *x = malloc(n * sizeof *x), *g = malloc(n * sizeof *g), *d = random_floats(n, 99), up, down;
    float *moved = malloc(n * sizeof *moved);
    const double h = 2e-2 / sqrt((double)n);
    double want, got = 0;

    OK(bf_read(f->ctx, x, at, n * sizeof *x, err));
    OK(bf_read(f->ctx, g, grad, n * sizeof *g, err));
    for (size_t i = 0; i < n; i++) moved[i] = x[i] + (float)h * d[i];
    OK(bf_write(f->ctx, at, moved, n * sizeof *x, err));
    run(f);
    get(f, loss, &up);
    for (size_t i = 0; i < n; i++) moved[i] = x[i] - (float)h * d[i];
    OK(bf_write(f->ctx, at, moved, n * sizeof *x, err));
    run(f);
    get(f, loss, &down);
    OK(bf_write(f->ctx, at, x, n * sizeof *x, err));
    want = ((double)up - (double)down) / (2 * h);
    double scale = 0;
    for (size_t i = 0; i < n; i++) {
        got += (double)g[i] * (double)d[i];
        scale += (double)g[i] * (double)g[i] / 3.0;
    }
    ck_assert_msg(scale > 0, "%s: the gradient is zero", what);
    ck_assert_msg(fabs(want - got) <= tolerance * (sqrt(scale) + fabs(want)), "%s: %g along a direction, expected %g",
                  what, got, want);
    free(x), free(g), free(d), free(moved);
}

/* Every parameter and every input that wants a gradient. */
static inline void check_gradients(fixture *f, bf_tid loss)
{
    bf_tid by[32];
    int n = 0;

    bf_graph_keep(f->g, loss);
    OK(bf_graph_status(f->g, err));
    for (bf_tid t = 0; t < f->g->tensors; t++)
        if (f->g->tensor[t].want_grad) by[n++] = t;
    OK(bf_graph_backward(f->g, loss, BF_NONE, err));
    ready(f);
    for (bf_tid t = 0; t < f->g->tensors; t++)
        if (f->g->tensor[t].kind == BF_T_INPUT && t != f->g->step) put_random(f, t, 10 + (uint32_t)t);
    OK(bf_graph_set_step(f->g, (uint32_t[BF_STEP_WORDS]){1, 2, 3, 4}, err));
    run(f);
    for (int i = 0; i < n; i++) {
        run(f);
        check_direction(f, f->g->tensor[by[i]].name, bf_graph_mem(f->g, by[i]),
                        bf_graph_mem(f->g, bf_graph_grad_of(f->g, by[i])), bf_graph_numel(f->g, by[i]), loss, 4e-3);
    }
    for (int i = 0; i < bf_params_count(f->params); i++) {
        const bf_param_spec *s = bf_params_spec(f->params, i);
        if (s->buffer) continue;
        run(f);
        check_direction(f, s->name, bf_params_mem(f->params, BF_SET_VALUE, i), bf_params_mem(f->params, BF_SET_GRAD, i),
                        bf_param_numel(s), loss, 4e-3);
    }
}

static inline bf_tid dot_with_random(const fixture *f, bf_tid y)
{
    const uint64_t n = bf_graph_numel(f->g, y);
    float *w = random_floats(n, 5);
    bf_tid weight = bf_graph_const(f->g, "weight", 1, &n, w);

    free(w);
    return bf_graph_dot(f->g, y, weight);
}

#endif
