/* Where a loss comes from: its mean in bins of time. */
#ifndef BF_RUN_OVER_TIME_H
#define BF_RUN_OVER_TIME_H

#include "flow/flow.h"

/* A bin k of n holds the estimates with k / n <= t < (k + 1) / n. Zero-filled at first. */
typedef struct bf_time_bin {
    uint64_t count;
    double mean, squares; /* squares: sum of squared distances from the mean */
} bf_time_bin;

/* Adds samples estimates nats[i] of the loss at t[i] (bf_flow_times of the same `spec`) to bins[n]. */
void bf_time_bins_add(bf_time_bin *bins, size_t n, const bf_flow_loss_spec *spec, const float *t, const double *nats,
                      uint64_t samples);

/* In the form of the public header; numbers of an empty bin are NaN, the standard error of one estimate too. */
void bf_time_bins_result(const bf_time_bin *bins, size_t n, bfncl_eval_bin *out);

#endif
