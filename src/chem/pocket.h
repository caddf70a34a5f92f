/*
 * Proteins around a ligand, as the pocket models of the field see them (TargetDiff, MolCRAFT): which residues belong to
 * the pocket, 27 features per pocket atom, 13 types of ligand atoms, how many atoms a ligand for this pocket has.
 * Lengths in Angstrom.
 */
#ifndef BF_CHEM_POCKET_H
#define BF_CHEM_POCKET_H

#include "io/mol.h"
#include "io/pdb.h"

/* ---- the protein ------------------------------------------------------------------------------------------------ */

enum {
    BF_AMINO_ACIDS = 20,
    BF_POCKET_ELEMENTS = 6,                                       /* H C N O S Se */
    BF_POCKET_FEATURES = BF_POCKET_ELEMENTS + BF_AMINO_ACIDS + 1, /* one-hot element, one-hot residue, backbone */
};

/* "ALA", ... in the order of the features. */
const char *bf_amino_acid_name(unsigned k);

typedef struct bf_residue {
    uint8_t amino_acid;
    uint32_t atoms, first; /* first: into `member` */
    float centre[3];       /* mean of its atoms weighted by atomic weight */
} bf_residue;

typedef struct bf_protein {
    uint32_t atoms, residues;
    float (*x)[3];        /* [atoms] */
    uint8_t *element;     /* [atoms] */
    uint8_t *backbone;    /* [atoms] 1: named CA, C, N or O */
    uint32_t *residue_of; /* [atoms] */
    uint32_t *member;     /* [atoms] atoms sorted by residue, within it in the order of the file */
    bf_residue *residue;  /* [residues] in order of first appearance */
} bf_protein;

/* ATOM records of a PDB file. A residue is chain, segment, number and insertion code. BF_FILE (naming file and line)
 * for a residue name outside the twenty, one whose atoms name different residues, and an unknown element. */
bf_status bf_protein_read(const char *path, bf_protein *out, bf_err *err);
bf_status bf_protein_of(const char *name, const bf_pdb *pdb, bf_protein *out, bf_err *err);
void bf_protein_free(bf_protein *p);

/* ---- the pocket ------------------------------------------------------------------------------------------------- */

typedef struct bf_pocket {
    uint32_t atoms, residues;
    uint32_t *residue; /* [residues] of the protein: ligand atom by ligand atom, those not yet taken in their order */
    uint32_t *atom;    /* [atoms] of the protein, residue by residue */
    float (*x)[3];     /* [atoms] */
    uint8_t *feature;  /* [atoms, BF_POCKET_FEATURES] 0 or 1 */
    float centre[3];   /* mean position */
} bf_pocket;

#define BF_POCKET_RADIUS 10.0 /* of the published models */

/* Residues whose centre is closer than `radius` to any of the n ligand positions (heavy atoms). BF_FILE when there is
 * none: the ligand lies elsewhere. */
bf_status bf_pocket_cut(const bf_protein *p, const float (*ligand)[3], uint32_t n, double radius, bf_pocket *out,
                        bf_err *err);
void bf_pocket_free(bf_pocket *p);

/* ---- the ligand ------------------------------------------------------------------------------------------------- */

enum { BF_LIGAND_TYPES = 13 };

typedef struct bf_ligand_type {
    uint8_t element;
    bool aromatic;
} bf_ligand_type;

/* Of class k < BF_LIGAND_TYPES: H C C-aromatic N N-aromatic O O-aromatic F P P-aromatic S S-aromatic Cl. */
bf_ligand_type bf_ligand_type_of(unsigned k);
/* The class of an atom; 0 (hydrogen) for an element without a class, as in the published models. */
unsigned bf_ligand_class(unsigned element, bool aromatic);

typedef struct bf_ligand {
    uint32_t atoms;
    uint32_t *origin;                   /* [atoms] place in the molecule that was given */
    float (*x)[3];                      /* [atoms] */
    uint8_t *element, *type, *aromatic; /* [atoms] */
    uint32_t bonds;
    bf_bond *bond; /* [bonds] order 4 aromatic */
    char *smiles;
} bf_ligand;

/* A molecule standardised (chem/standard.h) and without hydrogens. Errors as there. */
bf_status bf_ligand_of(const bf_mol *m, bf_ligand *out, bf_err *err);
void bf_ligand_free(bf_ligand *l);
/* The first molecule of a file, as above. Where the file has no bonds (PDB, XYZ), they are perceived between the heavy
 * atoms (chem/bonds.h), and `origin` counts these alone. Messages name the file. */
bf_status bf_ligand_read(const char *path, bf_ligand *out, bf_err *err);

/* ---- number of atoms -------------------------------------------------------------------------------------------- */

/* Median of the ten largest distances between n > 1 positions; of all when there are fewer. */
bf_status bf_pocket_size(const float (*x)[3], uint32_t n, double *size, bf_err *err);
/* Number of the table's ten bins that a size belongs to. */
unsigned bf_prior_bin(double size);
/* Number of atoms for u in [0, 1): inverse of the bin's cumulative distribution. */
unsigned bf_prior_count(unsigned bin, double u);

#endif
