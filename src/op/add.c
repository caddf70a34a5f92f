#include "op/columns.h"

bf_status bf_axpby(bf_cmds *c, bf_mem y, float alpha, bf_mem a, float beta, bf_mem b, uint64_t n, bf_err *err)
{
    const bool has_b = !bf_mem_is_none(b);
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_f32(alpha), bf_arg_mem(a), bf_arg_f32(beta),
                           bf_arg_mem(b), bf_arg_i32(has_b), bf_arg_u64(n)};
    if (n == 0) return BF_OK;
    bf_call call = {.file = "add.cl", .kernel = "axpby", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = (has_b ? 12.0 : 8.0) * (double)n;
    bf_call_flat(&call, bf_cmds_ctx(c), n);
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_add_mid_forward(bf_cmds *c, bf_mem y, bf_mem x, bf_mem t, uint64_t outer, uint64_t mid, uint64_t inner,
                             bf_err *err)
{
    if (inner > INT32_MAX)
        return bf_fail(err, BF_USAGE, "add_mid: a vector of %llu elements is too long", (unsigned long long)inner);
    if (outer == 0 || mid == 0 || inner == 0) return BF_OK;
    const uint64_t rows = BF_MIN(bf_block_rows(inner), mid), parts = bf_ceil_div(mid, rows);
    const bf_arg args[] = {bf_arg_mem(y),          bf_arg_mem(x),         bf_arg_mem(t),    bf_arg_u64(mid),
                           bf_arg_i32((int)inner), bf_arg_i32((int)rows), bf_arg_u64(parts)};
    bf_call call = {.file = "add.cl", .kernel = "add_mid", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 8.0 * (double)outer * (double)mid * (double)inner;
    bf_call_rows(&call, bf_cmds_ctx(c), outer * parts);
    return bf_cmds_kernel(c, &call, err);
}
