/* Prepares the next training batch in a background thread; the rows are those of bf_dataset_train_rows, bit for bit. */
#ifndef BF_IO_LOADER_H
#define BF_IO_LOADER_H

#include "io/dataset.h"

typedef struct bf_loader bf_loader;

/* Batches of `rows` from position `first` on. `ds` must outlive the loader. Two batches are held in memory. */
bf_status bf_loader_start(const bf_dataset *ds, uint64_t first, uint32_t rows, bf_loader **out, bf_err *err);
/*
 * The next batch; its members stay valid until the next call (values NULL for BINARISE, classes NULL for CONTINUOUS).
 * *position (may be NULL) = its first position. A failure in the thread is reported here, and again on later calls.
 */
bf_status bf_loader_next(bf_loader *l, bf_rows *batch, uint64_t *position, bf_err *err);
/* Stops the thread and frees everything. NULL is fine. */
void bf_loader_stop(bf_loader *l);

#endif
