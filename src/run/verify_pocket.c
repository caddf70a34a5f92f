/* Replays of what is made of a protein and a ligand before any network sees them: golden README, section 12, "Pockets".
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "chem/pocket.h"
#include "chem/standard.h"
#include "io/json.h"
#include "run/verify_flow.h"

#define MAX_RECORDS 1000000

/* ---- comparing numbers of any type ------------------------------------------------------------------------------- */

/* Collects values for one comparison. */
typedef struct values {
    float *v;
    uint64_t n;
} values;

static bf_status make(values *x, uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    free(x->v);
    *x = (values){0};
    BF_NEW(x->v, n + 1);
    x->n = n;
out:
    return st;
}

static bf_status exact_words(bf_verify *v, const char *name, const uint32_t *word, uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    values x = {0};
    BF_TRY(make(&x, n, err));
    for (uint64_t i = 0; i < n; i++) x.v[i] = (float)word[i];
    bf_verify_within(v, name, x.v, n, 0.0, NULL);
out:
    free(x.v);
    return st;
}

static bf_status exact_bytes(bf_verify *v, const char *name, const uint8_t *byte, uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    values x = {0};
    BF_TRY(make(&x, n, err));
    for (uint64_t i = 0; i < n; i++) x.v[i] = byte[i];
    bf_verify_within(v, name, x.v, n, 0.0, NULL);
out:
    free(x.v);
    return st;
}

/* ---- the protein and its pocket ---------------------------------------------------------------------------------- */

static bf_status check_protein(bf_verify *v, const bf_protein *p, bf_err *err)
{
    bf_status st = BF_OK;
    values centre = {0};
    uint8_t *acid = NULL;
    BF_NEW(acid, p->atoms); /* at least as many as residues */
    bf_verify_tensor(v, "all.pos", p->x[0], 3 * (uint64_t)p->atoms, BF_VERIFY_FORWARD);
    BF_TRY(exact_bytes(v, "all.element", p->element, p->atoms, err));
    BF_TRY(exact_bytes(v, "all.backbone", p->backbone, p->atoms, err));
    BF_TRY(exact_words(v, "all.residue", p->residue_of, p->atoms, err));
    for (uint32_t i = 0; i < p->atoms; i++) acid[i] = p->residue[p->residue_of[i]].amino_acid;
    BF_TRY(exact_bytes(v, "all.aa", acid, p->atoms, err));
    BF_TRY(make(&centre, 3 * (uint64_t)p->residues, err));
    for (uint32_t i = 0; i < p->residues; i++) {
        acid[i] = p->residue[i].amino_acid;
        memcpy(&centre.v[3 * i], p->residue[i].centre, sizeof p->residue[i].centre);
    }
    BF_TRY(exact_bytes(v, "residue.aa", acid, p->residues, err));
    bf_verify_tensor(v, "residue.centre", centre.v, centre.n, BF_VERIFY_FORWARD);
out:
    free(acid);
    free(centre.v);
    return st;
}

/* How far the centre of every residue is from the nearest atom of the ligand. */
static bf_status check_distances(bf_verify *v, const bf_protein *p, const bf_ligand *l, bf_err *err)
{
    bf_status st = BF_OK;
    values least = {0};
    BF_TRY(make(&least, p->residues, err));
    for (uint32_t r = 0; r < p->residues; r++) {
        double best = INFINITY;
        for (uint32_t i = 0; i < l->atoms; i++) {
            double square = 0;
            for (int c = 0; c < 3; c++) square += pow((double)p->residue[r].centre[c] - l->x[i][c], 2);
            best = fmin(best, square);
        }
        least.v[r] = (float)sqrt(best);
    }
    bf_verify_tensor(v, "residue.min_distance_f64", least.v, least.n, BF_VERIFY_FORWARD);
out:
    free(least.v);
    return st;
}

/* Positions relative to the pocket's centre, in units of the position scale. */
static bf_status check_centred(bf_verify *v, const char *name, const float (*x)[3], uint32_t n, const float centre[3],
                               double scale, bf_err *err)
{
    bf_status st = BF_OK;
    values moved = {0};
    BF_TRY(make(&moved, 3 * (uint64_t)n, err));
    for (uint32_t i = 0; i < n; i++) {
        for (int c = 0; c < 3; c++) moved.v[3 * i + (uint32_t)c] = (float)(((double)x[i][c] - centre[c]) / scale);
    }
    bf_verify_tensor(v, name, moved.v, moved.n, BF_VERIFY_FORWARD);
out:
    free(moved.v);
    return st;
}

static bf_status check_prior(bf_verify *v, const bf_pocket *k, bf_err *err)
{
    bf_status st = BF_OK;
    values count = {0};
    const bf_st_tensor *t = NULL;
    double size = 0, *u = NULL;
    BF_TRY(bf_pocket_size((const float(*)[3])k->x, k->atoms, &size, err));
    const float size32 = (float)size;
    bf_verify_tensor(v, "prior.size_f64", &size32, 1, BF_VERIFY_FORWARD);
    const uint32_t bin = bf_prior_bin(size);
    BF_TRY(exact_words(v, "prior.bin", &bin, 1, err));
    BF_TRY(bf_st_need(bf_verify_file(v), "prior.u_f64", &t, err));
    BF_NEW(u, t->count);
    BF_TRY(bf_st_read_f64(bf_verify_file(v), t, u, err));
    BF_TRY(make(&count, t->count, err));
    for (uint64_t i = 0; i < t->count; i++) count.v[i] = (float)bf_prior_count(bin, u[i]);
    bf_verify_within(v, "prior.count", count.v, count.n, 0.0, NULL);
out:
    free(u);
    free(count.v);
    return st;
}

static bf_status check_pocket(bf_verify *v, const bf_protein *p, const bf_ligand *l, bf_err *err)
{
    bf_status st = BF_OK;
    bf_pocket k = {0};
    const double scale = bf_golden_meta(v, "position_scale", 2.0);
    BF_TRY(bf_pocket_cut(p, (const float(*)[3])l->x, l->atoms, bf_golden_meta(v, "radius", BF_POCKET_RADIUS), &k, err));
    BF_TRY(exact_words(v, "residue.selected", k.residue, k.residues, err));
    BF_TRY(exact_words(v, "pocket.atom", k.atom, k.atoms, err));
    BF_TRY(exact_bytes(v, "pocket.feature", k.feature, (uint64_t)k.atoms * BF_POCKET_FEATURES, err));
    bf_verify_tensor(v, "pocket.pos", k.x[0], 3 * (uint64_t)k.atoms, BF_VERIFY_FORWARD);
    uint8_t *element = NULL;
    BF_NEW(element, k.atoms);
    for (uint32_t i = 0; i < k.atoms; i++) element[i] = p->element[k.atom[i]];
    st = exact_bytes(v, "pocket.element", element, k.atoms, err);
    free(element);
    if (st != BF_OK) goto out;
    const float centre[3] = {(float)(k.centre[0] / scale), (float)(k.centre[1] / scale), (float)(k.centre[2] / scale)};
    bf_verify_tensor(v, "centre", centre, 3, BF_VERIFY_FORWARD);
    BF_TRY(check_centred(v, "pocket.pos_centred", (const float(*)[3])k.x, k.atoms, k.centre, scale, err));
    BF_TRY(check_centred(v, "ligand.pos_centred", (const float(*)[3])l->x, l->atoms, k.centre, scale, err));
    BF_TRY(check_prior(v, &k, err));
out:
    bf_pocket_free(&k);
    return st;
}

/* ---- the ligand -------------------------------------------------------------------------------------------------- */

/* Tensors of a ligand under a prefix: "ligand." or "r<i>.". */
static bf_status check_types(bf_verify *v, const char *prefix, const bf_ligand *l, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128];
    BF_TRY(exact_words(v, bf_golden_name(name, prefix, "atom"), l->origin, l->atoms, err));
    BF_TRY(exact_bytes(v, bf_golden_name(name, prefix, "element"), l->element, l->atoms, err));
    BF_TRY(exact_bytes(v, bf_golden_name(name, prefix, "type"), l->type, l->atoms, err));
    BF_TRY(exact_bytes(v, bf_golden_name(name, prefix, "aromatic"), l->aromatic, l->atoms, err));
out:
    return st;
}

static int by_ends(const void *a, const void *b)
{
    const bf_bond *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

/* ligand.bond [2, 2 bonds]: every bond in both directions, sorted. */
static bf_status check_bonds(bf_verify *v, const bf_ligand *l, bf_err *err)
{
    bf_status st = BF_OK;
    bf_bond *both = NULL;
    values ends = {0}, orders = {0};
    const uint32_t n = 2 * l->bonds;
    BF_NEW(both, n);
    for (uint32_t i = 0; i < l->bonds; i++) {
        both[2 * i] = both[2 * i + 1] = l->bond[i];
        both[2 * i + 1].a = l->bond[i].b;
        both[2 * i + 1].b = l->bond[i].a;
    }
    qsort(both, n, sizeof *both, by_ends);
    BF_TRY(make(&ends, 2 * (uint64_t)n, err));
    BF_TRY(make(&orders, n, err));
    for (uint32_t i = 0; i < n; i++) {
        ends.v[i] = (float)both[i].a;
        ends.v[n + i] = (float)both[i].b;
        orders.v[i] = both[i].order;
    }
    bf_verify_within(v, "ligand.bond", ends.v, ends.n, 0.0, NULL);
    bf_verify_within(v, "ligand.bond_type", orders.v, orders.n, 0.0, NULL);
out:
    free(both);
    free(ends.v);
    free(orders.v);
    return st;
}

static bf_status check_ligand(bf_verify *v, const bf_ligand *l, bf_err *err)
{
    bf_status st = BF_OK;
    const char *smiles = bf_st_meta_get(bf_verify_file(v), "smiles");
    BF_TRY(check_types(v, "ligand", l, err));
    bf_verify_tensor(v, "ligand.pos", l->x[0], 3 * (uint64_t)l->atoms, BF_VERIFY_FORWARD);
    BF_TRY(check_bonds(v, l, err));
    if (smiles != NULL) bf_verify_fact(v, "smiles", strcmp(smiles, l->smiles) == 0, l->smiles);
out:
    return st;
}

/* Typing needs RDKit; a build without it says so and goes on. */
static bool can_type(bf_verify *v, const char *what)
{
    if (!bf_standard_available()) bf_verify_skip(v, what, "this bfncl was built without RDKit");
    return bf_standard_available();
}

bf_status bf_verify_pocket(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    char path[BF_VERIFY_PATH];
    bf_protein p = {0};
    bf_ligand l = {0};
    bf_mol m = {0};
    BF_TRY(bf_verify_beside(v, ".pdb", path, err));
    BF_TRY(bf_protein_read(path, &p, err));
    BF_TRY(check_protein(v, &p, err));
    BF_TRY(bf_verify_beside(v, ".sdf", path, err));
    BF_TRY(bf_mol_read(path, &m, err));
    if (!can_type(v, "ligand and pocket")) goto out;
    BF_TRY(bf_ligand_of(&m, &l, err));
    BF_TRY(check_ligand(v, &l, err));
    BF_TRY(check_distances(v, &p, &l, err));
    BF_TRY(check_pocket(v, &p, &l, err));
out:
    bf_mol_free(&m);
    bf_ligand_free(&l);
    bf_protein_free(&p);
    return st;
}

/* Record i of the file against r<i>.*, or against the refusal that the metadata name. */
static bf_status check_record(bf_verify *v, size_t i, const json_t *record, bf_mol_reader *r, bf_err *err)
{
    bf_status st = BF_OK;
    char name[32];
    bf_mol m = {0};
    bf_ligand l = {0};
    bool end = false;
    const json_t *error = json_object_get(record, "error");
    const bool refused = error != NULL && !json_is_null(error) && !json_is_false(error);
    snprintf(name, sizeof name, "r%zu", i);
    st = bf_mol_next(r, &m, &end, err);
    if (st == BF_OK && !end) st = bf_ligand_of(&m, &l, err);
    BF_CHECK(!end, BF_FILE, "the file of molecules ends before record %zu", i);
    if (st == BF_FILE) {
        bf_verify_fact(v, name, refused, err->message);
        st = BF_OK;
        goto out;
    }
    if (st != BF_OK) goto out;
    if (refused) {
        bf_verify_fact(v, name, false, "accepted, although the release refuses it");
        goto out;
    }
    BF_TRY(check_types(v, name, &l, err));
out:
    bf_ligand_free(&l);
    bf_mol_free(&m);
    return st;
}

bf_status bf_verify_ligand_types(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    char path[BF_VERIFY_PATH];
    json_t *records = NULL;
    bf_mol_reader *r = NULL;
    const char *text = bf_st_meta_get(bf_verify_file(v), "records");
    if (!can_type(v, "all records")) return BF_OK;
    BF_CHECK(text != NULL, BF_FILE, "no 'records' in the metadata");
    BF_TRY(bf_json_parse("records", text, strlen(text), MAX_RECORDS, &records, err));
    BF_TRY(bf_verify_beside(v, ".sdf", path, err));
    BF_TRY(bf_mol_open(path, BF_MOL_SDF, &r, err));
    for (size_t i = 0; i < json_array_size(records); i++)
        BF_TRY(check_record(v, i, json_array_get(records, i), r, err));
out:
    bf_mol_close(r);
    json_decref(records);
    return st;
}
