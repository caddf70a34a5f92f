/* The graph: placement by liveness, dead nodes, derived gradients, views, refusals. */
#include <stdio.h>
#include <string.h>

#include "base/philox.h"
#include "graph_test.h"

/* ---- placement: random graphs against a simulation of memory ----------------------------------------------------- */

static uint32_t rng_state;

static uint32_t rng(uint32_t below)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (rng_state >> 8) % below;
}

static uint64_t sim_workspace(const bf_graph *g, const bf_node *n)
{
    (void)g;
    return *(const uint64_t *)n->attr;
}

static const bf_node_def sim_def = {.name = "sim", .attr_size = sizeof(uint64_t), .workspace = sim_workspace};
static const bf_node_def sim_inplace_def = {
    .name = "sim_inplace", .attr_size = sizeof(uint64_t), .workspace = sim_workspace, .inplace = 1};

/* A graph of `count` nodes: outputs of random size, views, additions to what exists, kept tensors. */
static void random_graph(bf_graph *g, int count, uint32_t largest)
{
    bf_tid have[256];
    int n = 0;

    for (int i = 0; i < 3; i++) have[n++] = bf_graph_input(g, "in", 1, &(uint64_t){1 + rng(5000)});
    for (int k = 0; k < count; k++) {
        const uint64_t ws = rng(3) ? 0 : 4 * (uint64_t)rng(4000), size = rng(4) ? 1 + rng(largest) : 64;
        bf_tid in[3], out[2];
        bool acc[2] = {false, false};
        const int ins = 1 + (int)rng(3), outs = 1 + (int)rng(2);
        const bool inplace = rng(3) == 0;
        for (int i = 0; i < ins; i++) in[i] = have[rng((uint32_t)n)];
        for (int i = 0; i < outs; i++) out[i] = bf_graph_temp(g, 1, &size);
        if (inplace) out[0] = bf_graph_temp(g, 1, &(uint64_t){bf_graph_numel(g, in[0])});
        if (rng(5) == 0 && n > 3) {
            out[0] = have[3 + rng((uint32_t)n - 3)];
            acc[0] = true;
        }
        bf_graph_node(g, inplace ? &sim_inplace_def : &sim_def, &ws, ins, in, outs, out, acc);
        for (int i = 0; i < outs && n < 250; i++) have[n++] = out[i];
        if (rng(6) == 0 && n < 250) have[n++] = bf_graph_reshape(g, out[0], 1, &(uint64_t){bf_graph_numel(g, out[0])});
        if (rng(8) == 0) bf_graph_keep(g, out[0]);
    }
    bf_graph_keep(g, have[n - 1]);
}

typedef struct simulation {
    const bf_graph *g;
    const bf_tid *root; /* as they were before the plan merged any */
    uint32_t **word;    /* per arena, one per 4 bytes */
    uint32_t *tag;      /* what a tensor's words must hold now, by root */
    uint32_t next;
    bool broken; /* something was overwritten while it was needed */
} simulation;

static uint32_t *words_of(const simulation *s, bf_tid t, uint64_t *n)
{
    const bf_tensor *r = bf_graph_root(s->g, t);

    ck_assert_int_ne(r->arena, BF_NO_PLACE);
    ck_assert_uint_eq(r->off % bf_ctx_align(s->g->ctx), 0);
    ck_assert(r->off + r->bytes <= s->g->arena[r->arena].bytes);
    *n = bf_graph_numel(s->g, t);
    return s->word[r->arena] + r->off / 4;
}

static void expect_tag(simulation *s, bf_tid t)
{
    uint64_t n;
    const uint32_t *w = words_of(s, t, &n), tag = s->tag[s->root[t]];

    for (uint64_t i = 0; i < n; i++) s->broken |= w[i] != tag;
}

static void write_tag(simulation *s, bf_tid t)
{
    uint64_t n;
    uint32_t *w = words_of(s, t, &n);

    if (t < s->g->tensors && s->g->tensor[t].kind != BF_T_WORKSPACE) s->tag[s->root[t]] = s->next;
    for (uint64_t i = 0; i < n; i++) w[i] = s->next;
    s->next++;
}

/* Runs the plan on tags; true when every tensor held its tag whenever it was read. */
static bool simulate(const bf_graph *g, const bf_tid *root)
{
    simulation s = {.g = g, .root = root, .next = 1};

    s.word = calloc((size_t)(unsigned)g->arenas, sizeof *s.word);
    s.tag = calloc((size_t)(unsigned)g->tensors, sizeof *s.tag);
    for (int a = 0; a < g->arenas; a++) s.word[a] = calloc(g->arena[a].bytes / 4, 4);
    for (bf_tid t = 0; t < g->tensors; t++)
        if (g->tensor[t].kind == BF_T_INPUT) write_tag(&s, t);
    for (int k = 0; k < g->nodes; k++) {
        const bf_node *n = &g->node[k];
        if (!g->live[k]) continue;
        if (n->workspace >= 0) write_tag(&s, n->workspace);
        for (int i = 0; i < BF_NODE_IN; i++)
            if (n->in[i] >= 0) expect_tag(&s, n->in[i]);
        for (int i = 0; i < BF_NODE_OUT; i++)
            if (n->out[i] >= 0 && n->acc[i]) expect_tag(&s, n->out[i]);
        if (strcmp(n->def->name, "view") == 0) continue;
        for (int i = 0; i < BF_NODE_OUT; i++)
            if (n->out[i] >= 0) write_tag(&s, n->out[i]);
    }
    for (bf_tid t = 0; t < g->tensors; t++)
        if (g->tensor[t].keep && root[t] == t) expect_tag(&s, t);
    for (int a = 0; a < g->arenas; a++) free(s.word[a]);
    free(s.word);
    free(s.tag);
    return !s.broken;
}

/* Room for the workspaces that the plan adds. */
static bf_tid *roots(const bf_graph *g)
{
    const size_t n = (size_t)(g->tensors + g->nodes);
    bf_tid *root = malloc(n * sizeof *root);

    ck_assert_ptr_nonnull(root);
    for (size_t t = 0; t < n; t++) root[t] = t < (size_t)g->tensors ? g->tensor[t].root : (bf_tid)t;
    return root;
}

START_TEST(no_live_tensors_overlap)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    uint64_t shared = 0, unshared = 0;
    int merged = 0;

    for (uint32_t seed = 1; seed <= 60; seed++) {
        fixture f = fixture_new(ctx, false);
        bf_plan plan;
        rng_state = seed;
        random_graph(f.g, 10 + (int)rng(60), 20000);
        OK(bf_graph_status(f.g, err));
        const int tensors = f.g->tensors;
        bf_tid *root = roots(f.g);
        OK(bf_graph_plan(f.g, false, &plan, err));
        for (int t = 0; t < tensors; t++) merged += f.g->tensor[t].root != root[t];
        ck_assert_msg(simulate(f.g, root), "random graph %u: a tensor was overwritten while it was needed", seed);
        shared += plan.activation_bytes;
        unshared += plan.unshared_bytes;
        free(root);
        fixture_free(&f);
    }
    ck_assert_msg(shared * 2 < unshared, "sharing saves too little: %llu of %llu bytes", (unsigned long long)shared,
                  (unsigned long long)unshared);
    ck_assert_int_gt(merged, 0);
}
END_TEST

/* The check above must be able to fail. */
START_TEST(simulation_notices_overlap)
{
    fixture f = fixture_new(test_ctx(BF_CLASS_CPU), false);
    bf_tid x = input(&f, "x", 64, 0, 0, 0), a = bf_graph_act(f.g, x, BF_ACT_SILU),
           b = bf_graph_act(f.g, x, BF_ACT_RELU);
    bf_tid y = bf_graph_add_mid(f.g, a, b);

    bf_graph_keep(f.g, y);
    bf_tid *root = roots(f.g);
    OK(bf_graph_plan(f.g, false, NULL, err));
    ck_assert(simulate(f.g, root));
    bf_graph_root(f.g, a)->off = bf_graph_root(f.g, b)->off;
    ck_assert(!simulate(f.g, root));
    free(root);
    fixture_free(&f);
}
END_TEST

static bf_ctx *small_ctx(uint64_t bytes)
{
    const char *device = getenv("BFNCL_TEST_DEVICE");
    const bf_ctx_options o = {
        .selector = device ? device : "pocl:0", .cls = BF_CLASS_CPU, .gemm = BF_GEMM_PACKED, .memory_limit = bytes};
    bf_ctx *ctx = NULL;

    OK(bf_ctx_open(&o, &ctx, err));
    return ctx;
}

/* What does not fit into one allocation goes to several arenas. */
START_TEST(arenas_split_at_the_largest_allocation)
{
    bf_ctx *ctx = small_ctx(UINT64_C(1) << 20);
    int split = 0;

    for (uint32_t seed = 1; seed <= 20; seed++) {
        fixture f = fixture_new(ctx, false);
        bf_plan plan;
        bf_err e = {0};
        rng_state = seed;
        random_graph(f.g, 60, 120000);
        bf_tid *root = roots(f.g);
        const bf_status st = bf_graph_plan(f.g, false, &plan, &e);
        ck_assert_msg(st == BF_OK || st == BF_RUNTIME, "status %d: %s", st,
                      e.message); /* all arenas: over the budget */
        int shared = 0;
        for (int a = 0; a < f.g->arenas; a++) {
            ck_assert_uint_le(f.g->arena[a].bytes, bf_ctx_max_alloc(ctx));
            shared += !f.g->arena[a].io;
        }
        split += shared > 1;
        ck_assert_msg(simulate(f.g, root), "random graph %u: a tensor was overwritten while it was needed", seed);
        free(root);
        fixture_free(&f);
    }
    ck_assert_int_gt(split, 5);
    bf_ctx_close(ctx);
}
END_TEST

START_TEST(dead_nodes_go)
{
    fixture f = fixture_new(test_ctx(BF_CLASS_CPU), false);
    bf_plan plan;
    bf_tid x = input(&f, "x", 64, 0, 0, 0), used = bf_graph_act(f.g, x, BF_ACT_SILU);
    bf_tid dead = bf_graph_act(f.g, used, BF_ACT_RELU);

    bf_graph_act(f.g, dead, BF_ACT_GELU);
    bf_graph_keep(f.g, used);
    OK(bf_graph_plan(f.g, true, &plan, err));
    ck_assert_uint_eq(plan.nodes, 1);
    ck_assert_uint_eq(plan.dead, 2);
    ck_assert(bf_mem_is_none(bf_graph_mem(f.g, dead)));
    ck_assert(!bf_mem_is_none(bf_graph_mem(f.g, used)));
    fixture_free(&f);
}
END_TEST

/* An elementwise node writes over an input that dies there, and only then. */
START_TEST(in_place_only_where_safe)
{
    fixture f = fixture_new(test_ctx(BF_CLASS_CPU), false);
    bf_tid x = input(&f, "x", 5000, 0, 0, 0), a = bf_graph_act(f.g, x, BF_ACT_SILU);
    bf_tid b = bf_graph_act(f.g, a, BF_ACT_GELU), c = bf_graph_act(f.g, b, BF_ACT_RELU), y = bf_graph_add(f.g, b, c);

    bf_graph_keep(f.g, y);
    OK(bf_graph_plan(f.g, true, NULL, err));
    ck_assert(bf_graph_root(f.g, a) == bf_graph_root(f.g, b)); /* a dies in b */
    ck_assert(bf_graph_root(f.g, b) != bf_graph_root(f.g, c)); /* b is read again */
    ck_assert(bf_graph_root(f.g, x) != bf_graph_root(f.g, a)); /* inputs belong to the host */
    fixture_free(&f);
}
END_TEST

/* With fixed weights the kernels of the cpu class do not look at the parameters again: they take over new ones with the
 * commands of bf_graph_emit_prepare, and then give the bits of a graph without that option. Those of the wide class
 * read the parameters as they are. */
START_TEST(fixed_weights_are_prepared_once)
{
    enum { OUT = 2 * 6 * 5 * 33 };
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const bool prepares = bf_ctx_class(ctx) == BF_CLASS_CPU;
    float y[4][OUT];

    for (int fixed = 0; fixed < 2; fixed++) {
        fixture f = {.ctx = ctx};
        bf_cmds *prepare;
        OK(bf_params_new(ctx, &f.params, err));
        OK(bf_graph_new(ctx, f.params, &(bf_graph_options){.fixed_weights = fixed}, &f.g, err));
        OK(bf_cmds_new(ctx, &f.cmds, err));
        OK(bf_cmds_new(ctx, &prepare, err));
        bf_tid x = input(&f, "x", 2, 6, 5, 16);
        bf_tid h = bf_graph_conv(f.g, x, param(&f, "conv", BF_LAYOUT_CONV, 32, 16, 3, 3), BF_NONE, 1, BF_NONE, BF_NONE);
        bf_tid out =
            bf_graph_linear(f.g, h, param(&f, "linear", BF_LAYOUT_PLAIN, 33, 32, 0, 0), BF_NONE, BF_ACT_NONE, BF_NONE);
        bf_graph_keep(f.g, out);
        ready(&f);
        OK(bf_graph_emit_prepare(f.g, prepare, err));
        ck_assert_uint_eq(bf_cmds_count(prepare), fixed && prepares ? 2 : 0);
        put_random(&f, x, 3);
        OK(bf_cmds_run(prepare, err));
        run(&f);
        get(&f, out, y[2 * fixed]);
        OK(bf_params_init(f.params, 8, err));
        run(&f);
        get(&f, out, y[2 * fixed + 1]);
        if (!fixed) {
            bf_cmds_free(prepare);
            fixture_free(&f);
            continue;
        }
        if (prepares) ck_assert_mem_eq(y[2], y[3], sizeof y[0]);
        OK(bf_cmds_run(prepare, err));
        run(&f);
        get(&f, out, y[3]);
        bf_cmds_free(prepare);
        fixture_free(&f);
    }
    ck_assert_mem_eq(y[0], y[2], sizeof y[0]);
    ck_assert_mem_eq(y[1], y[3], sizeof y[0]);
    ck_assert(memcmp(y[0], y[1], sizeof y[0]) != 0);
}
END_TEST

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* One tensor read in several ways, gradients handed over by adds and views and added to afterwards. */
START_TEST(gradients_of_shared_tensors)
{
    TEST_BOTH(ctx)
    {
        fixture f = fixture_new(ctx, true);
        bf_tid x = input(&f, "x", 3, 5, 8, 0), w = param(&f, "w", BF_LAYOUT_PLAIN, 8, 8, 0, 0);
        bf_tid b = param(&f, "b", BF_LAYOUT_PLAIN, 8, 0, 0, 0), t = param(&f, "t", BF_LAYOUT_PLAIN, 3, 8, 0, 0);
        bf_graph_want_grad(f.g, x);
        bf_tid h = bf_graph_linear(f.g, x, w, b, BF_ACT_GELU, x);
        h = bf_graph_add(f.g, h, h);
        bf_tid view = bf_graph_reshape(f.g, h, 2, (uint64_t[]){15, 8});
        bf_tid s = bf_graph_softmax(f.g, view);
        h = bf_graph_add(f.g, bf_graph_add(f.g, h, x), bf_graph_act(f.g, h, BF_ACT_SILU));
        h = bf_graph_add_mid(f.g, h, t);
        h = bf_graph_dropout(f.g, h, 0.3f, BF_NONE);             /* the same draw in every run */
        h = bf_graph_linear(f.g, h, w, BF_NONE, BF_ACT_NONE, h); /* w a second time */
        h = bf_graph_concat(f.g, h, bf_graph_affine(f.g, bf_graph_reshape(f.g, s, 3, (uint64_t[]){3, 5, 8}), 3, -1));
        check_gradients(&f, dot_with_random(&f, h));
        fixture_free(&f);
    }
}
END_TEST

/* Layers of one input as one product: a part that a convolution reads, parts handed on by an add, one read twice.
 * `again`: the last one repeats the parameters of the first, so that each has to be a product of its own. */
static void shared_layers(bf_ctx *ctx, bool again)
{
    fixture f = fixture_new(ctx, true);
    bf_tid x = input(&f, "x", 3, 8, 0, 0), image = input(&f, "image", 3, 4, 5, 16), y[4];

    bf_graph_want_grad(f.g, x);
    for (int i = 0; i < 4; i++) {
        char w[16], b[16];
        snprintf(w, sizeof w, "w%d", i == 3 && again ? 0 : i);
        snprintf(b, sizeof b, "b%d", i == 3 && again ? 0 : i);
        const bf_tid wt = param(&f, w, BF_LAYOUT_PLAIN, 16, 8, 0, 0);
        y[i] = bf_graph_linear_shared(f.g, x, wt, param(&f, b, BF_LAYOUT_PLAIN, 16, 0, 0, 0));
    }
    bf_tid h = bf_graph_conv(f.g, image, param(&f, "k", BF_LAYOUT_CONV, 16, 16, 3, 3), BF_NONE, 1, y[0], BF_NONE);
    h = bf_graph_add_mid(f.g, h, bf_graph_add(f.g, y[1], y[3]));
    h = bf_graph_add_mid(f.g, h, bf_graph_act(f.g, y[3], BF_ACT_SILU));
    h = bf_graph_add_mid(f.g, h, y[2]);
    check_gradients(&f, dot_with_random(&f, h));
    fixture_free(&f);
}

START_TEST(gradients_of_layers_with_one_input)
{
    TEST_BOTH(ctx)
    {
        shared_layers(ctx, false);
        shared_layers(ctx, true);
    }
}
END_TEST

/* The table of tensors moves when it grows, wherever in the backward pass that happens. It has to: the gaps behind it
 * are filled. */
START_TEST(gradients_while_the_table_grows)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    for (int before = 0; before < 260; before++) {
        fixture f = fixture_new(ctx, true);
        void *gap[64];
        int fills = 0;
        for (size_t i = 0; i < BF_COUNT(gap); i++) gap[i] = malloc(1 << 15);
        for (int i = 0; i < before; i++) bf_graph_temp(f.g, 1, (uint64_t[]){1});
        bf_tid x = input(&f, "x", 3, 8, 0, 0), image = input(&f, "image", 3, 4, 5, 16), y[3];
        const char *const names[] = {"w0", "w1", "w2"};
        for (int i = 0; i < 3; i++) {
            const bf_tid w = param(&f, names[i], BF_LAYOUT_PLAIN, 16, 8, 0, 0);
            y[i] = bf_graph_linear_shared(f.g, x, w, BF_NONE);
        }
        bf_tid h = bf_graph_conv(f.g, image, param(&f, "k", BF_LAYOUT_CONV, 16, 16, 3, 3), BF_NONE, 1, y[0], BF_NONE);
        h = bf_graph_add_mid(f.g, bf_graph_add_mid(f.g, h, y[1]), y[2]);
        OK(bf_graph_backward(f.g, dot_with_random(&f, h), BF_NONE, err));
        for (size_t i = 0; i < BF_COUNT(gap); i++) free(gap[i]);
        /* where the gradient of a layer is lost, it is taken for unused and zeros are written in its stead */
        for (int k = 0; k < f.g->nodes; k++) fills += strcmp(f.g->node[k].def->name, "fill") == 0;
        ck_assert_msg(fills == 1, "a gradient is lost behind %d tensors", before); /* the one that all starts from */
        fixture_free(&f);
    }
}
END_TEST

START_TEST(unused_layer_with_shared_input_has_gradient_zero)
{
    fixture f = fixture_new(test_ctx(BF_CLASS_CPU), true);
    bf_tid x = input(&f, "x", 3, 8, 0, 0), y[3], loss;
    const char *const names[] = {"w0", "w1", "w2"};
    float grad[3][128];

    for (int i = 0; i < 3; i++)
        y[i] = bf_graph_linear_shared(f.g, x, param(&f, names[i], BF_LAYOUT_PLAIN, 16, 8, 0, 0), BF_NONE);
    loss = dot_with_random(&f, bf_graph_softmax(f.g, bf_graph_add(f.g, y[0], y[2])));
    OK(bf_graph_backward(f.g, loss, BF_NONE, err));
    ready(&f);
    put_random(&f, x, 3);
    run(&f);
    run(&f);
    for (int i = 0; i < 3; i++) OK(bf_params_get(f.params, BF_SET_GRAD, i, grad[i], err));
    for (int i = 0; i < 128; i++) ck_assert(grad[1][i] == 0 && grad[0][i] != 0 && grad[0][i] == grad[2][i]);
    fixture_free(&f);
}
END_TEST

START_TEST(gradients_of_layers)
{
    TEST_BOTH(ctx)
    {
        fixture f = fixture_new(ctx, true);
        bf_tid x = input(&f, "x", 2, 4, 4, 8), t = input(&f, "t", 2, 0, 0, 0), g = BF_NONE, b = BF_NONE;
        bf_tid mask = input(&f, "mask", 2, 4, 4, 8); /* random, so nowhere 0: all kept, scaled */
        bf_graph_want_grad(f.g, x);
        bf_graph_want_grad(f.g, t);
        g = param(&f, "gamma", BF_LAYOUT_PLAIN, 8, 0, 0, 0);
        b = param(&f, "beta", BF_LAYOUT_PLAIN, 8, 0, 0, 0);
        bf_tid ss = param(&f, "scale_shift", BF_LAYOUT_PLAIN, 2, 16, 0, 0);
        bf_tid h = bf_graph_group_norm(f.g, x, g, b, 2, 1e-5f, BF_ACT_SILU, ss);
        h = bf_graph_conv(f.g, h, param(&f, "k", BF_LAYOUT_CONV, 8, 8, 3, 3),
                          param(&f, "kb", BF_LAYOUT_PLAIN, 8, 0, 0, 0), 1,
                          param(&f, "time", BF_LAYOUT_PLAIN, 2, 8, 0, 0), x);
        h = bf_graph_dropout(f.g, h, 0.25f, mask);
        h = bf_graph_conv(f.g, h, param(&f, "k2", BF_LAYOUT_CONV, 8, 8, 3, 3), BF_NONE, 2, BF_NONE, BF_NONE);
        h = bf_graph_upsample(f.g, h);
        h = bf_graph_layer_norm(f.g, h, param(&f, "lg", BF_LAYOUT_PLAIN, 8, 0, 0, 0),
                                param(&f, "lb", BF_LAYOUT_PLAIN, 8, 0, 0, 0), 1e-5f);
        h = bf_graph_linear(f.g, h, param(&f, "qkv", BF_LAYOUT_PLAIN, 24, 8, 0, 0), BF_NONE, BF_ACT_NONE, BF_NONE);
        h = bf_graph_attention(f.g, h, 2, BF_QKV_PER_HEAD, false);
        h = bf_graph_features(f.g, h, t, param(&f, "pos", BF_LAYOUT_PLAIN, 16, 3, 0, 0));
        check_gradients(&f, dot_with_random(&f, h));
        fixture_free(&f);
    }
}
END_TEST

/* Two blocks of many kinds, with views, a skip over a block and a tensor that two blocks read; after them plain nodes.
 */
static bf_tid two_blocks(const fixture *f)
{
    bf_graph *g = f->g;
    const bf_tid x = input(f, "x", 18, 6, 6, 8), gamma = param(f, "gamma", BF_LAYOUT_PLAIN, 8, 0, 0, 0);
    const bf_tid beta = param(f, "beta", BF_LAYOUT_PLAIN, 8, 0, 0, 0), w = param(f, "w", BF_LAYOUT_PLAIN, 8, 8, 0, 0);

    bf_graph_want_grad(g, x);
    bf_tid first = bf_graph_linear(g, x, w, BF_NONE, BF_ACT_SILU, BF_NONE);
    bf_graph_block(g);
    bf_tid h = bf_graph_group_norm(g, first, gamma, beta, 2, 1e-5f, BF_ACT_SILU, BF_NONE);
    h = bf_graph_conv(g, h, param(f, "k", BF_LAYOUT_CONV, 8, 8, 3, 3), beta, 1, BF_NONE, first);
    h = bf_graph_act(g, bf_graph_dropout(g, h, 0.3f, BF_NONE), BF_ACT_GELU);
    bf_tid rows = bf_graph_reshape(g, h, 2, (uint64_t[]){648, 8});
    bf_tid block = bf_graph_linear(g, bf_graph_softmax(g, rows), w, BF_NONE, BF_ACT_NONE, rows);
    bf_graph_block(g);
    h = bf_graph_concat(g, bf_graph_reshape(g, block, 4, (uint64_t[]){18, 6, 6, 8}), first);
    h = bf_graph_linear(g, h, param(f, "qkv", BF_LAYOUT_PLAIN, 24, 16, 0, 0), BF_NONE, BF_ACT_GELU, BF_NONE);
    h = bf_graph_layer_norm(g, bf_graph_attention(g, h, 2, BF_QKV_THIRDS, false), gamma, beta, 1e-5f);
    h = bf_graph_dropout(g, bf_graph_add(g, bf_graph_reshape(g, h, 2, (uint64_t[]){648, 8}), block), 0.2f, BF_NONE);
    bf_graph_block_end(g);
    h = bf_graph_linear(g, bf_graph_affine(g, h, 0.5f, 1.0f), w, BF_NONE, BF_ACT_GELU, block);
    return dot_with_random(f, h);
}

/* All gradients of two_blocks, that of x behind those of the parameters. */
static float *gradients_of_blocks(bf_ctx *ctx, bool recompute, bool half, bf_plan *plan, size_t *n)
{
    fixture f = fixture_new(ctx, true);
    float *grad = calloc(8192, sizeof *grad);

    ck_assert_ptr_nonnull(grad);
    f.g->options.recompute = recompute;
    f.g->options.half_storage = half;
    OK(bf_graph_backward(f.g, two_blocks(&f), BF_NONE, err));
    ready(&f);
    *plan = f.g->plan;
    put_random(&f, bf_graph_find(f.g, "x"), 1);
    OK(bf_graph_set_step(f.g, (uint32_t[BF_STEP_WORDS]){1, 2, 3, 4}, err));
    for (int i = 0; i < 2; i++) run(&f);
    *n = 0;
    for (int i = 0; i < bf_params_count(f.params); i++) {
        OK(bf_params_get(f.params, BF_SET_GRAD, i, grad + *n, err));
        *n += bf_param_numel(bf_params_spec(f.params, i));
    }
    get(&f, bf_graph_grad_of(f.g, bf_graph_find(f.g, "x")), grad + *n);
    *n += 18 * 6 * 6 * 8;
    ck_assert_uint_le(*n, 8192);
    fixture_free(&f);
    return grad;
}

START_TEST(recomputed_blocks)
{
    TEST_BOTH(ctx)
    {
        bf_plan kept, again;
        size_t n, m;
        float *a = gradients_of_blocks(ctx, false, false, &kept, &n),
              *b = gradients_of_blocks(ctx, true, false, &again, &m);

        ck_assert_uint_eq(n, m);
        ck_assert_mem_eq(a, b, n * sizeof *a);
        for (size_t i = 0; i < n; i += 8) ck_assert(a[i] != 0.0f); /* they are there */
        ck_assert_uint_gt(again.nodes, kept.nodes + 8);
        ck_assert_uint_gt(again.dead, 0); /* what only later blocks read is not repeated */
        ck_assert_uint_lt(again.activation_bytes, kept.activation_bytes);
        free(a);
        free(b);
    }
}
END_TEST

/* Activations that wait as halves: gradients a little off, whether blocks are recomputed from them or not. */
START_TEST(halves_between_the_passes)
{
    TEST_BOTH(ctx)
    for (int recompute = 0; recompute < 2; recompute++) {
        bf_plan whole, half;
        size_t n, m;
        float *a = gradients_of_blocks(ctx, recompute, false, &whole, &n);
        float *b = gradients_of_blocks(ctx, recompute, true, &half, &m);
        double square = 0, off = 0;

        ck_assert_uint_eq(n, m);
        for (size_t i = 0; i < n; i++) {
            square += (double)a[i] * (double)a[i];
            off += pow((double)a[i] - (double)b[i], 2);
        }
        ck_assert_double_lt(sqrt(off), 2e-3 * sqrt(square));
        ck_assert_double_gt(off, 0);
        ck_assert_uint_gt(half.nodes, whole.nodes + 4);
        if (!recompute) ck_assert_uint_lt(half.activation_bytes, whole.activation_bytes);
        free(a);
        free(b);
    }
}
END_TEST

/* A graph in the memory of another one that does not run at the same time. */
START_TEST(graphs_beside_each_other)
{
    TEST_BOTH(ctx)
    {
        fixture f[3] = {fixture_new(ctx, true), fixture_new(ctx, false), fixture_new(ctx, false)};
        const uint64_t rows[3] = {40, 40, 4000};

        for (int i = 0; i < 3; i++) {
            bf_tid x = input(&f[i], "x", rows[i], 8, 0, 0);
            bf_tid y =
                bf_graph_softmax(f[i].g, bf_graph_linear(f[i].g, x, param(&f[i], "w", BF_LAYOUT_PLAIN, 8, 8, 0, 0),
                                                         BF_NONE, BF_ACT_GELU, x));
            if (i == 0)
                OK(bf_graph_backward(f[0].g, dot_with_random(&f[0], y), BF_NONE, err));
            else
                f[i].g->options.beside = f[0].g;
            bf_graph_keep(f[i].g, y = bf_graph_act(f[i].g, y, BF_ACT_SILU));
            const uint64_t used = bf_ctx_used(ctx);
            ready(&f[i]);
            const bf_plan *p = &f[i].g->plan;
            ck_assert_uint_ge(bf_ctx_used(ctx) - used, p->io_bytes + p->activation_bytes);
            ck_assert_uint_eq(p->activation_bytes == 0, i == 1);
            put_random(&f[i], x, 1);
            bf_graph_label(f[i].g, y, "y");
        }
        float a[320], b[320];
        for (int i = 0; i < 4; i++) run(&f[i % 3]);
        get(&f[0], bf_graph_find(f[0].g, "y"), a);
        get(&f[1], bf_graph_find(f[1].g, "y"), b);
        ck_assert_mem_eq(a, b, sizeof a);
        for (int i = 2; i >= 0; i--) fixture_free(&f[i]);
    }
}
END_TEST

/* Backward from an inner tensor with a given gradient; the given gradient itself stays as it was. */
START_TEST(gradient_from_a_seed)
{
    fixture f = fixture_new(test_ctx(BF_CLASS_CPU), true);
    bf_tid x = input(&f, "x", 70, 0, 0, 0), seed = input(&f, "seed", 70, 0, 0, 0);
    float *s = random_floats(70, 3), got[70];

    bf_graph_want_grad(f.g, x);
    bf_tid y = bf_graph_add(f.g, bf_graph_add(f.g, x, x), x);
    OK(bf_graph_backward(f.g, y, seed, err));
    ready(&f);
    put_random(&f, x, 1);
    put(&f, seed, s);
    for (int i = 0; i < 2; i++) run(&f); /* twice: a run leaves nothing behind */
    get(&f, bf_graph_grad_of(f.g, x), got);
    for (int i = 0; i < 70; i++) ck_assert_float_eq_tol(got[i], 3.0f * s[i], 1e-6f);
    get(&f, seed, got);
    for (int i = 0; i < 70; i++) ck_assert_float_eq(got[i], s[i]);
    free(s);
    fixture_free(&f);
}
END_TEST

/* ---- failures ---------------------------------------------------------------------------------------------------- */

START_TEST(the_first_error_sticks)
{
    fixture f = fixture_new(test_ctx(BF_CLASS_CPU), true);
    bf_err e = {0};
    bf_tid x = input(&f, "x", 3, 7, 0, 0), w = param(&f, "first.weight", BF_LAYOUT_PLAIN, 4, 8, 0, 0);
    bf_tid y = bf_graph_linear(f.g, x, w, BF_NONE, BF_ACT_NONE, BF_NONE);

    ck_assert_int_eq(y, BF_NONE);
    ck_assert_int_eq(bf_graph_concat(f.g, y, x), BF_NONE);
    ck_assert_int_eq(bf_graph_plan(f.g, false, NULL, &e), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(e.message, "first.weight"));
    fixture_free(&f);
}
END_TEST

START_TEST(too_large_is_refused_with_numbers)
{
    bf_ctx *ctx = small_ctx(UINT64_C(1) << 20);
    bf_err e = {0};
    bf_plan plan = {0};

    fixture f = fixture_new(ctx, false);
    bf_tid x = input(&f, "x", 600, 512, 0, 0);
    bf_graph_keep(f.g, bf_graph_act(f.g, x, BF_ACT_SILU));
    ck_assert_int_eq(bf_graph_plan(f.g, true, &plan, &e), BF_RUNTIME);
    ck_assert_ptr_nonnull(strstr(e.message, "MiB"));
    ck_assert_str_ne(e.hint, "");
    fixture_free(&f);
    ck_assert_uint_eq(bf_ctx_used(ctx), 0);
    bf_ctx_close(ctx);
}
END_TEST

static void count_line(void *user, const char *text)
{
    ck_assert_str_ne(text, "");
    ++*(int *)user;
}

START_TEST(report_and_step_record)
{
    fixture f = fixture_new(test_ctx(BF_CLASS_CPU), false);
    uint32_t words[BF_STEP_WORDS] = {0}, seen[BF_STEP_WORDS];
    int lines = 0;

    bf_graph_keep(f.g, bf_graph_act(f.g, input(&f, "x", 8, 0, 0, 0), BF_ACT_SILU));
    ready(&f);
    bf_graph_report(f.g, count_line, &lines);
    ck_assert_int_gt(lines, 6);
    for (uint32_t i = 0; i < 3 * BF_STEP_RING; i++) {
        words[BF_STEP_STEP] = i;
        OK(bf_graph_set_step(f.g, words, err));
    }
    OK(bf_read(f.ctx, seen, bf_graph_step(f.g), sizeof seen, err));
    ck_assert_mem_eq(seen, words, sizeof seen);
    fixture_free(&f);
}
END_TEST

/* ---- parameters -------------------------------------------------------------------------------------------------- */

static int add_param(bf_params *p, bf_param_spec s)
{
    int index = -1;

    OK(bf_params_add(p, &s, &index, err));
    return index;
}

START_TEST(parameters)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_params *p = NULL;
    const float table[3] = {1, 2, 3};
    float x[2 * 3 * 9], y[2 * 3 * 9], device[2 * 3 * 9];
    bf_err e = {0};
    const bf_param_range *range;
    int index;

    OK(bf_params_new(ctx, &p, err));
    const int buffer =
        add_param(p, (bf_param_spec){.name = "table", .ndim = 1, .dims = {3}, .buffer = true, .data = table});
    const bf_param_spec spec = {.name = "conv.weight",
                                .ndim = 4,
                                .dims = {2, 3, 3, 3},
                                .layout = BF_LAYOUT_CONV,
                                .decay = true,
                                .init = BF_INIT_UNIFORM,
                                .init_scale = 0.5f};
    const int conv = add_param(p, spec);
    const int plain = add_param(p, (bf_param_spec){.name = "bias", .ndim = 1, .dims = {5}, .init = BF_INIT_ONE});
    ck_assert_int_eq(add_param(p, spec), conv);
    bf_param_spec other = spec;
    other.dims[0] = 4;
    ck_assert_int_eq(bf_params_add(p, &other, &index, &e), BF_USAGE);
    ck_assert_uint_eq(bf_params_numel(p), 59);
    const uint64_t want = bf_params_bytes(p, 1u << BF_SET_VALUE | 1u << BF_SET_EMA), before = bf_ctx_used(ctx);
    OK(bf_params_alloc(p, 1u << BF_SET_VALUE | 1u << BF_SET_EMA, err));
    ck_assert_uint_eq(bf_ctx_used(ctx) - before, want);
    ck_assert(bf_mem_is_none(bf_params_mem(p, BF_SET_M, conv)));
    OK(bf_params_init(p, 1, err));
    OK(bf_params_get(p, BF_SET_EMA, conv, y, err));
    OK(bf_params_get(p, BF_SET_VALUE, conv, x, err));
    ck_assert_mem_eq(x, y, sizeof x);
    for (int i = 0; i < 54; i++) ck_assert(x[i] >= -0.5f && x[i] < 0.5f && (i == 0 || x[i] != x[i - 1]));
    /* device: [taps][in][out] */
    OK(bf_read(ctx, device, bf_params_mem(p, BF_SET_VALUE, conv), sizeof device, err));
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < 3; i++)
            for (int t = 0; t < 9; t++) ck_assert_float_eq(device[(t * 3 + i) * 2 + o], x[(o * 3 + i) * 9 + t]);
    test_fill(x, 54, 4);
    OK(bf_params_set(p, BF_SET_VALUE, conv, x, err));
    OK(bf_params_get(p, BF_SET_VALUE, conv, y, err));
    ck_assert_mem_eq(x, y, sizeof x);
    OK(bf_params_get(p, BF_SET_EMA, buffer, y, err)); /* buffers exist once */
    ck_assert_mem_eq(y, table, sizeof table);
    OK(bf_params_get(p, BF_SET_VALUE, plain, y, err));
    ck_assert_float_eq(y[4], 1.0f);
    ck_assert_int_eq(bf_params_ranges(p, &range), 2);
    ck_assert(range[0].decay && !range[1].decay);
    ck_assert(range[0].count >= 54 && range[1].count >= 5);
    ck_assert_int_eq(bf_params_add(p, &(bf_param_spec){.name = "new", .ndim = 1, .dims = {1}}, &index, &e), BF_USAGE);
    bf_params_free(p);
    ck_assert_uint_eq(bf_ctx_used(ctx), before);
}
END_TEST

/* Values computed ahead, for this seed or another, are those of bf_params_init alone; a table is written as well. */
START_TEST(initial_values_ahead)
{
    enum { EXPECTED = 1, OTHER = 2, UNUSED = 3, WAYS = 4 }; /* 0: nothing expected */
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    const float table[3] = {1, 2, 3};
    float first[35], x[35];
    for (int way = 0; way < WAYS; way++) {
        bf_params *p = NULL;
        OK(bf_params_new(ctx, &p, err));
        const int normal = add_param(
            p, (bf_param_spec){.name = "w", .ndim = 1, .dims = {33}, .init = BF_INIT_NORMAL, .init_scale = 1.0f});
        const int fixed =
            add_param(p, (bf_param_spec){.name = "table", .ndim = 1, .dims = {3}, .buffer = true, .data = table});
        const int last = add_param(
            p, (bf_param_spec){.name = "u", .ndim = 1, .dims = {35}, .init = BF_INIT_UNIFORM, .init_scale = 1.0f});
        if (way > 0) bf_params_expect_init(p, way == OTHER ? 2 : 1);
        OK(bf_params_alloc(p, 1u << BF_SET_VALUE, err));
        if (way != UNUSED) {
            OK(bf_params_init(p, 1, err));
            OK(bf_params_get(p, BF_SET_VALUE, fixed, x, err));
            ck_assert_mem_eq(x, table, sizeof table);
            OK(bf_params_get(p, BF_SET_VALUE, normal, x, err));
            ck_assert_float_eq(x[32], bf_philox_normal(1, 32, 0, (uint32_t)normal, BF_STREAM_INIT));
            OK(bf_params_get(p, BF_SET_VALUE, last, way == 0 ? first : x, err));
            if (way > 0) ck_assert_mem_eq(x, first, sizeof first);
        }
        bf_params_free(p);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *tc = tcase_create("graph");

    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, no_live_tensors_overlap);
    tcase_add_test(tc, simulation_notices_overlap);
    tcase_add_test(tc, arenas_split_at_the_largest_allocation);
    tcase_add_test(tc, dead_nodes_go);
    tcase_add_test(tc, in_place_only_where_safe);
    tcase_add_test(tc, fixed_weights_are_prepared_once);
    tcase_add_test(tc, gradients_of_shared_tensors);
    tcase_add_test(tc, gradients_of_layers_with_one_input);
    tcase_add_test(tc, gradients_while_the_table_grows);
    tcase_add_test(tc, unused_layer_with_shared_input_has_gradient_zero);
    tcase_add_test(tc, gradients_of_layers);
    tcase_add_test(tc, recomputed_blocks);
    tcase_add_test(tc, halves_between_the_passes);
    tcase_add_test(tc, graphs_beside_each_other);
    tcase_add_test(tc, gradient_from_a_seed);
    tcase_add_test(tc, the_first_error_sticks);
    tcase_add_test(tc, too_large_is_refused_with_numbers);
    tcase_add_test(tc, report_and_step_record);
    tcase_add_test(tc, parameters);
    tcase_add_test(tc, initial_values_ahead);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}
