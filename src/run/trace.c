/* Trace files. run/trace.h */
#include "run/trace.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { HOST = 1, DEVICE = 2 }; /* thread numbers: rows of the picture */

typedef struct trace {
    bf_writer *w;
    double zero; /* the earliest moment */
    bool any;    /* an event was written */
} trace;

/* Writes one event and releases it. */
static bf_status put(trace *t, json_t *event, bf_err *err)
{
    bf_status st = BF_OK;
    char *text = event ? json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    BF_CHECK(text, BF_RUNTIME, "out of memory for the trace");
    BF_TRY(bf_writer_put(t->w, t->any ? ",\n" : "\n", t->any ? 2 : 1, err));
    BF_TRY(bf_writer_put(t->w, text, strlen(text), err));
    t->any = true;
out:
    free(text);
    json_decref(event);
    return st;
}

static bf_status put_name(trace *t, const char *what, int thread, const char *name, bf_err *err)
{
    return put(t,
               json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "ph", "M", "name", what, "pid", 1, "tid", thread, "args",
                         "name", name),
               err);
}

/* To the nanosecond. */
static double microseconds(double seconds)
{
    return round(1e9 * seconds) / 1e3;
}

static bf_status put_span(trace *t, int thread, const char *name, double start, double end, json_t *args, bf_err *err)
{
    return put(t,
               json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:o*}", "ph", "X", "name", name, "pid", 1, "tid", thread, "ts",
                         microseconds(start - t->zero), "dur", microseconds(end - start), "args", args),
               err);
}

/* The last event says what is missing. */
static bf_status put_runs(trace *t, const bf_ctx *ctx, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_trace_span *run;
    const bf_profile_row *rows;
    uint64_t dropped;
    const size_t n = bf_ctx_trace(ctx, &run, &dropped);
    (void)bf_ctx_profile(ctx, &rows);
    for (size_t i = 0; i < n; i++) {
        const bf_profile_row *row = &rows[run[i].row];
        json_t *args = row->file[0] ? json_pack("{s:s, s:s}", "file", row->file, "variant", row->defines) : NULL;
        BF_TRY(put_span(t, DEVICE, row->kernel, run[i].start, run[i].end, args, err));
    }
    if (dropped > 0) {
        char note[80];
        snprintf(note, sizeof note, "%" PRIu64 " later commands are not in this trace", dropped);
        bf_log(BFNCL_LOG_INFO, "the trace holds the first %zu commands; %s", n, note);
        BF_TRY(put_span(t, DEVICE, note, run[n - 1].end, run[n - 1].end, NULL, err));
    }
out:
    return st;
}

static double earliest(const bf_ctx *ctx, const bf_host_span *spans, size_t n)
{
    const bf_trace_span *run;
    double zero = bf_ctx_trace(ctx, &run, NULL) > 0 ? run[0].start : INFINITY;
    for (size_t i = 0; i < n; i++) zero = BF_MIN(zero, spans[i].start);
    return isfinite(zero) ? zero : 0.0;
}

bf_status bf_trace_write(bf_writer *w, const bf_ctx *ctx, const bf_host_span *spans, size_t n, bf_err *err)
{
    static const char head[] = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", tail[] = "\n]}\n";
    bf_status st = BF_OK;
    trace t = {.w = w, .zero = earliest(ctx, spans, n)};
    BF_TRY(bf_writer_put(w, head, sizeof head - 1, err));
    BF_TRY(put_name(&t, "process_name", HOST, "bfncl " BFNCL_VERSION, err));
    BF_TRY(put_name(&t, "thread_name", HOST, "host", err));
    BF_TRY(put_name(&t, "thread_name", DEVICE, bf_ctx_name(ctx), err));
    for (size_t i = 0; i < n; i++) BF_TRY(put_span(&t, HOST, spans[i].name, spans[i].start, spans[i].end, NULL, err));
    BF_TRY(put_runs(&t, ctx, err));
    BF_TRY(bf_writer_put(w, tail, sizeof tail - 1, err));
out:
    return st;
}
