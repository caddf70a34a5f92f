/*
 * Peer program: training steps (forward, backward, clipping, Adam) of the full-size network of MolCRAFT on complexes of
 * 350 atoms of a pocket and 25 of a ligand at random places.
 *
 *     unio2 [COMPLEXES [DEVICE]]
 *
 * Answers every line on stdin, a number of steps, with a line of their times in milliseconds, after one line that says
 * how many parameters are trained. See unio2_ratio.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/unio2.h"
#include "op/op.h"

enum { POCKET = 350, LIGAND = 25, COMPLEX = POCKET + LIGAND };

#define SETS (1u << BF_SET_VALUE | 1u << BF_SET_GRAD | 1u << BF_SET_M | 1u << BF_SET_V)

typedef struct peer {
    bf_ctx *ctx;
    bf_params *params;
    bf_graph *g;
    bf_cmds *cmds;
    bf_buf *stats, *ws;
    uint64_t complexes;
    bf_unio2_batch batch;
} peer;

static void ok(bf_status st, const bf_err *err)
{
    if (st == BF_OK) return;
    fprintf(stderr, "unio2: %s\n", err->message);
    exit(EXIT_FAILURE);
}

static void *memory(size_t n)
{
    void *p = calloc(n, 1);

    if (!p) abort();
    return p;
}

static void build(peer *p)
{
    bf_err e = {0};
    bf_graph *g = p->g;
    bf_unio2_batch *b = &p->batch;
    const bf_unio2 net = bf_unio2_defaults();
    const uint64_t pocket = p->complexes * POCKET, ligand = p->complexes * LIGAND, nodes = pocket + ligand,
                   ends = p->complexes + 1;
    bf_tid x, logits;

    b->pocket_x = bf_graph_input(g, "pocket_x", 2, (uint64_t[]){pocket, 3});
    b->pocket_v = bf_graph_input(g, "pocket_v", 2, (uint64_t[]){pocket, (uint64_t)net.pocket_features});
    b->x = bf_graph_input(g, "x", 2, (uint64_t[]){ligand, 3});
    b->types = bf_graph_input(g, "types", 2, (uint64_t[]){ligand, (uint64_t)net.types});
    b->t = bf_graph_input(g, "t", 1, &ligand);
    b->nodes.offset = bf_graph_input(g, "offset", 1, &ends);
    b->nodes.segment = bf_graph_input(g, "segment", 1, &nodes);
    b->row = bf_graph_input(g, "row", 1, &nodes);
    b->node = bf_graph_input(g, "node", 1, &nodes);
    bf_unio2_build(g, &net, b, &x, &logits);
    const bf_tid loss = bf_graph_add(g, bf_graph_dot(g, x, x), bf_graph_dot(g, logits, logits));
    bf_graph_keep(g, loss);
    ok(bf_graph_backward(g, loss, BF_NONE, &e), &e);
    ok(bf_params_alloc(p->params, SETS, &e), &e);
    ok(bf_params_init(p->params, 1, &e), &e);
    ok(bf_graph_plan(g, true, NULL, &e), &e);
    ok(bf_graph_emit(g, p->cmds, &e), &e);
}

static void add_optimiser(peer *p)
{
    bf_err e = {0};
    const bf_adamw adam = {.beta1 = 0.95, .beta2 = 0.999, .eps = 1e-8};
    const bf_param_range *r;
    const int n = bf_params_ranges(p->params, &r);
    uint64_t bytes = sizeof(float);

    for (int i = 0; i < n; i++) bytes = BF_MAX(bytes, bf_grad_norm_workspace(p->ctx, r[i].count));
    ok(bf_buf_new(p->ctx, BF_STATS * sizeof(float), "statistics", &p->stats, &e), &e);
    ok(bf_buf_new(p->ctx, bytes, "workspace", &p->ws, &e), &e);
    const bf_mem stats = {p->stats, 0}, ws = {p->ws, 0};
    for (int i = 0; i < n; i++) ok(bf_grad_sumsq(p->cmds, stats, i > 0, r[i].mem[BF_SET_GRAD], r[i].count, ws, &e), &e);
    ok(bf_clip_factor(p->cmds, stats, 8.0f, &e), &e);
    for (int i = 0; i < n; i++)
        ok(bf_adamw_step(p->cmds, &adam, r[i].mem[BF_SET_VALUE], r[i].mem[BF_SET_GRAD], r[i].mem[BF_SET_M],
                         r[i].mem[BF_SET_V], BF_MEM_NONE, stats, bf_graph_step(p->g), r[i].count, &e),
           &e);
}

static float uniform(float low, float high)
{
    static uint32_t state = 1;

    state = state * 1664525u + 1013904223u;
    return low + (high - low) * (float)(state >> 8) / 16777216.0f;
}

/* As many atoms per volume as in unio2_ratio.py. */
static void put_random(const peer *p, bf_tid t, float low, float high)
{
    bf_err e = {0};
    const uint64_t n = bf_graph_numel(p->g, t);
    float *x = memory(n * sizeof *x);

    for (uint64_t i = 0; i < n; i++) x[i] = uniform(low, high);
    ok(bf_write(p->ctx, bf_graph_mem(p->g, t), x, n * sizeof *x, &e), &e);
    free(x);
}

static void put_nodes(const peer *p)
{
    bf_err e = {0};
    const uint64_t pocket = p->complexes * POCKET, nodes = p->complexes * COMPLEX;
    const bf_tid to[4] = {p->batch.nodes.offset, p->batch.nodes.segment, p->batch.row, p->batch.node};
    uint32_t *w[4];

    for (int i = 0; i < 4; i++) w[i] = memory((nodes + 1) * sizeof *w[i]);
    for (uint64_t c = 0; c <= p->complexes; c++) w[0][c] = (uint32_t)(c * COMPLEX);
    for (uint64_t i = 0; i < nodes; i++) {
        const uint64_t c = i / COMPLEX, k = i % COMPLEX;
        w[1][i] = (uint32_t)c;
        w[2][i] = (uint32_t)(k < POCKET ? c * POCKET + k : pocket + c * LIGAND + k - POCKET);
        w[3][w[2][i]] = (uint32_t)i;
    }
    for (int i = 0; i < 4; i++) {
        ok(bf_write(p->ctx, bf_graph_mem(p->g, to[i]), w[i], bf_graph_numel(p->g, to[i]) * sizeof *w[i], &e), &e);
        free(w[i]);
    }
}

static double step(const peer *p, uint32_t number)
{
    bf_err e = {0};
    uint32_t words[BF_STEP_WORDS] = {[BF_STEP_STEP] = number};
    const float rates[3] = {5e-4f, 0.5f, 0.5f}; /* learning rate and what stands for the corrections of a bias */
    const double start = bf_seconds();

    memcpy(&words[BF_STEP_LR], rates, sizeof rates);
    ok(bf_graph_set_step(p->g, words, &e), &e);
    ok(bf_cmds_run(p->cmds, &e), &e);
    ok(bf_finish(p->ctx, &e), &e);
    const double ms = 1e3 * (bf_seconds() - start);
    float stats[BF_STATS];
    ok(bf_read(p->ctx, stats, (bf_mem){p->stats, 0}, sizeof stats, &e), &e);
    if (stats[BF_STAT_FINITE] != 1.0f || !(stats[BF_STAT_NORM] > 0)) {
        fprintf(stderr, "unio2: a gradient of norm %g: nothing was trained\n", (double)stats[BF_STAT_NORM]);
        exit(EXIT_FAILURE);
    }
    return ms;
}

int main(int argc, char **argv)
{
    bf_err e = {0};
    const bf_ctx_options o = {.selector = argc > 2 ? argv[2] : NULL};
    const bf_graph_options options = {.training = true, .weights = BF_SET_VALUE};
    peer p = {.complexes = argc > 1 ? strtoull(argv[1], NULL, 10) : 8};
    uint64_t trained = 0;
    char line[32];

    if (p.complexes < 1 || p.complexes > 1000) return EXIT_FAILURE;
    ok(bf_ctx_open(&o, &p.ctx, &e), &e);
    ok(bf_params_new(p.ctx, &p.params, &e), &e);
    ok(bf_graph_new(p.ctx, p.params, &options, &p.g, &e), &e);
    ok(bf_cmds_new(p.ctx, &p.cmds, &e), &e);
    build(&p);
    add_optimiser(&p);
    put_random(&p, p.batch.pocket_x, -6, 6);
    put_random(&p, p.batch.pocket_v, 0, 0.2f);
    put_random(&p, p.batch.x, -2, 2);
    put_random(&p, p.batch.types, 0, 0.2f);
    put_random(&p, p.batch.t, 0, 1);
    put_nodes(&p);
    for (int i = 0; i < bf_params_count(p.params); i++) {
        const bf_param_spec *s = bf_params_spec(p.params, i);
        if (!s->buffer && !strstr(s->name, "init_h_emb_layer")) trained += bf_param_numel(s);
    }
    step(&p, 0);
    printf("%llu\n", (unsigned long long)trained);
    for (uint32_t n = 1; fflush(stdout) == 0 && fgets(line, sizeof line, stdin);) {
        for (int left = atoi(line); left > 0; left--) printf("%.1f ", step(&p, n++));
        printf("\n");
    }
    bf_cmds_free(p.cmds);
    bf_graph_free(p.g);
    bf_params_free(p.params);
    bf_buf_free(p.stats);
    bf_buf_free(p.ws);
    bf_ctx_close(p.ctx);
    return EXIT_SUCCESS;
}
