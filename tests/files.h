/* For suites about files: a scratch folder, and inputs damaged in every way a byte can be. */
#ifndef BF_TESTS_FILES_H
#define BF_TESTS_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "support.h"

static char test_folder_[64];

static inline void test_folder_remove_(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", test_folder_);
    if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", test_folder_);
}

/* A path in a folder that is removed at exit; overwritten by the fourth call after it. */
static inline const char *test_path(const char *name)
{
    static char path[4][128];
    static int next;
    if (test_folder_[0] == '\0') {
        strcpy(test_folder_, "/tmp/bfncl-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(test_folder_));
        atexit(test_folder_remove_);
    }
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", test_folder_, name);
    return p;
}

/* The whole file; the caller frees. */
static inline unsigned char *test_slurp(const char *path, size_t *size)
{
    void *data = NULL;
    OK(bf_file_read(path, 1 << 24, &data, size, err));
    return data;
}

static inline void test_spill(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

/* ck_assert that a call fails with this status and that its message contains `part`. */
#define FAILS(status_, part, call)                                                                                     \
    do {                                                                                                               \
        bf_err fails_err_ = {0}, *err = &fails_err_;                                                                   \
        bf_status fails_st_ = (call);                                                                                  \
        ck_assert_msg(fails_st_ == (status_), "%s: status %d, expected %d: %s", #call, fails_st_, (status_),           \
                      fails_err_.message);                                                                             \
        ck_assert_msg(strstr(fails_err_.message, (part)) != NULL, "\"%s\" does not mention \"%s\"",                    \
                      fails_err_.message, (part));                                                                     \
    } while (0)

/* Reads an input from memory, frees what it made, and returns the status. */
typedef bf_status (*test_parse)(const void *data, size_t size, bf_err *err);

/* Every proper prefix must be refused as a bad file. Each is a block of its own, so that sanitizers see overreads. */
static inline void test_truncations(test_parse parse, const void *data, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        bf_err err = {0};
        void *copy = malloc(n + 1);
        ck_assert_ptr_nonnull(copy);
        copy = realloc(copy, n > 0 ? n : 1);
        memcpy(copy, data, n);
        bf_status st = parse(copy, n, &err);
        ck_assert_msg(st == BF_FILE, "cut to %zu of %zu bytes: status %d: %s", n, size, st, err.message);
        ck_assert_msg(strstr(err.message, "x.file") != NULL, "\"%s\" does not name the file", err.message);
        free(copy);
    }
}

/* Every bit of every byte, and every byte as a whole, turned over: accepted or refused as a bad file; returns how often
 * it was accepted. */
static inline size_t test_flips(test_parse parse, const void *data, size_t size)
{
    static const unsigned char masks[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
    const size_t ways = sizeof masks;
    size_t accepted = 0;
    unsigned char *copy = malloc(size);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, size);
    for (size_t i = 0; i < ways * size; i++) {
        bf_err err = {0};
        copy[i / ways] ^= masks[i % ways];
        bf_status st = parse(copy, size, &err);
        ck_assert_msg(st == BF_OK || st == BF_FILE, "byte %zu ^ %02x: status %d: %s", i / ways, masks[i % ways], st,
                      err.message);
        accepted += st == BF_OK;
        copy[i / ways] ^= masks[i % ways];
    }
    free(copy);
    return accepted;
}

#endif
