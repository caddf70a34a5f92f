/* Tables of tuned matrix products: classes, files that are damaged or made for something else, what a context does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "device/cl.h"
#include "device/tune.h"
#include "support.h"
#include "toy.h"

static bf_ctx *open_ctx(bool untuned)
{
    const char *device = getenv("BFNCL_TEST_DEVICE");
    const bf_ctx_options o = {.selector = device ? device : "pocl:0", .untuned = untuned};
    bf_ctx *ctx = NULL;
    OK(bf_ctx_open(&o, &ctx, err));
    return ctx;
}

/* A table with two rows. */
static bf_tune example(const bf_ctx *ctx)
{
    const bool cpu = bf_ctx_class(ctx) == BF_CLASS_CPU;
    bf_tune t = {.id = 0};
    const bf_gemm a = {.m = 400, .n = 400, .k = 64, .trans_b = true}, b = {.m = 8, .n = 300, .k = 2000};
    t.rows[bf_tune_class(&a)] = (bf_tune_row){
        .how = {.provider = BF_GEMM_PACKED, .tile = cpu ? (bf_gemm_tile){8, 4, 0, 0} : (bf_gemm_tile){32, 32, 16, 64}},
        .gflops = 12.5,
        .default_gflops = 10};
    t.rows[bf_tune_class(&b)] = (bf_tune_row){.how = {.provider = BF_GEMM_PACKED}, .gflops = 3.25, .default_gflops = 3};
    return t;
}

START_TEST(classes)
{
    char name[24], other[24];
    for (int i = 0; i < BF_TUNE_CLASSES; i++) {
        const bf_gemm g = bf_tune_class_product(i);
        ck_assert_int_eq(bf_tune_class(&g), i);
        bf_tune_class_name(i, name);
        for (int j = 0; j < i; j++) {
            bf_tune_class_name(j, other);
            ck_assert_str_ne(name, other);
        }
    }
    const bf_gemm tt = {.m = 97, .n = 97, .k = 1023, .trans_a = true, .trans_b = true, .batch = 1};
    bf_tune_class_name(bf_tune_class(&tt), name);
    ck_assert_str_eq(name, "tn-small-short");
}
END_TEST

START_TEST(a_table_comes_back)
{
    bf_ctx *ctx = open_ctx(true);
    bf_tune t = example(ctx), back;
    const char *path = test_path("new/folder/table.json");
    OK(bf_tune_save(ctx, path, &t, err));
    OK(bf_tune_load(ctx, path, &back, err));
    ck_assert_uint_eq(back.id, t.id);
    ck_assert_str_eq(back.time, t.time);
    for (int i = 0; i < BF_TUNE_CLASSES; i++) {
        ck_assert_double_eq(back.rows[i].gflops, t.rows[i].gflops);
        if (t.rows[i].gflops > 0) ck_assert_mem_eq(&back.rows[i].how, &t.rows[i].how, sizeof back.rows[i].how);
    }
    bf_ctx_close(ctx);
}
END_TEST

/* Nothing but the table itself is taken. */
START_TEST(damage_is_refused)
{
    bf_ctx *ctx = open_ctx(true);
    bf_tune t = example(ctx), back;
    bf_err e;
    char path[256];
    void *data;
    size_t size;
    snprintf(path, sizeof path, "%s", test_path("damaged.json"));
    OK(bf_tune_save(ctx, path, &t, err));
    OK(bf_file_read(path, 1 << 20, &data, &size, err));
    char *text = data;
    for (size_t i = 0; i < size; i += 3) {
        const char was = text[i];
        text[i] ^= 4;
        OK(bf_file_write(path, text, size, err));
        const bf_status st = bf_tune_load(ctx, path, &back, &e);
        ck_assert_msg(st == BF_FILE || (st == BF_OK && back.id == t.id), "byte %zu: %d", i, (int)st);
        text[i] = was;
    }
    for (size_t i = 0; i < size - 2; i += 17) {
        OK(bf_file_write(path, text, i, err));
        ck_assert_int_eq(bf_tune_load(ctx, path, &back, &e), BF_FILE);
    }
    ck_assert_int_eq(bf_tune_load(ctx, test_path("none.json"), &back, &e), BF_FILE);
    free(data);
    bf_ctx_close(ctx);
}
END_TEST

static void refused(bf_ctx *ctx, const char *path, const char *part)
{
    bf_tune back;
    bf_err e = {0};
    ck_assert_int_eq(bf_tune_load(ctx, path, &back, &e), BF_FILE);
    ck_assert_msg(strstr(e.message, part) != NULL, "%s lacks \"%s\"", e.message, part);
}

START_TEST(another_driver_or_device)
{
    bf_ctx *ctx = open_ctx(true);
    bf_tune t = example(ctx);
    char path[256], driver[128];
    snprintf(path, sizeof path, "%s", test_path("other.json"));
    OK(bf_tune_save(ctx, path, &t, err));
    memcpy(driver, ctx->driver, sizeof driver);
    strcpy(ctx->driver, "9.9");
    refused(ctx, path, "another driver");
    memcpy(ctx->driver, driver, sizeof driver);
    ctx->name[0] ^= 1;
    refused(ctx, path, "another device");
    ctx->name[0] ^= 1;
    /* sizes and parameters that cannot be are refused although the checksum is right */
    const bf_tune_row was = t.rows[0];
    t.rows[0] = (bf_tune_row){.how = {.provider = BF_GEMM_PACKED, .tile = {.m = 3}}, .gflops = 1};
    OK(bf_tune_save(ctx, path, &t, err));
    refused(ctx, path, "row 1");
    t.rows[0] = was;
    t.clblast.has[BF_CLBLAST_DIRECT] = true;
    OK(bf_tune_save(ctx, path, &t, err));
    refused(ctx, path, "CLBlast");
    bf_ctx_close(ctx);
}
END_TEST

START_TEST(a_context_uses_its_table)
{
    bf_ctx *ctx = open_ctx(true);
    bf_tune t = example(ctx);
    char path[256], text[32], want[32];
    snprintf(path, sizeof path, "%s", test_path("used.json"));
    OK(bf_tune_save(ctx, path, &t, err));
    bf_ctx_close(ctx);
    setenv("BFNCL_TUNE", path, 1);
    ctx = open_ctx(true);
    bf_ctx_gemm_text(ctx, text);
    ck_assert(strstr(text, "tuned") == NULL);
    bf_ctx_close(ctx);
    ctx = open_ctx(false);
    bf_ctx_gemm_text(ctx, text);
    snprintf(want, sizeof want, "tuned %08x", t.id);
    ck_assert_str_eq(text, want);
    OK(bf_gemm_selftest(ctx, err));
    bf_ctx_gemm_text(ctx, text);
    ck_assert_str_eq(text, want);
    bf_ctx_close(ctx);
    OK(bf_file_write(path, "{}", 2, err));
    ctx = open_ctx(false); /* damaged: the defaults, and no failure */
    bf_ctx_gemm_text(ctx, text);
    ck_assert(strstr(text, "tuned") == NULL);
    bf_ctx_close(ctx);
    setenv("BFNCL_TUNE", "", 1);
}
END_TEST

START_TEST(clblast_parameters)
{
    bf_ctx *ctx = open_ctx(true);
    for (int k = 0; k < BF_CLBLAST_KERNELS; k++) {
        const bf_clblast_kernel kernel = (bf_clblast_kernel)k;
        size_t a[BF_CLBLAST_PARAMS] = {0}, b[BF_CLBLAST_PARAMS] = {0};
        uint64_t random = 1;
        ck_assert(!bf_clblast_legal(ctx, kernel, a));
        for (int i = 0; i < 50; i++) {
            ck_assert(bf_clblast_draw(ctx, kernel, NULL, &random, a));
            ck_assert(bf_clblast_legal(ctx, kernel, a));
            int changed = 0;
            if (!bf_clblast_draw(ctx, kernel, a, &random, b)) continue;
            for (int p = 0; bf_clblast_param_name(kernel, p) != NULL; p++) changed += a[p] != b[p];
            ck_assert(bf_clblast_legal(ctx, kernel, b) && changed == 1);
        }
        const size_t group = ctx->max_group;
        ctx->max_group = 32; /* 8 x 8 are the fewest */
        ck_assert(!bf_clblast_draw(ctx, kernel, NULL, &random, a));
        ctx->max_group = group;
    }
    bf_ctx_close(ctx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tune");
    TCase *t = tcase_create("table");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, classes);
    tcase_add_test(t, a_table_comes_back);
    tcase_add_test(t, damage_is_refused);
    tcase_add_test(t, another_driver_or_device);
    tcase_add_test(t, a_context_uses_its_table);
    tcase_add_test(t, clblast_parameters);
    suite_add_tcase(s, t);
    return test_main(s);
}
