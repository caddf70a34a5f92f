/* Time per kernel: from events where the device's timers can be believed, else by the wall clock around each command.
 */
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "device/cl.h"

#define IMPLAUSIBLE 9.5e-9 /* seconds; no command takes less; rusticl reports 1 ns for everything */
#define TRIALS 64          /* so many implausible events in a row and the wall clock takes over */

typedef struct pending {
    cl_event event;
    size_t row;
    double start; /* when it was enqueued, on the host's clock */
    bf_work work;
} pending;

struct bf_profile {
    bf_profile_row *rows;
    size_t n_rows, room_rows;
    pending *waiting;
    size_t n_waiting, room_waiting;
    bool wall;
    unsigned implausible;
    bf_trace_span *spans; /* [room_spans] */
    size_t n_spans, room_spans;
    uint64_t dropped;
    bool offset_known;
    double offset; /* of the host's clock from the device's, seconds */
};

bf_status bf_profile_new(bf_ctx *ctx, size_t trace, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(ctx->profile, 1);
    if (trace > 0) BF_NEW(ctx->profile->spans, trace);
    ctx->profile->room_spans = trace;
    ctx->profile->wall = (ctx->device.quirks & BF_QUIRK_NO_PROFILING) != 0;
out:
    return st;
}

void bf_profile_free(bf_ctx *ctx)
{
    bf_profile *p = ctx->profile;
    if (p == NULL) return;
    for (size_t i = 0; i < p->n_waiting; i++) clReleaseEvent(p->waiting[i].event);
    for (size_t i = 0; i < p->n_rows; i++) free((void *)(uintptr_t)p->rows[i].file);
    free(p->rows);
    free(p->waiting);
    free(p->spans);
    free(p);
    ctx->profile = NULL;
}

/* file, kernel and defines in one block whose start is row->file. */
static bf_status row_strings(bf_profile_row *row, const char *file, const char *kernel, const char *defines,
                             bf_err *err)
{
    bf_status st = BF_OK;
    const size_t n_file = strlen(file) + 1, n_kernel = strlen(kernel) + 1, n_defines = strlen(defines) + 1;
    char *block = NULL;
    BF_NEW(block, n_file + n_kernel + n_defines);
    memcpy(block, file, n_file);
    memcpy(block + n_file, kernel, n_kernel);
    memcpy(block + n_file + n_kernel, defines, n_defines);
    row->file = block;
    row->kernel = block + n_file;
    row->defines = block + n_file + n_kernel;
out:
    return st;
}

bf_status bf_profile_row_index(bf_ctx *ctx, const char *file, const char *kernel, const char *defines, size_t *row,
                               bf_err *err)
{
    bf_status st = BF_OK;
    bf_profile *p = ctx->profile;
    if (defines == NULL) defines = "";
    for (size_t i = 0; i < p->n_rows; i++) {
        const bf_profile_row *r = &p->rows[i];
        if (strcmp(r->file, file) == 0 && strcmp(r->kernel, kernel) == 0 && strcmp(r->defines, defines) == 0) {
            *row = i;
            return BF_OK;
        }
    }
    if (p->n_rows == p->room_rows) {
        const size_t room = 2 * p->room_rows + 16;
        bf_profile_row *bigger = realloc(p->rows, room * sizeof *bigger);
        BF_CHECK(bigger != NULL, BF_RUNTIME, "out of memory: a profile of %zu kernels", room);
        p->rows = bigger;
        p->room_rows = room;
    }
    memset(&p->rows[p->n_rows], 0, sizeof *p->rows);
    BF_TRY(row_strings(&p->rows[p->n_rows], file, kernel, defines, err));
    *row = p->n_rows++;
out:
    return st;
}

bool bf_profile_wall(const bf_ctx *ctx)
{
    return ctx->profile != NULL && ctx->profile->wall;
}

bf_status bf_profile_event(bf_ctx *ctx, size_t row, cl_event event, double start, bf_work work, bf_err *err)
{
    bf_status st = BF_OK;
    bf_profile *p = ctx->profile;
    if (p->n_waiting == p->room_waiting) {
        const size_t room = 2 * p->room_waiting + 256;
        pending *bigger = realloc(p->waiting, room * sizeof *bigger);
        BF_CHECK(bigger != NULL, BF_RUNTIME, "out of memory: %zu events", room);
        p->waiting = bigger;
        p->room_waiting = room;
    }
    p->waiting[p->n_waiting].event = event;
    p->waiting[p->n_waiting].start = start;
    p->waiting[p->n_waiting].work = work;
    p->waiting[p->n_waiting++].row = row;
out:
    if (st != BF_OK) clReleaseEvent(event);
    return st;
}

void bf_profile_add(bf_ctx *ctx, size_t row, double start, double end, bf_work work)
{
    bf_profile *p = ctx->profile;
    p->rows[row].runs++;
    p->rows[row].seconds += end - start;
    p->rows[row].flops += work.flops;
    p->rows[row].bytes += work.bytes;
    if (p->n_spans < p->room_spans)
        p->spans[p->n_spans++] = (bf_trace_span){.row = row, .start = start, .end = end};
    else
        p->dropped++;
}

/* Seconds on the device's clock; false when the driver gives none. */
static bool event_time(cl_event event, cl_profiling_info what, double *seconds, cl_int *code)
{
    cl_ulong ns = 0;
    *code = clGetEventProfilingInfo(event, what, sizeof ns, &ns, NULL);
    *seconds = 1e-9 * (double)ns;
    return *code == CL_SUCCESS;
}

/* The device's clock is only known by an event: the first one was queued when it was enqueued. */
static void find_offset(bf_profile *p, const pending *e)
{
    double queued;
    cl_int code;
    if (p->offset_known || !event_time(e->event, CL_PROFILING_COMMAND_QUEUED, &queued, &code)) return;
    p->offset = e->start - queued;
    p->offset_known = true;
}

bf_status bf_profile_collect(bf_ctx *ctx, bf_err *err)
{
    bf_status st = BF_OK;
    bf_profile *p = ctx->profile;
    for (size_t i = 0; i < p->n_waiting; i++) {
        const pending *e = &p->waiting[i];
        double start = 0, end = 0;
        cl_int code;
        find_offset(p, e);
        const bool known = event_time(e->event, CL_PROFILING_COMMAND_START, &start, &code) &&
                           event_time(e->event, CL_PROFILING_COMMAND_END, &end, &code);
        clReleaseEvent(e->event);
        if (!known && st == BF_OK) st = bf_cl_fail(err, code, "reading a timer of %s", ctx->name);
        if (known && end >= start + IMPLAUSIBLE) {
            bf_profile_add(ctx, e->row, start + p->offset, end + p->offset, e->work);
            p->implausible = 0;
        } else if (++p->implausible >= TRIALS && !p->wall) {
            p->wall = true;
            bf_log(BFNCL_LOG_WARN, "%s: event timers are not plausible, commands are timed by the wall clock",
                   ctx->name);
        }
    }
    p->n_waiting = 0;
    return st;
}

size_t bf_ctx_profile(const bf_ctx *ctx, const bf_profile_row **rows)
{
    *rows = ctx->profile ? ctx->profile->rows : NULL;
    return ctx->profile ? ctx->profile->n_rows : 0;
}

size_t bf_ctx_trace(const bf_ctx *ctx, const bf_trace_span **spans, uint64_t *dropped)
{
    const bf_profile *p = ctx->profile;
    *spans = p ? p->spans : NULL;
    if (dropped != NULL) *dropped = p ? p->dropped : 0;
    return p ? p->n_spans : 0;
}
