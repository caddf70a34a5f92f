/* Solvers of the sampler: order of convergence where the answer is known, the fused step against plain formulas, times,
 * ends and choices. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "flow/ops.h"
#include "flow/sampler.h"
#include "support.h"

#define MAX_CLASSES 257

static float *floats(size_t n)
{
    float *p = calloc(n ? n : 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* ---- order of convergence (host) --------------------------------------------------------------------------------- */

enum { CLASSES = 3, STATE = CLASSES };

/* Data whose expected value is known: a normal N(MEAN, SD^2), or classes with probabilities `prior`. */
#define MEAN 0.4
#define SD 0.3
static const double prior[CLASSES] = {0.2, 0.5, 0.3};

static void expected(const bf_flow *f, double t, const double *state, double *v)
{
    double sum = 0.0;
    if (f->kind != BF_FLOW_CATEGORICAL) {
        const double post = pow(f->min_variance, t), gamma = 1.0 - post;
        v[0] = (MEAN / (SD * SD) + state[0] / post) / (1.0 / (SD * SD) + gamma / post);
        return;
    }
    for (int k = 0; k < CLASSES; k++) sum += v[k] = prior[k] * exp(state[k]);
    for (int k = 0; k < CLASSES; k++) v[k] /= sum;
}

/* n steps of a mode without noise from `state`. */
static void integrate(const bf_flow *f, bf_sampler_mode mode, double eta, int n, double *state)
{
    const int width = f->kind == BF_FLOW_CATEGORICAL ? CLASSES : 1, per_step = bf_sampler_calls_per_step(mode);
    double *t = calloc((size_t)n + 1, sizeof *t), v[STATE], prev[STATE] = {0}, base[STATE] = {0};
    ck_assert_ptr_nonnull(t);
    bf_sampler_grid(eta, n, t);
    for (int i = 0; i < n * per_step; i++) {
        const int k = i / per_step;
        const double middle = 0.5 * (t[k] + t[k + 1]);
        bf_sampler_span span = {.t = t[k], .to = t[k + 1], .before = k > 0 ? t[k - 1] : -1.0};
        if (per_step == 2 && i % 2 == 0) span = (bf_sampler_span){.t = t[k], .to = middle, .before = -1.0};
        if (per_step == 2 && i % 2 == 1)
            span = (bf_sampler_span){.t = middle, .to = t[k + 1], .before = t[k], .second = true};
        const bf_sampler_numbers c = bf_sampler_step(f, mode, &span);
        expected(f, span.t, state, v);
        for (int j = 0; j < width; j++) {
            const double old = state[j];
            state[j] = c.keep * old + c.base * base[j] + c.value * v[j] + c.prev * prev[j] + c.shift;
            base[j] = old;
            prev[j] = v[j];
        }
    }
    free(t);
}

/* log2 of the ratio of the errors of n and 2n steps. */
static double order_of(const bf_flow *f, bf_sampler_mode mode, double eta, int n, const double *start,
                       const double *exact)
{
    double error[2] = {0.0, 0.0};
    for (int i = 0; i < 2; i++) {
        double state[STATE];
        memcpy(state, start, sizeof state);
        integrate(f, mode, eta, n << i, state);
        /* of classes a constant means nothing */
        for (int k = 0; k < (f->kind == BF_FLOW_CATEGORICAL ? CLASSES - 1 : 1); k++) {
            const double mine = f->kind == BF_FLOW_CATEGORICAL ? state[k] - state[CLASSES - 1] : state[0];
            const double want = f->kind == BF_FLOW_CATEGORICAL ? exact[k] - exact[CLASSES - 1] : exact[0];
            error[i] = fmax(error[i], fabs(mine - want));
        }
    }
    return log2(error[0] / error[1]);
}

static const struct {
    bf_sampler_mode mode;
    double order;
} ordinary[] = {
    {BF_SAMPLER_ODE_EULER, 1.0}, {BF_SAMPLER_ODE1, 1.0}, {BF_SAMPLER_ODE2, 2.0}, {BF_SAMPLER_ODE2_SINGLE, 2.0}};

START_TEST(solvers_have_their_order)
{
    const double eta = 0.05;
    bf_flow f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    for (int v = 0; v < 2; v++) {
        f.min_variance = v ? 1e-3 : 0.02;
        const double post = pow(f.min_variance, eta), a = 1.0 - post, end = 1.0 - f.min_variance;
        const double sd0 = sqrt(a * a * SD * SD + a * post), sd1 = sqrt(end * end * SD * SD + end * f.min_variance);
        const double start[STATE] = {a * MEAN - 1.3 * sd0}, exact[STATE] = {end * MEAN - 1.3 * sd1};
        for (size_t i = 0; i < BF_COUNT(ordinary); i++) {
            const double order = order_of(&f, ordinary[i].mode, eta, 400, start, exact);
            ck_assert_msg(fabs(order - ordinary[i].order) < 0.2, "%s, variance %g: order %.2f",
                          bf_sampler_mode_name(ordinary[i].mode), f.min_variance, order);
        }
    }
    f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    f.classes = CLASSES;
    for (int schedule = 0; schedule < 2; schedule++) {
        f.schedule = (bf_flow_schedule)schedule;
        f.max_sqrt_beta = 1.5;
        const double start[STATE] = {0.1, -0.05, 0.02};
        double exact[STATE];
        memcpy(exact, start, sizeof exact);
        integrate(&f, BF_SAMPLER_ODE2_SINGLE, eta, 40000, exact);
        for (size_t i = 0; i < BF_COUNT(ordinary); i++) {
            const double order = order_of(&f, ordinary[i].mode, eta, 200, start, exact);
            ck_assert_msg(fabs(order - ordinary[i].order) < 0.2, "%s, schedule %d: order %.2f",
                          bf_sampler_mode_name(ordinary[i].mode), schedule, order);
        }
    }
}
END_TEST

/* Mean and variance of the state after n stochastic steps with normal data: everything is linear in (state, v_prev, 1).
 */
static void propagate(const bf_flow *f, bf_sampler_mode mode, double eta, int n, double *mean, double *variance)
{
    double *t = calloc((size_t)n + 1, sizeof *t);
    ck_assert_ptr_nonnull(t);
    bf_sampler_grid(eta, n, t);
    const double post = pow(f->min_variance, eta), a = 1.0 - post;
    double m[2] = {a * MEAN, 0.0}, cov[3] = {a * a * SD * SD + a * post, 0.0, 0.0}; /* of the state, both, v_prev */
    for (int k = 0; k < n; k++) {
        const bf_sampler_span span = {.t = t[k], .to = t[k + 1], .before = k > 0 ? t[k - 1] : -1.0};
        const bf_sampler_numbers c = bf_sampler_step(f, mode, &span);
        const double zero[STATE] = {0.0}, one[STATE] = {1.0};
        double at0[STATE], at1[STATE];
        expected(f, t[k], zero, at0);
        expected(f, t[k], one, at1);
        const double slope = at1[0] - at0[0], own = c.keep + c.value * slope;
        const double next = own * m[0] + c.prev * m[1] + c.value * at0[0];
        const double var =
            own * own * cov[0] + 2.0 * own * c.prev * cov[1] + c.prev * c.prev * cov[2] + c.noise * c.noise;
        cov[1] = slope * (own * cov[0] + c.prev * cov[1]);
        cov[2] = slope * slope * cov[0];
        cov[0] = var;
        m[1] = slope * m[0] + at0[0];
        m[0] = next;
    }
    *mean = m[0];
    *variance = cov[0];
    free(t);
}

START_TEST(stochastic_solvers_end_in_the_right_distribution)
{
    static const struct {
        bf_sampler_mode mode;
        double least; /* order of the variance */
    } modes[] = {
        {BF_SAMPLER_ANCESTRAL, 0.9}, {BF_SAMPLER_SDE_EULER, 0.9}, {BF_SAMPLER_SDE1, 0.9}, {BF_SAMPLER_SDE2, 1.7}};
    const double eta = 0.05;
    bf_flow f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    f.min_variance = 0.02;
    const double end = 1.0 - f.min_variance, want = end * end * SD * SD + end * f.min_variance;
    for (size_t i = 0; i < BF_COUNT(modes); i++) {
        double mean, few, many;
        propagate(&f, modes[i].mode, eta, 400, &mean, &few);
        propagate(&f, modes[i].mode, eta, 800, &mean, &many);
        const double order = log2(fabs(few - want) / fabs(many - want));
        ck_assert_msg(order > modes[i].least, "%s: order %.2f", bf_sampler_mode_name(modes[i].mode), order);
        ck_assert_double_eq_tol(mean, end * MEAN, 2e-3);
        ck_assert_double_eq_tol(many, want, 2e-3);
    }
}
END_TEST

/* Spec A.10: eps = 0.3 mu + 0.1 t, v = 1e-6, eta = 0.01, 4 calls of which the last is the result. */
START_TEST(numbers_of_the_specification)
{
    static const struct {
        bf_sampler_mode mode;
        double want[3];
    } rows[] = {{BF_SAMPLER_ODE1, {0.1258668, -0.3411798, 0.05914585}},
                {BF_SAMPLER_ODE2, {0.121916, -0.3375589, 0.05627675}},
                {BF_SAMPLER_SDE2, {0.116632, -0.3305409, 0.05275019}},
                {BF_SAMPLER_SDE_EULER, {0.3559402, -0.7890585, 0.1638254}}};
    bf_flow f = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    double t[5];
    bf_sampler_grid(0.01, 4, t);
    for (size_t i = 0; i < BF_COUNT(rows); i++) {
        double mu[3] = {0.02, -0.05, 0.01}, prev[3] = {0.0}, v[3];
        for (int k = 0; k < 4; k++) {
            const bf_sampler_span span = {.t = t[k], .to = t[k + 1], .before = k ? t[k - 1] : -1.0};
            const bf_sampler_numbers c = bf_sampler_step(&f, rows[i].mode, &span);
            const bf_sampler_begin at = bf_sampler_begin_at(&f, t[k], -1.0);
            for (int d = 0; d < 3; d++) {
                v[d] = fmin(fmax((mu[d] - at.noise * (0.3 * mu[d] + 0.1 * t[k])) / at.value, -1.0), 1.0);
                mu[d] = c.keep * mu[d] + c.value * v[d] + c.prev * prev[d];
                prev[d] = v[d];
            }
        }
        for (int d = 0; d < 3; d++) ck_assert_double_eq_tol(v[d], rows[i].want[d], 1e-5);
    }
}
END_TEST

/* ---- the fused step ---------------------------------------------------------------------------------------------- */

typedef struct step_case {
    bf_flow f;
    bf_flow_shape shape;
    bf_flow_value what;
    bool base, given;
} step_case;

static bf_flow flow_of(int variant)
{
    bf_flow f = bf_flow_defaults(variant < 3   ? BF_FLOW_CONTINUOUS
                                 : variant < 6 ? BF_FLOW_DISCRETISED
                                               : BF_FLOW_CATEGORICAL);
    static const int classes[] = {2, 3, 27, 80, 257};
    if (variant == 1) f.output = BF_OUT_NORMAL;
    if (variant == 2 || variant == 5) f.output = BF_OUT_MIXTURE;
    if (variant == 2 || variant == 5) f.mixture = 3;
    if (variant == 4) f.truncated = true;
    if (variant >= 6) f.classes = classes[variant - 6 < 5 ? variant - 6 : 2];
    if (variant == 8) f.min_prob = 0.01;
    if (variant == 11) f.discretize = true;
    return f;
}

static float class_index(const bf_flow *f, float x)
{
    return f->discretize ? floorf((x + 1.0f) * 0.5f * (float)f->classes) : x;
}

static void check_step(bf_ctx *ctx, const step_case *k)
{
    const bf_flow *f = &k->f;
    const bool classes = f->kind == BF_FLOW_CATEGORICAL, probs = classes && k->what == BF_VALUE_MEAN;
    const size_t n = (size_t)(k->shape.batch * k->shape.dims), width = (size_t)bf_flow_noise_width(f), wide = n * width;
    const size_t outputs = n * (size_t)bf_flow_outputs(f), draws = f->output == BF_OUT_MIXTURE && !classes ? 2 * n : n;
    const float record[BF_STEP_WORDS] = {[BF_FLOW_KEEP] = 0.7f,
                                         [BF_FLOW_VALUE] = 1.3f,
                                         [BF_FLOW_PREV] = -0.4f,
                                         [BF_FLOW_BASE] = k->base ? 0.25f : 0.0f,
                                         [BF_FLOW_SHIFT] = classes ? -0.2f : 0.0f,
                                         [BF_FLOW_NOISE] = 0.6f};
    float *state = floats(wide), *value = floats(n), *p = floats(wide), *base = floats(wide), *net = floats(outputs);
    float *noise = floats(draws), *xi = floats(wide), *given = floats(n), *t = floats((size_t)k->shape.batch);
    float *said = floats(n), *said_p = floats(wide), *got = floats(wide);
    float *const random[] = {state, p, base, net, xi};
    const size_t count[] = {wide, wide, wide, outputs, wide};
    for (size_t i = 0; i < BF_COUNT(random); i++) test_fill(random[i], count[i], (unsigned)(3 + i));
    for (size_t i = 0; i < draws; i++) noise[i] = bf_philox_uniform(5, (uint32_t)i, 0, 0, 1);
    for (size_t b = 0; b < k->shape.batch; b++) t[b] = 0.2f + 0.6f * (float)b / (float)k->shape.batch;
    for (size_t i = 0; i < n; i++) {
        const int label = (int)(i * 7 % (size_t)(classes ? f->classes : 5));
        const float centre = f->discretize ? (2.0f * (float)label + 1.0f) / (float)f->classes - 1.0f : (float)label;
        value[i] = classes ? centre : 0.1f * (float)label;
        given[i] = k->given && i % 3 == 1 ? value[i] : NAN;
    }
    test_tensor d[] = {test_new(ctx, wide, state),  test_new(ctx, n, value),
                       test_new(ctx, wide, p),      test_new(ctx, wide, base),
                       test_new(ctx, outputs, net), test_new(ctx, (size_t)k->shape.batch, t),
                       test_new(ctx, draws, noise), test_new(ctx, wide, xi),
                       test_new(ctx, n, given),     test_new(ctx, BF_STEP_WORDS, record),
                       test_new(ctx, n, NULL),      test_new(ctx, wide, NULL)};
    bf_cmds *c;
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_flow_op_value(c, f, k->shape, k->what, d[10].mem, d[0].mem, d[4].mem, d[5].mem, d[6].mem, err));
    if (classes) OK(bf_flow_op_params(c, f, k->shape, d[11].mem, d[0].mem, d[4].mem, d[5].mem, true, err));
    const bf_flow_step_args a = {.what = k->what,
                                 .state = d[0].mem,
                                 .value = d[1].mem,
                                 .probs = d[2].mem,
                                 .base = k->base ? d[3].mem : BF_MEM_NONE,
                                 .net = d[4].mem,
                                 .t = d[5].mem,
                                 .noise = d[6].mem,
                                 .xi = d[7].mem,
                                 .given = k->given ? d[8].mem : BF_MEM_NONE,
                                 .record = d[9].mem};
    OK(bf_flow_op_step(c, f, k->shape, &a, err));
    test_run(c);
    test_get(ctx, &d[10], said);
    test_get(ctx, &d[11], said_p);
    test_get(ctx, &d[0], got);
    for (size_t i = 0; i < wide; i++) {
        const size_t at = i / width, j = i % width;
        const bool held = k->given && !isnan(given[at]);
        const float now = held ? given[at] : said[at];
        double v = now, before = value[at];
        if (classes) {
            v = class_index(f, now) == (float)j;
            before = class_index(f, value[at]) == (float)j;
        }
        if (probs) {
            v = held ? class_index(f, given[at]) == (float)j : said_p[i];
            before = p[i];
        }
        const double want = 0.7 * state[i] + (k->base ? 0.25 * base[i] : 0.0) + 1.3 * v - 0.4 * before +
                            (classes ? -0.2 : 0.0) + 0.6 * xi[i];
        ck_assert_msg(fabs(got[i] - want) <= 3e-6 * (1.0 + fabs(want)),
                      "kind %d, %d classes, output %d, what %d: number %zu is %.9g, expected %.9g", f->kind, f->classes,
                      f->output, k->what, i, (double)got[i], want);
    }
    if (k->base) {
        test_get(ctx, &d[3], got);
        ck_assert_mem_eq(got, state, wide * sizeof *got);
    }
    for (size_t i = 0; i < BF_COUNT(d); i++) test_free(&d[i]);
    float *const host[] = {state, value, p, base, net, noise, xi, given, t, said, said_p, got};
    for (size_t i = 0; i < BF_COUNT(host); i++) free(host[i]);
}

START_TEST(steps_follow_their_formula)
{
    static const uint64_t dims[] = {1, 15, 16, 17, 31, 33, 64, 65, 257, 263};
    TEST_BOTH(ctx)
    {
        for (int variant = 0; variant < 12; variant++) {
            for (int what = 0; what < 3; what++) {
                const size_t pick = (size_t)(variant * 3 + what);
                if (test_quick() && (variant == 10 || what == variant % 3)) continue;
                step_case k = {.f = flow_of(variant), .what = (bf_flow_value)what};
                k.shape = (bf_flow_shape){3, k.f.classes > 27 ? 17 : dims[pick % BF_COUNT(dims)]};
                check_step(ctx, &k);
                k.base = true;
                k.given = true;
                k.shape.dims = k.f.classes > 27 ? 1 : dims[(pick + 5) % BF_COUNT(dims)];
                check_step(ctx, &k);
            }
        }
    }
}
END_TEST

/* ---- the sampler ------------------------------------------------------------------------------------------------- */

enum { BATCH = 4, SIZE = 6 };

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

typedef struct run {
    bf_flow f;
    bf_sampler_mode mode;
    bf_sampler_choose choose;
    bf_sampler_run_options how;
    int seen, calls;
    float input[2][BATCH * SIZE * 3]; /* of the first call, of the last */
} run;

static bf_status on_call(void *user, bf_sampler *s, int i, double t, bf_err *caller_err)
{
    run *r = user;
    (void)caller_err;
    ck_assert_int_eq(i, ++r->seen);
    if (i == r->calls && r->how.last == BF_LAST_CALL) ck_assert(t >= 1.0);
    if (i == r->calls && r->how.last != BF_LAST_CALL) ck_assert(t < 1.0);
    if (i == 1) OK(bf_sampler_get(s, 0, BF_SAMPLER_INPUT, r->input[0], err));
    OK(bf_sampler_get(s, 0, BF_SAMPLER_INPUT, r->input[1], err));
    return BF_OK;
}

static bf_status sample(bf_ctx *ctx, run *r, float *out, bf_err *why)
{
    linear net = {SIZE * (uint64_t)bf_flow_inputs(&r->f), SIZE * (uint64_t)bf_flow_outputs(&r->f)};
    bf_group group = bf_group_alone(&r->f, SIZE);
    const bf_hybrid hybrid = {1, &group};
    bf_params *params;
    bf_sampler *s;
    OK(bf_params_new(ctx, &params, err));
    const bf_sampler_options o = {.ctx = ctx,
                                  .params = params,
                                  .weights = BF_SET_VALUE,
                                  .hybrid = &hybrid,
                                  .ndim = 2,
                                  .dims = {BATCH, SIZE},
                                  .net = build,
                                  .user = &net,
                                  .mode = r->mode,
                                  .choose = r->choose,
                                  .given = r->how.given != NULL};
    OK(bf_sampler_new(&o, &s, NULL, err));
    OK(bf_params_init(params, 3, err));
    r->how.on_step = on_call;
    r->how.user = r;
    r->seen = 0;
    r->calls = bf_sampler_evaluations(r->mode, r->how.last, r->how.steps);
    const bf_status st = bf_sampler_run(s, &r->how, out, why);
    bf_sampler_free(s);
    bf_params_free(params);
    return st;
}

/* Every mode with every end and choice: as many calls as are counted, finite samples, the same bits again. */
START_TEST(ends_and_choices)
{
    TEST_BOTH(ctx)
    {
        for (int mode = 0; mode < BF_SAMPLER_MODES; mode++) {
            for (int kind = 0; kind < 3; kind++) {
                double times[5];
                float out[BATCH * SIZE], again[BATCH * SIZE];
                run r = {.f = bf_flow_defaults((bf_flow_kind)kind),
                         .mode = (bf_sampler_mode)mode,
                         .choose = (bf_sampler_choose)((mode + kind) % 4),
                         .how = {.steps = 1 + (mode + kind) % 4,
                                 .times = times,
                                 .last = (bf_sampler_last)((mode + kind) % 3)}};
                if (test_quick() && (mode + kind) % 4) continue;
                r.f.classes = 3;
                bf_sampler_grid(0.05, r.how.steps, times);
                OK(sample(ctx, &r, out, err));
                ck_assert_int_eq(r.seen, r.calls);
                for (int i = 0; i < BATCH * SIZE; i++) {
                    ck_assert(isfinite(out[i]));
                    if (kind == BF_FLOW_CATEGORICAL)
                        ck_assert(out[i] >= 0.0f && out[i] < 3.0f && out[i] == floorf(out[i]));
                }
                OK(sample(ctx, &r, again, err));
                ck_assert_mem_eq(out, again, sizeof out);
            }
        }
    }
}
END_TEST

/* What is given stays on the flow around it: exactly so with the exact forms. */
START_TEST(given_values_are_held)
{
    static const bf_sampler_mode modes[] = {BF_SAMPLER_ODE1, BF_SAMPLER_ODE2, BF_SAMPLER_ODE2_SINGLE, BF_SAMPLER_SDE2};
    TEST_BOTH(ctx)
    {
        for (size_t m = 0; m < BF_COUNT(modes); m++) {
            double times[6];
            float out[BATCH * SIZE], given[BATCH * SIZE], noise[BATCH * SIZE], zero[5 * BATCH * SIZE] = {0};
            for (int i = 0; i < BATCH * SIZE; i++) given[i] = i % 2 ? NAN : 0.3f - 0.02f * (float)i;
            test_fill(noise, BATCH * SIZE, 8);
            const bf_sampler_draws draws = {.noise_start = noise, .noise_y = zero};
            run r = {.f = bf_flow_defaults(BF_FLOW_CONTINUOUS),
                     .mode = modes[m],
                     .how = {.steps = 5, .times = times, .given = given, .draws = &draws, .last = BF_LAST_CALL}};
            bf_sampler_grid(0.02, 5, times);
            OK(sample(ctx, &r, out, err));
            const bf_sampler_begin first = bf_sampler_begin_at(&r.f, 0.02, -1.0),
                                   end = bf_sampler_begin_at(&r.f, 1.0, -1.0);
            for (int i = 0; i < BATCH * SIZE; i += 2) {
                ck_assert(out[i] == given[i]);
                ck_assert_double_eq_tol(r.input[0][i], first.value * given[i] + first.held * noise[i], 1e-6);
                const double room = modes[m] == BF_SAMPLER_SDE2 ? 1e-2 : 2e-6; /* its own noise was zero */
                const double sd = modes[m] == BF_SAMPLER_SDE2 ? 0.0 : end.held;
                ck_assert_double_eq_tol(r.input[1][i], end.value * given[i] + sd * noise[i], room);
            }
        }
    }
}
END_TEST

/* A run from a time after 0 starts around 0, or near the data that are known. */
START_TEST(starts_near_the_data)
{
    TEST_BOTH(ctx)
    {
        for (int kind = 0; kind < 3; kind += 2) {
            const int width = kind == 2 ? 3 : 1;
            double times[2] = {0.3, 1.0};
            float out[BATCH * SIZE], mean[SIZE * 3], noise[BATCH * SIZE * 3];
            test_fill(mean, SIZE * 3, 4);
            test_fill(noise, BATCH * SIZE * 3, 5);
            const bf_sampler_data data = {.mean = mean, .spread = 0.7};
            const bf_sampler_draws draws = {.noise_start = noise};
            run r = {.f = bf_flow_defaults((bf_flow_kind)kind),
                     .mode = BF_SAMPLER_ODE1,
                     .how = {.steps = 1, .times = times, .draws = &draws, .data = &data, .last = BF_LAST_PREDICTION}};
            r.f.classes = 3;
            OK(sample(ctx, &r, out, err));
            const double post = pow(r.f.min_variance, 0.3), a = 1.0 - post, beta = bf_flow_beta(&r.f, 0.3);
            for (int i = 0; i < BATCH * SIZE; i++) {
                double z[3] = {a * (double)mean[i % SIZE] + sqrt(a * post + a * a * 0.7) * (double)noise[i]}, sum = 0.0;
                for (int k = 0; kind == 2 && k < 3; k++)
                    sum += z[k] = exp(beta * (3.0 * (double)mean[i % SIZE * 3 + k] - 1.0) +
                                      sqrt(3.0 * beta + 3.0 * beta * beta * 0.7) * (double)noise[i * 3 + k]);
                for (int k = 0; k < width; k++)
                    ck_assert_double_eq_tol(r.input[0][i * width + k], kind == 2 ? z[k] / sum : z[0], 2e-6);
            }
        }
    }
}
END_TEST

START_TEST(wrong_times_are_refused)
{
    bf_err why;
    const double good[] = {0.01, 0.5, 1.0}, falling[] = {0.5, 0.5, 1.0}, early[] = {0.1, 0.9}, zero[] = {0.0, 1.0};
    const double nothing[] = {0.1, NAN, 1.0};
    OK(bf_sampler_check_times(BF_SAMPLER_ODE2, good, 2, err));
    OK(bf_sampler_check_times(BF_SAMPLER_SDE2, zero, 1, err));
    ck_assert_int_eq(bf_sampler_check_times(BF_SAMPLER_SDE2, falling, 2, &why), BF_USAGE);
    ck_assert_int_eq(bf_sampler_check_times(BF_SAMPLER_SDE2, nothing, 2, &why), BF_USAGE);
    ck_assert_int_eq(bf_sampler_check_times(BF_SAMPLER_SDE2, early, 1, &why), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(why.message, "the last time is 1"));
    ck_assert_int_eq(bf_sampler_check_times(BF_SAMPLER_SDE2, good, 0, &why), BF_USAGE);
    ck_assert_int_eq(bf_sampler_check_times(BF_SAMPLER_ODE2, zero, 1, &why), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(why.message, "choose the grid shifted"));
    for (int n = 1; n < 20; n++) {
        double t[21];
        bf_sampler_grid_early(0.01, n, t);
        OK(bf_sampler_check_times(BF_SAMPLER_ODE2, t, n, err));
        ck_assert(t[0] <= 0.01 && t[0] >= 0.01);
    }
    ck_assert_int_eq(bf_sampler_auto(BF_AUTO_ODE), BF_SAMPLER_ODE2);
    ck_assert_int_eq(bf_sampler_auto(BF_AUTO_ODE + 1), BF_SAMPLER_SDE2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("solver");
    const TTest *const tests[] = {solvers_have_their_order,
                                  stochastic_solvers_end_in_the_right_distribution,
                                  numbers_of_the_specification,
                                  steps_follow_their_formula,
                                  ends_and_choices,
                                  given_values_are_held,
                                  starts_near_the_data,
                                  wrong_times_are_refused};
    for (size_t i = 0; i < BF_COUNT(tests); i++) {
        TCase *tc = tcase_create(tests[i]->name);
        tcase_set_timeout(tc, 120);
        tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
    }
    return test_main(s);
}
