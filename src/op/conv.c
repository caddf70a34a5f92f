/* Convolution: plans the launches of cl/conv.cl and cl/winograd.cl. */
#include <stdio.h>

#include "op/op.h"

enum {
    TILE_M = 12, /* cl/tile.h */
    TILE_N = 32,
    WIDE_TILE = 64, /* TS in cl/conv.cl */
    CI_BLOCK = 32,  /* input channels of a block of the weight gradient (CPU) */
    VECTOR = 16,
    /* cl/winograd.cl: pixels across a tile, points of a transformed one; source channels of one launch at most; output
     * channels of a block of the weight gradient */
    WINOGRAD_SIZE = 4,
    WINOGRAD_POINTS = 36,
    WINOGRAD_CHANNELS = 256,
    WINOGRAD_CO_BLOCK = 64,
    ITEMS_PER_UNIT = 24,
    WINOGRAD_ITEMS_PER_UNIT = 4,
    WEIGHT_GROUPS = 64, /* groups that share out a weight gradient, and pixels of a part at least */
    WEIGHT_GROUPS_WIDE = 512,
    WEIGHT_PIXELS = 1024
};

#define MIN_ITEM_FLOPS 2e5 /* fewer operations are not worth a work-item of their own */

enum { EPI_BIAS = 1, EPI_SAMPLE = 2, EPI_RESIDUAL = 4, EPI_ACC = 8 }; /* cl/conv.cl */

static bool is_cpu(bf_ctx *ctx)
{
    return bf_ctx_class(ctx) == BF_CLASS_CPU;
}

static uint64_t weights(const bf_conv *s)
{
    return (uint64_t)s->k * (uint64_t)s->k * (uint64_t)s->ci * (uint64_t)s->co;
}

static double flops(const bf_conv *s)
{
    return 2.0 * (double)weights(s) * s->batch * bf_conv_out(s->h, s->k, s->stride) *
           bf_conv_out(s->w, s->k, s->stride);
}

static bf_status check(const bf_conv *s, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(s->batch > 0 && s->h > 0 && s->w > 0 && s->ci > 0 && s->co > 0 && (s->k == 1 || s->k == 3) &&
                 (s->stride == 1 || s->stride == 2),
             BF_RUNTIME, "conv: %dx%d kernel, stride %d, on [%d,%d,%d,%d] to %d channels is not supported", s->k, s->k,
             s->stride, s->batch, s->h, s->w, s->ci, s->co);
    BF_CHECK(BF_MAX(s->ci, s->co) <= BF_ZEROS, BF_RUNTIME, "conv: %d to %d channels: more than %d are not supported",
             s->ci, s->co, BF_ZEROS);
    const uint64_t pixels = (uint64_t)s->batch * (uint64_t)s->h * (uint64_t)s->w;
    BF_CHECK(pixels * (uint64_t)BF_MAX(s->ci, s->co) < INT32_MAX && weights(s) < INT32_MAX, BF_RUNTIME,
             "conv: [%d,%d,%d,%d] to %d channels: a tensor of more than 2^31 elements; use a smaller batch", s->batch,
             s->h, s->w, s->ci, s->co);
out:
    return st;
}

/* Tiles of Winograd. */
static uint64_t winograd_tiles(const bf_conv *s)
{
    return (uint64_t)s->batch * bf_ceil_div((uint64_t)s->h, WINOGRAD_SIZE) * bf_ceil_div((uint64_t)s->w, WINOGRAD_SIZE);
}

/* Does F(4x4, 3x3) apply and pay? Tiles that reach far beyond a small image cost more products than they save. */
static bool winograd_fits(bf_ctx *ctx, const bf_conv *s)
{
    return is_cpu(ctx) && s->k == 3 && s->stride == 1 && s->ci % VECTOR == 0 && s->co % VECTOR == 0 &&
           6 * winograd_tiles(s) <= (uint64_t)s->batch * (uint64_t)s->h * (uint64_t)s->w;
}

/* ---- forward and gradient by the input --------------------------------------------------------------------------- */

/* One run of the kernel `conv`: from cs channels of the source to cr channels of the result. */
typedef struct plan {
    bool backward, pack, winograd;
    int rh, rw, sh, sw, cs, cr;
    uint64_t pack_bytes;
} plan;

static plan make_plan(bf_ctx *ctx, const bf_conv *s, bool backward)
{
    const int ho = bf_conv_out(s->h, s->k, s->stride), wo = bf_conv_out(s->w, s->k, s->stride);
    plan p = {.backward = backward, .rh = ho, .rw = wo, .sh = s->h, .sw = s->w, .cs = s->ci, .cr = s->co};
    if (backward) p = (plan){.backward = true, .rh = s->h, .rw = s->w, .sh = ho, .sw = wo, .cs = s->co, .cr = s->ci};
    if (!is_cpu(ctx)) return p;
    p.winograd = winograd_fits(ctx, s);
    if (p.winograd) {
        p.pack = true;
        p.pack_bytes = 4 * WINOGRAD_POINTS * bf_ceil_div((uint64_t)p.cr, TILE_N) * ((uint64_t)p.cs * TILE_N + VECTOR);
        p.pack_bytes = bf_round_up(p.pack_bytes, bf_ctx_align(ctx));
        return p;
    }
    /* forward weights of up to two panels already lie as the kernel wants them */
    p.pack = backward || s->co % 16 != 0 || s->co > 2 * TILE_N;
    if (p.pack) {
        p.pack_bytes = (uint64_t)s->k * (uint64_t)s->k * (uint64_t)p.cs * bf_round_up((uint64_t)p.cr, TILE_N) * 4;
        p.pack_bytes = bf_round_up(p.pack_bytes, bf_ctx_align(ctx));
    }
    return p;
}

static const char *defines(const plan *p)
{
    return p->backward ? "-DBWD=1" : "-DBWD=0";
}

static bf_status transform_filter(bf_cmds *c, const bf_conv *s, const plan *p, bf_mem w, bf_mem ws, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(ws), bf_arg_mem(w), bf_arg_i32(p->cs), bf_arg_i32(p->cr),
                           bf_arg_i32(p->backward)};
    const bf_call call = {.file = "winograd.cl",
                          .kernel = "winograd_filter",
                          .items = {(size_t)(p->cs / VECTOR), (size_t)bf_ceil_div((uint64_t)p->cr, TILE_N)},
                          .args = args,
                          .n_args = BF_COUNT(args),
                          .bytes = 4.0 * (9 + WINOGRAD_POINTS) / 9 * (double)weights(s)};
    return bf_cmds_kernel(c, &call, err);
}

/* The weights as the kernel of the plan wants them. */
static bf_status pack(bf_cmds *c, const bf_conv *s, const plan *p, bf_mem w, bf_mem ws, bf_err *err)
{
    if (p->winograd) return transform_filter(c, s, p, w, ws, err);
    const bf_arg args[] = {bf_arg_mem(ws), bf_arg_mem(w), bf_arg_i32(s->k * s->k), bf_arg_i32(p->cs),
                           bf_arg_i32(p->cr)};
    const bf_call call = {
        .file = "conv.cl",
        .kernel = "conv_pack",
        .defines = defines(p),
        .items = {(size_t)s->k * (size_t)s->k * (size_t)p->cs, (size_t)bf_ceil_div((uint64_t)p->cr, TILE_N)},
        .args = args,
        .n_args = BF_COUNT(args),
        .bytes = 8.0 * (double)weights(s)};
    return bf_cmds_kernel(c, &call, err);
}

/* Rows (pixels, or tiles of Winograd) of one work-item: a multiple of the register block, enough items for every unit,
 * none too small. Each row is computed the same way whatever item it falls to. */
static int rows_per_item(bf_ctx *ctx, uint64_t rows, double row_flops)
{
    const uint64_t tiles = bf_ceil_div(rows, TILE_M);
    const double tile_flops = TILE_M * row_flops;
    const uint64_t wanted = tiles / ((uint64_t)bf_ctx_units(ctx) * ITEMS_PER_UNIT);
    return TILE_M * (int)BF_MAX(BF_MAX(wanted, (uint64_t)(MIN_ITEM_FLOPS / tile_flops)), (uint64_t)1);
}

/* The memories of a run: result, source, weights and what the epilogue adds. */
typedef struct operands {
    bf_mem r, s, w, bias, per_sample, residual, ws;
    bool acc;
} operands;

static int epilogue(const operands *m)
{
    return (bf_mem_is_none(m->bias) ? 0 : EPI_BIAS) | (bf_mem_is_none(m->per_sample) ? 0 : EPI_SAMPLE) |
           (bf_mem_is_none(m->residual) ? 0 : EPI_RESIDUAL) | (m->acc ? EPI_ACC : 0);
}

/* Bytes of the source and the result. */
static double traffic(const bf_conv *s, const plan *p)
{
    return 4.0 * s->batch * ((double)p->rh * p->rw * p->cr + (double)p->sh * p->sw * p->cs);
}

static bf_status convolve_winograd(bf_cmds *c, const bf_conv *s, const plan *p, const operands *m, bf_mem zero,
                                   bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t tiles = winograd_tiles(s), panels = bf_ceil_div((uint64_t)p->cr, TILE_N);
    const uint64_t wanted = (uint64_t)bf_ctx_units(bf_cmds_ctx(c)) * WINOGRAD_ITEMS_PER_UNIT;
    for (int c0 = 0; c0 < p->cs; c0 += WINOGRAD_CHANNELS) {
        const int cn = BF_MIN(WINOGRAD_CHANNELS, p->cs - c0);
        const int block = rows_per_item(bf_cmds_ctx(c), tiles, 2.0 * WINOGRAD_POINTS * cn * p->cr);
        const uint64_t blocks = bf_ceil_div(tiles, (uint64_t)block);
        const uint64_t per_item = bf_ceil_div(panels, BF_MIN(panels, bf_ceil_div(wanted, blocks)));
        const bf_arg args[] = {bf_arg_mem(m->r),
                               bf_arg_mem(m->s),
                               bf_arg_mem(m->ws),
                               bf_arg_mem(m->bias),
                               bf_arg_mem(m->per_sample),
                               bf_arg_mem(m->residual),
                               bf_arg_mem(zero),
                               bf_arg_i32(s->batch),
                               bf_arg_i32(s->h),
                               bf_arg_i32(s->w),
                               bf_arg_i32(p->cs),
                               bf_arg_i32(p->cr),
                               bf_arg_i32(c0),
                               bf_arg_i32(cn),
                               bf_arg_i32(c0 == 0 ? epilogue(m) : EPI_ACC),
                               bf_arg_i32(block),
                               bf_arg_i32((int)per_item)};
        const bf_call call = {.file = "winograd.cl",
                              .kernel = "winograd",
                              .items = {(size_t)blocks, (size_t)bf_ceil_div(panels, per_item)},
                              .args = args,
                              .n_args = BF_COUNT(args),
                              .flops = flops(s) * cn / p->cs,
                              .bytes = traffic(s, p) * cn / p->cs};
        BF_TRY(bf_cmds_kernel(c, &call, err));
    }
out:
    return st;
}

static bf_status convolve(bf_cmds *c, const bf_conv *s, const plan *p, const operands *m, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(c);
    const bool cpu = is_cpu(ctx);
    const size_t group = bf_ctx_group(ctx), classes = p->backward ? (size_t)s->stride * (size_t)s->stride : 1;
    const uint64_t step = p->backward ? (uint64_t)s->stride : 1;
    const uint64_t pixels =
        (uint64_t)s->batch * bf_ceil_div((uint64_t)p->rh, step) * bf_ceil_div((uint64_t)p->rw, step);
    const int block = cpu ? rows_per_item(ctx, pixels, 2.0 * (double)weights(s)) : WIDE_TILE;
    bf_mem zero = BF_MEM_NONE;
    BF_TRY(check(s, err));
    if (cpu) BF_TRY(bf_ctx_zeros(ctx, &zero, err));
    BF_CHECK(p->pack || !bf_mem_is_none(m->w), BF_RUNTIME, "conv: no weights given");
    if (p->pack && !bf_mem_is_none(m->w)) BF_TRY(pack(c, s, p, m->w, m->ws, err));
    if (p->winograd) return convolve_winograd(c, s, p, m, zero, err);
    const uint64_t panel = p->pack ? (uint64_t)s->k * (uint64_t)s->k * (uint64_t)p->cs * TILE_N : TILE_N;
    const bf_arg args[] = {bf_arg_mem(m->r),
                           bf_arg_mem(m->s),
                           bf_arg_mem(p->pack ? m->ws : m->w),
                           bf_arg_mem(m->bias),
                           bf_arg_mem(m->per_sample),
                           bf_arg_mem(m->residual),
                           bf_arg_mem(zero),
                           bf_arg_i32(s->batch),
                           bf_arg_i32(p->rh),
                           bf_arg_i32(p->rw),
                           bf_arg_i32(p->sh),
                           bf_arg_i32(p->sw),
                           bf_arg_i32(p->cs),
                           bf_arg_i32(p->cr),
                           bf_arg_i32(s->k),
                           bf_arg_i32(s->stride),
                           bf_arg_i32(p->pack ? TILE_N : p->cr),
                           bf_arg_u64(panel),
                           bf_arg_i32(epilogue(m)),
                           bf_arg_i32(block)};
    const bf_call call = {.file = "conv.cl",
                          .kernel = "conv",
                          .defines = defines(p),
                          .items = {(size_t)bf_ceil_div(pixels, (uint64_t)block) * group,
                                    cpu ? 1 : (size_t)bf_ceil_div((uint64_t)p->cr, WIDE_TILE), classes},
                          .local = {group},
                          .args = args,
                          .n_args = BF_COUNT(args),
                          .flops = flops(s),
                          .bytes = traffic(s, p)};
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

uint64_t bf_conv_forward_workspace(bf_ctx *ctx, const bf_conv *s)
{
    const plan p = make_plan(ctx, s, false);
    return p.pack_bytes;
}

bool bf_conv_prepares(bf_ctx *ctx, const bf_conv *s)
{
    const plan p = make_plan(ctx, s, false);
    return p.pack;
}

bf_status bf_conv_prepare(bf_cmds *c, const bf_conv *s, bf_mem w, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    const plan p = make_plan(bf_cmds_ctx(c), s, false);
    BF_TRY(check(s, err));
    BF_CHECK(p.pack, BF_RUNTIME, "conv: nothing to prepare for %d to %d channels", s->ci, s->co);
    BF_TRY(pack(c, s, &p, w, ws, err));
out:
    return st;
}

bf_status bf_conv_forward(bf_cmds *c, const bf_conv *s, bf_mem y, bf_mem x, bf_mem w, bf_mem bias, bf_mem per_sample,
                          bf_mem residual, bf_mem ws, bf_err *err)
{
    const plan p = make_plan(bf_cmds_ctx(c), s, false);
    const operands m = {.r = y, .s = x, .w = w, .bias = bias, .per_sample = per_sample, .residual = residual, .ws = ws};
    return convolve(c, s, &p, &m, err);
}

uint64_t bf_conv_backward_input_workspace(bf_ctx *ctx, const bf_conv *s)
{
    const plan p = make_plan(ctx, s, true);
    return p.pack_bytes;
}

bf_status bf_conv_backward_input(bf_cmds *c, const bf_conv *s, bf_mem dx, bool acc, bf_mem dy, bf_mem w, bf_mem ws,
                                 bf_err *err)
{
    const plan p = make_plan(bf_cmds_ctx(c), s, true);
    const operands m = {.r = dx, .s = dy, .w = w, .ws = ws, .acc = acc};
    return convolve(c, s, &p, &m, err);
}

/* ---- gradient by the weight -------------------------------------------------------------------------------------- */

/* Blocks of dw times parts of the sum over the lines: rows of output pixels of all images, or Winograd's tiles. */
typedef struct weight_plan {
    bool winograd;
    int ci_blocks, co_blocks, block; /* block: input channels */
    int lines, parts;                /* lines of one part */
} weight_plan;

/* The number of parts is a function of the shape and the class alone, so that the order of the additions (and with it
 * every bit of dw) does not depend on the number of compute units. */
static weight_plan make_weight_plan(bf_ctx *ctx, const bf_conv *s)
{
    const bool cpu = is_cpu(ctx), winograd = winograd_fits(ctx, s);
    const uint64_t lines =
        winograd ? winograd_tiles(s) : (uint64_t)s->batch * (uint64_t)bf_conv_out(s->h, s->k, s->stride);
    const uint64_t block = cpu ? CI_BLOCK : WIDE_TILE;
    weight_plan p = {.winograd = winograd, .block = (int)block};
    p.ci_blocks = (int)bf_ceil_div((uint64_t)s->ci, block) * (cpu ? 1 : s->k * s->k);
    p.co_blocks = (int)bf_ceil_div((uint64_t)s->co, winograd ? WINOGRAD_CO_BLOCK : cpu ? TILE_N : WIDE_TILE);
    const uint64_t blocks = (uint64_t)p.ci_blocks * (uint64_t)p.co_blocks;
    const uint64_t pixels = (uint64_t)s->batch * (uint64_t)bf_conv_out(s->h, s->k, s->stride) *
                            (uint64_t)bf_conv_out(s->w, s->k, s->stride);
    const uint64_t most = BF_MIN(lines, BF_MAX(pixels / WEIGHT_PIXELS, (uint64_t)1));
    const uint64_t parts = BF_MIN(bf_ceil_div(cpu ? WEIGHT_GROUPS : WEIGHT_GROUPS_WIDE, blocks), most);
    p.lines = (int)bf_ceil_div(lines, parts);
    p.parts = (int)bf_ceil_div(lines, (uint64_t)p.lines);
    return p;
}

uint64_t bf_conv_backward_weight_workspace(bf_ctx *ctx, const bf_conv *s)
{
    return (uint64_t)make_weight_plan(ctx, s).parts * weights(s) * 4;
}

static bf_status fold(bf_cmds *c, const bf_conv *s, bf_mem dw, bool acc, bf_mem ws, int parts, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(dw), bf_arg_mem(ws), bf_arg_i32((int)weights(s)), bf_arg_i32(parts),
                           bf_arg_i32(acc)};
    bf_call call = {.file = "conv.cl",
                    .kernel = "conv_fold",
                    .defines = "-DBWD=0",
                    .args = args,
                    .n_args = BF_COUNT(args),
                    .bytes = 4.0 * (double)weights(s) * (parts + 1)};
    bf_call_flat(&call, bf_cmds_ctx(c), weights(s));
    return bf_cmds_kernel(c, &call, err);
}

static bf_status weight_winograd(bf_cmds *c, const bf_conv *s, const weight_plan *p, bf_mem dy, bf_mem x, bf_mem ws,
                                 bf_err *err)
{
    bf_status st = BF_OK;
    bf_mem zero;
    BF_TRY(bf_ctx_zeros(bf_cmds_ctx(c), &zero, err));
    const bf_arg args[] = {bf_arg_mem(ws),       bf_arg_mem(x),       bf_arg_mem(dy),   bf_arg_mem(zero),
                           bf_arg_i32(s->batch), bf_arg_i32(s->h),    bf_arg_i32(s->w), bf_arg_i32(s->ci),
                           bf_arg_i32(s->co),    bf_arg_i32(p->lines)};
    const bf_call call = {.file = "winograd.cl",
                          .kernel = "winograd_weight",
                          .items = {(size_t)p->ci_blocks, (size_t)p->co_blocks, (size_t)p->parts},
                          .args = args,
                          .n_args = BF_COUNT(args),
                          .flops = flops(s),
                          .bytes = 4.0 * s->batch * s->h * s->w * ((double)s->ci + s->co)};
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

bf_status bf_conv_backward_weight(bf_cmds *c, const bf_conv *s, bf_mem dw, bool acc, bf_mem dy, bf_mem x, bf_mem ws,
                                  bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(c);
    const size_t group = bf_ctx_group(ctx);
    BF_TRY(check(s, err));
    const int ho = bf_conv_out(s->h, s->k, s->stride), wo = bf_conv_out(s->w, s->k, s->stride);
    const weight_plan p = make_weight_plan(ctx, s);
    if (p.winograd) {
        BF_TRY(weight_winograd(c, s, &p, dy, x, ws, err));
        return fold(c, s, dw, acc, ws, p.parts, err);
    }
    const bf_arg args[] = {bf_arg_mem(ws),      bf_arg_mem(x),      bf_arg_mem(dy),   bf_arg_i32(s->batch),
                           bf_arg_i32(s->h),    bf_arg_i32(s->w),   bf_arg_i32(ho),   bf_arg_i32(wo),
                           bf_arg_i32(s->ci),   bf_arg_i32(s->co),  bf_arg_i32(s->k), bf_arg_i32(s->stride),
                           bf_arg_i32(p.lines), bf_arg_i32(p.block)};
    const bf_call call = {.file = "conv.cl",
                          .kernel = "conv_weight",
                          .defines = "-DBWD=0",
                          .items = {(size_t)p.ci_blocks * group, (size_t)p.co_blocks, (size_t)p.parts},
                          .local = {group},
                          .args = args,
                          .n_args = BF_COUNT(args),
                          .flops = flops(s),
                          .bytes = 4.0 * s->batch * ((double)s->h * s->w * s->ci + (double)ho * wo * s->co)};
    BF_TRY(bf_cmds_kernel(c, &call, err));
    BF_TRY(fold(c, s, dw, acc, ws, p.parts, err));
out:
    return st;
}
