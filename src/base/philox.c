#include "base/philox.h"

#include <Random123/philox.h>
#include <math.h>

static const float two_pi = 6.28318530717958647692f;
static const float unit = 1.0f / 16777216.0f; /* 2^-24 */

void bf_philox(uint64_t seed, uint32_t block, uint32_t sample, uint32_t step, uint32_t stream, uint32_t out[4])
{
    philox4x32_ctr_t counter = {{block, sample, step, stream}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t words = philox4x32_R(10, counter, key);
    for (int i = 0; i < 4; i++) out[i] = words.v[i];
}

uint32_t bf_philox_word(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream)
{
    uint32_t words[4];
    bf_philox(seed, element / 4, sample, step, stream, words);
    return words[element % 4];
}

float bf_philox_uniform(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream)
{
    return (float)(bf_philox_word(seed, element, sample, step, stream) >> 8) * unit;
}

float bf_philox_normal(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream)
{
    uint32_t words[4], pair = element % 4 / 2 * 2;
    bf_philox(seed, element / 4, sample, step, stream, words);
    float r = sqrtf(-2.0f * logf((float)((words[pair] >> 8) + 1) * unit));
    float a = two_pi * ((float)(words[pair + 1] >> 8) * unit);
    return element % 2 == 0 ? r * cosf(a) : r * sinf(a);
}

/* Uniform in 0..bound-1 without bias (multiply and reject, Lemire 2019); `sample` counts the rejected draws. */
static uint32_t below(uint64_t seed, uint32_t element, uint32_t step, uint32_t stream, uint32_t bound)
{
    uint32_t unfair = (0u - bound) % bound; /* 2^32 mod bound */
    for (uint32_t attempt = 0;; attempt++) {
        uint64_t product = (uint64_t)bf_philox_word(seed, element, attempt, step, stream) * bound;
        if ((uint32_t)product >= unfair) return (uint32_t)(product >> 32);
    }
}

void bf_philox_permutation(uint64_t seed, uint32_t step, uint32_t stream, uint32_t n, uint32_t *perm)
{
    for (uint32_t i = 0; i < n; i++) { /* Fisher-Yates, inside out */
        uint32_t j = below(seed, i, step, stream, i + 1);
        if (j != i) perm[i] = perm[j]; /* perm[i] is not set yet */
        perm[j] = i;
    }
}
