#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENTINELS 64         /* floats before a test tensor, and behind it */
#define SENTINEL 0x7fdead01u /* a NaN with a payload, so that arithmetic cannot make it */

static bf_ctx *contexts[BF_CLASS_WIDE + 1];

bool test_class_on(bf_class cls)
{
    const char *only = getenv("BFNCL_TEST_CLASS");
    return only == NULL || strcmp(only, cls == BF_CLASS_CPU ? "cpu" : "wide") == 0;
}

bool test_quick(void)
{
    return getenv("BFNCL_TEST_QUICK") != NULL;
}

bf_ctx *test_ctx(bf_class cls)
{
    if (!test_class_on(cls)) cls = cls == BF_CLASS_CPU ? BF_CLASS_WIDE : BF_CLASS_CPU;
    if (contexts[cls] == NULL) {
        const char *device = getenv("BFNCL_TEST_DEVICE");
        const bf_ctx_options o = {.selector = device ? device : "pocl:0",
                                  .selector_from = "the test",
                                  .cls = cls,
                                  .profile = getenv("BFNCL_TEST_KERNELS") != NULL};
        OK(bf_ctx_open(&o, &contexts[cls], err));
    }
    return contexts[cls];
}

void test_fill(float *x, size_t n, uint32_t seed)
{
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < n; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        x[i] = (float)((double)(state >> 40) / (double)(1 << 23) - 1.0);
    }
}

/* Floats behind a tensor. None where every access is checked: there the end of the tensor is the end of the buffer, and
 * a read behind it is found even when nothing depends on what was read. */
static size_t tail(void)
{
    return test_quick() ? 0 : SENTINELS;
}

test_tensor test_new(bf_ctx *ctx, size_t n, const float *data)
{
    test_tensor t = {.n = n};
    const size_t all = SENTINELS + n + tail();
    uint32_t *words = malloc(all * sizeof *words);
    ck_assert_ptr_nonnull(words);
    for (size_t i = 0; i < all; i++) words[i] = SENTINEL;
    for (size_t i = 0; i < n; i++) {
        if (data != NULL) {
            memcpy(&words[SENTINELS + i], &data[i], sizeof *words);
        } else {
            words[SENTINELS + i] = 0x7fc00000u;
        }
    }
    OK(bf_buf_new(ctx, all * sizeof *words, "test tensor", &t.buf, err));
    OK(bf_write(ctx, (bf_mem){t.buf, 0}, words, all * sizeof *words, err));
    free(words);
    t.mem = (bf_mem){t.buf, SENTINELS * sizeof *words};
    return t;
}

void test_get(bf_ctx *ctx, const test_tensor *t, float *out)
{
    const size_t all = SENTINELS + t->n + tail();
    uint32_t *words = malloc(all * sizeof *words);
    ck_assert_ptr_nonnull(words);
    OK(bf_read(ctx, words, (bf_mem){t->buf, 0}, all * sizeof *words, err));
    for (size_t i = 0; i < SENTINELS; i++) {
        ck_assert_msg(words[i] == SENTINEL, "written %zu floats before the tensor", SENTINELS - i);
    }
    for (size_t i = SENTINELS + t->n; i < all; i++) {
        ck_assert_msg(words[i] == SENTINEL, "written %zu floats behind the tensor", i + 1 - SENTINELS - t->n);
    }
    memcpy(out, words + SENTINELS, t->n * sizeof *out);
    free(words);
}

void test_free(test_tensor *t)
{
    bf_buf_free(t->buf);
    *t = (test_tensor){0};
}

void test_close(const char *what, const float *a, const float *b, size_t n, double abs_tol, double rel_tol)
{
    double top = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs((double)b[i]));
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]), tol = abs_tol + rel_tol * top;
        if (isnan(a[i]) && isnan(b[i])) continue;
        if (a[i] == b[i]) continue; /* equal infinities */
        ck_assert_msg(d <= tol, "%s[%zu]: %.9g, expected %.9g, off by %.3g, allowed %.3g", what, i, (double)a[i],
                      (double)b[i], d, tol);
    }
}

void test_run(bf_cmds *c)
{
    OK(bf_cmds_run(c, err));
    OK(bf_finish(bf_cmds_ctx(c), err));
    bf_cmds_free(c);
}

/* Appends the kernels that ran on the context to the file BFNCL_TEST_KERNELS names; true without it. Not a test: no
 * assertions here. */
static bool record_kernels(bf_ctx *ctx)
{
    const bf_profile_row *rows;
    const char *path = getenv("BFNCL_TEST_KERNELS");
    bf_err err;
    FILE *f;
    if (path == NULL || ctx == NULL) return true;
    if (bf_finish(ctx, &err) != BF_OK || (f = fopen(path, "a")) == NULL) return false;
    const size_t n = bf_ctx_profile(ctx, &rows);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].runs == 0 || rows[i].file[0] == '\0') continue;
        fprintf(f, "%s %s %s\n", bf_ctx_class(ctx) == BF_CLASS_CPU ? "cpu" : "wide", rows[i].file, rows[i].kernel);
    }
    return fclose(f) == 0;
}

int test_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    const char *only = getenv("BFNCL_TEST_CASE");
    int failed;
    setenv("BFNCL_TUNE", "", 1); /* not what somebody tuned for this device */
    srunner_run(runner, NULL, only, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    /* here and not by atexit: a driver's own exit handlers, registered when it was loaded, would run first */
    for (int i = 0; i <= BF_CLASS_WIDE; i++) {
        if (!record_kernels(contexts[i])) {
            fprintf(stderr, "the kernels that ran could not be recorded\n");
            failed++;
        }
        bf_ctx_close(contexts[i]);
    }
    if (srunner_ntests_run(runner) == 0) {
        fprintf(stderr, "no test was run%s%s\n", only ? ": no test case named " : "", only ? only : "");
        failed = 1;
    }
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
