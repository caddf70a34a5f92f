/*
 * Numbers from text. The whole string must be one number inside the range: no leading space, no trailing rest, "C"
 * locale whatever the program's locale is. Failures are BF_USAGE and name `what`.
 */
#ifndef BF_BASE_PARSE_H
#define BF_BASE_PARSE_H

#include "base/err.h"

bf_status bf_parse_u64(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out, bf_err *err);
bf_status bf_parse_i64(const char *what, const char *text, int64_t min, int64_t max, int64_t *out, bf_err *err);
/* Finite numbers only. */
bf_status bf_parse_double(const char *what, const char *text, double min, double max, double *out, bf_err *err);

#endif
