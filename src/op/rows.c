#include "op/columns.h"

bf_status bf_take_rows(bf_cmds *c, bf_mem y, bool acc, uint64_t rows, bf_mem x, uint64_t x_rows, bf_mem index,
                       uint64_t first, int cols, bf_err *err)
{
    if (cols < 1) return bf_fail(err, BF_USAGE, "take rows: rows of %d elements", cols);
    if (rows == 0) return BF_OK;
    const uint64_t block = bf_block_rows((uint64_t)cols);
    const bf_arg args[] = {bf_arg_mem(y),
                           bf_arg_i32(acc),
                           bf_arg_u64(rows),
                           bf_arg_mem(x),
                           bf_arg_u64(x_rows),
                           bf_arg_mem(index),
                           bf_arg_i32(!bf_mem_is_none(index)),
                           bf_arg_u64(first),
                           bf_arg_i32(cols),
                           bf_arg_i32((int)block)};
    bf_call call = {.file = "rows.cl", .kernel = "take_rows", .args = args, .n_args = BF_COUNT(args)};

    call.bytes = (acc ? 12.0 : 8.0) * (double)rows * cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(rows, block));
    return bf_cmds_kernel(c, &call, err);
}
