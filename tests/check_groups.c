/* A model with several groups of variables through the run layer: steps of training, scores, samples. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "run/sample.h"
#include "run/train.h"
#include "toy.h"

enum { ROWS = 32, COLUMNS = 6, STEPS = 120 };
enum { VALUES, KINDS, FLAG, GROUPS };

/* Two values, three classes of four and a flag; all depend on the flag. Every ninth number is missing. */
static void make_rows(float *x, bool missing)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        float *row = x + (size_t)i * COLUMNS;
        const float flag = (float)(bf_philox_word(3, 0, i, 0, 0) & 1);
        for (uint32_t d = 0; d < 2; d++) row[d] = (flag - 0.5f) * 1.4f + 0.05f * bf_philox_normal(3, d, i, 1, 0);
        for (uint32_t d = 2; d < 5; d++) row[d] = (float)(2 * (int)flag + (int)(bf_philox_word(3, d, i, 2, 0) % 2));
        row[5] = flag;
    }
    for (int i = 0; missing && i < ROWS * COLUMNS; i += 9) x[i] = NAN;
}

static bf_model *new_model(const char *accumulate)
{
    static const uint32_t shape[3] = {1, 1, COLUMNS};
    const char *set[] = {"net.kind=mlp",   "net.width=16",  "net.blocks=1", "train.batch=32",
                         "sample.batch=8", "eval.batch=16", accumulate};
    const bfncl_device_options d = device();
    bf_config c;
    bf_model *m = NULL;
    bf_config_defaults(&c);
    OK(bf_setup_overrides(&c, set, BF_COUNT(set), err));
    OK(bf_model_new(&c, shape, NULL, &d, &m, err));
    bf_hybrid_free(&m->hybrid);
    OK(bf_hybrid_new(GROUPS, &m->hybrid, err));
    bf_flow values = bf_flow_defaults(BF_FLOW_CONTINUOUS), kinds = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    values.min_variance = 1e-3;
    kinds.classes = 4;
    m->hybrid.group[VALUES] = (bf_group){"values", values, 2, 1.0};
    m->hybrid.group[KINDS] = (bf_group){"kinds", kinds, 3, 0.5};
    m->hybrid.group[FLAG] = (bf_group){"flag", bf_flow_defaults(BF_FLOW_CATEGORICAL), 1, 2.0};
    m->missing = true;
    return m;
}

/* Trains; returns the loss of the first step. */
static double train(bf_model *m, const float *x, int steps, double *last)
{
    bf_stepper *s;
    bf_step_result r;
    bf_plan plan;
    double first = 0;
    OK(bf_stepper_new(m, true, &s, &plan, err));
    OK(bf_params_init(m->params, 1, err));
    for (int i = 0; i < steps; i++) {
        OK(bf_stepper_run(s, x, (uint64_t)i, 5e-3, &r, err));
        ck_assert(r.finite);
        if (i == 0) first = r.loss;
    }
    *last = r.loss;
    bf_stepper_free(s);
    return first;
}

START_TEST(groups_are_trained_together)
{
    float x[ROWS * COLUMNS];
    double whole, parts, last;
    make_rows(x, true);
    bf_model *m = new_model("train.accumulate=1");
    whole = train(m, x, 1, &last);
    bf_model_free(m);
    m = new_model("train.accumulate=4"); /* in parts: the same */
    parts = train(m, x, 1, &last);
    ck_assert_double_eq_tol(parts, whole, 1e-5 * whole);
    bf_model_free(m);
    m = new_model("train.accumulate=1");
    const double first = train(m, x, test_quick() ? 2 : STEPS, &last);
    ck_assert_msg(test_quick() || last < 0.7 * first, "loss from %g to %g", first, last);
    bf_model_free(m);
}
END_TEST

/* The loss of a row is that of its groups, and each of them is that of what was observed. */
START_TEST(groups_are_scored_apart)
{
    float x[ROWS * COLUMNS], nats[ROWS], apart[GROUPS * ROWS], holes[ROWS * COLUMNS];
    const bf_flow_loss_spec specs[] = {{.kind = BF_LOSS_CTS}, {.kind = BF_LOSS_N_STEP, .steps = 10}};
    const bf_score_key key = {.seed = 2, .passes = 1, .total = ROWS, .low_discrepancy = true};
    double last;
    bf_model *m = new_model("train.accumulate=1");
    make_rows(x, false);
    make_rows(holes, true);
    for (int i = 0; i < COLUMNS; i++) holes[i] = NAN; /* nothing of the first row */
    (void)train(m, x, 2, &last);
    for (size_t k = 0; k < BF_COUNT(specs); k++) {
        bf_scorer *s;
        OK(bf_scorer_new(m, BF_SET_VALUE, &specs[k], ROWS, NULL, false, &s, NULL, err));
        OK(bf_scorer_rows(s, holes, ROWS, &key, nats, apart, err));
        for (int i = 0; i < ROWS; i++) {
            double sum = 0;
            for (int g = 0; g < GROUPS; g++) sum += (double)m->hybrid.group[g].dims * (double)apart[g * ROWS + i];
            ck_assert_double_eq_tol(nats[i] * COLUMNS, sum, 1e-5 * (1 + sum));
            ck_assert(i > 0 ? nats[i] > 0 : nats[i] == 0);
        }
        for (int i = 0; i < ROWS; i++) /* the flag is alone in its group */
            ck_assert((apart[FLAG * ROWS + i] == 0) == (bool)isnan(holes[i * COLUMNS + 5]));
        bf_scorer_free(s);
    }
    bf_model_free(m);
}
END_TEST

START_TEST(samples_have_all_groups)
{
    enum { N = 11 };
    float x[ROWS * COLUMNS], out[N * COLUMNS], other[N * COLUMNS];
    double last;
    bf_model *m = new_model("train.accumulate=1");
    make_rows(x, true);
    (void)train(m, x, 2, &last);
    for (uint32_t batch = 4; batch <= N; batch += N - 4) {
        bf_sampler *s;
        uint32_t used;
        bf_sample_plan how = {0};
        OK(bf_sample_plan_new(&m->config, &m->hybrid, 3, &how, err));
        OK(bf_sampling_new(m, &how, batch, false, &s, &used, NULL, err));
        ck_assert_uint_eq(used, batch);
        const bf_sampling run = {.m = m, .sampler = s, .batch = batch, .n = N, .seed = 4, .how = &how};
        OK(bf_sampling_run(&run, batch == 4 ? other : out, err));
        bf_sampler_free(s);
        bf_sample_plan_free(&how);
    }
    test_close("samples of another batch size", other, out, BF_COUNT(out), 1e-5, 0);
    for (int i = 0; i < N; i++) {
        const float *row = out + (size_t)i * COLUMNS, flag = row[5];
        ck_assert(flag == 0 || flag == 1);
        for (int d = 2; d < 5; d++) ck_assert(row[d] >= 0 && row[d] < 4 && row[d] == floorf(row[d]));
        for (int d = 0; d < 2; d++) ck_assert(fabsf(row[d]) <= 1);
    }
    bf_model_free(m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("groups");
    const TTest *const tests[] = {groups_are_trained_together, groups_are_scored_apart, samples_have_all_groups};
    for (size_t i = 0; i < BF_COUNT(tests); i++) {
        TCase *tc = tcase_create(tests[i]->name);
        tcase_set_timeout(tc, 120);
        tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
    }
    return test_main(s);
}
