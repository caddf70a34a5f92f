/* Which elements dropout keeps: from the host random numbers. */
#ifndef BF_TESTS_REF_DROPOUT_H
#define BF_TESTS_REF_DROPOUT_H

#include <stdint.h>

int ref_dropout_keep(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream, float p);

#endif
