/* For suites about PyTorch files: archives and pickles composed by hand, whole or broken on purpose. */
#ifndef BF_TESTS_PT_FILES_H
#define BF_TESTS_PT_FILES_H

#include <zlib.h>

#include "files.h"

/* Bytes that may contain NUL. */
typedef struct bytes {
    const char *p;
    size_t n;
} bytes;
#define BYTES(literal) ((bytes){"" literal, sizeof("" literal) - 1})

/* A file under construction. */
typedef struct draft {
    unsigned char *p;
    size_t n, room;
} draft;

static inline void draft_put(draft *d, const void *p, size_t n)
{
    if (d->n + n > d->room) {
        d->room = 2 * (d->n + n) + 64;
        d->p = realloc(d->p, d->room);
        ck_assert_ptr_nonnull(d->p);
    }
    if (n > 0) memcpy(d->p + d->n, p, n);
    d->n += n;
}

/* Little-endian, `width` bytes. */
static inline void draft_number(draft *d, uint64_t v, int width)
{
    for (; width > 0; width--, v >>= 8) draft_put(d, &(unsigned char){(unsigned char)v}, 1);
}

/* One entry of an archive and what is wrong with it; 0 = nothing. */
typedef struct part {
    const char *name;
    bytes content;
    bool deflate, zip64, no_crc;
    const char *local_name; /* NULL: `name` */
    unsigned flags, method; /* added to the right ones in the directory */
    uint64_t more;          /* added to the size in the directory */
    int64_t shift;          /* added to the offset of the local header */
    /* filled in while writing */
    uint64_t at, packed;
    uint32_t crc;
} part;

static inline void part_content(draft *d, part *e)
{
    e->packed = e->content.n;
    if (!e->deflate) {
        draft_put(d, e->content.p, e->content.n);
        return;
    }
    z_stream s = {0};
    unsigned char *out = malloc(e->content.n + 100);
    ck_assert(out != NULL && deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    s.next_in = (Bytef *)e->content.p;
    s.avail_in = (uInt)e->content.n;
    s.next_out = out;
    s.avail_out = (uInt)e->content.n + 100;
    ck_assert_int_eq(deflate(&s, Z_FINISH), Z_STREAM_END);
    e->packed = s.total_out;
    deflateEnd(&s);
    draft_put(d, out, (size_t)e->packed);
    free(out);
}

/* Sizes in local headers are zero, as PyTorch writes them. */
static inline void part_local(draft *d, part *e)
{
    const char *name = e->local_name != NULL ? e->local_name : e->name;
    e->at = d->n;
    e->crc = e->no_crc ? 0 : (uint32_t)crc32(0, (const Bytef *)e->content.p, (uInt)e->content.n);
    draft_put(d, "PK\3\4", 4);
    draft_number(d, 0, 2);
    draft_number(d, 0x808, 2);
    draft_number(d, e->deflate ? 8 : 0, 2);
    draft_number(d, 0, 4 + 4 + 4 + 4);
    draft_number(d, strlen(name), 2);
    draft_number(d, 0, 2);
    draft_put(d, name, strlen(name));
    part_content(d, e);
}

static inline void part_central(draft *d, const part *e)
{
    const uint64_t size = e->content.n + e->more, packed = e->packed + (e->deflate ? 0 : e->more);
    draft_put(d, "PK\1\2", 4);
    draft_number(d, 0, 4);
    draft_number(d, 0x808 + e->flags, 2);
    draft_number(d, (e->deflate ? 8 : 0) + e->method, 2);
    draft_number(d, 0, 4);
    draft_number(d, e->crc, 4);
    draft_number(d, e->zip64 ? UINT32_MAX : packed, 4);
    draft_number(d, e->zip64 ? UINT32_MAX : size, 4);
    draft_number(d, strlen(e->name), 2);
    draft_number(d, e->zip64 ? 20 : 0, 2);
    draft_number(d, 0, 2 + 2 + 2 + 4);
    draft_number(d, e->at + (uint64_t)e->shift, 4);
    draft_put(d, e->name, strlen(e->name));
    if (!e->zip64) return;
    draft_number(d, 1, 2);
    draft_number(d, 16, 2);
    draft_number(d, size, 8);
    draft_number(d, packed, 8);
}

/* An archive; with `zip64` its end record is a Zip64 one too. The caller frees. */
static inline unsigned char *zip_compose(part *parts, size_t n, bool zip64, const char *comment, size_t *size)
{
    draft d = {0};
    for (size_t i = 0; i < n; i++) part_local(&d, &parts[i]);
    const uint64_t directory = d.n;
    for (size_t i = 0; i < n; i++) part_central(&d, &parts[i]);
    const uint64_t end = d.n;
    if (zip64) {
        draft_put(&d, "PK\6\6", 4);
        draft_number(&d, 44, 8);
        draft_number(&d, 0, 2 + 2 + 4);
        draft_number(&d, 0, 4);
        draft_number(&d, n, 8);
        draft_number(&d, n, 8);
        draft_number(&d, end - directory, 8);
        draft_number(&d, directory, 8);
        draft_put(&d, "PK\6\7", 4);
        draft_number(&d, 0, 4);
        draft_number(&d, end, 8);
        draft_number(&d, 1, 4);
    }
    draft_put(&d, "PK\5\6", 4);
    draft_number(&d, 0, 4);
    draft_number(&d, zip64 ? 0xffff : n, 2);
    draft_number(&d, zip64 ? 0xffff : n, 2);
    draft_number(&d, zip64 ? UINT32_MAX : end - directory, 4);
    draft_number(&d, zip64 ? UINT32_MAX : directory, 4);
    draft_number(&d, strlen(comment), 2);
    draft_put(&d, comment, strlen(comment));
    *size = d.n;
    return d.p;
}

/* ---- pickles ----------------------------------------------------------------------------------------------------- */

/* Texts of one byte of length, and what PyTorch writes for a tensor of storage "0" with six floats. */
#define TEXT(length, text) "X" length "\0\0\0" text
#define STORAGE_OF(type, key, count)                                                                                   \
    "(" TEXT("\7", "storage") "ctorch\n" type "Storage\n" TEXT("\1", key) TEXT("\3", "cpu") "K" count "tQ"
#define STORAGE STORAGE_OF("Float", "0", "\6")
#define TENSOR_OF(storage, first, sizes, strides)                                                                      \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage first sizes strides "\x89}tR"
#define TENSOR TENSOR_OF(STORAGE, "K\0", "K\2K\3\x86", "K\3K\1\x86")
#define ONE_ENTRY(value) "\x80\2}" TEXT("\1", "a") value "s."

#endif
