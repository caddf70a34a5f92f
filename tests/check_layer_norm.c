#include "op_test.h"
#include "ref/layer_norm.h"

typedef struct norm {
    double *x, *gamma, *beta, *dy, *y;
    size_t rows, cols;
} norm;

#define EPS 1e-5

static double norm_loss(void *reference)
{
    const norm *s = reference;
    ref_layer_norm(s->y, NULL, NULL, s->x, s->gamma, s->beta, s->rows, s->cols, EPS);
    return op_dot(s->y, s->dy, s->rows * s->cols);
}

/* Forward against the reference, every gradient against finite differences. */
static void check_norm(bf_ctx *ctx, size_t rows, size_t cols, bool affine, bool acc, float mean)
{
    const size_t n = rows * cols;
    op_tensor x = op_rand(ctx, n, mean, 1, 1), gamma = op_rand(ctx, cols, 1, 0.5f, 2),
              beta = op_rand(ctx, cols, 0, 1, 3);
    op_tensor y = op_out(ctx, n, false, 0), m = op_out(ctx, rows, false, 0), s = op_out(ctx, rows, false, 0);
    op_tensor dy = op_rand(ctx, n, 0, 1, 4), dx = op_out(ctx, n, acc, 5);
    op_tensor dg = op_out(ctx, cols, acc, 6), db = op_out(ctx, cols, acc, 7);
    test_tensor ws = op_workspace(ctx, bf_layer_norm_backward_workspace(ctx, rows, (int)cols));
    const bf_mem g = affine ? gamma.mem : BF_MEM_NONE, b = affine ? beta.mem : BF_MEM_NONE;
    bf_cmds *c = op_cmds(ctx);
    OK(bf_layer_norm_forward(c, y.mem, m.mem, s.mem, x.mem, g, b, rows, (int)cols, (float)EPS, err));
    OK(bf_layer_norm_backward(c, dx.mem, acc, affine ? dg.mem : BF_MEM_NONE, acc, affine ? db.mem : BF_MEM_NONE, acc,
                              dy.mem, x.mem, m.mem, s.mem, g, rows, (int)cols, ws.mem, err));
    test_run(c);
    norm ref = {x.d, affine ? gamma.d : NULL, affine ? beta.d : NULL, dy.d, malloc(n * sizeof(double)), rows, cols};
    ref_layer_norm(ref.y, m.d, s.d, x.d, ref.gamma, ref.beta, rows, cols, EPS);
    op_expect(ctx, "y", &y, false, ref.y, 2e-6 * (1 + fabs((double)mean)));
    op_expect(ctx, "mean", &m, false, m.d, 1e-6);
    op_expect(ctx, "rstd", &s, false, s.d, 2e-6);
    op_expect_gradient(ctx, "dx", &dx, acc, x.d, norm_loss, &ref, 1e-5);
    if (affine) {
        op_expect_gradient(ctx, "dgamma", &dg, acc, gamma.d, norm_loss, &ref, 5e-6);
        op_expect_gradient(ctx, "dbeta", &db, acc, beta.d, norm_loss, &ref, 5e-6);
    }
    free(ref.y);
    op_workspace_free(ctx, &ws);
    op_tensor *all[] = {&x, &gamma, &beta, &y, &m, &s, &dy, &dx, &dg, &db};
    for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
}

START_TEST(shapes)
{
    static const size_t list[][2] = {{1, 2}, {3, 31}, {65, 33}, {2, 64}, {7, 768}, {601, 17}, {2, 1031}, {3, 2051}};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(list); k++) check_norm(ctx, list[k][0], list[k][1], k % 3 != 2, k % 2, 0);
}
END_TEST

/* Nothing cancels when the mean is large against the deviation. */
START_TEST(large_mean)
{
    TEST_BOTH(ctx)
    check_norm(ctx, 5, 96, true, false, 3);
}
END_TEST

/* Forward alone needs no statistics. */
START_TEST(without_statistics)
{
    TEST_BOTH(ctx)
    {
        op_tensor x = op_rand(ctx, 3 * 40, 0, 1, 1), y = op_out(ctx, 3 * 40, false, 0);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_layer_norm_forward(c, y.mem, BF_MEM_NONE, BF_MEM_NONE, x.mem, BF_MEM_NONE, BF_MEM_NONE, 3, 40, (float)EPS,
                                 err));
        test_run(c);
        double want[3 * 40];
        ref_layer_norm(want, NULL, NULL, x.d, NULL, NULL, 3, 40, EPS);
        op_expect(ctx, "y", &y, false, want, 2e-6);
        op_free(&x);
        op_free(&y);
    }
}
END_TEST

/* dx alone and the parameters' gradients alone are those of a call for everything. */
START_TEST(some_gradients)
{
    const size_t rows = 70, cols = 33, n = rows * cols;
    TEST_BOTH(ctx)
    {
        op_tensor x = op_rand(ctx, n, 0, 1, 1), dy = op_rand(ctx, n, 0, 1, 2), gamma = op_rand(ctx, cols, 1, 0.5f, 3);
        op_tensor m = op_rand(ctx, rows, 0, 0.1f, 4), s = op_rand(ctx, rows, 1.5f, 0.1f, 5);
        op_tensor dx[2], dg[2], db[2];
        test_tensor ws = op_workspace(ctx, bf_layer_norm_backward_workspace(ctx, rows, (int)cols));
        bf_cmds *c = op_cmds(ctx);
        for (int k = 0; k < 2; k++) {
            dx[k] = op_out(ctx, n, false, 0);
            dg[k] = op_out(ctx, cols, false, 0);
            db[k] = op_out(ctx, cols, false, 0);
        }
        OK(bf_layer_norm_backward(c, dx[0].mem, false, dg[0].mem, false, db[0].mem, false, dy.mem, x.mem, m.mem, s.mem,
                                  gamma.mem, rows, (int)cols, ws.mem, err));
        OK(bf_layer_norm_backward(c, dx[1].mem, false, BF_MEM_NONE, false, BF_MEM_NONE, false, dy.mem, x.mem, m.mem,
                                  s.mem, gamma.mem, rows, (int)cols, BF_MEM_NONE, err));
        OK(bf_layer_norm_backward(c, BF_MEM_NONE, false, dg[1].mem, false, BF_MEM_NONE, false, dy.mem, x.mem, m.mem,
                                  s.mem, gamma.mem, rows, (int)cols, ws.mem, err));
        OK(bf_layer_norm_backward(c, BF_MEM_NONE, false, BF_MEM_NONE, false, db[1].mem, false, dy.mem, x.mem, m.mem,
                                  s.mem, gamma.mem, rows, (int)cols, ws.mem, err));
        test_run(c);
        for (int k = 0; k < 2; k++) {
            op_read(ctx, &dx[k]);
            op_read(ctx, &dg[k]);
            op_read(ctx, &db[k]);
        }
        test_close("dx", dx[1].f, dx[0].f, n, 1e-6, 1e-6);
        test_close("dgamma", dg[1].f, dg[0].f, cols, 1e-6, 1e-6);
        test_close("dbeta", db[1].f, db[0].f, cols, 1e-6, 1e-6);
        op_workspace_free(ctx, &ws);
        op_tensor *all[] = {&x, &dy, &gamma, &m, &s, &dx[0], &dx[1], &dg[0], &dg[1], &db[0], &db[1]};
        for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {shapes, large_mean, without_statistics, some_gradients};
    return op_main("layer_norm", tests, BF_COUNT(tests));
}
