/* What a model of texts expects at a call of the network. */
#ifndef BF_RUN_FILM_TEXT_H
#define BF_RUN_FILM_TEXT_H

#include "io/text.h"
#include "run/model.h"

typedef struct bf_text_reader {
    const bf_model *m;
    uint32_t batch;
    bf_vocabulary vocabulary;
    float *probability; /* [batch, dims, classes] */
} bf_text_reader;

bf_status bf_text_reader_open(bf_text_reader *r, const bf_model *m, uint32_t batch, bf_err *err);
void bf_text_reader_free(bf_text_reader *r);
/* The most likely character of each of the first `n` texts at every place, and its probability: character [n, dims, 5],
 * UTF-8 closed by NUL, control characters and such as a blank; probability [n, dims]. */
bf_status bf_text_reader_read(bf_text_reader *r, bf_sampler *s, uint32_t n, char (*character)[5], float *probability,
                              bf_err *err);

#endif
