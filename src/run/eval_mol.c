/* bfncl_eval_molecules: what generated molecules look like beside real ones. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "chem/bonds.h"
#include "chem/metrics.h"
#include "chem/standard.h"
#include "run/model.h"
#include "run/progress.h"
#include "run/site.h"

/* Bins of lengths in Angstrom: bonds, and all pairs of atoms. */
#define BOND_LOW 0.8
#define BOND_HIGH 2.4
#define PAIR_LOW 0.0
#define PAIR_HIGH 12.0
#define BINS 80
#define MOST_ATOMS 5000

/* A file of molecules and what is counted of it. */
typedef struct set {
    bf_mol *list;
    size_t n;
    double bonds[BINS], pairs[BINS];
} set;

static bf_histogram bonds_of(set *s)
{
    return (bf_histogram){.low = BOND_LOW, .high = BOND_HIGH, .bins = BINS, .count = s->bonds};
}

/* Bonds by the lengths alone, as stability counts them, in the place of those in the file: what is perceived there for
 * a model's samples makes molecules that are valid in any case. */
static bf_status bind(bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    m->bonds = 0;
    for (uint32_t i = 0; i < m->atoms; i++) {
        m->atom[i].charge = 0;
        m->atom[i].radical = m->atom[i].valence = 0;
        for (uint32_t j = 0; j < i; j++) {
            const bf_atom *a = &m->atom[i], *b = &m->atom[j];
            double square = 0;
            for (int c = 0; c < 3; c++) square += (double)(a->x[c] - b->x[c]) * (double)(a->x[c] - b->x[c]);
            const int order = bf_bond_order(a->element, b->element, sqrt(square));
            if (order > 0) BF_TRY(bf_mol_add_bond(m, (bf_bond){.a = j, .b = i, .order = (uint8_t)order}, err));
        }
    }
out:
    return st;
}

static bf_status read_set(const char *path, set *s, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_mol_read_all(path, 0, &s->list, &s->n, err));
    BF_CHECK(s->n > 0, BF_FILE, "%s: holds no molecule", path);
    bf_histogram bonds = bonds_of(s);
    bf_histogram pairs = {.low = PAIR_LOW, .high = PAIR_HIGH, .bins = BINS, .count = s->pairs};
    for (size_t i = 0; i < s->n; i++) {
        BF_CHECK(s->list[i].atoms <= MOST_ATOMS, BF_FILE,
                 "%s: molecule %zu has %u atoms, at most %d are measured pair by pair", path, i + 1, s->list[i].atoms,
                 MOST_ATOMS);
        bf_count_bond_lengths(&s->list[i], 0, 0, 0, &bonds);
        bf_count_distances(&s->list[i], &pairs);
        BF_TRY(bind(&s->list[i], err));
    }
out:
    return st;
}

static double part(uint64_t n, uint64_t of)
{
    return of > 0 ? (double)n / (double)of : NAN;
}

/* Of one file; `smiles` [n] receives those of the valid molecules. `reference`: sorted, none: NULL. */
static bf_status measure(const set *s, char *const *reference, size_t n_reference, char **smiles,
                         bfncl_molecules_row *row, bf_err *err)
{
    bf_status st = BF_OK;
    bf_stability stable = {0};
    bf_validity v = {0};
    for (size_t i = 0; i < s->n; i++) bf_stability_add(&stable, &s->list[i]);
    row->molecules = stable.molecules;
    row->atoms = stable.atoms;
    row->atom_stability = part(stable.stable_atoms, stable.atoms);
    row->molecule_stability = part(stable.stable_molecules, stable.molecules);
    row->validity = row->connected = row->uniqueness = row->novelty = NAN;
    if (!bf_standard_available()) goto out;
    BF_TRY(bf_validity_of(s->list, s->n, reference, n_reference, smiles, &v, err));
    row->validity = part(v.valid, v.molecules);
    row->connected = part(v.connected, v.molecules);
    row->uniqueness = part(v.unique, v.valid);
    if (reference) row->novelty = part(v.unique - v.known, v.unique);
out:
    return st;
}

/* Molecules in the place where they were made. */
static bf_status fit(const bfncl_molecules_options *o, const set *s, bfncl_fit *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_site site = {0};
    *out = (bfncl_fit){NAN, NAN, NAN};
    BF_CHECK(o->pocket || !(o->ligand || o->center || o->radius > 0), BF_USAGE,
             "a ligand, a centre and a radius belong to a pocket, and none is given");
    if (!o->pocket) goto out;
    BF_TRY(bf_site_of(o->pocket, o->ligand, o->center, o->radius, &site, err));
    *out = (bfncl_fit){0};
    for (size_t i = 0; i < s->n; i++) {
        const bf_placement p = bf_site_place(&site, &s->list[i]);
        out->free += (double)(p.clashes == 0) / (double)s->n;
        out->clashes += (double)p.clashes / (double)s->n;
        out->distance += p.distance / (double)s->n;
    }
out:
    bf_site_free(&site);
    return st;
}

static bf_status draw_chart(const char *path, set *samples, set *data, bf_err *err)
{
    const char *names[] = {"samples", "data"};
    const bf_histogram h[] = {bonds_of(samples), bonds_of(data)};
    return bf_histogram_chart(path, "bond lengths", "Angstrom", names, h, 2, err);
}

/* The training data of a model. */
static bf_status find_data(const char *model, char out[BF_CONFIG_TEXT], bf_err *err)
{
    bf_status st = BF_OK;
    char path[1024];
    bf_model_file f = {0};
    BF_TRY(bf_model_path(model, path, err));
    BF_TRY(bf_model_file_open(path, &f, err));
    BF_CHECK(f.config.data.transform == BF_TRANSFORM_MOLECULES, BF_USAGE, "%s: not a model of molecules", path);
    snprintf(out, BF_CONFIG_TEXT, "%s", f.config.data.train);
out:
    bf_model_file_close(&f);
    return st;
}

static bf_status evaluate(const bfncl_molecules_options *o, bfncl_molecules_result *r, set *samples, set *data,
                          bf_err *err)
{
    bf_status st = BF_OK;
    char path[BF_CONFIG_TEXT] = "", **smiles = NULL, **known = NULL;
    size_t n_known = 0;
    BF_TRY(read_set(o->samples, samples, err));
    BF_TRY(fit(o, samples, &r->fit, err));
    if (o->data)
        snprintf(path, sizeof path, "%s", o->data);
    else
        BF_TRY(find_data(o->model, path, err));
    snprintf(r->data, sizeof r->data, "%s", path);
    BF_TRY(read_set(path, data, err));
    BF_NEW(known, data->n);
    BF_NEW(smiles, samples->n);
    BF_TRY(measure(data, NULL, 0, known, &r->reference, err));
    n_known = bf_smiles_sort(known, data->n);
    BF_TRY(measure(samples, known, n_known, smiles, &r->samples, err));
    r->bond_length_distance = bf_jensen_shannon(samples->bonds, data->bonds, BINS);
    r->distance_distance = bf_jensen_shannon(samples->pairs, data->pairs, BINS);
    if (o->chart) BF_TRY(draw_chart(o->chart, samples, data, err));
out:
    for (size_t i = 0; known && i < (n_known > 0 ? n_known : data->n); i++) free(known[i]);
    for (size_t i = 0; smiles && i < samples->n; i++) free(smiles[i]);
    free(known);
    free(smiles);
    return st;
}

bfncl_status bfncl_eval_molecules(const bfncl_molecules_options *o, bfncl_molecules_result *r, bfncl_error *caller_err)
{
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    set *both = NULL;
    memset(r, 0, sizeof *r);
    memset(err, 0, sizeof *err);
    bf_status st = bf_calloc(&both, 2, sizeof *both, err);
    if (st != BF_OK) return st;
    st = evaluate(o, r, &both[0], &both[1], err);
    for (int i = 0; i < 2; i++) bf_mol_free_all(both[i].list, both[i].n);
    free(both);
    return st;
}
