/* Profile of a run. run/profile.h; public: bfncl_profile in include/bfncl.h. */
#include "run/profile.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "run/bench.h"
#include "run/trace.h"

#define PEAK_SECONDS 0.05               /* of runs for each of the two measured limits */
#define COPY_BYTES (UINT64_C(64) << 20) /* beyond every cache, yet less than a model */

/* The rows of the device's profile at some moment; rows that came later are 0. */
typedef struct snapshot {
    bf_profile_row *rows;
    size_t n;
    double seconds; /* bf_seconds, without the pauses since */
} snapshot;

struct bf_profiler {
    bf_ctx *ctx;
    bfncl_profile *result; /* NULL: only a trace */
    bf_writer *trace;      /* NULL: none */
    bf_host_span *spans;
    size_t n_spans, room_spans;
    bool started, paused;
    uint64_t units;
    snapshot begin, first, held; /* of the work, after the first unit, at the last pause */
};

bf_status bf_profiler_new(bf_ctx *ctx, const bfncl_device_options *d, bf_profiler **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_profiler *p = NULL;
    *out = NULL;
    if (!d || (!d->profile && !d->trace)) return BF_OK;
    BF_NEW(p, 1);
    p->ctx = ctx;
    p->result = d->profile;
    p->paused = true;
    /* now, so that a place that cannot be written to is known before the work */
    if (d->trace) BF_TRY(bf_writer_open(d->trace, &p->trace, err));
    *out = p;
    p = NULL;
out:
    bf_profiler_free(p);
    return st;
}

void bf_profiler_free(bf_profiler *p)
{
    if (!p) return;
    bf_writer_discard(p->trace);
    free(p->spans);
    free(p->begin.rows);
    free(p->first.rows);
    free(p->held.rows);
    free(p);
}

void bf_profiler_span(bf_profiler *p, const char *name, double start, double end)
{
    if (!p || !p->trace || p->n_spans == BF_TRACE_RUNS) return;
    if (p->n_spans == p->room_spans) {
        const size_t room = 2 * p->room_spans + 64;
        bf_host_span *bigger = realloc(p->spans, room * sizeof *bigger);
        if (!bigger) return; /* the trace then lacks it */
        p->spans = bigger;
        p->room_spans = room;
    }
    p->spans[p->n_spans++] = (bf_host_span){.name = name, .start = start, .end = end};
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static bf_status take(bf_profiler *p, snapshot *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_profile_row *rows;
    bf_profile_row *copy = NULL;
    BF_TRY(bf_finish(p->ctx, err));
    const size_t n = bf_ctx_profile(p->ctx, &rows);
    BF_NEW(copy, n + 1);
    if (n > 0) memcpy(copy, rows, n * sizeof *copy);
    free(s->rows);
    *s = (snapshot){.rows = copy, .n = n, .seconds = bf_seconds()};
out:
    return st;
}

/* a += sign b for one row. */
static void add_row(bf_profile_row *a, const bf_profile_row *b, int sign)
{
    a->runs += sign > 0 ? b->runs : 0 - b->runs;
    a->seconds += sign * b->seconds;
    a->flops += sign * b->flops;
    a->bytes += sign * b->bytes;
}

/* Moves `base` over what happened between two moments, as if it had been before. */
static bf_status leave_out(snapshot *base, const snapshot *from, const snapshot *to, bf_err *err)
{
    bf_status st = BF_OK;
    bf_profile_row *rows = NULL;
    if (!base->rows) return BF_OK;
    BF_NEW(rows, to->n + 1);
    memcpy(rows, base->rows, base->n * sizeof *rows);
    for (size_t i = 0; i < to->n; i++) {
        add_row(&rows[i], &to->rows[i], 1);
        if (i < from->n) add_row(&rows[i], &from->rows[i], -1);
    }
    free(base->rows);
    base->rows = rows;
    base->n = to->n;
    base->seconds += to->seconds - from->seconds;
out:
    return st;
}

bf_status bf_profiler_resume(bf_profiler *p, bf_err *err)
{
    bf_status st = BF_OK;
    snapshot now = {0};
    if (!p || !p->paused) return BF_OK;
    p->paused = false;
    if (!p->started) {
        p->started = true;
        return take(p, &p->begin, err);
    }
    BF_TRY(take(p, &now, err));
    BF_TRY(leave_out(&p->begin, &p->held, &now, err));
    BF_TRY(leave_out(&p->first, &p->held, &now, err));
out:
    free(now.rows);
    return st;
}

bf_status bf_profiler_pause(bf_profiler *p, bf_err *err)
{
    if (!p || p->paused) return BF_OK;
    p->paused = true;
    return take(p, &p->held, err);
}

bf_status bf_profiler_unit(bf_profiler *p, bf_err *err)
{
    if (!p || p->paused) return BF_OK;
    return ++p->units == 1 ? take(p, &p->first, err) : BF_OK;
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
    const double x = ((const bfncl_profile_row *)a)->seconds, y = ((const bfncl_profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

static char *copy_text(char **at, const char *text)
{
    char *start = *at;
    strcpy(start, text);
    *at += strlen(text) + 1;
    return start;
}

/* Least time of a kernel's work: that of its arithmetic or of its memory traffic at the measured limits. */
static double least_seconds(const bfncl_profile *r, double flop, double bytes)
{
    const double compute = flop / (1e9 * r->peak_gflops), memory = bytes / (1e9 * r->copy_gbps);
    return fmax(compute, memory); /* of a NaN and a number the number */
}

/* The rows of `end` less those of `base`, without those that did not run. Strings follow the rows in one block. */
static bf_status fill_rows(bfncl_profile *r, const snapshot *base, const snapshot *end, bf_err *err)
{
    bf_status st = BF_OK;
    size_t text = 0;
    char *at, *block = NULL;
    for (size_t i = 0; i < end->n; i++)
        text += strlen(end->rows[i].file) + strlen(end->rows[i].kernel) + strlen(end->rows[i].defines) + 3;
    BF_NEW(block, (end->n + 1) * sizeof *r->rows + text);
    r->rows = (bfncl_profile_row *)(void *)block;
    at = block + (end->n + 1) * sizeof *r->rows;
    for (size_t i = 0; i < end->n; i++) {
        bf_profile_row d = end->rows[i];
        if (i < base->n) add_row(&d, &base->rows[i], -1);
        if (d.runs == 0) continue;
        r->rows[r->n_rows++] = (bfncl_profile_row){.file = copy_text(&at, d.file),
                                                   .kernel = copy_text(&at, d.kernel),
                                                   .variant = copy_text(&at, d.defines),
                                                   .runs = d.runs,
                                                   .seconds = d.seconds,
                                                   .flop = d.flops,
                                                   .bytes = d.bytes,
                                                   .least_seconds = least_seconds(r, d.flops, d.bytes)};
        r->launches += d.runs;
        r->device_seconds += d.seconds;
    }
    qsort(r->rows, r->n_rows, sizeof *r->rows, by_time);
out:
    return st;
}

static void measure_peak(bf_ctx *ctx, bfncl_profile *r)
{
    bfncl_peak peak = {.gflops = NAN, .copy_gbps = NAN};
    bf_err failure = {0};
    const uint64_t bytes = BF_MIN(bf_ctx_max_alloc(ctx) / 64, COPY_BYTES) / 4096 * 4096;
    if (bf_bench_peak(ctx, PEAK_SECONDS, BF_MAX(bytes, (uint64_t)4096), &peak, &failure) != BF_OK)
        bf_log(BFNCL_LOG_WARN, "the profile lacks the device's limits: %s", failure.message);
    r->peak_gflops = peak.gflops > 0 ? peak.gflops : NAN;
    r->copy_gbps = peak.copy_gbps > 0 ? peak.copy_gbps : NAN;
}

bf_status bf_profiler_end(bf_profiler *p, const char *unit, bf_err *err)
{
    bf_status st = BF_OK;
    if (!p || !p->started) return BF_OK;
    BF_TRY(bf_profiler_pause(p, err));
    if (p->trace) {
        BF_TRY(bf_trace_write(p->trace, p->ctx, p->spans, p->n_spans, err));
        bf_writer *w = p->trace;
        p->trace = NULL;
        BF_TRY(bf_writer_commit(w, err));
    }
    if (!p->result) goto out;
    const bool warm = p->units > 1;
    const snapshot *base = warm ? &p->first : &p->begin;
    bfncl_profile *r = p->result;
    *r = (bfncl_profile){.unit = unit, .units = warm ? p->units - 1 : p->units, .warm = warm};
    r->seconds = p->held.seconds - base->seconds;
    measure_peak(p->ctx, r);
    BF_TRY(fill_rows(r, base, &p->held, err));
out:
    return st;
}

void bfncl_profile_free(bfncl_profile *p)
{
    if (!p) return;
    free(p->rows);
    *p = (bfncl_profile){0};
}
