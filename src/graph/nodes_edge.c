/* Node kinds of edge attention, and of rows between two arrays and the nodes of a ragged batch. */
#include "graph/graph.h"
#include "graph/internal.h"

/* ---- rows -------------------------------------------------------------------------------------------------------- */

typedef struct rows_attr {
    uint64_t rows, x_rows; /* of the result, of x */
    uint64_t begin, first; /* word of the index where the result begins; index of row 0 of x */
    int cols;
} rows_attr;

static bf_status rows_call(const bf_graph *g, const rows_attr *a, bf_cmds *c, bf_mem y, bool acc, bf_mem x,
                           bf_mem index, bf_err *err)
{
    (void)g;
    return bf_take_rows(c, y, acc, a->rows, x, a->x_rows, bf_mem_at(index, a->begin * sizeof(float)), a->first, a->cols,
                        err);
}

/* in: x, index; out: y[r] (+)= x[index[begin + r] - first] */
static bf_status rows_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return rows_call(g, n->attr, c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), err);
}

static const bf_node_def rows_bwd_def = {
    .name = "take_rows_backward", .attr_size = sizeof(rows_attr), .emit = rows_emit};

static void take_rows(bf_graph *g, const bf_node_def *def, bf_tid y, bool acc, bf_tid x, bf_tid index, uint64_t begin,
                      uint64_t first)
{
    if (g->status != BF_OK || y < 0 || x < 0) return;
    const uint64_t cols = bf_graph_dim(g, x, -1);
    const rows_attr a = {.rows = bf_graph_numel(g, y) / cols,
                         .x_rows = bf_graph_numel(g, x) / cols,
                         .begin = begin,
                         .first = first,
                         .cols = bf_graph_int(g, cols, "rows")};

    bf_graph_node(g, def, &a, 2, (bf_tid[]){x, index}, 1, &y, &acc);
}

/* A result with the columns of x. */
static bf_tid rows_like(bf_graph *g, bf_tid x, uint64_t rows)
{
    return bf_graph_temp(g, 2, (uint64_t[]){rows, bf_graph_dim(g, x, -1)});
}

/* ---- merge_rows -------------------------------------------------------------------------------------------------- */

typedef struct merge_attr {
    uint64_t rows, pocket;
    int cols;
} merge_attr;

/* in: a, b, row, node; out: y */
static bf_status merge_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    const merge_attr *a = n->attr;
    const rows_attr first = {a->rows, a->pocket, 0, 0, a->cols},
                    second = {a->rows, a->rows - a->pocket, 0, a->pocket, a->cols};
    const bf_mem y = bf_graph_out(g, n, 0), row = bf_graph_in(g, n, 2);

    BF_TRY(rows_call(g, &first, c, y, false, bf_graph_in(g, n, 0), row, err));
    BF_TRY(rows_call(g, &second, c, y, true, bf_graph_in(g, n, 1), row, err));
out:
    return st;
}

static bf_status merge_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const merge_attr *a = n->attr;
    const bf_tid dy = bf_graph_dout(g, n, 0);

    (void)err;
    for (int i = 0; i < 2; i++) {
        bool acc;
        const bf_tid d = bf_graph_din(g, n, i, &acc);
        take_rows(g, &rows_bwd_def, d, acc, dy, n->in[3], i == 0 ? 0 : a->pocket, 0);
    }
    return BF_OK;
}

static const bf_node_def merge_def = {
    .name = "merge_rows", .attr_size = sizeof(merge_attr), .grad = merge_grad, .emit = merge_emit};

bf_tid bf_graph_merge_rows(bf_graph *g, const bf_placing *p, bf_tid a, bf_tid b)
{
    if (g->status != BF_OK || b < 0) return BF_NONE;
    if (a < 0 || p->pocket == 0) return b;
    const uint64_t cols = bf_graph_dim(g, b, -1), n = bf_graph_numel(g, p->row);
    const merge_attr attr = {n, p->pocket, bf_graph_int(g, cols, "rows")};
    if (bf_graph_numel(g, a) != p->pocket * cols || bf_graph_numel(g, b) != (n - p->pocket) * cols)
        return bf_graph_fail(g, BF_USAGE, "merge rows: two arrays do not have the rows of %llu nodes",
                             (unsigned long long)n);
    bf_tid y = rows_like(g, b, n);
    bf_graph_node(g, &merge_def, &attr, 4, (bf_tid[]){a, b, p->row, p->node}, 1, &y, NULL);
    return y;
}

/* ---- ligand_rows ------------------------------------------------------------------------------------------------- */

/* in: x, node, row; attr: of the forward direction */
static bf_status ligand_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const rows_attr *a = n->attr;
    bool acc;
    const bf_tid dx = bf_graph_din(g, n, 0, &acc);

    (void)err;
    take_rows(g, &rows_bwd_def, dx, acc, bf_graph_dout(g, n, 0), n->in[2], 0, a->begin);
    return BF_OK;
}

static const bf_node_def ligand_def = {
    .name = "ligand_rows", .attr_size = sizeof(rows_attr), .grad = ligand_grad, .emit = rows_emit};

bf_tid bf_graph_ligand_rows(bf_graph *g, const bf_placing *p, bf_tid x)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    if (p->pocket == 0) return x;
    const uint64_t cols = bf_graph_dim(g, x, -1), n = bf_graph_numel(g, p->row);
    const rows_attr a = {n - p->pocket, n, p->pocket, 0, bf_graph_int(g, cols, "rows")};
    bf_tid y = rows_like(g, x, n - p->pocket);
    bf_graph_node(g, &ligand_def, &a, 3, (bf_tid[]){x, p->node, p->row}, 1, &y, NULL);
    return y;
}

/* ---- add_ligand_rows --------------------------------------------------------------------------------------------- */

/* in: x, d, row, node; out: y */
static bf_status add_rows_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    const merge_attr *a = n->attr;
    const rows_attr rows = {a->rows, a->rows - a->pocket, 0, a->pocket, a->cols};
    const bf_mem y = bf_graph_out(g, n, 0);

    BF_TRY(bf_cmds_copy(c, y, bf_graph_in(g, n, 0), a->rows * (uint64_t)a->cols * sizeof(float), err));
    BF_TRY(rows_call(g, &rows, c, y, true, bf_graph_in(g, n, 1), bf_graph_in(g, n, 2), err));
out:
    return st;
}

static bf_status add_rows_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    const merge_attr *a = n->attr;
    const bf_tid dy = bf_graph_dout(g, n, 0);
    bool acc;
    const bf_tid d = bf_graph_din(g, n, 1, &acc);

    (void)err;
    take_rows(g, &rows_bwd_def, d, acc, dy, n->in[3], a->pocket, 0);
    bf_graph_pass_grad(g, n, 0, dy);
    return BF_OK;
}

static const bf_node_def add_rows_def = {
    .name = "add_ligand_rows", .attr_size = sizeof(merge_attr), .grad = add_rows_grad, .emit = add_rows_emit};

bf_tid bf_graph_add_ligand_rows(bf_graph *g, const bf_placing *p, bf_tid x, bf_tid d)
{
    if (g->status != BF_OK || x < 0 || d < 0) return BF_NONE;
    if (p->pocket == 0) return bf_graph_add(g, x, d);
    const uint64_t cols = bf_graph_dim(g, x, -1), n = bf_graph_numel(g, p->row);
    const merge_attr attr = {n, p->pocket, bf_graph_int(g, cols, "rows")};
    bf_tid y = rows_like(g, x, n);
    bf_graph_node(g, &add_rows_def, &attr, 4, (bf_tid[]){x, d, p->row, p->node}, 1, &y, NULL);
    return y;
}

/* ---- edge_pack: in: 6 parameters of each MLP; out: own_w, source_w, own_b, packed (the gate: packed alone) ------- */

typedef struct pack_attr {
    bf_edge_step step;
    int width, heads, which;
} pack_attr;

/* The packed form among tensors of a node from `first` on. */
static bf_edge_pack pack_at(const bf_graph *g, const bf_tid *t)
{
    return (bf_edge_pack){bf_graph_mem(g, t[0]), bf_graph_mem(g, t[1]), bf_graph_mem(g, t[2]), bf_graph_mem(g, t[3])};
}

/* in: gradients of own_w, source_w, own_b, packed; out: gradients of the 6 parameters of MLP `which` */
static bf_status pack_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const pack_attr *a = n->attr;
    const bf_edge_pack from = pack_at(g, n->in);
    const bf_edge_params d = {bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_out(g, n, 2),
                              bf_graph_out(g, n, 3), bf_graph_out(g, n, 4), bf_graph_out(g, n, 5)};
    int acc = 0;

    for (int i = 0; i < 6; i++) acc |= (int)n->acc[i] << i;
    return bf_edge_unpack_gradients(c, a->step, a->width, a->heads, a->which, &d, acc, &from, err);
}

static const bf_node_def pack_bwd_def = {
    .name = "edge_pack_backward", .attr_size = sizeof(pack_attr), .emit = pack_bwd_emit};

static bf_status pack_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bf_status st = BF_OK;
    pack_attr a = *(const pack_attr *)n->attr;
    const bf_tid from[4] = {bf_graph_dout(g, n, 0), bf_graph_dout(g, n, 1), bf_graph_dout(g, n, 2),
                            bf_graph_dout(g, n, 3)};

    for (a.which = 0; a.which < (a.step == BF_EDGE_GATE ? 1 : 2); a.which++) {
        bf_tid d[6];
        bool acc[6];
        for (int i = 0; i < 6; i++) {
            d[i] = bf_graph_din(g, n, 6 * a.which + i, &acc[i]);
            BF_CHECK(d[i] >= 0, BF_USAGE, "edge MLP: all of its parameters are trained, or none");
        }
        bf_graph_node(g, &pack_bwd_def, &a, 4, from, 6, d, acc);
    }
out:
    return st;
}

static bf_status pack_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const pack_attr *a = n->attr;
    const bf_edge_pack to = pack_at(g, n->out);
    bf_edge_params p[2];

    for (int i = 0; i < 2; i++)
        p[i] =
            (bf_edge_params){bf_graph_in(g, n, 6 * i),     bf_graph_in(g, n, 6 * i + 1), bf_graph_in(g, n, 6 * i + 2),
                             bf_graph_in(g, n, 6 * i + 3), bf_graph_in(g, n, 6 * i + 4), bf_graph_in(g, n, 6 * i + 5)};
    return bf_edge_pack_weights(c, a->step, a->width, a->heads, &to, p, err);
}

static const bf_node_def pack_def = {
    .name = "edge_pack", .attr_size = sizeof(pack_attr), .grad = pack_grad, .emit = pack_emit};

/* Do the parameters have the shapes of the step? */
static bool mlp_fits(const bf_graph *g, bf_edge_step step, int width, int heads, int which, const bf_edge_mlp *m)
{
    const uint64_t w = (uint64_t)width, in = step == BF_EDGE_GATE ? BF_RADIAL : BF_EDGE_KINDS * (BF_RADIAL + 1) + 2 * w;
    const uint64_t out = step == BF_EDGE_GATE ? 1 : step == BF_EDGE_POSITIONS && which == 1 ? (uint64_t)heads : w;
    const uint64_t want[6] = {w * in, w, w, w, out * w, out};

    for (int i = 0; i < 6; i++)
        if (bf_graph_numel(g, m->p[i]) != want[i]) return false;
    return true;
}

/* t: the four results */
static void pack(bf_graph *g, bf_edge_step step, int width, int heads, const bf_edge_mlp *mlp, bf_tid t[4])
{
    const bool gate = step == BF_EDGE_GATE;
    const uint64_t w = (uint64_t)width, pad = 2 * bf_round_up(w, 16);
    const pack_attr a = {.step = step, .width = width, .heads = heads};
    bf_tid in[12];

    for (int i = 0; i < 4; i++) t[i] = BF_NONE;
    if (g->status != BF_OK) return;
    if (width < 1 || width > BF_EDGE_WIDTH || heads < 1 || width % heads != 0) {
        bf_graph_fail(g, BF_USAGE, "edge attention: %d features in %d heads; 1 to %d features are possible", width,
                      heads, BF_EDGE_WIDTH);
        return;
    }
    for (int i = 0; i < (gate ? 1 : 2); i++) {
        if (!mlp_fits(g, step, width, heads, i, &mlp[i])) {
            bf_graph_fail(g, BF_USAGE, "edge MLP: its parameters do not fit %d features in %d heads", width, heads);
            return;
        }
        for (int k = 0; k < 6; k++) in[6 * i + k] = mlp[i].p[k];
    }
    if (!gate) {
        t[0] = bf_graph_temp(g, 2, (uint64_t[]){pad, w});
        t[1] = bf_graph_temp(g, 2, (uint64_t[]){pad, w});
        t[2] = bf_graph_temp(g, 1, &pad);
    }
    t[3] = bf_graph_temp(g, 1, (uint64_t[]){bf_edge_packed_size(step, width, heads)});
    for (int i = 0; i < 4; i++)
        if (t[i] >= 0) bf_graph_exact(g, t[i]);
    bf_graph_node(g, &pack_def, &a, gate ? 6 : 12, in, 4, t, NULL);
}

/* ---- what both attention and gate have --------------------------------------------------------------------------- */

typedef struct edge_attr {
    bf_edge_step step;
    uint64_t nodes, pocket;
    int slots, width, heads;
    bool pocket_gradient;
} edge_attr;

#define LIST_INPUTS 7 /* x, src, count, rev_offset, rev_edge, row, node */

static edge_attr attr_of(const bf_graph *g, const bf_edge_graph *e, bf_edge_step step)
{
    return (edge_attr){.step = step,
                       .nodes = bf_graph_numel(g, e->edges.count),
                       .pocket = e->placing.pocket,
                       .slots = e->edges.slots,
                       .width = e->width,
                       .heads = e->heads,
                       .pocket_gradient = e->pocket_gradient};
}

static void list_inputs(bf_tid *in, const bf_edge_graph *e, bf_tid x)
{
    const bf_tid list[LIST_INPUTS] = {
        x, e->edges.src, e->edges.count, e->edges.rev_offset, e->edges.rev_edge, e->placing.row, e->placing.node};

    for (int i = 0; i < LIST_INPUTS; i++) in[i] = list[i];
}

/* Without memory: for workspaces. */
static bf_edge_list list_shape(const edge_attr *a)
{
    return (bf_edge_list){
        .nodes = a->nodes, .pocket = a->pocket, .slots = a->slots, .width = a->width, .heads = a->heads};
}

/* The list among the inputs of a node from `first` on. */
static bf_edge_list list_of(const bf_graph *g, const bf_node *n, int first)
{
    bf_edge_list e = list_shape(n->attr);

    e.x = bf_graph_in(g, n, first);
    e.src = bf_graph_in(g, n, first + 1);
    e.count = bf_graph_in(g, n, first + 2);
    e.rev_offset = bf_graph_in(g, n, first + 3);
    e.rev_edge = bf_graph_in(g, n, first + 4);
    e.row = bf_graph_in(g, n, first + 5);
    e.node = bf_graph_in(g, n, first + 6);
    return e;
}

/* ---- edge_gate: in: packed, then the list; out: gate ------------------------------------------------------------- */

static uint64_t gate_bwd_workspace(const bf_graph *g, const bf_node *n)
{
    const bf_edge_list e = list_shape(n->attr);

    return bf_edge_gate_backward_workspace(g->ctx, &e);
}

/* in: dgate, gate, packed, then the list; out: dpacked, dx */
static bf_status gate_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_edge_list e = list_of(g, n, 3);

    return bf_edge_gate_backward(c, &e, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), n->acc[1], bf_graph_in(g, n, 0),
                                 bf_graph_in(g, n, 1), bf_graph_in(g, n, 2), bf_graph_ws(g, n), err);
}

static const bf_node_def gate_bwd_def = {.name = "edge_gate_backward",
                                         .attr_size = sizeof(edge_attr),
                                         .workspace = gate_bwd_workspace,
                                         .emit = gate_bwd_emit};

static bf_status gate_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tid in[3 + LIST_INPUTS] = {bf_graph_dout(g, n, 0), n->out[0], n->in[0]}, out[2];
    bool acc[2];

    for (int i = 0; i < LIST_INPUTS; i++) in[3 + i] = n->in[1 + i];
    for (int i = 0; i < 2; i++) out[i] = bf_graph_din(g, n, i, &acc[i]);
    BF_CHECK(out[0] >= 0 && !acc[0], BF_USAGE, "edge gate: its packed weights have one reader");
    bf_graph_node(g, &gate_bwd_def, n->attr, 3 + LIST_INPUTS, in, 2, out, acc);
out:
    return st;
}

static uint64_t gate_workspace(const bf_graph *g, const bf_node *n)
{
    const bf_edge_list e = list_shape(n->attr);

    return bf_edge_gate_forward_workspace(g->ctx, &e);
}

static bf_status gate_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_edge_list e = list_of(g, n, 1);

    return bf_edge_gate_forward(c, &e, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_ws(g, n), err);
}

static const bf_node_def gate_def = {.name = "edge_gate",
                                     .attr_size = sizeof(edge_attr),
                                     .grad = gate_grad,
                                     .workspace = gate_workspace,
                                     .emit = gate_emit};

bf_tid bf_graph_edge_gate(bf_graph *g, const bf_edge_graph *e, bf_tid x, const bf_edge_mlp *mlp)
{
    bf_tid t[4], in[1 + LIST_INPUTS];

    pack(g, BF_EDGE_GATE, e->width, 1, mlp, t);
    if (g->status != BF_OK) return BF_NONE;
    const edge_attr a = attr_of(g, e, BF_EDGE_GATE);
    in[0] = t[3];
    list_inputs(in + 1, e, x);
    bf_tid y = bf_graph_temp(g, 2, (uint64_t[]){a.nodes, (uint64_t)a.slots});
    bf_graph_node(g, &gate_def, &a, 1 + LIST_INPUTS, in, 1, &y, NULL);
    return y;
}

/* ---- edge_attention: in: query, own, source, packed, gate, residual, then the list; out: out, weight ------------- */

#define FIRST_LIST 6

static uint64_t attention_bwd_workspace(const bf_graph *g, const bf_node *n)
{
    const edge_attr *a = n->attr;
    const bf_edge_list e = list_shape(a);

    return bf_edge_attention_backward_workspace(g->ctx, &e, a->step);
}

/* in: dout, weight, query, own, source, packed, gate, then the list; out: gradients of query, own, source, packed,
 * gate,
 * x */
static bf_status attention_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const edge_attr *a = n->attr;
    const bf_edge_list e = list_of(g, n, 7);
    const bf_edge_attention_mem in = {bf_graph_in(g, n, 2), bf_graph_in(g, n, 3), bf_graph_in(g, n, 4),
                                      bf_graph_in(g, n, 5), bf_graph_in(g, n, 6)};
    const bf_edge_attention_grads d = {.query = bf_graph_out(g, n, 0),
                                       .own = bf_graph_out(g, n, 1),
                                       .source = bf_graph_out(g, n, 2),
                                       .packed = bf_graph_out(g, n, 3),
                                       .gate = bf_graph_out(g, n, 4),
                                       .x = bf_graph_out(g, n, 5),
                                       .acc_query = n->acc[0],
                                       .acc_own = n->acc[1],
                                       .acc_source = n->acc[2],
                                       .acc_gate = n->acc[4],
                                       .acc_x = n->acc[5],
                                       .pocket_x = a->pocket_gradient};

    return bf_edge_attention_backward(c, &e, a->step, &d, bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), &in,
                                      bf_graph_ws(g, n), err);
}

/* Multiply-adds of an edge: the radial code and `heads` columns of a head for each feature of both MLPs. */
static double attention_cost(const edge_attr *a, double codes, double heads)
{
    const double targets = (double)(a->step == BF_EDGE_POSITIONS ? a->nodes - a->pocket : a->nodes);

    return 4.0 * targets * a->slots * a->width * (codes * BF_RADIAL + heads * a->heads);
}

static double attention_bwd_flops(const bf_graph *g, const bf_node *n)
{
    (void)g;
    return attention_cost(n->attr, 2, 2);
}

static const bf_node_def attention_bwd_def = {.name = "edge_attention_backward",
                                              .attr_size = sizeof(edge_attr),
                                              .workspace = attention_bwd_workspace,
                                              .emit = attention_bwd_emit,
                                              .flops = attention_bwd_flops};

static bf_status attention_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tid in[7 + LIST_INPUTS] = {bf_graph_dout(g, n, 0), n->out[1]}, out[6];
    bool acc[6];

    BF_CHECK(n->out[1] >= 0, BF_USAGE, "edge attention: gradients need a graph made for training");
    for (int i = 0; i < 5; i++) in[2 + i] = n->in[i];
    for (int i = 0; i < LIST_INPUTS; i++) in[7 + i] = n->in[FIRST_LIST + i];
    for (int i = 0; i < 5; i++) {
        out[i] = bf_graph_din(g, n, i, &acc[i]);
        BF_CHECK(out[i] >= 0, BF_USAGE, "edge attention: all of its inputs have a gradient, or none");
    }
    BF_CHECK(!acc[3], BF_USAGE, "edge attention: its packed weights have one reader");
    out[5] = bf_graph_din(g, n, FIRST_LIST, &acc[5]);
    bf_graph_node(g, &attention_bwd_def, n->attr, 7 + LIST_INPUTS, in, 6, out, acc);
    bf_graph_pass_grad(g, n, 5, bf_graph_dout(g, n, 0));
out:
    return st;
}

static uint64_t attention_workspace(const bf_graph *g, const bf_node *n)
{
    const edge_attr *a = n->attr;
    const bf_edge_list e = list_shape(a);

    return bf_edge_attention_forward_workspace(g->ctx, &e, a->step);
}

static bf_status attention_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const edge_attr *a = n->attr;
    const bf_edge_list e = list_of(g, n, FIRST_LIST);
    const bf_edge_attention_mem in = {bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), bf_graph_in(g, n, 2),
                                      bf_graph_in(g, n, 3), bf_graph_in(g, n, 4)};

    return bf_edge_attention_forward(c, &e, a->step, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_in(g, n, 5),
                                     &in, bf_graph_ws(g, n), err);
}

static double attention_flops(const bf_graph *g, const bf_node *n)
{
    (void)g;
    return attention_cost(n->attr, 1, 1);
}

static const bf_node_def attention_def = {.name = "edge_attention",
                                          .attr_size = sizeof(edge_attr),
                                          .grad = attention_grad,
                                          .workspace = attention_workspace,
                                          .emit = attention_emit,
                                          .flops = attention_flops};

static bf_tid attention(bf_graph *g, const bf_edge_graph *e, bf_edge_step step, bf_tid x, bf_tid gate, bf_tid h,
                        bf_tid own, bf_tid query, bf_tid residual, const bf_edge_mlp mlp[2])
{
    bf_tid t[4], in[FIRST_LIST + LIST_INPUTS], out[2] = {BF_NONE, BF_NONE};

    pack(g, step, e->width, e->heads, mlp, t);
    if (g->status != BF_OK || own < 0 || query < 0) return BF_NONE;
    const edge_attr a = attr_of(g, e, step);
    const uint64_t targets = bf_graph_numel(g, own) / (uint64_t)e->width;
    const bf_edge_list shape = list_shape(&a);
    if (targets != bf_edge_targets(&shape, step) || bf_graph_numel(g, query) != bf_graph_numel(g, own))
        return bf_graph_fail(g, BF_USAGE, "edge attention: %llu targets of %llu nodes", (unsigned long long)targets,
                             (unsigned long long)a.nodes);
    in[0] = query;
    in[1] = bf_graph_linear(g, own, t[0], t[2], BF_ACT_NONE, BF_NONE);
    in[2] = bf_graph_linear(g, h, t[1], BF_NONE, BF_ACT_NONE, BF_NONE);
    in[3] = t[3];
    in[4] = gate;
    in[5] = residual;
    list_inputs(in + FIRST_LIST, e, x);
    out[0] = bf_graph_temp(g, 2, (uint64_t[]){targets, step == BF_EDGE_POSITIONS ? 3 : (uint64_t)e->width});
    if (bf_graph_training(g))
        out[1] = bf_graph_temp(g, 3, (uint64_t[]){targets, (uint64_t)a.slots, bf_round_up((uint64_t)e->heads, 16)});
    bf_graph_node(g, &attention_def, &a, FIRST_LIST + LIST_INPUTS, in, 2, out, NULL);
    return out[0];
}

bf_tid bf_graph_edge_features(bf_graph *g, const bf_edge_graph *e, bf_tid x, bf_tid gate, bf_tid h, bf_tid query,
                              const bf_edge_mlp mlp[2])
{
    return attention(g, e, BF_EDGE_FEATURES, x, gate, h, h, query, h, mlp);
}

bf_tid bf_graph_edge_positions(bf_graph *g, const bf_edge_graph *e, bf_tid x, bf_tid gate, bf_tid h, bf_tid own,
                               bf_tid query, const bf_edge_mlp mlp[2])
{
    return attention(g, e, BF_EDGE_POSITIONS, x, gate, h, own, query, BF_NONE, mlp);
}
