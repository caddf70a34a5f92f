/* Rows of ragged batches: gather, sums, softmax and centring over segments, against the reference. */
#include "op_test.h"
#include "ref/segment.h"

/* Those of a quick run stand first. */
typedef struct shape {
    uint32_t size[8]; /* of the segments */
    size_t segments, cols;
} shape;

static const shape shapes[] = {
    {{1}, 1, 1},          {{0, 3, 0, 2}, 4, 3},    {{31, 32, 33}, 3, 16},  {{5, 0, 1}, 3, 65},
    {{7, 13, 29}, 3, 31}, {{63, 0, 64, 65}, 4, 1}, {{7, 13, 129}, 3, 128}, {{2003, 375}, 2, 3},
    {{3001}, 1, 1},       {{97, 2, 1009}, 3, 33}};

#define QUICK_SHAPES 6

static size_t count_shapes(void)
{
    return test_quick() ? QUICK_SHAPES : BF_COUNT(shapes);
}

/* The segments of a shape, and the lists of a permutation of its rows in parts of the same sizes. */
typedef struct lists {
    uint32_t offset[9], *segment, *entry;
    size_t n, segments, cols;
    test_tensor toffset, tsegment, tentry;
} lists;

static lists lists_new(bf_ctx *ctx, const shape *s)
{
    lists l = {.segments = s->segments, .cols = s->cols};
    for (size_t i = 0; i < s->segments; i++) l.offset[i + 1] = l.offset[i] + s->size[i];
    l.n = l.offset[s->segments];
    l.segment = malloc(l.n * sizeof *l.segment), l.entry = malloc(l.n * sizeof *l.entry);
    for (uint32_t i = 0; i < s->segments; i++)
        for (uint32_t m = l.offset[i]; m < l.offset[i + 1]; m++) l.segment[m] = i;
    for (uint32_t m = 0; m < l.n; m++) l.entry[m] = (uint32_t)(m * UINT64_C(7919) % l.n); /* a prime: a permutation */
    l.toffset = op_words(ctx, s->segments + 1, l.offset);
    l.tsegment = op_words(ctx, l.n, l.segment);
    l.tentry = op_words(ctx, l.n, l.entry);
    return l;
}

static void lists_free(lists *l)
{
    test_free(&l->toffset), test_free(&l->tsegment), test_free(&l->tentry);
    free(l->segment), free(l->entry);
}

static double *numbers(size_t n)
{
    double *x = calloc(n ? n : 1, sizeof *x);
    ck_assert_ptr_nonnull(x);
    return x;
}

START_TEST(sum_and_mean)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < 4 * count_shapes(); k++) {
        const bool mean = k % 2, listed = k / 2 % 2, acc = k % 3 == 0;
        lists l = lists_new(ctx, &shapes[k / 4]);
        const size_t out = l.segments * l.cols;
        op_tensor x = op_rand(ctx, l.n * l.cols, 0.5f, 1, 1), y = op_out(ctx, out, acc, 2);
        double *want = numbers(out);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_segment_sum(c, y.mem, acc, mean, x.mem, l.toffset.mem, listed ? l.tentry.mem : BF_MEM_NONE, l.segments,
                          (int)l.cols, err));
        test_run(c);
        ref_segment_sum(want, mean, x.d, l.offset, listed ? l.entry : NULL, l.segments, l.cols);
        op_expect(ctx, "sum", &y, acc, want, 2e-6);
        free(want);
        op_free(&x), op_free(&y);
        lists_free(&l);
    }
}
END_TEST

/* The other way: rows of the segments copied to their items, whole or divided by the number of items. */
START_TEST(gather)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < 2 * count_shapes(); k++) {
        const bool mean = k % 2, acc = k % 3 == 0;
        lists l = lists_new(ctx, &shapes[k / 2]);
        if (!mean)
            for (size_t m = 0; m < l.n; m += 3) l.segment[m] = BF_NO_ITEM;
        test_tensor index = op_words(ctx, l.n, l.segment);
        op_tensor x = op_rand(ctx, l.segments * l.cols, 0, 1, 1), y = op_out(ctx, l.n * l.cols, acc, 2);
        double *want = numbers(l.n * l.cols);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_gather(c, y.mem, acc, x.mem, index.mem, mean ? l.toffset.mem : BF_MEM_NONE, l.n, (int)l.cols, err));
        test_run(c);
        ref_gather(want, x.d, l.segment, l.n, l.cols);
        for (size_t i = 0; i < l.n * l.cols && mean; i++) {
            const uint32_t s = l.segment[i / l.cols];
            want[i] /= l.offset[s + 1] - l.offset[s];
        }
        op_expect(ctx, "gather", &y, acc, want, 3e-7);
        free(want);
        op_free(&x), op_free(&y), test_free(&index);
        lists_free(&l);
    }
}
END_TEST

START_TEST(softmax)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < count_shapes(); k++) {
        const bool acc = k % 2;
        lists l = lists_new(ctx, &shapes[k]);
        const size_t n = l.n * l.cols;
        op_tensor x = op_rand(ctx, n, 0, 6, 1), dy = op_rand(ctx, n, 0, 1, 2);
        op_tensor y = op_out(ctx, n, false, 0), dx = op_out(ctx, n, acc, 3);
        double *p = numbers(n), *sum = numbers(l.segments * l.cols), *of = numbers(n);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_segment_softmax_forward(c, y.mem, x.mem, l.toffset.mem, l.segments, (int)l.cols, err));
        OK(bf_segment_softmax_backward(c, dx.mem, acc, dy.mem, y.mem, l.toffset.mem, l.segments, (int)l.cols, err));
        test_run(c);
        ref_segment_softmax(p, x.d, l.offset, l.segments, l.cols);
        op_expect(ctx, "y", &y, false, p, 2e-6);
        for (size_t i = 0; i < n; i++) of[i] = p[i] * dy.d[i];
        ref_segment_sum(sum, false, of, l.offset, NULL, l.segments, l.cols);
        for (size_t i = 0; i < n; i++) p[i] *= dy.d[i] - sum[l.segment[i / l.cols] * l.cols + i % l.cols];
        op_expect(ctx, "dx", &dx, acc, p, 4e-6);
        op_tensor *all[] = {&x, &dy, &y, &dx};
        for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
        free(p), free(sum), free(of);
        lists_free(&l);
    }
}
END_TEST

typedef struct centre_loss {
    const lists *l;
    double *x, *weight, *dy, *y;
} centre_loss;

static double centred(void *reference)
{
    const centre_loss *r = reference;
    ref_segment_centre(r->y, r->x, r->weight, r->l->offset, r->l->segments, r->l->cols);
    return op_dot(r->y, r->dy, r->l->n * r->l->cols);
}

START_TEST(centre)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < 2 * count_shapes(); k++) {
        const bool weighted = k % 2, acc = k % 3 == 0;
        lists l = lists_new(ctx, &shapes[k / 2]);
        const size_t n = l.n * l.cols;
        op_tensor x = op_rand(ctx, n, 3, 1, 1), dy = op_rand(ctx, n, 0, 1, 2), w = op_rand(ctx, l.n, 0, 1, 4);
        op_tensor y = op_out(ctx, n, false, 0), dx = op_out(ctx, n, acc, 3);
        for (size_t m = 0; m < l.n; m++) { /* the first segment weighs nothing */
            w.f[m] = l.segment[m] > 0 && w.f[m] > 0 ? 1 : 0;
            w.d[m] = (double)w.f[m];
        }
        OK(bf_write(ctx, w.mem, w.f, l.n * sizeof *w.f, err));
        const bf_mem weight = weighted ? w.mem : BF_MEM_NONE;
        bf_cmds *c = op_cmds(ctx);
        OK(bf_segment_centre_forward(c, y.mem, x.mem, weight, l.toffset.mem, l.segments, (int)l.cols, err));
        OK(bf_segment_centre_backward(c, dx.mem, acc, dy.mem, weight, l.toffset.mem, l.segments, (int)l.cols, err));
        test_run(c);
        centre_loss r = {&l, x.d, weighted ? w.d : NULL, dy.d, numbers(n)};
        (void)centred(&r);
        op_expect(ctx, "y", &y, false, r.y, 4e-6); /* of numbers up to 4 */
        op_expect_gradient(ctx, "dx", &dx, acc, x.d, centred, &r, 2e-6);
        op_tensor *all[] = {&x, &dy, &w, &y, &dx};
        for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
        free(r.y);
        lists_free(&l);
    }
}
END_TEST

/* sum is the gradient of gather and gather that of sum: <gather(x), y> = <x, sum(y)>, with lists of any kind. */
START_TEST(gather_and_sum_are_adjoint)
{
    enum { LISTS = 41, ROWS = 333, COLS = 17 };
    TEST_BOTH(ctx)
    {
        uint32_t index[ROWS], offset[LISTS + 1] = {0}, entry[ROWS], next = 0;
        for (uint32_t e = 0; e < ROWS; e++) index[e] = e % 11 == 0 ? BF_NO_ITEM : e * 37 % (LISTS - 1); /* one empty */
        for (uint32_t s = 0; s < LISTS; s++) {
            for (uint32_t e = 0; e < ROWS; e++)
                if (index[e] == s) entry[next++] = e;
            offset[s + 1] = next;
        }
        test_tensor tindex = op_words(ctx, ROWS, index), toffset = op_words(ctx, LISTS + 1, offset);
        test_tensor tentry = op_words(ctx, next, entry);
        op_tensor x = op_rand(ctx, LISTS * COLS, 0, 1, 1), dy = op_rand(ctx, ROWS * COLS, 0, 1, 2);
        op_tensor y = op_out(ctx, ROWS * COLS, false, 0), dx = op_out(ctx, LISTS * COLS, false, 0);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_gather(c, y.mem, false, x.mem, tindex.mem, BF_MEM_NONE, ROWS, COLS, err));
        OK(bf_segment_sum(c, dx.mem, false, false, dy.mem, toffset.mem, tentry.mem, LISTS, COLS, err));
        test_run(c);
        op_read(ctx, &y), op_read(ctx, &dx);
        double forward = 0, backward = 0;
        for (size_t i = 0; i < y.n; i++) forward += (double)y.f[i] * dy.d[i];
        for (size_t i = 0; i < dx.n; i++) backward += (double)dx.f[i] * x.d[i];
        ck_assert_double_eq_tol(forward, backward, 1e-4);
        ck_assert_double_gt(fabs(forward), 0.1);
        op_tensor *all[] = {&x, &dy, &y, &dx};
        for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
        test_free(&tindex), test_free(&toffset), test_free(&tentry);
    }
}
END_TEST

START_TEST(nothing_is_refused)
{
    TEST_BOTH(ctx)
    {
        const bf_mem none = BF_MEM_NONE;
        bf_cmds *c = op_cmds(ctx);
        bf_err e = {0};
        ck_assert_int_eq(bf_gather(c, none, false, none, none, none, 0, 1, &e), BF_USAGE);
        ck_assert_int_eq(bf_gather(c, none, false, none, none, none, 1, 0, &e), BF_USAGE);
        ck_assert_int_eq(bf_segment_sum(c, none, false, false, none, none, none, 0, 1, &e), BF_USAGE);
        ck_assert_int_eq(bf_segment_softmax_forward(c, none, none, none, 1, 0, &e), BF_USAGE);
        bf_cmds_free(c);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {sum_and_mean,      gather, softmax, centre, gather_and_sum_are_adjoint,
                                  nothing_is_refused};
    return op_main("segment", tests, BF_COUNT(tests));
}
