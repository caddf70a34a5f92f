/* IDX files (MNIST's format) of unsigned bytes, plain or gzip-compressed: images, labels. */
#ifndef BF_IO_IDX_H
#define BF_IO_IDX_H

#include "io/npy.h"

/* *out has type U8 and 1 to 4 dimensions; compressed and plain files are told apart by their content. */
bf_status bf_idx_read(const char *path, bf_array *out, bf_err *err);
bf_status bf_idx_parse(const char *name, const void *data, size_t size, bf_array *out, bf_err *err);

#endif
