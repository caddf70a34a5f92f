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

static float uniform(uint32_t word)
{
    return (float)(word >> 8) * unit;
}

/* Radius and angle of a pair of normal numbers. */
static void box_muller(const uint32_t word[2], float *r, float *a)
{
    *r = sqrtf(-2.0f * logf((float)((word[0] >> 8) + 1) * unit));
    *a = two_pi * uniform(word[1]);
}

float bf_philox_uniform(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream)
{
    return uniform(bf_philox_word(seed, element, sample, step, stream));
}

float bf_philox_normal(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream)
{
    uint32_t words[4];
    float r, a;
    bf_philox(seed, element / 4, sample, step, stream, words);
    box_muller(words + element % 4 / 2 * 2, &r, &a);
    return element % 2 == 0 ? r * cosf(a) : r * sinf(a);
}

void bf_philox_uniforms(uint64_t seed, uint32_t sample, uint32_t step, uint32_t stream, float *out, uint64_t n)
{
    uint32_t words[4];
    for (uint64_t i = 0; i < n; i++) {
        if (i % 4 == 0) bf_philox(seed, (uint32_t)(i / 4), sample, step, stream, words);
        out[i] = uniform(words[i % 4]);
    }
}

void bf_philox_normals(uint64_t seed, uint32_t sample, uint32_t step, uint32_t stream, float *out, uint64_t n)
{
    uint32_t words[4];
    float r, a;
    for (uint64_t i = 0; i < n; i += 2) {
        if (i % 4 == 0) bf_philox(seed, (uint32_t)(i / 4), sample, step, stream, words);
        box_muller(words + i % 4, &r, &a);
        out[i] = r * cosf(a);
        if (i + 1 < n) out[i + 1] = r * sinf(a);
    }
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
