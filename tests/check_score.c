/* Scores of a network of toy size: losses, per example, over time, of overlapping windows of a text. */
#include <math.h>
#include <sys/stat.h>

#include "base/stats.h"
#include "io/image.h"
#include "run/over_time.h"
#include "run/per_example.h"
#include "run/score.h"
#include "toy.h"

START_TEST(scores)
{
    static const int64_t steps[] = {0, 10};
    bfncl_eval_result a = evaluate(reference(), "eval.batch=7", steps, 2, true);
    bfncl_eval_result b = evaluate(in(reference(), "best.safetensors"), "eval.batch=16", steps, 2, false);
    ck_assert_uint_eq(a.n_rows, 2);
    for (size_t i = 0; i < 2; i++) {
        const bfncl_eval_row *r = &a.rows[i];
        ck_assert_int_eq(r->loss_steps, steps[i]);
        ck_assert(r->samples == EXAMPLES && r->dims == DIMS && isfinite(r->total_bits_per_dim));
        ck_assert(r->stderr_bits_per_dim > 0 && r->stderr_bits_per_dim < r->bits_per_dim);
        ck_assert_double_eq_tol(r->total_bits_per_dim, r->bits_per_dim + r->recon_bits_per_dim, 1e-12);
        ck_assert_double_eq_tol(r->bits_per_dim, b.rows[i].bits_per_dim, 1e-5);
    }
    ck_assert(a.marginal_bits_per_dim > 0 && a.untrained_bits_per_dim > a.rows[1].bits_per_dim);
    ck_assert(isnan(b.marginal_bits_per_dim));
    bfncl_eval_result_free(&a);
    bfncl_eval_result_free(&b);
}
END_TEST

/* One line of numbers of a CSV file; the text after them, "" at the end. */
static const char *numbers(const char *line, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *end;
        x[i] = strtod(line, &end);
        ck_assert(end != line && *end == (i + 1 < n ? ',' : '\n'));
        line = end + 1;
    }
    return line;
}

START_TEST(scores_of_every_example)
{
    static const int64_t steps[] = {0, 10};
    static const char header[] = "index,recon_bits_per_dim,loss_inf_bits_per_dim,total_inf_bits_per_dim,"
                                 "loss_10_bits_per_dim,total_10_bits_per_dim\n";
    bfncl_eval_options o;
    bfncl_eval_result r;
    double x[6], sum[6] = {0};
    size_t size;
    bfncl_eval_defaults(&o);
    o.model = reference();
    o.loss_steps = steps;
    o.n_loss_steps = 2;
    o.repeats = 2;
    o.device = device();
    o.per_example = test_path("scores.csv");
    OK(bfncl_eval(&o, &r, err));
    char *text = (char *)test_slurp(test_path("scores.csv"), &size);
    ck_assert_int_eq(strncmp(text, header, strlen(header)), 0);
    const char *line = text + strlen(header);
    for (int i = 0; i < EXAMPLES; i++) {
        line = numbers(line, x, 6);
        ck_assert(x[0] == i && fabs(x[1] + x[2] - x[3]) < 1e-6 && fabs(x[1] + x[4] - x[5]) < 1e-6);
        for (int k = 0; k < 6; k++) sum[k] += x[k] / EXAMPLES;
    }
    ck_assert(*line == '\0');
    ck_assert_double_eq_tol(sum[1], r.rows[0].recon_bits_per_dim, 1e-6);
    ck_assert_double_eq_tol(sum[2], r.rows[0].bits_per_dim, 1e-6);
    ck_assert_double_eq_tol(sum[5], r.rows[1].total_bits_per_dim, 1e-6);
    ck_assert_double_eq_tol(r.rows[1].total_nats_per_example, sum[5] * BF_LN2 * DIMS, 1e-4);
    ck_assert(isnan(r.rows[0].bits_per_char) && r.stride == 0 && r.variables == EXAMPLES * DIMS);
    free(text);
    bfncl_eval_result_free(&r);
    o.per_example = "/nonexistent/scores.csv"; /* said before anything is scored */
    o.limit = 1000000;
    FAILS(BF_RUNTIME, "/nonexistent/scores.csv", bfncl_eval(&o, &r, err));
}
END_TEST

START_TEST(file_names_are_quoted)
{
    static const char *const names[] = {"named/a b.png", "named/b,c.png", "named/d\"e.png"};
    static uint8_t pixels[4];
    static const double recon[3] = {0, BF_LN2, 0.5}, loss[3] = {BF_LN2, 2 * BF_LN2, 0.25};
    /* and so are names of groups: two, of 2 variables and 1 */
    static const double recon_of[6] = {0, 0, 0, BF_LN2, 0, 0}, loss_of[6] = {BF_LN2, 0, 0, 0, BF_LN2, 0};
    const bf_group groups[2] = {{.name = "a", .dims = 2}, {.name = "b \"1\", 2", .dims = 1}};
    bf_example_scores s = {.samples = 3,
                           .recon = recon,
                           .loss = (const double *const[]){loss},
                           .groups = 1,
                           .group = groups,
                           .recon_of = recon_of,
                           .loss_of = (const double *const[]){loss_of},
                           .steps = (const int64_t[]){25},
                           .n = 1};
    const bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS};
    bf_dataset *ds;
    bf_writer *w;
    size_t size;
    char folder[128], line[512];
    snprintf(folder, sizeof folder, "%s", test_path("named"));
    ck_assert_int_eq(mkdir(folder, 0777), 0);
    for (int i = 0; i < 3; i++) OK(bf_png_write(test_path(names[i]), &(bf_image){2, 2, 1, pixels}, err));
    OK(bf_dataset_open(folder, &o, &ds, err));
    OK(bf_writer_open(test_path("named.csv"), &w, err));
    OK(bf_example_scores_write(&s, ds, w, err));
    OK(bf_writer_commit(w, err));
    char *text = (char *)test_slurp(test_path("named.csv"), &size);
    snprintf(line, sizeof line,
             "index,file,recon_bits_per_dim,loss_25_bits_per_dim,total_25_bits_per_dim\n0,%s/a b.png,0,1,1\n", folder);
    ck_assert_int_eq(strncmp(text, line, strlen(line)), 0);
    snprintf(line, sizeof line, "\n1,\"%s/b,c.png\",1,2,3\n2,\"%s/d\"\"e.png\",", folder, folder);
    ck_assert_ptr_nonnull(strstr(text, line));
    free(text);
    s.groups = 2;
    OK(bf_writer_open(test_path("named.csv"), &w, err));
    OK(bf_example_scores_write(&s, ds, w, err));
    OK(bf_writer_commit(w, err));
    text = (char *)test_slurp(test_path("named.csv"), &size);
    ck_assert_ptr_nonnull(strstr(text, ",total_25_bits_per_dim,total_25_bits a,\"total_25_bits b \"\"1\"\", 2\"\n0,"));
    ck_assert_ptr_nonnull(strstr(text, "/a b.png,0,1,1,2,1\n"));
    ck_assert_ptr_nonnull(strstr(text, "/b,c.png\",1,2,3,0,1\n"));
    free(text);
    bf_dataset_free(ds);
}
END_TEST

START_TEST(bins_of_time)
{
    const bf_flow_loss_spec cts = {.kind = BF_LOSS_CTS}, ten = {.kind = BF_LOSS_N_STEP, .steps = 10};
    static const float t[] = {0, 0.25f, 0.49f, 0x1.fffffep-1f};
    static const double nats[] = {1, 2, 6, 5};
    bf_time_bin bins[2] = {{0}}, tenths[10] = {{0}};
    bfncl_eval_bin out[2];
    bf_time_bins_add(bins, 2, &cts, t, nats, 4);
    bf_time_bins_result(bins, 2, out);
    ck_assert(out[0].count == 3 && fabs(out[0].nats_per_dim - 3) < 1e-12 && out[0].from == 0 && out[0].to == 0.5);
    ck_assert_double_eq_tol(out[0].stderr_bits_per_dim, sqrt(7.0 / 3) / BF_LN2, 1e-12);
    ck_assert(out[1].count == 1 && fabs(out[1].nats_per_dim - 5) < 1e-12 && isnan(out[1].stderr_bits_per_dim));
    for (int i = 0; i < 10; i++) { /* no step falls into the bin before its own by rounding */
        const float at = (float)(i / 10.0);
        bf_time_bins_add(tenths, 10, &ten, &at, nats, 1);
        ck_assert_uint_eq(tenths[i].count, 1);
    }
    memset(bins, 0, sizeof bins);
    bf_time_bins_result(bins, 2, out);
    ck_assert(out[1].count == 0 && isnan(out[1].bits_per_dim));
}
END_TEST

START_TEST(losses_over_time)
{
    static const int64_t steps[] = {0, 3};
    bfncl_eval_options o;
    bfncl_eval_result r;
    bfncl_eval_defaults(&o);
    o.model = reference();
    o.loss_steps = steps;
    o.n_loss_steps = 2;
    o.over_time = 4;
    o.repeats = 3;
    o.device = device();
    OK(bfncl_eval(&o, &r, err));
    for (int k = 0; k < 2; k++) {
        double sum = 0;
        uint64_t count = 0;
        ck_assert_uint_eq(r.rows[k].n_over_time, 4);
        for (int i = 0; i < 4; i++) {
            const bfncl_eval_bin *b = &r.rows[k].over_time[i];
            count += b->count;
            if (b->count) sum += (double)b->count * b->nats_per_dim;
        }
        ck_assert_uint_eq(count, 3 * EXAMPLES);
        ck_assert_double_eq_tol(sum / (double)count, r.rows[k].nats_per_dim, 1e-9);
    }
    /* steps at 0, 1/3 and 2/3: none in [3/4, 1) */
    ck_assert(r.rows[1].over_time[3].count == 0 && r.rows[1].over_time[2].count > 0);
    bfncl_eval_result_free(&r);
    o.over_time = 1001;
    FAILS(BF_USAGE, "1001 bins", bfncl_eval(&o, &r, err));
}
END_TEST

/* A text model of toy size that learned from `words`, windows of 8 characters. */
static const char *text_model(const char *words)
{
    static char path[128];
    setting s = {.n = 0};
    FILE *f = fopen(words, "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 60; i++) ck_assert_int_gt(fputs("in the beginning ", f), -1);
    ck_assert_int_eq(fclose(f), 0);
    snprintf(path, sizeof path, "%s", test_path("text"));
    add(&s, "data.train", words);
    add(&s, "data.validation", "0.1");
    add(&s, "data.length", "8");
    add(&s, "net.width", "16");
    add(&s, "net.blocks", "1");
    add(&s, "train.batch", "3");
    add(&s, "eval.examples", "2");
    OK(run(&s, (run_options){.config = "configs/text_small.yaml", .out = path, .steps = "2"}, NULL, err));
    return path;
}

START_TEST(overlapping_windows)
{
    static const int64_t steps[] = {0, 4};
    char words[128];
    snprintf(words, sizeof words, "%s", test_path("overlap.txt"));
    bfncl_eval_options o;
    bfncl_eval_result apart, same, r;
    double x[8];
    size_t size;
    bfncl_eval_defaults(&o);
    o.model = text_model(words);
    o.loss_steps = steps;
    o.n_loss_steps = 2;
    o.baselines = true;
    o.device = device();
    OK(bfncl_eval(&o, &apart, err)); /* 102 characters at the end of 1020 */
    ck_assert(apart.text && apart.stride == 8 && apart.variables == 96 && apart.rows[0].samples == 12);
    ck_assert(apart.rows[0].bits_per_char == apart.rows[0].bits_per_dim);
    ck_assert_str_eq(apart.marginal, "unigram");
    o.stride = 8;
    OK(bfncl_eval(&o, &same, err));
    ck_assert(same.rows[1].total_bits_per_char == apart.rows[1].total_bits_per_char);
    o.stride = 3;
    o.per_example = test_path("overlap.csv");
    OK(bfncl_eval(&o, &r, err));
    ck_assert(r.stride == 3 && r.rows[0].samples == 32 && r.variables == 8 + 31 * 3);
    ck_assert(isfinite(r.rows[1].total_bits_per_char) && r.rows[1].stderr_bits_per_dim > 0);
    char *text = (char *)test_slurp(test_path("overlap.csv"), &size);
    const char *line = text + strcspn(text, "\n") + 1;
    double next = 918, recon = 0;
    for (int i = 0; i < 32; i++) { /* every character once, and the mean is over characters */
        line = numbers(line, x, 8);
        ck_assert(x[1] == next && x[2] == (i ? 3 : 8));
        next += x[2];
        recon += x[2] * x[3] / 101;
    }
    ck_assert_double_eq_tol(recon, r.rows[0].recon_bits_per_dim, 1e-6);
    free(text);
    bfncl_eval_result_free(&apart);
    bfncl_eval_result_free(&same);
    bfncl_eval_result_free(&r);
    o.stride = 9;
    FAILS(BF_USAGE, "leaves characters out", bfncl_eval(&o, &r, err));
}
END_TEST

/* Without the first variables of a row the mean is that of the rest. */
START_TEST(parts_of_a_row)
{
    const bfncl_device_options d = device();
    const bf_open_options open = {.path = reference(), .device = &d};
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_CTS};
    static const uint32_t skip[3][2] = {{0, 0}, {1, DIMS - 1}, {0, DIMS - 2}};
    float x[2 * DIMS], whole[2], part[3][2];
    char path[1024];
    bf_model *m;
    bf_scorer *s;
    for (int i = 0; i < 2 * DIMS; i++) x[i] = (float)(i % 17) / 8 - 1;
    OK(bf_model_open(&open, path, &m, err));
    OK(bf_scorer_new(m, BF_SET_VALUE, &spec, 2, NULL, false, &s, NULL, err));
    bf_score_key key = {.seed = 3, .total = 2};
    OK(bf_scorer_rows(s, x, 2, &key, whole, NULL, err));
    for (int k = 0; k < 3; k++) {
        key.skip = skip[k];
        OK(bf_scorer_rows(s, x, 2, &key, part[k], NULL, err));
    }
    for (int i = 0; i < 2; i++) ck_assert_float_eq_tol(part[0][i], whole[i], 1e-4f * fabsf(whole[i]));
    ck_assert(part[1][0] != whole[0] && part[1][1] != whole[1]);
    ck_assert(part[2][0] == part[0][0] && part[2][1] != part[1][1]); /* the other row of a batch stays as it is */
    bf_scorer_free(s);
    bf_model_free(m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("score");
    TCase *t = tcase_create("score");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, scores);
    tcase_add_test(t, scores_of_every_example);
    tcase_add_test(t, file_names_are_quoted);
    tcase_add_test(t, bins_of_time);
    tcase_add_test(t, losses_over_time);
    tcase_add_test(t, overlapping_windows);
    tcase_add_test(t, parts_of_a_row);
    suite_add_tcase(s, t);
    return test_main(s);
}
