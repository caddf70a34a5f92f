/*
 * Models of molecules from outside, on a network of toy size: training in pieces gives the bits of one run, scores and
 * samples do not depend on the batch, a scaffold stays where it is, what does not fit is refused.
 */
#include <math.h>

#include "base/size.h"
#include "io/mol.h"
#include "io/safetensors.h"
#include "run/score.h"
#include "toy.h"

#define DATA "tests/molecules.sdf" /* 40 molecules of at most 12 atoms */

static setting toy_molecules(void)
{
    setting s = {.n = 0};
    add(&s, "data.train", DATA);
    add(&s, "data.test", DATA);
    add(&s, "net.width", "16");
    add(&s, "net.heads", "2");
    add(&s, "net.blocks", "1");
    add(&s, "net.neighbours", "4");
    add(&s, "train.steps", "6");
    add(&s, "train.batch", "64");
    add(&s, "train.warmup", "2");
    add(&s, "train.eval_every", "6");
    add(&s, "train.save_every", "3");
    add(&s, "eval.examples", "4");
    add(&s, "sample.batch", "40");
    add(&s, "sample.steps", "4");
    return s;
}

static bf_status run_molecules(const setting *s, const char *out, const char *steps, bool resume, bf_err *err)
{
    run_options o = {.config = "configs/molecules.yaml", .out = out, .steps = steps, .resume = resume};
    return run(s, o, NULL, err);
}

/* A run folder made once. */
static const char *molecules(void)
{
    static char out[128];
    const setting s = toy_molecules();
    if (out[0]) return out;
    snprintf(out, sizeof out, "%s", test_path("run"));
    OK(run_molecules(&s, out, NULL, false, err));
    return out;
}

START_TEST(two_halves_equal_one_run)
{
    const setting s = toy_molecules();
    char out[128];
    snprintf(out, sizeof out, "%s", test_path("halves"));
    OK(run_molecules(&s, out, "3", false, err));
    OK(run_molecules(&s, out, NULL, true, err));
    bf_st *f = NULL, *g = NULL;
    OK(bf_st_open(in(out, "last.safetensors"), &f, err));
    OK(bf_st_open(in(molecules(), "last.safetensors"), &g, err));
    ck_assert_uint_eq(bf_st_count(f), bf_st_count(g));
    for (size_t i = 0; i < bf_st_count(f); i++) {
        const bf_st_tensor *t = bf_st_at(f, i), *u = bf_st_find(g, t->name);
        void *x = malloc(t->bytes), *y = malloc(t->bytes);
        ck_assert_ptr_nonnull(u);
        OK(bf_st_read_raw(f, t, x, err));
        OK(bf_st_read_raw(g, u, y, err));
        ck_assert_msg(memcmp(x, y, t->bytes) == 0, "%s differs", t->name);
        free(x);
        free(y);
    }
    bf_st_close(f);
    bf_st_close(g);
}
END_TEST

START_TEST(a_batch_in_parts)
{
    bfncl_train_result r;
    setting s = toy_molecules();
    add(&s, "train.accumulate", "2");
    const run_options o = {.config = "configs/molecules.yaml", .out = test_path("parts"), .steps = "2"};
    OK(run(&s, o, &r, err));
    ck_assert(isfinite(r.loss) && r.steps == 2);
    add(&s, "train.batch", "22"); /* the later one counts: 11 atoms in a part */
    FAILS(BF_USAGE, "has 12 atoms, a batch of this model holds 11", run(&s, o, &r, err));
}
END_TEST

static bfncl_eval_result score(const char *batch, int64_t limit)
{
    setting s = {.n = 0};
    bfncl_eval_options o;
    bfncl_eval_result r;
    add(&s, "eval.batch", batch);
    bfncl_eval_defaults(&o);
    o.model = molecules();
    o.set = s.v;
    o.n_set = s.n;
    o.limit = limit;
    o.device = device();
    OK(bfncl_eval(&o, &r, err));
    return r;
}

START_TEST(scores_do_not_depend_on_the_batch)
{
    bfncl_eval_result a = score("12", 20), b = score("50", 20);
    ck_assert_uint_eq(a.rows->samples, 20);
    ck_assert_uint_gt(a.atoms, 100);
    ck_assert_uint_eq(a.variables, 4 * a.atoms);
    ck_assert_double_eq_tol(a.rows->bits_per_dim, b.rows->bits_per_dim, 1e-5 * fabs(a.rows->bits_per_dim));
    ck_assert_double_eq_tol(a.rows->recon_bits_per_dim, b.rows->recon_bits_per_dim, 1e-4);
    ck_assert_uint_eq(a.rows->n_groups, 2);
    double sum = 0; /* the groups' parts add up */
    for (size_t i = 0; i < 2; i++) sum += (double)a.rows->groups[i].dims * a.rows->groups[i].bits_per_dim;
    ck_assert_double_eq_tol(sum / 4, a.rows->bits_per_dim, 1e-5 * fabs(a.rows->bits_per_dim));
    bfncl_eval_result_free(&a);
    bfncl_eval_result_free(&b);
}
END_TEST

static bf_status draw(const char *out, const char *mode, const char *batch, int64_t n, const char *scaffold,
                      bf_err *err)
{
    setting s = {.n = 0};
    bfncl_sample_options o;
    bfncl_sample_result r;
    add(&s, "sample.batch", batch);
    bfncl_sample_defaults(&o);
    o.model = molecules();
    o.set = s.v;
    o.n_set = s.n;
    o.n = n;
    o.sampler = mode;
    o.scaffold = scaffold;
    o.out = out;
    o.device = device();
    const bf_status st = bfncl_sample(&o, &r, err);
    bfncl_sample_result_free(&r);
    return st;
}

START_TEST(samples_do_not_depend_on_the_batch)
{
    static const char *const modes[] = {"ancestral", "end_back", "end_back_pmf", "end_back_mode"};
    bf_mol *a = NULL, *b = NULL;
    size_t n, k;
    OK(draw(test_path("five.sdf"), modes[_i], "40", 5, NULL, err));
    OK(draw(test_path("two.sdf"), modes[_i], "25", 2, NULL, err));
    OK(bf_mol_read_all(test_path("five.sdf"), 0, &a, &n, err));
    OK(bf_mol_read_all(test_path("two.sdf"), 0, &b, &k, err));
    ck_assert(n == 5 && k == 2);
    for (size_t i = 0; i < k; i++) {
        ck_assert_uint_eq(a[i].atoms, b[i].atoms);
        ck_assert(a[i].atoms >= 5 && a[i].atoms <= 12);
        double mean[3] = {0};
        for (uint32_t j = 0; j < a[i].atoms; j++) {
            ck_assert_uint_eq(a[i].atom[j].element, b[i].atom[j].element);
            for (int c = 0; c < 3; c++) {
                ck_assert_float_eq_tol(a[i].atom[j].x[c], b[i].atom[j].x[c], 2e-3f);
                mean[c] += a[i].atom[j].x[c];
            }
        }
        for (int c = 0; c < 3; c++) ck_assert_double_eq_tol(mean[c], 0, 2e-3); /* the centre of mass is the origin */
    }
    bf_mol_free_all(a, n);
    bf_mol_free_all(b, k);
    FAILS(BF_USAGE, "does not fit into a batch of 4", draw(test_path("x.sdf"), modes[_i], "4", 2, NULL, err));
    FAILS(BF_USAGE, "picture.gif", draw("picture.gif", modes[_i], "40", 2, NULL, err));
}
END_TEST

START_TEST(a_scaffold_stays)
{
    static const char part[] = "3\nwater, far away\nO 10 20 30\nH 10.96 20 30\nH 9.76 20.93 30\n";
    static const char iodine[] = "1\n\nI 0 0 0\n", large[] = "12\n\n";
    bf_mol *list = NULL;
    size_t n;
    char text[512];
    test_spill(test_path("part.xyz"), part, sizeof part - 1);
    OK(draw(test_path("held.sdf"), "end_back_pmf", "40", 3, test_path("part.xyz"), err));
    OK(bf_mol_read_all(test_path("held.sdf"), 0, &list, &n, err));
    ck_assert_uint_eq(n, 3);
    for (size_t i = 0; i < n; i++) {
        static const float x[3][3] = {{10, 20, 30}, {10.96f, 20, 30}, {9.76f, 20.93f, 30}};
        ck_assert_uint_gt(list[i].atoms, 3);
        for (uint32_t j = 0; j < list[i].atoms; j++)
            for (int c = 0; c < 3; c++)
                ck_assert_float_eq_tol(list[i].atom[j].x[c], x[j < 3 ? j : 0][c], j < 3 ? 1e-3f : 20.0f);
        ck_assert(list[i].atom[0].element == 8 && list[i].atom[1].element == 1 && list[i].atom[2].element == 1);
    }
    bf_mol_free_all(list, n);
    test_spill(test_path("iodine.xyz"), iodine, sizeof iodine - 1);
    FAILS(BF_FILE, "I is not among", draw(test_path("x.sdf"), NULL, "40", 1, test_path("iodine.xyz"), err));
    int used = snprintf(text, sizeof text, "%s", large);
    for (int i = 0; i < 12; i++) used += snprintf(text + used, sizeof text - (size_t)used, "C %d 0 0\n", 2 * i);
    test_spill(test_path("large.xyz"), text, (size_t)used);
    FAILS(BF_USAGE, "the scaffold has 12 atoms", draw(test_path("x.sdf"), NULL, "40", 1, test_path("large.xyz"), err));
}
END_TEST

START_TEST(refusals)
{
    setting s = toy_molecules();
    add(&s, "train.batch", "11");
    FAILS(BF_USAGE, "has 12 atoms, a batch of this model holds 11",
          run_molecules(&s, test_path("small"), NULL, false, err));
    s = toy_molecules();
    add(&s, "mol.elements", "H C N O");
    FAILS(BF_FILE, "is not among the elements H C N O", run_molecules(&s, test_path("kinds"), NULL, false, err));
    s = toy_molecules();
    add(&s, "net.kind", "transformer");
    FAILS(BF_USAGE, "net.kind unio2", run_molecules(&s, test_path("kind"), NULL, false, err));
    s = toy_molecules();
    add(&s, "flow.predict_data", "false");
    FAILS(BF_USAGE, "flow.predict_data", run_molecules(&s, test_path("noise"), NULL, false, err));
    /* nothing that an embedded model could give back */
    bfncl_model *m = NULL;
    const bfncl_device_options d = device();
    FAILS(BF_USAGE, "model of molecules", bfncl_model_open(molecules(), &d, &m, err));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("run_mol");
    TCase *c = tcase_create("molecules");
    tcase_add_test(c, two_halves_equal_one_run);
    tcase_add_test(c, a_batch_in_parts);
    tcase_add_test(c, scores_do_not_depend_on_the_batch);
    tcase_add_loop_test(c, samples_do_not_depend_on_the_batch, 0, 4);
    tcase_add_test(c, a_scaffold_stays);
    tcase_add_test(c, refusals);
    tcase_set_timeout(c, 300);
    suite_add_tcase(s, c);
    return test_main(s);
}
