#include "op_test.h"
#include "ref/group_norm.h"

#define EPS 1e-5

typedef struct norm {
    ref_group_norm s;
    double *y, *dy;
} norm;

static size_t elements(const ref_group_norm *s)
{
    return (size_t)s->batch * (size_t)s->points * (size_t)s->ch;
}

static double norm_loss(void *reference)
{
    const norm *r = reference;
    ref_group_norm_forward(&r->s, r->y, NULL, NULL);
    return op_dot(r->y, r->dy, elements(&r->s));
}

typedef struct shape {
    int batch, points, ch, groups;
    bf_act act;
    bool scale_shift;
    int pitch;
    bool acc;
    float mean;
} shape;

/* Forward against the reference, every gradient against finite differences. */
static void check_shape(bf_ctx *ctx, const shape *t)
{
    const bf_group_norm s = {t->batch, t->points, t->ch, t->groups, (float)EPS, t->act, t->scale_shift, t->pitch};
    const size_t n = (size_t)t->batch * (size_t)t->points * (size_t)t->ch, ch = (size_t)t->ch;
    const size_t pitch = t->pitch ? (size_t)t->pitch : ch, rows = (size_t)t->batch * pitch;
    const size_t stats = (size_t)t->batch * (size_t)t->groups;
    op_tensor x = op_rand(ctx, n, t->mean, 1, 1), gamma = op_rand(ctx, ch, 1, 0.5f, 2),
              beta = op_rand(ctx, ch, 0, 1, 3);
    op_tensor scale = op_rand(ctx, rows, 0, 0.5f, 4), shift = op_rand(ctx, rows, 0, 1, 5);
    op_tensor y = op_out(ctx, n, false, 0), mean = op_out(ctx, stats, false, 0), rstd = op_out(ctx, stats, false, 0);
    op_tensor dy = op_rand(ctx, n, 0, 1, 6), dx = op_out(ctx, n, t->acc, 7);
    op_tensor dg = op_out(ctx, ch, t->acc, 8), db = op_out(ctx, ch, t->acc, 9);
    op_tensor dscale = op_rand(ctx, rows, 0, 1, 10), dshift = op_rand(ctx, rows, 0, 1, 11);
    test_tensor ws = op_workspace(ctx, bf_group_norm_forward_workspace(ctx, &s));
    test_tensor ws_back = op_workspace(ctx, bf_group_norm_backward_workspace(ctx, &s));
    const bf_mem sc = t->scale_shift ? scale.mem : BF_MEM_NONE, sh = t->scale_shift ? shift.mem : BF_MEM_NONE;
    const bool apart = t->points % 2; /* the sums over the batch are ours */
    const size_t samples = (size_t)t->batch * ch;
    op_tensor by_gamma = op_out(ctx, samples, false, 0), by_beta = op_out(ctx, samples, false, 0);
    bf_group_norm_grads d = {.dx = dx.mem, .acc_x = t->acc, .acc_gamma = t->acc, .acc_beta = t->acc, .acc_scale = true};
    if (apart) {
        d.by_gamma = by_gamma.mem;
        d.by_beta = by_beta.mem;
    } else {
        d.dgamma = dg.mem;
        d.dbeta = db.mem;
    }
    if (t->scale_shift) {
        d.dscale = dscale.mem;
        d.dshift = dshift.mem;
    }
    bf_cmds *c = op_cmds(ctx);
    OK(bf_group_norm_forward(c, &s, y.mem, mean.mem, rstd.mem, x.mem, gamma.mem, beta.mem, sc, sh, ws.mem, err));
    OK(bf_group_norm_backward(c, &s, &d, dy.mem, x.mem, mean.mem, rstd.mem, gamma.mem, beta.mem, sc, sh, ws_back.mem,
                              err));
    const bf_fold_sum sums[] = {{dg.mem, by_gamma.mem, t->acc, t->batch, t->ch},
                                {db.mem, by_beta.mem, t->acc, t->batch, t->ch}};
    if (apart) OK(bf_fold(c, sums, 2, err));
    test_run(c);
    norm ref = {{t->batch, t->points, t->ch, t->groups, (int)pitch, (int)t->act, EPS, x.d, gamma.d, beta.d,
                 t->scale_shift ? scale.d : NULL, t->scale_shift ? shift.d : NULL},
                malloc(n * sizeof(double)),
                dy.d};
    ref_group_norm_forward(&ref.s, ref.y, mean.d, rstd.d);
    op_expect(ctx, "y", &y, false, ref.y, 2e-6);
    op_expect(ctx, "mean", &mean, false, mean.d, 1e-6);
    op_expect(ctx, "rstd", &rstd, false, rstd.d, 2e-6);
    op_expect_gradient(ctx, "dx", &dx, t->acc, x.d, norm_loss, &ref, 1e-5);
    op_expect_gradient(ctx, "dgamma", &dg, t->acc, gamma.d, norm_loss, &ref, 5e-6);
    op_expect_gradient(ctx, "dbeta", &db, t->acc, beta.d, norm_loss, &ref, 5e-6);
    if (t->scale_shift) {
        op_expect_gradient(ctx, "dscale", &dscale, true, scale.d, norm_loss, &ref, 5e-6);
        op_expect_gradient(ctx, "dshift", &dshift, true, shift.d, norm_loss, &ref, 5e-6);
    }
    free(ref.y);
    op_workspace_free(ctx, &ws);
    op_workspace_free(ctx, &ws_back);
    op_tensor *all[] = {&x,  &gamma, &beta, &scale, &shift,  &y,      &mean,     &rstd,
                        &dy, &dx,    &dg,   &db,    &dscale, &dshift, &by_gamma, &by_beta};
    for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
}

START_TEST(silu)
{
    /* one to eight and odd channels per group, one and several chunks, column tiles and ragged vectors */
    static const shape list[] = {
        {1, 1, 2, 1, BF_ACT_SILU, false, 0, false, 0},
        {3, 49, 64, 8, BF_ACT_SILU, false, 0, true, 0},
        {2, 300, 32, 8, BF_ACT_SILU, false, 0, false, 0.5f},
        {2, 31, 33, 11, BF_ACT_SILU, false, 0, true, 0},
        {2, 65, 32, 32, BF_ACT_SILU, false, 0, false, 0},
        {1, 63, 129, 3, BF_ACT_SILU, false, 0, false, 0},
        {1, 37, 256, 32, BF_ACT_SILU, false, 0, true, 0},
        /* enough samples for tiles on the cpu class: one and several, ragged, groups that divide no vector */
        {4, 65, 33, 11, BF_ACT_SILU, false, 0, true, 0},
        {4, 31, 40, 4, BF_ACT_SILU, false, 0, false, 0.5f},
        {2, 9, 96, 16, BF_ACT_SILU, false, 0, false, 0},
        {5, 1, 32, 16, BF_ACT_SILU, false, 0, true, 0}};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(list); k++) check_shape(ctx, &list[k]);
}
END_TEST

START_TEST(plain_and_scale_shift)
{
    static const shape list[] = {{2, 49, 32, 4, BF_ACT_NONE, false, 0, false, 0},
                                 {3, 20, 31, 1, BF_ACT_NONE, false, 0, true, 0}};
    static const shape shifted[] = {{2, 31, 32, 8, BF_ACT_SILU, true, 0, false, 0},
                                    {3, 300, 17, 1, BF_ACT_SILU, true, 40, true, 0},
                                    {4, 63, 50, 25, BF_ACT_SILU, true, 60, true, 0}};
    TEST_BOTH(ctx)
    {
        for (size_t k = 0; k < BF_COUNT(list); k++) check_shape(ctx, &list[k]);
        for (size_t k = 0; k < BF_COUNT(shifted); k++) check_shape(ctx, &shifted[k]);
    }
}
END_TEST

/* Many chunks: the limit on their number makes them longer. */
START_TEST(many_points)
{
    static const shape big = {1, 5003, 16, 4, BF_ACT_SILU, false, 0, false, 0};
    if (test_quick()) return;
    TEST_BOTH(ctx)
    check_shape(ctx, &big);
}
END_TEST

/* A mean far above the deviation: the variance must not come from a difference of squares. By chunks and by tiles. */
START_TEST(large_mean)
{
    TEST_BOTH(ctx)
    for (int batch = 2; batch <= 4; batch += 2) {
        const bf_group_norm s = {batch, 300, 32, 8, (float)EPS, BF_ACT_NONE, false, 0};
        const size_t n = (size_t)batch * 300 * 32, stats = (size_t)batch * 8;
        op_tensor x = op_rand(ctx, n, 1000, 1, 1), gamma = op_rand(ctx, 32, 1, 0, 2), beta = op_rand(ctx, 32, 0, 0, 3);
        op_tensor y = op_out(ctx, n, false, 0), mean = op_out(ctx, stats, false, 0),
                  rstd = op_out(ctx, stats, false, 0);
        test_tensor ws = op_workspace(ctx, bf_group_norm_forward_workspace(ctx, &s));
        bf_cmds *c = op_cmds(ctx);
        OK(bf_group_norm_forward(c, &s, y.mem, mean.mem, rstd.mem, x.mem, gamma.mem, beta.mem, BF_MEM_NONE, BF_MEM_NONE,
                                 ws.mem, err));
        test_run(c);
        const ref_group_norm ref = {batch, 300, 32, 8, 32, 0, EPS, x.d, gamma.d, beta.d, NULL, NULL};
        ref_group_norm_forward(&ref, x.d, mean.d, rstd.d);
        op_expect(ctx, "rstd", &rstd, false, rstd.d, 1e-5); /* means of channels are rounded to 3e-5 */
        op_expect(ctx, "y", &y, false, x.d, 1e-4);          /* the mean itself has a rounding error of 3e-5 */
        op_workspace_free(ctx, &ws);
        op_tensor *all[] = {&x, &gamma, &beta, &y, &mean, &rstd};
        for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
    }
}
END_TEST

START_TEST(bad_groups_are_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const bf_group_norm s = {1, 4, 6, 4, (float)EPS, BF_ACT_NONE, false, 0};
    bf_err e = {0};
    op_tensor x = op_rand(ctx, 24, 0, 1, 1);
    bf_cmds *c = op_cmds(ctx);
    ck_assert_int_eq(
        bf_group_norm_forward(c, &s, x.mem, x.mem, x.mem, x.mem, x.mem, x.mem, BF_MEM_NONE, BF_MEM_NONE, x.mem, &e),
        BF_USAGE);
    bf_cmds_free(c);
    op_free(&x);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {silu, plain_and_scale_shift, many_points, large_mean, bad_groups_are_refused};
    return op_main("group_norm", tests, BF_COUNT(tests));
}
