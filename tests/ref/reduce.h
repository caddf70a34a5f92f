/* Sum over the middle axis in double precision. */
#ifndef BF_TESTS_REF_REDUCE_H
#define BF_TESTS_REF_REDUCE_H

#include <stddef.h>

void ref_sum_mid(double *out, double scale, const double *x, size_t outer, size_t mid, size_t inner);

#endif
