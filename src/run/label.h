/* The classes that somebody asks for by name. */
#ifndef BF_RUN_LABEL_H
#define BF_RUN_LABEL_H

#include "run/model.h"

/* "shirt, trouser", "all", or "none" (NULL: the same): classes[*n], which the caller frees; "none" is the class of
 * number m->classes.n. BF_USAGE, naming the choices, for a class that there is not, a model without labels, or "none"
 * where the network never did without. */
bf_status bf_label_choose(const bf_model *m, const char *text, uint32_t **classes, uint64_t *n, bf_err *err);

/* Writes the labels of a batch to the graph of a sampler: label[i] of the items i each .. below n each, of the others
 * "none"; NULL: all are.
 * Does nothing for a model without labels. */
bf_status bf_label_tell(const bf_model *m, const bf_graph *g, const uint32_t *label, uint64_t n, uint64_t each,
                        bf_err *err);

#endif
