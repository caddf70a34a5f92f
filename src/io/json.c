#include "io/json.h"

/* One pass over the text outside strings: nesting, and separators as an upper bound for the number of values. */
static bf_status scan(const char *name, const char *text, size_t size, size_t max_values, bf_err *err)
{
    bool in_string = false;
    size_t depth = 0, values = 1;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            if (c == '"') in_string = false;
            continue;
        }
        if (c == '"') in_string = true;
        if (c == '{' || c == '[') depth++, values++;
        if ((c == '}' || c == ']') && depth > 0) depth--;
        if (c == ',' || c == ':') values++;
        if (depth > BF_JSON_MAX_DEPTH) {
            return bf_fail(err, BF_FILE, "%s: JSON nested deeper than %d at byte %zu", name, BF_JSON_MAX_DEPTH, i);
        }
        if (values > max_values) {
            return bf_fail(err, BF_FILE, "%s: JSON with more than %zu values at byte %zu", name, max_values, i);
        }
    }
    return BF_OK;
}

bf_status bf_json_parse(const char *name, const char *text, size_t size, size_t max_values, json_t **out, bf_err *err)
{
    json_error_t why;
    bf_status st = scan(name, text, size, max_values, err);
    if (st != BF_OK) return st;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (*out == NULL && json_error_code(&why) == json_error_out_of_memory) {
        return bf_fail(err, BF_RUNTIME, "%s: out of memory while reading JSON", name);
    }
    if (*out == NULL) return bf_fail(err, BF_FILE, "%s: JSON at byte %d: %s", name, why.position, why.text);
    return BF_OK;
}
