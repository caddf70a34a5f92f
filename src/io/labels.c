#include "io/labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "base/size.h"
#include "io/idx.h"
#include "io/kind.h"

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool reserved(const char *word, size_t n)
{
    return (n == 4 && memcmp(word, "none", n) == 0) || (n == 3 && memcmp(word, "all", n) == 0);
}

size_t bf_classes_word(const char **word, const char **next)
{
    *word += strspn(*word, " ");
    const char *comma = strchr(*word, ',');
    size_t n = comma ? (size_t)(comma - *word) : strlen(*word);
    *next = comma ? comma + 1 : NULL;
    while (n > 0 && (*word)[n - 1] == ' ') n--;
    return n;
}

static bf_status add_name(bf_classes *c, size_t *used, const char *word, size_t n, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t k;
    BF_CHECK(n > 0, BF_USAGE, "data.label_names: class %" PRIu32 " has no name", c->n);
    BF_CHECK(n < BF_CLASS_NAME, BF_USAGE, "data.label_names: \"%.40s...\" is too long for a name", word);
    BF_CHECK(!reserved(word, n), BF_USAGE, "data.label_names: no class can be called \"%.*s\"", (int)n, word);
    BF_CHECK(!bf_classes_find(c, word, n, &k), BF_USAGE, "data.label_names: two classes are called \"%.*s\"", (int)n,
             word);
    BF_CHECK(c->n < BF_CLASSES_NAMED, BF_USAGE, "data.label_names: more than %d names; \"0..999\" stands for numbers",
             BF_CLASSES_NAMED);
    c->at[c->n++] = (uint16_t)*used;
    memcpy(c->text + *used, word, n);
    *used += n;
    c->text[(*used)++] = '\0';
out:
    return st;
}

bf_status bf_classes_parse(const char *text, bf_classes *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_classes c = {0};
    uint64_t last;
    size_t used = 0;
    BF_CHECK(strlen(text) < BF_CLASSES_TEXT, BF_USAGE, "data.label_names: longer than %d characters",
             BF_CLASSES_TEXT - 1);
    c.numbers = strncmp(text, "0..", 3) == 0;
    if (c.numbers) {
        BF_TRY(bf_parse_u64("data.label_names: the last class", text + 3, 0, BF_CLASSES_MAX - 1, &last, err));
        c.n = (uint32_t)last + 1;
    }
    for (const char *word = text, *next; word && !c.numbers; word = next) {
        const size_t n = bf_classes_word(&word, &next);
        BF_TRY(add_name(&c, &used, word, n, err));
    }
    *out = c;
out:
    return st;
}

void bf_classes_name(const bf_classes *c, uint32_t k, char out[BF_CLASS_NAME])
{
    if (k < c->n && c->numbers)
        snprintf(out, BF_CLASS_NAME, "%" PRIu32, k);
    else
        snprintf(out, BF_CLASS_NAME, "%s", k < c->n ? c->text + c->at[k] : "none");
}

bool bf_classes_find(const bf_classes *c, const char *word, size_t bytes, uint32_t *k)
{
    char name[BF_CLASS_NAME];
    for (uint32_t i = 0; i < c->n; i++) {
        bf_classes_name(c, i, name);
        if (strlen(name) != bytes || memcmp(name, word, bytes) != 0) continue;
        *k = i;
        return true;
    }
    return false;
}

void bf_classes_list(const bf_classes *c, char *text, size_t size)
{
    size_t used = 0;
    char name[BF_CLASS_NAME];
    text[0] = '\0';
    if (c->numbers) {
        snprintf(text, size, "0 to %" PRIu32, c->n - 1);
        return;
    }
    for (uint32_t k = 0; k < c->n; k++) {
        bf_classes_name(c, k, name);
        if (used + strlen(name) + 6 > size) {
            snprintf(text + used, size - used, "...");
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", name, k + 1 < c->n ? ", " : "");
    }
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

void bf_labels_free(bf_labels *l)
{
    free(l->label);
    *l = (bf_labels){0};
}

/* Fits names to labels that are numbers below `end`: the given ones, or the numbers. */
static bf_status name_numbers(const char *path, uint32_t end, const char *names, bf_labels *l, bf_err *err)
{
    bf_status st = BF_OK;
    bf_classes c;
    if (!names || !names[0]) {
        snprintf(l->names, sizeof l->names, "0..%" PRIu32, end - 1);
        return BF_OK;
    }
    BF_TRY(bf_classes_parse(names, &c, err));
    for (uint64_t i = 0; i < l->count; i++)
        BF_CHECK(l->label[i] < c.n, BF_FILE,
                 "%s: record %" PRIu64 " has label %" PRIu32 ", there are %" PRIu32 " classes", path, i, l->label[i],
                 c.n);
    snprintf(l->names, sizeof l->names, "%s", names);
out:
    return st;
}

/* Integer i of an array; false: it is negative or beyond what classes may be. */
static bool integer_at(const bf_array *a, uint64_t i, uint32_t *out)
{
    const size_t size = bf_dtype_size(a->dtype);
    const bool is_signed = a->dtype == BF_I8 || a->dtype == BF_I16 || a->dtype == BF_I32 || a->dtype == BF_I64;
    unsigned char bytes[8] = {0};
    uint64_t v = 0;
    memcpy(bytes, (const char *)a->data + i * size, size);
    for (size_t b = size; b-- > 0;) v = v << 8 | bytes[bf_is_little_endian() ? b : size - 1 - b];
    if (is_signed && v >> (8 * size - 1)) return false;
    *out = (uint32_t)v;
    return v < BF_CLASSES_MAX;
}

static bool is_integer(bf_dtype t)
{
    return t == BF_U8 || t == BF_U16 || t == BF_U32 || t == BF_U64 || t == BF_I8 || t == BF_I16 || t == BF_I32 ||
           t == BF_I64;
}

static bf_status take_integers(const char *path, const bf_array *a, const char *names, bf_labels *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_labels l = {.count = a->count};
    uint32_t end = 0;
    BF_CHECK(is_integer(a->dtype) && a->ndim == 1, BF_FILE, "%s: %d dimensions of type %s, labels are integers [n]",
             path, a->ndim, bf_dtype_name(a->dtype));
    BF_CHECK(a->count > 0, BF_FILE, "%s: no labels", path);
    BF_NEW(l.label, l.count);
    for (uint64_t i = 0; i < l.count; i++) {
        BF_CHECK(integer_at(a, i, &l.label[i]), BF_FILE, "%s: record %" PRIu64 " is no class: expected 0 to %d", path,
                 i, BF_CLASSES_MAX - 1);
        end = BF_MAX(end, l.label[i] + 1);
    }
    BF_TRY(name_numbers(path, end, names, &l, err));
    *out = l;
    l.label = NULL;
out:
    free(l.label);
    return st;
}

bf_status bf_labels_read(const char *path, const char *names, bf_labels *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kind kind;
    bf_array a = {0};
    *out = (bf_labels){0};
    BF_TRY(bf_file_kind(path, &kind, err));
    BF_CHECK(kind == BF_KIND_IDX || kind == BF_KIND_GZIP || kind == BF_KIND_NPY, BF_FILE,
             "%s: is %s, labels are IDX, IDX.gz or NPY files", path, bf_kind_text(kind));
    BF_TRY(kind == BF_KIND_NPY ? bf_npy_read(path, &a, err) : bf_idx_read(path, &a, err));
    BF_TRY(take_integers(path, &a, names, out, err));
out:
    bf_array_free(&a);
    return st;
}

bf_status bf_labels_of_bytes(const char *path, const uint8_t *bytes, uint64_t count, const char *names, bf_labels *out,
                             bf_err *err)
{
    const bf_array a = {.dtype = BF_U8, .ndim = 1, .dims = {count}, .count = count, .data = (void *)(uintptr_t)bytes};
    *out = (bf_labels){0};
    return take_integers(path, &a, names, out, err);
}

/* ---- sub-folders ------------------------------------------------------------------------------------------------- */

/* The sub-folder of `root` that a file lies in; NULL: it lies in `root` itself. */
static const char *sub_folder(const char *root, const char *file, size_t *bytes)
{
    file += strlen(root);
    file += strspn(file, "/");
    *bytes = strcspn(file, "/");
    return file[*bytes] == '/' ? file : NULL;
}

typedef struct word {
    const char *text;
    size_t bytes;
} word;

static int by_text(const void *a, const void *b)
{
    const word *x = a, *y = b;
    const int order = memcmp(x->text, y->text, BF_MIN(x->bytes, y->bytes));
    return order ? order : x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Sorted, each once; returns how many. */
static uint64_t unique(word *words, uint64_t n)
{
    uint64_t kept = 0;
    qsort(words, n, sizeof *words, by_text);
    for (uint64_t i = 0; i < n; i++)
        if (kept == 0 || by_text(&words[kept - 1], &words[i]) != 0) words[kept++] = words[i];
    return kept;
}

/* As one text; false: they do not fit, or cannot be names. */
static bool join(const word *words, uint64_t n, char out[BF_CLASSES_TEXT])
{
    bf_classes c;
    bf_err ignored;
    size_t used = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (used + words[i].bytes + 3 > BF_CLASSES_TEXT || memchr(words[i].text, ',', words[i].bytes)) return false;
        for (size_t b = 0; b < words[i].bytes; b++)
            if ((unsigned char)words[i].text[b] < ' ') return false;
        used += (size_t)snprintf(out + used, BF_CLASSES_TEXT - used, "%s%.*s", i ? ", " : "", (int)words[i].bytes,
                                 words[i].text);
    }
    return bf_classes_parse(out, &c, &ignored) == BF_OK && c.n == n && !c.numbers;
}

/* Numbers the folders by their place in the sorted list. */
static void number(const word *of_file, const word *words, uint64_t n, bf_labels *l)
{
    for (uint64_t i = 0; i < l->count; i++) {
        const word *w = bsearch(&of_file[i], words, n, sizeof *words, by_text);
        l->label[i] = (uint32_t)(w - words);
    }
}

/* Looks every folder up among names that are given. */
static bf_status look_up(const char *const *files, const word *of_file, const char *names, bf_labels *l, bf_err *err)
{
    bf_status st = BF_OK;
    bf_classes c;
    char list[200];
    BF_TRY(bf_classes_parse(names, &c, err));
    bf_classes_list(&c, list, sizeof list);
    for (uint64_t i = 0; i < l->count; i++)
        BF_CHECK(bf_classes_find(&c, of_file[i].text, of_file[i].bytes, &l->label[i]), BF_FILE,
                 "%s: the folder \"%.*s\" is no class: expected %s", files[i], (int)of_file[i].bytes, of_file[i].text,
                 list);
    snprintf(l->names, sizeof l->names, "%s", names);
out:
    return st;
}

bf_status bf_labels_of_folder(const char *root, const char *const *files, uint64_t count, const char *names,
                              bf_labels *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_labels l = {.count = count};
    word *of_file = NULL, *words = NULL;
    *out = (bf_labels){0};
    BF_NEW(l.label, count);
    BF_NEW(of_file, count);
    BF_NEW(words, count);
    for (uint64_t i = 0; i < count; i++) {
        of_file[i].text = sub_folder(root, files[i], &of_file[i].bytes);
        BF_CHECK(of_file[i].text, BF_FILE, "%s: lies in no sub-folder of %s, which would be its class", files[i], root);
    }
    memcpy(words, of_file, count * sizeof *words);
    const uint64_t n = unique(words, count);
    BF_CHECK(n <= BF_CLASSES_MAX, BF_FILE, "%s: %" PRIu64 " sub-folders, at most %d classes are possible", root, n,
             BF_CLASSES_MAX);
    if (names && names[0] && strncmp(names, "0..", 3) != 0) {
        BF_TRY(look_up(files, of_file, names, &l, err));
    } else {
        number(of_file, words, n, &l);
        if (names && names[0]) {
            BF_TRY(name_numbers(root, (uint32_t)n, names, &l, err));
        } else if (!join(words, n, l.names)) {
            bf_log(BFNCL_LOG_WARN,
                   "%s: the names of the sub-folders cannot be kept; classes are numbers in their order", root);
            snprintf(l.names, sizeof l.names, "0..%" PRIu64, n - 1);
        }
    }
    *out = l;
    l.label = NULL;
out:
    free(l.label);
    free(of_file);
    free(words);
    return st;
}

/* ---- the usual place --------------------------------------------------------------------------------------------- */

/* The file name of `path` with `from` in it replaced. */
static bool replaced(const char *path, const char *from, const char *to, char out[1024])
{
    const char *slash = strrchr(path, '/'), *at = strstr(slash ? slash : path, from);
    if (!at || strlen(path) + strlen(to) >= 1000) return false;
    snprintf(out, 1024, "%.*s%s%s", (int)(at - path), path, to, at + strlen(from));
    return true;
}

static bool there(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* As it is called, or compressed where that is not, or the other way round. */
static bool there_or_gz(char path[1024])
{
    const size_t n = strlen(path);
    const bool gz = n > 3 && strcmp(path + n - 3, ".gz") == 0;
    if (there(path)) return true;
    strcpy(path + (gz ? n - 3 : n), gz ? "" : ".gz");
    if (there(path)) return true;
    strcpy(path + (gz ? n - 3 : n), gz ? ".gz" : "");
    return false;
}

bool bf_labels_beside(const char *images, char path[1024])
{
    const size_t n = strlen(images);
    path[0] = '\0';
    if (n >= 1000) return false;
    if (replaced(images, "images-idx3", "labels-idx1", path) || replaced(images, "images.idx3", "labels.idx1", path) ||
        replaced(images, "images", "labels", path))
        return there_or_gz(path);
    if (n <= 4 || strcmp(images + n - 4, ".npy") != 0) return false;
    snprintf(path, 1024, "%.*s-labels.npy", (int)(n - 4), images);
    return there(path);
}
