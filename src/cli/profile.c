/* --profile and --trace: options in, table or JSON out. */
#include "cli/profile.h"

#include <math.h>

#include "cli/common.h"
#include "cli/term.h"

void cli_profile_options(const cli_args *a, bfncl_device_options *o, bfncl_profile *profile)
{
    *profile = (bfncl_profile){0};
    o->profile = cli_given(a, OPT_PROFILE) ? profile : NULL;
    o->trace = a->value[OPT_TRACE].text;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *row_json(const bfncl_profile_row *r)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "file", r->file, "kernel", r->kernel, "variant",
                     r->variant, "runs", (json_int_t)r->runs, "ms", cli_json_number(1e3 * r->seconds), "gflop",
                     cli_json_number(1e-9 * r->flop), "gbyte", cli_json_number(1e-9 * r->bytes), "limit_ms",
                     cli_json_number(1e3 * r->least_seconds));
}

void cli_add_profile(json_t *object, const bfncl_profile *p)
{
    if (!object || !p->unit) return;
    json_t *rows = json_array();
    for (size_t i = 0; i < p->n_rows; i++) json_array_append_new(rows, row_json(&p->rows[i]));
    json_object_set_new(
        object, "profile",
        json_pack("{s:s, s:I, s:b, s:o, s:o, s:I, s:o, s:o, s:o}", "unit", p->unit, "units", (json_int_t)p->units,
                  "first_left_out", p->warm, "ms", cli_json_number(1e3 * p->seconds), "device_ms",
                  cli_json_number(1e3 * p->device_seconds), "launches", (json_int_t)p->launches, "peak_gflops",
                  cli_json_number(p->peak_gflops), "copy_gbps", cli_json_number(p->copy_gbps), "kernels", rows));
}

/* ---- table ------------------------------------------------------------------------------------------------------- */

/* `amount` with one or two decimals, "-" when it was not counted. */
static void put_number(double amount, int width)
{
    if (isfinite(amount) && amount > 0)
        fprintf(stderr, " %*.*f", width, amount < 10 ? 2 : 1, amount);
    else
        fprintf(stderr, " %*s", width, "-");
}

/* "-DA=1 -DB" as "A=1 B". */
static void put_variant(const char *defines)
{
    for (const char *p = defines; *p; p++) {
        const bool start = p == defines || p[-1] == ' ';
        if (start && p[0] == '-' && p[1] == 'D')
            p++;
        else
            putc(*p, stderr);
    }
}

static void print_row(const bfncl_profile *p, const bfncl_profile_row *r)
{
    const double units = (double)p->units;
    fprintf(stderr, "%9.2f %5.1f%% %9.1f", 1e3 * r->seconds / units, 100 * r->seconds / p->seconds, 1e3 * r->seconds);
    put_number((double)r->runs / units, 7);
    put_number(1e-9 * r->flop / r->seconds, 8);
    put_number(1e-9 * r->bytes / r->seconds, 7);
    if (isfinite(r->least_seconds) && r->least_seconds > 0)
        fprintf(stderr, " %7.0f%%", 100 * r->least_seconds / r->seconds);
    else
        fprintf(stderr, " %8s", "-");
    fprintf(stderr, "  %s%s%s  ", r->file, r->file[0] ? ": " : "", r->kernel);
    put_variant(r->variant);
    putc('\n', stderr);
}

static void print_table(const bfncl_profile *p)
{
    const double units = (double)p->units, idle = p->seconds - p->device_seconds;
    char heads[2][32];
    fprintf(stderr, "\nprofile of %llu %s%s%s: %.2f ms per %s, %.1f launches\n", (unsigned long long)p->units, p->unit,
            p->units == 1       ? ""
            : p->unit[0] == 'b' ? "es"
                                : "s",
            p->warm ? " after the first" : ", the first", 1e3 * p->seconds / units, p->unit,
            (double)p->launches / units);
    fprintf(stderr, "between launches: %.2f ms per %s, %.1f us per launch (overhead, transfers, host)\n",
            1e3 * idle / units, p->unit, p->launches ? 1e6 * idle / (double)p->launches : 0.0);
    if (isfinite(p->peak_gflops) && isfinite(p->copy_gbps))
        fprintf(stderr, "limits, measured: %.1f GFLOP/s of multiply-adds in registers, %.1f GB/s copied\n",
                p->peak_gflops, p->copy_gbps);
    snprintf(heads[0], sizeof heads[0], "ms/%s", p->unit);
    snprintf(heads[1], sizeof heads[1], "x/%s", p->unit);
    fprintf(stderr, "%9s %6s %9s %7s %8s %7s %8s  kernel\n", heads[0], "share", "ms", heads[1], "GFLOP/s", "GB/s",
            "of limit");
    for (size_t i = 0; i < p->n_rows; i++) print_row(p, &p->rows[i]);
}

void cli_profile_end(const cli_args *a, bfncl_profile *p)
{
    cli_progress_end();
    if (p->n_rows > 0 && !cli_given(a, OPT_JSON)) print_table(p);
    bfncl_profile_free(p);
}
