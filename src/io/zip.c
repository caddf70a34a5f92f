#include "io/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/size.h"

enum {
    END_BYTES = 22,      /* end of central directory, without its comment */
    LOCATOR_BYTES = 20,  /* of the Zip64 end record */
    END64_BYTES = 56,    /* Zip64 end record */
    CENTRAL_BYTES = 46,  /* fixed part of a directory entry */
    LOCAL_BYTES = 30,    /* fixed part of a local header */
    MAX_COMMENT = 65535, /* of the archive */
    FLAG_ENCRYPTED = 1,
    DEFLATE_RATIO = 1032 /* no deflated stream is longer than this times its packed size */
};

struct bf_zip {
    const char *name;
    const unsigned char *data;
    uint64_t size;
    uint64_t directory; /* offset and bytes of the central directory */
    uint64_t directory_bytes;
    bf_zip_entry *entries; /* by name */
    size_t count;
    void *inflated; /* content of ... */
    const bf_zip_entry *inflated_entry;
};

static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    while (bytes-- > 0) v = v << 8 | p[bytes];
    return v;
}

/* ---- directory --------------------------------------------------------------------------------------------------- */

/* The end record: its comment reaches exactly the end of the file. */
static bf_status find_end(const bf_zip *z, uint64_t *at, bf_err *err)
{
    for (uint64_t back = END_BYTES; back <= z->size && back <= END_BYTES + MAX_COMMENT; back++) {
        const unsigned char *p = z->data + (z->size - back);
        if (memcmp(p, "PK\5\6", 4) != 0 || number(p + 20, 2) != back - END_BYTES) continue;
        *at = z->size - back;
        return BF_OK;
    }
    return bf_fail(err, BF_FILE, "%s: the archive has no end record: it is cut short or damaged", z->name);
}

/* Sets directory, directory_bytes and *count. */
static bf_status find_directory(bf_zip *z, uint64_t *count, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t end = 0, at64;
    const unsigned char *p, *q;
    BF_TRY(find_end(z, &end, err));
    p = z->data + end;
    BF_CHECK(number(p + 4, 2) == 0 && number(p + 6, 2) == 0 && number(p + 8, 2) == number(p + 10, 2), BF_FILE,
             "%s: the archive is one of several volumes, or its end record is damaged", z->name);
    *count = number(p + 10, 2);
    z->directory_bytes = number(p + 12, 4);
    z->directory = number(p + 16, 4);
    if (end >= LOCATOR_BYTES + END64_BYTES && memcmp(p - LOCATOR_BYTES, "PK\6\7", 4) == 0) {
        at64 = number(p - LOCATOR_BYTES + 8, 8);
        BF_CHECK(at64 <= end - LOCATOR_BYTES - END64_BYTES && memcmp(z->data + at64, "PK\6\6", 4) == 0, BF_FILE,
                 "%s: the archive's Zip64 end record is not where it should be", z->name);
        q = z->data + at64;
        BF_CHECK(number(q + 16, 4) == 0 && number(q + 20, 4) == 0 && number(q + 24, 8) == number(q + 32, 8), BF_FILE,
                 "%s: the archive is one of several volumes, or its end record is damaged", z->name);
        *count = number(q + 32, 8);
        z->directory_bytes = number(q + 40, 8);
        z->directory = number(q + 48, 8);
        end = at64;
    }
    BF_CHECK(z->directory <= end && z->directory_bytes <= end - z->directory, BF_FILE,
             "%s: the archive's directory (%" PRIu64 " bytes at %" PRIu64 ") does not fit in front of byte %" PRIu64,
             z->name, z->directory_bytes, z->directory, end);
    BF_CHECK(*count <= BF_ZIP_MAX_ENTRIES && *count <= z->directory_bytes / CENTRAL_BYTES, BF_FILE,
             "%s: the archive's directory of %" PRIu64 " bytes cannot hold %" PRIu64 " entries", z->name,
             z->directory_bytes, *count);
out:
    return st;
}

/* Replaces the sizes and the offset that do not fit 32 bits by those of the Zip64 field, which has only these. */
static bool zip64(const unsigned char *extra, size_t bytes, uint64_t *values[3])
{
    bool wanted = false;
    for (int i = 0; i < 3; i++) wanted = wanted || *values[i] == UINT32_MAX;
    while (wanted && bytes >= 4) {
        const size_t id = (size_t)number(extra, 2), n = (size_t)number(extra + 2, 2);
        if (n > bytes - 4) return false;
        if (id == 1) {
            size_t at = 4;
            for (int i = 0; i < 3; i++) {
                if (*values[i] != UINT32_MAX) continue;
                if (at + 8 > 4 + n) return false;
                *values[i] = number(extra + at, 8);
                at += 8;
            }
            return true;
        }
        extra += 4 + n;
        bytes -= 4 + n;
    }
    return !wanted;
}

/* The local header: same name and method; the content lies between it and the directory. */
static bf_status check_local(const bf_zip *z, bf_zip_entry *e, uint64_t method, bf_err *err)
{
    bf_status st = BF_OK;
    const unsigned char *p = z->data + e->header;
    const int n = (int)BF_MIN(e->name_bytes, (size_t)200);
    BF_CHECK(e->header <= z->directory && z->directory - e->header >= LOCAL_BYTES && memcmp(p, "PK\3\4", 4) == 0,
             BF_FILE, "%s: archive entry \"%.*s\": no local header at byte %" PRIu64, z->name, n, e->name, e->header);
    const uint64_t name_bytes = number(p + 26, 2), head = LOCAL_BYTES + name_bytes + number(p + 28, 2);
    BF_CHECK(name_bytes == e->name_bytes && name_bytes <= z->directory - e->header - LOCAL_BYTES &&
                 memcmp(p + LOCAL_BYTES, e->name, e->name_bytes) == 0 && number(p + 8, 2) == method &&
                 (number(p + 6, 2) & FLAG_ENCRYPTED) == 0,
             BF_FILE, "%s: archive entry \"%.*s\": its local header does not agree with the directory", z->name, n,
             e->name);
    BF_CHECK(head <= z->directory - e->header && e->packed <= z->directory - e->header - head, BF_FILE,
             "%s: archive entry \"%.*s\": %" PRIu64 " bytes at %" PRIu64 " run into the directory at %" PRIu64, z->name,
             n, e->name, e->packed, e->header + head, z->directory);
    e->at = e->header + head;
out:
    return st;
}

/* One entry of the directory at *p, `room` bytes before its end; advances both. */
static bf_status parse_entry(const bf_zip *z, const unsigned char **at, uint64_t *room, bf_zip_entry *e, bf_err *err)
{
    bf_status st = BF_OK;
    const unsigned char *p = *at;
    BF_CHECK(*room >= CENTRAL_BYTES && memcmp(p, "PK\1\2", 4) == 0, BF_FILE,
             "%s: the archive's directory is damaged at byte %" PRIu64, z->name, (uint64_t)(p - z->data));
    const size_t extra = (size_t)number(p + 30, 2);
    e->name = (const char *)p + CENTRAL_BYTES;
    e->name_bytes = (size_t)number(p + 28, 2);
    const uint64_t bytes = CENTRAL_BYTES + e->name_bytes + extra + number(p + 32, 2), method = number(p + 10, 2);
    BF_CHECK(bytes <= *room, BF_FILE, "%s: the archive's directory is damaged at byte %" PRIu64, z->name,
             (uint64_t)(p - z->data));
    const int n = (int)BF_MIN(e->name_bytes, (size_t)200);
    e->crc = (uint32_t)number(p + 16, 4);
    e->packed = number(p + 20, 4);
    e->size = number(p + 24, 4);
    e->header = number(p + 42, 4);
    BF_CHECK(zip64(p + CENTRAL_BYTES + e->name_bytes, extra, (uint64_t *[3]){&e->size, &e->packed, &e->header}),
             BF_FILE, "%s: archive entry \"%.*s\": its Zip64 sizes are missing", z->name, n, e->name);
    BF_CHECK((number(p + 8, 2) & FLAG_ENCRYPTED) == 0, BF_FILE, "%s: archive entry \"%.*s\" is encrypted", z->name, n,
             e->name);
    BF_CHECK(method == 0 || method == 8, BF_FILE,
             "%s: archive entry \"%.*s\": compression method %" PRIu64 " is not supported", z->name, n, e->name,
             method);
    e->deflated = method == 8;
    BF_CHECK(e->deflated ? e->size / DEFLATE_RATIO <= e->packed : e->size == e->packed, BF_FILE,
             "%s: archive entry \"%.*s\": %" PRIu64 " bytes cannot come from %" PRIu64, z->name, n, e->name, e->size,
             e->packed);
    BF_TRY(check_local(z, e, method, err));
    *at += bytes;
    *room -= bytes;
out:
    return st;
}

static int by_header(const void *a, const void *b)
{
    const bf_zip_entry *x = a, *y = b;
    return x->header < y->header ? -1 : x->header > y->header;
}

static int by_name(const void *a, const void *b)
{
    const bf_zip_entry *x = a, *y = b;
    const int order = memcmp(x->name, y->name, BF_MIN(x->name_bytes, y->name_bytes));
    return order != 0 ? order : x->name_bytes < y->name_bytes ? -1 : x->name_bytes > y->name_bytes;
}

/* No two entries share a byte or a name; leaves them in the order of the names. */
static bf_status check_entries(bf_zip *z, bf_err *err)
{
    bf_status st = BF_OK;
    bf_zip_entry *e = z->entries;
    qsort(e, z->count, sizeof *e, by_header);
    for (size_t i = 1; i < z->count; i++)
        BF_CHECK(e[i].header >= e[i - 1].at + e[i - 1].packed, BF_FILE, "%s: archive entries overlap at byte %" PRIu64,
                 z->name, e[i].header);
    qsort(e, z->count, sizeof *e, by_name);
    for (size_t i = 1; i < z->count; i++)
        BF_CHECK(by_name(&e[i - 1], &e[i]) != 0, BF_FILE, "%s: two archive entries are called \"%.*s\"", z->name,
                 (int)BF_MIN(e[i].name_bytes, (size_t)200), e[i].name);
out:
    return st;
}

bf_status bf_zip_open(const char *name, const void *data, size_t size, bf_zip **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_zip *z = NULL;
    uint64_t count = 0, room;
    const unsigned char *p;
    BF_NEW(z, 1);
    z->name = name;
    z->data = data;
    z->size = size;
    BF_TRY(find_directory(z, &count, err));
    BF_NEW(z->entries, count);
    p = z->data + z->directory;
    room = z->directory_bytes;
    for (uint64_t i = 0; i < count; i++) BF_TRY(parse_entry(z, &p, &room, &z->entries[i], err));
    BF_CHECK(room == 0, BF_FILE, "%s: the archive's directory holds more than its %" PRIu64 " entries", name, count);
    z->count = (size_t)count;
    BF_TRY(check_entries(z, err));
    *out = z;
    z = NULL;
out:
    bf_zip_close(z);
    return st;
}

void bf_zip_close(bf_zip *z)
{
    if (z == NULL) return;
    free(z->entries);
    free(z->inflated);
    free(z);
}

size_t bf_zip_count(const bf_zip *z)
{
    return z->count;
}

bf_zip_entry *bf_zip_at(bf_zip *z, size_t i)
{
    return &z->entries[i];
}

/* ---- content ----------------------------------------------------------------------------------------------------- */

/* "FOLDER/NAME" against an entry's name, in the order of by_name. */
static int compare(const bf_zip_entry *e, const char *folder, size_t folder_bytes, const char *name, size_t name_bytes)
{
    const struct {
        const char *text;
        size_t bytes;
    } parts[3] = {{folder, folder_bytes}, {"/", 1}, {name, name_bytes}};
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        const size_t n = BF_MIN(parts[i].bytes, e->name_bytes - at);
        const int order = memcmp(parts[i].text, e->name + at, n);
        if (order != 0) return order;
        if (n < parts[i].bytes) return 1;
        at += n;
    }
    return at < e->name_bytes ? -1 : 0;
}

bf_zip_entry *bf_zip_find(bf_zip *z, const char *folder, size_t folder_bytes, const char *name, size_t name_bytes)
{
    size_t low = 0, high = z->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare(&z->entries[middle], folder, folder_bytes, name, name_bytes);
        if (order == 0) return &z->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* A raw deflate stream that gives exactly e->size bytes and uses exactly e->packed. */
static bf_status inflate_entry(bf_zip *z, const bf_zip_entry *e, bf_err *err)
{
    bf_status st = BF_OK;
    const unsigned char *in = z->data + e->at;
    uint64_t in_left = e->packed, out_left = e->size;
    unsigned char *to;
    int code = Z_OK;
    bool started = false;
    z_stream s = {0};
    free(z->inflated);
    z->inflated = NULL;
    z->inflated_entry = NULL;
    BF_CHECK(e->size < SIZE_MAX, BF_RUNTIME, "%s: too large for this machine", z->name);
    BF_TRY(bf_calloc(&z->inflated, (size_t)e->size + 1, 1, err));
    to = z->inflated;
    BF_CHECK(inflateInit2(&s, -MAX_WBITS) == Z_OK, BF_RUNTIME, "%s: out of memory while inflating", z->name);
    started = true;
    s.next_in = (Bytef *)in; /* not written to */
    s.next_out = to;
    while (code == Z_OK) { /* the lengths of zlib have 32 bits */
        const uInt feed = (uInt)BF_MIN(in_left, (uint64_t)1 << 30), room = (uInt)BF_MIN(out_left, (uint64_t)1 << 30);
        s.avail_in = feed;
        s.avail_out = room;
        code = inflate(&s, Z_NO_FLUSH);
        in_left -= feed - s.avail_in;
        out_left -= room - s.avail_out;
        if (code == Z_OK && s.avail_in == feed && s.avail_out == room) break;
    }
    BF_CHECK(code == Z_STREAM_END && in_left == 0 && out_left == 0, BF_FILE,
             "%s: archive entry \"%.*s\": its compressed content is damaged", z->name,
             (int)BF_MIN(e->name_bytes, (size_t)200), e->name);
    z->inflated_entry = e;
out:
    if (started) inflateEnd(&s);
    return st;
}

static bf_status check_crc(const bf_zip *z, bf_zip_entry *e, const void *data, bf_err *err)
{
    bf_status st = BF_OK;
    const unsigned char *p = data;
    uLong crc = crc32(0, NULL, 0);
    if (e->checked || (e->crc == 0 && e->size > 0)) return BF_OK;
    for (uint64_t left = e->size; left > 0;) {
        const uInt n = (uInt)BF_MIN(left, (uint64_t)1 << 30);
        crc = crc32(crc, p, n);
        p += n;
        left -= n;
    }
    BF_CHECK(crc == e->crc, BF_FILE, "%s: archive entry \"%.*s\" is damaged: CRC-32 %08" PRIx32 ", expected %08" PRIx32,
             z->name, (int)BF_MIN(e->name_bytes, (size_t)200), e->name, (uint32_t)crc, e->crc);
    e->checked = true;
out:
    return st;
}

bf_status bf_zip_content(bf_zip *z, bf_zip_entry *e, const void **data, bf_err *err)
{
    bf_status st = BF_OK;
    if (e->deflated && z->inflated_entry != e) BF_TRY(inflate_entry(z, e, err));
    *data = e->deflated ? z->inflated : (const void *)(z->data + e->at);
    BF_TRY(check_crc(z, e, *data, err));
out:
    return st;
}
