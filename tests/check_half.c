/* Storage as halves: every value comes back as the nearest half. */
#include <math.h>

#include "op_test.h"
#include "ref/half.h"

static uint32_t state = 1;

/* Bits of all kinds: any exponent, halfway cases, ends of the range. */
static float odd_float(size_t i)
{
    static const float ends[] = {0.0f,    -0.0f,  65504.0f, 65519.9f, 65520.0f, -1e30f,      6.1e-5f,  5.9e-8f,
                                 2.9e-8f, 1e-12f, 2049.0f,  -2051.0f, 1.0f / 3, 0.99975586f, INFINITY, -INFINITY};
    state = state * 1664525u + 1013904223u;
    if (i < BF_COUNT(ends)) return ends[i];
    const float unit = (float)(state >> 8) / 16777216.0f - 0.5f;
    return i % 3 ? ldexpf(unit, (int)(state >> 3 & 31) - 15) : (float)((int)(state >> 12 & 8191) - 4096) / 4;
}

START_TEST(nearest_half)
{
    static const size_t sizes[] = {1, 2, 31, 33, 63, 4096, 4097, 12289};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(sizes); k++) {
        const size_t n = sizes[k];
        float *x = malloc(n * sizeof *x), *got = malloc(n * sizeof *got);
        ck_assert(x && got);
        for (size_t i = 0; i < n; i++) x[i] = odd_float(i);
        if (n > 40) x[37] = NAN;
        test_tensor in = test_new(ctx, n, x), half = test_new(ctx, (n + 1) / 2, NULL), out = test_new(ctx, n, NULL);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_half_pack(c, half.mem, in.mem, n, err));
        OK(bf_half_unpack(c, out.mem, half.mem, n, err));
        test_run(c);
        test_get(ctx, &out, got);
        for (size_t i = 0; i < n; i++) {
            const double want = ref_half((double)x[i]);
            ck_assert_msg(isnan(want) ? isnan(got[i]) : (double)got[i] == want && !signbit(got[i]) == !signbit(x[i]),
                          "element %zu of %zu: %a became %a, not %a", i, n, (double)x[i], (double)got[i], want);
        }
        float *stored = malloc((n + 1) / 2 * sizeof *stored);
        ck_assert_ptr_nonnull(stored);
        test_get(ctx, &half, stored); /* and the sentinels around it */
        free(stored);
        test_free(&in);
        test_free(&half);
        test_free(&out);
        free(x);
        free(got);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {nearest_half};
    return op_main("half", tests, BF_COUNT(tests));
}
