/* What the measures of samples of texts and of pictures share. */
#ifndef BF_RUN_EVAL_SAMPLES_H
#define BF_RUN_EVAL_SAMPLES_H

#include "run/model.h"
#include "run/progress.h"

typedef struct bf_sample_eval {
    const bfncl_samples_options *o;
    bfncl_samples_result *r;
    bf_config config; /* of the model */
    uint32_t shape[3];
    bf_report report;
} bf_sample_eval;

/* The share of words that stand in a dictionary: of the samples, and of texts the model was not trained on. */
bf_status bf_eval_words(bf_sample_eval *e, bf_err *err);
/* Frechet distance of the samples, and of as many examples the model was not trained on, to the data; nearest
 * neighbours as a picture. */
bf_status bf_eval_pictures(bf_sample_eval *e, bf_err *err);

#endif
