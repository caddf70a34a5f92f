#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clocale.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bf_status bf_parse_u64(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out, bf_err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long v = is_digit(text[0]) ? strtoull(text, &end, 10) : 0;
    if (end == NULL || *end != '\0') {
        return bf_fail(err, BF_USAGE, "%s: \"%s\" is not a whole number >= 0", what, text);
    }
    if (errno == ERANGE || v < min || v > max) {
        return bf_fail(err, BF_USAGE, "%s: %s is outside %" PRIu64 "..%" PRIu64, what, text, min, max);
    }
    *out = v;
    return BF_OK;
}

bf_status bf_parse_i64(const char *what, const char *text, int64_t min, int64_t max, int64_t *out, bf_err *err)
{
    char *end = NULL;
    errno = 0;
    long long v = is_digit(text[text[0] == '-']) ? strtoll(text, &end, 10) : 0;
    if (end == NULL || *end != '\0') return bf_fail(err, BF_USAGE, "%s: \"%s\" is not a whole number", what, text);
    if (errno == ERANGE || v < min || v > max) {
        return bf_fail(err, BF_USAGE, "%s: %s is outside %" PRId64 "..%" PRId64, what, text, min, max);
    }
    *out = v;
    return BF_OK;
}

bf_status bf_parse_double(const char *what, const char *text, double min, double max, double *out, bf_err *err)
{
    char *end = NULL;
    double v = 0;
    /* Only these characters: strtod alone would also take leading space, "nan", "inf" and hexadecimal. */
    if (text[strspn(text, "+-.0123456789eE")] == '\0') {
        bf_clocale l = bf_clocale_begin();
        v = strtod(text, &end);
        bf_clocale_end(l);
    }
    if (end == NULL || end == text || *end != '\0') {
        return bf_fail(err, BF_USAGE, "%s: \"%s\" is not a number", what, text);
    }
    if (!isfinite(v) || v < min || v > max) {
        return bf_fail(err, BF_USAGE, "%s: %s is outside %g..%g", what, text, min, max);
    }
    *out = v;
    return BF_OK;
}
