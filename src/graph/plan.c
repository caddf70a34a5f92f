/*
 * The plan: which nodes run, how long each tensor lives, and where it is placed.
 *
 * A tensor lives from its first node to its last one (inclusive: a node's inputs and outputs never overlap). Tensors
 * are placed in the order of falling size, each into the tightest gap between those that live at the same time
 * (best fit; the gaps of dead neighbours are one gap), in the first arena where it fits below the device's largest
 * allocation. Inputs, constants and kept tensors have a place of their own in separate arenas.
 */
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "graph/internal.h"

static bool in_store(const bf_tensor *t)
{
    return t->kind == BF_T_PARAM || t->kind == BF_T_PARAM_GRAD;
}

/* Has a place of its own: its content outlives the run. */
static bool is_io(const bf_tensor *t)
{
    return t->kind == BF_T_INPUT || t->kind == BF_T_CONST || t->keep;
}

/* ---- dead nodes -------------------------------------------------------------------------------------------------- */

static bool is_live(const bf_graph *g, const bf_node *n)
{
    if (n->def->has_effect) return true;
    for (int i = 0; i < BF_NODE_OUT; i++)
        if (n->out[i] >= 0 && bf_graph_root(g, n->out[i])->needed) return true;
    return false;
}

/* From the back: a node lives when something kept, a parameter's gradient or a later living node needs an output. */
static void find_dead(bf_graph *g)
{
    for (int i = 0; i < g->tensors; i++) {
        bf_tensor *t = &g->tensor[i];
        t->needed = t->keep || t->kind == BF_T_PARAM_GRAD;
    }
    for (int k = g->nodes - 1; k >= 0; k--) {
        const bf_node *n = &g->node[k];
        g->live[k] = is_live(g, n);
        if (!g->live[k]) {
            g->plan.dead++;
            continue;
        }
        g->plan.nodes++;
        if (n->def->flops) g->plan.flops += n->def->flops(g, n);
        for (int i = 0; i < BF_NODE_IN; i++)
            if (n->in[i] >= 0) bf_graph_root(g, n->in[i])->needed = true;
        for (int i = 0; i < BF_NODE_OUT; i++) /* adding reads what is there */
            if (n->out[i] >= 0 && n->acc[i]) bf_graph_root(g, n->out[i])->needed = true;
    }
}

/* ---- live ranges ------------------------------------------------------------------------------------------------- */

/* What prepared weights may take: a part of the memory that is left, and no more than is cheap to have. Large networks
 * spend their time elsewhere. */
#define PREPARED_PART 4
#define PREPARED_LIMIT (128u << 20)

static bool prepares(const bf_graph *g, const bf_node *n)
{
    return n->def->prepares && n->def->workspace && n->def->prepares(g, n);
}

/* All nodes that can prepare their weights, or none. */
static void choose_prepared(bf_graph *g)
{
    const uint64_t budget = bf_ctx_budget(g->ctx), used = bf_ctx_used(g->ctx);
    const uint64_t limit = budget > used ? BF_MIN((budget - used) / PREPARED_PART, (uint64_t)PREPARED_LIMIT) : 0;
    uint64_t bytes = 0;

    if (!g->options.fixed_weights) return;
    for (int k = 0; k < g->nodes; k++)
        if (g->live[k] && prepares(g, &g->node[k])) bytes += g->node[k].def->workspace(g, &g->node[k]);
    for (int k = 0; k < g->nodes && bytes <= limit; k++) g->node[k].prepared = g->live[k] && prepares(g, &g->node[k]);
}

static void add_workspaces(bf_graph *g)
{
    choose_prepared(g);
    for (int k = 0; k < g->nodes; k++) {
        bf_node *n = &g->node[k];
        if (!g->live[k] || !n->def->workspace) continue;
        const uint64_t words = bf_ceil_div(n->def->workspace(g, n), sizeof(float));
        if (words == 0) continue;
        n->workspace = bf_graph_temp(g, 1, &words);
        if (n->workspace < 0) return;
        g->tensor[n->workspace].kind = BF_T_WORKSPACE;
        g->tensor[n->workspace].keep = n->prepared;
    }
}

static void touch(bf_graph *g, bf_tid t, int at)
{
    if (t < 0) return;
    bf_tensor *r = bf_graph_root(g, t);
    if (r->first < 0) r->first = at;
    r->last = at;
}

static bf_status find_ranges(bf_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    int at = 0;

    for (int k = 0; k < g->nodes; k++) {
        const bf_node *n = &g->node[k];
        if (!g->live[k]) continue;
        for (int i = 0; i < BF_NODE_IN; i++) {
            const bf_tensor *r = n->in[i] >= 0 ? bf_graph_root(g, n->in[i]) : NULL;
            BF_CHECK(!r || r->kind != BF_T_TEMP || r->first >= 0, BF_USAGE,
                     "node '%s' reads input %d before anything wrote it", n->def->name, i);
            touch(g, n->in[i], at);
        }
        for (int i = 0; i < BF_NODE_OUT; i++) {
            const bf_tensor *r = n->out[i] >= 0 && n->acc[i] ? bf_graph_root(g, n->out[i]) : NULL;
            BF_CHECK(!r || in_store(r) || r->first >= 0, BF_USAGE, "node '%s' adds to output %d before it was written",
                     n->def->name, i);
            touch(g, n->out[i], at);
        }
        touch(g, n->workspace, at);
        at++;
    }
out:
    return st;
}

/* Lets an elementwise node write over its input where that input dies there: both become one tensor. */
static void share_in_place(bf_graph *g)
{
    int at = 0;

    for (int k = 0; k < g->nodes; k++) {
        const bf_node *n = &g->node[k];
        if (!g->live[k]) continue;
        const int here = at++;
        if (n->def->inplace == 0 || n->acc[0] || n->out[0] < 0) continue;
        const bf_tid in = n->in[n->def->inplace - 1];
        if (in < 0) continue;
        bf_tensor *from = bf_graph_root(g, in), *to = bf_graph_root(g, n->out[0]);
        if (from == to || from->kind != BF_T_TEMP || to->kind != BF_T_TEMP || from->keep || to->keep) continue;
        if (from->last != here || to->first != here || from->bytes != to->bytes) continue;
        bool read_twice = false; /* through another operand that the kernel reads after the write */
        for (int i = 0; i < BF_NODE_IN; i++)
            read_twice |= i != n->def->inplace - 1 && n->in[i] >= 0 && bf_graph_root(g, n->in[i]) == from;
        if (read_twice) continue;
        from->last = to->last;
        const bf_tid old = (bf_tid)(to - g->tensor), now = (bf_tid)(from - g->tensor);
        for (int t = 0; t < g->tensors; t++)
            if (g->tensor[t].root == old) g->tensor[t].root = now;
    }
}

/* ---- placement --------------------------------------------------------------------------------------------------- */

typedef struct placer {
    const bf_graph *g;
    uint64_t align, limit;
    bf_tid *placed; /* in the order of placement */
    int count;
    bf_tid *beside; /* scratch: those of one arena that live at the same time, by offset */
} placer;

static int new_arena(bf_graph *g, bool io, bf_err *err)
{
    bf_arena *more = realloc(g->arena, (size_t)(g->arenas + 1) * sizeof *more);

    if (!more) {
        bf_fail(err, BF_RUNTIME, "out of memory for the plan");
        return BF_NO_PLACE;
    }
    g->arena = more;
    g->arena[g->arenas] = (bf_arena){.io = io, .lender = BF_NO_PLACE};
    return g->arenas++;
}

static bool overlaps(const bf_tensor *a, const bf_tensor *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Insertion by offset keeps the neighbours sorted. */
static int neighbours(placer *p, const bf_tensor *t, int arena)
{
    int n = 0;

    for (int i = 0; i < p->count; i++) {
        const bf_tensor *o = bf_graph_at(p->g, p->placed[i]);
        if (o->arena != arena || !overlaps(t, o)) continue;
        int j = n++;
        for (; j > 0 && bf_graph_at(p->g, p->beside[j - 1])->off > o->off; j--) p->beside[j] = p->beside[j - 1];
        p->beside[j] = p->placed[i];
    }
    return n;
}

/* The tightest gap of an arena for t, the end of its neighbours when there is none. */
static uint64_t best_offset(placer *p, const bf_tensor *t, int arena)
{
    const int n = neighbours(p, t, arena);
    uint64_t end = 0, best = UINT64_MAX, best_gap = UINT64_MAX;

    for (int i = 0; i < n; i++) {
        const bf_tensor *o = bf_graph_at(p->g, p->beside[i]);
        if (o->off >= end) {
            uint64_t gap = o->off - end;
            if (gap >= t->bytes && gap < best_gap) {
                best = end;
                best_gap = gap;
            }
        }
        end = BF_MAX(end, bf_round_up(o->off + o->bytes, p->align));
    }
    return best == UINT64_MAX ? end : best;
}

static bf_status place_shared(bf_graph *g, placer *p, bf_tid id, bf_err *err)
{
    bf_tensor *t = bf_graph_at(g, id);
    int arena = BF_NO_PLACE;
    uint64_t off = 0;

    for (int a = 0; a < g->arenas && arena == BF_NO_PLACE; a++) {
        if (g->arena[a].io) continue;
        off = best_offset(p, t, a);
        if (off + t->bytes <= p->limit) arena = a;
    }
    if (arena == BF_NO_PLACE) {
        arena = new_arena(g, false, err);
        if (arena == BF_NO_PLACE) return err->status;
        off = 0;
    }
    t->arena = arena;
    t->off = off;
    g->arena[arena].bytes = BF_MAX(g->arena[arena].bytes, bf_round_up(off + t->bytes, p->align));
    p->placed[p->count++] = id;
    return BF_OK;
}

static bf_status place_io(bf_graph *g, const placer *p, bf_tensor *t, int *current, bf_err *err)
{
    const uint64_t size = bf_round_up(t->bytes, p->align);

    if (*current == BF_NO_PLACE || g->arena[*current].bytes + size > p->limit) {
        *current = new_arena(g, true, err);
        if (*current == BF_NO_PLACE) return err->status;
    }
    t->arena = *current;
    t->off = g->arena[*current].bytes;
    g->arena[*current].bytes += size;
    g->plan.io_bytes += size;
    return BF_OK;
}

typedef struct order {
    uint64_t bytes;
    int first;
    bf_tid id;
} order;

/* Larger first; ties by time, then by number, so that a plan never depends on the sort. */
static int by_size(const void *a, const void *b)
{
    const order *x = a, *y = b;

    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static bf_status place_all(bf_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t align = bf_ctx_align(g->ctx);
    placer p = {.g = g, .align = align, .limit = bf_ctx_max_alloc(g->ctx) / align * align};
    order *list = NULL;
    int n = 0, io = BF_NO_PLACE;

    BF_NEW(list, g->tensors);
    BF_NEW(p.placed, g->tensors);
    BF_NEW(p.beside, g->tensors);
    for (bf_tid i = 0; i < g->tensors; i++) {
        bf_tensor *t = bf_graph_at(g, i);
        if (t->root != i || in_store(t)) continue;
        BF_CHECK(t->bytes <= p.limit, BF_RUNTIME,
                 "one tensor of the plan%s%s needs %.1f MiB, but the device allows %.1f MiB in one piece",
                 t->name ? ": " : "", t->name ? t->name : "", (double)t->bytes / 1048576.0,
                 (double)p.limit / 1048576.0);
        if (is_io(t)) {
            BF_TRY(place_io(g, &p, t, &io, err));
        } else if (t->first >= 0) {
            list[n++] = (order){t->bytes, t->first, i};
            g->plan.unshared_bytes += bf_round_up(t->bytes, align);
        }
    }
    qsort(list, (size_t)n, sizeof *list, by_size);
    for (int i = 0; i < n; i++) BF_TRY(place_shared(g, &p, list[i].id, err));
    g->plan.tensors = (size_t)n;
out:
    if (st == BF_RUNTIME) bf_hint(err, "lower the batch size or the width of the network");
    free(list);
    free(p.placed);
    free(p.beside);
    return st;
}

/* ---- totals ------------------------------------------------------------------------------------------------------ */

/* Where most bytes are alive: prefix sums of what starts and what ends. */
static bf_status find_peak(bf_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    int64_t *delta = NULL, now = 0;

    BF_NEW(delta, g->plan.nodes + 2);
    for (bf_tid i = 0; i < g->tensors; i++) {
        const bf_tensor *t = bf_graph_at(g, i);
        if (t->root != i || t->arena == BF_NO_PLACE || is_io(t)) continue;
        delta[t->first] += (int64_t)t->bytes;
        delta[t->last + 1] -= (int64_t)t->bytes;
    }
    for (size_t k = 0; k < g->plan.nodes; k++) {
        now += delta[k];
        if ((uint64_t)now > g->live_bytes) {
            g->live_bytes = (uint64_t)now;
            g->peak_node = (int)k;
        }
    }
out:
    free(delta);
    return st;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

/* Gives each shared arena the next one of the graph beside this one that is large enough, if there is any. */
static void borrow_arenas(bf_graph *g)
{
    const bf_graph *from = g->options.beside;
    int next = 0;

    for (int a = 0; from && a < g->arenas; a++) {
        if (g->arena[a].io) continue;
        while (next < from->arenas && (from->arena[next].io || from->arena[next].bytes < g->arena[a].bytes)) next++;
        if (next < from->arenas) g->arena[a].lender = next++;
    }
}

static bf_status add_up(bf_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    bf_plan *p = &g->plan;
    const unsigned all = (1u << BF_SET_COUNT) - 1;
    const bool there = bf_params_allocated(g->params);

    p->params_bytes = bf_params_bytes(g->params, g->options.training ? all : 1u << BF_SET_VALUE);
    for (int a = 0; a < g->arenas; a++)
        if (!g->arena[a].io && g->arena[a].lender == BF_NO_PLACE) p->activation_bytes += g->arena[a].bytes;
    p->arenas = (size_t)g->arenas;
    p->peak_bytes = p->params_bytes + p->io_bytes + p->activation_bytes;
    p->budget_bytes = bf_ctx_budget(g->ctx);
    const uint64_t more = p->io_bytes + p->activation_bytes + (there ? 0 : p->params_bytes);
    const uint64_t used = bf_ctx_used(g->ctx), left = p->budget_bytes > used ? p->budget_bytes - used : 0;
    if (more > left) {
        st =
            bf_fail(err, BF_RUNTIME,
                    "this does not fit: weights and optimiser state %.1f MiB, activations %.1f MiB, inputs and results "
                    "%.1f MiB; %.1f MiB more than the %.1f MiB that %s may still use",
                    mib(p->params_bytes), mib(p->activation_bytes), mib(p->io_bytes), mib(more - left), mib(left),
                    bf_ctx_name(g->ctx));
        bf_hint(err, "lower the batch size (activations grow with it) or the width of the network");
    }
    return st;
}

static bf_status allocate_arenas(bf_graph *g, bf_err *err)
{
    bf_status st = BF_OK;

    BF_CHECK(bf_params_allocated(g->params) || bf_params_count(g->params) == 0, BF_USAGE,
             "the parameters have to be in memory before the graph");
    for (int i = 0; i < g->arenas; i++) {
        bf_arena *a = &g->arena[i];
        if (a->lender != BF_NO_PLACE)
            a->buf = g->options.beside->arena[a->lender].buf;
        else
            BF_TRY(bf_buf_new(g->ctx, a->bytes, a->io ? "inputs and results" : "activations", &a->buf, err));
    }
    for (bf_tid i = 0; i < g->tensors; i++)
        if (g->tensor[i].kind == BF_T_CONST) {
            /* the arena may still be on its way (bf_buf_new): go on with the programs meanwhile */
            g->writing = true;
            BF_TRY(bf_write_async(g->ctx, bf_graph_mem(g, i), g->tensor[i].data, (size_t)g->tensor[i].bytes, err));
        }
out:
    return st;
}

bf_status bf_graph_plan(bf_graph *g, bool allocate, bf_plan *plan, bf_err *err)
{
    bf_status st = BF_OK;

    BF_TRY(bf_graph_status(g, err));
    BF_CHECK(!g->planned, BF_USAGE, "the graph has a plan already");
    g->planned = true;
    BF_NEW(g->live, g->nodes + 1);
    find_dead(g);
    add_workspaces(g);
    BF_TRY(bf_graph_status(g, err));
    BF_TRY(find_ranges(g, err));
    share_in_place(g);
    BF_TRY(place_all(g, err));
    BF_TRY(find_peak(g, err));
    borrow_arenas(g);
    st = add_up(g, err);
    if (plan) *plan = g->plan;
    if (st == BF_OK && allocate) BF_TRY(allocate_arenas(g, err));
out:
    return st;
}
