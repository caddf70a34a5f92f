/* Types of columns from the cells of a table. io/schema.h */
#include "io/schema.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/size.h"
#include "base/stats.h"
#include "io/schema_parts.h"

/* What is known of a column after one look at all its cells. */
typedef struct census {
    bool numbers, integers; /* all cells so far */
    bool trailing, dropped; /* a cell with zeros at its end; one whose digits are fewer than the most */
    int digits;
    double low, high;
    uint64_t seen, missing;
    uint32_t words; /* different ones; above BF_COLUMN_WORDS: too many, or too long */
    char *word[BF_COLUMN_WORDS];
} census;

typedef struct inference {
    const bf_schema_options *o;
    bf_csv *csv;
    bf_schema *s;
    census *column; /* [columns] */
    uint64_t rows;
    char *buffer;
} inference;

/* ---- options ----------------------------------------------------------------------------------------------------- */

typedef struct wish {
    bf_column_type type;
    uint32_t levels; /* BINS: 0 = o->levels; CATEGORICAL: 2 for binary, else 0 */
    bool given;
} wish;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bf_status parse_type(const char *text, wish *w, bf_err *err)
{
    static const struct {
        const char *name;
        wish wish;
    } types[] = {{"continuous", {BF_COLUMN_CONTINUOUS, 0, true}}, {"bins", {BF_COLUMN_BINS, 0, true}},
                 {"integer", {BF_COLUMN_INTEGER, 0, true}},       {"categorical", {BF_COLUMN_CATEGORICAL, 0, true}},
                 {"binary", {BF_COLUMN_CATEGORICAL, 2, true}},    {"ignore", {BF_COLUMN_IGNORE, 0, true}}};
    bf_status st = BF_OK;
    uint64_t levels;
    for (size_t i = 0; i < BF_COUNT(types); i++)
        if (strcmp(text, types[i].name) == 0) {
            *w = types[i].wish;
            return BF_OK;
        }
    BF_CHECK(strncmp(text, "bins:", 5) == 0, BF_USAGE,
             "data.columns: \"%.40s\" is not one of continuous, bins, bins:N, integer, categorical, binary, ignore",
             text);
    BF_TRY(bf_parse_u64("data.columns: bins", text + 5, 2, BF_COLUMN_LEVELS, &levels, err));
    *w = (wish){BF_COLUMN_BINS, (uint32_t)levels, true};
out:
    return st;
}

/* One "name=type" of the list at *p into name and type, each BF_CONFIG-sized; *p behind it. */
static bf_status next_wish(const char **p, char *name, char *type, size_t size, bf_err *err)
{
    bf_status st = BF_OK;
    const char *s = *p;
    size_t n = 0;
    const bool quoted = *s == '"';
    for (s += quoted; *s && (quoted ? *s != '"' : *s != '='); s++)
        if (n + 1 < size) name[n++] = *s;
    s += quoted && *s == '"';
    while (!quoted && n > 0 && is_blank(name[n - 1])) n--;
    name[n] = '\0';
    while (is_blank(*s)) s++;
    BF_CHECK(*s == '=' && name[0], BF_USAGE, "data.columns: \"%.60s\" is not of the form name=type", *p);
    do s++;
    while (is_blank(*s));
    for (n = 0; *s && *s != ',' && !is_blank(*s); s++)
        if (n + 1 < size) type[n++] = *s;
    type[n] = '\0';
    while (is_blank(*s)) s++;
    BF_CHECK(*s == '\0' || *s == ',', BF_USAGE, "data.columns: \"%.60s\" is not of the form name=type", *p);
    *p = s;
out:
    return st;
}

static bf_status read_wishes(const inference *f, wish *wishes, bf_err *err)
{
    enum { SIZE = 1024 };
    bf_status st = BF_OK;
    char name[SIZE], type[SIZE];
    for (const char *p = f->o->columns ? f->o->columns : ""; *p;) {
        if (is_blank(*p) || *p == ',') {
            p++;
            continue;
        }
        BF_TRY(next_wish(&p, name, type, SIZE, err));
        uint32_t i = 0;
        while (i < f->s->columns && strcmp(f->s->column[i].name, name) != 0) i++;
        BF_CHECK(i < f->s->columns, BF_USAGE, "data.columns: %s has no column \"%.60s\"", bf_csv_name(f->csv), name);
        BF_CHECK(!wishes[i].given, BF_USAGE, "data.columns: column \"%.60s\" is named twice", name);
        BF_TRY(parse_type(type, &wishes[i], err));
    }
out:
    return st;
}

/* ---- looking at the cells ---------------------------------------------------------------------------------------- */

/* Adds a word to the sorted list unless it is there. */
static bf_status add_word(census *c, const char *text, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t low = 0, high = c->words;
    char *copy = NULL;
    if (c->words > BF_COLUMN_WORDS) return BF_OK;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const int order = strcmp(c->word[middle], text);
        if (order == 0) return BF_OK;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    const size_t n = strlen(text) + 1;
    if (c->words == BF_COLUMN_WORDS || n > BF_COLUMN_WORD_BYTES) {
        for (uint32_t i = 0; i < c->words; i++) free(c->word[i]);
        c->words = BF_COLUMN_WORDS + 1;
        return BF_OK;
    }
    BF_NEW(copy, n);
    memcpy(copy, text, n);
    memmove(c->word + low + 1, c->word + low, (c->words - low) * sizeof *c->word);
    c->word[low] = copy;
    c->words++;
out:
    return st;
}

/* Digits behind the point of a number; *zeros: the last of them is 0. */
static int digits_of(const char *text, bool *zeros)
{
    const char *point = strchr(text, '.');
    int digits = point ? (int)strspn(point + 1, "0123456789") : 0;
    const char *e = strpbrk(text, "eE");
    *zeros = digits > 0 && point[digits] == '0';
    if (e) digits -= (int)strtol(e + 1, NULL, 10);
    return BF_MAX(0, BF_MIN(digits, 15));
}

static void look_at_number(census *c, const char *text)
{
    bf_err unused;
    double x;
    bool zeros;
    if (!c->numbers) return;
    c->numbers = bf_parse_double("", text, -1e300, 1e300, &x, &unused) == BF_OK;
    if (!c->numbers) return;
    const int digits = digits_of(text, &zeros);
    c->dropped = c->dropped || (c->seen > 0 && digits != c->digits);
    c->trailing = c->trailing || zeros;
    c->digits = BF_MAX(c->digits, digits);
    c->low = c->seen > 0 ? fmin(c->low, x) : x;
    c->high = c->seen > 0 ? fmax(c->high, x) : x;
    c->integers = c->integers && x == floor(x) && fabs(x) < 1e15;
}

static bf_status look(inference *f, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_csv_cell *cells;
    bool missing;
    for (uint32_t i = 0; i < f->s->columns; i++) f->column[i].numbers = f->column[i].integers = true;
    for (bf_csv_rewind(f->csv);; f->rows++) {
        BF_TRY(bf_csv_next(f->csv, &cells, err));
        if (!cells) break;
        for (uint32_t i = 0; i < f->s->columns; i++) {
            census *c = &f->column[i];
            const char *text = bf_schema_cell(f->s, &cells[i], f->buffer, &missing);
            c->missing += missing;
            if (missing) continue;
            look_at_number(c, text);
            BF_TRY(add_word(c, text, err));
            c->seen++;
        }
    }
    BF_CHECK(f->rows > 0, BF_FILE, "%s: a header and no rows", bf_csv_name(f->csv));
    BF_CHECK(f->rows <= UINT32_MAX, BF_FILE, "%s: more than 2^32 rows", bf_csv_name(f->csv));
out:
    return st;
}

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

static uint32_t span(const census *c)
{
    return c->integers && c->high - c->low < BF_COLUMN_LEVELS ? (uint32_t)(c->high - c->low) + 1 : 0;
}

/* One value in all cells, however a number is written. */
static bool is_constant(const census *c)
{
    return c->words == 1 || (c->seen > 0 && c->numbers && c->low == c->high);
}

/* The type that the cells suggest. */
static bf_column_type guess(const inference *f, const census *c)
{
    if (c->seen == 0) return BF_COLUMN_IGNORE;
    if (is_constant(c)) return BF_COLUMN_CONSTANT;
    if (c->words == 2) return BF_COLUMN_CATEGORICAL;
    if (c->numbers) return span(c) ? BF_COLUMN_INTEGER : f->o->bins ? BF_COLUMN_BINS : BF_COLUMN_CONTINUOUS;
    return c->words <= BF_COLUMN_WORDS && 2 * (uint64_t)c->words <= c->seen ? BF_COLUMN_CATEGORICAL : BF_COLUMN_IGNORE;
}

/* Can the cells be of the type that the user wants? */
static bf_status check_wish(const inference *f, const bf_column *column, const census *c, const wish *w, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_csv_name(f->csv), *name = column->name;
    const bool number = w->type == BF_COLUMN_CONTINUOUS || w->type == BF_COLUMN_BINS || w->type == BF_COLUMN_INTEGER;
    if (w->type == BF_COLUMN_IGNORE) return BF_OK;
    BF_CHECK(c->seen > 0, BF_FILE, "%s: column \"%.60s\" has only missing cells", file, name);
    BF_CHECK(!number || c->numbers, BF_FILE, "%s: column \"%.60s\" has cells that are not numbers", file, name);
    BF_CHECK(w->type != BF_COLUMN_INTEGER || span(c), BF_FILE,
             "%s: column \"%.60s\" has other numbers than integers over a range of %d", file, name, BF_COLUMN_LEVELS);
    BF_CHECK(w->type != BF_COLUMN_CATEGORICAL || c->words <= BF_COLUMN_WORDS, BF_FILE,
             "%s: column \"%.60s\" has more than %d words, or words of more than %d bytes", file, name, BF_COLUMN_WORDS,
             BF_COLUMN_WORD_BYTES - 1);
    BF_CHECK(w->type != BF_COLUMN_CATEGORICAL || w->levels == 0 || c->words <= w->levels, BF_FILE,
             "%s: column \"%.60s\" has %u different values, binary is for two", file, name, c->words);
out:
    return st;
}

/* The first n words become those of the column. */
static bf_status take_words(bf_column *column, census *c, uint32_t n, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(column->word, n);
    column->levels = n;
    for (uint32_t i = 0; i < n; i++) {
        column->word[i] = c->word[i];
        c->word[i] = NULL;
    }
out:
    return st;
}

/* Everything but the knots. */
static bf_status decide(inference *f, const wish *wishes, bf_err *err)
{
    bf_status st = BF_OK;
    for (uint32_t i = 0; i < f->s->columns; i++) {
        bf_column *column = &f->s->column[i];
        census *c = &f->column[i];
        if (wishes[i].given) BF_TRY(check_wish(f, column, c, &wishes[i], err));
        column->type = wishes[i].given ? wishes[i].type : guess(f, c);
        if (column->type != BF_COLUMN_IGNORE && is_constant(c)) column->type = BF_COLUMN_CONSTANT;
        column->missing = c->missing;
        if (!wishes[i].given && column->type == BF_COLUMN_IGNORE)
            bf_log(BFNCL_LOG_WARN, "%s: column \"%.60s\" is left out: %s", bf_csv_name(f->csv), column->name,
                   c->seen == 0 ? "all cells are missing" : "too many different words");
        if (c->numbers && c->seen > 0) {
            column->low = c->low;
            column->high = c->high;
            column->decimals = c->digits;
            column->zeros = c->trailing && !c->dropped;
        }
        switch (column->type) {
        case BF_COLUMN_BINS: column->levels = wishes[i].levels ? wishes[i].levels : f->o->levels; break;
        case BF_COLUMN_INTEGER: column->levels = span(c); break;
        case BF_COLUMN_CONSTANT: BF_TRY(take_words(column, c, 1, err)); break;
        case BF_COLUMN_CATEGORICAL: BF_TRY(take_words(column, c, c->words, err)); break;
        default: break;
        }
    }
out:
    return st;
}

/* ---- knots ------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Normal scores: the knots are even in z. Values that occur often take several knots at once: these become one, in the
 * middle of their places. */
static void set_knots(bf_column *c, const double *sorted, uint64_t n)
{
    const double z_end = BF_MIN(-bf_normal_quantile(0.5 / (double)n), 4.0);
    int first = 0;
    c->knots = 0;
    for (int k = 0; k < BF_COLUMN_KNOTS; k++) {
        const double to = 2.0 * k / (BF_COLUMN_KNOTS - 1) - 1;
        const double share = k == 0 ? 0 : k == BF_COLUMN_KNOTS - 1 ? 1 : bf_normal_cdf(to * z_end);
        const double x = sorted[(uint64_t)(share * (double)(n - 1) + 0.5)];
        if (c->knots == 0 || x > c->at[c->knots - 1]) {
            c->at[c->knots++] = x;
            first = k;
        }
        c->to[c->knots - 1] = (double)(first + k) / (BF_COLUMN_KNOTS - 1) - 1;
    }
}

/* Bins of about equal shares of the values; equal values stay together, so that there may be fewer bins, but none is
 * empty. */
static void set_bins(bf_column *c, const double *sorted, uint64_t n)
{
    const uint32_t most = c->levels;
    c->levels = 0;
    for (uint64_t i = 0; i < n;) {
        const uint64_t share = bf_ceil_div(n - i, most - c->levels);
        uint64_t end = c->levels + 1 == most ? n : i + share;
        while (end < n && sorted[end] == sorted[end - 1]) end++;
        if (i == 0 && end == n) /* nearly all values are the largest one: at least two bins */
            while (sorted[end - 1] == sorted[n - 1]) end--;
        c->at[c->levels] = sorted[i];
        c->to[c->levels++] = sorted[end - 1];
        i = end;
    }
    c->knots = (int)c->levels;
}

/* Maps by the range alone. */
static void set_range(bf_column *c)
{
    const int n = c->type == BF_COLUMN_BINS ? (int)c->levels : 2;
    c->knots = n;
    c->at[0] = c->low;
    c->at[1] = c->high;
    c->to[0] = -1;
    c->to[1] = 1;
    for (int k = 0; k < n && c->type == BF_COLUMN_BINS; k++) {
        c->at[k] = c->low + (c->high - c->low) / n * k;
        c->to[k] = k + 1 == n ? c->high : c->low + (c->high - c->low) / n * (k + 1);
    }
}

static bool has_knots(const bf_column *c)
{
    return c->type == BF_COLUMN_CONTINUOUS || c->type == BF_COLUMN_BINS;
}

static bf_status new_knots(bf_column *c, int n, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(c->at, n);
    BF_NEW(c->to, n);
out:
    return st;
}

/* values[columns][rows], one after the other: those of the columns with knots; counts[columns]. */
static bf_status gather(inference *f, double **values, uint64_t *counts, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_csv_cell *cells;
    bool missing;
    for (bf_csv_rewind(f->csv);;) {
        BF_TRY(bf_csv_next(f->csv, &cells, err));
        if (!cells) break;
        for (uint32_t i = 0; i < f->s->columns; i++) {
            if (!values[i]) continue;
            const char *text = bf_schema_cell(f->s, &cells[i], f->buffer, &missing);
            BF_CHECK(missing || counts[i] < f->column[i].seen, BF_FILE, "%s: changed while it was read",
                     bf_csv_name(f->csv));
            if (!missing)
                BF_TRY(bf_parse_double(f->s->column[i].name, text, -1e300, 1e300, &values[i][counts[i]++], err));
        }
    }
out:
    return st;
}

static bf_status learn_maps(inference *f, bf_err *err)
{
    bf_status st = BF_OK;
    double **values = NULL;
    uint64_t *counts = NULL;
    BF_NEW(values, f->s->columns);
    BF_NEW(counts, f->s->columns);
    for (uint32_t i = 0; i < f->s->columns; i++) {
        bf_column *c = &f->s->column[i];
        if (!has_knots(c)) continue;
        BF_TRY(new_knots(c, c->type == BF_COLUMN_BINS ? BF_COLUMN_LEVELS : BF_COLUMN_KNOTS, err));
        set_range(c);
        if (f->o->quantiles) BF_NEW(values[i], f->column[i].seen);
    }
    BF_TRY(gather(f, values, counts, err));
    for (uint32_t i = 0; i < f->s->columns; i++) {
        if (!values[i]) continue;
        qsort(values[i], counts[i], sizeof **values, by_value);
        if (f->s->column[i].type == BF_COLUMN_BINS)
            set_bins(&f->s->column[i], values[i], counts[i]);
        else
            set_knots(&f->s->column[i], values[i], counts[i]);
    }
out:
    for (uint32_t i = 0; values && i < f->s->columns; i++) free(values[i]);
    free(values);
    free(counts);
    return st;
}

/* ---- the schema -------------------------------------------------------------------------------------------------- */

/* Sort key of a column among those with a place. */
static uint32_t group_key(const bf_column *c)
{
    const uint32_t kind = c->type == BF_COLUMN_CONTINUOUS ? 0 : c->type == BF_COLUMN_CATEGORICAL ? 2 : 1;
    return kind * 65536 + (kind ? c->levels : 0);
}

bf_status bf_schema_arrange(bf_schema *s, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(s->by_place, s->columns);
    BF_NEW(s->group, s->columns);
    for (uint32_t i = 0; i < s->columns; i++) {
        bf_column *c = &s->column[i];
        c->place = BF_NO_PLACE;
        if (c->type == BF_COLUMN_IGNORE || c->type == BF_COLUMN_CONSTANT) continue;
        uint32_t at = s->dims++; /* behind all of the same key: insertion keeps the order of the file */
        for (; at > 0 && group_key(&s->column[s->by_place[at - 1]]) > group_key(c); at--)
            s->by_place[at] = s->by_place[at - 1];
        s->by_place[at] = i;
    }
    for (uint32_t p = 0; p < s->dims; p++) {
        bf_column *c = &s->column[s->by_place[p]];
        const bool same = p > 0 && group_key(&s->column[s->by_place[p - 1]]) == group_key(c);
        c->place = p;
        if (!same)
            s->group[s->groups++] = (bf_column_group){.type = c->type == BF_COLUMN_INTEGER ? BF_COLUMN_BINS : c->type,
                                                      .levels = c->type == BF_COLUMN_CONTINUOUS ? 0 : c->levels,
                                                      .first = p};
        s->group[s->groups - 1].count++;
    }
out:
    return st;
}

static bf_status copy_text(const char *text, char **out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(*out, strlen(text) + 1);
    strcpy(*out, text);
out:
    return st;
}

static bf_status new_schema(const bf_csv *c, const bf_schema_options *o, bf_schema **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_schema *s = NULL;
    BF_NEW(s, 1);
    *out = s;
    s->separator = bf_csv_separator(c);
    BF_TRY(copy_text(o->missing ? o->missing : "", &s->missing, err));
    BF_NEW(s->column, bf_csv_columns(c));
    s->columns = bf_csv_columns(c);
    for (uint32_t i = 0; i < s->columns; i++) BF_TRY(copy_text(bf_csv_column(c, i), &s->column[i].name, err));
out:
    return st;
}

bf_status bf_schema_infer(bf_csv *csv, const bf_schema_options *o, bf_schema **out, bf_err *err)
{
    bf_status st = BF_OK;
    inference f = {.o = o, .csv = csv};
    wish *wishes = NULL;
    BF_CHECK(o->levels >= 2 && o->levels <= BF_COLUMN_LEVELS, BF_USAGE, "a table's numbers have 2 to %d bins, not %u",
             BF_COLUMN_LEVELS, o->levels);
    BF_TRY(new_schema(csv, o, &f.s, err));
    BF_NEW(f.column, f.s->columns);
    BF_NEW(f.buffer, BF_CSV_CELL);
    BF_NEW(wishes, f.s->columns);
    BF_TRY(read_wishes(&f, wishes, err));
    BF_TRY(look(&f, err));
    BF_TRY(decide(&f, wishes, err));
    BF_TRY(learn_maps(&f, err));
    BF_TRY(bf_schema_arrange(f.s, err));
    BF_CHECK(f.s->dims > 0, BF_FILE, "%s: no column has anything to learn", bf_csv_name(csv));
    bf_csv_rewind(csv);
    *out = f.s;
    f.s = NULL;
out:
    for (uint32_t i = 0; f.column && i < bf_csv_columns(csv); i++)
        for (uint32_t k = 0; k < f.column[i].words && f.column[i].words <= BF_COLUMN_WORDS; k++)
            free(f.column[i].word[k]);
    free(f.column);
    free(f.buffer);
    free(wishes);
    bf_schema_free(f.s);
    return st;
}

void bf_schema_free(bf_schema *s)
{
    if (!s) return;
    for (uint32_t i = 0; i < s->columns; i++) {
        bf_column *c = &s->column[i];
        for (uint32_t k = 0; c->word && k < c->levels; k++) free(c->word[k]);
        free(c->word);
        free(c->at);
        free(c->to);
        free(c->name);
    }
    free(s->column);
    free(s->missing);
    free(s->by_place);
    free(s->group);
    free(s);
}

const char *bf_column_type_name(const bf_column *c)
{
    static const char *const names[] = {"ignore", "constant", "continuous", "bins", "integer", "categorical"};
    return c->type == BF_COLUMN_CATEGORICAL && c->levels == 2 ? "binary" : names[c->type];
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

const char *bf_schema_cell(const bf_schema *s, const bf_csv_cell *cell, char *buffer, bool *missing)
{
    bf_csv_cell bare = *cell;
    for (; !bare.quoted && bare.size > 0 && is_blank(bare.raw[0]); bare.size--) bare.raw++;
    while (!bare.quoted && bare.size > 0 && is_blank(bare.raw[bare.size - 1])) bare.size--;
    const char *text = bf_csv_text(&bare, buffer);
    const size_t n = strlen(text);
    *missing = n == 0;
    for (const char *p = s->missing; !*missing && *p; p += strcspn(p, " ")) {
        p += strspn(p, " ");
        *missing = strcspn(p, " ") == n && strncmp(p, text, n) == 0;
    }
    return text;
}

/* The piece that holds x: from[i] .. from[i + 1]. */
static int piece_of(const double *from, int n, double x)
{
    int low = 0, high = n - 1;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (x < from[middle])
            high = middle;
        else
            low = middle;
    }
    return low;
}

static double through(const double *from, const double *to, int n, double x)
{
    if (!(x > from[0])) return to[0];
    if (x >= from[n - 1]) return to[n - 1];
    const int i = piece_of(from, n, x);
    return to[i] + (x - from[i]) / (from[i + 1] - from[i]) * (to[i + 1] - to[i]);
}

double bf_column_map(const bf_column *c, double x)
{
    return through(c->at, c->to, c->knots, x);
}

double bf_column_unmap(const bf_column *c, double v)
{
    return through(c->to, c->at, c->knots, v);
}

uint32_t bf_column_bin(const bf_column *c, double x)
{
    const uint32_t k = (uint32_t)piece_of(c->at, c->knots, x), next = k + 1;
    if (x >= c->at[c->knots - 1]) return (uint32_t)c->knots - 1;
    return x > c->to[k] && x - c->to[k] > c->at[next] - x ? next : k; /* between two bins: the nearer one */
}
