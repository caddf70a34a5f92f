#include <string.h>

#include "op_test.h"
#include "ref/reduce.h"

/* outer, mid, inner: full sums, row sums, bias gradients, sums over the batch; one and two stages. */
static const size_t shapes[][3] = {{1, 1, 1},     {1, 33, 1},     {7, 65, 1},    {3, 16385, 1}, {1, 100003, 1},
                                   {1, 2, 31},    {48, 49, 32},   {1, 3136, 64}, {2, 777, 63},  {1, 40, 5000},
                                   {1, 10007, 3}, {17, 1031, 16}, {1, 1, 257},   {1, 9000, 130}};

START_TEST(sum_matches_reference)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) {
        const size_t outer = shapes[k][0], mid = shapes[k][1], inner = shapes[k][2], n = outer * mid * inner;
        if (test_quick() && n > 20000) continue;
        const bool acc = k % 2;
        op_tensor x = op_rand(ctx, n, 0.25f, 1, 1), out = op_out(ctx, outer * inner, acc, 3);
        test_tensor ws = op_workspace(ctx, bf_sum_mid_workspace(ctx, outer, mid, inner));
        bf_cmds *c = op_cmds(ctx);
        OK(bf_sum_mid(c, out.mem, acc, 0.5f, x.mem, outer, mid, inner, ws.mem, err));
        test_run(c);
        double *want = malloc(outer * inner * sizeof *want);
        ref_sum_mid(want, 0.5, x.d, outer, mid, inner);
        op_expect(ctx, "sum", &out, acc, want, 5e-7);
        free(want);
        op_workspace_free(ctx, &ws);
        op_free(&x);
        op_free(&out);
    }
}
END_TEST

/* The same bits in every run, also with other work between. */
START_TEST(sum_is_deterministic)
{
    TEST_BOTH(ctx)
    {
        const size_t n = 100003;
        op_tensor x = op_rand(ctx, n, 0, 1, 1);
        test_tensor ws = op_workspace(ctx, bf_sum_mid_workspace(ctx, 1, n, 1));
        float first = 0;
        for (int run = 0; run < 5; run++) {
            op_tensor out = op_out(ctx, 1, false, 0);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_sum_mid(c, out.mem, false, 1, x.mem, 1, n, 1, ws.mem, err));
            test_run(c);
            op_read(ctx, &out);
            if (run == 0) first = out.f[0];
            ck_assert(memcmp(&first, out.f, sizeof first) == 0);
            op_free(&out);
        }
        op_workspace_free(ctx, &ws);
        op_free(&x);
    }
}
END_TEST

/* Sums of different shapes in one launch, and the first stage of a long one. */
START_TEST(folds_match_reference)
{
    static const int folds[BF_FOLDS][2] = {{1, 1},   {16, 128}, {33, 65},  {2, 1000},
                                           {63, 31}, {7, 64},   {1, 4097}, {130, 3}};
    TEST_BOTH(ctx)
    for (int n = 1; n <= BF_FOLDS; n += BF_FOLDS - 1) {
        op_tensor x[BF_FOLDS], out[BF_FOLDS];
        bf_fold_sum sums[BF_FOLDS];
        for (int i = 0; i < n; i++) {
            const size_t mid = (size_t)folds[i][0], cols = (size_t)folds[i][1];
            x[i] = op_rand(ctx, mid * cols, 0.25f, 1, (uint32_t)i + 1);
            out[i] = op_out(ctx, cols, i % 2, 3);
            sums[i] = (bf_fold_sum){out[i].mem, x[i].mem, i % 2, folds[i][0], folds[i][1]};
        }
        bf_cmds *c = op_cmds(ctx);
        OK(bf_fold(c, sums, n, err));
        ck_assert_uint_eq(bf_cmds_count(c), 1);
        test_run(c);
        for (int i = 0; i < n; i++) {
            const size_t mid = (size_t)folds[i][0], cols = (size_t)folds[i][1];
            double *want = malloc(cols * sizeof *want);
            ref_sum_mid(want, 1, x[i].d, 1, mid, cols);
            op_expect(ctx, "fold", &out[i], i % 2, want, 5e-7);
            free(want);
            op_free(&x[i]);
            op_free(&out[i]);
        }
    }
}
END_TEST

START_TEST(parts_add_up)
{
    TEST_BOTH(ctx)
    {
        const size_t mid = 3137, cols = 33, parts = (size_t)bf_sum_mid_parts(ctx, mid, cols);
        ck_assert_uint_gt(parts, 1);
        op_tensor x = op_rand(ctx, mid * cols, 0.25f, 1, 1), out = op_out(ctx, cols, false, 3);
        op_tensor part = op_out(ctx, parts * cols, false, 4);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_sum_mid_partial(c, part.mem, x.mem, mid, cols, err));
        OK(bf_fold(c, &(bf_fold_sum){out.mem, part.mem, false, (int)parts, (int)cols}, 1, err));
        test_run(c);
        double want[33];
        ref_sum_mid(want, 1, x.d, 1, mid, cols);
        op_expect(ctx, "parts", &out, false, want, 5e-7);
        op_free(&x);
        op_free(&out);
        op_free(&part);
    }
}
END_TEST

START_TEST(missing_workspace_is_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_err e = {0};
    op_tensor x = op_rand(ctx, 8, 0, 1, 1);
    bf_cmds *c = op_cmds(ctx);
    ck_assert_int_eq(bf_sum_mid(c, x.mem, false, 1, x.mem, 1, 1000000, 1, BF_MEM_NONE, &e), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(e.message, "workspace"));
    bf_cmds_free(c);
    op_free(&x);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {sum_matches_reference, sum_is_deterministic, folds_match_reference, parts_add_up,
                                  missing_workspace_is_refused};
    return op_main("reduce", tests, BF_COUNT(tests));
}
