/* A trace for chrome://tracing and Perfetto: kernels on one row, what the host did on another. */
#ifndef BF_RUN_TRACE_H
#define BF_RUN_TRACE_H

#include "base/file.h"
#include "device/device.h"

/* Times on the clock of bf_seconds(). */
typedef struct bf_host_span {
    const char *name;
    double start, end;
} bf_host_span;

/* Writes the runs that ctx was opened to keep (bf_ctx_trace) and n host spans as JSON: complete events ("X") with ts
 * and dur in microseconds from the earliest one. */
bf_status bf_trace_write(bf_writer *w, const bf_ctx *ctx, const bf_host_span *spans, size_t n, bf_err *err);

#endif
