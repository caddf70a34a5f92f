#include "run/official_read.h"

#include <string.h>

bf_reader bf_reader_of(const json_t *from)
{
    return (bf_reader){.from = from};
}

void bf_reader_int(bf_reader *r, const char *key, int *out)
{
    const json_t *j = json_object_get(r->from, key);
    const json_int_t n = json_integer_value(j);

    if (!j) return;
    if (!json_is_integer(j) || n < -1 || n > 1000000)
        r->bad = key;
    else
        *out = (int)n;
}

void bf_reader_bool(bf_reader *r, const char *key, bool *out)
{
    const json_t *j = json_object_get(r->from, key);

    if (!j) return;
    if (!json_is_boolean(j))
        r->bad = key;
    else
        *out = json_is_true(j);
}

void bf_reader_float(bf_reader *r, const char *key, double *out)
{
    const json_t *j = json_object_get(r->from, key);

    if (!j) return;
    if (!json_is_number(j))
        r->bad = key;
    else
        *out = json_number_value(j);
}

void bf_reader_ints(bf_reader *r, const char *key, int most, int *out, int *count)
{
    const json_t *j = json_object_get(r->from, key);
    const size_t n = json_array_size(j);

    if (!j) return;
    if (!json_is_array(j) || n > (size_t)most) {
        r->bad = key;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(j, i);
        const json_int_t v = json_integer_value(e);
        if (!json_is_integer(e) || v < 1 || v > 1000000) {
            r->bad = key;
            return;
        }
        out[i] = (int)v;
    }
    *count = (int)n;
}

void bf_reader_word(bf_reader *r, const char *key, const char *const *words, int n, int *out)
{
    const json_t *j = json_object_get(r->from, key);
    const char *text = json_string_value(j);

    if (!j) return;
    for (int i = 0; text && i < n; i++) {
        if (strcmp(words[i], text) != 0) continue;
        *out = i;
        return;
    }
    r->bad = key;
}

bf_status bf_reader_end(const bf_reader *r, const char *what, bf_err *err)
{
    if (!json_is_object(r->from)) return bf_fail(err, BF_FILE, "configuration: %s is missing", what);
    if (r->bad) return bf_fail(err, BF_FILE, "configuration: %s.%s has an impossible value", what, r->bad);
    return BF_OK;
}
