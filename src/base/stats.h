/* Means with their standard errors; nats to bits. */
#ifndef BF_BASE_STATS_H
#define BF_BASE_STATS_H

#include <stdint.h>

#define BF_LN2 0.69314718055994530942 /* nats per bit */

/*
 * Mean m = sum w x / sum w of x[n] with positive weights w[n] (NULL: all alike) and its standard error
 * sqrt(n / (n - 1) sum (w (x - m))^2) / sum w: the sample deviation over sqrt(n) when the weights are alike, that of a
 * ratio of two means otherwise. 0 when n = 1; the mean of nothing is NaN. `se` may be NULL.
 */
void bf_mean_stderr(const double *x, const double *w, uint64_t n, double *mean, double *se);

/* Distribution function of the standard normal, and its inverse: +-HUGE_VAL outside (0, 1). Errors below 1e-12 of the
 * smaller tail. */
double bf_normal_cdf(double z);
double bf_normal_quantile(double p);

#endif
