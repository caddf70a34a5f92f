/* Steps of the sampler: cl/flow_solver.cl. */
#include "flow/ops.h"

#define CL_FILE "flow_solver.cl"

/* Launch of a kernel of classes. */
static bf_status launch_classes(bf_cmds *c, const bf_flow *f, const char *kernel, bf_flow_shape shape,
                                const bf_arg *args, size_t n_args, bf_err *err)
{
    return bf_flow_launch(c, CL_FILE, kernel, "-DKIND=2", shape, (uint64_t)f->classes, args, n_args, err);
}

bf_status bf_flow_op_step(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, const bf_flow_step_args *a, bf_err *err)
{
    const bf_arg what = bf_arg_i32(a->what), has_base = bf_arg_i32(!bf_mem_is_none(a->base));
    const bf_arg has_given = bf_arg_i32(!bf_mem_is_none(a->given));
    if (f->kind != BF_FLOW_CATEGORICAL) {
        const bf_arg buffers[] = {bf_arg_mem(a->state), bf_arg_mem(a->value), bf_arg_mem(a->base),
                                  bf_arg_mem(a->net),   bf_arg_mem(a->noise), bf_arg_mem(a->xi),
                                  bf_arg_mem(a->given), bf_arg_mem(a->t),     bf_arg_mem(a->record)};
        const bf_arg more[] = {bf_arg_i32(f->bins), what, has_base, has_given};
        return bf_real_launch(c, f, CL_FILE, "real_step", shape, buffers, BF_COUNT(buffers), more, BF_COUNT(more), err);
    }
    const bf_arg args[] = {bf_arg_mem(a->state),
                           bf_arg_mem(a->value),
                           bf_arg_mem(a->probs),
                           bf_arg_mem(a->base),
                           bf_arg_mem(a->net),
                           bf_arg_mem(a->noise),
                           bf_arg_mem(a->xi),
                           bf_arg_mem(a->given),
                           bf_arg_mem(a->record),
                           bf_arg_i32((int32_t)shape.dims),
                           bf_arg_i32(f->classes),
                           what,
                           bf_arg_i32(f->discretize),
                           bf_arg_f32((float)f->min_prob),
                           has_base,
                           has_given};
    return launch_classes(c, f, "class_step", shape, args, BF_COUNT(args), err);
}

bf_status bf_flow_op_start(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem state, bf_mem mean, bf_mem xi,
                           bf_mem given, bf_mem record, bf_err *err)
{
    const bf_arg to = bf_arg_mem(state), centre = bf_arg_mem(mean), eps = bf_arg_mem(xi), held = bf_arg_mem(given);
    const bf_arg words = bf_arg_mem(record), dims = bf_arg_i32((int32_t)shape.dims);
    const bf_arg has_mean = bf_arg_i32(!bf_mem_is_none(mean)), has_given = bf_arg_i32(!bf_mem_is_none(given));
    if (f->kind != BF_FLOW_CATEGORICAL) {
        const char *kind = f->kind == BF_FLOW_DISCRETISED ? "-DKIND=1" : "-DKIND=0";
        const bf_arg args[] = {to, centre, eps, held, words, dims, has_mean, has_given};
        return bf_flow_launch(c, CL_FILE, "real_start", kind, shape, 1, args, BF_COUNT(args), err);
    }
    const bf_arg args[] = {
        to, centre, eps, held, words, dims, bf_arg_i32(f->classes), bf_arg_i32(f->discretize), has_mean, has_given};
    return launch_classes(c, f, "class_start", shape, args, BF_COUNT(args), err);
}
