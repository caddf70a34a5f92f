#include "io/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clocale.h"
#include "base/parse.h"
#include "base/size.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bf_status bf_table_match(const bf_schema *s, const bf_csv *c, uint32_t *from, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t next = 0; /* usually the columns come in the order of the schema */
    for (uint32_t i = 0; i < s->columns; i++) {
        const uint32_t n = bf_csv_columns(c);
        uint32_t tried = 0;
        from[i] = UINT32_MAX;
        while (tried < n && strcmp(bf_csv_column(c, (next + tried) % n), s->column[i].name) != 0) tried++;
        if (tried < n) from[i] = (next + tried) % n;
        if (tried < n) next = from[i] + 1;
        BF_CHECK(tried < n || s->column[i].type == BF_COLUMN_IGNORE, BF_FILE,
                 "%s: row 1: the column \"%.60s\" of the training data is missing", bf_csv_name(c), s->column[i].name);
    }
out:
    return st;
}

/* Number of a word, -1 when it is not in the list. */
static int find_word(const bf_column *c, const char *text)
{
    int low = 0, high = (int)c->levels;
    while (low < high) {
        const int middle = (low + high) / 2, order = strcmp(c->word[middle], text);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* The one word of a constant column, or the same number written in another way. */
static bool same_constant(const bf_column *c, const char *text)
{
    double a, b;
    bf_err unused;
    return strcmp(c->word[0], text) == 0 ||
           (bf_parse_double("", c->word[0], -HUGE_VAL, HUGE_VAL, &a, &unused) == BF_OK &&
            bf_parse_double("", text, -HUGE_VAL, HUGE_VAL, &b, &unused) == BF_OK && a == b);
}

/* The nearest level there is; NaN: 0. */
static float level(const bf_column *c, double k)
{
    const double last = c->levels - 1;
    return k > 0 ? (float)BF_MIN(floor(k), last) : 0;
}

static bf_status encode(const bf_column *c, const char *text, const char *file, uint64_t row, float *x, bf_err *err)
{
    bf_status st = BF_OK;
    const bool word = c->type == BF_COLUMN_CATEGORICAL || c->type == BF_COLUMN_CONSTANT;
    double number = 0;
    bf_err unused;
    *x = 0;
    if (c->type == BF_COLUMN_IGNORE) return BF_OK;
    if (word) {
        const int k = c->type == BF_COLUMN_CONSTANT ? (same_constant(c, text) ? 0 : -1) : find_word(c, text);
        if (k < 0) {
            st = bf_fail(err, BF_FILE, "%s: row %" PRIu64 ", column \"%.60s\": \"%.60s\" was not in the training data",
                         file, row, c->name, text);
            bf_hint(err, "a missing cell is empty, or one of the words in data.missing");
            return st;
        }
        *x = (float)k;
        return BF_OK;
    }
    BF_CHECK(bf_parse_double("", text, -HUGE_VAL, HUGE_VAL, &number, &unused) == BF_OK, BF_FILE,
             "%s: row %" PRIu64 ", column \"%.60s\": \"%.60s\" is not a number", file, row, c->name, text);
    BF_CHECK(c->type != BF_COLUMN_INTEGER || number == floor(number), BF_FILE,
             "%s: row %" PRIu64 ", column \"%.60s\": %.60s is not a whole number, as all were in the training data",
             file, row, c->name, text);
    switch (c->type) {
    case BF_COLUMN_CONTINUOUS: *x = (float)bf_column_map(c, number); break;
    case BF_COLUMN_BINS: *x = (float)bf_column_bin(c, number); break;
    default: *x = level(c, number - c->low);
    }
out:
    return st;
}

bf_status bf_table_row(const bf_schema *s, const bf_csv *c, const bf_csv_cell *cells, const uint32_t *from,
                       char *buffer, float *x, bf_err *err)
{
    bf_status st = BF_OK;
    for (uint32_t i = 0; i < s->columns; i++) {
        const bf_column *column = &s->column[i];
        bool missing;
        float value = 0;
        if (from[i] == UINT32_MAX || column->type == BF_COLUMN_IGNORE) continue;
        const char *text = bf_schema_cell(s, &cells[from[i]], buffer, &missing);
        if (!missing) BF_TRY(encode(column, text, bf_csv_name(c), bf_csv_row(c), &value, err));
        if (column->place != BF_NO_PLACE) x[column->place] = missing ? NAN : value;
    }
out:
    return st;
}

/* Rows of the file, at most `limit`. */
static bf_status count_rows(bf_csv *c, uint64_t limit, uint64_t *rows, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_csv_cell *cells;
    *rows = 0;
    for (bf_csv_rewind(c); limit == 0 || *rows < limit; ++*rows) {
        BF_TRY(bf_csv_next(c, &cells, err));
        if (!cells) break;
    }
    BF_CHECK(*rows > 0 && *rows <= UINT32_MAX, BF_FILE, "%s: %" PRIu64 " rows, expected 1 to 2^32 - 1", bf_csv_name(c),
             *rows);
    bf_csv_rewind(c);
out:
    return st;
}

bf_status bf_table_read(const char *path, const bf_schema *schema, uint64_t limit, bf_table *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_csv *c = NULL;
    uint32_t *from = NULL;
    char *buffer = NULL;
    bf_table t = {0};
    const bf_csv_cell *cells;
    const uint64_t dims = schema->dims;
    BF_TRY(bf_csv_open(path, &c, err));
    BF_NEW(from, schema->columns);
    BF_NEW(buffer, BF_CSV_CELL);
    BF_TRY(bf_table_match(schema, c, from, err));
    BF_TRY(count_rows(c, limit, &t.rows, err));
    BF_NEW(t.x, t.rows * dims);
    BF_TRY(bf_schema_copy(schema, &t.schema, err));
    for (uint64_t i = 0; i < t.rows; i++) {
        BF_TRY(bf_csv_next(c, &cells, err));
        BF_CHECK(cells, BF_FILE, "%s: changed while it was read", path);
        BF_TRY(bf_table_row(schema, c, cells, from, buffer, t.x + i * dims, err));
    }
    *out = t;
    t = (bf_table){0};
out:
    bf_table_free(&t);
    bf_csv_close(c);
    free(from);
    free(buffer);
    return st;
}

void bf_table_free(bf_table *t)
{
    bf_schema_free(t->schema);
    free(t->x);
    *t = (bf_table){0};
}

/* ---- feeding the model ------------------------------------------------------------------------------------------- */

/* Numbers of the condition that the value of a column takes. */
static uint32_t value_width(const bf_column *c)
{
    return c->type == BF_COLUMN_CATEGORICAL && c->levels > 2 ? c->levels : 1;
}

static bool has_levels(const bf_column *c)
{
    return c->type == BF_COLUMN_BINS || c->type == BF_COLUMN_INTEGER;
}

static float centre(const bf_column *c, float k)
{
    return (float)(2 * ((double)k + 0.5) / c->levels - 1);
}

uint64_t bf_table_condition(const bf_schema *s)
{
    uint64_t n = 2 * (uint64_t)s->dims;
    for (uint32_t p = 0; p < s->dims; p++) n += value_width(&s->column[s->by_place[p]]);
    return n;
}

uint64_t bf_table_width(const bf_schema *s)
{
    return s->dims + bf_table_condition(s);
}

void bf_table_feed(const bf_schema *s, const float *x, const uint8_t *given, bool classes, float *out)
{
    float *known = out + s->dims, *is_given = known + s->dims, *value = is_given + s->dims;
    for (uint32_t p = 0; p < s->dims; p++) {
        const bf_column *c = &s->column[s->by_place[p]];
        const bool missing = isnan(x[p]), use = given && given[p] && !missing;
        const uint32_t width = value_width(c);
        out[p] = !missing && has_levels(c) && !classes ? centre(c, x[p]) : x[p];
        known[p] = missing ? 0 : 1;
        is_given[p] = use ? 1 : 0;
        for (uint32_t k = 0; k < width; k++) value[k] = 0;
        if (use && width > 1)
            value[(uint32_t)x[p]] = 1;
        else if (use)
            value[0] = c->type == BF_COLUMN_CATEGORICAL ? 2 * x[p] - 1 : has_levels(c) ? centre(c, x[p]) : x[p];
        value += width;
    }
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

double bf_column_value(const bf_column *c, float x, double u)
{
    const double at = (double)x;
    const uint32_t k = c->type == BF_COLUMN_CONTINUOUS ? 0 : (uint32_t)level(c, at + 0.5);
    switch (c->type) {
    case BF_COLUMN_CONTINUOUS: return bf_column_unmap(c, at);
    case BF_COLUMN_INTEGER: return c->low + k;
    case BF_COLUMN_BINS: return c->at[k] + u * (c->to[k] - c->at[k]);
    case BF_COLUMN_CATEGORICAL: return k;
    default: return 0;
    }
}

/* With the column's decimals; "1.50" as "1.5" unless the training data had it so. */
static void put_number(const bf_column *c, double x, char *out)
{
    x = BF_MAX(c->low, BF_MIN(x, c->high));
    const bf_clocale l = bf_clocale_begin();
    if (fabs(x) < 1e15)
        snprintf(out, BF_COLUMN_WORD_BYTES, "%.*f", c->decimals, x);
    else
        snprintf(out, BF_COLUMN_WORD_BYTES, "%.17g", x);
    bf_clocale_end(l);
    char *end = out + strlen(out);
    const bool cut = !c->zeros && strchr(out, '.') && !strchr(out, 'e');
    while (cut && end[-1] == '0') *--end = '\0';
    if (cut && end[-1] == '.') *--end = '\0';
    if (strcmp(out, "-0") == 0) strcpy(out, "0");
}

void bf_column_text(const bf_column *c, double value, char *out)
{
    switch (c->type) {
    case BF_COLUMN_IGNORE: out[0] = '\0'; return;
    case BF_COLUMN_CONSTANT: snprintf(out, BF_COLUMN_WORD_BYTES, "%s", c->word[0]); return;
    case BF_COLUMN_CATEGORICAL:
        snprintf(out, BF_COLUMN_WORD_BYTES, "%s", c->word[(uint32_t)level(c, value + 0.5)]);
        return;
    default: put_number(c, value, out);
    }
}

double bf_column_bits(const bf_column *c, float x)
{
    int i = 0;
    if (c->type != BF_COLUMN_CONTINUOUS) return 0;
    while (i + 2 < c->knots && (double)x >= c->to[i + 1]) i++;
    const double slope = (c->to[i + 1] - c->to[i]) / (c->at[i + 1] - c->at[i]);
    return -log2(slope) + c->decimals * log2(10.0);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct text {
    FILE *f;
    char *p;
    size_t size;
} text;

static bf_status open_text(text *t, bf_err *err)
{
    t->f = open_memstream(&t->p, &t->size);
    return t->f ? BF_OK : bf_fail(err, BF_RUNTIME, "out of memory for a table");
}

/* Hands the text over; frees it when something failed before, also in st. */
static bf_status close_text(text *t, bf_status st, char **out, size_t *size, bf_err *err)
{
    if (t->f) {
        const bool good = !ferror(t->f);
        if ((fclose(t->f) != 0 || !good) && st == BF_OK) st = bf_fail(err, BF_RUNTIME, "out of memory for a table");
    }
    if (st == BF_OK) {
        *out = t->p;
        *size = t->size;
    } else {
        free(t->p);
    }
    return st;
}

static void put_quoted(FILE *f, const char *cell, char separator, char *scratch)
{
    fwrite(scratch, 1, bf_csv_quote(cell, separator, scratch), f);
}

/* The cell of column i of a row of values. */
static void put_cell(FILE *f, const bf_schema *s, uint32_t i, char separator, const double *row)
{
    char cell[BF_COLUMN_WORD_BYTES], scratch[BF_CSV_QUOTED(BF_COLUMN_WORD_BYTES)];
    const bf_column *c = &s->column[i];
    bf_column_text(c, c->place == BF_NO_PLACE ? 0 : row[c->place], cell);
    put_quoted(f, cell, separator, scratch);
}

bf_status bf_table_write(const bf_schema *s, const double *value, uint64_t rows, char **out, size_t *size, bf_err *err)
{
    bf_status st = BF_OK;
    text t = {0};
    char *scratch = NULL;
    BF_NEW(scratch, BF_CSV_QUOTED(BF_CSV_CELL));
    BF_TRY(open_text(&t, err));
    for (uint32_t i = 0; i < s->columns; i++) {
        if (i) fputc(s->separator, t.f);
        put_quoted(t.f, s->column[i].name, s->separator, scratch);
    }
    fputc('\n', t.f);
    for (uint64_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < s->columns; i++) {
            if (i) fputc(s->separator, t.f);
            put_cell(t.f, s, i, s->separator, value + r * s->dims);
        }
        fputc('\n', t.f);
    }
out:
    free(scratch);
    return close_text(&t, st, out, size, err);
}

bf_status bf_table_fill(const bf_schema *s, bf_csv *c, const double *value, uint64_t rows, char **out, size_t *size,
                        bf_err *err)
{
    bf_status st = BF_OK;
    text t = {0};
    uint32_t *from = NULL, *column_of = NULL; /* schema -> file, file -> schema + 1 */
    char *buffer = NULL;
    const bf_csv_cell *cells;
    size_t all;
    const char *copied = bf_csv_bytes(c, &all), *end = copied + all;
    BF_NEW(from, s->columns);
    BF_NEW(buffer, BF_CSV_CELL);
    BF_NEW(column_of, bf_csv_columns(c));
    BF_TRY(bf_table_match(s, c, from, err));
    for (uint32_t i = 0; i < s->columns; i++)
        if (from[i] != UINT32_MAX && s->column[i].type != BF_COLUMN_IGNORE) column_of[from[i]] = i + 1;
    BF_TRY(open_text(&t, err));
    bf_csv_rewind(c);
    for (uint64_t r = 0; r < rows; r++) {
        BF_TRY(bf_csv_next(c, &cells, err));
        BF_CHECK(cells, BF_FILE, "%s: changed while it was read", bf_csv_name(c));
        for (uint32_t k = 0; k < bf_csv_columns(c); k++) {
            bool missing;
            if (column_of[k] == 0) continue;
            (void)bf_schema_cell(s, &cells[k], buffer, &missing);
            if (!missing) continue;
            fwrite(copied, 1, (size_t)(cells[k].raw - copied), t.f);
            put_cell(t.f, s, column_of[k] - 1, bf_csv_separator(c), value + r * s->dims);
            copied = cells[k].raw + cells[k].size;
        }
    }
    fwrite(copied, 1, (size_t)(end - copied), t.f);
out:
    free(from);
    free(column_of);
    free(buffer);
    return close_text(&t, st, out, size, err);
}
