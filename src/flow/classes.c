/* Categorical data: cl/flow_classes.cl. */
#include <math.h>

#include "flow/ops.h"

#define CL_FILE "flow_classes.cl"

/* q of the entropy schedule, 0: the other one. */
static bf_arg entropy(const bf_flow *f)
{
    const double s = f->max_sqrt_beta;
    return bf_arg_f32(f->schedule == BF_SCHEDULE_ENTROPY ? (float)exp(-0.25 * f->classes * s * s) : 0.0f);
}

static int outputs(const bf_flow *f)
{
    return f->classes == 2 ? 1 : f->classes;
}

bf_status bf_class_op_sample(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem z, bf_mem x, bf_mem noise,
                             bf_mem t, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(z),
                           bf_arg_mem(x),
                           bf_arg_mem(noise),
                           bf_arg_mem(t),
                           bf_arg_i32((int32_t)shape.dims),
                           bf_arg_i32(f->classes),
                           bf_arg_i32(f->discretize),
                           bf_arg_f32((float)f->max_sqrt_beta),
                           entropy(f),
                           bf_arg_f32((float)f->max_t)};
    return bf_flow_launch(c, CL_FILE, "class_sample", NULL, shape, (uint64_t)f->classes, args, BF_COUNT(args), err);
}

bf_status bf_flow_op_input(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem input, bf_mem z, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(input), bf_arg_mem(z), bf_arg_i32((int32_t)shape.dims), bf_arg_i32(f->classes)};
    return bf_flow_launch(c, CL_FILE, "class_input", NULL, shape, (uint64_t)f->classes, args, BF_COUNT(args), err);
}

bf_status bf_class_op_params(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem params, bf_mem net, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(params), bf_arg_mem(net), bf_arg_i32((int32_t)shape.dims), bf_arg_i32(f->classes),
                           bf_arg_f32((float)f->min_prob)};
    return bf_flow_launch(c, CL_FILE, "class_probs", NULL, shape, (uint64_t)f->classes, args, BF_COUNT(args), err);
}

bf_status bf_class_op_value(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_flow_value what, bf_mem y, bf_mem net,
                            bf_mem noise, bf_err *err)
{
    const bf_arg args[] = {
        bf_arg_mem(y),          bf_arg_mem(net),  bf_arg_mem(noise),         bf_arg_i32((int32_t)shape.dims),
        bf_arg_i32(f->classes), bf_arg_i32(what), bf_arg_i32(f->discretize), bf_arg_f32((float)f->min_prob)};
    return bf_flow_launch(c, CL_FILE, "class_value", NULL, shape, (uint64_t)f->classes, args, BF_COUNT(args), err);
}

bf_status bf_class_op_send(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem y, bf_mem x, bf_mem noise,
                           bf_mem step, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(y),
                           bf_arg_mem(x),
                           bf_arg_mem(noise),
                           bf_arg_mem(step),
                           bf_arg_i32((int32_t)shape.dims),
                           bf_arg_i32(f->classes),
                           bf_arg_i32(f->discretize)};
    return bf_flow_launch(c, CL_FILE, "class_send", NULL, shape, (uint64_t)f->classes, args, BF_COUNT(args), err);
}

bf_status bf_class_op_update(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem z, bf_mem y, bf_err *err)
{
    const bf_flow_shape flat = {shape.batch, shape.dims * (uint64_t)f->classes};
    const bf_arg args[] = {bf_arg_mem(z), bf_arg_mem(y), bf_arg_i32((int32_t)flat.dims)};
    return bf_flow_launch(c, CL_FILE, "class_update", NULL, flat, 1, args, BF_COUNT(args), err);
}

bf_status bf_class_op_loss(bf_cmds *c, const bf_flow *f, const bf_flow_loss_spec *spec, bf_flow_shape shape,
                           const bf_flow_loss_args *a, bf_err *err)
{
    const bf_arg loss = bf_arg_mem(a->loss), grad = bf_arg_mem(a->grad), x = bf_arg_mem(a->x), net = bf_arg_mem(a->net);
    const bf_arg t = bf_arg_mem(a->t), dims = bf_arg_i32((int32_t)shape.dims), classes = bf_arg_i32(f->classes);
    const bf_arg discretize = bf_arg_i32(f->discretize), has_grad = bf_arg_i32(!bf_mem_is_none(a->grad));
    const bf_arg scale = bf_arg_f32((float)bf_flow_grad_scale(shape, a));
    const uint64_t width = (uint64_t)(spec->kind == BF_LOSS_N_STEP ? f->classes : outputs(f));
    if (spec->kind == BF_LOSS_CTS) {
        const bf_arg args[] = {
            loss,       grad,     x,    net, t, dims, classes, discretize, bf_arg_f32((float)f->max_sqrt_beta),
            entropy(f), has_grad, scale};
        return bf_flow_launch(c, CL_FILE, "class_loss", NULL, shape, width, args, BF_COUNT(args), err);
    }
    if (spec->kind == BF_LOSS_RECON) {
        const bf_arg args[] = {loss, grad, x, net, dims, classes, discretize, has_grad, scale};
        return bf_flow_launch(c, CL_FILE, "class_recon", NULL, shape, width, args, BF_COUNT(args), err);
    }
    const bf_arg args[] = {loss,
                           grad,
                           x,
                           net,
                           t,
                           bf_arg_mem(a->noise),
                           bf_arg_mem(a->ws),
                           dims,
                           classes,
                           discretize,
                           bf_arg_f32((float)f->max_sqrt_beta),
                           entropy(f),
                           bf_arg_i32(spec->receiver),
                           bf_arg_i32(spec->steps),
                           bf_arg_i32(spec->any_time),
                           bf_arg_i32(bf_flow_loss_draws(f, spec)),
                           bf_arg_u64(a->draw_pitch),
                           bf_arg_u64(a->sample_pitch),
                           has_grad,
                           scale};
    return bf_flow_launch(c, CL_FILE, "class_n_step", NULL, shape, width, args, BF_COUNT(args), err);
}
