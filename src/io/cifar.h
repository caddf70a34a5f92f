/* CIFAR-10 in its binary form: records of one label and 32 x 32 pixels in three planes, in data_batch_*.bin. */
#ifndef BF_IO_CIFAR_H
#define BF_IO_CIFAR_H

#include "io/npy.h"

/* By name: the files have no mark of their own. A folder is one when it holds a data_batch_*.bin. */
bool bf_cifar_is(const char *path, bool folder);

#define BF_CIFAR_NAMES "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"

/* One file, or the training batches of a folder in the order of their names: U8 [n,32,32,3]. `labels` receives [n], 0
 * to 9; the caller frees them. */
bf_status bf_cifar_read(const char *path, bool folder, bf_array *out, uint8_t **labels, bf_err *err);

#endif
