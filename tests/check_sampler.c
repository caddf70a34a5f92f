/* Flows on a graph with random numbers from Philox, and the sampler. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "flow/ops.h"
#include "flow/sampler.h"
#include "support.h"

#define SEED UINT64_C(0x123456789abcdef)

static float *floats(size_t n)
{
    float *p = calloc(n ? n : 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* ---- flow and loss as graph nodes -------------------------------------------------------------------------------- */

enum { BATCH = 3, ROWS = 5, COLS = 7, DIMS = ROWS * COLS, DRAWS = 10, FIRST = 11, STEP = 42 };

typedef struct graph_case {
    bf_flow f;
    bf_flow_loss_spec spec;
    bf_graph *g;
    bf_params *params;
    bf_cmds *c;
    bf_tid data, t, net;
    bf_flow_state state;
    bf_flow_losses loss;
} graph_case;

static graph_case graph_new(bf_ctx *ctx, const bf_flow *f, const bf_flow_loss_spec *spec)
{
    graph_case k = {.f = *f, .spec = *spec};
    const bf_graph_options o = {.training = true, .weights = BF_SET_VALUE};
    const uint64_t dims[] = {BATCH, ROWS, COLS}, out[] = {BATCH, DIMS, (uint64_t)bf_flow_outputs(f)};
    OK(bf_params_new(ctx, &k.params, err));
    OK(bf_graph_new(ctx, k.params, &o, &k.g, err));
    k.data = bf_graph_input(k.g, "x", 3, dims);
    k.t = bf_graph_input(k.g, "t", 1, dims);
    k.net = bf_graph_input(k.g, "net", 3, out);
    k.state = bf_flow_input(k.g, f, k.data, k.t, BF_NONE);
    k.loss = bf_flow_loss(k.g, f, spec, k.state, k.data, k.t, k.net, BF_NONE, true);
    const bf_tid kept[] = {k.state.param, k.state.input, k.loss.sample, k.loss.element, k.loss.grad};
    for (size_t i = 0; i < BF_COUNT(kept); i++) bf_graph_keep(k.g, kept[i]);
    OK(bf_graph_plan(k.g, true, NULL, err));
    OK(bf_cmds_new(ctx, &k.c, err));
    OK(bf_graph_emit(k.g, k.c, err));
    return k;
}

static void graph_close(graph_case *k)
{
    bf_cmds_free(k->c);
    bf_graph_free(k->g);
    bf_params_free(k->params);
}

static void graph_run(bf_ctx *ctx, graph_case *k, uint32_t step)
{
    uint32_t words[BF_STEP_WORDS] = {0};
    words[BF_STEP_SEED_LO] = (uint32_t)SEED;
    words[BF_STEP_SEED_HI] = (uint32_t)(SEED >> 32);
    words[BF_STEP_STEP] = step;
    words[BF_STEP_SAMPLE0] = FIRST;
    OK(bf_graph_set_step(k->g, words, err));
    OK(bf_cmds_run(k->c, err));
    OK(bf_finish(ctx, err));
}

static float *graph_get(bf_ctx *ctx, const graph_case *k, bf_tid t)
{
    const size_t n = (size_t)bf_graph_numel(k->g, t);
    float *x = floats(n);
    OK(bf_read(ctx, x, bf_graph_mem(k->g, t), n * sizeof *x, err));
    return x;
}

static void put(bf_ctx *ctx, const graph_case *k, bf_tid t, const float *x)
{
    OK(bf_write(ctx, bf_graph_mem(k->g, t), x, (size_t)bf_graph_numel(k->g, t) * sizeof *x, err));
}

/* The same numbers from the ops with noise that the host makes: element counted within the sample. */
static void check_graph(bf_ctx *ctx, const bf_flow *f, const bf_flow_loss_spec *spec)
{
    enum { N = BATCH * DIMS };
    graph_case k = graph_new(ctx, f, spec);
    const bf_flow_shape shape = {BATCH, DIMS};
    const int width = bf_flow_outputs(f), wide = bf_flow_noise_width(f);
    const size_t draws = (size_t)bf_flow_loss_draws(f, spec), per_sample = (size_t)(DIMS * wide);
    const float times[BATCH] = {0.1f, 0.5f, 0.8f};
    float x[N], *net = floats((size_t)(N * width)), *noise = floats((size_t)(N * wide)),
                *state = floats((size_t)(N * wide));
    float *mc = floats(N * (size_t)wide * (draws + 1)), element[N], *grad = floats((size_t)(N * width));
    test_fill(x, N, 4);
    test_fill(net, (size_t)(N * width), 5);
    for (int i = 0; i < N && f->kind == BF_FLOW_CATEGORICAL; i++) x[i] = (float)(i % f->classes);
    put(ctx, &k, k.data, x);
    put(ctx, &k, k.t, times);
    put(ctx, &k, k.net, net);
    graph_run(ctx, &k, STEP);

    for (size_t i = 0; i < (size_t)(N * wide); i++) {
        noise[i] = bf_philox_normal(SEED, (uint32_t)(i % per_sample), FIRST + (uint32_t)(i / per_sample), STEP,
                                    BF_STREAM_FLOW);
    }
    for (size_t i = 0; i < draws * (size_t)(N * wide); i++) {
        const size_t all = per_sample * draws;
        mc[i] = bf_philox_normal(SEED, (uint32_t)(i % all), FIRST + (uint32_t)(i / all), STEP, BF_STREAM_SENDER);
    }
    const size_t space = bf_flow_loss_workspace(f, spec, shape, true) / sizeof(float);
    test_tensor dx = test_new(ctx, N, x), dt = test_new(ctx, BATCH, times),
                dn = test_new(ctx, (size_t)(N * wide), noise);
    test_tensor ds = test_new(ctx, (size_t)(N * wide), NULL), dnet = test_new(ctx, (size_t)(N * width), net);
    test_tensor dmc = test_new(ctx, draws * (size_t)(N * wide) + 1, mc), de = test_new(ctx, N, NULL);
    test_tensor dg = test_new(ctx, (size_t)(N * width), NULL), dws = test_new(ctx, space + 1, NULL);
    const bf_flow_loss_args args = {.loss = de.mem,
                                    .grad = dg.mem,
                                    .x = dx.mem,
                                    .mu = ds.mem,
                                    .net = dnet.mem,
                                    .t = dt.mem,
                                    .noise = dmc.mem,
                                    .draw_pitch = per_sample,
                                    .sample_pitch = draws * per_sample,
                                    .ws = dws.mem};
    bf_cmds *c;
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_flow_op_sample(c, f, shape, ds.mem, dx.mem, dn.mem, dt.mem, err));
    OK(bf_flow_op_loss(c, f, spec, shape, &args, err));
    test_run(c);
    test_get(ctx, &ds, state);
    test_get(ctx, &de, element);
    test_get(ctx, &dg, grad);

    float *mine = graph_get(ctx, &k, k.state.param), *elements = graph_get(ctx, &k, k.loss.element);
    float *sample = graph_get(ctx, &k, k.loss.sample), *by = graph_get(ctx, &k, k.loss.grad);
    test_close("state", mine, state, (size_t)(N * wide), 1e-6, 5e-6);
    test_close("loss", elements, element, N, 1e-6, 2e-5);
    test_close("gradient", by, grad, (size_t)(N * width), 1e-8, 1e-4);
    for (int b = 0; b < BATCH; b++) {
        double sum = 0.0;
        for (int d = 0; d < DIMS; d++) sum += elements[b * DIMS + d];
        ck_assert_double_eq_tol(sample[b], sum / DIMS, 2e-6 * (1.0 + fabs(sum / DIMS)));
    }

    /* the same step again: the same bits; another step: other noise */
    graph_run(ctx, &k, STEP);
    float *again = graph_get(ctx, &k, k.loss.grad);
    ck_assert_mem_eq(again, by, (size_t)(N * width) * sizeof *by);
    graph_run(ctx, &k, STEP + 1);
    float *other = graph_get(ctx, &k, k.state.param);
    ck_assert(memcmp(other, mine, (size_t)(N * wide) * sizeof *mine) != 0);

    test_tensor *device[] = {&dx, &dt, &dn, &ds, &dnet, &dmc, &de, &dg, &dws};
    for (size_t i = 0; i < BF_COUNT(device); i++) test_free(device[i]);
    float *host[] = {net, noise, state, mc, grad, mine, elements, sample, by, again, other};
    for (size_t i = 0; i < BF_COUNT(host); i++) free(host[i]);
    graph_close(&k);
}

START_TEST(graph_nodes_agree_with_ops)
{
    const bf_flow_loss_spec cts = {.kind = BF_LOSS_CTS}, steps = {.kind = BF_LOSS_N_STEP, .steps = 10, .draws = 3};
    TEST_BOTH(ctx)
    {
        bf_flow f = bf_flow_defaults(BF_FLOW_DISCRETISED);
        check_graph(ctx, &f, &cts);
        check_graph(ctx, &f, &steps);
        f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
        check_graph(ctx, &f, &cts);
        f.classes = 3;
        check_graph(ctx, &f, &steps);
    }
}
END_TEST

START_TEST(wrong_shapes_are_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const bf_flow f = bf_flow_defaults(BF_FLOW_DISCRETISED);
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_CTS};
    const uint64_t dims[] = {4, 6}, batch[] = {3};
    for (int which = 0; which < 2; which++) {
        bf_graph *g;
        bf_params *params;
        bf_err why;
        const bf_graph_options o = {.training = true};
        OK(bf_params_new(ctx, &params, err));
        OK(bf_graph_new(ctx, params, &o, &g, err));
        const bf_tid x = bf_graph_input(g, "x", 2, dims), t = bf_graph_input(g, "t", 1, which ? dims : batch);
        const bf_flow_state s = bf_flow_input(g, &f, x, t, BF_NONE);
        bf_flow_loss(g, &f, &spec, s, x, t, x, BF_NONE, true);
        ck_assert_int_eq(bf_graph_status(g, &why), BF_USAGE);
        ck_assert_ptr_nonnull(strstr(why.message, which ? "output has 24 elements, needs 48" : "one time per sample"));
        bf_graph_free(g);
        bf_params_free(params);
    }
}
END_TEST

/* ---- sampler ----------------------------------------------------------------------------------------------------- */

typedef struct linear {
    uint64_t in, out;
} linear;

static void build(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    const linear *net = user;
    const uint64_t flat[] = {bf_graph_dim(g, t, 0), net->in};
    const bf_param_spec w = {
        .name = "w", .ndim = 2, .dims = {net->out, net->in}, .init = BF_INIT_UNIFORM, .init_scale = 0.4f};
    const bf_param_spec b = {.name = "b", .ndim = 1, .dims = {net->out}, .init = BF_INIT_UNIFORM, .init_scale = 0.5f};
    *out = bf_graph_linear(g, bf_graph_reshape(g, *input, 2, flat), bf_graph_param(g, &w), bf_graph_param(g, &b),
                           BF_ACT_NONE, BF_NONE);
}

typedef struct watch {
    bf_flow f;
    int steps, seen;
    uint64_t batch, dims;
} watch;

/* Everything is finite; probabilities and theta sum to 1. */
static bf_status look(void *user, bf_sampler *s, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    watch *w = user;
    ck_assert_int_eq(i, ++w->seen);
    ck_assert_double_eq_tol(t, (double)(i - 1) / w->steps, 1e-12);
    for (int item = 0; item < BF_SAMPLER_ITEMS; item++) {
        const uint64_t n = bf_sampler_size(s, 0, (bf_sampler_item)item);
        const bool drawn = item == BF_SAMPLER_DRAWN || item == BF_SAMPLER_Y;
        const bool sums = w->f.kind == BF_FLOW_CATEGORICAL && (item == BF_SAMPLER_PARAMS || item == BF_SAMPLER_STATE);
        if (drawn && i > w->steps) continue;
        float *x = floats((size_t)n);
        st = bf_sampler_get(s, 0, (bf_sampler_item)item, x, err);
        ck_assert_int_eq(st, BF_OK);
        for (uint64_t k = 0; k < n; k++) ck_assert_msg(isfinite(x[k]), "item %d, step %d: not finite", item, i);
        for (uint64_t k = 0; sums && k < n; k += (uint64_t)w->f.classes) {
            double sum = 0.0;
            for (int j = 0; j < w->f.classes; j++) sum += x[k + (uint64_t)j];
            ck_assert_double_eq_tol(sum, 1.0, 1e-5);
        }
        free(x);
    }
    return st;
}

/* Samples first..first+batch-1 of a small linear network. */
static void sample(bf_ctx *ctx, const bf_flow *f, int batch, uint32_t first, uint64_t seed, int steps, float *out)
{
    enum { SIZE = 6 };
    linear net = {SIZE * (uint64_t)bf_flow_inputs(f), SIZE * (uint64_t)bf_flow_outputs(f)};
    watch w = {.f = *f, .steps = steps, .batch = (uint64_t)batch, .dims = SIZE};
    bf_group group = bf_group_alone(f, SIZE);
    const bf_hybrid hybrid = {1, &group};
    bf_params *params;
    bf_sampler *s;
    OK(bf_params_new(ctx, &params, err));
    const bf_sampler_options o = {.ctx = ctx,
                                  .params = params,
                                  .weights = BF_SET_VALUE,
                                  .hybrid = &hybrid,
                                  .ndim = 3,
                                  .dims = {(uint64_t)batch, 2, 3},
                                  .net = build,
                                  .user = &net};
    OK(bf_sampler_new(&o, &s, NULL, err));
    OK(bf_params_init(params, 3, err));
    const bf_sampler_run_options run = {.steps = steps, .seed = seed, .first = first, .on_step = look, .user = &w};
    OK(bf_sampler_run(s, &run, out, err));
    ck_assert_int_eq(w.seen, steps + 1);
    bf_sampler_free(s);
    bf_params_free(params);
}

static bf_flow sampled_flow(int variant)
{
    bf_flow f = bf_flow_defaults(variant < 2   ? BF_FLOW_CONTINUOUS
                                 : variant < 4 ? BF_FLOW_DISCRETISED
                                               : BF_FLOW_CATEGORICAL);
    if (variant == 1) f.output = BF_OUT_MIXTURE;
    if (variant == 1) f.mixture = 2;
    if (variant == 3) f.truncated = true;
    if (variant == 5) f.classes = 3;
    if (variant == 6) f.classes = 16;
    if (variant == 6) f.discretize = true;
    return f;
}

START_TEST(samples_depend_on_seed_and_index_alone)
{
    const int steps = test_quick() ? 2 : 6;
    TEST_BOTH(ctx)
    {
        for (int variant = 0; variant < 7; variant++) {
            const bf_flow f = sampled_flow(variant);
            float whole[5 * 6], again[5 * 6], part[2 * 6], other[5 * 6];
            sample(ctx, &f, 5, 10, 1, steps, whole);
            sample(ctx, &f, 5, 10, 1, steps, again);
            sample(ctx, &f, 2, 13, 1, steps, part);
            sample(ctx, &f, 5, 10, 2, steps, other);
            ck_assert_mem_eq(whole, again, sizeof whole);
            test_close("sample in another batch", part, whole + 3 * 6, 2 * 6, 1e-5, 0.0);
            ck_assert(memcmp(whole, other, sizeof whole) != 0);
            for (int i = 0; i < 5 * 6; i++) {
                const bool classes = f.kind == BF_FLOW_CATEGORICAL && !f.discretize;
                if (classes) ck_assert(whole[i] >= 0.0f && whole[i] < (float)f.classes && whole[i] == floorf(whole[i]));
                if (!classes && f.output == BF_OUT_DELTA) ck_assert(fabsf(whole[i]) <= 1.0f);
            }
        }
    }
}
END_TEST

/* The reference overflows once y passes 88; logits do not. */
START_TEST(large_accuracies_do_not_overflow)
{
    static const int classes[] = {2, 27, 257};
    TEST_BOTH(ctx)
    {
        for (size_t i = 0; i < BF_COUNT(classes); i++) {
            bf_flow f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
            float out[3 * 6];
            if (test_quick() && i > 0) continue; /* 257 classes are a product of 1542 x 1542 */
            f.classes = classes[i];
            f.max_sqrt_beta = 100.0;
            sample(ctx, &f, 3, 0, 9, 1, out);
            sample(ctx, &f, 3, 0, 9, 3, out);
        }
    }
}
END_TEST

START_TEST(dry_run_allocates_nothing)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const bf_flow f = bf_flow_defaults(BF_FLOW_DISCRETISED);
    bf_group group = bf_group_alone(&f, 6);
    const bf_hybrid hybrid = {1, &group};
    linear net = {6, 12};
    bf_params *params;
    bf_sampler *s;
    bf_plan plan, real;
    bf_err why;
    float out[18];
    OK(bf_params_new(ctx, &params, err));
    bf_sampler_options o = {
        .ctx = ctx, .params = params, .hybrid = &hybrid, .ndim = 2, .dims = {3, 6}, .net = build, .user = &net};
    o.dry_run = true;
    const uint64_t before = bf_ctx_used(ctx);
    OK(bf_sampler_new(&o, &s, &plan, err));
    ck_assert_uint_eq(bf_ctx_used(ctx), before);
    const bf_sampler_run_options run = {.steps = 1};
    ck_assert_int_eq(bf_sampler_run(s, &run, out, &why), BF_USAGE);
    bf_sampler_free(s);
    o.dry_run = false;
    OK(bf_sampler_new(&o, &s, &real, err));
    ck_assert_uint_eq(plan.peak_bytes, real.peak_bytes);
    ck_assert_uint_gt(plan.peak_bytes, 0);
    bf_sampler_free(s);
    net.out = 7;
    ck_assert_int_eq(bf_sampler_new(&o, &s, &real, &why), BF_USAGE);
    bf_params_free(params);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sampler");
    const TTest *const tests[] = {graph_nodes_agree_with_ops, wrong_shapes_are_refused,
                                  samples_depend_on_seed_and_index_alone, large_accuracies_do_not_overflow,
                                  dry_run_allocates_nothing};
    for (size_t i = 0; i < BF_COUNT(tests); i++) {
        TCase *tc = tcase_create(tests[i]->name);
        tcase_set_timeout(tc, 120);
        tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
    }
    return test_main(s);
}
