/* bfncl_eval: code lengths of a data set under a model, and the baselines a trained model must beat. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "run/progress.h"
#include "run/score.h"

#define LN2 0.69314718055994530942
#define DEFAULT_DRAWS 10 /* of the n-step loss, as the released code */

void bfncl_eval_defaults(bfncl_eval_options *o)
{
    *o = (bfncl_eval_options){.seed = -1};
}

void bfncl_eval_result_free(bfncl_eval_result *result)
{
    if (!result) return;
    free(result->rows);
    result->rows = NULL;
    result->n_rows = 0;
}

typedef struct evaluation {
    const bfncl_eval_options *o;
    bf_model *m;
    bf_dataset *ds;
    uint64_t samples, seed, repeats;
    uint32_t batch;
    bool low_discrepancy;
    bf_receiver receiver;
    double *sums; /* [samples] */
    bf_report report;
    uint64_t pass, passes; /* over the data, for the progress */
} evaluation;

static bool on_batch(void *user, uint64_t done, uint64_t total)
{
    evaluation *e = user;
    return bf_report_done(&e->report, e->pass * total + done, e->passes * total);
}

/* What the options leave open comes from the configuration in the model file. */
static bf_status resolve(evaluation *e, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config *c = &e->m->config;
    char text[64];
    if (e->o->receiver) {
        snprintf(text, sizeof text, "eval.receiver=%.32s", e->o->receiver);
        BF_TRY(bf_config_set(c, text, err));
    }
    e->seed = e->o->seed >= 0 ? (uint64_t)e->o->seed : (uint64_t)c->eval.seed;
    e->repeats = e->o->repeats > 0 ? (uint64_t)e->o->repeats : (uint64_t)c->eval.repeats;
    e->batch = c->eval.batch ? (uint32_t)c->eval.batch : (uint32_t)bf_setup_batch(c);
    e->low_discrepancy = c->eval.times == 0;
    e->receiver = c->eval.receiver == 0 ? BF_RECEIVER_JOINT : BF_RECEIVER_OFFICIAL;
out:
    return st;
}

static bf_status open_data(evaluation *e, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &e->m->config;
    const bool own = !e->o->data && bf_setup_tests_training_text(c);
    const char *path = e->o->data ? e->o->data : own ? c->data.train : c->data.test;
    bf_dataset_options o = bf_setup_data(c);
    BF_CHECK(path[0], BF_USAGE, "no data: the configuration in the model has no data.test, give --data PATH");
    o.validation = 0;
    o.test_part = own;
    if (!own) o.test = 0;
    o.limit = e->o->limit > 0 ? (uint64_t)e->o->limit : o.limit;
    BF_TRY(bf_dataset_open(path, &o, &e->ds, err));
    BF_TRY(bf_setup_same_shape(e->m, path, e->ds, err));
    e->samples = bf_dataset_get_info(e->ds).count;
    e->batch = (uint32_t)BF_MIN((uint64_t)e->batch, e->samples);
    BF_NEW(e->sums, e->samples);
    snprintf(r->data, sizeof r->data, "%s", path);
out:
    return st;
}

/* Mean per example over the repeats, then mean and standard error over the examples, in nats. */
static bf_status score(evaluation *e, bf_scorer *s, double *nats, double *se, bf_err *err)
{
    bf_status st = BF_OK;
    memset(e->sums, 0, (size_t)e->samples * sizeof *e->sums);
    for (uint64_t r = 0; r < e->repeats; r++, e->pass++)
        BF_TRY(bf_scorer_pass(s, e->ds, BF_SPLIT_ALL, e->samples, e->seed, (uint32_t)r, e->low_discrepancy, e->sums,
                              on_batch, e, err));
    for (uint64_t i = 0; i < e->samples; i++) e->sums[i] /= (double)e->repeats;
    bf_mean_stderr(e->sums, e->samples, nats, se);
out:
    return st;
}

static bf_flow_loss_spec spec_of(const evaluation *e, int64_t steps)
{
    return (bf_flow_loss_spec){.kind = steps ? BF_LOSS_N_STEP : BF_LOSS_CTS,
                               .steps = (int)steps,
                               .draws = steps ? DEFAULT_DRAWS : 0,
                               .receiver = e->receiver};
}

static void fill_row(const evaluation *e, bfncl_eval_row *row, int64_t steps, double nats, double se, double recon)
{
    const bool choice = steps && e->m->flow.kind == BF_FLOW_CATEGORICAL;
    *row = (bfncl_eval_row){.loss_steps = steps,
                            .receiver = !choice                            ? "none"
                                        : e->receiver == BF_RECEIVER_JOINT ? "joint"
                                                                           : "official",
                            .nats_per_dim = nats,
                            .bits_per_dim = nats / LN2,
                            .stderr_bits_per_dim = se / LN2,
                            .recon_bits_per_dim = recon / LN2,
                            .total_bits_per_dim = (nats + recon) / LN2,
                            .dims = e->m->dims,
                            .samples = e->samples,
                            .repeats = e->repeats,
                            .draws = steps && e->m->flow.kind != BF_FLOW_CONTINUOUS ? DEFAULT_DRAWS : 1};
}

/* The marginal model is fitted on the training data of the configuration; data without classes have none. */
static bf_status marginal(evaluation *e, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &e->m->config;
    bf_dataset_options o = bf_setup_data(c);
    bf_dataset *train = NULL;
    if (c->data.transform == BF_TRANSFORM_CONTINUOUS) goto out;
    BF_TRY(bf_dataset_open(c->data.train, &o, &train, err));
    BF_TRY(bf_setup_same_shape(e->m, c->data.train, train, err));
    r->marginal = bf_dataset_get_info(e->ds).text ? "unigram" : "per-pixel";
    BF_TRY(bf_marginal_score(train, e->ds, &r->marginal_bits_per_dim, &r->marginal_stderr_bits, err));
out:
    bf_dataset_free(train);
    return st;
}

static bf_status run(evaluation *e, const int64_t *steps, size_t n, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_scorer *s = NULL, *recon = NULL;
    double nats, se, recon_nats, recon_se;
    const bf_flow_loss_spec recon_spec = {.kind = BF_LOSS_RECON};
    e->passes = (n + 1 + (e->o->baselines ? 1 : 0)) * e->repeats;
    BF_TRY(bf_scorer_fit(e->m, &recon_spec, e->batch, &recon, err));
    BF_TRY(score(e, recon, &recon_nats, &recon_se, err));
    bf_scorer_free(recon);
    recon = NULL;
    for (size_t i = 0; i < n; i++) {
        const bf_flow_loss_spec spec = spec_of(e, steps[i]);
        BF_TRY(bf_scorer_fit(e->m, &spec, e->batch, &s, err));
        BF_TRY(score(e, s, &nats, &se, err));
        fill_row(e, &r->rows[i], steps[i], nats, se, recon_nats);
        r->n_rows = i + 1;
        if (i + 1 < n || !e->o->baselines) {
            bf_scorer_free(s);
            s = NULL;
        }
    }
    if (!e->o->baselines) goto out;
    BF_TRY(bf_params_init(e->m->params, (uint64_t)e->m->config.train.seed, err)); /* the last loss of the list */
    BF_TRY(score(e, s, &nats, &se, err));
    r->untrained_bits_per_dim = nats / LN2;
    r->untrained_stderr_bits = se / LN2;
    BF_TRY(marginal(e, r, err));
out:
    bf_scorer_free(s);
    bf_scorer_free(recon);
    return st;
}

static bf_status evaluate(evaluation *e, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    int64_t listed[BF_CONFIG_LIST];
    const int64_t *steps = e->o->loss_steps;
    size_t n = e->o->n_loss_steps;
    const bf_open_options open = {.path = e->o->model,
                                  .set = e->o->set,
                                  .n_set = e->o->n_set,
                                  .weights = e->o->weights,
                                  .device = &e->o->device,
                                  .config = e->o->config,
                                  .size = e->o->size};
    bf_report_phase(&e->report, "compiling kernels", 0);
    (void)bf_report_done(&e->report, 0, 0);
    BF_TRY(bf_model_open(&open, r->model, &e->m, err));
    BF_TRY(resolve(e, err));
    const bf_int_list *list = &e->m->config.eval.loss_steps;
    if (!steps) {
        n = (size_t)list->n;
        for (size_t i = 0; i < n; i++) listed[i] = list->v[i];
        steps = listed;
    }
    BF_CHECK(n > 0, BF_USAGE, "the list of losses is empty");
    for (size_t i = 0; i < n; i++)
        BF_CHECK(steps[i] >= 0 && steps[i] <= 1000000, BF_USAGE, "%" PRId64 " is no number of loss steps", steps[i]);
    BF_NEW(r->rows, n);
    snprintf(r->device, sizeof r->device, "%s", bf_ctx_name(e->m->ctx));
    snprintf(r->weights, sizeof r->weights, "%s", e->o->weights ? e->o->weights : "ema");
    snprintf(r->times, sizeof r->times, "%s", e->low_discrepancy ? "low-discrepancy" : "random");
    r->step = e->m->state.step;
    BF_TRY(open_data(e, r, err));
    bf_report_phase(&e->report, "scoring", 0);
    BF_TRY(run(e, steps, n, r, err));
out:
    return st;
}

bfncl_status bfncl_eval(const bfncl_eval_options *o, bfncl_eval_result *result, bfncl_error *caller_err)
{
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    evaluation e = {.o = o, .report = {.fn = o->progress, .user = o->user}};
    memset(result, 0, sizeof *result);
    memset(err, 0, sizeof *err);
    result->untrained_bits_per_dim = result->untrained_stderr_bits = NAN;
    result->marginal_bits_per_dim = result->marginal_stderr_bits = NAN;
    result->marginal = "";
    bf_status st = evaluate(&e, result, err);
    if (st != BF_OK) bfncl_eval_result_free(result);
    free(e.sums);
    bf_dataset_free(e.ds);
    bf_model_free(e.m);
    return st;
}
