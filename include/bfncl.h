/*
 * bfncl: train, score and sample Bayesian Flow Networks on any OpenCL device.
 *
 * The only public header. Conventions:
 *  - Every function that can fail returns a bfncl_status and, when `err` is not NULL, fills it with one
 *    sentence that says what failed, on what, and what to do. Nothing here prints, exits or aborts.
 *  - Handles are opaque; whoever receives one from a *_new / *_open function frees it with the matching
 *    *_free / *_close, which accept NULL.
 *  - Option structs start with a *_defaults function so that fields can be added later.
 */
#ifndef BFNCL_H
#define BFNCL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BFNCL_VERSION_MAJOR 0
#define BFNCL_VERSION_MINOR 1
#define BFNCL_VERSION_PATCH 0
#define BFNCL_VERSION "0.1.0"

#if defined(__GNUC__)
#define BFNCL_API __attribute__((visibility("default")))
#else
#define BFNCL_API
#endif

/* Status codes; the values are the exit codes of the program and never change. */
typedef enum bfncl_status {
    BFNCL_OK = 0,
    BFNCL_ERR_RUNTIME = 1, /* I/O, memory, OpenCL call */
    BFNCL_ERR_USAGE = 2,   /* bad argument or configuration */
    BFNCL_ERR_DEVICE = 3,  /* no such device, none usable, ambiguous selector */
    BFNCL_ERR_FILE = 4,    /* input file missing, damaged or of the wrong kind */
    BFNCL_ERR_NUMERIC = 5, /* loss not finite, or a verification failed */
    BFNCL_STOPPED = 6      /* the caller's progress callback asked to stop; everything was saved */
} bfncl_status;

#define BFNCL_MESSAGE_SIZE 1024

/* One failure: a code for programs, a sentence for people. */
typedef struct bfncl_error {
    bfncl_status status;
    int cl_code;                      /* OpenCL code, 0 when none */
    char message[BFNCL_MESSAGE_SIZE]; /* what failed, on which file, tensor, kernel or device */
    char hint[BFNCL_MESSAGE_SIZE];    /* what to do about it; may be empty */
} bfncl_error;

/* Fixed text for a status, e.g. "damaged or wrong input file". Never NULL. */
BFNCL_API const char *bfncl_status_text(bfncl_status status);

/* Version of the library that is running, "0.1.0". */
BFNCL_API const char *bfncl_version(void);

typedef enum bfncl_log_level { BFNCL_LOG_ERROR, BFNCL_LOG_WARN, BFNCL_LOG_INFO, BFNCL_LOG_DEBUG } bfncl_log_level;
typedef void (*bfncl_log_fn)(void *user, bfncl_log_level level, const char *line);

/* Where log lines go (process-wide; NULL = nowhere, the default). */
BFNCL_API void bfncl_set_log(bfncl_log_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
