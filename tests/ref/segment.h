/* Sums over lists of rows. entry NULL: the rows offset[s] .. offset[s+1] - 1 themselves. */
#ifndef BF_TESTS_REF_SEGMENT_H
#define BF_TESTS_REF_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void ref_gather(double *y, const double *x, const uint32_t *index, size_t rows, size_t cols);
void ref_segment_sum(double *y, bool mean, const double *x, const uint32_t *offset, const uint32_t *entry,
                     size_t segments, size_t cols);
void ref_segment_softmax(double *y, const double *x, const uint32_t *offset, size_t segments, size_t cols);
/* weight NULL: all 1 */
void ref_segment_centre(double *y, const double *x, const double *weight, const uint32_t *offset, size_t segments,
                        size_t cols);

#endif
