#include "io/pt_contents.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"

typedef bf_pickle_value value;

enum {
    MAX_VALUES = 5000,   /* in all: this is for reading, not for processing */
    MAX_STEPS = 1 << 20, /* entries of dictionaries looked at, tensors included */
    MAX_ITEMS = 32,      /* of one list */
    MAX_DEPTH = 24,
    MAX_TEXT = 400
};

typedef struct writer {
    size_t values, steps;
    int depth;
} writer;

/* NULL only when memory is out: every constructor below passes it on. */
static json_t *describe(writer *w, const value *v);

/* A text that need not be UTF-8: bytes that are not become '?'. */
static json_t *text_json(const char *text, size_t bytes)
{
    char copy[MAX_TEXT + 4];
    const size_t n = BF_MIN(bytes, (size_t)MAX_TEXT);
    json_t *j = bytes <= MAX_TEXT ? json_stringn(text, bytes) : NULL;
    if (j != NULL) return j;
    for (size_t i = 0; i < n; i++)
        copy[i] = (unsigned char)text[i] < 32 || (unsigned char)text[i] > 126 ? '?' : text[i];
    strcpy(copy + n, n < bytes ? "..." : "");
    return json_string(copy);
}

static json_t *global_json(const value *v)
{
    char name[BF_PICKLE_DOTTED];
    bf_pickle_dotted(v, name);
    return json_string(name);
}

static void key_text(const value *key, size_t i, char out[MAX_TEXT])
{
    if (key->type == BF_PICKLE_TEXT) {
        json_t *j = text_json(key->text, BF_MIN(key->count, MAX_TEXT - 8u));
        snprintf(out, MAX_TEXT, "%s", j != NULL ? json_string_value(j) : "");
        json_decref(j);
    } else {
        snprintf(out, MAX_TEXT, "%" PRId64, key->type == BF_PICKLE_INT ? key->integer : (int64_t)i);
    }
}

static json_t *pairs_json(writer *w, const value *v)
{
    json_t *object = json_object();
    const value *key, *item;
    const size_t n = bf_pickle_pairs(v);
    size_t tensors = 0, left_out = 0;
    bool ok = object != NULL;
    for (size_t i = 0; i < n && ok; i++) {
        char name[MAX_TEXT];
        if (w->steps++ >= MAX_STEPS) {
            left_out += n - i;
            break;
        }
        bf_pickle_pair(v, i, &key, &item);
        if (bf_pt_is_tensor(item)) {
            tensors++;
        } else if (w->values >= MAX_VALUES) {
            left_out++;
        } else {
            key_text(key, i, name);
            ok = json_object_set_new(object, name, describe(w, item)) == 0;
        }
    }
    if (ok && tensors > 0) ok = json_object_set_new(object, "tensors", json_integer((json_int_t)tensors)) == 0;
    if (ok && left_out > 0) ok = json_object_set_new(object, "left out", json_integer((json_int_t)left_out)) == 0;
    if (ok) return object;
    json_decref(object);
    return NULL;
}

static json_t *items_json(writer *w, const value *v)
{
    json_t *array = json_array();
    bool ok = array != NULL;
    size_t n = BF_MIN((size_t)v->count, (size_t)MAX_ITEMS), i = 0;
    for (; i < n && ok && w->values < MAX_VALUES; i++) ok = json_array_append_new(array, describe(w, v->items[i])) == 0;
    if (ok && i < v->count) ok = json_array_append_new(array, json_sprintf("%zu more", v->count - i)) == 0;
    if (ok) return array;
    json_decref(array);
    return NULL;
}

static json_t *object_json(writer *w, const value *v)
{
    json_t *object = json_object();
    bool ok = object != NULL && json_object_set_new(object, "class", global_json(v->what)) == 0;
    if (ok && v->args->count > 0) ok = json_object_set_new(object, "arguments", describe(w, v->args)) == 0;
    if (ok && v->count > 0)
        ok = json_object_set_new(object, "items", v->pairs ? pairs_json(w, v) : items_json(w, v)) == 0;
    if (ok && v->state != NULL) ok = json_object_set_new(object, "state", describe(w, v->state)) == 0;
    if (ok) return object;
    json_decref(object);
    return NULL;
}

static json_t *container_json(writer *w, const value *v)
{
    json_t *j;
    if (w->depth == MAX_DEPTH) return json_string("nested too deeply");
    w->depth++;
    if (bf_pickle_is_dict(v) && (v->type == BF_PICKLE_DICT || bf_pickle_is_global(v->what, "collections.OrderedDict")))
        j = pairs_json(w, v);
    else
        j = v->type == BF_PICKLE_OBJECT ? object_json(w, v) : items_json(w, v);
    w->depth--;
    return j;
}

static json_t *describe(writer *w, const value *v)
{
    w->values++;
    if (bf_pt_is_tensor(v)) return json_string("tensor");
    switch (v->type) {
    case BF_PICKLE_NONE: return json_null();
    case BF_PICKLE_BOOL: return json_boolean(v->integer);
    case BF_PICKLE_INT: return json_integer(v->integer);
    case BF_PICKLE_BIG: return json_sprintf("integer of %u bytes", (unsigned)v->count);
    case BF_PICKLE_FLOAT:
        if (isfinite(v->real)) return json_real(v->real);
        return json_string(isnan(v->real) ? "nan" : v->real > 0 ? "inf" : "-inf");
    case BF_PICKLE_TEXT: return text_json(v->text, v->count);
    case BF_PICKLE_BYTES: return json_sprintf("%u bytes", (unsigned)v->count);
    case BF_PICKLE_GLOBAL: return global_json(v);
    case BF_PICKLE_PERSISTENT: return json_string("storage");
    default: return container_json(w, v);
    }
}

static bf_status contents(const bf_pt *f, const value *v, json_t **out, bf_err *err)
{
    writer w = {0};
    *out = describe(&w, v);
    return *out != NULL ? BF_OK : bf_fail(err, BF_RUNTIME, "out of memory while describing %s", bf_pt_name(f));
}

bf_status bf_pt_contents(const bf_pt *f, json_t **out, bf_err *err)
{
    return contents(f, bf_pt_root(f), out, err);
}

bf_status bf_pt_contents_of(const bf_pt *f, const char *key, json_t **out, bf_err *err)
{
    const value *v = bf_pickle_get(bf_pt_root(f), key);
    *out = NULL;
    return v != NULL ? contents(f, v, out, err) : BF_OK;
}
