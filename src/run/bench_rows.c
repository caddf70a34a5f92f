/* Tables of measured rows. run/bench.h */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "run/bench.h"

uint64_t bf_bench_tensor(const bf_bench_table *t, uint64_t share)
{
    const uint64_t allowed = BF_MIN(bf_ctx_budget(t->ctx) / share, bf_ctx_max_alloc(t->ctx));
    return BF_MAX(BF_MIN(allowed, t->largest) / 4096, UINT64_C(1)) * 4096;
}

bool bf_bench_wanted(const bf_bench_table *t, const char *op)
{
    return t->o->only == NULL || strstr(op, t->o->only) != NULL;
}

static bf_status new_row(bf_bench_table *t, bfncl_bench_row **out, bf_err *err)
{
    bf_status st = BF_OK;
    bfncl_bench_result *r = t->r;
    if (r->n_rows == t->room) {
        const size_t room = 2 * t->room + 16;
        bfncl_bench_row *bigger = realloc(r->rows, room * sizeof *bigger);
        BF_CHECK(bigger != NULL, BF_RUNTIME, "out of memory: a table of %zu rows", room);
        r->rows = bigger;
        t->room = room;
    }
    *out = &r->rows[r->n_rows];
    memset(*out, 0, sizeof **out);
out:
    return st;
}

static void fill_row(bfncl_bench_row *row, const bf_bench_work *w, const bf_bench_times *times, const bfncl_peak *peak)
{
    snprintf(row->op, sizeof row->op, "%s", w->op);
    snprintf(row->shape, sizeof row->shape, "%s", w->shape);
    row->ms = 1e3 * times->median;
    row->ms_min = 1e3 * times->least;
    row->ms_max = 1e3 * times->largest;
    row->runs = times->runs;
    row->gflops = w->flop > 0 ? 1e-9 * w->flop / times->median : NAN;
    row->gbps = 1e-9 * w->bytes / times->median;
    row->fraction_of_peak = row->gflops / peak->gflops;
    row->fraction_of_copy = row->gbps / peak->copy_gbps;
}

bf_status bf_bench_row(bf_bench_table *t, const bf_bench_work *w, bf_bench_append append, void *user, bf_err *err)
{
    bf_status st = BF_OK;
    bf_cmds *cmds = NULL;
    bfncl_bench_row *row = NULL;
    bf_bench_times times;
    BF_TRY(bf_bench_progress(t->o->progress, t->o->user, t->done++, t->total, err));
    if (!bf_bench_wanted(t, w->op)) goto out;
    BF_TRY(new_row(t, &row, err));
    const double start = bf_seconds();
    BF_TRY(bf_cmds_new(t->ctx, &cmds, err));
    BF_TRY(append(user, cmds, err));
    BF_TRY(bf_bench_once(t->ctx, cmds, err));
    row->first_ms = 1e3 * (bf_seconds() - start);
    row->commands = bf_cmds_count(cmds);
    BF_TRY(bf_bench_time(t->ctx, cmds, t->seconds, &times, err));
    fill_row(row, w, &times, &t->r->peak);
    t->r->n_rows++;
out:
    bf_cmds_free(cmds);
    return st;
}

static bf_status run(bf_bench_table *t, bf_bench_fn rows, bf_err *err)
{
    bf_status st = BF_OK;
    bfncl_bench_result *r = t->r;
    BF_TRY(bf_bench_open(&t->o->device, BF_GEMM_AUTO, &t->ctx, err));
    snprintf(r->device, sizeof r->device, "%s", bf_ctx_name(t->ctx));
    BF_TRY(bf_bench_progress(t->o->progress, t->o->user, 0, t->total, err));
    BF_TRY(bf_bench_peak(t->ctx, t->seconds, bf_bench_tensor(t, 16), &r->peak, err));
    BF_TRY(rows(t, err));
out:
    bf_ctx_close(t->ctx);
    return st;
}

static bf_bench_table new_table(const bfncl_bench_options *o, size_t total, bfncl_bench_result *r, bf_err *err)
{
    memset(err, 0, sizeof *err);
    memset(r, 0, sizeof *r);
    return (bf_bench_table){.o = o,
                            .seconds = o->seconds > 0 ? o->seconds : BF_BENCH_SECONDS,
                            .largest = BF_BENCH_LARGEST,
                            .r = r,
                            .total = total};
}

bf_status bf_bench_run(const bfncl_bench_options *o, size_t total, bf_bench_fn rows, bfncl_bench_result *r, bf_err *err)
{
    bf_bench_table t = new_table(o, total, r, err);
    return run(&t, rows, err);
}

static bf_status all_shapes(bf_bench_table *t, bf_err *err)
{
    bf_status st = BF_OK;
    const bfncl_bench_options *o = t->o;
    const bf_bench_shapes *s = t->shapes;
    const size_t n = o->shapes ? o->n_shapes : s->n_shapes;
    for (size_t i = 0; i < n; i++) BF_TRY(s->rows(t, o->shapes ? o->shapes[i] : s->shapes[i], err));
out:
    return st;
}

bf_status bf_bench_run_shapes(const bfncl_bench_options *o, const bf_bench_shapes *s, bfncl_bench_result *r,
                              bf_err *err)
{
    bf_status st = BF_OK;
    const size_t n = o->shapes ? o->n_shapes : s->n_shapes;
    bf_bench_table t = new_table(o, n * s->per_shape, r, err);
    t.shapes = s;
    for (size_t i = 0; o->shapes && i < n; i++) BF_TRY(s->check(o->shapes[i], err));
    BF_TRY(run(&t, all_shapes, err));
out:
    return st;
}

void bfncl_bench_defaults(bfncl_bench_options *o)
{
    *o = (bfncl_bench_options){.seconds = BF_BENCH_SECONDS};
}

void bfncl_bench_result_free(bfncl_bench_result *r)
{
    if (!r) return;
    free(r->rows);
    r->rows = NULL;
    r->n_rows = 0;
}
