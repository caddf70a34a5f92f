#include <stdlib.h>
#include <string.h>

#include "chem/pocket.h"
#include "chem/standard.h"

static const bf_ligand_type types[BF_LIGAND_TYPES] = {{1, false},  {6, false}, {6, true},  {7, false},  {7, true},
                                                      {8, false},  {8, true},  {9, false}, {15, false}, {15, true},
                                                      {16, false}, {16, true}, {17, false}};

bf_ligand_type bf_ligand_type_of(unsigned k)
{
    return types[k < BF_LIGAND_TYPES ? k : 0];
}

unsigned bf_ligand_class(unsigned element, bool aromatic)
{
    for (unsigned k = 0; k < BF_LIGAND_TYPES; k++) {
        if (types[k].element == element && types[k].aromatic == aromatic) return k;
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
