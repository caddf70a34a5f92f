#include "io/dataset.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/philox.h"
#include "base/size.h"
#include "io/cifar.h"
#include "io/idx.h"
#include "io/image.h"
#include "io/kind.h"
#include "io/npy.h"
#include "io/table.h"
#include "io/text.h"

enum { LEVELS = 256, MAX_BINS = 65536 };

/* The training order of one epoch, computed when it is first asked for. */
typedef struct order {
    pthread_mutex_t lock;
    bool valid;
    uint32_t epoch;
    uint32_t *permutation; /* [train] */
} order;

struct bf_dataset {
    bf_dataset_options options;
    bf_dataset_info info;
    bf_array raw;        /* [count, D], U8 or F32; TEXT: the classes of all characters, U16; TABLE: its cells */
    bf_schema *schema;   /* TABLE */
    uint64_t start[3];   /* TEXT, by bf_split: where its windows begin */
    uint64_t characters; /* TEXT: of the training part */
    char vocabulary[BF_VOCABULARY_TEXT];
    bf_molecules molecules;       /* MOLECULES; `raw` is empty then */
    char **files;                 /* of a folder: [raw.dims[0]] */
    bf_labels labels;             /* [raw.dims[0]], or none; the names of their classes */
    uint8_t *cifar_labels;        /* while the data are opened */
    uint32_t *train, *validation; /* indices, ascending */
    float *centre;                /* BINS: [bins] */
    float value[LEVELS];          /* U8 data: value and class of every pixel level */
    int32_t class[LEVELS];
    order *order;
};

void bf_dataset_defaults(bf_dataset_options *o)
{
    *o = (bf_dataset_options){.transform = BF_TRANSFORM_CONTINUOUS, .validation = 0.01, .length = 256, .scale = 1};
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static bf_status read_any(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_kind kind;
    const bf_dataset_options *o = &ds->options;
    bf_status st = bf_file_kind(path, &kind, err);
    if (st != BF_OK) return st;
    if (bf_cifar_is(path, kind == BF_KIND_FOLDER))
        return bf_cifar_read(path, kind == BF_KIND_FOLDER, &ds->raw, &ds->cifar_labels, err);
    switch (kind) {
    case BF_KIND_FOLDER: return bf_folder_read(path, o->channels, o->size, &ds->raw, &ds->files, err);
    case BF_KIND_IDX:
    case BF_KIND_GZIP: return bf_idx_read(path, &ds->raw, err);
    case BF_KIND_NPY: return bf_npy_read(path, &ds->raw, err);
    default: break;
    }
    bf_fail(err, BF_FILE, "%s: is %s, expected a data set", path, bf_kind_text(kind));
    bf_hint(err, "data sets are IDX or IDX.gz files, NPY arrays, folders of PNG files and CIFAR-10 .bin files; a text "
                 "needs data.transform=text");
    return BF_FILE;
}

/* Where nobody says where the labels are. */
static bf_status find_labels(bf_dataset *ds, const char *path, bf_err *err)
{
    char beside[1024];
    const char *names = ds->options.label_names;
    if (ds->files != NULL)
        return bf_labels_of_folder(path, (const char *const *)ds->files, ds->raw.dims[0], names, &ds->labels, err);
    if (ds->cifar_labels != NULL)
        return bf_labels_of_bytes(path, ds->cifar_labels, ds->raw.dims[0],
                                  names != NULL && names[0] ? names : BF_CIFAR_NAMES, &ds->labels, err);
    if (bf_labels_beside(path, beside)) return bf_labels_read(beside, names, &ds->labels, err);
    bf_fail(err, BF_FILE, "%s: no labels beside it%s%s", path, beside[0] ? ": there is no " : "", beside);
    bf_hint(err, "data.labels and data.test_labels say which files hold them");
    return BF_FILE;
}

/* Labels of all examples that there are. */
static bf_status open_labels(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_dataset_options *o = &ds->options;
    bf_classes c;
    if (!o->labelled) goto out;
    if (o->labels == NULL) {
        snprintf(ds->labels.names, sizeof ds->labels.names, "%s", o->label_names);
    } else if (strcmp(o->labels, "auto") == 0) {
        BF_TRY(find_labels(ds, path, err));
    } else {
        BF_TRY(bf_labels_read(o->labels, o->label_names, &ds->labels, err));
    }
    BF_CHECK(o->labels == NULL || ds->labels.count == ds->raw.dims[0], BF_FILE,
             "%s: %" PRIu64 " labels for the %" PRIu64 " examples of %s",
             strcmp(o->labels, "auto") == 0 ? "labels" : o->labels, ds->labels.count, ds->raw.dims[0], path);
    BF_TRY(bf_classes_parse(ds->labels.names, &c, err));
    ds->info.labels = c.n;
out:
    free(ds->cifar_labels);
    ds->cifar_labels = NULL;
    return st;
}

/* [n,D] -> 1 x D x 1, [n,H,W] -> H x W x 1, [n,H,W,C]. */
static bf_status set_shape(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_array *a = &ds->raw;
    bf_dataset_info *info = &ds->info;
    uint64_t h = 1, w = 1, c = 1;
    BF_CHECK(a->dtype == BF_U8 || a->dtype == BF_F32, BF_FILE, "%s: elements of type %s, expected U8 or F32", path,
             bf_dtype_name(a->dtype));
    BF_CHECK(a->ndim >= 2 && a->ndim <= 4, BF_FILE,
             "%s: %d dimensions, expected [n, values], [n, height, width] or [n, height, width, channels]", path,
             a->ndim);
    if (a->ndim == 2) {
        w = a->dims[1];
    } else {
        h = a->dims[1];
        w = a->dims[2];
        c = a->ndim == 4 ? a->dims[3] : 1;
    }
    /* The product of all sizes is known to fit, and the bytes are in memory. */
    BF_CHECK(a->count > 0 && a->dims[0] <= UINT32_MAX && h <= UINT32_MAX && w <= UINT32_MAX && c <= UINT32_MAX &&
                 h * w * c <= UINT32_MAX,
             BF_FILE, "%s: no examples, or sizes beyond 2^32", path);
    info->height = (uint32_t)h;
    info->width = (uint32_t)w;
    info->channels = (uint32_t)c;
    info->dims = info->row = h * w * c;
    info->count = a->dims[0];
    if (ds->options.limit > 0) info->count = BF_MIN(info->count, ds->options.limit);
out:
    return st;
}

static bf_status check_options(const bf_dataset_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(o->transform != BF_TRANSFORM_BINS || (o->bins >= 2 && o->bins <= MAX_BINS), BF_USAGE,
             "data set: bins is %" PRIu32 ", expected 2..%d", o->bins, MAX_BINS);
    BF_CHECK(o->validation >= 0 && o->validation < 1, BF_USAGE, "data set: validation is %g, expected 0 <= v < 1",
             o->validation);
    BF_CHECK(o->transform != BF_TRANSFORM_TEXT || (o->length > 0 && o->test >= 0 && o->test < 1), BF_USAGE,
             "data set: windows of %" PRIu32 " characters, test is %g, expected at least 1 and 0 <= test < 1",
             o->length, o->test);
    BF_CHECK(o->stride == 0 || (o->transform == BF_TRANSFORM_TEXT && o->stride <= o->length), BF_USAGE,
             "data set: a stride of %" PRIu32 " needs a text and windows at least as long", o->stride);
    BF_CHECK(o->channels == 0 || o->channels == 1 || o->channels == 3, BF_USAGE,
             "data set: channels is %" PRIu32 ", expected 0, 1 or 3", o->channels);
    BF_CHECK(!o->labelled || o->transform <= BF_TRANSFORM_BINARISE, BF_USAGE,
             "data set: texts, tables and molecules have no class labels");
    BF_CHECK(o->label_dropout >= 0 && o->label_dropout < 1, BF_USAGE,
             "data set: label_dropout is %g, expected 0 <= p < 1", o->label_dropout);
out:
    return st;
}

static int32_t bin_of(float v, uint32_t bins)
{
    float k = floorf((v / 2 + 0.5f) * (float)bins);
    return k < 0 ? 0 : k >= (float)bins ? (int32_t)bins - 1 : (int32_t)k;
}

static float centre_of(int32_t k, uint32_t bins)
{
    return (float)(2 * (k + 0.5) / bins - 1);
}

int32_t bf_pixel_class(bf_transform transform, uint32_t bins, uint32_t p)
{
    /* floor((v/2 + 1/2) bins) with v = 2p/255 - 1, in whole numbers: no rounding at the edges of bins. */
    return transform == BF_TRANSFORM_BINS ? (int32_t)BF_MIN(p * bins / 255, bins - 1) : p >= LEVELS / 2;
}

float bf_pixel_value(bf_transform transform, uint32_t bins, uint32_t p)
{
    return transform == BF_TRANSFORM_BINS ? centre_of(bf_pixel_class(transform, bins, p), bins)
                                          : (float)(2.0 * p / 255 - 1);
}

int32_t bf_number_class(bf_transform transform, uint32_t bins, float v)
{
    return transform == BF_TRANSFORM_BINS ? bin_of(v, bins) : v >= 0.5f;
}

float bf_number_value(bf_transform transform, uint32_t bins, float v)
{
    return transform == BF_TRANSFORM_BINS ? centre_of(bin_of(v, bins), bins) : v;
}

/* Tables for the transform. */
static bf_status set_tables(bf_dataset *ds, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t bins = ds->options.bins;
    bool binned = ds->options.transform == BF_TRANSFORM_BINS;
    ds->info.values = ds->options.transform != BF_TRANSFORM_BINARISE;
    ds->info.classes = binned ? bins : ds->options.transform == BF_TRANSFORM_BINARISE ? 2 : 0;
    if (binned) BF_NEW(ds->centre, bins);
    for (uint32_t k = 0; binned && k < bins; k++) ds->centre[k] = centre_of((int32_t)k, bins);
    for (uint32_t p = 0; p < LEVELS; p++) {
        ds->class[p] = bf_pixel_class(ds->options.transform, bins, p);
        ds->value[p] = bf_pixel_value(ds->options.transform, bins, p);
    }
out:
    return st;
}

/* Float data: finite, and inside the range in which the transform loses nothing. */
static bf_status check_floats(const bf_dataset *ds, const char *path, bf_err *err)
{
    const float *v = ds->raw.data;
    bf_transform t = ds->options.transform;
    float low = t == BF_TRANSFORM_BINARISE ? 0 : -1;
    bool outside = false;
    for (uint64_t i = 0; i < ds->info.count * ds->info.dims; i++) {
        bool in_range = v[i] >= low && v[i] <= 1;
        if (!isfinite(v[i]) || (!in_range && t != BF_TRANSFORM_CONTINUOUS)) {
            return bf_fail(err, BF_FILE, "%s: example %" PRIu64 ", element %" PRIu64 " is %g, expected %g..1", path,
                           i / ds->info.dims, i % ds->info.dims, v[i], low);
        }
        outside |= !in_range;
    }
    if (outside)
        bf_log(BFNCL_LOG_WARN, "%s: some values lie outside -1..1; predictions are clamped to that range", path);
    return BF_OK;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The first places of one fixed permutation are held out. */
static bf_status split(bf_dataset *ds, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t *permutation = NULL;
    uint32_t n = (uint32_t)ds->info.count, held = (uint32_t)(ds->options.validation * n);
    if (ds->options.validation > 0 && held == 0) held = 1;
    BF_CHECK(held < n, BF_USAGE, "data set: %" PRIu32 " examples leave none for training after validation", n);
    BF_NEW(permutation, n);
    BF_NEW(ds->validation, held);
    BF_NEW(ds->train, n - held);
    bf_philox_permutation(BF_VALIDATION_SEED, 0, BF_STREAM_SHUFFLE, n, permutation);
    memcpy(ds->validation, permutation, held * sizeof *permutation);
    memcpy(ds->train, permutation + held, (n - held) * sizeof *permutation);
    qsort(ds->validation, held, sizeof *ds->validation, ascending);
    qsort(ds->train, n - held, sizeof *ds->train, ascending);
    ds->info.validation = held;
    ds->info.train = n - held;
out:
    free(permutation);
    return st;
}

/* Shape and type as little-endian words, then the contents as in a file: the same on every machine. */
static uint32_t checksum(bf_dataset *ds, uint64_t elements)
{
    const bf_dataset_info *info = &ds->info;
    uint64_t words[5] = {info->count, info->height, info->width, info->channels,
                         ds->raw.dtype == BF_U8    ? 0
                         : ds->raw.dtype == BF_F32 ? 1
                                                   : 2};
    bf_swap_le(words, BF_U64, BF_COUNT(words));
    bf_swap_le(ds->raw.data, ds->raw.dtype, (size_t)elements);
    uint32_t crc = bf_crc32c(0, words, sizeof words);
    crc = bf_crc32c(crc, ds->raw.data, (size_t)elements * bf_dtype_size(ds->raw.dtype));
    bf_swap_le(ds->raw.data, ds->raw.dtype, (size_t)elements);
    return crc;
}

/* With the labels that were read. */
static uint32_t add_labels(bf_dataset *ds, uint32_t crc)
{
    const uint64_t n = ds->labels.label != NULL ? ds->info.count : 0;
    bf_swap_le(ds->labels.label, BF_U32, (size_t)n);
    crc = bf_crc32c(crc, ds->labels.label, (size_t)n * sizeof *ds->labels.label);
    bf_swap_le(ds->labels.label, BF_U32, (size_t)n);
    return crc;
}

static bf_status new_order(uint64_t n, order **out, bf_err *err)
{
    bf_status st = BF_OK;
    order *o = NULL;
    BF_NEW(o, 1);
    BF_NEW(o->permutation, n);
    BF_CHECK(pthread_mutex_init(&o->lock, NULL) == 0, BF_RUNTIME, "data set: cannot make a lock");
    *out = o;
    return BF_OK;
out:
    if (o != NULL) free(o->permutation);
    free(o);
    return st;
}

static bf_status open_examples(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(read_any(ds, path, err));
    BF_TRY(set_shape(ds, path, err));
    BF_TRY(open_labels(ds, path, err));
    BF_TRY(set_tables(ds, err));
    if (ds->raw.dtype == BF_F32) BF_TRY(check_floats(ds, path, err));
    BF_TRY(split(ds, err));
    ds->info.crc = add_labels(ds, checksum(ds, ds->info.count * ds->info.dims));
    ds->options.labels = ds->options.label_names = NULL; /* the caller's */
    BF_TRY(new_order(ds->info.train, &ds->order, err));
out:
    return st;
}

/* From one window of BF_SPLIT_ALL to the next. */
static uint64_t stride_of(const bf_dataset *ds)
{
    return ds->options.stride > 0 ? ds->options.stride : ds->options.length;
}

/* Which characters are for what. */
static bf_status split_text(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_dataset_options *o = &ds->options;
    bf_dataset_info *info = &ds->info;
    const uint64_t all = ds->raw.count, length = o->length, stride = stride_of(ds);
    const uint64_t test = (uint64_t)(o->test * (double)all);
    uint64_t first = o->test_part ? all - test : 0, n = o->test_part ? test : all - test, held = 0;
    if (o->limit > 0 && n > length && o->limit <= (n - length) / stride) n = length + (o->limit - 1) * stride;
    if (o->validation > 0) held = BF_MAX((uint64_t)(o->validation * (double)(n == all - test ? all : n)), length);
    if (held + length > n) {
        st = bf_fail(err, BF_FILE, "%s: %" PRIu64 " characters are too few for windows of %" PRIu64 "%s", path, n,
                     length, held > 0 ? " in training and validation" : "");
        bf_hint(err, "lower data.length, or take a longer text");
        goto out;
    }
    ds->characters = n - held;
    ds->start[BF_SPLIT_TRAIN] = ds->start[BF_SPLIT_ALL] = first;
    ds->start[BF_SPLIT_VALIDATION] = first + n - held;
    info->train = ds->characters / length;
    info->validation = held / length;
    info->count = (n - length) / stride + 1;
out:
    return st;
}

static bf_status open_text(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    const char *wanted = ds->options.vocabulary != NULL ? ds->options.vocabulary : "text8";
    bf_vocabulary v;
    BF_TRY(bf_text_read(path, wanted, ds->vocabulary, &ds->raw, err));
    ds->options.vocabulary = NULL; /* the caller's */
    BF_TRY(bf_vocabulary_parse(ds->vocabulary, &v, err));
    BF_TRY(split_text(ds, path, err));
    ds->info.height = ds->info.channels = 1;
    ds->info.width = ds->options.length;
    ds->info.dims = ds->info.row = ds->options.length;
    ds->info.classes = v.n;
    ds->info.text = true;
    ds->info.crc = checksum(ds, ds->raw.count);
out:
    return st;
}

static bf_status open_molecules(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_dataset_options *o = &ds->options;
    bf_dataset_info *info = &ds->info;
    if (o->molecules) {
        ds->molecules = *o->molecules;
        *o->molecules = (bf_molecules){0};
    } else {
        BF_TRY(bf_molecules_read(path, o->elements ? o->elements : "learned", o->scale, o->limit, &ds->molecules, err));
    }
    ds->options.elements = NULL; /* the caller's */
    ds->options.molecules = NULL;
    info->room_around = ds->molecules.around ? o->room_around : 0;
    BF_CHECK(ds->molecules.count <= UINT32_MAX, BF_FILE, "%s: more than 2^32 molecules", path);
    info->count = ds->molecules.count;
    info->height = info->width = 1;
    info->channels = BF_MOLECULE_DIMS;
    info->dims = info->row = BF_MOLECULE_DIMS;
    info->packed = true;
    info->crc = ds->molecules.crc;
    BF_TRY(split(ds, err));
    BF_TRY(new_order(info->train, &ds->order, err));
out:
    return st;
}

/* The columns as the options say. */
static bf_status learn_schema(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_csv *c = NULL;
    BF_TRY(bf_csv_open(path, &c, err));
    BF_TRY(bf_schema_infer(c, &ds->options.table, &ds->schema, err));
out:
    bf_csv_close(c);
    return st;
}

static bf_status open_table(bf_dataset *ds, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_table t = {0};
    bf_dataset_info *info = &ds->info;
    if (ds->options.schema)
        BF_TRY(bf_schema_copy(ds->options.schema, &ds->schema, err));
    else
        BF_TRY(learn_schema(ds, path, err));
    BF_TRY(bf_table_read(path, ds->schema, ds->options.limit, &t, err));
    ds->options.schema = NULL; /* the caller's, as the texts of the other options */
    ds->options.table = (bf_schema_options){0};
    const uint64_t dims = ds->schema->dims;
    ds->raw = (bf_array){.dtype = BF_F32, .ndim = 2, .dims = {t.rows, dims}, .count = t.rows * dims, .data = t.x};
    t.x = NULL;
    info->count = t.rows;
    info->height = info->channels = 1;
    info->width = (uint32_t)dims;
    info->dims = dims;
    info->row = bf_table_width(ds->schema);
    info->values = info->table = true;
    BF_TRY(split(ds, err));
    info->crc = checksum(ds, info->count * dims);
    BF_TRY(new_order(info->train, &ds->order, err));
out:
    bf_table_free(&t);
    return st;
}

static bf_status open_any(bf_dataset *ds, const char *path, bf_err *err)
{
    switch (ds->options.transform) {
    case BF_TRANSFORM_TEXT: return open_text(ds, path, err);
    case BF_TRANSFORM_MOLECULES: return open_molecules(ds, path, err);
    case BF_TRANSFORM_TABLE: return open_table(ds, path, err);
    default: return open_examples(ds, path, err);
    }
}

bf_status bf_dataset_open(const char *path, const bf_dataset_options *o, bf_dataset **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset *ds = NULL;
    BF_TRY(check_options(o, err));
    BF_NEW(ds, 1);
    ds->options = *o;
    BF_TRY(open_any(ds, path, err));
    ds->info.class_blocks = o->class_blocks;
    *out = ds;
    ds = NULL;
out:
    bf_dataset_free(ds);
    return st;
}

void bf_dataset_free(bf_dataset *ds)
{
    if (ds == NULL) return;
    if (ds->order != NULL) {
        pthread_mutex_destroy(&ds->order->lock);
        free(ds->order->permutation);
    }
    free(ds->order);
    for (uint64_t i = 0; ds->files != NULL && i < ds->raw.dims[0]; i++) free(ds->files[i]);
    free(ds->files);
    bf_labels_free(&ds->labels);
    free(ds->cifar_labels);
    bf_array_free(&ds->raw);
    bf_molecules_free(&ds->molecules);
    bf_schema_free(ds->schema);
    free(ds->train);
    free(ds->validation);
    free(ds->centre);
    free(ds);
}

bf_dataset_info bf_dataset_get_info(const bf_dataset *ds)
{
    return ds->info;
}

const bf_molecules *bf_dataset_molecules(const bf_dataset *ds)
{
    return ds->info.packed ? &ds->molecules : NULL;
}

const bf_schema *bf_dataset_schema(const bf_dataset *ds)
{
    return ds->schema;
}

const float *bf_dataset_cells(const bf_dataset *ds, uint64_t i)
{
    return (const float *)ds->raw.data + i * ds->info.dims;
}

const char *bf_dataset_vocabulary(const bf_dataset *ds)
{
    return ds->vocabulary;
}

const char *bf_dataset_label_names(const bf_dataset *ds)
{
    return ds->labels.names;
}

uint32_t bf_dataset_overlap(const bf_dataset *ds, uint64_t i)
{
    return i > 0 && ds->info.text ? ds->options.length - (uint32_t)stride_of(ds) : 0;
}

uint64_t bf_dataset_offset(const bf_dataset *ds, uint64_t i)
{
    return ds->info.text ? ds->start[BF_SPLIT_ALL] + i * stride_of(ds) + bf_dataset_overlap(ds, i) : i;
}

const char *bf_dataset_file(const bf_dataset *ds, uint64_t i)
{
    return ds->files != NULL ? ds->files[i] : NULL;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* Row `index`, mirrored into `scratch` where asked for. */
static const void *raw_row(const bf_dataset *ds, uint32_t index, bool mirror, void *scratch)
{
    size_t pixel = bf_dtype_size(ds->raw.dtype) * ds->info.channels, line = pixel * ds->info.width;
    const char *from = (const char *)ds->raw.data + (size_t)index * line * ds->info.height;
    char *to = scratch;
    if (!mirror) return from;
    for (size_t y = 0; y < ds->info.height; y++, from += line, to += line) {
        for (size_t x = 0; x < line; x += pixel) memcpy(to + x, from + line - pixel - x, pixel);
    }
    return scratch;
}

/* class = 1 where uniform < p; element e of the row uses word e of its stream. */
static void binarise(const bf_dataset *ds, const void *row, uint32_t index, uint32_t draw, int32_t *classes)
{
    uint32_t words[4] = {0};
    for (uint32_t e = 0; e < ds->info.dims; e++) {
        if (e % 4 == 0) bf_philox(ds->options.seed, e / 4, index, draw, BF_STREAM_BINARISE, words);
        float u = (float)(words[e % 4] >> 8) * (1.0f / 16777216.0f);
        float p = ds->raw.dtype == BF_U8 ? (float)((const uint8_t *)row)[e] / 255.0f : ((const float *)row)[e];
        classes[e] = u < p;
    }
}

static void put_values(const bf_dataset *ds, const void *row, float *values)
{
    if (ds->raw.dtype == BF_U8) {
        for (uint64_t e = 0; e < ds->info.dims; e++) values[e] = ds->value[((const uint8_t *)row)[e]];
    } else if (ds->options.transform == BF_TRANSFORM_BINS) {
        const float *v = row;
        for (uint64_t e = 0; e < ds->info.dims; e++) values[e] = ds->centre[bin_of(v[e], ds->options.bins)];
    } else {
        memcpy(values, row, (size_t)ds->info.dims * sizeof *values);
    }
}

static void put_bins(const bf_dataset *ds, const void *row, int32_t *classes)
{
    for (uint64_t e = 0; e < ds->info.dims; e++) {
        classes[e] = ds->raw.dtype == BF_U8 ? ds->class[((const uint8_t *)row)[e]]
                                            : bin_of(((const float *)row)[e], ds->options.bins);
    }
}

/* Which cells of a row are given: with probability options.given each with a chance that all of the row share. */
static bool choose_given(const bf_dataset *ds, uint32_t index, uint32_t draw, uint8_t *given)
{
    const uint64_t seed = ds->options.seed;
    if (!(bf_philox_uniform(seed, 0, index, draw, BF_STREAM_GIVEN) < (float)ds->options.given)) return false;
    const float chance = bf_philox_uniform(seed, 1, index, draw, BF_STREAM_GIVEN);
    for (uint32_t e = 0; e < ds->info.dims; e++)
        given[e] = bf_philox_uniform(seed, 2 + e, index, draw, BF_STREAM_GIVEN) < chance;
    return true;
}

static uint32_t label_of(const bf_dataset *ds, uint32_t index, uint32_t draw, bool training)
{
    const bf_dataset_options *o = &ds->options;
    const uint32_t label = ds->labels.label != NULL ? ds->labels.label[index] : o->label;
    if (!training || !(o->label_dropout > 0)) return label;
    return bf_philox_uniform(o->seed, 0, index, draw, BF_STREAM_LABEL) < (float)o->label_dropout ? ds->info.labels
                                                                                                 : label;
}

/* Delivers row `at` of a batch; with `scratch` for training. */
static void put_row(const bf_dataset *ds, uint32_t index, uint32_t draw, bool mirror, void *scratch, uint32_t at,
                    const bf_rows *out)
{
    uint64_t d = ds->info.dims;
    if (out->index != NULL) out->index[at] = index;
    if (out->labels != NULL) out->labels[at] = label_of(ds, index, draw, scratch != NULL);
    if (ds->info.packed) return;
    if (ds->options.transform == BF_TRANSFORM_TEXT) {
        const uint16_t *window = (const uint16_t *)ds->raw.data + index;
        for (uint64_t e = 0; out->classes != NULL && e < d; e++) out->classes[at * d + e] = window[e];
        return;
    }
    if (ds->options.transform == BF_TRANSFORM_TABLE) {
        uint8_t *given = scratch && choose_given(ds, index, draw, scratch) ? scratch : NULL;
        if (out->values != NULL)
            bf_table_feed(ds->schema, bf_dataset_cells(ds, index), given, ds->options.classes,
                          out->values + at * ds->info.row);
        return;
    }
    const void *row = raw_row(ds, index, mirror, scratch);
    if (out->values != NULL) put_values(ds, row, out->values + at * d);
    if (out->classes == NULL) return;
    if (ds->options.transform == BF_TRANSFORM_BINARISE) {
        binarise(ds, row, index, draw, out->classes + at * d);
    } else {
        put_bins(ds, row, out->classes + at * d);
    }
}

static bf_status check_rows(const bf_dataset *ds, const bf_rows *out, bf_err *err)
{
    if (ds->info.packed && (out->values != NULL || out->classes != NULL)) {
        return bf_fail(err, BF_USAGE, "data set: molecules come in blocks, not in rows");
    }
    if (out->values != NULL && !ds->info.values) {
        return bf_fail(err, BF_USAGE, "data set: binarised data and text have classes, no values");
    }
    if (out->classes != NULL && ds->info.classes == 0) {
        return bf_fail(err, BF_USAGE, "data set: continuous data have values, no classes");
    }
    if (out->labels != NULL && ds->info.labels == 0) return bf_fail(err, BF_USAGE, "data set: it has no labels");
    return BF_OK;
}

/* Indices in the data set of places first .. first + n - 1 of an epoch. */
static void epoch_indices(const bf_dataset *ds, uint32_t epoch, uint32_t first, uint32_t n, uint32_t *index)
{
    order *o = ds->order;
    pthread_mutex_lock(&o->lock);
    if (!o->valid || o->epoch != epoch) {
        bf_philox_permutation(ds->options.seed, epoch, BF_STREAM_SHUFFLE, (uint32_t)ds->info.train, o->permutation);
        o->epoch = epoch;
        o->valid = true;
    }
    for (uint32_t i = 0; i < n; i++) index[i] = ds->train[o->permutation[first + i]];
    pthread_mutex_unlock(&o->lock);
}

/* The same for a text: every window at an offset of its own. */
static void epoch_windows(const bf_dataset *ds, uint32_t epoch, uint32_t first, uint32_t n, uint32_t *index)
{
    const uint64_t offsets = ds->characters - ds->options.length + 1; /* below 2^32 */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t w[4];
        bf_philox(ds->options.seed, 0, first + i, epoch, BF_STREAM_SHUFFLE, w);
        /* floor((w0 2^32 + w1) offsets / 2^64): no offset is likelier than another by more than one part in 2^32 */
        const uint64_t at = ((uint64_t)w[0] * offsets + ((uint64_t)w[1] * offsets >> 32)) >> 32;
        index[i] = (uint32_t)(ds->start[BF_SPLIT_TRAIN] + at);
    }
}

static bool mirrored(const bf_dataset *ds, uint32_t index, uint32_t epoch)
{
    return ds->options.flip && bf_philox_uniform(ds->options.seed, 0, index, epoch, BF_STREAM_AUGMENT) < 0.5f;
}

/* Rows of an orthogonal matrix, a turn or a turn of the mirror image, all alike likely. */
static void draw_turn(uint64_t seed, uint32_t index, uint32_t epoch, double q[3][3])
{
    for (int i = 0; i < 3; i++) {
        double square = 0;
        for (int c = 0; c < 3; c++)
            q[i][c] = (double)bf_philox_normal(seed, (uint32_t)(3 * i + c), index, epoch, BF_STREAM_AUGMENT);
        for (int k = 0; k < i; k++) {
            const double dot = q[i][0] * q[k][0] + q[i][1] * q[k][1] + q[i][2] * q[k][2];
            for (int c = 0; c < 3; c++) q[i][c] -= dot * q[k][c];
        }
        for (int c = 0; c < 3; c++) square += q[i][c] * q[i][c];
        for (int c = 0; c < 3; c++) q[i][c] /= sqrt(square);
    }
}

/* n places, `stride` floats apart: moved by -origin and multiplied by q from the right. */
static void turn(float *x, uint64_t n, uint64_t stride, const double origin[3], const double q[3][3])
{
    for (uint64_t i = 0; i < n; i++, x += stride) {
        const double d[3] = {x[0] - origin[0], x[1] - origin[1], x[2] - origin[2]};
        for (int c = 0; c < 3; c++) x[c] = (float)(d[0] * q[0][c] + d[1] * q[1][c] + d[2] * q[2][c]);
    }
}

void bf_dataset_disturb(const bf_dataset *ds, uint32_t index, uint64_t position, float *rows, uint64_t atoms, float *x,
                        uint64_t around)
{
    const bf_dataset_options *o = &ds->options;
    const uint32_t epoch = (uint32_t)(position / ds->info.train);
    double mean[3] = {0, 0, 0}, q[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    if (!(o->noise > 0) && !o->rotate) return;
    for (uint64_t i = 0; i < around * 3; i++) {
        /* the turn has the first elements of the stream */
        const float z = bf_philox_normal(o->seed, (uint32_t)(16 + i), index, epoch, BF_STREAM_AUGMENT);
        if (o->noise > 0) x[i] += (float)o->noise * z;
        mean[i % 3] += (double)x[i] / (double)around;
    }
    if (o->rotate) draw_turn(o->seed, index, epoch, q);
    turn(x, around, 3, mean, (const double(*)[3])q);
    turn(rows, atoms, BF_MOLECULE_DIMS, mean, (const double(*)[3])q);
}

bf_status bf_dataset_train_rows(const bf_dataset *ds, uint64_t first, uint32_t rows, const bf_rows *out, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t *index = NULL;
    char *scratch = NULL;
    uint64_t train = ds->info.train, last;
    BF_TRY(check_rows(ds, out, err));
    BF_CHECK(bf_add_u64(first, rows, &last) && last / train < UINT32_MAX, BF_USAGE,
             "data set: training position %" PRIu64 " lies beyond 2^32 epochs", first);
    BF_NEW(index, rows);
    BF_NEW(scratch, ds->info.dims * bf_dtype_size(ds->raw.dtype));
    for (uint32_t at = 0; at < rows;) {
        uint32_t epoch = (uint32_t)((first + at) / train), place = (uint32_t)((first + at) % train);
        uint32_t n = (uint32_t)BF_MIN(rows - at, train - place);
        if (ds->options.transform == BF_TRANSFORM_TEXT)
            epoch_windows(ds, epoch, place, n, index);
        else
            epoch_indices(ds, epoch, place, n, index);
        for (uint32_t i = 0; i < n; i++) {
            put_row(ds, index[i], epoch, mirrored(ds, index[i], epoch), scratch, at + i, out);
        }
        at += n;
    }
out:
    free(index);
    free(scratch);
    return st;
}

bf_status bf_dataset_eval_rows(const bf_dataset *ds, bf_split part, uint64_t first, uint32_t rows, uint32_t draw,
                               const bf_rows *out, bf_err *err)
{
    bf_status st = BF_OK;
    const uint32_t *list = part == BF_SPLIT_TRAIN ? ds->train : part == BF_SPLIT_VALIDATION ? ds->validation : NULL;
    uint64_t size = part == BF_SPLIT_TRAIN        ? ds->info.train
                    : part == BF_SPLIT_VALIDATION ? ds->info.validation
                                                  : ds->info.count;
    BF_TRY(check_rows(ds, out, err));
    const uint64_t stride = part == BF_SPLIT_ALL ? stride_of(ds) : ds->options.length;
    BF_CHECK(first <= size && rows <= size - first, BF_USAGE,
             "data set: examples %" PRIu64 "..%" PRIu64 " wanted, this part has %" PRIu64, first, first + rows, size);
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t index = ds->options.transform == BF_TRANSFORM_TEXT ? (uint32_t)(ds->start[part] + (first + i) * stride)
                         : list != NULL                             ? list[first + i]
                                                                    : (uint32_t)(first + i);
        put_row(ds, index, draw, false, NULL, i, out);
    }
out:
    return st;
}
