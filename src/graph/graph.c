/* Tensors and nodes of a graph, and its sticky error. */
#include "graph/graph.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/internal.h"

bf_status bf_graph_new(bf_ctx *ctx, bf_params *params, const bf_graph_options *options, bf_graph **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_graph *g = NULL;
    const uint64_t words = BF_STEP_WORDS;

    BF_NEW(g, 1);
    g->ctx = ctx;
    g->params = params;
    g->options = *options;
    g->forward_nodes = -1;
    g->peak_node = -1;
    g->step = bf_graph_input(g, "step", 1, &words);
    BF_TRY(bf_graph_status(g, err));
    *out = g;
    return BF_OK;
out:
    bf_graph_free(g);
    return st;
}

void bf_graph_free(bf_graph *g)
{
    bf_err ignored;
    if (!g) return;
    if (g->writing) (void)bf_finish(g->ctx, &ignored);
    for (int i = 0; i < g->tensors; i++) {
        free(g->tensor[i].name);
        free(g->tensor[i].data);
    }
    for (int i = 0; i < g->nodes; i++) free(g->node[i].attr);
    for (int i = 0; i < g->arenas; i++)
        if (g->arena[i].lender == BF_NO_PLACE) bf_buf_free(g->arena[i].buf);
    bf_mark_free(g->step_mark[0]);
    bf_mark_free(g->step_mark[1]);
    free(g->tensor);
    free(g->node);
    free(g->live);
    free(g->arena);
    free(g);
}

bf_status bf_graph_status(const bf_graph *g, bf_err *err)
{
    if (g->status != BF_OK) *err = g->err;
    return g->status;
}

bool bf_graph_training(const bf_graph *g)
{
    return g->options.training;
}

bf_ctx *bf_graph_ctx(const bf_graph *g)
{
    return g->ctx;
}

bf_mem bf_graph_step(const bf_graph *g)
{
    return bf_graph_mem(g, g->step);
}

bf_tid bf_graph_fail(bf_graph *g, bf_status status, const char *fmt, ...)
{
    char text[BFNCL_MESSAGE_SIZE];
    va_list args;

    if (g->status != BF_OK) return BF_NONE;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    g->status = bf_fail(&g->err, status, "%s", text);
    return BF_NONE;
}

int bf_graph_int(bf_graph *g, uint64_t n, const char *what)
{
    if (n <= INT_MAX) return (int)n;
    bf_graph_fail(g, BF_USAGE, "%s: %llu elements are more than a kernel can count; lower the batch size", what,
                  (unsigned long long)n);
    return 0;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

bf_tensor *bf_graph_at(const bf_graph *g, bf_tid t)
{
    return &g->tensor[t];
}

bf_tensor *bf_graph_root(const bf_graph *g, bf_tid t)
{
    return &g->tensor[g->tensor[t].root];
}

static char *copy_name(const char *name)
{
    size_t n = strlen(name) + 1;
    char *copy = malloc(n);

    if (copy) memcpy(copy, name, n);
    return copy;
}

/* How large a full table of n becomes. Under the address sanitizer it moves with every entry, which shows who keeps a
 * pointer into it. */
#ifdef __SANITIZE_ADDRESS__
#define MORE(n) ((n) + 1)
#else
#define MORE(n) ((n) > 0 ? 2 * (n) : 256)
#endif

/* The entry is only valid until the next tensor is made. */
static bf_tensor *new_tensor(bf_graph *g, bf_tensor_kind kind, const char *name, int ndim, const uint64_t *dims)
{
    uint64_t numel = 1, bytes;

    if (g->status != BF_OK) return NULL;
    if (ndim < 1 || ndim > BF_MAX_DIMS) {
        bf_graph_fail(g, BF_USAGE, "tensor '%s' has %d dimensions", name ? name : "", ndim);
        return NULL;
    }
    for (int i = 0; i < ndim; i++)
        if (dims[i] == 0 || !bf_mul_u64(numel, dims[i], &numel)) numel = 0;
    if (numel == 0 || !bf_mul_u64(numel, sizeof(float), &bytes) || bytes > UINT64_MAX / 2) {
        bf_graph_fail(g, BF_USAGE, "tensor '%s' has an impossible size", name ? name : "");
        return NULL;
    }
    bf_tensor fresh = {.kind = kind, .ndim = ndim, .numel = numel, .param = -1, .grad = BF_NONE, .arena = BF_NO_PLACE};
    memcpy(fresh.dims, dims, (size_t)ndim * sizeof *dims); /* which may be those of another tensor: the table moves */
    if (g->tensors == g->tensor_capacity) {
        const int capacity = MORE(g->tensor_capacity);
        bf_tensor *more = realloc(g->tensor, (size_t)capacity * sizeof *more);
        if (!more) {
            bf_graph_fail(g, BF_RUNTIME, "out of memory for the graph");
            return NULL;
        }
        g->tensor = more;
        g->tensor_capacity = capacity;
    }
    bf_tensor *t = &g->tensor[g->tensors];
    *t = fresh;
    t->whole = t->twin = t->origin = BF_NONE;
    t->bytes = bytes;
    t->root = g->tensors;
    t->first = t->last = -1;
    if (name && !(t->name = copy_name(name))) {
        bf_graph_fail(g, BF_RUNTIME, "out of memory for the graph");
        return NULL;
    }
    g->tensors++;
    return t;
}

static bf_tid id_of(const bf_graph *g, const bf_tensor *t)
{
    return t ? (bf_tid)(t - g->tensor) : BF_NONE;
}

bf_tid bf_graph_temp(bf_graph *g, int ndim, const uint64_t *dims)
{
    return id_of(g, new_tensor(g, BF_T_TEMP, NULL, ndim, dims));
}

bf_tid bf_graph_input(bf_graph *g, const char *name, int ndim, const uint64_t *dims)
{
    return id_of(g, new_tensor(g, BF_T_INPUT, name, ndim, dims));
}

bf_tid bf_graph_const(bf_graph *g, const char *name, int ndim, const uint64_t *dims, const float *data)
{
    bf_tensor *t = new_tensor(g, BF_T_CONST, name, ndim, dims);

    if (!t) return BF_NONE;
    t->data = malloc((size_t)t->bytes);
    if (!t->data) return bf_graph_fail(g, BF_RUNTIME, "out of memory for the constant '%s'", name);
    memcpy(t->data, data, (size_t)t->bytes);
    return id_of(g, t);
}

bf_tid bf_graph_param(bf_graph *g, const bf_param_spec *spec)
{
    bf_err err = {0};
    int index;

    if (g->status != BF_OK) return BF_NONE;
    if (bf_params_add(g->params, spec, &index, &err) != BF_OK) {
        g->err = err;
        g->status = err.status;
        return BF_NONE;
    }
    for (bf_tid i = 0; i < g->tensors; i++)
        if (g->tensor[i].kind == BF_T_PARAM && g->tensor[i].param == index) return i;
    bf_tensor *t = new_tensor(g, BF_T_PARAM, spec->name, spec->ndim, spec->dims);
    if (t) t->param = index;
    return id_of(g, t);
}

bf_tid bf_graph_param_grad(bf_graph *g, bf_tid param)
{
    const bf_tensor p = g->tensor[param];
    bf_tensor *t = new_tensor(g, BF_T_PARAM_GRAD, NULL, p.ndim, p.dims);

    if (t) t->param = p.param;
    return id_of(g, t);
}

bf_tid bf_graph_view(bf_graph *g, bf_tid of, int ndim, const uint64_t *dims)
{
    bf_tensor *t;

    if (g->status != BF_OK || of < 0) return BF_NONE;
    t = new_tensor(g, BF_T_TEMP, NULL, ndim, dims);
    if (!t) return BF_NONE;
    const bf_tensor *o = bf_graph_at(g, of);
    if (t->numel > o->numel)
        return bf_graph_fail(g, BF_USAGE, "a view of %llu elements cannot show a tensor of %llu",
                             (unsigned long long)t->numel, (unsigned long long)o->numel);
    t->root = o->root;
    t->shift = o->shift;
    return id_of(g, t);
}

bf_tid bf_graph_part(bf_graph *g, bf_tid whole, uint64_t first, int ndim, const uint64_t *dims)
{
    bf_tid t = bf_graph_view(g, whole, ndim, dims);

    if (t < 0) return BF_NONE;
    g->tensor[t].shift += first * sizeof(float);
    g->tensor[t].whole = whole;
    return t;
}

bf_tid bf_graph_find(const bf_graph *g, const char *name)
{
    for (bf_tid i = 0; i < g->tensors; i++)
        if (g->tensor[i].name && strcmp(g->tensor[i].name, name) == 0) return i;
    return BF_NONE;
}

void bf_graph_label(bf_graph *g, bf_tid t, const char *name)
{
    if (g->status != BF_OK || t < 0) return;
    char *copy = copy_name(name);
    if (!copy) {
        bf_graph_fail(g, BF_RUNTIME, "out of memory for the graph");
        return;
    }
    free(g->tensor[t].name);
    g->tensor[t].name = copy;
}

void bf_graph_keep(bf_graph *g, bf_tid t)
{
    if (g->status == BF_OK && t >= 0) bf_graph_root(g, t)->keep = true;
}

void bf_graph_want_grad(bf_graph *g, bf_tid t)
{
    if (g->status == BF_OK && t >= 0) g->tensor[t].want_grad = true;
}

int bf_graph_ndim(const bf_graph *g, bf_tid t)
{
    return t < 0 ? 0 : g->tensor[t].ndim;
}

uint64_t bf_graph_dim(const bf_graph *g, bf_tid t, int axis)
{
    if (t < 0) return 0;
    const bf_tensor *x = bf_graph_at(g, t);
    if (axis < 0) axis += x->ndim;
    return axis < 0 || axis >= x->ndim ? 0 : x->dims[axis];
}

uint64_t bf_graph_numel(const bf_graph *g, bf_tid t)
{
    return t < 0 ? 0 : g->tensor[t].numel;
}

bf_tid bf_graph_grad_of(const bf_graph *g, bf_tid t)
{
    return t < 0 ? BF_NONE : g->tensor[bf_graph_origin(g, t)].grad;
}

bf_mem bf_graph_mem(const bf_graph *g, bf_tid t)
{
    if (t < 0) return BF_MEM_NONE;
    const bf_tensor *r = bf_graph_root(g, t);
    const uint64_t shift = g->tensor[t].shift;
    if (r->kind == BF_T_PARAM) return bf_mem_at(bf_params_mem(g->params, g->options.weights, r->param), shift);
    if (r->kind == BF_T_PARAM_GRAD) return bf_mem_at(bf_params_mem(g->params, BF_SET_GRAD, r->param), shift);
    if (r->arena == BF_NO_PLACE || !g->arena[r->arena].buf) return BF_MEM_NONE;
    return (bf_mem){g->arena[r->arena].buf, r->off + shift};
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static bool grow_nodes(bf_graph *g)
{
    if (g->nodes < g->node_capacity) return true;
    const int capacity = MORE(g->node_capacity);
    bf_node *more = realloc(g->node, (size_t)capacity * sizeof *more);
    if (!more) return false;
    g->node = more;
    g->node_capacity = capacity;
    return true;
}

void bf_graph_node(bf_graph *g, const bf_node_def *def, const void *attr, int n_in, const bf_tid *in, int n_out,
                   const bf_tid *out, const bool *acc)
{
    if (g->status != BF_OK) return;
    if (n_in > BF_NODE_IN || n_out > BF_NODE_OUT) {
        bf_graph_fail(g, BF_USAGE, "node '%s' has too many inputs or outputs", def->name);
        return;
    }
    bf_node n = {.def = def, .workspace = BF_NONE, .block = g->block};
    for (int i = 0; i < BF_NODE_IN; i++) n.in[i] = i < n_in ? in[i] : BF_NONE;
    for (int i = 0; i < BF_NODE_OUT; i++) {
        n.out[i] = i < n_out ? out[i] : BF_NONE;
        n.acc[i] = i < n_out && acc && acc[i];
    }
    if (def->attr_size && !(n.attr = malloc(def->attr_size))) {
        bf_graph_fail(g, BF_RUNTIME, "out of memory for the graph");
        return;
    }
    if (n.attr) memcpy(n.attr, attr, def->attr_size);
    if (!grow_nodes(g)) {
        free(n.attr);
        bf_graph_fail(g, BF_RUNTIME, "out of memory for the graph");
        return;
    }
    g->node[g->nodes++] = n;
}

bf_mem bf_graph_in(const bf_graph *g, const bf_node *n, int i)
{
    return bf_graph_mem(g, n->in[i]);
}

bf_mem bf_graph_out(const bf_graph *g, const bf_node *n, int i)
{
    return bf_graph_mem(g, n->out[i]);
}

bf_mem bf_graph_ws(const bf_graph *g, const bf_node *n)
{
    return bf_graph_mem(g, n->workspace);
}
