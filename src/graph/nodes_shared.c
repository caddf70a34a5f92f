/*
 * Linear layers that share their input: one node for all of one width, its results one behind the other. Parameters of
 * these layers ask for places at equal distances, and then all are one batched product; where the device could not
 * give them such places, each layer is a product of its own.
 */
#include <string.h>

#include "graph/graph.h"
#include "graph/internal.h"

#define MAX_LAYERS 64 /* of one node; more make another */

typedef struct shared_attr {
    uint64_t rows;
    int in, out, layers;
    bf_tid w[MAX_LAYERS], b[MAX_LAYERS];
    bf_tid y[MAX_LAYERS]; /* parts of the node's output */
    bf_tid dw[MAX_LAYERS], db[MAX_LAYERS];
    bool acc_w[MAX_LAYERS], acc_b[MAX_LAYERS];
} shared_attr;

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* The distance in floats between neighbours of a list of tensors: false when it is not always the same. Absent tensors
 * are 0 apart, and all or none are absent. */
static bool distance(const bf_graph *g, const bf_tid *t, int n, uint64_t *floats)
{
    const bf_mem first = bf_graph_mem(g, t[0]);

    *floats = 0;
    for (int i = 1; i < n; i++) {
        const bf_mem m = bf_graph_mem(g, t[i]);
        if (m.buf != first.buf || m.off < first.off) return false;
        if (i == 1) *floats = (m.off - first.off) / sizeof(float);
        if (m.off - first.off != *floats * sizeof(float) * (uint64_t)i) return false;
    }
    return true;
}

static bool same(const bool *x, int n)
{
    for (int i = 1; i < n; i++)
        if (x[i] != x[0]) return false;
    return true;
}

/* With the parameters side by side. */
static bf_linears shape_of(const shared_attr *a, int layers)
{
    const bool several = layers > 1;

    return (bf_linears){.rows = a->rows,
                        .in = a->in,
                        .out = a->out,
                        .layers = layers,
                        .w_stride = several ? (uint64_t)a->in * (uint64_t)a->out : 0,
                        .b_stride = several ? (uint64_t)a->out : 0};
}

/* All layers as one product, or the first of many. */
static bf_linears launch_of(const bf_graph *g, const shared_attr *a)
{
    bf_linears s = shape_of(a, a->layers);
    uint64_t dw, db;

    const bool forward = distance(g, a->w, a->layers, &s.w_stride) && distance(g, a->b, a->layers, &s.b_stride);
    const bool backward = distance(g, a->dw, a->layers, &dw) && distance(g, a->db, a->layers, &db) &&
                          (a->dw[0] < 0 || dw == s.w_stride) && (a->db[0] < 0 || db == s.b_stride) &&
                          same(a->acc_w, a->layers) && same(a->acc_b, a->layers);
    return forward && backward ? s : shape_of(a, 1);
}

static uint64_t shared_workspace(const bf_graph *g, const bf_node *n)
{
    const shared_attr *a = n->attr;
    const bf_linears all = shape_of(a, a->layers), one = shape_of(a, 1);

    return BF_MAX(bf_linears_workspace(g->ctx, &all), bf_linears_workspace(g->ctx, &one));
}

static double shared_flops(const bf_graph *g, const bf_node *n)
{
    const shared_attr *a = n->attr;

    (void)g;
    return 2.0 * (double)a->rows * a->in * a->out * a->layers;
}

static double shared_bwd_flops(const bf_graph *g, const bf_node *n)
{
    const shared_attr *a = n->attr;

    return shared_flops(g, n) * ((n->out[0] >= 0) + (a->dw[0] >= 0));
}

/* Layer l of memory that holds the results of all. */
static bf_mem result_of(const shared_attr *a, bf_mem all, int l)
{
    return bf_mem_at(all, (uint64_t)l * a->rows * (uint64_t)a->out * sizeof(float));
}

/* ---- the node ---------------------------------------------------------------------------------------------------- */

/* in: dy, x; out: dx */
static bf_status shared_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    const shared_attr *a = n->attr;
    const bf_linears s = launch_of(g, a);

    for (int l = 0; l < a->layers; l += s.layers)
        BF_TRY(bf_linears_backward(c, &s, bf_graph_out(g, n, 0), n->acc[0] || l > 0, bf_graph_mem(g, a->dw[l]),
                                   a->acc_w[l], bf_graph_mem(g, a->db[l]), a->acc_b[l],
                                   result_of(a, bf_graph_in(g, n, 0), l), bf_graph_in(g, n, 1),
                                   bf_graph_mem(g, a->w[l]), bf_graph_ws(g, n), err));
out:
    return st;
}

static const bf_node_def shared_bwd_def = {.name = "linear_shared_backward",
                                           .attr_size = sizeof(shared_attr),
                                           .workspace = shared_workspace,
                                           .emit = shared_bwd_emit,
                                           .flops = shared_bwd_flops,
                                           .has_effect = true};

static bf_status shared_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    shared_attr a = *(const shared_attr *)n->attr;
    const bf_tid dy = bf_graph_dout(g, n, 0);
    bool acc;

    (void)err;
    for (int l = 0; l < a.layers; l++) {
        a.dw[l] = bf_graph_grad_place(g, a.w[l], &a.acc_w[l]);
        a.db[l] = bf_graph_grad_place(g, a.b[l], &a.acc_b[l]);
        if (bf_graph_grad_of(g, a.y[l]) < 0) /* a layer that nobody used */
            bf_graph_fill_node(g, bf_graph_grad_place(g, a.y[l], &acc), 0.0f);
    }
    const bf_tid dx = bf_graph_din(g, n, 0, &acc);
    bf_graph_node(g, &shared_bwd_def, &a, 2, (bf_tid[]){dy, n->in[0]}, 1, &dx, &acc);
    return BF_OK;
}

/* in: x, w of the first layer; out: y of all */
static bf_status shared_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    const shared_attr *a = n->attr;
    const bf_linears s = launch_of(g, a);

    for (int l = 0; l < a->layers; l += s.layers)
        BF_TRY(bf_linears_forward(c, &s, result_of(a, bf_graph_out(g, n, 0), l), bf_graph_in(g, n, 0),
                                  bf_graph_mem(g, a->w[l]), bf_graph_mem(g, a->b[l]), bf_graph_ws(g, n), err));
out:
    return st;
}

static const bf_node_def shared_def = {.name = "linear_shared",
                                       .attr_size = sizeof(shared_attr),
                                       .grad = shared_grad,
                                       .workspace = shared_workspace,
                                       .emit = shared_emit,
                                       .flops = shared_flops};

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* The node that takes one more layer of this shape. */
static bf_node *find_node(const bf_graph *g, bf_tid x, int out, bool bias)
{
    for (int k = g->nodes - 1; k >= 0; k--) {
        bf_node *n = &g->node[k];
        if (n->def != &shared_def || n->in[0] != x) continue;
        const shared_attr *a = n->attr;
        if (a->out == out && (a->b[0] >= 0) == bias && a->layers < MAX_LAYERS) return n;
    }
    return NULL;
}

/* Number of the first node of the open block, or of the next node. */
static int block_start(const bf_graph *g)
{
    int first = g->nodes;

    while (g->block != 0 && first > 0 && g->node[first - 1].block == g->block) first--;
    return first;
}

static bool made_since(const bf_graph *g, bf_tid x, int first)
{
    for (int k = first; k < g->nodes; k++)
        for (int i = 0; i < BF_NODE_OUT; i++)
            if (g->node[k].out[i] >= 0 && bf_graph_root(g, g->node[k].out[i]) == bf_graph_root(g, x)) return true;
    return false;
}

/* In front of the open block: later blocks read it too. */
static bf_node *new_node(bf_graph *g, bf_tid x, bf_tid w, int in, int out)
{
    shared_attr a = {.rows = bf_graph_numel(g, x) / (uint64_t)in, .in = in, .out = out};
    const bf_tid y = bf_graph_temp(g, 3, (uint64_t[]){1, a.rows, (uint64_t)out});

    for (int l = 0; l < MAX_LAYERS; l++) a.w[l] = a.b[l] = a.y[l] = a.dw[l] = a.db[l] = BF_NONE;
    bf_graph_node(g, &shared_def, &a, 2, (bf_tid[]){x, w}, 1, &y, NULL);
    if (g->status != BF_OK) return NULL;
    bf_node n = g->node[--g->nodes];
    const int first = block_start(g);
    n.block = 0;
    memmove(&g->node[first + 1], &g->node[first], (size_t)(g->nodes - first) * sizeof n);
    g->node[first] = n;
    g->nodes++;
    return &g->node[first];
}

/* Room for one more layer at the end of the results. */
static bf_tid new_result(bf_graph *g, bf_tid x, bf_tid all, const shared_attr *a)
{
    bf_tensor *t = bf_graph_at(g, all);
    uint64_t dims[BF_MAX_DIMS];
    const int ndim = bf_graph_ndim(g, x);

    t->dims[0] = (uint64_t)a->layers + 1;
    t->numel = t->dims[0] * a->rows * (uint64_t)a->out;
    t->bytes = t->numel * sizeof(float);
    for (int i = 0; i < ndim; i++) dims[i] = bf_graph_dim(g, x, i);
    dims[ndim - 1] = (uint64_t)a->out;
    return bf_graph_part(g, all, (uint64_t)a->layers * a->rows * (uint64_t)a->out, ndim, dims);
}

bf_tid bf_graph_linear_shared(bf_graph *g, bf_tid x, bf_tid w, bf_tid b)
{
    if (g->status != BF_OK || x < 0 || w < 0) return BF_NONE;
    const uint64_t in = bf_graph_dim(g, x, -1), out = bf_graph_dim(g, w, 0);
    const bf_tensor tw = *bf_graph_at(g, w);
    const int features = bf_graph_int(g, in, "linear"), width = bf_graph_int(g, out, "linear");

    if (tw.kind != BF_T_PARAM || tw.numel != in * out || (b >= 0 && bf_graph_numel(g, b) != out))
        return bf_graph_fail(g, BF_USAGE, "linear '%s': rows of %llu features do not fit its shape",
                             tw.name ? tw.name : "", (unsigned long long)in);
    if (made_since(g, x, block_start(g))) return bf_graph_linear(g, x, w, b, BF_ACT_NONE, BF_NONE);
    bf_node *n = find_node(g, x, width, b >= 0);
    if (!n) n = new_node(g, x, w, features, width);
    if (!n) return BF_NONE;
    shared_attr *a = n->attr;
    const bf_tid y = new_result(g, x, n->out[0], a);
    const int l = a->layers++;
    a->w[l] = w;
    a->b[l] = b;
    a->y[l] = y;
    bf_params_follow(g->params, tw.param, g->tensor[a->w[0]].param);
    if (b >= 0) bf_params_follow(g->params, g->tensor[b].param, g->tensor[a->b[0]].param);
    return y;
}
