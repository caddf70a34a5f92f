/* How good generated molecules are. Lengths in Angstrom. */
#ifndef BF_CHEM_METRICS_H
#define BF_CHEM_METRICS_H

#include "io/mol.h"

/*
 * Stability as EDM measures it, for molecules with all their hydrogens: bond orders by bf_bond_order between every two
 * atoms, whatever bonds the molecule has; an atom is stable when the sum of its orders is a valence of its element, a
 * molecule when all its atoms are.
 */
typedef struct bf_stability {
    uint64_t atoms, stable_atoms, molecules, stable_molecules;
} bf_stability;

/* Adds a molecule to the counts; one without atoms counts as not stable. */
void bf_stability_add(bf_stability *s, const bf_mol *m);

/*
 * Validity and uniqueness of n molecules with bonds: valid is what bf_standardise accepts, connected what is valid and
 * in one piece, unique the number of different SMILES (without stereo) among the valid ones, known those of them that
 * are among `reference` (a list sorted by bf_smiles_sort; none: 0). `smiles` (may be NULL) receives them [n], NULL for
 * a molecule that is not valid; the caller frees each. BF_RUNTIME without RDKit.
 */
typedef struct bf_validity {
    uint64_t molecules, valid, connected, unique, known;
} bf_validity;
bf_status bf_validity_of(const bf_mol *list, size_t n, char *const *reference, size_t n_reference, char **smiles,
                         bf_validity *out, bf_err *err);
/* Sorts a list and frees and removes NULLs and repetitions; how many are left. */
size_t bf_smiles_sort(char **list, size_t n);

/* ---- distributions ---------------------------------------------------------------------------------------------- */

/* Counts over equal bins from low to high; what lies outside is left out. */
typedef struct bf_histogram {
    double low, high;
    uint32_t bins;
    double *count; /* [bins], the caller's */
} bf_histogram;

/* Lengths of the bonds between two elements (0: any element) of an order (0: any). */
void bf_count_bond_lengths(const bf_mol *m, unsigned element_a, unsigned element_b, int order, bf_histogram *h);
/* Distances of all pairs of atoms. */
void bf_count_distances(const bf_mol *m, bf_histogram *h);

/* Distance of two distributions given as counts: sqrt(JS), JS = (KL(p|m) + KL(q|m))/2, m = (p + q)/2, natural
 * logarithm: 0 equal, 0.8326 (sqrt ln 2) without overlap. NAN when either is empty. */
double bf_jensen_shannon(const double *p, const double *q, uint32_t n);

/* Two or more histograms of the same bins as an SVG picture of densities (each has area 1). Atomic. */
bf_status bf_histogram_chart(const char *path, const char *title, const char *x_label, const char *const *names,
                             const bf_histogram *h, size_t n, bf_err *err);

/* ---- in a pocket ------------------------------------------------------------------------------------------------ */

/* Clashes of a ligand (its heavy atoms) with n pocket atoms (hydrogens left out): pairs closer than the sum of their
 * van der Waals radii less 0.5, as PoseCheck counts them. */
typedef struct bf_clashes {
    uint64_t pairs, ligand_atoms; /* pairs, ligand atoms in any */
    double closest;               /* smallest distance; INFINITY when there is no pair at all */
} bf_clashes;
bf_clashes bf_count_clashes(const bf_mol *ligand, const float (*x)[3], const uint8_t *element, uint32_t n);

#endif
