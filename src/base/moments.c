/* base/moments.h */
#include "base/moments.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QL_STEPS 60 /* at most, for an eigenvalue; two or three are usual */

bf_status bf_moments_new(bf_moments *m, uint32_t dims, bf_err *err)
{
    bf_status st = BF_OK;
    *m = (bf_moments){.dims = dims};
    BF_NEW(m->sum, dims);
    BF_NEW(m->outer, (uint64_t)dims * dims);
out:
    if (st != BF_OK) bf_moments_free(m);
    return st;
}

void bf_moments_free(bf_moments *m)
{
    free(m->sum);
    free(m->outer);
    *m = (bf_moments){0};
}

void bf_moments_add(bf_moments *m, const float *x, uint64_t rows)
{
    const uint64_t d = m->dims;
    for (uint64_t r = 0; r < rows; r++, x += d) {
        for (uint64_t i = 0; i < d; i++) {
            const double v = (double)x[i];
            double *to = m->outer + i * d;
            m->sum[i] += v;
            for (uint64_t j = 0; j <= i; j++) to[j] += v * (double)x[j];
        }
    }
    m->n += rows;
}

void bf_moments_join(bf_moments *to, const bf_moments *from, int sign)
{
    const uint64_t d = to->dims;
    for (uint64_t i = 0; i < d; i++) to->sum[i] += sign * from->sum[i];
    for (uint64_t i = 0; i < d * d; i++) to->outer[i] += sign * from->outer[i];
    to->n = sign > 0 ? to->n + from->n : to->n - from->n;
}

void bf_moments_get(const bf_moments *m, double *mean, double *covariance)
{
    const uint64_t d = m->dims;
    const double n = (double)m->n;
    for (uint64_t i = 0; i < d; i++) mean[i] = m->sum[i] / n;
    for (uint64_t i = 0; i < d; i++)
        for (uint64_t j = 0; j <= i; j++)
            covariance[i * d + j] = covariance[j * d + i] = (m->outer[i * d + j] - n * mean[i] * mean[j]) / (n - 1);
}

/* Lower triangle of a becomes L with a = LL'; directions without variance get a column of zeros. */
static void cholesky(double *a, uint64_t n)
{
    for (uint64_t j = 0; j < n; j++) {
        double s = a[j * n + j];
        const double least = (double)n * DBL_EPSILON * s;
        for (uint64_t k = 0; k < j; k++) s -= a[j * n + k] * a[j * n + k];
        const double root = s > least ? sqrt(s) : 0;
        a[j * n + j] = root;
        for (uint64_t i = j + 1; i < n; i++) {
            double v = a[i * n + j];
            for (uint64_t k = 0; k < j; k++) v -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = root > 0 ? v / root : 0;
        }
    }
}

/* out = L'BL; `bl` is scratch [n, n]. */
static void sandwich(const double *l, const double *b, uint64_t n, double *bl, double *out)
{
    memset(bl, 0, (size_t)(n * n) * sizeof *bl);
    memset(out, 0, (size_t)(n * n) * sizeof *out);
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < n; k++)
            for (uint64_t j = 0; j <= k; j++) bl[i * n + j] += b[i * n + k] * l[k * n + j];
    for (uint64_t k = 0; k < n; k++)
        for (uint64_t i = 0; i <= k; i++)
            for (uint64_t j = 0; j <= i; j++) out[i * n + j] += l[k * n + i] * bl[k * n + j];
}

bf_status bf_frechet_distance(const bf_moments *a, const bf_moments *b, double *distance, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t d = a->dims;
    double *mean = NULL, *cov = NULL, *work = NULL, sum = 0;
    BF_CHECK(a->dims == b->dims && a->n >= 2 && b->n >= 2, BF_USAGE,
             "a Frechet distance needs at least two vectors of each kind");
    BF_NEW(mean, 2 * d);
    BF_NEW(cov, 2 * d * d);
    BF_NEW(work, 2 * d * d);
    bf_moments_get(a, mean, cov);
    bf_moments_get(b, mean + d, cov + d * d);
    for (uint64_t i = 0; i < d; i++) {
        const double apart = mean[i] - mean[d + i];
        sum += apart * apart + cov[i * d + i] + cov[(d + i) * d + i];
    }
    cholesky(cov, d);
    sandwich(cov, cov + d * d, d, work, work + d * d);
    BF_TRY(bf_eigenvalues(work + d * d, (uint32_t)d, mean, err));
    for (uint64_t i = 0; i < d; i++) sum -= mean[i] > 0 ? 2 * sqrt(mean[i]) : 0; /* below 0: rounding */
    BF_CHECK(isfinite(sum), BF_NUMERIC, "Frechet distance: the vectors are not finite");
    *distance = sum > 0 ? sum : 0;
out:
    free(mean);
    free(cov);
    free(work);
    return st;
}

/* ---- eigenvalues ------------------------------------------------------------------------------------------------- */

/* One reflection I - 2 vv' makes column k of the lower triangle zero below its first two numbers; v, p [n] are scratch.
 * Returns the number beside the diagonal. */
static double reflect(double *a, uint64_t n, uint64_t k, double *v, double *p)
{
    double norm = 0, length = 0, dot = 0;
    for (uint64_t i = k + 1; i < n; i++) norm = hypot(norm, a[i * n + k]);
    const double first = a[(k + 1) * n + k], side = first > 0 ? -norm : norm;
    if (norm == 0) return 0;
    for (uint64_t i = k + 1; i < n; i++) v[i] = a[i * n + k];
    v[k + 1] -= side;
    for (uint64_t i = k + 1; i < n; i++) length = hypot(length, v[i]);
    for (uint64_t i = k + 1; i < n; i++) {
        v[i] /= length;
        p[i] = 0;
    }
    for (uint64_t i = k + 1; i < n; i++) {
        double sum = a[i * n + i] * v[i];
        for (uint64_t j = k + 1; j < i; j++) {
            sum += a[i * n + j] * v[j];
            p[j] += a[i * n + j] * v[i];
        }
        p[i] += sum;
    }
    for (uint64_t i = k + 1; i < n; i++) dot += v[i] * p[i];
    for (uint64_t i = k + 1; i < n; i++) p[i] -= dot * v[i];
    for (uint64_t i = k + 1; i < n; i++)
        for (uint64_t j = k + 1; j <= i; j++) a[i * n + j] -= 2 * (v[i] * p[j] + p[i] * v[j]);
    return side;
}

/* One implicit QL step on the block l .. m of a matrix with diagonal d and side diagonal e. */
static void ql_step(double *d, double *e, uint64_t l, uint64_t m)
{
    double g = (d[l + 1] - d[l]) / (2 * e[l]), s = 1, c = 1, p = 0;
    g = d[m] - d[l] + e[l] / (g + copysign(hypot(g, 1), g));
    for (uint64_t i = m; i-- > l;) {
        const double f = s * e[i], b = c * e[i], r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0) { /* the block falls apart here */
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        const double t = (d[i] - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

bf_status bf_eigenvalues(double *a, uint32_t n, double *values, bf_err *err)
{
    bf_status st = BF_OK;
    double *e = NULL, *scratch = NULL, size = 0;
    BF_NEW(e, n);
    BF_NEW(scratch, 2 * (uint64_t)n);
    for (uint64_t k = 0; k + 1 < n; k++) e[k] = reflect(a, n, k, scratch, scratch + n);
    for (uint64_t k = 0; k < n; k++) values[k] = a[k * n + k];
    for (uint64_t k = 0; k < n; k++) size += fabs(values[k]) + fabs(e[k]);
    BF_CHECK(isfinite(size), BF_NUMERIC, "eigenvalues: the matrix is not finite");
    for (uint64_t l = 0; l < n; l++) {
        for (int step = 0;; step++) {
            uint64_t m = l;
            while (m + 1 < n && fabs(e[m]) > DBL_EPSILON / n * size) m++;
            if (m == l) break;
            BF_CHECK(step < QL_STEPS, BF_NUMERIC, "eigenvalues: no convergence");
            ql_step(values, e, l, m);
        }
    }
out:
    free(e);
    free(scratch);
    return st;
}
