/* Networks: the official parameter list, formula weights, golden files, descriptions. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "net/net.h"
#include "run/official.h"
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

static void compare_entry(const json_t *entry, const bf_param_spec *s)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const json_t *shape = json_object_get(entry, "shape");
    const bool buffer = strcmp(json_string_value(json_object_get(entry, "kind")), "buffer") == 0;

    ck_assert_msg(strncmp(name, "net.", 4) == 0 && strcmp(name + 4, s->name) == 0, "'%s', expected '%s'", s->name,
                  name);
    ck_assert_msg(buffer == s->buffer, "%s: buffer or parameter", name);
    ck_assert_msg((int)json_array_size(shape) == s->ndim, "%s: %d dimensions", name, s->ndim);
    for (int d = 0; d < s->ndim; d++)
        ck_assert_msg((uint64_t)json_integer_value(json_array_get(shape, (size_t)d)) == s->dims[d],
                      "%s: size of dimension %d", name, d);
    const bool decays = json_number_value(json_object_get(entry, "weight_decay")) > 0;
    ck_assert_msg(buffer || decays == s->decay, "%s: weight decay", name);
}

START_TEST(official_parameter_list)
{
    json_error_t e;
    json_t *j = json_load_file(GOLDEN "/shapes/mnist_discrete.json", 0, &e);
    bf_net_config c;

    ck_assert_msg(j != NULL, "%s", e.text);
    OK(bf_official_net(json_object_get(j, "model"), &c, err));
    built n = build(test_ctx(BF_CLASS_CPU), &c, 1, true);
    const json_t *list = json_object_get(j, "tensors");
    ck_assert_uint_eq((size_t)bf_params_count(n.params), json_array_size(list));
    for (int i = 0; i < bf_params_count(n.params); i++)
        compare_entry(json_array_get(list, (size_t)i), bf_params_spec(n.params, i));
    ck_assert_uint_eq(bf_params_numel(n.params), 24808961);
    bf_net_config own = bf_net_defaults(BF_NET_UNET);
    OK(bf_net_resolve(&own, err));
    built d = build(test_ctx(BF_CLASS_CPU), &own, 1, false);
    ck_assert_uint_eq(bf_params_numel(d.params), 24808961); /* bf_net_defaults are the same network */
    built_free(&d);
    built_free(&n);
    json_decref(j);
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

START_TEST(formula_weights)
{
    static const float first[6] = {-0.379204f, -0.369647f, -0.231077f, 0.00810001f, 0.260589f, 0.274994f};
    bf_net_config c = bf_net_defaults(BF_NET_UNET);
    float x[128], out[128];
    const float t[2] = {0.25f, 0.25f};

    c.input.height = c.input.width = 8;
    c.input.output = 2;
    c.width = c.out_features = 32;
    c.levels = c.heads = 2;
    c.blocks = c.attentions = 1;
    c.attention[0] = 2;
    for (int j = 0; j < 128; j++) x[j] = (float)sin(0.5 * j);
    TEST_BOTH(ctx)
    {
        built n = build(ctx, &c, 2, false);
        bf_cmds *cmds = NULL;
        double sum = 0, squares = 0;
        ck_assert_int_eq(bf_params_count(n.params), 133);
        OK(bf_params_alloc(n.params, 1u << BF_SET_VALUE, err));
        fill_by_formula(n.params);
        OK(bf_graph_plan(n.graph, true, NULL, err));
        OK(bf_cmds_new(ctx, &cmds, err));
        OK(bf_graph_emit(n.graph, cmds, err));
        OK(bf_write(ctx, bf_graph_mem(n.graph, n.x), x, sizeof x, err));
        OK(bf_write(ctx, bf_graph_mem(n.graph, n.t), t, sizeof t, err));
        OK(bf_cmds_run(cmds, err));
        OK(bf_read(ctx, out, bf_graph_mem(n.graph, n.out), sizeof out, err));
        for (int i = 0; i < 6; i++)
            ck_assert_msg(fabsf(out[i] - first[i]) <= 2e-5f, "output %d: %g, expected %g", i, (double)out[i],
                          (double)first[i]);
        for (int i = 0; i < 128; i++) {
            sum += (double)out[i];
            squares += (double)out[i] * (double)out[i];
        }
        ck_assert_msg(fabs(sum + 19.7426) < 128 * 2e-5 && fabs(squares - 9.20343) < 1e-3, "sums %g, %g", sum, squares);
        bf_cmds_free(cmds);
        built_free(&n);
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
    static const char *const paths[] = {GOLDEN "/nets", GOLDEN "/train/train_discrete_mnist_unet.safetensors"};
    const bfncl_verify_options o = {.paths = paths, .n_paths = BF_COUNT(paths), .on_line = say_failure};

    TEST_BOTH(ctx)
    {
        bfncl_verify_result r = {0};
        OK(bf_verify_run(ctx, &o, &r, err));
        ck_assert_uint_eq(r.failed + r.skipped, 0);
        ck_assert_uint_eq(r.passed, 4);
        ck_assert_uint_gt(r.tensors, 400);
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
    ck_assert_ptr_nonnull(strstr(text, "unet 8x8"));
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

START_TEST(wrong_descriptions_are_refused)
{
    bf_net_config bad[8];
    static const char *const part[8] = {"net.width", "net.mult",    "net.groups", "halved",
                                        "net.heads", "net.dropout", "net.blocks", "positive"};

    for (int i = 0; i < 8; i++) bad[i] = small();
    bad[0].width = 33;
    bad[1].mult[0] = 2;
    bad[2].groups = 5;
    bad[3].input.height = 10;
    bad[4].heads = 3;
    bad[5].dropout = 1.0f;
    bad[6].blocks = 0;
    bad[7].outputs = 0;
    for (int i = 0; i < 8; i++) {
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

int main(void)
{
    Suite *suite = suite_create("net");
    TCase *tc = tcase_create("net");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, official_parameter_list);
    tcase_add_test(tc, formula_weights);
    tcase_add_test(tc, golden_files);
    tcase_add_test(tc, groups_keep_the_time_signal);
    tcase_add_test(tc, wrong_descriptions_are_refused);
    tcase_add_test(tc, initial_weights);
    tcase_add_test(tc, plan_of_the_full_size_network);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}
