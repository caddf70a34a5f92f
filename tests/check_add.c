#include "op_test.h"
#include "ref/add.h"

START_TEST(axpby)
{
    static const size_t sizes[] = {1, 33, 64, 4096, 4097, 10007};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(sizes); k++)
        for (int has_b = 0; has_b < 2; has_b++) {
            const size_t n = sizes[k];
            op_tensor a = op_rand(ctx, n, 0, 1, 1), b = op_rand(ctx, n, 0, 1, 2), y = op_out(ctx, n, false, 0);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_axpby(c, y.mem, 0.75f, a.mem, -1.5f, has_b ? b.mem : BF_MEM_NONE, n, err));
            test_run(c);
            double *want = malloc(n * sizeof *want);
            ref_axpby(want, 0.75, a.d, -1.5, has_b ? b.d : NULL, n);
            op_expect(ctx, "y", &y, false, want, 2e-7);
            free(want);
            op_free(&a);
            op_free(&b);
            op_free(&y);
        }
}
END_TEST

START_TEST(axpby_in_place)
{
    TEST_BOTH(ctx)
    {
        const size_t n = 5003;
        op_tensor a = op_rand(ctx, n, 0, 1, 1), b = op_rand(ctx, n, 0, 1, 2);
        double *want = malloc(n * sizeof *want);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_axpby(c, b.mem, 2.0f, a.mem, 0.5f, b.mem, n, err)); /* y is b */
        test_run(c);
        ref_axpby(want, 2.0, a.d, 0.5, b.d, n);
        op_expect(ctx, "y = b", &b, false, want, 2e-7);
        c = op_cmds(ctx);
        OK(bf_axpby(c, a.mem, 3.0f, a.mem, 0, BF_MEM_NONE, n, err)); /* y is a */
        test_run(c);
        ref_axpby(want, 3.0, a.d, 0, NULL, n);
        op_expect(ctx, "y = a", &a, false, want, 2e-7);
        free(want);
        op_free(&a);
        op_free(&b);
    }
}
END_TEST

START_TEST(add_mid)
{
    static const size_t shapes[][3] = {{1, 1, 1},   {1, 7, 33},   {3, 49, 32},  {2, 5, 1},
                                       {48, 3, 65}, {1, 3, 5000}, {5, 300, 17}, {2, 131, 63}};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) {
        const size_t outer = shapes[k][0], mid = shapes[k][1], inner = shapes[k][2], n = outer * mid * inner;
        op_tensor x = op_rand(ctx, n, 0, 1, 1), t = op_rand(ctx, outer * inner, 0, 1, 2), y = op_out(ctx, n, false, 0);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_add_mid_forward(c, y.mem, x.mem, t.mem, outer, mid, inner, err));
        test_run(c);
        double *want = malloc(n * sizeof *want);
        ref_add_mid(want, x.d, t.d, outer, mid, inner);
        op_expect(ctx, "y", &y, false, want, 1e-7);
        free(want);
        op_free(&x);
        op_free(&t);
        op_free(&y);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {axpby, axpby_in_place, add_mid};
    return op_main("add", tests, BF_COUNT(tests));
}
