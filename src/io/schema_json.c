/* Schemas as JSON in model files. io/schema.h */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/json.h"
#include "io/schema_parts.h"

enum { VALUES = 4 << 20 /* values and keys of a schema, at most */ };

static const char *const types[] = {"ignore", "constant", "continuous", "bins", "integer", "categorical"};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static json_t *numbers_json(const double *x, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        if (json_array_append_new(list, json_real(x[i])) != 0) break;
    return list;
}

static json_t *words_json(char *const *word, uint32_t n)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++)
        if (json_array_append_new(list, json_string(word[i])) != 0) break;
    return list;
}

static json_t *column_json(const bf_column *c)
{
    json_t *j = json_pack("{s:s,s:s,s:I}", "name", c->name, "type", types[c->type], "missing", (json_int_t)c->missing);
    bool ok = j != NULL;
    const bool numbers = c->type >= BF_COLUMN_CONTINUOUS && c->type <= BF_COLUMN_INTEGER;
    if (numbers) {
        ok = ok && json_object_set_new(j, "low", json_real(c->low)) == 0;
        ok = ok && json_object_set_new(j, "high", json_real(c->high)) == 0;
        ok = ok && json_object_set_new(j, "decimals", json_integer(c->decimals)) == 0;
        ok = ok && json_object_set_new(j, "zeros", json_boolean(c->zeros)) == 0;
    }
    if (c->levels) ok = ok && json_object_set_new(j, "levels", json_integer(c->levels)) == 0;
    if (c->knots) {
        ok = ok && json_object_set_new(j, "at", numbers_json(c->at, c->knots)) == 0;
        ok = ok && json_object_set_new(j, "to", numbers_json(c->to, c->knots)) == 0;
    }
    if (c->word) ok = ok && json_object_set_new(j, "words", words_json(c->word, c->levels)) == 0;
    if (ok) return j;
    json_decref(j);
    return NULL;
}

bf_status bf_schema_text(const bf_schema *s, char **text, bf_err *err)
{
    bf_status st = BF_OK;
    const char separator[2] = {s->separator, '\0'};
    json_t *list = json_array();
    json_t *root = json_pack("{s:s,s:s,s:O}", "separator", separator, "missing", s->missing, "columns", list);
    bool ok = root != NULL;
    for (uint32_t i = 0; ok && i < s->columns; i++) ok = json_array_append_new(list, column_json(&s->column[i])) == 0;
    *text = ok ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    BF_CHECK(*text, BF_RUNTIME, "out of memory while writing the columns of a table");
out:
    json_decref(list);
    json_decref(root);
    return st;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *name;   /* of the file */
    const char *column; /* at hand */
} reader;

static bf_status damaged(const reader *r, const char *what, bf_err *err)
{
    return bf_fail(err, BF_FILE, "%s: the description of its table is damaged: %s of column \"%.60s\"", r->name, what,
                   r->column);
}

static bf_status need_text(const reader *r, const json_t *j, const char *what, char **out, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text = json_string_value(j);
    if (!text) return damaged(r, what, err);
    BF_NEW(*out, strlen(text) + 1);
    strcpy(*out, text);
out:
    return st;
}

static bool need_integer(const json_t *object, const char *key, json_int_t low, json_int_t high, json_int_t *out)
{
    const json_t *j = json_object_get(object, key);
    *out = json_integer_value(j);
    return json_is_integer(j) && *out >= low && *out <= high;
}

static bf_status read_numbers(const reader *r, const json_t *j, bf_column *c, bf_err *err)
{
    const json_t *low = json_object_get(j, "low"), *high = json_object_get(j, "high");
    json_int_t decimals;
    c->low = json_number_value(low);
    c->high = json_number_value(high);
    c->zeros = json_is_true(json_object_get(j, "zeros"));
    if (!json_is_number(low) || !json_is_number(high) || !(c->low < c->high) || !isfinite(c->low) || !isfinite(c->high))
        return damaged(r, "the range", err);
    if (!need_integer(j, "decimals", 0, 15, &decimals)) return damaged(r, "the number of decimals", err);
    c->decimals = (int)decimals;
    return BF_OK;
}

/* [count] numbers, strictly ascending. */
static bf_status read_list(const reader *r, const json_t *list, int count, double **out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(*out, count);
    for (int i = 0; i < count; i++) {
        const json_t *x = json_array_get(list, (size_t)i);
        (*out)[i] = json_number_value(x);
        if (!json_is_number(x) || !isfinite((*out)[i]) || (i > 0 && !((*out)[i] > (*out)[i - 1])))
            return damaged(r, "the map", err);
    }
out:
    return st;
}

static bf_status read_knots(const reader *r, const json_t *j, bf_column *c, bf_err *err)
{
    bf_status st = BF_OK;
    const json_t *at = json_object_get(j, "at"), *to = json_object_get(j, "to");
    const size_t n = json_array_size(at);
    const bool bins = c->type == BF_COLUMN_BINS;
    if (n < 2 || n > (bins ? BF_COLUMN_LEVELS : BF_COLUMN_KNOTS) || json_array_size(to) != n ||
        (bins && n != c->levels))
        return damaged(r, "the map", err);
    c->knots = (int)n;
    BF_TRY(read_list(r, at, c->knots, &c->at, err));
    BF_TRY(read_list(r, to, c->knots, &c->to, err));
    if (!bins && (c->to[0] < -1 || c->to[n - 1] > 1)) return damaged(r, "the map", err);
    for (size_t i = 0; bins && i < n; i++)
        if (c->to[i] < c->at[i] || (i > 0 && c->at[i] < c->to[i - 1])) return damaged(r, "the map", err);
out:
    return st;
}

static bf_status read_words(const reader *r, const json_t *j, bf_column *c, bf_err *err)
{
    bf_status st = BF_OK;
    const json_t *list = json_object_get(j, "words");
    if (json_array_size(list) != c->levels) return damaged(r, "the words", err);
    BF_NEW(c->word, c->levels);
    for (uint32_t i = 0; i < c->levels; i++) {
        BF_TRY(need_text(r, json_array_get(list, i), "the words", &c->word[i], err));
        if (strlen(c->word[i]) >= BF_COLUMN_WORD_BYTES || (i > 0 && strcmp(c->word[i - 1], c->word[i]) >= 0))
            return damaged(r, "the words", err);
    }
out:
    return st;
}

static bf_status read_column(reader *r, const json_t *j, bf_column *c, bf_err *err)
{
    bf_status st = BF_OK;
    json_int_t levels = 0, missing;
    const char *type = json_string_value(json_object_get(j, "type"));
    size_t k = 0;
    r->column = "?";
    BF_TRY(need_text(r, json_object_get(j, "name"), "the name", &c->name, err));
    r->column = c->name;
    while (k < BF_COUNT(types) && (!type || strcmp(type, types[k]) != 0)) k++;
    if (k == BF_COUNT(types)) return damaged(r, "the type", err);
    c->type = (bf_column_type)k;
    if (!need_integer(j, "missing", 0, UINT32_MAX, &missing)) return damaged(r, "the count of missing cells", err);
    c->missing = (uint64_t)missing;
    if (c->type == BF_COLUMN_IGNORE) return BF_OK;
    if (c->type != BF_COLUMN_CONTINUOUS && !need_integer(j, "levels", c->type == BF_COLUMN_CONSTANT ? 1 : 2,
                                                         c->type == BF_COLUMN_CONSTANT ? 1 : 256, &levels))
        return damaged(r, "the number of levels", err);
    c->levels = (uint32_t)levels;
    if (c->type == BF_COLUMN_CONSTANT || c->type == BF_COLUMN_CATEGORICAL) return read_words(r, j, c, err);
    BF_TRY(read_numbers(r, j, c, err));
    if (c->type == BF_COLUMN_INTEGER && (c->low != floor(c->low) || c->high - c->low != (double)levels - 1))
        return damaged(r, "the range", err);
    if (c->type != BF_COLUMN_INTEGER) BF_TRY(read_knots(r, j, c, err));
out:
    return st;
}

bf_status bf_schema_parse(const char *name, const char *text, bf_schema **out, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *root = NULL;
    bf_schema *s = NULL;
    reader r = {name, "?"};
    BF_TRY(bf_json_parse(name, text, strlen(text), VALUES, &root, err));
    const json_t *columns = json_object_get(root, "columns");
    const char *separator = json_string_value(json_object_get(root, "separator"));
    const size_t n = json_array_size(columns);
    BF_CHECK(n >= 1 && n <= BF_CSV_COLUMNS && separator && strlen(separator) == 1 && strchr(",;\t", separator[0]),
             BF_FILE, "%s: the description of its table is damaged", name);
    BF_NEW(s, 1);
    s->separator = separator[0];
    BF_TRY(need_text(&r, json_object_get(root, "missing"), "the words for a missing cell", &s->missing, err));
    BF_NEW(s->column, n);
    s->columns = (uint32_t)n;
    for (size_t i = 0; i < n; i++) BF_TRY(read_column(&r, json_array_get(columns, i), &s->column[i], err));
    BF_TRY(bf_schema_arrange(s, err));
    BF_CHECK(s->dims > 0, BF_FILE, "%s: the table it describes has no columns to learn", name);
    *out = s;
    s = NULL;
out:
    json_decref(root);
    bf_schema_free(s);
    return st;
}

bf_status bf_schema_copy(const bf_schema *s, bf_schema **out, bf_err *err)
{
    char *text = NULL;
    bf_status st = bf_schema_text(s, &text, err);
    if (st == BF_OK) st = bf_schema_parse("table", text, out, err);
    free(text);
    return st;
}
