/*
 * What the suites of the ops share: random tensors of the device with their values on the host, comparison, and finite
 * differences of a plain C reference that computes in double precision.
 */
#ifndef BF_TESTS_OP_TEST_H
#define BF_TESTS_OP_TEST_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op/op.h"
#include "support.h"

/* A device tensor and its values: as they were written, and in double for the reference. */
typedef struct op_tensor {
    test_tensor t;
    bf_mem mem;
    float *f;
    double *d;
    size_t n;
} op_tensor;

static inline op_tensor op_from(bf_ctx *ctx, size_t n, float *values)
{
    op_tensor x = {.f = values, .n = n, .d = malloc((n ? n : 1) * sizeof(double))};
    ck_assert_ptr_nonnull(x.d);
    for (size_t i = 0; i < n; i++) x.d[i] = (double)values[i];
    x.t = test_new(ctx, n, values);
    x.mem = x.t.mem;
    return x;
}

/* Uniform in mean +- width. */
static inline op_tensor op_rand(bf_ctx *ctx, size_t n, float mean, float width, uint32_t seed)
{
    float *f = malloc((n ? n : 1) * sizeof *f);
    ck_assert_ptr_nonnull(f);
    test_fill(f, n, seed);
    for (size_t i = 0; i < n; i++) f[i] = mean + width * f[i];
    return op_from(ctx, n, f);
}

/* A result tensor: random values when it will be added to, NaN when it must be overwritten. */
static inline op_tensor op_out(bf_ctx *ctx, size_t n, bool acc, uint32_t seed)
{
    op_tensor x = op_rand(ctx, n, 0, acc ? 1 : 0, seed);
    if (!acc) {
        test_free(&x.t);
        x.t = test_new(ctx, n, NULL);
        x.mem = x.t.mem;
    }
    return x;
}

static inline void op_free(op_tensor *x)
{
    test_free(&x->t);
    free(x->f);
    free(x->d);
    *x = (op_tensor){0};
}

/* Reads the device's values into x->f; x->d stays what it was. */
static inline void op_read(bf_ctx *ctx, op_tensor *x)
{
    test_get(ctx, &x->t, x->f);
}

/* Compares the device's values with `want` + (acc ? the values before : 0), relative to the largest one. */
static inline void op_expect(bf_ctx *ctx, const char *what, op_tensor *x, bool acc, const double *want, double rel)
{
    float *w = malloc((x->n ? x->n : 1) * sizeof *w);
    ck_assert_ptr_nonnull(w);
    for (size_t i = 0; i < x->n; i++) w[i] = (float)(want[i] + (acc ? x->d[i] : 0));
    op_read(ctx, x);
    test_close(what, x->f, w, x->n, 1e-7, rel);
    free(w);
}

/* Words (uint32) in the place of floats; data NULL: to be written. */
static inline test_tensor op_words(bf_ctx *ctx, size_t n, const uint32_t *data)
{
    float *f = malloc((n ? n : 1) * sizeof *f);
    ck_assert_ptr_nonnull(f);
    if (data) memcpy(f, data, n * sizeof *f);
    test_tensor t = test_new(ctx, n, data ? f : NULL);
    free(f);
    return t;
}

/* Workspace of exactly `bytes`, with sentinels; n = 0 when none is needed. */
static inline test_tensor op_workspace(bf_ctx *ctx, uint64_t bytes)
{
    return bytes ? test_new(ctx, (size_t)(bytes / 4), NULL) : (test_tensor){0};
}

static inline void op_workspace_free(bf_ctx *ctx, test_tensor *ws)
{
    if (ws->n == 0) return;
    float *f = malloc(ws->n * sizeof *f);
    ck_assert_ptr_nonnull(f);
    test_get(ctx, ws, f); /* the sentinels */
    free(f);
    test_free(ws);
}

/* The scalar sum of weight * output of a reference, as a function of everything it reads. */
typedef double (*op_loss)(void *reference);

/* Compares the gradient on the device with central differences by p[i] at up to 48 places, p[i] +- h. x->d holds what
 * was there before when acc. */
static inline void op_expect_gradient_step(bf_ctx *ctx, const char *what, op_tensor *x, bool acc, double *p,
                                           op_loss loss, void *reference, double rel, double h)
{
    const size_t count = x->n < 48 ? x->n : 48, stride = x->n / (count ? count : 1);
    float *want = malloc((count + 1) * sizeof *want), *got = malloc((count + 1) * sizeof *got);
    ck_assert_msg(want != NULL && got != NULL, "out of memory");
    op_read(ctx, x);
    for (size_t k = 0; k < count; k++) {
        const size_t i = k * stride + k % (stride ? stride : 1);
        const double keep = p[i];
        p[i] = keep + h;
        const double up = loss(reference);
        p[i] = keep - h;
        const double down = loss(reference);
        p[i] = keep;
        want[k] = (float)((up - down) / (2 * h) + (acc ? x->d[i] : 0));
        got[k] = x->f[i];
    }
    test_close(what, got, want, count, 2e-6, rel);
    free(want);
    free(got);
}

static inline void op_expect_gradient(bf_ctx *ctx, const char *what, op_tensor *x, bool acc, double *p, op_loss loss,
                                      void *reference, double rel)
{
    op_expect_gradient_step(ctx, what, x, acc, p, loss, reference, rel, 1e-4);
}

static inline double op_dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static inline bf_cmds *op_cmds(bf_ctx *ctx)
{
    bf_cmds *c = NULL;
    OK(bf_cmds_new(ctx, &c, err));
    return c;
}

static inline int op_main(const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 300);
    for (size_t i = 0; i < n; i++) tcase_add_test(tc, tests[i]);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

#endif
