/* Losses over time. run/over_time.h */
#include "run/over_time.h"

#include <math.h>

#include "base/size.h"
#include "base/stats.h"

/* Times of an n-step loss are steps / n rounded to float: the step is what counts. */
static size_t bin_of(const bf_flow_loss_spec *spec, float t, size_t n)
{
    const size_t k = spec->kind == BF_LOSS_N_STEP ? (size_t)lround((double)t * spec->steps) * n / (size_t)spec->steps
                                                  : (size_t)((double)t * (double)n);
    return BF_MIN(k, n - 1);
}

void bf_time_bins_add(bf_time_bin *bins, size_t n, const bf_flow_loss_spec *spec, const float *t, const double *nats,
                      uint64_t samples)
{
    for (uint64_t i = 0; i < samples; i++) {
        bf_time_bin *b = &bins[bin_of(spec, t[i], n)];
        const double before = nats[i] - b->mean;
        b->mean += before / (double)++b->count;
        b->squares += before * (nats[i] - b->mean);
    }
}

void bf_time_bins_result(const bf_time_bin *bins, size_t n, bfncl_eval_bin *out)
{
    for (size_t k = 0; k < n; k++) {
        const double count = (double)bins[k].count;
        const double nats = bins[k].count > 0 ? bins[k].mean : NAN;
        const double se = bins[k].count > 1 ? sqrt(bins[k].squares / (count - 1) / count) : NAN;
        out[k] = (bfncl_eval_bin){.from = (double)k / (double)n,
                                  .to = (double)(k + 1) / (double)n,
                                  .count = bins[k].count,
                                  .nats_per_dim = nats,
                                  .bits_per_dim = nats / BF_LN2,
                                  .stderr_bits_per_dim = se / BF_LN2};
    }
}
