/* Real-valued data: cl/flow_continuous.cl and cl/flow_bins.cl; and the functions that serve every kind of flow. */
#include <float.h>
#include <math.h>

#include "flow/ops.h"

#define CL_FILE "flow_continuous.cl"
#define CL_BINS "flow_bins.cl"
#define CHUNK 256 /* FLOW_CHUNK in cl/flow.h */
#define HEAD_ARGS 8
#define DEFAULT_DRAWS 10

bf_status bf_flow_launch(bf_cmds *c, const char *file, const char *kernel, const char *defines, bf_flow_shape shape,
                         uint64_t per_variable, const bf_arg *args, size_t n_args, bf_err *err)
{
    bf_status st = BF_OK;
    bf_call call = {.file = file, .kernel = kernel, .defines = defines, .args = args, .n_args = n_args};
    uint64_t per_sample = 0;
    BF_CHECK(bf_mul_u64(shape.dims, per_variable, &per_sample) && per_sample <= INT32_MAX - 2 * CHUNK &&
                 shape.batch <= INT32_MAX,
             BF_USAGE, "%s: %llu samples of %llu x %llu numbers, a sample must have fewer than 2^31", kernel,
             (unsigned long long)shape.batch, (unsigned long long)shape.dims, (unsigned long long)per_variable);
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(shape.dims, CHUNK));
    call.items[1] = (size_t)shape.batch;
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

int bf_flow_noise_width(const bf_flow *f)
{
    return f->kind == BF_FLOW_CATEGORICAL ? f->classes : 1;
}

int bf_flow_loss_draws(const bf_flow *f, const bf_flow_loss_spec *spec)
{
    if (spec->kind != BF_LOSS_N_STEP || f->kind == BF_FLOW_CONTINUOUS) return 0;
    return spec->draws > 0 ? spec->draws : DEFAULT_DRAWS;
}

double bf_flow_grad_scale(bf_flow_shape shape, const bf_flow_loss_args *args)
{
    return args->scale != 0.0 ? args->scale : 1.0 / ((double)shape.batch * (double)shape.dims);
}

uint64_t bf_flow_loss_workspace(const bf_flow *f, const bf_flow_loss_spec *spec, bf_flow_shape shape, bool want_grad)
{
    const uint64_t planes = (uint64_t)(f->kind == BF_FLOW_CATEGORICAL ? f->classes : f->bins);
    if (bf_flow_loss_draws(f, spec) == 0) return 0;
    return shape.batch * shape.dims * planes * (want_grad ? 2 : 1) * sizeof(float);
}

/* ln sigma_1^2 as the sum of two floats; sigma_1^2 itself is rounded to one, as in the reference. */
static void log_variance(const bf_flow *f, bf_arg out[2])
{
    const double x = log((double)(float)f->min_variance);
    out[0] = bf_arg_f32((float)x);
    out[1] = bf_arg_f32((float)(x - (float)x));
}

/* The arguments HEAD_ARGS of cl/flow.h. */
static void head_args(const bf_flow *f, bf_arg out[HEAD_ARGS])
{
    double lo = f->min_sd < 0 ? 1.0 / (5.0 * f->bins) : f->min_sd, hi = f->max_sd;
    if (f->output == BF_OUT_DELTA) {
        hi = f->clip > 0.0 ? f->clip : (double)FLT_MAX;
        lo = -hi;
    }
    out[0] = bf_arg_i32(f->output);
    out[1] = bf_arg_i32(f->predict);
    out[2] = bf_arg_i32(f->output == BF_OUT_MIXTURE ? f->mixture : 1);
    out[3] = bf_arg_f32((float)lo);
    out[4] = bf_arg_f32((float)hi);
    out[5] = bf_arg_f32((float)f->min_t);
    log_variance(f, out + 6);
}

static const char *head_defines(const bf_flow *f)
{
    static const char *const binned[2][2] = {
        {"-DKIND=1 -DMIXTURE=0 -DTRUNCATED=0", "-DKIND=1 -DMIXTURE=0 -DTRUNCATED=1"},
        {"-DKIND=1 -DMIXTURE=1 -DTRUNCATED=0", "-DKIND=1 -DMIXTURE=1 -DTRUNCATED=1"}};
    const bool mixture = f->output == BF_OUT_MIXTURE;
    if (f->kind == BF_FLOW_DISCRETISED) return binned[mixture][f->truncated];
    return mixture ? "-DKIND=0 -DMIXTURE=1" : "-DKIND=0 -DMIXTURE=0";
}

bf_status bf_real_launch(bf_cmds *c, const bf_flow *f, const char *file, const char *kernel, bf_flow_shape shape,
                         const bf_arg *buffers, size_t n_buffers, const bf_arg *more, size_t n_more, bf_err *err)
{
    bf_arg args[36];
    size_t n = 0;
    const int planes = f->kind == BF_FLOW_DISCRETISED ? f->bins : 1;
    for (size_t i = 0; i < n_buffers; i++) args[n++] = buffers[i];
    args[n++] = bf_arg_i32((int32_t)shape.dims);
    head_args(f, args + n);
    n += HEAD_ARGS;
    for (size_t i = 0; i < n_more; i++) args[n++] = more[i];
    return bf_flow_launch(c, file, kernel, head_defines(f), shape, (uint64_t)BF_MAX(planes, bf_flow_outputs(f)), args,
                          n, err);
}

bf_status bf_flow_op_sample(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem state, bf_mem x, bf_mem noise,
                            bf_mem t, bf_err *err)
{
    bf_arg args[7] = {bf_arg_mem(state), bf_arg_mem(x), bf_arg_mem(noise), bf_arg_mem(t),
                      bf_arg_i32((int32_t)shape.dims)};
    if (f->kind == BF_FLOW_CATEGORICAL) return bf_class_op_sample(c, f, shape, state, x, noise, t, err);
    log_variance(f, args + 5);
    return bf_flow_launch(c, CL_FILE, "real_sample", NULL, shape, 1, args, BF_COUNT(args), err);
}

bf_status bf_flow_op_params(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem params, bf_mem mu, bf_mem net,
                            bf_mem t, bool clamped, bf_err *err)
{
    const bf_arg buffers[] = {bf_arg_mem(params), bf_arg_mem(mu), bf_arg_mem(net), bf_arg_mem(t)};
    const bf_arg more[] = {bf_arg_i32(clamped)};
    if (f->kind == BF_FLOW_CATEGORICAL) return bf_class_op_params(c, f, shape, params, net, err);
    return bf_real_launch(c, f, CL_FILE, "real_params", shape, buffers, BF_COUNT(buffers), more, BF_COUNT(more), err);
}

bf_status bf_flow_op_bins(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem p, bf_mem mu, bf_mem net, bf_mem t,
                          bf_err *err)
{
    const bf_arg buffers[] = {bf_arg_mem(p), bf_arg_mem(mu), bf_arg_mem(net), bf_arg_mem(t)};
    const bf_arg more[] = {bf_arg_i32(f->bins)};
    return bf_real_launch(c, f, CL_BINS, "bins_probs", shape, buffers, BF_COUNT(buffers), more, BF_COUNT(more), err);
}

bf_status bf_flow_op_log_density(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem y, bf_mem x, bf_mem mu,
                                 bf_mem net, bf_mem t, bf_err *err)
{
    const bf_arg buffers[] = {bf_arg_mem(y), bf_arg_mem(x), bf_arg_mem(mu), bf_arg_mem(net), bf_arg_mem(t)};
    return bf_real_launch(c, f, CL_FILE, "continuous_log_density", shape, buffers, BF_COUNT(buffers), NULL, 0, err);
}

bf_status bf_flow_op_quantise(bf_cmds *c, int bins, bf_flow_shape shape, bf_mem index, bf_mem centre, bf_mem x,
                              bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(index), bf_arg_mem(centre), bf_arg_mem(x), bf_arg_i32((int32_t)shape.dims),
                           bf_arg_i32(bins)};
    return bf_flow_launch(c, CL_BINS, "bins_quantise", NULL, shape, 1, args, BF_COUNT(args), err);
}

bf_status bf_flow_op_value(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_flow_value what, bf_mem y, bf_mem mu,
                           bf_mem net, bf_mem t, bf_mem noise, bf_err *err)
{
    const bf_arg state = bf_arg_mem(mu), out = bf_arg_mem(net), time = bf_arg_mem(t), eps = bf_arg_mem(noise);
    const bf_arg bins = bf_arg_i32(f->bins), which = bf_arg_i32(what);
    const bf_arg value = bf_arg_mem(y);
    if (f->kind == BF_FLOW_CATEGORICAL) return bf_class_op_value(c, f, shape, what, y, net, noise, err);
    if (f->kind == BF_FLOW_CONTINUOUS) {
        const bf_arg buffers[] = {value, state, out, eps, time};
        return bf_real_launch(c, f, CL_FILE, "continuous_value", shape, buffers, BF_COUNT(buffers), &which, 1, err);
    }
    if (what == BF_VALUE_MEAN) {
        const bf_arg buffers[] = {value, state, out, time}, more[] = {bins};
        return bf_real_launch(c, f, CL_BINS, "bins_expect", shape, buffers, BF_COUNT(buffers), more, BF_COUNT(more),
                              err);
    }
    const bf_arg buffers[] = {value, state, out, eps, time}, more[] = {bins, which};
    return bf_real_launch(c, f, CL_BINS, "bins_value", shape, buffers, BF_COUNT(buffers), more, BF_COUNT(more), err);
}

bf_status bf_flow_op_send(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem y, bf_mem x, bf_mem noise,
                          bf_mem step, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(x), bf_arg_mem(noise), bf_arg_mem(step),
                           bf_arg_i32((int32_t)shape.dims)};
    if (f->kind == BF_FLOW_CATEGORICAL) return bf_class_op_send(c, f, shape, y, x, noise, step, err);
    return bf_flow_launch(c, CL_FILE, "real_send", NULL, shape, 1, args, BF_COUNT(args), err);
}

bf_status bf_flow_op_update(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem state, bf_mem y, bf_mem step,
                            bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(state), bf_arg_mem(y), bf_arg_mem(step), bf_arg_i32((int32_t)shape.dims)};
    if (f->kind == BF_FLOW_CATEGORICAL) return bf_class_op_update(c, f, shape, state, y, err);
    return bf_flow_launch(c, CL_FILE, "real_update", NULL, shape, 1, args, BF_COUNT(args), err);
}

/* Bins and deviation of the discretised normal that codes continuous data at t = 1: those of the released code, which
 * recognises its 16-bin setting by sigma_1^2 = 1e-3. */
int bf_flow_recon_bins(const bf_flow *f)
{
    return f->min_variance == 1e-3 ? 16 : 256;
}

static double recon_sd(const bf_flow *f)
{
    return (bf_flow_recon_bins(f) == 16 ? 0.7 : 1.0) * sqrt(f->min_variance);
}

bf_status bf_flow_op_loss(bf_cmds *c, const bf_flow *f, const bf_flow_loss_spec *spec, bf_flow_shape shape,
                          const bf_flow_loss_args *a, bf_err *err)
{
    const bool binned = f->kind == BF_FLOW_DISCRETISED, steps = spec->kind == BF_LOSS_N_STEP;
    const double per_step = steps ? pow(f->min_variance, -1.0 / spec->steps) - 1.0 : 0.0;
    const bf_arg factor = bf_arg_f32((float)(steps ? per_step : -0.5 * log(f->min_variance)));
    const bf_arg floor_v = bf_arg_f32((float)f->min_loss_variance), n_steps = bf_arg_i32(steps ? spec->steps : 0);
    const bf_arg bins = bf_arg_i32(f->bins), any_time = bf_arg_i32(steps && spec->any_time);
    const bf_arg has_grad = bf_arg_i32(!bf_mem_is_none(a->grad));
    const bf_arg scale = bf_arg_f32((float)bf_flow_grad_scale(shape, a));
    const bf_arg buffers[] = {bf_arg_mem(a->loss), bf_arg_mem(a->grad), bf_arg_mem(a->x),     bf_arg_mem(a->mu),
                              bf_arg_mem(a->net),  bf_arg_mem(a->t),    bf_arg_mem(a->noise), bf_arg_mem(a->ws)};
    if (f->kind == BF_FLOW_CATEGORICAL) return bf_class_op_loss(c, f, spec, shape, a, err);
    if (binned && steps) {
        const bf_arg more[] = {bins,
                               n_steps,
                               any_time,
                               factor,
                               bf_arg_i32(bf_flow_loss_draws(f, spec)),
                               bf_arg_u64(a->draw_pitch),
                               bf_arg_u64(a->sample_pitch),
                               has_grad,
                               scale};
        return bf_real_launch(c, f, CL_BINS, "bins_n_step", shape, buffers, 8, more, BF_COUNT(more), err);
    }
    if (spec->kind == BF_LOSS_RECON && binned) {
        const bf_arg more[] = {bins, has_grad, scale};
        return bf_real_launch(c, f, CL_BINS, "bins_recon", shape, buffers, 6, more, BF_COUNT(more), err);
    }
    if (spec->kind == BF_LOSS_RECON) {
        const bf_arg more[] = {bf_arg_i32(bf_flow_recon_bins(f)), bf_arg_f32((float)recon_sd(f)), has_grad, scale};
        return bf_real_launch(c, f, CL_FILE, "continuous_recon", shape, buffers, 6, more, BF_COUNT(more), err);
    }
    if (binned) {
        const bf_arg more[] = {bins, factor, floor_v, has_grad, scale};
        return bf_real_launch(c, f, CL_BINS, "bins_loss", shape, buffers, 6, more, BF_COUNT(more), err);
    }
    const bf_arg more[] = {n_steps, any_time, factor, floor_v, has_grad, scale};
    return bf_real_launch(c, f, CL_FILE, "continuous_loss", shape, buffers, 6, more, BF_COUNT(more), err);
}
