#include "io/lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/stream.h"

enum { FIRST_ROOM = 16 << 10 };

struct bf_lines {
    const bf_source *source;
    bf_stream *stream;
    char *buffer;
    size_t room;        /* of the buffer */
    size_t start, end;  /* bytes read and not delivered */
    char *line;         /* delivered last; NULL before the first and after the last */
    size_t bytes;       /* of it */
    uint64_t number;    /* of it */
    bool again, closed; /* deliver it again; the stream has ended */
};

bf_status bf_lines_open(const bf_source *s, bf_lines **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_lines *l = NULL;
    *out = NULL;
    BF_NEW(l, 1);
    l->source = s;
    l->room = FIRST_ROOM;
    BF_NEW(l->buffer, l->room);
    BF_TRY(bf_stream_open(s, &l->stream, err));
    *out = l;
    l = NULL;
out:
    bf_lines_close(l);
    return st;
}

void bf_lines_close(bf_lines *l)
{
    if (l == NULL) return;
    bf_stream_close(l->stream);
    free(l->buffer);
    free(l);
}

uint64_t bf_lines_number(const bf_lines *l)
{
    return l->number;
}

const char *bf_lines_name(const bf_lines *l)
{
    return bf_source_name(l->source);
}

void bf_lines_back(bf_lines *l)
{
    l->again = l->number > 0;
}

/* More bytes behind those in the buffer. One byte stays free, for the NUL behind a last line without an end. */
static bf_status fill(bf_lines *l, bf_err *err)
{
    bf_status st = BF_OK;
    size_t got = 0;
    if (l->start > 0) {
        memmove(l->buffer, l->buffer + l->start, l->end - l->start);
        l->end -= l->start;
        l->start = 0;
    }
    if (l->end + 1 == l->room) {
        BF_CHECK(l->end < BF_LINES_MAX, BF_FILE, "%s: line %" PRIu64 " is longer than %d bytes",
                 bf_source_name(l->source), l->number + 1, BF_LINES_MAX);
        char *more = realloc(l->buffer, 2 * l->room);
        BF_CHECK(more != NULL, BF_RUNTIME, "%s: out of memory", bf_source_name(l->source));
        l->buffer = more;
        l->room *= 2;
    }
    BF_TRY(bf_stream_some(l->stream, l->buffer + l->end, l->room - l->end - 1, &got, err));
    l->end += got;
    l->closed = got == 0;
out:
    return st;
}

bf_status bf_lines_next(bf_lines *l, char **line, size_t *bytes, bf_err *err)
{
    bf_status st = BF_OK;
    size_t scanned = 0;
    char *stop = NULL;
    if (l->again) goto deliver;
    l->line = NULL;
    l->bytes = 0;
    while (stop == NULL && !l->closed) {
        stop = memchr(l->buffer + l->start + scanned, '\n', l->end - l->start - scanned);
        scanned = l->end - l->start;
        if (stop == NULL) BF_TRY(fill(l, err));
    }
    if (stop == NULL) stop = memchr(l->buffer + l->start, '\n', l->end - l->start);
    l->number++;
    if (stop == NULL && l->start == l->end) goto deliver;
    l->line = l->buffer + l->start;
    l->bytes = stop != NULL ? (size_t)(stop - l->line) : l->end - l->start;
    l->start += l->bytes + (stop != NULL);
    if (l->bytes > 0 && l->line[l->bytes - 1] == '\r') l->bytes--;
    l->line[l->bytes] = '\0';
    BF_CHECK(memchr(l->line, '\0', l->bytes) == NULL, BF_FILE, "%s: line %" PRIu64 " holds a zero byte: not a text",
             bf_source_name(l->source), l->number);
deliver:
    l->again = false;
    *line = l->line;
    *bytes = l->bytes;
out:
    return st;
}
