#include <stdio.h>
#include <string.h>

#include "op/columns.h"

/* How [B,P,C] is cut into chunks: a function of the shape alone (but for tiles and lanes), so results do not depend on
 * the number of cores. */
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

/* How it is cut into tiles of `cols` channels with all their points; 0: by chunks instead. */
typedef struct tiling {
    int cols, tiles, pad;
    size_t local; /* floats */
} tiling;

#define VECTOR 16
#define MIN_COLS 32             /* two cache lines of a row */
#define MIN_TILES 4             /* with fewer there is too little to share among cores */
#define SLAB_BYTES (512u << 10) /* of x, read twice: a part of the second-level cache */
#define KEPT_BYTES (256u << 10) /* local memory of the backward pass, which also has x, dy and dx in that cache */
#define FORWARD_ARRAYS 4        /* local arrays of one float per channel */
#define BACKWARD_ARRAYS 6

/* kept: floats of local memory per channel and point. */
static tiling make_tiling(const bf_ctx *ctx, const bf_group_norm *s, size_t arrays, size_t kept)
{
    const tiling none = {0};
    tiling t = {0};
    const int size = s->ch / s->groups;
    const size_t points = (size_t)s->points;
    int cols = size;
    if (bf_ctx_class(ctx) != BF_CLASS_CPU) return none;
    while ((cols % VECTOR != 0 || cols < MIN_COLS) && cols < s->ch) cols += size;
    t.cols = BF_MIN(cols, s->ch);
    t.tiles = (int)bf_ceil_div((uint64_t)s->ch, (uint64_t)t.cols);
    t.pad = (int)bf_round_up((uint64_t)t.cols, 2 * VECTOR);
    t.local = (size_t)t.pad * (arrays + kept * points);
    if ((int64_t)s->batch * t.tiles < MIN_TILES || 4 * points * (size_t)t.pad > SLAB_BYTES) return none;
    return 4 * t.local > BF_MIN(KEPT_BYTES, bf_ctx_local(ctx)) ? none : t;
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
    return make_tiling(ctx, s, FORWARD_ARRAYS, 0).cols > 0 ? 0 : 4 * part_floats(s, &p);
}

typedef struct forward_mem {
    bf_mem y, mean, rstd, x, gamma, beta, scale, shift;
} forward_mem;

/* The arguments that both forms of the second kernel begin with; returns their number. */
static size_t forward_args(bf_arg *to, const forward_mem *m)
{
    const bf_arg list[] = {bf_arg_mem(m->y),     bf_arg_mem(m->mean), bf_arg_mem(m->rstd),  bf_arg_mem(m->x),
                           bf_arg_mem(m->gamma), bf_arg_mem(m->beta), bf_arg_mem(m->scale), bf_arg_mem(m->shift)};
    memcpy(to, list, sizeof list);
    return BF_COUNT(list);
}

static bf_status forward_tiles(bf_cmds *c, const bf_group_norm *s, const plan *p, const tiling *t, const forward_mem *m,
                               bf_err *err)
{
    bf_arg args[24];
    size_t n = forward_args(args, m);
    const bf_arg rest[] = {bf_arg_i32(s->points),     bf_arg_i32(s->ch),          bf_arg_i32(s->groups),
                           bf_arg_i32(p->pitch),      bf_arg_i32(s->scale_shift), bf_arg_f32(s->eps),
                           bf_arg_i32(t->cols),       bf_arg_i32(t->tiles),       bf_arg_i32(t->pad),
                           bf_arg_local(4 * t->local)};
    memcpy(args + n, rest, sizeof rest);
    n += BF_COUNT(rest);
    bf_call call = {.file = "group_norm.cl", .kernel = "group_norm_forward_tile", .defines = p->defines, .args = args};
    call.n_args = n;
    call.bytes = data_bytes(s, 2);
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)s->batch * (size_t)t->tiles);
    return bf_cmds_kernel(c, &call, err);
}

static bf_status forward_chunks(bf_cmds *c, const bf_group_norm *s, const plan *p, const forward_mem *m, bf_mem ws,
                                bf_err *err)
{
    bf_status st = BF_OK;
    const bf_ctx *ctx = bf_cmds_ctx(c);
    const bf_arg stats[] = {bf_arg_mem(ws),       bf_arg_mem(m->x),      bf_arg_i32(s->points), bf_arg_i32(s->ch),
                            bf_arg_i32(p->chunk), bf_arg_i32(p->chunks), bf_arg_i32(p->tiles),  bf_arg_i32(p->lanes)};
    bf_call call = {.file = "group_norm.cl", .kernel = "group_norm_stats", .defines = NO_ACT, .args = stats};
    call.n_args = BF_COUNT(stats);
    call.bytes = data_bytes(s, 1);
    const size_t groups = (size_t)s->batch * (size_t)p->chunks;
    bf_call_rows(&call, ctx, groups * (size_t)p->tiles);
    BF_TRY(bf_cmds_kernel(c, &call, err));

    bf_arg args[24];
    size_t n = forward_args(args, m);
    const bf_arg rest[] = {bf_arg_mem(ws),
                           bf_arg_i32(s->points),
                           bf_arg_i32(s->ch),
                           bf_arg_i32(s->groups),
                           bf_arg_i32(p->pitch),
                           bf_arg_i32(s->scale_shift),
                           bf_arg_f32(s->eps),
                           bf_arg_i32(p->chunk),
                           bf_arg_i32(p->chunks),
                           bf_arg_i32(p->pad),
                           bf_arg_local(FORWARD_ARRAYS * 4 * (size_t)p->pad)};
    memcpy(args + n, rest, sizeof rest);
    call.kernel = "group_norm_forward";
    call.defines = p->defines;
    call.args = args;
    call.n_args = n + BF_COUNT(rest);
    call.bytes = data_bytes(s, 2);
    bf_call_rows(&call, ctx, groups);
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

bf_status bf_group_norm_forward(bf_cmds *c, const bf_group_norm *s, bf_mem y, bf_mem mean, bf_mem rstd, bf_mem x,
                                bf_mem gamma, bf_mem beta, bf_mem scale, bf_mem shift, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(s, err));
    const plan p = make_plan(bf_cmds_ctx(c), s);
    const tiling t = make_tiling(bf_cmds_ctx(c), s, FORWARD_ARRAYS, 0);
    const forward_mem m = {y, mean, rstd, x, gamma, beta, scale, shift};
    if (t.cols > 0) {
        BF_TRY(forward_tiles(c, s, &p, &t, &m, err));
    } else {
        BF_TRY(forward_chunks(c, s, &p, &m, ws, err));
    }
out:
    return st;
}

/* Backward: by_gamma and by_beta [B,C], then (by chunks) the partial sums. */
static uint64_t sample_floats(const bf_group_norm *s)
{
    return (uint64_t)s->batch * (uint64_t)s->ch;
}

uint64_t bf_group_norm_backward_workspace(bf_ctx *ctx, const bf_group_norm *s)
{
    const plan p = make_plan(ctx, s);
    const bool by_tiles = make_tiling(ctx, s, BACKWARD_ARRAYS, 1).cols > 0;
    return 4 * (2 * sample_floats(s) + (by_tiles ? 0 : part_floats(s, &p)));
}

typedef struct backward_mem {
    const bf_group_norm_grads *d;
    bf_mem by_gamma, by_beta, part;
    bf_mem dy, x, mean, rstd, gamma, beta, scale, shift;
} backward_mem;

static bool wants_grads(const bf_group_norm_grads *d)
{
    return !bf_mem_is_none(d->by_gamma) || !bf_mem_is_none(d->dgamma) || !bf_mem_is_none(d->dbeta) ||
           !bf_mem_is_none(d->dscale) || !bf_mem_is_none(d->dshift);
}

static bf_status backward_tiles(bf_cmds *c, const bf_group_norm *s, const plan *p, const tiling *t,
                                const backward_mem *m, bf_err *err)
{
    const bf_group_norm_grads *d = m->d;
    const bf_arg args[] = {bf_arg_mem(d->dx),
                           bf_arg_i32(!bf_mem_is_none(d->dx)),
                           bf_arg_i32(d->acc_x),
                           bf_arg_mem(m->by_gamma),
                           bf_arg_mem(m->by_beta),
                           bf_arg_mem(d->dscale),
                           bf_arg_mem(d->dshift),
                           bf_arg_i32(wants_grads(d)),
                           bf_arg_i32(!bf_mem_is_none(d->dscale)),
                           bf_arg_i32(!bf_mem_is_none(d->dshift)),
                           bf_arg_i32(d->acc_scale),
                           bf_arg_mem(m->dy),
                           bf_arg_mem(m->x),
                           bf_arg_mem(m->mean),
                           bf_arg_mem(m->rstd),
                           bf_arg_mem(m->gamma),
                           bf_arg_mem(m->beta),
                           bf_arg_mem(m->scale),
                           bf_arg_mem(m->shift),
                           bf_arg_i32(s->points),
                           bf_arg_i32(s->ch),
                           bf_arg_i32(s->groups),
                           bf_arg_i32(p->pitch),
                           bf_arg_i32(s->scale_shift),
                           bf_arg_i32(t->cols),
                           bf_arg_i32(t->tiles),
                           bf_arg_i32(t->pad),
                           bf_arg_local(4 * t->local)};
    bf_call call = {.file = "group_norm.cl", .kernel = "group_norm_backward_tile", .defines = p->defines, .args = args};
    call.n_args = BF_COUNT(args);
    call.bytes = data_bytes(s, bf_mem_is_none(d->dx) ? 2 : d->acc_x ? 4 : 3);
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)s->batch * (size_t)t->tiles);
    return bf_cmds_kernel(c, &call, err);
}

static bf_status backward_chunks(bf_cmds *c, const bf_group_norm *s, const plan *p, const backward_mem *m, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_ctx *ctx = bf_cmds_ctx(c);
    const bf_group_norm_grads *d = m->d;
    const size_t groups = (size_t)s->batch * (size_t)p->chunks;
    const bf_arg sums[] = {
        bf_arg_mem(m->part),  bf_arg_mem(m->dy),          bf_arg_mem(m->x),     bf_arg_mem(m->mean),
        bf_arg_mem(m->rstd),  bf_arg_mem(m->gamma),       bf_arg_mem(m->beta),  bf_arg_mem(m->scale),
        bf_arg_mem(m->shift), bf_arg_i32(s->points),      bf_arg_i32(s->ch),    bf_arg_i32(s->groups),
        bf_arg_i32(p->pitch), bf_arg_i32(s->scale_shift), bf_arg_i32(p->chunk), bf_arg_i32(p->chunks),
        bf_arg_i32(p->tiles), bf_arg_i32(p->lanes),       bf_arg_i32(p->pad),   bf_arg_local(4 * 4 * (size_t)p->pad)};
    bf_call call = {.file = "group_norm.cl", .kernel = "group_norm_backward_sums", .defines = p->defines, .args = sums};
    call.n_args = BF_COUNT(sums);
    call.bytes = data_bytes(s, 2);
    bf_call_rows(&call, ctx, groups * (size_t)p->tiles);
    BF_TRY(bf_cmds_kernel(c, &call, err));

    if (wants_grads(d)) {
        const bf_arg args[] = {bf_arg_mem(m->by_gamma),
                               bf_arg_mem(m->by_beta),
                               bf_arg_mem(d->dscale),
                               bf_arg_mem(d->dshift),
                               bf_arg_i32(!bf_mem_is_none(d->dscale)),
                               bf_arg_i32(!bf_mem_is_none(d->dshift)),
                               bf_arg_i32(d->acc_scale),
                               bf_arg_mem(m->gamma),
                               bf_arg_mem(m->beta),
                               bf_arg_mem(m->scale),
                               bf_arg_mem(m->part),
                               bf_arg_i32(s->ch),
                               bf_arg_i32(p->pitch),
                               bf_arg_i32(s->scale_shift),
                               bf_arg_i32(p->chunks),
                               bf_arg_i32(p->pad),
                               bf_arg_local(2 * 4 * (size_t)p->pad)};
        bf_call params = {.file = "group_norm.cl", .kernel = "group_norm_backward_params", .args = args};
        params.defines = NO_ACT;
        params.n_args = BF_COUNT(args);
        bf_call_rows(&params, ctx, (size_t)s->batch);
        BF_TRY(bf_cmds_kernel(c, &params, err));
    }

    if (!bf_mem_is_none(d->dx)) {
        const bf_arg input[] = {
            bf_arg_mem(d->dx),    bf_arg_i32(d->acc_x),  bf_arg_mem(m->dy),    bf_arg_mem(m->x),
            bf_arg_mem(m->mean),  bf_arg_mem(m->rstd),   bf_arg_mem(m->gamma), bf_arg_mem(m->beta),
            bf_arg_mem(m->scale), bf_arg_mem(m->shift),  bf_arg_mem(m->part),  bf_arg_i32(s->points),
            bf_arg_i32(s->ch),    bf_arg_i32(s->groups), bf_arg_i32(p->pitch), bf_arg_i32(s->scale_shift),
            bf_arg_i32(p->chunk), bf_arg_i32(p->chunks), bf_arg_i32(p->pad),   bf_arg_local(6 * 4 * (size_t)p->pad)};
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

static bf_status backward_fold(bf_cmds *c, const bf_group_norm *s, const backward_mem *m, bf_err *err)
{
    const bf_group_norm_grads *d = m->d;
    bf_fold_sum sums[2];
    int n = 0;
    if (!bf_mem_is_none(d->dgamma)) sums[n++] = (bf_fold_sum){d->dgamma, m->by_gamma, d->acc_gamma, s->batch, s->ch};
    if (!bf_mem_is_none(d->dbeta)) sums[n++] = (bf_fold_sum){d->dbeta, m->by_beta, d->acc_beta, s->batch, s->ch};
    return n > 0 ? bf_fold(c, sums, n, err) : BF_OK;
}

bf_status bf_group_norm_backward(bf_cmds *c, const bf_group_norm *s, const bf_group_norm_grads *d, bf_mem dy, bf_mem x,
                                 bf_mem mean, bf_mem rstd, bf_mem gamma, bf_mem beta, bf_mem scale, bf_mem shift,
                                 bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check(s, err));
    const plan p = make_plan(bf_cmds_ctx(c), s);
    const tiling t = make_tiling(bf_cmds_ctx(c), s, BACKWARD_ARRAYS, 1);
    const uint64_t bytes = 4 * sample_floats(s);
    backward_mem m = {d,     ws,   bf_mem_at(ws, bytes), bf_mem_at(ws, 2 * bytes), dy, x, mean, rstd, gamma, beta,
                      scale, shift};
    if (!bf_mem_is_none(d->by_gamma)) {
        m.by_gamma = d->by_gamma;
        m.by_beta = d->by_beta;
    }
    if (t.cols > 0) {
        BF_TRY(backward_tiles(c, s, &p, &t, &m, err));
    } else {
        BF_TRY(backward_chunks(c, s, &p, &m, err));
    }
    BF_TRY(backward_fold(c, s, &m, err));
out:
    return st;
}
