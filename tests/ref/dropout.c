#include "dropout.h"

#include "base/philox.h"

int ref_dropout_keep(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream, float p)
{
    return bf_philox_uniform(seed, element, sample, step, stream) >= p;
}
