/* What samples are measured by on the host: moments and Frechet distances against closed forms, words of texts. */
#include <math.h>
#include <stdlib.h>

#include "base/moments.h"
#include "base/size.h"
#include "files.h"
#include "io/words.h"

static double distance(const bf_moments *a, const bf_moments *b)
{
    double d = -1;
    OK(bf_frechet_distance(a, b, &d, err));
    return d;
}

/* Vectors mean +- along[i] sqrt(variance[i] (2 d - 1) / 2), with exactly these variances along d directions at right
 * angles. */
static bf_moments along(uint32_t d, const double *directions, const double *mean, const double *variance)
{
    bf_moments m;
    float *x = calloc(d, sizeof *x);
    OK(bf_moments_new(&m, d, err));
    for (uint32_t i = 0; i < d; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            for (uint32_t k = 0; k < d; k++)
                x[k] = (float)(mean[k] + sign * directions[i * d + k] * sqrt(variance[i] * (2 * d - 1) / 2.0));
            bf_moments_add(&m, x, 1);
        }
    free(x);
    return m;
}

/* Rows I - 2 vv'. */
static double *reflection(uint32_t d, uint32_t seed)
{
    float *v = calloc(d, sizeof *v);
    double *r = calloc((size_t)d * d, sizeof *r), square = 0;
    test_fill(v, d, seed);
    for (uint32_t i = 0; i < d; i++) square += (double)v[i] * (double)v[i];
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t k = 0; k < d; k++) r[i * d + k] = (i == k) - 2 * (double)v[i] * (double)v[k] / square;
    free(v);
    return r;
}

START_TEST(distances_along_common_axes)
{
    static const uint32_t sizes[] = {1, 2, 3, 16, 31, 64, 65, 128};
    for (size_t s = 0; s < BF_COUNT(sizes); s++) {
        const uint32_t d = sizes[s];
        double mean[2][128], variance[2][128], want = 0, *r = reflection(d, 3);
        for (uint32_t i = 0; i < d; i++) {
            mean[0][i] = 0.5 + i % 3;
            mean[1][i] = i % 5 * 0.25;
            variance[0][i] = 1.0 + i % 7;
            variance[1][i] = i % 4 == 3 ? 0 : 0.25 * (1 + i % 9); /* some directions without variance */
            want += pow(mean[0][i] - mean[1][i], 2) + pow(sqrt(variance[0][i]) - sqrt(variance[1][i]), 2);
        }
        bf_moments a = along(d, r, mean[0], variance[0]), b = along(d, r, mean[1], variance[1]);
        ck_assert_msg(fabs(distance(&a, &b) - want) < 1e-5 * want, "%u: %.9g, not %.9g", d, distance(&a, &b), want);
        ck_assert(fabs(distance(&b, &a) - want) < 1e-5 * want);
        ck_assert(distance(&a, &a) < 1e-9 * d);
        ck_assert(distance(&b, &b) < 1e-6 * d);
        bf_moments_free(&a);
        bf_moments_free(&b);
        free(r);
    }
}
END_TEST

/* trace (AB)^(1/2) = sqrt(trace AB + 2 sqrt(det AB)) for 2 x 2 matrices. */
START_TEST(distances_across_axes)
{
    for (uint32_t seed = 1; seed < 20; seed++) {
        float x[2][12];
        bf_moments m[2];
        double mean[2][2], c[2][4], want = 0;
        for (int i = 0; i < 2; i++) {
            test_fill(x[i], 12, 2 * seed + (uint32_t)i);
            OK(bf_moments_new(&m[i], 2, err));
            bf_moments_add(&m[i], x[i], 6);
            bf_moments_get(&m[i], mean[i], c[i]);
            want += c[i][0] + c[i][3];
        }
        for (int k = 0; k < 2; k++) want += pow(mean[0][k] - mean[1][k], 2);
        const double trace = c[0][0] * c[1][0] + 2 * c[0][1] * c[1][1] + c[0][3] * c[1][3];
        const double det = (c[0][0] * c[0][3] - c[0][1] * c[0][1]) * (c[1][0] * c[1][3] - c[1][1] * c[1][1]);
        want -= 2 * sqrt(trace + 2 * sqrt(det));
        ck_assert_msg(fabs(distance(&m[0], &m[1]) - want) < 1e-12, "%.15g, not %.15g", distance(&m[0], &m[1]), want);
        bf_moments_free(&m[0]);
        bf_moments_free(&m[1]);
    }
}
END_TEST

START_TEST(few_vectors_of_many_numbers)
{
    enum { D = 40, N = 5 };
    float x[2 * N * D];
    bf_moments a, b, both;
    double d = 0;
    test_fill(x, BF_COUNT(x), 5);
    OK(bf_moments_new(&a, D, err));
    OK(bf_moments_new(&b, D, err));
    OK(bf_moments_new(&both, D, err));
    bf_moments_add(&a, x, N);
    bf_moments_add(&b, x + N * D, N);
    bf_moments_add(&both, x, 2 * N);
    ck_assert(distance(&a, &a) < 1e-6);
    ck_assert(fabs(distance(&a, &b) - distance(&b, &a)) < 1e-6 && distance(&a, &b) > 1);
    bf_moments_join(&both, &b, -1);
    ck_assert_uint_eq(both.n, N);
    ck_assert(fabs(distance(&both, &b) - distance(&a, &b)) < 1e-6);
    bf_moments_join(&a, &b, 1);
    bf_moments_join(&both, &b, 1);
    ck_assert(fabs(distance(&a, &both)) < 1e-6);
    bf_moments_free(&a);
    OK(bf_moments_new(&a, D, err));
    bf_moments_add(&a, x, 1);
    FAILS(BF_USAGE, "at least two", bf_frechet_distance(&a, &b, &d, err));
    x[3] = NAN;
    bf_moments_add(&a, x, 2);
    FAILS(BF_NUMERIC, "not finite", bf_frechet_distance(&a, &b, &d, err));
    bf_moments_free(&a);
    bf_moments_free(&b);
    bf_moments_free(&both);
}
END_TEST

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

START_TEST(eigenvalues)
{
    static const uint32_t sizes[] = {1, 2, 3, 7, 31, 32, 33, 65, 101};
    for (size_t s = 0; s < BF_COUNT(sizes); s++) {
        const uint32_t n = sizes[s];
        double *a = calloc((size_t)n * n, sizeof *a), *r = reflection(n, 9), *v = calloc(n, sizeof *v);
        for (int dense = 0; dense < 2; dense++) { /* 2 on the diagonal, -1 beside it; and turned */
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t j = 0; j <= i; j++) {
                    double sum = 0;
                    for (uint32_t k = 0; k < n; k++)
                        sum += r[i * n + k] * (2 * r[k * n + j] - (k > 0 ? r[(k - 1) * n + j] : 0) -
                                               (k + 1 < n ? r[(k + 1) * n + j] : 0));
                    a[i * n + j] = dense ? sum : i == j ? 2 : i == j + 1 ? -1 : 0;
                }
            OK(bf_eigenvalues(a, n, v, err));
            qsort(v, n, sizeof *v, ascending);
            for (uint32_t k = 0; k < n; k++) ck_assert(fabs(v[k] - 2 + 2 * cos((k + 1) * acos(-1) / (n + 1))) < 1e-12);
        }
        memset(a, 0, (size_t)n * n * sizeof *a);
        OK(bf_eigenvalues(a, n, v, err));
        for (uint32_t k = 0; k < n; k++) ck_assert(v[k] == 0);
        free(a);
        free(r);
        free(v);
    }
}
END_TEST

static void match(const bf_words *w, const char *text, bool window, uint64_t all, uint64_t known)
{
    uint64_t got[2];
    bf_words_match(w, text, strlen(text), window, &got[0], &got[1]);
    ck_assert_msg(got[0] == all && got[1] == known, "\"%s\": %d of %d", text, (int)got[1], (int)got[0]);
}

START_TEST(words_of_a_list)
{
    static const char list[] = "4\nCat/SM\ndog\r\ndon't\n\xc3\xa4pfel/\n///\n12\nlast";
    const char *path = test_path("words.dic");
    bf_words *w = NULL;
    test_spill(path, list, sizeof list - 1);
    OK(bf_words_read(path, &w, err));
    ck_assert_uint_eq(bf_words_count(w), 6); /* cat dog don t äpfel last */
    match(w, "cat, CAT dog. dogs ca catt", false, 6, 3);
    match(w, "cat dog", true, 0, 0);
    match(w, " cat dog", true, 1, 1);
    match(w, "at the dog sa", true, 2, 1);
    match(w, " cat dog.", true, 2, 2);
    match(w, "don't", false, 2, 2);
    match(w, "\xc3\xa4pfel \xc3\xa4pfe last", false, 3, 2);
    match(w, "sm 12 4", false, 1, 0);
    match(w, "", true, 0, 0);
    match(w, "x", true, 0, 0);
    bf_words_free(w);
    test_spill(path, "12\n/a\n", 6);
    FAILS(BF_FILE, "no word", bf_words_read(path, &w, err));
    FAILS(BF_FILE, "missing.dic", bf_words_read(test_path("missing.dic"), &w, err));
}
END_TEST

/* More words than the table begins with. */
START_TEST(many_words)
{
    enum { N = 5000 };
    char *text = calloc(N, 8);
    bf_words *w = NULL;
    size_t used = 0;
    uint64_t all, known;
    for (int i = 0; i < N; i++)
        used += (size_t)sprintf(text + used, "%c%c%c%c ", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676, 'z' - i % 3);
    OK(bf_words_of(text, used, &w, err));
    ck_assert_uint_eq(bf_words_count(w), N);
    bf_words_match(w, text, used, false, &all, &known);
    ck_assert(all == N && known == N);
    bf_words_match(w, text, used - 2, false, &all, &known);
    ck_assert(all == N && known == N - 1);
    bf_words_free(w);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("measures");
    TCase *t = tcase_create("measures");
    tcase_add_test(t, distances_along_common_axes);
    tcase_add_test(t, distances_across_axes);
    tcase_add_test(t, few_vectors_of_many_numbers);
    tcase_add_test(t, eigenvalues);
    tcase_add_test(t, words_of_a_list);
    tcase_add_test(t, many_words);
    suite_add_tcase(s, t);
    return test_main(s);
}
