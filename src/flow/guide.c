#include "flow/guide.h"

#include <math.h>

#define SMALLEST 1e-30 /* probability: its logarithm is finite */

bf_status bf_guide_check(bf_sampler_mode mode, bf_err *err)
{
    if (!bf_sampler_solves(mode)) return BF_OK;
    return bf_fail(err, BF_USAGE, "guidance by a function goes with the samplers ancestral and end_back, not with %s",
                   bf_sampler_mode_name(mode));
}

double bf_guide_factor(const bf_guide *guide, const bf_flow *f, double to)
{
    return guide->strength * pow(f->min_variance, to);
}

void bf_guide_logits(const bf_guide *guide, const bf_flow *f, bf_sampler_mode mode, const float *p, const float *g,
                     uint64_t n, float *net)
{
    const int classes = f->classes;
    const bool adds = mode == BF_SAMPLER_ANCESTRAL; /* to the logits */
    for (uint64_t i = 0; i < n; i++, p += classes, g += classes) {
        float *to = net + i * (uint64_t)(classes == 2 ? 1 : classes);
        double all[2] = {0, 0};
        for (int k = 0; k < classes; k++) {
            const double step = guide->strength * (double)g[k], wanted = log(fmax((double)p[k] + step, SMALLEST));
            if (classes == 2)
                all[k] = adds ? step : wanted;
            else
                to[k] = (float)(adds ? to[k] + step : wanted);
        }
        if (classes == 2) *to = (float)((adds ? *to : 0.0) + all[1] - all[0]);
    }
}
