/*
 * The run layer from outside, on a network of toy size: training in one piece and in pieces gives the same bits,
 * stopping saves, damaged checkpoints are survived, model files refuse damage, scores and samples do not depend on the
 * batch.
 */
#include <bfncl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "run/train.h"
#include "toy.h"

/* Every tensor of two files: same names, shapes and bits. */
static void same_tensors(const char *a, const char *b)
{
    bf_st *f = NULL, *g = NULL;
    OK(bf_st_open(a, &f, err));
    OK(bf_st_open(b, &g, err));
    ck_assert_uint_eq(bf_st_count(f), bf_st_count(g));
    for (size_t i = 0; i < bf_st_count(f); i++) {
        const bf_st_tensor *t = bf_st_at(f, i), *u = bf_st_find(g, t->name);
        ck_assert_ptr_nonnull(u);
        ck_assert_uint_eq(t->bytes, u->bytes);
        void *x = malloc(t->bytes), *y = malloc(t->bytes);
        OK(bf_st_read_raw(f, t, x, err));
        OK(bf_st_read_raw(g, u, y, err));
        ck_assert_msg(memcmp(x, y, t->bytes) == 0, "%s differs", t->name);
        free(x);
        free(y);
    }
    bf_st_close(f);
    bf_st_close(g);
}

static void draw(const char *model, const char *out, const char *set, int64_t n, bfncl_sample_result *r)
{
    bfncl_sample_options o;
    bfncl_sample_defaults(&o);
    o.model = model;
    o.set = &set;
    o.n_set = 1;
    o.n = n;
    o.out = out;
    o.animation = strstr(out, ".png") ? test_path("steps.gif") : NULL;
    o.device = device();
    OK(bfncl_sample(&o, r, err));
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

START_TEST(two_halves_equal_one_run)
{
    const setting s = toy();
    bfncl_train_result r;
    char out[128];
    snprintf(out, sizeof out, "%s", test_path("halves"));
    OK(run(&s, (run_options){.out = out, .steps = "4"}, &r, err));
    ck_assert_uint_eq(r.steps, 4);
    OK(run(&s, (run_options){.out = out, .resume = true}, &r, err));
    ck_assert_uint_eq(r.first_step, 4);
    ck_assert_uint_eq(r.steps, 8);
    ck_assert(isfinite(r.best) && r.best > 0);
    same_tensors(in(out, "last.safetensors"), in(reference(), "last.safetensors"));
}
END_TEST

/* As on a device with memory of its own: batches through a second queue, the next step submitted before one ends. */
START_TEST(a_device_of_its_own)
{
    const setting s = toy();
    bfncl_train_result r;
    char out[128];
    snprintf(out, sizeof out, "%s", test_path("discrete"));
    setenv("BFNCL_DISCRETE", "1", 1);
    const bf_status st = run(&s, (run_options){.out = out}, &r, &(bf_err){0});
    unsetenv("BFNCL_DISCRETE");
    ck_assert_int_eq(st, BF_OK);
    same_tensors(in(out, "last.safetensors"), in(reference(), "last.safetensors"));
    same_tensors(in(out, "best.safetensors"), in(reference(), "best.safetensors"));
}
END_TEST

typedef struct stopper {
    uint64_t at;
} stopper;

static bool stop_at(void *user, const bfncl_progress *p)
{
    return strcmp(p->phase, "training") != 0 || p->done < ((stopper *)user)->at;
}

START_TEST(a_stopped_run_saves_and_continues)
{
    const setting s = toy();
    stopper stop = {5};
    bfncl_train_result r;
    char out[128];
    snprintf(out, sizeof out, "%s", test_path("stopped"));
    FAILS(BF_STOPPED, "step 5", run(&s, (run_options){.out = out, .progress = stop_at, .user = &stop}, NULL, err));
    /* the newest checkpoint is damaged: renamed, and the one of step 3 takes over */
    FILE *f = fopen(in(out, "last.safetensors"), "r+b");
    ck_assert_ptr_nonnull(f);
    fseek(f, -5, SEEK_END);
    fputc('x', f);
    fclose(f);
    OK(run(&s, (run_options){.out = out, .resume = true}, &r, err));
    ck_assert_uint_eq(r.first_step, 3);
    f = fopen(in(out, "last.safetensors.bad"), "rb");
    ck_assert_ptr_nonnull(f);
    fclose(f);
    same_tensors(in(out, "last.safetensors"), in(reference(), "last.safetensors"));
}
END_TEST

START_TEST(a_second_start_keeps_the_first_run)
{
    const setting s = toy();
    char out[128];
    snprintf(out, sizeof out, "%s", test_path("twice"));
    OK(run(&s, (run_options){.out = out, .steps = "0"}, NULL, err));
    OK(run(&s, (run_options){.out = out, .steps = "0"}, NULL, err));
    same_tensors(in(out, "best.safetensors"), in(test_path("twice.1"), "best.safetensors"));
}
END_TEST

START_TEST(the_log_and_the_chart)
{
    size_t n;
    free(test_slurp(in(reference(), "loss.svg"), &n));
    ck_assert_uint_gt(n, 500);
    char *log = (char *)test_slurp(in(reference(), "train.jsonl"), &n);
    ck_assert(strstr(log, "{\"event\":\"start\"") == log && strstr(log, "\"driver\""));
    ck_assert_ptr_nonnull(strstr(log, "\"event\":\"end\""));
    free(log);
}
END_TEST

/* The resolved train.schedule_steps of a run folder. */
static int64_t schedule_of(const char *folder)
{
    bf_config c;
    OK(bf_config_load(in(folder, "config.yaml"), &c, err));
    return c.train.schedule_steps;
}

START_TEST(overrides_and_the_schedule)
{
    const setting s = toy();
    char out[128];
    setting fixed = s;
    snprintf(out, sizeof out, "%s", test_path("schedule"));
    OK(run(&s, (run_options){.out = out, .steps = "1"}, NULL, err));
    ck_assert_int_eq(schedule_of(out), 20); /* shortened: as in the file */
    OK(run(&s, (run_options){.config = in(out, "config.yaml"), .out = out, .resume = true, .steps = "21"}, NULL, err));
    ck_assert_int_eq(schedule_of(out), 0); /* lengthened: follows train.steps */
    add(&fixed, "train.schedule_steps", "30");
    OK(run(&fixed, (run_options){.out = out, .resume = true, .steps = "22"}, NULL, err));
    ck_assert_int_eq(schedule_of(out), 30);
}
END_TEST

START_TEST(learning_rates)
{
    bf_config c;
    bf_plateau p = {.rate = 0.5, .best = NAN};
    bf_config_defaults(&c);
    c.train.lr = 1;
    c.train.lr_final = 0.1;
    c.train.warmup = 4;
    c.train.steps = 24;
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 0), 0.2, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 3), 0.8, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 4), 1, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 14), 0.55, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 24), 0.1, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 99), 0.1, 1e-12);
    c.train.schedule_steps = 44;
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 24), 0.55, 1e-12);
    c.train.schedule = BF_SCHEDULE_WAVES; /* down to step 44, up again to step 84 */
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 3), 0.8, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 44), 0.1, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 64), 0.55, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 84), 1, 1e-12);
    c.train.schedule = BF_SCHEDULE_CONSTANT;
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 24), 1, 1e-12);
    c.train.schedule = BF_SCHEDULE_PLATEAU;
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 3), 0.4, 1e-12);
    ck_assert_double_eq_tol(bf_learning_rate(&c, &p, 24), 0.5, 1e-12);
}
END_TEST

START_TEST(rates_after_a_plateau)
{
    const bf_plateau_rule rule = {.factor = 0.5, .floor = 0.2, .threshold = 0.1, .least = 1e-3, .patience = 2};
    static const struct {
        double loss, rate;
    } steps[] = {{10, 1},    {9.5, 1}, {8.9, 1}, {8.8, 1}, {8.1, 1},   {8.02, 0.5}, {9, 0.5},
                 {NAN, 0.5}, {7, 0.5}, {8, 0.5}, {8, 0.5}, {8, 0.25},  {8, 0.25},   {8, 0.25},
                 {8, 0.2},   {8, 0.2}, {8, 0.2}, {8, 0.2}, {6.2, 0.2}, {6.1, 0.2}};
    bf_plateau p = {.rate = 1, .best = NAN};
    for (size_t i = 0; i < BF_COUNT(steps); i++) {
        bf_plateau_add(&p, &rule, steps[i].loss);
        ck_assert_double_eq_tol(p.rate, steps[i].rate, 1e-12);
    }
    ck_assert(p.best == 6.2 && p.bad == 1);
}
END_TEST

/* Gradients, loss and norm of the second of two steps on the same random rows, with one more setting; with `ahead` both
 * are under way at the same time. */
typedef struct step_numbers {
    bf_step_result r;
    float *grad;
    size_t n;
    bf_plan plan;
} step_numbers;

static step_numbers two_steps(const char *const *kind, const char *key, const char *value, bool ahead)
{
    setting s = toy();
    bf_config c;
    bf_model *m = NULL;
    bf_stepper *stepper = NULL;
    step_numbers out = {.n = 0};
    float x[6 * DIMS];
    const uint32_t shape[3] = {SIDE, SIDE, 1};
    const bfncl_device_options d = device();
    add(&s, key, value);
    add(&s, "train.batch", "6");
    for (size_t k = 0; kind[k]; k++) snprintf(s.text[s.n++], sizeof s.text[0], "%s", kind[k]);
    for (size_t i = 0; i < s.n; i++) s.v[i] = s.text[i];
    OK(bf_config_load("configs/tiny.yaml", &c, err));
    OK(bf_setup_overrides(&c, s.v, s.n, err));
    OK(bf_model_new(&c, shape, NULL, &d, &m, err));
    OK(bf_stepper_new(m, true, &stepper, &out.plan, err));
    OK(bf_params_init(m->params, 1, err));
    for (size_t i = 0; i < BF_COUNT(x); i++)
        x[i] =
            m->hybrid.group[0].flow.kind == BF_FLOW_CATEGORICAL ? (float)(i * i % 4) : (float)(i * i % 15) / 8 - 0.875f;
    for (uint64_t step = 0; step < 2 && !ahead; step++) OK(bf_stepper_run(stepper, x, step, 1e-3, &out.r, err));
    for (uint64_t step = 0; step < 2 && ahead; step++) {
        float *rows;
        OK(bf_stepper_rows(stepper, &rows, err));
        memcpy(rows, x, sizeof x);
        OK(bf_stepper_submit(stepper, step, 1e-3, err));
    }
    for (uint64_t step = 0; step < 2 && ahead; step++) OK(bf_stepper_wait(stepper, &out.r, err));
    out.grad = malloc(bf_params_numel(m->params) * sizeof *out.grad);
    ck_assert_ptr_nonnull(out.grad);
    for (int i = 0; i < bf_params_count(m->params); i++) {
        const bf_param_spec *spec = bf_params_spec(m->params, i);
        if (spec->buffer) continue;
        OK(bf_params_get(m->params, BF_SET_GRAD, i, out.grad + out.n, err));
        out.n += bf_param_numel(spec);
    }
    bf_stepper_free(stepper);
    bf_model_free(m);
    return out;
}

/* A batch in parts gives the gradients of the whole batch: same times, noise and dropout, other rounding. */
START_TEST(parts_of_a_batch_add_up)
{
    static const char *const kinds[][8] = {
        {"net.dropout=0.5", "net.attention=[1]", "net.positions=true", "net.scale_shift=true"},
        {"net.kind=transformer", "net.mult=[1,2,2]", "net.groups=8", "flow.kind=categorical", "data.bins=4",
         "net.learned_positions=true"},
        {"net.kind=vdm-unet", "net.mult=[1,2,2]", "net.dropout=0.5", "flow.kind=continuous", "train.loss=n-step"}};
    static const char *const parts[] = {"2", "6"};
    for (size_t k = 0; k < BF_COUNT(kinds); k++) {
        step_numbers whole = two_steps(kinds[k], "train.accumulate", "1", false);
        ck_assert(whole.r.finite && whole.r.grad_norm > 1e-3);
        for (size_t p = 0; p < BF_COUNT(parts); p++) {
            step_numbers sum = two_steps(kinds[k], "train.accumulate", parts[p], false);
            double worst = 0;
            ck_assert_uint_eq(sum.n, whole.n);
            for (size_t i = 0; i < sum.n; i++) worst = fmax(worst, fabs((double)sum.grad[i] - (double)whole.grad[i]));
            ck_assert_double_le(worst, 1e-5 * whole.r.grad_norm);
            ck_assert_double_eq_tol(sum.r.loss, whole.r.loss, 1e-5 * whole.r.loss);
            ck_assert_double_eq_tol(sum.r.grad_norm, whole.r.grad_norm, 1e-5 * whole.r.grad_norm);
            free(sum.grad);
        }
        free(whole.grad);
    }
}
END_TEST

/* Computing activations a second time saves memory and changes no bit, dropout included. */
START_TEST(recomputing_gives_the_same_bits)
{
    static const char *const kinds[][8] = {
        {"net.dropout=0.5", "net.attention=[1]", "net.scale_shift=true", "net.mult=[1,2]", "train.accumulate=2"},
        {"net.kind=transformer", "net.mult=[1,2,2]", "net.dropout=0.25", "net.groups=8", "flow.kind=categorical",
         "data.bins=4", "net.blocks=3"},
        {"net.kind=vdm-unet", "net.mult=[1,2,2]", "net.dropout=0.5", "net.blocks=2", "net.attention_everywhere=true"}};
    for (size_t k = 0; k < BF_COUNT(kinds); k++) {
        step_numbers kept = two_steps(kinds[k], "train.recompute", "false", false);
        step_numbers again = two_steps(kinds[k], "train.recompute", "true", false);
        ck_assert_uint_eq(again.n, kept.n);
        ck_assert(kept.r.finite && kept.r.grad_norm > 1e-3);
        ck_assert_mem_eq(&again.r.loss, &kept.r.loss, sizeof kept.r.loss);
        ck_assert_mem_eq(&again.r.grad_norm, &kept.r.grad_norm, sizeof kept.r.grad_norm);
        ck_assert_mem_eq(again.grad, kept.grad, kept.n * sizeof *kept.grad);
        ck_assert_uint_gt(again.plan.nodes, kept.plan.nodes);
        ck_assert_uint_lt(again.plan.activation_bytes, kept.plan.activation_bytes);
        free(kept.grad);
        free(again.grad);
    }
}
END_TEST

/* Activations as halves: gradients off by their rounding, also where blocks are recomputed from them. A run resumes
 * with the same bits. */
START_TEST(activations_stored_as_halves)
{
    static const char *const kinds[][8] = {
        {"net.dropout=0.5", "net.attention=[1]", "net.scale_shift=true", "net.width=16", "train.accumulate=2"},
        {"net.kind=transformer", "net.mult=[1,2,2]", "net.width=16", "net.groups=8", "flow.kind=categorical",
         "data.bins=4"},
        {"net.kind=transformer", "net.mult=[1,2,2]", "net.width=16", "net.groups=8", "flow.kind=categorical",
         "data.bins=4", "train.recompute=true"},
        {"net.kind=vdm-unet", "net.mult=[1,2,2]", "net.dropout=0.5", "net.width=16", "train.recompute=true"}};
    for (size_t k = 0; k < BF_COUNT(kinds); k++) {
        step_numbers whole = two_steps(kinds[k], "train.storage", "float", false);
        step_numbers half = two_steps(kinds[k], "train.storage", "half", false);
        double square = 0;
        ck_assert_uint_eq(half.n, whole.n);
        ck_assert(half.r.finite);
        for (size_t i = 0; i < half.n; i++) square += pow((double)half.grad[i] - (double)whole.grad[i], 2);
        ck_assert_double_le(sqrt(square), 3e-3 * whole.r.grad_norm);
        ck_assert_double_gt(sqrt(square), 0);
        ck_assert_double_eq_tol(half.r.loss, whole.r.loss, 1e-3 * whole.r.loss);
        if (k < 2) ck_assert_uint_lt(half.plan.activation_bytes, whole.plan.activation_bytes);
        free(whole.grad);
        free(half.grad);
    }

    setting s = toy();
    char out[128], halves[128];
    snprintf(out, sizeof out, "%s", test_path("half"));
    snprintf(halves, sizeof halves, "%s", test_path("half_halves"));
    add(&s, "net.width", "16");
    add(&s, "train.storage", "half");
    OK(run(&s, (run_options){.out = out}, NULL, err));
    OK(run(&s, (run_options){.out = halves, .steps = "5"}, NULL, err));
    OK(run(&s, (run_options){.out = halves, .resume = true}, NULL, err));
    same_tensors(in(halves, "last.safetensors"), in(out, "last.safetensors"));
}
END_TEST

/* The dry run knows both peaks and names the way out when only one of them fits. A run that is stopped, resumed with
 * the other setting and ended has the bits of one that was not. */
START_TEST(a_run_that_recomputes)
{
    setting s = toy(), with;
    bfncl_train_result r, other;
    bfncl_train_options o;
    char out[128], halves[128];
    snprintf(out, sizeof out, "%s", test_path("kept"));
    snprintf(halves, sizeof halves, "%s", test_path("recomputed"));
    add(&s, "net.dropout", "0.5");
    add(&s, "train.batch", "20");
    OK(run(&s, (run_options){.out = out, .dry_run = true}, &r, err));
    ck_assert_uint_eq(r.plan.peak_bytes, r.plan.peak_keep_bytes);
    ck_assert_uint_lt(r.plan.peak_recompute_bytes, r.plan.peak_keep_bytes);
    with = s;
    add(&with, "train.recompute", "true");
    OK(run(&with, (run_options){.out = out, .dry_run = true}, &other, err));
    ck_assert_uint_eq(other.plan.peak_bytes, r.plan.peak_recompute_bytes);
    ck_assert_uint_eq(other.plan.peak_keep_bytes, r.plan.peak_keep_bytes);
    OK(run(&s, (run_options){.out = out}, NULL, err));
    OK(run(&with, (run_options){.out = halves, .steps = "4"}, NULL, err));
    OK(run(&s, (run_options){.out = halves, .resume = true}, NULL, err));
    same_tensors(in(halves, "last.safetensors"), in(out, "last.safetensors"));

    bfncl_train_defaults(&o);
    o.config = "configs/tiny.yaml";
    o.out = out;
    for (size_t i = 0; i < s.n; i++) s.v[i] = s.text[i];
    o.set = s.v;
    o.n_set = s.n;
    o.dry_run = true;
    o.device = device();
    o.device.memory_limit = (r.plan.peak_recompute_bytes + r.plan.peak_keep_bytes) / 2;
    bf_err e = {0};
    ck_assert_int_eq(bfncl_train(&o, &r, &e), BF_RUNTIME);
    ck_assert_ptr_nonnull(strstr(e.hint, "--recompute"));
}
END_TEST

/* The plan of a batch in parts: the memory of one part, the arithmetic of all. And the run resumes with the same bits.
 */
/* Nothing that a step takes is overwritten by the one that was submitted behind it. */
START_TEST(two_steps_under_way)
{
    static const char *const kind[6] = {"net.dropout=0.5", "net.attention=[1]"};
    static const char *const parts[][2] = {
        {"train.accumulate", "1"}, {"train.accumulate", "3"}, {"train.clip_rule", "queue"}};
    for (size_t p = 0; p < BF_COUNT(parts); p++) {
        step_numbers one = two_steps(kind, parts[p][0], parts[p][1], false);
        step_numbers both = two_steps(kind, parts[p][0], parts[p][1], true);
        ck_assert_double_eq(one.r.loss, both.r.loss);
        ck_assert_double_eq(one.r.grad_norm, both.r.grad_norm);
        ck_assert_double_eq(one.r.clip_limit, both.r.clip_limit);
        ck_assert_mem_eq(one.grad, both.grad, one.n * sizeof *one.grad);
        free(one.grad);
        free(both.grad);
    }
}
END_TEST

START_TEST(a_run_in_parts)
{
    setting s = toy();
    bfncl_train_result whole, parts, one;
    char out[128], halves[128];
    snprintf(out, sizeof out, "%s", test_path("parts"));
    snprintf(halves, sizeof halves, "%s", test_path("parts_halves"));
    add(&s, "train.batch", "6");
    OK(run(&s, (run_options){.out = out, .dry_run = true}, &whole, err));
    ck_assert(whole.batch == 6 && whole.plan.batch == 6);
    add(&s, "train.accumulate", "3");
    OK(run(&s, (run_options){.out = out, .dry_run = true}, &parts, err));
    ck_assert(parts.batch == 6 && parts.plan.batch == 2);
    ck_assert(parts.plan.activation_bytes < whole.plan.activation_bytes &&
              parts.plan.param_bytes == whole.plan.param_bytes);
    ck_assert_double_eq_tol(parts.plan.gflop, whole.plan.gflop, 1e-2 * whole.plan.gflop);
    OK(run(&s, (run_options){.out = out}, &one, err));
    OK(run(&s, (run_options){.out = halves, .steps = "4"}, NULL, err));
    OK(run(&s, (run_options){.out = halves, .resume = true}, &one, err));
    ck_assert_uint_eq(one.first_step, 4);
    same_tensors(in(halves, "last.safetensors"), in(out, "last.safetensors"));
    add(&s, "train.accumulate", "4");
    FAILS(BF_USAGE, "train.accumulate = 4 does not divide train.batch = 6",
          run(&s, (run_options){.out = out}, NULL, err));
}
END_TEST

static json_t *state_of(const char *path)
{
    bf_st *f = NULL;
    OK(bf_st_open(path, &f, err));
    json_t *state = json_loads(bf_st_meta_get(f, "bfncl.state"), 0, NULL);
    ck_assert_ptr_nonnull(state);
    bf_st_close(f);
    return state;
}

static uint64_t norms_in(const char *path)
{
    bf_st *f = NULL;
    OK(bf_st_open(path, &f, err));
    const bf_st_tensor *t = bf_st_find(f, "clip.norms");
    const uint64_t n = t ? t->count : 0;
    bf_st_close(f);
    return n;
}

/* The queue of norms and the plateau belong to the state: a run in two parts equals one in one part. */
START_TEST(queue_and_plateau_resume)
{
    setting s = toy();
    bfncl_train_result r;
    char out[128], halves[128];
    snprintf(out, sizeof out, "%s", test_path("queue"));
    snprintf(halves, sizeof halves, "%s", test_path("queue_halves"));
    add(&s, "train.clip_rule", "queue");
    add(&s, "train.clip_queue", "4");
    add(&s, "train.schedule", "plateau");
    add(&s, "train.plateau_patience", "0");
    add(&s, "train.plateau_factor", "0.5");
    add(&s, "train.warmup", "0");
    add(&s, "train.lr", "1e-6"); /* too low for a loss that gets better */
    add(&s, "train.eval_every", "2");
    OK(run(&s, (run_options){.out = out}, NULL, err));
    OK(run(&s, (run_options){.out = halves, .steps = "3"}, NULL, err)); /* between two validations */
    OK(run(&s, (run_options){.out = halves, .resume = true}, &r, err));
    ck_assert_uint_eq(r.first_step, 3);
    same_tensors(in(halves, "last.safetensors"), in(out, "last.safetensors"));
    ck_assert_uint_eq(norms_in(in(out, "last.safetensors")), 4);
    json_t *a = state_of(in(out, "last.safetensors")), *b = state_of(in(halves, "last.safetensors"));
    const json_t *plateau = json_object_get(a, "plateau");
    ck_assert(json_equal(plateau, json_object_get(b, "plateau")));
    ck_assert_double_lt(json_number_value(json_object_get(plateau, "rate")), 1e-6);
    json_decref(a);
    json_decref(b);
    add(&s, "train.clip_queue", "9"); /* four are kept, three more join */
    OK(run(&s, (run_options){.out = out, .resume = true, .steps = "11"}, NULL, err));
    ck_assert_uint_eq(norms_in(in(out, "last.safetensors")), 7);
    add(&s, "train.clip_queue", "2");
    OK(run(&s, (run_options){.out = out, .resume = true, .steps = "11"}, NULL, err));
    OK(run(&s, (run_options){.out = out, .resume = true, .steps = "12"}, NULL, err));
    ck_assert_uint_eq(norms_in(in(out, "last.safetensors")), 2);
    add(&s, "train.eval_every", "0");
    FAILS(BF_USAGE, "train.eval_every must not be 0", run(&s, (run_options){.out = out}, NULL, err));
}
END_TEST

/* A queue that cannot be one. */
START_TEST(damaged_queue)
{
    static const struct {
        float norms[3];
        uint32_t joined;
        const char *says;
    } bad[] = {{{1, NAN, 1}, 3, "clip.norms[1] is not a norm"},
               {{1, 1, -1}, 3, "clip.norms[2] is not a norm"},
               {{1, 1, 1}, 2, "clip.joined is less"}};
    bf_norms got;
    bf_st *f = NULL;
    bf_st_item items[BF_NORMS_ITEMS];
    const char *path = test_path("queue.safetensors");
    for (size_t i = 0; i < BF_COUNT(bad); i++) {
        const bf_norms norms = {.newest = (float *)(uintptr_t)bad[i].norms, .n = 3, .joined = bad[i].joined};
        bf_norms_items(&norms, items);
        OK(bf_st_write(path, items, BF_NORMS_ITEMS, NULL, 0, err));
        OK(bf_st_open(path, &f, err));
        FAILS(BF_FILE, bad[i].says, bf_norms_read(f, &got, err));
        ck_assert_ptr_null(got.newest);
        bf_st_close(f);
    }
    const bf_norms norms = {.newest = (float[]){3, 2, 1}, .n = 3, .joined = 8};
    bf_norms_items(&norms, items);
    OK(bf_st_write(path, items, 1, NULL, 0, err));
    OK(bf_st_open(path, &f, err));
    FAILS(BF_FILE, "clip.joined", bf_norms_read(f, &got, err));
    bf_st_close(f);
    OK(bf_st_write(path, items, BF_NORMS_ITEMS, NULL, 0, err));
    OK(bf_st_open(path, &f, err));
    OK(bf_norms_read(f, &got, err));
    ck_assert(got.n == 3 && got.joined == 8 && memcmp(got.newest, norms.newest, 3 * sizeof(float)) == 0);
    bf_norms_free(&got);
    bf_st_close(f);
}
END_TEST

START_TEST(another_network_cannot_resume)
{
    setting s = toy();
    add(&s, "net.width", "8");
    FAILS(BF_FILE, "another data shape, flow or network",
          run(&s, (run_options){.out = reference(), .resume = true}, NULL, err));
}
END_TEST

/* Weights that are not a number: every step is bad, the run goes back once and then gives up. */
START_TEST(not_finite_ends_with_its_own_status)
{
    const setting s = toy();
    bf_model_file f;
    bf_model *m = NULL;
    char out[128];
    static const bf_model_part parts[] = {
        {"net.", BF_SET_VALUE}, {"ema.", BF_SET_EMA}, {"adam_m.", BF_SET_M}, {"adam_v.", BF_SET_V}};
    const bfncl_device_options d = device();
    snprintf(out, sizeof out, "%s", test_path("nan"));
    OK(run(&s, (run_options){.out = out, .steps = "1"}, NULL, err));
    OK(bf_model_file_open(in(out, "last.safetensors"), &f, err));
    OK(bf_model_new(&f.config, f.shape, NULL, &d, &m, err));
    OK(bf_model_register(m, err));
    OK(bf_params_alloc(m->params, (1u << BF_SET_COUNT) - 1, err));
    OK(bf_model_load(m, &f, parts, BF_COUNT(parts), err));
    m->state = f.state;
    bf_model_file_close(&f);
    const int k = bf_params_find(m->params, "out.0.bias");
    ck_assert_int_ge(k, 0);
    float nan[64];
    for (size_t i = 0; i < BF_COUNT(nan); i++) nan[i] = NAN;
    ck_assert_uint_le(bf_params_spec(m->params, k)->dims[0], BF_COUNT(nan));
    OK(bf_params_set(m->params, BF_SET_VALUE, k, nan, err));
    OK(bf_model_save(m, in(out, "last.safetensors"), true, err));
    bf_model_free(m);
    setting bad = s;
    add(&bad, "train.bad_steps", "3");
    add(&bad, "train.save_every", "0");
    FAILS(BF_NUMERIC, "again after going back", run(&bad, (run_options){.out = out, .resume = true}, NULL, err));
    setenv("BFNCL_DISCRETE", "1", 1); /* one more step is under way when the run goes back */
    FAILS(BF_NUMERIC, "again after going back", run(&bad, (run_options){.out = out, .resume = true}, NULL, err));
    unsetenv("BFNCL_DISCRETE");
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    setting s = toy();
    bfncl_train_result r;
    bfncl_train_options o;
    bfncl_train_defaults(&o);
    o.config = "configs/tiny.yaml";
    o.out = "/nonexistent/never/made";
    o.set = s.v;
    o.n_set = s.n;
    for (size_t i = 0; i < s.n; i++) s.v[i] = s.text[i];
    o.dry_run = true;
    o.device = device();
    OK(bfncl_train(&o, &r, err));
    ck_assert(r.plan.params > 100 && r.plan.peak_bytes > r.plan.param_bytes &&
              r.plan.peak_bytes < r.plan.budget_bytes && r.plan.gflop > 0);
    o.device.memory_limit = r.plan.peak_bytes / 2;
    FAILS(BF_RUNTIME, "MiB", bfncl_train(&o, &r, err));
}
END_TEST

/* Kinds of networks, flows and losses that no configuration of the repository uses: trained, scored and sampled. */
START_TEST(every_kind_runs)
{
    static const char *const kinds[][5] = {
        {"flow.kind=categorical", "data.bins=4", "train.loss=n-step", "train.loss_steps=7"},
        {"flow.kind=continuous", "data.transform=continuous", "train.times=random", "flow.predict_data=true"},
        {"flow.output=mixture", "flow.mixture=2", "flow.truncate=true", "train.schedule=constant"},
        {"net.kind=transformer", "net.mult=[1,2,2]", "net.groups=8", "flow.kind=categorical", "data.bins=4"},
        {"net.kind=vdm-unet", "net.mult=[1,2,2]", "net.dropout=0.5", "net.attention_everywhere=true"}};
    static const int64_t steps[] = {0, 3};
    for (size_t i = 0; i < BF_COUNT(kinds); i++) {
        setting s = toy();
        bfncl_train_result r;
        char out[128];
        for (size_t k = 0; k < 5 && kinds[i][k]; k++) snprintf(s.text[s.n++], sizeof s.text[0], "%s", kinds[i][k]);
        snprintf(out, sizeof out, "%s", test_path("flow"));
        OK(run(&s, (run_options){.out = out, .steps = "2"}, &r, err));
        ck_assert(isfinite(r.loss) && isfinite(r.best));
        bfncl_eval_result e = evaluate(out, "eval.receiver=official", steps, 2, false);
        ck_assert_str_eq(e.rows[0].receiver, "none");
        ck_assert_str_eq(e.rows[1].receiver, i == 0 || i == 3 ? "official" : "none");
        ck_assert(isfinite(e.rows[0].total_bits_per_dim) && isfinite(e.rows[1].total_bits_per_dim));
        bfncl_eval_result_free(&e);
        bfncl_sample_result drawn;
        draw(out, test_path("flow.npy"), "sample.steps=2", 3, &drawn);
        ck_assert_uint_eq(drawn.steps, 2);
    }
}
END_TEST

/* ---- scoring, sampling ------------------------------------------------------------------------------------------- */

/* The guide of the example in bfncl.h; user: how often it may still be asked. */
static bool brighter(void *user, const bfncl_guide_step *s)
{
    ck_assert(s->samples == 3 && s->dims == DIMS && s->classes == 0 && s->group == 0 && s->to > s->time);
    for (uint64_t i = 0; i < s->samples * s->dims; i++) s->gradient[i] = 1;
    return (*(int *)user)-- > 0;
}

static bfncl_status draw_guided(double strength, int calls, double *mean, bfncl_error *why)
{
    bfncl_sample_options o;
    bf_array a = {0};
    bfncl_sample_defaults(&o);
    o.model = reference();
    o.n = 3;
    o.steps = 6;
    o.out = test_path("guided.npy");
    o.guide = brighter;
    o.guide_user = &calls;
    o.guide_strength = strength;
    o.device = device();
    *mean = 0;
    const bfncl_status status = bfncl_sample(&o, NULL, why);
    if (status != BFNCL_OK) return status;
    OK(bf_npy_read(o.out, &a, err));
    for (size_t i = 0; i < 3 * DIMS; i++) *mean += (double)((const float *)a.data)[i] / (3 * DIMS);
    bf_array_free(&a);
    return status;
}

START_TEST(guides_pull)
{
    double none, some, more;
    bfncl_error why;
    ck_assert_int_eq(draw_guided(0, 6, &none, &why), BFNCL_OK);
    ck_assert_int_eq(draw_guided(1, 6, &some, &why), BFNCL_OK);
    ck_assert_int_eq(draw_guided(5, 6, &more, &why), BFNCL_OK);
    ck_assert_double_gt(some, none);
    ck_assert_double_gt(more, some);
    ck_assert_int_eq(draw_guided(1, 2, &none, &why), BFNCL_STOPPED);
}
END_TEST

START_TEST(samples_do_not_depend_on_the_batch)
{
    bfncl_sample_result r;
    bf_array a = {0}, b = {0};
    char one[128], other[128], picture[128];
    snprintf(one, sizeof one, "%s", test_path("one.npy"));
    snprintf(other, sizeof other, "%s", test_path("other.npy"));
    snprintf(picture, sizeof picture, "%s", test_path("grid.png"));
    draw(reference(), one, "sample.batch=3", 7, &r);
    ck_assert(r.samples == 7 && r.steps == 5);
    draw(reference(), other, "sample.batch=5", 5, &r);
    draw(reference(), picture, "sample.batch=5", 5, &r);
    setenv("BFNCL_DISCRETE", "1", 1); /* the next step is submitted before one ends */
    draw(reference(), other, "sample.batch=5", 5, &r);
    unsetenv("BFNCL_DISCRETE");
    OK(bf_npy_read(one, &a, err));
    OK(bf_npy_read(other, &b, err));
    ck_assert(a.ndim == 4 && a.dims[0] == 7 && a.dims[1] == SIDE && b.dims[0] == 5);
    ck_assert(memcmp(a.data, b.data, 5 * DIMS * sizeof(float)) == 0);
    for (size_t i = 0; i < 7 * DIMS; i++) {
        const float x = ((const float *)a.data)[i];
        ck_assert(x >= -1 && x <= 1);
    }
    bf_array_free(&a);
    bf_array_free(&b);
}
END_TEST

static void count_splits(void *user, bfncl_log_level level, const char *line)
{
    (void)level;
    if (strstr(line, "trying batches of")) ++*(int *)user;
}

/* Device memory that is enough for scoring, and for sampling, with batches of a few examples. */
static uint64_t memory_for(uint32_t batch)
{
    bf_model *m = NULL;
    bf_scorer *unused = NULL;
    bf_plan plan;
    char file[1024];
    const bfncl_device_options d = device();
    const bf_open_options o = {.path = reference(), .device = &d};
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_N_STEP, .steps = 10, .draws = 10};
    OK(bf_model_open(&o, file, &m, err));
    OK(bf_scorer_new(m, BF_SET_VALUE, &spec, batch, NULL, true, &unused, &plan, err));
    bf_model_free(m);
    return plan.peak_bytes;
}

/* Batches that do not fit are split, and neither samples nor scores change. */
START_TEST(batches_larger_than_memory)
{
    static const int64_t steps[] = {10};
    static const char *const set[] = {"eval.batch=400", "sample.batch=400"};
    const uint64_t limit = memory_for(150);
    bfncl_sample_options o;
    bfncl_eval_options e;
    bfncl_sample_result drawn;
    bfncl_eval_result a, b;
    bf_array x = {0}, y = {0};
    char path[2][128];
    char data[128];
    int splits = 0;
    snprintf(data, sizeof data, "%s", test_path("many.npy"));
    write_pictures(data, 400, SIDE);
    bfncl_set_log(count_splits, &splits);
    bfncl_eval_defaults(&e);
    bfncl_sample_defaults(&o);
    e.model = o.model = reference();
    e.set = o.set = set;
    e.n_set = o.n_set = 2;
    e.loss_steps = steps;
    e.n_loss_steps = 1;
    e.device = o.device = device();
    e.data = data;
    o.n = 400;
    o.steps = 2;
    for (int i = 0; i < 2; i++) snprintf(path[i], sizeof path[i], "%s", test_path(i ? "split.npy" : "whole.npy"));
    o.out = path[0];
    OK(bfncl_eval(&e, &a, err));
    OK(bfncl_sample(&o, &drawn, err));
    ck_assert_int_eq(splits, 0);
    e.device.memory_limit = o.device.memory_limit = limit;
    o.out = path[1];
    OK(bfncl_eval(&e, &b, err));
    ck_assert_int_ge(splits, 1);
    splits = 0;
    OK(bfncl_sample(&o, &drawn, err));
    ck_assert_int_ge(splits, 1);
    bfncl_set_log(NULL, NULL);
    ck_assert_double_eq_tol(a.rows[0].total_bits_per_dim, b.rows[0].total_bits_per_dim, 1e-6);
    OK(bf_npy_read(path[0], &x, err));
    OK(bf_npy_read(path[1], &y, err));
    ck_assert_uint_eq(y.count, 400 * DIMS);
    ck_assert(memcmp(x.data, y.data, 400 * DIMS * sizeof(float)) == 0);
    bf_array_free(&x);
    bf_array_free(&y);
    bfncl_eval_result_free(&a);
    bfncl_eval_result_free(&b);
    e.device.memory_limit = o.device.memory_limit = limit / 64;
    FAILS(BF_RUNTIME, "MiB", bfncl_eval(&e, &a, err));
    FAILS(BF_RUNTIME, "MiB", bfncl_sample(&o, &drawn, err));
}
END_TEST

START_TEST(embedded_model)
{
    bfncl_model *m = NULL;
    const bfncl_device_options d = device();
    uint32_t shape[3];
    float x[4 * DIMS], y[DIMS];
    double nats[4];
    OK(bfncl_model_open(reference(), &d, &m, err));
    bfncl_model_shape(m, shape);
    ck_assert(shape[0] == SIDE && shape[1] == SIDE && shape[2] == 1 && bfncl_model_dims(m) == DIMS);
    ck_assert_uint_eq(bfncl_model_classes(m), 0);
    OK(bfncl_model_sample(m, 0, 4, 3, 9, x, err));
    OK(bfncl_model_sample(m, 2, 1, 3, 9, y, err));
    ck_assert(memcmp(x + 2 * DIMS, y, sizeof y) == 0);
    OK(bfncl_model_score(m, x, 4, 2, 1, nats, err));
    for (int i = 0; i < 4; i++) ck_assert(isfinite(nats[i]) && nats[i] > 0);
    bfncl_model_close(m);
}
END_TEST

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bf_status open_file(const void *data, size_t size, bf_err *err)
{
    bf_model_file f = {0};
    const char *path = test_path("x.file");
    test_spill(path, data, size);
    bf_status st = bf_model_file_open(path, &f, err);
    if (st == BF_OK) st = bf_st_verify(f.st, err);
    bf_model_file_close(&f);
    return st;
}

START_TEST(a_cut_model_is_refused)
{
    size_t n;
    unsigned char *data = test_slurp(in(reference(), "best.safetensors"), &n);
    for (size_t i = 0; i < n; i += i < 6000 ? 37 : 997) {
        bf_err err = {0};
        ck_assert_int_eq(open_file(data, i, &err), BF_FILE);
        ck_assert(strstr(err.message, "x.file"));
    }
    for (size_t i = 0; i < n; i += i < 6000 ? 61 : 1997) {
        bf_err err = {0};
        data[i] ^= 0x11;
        ck_assert_int_eq(open_file(data, n, &err), BF_FILE); /* the checksums see every byte */
        data[i] ^= 0x11;
    }
    free(data);
}
END_TEST

START_TEST(another_version_is_refused)
{
    const float zero = 0;
    const bf_st_item item = {.name = "net.x", .dtype = BF_F32, .ndim = 1, .dims = {1}, .data = &zero};
    bf_st_meta meta[] = {{"bfncl.format", "model"}, {"bfncl.format_version", "99"}};
    bf_model_file f = {0};
    char path[128];
    snprintf(path, sizeof path, "%s", test_path("future.safetensors"));
    OK(bf_st_write(path, &item, 1, meta, 2, err));
    FAILS(BF_FILE, "format version 99", bf_model_file_open(path, &f, err));
    OK(bf_st_write(path, &item, 1, NULL, 0, err));
    FAILS(BF_FILE, "not a bfncl model", bf_model_file_open(path, &f, err));
}
END_TEST

START_TEST(descriptions)
{
    char *text = NULL;
    json_t *j;
    OK(bfncl_info(in(reference(), "last.safetensors"), &text, err));
    j = json_loads(text, 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(j, "kind")), "checkpoint");
    ck_assert_int_gt(json_integer_value(json_object_get(j, "params")), 100);
    ck_assert(json_array_size(json_object_get(j, "tensors")) > 10);
    ck_assert(json_is_object(json_object_get(json_object_get(j, "config"), "net")));
    json_decref(j);
    bfncl_free(text);
    OK(bfncl_info("configs/tiny.yaml", &text, err));
    ck_assert(strstr(text, "\"config\""));
    bfncl_free(text);
    (void)toy();
    OK(bfncl_info(test_path("data.npy"), &text, err));
    ck_assert(strstr(text, "\"examples\": 40"));
    bfncl_free(text);
    FAILS(BF_FILE, "absent", bfncl_info("absent", &text, err));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("run");
    TCase *t = tcase_create("run");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, two_halves_equal_one_run);
    tcase_add_test(t, a_device_of_its_own);
    tcase_add_test(t, a_stopped_run_saves_and_continues);
    tcase_add_test(t, a_second_start_keeps_the_first_run);
    tcase_add_test(t, the_log_and_the_chart);
    tcase_add_test(t, overrides_and_the_schedule);
    tcase_add_test(t, learning_rates);
    tcase_add_test(t, parts_of_a_batch_add_up);
    tcase_add_test(t, two_steps_under_way);
    tcase_add_test(t, a_run_in_parts);
    tcase_add_test(t, recomputing_gives_the_same_bits);
    tcase_add_test(t, a_run_that_recomputes);
    tcase_add_test(t, activations_stored_as_halves);
    tcase_add_test(t, rates_after_a_plateau);
    tcase_add_test(t, queue_and_plateau_resume);
    tcase_add_test(t, damaged_queue);
    tcase_add_test(t, another_network_cannot_resume);
    tcase_add_test(t, not_finite_ends_with_its_own_status);
    tcase_add_test(t, what_does_not_fit_is_refused);
    tcase_add_test(t, every_kind_runs);
    tcase_add_test(t, samples_do_not_depend_on_the_batch);
    tcase_add_test(t, batches_larger_than_memory);
    tcase_add_test(t, embedded_model);
    tcase_add_test(t, a_cut_model_is_refused);
    tcase_add_test(t, another_version_is_refused);
    tcase_add_test(t, descriptions);
    suite_add_tcase(s, t);
    TCase *guides = tcase_create("guides");
    tcase_set_timeout(guides, 120);
    tcase_add_test(guides, guides_pull);
    suite_add_tcase(s, guides);
    return test_main(s);
}
