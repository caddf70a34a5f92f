/*
 * Bayesian flows on the graph: what the network is fed, what a batch costs, and the numbers both need.
 *
 * Shapes. A batch of data is a float tensor [B, ...] with D numbers per sample (D = product of the other sizes): real
 * values in [-1, 1] (continuous data whose value is not clipped: any), or class indices 0..K-1 written as floats (with
 * `discretize`: real values that the flow turns into bin indices itself). Times t are a float tensor [B], one per
 * sample.
 *
 *   kind                     net receives        numbers   net emits per variable
 *   continuous, discretised  mu, as the data     1         DELTA 1 | NORMAL 2: mean, log sd | MIXTURE 3n: n logits,
 *                                                          n means, n log sds
 *   categorical, K = 2       2 theta_0 - 1       1         1: logit of class ONE (theta_0 belongs to class ZERO)
 *   categorical, K > 2       theta, data + [K]   K         K logits
 *
 * The network's output may have any shape with B * D * bf_flow_outputs() elements in this order. With prediction NOISE
 * the mean and log sd it emits are those of the noise (spec 2.2), with DATA those of the data.
 *
 * All losses are nats per variable, as the paper's code reports them; bits = nats / ln 2.
 */
#ifndef BF_FLOW_FLOW_H
#define BF_FLOW_FLOW_H

#include "graph/graph.h"

typedef enum bf_flow_kind { BF_FLOW_CONTINUOUS, BF_FLOW_DISCRETISED, BF_FLOW_CATEGORICAL } bf_flow_kind;

/* Shape of the output distribution of real-valued data. DELTA is for continuous data only. */
typedef enum bf_flow_output { BF_OUT_DELTA, BF_OUT_NORMAL, BF_OUT_MIXTURE } bf_flow_output;

/* What the emitted mean and deviation mean. DATA_SD: as DATA, but the deviation itself instead of its logarithm. */
typedef enum bf_flow_predict { BF_PREDICT_NOISE, BF_PREDICT_DATA, BF_PREDICT_DATA_SD } bf_flow_predict;

/* Accuracy of class data by time. ENTROPY: the entropy of theta falls linearly (ChemBFN), with beta1 = s^2 and
 * q = exp(-K beta1 / 4) beta(t) = -(4/K) ln(1 - t + t q); its released setting is K beta1 = 20.4054. */
typedef enum bf_flow_schedule { BF_SCHEDULE_SQUARED, BF_SCHEDULE_ENTROPY } bf_flow_schedule;

typedef struct bf_flow {
    bf_flow_kind kind;

    /* continuous and discretised */
    double min_variance;      /* sigma_1^2, in (0, 1) */
    double min_loss_variance; /* floor of sigma_1^(2t) in the continuous-time loss; 0 = none */
    bf_flow_output output;
    bf_flow_predict predict;
    int mixture;           /* components of MIXTURE, 1..32 */
    double min_sd, max_sd; /* clamp of the predicted deviation; min_sd < 0 means 1 / (5 bins) */
    double clip;           /* DELTA: its value is clipped to [-clip, clip]; 0: it is not */
    double min_t;          /* prediction NOISE: before it, mean 0 and deviation 1 whatever the network says */

    /* discretised */
    int bins;       /* 2..1024 */
    bool truncated; /* normalise by the mass in [-1, 1]; false: the outer bins take the tails */

    /* categorical */
    int classes; /* 2..4096 */
    bf_flow_schedule schedule;
    double max_sqrt_beta; /* s; beta(1) = s^2 */
    double max_t;         /* later times are this one in the flow distribution; 1: none is */
    double min_prob;      /* probabilities are raised to it while sampling, and not normalised again */
    bool discretize;      /* data are reals in [-1, 1] that fall into `classes` bins */
} bf_flow;

/* The released settings of a kind: sigma_1^2 1e-6 | 16 bins, 1e-3 | K = 2, s = 3; noise prediction from t = 1e-6 on,
 * clip 1, classes up to t = 1 - 1e-6. */
bf_flow bf_flow_defaults(bf_flow_kind kind);

/* BF_USAGE with one sentence when a setting is out of range or two contradict each other. */
bf_status bf_flow_check(const bf_flow *f, bf_err *err);

const char *bf_flow_kind_name(bf_flow_kind kind); /* "continuous", "discretised", "categorical" */

int bf_flow_inputs(const bf_flow *f);  /* numbers per variable that the net receives */
int bf_flow_outputs(const bf_flow *f); /* numbers per variable that it emits */

/* Continuous data: bins of [-1, 1] in which the reconstruction loss codes a value, as the released code: its nats are
 * those of a bin, and those of a density less by ln(bins / 2). */
int bf_flow_recon_bins(const bf_flow *f);

/* Categorical: beta(t) and its derivative, in double. */
double bf_flow_beta(const bf_flow *f, double t);
double bf_flow_beta_rate(const bf_flow *f, double t);

/* Accuracy of step i = 1..n (spec 2.2, 2.4), in double. */
double bf_flow_alpha(const bf_flow *f, double i, double n);

/* ---- graph ------------------------------------------------------------------------------------------------------ */

typedef struct bf_flow_state {
    bf_tid input; /* what the network receives */
    bf_tid param; /* mu [as data], or the logits of theta [data dims, K] */
} bf_flow_state;

/* A draw from the flow distribution at time t. `noise`: standard normals [data dims] or [data dims, K]; BF_NONE: Philox
 * (BF_STREAM_FLOW, step record, element within the sample). No gradient flows through. */
bf_flow_state bf_flow_input(bf_graph *g, const bf_flow *f, bf_tid data, bf_tid t, bf_tid noise);

typedef enum bf_loss_kind { BF_LOSS_CTS, BF_LOSS_N_STEP, BF_LOSS_RECON } bf_loss_kind;
typedef enum bf_receiver {
    BF_RECEIVER_JOINT,    /* the paper's mixture of K-dimensional normals: the true code length */
    BF_RECEIVER_OFFICIAL, /* product of the coordinates' marginals, as the released code (spec 2.5) */
    BF_RECEIVER_CLAMPED   /* joint, with probabilities clamped to [2^-23, 1 - 2^-23], as MolCRAFT's code */
} bf_receiver;

typedef struct bf_flow_loss_spec {
    bf_loss_kind kind;
    int steps;            /* N_STEP: n */
    int draws;            /* N_STEP: Monte-Carlo draws per variable; 0 = 10. Not used by continuous data */
    bf_receiver receiver; /* N_STEP of categorical data */
    bool any_time;        /* N_STEP: times lie anywhere in [0, 1), i = floor(t n) + 1, product in fp32 */
} bf_flow_loss_spec;

typedef struct bf_flow_losses {
    bf_tid sample;  /* [B]: mean over the variables, nats */
    bf_tid element; /* [B, D]: per variable */
    bf_tid grad;    /* as net_out: gradient of the mean over the batch of `sample`, the seed of bf_graph_backward;
                       BF_NONE when not asked for */
} bf_flow_losses;

/* The losses of spec 2.2-2.5. N_STEP expects t = (i - 1) / n (or any_time), RECON t = 1. `mc_noise`: standard normals
 * [draws, data dims (, K)]; BF_NONE: Philox (BF_STREAM_SENDER). Clamps stop gradients as in the released code. */
bf_flow_losses bf_flow_loss(bf_graph *g, const bf_flow *f, const bf_flow_loss_spec *spec, bf_flow_state state,
                            bf_tid data, bf_tid t, bf_tid net_out, bf_tid mc_noise, bool want_grad);

/* The same for a flow that is one group of several (flow/hybrid.h). */
typedef struct bf_flow_part {
    uint32_t group; /* its random numbers: the streams above + group BF_STREAM_GROUP */
    bf_tid mask;    /* [data dims] or BF_NONE. Where it is 0 the parameters are the prior's, loss and gradient 0 */
    bf_tid weight;  /* [B] or BF_NONE: of each sample in the gradient; where it is 0 nothing else counts */
    double scale;   /* the gradient is that of scale sum(weight loss) over everything; 0: of the mean */
} bf_flow_part;

bf_flow_state bf_flow_part_input(bf_graph *g, const bf_flow *f, const bf_flow_part *part, bf_tid data, bf_tid t,
                                 bf_tid noise);
bf_flow_losses bf_flow_part_loss(bf_graph *g, const bf_flow *f, const bf_flow_part *part, const bf_flow_loss_spec *spec,
                                 bf_flow_state state, bf_tid data, bf_tid t, bf_tid net_out, bf_tid mc_noise,
                                 bool want_grad);

/* ---- times ------------------------------------------------------------------------------------------------------ */

/* What the times of samples first..first+count-1 of a set of `total` depend on. */
typedef struct bf_flow_time_key {
    uint64_t seed;
    uint32_t step, first, total;
    bool low_discrepancy;
    uint32_t repeat, repeats; /* low discrepancy: this is number `repeat` of `repeats` consecutive steps on the same
                                 set; 0, 0: it is the only one */
} bf_flow_time_key;

/* Times from (seed, step, BF_STREAM_TIME): U[0, 1) for CTS, multiples of 1/n for N_STEP (any_time: U[0, 1)), 1 for
 * RECON. `low_discrepancy`: t_i = frac(u + i / total + repeat / repeats) with one u for the whole set and all its
 * repeats, then floored to the grid for N_STEP: the same mean with a smaller error, also that of one sample over its
 * repeats. */
void bf_flow_times(float *t, int count, const bf_flow_loss_spec *spec, const bf_flow_time_key *key);

#endif
