/*
 * Sampling (spec 2.2-2.4, 2.7, 5): calls of the network at times t_0 < t_1 < ... and after each a step of the state
 * towards the next, as the mode says (flow/solver.h); then the sample, from one more call at t = 1, from the last call,
 * or from the state. Built once for a batch shape; every step replays the same prepared commands, and whatever changes
 * from step to step (time, numbers of the solver) is in a record. Random numbers are keyed by (seed, group, index of
 * the sample, call), so a sample does not depend on the batch it is drawn in.
 *
 * Variables whose value is given are held: their value replaces what the network says, so that their parameters are at
 * every t_i a draw from the flow distribution around it (Euler's forms: nearly so), and the others are drawn
 * conditioned on them (imputation, scaffolds): roughly, as what is drawn early knows little of what is given, or with
 * particles exactly (flow/particles.h).
 */
#ifndef BF_FLOW_SAMPLER_H
#define BF_FLOW_SAMPLER_H

#include "flow/guide.h"
#include "flow/solver.h"

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
    bf_sampler_choose choose;
    double temperature; /* of the output distributions: logits are divided by it, deviations multiplied; 0 as 1: none */
    bool given;         /* runs may give values */
    int particles; /* of every sample, with `given`, ancestral only; they are rows: N is a multiple of it. 0, 1: none */
    bool guided;   /* runs may have a guide */
    bool dry_run;  /* only the plan */
} bf_sampler_options;

/* `plan` may be NULL. The sampler's own buffers (a few per variable) are counted in plan->io_bytes and peak_bytes. */
bf_status bf_sampler_new(const bf_sampler_options *options, bf_sampler **out, bf_plan *plan, bf_err *err);
void bf_sampler_free(bf_sampler *s);
/* Kernels, copies and fills of a call and its step. */
size_t bf_sampler_commands(const bf_sampler *s);
/* To measure after a run: the network alone, or all that a call and its step do beside it. */
bf_status bf_sampler_run_part(bf_sampler *s, bool network, bf_err *err);
/* For inputs of the network's own (bf_graph_find): to be written before a run; they are never changed. */
const bf_graph *bf_sampler_graph(const bf_sampler *s);

/* What can be read of a group after a call; D variables, P = bf_flow_outputs(), K classes. */
typedef enum bf_sampler_item {
    BF_SAMPLER_INPUT,   /* what the network received: [N, D] or [N, D, K] */
    BF_SAMPLER_NET_OUT, /* [N, D, P] */
    BF_SAMPLER_MEAN,    /* [N, D]: expected value of the output distribution; categorical: of the class index */
    BF_SAMPLER_MODE,    /* [N, D]: its mode (DELTA: its value), class index for categories */
    BF_SAMPLER_PARAMS,  /* parameters of the output distribution: DELTA [N,D,1], NORMAL [N,D,2] mean and sd, MIXTURE
                           [N,D,3n], categorical probabilities [N,D,K] */
    BF_SAMPLER_DRAWN,   /* [N, D]: value or class that the step went on with; not in a call that none follows. Where it
                           went on with probabilities: a draw that nothing depends on */
    BF_SAMPLER_Y,       /* [N, D] or [N, D, K]: the sender's message; not in the final call. Only ANCESTRAL has one */
    BF_SAMPLER_STATE,   /* after the step: mu [N, D], or theta [N, D, K] */
    BF_SAMPLER_LATENT,  /* the same, of classes z = ln theta + const */
    BF_SAMPLER_ITEMS
} bf_sampler_item;

/* Floats that bf_sampler_get writes for an item. */
uint64_t bf_sampler_size(const bf_sampler *s, int group, bf_sampler_item item);
bf_status bf_sampler_get(bf_sampler *s, int group, bf_sampler_item item, float *out, bf_err *err);

/* Replaces the state, mu [N, D] or z [N, D, K]: in bf_sampler_run_options.on_step, where `ahead` is not set. */
bf_status bf_sampler_put(bf_sampler *s, int group, const float *state, bf_err *err);

/* After call i = 1..bf_sampler_evaluations() at time t, and the step that follows it. Anything but BF_OK ends the run
 * with that status. */
typedef bf_status (*bf_sampler_step_fn)(void *user, bf_sampler *s, int i, double t, bf_err *err);

/* Replays: random numbers of all calls instead of Philox, call-major; NULL = Philox. And where a group begins. */
typedef struct bf_sampler_draws {
    const float *noise_data; /* [n, N, D]: normals (NORMAL clipped) or uniforms (classes, bins); [n, 2, N, D] for a
                                continuous MIXTURE: uniforms, then normals; none for DELTA */
    const float *noise_y;    /* [n, N, D] or [n, N, D, K]: normals that the steps add. Modes with one noise: [N, ...] */
    const float *noise_start; /* [N, D] or [N, D, K]: normals of the start after t = 0 */
    const float *start;
} bf_sampler_draws;

/* What is known of the data of a group, to start near it. */
typedef struct bf_sampler_data {
    const float *mean; /* [D] or [D, K] */
    double spread;     /* variance, mean over the variables; of classes the sum of it over the classes, too */
} bf_sampler_data;

typedef struct bf_sampler_run_options {
    int steps;           /* n >= 1 */
    const double *times; /* [n + 1], increasing to 1; NULL: k / n. From 0: the start is the prior. From later: a draw
                            around 0 with the deviation that the state has at that time, or from `data` */
    bf_sampler_last last;
    uint64_t seed;
    uint32_t first;                /* index of the first sample of this batch */
    const bf_sampler_draws *draws; /* [groups]; NULL = Philox */
    const bf_sampler_data *data;   /* [groups]; NULL = nothing is known */
    const float *given;            /* rows of all groups, [N, D], with particles one of each sample: values, or NaN
                                      where none is given; NULL = none */
    const bf_guide *guide;         /* NULL = none */
    bf_sampler_step_fn on_step;
    bool ahead; /* on_step does not look at the sampler, which may be at the next call already */
    void *user;
} bf_sampler_run_options;

/* out: rows [N, D] of all groups side by side, with particles one of each sample: values, or class indices
 * (`discretize`: bin centres). `first` counts samples. */
bf_status bf_sampler_run(bf_sampler *s, const bf_sampler_run_options *options, float *out, bf_err *err);

#endif
