/*
 * Shared by all suites: the device under test, comparison, sentinels, random data, golden files.
 * The device is named by BFNCL_TEST_DEVICE (default "pocl:0"), never by a bare index. Suites run with CK_FORK=no.
 */
#ifndef BF_TESTS_SUPPORT_H
#define BF_TESTS_SUPPORT_H

#include <check.h>

#include "device/device.h"

/* Contexts of both classes, opened once per process, closed by test_main. BFNCL_TEST_KERNELS=FILE: every kernel that
 * ran on them is appended to FILE, a line "cpu gemm.cl gemm" each. */
bf_ctx *test_ctx(bf_class cls);

/* BFNCL_TEST_CLASS=cpu or wide restricts a run to one class (a driver whose compiler is not made for the other one);
 * test_ctx then gives that class whichever is asked for. */
bool test_class_on(bf_class cls);

/* Runs `body` for both device classes: TEST_BOTH(ctx) { ... } */
#define TEST_BOTH(ctx)                                                                                                 \
    for (int test_cls_ = BF_CLASS_CPU; test_cls_ <= BF_CLASS_WIDE; test_cls_++)                                        \
        for (bf_ctx *ctx = test_class_on((bf_class)test_cls_) ? test_ctx((bf_class)test_cls_) : NULL; ctx; ctx = NULL)

/* ck_assert on a status with the error's message. */
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        bf_err ok_err_ = {0}, *err = &ok_err_;                                                                         \
        (void)err;                                                                                                     \
        bf_status ok_st_ = (call);                                                                                     \
        ck_assert_msg(ok_st_ == BF_OK, "%s: status %d: %s", #call, ok_st_, ok_err_.message);                           \
    } while (0)

/* BFNCL_TEST_QUICK: small shapes and few draws, for runs in which every work-item is simulated or checked. Every kernel
 * and every branch of a test stays. */
bool test_quick(void);

/* Uniform in [-1, 1], reproducible. */
void test_fill(float *x, size_t n, uint32_t seed);

/* A device tensor with 64 sentinel floats before and behind it (test_quick(): none behind, the buffer ends there). */
typedef struct test_tensor {
    bf_buf *buf;
    bf_mem mem;
    size_t n;
} test_tensor;
test_tensor test_new(bf_ctx *ctx, size_t n, const float *data); /* data NULL: filled with NaN */
void test_get(bf_ctx *ctx, const test_tensor *t, float *out);   /* also checks the sentinels */
void test_free(test_tensor *t);

/* Largest |a - b| <= abs + rel * max|b|, elementwise; names the first offender. */
void test_close(const char *what, const float *a, const float *b, size_t n, double abs_tol, double rel_tol);

/* Runs and empties a command list: finishes the queue. */
void test_run(bf_cmds *c);

/* main() body of a suite file: runs it, honours BFNCL_TEST_CASE, returns the exit status. */
int test_main(Suite *suite);

#endif
