/* Host side of the column and block idioms of cl/common.h. */
#ifndef BF_OP_COLUMNS_H
#define BF_OP_COLUMNS_H

#include "op/op.h"

/* Work-items side by side in one column tile: 1 on the cpu class, else the power of two next to `cols`, at most the
 * group. */
static inline int bf_col_lanes(const bf_ctx *ctx, uint64_t cols)
{
    const size_t group = bf_ctx_group(ctx);
    size_t lanes = 1;
    while (lanes < group && lanes < cols) lanes *= 2;
    return (int)lanes;
}

/* Number of column tiles: COL_TILE in cl/common.h. */
static inline uint64_t bf_col_tiles(const bf_ctx *ctx, uint64_t cols)
{
    const uint64_t per_item = bf_ctx_class(ctx) == BF_CLASS_CPU ? 32 : 1; /* COLV * VW */
    return bf_ceil_div(cols, (uint64_t)bf_col_lanes(ctx, cols) * per_item);
}

/* Rows of `cols` elements that make up about one flat block. */
static inline uint64_t bf_block_rows(uint64_t cols)
{
    return BF_MAX(1, BF_FLAT_BLOCK / BF_MAX(cols, 1));
}

/* Rows that a group takes in kernels that walk real rows one after the other with the whole group: one on the wide
 * class, a block's worth on the cpu class. */
static inline uint64_t bf_walk_rows(const bf_ctx *ctx, uint64_t cols)
{
    return bf_ctx_class(ctx) == BF_CLASS_CPU ? bf_block_rows(cols) : 1;
}

#endif
