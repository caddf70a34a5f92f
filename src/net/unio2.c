/*
 * The equivariant network of MolCRAFT. Graph: the nearest neighbours of every atom among those of its complex, from the
 * first positions, kept for all layers. Layer: feature step (h grows by attention over the neighbours), then position
 * step of the ligand's atoms with the new h. Only distances enter the features and only differences of positions move
 * atoms, so the network turns, mirrors and moves with its input.
 */
#include "net/unio2.h"

#include <stdio.h>

#include "net/layers.h"

#define EPS 1e-5f

typedef struct layer_params {
    bf_edge_mlp feature[3], position[3]; /* keys, values, queries */
} layer_params;

typedef struct unio2 {
    bf_graph *g;
    const bf_unio2 *c;
    bf_edge_mlp gate;
    layer_params layer[BF_UNIO2_LAYERS];
    bf_layer_params pocket, ligand, time[2], last[2];
} unio2;

bf_unio2 bf_unio2_defaults(void)
{
    return (bf_unio2){.width = 128,
                      .heads = 16,
                      .layers = 9,
                      .neighbours = 32,
                      .pocket_features = 27,
                      .types = 13,
                      .time_dim = 1,
                      .time_mode = BF_UNIO2_SIMPLE,
                      .indicator = true};
}

bf_status bf_unio2_check(const bf_unio2 *c, bf_err *err)
{
    bf_status st = BF_OK;

    BF_CHECK(c->width >= 2 && c->width <= BF_EDGE_WIDTH, BF_USAGE, "net.width: %d is not in 2..%d", c->width,
             BF_EDGE_WIDTH);
    BF_CHECK(c->heads >= 1 && c->width % c->heads == 0, BF_USAGE, "net.heads: %d heads do not divide the %d features",
             c->heads, c->width);
    BF_CHECK(c->layers >= 1 && c->layers <= BF_UNIO2_LAYERS, BF_USAGE, "net.blocks: %d layers, 1 to %d are possible",
             c->layers, BF_UNIO2_LAYERS);
    BF_CHECK(c->neighbours >= 1 && c->neighbours <= BF_NEIGHBOURS_MOST, BF_USAGE,
             "net.neighbours: %d, 1 to %d are possible", c->neighbours, BF_NEIGHBOURS_MOST);
    BF_CHECK(c->pocket_features >= 0 && c->pocket_features <= 4096 && c->types >= 1 && c->types <= 4096, BF_USAGE,
             "net: %d features of a pocket's atom, %d types of atoms: out of range", c->pocket_features, c->types);
    BF_CHECK(c->time_dim >= 0 && c->time_dim <= 4096, BF_USAGE, "net: %d numbers about the time: out of range",
             c->time_dim);
    BF_CHECK((unsigned)c->time_mode <= BF_UNIO2_RBFNN && (c->time_mode != BF_UNIO2_SIMPLE || c->time_dim <= 1),
             BF_USAGE, "net: the time itself is one number, not %d", c->time_dim);
out:
    return st;
}

/* ---- parameters, in the official order --------------------------------------------------------------------------- */

static bf_edge_mlp mlp_params(unio2 *u, const char *prefix, const char *name, int in, int out)
{
    char full[BF_NET_NAME];

    snprintf(full, sizeof full, "%s%s.net.", prefix, name);
    const bf_layer_params first = bf_linear_params(u->g, full, "0", in, u->c->width);
    const bf_layer_params norm = bf_norm_params(u->g, full, "1", u->c->width);
    const bf_layer_params second = bf_linear_params(u->g, full, "3", u->c->width, out);
    return (bf_edge_mlp){{first.weight, first.bias, norm.weight, norm.bias, second.weight, second.bias}};
}

/* The offsets of the radial code, which the kernels have built in, are part of the official state. */
static void offset_buffer(unio2 *u, const char *prefix)
{
    static const float offsets[BF_RADIAL] = BF_RADIAL_OFFSETS;
    char full[BF_NET_NAME];
    const bf_param_spec s = {
        .name = full, .ndim = 1, .dims = {BF_RADIAL}, .buffer = true, .init = BF_INIT_ZERO, .data = offsets};

    snprintf(full, sizeof full, "%sdistance_expansion.offset", prefix);
    bf_graph_param(u->g, &s);
}

/* Keys, values and queries of one step; `kind` is the letter that the official names begin with. */
static void step_params(unio2 *u, const char *prefix, const char *step, char kind, int values, bf_edge_mlp mlp[3])
{
    const int width = u->c->width, in = BF_EDGE_KINDS * (BF_RADIAL + 1) + 2 * width;
    char full[BF_NET_NAME], name[16];

    snprintf(full, sizeof full, "%s%s.0.", prefix, step);
    snprintf(name, sizeof name, "%ck_func", kind);
    mlp[0] = mlp_params(u, full, name, in, width);
    snprintf(name, sizeof name, "%cv_func", kind);
    mlp[1] = mlp_params(u, full, name, in, values);
    snprintf(name, sizeof name, "%cq_func", kind);
    mlp[2] = mlp_params(u, full, name, width, width);
}

static void register_params(unio2 *u)
{
    const bf_unio2 *c = u->c;
    const int width = c->width, embedded = width - (c->indicator ? 1 : 0), time = c->time_dim;
    bf_edge_mlp unused[3];
    char prefix[BF_NET_NAME];

    offset_buffer(u, "unio2net.");
    u->gate = mlp_params(u, "unio2net.", "edge_pred_layer", BF_RADIAL, 1);
    /* never read, but part of every official file */
    offset_buffer(u, "unio2net.init_h_emb_layer.");
    step_params(u, "unio2net.init_h_emb_layer.", "x2h_layers", 'h', width, unused);
    for (int l = 0; l < c->layers; l++) {
        snprintf(prefix, sizeof prefix, "unio2net.base_block.%d.", l);
        offset_buffer(u, prefix);
        step_params(u, prefix, "x2h_layers", 'h', width, u->layer[l].feature);
        step_params(u, prefix, "h2x_layers", 'x', c->heads, u->layer[l].position);
    }
    if (c->pocket_features > 0)
        u->pocket = bf_linear_params(u->g, "", "protein_atom_emb", c->pocket_features, embedded);
    if (time > 0 && c->time_mode == BF_UNIO2_RBFNN) {
        u->time[0] = bf_linear_params(u->g, "time_emb_layer.time_emb.", "1", time, 4 * time);
        u->time[1] = bf_linear_params(u->g, "time_emb_layer.time_emb.", "3", 4 * time, time);
    }
    u->ligand = bf_linear_params(u->g, "", "ligand_atom_emb", c->types + time, embedded);
    u->last[0] = bf_linear_params(u->g, "v_inference.", "0", width, width);
    u->last[1] = bf_linear_params(u->g, "v_inference.", "2", width, c->types);
}

/* ---- input ------------------------------------------------------------------------------------------------------- */

static bf_tid linear(bf_graph *g, bf_tid x, bf_layer_params p)
{
    return bf_graph_linear(g, x, p.weight, p.bias, BF_ACT_NONE, BF_NONE);
}

/* [rows,time_dim] */
static bf_tid time_code(const unio2 *u, bf_tid t)
{
    bf_graph *g = u->g;

    if (u->c->time_mode == BF_UNIO2_SIMPLE) return bf_graph_reshape(g, t, 2, (uint64_t[]){bf_graph_numel(g, t), 1});
    bf_tid code = bf_graph_time_bins(g, t, u->c->time_dim);
    if (u->c->time_mode == BF_UNIO2_RBF) return code;
    code = bf_graph_act(g, linear(g, code, u->time[0]), BF_ACT_GELU_ERF);
    return linear(g, code, u->time[1]);
}

/* The last column says which atoms these are. */
static bf_tid embed(const unio2 *u, bf_tid v, bf_layer_params p, float which)
{
    const bf_tid h = linear(u->g, v, p);

    if (!u->c->indicator) return h;
    return bf_graph_concat(u->g, h, bf_graph_full(u->g, 2, (uint64_t[]){bf_graph_dim(u->g, h, 0), 1}, which));
}

static bf_tid first_features(const unio2 *u, const bf_unio2_batch *b, const bf_placing *p)
{
    bf_graph *g = u->g;
    bf_tid in = bf_graph_affine(g, b->types, 2.0f, -1.0f), pocket = BF_NONE;

    if (u->c->time_dim > 0) in = bf_graph_concat(g, in, time_code(u, b->t));
    if (p->pocket > 0) pocket = embed(u, b->pocket_v, u->pocket, 0.0f);
    return bf_graph_merge_rows(g, p, pocket, embed(u, in, u->ligand, 1.0f));
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* An MLP of nodes. */
static bf_tid query(const unio2 *u, bf_tid h, const bf_edge_mlp *m)
{
    bf_graph *g = u->g;

    h = bf_graph_linear(g, h, m->p[0], m->p[1], BF_ACT_NONE, BF_NONE);
    h = bf_graph_act(g, bf_graph_layer_norm(g, h, m->p[2], m->p[3], EPS), BF_ACT_RELU);
    return bf_graph_linear(g, h, m->p[4], m->p[5], BF_ACT_NONE, BF_NONE);
}

static void label(bf_graph *g, bf_tid t, int layer, char what)
{
    char text[32];

    snprintf(text, sizeof text, "act.layer%d.%c", layer, what);
    bf_graph_label(g, t, text);
}

static void run_layer(const unio2 *u, const bf_edge_graph *e, int index, bf_tid gate, bf_tid *h, bf_tid *x)
{
    bf_graph *g = u->g;
    const layer_params *p = &u->layer[index];

    bf_graph_block(g);
    *h = bf_graph_edge_features(g, e, *x, gate, *h, query(u, *h, &p->feature[2]), p->feature);
    const bf_tid own = bf_graph_ligand_rows(g, &e->placing, *h);
    const bf_tid move = bf_graph_edge_positions(g, e, *x, gate, *h, own, query(u, own, &p->position[2]), p->position);
    *x = bf_graph_add_ligand_rows(g, &e->placing, *x, move);
    label(g, *h, index, 'h');
    label(g, *x, index, 'x');
}

static bf_status check_batch(const bf_graph *g, const bf_unio2 *c, const bf_unio2_batch *b, bf_err *err)
{
    bf_status st = BF_OK;
    const bool pocket = b->pocket_x >= 0;

    BF_TRY(bf_unio2_check(c, err));
    BF_CHECK(pocket == (b->pocket_v >= 0) && pocket == (b->row >= 0) && pocket == (b->node >= 0), BF_USAGE,
             "a pocket needs positions, features and the places of its atoms");
    BF_CHECK(!pocket || c->pocket_features > 0, BF_USAGE, "this network was made without pockets");
    BF_CHECK((b->t >= 0) == (c->time_dim > 0), BF_USAGE, "this network %s",
             c->time_dim > 0 ? "needs a time" : "has no time");
    const uint64_t ligand = bf_graph_numel(g, b->x) / 3, atoms = pocket ? bf_graph_numel(g, b->pocket_x) / 3 : 0;
    BF_CHECK(ligand > 0 && bf_graph_numel(g, b->types) == ligand * (uint64_t)c->types &&
                 (b->t < 0 || bf_graph_numel(g, b->t) == ligand),
             BF_USAGE, "the ligand's positions, types and times do not fit each other");
    BF_CHECK(bf_graph_numel(g, b->nodes.segment) == ligand + atoms &&
                 (!pocket || bf_graph_numel(g, b->pocket_v) == atoms * (uint64_t)c->pocket_features),
             BF_USAGE, "the pocket's positions and features do not fit the nodes");
out:
    return st;
}

void bf_unio2_build(bf_graph *g, const bf_unio2 *c, const bf_unio2_batch *b, bf_tid *x_out, bf_tid *logits)
{
    unio2 u = {.g = g, .c = c};
    bf_err err = {0};

    *x_out = *logits = BF_NONE;
    if (bf_graph_status(g, &err) != BF_OK) return;
    if (check_batch(g, c, b, &err) != BF_OK) {
        bf_graph_fail(g, err.status, "%s", err.message);
        return;
    }
    register_params(&u);
    const bf_placing placing = {b->row, b->node, b->pocket_x >= 0 ? bf_graph_numel(g, b->pocket_x) / 3 : 0};
    bf_tid h = first_features(&u, b, &placing), x = bf_graph_merge_rows(g, &placing, b->pocket_x, b->x);
    const bf_edge_graph e = {.edges = bf_graph_neighbours(g, x, &b->nodes, c->neighbours),
                             .placing = placing,
                             .width = c->width,
                             .heads = c->heads,
                             .pocket_gradient = b->pocket_gradient};
    const bf_tid gate = bf_graph_edge_gate(g, &e, x, &u.gate);
    bf_graph_label(g, h, "act.h0");
    if (x != b->x) bf_graph_label(g, x, "act.x0");
    bf_graph_label(g, gate, "act.edge_gate");
    for (int l = 0; l < c->layers; l++) run_layer(&u, &e, l, gate, &h, &x);
    bf_graph_block_end(g);
    *x_out = bf_graph_ligand_rows(g, &placing, x);
    h = linear(g, bf_graph_ligand_rows(g, &placing, h), u.last[0]);
    *logits = linear(g, bf_graph_act(g, h, BF_ACT_SOFTPLUS), u.last[1]);
}
