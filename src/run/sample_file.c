/* run/sample_file.h */
#include "run/sample_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "run/sample.h"

void bf_sampling_bytes(const bf_model *m, const float *x, uint64_t count, uint8_t *out)
{
    const bool bins = m->config.data.transform == BF_TRANSFORM_BINS;
    double low = bins ? -1 + 1.0 / (double)m->config.data.bins : -1, high = -low;
    const bf_group *classes = bf_hybrid_categorical(&m->hybrid);
    if (classes) {
        low = 0;
        high = classes->flow.classes - 1;
    }
    for (uint64_t i = 0; i < count; i++) {
        const double v = ((double)x[i] - low) / (high - low) * 255;
        out[i] = (uint8_t)(v > 0 ? BF_MIN(v + 0.5, 255.0) : 0); /* NaN becomes 0 */
    }
}

bf_status bf_samples_grid(const bf_model *m, const float *x, uint32_t n, uint32_t columns, bf_image *im, bf_err *err)
{
    bf_status st = BF_OK;
    uint8_t *bytes = NULL;
    const uint32_t h = m->shape[0], w = m->shape[1], ch = m->shape[2];
    const uint32_t scale = BF_MAX(1u, BF_MIN(8u, 64 / BF_MAX(h, w)));
    BF_CHECK(ch == 1 || ch == 3, BF_USAGE, "samples of %u channels are no picture; write .npy or .safetensors", ch);
    if (columns == 0) columns = (uint32_t)ceil(sqrt((double)n));
    BF_NEW(bytes, n * m->dims);
    bf_sampling_bytes(m, x, n * m->dims, bytes);
    BF_TRY(bf_image_grid(bytes, n, h, w, ch, columns, scale, 2, im, err));
out:
    free(bytes);
    return st;
}

bf_status bf_samples_png(const bf_model *m, const char *path, const float *x, uint64_t n, uint32_t columns, bf_err *err)
{
    bf_status st = BF_OK;
    bf_image im = {0};
    BF_TRY(bf_samples_grid(m, x, (uint32_t)n, columns, &im, err));
    BF_TRY(bf_png_write(path, &im, err));
out:
    bf_image_free(&im);
    return st;
}

bf_status bf_samples_npy(const bf_model *m, const char *path, float *x, uint64_t n, bf_err *err)
{
    const bf_array a = {.dtype = BF_F32,
                        .ndim = 4,
                        .dims = {n, m->shape[0], m->shape[1], m->shape[2]},
                        .count = n * m->dims,
                        .data = x};
    return bf_npy_write(path, &a, err);
}

bf_status bf_samples_safetensors(const bf_model *m, const char *path, const float *x, uint64_t n, uint64_t seed,
                                 int steps, bf_err *err)
{
    char seed_text[32], steps_text[32];
    const bf_st_item item = {
        .name = "samples", .dtype = BF_F32, .ndim = 4, .dims = {n, m->shape[0], m->shape[1], m->shape[2]}, .data = x};
    const bf_st_meta meta[] = {{"seed", seed_text}, {"steps", steps_text}};
    snprintf(seed_text, sizeof seed_text, "%llu", (unsigned long long)seed);
    snprintf(steps_text, sizeof steps_text, "%d", steps);
    return bf_st_write(path, &item, 1, meta, BF_COUNT(meta), err);
}

bool bf_samples_are_text(const bf_model *m)
{
    return m->config.data.transform == BF_TRANSFORM_TEXT;
}

/* The first `length` characters of a sample as bytes with a NUL behind; `out` has room for 4 length + 1. Returns how
 * many. */
static size_t put_text(const bf_vocabulary *v, const float *x, uint64_t length, char *out)
{
    size_t n = 0;
    for (uint64_t i = 0; i < length; i++) n += bf_vocabulary_put(v, (int64_t)x[i], out + n);
    out[n] = '\0';
    return n;
}

/* One sample after the other, each closed by a line end. */
bf_status bf_samples_txt(const bf_model *m, const char *path, const float *x, const uint32_t *length, uint64_t n,
                         bf_err *err)
{
    bf_status st = BF_OK;
    bf_vocabulary v;
    char *text = NULL;
    size_t used = 0;
    BF_TRY(bf_vocabulary_parse(m->config.data.vocabulary, &v, err));
    BF_NEW(text, n * (4 * m->dims + 1) + 1);
    for (uint64_t i = 0; i < n; i++) {
        used += put_text(&v, x + i * m->dims, length ? length[i] : m->dims, text + used);
        text[used++] = '\n';
    }
    BF_TRY(bf_file_write(path, text, used, err));
out:
    free(text);
    return st;
}

bf_status bf_samples_texts(const bf_model *m, const float *x, const uint32_t *length, uint64_t n, char ***texts,
                           bf_err *err)
{
    bf_status st = BF_OK;
    bf_vocabulary v;
    char *raw = NULL;
    BF_TRY(bf_vocabulary_parse(m->config.data.vocabulary, &v, err));
    BF_NEW(raw, 4 * m->dims + 1);
    BF_NEW(*texts, n + 1); /* closed by NULL */
    for (uint64_t i = 0; i < n; i++) {
        const size_t used = put_text(&v, x + i * m->dims, length ? length[i] : m->dims, raw);
        BF_NEW((*texts)[i], 3 * used + 1);
        bf_text_clean(raw, used, (*texts)[i]);
    }
out:
    free(raw);
    return st;
}

bf_status bf_samples_format(const char *path, bf_format *out, bf_err *err)
{
    static const char *const suffixes[] = {".png", ".npy", ".safetensors", ".gif", ".txt", ".csv"};
    bf_status st = BF_OK;
    for (size_t i = 0; i < BF_COUNT(suffixes); i++) {
        size_t n = strlen(path), len = strlen(suffixes[i]);
        if (n > len && strcmp(path + n - len, suffixes[i]) == 0) {
            *out = (bf_format)i;
            return BF_OK;
        }
    }
    st = bf_fail(err, BF_USAGE, "%s: unknown kind of file; samples go to .png, .txt, .csv, .npy or .safetensors", path);
    return st;
}
