#include "io/pt.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "io/kind.h"
#include "io/pt_calls.h"
#include "io/zip.h"

typedef bf_pickle_value value;

enum {
    MAX_STEPS = 4 << 20, /* values looked at while tensors are searched: a value may be reached in many ways */
    CHUNK = 1 << 20      /* bytes at a time while converting */
};

/* A storage of the older container. */
typedef struct old_storage {
    const value *key;
    uint64_t element, count; /* bytes of an element; elements */
    uint64_t at;             /* offset in the file; 0: not in it */
} old_storage;

struct bf_pt {
    bf_source *source;
    const unsigned char *data;
    uint64_t size;
    bool big_endian;
    bf_pickle *pickle;
    char *inflated_pickle; /* NULL: the pickle lies in the file */
    bf_zip *zip;           /* NULL: the older container */
    const char *folder;    /* of the entries */
    size_t folder_bytes;
    bf_pickle *keys;       /* older container: the list of keys */
    old_storage *storages; /* by key */
    size_t n_storages;
    bf_pt_tensor *tensors;
    const bf_pt_tensor **by_name;
    size_t count, room;
};

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* A text of the file in a message: short, without bytes that would act on a terminal. */
typedef struct quoted {
    char text[104];
} quoted;

static quoted quote(const char *text, size_t bytes)
{
    quoted q;
    const size_t n = BF_MIN(bytes, sizeof q.text - 4);
    for (size_t i = 0; i < n; i++) q.text[i] = (unsigned char)text[i] < 32 || text[i] == 127 ? '?' : text[i];
    strcpy(q.text + n, n < bytes ? "..." : "");
    return q;
}

/* ---- storages ---------------------------------------------------------------------------------------------------- */

typedef struct storage {
    const bf_pt_element *element;
    const value *key;
    uint64_t count; /* elements */
    uint64_t skip;  /* elements of the stored one before this one (old views) */
    bf_pt_place place;
} storage;

static bool whole(const value *v, uint64_t *out)
{
    *out = v->type == BF_PICKLE_INT ? (uint64_t)v->integer : 0;
    return v->type == BF_PICKLE_INT && v->integer >= 0;
}

/* ("storage", class, key, location, count[, None or (key, first, count) of a part]) */
static bf_status parse_storage(const bf_pt *f, const value *v, storage *s, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_pt_name(f);
    const value *id = v->type == BF_PICKLE_PERSISTENT ? v->what : NULL;
    *s = (storage){0};
    BF_CHECK(id != NULL && id->type == BF_PICKLE_TUPLE && id->count >= 5 && bf_pickle_is_text(id->items[0], "storage"),
             BF_FILE, "%s: a tensor has no storage", file);
    s->key = id->items[2];
    BF_CHECK(s->key->type == BF_PICKLE_TEXT, BF_FILE, "%s: a storage has no key", file);
    const quoted key = quote(s->key->text, s->key->count);
    s->element = bf_pt_storage_element(id->items[1]);
    if (s->element == NULL) {
        char name[BF_PICKLE_DOTTED] = "something unnamed";
        if (id->items[1]->type == BF_PICKLE_GLOBAL) bf_pickle_dotted(id->items[1], name);
        st = bf_fail(err, BF_FILE, "%s: storage \"%s\" is a %s, which is not known", file, key.text, name);
        goto out;
    }
    BF_CHECK(whole(id->items[4], &s->count), BF_FILE, "%s: storage \"%s\" has no size, or a negative one", file,
             key.text);
    const value *part = id->count > 5 ? id->items[5] : NULL;
    if (part != NULL && part->type == BF_PICKLE_TUPLE) {
        uint64_t n;
        BF_CHECK(part->count == 3 && whole(part->items[1], &s->skip) && whole(part->items[2], &n) &&
                     s->skip <= s->count && n <= s->count - s->skip,
                 BF_FILE, "%s: storage \"%s\": a part of it does not lie inside", file, key.text);
        s->count = n;
    }
out:
    return st;
}

static int compare_keys(const value *x, const value *y)
{
    const int order = memcmp(x->text, y->text, BF_MIN(x->count, y->count));
    return order != 0 ? order : x->count < y->count ? -1 : x->count > y->count;
}

static int by_key(const void *a, const void *b)
{
    return compare_keys(((const old_storage *)a)->key, ((const old_storage *)b)->key);
}

/* Where the storage is, and that it is as large as the pickle says. */
static bf_status place_storage(const bf_pt *f, storage *s, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_pt_name(f);
    const quoted key = quote(s->key->text, s->key->count);
    uint64_t end, bytes, has;
    BF_CHECK(bf_add_u64(s->skip, s->count, &end) && bf_mul_u64(end, s->element->bytes, &bytes), BF_FILE,
             "%s: storage \"%s\": %" PRIu64 " elements are more than 2^64 bytes", file, key.text, s->count);
    if (f->zip != NULL) {
        char path[BF_PT_MAX_NAME];
        const int n = snprintf(path, sizeof path, "data/%.*s", (int)BF_MIN(s->key->count, 900u), s->key->text);
        s->place.entry = bf_zip_find(f->zip, f->folder, f->folder_bytes, path, (size_t)n);
        BF_CHECK(s->place.entry != NULL, BF_FILE, "%s: storage \"%s\" is not in the archive", file, key.text);
        has = s->place.entry->size;
    } else {
        const old_storage wanted = {.key = s->key};
        const old_storage *o = bsearch(&wanted, f->storages, f->n_storages, sizeof wanted, by_key);
        BF_CHECK(o != NULL && o->at > 0, BF_FILE, "%s: storage \"%s\" is not in the file", file, key.text);
        s->place.at = o->at;
        has = o->count * o->element; /* checked when they were found */
    }
    s->place.at += s->skip * s->element->bytes;
    BF_CHECK(bytes <= has, BF_FILE, "%s: storage \"%s\" has %" PRIu64 " bytes, expected %" PRIu64, file, key.text, has,
             bytes);
out:
    return st;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

bool bf_pt_is_tensor(const bf_pickle_value *v)
{
    const value *callee, *args;
    return bf_pt_tensor_call(v, &callee, &args);
}

/* A tuple, or the torch.Size around one. */
static const value *as_tuple(const value *v)
{
    if (v->type == BF_PICKLE_OBJECT && bf_pickle_is_global(v->what, "torch.Size") && v->args->count == 1)
        v = v->args->items[0];
    return v->type == BF_PICKLE_TUPLE || v->type == BF_PICKLE_LIST ? v : NULL;
}

/* Sizes and strides; t->count. */
static bf_status parse_shape(const bf_pt *f, const value *size, const value *stride, const quoted *name,
                             bf_pt_tensor *t, bf_err *err)
{
    bf_status st = BF_OK;
    const char *file = bf_pt_name(f);
    size = as_tuple(size);
    stride = as_tuple(stride);
    BF_CHECK(size != NULL && stride != NULL && size->count == stride->count, BF_FILE,
             "%s: tensor \"%s\": its sizes and strides do not match", file, name->text);
    BF_CHECK(size->count <= BF_FILE_DIMS, BF_FILE, "%s: tensor \"%s\": %u dimensions, at most %d are accepted", file,
             name->text, (unsigned)size->count, BF_FILE_DIMS);
    t->ndim = (int)size->count;
    t->count = 1;
    for (int i = 0; i < t->ndim; i++) {
        BF_CHECK(whole(size->items[i], &t->dims[i]), BF_FILE,
                 "%s: tensor \"%s\": dimension %d is not a whole number >= 0", file, name->text, i);
        BF_CHECK(whole(stride->items[i], &t->place.strides[i]), BF_FILE,
                 "%s: tensor \"%s\": stride %d is not a whole number >= 0", file, name->text, i);
        BF_CHECK(bf_mul_u64(t->count, t->dims[i], &t->count), BF_FILE,
                 "%s: tensor \"%s\": the product of its dimensions exceeds 2^64", file, name->text);
    }
out:
    return st;
}

/* Does its last element lie inside the storage? Also bounds what a broadcast view can blow up to. */
static bf_status check_extent(const bf_pt *f, const storage *s, const quoted *name, const bf_pt_tensor *t, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t last = t->place.first, span;
    bool fits = true;
    if (t->count == 0) goto out;
    for (int i = 0; i < t->ndim; i++)
        fits = fits && bf_mul_u64(t->dims[i] - 1, t->place.strides[i], &span) && bf_add_u64(last, span, &last);
    BF_CHECK(fits && last < s->count, BF_FILE,
             "%s: tensor \"%s\": it reaches beyond element %" PRIu64 ", the end of its storage \"%s\"", bf_pt_name(f),
             name->text, s->count, quote(s->key->text, s->key->count).text);
    BF_CHECK(t->count <= BF_MAX(s->count, f->size), BF_FILE,
             "%s: tensor \"%s\": %" PRIu64 " elements from a storage of %" PRIu64, bf_pt_name(f), name->text, t->count,
             s->count);
out:
    return st;
}

/* callee(storage, first, size, stride, ...); the third form has the element type as argument 6. */
static bf_status parse_tensor(const bf_pt *f, const value *callee, const value *args, bf_pt_tensor *t, bf_err *err)
{
    bf_status st = BF_OK;
    storage s;
    uint64_t first;
    const quoted name = quote(t->name, strlen(t->name));
    const bool v3 = bf_pt_names_dtype(callee);
    BF_CHECK(args->count >= (v3 ? 7 : 4), BF_FILE, "%s: tensor \"%s\": %u arguments are too few", bf_pt_name(f),
             name.text, (unsigned)args->count);
    BF_TRY(parse_storage(f, args->items[0], &s, err));
    BF_TRY(place_storage(f, &s, err));
    const bf_pt_element *e = v3 ? bf_pt_dtype_element(args->items[6]) : s.element;
    BF_CHECK(e != NULL, BF_FILE, "%s: tensor \"%s\": its element type is not known", bf_pt_name(f), name.text);
    if (v3) s.count = s.count * s.element->bytes / e->bytes; /* elements of the tensor's type; placed, so no overflow */
    t->readable = e->type >= 0;
    t->dtype = t->readable ? (bf_dtype)e->type : BF_U8;
    t->type = t->readable ? bf_dtype_name(t->dtype) : e->dtype;
    BF_CHECK(whole(args->items[1], &first), BF_FILE, "%s: tensor \"%s\": its offset is not a whole number >= 0",
             bf_pt_name(f), name.text);
    t->place = s.place;
    t->place.first = first;
    BF_TRY(parse_shape(f, args->items[2], args->items[3], &name, t, err));
    BF_TRY(check_extent(f, &s, &name, t, err));
out:
    return st;
}

/* ---- searching --------------------------------------------------------------------------------------------------- */

typedef struct walker {
    bf_pt *f;
    char path[BF_PT_MAX_NAME + 1];
    size_t length;
    int depth;
    size_t steps;
} walker;

static bf_status walk(walker *w, const value *v, size_t folder, bf_err *err);

/* The path without the dot at its end becomes a tensor. */
static bf_status add_tensor(walker *w, const value *callee, const value *args, size_t folder, bf_err *err)
{
    bf_status st = BF_OK;
    bf_pt *f = w->f;
    char *name = NULL;
    bf_pt_tensor t = {0};
    const size_t n = w->length > 0 ? w->length - 1 : 0;
    BF_CHECK(f->count < BF_PT_MAX_TENSORS, BF_FILE, "%s: more than %d tensors", bf_pt_name(f), BF_PT_MAX_TENSORS);
    if (f->count == f->room) {
        const size_t room = f->room > 0 ? 2 * f->room : 64;
        bf_pt_tensor *larger = realloc(f->tensors, room * sizeof *larger);
        BF_CHECK(larger != NULL, BF_RUNTIME, "out of memory while reading %s", bf_pt_name(f));
        f->tensors = larger;
        f->room = room;
    }
    BF_NEW(name, n + 1);
    memcpy(name, w->path, n);
    json_t *text = json_stringn(name, n); /* knows what valid UTF-8 is */
    const bool valid = text != NULL && strlen(name) == n;
    json_decref(text);
    BF_CHECK(valid, BF_FILE, "%s: the name of a tensor, \"%s\", is no text", bf_pt_name(f), quote(name, n).text);
    t.name = name;
    t.folder = BF_MIN(folder, n);
    BF_TRY(parse_tensor(f, callee, args, &t, err));
    f->tensors[f->count++] = t;
    name = NULL;
out:
    free(name);
    return st;
}

static bool has_parts(const value *v)
{
    switch (v->type) {
    case BF_PICKLE_TUPLE:
    case BF_PICKLE_LIST:
    case BF_PICKLE_SET:
    case BF_PICKLE_DICT:
    case BF_PICKLE_OBJECT: return true;
    default: return false;
    }
}

/* Goes into a part of a value under its own name; NULL: a part without one. */
static bf_status walk_part(walker *w, const value *v, const char *name, size_t bytes, size_t folder, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t length = w->length;
    if (++w->steps > MAX_STEPS)
        return bf_fail(err, BF_FILE, "%s: its values refer to each other more than %d times", bf_pt_name(w->f),
                       MAX_STEPS);
    if (!has_parts(v)) return BF_OK;
    if (name != NULL) {
        BF_CHECK(bytes + 1 < sizeof w->path - length, BF_FILE, "%s: a name longer than %d bytes, \"%s\"",
                 bf_pt_name(w->f), BF_PT_MAX_NAME, quote(name, bytes).text);
        memcpy(w->path + length, name, bytes);
        w->path[length + bytes] = '.';
        w->length += bytes + 1;
    }
    BF_TRY(walk(w, v, folder, err));
out:
    w->length = length;
    return st;
}

/* The parts of a module that was saved whole have no names of their own. */
static bool of_module(const value *key)
{
    return bf_pickle_is_text(key, "_parameters") || bf_pickle_is_text(key, "_buffers") ||
           bf_pickle_is_text(key, "_modules");
}

static bf_status walk_pairs(walker *w, const value *v, bool module, size_t folder, bf_err *err)
{
    bf_status st = BF_OK;
    const value *key, *item;
    const size_t n = bf_pickle_pairs(v);
    for (size_t i = 0; i < n && st == BF_OK; i++) {
        char number[24];
        bf_pickle_pair(v, i, &key, &item);
        if (module && of_module(key)) {
            st = walk_pairs(w, item, false, folder, err);
        } else if (key->type == BF_PICKLE_TEXT) {
            st = walk_part(w, item, key->text, key->count, folder, err);
        } else {
            snprintf(number, sizeof number, "%" PRId64, key->type == BF_PICKLE_INT ? key->integer : (int64_t)i);
            st = walk_part(w, item, number, strlen(number), folder, err);
        }
    }
    return st;
}

static bf_status walk_items(walker *w, const value *v, size_t folder, bf_err *err)
{
    bf_status st = BF_OK;
    for (size_t i = 0; i < v->count && st == BF_OK; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        st = walk_part(w, v->items[i], number, strlen(number), folder, err);
    }
    return st;
}

/* `folder`: bytes of the path that lead to the dictionary around the value. */
static bf_status walk(walker *w, const value *v, size_t folder, bf_err *err)
{
    bf_status st = BF_OK;
    const value *callee, *args;
    if (w->depth == BF_PT_MAX_DEPTH)
        return bf_fail(err, BF_FILE, "%s: values nested deeper than %d", bf_pt_name(w->f), BF_PT_MAX_DEPTH);
    w->depth++;
    if (bf_pt_tensor_call(v, &callee, &args)) {
        BF_TRY(add_tensor(w, callee, args, folder, err));
    } else if (bf_pickle_is_dict(v)) {
        BF_TRY(walk_pairs(w, v, false, w->length, err));
    } else {
        BF_TRY(walk_items(w, v, w->length, err));
    }
    if (v->type == BF_PICKLE_OBJECT && v->state != NULL) {
        if (bf_pickle_is_dict(v->state))
            BF_TRY(walk_pairs(w, v->state, true, folder, err));
        else
            BF_TRY(walk_part(w, v->state, NULL, 0, folder, err));
    }
out:
    w->depth--;
    return st;
}

static int by_name(const void *a, const void *b)
{
    const bf_pt_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static bf_status find_tensors(bf_pt *f, bf_err *err)
{
    bf_status st = BF_OK;
    walker *w = NULL;
    BF_NEW(w, 1);
    w->f = f;
    BF_TRY(walk_part(w, bf_pickle_root(f->pickle), NULL, 0, 0, err));
    BF_NEW(f->by_name, f->count);
    for (size_t i = 0; i < f->count; i++) f->by_name[i] = &f->tensors[i];
    qsort(f->by_name, f->count, sizeof *f->by_name, by_name);
    for (size_t i = 1; i < f->count; i++)
        BF_CHECK(by_name(&f->by_name[i - 1], &f->by_name[i]) != 0, BF_FILE, "%s: two tensors are called \"%s\"",
                 bf_pt_name(f), quote(f->by_name[i]->name, strlen(f->by_name[i]->name)).text);
out:
    free(w);
    return st;
}

/* ---- the zip container ------------------------------------------------------------------------------------------- */

/* FOLDER/data.pkl: exactly one. */
static bf_status find_folder(bf_pt *f, bf_zip_entry **pickle, bf_err *err)
{
    bf_status st = BF_OK;
    static const char suffix[] = "/data.pkl";
    const size_t n = sizeof suffix - 1;
    *pickle = NULL;
    for (size_t i = 0; i < bf_zip_count(f->zip); i++) {
        bf_zip_entry *e = bf_zip_at(f->zip, i);
        if (e->name_bytes < n || memcmp(e->name + e->name_bytes - n, suffix, n) != 0 ||
            memchr(e->name, '/', e->name_bytes - n) != NULL)
            continue;
        BF_CHECK(*pickle == NULL, BF_FILE, "%s: an archive with two data.pkl", bf_pt_name(f));
        *pickle = e;
        f->folder = e->name;
        f->folder_bytes = e->name_bytes - n;
    }
    BF_CHECK(*pickle != NULL, BF_FILE, "%s: a zip archive, but not one of PyTorch: it has no data.pkl", bf_pt_name(f));
out:
    return st;
}

/* "little" or "big"; absent: little. */
static bf_status read_byte_order(bf_pt *f, bf_err *err)
{
    bf_status st = BF_OK;
    const void *data;
    bf_zip_entry *e = bf_zip_find(f->zip, f->folder, f->folder_bytes, "byteorder", strlen("byteorder"));
    if (e == NULL) goto out;
    BF_TRY(bf_zip_content(f->zip, e, &data, err));
    f->big_endian = e->size == 3 && memcmp(data, "big", 3) == 0;
    BF_CHECK(f->big_endian || (e->size == 6 && memcmp(data, "little", 6) == 0), BF_FILE,
             "%s: the byte order is neither \"little\" nor \"big\"", bf_pt_name(f));
out:
    return st;
}

static bf_status open_zip(bf_pt *f, bf_err *err)
{
    bf_status st = BF_OK;
    bf_zip_entry *e;
    const void *data;
    size_t used = 0;
    BF_TRY(bf_zip_open(bf_pt_name(f), f->data, (size_t)f->size, &f->zip, err));
    BF_TRY(find_folder(f, &e, err));
    BF_TRY(read_byte_order(f, err));
    BF_CHECK(e->size <= BF_PICKLE_MAX_BYTES, BF_FILE, "%s: a pickle of %" PRIu64 " bytes, at most %zu are accepted",
             bf_pt_name(f), e->size, BF_PICKLE_MAX_BYTES);
    BF_TRY(bf_zip_content(f->zip, e, &data, err));
    if (e->deflated) {
        BF_NEW(f->inflated_pickle, e->size + 1);
        memcpy(f->inflated_pickle, data, (size_t)e->size);
        data = f->inflated_pickle;
    }
    BF_TRY(bf_pickle_parse(bf_pt_name(f), data, (size_t)e->size, bf_pt_allow, &f->pickle, &used, err));
    BF_CHECK(used == e->size, BF_FILE, "%s: %" PRIu64 " bytes follow the pickle", bf_pt_name(f), e->size - used);
out:
    return st;
}

/* ---- the older container ----------------------------------------------------------------------------------------- */

/* Magic number, version, a dictionary about the writer's machine, the object, the keys of the storages. */
static bf_status open_pickles(bf_pt *f, uint64_t *at, bf_err *err)
{
    static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    bf_status st = BF_OK;
    bf_pickle *p[5] = {NULL};
    *at = 0;
    for (int i = 0; i < 5; i++) {
        size_t used = 0;
        BF_TRY(bf_pickle_parse(bf_pt_name(f), f->data + *at, (size_t)(f->size - *at), bf_pt_allow, &p[i], &used, err));
        *at += used;
        const value *v = bf_pickle_root(p[i]);
        BF_CHECK(i != 0 || (v->type == BF_PICKLE_BIG && v->count == sizeof magic &&
                            memcmp(v->text, magic, sizeof magic) == 0),
                 BF_FILE, "%s: a pickle, but not one that PyTorch's torch.save wrote", bf_pt_name(f));
        BF_CHECK(i != 1 || (v->type == BF_PICKLE_INT && v->integer == 1001), BF_FILE,
                 "%s: an unknown version of PyTorch's older container", bf_pt_name(f));
        BF_CHECK(i != 4 || v->type == BF_PICKLE_LIST, BF_FILE, "%s: the list of storages is missing", bf_pt_name(f));
    }
    f->pickle = p[3];
    f->keys = p[4];
    p[3] = p[4] = NULL;
out:
    for (int i = 0; i < 5; i++) bf_pickle_free(p[i]);
    return st;
}

/* Classes of modules have identifiers too. */
static bool is_storage(const value *v)
{
    return v->type == BF_PICKLE_PERSISTENT && v->what->type == BF_PICKLE_TUPLE && v->what->count > 0 &&
           bf_pickle_is_text(v->what->items[0], "storage");
}

/* Every storage that the object mentions, once. */
static bf_status list_storages(bf_pt *f, bf_err *err)
{
    bf_status st = BF_OK;
    size_t n = 0, kept = 0;
    storage s;
    for (size_t i = 0; i < bf_pickle_count(f->pickle); i++) n += is_storage(bf_pickle_at(f->pickle, i));
    BF_NEW(f->storages, n);
    for (size_t i = 0; i < bf_pickle_count(f->pickle); i++) {
        const value *v = bf_pickle_at(f->pickle, i);
        if (!is_storage(v)) continue;
        BF_TRY(parse_storage(f, v, &s, err));
        f->storages[f->n_storages++] =
            (old_storage){.key = s.key, .element = s.element->bytes, .count = (uint64_t)v->what->items[4]->integer};
    }
    if (n > 0) qsort(f->storages, n, sizeof *f->storages, by_key);
    for (size_t i = 0; i < n; i++) {
        old_storage *last = kept > 0 ? &f->storages[kept - 1] : NULL;
        if (last != NULL && by_key(last, &f->storages[i]) == 0) {
            BF_CHECK(last->element == f->storages[i].element && last->count == f->storages[i].count, BF_FILE,
                     "%s: storage \"%s\" has two sizes", bf_pt_name(f), quote(last->key->text, last->key->count).text);
            continue;
        }
        f->storages[kept++] = f->storages[i];
    }
    f->n_storages = kept;
out:
    return st;
}

/* Behind the pickles, in the order of the keys: 8 bytes number of elements, elements. All little-endian, whatever
 * machine wrote them. */
static bf_status open_legacy(bf_pt *f, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t at, bytes;
    BF_TRY(open_pickles(f, &at, err));
    BF_TRY(list_storages(f, err));
    const value *keys = bf_pickle_root(f->keys);
    for (uint32_t i = 0; i < keys->count; i++) {
        const old_storage wanted = {.key = keys->items[i]};
        old_storage *s = NULL;
        uint64_t count = 0;
        if (wanted.key->type == BF_PICKLE_TEXT && f->n_storages > 0)
            s = bsearch(&wanted, f->storages, f->n_storages, sizeof wanted, by_key);
        BF_CHECK(s != NULL && s->at == 0, BF_FILE, "%s: storage %u of the file is not used, or listed twice",
                 bf_pt_name(f), (unsigned)i);
        const quoted key = quote(s->key->text, s->key->count);
        BF_CHECK(f->size - at >= 8, BF_FILE, "%s: it ends before storage \"%s\": it is cut short", bf_pt_name(f),
                 key.text);
        for (int b = 7; b >= 0; b--) count = count << 8 | f->data[at + (unsigned)b];
        at += 8;
        BF_CHECK(count == s->count, BF_FILE, "%s: storage \"%s\" has %" PRIu64 " elements, expected %" PRIu64,
                 bf_pt_name(f), key.text, count, s->count);
        BF_CHECK(bf_mul_u64(s->count, s->element, &bytes) && bytes <= f->size - at, BF_FILE,
                 "%s: storage \"%s\" is cut short: %" PRIu64 " elements of %" PRIu64 " bytes, but %" PRIu64
                 " bytes are left",
                 bf_pt_name(f), key.text, s->count, s->element, f->size - at);
        s->at = at;
        at += bytes;
    }
    BF_CHECK(at == f->size, BF_FILE, "%s: %" PRIu64 " bytes follow the last storage", bf_pt_name(f), f->size - at);
out:
    return st;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Takes over `source`. */
static bf_status open_source(bf_source *source, bf_pt **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_pt *f = NULL;
    const void *data;
    st = bf_calloc(&f, 1, sizeof *f, err);
    if (st != BF_OK) {
        bf_source_close(source);
        return st;
    }
    f->source = source;
    BF_TRY(bf_source_map(source, &data, err));
    f->data = data;
    f->size = bf_source_size(source);
    const bf_kind kind = bf_kind_of_bytes(f->data, (size_t)f->size);
    BF_CHECK(kind == BF_KIND_TORCH, BF_FILE, "%s: is %s, expected a PyTorch file", bf_pt_name(f), bf_kind_text(kind));
    if (f->data[0] == 'P')
        BF_TRY(open_zip(f, err));
    else
        BF_TRY(open_legacy(f, err));
    BF_TRY(find_tensors(f, err));
    *out = f;
    f = NULL;
out:
    bf_pt_close(f);
    return st;
}

bf_status bf_pt_open(const char *path, bf_pt **out, bf_err *err)
{
    bf_source *s;
    bf_status st = bf_source_open(path, &s, err);
    return st == BF_OK ? open_source(s, out, err) : st;
}

bf_status bf_pt_open_memory(const char *name, const void *data, size_t size, bf_pt **out, bf_err *err)
{
    bf_source *s;
    bf_status st = bf_source_memory(name, data, size, &s, err);
    return st == BF_OK ? open_source(s, out, err) : st;
}

void bf_pt_close(bf_pt *f)
{
    if (f == NULL) return;
    for (size_t i = 0; i < f->count; i++) free((char *)f->tensors[i].name);
    free(f->tensors);
    free(f->by_name);
    free(f->storages);
    bf_pickle_free(f->pickle);
    bf_pickle_free(f->keys);
    free(f->inflated_pickle);
    bf_zip_close(f->zip);
    bf_source_close(f->source);
    free(f);
}

/* ---- access ------------------------------------------------------------------------------------------------------ */

const char *bf_pt_name(const bf_pt *f)
{
    return bf_source_name(f->source);
}

bool bf_pt_legacy(const bf_pt *f)
{
    return f->zip == NULL;
}

bool bf_pt_big_endian(const bf_pt *f)
{
    return f->big_endian;
}

int bf_pt_protocol(const bf_pt *f)
{
    return bf_pickle_protocol(f->pickle);
}

size_t bf_pt_count(const bf_pt *f)
{
    return f->count;
}

const bf_pt_tensor *bf_pt_at(const bf_pt *f, size_t i)
{
    return &f->tensors[i];
}

const bf_pt_tensor *bf_pt_find(const bf_pt *f, const char *name)
{
    const bf_pt_tensor key = {.name = name}, *at = &key;
    if (f->count == 0) return NULL;
    const bf_pt_tensor *const *hit = bsearch(&at, f->by_name, f->count, sizeof at, by_name);
    return hit != NULL ? *hit : NULL;
}

const bf_pickle_value *bf_pt_root(const bf_pt *f)
{
    return bf_pickle_root(f->pickle);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Sizes and strides with dimensions that follow each other without a gap made one; returns how many are left, >= 1. */
static int merge(const bf_pt_tensor *t, uint64_t dims[BF_FILE_DIMS + 1], uint64_t strides[BF_FILE_DIMS + 1])
{
    int n = 1;
    dims[0] = strides[0] = 1;
    for (int i = 0; i < t->ndim; i++) {
        const uint64_t stride = t->place.strides[i];
        if (t->dims[i] == 1) continue;
        if (dims[n - 1] == 1 || strides[n - 1] == t->dims[i] * stride) {
            dims[n - 1] *= t->dims[i];
        } else {
            dims[n++] = t->dims[i];
        }
        strides[n - 1] = stride;
    }
    return n;
}

/* Copies `count` > 0 elements from flat index `first` on, run by run of the last dimension. */
static void gather(const bf_pt_tensor *t, const unsigned char *base, uint64_t first, size_t count, unsigned char *out)
{
    const size_t size = bf_dtype_size(t->dtype);
    uint64_t dims[BF_FILE_DIMS + 1], strides[BF_FILE_DIMS + 1], index[BF_FILE_DIMS + 1], rest = first;
    const int last = merge(t, dims, strides) - 1;
    for (int i = last; i >= 0; i--) {
        index[i] = rest % dims[i];
        rest /= dims[i];
    }
    while (count > 0) {
        uint64_t at = t->place.first;
        for (int i = 0; i <= last; i++) at += index[i] * strides[i];
        const unsigned char *from = base + at * size;
        const size_t run = (size_t)BF_MIN(dims[last] - index[last], (uint64_t)count);
        if (strides[last] == 1) {
            memcpy(out, from, run * size);
        } else {
            for (size_t k = 0; k < run; k++) memcpy(out + k * size, from + k * strides[last] * size, size);
        }
        out += run * size;
        count -= run;
        index[last] += run;
        for (int i = last; i > 0 && index[i] == dims[i]; i--) {
            index[i] = 0;
            index[i - 1]++;
        }
    }
}

/* So that a file that is read tensor by tensor never counts as memory as a whole. */
static void release(const bf_pt *f, const bf_zip_entry *e)
{
    if (e != NULL)
        bf_source_release(f->source, e->at, e->packed);
    else
        bf_source_release(f->source, 0, f->size);
}

bf_status bf_pt_read(bf_pt *f, const bf_pt_tensor *t, uint64_t first, size_t count, void *out, bf_err *err)
{
    bf_status st = BF_OK;
    const void *base = f->data;
    BF_CHECK(t->readable, BF_FILE, "%s: tensor \"%s\": element type %s is not supported", bf_pt_name(f),
             quote(t->name, strlen(t->name)).text, t->type);
    BF_CHECK(first <= t->count && count <= t->count - first, BF_RUNTIME, "%s: elements beyond the end of a tensor",
             bf_pt_name(f));
    if (count == 0) goto out;
    BF_TRY(bf_source_intact(f->source, err));
    if (t->place.entry != NULL) BF_TRY(bf_zip_content(f->zip, t->place.entry, &base, err));
    gather(t, (const unsigned char *)base + t->place.at, first, count, out);
    if (first + count == t->count) release(f, t->place.entry);
    if (f->big_endian) bf_swap_bytes(out, bf_dtype_size(t->dtype), count);
    bf_swap_le(out, t->dtype, count);
out:
    return st;
}

bf_status bf_pt_read_f32(bf_pt *f, const bf_pt_tensor *t, float *out, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t step = CHUNK / bf_dtype_size(t->dtype);
    char *piece = NULL;
    BF_NEW(piece, CHUNK);
    for (uint64_t at = 0; at < t->count || at == 0; at += step) { /* an empty one of a wrong type is refused too */
        const size_t n = (size_t)BF_MIN(t->count - at, step);
        BF_TRY(bf_pt_read(f, t, at, n, piece, err));
        bf_to_f32(piece, t->dtype, n, out + at);
    }
out:
    free(piece);
    return st;
}

bf_status bf_pt_verify(bf_pt *f, bf_err *err)
{
    bf_status st = BF_OK;
    const void *data;
    BF_TRY(bf_source_intact(f->source, err));
    for (size_t i = 0; f->zip != NULL && i < bf_zip_count(f->zip); i++) {
        BF_TRY(bf_zip_content(f->zip, bf_zip_at(f->zip, i), &data, err));
        release(f, bf_zip_at(f->zip, i));
    }
out:
    return st;
}
