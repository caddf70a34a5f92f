#include "op/columns.h"

#define PAD 16 /* floats behind a coordinate in the workspace: PITCH in cl/neighbours.cl */

/* Items whose neighbours a group finds one after the other: enough to be worth a launch on the cpu class. */
static int find_block(const bf_ctx *ctx)
{
    return bf_ctx_class(ctx) == BF_CLASS_CPU ? 16 : 1;
}

uint64_t bf_neighbours_workspace(const bf_neighbours *s)
{
    return 3 * (s->items + PAD) * sizeof(float);
}

static bf_status check_neighbours(const bf_neighbours *s, bf_err *err)
{
    if (s->k < 1 || s->k > BF_NEIGHBOURS_MOST)
        return bf_fail(err, BF_USAGE, "%d neighbours of an item: 1 to %d are possible", s->k, BF_NEIGHBOURS_MOST);
    if (s->items < 1 || s->segments < 1 || s->items > INT32_MAX / ((uint64_t)s->k + 1) || s->segments > INT32_MAX)
        return bf_fail(err, BF_USAGE, "neighbours: %llu items in %llu segments", (unsigned long long)s->items,
                       (unsigned long long)s->segments);
    return BF_OK;
}

bf_status bf_neighbours_find(bf_cmds *c, const bf_neighbours *s, bf_mem src, bf_mem count, bf_mem x, bf_mem ws,
                             bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(c);
    const int block = find_block(ctx);
    const bf_arg split_args[] = {bf_arg_mem(ws), bf_arg_mem(x), bf_arg_u64(s->items)};
    const bf_arg find_args[] = {bf_arg_mem(src),       bf_arg_mem(count),      bf_arg_mem(ws),
                                bf_arg_mem(s->offset), bf_arg_mem(s->segment), bf_arg_u64(s->items),
                                bf_arg_i32(s->k + 1),  bf_arg_i32(block)};
    bf_call split = {
        .file = "neighbours.cl", .kernel = "neighbours_split", .args = split_args, .n_args = BF_COUNT(split_args)};
    bf_call find = {
        .file = "neighbours.cl", .kernel = "neighbours_find", .args = find_args, .n_args = BF_COUNT(find_args)};

    BF_TRY(check_neighbours(s, err));
    split.bytes = 24.0 * (double)s->items;
    bf_call_flat(&split, ctx, s->items + PAD);
    BF_TRY(bf_cmds_kernel(c, &split, err));
    find.bytes = 4.0 * (double)s->items * (s->k + 5);
    bf_call_rows(&find, ctx, (size_t)bf_ceil_div(s->items, (uint64_t)block));
    BF_TRY(bf_cmds_kernel(c, &find, err));
out:
    return st;
}

bf_status bf_neighbours_reverse(bf_cmds *c, const bf_neighbours *s, bf_mem rev_offset, bf_mem rev_edge, bf_mem src,
                                bf_mem count, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(c);
    const size_t groups = (size_t)(bf_ctx_class(ctx) == BF_CLASS_CPU ? s->segments : s->items);
    const double bytes = 4.0 * (double)s->items * (s->k + 1);
    const bf_arg count_args[] = {bf_arg_mem(rev_offset), bf_arg_mem(src),        bf_arg_mem(count),
                                 bf_arg_mem(s->offset),  bf_arg_mem(s->segment), bf_arg_i32(s->k + 1)};
    const bf_arg begin_args[] = {bf_arg_mem(rev_offset), bf_arg_u64(s->items)};
    const bf_arg list_args[] = {bf_arg_mem(rev_edge),   bf_arg_mem(rev_offset), bf_arg_mem(ws),
                                bf_arg_mem(src),        bf_arg_mem(count),      bf_arg_mem(s->offset),
                                bf_arg_mem(s->segment), bf_arg_i32(s->k + 1)};
    bf_call calls[] = {
        {.kernel = "neighbours_count", .args = count_args, .n_args = BF_COUNT(count_args), .bytes = bytes},
        {.kernel = "neighbours_begin", .args = begin_args, .n_args = BF_COUNT(begin_args)},
        {.kernel = "neighbours_list", .args = list_args, .n_args = BF_COUNT(list_args), .bytes = 2 * bytes}};

    BF_TRY(check_neighbours(s, err));
    for (size_t i = 0; i < BF_COUNT(calls); i++) {
        calls[i].file = "neighbours.cl";
        bf_call_rows(&calls[i], ctx, i == 1 ? 1 : groups);
        BF_TRY(bf_cmds_kernel(c, &calls[i], err));
    }
out:
    return st;
}
