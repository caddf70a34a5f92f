/* Node kinds of ragged batches: neighbours and their reverse lists. */
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
