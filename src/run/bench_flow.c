/* The flows' rows of `bfncl bench ops`. run/bench_ops.h */
#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "run/bench_ops.h"

#define DIMS 1024      /* variables of a sample */
#define STEPS 25       /* of the n-step loss */
#define N_STEP_PART 16 /* its tensors are this much smaller: it computes far more than it moves */
#define LEAST 65536    /* numbers of a tensor */

static const struct variant {
    const char *name;
    bf_flow_kind kind;
    bf_flow_output output;
    int levels;         /* bins or classes */
    bool first;         /* of those that sample and update in the same way */
    uint64_t loss_part; /* tensors of the losses over all bins are this much smaller: they compute, and hardly move */
    uint64_t draw_part; /* those of a draw */
} variants[] = {
    {"continuous delta", BF_FLOW_CONTINUOUS, BF_OUT_DELTA, 0, true, 1, 1},
    {"continuous normal", BF_FLOW_CONTINUOUS, BF_OUT_NORMAL, 0, false, 1, 1},
    {"continuous mixture", BF_FLOW_CONTINUOUS, BF_OUT_MIXTURE, 0, false, 1, 1},
    {"16 bins normal", BF_FLOW_DISCRETISED, BF_OUT_NORMAL, 16, false, 64, 1},
    {"256 bins normal", BF_FLOW_DISCRETISED, BF_OUT_NORMAL, 256, false, 1024, 1},
    {"256 bins mixture", BF_FLOW_DISCRETISED, BF_OUT_MIXTURE, 256, false, 1024, 1024},
    {"2 classes", BF_FLOW_CATEGORICAL, BF_OUT_DELTA, 2, true, 1, 1},
    {"27 classes", BF_FLOW_CATEGORICAL, BF_OUT_DELTA, 27, true, 1, 1},
};

static const struct loss {
    const char *name;
    bf_loss_kind kind;
    bool grad;
} losses[] = {{"loss with gradient", BF_LOSS_CTS, true},
              {"n-step loss with gradient", BF_LOSS_N_STEP, true},
              {"reconstruction loss", BF_LOSS_RECON, false}};

static bf_flow flow_of(const struct variant *v)
{
    bf_flow f = bf_flow_defaults(v->kind);
    f.output = v->output;
    f.mixture = 10;
    if (v->kind == BF_FLOW_DISCRETISED) f.bins = v->levels;
    if (v->kind == BF_FLOW_CATEGORICAL) f.classes = v->levels;
    return f;
}

/* As many samples as make `n` numbers of the largest tensor. */
static bf_flow_shape shape_of(const bf_flow *f, uint64_t n)
{
    const uint64_t per_variable = (uint64_t)BF_MAX(bf_flow_outputs(f), bf_flow_noise_width(f));
    return (bf_flow_shape){BF_MAX(n / (DIMS * per_variable), (uint64_t)1), DIMS};
}

size_t bf_bench_flow_count(void)
{
    size_t n = BF_COUNT(variants) * (1 + BF_COUNT(losses));                         /* draw, losses */
    for (size_t i = 0; i < BF_COUNT(variants); i++) n += variants[i].first ? 3 : 0; /* flow sample, message, update */
    return n;
}

/* "NAME, VARIANT" and "SAMPLESx1024xNUMBERS". */
static void put_names(const char *name, const struct variant *v, bf_flow_shape s, int numbers, char op[48],
                      char shape[48])
{
    snprintf(op, 48, "%s, %s", name, v->name);
    snprintf(shape, 48, "%llux%llux%d", (unsigned long long)s.batch, (unsigned long long)s.dims, numbers);
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

static bf_status draw(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_flow_op_value(c, &p->flow, p->shape, BF_VALUE_DRAW, p->mem[4], p->mem[0], p->mem[1], p->small,
                            p->mem[BF_POOL_POSITIVE], err);
}

static bf_status message(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_flow_op_send(c, &p->flow, p->shape, p->mem[4], p->mem[BF_POOL_POSITIVE], p->mem[1], p->step, err);
}

static bf_status update(void *user, bf_cmds *c, bf_err *err)
{
    bf_bench_pool *p = user;
    return bf_flow_op_update(c, &p->flow, p->shape, p->mem[4], p->mem[1], p->step, err);
}

/* `numbers`: that each variable reads and writes. */
static bf_status sampler_row(bf_bench_table *t, bf_bench_pool *p, const char *name, const struct variant *v,
                             int numbers, bf_bench_append append, bf_err *err)
{
    char op[48], shape[48];
    const int wide = BF_MAX(bf_flow_outputs(&p->flow), bf_flow_noise_width(&p->flow));
    put_names(name, v, p->shape, wide, op, shape);
    const bf_bench_work w = {
        .op = op, .shape = shape, .bytes = sizeof(float) * (double)(p->shape.batch * p->shape.dims) * numbers};
    return bf_bench_pool_row(t, p, &w, append, err);
}

bf_status bf_bench_sampler_rows(bf_bench_table *t, bf_bench_pool *p, bf_err *err)
{
    bf_status st = BF_OK;
    for (size_t i = 0; i < BF_COUNT(variants); i++) {
        const struct variant *v = &variants[i];
        p->flow = flow_of(v);
        /* a continuous mixture draws with two numbers */
        p->shape = shape_of(&p->flow, p->n / (2 * v->draw_part));
        const int wide = bf_flow_noise_width(&p->flow), outputs = bf_flow_outputs(&p->flow);
        const bool continuous = v->kind == BF_FLOW_CONTINUOUS, classes = v->kind == BF_FLOW_CATEGORICAL;
        const int noise = !continuous ? 1 : v->output == BF_OUT_DELTA ? 0 : v->output == BF_OUT_MIXTURE ? 2 : 1;
        /* network, state where the network predicts its noise, random numbers, value */
        BF_TRY(sampler_row(t, p, "draw", v, outputs + !classes + noise + 1, draw, err));
        if (!v->first) continue;
        BF_TRY(sampler_row(t, p, "message", v, 1 + 2 * wide, message, err));
        BF_TRY(sampler_row(t, p, "update", v, 3 * wide, update, err));
    }
out:
    return st;
}

/* ---- training: as nodes of a graph, with the random numbers that they make --------------------------------------- */

typedef struct flow_case {
    bf_ctx *ctx;
    bf_flow flow;
    bf_flow_shape shape;
    const struct loss *loss; /* NULL: a draw from the flow */
    bf_params *params;       /* none in it */
    bf_graph *graph;
    bf_tid x, t, state, net;
} flow_case;

static bf_tid input(flow_case *c, const char *name, int per_variable)
{
    const uint64_t dims[] = {c->shape.batch, c->shape.dims, (uint64_t)per_variable};
    return bf_graph_input(c->graph, name, per_variable > 1 ? 3 : 2, dims);
}

/* Appends a draw from the flow distribution, or a loss of a network's output. */
static bf_status build(flow_case *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_graph_options o = {.training = true, .weights = BF_SET_VALUE};
    BF_TRY(bf_params_new(c->ctx, &c->params, err));
    BF_TRY(bf_graph_new(c->ctx, c->params, &o, &c->graph, err));
    c->x = input(c, "x", 1);
    c->t = bf_graph_input(c->graph, "t", 1, &c->shape.batch);
    if (c->loss) {
        const bf_flow_loss_spec spec = {.kind = c->loss->kind, .steps = STEPS, .draws = 1};
        c->net = input(c, "net", bf_flow_outputs(&c->flow));
        c->state = input(c, "state", bf_flow_noise_width(&c->flow));
        const bf_flow_state s = {c->state, c->state};
        const bf_flow_losses l = bf_flow_loss(c->graph, &c->flow, &spec, s, c->x, c->t, c->net, BF_NONE, c->loss->grad);
        bf_graph_keep(c->graph, l.sample);
        if (c->loss->grad) bf_graph_keep(c->graph, l.grad);
    } else {
        const bf_flow_state s = bf_flow_input(c->graph, &c->flow, c->x, c->t, BF_NONE);
        bf_graph_keep(c->graph, s.input);
    }
    BF_TRY(bf_graph_plan(c->graph, true, NULL, err));
out:
    return st;
}

/* x: classes, or values; times in (0, 1) on the grid of the n-step loss. */
static bf_status fill(flow_case *c, bf_err *err)
{
    bf_status st = BF_OK;
    float *x = NULL, *t = NULL;
    const uint32_t words[BF_STEP_WORDS] = {0};
    const uint64_t n = c->shape.batch * c->shape.dims;
    BF_NEW(x, n);
    BF_NEW(t, c->shape.batch);
    for (uint64_t i = 0; i < n; i++) {
        const float u = (float)((uint32_t)i * 2654435761u >> 8) / 16777216.0f;
        x[i] = c->flow.kind == BF_FLOW_CATEGORICAL ? (float)(int)(u * (float)c->flow.classes) : 2.0f * u - 1.0f;
    }
    for (uint64_t i = 0; i < c->shape.batch; i++) t[i] = (float)(1 + i % (STEPS - 1)) / STEPS;
    BF_TRY(bf_write(c->ctx, bf_graph_mem(c->graph, c->x), x, (size_t)n * sizeof *x, err));
    BF_TRY(bf_write(c->ctx, bf_graph_mem(c->graph, c->t), t, (size_t)c->shape.batch * sizeof *t, err));
    BF_TRY(bf_graph_set_step(c->graph, words, err));
    if (!c->loss) goto out;
    BF_TRY(bf_bench_fill(c->ctx, bf_graph_mem(c->graph, c->net), bf_graph_numel(c->graph, c->net), -1, 1, err));
    if (c->flow.kind != BF_FLOW_CATEGORICAL)
        BF_TRY(bf_bench_fill(c->ctx, bf_graph_mem(c->graph, c->state), n, -1, 1, err));
out:
    free(x);
    free(t);
    return st;
}

static bf_status append(void *user, bf_cmds *cmds, bf_err *err)
{
    bf_status st = BF_OK;
    flow_case *c = user;
    BF_TRY(build(c, err));
    BF_TRY(fill(c, err));
    BF_TRY(bf_graph_emit(c->graph, cmds, err));
out:
    return st;
}

/* A draw reads the data and writes what the network receives; a loss reads data, network output and, of real numbers,
 * the state, and writes the gradient. */
static bf_status flow_row(bf_bench_table *t, const struct variant *v, const struct loss *loss, bf_err *err)
{
    char op[48], shape[48];
    flow_case c = {.ctx = t->ctx, .flow = flow_of(v), .loss = loss};
    uint64_t n = BF_MAX(bf_bench_tensor(t, 48) / sizeof(float), (uint64_t)LEAST);
    const int outputs = bf_flow_outputs(&c.flow), state = v->kind != BF_FLOW_CATEGORICAL;
    if (loss && loss->kind != BF_LOSS_RECON) n /= v->loss_part;
    if (loss && loss->kind == BF_LOSS_N_STEP) n /= N_STEP_PART;
    c.shape = shape_of(&c.flow, n);
    put_names(loss ? loss->name : "flow sample", v, c.shape, loss ? outputs : bf_flow_inputs(&c.flow), op, shape);
    const int numbers = loss ? 1 + state + outputs * (loss->grad ? 2 : 1) : 1 + bf_flow_inputs(&c.flow);
    const bf_bench_work w = {
        .op = op, .shape = shape, .bytes = sizeof(float) * (double)(c.shape.batch * c.shape.dims) * numbers};
    const bf_status st = bf_bench_row(t, &w, append, &c, err);
    bf_graph_free(c.graph);
    bf_params_free(c.params);
    return st;
}

bf_status bf_bench_flow_rows(bf_bench_table *t, bf_err *err)
{
    bf_status st = BF_OK;
    for (size_t i = 0; i < BF_COUNT(variants); i++) {
        if (variants[i].first) BF_TRY(flow_row(t, &variants[i], NULL, err));
        for (size_t k = 0; k < BF_COUNT(losses); k++) BF_TRY(flow_row(t, &variants[i], &losses[k], err));
    }
out:
    return st;
}
