/* bfncl verify: a line per tensor and file as they are compared, then the counts. */
#include <math.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/term.h"

static const char *state_name(bfncl_verify_state state)
{
    static const char *const names[] = {"ok", "FAIL", "skip"};
    return names[state];
}

/* "  ok    theta   largest error 3.1e-07, tolerance 2.0e-06" */
static void print_tensor(const bfncl_verify_line *l)
{
    cli_printf(stdout, "  %-5s %-40s", state_name(l->state), l->tensor);
    if (isfinite(l->error)) printf(" error %.2e, tolerance %.2e", l->error, l->tolerance);
    if (l->note && l->note[0]) cli_printf(stdout, " %s", l->note);
    putchar('\n');
}

static void print_file(const bfncl_verify_line *l)
{
    cli_printf(stdout, "%-5s %s", state_name(l->state), l->path);
    if (l->kind && l->kind[0]) cli_printf(stdout, " (%s)", l->kind);
    if (l->compared) printf(": %u of %u tensors within tolerance", l->compared - l->wrong, l->compared);
    if (l->worst) cli_printf(stdout, ", worst %s: error %.2e, tolerance %.2e", l->worst, l->error, l->tolerance);
    if (l->note && l->note[0]) cli_printf(stdout, ": %s", l->note);
    putchar('\n');
}

/* What the callbacks need. */
typedef struct verify_output {
    bool quiet;
    json_t *rows; /* with --json */
} verify_output;

static void on_line_text(void *user, const bfncl_verify_line *l)
{
    const verify_output *output = user;
    if (!l->tensor)
        print_file(l);
    else if (!output->quiet || l->state == BFNCL_VERIFY_FAILED)
        print_tensor(l);
    fflush(stdout);
}

static void on_line_json(void *user, const bfncl_verify_line *l)
{
    const verify_output *output = user;
    json_array_append_new(output->rows, json_pack("{s:s, s:s?, s:s?, s:s, s:o, s:o, s:s?, s:s?}", "path", l->path,
                                                  "kind", l->kind, "tensor", l->tensor, "state", state_name(l->state),
                                                  "error", cli_json_number(l->error), "tolerance",
                                                  cli_json_number(l->tolerance), "worst", l->worst, "note", l->note));
}

int cli_verify(const cli_args *a)
{
    bfncl_verify_options o;
    bfncl_verify_result r;
    bfncl_error err;
    bool json = cli_given(a, OPT_JSON);
    verify_output output = {cli_given(a, OPT_QUIET), json ? json_array() : NULL};
    int code = 0;
    bfncl_verify_defaults(&o);
    o.paths = a->operands;
    o.n_paths = a->n_operands;
    o.on_line = json ? on_line_json : on_line_text;
    o.user = &output;
    cli_device_options(a, &o.device);
    bfncl_status status = bfncl_verify(&o, &r, &err);
    if (status != BFNCL_OK && status != BFNCL_ERR_NUMERIC) {
        json_decref(output.rows);
        return cli_fail(&err);
    }
    if (json)
        code = cli_print_json(json_pack("{s:s, s:i, s:i, s:i, s:i, s:o}", "device", r.device, "passed", (int)r.passed,
                                        "failed", (int)r.failed, "skipped", (int)r.skipped, "tensors", (int)r.tensors,
                                        "rows", output.rows),
                              0);
    else
        printf("%u passed, %u failed, %u skipped\n", r.passed, r.failed, r.skipped);
    return status == BFNCL_ERR_NUMERIC ? cli_fail(&err) : code;
}
