#include <stdio.h>

#include "op/columns.h"

/* How [B,P,C] is cut: a function of the shape alone (but for tiles and lanes), so results do not depend on the number
 * of cores. */
typedef struct plan {
    int chunk, chunks; /* points per group, groups per sample */
    int tiles, lanes;  /* column tiles of the kernels that fold points */
    int pad;           /* channels rounded up to whole vectors: length of a local array */
    int pitch;
    char defines[16];
} plan;

/* Points of a chunk: its x fits the second-level cache. More chunks would cost more in folding them than they bring. */
#define CHUNK_POINTS 256
#define MAX_CHUNKS 16

/* Kernels that do not depend on the activation come from one program whatever it is: less to compile. */
#define NO_ACT "-DACT=0"

static plan make_plan(const bf_ctx *ctx, const bf_group_norm *s)
{
    plan p = {.pitch = s->scale_pitch ? s->scale_pitch : s->ch};
    const uint64_t points = (uint64_t)s->points, ch = (uint64_t)s->ch;
    const uint64_t chunks = BF_MIN(bf_ceil_div(points, CHUNK_POINTS), MAX_CHUNKS);
    const uint64_t chunk = bf_ceil_div(points, chunks);
    p.chunk = (int)chunk;
    p.chunks = (int)bf_ceil_div(points, chunk);
    p.tiles = (int)bf_col_tiles(ctx, ch);
    p.lanes = bf_col_lanes(ctx, ch);
    p.pad = (int)bf_round_up(ch, 64);
    snprintf(p.defines, sizeof p.defines, "-DACT=%d", (int)s->act);
    return p;
}

static bf_status check(const bf_group_norm *s, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(s->batch > 0 && s->points > 0 && s->ch > 0 && s->groups > 0, BF_USAGE,
             "group norm: bad shape [%d,%d,%d] in %d groups", s->batch, s->points, s->ch, s->groups);
    BF_CHECK(s->ch % s->groups == 0, BF_USAGE, "group norm: %d channels do not divide into %d groups", s->ch,
             s->groups);
    BF_CHECK(s->ch <= 1024, BF_USAGE, "group norm: %d channels, at most 1024 are supported", s->ch);
    BF_CHECK(s->act >= BF_ACT_NONE && s->act <= BF_ACT_RELU, BF_USAGE, "group norm: unknown activation %d", s->act);
    BF_CHECK(s->scale_pitch == 0 || s->scale_pitch >= s->ch, BF_USAGE,
             "group norm: pitch %d of scale below %d channels", s->scale_pitch, s->ch);
out:
    return st;
}

/* floats of the partial results: two per channel and chunk */
static uint64_t part_floats(const bf_group_norm *s, const plan *p)
{
    return 2 * (uint64_t)s->batch * (uint64_t)p->chunks * (uint64_t)s->ch;
}

static double data_bytes(const bf_group_norm *s, int tensors)
{
    return 4.0 * tensors * s->batch * s->points * s->ch;
}

uint64_t bf_group_norm_forward_workspace(bf_ctx *ctx, const bf_group_norm *s)
{
    const plan p = make_plan(ctx, s);
    return 4 * part_floats(s, &p);
}

bf_status bf_group_norm_forward(bf_cmds *c, const bf_group_norm *s, bf_mem y, bf_mem mean, bf_mem rstd, bf_mem x,
                                bf_mem gamma, bf_mem beta, bf_mem scale, bf_mem shift, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(s, err));
    const bf_ctx *ctx = bf_cmds_ctx(c);
    const plan p = make_plan(ctx, s);
    const bf_arg stats[] = {bf_arg_mem(ws),      bf_arg_mem(x),        bf_arg_i32(s->points), bf_arg_i32(s->ch),
                            bf_arg_i32(p.chunk), bf_arg_i32(p.chunks), bf_arg_i32(p.tiles),   bf_arg_i32(p.lanes)};
    bf_call call = {.file = "group_norm.cl", .kernel = "group_norm_stats", .defines = NO_ACT, .args = stats};
    call.n_args = BF_COUNT(stats);
    call.bytes = data_bytes(s, 1);
    const size_t groups = (size_t)s->batch * (size_t)p.chunks;
    bf_call_rows(&call, ctx, groups * (size_t)p.tiles);
    BF_TRY(bf_cmds_kernel(c, &call, err));

    const bf_arg apply[] = {bf_arg_mem(y),
                            bf_arg_mem(mean),
                            bf_arg_mem(rstd),
                            bf_arg_mem(x),
                            bf_arg_mem(gamma),
                            bf_arg_mem(beta),
                            bf_arg_mem(scale),
                            bf_arg_mem(shift),
                            bf_arg_mem(ws),
                            bf_arg_i32(s->points),
                            bf_arg_i32(s->ch),
                            bf_arg_i32(s->groups),
                            bf_arg_i32(p.pitch),
                            bf_arg_i32(s->scale_shift),
                            bf_arg_f32(s->eps),
                            bf_arg_i32(p.chunk),
                            bf_arg_i32(p.chunks),
                            bf_arg_i32(p.pad),
                            bf_arg_local(3 * 4 * (size_t)p.pad)};
    call.kernel = "group_norm_forward";
    call.defines = p.defines;
    call.args = apply;
    call.n_args = BF_COUNT(apply);
    call.bytes = data_bytes(s, 2);
    bf_call_rows(&call, ctx, groups);
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

/* Backward: partial sums, then by_gamma and by_beta [B,C], then what summing those over B needs. */
static uint64_t sample_floats(const bf_group_norm *s)
{
    return (uint64_t)s->batch * (uint64_t)s->ch;
}

uint64_t bf_group_norm_backward_workspace(bf_ctx *ctx, const bf_group_norm *s)
{
    const plan p = make_plan(ctx, s);
    return 4 * (part_floats(s, &p) + 2 * sample_floats(s)) +
           bf_sum_mid_workspace(ctx, 1, (uint64_t)s->batch, (uint64_t)s->ch);
}

static bf_status backward_params(bf_cmds *c, const bf_group_norm *s, const plan *p, const bf_group_norm_grads *d,
                                 bf_mem gamma, bf_mem beta, bf_mem scale, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t batch = (uint64_t)s->batch, ch = (uint64_t)s->ch;
    const bf_mem by_gamma = bf_mem_at(ws, 4 * part_floats(s, p)), by_beta = bf_mem_at(by_gamma, 4 * sample_floats(s));
    const bf_mem rest = bf_mem_at(by_beta, 4 * sample_floats(s));
    const bf_arg args[] = {bf_arg_mem(by_gamma),
                           bf_arg_mem(by_beta),
                           bf_arg_mem(d->dscale),
                           bf_arg_mem(d->dshift),
                           bf_arg_i32(!bf_mem_is_none(d->dscale)),
                           bf_arg_i32(!bf_mem_is_none(d->dshift)),
                           bf_arg_i32(d->acc_scale),
                           bf_arg_mem(gamma),
                           bf_arg_mem(beta),
                           bf_arg_mem(scale),
                           bf_arg_mem(ws),
                           bf_arg_i32(s->ch),
                           bf_arg_i32(p->pitch),
                           bf_arg_i32(s->scale_shift),
                           bf_arg_i32(p->chunks),
                           bf_arg_i32(p->pad),
                           bf_arg_local(2 * 4 * (size_t)p->pad)};
    bf_call call = {.file = "group_norm.cl", .kernel = "group_norm_backward_params", .args = args};
    call.defines = NO_ACT;
    call.n_args = BF_COUNT(args);
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)s->batch);
    BF_TRY(bf_cmds_kernel(c, &call, err));
    if (!bf_mem_is_none(d->dgamma))
        BF_TRY(bf_sum_mid(c, d->dgamma, d->acc_gamma, 1.0f, by_gamma, 1, batch, ch, rest, err));
    if (!bf_mem_is_none(d->dbeta)) BF_TRY(bf_sum_mid(c, d->dbeta, d->acc_beta, 1.0f, by_beta, 1, batch, ch, rest, err));
out:
    return st;
}

bf_status bf_group_norm_backward(bf_cmds *c, const bf_group_norm *s, const bf_group_norm_grads *d, bf_mem dy, bf_mem x,
                                 bf_mem mean, bf_mem rstd, bf_mem gamma, bf_mem beta, bf_mem scale, bf_mem shift,
                                 bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(s, err));
    const bf_ctx *ctx = bf_cmds_ctx(c);
    const plan p = make_plan(ctx, s);
    const size_t groups = (size_t)s->batch * (size_t)p.chunks;
    const bf_arg sums[] = {bf_arg_mem(ws),      bf_arg_mem(dy),
                           bf_arg_mem(x),       bf_arg_mem(mean),
                           bf_arg_mem(rstd),    bf_arg_mem(gamma),
                           bf_arg_mem(beta),    bf_arg_mem(scale),
                           bf_arg_mem(shift),   bf_arg_i32(s->points),
                           bf_arg_i32(s->ch),   bf_arg_i32(s->groups),
                           bf_arg_i32(p.pitch), bf_arg_i32(s->scale_shift),
                           bf_arg_i32(p.chunk), bf_arg_i32(p.chunks),
                           bf_arg_i32(p.tiles), bf_arg_i32(p.lanes),
                           bf_arg_i32(p.pad),   bf_arg_local(4 * 4 * (size_t)p.pad)};
    bf_call call = {.file = "group_norm.cl", .kernel = "group_norm_backward_sums", .defines = p.defines, .args = sums};
    call.n_args = BF_COUNT(sums);
    call.bytes = data_bytes(s, 2);
    bf_call_rows(&call, ctx, groups * (size_t)p.tiles);
    BF_TRY(bf_cmds_kernel(c, &call, err));

    if (!bf_mem_is_none(d->dgamma) || !bf_mem_is_none(d->dbeta) || !bf_mem_is_none(d->dscale) ||
        !bf_mem_is_none(d->dshift))
        BF_TRY(backward_params(c, s, &p, d, gamma, beta, scale, ws, err));

    if (!bf_mem_is_none(d->dx)) {
        const bf_arg input[] = {
            bf_arg_mem(d->dx),   bf_arg_i32(d->acc_x),  bf_arg_mem(dy),      bf_arg_mem(x),
            bf_arg_mem(mean),    bf_arg_mem(rstd),      bf_arg_mem(gamma),   bf_arg_mem(beta),
            bf_arg_mem(scale),   bf_arg_mem(shift),     bf_arg_mem(ws),      bf_arg_i32(s->points),
            bf_arg_i32(s->ch),   bf_arg_i32(s->groups), bf_arg_i32(p.pitch), bf_arg_i32(s->scale_shift),
            bf_arg_i32(p.chunk), bf_arg_i32(p.chunks),  bf_arg_i32(p.pad),   bf_arg_local(6 * 4 * (size_t)p.pad)};
        call.kernel = "group_norm_backward_input";
        call.args = input;
        call.n_args = BF_COUNT(input);
        call.bytes = data_bytes(s, d->acc_x ? 4 : 3);
        bf_call_rows(&call, ctx, groups);
        BF_TRY(bf_cmds_kernel(c, &call, err));
    }
out:
    return st;
}
