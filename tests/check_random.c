/* Random numbers: integers bit for bit as on the host, real numbers to a few ulp, distributions by their moments. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "op/op.h"
#include "support.h"

#define SEED UINT64_C(0x123456789abcdef0)
#define STEP 77u
#define SAMPLE0 4000000000u /* counters wrap as 32-bit numbers */
#define STREAM BF_STREAM_FLOW

static test_tensor record_new(bf_ctx *ctx, uint64_t seed, uint32_t step, uint32_t sample0)
{
    uint32_t words[BF_STEP_WORDS] = {0};
    float as_floats[BF_STEP_WORDS];
    words[BF_STEP_SEED_LO] = (uint32_t)seed;
    words[BF_STEP_SEED_HI] = (uint32_t)(seed >> 32);
    words[BF_STEP_STEP] = step;
    words[BF_STEP_SAMPLE0] = sample0;
    memcpy(as_floats, words, sizeof words);
    return test_new(ctx, BF_STEP_WORDS, as_floats);
}

/* One fill of samples x per_sample numbers, read back as 32-bit words; the caller frees. */
static void *filled(bf_ctx *ctx, bf_random_kind kind, uint64_t seed, uint32_t step, uint32_t sample0, size_t samples,
                    size_t per_sample)
{
    float *out = malloc(samples * per_sample * sizeof *out);
    test_tensor record = record_new(ctx, seed, step, sample0), t = test_new(ctx, samples * per_sample, NULL);
    bf_cmds *c;
    ck_assert_ptr_nonnull(out);
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_random(c, kind, t.mem, STREAM, record.mem, samples, per_sample, err));
    test_run(c);
    test_get(ctx, &t, out);
    test_free(&t);
    test_free(&record);
    return out;
}

START_TEST(known_answer)
{
    /* kat_vectors of Random123 1.14, philox4x32 10 rounds, counter and key 0 */
    static const uint32_t expected[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    TEST_BOTH(ctx)
    {
        test_tensor record = record_new(ctx, 0, 0, 0), t = test_new(ctx, 4, NULL);
        float out[4];
        bf_cmds *c;
        OK(bf_cmds_new(ctx, &c, err));
        OK(bf_random(c, BF_RANDOM_U32, t.mem, 0, record.mem, 1, 4, err));
        test_run(c);
        test_get(ctx, &t, out);
        ck_assert_mem_eq(out, expected, sizeof expected);
        test_free(&t);
        test_free(&record);
    }
}
END_TEST

START_TEST(integers_as_on_host)
{
    static const size_t sizes[][2] = {{1, 1}, {3, 2}, {2, 5}, {7, 31}, {1, 65}, {2, 4096}, {3, 4099}};
    TEST_BOTH(ctx)
    {
        for (size_t i = 0; i < BF_COUNT(sizes); i++) {
            const size_t samples = sizes[i][0], n = sizes[i][1];
            uint32_t *w = filled(ctx, BF_RANDOM_U32, SEED, STEP, UINT32_MAX - 1, samples, n);
            for (size_t s = 0; s < samples; s++) {
                for (size_t e = 0; e < n; e++) {
                    const uint32_t row = UINT32_MAX - 1 + (uint32_t)s; /* wraps at the third sample */
                    ck_assert_uint_eq(w[s * n + e], bf_philox_word(SEED, (uint32_t)e, row, STEP, STREAM));
                }
            }
            free(w);
        }
    }
}
END_TEST

START_TEST(numbers_as_on_host)
{
    const size_t samples = 5, n = 1003;
    TEST_BOTH(ctx)
    {
        float *u = filled(ctx, BF_RANDOM_UNIFORM, SEED, STEP, SAMPLE0, samples, n);
        float *z = filled(ctx, BF_RANDOM_NORMAL, SEED, STEP, SAMPLE0, samples, n);
        for (size_t i = 0; i < samples * n; i++) {
            const uint32_t row = SAMPLE0 + (uint32_t)(i / n), e = (uint32_t)(i % n);
            ck_assert_float_eq(u[i], bf_philox_uniform(SEED, e, row, STEP, STREAM));
            ck_assert_float_eq_tol(z[i], bf_philox_normal(SEED, e, row, STEP, STREAM), 5e-6f);
        }
        free(u);
        free(z);
    }
}
END_TEST

/* Sample s is the same in a batch of 7 and alone, on both device classes. */
START_TEST(independent_of_batch_and_class)
{
    const size_t n = 333;
    float *all = filled(test_ctx(BF_CLASS_CPU), BF_RANDOM_U32, SEED, STEP, 10, 7, n);
    for (uint32_t s = 0; s < 7; s++) {
        float *one = filled(test_ctx(BF_CLASS_WIDE), BF_RANDOM_U32, SEED, STEP, 10 + s, 1, n);
        ck_assert_mem_eq(one, all + s * n, n * sizeof *one);
        free(one);
    }
    free(all);
}
END_TEST

/* Neither a step, a stream, a seed nor a sample repeats another. */
START_TEST(keys_differ)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const size_t n = 64;
    uint32_t *base = filled(ctx, BF_RANDOM_U32, SEED, STEP, 0, 2, n);
    uint32_t *other[3] = {filled(ctx, BF_RANDOM_U32, SEED, STEP + 1, 0, 1, n),
                          filled(ctx, BF_RANDOM_U32, SEED + 1, STEP, 0, 1, n),
                          filled(ctx, BF_RANDOM_U32, SEED ^ (UINT64_C(1) << 40), STEP, 0, 1, n)};
    for (int k = 0; k < 3; k++) {
        size_t same = 0;
        for (size_t i = 0; i < n; i++) same += base[i] == other[k][i];
        ck_assert_uint_eq(same, 0);
        free(other[k]);
    }
    for (size_t i = 0; i < n; i++) ck_assert_uint_ne(base[i], base[n + i]);
    free(base);
}
END_TEST

#define MANY 262144
#define KS_LIMIT 2.23

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov distance times sqrt(n) from the distribution function; sorts x. Above KS_LIMIT once in 10,000. */
static double ks(float *x, size_t n, double (*cdf)(double))
{
    double worst = 0;
    qsort(x, n, sizeof *x, compare_floats);
    for (size_t i = 0; i < n; i++) {
        const double f = cdf((double)x[i]);
        worst = fmax(worst, fmax(fabs((double)(i + 1) / (double)n - f), fabs(f - (double)i / (double)n)));
    }
    return worst * sqrt((double)n);
}

static double uniform_cdf(double x)
{
    return x;
}

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x * sqrt(0.5));
}

/* Means of x, x^2, x^3, x^4 and of the product of neighbours. */
static void moments(const float *x, size_t n, double m[5])
{
    memset(m, 0, 5 * sizeof *m);
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i];
        m[0] += v / (double)n;
        m[1] += v * v / (double)n;
        m[2] += v * v * v / (double)n;
        m[3] += v * v * v * v / (double)n;
        m[4] += v * (double)x[(i + 1) % n] / (double)n;
    }
}

START_TEST(distribution_of_uniform)
{
    float *u = filled(test_ctx(BF_CLASS_CPU), BF_RANDOM_UNIFORM, SEED, STEP, 0, 16, MANY / 16);
    const double sigma = 1 / sqrt((double)MANY);
    double m[5];
    moments(u, MANY, m);
    ck_assert_double_eq_tol(m[0], 0.5, 5 * sigma * sqrt(1 / 12.0));
    ck_assert_double_eq_tol(m[1], 1 / 3.0, 5 * sigma * sqrt(4 / 45.0));
    ck_assert_double_eq_tol(m[4], 0.25, 5 * sigma * sqrt(7 / 144.0 + 2 * 0.25 / 12));
    ck_assert_double_lt(ks(u, MANY, uniform_cdf), KS_LIMIT);
    ck_assert_float_ge(u[0], 0);
    ck_assert_float_lt(u[MANY - 1], 1);
    free(u);
}
END_TEST

START_TEST(distribution_of_normal)
{
    float *z = filled(test_ctx(BF_CLASS_WIDE), BF_RANDOM_NORMAL, SEED, STEP, 0, 16, MANY / 16);
    const double sigma = 1 / sqrt((double)MANY);
    double m[5];
    moments(z, MANY, m);
    ck_assert_double_eq_tol(m[0], 0, 5 * sigma);
    ck_assert_double_eq_tol(m[1], 1, 5 * sigma * sqrt(2));
    ck_assert_double_eq_tol(m[2], 0, 5 * sigma * sqrt(15));
    ck_assert_double_eq_tol(m[3], 3, 5 * sigma * sqrt(96));
    ck_assert_double_eq_tol(m[4], 0, 5 * sigma);
    ck_assert_double_lt(ks(z, MANY, normal_cdf), KS_LIMIT);
    ck_assert_float_lt(z[0], -4.0f); /* the tails are there, and finite */
    ck_assert_float_gt(z[MANY - 1], 4.0f);
    ck_assert(isfinite(z[0]) && isfinite(z[MANY - 1]));
    free(z);
}
END_TEST

START_TEST(bernoulli)
{
    const size_t samples = 3, n = 20001, all = samples * n;
    float *p = malloc(all * sizeof *p), *x = malloc(all * sizeof *x);
    double ones = 0;
    for (size_t i = 0; i < all; i++) p[i] = i % 100 == 0 ? 0.0f : i % 100 == 1 ? 1.0f : 0.3f;
    TEST_BOTH(ctx)
    {
        test_tensor record = record_new(ctx, SEED, STEP, SAMPLE0), tp = test_new(ctx, all, p),
                    t = test_new(ctx, all, NULL);
        bf_cmds *c;
        OK(bf_cmds_new(ctx, &c, err));
        OK(bf_random_bernoulli(c, t.mem, tp.mem, STREAM, record.mem, samples, n, err));
        test_run(c);
        test_get(ctx, &t, x);
        ones = 0;
        for (size_t i = 0; i < all; i++) {
            const float u = bf_philox_uniform(SEED, (uint32_t)(i % n), SAMPLE0 + (uint32_t)(i / n), STEP, STREAM);
            ck_assert_float_eq(x[i], u < p[i] ? 1.0f : 0.0f);
            ones += (double)x[i];
        }
        test_free(&t);
        test_free(&tp);
        test_free(&record);
    }
    ck_assert_double_eq_tol(ones, 0.01 * (double)all + 0.98 * 0.3 * (double)all, 5 * sqrt(0.21 * (double)all));
    free(p);
    free(x);
}
END_TEST

static int host_class(const float *p, int classes, float u)
{
    float sum = 0;
    int k = 0;
    for (int c = 0; c < classes - 1; c++) {
        sum += p[c];
        k += sum <= u;
    }
    return k;
}

START_TEST(categorical)
{
    static const float p[] = {0.1f, 0.0f, 0.25f, 0.4f, 0.25f}; /* the class of probability 0 never comes */
    const int classes = 5;
    const size_t samples = 2, n = 10007, all = samples * n;
    float *rows = malloc(all * 5 * sizeof *rows), *out = malloc(all * sizeof *out);
    for (size_t i = 0; i < all * 5; i++) rows[i] = p[i % 5];
    TEST_BOTH(ctx)
    {
        test_tensor record = record_new(ctx, SEED, STEP, SAMPLE0), tp = test_new(ctx, all * 5, rows),
                    t = test_new(ctx, all, NULL);
        size_t count[5] = {0};
        bf_cmds *c;
        OK(bf_cmds_new(ctx, &c, err));
        OK(bf_random_categorical(c, t.mem, tp.mem, classes, STREAM, record.mem, samples, n, err));
        test_run(c);
        test_get(ctx, &t, out);
        for (size_t i = 0; i < all; i++) {
            const float u = bf_philox_uniform(SEED, (uint32_t)(i % n), SAMPLE0 + (uint32_t)(i / n), STEP, STREAM);
            int32_t k;
            memcpy(&k, &out[i], sizeof k);
            ck_assert_int_eq(k, host_class(p, classes, u));
            count[k]++;
        }
        for (int k = 0; k < classes; k++) {
            const double q = (double)p[k], N = (double)all;
            ck_assert_double_eq_tol((double)count[k], q * N, 0.5 + 5 * sqrt(q * (1 - q) * N));
        }
        test_free(&t);
        test_free(&tp);
        test_free(&record);
    }
    free(rows);
    free(out);
}
END_TEST

START_TEST(too_many)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    test_tensor record = record_new(ctx, SEED, STEP, 0), t = test_new(ctx, 4, NULL);
    bf_err e = {0};
    bf_cmds *c;
    OK(bf_cmds_new(ctx, &c, err));
    ck_assert_int_eq(bf_random(c, BF_RANDOM_U32, t.mem, 1, record.mem, 1, UINT64_C(1) << 32, &e), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(e.message, "2^32"));
    ck_assert_uint_eq(bf_cmds_count(c), 0);
    OK(bf_random(c, BF_RANDOM_U32, t.mem, 1, record.mem, 0, 4, err)); /* nothing to do is no error */
    ck_assert_uint_eq(bf_cmds_count(c), 0);
    bf_cmds_free(c);
    test_free(&t);
    test_free(&record);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("random");
    TCase *words = tcase_create("words"), *numbers = tcase_create("numbers");
    tcase_add_test(words, known_answer);
    tcase_add_test(words, integers_as_on_host);
    tcase_add_test(words, independent_of_batch_and_class);
    tcase_add_test(words, keys_differ);
    tcase_add_test(words, too_many);
    tcase_add_test(numbers, numbers_as_on_host);
    tcase_add_test(numbers, distribution_of_uniform);
    tcase_add_test(numbers, distribution_of_normal);
    tcase_add_test(numbers, bernoulli);
    tcase_add_test(numbers, categorical);
    suite_add_tcase(s, words);
    suite_add_tcase(s, numbers);
    return test_main(s);
}
