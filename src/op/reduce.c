#include <string.h>

#include "op/columns.h"

#define SMALL_MID 1024  /* so many terms are folded at once where that leaves enough groups */
#define PART_SIZE 16384 /* elements that one work-group of the first stage folds */
#define CPU_PART 65536  /* the same for a core, to which launching a second stage costs about as much */
#define MAX_PARTS 1024

/* Terms folded by one group of the first stage. A function of the shape and the class alone, so that the order of the
 * additions (and with it every bit of the result) does not depend on the number of cores. */
static uint64_t chunk_size(bf_ctx *ctx, uint64_t outer, uint64_t mid, uint64_t inner)
{
    const uint64_t part_size = bf_ctx_class(ctx) == BF_CLASS_CPU ? CPU_PART : PART_SIZE;
    const uint64_t tiles = bf_ceil_div(inner, 64);
    if (mid <= SMALL_MID && (outer * tiles >= 16 || mid * inner <= part_size)) return BF_MAX(mid, 1);
    const uint64_t width = BF_MIN(BF_MAX(inner, 16), 64); /* what a row costs: whole vectors */
    const uint64_t chunk = BF_MAX(inner == 1 ? part_size : part_size / width, bf_ceil_div(mid, MAX_PARTS));
    return bf_ceil_div(mid, bf_ceil_div(mid, chunk)); /* equal parts */
}

uint64_t bf_sum_mid_workspace(bf_ctx *ctx, uint64_t outer, uint64_t mid, uint64_t inner)
{
    const uint64_t parts = bf_ceil_div(mid, chunk_size(ctx, outer, mid, BF_MAX(inner, 1)));
    return parts > 1 ? 4 * outer * parts * inner : 0;
}

/* One stage: out[o,part,i] (+)= scale * sum over the part's terms. */
static bf_status sum_stage(bf_cmds *c, bf_mem out, bool acc, float scale, bf_mem x, uint64_t outer, uint64_t mid,
                           uint64_t inner, uint64_t chunk, bf_err *err)
{
    bf_ctx *ctx = bf_cmds_ctx(c);
    const uint64_t parts = bf_ceil_div(mid, chunk), tiles = bf_col_tiles(ctx, inner);
    bf_arg args[10] = {bf_arg_mem(out), bf_arg_i32(acc), bf_arg_f32(scale), bf_arg_mem(x), bf_arg_u64(mid)};
    bf_call call = {.file = "reduce.cl", .args = args, .bytes = 4.0 * (double)outer * (double)mid * (double)inner};
    if (inner == 1) {
        call.kernel = "sum_rows";
        args[5] = bf_arg_u64(chunk);
        args[6] = bf_arg_u64(parts);
        call.n_args = 7;
        bf_call_rows(&call, ctx, outer * parts);
    } else {
        call.kernel = "sum_columns";
        args[5] = bf_arg_u64(inner);
        args[6] = bf_arg_u64(chunk);
        args[7] = bf_arg_u64(parts);
        args[8] = bf_arg_u64(tiles);
        args[9] = bf_arg_i32(bf_col_lanes(ctx, inner));
        call.n_args = 10;
        bf_call_rows(&call, ctx, outer * parts * tiles);
    }
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_sum_mid(bf_cmds *c, bf_mem out, bool acc, float scale, bf_mem x, uint64_t outer, uint64_t mid,
                     uint64_t inner, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    if (outer == 0 || inner == 0) return BF_OK;
    BF_CHECK(mid > 0, BF_USAGE, "sum_mid: nothing to sum over");
    const uint64_t chunk = chunk_size(bf_cmds_ctx(c), outer, mid, inner), parts = bf_ceil_div(mid, chunk);
    BF_CHECK(chunk <= INT32_MAX, BF_USAGE, "sum_mid: %llu terms are too many", (unsigned long long)mid);
    if (parts == 1) {
        BF_TRY(sum_stage(c, out, acc, scale, x, outer, mid, inner, chunk, err));
    } else {
        BF_CHECK(!bf_mem_is_none(ws), BF_USAGE, "sum_mid: a workspace is needed for %llu terms",
                 (unsigned long long)mid);
        BF_TRY(sum_stage(c, ws, false, 1.0f, x, outer, mid, inner, chunk, err));
        BF_TRY(sum_stage(c, out, acc, scale, ws, outer, parts, inner, parts, err));
    }
out:
    return st;
}

uint64_t bf_sum_mid_parts(bf_ctx *ctx, uint64_t mid, uint64_t inner)
{
    return bf_ceil_div(mid, chunk_size(ctx, 1, mid, inner));
}

bf_status bf_sum_mid_partial(bf_cmds *c, bf_mem part, bf_mem x, uint64_t mid, uint64_t inner, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t chunk = chunk_size(bf_cmds_ctx(c), 1, mid, inner);
    BF_CHECK(mid > 0 && inner > 0 && chunk <= INT32_MAX, BF_USAGE, "sum_mid: %llu terms", (unsigned long long)mid);
    BF_TRY(sum_stage(c, part, false, 1.0f, x, 1, mid, inner, chunk, err));
out:
    return st;
}

enum { FOLD_ARGS = 6 };

bf_status bf_fold(bf_cmds *c, const bf_fold_sum *sums, int n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(c);
    bf_arg args[BF_FOLDS * FOLD_ARGS];
    uint64_t tiles = 1;
    double bytes = 0;
    BF_CHECK(n >= 1 && n <= BF_FOLDS, BF_USAGE, "fold: %d sums", n);
    for (int i = 0; i < BF_FOLDS; i++) {
        const bf_fold_sum s = i < n ? sums[i] : (bf_fold_sum){.mid = 1, .cols = 1};
        const uint64_t cols = (uint64_t)s.cols;
        BF_CHECK(s.mid >= 1 && s.cols >= 1, BF_USAGE, "fold: %d rows of %d", s.mid, s.cols);
        const bf_arg list[FOLD_ARGS] = {bf_arg_mem(s.out),
                                        bf_arg_mem(s.x),
                                        bf_arg_i32(s.mid),
                                        bf_arg_i32(s.cols),
                                        bf_arg_i32(bf_col_lanes(ctx, cols)),
                                        bf_arg_i32(s.acc)};
        memcpy(args + FOLD_ARGS * i, list, sizeof list);
        tiles = BF_MAX(tiles, bf_col_tiles(ctx, cols));
        if (i < n) bytes += 4.0 * s.mid * s.cols;
    }
    bf_call call = {.file = "reduce.cl", .kernel = "fold_columns", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = bytes;
    bf_call_rows(&call, ctx, (size_t)tiles);
    call.items[1] = (size_t)n;
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}
