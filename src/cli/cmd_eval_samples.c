/* bfncl eval --samples */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/term.h"

/* ---- molecules --------------------------------------------------------------------------------------------------- */

static json_t *molecules_json(const bfncl_molecules_row *r)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "molecules", (json_int_t)r->molecules, "atoms",
                     (json_int_t)r->atoms, "atom_stability", cli_json_number(r->atom_stability), "molecule_stability",
                     cli_json_number(r->molecule_stability), "validity", cli_json_number(r->validity), "connected",
                     cli_json_number(r->connected), "uniqueness", cli_json_number(r->uniqueness), "novelty",
                     cli_json_number(r->novelty));
}

static json_t *fit_json(const bfncl_fit *f)
{
    if (isnan(f->free)) return json_null();
    return json_pack("{s:o, s:o, s:o}", "without_clashes", cli_json_number(f->free), "clashes",
                     cli_json_number(f->clashes), "distance_from_center", cli_json_number(f->distance));
}

static void print_part(const char *label, double samples, double data)
{
    char text[2][16];
    const double x[2] = {samples, data};
    for (int i = 0; i < 2; i++)
        if (isfinite(x[i]))
            snprintf(text[i], sizeof text[i], "%.1f %%", 100 * x[i]);
        else
            strcpy(text[i], "-");
    printf("%-28s %12s %12s\n", label, text[0], text[1]);
}

static void print_molecules(const bfncl_molecules_result *r)
{
    const bfncl_molecules_row *s = &r->samples, *d = &r->reference;
    printf("%-28s %12s %12s\n", "", "samples", "data");
    printf("%-28s %12llu %12llu\n", "molecules", (unsigned long long)s->molecules, (unsigned long long)d->molecules);
    print_part("stable atoms", s->atom_stability, d->atom_stability);
    print_part("stable molecules", s->molecule_stability, d->molecule_stability);
    print_part("valid", s->validity, d->validity);
    print_part("valid and in one piece", s->connected, d->connected);
    print_part("different, of the valid", s->uniqueness, d->uniqueness);
    print_part("not in the data, of these", s->novelty, d->novelty);
    printf("%-28s %12.3f\n", "distance of bond lengths", r->bond_length_distance);
    printf("%-28s %12.3f\n", "distance of all distances", r->distance_distance);
    if (!isnan(r->fit.free)) {
        print_part("without clashes", r->fit.free, NAN);
        printf("%-28s %12.1f\n", "clashes, in the mean", r->fit.clashes);
        printf("%-28s %10.1f A\n", "from the pocket's centre", r->fit.distance);
    }
    printf("\ndata: %s; distances of distributions: 0 equal, 0.83 without overlap\n", r->data);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static json_t *words_json(const bfncl_words_result *w)
{
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:s, s:b, s:I}", "texts", (json_int_t)w->texts, "words",
                     (json_int_t)w->words, "known", (json_int_t)w->known, "share", cli_json_number(w->share),
                     "stderr_share", cli_json_number(w->stderr_share), "held_out_share", cli_json_number(w->held_out),
                     "dictionary", w->dictionary, "dictionary_is_data", w->own, "dictionary_words",
                     (json_int_t)w->dictionary_words);
}

static void print_words(const bfncl_words_result *w)
{
    if (isfinite(w->share))
        printf("words in the dictionary      %6.2f %% +- %.2f\n", 100 * w->share, 100 * w->stderr_share);
    else
        puts("words in the dictionary           -");
    if (isfinite(w->held_out)) printf("the same of held-out text    %6.2f %%\n", 100 * w->held_out);
    cli_printf(stdout, "\n%llu of %llu words in %llu texts; dictionary: %s%s (%llu words)\n",
               (unsigned long long)w->known, (unsigned long long)w->words, (unsigned long long)w->texts,
               w->own ? "the words of " : "", w->dictionary, (unsigned long long)w->dictionary_words);
    puts("+- is the standard error over texts; words cut by the ends of a text do not count");
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

static json_t *pictures_json(const bfncl_pictures_result *p, const char *neighbours)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:I, s:s, s:i, s:s?, s:o}", "samples", (json_int_t)p->samples,
                     "examples", (json_int_t)p->examples, "frechet_distance", cli_json_number(p->distance),
                     "stderr_frechet_distance", cli_json_number(p->stderr_distance), "held_out_frechet_distance",
                     cli_json_number(p->held_out), "held_out_examples", (json_int_t)p->held_out_examples, "features",
                     p->features, "n_features", (int)p->n_features, "neighbours", neighbours, "nearest",
                     cli_json_number(p->nearest));
}

static void print_pictures(const bfncl_pictures_result *p, const char *data, const char *neighbours)
{
    printf("Frechet distance             %9.4f", p->distance);
    if (isfinite(p->stderr_distance)) printf(" +- %.4f", p->stderr_distance);
    putchar('\n');
    if (isfinite(p->held_out))
        printf("the same of held-out data    %9.4f (%llu examples)\n", p->held_out,
               (unsigned long long)p->held_out_examples);
    cli_printf(stdout, "\n%llu samples against %llu examples of %s, by %u %s%s\n", (unsigned long long)p->samples,
               (unsigned long long)p->examples, data, p->n_features,
               strcmp(p->features, "random") == 0   ? "features of a fixed random network"
               : strcmp(p->features, "values") == 0 ? "values as they are"
                                                    : "features of ",
               strcmp(p->features, "random") == 0 || strcmp(p->features, "values") == 0 ? "" : p->features);
    puts("compare only what has as many samples and the same features; +- is the standard error over samples");
    if (neighbours)
        cli_printf(stdout, "%s: samples, and beside each the nearest examples; mean distance of the first %.4f\n",
                   neighbours, p->nearest);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static int print_json(const bfncl_samples_options *o, const bfncl_samples_result *r)
{
    json_t *j = json_pack("{s:s, s:s, s:s}", "file", o->samples, "model", r->model, "data",
                          r->kind == BFNCL_SAMPLES_MOLECULES ? r->molecules.data : r->data);
    json_t *more = NULL;
    switch (r->kind) {
    case BFNCL_SAMPLES_MOLECULES:
        more = json_pack("{s:o, s:o, s:o, s:o, s:o, s:s?}", "samples", molecules_json(&r->molecules.samples),
                         "reference", molecules_json(&r->molecules.reference), "bond_length_distance",
                         cli_json_number(r->molecules.bond_length_distance), "distance_distance",
                         cli_json_number(r->molecules.distance_distance), "pocket", fit_json(&r->molecules.fit),
                         "chart", o->chart);
        break;
    case BFNCL_SAMPLES_TEXTS: more = words_json(&r->words); break;
    case BFNCL_SAMPLES_PICTURES: more = pictures_json(&r->pictures, o->neighbours); break;
    }
    json_object_update(j, more);
    json_decref(more);
    return cli_print_json(j, 0);
}

int cli_eval_samples(const cli_args *a)
{
    bfncl_samples_options o;
    bfncl_samples_result *r = malloc(sizeof *r);
    bfncl_error err;
    int code = 0;
    if (!r) {
        cli_error("out of memory");
        return 1;
    }
    bfncl_samples_defaults(&o);
    o.model = a->operands[0];
    o.samples = a->value[OPT_SAMPLES].text;
    o.data = a->value[OPT_DATA].text;
    o.set = a->value[OPT_SET].list;
    o.n_set = a->value[OPT_SET].count;
    if (cli_given(a, OPT_LIMIT)) o.limit = a->value[OPT_LIMIT].number;
    o.dictionary = a->value[OPT_DICTIONARY].text;
    o.encoder = a->value[OPT_ENCODER].text;
    o.neighbours = a->value[OPT_NEIGHBOURS].text;
    o.chart = a->value[OPT_CHART].text;
    o.pocket = a->value[OPT_POCKET].text;
    o.ligand = a->value[OPT_LIGAND].text;
    o.center = a->value[OPT_CENTER].text;
    if (cli_given(a, OPT_RADIUS)) o.radius = (double)a->value[OPT_RADIUS].number;
    o.progress = cli_progress;
    cli_device_options(a, &o.device);
    cli_signals_stop();
    if (bfncl_eval_samples(&o, r, &err) != BFNCL_OK) {
        code = cli_fail(&err);
    } else {
        cli_progress_end();
        if (cli_given(a, OPT_JSON))
            code = print_json(&o, r);
        else if (r->kind == BFNCL_SAMPLES_MOLECULES)
            print_molecules(&r->molecules);
        else if (r->kind == BFNCL_SAMPLES_TEXTS)
            print_words(&r->words);
        else
            print_pictures(&r->pictures, r->data, o.neighbours);
    }
    free(r);
    return code;
}
