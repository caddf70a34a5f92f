/* Any bytes as molecules that go through everything done to them: typing, bonds from positions, pockets, pictures. */
#include "chem/bonds.h"
#include "chem/draw.h"
#include "chem/metrics.h"
#include "chem/pocket.h"
#include "chem/standard.h"
#include "fuzz.h"

/* A pocket around the molecule of the same file, if it is a protein too. */
static void cut(const uint8_t *data, size_t size, const bf_ligand *l)
{
    bf_err err;
    bf_pdb pdb = {0};
    bf_protein p = {0};
    bf_pocket k = {0};
    double extent;
    if (bf_pdb_parse("input", data, size, &pdb, &err) == BF_OK && bf_protein_of("input", &pdb, &p, &err) == BF_OK &&
        bf_pocket_cut(&p, (const float(*)[3])l->x, l->atoms, BF_POCKET_RADIUS, &k, &err) == BF_OK) {
        FUZZ_CHECK(k.atoms > 0 && k.atoms <= p.atoms && k.residues <= p.residues);
        if (bf_pocket_size((const float(*)[3])k.x, k.atoms, &extent, &err) == BF_OK)
            FUZZ_CHECK(bf_prior_bin(extent) < 10);
    }
    bf_pocket_free(&k);
    bf_protein_free(&p);
    bf_pdb_free(&pdb);
}

static void work(const uint8_t *data, size_t size, bf_mol *m)
{
    bf_err err;
    bf_ligand l;
    bf_stability s = {0};
    bf_view v;
    bf_draw d = {.width = 16, .height = 16, .hydrogens = true};
    bf_image im;
    bf_status st = bf_ligand_of(m, &l, &err);
    FUZZ_CHECK(st == BF_OK || st == BF_FILE || !bf_standard_available());
    if (st == BF_OK) cut(data, size, &l);
    for (uint32_t i = 0; i < l.atoms; i++) FUZZ_CHECK(l.origin[i] < m->atoms && l.type[i] < BF_LIGAND_TYPES);
    bf_ligand_free(&l);
    bf_view_of(m, &v);
    FUZZ_CHECK(bf_mol_draw(m, &v, &d, &im, &err) == BF_OK);
    bf_image_free(&im);
    bf_stability_add(&s, m);
    FUZZ_CHECK(s.stable_atoms <= s.atoms);
    st = bf_perceive_bonds(m, NULL, &err);
    FUZZ_CHECK(st == BF_OK || st == BF_FILE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const bf_mol_format formats[] = {BF_MOL_SDF, BF_MOL_PDB, BF_MOL_XYZ};
    for (int i = 0; i < 3; i++) {
        bf_err err;
        bf_mol_reader *r = NULL;
        bf_mol m;
        bool end;
        FUZZ_CHECK(bf_mol_open_memory("input", data, size, formats[i], &r, &err) == BF_OK);
        if (bf_mol_next(r, &m, &end, &err) == BF_OK && !end && m.atoms <= 300) work(data, size, &m);
        bf_mol_free(&m);
        bf_mol_close(r);
    }
    return 0;
}
