#include "io/cifar.h"

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"

enum { SIDE = 32, COLOURS = 3, PLANE = SIDE * SIDE, IMAGE = COLOURS * PLANE, RECORD = 1 + IMAGE, LABELS = 10 };

/* The files of a data set in the order of their names; false when there are none. The folder's own name may hold
 * characters that are special in patterns. */
static bool list(const char *path, bool folder, glob_t *g)
{
    char pattern[4096];
    size_t n = 0;
    for (const char *p = path; *p && n + 32 < sizeof pattern; p++) {
        if (strchr("\\*?[", *p) != NULL) pattern[n++] = '\\';
        pattern[n++] = *p;
    }
    snprintf(pattern + n, sizeof pattern - n, "%s", folder ? "/data_batch_*.bin" : "");
    return glob(pattern, 0, NULL, g) == 0; /* sorted */
}

bool bf_cifar_is(const char *path, bool folder)
{
    glob_t g = {0};
    const size_t n = strlen(path);
    if (!folder) return n > 4 && strcmp(path + n - 4, ".bin") == 0;
    const bool found = list(path, true, &g);
    globfree(&g);
    return found;
}

static bf_status count_records(const char *path, uint64_t *records, bf_err *err)
{
    bf_status st = BF_OK;
    bf_source *s = NULL;
    BF_TRY(bf_source_open(path, &s, err));
    const uint64_t size = bf_source_size(s);
    BF_CHECK(size > 0 && size % RECORD == 0, BF_FILE,
             "%s: %" PRIu64 " bytes are no whole number of CIFAR-10 records (%d bytes each): cut short, or another "
             "kind of file",
             path, size, RECORD);
    *records += size / RECORD;
out:
    bf_source_close(s);
    return st;
}

/* Appends the pictures of a file at `at`, and their labels, where there is room for `room` of them. */
static bf_status read_file(const char *path, uint8_t *at, uint8_t *label, uint64_t room, uint64_t *read, bf_err *err)
{
    bf_status st = BF_OK;
    bf_source *s = NULL;
    uint8_t record[RECORD];
    BF_TRY(bf_source_open(path, &s, err));
    const uint64_t n = BF_MIN(bf_source_size(s) / RECORD, room);
    for (uint64_t i = 0; i < n; i++, at += IMAGE) {
        BF_TRY(bf_source_read(s, i * RECORD, record, RECORD, err));
        BF_CHECK(record[0] < LABELS, BF_FILE,
                 "%s: record %" PRIu64 " has label %d, CIFAR-10 has 0 to 9: damaged, or "
                 "another kind of file",
                 path, i, record[0]);
        label[i] = record[0];
        for (size_t e = 0; e < IMAGE; e++) at[e] = record[1 + e % COLOURS * PLANE + e / COLOURS];
    }
    *read = n;
out:
    bf_source_close(s);
    return st;
}

bf_status bf_cifar_read(const char *path, bool folder, bf_array *out, uint8_t **labels, bf_err *err)
{
    bf_status st = BF_OK;
    glob_t g = {0};
    uint64_t records = 0, done = 0;
    uint8_t *pixels = NULL, *label = NULL;
    *out = (bf_array){0};
    BF_CHECK(list(path, folder, &g), BF_FILE, "%s: cannot be read", path);
    for (size_t i = 0; i < g.gl_pathc; i++) BF_TRY(count_records(g.gl_pathv[i], &records, err));
    BF_NEW(pixels, records * IMAGE);
    BF_NEW(label, records);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        uint64_t n = 0;
        BF_TRY(read_file(g.gl_pathv[i], pixels + done * IMAGE, label + done, records - done, &n, err));
        done += n;
    }
    *out = (bf_array){.dtype = BF_U8, .ndim = 4, .dims = {done, SIDE, SIDE, COLOURS}, .count = done * IMAGE};
    out->data = pixels;
    *labels = label;
    pixels = label = NULL;
out:
    globfree(&g);
    free(pixels);
    free(label);
    return st;
}
