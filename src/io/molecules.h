/*
 * Molecules as data: the atoms of many molecules with their places and kinds. Places are centred per molecule (mean 0)
 * and divided by a scale; the kind of an atom is the place of its element in a list of elements.
 *
 * A list of elements is written as symbols in ascending order of atomic numbers with spaces between them, "H C N O", or
 * as "learned": the elements that the file holds, and where these are fewer than three the next ones of H, C, N (three
 * kinds is the least for which a categorical flow is one of logits). "molcraft" stands for the 13 kinds of MolCRAFT,
 * elements with those in aromatic rings apart.
 */
#ifndef BF_IO_MOLECULES_H
#define BF_IO_MOLECULES_H

#include "base/err.h"

enum {
    BF_MOLECULE_DIMS = 4, /* numbers of an atom: x, y, z, kind */
    BF_ELEMENTS_TEXT = 512,
};

/* Kinds of atoms: atomic numbers, ascending, each once; of "molcraft" the aromatic kinds come second. */
typedef struct bf_kinds {
    uint32_t n;
    uint8_t element[128];
    bool aromatic[128];
} bf_kinds;
extern const bf_kinds bf_kinds_molcraft;

bool bf_kinds_learned(const char *text);
/* BF_USAGE for a text that is no list of at least three elements, and for "learned". */
bf_status bf_kinds_parse(const char *text, bf_kinds *out, bf_err *err);
void bf_kinds_text(const bf_kinds *k, char out[BF_ELEMENTS_TEXT]);
/* Place of an element (not aromatic) in the list, -1: not there. */
int bf_kinds_find(const bf_kinds *k, unsigned element);

typedef struct bf_molecules {
    uint64_t count, atoms;
    uint64_t *first; /* [count + 1]: first atom of every molecule */
    float (*x)[3];   /* [atoms], centred and divided by the scale */
    uint8_t *kind;   /* [atoms] */
    /* What is around the molecules; NULL: nothing. Then places are not centred: 0 is the mean of what is around. */
    uint64_t *around;     /* [count + 1]: first atom around every molecule */
    float (*around_x)[3]; /* in the units of x */
    uint8_t *around_v;    /* [atoms around, features] 0 or 1 */
    uint32_t features;
    uint64_t most_around, most_around_record; /* of one molecule */
    bf_kinds kinds;
    uint64_t largest, largest_record; /* atoms of the largest molecule; its number in the file, from 1 */
    uint32_t crc;                     /* CRC-32C of sizes, elements and coordinates */
} bf_molecules;

/* All molecules of a file (io/mol.h), the first `limit` of them unless that is 0. `elements` as above. BF_FILE, naming
 * the record, for one without atoms and for an element that is not in the list. */
bf_status bf_molecules_read(const char *path, const char *elements, double scale, uint64_t limit, bf_molecules *out,
                            bf_err *err);
void bf_molecules_free(bf_molecules *m);

/* Sets largest, most_around and the checksum of what a caller has filled. */
void bf_molecules_sum(bf_molecules *m);

/* Rows [atoms, BF_MOLECULE_DIMS] of molecule i. */
void bf_molecules_rows(const bf_molecules *m, uint64_t i, float *rows);
/* Places x [atoms around, 3] and features v of what is around it. */
void bf_molecules_around(const bf_molecules *m, uint64_t i, float *x, float *v);

#endif
