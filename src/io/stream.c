#include "io/stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/size.h"
#include "io/kind.h"

enum { CHUNK = 64 << 10 };

struct bf_stream {
    const bf_source *source;
    uint64_t at;   /* next byte of the source */
    uint64_t done; /* bytes delivered */
    bool compressed, ended;
    z_stream z;
    unsigned char buffer[CHUNK];
};

bf_status bf_stream_open(const bf_source *s, bf_stream **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_stream *r = NULL;
    unsigned char magic[2];
    *out = NULL;
    BF_NEW(r, 1);
    r->source = s;
    if (bf_source_size(s) >= sizeof magic) {
        BF_TRY(bf_source_read(s, 0, magic, sizeof magic, err));
        r->compressed = bf_kind_of_bytes(magic, sizeof magic) == BF_KIND_GZIP;
    }
    /* 15 + 16: largest window, gzip header */
    BF_CHECK(!r->compressed || inflateInit2(&r->z, 15 + 16) == Z_OK, BF_RUNTIME, "%s: out of memory",
             bf_source_name(s));
    *out = r;
    r = NULL;
out:
    free(r);
    return st;
}

void bf_stream_close(bf_stream *r)
{
    if (r == NULL) return;
    if (r->compressed) inflateEnd(&r->z);
    free(r);
}

bool bf_stream_compressed(const bf_stream *r)
{
    return r->compressed;
}

uint64_t bf_stream_left(const bf_stream *r)
{
    return bf_source_size(r->source) - r->at;
}

static bf_status refill(bf_stream *r, bf_err *err)
{
    size_t n = (size_t)BF_MIN(bf_stream_left(r), CHUNK);
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
static bf_status inflate_some(bf_stream *r, unsigned char *out, size_t size, size_t *got, bf_err *err)
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

bf_status bf_stream_some(bf_stream *r, void *out, size_t size, size_t *got, bf_err *err)
{
    *got = 0;
    if (!r->compressed) {
        *got = (size_t)BF_MIN(bf_stream_left(r), size);
        r->at += *got;
        return bf_source_read(r->source, r->at - *got, out, *got, err);
    }
    while (*got == 0 && size > 0) {
        if (r->ended) {
            if (r->z.avail_in == 0 && bf_stream_left(r) == 0) return BF_OK;
            if (inflateReset(&r->z) != Z_OK) {
                return bf_fail(err, BF_RUNTIME, "%s: cannot restart decompression", bf_source_name(r->source));
            }
            r->ended = false;
        }
        bf_status st = inflate_some(r, out, size, got, err);
        if (st != BF_OK) return st;
    }
    return BF_OK;
}

bf_status bf_stream_take(bf_stream *r, void *out, uint64_t size, bf_err *err)
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

bf_status bf_stream_finish(bf_stream *r, bf_err *err)
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
    if (r->z.avail_in == 0 && bf_stream_left(r) == 0) return BF_OK;
    return bf_fail(err, BF_FILE, "%s: unexpected bytes at its end", bf_source_name(r->source));
}
