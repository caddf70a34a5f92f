/* Any bytes as a molecule file of each format; what is read can be written and read back. */
#include "fuzz.h"
#include "io/mol.h"
#include "io/pdb.h"

/* A molecule that was read can be printed, and reads as the same atoms and bonds. */
static void reread(const bf_mol *m)
{
    bf_err err;
    char *text = NULL;
    size_t size;
    bf_mol_reader *r;
    bf_mol back;
    bool end;
    FUZZ_CHECK(bf_mol_print(m, m->atoms % 2 == 1, &text, &size, &err) == BF_OK);
    FUZZ_CHECK(bf_mol_open_memory("back", text, size, BF_MOL_SDF, &r, &err) == BF_OK);
    FUZZ_CHECK(bf_mol_next(r, &back, &end, &err) == BF_OK && !end);
    FUZZ_CHECK(back.atoms == m->atoms && back.bonds == m->bonds);
    bf_mol_free(&back);
    bf_mol_close(r);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const bf_mol_format formats[] = {BF_MOL_SDF, BF_MOL_PDB, BF_MOL_XYZ};
    for (int i = 0; i < 3; i++) {
        bf_err err;
        bf_mol_reader *r = NULL;
        bool end = false;
        FUZZ_CHECK(bf_mol_open_memory("input", data, size, formats[i], &r, &err) == BF_OK);
        for (int failures = 0; !end && failures < 3;) {
            bf_mol m;
            const bf_status st = bf_mol_next(r, &m, &end, &err);
            FUZZ_CHECK(st == BF_OK || st == BF_FILE);
            failures += st == BF_FILE;
            for (uint32_t k = 0; k < m.bonds; k++) FUZZ_CHECK(m.bond[k].a < m.atoms && m.bond[k].b < m.atoms);
            if (st == BF_OK && !end) reread(&m);
            bf_mol_free(&m);
        }
        bf_mol_close(r);
    }
    bf_err err;
    bf_pdb p;
    if (bf_pdb_parse("input", data, size, &p, &err) == BF_OK) FUZZ_CHECK(p.atoms > 0 && p.atoms <= size / 30);
    bf_pdb_free(&p);
    return 0;
}
