#include "op/op.h"

static bf_status convert(bf_cmds *c, const char *kernel, bf_mem out, bf_mem in, uint64_t n, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(out), bf_arg_mem(in), bf_arg_u64(n)};
    if (n == 0) return BF_OK;
    bf_call call = {.file = "half.cl", .kernel = kernel, .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 6.0 * (double)n;
    bf_call_flat(&call, bf_cmds_ctx(c), n);
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_half_pack(bf_cmds *c, bf_mem h, bf_mem x, uint64_t n, bf_err *err)
{
    return convert(c, "half_pack", h, x, n, err);
}

bf_status bf_half_unpack(bf_cmds *c, bf_mem x, bf_mem h, uint64_t n, bf_err *err)
{
    return convert(c, "half_unpack", x, h, n, err);
}
