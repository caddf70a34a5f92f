/* The packed provider: plans blocks, packing and splits for cl/gemm.cl. */
#include <limits.h>
#include <stdio.h>

#include "base/size.h"
#include "device/cl.h"
#include "device/gemm_provider.h"

enum {
    TILE_FLOATS = 384, /* of a block of registers in cl/tile.h: 12 x 32 or 6 x 64 */
    NARROW = 32,       /* columns of the one */
    NARROW_M = TILE_FLOATS / NARROW,
    BROAD = 64,     /* and of the other */
    WIDE_TILE = 64, /* cl/gemm.cl */
    PACK_K = 32,    /* cl/gemm.cl */
    PACK_PANELS = 64,
    MAX_PANELS = 12, /* columns of a block, in narrow panels: 12 of them times KC stay in a second-level cache */
    MAX_STRIPS = 32, /* rows of a block, in strips of 12: its piece of C fits there too */
    ITEMS_PER_UNIT = 8,
    PACK_A_FROM = 12 * BROAD, /* columns of C */
    FAR = 1152,               /* a longer pitch of B, in floats, costs more than packing it; */
    FEW_SETS = 512,           /* so do multiples of this, whose rows compete for few lines of a cache */
    SPLIT_K_FROM = 1024,      /* a sum shorter than this is not cut */
    SPLIT_TILES = 64,         /* longer ones are, where C has fewer tiles than this */
    SPLIT_TILES_WIDE = 256
};

/* Fewer operations than this are not worth a work-item of their own (about a microsecond). */
#define MIN_ITEM_FLOPS 2e5

/* How one product is done on one context. */
typedef struct plan {
    bool pack_a, pack_b;
    int splits, k_split; /* the sum over k in `splits` parts of k_split */
    int tile_m, tile_n;  /* block of registers */
    int block_m, block_n;
    bf_gemm_tile tile;           /* WIDE */
    uint64_t a_floats, b_floats; /* of one packed matrix */
    uint64_t a_bytes, b_bytes, part_bytes;
} plan;

/* Work-items of a wide group that stand side by side: quads of 4 x 4 elements must go round, and the piece of one item
 * should be square. 0 when they do not. */
static int lanes(const bf_gemm_tile *t)
{
    int best = 0, least = INT_MAX;
    for (int x = 1; x <= t->group; x *= 2) {
        const int y = t->group / x;
        const int uneven = BF_MAX(t->n / x, t->m / y) - BF_MIN(t->n / x, t->m / y);
        if (t->n % (4 * x) != 0 || t->m % (4 * y) != 0 || uneven >= least) continue;
        best = x;
        least = uneven;
    }
    return best;
}

bool bf_gemm_tile_ok(const bf_ctx *ctx, const bf_gemm_tile *t)
{
    if (t->m == 0 && t->n == 0 && t->k == 0 && t->group == 0) return true;
    if (bf_ctx_class(ctx) == BF_CLASS_CPU)
        return t->m >= 1 && t->m <= 256 && t->n >= 1 && t->n <= 64 && t->k == 0 && t->group == 0;
    if (t->m < 16 || t->m > 256 || t->n < 16 || t->n > 256 || t->k < 4 || t->k > 64 || t->k % 4 != 0) return false;
    if (t->group < 16 || t->group > 256 || (t->group & (t->group - 1)) != 0) return false;
    const uint64_t local = sizeof(float) * (uint64_t)t->k * (uint64_t)(t->m + t->n + 8);
    return (size_t)t->group <= ctx->max_group && local <= ctx->local_bytes && lanes(t) > 0 &&
           t->m * t->n / t->group <= 256;
}

/* Which tiles a work-item takes; their sums are the same whatever the number of units says here. */
static void plan_blocks_cpu(plan *p, const bf_gemm *g, unsigned units, const bf_gemm_tile *most)
{
    const uint64_t strips = bf_ceil_div((uint64_t)g->m, (uint64_t)p->tile_m);
    const uint64_t panels = bf_ceil_div((uint64_t)g->n, (uint64_t)p->tile_n);
    const uint64_t tiles = strips * panels * (uint64_t)g->batch * (uint64_t)p->splits;
    const double tile_flops = 2.0 * TILE_FLOATS * p->k_split;
    uint64_t per_item = BF_MAX(tiles / ((uint64_t)units * ITEMS_PER_UNIT), (uint64_t)(MIN_ITEM_FLOPS / tile_flops));
    per_item = BF_MAX(per_item, (uint64_t)1);
    const uint64_t max_panels = bf_ceil_div((uint64_t)most->n * NARROW, (uint64_t)p->tile_n);
    const uint64_t max_strips = (uint64_t)most->m * NARROW_M / (uint64_t)p->tile_m;
    const uint64_t columns = bf_ceil_div(panels, bf_ceil_div(panels, BF_MIN(per_item, max_panels)));
    const uint64_t rows = BF_MIN(BF_MIN(BF_MAX(per_item / columns, (uint64_t)1), strips), max_strips);
    p->block_n = (int)columns * p->tile_n;
    p->block_m = (int)bf_ceil_div(strips, bf_ceil_div(strips, rows)) * p->tile_m;
}

/* Different matrices of a batch. */
static uint64_t matrices(int batch, uint64_t stride)
{
    return stride == 0 ? 1 : (uint64_t)batch;
}

/* Cuts the sum over k where C alone has too few tiles to keep a device busy. A function of the shape and the class
 * alone, so that the order of the additions (and with it every bit of C) does not depend on the number of compute
 * units. */
static void plan_splits(plan *p, const bf_gemm *g, bool cpu)
{
    const uint64_t tm = cpu ? NARROW_M : WIDE_TILE, tn = cpu ? NARROW : WIDE_TILE;
    const uint64_t tiles = bf_ceil_div((uint64_t)g->m, tm) * bf_ceil_div((uint64_t)g->n, tn) * (uint64_t)g->batch;
    const uint64_t target = cpu ? SPLIT_TILES : SPLIT_TILES_WIDE;
    if (g->k < SPLIT_K_FROM || tiles >= target) return;
    const uint64_t wanted = BF_MIN(bf_ceil_div(target, tiles), (uint64_t)g->k / (SPLIT_K_FROM / 2));
    p->k_split = (int)bf_round_up(bf_ceil_div((uint64_t)g->k, wanted), 16);
    p->splits = (int)bf_ceil_div((uint64_t)g->k, (uint64_t)p->k_split);
    if (p->splits > 1)
        p->part_bytes = (uint64_t)g->batch * (uint64_t)p->splits * (uint64_t)g->m * (uint64_t)g->n * sizeof(float);
}

static plan make_plan(bf_ctx *ctx, const bf_gemm *g)
{
    static const bf_gemm_tile blocks = {.m = MAX_STRIPS, .n = MAX_PANELS};
    const bool cpu = bf_ctx_class(ctx) == BF_CLASS_CPU;
    const bf_gemm_tile tile = bf_gemm_how_of(ctx, g).tile;
    plan p = {.splits = 1, .k_split = BF_MAX(g->k, 1), .block_m = WIDE_TILE, .block_n = WIDE_TILE, .tile = tile};
    plan_splits(&p, g, cpu);
    if (!cpu && tile.m > 0) {
        p.block_m = tile.m;
        p.block_n = tile.n;
    }
    if (!cpu) return p;
    /* unless much of the last panel would be empty */
    p.tile_n = g->n >= 4 * BROAD || (g->n + BROAD - 1) % BROAD >= NARROW ? BROAD : NARROW;
    p.tile_m = TILE_FLOATS / p.tile_n;
    /* A transpose of A is read in place when few panels of B would profit. */
    p.pack_a = g->k > 0 && g->trans_a && g->n > PACK_A_FROM;
    if (p.pack_a) p.a_floats = bf_round_up((uint64_t)g->m, (uint64_t)p.tile_m) * (uint64_t)g->k;
    /* So is B when its rows already are what the kernel wants, unless they are far apart and many strips profit. */
    const bool far = g->ldb > FAR || g->ldb % FEW_SETS == 0;
    p.pack_b = g->k > 0 && (g->trans_b || g->n % 16 != 0 || (far && g->m >= 16 * NARROW_M));
    if (p.pack_b) p.b_floats = bf_round_up((uint64_t)g->n, (uint64_t)p.tile_n) * (uint64_t)g->k;
    p.a_bytes = bf_round_up(p.a_floats * matrices(g->batch, g->stride_a) * sizeof(float), bf_ctx_align(ctx));
    p.b_bytes = bf_round_up(p.b_floats * matrices(g->batch, g->stride_b) * sizeof(float), bf_ctx_align(ctx));
    plan_blocks_cpu(&p, g, bf_ctx_units(ctx), tile.m > 0 ? &tile : &blocks);
    return p;
}

uint64_t bf_packed_workspace(bf_ctx *ctx, const bf_gemm *g)
{
    const plan p = make_plan(ctx, g);
    return p.a_bytes + p.b_bytes + p.part_bytes;
}

/* What cl/gemm.cl is compiled with. */
static void defines_of(const plan *p, bf_act act, char out[128])
{
    snprintf(out, 128, "-DACT=%d", (int)act);
    if (p->tile_n > 0) bf_append(out, 128, " -DTILE_V=%d", p->tile_n / 16);
    if (p->tile.group > 0)
        bf_append(out, 128, " -DTM=%d -DTN=%d -DTK=%d -DGROUP=%d -DTX=%d", p->tile.m, p->tile.n, p->tile.k,
                  p->tile.group, lanes(&p->tile));
}

/* Bits of `epi` in cl/gemm.cl. */
static int epilogue_bits(const bf_gemm *g)
{
    return (g->bias ? 1 : 0) | (g->residual ? 2 : 0) | (g->save_pre ? 4 : 0);
}

/* Panels of `width` columns of a [k,n] matrix (with trans stored [n,k]) to `out`. */
static bf_status pack(bf_cmds *cmds, const plan *p, bf_mem out, uint64_t out_floats, bf_mem in, int n, int k, int ld,
                      bool trans, int width, uint64_t count, uint64_t stride, bf_err *err)
{
    char defines[128];
    defines_of(p, BF_ACT_NONE, defines);
    const bf_arg args[] = {bf_arg_mem(out),   bf_arg_mem(in),     bf_arg_i32(n),
                           bf_arg_i32(k),     bf_arg_i32(ld),     bf_arg_i32(trans),
                           bf_arg_i32(width), bf_arg_u64(stride), bf_arg_u64(out_floats)};
    const bf_call call = {.file = "gemm.cl",
                          .kernel = "gemm_pack",
                          .defines = defines,
                          .items = {(size_t)bf_ceil_div((uint64_t)k, PACK_K),
                                    (size_t)bf_ceil_div((uint64_t)n, (uint64_t)width * PACK_PANELS), (size_t)count},
                          .args = args,
                          .n_args = BF_COUNT(args),
                          .bytes = 8.0 * (double)out_floats * (double)count};
    return bf_cmds_kernel(cmds, &call, err);
}

bool bf_packed_prepares(bf_ctx *ctx, const bf_gemm *g)
{
    const plan p = make_plan(ctx, g);
    return p.pack_b;
}

bf_status bf_packed_prepare(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err)
{
    const plan p = make_plan(bf_cmds_ctx(cmds), g);
    return pack(cmds, &p, bf_mem_at(mem->workspace, p.a_bytes), p.b_floats, mem->b, g->n, g->k, g->ldb, g->trans_b,
                p.tile_n, matrices(g->batch, g->stride_b), g->stride_b, err);
}

bf_status bf_packed_epilogue(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, uint64_t off, int parts,
                             bf_err *err)
{
    const plan p = make_plan(bf_cmds_ctx(cmds), g);
    char defines[128];
    defines_of(&p, g->act, defines);
    const bf_arg args[] = {
        bf_arg_mem(mem->c),      bf_arg_mem(parts > 0 ? bf_mem_at(mem->workspace, off) : BF_MEM_NONE),
        bf_arg_mem(mem->bias),   bf_arg_mem(mem->residual),
        bf_arg_mem(mem->pre),    bf_arg_i32(g->m),
        bf_arg_i32(g->n),        bf_arg_i32(g->ldc),
        bf_arg_u64(g->stride_c), bf_arg_u64(g->stride_bias),
        bf_arg_i32(parts),       bf_arg_f32(g->alpha),
        bf_arg_f32(g->beta),     bf_arg_i32(epilogue_bits(g))};
    const size_t group = bf_ctx_group(bf_cmds_ctx(cmds));
    const bf_call call = {.file = "gemm.cl",
                          .kernel = "gemm_epilogue",
                          .defines = defines,
                          .items = {(size_t)g->m * (size_t)g->batch * group},
                          .local = {group},
                          .args = args,
                          .n_args = BF_COUNT(args),
                          .bytes = 4.0 * (double)g->m * g->n * g->batch * (parts + 2)};
    return bf_cmds_kernel(cmds, &call, err);
}

bf_status bf_packed_gemm(bf_cmds *cmds, const bf_gemm *g, const bf_gemm_mem *mem, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_cmds_ctx(cmds);
    const plan p = make_plan(ctx, g);
    const bool cut = p.splits > 1;
    const size_t group = p.tile.group > 0 ? (size_t)p.tile.group : bf_ctx_group(ctx);
    bf_mem none = BF_MEM_NONE, b = mem->b, a = mem->a;
    bf_mem c = cut ? bf_mem_at(mem->workspace, p.a_bytes + p.b_bytes) : mem->c;
    uint64_t strip = (uint64_t)p.tile_m * (g->trans_a ? 1 : (uint64_t)g->lda), panel = (uint64_t)p.tile_n;
    uint64_t stride_a = g->stride_a, stride_b = g->stride_b;
    int lda = g->lda, ldb = g->ldb;
    char defines[128];
    defines_of(&p, cut ? BF_ACT_NONE : g->act, defines);
    if (p.pack_a) {
        a = mem->workspace;
        BF_TRY(pack(cmds, &p, a, p.a_floats, mem->a, g->m, g->k, lda, false, p.tile_m, matrices(g->batch, stride_a),
                    stride_a, err));
        lda = p.tile_m;
        strip = (uint64_t)p.tile_m * (uint64_t)g->k;
        if (stride_a != 0) stride_a = p.a_floats;
    }
    if (p.pack_b) {
        b = bf_mem_at(mem->workspace, p.a_bytes);
        if (!bf_mem_is_none(mem->b)) BF_TRY(bf_packed_prepare(cmds, g, mem, err));
        ldb = p.tile_n;
        panel = (uint64_t)p.tile_n * (uint64_t)g->k;
        if (stride_b != 0) stride_b = p.b_floats;
    }
    const bf_arg args[] = {bf_arg_mem(c),
                           bf_arg_mem(a),
                           bf_arg_mem(b),
                           bf_arg_mem(cut ? none : mem->bias),
                           bf_arg_mem(cut ? none : mem->residual),
                           bf_arg_mem(cut ? none : mem->pre),
                           bf_arg_i32(g->m),
                           bf_arg_i32(g->n),
                           bf_arg_i32(g->k),
                           bf_arg_i32(lda),
                           bf_arg_i32(ldb),
                           bf_arg_i32(cut ? g->n : g->ldc),
                           bf_arg_i32(g->trans_a),
                           bf_arg_i32(g->trans_b),
                           bf_arg_u64(strip),
                           bf_arg_u64(panel),
                           bf_arg_u64(stride_a),
                           bf_arg_u64(stride_b),
                           bf_arg_u64(cut ? (uint64_t)g->m * (uint64_t)g->n : g->stride_c),
                           bf_arg_u64(g->stride_bias),
                           bf_arg_f32(cut ? 1.0f : g->alpha),
                           bf_arg_f32(cut ? 0.0f : g->beta),
                           bf_arg_i32(cut ? 0 : epilogue_bits(g)),
                           bf_arg_i32(p.splits),
                           bf_arg_i32(p.k_split),
                           bf_arg_i32(p.block_m),
                           bf_arg_i32(p.block_n)};
    const bf_call call = {.file = "gemm.cl",
                          .kernel = "gemm",
                          .defines = defines,
                          .items = {(size_t)bf_ceil_div((uint64_t)g->m, (uint64_t)p.block_m) * group,
                                    (size_t)bf_ceil_div((uint64_t)g->n, (uint64_t)p.block_n),
                                    (size_t)g->batch * (size_t)p.splits},
                          .local = {group},
                          .args = args,
                          .n_args = BF_COUNT(args),
                          .in_turn = true,
                          .flops = 2.0 * g->m * (double)g->n * g->k * g->batch,
                          .bytes = 4.0 * g->batch * ((double)g->m * g->k + (double)g->k * g->n + (double)g->m * g->n)};
    BF_TRY(bf_cmds_kernel(cmds, &call, err));
    if (cut) BF_TRY(bf_packed_epilogue(cmds, g, mem, p.a_bytes + p.b_bytes, p.splits, err));
out:
    return st;
}
