/* Entries of a dictionary of an official configuration: absent ones keep the default, a wrong one is remembered and
 * told at the end. */
#ifndef BF_RUN_OFFICIAL_READ_H
#define BF_RUN_OFFICIAL_READ_H

#include <jansson.h>

#include "base/err.h"

typedef struct bf_reader {
    const json_t *from;
    const char *bad; /* first entry that has the wrong type or range; NULL so far */
} bf_reader;

bf_reader bf_reader_of(const json_t *from);
void bf_reader_int(bf_reader *r, const char *key, int *out); /* -1 to 1000000 */
void bf_reader_bool(bf_reader *r, const char *key, bool *out);
void bf_reader_float(bf_reader *r, const char *key, double *out);
/* A list of at most `most` integers from 1 on. */
void bf_reader_ints(bf_reader *r, const char *key, int most, int *out, int *count);
/* One of n words; *out is its place. */
void bf_reader_word(bf_reader *r, const char *key, const char *const *words, int n, int *out);
/* BF_FILE, naming `what` and the entry, where one was wrong or there is no dictionary. */
bf_status bf_reader_end(const bf_reader *r, const char *what, bf_err *err);

#endif
