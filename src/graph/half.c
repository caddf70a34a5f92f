/*
 * Activations stored as halves. What the gradient nodes read of the forward pass is rounded to halves behind its last
 * reader there and made floats again in front of its readers in the backward pass. Arithmetic, weights and gradients
 * stay floats, so that nothing can vanish as a gradient in halves would: no scaling of the loss is needed. The forward
 * pass and so the loss are those of a graph without; gradients carry the rounding of the activations, 2^-11 of each.
 *
 * Small tensors and those marked exact (statistics of norms, log-sum-exp of attention) stay as they are.
 */
#include <stdlib.h>

#include "graph/graph.h"
#include "graph/internal.h"

#define SMALLEST 4096 /* elements; a smaller one is not worth two launches */
#define FAR 16        /* nodes between two readers from which on the floats are made again rather than kept */

/* ---- node kinds -------------------------------------------------------------------------------------------------- */

static bf_status pack_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_half_pack(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_numel(g, n->in[0]), err);
}

static const bf_node_def pack_def = {.name = "half_pack", .emit = pack_emit};

static bf_status unpack_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    return bf_half_unpack(c, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), bf_graph_numel(g, n->out[0]), err);
}

static const bf_node_def unpack_def = {.name = "half_unpack", .emit = unpack_emit};

void bf_graph_exact(bf_graph *g, bf_tid t)
{
    if (g->status == BF_OK && t >= 0) g->tensor[t].exact = true;
}

/* ---- which tensors ----------------------------------------------------------------------------------------------- */

/* Of a root; BF_NONE and -1 where there is none. */
typedef struct saved {
    int last;            /* forward node that touches it last */
    bool read, written;  /* by gradient nodes */
    bf_tid half, floats; /* where it waits; the floats that were made of it last */
    int reader;          /* gradient node that read these last */
} saved;

static void look(const bf_graph *g, saved *s, bf_tid t, int k, bool writes)
{
    if (t < 0) return;
    saved *r = &s[g->tensor[t].root];
    if (k < g->forward_nodes)
        r->last = k;
    else if (writes)
        r->written = true;
    else
        r->read = true;
}

/* Those that the forward pass makes and gradient nodes only read. */
static bool worth_storing(const bf_graph *g, const saved *s, bf_tid t)
{
    const bf_tensor *r = bf_graph_at(g, t);

    return r->root == t && r->kind == BF_T_TEMP && !r->keep && !r->exact && r->numel >= SMALLEST && s[t].last >= 0 &&
           s[t].read && !s[t].written;
}

/* ---- the new list ------------------------------------------------------------------------------------------------ */

/* The floats of root t for gradient node k. */
static bf_tid floats_for(bf_graph *g, saved *s, bf_tid t, int k)
{
    if (s->floats < 0 || k - s->reader > FAR) {
        const bf_tensor r = *bf_graph_at(g, t); /* by value: making a tensor moves the table */
        s->floats = bf_graph_temp(g, r.ndim, r.dims);
        bf_graph_node(g, &unpack_def, NULL, 1, &s->half, 1, &s->floats, NULL);
    }
    s->reader = k;
    return s->floats;
}

/* What t shows of its root, of `floats`. */
static bf_tid same_view(bf_graph *g, bf_tid t, bf_tid floats)
{
    const bf_tensor shown = *bf_graph_at(g, t); /* by value: making a tensor moves the table */
    const bf_tid view = bf_graph_view(g, floats, shown.ndim, shown.dims);

    if (view >= 0) g->tensor[view].shift = shown.shift;
    return view;
}

/* Points the inputs of gradient node k at the floats of what waits as halves. */
static void read_halves(bf_graph *g, saved *s, bf_node *n, int k)
{
    for (int i = 0; i < BF_NODE_IN; i++) {
        const bf_tid t = n->in[i], root = t < 0 ? BF_NONE : g->tensor[t].root;
        if (root < 0 || s[root].half < 0) continue;
        const bf_tid floats = floats_for(g, &s[root], root, k);
        n->in[i] = t == root ? floats : same_view(g, t, floats);
    }
}

/* Stores what forward node k touched last. A tensor can be met twice there; it is stored once. */
static void write_halves(bf_graph *g, saved *s, const bf_node *n, int k)
{
    for (int i = 0; i < BF_NODE_IN + BF_NODE_OUT; i++) {
        const bf_tid t = i < BF_NODE_IN ? n->in[i] : n->out[i - BF_NODE_IN];
        const bf_tid root = t < 0 ? BF_NONE : g->tensor[t].root;
        if (root < 0 || s[root].last != k || s[root].half >= 0 || !worth_storing(g, s, root)) continue;
        s[root].half = bf_graph_temp(g, 1, &(uint64_t){bf_ceil_div(g->tensor[root].numel, 2)});
        bf_graph_node(g, &pack_def, NULL, 1, &root, 1, &s[root].half, NULL);
    }
}

void bf_graph_store_halves(bf_graph *g)
{
    const int nodes = g->nodes, forward = g->forward_nodes;
    bf_node *old = g->node;
    saved *s;

    if (g->status != BF_OK) return;
    s = malloc((size_t)g->tensors * sizeof *s);
    if (!s) {
        bf_graph_fail(g, BF_RUNTIME, "out of memory for the graph");
        return;
    }
    for (int t = 0; t < g->tensors; t++) s[t] = (saved){.last = -1, .half = BF_NONE, .floats = BF_NONE};
    for (int k = 0; k < nodes; k++) {
        for (int i = 0; i < BF_NODE_IN; i++) look(g, s, old[k].in[i], k, false);
        for (int i = 0; i < BF_NODE_OUT; i++) look(g, s, old[k].out[i], k, true);
    }
    g->node = NULL;
    g->nodes = g->node_capacity = 0;
    for (int k = 0; k < nodes; k++) {
        bf_node n = old[k];
        if (k == forward) g->forward_nodes = g->nodes;
        if (k >= forward) read_halves(g, s, &n, k);
        bf_graph_node(g, n.def, n.attr, BF_NODE_IN, n.in, BF_NODE_OUT, n.out, n.acc);
        if (k < forward) write_halves(g, s, &n, k);
    }
    for (int k = 0; k < nodes; k++) free(old[k].attr);
    free(old);
    free(s);
}
