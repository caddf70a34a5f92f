#include "op/columns.h"

static bf_status check_lists(const char *what, uint64_t lists, int cols, bf_err *err)
{
    if (lists < 1 || cols < 1)
        return bf_fail(err, BF_USAGE, "%s: %llu lists of rows of %d numbers", what, (unsigned long long)lists, cols);
    return BF_OK;
}

bf_status bf_gather(bf_cmds *c, bf_mem y, bool acc, bf_mem x, bf_mem index, bf_mem mean_of, uint64_t rows, int cols,
                    bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check_lists("gather", rows, cols, err));
    const uint64_t block = BF_MIN(bf_block_rows((uint64_t)cols), rows);
    const bf_arg args[] = {bf_arg_mem(y),     bf_arg_i32(acc),     bf_arg_mem(x),
                           bf_arg_mem(index), bf_arg_mem(mean_of), bf_arg_i32(!bf_mem_is_none(mean_of)),
                           bf_arg_u64(rows),  bf_arg_i32(cols),    bf_arg_i32((int)block)};
    bf_call call = {.file = "segment.cl", .kernel = "gather", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 8.0 * (double)rows * cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(rows, block));
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

#define OWN_ARGS 8  /* at most, in front of those that all kernels over lists share */
#define CPU_LISTS 4 /* that a group of the cpu class takes */

/* Appends the arguments that say who does what to the n_args of `args` (which has room for 5 more) and launches. */
static bf_status list_call(bf_cmds *c, const char *kernel, bf_arg *args, size_t n_args, uint64_t lists, int cols,
                           bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(c);
    BF_TRY(check_lists(kernel, lists, cols, err));
    const uint64_t tiles = bf_col_tiles(ctx, (uint64_t)cols), block = bf_ctx_class(ctx) == BF_CLASS_CPU ? CPU_LISTS : 1;
    args[n_args++] = bf_arg_u64(lists);
    args[n_args++] = bf_arg_i32(cols);
    args[n_args++] = bf_arg_u64(tiles);
    args[n_args++] = bf_arg_i32(bf_col_lanes(ctx, (uint64_t)cols));
    args[n_args++] = bf_arg_i32((int)block);
    bf_call call = {.file = "segment.cl", .kernel = kernel, .args = args, .n_args = n_args};
    bf_call_rows(&call, ctx, (size_t)(bf_ceil_div(lists, block) * tiles));
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

bf_status bf_segment_sum(bf_cmds *c, bf_mem y, bool acc, bool mean, bf_mem x, bf_mem offset, bf_mem entry,
                         uint64_t segments, int cols, bf_err *err)
{
    bf_arg args[OWN_ARGS + 5] = {bf_arg_mem(y),
                                 bf_arg_i32(acc),
                                 bf_arg_i32(mean),
                                 bf_arg_mem(x),
                                 bf_arg_mem(offset),
                                 bf_arg_mem(entry),
                                 bf_arg_i32(!bf_mem_is_none(entry))};

    return list_call(c, "segment_sum", args, 7, segments, cols, err);
}

bf_status bf_segment_softmax_forward(bf_cmds *c, bf_mem y, bf_mem x, bf_mem offset, uint64_t segments, int cols,
                                     bf_err *err)
{
    bf_arg args[OWN_ARGS + 5] = {bf_arg_mem(y), bf_arg_mem(x), bf_arg_mem(offset)};

    return list_call(c, "segment_softmax_forward", args, 3, segments, cols, err);
}

bf_status bf_segment_softmax_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, bf_mem y, bf_mem offset,
                                      uint64_t segments, int cols, bf_err *err)
{
    bf_arg args[OWN_ARGS + 5] = {bf_arg_mem(dx), bf_arg_i32(acc), bf_arg_mem(dy), bf_arg_mem(y), bf_arg_mem(offset)};

    return list_call(c, "segment_softmax_backward", args, 5, segments, cols, err);
}

static bf_status centre_call(bf_cmds *c, bf_mem y, bool acc, bf_mem x, bf_mem weight, bool backward, bf_mem offset,
                             uint64_t segments, int cols, bf_err *err)
{
    bf_arg args[OWN_ARGS + 5] = {
        bf_arg_mem(y),        bf_arg_i32(acc),   bf_arg_mem(x), bf_arg_mem(weight), bf_arg_i32(!bf_mem_is_none(weight)),
        bf_arg_i32(backward), bf_arg_mem(offset)};

    return list_call(c, "segment_centre", args, 7, segments, cols, err);
}

bf_status bf_segment_centre_forward(bf_cmds *c, bf_mem y, bf_mem x, bf_mem weight, bf_mem offset, uint64_t segments,
                                    int cols, bf_err *err)
{
    return centre_call(c, y, false, x, weight, false, offset, segments, cols, err);
}

bf_status bf_segment_centre_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, bf_mem weight, bf_mem offset,
                                     uint64_t segments, int cols, bf_err *err)
{
    return centre_call(c, dx, acc, dy, weight, true, offset, segments, cols, err);
}
