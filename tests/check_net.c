/* Networks: the official parameter list, formula weights, golden files, descriptions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "net/net.h"
#include "run/verify.h"
#include "support.h"

#ifndef GOLDEN
#define GOLDEN "tests/golden"
#endif

typedef struct built {
    bf_params *params;
    bf_graph *graph;
    bf_tid x, t, out;
} built;

static built build(bf_ctx *ctx, const bf_net_config *c, uint64_t batch, bool training)
{
    const bf_graph_options o = {.training = training, .weights = BF_SET_VALUE};
    const uint64_t dims[4] = {batch, (uint64_t)c->input.height, (uint64_t)c->input.width, (uint64_t)c->input.channels};
    built n = {.params = NULL};

    OK(bf_params_new(ctx, &n.params, err));
    OK(bf_graph_new(ctx, n.params, &o, &n.graph, err));
    n.x = bf_graph_input(n.graph, "x", 4, dims);
    n.t = bf_graph_input(n.graph, "t", 1, dims);
    n.out = bf_net_build(n.graph, c, n.x, n.t);
    bf_graph_keep(n.graph, n.out);
    OK(bf_graph_status(n.graph, err));
    return n;
}

static void built_free(built *n)
{
    bf_graph_free(n->graph);
    bf_params_free(n->params);
}

/* ---- parameter list ---------------------------------------------------------------------------------------------- */

/* The defaults are the released networks; their lists, name by name, are compared by golden_files. */
START_TEST(official_sizes)
{
    static const struct {
        bf_net_kind kind;
        int outputs;
        uint64_t numbers;
    } cases[] = {{BF_NET_UNET, 1, 24808961},
                 {BF_NET_VDM_UNET, 1, 30722188},
                 {BF_NET_VDM_UNET, 2, 30722584},
                 {BF_NET_TRANSFORMER, 27, 170175003}};

    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        bf_net_config c = bf_net_defaults(cases[i].kind);
        c.outputs = cases[i].outputs;
        OK(bf_net_resolve(&c, err));
        built n = build(test_ctx(BF_CLASS_CPU), &c, 1, false);
        ck_assert_uint_eq(bf_params_numel(n.params), cases[i].numbers);
        built_free(&n);
    }
}
END_TEST

/* ---- formula weights --------------------------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *tail)
{
    const size_t n = strlen(s), m = strlen(tail);

    return n >= m && strcmp(s + n - m, tail) == 0;
}

static void fill_by_formula(bf_params *p)
{
    for (int k = 0; k < bf_params_count(p); k++) {
        const bf_param_spec *s = bf_params_spec(p, k);
        const uint64_t n = bf_param_numel(s);
        if (s->buffer) continue;
        float *x = malloc(n * sizeof *x);
        ck_assert_ptr_nonnull(x);
        const double one = s->ndim == 1 && ends_with(s->name, "weight") ? 1.0 : 0.0;
        for (uint64_t j = 0; j < n; j++) x[j] = (float)(one + 0.1 * sin(0.37 * (double)j + 1.7 * k));
        OK(bf_params_set(p, BF_SET_VALUE, k, x, err));
        free(x);
    }
}

/* A small network of the specification with its first outputs, sum and sum of squares. */
typedef struct formula_case {
    bf_net_config c;
    int params;
    bool theta; /* the input is the softmax of the formula over the classes */
    float first[6];
    double sum, squares;
} formula_case;

static formula_case formula_unet(void)
{
    formula_case f = {.c = bf_net_defaults(BF_NET_UNET),
                      .params = 133,
                      .first = {-0.379204f, -0.369647f, -0.231077f, 0.00810001f, 0.260589f, 0.274994f},
                      .sum = -19.7426,
                      .squares = 9.20343};

    f.c.input.height = f.c.input.width = 8;
    f.c.width = f.c.out_features = 32;
    f.c.levels = f.c.heads = 2;
    f.c.blocks = f.c.attentions = 1;
    f.c.attention[0] = 2;
    return f;
}

static formula_case formula_vdm_unet(void)
{
    formula_case f = {.c = bf_net_defaults(BF_NET_VDM_UNET),
                      .params = 88,
                      .first = {-0.0353015f, -0.135178f, -0.215992f, -0.26625f, -0.278784f, -0.251778f},
                      .sum = -41.404,
                      .squares = 16.3485};

    f.c.input.height = f.c.input.width = 4;
    f.c.width = 32;
    f.c.blocks = f.c.outputs = 2;
    f.c.groups = 8;
    return f;
}

static formula_case formula_transformer(void)
{
    formula_case f = {.c = bf_net_defaults(BF_NET_TRANSFORMER),
                      .params = 33,
                      .theta = true,
                      .first = {0.0255756f, -0.0499919f, -0.118559f, -0.171178f, -0.201043f, 0.146841f},
                      .sum = -2.81384,
                      .squares = 0.712037};

    f.c.input.width = 4;
    f.c.input.channels = f.c.outputs = 5;
    f.c.width = 8;
    f.c.blocks = f.c.heads = 2;
    return f;
}

static void formula_input(const formula_case *f, float *x, size_t n)
{
    const size_t k = f->theta ? (size_t)f->c.input.channels : 1;

    for (size_t j = 0; j < n; j++) x[j] = (float)sin(0.5 * (double)j);
    for (size_t row = 0; f->theta && row < n / k; row++) {
        double sum = 0;
        for (size_t j = 0; j < k; j++) sum += exp((double)x[row * k + j]);
        for (size_t j = 0; j < k; j++) x[row * k + j] = (float)(exp((double)x[row * k + j]) / sum);
    }
}

static void run_once(bf_ctx *ctx, built *n, const float *x, const float *t)
{
    bf_cmds *cmds = NULL;

    OK(bf_cmds_new(ctx, &cmds, err));
    OK(bf_graph_emit(n->graph, cmds, err));
    OK(bf_write(ctx, bf_graph_mem(n->graph, n->x), x, bf_graph_numel(n->graph, n->x) * sizeof *x, err));
    OK(bf_write(ctx, bf_graph_mem(n->graph, n->t), t, bf_graph_numel(n->graph, n->t) * sizeof *t, err));
    OK(bf_cmds_run(cmds, err));
    OK(bf_finish(ctx, err));
    bf_cmds_free(cmds);
}

static void check_formula(bf_ctx *ctx, formula_case *f)
{
    float x[256], out[256];
    const float t[2] = {0.25f, 0.25f};
    double sum = 0, squares = 0;

    OK(bf_net_resolve(&f->c, err));
    built n = build(ctx, &f->c, 2, false);
    const size_t n_in = bf_graph_numel(n.graph, n.x), n_out = bf_graph_numel(n.graph, n.out);
    ck_assert(n_in <= BF_COUNT(x) && n_out <= BF_COUNT(out));
    ck_assert_int_eq(bf_params_count(n.params), f->params);
    OK(bf_params_alloc(n.params, 1u << BF_SET_VALUE, err));
    fill_by_formula(n.params);
    OK(bf_graph_plan(n.graph, true, NULL, err));
    formula_input(f, x, n_in);
    run_once(ctx, &n, x, t);
    OK(bf_read(ctx, out, bf_graph_mem(n.graph, n.out), n_out * sizeof *out, err));
    for (int i = 0; i < 6; i++)
        ck_assert_msg(fabsf(out[i] - f->first[i]) <= 2e-5f, "output %d: %g, expected %g", i, (double)out[i],
                      (double)f->first[i]);
    for (size_t i = 0; i < n_out; i++) {
        sum += (double)out[i];
        squares += (double)out[i] * (double)out[i];
    }
    ck_assert_msg(fabs(sum - f->sum) < (double)n_out * 2e-5 && fabs(squares - f->squares) < 1e-3, "sums %g, %g", sum,
                  squares);
    built_free(&n);
}

START_TEST(formula_weights)
{
    TEST_BOTH(ctx)
    {
        formula_case cases[] = {formula_unet(), formula_vdm_unet(), formula_transformer()};
        for (size_t i = 0; i < BF_COUNT(cases); i++) check_formula(ctx, &cases[i]);
    }
}
END_TEST

/* ---- length ------------------------------------------------------------------------------------------------------ */

/* A causal network says of the first positions what it says of them in the full sequence. */
static void check_short(bf_ctx *ctx, bool learned)
{
    enum { FULL = 6, SHORT = 4, K = 5, BATCH = 2 };
    formula_case f = formula_transformer();
    float full[BATCH * FULL * K], part[BATCH * SHORT * K], x[BATCH * SHORT * K], y[BATCH * FULL * K];
    const float t[BATCH] = {0.25f, 0.5f};
    const bf_graph_options o = {.weights = BF_SET_VALUE};

    f.c.input.width = FULL;
    f.c.input.learned_positions = learned;
    f.c.causal = true;
    OK(bf_net_resolve(&f.c, err));
    built n = build(ctx, &f.c, BATCH, false), shorter = {.params = n.params};
    OK(bf_params_alloc(n.params, 1u << BF_SET_VALUE, err));
    fill_by_formula(n.params);
    OK(bf_graph_plan(n.graph, true, NULL, err));
    formula_input(&f, y, BF_COUNT(y));
    run_once(ctx, &n, y, t);
    OK(bf_read(ctx, full, bf_graph_mem(n.graph, n.out), sizeof full, err));

    OK(bf_graph_new(ctx, n.params, &o, &shorter.graph, err));
    shorter.x = bf_graph_input(shorter.graph, "x", 4, (uint64_t[]){BATCH, 1, SHORT, K});
    shorter.t = bf_graph_input(shorter.graph, "t", 1, (uint64_t[]){BATCH});
    shorter.out = bf_net_build(shorter.graph, &f.c, shorter.x, shorter.t);
    bf_graph_keep(shorter.graph, shorter.out);
    OK(bf_graph_plan(shorter.graph, true, NULL, err));
    for (size_t b = 0; b < BATCH; b++) memcpy(x + b * SHORT * K, y + b * FULL * K, SHORT * K * sizeof *x);
    run_once(ctx, &shorter, x, t);
    OK(bf_read(ctx, part, bf_graph_mem(shorter.graph, shorter.out), sizeof part, err));
    for (size_t b = 0; b < BATCH; b++)
        for (size_t i = 0; i < SHORT * K; i++)
            ck_assert_float_eq_tol(part[b * SHORT * K + i], full[b * FULL * K + i], 1e-5f);
    bf_graph_free(shorter.graph);
    built_free(&n);
}

START_TEST(short_sequences)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_net_config c = formula_transformer().c;
    bf_params *params = NULL;
    bf_graph *g = NULL;

    check_short(ctx, false);
    check_short(ctx, true);
    OK(bf_net_resolve(&c, err));
    for (uint64_t length = 3; length <= 5; length += 2) { /* the network has 4 positions */
        const bf_graph_options o = {.training = length < 4, .weights = BF_SET_VALUE};
        bf_err failure = {0};
        OK(bf_params_new(ctx, &params, err));
        OK(bf_graph_new(ctx, params, &o, &g, err));
        const bf_tid x = bf_graph_input(g, "x", 4, (uint64_t[]){1, 1, length, 5});
        (void)bf_net_build(g, &c, x, bf_graph_input(g, "t", 1, (uint64_t[]){1}));
        ck_assert_int_eq(bf_graph_status(g, &failure), BF_USAGE);
        ck_assert_ptr_nonnull(
            strstr(failure.message, length < 4 ? "has no gradient" : "5 positions, the network has 4"));
        bf_graph_free(g);
        bf_params_free(params);
    }
}
END_TEST

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* A training graph of loss = sum out * weight, its prepared commands, and what they read. */
typedef struct slope_case {
    built n;
    bf_tid weight, mask[8];
    bf_cmds *cmds;
    float *w;
    size_t outputs;
} slope_case;

static void fill_random(bf_ctx *ctx, const bf_graph *g, bf_tid t, uint32_t seed)
{
    const size_t n = bf_graph_numel(g, t);
    float *x = malloc(n * sizeof *x);

    ck_assert_ptr_nonnull(x);
    test_fill(x, n, seed);
    OK(bf_write(ctx, bf_graph_mem(g, t), x, n * sizeof *x, err));
    free(x);
}

/* About one in four is dropped. */
static void fill_mask(bf_ctx *ctx, const bf_graph *g, bf_tid t)
{
    const size_t n = bf_graph_numel(g, t);
    float *x = malloc(n * sizeof *x);

    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++) x[i] = i * 7 % 11 > 2 ? 1.0f : 0.0f;
    OK(bf_write(ctx, bf_graph_mem(g, t), x, n * sizeof *x, err));
    free(x);
}

static void fill_weights(bf_params *p)
{
    for (int k = 0; k < bf_params_count(p); k++) {
        const bf_param_spec *s = bf_params_spec(p, k);
        const size_t n = bf_param_numel(s);
        if (s->buffer) continue;
        float *x = malloc(n * sizeof *x);
        ck_assert_ptr_nonnull(x);
        test_fill(x, n, (uint32_t)k);
        for (size_t j = 0; j < n; j++)
            x[j] = 0.3f * x[j] + (s->ndim == 1 && ends_with(s->name, "weight") ? 1.0f : 0.0f);
        OK(bf_params_set(p, BF_SET_VALUE, k, x, err));
        free(x);
    }
}

static slope_case slope_new(bf_ctx *ctx, const bf_net_config *c, const char *const *masks, size_t n_masks)
{
    const bf_graph_options o = {.training = true, .weights = BF_SET_VALUE};
    const uint64_t dims[4] = {2, (uint64_t)c->input.height, (uint64_t)c->input.width, (uint64_t)c->input.channels};
    slope_case s = {.n = {.params = NULL}};
    built *n = &s.n;

    OK(bf_params_new(ctx, &n->params, err));
    OK(bf_graph_new(ctx, n->params, &o, &n->graph, err));
    n->x = bf_graph_input(n->graph, "x", 4, dims);
    n->t = bf_graph_input(n->graph, "t", 1, dims);
    ck_assert_uint_le(n_masks, BF_COUNT(s.mask));
    for (size_t i = 0; i < n_masks; i++)
        s.mask[i] = bf_graph_input(n->graph, masks[i], 3, (uint64_t[]){2, dims[1] * dims[2], (uint64_t)c->width});
    n->out = bf_net_build(n->graph, c, n->x, n->t);
    bf_graph_keep(n->graph, n->out);
    s.outputs = bf_graph_numel(n->graph, n->out);
    const uint64_t flat = s.outputs;
    s.weight = bf_graph_input(n->graph, "weight", 1, &flat);
    OK(bf_graph_backward(n->graph, bf_graph_dot(n->graph, n->out, s.weight), BF_NONE, err));
    OK(bf_params_alloc(n->params, 1u << BF_SET_VALUE | 1u << BF_SET_GRAD, err));
    fill_weights(n->params);
    OK(bf_graph_plan(n->graph, true, NULL, err));
    OK(bf_cmds_new(ctx, &s.cmds, err));
    OK(bf_graph_emit(n->graph, s.cmds, err));
    fill_random(ctx, n->graph, n->x, 101);
    fill_random(ctx, n->graph, n->t, 102);
    fill_random(ctx, n->graph, s.weight, 103);
    for (size_t i = 0; i < n_masks; i++) fill_mask(ctx, n->graph, s.mask[i]);
    s.w = malloc(s.outputs * sizeof *s.w);
    ck_assert_ptr_nonnull(s.w);
    test_fill(s.w, s.outputs, 103);
    return s;
}

static void slope_free(slope_case *s)
{
    bf_cmds_free(s->cmds);
    built_free(&s->n);
    free(s->w);
}

static double slope_loss(bf_ctx *ctx, const slope_case *s)
{
    float *out = malloc(s->outputs * sizeof *out);
    double sum = 0;

    ck_assert_ptr_nonnull(out);
    OK(bf_cmds_run(s->cmds, err));
    OK(bf_read(ctx, out, bf_graph_mem(s->n.graph, s->n.out), s->outputs * sizeof *out, err));
    for (size_t i = 0; i < s->outputs; i++) sum += (double)out[i] * (double)s->w[i];
    free(out);
    return sum;
}

/* Signs of the direction in which parameter k is moved, scaled to length 1. */
static float *direction(const bf_params *p, int k)
{
    const size_t n = bf_param_numel(bf_params_spec(p, k));
    float *d = malloc(n * sizeof *d);

    ck_assert_ptr_nonnull(d);
    test_fill(d, n, (uint32_t)(1000 + k));
    for (size_t i = 0; i < n; i++) d[i] = (d[i] < 0 ? -1.0f : 1.0f) / sqrtf((float)n);
    return d;
}

/* The gradient of parameter k along its direction, and its norm. */
static double gradient_along(const bf_params *p, int k, double *norm)
{
    const size_t n = bf_param_numel(bf_params_spec(p, k));
    float *d = direction(p, k), *g = malloc(n * sizeof *g);
    double along = 0;

    ck_assert_ptr_nonnull(g);
    OK(bf_params_get(p, BF_SET_GRAD, k, g, err));
    *norm = 0;
    for (size_t i = 0; i < n; i++) {
        along += (double)g[i] * (double)d[i];
        *norm += (double)g[i] * (double)g[i];
    }
    *norm = sqrt(*norm);
    free(d);
    free(g);
    return along;
}

static double loss_at(bf_ctx *ctx, const slope_case *s, int k, const float *w, const float *d, double h)
{
    const size_t n = bf_param_numel(bf_params_spec(s->n.params, k));
    float *moved = malloc(n * sizeof *moved);

    ck_assert_ptr_nonnull(moved);
    for (size_t i = 0; i < n; i++) moved[i] = w[i] + (float)h * d[i];
    OK(bf_params_set(s->n.params, BF_SET_VALUE, k, moved, err));
    free(moved);
    return slope_loss(ctx, s);
}

/* Every parameter is moved along a direction of random signs: the loss changes as its gradient says. */
static void check_slopes(bf_ctx *ctx, const slope_case *s)
{
    const int count = bf_params_count(s->n.params);
    const double h = 2e-3;
    double want[128], norm[128];

    ck_assert_int_le(count, 128);
    (void)slope_loss(ctx, s);
    for (int k = 0; k < count; k++)
        if (!bf_params_spec(s->n.params, k)->buffer) want[k] = gradient_along(s->n.params, k, &norm[k]);
    for (int k = 0; k < count; k++) {
        const bf_param_spec *p = bf_params_spec(s->n.params, k);
        if (p->buffer) continue;
        float *d = direction(s->n.params, k), *w = malloc(bf_param_numel(p) * sizeof *w);
        ck_assert_ptr_nonnull(w);
        OK(bf_params_get(s->n.params, BF_SET_VALUE, k, w, err));
        const double slope = (loss_at(ctx, s, k, w, d, h) - loss_at(ctx, s, k, w, d, -h)) / (2 * h);
        ck_assert_msg(fabs(slope - want[k]) <= 5e-3 + 1e-2 * norm[k], "%s: slope %g, gradient %g (norm %g)", p->name,
                      slope, want[k], norm[k]);
        OK(bf_params_set(s->n.params, BF_SET_VALUE, k, w, err));
        free(d);
        free(w);
    }
}

/* Options that no golden file has together. */
START_TEST(finite_differences)
{
    static const char *const masks[] = {"drop.transformer.drop", "drop.transformer.h.0.attn.resid_dropout",
                                        "drop.transformer.h.0.mlp.dropout"};
    static const char *const vector_masks[] = {"drop.blocks.1.dropout"};
    bf_net_config text = bf_net_defaults(BF_NET_TRANSFORMER), image = bf_net_defaults(BF_NET_VDM_UNET),
                  vector = bf_net_defaults(BF_NET_MLP);

    text.input.width = 5;
    text.input.channels = text.outputs = 3;
    text.input.learned_positions = text.causal = true;
    text.width = 8;
    text.blocks = 1;
    text.heads = 2;
    text.dropout = 0.25f;
    OK(bf_net_resolve(&text, err));
    image.input.height = 3;
    image.input.width = 4;
    image.input.channels = image.channels = 2;
    image.input.time = image.input.positions = image.input.learned_positions = true;
    image.width = 8;
    image.blocks = 1;
    image.heads = 2;
    image.groups = 2;
    image.dropout = 0;
    image.attention_everywhere = true;
    image.input.position_size = 3;
    OK(bf_net_resolve(&image, err));
    vector.input.width = 7;
    vector.outputs = 2;
    vector.width = 10;
    vector.blocks = 2;
    vector.dropout = 0.25f;
    OK(bf_net_resolve(&vector, err));
    TEST_BOTH(ctx)
    {
        slope_case s = slope_new(ctx, &text, masks, BF_COUNT(masks));
        check_slopes(ctx, &s);
        slope_free(&s);
        s = slope_new(ctx, &image, NULL, 0);
        check_slopes(ctx, &s);
        slope_free(&s);
        s = slope_new(ctx, &vector, vector_masks, BF_COUNT(vector_masks));
        check_slopes(ctx, &s);
        slope_free(&s);
    }
}
END_TEST

/* ---- golden files ------------------------------------------------------------------------------------------------ */

static void say_failure(void *user, const bfncl_verify_line *line)
{
    (void)user;
    if (line->state != BFNCL_VERIFY_PASSED)
        fprintf(stderr, "%s %s: error %g, tolerance %g %s\n", line->path, line->tensor ? line->tensor : "", line->error,
                line->tolerance, line->note);
}

START_TEST(golden_files)
{
    static const char *const paths[] = {GOLDEN "/nets", GOLDEN "/shapes",
                                        GOLDEN "/train/train_discrete_mnist_unet.safetensors"};
    const bfncl_verify_options o = {.paths = paths, .n_paths = BF_COUNT(paths), .on_line = say_failure};

    TEST_BOTH(ctx)
    {
        bfncl_verify_result r = {0};
        OK(bf_verify_run(ctx, &o, &r, err));
        ck_assert_uint_eq(r.failed + r.skipped, 0);
        ck_assert_uint_eq(r.passed, 11);
        ck_assert_uint_gt(r.tensors, 2400);
    }
}
END_TEST

/* ---- descriptions ------------------------------------------------------------------------------------------------ */

static bf_net_config small(void)
{
    bf_net_config c = bf_net_defaults(BF_NET_UNET);

    c.input.height = c.input.width = 8;
    c.width = 32;
    c.blocks = 1;
    c.groups = 0;
    return c;
}

static char logged[512];

static void keep_log(void *user, bfncl_log_level level, const char *line)
{
    (void)user;
    if (level == BFNCL_LOG_WARN) snprintf(logged, sizeof logged, "%s", line);
}

START_TEST(groups_keep_the_time_signal)
{
    bf_net_config c = small();
    char text[128];

    bfncl_set_log(keep_log, NULL);
    OK(bf_net_resolve(&c, err));
    ck_assert_int_eq(c.groups, 8);
    ck_assert_int_eq(c.out_features, 32);
    ck_assert_int_eq(c.input.output, 2);
    ck_assert_str_eq(logged, "");
    bf_net_describe(&c, text, sizeof text);
    ck_assert_str_eq(text, "unet 8x8, width 32 x (1,2,2), 1 block, 8 groups, attention in the middle");
    c.groups = 32;
    OK(bf_net_resolve(&c, err));
    ck_assert_ptr_nonnull(strstr(logged, "net.groups"));
    logged[0] = '\0';
    c.scale_shift = true; /* behind the norm: safe */
    OK(bf_net_resolve(&c, err));
    ck_assert_str_eq(logged, "");
    bfncl_set_log(NULL, NULL);
}
END_TEST

START_TEST(descriptions_for_people)
{
    bf_net_config c = bf_net_defaults(BF_NET_VDM_UNET);
    char text[128];

    bf_net_describe(&c, text, sizeof text);
    ck_assert_str_eq(text, "vdm-unet 32x32, width 128, 32 blocks, 1 head, 32 groups, attention in the middle");
    c = bf_net_defaults(BF_NET_TRANSFORMER);
    c.causal = true;
    bf_net_describe(&c, text, sizeof text);
    ck_assert_str_eq(text, "transformer 1x256, width 768, 24 blocks, 12 heads, causal");
    bf_net_describe(&c, text, 12); /* cut, not beyond its end */
    ck_assert_str_eq(text, "transformer");
    c = bf_net_defaults(BF_NET_MLP);
    bf_net_describe(&c, text, sizeof text);
    ck_assert_str_eq(text, "mlp 1x1, width 256, 4 blocks");
}
END_TEST

START_TEST(wrong_descriptions_are_refused)
{
    bf_net_config bad[10];
    static const char *const part[10] = {"net.width",   "net.mult",   "net.groups", "halved",     "net.heads",
                                         "net.dropout", "net.blocks", "positive",   "net.groups", "net.heads"};

    for (int i = 0; i < 8; i++) bad[i] = small();
    bad[8] = bf_net_defaults(BF_NET_VDM_UNET);
    bad[9] = bf_net_defaults(BF_NET_TRANSFORMER);
    bad[0].width = 33;
    bad[1].mult[0] = 2;
    bad[2].groups = 5;
    bad[3].input.height = 10;
    bad[4].heads = 3;
    bad[5].dropout = 1.0f;
    bad[6].blocks = 0;
    bad[7].outputs = 0;
    bad[8].groups = 24;
    bad[9].heads = 5;
    for (int i = 0; i < 10; i++) {
        bf_err e = {0};
        ck_assert_int_eq(bf_net_resolve(&bad[i], &e), BF_USAGE);
        ck_assert_msg(strstr(e.message, part[i]) != NULL, "'%s' does not mention %s", e.message, part[i]);
    }
}
END_TEST

/* Initial weights: zero where the official code has zeros, inside the bound of the fan-in elsewhere. */
START_TEST(initial_weights)
{
    bf_net_config c = small();
    float w[9 * 32 * 32];

    OK(bf_net_resolve(&c, err));
    built n = build(test_ctx(BF_CLASS_CPU), &c, 1, true);
    OK(bf_params_alloc(n.params, 1u << BF_SET_VALUE, err));
    OK(bf_params_init(n.params, 3, err));
    OK(bf_params_get(n.params, BF_SET_VALUE, bf_params_find(n.params, "input_blocks.1.0.out_layers.3.weight"), w, err));
    for (size_t i = 0; i < BF_COUNT(w); i++) ck_assert_float_eq(w[i], 0.0f);
    OK(bf_params_get(n.params, BF_SET_VALUE, bf_params_find(n.params, "input_blocks.0.0.weight"), w, err));
    float most = 0;
    for (size_t i = 0; i < BF_COUNT(w); i++) most = fmaxf(most, fabsf(w[i]));
    ck_assert_msg(most <= 1.0f / sqrtf(288.0f) && most > 0.99f / sqrtf(288.0f), "largest %g", (double)most);
    OK(bf_params_get(n.params, BF_SET_VALUE, bf_params_find(n.params, "out.0.weight"), w, err));
    ck_assert_float_eq(w[0], 1.0f);
    built_free(&n);
}
END_TEST

static double deviation(const bf_params *p, const char *name)
{
    const int k = bf_params_find(p, name);
    ck_assert_msg(k >= 0, "no parameter %s", name);
    const size_t n = bf_param_numel(bf_params_spec(p, k));
    float *w = malloc(n * sizeof *w);
    double sum = 0;

    ck_assert_ptr_nonnull(w);
    OK(bf_params_get(p, BF_SET_VALUE, k, w, err));
    for (size_t i = 0; i < n; i++) sum += (double)w[i] * (double)w[i];
    free(w);
    return sqrt(sum / (double)n);
}

/* Normal weights in the transformer, narrower where a layer ends in a residual sum; zeros where the VDM U-Net has them.
 */
START_TEST(initial_weights_of_the_others)
{
    bf_net_config text = bf_net_defaults(BF_NET_TRANSFORMER), image = bf_net_defaults(BF_NET_VDM_UNET);

    text.width = 64;
    text.heads = 2;
    text.blocks = 2;
    image.width = 32;
    image.blocks = 1;
    image.groups = 8;
    OK(bf_net_resolve(&text, err));
    OK(bf_net_resolve(&image, err));
    built n = build(test_ctx(BF_CLASS_CPU), &text, 1, true);
    OK(bf_params_alloc(n.params, 1u << BF_SET_VALUE, err));
    OK(bf_params_init(n.params, 3, err));
    ck_assert_double_eq_tol(deviation(n.params, "transformer.h.0.mlp.c_fc.weight"), 0.02, 0.001);
    ck_assert_double_eq_tol(deviation(n.params, "transformer.h.1.mlp.c_proj.weight"), 0.01, 0.0005);
    ck_assert_double_eq_tol(deviation(n.params, "input_adapter.inp_embedding.weight"), 0.02, 0.002);
    ck_assert_double_eq(deviation(n.params, "lm_head.bias"), 0);
    ck_assert_double_eq(deviation(n.params, "transformer.h.1.ln_2.weight"), 1);
    built_free(&n);
    n = build(test_ctx(BF_CLASS_CPU), &image, 1, true);
    OK(bf_params_alloc(n.params, 1u << BF_SET_VALUE, err));
    OK(bf_params_init(n.params, 3, err));
    ck_assert_double_eq(deviation(n.params, "up_blocks.0.resnet_block.cond_proj.weight"), 0);
    ck_assert_double_eq(deviation(n.params, "mid_attn_block.layers.3.weight"), 0);
    ck_assert_double_eq(deviation(n.params, "conv_out.2.bias"), 0);
    ck_assert_double_eq_tol(deviation(n.params, "conv_in.weight"), 1 / sqrt(3.0 * 135), 0.002);
    built_free(&n);
}
END_TEST

/* The plan of a full training graph shares most of what gradients need. */
START_TEST(plan_of_the_full_size_network)
{
    bf_net_config c = bf_net_defaults(BF_NET_UNET);
    bf_plan plan;

    OK(bf_net_resolve(&c, err));
    built n = build(test_ctx(BF_CLASS_CPU), &c, 1, true);
    bf_tid seed = bf_graph_full(n.graph, 4, (uint64_t[]){1, 784, 1, 1}, 1.0f);
    OK(bf_graph_backward(n.graph, n.out, seed, err));
    OK(bf_graph_plan(n.graph, false, &plan, err));
    ck_assert(plan.activation_bytes < plan.unshared_bytes * 7 / 10);
    ck_assert_msg(fabs(plan.flops / (6 * 4.57e9) - 1) < 0.02, "%g flops", plan.flops); /* forward: 4.57 GMAC */
    built_free(&n);
}
END_TEST

/* Work of one forward pass at full size, in multiply-adds: the whole network is there. */
START_TEST(work_of_the_full_size_networks)
{
    static const struct {
        bf_net_kind kind;
        double macs;
    } cases[] = {{BF_NET_VDM_UNET, 26.6e9 + 0.27e9}, {BF_NET_TRANSFORMER, 45.9e9}};

    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        bf_net_config c = bf_net_defaults(cases[i].kind);
        bf_plan plan;
        OK(bf_net_resolve(&c, err));
        built n = build(test_ctx(BF_CLASS_CPU), &c, 1, false);
        OK(bf_graph_plan(n.graph, false, &plan, err));
        ck_assert_msg(fabs(plan.flops / (2 * cases[i].macs) - 1) < 0.01, "%g flops", plan.flops);
        built_free(&n);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net");
    TCase *tc = tcase_create("net");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, official_sizes);
    tcase_add_test(tc, formula_weights);
    tcase_add_test(tc, short_sequences);
    tcase_add_test(tc, finite_differences);
    tcase_add_test(tc, golden_files);
    tcase_add_test(tc, groups_keep_the_time_signal);
    tcase_add_test(tc, wrong_descriptions_are_refused);
    tcase_add_test(tc, descriptions_for_people);
    tcase_add_test(tc, initial_weights);
    tcase_add_test(tc, initial_weights_of_the_others);
    tcase_add_test(tc, plan_of_the_full_size_network);
    tcase_add_test(tc, work_of_the_full_size_networks);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}
