/* A film of a molecule that forms: where the network expects its atoms, and of which elements, turning once as a GIF
 * and then once more when it is done; or, as .png, moments of it side by side. Bonds are those that the distances mean.
 */
#ifndef BF_RUN_FILM_MOL_H
#define BF_RUN_FILM_MOL_H

#include "flow/sampler.h"
#include "io/molecules.h"

typedef struct bf_mol_forming bf_mol_forming;

/* BF_USAGE unless the name ends in .gif or .png. */
bf_status bf_mol_forming_check(const char *path, bf_err *err);
/* Of the molecule that is the first `atoms` items of a batch, in runs of so many network calls; a unit is `scale`
 * Angstrom. */
bf_status bf_mol_forming_open(const char *path, const bf_kinds *kinds, double scale, uint32_t atoms, int evaluations,
                              bf_mol_forming **out, bf_err *err);
/* After call i. */
bf_status bf_mol_forming_step(bf_mol_forming *f, bf_sampler *s, int i, bf_err *err);
/* Writes the file, atomically; rows [atoms, BF_MOLECULE_DIMS]: the sample. Frees f in every case. */
bf_status bf_mol_forming_close(bf_mol_forming *f, const float *rows, bf_err *err);
void bf_mol_forming_free(bf_mol_forming *f); /* NULL is fine */

#endif
