/*
 * Every configuration of the repository: loaded, planned at its full size, and run for one step. The data that they
 * name are not there; tiny ones of the same kind stand for them. Those of configs/bench name none.
 */
#include <bfncl.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "files.h"
#include "run/config.h"

#define EXAMPLES 12

/* ---- data -------------------------------------------------------------------------------------------------------- */

static const char *text_file(void)
{
    static char text[6000];
    const char *path = test_path("words.txt");
    for (size_t i = 0; i + 1 < sizeof text; i++) text[i] = "in the beginning was the word "[i % 30];
    test_spill(path, text, sizeof text - 1);
    return path;
}

static const char *table_file(void)
{
    char text[1024] = "size,grade,count,note\n";
    const char *path = test_path("table.csv");
    for (int i = 0; i < EXAMPLES; i++)
        sprintf(text + strlen(text), "%.2f,%s,%d,%s\n", i * i / 7.0, &"low\0mid\0top"[4 * (i % 3)], i % 5,
                i % 4 ? "" : "yes");
    test_spill(path, text, strlen(text));
    return path;
}

/* 28 x 28 grey, with labels beside them. */
static const char *idx_file(void)
{
    static unsigned char labels[8 + EXAMPLES] = {0, 0, 8, 1, 0, 0, 0, EXAMPLES};
    for (size_t i = 0; i < EXAMPLES; i++) labels[8 + i] = (unsigned char)(i % 10);
    test_spill(test_path("labels-idx1-ubyte"), labels, sizeof labels);
    static unsigned char file[16 + EXAMPLES * 28 * 28] = {0, 0, 8, 3, 0, 0, 0, EXAMPLES, 0, 0, 0, 28, 0, 0, 0, 28};
    const char *path = test_path("images-idx3-ubyte");
    for (size_t i = 16; i < sizeof file; i++) file[i] = (unsigned char)(i * i / 50);
    test_spill(path, file, sizeof file);
    return path;
}

/* 32 x 32 colours. */
static const char *cifar_file(void)
{
    static unsigned char file[EXAMPLES][1 + 3 * 32 * 32];
    const char *path = test_path("data_batch_1.bin");
    for (size_t i = 0; i < EXAMPLES; i++)
        for (size_t k = 1; k < sizeof file[0]; k++) file[i][k] = (unsigned char)(k * (i + 3) / 20);
    test_spill(path, file, sizeof file);
    return path;
}

/* Points in a plane. */
static const char *points_file(void)
{
    float x[2 * EXAMPLES];
    const bf_array a = {.dtype = BF_F32, .ndim = 2, .dims = {EXAMPLES, 2}, .count = BF_COUNT(x), .data = x};
    const char *path = test_path("points.npy");
    test_fill(x, BF_COUNT(x), 3);
    OK(bf_npy_write(path, &a, err));
    return path;
}

static const char *data_for(const char *config)
{
    bf_config c;
    OK(bf_config_load(config, &c, err));
    OK(bf_config_check(&c, err));
    if (c.data.transform == BF_TRANSFORM_TEXT) return text_file();
    if (c.data.transform == BF_TRANSFORM_MOLECULES)
        return c.mol.pocket ? "tests/golden/molcraft/pockets" : "tests/molecules.sdf";
    if (c.data.transform == BF_TRANSFORM_TABLE) return table_file();
    if (c.data.train[0] == '\0') { /* bench */
        ck_assert_int_eq(c.data.size.n, 3);
        return c.data.size.v[2] == 3 ? cifar_file() : idx_file();
    }
    if (strstr(c.data.train, "cifar-10") || strstr(c.data.train, "icons")) return cifar_file(); /* colours */
    if (strstr(c.data.train, ".npy")) return points_file();
    ck_assert_msg(strstr(c.data.train, "idx3-ubyte"), "%s: no data of this kind here: %s", config, c.data.train);
    return idx_file();
}

static bool molecules(const char *config)
{
    bf_config c;
    OK(bf_config_load(config, &c, err));
    return c.data.transform == BF_TRANSFORM_MOLECULES;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* Weights of the official networks and of those that are for measuring. */
static uint64_t known_params(const char *config)
{
    static const struct {
        const char *name;
        uint64_t params;
    } table[] = {{"configs/mnist.yaml", 24808961},
                 {"configs/cifar10_continuous_16.yaml", 30722188},
                 {"configs/cifar10_continuous_256.yaml", 30722188},
                 {"configs/cifar10_discretised_16.yaml", 30722584},
                 {"configs/cifar10_discretised_256.yaml", 30722584},
                 {"configs/text8.yaml", 170175003},
                 {"configs/bench/mnist.yaml", 6211329},
                 {"configs/bench/cifar.yaml", 2272024},
                 {"configs/bench/text.yaml", 10679835}};
    for (size_t i = 0; i < BF_COUNT(table); i++)
        if (strcmp(config, table[i].name) == 0) return table[i].params;
    return 0;
}

/* With these overrides and those that make a step of one example. */
static bfncl_status train(const char *config, const char *const *set, size_t n, bool dry_run, bfncl_train_result *r,
                          bfncl_error *err)
{
    const char *name = getenv("BFNCL_TEST_DEVICE"), *all[16];
    char data[200], out[128], batch[32];
    bfncl_train_options o;
    snprintf(data, sizeof data, "data.train=%s", data_for(config));
    snprintf(out, sizeof out, "%s", test_path("run"));
    snprintf(batch, sizeof batch, "train.batch=%d", molecules(config) ? 64 : 1); /* atoms */
    const char *const one[] = {data, "data.validation=0.1", batch, "eval.examples=1", "train.steps=1"};
    memcpy(all, one, sizeof one);
    for (size_t i = 0; i < n; i++) all[BF_COUNT(one) + i] = set[i];
    bfncl_train_defaults(&o);
    o.config = config;
    o.set = all;
    o.n_set = BF_COUNT(one) + n;
    o.out = out;
    o.dry_run = dry_run;
    o.device = (bfncl_device_options){.selector = name ? name : "pocl:0", .selector_from = "the test"};
    return bfncl_train(&o, r, err);
}

static void plan(const char *config)
{
    bfncl_train_result r;
    bfncl_error err;
    const uint64_t known = known_params(config);
    const bfncl_status st = train(config, NULL, 0, true, &r, &err);
    if (st == BFNCL_ERR_RUNTIME && strstr(err.message, "MiB")) return; /* a machine of little memory says so */
    ck_assert_msg(st == BFNCL_OK, "%s: %s", config, err.message);
    ck_assert(r.plan.activation_bytes > 0 && r.plan.gflop > 0);
    if (known == 0) return;
    ck_assert_uint_eq(r.plan.params, known);
    /* weights, gradients, two moments, averages; what is more are position codes and alignment */
    ck_assert(r.plan.param_bytes >= 20 * known && r.plan.param_bytes < 21 * known);
}

static void one_step(const char *config)
{
    static const char *const narrow[] = {"net.width=32", "net.blocks=1", "net.heads=1"};
    bfncl_train_result r;
    const size_t n = known_params(config) ? BF_COUNT(narrow) : 0; /* these take minutes as they are */
    OK(train(config, narrow, n, false, &r, err));
    ck_assert_uint_eq(r.steps, 1);
    ck_assert(isfinite(r.loss) && isfinite(r.best));
}

START_TEST(every_config)
{
    glob_t g;
    size_t known = 0;
    ck_assert_int_eq(glob("configs/*.yaml", 0, NULL, &g), 0);
    ck_assert_int_eq(glob("configs/*/*.yaml", GLOB_APPEND, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        plan(g.gl_pathv[i]);
        one_step(g.gl_pathv[i]);
        known += known_params(g.gl_pathv[i]) > 0;
    }
    ck_assert_uint_eq(known, 9);
    globfree(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("configs");
    TCase *t = tcase_create("configs");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, every_config);
    suite_add_tcase(s, t);
    return test_main(s);
}
