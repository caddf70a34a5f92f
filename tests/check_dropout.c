#include "base/philox.h"
#include "op_test.h"
#include "ref/dropout.h"

#define SEED UINT64_C(0x123456789abcdef)

static test_tensor step_record(bf_ctx *ctx, uint32_t step, uint32_t sample0)
{
    union {
        uint32_t words[BF_STEP_WORDS];
        float floats[BF_STEP_WORDS];
    } r = {{0}};
    r.words[BF_STEP_SEED_LO] = (uint32_t)SEED;
    r.words[BF_STEP_SEED_HI] = (uint32_t)(SEED >> 32);
    r.words[BF_STEP_STEP] = step;
    r.words[BF_STEP_SAMPLE0] = sample0;
    return test_new(ctx, BF_STEP_WORDS, r.floats);
}

START_TEST(drawn_masks_match_the_host)
{
    static const size_t shapes[][2] = {{1, 1}, {3, 31}, {2, 64}, {5, 4099}, {1, 8192}, {48, 33}};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++)
        for (int acc = 0; acc < 2; acc++) {
            const size_t samples = shapes[k][0], per = shapes[k][1], n = samples * per;
            const float p = 0.3f;
            const uint32_t stream = BF_STREAM_DROPOUT + 2;
            test_tensor record = step_record(ctx, 7, 100);
            op_tensor x = op_rand(ctx, n, 0, 1, 1), y = op_out(ctx, n, acc, 2);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_dropout(c, y.mem, acc, x.mem, BF_MEM_NONE, p, stream, record.mem, samples, per, err));
            test_run(c);
            for (size_t i = 0; i < n; i++)
                x.d[i] *= ref_dropout_keep(SEED, (uint32_t)(i % per), 100 + (uint32_t)(i / per), 7, stream, p) / 0.7;
            op_expect(ctx, "y", &y, acc, x.d, 3e-7);
            test_free(&record);
            op_free(&x);
            op_free(&y);
        }
}
END_TEST

START_TEST(given_masks)
{
    TEST_BOTH(ctx)
    for (int acc = 0; acc < 2; acc++) {
        const size_t n = 5003;
        float *mask = calloc(n, sizeof *mask);
        for (size_t i = 0; i < n; i += 3) mask[i] = 1;
        op_tensor x = op_rand(ctx, n, 0, 1, 1), y = op_out(ctx, n, acc, 2), m = op_from(ctx, n, mask);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_dropout(c, y.mem, acc, x.mem, m.mem, 0.1f, 0, BF_MEM_NONE, 1, n, err));
        test_run(c);
        for (size_t i = 0; i < n; i++) x.d[i] = m.d[i] != 0 ? x.d[i] / (1 - (double)0.1f) : 0;
        op_expect(ctx, "y", &y, acc, x.d, 3e-7);
        op_free(&x);
        op_free(&y);
        op_free(&m);
    }
}
END_TEST

/* p = 0 keeps everything, p = 1 nothing (no NaN), anything else is an error. */
START_TEST(limits)
{
    TEST_BOTH(ctx)
    {
        const size_t n = 100;
        test_tensor record = step_record(ctx, 0, 0);
        op_tensor x = op_rand(ctx, n, 0, 1, 1), all = op_out(ctx, n, false, 0), none = op_out(ctx, n, false, 0);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_dropout(c, all.mem, false, x.mem, BF_MEM_NONE, 0, 64, record.mem, 1, n, err));
        OK(bf_dropout(c, none.mem, false, x.mem, BF_MEM_NONE, 1, 64, record.mem, 1, n, err));
        bf_err e = {0};
        ck_assert_int_eq(bf_dropout(c, all.mem, false, x.mem, BF_MEM_NONE, 1.5f, 64, record.mem, 1, n, &e), BF_USAGE);
        test_run(c);
        op_expect(ctx, "all", &all, false, x.d, 0);
        for (size_t i = 0; i < n; i++) x.d[i] = 0;
        op_expect(ctx, "none", &none, false, x.d, 0);
        test_free(&record);
        op_free(&x);
        op_free(&all);
        op_free(&none);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {drawn_masks_match_the_host, given_masks, limits};
    return op_main("dropout", tests, BF_COUNT(tests));
}
