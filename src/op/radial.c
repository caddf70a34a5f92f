#include "op/columns.h"

/* ---- lengths of edges -------------------------------------------------------------------------------------------- */

static bf_status check_edges(uint64_t items, int slots, bf_err *err)
{
    if (items < 1 || slots < 1 || items > INT32_MAX / (uint64_t)slots)
        return bf_fail(err, BF_USAGE, "edge lengths: %d edges of each of %llu items", slots, (unsigned long long)items);
    return BF_OK;
}

static bf_status length_call(bf_cmds *c, const char *kernel, const bf_arg *args, size_t n_args, uint64_t items,
                             int slots, int block, bf_err *err)
{
    bf_status st = BF_OK;
    bf_call call = {.file = "radial.cl", .kernel = kernel, .args = args, .n_args = n_args};
    BF_TRY(check_edges(items, slots, err));
    call.bytes = 8.0 * (double)items * slots;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(items, (uint64_t)block));
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

/* Items of a group: one of each work-item, or enough to be worth a launch. */
static int length_block(const bf_ctx *ctx)
{
    return bf_ctx_class(ctx) == BF_CLASS_CPU ? 64 : (int)bf_ctx_group(ctx);
}

bf_status bf_edge_length_forward(bf_cmds *c, bf_mem d, bf_mem x, bf_mem src, uint64_t items, int slots, bf_err *err)
{
    const int block = length_block(bf_cmds_ctx(c));
    const bf_arg args[] = {bf_arg_mem(d),     bf_arg_mem(x),     bf_arg_mem(src),
                           bf_arg_u64(items), bf_arg_i32(slots), bf_arg_i32(block)};

    return length_call(c, "edge_length_forward", args, BF_COUNT(args), items, slots, block, err);
}

bf_status bf_edge_length_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dd, bf_mem d, bf_mem x, bf_mem src,
                                  bf_mem rev_offset, bf_mem rev_edge, uint64_t items, int slots, bf_err *err)
{
    const int block = length_block(bf_cmds_ctx(c));
    const bf_arg args[] = {bf_arg_mem(dx),    bf_arg_i32(acc),   bf_arg_mem(dd),         bf_arg_mem(d),
                           bf_arg_mem(x),     bf_arg_mem(src),   bf_arg_mem(rev_offset), bf_arg_mem(rev_edge),
                           bf_arg_u64(items), bf_arg_i32(slots), bf_arg_i32(block)};

    return length_call(c, "edge_length_backward", args, BF_COUNT(args), items, slots, block, err);
}

/* ---- radial functions -------------------------------------------------------------------------------------------- */

static bf_status radial_call(bf_cmds *c, const char *kernel, bool exponent, const bf_arg *args, size_t n_args,
                             uint64_t n, int cols, uint64_t block, bf_err *err)
{
    bf_status st = BF_OK;
    bf_call call = {.file = "radial.cl", .kernel = kernel, .args = args, .n_args = n_args};
    BF_CHECK(n >= 1 && cols >= 1 && cols <= BF_RADIAL_MOST, BF_USAGE, "%d radial functions: 1 to %d are possible", cols,
             BF_RADIAL_MOST);
    call.defines = exponent ? "-DEXPONENT=1" : NULL;
    call.bytes = 4.0 * (double)n * cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(n, block));
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

/* Rows of a group. */
static uint64_t radial_block(uint64_t n, int cols)
{
    return BF_MAX(1, BF_MIN(n, bf_block_rows((uint64_t)cols)));
}

bf_status bf_radial_forward(bf_cmds *c, bf_mem y, bf_mem d, bf_mem offset, float scale, bool exponent, uint64_t n,
                            int cols, bf_err *err)
{
    const uint64_t block = radial_block(n, cols);
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(d),    bf_arg_mem(offset),    bf_arg_f32(scale),
                           bf_arg_u64(n), bf_arg_i32(cols), bf_arg_i32((int)block)};

    return radial_call(c, "radial_forward", exponent, args, BF_COUNT(args), n, cols, block, err);
}

bf_status bf_radial_backward(bf_cmds *c, bf_mem dd, bool acc, bf_mem dy, bf_mem y, bf_mem d, bf_mem offset, float scale,
                             bool exponent, uint64_t n, int cols, bf_err *err)
{
    const uint64_t block = radial_block(n, cols);
    const bf_arg args[] = {bf_arg_mem(dd),   bf_arg_i32(acc),       bf_arg_mem(dy),    bf_arg_mem(y),
                           bf_arg_mem(d),    bf_arg_mem(offset),    bf_arg_f32(scale), bf_arg_u64(n),
                           bf_arg_i32(cols), bf_arg_i32((int)block)};

    return radial_call(c, "radial_backward", exponent, args, BF_COUNT(args), n, cols, block, err);
}
