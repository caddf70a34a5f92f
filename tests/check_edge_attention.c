#include <string.h>

#include "op_test.h"
#include "ref/edge_attention.h"

/* Nodes with up to `slots` edges from sources at random; the nodes from `pocket` on are the ligand's, in turned order
 * of rows where `turned`. full: every node has all of its edges, else some have none. coincident: some lie on one
 * point. */
typedef struct shape {
    size_t nodes, pocket, slots, width, heads;
    bool turned, full, coincident;
} shape;

#define MLP_PARTS 6
#define STEP 1e-7 /* small: the sums have a kink wherever a hidden feature is 0 */

typedef struct scene {
    shape s;
    bf_edge_step step;
    size_t targets, pad, head_pad;
    op_tensor x, h, query, gate, dout, mlp[2][MLP_PARTS];
    op_tensor word[6]; /* src, count, rev_offset, rev_edge, row, node */
    uint32_t *w[6];
    unsigned char *ligand;
    bf_edge_list list;
    ref_edges ref;
    double *out, *query_of; /* per node, for the reference */
} scene;

static uint32_t pick(uint32_t *state, size_t n)
{
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)((*state >> 8) % n);
}

static op_tensor words(bf_ctx *ctx, const uint32_t *w, size_t n)
{
    float *f = malloc((n ? n : 1) * sizeof *f);
    ck_assert_ptr_nonnull(f);
    memcpy(f, w, n * sizeof *f);
    return op_from(ctx, n, f);
}

static void make_lists(scene *c, bf_ctx *ctx)
{
    const size_t n = c->s.nodes, slots = c->s.slots, size[6] = {n * slots, n, n + 1, n * slots, n, n};
    uint32_t state = 7;
    size_t at = 0;
    for (int i = 0; i < 6; i++) {
        c->w[i] = calloc(size[i], sizeof *c->w[i]);
        ck_assert_ptr_nonnull(c->w[i]);
    }
    for (size_t i = 0; i < n; i++) {
        const size_t count = n == 1 ? 0 : c->s.full ? slots : pick(&state, slots + 1);
        c->w[1][i] = (uint32_t)count;
        for (size_t s = 0; s < slots; s++) {
            uint32_t j = pick(&state, n);
            while (n > 1 && j == i) j = pick(&state, n);
            c->w[0][i * slots + s] = s < count ? j : BF_NO_ITEM;
        }
        const size_t row = c->s.turned ? n - 1 - i : i;
        c->w[4][i] = (uint32_t)row;
        c->w[5][row] = (uint32_t)i;
        c->ligand[i] = row >= c->s.pocket;
    }
    for (size_t j = 0; j < n; j++) {
        c->w[2][j] = (uint32_t)at;
        for (size_t e = 0; e < n * slots; e++)
            if (e % slots < c->w[1][e / slots] && c->w[0][e] == j) c->w[3][at++] = (uint32_t)e;
    }
    c->w[2][n] = (uint32_t)at;
    for (int i = 0; i < 6; i++) c->word[i] = words(ctx, c->w[i], size[i]);
}

static scene scene_new(bf_ctx *ctx, const shape *s, bf_edge_step step)
{
    const size_t n = s->nodes, w = s->width, in = step == BF_EDGE_GATE ? BF_RADIAL : 84 + 2 * w;
    const size_t out[2] = {step == BF_EDGE_GATE ? 1 : w, step == BF_EDGE_POSITIONS ? s->heads : w};
    const float a = 1.7f / sqrtf((float)w);
    scene c = {.s = *s, .step = step, .pad = (w + 15) / 16 * 16, .head_pad = (s->heads + 15) / 16 * 16};
    c.targets = step == BF_EDGE_POSITIONS ? n - s->pocket : n;
    c.ligand = calloc(n, 1);
    ck_assert_ptr_nonnull(c.ligand);
    make_lists(&c, ctx);
    float *x = malloc(3 * n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    test_fill(x, 3 * n, 3);
    for (size_t i = 0; i < 3 * n; i++) x[i] = s->coincident && i < 3 * n / 2 ? 0.5f : 3 * x[i];
    c.x = op_from(ctx, 3 * n, x);
    c.h = op_rand(ctx, n * w, 0, 1, 4);
    c.query = op_rand(ctx, c.targets * w, 0, 2, 5);
    c.gate = op_rand(ctx, n * s->slots, 0.5f, 0.5f, 6);
    c.dout =
        op_rand(ctx, step == BF_EDGE_GATE ? n * s->slots : c.targets * (step == BF_EDGE_POSITIONS ? 3 : w), 0, 1, 8);
    for (uint32_t i = 0; i < 2; i++) {
        const size_t size[MLP_PARTS] = {w * in, w, w, w, out[i] * w, out[i]};
        for (uint32_t k = 0; k < MLP_PARTS; k++)
            c.mlp[i][k] = op_rand(ctx, size[k], k == 2 ? 1 : 0, k == 0 || k == 4 ? a : 0.4f, 20 + 6 * i + k);
    }
    const bool listed = s->pocket > 0;
    c.list = (bf_edge_list){n,
                            s->pocket,
                            (int)s->slots,
                            (int)w,
                            (int)s->heads,
                            c.x.mem,
                            c.word[0].mem,
                            c.word[1].mem,
                            c.word[2].mem,
                            c.word[3].mem,
                            listed ? c.word[4].mem : BF_MEM_NONE,
                            listed ? c.word[5].mem : BF_MEM_NONE};
    c.ref = (ref_edges){n, s->slots, w, s->heads, c.x.d, c.w[0], c.w[1], c.ligand};
    c.out = calloc(n * (w + s->slots + 3), sizeof *c.out);
    c.query_of = calloc(n * w, sizeof *c.query_of);
    ck_assert(c.out != NULL && c.query_of != NULL);
    return c;
}

static void scene_free(scene *c)
{
    op_tensor *all[] = {&c->x, &c->h, &c->query, &c->gate, &c->dout};
    for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
    for (int i = 0; i < 6; i++) op_free(&c->word[i]);
    for (int i = 0; i < 6; i++) free(c->w[i]);
    for (int i = 0; i < 2 * MLP_PARTS; i++) op_free(&c->mlp[i / MLP_PARTS][i % MLP_PARTS]);
    free(c->ligand);
    free(c->out);
    free(c->query_of);
}

static size_t node_of(const scene *c, size_t target)
{
    return c->step == BF_EDGE_POSITIONS && c->s.pocket > 0 ? c->w[5][c->s.pocket + target] : target;
}

/* Reference result, [targets,...] in c->out. */
static void run_reference(scene *c)
{
    ref_edge_mlp m[2];
    const size_t cols = c->step == BF_EDGE_POSITIONS ? 3 : c->s.width;
    for (int i = 0; i < 2; i++)
        m[i] = (ref_edge_mlp){c->mlp[i][0].d, c->mlp[i][1].d, c->mlp[i][2].d,
                              c->mlp[i][3].d, c->mlp[i][4].d, c->mlp[i][5].d};
    if (c->step == BF_EDGE_GATE) {
        ref_edge_gate(&c->ref, &m[0], c->out);
        return;
    }
    for (size_t t = 0; t < c->targets; t++)
        memcpy(c->query_of + node_of(c, t) * c->s.width, c->query.d + t * c->s.width, c->s.width * sizeof(double));
    double *all = calloc(c->s.nodes * cols, sizeof *all);
    ck_assert_ptr_nonnull(all);
    (c->step == BF_EDGE_POSITIONS ? ref_edge_positions : ref_edge_features)(&c->ref, &m[0], &m[1], c->query_of, c->h.d,
                                                                            c->gate.d, all);
    for (size_t t = 0; t < c->targets; t++)
        memcpy(c->out + t * cols, all + node_of(c, t) * cols, cols * sizeof(double));
    free(all);
}

static double scene_loss(void *reference)
{
    scene *c = reference;
    run_reference(c);
    return op_dot(c->out, c->dout.d, c->dout.n);
}

static bf_edge_params params_of(const op_tensor *p)
{
    return (bf_edge_params){p[0].mem, p[1].mem, p[2].mem, p[3].mem, p[4].mem, p[5].mem};
}

/* Packed weights, or their gradients. */
typedef struct packed {
    op_tensor t[4];
    bf_edge_pack mem;
} packed;

static packed packed_new(bf_ctx *ctx, const scene *c)
{
    const size_t w = c->s.width, n[4] = {2 * c->pad * w, 2 * c->pad * w, 2 * c->pad,
                                         bf_edge_packed_size(c->step, (int)w, (int)c->s.heads)};
    packed p;
    for (int i = 0; i < 4; i++) p.t[i] = op_out(ctx, n[i], false, 0);
    p.mem = (bf_edge_pack){p.t[0].mem, p.t[1].mem, p.t[2].mem, p.t[3].mem};
    return p;
}

static void packed_free(packed *p)
{
    for (int i = 0; i < 4; i++) op_free(&p->t[i]);
}

/* The gradients of the parameters against finite differences. */
static void check_params(bf_ctx *ctx, scene *c, packed *d, bool acc)
{
    for (int i = 0; i < (c->step == BF_EDGE_GATE ? 1 : 2); i++) {
        static const char *const names[MLP_PARTS] = {"dw", "dbias", "dgamma", "dbeta", "dw2", "dbias2"};
        op_tensor g[MLP_PARTS];
        bf_cmds *cmds = op_cmds(ctx);
        for (uint32_t k = 0; k < MLP_PARTS; k++) g[k] = op_out(ctx, c->mlp[i][k].n, acc, 50 + k);
        const bf_edge_params to = params_of(g);
        OK(bf_edge_unpack_gradients(cmds, c->step, (int)c->s.width, (int)c->s.heads, i, &to, acc ? 63 : 0, &d->mem,
                                    err));
        test_run(cmds);
        for (int k = 0; k < MLP_PARTS; k++) {
            op_expect_gradient_step(ctx, names[k], &g[k], acc, c->mlp[i][k].d, scene_loss, c, 2e-4, STEP);
            op_free(&g[k]);
        }
    }
}

static void check_gate(bf_ctx *ctx, const shape *s, bool acc)
{
    scene c = scene_new(ctx, s, BF_EDGE_GATE);
    packed p = packed_new(ctx, &c), d = packed_new(ctx, &c);
    op_tensor gate = op_out(ctx, s->nodes * s->slots, false, 0), dx = op_out(ctx, 3 * s->nodes, acc, 9);
    test_tensor ws[2] = {op_workspace(ctx, bf_edge_gate_forward_workspace(ctx, &c.list)),
                         op_workspace(ctx, bf_edge_gate_backward_workspace(ctx, &c.list))};
    bf_cmds *cmds = op_cmds(ctx);
    const bf_edge_params params = params_of(c.mlp[0]);
    OK(bf_edge_pack_weights(cmds, c.step, (int)s->width, (int)s->heads, &p.mem, &params, err));
    OK(bf_edge_gate_forward(cmds, &c.list, gate.mem, p.mem.packed, ws[0].mem, err));
    OK(bf_edge_gate_backward(cmds, &c.list, d.mem.packed, dx.mem, acc, c.dout.mem, gate.mem, p.mem.packed, ws[1].mem,
                             err));
    test_run(cmds);
    run_reference(&c);
    op_expect(ctx, "gate", &gate, false, c.out, 2e-6);
    check_params(ctx, &c, &d, acc);
    if (!s->coincident) op_expect_gradient_step(ctx, "dx", &dx, acc, c.x.d, scene_loss, &c, 2e-4, STEP);
    for (int i = 0; i < 2; i++) op_workspace_free(ctx, &ws[i]);
    packed_free(&p);
    packed_free(&d);
    op_free(&gate);
    op_free(&dx);
    scene_free(&c);
}

/* Node products that stand in front of the attention, and their backward pass into dh and the packed weights. */
typedef struct products {
    op_tensor own, source, target_h, down, dsource, dtarget_h, dh;
    test_tensor ws;
} products;

static products products_new(bf_ctx *ctx, const scene *c)
{
    const size_t w = c->s.width, n = c->s.nodes, t = c->targets;
    products p = {.own = op_out(ctx, t * 2 * c->pad, false, 0), .source = op_out(ctx, n * 2 * c->pad, false, 0)};
    float *h = malloc((t * w + 1) * sizeof *h);
    ck_assert_ptr_nonnull(h);
    for (size_t i = 0; i < t; i++) memcpy(h + i * w, c->h.f + node_of(c, i) * w, w * sizeof *h);
    p.target_h = op_from(ctx, t * w, h);
    p.down = op_out(ctx, t * 2 * c->pad, false, 0);
    p.dsource = op_out(ctx, n * 2 * c->pad, false, 0);
    p.dtarget_h = op_out(ctx, t * w, false, 0);
    p.dh = op_out(ctx, n * w, false, 0);
    p.ws = op_workspace(ctx, bf_linear_workspace(ctx, n, (int)w, 2 * (int)c->pad));
    return p;
}

static void products_free(bf_ctx *ctx, products *p)
{
    op_tensor *all[] = {&p->own, &p->source, &p->target_h, &p->down, &p->dsource, &p->dtarget_h, &p->dh};
    for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
    op_workspace_free(ctx, &p->ws);
}

static void check_attention(bf_ctx *ctx, const shape *s, bf_edge_step step, bool acc)
{
    scene c = scene_new(ctx, s, step);
    packed p = packed_new(ctx, &c), d = packed_new(ctx, &c);
    products m = products_new(ctx, &c);
    const int w = (int)s->width, wide = 2 * (int)c.pad;
    op_tensor out = op_out(ctx, c.dout.n, false, 0), residual = op_rand(ctx, c.dout.n, 0, 1, 9);
    op_tensor weight = op_out(ctx, c.targets * s->slots * c.head_pad, false, 0);
    op_tensor dquery = op_out(ctx, c.query.n, acc, 10), dgate = op_out(ctx, c.gate.n, acc, 11);
    op_tensor dx = op_out(ctx, c.x.n, acc, 12);
    test_tensor ws[2] = {op_workspace(ctx, bf_edge_attention_forward_workspace(ctx, &c.list, step)),
                         op_workspace(ctx, bf_edge_attention_backward_workspace(ctx, &c.list, step))};
    const bf_edge_params params[2] = {params_of(c.mlp[0]), params_of(c.mlp[1])};
    const bf_edge_attention_mem in = {c.query.mem, m.own.mem, m.source.mem, p.mem.packed, c.gate.mem};
    const bf_edge_attention_grads g = {dquery.mem, m.down.mem, m.dsource.mem, d.mem.packed, dgate.mem, dx.mem,
                                       acc,        false,      false,         acc,          acc,       true};
    bf_cmds *cmds = op_cmds(ctx);
    OK(bf_edge_pack_weights(cmds, step, w, (int)s->heads, &p.mem, params, err));
    OK(bf_linear_forward(cmds, m.own.mem, BF_MEM_NONE, m.target_h.mem, p.mem.own_w, p.mem.own_b, BF_MEM_NONE,
                         BF_ACT_NONE, c.targets, w, wide, m.ws.mem, err));
    OK(bf_linear_forward(cmds, m.source.mem, BF_MEM_NONE, c.h.mem, p.mem.source_w, BF_MEM_NONE, BF_MEM_NONE,
                         BF_ACT_NONE, s->nodes, w, wide, m.ws.mem, err));
    OK(bf_edge_attention_forward(cmds, &c.list, step, out.mem, weight.mem, residual.mem, &in, ws[0].mem, err));
    OK(bf_edge_attention_backward(cmds, &c.list, step, &g, c.dout.mem, weight.mem, &in, ws[1].mem, err));
    OK(bf_linear_backward(cmds, m.dtarget_h.mem, false, d.mem.own_w, false, d.mem.own_b, false, m.down.mem,
                          m.target_h.mem, p.mem.own_w, c.targets, w, wide, m.ws.mem, err));
    OK(bf_linear_backward(cmds, m.dh.mem, false, d.mem.source_w, false, BF_MEM_NONE, false, m.dsource.mem, c.h.mem,
                          p.mem.source_w, s->nodes, w, wide, m.ws.mem, err));
    test_run(cmds);
    run_reference(&c);
    for (size_t i = 0; i < c.dout.n && step == BF_EDGE_FEATURES; i++) c.out[i] += residual.d[i];
    op_expect(ctx, "out", &out, false, c.out, 5e-6);
    op_expect_gradient_step(ctx, "dquery", &dquery, acc, c.query.d, scene_loss, &c, 2e-4, STEP);
    op_expect_gradient_step(ctx, "dgate", &dgate, acc, c.gate.d, scene_loss, &c, 2e-4, STEP);
    if (!s->coincident) op_expect_gradient_step(ctx, "dx", &dx, acc, c.x.d, scene_loss, &c, 2e-4, STEP);
    check_params(ctx, &c, &d, acc);
    op_read(ctx, &m.dh);
    op_read(ctx, &m.dtarget_h);
    for (size_t t = 0; t < c.targets; t++)
        for (size_t k = 0; k < s->width; k++) m.dh.f[node_of(&c, t) * s->width + k] += m.dtarget_h.f[t * s->width + k];
    test_free(&m.dh.t);
    m.dh.t = test_new(ctx, m.dh.n, m.dh.f);
    op_expect_gradient_step(ctx, "dh", &m.dh, false, c.h.d, scene_loss, &c, 2e-4, STEP);
    for (int i = 0; i < 2; i++) op_workspace_free(ctx, &ws[i]);
    packed_free(&p);
    packed_free(&d);
    products_free(ctx, &m);
    op_tensor *all[] = {&out, &residual, &weight, &dquery, &dgate, &dx};
    for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
    scene_free(&c);
}

static const shape shapes[] = {
    {7, 4, 3, 16, 4, true, false, false},   {1, 0, 2, 16, 16, false, false, false},
    {19, 13, 5, 20, 5, false, true, false}, {11, 0, 2, 33, 1, false, false, false},
    {9, 5, 8, 24, 3, true, true, true},
};

START_TEST(gates)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) check_gate(ctx, &shapes[k], k % 2);
}
END_TEST

START_TEST(feature_steps)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) check_attention(ctx, &shapes[k], BF_EDGE_FEATURES, k % 2);
}
END_TEST

START_TEST(position_steps)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) check_attention(ctx, &shapes[k], BF_EDGE_POSITIONS, k % 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {gates, feature_steps, position_steps};
    return op_main("edge_attention", tests, BF_COUNT(tests));
}
