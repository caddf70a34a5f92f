#include "io/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "io/kind.h"

enum { MAX_HEADER = 1 << 20, ALIGN = 64 };

static const struct {
    const char *code; /* NumPy's type code without byte order */
    bf_dtype type;
} codes[] = {
    {"f4", BF_F32}, {"f8", BF_F64}, {"f2", BF_F16}, {"i8", BF_I64}, {"i4", BF_I32}, {"i2", BF_I16},
    {"i1", BF_I8},  {"u8", BF_U64}, {"u4", BF_U32}, {"u2", BF_U16}, {"u1", BF_U8},  {"b1", BF_BOOL},
};

void bf_array_free(bf_array *a)
{
    free(a->data);
    *a = (bf_array){0};
}

/* ---- the header, a Python dictionary --------------------------------------------------------------------------- */

typedef struct cursor {
    const char *file;
    const char *text, *at; /* NUL-terminated */
} cursor;

static bf_status bad_header(const cursor *c, const char *expected, bf_err *err)
{
    return bf_fail(err, BF_FILE, "%s: NPY header, byte %td: expected %s", c->file, c->at - c->text, expected);
}

static void skip_space(cursor *c)
{
    while (*c->at == ' ' || *c->at == '\t' || *c->at == '\n') c->at++;
}

/* Skips space, then the given text if it is there. */
static bool accept(cursor *c, const char *text)
{
    size_t n = strlen(text);
    skip_space(c);
    if (strncmp(c->at, text, n) != 0) return false;
    c->at += n;
    return true;
}

static bool accept_string(cursor *c, char out[16])
{
    skip_space(c);
    char quote = *c->at;
    if (quote != '\'' && quote != '"') return false;
    const char *end = strchr(c->at + 1, quote);
    if (end == NULL || end - c->at > 15) return false;
    size_t n = (size_t)(end - c->at - 1);
    memcpy(out, c->at + 1, n);
    out[n] = '\0';
    c->at = end + 1;
    return true;
}

static bf_status parse_shape(cursor *c, bf_array *a, bf_err *err)
{
    if (!accept(c, "(")) return bad_header(c, "the shape in parentheses", err);
    a->ndim = 0;
    a->count = 1;
    while (!accept(c, ")")) {
        uint64_t d = 0;
        if (a->ndim == BF_FILE_DIMS) return bad_header(c, "at most 8 dimensions", err);
        if (*c->at < '0' || *c->at > '9') return bad_header(c, "a dimension", err);
        for (; *c->at >= '0' && *c->at <= '9'; c->at++) {
            if (!bf_mul_u64(d, 10, &d) || !bf_add_u64(d, (uint64_t)(*c->at - '0'), &d)) {
                return bad_header(c, "a dimension below 2^64", err);
            }
        }
        if (!bf_mul_u64(a->count, d, &a->count)) return bad_header(c, "dimensions with a product below 2^64", err);
        a->dims[a->ndim++] = d;
        if (!accept(c, ",") && (skip_space(c), *c->at != ')')) return bad_header(c, "\",\" or \")\"", err);
    }
    return BF_OK;
}

static bf_status parse_descr(cursor *c, bf_array *a, bool *big_endian, bf_err *err)
{
    char descr[16];
    if (!accept_string(c, descr)) return bad_header(c, "one simple element type (no structures or objects)", err);
    for (size_t i = 0; i < BF_COUNT(codes); i++) {
        if (descr[0] == '\0' || strchr("<>|", descr[0]) == NULL || strcmp(descr + 1, codes[i].code) != 0) continue;
        a->dtype = codes[i].type;
        *big_endian = descr[0] == '>';
        return BF_OK;
    }
    return bad_header(c, "a numeric element type", err);
}

static bf_status parse_dict(cursor *c, bf_array *a, bool *big_endian, bf_err *err)
{
    bf_status st = BF_OK;
    unsigned seen = 0;
    if (!accept(c, "{")) return bad_header(c, "\"{\"", err);
    while (st == BF_OK && !accept(c, "}")) {
        char key[16];
        unsigned bit;
        if (!accept_string(c, key) || !accept(c, ":")) return bad_header(c, "a key and \":\"", err);
        if (strcmp(key, "descr") == 0) {
            bit = 1;
            st = parse_descr(c, a, big_endian, err);
        } else if (strcmp(key, "fortran_order") == 0) {
            bit = 2;
            if (accept(c, "True")) {
                bf_fail(err, BF_FILE, "%s: is stored in Fortran order, expected C order", c->file);
                bf_hint(err, "save numpy.ascontiguousarray(x) instead");
                return BF_FILE;
            }
            if (!accept(c, "False")) return bad_header(c, "True or False", err);
        } else if (strcmp(key, "shape") == 0) {
            bit = 4;
            st = parse_shape(c, a, err);
        } else {
            return bad_header(c, "descr, fortran_order or shape before this point", err);
        }
        if (seen & bit) return bad_header(c, "every key once", err);
        seen |= bit;
        if (st == BF_OK && !accept(c, ",") && (skip_space(c), *c->at != '}')) {
            return bad_header(c, "\",\" or \"}\"", err);
        }
    }
    if (st == BF_OK && seen != 7) return bad_header(c, "descr, fortran_order and shape before the end", err);
    return st;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Fills everything but a->data; *data_at = offset of the data. */
static bf_status read_header(const bf_source *s, bf_array *a, bool *big_endian, uint64_t *data_at, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_source_name(s);
    unsigned char head[12];
    uint64_t length, prefix, total = bf_source_size(s);
    size_t n = (size_t)BF_MIN(total, sizeof head);
    char *text = NULL;
    BF_TRY(bf_source_read(s, 0, head, n, err));
    BF_CHECK(bf_kind_of_bytes(head, n) == BF_KIND_NPY, BF_FILE, "%s: is %s, expected an NPY array", file,
             bf_kind_text(bf_kind_of_bytes(head, n)));
    BF_CHECK(n == sizeof head, BF_FILE, "%s: has only %zu bytes: it is cut short", file, n);
    BF_CHECK(head[6] >= 1 && head[6] <= 3, BF_FILE, "%s: NPY format version %d, expected 1 to 3", file, head[6]);
    prefix = head[6] == 1 ? 10 : 12;
    length = (uint64_t)head[8] | (uint64_t)head[9] << 8;
    if (head[6] > 1) length |= (uint64_t)head[10] << 16 | (uint64_t)head[11] << 24;
    BF_CHECK(length <= MAX_HEADER && length <= total - prefix, BF_FILE,
             "%s: NPY header of %" PRIu64 " bytes does not fit a file of %" PRIu64, file, length, total);
    BF_NEW(text, length + 1);
    BF_TRY(bf_source_read(s, prefix, text, (size_t)length, err));
    cursor c = {file, text, text};
    BF_TRY(parse_dict(&c, a, big_endian, err));
    skip_space(&c);
    BF_CHECK(c.at == text + length, BF_FILE, "%s: NPY header, byte %td: unexpected text behind it", file,
             c.at - c.text);
    *data_at = prefix + length;
out:
    free(text);
    return st;
}

static bf_status read_source(const bf_source *s, bf_array *out, bf_err *err)
{
    bf_status st = BF_OK;
    bool big_endian = false;
    uint64_t data_at = 0, bytes, room;
    bf_array a = {0};
    BF_TRY(read_header(s, &a, &big_endian, &data_at, err));
    room = bf_source_size(s) - data_at;
    BF_CHECK(bf_mul_u64(a.count, bf_dtype_size(a.dtype), &bytes) && bytes == room, BF_FILE,
             "%s: %" PRIu64 " elements of type %s do not take the %" PRIu64 " bytes of the file", bf_source_name(s),
             a.count, bf_dtype_name(a.dtype), room);
    BF_TRY(bf_calloc(&a.data, (size_t)bytes, 1, err));
    BF_TRY(bf_source_read(s, data_at, a.data, (size_t)bytes, err));
    if (big_endian == bf_is_little_endian()) bf_swap_bytes(a.data, bf_dtype_size(a.dtype), (size_t)a.count);
    *out = a;
    a.data = NULL;
out:
    free(a.data);
    return st;
}

bf_status bf_npy_read(const char *path, bf_array *out, bf_err *err)
{
    bf_source *s;
    *out = (bf_array){0};
    bf_status st = bf_source_open(path, &s, err);
    if (st != BF_OK) return st;
    st = read_source(s, out, err);
    bf_source_close(s);
    return st;
}

bf_status bf_npy_parse(const char *name, const void *data, size_t size, bf_array *out, bf_err *err)
{
    bf_source *s;
    *out = (bf_array){0};
    bf_status st = bf_source_memory(name, data, size, &s, err);
    if (st != BF_OK) return st;
    st = read_source(s, out, err);
    bf_source_close(s);
    return st;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static const char *code_of(bf_dtype type)
{
    for (size_t i = 0; i < BF_COUNT(codes); i++) {
        if (codes[i].type == type) return codes[i].code;
    }
    return NULL;
}

bf_status bf_npy_write(const char *path, const bf_array *a, bf_err *err)
{
    bf_status st = BF_OK;
    bf_writer *w = NULL;
    char head[512];
    int n;
    size_t size = bf_dtype_size(a->dtype), padded;
    const char *code = code_of(a->dtype), *order = size == 1 ? "|" : bf_is_little_endian() ? "<" : ">";
    BF_CHECK(code != NULL, BF_RUNTIME, "%s: NPY has no element type %s", path, bf_dtype_name(a->dtype));
    n = 10 + snprintf(head + 10, sizeof head - 10, "{'descr': '%s%s', 'fortran_order': False, 'shape': (", order, code);
    for (int i = 0; i < a->ndim; i++) {
        n += snprintf(head + n, sizeof head - (size_t)n, "%" PRIu64 "%s", a->dims[i],
                      a->ndim == 1      ? ","
                      : i + 1 < a->ndim ? ", "
                                        : "");
    }
    n += snprintf(head + n, sizeof head - (size_t)n, "), }");
    padded = (size_t)bf_round_up((uint64_t)n + 1, ALIGN); /* ends with a newline */
    memset(head + n, ' ', padded - (size_t)n - 1);
    head[padded - 1] = '\n';
    memcpy(head, "\x93NUMPY\1\0", 8);
    head[8] = (char)((padded - 10) & 255);
    head[9] = (char)((padded - 10) >> 8);
    BF_TRY(bf_writer_open(path, &w, err));
    BF_TRY(bf_writer_put(w, head, padded, err));
    BF_TRY(bf_writer_put(w, a->data, (size_t)a->count * size, err));
    st = bf_writer_commit(w, err);
    w = NULL;
out:
    bf_writer_discard(w);
    return st;
}
