#include "chem/pocket.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { MAX_POCKET_ATOMS = 20000 }; /* every pair of them is looked at */

static const char *const amino_acids[BF_AMINO_ACIDS] = {"ALA", "CYS", "ASP", "GLU", "PHE", "GLY", "HIS",
                                                        "ILE", "LYS", "LEU", "MET", "ASN", "PRO", "GLN",
                                                        "ARG", "SER", "THR", "VAL", "TRP", "TYR"};
static const uint8_t pocket_elements[BF_POCKET_ELEMENTS] = {1, 6, 7, 8, 16, 34};

const char *bf_amino_acid_name(unsigned k)
{
    return k < BF_AMINO_ACIDS ? amino_acids[k] : "?";
}

/* ---- the protein ------------------------------------------------------------------------------------------------- */

void bf_protein_free(bf_protein *p)
{
    free(p->x);
    free(p->element);
    free(p->backbone);
    free(p->residue_of);
    free(p->member);
    free(p->residue);
    *p = (bf_protein){0};
}

static int amino_acid_of(const char *name)
{
    for (int i = 0; i < BF_AMINO_ACIDS; i++) {
        if (strcmp(amino_acids[i], name) == 0) return i;
    }
    return -1;
}

static bool is_backbone(const char *name)
{
    return strcmp(name, "CA") == 0 || strcmp(name, "C") == 0 || strcmp(name, "N") == 0 || strcmp(name, "O") == 0;
}

static int compare_residues(const bf_pdb_atom *a, const bf_pdb_atom *b)
{
    const int segments = strcmp(a->segment, b->segment);
    if (a->chain != b->chain) return a->chain < b->chain ? -1 : 1;
    if (segments != 0) return segments;
    if (a->number != b->number) return a->number < b->number ? -1 : 1;
    return (a->insertion > b->insertion) - (a->insertion < b->insertion);
}

static int by_residue(const void *a, const void *b)
{
    const bf_pdb_atom *x = *(const bf_pdb_atom *const *)a, *y = *(const bf_pdb_atom *const *)b;
    const int order = compare_residues(x, y);
    return order != 0 ? order : (x > y) - (x < y);
}

static bf_status check_atom(const char *name, const bf_pdb_atom *a, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(a->element > 0, BF_FILE, "%s: line %" PRIu64 ": \"%s\" is not an element", name, a->line, a->symbol);
    if (amino_acid_of(a->residue) < 0) {
        st = bf_fail(err, BF_FILE, "%s: line %" PRIu64 ": residue \"%s\" is none of the twenty amino acids", name,
                     a->line, a->residue);
        bf_hint(err, "rename it to the one it derives from, or make its atoms HETATM records, which are left out");
    }
out:
    return st;
}

/* Places of the atoms in `sorted` (by residue), residues counted by first appearance. first: of every residue the place
 * of its first atom in `sorted`. */
static bf_status number_residues(const char *name, const bf_pdb_atom *const *sorted, const bf_pdb_atom *base,
                                 uint32_t *residue_of_line, bf_protein *p, bf_err *err)
{
    bf_status st = BF_OK;
    /* atoms of one residue share, at first, the place of its first atom in the file */
    for (uint32_t i = 0, head = 0; i < p->atoms; i++) {
        if (compare_residues(sorted[head], sorted[i]) != 0) head = i;
        BF_CHECK(strcmp(sorted[head]->residue, sorted[i]->residue) == 0, BF_FILE,
                 "%s: line %" PRIu64 ": residue %s %d is named %s in line %" PRIu64, name, sorted[i]->line,
                 sorted[i]->residue, sorted[i]->number, sorted[head]->residue, sorted[head]->line);
        residue_of_line[sorted[i] - base] = (uint32_t)(sorted[head] - base);
    }
out:
    return st;
}

/* Fills the atoms and their residues. */
static void place_atoms(const bf_pdb *pdb, const uint32_t *first_of, uint32_t *number_of, bf_protein *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pdb->atoms; i++) {
        const bf_pdb_atom *a = &pdb->atom[i];
        if (a->hetero) continue;
        if (first_of[i] == i) number_of[i] = p->residues++;
        memcpy(p->x[n], a->x, sizeof a->x);
        p->element[n] = a->element;
        p->backbone[n] = is_backbone(a->name);
        p->residue_of[n] = number_of[first_of[i]];
        p->residue[p->residue_of[n]].amino_acid = (uint8_t)amino_acid_of(a->residue);
        p->residue[p->residue_of[n]].atoms++;
        n++;
    }
}

static void list_members(bf_protein *p)
{
    uint32_t first = 0;
    for (uint32_t r = 0; r < p->residues; r++) {
        p->residue[r].first = first;
        first += p->residue[r].atoms;
        p->residue[r].atoms = 0;
    }
    for (uint32_t i = 0; i < p->atoms; i++) {
        bf_residue *r = &p->residue[p->residue_of[i]];
        p->member[r->first + r->atoms++] = i;
    }
    for (uint32_t k = 0; k < p->residues; k++) {
        bf_residue *r = &p->residue[k];
        double sum[3] = {0}, mass = 0;
        for (uint32_t i = 0; i < r->atoms; i++) {
            const uint32_t a = p->member[r->first + i];
            const double weight = bf_element_of(p->element[a])->weight;
            for (int c = 0; c < 3; c++) sum[c] += weight * p->x[a][c];
            mass += weight;
        }
        for (int c = 0; c < 3; c++) r->centre[c] = (float)(sum[c] / mass);
    }
}

bf_status bf_protein_of(const char *name, const bf_pdb *pdb, bf_protein *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_protein p = {0};
    const bf_pdb_atom **sorted = NULL;
    uint32_t *first_of = NULL, *number_of = NULL;
    *out = p;
    BF_NEW(sorted, pdb->atoms);
    BF_NEW(first_of, pdb->atoms);
    BF_NEW(number_of, pdb->atoms);
    for (uint32_t i = 0; i < pdb->atoms; i++) {
        if (pdb->atom[i].hetero) continue;
        BF_TRY(check_atom(name, &pdb->atom[i], err));
        sorted[p.atoms++] = &pdb->atom[i];
    }
    BF_CHECK(p.atoms > 0, BF_FILE, "%s: holds no ATOM record", name);
    qsort(sorted, p.atoms, sizeof *sorted, by_residue);
    BF_TRY(number_residues(name, sorted, pdb->atom, first_of, &p, err));
    BF_NEW(p.x, p.atoms);
    BF_NEW(p.element, p.atoms);
    BF_NEW(p.backbone, p.atoms);
    BF_NEW(p.residue_of, p.atoms);
    BF_NEW(p.member, p.atoms);
    BF_NEW(p.residue, p.atoms);
    place_atoms(pdb, first_of, number_of, &p);
    list_members(&p);
    *out = p;
    p = (bf_protein){0};
out:
    bf_protein_free(&p);
    free(sorted);
    free(first_of);
    free(number_of);
    return st;
}

bf_status bf_protein_read(const char *path, bf_protein *out, bf_err *err)
{
    bf_pdb pdb;
    *out = (bf_protein){0};
    bf_status st = bf_pdb_read(path, &pdb, err);
    if (st == BF_OK) st = bf_protein_of(path, &pdb, out, err);
    bf_pdb_free(&pdb);
    return st;
}

/* ---- the pocket -------------------------------------------------------------------------------------------------- */

void bf_pocket_free(bf_pocket *p)
{
    free(p->residue);
    free(p->atom);
    free(p->x);
    free(p->feature);
    *p = (bf_pocket){0};
}

static double distance(const float a[3], const float b[3])
{
    const double d[3] = {(double)a[0] - b[0], (double)a[1] - b[1], (double)a[2] - b[2]};
    return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

static bf_status choose_residues(const bf_protein *p, const float (*ligand)[3], uint32_t n, double radius, bf_pocket *k,
                                 bf_err *err)
{
    bf_status st = BF_OK;
    uint8_t *taken = NULL;
    double nearest = INFINITY;
    BF_NEW(taken, p->residues);
    BF_NEW(k->residue, p->residues);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t r = 0; r < p->residues; r++) {
            const double d = distance(p->residue[r].centre, ligand[i]);
            nearest = fmin(nearest, d);
            if (taken[r] || !(d < radius)) continue;
            taken[r] = 1;
            k->residue[k->residues++] = r;
            k->atoms += p->residue[r].atoms;
        }
    }
    BF_CHECK(
        k->residues > 0, BF_FILE,
        "no residue is closer than %g Angstrom to the ligand (the nearest is %.1f away): is it in the protein's frame?",
        radius, nearest);
    BF_CHECK(k->atoms <= MAX_POCKET_ATOMS, BF_FILE, "a pocket of %" PRIu32 " atoms (at most %d)", k->atoms,
             MAX_POCKET_ATOMS);
out:
    free(taken);
    return st;
}

static void describe_atom(const bf_protein *p, uint32_t atom, uint8_t feature[BF_POCKET_FEATURES])
{
    for (int e = 0; e < BF_POCKET_ELEMENTS; e++) feature[e] = p->element[atom] == pocket_elements[e];
    feature[BF_POCKET_ELEMENTS + p->residue[p->residue_of[atom]].amino_acid] = 1;
    feature[BF_POCKET_FEATURES - 1] = p->backbone[atom];
}

bf_status bf_pocket_cut(const bf_protein *p, const float (*ligand)[3], uint32_t n, double radius, bf_pocket *out,
                        bf_err *err)
{
    bf_status st = BF_OK;
    bf_pocket k = {0};
    double sum[3] = {0};
    uint32_t at = 0;
    *out = k;
    BF_CHECK(n > 0, BF_FILE, "a ligand without heavy atoms");
    BF_TRY(choose_residues(p, ligand, n, radius, &k, err));
    BF_NEW(k.atom, k.atoms);
    BF_NEW(k.x, k.atoms);
    BF_NEW(k.feature, k.atoms * BF_POCKET_FEATURES);
    for (uint32_t i = 0; i < k.residues; i++) {
        const bf_residue *r = &p->residue[k.residue[i]];
        for (uint32_t j = 0; j < r->atoms; j++, at++) {
            const uint32_t a = p->member[r->first + j];
            k.atom[at] = a;
            memcpy(k.x[at], p->x[a], sizeof p->x[a]);
            describe_atom(p, a, &k.feature[(size_t)at * BF_POCKET_FEATURES]);
            for (int c = 0; c < 3; c++) sum[c] += p->x[a][c];
        }
    }
    for (int c = 0; c < 3; c++) k.centre[c] = (float)(sum[c] / k.atoms);
    *out = k;
    k = (bf_pocket){0};
out:
    bf_pocket_free(&k);
    return st;
}
