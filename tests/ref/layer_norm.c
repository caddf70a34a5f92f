#include "layer_norm.h"

#include <math.h>

void ref_layer_norm(double *y, double *mean, double *rstd, const double *x, const double *gamma, const double *beta,
                    size_t rows, size_t cols, double eps)
{
    for (size_t r = 0; r < rows; r++) {
        double m = 0, v = 0;
        for (size_t i = 0; i < cols; i++) m += x[r * cols + i] / (double)cols;
        for (size_t i = 0; i < cols; i++) v += (x[r * cols + i] - m) * (x[r * cols + i] - m) / (double)cols;
        const double s = 1 / sqrt(v + eps);
        for (size_t i = 0; i < cols; i++)
            y[r * cols + i] = (x[r * cols + i] - m) * s * (gamma ? gamma[i] : 1) + (beta ? beta[i] : 0);
        if (mean) mean[r] = m;
        if (rstd) rstd[r] = s;
    }
}
