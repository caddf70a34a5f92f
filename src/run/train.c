/* bfncl_train: the loop around the prepared step. run/train.h */
#include "run/train.h"
#include "run/pairs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/size.h"
#include "base/stats.h"
#include "io/loader.h"
#include "run/folder.h"
#include "run/progress.h"

#define TIMES 1024 /* step times kept for the median */

typedef struct trainer {
    const bfncl_train_options *o;
    bf_config config;
    bf_run_folder folder;
    bf_dataset *ds;
    bf_model *m;
    bf_stepper *stepper;
    bf_scorer *scorer; /* averaged weights on the validation examples; NULL without any */
    bf_loader *loader;
    bf_trainlog *log;
    bf_report report;
    uint64_t steps, first_step;
    uint64_t under_way;     /* steps that were submitted and whose results are not in yet: 0..2 */
    uint64_t behind[2];     /* of step number i under way in behind[i % 2]: where it ends in the training stream */
    double before, ms_last; /* when the last result came in, and how long it took */
    double *sums, *groups;  /* [examples], [groups, examples] of a validation */
    uint64_t examples;
    bool saved; /* the present state is in last.safetensors */
    bool stopping;
    bool rolled_back; /* once per run */
    int64_t bad;      /* steps in a row without a finite loss */
    double loss, loss_sum, ms[TIMES];
    uint64_t loss_count, timed;
} trainer;

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* An override that shortens the run leaves the learning rate schedule as it was, so that a run in two parts equals one
 * in one part; one that lengthens a run that was shortened lengthens the schedule too. `steps` is from the file. A
 * schedule that is given as an override stays. */
static void resolve_schedule(bf_config *c, int64_t steps)
{
    int64_t *schedule = &c->train.schedule_steps;
    if (bf_config_origin(c, "train.schedule_steps") == BF_ORIGIN_OPTION) return;
    if (*schedule == 0 && c->train.steps < steps)
        *schedule = steps;
    else if (*schedule >= steps && *schedule < c->train.steps)
        *schedule = 0;
}

/* The file (or the one of the run folder), then the overrides. */
static bf_status resolve_config(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config *c = &t->config;
    const char *file = t->o->config;
    if (!file) {
        BF_CHECK(t->o->resume && t->o->out, BF_USAGE, "no configuration given");
        BF_TRY(bf_run_folder_init(&t->folder, t->o->out, err));
        file = t->folder.config;
    }
    BF_TRY(bf_config_load(file, c, err));
    const int64_t steps = c->train.steps;
    BF_TRY(bf_setup_overrides(c, t->o->set, t->o->n_set, err));
    resolve_schedule(c, steps);
    BF_CHECK(c->data.train[0], BF_USAGE, "%s: data.train is not set", file);
    t->steps = (uint64_t)c->train.steps;
out:
    return st;
}

/* "runs/NAME" after the configuration file, unless given. */
static bf_status resolve_folder(trainer *t, bf_err *err)
{
    char root[1024];
    const char *name = t->o->config ? strrchr(t->o->config, '/') : NULL;
    if (t->o->out) return bf_run_folder_init(&t->folder, t->o->out, err);
    name = name ? name + 1 : t->o->config;
    snprintf(root, sizeof root, "runs/%.*s", (int)strcspn(name, "."), name);
    return bf_run_folder_init(&t->folder, root, err);
}

/* ---- set-up ------------------------------------------------------------------------------------------------------ */

static bf_status open_data(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_dataset_options o = bf_setup_data(&t->config);
    const double start = bf_seconds();
    BF_TRY(bf_pairs_or_dataset(t->config.data.train, &t->config, &o, &t->ds, err));
    const double opened = bf_seconds();
    const bf_dataset_info info = bf_dataset_get_info(t->ds);
    if (t->config.data.transform == BF_TRANSFORM_TEXT)
        snprintf(t->config.data.vocabulary, sizeof t->config.data.vocabulary, "%s", bf_dataset_vocabulary(t->ds));
    snprintf(t->config.data.label_names, sizeof t->config.data.label_names, "%s", bf_dataset_label_names(t->ds));
    if (info.packed) bf_kinds_text(&bf_dataset_molecules(t->ds)->kinds, t->config.mol.elements);
    BF_CHECK(info.train > 0, BF_USAGE, "%s: nothing is left to train on", t->config.data.train);
    t->examples = BF_MIN((uint64_t)t->config.eval.examples, info.validation);
    BF_CHECK(t->config.train.schedule != BF_SCHEDULE_PLATEAU || t->examples > 0, BF_USAGE,
             "train.schedule plateau goes by the validation loss, but data.validation leaves no examples for it");
    const uint32_t shape[3] = {info.height, info.width, info.channels};
    BF_TRY(bf_model_new(&t->config, shape, bf_dataset_schema(t->ds), &t->o->device, &t->m, err));
    bf_profiler_span(t->m->profiler, "open the data", start, opened);
    t->m->state.data_crc = info.crc;
    if (info.packed) BF_TRY(bf_sizes_of(t->ds, &t->m->sizes, err));
    BF_TRY(bf_dataset_fits(t->ds, t->config.data.train, bf_setup_batch(&t->config), err));
out:
    return st;
}

/* The prepared step and the prepared validation, which uses the memory of the step; without `allocate` only their
 * plans. *plan is that of both together, as far as there is one when they do not fit. */
static bf_status prepare(trainer *t, bool allocate, bf_stepper **stepper, bf_scorer **scorer, bf_plan *plan,
                         bf_err *err)
{
    bf_status st = BF_OK;
    bf_plan check = {0};
    const bf_config *c = &t->m->config;
    const bf_flow_loss_spec spec = bf_train_loss(c);
    const uint64_t wanted = c->eval.batch ? (uint64_t)c->eval.batch : bf_setup_batch(c);
    const uint64_t batch = t->m->packed ? wanted : BF_MIN(wanted, BF_MAX(t->examples, (uint64_t)1));
    bf_params_expect_init(t->m->params, (uint64_t)c->train.seed);
    BF_TRY(bf_stepper_new(t->m, allocate, stepper, plan, err));
    if (t->examples)
        BF_TRY(bf_scorer_new(t->m, BF_SET_EMA, &spec, (uint32_t)batch, bf_stepper_graph(*stepper), !allocate, scorer,
                             &check, err));
out:
    plan->activation_bytes += check.activation_bytes;
    plan->io_bytes += check.io_bytes;
    plan->peak_bytes += check.activation_bytes + check.io_bytes;
    return st;
}

/* The peak with other settings of memory than the configured ones; BF_OK when that fits. */
static bf_status other_peak(trainer *t, bool recompute, int storage, uint64_t *bytes)
{
    bf_err ignored = {0};
    bf_plan plan = {0};
    bf_stepper *stepper = NULL;
    bf_scorer *none = NULL;
    bf_config *c = &t->m->config;
    const bf_config configured = *c;
    c->train.recompute = recompute;
    c->train.storage = storage;
    const bf_status st = prepare(t, false, &stepper, &none, &plan, &ignored);
    *c = configured;
    bf_stepper_free(stepper);
    *bytes = plan.peak_bytes;
    return st;
}

/* What to do about a run that does not fit. */
static void hint_memory(trainer *t, bf_err *err)
{
    uint64_t bytes;
    const bf_config *c = &t->m->config;
    const bool half = c->train.storage == BF_STORAGE_HALF;
    if (!c->train.recompute && other_peak(t, true, c->train.storage, &bytes) == BF_OK)
        bf_hint(err, "--recompute (train.recompute) makes it %.1f MiB in all, which fits", (double)bytes / 1048576);
    else if (!half && other_peak(t, true, BF_STORAGE_HALF, &bytes) == BF_OK)
        bf_hint(err, "--recompute with --storage half (train.storage) makes it %.1f MiB in all, which fits",
                (double)bytes / 1048576);
    else
        bf_hint(err, "raise train.accumulate, or lower train.batch, eval.batch or net.width");
}

static bf_status build(trainer *t, bfncl_train_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_plan plan = {0};
    const bf_config *c = &t->config;
    const bool allocate = !t->o->dry_run, recompute = c->train.recompute;
    if (allocate) BF_TRY(bf_gemm_selftest(t->m->ctx, err));
    st = prepare(t, allocate, &t->stepper, &t->scorer, &plan, err);
    snprintf(r->device, sizeof r->device, "%s", bf_ctx_name(t->m->ctx));
    if (st == BF_OK && plan.peak_bytes > plan.budget_bytes)
        st = bf_fail(err, BF_RUNTIME, "training and validation together need %.1f MiB, %s allows %.1f MiB",
                     (double)plan.peak_bytes / 1048576, r->device, (double)plan.budget_bytes / 1048576);
    if (st == BF_RUNTIME) hint_memory(t, err);
    BF_TRY(st);
    plan.flops *= (double)c->train.accumulate;
    r->batch = (uint64_t)c->train.batch;
    r->plan = bf_model_plan(t->m, &plan, bf_setup_batch(c));
    if (allocate) goto out;
    uint64_t *both[2] = {&r->plan.peak_keep_bytes, &r->plan.peak_recompute_bytes};
    *both[recompute] = r->plan.peak_bytes;
    (void)other_peak(t, !recompute, c->train.storage, both[!recompute]);
out:
    return st;
}

static json_t *header(const trainer *t)
{
    char hash[32], when[32], gemm[32];
    const time_t now = time(NULL);
    struct tm utc;
    bf_ctx_gemm_text(t->m->ctx, gemm);
    snprintf(hash, sizeof hash, "%016" PRIx64, bf_config_hash(&t->config));
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:s}", "version", BFNCL_VERSION, "device", bf_ctx_name(t->m->ctx),
                     "driver", bf_ctx_driver(t->m->ctx), "gemm", gemm, "config_hash", hash, "seed",
                     (json_int_t)t->config.train.seed, "params", (json_int_t)bf_params_numel(t->m->params), "time",
                     when);
}

static bf_status restart_loader(trainer *t, bf_err *err)
{
    bf_loader_stop(t->loader);
    t->loader = NULL;
    return bf_loader_start(t->ds, t->m->state.position, (uint64_t)t->config.train.accumulate,
                           bf_setup_batch(&t->config), &t->loader, err);
}

/* Everything that a step changes as it is at step 0. */
static bf_status fresh(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_run_state s = t->m->state;
    BF_TRY(bf_params_init(t->m->params, (uint64_t)t->config.train.seed, err));
    BF_TRY(bf_clip_queue_put(t->m, &bf_norms_new, err));
    t->m->state = bf_run_state_new(&t->config);
    t->m->state.data_crc = s.data_crc;
out:
    return st;
}

/* Fresh weights, or the newest checkpoint. */
static bf_status begin(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    bool found = false;
    char *text = NULL, gemm[sizeof t->m->state.gemm];
    const uint32_t crc = t->m->state.data_crc;
    BF_TRY(fresh(t, err));
    if (t->o->resume) BF_TRY(bf_run_folder_load(&t->folder, t->m, &found, err));
    if (found && t->m->state.data_crc != crc)
        bf_log(BFNCL_LOG_WARN, "%s is not the data this run was trained on so far", t->config.data.train);
    if (found && !bf_file_exists(t->folder.best)) t->m->state.best = NAN;
    if (t->o->resume && !found) bf_log(BFNCL_LOG_WARN, "%s: no valid checkpoint, starting anew", t->folder.root);
    bf_ctx_gemm_text(t->m->ctx, gemm);
    if (found && t->m->state.gemm[0] && strcmp(t->m->state.gemm, gemm) != 0)
        bf_log(
            BFNCL_LOG_WARN,
            "matrix products are done as %s, so far as %s: the run goes on, with other last bits than without a stop",
            gemm, t->m->state.gemm);
    memcpy(t->m->state.gemm, gemm, sizeof gemm);
    t->m->state.data_crc = crc;
    t->first_step = t->m->state.step;
    t->saved = found;
    if (t->o->resume)
        BF_TRY(bf_folder_make(t->folder.root, err));
    else
        BF_TRY(bf_run_folder_start(&t->folder, err));
    BF_TRY(bf_config_text(&t->config, false, &text, err));
    st = bf_file_write(t->folder.config, text, strlen(text), err);
    if (st != BF_OK && found)
        bf_log(BFNCL_LOG_WARN, "%s; the run goes on", err->message);
    else
        BF_TRY(st);
    BF_TRY(bf_trainlog_open(t->folder.log, &t->log, err));
    bf_trainlog_add(t->log, found ? "resume" : "start", t->m->state.step, header(t));
    BF_TRY(restart_loader(t, err));
out:
    free(text);
    return st;
}

/* ---- during the run ---------------------------------------------------------------------------------------------- */

/* A checkpoint that cannot be written leaves the old one in place; the run goes on and tries again later. Only `final`
 * failures count. */
static bf_status save(trainer *t, bool final, bf_err *err)
{
    bf_err failure = {0};
    if (t->saved) return BF_OK;
    bf_status st = bf_profiler_pause(t->m->profiler, err);
    if (st != BF_OK) return st;
    const double start = bf_seconds();
    st = bf_run_folder_save(&t->folder, t->m, &failure);
    bf_profiler_span(t->m->profiler, "save", start, bf_seconds());
    t->saved = st == BF_OK;
    bf_trainlog_add(t->log, "save", t->m->state.step, json_pack("{s:b}", "ok", t->saved));
    if (st != BF_OK && final) {
        *err = failure;
        return st;
    }
    if (st != BF_OK)
        bf_log(BFNCL_LOG_WARN, "saving step %" PRIu64 " failed: %s; the older checkpoint is kept, training goes on",
               t->m->state.step, failure.message);
    return BF_OK;
}

static bool due(uint64_t step, int64_t every)
{
    return every > 0 && step % (uint64_t)every == 0;
}

static bool on_validation(void *user, uint64_t done, uint64_t total)
{
    trainer *t = user;
    return bf_report_done(&t->report, done, total);
}

/* In the log, with what each group of several contributes to the loss. */
static void log_validation(trainer *t, double nats, double se, bool best)
{
    const bf_hybrid *h = &t->m->hybrid;
    const uint64_t step = t->m->state.step;
    char text[160] = "";
    json_t *parts = json_object();
    size_t used = 0;
    for (int i = 0; i < h->groups && h->groups > 1; i++) {
        double mean, unused;
        bf_mean_stderr(t->groups + (uint64_t)i * t->examples, NULL, t->examples, &mean, &unused);
        mean *= (double)h->group[i].dims / (double)bf_hybrid_dims(h);
        json_object_set_new(parts, h->group[i].name, bf_trainlog_number(mean));
        if (used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %.4f", i ? ", " : " (", h->group[i].name,
                                     mean / BF_LN2);
    }
    bf_trainlog_add(t->log, "eval", step,
                    json_pack("{s:f,s:f,s:b,s:o*}", "loss", nats, "stderr", se, "best", best, "groups",
                              h->groups > 1 ? json_incref(parts) : NULL));
    json_decref(parts);
    bf_log(BFNCL_LOG_INFO, "step %" PRIu64 ": validation %.4f +- %.4f bits/dim%s%s%s", step, nats / BF_LN2, se / BF_LN2,
           text, used > 0 ? (used < sizeof text ? ")" : "...") : "", best ? ", the best so far" : "");
}

/* Loss of the averaged weights on the first validation examples, at times and with noise that never change; the best so
 * far goes to best.safetensors. A stop request is kept for after it. */
static bf_status validate(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    bf_run_state *s = &t->m->state;
    bf_err failure = {0};
    double nats, se;
    if (!t->scorer) return BF_OK;
    const char *phase = t->report.phase;
    BF_TRY(bf_profiler_pause(t->m->profiler, err));
    const double start = bf_seconds();
    bf_report_phase(&t->report, "validating", 0);
    memset(t->sums, 0, (size_t)t->examples * sizeof *t->sums);
    memset(t->groups, 0, (size_t)(t->m->hybrid.groups * t->examples) * sizeof *t->groups);
    const bf_score_key key = {
        .seed = (uint64_t)t->config.eval.seed, .total = (uint32_t)t->examples, .low_discrepancy = true};
    st = bf_scorer_pass(t->scorer, t->ds, BF_SPLIT_VALIDATION, &key, t->sums, t->groups, on_validation, t, err);
    bf_report_phase(&t->report, phase, s->step);
    bf_profiler_span(t->m->profiler, "validate", start, bf_seconds());
    if (st == BF_STOPPED) t->stopping = true;
    if (st == BF_STOPPED) return BF_OK;
    s->validated = s->step;
    t->saved = false;
    if (st == BF_NUMERIC) { /* no reason to end the run: the watch over the training loss decides */
        bf_log(BFNCL_LOG_WARN, "validation at step %" PRIu64 ": %s", s->step, err->message);
        return BF_OK;
    }
    BF_TRY(st);
    bf_mean_stderr(t->sums, NULL, t->examples, &nats, &se);
    const bf_plateau_rule rule = bf_train_plateau(&t->config);
    /* a validation at the end of a run that is cut short would not have been */
    if (due(s->step, t->config.train.eval_every)) bf_plateau_add(&s->plateau, &rule, nats);
    const bool best = !(nats >= s->best);
    log_validation(t, nats, se, best);
    if (!best) goto out;
    const bf_run_state before = *s;
    s->best = nats;
    s->best_step = s->step;
    t->saved = false;
    if (bf_model_save(t->m, t->folder.best, false, &failure) != BF_OK) {
        bf_log(BFNCL_LOG_WARN, "saving the best model failed: %s; the older one is kept", failure.message);
        *s = before;
    }
out:
    return st;
}

/* Too many bad steps: back to the last checkpoint once, then the run ends. */
static bf_status bad_step(trainer *t, const bf_step_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bool found = false;
    const uint64_t step = t->m->state.step;
    bf_trainlog_add(
        t->log, "bad_step", step,
        json_pack("{s:o,s:o}", "loss", bf_trainlog_number(r->loss), "grad_norm", bf_trainlog_number(r->grad_norm)));
    bf_log(BFNCL_LOG_WARN, "step %" PRIu64 ": loss or gradient not finite, update left out", step);
    if (++t->bad < t->config.train.bad_steps) goto out;
    if (t->rolled_back) {
        st = bf_fail(err, BF_NUMERIC,
                     "step %" PRIu64 ": loss or gradient not finite for %" PRId64
                     " steps in a row, again after going back to the last checkpoint",
                     step, t->bad);
        bf_hint(err, "lower train.lr or train.clip, or raise train.warmup");
        goto out;
    }
    for (bf_step_result unused; t->under_way > 0; t->under_way--) BF_TRY(bf_stepper_wait(t->stepper, &unused, err));
    const bf_run_state before = t->m->state;
    BF_TRY(fresh(t, err));
    t->m->state.best = before.best;
    t->m->state.best_step = before.best_step;
    BF_TRY(bf_run_folder_load(&t->folder, t->m, &found, err));
    bf_ctx_gemm_text(t->m->ctx, t->m->state.gemm);
    bf_log(BFNCL_LOG_WARN, "%" PRId64 " bad steps in a row: back to step %" PRIu64 ", once", t->bad, t->m->state.step);
    bf_trainlog_add(t->log, "rollback", t->m->state.step, NULL);
    t->rolled_back = true;
    t->bad = 0;
    BF_TRY(restart_loader(t, err));
out:
    return st;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_ms(const trainer *t)
{
    double copy[TIMES];
    const size_t n = (size_t)BF_MIN(t->timed, (uint64_t)TIMES);
    if (n == 0) return NAN;
    memcpy(copy, t->ms, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, by_value);
    return copy[n / 2];
}

/* Log line, progress, time left. The first step of a run compiles and is not timed. */
static void after_step(trainer *t, const bf_step_result *r, double lr, double ms)
{
    const uint64_t step = t->m->state.step;
    const bool first = step == t->first_step + 1;
    bfncl_progress p = {.phase = "training",
                        .done = step,
                        .total = t->steps,
                        .eta = NAN,
                        .loss = r->loss,
                        .lr = lr,
                        .grad_norm = r->grad_norm,
                        .step_ms = first ? NAN : ms};
    if (!first) t->ms[t->timed++ % TIMES] = ms;
    t->loss = r->loss;
    t->loss_sum += r->loss;
    t->loss_count++;
    if (step % (uint64_t)t->config.train.log_every == 0 || step == t->steps) {
        bf_trainlog_add(t->log, "step", step,
                        json_pack("{s:o,s:o,s:o,s:o,s:o}", "loss",
                                  bf_trainlog_number(t->loss_sum / (double)t->loss_count), "lr", bf_trainlog_number(lr),
                                  "grad_norm", bf_trainlog_number(r->grad_norm), "clip",
                                  bf_trainlog_number(r->clip_limit), "ms", bf_trainlog_number(ms)));
        t->loss_sum = 0;
        t->loss_count = 0;
    }
    if (t->timed) {
        const double seconds = bf_seconds() - t->report.started;
        p.eta = seconds / (double)(step - t->report.first) * (double)(t->steps - step);
    }
    if (t->report.fn && !t->report.fn(t->report.user, &p)) t->stopping = true;
}

/* Hands the next step to the device. */
static bf_status submit(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    const float *blocks;
    float *x;
    const uint64_t step = t->m->state.step + t->under_way;
    BF_TRY(bf_loader_next(t->loader, &blocks, NULL, &t->behind[step % 2], err));
    BF_TRY(bf_stepper_rows(t->stepper, &x, err));
    memcpy(x, blocks,
           (size_t)(t->config.train.accumulate) * (size_t)bf_model_block(t->m, bf_setup_batch(&t->config)) * sizeof *x);
    BF_TRY(bf_stepper_submit(t->stepper, step, bf_learning_rate(&t->config, &t->m->state.plateau, step), err));
    t->under_way++;
out:
    return st;
}

/* May the step after the next one be submitted before the next one has ended? Not where the weights between the two are
 * needed, nor where steps are slow. */
static bool go_ahead(const trainer *t)
{
    const uint64_t between = t->m->state.step + 1;
    return between < t->steps && !due(between, t->config.train.eval_every) &&
           !due(between, t->config.train.save_every) && bf_ctx_ahead(t->m->ctx, 1e-3 * t->ms_last);
}

/* The result of the oldest step under way. */
static bf_status collect(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    bf_step_result r;
    bf_run_state *s = &t->m->state;
    const double lr = bf_learning_rate(&t->config, &s->plateau, s->step);
    BF_TRY(bf_stepper_wait(t->stepper, &r, err));
    t->under_way--;
    const double now = bf_seconds();
    t->ms_last = 1e3 * (now - t->before);
    bf_profiler_span(t->m->profiler, "step", t->before, now);
    BF_TRY(bf_profiler_unit(t->m->profiler, err));
    t->before = now;
    if (s->step == t->first_step) bf_report_phase(&t->report, "training", s->step + 1);
    s->position = t->behind[s->step % 2];
    s->step++;
    t->saved = false;
    if (!r.finite) return bad_step(t, &r, err);
    t->bad = 0;
    after_step(t, &r, lr, t->ms_last);
out:
    return st;
}

static bf_status one_step(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_profiler_resume(t->m->profiler, err));
    if (t->under_way == 0) {
        t->before = bf_seconds();
        BF_TRY(submit(t, err));
    }
    if (go_ahead(t)) BF_TRY(submit(t, err));
    BF_TRY(collect(t, err));
out:
    return st;
}

static bf_status loop(trainer *t, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_run_state *s = &t->m->state;
    bf_report_phase(&t->report, "compiling kernels", s->step);
    /* a run that was stopped while it validated */
    if (s->step > 0 && due(s->step, t->config.train.eval_every) && s->validated != s->step) BF_TRY(validate(t, err));
    while (s->step < t->steps && !t->stopping) {
        if (s->step == t->first_step && !bf_report_done(&t->report, 0, 0)) break;
        BF_TRY(one_step(t, err));
        if (due(s->step, t->config.train.eval_every)) BF_TRY(validate(t, err));
        if (due(s->step, t->config.train.save_every)) BF_TRY(save(t, false, err));
    }
    while (t->under_way > 0) BF_TRY(collect(t, err));
    t->stopping = t->stopping || s->step < t->steps;
    if (!t->stopping && s->validated != s->step) BF_TRY(validate(t, err));
    BF_TRY(save(t, true, err));
    bf_trainlog_add(t->log, t->stopping ? "stop" : "end", s->step, NULL);
    if (t->stopping)
        st = bf_fail(err, BF_STOPPED, "step %" PRIu64 " is saved in %s; --resume continues", s->step, t->folder.last);
out:
    return st;
}

/* The plan in full: what --dry-run is for, otherwise only of interest with -v. */
static void log_line(void *user, const char *text)
{
    const trainer *t = user;
    bf_log(t->o->dry_run ? BFNCL_LOG_INFO : BFNCL_LOG_DEBUG, "%s", text);
}

static bf_status train(trainer *t, bfncl_train_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_err ignored = {0};
    BF_TRY(resolve_config(t, err));
    BF_TRY(resolve_folder(t, err));
    snprintf(r->out, sizeof r->out, "%s", t->folder.root);
    BF_TRY(open_data(t, err));
    bf_report_phase(&t->report, "compiling kernels", 0);
    if (!t->o->dry_run) (void)bf_report_done(&t->report, 0, 0);
    const double building = bf_seconds();
    BF_TRY(build(t, r, err));
    const double built = bf_seconds();
    bf_profiler_span(t->m->profiler, "plan, build kernels", building, built);
    bf_stepper_report(t->stepper, log_line, t);
    if (t->o->dry_run) goto out;
    BF_NEW(t->sums, t->examples + 1);
    BF_NEW(t->groups, (uint64_t)t->m->hybrid.groups * t->examples + 1);
    BF_TRY(begin(t, err));
    const double start = bf_seconds();
    bf_profiler_span(t->m->profiler, "set the weights", built, start);
    st = loop(t, err);
    r->seconds = bf_seconds() - start;
    r->steps = t->m->state.step;
    r->first_step = t->first_step;
    r->loss = t->loss;
    r->best = t->m->state.best / BF_LN2;
    r->best_step = t->m->state.best_step;
    r->ms_per_step = median_ms(t);
    const bf_status profiled = bf_profiler_end(t->m->profiler, "step", st == BF_OK ? err : &ignored);
    if (st == BF_OK) st = profiled;
    if (bf_trainlog_chart(t->folder.log, t->folder.chart, &ignored) != BF_OK)
        bf_log(BFNCL_LOG_WARN, "%s", ignored.message);
out:
    return st;
}

void bfncl_train_defaults(bfncl_train_options *o)
{
    *o = (bfncl_train_options){0};
}

bfncl_status bfncl_train(const bfncl_train_options *o, bfncl_train_result *result, bfncl_error *caller_err)
{
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    bfncl_train_result unused, *r = result ? result : &unused;
    trainer *t = NULL;
    memset(err, 0, sizeof *err);
    memset(r, 0, sizeof *r);
    r->loss = r->best = r->ms_per_step = NAN;
    bf_status st = bf_calloc(&t, 1, sizeof *t, err);
    if (st != BF_OK) return st;
    t->o = o;
    t->report = (bf_report){.fn = o->progress, .user = o->user};
    t->loss = NAN;
    t->ms_last = INFINITY;
    st = train(t, r, err);
    bf_loader_stop(t->loader);
    bf_trainlog_close(t->log);
    bf_scorer_free(t->scorer);
    bf_stepper_free(t->stepper);
    bf_model_free(t->m);
    bf_dataset_free(t->ds);
    free(t->sums);
    free(t->groups);
    free(t);
    return st;
}
