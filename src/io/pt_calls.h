/*
 * What PyTorch's pickles may call and what it means: the functions that make tensors, the classes of storages, and the
 * harmless makers of other data. Internal to the reader of PyTorch files.
 */
#ifndef BF_IO_PT_CALLS_H
#define BF_IO_PT_CALLS_H

#include "io/pickle.h"

typedef struct bf_pt_element {
    const char *storage; /* class in module torch, without "Storage"; "" when there is none */
    const char *dtype;   /* name in module torch */
    unsigned bytes;
    int type; /* bf_dtype, -1: not supported */
} bf_pt_element;

/* Elements of torch.FloatStorage, torch.storage.UntypedStorage, ...; NULL: unknown. */
const bf_pt_element *bf_pt_storage_element(const bf_pickle_value *global);
/* torch.float32, ... */
const bf_pt_element *bf_pt_dtype_element(const bf_pickle_value *global);

/* bf_pickle_allow: the list of what a file may call. */
bool bf_pt_allow(const bf_pickle_value *global);

/* What makes a tensor once parameters and subclasses around it are taken off: callee and arguments (storage, first
 * element, size, stride, ...). False when `v` is no tensor. */
bool bf_pt_tensor_call(const bf_pickle_value *v, const bf_pickle_value **callee, const bf_pickle_value **args);
/* Is the element type an argument, the seventh, rather than the storage's? */
bool bf_pt_names_dtype(const bf_pickle_value *callee);

#endif
