/*
 * Activations that are computed twice instead of being kept. A block is a run of forward nodes (bf_graph_block); of its
 * tensors only those that later blocks read survive the forward pass. When the backward walk reaches a block, its nodes
 * are appended once more, writing tensors of their own (twins), and the gradient rules see the repeated nodes. Whatever
 * no gradient rule reads is dropped from the repeated nodes as dead. Kernels are deterministic and dropout draws from
 * the step record, so the results are those of a graph that keeps everything, bit for bit.
 *
 * A twin has no gradient of its own: what is asked of it is answered by the tensor it repeats (bf_graph_origin).
 */
#include "graph/graph.h"
#include "graph/internal.h"

void bf_graph_block(bf_graph *g)
{
    g->block = ++g->blocks;
}

void bf_graph_block_end(bf_graph *g)
{
    g->block = 0;
}

bf_tid bf_graph_origin(const bf_graph *g, bf_tid t)
{
    return t >= 0 && g->tensor[t].origin >= 0 ? g->tensor[t].origin : t;
}

static bf_tid twin_of(const bf_graph *g, bf_tid t)
{
    return t >= 0 && g->tensor[t].twin >= 0 ? g->tensor[t].twin : t;
}

/* A tensor for the second result of a node; views look at the twin of what they looked at. */
static bf_tid new_twin(bf_graph *g, bf_tid t)
{
    if (g->status != BF_OK || t < 0) return t;
    const bf_tensor old = *bf_graph_at(g, t); /* by value: making a tensor moves the table */
    const bf_tid root = twin_of(g, old.root);

    if (old.twin >= 0) return old.twin;
    if (old.root != t && root == old.root) return t; /* a view of something outside of the block */
    const bf_tid twin =
        old.root == t ? bf_graph_temp(g, old.ndim, old.dims) : bf_graph_view(g, root, old.ndim, old.dims);
    if (twin < 0) return BF_NONE;
    g->tensor[twin].shift = old.shift;
    g->tensor[twin].origin = t;
    g->tensor[t].twin = twin;
    return twin;
}

static void repeat_node(bf_graph *g, int k)
{
    const bf_node n = g->node[k]; /* the list moves while it grows */
    bf_tid in[BF_NODE_IN], out[BF_NODE_OUT];

    for (int i = 0; i < BF_NODE_IN; i++) in[i] = twin_of(g, n.in[i]);
    for (int i = 0; i < BF_NODE_OUT; i++) {
        if (n.acc[i]) bf_graph_fail(g, BF_USAGE, "node '%s' adds to a result and cannot be repeated", n.def->name);
        out[i] = new_twin(g, n.out[i]);
    }
    bf_graph_node(g, n.def, n.attr, BF_NODE_IN, in, BF_NODE_OUT, out, NULL);
}

bf_node bf_graph_again(bf_graph *g, int k)
{
    bf_node n = g->node[k];
    const int block = n.block;

    if (!g->options.recompute || block == 0) return n;
    if (g->repeated != block) { /* the walk meets the nodes of a block in a row */
        int first = k;
        while (first > 0 && g->node[first - 1].block == block) first--;
        for (int i = first; i < g->forward_nodes && g->node[i].block == block; i++) repeat_node(g, i);
        g->repeated = block;
        n = g->node[k];
    }
    for (int i = 0; i < BF_NODE_IN; i++) n.in[i] = twin_of(g, n.in[i]);
    for (int i = 0; i < BF_NODE_OUT; i++) n.out[i] = twin_of(g, n.out[i]);
    return n;
}
