/* bfncl bench train, bfncl bench sample: whole steps. */
#include "cli/bench.h"
#include "cli/common.h"
#include "cli/profile.h"
#include "cli/term.h"

typedef bfncl_status measure_fn(const bfncl_bench_model_options *o, bfncl_bench_model_result *r, bfncl_error *err);

static json_t *result_json(const bfncl_bench_model_result *r, const char *config)
{
    json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:[i,i,i], s:I, s:I}", "config", config, "device", r->device, "params",
                          (json_int_t)r->params, "batch", (json_int_t)r->batch, "example", (int)r->example[0],
                          (int)r->example[1], (int)r->example[2], "steps", (json_int_t)r->steps, "warmup_steps",
                          (json_int_t)r->warmup_steps);
    json_t *times = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "ms_per_step", cli_json_number(r->ms_per_step),
                              "ms_min", cli_json_number(r->ms_min), "ms_max", cli_json_number(r->ms_max),
                              "first_step_ms", cli_json_number(r->first_step_ms), "compile_ms",
                              cli_json_number(r->compile_ms), "startup_ms", cli_json_number(r->startup_ms));
    json_t *costs = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "gflops", cli_json_number(r->gflops),
                              "fraction_of_peak", cli_json_number(r->fraction_of_peak), "gflop_per_step",
                              cli_json_number(r->gflop), "commands_per_step", (json_int_t)r->commands_per_step,
                              "peak_device_bytes", (json_int_t)r->peak_device_bytes, "host_idle_bytes",
                              (json_int_t)r->host_idle_bytes, "host_peak_bytes", (json_int_t)r->host_peak_bytes);
    if (j && times && costs) {
        json_object_update(j, times);
        json_object_update(j, costs);
    }
    if (j && r->network_ms > 0) {
        (void)json_object_set_new(j, "network_ms", cli_json_number(r->network_ms));
        (void)json_object_set_new(j, "sampler_ms", cli_json_number(r->sampler_ms));
    }
    json_decref(times);
    json_decref(costs);
    return j;
}

static void print_result(const bfncl_bench_model_result *r)
{
    char device[32], idle[32], peak[32];
    cli_bytes((double)r->peak_device_bytes, device);
    cli_bytes((double)r->host_idle_bytes, idle);
    cli_bytes((double)r->host_peak_bytes, peak);
    printf("device         %s\n", r->device);
    printf("parameters     %llu\n", (unsigned long long)r->params);
    printf("batch          %llu of %u x %u x %u\n", (unsigned long long)r->batch, r->example[0], r->example[1],
           r->example[2]);
    printf("step           %.1f ms (median of %llu; %.1f to %.1f)\n", r->ms_per_step, (unsigned long long)r->steps,
           r->ms_min, r->ms_max);
    if (r->network_ms > 0) printf("alone          network %.1f ms, the rest %.2f ms\n", r->network_ms, r->sampler_ms);
    printf("arithmetic     %.3g GFLOP per step, %.1f GFLOP/s, %.2f of the peak\n", r->gflop, r->gflops,
           r->fraction_of_peak);
    printf("commands       %llu per step\n", (unsigned long long)r->commands_per_step);
    printf("first step     %.0f ms; %.0f ms from the start to its end, %.0f ms of them building programs\n",
           r->first_step_ms, r->startup_ms, r->compile_ms);
    printf("device memory  %s at most\n", device);
    printf("process        %s at most, %s when the device was open\n", peak, idle);
}

static int measure(const cli_args *a, measure_fn *fn)
{
    bfncl_bench_model_options o;
    bfncl_bench_model_result r;
    bfncl_error err;
    bfncl_profile profile;
    bfncl_bench_model_defaults(&o);
    o.config = a->operands[1];
    o.set = a->value[OPT_SET].list;
    o.n_set = a->value[OPT_SET].count;
    o.size = a->value[OPT_SIZE].text;
    o.batch = a->value[OPT_BATCH].number;
    o.steps = a->value[OPT_STEPS].number;
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_profile_options(a, &o.device, &profile);
    cli_signals_stop();
    const bfncl_status status = fn(&o, &r, &err);
    int code = 0;
    cli_progress_end();
    if (status == BFNCL_OK && cli_given(a, OPT_JSON)) {
        json_t *j = result_json(&r, o.config);
        cli_add_profile(j, &profile);
        code = cli_print_json(j, 0);
    } else if (status == BFNCL_OK) {
        print_result(&r);
    }
    cli_profile_end(a, &profile);
    return status == BFNCL_OK ? code : cli_fail(&err);
}

int cli_bench_train(const cli_args *a)
{
    return measure(a, bfncl_bench_train);
}

int cli_bench_sample(const cli_args *a)
{
    return measure(a, bfncl_bench_sample);
}
