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
    BF_FLOW_GAIN                        /* alpha / (rho + alpha) */
};

/* Numbers of noise per variable: 1, or K. */
int bf_flow_noise_width(const bf_flow *f);

/* mu or z from the flow distribution. */
bf_status bf_flow_op_sample(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem state, bf_mem x, bf_mem noise,
                            bf_mem t, bf_err *err);
/* Categorical: what the network receives, from z. */
bf_status bf_flow_op_input(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem input, bf_mem z, bf_err *err);

/* Output distribution. params: in terms of the data, laid out as net (categorical: probabilities [B,D,K]); `clamped`:
 * after the clip of a delta and the clamp of deviations. */
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

typedef struct bf_flow_loss_args {
    bf_mem loss; /* [B,D] */
    bf_mem grad; /* as net, or none: gradient of the mean of `loss` over everything */
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

/* ---- between the two files that implement these ------------------------------------------------------------------ */

/* One launch over shape.batch x `dims` lanes; checks that a sample can be indexed with 32 bits. `defines` may be NULL.
 */
bf_status bf_flow_launch(bf_cmds *c, const char *file, const char *kernel, const char *defines, bf_flow_shape shape,
                         uint64_t per_variable, const bf_arg *args, size_t n_args, bf_err *err);

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
