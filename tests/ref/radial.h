/* Lengths of edges (src [items,slots], UINT32_MAX: no edge) and radial functions of distances. */
#ifndef BF_TESTS_REF_RADIAL_H
#define BF_TESTS_REF_RADIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void ref_edge_length(double *d, const double *x, const uint32_t *src, size_t items, size_t slots);
void ref_radial(double *y, const double *d, const double *offset, double scale, bool exponent, size_t n, size_t cols);

#endif
