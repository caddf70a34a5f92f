/* How large molecules are: a histogram of their numbers of atoms, from which new ones get theirs. */
#ifndef BF_IO_SIZES_H
#define BF_IO_SIZES_H

#include "io/dataset.h"

enum { BF_SIZES_MAX = 1 << 16 }; /* larger molecules are not counted: no batch holds them */

typedef struct bf_size {
    uint32_t atoms;
    uint64_t count; /* molecules with as many */
} bf_size;

/* All zero: of no molecule. */
typedef struct bf_sizes {
    size_t n;
    bf_size *size;  /* [n] ascending */
    uint64_t total; /* molecules */
} bf_sizes;

/* Of the training part of a data set of molecules. */
bf_status bf_sizes_of(const bf_dataset *ds, bf_sizes *out, bf_err *err);
void bf_sizes_free(bf_sizes *s);

/* JSON: [[atoms, count], ...], ascending; *text is freed by the caller. `name` is the file, for messages. */
bf_status bf_sizes_text(const bf_sizes *s, char **text, bf_err *err);
bf_status bf_sizes_parse(const char *text, const char *name, bf_sizes *out, bf_err *err);

/* The size at u in [0, 1) of the cumulative distribution; at least one molecule was counted. */
uint32_t bf_sizes_draw(const bf_sizes *s, double u);
/* The largest size; 0: none. */
uint32_t bf_sizes_largest(const bf_sizes *s);

#endif
