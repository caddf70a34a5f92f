/*
 * Errors. A function that can fail returns bf_status and takes a bf_err * as its last argument (never NULL inside
 * the library). Shape of every such function:
 *
 *     bf_status f(..., bf_err *err)
 *     {
 *         bf_status st = BF_OK;
 *         char *a = NULL;
 *         BF_CHECK(n > 0, BF_USAGE, "f: n must be positive, got %d", n);   // set err, st, goto out
 *         BF_TRY(g(&a, err));                                              // forward g's failure
 *     out:
 *         free(a);
 *         return st;
 *     }
 */
#ifndef BF_BASE_ERR_H
#define BF_BASE_ERR_H

#include "bfncl.h"

typedef bfncl_status bf_status;
typedef bfncl_error bf_err;

#define BF_OK BFNCL_OK
#define BF_RUNTIME BFNCL_ERR_RUNTIME
#define BF_USAGE BFNCL_ERR_USAGE
#define BF_DEVICE BFNCL_ERR_DEVICE
#define BF_FILE BFNCL_ERR_FILE
#define BF_NUMERIC BFNCL_ERR_NUMERIC
#define BF_STOPPED BFNCL_STOPPED

#if defined(__GNUC__)
#define BF_PRINTF(fmt_index, first) __attribute__((format(printf, fmt_index, first)))
#else
#define BF_PRINTF(fmt_index, first)
#endif

/* Fills *err (message truncated to fit, hint cleared) and returns `status`. */
bf_status bf_fail(bf_err *err, bf_status status, const char *fmt, ...) BF_PRINTF(3, 4);

/* Adds or replaces the hint of an error that is already set. */
void bf_hint(bf_err *err, const char *fmt, ...) BF_PRINTF(2, 3);

/* Puts "context: " in front of the message of an error that is already set. */
void bf_err_context(bf_err *err, const char *fmt, ...) BF_PRINTF(2, 3);

/* Log line through the callback of bfncl_set_log; no newline at the end. */
void bf_log(bfncl_log_level level, const char *fmt, ...) BF_PRINTF(2, 3);

#define BF_TRY(call)                                                                                                   \
    do {                                                                                                               \
        st = (call);                                                                                                   \
        if (st != BF_OK) goto out;                                                                                     \
    } while (0)

#define BF_CHECK(cond, status, ...)                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            st = bf_fail(err, status, __VA_ARGS__);                                                                    \
            goto out;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* Allocation helpers: BF_RUNTIME "out of memory" on failure. Zero-filled. Overflow-checked. */
bf_status bf_calloc(void *out_ptr, size_t count, size_t size, bf_err *err);

#define BF_NEW(ptr, count) BF_TRY(bf_calloc(&(ptr), (size_t)(count), sizeof *(ptr), err))

#endif
