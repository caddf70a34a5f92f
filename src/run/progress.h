/* Reporting to the caller's progress function: phases, rates, time left. */
#ifndef BF_RUN_PROGRESS_H
#define BF_RUN_PROGRESS_H

#include <math.h>

#include "base/clock.h"
#include "bfncl.h"

typedef struct bf_report {
    bfncl_progress_fn fn; /* may be NULL */
    void *user;
    const char *phase;
    double started;
    uint64_t first; /* `done` at the start of the phase */
} bf_report;

static inline void bf_report_phase(bf_report *r, const char *phase, uint64_t first)
{
    r->phase = phase;
    r->started = bf_seconds();
    r->first = first;
}

/* A plain phase; false = stop. */
static inline bool bf_report_done(bf_report *r, uint64_t done, uint64_t total)
{
    bfncl_progress p = {.phase = r->phase,
                        .done = done,
                        .total = total,
                        .eta = NAN,
                        .loss = NAN,
                        .lr = NAN,
                        .grad_norm = NAN,
                        .step_ms = NAN};
    if (!r->fn) return true;
    if (done > r->first && total >= done)
        p.eta = (bf_seconds() - r->started) / (double)(done - r->first) * (double)(total - done);
    return r->fn(r->user, &p);
}

#endif
