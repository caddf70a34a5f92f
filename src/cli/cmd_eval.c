/* bfncl eval */
#include <math.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/profile.h"
#include "cli/term.h"

/* "over_time": [{"from","to","count","nats_per_dim","bits_per_dim","stderr_bits_per_dim"}] */
static json_t *bins_json(const bfncl_eval_row *row)
{
    json_t *list = json_array();
    for (size_t k = 0; k < row->n_over_time; k++) {
        const bfncl_eval_bin *b = &row->over_time[k];
        json_array_append_new(list, json_pack("{s:f, s:f, s:I, s:o, s:o, s:o}", "from", b->from, "to", b->to, "count",
                                              (json_int_t)b->count, "nats_per_dim", cli_json_number(b->nats_per_dim),
                                              "bits_per_dim", cli_json_number(b->bits_per_dim), "stderr_bits_per_dim",
                                              cli_json_number(b->stderr_bits_per_dim)));
    }
    return list;
}

/* "groups": [{"name","dims","bits_per_dim","stderr_bits_per_dim","recon_bits_per_dim","total_bits_per_dim",
 * "stderr_total_bits_per_dim"}] */
static json_t *groups_json(const bfncl_eval_row *row)
{
    json_t *list = json_array();
    for (size_t k = 0; k < row->n_groups; k++) {
        const bfncl_eval_group *g = &row->groups[k];
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "name", g->name, "dims",
                                        (json_int_t)g->dims, "bits_per_dim", cli_json_number(g->bits_per_dim),
                                        "stderr_bits_per_dim", cli_json_number(g->stderr_bits_per_dim),
                                        "recon_bits_per_dim", cli_json_number(g->recon_bits_per_dim),
                                        "total_bits_per_dim", cli_json_number(g->total_bits_per_dim),
                                        "stderr_total_bits_per_dim", cli_json_number(g->stderr_total_bits_per_dim)));
    }
    return list;
}

/* "columns": [{"name","type","bits"}], and "impute" with what was compared. */
static void add_columns(json_t *j, const bfncl_eval_result *r)
{
    const bfncl_eval_impute *m = &r->impute;
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_columns; i++) {
        const bfncl_eval_column *c = &r->columns[i];
        json_t *one = json_pack("{s:s, s:s, s:o}", "name", c->name, "type", c->type, "bits", cli_json_number(c->bits));
        if (one && m->part > 0) {
            json_object_set_new(one, "impute_error", cli_json_number(c->impute_error));
            json_object_set_new(one, "impute_baseline", cli_json_number(c->impute_baseline));
        }
        json_array_append_new(list, one);
    }
    json_object_set_new(j, "columns", list);
    if (m->part > 0)
        json_object_set_new(j, "impute",
                            json_pack("{s:f, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "part", m->part, "draws",
                                      (json_int_t)m->draws, "numbers", (json_int_t)m->numbers, "words",
                                      (json_int_t)m->words, "rmse", cli_json_number(m->rmse), "baseline_rmse",
                                      cli_json_number(m->baseline_rmse), "accuracy", cli_json_number(m->accuracy),
                                      "baseline_accuracy", cli_json_number(m->baseline_accuracy)));
}

static void add_units(json_t *j, const bfncl_eval_result *r, const bfncl_eval_row *row)
{
    json_object_set_new(j, "stderr_recon_bits_per_dim", cli_json_number(row->stderr_recon_bits_per_dim));
    json_object_set_new(j, "stderr_total_bits_per_dim", cli_json_number(row->stderr_total_bits_per_dim));
    json_object_set_new(j, "nats_per_example", cli_json_number(row->nats_per_example));
    json_object_set_new(j, "total_nats_per_example", cli_json_number(row->total_nats_per_example));
    json_object_set_new(j, "bits_per_char", cli_json_number(row->bits_per_char));
    json_object_set_new(j, "total_bits_per_char", cli_json_number(row->total_bits_per_char));
    json_object_set_new(j, "stride", r->text ? json_integer((json_int_t)r->stride) : json_null());
    json_object_set_new(j, "variables", json_integer((json_int_t)r->variables));
    if (r->atoms) json_object_set_new(j, "atoms", json_integer((json_int_t)r->atoms));
    if (row->groups) json_object_set_new(j, "groups", groups_json(row));
    if (row->over_time) json_object_set_new(j, "over_time", bins_json(row));
    if (r->table) {
        json_object_set_new(j, "bits_per_row", cli_json_number(row->bits_per_dim * (double)row->dims));
        json_object_set_new(j, "total_bits_per_row", cli_json_number(row->total_bits_per_dim * (double)row->dims));
        json_object_set_new(j, "stderr_total_bits_per_row",
                            cli_json_number(row->stderr_total_bits_per_dim * (double)row->dims));
        if (row == &r->rows[r->n_rows - 1]) add_columns(j, r);
    }
}

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
    if (j) add_units(j, r, row);
    json_decref(run);
    return j;
}

static void add_baselines(json_t *j, const bfncl_eval_result *r)
{
    json_object_set_new(j, "untrained_bits_per_dim", cli_json_number(r->untrained_bits_per_dim));
    json_object_set_new(j, "untrained_stderr_bits_per_dim", cli_json_number(r->untrained_stderr_bits));
    json_object_set_new(j, "marginal_bits_per_dim", cli_json_number(r->marginal_bits_per_dim));
    json_object_set_new(j, "marginal_stderr_bits_per_dim", cli_json_number(r->marginal_stderr_bits));
    if (r->table) {
        const double dims = (double)r->rows->dims;
        json_object_set_new(j, "marginal_bits_per_row", cli_json_number(r->marginal_bits_per_dim * dims));
        json_object_set_new(j, "copula_bits_per_row", cli_json_number(r->copula_bits_per_dim * dims));
        json_object_set_new(j, "copula_stderr_bits_per_row", cli_json_number(r->copula_stderr_bits * dims));
    }
    json_object_set_new(j, "marginal_model", r->marginal[0] ? json_string(r->marginal) : json_null());
}

static int print_json(const bfncl_eval_result *r, bool baselines, const bfncl_profile *profile)
{
    int code = 0;
    for (size_t i = 0; i < r->n_rows && code == 0; i++) {
        json_t *j = row_json(r, &r->rows[i]);
        if (j && baselines) add_baselines(j, r);
        if (i + 1 == r->n_rows) cli_add_profile(j, profile);
        code = cli_print_json(j, 0);
    }
    return code;
}

static void print_baseline(const char *label, double bits, double error)
{
    if (isfinite(bits)) printf("%-20s %9.4f +- %.4f\n", label, bits, error);
}

static void loss_name(const bfncl_eval_row *row, char out[32])
{
    if (row->loss_steps)
        snprintf(out, 32, "%lld steps", (long long)row->loss_steps);
    else
        snprintf(out, 32, "continuous time");
}

static void print_head(const bfncl_eval_result *r)
{
    const bfncl_eval_row *first = r->rows;
    printf("model    %s (step %llu, %s weights)\ndata     %s\ndevice   %s\n", r->model, (unsigned long long)r->step,
           r->weights, r->data, r->device);
    printf("scored   %llu %s of %llu %s, %llu time(s) each (%s), %llu draw(s) per time\n",
           (unsigned long long)first->samples,
           r->text    ? "windows"
           : r->table ? "rows"
                      : "examples",
           (unsigned long long)first->dims,
           r->text    ? "characters"
           : r->table ? "columns"
                      : "dimensions",
           (unsigned long long)first->repeats, r->times, (unsigned long long)first->draws);
    if (r->atoms)
        printf("         molecules with %llu atoms in all, each of which counts as %llu dimensions\n",
               (unsigned long long)r->atoms, (unsigned long long)first->dims);
    if (r->text && r->stride < first->dims)
        printf("         one every %llu characters; %llu characters in all, each counted once\n",
               (unsigned long long)r->stride, (unsigned long long)r->variables);
    putchar('\n');
}

/* A dimension of a text is a character, what of other data is an example is of molecules an atom. */
static void print_losses(const bfncl_eval_result *r)
{
    const char *bits = r->text ? "bits/char" : "bits/dim", *nats = r->text ? "nats/char" : "nats/dim";
    const char *whole = r->text ? "nats/window" : r->atoms ? "nats/atom" : "nats/example";
    printf("%-20s %-19s %9s  %-8s  %9s  %9s  %12s\n", "loss", bits, nats, "receiver", "recon", "total", whole);
    for (size_t i = 0; i < r->n_rows; i++) {
        const bfncl_eval_row *row = &r->rows[i];
        char name[32];
        loss_name(row, name);
        printf("%-20s %9.4f +- %.4f %9.4f  %-8s  %9.4f  %9.4f  %12.2f\n", name, row->bits_per_dim,
               row->stderr_bits_per_dim, row->nats_per_dim, row->receiver, row->recon_bits_per_dim,
               row->total_bits_per_dim, row->total_nats_per_example);
    }
    print_baseline("untrained network", r->untrained_bits_per_dim, r->untrained_stderr_bits);
    print_baseline(strcmp(r->marginal, "unigram") == 0      ? "unigram"
                   : strcmp(r->marginal, "per-column") == 0 ? "columns independent"
                                                            : "per-pixel marginal",
                   r->marginal_bits_per_dim, r->marginal_stderr_bits);
    printf("\n+- is the standard error over %s; recon and total (loss + reconstruction) are in %s;\n%s is the total of "
           "all "
           "%llu %s\n",
           r->text ? "windows" : "examples", bits, whole, (unsigned long long)r->rows->dims,
           r->text ? "characters" : "dimensions");
}

static void print_over_time(const bfncl_eval_row *row, const char *bits)
{
    char name[32];
    if (!row->over_time) return;
    loss_name(row, name);
    printf("\n%s over time\n%-15s %-19s %9s\n", name, "t", bits, "count");
    for (size_t k = 0; k < row->n_over_time; k++) {
        const bfncl_eval_bin *b = &row->over_time[k];
        char error[32] = "";
        if (isfinite(b->stderr_bits_per_dim)) snprintf(error, sizeof error, "+- %.4f", b->stderr_bits_per_dim);
        if (b->count)
            printf("%.3f .. %.3f  %9.4f %-10s %9llu\n", b->from, b->to, b->bits_per_dim, error,
                   (unsigned long long)b->count);
        else
            printf("%.3f .. %.3f  %9s %-10s %9d\n", b->from, b->to, "-", "", 0);
    }
}

static void print_groups(const bfncl_eval_row *row)
{
    char name[32];
    if (!row->groups) return;
    loss_name(row, name);
    printf("\n%s by group\n%-24s %9s %9s %9s %-19s\n", name, "group", "variables", "loss", "recon", "total, bits/dim");
    for (size_t k = 0; k < row->n_groups; k++) {
        const bfncl_eval_group *g = &row->groups[k];
        char recon[32] = "-";
        if (isfinite(g->recon_bits_per_dim)) snprintf(recon, sizeof recon, "%.4f", g->recon_bits_per_dim);
        printf("%-24s %9llu %9.4f %9s %9.4f +- %.4f\n", g->name, (unsigned long long)g->dims, g->bits_per_dim, recon,
               g->total_bits_per_dim, g->stderr_total_bits_per_dim);
    }
}

/* A table: bits of a row, and of each of its columns. */
static void print_columns(const bfncl_eval_result *r)
{
    const bfncl_eval_row *last = &r->rows[r->n_rows - 1];
    const double dims = (double)last->dims;
    printf("\n%-24s %9.3f +- %.3f bits\n", "row, with reconstruction", last->total_bits_per_dim * dims,
           last->stderr_total_bits_per_dim * dims);
    if (isfinite(r->marginal_bits_per_dim))
        printf("%-24s %9.3f +- %.3f\n%-24s %9.3f +- %.3f\n", "  columns independent", r->marginal_bits_per_dim * dims,
               r->marginal_stderr_bits * dims, "  Gaussian copula", r->copula_bits_per_dim * dims,
               r->copula_stderr_bits * dims);
    if (r->impute.numbers) {
        printf("%-24s %9.3f deviations (column means: %.3f)\n", "filled numbers, error", r->impute.rmse,
               r->impute.baseline_rmse);
    }
    if (r->impute.words)
        printf("%-24s %9.3f right (column modes: %.3f)\n", "filled words", r->impute.accuracy,
               r->impute.baseline_accuracy);
    printf("\n%-24s %-12s %9s%s\n", "column", "type", "bits/row", r->impute.part > 0 ? "  filled  mean or mode" : "");
    for (size_t i = 0; i < r->n_columns; i++) {
        const bfncl_eval_column *c = &r->columns[i];
        if (!isfinite(c->bits)) continue;
        cli_printf(stdout, "%-24s %-12s %9.3f", c->name, c->type, c->bits);
        if (isfinite(c->impute_error)) printf("  %6.3f  %6.3f", c->impute_error, c->impute_baseline);
        putchar('\n');
    }
}

static void print_table(const bfncl_eval_result *r)
{
    print_head(r);
    print_losses(r);
    for (size_t i = 0; i < r->n_rows; i++) print_groups(&r->rows[i]);
    if (r->table) print_columns(r);
    for (size_t i = 0; i < r->n_rows; i++) print_over_time(&r->rows[i], r->text ? "bits/char" : "bits/dim");
}

/* Options that say how samples are measured. */
static int needs_samples(const cli_args *a)
{
    static const cli_option_id of_samples[] = {OPT_DICTIONARY, OPT_ENCODER, OPT_NEIGHBOURS, OPT_CHART,
                                               OPT_POCKET,     OPT_LIGAND,  OPT_CENTER,     OPT_RADIUS};
    for (size_t i = 0; i < sizeof of_samples / sizeof of_samples[0]; i++)
        if (cli_given(a, of_samples[i])) {
            cli_error("--%s measures samples: give them as --samples FILE", cli_options[of_samples[i]].name);
            return 2;
        }
    return 0;
}

int cli_eval(const cli_args *a)
{
    bfncl_eval_options o;
    bfncl_eval_result r;
    bfncl_error err;
    bfncl_profile profile;
    int code = 0;
    if (cli_given(a, OPT_SAMPLES)) return cli_eval_samples(a);
    if ((code = needs_samples(a)) != 0) return code;
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
    o.label = a->value[OPT_LABEL].text;
    if (cli_given(a, OPT_STRIDE)) o.stride = a->value[OPT_STRIDE].number;
    if (cli_given(a, OPT_OVER_TIME)) o.over_time = a->value[OPT_OVER_TIME].number;
    o.per_example = a->value[OPT_PER_EXAMPLE].text;
    o.receiver = a->value[OPT_RECEIVER].text;
    o.weights = a->value[OPT_WEIGHTS].text;
    o.config = a->value[OPT_CONFIG].text;
    o.size = a->value[OPT_SIZE].text;
    o.baselines = cli_given(a, OPT_BASELINES);
    if (cli_given(a, OPT_IMPUTE)) o.impute = (double)a->value[OPT_IMPUTE].number / 100;
    o.dry_run = cli_given(a, OPT_DRY_RUN);
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_profile_options(a, &o.device, &profile);
    cli_signals_stop();
    if (bfncl_eval(&o, &r, &err) != BFNCL_OK) {
        cli_profile_end(a, &profile);
        return cli_fail(&err);
    }
    cli_progress_end();
    const bool json = cli_given(a, OPT_JSON);
    if (o.dry_run && json)
        code = cli_print_json(cli_plan_json(&r.plan, r.device), 0);
    else if (o.dry_run)
        cli_print_plan(&r.plan, r.device, "weights", "arithmetic per batch");
    else if (json)
        code = print_json(&r, o.baselines, &profile);
    else
        print_table(&r);
    cli_profile_end(a, &profile);
    bfncl_eval_result_free(&r);
    return code;
}
