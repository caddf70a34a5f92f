/*
 * CSV files: RFC 4180, and what programs write beside it. One pass from row to row over a mapped file; nothing is
 * copied and nothing allocated but one row of cells.
 *
 *   - cells are separated by commas, semicolons or tabs, whichever the header has most of outside quotes (none: comma)
 *   - rows end in LF, CRLF or CR; the last one may lack its end
 *   - a cell in double quotes may hold separators, line ends and quotes (doubled); elsewhere a quote is a character
 *   - the first row is the header: names of the columns, not empty, each once; every row has as many cells
 *   - a byte order mark in front is left out; an empty line is no row, unless there is one column (then: an empty cell)
 *   - UTF-8 without NUL
 *
 * Rows are numbered as a spreadsheet does: the header is row 1. A quoted line end makes a row of several lines.
 */
#ifndef BF_IO_CSV_H
#define BF_IO_CSV_H

#include "base/err.h"

#define BF_CSV_COLUMNS 4096 /* at most */
#define BF_CSV_CELL 65536   /* bytes of a cell, quotes included */

/* A cell as it stands in the file. */
typedef struct bf_csv_cell {
    const char *raw; /* `size` bytes, quotes included; not closed by NUL */
    uint32_t size;
    bool quoted;
} bf_csv_cell;

typedef struct bf_csv bf_csv;

/* Opens and reads the header. BF_FILE for whatever is wrong with the file, with its name and the row. */
bf_status bf_csv_open(const char *path, bf_csv **out, bf_err *err);
/* The same from memory, which must outlive the result; `name` is for messages. */
bf_status bf_csv_parse(const char *name, const void *data, size_t size, bf_csv **out, bf_err *err);
void bf_csv_close(bf_csv *c);

const char *bf_csv_name(const bf_csv *c);
uint32_t bf_csv_columns(const bf_csv *c);
/* Name of column i, without quotes. Valid as long as the file is open. */
const char *bf_csv_column(const bf_csv *c, uint32_t i);
char bf_csv_separator(const bf_csv *c);

/* Back to the first row behind the header. */
void bf_csv_rewind(bf_csv *c);
/* The next row: *cells points to bf_csv_columns() cells that are valid until the next call, NULL behind the last row.
 */
bf_status bf_csv_next(bf_csv *c, const bf_csv_cell **cells, bf_err *err);
/* Number of the row that bf_csv_next gave last. */
uint64_t bf_csv_row(const bf_csv *c);
/* All bytes of the file, for whoever copies it with other cells. */
const char *bf_csv_bytes(const bf_csv *c, size_t *size);

/* The text of a cell without its quotes, closed by NUL: in `buffer` of BF_CSV_CELL bytes. */
const char *bf_csv_text(const bf_csv_cell *cell, char *buffer);

/* Bytes that bf_csv_quote may write for a text of n bytes, its closing NUL included. */
#define BF_CSV_QUOTED(n) (2 * (n) + 3)
/* `text` as a cell: in quotes where it has to be. Returns the bytes written, without the NUL. */
size_t bf_csv_quote(const char *text, char separator, char *out);

#endif
