#include <stdio.h>
#include <string.h>

#include "graph_test.h"
#include "net/unio2.h"

/* What the network promises whatever its weights are: rotations, reflections and translations of a complex move the
 * positions it gives and leave the logits, the order of atoms within a complex does not count, complexes do not see
 * each other. And its gradients, all layers together, against differences of a loss. */

#define COMPLEXES 3
#define TYPES 4
#define FEATURES 5
#define MOST 128 /* rows */

enum { POCKET, LIGAND };

/* Atoms of the complexes in the batch; without a pocket the first row of `atoms` is 0. */
typedef struct setting {
    const char *name;
    size_t atoms[2][COMPLEXES];
    bf_unio2 net;
} setting;

/* Rows of pockets and of ligands. */
typedef struct atoms {
    float x[2][MOST * 3], v[2][MOST * FEATURES], t[MOST];
} atoms;

typedef struct answer {
    float x[MOST * 3], logits[MOST * TYPES];
} answer;

typedef struct scene {
    fixture f;
    const setting *s;
    size_t rows[2], nodes;
    bf_unio2_batch batch;
    bf_tid out, logits;
    answer weight; /* of the loss, a sum of what the network says */
} scene;

static bf_unio2 net_of(int layers, int neighbours, bool pocket, bf_unio2_time mode)
{
    return (bf_unio2){.width = 24,
                      .heads = 4,
                      .layers = layers,
                      .neighbours = neighbours,
                      .pocket_features = pocket ? FEATURES : 0,
                      .types = TYPES,
                      .time_dim = mode == BF_UNIO2_SIMPLE ? 1 : 6,
                      .time_mode = mode,
                      .indicator = pocket};
}

/* Every node of a scene: its complex, whether it is the ligand's, its row. */
static void put_nodes(const scene *c)
{
    uint32_t offset[COMPLEXES + 1] = {0}, segment[2 * MOST], row[2 * MOST], node[2 * MOST];
    size_t next[2] = {0, c->rows[POCKET]}, n = 0;

    for (uint32_t k = 0; k < COMPLEXES; k++) {
        for (int kind = POCKET; kind <= LIGAND; kind++)
            for (size_t i = 0; i < c->s->atoms[kind][k]; i++, n++) {
                segment[n] = k;
                row[n] = (uint32_t)next[kind]++;
                node[row[n]] = (uint32_t)n;
            }
        offset[k + 1] = (uint32_t)n;
    }
    const bf_tid to[4] = {c->batch.nodes.offset, c->batch.nodes.segment, c->batch.row, c->batch.node};
    const uint32_t *const words[4] = {offset, segment, row, node};
    for (int i = 0; i < 4; i++)
        if (to[i] >= 0)
            OK(bf_write(c->f.ctx, bf_graph_mem(c->f.g, to[i]), words[i], bf_graph_numel(c->f.g, to[i]) * 4, err));
}

static scene scene_new(bf_ctx *ctx, const setting *s, bool training)
{
    scene c = {.f = fixture_new(ctx, training), .s = s};

    for (int k = 0; k < COMPLEXES; k++)
        for (int kind = POCKET; kind <= LIGAND; kind++) c.rows[kind] += s->atoms[kind][k];
    ck_assert(c.rows[POCKET] <= MOST && c.rows[LIGAND] <= MOST);
    c.nodes = c.rows[POCKET] + c.rows[LIGAND];
    const bool pocket = c.rows[POCKET] > 0;
    bf_unio2_batch *b = &c.batch;
    b->pocket_x = pocket ? input(&c.f, "pocket_x", c.rows[POCKET], 3, 0, 0) : BF_NONE;
    b->pocket_v = pocket ? input(&c.f, "pocket_v", c.rows[POCKET], FEATURES, 0, 0) : BF_NONE;
    b->x = input(&c.f, "x", c.rows[LIGAND], 3, 0, 0);
    b->types = input(&c.f, "types", c.rows[LIGAND], TYPES, 0, 0);
    b->t = input(&c.f, "t", c.rows[LIGAND], 0, 0, 0);
    b->nodes.offset = input(&c.f, "offset", COMPLEXES + 1, 0, 0, 0);
    b->nodes.segment = input(&c.f, "segment", c.nodes, 0, 0, 0);
    b->row = pocket ? input(&c.f, "row", c.nodes, 0, 0, 0) : BF_NONE;
    b->node = pocket ? input(&c.f, "node", c.nodes, 0, 0, 0) : BF_NONE;
    b->pocket_gradient = training;
    const bf_tid wanted[5] = {b->pocket_x, b->pocket_v, b->x, b->types, b->t};
    for (int i = 0; i < 5 && training; i++)
        if (wanted[i] >= 0) bf_graph_want_grad(c.f.g, wanted[i]);
    bf_unio2_build(c.f.g, &s->net, b, &c.out, &c.logits);
    if (training) {
        const uint64_t n[2] = {c.rows[LIGAND] * 3, c.rows[LIGAND] * TYPES};
        test_fill(c.weight.x, n[0], 31);
        test_fill(c.weight.logits, n[1], 32);
        const bf_tid x = bf_graph_const(c.f.g, "x weight", 1, &n[0], c.weight.x);
        const bf_tid logits = bf_graph_const(c.f.g, "logits weight", 1, &n[1], c.weight.logits);
        const bf_tid loss = bf_graph_add(c.f.g, bf_graph_dot(c.f.g, c.out, x), bf_graph_dot(c.f.g, c.logits, logits));
        bf_graph_keep(c.f.g, loss);
        OK(bf_graph_backward(c.f.g, loss, BF_NONE, err));
    }
    bf_graph_keep(c.f.g, c.out);
    bf_graph_keep(c.f.g, c.logits);
    ready(&c.f);
    put_nodes(&c);
    return c;
}

/* Pockets in a box of side 6, ligands in one of side 3. */
static void fill(atoms *a)
{
    for (uint32_t kind = POCKET; kind <= LIGAND; kind++) {
        test_fill(a->x[kind], MOST * 3, 3 + kind);
        test_fill(a->v[kind], MOST * FEATURES, 5 + kind);
        for (int i = 0; i < MOST * 3; i++) a->x[kind][i] *= kind == POCKET ? 3 : 1.5f;
    }
    test_fill(a->t, MOST, 8);
    for (int i = 0; i < MOST; i++) a->t[i] = 0.5f + 0.45f * a->t[i];
}

static void put_atoms(const scene *c, const atoms *a)
{
    if (c->rows[POCKET] > 0) {
        put(&c->f, c->batch.pocket_x, a->x[POCKET]);
        put(&c->f, c->batch.pocket_v, a->v[POCKET]);
    }
    put(&c->f, c->batch.x, a->x[LIGAND]);
    put(&c->f, c->batch.types, a->v[LIGAND]);
    put(&c->f, c->batch.t, a->t);
}

static void answer_of(const scene *c, const atoms *a, answer *out)
{
    put_atoms(c, a);
    run(&c->f);
    get(&c->f, c->out, out->x);
    get(&c->f, c->logits, out->logits);
}

static float largest_change(const float *a, const float *b, size_t n)
{
    float most = 0;

    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(a[i] - b[i]));
    return most;
}

static void same(const char *what, const scene *c, const answer *got, const answer *want)
{
    char text[96];

    snprintf(text, sizeof text, "%s, %s: positions", c->s->name, what);
    test_close(text, got->x, want->x, c->rows[LIGAND] * 3, 0, 2e-5);
    snprintf(text, sizeof text, "%s, %s: logits", c->s->name, what);
    test_close(text, got->logits, want->logits, c->rows[LIGAND] * TYPES, 0, 2e-5);
}

/* ---- motions ----------------------------------------------------------------------------------------------------- */

typedef struct motion {
    const char *name;
    double turn[3][3], step[3];
} motion;

/* What `turn` holds is orthogonal. */
static const motion motions[] = {
    {"rotation", {{0.36, 0.48, -0.8}, {-0.8, 0.6, 0}, {0.48, 0.64, 0.6}}, {0, 0, 0}},
    {"axes exchanged", {{0, 0, 1}, {1, 0, 0}, {0, 1, 0}}, {0, 0, 0}},
    {"reflection", {{1, 0, 0}, {0, 1, 0}, {0, 0, -1}}, {0, 0, 0}},
    {"tilted reflection and translation", {{0.28, 0.96, 0}, {0.96, -0.28, 0}, {0, 0, 1}}, {-0.3, 0.9, 2}},
    {"translation", {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {1.25, -0.7, 0.4}},
};

static void move(const motion *m, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double p[3] = {(double)x[3 * i], (double)x[3 * i + 1], (double)x[3 * i + 2]};
        for (int k = 0; k < 3; k++)
            x[3 * i + (size_t)k] =
                (float)(m->turn[k][0] * p[0] + m->turn[k][1] * p[1] + m->turn[k][2] * p[2] + m->step[k]);
    }
}

static const setting *settings(size_t *n)
{
    static setting s[2];

    s[0] = (setting){"pocket", {{37, 1, 12}, {11, 3, 8}}, net_of(3, 7, true, BF_UNIO2_SIMPLE)};
    s[1] = (setting){"molecule", {{0, 0, 0}, {17, 1, 9}}, net_of(3, 5, false, BF_UNIO2_RBFNN)};
    *n = BF_COUNT(s);
    return s;
}

static void check_motions(bf_ctx *ctx, const setting *s)
{
    scene c = scene_new(ctx, s, false);
    atoms a, moved;
    answer still, want, got;

    fill(&a);
    answer_of(&c, &a, &still);
    /* the network does something, or everything below would hold of nothing */
    ck_assert_msg(largest_change(still.x, a.x[LIGAND], c.rows[LIGAND] * 3) > 0.01f, "%s: no atom moves", s->name);
    for (size_t k = 0; k < BF_COUNT(motions); k++) {
        moved = a;
        want = still;
        for (int kind = POCKET; kind <= LIGAND; kind++) move(&motions[k], moved.x[kind], c.rows[kind]);
        move(&motions[k], want.x, c.rows[LIGAND]);
        answer_of(&c, &moved, &got);
        same(motions[k].name, &c, &got, &want);
        if (c.rows[POCKET] == 0) continue;
        memcpy(moved.x[LIGAND], a.x[LIGAND], sizeof a.x[LIGAND]); /* the pocket alone moves: the ligand must notice */
        answer_of(&c, &moved, &got);
        ck_assert_msg(largest_change(got.logits, still.logits, c.rows[LIGAND] * TYPES) > 1e-3f,
                      "%s of the pocket alone: the logits stay", motions[k].name);
    }
    fixture_free(&c.f);
}

START_TEST(moves_with_its_input)
{
    size_t n;
    const setting *s = settings(&n);

    TEST_BOTH(ctx)
    for (size_t i = 0; i < n; i++) check_motions(ctx, &s[i]);
}
END_TEST

/* ---- order, company ---------------------------------------------------------------------------------------------- */

/* Row i of `to` = row order[i] of `from`, `width` numbers each. */
static void pick_rows(float *to, const float *from, const size_t *order, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++) memcpy(to + i * width, from + order[i] * width, width * sizeof *to);
}

/* The rows of each complex backwards, beginning with the second. */
static void shuffle(const setting *s, int kind, size_t *order)
{
    size_t first = 0;

    for (int k = 0; k < COMPLEXES; first += s->atoms[kind][k++])
        for (size_t i = 0, n = s->atoms[kind][k]; i < n; i++) order[first + i] = first + (2 * n - i + 1) % n;
}

static void check_order(bf_ctx *ctx, const setting *s)
{
    scene c = scene_new(ctx, s, false);
    atoms a, b;
    answer first, want, got;
    size_t order[2][MOST];

    fill(&a);
    b = a;
    answer_of(&c, &a, &first);
    for (int kind = POCKET; kind <= LIGAND; kind++) {
        shuffle(s, kind, order[kind]);
        pick_rows(b.x[kind], a.x[kind], order[kind], c.rows[kind], 3);
        pick_rows(b.v[kind], a.v[kind], order[kind], c.rows[kind], kind == POCKET ? FEATURES : TYPES);
    }
    pick_rows(b.t, a.t, order[LIGAND], c.rows[LIGAND], 1);
    pick_rows(want.x, first.x, order[LIGAND], c.rows[LIGAND], 3);
    pick_rows(want.logits, first.logits, order[LIGAND], c.rows[LIGAND], TYPES);
    answer_of(&c, &b, &got);
    same("other order of atoms", &c, &got, &want);
    ck_assert_msg(largest_change(got.logits, first.logits, c.rows[LIGAND] * TYPES) > 1e-3f, "the logits did not move");
    fixture_free(&c.f);
}

START_TEST(order_of_atoms)
{
    size_t n;
    const setting *s = settings(&n);

    TEST_BOTH(ctx)
    for (size_t i = 0; i < n; i++) check_order(ctx, &s[i]);
}
END_TEST

/* The first complex keeps its bits whatever the others are. */
static void check_company(bf_ctx *ctx, const setting *s)
{
    const size_t own = s->atoms[LIGAND][0];
    scene c = scene_new(ctx, s, false);
    atoms a, b;
    answer first, got;

    fill(&a);
    b = a;
    for (int kind = POCKET; kind <= LIGAND; kind++)
        for (size_t i = s->atoms[kind][0]; i < c.rows[kind]; i++) {
            for (int k = 0; k < 3; k++) b.x[kind][3 * i + (size_t)k] *= 0.4f;
            b.v[kind][i * (kind == POCKET ? FEATURES : TYPES)] += 1;
        }
    answer_of(&c, &a, &first);
    answer_of(&c, &b, &got);
    ck_assert_msg(memcmp(got.x, first.x, own * 3 * 4) == 0 && memcmp(got.logits, first.logits, own * TYPES * 4) == 0,
                  "%s: a complex depends on the others of its batch", s->name);
    ck_assert_msg(largest_change(got.logits + own * TYPES, first.logits + own * TYPES, (c.rows[LIGAND] - own) * TYPES) >
                      1e-3f,
                  "%s: the other complexes did not change", s->name);
    fixture_free(&c.f);
}

START_TEST(complexes_alone)
{
    size_t n;
    const setting *s = settings(&n);

    TEST_BOTH(ctx)
    for (size_t i = 0; i < n; i++) check_company(ctx, &s[i]);
}
END_TEST

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static double loss_of(const scene *c)
{
    answer a;
    double loss = 0;

    run(&c->f);
    get(&c->f, c->out, a.x);
    get(&c->f, c->logits, a.logits);
    for (size_t i = 0; i < c->rows[LIGAND] * 3; i++) loss += (double)a.x[i] * (double)c->weight.x[i];
    for (size_t i = 0; i < c->rows[LIGAND] * TYPES; i++) loss += (double)a.logits[i] * (double)c->weight.logits[i];
    return loss;
}

/* Along a random direction: the loss summed in double precision, as small a step as its rounding allows, because every
 * hidden feature that crosses 0 is a kink. */
static void check_gradient(const scene *c, const char *what, bf_mem at, bf_mem grad, size_t n)
{
    float *x = malloc(n * sizeof *x), *g = malloc(n * sizeof *g), *d = random_floats(n, 99);
    float *moved = malloc(n * sizeof *moved);
    const double h = 4e-3 / sqrt((double)n);
    double want = 0, got = 0, scale = 0;

    ck_assert(x && g && moved);
    run(&c->f);
    OK(bf_read(c->f.ctx, x, at, n * sizeof *x, err));
    OK(bf_read(c->f.ctx, g, grad, n * sizeof *g, err));
    for (int side = -1; side <= 1; side += 2) {
        for (size_t i = 0; i < n; i++) moved[i] = x[i] + (float)(side * h) * d[i];
        OK(bf_write(c->f.ctx, at, moved, n * sizeof *x, err));
        want += side * loss_of(c) / (2 * h);
    }
    OK(bf_write(c->f.ctx, at, x, n * sizeof *x, err));
    for (size_t i = 0; i < n; i++) {
        got += (double)g[i] * (double)d[i];
        scale += (double)g[i] * (double)g[i] / 3;
    }
    ck_assert_msg(fabs(want - got) <= 2e-2 * (sqrt(scale) + fabs(want)) + 2e-3,
                  "%s, %s: %g along a direction, expected %g", c->s->name, what, got, want);
    free(x), free(g), free(d), free(moved);
}

/* Every atom sees all others, so that no step of the differences changes who the neighbours are. */
static void check_case(bf_ctx *ctx, const setting *s)
{
    scene c = scene_new(ctx, s, true);
    const bf_unio2_batch *b = &c.batch;
    const bf_tid by[5] = {b->x, b->types, b->t, b->pocket_x, b->pocket_v};
    atoms a;

    fill(&a);
    put_atoms(&c, &a);
    for (int i = 0; i < 5; i++)
        if (by[i] >= 0)
            check_gradient(&c, c.f.g->tensor[by[i]].name, bf_graph_mem(c.f.g, by[i]),
                           bf_graph_mem(c.f.g, bf_graph_grad_of(c.f.g, by[i])), bf_graph_numel(c.f.g, by[i]));
    for (int i = 0; i < bf_params_count(c.f.params); i++) {
        const bf_param_spec *p = bf_params_spec(c.f.params, i);
        if (!p->buffer)
            check_gradient(&c, p->name, bf_params_mem(c.f.params, BF_SET_VALUE, i),
                           bf_params_mem(c.f.params, BF_SET_GRAD, i), bf_param_numel(p));
    }
    fixture_free(&c.f);
}

START_TEST(gradients)
{
    const setting s[2] = {
        {"pocket", {{5, 1, 3}, {4, 2, 1}}, net_of(2, 8, true, BF_UNIO2_SIMPLE)},
        {"molecule", {{0, 0, 0}, {6, 1, 4}}, net_of(2, 8, false, BF_UNIO2_RBFNN)},
    };

    TEST_BOTH(ctx)
    for (size_t i = 0; i < BF_COUNT(s); i++) check_case(ctx, &s[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("unio2");
    TCase *c = tcase_create("unio2");

    tcase_add_test(c, moves_with_its_input);
    tcase_add_test(c, order_of_atoms);
    tcase_add_test(c, complexes_alone);
    tcase_add_test(c, gradients);
    tcase_set_timeout(c, 300);
    suite_add_tcase(s, c);
    return test_main(s);
}
