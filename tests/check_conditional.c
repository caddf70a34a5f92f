/* Guidance, and runs of the program's core with class labels. */
#include <math.h>

#include "label_net.h"
#include "run/model.h"
#include "toy.h"

/* ---- guidance ---------------------------------------------------------------------------------------------------- */

/* What the network says to inputs that never change: bf_model_net with guidance `w`, or (w < 0) bf_net_build itself,
 * with labels, or (NULL) without. Returns how many numbers. */
static size_t ask(bf_ctx *ctx, const bf_net_config *c, const uint32_t *label, double w, float *out)
{
    static float x[B * 16 * 5], times[B];
    uint32_t words[2 * B];
    const uint64_t dims[4] = {B, (uint64_t)c->input.height, (uint64_t)c->input.width, (uint64_t)c->input.channels};
    const uint64_t items = w > 0 ? 2 * B : B, n_in = B * dims[1] * dims[2] * dims[3];
    const bf_graph_options o = {.weights = BF_SET_VALUE};
    bf_group group = {.name = "data"};
    bf_model m = {.net = *c,
                  .shape = {(uint32_t)dims[1], (uint32_t)dims[2], 1},
                  .hybrid = {.groups = 1, .group = &group},
                  .classes = {.n = CLASSES},
                  .guidance = w};
    bf_params *params = NULL;
    bf_graph *g = NULL;
    bf_cmds *cmds = NULL;
    bf_tid y = BF_NONE;

    OK(bf_params_new(ctx, &params, err));
    OK(bf_graph_new(ctx, params, &o, &g, err));
    const bf_tid in = bf_graph_input(g, "x", 4, dims), t = bf_graph_input(g, "t", 1, dims);
    if (w < 0)
        y = bf_net_build(g, c, in, t);
    else
        bf_model_net(&m, g, &in, t, &y);
    bf_graph_keep(g, y);
    OK(bf_graph_status(g, err));
    OK(bf_params_alloc(params, 1u << BF_SET_VALUE, err));
    fill_weights(params);
    OK(bf_graph_plan(g, true, NULL, err));
    OK(bf_cmds_new(ctx, &cmds, err));
    OK(bf_graph_emit(g, cmds, err));
    test_fill(x, n_in, 3);
    test_fill(times, B, 4);
    for (uint64_t i = 0; i < items; i++) words[i] = label && i < B ? label[i] : CLASSES;
    const bf_tid told = bf_graph_find(g, "label");
    ck_assert_uint_eq(bf_graph_numel(g, told), items);
    OK(bf_write(ctx, bf_graph_mem(g, in), x, (size_t)n_in * sizeof *x, err));
    OK(bf_write(ctx, bf_graph_mem(g, t), times, sizeof times, err));
    OK(bf_write(ctx, bf_graph_mem(g, told), words, (size_t)items * sizeof *words, err));
    OK(bf_cmds_run(cmds, err));
    const size_t n = bf_graph_numel(g, y);
    OK(bf_read(ctx, out, bf_graph_mem(g, y), n * sizeof *out, err));
    bf_cmds_free(cmds);
    bf_graph_free(g);
    bf_params_free(params);
    return n;
}

static void check_guidance(bf_ctx *ctx, const bf_net_config *c)
{
    enum { ROOM = B * 16 * 5 };
    static float with[ROOM], without[ROOM], guided[ROOM];
    const char *name = bf_net_kind_name(c->kind);
    const size_t n = ask(ctx, c, labels, 0, with), each = n / B;

    ck_assert_uint_le(n, ROOM);
    (void)ask(ctx, c, labels, -1, without); /* without guidance: one evaluation, the bits of the network itself */
    ck_assert_mem_eq(with, without, n * sizeof *with);
    (void)ask(ctx, c, NULL, 0, without);
    for (size_t i = 0; i < B; i++) { /* only the sample without a label says the same */
        const bool same = memcmp(with + i * each, without + i * each, each * sizeof *with) == 0;
        ck_assert(same == (labels[i] == CLASSES));
    }
    for (double w = 0.5; w <= 3; w *= 6) {
        ck_assert_uint_eq(ask(ctx, c, labels, w, guided), n);
        for (size_t i = 0; i < n; i++) {
            const double want = (1 + w) * (double)with[i] - w * (double)without[i];
            ck_assert_msg(fabs((double)guided[i] - want) <= 2e-5 * (1 + fabs(want)), "%s, w %g: %g, expected %g", name,
                          w, (double)guided[i], want);
        }
    }
}

START_TEST(guidance_formula)
{
    TEST_BOTH(ctx)
    {
        for (int kind = BF_NET_UNET; kind <= BF_NET_MLP; kind++) {
            const bf_net_config c = network((bf_net_kind)kind);
            check_guidance(ctx, &c);
        }
    }
}
END_TEST

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* A toy run of 40 pictures of four classes. */
static setting toy_with_labels(const char *kind)
{
    static uint8_t label[EXAMPLES];
    setting s = toy();
    const bf_array a = {.dtype = BF_U8, .ndim = 1, .dims = {EXAMPLES}, .count = EXAMPLES, .data = label};
    for (int i = 0; i < EXAMPLES; i++) label[i] = (uint8_t)(i % 4);
    OK(bf_npy_write(test_path("data-labels.npy"), &a, err));
    add(&s, "data.labels", "auto");
    add(&s, "train.label_dropout", "0.3");
    add(&s, "flow.kind", kind);
    if (strcmp(kind, "continuous") == 0) add(&s, "data.transform", "continuous");
    return s;
}

static void same_files(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = test_slurp(a, &n), *y = test_slurp(b, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(x, y, n);
    free(x);
    free(y);
}

/* Two halves are one run; in parts of a batch with their own lists as well. */
START_TEST(runs_resume)
{
    char whole[128], halves[128];
    setting s = toy_with_labels("discretised");
    if (_i == 1) add(&s, "train.batch", "6");
    if (_i == 1) add(&s, "train.accumulate", "2");
    snprintf(whole, sizeof whole, "%s-%d", test_path("whole"), _i);
    snprintf(halves, sizeof halves, "%s-%d", test_path("halves"), _i);
    OK(run(&s, (run_options){.out = whole, .steps = "5"}, NULL, err));
    OK(run(&s, (run_options){.out = halves, .steps = "3"}, NULL, err));
    OK(run(&s, (run_options){.out = halves, .resume = true, .steps = "5"}, NULL, err));
    same_files(in(whole, "best.safetensors"), in(halves, "best.safetensors"));
}
END_TEST

/* samples [n, DIMS] by way of the program's core */
static bf_status draw(const char *model, const char *label, double guidance, int64_t n, float *out, bf_err *failure)
{
    bfncl_sample_options o;
    bfncl_sample_result r;
    bf_array a = {0};
    bfncl_sample_defaults(&o);
    o.model = model;
    o.label = label;
    o.guidance = guidance;
    o.n = n;
    o.steps = 3;
    o.out = test_path("drawn.npy");
    o.device = device();
    bf_status st = bfncl_sample(&o, &r, failure);
    bfncl_sample_result_free(&r);
    if (st != BF_OK) return st;
    OK(bf_npy_read(o.out, &a, err));
    ck_assert_uint_le(a.count, 12 * DIMS);
    memcpy(out, a.data, a.count * sizeof *out);
    bf_array_free(&a);
    return st;
}

/* Samples of all flows by class; the embedded model says the same. */
START_TEST(samples_by_class)
{
    static const char *const kinds[] = {"continuous", "discretised", "categorical"};
    static float plain[12 * DIMS], all[12 * DIMS], two[12 * DIMS], one[12 * DIMS];
    char folder[128];
    bfncl_model *m;
    bfncl_device_options d = device();
    setting s = toy_with_labels(kinds[_i]);
    snprintf(folder, sizeof folder, "%s-%s", test_path("run"), kinds[_i]);
    OK(run(&s, (run_options){.out = folder, .steps = "2"}, NULL, err));
    OK(draw(folder, NULL, -1, 3, plain, err));
    OK(draw(folder, "none", 0, 3, one, err));
    ck_assert_mem_eq(plain, one, 3 * DIMS * sizeof *one);
    OK(draw(folder, "all", 0, 3, all, err));
    OK(draw(folder, "0,2", 0, 6, two, err)); /* samples 0..5 of class 0, 6..11 of class 2 */
    ck_assert_mem_eq(all, two, 3 * DIMS * sizeof *all);
    ck_assert_mem_eq(all + 6 * DIMS, two + 6 * DIMS, 3 * DIMS * sizeof *all);
    OK(draw(folder, "3", 2, 5, two, err));
    OK(bfncl_model_open(folder, &d, &m, err));
    OK(bfncl_model_sample(m, 0, 3, 3, 1, one, err));
    ck_assert_mem_eq(one, plain, 3 * DIMS * sizeof *one);
    OK(bfncl_model_label(m, "3", 2, err));
    OK(bfncl_model_sample(m, 0, 5, 3, 1, one, err));
    ck_assert_mem_eq(one, two, 5 * DIMS * sizeof *one);
    OK(bfncl_model_label(m, "1", 0, err));
    OK(bfncl_model_sample(m, 3, 3, 3, 1, one, err));
    ck_assert_mem_eq(one, all + 3 * DIMS, 3 * DIMS * sizeof *one);
    OK(bfncl_model_label(m, NULL, 0, err));
    OK(bfncl_model_sample(m, 0, 3, 3, 1, one, err));
    ck_assert_mem_eq(one, plain, 3 * DIMS * sizeof *one);
    FAILS(BF_USAGE, "0 to 3", bfncl_model_label(m, "4", 0, err));
    FAILS(BF_USAGE, "needs a class", bfncl_model_label(m, "none", 1, err));
    FAILS(BF_USAGE, "one class at a time", bfncl_model_label(m, "all", 1, err));
    bfncl_model_close(m);
}
END_TEST

START_TEST(scores_with_and_without_labels)
{
    char folder[128];
    bfncl_eval_options o;
    bfncl_eval_result r;
    double bits[3];
    static const char *const as[] = {NULL, "none", "2"};
    setting s = toy_with_labels("discretised");
    snprintf(folder, sizeof folder, "%s", test_path("scored"));
    OK(run(&s, (run_options){.out = folder, .steps = "6"}, NULL, err));
    for (int i = 0; i < 3; i++) {
        bfncl_eval_defaults(&o);
        o.model = folder;
        o.label = as[i];
        o.device = device();
        OK(bfncl_eval(&o, &r, err));
        bits[i] = r.rows[0].bits_per_dim;
        bfncl_eval_result_free(&r);
    }
    ck_assert(bits[0] != bits[1] && bits[0] != bits[2] && bits[1] != bits[2]);
    o.label = "0,1";
    FAILS(BF_USAGE, "one class", bfncl_eval(&o, &r, err));
    remove(test_path("data-labels.npy"));
    o.label = NULL;
    FAILS(BF_FILE, "data-labels.npy", bfncl_eval(&o, &r, err));
    o.label = "none";
    OK(bfncl_eval(&o, &r, err)); /* needs no labels */
    bfncl_eval_result_free(&r);
}
END_TEST

START_TEST(refused)
{
    static float x[12 * DIMS];
    char folder[128];
    setting s = toy_with_labels("discretised");
    FAILS(BF_USAGE, "without labels", draw(reference(), "shirt", -1, 1, x, err));
    FAILS(BF_USAGE, "without labels", draw(reference(), NULL, 1, 1, x, err));
    OK(draw(reference(), NULL, 0, 1, x, err));
    add(&s, "data.label_names", "left, right, up, down");
    add(&s, "train.label_dropout", "0");
    snprintf(folder, sizeof folder, "%s", test_path("named"));
    OK(run(&s, (run_options){.out = folder, .steps = "1"}, NULL, err));
    OK(draw(folder, "down", -1, 1, x, err));
    FAILS(BF_USAGE, "\"3\" is no class of this model: expected left, right, up, down, all or none",
          draw(folder, "3", -1, 1, x, err));
    FAILS(BF_USAGE, "without train.label_dropout", draw(folder, NULL, -1, 1, x, err));
    FAILS(BF_USAGE, "without train.label_dropout", draw(folder, "up", 1, 1, x, err));
    add(&s, "data.label_names", "left, right");
    FAILS(BF_FILE, "record 2 has label 2", run(&s, (run_options){.out = folder, .steps = "1"}, NULL, err));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conditional");
    TCase *t = tcase_create("conditional");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, guidance_formula);
    tcase_add_loop_test(t, runs_resume, 0, 2);
    tcase_add_loop_test(t, samples_by_class, 0, 3);
    tcase_add_test(t, scores_with_and_without_labels);
    tcase_add_test(t, refused);
    suite_add_tcase(s, t);
    return test_main(s);
}
