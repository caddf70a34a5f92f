#include "base/stats.h"

#include <math.h>
#include <stddef.h>

void bf_mean_stderr(const double *x, const double *w, uint64_t n, double *mean, double *se)
{
    double sum = 0, weight = 0, squares = 0;
    for (uint64_t i = 0; i < n; i++) {
        sum += (w != NULL ? w[i] : 1) * x[i];
        weight += w != NULL ? w[i] : 1;
    }
    *mean = n > 0 ? sum / weight : NAN;
    if (se == NULL) return;
    for (uint64_t i = 0; i < n; i++) {
        const double d = (w != NULL ? w[i] : 1) * (x[i] - *mean);
        squares += d * d;
    }
    *se = n > 1 ? sqrt(squares * (double)n / (double)(n - 1)) / weight : 0;
}

double bf_normal_cdf(double z)
{
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

/* A start with an error below 5e-3 (Abramowitz and Stegun 26.2.22), then Newton's method on the logarithm of the tail,
 * which is nearly a straight line. */
double bf_normal_quantile(double p)
{
    if (!(p > 0)) return -HUGE_VAL;
    if (!(p < 1)) return HUGE_VAL;
    const double tail = p < 0.5 ? p : 1 - p, t = sqrt(-2 * log(tail));
    double z = t - (2.30753 + 0.27061 * t) / (1 + t * (0.99229 + 0.04481 * t)); /* of the upper tail */
    for (int i = 0; i < 4; i++) {
        const double q = bf_normal_cdf(-z), density = 0.39894228040143267794 * exp(-0.5 * z * z);
        z += log(q / tail) * q / density;
    }
    return p < 0.5 ? -z : z;
}
