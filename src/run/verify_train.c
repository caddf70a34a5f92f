/* Replays of kind training: the official loop (flow, loss, clipping, AdamW, averages) on stored draws. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/model.h"
#include "run/official.h"
#include "run/verify_train.h"

#define NAME_SIZE 512

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* The groups differ in weight decay only: one value or none. */
static bf_status read_decay(const bf_st *f, const json_t *groups, double *out, bf_err *err)
{
    bf_status st = BF_OK;

    *out = 0.0;
    BF_CHECK(json_array_size(groups) >= 1, BF_FILE, "%s: no groups of parameters", bf_st_name(f));
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const double decay = json_number_value(json_object_get(json_array_get(groups, i), "weight_decay"));
        BF_CHECK(decay == 0.0 || *out == 0.0 || decay == *out, BF_FILE, "%s: more than one weight decay, %g and %g",
                 bf_st_name(f), *out, decay);
        if (decay != 0.0) *out = decay;
    }
out:
    return st;
}

static bf_status read_optimiser(const bf_st *f, bf_train_recipe *r, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *optimiser = NULL, *groups = NULL;
    double decay = 0.0;

    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "optimizer"), &optimiser, err));
    const json_t *betas = json_object_get(optimiser, "betas"), *group = optimiser;
    if (bf_st_meta_get(f, "param_groups")) {
        BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "param_groups"), &groups, err));
        BF_TRY(read_decay(f, groups, &decay, err));
        group = json_array_get(groups, 0);
    } else {
        decay = json_number_value(json_object_get(optimiser, "weight_decay"));
    }
    r->lr = json_number_value(json_object_get(optimiser, "lr"));
    r->adamw = (bf_adamw){.beta1 = (float)json_number_value(json_array_get(betas, 0)),
                          .beta2 = (float)json_number_value(json_array_get(betas, 1)),
                          .eps = (float)json_number_value(json_object_get(group, "eps")),
                          .weight_decay = (float)decay};
    BF_CHECK(r->lr > 0.0 && r->adamw.beta1 > 0.0f && r->adamw.beta2 > 0.0f && r->adamw.eps > 0.0f, BF_FILE,
             "%s: the optimiser's settings are incomplete", bf_st_name(f));
out:
    json_decref(optimiser);
    json_decref(groups);
    return st;
}

static double meta_number(const bf_st *f, const char *key)
{
    const char *text = bf_st_meta_get(f, key);

    return text ? strtod(text, NULL) : 0.0;
}

/* "Q" stands for the queue. */
static bf_status read_clipping(const bf_st *f, bf_train_recipe *r, bf_err *err)
{
    bf_status st = BF_OK;
    const char *limit = bf_st_meta_get(f, "max_grad_norm");
    const double length = meta_number(f, "queue_length");

    r->clip = meta_number(f, limit ? "max_grad_norm" : "grad_clip_norm");
    if (limit == NULL || strcmp(limit, "Q") != 0) return BF_OK;
    BF_CHECK(length >= 1 && length <= 1e6, BF_FILE, "%s: the length of the queue of norms is missing", bf_st_name(f));
    r->queue = (uint32_t)length;
out:
    return st;
}

bf_status bf_train_recipe_read(const bf_st *f, bf_train_recipe *out, bf_err *err)
{
    bf_status st = BF_OK;

    *out = (bf_train_recipe){.steps = 0};
    BF_TRY(read_optimiser(f, out, err));
    BF_TRY(read_clipping(f, out, err));
    const double steps = meta_number(f, "n_steps");
    BF_CHECK(steps >= 1 && steps <= 1000, BF_FILE, "%s: the number of steps is missing", bf_st_name(f));
    out->steps = (int)steps;
out:
    return st;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static bf_status begin_queue(bf_train_replay *u, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(u->r.v);
    const size_t floats = bf_ring_floats(u->recipe.queue);
    float *ring = NULL;

    if (u->recipe.queue == 0) return BF_OK;
    BF_NEW(ring, floats);
    bf_norms_to_ring(&bf_norms_new, u->recipe.queue, ring);
    BF_TRY(bf_buf_new(ctx, floats * sizeof *ring, "past norms", &u->queue, err));
    BF_TRY(bf_write(ctx, (bf_mem){u->queue, 0}, ring, floats * sizeof *ring, err));
out:
    free(ring);
    return st;
}

static bf_status append_update(bf_train_replay *u, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mem stats = {u->stats, 0}, ws = {u->workspace, 0};
    const bf_param_range *range;
    const int n = bf_params_ranges(u->r.params, &range);

    for (int i = 0; i < n; i++)
        BF_TRY(bf_grad_sumsq(u->update, stats, i > 0, range[i].mem[BF_SET_GRAD], range[i].count, ws, err));
    if (u->queue)
        BF_TRY(bf_clip_by_queue(u->update, stats, (bf_mem){u->queue, 0}, u->recipe.queue, err));
    else
        BF_TRY(bf_clip_factor(u->update, stats, (float)u->recipe.clip, err));
    for (int i = 0; i < n; i++) {
        const bf_mem *m = range[i].mem;
        bf_adamw adamw = u->recipe.adamw;
        if (!range[i].decay) adamw.weight_decay = 0.0;
        BF_TRY(bf_adamw_step(u->update, &adamw, m[BF_SET_VALUE], m[BF_SET_GRAD], m[BF_SET_M], m[BF_SET_V],
                             m[BF_SET_EMA], stats, (bf_mem){u->record, 0}, range[i].count, err));
    }
out:
    return st;
}

bf_status bf_train_replay_begin(bf_train_replay *u, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(u->r.v);
    const bf_param_range *range;
    const int n = bf_params_ranges(u->r.params, &range);
    uint64_t bytes = 0;

    BF_TRY(bf_params_copy(u->r.params, BF_SET_EMA, BF_SET_VALUE, err));
    for (int i = 0; i < n; i++) bytes = BF_MAX(bytes, bf_grad_norm_workspace(ctx, range[i].count));
    BF_TRY(bf_buf_new(ctx, BF_STATS * sizeof(float), "statistics", &u->stats, err));
    BF_TRY(bf_buf_new(ctx, BF_STEP_WORDS * sizeof(float), "step record", &u->record, err));
    if (bytes > 0) BF_TRY(bf_buf_new(ctx, bytes, "workspace", &u->workspace, err));
    BF_TRY(begin_queue(u, err));
    BF_TRY(bf_cmds_new(ctx, &u->update, err));
    BF_TRY(append_update(u, err));
out:
    return st;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void put_float(uint32_t *word, double value)
{
    const float f = (float)value;

    memcpy(word, &f, sizeof f);
}

bf_status bf_train_replay_step(bf_train_replay *u, int step, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(u->r.v);
    uint32_t words[BF_STEP_WORDS] = {0};
    float stats[BF_STATS];

    words[BF_STEP_STEP] = (uint32_t)step;
    put_float(&words[BF_STEP_LR], u->recipe.lr);
    put_float(&words[BF_STEP_BIAS1], 1.0 - pow((double)u->recipe.adamw.beta1, step + 1));
    put_float(&words[BF_STEP_BIAS2], 1.0 - pow((double)u->recipe.adamw.beta2, step + 1));
    put_float(&words[BF_STEP_EMA], 1.0 - u->ema_decay);
    BF_TRY(bf_write(ctx, (bf_mem){u->record, 0}, words, sizeof words, err));
    BF_TRY(bf_cmds_run(u->update, err));
    BF_TRY(bf_read(ctx, stats, (bf_mem){u->stats, 0}, sizeof stats, err));
    u->norm[step] = stats[BF_STAT_NORM];
    u->clip[step] = stats[BF_STAT_CLIP];
    u->limit[step] = stats[BF_STAT_LIMIT];
out:
    return st;
}

/* ---- comparison -------------------------------------------------------------------------------------------------- */

/* A parameter that is only in the beginning of the run: nothing reads it, so nothing changes it. */
static bool is_unused(const bf_train_replay *u, const char *param)
{
    const bf_st *f = bf_verify_file(u->r.v);
    char first[NAME_SIZE], last[NAME_SIZE];

    snprintf(first, sizeof first, "init.%s%s", u->owner, param);
    snprintf(last, sizeof last, "final.%s%s", u->owner, param);
    return bf_st_find(f, first) != NULL && bf_st_find(f, last) == NULL;
}

/* One parameter. Adam turns gradients at the level of rounding into full-size steps: where the file does not trust the
 * result, only that it moved by no more than the steps can is checked. */
static bf_status compare_weight(bf_train_replay *u, const char *prefix, const char *param, const float *mine,
                                uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE], trust_name[NAME_SIZE];
    float *stored = NULL, *trust = NULL;
    double *tolerance = NULL;
    uint64_t n_stored, n_trust;

    snprintf(name, sizeof name, "%s%s%s", prefix, u->owner, param);
    snprintf(trust_name, sizeof trust_name, "trust.%s%s", u->owner, param);
    BF_TRY(bf_verify_read(u->r.v, name, &stored, &n_stored, err));
    BF_TRY(bf_verify_read(u->r.v, trust_name, &trust, &n_trust, err));
    BF_CHECK(n == n_stored && n == n_trust, BF_FILE, "%s: tensor '%s' has the wrong size",
             bf_st_name(bf_verify_file(u->r.v)), name);
    BF_NEW(tolerance, n);
    for (uint64_t e = 0; e < n; e++) tolerance[e] = u->recipe.lr * (trust[e] != 0.0f ? 0.05 : 2.5 * u->recipe.steps);
    bf_verify_array(u->r.v, name, mine, stored, tolerance, n);
out:
    free(stored);
    free(trust);
    free(tolerance);
    return st;
}

bf_status bf_train_replay_weights(bf_train_replay *u, bf_param_set set, const char *prefix, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL;

    for (int i = 0; i < bf_params_count(u->r.params); i++) {
        const bf_param_spec *s = bf_params_spec(u->r.params, i);
        char name[NAME_SIZE];
        if (s->buffer) continue;
        BF_NEW(mine, bf_param_numel(s));
        BF_TRY(bf_params_get(u->r.params, set, i, mine, err));
        snprintf(name, sizeof name, "init.%s%s", u->owner, s->name);
        if (is_unused(u, s->name))
            bf_verify_within(u->r.v, name, mine, bf_param_numel(s), 0.0, NULL);
        else
            BF_TRY(compare_weight(u, prefix, s->name, mine, bf_param_numel(s), err));
        free(mine);
        mine = NULL;
    }
out:
    free(mine);
    return st;
}

/* The limits, and the queue after the last step. */
static bf_status compare_queue(bf_train_replay *u, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t floats = bf_ring_floats(u->recipe.queue);
    float *ring = NULL;
    bf_norms norms = {.n = 0};

    BF_NEW(ring, floats);
    BF_TRY(bf_read(bf_verify_ctx(u->r.v), ring, (bf_mem){u->queue, 0}, floats * sizeof *ring, err));
    BF_TRY(bf_norms_from_ring(&norms, u->recipe.queue, ring, err));
    bf_verify_tensor(u->r.v, "clip_limit_f64", u->limit, (uint64_t)u->recipe.steps, BF_VERIFY_GRADIENT);
    bf_verify_tensor(u->r.v, "queue_f64", norms.newest, norms.n, BF_VERIFY_GRADIENT);
out:
    bf_norms_free(&norms);
    free(ring);
    return st;
}

static bf_status compare_losses(bf_train_replay *u, bf_err *err)
{
    bf_status st = BF_OK;
    float *stored = NULL;
    double *tolerance = NULL;
    uint64_t n;

    BF_TRY(bf_verify_read(u->r.v, "loss", &stored, &n, err));
    BF_CHECK(n == (uint64_t)u->recipe.steps, BF_FILE, "%s: 'loss' does not have one entry per step",
             bf_st_name(bf_verify_file(u->r.v)));
    BF_NEW(tolerance, n);
    for (uint64_t i = 0; i < n; i++) tolerance[i] = 2e-5 * fabs((double)stored[i]);
    bf_verify_array(u->r.v, "loss", u->loss, stored, tolerance, n);
    bf_verify_tensor(u->r.v, "grad_norm", u->norm, n, BF_VERIFY_GRADIENT);
    bf_verify_tensor(u->r.v, "clip_coef", u->clip, n, BF_VERIFY_GRADIENT);
    if (u->queue) BF_TRY(compare_queue(u, err));
out:
    free(stored);
    free(tolerance);
    return st;
}

/* Every parameter of a stored group decays as the group does. */
static bf_status check_groups(const bf_train_replay *u, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(u->r.v);
    json_t *groups = NULL;

    if (!bf_st_meta_get(f, "param_groups")) return BF_OK;
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "param_groups"), &groups, err));
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i), *names = json_object_get(group, "params");
        const bool decays = json_number_value(json_object_get(group, "weight_decay")) != 0.0;
        for (size_t k = 0; k < json_array_size(names); k++) {
            const char *name = json_string_value(json_array_get(names, k));
            const int index = name && strncmp(name, "net.", 4) == 0 ? bf_params_find(u->r.params, name + 4) : -1;
            BF_CHECK(index >= 0, BF_FILE, "%s: the network has no parameter '%.100s'", bf_st_name(f), name ? name : "");
            BF_CHECK(bf_params_spec(u->r.params, index)->decay == decays, BF_FILE, "%s: '%s' %s here", bf_st_name(f),
                     name, decays ? "decays" : "does not decay");
        }
    }
out:
    json_decref(groups);
    return st;
}

static bool has_prefix(const bf_st *f, const char *prefix)
{
    for (size_t i = 0; i < bf_st_count(f); i++)
        if (strncmp(bf_st_at(f, i)->name, prefix, strlen(prefix)) == 0) return true;
    return false;
}

/* Every trained parameter that the run used, of one set. */
static bf_status compare_moments(bf_train_replay *u, bf_param_set set, const char *prefix, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL;

    for (int i = 0; i < bf_params_count(u->r.params); i++) {
        const bf_param_spec *s = bf_params_spec(u->r.params, i);
        char name[NAME_SIZE];
        if (s->buffer || is_unused(u, s->name)) continue;
        snprintf(name, sizeof name, "%s%s%s", prefix, u->owner, s->name);
        BF_NEW(mine, bf_param_numel(s));
        BF_TRY(bf_params_get(u->r.params, set, i, mine, err));
        bf_verify_tensor(u->r.v, name, mine, bf_param_numel(s), BF_VERIFY_GRADIENT);
        free(mine);
        mine = NULL;
    }
out:
    free(mine);
    return st;
}

bf_status bf_train_replay_compare(bf_train_replay *u, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(u->r.v);

    BF_TRY(check_groups(u, err));
    BF_TRY(compare_losses(u, err));
    BF_TRY(bf_train_replay_weights(u, BF_SET_VALUE, "final.", err));
    if (has_prefix(f, "exp_avg.")) BF_TRY(compare_moments(u, BF_SET_M, "exp_avg.", err));
    if (has_prefix(f, "exp_avg_sq.")) BF_TRY(compare_moments(u, BF_SET_V, "exp_avg_sq.", err));
out:
    return st;
}

bf_status bf_train_replay_first_gradient(bf_train_replay *u, bf_err *err)
{
    return compare_moments(u, BF_SET_GRAD, "grad1.", err);
}

bf_status bf_train_replay_new(bf_verify *v, const char *owner, double ema_decay, bf_train_replay *out, bf_err *err)
{
    bf_status st = BF_OK;

    *out = (bf_train_replay){.r = {.v = v}, .owner = owner, .ema_decay = ema_decay};
    BF_TRY(bf_train_recipe_read(bf_verify_file(v), &out->recipe, err));
    BF_TRY(bf_replay_new(&out->r, v, err));
    BF_NEW(out->loss, out->recipe.steps);
    BF_NEW(out->norm, out->recipe.steps);
    BF_NEW(out->clip, out->recipe.steps);
    BF_NEW(out->limit, out->recipe.steps);
out:
    return st;
}

void bf_train_replay_free(bf_train_replay *u)
{
    free(u->loss);
    free(u->norm);
    free(u->clip);
    free(u->limit);
    bf_cmds_free(u->update);
    bf_buf_free(u->stats);
    bf_buf_free(u->record);
    bf_buf_free(u->queue);
    bf_buf_free(u->workspace);
    bf_replay_free(&u->r);
}

bf_status bf_train_replay_averages(bf_verify *v, bf_train_replay_fn replay, void *user, bf_err *err)
{
    static const struct {
        const char *decay, *prefix;
    } averages[] = {{"ema09_decay", "ema09."}, {"ema_decay", "ema."}};
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    bool first = true;

    for (size_t i = 0; i < BF_COUNT(averages); i++) {
        const double decay = meta_number(f, averages[i].decay);
        if (!has_prefix(f, averages[i].prefix)) continue;
        BF_CHECK(decay > 0.0 && decay < 1.0, BF_FILE, "%s: the averaging decay %s is missing", bf_st_name(f),
                 averages[i].decay);
        BF_TRY(replay(user, v, decay, averages[i].prefix, first, err));
        first = false;
    }
    BF_CHECK(!first, BF_FILE, "%s: no averaged weights", bf_st_name(f));
out:
    return st;
}

/* ---- the official loop ------------------------------------------------------------------------------------------- */

typedef struct official {
    bf_net_config net;
    bf_flow flow;
    bf_tid data, t, noise, sample;
} official;

static bf_status build(bf_train_replay *u, official *o, bf_err *err)
{
    bf_status st = BF_OK;
    bf_graph *g = u->r.graph;
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_CTS};
    const unsigned sets = (1u << BF_SET_COUNT) - 1;

    BF_TRY(bf_replay_input(&u->r, "batch", true, &o->data, err));
    BF_TRY(bf_replay_input(&u->r, "t", true, &o->t, err));
    BF_TRY(bf_replay_input(&u->r, "noise", true, &o->noise, err));
    const bf_flow_state state = bf_flow_input(g, &o->flow, o->data, o->t, o->noise);
    const bf_tid out = bf_net_build(g, &o->net, state.input, o->t);
    const bf_flow_losses losses = bf_flow_loss(g, &o->flow, &spec, state, o->data, o->t, out, BF_NONE, true);
    o->sample = losses.sample;
    bf_graph_keep(g, o->sample);
    BF_TRY(bf_graph_backward(g, out, losses.grad, err));
    BF_TRY(bf_replay_prepare(&u->r, sets, "init.net.", "b.net.", err));
    BF_TRY(bf_train_replay_begin(u, err));
out:
    return st;
}

/* `compare`: the first gradient with the stored one. */
static bf_status one_step(bf_train_replay *u, const official *o, int step, bool compare, bf_err *err)
{
    bf_status st = BF_OK;
    float *sample = NULL;
    double sum = 0.0;
    const uint64_t batch = bf_graph_numel(u->r.graph, o->sample);

    BF_TRY(bf_replay_fill(&u->r, o->data, "batch", step, err));
    BF_TRY(bf_replay_fill(&u->r, o->t, "t", step, err));
    BF_TRY(bf_replay_fill(&u->r, o->noise, "noise", step, err));
    BF_TRY(bf_replay_run(&u->r, err));
    BF_TRY(bf_replay_read(&u->r, o->sample, &sample, err));
    for (uint64_t b = 0; b < batch; b++) sum += sample[b];
    u->loss[step] = (float)(sum / (double)batch);
    if (step == 0 && compare) BF_TRY(bf_train_replay_first_gradient(u, err));
    BF_TRY(bf_train_replay_step(u, step, err));
out:
    free(sample);
    return st;
}

/* bf_train_replay_fn */
static bf_status replay(void *user, bf_verify *v, double decay, const char *prefix, bool first, bf_err *err)
{
    bf_status st = BF_OK;
    official o = *(const official *)user;
    bf_train_replay u;

    BF_TRY(bf_train_replay_new(v, "net.", decay, &u, err));
    BF_TRY(build(&u, &o, err));
    for (int step = 0; step < u.recipe.steps; step++) BF_TRY(one_step(&u, &o, step, first, err));
    if (first) BF_TRY(bf_train_replay_compare(&u, err));
    BF_TRY(bf_train_replay_weights(&u, BF_SET_EMA, prefix, err));
out:
    bf_train_replay_free(&u);
    return st;
}

bf_status bf_verify_training(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    const char *net_class = bf_st_meta_get(f, "net_class");
    official o;
    json_t *config = NULL;

    if (net_class && strcmp(net_class, "molcraft") == 0) return bf_verify_mol_training(v, err);
    if (!net_class || !bf_official_net_known(net_class)) {
        bf_verify_skip(v, net_class ? net_class : "training", "this network is not implemented yet");
        return BF_OK;
    }
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "config"), &config, err));
    BF_TRY(bf_official_net(config, &o.net, err));
    BF_TRY(bf_official_flow(config, &o.flow, err));
    BF_TRY(bf_train_replay_averages(v, replay, &o, err));
out:
    json_decref(config);
    return st;
}
