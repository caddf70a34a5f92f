/* Class labels: names, the places they are read from, data sets and blocks with labels. */
#include <math.h>
#include <sys/stat.h>

#include "base/philox.h"
#include "files.h"
#include "io/dataset.h"
#include "io/image.h"
#include "io/packed.h"

static bf_status read_back(const void *data, size_t size, bf_err *err)
{
    bf_labels l;
    FILE *f = fopen(test_path("x.file"), "wb");
    ck_assert_ptr_nonnull(f);
    fwrite(data, 1, size, f);
    fclose(f);
    const bf_status st = bf_labels_read(test_path("x.file"), NULL, &l, err);
    bf_labels_free(&l);
    return st;
}

static const char *save_npy(const char *name, bf_dtype type, const void *data, uint64_t n)
{
    const bf_array a = {.dtype = type, .ndim = 1, .dims = {n}, .count = n, .data = (void *)(uintptr_t)data};
    const char *path = test_path(name);
    OK(bf_npy_write(path, &a, err));
    return path;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

START_TEST(names)
{
    static const struct {
        const char *text, *part;
    } bad[] = {{"", "has no name"},
               {"a,,b", "class 1 has no name"},
               {"a, b, a", "called \"a\""},
               {"a, none", "\"none\""},
               {"all", "\"all\""},
               {"a, b,", "has no name"},
               {"0..70000", "the last class"},
               {"0..x", "the last class"}};
    bf_classes c;
    char name[BF_CLASS_NAME], list[40];
    uint32_t k;
    OK(bf_classes_parse(" t-shirt ,trouser, ankle boot", &c, err));
    ck_assert(c.n == 3 && !c.numbers);
    bf_classes_name(&c, 2, name);
    ck_assert_str_eq(name, "ankle boot");
    bf_classes_name(&c, 3, name);
    ck_assert_str_eq(name, "none");
    ck_assert(bf_classes_find(&c, "trouser, x", 7, &k) && k == 1);
    ck_assert(!bf_classes_find(&c, "trouse", 6, &k) && !bf_classes_find(&c, "1", 1, &k));
    bf_classes_list(&c, list, sizeof list);
    ck_assert_str_eq(list, "t-shirt, trouser, ankle boot");
    bf_classes_list(&c, list, 20);
    ck_assert_str_eq(list, "t-shirt, ...");
    OK(bf_classes_parse("0..9", &c, err));
    ck_assert(c.n == 10 && c.numbers && bf_classes_find(&c, "9", 1, &k) && k == 9 && !bf_classes_find(&c, "10", 2, &k));
    bf_classes_list(&c, list, sizeof list);
    ck_assert_str_eq(list, "0 to 9");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(BF_USAGE, bad[i].part, bf_classes_parse(bad[i].text, &c, err));
    char long_name[100], long_text[2000];
    memset(long_name, 'x', sizeof long_name);
    long_name[99] = '\0';
    FAILS(BF_USAGE, "too long for a name", bf_classes_parse(long_name, &c, err));
    memset(long_text, 'x', sizeof long_text);
    long_text[1999] = '\0';
    FAILS(BF_USAGE, "longer than", bf_classes_parse(long_text, &c, err));
    char many[2048] = "";
    for (int i = 0; i < 340; i++) sprintf(many + strlen(many), "%c%c,", 'a' + i / 26, 'a' + i % 26);
    many[strlen(many) - 1] = '\0';
    OK(bf_classes_parse(many, &c, err));
    ck_assert_uint_eq(c.n, 340);
}
END_TEST

/* ---- files ------------------------------------------------------------------------------------------------------- */

START_TEST(integers_of_every_size)
{
    static const uint8_t u8[] = {3, 0, 3, 1};
    static const int16_t i16[] = {3, 0, 300};
    static const int64_t i64[] = {2, 65535}, negative[] = {1, -1}, large[] = {1, 2, 65536}, huge[] = {INT64_MAX};
    static const float f32[] = {1, 2};
    bf_labels l;
    OK(bf_labels_read(save_npy("a.npy", BF_U8, u8, 4), NULL, &l, err));
    ck_assert(l.count == 4 && l.label[0] == 3 && l.label[3] == 1);
    ck_assert_str_eq(l.names, "0..3");
    bf_labels_free(&l);
    OK(bf_labels_read(save_npy("a.npy", BF_I16, i16, 3), "", &l, err));
    ck_assert_uint_eq(l.label[2], 300);
    bf_labels_free(&l);
    OK(bf_labels_read(save_npy("a.npy", BF_I64, i64, 2), NULL, &l, err));
    ck_assert_str_eq(l.names, "0..65535");
    bf_labels_free(&l);
    FAILS(BF_FILE, "a.npy: record 1", bf_labels_read(save_npy("a.npy", BF_I64, negative, 2), NULL, &l, err));
    FAILS(BF_FILE, "record 2", bf_labels_read(save_npy("a.npy", BF_I64, large, 3), NULL, &l, err));
    FAILS(BF_FILE, "record 0", bf_labels_read(save_npy("a.npy", BF_I64, huge, 1), NULL, &l, err));
    FAILS(BF_FILE, "F32", bf_labels_read(save_npy("a.npy", BF_F32, f32, 2), NULL, &l, err));
    FAILS(BF_FILE, "no labels", bf_labels_read(save_npy("a.npy", BF_U8, u8, 0), NULL, &l, err));
    FAILS(BF_FILE, "record 0 has label 3, there are 2",
          bf_labels_read(save_npy("a.npy", BF_U8, u8, 4), "left, right", &l, err));
    FAILS(BF_FILE, "labels are IDX", bf_labels_read("tests/files.h", NULL, &l, err));
    FAILS(BF_FILE, "/nowhere", bf_labels_read("/nowhere", NULL, &l, err));
}
END_TEST

START_TEST(damaged_files)
{
    static const unsigned char idx[] = {0, 0, 8, 1, 0, 0, 0, 5, 1, 0, 2, 1, 1},
                               pictures[] = {0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 1, 9};
    bf_labels l;
    test_spill(test_path("l.idx"), idx, sizeof idx);
    OK(bf_labels_read(test_path("l.idx"), "a, b, c", &l, err));
    ck_assert(l.count == 5 && l.label[2] == 2);
    ck_assert_str_eq(l.names, "a, b, c");
    bf_labels_free(&l);
    test_truncations(read_back, idx, sizeof idx);
    ck_assert_uint_gt(test_flips(read_back, idx, sizeof idx), 5 * 9 - 1); /* any byte is a label */
    test_spill(test_path("l.idx"), pictures, sizeof pictures);
    FAILS(BF_FILE, "2 dimensions", bf_labels_read(test_path("l.idx"), NULL, &l, err));
}
END_TEST

START_TEST(beside)
{
    char path[1024], want[256];
    test_spill(test_path("train-images-idx3-ubyte.gz"), "", 0);
    ck_assert(!bf_labels_beside(test_path("train-images-idx3-ubyte.gz"), path));
    ck_assert_ptr_nonnull(strstr(path, "/train-labels-idx1-ubyte.gz"));
    test_spill(test_path("train-labels-idx1-ubyte"), "", 0); /* not compressed, as the images are */
    ck_assert(bf_labels_beside(test_path("train-images-idx3-ubyte.gz"), path));
    snprintf(want, sizeof want, "%s", test_path("train-labels-idx1-ubyte"));
    ck_assert_str_eq(path, want);
    test_spill(test_path("x-labels.npy"), "", 0);
    ck_assert(bf_labels_beside(test_path("x.npy"), path));
    snprintf(want, sizeof want, "%s", test_path("x-labels.npy"));
    ck_assert_str_eq(path, want);
    ck_assert(!bf_labels_beside(test_path("y.npy"), path) && !bf_labels_beside("text", path));
    ck_assert_str_eq(path, "");
}
END_TEST

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static void save_png(const char *folder, const char *name)
{
    uint8_t pixels[4] = {1, 2, 3, 4};
    char path[300];
    const bf_image im = {.width = 2, .height = 2, .channels = 1, .pixels = pixels};
    snprintf(path, sizeof path, "%s/%s", test_path("pics"), folder);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/%s", test_path("pics"), folder, name);
    OK(bf_png_write(path, &im, err));
}

START_TEST(sub_folders)
{
    char root[128];
    bf_dataset *ds;
    uint32_t label[4];
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS, .labelled = true, .labels = "auto"};
    snprintf(root, sizeof root, "%s", test_path("pics"));
    ck_assert_int_eq(mkdir(root, 0700), 0);
    save_png("cat", "1.png");
    save_png("cat", "2.png");
    save_png("ant-eater", "1.png");
    save_png("ant", "1.png"); /* "ant-eater/..." sorts before "ant/...", the classes the other way round */
    OK(bf_dataset_open(root, &o, &ds, err));
    ck_assert_str_eq(bf_dataset_label_names(ds), "ant, ant-eater, cat");
    ck_assert_uint_eq(bf_dataset_get_info(ds).labels, 3);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 4, 0, &(bf_rows){.labels = label}, err));
    ck_assert(label[0] == 1 && label[1] == 0 && label[2] == 2 && label[3] == 2);
    bf_dataset_free(ds);
    o.label_names = "cat, dog, ant, ant-eater";
    OK(bf_dataset_open(root, &o, &ds, err));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 4, 0, &(bf_rows){.labels = label}, err));
    ck_assert(label[0] == 3 && label[1] == 2 && label[2] == 0 && label[3] == 0);
    bf_dataset_free(ds);
    o.label_names = "cat, dog, ant";
    FAILS(BF_FILE, "\"ant-eater\" is no class: expected cat, dog, ant", bf_dataset_open(root, &o, &ds, err));
    o.label_names = "0..1";
    FAILS(BF_FILE, "has label 2, there are 2", bf_dataset_open(root, &o, &ds, err));
    o.label_names = NULL;
    save_png("a, b", "1.png"); /* cannot be a name in a list */
    OK(bf_dataset_open(root, &o, &ds, err));
    ck_assert_str_eq(bf_dataset_label_names(ds), "0..3");
    bf_dataset_free(ds);
    save_png(".", "top.png");
    FAILS(BF_FILE, "top.png: lies in no sub-folder", bf_dataset_open(root, &o, &ds, err));
}
END_TEST

START_TEST(cifar_bytes)
{
    enum { RECORD = 3073 };
    static unsigned char file[3 * RECORD];
    uint32_t label[3];
    bf_dataset *ds;
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS, .labelled = true, .labels = "auto"};
    file[0] = 9;
    file[2 * RECORD] = 4;
    test_spill(test_path("data_batch_1.bin"), file, 2 * RECORD);
    test_spill(test_path("data_batch_2.bin"), file + 2 * RECORD, RECORD);
    char folder[128];
    snprintf(folder, sizeof folder, "%s", test_path(""));
    OK(bf_dataset_open(folder, &o, &ds, err));
    ck_assert_ptr_nonnull(strstr(bf_dataset_label_names(ds), "airplane, automobile"));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 3, 0, &(bf_rows){.labels = label}, err));
    ck_assert(label[0] == 9 && label[1] == 0 && label[2] == 4);
    bf_dataset_free(ds);
}
END_TEST

/* ---- data sets --------------------------------------------------------------------------------------------------- */

enum { N = 500, D = 3, CLASSES = 7 };

/* Examples whose first value says their number, and whose class is that number modulo CLASSES. */
static bf_dataset *labelled(bf_dataset_options o)
{
    static float x[N * D];
    static uint8_t label[N];
    bf_dataset *ds;
    const bf_array a = {.dtype = BF_F32, .ndim = 2, .dims = {N, D}, .count = N * D, .data = x};
    for (int i = 0; i < N; i++) {
        x[i * D] = (float)i / N;
        label[i] = (uint8_t)(i % CLASSES);
    }
    OK(bf_npy_write(test_path("set.npy"), &a, err));
    save_npy("set-labels.npy", BF_U8, label, N);
    o.transform = BF_TRANSFORM_CONTINUOUS;
    o.labelled = true;
    if (o.label == 0) o.labels = "auto";
    OK(bf_dataset_open(test_path("set.npy"), &o, &ds, err));
    return ds;
}

START_TEST(labels_follow_their_examples)
{
    static float v[64 * D];
    uint32_t label[64];
    bf_dataset *ds = labelled((bf_dataset_options){.seed = 5, .validation = 0.2});
    for (uint64_t at = 0; at < 3 * N; at += 64) {
        OK(bf_dataset_train_rows(ds, at, 64, &(bf_rows){.values = v, .labels = label}, err));
        for (int i = 0; i < 64; i++) ck_assert_uint_eq(label[i], (uint32_t)lroundf(v[i * D] * N) % CLASSES);
    }
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_VALIDATION, 0, 64, 0, &(bf_rows){.values = v, .labels = label}, err));
    for (int i = 0; i < 64; i++) ck_assert_uint_eq(label[i], (uint32_t)lroundf(v[i * D] * N) % CLASSES);
    bf_dataset_free(ds);
    ds = labelled((bf_dataset_options){.label = CLASSES, .label_names = "0..6"}); /* none for all */
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 64, 0, &(bf_rows){.labels = label}, err));
    for (int i = 0; i < 64; i++) ck_assert_uint_eq(label[i], CLASSES);
    bf_dataset_free(ds);
}
END_TEST

/* The share that is left out, anew in every epoch, whatever the batch; never in scoring. */
START_TEST(dropout)
{
    enum { EPOCHS = 40 };
    const double share = 0.3;
    static uint32_t label[N], again[N], index[N];
    uint64_t left_out = 0, both = 0;
    bf_dataset *ds = labelled((bf_dataset_options){.seed = 9, .label_dropout = share});
    bf_dataset *other = labelled((bf_dataset_options){.seed = 9, .label_dropout = share});
    static bool before[N];
    for (uint64_t e = 0; e < EPOCHS; e++) {
        OK(bf_dataset_train_rows(ds, e * N, N, &(bf_rows){.labels = label, .index = index}, err));
        for (uint64_t i = 0; i < N; i += 125)
            OK(bf_dataset_train_rows(other, e * N + i, 125, &(bf_rows){.labels = again + i}, err));
        ck_assert_mem_eq(label, again, sizeof label);
        for (int i = 0; i < N; i++) {
            const bool none = label[i] == CLASSES;
            ck_assert(none || label[i] == index[i] % CLASSES);
            left_out += none;
            both += none && before[index[i]];
            before[index[i]] = none;
        }
    }
    const double n = (double)N * EPOCHS, pairs = (double)N * (EPOCHS - 1);
    ck_assert_double_eq_tol((double)left_out / n, share, 4 * sqrt(share * (1 - share) / n));
    ck_assert_double_eq_tol((double)both / pairs, share * share, 4 * share / sqrt(pairs));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, N, 0, &(bf_rows){.labels = label}, err));
    for (uint32_t i = 0; i < N; i++) ck_assert_uint_eq(label[i], i % CLASSES);
    bf_dataset_free(ds);
    bf_dataset_free(other);
}
END_TEST

static uint32_t word_at(const float *block, uint64_t at)
{
    uint32_t w;
    memcpy(&w, block + at, sizeof w);
    return w;
}

START_TEST(labels_in_blocks)
{
    enum { ITEMS = 31, PARTS = 3 };
    bf_dataset *ds = labelled((bf_dataset_options){.seed = 3, .label_dropout = 0.2, .validation = 0.1});
    const bf_label_block b = bf_label_block_of(ITEMS * D, ITEMS, CLASSES);
    const uint64_t size = bf_dataset_block(ds, ITEMS);
    float *blocks = malloc(PARTS * size * sizeof *blocks), v[ITEMS * D];
    uint32_t label[ITEMS], count;
    uint64_t next;
    ck_assert_ptr_nonnull(blocks);
    ck_assert_uint_eq(size, b.size);
    OK(bf_dataset_train_block(ds, 77, PARTS, ITEMS, blocks, &next, err));
    ck_assert_uint_eq(next, 77 + PARTS * ITEMS);
    for (uint64_t p = 0; p < PARTS; p++) {
        const float *block = blocks + p * size;
        OK(bf_dataset_train_rows(ds, 77 + p * ITEMS, ITEMS, &(bf_rows){.values = v, .labels = label}, err));
        ck_assert_mem_eq(block, v, sizeof v);
        uint32_t seen = 0;
        for (uint32_t i = 0; i < ITEMS; i++) ck_assert_uint_eq(word_at(block, b.label + i), label[i]);
        ck_assert_uint_eq(word_at(block, b.offset), 0);
        for (uint32_t k = 0; k <= CLASSES; k++)
            for (uint32_t i = 0; i < ITEMS; i++)
                if (label[i] == k) ck_assert_uint_eq(word_at(block, b.entry + seen++), i);
        ck_assert_uint_eq(word_at(block, b.offset + CLASSES + 1), ITEMS);
        for (uint32_t k = 0; k <= CLASSES; k++)
            for (uint32_t e = word_at(block, b.offset + k); e < word_at(block, b.offset + k + 1); e++)
                ck_assert_uint_eq(label[word_at(block, b.entry + e)], k);
    }
    OK(bf_dataset_eval_block(ds, BF_SPLIT_VALIDATION, 40, 50, ITEMS, 0, blocks, &count, err));
    ck_assert_uint_eq(count, 10);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_VALIDATION, 40, 10, 0, &(bf_rows){.labels = label}, err));
    for (uint32_t i = 0; i < ITEMS; i++) ck_assert_uint_eq(word_at(blocks, b.label + i), label[i < 9 ? i : 9]);
    free(blocks);
    bf_dataset_free(ds);
}
END_TEST

START_TEST(what_does_not_go_together)
{
    static const uint8_t few[3] = {0, 1, 0};
    bf_dataset *a = labelled((bf_dataset_options){.seed = 1}), *ds;
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS};
    uint32_t label;
    OK(bf_dataset_open(test_path("set.npy"), &o, &ds, err));
    ck_assert_uint_ne(bf_dataset_get_info(a).crc, bf_dataset_get_info(ds).crc); /* labels are part of the data */
    ck_assert_uint_eq(bf_dataset_get_info(ds).labels, 0);
    FAILS(BF_USAGE, "no labels", bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.labels = &label}, err));
    bf_dataset_free(ds);
    bf_dataset_free(a);
    o.labelled = true;
    o.labels = save_npy("few.npy", BF_U8, few, 3);
    FAILS(BF_FILE, "few.npy: 3 labels for the 500 examples", bf_dataset_open(test_path("set.npy"), &o, &ds, err));
    o.labels = "auto";
    save_npy("set-labels.npy", BF_U8, few, 3);
    FAILS(BF_FILE, "3 labels for the 500 examples", bf_dataset_open(test_path("set.npy"), &o, &ds, err));
    remove(test_path("set-labels.npy"));
    FAILS(BF_FILE, "there is no ", bf_dataset_open(test_path("set.npy"), &o, &ds, err));
    o.label_dropout = 1;
    FAILS(BF_USAGE, "label_dropout", bf_dataset_open(test_path("set.npy"), &o, &ds, err));
    o = (bf_dataset_options){.transform = BF_TRANSFORM_TEXT, .length = 2, .labelled = true, .labels = "auto"};
    FAILS(BF_USAGE, "no class labels", bf_dataset_open(test_path("set.npy"), &o, &ds, err));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("labels");
    TCase *t = tcase_create("labels");
    tcase_add_test(t, names);
    tcase_add_test(t, integers_of_every_size);
    tcase_add_test(t, damaged_files);
    tcase_add_test(t, beside);
    tcase_add_test(t, sub_folders);
    tcase_add_test(t, cifar_bytes);
    tcase_add_test(t, labels_follow_their_examples);
    tcase_add_test(t, dropout);
    tcase_add_test(t, labels_in_blocks);
    tcase_add_test(t, what_does_not_go_together);
    suite_add_tcase(s, t);
    return test_main(s);
}
