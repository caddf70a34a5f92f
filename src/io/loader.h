/* Prepares the blocks of the next training step in a background thread; they are those of bf_dataset_train_block, bit
 * for bit. */
#ifndef BF_IO_LOADER_H
#define BF_IO_LOADER_H

#include "io/dataset.h"

typedef struct bf_loader bf_loader;

/* Steps of `parts` blocks of `items` from position `first` on. `ds` must outlive the loader. The blocks of two steps
 * are held in memory. */
bf_status bf_loader_start(const bf_dataset *ds, uint64_t first, uint64_t parts, uint64_t items, bf_loader **out,
                          bf_err *err);
/*
 * The blocks of the next step; they stay valid until the next call. *position (may be NULL): where they begin in the
 * stream, *next: where they end. A failure in the thread is reported here, and again on later calls.
 */
bf_status bf_loader_next(bf_loader *l, const float **blocks, uint64_t *position, uint64_t *next, bf_err *err);
/* Stops the thread and frees everything. NULL is fine. */
void bf_loader_stop(bf_loader *l);

#endif
