/* A text file line by line, plain or compressed by gzip. Memory is that of the longest line. */
#ifndef BF_IO_LINES_H
#define BF_IO_LINES_H

#include "base/file.h"

enum { BF_LINES_MAX = 1 << 20 }; /* bytes of a line; a longer one is BF_FILE */

typedef struct bf_lines bf_lines;

/* The source must outlive the lines. */
bf_status bf_lines_open(const bf_source *s, bf_lines **out, bf_err *err);
void bf_lines_close(bf_lines *l);

/* The next line without its end (LF, CR LF), or NULL at the end of the file; valid until the next call. BF_FILE names
 * the line that holds a NUL byte or is too long. */
bf_status bf_lines_next(bf_lines *l, char **line, size_t *bytes, bf_err *err);
/* The line that was delivered last is delivered once more. */
void bf_lines_back(bf_lines *l);
/* Of the line delivered last, from 1. */
uint64_t bf_lines_number(const bf_lines *l);
const char *bf_lines_name(const bf_lines *l);

#endif
