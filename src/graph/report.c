/* The plan for people. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "graph/graph.h"
#include "graph/internal.h"

#define LARGEST 10

typedef struct printer {
    void (*line)(void *user, const char *text);
    void *user;
} printer;

static void say(const printer *p, const char *fmt, ...) BF_PRINTF(2, 3);

static void say(const printer *p, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    p->line(p->user, text);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

/* The node with that number among the living. */
static int node_at(const bf_graph *g, int position)
{
    for (int k = 0; k < g->nodes; k++)
        if (g->live[k] && position-- == 0) return k;
    return -1;
}

static const char *node_name(const bf_graph *g, int position)
{
    const int k = node_at(g, position);

    return k < 0 ? "-" : g->node[k].def->name;
}

static void shape_text(const bf_tensor *t, char *text, size_t size)
{
    size_t at = 0;

    text[0] = '\0';
    for (int i = 0; i < t->ndim && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRIu64, i ? "x" : "", t->dims[i]);
}

static bool shared_root(const bf_graph *g, bf_tid i)
{
    const bf_tensor *t = bf_graph_at(g, i);

    return t->root == i && t->arena != BF_NO_PLACE && !g->arena[t->arena].io;
}

static void say_largest(const bf_graph *g, const printer *p)
{
    bf_tid best[LARGEST];
    int n = 0;

    for (bf_tid i = 0; i < g->tensors; i++) {
        if (!shared_root(g, i)) continue;
        int j = n < LARGEST ? n++ : LARGEST;
        if (j == LARGEST && bf_graph_at(g, best[LARGEST - 1])->bytes >= bf_graph_at(g, i)->bytes) continue;
        if (j == LARGEST) j--;
        for (; j > 0 && bf_graph_at(g, best[j - 1])->bytes < bf_graph_at(g, i)->bytes; j--) best[j] = best[j - 1];
        best[j] = i;
    }
    say(p, "largest tensors:");
    for (int i = 0; i < n; i++) {
        const bf_tensor *t = bf_graph_at(g, best[i]);
        char shape[96];
        shape_text(t, shape, sizeof shape);
        say(p, "  %9.2f MiB  %-20s nodes %d-%d  %s -> %s  %s", mib(t->bytes), shape, t->first, t->last,
            node_name(g, t->first), node_name(g, t->last), t->name ? t->name : "");
    }
}

void bf_graph_report(const bf_graph *g, void (*line)(void *user, const char *text), void *user)
{
    const printer p = {line, user};
    const bf_plan *q = &g->plan;

    if (!g->planned) return;
    say(&p, "nodes             %zu (and %zu that nothing needs), %.3g GFLOP per run", q->nodes, q->dead,
        q->flops / 1e9);
    say(&p, "parameters        %" PRIu64, bf_params_numel(g->params));
    say(&p, "weights and state %9.2f MiB", mib(q->params_bytes));
    say(&p, "activations       %9.2f MiB in %zu tensors (%.2f MiB without sharing)", mib(q->activation_bytes),
        q->tensors, mib(q->unshared_bytes));
    say(&p, "inputs, results   %9.2f MiB", mib(q->io_bytes));
    say(&p, "peak              %9.2f MiB of %.2f MiB; one piece may have %.2f MiB", mib(q->peak_bytes),
        mib(q->budget_bytes), mib(bf_ctx_max_alloc(g->ctx)));
    for (int a = 0; a < g->arenas; a++)
        say(&p, "  arena %-2d %s %9.2f MiB", a, g->arena[a].io ? "own   " : "shared", mib(g->arena[a].bytes));
    say(&p, "most alive at node %d (%s): %.2f MiB", g->peak_node, node_name(g, g->peak_node), mib(g->live_bytes));
    say_largest(g, &p);
}
