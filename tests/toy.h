/* For suites of the run layer: an experiment of toy size, and runs of it in a scratch folder. */
#ifndef BF_TESTS_TOY_H
#define BF_TESTS_TOY_H

#include <bfncl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "files.h"
#include "io/npy.h"

#define SIDE 8
#define DIMS (SIDE * SIDE)
#define EXAMPLES 40

/* Bright squares at places that differ from picture to picture. */
static inline void write_pictures(const char *path, uint64_t n, uint64_t side)
{
    bf_array a = {.dtype = BF_U8, .ndim = 3, .dims = {n, side, side}, .count = n * side * side};
    uint8_t *p = calloc(a.count, 1);
    ck_assert_ptr_nonnull(p);
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t y = 0; y < side / 2; y++)
            for (uint64_t x = 0; x < side / 2; x++)
                p[(i * side + y + i % (side / 2)) * side + x + i / 4 % (side / 2)] = (uint8_t)(255 - 5 * i % 100);
    a.data = p;
    OK(bf_npy_write(path, &a, err));
    free(p);
}

/* Overrides that make configs/tiny.yaml toy-sized, plus the ones of a test. */
typedef struct setting {
    char text[24][200];
    const char *v[24];
    size_t n;
} setting;

static inline void add(setting *s, const char *key, const char *value)
{
    ck_assert_uint_lt(s->n, BF_COUNT(s->text));
    snprintf(s->text[s->n], sizeof s->text[0], "%s=%s", key, value);
    s->v[s->n] = s->text[s->n];
    s->n++;
}

static inline setting toy(void)
{
    setting s = {.n = 0};
    const char *data = test_path("data.npy");
    FILE *f = fopen(data, "rb");
    if (f)
        fclose(f);
    else
        write_pictures(data, EXAMPLES, SIDE);
    add(&s, "data.train", data);
    add(&s, "data.test", data);
    add(&s, "net.width", "4");
    add(&s, "net.mult", "[1]"); /* few launches: rusticl takes milliseconds for each */
    add(&s, "train.steps", "8");
    add(&s, "train.eval_every", "8");
    add(&s, "train.batch", "5");
    add(&s, "train.save_every", "3");
    add(&s, "eval.examples", "4");
    add(&s, "sample.batch", "3");
    return s;
}

static inline bfncl_device_options device(void)
{
    const char *name = getenv("BFNCL_TEST_DEVICE");
    return (bfncl_device_options){.selector = name ? name : "pocl:0", .selector_from = "the test"};
}

typedef struct run_options {
    const char *config, *out, *steps;
    bool resume, dry_run;
    bfncl_progress_fn progress;
    void *user;
} run_options;

static inline bfncl_status run(const setting *base, run_options r, bfncl_train_result *result, bfncl_error *err)
{
    bfncl_train_options o;
    setting s = *base;
    for (size_t i = 0; i < s.n; i++) s.v[i] = s.text[i];
    if (r.steps) add(&s, "train.steps", r.steps);
    bfncl_train_defaults(&o);
    o.config = r.config ? r.config : "configs/tiny.yaml";
    o.set = s.v;
    o.n_set = s.n;
    o.out = r.out;
    o.resume = r.resume;
    o.dry_run = r.dry_run;
    o.device = device();
    o.progress = r.progress;
    o.user = r.user;
    return bfncl_train(&o, result, err);
}

/* The folder of a run of 8 steps, made once. */
static inline const char *reference(void)
{
    static char path[128];
    if (!path[0]) {
        setting s = toy();
        snprintf(path, sizeof path, "%s", test_path("reference"));
        OK(run(&s, (run_options){.out = path}, NULL, err));
    }
    return path;
}

static inline const char *in(const char *folder, const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static inline bfncl_eval_result evaluate(const char *model, const char *set, const int64_t *steps, size_t n,
                                         bool baselines)
{
    bfncl_eval_options o;
    bfncl_eval_result r;
    bfncl_eval_defaults(&o);
    o.model = model;
    o.set = &set;
    o.n_set = 1;
    o.loss_steps = steps;
    o.n_loss_steps = n;
    o.baselines = baselines;
    o.device = device();
    OK(bfncl_eval(&o, &r, err));
    return r;
}

#endif
