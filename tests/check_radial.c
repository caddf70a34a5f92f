/* Lengths of edges and radial functions. */
#include "op_test.h"
#include "ref/neighbours.h"
#include "ref/radial.h"

static const size_t length_shapes[][2] = {{1, 2}, {3, 5}, {31, 33}, {65, 2}, {307, 33}}; /* items, slots */

typedef struct length_loss {
    double *x, *dd, *d;
    const uint32_t *src;
    size_t items, slots;
} length_loss;

static double lengths(void *reference)
{
    const length_loss *l = reference;
    ref_edge_length(l->d, l->x, l->src, l->items, l->slots);
    return op_dot(l->d, l->dd, l->items * l->slots);
}

static void check_length(bf_ctx *ctx, size_t items, size_t slots, bool acc)
{
    const size_t edges = items * slots;
    uint32_t *src = malloc(edges * sizeof *src), *count = malloc(items * sizeof *count);
    uint32_t *rev_offset = malloc((items + 1) * sizeof *rev_offset), *rev_edge = malloc(edges * sizeof *rev_edge);
    op_tensor x = op_rand(ctx, 3 * items, 0, 2, 1), dd = op_rand(ctx, edges, 0, 1, 2);
    op_tensor d = op_out(ctx, edges, false, 0), dx = op_out(ctx, 3 * items, acc, 3);
    ref_neighbours(src, count, x.f, (uint32_t[]){0, (uint32_t)items}, 1, (int)slots - 1);
    ref_reverse(rev_offset, rev_edge, src, items, (int)slots);
    test_tensor tsrc = op_words(ctx, edges, src), toffset = op_words(ctx, items + 1, rev_offset);
    test_tensor tedge = op_words(ctx, edges, rev_edge);
    bf_cmds *c = op_cmds(ctx);
    OK(bf_edge_length_forward(c, d.mem, x.mem, tsrc.mem, items, (int)slots, err));
    OK(bf_edge_length_backward(c, dx.mem, acc, dd.mem, d.mem, x.mem, tsrc.mem, toffset.mem, tedge.mem, items,
                               (int)slots, err));
    test_run(c);
    length_loss l = {x.d, dd.d, malloc(edges * sizeof(double)), src, items, slots};
    ck_assert_ptr_nonnull(l.d);
    (void)lengths(&l);
    op_expect(ctx, "d", &d, false, l.d, 3e-7);
    op_expect_gradient(ctx, "dx", &dx, acc, x.d, lengths, &l, 2e-6);
    op_tensor *all[] = {&x, &dd, &d, &dx};
    for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
    test_free(&tsrc), test_free(&toffset), test_free(&tedge);
    free(src), free(count), free(rev_offset), free(rev_edge), free(l.d);
}

START_TEST(edge_length)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(length_shapes); k++)
        check_length(ctx, length_shapes[k][0], length_shapes[k][1], k % 2);
}
END_TEST

/* At the same point the slope is 0, not NaN. */
START_TEST(length_zero_has_slope_zero)
{
    TEST_BOTH(ctx)
    {
        const float x[9] = {1, 2, 3, 1, 2, 3, 1, 2, 4}, ones[3] = {1, 1, 1};
        const uint32_t src[3] = {1, 0, 0}, rev_offset[4] = {0, 2, 3, 3}, rev_edge[3] = {1, 2, 0};
        float got[9], d[3];
        test_tensor tx = test_new(ctx, 9, x), td = test_new(ctx, 3, NULL), tdx = test_new(ctx, 9, NULL);
        test_tensor tdd = test_new(ctx, 3, ones), tsrc = op_words(ctx, 3, src);
        test_tensor toffset = op_words(ctx, 4, rev_offset), tedge = op_words(ctx, 3, rev_edge);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_edge_length_forward(c, td.mem, tx.mem, tsrc.mem, 3, 1, err));
        OK(bf_edge_length_backward(c, tdx.mem, false, tdd.mem, td.mem, tx.mem, tsrc.mem, toffset.mem, tedge.mem, 3, 1,
                                   err));
        test_run(c);
        test_get(ctx, &td, d), test_get(ctx, &tdx, got);
        test_close("d", d, (float[]){0, 0, 1}, 3, 0, 0);
        test_close("dx", got, (float[]){0, 0, -1, 0, 0, 0, 0, 0, 1}, 9, 0, 0);
        test_tensor *all[] = {&tx, &td, &tdx, &tdd, &tsrc, &toffset, &tedge};
        for (size_t i = 0; i < BF_COUNT(all); i++) test_free(all[i]);
    }
}
END_TEST

/* distances, functions */
static const size_t radial_shapes[][2] = {{1, 1},  {1, 20},  {33, 20}, {1031, 20}, {65, 16},
                                          {31, 4}, {64, 31}, {63, 33}, {17, 256}};

typedef struct radial_loss {
    double *d, *offset, *dy, *y;
    double scale;
    bool exponent;
    size_t n, cols;
} radial_loss;

static double radial_sum(void *reference)
{
    const radial_loss *l = reference;
    ref_radial(l->y, l->d, l->offset, l->scale, l->exponent, l->n, l->cols);
    return op_dot(l->y, l->dy, l->n * l->cols);
}

static void check_radial(bf_ctx *ctx, size_t n, size_t cols, bool exponent, bool acc)
{
    const float scale = exponent ? 3 : 1;
    op_tensor d = op_rand(ctx, n, 2, 2, 1), offset = op_rand(ctx, cols, 2, 2, 2), dy = op_rand(ctx, n * cols, 0, 1, 3);
    op_tensor y = op_out(ctx, n * cols, false, 0), dd = op_out(ctx, n, acc, 4);
    bf_cmds *c = op_cmds(ctx);
    OK(bf_radial_forward(c, y.mem, d.mem, offset.mem, scale, exponent, n, (int)cols, err));
    OK(bf_radial_backward(c, dd.mem, acc, dy.mem, y.mem, d.mem, offset.mem, scale, exponent, n, (int)cols, err));
    test_run(c);
    radial_loss l = {d.d, offset.d, dy.d, malloc(n * cols * sizeof(double)), (double)scale, exponent, n, cols};
    ck_assert_ptr_nonnull(l.y);
    (void)radial_sum(&l);
    op_expect(ctx, "y", &y, false, l.y, 1e-6);
    op_expect_gradient(ctx, "dd", &dd, acc, d.d, radial_sum, &l, 4e-6);
    op_tensor *all[] = {&d, &offset, &dy, &y, &dd};
    for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
    free(l.y);
}

START_TEST(radial)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(radial_shapes); k++)
        for (int exponent = 0; exponent < 2; exponent++)
            check_radial(ctx, radial_shapes[k][0], radial_shapes[k][1], exponent, k % 2);
}
END_TEST

START_TEST(impossible_numbers_are_refused)
{
    TEST_BOTH(ctx)
    {
        const bf_mem none = BF_MEM_NONE;
        bf_cmds *c = op_cmds(ctx);
        bf_err e = {0};
        ck_assert_int_eq(bf_radial_forward(c, none, none, none, 1, false, 5, 0, &e), BF_USAGE);
        ck_assert_int_eq(bf_radial_forward(c, none, none, none, 1, false, 5, BF_RADIAL_MOST + 1, &e), BF_USAGE);
        ck_assert_int_eq(bf_edge_length_forward(c, none, none, none, 0, 3, &e), BF_USAGE);
        ck_assert_int_eq(bf_edge_length_forward(c, none, none, none, UINT64_C(1) << 31, 3, &e), BF_USAGE);
        bf_cmds_free(c);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {edge_length, length_zero_has_slope_zero, radial, impossible_numbers_are_refused};
    return op_main("radial", tests, BF_COUNT(tests));
}
