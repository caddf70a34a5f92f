/* What is in a file of molecules, for bfncl_info. */
#ifndef BF_RUN_INFO_MOLECULES_H
#define BF_RUN_INFO_MOLECULES_H

#include <jansson.h>

#include "base/err.h"

/*
 * Adds to root: "kind" (molecules), "format", "molecules", "atoms", "bonds", "heavy_atoms" ([fewest, most] of a
 * molecule), "elements" ({symbol: atoms}), "properties" (names of the first molecule's). Of a PDB file also "protein":
 * {"residues", "atoms", "pockets": whether pockets can be cut from it, "why" if not}. The whole file is read: BF_FILE
 * when any of it is refused, or when it holds no molecule.
 */
bf_status bf_info_molecules(json_t *root, const char *path, bf_err *err);

#endif
