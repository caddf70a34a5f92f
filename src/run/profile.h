/*
 * Profile of a run: time per kernel over its units (training steps, batches, sampler steps), and a trace.
 *
 * Everything takes NULL for the profiler of a run that is not profiled, and then does nothing.
 */
#ifndef BF_RUN_PROFILE_H
#define BF_RUN_PROFILE_H

#include "device/device.h"

/* Runs of commands that a trace holds; what comes later is left out. */
#define BF_TRACE_RUNS 50000

typedef struct bf_profiler bf_profiler;

/* *out is NULL unless the options ask for a profile or a trace, with which `ctx` must have been opened. */
bf_status bf_profiler_new(bf_ctx *ctx, const bfncl_device_options *d, bf_profiler **out, bf_err *err);
void bf_profiler_free(bf_profiler *p);

/* For the trace: the host was busy with `name`, a literal, from `start` to `end` (bf_seconds). */
void bf_profiler_span(bf_profiler *p, const char *name, double start, double end);

/* The work begins. What the device does between pause and resume counts for no unit. */
bf_status bf_profiler_resume(bf_profiler *p, bf_err *err);
bf_status bf_profiler_pause(bf_profiler *p, bf_err *err);

/* A unit has ended. The first one warms up: it does not count unless it is the only one. While paused: nothing. */
bf_status bf_profiler_unit(bf_profiler *p, bf_err *err);

/* Fills the caller's profile and writes the trace. `unit` is a literal: what a unit is. A file that cannot be written
 * fails, a peak that cannot be measured is NaN. */
bf_status bf_profiler_end(bf_profiler *p, const char *unit, bf_err *err);

#endif
