/* bfncl bench peak. */
#include "cli/bench.h"
#include "cli/common.h"
#include "cli/term.h"

typedef bfncl_status measure_fn(const bfncl_bench_options *o, bfncl_bench_result *r, bfncl_error *err);

static json_t *result_json(const bfncl_bench_result *r)
{
    const bfncl_peak *p = &r->peak;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "device", r->device, "peak_gflops",
                     cli_json_number(p->gflops), "peak_gflops_min", cli_json_number(p->gflops_min), "peak_gflops_max",
                     cli_json_number(p->gflops_max), "copy_gbps", cli_json_number(p->copy_gbps), "copy_gbps_min",
                     cli_json_number(p->copy_gbps_min), "copy_gbps_max", cli_json_number(p->copy_gbps_max),
                     "driver_copy_gbps", cli_json_number(p->driver_copy_gbps), "copy_bytes", (json_int_t)p->copy_bytes);
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

static int measure(const cli_args *a, measure_fn *fn)
{
    bfncl_bench_options o;
    bfncl_bench_result r;
    bfncl_error err;
    int code = 0;
    bfncl_bench_defaults(&o);
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_signals_stop();
    const bfncl_status st = fn(&o, &r, &err);
    cli_progress_end();
    if (st != BFNCL_OK)
        code = cli_fail(&err);
    else if (cli_given(a, OPT_JSON))
        code = cli_print_json(result_json(&r), 0);
    else
        print_peak(&r);
    bfncl_bench_result_free(&r);
    return code;
}

int cli_bench_peak(const cli_args *a)
{
    return measure(a, bfncl_bench_peak);
}
