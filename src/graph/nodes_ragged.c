/* Node kinds of ragged batches: neighbours, gather, sums over segments, lengths of edges and their code. */
#include "graph/graph.h"
#include "graph/internal.h"

/* Words are compared, never rounded. */
static bf_tid words(bf_graph *g, uint64_t n)
{
    bf_tid t = bf_graph_temp(g, 1, &n);

    bf_graph_exact(g, t);
    return t;
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* in: x or src, then offset, segment; attr: k */
static bf_neighbours neighbours_of(const bf_graph *g, const bf_node *n)
{
    return (bf_neighbours){.items = bf_graph_numel(g, n->in[2]),
                           .segments = bf_graph_numel(g, n->in[1]) - 1,
                           .k = *(const int *)n->attr,
                           .offset = bf_graph_in(g, n, 1),
                           .segment = bf_graph_in(g, n, 2)};
}

static uint64_t neighbours_workspace(const bf_graph *g, const bf_node *n)
{
    const bf_neighbours s = {.items = bf_graph_numel(g, n->in[2])};

    return bf_neighbours_workspace(&s);
}

/* in: x, offset, segment; out: src, count */
static bf_status neighbours_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_neighbours s = neighbours_of(g, n);

    return bf_neighbours_find(c, &s, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_in(g, n, 0),
                              bf_graph_ws(g, n), err);
}

static const bf_node_def neighbours_def = {
    .name = "neighbours", .attr_size = sizeof(int), .workspace = neighbours_workspace, .emit = neighbours_emit};

/* in: src, offset, segment, count; out: rev_offset, rev_edge */
static bf_status reverse_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_neighbours s = neighbours_of(g, n);

    return bf_neighbours_reverse(c, &s, bf_graph_out(g, n, 0), bf_graph_out(g, n, 1), bf_graph_in(g, n, 0),
                                 bf_graph_in(g, n, 3), bf_graph_ws(g, n), err);
}

static const bf_node_def reverse_def = {
    .name = "neighbours_reverse", .attr_size = sizeof(int), .workspace = neighbours_workspace, .emit = reverse_emit};

bf_edges bf_graph_neighbours(bf_graph *g, bf_tid x, const bf_ragged *batch, int k)
{
    const bf_edges none = {BF_NONE, BF_NONE, BF_NONE, BF_NONE, 0};

    if (g->status != BF_OK || x < 0) return none;
    const uint64_t n = bf_graph_numel(g, batch->segment), slots = (uint64_t)(k > 0 ? k : 0) + 1;
    if (bf_graph_numel(g, x) != 3 * n) {
        bf_graph_fail(g, BF_USAGE, "neighbours: %llu coordinates of %llu items",
                      (unsigned long long)bf_graph_numel(g, x), (unsigned long long)n);
        return none;
    }
    const bf_edges e = {words(g, n * slots), words(g, n), words(g, n + 1), words(g, n * slots), (int)slots};
    bf_graph_node(g, &neighbours_def, &k, 3, (bf_tid[]){x, batch->offset, batch->segment}, 2,
                  (bf_tid[]){e.src, e.count}, NULL);
    bf_graph_node(g, &reverse_def, &k, 4, (bf_tid[]){e.src, batch->offset, batch->segment, e.count}, 2,
                  (bf_tid[]){e.rev_offset, e.rev_edge}, NULL);
    return e;
}

/* ---- gather: in: x, index; out: y -------------------------------------------------------------------------------- */

/* Numbers in a row of t: [rows, ...] */
static uint64_t row_length(const bf_graph *g, bf_tid t)
{
    return bf_graph_numel(g, t) / bf_graph_dim(g, t, 0);
}

/* The shape of t with another number of rows. */
static bf_tid with_rows(bf_graph *g, bf_tid t, uint64_t rows)
{
    bf_tensor shape = *bf_graph_at(g, t);

    shape.dims[0] = rows;
    return bf_graph_temp(g, shape.ndim, shape.dims);
}

/* attr of the nodes over lists. What only backward reads stands here and not in the inputs of a forward node: a graph
 * without backward need not make it. */
typedef struct list_attr {
    int cols;
    bool mean;
    bf_tid offset, entry; /* of gather: the rows that take from a row of x */
} list_attr;

/* in: x, index, and of a mean offset; out: y */
static bf_status gather_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const list_attr *a = n->attr;

    return bf_gather(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                     a->mean ? bf_graph_in(g, n, 2) : BF_MEM_NONE, bf_graph_numel(g, n->in[1]), a->cols, err);
}

/* in: x, offset, entry; out: y */
static bf_status segment_sum_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const list_attr *a = n->attr;

    return bf_segment_sum(c, bf_graph_out(g, n, 0), n->acc[0], a->mean, bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                          bf_graph_in(g, n, 2), bf_graph_numel(g, n->in[1]) - 1, a->cols, err);
}

static const bf_node_def gather_bwd_def = {
    .name = "gather_backward", .attr_size = sizeof(list_attr), .emit = segment_sum_emit};

static bf_status gather_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);
    const list_attr *a = n->attr;
    const bf_tid in[3] = {bf_graph_dout(g, n, 0), a->offset, a->entry};

    (void)err;
    if (dx >= 0) bf_graph_node(g, &gather_bwd_def, a, 3, in, 1, &dx, &acc);
    return BF_OK;
}

static const bf_node_def gather_def = {
    .name = "gather", .attr_size = sizeof(list_attr), .grad = gather_grad, .emit = gather_emit};

bf_tid bf_graph_gather(bf_graph *g, bf_tid x, bf_tid index, bf_tid offset, bf_tid entry)
{
    if (g->status != BF_OK || x < 0 || index < 0) return BF_NONE;
    const uint64_t rows = bf_graph_numel(g, index), lists = bf_graph_dim(g, x, 0);
    const list_attr a = {bf_graph_int(g, row_length(g, x), "gather"), false, offset, entry};
    if (offset < 0 && bf_graph_training(g)) return bf_graph_fail(g, BF_USAGE, "gather: no lists for the gradient");
    if (offset >= 0 && bf_graph_numel(g, offset) != lists + 1)
        return bf_graph_fail(g, BF_USAGE, "gather: lists of %llu rows for %llu", (unsigned long long)lists,
                             (unsigned long long)bf_graph_numel(g, offset) - 1);
    bf_tid y = with_rows(g, x, rows);
    bf_graph_node(g, &gather_def, &a, 2, (bf_tid[]){x, index}, 1, &y, NULL);
    return y;
}

/* ---- sums over segments: in: x, offset, none, segment; out: y ---------------------------------------------------- */

static const bf_node_def segment_sum_bwd_def = {
    .name = "segment_sum_backward", .attr_size = sizeof(list_attr), .emit = gather_emit};

static bf_status segment_sum_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[3] = {bf_graph_dout(g, n, 0), n->in[3], n->in[1]};

    (void)err;
    if (dx >= 0) bf_graph_node(g, &segment_sum_bwd_def, n->attr, 3, in, 1, &dx, &acc);
    return BF_OK;
}

static const bf_node_def segment_sum_def = {
    .name = "segment_sum", .attr_size = sizeof(list_attr), .grad = segment_sum_grad, .emit = segment_sum_emit};

/* Whether x has a row for each item; sticks an error when not. */
static bool has_rows(bf_graph *g, const char *what, bf_tid x, const bf_ragged *batch)
{
    if (g->status != BF_OK || x < 0) return false;
    const uint64_t rows = bf_graph_dim(g, x, 0), items = bf_graph_numel(g, batch->segment);
    if (rows != items)
        bf_graph_fail(g, BF_USAGE, "%s: %llu rows for %llu items", what, (unsigned long long)rows,
                      (unsigned long long)items);
    return rows == items;
}

static bf_tid segment_fold(bf_graph *g, const char *what, bf_tid x, const bf_ragged *batch, bool mean)
{
    if (!has_rows(g, what, x, batch)) return BF_NONE;
    const list_attr a = {bf_graph_int(g, row_length(g, x), what), mean, BF_NONE, BF_NONE};
    bf_tid y = with_rows(g, x, bf_graph_numel(g, batch->offset) - 1);
    bf_graph_node(g, &segment_sum_def, &a, 4, (bf_tid[]){x, batch->offset, BF_NONE, batch->segment}, 1, &y, NULL);
    return y;
}

bf_tid bf_graph_segment_sum(bf_graph *g, bf_tid x, const bf_ragged *batch)
{
    return segment_fold(g, "segment sum", x, batch, false);
}

bf_tid bf_graph_segment_mean(bf_graph *g, bf_tid x, const bf_ragged *batch)
{
    return segment_fold(g, "segment mean", x, batch, true);
}

/* ---- softmax over segments: in: x, offset; out: y ---------------------------------------------------------------- */

/* in: dy, y, offset; out: dx */
static bf_status segment_softmax_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const list_attr *a = n->attr;

    return bf_segment_softmax_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                                       bf_graph_in(g, n, 2), bf_graph_numel(g, n->in[2]) - 1, a->cols, err);
}

static const bf_node_def segment_softmax_bwd_def = {
    .name = "segment_softmax_backward", .attr_size = sizeof(list_attr), .emit = segment_softmax_bwd_emit};

static bf_status segment_softmax_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[3] = {bf_graph_dout(g, n, 0), n->out[0], n->in[1]};

    (void)err;
    if (dx >= 0) bf_graph_node(g, &segment_softmax_bwd_def, n->attr, 3, in, 1, &dx, &acc);
    return BF_OK;
}

static bf_status segment_softmax_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const list_attr *a = n->attr;

    return bf_segment_softmax_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                                      bf_graph_numel(g, n->in[1]) - 1, a->cols, err);
}

static const bf_node_def segment_softmax_def = {.name = "segment_softmax",
                                                .attr_size = sizeof(list_attr),
                                                .grad = segment_softmax_grad,
                                                .emit = segment_softmax_emit};

bf_tid bf_graph_segment_softmax(bf_graph *g, bf_tid x, const bf_ragged *batch)
{
    if (!has_rows(g, "segment softmax", x, batch)) return BF_NONE;
    const list_attr a = {bf_graph_int(g, row_length(g, x), "segment softmax"), false, BF_NONE, BF_NONE};
    bf_tid y = with_rows(g, x, bf_graph_dim(g, x, 0));
    bf_graph_node(g, &segment_softmax_def, &a, 2, (bf_tid[]){x, batch->offset}, 1, &y, NULL);
    return y;
}

/* ---- centre: in: x, weight, offset; out: y ----------------------------------------------------------------------- */

/* in: dy, weight, offset; out: dx */
static bf_status centre_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const list_attr *a = n->attr;

    return bf_segment_centre_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                                      bf_graph_in(g, n, 2), bf_graph_numel(g, n->in[2]) - 1, a->cols, err);
}

static const bf_node_def centre_bwd_def = {
    .name = "segment_centre_backward", .attr_size = sizeof(list_attr), .emit = centre_bwd_emit};

static bf_status centre_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[3] = {bf_graph_dout(g, n, 0), n->in[1], n->in[2]};

    (void)err;
    if (dx >= 0) bf_graph_node(g, &centre_bwd_def, n->attr, 3, in, 1, &dx, &acc);
    return BF_OK;
}

static bf_status centre_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const list_attr *a = n->attr;

    return bf_segment_centre_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                                     bf_graph_in(g, n, 2), bf_graph_numel(g, n->in[2]) - 1, a->cols, err);
}

static const bf_node_def centre_def = {
    .name = "segment_centre", .attr_size = sizeof(list_attr), .grad = centre_grad, .emit = centre_emit};

bf_tid bf_graph_segment_centre(bf_graph *g, bf_tid x, bf_tid weight, const bf_ragged *batch)
{
    if (!has_rows(g, "segment centre", x, batch)) return BF_NONE;
    if (weight >= 0 && bf_graph_numel(g, weight) != bf_graph_dim(g, x, 0))
        return bf_graph_fail(g, BF_USAGE, "segment centre: %llu weights for %llu items",
                             (unsigned long long)bf_graph_numel(g, weight), (unsigned long long)bf_graph_dim(g, x, 0));
    const list_attr a = {bf_graph_int(g, row_length(g, x), "segment centre"), false, BF_NONE, BF_NONE};
    bf_tid y = with_rows(g, x, bf_graph_dim(g, x, 0));
    bf_graph_node(g, &centre_def, &a, 3, (bf_tid[]){x, weight, batch->offset}, 1, &y, NULL);
    return y;
}

/* ---- edge_length: in: x, src; out: d ----------------------------------------------------------------------------- */

/* in: dd, d, x, src, rev_offset, rev_edge; out: dx; attr: bf_edges */
static bf_status edge_length_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_edges *e = n->attr;

    return bf_edge_length_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                                   bf_graph_in(g, n, 2), bf_graph_in(g, n, 3), bf_graph_in(g, n, 4),
                                   bf_graph_in(g, n, 5), bf_graph_numel(g, e->count), e->slots, err);
}

static const bf_node_def edge_length_bwd_def = {
    .name = "edge_length_backward", .attr_size = sizeof(bf_edges), .emit = edge_length_bwd_emit};

static bf_status edge_length_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dx = bf_graph_din(g, n, 0, &acc);
    const bf_edges *e = n->attr;
    const bf_tid in[6] = {bf_graph_dout(g, n, 0), n->out[0], n->in[0], n->in[1], e->rev_offset, e->rev_edge};

    (void)err;
    if (dx >= 0) bf_graph_node(g, &edge_length_bwd_def, e, 6, in, 1, &dx, &acc);
    return BF_OK;
}

static bf_status edge_length_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const bf_edges *e = n->attr;

    return bf_edge_length_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                                  bf_graph_numel(g, e->count), e->slots, err);
}

static const bf_node_def edge_length_def = {
    .name = "edge_length", .attr_size = sizeof(bf_edges), .grad = edge_length_grad, .emit = edge_length_emit};

bf_tid bf_graph_edge_length(bf_graph *g, bf_tid x, const bf_edges *edges)
{
    if (g->status != BF_OK || x < 0) return BF_NONE;
    const uint64_t items = bf_graph_numel(g, edges->count);
    if (bf_graph_numel(g, x) != 3 * items)
        return bf_graph_fail(g, BF_USAGE, "edge lengths: %llu coordinates of %llu items",
                             (unsigned long long)bf_graph_numel(g, x), (unsigned long long)items);
    bf_tid d = bf_graph_temp(g, 1, (uint64_t[]){items * (uint64_t)edges->slots});
    bf_graph_node(g, &edge_length_def, edges, 2, (bf_tid[]){x, edges->src}, 1, &d, NULL);
    return d;
}

/* ---- radial: in: d, offsets; out: y ------------------------------------------------------------------------------ */

typedef struct radial_attr {
    float scale;
    bool exponent;
} radial_attr;

/* in: dy, y, d, offsets; out: dd */
static bf_status radial_bwd_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const radial_attr *a = n->attr;

    return bf_radial_backward(c, bf_graph_out(g, n, 0), n->acc[0], bf_graph_in(g, n, 0), bf_graph_in(g, n, 1),
                              bf_graph_in(g, n, 2), bf_graph_in(g, n, 3), a->scale, a->exponent,
                              bf_graph_numel(g, n->in[2]), (int)bf_graph_numel(g, n->in[3]), err);
}

static const bf_node_def radial_bwd_def = {
    .name = "radial_backward", .attr_size = sizeof(radial_attr), .emit = radial_bwd_emit};

static bf_status radial_grad(bf_graph *g, const bf_node *n, bf_err *err)
{
    bool acc;
    bf_tid dd = bf_graph_din(g, n, 0, &acc);
    const bf_tid in[4] = {bf_graph_dout(g, n, 0), n->out[0], n->in[0], n->in[1]};

    (void)err;
    if (dd >= 0) bf_graph_node(g, &radial_bwd_def, n->attr, 4, in, 1, &dd, &acc);
    return BF_OK;
}

static bf_status radial_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const radial_attr *a = n->attr;

    return bf_radial_forward(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_in(g, n, 1), a->scale,
                             a->exponent, bf_graph_numel(g, n->in[0]), (int)bf_graph_numel(g, n->in[1]), err);
}

static const bf_node_def radial_def = {
    .name = "radial", .attr_size = sizeof(radial_attr), .grad = radial_grad, .emit = radial_emit};

bf_tid bf_graph_radial(bf_graph *g, bf_tid d, bf_tid offsets, float scale, bool exponent)
{
    if (g->status != BF_OK || d < 0 || offsets < 0) return BF_NONE;
    const radial_attr a = {scale, exponent};
    bf_tid y = bf_graph_temp(g, 2, (uint64_t[]){bf_graph_numel(g, d), bf_graph_numel(g, offsets)});
    bf_graph_int(g, bf_graph_numel(g, offsets), "radial functions");
    bf_graph_node(g, &radial_def, &a, 2, (bf_tid[]){d, offsets}, 1, &y, NULL);
    return y;
}
