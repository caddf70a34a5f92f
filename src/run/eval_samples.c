/* bfncl_eval_samples: how good samples are, by measures that need no network. */
#include "run/eval_samples.h"

#include <math.h>
#include <string.h>

/* What the options need, by kind of model. */
static bf_status check_options(const bf_sample_eval *e, bf_err *err)
{
    static const char *const makes[] = {"molecules", "texts", "pictures", "tables"};
    bf_status st = BF_OK;
    const bfncl_samples_options *o = e->o;
    const int transform = e->config.data.transform;
    const int kind = transform == BF_TRANSFORM_MOLECULES ? 0
                     : transform == BF_TRANSFORM_TEXT    ? 1
                     : transform == BF_TRANSFORM_TABLE   ? 3
                                                         : 2;
    BF_CHECK(kind != 3, BF_USAGE,
             "samples of tables have no measure of their own; those of molecules, texts and pictures have");
    BF_CHECK(kind == 1 || !o->dictionary, BF_USAGE, "%s: a dictionary is for texts, this model makes %s", o->dictionary,
             makes[kind]);
    BF_CHECK(kind == 2 || !o->encoder, BF_USAGE, "%s: an encoder is for pictures, this model makes %s", o->encoder,
             makes[kind]);
    BF_CHECK(kind == 2 || !o->neighbours, BF_USAGE, "%s: neighbours are for pictures, this model makes %s",
             o->neighbours, makes[kind]);
    BF_CHECK(kind == 0 || !o->chart, BF_USAGE, "%s: the chart of bonds is for molecules, this model makes %s", o->chart,
             makes[kind]);
    BF_CHECK(kind == 0 || !(o->pocket || o->ligand || o->center || o->radius > 0), BF_USAGE,
             "a pocket is for molecules, this model makes %s", makes[kind]);
    e->r->kind = kind == 0 ? BFNCL_SAMPLES_MOLECULES : kind == 1 ? BFNCL_SAMPLES_TEXTS : BFNCL_SAMPLES_PICTURES;
out:
    return st;
}

static bf_status evaluate_molecules(const bf_sample_eval *e, bf_err *err)
{
    const bfncl_samples_options *o = e->o;
    const bfncl_molecules_options m = {.samples = o->samples,
                                       .data = o->data ? o->data : e->config.data.train,
                                       .model = o->model,
                                       .chart = o->chart,
                                       .pocket = o->pocket,
                                       .ligand = o->ligand,
                                       .center = o->center,
                                       .radius = o->radius};
    return bfncl_eval_molecules(&m, &e->r->molecules, err);
}

static bf_status evaluate(bf_sample_eval *e, bf_err *err)
{
    bf_status st = BF_OK;
    bf_model_file f = {0};
    BF_TRY(bf_model_path(e->o->model, e->r->model, err));
    BF_TRY(bf_model_file_open(e->r->model, &f, err));
    e->config = f.config;
    memcpy(e->shape, f.shape, sizeof e->shape);
    BF_TRY(bf_setup_overrides(&e->config, e->o->set, e->o->n_set, err));
    BF_TRY(check_options(e, err));
    bf_report_phase(&e->report, "measuring", 0);
    switch (e->r->kind) {
    case BFNCL_SAMPLES_MOLECULES: BF_TRY(evaluate_molecules(e, err)); break;
    case BFNCL_SAMPLES_TEXTS: BF_TRY(bf_eval_words(e, err)); break;
    default: BF_TRY(bf_eval_pictures(e, err));
    }
out:
    bf_model_file_close(&f);
    return st;
}

void bfncl_samples_defaults(bfncl_samples_options *o)
{
    *o = (bfncl_samples_options){0};
}

bfncl_status bfncl_eval_samples(const bfncl_samples_options *o, bfncl_samples_result *result, bfncl_error *caller_err)
{
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    bf_sample_eval e = {.o = o, .r = result, .report = {.fn = o->progress, .user = o->user}};
    memset(result, 0, sizeof *result);
    memset(err, 0, sizeof *err);
    result->words.share = result->words.stderr_share = result->words.held_out = NAN;
    result->pictures.distance = result->pictures.stderr_distance = result->pictures.held_out = NAN;
    result->pictures.nearest = NAN;
    return evaluate(&e, err);
}
