#include "op/op.h"

static bf_status upsample_call(bf_cmds *c, const char *kernel, const bf_arg *args, size_t n_args, int batch, int h,
                               int w, int ch, bf_err *err)
{
    if (batch < 1 || h < 1 || w < 1 || ch < 1 || (int64_t)w * ch > INT32_MAX / 4)
        return bf_fail(err, BF_USAGE, "%s: bad shape [%d,%d,%d,%d]", kernel, batch, h, w, ch);
    bf_call call = {.file = "upsample.cl", .kernel = kernel, .args = args, .n_args = n_args};
    call.bytes = 20.0 * batch * h * w * ch;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)batch * (size_t)h);
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_upsample_forward(bf_cmds *c, bf_mem y, bf_mem x, int batch, int h, int w, int ch, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(x), bf_arg_i32(w), bf_arg_i32(ch)};
    return upsample_call(c, "upsample_forward", args, BF_COUNT(args), batch, h, w, ch, err);
}

bf_status bf_upsample_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, int batch, int h, int w, int ch, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(dx), bf_arg_i32(acc), bf_arg_mem(dy), bf_arg_i32(w), bf_arg_i32(ch)};
    return upsample_call(c, "upsample_backward", args, BF_COUNT(args), batch, h, w, ch, err);
}
