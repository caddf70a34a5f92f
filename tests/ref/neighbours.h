/* The nearest items inside segments, by sorting all of them. */
#ifndef BF_TESTS_REF_NEIGHBOURS_H
#define BF_TESTS_REF_NEIGHBOURS_H

#include <stddef.h>
#include <stdint.h>

/* src [n,k+1] (UINT32_MAX behind the last), count [n] from x [n,3] and offset [segments+1]. */
void ref_neighbours(uint32_t *src, uint32_t *count, const float *x, const uint32_t *offset, size_t segments, int k);

/* rev_offset [n+1], rev_edge: for every item the edges e with src[e] = item, ascending. */
void ref_reverse(uint32_t *rev_offset, uint32_t *rev_edge, const uint32_t *src, size_t n, int slots);

#endif
