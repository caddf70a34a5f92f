/* The models of a table that a trained one must beat. */
#include <math.h>

#include "base/philox.h"
#include "base/size.h"
#include "base/stats.h"
#include "files.h"
#include "io/baseline.h"

START_TEST(normal_distribution)
{
    ck_assert_double_eq_tol(bf_normal_cdf(0), 0.5, 1e-15);
    ck_assert_double_eq_tol(bf_normal_cdf(1.959963984540054), 0.975, 1e-12);
    ck_assert_double_eq_tol(bf_normal_quantile(0.975), 1.959963984540054, 1e-9);
    ck_assert(bf_normal_quantile(0) == -HUGE_VAL && bf_normal_quantile(1) == HUGE_VAL);
    for (double z = -37; z <= 5; z += 0.37) {
        const double p = bf_normal_cdf(z);
        ck_assert_double_eq_tol(bf_normal_quantile(p), z, z > 4 ? 1e-8 : 1e-9);
        ck_assert_double_eq_tol(log(bf_normal_cdf(bf_normal_quantile(p)) / p), 0, 1e-9);
    }
}
END_TEST

typedef struct sample {
    bf_schema *s;
    bf_table t;
} sample;

/* Rows of a normal vector (correlation r) seen as 4 levels, as 3 words in an order that is not theirs, and as a number;
 * every `gap`-th cell is missing (0: none). */
static sample make(double r, int rows, uint32_t seed, int gap, const char *numbers)
{
    static const char *const words[] = {"mid", "zero", "big"};
    char *text = malloc((size_t)rows * 64 + 64);
    sample out;
    bf_csv *c;
    ck_assert_ptr_nonnull(text);
    size_t at = (size_t)sprintf(text, "level,word,number\n");
    for (int i = 0; i < rows; i++) {
        double z[3];
        const double common = (double)bf_philox_normal(seed, 0, (uint32_t)i, 0, 0);
        for (uint32_t k = 0; k < 3; k++)
            z[k] = sqrt(r) * common + sqrt(1 - r) * (double)bf_philox_normal(seed, 1 + k, (uint32_t)i, 0, 0);
        const int level = (z[0] > -0.7) + (z[0] > 0) + (z[0] > 1), word = z[1] < -0.5 ? 1 : z[1] < 0.8 ? 0 : 2;
        at += gap && i % gap == 0   ? (size_t)sprintf(text + at, ",%s,%.3f\n", words[word], exp(z[2]))
              : gap && i % gap == 1 ? (size_t)sprintf(text + at, "%d,,%.3f\n", level, exp(z[2]))
              : gap && i % gap == 2 ? (size_t)sprintf(text + at, "%d,%s,\n", level, words[word])
                                    : (size_t)sprintf(text + at, "%d,%s,%.3f\n", level, words[word], exp(z[2]));
    }
    const bf_schema_options o = {.missing = "", .levels = 8, .quantiles = true, .columns = numbers};
    test_spill(test_path("t.csv"), text, at);
    OK(bf_csv_open(test_path("t.csv"), &c, err));
    OK(bf_schema_infer(c, &o, &out.s, err));
    OK(bf_table_read(test_path("t.csv"), out.s, 0, &out.t, err));
    bf_csv_close(c);
    free(text);
    return out;
}

static void drop(sample *s)
{
    bf_table_free(&s->t);
    bf_schema_free(s->s);
}

static double mean(const double *x, uint64_t n)
{
    double m;
    bf_mean_stderr(x, NULL, n, &m, NULL);
    return m;
}

/* The copula finds the correlation behind levels, words and numbers, with and without gaps. */
START_TEST(correlations)
{
    static const struct {
        double r;
        int gap;
    } cases[] = {{0.7, 0}, {0.7, 7}, {0.0, 0}, {0.95, 0}};
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        sample d = make(cases[i].r, 6000, 3, cases[i].gap, NULL);
        bf_baseline *b;
        OK(bf_baseline_fit(d.s, d.t.x, d.t.rows, 1, &b, err));
        for (uint32_t p = 0; p < 3; p++)
            for (uint32_t q = 0; q < p; q++)
                ck_assert_double_eq_tol(fabs(bf_baseline_correlation(b, p, q)), cases[i].r, 0.04);
        bf_baseline_free(b);
        drop(&d);
    }
}
END_TEST

/* Independent columns: both models agree. The probability of all boxes together is one. */
START_TEST(scores)
{
    sample d = make(0.0, 4000, 5, 0, "number=bins");
    bf_baseline *b;
    double marginal[4000], copula[4000], all = 0;
    OK(bf_baseline_fit(d.s, d.t.x, d.t.rows, 1, &b, err));
    OK(bf_baseline_score(b, d.t.x, 4000, 1, marginal, copula, err));
    ck_assert_double_eq_tol(mean(marginal, 4000), mean(copula, 4000), 0.02);
    bf_baseline_free(b);
    drop(&d);
    d = make(0.8, 4000, 5, 0, "number=bins");
    OK(bf_baseline_fit(d.s, d.t.x, d.t.rows, 1, &b, err));
    OK(bf_baseline_score(b, d.t.x, 4000, 1, marginal, copula, err));
    ck_assert_double_lt(mean(copula, 4000), mean(marginal, 4000) - 0.5);
    ck_assert_uint_eq(d.s->dims, 3);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 8; k++)
            for (int w = 0; w < 3; w++) {
                float x[3] = {0}; /* levels ascending: level 4, word of 3, bins 8 */
                double one, two;
                for (uint32_t p = 0; p < 3; p++) {
                    const bf_column *c = &d.s->column[d.s->by_place[p]];
                    x[p] = (float)(c->type == BF_COLUMN_BINS ? k : c->type == BF_COLUMN_INTEGER ? i : w);
                }
                OK(bf_baseline_score(b, x, 1, 1, &one, &two, err));
                all += exp2(-two);
            }
    ck_assert_double_eq_tol(all, 1, 0.01);
    /* gaps add nothing; with all cells missing a row has no bits */
    const float none[3] = {NAN, NAN, NAN}, first[3] = {d.t.x[0], NAN, NAN};
    OK(bf_baseline_score(b, none, 1, 1, marginal, copula, err));
    ck_assert(marginal[0] == 0 && fabs(copula[0]) < 1e-9);
    OK(bf_baseline_score(b, first, 1, 1, marginal, copula, err));
    ck_assert_double_eq_tol(marginal[0], copula[0], 1e-6);
    bf_baseline_free(b);
    drop(&d);
}
END_TEST

/* Continuous columns: a density at the resolution of the decimals, exact in the copula. */
START_TEST(continuous_scores)
{
    sample d = make(0.6, 4000, 9, 0, NULL);
    bf_baseline *b;
    double marginal[4000], copula[4000];
    OK(bf_baseline_fit(d.s, d.t.x, d.t.rows, 1, &b, err));
    OK(bf_baseline_score(b, d.t.x, 4000, 1, marginal, copula, err));
    /* ln-normal number at 0.001: 2.047 + 9.97 bits; 4 levels 1.96, 3 words 1.51 */
    ck_assert_double_eq_tol(mean(marginal, 4000), 2.047 + 9.966 + 1.96 + 1.51, 0.15);
    ck_assert_double_lt(mean(copula, 4000), mean(marginal, 4000) - 0.3);
    ck_assert_double_eq_tol(bf_baseline_mean(b, 0), exp(0.5), 0.1);
    ck_assert_double_gt(bf_baseline_deviation(b, 0), 1);
    bf_baseline_free(b);
    drop(&d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("baseline");
    TCase *c = tcase_create("baseline");
    tcase_add_test(c, normal_distribution);
    tcase_add_test(c, correlations);
    tcase_add_test(c, scores);
    tcase_add_test(c, continuous_scores);
    tcase_set_timeout(c, 60);
    suite_add_tcase(s, c);
    return test_main(s);
}
