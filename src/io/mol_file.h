/* Shared by the molecule formats (mol.c, sdf.c, pdb.c, xyz.c), not for others. */
#ifndef BF_IO_MOL_FILE_H
#define BF_IO_MOL_FILE_H

#include <stdio.h>

#include "io/lines.h"
#include "io/mol.h"

/* Read the next record of their format into an empty molecule; *end at the end of the file. Messages name the line. */
bf_status bf_sdf_next(bf_lines *l, bf_mol *m, bool *end, bf_err *err);
bf_status bf_xyz_next(bf_lines *l, bf_mol *m, bool *end, bf_err *err);
bf_status bf_pdb_next(bf_lines *l, bf_mol *m, bool *end, bf_err *err);
/* To the beginning of the next record after a failure. */
bf_status bf_sdf_skip(bf_lines *l, bf_err *err);

/* Print one record. The locale is "C". */
bf_status bf_sdf_print(FILE *f, const bf_mol *m, bool v3000, bf_err *err);
bf_status bf_xyz_print(FILE *f, const bf_mol *m, bf_err *err);
bf_status bf_pdb_print(FILE *f, const bf_mol *m, size_t model, bf_err *err); /* model 0: no MODEL line */

/* A line as columns: the characters from `at` (0 = first), at most `n`, without surrounding blanks; shorter or empty
 * where the line ends. Points into the line. */
typedef struct bf_field {
    const char *text;
    size_t n;
} bf_field;
bf_field bf_columns(const char *line, size_t bytes, size_t at, size_t n);
/* The next word behind *p, which moves past it; n = 0 at the end. */
bf_field bf_word(const char **p);
bool bf_field_is(bf_field f, const char *text);

/* Numbers: the whole field must be one. A coordinate is finite and below BF_MOL_MAX_COORDINATE. */
bool bf_field_int(bf_field f, int64_t min, int64_t max, int64_t *out);
bool bf_field_coordinate(bf_field f, float *out);

/* "FILE: line N: ..." as BF_FILE. */
bf_status bf_line_fail(const bf_lines *l, bf_err *err, const char *fmt, ...) BF_PRINTF(3, 4);
/* bf_mol_add_atom, bf_mol_add_bond with file and line in their messages. */
bf_status bf_line_add_atom(const bf_lines *l, bf_mol *m, bf_atom a, bf_err *err);
bf_status bf_line_add_bond(const bf_lines *l, bf_mol *m, bf_bond b, bf_err *err);
/* Length and text of a field for "%.*s", short enough for a message. */
#define BF_SHOW(f) (int)((f).n < 20 ? (f).n : 20), (f).text

#endif
