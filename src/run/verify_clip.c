/* Replays of kind "molcraft clipping and learning rate": golden README, section 12, "Clipping and rate tables". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "run/official.h"
#include "run/pool.h"
#include "run/train.h"

#define NAME_SIZE 128
#define MAX_LENGTH 1000000

/* Rows of gradients, one after the other through one rule. */
typedef struct clipping {
    const char *name; /* of the case: "queue8" */
    uint32_t length;  /* of the queue; 0: a fixed limit */
    double fixed;
    uint64_t rows, width;
    bf_pool pool;
    bf_mem grad, clipped, stats, queue;
} clipping;

/* A step of AdamW without memory, whose first moment is the gradient as it was clipped. */
static bf_status append_step(clipping *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_cmds *cmds = c->pool.cmds;
    const bf_adamw forgetful = {.beta1 = 0.0, .beta2 = 0.0, .eps = 1.0};
    const float step[BF_STEP_WORDS] = {[BF_STEP_BIAS1] = 1.0f, [BF_STEP_BIAS2] = 1.0f};
    bf_mem record, weights, squares, ws;
    BF_TRY(bf_pool_put(&c->pool, step, BF_STEP_WORDS, &record, err));
    BF_TRY(bf_pool_new(&c->pool, c->width, &weights, err));
    BF_TRY(bf_pool_new(&c->pool, c->width, &squares, err));
    BF_TRY(bf_pool_new(&c->pool, bf_grad_norm_workspace(bf_verify_ctx(c->pool.v), c->width) / sizeof(float) + 1, &ws,
                       err));
    BF_TRY(bf_grad_sumsq(cmds, c->stats, false, c->grad, c->width, ws, err));
    if (c->length > 0)
        BF_TRY(bf_clip_by_queue(cmds, c->stats, c->queue, c->length, err));
    else
        BF_TRY(bf_clip_factor(cmds, c->stats, (float)c->fixed, err));
    BF_TRY(bf_adamw_step(cmds, &forgetful, weights, c->grad, c->clipped, squares, BF_MEM_NONE, c->stats, record,
                         c->width, err));
out:
    return st;
}

static bf_status prepare(clipping *c, bf_err *err)
{
    bf_status st = BF_OK;
    float *ring = NULL;
    const uint32_t length = BF_MAX(c->length, 1u);
    BF_TRY(bf_pool_new(&c->pool, c->width, &c->grad, err));
    BF_TRY(bf_pool_new(&c->pool, c->width, &c->clipped, err));
    BF_TRY(bf_pool_new(&c->pool, BF_STATS, &c->stats, err));
    BF_NEW(ring, bf_ring_floats(length));
    bf_norms_to_ring(&bf_norms_new, length, ring);
    BF_TRY(bf_pool_put(&c->pool, ring, bf_ring_floats(length), &c->queue, err));
    BF_TRY(append_step(c, err));
out:
    free(ring);
    return st;
}

/* The queue after the last row, the newest norm first. */
static bf_status compare_queue(clipping *c, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    bf_norms norms = {.n = 0};
    float *ring = NULL;
    BF_NEW(ring, bf_ring_floats(c->length));
    BF_TRY(bf_read(bf_verify_ctx(c->pool.v), ring, c->queue, bf_ring_floats(c->length) * sizeof *ring, err));
    BF_TRY(bf_norms_from_ring(&norms, c->length, ring, err));
    snprintf(name, sizeof name, "clip.%s.queue_f64", c->name);
    bf_verify_tensor(c->pool.v, name, norms.newest, norms.n, BF_VERIFY_FORWARD);
out:
    bf_norms_free(&norms);
    free(ring);
    return st;
}

static bf_status run_rows(clipping *c, const float *grad, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(c->pool.v);
    float stats[BF_STATS], *norm = NULL, *limit = NULL, *clipped = NULL;
    char name[NAME_SIZE];
    BF_NEW(norm, c->rows);
    BF_NEW(limit, c->rows);
    BF_NEW(clipped, c->rows * c->width);
    for (uint64_t i = 0; i < c->rows; i++) {
        BF_TRY(bf_write(ctx, c->grad, grad + i * c->width, (size_t)c->width * sizeof *grad, err));
        BF_TRY(bf_cmds_run(c->pool.cmds, err));
        BF_TRY(bf_read(ctx, stats, c->stats, sizeof stats, err));
        BF_TRY(bf_read(ctx, clipped + i * c->width, c->clipped, (size_t)c->width * sizeof *clipped, err));
        norm[i] = stats[BF_STAT_NORM];
        limit[i] = stats[BF_STAT_LIMIT];
    }
    snprintf(name, sizeof name, "clip.%s.norm_f64", c->name);
    bf_verify_tensor(c->pool.v, name, norm, c->rows, BF_VERIFY_FORWARD);
    snprintf(name, sizeof name, "clip.%s.limit_f64", c->name);
    bf_verify_tensor(c->pool.v, name, limit, c->rows, BF_VERIFY_FORWARD);
    snprintf(name, sizeof name, "clip.%s.clipped_grad", c->name);
    bf_verify_tensor(c->pool.v, name, clipped, c->rows * c->width, BF_VERIFY_FORWARD);
    if (c->length > 0) BF_TRY(compare_queue(c, err));
out:
    free(norm);
    free(limit);
    free(clipped);
    return st;
}

/* `length` 0: the fixed limit. */
static bf_status replay_clipping(bf_verify *v, const char *name, uint32_t length, double fixed, bf_err *err)
{
    bf_status st = BF_OK;
    clipping c = {.name = name, .length = length, .fixed = fixed};
    const bf_st_tensor *t;
    char tensor[NAME_SIZE];
    float *grad = NULL;
    snprintf(tensor, sizeof tensor, "clip.%s.grad", name);
    BF_TRY(bf_st_need(bf_verify_file(v), tensor, &t, err));
    BF_CHECK(t->ndim == 2 && t->count > 0, BF_FILE, "%s: unexpected shape", tensor);
    c.rows = t->dims[0];
    c.width = t->dims[1];
    BF_TRY(bf_pool_open(v, &c.pool, err));
    BF_TRY(prepare(&c, err));
    BF_TRY(bf_pool_load(&c.pool, tensor, &grad, NULL, NULL, err));
    BF_TRY(run_rows(&c, grad, err));
out:
    bf_pool_close(&c.pool);
    return st;
}

static bf_status replay_clippings(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    const char *fixed = bf_st_meta_get(f, "fixed_limit");
    json_t *lengths = NULL;
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "queue_lengths"), &lengths, err));
    for (size_t i = 0; i < json_array_size(lengths); i++) {
        const json_int_t length = json_integer_value(json_array_get(lengths, i));
        char name[NAME_SIZE];
        BF_CHECK(length >= 1 && length <= MAX_LENGTH, BF_FILE, "%s: a queue of impossible length", bf_st_name(f));
        snprintf(name, sizeof name, "queue%d", (int)length);
        BF_TRY(replay_clipping(v, name, (uint32_t)length, 0.0, err));
    }
    if (fixed) BF_TRY(replay_clipping(v, "fixed", 0, strtod(fixed, NULL), err));
out:
    json_decref(lengths);
    return st;
}

/* ---- learning rates ---------------------------------------------------------------------------------------------- */

static double number(const json_t *from, const char *key)
{
    return json_number_value(json_object_get(from, key));
}

/* The rate before the first loss and after each. */
static bf_status replay_plateau(bf_verify *v, double lr, const json_t *settings, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_plateau_rule rule = {.factor = number(settings, "factor"),
                                  .floor = number(settings, "min_lr"),
                                  .threshold = number(settings, "threshold"),
                                  .least = number(settings, "eps"),
                                  .patience = json_integer_value(json_object_get(settings, "patience"))};
    const char *mode = json_string_value(json_object_get(settings, "threshold_mode"));
    bf_plateau p = {.rate = lr, .best = NAN};
    float *rate = NULL;
    const bf_st_tensor *metric;
    double *loss = NULL;
    BF_CHECK(mode && strcmp(mode, "rel") == 0, BF_FILE, "%s: a plateau of threshold mode \"%.20s\" is not known",
             bf_st_name(bf_verify_file(v)), mode ? mode : "");
    BF_TRY(bf_st_need(bf_verify_file(v), "lr.metric_f64", &metric, err));
    BF_NEW(loss, metric->count);
    BF_NEW(rate, metric->count + 1);
    BF_TRY(bf_st_read_f64(bf_verify_file(v), metric, loss, err));
    rate[0] = (float)p.rate;
    for (uint64_t i = 0; i < metric->count; i++) {
        bf_plateau_add(&p, &rule, loss[i]);
        rate[i + 1] = (float)p.rate;
    }
    bf_verify_tensor(v, "lr.plateau_f64", rate, metric->count + 1, BF_VERIFY_FORWARD);
out:
    free(loss);
    free(rate);
    return st;
}

static bf_status replay_cosine(bf_verify *v, double lr, const json_t *settings, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *stored;
    float *rate = NULL;
    bf_config c;
    bf_config_defaults(&c);
    c.train.lr = lr;
    c.train.lr_final = number(settings, "eta_min");
    c.train.schedule = BF_SCHEDULE_WAVES;
    c.train.schedule_steps = json_integer_value(json_object_get(settings, "T_max"));
    c.train.warmup = 0;
    BF_CHECK(c.train.schedule_steps > 0, BF_FILE, "%s: the cosine has no length", bf_st_name(bf_verify_file(v)));
    const bf_run_state state = bf_run_state_new(&c);
    BF_TRY(bf_st_need(bf_verify_file(v), "lr.cosine_f64", &stored, err));
    BF_NEW(rate, stored->count);
    for (uint64_t i = 0; i < stored->count; i++) rate[i] = (float)bf_learning_rate(&c, &state.plateau, i);
    bf_verify_tensor(v, "lr.cosine_f64", rate, stored->count, BF_VERIFY_FORWARD);
out:
    free(rate);
    return st;
}

bf_status bf_verify_clipping(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    const char *lr = bf_st_meta_get(f, "lr");
    json_t *plateau = NULL, *cosine = NULL;
    BF_TRY(replay_clippings(v, err));
    BF_CHECK(lr, BF_FILE, "%s: no learning rate", bf_st_name(f));
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "plateau"), &plateau, err));
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "cosine"), &cosine, err));
    BF_TRY(replay_plateau(v, strtod(lr, NULL), plateau, err));
    BF_TRY(replay_cosine(v, strtod(lr, NULL), cosine, err));
out:
    json_decref(plateau);
    json_decref(cosine);
    return st;
}
