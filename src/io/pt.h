/*
 * PyTorch files (torch.save), read without Python: the zip container (FOLDER/data.pkl, FOLDER/data/KEY, optionally
 * FOLDER/byteorder) and the older one that is a sequence of pickles with the storages behind them. The pickle is read
 * as data only (io/pickle.h).
 *
 * All tensors are found, however deep in dictionaries, lists and objects, and named by the path to them: keys and list
 * positions joined by dots, "state_dict.net.out.weight". Modules that were saved whole give the names of their state
 * dictionary. Views, strides and shared storages are followed; parameters are their tensors.
 *
 * Opening checks the whole table: every tensor lies inside its storage and every storage inside the file. The content
 * is checked (CRC-32 of the archive) when it is read; the older container has no checksums.
 *
 * One thread at a time per file.
 */
#ifndef BF_IO_PT_H
#define BF_IO_PT_H

#include "io/dtype.h"
#include "io/pickle.h"

#define BF_PT_MAX_TENSORS 65536
#define BF_PT_MAX_NAME 1024
#define BF_PT_MAX_DEPTH 64

typedef struct bf_pt bf_pt;

/* Where elements are; internal to the reader. */
typedef struct bf_pt_place {
    struct bf_zip_entry *entry; /* NULL: in the file itself */
    uint64_t at;                /* bytes from the start of the entry or of the file to the storage */
    uint64_t first;             /* element of the storage that the tensor starts with */
    uint64_t strides[BF_FILE_DIMS];
} bf_pt_place;

typedef struct bf_pt_tensor {
    const char *name; /* owned by the file */
    size_t folder;    /* bytes of the name that lead to the dictionary the tensor is in: "state_dict." or "" */
    const char *type; /* "F32", or PyTorch's name of a type that cannot be read: "complex64" */
    bool readable;    /* `dtype` is set */
    bf_dtype dtype;
    int ndim;
    uint64_t dims[BF_FILE_DIMS];
    uint64_t count; /* elements */
    bf_pt_place place;
} bf_pt_tensor;

bf_status bf_pt_open(const char *path, bf_pt **out, bf_err *err);
/* `data` must outlive the file. */
bf_status bf_pt_open_memory(const char *name, const void *data, size_t size, bf_pt **out, bf_err *err);
void bf_pt_close(bf_pt *f);

const char *bf_pt_name(const bf_pt *f);
bool bf_pt_legacy(const bf_pt *f); /* the older container */
bool bf_pt_big_endian(const bf_pt *f);
int bf_pt_protocol(const bf_pt *f); /* of the pickle, 2 to 5 */
size_t bf_pt_count(const bf_pt *f);
const bf_pt_tensor *bf_pt_at(const bf_pt *f, size_t i); /* in the order of the pickle */
const bf_pt_tensor *bf_pt_find(const bf_pt *f, const char *name);

/* Everything the pickle describes, and whether a value of it is one of the tensors. */
const bf_pickle_value *bf_pt_root(const bf_pt *f);
bool bf_pt_is_tensor(const bf_pickle_value *v);

/* Elements first .. first + count of the flattened tensor, in this machine's byte order. */
bf_status bf_pt_read(bf_pt *f, const bf_pt_tensor *t, uint64_t first, size_t count, void *out, bf_err *err);
/* t->count elements converted. */
bf_status bf_pt_read_f32(bf_pt *f, const bf_pt_tensor *t, float *out, bf_err *err);
/* Compares every checksum of the file. */
bf_status bf_pt_verify(bf_pt *f, bf_err *err);

#endif
