/* The pocket of a receptor. chem/site.h */
#include "chem/site.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "chem/metrics.h"

void bf_site_free(bf_site *s)
{
    bf_pocket_free(&s->pocket);
    free(s->element);
    *s = (bf_site){0};
}

/* Where the heavy atoms of the ligand are. */
static bf_status read_ligand(const char *path, float (**x)[3], uint32_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol m = {0};
    float(*heavy)[3] = NULL;
    uint32_t count = 0;
    BF_TRY(bf_mol_read(path, &m, err));
    BF_NEW(heavy, BF_MAX(m.atoms, 1u));
    for (uint32_t i = 0; i < m.atoms; i++)
        if (m.atom[i].element != 1) memcpy(heavy[count++], m.atom[i].x, sizeof *heavy);
    BF_CHECK(count > 0, BF_FILE, "%s: a ligand without heavy atoms", path);
    BF_CHECK(count <= BF_SITE_MAX_LIGAND, BF_FILE, "%s: a ligand of %u heavy atoms (at most %d)", path, count,
             BF_SITE_MAX_LIGAND);
    *x = heavy;
    *n = count;
    heavy = NULL;
out:
    free(heavy);
    bf_mol_free(&m);
    return st;
}

bf_status bf_site_read(const bf_site_options *o, bf_site *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_site s = {0};
    bf_protein p = {0};
    float(*x)[3] = NULL;
    uint32_t n = 1;
    *out = s;
    BF_TRY(bf_protein_read(o->receptor, &p, err));
    if (o->ligand) {
        BF_TRY(read_ligand(o->ligand, &x, &n, err));
        s.reference = n;
    } else {
        BF_NEW(x, 1);
        for (int c = 0; c < 3; c++) x[0][c] = (float)o->point[c];
    }
    st = bf_pocket_cut(&p, (const float(*)[3])x, n, o->radius, &s.pocket, err);
    if (st != BF_OK) {
        bf_err_context(err, "%s", o->receptor);
        goto out;
    }
    BF_CHECK(s.pocket.atoms > 1, BF_FILE, "%s: the pocket is a single atom", o->receptor);
    BF_NEW(s.element, s.pocket.atoms);
    for (uint32_t i = 0; i < s.pocket.atoms; i++) s.element[i] = p.element[s.pocket.atom[i]];
    BF_TRY(bf_pocket_size((const float(*)[3])s.pocket.x, s.pocket.atoms, &s.size, err));
    *out = s;
    s = (bf_site){0};
out:
    free(x);
    bf_protein_free(&p);
    bf_site_free(&s);
    return st;
}

void bf_site_rows(const bf_pocket *p, double scale, float *x)
{
    for (uint32_t i = 0; i < p->atoms; i++)
        for (uint32_t c = 0; c < 3; c++) x[3 * i + c] = (float)(((double)p->x[i][c] - p->centre[c]) / scale);
}

bf_placement bf_site_place(const bf_site *s, const bf_mol *ligand)
{
    const bf_clashes c = bf_count_clashes(ligand, (const float(*)[3])s->pocket.x, s->element, s->pocket.atoms);
    bf_placement p = {.clashes = c.pairs, .closest = c.closest};
    double square = 0;
    for (int axis = 0; axis < 3; axis++) {
        double sum = 0;
        for (uint32_t i = 0; i < ligand->atoms; i++) sum += ligand->atom[i].x[axis];
        const double d = sum / BF_MAX(ligand->atoms, 1u) - s->pocket.centre[axis];
        square += d * d;
    }
    p.distance = sqrt(square);
    return p;
}
