/*
 * Molecules and their files: MDL MOL and SDF (V2000 and V3000), XYZ, PDB (atoms as a molecule; io/pdb.h has the
 * residues). Files may hold many molecules and may be compressed by gzip; they are read one molecule at a time, so
 * memory is that of one. Readers refuse (BF_FILE, naming file, record and line) what is no element, no finite number, a
 * bond between atoms that do not exist, a count that the file does not keep.
 */
#ifndef BF_IO_MOL_H
#define BF_IO_MOL_H

#include "base/err.h"
#include "io/element.h"

enum {
    BF_MOL_MAX_ATOMS = 1 << 20, /* a record with more is BF_FILE */
    BF_MOL_MAX_BONDS = 1 << 22,
    BF_MOL_MAX_COORDINATE = 1000000 /* Angstrom */
};

typedef struct bf_atom {
    float x[3];      /* Angstrom, finite */
    uint8_t element; /* atomic number, 1 to 118 */
    int8_t charge;
    uint8_t radical;  /* as in MDL files: 0 none, 1 singlet, 2 doublet, 3 triplet */
    uint8_t valence;  /* as in MDL files: 0 by the usual rules, 15 none, else the number of bonds with hydrogens */
    uint16_t isotope; /* mass number, 0 natural */
} bf_atom;

enum { BF_BOND_SINGLE = 1, BF_BOND_DOUBLE, BF_BOND_TRIPLE, BF_BOND_AROMATIC };

typedef struct bf_bond {
    uint32_t a, b;  /* atoms, from 0, different */
    uint8_t order;  /* BF_BOND_... */
    uint8_t stereo; /* as in V2000 files: 1 up, 6 down, 4 either, 3 double bond of unknown form; seen from a */
} bf_bond;

typedef struct bf_mol_property {
    char *name, *value; /* the value may have several lines */
} bf_mol_property;

/* Everything behind the pointers belongs to it; all zero is an empty molecule. */
typedef struct bf_mol {
    char *name; /* NULL: none */
    uint32_t atoms, bonds, properties;
    bf_atom *atom;
    bf_bond *bond;
    bf_mol_property *property;
    uint32_t room_atoms, room_bonds, room_properties;
    uint8_t dimensions; /* that the file states: 2, 3; 0 none */
} bf_mol;

void bf_mol_free(bf_mol *m); /* leaves it empty */
bf_status bf_mol_add_atom(bf_mol *m, bf_atom a, bf_err *err);
bf_status bf_mol_add_bond(bf_mol *m, bf_bond b, bf_err *err);
bf_status bf_mol_set_name(bf_mol *m, const char *name, bf_err *err);
/* Adds a property; a second of the same name replaces it. */
bf_status bf_mol_set_property(bf_mol *m, const char *name, const char *value, bf_err *err);
/* NULL when it has none. */
const char *bf_mol_get_property(const bf_mol *m, const char *name);
bf_status bf_mol_copy(bf_mol *out, const bf_mol *m, bf_err *err);
/* The atoms for which keep[i] is not 0 and the bonds among them, in their order; name, no properties. */
bf_status bf_mol_subset(bf_mol *out, const bf_mol *m, const uint8_t *keep, bf_err *err);

/* ---- files ------------------------------------------------------------------------------------------------------ */

typedef enum bf_mol_format { BF_MOL_UNKNOWN, BF_MOL_SDF, BF_MOL_PDB, BF_MOL_XYZ } bf_mol_format;

/* "SDF"; for messages. */
const char *bf_mol_format_name(bf_mol_format f);
/* By the end of the name, a .gz behind it not looked at: .sdf .sd .mol .mdl, .pdb .ent .pdbqt, .xyz; else unknown. */
bf_mol_format bf_mol_format_of(const char *path);

typedef struct bf_mol_reader bf_mol_reader;

/* BF_MOL_UNKNOWN: by the name. A file of unknown format is BF_FILE. */
bf_status bf_mol_open(const char *path, bf_mol_format format, bf_mol_reader **out, bf_err *err);
/* data[size] must outlive the reader; `name` is for messages, and for the format if that is unknown. */
bf_status bf_mol_open_memory(const char *name, const void *data, size_t size, bf_mol_format format, bf_mol_reader **out,
                             bf_err *err);
void bf_mol_close(bf_mol_reader *r);
bf_mol_format bf_mol_reader_format(const bf_mol_reader *r);
/* Number of the record delivered (or refused) last, from 1. */
uint64_t bf_mol_record(const bf_mol_reader *r);

/* The next molecule, or *end at the end of the file. `out` is overwritten without being freed. After a BF_FILE of an
 * SDF record the next call reads the record that follows it. */
bf_status bf_mol_next(bf_mol_reader *r, bf_mol *out, bool *end, bf_err *err);
/* The first molecule of a file; BF_FILE when it holds none. */
bf_status bf_mol_read(const char *path, bf_mol *out, bf_err *err);
/* All of them, at most `max` (0: no limit). The caller frees each and the list. */
bf_status bf_mol_read_all(const char *path, size_t max, bf_mol **out, size_t *n, bf_err *err);
void bf_mol_free_all(bf_mol *list, size_t n);

/*
 * Writes n molecules, atomic, in the format of the name (BF_USAGE when that is unknown). SDF: V2000 where atoms and
 * bonds fit (999 of each, coordinates that fill their columns), else V3000; with all properties. PDB: atoms as HETATM,
 * one MODEL per molecule when there are several, bonds as CONECT; BF_USAGE for what does not fit its columns. XYZ:
 * names as comments.
 */
bf_status bf_mol_write(const char *path, const bf_mol *list, size_t n, bf_err *err);
/* One record as SDF text (NUL behind it, *size without); the caller frees. v3000: in any case. */
bf_status bf_mol_print(const bf_mol *m, bool v3000, char **text, size_t *size, bf_err *err);

#endif
