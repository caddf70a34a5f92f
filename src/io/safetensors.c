#include "io/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/size.h"
#include "io/json.h"
#include "io/kind.h"
#include "io/safetensors_keys.h"

enum {
    HEADER_AT = 8,                       /* the header follows its length */
    MAX_VALUES = BF_ST_MAX_TENSORS * 32, /* a tensor of 8 dimensions needs 18; the rest is for __metadata__ */
    CHUNK = 1 << 20                      /* bytes read at a time while converting */
};

struct bf_st {
    bf_source *source;
    json_t *root;       /* owns all names and metadata */
    const json_t *meta; /* NULL without __metadata__ */
    bf_st_tensor *tensors;
    const bf_st_tensor **by_name;
    size_t count;
    bool has_crc;
};

/* A name for a message: short, and without bytes that would act on a terminal. */
typedef struct quoted {
    char text[104];
} quoted;

static quoted quote(const char *name)
{
    quoted q;
    size_t i = 0;
    for (; name[i] != '\0' && i < sizeof q.text - 4; i++) {
        unsigned char c = (unsigned char)name[i];
        q.text[i] = c < 32 || c == 127 ? '?' : name[i];
    }
    strcpy(q.text + i, name[i] != '\0' ? "..." : "");
    return q;
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

static bf_status parse_shape(const char *file, const json_t *shape, bf_st_tensor *t, bf_err *err)
{
    bf_status st = BF_OK;
    quoted q = quote(t->name);
    BF_CHECK(json_is_array(shape), BF_FILE, "%s: tensor \"%s\": \"shape\" is missing or no list", file, q.text);
    BF_CHECK(json_array_size(shape) <= BF_FILE_DIMS, BF_FILE,
             "%s: tensor \"%s\": %zu dimensions, at most %d are accepted", file, q.text, json_array_size(shape),
             BF_FILE_DIMS);
    t->ndim = (int)json_array_size(shape);
    t->count = 1;
    for (int i = 0; i < t->ndim; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        BF_CHECK(json_is_integer(d) && json_integer_value(d) >= 0, BF_FILE,
                 "%s: tensor \"%s\": dimension %d is not a whole number >= 0", file, q.text, i);
        t->dims[i] = (uint64_t)json_integer_value(d);
        BF_CHECK(bf_mul_u64(t->count, t->dims[i], &t->count), BF_FILE,
                 "%s: tensor \"%s\": the product of its dimensions exceeds 2^64", file, q.text);
    }
out:
    return st;
}

/* One entry of the header; t->offset becomes relative to the data. `room`: bytes of data in the file. */
static bf_status parse_tensor(const char *file, const char *name, const json_t *entry, uint64_t room, bf_st_tensor *t,
                              bf_err *err)
{
    bf_status st = BF_OK;
    quoted q = quote(name);
    const json_t *dtype = json_object_get(entry, "dtype"), *range = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(range, 0), *last = json_array_get(range, 1);
    uint64_t begin, end, expected;
    t->name = name;
    BF_CHECK(strlen(name) <= BF_ST_MAX_NAME, BF_FILE, "%s: tensor \"%s\": name of %zu bytes, at most %d are accepted",
             file, q.text, strlen(name), BF_ST_MAX_NAME);
    BF_CHECK(json_is_object(entry), BF_FILE, "%s: tensor \"%s\": its entry is not an object", file, q.text);
    BF_CHECK(json_is_string(dtype), BF_FILE, "%s: tensor \"%s\": \"dtype\" is missing", file, q.text);
    BF_CHECK(bf_dtype_parse(json_string_value(dtype), &t->dtype), BF_FILE,
             "%s: tensor \"%s\": element type \"%s\" is not supported", file, q.text,
             quote(json_string_value(dtype)).text);
    BF_TRY(parse_shape(file, json_object_get(entry, "shape"), t, err));
    BF_CHECK(json_array_size(range) == 2 && json_is_integer(first) && json_is_integer(last), BF_FILE,
             "%s: tensor \"%s\": \"data_offsets\" are not two whole numbers", file, q.text);
    BF_CHECK(json_integer_value(first) >= 0 && json_integer_value(last) >= json_integer_value(first), BF_FILE,
             "%s: tensor \"%s\": data offsets %" JSON_INTEGER_FORMAT "..%" JSON_INTEGER_FORMAT " run backwards", file,
             q.text, json_integer_value(first), json_integer_value(last));
    begin = (uint64_t)json_integer_value(first);
    end = (uint64_t)json_integer_value(last);
    BF_CHECK(end <= room, BF_FILE,
             "%s: tensor \"%s\": ends at data byte %" PRIu64 ", but the file has %" PRIu64 ": it is cut short", file,
             q.text, end, room);
    BF_CHECK(bf_mul_u64(t->count, bf_dtype_size(t->dtype), &expected) && expected == end - begin, BF_FILE,
             "%s: tensor \"%s\" at data byte %" PRIu64 ": %" PRIu64 " elements of type %s do not take %" PRIu64
             " bytes",
             file, q.text, begin, t->count, bf_dtype_name(t->dtype), end - begin);
    t->offset = begin;
    t->bytes = end - begin;
out:
    return st;
}

static int by_offset(const void *a, const void *b)
{
    const bf_st_tensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1; /* empty ones may share an offset */
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    const bf_st_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Contiguous from 0 to the end of the file; offsets become absolute. */
static bf_status check_layout(bf_st *f, uint64_t data_at, uint64_t room, bf_err *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < f->count; i++) {
        bf_st_tensor *t = &f->tensors[i];
        if (t->offset != at) {
            return bf_fail(err, BF_FILE, "%s: tensor \"%s\" starts at data byte %" PRIu64 ", expected %" PRIu64 ": %s",
                           bf_st_name(f), quote(t->name).text, t->offset, at,
                           t->offset < at ? "it overlaps the tensor before" : "there is a hole before it");
        }
        at += t->bytes;
        t->offset += data_at;
    }
    if (at == room) return BF_OK;
    return bf_fail(err, BF_FILE, "%s: the tensors end at data byte %" PRIu64 ", but the file has %" PRIu64,
                   bf_st_name(f), at, room);
}

static bf_status parse_table(bf_st *f, uint64_t data_at, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_st_name(f), *key;
    uint64_t room = bf_source_size(f->source) - data_at;
    size_t n = json_object_size(f->root) - (f->meta != NULL), used = 0;
    json_t *value;
    BF_CHECK(n <= BF_ST_MAX_TENSORS, BF_FILE, "%s: %zu tensors, at most %d are accepted", file, n, BF_ST_MAX_TENSORS);
    BF_NEW(f->tensors, n);
    BF_NEW(f->by_name, n);
    json_object_foreach(f->root, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) continue;
        BF_TRY(parse_tensor(file, key, value, room, &f->tensors[used], err));
        used++;
    }
    f->count = n;
    qsort(f->tensors, n, sizeof *f->tensors, by_offset);
    BF_TRY(check_layout(f, data_at, room, err));
    for (size_t i = 0; i < n; i++) f->by_name[i] = &f->tensors[i];
    qsort(f->by_name, n, sizeof *f->by_name, by_name);
out:
    return st;
}

/* ---- metadata and CRCs ----------------------------------------------------------------------------------------- */

static bf_status parse_meta(bf_st *f, bf_err *err)
{
    const char *key;
    json_t *value;
    json_t *meta = json_object_get(f->root, "__metadata__");
    f->meta = meta;
    if (meta == NULL) return BF_OK;
    if (!json_is_object(meta)) return bf_fail(err, BF_FILE, "%s: __metadata__ is not an object", bf_st_name(f));
    json_object_foreach(meta, key, value)
    {
        if (json_is_string(value)) continue;
        return bf_fail(err, BF_FILE, "%s: __metadata__ entry \"%s\" is not a string", bf_st_name(f), quote(key).text);
    }
    return BF_OK;
}

/* Exactly 8 lower-case hexadecimal digits at p. */
static bool parse_hex(const char *p, uint32_t *out)
{
    uint32_t v = 0;
    for (int i = 0; i < 8; i++) {
        const char *digits = "0123456789abcdef", *d = p[i] != '\0' ? strchr(digits, p[i]) : NULL;
        if (d == NULL) return false;
        v = v << 4 | (uint32_t)(d - digits);
    }
    *out = v;
    return true;
}

static const char *find_bytes(const char *text, size_t size, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= size; i++) {
        if (memcmp(text + i, what, n) == 0) return text + i;
    }
    return NULL;
}

/* head: length and header as they are in the file, `size` bytes. The digits of the header's own CRC count as zeros. */
static bf_status check_header_crc(const bf_st *f, const char *head, size_t size, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t expected, found;
    const char *lead = "\"" BF_ST_KEY_HEADER_CRC "\":\"";
    const char *digits = find_bytes(head, size, lead);
    BF_CHECK(digits != NULL && (size_t)(head + size - digits) >= strlen(lead) + 8 &&
                 parse_hex(digits + strlen(lead), &expected),
             BF_FILE, "%s: the CRC of the header is not readable", bf_st_name(f));
    digits += strlen(lead);
    found = bf_crc32c(0, head, (size_t)(digits - head));
    found = bf_crc32c(found, BF_ST_NO_CRC, 8);
    found = bf_crc32c(found, digits + 8, size - 8 - (size_t)(digits - head));
    BF_CHECK(found == expected, BF_FILE, "%s: header damaged: CRC-32C %08" PRIx32 ", expected %08" PRIx32,
             bf_st_name(f), found, expected);
out:
    return st;
}

static bf_status parse_crcs(bf_st *f, const char *head, size_t size, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_st_name(f);
    const char *own = bf_st_meta_get(f, BF_ST_KEY_HEADER_CRC), *list = bf_st_meta_get(f, BF_ST_KEY_CRC);
    if (own == NULL && list == NULL) return BF_OK;
    BF_CHECK(own != NULL && list != NULL, BF_FILE, "%s: header damaged: it has only one of its two CRC entries", file);
    BF_TRY(check_header_crc(f, head, size, err));
    BF_CHECK(strlen(list) == 8 * f->count, BF_FILE, "%s: %zu hexadecimal digits of CRCs for %zu tensors, expected %zu",
             file, strlen(list), f->count, 8 * f->count);
    for (size_t i = 0; i < f->count; i++) {
        f->tensors[i].has_crc = true;
        BF_CHECK(parse_hex(list + 8 * i, &f->tensors[i].crc), BF_FILE, "%s: tensor \"%s\": its CRC is not readable",
                 file, quote(f->tensors[i].name).text);
    }
    f->has_crc = true;
out:
    return st;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static bf_status wrong_kind(const char *file, const void *data, size_t size, bf_err *err)
{
    bf_kind kind = bf_kind_of_bytes(data, size);
    bf_fail(err, BF_FILE, "%s: is %s, expected a safetensors file", file, bf_kind_text(kind));
    if (kind == BF_KIND_TORCH) {
        bf_fail(err, BF_FILE, "%s: is a PyTorch file, expected a model of bfncl", file);
        bf_hint(err, "bfncl convert FILE OUT.safetensors --config CONFIG makes it one");
    }
    return BF_FILE;
}

/* *head = length field and header, *size bytes, to be freed. */
static bf_status read_head(const bf_source *s, char **head, size_t *size, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_source_name(s);
    unsigned char start[16];
    uint64_t length = 0, total = bf_source_size(s);
    size_t n = (size_t)BF_MIN(total, sizeof start);
    BF_TRY(bf_source_read(s, 0, start, n, err));
    if (bf_kind_of_bytes(start, n) != BF_KIND_SAFETENSORS) {
        st = wrong_kind(file, start, n, err);
        goto out;
    }
    for (int i = 7; i >= 0; i--) length = length << 8 | start[i];
    BF_CHECK(length <= BF_ST_MAX_HEADER, BF_FILE,
             "%s: header length %" PRIu64 ", at most %" PRIu64 " bytes are accepted", file, length, BF_ST_MAX_HEADER);
    BF_CHECK(length <= total - HEADER_AT, BF_FILE,
             "%s: header length %" PRIu64 ", but only %" PRIu64 " bytes follow: the file is cut short", file, length,
             total - HEADER_AT);
    *size = HEADER_AT + (size_t)length;
    BF_NEW(*head, *size);
    BF_TRY(bf_source_read(s, 0, *head, *size, err));
out:
    return st;
}

/* Takes over `source`. */
static bf_status open_source(bf_source *source, bf_st **out, bf_err *err)
{
    bf_status st = BF_OK;
    char *head = NULL;
    size_t size = 0;
    bf_st *f = NULL;
    st = bf_calloc(&f, 1, sizeof *f, err);
    if (st != BF_OK) {
        bf_source_close(source);
        return st;
    }
    f->source = source;
    BF_TRY(read_head(source, &head, &size, err));
    BF_TRY(bf_json_parse(bf_st_name(f), head + HEADER_AT, size - HEADER_AT, MAX_VALUES, &f->root, err));
    BF_CHECK(json_is_object(f->root), BF_FILE, "%s: the header is not a JSON object", bf_st_name(f));
    BF_TRY(parse_meta(f, err));
    BF_TRY(parse_table(f, size, err));
    BF_TRY(parse_crcs(f, head, size, err));
    *out = f;
    f = NULL;
out:
    free(head);
    bf_st_close(f);
    return st;
}

bf_status bf_st_open(const char *path, bf_st **out, bf_err *err)
{
    bf_source *s;
    bf_status st = bf_source_open(path, &s, err);
    return st == BF_OK ? open_source(s, out, err) : st;
}

bf_status bf_st_open_memory(const char *name, const void *data, size_t size, bf_st **out, bf_err *err)
{
    bf_source *s;
    bf_status st = bf_source_memory(name, data, size, &s, err);
    return st == BF_OK ? open_source(s, out, err) : st;
}

void bf_st_close(bf_st *f)
{
    if (f == NULL) return;
    bf_source_close(f->source);
    json_decref(f->root);
    free(f->tensors);
    free(f->by_name);
    free(f);
}

/* ---- access ---------------------------------------------------------------------------------------------------- */

const char *bf_st_name(const bf_st *f)
{
    return bf_source_name(f->source);
}

size_t bf_st_count(const bf_st *f)
{
    return f->count;
}

const bf_st_tensor *bf_st_at(const bf_st *f, size_t i)
{
    return &f->tensors[i];
}

const bf_st_tensor *bf_st_find(const bf_st *f, const char *name)
{
    const bf_st_tensor key = {.name = name}, *at = &key;
    if (f->count == 0) return NULL;
    const bf_st_tensor *const *hit = bsearch(&at, f->by_name, f->count, sizeof at, by_name);
    return hit != NULL ? *hit : NULL;
}

bf_status bf_st_need(const bf_st *f, const char *name, const bf_st_tensor **out, bf_err *err)
{
    *out = bf_st_find(f, name);
    if (*out != NULL) return BF_OK;
    return bf_fail(err, BF_FILE, "%s: tensor \"%s\" is missing", bf_st_name(f), quote(name).text);
}

size_t bf_st_meta_count(const bf_st *f)
{
    return json_object_size(f->meta);
}

bf_st_meta bf_st_meta_at(const bf_st *f, size_t i)
{
    bf_st_meta m = {NULL, NULL};
    json_t *meta = json_object_get(f->root, "__metadata__"), *value;
    const char *key;
    size_t at = 0;
    json_object_foreach(meta, key, value)
    {
        if (at++ != i) continue;
        m.key = key;
        m.value = json_string_value(value);
    }
    return m;
}

const char *bf_st_meta_get(const bf_st *f, const char *key)
{
    return json_string_value(json_object_get(f->meta, key));
}

bool bf_st_has_crc(const bf_st *f)
{
    return f->has_crc;
}

/* Takes `count` elements in this machine's byte order; `first` is the index of the first. */
typedef bf_status (*sink)(const bf_st *f, const bf_st_tensor *t, const void *data, uint64_t first, size_t count,
                          void *out, bf_err *err);

/* Reads a whole tensor piece by piece, checks its CRC, and hands the pieces to `take` (may be NULL). */
static bf_status stream(const bf_st *f, const bf_st_tensor *t, sink take, void *out, bf_err *err)
{
    bf_status st = BF_OK;
    size_t size = bf_dtype_size(t->dtype);
    uint32_t crc = 0;
    char *piece = NULL;
    BF_NEW(piece, BF_MIN(t->bytes, CHUNK));
    for (uint64_t at = 0; at < t->bytes;) {
        size_t n = (size_t)BF_MIN(t->bytes - at, CHUNK);
        BF_TRY(bf_source_read(f->source, t->offset + at, piece, n, err));
        if (t->has_crc) crc = bf_crc32c(crc, piece, n);
        bf_swap_le(piece, t->dtype, n / size);
        if (take != NULL) BF_TRY(take(f, t, piece, at / size, n / size, out, err));
        at += n;
    }
    BF_CHECK(!t->has_crc || crc == t->crc, BF_FILE,
             "%s: tensor \"%s\" at offset %" PRIu64 " is damaged: CRC-32C %08" PRIx32 ", expected %08" PRIx32,
             bf_st_name(f), quote(t->name).text, t->offset, crc, t->crc);
out:
    free(piece);
    return st;
}

static bf_status take_raw(const bf_st *f, const bf_st_tensor *t, const void *data, uint64_t first, size_t count,
                          void *out, bf_err *err)
{
    size_t size = bf_dtype_size(t->dtype);
    (void)f, (void)err;
    memcpy((char *)out + first * size, data, count * size);
    return BF_OK;
}

static bf_status take_f32(const bf_st *f, const bf_st_tensor *t, const void *data, uint64_t first, size_t count,
                          void *out, bf_err *err)
{
    (void)f, (void)err;
    bf_to_f32(data, t->dtype, count, (float *)out + first);
    return BF_OK;
}

static bf_status take_f64(const bf_st *f, const bf_st_tensor *t, const void *data, uint64_t first, size_t count,
                          void *out, bf_err *err)
{
    (void)f, (void)err;
    bf_to_f64(data, t->dtype, count, (double *)out + first);
    return BF_OK;
}

static bf_status take_i32(const bf_st *f, const bf_st_tensor *t, const void *data, uint64_t first, size_t count,
                          void *out, bf_err *err)
{
    for (size_t i = 0; i < count; i++) {
        double v; /* integers beyond 2^53 round, but never into the range of int32 */
        bf_to_f64((const char *)data + i * bf_dtype_size(t->dtype), t->dtype, 1, &v);
        if (v < INT32_MIN || v > INT32_MAX) {
            return bf_fail(err, BF_FILE, "%s: tensor \"%s\": element %" PRIu64 " is %.0f, which does not fit 32 bits",
                           bf_st_name(f), quote(t->name).text, first + i, v);
        }
        ((int32_t *)out)[first + i] = (int32_t)v;
    }
    return BF_OK;
}

bf_status bf_st_read_raw(const bf_st *f, const bf_st_tensor *t, void *out, bf_err *err)
{
    return stream(f, t, take_raw, out, err);
}

bf_status bf_st_read_f32(const bf_st *f, const bf_st_tensor *t, float *out, bf_err *err)
{
    return stream(f, t, take_f32, out, err);
}

bf_status bf_st_read_f64(const bf_st *f, const bf_st_tensor *t, double *out, bf_err *err)
{
    return stream(f, t, take_f64, out, err);
}

bf_status bf_st_read_i32(const bf_st *f, const bf_st_tensor *t, int32_t *out, bf_err *err)
{
    if (t->dtype == BF_F32 || t->dtype == BF_F64 || t->dtype == BF_F16 || t->dtype == BF_BF16) {
        return bf_fail(err, BF_FILE, "%s: tensor \"%s\" has type %s, expected an integer type", bf_st_name(f),
                       quote(t->name).text, bf_dtype_name(t->dtype));
    }
    return stream(f, t, take_i32, out, err);
}

bf_status bf_st_verify(const bf_st *f, bf_err *err)
{
    for (size_t i = 0; i < f->count; i++) {
        bf_status st = f->tensors[i].has_crc ? stream(f, &f->tensors[i], NULL, NULL, err) : BF_OK;
        if (st != BF_OK) return st;
    }
    return BF_OK;
}
