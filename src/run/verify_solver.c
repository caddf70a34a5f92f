/* Replays of the kinds "solver continuous" and "solver categorical": golden README, section 13. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "flow/sampler.h"
#include "run/official.h"
#include "run/verify_flow.h"
#include "run/verify_tanh.h"

#define NAME_SIZE 192
#define MAX_STEPS 100000

/* One run of a file. */
typedef struct solver_run {
    bf_verify *v;
    const char *name;
    bf_flow flow;
    bf_sampler_mode mode;
    bf_sampler_last last;
    bool draws, optimal;
    bool replace; /* the last step returns the prediction, and one more call receives that */
    int steps, calls;
    uint64_t batch, dims, wide; /* wide: numbers of a state */
    uint64_t drawn;             /* calls that draw */
    double *times;
    float *mean, *start, *noise, *u;
    bf_sampler_data data;
    float *t, *out, *pred, *state, *final; /* of every call, of every step, [steps + 1] */
} solver_run;

static bool is_class(const solver_run *r)
{
    return r->flow.kind == BF_FLOW_CATEGORICAL;
}

static const char *name_of(const solver_run *r, const char *part, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%.128s.%s", r->name, part);
    return out;
}

static bool stored(const solver_run *r, const char *part)
{
    char name[NAME_SIZE];
    return bf_st_find(bf_verify_file(r->v), name_of(r, part, name)) != NULL;
}

/* ---- what a run is ----------------------------------------------------------------------------------------------- */

static bf_status mode_of(const char *algorithm, bf_sampler_mode *out, bf_err *err)
{
    static const struct {
        const char *name;
        bf_sampler_mode mode;
    } known[] = {{"sde_euler", BF_SAMPLER_SDE_EULER},
                 {"ode_euler", BF_SAMPLER_ODE_EULER},
                 {"sde_bfnsolver1", BF_SAMPLER_SDE1},
                 {"ode_bfnsolver1", BF_SAMPLER_ODE1},
                 {"sde_bfnsolver2_multi_step", BF_SAMPLER_SDE2},
                 {"ode_bfnsolver2_multi_step", BF_SAMPLER_ODE2},
                 {"ode_bfnsolver2_single_step", BF_SAMPLER_ODE2_SINGLE}};
    for (size_t i = 0; i < BF_COUNT(known); i++) {
        if (algorithm == NULL || strcmp(algorithm, known[i].name) != 0) continue;
        *out = known[i].mode;
        return BF_OK;
    }
    return bf_fail(err, BF_FILE, "the algorithm \"%.40s\" is not known", algorithm ? algorithm : "");
}

static bf_status describe(solver_run *r, const json_t *o, bf_err *err)
{
    bf_status st = BF_OK;
    const json_int_t n = json_integer_value(json_object_get(o, "n_steps"));
    const double eta = json_number_value(json_object_get(o, "eta"));
    const char *start = json_string_value(json_object_get(o, "initial_dist"));
    const bool drop = json_is_true(json_object_get(o, "last_drop"));
    const bool more = json_is_true(json_object_get(o, "addi_step"));
    const char *algorithm = json_string_value(json_object_get(o, "algorithm"));
    BF_TRY(mode_of(algorithm ? algorithm : "sde_euler", &r->mode, err)); /* of formula_sde_euler */
    BF_CHECK(n >= 1 && n <= MAX_STEPS && eta > 0.0 && eta < 1.0, BF_FILE, "%s: %lld steps from %g", r->name,
             (long long)n, eta);
    r->steps = (int)n;
    r->draws = json_is_true(json_object_get(o, "cate_samp"));
    r->optimal = start && strncmp(start, "optimal", 7) == 0;
    /* the multi-step methods ignore last_drop in their first step */
    const bool first = n == 1 && (r->mode == BF_SAMPLER_ODE2 || r->mode == BF_SAMPLER_SDE2);
    r->last = more ? BF_LAST_CALL : drop && !first ? BF_LAST_PREDICTION : BF_LAST_STATE;
    r->replace = more && drop && !first;
    r->calls = bf_sampler_evaluations(r->mode, r->last, r->steps);
    BF_NEW(r->times, r->steps + 1);
    bf_sampler_grid(eta, r->steps, r->times);
out:
    return st;
}

/* Random numbers for `calls` calls, of which the file may lack those that no result depends on. */
static bf_status read_noise(const solver_run *r, const char *part, uint64_t per_call, float **out, uint64_t *calls,
                            bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    float *from = NULL;
    uint64_t n;
    const uint64_t all = per_call * (uint64_t)r->calls;
    if (!stored(r, part)) return BF_OK;
    BF_TRY(bf_verify_read(r->v, name_of(r, part, name), &from, &n, err));
    BF_CHECK(n % per_call == 0 && n + 2 * per_call >= all, BF_FILE, "%s: wrong number of draws", name);
    *calls = n / per_call;
    BF_NEW(*out, all);
    memcpy(*out, from, (size_t)BF_MIN(n, all) * sizeof *from);
out:
    free(from);
    return st;
}

/* Mean and variance of the data, from which an "optimal" run starts. */
static bf_status read_statistics(solver_run *r, bf_err *err)
{
    bf_status st = BF_OK;
    float *sd = NULL;
    uint64_t n, m;
    double sum = 0.0;
    if (!r->optimal) return BF_OK;
    BF_TRY(bf_verify_read(r->v, "stat.mean", &r->mean, &n, err));
    BF_TRY(bf_verify_read(r->v, "stat.std", &sd, &m, err));
    BF_CHECK(n == m && n * r->batch == r->wide, BF_FILE, "stat.mean, stat.std: wrong number of elements");
    for (uint64_t i = 0; i < n; i++) sum += (double)sd[i] * (double)sd[i];
    r->data = (bf_sampler_data){.mean = r->mean, .spread = sum / (double)r->dims};
out:
    free(sd);
    return st;
}

static bf_status open_run(solver_run *r, const json_t *o, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    const bf_st_tensor *t;
    const uint64_t width = is_class(r) ? (uint64_t)r->flow.classes : 1;
    uint64_t rows;
    BF_TRY(describe(r, o, err));
    BF_TRY(bf_st_need(bf_verify_file(r->v), name_of(r, "init_noise", name), &t, err));
    BF_CHECK(t->ndim >= 2 && t->count > 0 && t->count % (t->dims[0] * width) == 0, BF_FILE, "%s: unexpected shape",
             name);
    r->batch = t->dims[0];
    r->wide = t->count;
    r->dims = t->count / (r->batch * width);
    BF_CHECK(r->wide < INT32_MAX / (uint64_t)(r->calls + 1), BF_FILE, "%s: too large", name);
    BF_TRY(bf_verify_read(r->v, name, &r->start, NULL, err));
    BF_TRY(read_noise(r, "noise", r->wide, &r->noise, &rows, err));
    BF_TRY(read_noise(r, "u", r->batch * r->dims, &r->u, &r->drawn, err));
    BF_CHECK(!r->draws || r->u, BF_FILE, "%s: no uniforms to draw with", r->name);
    BF_TRY(read_statistics(r, err));
    BF_NEW(r->t, r->calls);
    BF_NEW(r->out, r->calls * r->wide);
    BF_NEW(r->pred, r->steps * r->wide);
    BF_NEW(r->state, (r->steps + 1) * r->wide);
    BF_NEW(r->final, r->batch * r->dims);
out:
    return st;
}

static void close_run(solver_run *r)
{
    float *const all[] = {r->mean, r->start, r->noise, r->u, r->t, r->out, r->pred, r->state, r->final};
    for (size_t i = 0; i < BF_COUNT(all); i++) free(all[i]);
    free(r->times);
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* The first state of classes, from the probabilities that the network received and the mean that belongs to them. */
static bf_status first_latent(solver_run *r, bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    const int classes = r->flow.classes, width = bf_flow_inputs(&r->flow);
    float *theta = NULL, *want = NULL;
    uint64_t n;
    BF_TRY(bf_verify_read(r->v, name_of(r, stored(r, "state") ? "state" : "state_f64", name), &want, &n, err));
    BF_CHECK(n == (uint64_t)(r->steps + 1) * r->wide, BF_FILE, "%s: wrong number of elements", name);
    BF_NEW(theta, bf_sampler_size(s, 0, BF_SAMPLER_INPUT));
    BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_INPUT, theta, err));
    for (uint64_t i = 0; i < r->batch * r->dims; i++) {
        double mine[2] = {0.5 * (1.0 + (double)theta[i]), 0.5 * (1.0 - (double)theta[i])}, mean = 0.0, offset = 0.0;
        for (int k = 0; k < classes; k++) {
            const double p = width > 1 ? (double)theta[i * (uint64_t)classes + (uint64_t)k] : mine[k];
            mean += log(p) / classes;
            offset += (double)want[i * (uint64_t)classes + (uint64_t)k] / classes;
        }
        for (int k = 0; k < classes; k++) {
            const double p = width > 1 ? (double)theta[i * (uint64_t)classes + (uint64_t)k] : mine[k];
            r->state[i * (uint64_t)classes + (uint64_t)k] = (float)(log(p) - mean + offset);
        }
    }
out:
    free(theta);
    free(want);
    return st;
}

/* The class that u draws, as 1 among zeros. */
static void draw(const float *u, uint64_t n, int classes, float *p)
{
    for (uint64_t i = 0; i < n; i++, p += classes) {
        double sum = 0.0;
        int k = 0;
        for (int j = 0; j + 1 < classes; j++) {
            sum += (double)p[j];
            k += sum <= (double)u[i];
        }
        for (int j = 0; j < classes; j++) p[j] = j == k ? 1.0f : 0.0f;
    }
}

/* Logits of two classes are kept as the one of class one: here they get back the zero beside it. */
static void widen(const solver_run *r, float *out)
{
    if (!is_class(r) || r->flow.classes != 2) return;
    for (uint64_t i = r->batch * r->dims; i-- > 0;) {
        out[2 * i + 1] = out[i];
        out[2 * i] = 0.0f;
    }
}

/* bf_sampler_step_fn */
static bf_status on_call(void *user, bf_sampler *s, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    solver_run *r = user;
    const int per_step = bf_sampler_calls_per_step(r->mode), step = (i - 1) / per_step;
    float *out = r->out + (uint64_t)(i - 1) * r->wide;
    r->t[i - 1] = (float)t;
    BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_NET_OUT, out, err));
    widen(r, out);
    if (i == 1) {
        if (is_class(r))
            BF_TRY(first_latent(r, s, err));
        else
            BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_INPUT, r->state, err));
    }
    float *pred = r->pred + (uint64_t)BF_MIN(step, r->steps - 1) * r->wide; /* one call more replaces the last */
    BF_TRY(bf_sampler_get(s, 0, is_class(r) ? BF_SAMPLER_PARAMS : BF_SAMPLER_MODE, pred, err));
    if (r->draws && (uint64_t)i <= r->drawn)
        draw(r->u + (uint64_t)(i - 1) * r->batch * r->dims, r->batch * r->dims, r->flow.classes, pred);
    if (step < r->steps) {
        float *next = r->state + (uint64_t)(step + 1) * r->wide;
        if (i < r->calls || r->last == BF_LAST_STATE) BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_LATENT, next, err));
    }
    if (r->replace && i == r->calls - 1) BF_TRY(bf_sampler_put(s, 0, out, err));
    if (i == r->calls && r->last != BF_LAST_STATE) { /* what it says stands for the last state */
        float *last = r->state + (uint64_t)r->steps * r->wide;
        if (is_class(r))
            memcpy(last, out, (size_t)r->wide * sizeof *out);
        else
            BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_MODE, last, err));
    }
out:
    return st;
}

static bf_status run(solver_run *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tanh_net net = {0};
    bf_params *params = NULL;
    bf_sampler *sampler = NULL;
    bf_group group = bf_group_alone(&r->flow, r->dims);
    const bf_hybrid hybrid = {1, &group};
    const bf_sampler_options o = {.ctx = bf_verify_ctx(r->v),
                                  .weights = BF_SET_VALUE,
                                  .hybrid = &hybrid,
                                  .ndim = 2,
                                  .dims = {r->batch, r->dims},
                                  .net = bf_tanh_build,
                                  .user = &net,
                                  .mode = r->mode,
                                  .choose = r->draws ? BF_CHOOSE_DRAW : BF_CHOOSE_BY_MODE};
    const bf_sampler_draws draws = {.noise_data = r->u, .noise_y = r->noise, .noise_start = r->start};
    const bf_sampler_run_options how = {.steps = r->steps,
                                        .times = r->times,
                                        .last = r->last,
                                        .draws = &draws,
                                        .data = r->optimal ? &r->data : NULL,
                                        .on_step = on_call,
                                        .user = r};
    bf_sampler_options with = o;
    BF_TRY(bf_tanh_open(r->v, &r->flow, r->dims, 1.0, 0.0, &net, err));
    BF_TRY(bf_params_new(o.ctx, &params, err));
    with.params = params;
    BF_TRY(bf_sampler_new(&with, &sampler, NULL, err));
    BF_TRY(bf_tanh_fill(&net, params, err));
    BF_TRY(bf_sampler_run(sampler, &how, r->final, err));
out:
    bf_sampler_free(sampler);
    bf_params_free(params);
    bf_tanh_close(&net);
    return st;
}

/* ---- comparison -------------------------------------------------------------------------------------------------- */

static void check(const solver_run *r, const char *part, const float *mine, uint64_t n)
{
    char name[NAME_SIZE];
    if (stored(r, part)) bf_verify_tensor(r->v, name_of(r, part, name), mine, n, BF_VERIFY_FORWARD);
}

/* Logits of two classes: only their difference is there to be compared. */
static bf_status check_differences(const solver_run *r, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    float *want = NULL, *mine = NULL;
    double *room = NULL;
    uint64_t n;
    const uint64_t pairs = (uint64_t)r->calls * r->wide / 2;
    if (!stored(r, "net_out")) return BF_OK;
    BF_TRY(bf_verify_read(r->v, name_of(r, "net_out", name), &want, &n, err));
    BF_CHECK(n == 2 * pairs, BF_FILE, "%s: wrong number of elements", name);
    BF_NEW(mine, pairs);
    BF_NEW(room, n);
    bf_verify_tolerances(r->v, name, want, n, BF_VERIFY_FORWARD, room);
    for (uint64_t i = 0; i < pairs; i++) {
        mine[i] = r->out[2 * i + 1];
        want[i] = want[2 * i + 1] - want[2 * i];
        room[i] = room[2 * i] + room[2 * i + 1];
    }
    bf_verify_array(r->v, name, mine, want, room, pairs);
out:
    free(want);
    free(mine);
    free(room);
    return st;
}

static bf_status check_run(const solver_run *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bool two = is_class(r) && r->flow.classes == 2;
    const uint64_t steps = (uint64_t)r->steps;
    float *k = NULL;
    check(r, "t", r->t, (uint64_t)r->calls);
    if (two)
        BF_TRY(check_differences(r, err));
    else
        check(r, "net_out", r->out, (uint64_t)r->calls * r->wide);
    check(r, is_class(r) ? "pred" : "x_hat", r->pred, steps * r->wide);
    /* of two classes the last state may be a pair of logits, of which only the difference is known */
    if (!two || r->last == BF_LAST_STATE) {
        check(r, "state", r->state, (steps + 1) * r->wide);
        check(r, "state_f64", r->state, (steps + 1) * r->wide);
    }
    check(r, "final", r->final, r->batch * r->dims);
    if (r->draws && stored(r, "k")) {
        const uint64_t n = steps * r->batch * r->dims, classes = (uint64_t)r->flow.classes;
        BF_NEW(k, n);
        for (uint64_t i = 0; i < n * classes; i++)
            if (r->pred[i] > 0.5f) k[i / classes] = (float)(i % classes);
        check(r, "k", k, n);
    }
out:
    free(k);
    return st;
}

static bf_status replay_run(bf_verify *v, const bf_flow *f, const char *name, const json_t *o, bf_err *err)
{
    bf_status st = BF_OK;
    solver_run r = {.v = v, .name = name, .flow = *f};
    BF_TRY(open_run(&r, o, err));
    BF_TRY(run(&r, err));
    BF_TRY(check_run(&r, err));
out:
    close_run(&r);
    return st;
}

/* ---- schedules --------------------------------------------------------------------------------------------------- */

/* A number of the schedule at time t; f and g of the equations are read off an Euler step. */
static double scheduled(const bf_flow *f, const char *what, double t)
{
    const double dt = 1e-3;
    const bf_sampler_begin at = bf_sampler_begin_at(f, t, -1.0);
    const bf_sampler_span span = {.t = t, .to = t + dt, .before = -1.0};
    const bf_sampler_numbers noisy = bf_sampler_step(f, BF_SAMPLER_SDE_EULER, &span);
    const bf_sampler_numbers still = bf_sampler_step(f, BF_SAMPLER_ODE_EULER, &span);
    const double g2 = noisy.noise * noisy.noise / dt;
    if (strcmp(what, "t") == 0) return t;
    if (strcmp(what, "a") == 0) return at.value;
    if (strcmp(what, "s") == 0) return at.held;
    if (strcmp(what, "lambda") == 0) return log(at.value / at.held);
    if (strcmp(what, "beta") == 0) return bf_flow_beta(f, t);
    if (strcmp(what, "g") == 0) return sqrt(g2);
    if (f->kind == BF_FLOW_CATEGORICAL) return (1.0 - still.keep) / dt - g2 / (2.0 * f->classes * bf_flow_beta(f, t));
    return (1.0 - still.keep) / dt - 0.5 * g2 / (at.held * at.held);
}

/* Every tensor schedule.n<n>_eta<eta>.<what>_f64. */
static bf_status check_schedules(bf_verify *v, const bf_flow *f, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *file = bf_verify_file(v);
    double *t = NULL;
    float *mine = NULL;
    for (size_t i = 0; i < bf_st_count(file); i++) {
        const bf_st_tensor *tensor = bf_st_at(file, i);
        char what[16];
        double eta;
        int n, used = 0;
        if (sscanf(tensor->name, "schedule.n%d_eta%lf.%15[a-z]_f64%n", &n, &eta, what, &used) < 3 || used == 0)
            continue;
        BF_CHECK(n >= 1 && n <= MAX_STEPS && tensor->count == (uint64_t)n + 1 && eta > 0.0 && eta < 1.0, BF_FILE,
                 "%s: unexpected shape", tensor->name);
        free(t);
        free(mine);
        mine = NULL;
        BF_NEW(t, n + 1);
        BF_NEW(mine, n + 1);
        bf_sampler_grid(eta, n, t);
        for (int k = 0; k <= n; k++) mine[k] = (float)scheduled(f, what, t[k]);
        bf_verify_tensor(v, tensor->name, mine, (uint64_t)n + 1, BF_VERIFY_FORWARD);
    }
out:
    free(t);
    free(mine);
    return st;
}

bf_status bf_verify_solver(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *file = bf_verify_file(v);
    const bool classes = strcmp(bf_verify_kind(v), "solver categorical") == 0;
    const char *name, *formula = bf_st_meta_get(file, "formula_sde_euler");
    bf_flow f = bf_flow_defaults(classes ? BF_FLOW_CATEGORICAL : BF_FLOW_CONTINUOUS);
    json_t *runs = NULL, *more = NULL, *o;
    f.classes = (int)bf_golden_meta(v, "n_classes", 0);
    f.max_sqrt_beta = bf_golden_meta(v, "max_sqrt_beta", 0);
    if (!classes) f.min_variance = bf_golden_meta(v, "min_variance", 0);
    BF_TRY(bf_flow_check(&f, err));
    BF_TRY(check_schedules(v, &f, err));
    BF_TRY(bf_official_parse(bf_st_name(file), bf_st_meta_get(file, "runs"), &runs, err));
    json_object_foreach(runs, name, o) BF_TRY(replay_run(v, &f, name, o, err));
    if (!formula) goto out;
    BF_TRY(bf_official_parse(bf_st_name(file), formula, &more, err));
    BF_TRY(replay_run(v, &f, "formula_sde_euler", more, err));
out:
    json_decref(runs);
    json_decref(more);
    return st;
}
