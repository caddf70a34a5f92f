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
