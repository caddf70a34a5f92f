/* bfncl sample */
#include <string.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/live.h"
#include "cli/profile.h"
#include "cli/term.h"

/* Parts of a SMILES that are not bound to each other have a dot between them. */
static bool in_one_piece(const bfncl_ligand *l)
{
    return l->smiles && !strchr(l->smiles, '.');
}

static json_t *molecules_json(const bfncl_sample_result *r)
{
    json_t *list = json_array();
    for (uint64_t k = 0; k < r->n_ligands; k++) {
        const bfncl_ligand *l = &r->ligands[k];
        json_t *valid = r->pocket.judged ? json_boolean(l->smiles != NULL) : json_null();
        json_t *whole = r->pocket.judged ? json_boolean(in_one_piece(l)) : json_null();
        (void)json_array_append_new(
            list, json_pack("{s:i, s:i, s:I, s:o, s:o, s:o, s:o, s:s?}", "atoms", (int)l->atoms, "bonds", (int)l->bonds,
                            "clashes", (json_int_t)l->clashes, "closest", cli_json_number(l->closest), "distance",
                            cli_json_number(l->distance), "valid", valid, "connected", whole, "smiles", l->smiles));
    }
    return list;
}

static void add_pocket(json_t *j, const bfncl_sample_result *r)
{
    const bfncl_pocket *p = &r->pocket;
    if (p->atoms == 0) return;
    (void)json_object_set_new(j, "pocket",
                              json_pack("{s:i, s:i, s:i, s:[f,f,f], s:f}", "atoms", (int)p->atoms, "residues",
                                        (int)p->residues, "reference_atoms", (int)p->reference, "center", p->center[0],
                                        p->center[1], p->center[2], "size", p->size));
    (void)json_object_set_new(j, "molecules", molecules_json(r));
}

/* The ligands in one line. */
static void note_ligands(const bfncl_sample_result *r)
{
    uint64_t clear = 0, valid = 0, whole = 0, atoms = 0;
    double distance = 0;
    if (r->n_ligands == 0) return;
    for (uint64_t k = 0; k < r->n_ligands; k++) {
        const bfncl_ligand *l = &r->ligands[k];
        atoms += l->atoms;
        clear += l->clashes == 0;
        valid += l->smiles != NULL;
        whole += in_one_piece(l);
        distance += l->distance / (double)r->n_ligands;
    }
    cli_note("pocket of %u atoms in %u residues; ligands of %.1f atoms, %.1f Angstrom from its centre", r->pocket.atoms,
             r->pocket.residues, (double)atoms / (double)r->n_ligands, distance);
    if (r->pocket.judged)
        cli_note("%llu valid (%llu in one piece), %llu without clashes", (unsigned long long)valid,
                 (unsigned long long)whole, (unsigned long long)clear);
    else
        cli_note("%llu without clashes", (unsigned long long)clear);
}

/* --live where there is no terminal: the texts come at the end as ever. */
static void not_live(void *user, const bfncl_live *state)
{
    (void)user, (void)state;
}

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
    o.grid = a->value[OPT_GRID].text;
    o.times = a->value[OPT_TIMES].text;
    o.label = a->value[OPT_LABEL].text;
    if (cli_given(a, OPT_GUIDANCE)) o.guidance = a->value[OPT_GUIDANCE].real;
    o.scaffold = a->value[OPT_SCAFFOLD].text;
    o.pocket = a->value[OPT_POCKET].text;
    o.ligand = a->value[OPT_LIGAND].text;
    o.center = a->value[OPT_CENTER].text;
    o.radius = (double)a->value[OPT_RADIUS].number;
    o.atoms = a->value[OPT_ATOMS].text;
    if (cli_given(a, OPT_STEPS)) o.steps = a->value[OPT_STEPS].number ? a->value[OPT_STEPS].number : -1;
    if (cli_given(a, OPT_SEED)) o.seed = a->value[OPT_SEED].number;
    o.given = a->value[OPT_GIVEN].text;
    o.mask = a->value[OPT_MASK].text;
    o.hole = a->value[OPT_HOLE].text;
    o.lengths = a->value[OPT_LENGTHS].text;
    if (cli_given(a, OPT_PARTICLES)) o.particles = a->value[OPT_PARTICLES].number;
    o.weights = a->value[OPT_WEIGHTS].text;
    o.config = a->value[OPT_CONFIG].text;
    o.size = a->value[OPT_SIZE].text;
    o.out = a->value[OPT_OUTPUT].text;
    o.animation = a->value[OPT_TRAJECTORY].text;
    o.dry_run = cli_given(a, OPT_DRY_RUN);
    o.progress = cli_progress;
    if (cli_given(a, OPT_LIVE)) o.live = cli_live_possible() ? cli_live : not_live;
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
    cli_note("%llu samples, %llu steps, %llu evaluations, %s%s, %s weights, %.1f s on %s",
             (unsigned long long)r.samples, (unsigned long long)r.steps, (unsigned long long)r.evaluations, r.sampler,
             r.automatic ? " (auto: ode2 up to 15 evaluations, sde2 above)" : "", r.weights, r.seconds, r.device);
    if (r.classes > 0)
        cli_note("%llu of each of %llu classes, guidance %g", (unsigned long long)(r.samples / r.classes),
                 (unsigned long long)r.classes, r.guidance);
    note_ligands(&r);
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
    json_t *j =
        json_pack("{s:s?, s:s?, s:I, s:I, s:I, s:s, s:b, s:s, s:o, s:s, s:o*}", "out", r.out[0] ? r.out : NULL,
                  "trajectory", o.animation, "samples", (json_int_t)r.samples, "steps", (json_int_t)r.steps,
                  "evaluations", (json_int_t)r.evaluations, "sampler", r.sampler, "auto", (int)r.automatic, "weights",
                  r.weights, "seconds", cli_json_number(r.seconds), "device", r.device, "texts", texts);
    if (r.classes > 0) {
        (void)json_object_set_new(j, "label", json_string(o.label));
        (void)json_object_set_new(j, "classes", json_integer((json_int_t)r.classes));
        (void)json_object_set_new(j, "guidance", json_real(r.guidance));
    }
    add_pocket(j, &r);
    bfncl_sample_result_free(&r);
    cli_add_profile(j, &profile);
    cli_profile_end(a, &profile);
    return cli_print_json(j, 0);
}
