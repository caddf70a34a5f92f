/*
 * Bonds from positions. Lengths in Angstrom.
 *
 * Two ways, for two purposes: `bf_bond_order` is the table of the field (EDM: QM9, GEOM), by which stability is
 * measured and nothing else; `bf_perceive_bonds` makes the best molecule it can of what a model generates.
 */
#ifndef BF_CHEM_BONDS_H
#define BF_CHEM_BONDS_H

#include "io/mol.h"

/* Typical length of a bond of order 1 to 3; 0 where the tables have none. */
double bf_bond_length(unsigned element_a, unsigned element_b, int order);

/* EDM's rule: the highest order whose typical length plus a margin (0.10, 0.05, 0.03 for orders 1, 2, 3) exceeds d; 0:
 * no bond. Elements without a typical single bond have none. */
int bf_bond_order(unsigned element_a, unsigned element_b, double d);

enum { BF_PERCEIVE_MAX_ATOMS = 5000 };

/*
 * Replaces the bonds (and the charges) of m by those that its positions suggest. Atoms are bound when they are closer
 * than their covalent radii + 0.45; an atom with more neighbours than its element can have loses the relatively
 * longest. Double and triple bonds are chosen so that the lengths explain them best within the valences: with hydrogens
 * (there are any) every valence is filled that can be, without (heavy atoms only) what is missing counts as hydrogen.
 * Nitro groups, oxides of aromatic nitrogen, azides and ammonium get their charges. aromatic [atoms], may be NULL: 1
 * where the model says the atom is in an aromatic ring; its bonds in rings of such atoms are preferred for double
 * bonds. BF_USAGE for more than BF_PERCEIVE_MAX_ATOMS atoms.
 */
bf_status bf_perceive_bonds(bf_mol *m, const uint8_t *aromatic, bf_err *err);

#endif
