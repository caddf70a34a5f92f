/* Ligands for a pocket. run/sample_pocket.h */
#include "run/sample_pocket.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/size.h"
#include "chem/metrics.h"
#include "chem/standard.h"
#include "run/site.h"

#define NODES 16384        /* of a batch, about, where sample.batch says nothing */
#define LARGEST_LIGAND 999 /* atoms */

void bf_docking_free(bf_docking *d)
{
    bf_site_free(&d->site);
    free(d->atoms);
    *d = (bf_docking){0};
}

/* ---- how many atoms ---------------------------------------------------------------------------------------------- */

enum { BY_REFERENCE = -1, BY_PRIOR = -2 };

/* One of these, or a number of atoms. */
static bf_status atoms_rule(const bfncl_sample_options *o, const bf_site *site, int *rule, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text = o->atoms;
    char rest;
    *rule = o->ligand ? BY_REFERENCE : BY_PRIOR;
    if (text == NULL) goto out;
    if (strcmp(text, "prior") == 0)
        *rule = BY_PRIOR;
    else if (strcmp(text, "ref") == 0)
        *rule = BY_REFERENCE;
    else
        BF_CHECK(sscanf(text, "%4d%c", rule, &rest) == 1 && *rule >= 1 && *rule <= LARGEST_LIGAND, BF_USAGE,
                 "atoms of a ligand: \"ref\", \"prior\" or a number from 1 to %d, not \"%.40s\"", LARGEST_LIGAND, text);
    BF_CHECK(*rule != BY_REFERENCE || site->reference > 0, BF_USAGE,
             "there is no reference ligand to take the number of atoms from");
out:
    return st;
}

static bf_status decide_sizes(bf_docking *d, int rule, uint64_t n, uint64_t seed, uint32_t held, bf_err *err)
{
    bf_status st = BF_OK;
    const unsigned bin = bf_prior_bin(d->site.size);
    const uint32_t fixed = rule == BY_REFERENCE ? d->site.reference : (uint32_t)BF_MAX(rule, 0);
    BF_CHECK(rule == BY_PRIOR || fixed > held, BF_USAGE, "the scaffold has %u atoms, a ligand is to have %u", held,
             fixed);
    BF_NEW(d->atoms, n);
    for (uint64_t k = 0; k < n; k++) {
        const double u = (double)bf_philox_uniform(seed, 0, (uint32_t)k, 0, BF_STREAM_SAMPLE_SIZE);
        d->atoms[k] = rule == BY_PRIOR ? BF_MAX(bf_prior_count(bin, u), held + 1) : fixed;
        d->largest = BF_MAX(d->largest, d->atoms[k]);
    }
out:
    return st;
}

/* Batches as alike as they can be. */
static uint32_t decide_batch(const bf_docking *d, int64_t atoms, uint64_t n)
{
    const uint64_t each = d->site.pocket.atoms + (uint64_t)d->largest;
    const uint64_t most = BF_MAX((atoms > 0 ? (uint64_t)atoms : NODES) / each, (uint64_t)1);
    return (uint32_t)bf_ceil_div(n, bf_ceil_div(n, most));
}

bf_status bf_docking_new(const bfncl_sample_options *o, bf_model *m, uint64_t n, uint64_t seed, uint32_t held,
                         bf_docking *out, bf_err *err)
{
    bf_status st = BF_OK;
    int rule;
    *out = (bf_docking){0};
    BF_CHECK(m->unio2.pocket_features == BF_POCKET_FEATURES, BF_USAGE, "%s: the model was not made for pockets",
             o->model);
    BF_TRY(bf_site_of(o->pocket, o->ligand, o->center, o->radius, &out->site, err));
    BF_TRY(atoms_rule(o, &out->site, &rule, err));
    BF_TRY(decide_sizes(out, rule, n, seed, held, err));
    out->batch = decide_batch(out, m->config.sample.batch, n);
    m->room.ligand = out->largest;
    m->room.pocket = out->site.pocket.atoms;
out:
    return st;
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

static bf_status note(bf_mol *m, const char *name, const char *format, double value, bf_err *err)
{
    char text[64];
    snprintf(text, sizeof text, format, value);
    return bf_mol_set_property(m, name, text, err);
}

bf_status bf_docking_judge(const bf_docking *d, bf_mol *list, uint64_t n, bfncl_sample_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pocket *k = &d->site.pocket;
    char **smiles = NULL;
    bf_validity v;
    BF_NEW(smiles, n);
    BF_NEW(r->ligands, n);
    r->n_ligands = n;
    r->pocket = (bfncl_pocket){.atoms = k->atoms, .residues = k->residues, .reference = d->site.reference};
    r->pocket.size = d->site.size;
    for (int c = 0; c < 3; c++) r->pocket.center[c] = (double)k->centre[c];
    r->pocket.judged = bf_standard_available();
    if (r->pocket.judged) BF_TRY(bf_validity_of(list, n, NULL, 0, smiles, &v, err));
    for (uint64_t i = 0; i < n; i++) {
        const bf_placement p = bf_site_place(&d->site, &list[i]);
        r->ligands[i] = (bfncl_ligand){.atoms = list[i].atoms,
                                       .bonds = list[i].bonds,
                                       .clashes = p.clashes,
                                       .closest = p.closest,
                                       .distance = p.distance,
                                       .smiles = smiles[i]};
        smiles[i] = NULL;
        BF_TRY(note(&list[i], "clashes", "%.0f", (double)p.clashes, err));
        BF_TRY(note(&list[i], "distance_from_center", "%.3f", p.distance, err));
    }
out:
    for (uint64_t i = 0; smiles && i < n; i++) free(smiles[i]);
    free(smiles);
    return st;
}
