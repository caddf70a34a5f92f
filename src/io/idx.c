#include "io/idx.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/size.h"
#include "io/kind.h"
#include "io/stream.h"

static bf_status parse_header(bf_stream *r, const char *file, bf_array *a, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t bytes = bf_stream_left(r);
    unsigned char head[4], dim[4];
    BF_TRY(bf_stream_take(r, head, 4, err));
    BF_CHECK(bf_kind_of_bytes(head, 4) == BF_KIND_IDX, BF_FILE,
             "%s: begins with bytes %02x %02x %02x %02x, expected an IDX file", file, head[0], head[1], head[2],
             head[3]);
    BF_CHECK(head[2] == 8, BF_FILE, "%s: IDX element type 0x%02x, only unsigned bytes (0x08) are readable", file,
             head[2]);
    a->dtype = BF_U8;
    a->ndim = head[3];
    a->count = 1;
    for (int i = 0; i < a->ndim; i++) {
        BF_TRY(bf_stream_take(r, dim, 4, err));
        a->dims[i] = (uint64_t)dim[0] << 24 | (uint64_t)dim[1] << 16 | (uint64_t)dim[2] << 8 | dim[3];
        BF_CHECK(bf_mul_u64(a->count, a->dims[i], &a->count), BF_FILE, "%s: the product of its sizes exceeds 2^64",
                 file);
    }
    /* Before anything is allocated. */
    if (bf_stream_compressed(r)) {
        BF_CHECK(a->count / BF_STREAM_MAX_INFLATE <= bytes, BF_FILE,
                 "%s: %" PRIu64 " elements cannot come out of %" PRIu64 " compressed bytes", file, a->count, bytes);
    } else {
        BF_CHECK(a->count == bf_stream_left(r), BF_FILE, "%s: %" PRIu64 " elements expected, %" PRIu64 " bytes found",
                 file, a->count, bf_stream_left(r));
    }
out:
    return st;
}

static bf_status read_source(const bf_source *s, bf_array *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_array a = {0};
    bf_stream *r = NULL;
    const char *file = bf_source_name(s);
    BF_CHECK(bf_source_size(s) >= 2, BF_FILE, "%s: is empty, expected an IDX file", file);
    BF_TRY(bf_stream_open(s, &r, err));
    BF_TRY(parse_header(r, file, &a, err));
    BF_TRY(bf_calloc(&a.data, (size_t)a.count, 1, err));
    BF_TRY(bf_stream_take(r, a.data, a.count, err));
    BF_TRY(bf_stream_finish(r, err));
    *out = a;
    a.data = NULL;
out:
    bf_stream_close(r);
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
