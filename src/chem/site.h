/*
 * Where a ligand is to be made: the pocket of a receptor, around a ligand that is known or around a point. Lengths in
 * Angstrom, positions in the receptor's frame.
 */
#ifndef BF_CHEM_SITE_H
#define BF_CHEM_SITE_H

#include "chem/pocket.h"

enum { BF_SITE_MAX_LIGAND = 999 }; /* heavy atoms of a ligand; BF_FILE for more */

typedef struct bf_site_options {
    const char *receptor; /* PDB */
    const char *ligand;   /* a molecule where the ligand is (io/mol.h), the first of its file; NULL: `point` */
    double point[3];
    double radius; /* residues with their centre closer to a heavy atom of the ligand, or to the point */
} bf_site_options;

typedef struct bf_site {
    bf_pocket pocket;
    uint8_t *element;   /* [pocket.atoms] */
    uint32_t reference; /* heavy atoms of the ligand; 0: none was given */
    double size;        /* bf_pocket_size */
} bf_site;

/* Hydrogens of the ligand do not count. BF_FILE, naming the file, for what is damaged or lies elsewhere. */
bf_status bf_site_read(const bf_site_options *o, bf_site *out, bf_err *err);
void bf_site_free(bf_site *s);

/* The atoms' places x [atoms, 3] around the pocket's centre, in units of `scale`. */
void bf_site_rows(const bf_pocket *p, double scale, float *x);

/* What became of a ligand that was made there. */
typedef struct bf_placement {
    uint64_t clashes; /* pairs of atoms too close to each other (chem/metrics.h) */
    double closest;   /* smallest distance between heavy atoms of both; INFINITY without such */
    double distance;  /* from the pocket's centre to that of the ligand */
} bf_placement;
bf_placement bf_site_place(const bf_site *s, const bf_mol *ligand);

#endif
