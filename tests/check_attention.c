#include "op_test.h"
#include "ref/attention.h"

typedef struct attention {
    ref_attention s;
    double *y, *dy;
} attention;

static double attention_loss(void *reference)
{
    const attention *r = reference;
    ref_attention_forward(&r->s, r->y, NULL);
    return op_dot(r->y, r->dy, (size_t)(r->s.batch * r->s.len * r->s.heads * r->s.head_dim));
}

static void check_attention(bf_ctx *ctx, const bf_attention *s, bool acc, float width)
{
    const size_t rows = (size_t)(s->batch * s->len), n = rows * (size_t)(s->heads * s->head_dim);
    op_tensor qkv = op_rand(ctx, 3 * n, 0, width, 1), y = op_out(ctx, n, false, 0);
    op_tensor lse = op_out(ctx, rows * (size_t)s->heads, false, 0);
    op_tensor dy = op_rand(ctx, n, 0, 1, 2), d = op_out(ctx, 3 * n, acc, 3);
    test_tensor ws = op_workspace(ctx, bf_attention_forward_workspace(ctx, s));
    test_tensor ws_back = op_workspace(ctx, bf_attention_backward_workspace(ctx, s));
    bf_cmds *c = op_cmds(ctx);
    OK(bf_attention_forward(c, s, y.mem, lse.mem, qkv.mem, ws.mem, err));
    OK(bf_attention_backward(c, s, d.mem, acc, dy.mem, y.mem, lse.mem, qkv.mem, ws_back.mem, err));
    test_run(c);
    attention ref = {{s->batch, s->len, s->heads, s->head_dim, s->layout == BF_QKV_THIRDS, s->causal, qkv.d},
                     malloc(n * sizeof(double)),
                     dy.d};
    ref_attention_forward(&ref.s, ref.y, lse.d);
    op_expect(ctx, "y", &y, false, ref.y, 2e-6);
    op_expect(ctx, "lse", &lse, false, lse.d, 1e-6);
    op_expect_gradient(ctx, "dqkv", &d, acc, qkv.d, attention_loss, &ref, 1e-5);
    free(ref.y);
    op_workspace_free(ctx, &ws);
    op_workspace_free(ctx, &ws_back);
    op_tensor *all[] = {&qkv, &y, &lse, &dy, &d};
    for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
}

/* batch, length, heads, head_dim, layout, causal: few distinct (head_dim, causal), each is a program of its own. */
START_TEST(full)
{
    static const bf_attention list[] = {{1, 1, 1, 16, BF_QKV_PER_HEAD, false},
                                        {2, 49, 4, 16, BF_QKV_PER_HEAD, false},
                                        {1, 33, 2, 16, BF_QKV_THIRDS, false},
                                        {1, 65, 1, 16, BF_QKV_PER_HEAD, false},
                                        {3, 31, 1, 5, BF_QKV_THIRDS, false}};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(list); k++) check_attention(ctx, &list[k], k % 2, 1.5f);
}
END_TEST

START_TEST(causal)
{
    static const bf_attention list[] = {
        {2, 1, 2, 16, BF_QKV_THIRDS, true}, {1, 67, 2, 16, BF_QKV_THIRDS, true}, {2, 32, 1, 16, BF_QKV_PER_HEAD, true}};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(list); k++) check_attention(ctx, &list[k], k % 2, 1.5f);
}
END_TEST

/* More than one block, and range of blocks, of both sides; channels that fill no vector. */
START_TEST(long_sequences)
{
    static const bf_attention list[] = {{1, 131, 1, 37, BF_QKV_THIRDS, false},
                                        {1, 131, 2, 16, BF_QKV_PER_HEAD, true},
                                        {20, 67, 1, 16, BF_QKV_THIRDS, true},
                                        {4, 67, 5, 16, BF_QKV_PER_HEAD, false}};
    if (test_quick()) return;
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(list); k++) check_attention(ctx, &list[k], k % 2, 1);
}
END_TEST

START_TEST(widest_head)
{
    static const bf_attention s = {1, 67, 1, 128, BF_QKV_THIRDS, false};
    if (test_quick()) return;
    TEST_BOTH(ctx)
    check_attention(ctx, &s, true, 1);
}
END_TEST

/* Scores in the hundreds: the softmax is nearly one-hot and must not overflow. */
START_TEST(large_scores)
{
    static const bf_attention s = {1, 31, 1, 16, BF_QKV_THIRDS, false};
    TEST_BOTH(ctx)
    {
        const size_t n = 31 * 16;
        op_tensor qkv = op_rand(ctx, 3 * n, 0, 30, 1), y = op_out(ctx, n, false, 0), lse = op_out(ctx, 31, false, 0);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_attention_forward(c, &s, y.mem, lse.mem, qkv.mem, BF_MEM_NONE, err));
        test_run(c);
        const ref_attention ref = {1, 31, 1, 16, 1, 0, qkv.d};
        double want[31 * 16];
        ref_attention_forward(&ref, want, lse.d);
        op_expect(ctx, "y", &y, false, want, 2e-4); /* scores of 900 carry an error of 1e-4 */
        op_expect(ctx, "lse", &lse, false, lse.d, 1e-6);
        op_free(&qkv);
        op_free(&y);
        op_free(&lse);
    }
}
END_TEST

/* A value that is not a number spoils what depends on it and nothing else: query 2 of 33. */
START_TEST(not_a_number)
{
    static const bf_attention s = {1, 33, 1, 16, BF_QKV_THIRDS, false};
    TEST_BOTH(ctx)
    {
        float qkv[3 * 33 * 16], dy[33 * 16];
        test_fill(qkv, BF_COUNT(qkv), 1);
        test_fill(dy, BF_COUNT(dy), 2);
        qkv[2 * 3 * 16 + 5] = NAN;
        test_tensor x = test_new(ctx, BF_COUNT(qkv), qkv), g = test_new(ctx, BF_COUNT(dy), dy);
        test_tensor y = test_new(ctx, BF_COUNT(dy), NULL), d = test_new(ctx, BF_COUNT(qkv), NULL);
        test_tensor lse = test_new(ctx, 33, NULL), ws = op_workspace(ctx, bf_attention_backward_workspace(ctx, &s));
        bf_cmds *c = op_cmds(ctx);
        OK(bf_attention_forward(c, &s, y.mem, lse.mem, x.mem, BF_MEM_NONE, err));
        OK(bf_attention_backward(c, &s, d.mem, false, g.mem, y.mem, lse.mem, x.mem, ws.mem, err));
        test_run(c);
        test_get(ctx, &y, dy);
        for (size_t i = 0; i < BF_COUNT(dy); i++)
            ck_assert_msg(!isnan(dy[i]) == (i / 16 != 2), "channel %zu of token %zu: %g", i % 16, i / 16,
                          (double)dy[i]);
        test_get(ctx, &d, qkv);
        for (size_t i = 0; i < BF_COUNT(qkv); i++) {
            const bool query = i % 48 < 16;
            ck_assert_msg(!isnan(qkv[i]) == (query && i / 48 != 2), "gradient %zu of token %zu: %g", i % 48, i / 48,
                          (double)qkv[i]);
        }
        test_tensor *all[] = {&x, &g, &y, &d, &lse};
        for (size_t i = 0; i < BF_COUNT(all); i++) test_free(all[i]);
        op_workspace_free(ctx, &ws);
    }
}
END_TEST

START_TEST(wide_heads_are_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const bf_attention s = {1, 2, 1, 129, BF_QKV_THIRDS, false};
    bf_err e = {0};
    op_tensor x = op_rand(ctx, 8, 0, 1, 1);
    bf_cmds *c = op_cmds(ctx);
    ck_assert_int_eq(bf_attention_forward(c, &s, x.mem, x.mem, x.mem, BF_MEM_NONE, &e), BF_USAGE);
    bf_cmds_free(c);
    op_free(&x);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {full,         causal,       long_sequences,        widest_head,
                                  large_scores, not_a_number, wide_heads_are_refused};
    return op_main("attention", tests, BF_COUNT(tests));
}
