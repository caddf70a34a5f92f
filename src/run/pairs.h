/* Training data of models with pockets: a folder of receptors and their ligands. */
#ifndef BF_RUN_PAIRS_H
#define BF_RUN_PAIRS_H

#include "run/config.h"

/*
 * Every NAME.pdb of the folder that has a NAME.sdf beside it, in the order of the names, as ligands (heavy atoms, kinds
 * by mol.elements) and what is around them (chem/site.h). At most `limit` unless that is 0. BF_FILE for a folder
 * without such pairs and for damaged files; BF_RUNTIME where aromatic kinds are wanted and RDKit is not there.
 */
bf_status bf_pairs_read(const char *folder, const bf_config *c, uint64_t limit, bf_molecules *out, bf_err *err);

/* Opens a data set of the configuration: bf_dataset_open, or pairs with mol.pocket. */
bf_status bf_pairs_or_dataset(const char *path, const bf_config *c, const bf_dataset_options *o, bf_dataset **out,
                              bf_err *err);

#endif
