/*
 * Rows of a table as numbers of the model, and back.
 *
 * A row has schema->dims numbers x, columns in the order of their places: continuous, the mapped number; bins and
 * integers, the level 0, 1, ...; categories, the number of the word. A missing cell is NaN.
 *
 * The model is fed a longer row: first the D cells as its flows want them (levels as classes, or as the centre
 * 2 (k + 1/2) / levels - 1), NaN where they are missing; then the condition, which says what is known in advance: D
 * numbers, 1 where a cell is not missing; D numbers, 1 where it is given; and for each column its value where it is
 * given and 0 elsewhere, one number (binary: -1 or 1; levels: the centre) or, of more than two words, one for each
 * word.
 */
#ifndef BF_IO_TABLE_H
#define BF_IO_TABLE_H

#include "io/schema.h"

typedef struct bf_table {
    bf_schema *schema; /* owned */
    uint64_t rows;
    float *x; /* [rows, dims] */
} bf_table;

/* Reads a CSV file by a schema, of which the table keeps a copy; every column of the schema that is not ignored must be
 * there, in any order, and other columns are not looked at. `limit`: at most so many rows, 0 = all. A missing column, a
 * cell that is not a number in a column of numbers, and a word that was not in the training data are BF_FILE; the
 * message names file, row and column. */
bf_status bf_table_read(const char *path, const bf_schema *schema, uint64_t limit, bf_table *out, bf_err *err);
void bf_table_free(bf_table *t);

/* Column i of the schema -> column of the file; UINT32_MAX for ignored ones. BF_FILE when one is missing. */
bf_status bf_table_match(const bf_schema *s, const bf_csv *c, uint32_t *from, bf_err *err);
/* One row of the file: x [dims]. `buffer`: BF_CSV_CELL bytes. */
bf_status bf_table_row(const bf_schema *s, const bf_csv *c, const bf_csv_cell *cells, const uint32_t *from,
                       char *buffer, float *x, bf_err *err);

/* Numbers of the condition; and of the row that the model is fed, dims + condition. */
uint64_t bf_table_condition(const bf_schema *s);
uint64_t bf_table_width(const bf_schema *s);
/* That row from x [dims]; `given` [dims] or NULL: none; `classes`: levels go as classes. */
void bf_table_feed(const bf_schema *s, const float *x, const uint8_t *given, bool classes, float *out);

/* What x of a column stands for: the number, or the number of the word. u in [0, 1) is the place inside a bin. x may be
 * any number, also NaN; the result is one that the column can have. */
double bf_column_value(const bf_column *c, float x, double u);
/* Such a value as text, without quotes, into `out` of BF_COLUMN_WORD_BYTES bytes. */
void bf_column_text(const bf_column *c, double value, char *out);

/* Bits of a cell = -log2(density of x) + this, for continuous columns: the density of the number, at the resolution of
 * the column's last decimal. 0 for others. */
double bf_column_bits(const bf_column *c, float x);

/* Rows as CSV: header, then lines of cells; ignored columns are empty. value [rows, dims]. *text is freed by the
 * caller.
 */
bf_status bf_table_write(const bf_schema *s, const double *value, uint64_t rows, char **text, size_t *size,
                         bf_err *err);

/* The bytes of an open file with the missing cells of modelled and constant columns replaced by what value [rows, dims]
 * says; all other bytes stay. */
bf_status bf_table_fill(const bf_schema *s, bf_csv *c, const double *value, uint64_t rows, char **text, size_t *size,
                        bf_err *err);

#endif
