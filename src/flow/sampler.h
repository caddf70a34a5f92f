/*
 * Sampling (spec 2.2-2.4, 2.7): n steps at t = (i-1)/n, then one network call at t = 1 whose mode (DELTA: mean) is the
 * sample. Built once for a batch shape; every step replays the same prepared commands, and whatever changes from step
 * to step (time, accuracy) is in a record. Random numbers are keyed by (seed, group, index of the sample, step), so a
 * sample does not depend on the batch it is drawn in.
 *
 * A step is: predict (the network), say (what it says about the data becomes a value of every variable, or
 * probabilities of its classes), advance (the state at the step's end). The modes differ in the last two:
 *
 *   mode           value                       state at t_i
 *   ANCESTRAL      a draw                      Bayesian update by a message about the value
 *   END_BACK       a draw                      the flow distribution around the value
 *   END_BACK_PMF   the expected value;         the same; of classes beta (K p - 1) + sqrt(K beta) noise
 *                  of classes probabilities p
 *   END_BACK_MODE  the mode                    the flow distribution around the value
 *
 * Variables whose value is given are held: their value replaces what the network says, so that their parameters are at
 * every t_i a draw from the flow distribution around it, and the others are drawn conditioned on them (imputation,
 * scaffolds).
 */
#ifndef BF_FLOW_SAMPLER_H
#define BF_FLOW_SAMPLER_H

#include "flow/hybrid.h"

typedef enum bf_sampler_mode {
    BF_SAMPLER_ANCESTRAL,
    BF_SAMPLER_END_BACK,
    BF_SAMPLER_END_BACK_PMF,
    BF_SAMPLER_END_BACK_MODE,
    BF_SAMPLER_MODES
} bf_sampler_mode;

const char *bf_sampler_mode_name(bf_sampler_mode mode); /* "ancestral", "end_back", ... */

typedef struct bf_sampler bf_sampler;

typedef struct bf_sampler_options {
    bf_ctx *ctx;
    bf_params *params; /* shared with whoever fills it; allocated here when nobody has */
    bf_param_set weights;
    const bf_hybrid *hybrid; /* copied */
    /* {N}: the data of every group are [N, dims]. Of a single group: dims of its data, batch first. */
    int ndim;
    uint64_t dims[BF_MAX_DIMS];
    bf_net_fn net;
    void *user;
    bf_sampler_mode mode;
    bool given;   /* runs may give values */
    bool dry_run; /* only the plan */
} bf_sampler_options;

/* `plan` may be NULL. The sampler's own buffers (a few per variable) are counted in plan->io_bytes and peak_bytes. */
bf_status bf_sampler_new(const bf_sampler_options *options, bf_sampler **out, bf_plan *plan, bf_err *err);
void bf_sampler_free(bf_sampler *s);
/* Kernels, copies and fills of a step. */
size_t bf_sampler_commands(const bf_sampler *s);
/* For inputs of the network's own (bf_graph_find): to be written before a run; they are never changed. */
const bf_graph *bf_sampler_graph(const bf_sampler *s);

/* What can be read of a group at a step; D variables, P = bf_flow_outputs(), K classes. */
typedef enum bf_sampler_item {
    BF_SAMPLER_INPUT,   /* what the network received: [N, D] or [N, D, K] */
    BF_SAMPLER_NET_OUT, /* [N, D, P] */
    BF_SAMPLER_MEAN,    /* [N, D]: expected value of the output distribution; categorical: of the class index */
    BF_SAMPLER_MODE,    /* [N, D]: its mode (DELTA: its value), class index for categories */
    BF_SAMPLER_PARAMS,  /* parameters of the output distribution: DELTA [N,D,1], NORMAL [N,D,2] mean and sd, MIXTURE
                           [N,D,3n], categorical probabilities [N,D,K] */
    BF_SAMPLER_DRAWN,   /* [N, D]: value or class of this step; not in the final call. END_BACK_PMF of classes: a draw
                           that nothing depends on */
    BF_SAMPLER_Y,       /* [N, D] or [N, D, K]: the sender's message; not in the final call. END_BACK: nothing */
    BF_SAMPLER_STATE,   /* after the update: mu [N, D], or theta [N, D, K] */
    BF_SAMPLER_ITEMS
} bf_sampler_item;

/* Floats that bf_sampler_get writes for an item. */
uint64_t bf_sampler_size(const bf_sampler *s, int group, bf_sampler_item item);
bf_status bf_sampler_get(bf_sampler *s, int group, bf_sampler_item item, float *out, bf_err *err);

/* After step i = 1..n, and i = n + 1 for the final call at t = 1. Anything but BF_OK ends the run with that status. */
typedef bf_status (*bf_sampler_step_fn)(void *user, bf_sampler *s, int i, double t, bf_err *err);

/* Replays: random numbers of all steps instead of Philox, step-major; NULL = Philox. And where a group begins. */
typedef struct bf_sampler_draws {
    const float *noise_data; /* [n, N, D]: normals (NORMAL clipped) or uniforms (classes, bins); [n, 2, N, D] for a
                                continuous MIXTURE: uniforms, then normals; none for DELTA */
    const float *noise_y;    /* [n, N, D] or [n, N, D, K]: normals, of the message or of the flow */
    const float *start;      /* [N, D] mu_0 of real-valued data; NULL = 0 */
} bf_sampler_draws;

typedef struct bf_sampler_run_options {
    int steps; /* n >= 1 */
    uint64_t seed;
    uint32_t first;                /* index of the first sample of this batch */
    const bf_sampler_draws *draws; /* [groups]; NULL = Philox, and the prior */
    const float *given;            /* rows [N, D] of all groups: values, or NaN where none is given; NULL = none */
    bf_sampler_step_fn on_step;
    bool ahead; /* on_step does not look at the sampler, which may be at the next step already */
    void *user;
} bf_sampler_run_options;

/* out: rows [N, D] of all groups, side by side: values, or class indices (`discretize`: bin centres). */
bf_status bf_sampler_run(bf_sampler *s, const bf_sampler_run_options *options, float *out, bf_err *err);

#endif
