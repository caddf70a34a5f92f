/* Drawing samples from an open model: shared by bfncl_sample and the embedded model. */
#ifndef BF_RUN_SAMPLE_H
#define BF_RUN_SAMPLE_H

#include "run/model.h"
#include "run/progress.h"
#include "run/sample_plan.h"

/* A sampler in the mode of the plan for batches of at most `batch` items; fewer where memory does not allow it (said in
 * the log). Runs may give values where the model is of tables or m->given is set. Guidance is what m->guidance
 * says. `dry_run`: only the plan, *out is
 * NULL. `plan` may be NULL. */
bf_status bf_sampling_new(bf_model *m, const bf_sample_plan *how, uint32_t batch, bool dry_run, bf_sampler **out,
                          uint32_t *batch_used, bf_plan *plan, bf_err *err);

typedef struct bf_sampling {
    bf_model *m;
    bf_sampler *sampler;
    uint32_t batch;
    uint64_t first, n; /* samples first .. first + n - 1 */
    uint64_t seed;
    const bf_sample_plan *how;
    const float *given;    /* may be NULL: cells [rows, D], of a table as in io/table.h, else as the sampler
                              has them; NaN where they are drawn; */
    uint64_t rows, repeat; /* there are so many of them; sample k fills row k / repeat, behind the last the first */
    const uint32_t *label; /* [n], the classes of the samples; NULL: "none", or a model without labels */
    bf_report *report;     /* may be NULL */
    bf_sampler_step_fn on_step; /* called for the first batch only; may be NULL */
    void *user;
} bf_sampling;

/* out [n, D] */
bf_status bf_sampling_run(const bf_sampling *s, float *out, bf_err *err);

/* Data of the model as grey levels or colours, 0..255; also for expected values between two classes or bins. */
void bf_sampling_bytes(const bf_model *m, const float *x, uint64_t count, uint8_t *out);

#endif
