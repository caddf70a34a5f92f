/* bfncl eval */
#include <math.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/term.h"

static json_t *row_json(const bfncl_eval_result *r, const bfncl_eval_row *row)
{
    json_t *j = json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "loss_steps",
        row->loss_steps ? json_integer(row->loss_steps) : json_string("inf"), "receiver", row->receiver, "nats_per_dim",
        cli_json_number(row->nats_per_dim), "bits_per_dim", cli_json_number(row->bits_per_dim), "stderr_bits_per_dim",
        cli_json_number(row->stderr_bits_per_dim), "recon_bits_per_dim", cli_json_number(row->recon_bits_per_dim),
        "total_bits_per_dim", cli_json_number(row->total_bits_per_dim), "dims", (json_int_t)row->dims, "samples",
        (json_int_t)row->samples, "repeats", (json_int_t)row->repeats, "draws", (json_int_t)row->draws);
    json_t *run = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "model", r->model, "data", r->data, "weights", r->weights,
                            "times", r->times, "device", r->device, "step", (json_int_t)r->step);
    if (j && run) json_object_update(j, run);
    json_decref(run);
    return j;
}

static void add_baselines(json_t *j, const bfncl_eval_result *r)
{
    json_object_set_new(j, "untrained_bits_per_dim", cli_json_number(r->untrained_bits_per_dim));
    json_object_set_new(j, "untrained_stderr_bits_per_dim", cli_json_number(r->untrained_stderr_bits));
    json_object_set_new(j, "marginal_bits_per_dim", cli_json_number(r->marginal_bits_per_dim));
    json_object_set_new(j, "marginal_stderr_bits_per_dim", cli_json_number(r->marginal_stderr_bits));
    json_object_set_new(j, "marginal_model", r->marginal[0] ? json_string(r->marginal) : json_null());
}

static int print_json(const bfncl_eval_result *r, bool baselines)
{
    int code = 0;
    for (size_t i = 0; i < r->n_rows && code == 0; i++) {
        json_t *j = row_json(r, &r->rows[i]);
        if (j && baselines) add_baselines(j, r);
        code = cli_print_json(j, 0);
    }
    return code;
}

static void print_baseline(const char *label, double bits, double error)
{
    if (isfinite(bits)) printf("%-20s %9.4f +- %.4f\n", label, bits, error);
}

static void print_table(const bfncl_eval_result *r)
{
    const bfncl_eval_row *first = r->rows;
    printf("model    %s (step %llu, %s weights)\ndata     %s\ndevice   %s\n", r->model, (unsigned long long)r->step,
           r->weights, r->data, r->device);
    if (r->n_rows)
        printf("scored   %llu examples of %llu dimensions, %llu time(s) each (%s), %llu draw(s) per time\n\n",
               (unsigned long long)first->samples, (unsigned long long)first->dims, (unsigned long long)first->repeats,
               r->times, (unsigned long long)first->draws);
    printf("%-20s %-19s %9s  %-8s  %9s  %9s\n", "loss", "bits/dim", "nats/dim", "receiver", "recon", "total");
    for (size_t i = 0; i < r->n_rows; i++) {
        const bfncl_eval_row *row = &r->rows[i];
        char name[32];
        if (row->loss_steps)
            snprintf(name, sizeof name, "%lld steps", (long long)row->loss_steps);
        else
            snprintf(name, sizeof name, "continuous time");
        printf("%-20s %9.4f +- %.4f %9.4f  %-8s  %9.4f  %9.4f\n", name, row->bits_per_dim, row->stderr_bits_per_dim,
               row->nats_per_dim, row->receiver, row->recon_bits_per_dim, row->total_bits_per_dim);
    }
    print_baseline("untrained network", r->untrained_bits_per_dim, r->untrained_stderr_bits);
    print_baseline(strcmp(r->marginal, "unigram") == 0 ? "unigram" : "per-pixel marginal", r->marginal_bits_per_dim,
                   r->marginal_stderr_bits);
    printf("\n+- is the standard error over examples; recon and total (loss + reconstruction) are in bits/dim\n");
}

int cli_eval(const cli_args *a)
{
    bfncl_eval_options o;
    bfncl_eval_result r;
    bfncl_error err;
    int code = 0;
    bfncl_eval_defaults(&o);
    o.model = a->operands[0];
    o.data = a->value[OPT_DATA].text;
    o.set = a->value[OPT_SET].list;
    o.n_set = a->value[OPT_SET].count;
    if (cli_given(a, OPT_LOSS_STEPS)) {
        o.loss_steps = a->loss_steps;
        o.n_loss_steps = a->n_loss_steps;
    }
    if (cli_given(a, OPT_REPEATS)) o.repeats = a->value[OPT_REPEATS].number;
    if (cli_given(a, OPT_LIMIT)) o.limit = a->value[OPT_LIMIT].number;
    if (cli_given(a, OPT_SEED)) o.seed = a->value[OPT_SEED].number;
    o.receiver = a->value[OPT_RECEIVER].text;
    o.weights = a->value[OPT_WEIGHTS].text;
    o.config = a->value[OPT_CONFIG].text;
    o.size = a->value[OPT_SIZE].text;
    o.baselines = cli_given(a, OPT_BASELINES);
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_signals_stop();
    if (bfncl_eval(&o, &r, &err) != BFNCL_OK) return cli_fail(&err);
    cli_progress_end();
    if (cli_given(a, OPT_JSON))
        code = print_json(&r, o.baselines);
    else
        print_table(&r);
    bfncl_eval_result_free(&r);
    return code;
}
