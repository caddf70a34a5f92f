/* The part that is C++: RDKit behind plain C. Only for chem/standard.c; no exception leaves it. */
#ifndef BF_CHEM_RDKIT_H
#define BF_CHEM_RDKIT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bf_rdkit_mol {
    int atoms, bonds, fragments;
    int *origin;             /* [atoms] place in the record */
    unsigned char *aromatic; /* [atoms] */
    int *bond;               /* [bonds, 3] two atoms, order (4 aromatic) */
    char *smiles, *plain;    /* with and without stereo */
} bf_rdkit_mol;

/* 0, or 1 when RDKit refuses the record (message says why), or 2 when memory ran out. Free *out in every case. */
int bf_rdkit_standardise(const char *record, bf_rdkit_mol *out, char *message, size_t room);
void bf_rdkit_free(bf_rdkit_mol *m);

#ifdef __cplusplus
}
#endif

#endif
