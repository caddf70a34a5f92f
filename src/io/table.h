/*
 * Rows of a table as numbers of the model, and back.
 *
 * A row has schema->dims numbers x, columns in the order of their places, and as many states. x is: continuous, the
 * mapped number; bins and integers, the centre 2 (k + 1/2) / levels - 1 of level k; categories, the number of the word.
 */
#ifndef BF_IO_TABLE_H
#define BF_IO_TABLE_H

#include "io/schema.h"

/* What a cell is to the model, as a float. */
enum {
    BF_CELL_MISSING, /* unknown: x is 0 */
    BF_CELL_OPEN,    /* modelled */
    BF_CELL_GIVEN    /* known in advance: the others are modelled given it */
};

typedef struct bf_table {
    bf_schema *schema; /* owned */
    uint64_t rows;
    float *x, *state; /* [rows, dims] */
} bf_table;

/* Reads a CSV file by a schema, of which the table keeps a copy; every column of the schema that is not ignored must be
 * there, in any order, and other columns are not looked at. `limit`: at most so many rows, 0 = all. A missing column, a
 * cell that is not a number in a column of numbers, and a word that was not in the training data are BF_FILE; the
 * message names file, row and column. */
bf_status bf_table_read(const char *path, const bf_schema *schema, uint64_t limit, bf_table *out, bf_err *err);
void bf_table_free(bf_table *t);

/* Column i of the schema -> column of the file; UINT32_MAX for ignored ones. BF_FILE when one is missing. */
bf_status bf_table_match(const bf_schema *s, const bf_csv *c, uint32_t *from, bf_err *err);
/* One row of the file: x and state [dims]. `buffer`: BF_CSV_CELL bytes. */
bf_status bf_table_row(const bf_schema *s, const bf_csv *c, const bf_csv_cell *cells, const uint32_t *from,
                       char *buffer, float *x, float *state, bf_err *err);

/* x of a column as text, without quotes, into `out` of BF_COLUMN_WORD_BYTES bytes; u in [0, 1) is the place inside a
 * bin. x may be any number, also NaN. */
void bf_table_text(const bf_column *c, float x, double u, char *out);

/* Bits of a cell = -log2(density of x) + this, for continuous columns: the density of the number, at the resolution of
 * the column's last decimal. 0 for others. */
double bf_table_bits(const bf_column *c, float x);

/* Rows as CSV: header, then lines of cells; columns without a place have their constant, or nothing. x [rows, dims]; u
 * [rows, columns] or NULL: middles of bins. *text is freed by the caller. */
bf_status bf_table_write(const bf_schema *s, const float *x, const float *u, uint64_t rows, char **text, size_t *size,
                         bf_err *err);

/* The bytes of an open file with missing cells of modelled columns replaced by what x [rows, dims] says; all other
 * bytes stay. */
bf_status bf_table_fill(const bf_schema *s, bf_csv *c, const float *x, const float *u, uint64_t rows, char **text,
                        size_t *size, bf_err *err);

#endif
