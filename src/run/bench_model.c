/* Measuring whole steps: training and sampling with made-up examples and fresh weights. Public interface:
 * bfncl_bench_train and bfncl_bench_sample in include/bfncl.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/philox.h"
#include "base/resident.h"
#include "base/size.h"
#include "run/bench.h"
#include "run/label.h"
#include "run/progress.h"
#include "run/sample.h"
#include "run/train.h"

#define DEFAULT_STEPS 10
#define WARMUP_STEPS 2 /* after the first, before those that count */
#define EXAMPLE_SEED 1

typedef struct bench {
    const bfncl_bench_model_options *o;
    bfncl_bench_model_result *r;
    bf_model *m;
    bf_report report;
    double called, step_started; /* seconds */
    double *seconds;             /* [steps] */
    uint64_t steps, done;        /* steps: of all kinds */
    double gflop;                /* of a step */
} bench;

/* The file, the overrides and the size of an example; the device and an empty model. */
static bf_status open_model(bench *b, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config c;
    uint32_t shape[3];
    BF_TRY(bf_config_load(b->o->config, &c, err));
    for (size_t i = 0; i < b->o->n_set; i++) BF_TRY(bf_config_set(&c, b->o->set[i], err));
    if (b->o->batch > 0) {
        c.train.batch = b->o->batch;
        c.sample.batch = b->o->batch;
    }
    BF_TRY(bf_config_check(&c, err));
    BF_CHECK(c.data.transform != BF_TRANSFORM_MOLECULES, BF_USAGE,
             "molecules have no size that a measurement could take; time `bfncl train` with few steps on the data");
    BF_TRY(bf_setup_shape(&c, b->o->size, shape, err));
    BF_TRY(bf_model_new(&c, shape, NULL, &b->o->device, &b->m, err));
    b->r->host_idle_bytes = bf_resident_peak();
    memcpy(b->r->example, shape, sizeof shape);
    snprintf(b->r->device, sizeof b->r->device, "%s", bf_ctx_name(b->m->ctx));
    b->r->warmup_steps = WARMUP_STEPS;
    b->r->steps = (uint64_t)(b->o->steps > 0 ? b->o->steps : DEFAULT_STEPS);
    b->steps = 1 + WARMUP_STEPS + b->r->steps;
    BF_NEW(b->seconds, b->r->steps);
    bf_report_phase(&b->report, "compiling kernels", 0);
    (void)bf_report_done(&b->report, 0, 0);
    BF_TRY(bf_gemm_selftest(b->m->ctx, err));
out:
    return st;
}

/* A step has ended, and the next one begins: its time is that between two results. */
static bf_status after_step(bench *b, bf_err *err)
{
    bf_status st = BF_OK;
    const double now = bf_seconds(), took = now - b->step_started;
    if (b->done == 0) {
        b->r->first_step_ms = 1e3 * took;
        b->r->startup_ms = 1e3 * (now - b->called);
        bf_report_phase(&b->report, "measuring", 1);
    } else if (b->done > WARMUP_STEPS) {
        b->seconds[b->done - 1 - WARMUP_STEPS] = took;
    }
    bf_profiler_span(b->m->profiler, "step", b->step_started, now);
    BF_TRY(bf_profiler_unit(b->m->profiler, err));
    b->done++;
    BF_CHECK(bf_report_done(&b->report, b->done, b->steps), BF_STOPPED, "stopped while measuring");
    b->step_started = now;
out:
    return st;
}

/* The peak is measured last: its memory and its compilation are none of the step's. */
static bf_status finish(bench *b, bf_err *err)
{
    bf_status st = BF_OK;
    bfncl_peak peak = {0};
    const bf_bench_times t = bf_bench_order(b->seconds, (unsigned)b->r->steps);
    b->r->params = bf_params_numel(b->m->params);
    b->r->ms_per_step = 1e3 * t.median;
    b->r->ms_min = 1e3 * t.least;
    b->r->ms_max = 1e3 * t.largest;
    b->r->gflop = b->gflop;
    b->r->gflops = b->gflop / t.median;
    b->r->peak_device_bytes = bf_ctx_peak(b->m->ctx);
    b->r->host_peak_bytes = bf_resident_peak();
    BF_TRY(bf_profiler_end(b->m->profiler, "step", err));
    BF_TRY(bf_bench_peak_arithmetic(b->m->ctx, BF_BENCH_SECONDS, &peak, err));
    b->r->fraction_of_peak = b->r->gflops / peak.gflops;
out:
    return st;
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* What the flow is trained on, numbers at..at + n - 1 of all: class numbers, centres of bins, or values in [-1, 1). */
static void make_numbers(const bf_model *m, uint64_t at, uint64_t n, float *x)
{
    const bool classes = bf_setup_wants_classes(&m->config), bins = m->config.data.transform == BF_TRANSFORM_BINS;
    const bf_flow *f = &m->hybrid.group[0].flow;
    const float levels = (float)(classes ? f->classes : f->bins);
    for (uint64_t i = at; i < at + n; i++) {
        const float u = bf_philox_uniform(EXAMPLE_SEED, (uint32_t)(i % m->dims), (uint32_t)(i / m->dims), 0, 0);
        const float level = (float)(int)(u * levels);
        *x++ = classes ? level : bins ? 2.0f * (level + 0.5f) / levels - 1.0f : 2.0f * u - 1.0f;
    }
}

/* The blocks of a batch, in `parts` parts of `rows` examples. */
static void make_examples(const bf_model *m, uint64_t parts, uint64_t rows, float *x)
{
    for (uint64_t i = 0; i < parts; i++, x += bf_model_block(m, rows)) {
        make_numbers(m, i * rows * m->dims, rows * m->dims, x);
        bf_model_label(m, NULL, 0, rows, x);
    }
}

/* As bfncl_train does: the next step is submitted before one has ended, where that keeps the device busy. */
static bf_status run_steps(bench *b, bf_stepper *stepper, const float *x, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &b->m->config;
    bf_step_result result;
    double took = INFINITY;
    uint64_t submitted = 0;
    b->step_started = bf_seconds();
    while (b->done < b->steps) {
        const uint64_t ahead = bf_ctx_ahead(b->m->ctx, took), until = BF_MIN(b->done + 1 + ahead, b->steps);
        for (; submitted < until; submitted++) {
            float *rows;
            BF_TRY(bf_stepper_rows(stepper, &rows, err));
            memcpy(rows, x,
                   (size_t)(c->train.accumulate * (int64_t)bf_model_block(b->m, bf_setup_batch(c))) * sizeof *x);
            BF_TRY(bf_stepper_submit(stepper, submitted, bf_learning_rate(c, &b->m->state.plateau, submitted), err));
        }
        BF_TRY(bf_stepper_wait(stepper, &result, err));
        BF_CHECK(result.finite, BF_NUMERIC, "step %llu: loss or gradient not finite", (unsigned long long)b->done);
        took = bf_seconds() - b->step_started;
        BF_TRY(after_step(b, err));
    }
out:
    return st;
}

static bf_status bench_train(bench *b, bf_err *err)
{
    bf_status st = BF_OK;
    bf_stepper *stepper = NULL;
    bf_plan plan;
    float *x = NULL;
    BF_TRY(open_model(b, err));
    const bf_config *c = &b->m->config;
    b->r->batch = (uint64_t)c->train.batch;
    BF_NEW(x, (uint64_t)c->train.accumulate * bf_model_block(b->m, bf_setup_batch(c)));
    make_examples(b->m, (uint64_t)c->train.accumulate, bf_setup_batch(c), x);
    bf_params_expect_init(b->m->params, (uint64_t)c->train.seed);
    BF_TRY(bf_stepper_new(b->m, true, &stepper, &plan, err));
    b->gflop = 1e-9 * plan.flops * (double)c->train.accumulate;
    b->r->commands_per_step = bf_stepper_commands(stepper);
    BF_TRY(bf_params_init(b->m->params, (uint64_t)c->train.seed, err));
    BF_TRY(bf_finish(b->m->ctx, err));
    b->r->compile_ms = 1e3 * bf_ctx_compile_seconds(b->m->ctx);
    BF_TRY(bf_profiler_resume(b->m->profiler, err));
    BF_TRY(run_steps(b, stepper, x, err));
    BF_TRY(finish(b, err));
out:
    bf_stepper_free(stepper);
    free(x);
    return st;
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

static bf_status on_step(void *user, bf_sampler *sampler, int i, double t, bf_err *err)
{
    bench *b = user;
    (void)sampler;
    (void)t;
    return (uint64_t)i <= b->steps ? after_step(b, err) : BF_OK; /* the call at t = 1 is no step */
}

/* What the network takes, and what the sampler adds. */
static bf_status measure_parts(bench *b, bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    double *seconds[2] = {NULL, NULL};
    for (int part = 0; part < 2; part++) BF_NEW(seconds[part], b->r->steps);
    for (uint64_t i = 0; i < 2 * b->r->steps; i++) {
        const double start = bf_seconds();
        BF_TRY(bf_sampler_run_part(s, i % 2 == 0, err));
        BF_TRY(bf_finish(b->m->ctx, err));
        seconds[i % 2][i / 2] = bf_seconds() - start;
    }
    b->r->network_ms = 1e3 * bf_bench_order(seconds[0], (unsigned)b->r->steps).median;
    b->r->sampler_ms = 1e3 * bf_bench_order(seconds[1], (unsigned)b->r->steps).median;
out:
    free(seconds[0]);
    free(seconds[1]);
    return st;
}

static bf_status bench_sample(bench *b, bf_err *err)
{
    bf_status st = BF_OK;
    bf_sampler *sampler = NULL;
    bf_sample_plan how = {0};
    bf_plan plan;
    uint32_t batch;
    float *x = NULL;
    BF_TRY(open_model(b, err));
    const bf_config *c = &b->m->config;
    const uint64_t wanted = c->sample.batch ? (uint64_t)c->sample.batch : bf_setup_batch(c);
    BF_TRY(bf_sample_plan_new(c, &b->m->hybrid, (int64_t)b->steps, &how, err));
    bf_params_expect_init(b->m->params, (uint64_t)c->train.seed);
    BF_TRY(bf_sampling_new(b->m, &how, (uint32_t)wanted, false, &sampler, &batch, &plan, err));
    b->r->batch = batch;
    b->gflop = 1e-9 * plan.flops;
    b->r->commands_per_step = bf_sampler_commands(sampler);
    BF_NEW(x, batch * b->m->dims);
    BF_TRY(bf_params_init(b->m->params, (uint64_t)c->train.seed, err));
    BF_TRY(bf_finish(b->m->ctx, err));
    b->r->compile_ms = 1e3 * bf_ctx_compile_seconds(b->m->ctx);
    const bf_sampler_run_options o = {.steps = how.steps,
                                      .times = how.times,
                                      .last = how.last,
                                      .seed = (uint64_t)c->sample.seed,
                                      .on_step = on_step,
                                      .ahead = true,
                                      .user = b};
    BF_TRY(bf_label_tell(b->m, bf_sampler_graph(sampler), NULL, 0, 1, err));
    BF_TRY(bf_profiler_resume(b->m->profiler, err));
    b->step_started = bf_seconds();
    BF_TRY(bf_sampler_run(sampler, &o, x, err));
    BF_TRY(finish(b, err));
    BF_TRY(measure_parts(b, sampler, err));
out:
    bf_sampler_free(sampler);
    bf_sample_plan_free(&how);
    free(x);
    return st;
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

void bfncl_bench_model_defaults(bfncl_bench_model_options *o)
{
    *o = (bfncl_bench_model_options){0};
}

static bf_status measure(const bfncl_bench_model_options *o, bf_status (*fn)(bench *b, bf_err *err),
                         bfncl_bench_model_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bench b = {.o = o, .r = r, .report = {.fn = o->progress, .user = o->user}, .called = bf_seconds()};
    memset(err, 0, sizeof *err);
    memset(r, 0, sizeof *r);
    BF_CHECK(o->config, BF_USAGE, "no configuration given");
    BF_CHECK(o->batch >= 0 && o->batch <= 65536, BF_USAGE, "a batch of %lld examples", (long long)o->batch);
    BF_CHECK(o->steps >= 0 && o->steps <= 1000000, BF_USAGE, "%lld timed steps, at most 1000000 are possible",
             (long long)o->steps);
    st = fn(&b, err);
out:
    bf_model_free(b.m);
    free(b.seconds);
    return st;
}

bfncl_status bfncl_bench_train(const bfncl_bench_model_options *o, bfncl_bench_model_result *result, bfncl_error *err)
{
    bf_err own;
    return measure(o, bench_train, result, err ? err : &own);
}

bfncl_status bfncl_bench_sample(const bfncl_bench_model_options *o, bfncl_bench_model_result *result, bfncl_error *err)
{
    bf_err own;
    return measure(o, bench_sample, result, err ? err : &own);
}
