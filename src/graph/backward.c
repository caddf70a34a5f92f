/*
 * Gradients: walks the forward nodes backwards and lets each append the nodes that compute the gradients of its inputs.
 * They are ordinary nodes behind the forward ones, so one plan covers everything.
 *
 * The first writer of a gradient overwrites, later ones add (acc). A gradient tensor can be handed on without copying
 * (a residual add: the gradient of both terms IS the gradient of the sum). So that adding to it never changes what
 * somebody else still reads, `holders` counts the tensors whose gradient lives in a place and is not finished: a tensor
 * lets go once its producing node has been walked. With one holder left everything that reads the place stands earlier
 * in the list, and adding in place is safe; with more, the writer gets a copy first.
 *
 * With the option add_gradients also the first writer of a parameter's gradient adds: to what earlier runs left.
 */
#include "graph/graph.h"
#include "graph/internal.h"

bf_tid bf_graph_dout(const bf_graph *g, const bf_node *n, int i)
{
    return bf_graph_grad_of(g, n->out[i]);
}

static bool wanted(const bf_graph *g, bf_tid t)
{
    if (t >= 0 && g->tensor[t].whole >= 0) t = g->tensor[t].whole;
    return t >= 0 && g->tensor[t].needs_grad;
}

static void hold(bf_graph *g, bf_tid t, bf_tid grad)
{
    if (grad < 0) return;
    g->tensor[t].grad = grad;
    bf_graph_root(g, grad)->holders++;
}

static void release(bf_graph *g, bf_tid t)
{
    if (t >= 0 && g->tensor[t].grad >= 0 && !g->tensor[t].want_grad) bf_graph_root(g, g->tensor[t].grad)->holders--;
}

/* The gradient tensor of t, made safe to add to. */
static bf_tid writable(bf_graph *g, bf_tid t)
{
    const bf_tid cur = g->tensor[t].grad;
    const bf_tensor *root = bf_graph_root(g, cur);
    const bool ours = root->kind == BF_T_PARAM_GRAD || (root->kind == BF_T_TEMP && !root->keep);

    if (ours && root->holders <= 1) return cur;
    bf_tid own = bf_graph_temp(g, g->tensor[t].ndim, g->tensor[t].dims);
    bf_graph_copy_node(g, own, false, cur);
    bf_graph_root(g, cur)->holders--;
    hold(g, t, own);
    return own;
}

/* The part of the gradient of `whole` that belongs to its part t; whoever asks first makes that gradient. */
static bf_tid part_of_grad(bf_graph *g, bf_tid t)
{
    const bf_tensor part = g->tensor[t], whole = g->tensor[part.whole];

    if (whole.grad < 0) hold(g, part.whole, bf_graph_temp(g, whole.ndim, whole.dims));
    const bf_tid grad = bf_graph_view(g, g->tensor[part.whole].grad, part.ndim, part.dims);
    if (grad >= 0) g->tensor[grad].shift += part.shift - whole.shift;
    return grad;
}

bf_tid bf_graph_grad_place(bf_graph *g, bf_tid t, bool *acc)
{
    t = bf_graph_origin(g, t);
    *acc = false;
    if (g->status != BF_OK || !wanted(g, t)) return BF_NONE;
    /* by value: making a tensor moves the table */
    const bf_tensor x = g->tensor[t];
    if (x.grad >= 0 && bf_graph_is_waiting(g, x.grad)) bf_graph_finish_sums(g);
    if (x.whole >= 0) {
        *acc = x.grad >= 0;
        const bf_tid grad = *acc ? x.grad : part_of_grad(g, t);
        g->tensor[t].grad = grad; /* only now: making it may have moved the table */
        return grad;
    }
    if (x.grad >= 0) {
        *acc = true;
        return writable(g, t);
    }
    const bool param = x.kind == BF_T_PARAM;
    *acc = param && g->options.add_gradients;
    hold(g, t, param ? bf_graph_param_grad(g, t) : bf_graph_temp(g, x.ndim, x.dims));
    return g->tensor[t].grad;
}

bf_tid bf_graph_din(bf_graph *g, const bf_node *n, int i, bool *acc)
{
    return bf_graph_grad_place(g, n->in[i], acc);
}

void bf_graph_pass_grad(bf_graph *g, const bf_node *n, int i, bf_tid grad)
{
    const bf_tid in = bf_graph_origin(g, n->in[i]);
    bool acc;

    if (g->status != BF_OK || grad < 0 || !wanted(g, in)) return;
    const bf_tensor t = g->tensor[in];
    if (t.grad >= 0 || t.whole >= 0 || t.kind == BF_T_PARAM) {
        bf_tid dst = bf_graph_din(g, n, i, &acc);
        bf_graph_copy_node(g, dst, acc, grad);
        return;
    }
    hold(g, in, bf_graph_view(g, grad, t.ndim, t.dims));
}

/* A tensor needs a gradient when somebody asked for it or it depends on one that does. */
static void mark_needs(bf_graph *g)
{
    for (int i = 0; i < g->tensors; i++) {
        bf_tensor *t = &g->tensor[i];
        bool trained = t->kind == BF_T_PARAM && g->options.training && !bf_params_spec(g->params, t->param)->buffer;
        t->needs_grad = trained || t->want_grad;
    }
    for (int k = 0; k < g->nodes; k++) {
        const bf_node *n = &g->node[k];
        bool any = false;
        for (int i = 0; i < BF_NODE_IN; i++) any |= wanted(g, n->in[i]);
        for (int i = 0; i < BF_NODE_OUT && any && n->def->grad; i++)
            if (n->out[i] >= 0) g->tensor[n->out[i]].needs_grad = true;
    }
}

static bool has_dout(const bf_graph *g, const bf_node *n)
{
    for (int i = 0; i < BF_NODE_OUT; i++)
        if (bf_graph_dout(g, n, i) >= 0) return true;
    return false;
}

static bf_status walk(bf_graph *g, bf_err *err)
{
    bf_status st = BF_OK;

    for (int k = g->forward_nodes - 1; k >= 0; k--) {
        if (!g->node[k].def->grad || !has_dout(g, &g->node[k])) continue;
        const bf_node n = bf_graph_again(g, k);
        BF_TRY(bf_graph_status(g, err));
        BF_TRY(n.def->grad(g, &n, err));
        BF_TRY(bf_graph_status(g, err));
        for (int i = 0; i < BF_NODE_OUT; i++) release(g, bf_graph_origin(g, n.out[i]));
    }
out:
    return st;
}

/* The gradient to start from becomes that of a root. */
static bf_status start(bf_graph *g, bf_tid root, bf_tid seed, bf_err *err)
{
    bf_status st = BF_OK;

    BF_CHECK(g->tensor[root].grad < 0, BF_USAGE, "a tensor cannot start from two gradients");
    if (seed < 0) {
        seed = bf_graph_temp(g, g->tensor[root].ndim, g->tensor[root].dims);
        bf_graph_fill_node(g, seed, 1.0f);
    }
    BF_TRY(bf_graph_status(g, err));
    bf_graph_exact(g, g->tensor[seed].root);
    hold(g, root, seed);
out:
    return st;
}

bf_status bf_graph_backward_from(bf_graph *g, size_t n, const bf_tid *roots, const bf_tid *seeds, bf_err *err)
{
    bf_status st = BF_OK;
    size_t started = 0;

    BF_TRY(bf_graph_status(g, err));
    BF_CHECK(g->forward_nodes < 0 && !g->planned, BF_USAGE, "the gradients of this graph exist already");
    for (size_t i = 0; i < n; i++) {
        BF_CHECK(roots[i] >= 0 && (seeds[i] >= 0 || bf_graph_numel(g, roots[i]) == 1), BF_USAGE,
                 "gradients need a loss of one element, or a gradient to start from");
        BF_CHECK(seeds[i] < 0 || bf_graph_numel(g, roots[i]) == bf_graph_numel(g, seeds[i]), BF_USAGE,
                 "the gradient to start from has %llu elements, the tensor %llu",
                 (unsigned long long)bf_graph_numel(g, seeds[i]), (unsigned long long)bf_graph_numel(g, roots[i]));
    }
    mark_needs(g);
    g->forward_nodes = g->nodes;
    bf_graph_block_end(g);
    for (size_t i = 0; i < n; i++) {
        if (!wanted(g, roots[i])) continue;
        BF_TRY(start(g, roots[i], seeds[i], err));
        started++;
    }
    BF_CHECK(started > 0, BF_USAGE, "nothing in front of the loss wants a gradient");
    BF_TRY(walk(g, err));
    bf_graph_finish_sums(g);
    if (g->options.half_storage) bf_graph_store_halves(g);
    BF_TRY(bf_graph_status(g, err));
    for (bf_tid t = 0; t < g->tensors; t++)
        if (g->tensor[t].want_grad && g->tensor[t].grad >= 0) bf_graph_keep(g, g->tensor[t].grad);
out:
    return st;
}

bf_status bf_graph_backward(bf_graph *g, bf_tid loss, bf_tid seed, bf_err *err)
{
    return bf_graph_backward_from(g, 1, &loss, &seed, err);
}
