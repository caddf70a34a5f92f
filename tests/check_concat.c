#include "op_test.h"
#include "ref/concat.h"

/* rows, columns of a, columns of b */
static const int shapes[][3] = {{1, 1, 1},    {33, 2, 5},    {98, 32, 64},  {7, 31, 65},
                                {301, 16, 1}, {3, 5000, 17}, {1009, 33, 32}};

START_TEST(forward)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) {
        const int ca = shapes[k][1], cb = shapes[k][2], cy = ca + cb;
        const size_t rows = (size_t)shapes[k][0], n = rows * (size_t)cy;
        op_tensor a = op_rand(ctx, rows * (size_t)ca, 0, 1, 1), b = op_rand(ctx, rows * (size_t)cb, 0, 1, 2);
        op_tensor y = op_out(ctx, n, false, 0);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_concat_forward(c, y.mem, a.mem, b.mem, rows, ca, cb, err));
        test_run(c);
        double *want = malloc(n * sizeof *want);
        ref_columns(want, cy, 0, a.d, ca, 0, ca, rows);
        ref_columns(want, cy, ca, b.d, cb, 0, cb, rows);
        op_expect(ctx, "y", &y, false, want, 0);
        free(want);
        op_free(&a);
        op_free(&b);
        op_free(&y);
    }
}
END_TEST

START_TEST(backward)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) {
        const int ca = shapes[k][1], cb = shapes[k][2], cy = ca + cb;
        const size_t rows = (size_t)shapes[k][0], n = rows * (size_t)cy;
        const bool acc_a = k % 2, acc_b = !acc_a;
        op_tensor dy = op_rand(ctx, n, 0, 1, 1);
        op_tensor da = op_out(ctx, rows * (size_t)ca, acc_a, 2), db = op_out(ctx, rows * (size_t)cb, acc_b, 3);
        op_tensor only = op_out(ctx, rows * (size_t)cb, false, 0), twice = op_out(ctx, rows * (size_t)cb, false, 0);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_concat_backward(c, da.mem, acc_a, db.mem, acc_b, dy.mem, rows, ca, cb, err));
        OK(bf_concat_backward(c, BF_MEM_NONE, false, only.mem, false, dy.mem, rows, ca, cb, err));
        OK(bf_take_columns(c, twice.mem, false, 2.0f, dy.mem, rows, cb, ca, cy, err));
        test_run(c);
        double *want = malloc(n * sizeof *want);
        ref_columns(want, ca, 0, dy.d, cy, 0, ca, rows);
        op_expect(ctx, "da", &da, acc_a, want, 1e-7);
        ref_columns(want, cb, 0, dy.d, cy, ca, cb, rows);
        op_expect(ctx, "db", &db, acc_b, want, 1e-7);
        op_expect(ctx, "db alone", &only, false, want, 0);
        for (size_t i = 0; i < rows * (size_t)cb; i++) want[i] *= 2;
        op_expect(ctx, "2 db", &twice, false, want, 0);
        free(want);
        op_free(&dy);
        op_free(&da);
        op_free(&db);
        op_free(&only);
        op_free(&twice);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {forward, backward};
    return op_main("concat", tests, BF_COUNT(tests));
}
