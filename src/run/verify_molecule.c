/* Replays of kind molcraft network. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/molcraft.h"
#include "run/official.h"
#include "run/replay.h"

/* One case. The host's part of the noise form of the output: x_hat = a mu - b out, per atom; a = 0, b = -1 where the
 * output is x_hat itself. */
typedef struct molecule {
    bf_replay r;
    bf_unio2 net;
    bf_unio2_batch batch;
    bf_tid weight, p_weight, out, logits, p, loss;
    double sigma1, t_min;
    bool noise;
    uint64_t pocket, ligand, nodes;
    float *a, *b, *time, *mu, *x_weight;
    uint32_t *word[4]; /* offset, segment, row, node */
    uint64_t words[4];
} molecule;

static void molecule_free(molecule *m)
{
    bf_replay_free(&m->r);
    free(m->a);
    free(m->b);
    free(m->time);
    free(m->mu);
    free(m->x_weight);
    for (int i = 0; i < 4; i++) free(m->word[i]);
}

/* ---- what the file says ------------------------------------------------------------------------------------------ */

static bf_status read_config(molecule *m, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(m->r.v);
    json_t *config = NULL;
    bf_molcraft settings;

    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "config"), &config, err));
    BF_TRY(bf_molcraft_read(config, &settings, err));
    m->net = bf_molcraft_net(&settings);
    m->sigma1 = settings.sigma1;
    m->t_min = settings.t_min;
    m->noise = !settings.destination;
out:
    json_decref(config);
    return st;
}

/* Reads whole numbers below `limit`. */
static bf_status read_numbers(molecule *m, const char *name, uint64_t want, uint32_t limit, uint32_t **out, bf_err *err)
{
    bf_status st = BF_OK;
    float *values = NULL;
    uint32_t *numbers = NULL;
    uint64_t n;

    BF_TRY(bf_verify_read(m->r.v, name, &values, &n, err));
    BF_CHECK(n == want, BF_FILE, "%s: '%s' has %llu elements, not %llu", bf_st_name(bf_verify_file(m->r.v)), name,
             (unsigned long long)n, (unsigned long long)want);
    BF_NEW(numbers, n + 1);
    for (uint64_t i = 0; i < n; i++) {
        BF_CHECK(values[i] >= 0.0f && values[i] < (float)limit, BF_FILE, "%s: '%s' is out of range",
                 bf_st_name(bf_verify_file(m->r.v)), name);
        numbers[i] = (uint32_t)values[i];
    }
    *out = numbers;
    numbers = NULL;
out:
    free(values);
    free(numbers);
    return st;
}

/* offset and row from the segments of the nodes and from which of them are the ligand's. */
static bf_status read_nodes(molecule *m, uint64_t segments, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t n = m->nodes;
    uint32_t *ligand = NULL;
    uint64_t rows[2] = {0, m->pocket};

    BF_TRY(read_numbers(m, "node_batch", n, (uint32_t)segments, &m->word[1], err));
    BF_TRY(read_numbers(m, "node_ligand", n, 2, &ligand, err));
    BF_NEW(m->word[0], segments + 1);
    BF_NEW(m->word[2], n);
    BF_NEW(m->word[3], n);
    for (uint64_t i = 0, s = 0; i < n; i++) {
        BF_CHECK(m->word[1][i] >= (i > 0 ? m->word[1][i - 1] : 0) && rows[ligand[i]] < (ligand[i] ? n : m->pocket),
                 BF_FILE, "%s: its nodes are in disorder", bf_st_name(bf_verify_file(m->r.v)));
        while (s < m->word[1][i]) m->word[0][++s] = (uint32_t)i;
        m->word[2][i] = (uint32_t)rows[ligand[i]]++;
        m->word[3][m->word[2][i]] = (uint32_t)i;
    }
    for (uint64_t s = m->word[1][n - 1] + 1; s <= segments; s++) m->word[0][s] = (uint32_t)n;
    m->words[0] = segments + 1;
    m->words[1] = m->words[2] = m->words[3] = n;
out:
    free(ligand);
    return st;
}

/* The time of every atom and what it makes of an output. */
static bf_status read_times(molecule *m, bf_err *err)
{
    bf_status st = BF_OK;
    float *t = NULL, *gamma = NULL;
    uint32_t *of = NULL;
    uint64_t batch, n;

    BF_TRY(bf_verify_read(m->r.v, "t", &t, &batch, err));
    BF_CHECK(batch > 0 && batch <= m->nodes, BF_FILE, "%s: %llu times", bf_st_name(bf_verify_file(m->r.v)),
             (unsigned long long)batch);
    BF_TRY(read_nodes(m, batch, err));
    BF_TRY(read_numbers(m, "batch_ligand", m->ligand, (uint32_t)batch, &of, err));
    BF_NEW(m->time, m->ligand);
    BF_NEW(m->a, m->ligand);
    BF_NEW(m->b, m->ligand);
    BF_NEW(gamma, m->ligand);
    for (uint64_t i = 0; i < m->ligand; i++) {
        m->time[i] = t[of[i]];
        const double g = 1.0 - pow(m->sigma1, 2.0 * (double)m->time[i]);
        const bool late = (double)m->time[i] >= m->t_min;
        gamma[i] = (float)g;
        m->a[i] = m->noise && late ? (float)(1.0 / g) : 0.0f;
        m->b[i] = !m->noise ? -1.0f : late ? (float)sqrt((1.0 - g) / g) : 0.0f;
    }
    bf_verify_tensor(m->r.v, "gamma", gamma, m->ligand, BF_VERIFY_FORWARD);
    BF_TRY(bf_verify_read(m->r.v, "mu", &m->mu, &n, err));
    BF_TRY(bf_verify_read(m->r.v, "x_hat_weight", &m->x_weight, &n, err));
    BF_CHECK(n == 3 * m->ligand, BF_FILE, "%s: 'x_hat_weight' does not fit %llu atoms",
             bf_st_name(bf_verify_file(m->r.v)), (unsigned long long)m->ligand);
out:
    free(t);
    free(gamma);
    free(of);
    return st;
}

/* ---- the graph --------------------------------------------------------------------------------------------------- */

/* Inner outputs: keeps those the graph has (before the plan), or compares them (after the run). The gates are stored
 * edge by edge and compared with the edges. */
static bf_status inner_outputs(molecule *m, bool compare, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(m->r.v);

    for (size_t i = 0; i < bf_st_count(f); i++) {
        const char *name = bf_st_at(f, i)->name;
        if (strncmp(name, "act.", 4) != 0) continue;
        const bf_tid t = bf_graph_find(m->r.graph, name);
        if (!compare)
            bf_graph_keep(m->r.graph, t);
        else if (t < 0)
            bf_verify_skip(m->r.v, name, "no such inner output");
        else if (strcmp(name, "act.edge_gate") != 0)
            BF_TRY(bf_replay_compare(&m->r, name, t, BF_VERIFY_FORWARD, err));
    }
out:
    return st;
}

static bf_status build(molecule *m, bf_err *err)
{
    bf_status st = BF_OK;
    bf_graph *g = m->r.graph;
    bf_unio2_batch *b = &m->batch;

    BF_TRY(bf_replay_input(&m->r, "protein_pos", false, &b->pocket_x, err));
    BF_TRY(bf_replay_input(&m->r, "protein_v", false, &b->pocket_v, err));
    BF_TRY(bf_replay_input(&m->r, "mu", false, &b->x, err));
    BF_TRY(bf_replay_input(&m->r, "theta", false, &b->types, err));
    BF_TRY(bf_replay_input(&m->r, "p_weight", false, &m->p_weight, err));
    m->pocket = bf_graph_dim(g, b->pocket_x, 0);
    m->ligand = bf_graph_dim(g, b->x, 0);
    m->nodes = m->pocket + m->ligand;
    BF_TRY(read_times(m, err));
    b->t = m->net.time_dim > 0 ? bf_graph_input(g, "time", 1, &m->ligand) : BF_NONE;
    b->nodes.offset = bf_graph_input(g, "offset", 1, &m->words[0]);
    b->nodes.segment = bf_graph_input(g, "segment", 1, &m->words[1]);
    b->row = bf_graph_input(g, "row", 1, &m->words[2]);
    b->node = bf_graph_input(g, "node", 1, &m->words[3]);
    b->pocket_gradient = true;
    const bf_tid wanted[5] = {b->pocket_x, b->pocket_v, b->x, b->types, b->t};
    for (int i = 0; i < 5; i++) bf_graph_want_grad(g, wanted[i]);
    m->weight = bf_graph_input(g, "out_weight", 2, (uint64_t[]){m->ligand, 3});
    bf_unio2_build(g, &m->net, b, &m->out, &m->logits);
    m->p = bf_graph_softmax(g, m->logits);
    m->loss = bf_graph_add(g, bf_graph_dot(g, m->out, m->weight), bf_graph_dot(g, m->p, m->p_weight));
    const bf_tid kept[4] = {m->out, m->logits, m->p, m->loss};
    for (int i = 0; i < 4; i++) bf_graph_keep(g, kept[i]);
    BF_TRY(inner_outputs(m, false, err));
    BF_TRY(bf_graph_backward(g, m->loss, BF_NONE, err));
out:
    return st;
}

static bf_status fill(molecule *m, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(m->r.v);
    const bf_unio2_batch *b = &m->batch;
    const bf_tid words[4] = {b->nodes.offset, b->nodes.segment, b->row, b->node};
    float *weight = NULL;

    BF_TRY(bf_replay_fill(&m->r, b->pocket_x, "protein_pos", -1, err));
    BF_TRY(bf_replay_fill(&m->r, b->pocket_v, "protein_v", -1, err));
    BF_TRY(bf_replay_fill(&m->r, b->x, "mu", -1, err));
    BF_TRY(bf_replay_fill(&m->r, b->types, "theta", -1, err));
    BF_TRY(bf_replay_fill(&m->r, m->p_weight, "p_weight", -1, err));
    for (int i = 0; i < 4; i++)
        BF_TRY(bf_write(ctx, bf_graph_mem(m->r.graph, words[i]), m->word[i], m->words[i] * sizeof *m->word[i], err));
    if (b->t >= 0) BF_TRY(bf_write(ctx, bf_graph_mem(m->r.graph, b->t), m->time, m->ligand * sizeof *m->time, err));
    BF_NEW(weight, 3 * m->ligand);
    for (uint64_t i = 0; i < 3 * m->ligand; i++) weight[i] = -m->b[i / 3] * m->x_weight[i];
    BF_TRY(bf_write(ctx, bf_graph_mem(m->r.graph, m->weight), weight, 3 * m->ligand * sizeof *weight, err));
out:
    free(weight);
    return st;
}

/* ---- comparison -------------------------------------------------------------------------------------------------- */

/* The neighbours that the network found against the stored edges, and the gate of each. */
static bf_status compare_edges(molecule *m, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t slots = (uint64_t)m->net.neighbours + 1,
                   edges = bf_st_find(bf_verify_file(m->r.v), "edge_src")->count;
    const bf_tid gate = bf_graph_find(m->r.graph, "act.edge_gate");
    uint32_t *src = NULL, *dst = NULL, *kind = NULL;
    float *gates = NULL, *mine = NULL;
    bool same = true;
    uint64_t slot = 0;

    BF_TRY(read_numbers(m, "edge_src", edges, (uint32_t)m->nodes, &src, err));
    BF_TRY(read_numbers(m, "edge_dst", edges, (uint32_t)m->nodes, &dst, err));
    BF_TRY(read_numbers(m, "edge_type", edges, BF_EDGE_KINDS, &kind, err));
    BF_TRY(bf_replay_read(&m->r, gate, &gates, err));
    BF_NEW(mine, edges + 1);
    for (uint64_t e = 0; e < edges; e++) {
        const bool new_node = e == 0 || dst[e] != dst[e - 1];
        const bool pocket[2] = {m->word[2][src[e]] < m->pocket, m->word[2][dst[e]] < m->pocket};
        slot = new_node ? 0 : slot + 1;
        same = same && slot < slots && kind[e] == 2u * pocket[0] + pocket[1];
        mine[e] = slot < slots ? gates[dst[e] * slots + slot] : NAN;
    }
    for (uint64_t i = 0, used = 0; i < m->nodes * slots; i++) /* a gate behind the edges of a node is 0 */
        same = same && (gates[i] == 0.0f || ++used <= edges);
    bf_verify_fact(m->r.v, "edge_type", same, "the edges of a node or their kinds differ");
    bf_verify_tensor(m->r.v, "act.edge_gate", mine, edges, BF_VERIFY_FORWARD);
out:
    free(src);
    free(dst);
    free(kind);
    free(gates);
    free(mine);
    return st;
}

/* x_hat and the gradient by mu, with what the host has to add. */
static bf_status compare_positions(molecule *m, bf_err *err)
{
    bf_status st = BF_OK;
    float *out = NULL, *grad = NULL, *loss = NULL;

    BF_TRY(bf_replay_read(&m->r, m->out, &out, err));
    BF_TRY(bf_replay_read(&m->r, bf_graph_grad_of(m->r.graph, m->batch.x), &grad, err));
    BF_TRY(bf_replay_read(&m->r, m->loss, &loss, err));
    double sum = (double)loss[0];
    for (uint64_t i = 0; i < 3 * m->ligand; i++) {
        const float a = m->a[i / 3];
        out[i] = a * m->mu[i] - m->b[i / 3] * out[i];
        grad[i] += a * m->x_weight[i];
        sum += (double)a * (double)m->mu[i] * (double)m->x_weight[i];
    }
    loss[0] = (float)sum;
    bf_verify_tensor(m->r.v, "x_hat", out, 3 * m->ligand, BF_VERIFY_FORWARD);
    bf_verify_tensor(m->r.v, "loss", loss, 1, BF_VERIFY_FORWARD);
    bf_verify_tensor(m->r.v, "g_mu", grad, 3 * m->ligand, BF_VERIFY_GRADIENT);
out:
    free(out);
    free(grad);
    free(loss);
    return st;
}

static bf_status compare_all(molecule *m, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay *r = &m->r;
    const bf_graph *g = r->graph;
    float *zeros = NULL;

    BF_TRY(inner_outputs(m, true, err));
    BF_TRY(compare_edges(m, err));
    BF_TRY(bf_replay_compare(r, "logits", m->logits, BF_VERIFY_FORWARD, err));
    BF_TRY(bf_replay_compare(r, "p", m->p, BF_VERIFY_FORWARD, err));
    BF_TRY(compare_positions(m, err));
    BF_TRY(bf_replay_compare(r, "g_protein_pos", bf_graph_grad_of(g, m->batch.pocket_x), BF_VERIFY_GRADIENT, err));
    BF_TRY(bf_replay_compare(r, "g_protein_v", bf_graph_grad_of(g, m->batch.pocket_v), BF_VERIFY_GRADIENT, err));
    BF_TRY(bf_replay_compare(r, "g_theta", bf_graph_grad_of(g, m->batch.types), BF_VERIFY_GRADIENT, err));
    if (m->batch.t >= 0) {
        BF_TRY(bf_replay_compare(r, "g_time", bf_graph_grad_of(g, m->batch.t), BF_VERIFY_GRADIENT, err));
    } else {
        BF_NEW(zeros, m->ligand);
        bf_verify_tensor(r->v, "g_time", zeros, m->ligand, BF_VERIFY_GRADIENT);
    }
    BF_TRY(bf_replay_params(r, BF_SET_GRAD, "g.dynamics.", BF_VERIFY_GRADIENT, err));
out:
    free(zeros);
    return st;
}

bf_status bf_verify_molecule_network(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    molecule m = {.r = {.v = v}};

    BF_TRY(bf_replay_new(&m.r, v, err));
    BF_TRY(read_config(&m, err));
    BF_TRY(build(&m, err));
    BF_TRY(bf_replay_prepare(&m.r, 1u << BF_SET_VALUE | 1u << BF_SET_GRAD, "w.dynamics.", "b.dynamics.", err));
    BF_TRY(fill(&m, err));
    BF_TRY(bf_replay_run(&m.r, err));
    BF_TRY(compare_all(&m, err));
out:
    molecule_free(&m);
    return st;
}
