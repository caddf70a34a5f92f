/* Scoring. run/score.h */
#include "run/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

struct bf_scorer {
    bf_model *m;
    bf_graph *g;
    bf_cmds *c;
    bf_flow_loss_spec spec;
    uint32_t batch;
    bf_loss_nodes nodes;
    float *x, *t, *loss; /* host: [batch, D], [batch], [batch] */
    float *element;      /* host: [batch, D], once it is needed */
    float *values;       /* for data sets: [batch, D] */
    int32_t *classes;
};

static bf_status build(bf_scorer *s, bf_param_set weights, const bf_graph *beside, bool dry_run, bf_plan *plan,
                       bf_err *err)
{
    bf_status st = BF_OK;
    bf_plan unused;
    const bf_graph_options o = {.training = false, .weights = weights, .beside = beside};
    BF_TRY(bf_graph_new(s->m->ctx, s->m->params, &o, &s->g, err));
    s->nodes = bf_model_loss(s->m, s->g, &s->spec, s->batch, false);
    bf_graph_keep(s->g, s->nodes.losses.sample);
    bf_graph_keep(s->g, s->nodes.losses.element);
    BF_TRY(bf_graph_status(s->g, err));
    if (!dry_run && !bf_params_allocated(s->m->params)) BF_TRY(bf_params_alloc(s->m->params, 1u << BF_SET_VALUE, err));
    BF_TRY(bf_graph_plan(s->g, !dry_run, plan ? plan : &unused, err));
    if (dry_run) goto out;
    BF_TRY(bf_cmds_new(s->m->ctx, &s->c, err));
    BF_TRY(bf_graph_emit(s->g, s->c, err));
out:
    return st;
}

bf_status bf_scorer_new(bf_model *m, bf_param_set weights, const bf_flow_loss_spec *spec, uint32_t batch,
                        const bf_graph *beside, bool dry_run, bf_scorer **out, bf_plan *plan, bf_err *err)
{
    bf_status st = BF_OK;
    bf_scorer *s = NULL;
    *out = NULL;
    BF_NEW(s, 1);
    s->m = m;
    s->spec = *spec;
    s->batch = batch;
    BF_TRY(build(s, weights, beside, dry_run, plan, err));
    if (dry_run) goto out;
    BF_NEW(s->x, batch * m->dims);
    BF_NEW(s->t, batch);
    BF_NEW(s->loss, batch);
    BF_NEW(s->values, batch * m->dims);
    BF_NEW(s->classes, batch * m->dims);
    *out = s;
    s = NULL;
out:
    bf_scorer_free(s);
    return st;
}

bf_status bf_scorer_fit(bf_model *m, const bf_flow_loss_spec *spec, uint32_t *batch, bool dry_run, bf_scorer **out,
                        bf_plan *plan, bf_err *err)
{
    bf_status st;
    do st = bf_scorer_new(m, BF_SET_VALUE, spec, *batch, NULL, dry_run, out, plan, err);
    while (bf_model_halve_batch(st, batch, err));
    return st;
}

void bf_scorer_free(bf_scorer *s)
{
    if (!s) return;
    bf_cmds_free(s->c);
    bf_graph_free(s->g);
    free(s->x);
    free(s->t);
    free(s->loss);
    free(s->element);
    free(s->values);
    free(s->classes);
    free(s);
}

uint32_t bf_scorer_batch(const bf_scorer *s)
{
    return s->batch;
}

const bf_flow_loss_spec *bf_scorer_spec(const bf_scorer *s)
{
    return &s->spec;
}

void bf_scorer_times(const bf_scorer *s, const bf_score_key *key, uint32_t rows, float *t)
{
    const bf_flow_time_key k = {.seed = key->seed,
                                .step = key->pass,
                                .first = key->first,
                                .total = key->total,
                                .low_discrepancy = key->low_discrepancy,
                                .repeat = key->pass,
                                .repeats = key->passes};
    bf_flow_times(t, (int)rows, &s->spec, &k);
}

/* Means of the losses behind the first skip[i] variables of each row. */
static bf_status read_elements(bf_scorer *s, uint32_t rows, const uint32_t *skip, float *nats, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t dims = s->m->dims;
    if (s->element == NULL) BF_NEW(s->element, s->batch * dims);
    BF_TRY(
        bf_read(s->m->ctx, s->element, bf_graph_mem(s->g, s->nodes.losses.element), rows * dims * sizeof(float), err));
    for (uint32_t i = 0; i < rows; i++) {
        double sum = 0;
        for (uint64_t d = skip[i]; d < dims; d++) sum += s->element[i * dims + d];
        nats[i] = (float)(sum / (double)(dims - skip[i]));
    }
out:
    return st;
}

bf_status bf_scorer_rows(bf_scorer *s, const float *x, uint32_t rows, const bf_score_key *key, float *nats, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t dims = (size_t)s->m->dims;
    uint32_t words[BF_STEP_WORDS] = {0};
    words[BF_STEP_SEED_LO] = (uint32_t)key->seed;
    words[BF_STEP_SEED_HI] = (uint32_t)(key->seed >> 32);
    words[BF_STEP_STEP] = key->pass;
    words[BF_STEP_SAMPLE0] = key->first;
    memcpy(s->x, x, rows * dims * sizeof *x);
    bf_scorer_times(s, key, rows, s->t);
    for (uint32_t i = rows; i < s->batch; i++) { /* a short batch is filled up with its last example */
        memcpy(s->x + i * dims, x + (rows - 1) * dims, dims * sizeof *x);
        s->t[i] = s->t[rows - 1];
    }
    BF_TRY(bf_write_async(s->m->ctx, bf_graph_mem(s->g, s->nodes.data), s->x, s->batch * dims * sizeof *s->x, err));
    BF_TRY(bf_write_async(s->m->ctx, bf_graph_mem(s->g, s->nodes.t), s->t, s->batch * sizeof *s->t, err));
    BF_TRY(bf_graph_set_step(s->g, words, err));
    BF_TRY(bf_cmds_run(s->c, err));
    if (key->skip != NULL) return read_elements(s, rows, key->skip, nats, err);
    BF_TRY(bf_read(s->m->ctx, s->loss, bf_graph_mem(s->g, s->nodes.losses.sample), s->batch * sizeof *s->loss, err));
    memcpy(nats, s->loss, rows * sizeof *nats);
out:
    return st;
}

bf_status bf_scorer_pass(bf_scorer *s, const bf_dataset *ds, bf_split split, const bf_score_key *key, double *sums,
                         bf_score_fn progress, void *user, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &s->m->config;
    const bool classes = bf_setup_wants_classes(c);
    const bf_rows rows = {.values = classes ? NULL : s->values, .classes = classes ? s->classes : NULL};
    const bool overlap = split == BF_SPLIT_ALL && bf_dataset_overlap(ds, 1) > 0;
    float *x = NULL, *nats = NULL;
    uint32_t *skip = NULL;
    BF_NEW(x, s->batch * s->m->dims);
    BF_NEW(nats, s->batch);
    BF_NEW(skip, s->batch);
    const uint64_t total = key->total;
    bf_score_key k = *key;
    k.skip = overlap ? skip : NULL;
    for (uint64_t first = 0; first < total; first += s->batch) {
        const uint32_t n = (uint32_t)BF_MIN((uint64_t)s->batch, total - first);
        k.first = (uint32_t)first;
        for (uint32_t i = 0; i < n; i++) skip[i] = bf_dataset_overlap(ds, first + i);
        BF_TRY(bf_dataset_eval_rows(ds, split, first, n, key->pass, &rows, err));
        bf_setup_rows(c, &rows, n * s->m->dims, x);
        BF_TRY(bf_scorer_rows(s, x, n, &k, nats, err));
        for (uint32_t i = 0; i < n; i++) {
            BF_CHECK(isfinite(nats[i]), BF_NUMERIC, "the loss of example %llu is not finite",
                     (unsigned long long)(first + i));
            sums[first + i] += nats[i];
        }
        BF_CHECK(!progress || progress(user, first + n, total), BF_STOPPED, "scoring was stopped");
    }
out:
    free(x);
    free(nats);
    free(skip);
    return st;
}
