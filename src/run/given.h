/*
 * What is given of samples: pictures and texts with holes, and the ends of texts that are shorter than others. The
 * sampler holds it (flow/sampler.h), so it is in the samples as it is.
 *
 * Pictures: a PNG file or an NPY array of the model's shape (of one picture, or [n,...] of several), read as training
 * data are (io/dataset.h; of data that are binarised, one from the middle on). Drawn is what is white in the mask, a
 * PNG file of the same height and width; without a mask the transparent pixels, and in an array NaN.
 * Texts: characters that stand for holes are drawn, and what is missing at the end where a length says that it is.
 * Lengths: sample k has as many characters as entry k of the list says, which begins again after its end; the rest is
 * held at spaces, and is no part of what is written as a text.
 */
#ifndef BF_RUN_GIVEN_H
#define BF_RUN_GIVEN_H

#include "run/model.h"

typedef struct bf_given {
    float *cells;  /* [rows, dims] as the sampler has them, NaN where they are drawn; owned; NULL: nothing is given */
    uint64_t rows; /* sample k fills row k / repeat */
    uint64_t repeat;
    uint32_t *length; /* [rows] of lengths; owned; NULL: all characters count */
} bf_given;

/* What o->given, mask, hole and lengths say, for a model that is not of a table, whose texts take the length that this
 * needs. `samples`: how many there are where nothing but lengths is given; else o->n draws of each row, 0: one. Free in
 * every case. */
bf_status bf_given_read(bf_model *m, const bfncl_sample_options *o, uint64_t samples, bf_given *out, bf_err *err);
void bf_given_free(bf_given *g);

#endif
