#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/size.h"
#include "io/safetensors.h"
#include "io/safetensors_keys.h"

enum {
    ALIGN = 64,     /* of the data in the file */
    CHUNK = 4 << 20 /* bytes delivered per call of an item's `fill` */
};

/* Takes over `value`. */
static bf_status add(json_t *object, const char *key, json_t *value, const char *path, bf_err *err)
{
    bool repeated = json_object_get(object, key) != NULL;
    if (!repeated && json_object_set_new(object, key, value) == 0) return BF_OK; /* frees value when it fails */
    if (repeated) json_decref(value);
    return bf_fail(err, BF_RUNTIME, "%s: cannot write entry \"%.200s\": %s", path, key,
                   repeated ? "the name occurs twice" : "not UTF-8, or out of memory");
}

/* {"dtype", "shape", "data_offsets"} of an item that starts at *at, which moves to its end. */
static bf_status add_item(json_t *root, const bf_st_item *item, uint64_t *at, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *entry = json_object(), *shape = json_array();
    uint64_t bytes = bf_dtype_size(item->dtype), end = 0;
    bool fits = item->ndim >= 0 && item->ndim <= BF_FILE_DIMS && strlen(item->name) <= BF_ST_MAX_NAME;
    for (int i = 0; fits && i < item->ndim; i++) {
        fits = bf_mul_u64(bytes, item->dims[i], &bytes) && item->dims[i] <= INT64_MAX &&
               json_array_append_new(shape, json_integer((json_int_t)item->dims[i])) == 0;
    }
    fits = fits && bf_add_u64(*at, bytes, &end) && end <= INT64_MAX;
    if (!fits || json_object_set_new(entry, "dtype", json_string(bf_dtype_name(item->dtype))) != 0 ||
        json_object_set(entry, "shape", shape) != 0 ||
        json_object_set_new(entry, "data_offsets", json_pack("[II]", (json_int_t)*at, (json_int_t)end)) != 0) {
        json_decref(entry);
        st = bf_fail(err, BF_RUNTIME, "%s: cannot describe tensor \"%.200s\"", path, item->name);
        goto out;
    }
    *at = end;
    st = add(root, item->name, entry, path, err);
out:
    json_decref(shape);
    return st;
}

/* The length field and the header, padded with spaces so that the data are aligned. */
static bf_status build_head(const char *path, const bf_st_item *items, size_t n_items, const bf_st_meta *meta,
                            size_t n_meta, const char *crcs, const char *header_crc, char **head, size_t *size,
                            bf_err *err)
{
    bf_status st = BF_OK;
    json_t *root = json_object(), *own = json_object();
    char *text = NULL;
    uint64_t at = 0;
    size_t length;
    /* __metadata__ comes first, so that its CRC entries are the first of that form in the text. */
    BF_TRY(add(own, BF_ST_KEY_HEADER_CRC, json_string(header_crc), path, err));
    BF_TRY(add(own, BF_ST_KEY_CRC, json_string(crcs), path, err));
    BF_TRY(add(root, "__metadata__", json_incref(own), path, err));
    for (size_t i = 0; i < n_meta; i++) BF_TRY(add(own, meta[i].key, json_string(meta[i].value), path, err));
    for (size_t i = 0; i < n_items; i++) BF_TRY(add_item(root, &items[i], &at, path, err));
    text = json_dumps(root, JSON_COMPACT);
    BF_CHECK(text != NULL, BF_RUNTIME, "%s: out of memory while writing the header", path);
    length = strlen(text);
    *size = (size_t)bf_round_up(8 + length, ALIGN);
    BF_CHECK(*size - 8 <= BF_ST_MAX_HEADER, BF_RUNTIME, "%s: header of %zu bytes, at most %" PRIu64 " can be read back",
             path, *size - 8, BF_ST_MAX_HEADER);
    BF_NEW(*head, *size);
    for (int i = 0; i < 8; i++) (*head)[i] = (char)((uint64_t)(*size - 8) >> 8 * i);
    memcpy(*head + 8, text, length);
    memset(*head + 8 + length, ' ', *size - 8 - length);
out:
    free(text);
    json_decref(own);
    json_decref(root);
    return st;
}

/* Streams one item's bytes, little-endian, and computes their CRC. `piece` has CHUNK bytes. */
static bf_status put_item(bf_writer *w, const bf_st_item *item, char *piece, uint32_t *crc, bf_err *err)
{
    bf_status st = BF_OK;
    size_t element = bf_dtype_size(item->dtype);
    uint64_t bytes = element;
    for (int i = 0; i < item->ndim; i++) bytes *= item->dims[i];
    for (uint64_t at = 0; at < bytes;) {
        size_t n = (size_t)BF_MIN(bytes - at, CHUNK);
        if (item->data != NULL) {
            memcpy(piece, (const char *)item->data + at, n);
        } else {
            BF_TRY(item->fill(item->user, at, n, piece, err));
        }
        bf_swap_le(piece, item->dtype, n / element);
        *crc = bf_crc32c(*crc, piece, n);
        BF_TRY(bf_writer_put(w, piece, n, err));
        at += n;
    }
out:
    return st;
}

bf_status bf_st_write(const char *path, const bf_st_item *items, size_t n_items, const bf_st_meta *meta, size_t n_meta,
                      bf_err *err)
{
    bf_status st = BF_OK;
    bf_writer *w = NULL;
    char *crcs = NULL, *head = NULL, *piece = NULL, own[9];
    size_t size = 0;
    BF_CHECK(n_items <= BF_ST_MAX_TENSORS, BF_RUNTIME, "%s: %zu tensors, at most %d can be read back", path, n_items,
             BF_ST_MAX_TENSORS);
    BF_NEW(crcs, 8 * n_items + 1);
    BF_NEW(piece, CHUNK);
    /* The CRCs have a fixed width: the header is written with zeros, and again when the data are through. */
    memset(crcs, '0', 8 * n_items);
    BF_TRY(build_head(path, items, n_items, meta, n_meta, crcs, BF_ST_NO_CRC, &head, &size, err));
    BF_TRY(bf_writer_open(path, &w, err));
    BF_TRY(bf_writer_put(w, head, size, err));
    for (size_t i = 0; i < n_items; i++) {
        uint32_t crc = 0;
        char digits[9];
        BF_TRY(put_item(w, &items[i], piece, &crc, err));
        snprintf(digits, sizeof digits, "%08" PRIx32, crc);
        memcpy(crcs + 8 * i, digits, 8);
    }
    free(head);
    head = NULL;
    BF_TRY(build_head(path, items, n_items, meta, n_meta, crcs, BF_ST_NO_CRC, &head, &size, err));
    snprintf(own, sizeof own, "%08" PRIx32, bf_crc32c(0, head, size));
    free(head);
    head = NULL;
    BF_TRY(build_head(path, items, n_items, meta, n_meta, crcs, own, &head, &size, err));
    BF_TRY(bf_writer_patch(w, 0, head, size, err));
    st = bf_writer_commit(w, err);
    w = NULL;
out:
    bf_writer_discard(w);
    free(head);
    free(crcs);
    free(piece);
    return st;
}
