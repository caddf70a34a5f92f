/* How a run of the sampler goes, from the configuration: mode, times, the last step, what is chosen. */
#ifndef BF_RUN_SAMPLE_PLAN_H
#define BF_RUN_SAMPLE_PLAN_H

#include "flow/sampler.h"
#include "run/config.h"

typedef struct bf_sample_plan {
    bf_sampler_mode mode;
    bf_sampler_choose choose;
    bf_sampler_last last;
    int steps, evaluations;
    double *times;  /* [steps + 1] */
    bool automatic; /* the mode was left to bf_sampler_auto */
    int particles;  /* set by the caller: of every sample; 0: none */
    bf_guide guide; /* set by the caller; fn NULL: none */
} bf_sample_plan;

/* From sample.mode, grid, eta, times, last and choose. `steps` 0: sample.steps, or as many as sample.times has; else it
 * must not contradict the latter. BF_USAGE for a combination that does not exist. Free in every case. */
bf_status bf_sample_plan_new(const bf_config *c, const bf_hybrid *h, int64_t steps, bf_sample_plan *out, bf_err *err);
void bf_sample_plan_free(bf_sample_plan *p);

#endif
