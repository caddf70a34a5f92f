#include "op_test.h"
#include "ref/upsample.h"

static const int shapes[][4] = {{1, 1, 1, 1},  {2, 3, 5, 7},   {1, 7, 7, 64},
                                {3, 4, 2, 33}, {2, 2, 31, 16}, {1, 5, 3, 65}};

START_TEST(forward_and_backward)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++)
        for (int acc = 0; acc < 2; acc++) {
            const int *s = shapes[k];
            const size_t n = (size_t)(s[0] * s[1] * s[2] * s[3]);
            op_tensor x = op_rand(ctx, n, 0, 1, 1), y = op_out(ctx, 4 * n, false, 0);
            op_tensor dy = op_rand(ctx, 4 * n, 0, 1, 2), dx = op_out(ctx, n, acc, 3);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_upsample_forward(c, y.mem, x.mem, s[0], s[1], s[2], s[3], err));
            OK(bf_upsample_backward(c, dx.mem, acc, dy.mem, s[0], s[1], s[2], s[3], err));
            test_run(c);
            double *want = malloc(4 * n * sizeof *want);
            ref_upsample(want, x.d, s[0], s[1], s[2], s[3]);
            op_expect(ctx, "y", &y, false, want, 0);
            ref_upsample_gradient(want, dy.d, s[0], s[1], s[2], s[3]);
            op_expect(ctx, "dx", &dx, acc, want, 3e-7);
            free(want);
            op_free(&x);
            op_free(&y);
            op_free(&dy);
            op_free(&dx);
        }
}
END_TEST

START_TEST(bad_shape_is_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_err e = {0};
    op_tensor x = op_rand(ctx, 8, 0, 1, 1);
    bf_cmds *c = op_cmds(ctx);
    ck_assert_int_eq(bf_upsample_forward(c, x.mem, x.mem, 1, 0, 2, 4, &e), BF_USAGE);
    bf_cmds_free(c);
    op_free(&x);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {forward_and_backward, bad_shape_is_refused};
    return op_main("upsample", tests, BF_COUNT(tests));
}
