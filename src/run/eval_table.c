#include "run/eval_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/size.h"
#include "base/stats.h"
#include "io/baseline.h"
#include "run/sample.h"

void bf_eval_resolution(const bf_model *m, const bf_dataset *ds, uint64_t rows, double *nats, double *groups,
                        double *columns)
{
    const bf_schema *s = m->schema;
    const double bin = log(bf_flow_recon_bins(&m->hybrid.group[0].flow) / 2.0); /* continuous columns come first */
    for (uint64_t i = 0; i < rows; i++) {
        const float *x = bf_dataset_cells(ds, i);
        for (uint32_t p = 0; p < s->dims; p++) {
            const bf_column *c = &s->column[s->by_place[p]];
            if (c->type != BF_COLUMN_CONTINUOUS || isnan(x[p])) continue;
            const double more = bf_column_bits(c, x[p]) * BF_LN2 - bin;
            nats[i] += more / s->dims;
            if (groups) groups[i] += more / s->group[0].count;
            columns[p] += more;
        }
    }
}

/* The cells of the training part of a data set, [train, dims]. */
static bf_status training_cells(const bf_dataset *ds, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_dataset_info info = bf_dataset_get_info(ds);
    uint32_t *index = NULL;
    BF_NEW(index, info.train);
    BF_NEW(*out, info.train * info.dims);
    BF_TRY(bf_dataset_eval_rows(ds, BF_SPLIT_TRAIN, 0, (uint32_t)info.train, 0, &(bf_rows){.index = index}, err));
    for (uint64_t i = 0; i < info.train; i++)
        memcpy(*out + i * info.dims, bf_dataset_cells(ds, index[i]), (size_t)info.dims * sizeof **out);
out:
    free(index);
    return st;
}

static bf_status fit(const bf_model *m, const bf_dataset *train, bf_baseline **out, bf_err *err)
{
    bf_status st = BF_OK;
    float *cells = NULL;
    BF_TRY(training_cells(train, &cells, err));
    BF_TRY(
        bf_baseline_fit(m->schema, cells, bf_dataset_get_info(train).train, (uint64_t)m->config.train.seed, out, err));
out:
    free(cells);
    return st;
}

bf_status bf_eval_table_baselines(const bf_model *m, const bf_dataset *train, const bf_dataset *ds, uint64_t rows,
                                  bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_baseline *b = NULL;
    double *marginal = NULL, *copula = NULL;
    BF_NEW(marginal, rows);
    BF_NEW(copula, rows);
    BF_TRY(fit(m, train, &b, err));
    BF_TRY(bf_baseline_score(b, bf_dataset_cells(ds, 0), rows, (uint64_t)m->config.eval.seed, marginal, copula, err));
    for (uint64_t i = 0; i < rows; i++) {
        marginal[i] /= (double)m->dims;
        copula[i] /= (double)m->dims;
    }
    r->marginal = "per-column";
    bf_mean_stderr(marginal, NULL, rows, &r->marginal_bits_per_dim, &r->marginal_stderr_bits);
    bf_mean_stderr(copula, NULL, rows, &r->copula_bits_per_dim, &r->copula_stderr_bits);
out:
    bf_baseline_free(b);
    free(marginal);
    free(copula);
    return st;
}

/* ---- imputation -------------------------------------------------------------------------------------------------- */

/* Errors of the hidden cells of a column: squares in deviations, or wrong words. */
typedef struct tally {
    uint64_t cells;
    double model, baseline;
} tally;

static void add_errors(const bf_model *m, const bf_baseline *b, const float *cells, const float *shown,
                       const double *value, uint64_t rows, tally *t)
{
    for (uint64_t i = 0; i < rows * m->dims; i++) {
        const uint32_t p = (uint32_t)(i % m->dims);
        const bf_column *c = &m->schema->column[m->schema->by_place[p]];
        if (isnan(cells[i]) || !isnan(shown[i])) continue;
        const double truth = bf_column_value(c, cells[i], 0.5), mean = bf_baseline_mean(b, p);
        const double unit = BF_MAX(bf_baseline_deviation(b, p), 1e-300);
        const bool word = c->type == BF_COLUMN_CATEGORICAL;
        t[p].cells++;
        t[p].model += word ? value[i] != truth : pow((value[i] - truth) / unit, 2);
        t[p].baseline += word ? mean != truth : pow((mean - truth) / unit, 2);
    }
}

/* Means over the cells of all columns of a sort, and of each. */
static void report_errors(const bf_model *m, const tally *t, bfncl_eval_result *r)
{
    tally numbers = {0}, words = {0};
    for (uint32_t p = 0; p < m->dims; p++) {
        const uint32_t i = m->schema->by_place[p];
        const bool word = m->schema->column[i].type == BF_COLUMN_CATEGORICAL;
        const double model = t[p].model / (double)t[p].cells, baseline = t[p].baseline / (double)t[p].cells;
        tally *sum = word ? &words : &numbers;
        sum->cells += t[p].cells;
        sum->model += t[p].model;
        sum->baseline += t[p].baseline;
        r->columns[i].impute_error = word ? model : sqrt(model);
        r->columns[i].impute_baseline = word ? baseline : sqrt(baseline);
    }
    r->impute.numbers = numbers.cells;
    r->impute.words = words.cells;
    r->impute.rmse = sqrt(numbers.model / (double)numbers.cells);
    r->impute.baseline_rmse = sqrt(numbers.baseline / (double)numbers.cells);
    r->impute.accuracy = 1 - words.model / (double)words.cells;
    r->impute.baseline_accuracy = 1 - words.baseline / (double)words.cells;
}

static bf_status draw(bf_model *m, const float *shown, uint64_t rows, uint32_t draws, uint64_t seed, bf_report *report,
                      double *value, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &m->config;
    uint32_t batch = (uint32_t)BF_MIN(c->sample.batch ? (uint64_t)c->sample.batch : bf_setup_batch(c), rows * draws);
    bf_sampler *sampler = NULL;
    bf_sample_plan how = {0};
    float *x = NULL;
    BF_CHECK(rows * draws <= UINT32_MAX, BF_USAGE, "%llu draws are more than 2^32 - 1",
             (unsigned long long)(rows * draws));
    BF_NEW(x, rows * draws * m->dims);
    BF_TRY(bf_sample_plan_new(c, &m->hybrid, 0, &how, err));
    BF_TRY(bf_sampling_new(m, &how, batch, false, &sampler, &batch, NULL, err));
    const bf_sampling run = {.m = m,
                             .sampler = sampler,
                             .batch = batch,
                             .n = rows * draws,
                             .seed = seed,
                             .how = &how,
                             .given = shown,
                             .rows = rows,
                             .repeat = draws,
                             .report = report};
    BF_TRY(bf_sampling_run(&run, x, err));
    bf_table_values(m, x, rows, draws, seed, value);
out:
    bf_sampler_free(sampler);
    bf_sample_plan_free(&how);
    free(x);
    return st;
}

bf_status bf_eval_impute(bf_model *m, const bf_dataset *train, const bf_dataset *ds, uint64_t rows, double part,
                         uint32_t draws, uint64_t seed, bf_report *report, bfncl_eval_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const float *cells = bf_dataset_cells(ds, 0);
    bf_baseline *b = NULL;
    float *shown = NULL;
    double *value = NULL;
    tally *t = NULL;
    BF_NEW(shown, rows * m->dims);
    BF_NEW(value, rows * m->dims);
    BF_NEW(t, m->dims);
    BF_TRY(fit(m, train, &b, err));
    for (uint64_t i = 0; i < rows * m->dims; i++) {
        const float u =
            bf_philox_uniform(seed, (uint32_t)(i % m->dims), (uint32_t)(i / m->dims), UINT32_MAX, BF_STREAM_GIVEN);
        shown[i] = u < (float)part ? NAN : cells[i];
    }
    BF_TRY(draw(m, shown, rows, draws, seed, report, value, err));
    add_errors(m, b, cells, shown, value, rows, t);
    report_errors(m, t, r);
    r->impute.part = part;
    r->impute.draws = draws;
out:
    bf_baseline_free(b);
    free(shown);
    free(value);
    free(t);
    return st;
}
