/* Softmax over rows in double precision. */
#ifndef BF_TESTS_REF_SOFTMAX_H
#define BF_TESTS_REF_SOFTMAX_H

#include <stddef.h>

void ref_softmax(double *y, const double *x, size_t rows, size_t cols);

#endif
