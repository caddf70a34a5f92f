#include "op/op.h"

#define MAX_PARTS 4096

static uint64_t sumsq_chunk(uint64_t n)
{
    return BF_MAX(16384, bf_round_up(bf_ceil_div(n, MAX_PARTS), 16));
}

uint64_t bf_grad_norm_workspace(bf_ctx *ctx, uint64_t n)
{
    (void)ctx;
    return 4 * bf_ceil_div(n, sumsq_chunk(n));
}

bf_status bf_grad_sumsq(bf_cmds *c, bf_mem stats, bool acc, bf_mem grad, uint64_t n, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(n > 0, BF_USAGE, "grad_sumsq: no gradients");
    BF_CHECK(!bf_mem_is_none(ws), BF_USAGE, "grad_sumsq: a workspace is needed");
    const uint64_t chunk = sumsq_chunk(n), parts = bf_ceil_div(n, chunk);
    BF_CHECK(chunk <= INT32_MAX, BF_USAGE, "grad_sumsq: %llu gradients are too many", (unsigned long long)n);
    const bf_arg first[] = {bf_arg_mem(ws), bf_arg_mem(grad), bf_arg_u64(n), bf_arg_u64(chunk)};
    bf_call call = {.file = "optim.cl", .kernel = "sumsq_parts", .args = first, .n_args = BF_COUNT(first)};
    call.bytes = 4.0 * (double)n;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)parts);
    BF_TRY(bf_cmds_kernel(c, &call, err));
    const bf_arg second[] = {bf_arg_mem(stats), bf_arg_i32(acc), bf_arg_mem(ws), bf_arg_i32((int)parts)};
    call.kernel = "sumsq_total";
    call.args = second;
    call.n_args = BF_COUNT(second);
    call.bytes = 4.0 * (double)parts;
    bf_call_rows(&call, bf_cmds_ctx(c), 1);
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

bf_status bf_clip_factor(bf_cmds *c, bf_mem stats, float max_norm, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(stats), bf_arg_f32(max_norm)};
    bf_call call = {.file = "optim.cl", .kernel = "clip_factor", .args = args, .n_args = BF_COUNT(args)};
    bf_call_rows(&call, bf_cmds_ctx(c), 1);
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_clip_by_queue(bf_cmds *c, bf_mem stats, bf_mem queue, uint32_t length, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(length >= 1 && length <= INT32_MAX, BF_USAGE, "clip_queue: a length of %lu norms", (unsigned long)length);
    const bf_arg args[] = {bf_arg_mem(stats), bf_arg_mem(queue), bf_arg_i32((int)length)};
    bf_call call = {.file = "optim.cl", .kernel = "clip_queue", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 4.0 * (double)length;
    bf_call_rows(&call, bf_cmds_ctx(c), 1);
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

bf_status bf_adamw_step(bf_cmds *c, const bf_adamw *s, bf_mem p, bf_mem g, bf_mem m, bf_mem v, bf_mem ema, bf_mem stats,
                        bf_mem step, uint64_t n, bf_err *err)
{
    if (n == 0) return BF_OK;
    const bool has_ema = !bf_mem_is_none(ema);
    const bf_arg args[] = {bf_arg_mem(p),
                           bf_arg_mem(g),
                           bf_arg_mem(m),
                           bf_arg_mem(v),
                           bf_arg_mem(ema),
                           bf_arg_i32(has_ema),
                           bf_arg_mem(stats),
                           bf_arg_mem(step),
                           bf_arg_f32((float)s->beta1),
                           bf_arg_f32((float)(1.0 - s->beta1)),
                           bf_arg_f32((float)s->beta2),
                           bf_arg_f32((float)(1.0 - s->beta2)),
                           bf_arg_f32((float)s->eps),
                           bf_arg_f32((float)s->weight_decay),
                           bf_arg_u64(n)};
    bf_call call = {.file = "optim.cl", .kernel = "adamw", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = (has_ema ? 36.0 : 28.0) * (double)n;
    bf_call_flat(&call, bf_cmds_ctx(c), n);
    return bf_cmds_kernel(c, &call, err);
}
