/*
 * safetensors: 8 bytes header length (little-endian), JSON header {name: {"dtype", "shape", "data_offsets"}}, data.
 *
 * Opening checks the whole table, so an open file has no third state: sizes fit, the data are contiguous from 0 to the
 * end of the file without hole or overlap, names are unique. Anything else is BF_FILE with file, tensor and offset.
 *
 * Files written here carry two entries in __metadata__, both or none:
 *   bfncl.crc32c         8 hexadecimal digits per tensor in the order of the data: CRC-32C of the tensor's bytes
 *   bfncl.header_crc32c  CRC-32C of everything before the data, with these 8 digits set to "00000000"
 * The header's is checked when the file is opened, a tensor's whenever it is read as a whole.
 */
#ifndef BF_IO_SAFETENSORS_H
#define BF_IO_SAFETENSORS_H

#include "base/err.h"
#include "io/dtype.h"

#define BF_ST_MAX_HEADER ((uint64_t)64 << 20)
#define BF_ST_MAX_TENSORS 65536
#define BF_ST_MAX_NAME 1024

typedef struct bf_st bf_st;

typedef struct bf_st_tensor {
    const char *name; /* owned by the file */
    bf_dtype dtype;
    int ndim;
    uint64_t dims[BF_FILE_DIMS];
    uint64_t count;  /* elements */
    uint64_t offset; /* of the first byte in the file */
    uint64_t bytes;
    bool has_crc;
    uint32_t crc;
} bf_st_tensor;

typedef struct bf_st_meta {
    const char *key;
    const char *value;
} bf_st_meta;

/* ---- reading --------------------------------------------------------------------------------------------------- */

bf_status bf_st_open(const char *path, bf_st **out, bf_err *err);
/* `data` must outlive the file. */
bf_status bf_st_open_memory(const char *name, const void *data, size_t size, bf_st **out, bf_err *err);
void bf_st_close(bf_st *f);

const char *bf_st_name(const bf_st *f);
size_t bf_st_count(const bf_st *f);
const bf_st_tensor *bf_st_at(const bf_st *f, size_t i); /* in the order of the data */
const bf_st_tensor *bf_st_find(const bf_st *f, const char *name);
/* As bf_st_find, but absent is BF_FILE. */
bf_status bf_st_need(const bf_st *f, const char *name, const bf_st_tensor **out, bf_err *err);

size_t bf_st_meta_count(const bf_st *f);
bf_st_meta bf_st_meta_at(const bf_st *f, size_t i);
const char *bf_st_meta_get(const bf_st *f, const char *key); /* NULL when absent */

/* t->bytes bytes, elements in this machine's byte order. */
bf_status bf_st_read_raw(const bf_st *f, const bf_st_tensor *t, void *out, bf_err *err);
/* t->count elements converted; every type. */
bf_status bf_st_read_f32(const bf_st *f, const bf_st_tensor *t, float *out, bf_err *err);
bf_status bf_st_read_f64(const bf_st *f, const bf_st_tensor *t, double *out, bf_err *err);
/* Integer types whose values all fit; else BF_FILE. */
bf_status bf_st_read_i32(const bf_st *f, const bf_st_tensor *t, int32_t *out, bf_err *err);

/* True when the file carries CRCs. */
bool bf_st_has_crc(const bf_st *f);
/* Reads every tensor that has a CRC and checks it. */
bf_status bf_st_verify(const bf_st *f, bf_err *err);

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* Delivers bytes [offset, offset + bytes) of an item's data, this machine's byte order, whole elements. */
typedef bf_status (*bf_st_fill)(void *user, uint64_t offset, size_t bytes, void *out, bf_err *err);

typedef struct bf_st_item {
    const char *name;
    bf_dtype dtype;
    int ndim;
    uint64_t dims[BF_FILE_DIMS];
    const void *data; /* or NULL: `fill` is called for pieces in ascending order, so that no second copy is needed */
    bf_st_fill fill;
    void *user;
} bf_st_item;

/* Writes atomically (base/file.h), with CRCs. Names and keys must be unique and valid UTF-8. */
bf_status bf_st_write(const char *path, const bf_st_item *items, size_t n_items, const bf_st_meta *meta, size_t n_meta,
                      bf_err *err);

#endif
