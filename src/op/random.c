#include "op/op.h"

/* A launch with groups of BF_FLAT_BLOCK elements in dimension 0 and samples in dimension 1. */
static bf_status launch(bf_cmds *c, const char *kernel, const bf_arg *args, size_t n_args, uint64_t samples,
                        uint64_t per_sample, bf_err *err)
{
    bf_status st = BF_OK;
    bf_call call = {.file = "random.cl", .kernel = kernel, .args = args, .n_args = n_args};
    /* the kernels count elements and samples in 32 bits */
    BF_CHECK(samples <= UINT32_MAX && per_sample <= UINT32_MAX - BF_FLAT_BLOCK, BF_USAGE,
             "%s: %llu samples of %llu numbers, both must be below 2^32", kernel, (unsigned long long)samples,
             (unsigned long long)per_sample);
    if (samples == 0 || per_sample == 0) return BF_OK;
    call.bytes = 4.0 * (double)samples * (double)per_sample; /* written */
    bf_call_flat(&call, bf_cmds_ctx(c), per_sample);
    call.items[1] = (size_t)samples;
    st = bf_cmds_kernel(c, &call, err);
out:
    return st;
}

bf_status bf_random(bf_cmds *c, bf_random_kind kind, bf_mem out, uint32_t stream, bf_mem step, uint64_t samples,
                    uint64_t per_sample, bf_err *err)
{
    static const char *const kernels[] = {"random_u32", "random_uniform", "random_normal"};
    const bf_arg args[] = {bf_arg_mem(out), bf_arg_mem(step), bf_arg_u32(stream), bf_arg_u32((uint32_t)per_sample)};
    return launch(c, kernels[kind], args, BF_COUNT(args), samples, per_sample, err);
}

bf_status bf_random_bernoulli(bf_cmds *c, bf_mem out, bf_mem p, uint32_t stream, bf_mem step, uint64_t samples,
                              uint64_t per_sample, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(out), bf_arg_mem(p), bf_arg_mem(step), bf_arg_u32(stream),
                           bf_arg_u32((uint32_t)per_sample)};
    return launch(c, "random_bernoulli", args, BF_COUNT(args), samples, per_sample, err);
}

bf_status bf_random_categorical(bf_cmds *c, bf_mem k, bf_mem p, int classes, uint32_t stream, bf_mem step,
                                uint64_t samples, uint64_t per_sample, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(k),    bf_arg_mem(p),      bf_arg_i32(classes),
                           bf_arg_mem(step), bf_arg_u32(stream), bf_arg_u32((uint32_t)per_sample)};
    return launch(c, "random_categorical", args, BF_COUNT(args), samples, per_sample, err);
}
