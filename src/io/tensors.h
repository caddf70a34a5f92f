/* A file of named tensors, whatever its format: safetensors or PyTorch. One thread at a time per file. */
#ifndef BF_IO_TENSORS_H
#define BF_IO_TENSORS_H

#include "io/pt.h"
#include "io/safetensors.h"

typedef struct bf_tensors bf_tensors;

typedef struct bf_tensor {
    const char *name; /* owned by the file */
    size_t folder;    /* bytes of the name that lead to the dictionary the tensor is in; 0 in safetensors */
    const char *type; /* of the elements, for people */
    bool readable;    /* else PyTorch has a type that bfncl has not */
    bf_dtype dtype;
    int ndim;
    uint64_t dims[BF_FILE_DIMS];
    uint64_t count;
} bf_tensor;

/* The kind is found from the first bytes. */
bf_status bf_tensors_open(const char *path, bf_tensors **out, bf_err *err);
void bf_tensors_close(bf_tensors *f);

const char *bf_tensors_name(const bf_tensors *f);
size_t bf_tensors_count(const bf_tensors *f);
bf_tensor bf_tensors_at(const bf_tensors *f, size_t i);
/* Index, -1 when absent. */
ptrdiff_t bf_tensors_find(const bf_tensors *f, const char *name);

/* All elements of tensor i, converted; or as they are, in this machine's byte order. */
bf_status bf_tensors_read_f32(bf_tensors *f, size_t i, float *out, bf_err *err);
bf_status bf_tensors_read_raw(bf_tensors *f, size_t i, void *out, bf_err *err);

/* Compares every checksum of the file. */
bf_status bf_tensors_verify(bf_tensors *f, bf_err *err);

/* What is particular to a format; NULL when the file has the other one. */
const bf_st *bf_tensors_st(const bf_tensors *f);
const bf_pt *bf_tensors_pt(const bf_tensors *f);

/* "[2,3]" */
#define BF_SHAPE_TEXT 192
void bf_shape_text(int ndim, const uint64_t *dims, char out[BF_SHAPE_TEXT]);

#endif
