/* What the replays of real-valued and of class data share. */
#ifndef BF_RUN_VERIFY_FLOW_H
#define BF_RUN_VERIFY_FLOW_H

#include "flow/ops.h"
#include "flow/sampler.h"
#include "run/pool.h"

typedef struct bf_flow_case {
    bf_verify *v;
    bf_flow flow;
    bf_flow_shape shape; /* of the stored data */
    bf_pool pool;
    bf_mem x; /* the data */
} bf_flow_case;

/* Number in the metadata, or `otherwise`. */
double bf_golden_meta(const bf_verify *v, const char *key, double otherwise);
/* "prefix.part", written into and returned as `buffer`. */
const char *bf_golden_name(char buffer[128], const char *prefix, const char *part);
bool bf_golden_has(const bf_flow_case *r, const char *prefix, const char *part);

/* Accuracies: alpha.n<n>_f64 and alpha32.n<n> against bf_flow_alpha. */
bf_status bf_golden_alphas(bf_flow_case *r, bf_err *err);

/* A loss of the section `prefix` (closs, dloss.n10, recon): .loss, .loss_mean, .grad_net_out as far as stored.
 * `suffix`: section whose results are compared when it is not the one with the inputs; else NULL. mu: none for classes.
 */
bf_status bf_golden_loss(bf_flow_case *r, const char *prefix, const char *results, const bf_flow_loss_spec *spec,
                         bf_mem mu, bf_mem t, bf_err *err);

/* Calls `one` with "dloss.n<n>" and n for every n-step section. */
bf_status bf_golden_each_steps(bf_flow_case *r,
                               bf_status (*one)(bf_flow_case *r, const char *prefix, int n, bf_err *err), bf_err *err);

/* mc_y of an n-step section through the sender: sample by sample, because every sample has its own accuracy. */
bf_status bf_golden_sender(bf_flow_case *r, const char *prefix, int n, const float *t, bf_err *err);

/* The stored sampling run `traj.*` with its linear network; `noise_data`: tensor of the draws, NULL for none. */
bf_status bf_golden_trajectory(bf_flow_case *r, const char *noise_data, bf_err *err);

/* A sampling run on stored draws (bf_sampler_run_options) with all that its steps show. */
typedef struct bf_recording {
    float *all[BF_SAMPLER_ITEMS];    /* step-major; what the final call has not is zero there */
    uint64_t size[BF_SAMPLER_ITEMS]; /* floats per step */
    float *t, *final;
    int steps;
} bf_recording;

/* Free the recording in every case. */
bf_status bf_record(bf_sampler *s, int steps, const float *noise_data, const float *noise_y, bf_recording *rec,
                    bf_err *err);
void bf_recording_free(bf_recording *rec);

#endif
