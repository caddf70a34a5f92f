/* NPY arrays, format versions 1 to 3, C order, numeric element types. */
#ifndef BF_IO_NPY_H
#define BF_IO_NPY_H

#include "base/err.h"
#include "io/dtype.h"

typedef struct bf_array {
    bf_dtype dtype;
    int ndim;
    uint64_t dims[BF_FILE_DIMS];
    uint64_t count; /* elements */
    void *data;     /* owned; this machine's byte order */
} bf_array;

void bf_array_free(bf_array *a);

/* On failure *out is empty. */
bf_status bf_npy_read(const char *path, bf_array *out, bf_err *err);
bf_status bf_npy_parse(const char *name, const void *data, size_t size, bf_array *out, bf_err *err);
/* Atomic. */
bf_status bf_npy_write(const char *path, const bf_array *a, bf_err *err);

#endif
