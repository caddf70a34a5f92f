#include <string.h>

#include "op_test.h"
#include "ref/act.h"

static const size_t sizes[] = {1, 31, 32, 33, 63, 64, 65, 4095, 4097, 10007};

START_TEST(forward_matches_reference)
{
    TEST_BOTH(ctx)
    for (int act = BF_ACT_NONE; act <= BF_ACT_SOFTPLUS; act++)
        for (size_t k = 0; k < BF_COUNT(sizes); k++) {
            const size_t n = sizes[k];
            op_tensor x = op_rand(ctx, n, 0, 12, 1), y = op_out(ctx, n, false, 0);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_act_forward(c, (bf_act)act, y.mem, x.mem, n, err));
            test_run(c);
            for (size_t i = 0; i < n; i++) x.d[i] = ref_act(act, x.d[i]);
            op_expect(ctx, "y", &y, false, x.d, 2e-7);
            op_free(&x);
            op_free(&y);
        }
}
END_TEST

START_TEST(backward_matches_finite_differences)
{
    TEST_BOTH(ctx)
    for (int act = BF_ACT_NONE; act <= BF_ACT_SOFTPLUS; act++)
        for (size_t k = 0; k < BF_COUNT(sizes); k++) {
            const size_t n = sizes[k];
            const bool acc = k % 2;
            op_tensor x = op_rand(ctx, n, 0, 8, 2), dy = op_rand(ctx, n, 0, 1, 3), dx = op_out(ctx, n, acc, 4);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_act_backward(c, (bf_act)act, dx.mem, acc, dy.mem, x.mem, n, err));
            test_run(c);
            for (size_t i = 0; i < n; i++) x.d[i] = dy.d[i] * ref_act_slope(act, x.d[i]);
            op_expect(ctx, "dx", &dx, acc, x.d, 1e-6);
            op_free(&x);
            op_free(&dy);
            op_free(&dx);
        }
}
END_TEST

/* Large arguments saturate instead of becoming NaN, and NaN stays visible. */
START_TEST(extremes)
{
    TEST_BOTH(ctx)
    for (int act = BF_ACT_SILU; act <= BF_ACT_SOFTPLUS; act++) {
        const float in[] = {-1e30f, -200, -100, -88, 0, 88, 100, 200, 1e12f, NAN};
        const size_t n = BF_COUNT(in);
        float y[BF_COUNT(in)], g[BF_COUNT(in)], ones[BF_COUNT(in)];
        for (size_t i = 0; i < n; i++) ones[i] = 1;
        test_tensor tx = test_new(ctx, n, in), ty = test_new(ctx, n, NULL), tg = test_new(ctx, n, NULL);
        test_tensor t1 = test_new(ctx, n, ones);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_act_forward(c, (bf_act)act, ty.mem, tx.mem, n, err));
        OK(bf_act_backward(c, (bf_act)act, tg.mem, false, t1.mem, tx.mem, n, err));
        test_run(c);
        test_get(ctx, &ty, y);
        test_get(ctx, &tg, g);
        const bool shifted = act == BF_ACT_SOFTPLUS; /* by log 2, so that 0 stays 0 */
        for (size_t i = 0; i + 1 < n; i++) {
            const float limit = (in[i] > 0 ? in[i] : 0) - (shifted && in[i] != 0 ? 0.69314718f : 0);
            ck_assert_msg(fabsf(y[i] - limit) < (shifted ? 1e-6f : 1e-30f), "act %d at %g: %g", act, (double)in[i],
                          (double)y[i]);
            if (in[i] != 0 && fabsf(in[i]) < 1e3f) {
                ck_assert_msg(fabsf(g[i] - (in[i] > 0 ? 1.0f : 0.0f)) < 1e-30f, "act %d slope at %g: %g", act,
                              (double)in[i], (double)g[i]);
            }
        }
        ck_assert_msg(isnan(y[n - 1]), "act %d hides NaN", act);
        ck_assert(act != BF_ACT_RELU || g[4] == 0.0f); /* as PyTorch: relu'(0) = 0 */
        test_free(&tx);
        test_free(&ty);
        test_free(&tg);
        test_free(&t1);
    }
}
END_TEST

START_TEST(wrong_activation_is_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_err e = {0};
    test_tensor x = test_new(ctx, 4, NULL);
    bf_cmds *c = op_cmds(ctx);
    ck_assert_int_eq(bf_act_forward(c, (bf_act)9, x.mem, x.mem, 4, &e), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(e.message, "9"));
    bf_cmds_free(c);
    test_free(&x);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {forward_matches_reference, backward_matches_finite_differences, extremes,
                                  wrong_activation_is_refused};
    return op_main("act", tests, BF_COUNT(tests));
}
