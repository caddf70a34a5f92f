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
