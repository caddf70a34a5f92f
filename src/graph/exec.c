/* Turns a planned graph into prepared commands, and hands the step record to the device. */
#include <string.h>

#include "graph/graph.h"
#include "graph/internal.h"

bf_status bf_graph_emit(bf_graph *g, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_node *n = NULL;

    BF_CHECK(g->planned && !bf_mem_is_none(bf_graph_step(g)), BF_USAGE, "a graph is planned and placed before it runs");
    for (int k = 0; k < g->nodes; k++) {
        if (!g->live[k]) continue;
        n = &g->node[k];
        BF_TRY(n->def->emit(g, n, c, err));
    }
    return BF_OK;
out:
    if (n) bf_err_context(err, "node '%s'", n->def->name);
    return st;
}

bf_status bf_graph_emit_prepare(bf_graph *g, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;

    BF_CHECK(g->planned && !bf_mem_is_none(bf_graph_step(g)), BF_USAGE, "a graph is planned and placed before it runs");
    for (int k = 0; k < g->nodes; k++) {
        const bf_node *n = &g->node[k];
        if (g->live[k] && n->prepared) BF_TRY(n->def->prepare(g, n, c, err));
    }
out:
    return st;
}

bf_status bf_graph_set_step(bf_graph *g, const uint32_t words[BF_STEP_WORDS], bf_err *err)
{
    bf_status st = BF_OK;
    const int half = g->step_slot / (BF_STEP_RING / 2);

    /* Entering a half: the other one is marked, and what the queue took from this one half a ring ago is over. */
    if (g->step_slot % (BF_STEP_RING / 2) == 0) {
        bf_mark_free(g->step_mark[!half]);
        g->step_mark[!half] = NULL;
        BF_TRY(bf_mark_new(g->ctx, &g->step_mark[!half], err));
        if (g->step_mark[half]) BF_TRY(bf_mark_wait(g->step_mark[half], err));
    }
    uint32_t *slot = g->step_words[g->step_slot];
    g->step_slot = (g->step_slot + 1) % BF_STEP_RING;
    memcpy(slot, words, sizeof g->step_words[0]);
    BF_TRY(bf_write_async(g->ctx, bf_graph_step(g), slot, sizeof g->step_words[0], err));
out:
    return st;
}
