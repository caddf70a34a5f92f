/* Features of generated pictures beside those of real ones. run/eval_samples.h */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/moments.h"
#include "base/size.h"
#include "io/image.h"
#include "io/safetensors.h"
#include "run/encoder.h"
#include "run/eval_samples.h"

#define BATCH 256
#define PARTS 10  /* of the jackknife */
#define ROWS 10   /* of the picture of neighbours: samples */
#define NEAREST 8 /* neighbours of each */
#define GAP 1     /* empty columns behind the samples */
#define GREY 128

/* Pictures as numbers in [-1, 1]: samples, in memory, or a data set, read as it is needed. */
typedef struct pictures {
    const char *path;
    uint64_t count;
    float *x; /* [count, dims]; NULL: those of `ds` */
    bf_dataset *ds;
    int32_t *classes; /* [BATCH, dims], where `ds` has no values */
} pictures;

typedef struct neighbour {
    double square; /* of the distance */
    uint64_t index;
} neighbour;

typedef struct evaluation {
    bf_sample_eval *e;
    bfncl_pictures_result *r;
    uint64_t dims;
    bf_ctx *ctx;
    bf_encoder *encoder; /* NULL: the features are the values */
    uint32_t features;
    float *batch, *feature;       /* [BATCH, dims], [BATCH, features] */
    pictures samples, data, held; /* held.count 0: there are none */
    bf_moments whole, part[PARTS], other;
    uint64_t done, total; /* pictures, for the progress */
    uint32_t rows;        /* of the picture of neighbours */
    neighbour *near;      /* [rows, NEAREST], the nearest first */
    float *point;         /* [rows, dims or features] */
} evaluation;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static double class_value(const bf_config *c, double k)
{
    return c->data.transform == BF_TRANSFORM_BINS ? (2 * k + 1) / (double)c->data.bins - 1 : 2 * k - 1;
}

/* Samples are in the terms of the model: values, or class numbers. */
static bf_status to_values(const bf_config *c, pictures *p, uint64_t numbers, bf_err *err)
{
    bf_status st = BF_OK;
    const bool classes = bf_setup_wants_classes(c);
    const int count = classes ? bf_setup_flow(c).classes : 0;
    for (uint64_t i = 0; i < numbers; i++) {
        const float v = p->x[i];
        BF_CHECK(isfinite(v), BF_FILE, "%s: sample %llu is not finite", p->path,
                 (unsigned long long)(i / (numbers / p->count)));
        if (!classes) continue;
        BF_CHECK(v >= 0 && v < (float)count && v == floorf(v), BF_FILE,
                 "%s: sample %llu has %g in the place of a class number below %d", p->path,
                 (unsigned long long)(i / (numbers / p->count)), (double)v, count);
        p->x[i] = (float)class_value(c, (double)v);
    }
out:
    return st;
}

static bf_status check_shape(const evaluation *v, const char *path, const bf_array *a, bf_err *err)
{
    bf_status st = BF_OK;
    const uint32_t *s = v->e->shape;
    const bool rows = a->ndim == 2 && a->dims[1] == v->dims, grey = a->ndim == 3 && s[2] == 1;
    BF_CHECK((rows ||
              ((a->ndim == 4 || grey) && a->dims[1] == s[0] && a->dims[2] == s[1] && (grey || a->dims[3] == s[2]))) &&
                 a->dims[0] > 0,
             BF_FILE, "%s: not samples of this model, which are [n,%u,%u,%u]", path, s[0], s[1], s[2]);
out:
    return st;
}

static bf_status read_samples_tensor(const char *path, bf_array *a, bf_err *err)
{
    bf_status st = BF_OK;
    bf_st *f = NULL;
    const bf_st_tensor *t;
    float *x = NULL;
    BF_TRY(bf_st_open(path, &f, err));
    BF_TRY(bf_st_need(f, "samples", &t, err));
    BF_NEW(x, BF_MAX(t->count, (uint64_t)1));
    BF_TRY(bf_st_read_f32(f, t, x, err));
    *a = (bf_array){.dtype = BF_F32, .ndim = t->ndim, .count = t->count, .data = x};
    memcpy(a->dims, t->dims, sizeof a->dims);
    x = NULL;
out:
    free(x);
    bf_st_close(f);
    return st;
}

static bool ends_in(const char *path, const char *suffix)
{
    const size_t n = strlen(path), len = strlen(suffix);
    return n > len && strcmp(path + n - len, suffix) == 0;
}

static bf_status open_data(const evaluation *v, const char *path, uint64_t limit, pictures *p, bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset_options o = bf_setup_data(&v->e->config);
    o.validation = 0;
    if (limit) o.limit = limit;
    p->path = path;
    BF_TRY(bf_dataset_open(path, &o, &p->ds, err));
    const bf_dataset_info i = bf_dataset_get_info(p->ds);
    const uint32_t *s = v->e->shape;
    BF_CHECK(i.height == s[0] && i.width == s[1] && i.channels == s[2], BF_FILE,
             "%s: examples of %u x %u x %u, those of the model are %u x %u x %u", path, i.height, i.width, i.channels,
             s[0], s[1], s[2]);
    p->count = i.count;
    if (!i.values) BF_NEW(p->classes, BATCH * v->dims);
out:
    return st;
}

static bf_status open_samples(evaluation *v, bf_err *err)
{
    bf_status st = BF_OK;
    bf_array a = {0};
    pictures *p = &v->samples;
    const char *path = v->e->o->samples;
    p->path = path;
    if (ends_in(path, ".safetensors"))
        BF_TRY(read_samples_tensor(path, &a, err));
    else if (ends_in(path, ".npy"))
        BF_TRY(bf_npy_read(path, &a, err));
    if (a.dtype != BF_F32 || !a.data) { /* pixels */
        BF_TRY(open_data(v, path, 0, p, err));
        goto out;
    }
    BF_TRY(check_shape(v, path, &a, err));
    p->count = a.dims[0];
    p->x = a.data;
    a.data = NULL;
    BF_TRY(to_values(&v->e->config, p, p->count * v->dims, err));
out:
    bf_array_free(&a);
    return st;
}

static void close_pictures(pictures *p)
{
    free(p->x);
    free(p->classes);
    bf_dataset_free(p->ds);
}

/* Pictures first .. first + rows - 1, rows <= BATCH. */
static bf_status read_rows(const evaluation *v, const pictures *p, uint64_t first, uint32_t rows, float *x, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t n = rows * v->dims;
    if (p->x) {
        memcpy(x, p->x + first * v->dims, (size_t)n * sizeof *x);
        return BF_OK;
    }
    const bf_rows to = {.values = p->classes ? NULL : x, .classes = p->classes};
    BF_TRY(bf_dataset_eval_rows(p->ds, BF_SPLIT_ALL, first, rows, 0, &to, err));
    for (uint64_t i = 0; p->classes && i < n; i++) x[i] = (float)class_value(&v->e->config, p->classes[i]);
out:
    return st;
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

static bf_status open_encoder(evaluation *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bfncl_samples_options *o = v->e->o;
    const uint32_t *s = v->e->shape;
    v->features = (uint32_t)v->dims;
    snprintf(v->r->features, sizeof v->r->features, "values");
    if (s[0] > 1 || o->encoder) {
        BF_TRY(bf_setup_ctx(&v->e->config, &o->device, &v->ctx, err));
        snprintf(v->e->r->device, sizeof v->e->r->device, "%s", bf_ctx_name(v->ctx));
        BF_TRY(bf_encoder_new(v->ctx, o->encoder, s, BATCH, &v->encoder, err));
        v->features = bf_encoder_features(v->encoder);
        snprintf(v->r->features, sizeof v->r->features, "%s", o->encoder ? o->encoder : "random");
    }
    BF_CHECK(v->features <= BF_ENCODER_FEATURES, BF_USAGE,
             "vectors of %u numbers are too long to be compared as they are; give an encoder with at most %d features",
             v->features, BF_ENCODER_FEATURES);
    v->r->n_features = v->features;
out:
    return st;
}

/* The features of v->batch. */
static bf_status encode(evaluation *v, uint32_t rows, bf_err *err)
{
    if (v->encoder) return bf_encoder_run(v->encoder, v->batch, rows, v->feature, err);
    memcpy(v->feature, v->batch, (size_t)(rows * v->dims) * sizeof *v->feature);
    return BF_OK;
}

/* What is done with every batch of v->batch and v->feature. */
typedef void (*visit)(evaluation *v, uint64_t first, uint32_t rows, void *to);

static bf_status for_all(evaluation *v, const pictures *p, uint64_t count, visit with, void *to, bf_err *err)
{
    bf_status st = BF_OK;
    for (uint64_t at = 0; at < count; at += BATCH) {
        const uint32_t rows = (uint32_t)BF_MIN((uint64_t)BATCH, count - at);
        BF_TRY(read_rows(v, p, at, rows, v->batch, err));
        BF_TRY(encode(v, rows, err));
        with(v, at, rows, to);
        v->done += rows;
        BF_CHECK(bf_report_done(&v->e->report, v->done, v->total), BF_STOPPED, "measuring was stopped");
    }
out:
    return st;
}

/* ---- distance ---------------------------------------------------------------------------------------------------- */

static void add_moments(evaluation *v, uint64_t first, uint32_t rows, void *to)
{
    (void)first;
    bf_moments_add(to, v->feature, rows);
}

/* Sample i belongs to part i % PARTS. */
static void add_parts(evaluation *v, uint64_t first, uint32_t rows, void *to)
{
    (void)to;
    for (uint32_t i = 0; i < rows; i++)
        bf_moments_add(&v->part[(first + i) % PARTS], v->feature + (uint64_t)i * v->features, 1);
}

/* The standard error from leaving each part out in turn. */
static bf_status jackknife(evaluation *v, double *se, bf_err *err)
{
    bf_status st = BF_OK;
    double distance[PARTS], mean = 0, square = 0;
    if (v->whole.n < 2 * PARTS) goto out;
    for (int i = 0; i < PARTS; i++) {
        bf_moments_join(&v->whole, &v->part[i], -1);
        BF_TRY(bf_frechet_distance(&v->whole, &v->other, &distance[i], err));
        bf_moments_join(&v->whole, &v->part[i], 1);
        mean += distance[i] / PARTS;
    }
    for (int i = 0; i < PARTS; i++) square += (distance[i] - mean) * (distance[i] - mean);
    *se = sqrt(square * (PARTS - 1) / PARTS);
out:
    return st;
}

static bf_status distances(evaluation *v, bf_err *err)
{
    bf_status st = BF_OK;
    bfncl_pictures_result *r = v->r;
    for (int i = 0; i < PARTS; i++) BF_TRY(bf_moments_new(&v->part[i], v->features, err));
    BF_TRY(bf_moments_new(&v->whole, v->features, err));
    BF_TRY(bf_moments_new(&v->other, v->features, err));
    BF_TRY(for_all(v, &v->data, v->data.count, add_moments, &v->other, err));
    BF_TRY(for_all(v, &v->samples, v->samples.count, add_parts, NULL, err));
    for (int i = 0; i < PARTS; i++) bf_moments_join(&v->whole, &v->part[i], 1);
    BF_TRY(bf_frechet_distance(&v->whole, &v->other, &r->distance, err));
    BF_TRY(jackknife(v, &r->stderr_distance, err));
    if (r->held_out_examples < 2) goto out;
    bf_moments_free(&v->whole);
    BF_TRY(bf_moments_new(&v->whole, v->features, err));
    BF_TRY(for_all(v, &v->held, r->held_out_examples, add_moments, &v->whole, err));
    BF_TRY(bf_frechet_distance(&v->whole, &v->other, &r->held_out, err));
out:
    return st;
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* With a user's encoder by features, else by pixels. */
static const float *compared(const evaluation *v, uint64_t *length)
{
    *length = v->e->o->encoder ? v->features : v->dims;
    return v->e->o->encoder ? v->feature : v->batch;
}

static void keep_points(evaluation *v, uint64_t first, uint32_t rows, void *to)
{
    uint64_t n;
    const float *x = compared(v, &n);
    (void)to;
    memcpy(v->point + first * n, x, (size_t)(rows * n) * sizeof *x);
}

static void keep_nearest(neighbour *list, double square, uint64_t index)
{
    int at = NEAREST;
    while (at > 0 && list[at - 1].square > square) at--;
    if (at == NEAREST) return;
    memmove(list + at + 1, list + at, (size_t)(NEAREST - 1 - at) * sizeof *list);
    list[at] = (neighbour){square, index};
}

static void find_nearest(evaluation *v, uint64_t first, uint32_t rows, void *to)
{
    uint64_t n;
    const float *x = compared(v, &n);
    (void)to;
    for (uint32_t i = 0; i < rows; i++, x += n)
        for (uint32_t r = 0; r < v->rows; r++) {
            neighbour *list = v->near + r * NEAREST;
            double square = 0;
            for (uint64_t k = 0; k < n && square < list[NEAREST - 1].square; k++) {
                const double d = (double)x[k] - (double)v->point[r * n + k];
                square += d * d;
            }
            keep_nearest(list, square, first + i);
        }
}

static void to_bytes(const bf_config *c, const float *x, uint64_t n, uint8_t *out)
{
    const double low = c->data.transform == BF_TRANSFORM_BINS ? 1.0 / (double)c->data.bins - 1 : -1;
    for (uint64_t i = 0; i < n; i++) {
        const double y = ((double)x[i] / -low + 1) / 2 * 255 + 0.5;
        out[i] = (uint8_t)(y > 0 ? BF_MIN(y, 255.0) : 0);
    }
}

static bf_status draw_neighbours(evaluation *v, bf_err *err)
{
    bf_status st = BF_OK;
    const uint32_t *s = v->e->shape, columns = 1 + GAP + NEAREST;
    const uint32_t scale = BF_MAX(1u, BF_MIN(8u, 64 / BF_MAX(s[0], s[1])));
    uint8_t *bytes = NULL;
    bf_image im = {0};
    BF_NEW(bytes, v->rows * columns * v->dims);
    memset(bytes, GREY, (size_t)(v->rows * columns * v->dims));
    for (uint32_t r = 0; r < v->rows; r++)
        for (uint32_t c = 0; c < columns; c++) {
            const neighbour *near = c > GAP ? &v->near[r * NEAREST + c - GAP - 1] : NULL;
            if ((c > 0 && !near) || (near && !isfinite(near->square))) continue;
            BF_TRY(read_rows(v, near ? &v->data : &v->samples, near ? near->index : r, 1, v->batch, err));
            to_bytes(&v->e->config, v->batch, v->dims, bytes + (r * columns + c) * v->dims);
        }
    BF_TRY(bf_image_grid(bytes, v->rows * columns, s[0], s[1], s[2], columns, scale, 2, &im, err));
    BF_TRY(bf_png_write(v->e->o->neighbours, &im, err));
out:
    free(bytes);
    bf_image_free(&im);
    return st;
}

static bf_status neighbours(evaluation *v, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t n;
    (void)compared(v, &n);
    v->rows = (uint32_t)BF_MIN(v->samples.count, (uint64_t)ROWS);
    BF_NEW(v->point, v->rows * n);
    BF_NEW(v->near, v->rows * NEAREST);
    for (uint32_t i = 0; i < v->rows * NEAREST; i++) v->near[i].square = HUGE_VAL;
    BF_TRY(for_all(v, &v->samples, v->rows, keep_points, NULL, err));
    BF_TRY(for_all(v, &v->data, v->data.count, find_nearest, NULL, err));
    v->r->nearest = 0;
    for (uint32_t i = 0; i < v->rows; i++) {
        const double square = v->near[i * NEAREST].square;
        v->r->nearest += sqrt(v->e->o->encoder ? square : square / (double)n) / v->rows;
    }
    BF_TRY(draw_neighbours(v, err));
out:
    return st;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static bf_status measure(evaluation *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bfncl_samples_options *o = v->e->o;
    const char *data = o->data ? o->data : v->e->config.data.train, *test = v->e->config.data.test;
    const uint32_t *s = v->e->shape;
    bf_err ignored;
    BF_CHECK(!o->neighbours || (s[0] > 1 && (s[2] == 1 || s[2] == 3)), BF_USAGE,
             "%s: vectors and pictures of %u channels are not drawn", o->neighbours, s[2]);
    BF_CHECK(!o->neighbours || ends_in(o->neighbours, ".png"), BF_USAGE, "%s: neighbours are drawn as .png",
             o->neighbours);
    v->dims = (uint64_t)s[0] * s[1] * s[2];
    BF_TRY(open_samples(v, err));
    BF_CHECK(v->samples.count >= 2, BF_FILE, "%s: a distance of distributions needs at least two samples", o->samples);
    BF_TRY(open_data(v, data, (uint64_t)o->limit, &v->data, err));
    BF_CHECK(v->data.count >= 2, BF_FILE, "%s: a distance of distributions needs at least two examples", data);
    snprintf(v->e->r->data, sizeof v->e->r->data, "%s", data);
    if (test[0] && open_data(v, test, 0, &v->held, &ignored) != BF_OK) v->held.count = 0;
    v->r->samples = v->samples.count;
    v->r->examples = v->data.count;
    v->r->held_out_examples = BF_MIN(v->held.count, v->samples.count);
    v->total = (o->neighbours ? 2 : 1) * v->data.count + v->samples.count + v->r->held_out_examples +
               (o->neighbours ? BF_MIN(v->samples.count, (uint64_t)ROWS) : 0);
    BF_TRY(open_encoder(v, err));
    BF_NEW(v->batch, BATCH * v->dims);
    BF_NEW(v->feature, BATCH * (uint64_t)v->features);
    BF_TRY(distances(v, err));
    if (o->neighbours) BF_TRY(neighbours(v, err));
out:
    return st;
}

bf_status bf_eval_pictures(bf_sample_eval *e, bf_err *err)
{
    evaluation v = {.e = e, .r = &e->r->pictures};
    const bf_status st = measure(&v, err);
    for (int i = 0; i < PARTS; i++) bf_moments_free(&v.part[i]);
    bf_moments_free(&v.whole);
    bf_moments_free(&v.other);
    bf_encoder_free(v.encoder);
    bf_ctx_close(v.ctx);
    close_pictures(&v.samples);
    close_pictures(&v.data);
    close_pictures(&v.held);
    free(v.batch);
    free(v.feature);
    free(v.near);
    free(v.point);
    return st;
}
