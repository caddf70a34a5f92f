/*
 * The flows as commands on device memory; flow.c puts them on the graph, the sampler and verification use them as they
 * are. Kernels: cl/flow_continuous.cl, cl/flow_bins.cl, cl/flow_classes.cl. `shape`: samples and variables per sample.
 *
 *   x [B,D]  t [B]  mu [B,D]  z [B,D,K]  net [B,D,P] with P = bf_flow_outputs(), K classes or bins
 */
#ifndef BF_FLOW_OPS_H
#define BF_FLOW_OPS_H

#include "flow/flow.h"

typedef struct bf_flow_shape {
    uint64_t batch, dims;
} bf_flow_shape;

/* Words of the step record used while sampling (STEP_* in cl/flow.h), floats. */
enum bf_flow_word {
    BF_FLOW_SENDER_MEAN = BF_STEP_FLOW, /* categorical: alpha */
    BF_FLOW_SENDER_SD,                  /* 1 / sqrt(alpha); categorical: sqrt(K alpha) */
    BF_FLOW_KEEP,                       /* rho / (rho + alpha) */
    BF_FLOW_GAIN,                       /* alpha / (rho + alpha) */
    BF_FLOW_PREV,
    BF_FLOW_BASE,
    BF_FLOW_SHIFT,
    BF_FLOW_NOISE,
    BF_FLOW_VALUE = BF_FLOW_GAIN /* KEEP to NOISE in bf_flow_op_step: keep, value, ... of bf_sampler_numbers */
};

/* Numbers of noise per variable: 1, or K. */
int bf_flow_noise_width(const bf_flow *f);

/* mu or z from the flow distribution. */
bf_status bf_flow_op_sample(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem state, bf_mem x, bf_mem noise,
                            bf_mem t, bf_err *err);
/* Categorical: what the network receives, from z. */
bf_status bf_flow_op_input(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem input, bf_mem z, bf_err *err);

/* Output distribution. params: in terms of the data, laid out as net (categorical: probabilities [B,D,K], at least
 * min_prob); `clamped`: after the clip of a delta and the clamp of deviations. */
bf_status bf_flow_op_params(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem params, bf_mem mu, bf_mem net,
                            bf_mem t, bool clamped, bf_err *err);
/* p [B,D,bins] of discretised data. */
bf_status bf_flow_op_bins(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem p, bf_mem mu, bf_mem net, bf_mem t,
                          bf_err *err);
/* ln density of continuous data at x. */
bf_status bf_flow_op_log_density(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem y, bf_mem x, bf_mem mu,
                                 bf_mem net, bf_mem t, bf_err *err);
/* index [B,D] and centre [B,D] of the bin of x. */
bf_status bf_flow_op_quantise(bf_cmds *c, int bins, bf_flow_shape shape, bf_mem index, bf_mem centre, bf_mem x,
                              bf_err *err);

typedef enum bf_flow_value { BF_VALUE_MEAN, BF_VALUE_DRAW, BF_VALUE_MODE } bf_flow_value;
/* One number per variable: expectation, draw (from `noise`, bf_sampler_run_options.noise_data) or mode. */
bf_status bf_flow_op_value(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_flow_value what, bf_mem y, bf_mem mu,
                           bf_mem net, bf_mem t, bf_mem noise, bf_err *err);

/* y = the sender's message about x; then mu or z after hearing it. Accuracy from the step record. */
bf_status bf_flow_op_send(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem y, bf_mem x, bf_mem noise,
                          bf_mem step, bf_err *err);
bf_status bf_flow_op_update(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem state, bf_mem y, bf_mem step,
                            bf_err *err);

/* A step of the sampler (flow/solver.h): the value that `net` stands for, and the state after it, with the numbers of
 * the step record. */
typedef struct bf_flow_step_args {
    bf_flow_value what; /* MEAN of classes: probabilities */
    bf_mem state;       /* mu, z */
    bf_mem value; /* [B,D]: that of the call before, then that of this; of classes unless these are probabilities */
    bf_mem probs; /* [B,D,K]: the same for these */
    bf_mem base;  /* as state, the state of the call before, then that of this; or none */
    bf_mem net, t;
    bf_mem noise; /* for DRAW, as bf_flow_op_value takes it */
    bf_mem xi;    /* as state: normals */
    bf_mem given; /* [B,D]: values that replace what the network says, NaN: none; or none */
    bf_mem record;
} bf_flow_step_args;
bf_status bf_flow_op_step(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, const bf_flow_step_args *a, bf_err *err);
/* The state at the time of the record (bf_sampler_begin: value, shift, noise; held in place of prev): around `mean` [D]
 * or [D,K], which may be none, and what is given. */
bf_status bf_flow_op_start(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem state, bf_mem mean, bf_mem xi,
                           bf_mem given, bf_mem record, bf_err *err);

typedef struct bf_flow_loss_args {
    bf_mem loss;  /* [B,D] */
    bf_mem grad;  /* as net, or none: gradient of `scale` times the sum of `loss` over everything */
    double scale; /* 0: that of the mean */
    bf_mem x, mu, net, t;
    bf_mem noise; /* N_STEP: draw s of sample b at s * draw_pitch + b * sample_pitch floats */
    uint64_t draw_pitch, sample_pitch;
    bf_mem ws; /* bf_flow_loss_workspace() bytes */
} bf_flow_loss_args;

/* Draws that the loss takes: 0 when it needs no noise. */
int bf_flow_loss_draws(const bf_flow *f, const bf_flow_loss_spec *spec);
uint64_t bf_flow_loss_workspace(const bf_flow *f, const bf_flow_loss_spec *spec, bf_flow_shape shape, bool want_grad);
bf_status bf_flow_op_loss(bf_cmds *c, const bf_flow *f, const bf_flow_loss_spec *spec, bf_flow_shape shape,
                          const bf_flow_loss_args *args, bf_err *err);

/* ---- groups of a hybrid flow (groups.c) -------------------------------------------------------------------------- */

/* x [B,D]: columns first .. first + D of rows of `pitch`. With a mask [B,D] NaN stands for what is not observed: 0 in
 * both, elsewhere the mask is 1. */
bf_status bf_group_op_take(bf_cmds *c, bf_flow_shape shape, bf_mem x, bf_mem mask, bf_mem data, uint64_t first,
                           uint64_t pitch, bf_err *err);
/* x [B,D,width]: multiplied by weight [B], and 0 where that or mask [B,D] is; either may be none. */
bf_status bf_group_op_mask(bf_cmds *c, bf_flow_shape shape, int width, bf_mem x, bf_mem mask, bf_mem weight,
                           bf_err *err);
/* total [items] (+)= factor weight loss; weight may be none. */
bf_status bf_group_op_total(bf_cmds *c, bf_mem total, bool acc, double factor, bf_mem loss, bf_mem weight,
                            uint64_t items, bf_err *err);
/* net: logits divided by the temperature, deviations multiplied by it. */
bf_status bf_group_op_temper(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem net, double temperature,
                             bf_err *err);
/* y [B,D,width]: what is given [B,D], NaN: stays. width > 1: y are probabilities, given are classes. */
bf_status bf_group_op_hold(bf_cmds *c, bf_flow_shape shape, int width, bf_mem y, bf_mem given, bf_err *err);

/* ---- between the two files that implement these ------------------------------------------------------------------ */

/* One launch over shape.batch x `dims` lanes; checks that a sample can be indexed with 32 bits. `defines` may be NULL.
 */
bf_status bf_flow_launch(bf_cmds *c, const char *file, const char *kernel, const char *defines, bf_flow_shape shape,
                         uint64_t per_variable, const bf_arg *args, size_t n_args, bf_err *err);

/* Launch of a kernel of real-valued data whose arguments are: buffers, dims, HEAD_ARGS of cl/flow.h, more. */
bf_status bf_real_launch(bf_cmds *c, const bf_flow *f, const char *file, const char *kernel, bf_flow_shape shape,
                         const bf_arg *buffers, size_t n_buffers, const bf_arg *more, size_t n_more, bf_err *err);

/* What the gradient of the sum of the losses is multiplied by. */
double bf_flow_grad_scale(bf_flow_shape shape, const bf_flow_loss_args *args);

bf_status bf_class_op_params(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem params, bf_mem net, bf_err *err);
bf_status bf_class_op_value(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_flow_value what, bf_mem y, bf_mem net,
                            bf_mem noise, bf_err *err);
bf_status bf_class_op_sample(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem z, bf_mem x, bf_mem noise,
                             bf_mem t, bf_err *err);
bf_status bf_class_op_send(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem y, bf_mem x, bf_mem noise,
                           bf_mem step, bf_err *err);
bf_status bf_class_op_update(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem z, bf_mem y, bf_err *err);
bf_status bf_class_op_loss(bf_cmds *c, const bf_flow *f, const bf_flow_loss_spec *spec, bf_flow_shape shape,
                           const bf_flow_loss_args *args, bf_err *err);

#endif
