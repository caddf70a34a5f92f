#include "chem/standard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "chem/rdkit.h"

#ifndef BF_WITH_RDKIT
#define BF_WITH_RDKIT 0 /* the Makefile says 1 where the library is installed */
#endif

bool bf_standard_available(void)
{
    return BF_WITH_RDKIT;
}

void bf_standard_free(bf_standard *s)
{
    free(s->origin);
    free(s->aromatic);
    free(s->bond);
    free(s->smiles);
    free(s->plain);
    *s = (bf_standard){0};
}

#if BF_WITH_RDKIT

static int by_ends(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    if (x[0] != y[0]) return x[0] < y[0] ? -1 : 1;
    return (x[1] > y[1]) - (x[1] < y[1]);
}

/* RDKit refuses this too, but loses memory over it. */
static bf_status check_pairs(const bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t(*pair)[2] = NULL;
    BF_NEW(pair, m->bonds);
    for (uint32_t i = 0; i < m->bonds; i++) {
        pair[i][0] = BF_MIN(m->bond[i].a, m->bond[i].b);
        pair[i][1] = BF_MAX(m->bond[i].a, m->bond[i].b);
    }
    if (m->bonds > 0) qsort(pair, m->bonds, sizeof *pair, by_ends);
    for (uint32_t i = 1; i < m->bonds; i++)
        BF_CHECK(by_ends(pair[i - 1], pair[i]) != 0, BF_FILE, "atoms %" PRIu32 " and %" PRIu32 " are bound twice",
                 pair[i][0] + 1, pair[i][1] + 1);
out:
    free(pair);
    return st;
}

/* Bonds beyond a tree: independent rings if the molecule is one piece, else at least these minus the pieces. */
static bf_status check_size(const bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(m->atoms > 0, BF_FILE, "a molecule without atoms");
    BF_CHECK(m->atoms <= BF_STANDARD_MAX_ATOMS, BF_FILE, "%" PRIu32 " atoms (at most %d are standardised)", m->atoms,
             BF_STANDARD_MAX_ATOMS);
    BF_CHECK(m->bonds < m->atoms + BF_STANDARD_MAX_RINGS, BF_FILE, "%" PRIu32 " bonds between %" PRIu32 " atoms",
             m->bonds, m->atoms);
out:
    return st;
}

static bf_status take(bf_rdkit_mol *r, bf_standard *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_standard s = {.atoms = (uint32_t)r->atoms, .bonds = (uint32_t)r->bonds, .fragments = (uint32_t)r->fragments};
    BF_NEW(s.origin, s.atoms);
    BF_NEW(s.bond, s.bonds);
    for (uint32_t i = 0; i < s.atoms; i++) s.origin[i] = (uint32_t)r->origin[i];
    for (uint32_t i = 0; i < s.bonds; i++) {
        const int *b = &r->bond[3 * i];
        s.bond[i] = (bf_bond){.a = (uint32_t)b[0], .b = (uint32_t)b[1], .order = (uint8_t)b[2]};
    }
    s.aromatic = r->aromatic;
    s.smiles = r->smiles;
    s.plain = r->plain;
    r->aromatic = NULL;
    r->smiles = r->plain = NULL;
    *out = s;
    s = (bf_standard){0};
out:
    bf_standard_free(&s);
    return st;
}

bf_status bf_standardise(const bf_mol *m, bf_standard *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_rdkit_mol r = {0};
    bf_mol bare = *m; /* without its properties: RDKit reads a record that we wrote, so nothing in it is unexpected */
    char *record = NULL, message[256] = "";
    size_t size;
    *out = (bf_standard){0};
    bare.properties = 0;
    bare.name = NULL;
    BF_TRY(check_size(m, err));
    BF_TRY(check_pairs(m, err));
    BF_TRY(bf_mol_print(&bare, false, &record, &size, err));
    const int code = bf_rdkit_standardise(record, &r, message, sizeof message);
    BF_CHECK(code != 2, BF_RUNTIME, "out of memory for a molecule");
    BF_CHECK(code == 0, BF_FILE, "RDKit refuses the molecule: %s", message);
    BF_TRY(take(&r, out, err));
out:
    bf_rdkit_free(&r);
    free(record);
    return st;
}

#else

bf_status bf_standardise(const bf_mol *m, bf_standard *out, bf_err *err)
{
    (void)m;
    *out = (bf_standard){0};
    bf_fail(err, BF_RUNTIME, "this bfncl was built without RDKit, which checks molecules and finds aromatic rings");
    bf_hint(err, "install librdkit-dev and libboost-dev (ci/deps) and build again");
    return BF_RUNTIME;
}

#endif
