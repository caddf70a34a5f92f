/* The embedded model: bfncl_model_*. Sampler and scorers are made at first use and kept. */
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "run/label.h"
#include "run/sample.h"
#include "run/score.h"

struct bfncl_model {
    bf_model *m;
    bf_sampler *sampler;
    uint32_t sampler_batch;
    bf_sampler_mode sampler_mode;
    uint32_t label; /* of a model with labels: that of samples */
    bf_scorer *loss, *recon;
};

static uint32_t batch_of(const bfncl_model *h)
{
    const bf_config *c = &h->m->config;
    return c->sample.batch ? (uint32_t)c->sample.batch : (uint32_t)bf_setup_batch(c);
}

bfncl_status bfncl_model_open(const char *path, const bfncl_device_options *device, bfncl_model **out,
                              bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    char file[1024];
    bfncl_model *h = NULL;
    const bf_open_options o = {.path = path, .device = device};
    BF_NEW(h, 1);
    BF_TRY(bf_model_open(&o, file, &h->m, err));
    BF_CHECK(!h->m->schema, BF_USAGE, "%s: tables go through bfncl_sample and bfncl_eval, which read and write CSV",
             path);
    BF_CHECK(!h->m->packed, BF_USAGE, "%s: a model of molecules, whose samples have no fixed size: use bfncl_sample",
             path);
    h->label = h->m->classes.n;
    *out = h;
    h = NULL;
out:
    bfncl_model_close(h);
    return st;
}

void bfncl_model_close(bfncl_model *h)
{
    if (!h) return;
    bf_sampler_free(h->sampler);
    bf_scorer_free(h->loss);
    bf_scorer_free(h->recon);
    bf_model_free(h->m);
    free(h);
}

void bfncl_model_shape(const bfncl_model *h, uint32_t shape[3])
{
    memcpy(shape, h->m->shape, sizeof h->m->shape);
}

uint64_t bfncl_model_dims(const bfncl_model *h)
{
    return h->m->dims;
}

uint32_t bfncl_model_classes(const bfncl_model *h)
{
    const bf_hybrid *groups = &h->m->hybrid;
    const bf_group *classes = groups->groups == 1 ? bf_hybrid_categorical(groups) : NULL;
    return classes ? (uint32_t)classes->flow.classes : 0;
}

bfncl_status bfncl_model_label(bfncl_model *h, const char *label, double guidance, bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    uint32_t *classes = NULL;
    uint64_t n;
    BF_TRY(bf_label_choose(h->m, label, &classes, &n, err));
    const bool none = classes[0] == h->m->classes.n;
    BF_CHECK(n == 1, BF_USAGE, "samples are of one class at a time");
    BF_CHECK(guidance >= 0 && guidance <= 100, BF_USAGE, "guidance is %g, expected 0 to 100", guidance);
    BF_CHECK(guidance <= 0 || (!none && h->m->config.train.label_dropout > 0), BF_USAGE,
             "guidance needs a class, and a model that was trained with train.label_dropout");
    if (guidance > h->m->guidance || guidance < h->m->guidance) { /* the network is another */
        bf_sampler_free(h->sampler);
        h->sampler = NULL;
    }
    h->m->guidance = guidance;
    h->label = classes[0];
out:
    free(classes);
    return st;
}

bfncl_status bfncl_model_sample(bfncl_model *h, uint64_t first, uint64_t n, uint64_t steps, uint64_t seed, float *out,
                                bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    bf_sample_plan how = {0};
    uint32_t *label = NULL;
    BF_CHECK(steps >= 1 && steps <= 1000000, BF_USAGE, "the number of sampler steps must be 1 to 1000000");
    BF_CHECK(h->m->classes.n == 0 || h->label < h->m->classes.n || h->m->config.train.label_dropout > 0, BF_USAGE,
             "this model must be told a class: bfncl_model_label");
    BF_NEW(label, n);
    for (uint64_t i = 0; i < n; i++) label[i] = h->label;
    BF_TRY(bf_sample_plan_new(&h->m->config, &h->m->hybrid, (int64_t)steps, &how, err));
    if (h->sampler && h->sampler_mode != how.mode) { /* sample.mode auto goes by the steps */
        bf_sampler_free(h->sampler);
        h->sampler = NULL;
    }
    if (!h->sampler) BF_TRY(bf_sampling_new(h->m, &how, batch_of(h), false, &h->sampler, &h->sampler_batch, NULL, err));
    h->sampler_mode = how.mode;
    const bf_sampling s = {.m = h->m,
                           .sampler = h->sampler,
                           .batch = h->sampler_batch,
                           .first = first,
                           .n = n,
                           .seed = seed,
                           .how = &how,
                           .label = label};
    BF_TRY(bf_sampling_run(&s, out, err));
out:
    bf_sample_plan_free(&how);
    free(label);
    return st;
}

static bf_status add_scores(bf_scorer *s, const float *data, uint64_t dims, uint64_t n, uint64_t repeats, uint64_t seed,
                            float *scratch, double *nats, bf_err *err)
{
    bf_status st = BF_OK;
    const uint32_t batch = bf_scorer_batch(s);
    for (uint64_t r = 0; r < repeats; r++)
        for (uint64_t at = 0; at < n; at += batch) {
            const uint32_t rows = (uint32_t)BF_MIN((uint64_t)batch, n - at);
            const bf_score_key key = {.seed = seed,
                                      .pass = (uint32_t)r,
                                      .passes = (uint32_t)repeats,
                                      .first = (uint32_t)at,
                                      .total = (uint32_t)n,
                                      .low_discrepancy = true};
            BF_TRY(bf_scorer_rows(s, data + at * dims, rows, &key, scratch, NULL, err));
            for (uint32_t i = 0; i < rows; i++) nats[at + i] += scratch[i] / (double)repeats;
        }
out:
    return st;
}

bfncl_status bfncl_model_score(bfncl_model *h, const float *data, uint64_t n, uint64_t repeats, uint64_t seed,
                               double *nats, bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    float *scratch = NULL;
    const bf_flow_loss_spec loss = {.kind = BF_LOSS_CTS}, recon = {.kind = BF_LOSS_RECON};
    const uint32_t batch = batch_of(h);
    BF_CHECK(repeats >= 1 && n <= UINT32_MAX, BF_USAGE, "scores need at least one repeat and at most 2^32 examples");
    uint32_t least = batch; /* of what memory allows; each scorer knows its own */
    if (!h->loss) BF_TRY(bf_scorer_fit(h->m, &loss, &least, false, &h->loss, NULL, err));
    if (!h->recon) BF_TRY(bf_scorer_fit(h->m, &recon, &least, false, &h->recon, NULL, err));
    BF_NEW(scratch, batch);
    for (uint64_t i = 0; i < n; i++) nats[i] = 0;
    BF_TRY(add_scores(h->loss, data, h->m->dims, n, repeats, seed, scratch, nats, err));
    BF_TRY(add_scores(h->recon, data, h->m->dims, n, repeats, seed, scratch, nats, err));
out:
    free(scratch);
    return st;
}
