/* Data sets: transforms, split, order, binarisation, loader, marginal model. */
#include <math.h>

#include "base/philox.h"
#include "base/size.h"
#include "files.h"
#include "io/dataset.h"
#include "io/loader.h"
#include "io/npy.h"
#include "io/text.h"

enum { N = 250, H = 3, W = 5, D = H * W };

/* Example i, element e. */
static uint8_t pixel(uint64_t i, uint64_t e)
{
    return (uint8_t)(i * 7 + e * 31 + i * e);
}

static const char *save_u8(const char *name)
{
    static uint8_t p[N * D];
    const bf_array a = {.dtype = BF_U8, .ndim = 3, .dims = {N, H, W}, .count = N * D, .data = p};
    for (uint64_t i = 0; i < N * D; i++) p[i] = pixel(i / D, i % D);
    const char *path = test_path(name);
    OK(bf_npy_write(path, &a, err));
    return path;
}

static bf_dataset *open_u8(bf_dataset_options o)
{
    bf_dataset *ds = NULL;
    OK(bf_dataset_open(save_u8("u8.npy"), &o, &ds, err));
    return ds;
}

static const char *save_f32(const char *name, const float *x, uint64_t n, uint64_t d)
{
    const bf_array a = {.dtype = BF_F32, .ndim = 2, .dims = {n, d}, .count = n * d, .data = (void *)x};
    const char *path = test_path(name);
    OK(bf_npy_write(path, &a, err));
    return path;
}

START_TEST(transforms_of_pixels)
{
    static uint8_t all[256];
    const bf_array a = {.dtype = BF_U8, .ndim = 2, .dims = {1, 256}, .count = 256, .data = all};
    static float v[256];
    static int32_t k[256];
    bf_dataset *ds;
    for (int p = 0; p < 256; p++) all[p] = (uint8_t)p;
    OK(bf_npy_write(test_path("all.npy"), &a, err));
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS};
    OK(bf_dataset_open(test_path("all.npy"), &o, &ds, err));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.values = v}, err));
    for (int p = 0; p < 256; p++) ck_assert(v[p] == (float)(2.0 * p / 255 - 1));
    ck_assert(v[0] == -1 && v[255] == 1);
    FAILS(BF_USAGE, "no classes", bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.classes = k}, err));
    bf_dataset_free(ds);
    static const uint32_t bins[] = {2, 3, 16, 255, 256};
    for (size_t b = 0; b < BF_COUNT(bins); b++) {
        o = (bf_dataset_options){.transform = BF_TRANSFORM_BINS, .bins = bins[b]};
        OK(bf_dataset_open(test_path("all.npy"), &o, &ds, err));
        ck_assert_uint_eq(bf_dataset_get_info(ds).classes, bins[b]);
        OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.values = v, .classes = k}, err));
        for (int p = 0; p < 256; p++) {
            int expected = (int)floor((double)p * bins[b] / 255 + 1e-9); /* edges are exact fractions */
            if (expected >= (int)bins[b]) expected = (int)bins[b] - 1;
            ck_assert_int_eq(k[p], expected);
            ck_assert_float_eq_tol(v[p], (float)(2 * (expected + 0.5) / bins[b] - 1), 1e-7f);
        }
        bf_dataset_free(ds);
    }
}
END_TEST

START_TEST(transforms_of_floats)
{
    static const float x[] = {-1, -0.51f, -0.49f, 0, 0.49f, 0.5f, 0.99f, 1};
    static const int32_t expected[] = {0, 0, 1, 2, 2, 3, 3, 3};
    float v[8];
    int32_t k[8];
    bf_dataset *ds;
    bf_dataset_options o = {.transform = BF_TRANSFORM_BINS, .bins = 4};
    OK(bf_dataset_open(save_f32("f.npy", x, 2, 4), &o, &ds, err));
    bf_dataset_info info = bf_dataset_get_info(ds);
    ck_assert(info.count == 2 && info.height == 1 && info.width == 4 && info.channels == 1 && info.dims == 4);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 2, 0, &(bf_rows){.values = v, .classes = k}, err));
    ck_assert_mem_eq(k, expected, sizeof k);
    for (int i = 0; i < 8; i++) ck_assert(v[i] == (float)((expected[i] + 0.5) / 2 - 1));
    bf_dataset_free(ds);
    o.transform = BF_TRANSFORM_CONTINUOUS;
    OK(bf_dataset_open(test_path("f.npy"), &o, &ds, err));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 2, 0, &(bf_rows){.values = v}, err));
    ck_assert_mem_eq(v, x, sizeof x);
    bf_dataset_free(ds);
}
END_TEST

START_TEST(refusals)
{
    static const float nan_at_5[] = {0, 0, 0, 0, 0, NAN}, big[] = {0, 0, 0, 1.5f, 0, 0};
    static const uint8_t none[1];
    bf_dataset *ds;
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS};
    FAILS(BF_FILE, "example 1, element 2", bf_dataset_open(save_f32("f.npy", nan_at_5, 2, 3), &o, &ds, err));
    o = (bf_dataset_options){.transform = BF_TRANSFORM_BINS, .bins = 4};
    FAILS(BF_FILE, "example 1, element 0", bf_dataset_open(save_f32("f.npy", big, 2, 3), &o, &ds, err));
    o.transform = BF_TRANSFORM_CONTINUOUS; /* only a warning there */
    OK(bf_dataset_open(test_path("f.npy"), &o, &ds, err));
    bf_dataset_free(ds);
    const bf_array empty = {.dtype = BF_U8, .ndim = 3, .dims = {0, 2, 2}, .data = (void *)none};
    OK(bf_npy_write(test_path("e.npy"), &empty, err));
    FAILS(BF_FILE, "no examples", bf_dataset_open(test_path("e.npy"), &o, &ds, err));
    const bf_array flat = {.dtype = BF_U8, .ndim = 1, .dims = {1}, .count = 1, .data = (void *)none};
    OK(bf_npy_write(test_path("e.npy"), &flat, err));
    FAILS(BF_FILE, "1 dimensions", bf_dataset_open(test_path("e.npy"), &o, &ds, err));
    const bf_array wrong = {.dtype = BF_F64, .ndim = 2, .dims = {3, 1}, .count = 3, .data = (double[]){1, 2, 3}};
    OK(bf_npy_write(test_path("e.npy"), &wrong, err));
    FAILS(BF_FILE, "F64", bf_dataset_open(test_path("e.npy"), &o, &ds, err));
    FAILS(BF_FILE, "PyTorch", bf_dataset_open("tests/golden/bad/truncated.pt", &o, &ds, err));
    FAILS(BF_FILE, "/nowhere", bf_dataset_open("/nowhere", &o, &ds, err));
    save_u8("u8.npy");
    o.transform = BF_TRANSFORM_BINS;
    o.bins = 1;
    FAILS(BF_USAGE, "bins", bf_dataset_open(test_path("u8.npy"), &o, &ds, err));
    o = (bf_dataset_options){.validation = 1};
    FAILS(BF_USAGE, "validation", bf_dataset_open(test_path("u8.npy"), &o, &ds, err));
    o = (bf_dataset_options){.validation = 0.5, .limit = 1};
    FAILS(BF_USAGE, "none for training", bf_dataset_open(test_path("u8.npy"), &o, &ds, err));
}
END_TEST

START_TEST(split_is_fixed)
{
    bf_dataset_options o;
    static uint32_t a[N], b[N];
    bf_dataset_defaults(&o);
    o.validation = 0.1;
    o.seed = 1;
    bf_dataset *ds = open_u8(o);
    bf_dataset_info info = bf_dataset_get_info(ds);
    ck_assert(info.validation == 25 && info.train == 225 && info.count == N);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_VALIDATION, 0, 25, 0, &(bf_rows){.index = a}, err));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_TRAIN, 0, 225, 0, &(bf_rows){.index = a + 25}, err));
    FAILS(BF_USAGE, "has 25", bf_dataset_eval_rows(ds, BF_SPLIT_VALIDATION, 20, 6, 0, &(bf_rows){.index = b}, err));
    bf_dataset_free(ds);
    bool seen[N] = {false};
    for (int i = 0; i < N; i++) {
        ck_assert(!seen[a[i]]);
        seen[a[i]] = true;
        if (i != 0 && i != 25) ck_assert_uint_gt(a[i], a[i - 1]);
    }
    o.seed = 2; /* another run holds out the same examples */
    ds = open_u8(o);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_VALIDATION, 0, 25, 0, &(bf_rows){.index = b}, err));
    ck_assert_mem_eq(a, b, 25 * sizeof *a);
    bf_dataset_free(ds);
    o.limit = 10;
    o.validation = 0.01; /* at least one */
    ds = open_u8(o);
    info = bf_dataset_get_info(ds);
    ck_assert(info.count == 10 && info.validation == 1 && info.train == 9);
    bf_dataset_free(ds);
}
END_TEST

START_TEST(order_depends_on_position_alone)
{
    enum { EPOCHS = 3, TRAIN = 225 };
    static uint32_t whole[EPOCHS * TRAIN], part[EPOCHS * TRAIN];
    static float values[EPOCHS * TRAIN * D], piece[40 * D];
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS, .validation = 0.1, .seed = 5};
    bf_dataset *ds = open_u8(o);
    OK(bf_dataset_train_rows(ds, 0, EPOCHS * TRAIN, &(bf_rows){.index = whole, .values = values}, err));
    for (int e = 0; e < EPOCHS; e++) { /* every epoch is a permutation, and another one */
        int count[N] = {0}, same = 0;
        for (int i = 0; i < TRAIN; i++) {
            ck_assert_int_eq(++count[whole[e * TRAIN + i]], 1);
            same += whole[i] == whole[(e > 0 ? e : 1) * TRAIN + i];
        }
        ck_assert_int_lt(same, 20);
    }
    for (uint64_t at = 0; at + 40 <= EPOCHS * TRAIN; at += 37) { /* any piece, also across epochs and backwards */
        uint64_t from = EPOCHS * TRAIN - 40 - at;
        OK(bf_dataset_train_rows(ds, from, 40, &(bf_rows){.index = part, .values = piece}, err));
        ck_assert_mem_eq(part, whole + from, 40 * sizeof *part);
        ck_assert_mem_eq(piece, values + from * D, sizeof piece);
    }
    for (int i = 0; i < 100; i++) {
        for (int e = 0; e < D; e++) {
            ck_assert(values[i * D + e] == (float)(2.0 * pixel(whole[i], (uint64_t)e) / 255 - 1));
        }
    }
    FAILS(BF_USAGE, "epochs", bf_dataset_train_rows(ds, UINT64_MAX, 1, &(bf_rows){.index = part}, err));
    FAILS(BF_USAGE, "epochs", bf_dataset_train_rows(ds, UINT64_MAX / 2, 1, &(bf_rows){.index = part}, err));
    bf_dataset_free(ds);
    o.seed = 6;
    ds = open_u8(o);
    OK(bf_dataset_train_rows(ds, 0, TRAIN, &(bf_rows){.index = part}, err));
    ck_assert_mem_ne(part, whole, TRAIN * sizeof *part);
    bf_dataset_free(ds);
}
END_TEST

START_TEST(binarisation)
{
    enum { DRAWS = 400 };
    static int32_t k[N * D], again[N * D], row[D], sum[D];
    static uint32_t index[N];
    bf_dataset_options o = {.transform = BF_TRANSFORM_BINARISE, .seed = 9};
    bf_dataset *ds = open_u8(o);
    ck_assert_uint_eq(bf_dataset_get_info(ds).classes, 2);
    /* The draw of each element is the one that the keys say, whatever the batch. */
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, N, 3, &(bf_rows){.classes = k}, err));
    for (uint32_t i = 0; i < N; i += 7) {
        OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, i, 1, 3, &(bf_rows){.classes = row}, err));
        for (uint32_t e = 0; e < D; e++) {
            ck_assert_int_eq(row[e], k[i * D + e]);
            ck_assert_int_eq(row[e], bf_philox_uniform(9, e, i, 3, BF_STREAM_BINARISE) < (float)pixel(i, e) / 255.0f);
        }
    }
    /* Training: the step of the key is the epoch. */
    OK(bf_dataset_train_rows(ds, 3 * N, N, &(bf_rows){.classes = again, .index = index}, err));
    for (int i = 0; i < N; i++) ck_assert_mem_eq(again + i * D, k + index[i] * D, D * sizeof *k);
    /* Fresh draws, with the pixel's level as their mean: 4 standard deviations. */
    for (uint32_t draw = 0; draw < DRAWS; draw++) {
        OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 17, 1, draw, &(bf_rows){.classes = row}, err));
        for (int e = 0; e < D; e++) sum[e] += row[e];
    }
    for (uint64_t e = 0; e < D; e++) {
        double p = pixel(17, e) / 255.0, sd = sqrt(p * (1 - p) / DRAWS);
        ck_assert_double_eq_tol((double)sum[e] / DRAWS, p, 4 * sd + 1e-12);
    }
    float v;
    FAILS(BF_USAGE, "no values", bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.values = &v}, err));
    bf_dataset_free(ds);
    static const float ends[] = {0, 1, 0, 1};
    OK(bf_dataset_open(save_f32("f.npy", ends, 2, 2), &o, &ds, err));
    for (uint32_t draw = 0; draw < 50; draw++) {
        OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 2, draw, &(bf_rows){.classes = k}, err));
        for (int i = 0; i < 4; i++) ck_assert_int_eq(k[i], i % 2);
    }
    bf_dataset_free(ds);
}
END_TEST

START_TEST(flips)
{
    static float v[2 * N * D];
    static uint32_t index[2 * N];
    int mirrored = 0, changed = 0, first[N];
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS, .seed = 1, .flip = true};
    bf_dataset *ds = open_u8(o);
    OK(bf_dataset_train_rows(ds, 0, 2 * N, &(bf_rows){.values = v, .index = index}, err));
    for (uint32_t i = 0; i < 2 * N; i++) {
        int flip = bf_philox_uniform(1, 0, index[i], i / N, BF_STREAM_AUGMENT) < 0.5f;
        for (uint32_t y = 0; y < H; y++) {
            for (uint32_t x = 0; x < W; x++) {
                uint8_t p = pixel(index[i], y * W + (flip ? W - 1 - x : x));
                ck_assert(v[i * D + y * W + x] == (float)(2.0 * p / 255 - 1));
            }
        }
        mirrored += flip;
        if (i < N) first[index[i]] = flip;
        if (i >= N) changed += flip != first[index[i]];
    }
    ck_assert(mirrored > 200 && mirrored < 300); /* 250 expected, deviation 11 */
    ck_assert(changed > 85 && changed < 165);    /* another choice in the next epoch */
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, N, 0, &(bf_rows){.values = v}, err));
    for (uint64_t i = 0; i < N * D; i++) ck_assert(v[i] == (float)(2.0 * pixel(i / D, i % D) / 255 - 1));
    bf_dataset_free(ds);
}
END_TEST

/* RGB pixels stay together when mirrored. */
START_TEST(flip_of_colours)
{
    static uint8_t p[64 * 2 * 3];
    float v[6];
    uint32_t index;
    bf_dataset *ds;
    for (size_t i = 0; i < sizeof p; i++) p[i] = (uint8_t)(i % 6);
    const bf_array a = {.dtype = BF_U8, .ndim = 4, .dims = {64, 1, 2, 3}, .count = sizeof p, .data = p};
    OK(bf_npy_write(test_path("rgb.npy"), &a, err));
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS, .flip = true};
    OK(bf_dataset_open(test_path("rgb.npy"), &o, &ds, err));
    for (uint64_t i = 0; i < 64; i++) {
        OK(bf_dataset_train_rows(ds, i, 1, &(bf_rows){.values = v, .index = &index}, err));
        int flip = bf_philox_uniform(0, 0, index, 0, BF_STREAM_AUGMENT) < 0.5f;
        for (int e = 0; e < 6; e++) ck_assert(v[e] == (float)(2.0 * (flip ? (e + 3) % 6 : e) / 255 - 1));
    }
    bf_dataset_free(ds);
}
END_TEST

START_TEST(checksum)
{
    bf_dataset_options o;
    bf_dataset_defaults(&o);
    bf_dataset *a = open_u8(o);
    o.seed = 77;
    o.transform = BF_TRANSFORM_BINARISE;
    bf_dataset *b = open_u8(o);
    ck_assert_uint_eq(bf_dataset_get_info(a).crc, bf_dataset_get_info(b).crc); /* of the data, not of the options */
    o.limit = N - 1;
    bf_dataset *c = open_u8(o);
    ck_assert_uint_ne(bf_dataset_get_info(a).crc, bf_dataset_get_info(c).crc);
    bf_dataset_free(a);
    bf_dataset_free(b);
    bf_dataset_free(c);
}
END_TEST

START_TEST(loader_is_the_data_set)
{
    enum { ROWS = 32 };
    static float v[ROWS * D], block[ROWS * D];
    static int32_t k[ROWS * D];
    const bool classes = _i == 1;
    const bf_rows direct = {.values = classes ? NULL : v, .classes = classes ? k : NULL};
    const float *batch;
    bf_dataset_options o = {.transform = BF_TRANSFORM_BINS,
                            .bins = 16,
                            .seed = 3,
                            .validation = 0.1,
                            .flip = true,
                            .class_blocks = classes};
    bf_dataset *ds = open_u8(o);
    bf_loader *l;
    uint64_t position, next;
    uint32_t count;
    ck_assert_uint_eq(bf_dataset_block(ds, ROWS), ROWS * D);
    OK(bf_loader_start(ds, 1000, 4, ROWS / 4, &l, err));
    for (uint64_t i = 0; i < 50; i++) {
        OK(bf_loader_next(l, &batch, &position, &next, err));
        ck_assert_uint_eq(position, 1000 + i * ROWS);
        ck_assert_uint_eq(next, position + ROWS);
        OK(bf_dataset_train_rows(ds, position, ROWS, &direct, err)); /* also from this thread, meanwhile */
        for (int e = 0; classes && e < ROWS * D; e++) v[e] = (float)k[e];
        ck_assert_mem_eq(batch, v, sizeof v);
    }
    bf_loader_stop(l);
    OK(bf_dataset_eval_block(ds, BF_SPLIT_VALIDATION, 3, 10, ROWS, 0, block, &count, err));
    ck_assert_uint_eq(count, 7);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_VALIDATION, 3, 7, 0, &direct, err));
    for (int e = 0; e < 7 * D; e++) ck_assert(block[e] == (classes ? (float)k[e] : v[e]));
    for (int i = 0; i < 50; i++) { /* stopped at any moment */
        OK(bf_loader_start(ds, 0, 1, ROWS, &l, err));
        if (i % 3 > 0) OK(bf_loader_next(l, &batch, NULL, &next, err));
        bf_loader_stop(l);
    }
    /* Its last batch, then the failure of the one behind, for ever. */
    uint64_t end = UINT64_C(4294967295) * bf_dataset_get_info(ds).train;
    OK(bf_loader_start(ds, end - ROWS - 1, 1, ROWS, &l, err));
    OK(bf_loader_next(l, &batch, &position, &next, err));
    for (int i = 0; i < 3; i++) FAILS(BF_USAGE, "epochs", bf_loader_next(l, &batch, NULL, &next, err));
    bf_loader_stop(l);
    FAILS(BF_USAGE, "row", bf_loader_start(ds, 0, 1, 0, &l, err));
    bf_loader_stop(NULL);
    bf_dataset_free(ds);
}
END_TEST

static const char *save_text(const char *name, const char *text)
{
    const char *path = test_path(name);
    test_spill(path, text, strlen(text));
    return path;
}

START_TEST(marginal_model)
{
    /* Two places, 2 bins: place 0 is always dark, place 1 bright in 3 of 4. Tested on two examples. */
    static const float train[] = {-1, 1, -1, 1, -1, 1, -1, -1}, test[] = {-1, 1, 1, -1};
    bf_dataset_options o = {.transform = BF_TRANSFORM_BINS, .bins = 2};
    bf_dataset *a, *b, *c;
    double bits, error;
    OK(bf_dataset_open(save_f32("a.npy", train, 4, 2), &o, &a, err));
    OK(bf_dataset_open(save_f32("b.npy", test, 2, 2), &o, &b, err));
    OK(bf_marginal_score(a, b, &bits, &error, err));
    /* (count + 1) / 6: 5/6 and 4/6 for the first example, 1/6 and 2/6 for the second. */
    double first = -(log2(5.0 / 6) + log2(4.0 / 6)) / 2, second = -(log2(1.0 / 6) + log2(2.0 / 6)) / 2;
    ck_assert_double_eq_tol(bits, (first + second) / 2, 1e-12);
    ck_assert_double_eq_tol(error, fabs(second - first) / 2, 1e-12);
    o.transform = BF_TRANSFORM_CONTINUOUS;
    OK(bf_dataset_open(test_path("b.npy"), &o, &c, err));
    FAILS(BF_USAGE, "marginal", bf_marginal_score(a, c, &bits, &error, err));
    FAILS(BF_USAGE, "marginal", bf_marginal_score(c, c, &bits, &error, err));
    bf_dataset_free(a);
    bf_dataset_free(b);
    bf_dataset_free(c);
}
END_TEST

START_TEST(marginal_of_a_text)
{
    /* One table for all places: of the eight characters six are a, whatever place of a window they are at. */
    bf_dataset_options o = {.transform = BF_TRANSFORM_TEXT, .length = 2, .vocabulary = "ab"};
    bf_dataset *a, *b;
    double bits, error;
    OK(bf_dataset_open(save_text("a.txt", "aababaaa"), &o, &a, err));
    OK(bf_dataset_open(save_text("b.txt", "abbb"), &o, &b, err));
    OK(bf_marginal_score(a, b, &bits, &error, err));
    const double first = -(log2(7.0 / 10) + log2(3.0 / 10)) / 2, second = -log2(3.0 / 10);
    ck_assert_double_eq_tol(bits, (first + second) / 2, 1e-12);
    ck_assert_double_eq_tol(error, fabs(second - first) / 2, 1e-12);
    bf_dataset_free(b);
    o.stride = 1; /* the windows ab, bb, bb: the first counts twice as much */
    OK(bf_dataset_open(test_path("b.txt"), &o, &b, err));
    OK(bf_marginal_score(a, b, &bits, &error, err));
    ck_assert_double_eq_tol(bits, first / 2 + second / 2, 1e-12);
    bf_dataset_free(a);
    bf_dataset_free(b);
}
END_TEST

START_TEST(text_windows)
{
    enum { LENGTH = 10, CHARACTERS = 1000 };
    static char text[CHARACTERS + 1];
    static int32_t k[CHARACTERS], piece[LENGTH];
    static uint32_t index[CHARACTERS / LENGTH], part[7];
    bf_dataset *ds;
    for (int i = 0; i < CHARACTERS; i++) text[i] = " abcdefghijklmnopqrstuvwxyz"[(i * i + i / 7) % 27];
    bf_dataset_options o = {.transform = BF_TRANSFORM_TEXT, .length = LENGTH, .validation = 0.05, .test = 0.05};
    OK(bf_dataset_open(save_text("t.txt", text), &o, &ds, err));
    bf_dataset_info info = bf_dataset_get_info(ds);
    ck_assert(info.train == 90 && info.validation == 5 && info.classes == 27 && info.width == LENGTH && !info.values);
    ck_assert_str_eq(bf_dataset_vocabulary(ds), "text8");
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_VALIDATION, 0, 5, 0, &(bf_rows){.classes = k, .index = index}, err));
    for (int i = 0; i < 5 * LENGTH; i++) ck_assert_int_eq(k[i], text[900 + i] == ' ' ? 0 : text[900 + i] - 'a' + 1);
    for (uint32_t i = 0; i < 5; i++) ck_assert_uint_eq(index[i], 900 + i * LENGTH);
    bool odd = false;
    for (uint64_t epoch = 0; epoch < 3; epoch++) { /* any offset of the training part, and nothing behind it */
        OK(bf_dataset_train_rows(ds, 90 * epoch, 90, &(bf_rows){.classes = k, .index = index}, err));
        for (int i = 0; i < 90; i++) {
            ck_assert_uint_le(index[i], 900 - LENGTH);
            odd = odd || index[i] % LENGTH != 0;
            for (uint32_t e = 0; e < LENGTH; e++) {
                const char c = text[index[i] + e];
                ck_assert_int_eq(k[i * LENGTH + (int)e], c == ' ' ? 0 : c - 'a' + 1);
            }
        }
    }
    ck_assert(odd);
    OK(bf_dataset_train_rows(ds, 180 + 30, 7, &(bf_rows){.index = part}, err)); /* whatever the batch */
    ck_assert_mem_eq(part, index + 30, sizeof part);
    bf_dataset_free(ds);
    o.test_part = true;
    o.validation = 0;
    OK(bf_dataset_open(test_path("t.txt"), &o, &ds, err));
    ck_assert_uint_eq(bf_dataset_get_info(ds).count, 5);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 4, 1, 0, &(bf_rows){.classes = piece, .index = index}, err));
    ck_assert_uint_eq(index[0], 990);
    for (int e = 0; e < LENGTH; e++) ck_assert_int_eq(piece[e], text[990 + e] == ' ' ? 0 : text[990 + e] - 'a' + 1);
    FAILS(BF_USAGE, "has 5", bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 5, 1, 0, &(bf_rows){.classes = piece}, err));
    bf_dataset_free(ds);
}
END_TEST

START_TEST(text_windows_that_overlap)
{
    enum { LENGTH = 4, STRIDE = 3 };
    int32_t k[3 * LENGTH];
    bf_dataset *ds;
    bf_dataset_options o = {.transform = BF_TRANSFORM_TEXT, .length = LENGTH, .stride = STRIDE, .test = 0.2};
    OK(bf_dataset_open(save_text("o.txt", "abcdefghijklmnop"), &o, &ds, err)); /* the last 3 are for test */
    ck_assert_uint_eq(bf_dataset_get_info(ds).count, 4);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 1, 3, 0, &(bf_rows){.classes = k}, err));
    for (int i = 0; i < 3 * LENGTH; i++) ck_assert_int_eq(k[i], 1 + STRIDE * (1 + i / LENGTH) + i % LENGTH);
    uint64_t next = 0;
    for (uint64_t i = 0; i < 4; i++) { /* every character once */
        ck_assert_uint_eq(bf_dataset_offset(ds, i), next);
        next += LENGTH - bf_dataset_overlap(ds, i);
    }
    ck_assert_uint_eq(next, 13);
    bf_dataset_free(ds);
    o.limit = 2;
    OK(bf_dataset_open(test_path("o.txt"), &o, &ds, err));
    ck_assert_uint_eq(bf_dataset_get_info(ds).count, 2);
    bf_dataset_free(ds);
    o.stride = LENGTH + 1;
    FAILS(BF_USAGE, "stride of 5", bf_dataset_open(test_path("o.txt"), &o, &ds, err));
    o = (bf_dataset_options){.transform = BF_TRANSFORM_BINS, .bins = 2, .stride = 1};
    FAILS(BF_USAGE, "stride of 1", bf_dataset_open(test_path("b.npy"), &o, &ds, err));
}
END_TEST

START_TEST(vocabularies)
{
    int32_t k[8];
    char bytes[4];
    bf_vocabulary v;
    bf_dataset *ds;
    bf_dataset_options o = {.transform = BF_TRANSFORM_TEXT, .length = 4, .vocabulary = "learned"};
    OK(bf_dataset_open(save_text("u.txt", "b\xc3\xa9"
                                          "a\xf0\x9f\x98\x80"),
                       &o, &ds, err));
    ck_assert_str_eq(bf_dataset_vocabulary(ds), "ab\xc3\xa9\xf0\x9f\x98\x80");
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.classes = k}, err));
    ck_assert(k[0] == 1 && k[1] == 2 && k[2] == 0 && k[3] == 3);
    OK(bf_vocabulary_parse(bf_dataset_vocabulary(ds), &v, err));
    ck_assert(v.n == 4 && bf_vocabulary_put(&v, 3, bytes) == 4 && memcmp(bytes, "\xf0\x9f\x98\x80", 4) == 0);
    ck_assert(bf_vocabulary_put(&v, 4, bytes) == 0 && bf_vocabulary_put(&v, -1, bytes) == 0);
    bf_dataset_free(ds);
    o.vocabulary = "text8";
    OK(bf_dataset_open(save_text("n.txt", "abcd\n"), &o, &ds, err)); /* the line end of an editor is no data */
    ck_assert_uint_eq(bf_dataset_get_info(ds).count, 1);
    bf_dataset_free(ds);
    FAILS(BF_FILE, "line 1: the line end", bf_dataset_open(save_text("n.txt", "ab\ncd"), &o, &ds, err));
    FAILS(BF_FILE, "'X'", bf_dataset_open(save_text("n.txt", "abXcd"), &o, &ds, err));
    FAILS(BF_FILE, "n.txt",
          bf_dataset_open(save_text("n.txt", "ab\xff"
                                             "cd"),
                          &o, &ds, err));
    FAILS(BF_FILE, "not UTF-8", bf_dataset_open(save_text("n.txt", "abcd\xc3"), &o, &ds, err));
    FAILS(BF_FILE, "not UTF-8",
          bf_dataset_open(save_text("n.txt", "a\xed\xa0\x80"
                                             "bcd"),
                          &o, &ds, err));
    FAILS(BF_FILE, "is empty", bf_dataset_open(save_text("n.txt", ""), &o, &ds, err));
    FAILS(BF_FILE, "too few", bf_dataset_open(save_text("n.txt", "abc"), &o, &ds, err));
    FAILS(BF_FILE, "a folder", bf_dataset_open("tests", &o, &ds, err));
    FAILS(BF_FILE, "gzip",
          bf_dataset_open(save_text("n.txt", "\x1f\x8b"
                                             "abcdef"),
                          &o, &ds, err));
    o.vocabulary = "letters"; /* reads "a bc d " */
    OK(bf_dataset_open(save_text("n.txt", "\xe2\x80\x9c"
                                          "a, Bc\r\n7 d!\n"),
                       &o, &ds, err));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.classes = k}, err));
    ck_assert(k[0] == 1 && k[1] == 0 && k[2] == 2 && k[3] == 3 && bf_dataset_get_info(ds).classes == 27);
    bf_dataset_free(ds);
    o.length = 7;
    OK(bf_dataset_open(test_path("n.txt"), &o, &ds, err));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.classes = k}, err));
    ck_assert(k[4] == 0 && k[5] == 4 && k[6] == 0);
    bf_dataset_free(ds);
    o.length = 8;
    FAILS(BF_FILE, "too few", bf_dataset_open(test_path("n.txt"), &o, &ds, err));
    o.length = 4;
    o.vocabulary = "bytes";
    OK(bf_dataset_open(save_text("n.txt", "ab\xff\n"), &o, &ds, err));
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.classes = k}, err));
    ck_assert(k[0] == 'a' && k[2] == 255 && k[3] == '\n' && bf_dataset_get_info(ds).classes == 256);
    bf_dataset_free(ds);
    o.vocabulary = "ba";
    FAILS(BF_USAGE, "ascending", bf_dataset_open(test_path("n.txt"), &o, &ds, err));
    o.transform = BF_TRANSFORM_CONTINUOUS;
    FAILS(BF_FILE, "expected a data set", bf_dataset_open(test_path("n.txt"), &o, &ds, err));
}
END_TEST

/* `expected`: classes, '.' for a hole. */
static void check_holes(const char *given, bool file, const char *vocabulary, const char *hole, const char *expected)
{
    bf_array a;
    const bool bytes = strcmp(vocabulary, "bytes") == 0;
    OK(bf_text_with_holes(given, file, vocabulary, hole, &a, err));
    const uint16_t *k = a.data;
    ck_assert_uint_eq(a.count, strlen(expected));
    for (uint64_t i = 0; i < a.count; i++)
        ck_assert_int_eq(k[i], expected[i] == '.' ? BF_TEXT_HOLE : bytes ? expected[i] : expected[i] - '0');
    bf_array_free(&a);
}

START_TEST(texts_with_holes)
{
    bf_array a;
    check_holes("_ a?b__", false, "text8", NULL, ".01.2..");
    check_holes("  A, _ B", false, "letters", NULL, "10.02");
    check_holes("a?_c", false, "?abc", NULL, "10.3"); /* what the model knows is no hole */
    check_holes("a?_c", false, "?_abc", "?", "2.14");
    check_holes("a\xc3\xa9", false, "abc", "\xc3\xa9", "0.");
    check_holes(save_text("h.txt", "ab_\n"), true, "abc", NULL, "01.");
    check_holes("x_?", false, "bytes", "?", "x_.");
    FAILS(BF_USAGE, "knows both", bf_text_with_holes("a_", false, "?_a", NULL, &a, err));
    FAILS(BF_USAGE, "knows both", bf_text_with_holes("a_", false, "bytes", NULL, &a, err));
    FAILS(BF_USAGE, "one character", bf_text_with_holes("a_", false, "abc", "xy", &a, err));
    FAILS(BF_USAGE, "one character", bf_text_with_holes("a_", false, "abc", "", &a, err));
    FAILS(BF_USAGE, "among bytes", bf_text_with_holes("a_", false, "bytes", "\xc3\xa9", &a, err));
    FAILS(BF_USAGE, "the given text: line 1: 'D'", bf_text_with_holes("aD_", false, "abc", NULL, &a, err));
    FAILS(BF_USAGE, "not UTF-8", bf_text_with_holes("a\xff_", false, "abc", NULL, &a, err));
    FAILS(BF_USAGE, "0 characters", bf_text_with_holes("", false, "abc", NULL, &a, err));
    FAILS(BF_FILE, "h.txt: line 1: 'b'", bf_text_with_holes(test_path("h.txt"), true, "acd", NULL, &a, err));
}
END_TEST

START_TEST(texts_are_described)
{
    bf_text_info i;
    OK(bf_text_describe(save_text("d.txt", "ab c\n"), &i, err));
    ck_assert(i.characters == 5 && i.lines == 1 && i.different == 5 && i.text8 && i.learned);
    ck_assert_str_eq(i.vocabulary, "\n abc");
    OK(bf_text_describe(save_text("d.txt", "ab\nc\xc3\xa9"), &i, err));
    ck_assert(i.characters == 5 && i.lines == 2 && i.different == 5 && !i.text8 && i.learned);
    OK(bf_text_describe(save_text("d.txt", "aaa"), &i, err));
    ck_assert(i.different == 1 && i.text8 && !i.learned && i.vocabulary[0] == '\0');
    FAILS(BF_FILE, "is empty", bf_text_describe(save_text("d.txt", ""), &i, err));
    FAILS(BF_FILE, "line 2, byte 3 of the file", bf_text_describe(save_text("d.txt", "ab\n\xff"), &i, err));
}
END_TEST

START_TEST(cifar_batches)
{
    enum { IMAGE = 3072, RECORD = IMAGE + 1 };
    static unsigned char file[3 * RECORD];
    static float v[3 * IMAGE];
    char folder[128];
    bf_dataset *ds;
    bf_dataset_options o = {.transform = BF_TRANSFORM_CONTINUOUS};
    for (size_t i = 0; i < sizeof file; i++) file[i] = (unsigned char)(i % RECORD ? i * 7 + i / 1000 : i / RECORD);
    test_spill(test_path("data_batch_1.bin"), file, 2 * RECORD);
    test_spill(test_path("data_batch_2.bin"), file + 2 * RECORD, RECORD);
    snprintf(folder, sizeof folder, "%s", test_path(""));
    OK(bf_dataset_open(folder, &o, &ds, err));
    const bf_dataset_info info = bf_dataset_get_info(ds);
    ck_assert(info.count == 3 && info.height == 32 && info.width == 32 && info.channels == 3);
    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 3, 0, &(bf_rows){.values = v}, err));
    for (size_t i = 0; i < 3; i++)
        for (size_t e = 0; e < IMAGE; e++)
            ck_assert(v[i * IMAGE + e] == (float)(2.0 * file[i * RECORD + 1 + e % 3 * 1024 + e / 3] / 255 - 1));
    bf_dataset_free(ds);
    OK(bf_dataset_open(test_path("data_batch_2.bin"), &o, &ds, err));
    ck_assert_uint_eq(bf_dataset_get_info(ds).count, 1);
    bf_dataset_free(ds);
    test_spill(test_path("data_batch_2.bin"), file, RECORD - 1);
    FAILS(BF_FILE, "data_batch_2.bin", bf_dataset_open(folder, &o, &ds, err));
    test_spill(test_path("data_batch_2.bin"), "", 0);
    FAILS(BF_FILE, "0 bytes", bf_dataset_open(test_path("data_batch_2.bin"), &o, &ds, err));
    file[RECORD] = 10;
    test_spill(test_path("data_batch_1.bin"), file, 2 * RECORD);
    FAILS(BF_FILE, "record 1 has label 10", bf_dataset_open(test_path("data_batch_1.bin"), &o, &ds, err));
    FAILS(BF_FILE, "none.bin", bf_dataset_open(test_path("none.bin"), &o, &ds, err));
}
END_TEST

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Cells, what is known and what is given; which cells are given depends on seed, epoch and row alone. */
START_TEST(tables)
{
    enum { TABLE = 40, CELLS = 3, WIDTH = 3 + 3 + 3 + 5 };
    char text[2048] = "size,word,flag\n";
    static float a[TABLE * WIDTH], b[TABLE * WIDTH];
    uint32_t index[TABLE];
    const char *path = test_path("rows.csv");
    bf_dataset_options o = {.transform = BF_TRANSFORM_TABLE,
                            .seed = 7,
                            .validation = 0.25,
                            .given = 1,
                            .table = {.missing = "", .levels = 4, .quantiles = true, .bins = true}};
    bf_dataset *ds, *same;
    for (int i = 0; i < TABLE; i++)
        sprintf(text + strlen(text), "%.1f,%c,%s\n", i * 1.5, 'p' + i % 3, i % 4 == 1 ? "" : i % 2 ? "yes" : "no");
    test_spill(path, text, strlen(text));
    OK(bf_dataset_open(path, &o, &ds, err));
    const bf_dataset_info info = bf_dataset_get_info(ds);
    ck_assert(info.table && info.values && info.count == TABLE && info.dims == CELLS && info.row == WIDTH);
    ck_assert(info.train == 30 && info.validation == 10 && info.width == CELLS);
    ck_assert_uint_eq(bf_dataset_block(ds, 5), 5 * WIDTH);
    const float *cells = bf_dataset_cells(ds, 1); /* bins of 4, flag, word of 3 */
    ck_assert(cells[0] == 0 && isnan(cells[1]) && cells[2] == 1);

    OK(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, TABLE, 0, &(bf_rows){.values = a}, err));
    for (int i = 0; i < TABLE; i++) {
        const float *row = a + i * WIDTH;
        ck_assert_float_eq_tol(row[0], 2 * ((float)(i / 10) + 0.5f) / 4 - 1, 1e-6f);
        ck_assert(isnan(row[1]) == (i % 4 == 1) && row[2] == (float)(i % 3));
        for (int k = 0; k < 3; k++) ck_assert(row[3 + k] == (k == 1 && i % 4 == 1 ? 0.0f : 1.0f));
        for (int k = 6; k < WIDTH; k++) ck_assert_float_eq(row[k], 0);
    }
    int given = 0;
    OK(bf_dataset_train_rows(ds, 60, 30, &(bf_rows){.values = a, .index = index}, err)); /* epoch 2 */
    OK(bf_dataset_open(path, &o, &same, err));
    for (uint32_t i = 0; i < 30; i++) { /* one by one from another data set: the same bits */
        OK(bf_dataset_train_rows(same, 60 + i, 1, &(bf_rows){.values = b}, err));
        ck_assert_mem_eq(a + i * WIDTH, b, WIDTH * sizeof *b);
        const float *row = a + i * WIDTH, *x = bf_dataset_cells(ds, index[i]);
        for (int k = 0; k < 3; k++) given += row[6 + k] == 1;
        ck_assert(row[9] == (row[6] == 1 ? row[0] : 0));
        ck_assert(row[10] == (row[7] == 1 ? 2 * x[1] - 1 : 0) && !(row[7] == 1 && isnan(x[1])));
        for (int k = 0; k < 3; k++) ck_assert(row[11 + k] == (row[8] == 1 && x[2] == (float)k ? 1.0f : 0.0f));
    }
    ck_assert_int_ge(given, 20); /* of 82 cells, half in the mean */
    ck_assert_int_le(given, 65);
    bf_dataset_free(same);
    OK(bf_dataset_train_rows(ds, 90, 30, &(bf_rows){.values = b}, err));
    ck_assert_mem_ne(a, b, sizeof(float) * 30 * WIDTH);

    /* the same columns for another file; a limit; classes instead of levels */
    test_spill(test_path("more.csv"), "flag,word,size\nno,q,99\nyes,p,\n,r,2\n", 38);
    bf_dataset_options other = o;
    other.schema = bf_dataset_schema(ds);
    other.validation = 0;
    other.limit = 2;
    other.classes = true;
    OK(bf_dataset_open(test_path("more.csv"), &other, &same, err));
    ck_assert_uint_eq(bf_dataset_get_info(same).count, 2);
    OK(bf_dataset_eval_rows(same, BF_SPLIT_ALL, 0, 2, 0, &(bf_rows){.values = b}, err));
    ck_assert(b[0] == 3 && b[1] == 0 && b[2] == 1 && isnan(b[WIDTH]));
    bf_dataset_free(same);
    bf_dataset_free(ds);
    FAILS(BF_FILE, "none.csv", bf_dataset_open(test_path("none.csv"), &o, &ds, err));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dataset");
    TCase *c = tcase_create("dataset");
    tcase_add_test(c, transforms_of_pixels);
    tcase_add_test(c, transforms_of_floats);
    tcase_add_test(c, refusals);
    tcase_add_test(c, split_is_fixed);
    tcase_add_test(c, order_depends_on_position_alone);
    tcase_add_test(c, binarisation);
    tcase_add_test(c, flips);
    tcase_add_test(c, flip_of_colours);
    tcase_add_test(c, checksum);
    tcase_add_loop_test(c, loader_is_the_data_set, 0, 2);
    tcase_add_test(c, marginal_model);
    tcase_add_test(c, marginal_of_a_text);
    tcase_add_test(c, text_windows);
    tcase_add_test(c, text_windows_that_overlap);
    tcase_add_test(c, vocabularies);
    tcase_add_test(c, texts_with_holes);
    tcase_add_test(c, texts_are_described);
    tcase_add_test(c, cifar_batches);
    tcase_add_test(c, tables);
    tcase_set_timeout(c, 30);
    suite_add_tcase(s, c);
    return test_main(s);
}
