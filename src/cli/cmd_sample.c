/* bfncl sample */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/profile.h"
#include "cli/term.h"

int cli_sample(const cli_args *a)
{
    bfncl_sample_options o;
    bfncl_sample_result r;
    bfncl_error err;
    bfncl_profile profile;
    bfncl_sample_defaults(&o);
    o.model = a->operands[0];
    o.set = a->value[OPT_SET].list;
    o.n_set = a->value[OPT_SET].count;
    if (cli_given(a, OPT_N)) o.n = a->value[OPT_N].number;
    if (cli_given(a, OPT_LENGTH)) o.length = a->value[OPT_LENGTH].number;
    o.sampler = a->value[OPT_SAMPLER].text;
    o.scaffold = a->value[OPT_SCAFFOLD].text;
    if (cli_given(a, OPT_STEPS)) o.steps = a->value[OPT_STEPS].number;
    if (cli_given(a, OPT_SEED)) o.seed = a->value[OPT_SEED].number;
    o.given = a->value[OPT_GIVEN].text;
    o.weights = a->value[OPT_WEIGHTS].text;
    o.config = a->value[OPT_CONFIG].text;
    o.size = a->value[OPT_SIZE].text;
    o.out = a->value[OPT_OUTPUT].text;
    o.animation = a->value[OPT_TRAJECTORY].text;
    o.dry_run = cli_given(a, OPT_DRY_RUN);
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_profile_options(a, &o.device, &profile);
    cli_signals_stop();
    if (bfncl_sample(&o, &r, &err) != BFNCL_OK) {
        bfncl_sample_result_free(&r);
        cli_profile_end(a, &profile);
        return cli_fail(&err);
    }
    cli_progress_end();
    if (o.dry_run) {
        bfncl_sample_result_free(&r); /* the plan is not part of what is freed */
        if (cli_given(a, OPT_JSON)) return cli_print_json(cli_plan_json(&r.plan, r.device), 0);
        cli_print_plan(&r.plan, r.device, "weights", "arithmetic per step");
        return 0;
    }
    cli_note("%llu samples, %llu steps, %.1f s on %s", (unsigned long long)r.samples, (unsigned long long)r.steps,
             r.seconds, r.device);
    if (!cli_given(a, OPT_JSON)) {
        if (r.out[0]) puts(r.out);
        for (char **text = r.texts; text && *text; text++) puts(*text);
        if (o.animation) puts(o.animation);
        bfncl_sample_result_free(&r);
        cli_profile_end(a, &profile);
        return 0;
    }
    json_t *texts = r.texts ? json_array() : NULL;
    for (char **text = r.texts; text && *text; text++) (void)json_array_append_new(texts, json_string(*text));
    bfncl_sample_result_free(&r);
    json_t *j = json_pack("{s:s?, s:s?, s:I, s:I, s:o, s:s, s:o*}", "out", r.out[0] ? r.out : NULL, "trajectory",
                          o.animation, "samples", (json_int_t)r.samples, "steps", (json_int_t)r.steps, "seconds",
                          cli_json_number(r.seconds), "device", r.device, "texts", texts);
    cli_add_profile(j, &profile);
    cli_profile_end(a, &profile);
    return cli_print_json(j, 0);
}
