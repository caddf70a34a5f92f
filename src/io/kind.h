/* What a file is, from its first bytes, whatever its name says. */
#ifndef BF_IO_KIND_H
#define BF_IO_KIND_H

#include "base/err.h"

typedef enum bf_kind {
    BF_KIND_UNKNOWN,
    BF_KIND_FOLDER,
    BF_KIND_SAFETENSORS,
    BF_KIND_TORCH, /* zip archive or bare pickle */
    BF_KIND_NPY,
    BF_KIND_PNG,
    BF_KIND_GIF,
    BF_KIND_IDX,
    BF_KIND_GZIP
} bf_kind;

/* "a PyTorch file", with article, for messages. */
const char *bf_kind_text(bf_kind kind);
bf_kind bf_kind_of_bytes(const void *data, size_t size);
/* BF_FILE when there is nothing at `path`. */
bf_status bf_file_kind(const char *path, bf_kind *out, bf_err *err);

#endif
