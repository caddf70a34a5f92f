/* Means and covariances of vectors, and how far two distributions with such moments are apart. */
#ifndef BF_BASE_MOMENTS_H
#define BF_BASE_MOMENTS_H

#include <stdint.h>

#include "base/err.h"

/* Sums over n vectors of `dims` numbers. */
typedef struct bf_moments {
    uint32_t dims;
    uint64_t n;
    double *sum;   /* [dims] */
    double *outer; /* [dims, dims], lower triangle: of products of two elements */
} bf_moments;

bf_status bf_moments_new(bf_moments *m, uint32_t dims, bf_err *err);
void bf_moments_free(bf_moments *m);
/* Adds the vectors x [rows, dims]. */
void bf_moments_add(bf_moments *m, const float *x, uint64_t rows);
/* *to plus or (sign -1) minus the vectors of `from`. */
void bf_moments_join(bf_moments *to, const bf_moments *from, int sign);
/* mean [dims] and covariance [dims, dims], over n - 1; n >= 2. */
void bf_moments_get(const bf_moments *m, double *mean, double *covariance);

/*
 * Frechet distance (2-Wasserstein, squared) of two normal distributions with the means and covariances of a and b, of
 * at least two vectors each:
 *   |mean_a - mean_b|^2 + trace(A + B - 2 (A B)^(1/2))
 * The trace of the root is the sum of the roots of the eigenvalues of L'BL with A = LL'.
 */
bf_status bf_frechet_distance(const bf_moments *a, const bf_moments *b, double *distance, bf_err *err);

/* Eigenvalues of a symmetric matrix a [n, n], of which the lower triangle is read and everything overwritten, in no
 * order: Householder's reduction to three diagonals, then implicit QL steps. BF_NUMERIC where they do not converge, as
 * of a matrix that is not finite. */
bf_status bf_eigenvalues(double *a, uint32_t n, double *values, bf_err *err);

#endif
