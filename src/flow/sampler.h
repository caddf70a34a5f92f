/*
 * Ancestral sampling (spec 2.2-2.4): n steps at t = (i-1)/n, then one network call at t = 1 whose mode (DELTA: mean) is
 * the sample. Built once for a batch shape; every step replays the same prepared commands, and whatever changes from
 * step to step (time, accuracy) is in the step record. Random numbers are keyed by (seed, index of the sample, step),
 * so a sample does not depend on the batch it is drawn in.
 */
#ifndef BF_FLOW_SAMPLER_H
#define BF_FLOW_SAMPLER_H

#include "flow/flow.h"

/* Appends the network: `input` has the data's dims (K > 2: and [K] behind them), `t` is [B]. Returns its output. */
typedef bf_tid (*bf_net_fn)(void *user, bf_graph *g, bf_tid input, bf_tid t);

typedef struct bf_sampler bf_sampler;

typedef struct bf_sampler_options {
    bf_ctx *ctx;
    bf_params *params; /* shared with whoever fills it; allocated here when nobody has */
    bf_param_set weights;
    bf_flow flow;
    int ndim; /* dims of the data, batch first */
    uint64_t dims[BF_MAX_DIMS];
    bf_net_fn net;
    void *user;
    bool dry_run; /* only the plan */
} bf_sampler_options;

/* `plan` may be NULL. The sampler's own buffers (a few per variable) are counted in plan->io_bytes and peak_bytes. */
bf_status bf_sampler_new(const bf_sampler_options *options, bf_sampler **out, bf_plan *plan, bf_err *err);
void bf_sampler_free(bf_sampler *s);
/* Kernels, copies and fills of a step. */
size_t bf_sampler_commands(const bf_sampler *s);

/* What can be read at a step; D variables, P = bf_flow_outputs(), K classes. */
typedef enum bf_sampler_item {
    BF_SAMPLER_INPUT,   /* what the network received: [B, D] or [B, D, K] */
    BF_SAMPLER_NET_OUT, /* [B, D, P] */
    BF_SAMPLER_MEAN,    /* [B, D]: expected value of the output distribution; categorical: of the class index */
    BF_SAMPLER_MODE,    /* [B, D]: its mode (DELTA: its value), class index for categories */
    BF_SAMPLER_PARAMS,  /* parameters of the output distribution: DELTA [B,D,1], NORMAL [B,D,2] mean and sd, MIXTURE
                           [B,D,3n], categorical probabilities [B,D,K] */
    BF_SAMPLER_DRAWN,   /* [B, D]: value or class drawn in this step; not in the final call */
    BF_SAMPLER_Y,       /* [B, D] or [B, D, K]: the sender's message; not in the final call */
    BF_SAMPLER_STATE,   /* after the update: mu [B, D], or theta [B, D, K] */
    BF_SAMPLER_ITEMS
} bf_sampler_item;

/* Floats that bf_sampler_get writes for an item. */
uint64_t bf_sampler_size(const bf_sampler *s, bf_sampler_item item);
bf_status bf_sampler_get(bf_sampler *s, bf_sampler_item item, float *out, bf_err *err);

/* After step i = 1..n, and i = n + 1 for the final call at t = 1. Anything but BF_OK ends the run with that status. */
typedef bf_status (*bf_sampler_step_fn)(void *user, bf_sampler *s, int i, double t, bf_err *err);

typedef struct bf_sampler_run_options {
    int steps; /* n >= 1 */
    uint64_t seed;
    uint32_t first; /* index of the first sample of this batch */
    /* Replays: random numbers of all steps instead of Philox, step-major; NULL = Philox. */
    const float *noise_data; /* [n, B, D]: normals (NORMAL clipped) or uniforms (classes, bins); [n, 2, B, D] for a
                                continuous MIXTURE: uniforms, then normals; none for DELTA */
    const float *noise_y;    /* [n, B, D] or [n, B, D, K]: normals */
    bf_sampler_step_fn on_step;
    bool ahead; /* on_step does not look at the sampler, which may be at the next step already */
    void *user;
} bf_sampler_run_options;

/* out [B, D]: values in [-1, 1], or class indices (`discretize`: bin centres). */
bf_status bf_sampler_run(bf_sampler *s, const bf_sampler_run_options *options, float *out, bf_err *err);

#endif
