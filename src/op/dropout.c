#include "op/op.h"

bf_status bf_dropout(bf_cmds *c, bf_mem y, bool acc, bf_mem x, bf_mem mask, float p, uint32_t stream, bf_mem step,
                     uint64_t samples, uint64_t per_sample, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t n = samples * per_sample, blocks = bf_ceil_div(per_sample, BF_FLAT_BLOCK);
    const float scale = p < 1.0f ? 1.0f / (1.0f - p) : 0.0f;
    BF_CHECK(p >= 0.0f && p <= 1.0f, BF_USAGE, "dropout: the rate must lie in 0..1, got %g", (double)p);
    BF_CHECK(samples <= UINT32_MAX && per_sample <= INT32_MAX, BF_USAGE,
             "dropout: %llu samples of %llu elements are too many", (unsigned long long)samples,
             (unsigned long long)per_sample);
    if (n == 0) return BF_OK;
    const bf_arg by_mask[] = {bf_arg_mem(y),    bf_arg_i32(acc),   bf_arg_mem(x),
                              bf_arg_mem(mask), bf_arg_f32(scale), bf_arg_u64(n)};
    const bf_arg drawn[] = {bf_arg_mem(y),
                            bf_arg_i32(acc),
                            bf_arg_mem(x),
                            bf_arg_mem(step),
                            bf_arg_u32(stream),
                            bf_arg_f32(p),
                            bf_arg_f32(scale),
                            bf_arg_u32((uint32_t)per_sample),
                            bf_arg_u32((uint32_t)blocks)};
    bf_call call = {.file = "dropout.cl", .bytes = 8.0 * (double)n};
    if (bf_mem_is_none(mask)) {
        call.kernel = "dropout";
        call.args = drawn;
        call.n_args = BF_COUNT(drawn);
        bf_call_rows(&call, bf_cmds_ctx(c), (size_t)(samples * blocks));
    } else {
        call.kernel = "dropout_mask";
        call.args = by_mask;
        call.n_args = BF_COUNT(by_mask);
        bf_call_flat(&call, bf_cmds_ctx(c), n);
    }
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}
