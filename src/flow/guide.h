/*
 * Guidance by a function of the caller (spec 2.7): samples of p(x) h(x)^w, where g is the gradient of ln h by the state
 * that the function is given. Written for the forms of the step that end in a distribution around one value, ancestral
 * and the end_back modes:
 *
 *   real values   x-hat += w sigma_1^(2 t') g at the step's end t': the shift of a normal's mean by its variance times
 *                 the gradient; the variance of x-hat's part of the state is 1 / (rho + alpha) there, and 1 - gamma
 *   classes       ancestral: logits += w g; end_back: p += w g, negative ones 0, and normalised again
 */
#ifndef BF_FLOW_GUIDE_H
#define BF_FLOW_GUIDE_H

#include <bfncl.h>

#include "flow/solver.h"

typedef struct bf_guide {
    bfncl_guide_fn fn;
    void *user;
    double strength; /* w */
} bf_guide;

/* BF_USAGE for a mode that has no such form. */
bf_status bf_guide_check(bf_sampler_mode mode, bf_err *err);
/* What x-hat's gradient is multiplied by, w included. */
double bf_guide_factor(const bf_guide *guide, const bf_flow *f, double to);
/* Logits net [n, K] (K = 2: [n], of class one) as the gradient g [n, K] wants them; p [n, K]: what they say. */
void bf_guide_logits(const bf_guide *guide, const bf_flow *f, bf_sampler_mode mode, const float *p, const float *g,
                     uint64_t n, float *net);

#endif
