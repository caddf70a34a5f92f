#include "io/csv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "base/utf8.h"

struct bf_csv {
    bf_source *source;
    const char *name;
    const char *p; /* all bytes */
    size_t size;
    char separator;
    uint32_t columns;
    char **names;
    bf_csv_cell *cells; /* [columns], of the row at hand; while the header is read [room] */
    uint32_t room;
    size_t at, first; /* where the next row begins; where the first one behind the header does */
    uint64_t row;     /* number of the row at hand */
    size_t checked;   /* valid UTF-8 up to here */
};

/* ---- cells ------------------------------------------------------------------------------------------------------- */

static bool ends_row(char c)
{
    return c == '\n' || c == '\r';
}

/* Behind the line end at `at`. */
static size_t skip_line_end(const bf_csv *c, size_t at)
{
    const bool cr = at < c->size && c->p[at] == '\r';
    at += cr;
    return at < c->size && c->p[at] == '\n' ? at + 1 : at;
}

/* The cell at *at; *at is then on what ends it. */
static bf_status read_cell(const bf_csv *c, size_t *at, bf_csv_cell *cell, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t start = *at;
    size_t i = start;
    cell->quoted = i < c->size && c->p[i] == '"';
    if (cell->quoted) {
        for (i++;; i++) {
            BF_CHECK(i < c->size && i - start < BF_CSV_CELL, BF_FILE,
                     "%s: row %" PRIu64 ": a quote is opened and not closed%s", c->name, c->row,
                     i < c->size ? " within 64 KiB" : "");
            if (c->p[i] != '"') continue;
            if (i + 1 == c->size || c->p[i + 1] != '"') break;
            i++;
        }
        i++;
        BF_CHECK(i == c->size || c->p[i] == c->separator || ends_row(c->p[i]), BF_FILE,
                 "%s: row %" PRIu64 ": text behind the quotes of a cell", c->name, c->row);
    }
    while (i < c->size && c->p[i] != c->separator && !ends_row(c->p[i])) i++;
    BF_CHECK(i - start < BF_CSV_CELL, BF_FILE, "%s: row %" PRIu64 ": a cell of more than 64 KiB", c->name, c->row);
    cell->raw = c->p + start;
    cell->size = (uint32_t)(i - start);
    *at = i;
out:
    return st;
}

/* Bytes before `end` are text. */
static bf_status check_text(bf_csv *c, size_t end, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t code;
    while (c->checked < end) {
        const size_t n = bf_utf8_decode((const unsigned char *)c->p + c->checked, c->size - c->checked, &code);
        if (n == 0 || code == 0) {
            st = bf_fail(err, BF_FILE, "%s: row %" PRIu64 ", byte %zu of the file: 0x%02x is not UTF-8 text", c->name,
                         c->row, c->checked, (unsigned)(unsigned char)c->p[c->checked]);
            bf_hint(err, "convert the file first, such as: iconv -f latin1 -t utf-8");
            goto out;
        }
        c->checked += n;
    }
out:
    return st;
}

/* A longer list of cells. */
static bf_status grow(bf_csv *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_csv_cell *more = NULL;
    BF_CHECK(c->room < BF_CSV_COLUMNS, BF_FILE, "%s: row %" PRIu64 ": more than %d columns", c->name, c->row,
             BF_CSV_COLUMNS);
    const uint32_t room = BF_MIN(BF_MAX(16u, 2 * c->room), (uint32_t)BF_CSV_COLUMNS);
    BF_NEW(more, room);
    if (c->room) memcpy(more, c->cells, c->room * sizeof *more);
    free(c->cells);
    c->cells = more;
    c->room = room;
out:
    return st;
}

/* The row at c->at into c->cells, *n of them; c->columns = 0 while their number is not known. */
static bf_status read_row(bf_csv *c, uint32_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    size_t at = c->at;
    *n = 0;
    for (bool more = true; more;) {
        BF_CHECK(c->columns == 0 || *n < c->columns, BF_FILE,
                 "%s: row %" PRIu64 ": more than the %u cells of the header", c->name, c->row, c->columns);
        if (*n == c->room) BF_TRY(grow(c, err));
        BF_TRY(read_cell(c, &at, &c->cells[(*n)++], err));
        more = at < c->size && c->p[at] == c->separator;
        at += more;
    }
    BF_CHECK(c->columns == 0 || *n == c->columns, BF_FILE, "%s: row %" PRIu64 ": %u cells, the header has %u", c->name,
             c->row, *n, c->columns);
    at = skip_line_end(c, at);
    BF_TRY(check_text(c, at, err));
    c->at = at;
out:
    return st;
}

const char *bf_csv_text(const bf_csv_cell *cell, char *buffer)
{
    size_t n = 0;
    if (!cell->quoted) {
        memcpy(buffer, cell->raw, cell->size);
        n = cell->size;
    }
    for (uint32_t i = 1; cell->quoted && i + 1 < cell->size; i++) {
        buffer[n++] = cell->raw[i];
        i += cell->raw[i] == '"'; /* the second of a pair */
    }
    buffer[n] = '\0';
    return buffer;
}

size_t bf_csv_quote(const char *text, char separator, char *out)
{
    size_t n = 0;
    const char special[] = {separator, '"', '\n', '\r', '\0'};
    const bool quoted = strpbrk(text, special) != NULL;
    if (quoted) out[n++] = '"';
    for (; *text; text++) {
        if (*text == '"' && quoted) out[n++] = '"';
        out[n++] = *text;
    }
    if (quoted) out[n++] = '"';
    out[n] = '\0';
    return n;
}

/* ---- header ------------------------------------------------------------------------------------------------------ */

/* The separator that the first line has most of, outside quotes. */
static char find_separator(const bf_csv *c)
{
    static const char candidates[] = ",;\t";
    size_t count[3] = {0};
    bool quoted = false;
    int best = 0;
    for (size_t i = c->at; i < c->size && (quoted || !ends_row(c->p[i])); i++) {
        if (c->p[i] == '"') quoted = !quoted;
        for (int k = 0; k < 3 && !quoted; k++) count[k] += c->p[i] == candidates[k];
    }
    for (int k = 1; k < 3; k++)
        if (count[k] > count[best]) best = k;
    return candidates[best];
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every name once. */
static bf_status check_names(const bf_csv *c, bf_err *err)
{
    bf_status st = BF_OK;
    const char **sorted = NULL;
    BF_NEW(sorted, c->columns);
    memcpy(sorted, c->names, c->columns * sizeof *sorted);
    qsort(sorted, c->columns, sizeof *sorted, by_name);
    for (uint32_t i = 1; i < c->columns; i++)
        BF_CHECK(strcmp(sorted[i - 1], sorted[i]) != 0, BF_FILE, "%s: row 1: two columns are called \"%.60s\"", c->name,
                 sorted[i]);
out:
    free(sorted);
    return st;
}

static bf_status read_header(bf_csv *c, bf_err *err)
{
    bf_status st = BF_OK;
    char *text = NULL;
    uint32_t n;
    BF_CHECK(c->size > 0, BF_FILE, "%s: the file is empty, expected a table with a header", c->name);
    if (c->size >= 3 && memcmp(c->p, "\xef\xbb\xbf", 3) == 0) c->at = c->checked = 3;
    c->separator = find_separator(c);
    c->row = 1;
    BF_TRY(read_row(c, &n, err));
    BF_NEW(c->names, n);
    BF_NEW(text, BF_CSV_CELL);
    c->columns = n;
    for (uint32_t i = 0; i < n; i++) {
        bf_csv_text(&c->cells[i], text);
        BF_CHECK(text[0] != '\0', BF_FILE, "%s: row 1: column %u has no name", c->name, i + 1);
        BF_NEW(c->names[i], strlen(text) + 1);
        strcpy(c->names[i], text);
    }
    BF_TRY(check_names(c, err));
    c->first = c->at;
out:
    free(text);
    return st;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

static bf_status start(bf_source *s, bf_csv **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_csv *c = NULL;
    const void *data = NULL;
    BF_NEW(c, 1);
    c->source = s;
    s = NULL;
    c->name = bf_source_name(c->source);
    c->size = (size_t)bf_source_size(c->source);
    if (c->size > 0) BF_TRY(bf_source_map(c->source, &data, err));
    BF_TRY(bf_source_intact(c->source, err));
    c->p = data;
    BF_TRY(read_header(c, err));
    *out = c;
    c = NULL;
out:
    bf_source_close(s);
    bf_csv_close(c);
    return st;
}

bf_status bf_csv_open(const char *path, bf_csv **out, bf_err *err)
{
    bf_source *s = NULL;
    bf_status st = bf_source_open(path, &s, err);
    return st == BF_OK ? start(s, out, err) : st;
}

bf_status bf_csv_parse(const char *name, const void *data, size_t size, bf_csv **out, bf_err *err)
{
    bf_source *s = NULL;
    bf_status st = bf_source_memory(name, data, size, &s, err);
    return st == BF_OK ? start(s, out, err) : st;
}

void bf_csv_close(bf_csv *c)
{
    if (!c) return;
    for (uint32_t i = 0; c->names && i < c->columns; i++) free(c->names[i]);
    free(c->names);
    free(c->cells);
    bf_source_close(c->source);
    free(c);
}

const char *bf_csv_name(const bf_csv *c)
{
    return c->name;
}

uint32_t bf_csv_columns(const bf_csv *c)
{
    return c->columns;
}

const char *bf_csv_column(const bf_csv *c, uint32_t i)
{
    return c->names[i];
}

char bf_csv_separator(const bf_csv *c)
{
    return c->separator;
}

void bf_csv_rewind(bf_csv *c)
{
    c->at = c->first;
    c->row = 1;
}

bf_status bf_csv_next(bf_csv *c, const bf_csv_cell **cells, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t n;
    *cells = NULL;
    BF_TRY(bf_source_intact(c->source, err));
    while (c->columns > 1 && c->at < c->size && ends_row(c->p[c->at])) {
        c->at = skip_line_end(c, c->at);
        c->row++;
    }
    if (c->at == c->size) return BF_OK;
    c->row++;
    BF_TRY(read_row(c, &n, err));
    *cells = c->cells;
out:
    return st;
}

uint64_t bf_csv_row(const bf_csv *c)
{
    return c->row;
}

const char *bf_csv_bytes(const bf_csv *c, size_t *size)
{
    *size = c->size;
    return c->p;
}
