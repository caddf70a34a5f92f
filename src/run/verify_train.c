/* Replays of kind training: the official loop (flow, loss, clipping, AdamW, averages) on stored draws. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/official.h"
#include "run/replay.h"

#define NAME_SIZE 512

typedef struct recipe {
    bf_adamw adamw;
    double lr, clip;
    int steps;
} recipe;

typedef struct run {
    bf_replay r;
    recipe recipe;
    double ema_decay;
    bf_tid data, t, noise, sample;
    bf_cmds *update; /* norm, clipping, optimiser */
    bf_buf *stats, *workspace;
    float *loss, *norm, *clip; /* per step */
} run;

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

static bf_status read_optimiser(const bf_st *f, recipe *r, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *optimiser = NULL, *groups = NULL;
    double decay;

    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "optimizer"), &optimiser, err));
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "param_groups"), &groups, err));
    BF_TRY(read_decay(f, groups, &decay, err));
    const json_t *betas = json_object_get(optimiser, "betas"), *group = json_array_get(groups, 0);
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

static bf_status read_recipe(const bf_st *f, recipe *r, bf_err *err)
{
    bf_status st = BF_OK;

    BF_TRY(read_optimiser(f, r, err));
    r->clip = meta_number(f, "grad_clip_norm");
    const double steps = meta_number(f, "n_steps");
    BF_CHECK(steps >= 1 && steps <= 1000, BF_FILE, "%s: the number of steps is missing", bf_st_name(f));
    r->steps = (int)steps;
out:
    return st;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static bf_status build(run *u, const bf_net_config *net, const bf_flow *flow, bf_err *err)
{
    bf_status st = BF_OK;
    bf_graph *g = u->r.graph;
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_CTS};
    const unsigned sets = (1u << BF_SET_COUNT) - 1;

    BF_TRY(bf_replay_input(&u->r, "batch", true, &u->data, err));
    BF_TRY(bf_replay_input(&u->r, "t", true, &u->t, err));
    BF_TRY(bf_replay_input(&u->r, "noise", true, &u->noise, err));
    const bf_flow_state state = bf_flow_input(g, flow, u->data, u->t, u->noise);
    const bf_tid out = bf_net_build(g, net, state.input, u->t);
    const bf_flow_losses losses = bf_flow_loss(g, flow, &spec, state, u->data, u->t, out, BF_NONE, true);
    u->sample = losses.sample;
    bf_graph_keep(g, u->sample);
    BF_TRY(bf_graph_backward(g, out, losses.grad, err));
    BF_TRY(bf_replay_prepare(&u->r, sets, "init.net.", "b.net.", err));
    BF_TRY(bf_params_copy(u->r.params, BF_SET_EMA, BF_SET_VALUE, err));
out:
    return st;
}

static bf_status prepare_update(run *u, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(u->r.v);
    const bf_param_range *range;
    const int n = bf_params_ranges(u->r.params, &range);
    uint64_t bytes = 0;

    for (int i = 0; i < n; i++) bytes = BF_MAX(bytes, bf_grad_norm_workspace(ctx, range[i].count));
    BF_TRY(bf_buf_new(ctx, BF_STATS * sizeof(float), "statistics", &u->stats, err));
    if (bytes > 0) BF_TRY(bf_buf_new(ctx, bytes, "workspace", &u->workspace, err));
    BF_TRY(bf_cmds_new(ctx, &u->update, err));
    const bf_mem stats = {u->stats, 0}, ws = {u->workspace, 0};
    for (int i = 0; i < n; i++)
        BF_TRY(bf_grad_sumsq(u->update, stats, i > 0, range[i].mem[BF_SET_GRAD], range[i].count, ws, err));
    BF_TRY(bf_clip_factor(u->update, stats, (float)u->recipe.clip, err));
    for (int i = 0; i < n; i++) {
        const bf_mem *m = range[i].mem;
        bf_adamw adamw = u->recipe.adamw;
        if (!range[i].decay) adamw.weight_decay = 0.0f;
        BF_TRY(bf_adamw_step(u->update, &adamw, m[BF_SET_VALUE], m[BF_SET_GRAD], m[BF_SET_M], m[BF_SET_V],
                             m[BF_SET_EMA], stats, bf_graph_step(u->r.graph), range[i].count, err));
    }
out:
    return st;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void put_float(uint32_t *word, double value)
{
    const float f = (float)value;

    memcpy(word, &f, sizeof f);
}

/* `compare`: the first gradient with the stored one. */
static bf_status one_step(run *u, int step, bool compare, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(u->r.v);
    uint32_t words[BF_STEP_WORDS] = {0};
    float *sample = NULL, stats[BF_STATS];
    double sum = 0.0;
    const uint64_t batch = bf_graph_numel(u->r.graph, u->sample);

    words[BF_STEP_STEP] = (uint32_t)step;
    put_float(&words[BF_STEP_LR], u->recipe.lr);
    put_float(&words[BF_STEP_BIAS1], 1.0 - pow((double)u->recipe.adamw.beta1, step + 1));
    put_float(&words[BF_STEP_BIAS2], 1.0 - pow((double)u->recipe.adamw.beta2, step + 1));
    put_float(&words[BF_STEP_EMA], 1.0 - u->ema_decay);
    BF_TRY(bf_graph_set_step(u->r.graph, words, err));
    BF_TRY(bf_replay_fill(&u->r, u->data, "batch", step, err));
    BF_TRY(bf_replay_fill(&u->r, u->t, "t", step, err));
    BF_TRY(bf_replay_fill(&u->r, u->noise, "noise", step, err));
    BF_TRY(bf_replay_run(&u->r, err));
    BF_TRY(bf_replay_read(&u->r, u->sample, &sample, err));
    for (uint64_t b = 0; b < batch; b++) sum += sample[b];
    u->loss[step] = (float)(sum / (double)batch);
    if (step == 0 && compare) BF_TRY(bf_replay_params(&u->r, BF_SET_GRAD, "grad1.net.", BF_VERIFY_GRADIENT, err));
    BF_TRY(bf_cmds_run(u->update, err));
    BF_TRY(bf_read(ctx, stats, (bf_mem){u->stats, 0}, sizeof stats, err));
    u->norm[step] = stats[BF_STAT_NORM];
    u->clip[step] = stats[BF_STAT_CLIP];
out:
    free(sample);
    return st;
}

/* Adam turns gradients at the level of rounding into full-size steps: where the file does not trust the result, only
 * that it moved by no more than the steps can is checked. */
static bf_status compare_weights(run *u, bf_param_set set, const char *prefix, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL, *stored = NULL, *trust = NULL;
    double *tolerance = NULL;

    for (int i = 0; i < bf_params_count(u->r.params); i++) {
        const bf_param_spec *s = bf_params_spec(u->r.params, i);
        char name[NAME_SIZE], trust_name[NAME_SIZE];
        const uint64_t want = bf_param_numel(s);
        uint64_t n, n_trust;
        if (s->buffer) continue;
        snprintf(name, sizeof name, "%s%s", prefix, s->name);
        snprintf(trust_name, sizeof trust_name, "trust.net.%s", s->name);
        BF_TRY(bf_verify_read(u->r.v, name, &stored, &n, err));
        BF_TRY(bf_verify_read(u->r.v, trust_name, &trust, &n_trust, err));
        BF_CHECK(n == want && n_trust == want, BF_FILE, "%s: tensor '%s' has the wrong size",
                 bf_st_name(bf_verify_file(u->r.v)), name);
        BF_NEW(mine, n);
        BF_NEW(tolerance, n);
        BF_TRY(bf_params_get(u->r.params, set, i, mine, err));
        for (uint64_t e = 0; e < n; e++)
            tolerance[e] = u->recipe.lr * (trust[e] != 0.0f ? 0.05 : 2.5 * u->recipe.steps);
        bf_verify_array(u->r.v, name, mine, stored, tolerance, n);
        free(mine), free(stored), free(trust), free(tolerance);
        mine = stored = trust = NULL;
        tolerance = NULL;
    }
out:
    free(mine);
    free(stored);
    free(trust);
    free(tolerance);
    return st;
}

static bf_status compare_losses(run *u, bf_err *err)
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
out:
    free(stored);
    free(tolerance);
    return st;
}

/* Every parameter of a stored group decays as the group does. */
static bf_status check_groups(const run *u, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(u->r.v);
    json_t *groups = NULL;

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

static bf_status compare_all(run *u, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(u->r.v);

    BF_TRY(check_groups(u, err));
    BF_TRY(compare_losses(u, err));
    BF_TRY(compare_weights(u, BF_SET_VALUE, "final.net.", err));
    if (has_prefix(f, "exp_avg.")) BF_TRY(bf_replay_params(&u->r, BF_SET_M, "exp_avg.net.", BF_VERIFY_GRADIENT, err));
    if (has_prefix(f, "exp_avg_sq."))
        BF_TRY(bf_replay_params(&u->r, BF_SET_V, "exp_avg_sq.net.", BF_VERIFY_GRADIENT, err));
out:
    return st;
}

/* One run with one average; `everything`: not only the average is compared. */
static bf_status replay(bf_verify *v, const bf_net_config *net, const bf_flow *flow, double decay, const char *prefix,
                        bool everything, bf_err *err)
{
    bf_status st = BF_OK;
    run u = {.r = {.v = v}, .ema_decay = decay};

    BF_TRY(bf_replay_new(&u.r, v, err));
    BF_TRY(read_recipe(bf_verify_file(v), &u.recipe, err));
    BF_NEW(u.loss, u.recipe.steps);
    BF_NEW(u.norm, u.recipe.steps);
    BF_NEW(u.clip, u.recipe.steps);
    BF_TRY(build(&u, net, flow, err));
    BF_TRY(prepare_update(&u, err));
    for (int step = 0; step < u.recipe.steps; step++) BF_TRY(one_step(&u, step, everything, err));
    if (everything) BF_TRY(compare_all(&u, err));
    BF_TRY(compare_weights(&u, BF_SET_EMA, prefix, err));
out:
    free(u.loss);
    free(u.norm);
    free(u.clip);
    bf_cmds_free(u.update);
    bf_buf_free(u.stats);
    bf_buf_free(u.workspace);
    bf_replay_free(&u.r);
    return st;
}

bf_status bf_verify_training(bf_verify *v, bf_err *err)
{
    static const struct {
        const char *decay, *prefix;
    } averages[] = {{"ema09_decay", "ema09.net."}, {"ema_decay", "ema.net."}};
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    const char *net_class = bf_st_meta_get(f, "net_class");
    bool first = true;
    bf_net_config net;
    bf_flow flow;
    json_t *config = NULL;

    if (!net_class || !bf_official_net_known(net_class)) {
        bf_verify_skip(v, net_class ? net_class : "training", "this network is not implemented yet");
        return BF_OK;
    }
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "config"), &config, err));
    BF_TRY(bf_official_net(config, &net, err));
    BF_TRY(bf_official_flow(config, &flow, err));
    for (size_t i = 0; i < BF_COUNT(averages); i++) {
        const double decay = meta_number(f, averages[i].decay);
        if (!has_prefix(f, averages[i].prefix)) continue;
        BF_CHECK(decay > 0.0 && decay < 1.0, BF_FILE, "%s: the averaging decay %s is missing", bf_st_name(f),
                 averages[i].decay);
        BF_TRY(replay(v, &net, &flow, decay, averages[i].prefix, first, err));
        first = false;
    }
    BF_CHECK(!first, BF_FILE, "%s: no averaged weights", bf_st_name(f));
out:
    json_decref(config);
    return st;
}
