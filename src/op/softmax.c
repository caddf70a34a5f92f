#include "op/columns.h"

static bf_status softmax_call(bf_cmds *c, const char *kernel, const bf_arg *args, size_t n_args, uint64_t rows,
                              int cols, uint64_t block, bf_err *err)
{
    bf_call call = {.file = "softmax.cl", .kernel = kernel, .args = args, .n_args = n_args};
    call.bytes = 8.0 * (double)rows * cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(rows, block));
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_softmax_forward(bf_cmds *c, bf_mem y, bf_mem x, uint64_t rows, int cols, bf_err *err)
{
    if (cols < 1) return bf_fail(err, BF_USAGE, "softmax: rows of %d elements", cols);
    if (rows == 0) return BF_OK;
    const uint64_t block = bf_walk_rows(bf_cmds_ctx(c), (uint64_t)cols);
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(x), bf_arg_u64(rows), bf_arg_i32(cols), bf_arg_i32((int)block)};
    return softmax_call(c, "softmax_forward", args, BF_COUNT(args), rows, cols, block, err);
}

bf_status bf_softmax_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, bf_mem y, uint64_t rows, int cols,
                              bf_err *err)
{
    if (cols < 1) return bf_fail(err, BF_USAGE, "softmax: rows of %d elements", cols);
    if (rows == 0) return BF_OK;
    const uint64_t block = bf_walk_rows(bf_cmds_ctx(c), (uint64_t)cols);
    const bf_arg args[] = {bf_arg_mem(dx),   bf_arg_i32(acc),  bf_arg_mem(dy),        bf_arg_mem(y),
                           bf_arg_u64(rows), bf_arg_i32(cols), bf_arg_i32((int)block)};
    return softmax_call(c, "softmax_backward", args, BF_COUNT(args), rows, cols, block, err);
}
