#include <string.h>

#include "op_test.h"
#include "ref/optim.h"

enum { NORMS = 150 };

/* The step record of one step as the host writes it. */
static test_tensor step_record(bf_ctx *ctx, const ref_adamw *s)
{
    float r[BF_STEP_WORDS] = {0};
    r[BF_STEP_LR] = (float)s->lr;
    r[BF_STEP_BIAS1] = (float)(1 - pow(s->beta1, s->step));
    r[BF_STEP_BIAS2] = (float)(1 - pow(s->beta2, s->step));
    r[BF_STEP_EMA] = (float)(1 - s->decay);
    return test_new(ctx, BF_STEP_WORDS, r);
}

START_TEST(norm_and_clip)
{
    static const size_t sizes[] = {1, 33, 16383, 16385, 100003};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(sizes); k++) {
        const size_t n = sizes[k];
        if (test_quick() && n > 20000) continue;
        op_tensor a = op_rand(ctx, n, 0, 1, 1), b = op_rand(ctx, 65, 0, 1, 2);
        test_tensor ws = op_workspace(ctx, bf_grad_norm_workspace(ctx, n));
        test_tensor stats = test_new(ctx, BF_STATS, NULL);
        float got[BF_STATS];
        for (int limit = 0; limit < 3; limit++) {
            const float max_norm = limit == 0 ? 0 : limit == 1 ? 1.0f : 1e6f;
            bf_cmds *c = op_cmds(ctx);
            OK(bf_grad_sumsq(c, stats.mem, false, a.mem, n, ws.mem, err));
            OK(bf_grad_sumsq(c, stats.mem, true, b.mem, 65, ws.mem, err));
            OK(bf_clip_factor(c, stats.mem, max_norm, err));
            test_run(c);
            test_get(ctx, &stats, got);
            const double sumsq = op_dot(a.d, a.d, n) + op_dot(b.d, b.d, 65), norm = sqrt(sumsq);
            const double clip = max_norm > 0 ? fmin(1, (double)max_norm / (norm + 1e-6)) : 1;
            ck_assert_double_eq_tol((double)got[BF_STAT_SUMSQ], sumsq, 1e-6 * sumsq);
            ck_assert_double_eq_tol((double)got[BF_STAT_NORM], norm, 1e-6 * norm);
            ck_assert_double_eq_tol((double)got[BF_STAT_CLIP], clip, 1e-6);
            ck_assert(got[BF_STAT_FINITE] == 1.0f);
        }
        op_workspace_free(ctx, &ws);
        test_free(&stats);
        op_free(&a);
        op_free(&b);
    }
}
END_TEST

START_TEST(adamw_matches_reference)
{
    static const size_t sizes[] = {1, 31, 64, 4099};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(sizes); k++) {
        const size_t n = sizes[k];
        const bool has_ema = k != 1;
        const bf_adamw s = {0.9, 0.98, 1e-8, 0.01};
        const float stats_in[BF_STATS] = {1, 1, 0.25f, 1};
        op_tensor p = op_rand(ctx, n, 0, 1, 1), m = op_rand(ctx, n, 0, 0, 0), v = op_rand(ctx, n, 0, 0, 0);
        op_tensor ema = op_from(ctx, n, memcpy(malloc(n * sizeof(float)), p.f, n * sizeof(float)));
        test_tensor stats = test_new(ctx, BF_STATS, stats_in);
        for (int step = 1; step <= 5; step++) {
            const ref_adamw r = {1e-2, s.beta1, s.beta2, s.eps, s.weight_decay, 0.9, step};
            op_tensor g = op_rand(ctx, n, 0, 1, (uint32_t)(10 + step));
            test_tensor record = step_record(ctx, &r);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_adamw_step(c, &s, p.mem, g.mem, m.mem, v.mem, has_ema ? ema.mem : BF_MEM_NONE, stats.mem, record.mem,
                             n, err));
            test_run(c);
            for (size_t i = 0; i < n; i++) ref_adamw_step(&r, 0.25 * g.d[i], &p.d[i], &m.d[i], &v.d[i], &ema.d[i]);
            test_free(&record);
            op_free(&g);
        }
        op_expect(ctx, "p", &p, false, p.d, 1e-6);
        op_expect(ctx, "m", &m, false, m.d, 1e-6);
        op_expect(ctx, "v", &v, false, v.d, 1e-6);
        if (has_ema) op_expect(ctx, "ema", &ema, false, ema.d, 1e-6);
        test_free(&stats);
        op_tensor *all[] = {&p, &m, &v, &ema};
        for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
    }
}
END_TEST

/* A gradient that is not finite leaves weights, moments and average untouched, to the bit. */
START_TEST(not_finite_changes_nothing)
{
    TEST_BOTH(ctx)
    for (int bad = 0; bad < 3; bad++) {
        const size_t n = 100;
        const bf_adamw s = {0.9, 0.999, 1e-8, 0};
        const ref_adamw r = {1e-2, 0.9, 0.999, 1e-8, 0, 0.9, 1};
        op_tensor p = op_rand(ctx, n, 0, 1, 1), m = op_rand(ctx, n, 0, 1, 2), v = op_rand(ctx, n, 1, 1, 3);
        op_tensor e = op_rand(ctx, n, 0, 1, 4);
        float *gradient = calloc(n, sizeof *gradient), got[BF_STATS];
        gradient[57] = bad == 0 ? NAN : bad == 1 ? -INFINITY : 1e30f; /* the last one overflows when squared */
        op_tensor g = op_from(ctx, n, gradient);
        test_tensor stats = test_new(ctx, BF_STATS, NULL), record = step_record(ctx, &r);
        test_tensor ws = op_workspace(ctx, bf_grad_norm_workspace(ctx, n));
        bf_cmds *c = op_cmds(ctx);
        OK(bf_grad_sumsq(c, stats.mem, false, g.mem, n, ws.mem, err));
        OK(bf_clip_factor(c, stats.mem, 1, err));
        OK(bf_adamw_step(c, &s, p.mem, g.mem, m.mem, v.mem, e.mem, stats.mem, record.mem, n, err));
        test_run(c);
        test_get(ctx, &stats, got);
        ck_assert(got[BF_STAT_FINITE] == 0.0f && got[BF_STAT_CLIP] == 0.0f);
        op_tensor *state[] = {&p, &m, &v, &e};
        for (size_t i = 0; i < BF_COUNT(state); i++) {
            op_expect(ctx, "state", state[i], false, state[i]->d, 0);
            op_free(state[i]);
        }
        op_workspace_free(ctx, &ws);
        test_free(&stats);
        test_free(&record);
        op_free(&g);
    }
}
END_TEST

/* Norms from 0.1 to 1e4; each fifth is not finite, stops its step and does not join. */
START_TEST(queue_of_norms)
{
    static const uint32_t lengths[] = {1, 3, 31, 64, 100, 3000};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(lengths); k++) {
        const uint32_t length = lengths[k];
        const int steps = test_quick() ? 10 : NORMS;
        if (test_quick() && length != 3 && length != 64) continue;
        float *start = calloc(BF_QUEUE_HEAD + length, sizeof *start), got[BF_STATS];
        double past[NORMS + 1] = {1}; /* in order */
        uint32_t joined = 1;
        memcpy(start, &joined, sizeof joined);
        start[BF_QUEUE_HEAD] = 1;
        test_tensor queue = test_new(ctx, BF_QUEUE_HEAD + length, start), stats = test_new(ctx, BF_STATS, NULL);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_clip_by_queue(c, stats.mem, queue.mem, length, err));
        for (int i = 0; i < steps; i++) {
            const float norm = i % 5 == 4 ? INFINITY : (float)(0.1 * pow(10, 5.0 * (i * 37 % 100) / 100));
            const float sumsq[BF_STATS] = {norm * norm};
            const int n = (int)BF_MIN(joined, length);
            const double limit = ref_clip_limit(past + joined - n, n), clip = fmin(1, limit / ((double)norm + 1e-6));
            OK(bf_write(ctx, stats.mem, sumsq, sizeof sumsq, err));
            OK(bf_cmds_run(c, err));
            test_get(ctx, &stats, got);
            ck_assert_double_eq_tol((double)got[BF_STAT_LIMIT], limit, 3e-6 * limit);
            ck_assert(got[BF_STAT_FINITE] == (isfinite(norm) ? 1.0f : 0.0f));
            ck_assert_double_eq_tol((double)got[BF_STAT_CLIP], isfinite(norm) ? clip : 0, 4e-6);
            if (isfinite(norm)) past[joined++] = fmin((double)norm, (double)got[BF_STAT_LIMIT]);
        }
        test_get(ctx, &queue, start);
        ck_assert_mem_eq(start, &joined, sizeof joined);
        for (uint32_t i = joined - BF_MIN(joined, length); i < joined; i++)
            ck_assert_double_eq_tol((double)start[BF_QUEUE_HEAD + i % length], past[i], 1e-6 * past[i]);
        free(start);
        bf_cmds_free(c);
        test_free(&queue);
        test_free(&stats);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {norm_and_clip, adamw_matches_reference, not_finite_changes_nothing, queue_of_norms};
    return op_main("optim", tests, BF_COUNT(tests));
}
