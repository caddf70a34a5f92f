#include "run/weights.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { MAX_CANDIDATES = 256 };

typedef struct candidate {
    const char *name; /* of a tensor; the first `bytes` are the prefix */
    size_t bytes;
    size_t folder; /* bytes of the name that lead to its dictionary */
    int found;     /* trained parameters behind the prefix */
    bool averaged, moments;
} candidate;

/* Is one of the words that '.' and '_' separate in text[bytes] on the list? */
static bool has_word(const char *text, size_t bytes, const char *const *words, size_t n)
{
    for (size_t i = 0; i < bytes;) {
        size_t length = 0;
        while (i + length < bytes && isalnum((unsigned char)text[i + length])) length++;
        for (size_t k = 0; k < n; k++)
            if (strlen(words[k]) == length && strncmp(text + i, words[k], length) == 0) return true;
        i += length + 1;
    }
    return false;
}

static bool names_average(const char *text, size_t bytes)
{
    static const char *const words[] = {"ema", "EMA", "average", "averaged", "avg", "shadow"};
    return has_word(text, bytes, words, BF_COUNT(words));
}

/* Optimisers keep tensors of the same names and shapes. */
static bool names_moments(const char *text, size_t bytes)
{
    static const char *const words[] = {"exp", "sq", "optimizer", "optim", "opt", "adam", "grad", "momentum"};
    return has_word(text, bytes, words, BF_COUNT(words));
}

/* The file's tensor for a parameter behind a prefix; -1: none. */
static ptrdiff_t locate(const bf_tensors *f, const char *prefix, size_t bytes, const char *name)
{
    char full[BF_PT_MAX_NAME + 1];
    const int n = snprintf(full, sizeof full, "%.*s%s", (int)bytes, prefix, name);
    return n < (int)sizeof full ? bf_tensors_find(f, full) : -1;
}

static int count_found(const bf_params *p, const bf_tensors *f, const candidate *c)
{
    int n = 0;
    for (int i = 0; i < bf_params_count(p); i++) {
        const bf_param_spec *s = bf_params_spec(p, i);
        n += !s->buffer && locate(f, c->name, c->bytes, s->name) >= 0;
    }
    return n;
}

static bool better(const candidate *a, const candidate *b, bool averaged)
{
    if (a->found != b->found) return a->found > b->found;
    if (a->moments != b->moments) return !a->moments;
    if (a->averaged != b->averaged) return a->averaged == averaged;
    return a->bytes < b->bytes;
}

/* The best of the prefixes that stand in front of one parameter's name; false when there is none. */
static bool best_prefix(const bf_params *p, const bf_tensors *f, const char *name, bool averaged, candidate *best)
{
    int seen = 0;
    const size_t n = strlen(name);
    for (size_t i = 0; i < bf_tensors_count(f) && seen < MAX_CANDIDATES; i++) {
        const bf_tensor t = bf_tensors_at(f, i);
        const size_t length = strlen(t.name);
        if (length < n || strcmp(t.name + length - n, name) != 0) continue;
        if (length > n && t.name[length - n - 1] != '.') continue;
        candidate c = {.name = t.name, .bytes = length - n, .folder = t.folder};
        c.found = count_found(p, f, &c);
        c.averaged = names_average(c.name, c.bytes);
        c.moments = names_moments(c.name, c.bytes);
        if (seen++ == 0 || better(&c, best, averaged)) *best = c;
    }
    return seen > 0;
}

static bf_status choose(const bf_params *p, const bf_tensors *f, bool averaged, candidate *best, bf_err *err)
{
    int trained = 0;
    const char *first = "";
    bool any = false;
    candidate c;
    for (int i = 0; i < bf_params_count(p); i++) {
        const bf_param_spec *s = bf_params_spec(p, i);
        if (s->buffer) continue;
        if (trained++ == 0) first = s->name;
        /* the later ones only matter when the earlier ones are missing */
        if ((!any || best->found < trained - 1) && best_prefix(p, f, s->name, averaged, &c)) {
            if (!any || better(&c, best, averaged)) *best = c;
            any = true;
        }
    }
    if (any) return BF_OK;
    bf_fail(err, BF_FILE, "%s: none of the %d weights of the network is in it, not even \"%s\"", bf_tensors_name(f),
            trained, first);
    bf_hint(err, "it holds %zu tensors; bfncl info %s shows them", bf_tensors_count(f), bf_tensors_name(f));
    return BF_FILE;
}

/* Sets w->tensor[i]. */
static bf_status match(bf_weights *w, int i, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_param_spec *s = bf_params_spec(w->params, i);
    const char *file = bf_tensors_name(w->file);
    char expected[BF_SHAPE_TEXT], found[BF_SHAPE_TEXT];
    const ptrdiff_t at = locate(w->file, w->prefix, strlen(w->prefix), s->name);
    w->tensor[i] = at;
    bf_shape_text(s->ndim, s->dims, expected);
    if (at < 0 && s->buffer) goto out;
    BF_CHECK(at >= 0, BF_FILE, "%s: tensor \"%s%s\" of shape %s is missing", file, w->prefix, s->name, expected);
    const bf_tensor t = bf_tensors_at(w->file, (size_t)at);
    bf_shape_text(t.ndim, t.dims, found);
    BF_CHECK(strcmp(expected, found) == 0, BF_FILE, "%s: tensor \"%s\" has shape %s, expected %s", file, t.name, found,
             expected);
    BF_CHECK(t.readable, BF_FILE, "%s: tensor \"%s\": element type %s is not supported", file, t.name, t.type);
out:
    return st;
}

/* No tensor of the same dictionary is left over. In safetensors, which knows no dictionaries: of the same prefix. */
static bf_status check_rest(const bf_weights *w, const candidate *c, bf_err *err)
{
    bf_status st = BF_OK;
    bool *used = NULL;
    const bf_tensors *f = w->file;
    const size_t scope = bf_tensors_pt(f) != NULL ? c->folder : c->bytes;
    char found[BF_SHAPE_TEXT];
    BF_NEW(used, bf_tensors_count(f));
    for (int i = 0; i < bf_params_count(w->params); i++)
        if (w->tensor[i] >= 0) used[w->tensor[i]] = true;
    for (size_t i = 0; i < bf_tensors_count(f); i++) {
        const bf_tensor t = bf_tensors_at(f, i);
        if (used[i] || strncmp(t.name, c->name, scope) != 0) continue;
        if (bf_tensors_pt(f) != NULL && t.folder != scope) continue;
        bf_shape_text(t.ndim, t.dims, found);
        BF_CHECK(false, BF_FILE, "%s: tensor \"%s\" of shape %s is not expected: the network has none of that name",
                 bf_tensors_name(f), t.name, found);
    }
out:
    free(used);
    return st;
}

bf_status bf_weights_find(const bf_params *p, bf_tensors *file, bool averaged, bf_weights *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_weights w = {.file = file, .params = p};
    candidate c = {0};
    bool fits = false;
    BF_TRY(choose(p, file, averaged, &c, err));
    BF_NEW(w.tensor, bf_params_count(p));
    snprintf(w.prefix, sizeof w.prefix, "%.*s", (int)c.bytes, c.name);
    w.averaged = c.averaged;
    fits = true;
    for (int i = 0; i < bf_params_count(p); i++) BF_TRY(match(&w, i, err));
    BF_TRY(check_rest(&w, &c, err));
    *out = w;
    w.tensor = NULL;
out:
    if (st == BF_FILE && fits) bf_hint(err, "does the configuration describe the network of this file?");
    bf_weights_free(&w);
    return st;
}

void bf_weights_free(bf_weights *w)
{
    free(w->tensor);
    w->tensor = NULL;
}

bf_status bf_weights_read(const bf_weights *w, int i, float *out, bf_err *err)
{
    const bf_param_spec *s = bf_params_spec(w->params, i);
    if (w->tensor[i] >= 0) return bf_tensors_read_f32(w->file, (size_t)w->tensor[i], out, err);
    memcpy(out, s->data, (size_t)bf_param_numel(s) * sizeof *out);
    return BF_OK;
}

bf_status bf_weights_put(const bf_weights *w, bf_params *p, bf_param_set set, bf_err *err)
{
    bf_status st = BF_OK;
    float *data = NULL;
    uint64_t largest = 1;
    for (int i = 0; i < bf_params_count(p); i++) largest = BF_MAX(largest, bf_param_numel(bf_params_spec(p, i)));
    BF_NEW(data, largest);
    for (int i = 0; i < bf_params_count(p); i++) {
        BF_TRY(bf_weights_read(w, i, data, err));
        BF_TRY(bf_params_set(p, set, i, data, err));
    }
out:
    free(data);
    return st;
}
