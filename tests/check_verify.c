/* Verification: the stored vectors pass on both device classes; wrong, damaged and foreign files do not. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "chem/standard.h"
#include "run/verify.h"
#include "support.h"

#define GOLDEN "tests/golden/"

/* What came out of a run, and the last line that was not about a passed tensor. */
typedef struct seen {
    bfncl_verify_result result;
    unsigned lines, files;
    char failed[256], note[512];
} seen;

static void on_line(void *user, const bfncl_verify_line *line)
{
    seen *s = user;
    s->lines++;
    if (line->tensor == NULL) s->files++;
    if (line->state == BFNCL_VERIFY_PASSED) return;
    snprintf(s->note, sizeof s->note, "%s", line->note);
    if (line->tensor) snprintf(s->failed, sizeof s->failed, "%s", line->tensor);
}

static bf_status verify(bf_ctx *ctx, const char *path, seen *s, bf_err *err)
{
    bfncl_verify_options o;
    bfncl_verify_defaults(&o);
    *s = (seen){.files = 0};
    o.paths = &path;
    o.n_paths = path != NULL;
    o.on_line = on_line;
    o.user = s;
    return bf_verify_run(ctx, &o, &s->result, err);
}

START_TEST(stored_vectors_pass)
{
    static const char *const folders[] = {"continuous", "discretised", "discrete", "tables",
                                          "installed",  "molcraft",    "solvers"};
    TEST_BOTH(ctx)
    {
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
            char path[128];
            seen s;
            bf_err why = {0};
            if (strcmp(folders[i], "molcraft") == 0 && !bf_standard_available()) continue; /* its ligands need RDKit */
            snprintf(path, sizeof path, GOLDEN "%s", folders[i]);
            const bf_status st = verify(ctx, path, &s, &why);
            ck_assert_msg(st == BF_OK, "%s: %s (%s: %s)", path, why.message, s.failed, s.note);
            ck_assert_uint_gt(s.result.passed, 0);
            ck_assert_uint_eq(s.result.passed, s.files);
            ck_assert_uint_eq(s.result.failed + s.result.skipped, 0);
            ck_assert_uint_gt(s.result.tensors, 10);
        }
    }
}
END_TEST

/* ---- files that must not pass ------------------------------------------------------------------------------------ */

static const char vector[] = GOLDEN "installed/cts_mv1e-4_vector.safetensors";
static char folder[] = "/tmp/bfncl-verify-XXXXXX";
static char copy[64];

/* The bytes of the small vector file; the caller frees them. */
static char *vector_bytes(size_t *size)
{
    FILE *f = fopen(vector, "rb");
    ck_assert_ptr_nonnull(f);
    char *bytes = malloc(1 << 20);
    ck_assert_ptr_nonnull(bytes);
    *size = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    ck_assert(*size > 1000 && *size < 1 << 20);
    return bytes;
}

static void write_copy(const char *bytes, size_t size)
{
    FILE *f = fopen(copy, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

/* A copy of the vector with one element of a tensor replaced. */
static void spoil(const char *tensor, size_t element, float value)
{
    size_t size = 0;
    char *bytes = vector_bytes(&size);
    bf_st *file = NULL;
    OK(bf_st_open(vector, &file, err));
    const bf_st_tensor *t = bf_st_find(file, tensor);
    ck_assert_msg(t != NULL && element < t->count && t->dtype == BF_F32, "%s", tensor);
    memcpy(bytes + t->offset + element * sizeof value, &value, sizeof value);
    bf_st_close(file);
    write_copy(bytes, size);
    free(bytes);
}

static void make_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(copy, sizeof copy, "%s/copy.safetensors", folder);
}

static void remove_folder(void)
{
    unlink(copy);
    rmdir(folder);
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
}

/* One wrong number in any compared tensor fails the file and names the tensor; so does one that is not finite. */
START_TEST(a_wrong_value_fails)
{
    static const struct {
        const char *tensor;
        float value;
    } cases[] = {{"flow.mu", 0.77f},           {"pred.x_hat", 0.123f},       {"closs.loss", 5.0f},
                 {"closs.grad_net_out", 0.1f}, {"dloss.n10.loss", NAN},      {"recon.loss", INFINITY},
                 {"traj.final", 0.5f},         {"dloss.n2.loss_mean", 1e6f}, {"upd.mu", NAN}};
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    make_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        seen s;
        bf_err why;
        spoil(cases[i].tensor, strstr(cases[i].tensor, "mean") ? 0 : 5, cases[i].value);
        ck_assert_msg(verify(ctx, copy, &s, &why) == BF_NUMERIC, "%s was changed and passed", cases[i].tensor);
        ck_assert_uint_eq(s.result.failed, 1);
        ck_assert_uint_eq(s.result.passed, 0);
        ck_assert_msg(strncmp(s.note, cases[i].tensor, strlen("flow")) == 0, "%s: %s", cases[i].tensor, s.note);
    }
    remove_folder();
}
END_TEST

START_TEST(foreign_and_damaged_files)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    seen s;
    bf_err why;
    size_t size = 0;
    char *bytes = vector_bytes(&size);
    make_folder();
    ck_assert_int_eq(verify(ctx, "no/such/place", &s, &why), BF_FILE);
    ck_assert_ptr_nonnull(strstr(why.message, "no/such/place"));
    ck_assert_int_eq(verify(ctx, folder, &s, &why), BF_FILE); /* nothing in it */

    /* cut short: named, an error; met in a folder, a failed file */
    write_copy(bytes, size - 5);
    ck_assert_int_eq(verify(ctx, copy, &s, &why), BF_FILE);
    ck_assert_int_eq(verify(ctx, folder, &s, &why), BF_NUMERIC);
    ck_assert_uint_eq(s.result.failed, 1);

    /* a kind nobody knows is skipped by name */
    char *kind = NULL;
    for (size_t i = 0; kind == NULL && i + 12 < size; i++) {
        if (memcmp(bytes + i, "\"continuous\"", 12) == 0) kind = bytes + i;
    }
    ck_assert_ptr_nonnull(kind);
    memcpy(kind, "\"contagious\"", 12);
    write_copy(bytes, size);
    ck_assert_int_eq(verify(ctx, copy, &s, &why), BF_OK);
    ck_assert_uint_eq(s.result.skipped, 1);
    ck_assert_ptr_nonnull(strstr(s.note, "contagious"));

    /* the right kind, but not what belongs to it */
    memcpy(kind, "\"discrete\"  ", 12);
    write_copy(bytes, size);
    ck_assert_int_eq(verify(ctx, copy, &s, &why), BF_NUMERIC);
    ck_assert_ptr_nonnull(strstr(s.note, "cfg.n_classes"));
    free(bytes);
    remove_folder();
}
END_TEST

/* ---- lists of parameters ----------------------------------------------------------------------------------------- */

static char *list_copy(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/list.json", folder);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

/* The list with `from` replaced by `to`, of the same length. */
static const char *changed_list(const char *text, const char *from, const char *to)
{
    char *edit = strdup(text), *at = edit ? strstr(edit, from) : NULL;
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    const char *path = list_copy(edit);
    free(edit);
    return path;
}

/* Another name, shape, decay, kind or count is found and named; a JSON file of another sort is passed over. */
START_TEST(lists_of_parameters)
{
    static const struct {
        const char *from, *to, *part;
    } cases[] = {{"\"net.lm_head.bias\", \"shape\": [27]", "\"net.lm_head.bias\", \"shape\": [28]", "another shape"},
                 {"net.transformer.ln_f.bias", "net.transformer.ln_f.bia2", "another name"},
                 {"\"net.input_adapter.t_embedding.bias\", \"shape\": [768], \"dtype\": \"F32\", \"kind\": "
                  "\"parameter\", \"weight_decay\": 0.0",
                  "\"net.input_adapter.t_embedding.bias\", \"shape\": [768], \"dtype\": \"F32\", \"kind\": "
                  "\"parameter\", \"weight_decay\": 0.1",
                  "weight decay"},
                 {"\"kind\": \"buffer\"", "\"kind\": \"BUFFER\"", "parameter or buffer"},
                 {"\"n_parameters\": 170175003", "\"n_parameters\": 170175004", "in the network"},
                 {"\"class_name\": \"GPT\"", "\"class_name\": \"GPX\"", "nothing in it is implemented"},
                 {"\"n_layer\": 24", "\"n_layer\": 25", "another name"},
                 {"\"n_layer\": 24", "\"n_layer\": 99", "net.blocks"},
                 {"\"vocab_size\": 27", "\"vocab_size\": -7", "vocab_size"}};
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    void *text = NULL;
    size_t size;
    seen s;
    bf_err why;
    make_folder();
    OK(bf_file_read(GOLDEN "shapes/text8_discrete.json", 1 << 20, &text, &size, err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool skip = strstr(cases[i].part, "implemented") != NULL;
        const bf_status st = verify(ctx, changed_list(text, cases[i].from, cases[i].to), &s, &why);
        ck_assert_msg(st == (skip ? BF_OK : BF_NUMERIC), "%s: %d", cases[i].to, (int)st);
        ck_assert_msg(strstr(s.note, cases[i].part) != NULL, "%s: %s", cases[i].to, s.note);
        ck_assert_uint_eq(skip ? s.result.skipped : s.result.failed, 1);
    }
    free(text);
    OK(bf_file_read(GOLDEN "shapes/molcraft_time1.json", 1 << 20, &text, &size, err));
    OK(verify(ctx, changed_list(text, "\"knn\": 32", "\"knn\": 31"), &s, err)); /* no parameter depends on it */
    ck_assert_uint_eq(s.result.passed, 1);
    ck_assert_int_eq(verify(ctx, changed_list(text, "\"used\": false", "\"used\": true "), &s, &why), BF_NUMERIC);
    const char *path = list_copy("{\"net\": 1}");
    ck_assert_int_eq(verify(ctx, path, &s, &why), BF_FILE);
    ck_assert_ptr_nonnull(strstr(why.message, "no list of tensors"));
    ck_assert_int_eq(verify(ctx, folder, &s, &why), BF_FILE); /* nothing else in it */
    ck_assert_ptr_nonnull(strstr(why.message, "no golden file"));
    path = list_copy("{\"tensors\": [");
    ck_assert_int_eq(verify(ctx, path, &s, &why), BF_FILE);
    ck_assert_int_eq(verify(ctx, folder, &s, &why), BF_NUMERIC);
    free(text);
    unlink(path);
    remove_folder();
}
END_TEST

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* PyTorch files and what came out of them: outputs, losses, a sampling run; and one that only has to be read. */
START_TEST(checkpoints_pass)
{
    TEST_BOTH(ctx)
    {
        seen s;
        bf_err why = {0};
        const bf_status st = verify(ctx, GOLDEN "checkpoints", &s, &why);
        ck_assert_msg(st == BF_OK, "%s (%s: %s)", why.message, s.failed, s.note);
        ck_assert_uint_eq(s.result.passed, 2);
        ck_assert_uint_eq(s.result.skipped, 0);
        ck_assert_uint_eq(s.result.tensors, 9 + 14);
    }
}
END_TEST

/* FOLDER/m<end> becomes the golden file `from`, or nothing. */
static void place(const char *end, const char *from)
{
    char path[96], here[1024], target[1200];
    snprintf(path, sizeof path, "%s/m%s", folder, end);
    unlink(path);
    if (!from) return;
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(target, sizeof target, "%s/" GOLDEN "checkpoints/%s", here, from);
    ck_assert_int_eq(symlink(target, path), 0);
}

/* Other containers hold the same weights; other weights, or none, do not pass. */
START_TEST(checkpoints_with_other_files)
{
    static const struct {
        const char *raw, *ema, *both; /* m_raw.pt, m_ema.pt, m.pt */
        const char *note;             /* NULL: passes */
    } cases[] = {{"variants/ddp_prefix.pt", "text_gpt_ema.pt", NULL, NULL},
                 {"variants/newer_layout.pt", NULL, "text_gpt_ema.pt", NULL},
                 {"text_gpt_ema.pt", "text_gpt_ema.pt", NULL, "out_raw"},
                 {"text_gpt_raw.pt", "text_gpt_raw.pt", NULL, "out_ema"},
                 {"text_gpt_raw.pt", NULL, NULL, "m_ema.pt"},
                 {"tiny_unet.pt", "text_gpt_ema.pt", NULL, "m_raw.pt"}};
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    make_folder();
    place("_expected.safetensors", "text_gpt_expected.safetensors");
    place("_config.json", "text_gpt_config.json");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        seen s;
        bf_err why = {0};
        place("_raw.pt", cases[i].raw);
        place("_ema.pt", cases[i].ema);
        place(".pt", cases[i].both);
        const bf_status st = verify(ctx, folder, &s, &why);
        ck_assert_msg(st == (cases[i].note ? BF_NUMERIC : BF_OK), "case %zu: %s (%s)", i, why.message, s.note);
        if (cases[i].note) ck_assert_msg(strstr(s.note, cases[i].note) != NULL, "case %zu: %s", i, s.note);
    }
    place("_config.json", NULL);
    seen s;
    bf_err why;
    ck_assert_int_eq(verify(ctx, folder, &s, &why), BF_NUMERIC);
    ck_assert_ptr_nonnull(strstr(s.note, "m_config.json"));
    static const char *const ends[] = {"_expected.safetensors", "_raw.pt", "_ema.pt", ".pt"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) place(ends[i], NULL);
    remove_folder();
}
END_TEST

/* Without a path: $BFNCL_DATADIR/golden. */
START_TEST(installed_set)
{
    seen s;
    bf_err why;
    char link[64], here[1024], target[1100];
    make_folder();
    snprintf(link, sizeof link, "%s/golden", folder);
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(target, sizeof target, "%s/" GOLDEN "installed", here);
    ck_assert_int_eq(symlink(target, link), 0);
    setenv("BFNCL_DATADIR", folder, 1);
    ck_assert_int_eq(verify(test_ctx(BF_CLASS_CPU), NULL, &s, &why), BF_OK);
    ck_assert_uint_ge(s.result.passed, 4);
    unsetenv("BFNCL_DATADIR");
    unlink(link);
    remove_folder();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("verify");
    const TTest *const tests[] = {stored_vectors_pass, a_wrong_value_fails, foreign_and_damaged_files,
                                  lists_of_parameters, checkpoints_pass,    checkpoints_with_other_files,
                                  installed_set};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        TCase *tc = tcase_create(tests[i]->name);
        tcase_set_timeout(tc, 300);
        tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
    }
    return test_main(s);
}
