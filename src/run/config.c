/* Values of configuration keys: text to value, value to text, overrides, checks across keys. run/config.h */
#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/size.h"
#include "base/utf8.h"
#include "net/net.h"
#include "run/config_value.h"

/* ---- numbers, whatever the locale of the embedding program ------------------------------------------------------- */

static char decimal_point(void)
{
    const struct lconv *l = localeconv();
    return l && l->decimal_point && l->decimal_point[0] ? l->decimal_point[0] : '.';
}

/* Shortest notation that reads back to the same double. */
static void print_number(double x, char out[40])
{
    char text[40];
    out[0] = 0;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x && (!out[0] || strlen(text) < strlen(out))) memcpy(out, text, sizeof text);
    }
    for (char *p = out; *p; p++)
        if (*p == decimal_point()) *p = '.';
}

/* ---- nearest word ------------------------------------------------------------------------------------------------ */

int bf_edit_distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    int d[MAX + 1][MAX + 1];
    int na = (int)BF_MIN(strlen(a), (size_t)MAX), nb = (int)BF_MIN(strlen(b), (size_t)MAX);
    for (int i = 0; i <= na; i++)
        for (int j = 0; j <= nb; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            int best = BF_MIN(d[i - 1][j - 1] + !same, BF_MIN(d[i - 1][j], d[i][j - 1]) + 1);
            bool swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            d[i][j] = swap ? BF_MIN(best, d[i - 2][j - 2] + 1) : best;
        }
    return d[na][nb];
}

const bf_key *bf_key_find(const char *name)
{
    for (size_t i = 0; i < bf_config_key_count; i++)
        if (strcmp(bf_config_keys[i].name, name) == 0) return &bf_config_keys[i];
    return NULL;
}

/* A key of the right name in another section beats a similar spelling: "train.width" -> "net.width". */
const char *bf_key_nearest(const char *name)
{
    const char *leaf = strrchr(name, '.') ? strrchr(name, '.') + 1 : name;
    const char *best = bf_config_keys[0].name;
    int best_d = 1 << 20;
    for (size_t i = 0; i < bf_config_key_count; i++) {
        const char *key = bf_config_keys[i].name;
        int d = bf_edit_distance(name, key);
        if (strcmp(strchr(key, '.') + 1, leaf) == 0) d = BF_MIN(d, 1);
        if (d < best_d) {
            best_d = d;
            best = key;
        }
    }
    return best;
}

/* ---- one value --------------------------------------------------------------------------------------------------- */

static bool valid_utf8(const char *s)
{
    uint32_t code;
    const size_t size = strlen(s);
    for (size_t at = 0, n; at < size; at += n) {
        n = bf_utf8_decode((const unsigned char *)s + at, size - at, &code);
        if (n == 0) return false;
    }
    return true;
}

/* Position of `word` in "a|b|c", -1 if absent. */
static int choice_index(const char *choices, const char *word)
{
    size_t n = strlen(word);
    int index = 0;
    for (const char *p = choices;; index++) {
        size_t len = strcspn(p, "|");
        if (len == n && strncmp(p, word, n) == 0) return index;
        if (p[len] == 0) return -1;
        p += len + 1;
    }
}

void bf_config_choice(const bf_key *key, const bf_config *c, char word[32])
{
    word[0] = 0;
    if (key->type != BF_KEY_CHOICE) return;
    const char *p = key->choices;
    for (int i = *(const int *)((const char *)c + key->offset); i > 0 && strchr(p, '|'); i--) p = strchr(p, '|') + 1;
    snprintf(word, 32, "%.*s", (int)BF_MIN(strcspn(p, "|"), (size_t)31), p);
}

/* "a, b or c" from "a|b|c". */
static void list_choices(const char *choices, char *out, size_t size)
{
    size_t used = 0;
    for (const char *p = choices; *p && used + 40 < size;) {
        size_t len = strcspn(p, "|");
        const char *next = p[len] ? p + len + 1 : p + len;
        const char *sep = !*next ? "" : strchr(next, '|') ? ", " : " or ";
        used += (size_t)snprintf(out + used, size - used, "%.*s%s", (int)len, p, sep);
        p = next;
    }
}

static bf_status number_in_range(const bf_key *key, const char *where, const char *text, bool integer, double *out,
                                 bf_err *err)
{
    bf_status st = BF_OK;
    char lo[40], hi[40];
    bf_err no_number;
    bool number = bf_parse_double(key->name, text, -HUGE_VAL, HUGE_VAL, out, &no_number) == BF_OK;
    BF_CHECK(number && (!integer || *out == floor(*out)), BF_USAGE, "%s%s: \"%.60s\" is not %s", where, key->name, text,
             integer ? "a whole number" : "a number");
    print_number(key->min, lo);
    snprintf(hi, sizeof hi, "%.0f", key->max);
    if (!integer) print_number(key->max, hi);
    BF_CHECK(*out >= key->min && *out <= key->max, BF_USAGE, "%s%s = %.60s is out of range (%s to %s)", where,
             key->name, text, lo, hi);
out:
    return st;
}

bf_status bf_value_set(const bf_key *key, bf_config *c, const char *where, const char *text, bf_err *err)
{
    bf_status st = BF_OK;
    char *at = (char *)c + key->offset, words[256];
    double x;
    switch (key->type) {
    case BF_KEY_BOOL:
        BF_CHECK(strcmp(text, "true") == 0 || strcmp(text, "false") == 0, BF_USAGE,
                 "%s%s: \"%.60s\" is not true or false", where, key->name, text);
        *(bool *)(void *)at = text[0] == 't';
        break;
    case BF_KEY_INT:
        BF_TRY(number_in_range(key, where, text, true, &x, err));
        *(int64_t *)(void *)at = (int64_t)x;
        break;
    case BF_KEY_FLOAT:
        BF_TRY(number_in_range(key, where, text, false, &x, err));
        *(double *)(void *)at = x;
        break;
    case BF_KEY_TEXT:
        BF_CHECK(strlen(text) < BF_CONFIG_TEXT, BF_USAGE, "%s%s: longer than %d bytes", where, key->name,
                 BF_CONFIG_TEXT - 1);
        BF_CHECK(valid_utf8(text), BF_USAGE, "%s%s: the text is not valid UTF-8", where, key->name);
        memset(at, 0, BF_CONFIG_TEXT);
        memcpy(at, text, strlen(text));
        break;
    case BF_KEY_CHOICE:
        list_choices(key->choices, words, sizeof words);
        BF_CHECK(choice_index(key->choices, text) >= 0, BF_USAGE, "%s%s: \"%.60s\" is not one of %s", where, key->name,
                 text, words);
        *(int *)(void *)at = choice_index(key->choices, text);
        break;
    case BF_KEY_INTS: st = bf_fail(err, BF_USAGE, "%s%s: a list is wanted, for example [1, 2]", where, key->name);
    }
out:
    if (st != BF_OK) bf_hint(err, "%s: %s", key->name, key->help);
    return st;
}

bf_status bf_value_append(const bf_key *key, bf_config *c, const char *where, const char *text, bf_err *err)
{
    bf_status st = BF_OK;
    bf_int_list *list = (bf_int_list *)(void *)((char *)c + key->offset);
    double x;
    BF_CHECK(key->type == BF_KEY_INTS, BF_USAGE, "%s%s: one value is wanted, not a list", where, key->name);
    BF_CHECK(list->n < BF_CONFIG_LIST, BF_USAGE, "%s%s: more than %d values", where, key->name, BF_CONFIG_LIST);
    BF_TRY(number_in_range(key, where, text, true, &x, err));
    list->v[list->n++] = (int)x;
out:
    return st;
}

void bf_value_clear_list(const bf_key *key, bf_config *c)
{
    if (key->type == BF_KEY_INTS) memset((char *)c + key->offset, 0, sizeof(bf_int_list));
}

/* Value in the notation of an option or of the table: lists as "[1, 2]" or "1,2". */
static bf_status set_from_text(const bf_key *key, bf_config *c, const char *where, const char *text, bf_err *err)
{
    bf_status st = BF_OK;
    char item[64];
    if (key->type != BF_KEY_INTS) return bf_value_set(key, c, where, text, err);
    bf_value_clear_list(key, c);
    for (const char *p = text; *p;) {
        p += strspn(p, "[], \t");
        size_t len = strcspn(p, "[], \t");
        if (len == 0) break;
        snprintf(item, sizeof item, "%.*s", (int)BF_MIN(len, sizeof item - 1), p);
        BF_TRY(bf_value_append(key, c, where, item, err));
        p += len;
    }
out:
    return st;
}

void bf_config_defaults(bf_config *c)
{
    bf_err ignored;
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < bf_config_key_count; i++) /* cannot fail: a test reads every default */
        (void)set_from_text(&bf_config_keys[i], c, "", bf_config_keys[i].def, &ignored);
}

bf_status bf_config_set(bf_config *c, const char *assignment, bf_err *err)
{
    bf_status st = BF_OK;
    char name[64];
    const char *eq = strchr(assignment, '=');
    BF_CHECK(eq && eq != assignment, BF_USAGE, "\"%.80s\" is not of the form key=value", assignment);
    snprintf(name, sizeof name, "%.*s", (int)BF_MIN((size_t)(eq - assignment), sizeof name - 1), assignment);
    const bf_key *key = bf_key_find(name);
    BF_CHECK(key, BF_USAGE, "unknown key \"%s\"; the nearest is \"%s\"", name, bf_key_nearest(name));
    BF_TRY(set_from_text(key, c, "", eq + 1, err));
    c->origin[key - bf_config_keys] = BF_ORIGIN_OPTION;
out:
    return st;
}

enum bf_origin bf_config_origin(const bf_config *c, const char *name)
{
    const bf_key *key = bf_key_find(name);
    return key ? (enum bf_origin)c->origin[key - bf_config_keys] : BF_ORIGIN_DEFAULT;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

typedef struct text_buf {
    char *p;
    size_t n, cap;
    bool failed;
} text_buf;

static void put(text_buf *b, const char *fmt, ...) BF_PRINTF(2, 3);
static void put(text_buf *b, const char *fmt, ...)
{
    va_list ap;
    if (b->failed) return;
    va_start(ap, fmt);
    int need = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (need < 0) b->failed = true;
    if (need < 0) return;
    if (b->n + (size_t)need + 1 > b->cap) {
        size_t cap = 2 * (b->n + (size_t)need + 1) + 1024;
        char *p = realloc(b->p, cap);
        if (!p) b->failed = true;
        if (!p) return;
        b->p = p;
        b->cap = cap;
    }
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, b->cap - b->n, fmt, ap);
    va_end(ap);
    b->n += (size_t)need;
}

/* In quotes on one line; what YAML does not print, or takes for a line end, as an escape. */
static void put_quoted(text_buf *b, const char *s)
{
    static const struct {
        const char *bytes, *escape;
    } special[] = {{"\xe2\x80\xa8", "\\u2028"},
                   {"\xe2\x80\xa9", "\\u2029"},
                   {"\xef\xbb\xbf", "\\ufeff"},
                   {"\xef\xbf\xbe", "\\ufffe"},
                   {"\xef\xbf\xbf", "\\uffff"}};
    put(b, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            put(b, "\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            put(b, "\\x%02x", (unsigned)(unsigned char)*s);
        else if ((unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0) {
            put(b, "\\x%02x", (unsigned)(unsigned char)s[1]); /* U+0080 to U+009F */
            s++;
        } else {
            size_t k = 0;
            while (k < BF_COUNT(special) && strncmp(s, special[k].bytes, 3) != 0) k++;
            if (k < BF_COUNT(special)) {
                put(b, "%s", special[k].escape);
                s += 2;
            } else
                put(b, "%c", *s);
        }
    }
    put(b, "\"");
}

static void put_value(text_buf *b, const bf_key *key, const bf_config *c)
{
    const void *at = (const char *)c + key->offset;
    char word[40];
    switch (key->type) {
    case BF_KEY_BOOL: put(b, "%s", *(const bool *)at ? "true" : "false"); break;
    case BF_KEY_INT: put(b, "%lld", (long long)*(const int64_t *)at); break;
    case BF_KEY_FLOAT: print_number(*(const double *)at, word), put(b, "%s", word); break;
    case BF_KEY_TEXT: put_quoted(b, at); break;
    case BF_KEY_CHOICE: bf_config_choice(key, c, word), put(b, "%s", word); break;
    case BF_KEY_INTS:
        put(b, "[");
        for (int i = 0; i < ((const bf_int_list *)at)->n; i++)
            put(b, "%s%d", i ? ", " : "", ((const bf_int_list *)at)->v[i]);
        put(b, "]");
    }
}

bf_status bf_config_text(const bf_config *c, bool origins, char **text, bf_err *err)
{
    static const char *const names[] = {"default", "file", "option"};
    bf_status st = BF_OK;
    text_buf b = {0};
    size_t section = 0;
    for (size_t i = 0; i < bf_config_key_count; i++) {
        const bf_key *key = &bf_config_keys[i];
        size_t len = strcspn(key->name, ".");
        if (i == 0 || len != section || strncmp(key->name, bf_config_keys[i - 1].name, len) != 0)
            put(&b, "%.*s:\n", (int)len, key->name);
        section = len;
        size_t start = b.n;
        put(&b, "  %s: ", key->name + len + 1);
        put_value(&b, key, c);
        if (origins) put(&b, "%*s# %s", (int)BF_MAX(1, 40 - (int)(b.n - start)), "", names[c->origin[i]]);
        put(&b, "\n");
    }
    put(&b, "...\n");
    BF_CHECK(!b.failed, BF_RUNTIME, "out of memory while writing the configuration");
    *text = b.p;
    b.p = NULL;
out:
    free(b.p);
    return st;
}

bf_status bf_config_json(const bf_config *c, json_t **out, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *root = json_object();
    bool ok = root != NULL;
    for (size_t i = 0; ok && i < bf_config_key_count; i++) {
        const bf_key *key = &bf_config_keys[i];
        const void *at = (const char *)c + key->offset;
        char name[32], word[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(key->name, "."), key->name);
        json_t *section = json_object_get(root, name), *value = NULL;
        if (!section) {
            ok = json_object_set_new(root, name, json_object()) == 0;
            section = json_object_get(root, name);
        }
        switch (key->type) {
        case BF_KEY_BOOL: value = json_boolean(*(const bool *)at); break;
        case BF_KEY_INT: value = json_integer(*(const int64_t *)at); break;
        case BF_KEY_FLOAT: value = json_real(*(const double *)at); break;
        case BF_KEY_TEXT: value = json_string(at); break;
        case BF_KEY_CHOICE: bf_config_choice(key, c, word), value = json_string(word); break;
        case BF_KEY_INTS:
            value = json_array();
            for (int k = 0; k < ((const bf_int_list *)at)->n; k++)
                ok = json_array_append_new(value, json_integer(((const bf_int_list *)at)->v[k])) == 0 && ok;
        }
        ok = ok && json_object_set_new(section, strchr(key->name, '.') + 1, value) == 0;
    }
    BF_CHECK(ok, BF_RUNTIME, "out of memory while writing the configuration");
    *out = root;
    root = NULL;
out:
    json_decref(root);
    return st;
}

uint64_t bf_config_hash(const bf_config *c)
{
    bf_config copy = *c, blank;
    char *text = NULL;
    bf_err ignored;
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    bf_config_defaults(&blank);
    copy.device = blank.device; /* where it runs, how it is scored and sampled do not change what is learned */
    copy.eval = blank.eval;
    copy.sample = blank.sample;
    memcpy(copy.data.test, blank.data.test, sizeof copy.data.test);
    memcpy(copy.data.test_labels, blank.data.test_labels, sizeof copy.data.test_labels);
    if (copy.train.schedule_steps == 0) copy.train.schedule_steps = copy.train.steps;
    copy.train.steps = copy.train.eval_every = copy.train.save_every = copy.train.log_every = 0;
    if (bf_config_text(&copy, false, &text, &ignored) != BF_OK) return 0;
    for (const char *p = text; *p; p++) h = (h ^ (unsigned char)*p) * 1099511628211u;
    free(text);
    return h;
}

/* ---- checks across keys ------------------------------------------------------------------------------------------ */

/* Keys that only some networks read (bit 1 << net.kind), in the order of its words. */
enum { UNET = 1, VDM_UNET = 2, TRANSFORMER = 4, UNIO2 = 16 };
static const struct {
    const char *name;
    unsigned nets;
} net_keys[] = {
    {"net.mult", UNET},
    {"net.attention", UNET},
    {"net.scale_shift", UNET},
    {"net.project_input", UNET},
    {"net.groups", UNET | VDM_UNET},
    {"net.heads", UNET | VDM_UNET | TRANSFORMER | UNIO2},
    {"net.neighbours", UNIO2},
    {"net.time", UNIO2},
    {"net.time_features", UNIO2},
    {"net.learned_positions", UNET | VDM_UNET | TRANSFORMER},
    {"net.positions", UNET | VDM_UNET},
    {"net.fourier", VDM_UNET},
    {"net.attention_everywhere", VDM_UNET},
    {"net.bias", TRANSFORMER},
    {"net.causal", TRANSFORMER},
};

static size_t value_size(const bf_key *key)
{
    switch (key->type) {
    case BF_KEY_BOOL: return sizeof(bool);
    case BF_KEY_INT: return sizeof(int64_t);
    case BF_KEY_FLOAT: return sizeof(double);
    case BF_KEY_TEXT: return BF_CONFIG_TEXT;
    case BF_KEY_CHOICE: return sizeof(int);
    case BF_KEY_INTS: break;
    }
    return sizeof(bf_int_list);
}

/* A key that the network does not read must not say anything but its default. */
static bf_status check_unread(const bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config blank;
    char word[32];
    bf_config_defaults(&blank);
    bf_config_choice(bf_key_find("net.kind"), c, word);
    for (size_t i = 0; i < BF_COUNT(net_keys); i++) {
        const bf_key *key = bf_key_find(net_keys[i].name);
        const bool same =
            memcmp((const char *)c + key->offset, (const char *)&blank + key->offset, value_size(key)) == 0;
        BF_CHECK(same || (net_keys[i].nets & (1u << c->net.kind)), BF_USAGE,
                 "%s has no meaning with net.kind %s: leave it out", key->name, word);
    }
out:
    return st;
}

/* What the networks check again with the shape of the data, said in terms of the keys. */
static bf_status check_net(const bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    const int levels = c->net.kind == BF_NET_UNET ? c->net.mult.n : 1;
    BF_TRY(check_unread(c, err));
    BF_CHECK(c->net.kind != BF_NET_UNET || c->net.mult.n > 0, BF_USAGE,
             "net.mult is empty: the network needs at least one level");
    if (c->net.kind == BF_NET_MLP) return st;
    BF_CHECK(c->net.width % c->net.heads == 0, BF_USAGE, "net.heads = %lld does not divide net.width = %lld",
             (long long)c->net.heads, (long long)c->net.width);
    if ((c->net.kind != BF_NET_UNET && c->net.kind != BF_NET_VDM_UNET) || c->net.groups == 0) return st;
    for (int i = 0; i < levels; i++) {
        const int64_t width = c->net.width * (c->net.kind == BF_NET_UNET ? c->net.mult.v[i] : 1);
        BF_CHECK(width % c->net.groups == 0, BF_USAGE,
                 "net.groups = %lld does not divide the %lld channels of level %d (net.width x net.mult)",
                 (long long)c->net.groups, (long long)width, i + 1);
    }
out:
    return st;
}

static bf_status check_table(const bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    if (c->data.transform != BF_TRANSFORM_TABLE) {
        BF_CHECK(!c->data.columns[0], BF_USAGE, "data.columns needs data.transform table");
        return BF_OK;
    }
    BF_CHECK(c->net.kind == BF_NET_MLP, BF_USAGE, "data.transform table needs net.kind mlp");
    BF_CHECK(c->flow.kind != BF_CONFIG_CONTINUOUS, BF_USAGE,
             "flow.kind of a table is that of its integers and bins: discretised or categorical");
    BF_CHECK(!c->data.flip, BF_USAGE, "data.flip has no meaning for a table");
out:
    return st;
}

static bf_status check_molecules(const bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kinds kinds;
    const bool molecules = c->data.transform == BF_TRANSFORM_MOLECULES;
    BF_CHECK(molecules == (c->net.kind == BF_NET_UNIO2), BF_USAGE,
             "data.transform molecules and net.kind unio2 go together");
    if (!molecules) return st;
    BF_CHECK(c->flow.kind == BF_CONFIG_CONTINUOUS && (c->flow.predict_data || c->mol.pocket), BF_USAGE,
             "data.transform molecules needs flow.kind continuous (of the positions) and flow.predict_data true");
    BF_CHECK(c->flow.output <= BF_CONFIG_OUT_DELTA, BF_USAGE, "flow.output must be auto or delta for molecules");
    BF_CHECK(!c->data.flip, BF_USAGE, "data.flip has no meaning for molecules");
    BF_CHECK(c->mol.pocket || (c->mol.noise <= 0 && !c->mol.rotate), BF_USAGE,
             "mol.noise and mol.rotate are for molecules in pockets (mol.pocket)");
    BF_CHECK(!c->mol.pocket || !bf_kinds_learned(c->mol.elements), BF_USAGE,
             "mol.elements cannot be \"learned\" with mol.pocket: give molcraft or the elements themselves");
    if (!bf_kinds_learned(c->mol.elements)) BF_TRY(bf_kinds_parse(c->mol.elements, &kinds, err));
out:
    return st;
}

static bf_status check_labels(const bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_classes names;
    BF_CHECK(c->data.labels[0] || !c->data.label_names[0], BF_USAGE, "data.label_names needs data.labels");
    BF_CHECK(!c->data.labels[0] || c->data.transform <= BF_TRANSFORM_BINARISE, BF_USAGE,
             "data.labels needs data.transform continuous, bins or binarise");
    BF_CHECK(!c->data.labels[0] || c->data.test_labels[0], BF_USAGE, "data.test_labels is empty: give a file, or auto");
    if (c->data.label_names[0]) BF_TRY(bf_classes_parse(c->data.label_names, &names, err));
out:
    return st;
}

bf_status bf_config_check(const bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bool categorical = c->flow.kind == BF_CONFIG_CATEGORICAL, table = c->data.transform == BF_TRANSFORM_TABLE;
    BF_CHECK(c->data.transform != BF_TRANSFORM_BINARISE || categorical, BF_USAGE,
             "data.transform binarise needs flow.kind categorical");
    BF_CHECK(c->data.transform != BF_TRANSFORM_CONTINUOUS || c->flow.kind == BF_CONFIG_CONTINUOUS, BF_USAGE,
             "data.transform continuous needs flow.kind continuous");
    BF_CHECK(c->data.transform != BF_TRANSFORM_TEXT || categorical, BF_USAGE,
             "data.transform text needs flow.kind categorical");
    BF_CHECK(c->data.size.n == 0 || c->data.size.n == 2 || c->data.size.n == 3, BF_USAGE,
             "data.size is a height and a width, such as [32, 32], and, where wanted, the channels, [32, 32, 3]");
    BF_CHECK(c->data.size.n < 3 || c->data.size.v[2] == 1 || c->data.size.v[2] == 3, BF_USAGE,
             "data.size: %d channels; an example has 1 (grey) or 3 (RGB)", c->data.size.v[2]);
    BF_CHECK(c->data.transform != BF_TRANSFORM_TEXT || !c->data.flip, BF_USAGE, "data.flip has no meaning for a text");
    if (c->data.transform == BF_TRANSFORM_TEXT && !bf_vocabulary_learned(c->data.vocabulary)) {
        bf_vocabulary v;
        BF_TRY(bf_vocabulary_parse(c->data.vocabulary, &v, err));
    }
    BF_TRY(check_table(c, err));
    BF_TRY(check_labels(c, err));
    BF_CHECK(table || c->flow.output != BF_CONFIG_OUT_DELTA || c->flow.kind == BF_CONFIG_CONTINUOUS, BF_USAGE,
             "flow.output delta needs flow.kind continuous");
    BF_CHECK(table || !categorical || c->flow.output == BF_CONFIG_OUT_AUTO, BF_USAGE,
             "flow.output must be auto with flow.kind categorical: classes have their own output distribution");
    BF_CHECK(c->flow.schedule == 0 || categorical, BF_USAGE,
             "flow.schedule entropy needs flow.kind categorical: real values have the schedule squared alone");
    BF_TRY(check_molecules(c, err));
    BF_TRY(check_net(c, err));
    BF_CHECK(c->train.batch % c->train.accumulate == 0, BF_USAGE,
             "train.accumulate = %lld does not divide train.batch = %lld", (long long)c->train.accumulate,
             (long long)c->train.batch);
    BF_CHECK(c->train.lr_final <= c->train.lr, BF_USAGE, "train.lr_final is larger than train.lr");
    BF_CHECK(c->train.schedule != BF_SCHEDULE_PLATEAU || c->train.eval_every > 0, BF_USAGE,
             "train.schedule plateau goes by the validation loss: train.eval_every must not be 0");
    BF_CHECK(c->eval.loss_steps.n > 0, BF_USAGE,
             "eval.loss_steps is empty: give numbers of steps, 0 = continuous time");
out:
    return st;
}
