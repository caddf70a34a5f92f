/* Control of samples: temperature, guidance by a function, and what is given followed exactly by particles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "flow/ops.h"
#include "flow/particles.h"
#include "flow/sampler.h"
#include "support.h"

static float *floats(size_t n)
{
    float *p = calloc(n ? n : 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* The kinds of output distributions. */
enum { VARIANTS = 9 };

static bf_flow variant(int i)
{
    bf_flow f = bf_flow_defaults(i < 4 ? BF_FLOW_CONTINUOUS : i < 6 ? BF_FLOW_DISCRETISED : BF_FLOW_CATEGORICAL);
    if (i == 0) f.clip = 0.0;
    if (i == 1 || i == 2) f.output = BF_OUT_NORMAL;
    if (i == 2) f.predict = BF_PREDICT_DATA_SD;
    if (i == 3) f.output = BF_OUT_MIXTURE;
    if (i == 3) f.mixture = 3;
    if (i != 2 && i != 5) f.predict = BF_PREDICT_DATA;
    if (i >= 4 && i < 6) f.bins = 7;
    if (i == 7) f.classes = 5;
    if (i == 8) f.classes = 4;
    if (i == 8) f.discretize = true;
    return f;
}

/* ---- temperature ------------------------------------------------------------------------------------------------- */

static void softmax(const float *z, int n, double by, double *p)
{
    double top = -1e30, sum = 0;
    for (int k = 0; k < n; k++) top = fmax(top, z[k] * by);
    for (int k = 0; k < n; k++) sum += p[k] = exp(z[k] * by - top);
    for (int k = 0; k < n; k++) p[k] /= sum;
}

static void check_temper(bf_ctx *ctx, const bf_flow *f, double temperature)
{
    enum { B = 2, D = 33, N = B * D };
    const bf_flow_shape shape = {B, D};
    const int width = bf_flow_outputs(f), classes = f->kind == BF_FLOW_CATEGORICAL ? f->classes : 0;
    const size_t n = (size_t)(N * (classes ? classes : width));
    float *net = floats((size_t)(N * width)), *was = floats(n), *is = floats(n), mu[N] = {0}, t[B] = {0.3f, 0.9f};
    double p[8];
    test_fill(net, (size_t)(N * width), 3);
    if (f->predict == BF_PREDICT_DATA_SD)
        for (size_t i = 1; i < (size_t)(N * width); i += 2) net[i] = fabsf(net[i]) + 0.1f;
    test_tensor dnet = test_new(ctx, (size_t)(N * width), net), dmu = test_new(ctx, N, mu), dt = test_new(ctx, B, t);
    test_tensor dp = test_new(ctx, n, NULL);
    bf_cmds *c;
    for (int hot = 0; hot < 2; hot++) {
        OK(bf_cmds_new(ctx, &c, err));
        if (hot) OK(bf_group_op_temper(c, f, shape, dnet.mem, temperature, err));
        OK(bf_flow_op_params(c, f, shape, dp.mem, dmu.mem, dnet.mem, dt.mem, false, err));
        test_run(c);
        test_get(ctx, &dp, hot ? is : was);
    }
    for (int i = 0; i < N; i++) {
        const float *a = was + (size_t)i * n / N, *b = is + (size_t)i * n / N;
        const float two[2] = {0, net[i * width]};
        if (classes) softmax(classes == 2 ? two : net + i * width, classes, 1 / temperature, p);
        for (int k = 0; k < classes; k++) ck_assert_double_eq_tol(b[k], p[k], 1e-5);
        for (int k = 0; !classes && k < width; k++) {
            const int third = width / 3;
            const bool logit = width > 2 && k<third, sd = width> 2 ? k >= 2 * third : k == 1;
            const double want = logit ? a[k] / temperature : sd ? a[k] * temperature : (double)a[k];
            ck_assert_double_eq_tol(b[k], want, 1e-5 * (1 + fabs(want)));
        }
    }
    test_tensor *device[] = {&dnet, &dmu, &dt, &dp};
    for (size_t i = 0; i < BF_COUNT(device); i++) test_free(device[i]);
    free(net);
    free(was);
    free(is);
}

START_TEST(temperature)
{
    TEST_BOTH(ctx)
    {
        for (int i = 0; i < VARIANTS; i++) {
            const bf_flow f = variant(i);
            check_temper(ctx, &f, 0.6);
            check_temper(ctx, &f, 1.7);
        }
    }
}
END_TEST

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* A network that says factor times what it receives. */
static void scaled(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    (void)t;
    *out = bf_graph_affine(g, *input, *(const float *)user, 0.0f);
}

typedef struct setup {
    bf_flow f;
    uint64_t samples, dims;
    float factor;
    bf_sampler_mode mode;
    int steps, particles;
    uint64_t seed;
    uint32_t first;
    const float *given;
    bf_guide guide;
} setup;

static bf_status try_run(bf_ctx *ctx, const setup *u, float *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_group group = bf_group_alone(&u->f, u->dims);
    const bf_hybrid hybrid = {1, &group};
    bf_params *params = NULL;
    bf_sampler *s = NULL;
    float factor = u->factor;
    BF_TRY(bf_params_new(ctx, &params, err));
    const bf_sampler_options o = {.ctx = ctx,
                                  .params = params,
                                  .hybrid = &hybrid,
                                  .ndim = 2,
                                  .dims = {u->samples * (uint64_t)(u->particles > 1 ? u->particles : 1), u->dims},
                                  .net = scaled,
                                  .user = &factor,
                                  .mode = u->mode,
                                  .given = u->given != NULL,
                                  .particles = u->particles,
                                  .guided = u->guide.fn != NULL};
    BF_TRY(bf_sampler_new(&o, &s, NULL, err));
    const bf_sampler_run_options run = {.steps = u->steps,
                                        .seed = u->seed,
                                        .first = u->first,
                                        .given = u->given,
                                        .guide = u->guide.fn ? &u->guide : NULL};
    BF_TRY(bf_sampler_run(s, &run, out, err));
out:
    bf_sampler_free(s);
    bf_params_free(params);
    return st;
}

static void run(bf_ctx *ctx, const setup *u, float *out)
{
    OK(try_run(ctx, u, out, err));
}

/* ---- guidance ---------------------------------------------------------------------------------------------------- */

/* ln h = sum of the variables. */
static bool upwards(void *user, const bfncl_guide_step *s)
{
    if (user) ++*(int *)user;
    for (uint64_t i = 0; i < s->samples * s->dims; i++) s->gradient[i] = 1.0f;
    return true;
}

static bool refuses(void *user, const bfncl_guide_step *s)
{
    (void)user;
    return s->call < 3;
}

static bool diverges(void *user, const bfncl_guide_step *s)
{
    (void)user;
    s->gradient[0] = NAN;
    return true;
}

/*
 * Data N(0, 1), for which the best network says x-hat = mu at every time, since E(x | messages of the precision rho -
 * 1) = mu. With ln E(h | mu) = w sum mu + const its samples move to N(w (1 - sigma_1^2), 1), and without noise or with
 * the same noise every sample moves by just as much: by sum value_i w sigma_1^(2 t_i) over the steps.
 */
START_TEST(guided_means)
{
    enum { N = 3, D = 17 };
    float plain[N * D], moved[N * D], given[N * D];
    int asked = 0;
    for (int i = 0; i < N * D; i++) given[i] = i % 5 == 2 ? 0.25f : NAN;
    TEST_BOTH(ctx)
    {
        for (int back = 0; back < 2; back++) {
            setup u = {.f = variant(0), .samples = N, .dims = D, .factor = 1, .steps = test_quick() ? 20 : 400};
            double mean = 0;
            u.f.min_variance = 1e-3;
            u.mode = back ? BF_SAMPLER_END_BACK : BF_SAMPLER_ANCESTRAL;
            u.given = given;
            u.seed = 5;
            run(ctx, &u, plain);
            asked = 0;
            u.guide = (bf_guide){upwards, &asked, 0.7};
            run(ctx, &u, moved);
            ck_assert_int_eq(asked, u.steps);
            for (int i = 1; i <= u.steps; i++) {
                const double from = pow(1e-3, (double)(i - 1) / u.steps), to = pow(1e-3, (double)i / u.steps);
                const double value = back ? 1 - to : 1 - to / from;
                mean = (back ? 0 : 1 - value) * mean + value * (mean + 0.7 * to);
            }
            if (!back && !test_quick()) ck_assert_double_eq_tol(mean, 0.7 * (1 - 1e-3), 0.02 * 0.7);
            for (int i = 0; i < N * D; i++)
                ck_assert_double_eq_tol((double)moved[i] - (double)plain[i], i % 5 == 2 ? 0 : mean, 1e-4 * (1 + mean));
        }
    }
}
END_TEST

START_TEST(guides_that_stop)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_err why;
    float out[12];
    setup u = {.f = variant(0), .samples = 3, .dims = 4, .factor = 1, .steps = 5};
    u.guide = (bf_guide){refuses, NULL, 1};
    ck_assert_int_eq(try_run(ctx, &u, out, &why), BF_STOPPED);
    u.guide.fn = diverges;
    ck_assert_int_eq(try_run(ctx, &u, out, &why), BF_NUMERIC);
    u.guide.fn = upwards;
    u.mode = BF_SAMPLER_SDE2;
    ck_assert_int_eq(try_run(ctx, &u, out, &why), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(why.message, "ancestral and end_back"));
}
END_TEST

/* bf_guide_logits against the formulas. */
START_TEST(guided_classes)
{
    const bf_guide guide = {.strength = 0.5};
    bf_flow f = variant(7);
    float net[5] = {0.1f, -1, 2, 0.5f, 0}, p[5] = {0.1f, 0.2f, 0.3f, 0.4f, 0}, g[5] = {1, -2, 0, 0.2f, -1},
          logit[1] = {0.3f};
    const float before[5] = {0.1f, -1, 2, 0.5f, 0}, wanted[5] = {0.6f, 0, 0.3f, 0.5f, 0};
    bf_guide_logits(&guide, &f, BF_SAMPLER_ANCESTRAL, p, g, 1, net);
    for (int k = 0; k < 5; k++) ck_assert_double_eq_tol(net[k], before[k] + 0.5f * g[k], 1e-6);
    g[1] = -0.5f;
    bf_guide_logits(&guide, &f, BF_SAMPLER_END_BACK, p, g, 1, net);
    for (int k = 0; k < 5; k++) ck_assert_double_eq_tol(exp((double)net[k]), wanted[k], 1e-6);
    f.classes = 2;
    bf_guide_logits(&guide, &f, BF_SAMPLER_ANCESTRAL, p, g, 1, logit);
    ck_assert_double_eq_tol(logit[0], 0.3 + 0.5 * (-0.5 - 1), 1e-6);
    g[1] = 0.2f;
    bf_guide_logits(&guide, &f, BF_SAMPLER_END_BACK, p, g, 1, logit);
    ck_assert_double_eq_tol(logit[0], log(0.3) - log(0.6), 1e-6);
}
END_TEST

/* ---- particles --------------------------------------------------------------------------------------------------- */

/* Two variables of three classes that mostly agree: p(a, b). */
static const double joint[3][3] = {{0.38, 0.02, 0.05}, {0.01, 0.2, 0.02}, {0.03, 0.01, 0.28}};

/* The best network for them, in place of the one that says factor theta: it knows both thetas. p(a | theta) ~
 * theta_1(a) sum_b p(a, b) theta_2(b), as theta is what the messages say after a prior in which all is alike. */
static bool best(void *user, const bfncl_guide_step *s)
{
    const double factor = *(const float *)user;
    for (uint64_t i = 0; i < s->samples; i++) {
        const float *theta = s->state + 6 * i;
        for (int v = 0; v < 2; v++)
            for (int a = 0; a < 3; a++) {
                double sum = 1e-30;
                for (int b = 0; b < 3; b++) sum += (v ? joint[b][a] : joint[a][b]) * (double)theta[3 * (1 - v) + b];
                const double own = (double)theta[3 * v + a];
                s->gradient[6 * i + (uint64_t)(3 * v + a)] = (float)(log(fmax(own, 1e-30)) + log(sum) - factor * own);
            }
    }
    return true;
}

/* How often the first variable has the value a, where the second is b. */
static double share(bf_ctx *ctx, int particles, int steps, int samples, int a, int b)
{
    float *given = floats((size_t)samples * 2), *out = floats((size_t)samples * 2), factor = 40;
    int count = 0;
    setup u = {.f = variant(7), .samples = (uint64_t)samples, .dims = 2, .factor = factor, .steps = steps, .seed = 9};
    u.f.classes = 3;
    u.f.max_sqrt_beta = 3;
    u.particles = particles;
    u.given = given;
    u.guide = (bf_guide){best, &factor, 1};
    for (int i = 0; i < samples; i++) {
        given[2 * i] = NAN;
        given[2 * i + 1] = (float)b;
    }
    run(ctx, &u, out);
    for (int i = 0; i < samples; i++) {
        ck_assert(out[2 * i + 1] == (float)b);
        count += out[2 * i] == (float)a;
    }
    free(given);
    free(out);
    return (double)count / samples;
}

/* Frequencies converge to p(a | b) with particles; with one, which is clamping, they do not, however many steps. */
START_TEST(particles_are_exact)
{
    TEST_BOTH(ctx)
    {
        const int samples = test_quick() ? 12 : 400, steps = test_quick() ? 4 : 40;
        const double truth = joint[1][1] / (joint[0][1] + joint[1][1] + joint[2][1]);
        const double exact = share(ctx, test_quick() ? 4 : 16, steps, samples, 1, 1);
        const double clamped = share(ctx, 1, steps, samples, 1, 1);
        if (test_quick()) continue;
        ck_assert_double_eq_tol(exact, truth, 4 * sqrt(truth * (1 - truth) / samples) + 0.02);
        ck_assert_double_gt(truth - clamped, 0.2);
    }
}
END_TEST

START_TEST(particles_depend_on_seed_and_sample_alone)
{
    enum { N = 6, P = 5, D = 8 };
    float given[N * D], all[N * D], again[N * D], part[2 * D];
    for (int i = 0; i < N * D; i++) given[i] = i % 3 ? NAN : (float)(i % 4);
    TEST_BOTH(ctx)
    {
        for (int i = 1; i < VARIANTS; i++) {
            setup u = {.f = variant(i),
                       .samples = N,
                       .dims = D,
                       .factor = 1,
                       .steps = test_quick() ? 2 : 6,
                       .particles = P,
                       .seed = 3};
            if (bf_flow_inputs(&u.f) != bf_flow_outputs(&u.f)) continue; /* the network here only multiplies */
            u.given = given;
            run(ctx, &u, all);
            run(ctx, &u, again);
            ck_assert_mem_eq(all, again, sizeof all);
            u.samples = 2;
            u.first = 3;
            u.given = given + 3 * D;
            run(ctx, &u, part);
            ck_assert_mem_eq(all + 3 * D, part, sizeof part);
        }
    }
}
END_TEST

static double log_normal(double x, double m, double v)
{
    return -0.5 * (x - m) * (x - m) / v - 0.5 * log(v);
}

static double log_sum(const double *x, int n)
{
    double top = x[0], sum = 0;
    for (int i = 1; i < n; i++) top = fmax(top, x[i]);
    for (int i = 0; i < n; i++) sum += exp(x[i] - top);
    return top + log(sum);
}

/* ln p_R(y) / p_S(y) of one variable from its parameters (of bins and classes: probabilities); last: ln p_x. */
static double found(const bf_flow *f, const float *params, const float *y, double x, double alpha, bool last)
{
    double terms[16];
    const bool classes = f->kind == BF_FLOW_CATEGORICAL;
    const int n = classes                          ? f->classes
                  : f->kind == BF_FLOW_DISCRETISED ? f->bins
                  : f->output == BF_OUT_MIXTURE    ? f->mixture
                                                   : 1;
    const int width = bf_flow_outputs(f);
    const int index = classes && !f->discretize ? (int)x : (int)floor((x / 2 + 0.5) * n);
    if (f->kind == BF_FLOW_CONTINUOUS) {
        double weights[16];
        for (int i = 0; i < n; i++) {
            const double m = params[width > 2 ? n + i : 0], s = width == 1 ? 0 : params[width > 2 ? 2 * n + i : 1];
            weights[i] = width > 2 ? params[i] : 0;
            terms[i] = weights[i] + log_normal(y[0], m, s * s + 1 / alpha);
        }
        return last ? 0 : log_sum(terms, n) - log_sum(weights, n) - log_normal(y[0], x, 1 / alpha);
    }
    if (last) return log(fmax((double)params[index], 1e-37));
    for (int k = 0; k < n; k++) {
        const double c = 2 * (k + 0.5) / n - 1, at = 2 * (index + 0.5) / n - 1;
        const double score = classes ? (double)y[k] - (double)y[index]
                                     : log_normal(y[0], c, 1 / alpha) - log_normal(y[0], at, 1 / alpha);
        terms[k] = log(fmax((double)params[k], 1e-37)) + score;
    }
    return log_sum(terms, n);
}

/* One particle of each of B samples, whose weights are not touched by drawing: against the formulas. */
static void check_weights(bf_ctx *ctx, const bf_flow *f)
{
    enum { B = 3, D = 35, N = B * D };
    const bf_flow_shape shape = {B, D};
    const bool classes = f->kind == BF_FLOW_CATEGORICAL;
    const int outputs = bf_flow_outputs(f), wide = bf_flow_noise_width(f);
    const int levels = classes ? f->classes : f->kind == BF_FLOW_DISCRETISED ? f->bins : outputs;
    const double alpha = classes ? 0.7 : 5.0;
    float *net = floats((size_t)(N * outputs)), *xi = floats((size_t)(N * wide)),
          *params = floats((size_t)(N * levels));
    float *y = floats((size_t)(N * wide)), mu[N], t[B] = {0.2f, 0.5f, 0.9f}, given[N], value[N],
          record[BF_STEP_WORDS] = {0};
    record[BF_FLOW_SENDER_MEAN] = (float)alpha;
    record[BF_FLOW_SENDER_SD] = (float)(classes ? sqrt(f->classes * alpha) : 1 / sqrt(alpha));
    test_fill(net, (size_t)(N * outputs), 1);
    test_fill(xi, (size_t)(N * wide), 2);
    test_fill(mu, N, 3);
    if (f->predict == BF_PREDICT_DATA_SD)
        for (int i = 1; i < N * outputs; i += 2) net[i] = fabsf(net[i]) + 0.1f;
    for (int i = 0; i < N; i++) {
        const float x = classes && !f->discretize ? (float)(i * 7 % f->classes)
                                                  : 2 * ((float)(i * 5 % levels) + 0.5f) / (float)levels - 1;
        given[i] = i % 4 == 1 ? NAN : x;
        value[i] = i % 4 == 1 ? 0 : x;
    }
    test_tensor dnet = test_new(ctx, (size_t)(N * outputs), net), dxi = test_new(ctx, (size_t)(N * wide), xi);
    test_tensor dmu = test_new(ctx, N, mu), dt = test_new(ctx, B, t), dgiven = test_new(ctx, N, given);
    test_tensor dvalue = test_new(ctx, N, value), drecord = test_new(ctx, BF_STEP_WORDS, record);
    test_tensor dstate = test_new(ctx, (size_t)(N * wide), xi), dparams = test_new(ctx, (size_t)(N * levels), NULL);
    test_tensor dy = test_new(ctx, (size_t)(N * wide), NULL);
    const bf_particles_group group = {f,        shape,  dstate.mem, dvalue.mem, dmu.mem,
                                      dnet.mem, dt.mem, dxi.mem,    dgiven.mem, drecord.mem};
    const bf_particles_key key = {.seed = 1};
    bf_particles *p;
    bf_cmds *c;
    uint32_t row[B];
    OK(bf_cmds_new(ctx, &c, err));
    if (f->kind == BF_FLOW_DISCRETISED)
        OK(bf_flow_op_bins(c, f, shape, dparams.mem, dmu.mem, dnet.mem, dt.mem, err));
    else
        OK(bf_flow_op_params(c, f, shape, dparams.mem, dmu.mem, dnet.mem, dt.mem, true, err));
    OK(bf_flow_op_send(c, f, shape, dy.mem, dvalue.mem, dxi.mem, drecord.mem, err));
    test_run(c);
    test_get(ctx, &dparams, params);
    test_get(ctx, &dy, y);
    OK(bf_particles_new(ctx, 1, 1, &group, &p, err));
    for (int last = 0; last < 2; last++) {
        bf_particles_begin(p);
        if (last)
            OK(bf_particles_choose(p, &key, false, row, err));
        else
            OK(bf_particles_hear(p, &key, err));
        for (int b = 0; b < B; b++) {
            double sum = 0;
            for (int i = b * D; i < (b + 1) * D; i++)
                if (i % 4 != 1) sum += found(f, params + i * levels, y + i * wide, (double)given[i], alpha, last);
            ck_assert_double_eq_tol(bf_particles_weights(p)[b], sum, 2e-4 * (1 + fabs(sum)));
        }
    }
    bf_particles_free(p);
    test_tensor *device[] = {&dnet, &dxi, &dmu, &dt, &dgiven, &dvalue, &drecord, &dstate, &dparams, &dy};
    for (size_t i = 0; i < BF_COUNT(device); i++) test_free(device[i]);
    float *host[] = {net, xi, params, y};
    for (size_t i = 0; i < BF_COUNT(host); i++) free(host[i]);
}

START_TEST(weights_of_particles)
{
    TEST_BOTH(ctx)
    {
        for (int i = 0; i < VARIANTS; i++) {
            const bf_flow f = variant(i);
            check_weights(ctx, &f);
        }
    }
}
END_TEST

START_TEST(particles_need_messages)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_err why;
    const float given[4] = {0, NAN, NAN, NAN};
    float out[4];
    setup u = {.f = variant(0), .samples = 1, .dims = 4, .factor = 1, .steps = 2, .particles = 3, .given = given};
    u.mode = BF_SAMPLER_END_BACK;
    ck_assert_int_eq(try_run(ctx, &u, out, &why), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(why.message, "ancestral"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("control");
    const TTest *const tests[] = {temperature,          guided_means,
                                  guides_that_stop,     guided_classes,
                                  particles_are_exact,  particles_depend_on_seed_and_sample_alone,
                                  weights_of_particles, particles_need_messages};
    for (size_t i = 0; i < BF_COUNT(tests); i++) {
        TCase *tc = tcase_create(tests[i]->name);
        tcase_set_timeout(tc, 120);
        tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
    }
    return test_main(s);
}
