/*
 * PDB files: the atoms of the first model (records ATOM and HETATM up to the first ENDMDL) with their residues, read by
 * columns. Alternate places and hydrogens are kept. Files called *.pdbqt are read as AutoDock writes them: its types
 * stand for elements, and there are no segments.
 */
#ifndef BF_IO_PDB_H
#define BF_IO_PDB_H

#include "io/mol.h"

typedef struct bf_pdb_atom {
    float x[3];            /* Angstrom, finite */
    uint8_t element;       /* columns 77-78, or column 14 where these are blank; 0 when they hold no element */
    bool hetero;           /* a HETATM record */
    char chain, insertion; /* ' ' none */
    char name[5], residue[4], segment[5], symbol[3]; /* without blanks around them; symbol: as the file has it */
    int32_t serial, number;                          /* of the atom (-1: none that is a number), of the residue */
    uint64_t line;
} bf_pdb_atom;

typedef struct bf_pdb_bond {
    int32_t a, b; /* serials */
} bf_pdb_bond;

typedef struct bf_pdb {
    uint32_t atoms, bonds;
    bf_pdb_atom *atom;
    bf_pdb_bond *bond; /* of CONECT records, as often as they are named */
    uint32_t room_atoms, room_bonds;
} bf_pdb;

/* Compressed or not. A file without any atom is BF_FILE. */
bf_status bf_pdb_read(const char *path, bf_pdb *out, bf_err *err);
bf_status bf_pdb_parse(const char *name, const void *data, size_t size, bf_pdb *out, bf_err *err);
void bf_pdb_free(bf_pdb *p);

#endif
