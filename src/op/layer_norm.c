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
#define PART_ROWS 64
#define MAX_PARTS 256
#define MAX_COLS 2048 /* whose sums fit into local memory (16 KiB) in one walk */

static uint64_t part_rows(uint64_t rows)
{
    return BF_MAX(PART_ROWS, bf_ceil_div(rows, MAX_PARTS));
}

uint64_t bf_layer_norm_backward_workspace(bf_ctx *ctx, uint64_t rows, int cols)
{
    (void)ctx;
    return 8 * bf_ceil_div(rows, part_rows(rows)) * (uint64_t)BF_MAX(cols, 0);
}

typedef struct backward {
    bf_mem dx, dy, x, mean, rstd, gamma, by_gamma, by_beta;
    bool acc_x;
    uint64_t rows, block, parts; /* rows of a part */
    int cols;
} backward;

static bf_status backward_input(bf_cmds *c, const backward *b, bf_err *err)
{
    const uint64_t block = bf_walk_rows(bf_cmds_ctx(c), (uint64_t)b->cols);
    const bf_arg args[] = {
        bf_arg_mem(b->dx),   bf_arg_i32(b->acc_x), bf_arg_mem(b->dy),     bf_arg_mem(b->x),
        bf_arg_mem(b->mean), bf_arg_mem(b->rstd),  bf_arg_mem(b->gamma),  bf_arg_i32(!bf_mem_is_none(b->gamma)),
        bf_arg_u64(b->rows), bf_arg_i32(b->cols),  bf_arg_i32((int)block)};
    bf_call call = {.file = "layer_norm.cl", .kernel = "layer_norm_backward_input", .args = args};
    call.n_args = BF_COUNT(args);
    call.bytes = (b->acc_x ? 16.0 : 12.0) * (double)b->rows * b->cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(b->rows, block));
    return bf_cmds_kernel(c, &call, err);
}

static bf_status backward_params(bf_cmds *c, const backward *b, bf_err *err)
{
    bf_ctx *ctx = bf_cmds_ctx(c);
    const uint64_t tiles = bf_col_tiles(ctx, (uint64_t)b->cols);
    const bf_arg args[] = {bf_arg_mem(b->by_gamma),
                           bf_arg_mem(b->by_beta),
                           bf_arg_mem(b->dy),
                           bf_arg_mem(b->x),
                           bf_arg_mem(b->mean),
                           bf_arg_mem(b->rstd),
                           bf_arg_u64(b->rows),
                           bf_arg_i32(b->cols),
                           bf_arg_u64(b->block),
                           bf_arg_u64(tiles),
                           bf_arg_i32(bf_col_lanes(ctx, (uint64_t)b->cols))};
    bf_call call = {.file = "layer_norm.cl", .kernel = "layer_norm_backward_params", .args = args};
    call.n_args = BF_COUNT(args);
    call.bytes = 8.0 * (double)b->rows * b->cols;
    bf_call_rows(&call, ctx, (size_t)(b->parts * tiles));
    return bf_cmds_kernel(c, &call, err);
}

/* Both at once, cpu class. */
static bf_status backward_rows(bf_cmds *c, const backward *b, bf_err *err)
{
    const uint64_t pad = bf_round_up((uint64_t)b->cols, 16);
    const bf_arg args[] = {bf_arg_mem(b->dx),
                           bf_arg_i32(b->acc_x),
                           bf_arg_mem(b->by_gamma),
                           bf_arg_mem(b->by_beta),
                           bf_arg_mem(b->dy),
                           bf_arg_mem(b->x),
                           bf_arg_mem(b->mean),
                           bf_arg_mem(b->rstd),
                           bf_arg_mem(b->gamma),
                           bf_arg_i32(!bf_mem_is_none(b->gamma)),
                           bf_arg_u64(b->rows),
                           bf_arg_i32(b->cols),
                           bf_arg_i32((int)b->block),
                           bf_arg_i32((int)pad),
                           bf_arg_local(2 * 4 * (size_t)pad)};
    bf_call call = {.file = "layer_norm.cl", .kernel = "layer_norm_backward_rows", .args = args};
    call.n_args = BF_COUNT(args);
    call.bytes = (b->acc_x ? 16.0 : 12.0) * (double)b->rows * b->cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)b->parts);
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_layer_norm_backward(bf_cmds *c, bf_mem dx, bool acc_x, bf_mem dgamma, bool acc_g, bf_mem dbeta, bool acc_b,
                                 bf_mem dy, bf_mem x, bf_mem mean, bf_mem rstd, bf_mem gamma, uint64_t rows, int cols,
                                 bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    const bool params = !bf_mem_is_none(dgamma) || !bf_mem_is_none(dbeta);
    bf_fold_sum sums[2];
    backward b = {dx, dy, x, mean, rstd, gamma, ws, ws, acc_x, rows, part_rows(rows), 0, cols};
    BF_CHECK(cols >= 1, BF_USAGE, "layer norm: rows of %d elements", cols);
    BF_CHECK(rows >= 1, BF_USAGE, "layer norm backward: no rows");
    BF_CHECK(b.block <= INT32_MAX, BF_USAGE, "layer norm backward: %llu rows are too many", (unsigned long long)rows);
    BF_CHECK(!params || !bf_mem_is_none(ws), BF_USAGE, "layer norm backward: a workspace is needed");
    b.parts = bf_ceil_div(rows, b.block);
    if (params) b.by_beta = bf_mem_at(ws, 4 * b.parts * (uint64_t)cols);
    if (params && !bf_mem_is_none(dx) && bf_ctx_class(bf_cmds_ctx(c)) == BF_CLASS_CPU && cols <= MAX_COLS) {
        BF_TRY(backward_rows(c, &b, err));
    } else {
        if (!bf_mem_is_none(dx)) BF_TRY(backward_input(c, &b, err));
        if (params) BF_TRY(backward_params(c, &b, err));
    }
    int n = 0;
    if (!bf_mem_is_none(dgamma)) sums[n++] = (bf_fold_sum){dgamma, b.by_gamma, acc_g, (int)b.parts, cols};
    if (!bf_mem_is_none(dbeta)) sums[n++] = (bf_fold_sum){dbeta, b.by_beta, acc_b, (int)b.parts, cols};
    if (n > 0) BF_TRY(bf_fold(c, sums, n, err));
out:
    return st;
}
