/*
 * Measuring: the kernels of the peak do what their figures say, and every row of every table can be run on either
 * class. Figures are checked for being there, not for what they are.
 */
#include <math.h>
#include <stdlib.h>

#include "op/op.h"
#include "run/bench.h"
#include "support.h"

#define SECONDS 1e-4
#define LARGEST (UINT64_C(1) << 18)

START_TEST(times_in_order)
{
    double odd[] = {3, 1, 2}, even[] = {4, 1, 2, 3};
    bf_bench_times t = bf_bench_order(odd, 3);
    ck_assert(t.median == 2 && t.least == 1 && t.largest == 3 && t.runs == 3);
    t = bf_bench_order(even, 4);
    ck_assert(t.median == 2.5 && t.least == 1 && t.largest == 4 && t.runs == 4);
}
END_TEST

/* x / 2 + 1 ends in 2 wherever it began, so the sum says how many there were. */
START_TEST(arithmetic_is_all_done)
{
    TEST_BOTH(ctx)
    {
        size_t groups = 0, sums = 0;
        const size_t n = bf_bench_groups(ctx);
        float *y = malloc(n * sizeof *y);
        test_tensor out = test_new(ctx, n, NULL);
        bf_cmds *c = NULL;
        ck_assert_ptr_nonnull(y);
        OK(bf_cmds_new(ctx, &c, err));
        OK(bf_bench_append_arithmetic(c, out.mem, 64, &groups, &sums, err));
        test_run(c);
        test_get(ctx, &out, y);
        ck_assert_uint_eq(groups, n);
        for (size_t i = 0; i < n; i++) ck_assert(y[i] == 2.0f * (float)sums);
        test_free(&out);
        free(y);
    }
}
END_TEST

START_TEST(copies_copy)
{
    static const size_t sizes[] = {1, 31, 4095, 4096, 4097, 10007};
    static float x[10007], y[10007];
    test_fill(x, BF_COUNT(x), 3);
    TEST_BOTH(ctx)
    {
        for (size_t i = 0; i < BF_COUNT(sizes); i++) {
            test_tensor from = test_new(ctx, sizes[i], x), to = test_new(ctx, sizes[i], NULL);
            bf_cmds *c = NULL;
            OK(bf_cmds_new(ctx, &c, err));
            OK(bf_bench_append_copy(c, to.mem, from.mem, sizes[i], err));
            test_run(c);
            test_get(ctx, &to, y);
            ck_assert_mem_eq(x, y, sizes[i] * sizeof *x);
            test_free(&from);
            test_free(&to);
        }
    }
}
END_TEST

static void check_rows(const bf_bench_table *t, size_t rows)
{
    ck_assert_uint_eq(t->r->n_rows, rows);
    ck_assert_uint_eq(t->done, rows);
    for (size_t i = 0; i < rows; i++) {
        const bfncl_bench_row *r = &t->r->rows[i];
        ck_assert_msg(r->op[0] && r->shape[0] && r->runs >= 3 && r->commands > 0, "row %zu: %s %s", i, r->op, r->shape);
        ck_assert_msg(r->ms > 0 && r->ms_min <= r->ms && r->ms <= r->ms_max && r->first_ms > 0, "%s: times", r->op);
        ck_assert_msg(r->gbps > 0 && isfinite(r->fraction_of_copy), "%s: %g GB/s", r->op, r->gbps);
    }
}

static bf_bench_table table(bf_ctx *ctx, const bfncl_bench_options *o, bfncl_bench_result *r)
{
    const bf_bench_table t = {.o = o, .ctx = ctx, .seconds = SECONDS, .largest = LARGEST, .r = r};
    OK(bf_bench_peak(ctx, SECONDS, LARGEST, &r->peak, err));
    ck_assert(r->peak.gflops_min > 0 && r->peak.gflops_min <= r->peak.gflops && r->peak.gflops <= r->peak.gflops_max &&
              r->peak.copy_gbps > 0 && r->peak.driver_copy_gbps > 0);
    return t;
}

START_TEST(every_row_of_ops)
{
    if (test_quick()) return; /* the same kernels as elsewhere */
    TEST_BOTH(ctx)
    {
        const bfncl_bench_options o = {0};
        bfncl_bench_result r = {0};
        bf_bench_table t = table(ctx, &o, &r);
        OK(bf_bench_ops_rows(&t, err));
        check_rows(&t, bf_bench_ops_count());
        bfncl_bench_result_free(&r);
    }
}
END_TEST

static void shapes(bf_ctx *ctx, const bf_bench_shapes *s, const char *const *list, size_t n)
{
    const bfncl_bench_options o = {0};
    bfncl_bench_result r = {0};
    bf_bench_table t = table(ctx, &o, &r);
    for (size_t i = 0; i < n; i++) {
        OK(s->check(list[i], err));
        OK(s->rows(&t, list[i], err));
    }
    check_rows(&t, n * s->per_shape);
    bfncl_bench_result_free(&r);
}

START_TEST(shapes_of_convolutions_and_attention)
{
    static const char *const convs[] = {"2x5x7x3x17", "1x4x4x16x16:k1", "1x5x5x8x8:s2", "1x4x4x8x8:k1:s2"};
    static const char *const heads[] = {"2x31x3x17", "1x33x2x16:causal"};
    if (test_quick()) return;
    TEST_BOTH(ctx)
    {
        shapes(ctx, &bf_bench_conv_shapes, convs, BF_COUNT(convs));
        shapes(ctx, &bf_bench_attention_shapes, heads, BF_COUNT(heads));
    }
}
END_TEST

START_TEST(wrong_shapes)
{
    static const char *const convs[] = {"",
                                        "5",
                                        "2x5x7x3",
                                        "2x5x7x3x0",
                                        "2x5x7x3x17x1",
                                        "2x5x7x3x1:",
                                        "1x1x1x1x1:k2",
                                        "1x1x1x1x1:s3",
                                        "1x1x1x1x1:s1:k1",
                                        "1x1x1x1x70000"};
    static const char *const heads[] = {"", "2x3x4", "2x31x3x17:", "2x31x3x17:casual", "-2x3x4x5", "2x31x3x17x2"};
    bf_err e;
    for (size_t i = 0; i < BF_COUNT(convs); i++)
        ck_assert_msg(bf_bench_conv_shapes.check(convs[i], &e) == BF_USAGE, "%s", convs[i]);
    for (size_t i = 0; i < BF_COUNT(heads); i++)
        ck_assert_msg(bf_bench_attention_shapes.check(heads[i], &e) == BF_USAGE, "%s", heads[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {times_in_order,   arithmetic_is_all_done, copies_copy,
                                  every_row_of_ops, wrong_shapes,           shapes_of_convolutions_and_attention};
    Suite *s = suite_create("bench");
    TCase *t = tcase_create("bench");
    tcase_set_timeout(t, 300);
    for (size_t i = 0; i < BF_COUNT(tests); i++) tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    return test_main(s);
}
