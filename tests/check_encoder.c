/* Networks of features against plain ones, and measures of samples of pictures and texts from outside. */
#include <math.h>

#include "base/philox.h"
#include "io/image.h"
#include "io/safetensors.h"
#include "run/encoder.h"
#include "toy.h"

/* ---- plain layers ------------------------------------------------------------------------------------------------ */

/* x [h,w,ci], weight [co,ci,k,k] -> y [ho,wo,co]; b may be NULL */
static void conv(const double *x, int h, int w, int ci, const float *weight, const float *b, int co, int k, int stride,
                 bool relu, double *y)
{
    const int ho = (h + stride - 1) / stride, wo = (w + stride - 1) / stride;
    for (int i = 0; i < ho * wo * co; i++) {
        const int oc = i % co, ox = i / co % wo, oy = i / co / wo;
        double sum = b ? (double)b[oc] : 0;
        for (int c = 0; c < ci; c++)
            for (int t = 0; t < k * k; t++) {
                const int py = oy * stride + t / k - k / 2, px = ox * stride + t % k - k / 2;
                if (py < 0 || py >= h || px < 0 || px >= w) continue;
                sum += x[(py * w + px) * ci + c] * (double)weight[(oc * ci + c) * k * k + t];
            }
        y[i] = relu && sum < 0 ? 0 : sum;
    }
}

/* A flattened picture x [pixels, c] is read as [c, pixels]. */
static void linear(const double *x, int pixels, int c, const float *weight, const float *b, int out, bool relu,
                   double *y)
{
    for (int o = 0; o < out; o++) {
        double sum = b ? (double)b[o] : 0;
        for (int i = 0; i < pixels * c; i++) sum += x[i] * (double)weight[o * pixels * c + i % c * pixels + i / c];
        y[o] = relu && sum < 0 ? 0 : sum;
    }
}

static void compare(const char *what, const float *got, const double *want, int n)
{
    double size = 0;
    for (int i = 0; i < n; i++) size = fmax(size, fabs(want[i]));
    ck_assert(size > 0);
    for (int i = 0; i < n; i++)
        ck_assert_msg(fabs((double)got[i] - want[i]) < 1e-5 * size, "%s: feature %d is %g, not %g", what, i,
                      (double)got[i], want[i]);
}

static float *random_floats(size_t n, uint32_t seed)
{
    float *x = malloc(n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    test_fill(x, n, seed);
    return x;
}

/* ---- random ------------------------------------------------------------------------------------------------------ */

static float *weights(int index, int in, int out, bool last)
{
    float *w = malloc((size_t)(in * out) * sizeof *w);
    const double scale = sqrt((last ? 1.0 : 2.0) / in);
    bf_philox_normals(BF_ENCODER_SEED, (uint32_t)index, 0, BF_STREAM_INIT, w, (uint64_t)(in * out));
    for (int i = 0; i < in * out; i++) w[i] = (float)(scale * (double)w[i]);
    return w;
}

START_TEST(random_features)
{
    static const uint32_t shape[] = {9, 7, 3}; /* 5 x 4 x 16, 3 x 2 x 32 */
    enum { BATCH = 5, ROWS = 3, NUMBERS = 9 * 7 * 3, F = 128 };
    TEST_BOTH(ctx)
    {
        bf_encoder *e = NULL;
        float *x = random_floats(BATCH * NUMBERS, 1), got[BATCH * F];
        float *w[] = {weights(0, 27, 16, false), weights(1, 9 * 16, 32, false), weights(2, 192, F, true)};
        OK(bf_encoder_new(ctx, NULL, shape, BATCH, &e, err));
        ck_assert_uint_eq(bf_encoder_features(e), F);
        OK(bf_encoder_run(e, x, ROWS, got, err));
        for (int r = 0; r < ROWS; r++) {
            double in[NUMBERS], a[5 * 4 * 16], b[3 * 2 * 32], want[F];
            for (int i = 0; i < NUMBERS; i++) in[i] = (double)x[r * NUMBERS + i];
            conv(in, 9, 7, 3, w[0], NULL, 16, 3, 2, true, a);
            conv(a, 5, 4, 16, w[1], NULL, 32, 3, 2, true, b);
            linear(b, 6, 32, w[2], NULL, F, false, want);
            compare("random", got + r * F, want, F);
        }
        bf_encoder_free(e);
        free(x);
        for (int i = 0; i < 3; i++) free(w[i]);
    }
}
END_TEST

/* ---- from files -------------------------------------------------------------------------------------------------- */

typedef struct tensors {
    bf_st_item item[8];
    size_t n;
} tensors;

static const float *put(tensors *t, const char *name, uint64_t a, uint64_t b, uint64_t k)
{
    bf_st_item *i = &t->item[t->n];
    const uint64_t count = a * (b ? b : 1) * (k ? k * k : 1);
    float *x = random_floats(count, 20 + (uint32_t)t->n);
    *i = (bf_st_item){.name = name, .dtype = BF_F32, .ndim = k ? 4 : b ? 2 : 1, .dims = {a, b, k, k}, .data = x};
    t->n++;
    return x;
}

static const char *spill(tensors *t, const char *strides)
{
    const char *path = test_path("encoder.safetensors");
    const bf_st_meta meta = {"strides", strides};
    OK(bf_st_write(path, t->item, t->n, &meta, strides ? 1 : 0, err));
    for (size_t i = 0; i < t->n; i++) free((void *)(uintptr_t)t->item[i].data);
    t->n = 0;
    return path;
}

/* 3x3 with stride 1, 1x1 with stride 2, means, two linear layers; written out of order. */
START_TEST(layers_of_a_file)
{
    static const uint32_t shape[] = {6, 5, 2};
    enum { BATCH = 4, NUMBERS = 60 };
    TEST_BOTH(ctx)
    {
        tensors t = {.n = 0};
        bf_encoder *e = NULL;
        const float *l2 = put(&t, "head.10.weight", 5, 6, 0), *c1 = put(&t, "body.0.weight", 3, 2, 3),
                    *c2 = put(&t, "body.2.weight", 7, 3, 1), *b2 = put(&t, "body.2.bias", 7, 0, 0),
                    *l1 = put(&t, "head.9.weight", 6, 7, 0), *b1 = put(&t, "head.9.bias", 6, 0, 0);
        float *x = random_floats(BATCH * NUMBERS, 2), got[BATCH * 5];
        double want[BATCH * 5];
        for (int r = 0; r < BATCH; r++) {
            double in[NUMBERS], a[6 * 5 * 3], b[3 * 3 * 7], mean[7] = {0}, h[6];
            for (int i = 0; i < NUMBERS; i++) in[i] = (double)x[r * NUMBERS + i];
            conv(in, 6, 5, 2, c1, NULL, 3, 3, 1, true, a);
            conv(a, 6, 5, 3, c2, b2, 7, 1, 2, true, b);
            for (int i = 0; i < 9 * 7; i++) mean[i % 7] += b[i] / 9;
            linear(mean, 1, 7, l1, b1, 6, true, h);
            linear(h, 1, 6, l2, NULL, 5, false, want + r * 5);
        }
        OK(bf_encoder_new(ctx, spill(&t, "1,2"), shape, BATCH, &e, err));
        ck_assert_uint_eq(bf_encoder_features(e), 5);
        OK(bf_encoder_run(e, x, BATCH, got, err));
        compare("file", got, want, BATCH * 5);
        bf_encoder_free(e);
        free(x);
    }
}
END_TEST

/* Convolutions alone: the means of the last one, which has no ReLU. */
START_TEST(convolutions_alone)
{
    static const uint32_t shape[] = {5, 5, 1};
    TEST_BOTH(ctx)
    {
        tensors t = {.n = 0};
        bf_encoder *e = NULL;
        const float *w = put(&t, "0.weight", 4, 1, 3), *b = put(&t, "0.bias", 4, 0, 0);
        float *x = random_floats(25, 3), got[4];
        double in[25], y[9 * 4], want[4] = {0};
        for (int i = 0; i < 25; i++) in[i] = (double)x[i];
        conv(in, 5, 5, 1, w, b, 4, 3, 2, false, y);
        for (int i = 0; i < 36; i++) want[i % 4] += y[i] / 9;
        OK(bf_encoder_new(ctx, spill(&t, NULL), shape, 1, &e, err));
        OK(bf_encoder_run(e, x, 1, got, err));
        compare("means", got, want, 4);
        bf_encoder_free(e);
        free(x);
    }
}
END_TEST

static void refuse(const char *part, const char *path)
{
    static const uint32_t shape[] = {6, 5, 2};
    bf_encoder *e = NULL;
    bf_ctx *ctx = test_ctx(test_class_on(BF_CLASS_CPU) ? BF_CLASS_CPU : BF_CLASS_WIDE);
    FAILS(BF_FILE, part, bf_encoder_new(ctx, path, shape, 2, &e, err));
    ck_assert_ptr_null(e);
}

START_TEST(other_files_are_refused)
{
    tensors t = {.n = 0};
    put(&t, "0.weight", 3, 2, 5);
    refuse("only 3 x 3 and 1 x 1", spill(&t, NULL));
    put(&t, "1.weight", 4, 0, 0);
    refuse("no convolution and no linear layer", spill(&t, NULL));
    put(&t, "conv.weight", 3, 2, 3);
    refuse("no number at its end", spill(&t, NULL));
    put(&t, "0.weight", 3, 2, 3), put(&t, "0.running_mean", 3, 0, 0);
    refuse("'0.running_mean' belongs to no", spill(&t, NULL));
    put(&t, "a.0.weight", 3, 2, 3), put(&t, "b.0.weight", 3, 3, 3);
    refuse("the same number", spill(&t, NULL));
    put(&t, "0.weight", 3, 1, 3);
    refuse("reads 1 numbers, there are 2 channels", spill(&t, NULL));
    put(&t, "0.weight", 3, 2, 3), put(&t, "1.weight", 4, 4, 0);
    refuse("reads 4 numbers, there are 27", spill(&t, NULL));
    put(&t, "0.weight", 3, 2, 3), put(&t, "0.bias", 4, 0, 0);
    refuse("'0.bias' does not have the 3", spill(&t, NULL));
    put(&t, "0.weight", 1025, 2, 1);
    refuse("1025 features, at most 1024", spill(&t, NULL));
    put(&t, "0.weight", 3, 2, 3);
    refuse("strides \"2,2\"", spill(&t, "2,2"));
    put(&t, "0.weight", 3, 2, 3);
    refuse("strides \"3\"", spill(&t, "3"));
    put(&t, "0.bias", 3, 0, 0);
    refuse("'0.bias' belongs to no", spill(&t, NULL));
}
END_TEST

/* ---- from outside ------------------------------------------------------------------------------------------------ */

static bfncl_samples_options options(const char *samples)
{
    bfncl_samples_options o;
    bfncl_samples_defaults(&o);
    o.model = reference();
    o.samples = samples;
    o.device = device();
    return o;
}

START_TEST(samples_that_are_the_data)
{
    const char *data = test_path("data.npy"), *png = test_path("near.png");
    bfncl_samples_options o = options(data);
    bfncl_samples_result r;
    bf_image im = {0};
    o.neighbours = png;
    OK(bfncl_eval_samples(&o, &r, err));
    ck_assert_int_eq(r.kind, BFNCL_SAMPLES_PICTURES);
    ck_assert(r.pictures.samples == EXAMPLES && r.pictures.examples == EXAMPLES);
    ck_assert_str_eq(r.pictures.features, "random");
    ck_assert(r.pictures.distance < 1e-4 && r.pictures.nearest == 0);
    ck_assert(r.pictures.stderr_distance >= 0);
    /* The first neighbour of every sample is the sample. */
    OK(bf_png_read(png, 0, &im, err));
    const uint32_t cell = 8 * SIDE + 2; /* scale 8 */
    ck_assert_uint_eq(im.width, 10 * cell + 2);
    for (uint32_t y = 0; y < im.height; y++)
        ck_assert_int_eq(memcmp(im.pixels + y * im.width, im.pixels + y * im.width + 2 * cell, cell), 0);
    bf_image_free(&im);
}
END_TEST

START_TEST(samples_of_a_model)
{
    bfncl_sample_options s;
    const char *out[] = {test_path("s.npy"), test_path("s.safetensors")};
    bfncl_samples_result r[2];
    for (int i = 0; i < 2; i++) {
        bfncl_sample_defaults(&s);
        s.model = reference();
        s.n = 24;
        s.steps = 3;
        s.seed = 4;
        s.out = out[i];
        s.device = device();
        OK(bfncl_sample(&s, NULL, err));
        bfncl_samples_options o = options(out[i]);
        OK(bfncl_eval_samples(&o, &r[i], err));
        ck_assert(r[i].pictures.distance > 0.1 && r[i].pictures.stderr_distance > 0);
        ck_assert(r[i].pictures.held_out_examples == 24 && r[i].pictures.held_out < r[i].pictures.distance);
    }
    ck_assert(r[0].pictures.distance == r[1].pictures.distance);
    bfncl_samples_options o = options(out[0]);
    o.dictionary = "words";
    FAILS(BF_USAGE, "a dictionary is for texts", bfncl_eval_samples(&o, &r[0], err));
    o = options(test_path("other.npy"));
    write_pictures(o.samples, 4, SIDE + 1);
    FAILS(BF_FILE, "those of the model are 8 x 8 x 1", bfncl_eval_samples(&o, &r[0], err));
    o.samples = o.neighbours = "x.gif";
    FAILS(BF_USAGE, "drawn as .png", bfncl_eval_samples(&o, &r[0], err));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("encoder");
    TCase *t = tcase_create("encoder");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, random_features);
    tcase_add_test(t, layers_of_a_file);
    tcase_add_test(t, convolutions_alone);
    tcase_add_test(t, other_files_are_refused);
    tcase_add_test(t, samples_that_are_the_data);
    tcase_add_test(t, samples_of_a_model);
    suite_add_tcase(s, t);
    return test_main(s);
}
