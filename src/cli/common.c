#include "cli/common.h"

#include <math.h>

#include "cli/term.h"

void cli_device_options(const cli_args *a, bfncl_device_options *o)
{
    o->selector = a->value[OPT_DEVICE].text;
    o->selector_from = o->selector ? "--device" : NULL;
    o->gemm = a->value[OPT_GEMM].text;
    o->memory_limit = (uint64_t)a->value[OPT_MEMORY].number;
    o->kernel_dir = a->value[OPT_KERNEL_DIR].text;
}

json_t *cli_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

int cli_print_json(json_t *value, int indent)
{
    size_t flags = JSON_REAL_PRECISION(9) | (indent ? JSON_INDENT((size_t)indent) : JSON_COMPACT);
    if (!value) {
        cli_error("out of memory for the results");
        return BFNCL_ERR_RUNTIME;
    }
    json_dumpf(value, stdout, flags); /* a failed write shows in cli_finish() */
    putchar('\n');
    json_decref(value);
    return 0;
}

void cli_bytes(double bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    while (bytes >= 1024 && u < 4) bytes /= 1024, u++;
    snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

json_t *cli_plan_json(const bfncl_plan *p, const char *device)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "device", device, "params",
                     (json_int_t)p->params, "batch_at_once", (json_int_t)p->batch, "param_bytes",
                     (json_int_t)p->param_bytes, "activation_bytes", (json_int_t)p->activation_bytes, "io_bytes",
                     (json_int_t)p->io_bytes, "peak_bytes", (json_int_t)p->peak_bytes, "host_bytes",
                     (json_int_t)p->host_bytes, "budget_bytes", (json_int_t)p->budget_bytes, "gflop_per_step",
                     cli_json_number(p->gflop));
}

void cli_print_plan(const bfncl_plan *p, const char *device, const char *held, const char *work)
{
    const struct {
        const char *label;
        uint64_t bytes;
    } rows[] = {{held, p->param_bytes},
                {"activations", p->activation_bytes},
                {"input and output", p->io_bytes},
                {"peak", p->peak_bytes},
                {"peak, activations kept", p->peak_keep_bytes},
                {"peak with --recompute", p->peak_recompute_bytes},
                {"the device can give", p->budget_bytes},
                {"program and driver", p->host_bytes}};
    printf("%-26s %s\n%-26s %llu\n", "device", device, "parameters", (unsigned long long)p->params);
    printf("%-26s %llu\n", "examples at a time", (unsigned long long)p->batch);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char size[32];
        if (i > 3 && rows[i].bytes == 0) continue;
        cli_bytes((double)rows[i].bytes, size);
        printf("%-26s %s\n", rows[i].label, size);
    }
    printf("%-26s %.3g GFLOP\n", work, p->gflop);
}
