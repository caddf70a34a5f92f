#include "op_test.h"

/* Rows by number, some of them beyond those that x holds, and rows in order. */
START_TEST(rows_by_number)
{
    static const int widths[] = {1, 15, 16, 17, 33, 127};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(widths); k++)
        for (int way = 0; way < 4; way++) {
            enum { ROWS = 37, X_ROWS = 23, FIRST = 5 };
            const int cols = widths[k], acc = way % 2, ordered = way / 2;
            const size_t n = (size_t)(ROWS * cols);
            uint32_t index[ROWS];
            op_tensor x = op_rand(ctx, (size_t)(X_ROWS * cols), 0, 1, 1), y = op_out(ctx, n, acc, 2);
            double *want = calloc(n, sizeof *want);
            ck_assert_ptr_nonnull(want);
            for (uint32_t r = 0; r < ROWS; r++) index[r] = ordered ? r : (r * 11 + 3) % 31; /* 0..30; x has 5..27 */
            for (size_t i = 0; i < n; i++) {
                const int from = (int)index[i / (size_t)cols] - FIRST;
                if (from >= 0 && from < X_ROWS) want[i] = x.d[(size_t)(from * cols) + i % (size_t)cols];
            }
            test_tensor words = op_words(ctx, ROWS, index);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_take_rows(c, y.mem, acc, ROWS, x.mem, X_ROWS, ordered ? BF_MEM_NONE : words.mem, FIRST, cols, err));
            test_run(c);
            op_expect(ctx, "rows", &y, acc, want, 1e-7);
            free(want);
            test_free(&words);
            op_free(&x);
            op_free(&y);
        }
}
END_TEST

START_TEST(rows_are_checked)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    op_tensor x = op_rand(ctx, 4, 0, 1, 1);
    bf_cmds *c = op_cmds(ctx);
    bf_err e = {0};
    ck_assert_int_eq(bf_take_rows(c, x.mem, false, 1, x.mem, 1, BF_MEM_NONE, 0, 0, &e), BF_USAGE);
    OK(bf_take_rows(c, x.mem, false, 0, x.mem, 1, BF_MEM_NONE, 0, 4, err));
    ck_assert_uint_eq(bf_cmds_count(c), 0);
    bf_cmds_free(c);
    op_free(&x);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {rows_by_number, rows_are_checked};
    return op_main("rows", tests, BF_COUNT(tests));
}
