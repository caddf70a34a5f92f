/* Edge attention: packing of weights, the gate of every edge, the feature step and the position step. */
#include <math.h>
#include <stdio.h>

#include "op/op.h"

#define CODES (BF_RADIAL + 1)
#define MOST_SLOTS 128

/* Floats of the packed weights, as in cl/edge_attention.cl and cl/edge_gate.cl. */
typedef struct sizes {
    int pad, head_pad; /* FP, HP */
    int kinds, mlps;   /* kinds of edges; 2: keys and values */
    int depth[2];      /* channels of a head of each MLP's result */
    uint64_t edge;     /* of one MLP */
    uint64_t fold[2];  /* its second layer */
    uint64_t packed;   /* in all */
    uint64_t scratch;  /* of a group of the wide class */
} sizes;

static sizes sizes_of(bf_edge_step step, int width, int heads, int slots)
{
    const bool gate = step == BF_EDGE_GATE;
    const int depth = width / heads;
    sizes s = {.pad = (int)bf_round_up((uint64_t)width, 16),
               .head_pad = (int)bf_round_up((uint64_t)(gate ? 1 : heads), 16),
               .kinds = gate ? 1 : BF_EDGE_KINDS,
               .mlps = gate ? 1 : 2,
               .depth = {gate ? 1 : depth, step == BF_EDGE_POSITIONS ? 1 : depth}};

    s.edge = (uint64_t)(s.kinds * CODES + 2) * (uint64_t)s.pad;
    for (int i = 0; i < s.mlps; i++) {
        s.fold[i] = ((uint64_t)width + 1) * (uint64_t)s.depth[i] * (uint64_t)s.head_pad;
        s.packed += s.edge + s.fold[i];
    }
    s.scratch = (uint64_t)s.pad * (uint64_t)(2 * slots + 2 * s.head_pad + 1);
    return s;
}

uint64_t bf_edge_packed_size(bf_edge_step step, int width, int heads)
{
    return sizes_of(step, width, heads, 0).packed;
}

static bf_status check_width(int width, int heads, bf_err *err)
{
    if (width < 1 || width > BF_EDGE_WIDTH || heads < 1 || width % heads != 0)
        return bf_fail(err, BF_USAGE, "edge attention: %d features in %d heads; 1 to %d features are possible", width,
                       heads, BF_EDGE_WIDTH);
    return BF_OK;
}

static bf_status check_edges(const bf_edge_list *e, bf_err *err)
{
    bf_status st = BF_OK;

    BF_TRY(check_width(e->width, e->heads, err));
    BF_CHECK(e->slots >= 1 && e->slots <= MOST_SLOTS, BF_USAGE,
             "edge attention: %d edges of a node, 1 to %d are possible", e->slots, MOST_SLOTS);
    BF_CHECK(e->nodes >= 1 && e->pocket < e->nodes && e->nodes < INT32_MAX / (uint64_t)e->slots, BF_USAGE,
             "edge attention: %llu nodes, %llu of them the pocket's", (unsigned long long)e->nodes,
             (unsigned long long)e->pocket);
out:
    return st;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

static void pack_defines(char *text, size_t size, const sizes *s, int width, int heads, int which)
{
    snprintf(text, size, "-DF=%d -DHEADS=%d -DKINDS=%d -DDEPTH=%d", width, s->kinds == 1 ? 1 : heads, s->kinds,
             s->depth[which]);
}

static bf_mem floats_at(bf_mem m, uint64_t floats)
{
    return bf_mem_is_none(m) ? m : bf_mem_at(m, floats * sizeof(float));
}

/* The five arrays of MLP `which`: own_w, source_w, own_b, edge, fold. */
static void pack_args(bf_arg *args, const sizes *s, int width, const bf_edge_pack *p, int which)
{
    const uint64_t pad = (uint64_t)s->pad * (uint64_t)which;

    args[0] = bf_arg_mem(floats_at(p->own_w, pad * (uint64_t)width));
    args[1] = bf_arg_mem(floats_at(p->source_w, pad * (uint64_t)width));
    args[2] = bf_arg_mem(floats_at(p->own_b, pad));
    args[3] = bf_arg_mem(floats_at(p->packed, s->edge * (uint64_t)which));
    args[4] = bf_arg_mem(floats_at(p->packed, s->edge * (uint64_t)s->mlps + (which ? s->fold[0] : 0)));
}

static void param_args(bf_arg *args, const bf_edge_params *p)
{
    const bf_mem all[6] = {p->w, p->bias, p->gamma, p->beta, p->w2, p->bias2};

    for (int i = 0; i < 6; i++) args[i] = bf_arg_mem(all[i]);
}

bf_status bf_edge_pack_weights(bf_cmds *c, bf_edge_step step, int width, int heads, const bf_edge_pack *to,
                               const bf_edge_params *p, bf_err *err)
{
    bf_status st = BF_OK;
    char defines[80];

    BF_TRY(check_width(width, heads, err));
    const sizes s = sizes_of(step, width, heads, 0);
    for (int i = 0; i < s.mlps; i++) {
        bf_arg args[11];
        bf_call call = {.file = "edge_pack.cl", .kernel = "edge_pack", .defines = defines, .args = args, .n_args = 11};
        pack_defines(defines, sizeof defines, &s, width, heads, i);
        pack_args(args, &s, width, to, i);
        param_args(args + 5, &p[i]);
        call.bytes = 8.0 * (double)(s.edge + s.fold[i] + (s.mlps > 1 ? 2 * (uint64_t)s.pad * (uint64_t)width : 0));
        bf_call_rows(&call, bf_cmds_ctx(c), (size_t)((s.mlps > 1 ? 2 * s.pad : 0) + s.kinds * CODES + 2 + width + 1));
        BF_TRY(bf_cmds_kernel(c, &call, err));
    }
out:
    return st;
}

bf_status bf_edge_unpack_gradients(bf_cmds *c, bf_edge_step step, int width, int heads, int which,
                                   const bf_edge_params *d, int acc, const bf_edge_pack *from, bf_err *err)
{
    bf_status st = BF_OK;
    char defines[80];
    bf_arg args[12];
    bf_call call = {.file = "edge_pack.cl", .kernel = "edge_unpack", .defines = defines, .args = args, .n_args = 12};

    BF_TRY(check_width(width, heads, err));
    const sizes s = sizes_of(step, width, heads, 0);
    pack_defines(defines, sizeof defines, &s, width, heads, which);
    param_args(args, d);
    args[6] = bf_arg_i32(acc);
    pack_args(args + 7, &s, width, from, which);
    call.bytes = 8.0 * (double)(s.edge + s.fold[which] + (s.mlps > 1 ? 2 * (uint64_t)s.pad * (uint64_t)width : 0));
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)width);
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

/* ---- launches ---------------------------------------------------------------------------------------------------- */

/* How targets are spread: groups of `chunk` targets each, at most `groups` in a launch. The cpu class takes them in one
 * launch; on the wide class a group has one, so that no barrier stands in a loop, and later launches go on with the
 * same groups' workspace. In the backward pass each group has its own sums of the packed weights' gradients: the
 * numbers decide the order of sums, so no machine changes them. */
#define WIDE_GROUPS 256
#define CPU_PARTS 64
#define CPU_CHUNK 8

typedef struct spread {
    uint64_t targets, chunk, groups;
} spread;

/* Kernels in the form of the cpu class: there, and where a driver cannot do those of the wide one. */
static bool one_item(const bf_ctx *ctx)
{
    return bf_ctx_class(ctx) == BF_CLASS_CPU || !bf_ctx_many_barriers(ctx);
}

static spread spread_targets(const bf_ctx *ctx, uint64_t targets, bool backward)
{
    if (!one_item(ctx)) return (spread){targets, 1, BF_MIN(targets, WIDE_GROUPS)};
    const uint64_t chunk = backward ? BF_MAX(CPU_CHUNK, bf_ceil_div(targets, CPU_PARTS)) : CPU_CHUNK;
    return (spread){targets, chunk, bf_ceil_div(targets, chunk)};
}

static void one_launch(bf_call *call, const bf_ctx *ctx, uint64_t groups)
{
    call->local[0] = one_item(ctx) ? 1 : bf_ctx_group(ctx);
    call->items[0] = (size_t)groups * call->local[0];
}

/* Enqueues a call that takes the place of its targets from args[begin_at]: where they begin, how many there are, chunk.
 */
static bf_status launch(bf_cmds *c, bf_call *call, bf_arg *args, size_t begin_at, const spread *s, bf_err *err)
{
    bf_status st = BF_OK;
    const double flops = call->flops;

    for (uint64_t begin = 0; begin < s->targets; begin += s->groups * s->chunk) {
        const uint64_t left = bf_ceil_div(s->targets - begin, s->chunk), groups = BF_MIN(left, s->groups);
        args[begin_at] = bf_arg_i32((int32_t)begin);
        args[begin_at + 1] = bf_arg_i32((int32_t)s->targets);
        args[begin_at + 2] = bf_arg_i32((int32_t)s->chunk);
        call->flops = flops * (double)groups * (double)s->chunk / (double)s->targets;
        one_launch(call, bf_cmds_ctx(c), groups);
        BF_TRY(bf_cmds_kernel(c, call, err));
    }
out:
    return st;
}

#define SOURCE_CHUNK 4 /* nodes whose outgoing edges a group adds up */

uint64_t bf_edge_targets(const bf_edge_list *e, bf_edge_step step)
{
    return step == BF_EDGE_POSITIONS ? e->nodes - e->pocket : e->nodes;
}

/* What lies in the workspace of a backward pass, in floats. */
typedef struct backward_plan {
    spread s;
    uint64_t part, by_edge, by_step, by_target, scratch, sum, total; /* where, and how much in all */
    uint64_t sum_bytes;
} backward_plan;

static backward_plan plan_backward(bf_ctx *ctx, const bf_edge_list *e, bf_edge_step step)
{
    const sizes s = sizes_of(step, e->width, e->heads, e->slots);
    const uint64_t slots = (uint64_t)e->slots;
    const uint64_t targets = bf_edge_targets(e, step);
    backward_plan p = {.s = spread_targets(ctx, targets, true)};

    p.sum_bytes = bf_sum_mid_workspace(ctx, 1, p.s.groups, s.packed);
    p.by_edge = p.part + p.s.groups * s.packed;
    p.by_step = p.by_edge + (step == BF_EDGE_GATE ? 0 : targets * slots * 2 * (uint64_t)s.pad);
    p.by_target = bf_round_up(p.by_step + targets * slots * 4, 16);
    p.scratch = bf_round_up(p.by_target + targets * 4, 16);
    p.sum = p.scratch + (one_item(ctx) ? 0 : p.s.groups * s.scratch);
    p.total = p.sum + bf_ceil_div(p.sum_bytes, sizeof(float));
    return p;
}

/* ---- the gate ---------------------------------------------------------------------------------------------------- */

static void gate_defines(char *text, size_t size, const bf_ctx *ctx, const bf_edge_list *e)
{
    snprintf(text, size, "-DF=%d -DHEADS=1 -DSLOTS=%d%s", e->width, e->slots, one_item(ctx) ? " -DONE_ITEM" : "");
}

/* Products of the radial code, or of everything behind them in a backward pass. */
static double edge_flops(const bf_edge_list *e, uint64_t targets, int mlps, double codes, double heads)
{
    return 2.0 * (double)targets * e->slots * e->width * mlps * (codes * BF_RADIAL + heads);
}

uint64_t bf_edge_gate_forward_workspace(bf_ctx *ctx, const bf_edge_list *e)
{
    const sizes s = sizes_of(BF_EDGE_GATE, e->width, e->heads, e->slots);

    if (one_item(ctx)) return 0;
    return sizeof(float) * s.scratch * spread_targets(ctx, e->nodes, false).groups;
}

bf_status bf_edge_gate_forward(bf_cmds *c, const bf_edge_list *e, bf_mem gate, bf_mem packed, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    const spread s = spread_targets(bf_cmds_ctx(c), e->nodes, false);
    char defines[80];
    bf_arg args[9] = {bf_arg_mem(gate), bf_arg_mem(ws),     bf_arg_mem(packed),
                      bf_arg_mem(e->x), bf_arg_mem(e->src), bf_arg_mem(e->count)};
    bf_call call = {
        .file = "edge_gate.cl", .kernel = "edge_gate_forward", .defines = defines, .args = args, .n_args = 9};

    BF_TRY(check_edges(e, err));
    gate_defines(defines, sizeof defines, bf_cmds_ctx(c), e);
    call.flops = edge_flops(e, e->nodes, 1, 1, 1);
    BF_TRY(launch(c, &call, args, 6, &s, err));
out:
    return st;
}

uint64_t bf_edge_gate_backward_workspace(bf_ctx *ctx, const bf_edge_list *e)
{
    return sizeof(float) * plan_backward(ctx, e, BF_EDGE_GATE).total;
}

static bf_status gate_sources(bf_cmds *c, const bf_edge_list *e, const backward_plan *p, bf_mem dx, bool acc, bf_mem ws,
                              bf_err *err)
{
    const int chunk = 64;
    char defines[80];
    const bf_arg args[] = {bf_arg_mem(dx),
                           bf_arg_i32(acc),
                           bf_arg_mem(floats_at(ws, p->by_step)),
                           bf_arg_mem(floats_at(ws, p->by_target)),
                           bf_arg_mem(e->rev_offset),
                           bf_arg_mem(e->rev_edge),
                           bf_arg_i32((int32_t)e->nodes),
                           bf_arg_i32(chunk)};
    bf_call call = {.file = "edge_gate.cl",
                    .kernel = "edge_gate_sources",
                    .defines = defines,
                    .args = args,
                    .n_args = BF_COUNT(args)};

    gate_defines(defines, sizeof defines, bf_cmds_ctx(c), e);
    one_launch(&call, bf_cmds_ctx(c), bf_ceil_div(e->nodes, (uint64_t)chunk));
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_edge_gate_backward(bf_cmds *c, const bf_edge_list *e, bf_mem dpacked, bf_mem dx, bool acc_x, bf_mem dgate,
                                bf_mem gate, bf_mem packed, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    char defines[80];

    BF_TRY(check_edges(e, err));
    BF_CHECK(!bf_mem_is_none(ws), BF_USAGE, "edge gate backward: a workspace is needed");
    const backward_plan p = plan_backward(bf_cmds_ctx(c), e, BF_EDGE_GATE);
    bf_arg args[14] = {bf_arg_mem(floats_at(ws, p.part)),
                       bf_arg_mem(floats_at(ws, p.by_step)),
                       bf_arg_mem(floats_at(ws, p.by_target)),
                       bf_arg_mem(floats_at(ws, p.scratch)),
                       bf_arg_mem(dgate),
                       bf_arg_mem(gate),
                       bf_arg_mem(packed),
                       bf_arg_i32(!bf_mem_is_none(dx)),
                       bf_arg_mem(e->x),
                       bf_arg_mem(e->src),
                       bf_arg_mem(e->count)};
    bf_call call = {
        .file = "edge_gate.cl", .kernel = "edge_gate_backward", .defines = defines, .args = args, .n_args = 14};
    gate_defines(defines, sizeof defines, bf_cmds_ctx(c), e);
    call.flops = edge_flops(e, e->nodes, 1, 2, 1);
    BF_TRY(launch(c, &call, args, 11, &p.s, err));
    BF_TRY(bf_sum_mid(c, dpacked, false, 1.0f, floats_at(ws, p.part), 1, p.s.groups,
                      bf_edge_packed_size(BF_EDGE_GATE, e->width, e->heads), floats_at(ws, p.sum), err));
    if (!bf_mem_is_none(dx)) BF_TRY(gate_sources(c, e, &p, dx, acc_x, ws, err));
out:
    return st;
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

static void attention_defines(char *text, size_t size, const bf_ctx *ctx, const bf_edge_list *e, bf_edge_step step)
{
    snprintf(text, size, "-DF=%d -DHEADS=%d -DSLOTS=%d -DPOS=%d%s", e->width, e->heads, e->slots,
             step == BF_EDGE_POSITIONS, one_item(ctx) ? " -DONE_ITEM" : "");
}

/* The arguments that describe the graph (GRAPH_ARGS), up to those that launch() adds. Returns how many. */
static size_t graph_args(bf_arg *args, const bf_edge_list *e, bf_edge_step step)
{
    const bool has_row = !bf_mem_is_none(e->row);
    const bf_arg list[] = {bf_arg_mem(e->x),
                           bf_arg_mem(e->src),
                           bf_arg_mem(e->count),
                           bf_arg_mem(e->row),
                           bf_arg_mem(e->node),
                           bf_arg_i32(has_row),
                           bf_arg_u32((uint32_t)e->pocket),
                           bf_arg_i32(has_row && step == BF_EDGE_POSITIONS)};

    for (size_t i = 0; i < BF_COUNT(list); i++) args[i] = list[i];
    return BF_COUNT(list);
}

static float scale_of(const bf_edge_list *e)
{
    return 1.0f / sqrtf((float)(e->width / e->heads));
}

uint64_t bf_edge_attention_forward_workspace(bf_ctx *ctx, const bf_edge_list *e, bf_edge_step step)
{
    const sizes s = sizes_of(step, e->width, e->heads, e->slots);

    if (one_item(ctx)) return 0;
    return sizeof(float) * s.scratch * spread_targets(ctx, bf_edge_targets(e, step), false).groups;
}

bf_status bf_edge_attention_forward(bf_cmds *c, const bf_edge_list *e, bf_edge_step step, bf_mem out, bf_mem weight,
                                    bf_mem residual, const bf_edge_attention_mem *in, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;
    char defines[80];
    bf_arg args[24] = {bf_arg_mem(out),        bf_arg_mem(weight),
                       bf_arg_mem(ws),         bf_arg_mem(residual),
                       bf_arg_mem(in->query),  bf_arg_mem(in->own),
                       bf_arg_mem(in->source), bf_arg_mem(in->packed),
                       bf_arg_mem(in->gate),   bf_arg_i32(!bf_mem_is_none(weight)),
                       bf_arg_f32(scale_of(e))};

    BF_TRY(check_edges(e, err));
    const spread s = spread_targets(bf_cmds_ctx(c), bf_edge_targets(e, step), false);
    const size_t n = 11 + graph_args(args + 11, e, step);
    bf_call call = {.file = "edge_attention.cl", .kernel = "edge_attention_forward", .defines = defines, .args = args};
    call.n_args = n + 3;
    attention_defines(defines, sizeof defines, bf_cmds_ctx(c), e, step);
    call.flops = edge_flops(e, s.targets, 2, 1, e->heads);
    BF_TRY(launch(c, &call, args, n, &s, err));
out:
    return st;
}

uint64_t bf_edge_attention_backward_workspace(bf_ctx *ctx, const bf_edge_list *e, bf_edge_step step)
{
    return sizeof(float) * plan_backward(ctx, e, step).total;
}

static bf_status attention_sources(bf_cmds *c, const bf_edge_list *e, bf_edge_step step, const backward_plan *p,
                                   const bf_edge_attention_grads *d, bf_mem ws, bf_err *err)
{
    char defines[80];
    const bool has_row = !bf_mem_is_none(e->row);
    const bf_arg args[] = {bf_arg_mem(d->source),
                           bf_arg_i32(d->acc_source),
                           bf_arg_mem(d->x),
                           bf_arg_i32(d->acc_x),
                           bf_arg_i32(!bf_mem_is_none(d->x)),
                           bf_arg_mem(floats_at(ws, p->by_edge)),
                           bf_arg_mem(floats_at(ws, p->by_step)),
                           bf_arg_mem(floats_at(ws, p->by_target)),
                           bf_arg_mem(e->rev_offset),
                           bf_arg_mem(e->rev_edge),
                           bf_arg_mem(e->row),
                           bf_arg_i32(has_row),
                           bf_arg_u32((uint32_t)e->pocket),
                           bf_arg_i32(has_row && step == BF_EDGE_POSITIONS),
                           bf_arg_i32((int32_t)e->nodes),
                           bf_arg_i32(SOURCE_CHUNK)};
    bf_call call = {.file = "edge_attention.cl",
                    .kernel = "edge_attention_sources",
                    .defines = defines,
                    .args = args,
                    .n_args = BF_COUNT(args)};

    attention_defines(defines, sizeof defines, bf_cmds_ctx(c), e, step);
    call.bytes = 8.0 * (double)p->s.targets * e->slots * e->width;
    one_launch(&call, bf_cmds_ctx(c), bf_ceil_div(e->nodes, SOURCE_CHUNK));
    return bf_cmds_kernel(c, &call, err);
}

static bf_status attention_targets(bf_cmds *c, const bf_edge_list *e, bf_edge_step step, const backward_plan *p,
                                   const bf_edge_attention_grads *d, bf_mem dout, bf_mem weight,
                                   const bf_edge_attention_mem *in, bf_mem ws, bf_err *err)
{
    char defines[80];
    bf_arg args[32] = {bf_arg_mem(d->query),
                       bf_arg_i32(d->acc_query),
                       bf_arg_mem(d->own),
                       bf_arg_i32(d->acc_own),
                       bf_arg_mem(d->gate),
                       bf_arg_mem(floats_at(ws, p->part)),
                       bf_arg_mem(floats_at(ws, p->by_edge)),
                       bf_arg_mem(floats_at(ws, p->by_step)),
                       bf_arg_mem(floats_at(ws, p->by_target)),
                       bf_arg_mem(floats_at(ws, p->scratch)),
                       bf_arg_mem(dout),
                       bf_arg_mem(weight),
                       bf_arg_mem(in->query),
                       bf_arg_mem(in->own),
                       bf_arg_mem(in->source),
                       bf_arg_mem(in->packed),
                       bf_arg_mem(in->gate),
                       bf_arg_i32(bf_mem_is_none(d->x) ? 0
                                  : d->pocket_x        ? 2
                                                       : 1),
                       bf_arg_f32(scale_of(e))};
    bf_call call = {.file = "edge_attention.cl", .kernel = "edge_attention_backward", .defines = defines, .args = args};

    const size_t n = 19 + graph_args(args + 19, e, step);
    call.n_args = n + 3;
    attention_defines(defines, sizeof defines, bf_cmds_ctx(c), e, step);
    call.flops = edge_flops(e, p->s.targets, 2, 2, 3.0 * e->heads);
    return launch(c, &call, args, n, &p->s, err);
}

bf_status bf_edge_attention_backward(bf_cmds *c, const bf_edge_list *e, bf_edge_step step,
                                     const bf_edge_attention_grads *d, bf_mem dout, bf_mem weight,
                                     const bf_edge_attention_mem *in, bf_mem ws, bf_err *err)
{
    bf_status st = BF_OK;

    BF_TRY(check_edges(e, err));
    BF_CHECK(!bf_mem_is_none(ws), BF_USAGE, "edge attention backward: a workspace is needed");
    const backward_plan p = plan_backward(bf_cmds_ctx(c), e, step);
    if (!d->acc_gate) BF_TRY(bf_cmds_fill(c, d->gate, 0, e->nodes * (uint64_t)e->slots * sizeof(float), err));
    BF_TRY(attention_targets(c, e, step, &p, d, dout, weight, in, ws, err));
    BF_TRY(bf_sum_mid(c, d->packed, false, 1.0f, floats_at(ws, p.part), 1, p.s.groups,
                      bf_edge_packed_size(step, e->width, e->heads), floats_at(ws, p.sum), err));
    BF_TRY(attention_sources(c, e, step, &p, d, ws, err));
out:
    return st;
}
