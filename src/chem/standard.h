/*
 * What a chemist calls the same molecule: checked for valences, aromatic rings found, hydrogens removed, written as a
 * canonical SMILES. This is RDKit's work (its "sanitisation" and its model of aromaticity define the results); a bfncl
 * built without RDKit fails here with BF_RUNTIME.
 */
#ifndef BF_CHEM_STANDARD_H
#define BF_CHEM_STANDARD_H

#include "io/mol.h"

/* Larger molecules, and those with more rings than a drug has atoms, are refused: the search for rings takes long. */
enum { BF_STANDARD_MAX_ATOMS = 999, BF_STANDARD_MAX_RINGS = 100 };

typedef struct bf_standard {
    uint32_t atoms, bonds, fragments;
    uint32_t *origin;  /* [atoms] place in the molecule that was given, ascending */
    uint8_t *aromatic; /* [atoms] 1: in a ring of 4 to 8 atoms whose bonds are all aromatic */
    bf_bond *bond;     /* [bonds] between the atoms that are left; order 4 aromatic */
    char *smiles;      /* canonical, with stereo from the coordinates */
    char *plain;       /* canonical, without stereo, isotopes and any hydrogen */
} bf_standard;

bool bf_standard_available(void);

/* BF_FILE (message without a file) when the molecule has no atoms, is too large, or RDKit refuses it: impossible
 * valences, aromatic bonds without double bonds for them. BF_RUNTIME without RDKit. */
bf_status bf_standardise(const bf_mol *m, bf_standard *out, bf_err *err);
void bf_standard_free(bf_standard *s);

#endif
