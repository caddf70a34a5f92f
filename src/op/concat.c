#include "op/columns.h"

#define VECTOR 16 /* VW of the cpu class: narrower parts are copied number by number */

static bf_status concat_call(bf_cmds *c, const char *kernel, const bf_arg *args, size_t n_args, uint64_t rows, int cols,
                             uint64_t block, bf_err *err)
{
    bf_call call = {.file = "concat.cl", .kernel = kernel, .args = args, .n_args = n_args};
    call.bytes = 8.0 * (double)rows * cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(rows, block));
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_concat_forward(bf_cmds *c, bf_mem y, bf_mem a, bf_mem b, uint64_t rows, int ca, int cb, bf_err *err)
{
    if (ca < 1 || cb < 1 || ca > INT32_MAX - cb) return bf_fail(err, BF_USAGE, "concat: bad widths %d and %d", ca, cb);
    if (rows == 0) return BF_OK;
    const uint64_t block = bf_block_rows((uint64_t)ca + (uint64_t)cb);
    const bf_arg args[] = {bf_arg_mem(y),  bf_arg_mem(a),  bf_arg_mem(b),         bf_arg_u64(rows),
                           bf_arg_i32(ca), bf_arg_i32(cb), bf_arg_i32((int)block)};
    return concat_call(c, "concat_forward", args, BF_COUNT(args), rows, ca + cb, block, err);
}

bf_status bf_take_columns(bf_cmds *c, bf_mem d, bool acc, float scale, bf_mem y, uint64_t rows, int cols, int first,
                          int pitch, bf_err *err)
{
    if (cols < 1 || first < 0 || first > pitch - cols)
        return bf_fail(err, BF_USAGE, "take_columns: %d columns from %d on of %d", cols, first, pitch);
    if (rows == 0) return BF_OK;
    const uint64_t block = bf_block_rows((uint64_t)cols);
    const bf_arg args[] = {bf_arg_mem(d),     bf_arg_i32(acc),   bf_arg_f32(scale),
                           bf_arg_mem(y),     bf_arg_u64(rows),  bf_arg_i32(cols),
                           bf_arg_i32(first), bf_arg_i32(pitch), bf_arg_i32((int)block)};
    return concat_call(c, "take_columns", args, BF_COUNT(args), rows, cols, block, err);
}

bf_status bf_concat_backward(bf_cmds *c, bf_mem da, bool acc_a, bf_mem db, bool acc_b, bf_mem dy, uint64_t rows, int ca,
                             int cb, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(ca >= 1 && cb >= 1 && ca <= INT32_MAX - cb, BF_USAGE, "concat: bad widths %d and %d", ca, cb);
    if (rows > 0 && BF_MIN(ca, cb) >= VECTOR && !bf_mem_is_none(da) && !bf_mem_is_none(db)) {
        const uint64_t block = bf_block_rows((uint64_t)ca + (uint64_t)cb);
        const bf_arg args[] = {bf_arg_mem(da),    bf_arg_i32(acc_a), bf_arg_mem(db),
                               bf_arg_i32(acc_b), bf_arg_mem(dy),    bf_arg_u64(rows),
                               bf_arg_i32(ca),    bf_arg_i32(cb),    bf_arg_i32((int)block)};
        return concat_call(c, "concat_backward", args, BF_COUNT(args), rows, ca + cb, block, err);
    }
    if (!bf_mem_is_none(da)) BF_TRY(bf_take_columns(c, da, acc_a, 1.0f, dy, rows, ca, 0, ca + cb, err));
    if (!bf_mem_is_none(db)) BF_TRY(bf_take_columns(c, db, acc_b, 1.0f, dy, rows, cb, ca, ca + cb, err));
out:
    return st;
}
