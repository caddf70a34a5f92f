#include <stdio.h>

#include "op/op.h"

static bf_status act_call(bf_cmds *c, bf_act act, const char *kernel, const bf_arg *args, size_t n_args, int tensors,
                          uint64_t n, bf_err *err)
{
    if (act < BF_ACT_NONE || act > BF_ACT_SOFTPLUS)
        return bf_fail(err, BF_USAGE, "%s: unknown activation %d", kernel, act);
    if (n == 0) return BF_OK;
    char defines[32];
    snprintf(defines, sizeof defines, "-DACT=%d", act);
    bf_call call = {.file = "act.cl", .kernel = kernel, .defines = defines, .args = args, .n_args = n_args};
    call.bytes = 4.0 * tensors * (double)n;
    bf_call_flat(&call, bf_cmds_ctx(c), n);
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_act_forward(bf_cmds *c, bf_act act, bf_mem y, bf_mem x, uint64_t n, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(x), bf_arg_u64(n)};
    return act_call(c, act, "act_forward", args, BF_COUNT(args), 2, n, err);
}

bf_status bf_act_backward(bf_cmds *c, bf_act act, bf_mem dx, bool acc, bf_mem dy, bf_mem x, uint64_t n, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(dx), bf_arg_i32(acc), bf_arg_mem(dy), bf_arg_mem(x), bf_arg_u64(n)};
    return act_call(c, act, "act_backward", args, BF_COUNT(args), acc ? 4 : 3, n, err);
}
