/* bfncl_eval: code lengths of a data set under a model, and the baselines a trained model must beat. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/stats.h"
#include "run/eval_table.h"
#include "run/label.h"
#include "run/over_time.h"
#include "run/pairs.h"
#include "run/per_example.h"
#include "run/progress.h"
#include "run/score.h"

#define DEFAULT_DRAWS 10 /* of the n-step loss, as the released code */
#define MAX_BINS 1000    /* of time */
#define IMPUTE_DRAWS 20

void bfncl_eval_defaults(bfncl_eval_options *o)
{
    *o = (bfncl_eval_options){.seed = -1};
}

void bfncl_eval_result_free(bfncl_eval_result *result)
{
    if (!result) return;
    for (size_t i = 0; i < result->n_rows; i++) {
        free(result->rows[i].over_time);
        free(result->rows[i].groups);
    }
    free(result->rows);
    free(result->columns);
    result->rows = NULL;
    result->columns = NULL;
    result->n_columns = 0;
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
    size_t n;              /* losses */
    int64_t *steps;        /* [n], 0 = continuous time */
    double *recon, **loss; /* [samples], [n][samples]: nats per dimension of every example */
    double *scratch;       /* [samples] */
    /* [groups, samples], [n][groups, samples]: the same of every group; NULL: there is only one */
    double *recon_of, **loss_of;
    double *variables; /* table: [2, D], nats of each column summed over samples and repeats: of the reconstruction,
                          of the last loss */
    double *weight;    /* [samples]: variables that count; NULL: all in every example */
    bf_writer *per_example; /* NULL: not asked for */
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

/* The labels of the data, or one for all. */
static bf_status set_labels(const evaluation *e, bf_dataset_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t *classes = NULL;
    uint64_t n = 1;
    o->labels = e->m->config.data.test_labels;
    if (e->o->label) {
        BF_TRY(bf_label_choose(e->m, e->o->label, &classes, &n, err));
        BF_CHECK(n == 1, BF_USAGE, "examples are scored as of one class, not of %" PRIu64, n);
        o->labels = NULL;
        o->label = classes[0];
    }
out:
    free(classes);
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
    o.schema = e->m->schema;
    o.test_part = own;
    if (!own) o.test = 0;
    o.limit = e->o->limit > 0 ? (uint64_t)e->o->limit : o.limit;
    BF_CHECK(e->o->stride == 0 || o.transform == BF_TRANSFORM_TEXT, BF_USAGE,
             "a stride is for the windows of a text, this model's data are none");
    BF_CHECK(e->o->stride >= 0 && e->o->stride <= (int64_t)o.length, BF_USAGE,
             "a stride of %" PRId64 " leaves characters out: windows have %" PRIu32, e->o->stride, o.length);
    o.stride = (uint32_t)e->o->stride;
    BF_TRY(set_labels(e, &o, err));
    BF_TRY(bf_pairs_or_dataset(path, c, &o, &e->ds, err));
    BF_TRY(bf_setup_same_shape(e->m, path, e->ds, err));
    e->samples = bf_dataset_get_info(e->ds).count;
    if (!e->m->packed) e->batch = (uint32_t)BF_MIN((uint64_t)e->batch, e->samples);
    r->text = bf_dataset_get_info(e->ds).text;
    r->table = bf_dataset_get_info(e->ds).table;
    if (r->text) r->stride = o.stride ? o.stride : o.length;
    r->variables = e->samples * e->m->dims - (e->samples - 1) * bf_dataset_overlap(e->ds, 1);
    if (e->m->packed) {
        BF_TRY(bf_dataset_fits(e->ds, path, e->batch, err));
        r->atoms = bf_dataset_molecules(e->ds)->atoms;
        r->variables = r->atoms * e->m->dims;
    }
    snprintf(r->data, sizeof r->data, "%s", path);
out:
    return st;
}

static bf_status allocate(evaluation *e, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(e->recon, e->samples);
    BF_NEW(e->scratch, e->samples);
    BF_NEW(e->loss, e->n);
    for (size_t k = 0; k < e->n; k++) BF_NEW(e->loss[k], e->samples);
    const uint64_t groups = (uint64_t)e->m->hybrid.groups;
    BF_NEW(e->loss_of, e->n);
    if (groups > 1) BF_NEW(e->recon_of, groups * e->samples);
    for (size_t k = 0; groups > 1 && k < e->n; k++) BF_NEW(e->loss_of[k], groups * e->samples);
    if (e->m->schema) BF_NEW(e->variables, 2 * e->m->dims);
    const bf_molecules *m = bf_dataset_molecules(e->ds);
    if (!m && bf_dataset_overlap(e->ds, 1) == 0) goto out;
    BF_NEW(e->weight, e->samples);
    for (uint64_t i = 0; i < e->samples; i++)
        e->weight[i] = m ? (double)(e->m->dims * (m->first[i + 1] - m->first[i]))
                         : (double)(e->m->dims - bf_dataset_overlap(e->ds, i));
out:
    return st;
}

/* Mean per example over the repeats, in nats, and of every group (may be NULL); bins[n_bins] receive every estimate at
 * its time, variables[D] (may be NULL) the sums over examples and repeats. */
static bf_status score(evaluation *e, bf_scorer *s, double *nats, double *groups, double *variables, bf_time_bin *bins,
                       size_t n_bins, bf_err *err)
{
    bf_status st = BF_OK;
    float *t = NULL;
    if (variables) memset(variables, 0, (size_t)e->m->dims * sizeof *variables);
    BF_NEW(t, e->samples);
    memset(nats, 0, (size_t)e->samples * sizeof *nats);
    for (uint64_t r = 0; r < e->repeats; r++, e->pass++) {
        memset(e->scratch, 0, (size_t)e->samples * sizeof *e->scratch);
        const bf_score_key key = {.seed = e->seed,
                                  .pass = (uint32_t)r,
                                  .passes = (uint32_t)e->repeats,
                                  .total = (uint32_t)e->samples,
                                  .low_discrepancy = e->low_discrepancy,
                                  .variables = variables};
        BF_TRY(bf_scorer_pass(s, e->ds, BF_SPLIT_ALL, &key, e->scratch, groups, on_batch, e, err));
        for (uint64_t i = 0; i < e->samples; i++) nats[i] += e->scratch[i];
        if (n_bins == 0) continue;
        bf_scorer_times(s, &key, key.total, t);
        bf_time_bins_add(bins, n_bins, bf_scorer_spec(s), t, e->scratch, e->samples);
    }
    for (uint64_t i = 0; i < e->samples; i++) nats[i] /= (double)e->repeats;
    for (uint64_t i = 0; groups && i < e->samples * (uint64_t)e->m->hybrid.groups; i++) groups[i] /= (double)e->repeats;
out:
    free(t);
    return st;
}

static bf_flow_loss_spec spec_of(const evaluation *e, int64_t steps)
{
    return (bf_flow_loss_spec){.kind = steps ? BF_LOSS_N_STEP : BF_LOSS_CTS,
                               .steps = (int)steps,
                               .draws = steps ? DEFAULT_DRAWS : 0,
                               .receiver = e->receiver};
}

/* Mean and standard error over the examples, in bits. */
static void mean_bits(const evaluation *e, const double *nats, double *mean, double *se)
{
    bf_mean_stderr(nats, e->weight, e->samples, mean, se);
    *mean /= BF_LN2;
    *se /= BF_LN2;
}

/* The n-step loss of some group needs draws. */
static bool draws_noise(const bf_hybrid *h)
{
    for (int i = 0; i < h->groups; i++)
        if (h->group[i].flow.kind != BF_FLOW_CONTINUOUS) return true;
    return false;
}

/* Everything of loss k but its bins. */
static void fill_row(evaluation *e, size_t k, bool text, bfncl_eval_row *row)
{
    const bool choice = e->steps[k] && bf_hybrid_categorical(&e->m->hybrid);
    *row = (bfncl_eval_row){.loss_steps = e->steps[k],
                            .receiver = !choice                            ? "none"
                                        : e->receiver == BF_RECEIVER_JOINT ? "joint"
                                                                           : "official",
                            .dims = e->m->dims,
                            .samples = e->samples,
                            .repeats = e->repeats,
                            .draws = e->steps[k] && draws_noise(&e->m->hybrid) ? DEFAULT_DRAWS : 1};
    for (uint64_t i = 0; i < e->samples; i++) e->scratch[i] = e->loss[k][i] + e->recon[i];
    mean_bits(e, e->loss[k], &row->bits_per_dim, &row->stderr_bits_per_dim);
    mean_bits(e, e->recon, &row->recon_bits_per_dim, &row->stderr_recon_bits_per_dim);
    mean_bits(e, e->scratch, &row->total_bits_per_dim, &row->stderr_total_bits_per_dim);
    row->nats_per_dim = row->bits_per_dim * BF_LN2;
    row->nats_per_example = row->nats_per_dim * (double)row->dims;
    row->total_nats_per_example = row->total_bits_per_dim * BF_LN2 * (double)row->dims;
    row->bits_per_char = text ? row->bits_per_dim : NAN;
    row->total_bits_per_char = text ? row->total_bits_per_dim : NAN;
}

/* Values that are not clipped, such as places in space, are no pixels: they have neither range nor bins, and the code
 * length of what the last step leaves open is not defined. */
static bool has_recon(const bf_group *g)
{
    return g->flow.kind != BF_FLOW_CONTINUOUS || g->flow.clip > 0.0;
}

/* What the groups contribute to loss k. */
static bf_status fill_groups(evaluation *e, size_t k, bfncl_eval_row *row, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_hybrid *h = &e->m->hybrid;
    double unused;
    if (h->groups == 1) goto out;
    BF_NEW(row->groups, h->groups);
    row->n_groups = (size_t)h->groups;
    for (int i = 0; i < h->groups; i++) {
        bfncl_eval_group *g = &row->groups[i];
        const double *loss = e->loss_of[k] + (uint64_t)i * e->samples, *recon = e->recon_of + (uint64_t)i * e->samples;
        snprintf(g->name, sizeof g->name, "%s", h->group[i].name);
        g->dims = h->group[i].dims;
        for (uint64_t s = 0; s < e->samples; s++) e->scratch[s] = loss[s] + recon[s];
        mean_bits(e, loss, &g->bits_per_dim, &g->stderr_bits_per_dim);
        mean_bits(e, recon, &g->recon_bits_per_dim, &unused);
        if (!has_recon(&h->group[i])) g->recon_bits_per_dim = NAN;
        mean_bits(e, e->scratch, &g->total_bits_per_dim, &g->stderr_total_bits_per_dim);
    }
out:
    return st;
}

/* The training data of the configuration, as the model reads them. */
static bf_status open_training(const evaluation *e, bf_dataset **out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &e->m->config;
    bf_dataset_options o = bf_setup_data(c);
    o.schema = e->m->schema;
    o.labelled = false;
    BF_TRY(bf_dataset_open(c->data.train, &o, out, err));
    BF_TRY(bf_setup_same_shape(e->m, c->data.train, *out, err));
out:
    return st;
}

/* The marginal model is fitted on the training data of the configuration; data without classes have none. */
static bf_status marginal(evaluation *e, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset *train = NULL;
    if (e->m->config.data.transform == BF_TRANSFORM_CONTINUOUS || e->m->packed) goto out;
    BF_TRY(open_training(e, &train, err));
    if (e->m->schema) {
        BF_TRY(bf_eval_table_baselines(e->m, train, e->ds, e->samples, r, err));
        goto out;
    }
    r->marginal = bf_dataset_get_info(e->ds).text ? "unigram" : "per-pixel";
    BF_TRY(bf_marginal_score(train, e->ds, &r->marginal_bits_per_dim, &r->marginal_stderr_bits, err));
out:
    bf_dataset_free(train);
    return st;
}

/* Loss k of every example, and its row of the result. */
static bf_status score_loss(evaluation *e, bf_scorer *s, size_t k, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t n = (size_t)e->o->over_time;
    bf_time_bin *bins = NULL;
    if (n > 0) BF_NEW(bins, n);
    BF_TRY(score(e, s, e->loss[k], e->loss_of[k], e->variables ? e->variables + e->m->dims : NULL, bins, n, err));
    fill_row(e, k, r->text, &r->rows[k]);
    r->n_rows = k + 1;
    BF_TRY(fill_groups(e, k, &r->rows[k], err));
    if (n == 0) goto out;
    BF_NEW(r->rows[k].over_time, n);
    r->rows[k].n_over_time = n;
    bf_time_bins_result(bins, n, r->rows[k].over_time);
out:
    free(bins);
    return st;
}

/* `s` is the scorer of the last loss of the list. */
static bf_status baselines(evaluation *e, bf_scorer *s, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    double *nats = NULL;
    BF_NEW(nats, e->samples);
    BF_TRY(bf_params_init(e->m->params, (uint64_t)e->m->config.train.seed, err));
    BF_TRY(score(e, s, nats, NULL, NULL, NULL, 0, err));
    mean_bits(e, nats, &r->untrained_bits_per_dim, &r->untrained_stderr_bits);
    BF_TRY(marginal(e, r, err));
out:
    free(nats);
    return st;
}

static bf_status write_per_example(evaluation *e, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_example_scores scores = {.samples = e->samples,
                                      .recon = e->recon,
                                      .loss = (const double *const *)e->loss,
                                      .groups = e->m->hybrid.groups,
                                      .group = e->m->hybrid.group,
                                      .recon_of = e->recon_of,
                                      .loss_of = (const double *const *)e->loss_of,
                                      .steps = e->steps,
                                      .n = e->n};
    BF_TRY(bf_example_scores_write(&scores, e->ds, e->per_example, err));
    st = bf_writer_commit(e->per_example, err);
    e->per_example = NULL;
out:
    return st;
}

/* The time that this takes counts for no batch. */
static bf_status scorer_new(evaluation *e, const bf_flow_loss_spec *spec, bf_scorer **out, bf_err *err)
{
    bf_status st = BF_OK;
    const double start = bf_seconds();
    BF_TRY(bf_profiler_pause(e->m->profiler, err));
    BF_TRY(bf_scorer_fit(e->m, spec, &e->batch, false, out, NULL, err));
    bf_profiler_span(e->m->profiler, "plan, build kernels", start, bf_seconds());
    BF_TRY(bf_profiler_resume(e->m->profiler, err));
out:
    return st;
}

/* Takes groups without it out of the reconstruction. */
static void drop_recon(evaluation *e)
{
    const bf_hybrid *h = &e->m->hybrid;
    for (int g = 0; g < h->groups; g++) {
        if (has_recon(&h->group[g])) continue;
        double *of = h->groups > 1 ? e->recon_of + (uint64_t)g * e->samples : e->recon;
        const double share = (double)h->group[g].dims / (double)e->m->dims;
        for (uint64_t i = 0; i < e->samples && h->groups > 1; i++) e->recon[i] -= of[i] * share;
        memset(of, 0, (size_t)e->samples * sizeof *of);
    }
}

/* The code length of continuous cells is that of their numbers, not of what they are mapped to. */
static void add_resolution(evaluation *e)
{
    for (uint64_t p = 0; p < e->m->dims; p++) e->variables[p] /= (double)e->repeats;
    bf_eval_resolution(e->m, e->ds, e->samples, e->recon, e->recon_of, e->variables);
    for (uint64_t p = 0; p < e->m->dims; p++) e->variables[p] *= (double)e->repeats;
}

/* The columns of a table, in bits per row. */
static bf_status fill_columns(const evaluation *e, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_schema *s = e->m->schema;
    const double unit = (double)e->samples * (double)e->repeats * BF_LN2;
    BF_NEW(r->columns, s->columns);
    r->n_columns = s->columns;
    for (uint32_t i = 0; i < s->columns; i++) {
        const bf_column *c = &s->column[i];
        bfncl_eval_column *to = &r->columns[i];
        to->bits = to->impute_error = to->impute_baseline = NAN;
        snprintf(to->name, sizeof to->name, "%s", c->name);
        snprintf(to->type, sizeof to->type, "%s", bf_column_type_name(c));
        if (c->place != BF_NO_PLACE) to->bits = (e->variables[c->place] + e->variables[e->m->dims + c->place]) / unit;
    }
out:
    return st;
}

static bf_status impute(evaluation *e, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset *train = NULL;
    BF_TRY(open_training(e, &train, err));
    bf_report_phase(&e->report, "filling hidden cells", 0);
    BF_TRY(bf_eval_impute(e->m, train, e->ds, e->samples, e->o->impute,
                          (uint32_t)(e->o->impute_draws > 0 ? e->o->impute_draws : IMPUTE_DRAWS), e->seed, &e->report,
                          r, err));
out:
    bf_dataset_free(train);
    return st;
}

static bf_status run(evaluation *e, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_scorer *s = NULL;
    const bf_flow_loss_spec recon = {.kind = BF_LOSS_RECON};
    e->passes = (e->n + 1 + (e->o->baselines ? 1 : 0)) * e->repeats;
    BF_TRY(scorer_new(e, &recon, &s, err));
    BF_TRY(score(e, s, e->recon, e->recon_of, e->variables, NULL, 0, err));
    drop_recon(e);
    if (e->m->schema) add_resolution(e);
    for (size_t k = 0; k < e->n; k++) {
        const bf_flow_loss_spec spec = spec_of(e, e->steps[k]);
        bf_scorer_free(s);
        s = NULL;
        BF_TRY(scorer_new(e, &spec, &s, err));
        BF_TRY(score_loss(e, s, k, r, err));
    }
    if (e->m->schema) BF_TRY(fill_columns(e, r, err));
    if (e->per_example) BF_TRY(write_per_example(e, err));
    if (e->o->impute > 0) BF_TRY(impute(e, r, err));
    if (e->o->baselines) BF_TRY(baselines(e, s, r, err));
    BF_TRY(bf_profiler_end(e->m->profiler, "batch", err));
out:
    bf_scorer_free(s);
    return st;
}

/* Which losses: the option, else the configuration. */
static bf_status list_losses(evaluation *e, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_int_list *list = &e->m->config.eval.loss_steps;
    e->n = e->o->loss_steps ? e->o->n_loss_steps : (size_t)list->n;
    BF_CHECK(e->n > 0, BF_USAGE, "the list of losses is empty");
    BF_NEW(e->steps, e->n);
    for (size_t i = 0; i < e->n; i++) {
        e->steps[i] = e->o->loss_steps ? e->o->loss_steps[i] : list->v[i];
        BF_CHECK(e->steps[i] >= 0 && e->steps[i] <= 1000000, BF_USAGE, "%" PRId64 " is no number of loss steps",
                 e->steps[i]);
    }
out:
    return st;
}

/* The losses are computed one after the other, so the largest plan is the one that counts. Settles the batch. */
static bf_status plan(evaluation *e, bfncl_plan *most, bf_err *err)
{
    bf_status st = BF_OK;
    bf_scorer *none;
    bf_plan p;
    for (size_t i = 0; i <= e->n; i++) {
        const bf_flow_loss_spec spec = i < e->n ? spec_of(e, e->steps[i]) : (bf_flow_loss_spec){.kind = BF_LOSS_RECON};
        BF_TRY(bf_scorer_fit(e->m, &spec, &e->batch, true, &none, &p, err));
        const bfncl_plan seen = bf_model_plan(e->m, &p, e->batch);
        if (seen.peak_bytes > most->peak_bytes) *most = seen;
    }
out:
    return st;
}

static bf_status evaluate(evaluation *e, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(e->o->over_time >= 0 && e->o->over_time <= MAX_BINS, BF_USAGE, "%" PRId64 " bins of time, expected 0..%d",
             e->o->over_time, MAX_BINS);
    const bf_open_options open = {.path = e->o->model,
                                  .set = e->o->set,
                                  .n_set = e->o->n_set,
                                  .weights = e->o->weights,
                                  .device = &e->o->device,
                                  .config = e->o->config,
                                  .size = e->o->size,
                                  .dry_run = e->o->dry_run};
    bf_report_phase(&e->report, "compiling kernels", 0);
    if (!e->o->dry_run) (void)bf_report_done(&e->report, 0, 0);
    BF_TRY(bf_model_open(&open, r->model, &e->m, err));
    BF_TRY(resolve(e, err));
    BF_CHECK(e->o->impute >= 0 && e->o->impute < 1, BF_USAGE, "%g is no part of the cells to hide", e->o->impute);
    BF_CHECK(e->o->impute == 0 || e->m->schema, BF_USAGE, "only a model of a table fills hidden cells");
    BF_TRY(list_losses(e, err));
    BF_NEW(r->rows, e->n);
    snprintf(r->device, sizeof r->device, "%s", bf_ctx_name(e->m->ctx));
    snprintf(r->weights, sizeof r->weights, "%s", e->o->weights ? e->o->weights : "ema");
    snprintf(r->times, sizeof r->times, "%s", e->low_discrepancy ? "low-discrepancy" : "random");
    r->step = e->m->state.step;
    if (!e->o->dry_run) BF_TRY(open_data(e, r, err));
    BF_TRY(plan(e, &r->plan, err));
    if (e->o->dry_run) goto out;
    BF_TRY(allocate(e, err));
    /* now, so that a place that cannot be written to is known before the work */
    if (e->o->per_example) BF_TRY(bf_writer_open(e->o->per_example, &e->per_example, err));
    bf_report_phase(&e->report, "scoring", 0);
    BF_TRY(run(e, r, err));
out:
    return st;
}

static void free_evaluation(evaluation *e)
{
    bf_writer_discard(e->per_example);
    for (size_t k = 0; e->loss && k < e->n; k++) free(e->loss[k]);
    for (size_t k = 0; e->loss_of && k < e->n; k++) free(e->loss_of[k]);
    free(e->loss);
    free(e->loss_of);
    free(e->recon_of);
    free(e->recon);
    free(e->scratch);
    free(e->variables);
    free(e->weight);
    free(e->steps);
    bf_dataset_free(e->ds);
    bf_model_free(e->m);
}

bfncl_status bfncl_eval(const bfncl_eval_options *o, bfncl_eval_result *result, bfncl_error *caller_err)
{
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    evaluation e = {.o = o, .report = {.fn = o->progress, .user = o->user}};
    memset(result, 0, sizeof *result);
    memset(err, 0, sizeof *err);
    result->untrained_bits_per_dim = result->untrained_stderr_bits = NAN;
    result->marginal_bits_per_dim = result->marginal_stderr_bits = NAN;
    result->copula_bits_per_dim = result->copula_stderr_bits = NAN;
    result->marginal = "";
    bf_status st = evaluate(&e, result, err);
    if (st != BF_OK) bfncl_eval_result_free(result);
    free_evaluation(&e);
    return st;
}
