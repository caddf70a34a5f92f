#include "run/info_molecules.h"

#include "base/size.h"
#include "chem/pocket.h"
#include "io/mol.h"

/* Counts over a whole file. */
typedef struct census {
    uint64_t molecules, atoms, bonds;
    uint32_t fewest, most; /* heavy atoms of a molecule */
    uint64_t of_element[BF_ELEMENTS];
    json_t *properties;
} census;

static void count(census *c, const bf_mol *m)
{
    uint32_t heavy = 0;
    for (uint32_t i = 0; i < m->atoms; i++) {
        c->of_element[m->atom[i].element]++;
        heavy += m->atom[i].element != 1;
    }
    for (uint32_t i = 0; i < m->properties && c->molecules == 0; i++)
        json_array_append_new(c->properties, json_string(m->property[i].name));
    c->fewest = c->molecules == 0 ? heavy : BF_MIN(c->fewest, heavy);
    c->most = BF_MAX(c->most, heavy);
    c->molecules++;
    c->atoms += m->atoms;
    c->bonds += m->bonds;
}

static json_t *elements_json(const census *c)
{
    json_t *o = json_object();
    for (unsigned z = 1; z < BF_ELEMENTS; z++) {
        if (c->of_element[z] > 0)
            json_object_set_new(o, bf_element_of(z)->symbol, json_integer((json_int_t)c->of_element[z]));
    }
    return o;
}

/* Whether the models' rules for proteins accept the file is part of what it is, not a failure. */
static bf_status add_protein(json_t *root, const char *path, bf_err *err)
{
    bf_err why = {0};
    bf_protein p;
    json_t *o;
    if (bf_protein_read(path, &p, &why) == BF_OK)
        o = json_pack("{s:b,s:I,s:I}", "pockets", 1, "residues", (json_int_t)p.residues, "atoms", (json_int_t)p.atoms);
    else
        o = json_pack("{s:b,s:s}", "pockets", 0, "why", why.message);
    bf_protein_free(&p);
    if (json_object_set_new(root, "protein", o) == 0) return BF_OK;
    return bf_fail(err, BF_RUNTIME, "out of memory while describing %s", path);
}

bf_status bf_info_molecules(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_reader *r = NULL;
    census c = {.properties = json_array()};
    bf_mol m = {0};
    BF_TRY(bf_mol_open(path, BF_MOL_UNKNOWN, &r, err));
    for (bool end = false; !end;) {
        BF_TRY(bf_mol_next(r, &m, &end, err));
        if (!end) count(&c, &m);
        bf_mol_free(&m);
    }
    BF_CHECK(c.molecules > 0, BF_FILE, "%s: holds no molecule", path);
    json_t *counts = json_pack("{s:s,s:s,s:I,s:I,s:I,s:[i,i],s:o,s:O}", "kind", "molecules", "format",
                               bf_mol_format_name(bf_mol_reader_format(r)), "molecules", (json_int_t)c.molecules,
                               "atoms", (json_int_t)c.atoms, "bonds", (json_int_t)c.bonds, "heavy_atoms", (int)c.fewest,
                               (int)c.most, "elements", elements_json(&c), "properties", c.properties);
    const bool added = counts != NULL && json_object_update(root, counts) == 0;
    json_decref(counts);
    BF_CHECK(added, BF_RUNTIME, "out of memory while describing %s", path);
    if (bf_mol_reader_format(r) == BF_MOL_PDB) BF_TRY(add_protein(root, path, err));
out:
    bf_mol_free(&m);
    bf_mol_close(r);
    json_decref(c.properties);
    return st;
}
