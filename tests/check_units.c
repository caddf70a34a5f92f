/* Results do not depend on the number of compute units: the same bits from contexts that plan for 1, 2, 3 and 64. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "op/op.h"
#include "run/train.h"
#include "support.h"

static const unsigned units[] = {1, 2, 3, 64};

static bf_ctx *open_for(bf_class cls, unsigned n)
{
    const char *device = getenv("BFNCL_TEST_DEVICE");
    const bf_ctx_options o = {.selector = device ? device : "pocl:0",
                              .selector_from = "the test",
                              .cls = cls,
                              .gemm = BF_GEMM_PACKED,
                              .units = n};
    bf_ctx *ctx;
    OK(bf_ctx_open(&o, &ctx, err));
    ck_assert_uint_eq(bf_ctx_units(ctx), n);
    return ctx;
}

/* Everything that one context computed. */
typedef struct record {
    float *x;
    size_t n;
} record;

static float *room(record *r, size_t n)
{
    r->x = realloc(r->x, (r->n + n) * sizeof *r->x);
    ck_assert_ptr_nonnull(r->x);
    r->n += n;
    return r->x + r->n - n;
}

static test_tensor input(bf_ctx *ctx, size_t n, uint32_t seed)
{
    float *x = malloc(n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    test_fill(x, n, seed);
    test_tensor t = test_new(ctx, n, x);
    free(x);
    return t;
}

static test_tensor workspace(bf_ctx *ctx, uint64_t bytes)
{
    return test_new(ctx, (size_t)bytes / 4 + 1, NULL);
}

static void keep(bf_ctx *ctx, record *r, test_tensor *t)
{
    test_get(ctx, t, room(r, t->n));
    test_free(t);
}

/* ---- ops --------------------------------------------------------------------------------------------------------- */

static void convolution(bf_ctx *ctx, record *r, const bf_conv *s)
{
    const size_t nx = (size_t)(s->batch * s->h * s->w * s->ci), nw = (size_t)(s->k * s->k * s->ci * s->co);
    const size_t ny =
        (size_t)(s->batch * bf_conv_out(s->h, s->k, s->stride) * bf_conv_out(s->w, s->k, s->stride) * s->co);
    const bf_mem none = BF_MEM_NONE;
    test_tensor in[] = {input(ctx, nx, 1), input(ctx, nw, 2), input(ctx, ny, 3)};
    test_tensor out[] = {test_new(ctx, ny, NULL), test_new(ctx, nx, NULL), test_new(ctx, nw, NULL)};
    test_tensor ws[] = {workspace(ctx, bf_conv_forward_workspace(ctx, s)),
                        workspace(ctx, bf_conv_backward_input_workspace(ctx, s)),
                        workspace(ctx, bf_conv_backward_weight_workspace(ctx, s))};
    bf_cmds *c;
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_conv_forward(c, s, out[0].mem, in[0].mem, in[1].mem, none, none, none, ws[0].mem, err));
    OK(bf_conv_backward_input(c, s, out[1].mem, false, in[2].mem, in[1].mem, ws[1].mem, err));
    OK(bf_conv_backward_weight(c, s, out[2].mem, false, in[2].mem, in[0].mem, ws[2].mem, err));
    test_run(c);
    for (int i = 0; i < 3; i++) {
        keep(ctx, r, &out[i]);
        test_free(&in[i]);
        test_free(&ws[i]);
    }
}

static void product(bf_ctx *ctx, record *r, const bf_gemm *g)
{
    test_tensor a = input(ctx, (size_t)g->m * (size_t)g->k, 1), b = input(ctx, (size_t)g->k * (size_t)g->n, 2);
    test_tensor c = test_new(ctx, (size_t)g->m * (size_t)g->n, NULL), ws = workspace(ctx, bf_gemm_workspace(ctx, g));
    const bf_gemm_mem mem = {.c = c.mem, .a = a.mem, .b = b.mem, .workspace = ws.mem};
    bf_cmds *cmds;
    OK(bf_cmds_new(ctx, &cmds, err));
    OK(bf_cmds_gemm(cmds, g, &mem, err));
    test_run(cmds);
    keep(ctx, r, &c);
    test_free(&a);
    test_free(&b);
    test_free(&ws);
}

static void sum(bf_ctx *ctx, record *r, uint64_t outer, uint64_t mid, uint64_t inner)
{
    test_tensor x = input(ctx, (size_t)(outer * mid * inner), 1), out = test_new(ctx, (size_t)(outer * inner), NULL);
    test_tensor ws = workspace(ctx, bf_sum_mid_workspace(ctx, outer, mid, inner));
    bf_cmds *c;
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_sum_mid(c, out.mem, false, 1.0f, x.mem, outer, mid, inner, ws.mem, err));
    test_run(c);
    keep(ctx, r, &out);
    test_free(&x);
    test_free(&ws);
}

/* Neighbours in a ragged batch, and numbers of their edges summed up where they come from. */
static void neighbours(bf_ctx *ctx, record *r)
{
    enum { ITEMS = 700, K = 11, EDGES = ITEMS * (K + 1) };
    uint32_t words[3 + ITEMS] = {0, 413, ITEMS};
    float f[3 + ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++) words[3 + i] = i >= 413;
    memcpy(f, words, sizeof f);
    test_tensor x = input(ctx, (size_t)3 * ITEMS, 1), ragged = test_new(ctx, 3 + ITEMS, f);
    const bf_neighbours s = {ITEMS, 2, K, ragged.mem, bf_mem_at(ragged.mem, 3 * sizeof *f)};
    test_tensor src = test_new(ctx, EDGES, NULL), count = test_new(ctx, ITEMS, NULL);
    test_tensor rev_offset = test_new(ctx, ITEMS + 1, NULL), rev_edge = test_new(ctx, EDGES, NULL);
    test_tensor d = test_new(ctx, EDGES, NULL), sums = test_new(ctx, ITEMS, NULL), dx = test_new(ctx, x.n, NULL);
    test_tensor ws = workspace(ctx, bf_neighbours_workspace(&s));
    bf_cmds *c;
    OK(bf_cmds_new(ctx, &c, err));
    OK(bf_neighbours_find(c, &s, src.mem, count.mem, x.mem, ws.mem, err));
    OK(bf_neighbours_reverse(c, &s, rev_offset.mem, rev_edge.mem, src.mem, count.mem, ws.mem, err));
    OK(bf_edge_length_forward(c, d.mem, x.mem, src.mem, ITEMS, K + 1, err));
    OK(bf_segment_sum(c, sums.mem, false, false, d.mem, rev_offset.mem, rev_edge.mem, ITEMS, 1, err));
    OK(bf_edge_length_backward(c, dx.mem, false, d.mem, d.mem, x.mem, src.mem, rev_offset.mem, rev_edge.mem, ITEMS,
                               K + 1, err));
    OK(bf_segment_softmax_forward(c, sums.mem, sums.mem, s.offset, 2, 1, err));
    test_run(c);
    test_tensor *out[] = {&src, &count, &rev_offset, &d, &sums, &dx};
    for (size_t i = 0; i < BF_COUNT(out); i++) keep(ctx, r, out[i]);
    test_tensor *other[] = {&x, &ragged, &rev_edge, &ws};
    for (size_t i = 0; i < BF_COUNT(other); i++) test_free(other[i]);
}

/* Sums that are cut into parts, and work that is shared out in blocks. */
static void ops(bf_ctx *ctx, record *r)
{
    static const bf_conv convs[] = {
        {4, 20, 20, 64, 48, 3, 1}, {5, 31, 9, 17, 33, 3, 1}, {4, 24, 24, 32, 32, 3, 2}, {3, 17, 33, 40, 24, 1, 1}};
    static const bf_gemm products[] = {{.m = 37, .n = 65, .k = 3000, .trans_a = true, .alpha = 1.0f},
                                       {.m = 300, .n = 200, .k = 70, .trans_b = true, .alpha = 1.0f},
                                       {.m = 130, .n = 96, .k = 1100, .alpha = 1.0f}};
    for (size_t i = 0; i < BF_COUNT(convs); i++) convolution(ctx, r, &convs[i]);
    for (size_t i = 0; i < BF_COUNT(products); i++) product(ctx, r, &products[i]);
    sum(ctx, r, 1, 100003, 1);
    sum(ctx, r, 1, 9000, 130);
    neighbours(ctx, r);
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* The gradients of a step of a small network, where norms, attention and losses come together, and the weights after
 * it. */
static void training(bf_ctx *ctx, record *r, const char *const *set, size_t n_set, const uint32_t shape[3])
{
    bf_model m = {
        .ctx = ctx, .shape = {shape[0], shape[1], shape[2]}, .dims = (uint64_t)shape[0] * shape[1] * shape[2]};
    bf_stepper *stepper = NULL;
    bf_step_result result;
    bf_plan plan;
    OK(bf_config_load("configs/tiny.yaml", &m.config, err));
    OK(bf_setup_overrides(&m.config, set, n_set, err));
    OK(bf_setup_hybrid(&m.config, NULL, shape, &m.hybrid, err));
    const bf_flow *flow = &m.hybrid.group[0].flow;
    OK(bf_setup_net(&m.config, flow, shape, &m.net, err));
    OK(bf_params_new(ctx, &m.params, err));
    OK(bf_stepper_new(&m, true, &stepper, &plan, err));
    OK(bf_params_init(m.params, 1, err));
    const size_t n = (size_t)m.config.train.batch * (size_t)m.dims;
    float *x = malloc(n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++)
        x[i] = flow->kind == BF_FLOW_CATEGORICAL ? (float)(i * i % 4) : (float)(i * i % 15) / 8 - 0.875f;
    OK(bf_stepper_run(stepper, x, 0, 1e-3, &result, err));
    ck_assert(result.finite && result.grad_norm > 1e-3);
    for (int i = 0; i < bf_params_count(m.params); i++) {
        const bf_param_spec *spec = bf_params_spec(m.params, i);
        if (spec->buffer) continue;
        OK(bf_params_get(m.params, BF_SET_GRAD, i, room(r, bf_param_numel(spec)), err));
        OK(bf_params_get(m.params, BF_SET_VALUE, i, room(r, bf_param_numel(spec)), err));
    }
    free(x);
    bf_stepper_free(stepper);
    bf_params_free(m.params);
    bf_hybrid_free(&m.hybrid);
}

static void image_net(bf_ctx *ctx, record *r)
{
    static const char *const set[] = {"net.width=16", "net.groups=8", "net.attention=[1]", "train.batch=6"};
    training(ctx, r, set, BF_COUNT(set), (uint32_t[]){16, 12, 1});
}

static void text_net(bf_ctx *ctx, record *r)
{
    static const char *const set[] = {"net.kind=transformer", "flow.kind=categorical", "data.bins=4",  "net.width=32",
                                      "net.mult=[1,2,2]",     "net.groups=8",          "train.batch=8"};
    training(ctx, r, set, BF_COUNT(set), (uint32_t[]){1, 192, 1});
}

/* ---- comparison -------------------------------------------------------------------------------------------------- */

static void same_bits(void (*compute)(bf_ctx *, record *))
{
    for (int cls = BF_CLASS_CPU; cls <= BF_CLASS_WIDE; cls++) {
        record first = {0};
        if (!test_class_on((bf_class)cls)) continue;
        for (size_t i = 0; i < BF_COUNT(units); i++) {
            bf_ctx *ctx = open_for((bf_class)cls, units[i]);
            record r = {0};
            compute(ctx, &r);
            bf_ctx_close(ctx);
            if (i == 0) {
                first = r;
                continue;
            }
            ck_assert_uint_eq(r.n, first.n);
            for (size_t k = 0; k < r.n; k++)
                ck_assert_msg(memcmp(&r.x[k], &first.x[k], sizeof *r.x) == 0,
                              "class %d: number %zu is %.9g for %u units, %.9g for 1", cls, k, (double)r.x[k], units[i],
                              (double)first.x[k]);
            free(r.x);
        }
        free(first.x);
    }
}

START_TEST(ops_give_the_same_bits)
{
    same_bits(ops);
}
END_TEST

START_TEST(training_gives_the_same_bits)
{
    same_bits(image_net);
    same_bits(text_net);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("units");
    TCase *c = tcase_create("units");
    tcase_add_test(c, ops_give_the_same_bits);
    tcase_add_test(c, training_gives_the_same_bits);
    tcase_set_timeout(c, 120);
    suite_add_tcase(s, c);
    return test_main(s);
}
