#include <stdlib.h>
#include <string.h>

#include "chem/bonds.h"
#include "chem/pocket.h"
#include "chem/standard.h"
#include "io/molecules.h"

bf_ligand_type bf_ligand_type_of(unsigned k)
{
    const unsigned at = k < BF_LIGAND_TYPES ? k : 0;
    return (bf_ligand_type){bf_kinds_molcraft.element[at], bf_kinds_molcraft.aromatic[at]};
}

unsigned bf_ligand_class(unsigned element, bool aromatic)
{
    for (unsigned k = 0; k < BF_LIGAND_TYPES; k++) {
        if (bf_kinds_molcraft.element[k] == element && bf_kinds_molcraft.aromatic[k] == aromatic) return k;
    }
    return 0;
}

void bf_ligand_free(bf_ligand *l)
{
    free(l->origin);
    free(l->x);
    free(l->element);
    free(l->type);
    free(l->aromatic);
    free(l->bond);
    free(l->smiles);
    *l = (bf_ligand){0};
}

bf_status bf_ligand_of(const bf_mol *m, bf_ligand *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_standard s = {0};
    bf_ligand l = {0};
    *out = l;
    BF_TRY(bf_standardise(m, &s, err));
    l.atoms = s.atoms;
    l.bonds = s.bonds;
    BF_NEW(l.x, l.atoms);
    BF_NEW(l.element, l.atoms);
    BF_NEW(l.type, l.atoms);
    for (uint32_t i = 0; i < l.atoms; i++) {
        const bf_atom *a = &m->atom[s.origin[i]];
        memcpy(l.x[i], a->x, sizeof a->x);
        l.element[i] = a->element;
        l.type[i] = (uint8_t)bf_ligand_class(a->element, s.aromatic[i] != 0);
    }
    l.origin = s.origin;
    l.aromatic = s.aromatic;
    l.bond = s.bond;
    l.smiles = s.smiles;
    s.origin = NULL;
    s.aromatic = NULL;
    s.bond = NULL;
    s.smiles = NULL;
    *out = l;
    l = (bf_ligand){0};
out:
    bf_standard_free(&s);
    bf_ligand_free(&l);
    return st;
}

/* Bonds for a molecule without any. Its hydrogens may be only those that others call polar, so none is kept. */
static bf_status add_bonds(bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    uint8_t *keep = NULL;
    bf_mol heavy = {0};
    BF_NEW(keep, m->atoms);
    for (uint32_t i = 0; i < m->atoms; i++) keep[i] = m->atom[i].element != 1;
    BF_TRY(bf_mol_subset(&heavy, m, keep, err));
    BF_TRY(bf_perceive_bonds(&heavy, NULL, err));
    bf_mol_free(m);
    *m = heavy;
    heavy = (bf_mol){0};
out:
    bf_mol_free(&heavy);
    free(keep);
    return st;
}

bf_status bf_ligand_read(const char *path, bf_ligand *out, bf_err *err)
{
    bf_mol m;
    *out = (bf_ligand){0};
    bf_status st = bf_mol_read(path, &m, err);
    if (st == BF_OK) {
        if (m.bonds == 0 && m.atoms > 1) st = add_bonds(&m, err);
        if (st == BF_OK) st = bf_ligand_of(&m, out, err);
        if (st != BF_OK) bf_err_context(err, "%s", path);
    }
    bf_mol_free(&m);
    return st;
}
