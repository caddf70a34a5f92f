#include "op_test.h"
#include "ref/softmax.h"

static const size_t shapes[][2] = {{1, 1},  {3, 2},   {1, 31},   {257, 16}, {65, 27}, {33, 33},
                                   {5, 64}, {7, 256}, {3, 1000}, {2, 4099}, {97, 63}};

START_TEST(forward_and_backward)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) {
        const size_t rows = shapes[k][0], cols = shapes[k][1], n = rows * cols;
        const bool acc = k % 2;
        op_tensor x = op_rand(ctx, n, 0, 6, 1), dy = op_rand(ctx, n, 0, 1, 2);
        op_tensor y = op_out(ctx, n, false, 0), dx = op_out(ctx, n, acc, 3);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_softmax_forward(c, y.mem, x.mem, rows, (int)cols, err));
        OK(bf_softmax_backward(c, dx.mem, acc, dy.mem, y.mem, rows, (int)cols, err));
        test_run(c);
        double *p = malloc(n * sizeof *p);
        ref_softmax(p, x.d, rows, cols);
        op_expect(ctx, "y", &y, false, p, 1e-6);
        for (size_t r = 0; r < rows; r++) { /* the Jacobian written out */
            const double sum = op_dot(p + r * cols, dy.d + r * cols, cols);
            for (size_t i = r * cols; i < (r + 1) * cols; i++) p[i] *= dy.d[i] - sum;
        }
        op_expect(ctx, "dx", &dx, acc, p, 2e-6);
        free(p);
        op_free(&x);
        op_free(&dy);
        op_free(&y);
        op_free(&dx);
    }
}
END_TEST

typedef struct loss {
    double *x, *dy, *y;
    size_t rows, cols;
} loss;

static double softmax_loss(void *reference)
{
    const loss *l = reference;
    ref_softmax(l->y, l->x, l->rows, l->cols);
    return op_dot(l->y, l->dy, l->rows * l->cols);
}

START_TEST(backward_matches_finite_differences)
{
    TEST_BOTH(ctx)
    {
        const size_t rows = 5, cols = 19, n = rows * cols;
        op_tensor x = op_rand(ctx, n, 0, 2, 1), dy = op_rand(ctx, n, 0, 1, 2);
        op_tensor y = op_out(ctx, n, false, 0), dx = op_out(ctx, n, true, 3);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_softmax_forward(c, y.mem, x.mem, rows, (int)cols, err));
        OK(bf_softmax_backward(c, dx.mem, true, dy.mem, y.mem, rows, (int)cols, err));
        test_run(c);
        loss l = {x.d, dy.d, y.d, rows, cols};
        op_expect_gradient(ctx, "dx", &dx, true, x.d, softmax_loss, &l, 2e-6);
        op_free(&x);
        op_free(&dy);
        op_free(&y);
        op_free(&dx);
    }
}
END_TEST

/* Logits of any size, in place; minus infinity is a probability of 0. */
START_TEST(extremes)
{
    TEST_BOTH(ctx)
    {
        const float in[2][4] = {{1e30f, -1e30f, 1e30f, -INFINITY}, {-3000, -3001, -3000, -INFINITY}};
        const double e = exp(-1);
        const double want[8] = {0.5, 0, 0.5, 0, 1 / (2 + e), e / (2 + e), 1 / (2 + e), 0};
        float got[8], expected[8];
        for (int i = 0; i < 8; i++) expected[i] = (float)want[i];
        test_tensor x = test_new(ctx, 8, &in[0][0]);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_softmax_forward(c, x.mem, x.mem, 2, 4, err));
        test_run(c);
        test_get(ctx, &x, got);
        test_close("softmax", got, expected, 8, 1e-7, 0);
        test_free(&x);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {forward_and_backward, backward_matches_finite_differences, extremes};
    return op_main("softmax", tests, BF_COUNT(tests));
}
