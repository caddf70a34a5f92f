/* run/given.h */
#include "run/given.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "base/size.h"
#include "io/image.h"
#include "io/kind.h"
#include "io/text.h"

enum { MIDDLE = 128, LENGTHS = 4096 };

void bf_given_free(bf_given *g)
{
    free(g->cells);
    free(g->length);
    *g = (bf_given){0};
}

static bf_status new_cells(const bf_model *m, uint64_t rows, bf_given *out, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t count;
    BF_CHECK(bf_mul_u64(rows, m->dims, &count), BF_USAGE, "%llu given examples are too many", (unsigned long long)rows);
    BF_NEW(out->cells, count);
    out->rows = rows;
out:
    return st;
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

/* A pixel 0..255 and a value as the flow has it. */
static float cell_of_pixel(const bf_config *c, uint8_t p)
{
    const bf_transform t = (bf_transform)c->data.transform;
    const uint32_t bins = (uint32_t)c->data.bins;
    return bf_setup_wants_classes(c) ? (float)bf_pixel_class(t, bins, p) : bf_pixel_value(t, bins, p);
}

static float cell_of_value(const bf_config *c, float v)
{
    const bf_transform t = (bf_transform)c->data.transform;
    const uint32_t bins = (uint32_t)c->data.bins;
    if (isnan(v)) return NAN;
    return bf_setup_wants_classes(c) ? (float)bf_number_class(t, bins, v) : bf_number_value(t, bins, v);
}

static bf_status check_size(const bf_model *m, const char *path, const bf_image *im, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(im->height == m->shape[0] && im->width == m->shape[1], BF_USAGE,
             "%s: %u x %u pixels, this model makes pictures of %u x %u", path, im->height, im->width, m->shape[0],
             m->shape[1]);
out:
    return st;
}

static bf_status read_png(const bf_model *m, const char *path, bool holes, bf_given *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_image im = {0};
    uint8_t *opacity = NULL;
    const uint32_t channels = m->shape[2];
    BF_CHECK(channels == 1 || channels == 3, BF_USAGE, "%s: examples of %u channels are no picture; give an NPY array",
             path, channels);
    BF_TRY(bf_png_read_opacity(path, channels, &im, &opacity, err));
    BF_TRY(check_size(m, path, &im, err));
    BF_TRY(new_cells(m, 1, out, err));
    for (uint64_t i = 0; i < m->dims; i++)
        out->cells[i] = holes && opacity[i / channels] < MIDDLE ? NAN : cell_of_pixel(&m->config, im.pixels[i]);
out:
    bf_image_free(&im);
    free(opacity);
    return st;
}

/* The shape without sizes of 1, but for `keep` at its beginning; returns how many there are. */
static int squeeze(const uint64_t *dims, int ndim, int keep, uint64_t out[BF_FILE_DIMS])
{
    int n = 0;
    for (int i = 0; i < ndim; i++)
        if (i < keep || dims[i] != 1) out[n++] = dims[i];
    return n;
}

/* Is `dims` the shape of one example (rows 1), or of several? 0: neither. */
static uint64_t rows_of(const bf_model *m, const bf_array *a)
{
    const uint64_t shape[3] = {m->shape[0], m->shape[1], m->shape[2]};
    uint64_t want[BF_FILE_DIMS], have[BF_FILE_DIMS];
    const int n = squeeze(shape, 3, 0, want);
    if (squeeze(a->dims, a->ndim, 0, have) == n && memcmp(have, want, (size_t)n * sizeof *have) == 0) return 1;
    if (a->ndim < 1 || squeeze(a->dims, a->ndim, 1, have) != n + 1) return 0;
    return memcmp(have + 1, want, (size_t)n * sizeof *have) == 0 ? have[0] : 0;
}

static bf_status read_npy(const bf_model *m, const char *path, bf_given *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_array a = {0};
    BF_TRY(bf_npy_read(path, &a, err));
    BF_CHECK(a.dtype == BF_U8 || a.dtype == BF_F32, BF_FILE, "%s: elements of type %s, expected U8 or F32", path,
             bf_dtype_name(a.dtype));
    const uint64_t rows = rows_of(m, &a);
    BF_CHECK(rows > 0, BF_USAGE, "%s: not of the shape of this model's examples, %u x %u x %u (or several of them)",
             path, m->shape[0], m->shape[1], m->shape[2]);
    BF_TRY(new_cells(m, rows, out, err));
    for (uint64_t i = 0; i < a.count; i++) {
        const float v = a.dtype == BF_F32 ? ((const float *)a.data)[i] : 0;
        BF_CHECK(!isinf(v), BF_FILE, "%s: element %llu is not finite, and not NaN, which stands for a hole", path,
                 (unsigned long long)i);
        out->cells[i] =
            a.dtype == BF_U8 ? cell_of_pixel(&m->config, ((const uint8_t *)a.data)[i]) : cell_of_value(&m->config, v);
    }
out:
    bf_array_free(&a);
    return st;
}

/* What is white in the mask is drawn. */
static bf_status read_mask(const bf_model *m, const char *path, bf_given *g, bf_err *err)
{
    bf_status st = BF_OK;
    bf_image im = {0};
    BF_TRY(bf_png_read(path, 1, &im, err));
    BF_TRY(check_size(m, path, &im, err));
    for (uint64_t i = 0; i < g->rows * m->dims; i++)
        if (im.pixels[i % m->dims / m->shape[2]] >= MIDDLE) g->cells[i] = NAN;
out:
    bf_image_free(&im);
    return st;
}

static bf_status read_picture(const bf_model *m, const bfncl_sample_options *o, bf_given *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kind kind;
    BF_CHECK(!o->hole, BF_USAGE, "a character for holes is for texts, this model makes pictures");
    BF_TRY(bf_file_kind(o->given, &kind, err));
    BF_CHECK(kind == BF_KIND_PNG || kind == BF_KIND_NPY, BF_FILE, "%s: is %s, expected a PNG picture or an NPY array",
             o->given, bf_kind_text(kind));
    BF_TRY(kind == BF_KIND_PNG ? read_png(m, o->given, o->mask == NULL, out, err) : read_npy(m, o->given, out, err));
    if (o->mask) BF_TRY(read_mask(m, o->mask, out, err));
out:
    return st;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static bf_status read_text(bf_model *m, const bfncl_sample_options *o, bf_given *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_array a = {0};
    struct stat info;
    const bool file = stat(o->given, &info) == 0;
    BF_CHECK(!o->mask, BF_USAGE, "%s: a mask is for pictures, this model makes text", o->mask);
    BF_TRY(bf_text_with_holes(o->given, file, m->config.data.vocabulary, o->hole, &a, err));
    BF_CHECK(a.count <= m->dims, BF_USAGE, "the given text has %llu characters, a sample has %llu",
             (unsigned long long)a.count, (unsigned long long)m->dims);
    if (!o->length && a.count < m->dims) BF_TRY(bf_model_shorten(m, a.count, err));
    BF_TRY(new_cells(m, 1, out, err));
    for (uint64_t i = 0; i < m->dims; i++) {
        const uint16_t k = i < a.count ? ((const uint16_t *)a.data)[i] : BF_TEXT_HOLE;
        out->cells[i] = k == BF_TEXT_HOLE ? NAN : (float)k;
    }
out:
    bf_array_free(&a);
    return st;
}

/* Appends "10", or "10-32": every length from the first to the second. */
static bf_status add_lengths(const char *text, uint64_t longest, uint32_t list[LENGTHS], uint32_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    const char *const what = "a length of texts";
    const char *to = strchr(text, '-');
    char from[24];
    uint64_t first, last;
    snprintf(from, sizeof from, "%.*s", to ? (int)BF_MIN(to - text, 20) : 20, text);
    BF_TRY(bf_parse_u64(what, from, 1, longest, &first, err));
    BF_TRY(bf_parse_u64(what, to ? to + 1 : from, first, longest, &last, err));
    BF_CHECK(last - first < LENGTHS - *n, BF_USAGE, "more than %d lengths of texts", LENGTHS);
    for (; first <= last; first++) list[(*n)++] = (uint32_t)first;
out:
    return st;
}

/* A list of these with commas between them. */
static bf_status parse_lengths(const char *text, uint64_t longest, uint32_t list[LENGTHS], uint32_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    *n = 0;
    for (;;) {
        char one[48];
        const size_t size = strcspn(text, ",");
        snprintf(one, sizeof one, "%.*s", (int)BF_MIN(size, 40), text);
        BF_TRY(add_lengths(one, longest, list, n, err));
        if (text[size] == '\0') break;
        text += size + 1;
    }
out:
    return st;
}

static bf_status read_lengths(bf_model *m, const bfncl_sample_options *o, uint64_t samples, bf_given *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_vocabulary v;
    uint32_t list[LENGTHS], n, longest = 0;
    BF_CHECK(m->config.data.transform == BF_TRANSFORM_TEXT, BF_USAGE, "only texts can be made in other lengths");
    BF_CHECK(!o->length && !o->given, BF_USAGE, "lengths of samples go neither with one length nor with a given text");
    BF_TRY(parse_lengths(o->lengths, m->dims, list, &n, err));
    BF_TRY(bf_vocabulary_parse(m->config.data.vocabulary, &v, err));
    const int32_t pad = bf_vocabulary_class(&v, ' ');
    BF_CHECK(pad >= 0, BF_USAGE, "the model does not know the space, which shorter texts are filled up with");
    for (uint32_t i = 0; i < n; i++) longest = BF_MAX(longest, list[i]);
    if (longest < m->dims) BF_TRY(bf_model_shorten(m, longest, err));
    BF_TRY(new_cells(m, samples, out, err));
    BF_NEW(out->length, samples);
    for (uint64_t k = 0; k < samples; k++) {
        out->length[k] = list[k % n];
        for (uint32_t i = 0; i < m->dims; i++) out->cells[k * m->dims + i] = i < out->length[k] ? NAN : (float)pad;
    }
out:
    return st;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static bool draws_nothing(const bf_model *m, const bf_given *g)
{
    for (uint64_t i = 0; i < g->rows * m->dims; i++)
        if (isnan(g->cells[i])) return false;
    return true;
}

bf_status bf_given_read(bf_model *m, const bfncl_sample_options *o, uint64_t samples, bf_given *out, bf_err *err)
{
    bf_status st = BF_OK;
    const bool text = m->config.data.transform == BF_TRANSFORM_TEXT;
    *out = (bf_given){.repeat = 1};
    BF_CHECK(o->given || !o->mask, BF_USAGE, "%s: a mask says what of a given picture is drawn, and none is given",
             o->mask);
    BF_CHECK(o->given || !o->hole, BF_USAGE, "a character for holes goes with a given text, and none is given");
    if (o->lengths) return read_lengths(m, o, samples, out, err);
    if (!o->given) goto out;
    BF_CHECK(!m->packed, BF_USAGE, "%s: parts of molecules are given as a scaffold", o->given);
    BF_TRY(text ? read_text(m, o, out, err) : read_picture(m, o, out, err));
    if (draws_nothing(m, out)) {
        st = bf_fail(err, BF_USAGE, "%.200s: leaves nothing to draw", o->given);
        bf_hint(err, text ? "put _ or ? where characters are missing"
                          : "a mask says what is drawn; without one transparent pixels and NaN are");
        goto out;
    }
    out->repeat = (uint64_t)(o->n > 0 ? o->n : 1);
out:
    return st;
}
