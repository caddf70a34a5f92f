/* Folders of PNG files as one array. io/image.h */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/size.h"
#include "io/image.h"

/* A file or folder: two paths to one, by links, are one. */
typedef struct entry {
    char *path;
    dev_t device;
    ino_t number;
} entry;

typedef struct entries {
    entry *at;
    size_t n, room;
} entries;

static void entries_free(entries *l)
{
    for (size_t i = 0; i < l->n; i++) free(l->at[i].path);
    free(l->at);
}

/* Takes over `path`, also on failure. */
static bf_status entries_add(entries *l, char *path, const struct stat *s, bf_err *err)
{
    bf_status st = BF_OK;
    if (l->n == l->room) {
        size_t room = l->room > 0 ? 2 * l->room : 64;
        entry *grown = realloc(l->at, room * sizeof *grown);
        BF_CHECK(grown != NULL, BF_RUNTIME, "%s: out of memory for the names of the files", path);
        l->at = grown;
        l->room = room;
    }
    l->at[l->n++] = (entry){path, s->st_dev, s->st_ino};
    path = NULL;
out:
    free(path);
    return st;
}

static bool has(const entries *l, const struct stat *s)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].device == s->st_dev && l->at[i].number == s->st_ino) return true;
    return false;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->path, ((const entry *)b)->path);
}

static int by_file(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    return by_path(a, b);
}

/* Of several paths to one file the first stays; then in the order of the paths. */
static void sort_once(entries *l)
{
    size_t kept = 0;
    qsort(l->at, l->n, sizeof *l->at, by_file);
    for (size_t i = 0; i < l->n; i++) {
        const entry *last = kept ? &l->at[kept - 1] : NULL;
        if (last && last->device == l->at[i].device && last->number == l->at[i].number)
            free(l->at[i].path);
        else
            l->at[kept++] = l->at[i];
    }
    l->n = kept;
    qsort(l->at, l->n, sizeof *l->at, by_path);
}

/* Adds the pictures in one folder to `files`, and the folders in it to `folders`. */
static bf_status scan(const char *folder, entries *folders, entries *files, bf_err *err)
{
    bf_status st = BF_OK;
    char *path = NULL;
    DIR *dir = opendir(folder);
    BF_CHECK(dir != NULL, BF_FILE, "%s: cannot list the folder: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        const size_t n = strlen(e->d_name), room = strlen(folder) + n + 2;
        const bool png = n > 4 && strcasecmp(e->d_name + n - 4, ".png") == 0;
        struct stat s;
        if (e->d_name[0] == '.') continue;
        BF_NEW(path, room);
        snprintf(path, room, "%s/%s", folder, e->d_name);
        const bool there = stat(path, &s) == 0;
        BF_CHECK(there || !png, BF_FILE, "%s: cannot be read: %s", path, strerror(errno));
        entries *to = NULL;
        if (there && S_ISDIR(s.st_mode) && !has(folders, &s)) to = folders;
        if (there && !S_ISDIR(s.st_mode) && png) to = files;
        if (to) {
            st = entries_add(to, path, &s, err);
            path = NULL;
            BF_TRY(st);
        }
        free(path);
        path = NULL;
    }
out:
    free(path);
    if (dir != NULL) closedir(dir);
    return st;
}

static bf_status list_pngs(const char *folder, entries *files, bf_err *err)
{
    bf_status st = BF_OK;
    entries folders = {0};
    struct stat s;
    char *root = NULL;
    BF_CHECK(stat(folder, &s) == 0, BF_FILE, "%s: cannot list the folder: %s", folder, strerror(errno));
    BF_NEW(root, strlen(folder) + 1);
    strcpy(root, folder);
    st = entries_add(&folders, root, &s, err);
    root = NULL;
    BF_TRY(st);
    for (size_t i = 0; i < folders.n; i++) BF_TRY(scan(folders.at[i].path, &folders, files, err));
    BF_CHECK(files->n > 0, BF_FILE, "%s: no .png file in this folder", folder);
    sort_once(files);
out:
    free(root);
    entries_free(&folders);
    return st;
}

/* 3 when any picture has colours, else 1. A file that is no picture is left to the reader. */
static uint32_t colours_of(const entries *files)
{
    enum { COLOUR_TYPE = 25, COLOUR_BIT = 2 }; /* of the header chunk, the first in a file */
    for (size_t i = 0; i < files->n; i++) {
        unsigned char head[COLOUR_TYPE + 1];
        FILE *f = fopen(files->at[i].path, "rb");
        const bool whole = f != NULL && fread(head, sizeof head, 1, f) == 1;
        if (f != NULL) fclose(f);
        if (whole && (head[COLOUR_TYPE] & COLOUR_BIT) != 0) return 3;
    }
    return 1;
}

/* The picture as number `n` of the array; the first one sets the size of all. */
static bf_status keep(bf_array *a, size_t n, size_t room, const bf_image *im, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t bytes = (size_t)im->width * im->height * im->channels;
    if (n == 0) {
        BF_TRY(bf_calloc(&a->data, room, bytes, err));
        a->dims[1] = im->height;
        a->dims[2] = im->width;
        a->dims[3] = im->channels;
    }
    memcpy((uint8_t *)a->data + n * bytes, im->pixels, bytes);
    a->dims[0] = n + 1;
    a->count = (n + 1) * bytes;
out:
    return st;
}

/* Moves the paths of the first n entries to *files. */
static bf_status take_paths(entries *l, size_t n, char ***files, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(*files, n);
    for (size_t i = 0; i < n; i++) {
        (*files)[i] = l->at[i].path;
        l->at[i].path = NULL;
    }
out:
    return st;
}

bf_status bf_folder_read(const char *path, uint32_t channels, const uint32_t size[2], bf_array *out, char ***files,
                         bf_err *err)
{
    bf_status st = BF_OK;
    entries l = {0};
    bf_image im = {0};
    size_t n = 0;
    const char *first = NULL, *other = NULL; /* the first one taken, and left out */
    *out = (bf_array){.dtype = BF_U8, .ndim = 4};
    BF_TRY(list_pngs(path, &l, err));
    if (channels == 0) channels = colours_of(&l);
    for (size_t i = 0; i < l.n; i++) {
        char *name = l.at[i].path;
        BF_TRY(bf_png_read(name, channels, &im, err));
        if (size[0] == 0 || (im.height == size[0] && im.width == size[1])) {
            if (first && (im.height != out->dims[1] || im.width != out->dims[2])) {
                st = bf_fail(err, BF_FILE, "%s: %" PRIu32 " x %" PRIu32 " pixels, but %s has %" PRIu64 " x %" PRIu64,
                             name, im.height, im.width, first, out->dims[1], out->dims[2]);
                bf_hint(err, "data.size=[%" PRIu64 ", %" PRIu64 "] leaves out pictures of other sizes", out->dims[1],
                        out->dims[2]);
                goto out;
            }
            BF_TRY(keep(out, n, l.n, &im, err));
            if (n == 0) first = name;
            l.at[i].path = l.at[n].path; /* those that are taken come first */
            l.at[n++].path = name;
        } else if (!other) {
            other = name;
        }
        bf_image_free(&im);
    }
    BF_CHECK(first, BF_FILE, "%s: none of %zu pictures has %" PRIu32 " x %" PRIu32 " pixels", path, l.n, size[0],
             size[1]);
    if (other)
        bf_log(BFNCL_LOG_WARN, "%s: %zu of %zu pictures are not of data.size and left out (%s)", path, l.n - n, l.n,
               other);
    if (files != NULL) BF_TRY(take_paths(&l, n, files, err));
out:
    if (st != BF_OK) bf_array_free(out);
    bf_image_free(&im);
    entries_free(&l);
    return st;
}
