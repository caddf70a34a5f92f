/* bfncl train */
#include <math.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/help.h"
#include "cli/profile.h"
#include "cli/term.h"

static int print_config(const cli_args *a, const char *config)
{
    const cli_value *set = &a->value[OPT_SET];
    char *text = NULL;
    bfncl_error err;
    if (bfncl_config_text(config, set->list, set->count, true, &text, &err) != BFNCL_OK) return cli_fail(&err);
    fputs(text, stdout);
    bfncl_free(text);
    return 0;
}

static json_t *plan_json(const bfncl_train_result *r)
{
    json_t *j = cli_plan_json(&r->plan, r->device);
    if (j) json_object_set_new(j, "batch", json_integer((json_int_t)r->batch));
    if (j && r->plan.peak_keep_bytes) {
        json_object_set_new(j, "peak_keep_bytes", json_integer((json_int_t)r->plan.peak_keep_bytes));
        json_object_set_new(j, "peak_recompute_bytes", json_integer((json_int_t)r->plan.peak_recompute_bytes));
    }
    return j;
}

static json_t *result_json(const bfncl_train_result *r)
{
    json_t *plan = plan_json(r);
    json_t *run = json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "out", r->out, "steps", (json_int_t)r->steps,
                            "first_step", (json_int_t)r->first_step, "loss_nats_per_dim", cli_json_number(r->loss),
                            "best_bits_per_dim", cli_json_number(r->best), "best_step",
                            isfinite(r->best) ? json_integer((json_int_t)r->best_step) : json_null(), "seconds",
                            cli_json_number(r->seconds), "ms_per_step", cli_json_number(r->ms_per_step));
    if (plan && run) json_object_update(run, plan);
    json_decref(plan);
    return run;
}

static void print_result(const bfncl_train_result *r)
{
    printf("run folder  %s\n", r->out);
    printf("steps       %llu", (unsigned long long)r->steps);
    if (isfinite(r->ms_per_step)) printf(" (%.1f ms per step, %.0f s in all)", r->ms_per_step, r->seconds);
    putchar('\n');
    if (isfinite(r->best))
        printf("best        %.4f bits/dim on the validation examples, at step %llu\n", r->best,
               (unsigned long long)r->best_step);
}

int cli_train(const cli_args *a)
{
    bfncl_train_options o;
    bfncl_train_result r;
    bfncl_error err;
    bfncl_profile profile;
    bfncl_train_defaults(&o);
    o.config = a->n_operands ? a->operands[0] : NULL;
    o.set = a->value[OPT_SET].list;
    o.n_set = a->value[OPT_SET].count;
    o.out = a->value[OPT_OUT].text;
    o.resume = cli_given(a, OPT_RESUME);
    o.dry_run = cli_given(a, OPT_DRY_RUN);
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_profile_options(a, &o.device, &profile);
    if (cli_given(a, OPT_PRINT_CONFIG)) return print_config(a, o.config);
    if (!o.config && !(o.resume && o.out)) {
        cli_error(o.resume ? "train --resume needs CONFIG or --out DIR" : "train needs CONFIG");
        cli_print_usage(stderr, a->command);
        return BFNCL_ERR_USAGE;
    }
    cli_signals_stop();
    const bfncl_status status = bfncl_train(&o, &r, &err);
    json_t *j = NULL;
    if (status == BFNCL_OK && cli_given(a, OPT_JSON)) {
        j = o.dry_run ? plan_json(&r) : result_json(&r);
        cli_add_profile(j, &profile);
    }
    cli_profile_end(a, &profile);
    if (status != BFNCL_OK) return cli_fail(&err);
    if (cli_given(a, OPT_JSON)) return cli_print_json(j, 0);
    if (o.dry_run)
        cli_print_plan(&r.plan, r.device, "parameters and optimiser", "arithmetic per step");
    else
        print_result(&r);
    return 0;
}
