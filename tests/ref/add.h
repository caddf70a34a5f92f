/* Sums of tensors in double precision. */
#ifndef BF_TESTS_REF_ADD_H
#define BF_TESTS_REF_ADD_H

#include <stddef.h>

void ref_axpby(double *y, double alpha, const double *a, double beta, const double *b, size_t n);
void ref_add_mid(double *y, const double *x, const double *t, size_t outer, size_t mid, size_t inner);

#endif
