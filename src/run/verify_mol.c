#include "run/verify_mol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "run/official.h"
#include "run/verify_flow.h"

#define MAX_ATOMS 1000000

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* Complex numbers that ascend from 0; *complexes grows to the number of them. */
static bf_status read_owners(const bf_verify *v, const char *name, float **out, uint32_t *atoms, uint32_t *complexes,
                             bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t n = 0;
    BF_TRY(bf_verify_read(v, name, out, &n, err));
    BF_CHECK(n >= 1 && n <= MAX_ATOMS, BF_FILE, "%s: %llu atoms", name, (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        const float own = (*out)[i], before = i > 0 ? (*out)[i - 1] : 0.0f;
        BF_CHECK(own >= before && own < MAX_ATOMS && own == (float)(uint32_t)own, BF_FILE,
                 "%s: the complexes of the atoms do not ascend", name);
        *complexes = BF_MAX(*complexes, (uint32_t)own + 1);
    }
    *atoms = (uint32_t)n;
out:
    return st;
}

/* Complex after complex, in each the pocket's atoms and then the ligand's. */
static void place_atoms(bf_mol_batch *b)
{
    uint32_t node = 0, p = 0, l = 0;
    for (uint32_t s = 0; s < b->complexes; s++) {
        b->offset[s] = node;
        for (; p < b->pocket && b->pocket_of[p] == (float)s; p++, node++) b->row[node] = p;
        for (; l < b->ligand && b->ligand_of[l] == (float)s; l++, node++) b->row[node] = b->pocket + l;
        for (uint32_t i = b->offset[s]; i < node; i++) {
            b->segment[i] = s;
            b->node[b->row[i]] = i;
        }
    }
    b->offset[b->complexes] = node;
}

bf_status bf_mol_batch_read(const bf_verify *v, const char *pocket_of, const char *ligand_of, bf_mol_batch *out,
                            bf_err *err)
{
    bf_status st = BF_OK;
    *out = (bf_mol_batch){0};
    BF_TRY(read_owners(v, pocket_of, &out->pocket_of, &out->pocket, &out->complexes, err));
    BF_TRY(read_owners(v, ligand_of, &out->ligand_of, &out->ligand, &out->complexes, err));
    const size_t nodes = (size_t)out->pocket + out->ligand;
    BF_NEW(out->offset, (size_t)out->complexes + 1);
    BF_NEW(out->segment, nodes);
    BF_NEW(out->row, nodes);
    BF_NEW(out->node, nodes);
    place_atoms(out);
out:
    return st;
}

void bf_mol_batch_free(bf_mol_batch *b)
{
    free(b->pocket_of);
    free(b->ligand_of);
    free(b->offset);
    free(b->segment);
    free(b->row);
    free(b->node);
    *b = (bf_mol_batch){0};
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

bf_status bf_mol_case_open(bf_verify *v, double type_weight, bf_mol_case *out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    json_t *config = NULL;
    const uint32_t atom[3] = {1, 1, BF_MOLECULE_DIMS};
    *out = (bf_mol_case){.v = v, .scale = bf_golden_meta(v, "position_scale", 0.0)};
    BF_CHECK(out->scale > 0.0, BF_FILE, "%s: no unit of length", bf_st_name(f));
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "config"), &config, err));
    BF_TRY(bf_molcraft_read(config, &out->settings, err));
    BF_TRY(bf_molcraft_config(&out->settings, NULL, &out->config, err));
    out->config.mol.type_weight = type_weight;
    BF_TRY(bf_setup_hybrid(&out->config, NULL, atom, &out->hybrid, err));
    BF_TRY(bf_hybrid_check(&out->hybrid, err));
    out->net = bf_setup_unio2(&out->config, &out->hybrid);
    BF_TRY(bf_unio2_check(&out->net, err));
out:
    if (st == BF_USAGE) st = err->status = BF_FILE;
    json_decref(config);
    return st;
}

void bf_mol_case_close(bf_mol_case *c)
{
    bf_hybrid_free(&c->hybrid);
}

/* ---- the network ------------------------------------------------------------------------------------------------- */

void bf_mol_net(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    const bf_mol_case *c = user;
    const bf_mol_batch *b = c->batch;
    const uint64_t pocket = b->pocket, ligand = b->ligand, nodes = pocket + ligand, ends = (uint64_t)b->complexes + 1;
    const bf_unio2_batch batch = {
        .pocket_x = bf_graph_input(g, "pocket_x", 2, (uint64_t[]){pocket, 3}),
        .pocket_v = bf_graph_input(g, "pocket_v", 2, (uint64_t[]){pocket, (uint64_t)c->net.pocket_features}),
        .x = bf_graph_reshape(g, input[0], 2, (uint64_t[]){ligand, 3}),
        .types = bf_graph_reshape(g, input[1], 2, (uint64_t[]){ligand, (uint64_t)c->net.types}),
        .t = c->net.time_dim > 0 ? t : BF_NONE,
        .nodes = {.offset = bf_graph_input(g, "offset", 1, &ends), .segment = bf_graph_input(g, "segment", 1, &nodes)},
        .row = bf_graph_input(g, "row", 1, &nodes),
        .node = bf_graph_input(g, "node", 1, &nodes)};
    bf_unio2_build(g, &c->net, &batch, &out[0], &out[1]);
}

static bf_status put(const bf_mol_case *c, const bf_graph *g, const char *name, const void *data, bf_err *err)
{
    const bf_tid t = bf_graph_find(g, name);
    return bf_write(bf_verify_ctx(c->v), bf_graph_mem(g, t), data, (size_t)bf_graph_numel(g, t) * sizeof(float), err);
}

bf_status bf_mol_fill(const bf_mol_case *c, const bf_graph *g, const float *pocket_x, const float *pocket_v,
                      bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(put(c, g, "pocket_x", pocket_x, err));
    BF_TRY(put(c, g, "pocket_v", pocket_v, err));
    BF_TRY(put(c, g, "offset", c->batch->offset, err));
    BF_TRY(put(c, g, "segment", c->batch->segment, err));
    BF_TRY(put(c, g, "row", c->batch->row, err));
    BF_TRY(put(c, g, "node", c->batch->node, err));
out:
    return st;
}

/* ---- positions --------------------------------------------------------------------------------------------------- */

static void turn(float x[3], const float *rotation)
{
    double y[3] = {0};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) y[k] += (double)x[i] * (double)rotation[3 * i + k];
    for (int k = 0; k < 3; k++) x[k] = (float)y[k];
}

static void prepare(const bf_mol_case *c, float *x, uint32_t atoms, const float *noise, const float *rotation)
{
    for (size_t i = 0; i < (size_t)3 * atoms; i++)
        x[i] = (float)((double)x[i] / c->scale + (noise ? (double)noise[i] : 0.0));
    for (uint32_t i = 0; rotation && i < atoms; i++) turn(x + 3 * (size_t)i, rotation);
}

static void subtract(float *x, const float *owner, uint32_t atoms, const double *centre)
{
    for (uint32_t i = 0; i < atoms; i++)
        for (size_t k = 0; k < 3; k++) {
            float *at = &x[3 * (size_t)i + k];
            *at = (float)((double)*at - centre[3 * (size_t)owner[i] + k]);
        }
}

void bf_mol_frame(const bf_mol_case *c, float *pocket_x, float *ligand_x, const float *noise, const float *rotation,
                  double *centre)
{
    const bf_mol_batch *b = c->batch;
    prepare(c, pocket_x, b->pocket, noise, rotation);
    if (ligand_x) prepare(c, ligand_x, b->ligand, NULL, rotation);
    memset(centre, 0, (size_t)b->complexes * 3 * sizeof *centre);
    for (uint32_t s = 0, i = 0; s < b->complexes; s++) {
        const uint32_t first = i;
        for (; i < b->pocket && b->pocket_of[i] == (float)s; i++)
            for (size_t k = 0; k < 3; k++) centre[3 * (size_t)s + k] += (double)pocket_x[3 * (size_t)i + k];
        for (size_t k = 0; k < 3 && i > first; k++) centre[3 * (size_t)s + k] /= (double)(i - first);
    }
    subtract(pocket_x, b->pocket_of, b->pocket, centre);
    if (ligand_x) subtract(ligand_x, b->ligand_of, b->ligand, centre);
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

/* A graph that only looks for neighbours: sources and their numbers per node. */
static bf_status find_edges(const bf_mol_case *c, const float *x, uint32_t *src, uint32_t *count, int *slots,
                            bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay r = {.v = c->v};
    const uint64_t nodes = (uint64_t)c->batch->pocket + c->batch->ligand, ends = (uint64_t)c->batch->complexes + 1;
    BF_TRY(bf_replay_new(&r, c->v, err));
    BF_TRY(bf_replay_graph(&r, false, err));
    const bf_tid at = bf_graph_input(r.graph, "x", 2, (uint64_t[]){nodes, 3});
    const bf_ragged ragged = {.offset = bf_graph_input(r.graph, "offset", 1, &ends),
                              .segment = bf_graph_input(r.graph, "segment", 1, &nodes)};
    const bf_edges e = bf_graph_neighbours(r.graph, at, &ragged, c->net.neighbours);
    bf_graph_keep(r.graph, e.src);
    bf_graph_keep(r.graph, e.count);
    BF_TRY(bf_replay_prepare(&r, 1u << BF_SET_VALUE, "", "", err));
    BF_TRY(put(c, r.graph, "x", x, err));
    BF_TRY(put(c, r.graph, "offset", c->batch->offset, err));
    BF_TRY(put(c, r.graph, "segment", c->batch->segment, err));
    BF_TRY(bf_replay_run(&r, err));
    *slots = e.slots;
    BF_TRY(bf_read(bf_verify_ctx(c->v), src, bf_graph_mem(r.graph, e.src),
                   (size_t)nodes * (size_t)e.slots * sizeof *src, err));
    BF_TRY(bf_read(bf_verify_ctx(c->v), count, bf_graph_mem(r.graph, e.count), (size_t)nodes * sizeof *count, err));
out:
    bf_replay_free(&r);
    return st;
}

/* Where the edges differ from the stored ones; "": nowhere. */
static void compare_edges(const uint32_t *src, const uint32_t *count, int slots, uint64_t nodes, const float *stored,
                          uint64_t edges, char note[96])
{
    uint64_t e = 0;
    note[0] = '\0';
    for (uint64_t i = 0; i < nodes; i++)
        for (uint32_t s = 0; s < count[i]; s++, e++) {
            if (e < edges && stored[e] == (float)src[i * (uint64_t)slots + s] && stored[edges + e] == (float)i)
                continue;
            snprintf(note, 96, "edge %llu, into atom %llu, is another one", (unsigned long long)e,
                     (unsigned long long)i);
            return;
        }
    if (e != edges) snprintf(note, 96, "%llu edges instead of %llu", (unsigned long long)e, (unsigned long long)edges);
}

bf_status bf_mol_check_edges(const bf_mol_case *c, const char *name, const float *pocket_x, const float *ligand_x,
                             bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t nodes = (uint64_t)c->batch->pocket + c->batch->ligand;
    float *x = NULL, *stored = NULL;
    uint32_t *src = NULL, *count = NULL;
    uint64_t n = 0;
    int slots = 0;
    char note[96];
    BF_TRY(bf_verify_read(c->v, name, &stored, &n, err));
    BF_NEW(x, 3 * nodes);
    BF_NEW(src, nodes * ((uint64_t)c->net.neighbours + 1));
    BF_NEW(count, nodes);
    for (uint64_t i = 0; i < nodes; i++) {
        const uint32_t row = c->batch->row[i];
        const float *from =
            row < c->batch->pocket ? pocket_x + 3 * (size_t)row : ligand_x + 3 * (size_t)(row - c->batch->pocket);
        memcpy(x + 3 * i, from, 3 * sizeof *x);
    }
    BF_TRY(find_edges(c, x, src, count, &slots, err));
    compare_edges(src, count, slots, nodes, stored, n / 2, note);
    bf_verify_fact(c->v, name, note[0] == '\0', note);
out:
    free(x);
    free(stored);
    free(src);
    free(count);
    return st;
}
