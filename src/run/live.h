/* What forms while texts are sampled, for the caller's bfncl_live_fn. */
#ifndef BF_RUN_LIVE_H
#define BF_RUN_LIVE_H

#include "run/film_text.h"

typedef struct bf_live {
    bfncl_live_fn fn;
    void *user;
    bfncl_live state;
    bf_text_reader reader;
    char (*character)[5];
    float *probability;
} bf_live;

/* Of the first of `n` texts in batches of `batch`, of runs of so many network calls. Free in every case. */
bf_status bf_live_open(bf_live *l, const bf_model *m, uint32_t batch, uint64_t n, int evaluations,
                       const bfncl_sample_options *o, bf_err *err);
void bf_live_free(bf_live *l);
/* After call i of the first batch, at time t. */
bf_status bf_live_step(bf_live *l, bf_sampler *s, int i, double t, bf_err *err);

#endif
