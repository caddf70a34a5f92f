#include <stdio.h>
#include <string.h>

#include "graph_test.h"
#include "op/op.h"

/* A layer of the molecule network twice: by its fused kernels, and put together from what they fuse, edge after edge:
 * edge length, radial code, gather, Linear, layer norm, softmax and sums over the edges of a node. Both must say the
 * same, of the gradients too. There are pockets, an atom without neighbours and, as always, slots without an edge. */

#define COMPLEXES 3
#define NODES 21
#define POCKET 9
#define LIGAND (NODES - POCKET)
#define NEIGHBOURS 5
#define SLOTS (NEIGHBOURS + 1)
#define EDGES (NODES * SLOTS)
#define WIDTH 24
#define HEADS 4
#define KINDS BF_EDGE_KINDS
#define EPS 1e-5f
#define NO_EDGE (-1e9f) /* a logit whose weight is 0 */

/* Atoms of the complexes: of the pocket, of the ligand. */
static const uint32_t atoms[COMPLEXES][2] = {{7, 6}, {0, 1}, {2, 5}};

typedef struct layer {
    fixture f;
    bf_tid x, h, query, move_query; /* inputs: positions, features, what the two steps ask for */
    bf_tid gate, h_out, move;       /* what the layer says */
    bf_ragged nodes, slots;         /* atoms of a complex, edges of an atom */
    bf_edge_graph e;
    bf_tid ligand, present; /* [NODES,1] of the ligand, [EDGES,1] there is such an edge: 1, else 0 */
    bf_edge_mlp mlp[5];     /* of the gate, keys and values of the feature step and of the position step */
} layer;

/* What an edge has to say, [EDGES,...]. */
typedef struct edge_rows {
    bf_tid step, in; /* x of the atom - x of the source; input of the keys' and values' networks */
} edge_rows;

/* ---- small parts ------------------------------------------------------------------------------------------------ */

static bf_tid constant(const layer *l, const char *name, uint64_t rows, uint64_t cols, const float *data)
{
    return bf_graph_const(l->f.g, name, 2, (uint64_t[]){rows, cols}, data);
}

static bf_tid shaped(const layer *l, bf_tid x, uint64_t rows, uint64_t cols)
{
    return bf_graph_reshape(l->f.g, x, 2, (uint64_t[]){rows, cols});
}

static bf_tid linear(const layer *l, bf_tid x, bf_tid w, bf_tid b)
{
    return bf_graph_linear(l->f.g, x, w, b, BF_ACT_NONE, BF_NONE);
}

/* x times a matrix of `out` rows that picks, repeats or sums columns: 1 where column i belongs to row o. */
static bf_tid columns(const layer *l, bf_tid x, uint64_t out, bool (*belongs)(uint64_t o, uint64_t i), float value)
{
    float w[WIDTH * KINDS * BF_RADIAL];
    const uint64_t in = bf_graph_dim(l->f.g, x, 1);

    ck_assert(out * in <= BF_COUNT(w));
    for (uint64_t o = 0; o < out; o++)
        for (uint64_t i = 0; i < in; i++) w[o * in + i] = belongs(o, i) ? value : 0;
    return linear(l, x, constant(l, "columns", out, in, w), BF_NONE);
}

static bool always(uint64_t o, uint64_t i)
{
    (void)o, (void)i;
    return true;
}

static bool head_of_channel(uint64_t o, uint64_t i)
{
    return o / (WIDTH / HEADS) == i;
}

static bool channel_of_head(uint64_t o, uint64_t i)
{
    return head_of_channel(i, o);
}

static bool kind_of_code(uint64_t o, uint64_t i)
{
    return o / BF_RADIAL == i;
}

static bool code_of_kind(uint64_t o, uint64_t i)
{
    return o % BF_RADIAL == i;
}

/* -x^2 / 2, which is the exponent of a radial code about 0 */
static bf_tid square(const layer *l, bf_tid x)
{
    static const float zero[1];
    bf_graph *g = l->f.g;
    const uint64_t n = bf_graph_numel(g, x), one = 1, cols = bf_graph_dim(g, x, 1);

    x = bf_graph_reshape(g, x, 1, &n);
    return shaped(l, bf_graph_radial(g, x, bf_graph_const(g, "zero", 1, &one, zero), 1, true), n / cols, cols);
}

/* a b, element by element: ((a + b)^2 - (a - b)^2) / 4 */
static bf_tid product(const layer *l, bf_tid a, bf_tid b)
{
    bf_graph *g = l->f.g;
    const bf_tid sum = square(l, bf_graph_add(g, a, b));
    const bf_tid difference = square(l, bf_graph_add(g, a, bf_graph_affine(g, b, -1, 0)));

    return bf_graph_affine(g, bf_graph_add(g, sum, bf_graph_affine(g, difference, -1, 0)), -0.5f, 0);
}

/* 1 / (1 + exp(-x)): the share of x beside 0 */
static bf_tid sigmoid(const layer *l, bf_tid x)
{
    static const float first[2] = {1, 0};
    bf_graph *g = l->f.g;
    const uint64_t dims[2] = {bf_graph_dim(g, x, 0), 1};

    x = bf_graph_softmax(g, bf_graph_concat(g, x, bf_graph_full(g, 2, dims, 0)));
    return linear(l, x, constant(l, "first", 1, 2, first), BF_NONE);
}

static bf_tid run_mlp(const layer *l, bf_tid x, const bf_edge_mlp *m)
{
    bf_graph *g = l->f.g;

    x = bf_graph_layer_norm(g, linear(l, x, m->p[0], m->p[1]), m->p[2], m->p[3], EPS);
    return linear(l, bf_graph_act(g, x, BF_ACT_RELU), m->p[4], m->p[5]);
}

/* ---- the layer, edge after edge --------------------------------------------------------------------------------- */

/* Rows [NODES,C] of the atom that an edge enters and of the one it comes from. */
static bf_tid of_target(const layer *l, bf_tid x)
{
    return bf_graph_gather(l->f.g, x, l->slots.segment, l->slots.offset, BF_NONE);
}

static bf_tid of_source(const layer *l, bf_tid x)
{
    const bf_edges *e = &l->e.edges;

    return bf_graph_gather(l->f.g, x, e->src, e->rev_offset, e->rev_edge);
}

/* [EDGES,KINDS]: 1 for the kind of the edge, by the source and then by the target: ligand, pocket. */
static bf_tid kinds(const layer *l)
{
    bf_graph *g = l->f.g;
    const bf_tid target = of_target(l, l->ligand), source = of_source(l, l->ligand);
    const bf_tid not_target = bf_graph_affine(g, target, -1, 1), not_source = bf_graph_affine(g, source, -1, 1);
    const bf_tid near = bf_graph_concat(g, product(l, source, target), product(l, source, not_target));
    const bf_tid far = bf_graph_concat(g, product(l, not_source, target), product(l, not_source, not_target));

    return bf_graph_concat(g, near, far);
}

static bf_tid radial_code(const layer *l, bf_tid x)
{
    static const float offsets[BF_RADIAL] = BF_RADIAL_OFFSETS;
    bf_graph *g = l->f.g;
    const uint64_t n = BF_RADIAL;

    return bf_graph_radial(g, bf_graph_edge_length(g, x, &l->e.edges), bf_graph_const(g, "offsets", 1, &n, offsets), 1,
                           false);
}

static edge_rows edges_of(const layer *l, bf_tid h)
{
    bf_graph *g = l->f.g;
    const bf_tid kind = kinds(l), code = radial_code(l, l->x);
    const bf_tid codes = product(l, columns(l, kind, KINDS * BF_RADIAL, kind_of_code, 1),
                                 columns(l, code, KINDS * BF_RADIAL, code_of_kind, 1));
    const bf_tid ends = bf_graph_concat(g, of_target(l, h), of_source(l, h));
    const bf_tid back = bf_graph_affine(g, of_source(l, l->x), -1, 0);

    return (edge_rows){.step = bf_graph_add(g, of_target(l, l->x), back),
                       .in = bf_graph_concat(g, bf_graph_concat(g, kind, codes), ends)};
}

/* [EDGES,HEADS] */
static bf_tid weights(const layer *l, const edge_rows *e, bf_tid query, const bf_edge_mlp *keys)
{
    bf_graph *g = l->f.g;
    const bf_tid both = product(l, run_mlp(l, e->in, keys), of_target(l, query));
    const bf_tid logits = columns(l, both, HEADS, channel_of_head, 1 / sqrtf((float)WIDTH / HEADS));

    const bf_tid absent = bf_graph_affine(g, columns(l, l->present, HEADS, always, 1), -NO_EDGE, NO_EDGE);
    return bf_graph_segment_softmax(g, bf_graph_add(g, logits, absent), &l->slots);
}

static void compose(layer *l)
{
    bf_graph *g = l->f.g;
    const uint64_t dims[2] = {NODES, SLOTS};

    const bf_tid gate = product(l, sigmoid(l, run_mlp(l, radial_code(l, l->x), &l->mlp[0])), l->present);
    edge_rows e = edges_of(l, l->h);
    bf_tid w = product(l, weights(l, &e, l->query, &l->mlp[1]), columns(l, gate, HEADS, always, 1));
    const bf_tid value = product(l, columns(l, w, WIDTH, head_of_channel, 1), run_mlp(l, e.in, &l->mlp[2]));
    l->h_out = bf_graph_add(g, l->h, bf_graph_segment_sum(g, value, &l->slots));
    e = edges_of(l, l->h_out);
    w = product(l, weights(l, &e, l->move_query, &l->mlp[3]), columns(l, gate, HEADS, always, 1));
    w = columns(l, product(l, w, run_mlp(l, e.in, &l->mlp[4])), 3, always, 1.0f / HEADS);
    l->move = bf_graph_ligand_rows(g, &l->e.placing, bf_graph_segment_sum(g, product(l, w, e.step), &l->slots));
    l->gate = bf_graph_reshape(g, gate, 2, dims);
}

static void fuse(layer *l)
{
    bf_graph *g = l->f.g;
    const bf_placing *p = &l->e.placing;

    l->gate = bf_graph_edge_gate(g, &l->e, l->x, &l->mlp[0]);
    l->h_out = bf_graph_edge_features(g, &l->e, l->x, l->gate, l->h, l->query, &l->mlp[1]);
    l->move = bf_graph_edge_positions(g, &l->e, l->x, l->gate, l->h_out, bf_graph_ligand_rows(g, p, l->h_out),
                                      bf_graph_ligand_rows(g, p, l->move_query), &l->mlp[3]);
}

/* ---- both, side by side ----------------------------------------------------------------------------------------- */

static bf_edge_mlp mlp_of(const layer *l, int number, uint64_t in, uint64_t out)
{
    static char names[5][6][24];
    static const char *const parts[6] = {"weight", "bias", "gamma", "beta", "weight 2", "bias 2"};
    const uint64_t dims[6][2] = {{WIDTH, in}, {WIDTH, 0}, {WIDTH, 0}, {WIDTH, 0}, {out, WIDTH}, {out, 0}};
    bf_edge_mlp m;

    for (int i = 0; i < 6; i++) {
        snprintf(names[number][i], sizeof names[number][i], "%s of %d", parts[i], number);
        m.p[i] = param(&l->f, names[number][i], BF_LAYOUT_PLAIN, dims[i][0], dims[i][1], 0, 0);
    }
    return m;
}

/* The graph of the layer and of a loss, a sum of all that it says; the same parameters in both forms. */
static layer layer_new(bf_ctx *ctx, bool fused)
{
    layer l = {.f = fixture_new(ctx, true)};
    bf_graph *g = l.f.g;

    l.x = input(&l.f, "x", NODES, 3, 0, 0);
    l.h = input(&l.f, "h", NODES, WIDTH, 0, 0);
    l.query = input(&l.f, "query", NODES, WIDTH, 0, 0);
    l.move_query = input(&l.f, "move query", NODES, WIDTH, 0, 0);
    l.ligand = input(&l.f, "ligand", NODES, 1, 0, 0);
    l.present = input(&l.f, "present", EDGES, 1, 0, 0);
    l.nodes = (bf_ragged){input(&l.f, "offset", COMPLEXES + 1, 0, 0, 0), input(&l.f, "complex", NODES, 0, 0, 0)};
    l.slots = (bf_ragged){input(&l.f, "first slot", NODES + 1, 0, 0, 0), input(&l.f, "atom", EDGES, 0, 0, 0)};
    l.e = (bf_edge_graph){.placing = {input(&l.f, "row", NODES, 0, 0, 0), input(&l.f, "node", NODES, 0, 0, 0), POCKET},
                          .width = WIDTH,
                          .heads = HEADS,
                          .pocket_gradient = true};
    const bf_tid wanted[4] = {l.x, l.h, l.query, l.move_query};
    for (int i = 0; i < 4; i++) bf_graph_want_grad(g, wanted[i]);
    l.e.edges = bf_graph_neighbours(g, l.x, &l.nodes, NEIGHBOURS);
    l.mlp[0] = mlp_of(&l, 0, BF_RADIAL, 1);
    for (int i = 1; i < 5; i++) l.mlp[i] = mlp_of(&l, i, KINDS * (BF_RADIAL + 1) + 2 * WIDTH, i == 4 ? HEADS : WIDTH);
    (fused ? fuse : compose)(&l);
    const bf_tid loss = bf_graph_add(g, dot_with_random(&l.f, l.h_out), dot_with_random(&l.f, l.move));
    const bf_tid kept[4] = {l.gate, l.h_out, l.move, loss};
    for (int i = 0; i < 4; i++) bf_graph_keep(g, kept[i]);
    OK(bf_graph_status(g, err));
    OK(bf_graph_backward(g, loss, BF_NONE, err));
    ready(&l.f);
    return l;
}

static void put_words(const layer *l, bf_tid t, const uint32_t *words)
{
    if (bf_graph_mem(l->f.g, t).buf == NULL) return; /* the fused form does not read it */
    OK(bf_write(l->f.ctx, bf_graph_mem(l->f.g, t), words, bf_graph_numel(l->f.g, t) * sizeof *words, err));
}

/* Which atoms belong together; rows of the ligand are turned round, so that a node is not where its row is. */
static void put_lists(const layer *l)
{
    uint32_t offset[COMPLEXES + 1] = {0}, segment[NODES], row[NODES], node[NODES], first[NODES + 1] = {0}, atom[EDGES];
    uint32_t next[2] = {0, NODES}, n = 0;
    float ligand[NODES], present[EDGES];

    for (uint32_t k = 0; k < COMPLEXES; k++) {
        const uint32_t all = atoms[k][0] + atoms[k][1], edges = all - 1 < NEIGHBOURS ? all - 1 : NEIGHBOURS;
        for (uint32_t i = 0; i < all; i++, n++) {
            segment[n] = k;
            ligand[n] = i >= atoms[k][0] ? 1 : 0;
            row[n] = i >= atoms[k][0] ? --next[1] : next[0]++;
            node[row[n]] = n;
            first[n + 1] = (n + 1) * SLOTS;
            for (uint32_t s = 0; s < SLOTS; s++) {
                atom[n * SLOTS + s] = n;
                present[n * SLOTS + s] = s < edges ? 1 : 0;
            }
        }
        offset[k + 1] = n;
    }
    put_words(l, l->nodes.offset, offset);
    put_words(l, l->nodes.segment, segment);
    put_words(l, l->slots.offset, first);
    put_words(l, l->slots.segment, atom);
    put_words(l, l->e.placing.row, row);
    put_words(l, l->e.placing.node, node);
    put_words(l, l->ligand, (const uint32_t *)(const void *)ligand);
    put_words(l, l->present, (const uint32_t *)(const void *)present);
}

static void start(const layer *l)
{
    const bf_tid by[4] = {l->x, l->h, l->query, l->move_query};

    put_lists(l);
    for (uint32_t i = 0; i < 4; i++) put_random(&l->f, by[i], 10 + i);
    run(&l->f);
}

/* What memory holds of the one and of the other; `nothing`: zeros and what rounding left of them. */
static void same(const char *what, const layer *a, bf_mem in_a, const layer *b, bf_mem in_b, size_t n, bool nothing)
{
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y), most = 0;

    ck_assert(x && y);
    OK(bf_read(a->f.ctx, x, in_a, n * sizeof *x, err));
    OK(bf_read(b->f.ctx, y, in_b, n * sizeof *y, err));
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(y[i]));
    ck_assert_msg(nothing == (most < 1e-5f), "%s: up to %g", what, (double)most);
    test_close(what, x, y, n, nothing ? 1e-5 : 0, 1e-4);
    free(x), free(y);
}

static bf_mem grad(const layer *l, bf_tid t)
{
    return bf_graph_mem(l->f.g, bf_graph_grad_of(l->f.g, t));
}

START_TEST(fused_and_composed)
{
    TEST_BOTH(ctx)
    {
        layer a = layer_new(ctx, true), b = layer_new(ctx, false);
        const bf_tid out[2][3] = {{a.gate, a.h_out, a.move}, {b.gate, b.h_out, b.move}};
        const bf_tid by[4] = {a.x, a.h, a.query, a.move_query};
        static const char *const names[3] = {"gate", "features", "move"};

        start(&a);
        start(&b);
        for (int i = 0; i < 3; i++)
            same(names[i], &a, bf_graph_mem(a.f.g, out[0][i]), &b, bf_graph_mem(b.f.g, out[1][i]),
                 bf_graph_numel(a.f.g, out[0][i]), false);
        for (int i = 0; i < 4; i++)
            same(a.f.g->tensor[by[i]].name, &a, grad(&a, by[i]), &b, grad(&b, by[i]), bf_graph_numel(a.f.g, by[i]),
                 false);
        for (int i = 0; i < bf_params_count(a.f.params); i++) {
            const bf_param_spec *p = bf_params_spec(a.f.params, i);
            /* the bias of the keys is the same for all edges of an atom, so the softmax takes it out */
            const bool nothing = strcmp(p->name, "bias 2 of 1") == 0 || strcmp(p->name, "bias 2 of 3") == 0;
            same(p->name, &a, bf_params_mem(a.f.params, BF_SET_GRAD, i), &b, bf_params_mem(b.f.params, BF_SET_GRAD, i),
                 bf_param_numel(p), nothing);
        }
        fixture_free(&a.f);
        fixture_free(&b.f);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("unio2_layer");
    TCase *c = tcase_create("unio2_layer");

    tcase_add_test(c, fused_and_composed);
    tcase_set_timeout(c, 300);
    suite_add_tcase(s, c);
    return test_main(s);
}
