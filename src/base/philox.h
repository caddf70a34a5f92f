/*
 * Random numbers: Philox4x32-10, counter based, the same words on host and device.
 *
 *   key     = seed (low word, high word)
 *   counter = (element / 4, sample, step, stream); word element % 4 of the block belongs to `element`
 *
 * `element` counts within one sample, `sample` is the index of the sample (or row of the batch), `step` the
 * training step or sampler step, `stream` one of BF_STREAM_*: two uses never share a counter, and a number never
 * depends on batch size or launch geometry. Conversions (identical text in cl/philox.h):
 *   uniform [0,1)   (w >> 8) * 2^-24
 *   uniform (0,1]   ((w >> 8) + 1) * 2^-24
 *   normal          Box-Muller on words (0,1) and (2,3) of a block:
 *                   r = sqrt(-2 ln u(0,1](w0)), a = 2 pi u[0,1)(w1): n0 = r cos a, n1 = r sin a; likewise n2, n3
 *   Bernoulli(p)    uniform [0,1) < p
 *   categorical     number of running sums p0, p0+p1, ... (all but the last) that are <= u
 */
#ifndef BF_BASE_PHILOX_H
#define BF_BASE_PHILOX_H

#include <stdint.h>

enum {
    BF_STREAM_INIT = 1,        /* parameter initialisation; step = index of the parameter */
    BF_STREAM_SHUFFLE = 2,     /* order of the training set; step = epoch */
    BF_STREAM_BINARISE = 3,    /* dynamic binarisation; sample = index in data set, step = how often it was read */
    BF_STREAM_TIME = 4,        /* times t */
    BF_STREAM_FLOW = 5,        /* flow noise */
    BF_STREAM_SENDER = 6,      /* Monte-Carlo noise of the n-step loss */
    BF_STREAM_SAMPLE_DATA = 7, /* draws from the output distribution while sampling */
    BF_STREAM_SAMPLE_Y = 8,    /* sender noise while sampling */
    BF_STREAM_AUGMENT = 9,
    BF_STREAM_SAMPLE_PICK = 10, /* component of a mixture while sampling */
    BF_STREAM_GIVEN = 11,       /* which cells of a row of a table are given */
    BF_STREAM_CELL = 12,        /* place of a number inside its bin */
    BF_STREAM_SAMPLE_SIZE = 13, /* how large a sample is */
    BF_STREAM_LABEL = 14,       /* which labels of a data set are left out; step = epoch */
    BF_STREAM_PARTICLES = 15,   /* which particles live on */
    BF_STREAM_DROPOUT = 64,     /* + index of the dropout node */
    BF_STREAM_GROUP = 1 << 20   /* group g of a hybrid flow has these streams + g BF_STREAM_GROUP */
};

void bf_philox(uint64_t seed, uint32_t block, uint32_t sample, uint32_t step, uint32_t stream, uint32_t out[4]);
uint32_t bf_philox_word(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream);
float bf_philox_uniform(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream);
float bf_philox_normal(uint64_t seed, uint32_t element, uint32_t sample, uint32_t step, uint32_t stream);

/* Elements 0 .. n-1 at once, n <= 2^32: the same numbers, without making each block four times. */
void bf_philox_uniforms(uint64_t seed, uint32_t sample, uint32_t step, uint32_t stream, float *out, uint64_t n);
void bf_philox_normals(uint64_t seed, uint32_t sample, uint32_t step, uint32_t stream, float *out, uint64_t n);

/* perm[i] = i-th element of a pseudo-random order of 0..n-1, a function of (seed, stream, step) alone. */
void bf_philox_permutation(uint64_t seed, uint32_t step, uint32_t stream, uint32_t n, uint32_t *perm);

#endif
