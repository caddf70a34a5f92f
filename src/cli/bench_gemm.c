/* bfncl bench gemm: matrix products. */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/common.h"
#include "cli/help.h"
#include "cli/term.h"

#define LARGEST 65536 /* of a size; three of them stay below 2^48 */

/* Reads a size up to the character `end` (0: the end of the text) and moves over it. */
static bool size(const char **text, char end, int *out)
{
    char *stop;
    long n = **text >= '1' && **text <= '9' ? strtol(*text, &stop, 10) : 0;
    if (n < 1 || n > LARGEST || *stop != end) return false;
    *out = (int)n;
    *text = stop + (end != 0);
    return true;
}

/* "[BATCH*]MxNxK[:TRANS]" */
static bool parse_shape(const char *text, bfncl_gemm_shape *s)
{
    const char *colon = strchr(text, ':');
    char sizes[64];
    const char *p = sizes;
    *s = (bfncl_gemm_shape){.batch = 1, .trans = "nn"};
    if (colon) {
        if (strlen(colon) != 3 || strspn(colon + 1, "nt") != 2) return false;
        memcpy(s->trans, colon + 1, sizeof s->trans);
    }
    snprintf(sizes, sizeof sizes, "%.*s", (int)(colon ? (size_t)(colon - text) : strlen(text)), text);
    if (strchr(sizes, '*') && !size(&p, '*', &s->batch)) return false;
    return size(&p, 'x', &s->m) && size(&p, 'x', &s->n) && size(&p, 0, &s->k);
}

static int print_rows_json(const bfncl_bench_gemm_row *rows, size_t n, const char *device)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const bfncl_bench_gemm_row *r = &rows[i];
        json_array_append_new(list, json_pack("{s:i, s:i, s:i, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:i}", "m",
                                              r->shape.m, "n", r->shape.n, "k", r->shape.k, "batch", r->shape.batch,
                                              "trans", r->shape.trans, "provider", r->provider, "gflops",
                                              cli_json_number(r->gflops), "gflops_min", cli_json_number(r->gflops_min),
                                              "gflops_max", cli_json_number(r->gflops_max), "first_ms",
                                              cli_json_number(r->first_ms), "fraction_of_peak",
                                              cli_json_number(r->fraction_of_peak), "runs", (int)r->runs));
    }
    return cli_print_json(json_pack("{s:s, s:o}", "device", device, "rows", list), 0);
}

static void print_rows(const bfncl_bench_gemm_row *rows, size_t n, const char *device)
{
    printf("device   %s\n%6s %6s %6s %6s  %-5s  %-8s  %9s  %9s  %9s  %9s  %5s\n", device, "m", "n", "k", "batch",
           "trans", "provider", "GFLOP/s", "least", "largest", "first ms", "peak");
    for (size_t i = 0; i < n; i++) {
        const bfncl_bench_gemm_row *r = &rows[i];
        printf("%6d %6d %6d %6d  %-5s  %-8s  %9.1f  %9.1f  %9.1f  %9.1f  %5.2f\n", r->shape.m, r->shape.n, r->shape.k,
               r->shape.batch, r->shape.trans, r->provider, r->gflops, r->gflops_min, r->gflops_max, r->first_ms,
               r->fraction_of_peak);
    }
}

static int measure_gemm(const cli_args *a, const bfncl_gemm_shape *shapes)
{
    bfncl_bench_gemm_options o;
    bfncl_bench_gemm_row *rows = NULL;
    bfncl_error err;
    size_t n = 0;
    char device[256];
    int code = 0;
    bfncl_bench_gemm_defaults(&o);
    if (cli_given(a, OPT_SHAPE)) {
        o.shapes = shapes;
        o.n_shapes = a->value[OPT_SHAPE].count;
    }
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_signals_stop();
    if (bfncl_bench_gemm(&o, &rows, &n, device, &err) != BFNCL_OK) return cli_fail(&err);
    cli_progress_end();
    if (cli_given(a, OPT_JSON))
        code = print_rows_json(rows, n, device);
    else
        print_rows(rows, n, device);
    bfncl_free(rows);
    return code;
}

int cli_bench_gemm(const cli_args *a)
{
    const cli_value *given = &a->value[OPT_SHAPE];
    bfncl_gemm_shape *shapes = calloc(given->count + 1, sizeof *shapes);
    int code = 0;
    if (!shapes) {
        cli_error("out of memory");
        return BFNCL_ERR_RUNTIME;
    }
    for (size_t i = 0; i < given->count && code == 0; i++) {
        if (parse_shape(given->list[i], &shapes[i])) continue;
        cli_error("--shape: \"%s\" is not a product such as 2048x768x768 or 64*256x256x64:nt, sizes up to %d",
                  given->list[i], LARGEST);
        cli_print_usage(stderr, a->command);
        code = BFNCL_ERR_USAGE;
    }
    if (code == 0) code = measure_gemm(a, shapes);
    free(shapes);
    return code;
}
