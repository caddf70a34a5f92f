#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

bf_status bf_fail(bf_err *err, bf_status status, const char *fmt, ...)
{
    va_list ap;
    err->status = status;
    err->cl_code = 0;
    err->hint[0] = '\0';
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return status;
}

void bf_hint(bf_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
}

void bf_err_context(bf_err *err, const char *fmt, ...)
{
    char old[BFNCL_MESSAGE_SIZE];
    va_list ap;
    int n;
    memcpy(old, err->message, sizeof old);
    va_start(ap, fmt);
    n = vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n + 3 < sizeof err->message) { /* what does not fit is cut */
        const size_t room = sizeof err->message - (size_t)n;
        snprintf(err->message + n, room, ": %.*s", (int)(room - 3), old);
    }
}

static bfncl_log_fn log_fn;
static void *log_user;

void bfncl_set_log(bfncl_log_fn fn, void *user)
{
    log_fn = fn;
    log_user = user;
}

void bf_log(bfncl_log_level level, const char *fmt, ...)
{
    char line[2 * BFNCL_MESSAGE_SIZE];
    va_list ap;
    if (log_fn == NULL) return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    log_fn(log_user, level, line);
}

bf_status bf_calloc(void *out_ptr, size_t count, size_t size, bf_err *err)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (p == NULL) return bf_fail(err, BF_RUNTIME, "out of memory: %zu x %zu bytes", count, size);
    memcpy(out_ptr, &p, sizeof p);
    return BF_OK;
}

const char *bfncl_status_text(bfncl_status status)
{
    static const char *const text[] = {
        "ok",
        "run-time failure",
        "bad usage or configuration",
        "no usable device",
        "missing, damaged or wrong input file",
        "numeric failure",
        "stopped on request",
    };
    return (size_t)status < BF_COUNT(text) ? text[status] : "unknown status";
}

const char *bfncl_version(void)
{
    return BFNCL_VERSION;
}
