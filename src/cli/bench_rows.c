/* bfncl bench peak, conv, attention, ops: tables of rows against the peak. */
#include <math.h>

#include "cli/bench.h"
#include "cli/common.h"
#include "cli/term.h"

typedef bfncl_status measure_fn(const bfncl_bench_options *o, bfncl_bench_result *r, bfncl_error *err);

static json_t *row_json(const bfncl_bench_row *r)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:i}", "op", r->op, "shape", r->shape,
                     "ms", cli_json_number(r->ms), "ms_min", cli_json_number(r->ms_min), "ms_max",
                     cli_json_number(r->ms_max), "first_ms", cli_json_number(r->first_ms), "gflops",
                     cli_json_number(r->gflops), "gbps", cli_json_number(r->gbps), "fraction_of_peak",
                     cli_json_number(r->fraction_of_peak), "fraction_of_copy", cli_json_number(r->fraction_of_copy),
                     "commands", (json_int_t)r->commands, "runs", (int)r->runs);
}

static json_t *peak_json(const bfncl_bench_result *r)
{
    const bfncl_peak *p = &r->peak;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "device", r->device, "peak_gflops",
                     cli_json_number(p->gflops), "peak_gflops_min", cli_json_number(p->gflops_min), "peak_gflops_max",
                     cli_json_number(p->gflops_max), "copy_gbps", cli_json_number(p->copy_gbps), "copy_gbps_min",
                     cli_json_number(p->copy_gbps_min), "copy_gbps_max", cli_json_number(p->copy_gbps_max),
                     "driver_copy_gbps", cli_json_number(p->driver_copy_gbps), "copy_bytes", (json_int_t)p->copy_bytes);
}

static json_t *table_json(const bfncl_bench_result *r)
{
    json_t *all = peak_json(r), *list = json_array();
    for (size_t i = 0; i < r->n_rows; i++) json_array_append_new(list, row_json(&r->rows[i]));
    json_object_set_new(all, "rows", list);
    return all;
}

static void print_peak(const bfncl_bench_result *r)
{
    const bfncl_peak *p = &r->peak;
    char bytes[32];
    cli_bytes((double)p->copy_bytes, bytes);
    printf("device      %s\n", r->device);
    printf("arithmetic  %.1f GFLOP/s (%.1f to %.1f)\n", p->gflops, p->gflops_min, p->gflops_max);
    printf("copy        %.1f GB/s read and written (%.1f to %.1f), two buffers of %s; the driver's own %.1f\n",
           p->copy_gbps, p->copy_gbps_min, p->copy_gbps_max, bytes, p->driver_copy_gbps);
}

/* A number of `width` columns, or "-". */
static void print_number(int width, int digits, double x)
{
    if (isfinite(x))
        printf("  %*.*f", width, digits, x);
    else
        printf("  %*s", width, "-");
}

static void print_rows(const bfncl_bench_result *r)
{
    printf("%-45s  %-18s  %9s  %9s  %9s  %8s  %5s  %7s  %5s  %9s\n", "op", "shape", "ms", "least", "largest", "GFLOP/s",
           "peak", "GB/s", "copy", "first ms");
    for (size_t i = 0; i < r->n_rows; i++) {
        const bfncl_bench_row *row = &r->rows[i];
        printf("%-45s  %-18s", row->op, row->shape);
        print_number(9, 3, row->ms);
        print_number(9, 3, row->ms_min);
        print_number(9, 3, row->ms_max);
        print_number(8, 1, row->gflops);
        print_number(5, 2, row->fraction_of_peak);
        print_number(7, 2, row->gbps);
        print_number(5, 2, row->fraction_of_copy);
        print_number(9, 1, row->first_ms);
        putchar('\n');
    }
}

static int measure(const cli_args *a, measure_fn *fn, bool table)
{
    bfncl_bench_options o;
    bfncl_bench_result r;
    bfncl_error err;
    int code = 0;
    bfncl_bench_defaults(&o);
    if (cli_given(a, OPT_SHAPE)) {
        o.shapes = a->value[OPT_SHAPE].list;
        o.n_shapes = a->value[OPT_SHAPE].count;
    }
    o.only = a->value[OPT_ONLY].text;
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_signals_stop();
    const bfncl_status st = fn(&o, &r, &err);
    cli_progress_end();
    if (st != BFNCL_OK) {
        code = cli_fail(&err);
    } else if (cli_given(a, OPT_JSON)) {
        code = cli_print_json(table ? table_json(&r) : peak_json(&r), 0);
    } else {
        print_peak(&r);
        if (table) print_rows(&r);
    }
    bfncl_bench_result_free(&r);
    return code;
}

int cli_bench_peak(const cli_args *a)
{
    return measure(a, bfncl_bench_peak, false);
}

int cli_bench_conv(const cli_args *a)
{
    return measure(a, bfncl_bench_conv, true);
}

int cli_bench_attention(const cli_args *a)
{
    return measure(a, bfncl_bench_attention, true);
}

int cli_bench_ops(const cli_args *a)
{
    return measure(a, bfncl_bench_ops, true);
}
