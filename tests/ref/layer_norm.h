/* Layer norm over rows in double precision; gamma, beta, mean and rstd may be NULL. */
#ifndef BF_TESTS_REF_LAYER_NORM_H
#define BF_TESTS_REF_LAYER_NORM_H

#include <stddef.h>

void ref_layer_norm(double *y, double *mean, double *rstd, const double *x, const double *gamma, const double *beta,
                    size_t rows, size_t cols, double eps);

#endif
