#include "op/columns.h"

bf_status bf_layer_norm_forward(bf_cmds *c, bf_mem y, bf_mem mean, bf_mem rstd, bf_mem x, bf_mem gamma, bf_mem beta,
                                uint64_t rows, int cols, float eps, bf_err *err)
{
    if (cols < 1) return bf_fail(err, BF_USAGE, "layer norm: rows of %d elements", cols);
    if (rows == 0) return BF_OK;
    const uint64_t block = bf_walk_rows(bf_cmds_ctx(c), (uint64_t)cols);
    const bool stats = !bf_mem_is_none(mean) && !bf_mem_is_none(rstd);
    const bf_arg args[] = {bf_arg_mem(y),
                           bf_arg_mem(mean),
                           bf_arg_mem(rstd),
                           bf_arg_mem(x),
                           bf_arg_mem(gamma),
                           bf_arg_mem(beta),
                           bf_arg_i32(stats),
                           bf_arg_i32(!bf_mem_is_none(gamma)),
                           bf_arg_i32(!bf_mem_is_none(beta)),
                           bf_arg_u64(rows),
                           bf_arg_i32(cols),
                           bf_arg_f32(eps),
                           bf_arg_i32((int)block)};
    bf_call call = {.file = "layer_norm.cl", .kernel = "layer_norm_forward", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 8.0 * (double)rows * cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(rows, block));
    return bf_cmds_kernel(c, &call, err);
}

/* The partial sums of the parameter gradients: rows per part, number of parts. */
static uint64_t param_chunk(uint64_t rows)
{
    return BF_MAX(256, bf_ceil_div(rows, 256));
}

uint64_t bf_layer_norm_backward_workspace(bf_ctx *ctx, uint64_t rows, int cols)
{
    const uint64_t parts = bf_ceil_div(rows, param_chunk(rows)), width = (uint64_t)BF_MAX(cols, 0);
    (void)ctx;
    return 8 * parts * width;
}

static bf_status backward_params(bf_cmds *c, bf_mem dgamma, bool acc_g, bf_mem dbeta, bool acc_b, bf_mem dy, bf_mem x,
                                 bf_mem mean, bf_mem rstd, uint64_t rows, int cols, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(c);
    const uint64_t width = (uint64_t)cols, chunk = param_chunk(rows), parts = bf_ceil_div(rows, chunk);
    const uint64_t tiles = bf_col_tiles(ctx, width);
    const bf_mem by_gamma = ws, by_beta = bf_mem_at(ws, 4 * parts * width);
    const bf_arg args[] = {bf_arg_mem(by_gamma),
                           bf_arg_mem(by_beta),
                           bf_arg_mem(dy),
                           bf_arg_mem(x),
                           bf_arg_mem(mean),
                           bf_arg_mem(rstd),
                           bf_arg_u64(rows),
                           bf_arg_i32(cols),
                           bf_arg_u64(chunk),
                           bf_arg_u64(tiles),
                           bf_arg_i32(bf_col_lanes(ctx, width))};
    bf_call call = {.file = "layer_norm.cl", .kernel = "layer_norm_backward_params", .args = args};
    call.n_args = BF_COUNT(args);
    call.bytes = 8.0 * (double)rows * cols;
    BF_CHECK(!bf_mem_is_none(ws), BF_USAGE, "layer norm backward: a workspace is needed");
    bf_call_rows(&call, ctx, (size_t)(parts * tiles));
    BF_TRY(bf_cmds_kernel(c, &call, err));
    bf_fold_sum sums[2];
    int n = 0;
    if (!bf_mem_is_none(dgamma)) sums[n++] = (bf_fold_sum){dgamma, by_gamma, acc_g, (int)parts, cols};
    if (!bf_mem_is_none(dbeta)) sums[n++] = (bf_fold_sum){dbeta, by_beta, acc_b, (int)parts, cols};
    BF_TRY(bf_fold(c, sums, n, err));
out:
    return st;
}

bf_status bf_layer_norm_backward(bf_cmds *c, bf_mem dx, bool acc_x, bf_mem dgamma, bool acc_g, bf_mem dbeta, bool acc_b,
                                 bf_mem dy, bf_mem x, bf_mem mean, bf_mem rstd, bf_mem gamma, uint64_t rows, int cols,
                                 bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(cols >= 1, BF_USAGE, "layer norm: rows of %d elements", cols);
    BF_CHECK(rows >= 1, BF_USAGE, "layer norm backward: no rows");
    if (!bf_mem_is_none(dx)) {
        const uint64_t block = bf_walk_rows(bf_cmds_ctx(c), (uint64_t)cols);
        const bf_arg args[] = {
            bf_arg_mem(dx),   bf_arg_i32(acc_x), bf_arg_mem(dy),        bf_arg_mem(x),
            bf_arg_mem(mean), bf_arg_mem(rstd),  bf_arg_mem(gamma),     bf_arg_i32(!bf_mem_is_none(gamma)),
            bf_arg_u64(rows), bf_arg_i32(cols),  bf_arg_i32((int)block)};
        bf_call call = {.file = "layer_norm.cl", .kernel = "layer_norm_backward_input", .args = args};
        call.n_args = BF_COUNT(args);
        call.bytes = 12.0 * (double)rows * cols;
        bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(rows, block));
        BF_TRY(bf_cmds_kernel(c, &call, err));
    }
    if (!bf_mem_is_none(dgamma) || !bf_mem_is_none(dbeta))
        BF_TRY(backward_params(c, dgamma, acc_g, dbeta, acc_b, dy, x, mean, rstd, rows, cols, ws, err));
out:
    return st;
}
