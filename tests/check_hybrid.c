/* Hybrid flows: groups of different kinds on a graph and in the sampler, against plain formulas in doubles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "flow/ops.h"
#include "flow/sampler.h"
#include "ref/flow.h"
#include "support.h"

#define SEED UINT64_C(0x2545f4914f6cdd1d)

enum { ITEMS = 33, GROUPS = 4, D = 10, FIRST = 7, STEP = 5, DRAWS = 3, WIDEST = 5 };
enum { POSITION, CHARGE, TYPE, FLAG };

/* How many there are: fewer where every work-item is simulated. */
static uint64_t items(void)
{
    return test_quick() ? 5 : ITEMS;
}

static float *floats(size_t n)
{
    float *p = calloc(n ? n : 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* One of each kind, with settings that differ from the defaults where there are any. */
static void make_groups(bf_group out[GROUPS])
{
    bf_flow position = bf_flow_defaults(BF_FLOW_CONTINUOUS), charge = bf_flow_defaults(BF_FLOW_DISCRETISED);
    bf_flow type = bf_flow_defaults(BF_FLOW_CATEGORICAL), flag = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    position.min_variance = 1e-3;
    position.clip = 0.0;
    position.min_t = 1e-4;
    charge.bins = 9;
    charge.min_variance = 0.02;
    charge.min_t = 1e-4;
    type.classes = WIDEST;
    type.max_sqrt_beta = 1.2;
    type.max_t = 1.0;
    flag.max_sqrt_beta = 2.0;
    out[POSITION] = (bf_group){"position", position, 3, 1.0};
    out[CHARGE] = (bf_group){"charge", charge, 2, 0.5};
    out[TYPE] = (bf_group){"type", type, 4, 2.0};
    out[FLAG] = (bf_group){"flag", flag, 1, 0.25};
}

static bool is_class(const bf_group *g)
{
    return g->flow.kind == BF_FLOW_CATEGORICAL;
}

static uint64_t first_column(const bf_group *groups, int group)
{
    uint64_t first = 0;
    for (int g = 0; g < group; g++) first += groups[g].dims;
    return first;
}

/* Data of all groups; every `holes`-th number is missing. Positions lie outside of [-1, 1] too. */
static void make_rows(const bf_group *groups, uint64_t items, int holes, float *rows)
{
    test_fill(rows, items * D, 3);
    for (uint64_t i = 0; i < items; i++) {
        for (int g = 0; g < GROUPS; g++) {
            float *x = rows + i * D + first_column(groups, g);
            for (uint64_t d = 0; d < groups[g].dims; d++) {
                const float u = 0.4999f * (x[d] + 1.0f);
                if (g == POSITION) x[d] *= 3.0f;
                if (g == CHARGE) x[d] = (2.0f * floorf(u * 9.0f) + 1.0f) / 9.0f - 1.0f;
                if (is_class(&groups[g])) x[d] = floorf(u * (float)groups[g].flow.classes);
            }
        }
    }
    for (uint64_t i = 0; holes && i < items * D; i++)
        if (i % (uint64_t)holes == 4) rows[i] = NAN;
}

static void softmax(double *z, int n)
{
    double top = z[0], sum = 0.0;
    for (int k = 1; k < n; k++) top = fmax(top, z[k]);
    for (int k = 0; k < n; k++) sum += exp(z[k] - top);
    for (int k = 0; k < n; k++) z[k] = exp(z[k] - top) / sum;
}

/* ---- graph ------------------------------------------------------------------------------------------------------- */

typedef struct graph_case {
    bf_ctx *ctx;
    bf_params *params;
    bf_graph *g;
    bf_cmds *c;
    bf_tid rows, t, total;
    bf_group_nodes n[GROUPS];
} graph_case;

static void put(const graph_case *k, bf_tid t, const float *x)
{
    OK(bf_write(k->ctx, bf_graph_mem(k->g, t), x, (size_t)bf_graph_numel(k->g, t) * sizeof *x, err));
}

static float *get(const graph_case *k, bf_tid t)
{
    const size_t n = (size_t)bf_graph_numel(k->g, t);
    float *x = floats(n);
    OK(bf_read(k->ctx, x, bf_graph_mem(k->g, t), n * sizeof *x, err));
    return x;
}

/* Groups whose network outputs are inputs; `weighted`: the types have weights per item. */
static graph_case graph_new(bf_ctx *ctx, const bf_hybrid *h, const bf_flow_loss_spec *spec, bool missing, bool weighted)
{
    graph_case k = {.ctx = ctx};
    const bf_graph_options o = {.training = true, .weights = BF_SET_VALUE};
    const uint64_t dims[] = {items(), bf_hybrid_dims(h)};
    static const char *const names[GROUPS] = {"net 0", "net 1", "net 2", "net 3"};
    OK(bf_params_new(ctx, &k.params, err));
    OK(bf_graph_new(ctx, k.params, &o, &k.g, err));
    k.rows = bf_graph_input(k.g, "rows", 2, dims);
    k.t = bf_graph_input(k.g, "t", 1, dims);
    bf_hybrid_rows(k.g, h, k.rows, missing, k.n);
    if (weighted) k.n[TYPE].weight = bf_graph_input(k.g, "weight", 1, dims);
    bf_hybrid_input(k.g, h, k.t, k.n);
    for (int g = 0; g < h->groups; g++) {
        const uint64_t size[] = {items(), h->group[g].dims, (uint64_t)bf_flow_outputs(&h->group[g].flow)};
        k.n[g].net_out = bf_graph_input(k.g, names[g], 3, size);
    }
    k.total = bf_hybrid_loss(k.g, h, spec, k.t, k.n, true);
    OK(bf_graph_status(k.g, err));
    bf_graph_keep(k.g, k.total);
    for (int g = 0; g < h->groups; g++) {
        const bf_tid kept[] = {k.n[g].state.param, k.n[g].losses.sample, k.n[g].losses.element, k.n[g].losses.grad};
        for (size_t i = 0; i < BF_COUNT(kept); i++) bf_graph_keep(k.g, kept[i]);
    }
    OK(bf_graph_plan(k.g, true, NULL, err));
    OK(bf_cmds_new(ctx, &k.c, err));
    OK(bf_graph_emit(k.g, k.c, err));
    return k;
}

static void graph_run(const graph_case *k)
{
    uint32_t words[BF_STEP_WORDS] = {0};
    words[BF_STEP_SEED_LO] = (uint32_t)SEED;
    words[BF_STEP_SEED_HI] = (uint32_t)(SEED >> 32);
    words[BF_STEP_STEP] = STEP;
    words[BF_STEP_SAMPLE0] = FIRST;
    OK(bf_graph_set_step(k->g, words, err));
    OK(bf_cmds_run(k->c, err));
    OK(bf_finish(k->ctx, err));
}

static void graph_close(graph_case *k)
{
    bf_cmds_free(k->c);
    bf_graph_free(k->g);
    bf_params_free(k->params);
}

/* What a group of the graph is compared with. */
typedef struct expected {
    const bf_group *group;
    const bf_flow_loss_spec *spec;
    int index;
    const float *rows, *t, *net, *state, *weight; /* [ITEMS, D], [ITEMS], ...; weight: NULL or [ITEMS] */
} expected;

static double noise_of(const expected *e, uint64_t item, uint64_t element, uint32_t stream)
{
    return bf_philox_normal(SEED, (uint32_t)element, FIRST + (uint32_t)item, STEP,
                            stream + (uint32_t)e->index * (uint32_t)BF_STREAM_GROUP);
}

/* A number of the state, from the formulas; `k`: of classes. */
static double state_of(const expected *e, uint64_t item, uint64_t d, int k)
{
    const bf_flow *f = &e->group->flow;
    const int width = is_class(e->group) ? f->classes : 1;
    const double t = e->t[item], x = e->rows[item * D + d];
    const double eps = noise_of(
        e, item, (d - first_column(e->group - e->index, e->index)) * (uint64_t)width + (uint64_t)k, BF_STREAM_FLOW);
    if (isnan(x)) return 0.0;
    if (is_class(e->group)) {
        const double beta = pow(f->max_sqrt_beta * fmin(t, f->max_t), 2.0);
        return beta * (f->classes * (k == (int)x) - 1.0) + sqrt(f->classes * beta) * eps;
    }
    const double gamma = 1.0 - pow((double)(float)f->min_variance, t);
    return gamma * x + sqrt(gamma * (1.0 - gamma)) * eps;
}

static double loss_of(const expected *e, uint64_t item, uint64_t d, const double *net)
{
    const bf_flow *f = &e->group->flow;
    const int width = is_class(e->group) ? f->classes : 1;
    const uint64_t own = d - first_column(e->group - e->index, e->index), all = e->group->dims * (uint64_t)width;
    const float x = e->rows[item * D + d];
    double noise[DRAWS * WIDEST];
    for (int s = 0; s < DRAWS; s++)
        for (int k = 0; k < width; k++)
            noise[s * width + k] =
                noise_of(e, item, (uint64_t)s * all + own * (uint64_t)width + (uint64_t)k, BF_STREAM_SENDER);
    if (isnan(x)) return 0.0;
    if (is_class(e->group)) return ref_class_loss(f, e->spec, (int)x, e->t[item], net, noise, DRAWS);
    return ref_real_loss(f, e->spec, x, e->state[item * e->group->dims + own], e->t[item], net, noise, DRAWS);
}

/* State, losses and gradients of one group; adds what it contributes to the totals. */
static void compare_group(const graph_case *k, const bf_group_nodes *n, expected *e, double *total)
{
    const bf_group *group = e->group;
    const uint64_t dims = group->dims, first = first_column(group - e->index, e->index);
    const int width = bf_flow_outputs(&group->flow), wide = is_class(group) ? group->flow.classes : 1;
    float *state = get(k, n->state.param), *element = get(k, n->losses.element), *sample = get(k, n->losses.sample);
    float *grad = get(k, n->losses.grad);
    e->state = state;
    for (uint64_t i = 0; i < items(); i++) {
        const double share = e->weight ? e->weight[i] : 1.0, scale = group->weight * share / ((double)items() * D);
        double sum = 0.0, want[4], by[4 * WIDEST], top = 0.0, top_by = 0.0;
        for (uint64_t d = 0; d < dims; d++) {
            double net[WIDEST];
            for (int p = 0; p < width; p++) net[p] = e->net[(i * dims + d) * (uint64_t)width + (uint64_t)p];
            for (int p = 0; p < wide; p++)
                ck_assert_double_eq_tol(state[(i * dims + d) * (uint64_t)wide + (uint64_t)p],
                                        state_of(e, i, first + d, p), 2e-5);
            want[d] = share > 0.0 ? loss_of(e, i, first + d, net) : 0.0;
            for (int p = 0; p < width; p++) {
                const double at = net[p], h = 1e-5;
                net[p] = at + h;
                const double up = share > 0.0 ? loss_of(e, i, first + d, net) : 0.0;
                net[p] = at - h;
                const double down = share > 0.0 ? loss_of(e, i, first + d, net) : 0.0;
                net[p] = at;
                by[d * (uint64_t)width + (uint64_t)p] = scale * (up - down) / (2.0 * h);
                top_by = fmax(top_by, fabs(by[d * (uint64_t)width + (uint64_t)p]));
            }
            top = fmax(top, fabs(want[d]));
        }
        for (uint64_t d = 0; d < dims && share > 0.0; d++) {
            const bool hole = isnan(e->rows[i * D + first + d]);
            ck_assert_msg(fabs(element[i * dims + d] - want[d]) <= (hole ? 0.0 : 5e-5 * top + 2e-7),
                          "%s, item %llu: loss %.9g, expected %.9g", group->name, (unsigned long long)i,
                          (double)element[i * dims + d], want[d]);
            sum += element[i * dims + d];
        }
        for (uint64_t p = 0; p < dims * (uint64_t)width; p++) {
            const double mine = grad[i * dims * (uint64_t)width + p];
            const bool none = share == 0.0 || isnan(e->rows[i * D + first + p / (uint64_t)width]);
            ck_assert_msg(fabs(mine - by[p]) <= (none ? 0.0 : 3e-4 * top_by + 1e-12),
                          "%s, item %llu: gradient %.9g, expected %.9g", group->name, (unsigned long long)i, mine,
                          by[p]);
        }
        if (share == 0.0) continue;
        ck_assert_double_eq_tol(sample[i], sum / (double)dims, 3e-6 * (fabs(sum) + 1.0));
        total[i] += group->weight * share * sum / D;
    }
    free(state);
    free(element);
    free(sample);
    free(grad);
}

static void check_groups(bf_ctx *ctx, const bf_flow_loss_spec *spec, const float *times, int n_times)
{
    bf_group groups[GROUPS];
    make_groups(groups);
    const bf_hybrid h = {GROUPS, groups};
    float rows[ITEMS * D], t[ITEMS], weight[ITEMS], *net[GROUPS];
    double total[ITEMS] = {0};
    make_rows(groups, items(), 7, rows);
    for (int i = 0; i < ITEMS; i++) {
        t[i] = times[i % n_times];
        weight[i] = (float)(i % 4) / 2.0f; /* every fourth item has no weight */
    }
    graph_case k = graph_new(ctx, &h, spec, true, true);
    put(&k, k.rows, rows);
    put(&k, k.t, t);
    put(&k, k.n[TYPE].weight, weight);
    for (int g = 0; g < GROUPS; g++) {
        const size_t n = (size_t)bf_graph_numel(k.g, k.n[g].net_out);
        net[g] = floats(n);
        test_fill(net[g], n, 20 + (uint32_t)g);
        for (size_t i = 0; g == TYPE && i < n; i++)
            if (weight[i / (n / items())] == 0.0f) net[g][i] = NAN; /* so that anything may stand there */
        put(&k, k.n[g].net_out, net[g]);
    }
    graph_run(&k);
    for (int g = 0; g < GROUPS; g++) {
        expected e = {&groups[g], spec, g, rows, t, net[g], NULL, g == TYPE ? weight : NULL};
        compare_group(&k, &k.n[g], &e, total);
        free(net[g]);
    }
    float *sum = get(&k, k.total);
    for (uint64_t i = 0; i < items(); i++) ck_assert_double_eq_tol(sum[i], total[i], 1e-5 * (fabs(total[i]) + 1.0));
    free(sum);
    graph_close(&k);
}

START_TEST(groups_agree_with_the_formulas)
{
    static const float any[] = {0.3f, 0.0f, 0.0625f, 5e-5f, 0.97f}, grid[] = {0.0f, 0.3f, 0.5f, 0.9f}, one[] = {1.0f};
    const bf_flow_loss_spec cts = {.kind = BF_LOSS_CTS}, recon = {.kind = BF_LOSS_RECON};
    bf_flow_loss_spec steps = {.kind = BF_LOSS_N_STEP, .steps = 10, .draws = DRAWS};
    TEST_BOTH(ctx)
    {
        check_groups(ctx, &cts, any, BF_COUNT(any));
        check_groups(ctx, &recon, one, BF_COUNT(one));
        steps.any_time = false;
        steps.receiver = BF_RECEIVER_OFFICIAL;
        check_groups(ctx, &steps, grid, BF_COUNT(grid));
        steps.any_time = true;
        steps.receiver = BF_RECEIVER_CLAMPED;
        check_groups(ctx, &steps, any, BF_COUNT(any));
    }
}
END_TEST

/* A group alone is the flow alone, to the bit. */
START_TEST(one_group_is_the_flow)
{
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_CTS};
    TEST_BOTH(ctx)
    {
        bf_group groups[GROUPS];
        make_groups(groups);
        for (int g = 0; g < GROUPS; g++) {
            bf_group group = bf_group_alone(&groups[g].flow, groups[g].dims);
            const bf_hybrid h = {1, &group};
            float rows[ITEMS * D], data[ITEMS * 4], t[ITEMS], net[ITEMS * 4 * WIDEST];
            make_rows(groups, items(), 0, rows);
            for (uint64_t i = 0; i < items(); i++)
                memcpy(data + i * group.dims, rows + i * D + first_column(groups, g), group.dims * sizeof *rows);
            for (int i = 0; i < ITEMS; i++) t[i] = (float)i / ITEMS;
            graph_case k = graph_new(ctx, &h, &spec, false, false), plain = {.ctx = ctx};
            const bf_graph_options o = {.training = true, .weights = BF_SET_VALUE};
            const uint64_t dims[] = {items(), group.dims, (uint64_t)bf_flow_outputs(&group.flow)};
            OK(bf_params_new(ctx, &plain.params, err));
            OK(bf_graph_new(ctx, plain.params, &o, &plain.g, err));
            plain.rows = bf_graph_input(plain.g, "rows", 2, dims);
            plain.t = bf_graph_input(plain.g, "t", 1, dims);
            bf_group_nodes *n = &plain.n[0];
            n->net_out = bf_graph_input(plain.g, "net", 3, dims);
            n->state = bf_flow_input(plain.g, &group.flow, plain.rows, plain.t, BF_NONE);
            n->losses =
                bf_flow_loss(plain.g, &group.flow, &spec, n->state, plain.rows, plain.t, n->net_out, BF_NONE, true);
            const bf_tid mine[] = {k.total, k.n[0].state.param, k.n[0].losses.element, k.n[0].losses.grad};
            const bf_tid theirs[] = {n->losses.sample, n->state.param, n->losses.element, n->losses.grad};
            for (size_t i = 0; i < BF_COUNT(theirs); i++) bf_graph_keep(plain.g, theirs[i]);
            OK(bf_graph_plan(plain.g, true, NULL, err));
            OK(bf_cmds_new(ctx, &plain.c, err));
            OK(bf_graph_emit(plain.g, plain.c, err));
            test_fill(net, BF_COUNT(net), 9);
            for (int which = 0; which < 2; which++) {
                const graph_case *one = which ? &plain : &k;
                put(one, one->rows, data);
                put(one, one->t, t);
                put(one, one->n[0].net_out, net);
                graph_run(one);
            }
            for (size_t i = 0; i < BF_COUNT(mine); i++) {
                float *a = get(&k, mine[i]), *b = get(&plain, theirs[i]);
                ck_assert_mem_eq(a, b, (size_t)bf_graph_numel(k.g, mine[i]) * sizeof *a);
                free(a);
                free(b);
            }
            graph_close(&k);
            graph_close(&plain);
        }
    }
}
END_TEST

/* ---- gradients of a network -------------------------------------------------------------------------------------- */

/* bf_net_fn: all inputs side by side, a linear layer of 6, and one for each group. */
static void small_net(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    static const char *const names[GROUPS] = {"out.0", "out.1", "out.2", "out.3"};
    const bf_hybrid *h = user;
    const uint64_t items = bf_graph_numel(g, t);
    bf_tid all = BF_NONE;
    for (int i = 0; i < h->groups; i++) {
        const uint64_t flat[] = {items, bf_graph_numel(g, input[i]) / items};
        const bf_tid x = bf_graph_reshape(g, input[i], 2, flat);
        all = i == 0 ? x : bf_graph_concat(g, all, x);
    }
    const bf_param_spec trunk = {
        .name = "trunk", .ndim = 2, .dims = {6, bf_graph_dim(g, all, -1)}, .init = BF_INIT_UNIFORM, .init_scale = 0.5f};
    const bf_tid hidden = bf_graph_linear(g, all, bf_graph_param(g, &trunk), BF_NONE, BF_ACT_SILU, BF_NONE);
    for (int i = 0; i < h->groups; i++) {
        const uint64_t width = h->group[i].dims * (uint64_t)bf_flow_outputs(&h->group[i].flow);
        const bf_param_spec w = {
            .name = names[i], .ndim = 2, .dims = {width, 6}, .init = BF_INIT_UNIFORM, .init_scale = 0.7f};
        out[i] = bf_graph_linear(g, hidden, bf_graph_param(g, &w), BF_NONE, BF_ACT_NONE, BF_NONE);
    }
}

/* Gradient of the trunk with these weights of the groups. */
static float *trunk_gradient(bf_ctx *ctx, const double weights[GROUPS], float scale, size_t *n)
{
    bf_group groups[GROUPS];
    float rows[ITEMS * D], t[ITEMS];
    graph_case k = {.ctx = ctx};
    const bf_graph_options o = {.training = true, .weights = BF_SET_VALUE};
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_CTS};
    make_groups(groups);
    for (int g = 0; g < GROUPS; g++) groups[g].weight = weights[g];
    bf_hybrid h = {GROUPS, groups};
    make_rows(groups, items(), 5, rows);
    for (int i = 0; i < ITEMS; i++) t[i] = 0.1f + (float)i / 40.0f;
    OK(bf_params_new(ctx, &k.params, err));
    OK(bf_graph_new(ctx, k.params, &o, &k.g, err));
    k.rows = bf_graph_input(k.g, "rows", 2, (uint64_t[]){items(), D});
    k.t = bf_graph_input(k.g, "t", 1, (uint64_t[]){items()});
    bf_hybrid_rows(k.g, &h, k.rows, true, k.n);
    bf_hybrid_input(k.g, &h, k.t, k.n);
    bf_hybrid_net(k.g, &h, small_net, &h, k.t, k.n);
    (void)bf_hybrid_loss(k.g, &h, &spec, k.t, k.n, true);
    OK(bf_hybrid_backward(k.g, &h, k.n, scale, err));
    OK(bf_params_alloc(k.params, 1u << BF_SET_VALUE | 1u << BF_SET_GRAD, err));
    OK(bf_params_init(k.params, 4, err));
    OK(bf_graph_plan(k.g, true, NULL, err));
    OK(bf_cmds_new(ctx, &k.c, err));
    OK(bf_graph_emit(k.g, k.c, err));
    put(&k, k.rows, rows);
    put(&k, k.t, t);
    graph_run(&k);
    const int trunk = bf_params_find(k.params, "trunk");
    *n = (size_t)bf_param_numel(bf_params_spec(k.params, trunk));
    float *grad = floats(*n);
    OK(bf_params_get(k.params, BF_SET_GRAD, trunk, grad, err));
    graph_close(&k);
    return grad;
}

/* The gradient of the whole is the sum of what the groups give alone; groups of weight 0 give nothing. */
START_TEST(gradients_are_sums_over_groups)
{
    TEST_BOTH(ctx)
    {
        static const double all[GROUPS] = {1.0, 0.5, 3.0, 0.0};
        size_t n = 0;
        float *whole = trunk_gradient(ctx, all, 0.5f, &n), *sum = floats(n);
        for (int g = 0; g < GROUPS - 1; g++) {
            double one[GROUPS] = {0.0};
            one[g] = all[g];
            float *part = trunk_gradient(ctx, one, 1.0f, &n);
            float top = 0.0f;
            for (size_t i = 0; i < n; i++) {
                sum[i] += 0.5f * part[i];
                top = fmaxf(top, fabsf(part[i]));
            }
            ck_assert(top > 1e-4f);
            free(part);
        }
        test_close("gradient", whole, sum, n, 1e-9, 3e-6);
        free(whole);
        free(sum);
    }
}
END_TEST

/* ---- sampler ----------------------------------------------------------------------------------------------------- */

typedef struct run {
    bf_group groups[GROUPS];
    bf_hybrid h;
    bf_sampler_mode mode;
    int steps, seen;
    double first_time; /* of a shifted grid */
    uint64_t items;
    const float *given;   /* [items, D], NULL */
    float *noise[GROUPS]; /* [steps, items, ...] of the state, NULL: Philox */
} run;

static void run_init(run *r, bf_sampler_mode mode, uint64_t items, int steps)
{
    *r = (run){.mode = mode, .steps = steps, .items = items};
    make_groups(r->groups);
    r->groups[TYPE].flow.min_prob = 0.01;
    r->h = (bf_hybrid){GROUPS, r->groups};
}

/* Samples first .. first + items - 1. */
static void sample(bf_ctx *ctx, run *r, uint32_t first, uint64_t seed, bf_sampler_step_fn on_step, float *out)
{
    bf_params *params;
    bf_sampler *s;
    OK(bf_params_new(ctx, &params, err));
    const bf_sampler_options o = {.ctx = ctx,
                                  .params = params,
                                  .weights = BF_SET_VALUE,
                                  .hybrid = &r->h,
                                  .ndim = 1,
                                  .dims = {r->items},
                                  .net = small_net,
                                  .user = &r->h,
                                  .mode = r->mode,
                                  .given = r->given != NULL};
    OK(bf_sampler_new(&o, &s, NULL, err));
    OK(bf_params_init(params, 3, err));
    bf_sampler_draws draws[GROUPS] = {{0}};
    for (int g = 0; g < GROUPS; g++) draws[g].noise_y = r->noise[g];
    double times[8];
    ck_assert_int_lt(r->steps, (int)BF_COUNT(times));
    bf_sampler_grid(r->first_time, r->steps, times);
    const bf_sampler_run_options ro = {.steps = r->steps,
                                       .times = times,
                                       .seed = seed,
                                       .first = first,
                                       .draws = r->noise[0] ? draws : NULL,
                                       .given = r->given,
                                       .on_step = on_step,
                                       .user = r};
    r->seen = 0;
    OK(bf_sampler_run(s, &ro, out, err));
    bf_sampler_free(s);
    bf_params_free(params);
}

/* The modes; those that launch nothing of their own are left out where every work-item is simulated. */
static int next_mode(int mode)
{
    return mode + (test_quick() ? BF_SAMPLER_END_BACK_PMF : 1);
}

START_TEST(samples_depend_on_seed_and_index_alone)
{
    enum { N = 5 };
    TEST_BOTH(ctx)
    {
        for (int mode = 0; mode < BF_SAMPLER_MODES; mode = next_mode(mode)) {
            float whole[N * D], again[N * D], part[2 * D], other[N * D];
            run r;
            run_init(&r, (bf_sampler_mode)mode, N, test_quick() ? 1 : 5);
            r.first_time = bf_sampler_solves(r.mode) ? 0.03 : 0.0;
            sample(ctx, &r, 10, 1, NULL, whole);
            if (!test_quick()) sample(ctx, &r, 10, 1, NULL, again);
            sample(ctx, &r, 10, 2, NULL, other);
            r.items = 2;
            sample(ctx, &r, 13, 1, NULL, part);
            if (!test_quick()) ck_assert_mem_eq(whole, again, sizeof whole);
            test_close(bf_sampler_mode_name((bf_sampler_mode)mode), part, whole + (size_t)3 * D, 2 * D, 1e-5, 0.0);
            ck_assert(memcmp(whole, other, sizeof whole) != 0);
        }
    }
}
END_TEST

/* One group's numbers of a step. */
static float *item_of(bf_sampler *s, int group, bf_sampler_item item)
{
    const uint64_t n = bf_sampler_size(s, group, item);
    float *x = floats((size_t)n);
    OK(bf_sampler_get(s, group, item, x, err));
    return x;
}

/* The state after step i from what the network said, by the table in flow/solver.h. */
static void expect_state(const run *r, bf_sampler *s, int group, int i, const float *value, const float *probs)
{
    const bf_group *g = &r->groups[group];
    const bf_flow *f = &g->flow;
    const uint64_t n = r->items * g->dims;
    const int width = is_class(g) ? f->classes : 1;
    const float *noise = r->noise[group] + (uint64_t)(i - 1) * n * (uint64_t)width;
    float *before = item_of(s, group, BF_SAMPLER_INPUT), *state = item_of(s, group, BF_SAMPLER_STATE);
    const double alpha = bf_flow_alpha(f, i, r->steps), t = (double)i / r->steps, v = (double)(float)f->min_variance;
    const double gamma = 1.0 - pow(v, t), rho = pow(v, -(i - 1.0) / r->steps);
    const double beta = pow(f->max_sqrt_beta * fmin(t, f->max_t), 2.0);
    for (uint64_t k = 0; k < n; k++) {
        double want[WIDEST];
        for (int c = 0; c < width; c++) {
            const double eps = noise[k * (uint64_t)width + (uint64_t)c], x = value[k];
            const double hit = r->mode == BF_SAMPLER_END_BACK_PMF && is_class(g)
                                   ? probs[k * (uint64_t)width + (uint64_t)c]
                                   : (double)(c == (int)x);
            if (!is_class(g)) {
                want[0] = r->mode == BF_SAMPLER_ANCESTRAL
                              ? (rho * before[k] + alpha * (x + eps / sqrt(alpha))) / (rho + alpha)
                              : gamma * x + sqrt(gamma * (1.0 - gamma)) * eps;
            } else if (r->mode == BF_SAMPLER_ANCESTRAL) {
                const double theta = width > 2 ? before[k * (uint64_t)width + (uint64_t)c]
                                               : 0.5 * (1.0 + (c == 0 ? 1.0 : -1.0) * before[k]);
                want[c] = log(theta) + alpha * (width * hit - 1.0) + sqrt(width * alpha) * eps;
            } else {
                want[c] = beta * (width * hit - 1.0) + sqrt(width * beta) * eps;
            }
        }
        if (is_class(g)) softmax(want, width);
        for (int c = 0; c < width; c++)
            ck_assert_msg(fabs(state[k * (uint64_t)width + (uint64_t)c] - want[c]) <= 2e-5 * (1.0 + fabs(want[c])),
                          "%s, %s, step %d, variable %llu: state %.9g, expected %.9g", bf_sampler_mode_name(r->mode),
                          g->name, i, (unsigned long long)k, (double)state[k * (uint64_t)width + (uint64_t)c], want[c]);
    }
    free(before);
    free(state);
}

static bf_status look(void *user, bf_sampler *s, int i, double t, bf_err *err)
{
    run *r = user;
    (void)err;
    ck_assert_int_eq(i, ++r->seen);
    ck_assert_double_eq_tol(t, (double)(i - 1) / r->steps, 1e-12);
    for (int group = 0; group < GROUPS && i <= r->steps; group++) {
        const bf_group *g = &r->groups[group];
        const bf_sampler_item said = r->mode == BF_SAMPLER_END_BACK_PMF ? BF_SAMPLER_MEAN : BF_SAMPLER_MODE;
        float *value = item_of(s, group, BF_SAMPLER_DRAWN), *params = item_of(s, group, BF_SAMPLER_PARAMS);
        float *state = item_of(s, group, BF_SAMPLER_STATE), *expect = item_of(s, group, said);
        const bool drawn = r->mode < BF_SAMPLER_END_BACK_PMF || (is_class(g) && r->mode == BF_SAMPLER_END_BACK_PMF);
        for (uint64_t k = 0; k < r->items * g->dims; k++) {
            const float given =
                r->given ? r->given[k / g->dims * D + first_column(r->groups, group) + k % g->dims] : NAN;
            const int width = is_class(g) ? g->flow.classes : 0;
            if (!isnan(given)) ck_assert(value[k] == given);
            if (isnan(given) && !drawn) ck_assert(value[k] == expect[k]);
            for (int c = 0; c < width; c++) {
                float *p = &params[k * (uint64_t)width + (uint64_t)c];
                ck_assert(*p >= (float)g->flow.min_prob);
                if (!isnan(given)) *p = c == (int)given ? 1.0f : 0.0f;
            }
        }
        expect_state(r, s, group, i, value, params);
        free(value);
        free(params);
        free(state);
        free(expect);
    }
    return BF_OK;
}

START_TEST(modes_follow_their_formulas)
{
    enum { N = 31, STEPS = 3 };
    const int steps = test_quick() ? 2 : STEPS;
    const uint64_t n_items = test_quick() ? 2 : N;
    TEST_BOTH(ctx)
    {
        for (int mode = 0; mode < BF_SAMPLER_END_BACK_FIXED; mode = next_mode(mode)) {
            for (int holes = 0; holes <= 3; holes += 3) { /* nothing given; two in three are */
                float out[N * D], given[N * D];
                run r;
                run_init(&r, (bf_sampler_mode)mode, n_items, steps);
                make_rows(r.groups, n_items, 0, given);
                for (size_t k = 0; k < n_items * D; k++)
                    if (k % 3 == 1) given[k] = NAN;
                if (holes) r.given = given;
                for (int g = 0; g < GROUPS; g++) {
                    const int width = is_class(&r.groups[g]) ? r.groups[g].flow.classes : 1;
                    const uint64_t n = n_items * STEPS * r.groups[g].dims * (uint64_t)width;
                    r.noise[g] = floats((size_t)n);
                    bf_philox_normals(SEED, (uint32_t)g, 0, 99, r.noise[g], n);
                }
                sample(ctx, &r, 0, 6, look, out);
                ck_assert_int_eq(r.seen, steps + 1);
                for (size_t k = 0; k < n_items * D; k++) {
                    ck_assert(isfinite(out[k]));
                    if (holes && !isnan(given[k])) ck_assert(out[k] == given[k]);
                }
                for (int g = 0; g < GROUPS; g++) free(r.noise[g]);
            }
        }
    }
}
END_TEST

/* Probabilities 1, 0, 0, 0, 0 raised to 0.05 sum to 1.2: u = 0.9 is 1.08 of it, behind the first two. */
START_TEST(raised_probabilities_are_drawn)
{
    enum { N = 17 };
    const float want[3] = {0.0f, 2.0f, 4.0f}, u[3] = {0.8f, 0.9f, 0.999f};
    TEST_BOTH(ctx)
    {
        bf_flow f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
        float net[N * WIDEST], noise[N], value[N], p[N * WIDEST];
        bf_cmds *c;
        f.classes = WIDEST;
        f.min_prob = 0.05;
        for (int i = 0; i < N * WIDEST; i++) net[i] = i % WIDEST == 0 ? 0.0f : -60.0f;
        for (int i = 0; i < N; i++) noise[i] = u[i % 3];
        test_tensor dnet = test_new(ctx, N * WIDEST, net), dnoise = test_new(ctx, N, noise);
        test_tensor dvalue = test_new(ctx, N, NULL), dp = test_new(ctx, N * WIDEST, NULL);
        OK(bf_cmds_new(ctx, &c, err));
        OK(bf_flow_op_value(c, &f, (bf_flow_shape){1, N}, BF_VALUE_DRAW, dvalue.mem, BF_MEM_NONE, dnet.mem, BF_MEM_NONE,
                            dnoise.mem, err));
        OK(bf_flow_op_params(c, &f, (bf_flow_shape){1, N}, dp.mem, BF_MEM_NONE, dnet.mem, BF_MEM_NONE, true, err));
        test_run(c);
        test_get(ctx, &dvalue, value);
        test_get(ctx, &dp, p);
        for (int i = 0; i < N; i++) ck_assert(value[i] == want[i % 3]);
        for (int i = 0; i < N * WIDEST; i++) ck_assert_double_eq_tol(p[i], i % WIDEST == 0 ? 1.0 : 0.05, 1e-6);
        test_tensor *all[] = {&dnet, &dnoise, &dvalue, &dp};
        for (size_t i = 0; i < BF_COUNT(all); i++) test_free(all[i]);
    }
}
END_TEST

/* Where a run begins: mu_0 is what the network receives first, and what is not given starts from the prior. */
START_TEST(a_run_starts_where_it_is_told)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_group group = bf_group_alone(&(bf_flow){0}, 3);
    group.flow = bf_flow_defaults(BF_FLOW_CONTINUOUS);
    bf_hybrid h = {1, &group};
    const float start[6] = {0.5f, -1.0f, 2.0f, 0.0f, 0.25f, -3.0f};
    float noise[6] = {0}, out[6], mean[6];
    bf_params *params;
    bf_sampler *s;
    OK(bf_params_new(ctx, &params, err));
    const bf_sampler_options o = {
        .ctx = ctx, .params = params, .hybrid = &h, .ndim = 1, .dims = {2}, .net = small_net, .user = &h};
    OK(bf_sampler_new(&o, &s, NULL, err));
    OK(bf_params_init(params, 3, err));
    const bf_sampler_draws draws = {.noise_y = noise, .start = start};
    const bf_sampler_run_options ro = {.steps = 1, .draws = &draws};
    OK(bf_sampler_run(s, &ro, out, err));
    /* the network's last input is the update of the start by a message about 0 (t = 0) without noise */
    const double alpha = bf_flow_alpha(&group.flow, 1, 1);
    OK(bf_sampler_get(s, 0, BF_SAMPLER_INPUT, mean, err));
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(mean[i], start[i] / (1.0 + alpha), 1e-6);
    bf_sampler_free(s);
    bf_params_free(params);
}
END_TEST

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void no_output(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    (void)user, (void)g, (void)input, (void)t, (void)out;
}

START_TEST(wrong_groups_are_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_group groups[GROUPS];
    bf_hybrid h = {GROUPS, groups}, fresh;
    bf_err why;
    make_groups(groups);
    OK(bf_hybrid_check(&h, err));
    strcpy(groups[TYPE].name, "charge");
    ck_assert_int_eq(bf_hybrid_check(&h, &why), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(why.message, "two groups are called charge"));
    make_groups(groups);
    groups[FLAG].weight = -1.0;
    ck_assert_int_eq(bf_hybrid_check(&h, &why), BF_USAGE);
    make_groups(groups);
    groups[FLAG].dims = 0;
    ck_assert_int_eq(bf_hybrid_check(&h, &why), BF_USAGE);
    make_groups(groups);
    groups[TYPE].flow.classes = 1;
    ck_assert_int_eq(bf_hybrid_check(&h, &why), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(why.message, "type"));
    make_groups(groups);
    ck_assert_int_eq(bf_hybrid_new(BF_MAX_GROUPS + 1, &fresh, &why), BF_USAGE);

    bf_params *params;
    bf_graph *g;
    bf_sampler *s;
    const bf_graph_options go = {.training = true};
    OK(bf_params_new(ctx, &params, err));
    OK(bf_graph_new(ctx, params, &go, &g, err));
    bf_group_nodes n[GROUPS];
    bf_hybrid_rows(g, &h, bf_graph_input(g, "rows", 2, (uint64_t[]){4, D - 1}), false, n);
    ck_assert_int_eq(bf_graph_status(g, &why), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(why.message, "the groups have 10 variables"));
    bf_graph_free(g);

    bf_sampler_options o = {.ctx = ctx, .params = params, .hybrid = &h, .ndim = 1, .dims = {4}, .user = &h};
    o.net = no_output;
    ck_assert_int_eq(bf_sampler_new(&o, &s, NULL, &why), BF_USAGE);
    o.net = small_net;
    o.ndim = 2;
    ck_assert_int_eq(bf_sampler_new(&o, &s, NULL, &why), BF_USAGE);
    o.ndim = 1;
    OK(bf_sampler_new(&o, &s, NULL, err));
    OK(bf_params_init(params, 1, err));
    float rows[4 * D] = {0};
    const bf_sampler_run_options ro = {.steps = 1, .given = rows};
    ck_assert_int_eq(bf_sampler_run(s, &ro, rows, &why), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(why.message, "given"));
    bf_sampler_free(s);
    bf_params_free(params);
}
END_TEST

/* Numbers behind the variables of a row do not disturb the groups and come out as they are. */
START_TEST(rows_may_hold_more)
{
    enum { ROWS = 33, VARIABLES = 3, MORE = 5, PITCH = VARIABLES + MORE };
    const uint64_t wide[] = {ROWS, PITCH}, narrow[] = {ROWS, VARIABLES};
    const bf_graph_options o = {.training = false, .weights = BF_SET_VALUE};
    float x[ROWS * PITCH], got[ROWS * MORE], data[ROWS * 2], mask[ROWS * 2];
    bf_hybrid h;
    OK(bf_hybrid_new(2, &h, err));
    const bf_flow values = bf_flow_defaults(BF_FLOW_CONTINUOUS), flags = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    h.group[0] = (bf_group){"flag", flags, 1, 1.0};
    h.group[1] = (bf_group){"value", values, 2, 1.0};
    test_fill(x, BF_COUNT(x), 1);
    for (int i = 0; i < ROWS; i += 3) x[i * PITCH + 2] = NAN;
    TEST_BOTH(ctx)
    {
        graph_case k = {.ctx = ctx};
        bf_err why = {0};
        OK(bf_params_new(ctx, &k.params, err));
        OK(bf_graph_new(ctx, k.params, &o, &k.g, err));
        k.rows = bf_graph_input(k.g, "rows", 2, wide);
        bf_hybrid_rows(k.g, &h, k.rows, true, k.n);
        const bf_tid rest = bf_hybrid_rest(k.g, &h, k.rows);
        bf_graph_keep(k.g, rest);
        bf_graph_keep(k.g, k.n[1].data);
        bf_graph_keep(k.g, k.n[1].mask);
        OK(bf_params_alloc(k.params, 1u << BF_SET_VALUE, err));
        OK(bf_graph_plan(k.g, true, NULL, err));
        OK(bf_cmds_new(ctx, &k.c, err));
        OK(bf_graph_emit(k.g, k.c, err));
        put(&k, k.rows, x);
        OK(bf_cmds_run(k.c, err));
        OK(bf_finish(ctx, err));
        OK(bf_read(ctx, got, bf_graph_mem(k.g, rest), sizeof got, err));
        OK(bf_read(ctx, data, bf_graph_mem(k.g, k.n[1].data), sizeof data, err));
        OK(bf_read(ctx, mask, bf_graph_mem(k.g, k.n[1].mask), sizeof mask, err));
        for (int i = 0; i < ROWS; i++) {
            for (int c = 0; c < MORE; c++) ck_assert_float_eq(got[i * MORE + c], x[i * PITCH + VARIABLES + c]);
            ck_assert_float_eq(data[i * 2], x[i * PITCH + 1]);
            ck_assert(mask[i * 2] == 1 && mask[i * 2 + 1] == (i % 3 ? 1.0f : 0.0f));
            ck_assert_float_eq(data[i * 2 + 1], i % 3 ? x[i * PITCH + 2] : 0.0f);
        }
        bf_cmds_free(k.c);
        bf_graph_free(k.g);
        OK(bf_graph_new(ctx, k.params, &o, &k.g, err));
        (void)bf_hybrid_rest(k.g, &h, bf_graph_input(k.g, "rows", 2, narrow));
        ck_assert_int_eq(bf_graph_status(k.g, &why), BF_USAGE);
        ck_assert_ptr_nonnull(strstr(why.message, "behind the variables"));
        bf_graph_free(k.g);
        bf_params_free(k.params);
    }
    bf_hybrid_free(&h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hybrid");
    const TTest *const tests[] = {
        groups_agree_with_the_formulas,         one_group_is_the_flow,       gradients_are_sums_over_groups,
        samples_depend_on_seed_and_index_alone, modes_follow_their_formulas, raised_probabilities_are_drawn,
        a_run_starts_where_it_is_told,          wrong_groups_are_refused,    rows_may_hold_more};
    for (size_t i = 0; i < BF_COUNT(tests); i++) {
        TCase *tc = tcase_create(tests[i]->name);
        tcase_set_timeout(tc, 120);
        tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
    }
    return test_main(s);
}
