/* Scoring. run/score.h */
#include "run/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"

/* A batch under way. */
typedef struct flight {
    bf_mark *end;
    uint32_t examples;
    uint32_t *first; /* [batch + 1]: the item where an example begins */
    bool skips;
    float *loss;       /* [groups, batch] */
    float *element;    /* [batch, dims] of each group, once it is needed */
    double *variables; /* of the key */
    uint32_t *skip;    /* [batch] */
} flight;

struct bf_scorer {
    bf_model *m;
    bf_graph *g;
    bf_cmds *c;
    bf_flow_loss_spec spec;
    uint32_t batch; /* items */
    bf_loss_nodes nodes;
    bf_upload *upload; /* of a batch (bf_model_block), then times [batch] */
    float *x, *t;      /* in the slot that is being filled */
    float *times;      /* [batch]: of the examples */
    flight flight[2];  /* batch number i of this scorer in flight[i % 2] */
    uint64_t submitted, waited;
};

static size_t upload_bytes(const bf_scorer *s)
{
    return (size_t)(bf_model_block(s->m, s->batch) + s->batch) * sizeof(float);
}

static bf_status build(bf_scorer *s, bf_param_set weights, const bf_graph *beside, bool dry_run, bf_plan *plan,
                       bf_err *err)
{
    bf_status st = BF_OK;
    bf_plan unused;
    const bf_graph_options o = {.training = false, .weights = weights, .beside = beside};
    BF_TRY(bf_graph_new(s->m->ctx, s->m->params, &o, &s->g, err));
    bf_model_loss(s->m, s->g, &s->spec, s->batch, false, &s->nodes);
    BF_TRY(bf_graph_status(s->g, err));
    for (int i = 0; i < s->m->hybrid.groups; i++) bf_graph_keep(s->g, s->nodes.group[i].losses.sample);
    for (int i = 0; i < s->m->hybrid.groups; i++) bf_graph_keep(s->g, s->nodes.group[i].losses.element);
    if (!dry_run && !bf_params_allocated(s->m->params)) BF_TRY(bf_params_alloc(s->m->params, 1u << BF_SET_VALUE, err));
    if (!plan) plan = &unused;
    BF_TRY(bf_graph_plan(s->g, !dry_run, plan, err));
    plan->io_bytes += bf_upload_device_bytes(s->m->ctx, upload_bytes(s));
    plan->peak_bytes += bf_upload_device_bytes(s->m->ctx, upload_bytes(s));
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
    BF_TRY(bf_upload_new(m->ctx, upload_bytes(s), !bf_ctx_unified(m->ctx), &s->upload, err));
    for (size_t i = 0; i < BF_COUNT(s->flight); i++) {
        BF_NEW(s->flight[i].loss, (uint64_t)m->hybrid.groups * batch);
        BF_NEW(s->flight[i].skip, batch);
        BF_NEW(s->flight[i].first, batch + 1);
    }
    BF_NEW(s->times, batch);
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
    bf_err ignored;
    if (!s) return;
    if (s->submitted > 0) (void)bf_finish(s->m->ctx, &ignored); /* the queue may still use what is ours */
    bf_cmds_free(s->c);
    bf_graph_free(s->g);
    bf_upload_free(s->upload);
    for (size_t i = 0; i < BF_COUNT(s->flight); i++) {
        free(s->flight[i].loss);
        free(s->flight[i].element);
        free(s->flight[i].skip);
        free(s->flight[i].first);
    }
    free(s->times);
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

/* The slot for the next batch. */
static bf_status next_rows(bf_scorer *s, bf_err *err)
{
    bf_status st = BF_OK;
    void *host;
    BF_TRY(bf_upload_next(s->upload, &host, err));
    s->x = host;
    s->t = s->x + bf_model_block(s->m, s->batch);
out:
    return st;
}

/* The losses of every variable of `items` items. */
static bf_status read_elements(bf_scorer *s, flight *f, uint32_t items, bf_err *err)
{
    bf_status st = BF_OK;
    float *to = f->element;
    for (int i = 0; i < s->m->hybrid.groups; i++) {
        const size_t dims = (size_t)s->m->hybrid.group[i].dims;
        BF_TRY(bf_read_async(s->m->ctx, to, bf_graph_mem(s->g, s->nodes.group[i].losses.element),
                             items * dims * sizeof *to, err));
        to += s->batch * dims;
    }
out:
    return st;
}

/* Enqueues the batch in the slot, and what brings its losses to the host. `item`: how many items of the pass come
 * before it. */
static bf_status submit(bf_scorer *s, uint32_t examples, uint64_t item, const bf_score_key *key, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = s->m->ctx;
    const uint64_t dims = s->m->dims;
    const bf_group_nodes *group = s->nodes.group;
    flight *f = &s->flight[s->submitted % 2];
    uint32_t words[BF_STEP_WORDS] = {0};
    words[BF_STEP_SEED_LO] = (uint32_t)key->seed;
    words[BF_STEP_SEED_HI] = (uint32_t)(key->seed >> 32);
    words[BF_STEP_STEP] = key->pass;
    words[BF_STEP_SAMPLE0] = (uint32_t)item;
    bf_scorer_times(s, key, examples, s->times);
    bf_model_pad(s->m, examples, s->batch, s->x);
    for (uint32_t i = examples; i < s->batch; i++) s->times[i] = s->times[examples - 1];
    bf_model_times(s->m, s->x, s->batch, s->times, s->t);
    f->examples = examples;
    for (uint32_t i = 0; i <= examples; i++) f->first[i] = (uint32_t)bf_model_first(s->m, s->x, s->batch, i);
    f->skips = key->skip != NULL;
    BF_CHECK(!f->skips || s->m->hybrid.groups == 1, BF_USAGE, "windows that overlap are of a single group");
    if (f->skips) memcpy(f->skip, key->skip, examples * sizeof *f->skip);
    f->variables = key->variables;
    if ((f->skips || f->variables) && f->element == NULL) BF_NEW(f->element, s->batch * dims);
    BF_TRY(bf_upload_send(s->upload, err));
    BF_TRY(bf_model_take(&s->nodes, s->g, s->upload, 0, err));
    BF_TRY(bf_upload_take(s->upload, bf_graph_mem(s->g, s->nodes.t), bf_model_block(s->m, s->batch) * sizeof(float),
                          s->batch * sizeof(float), err));
    BF_TRY(bf_graph_set_step(s->g, words, err));
    BF_TRY(bf_cmds_run(s->c, err));
    const uint32_t items = f->first[examples];
    if (f->skips || f->variables) BF_TRY(read_elements(s, f, items, err));
    for (int i = 0; i < s->m->hybrid.groups && !f->skips; i++)
        BF_TRY(bf_read_async(ctx, f->loss + (size_t)i * s->batch, bf_graph_mem(s->g, group[i].losses.sample),
                             items * sizeof(float), err));
    BF_TRY(bf_mark_new(ctx, &f->end, err));
    s->submitted++;
out:
    return st;
}

/* Mean over the items of example e, of group k. */
static double mean_of_items(const flight *f, uint32_t batch, int k, uint32_t e)
{
    double sum = 0;
    for (uint32_t i = f->first[e]; i < f->first[e + 1]; i++) sum += (double)f->loss[(size_t)k * batch + i];
    return sum / (double)(f->first[e + 1] - f->first[e]);
}

/* Mean over the variables of all groups of example e. */
static double mean_of_groups(const bf_hybrid *h, const flight *f, uint32_t batch, uint32_t e)
{
    double sum = 0;
    if (h->groups == 1) return mean_of_items(f, batch, 0, e);
    for (int k = 0; k < h->groups; k++) sum += (double)h->group[k].dims * mean_of_items(f, batch, k, e);
    return sum / (double)bf_hybrid_dims(h);
}

/* Adds up the losses of each variable over the items of a batch. */
static void add_variables(const bf_scorer *s, const flight *f)
{
    const float *element = f->element;
    double *sum = f->variables;
    for (int i = 0; i < s->m->hybrid.groups; i++) {
        const uint64_t dims = s->m->hybrid.group[i].dims;
        for (uint64_t k = 0; k < f->first[f->examples] * dims; k++) sum[k % dims] += (double)element[k];
        element += s->batch * dims;
        sum += dims;
    }
}

/* The losses of the oldest batch under way: of rows that skip, the means behind the first skip[i] variables. `groups`
 * [groups, examples]. */
static bf_status collect(bf_scorer *s, float *nats, float *groups, bf_err *err)
{
    const uint64_t dims = s->m->dims;
    const bf_hybrid *h = &s->m->hybrid;
    flight *f = &s->flight[s->waited++ % 2];
    bf_status st = bf_mark_wait(f->end, err);
    bf_mark_free(f->end);
    f->end = NULL;
    if (st == BF_OK) st = bf_profiler_unit(s->m->profiler, err);
    if (st != BF_OK) return st;
    for (uint32_t i = 0; i < f->examples; i++) {
        double sum = 0;
        if (!f->skips) nats[i] = (float)mean_of_groups(h, f, s->batch, i);
        if (!f->skips) continue;
        for (uint64_t d = f->skip[i]; d < dims; d++) sum += f->element[i * dims + d];
        nats[i] = (float)(sum / (double)(dims - f->skip[i]));
    }
    if (f->variables) add_variables(s, f);
    for (int k = 0; groups && k < h->groups; k++)
        for (uint32_t i = 0; i < f->examples; i++)
            groups[(size_t)k * f->examples + i] = (float)mean_of_items(f, s->batch, k, i);
    return st;
}

bf_status bf_scorer_rows(bf_scorer *s, const float *x, uint32_t rows, const bf_score_key *key, float *nats,
                         float *groups, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(next_rows(s, err));
    memcpy(s->x, x, rows * (size_t)s->m->row * sizeof *x);
    bf_model_label(s->m, NULL, 0, s->batch, s->x);
    BF_TRY(submit(s, rows, key->first, key, err));
    BF_TRY(collect(s, nats, groups, err));
out:
    return st;
}

/* Where a pass is. */
typedef struct walk {
    uint64_t sent, items; /* examples that were submitted, and their items */
    uint32_t *skip;       /* [batch] */
} walk;

/* Reads and submits as many examples of a split as a batch holds. */
static bf_status submit_split(bf_scorer *s, const bf_dataset *ds, bf_split split, const bf_score_key *key, walk *w,
                              bf_err *err)
{
    bf_status st = BF_OK;
    const bool overlap = split == BF_SPLIT_ALL && bf_dataset_overlap(ds, 1) > 0;
    bf_score_key k = *key;
    uint32_t n;
    BF_TRY(next_rows(s, err));
    BF_TRY(bf_dataset_eval_block(ds, split, w->sent, key->total, s->batch, key->pass, s->x, &n, err));
    k.first = (uint32_t)w->sent;
    k.skip = overlap ? w->skip : NULL;
    for (uint32_t i = 0; i < n; i++) w->skip[i] = bf_dataset_overlap(ds, w->sent + i);
    BF_TRY(submit(s, n, w->items, &k, err));
    w->sent += n;
    w->items += s->flight[(s->submitted - 1) % 2].first[n];
out:
    return st;
}

bf_status bf_scorer_pass(bf_scorer *s, const bf_dataset *ds, bf_split split, const bf_score_key *key, double *sums,
                         double *groups, bf_score_fn progress, void *user, bf_err *err)
{
    bf_status st = BF_OK;
    bf_err ignored;
    float *nats = NULL, *apart = NULL;
    walk w = {0};
    double seconds = INFINITY;
    BF_NEW(nats, s->batch);
    BF_NEW(apart, (uint64_t)s->m->hybrid.groups * s->batch);
    BF_NEW(w.skip, s->batch);
    const uint64_t total = key->total;
    for (uint64_t first = 0; first < total;) {
        const uint64_t under_way = bf_ctx_ahead(s->m->ctx, seconds) ? 2 : 1;
        const double start = bf_seconds();
        while (s->submitted - s->waited < under_way && w.sent < total) BF_TRY(submit_split(s, ds, split, key, &w, err));
        const uint32_t n = s->flight[s->waited % 2].examples;
        BF_TRY(collect(s, nats, apart, err));
        seconds = bf_seconds() - start;
        for (uint32_t i = 0; i < n; i++) {
            BF_CHECK(isfinite(nats[i]), BF_NUMERIC, "the loss of example %llu is not finite",
                     (unsigned long long)(first + i));
            sums[first + i] += nats[i];
            for (int k = 0; groups && k < s->m->hybrid.groups; k++)
                groups[(uint64_t)k * total + first + i] += apart[(size_t)k * n + i];
        }
        first += n;
        BF_CHECK(!progress || progress(user, first, total), BF_STOPPED, "scoring was stopped");
    }
out:
    while (s->waited < s->submitted) (void)collect(s, nats, apart, &ignored);
    free(nats);
    free(apart);
    free(w.skip);
    return st;
}
