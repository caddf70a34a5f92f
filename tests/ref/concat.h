/* Columns first..first+cols of x [rows,cx] put at columns to.. of y [rows,cy]. */
#ifndef BF_TESTS_REF_CONCAT_H
#define BF_TESTS_REF_CONCAT_H

#include <stddef.h>

void ref_columns(double *y, int cy, int to, const double *x, int cx, int first, int cols, size_t rows);

#endif
