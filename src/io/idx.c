#include "io/idx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/file.h"
#include "base/size.h"
#include "io/kind.h"

enum { CHUNK = 64 << 10, MAX_INFLATE = 1032 /* no deflate stream expands further */ };

/* Bytes of the IDX file in order, inflated on the way if the file is compressed. */
typedef struct reader {
    const bf_source *source;
    uint64_t at;   /* next byte of the source */
    uint64_t done; /* bytes delivered */
    bool compressed, ended;
    z_stream z;
    unsigned char buffer[CHUNK];
} reader;

static bf_status refill(reader *r, bf_err *err)
{
    size_t n = (size_t)BF_MIN(bf_source_size(r->source) - r->at, CHUNK);
    if (n == 0) {
        return bf_fail(err, BF_FILE,
                       "%s: compressed data end too early, %" PRIu64 " bytes came out: the file is cut short",
                       bf_source_name(r->source), r->done);
    }
    r->z.next_in = r->buffer;
    r->z.avail_in = (uInt)n;
    r->at += n;
    return bf_source_read(r->source, r->at - n, r->buffer, n, err);
}

/* One call of inflate: up to `size` bytes, *got of them delivered. */
static bf_status inflate_some(reader *r, unsigned char *out, size_t size, size_t *got, bf_err *err)
{
    if (r->z.avail_in == 0) {
        bf_status st = refill(r, err);
        if (st != BF_OK) return st;
    }
    r->z.next_out = out;
    r->z.avail_out = (uInt)BF_MIN(size, (size_t)1 << 30);
    uInt room = r->z.avail_out;
    int code = inflate(&r->z, Z_NO_FLUSH);
    *got = room - r->z.avail_out;
    r->done += *got;
    r->ended = code == Z_STREAM_END;
    if (code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR) return BF_OK;
    if (code == Z_MEM_ERROR) return bf_fail(err, BF_RUNTIME, "%s: out of memory", bf_source_name(r->source));
    return bf_fail(err, BF_FILE, "%s: compressed data damaged near byte %" PRIu64 ": %s", bf_source_name(r->source),
                   r->at - r->z.avail_in, r->z.msg != NULL ? r->z.msg : "bad stream");
}

static bf_status take(reader *r, void *out, uint64_t size, bf_err *err)
{
    unsigned char *p = out;
    if (!r->compressed) {
        r->at += size;
        return bf_source_read(r->source, r->at - size, out, (size_t)size, err);
    }
    while (size > 0) {
        size_t got = 0;
        if (r->ended) {
            return bf_fail(err, BF_FILE, "%s: ends after %" PRIu64 " bytes (uncompressed), %" PRIu64 " are missing",
                           bf_source_name(r->source), r->done, size);
        }
        bf_status st = inflate_some(r, p, (size_t)size, &got, err);
        if (st != BF_OK) return st;
        p += got;
        size -= got;
    }
    return BF_OK;
}

/* Nothing may follow; this also checks the CRC at the end of a compressed file. */
static bf_status finish(reader *r, bf_err *err)
{
    while (r->compressed && !r->ended) {
        unsigned char extra;
        size_t got = 0;
        bf_status st = inflate_some(r, &extra, 1, &got, err);
        if (st != BF_OK) return st;
        if (got > 0) {
            return bf_fail(err, BF_FILE, "%s: more data than its header says", bf_source_name(r->source));
        }
    }
    if (r->z.avail_in == 0 && r->at == bf_source_size(r->source)) return BF_OK;
    return bf_fail(err, BF_FILE, "%s: unexpected bytes at its end", bf_source_name(r->source));
}

static bf_status parse_header(reader *r, bf_array *a, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_source_name(r->source);
    uint64_t room = bf_source_size(r->source);
    unsigned char head[4], dim[4];
    BF_TRY(take(r, head, 4, err));
    BF_CHECK(bf_kind_of_bytes(head, 4) == BF_KIND_IDX, BF_FILE,
             "%s: begins with bytes %02x %02x %02x %02x, expected an IDX file", file, head[0], head[1], head[2],
             head[3]);
    BF_CHECK(head[2] == 8, BF_FILE, "%s: IDX element type 0x%02x, only unsigned bytes (0x08) are readable", file,
             head[2]);
    a->dtype = BF_U8;
    a->ndim = head[3];
    a->count = 1;
    for (int i = 0; i < a->ndim; i++) {
        BF_TRY(take(r, dim, 4, err));
        a->dims[i] = (uint64_t)dim[0] << 24 | (uint64_t)dim[1] << 16 | (uint64_t)dim[2] << 8 | dim[3];
        BF_CHECK(bf_mul_u64(a->count, a->dims[i], &a->count), BF_FILE, "%s: the product of its sizes exceeds 2^64",
                 file);
    }
    /* Before anything is allocated. */
    if (r->compressed) {
        BF_CHECK(a->count / MAX_INFLATE <= room, BF_FILE,
                 "%s: %" PRIu64 " elements cannot come out of %" PRIu64 " compressed bytes", file, a->count, room);
    } else {
        BF_CHECK(a->count == room - r->at, BF_FILE, "%s: %" PRIu64 " elements expected, %" PRIu64 " bytes found", file,
                 a->count, room - r->at);
    }
out:
    return st;
}

static bf_status read_source(const bf_source *s, bf_array *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_array a = {0};
    reader *r = NULL;
    unsigned char magic[2];
    bool inflating = false;
    BF_NEW(r, 1);
    r->source = s;
    BF_CHECK(bf_source_size(s) >= sizeof magic, BF_FILE, "%s: is empty, expected an IDX file", bf_source_name(s));
    BF_TRY(bf_source_read(s, 0, magic, sizeof magic, err));
    r->compressed = bf_kind_of_bytes(magic, sizeof magic) == BF_KIND_GZIP;
    if (r->compressed) {
        BF_CHECK(inflateInit2(&r->z, 15 + 16) == Z_OK, BF_RUNTIME, "%s: out of memory", bf_source_name(s));
        inflating = true; /* 15 + 16: largest window, gzip header */
    }
    BF_TRY(parse_header(r, &a, err));
    BF_TRY(bf_calloc(&a.data, (size_t)a.count, 1, err));
    BF_TRY(take(r, a.data, a.count, err));
    BF_TRY(finish(r, err));
    *out = a;
    a.data = NULL;
out:
    if (inflating) inflateEnd(&r->z);
    free(r);
    free(a.data);
    return st;
}

bf_status bf_idx_read(const char *path, bf_array *out, bf_err *err)
{
    bf_source *s;
    *out = (bf_array){0};
    bf_status st = bf_source_open(path, &s, err);
    if (st != BF_OK) return st;
    st = read_source(s, out, err);
    bf_source_close(s);
    return st;
}

bf_status bf_idx_parse(const char *name, const void *data, size_t size, bf_array *out, bf_err *err)
{
    bf_source *s;
    *out = (bf_array){0};
    bf_status st = bf_source_memory(name, data, size, &s, err);
    if (st != BF_OK) return st;
    st = read_source(s, out, err);
    bf_source_close(s);
    return st;
}
