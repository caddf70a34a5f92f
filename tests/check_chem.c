/* Molecules as chemistry: typing by RDKit, proteins and pockets, numbers of atoms. */
#include <math.h>

#include "base/size.h"
#include "chem/pocket.h"
#include "chem/site.h"
#include "chem/standard.h"
#include "files.h"

#define POCKETS "tests/golden/molcraft/pockets/"

/* A chain of atoms with given elements and bond orders, `close`: the last bond goes back to the first atom. */
static bf_mol chain(const char *elements, const char *orders)
{
    bf_mol m = {0};
    const uint32_t n = (uint32_t)strlen(elements);
    for (uint32_t i = 0; i < n; i++) {
        const bf_atom a = {.x = {1.4f * (float)i, 0, 0}, .element = (uint8_t)bf_element_number(&elements[i], 1)};
        OK(bf_mol_add_atom(&m, a, err));
    }
    for (uint32_t i = 0; orders[i] != '\0'; i++)
        OK(bf_mol_add_bond(&m, (bf_bond){.a = i, .b = (i + 1) % n, .order = (uint8_t)(orders[i] - '0')}, err));
    return m;
}

/* ---- standard ---------------------------------------------------------------------------------------------------- */

START_TEST(standard_forms)
{
    static const struct {
        const char *elements, *orders, *smiles, *aromatic;
    } cases[] = {
        {"CCCCCC", "212121", "c1ccccc1", "111111"},
        {"CCNCC", "21121", "c1cc[nH]c1", "11111"},
        {"CCO", "11", "CCO", "000"},
        {"CCCC", "2121", "C1=CC=C1", "0000"},
        {"CCCCCN", "444444", "c1ccncc1", "111111"},
        {"CH", "1", "C", "0"},
    };
    if (!bf_standard_available()) return;
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        bf_mol m = chain(cases[i].elements, cases[i].orders);
        bf_standard s;
        OK(bf_standardise(&m, &s, err));
        ck_assert_str_eq(s.smiles, cases[i].smiles);
        ck_assert_str_eq(s.plain, cases[i].smiles);
        ck_assert_uint_eq(s.atoms, strlen(cases[i].aromatic));
        ck_assert_uint_eq(s.fragments, 1);
        for (uint32_t k = 0; k < s.atoms; k++) ck_assert_int_eq(s.aromatic[k], cases[i].aromatic[k] - '0');
        bf_standard_free(&s);
        bf_mol_free(&m);
    }
}
END_TEST

START_TEST(refused_molecules)
{
    bf_mol m = {0};
    bf_standard s;
    if (!bf_standard_available()) {
        FAILS(BF_RUNTIME, "without RDKit", bf_standardise(&m, &s, err));
        return;
    }
    FAILS(BF_FILE, "without atoms", bf_standardise(&m, &s, err));
    m = chain("OCO", "33"); /* carbon with six */
    FAILS(BF_FILE, "RDKit refuses", bf_standardise(&m, &s, err));
    bf_mol_free(&m);
    m = chain("CCCCN", "44444"); /* an aromatic five-ring without the hydrogen of pyrrole */
    FAILS(BF_FILE, "kekulize", bf_standardise(&m, &s, err));
    bf_mol_free(&m);
    m = chain("CC", "1");
    OK(bf_mol_add_bond(&m, (bf_bond){.a = 1, .b = 0, .order = 1}, err));
    FAILS(BF_FILE, "atoms 1 and 2 are bound twice", bf_standardise(&m, &s, err));
    bf_mol_free(&m);
    for (int i = 0; i < 1000; i++) OK(bf_mol_add_atom(&m, (bf_atom){.x = {(float)i, 0, 0}, .element = 6}, err));
    FAILS(BF_FILE, "1000 atoms", bf_standardise(&m, &s, err));
    m.atoms = 40; /* every pair of iron atoms: no valence forbids it, but 741 rings do */
    for (uint32_t i = 0; i < 40; i++) {
        m.atom[i].element = 26;
        for (uint32_t j = 0; j < i; j++) OK(bf_mol_add_bond(&m, (bf_bond){.a = i, .b = j, .order = 1}, err));
    }
    FAILS(BF_FILE, "780 bonds between 40 atoms", bf_standardise(&m, &s, err));
    bf_mol_free(&m);
}
END_TEST

START_TEST(ligand_types)
{
    bf_mol m;
    bf_ligand l;
    ck_assert(bf_ligand_class(6, true) == 2 && bf_ligand_class(17, false) == 12 && bf_ligand_class(35, false) == 0);
    ck_assert(bf_ligand_class(9, true) == 0);
    for (unsigned k = 0; k < BF_LIGAND_TYPES; k++)
        ck_assert_uint_eq(bf_ligand_class(bf_ligand_type_of(k).element, bf_ligand_type_of(k).aromatic), k);
    if (!bf_standard_available()) return;
    OK(bf_mol_read(POCKETS "synthetic.sdf", &m, err));
    OK(bf_ligand_of(&m, &l, err));
    ck_assert(l.atoms == 18 && l.bonds == 19 && m.atoms == 29);
    ck_assert_str_eq(l.smiles, "O=C(CSc1nc2cc(Cl)ccc2[nH]1)NCCBr");
    ck_assert(l.type[0] == 12 && l.type[1] == 2 && l.type[14] == 0 && l.aromatic[1] == 1);
    bf_ligand_free(&l);
    bf_mol_free(&m);
}
END_TEST

/* A ligand as AutoDock writes it: no bonds, polar hydrogens only, types for elements. */
START_TEST(ligand_files)
{
    static const char text[] = "REMARK  pyrrole-2-carbaldehyde\n"
                               "ROOT\n"
                               "HETATM    1  C1  LIG A   1       1.130   0.340   0.000  1.00  0.00     0.100 A \n"
                               "HETATM    2  C2  LIG A   1       0.710  -0.990   0.000  1.00  0.00     0.010 A \n"
                               "HETATM    3  C3  LIG A   1      -0.710  -0.990   0.000  1.00  0.00     0.010 A \n"
                               "HETATM    4  C4  LIG A   1      -1.130   0.340   0.000  1.00  0.00     0.100 A \n"
                               "HETATM    5  N5  LIG A   1       0.000   1.120   0.000  1.00  0.00    -0.200 NA\n"
                               "HETATM    6  H5  LIG A   1       0.000   2.130   0.000  1.00  0.00     0.160 HD\n"
                               "HETATM    7  C6  LIG A   1       2.480   0.860   0.000  1.00  0.00     0.200 C \n"
                               "HETATM    8  O7  LIG A   1       3.440   0.120   0.000  1.00  0.00    -0.270 OA\n"
                               "ENDROOT\n";
    static const uint8_t types[] = {2, 2, 2, 2, 4, 1, 5};
    bf_ligand l;
    if (!bf_standard_available()) return;
    test_spill(test_path("a.pdbqt"), text, sizeof text - 1);
    OK(bf_ligand_read(test_path("a.pdbqt"), &l, err));
    ck_assert_str_eq(l.smiles, "O=Cc1ccc[nH]1");
    ck_assert_uint_eq(l.atoms, 7);
    ck_assert_mem_eq(l.type, types, 7);
    bf_ligand_free(&l);
    OK(bf_ligand_read(POCKETS "synthetic.sdf", &l, err));
    ck_assert_uint_eq(l.bonds, 19);
    bf_ligand_free(&l);
    FAILS(BF_FILE, "a.xyz", bf_ligand_read(test_path("a.xyz"), &l, err));
    test_spill(test_path("a.xyz"), "0\n\n", 3);
    FAILS(BF_FILE, "a.xyz: a molecule without atoms", bf_ligand_read(test_path("a.xyz"), &l, err));
}
END_TEST

/* ---- pockets ----------------------------------------------------------------------------------------------------- */

#define ATOM(serial, name, residue, number, x, element)                                                                \
    "ATOM  " serial "  " name " " residue " A" number "    " x "   0.000   0.000  1.00 20.00          " element "\n"

static bf_status protein_of(const char *text, bf_protein *p, bf_err *err)
{
    bf_pdb pdb = {0};
    *p = (bf_protein){0};
    bf_status st = bf_pdb_parse("x.pdb", text, strlen(text), &pdb, err);
    if (st == BF_OK) st = bf_protein_of("x.pdb", &pdb, p, err);
    bf_pdb_free(&pdb);
    return st;
}

/* Two residues, the second in two places of the file. */
static const char two_residues[] = ATOM("    1", "CA ", "GLY", "   7", "   0.000", " C") //
    ATOM("    2", "CA ", "TYR", "   8", "  10.000", " C")                                //
    ATOM("    3", "O  ", "GLY", "   7", "   2.000", "  ")                                //
    ATOM("    4", "HB1", "TYR", "   8", "  12.000", " H");

START_TEST(residues)
{
    bf_protein p;
    OK(protein_of(two_residues, &p, err));
    ck_assert(p.atoms == 4 && p.residues == 2);
    ck_assert(p.residue[0].amino_acid == 5 && p.residue[1].amino_acid == 19 && p.residue[0].atoms == 2);
    ck_assert(p.residue_of[2] == 0 && p.residue_of[3] == 1 && p.element[2] == 8 && p.element[3] == 1);
    ck_assert(p.member[0] == 0 && p.member[1] == 2 && p.member[2] == 1 && p.member[3] == 3);
    ck_assert(p.backbone[0] && p.backbone[2] && !p.backbone[3]);
    ck_assert_float_eq_tol(p.residue[0].centre[0], 2 * 15.999f / (12.011f + 15.999f), 1e-6f);
    ck_assert_str_eq(bf_amino_acid_name(19), "TYR");
    bf_protein_free(&p);
}
END_TEST

START_TEST(refused_proteins)
{
    bf_protein p;
    FAILS(BF_FILE, "x.pdb: line 1: residue \"XYZ\" is none of the twenty",
          protein_of(ATOM("    1", "CA ", "XYZ", "   7", "   0.000", " C"), &p, err));
    FAILS(BF_FILE, "line 1: \"12\" is not an element",
          protein_of(ATOM("    1", "CA ", "GLY", "   7", "   0.000", "12"), &p, err));
    FAILS(BF_FILE, "line 2: residue ALA 7 is named GLY in line 1",
          protein_of(ATOM("    1", "CA ", "GLY", "   7", "   0.000", " C")
                         ATOM("    2", "CB ", "ALA", "   7", "   0.000", " C"),
                     &p, err));
    FAILS(BF_FILE, "holds no ATOM record",
          protein_of("HETATM    1  O   HOH A   7       0.000   0.000   0.000  1.00 20.00           O\n", &p, err));
    FAILS(BF_FILE, "cannot open", bf_protein_read("/nowhere/a.pdb", &p, err));
}
END_TEST

START_TEST(cutting)
{
    static const float near_second[][3] = {{15, 0, 0}, {5, 0, 0}}, far[][3] = {{40, 0, 0}};
    bf_protein p;
    bf_pocket k;
    OK(protein_of(two_residues, &p, err));
    OK(bf_pocket_cut(&p, near_second, 2, BF_POCKET_RADIUS, &k, err));
    ck_assert(k.residues == 2 && k.residue[0] == 1 && k.residue[1] == 0); /* in the order of the ligand's atoms */
    ck_assert(k.atoms == 4 && k.atom[0] == 1 && k.atom[1] == 3 && k.atom[2] == 0 && k.atom[3] == 2);
    ck_assert_float_eq(k.centre[0], 6);
    static const uint8_t tyrosine_carbon[BF_POCKET_FEATURES] = {[1] = 1, [6 + 19] = 1, [26] = 1};
    ck_assert_mem_eq(k.feature, tyrosine_carbon, sizeof tyrosine_carbon);
    bf_pocket_free(&k);
    OK(bf_pocket_cut(&p, near_second, 1, BF_POCKET_RADIUS, &k, err));
    ck_assert_uint_eq(k.residues, 1);
    bf_pocket_free(&k);
    FAILS(BF_FILE, "the nearest is 29.8 away", bf_pocket_cut(&p, far, 1, BF_POCKET_RADIUS, &k, err));
    FAILS(BF_FILE, "without heavy atoms", bf_pocket_cut(&p, far, 0, BF_POCKET_RADIUS, &k, err));
    bf_protein_free(&p);
}
END_TEST

/* The golden pair, around its ligand and around the first of its atoms. */
START_TEST(sites)
{
    bf_site s;
    bf_mol m;
    bf_site_options o = {.receptor = POCKETS "synthetic.pdb", .ligand = POCKETS "synthetic.sdf", .radius = 10};
    OK(bf_mol_read(o.ligand, &m, err));
    OK(bf_site_read(&o, &s, err));
    uint32_t heavy = 0;
    for (uint32_t i = 0; i < m.atoms; i++) heavy += m.atom[i].element != 1;
    ck_assert(s.reference == heavy && s.pocket.atoms > 10 && s.size > 1);
    for (uint32_t i = 0; i < s.pocket.atoms; i++) /* the same as the feature says */
        ck_assert_int_eq(s.element[i] == 7, s.pocket.feature[i * BF_POCKET_FEATURES + 2]);

    /* one atom on the pocket's centre, and one on an atom of the pocket */
    bf_mol made = {0};
    bf_atom a = {.element = 6, .x = {s.pocket.centre[0], s.pocket.centre[1], s.pocket.centre[2]}};
    OK(bf_mol_add_atom(&made, a, err));
    bf_placement p = bf_site_place(&s, &made);
    ck_assert_double_le(p.distance, 1e-5);
    uint32_t other = 0;
    while (s.element[other] == 1) other++;
    memcpy(made.atom[0].x, s.pocket.x[other], sizeof made.atom[0].x);
    p = bf_site_place(&s, &made);
    ck_assert(p.closest <= 0 && p.clashes >= 1);
    const double dx = (double)made.atom[0].x[0] - s.pocket.centre[0],
                 dy = (double)made.atom[0].x[1] - s.pocket.centre[1],
                 dz = (double)made.atom[0].x[2] - s.pocket.centre[2];
    ck_assert_double_eq_tol(p.distance, sqrt(dx * dx + dy * dy + dz * dz), 1e-5);
    bf_mol_free(&made);
    const uint32_t all = s.pocket.atoms;
    bf_site_free(&s);

    o.ligand = NULL;
    for (int c = 0; c < 3; c++) o.point[c] = (double)m.atom[0].x[c];
    OK(bf_site_read(&o, &s, err));
    ck_assert(s.reference == 0 && s.pocket.atoms > 0 && s.pocket.atoms <= all);
    bf_site_free(&s);
    o.point[0] += 1000;
    FAILS(BF_FILE, "synthetic.pdb: no residue is closer than 10", bf_site_read(&o, &s, err));
    bf_mol_free(&m);
}
END_TEST

START_TEST(sizes)
{
    static const float line[][3] = {{0, 0, 0}, {1, 0, 0}, {3, 0, 0}}; /* distances 3, 2, 1 */
    float x[6][3] = {{0}};
    double size;
    OK(bf_pocket_size(line, 3, &size, err));
    ck_assert_double_eq(size, 2);
    OK(bf_pocket_size(line, 2, &size, err));
    ck_assert_double_eq(size, 1);
    for (int i = 0; i < 6; i++) x[i][0] = (float)(i * i); /* 15 distances: 25 24 21 16 16 15 12 9 9 8 ... */
    OK(bf_pocket_size((const float(*)[3])x, 6, &size, err));
    ck_assert_double_eq(size, 15.5);
    FAILS(BF_FILE, "fewer than two atoms", bf_pocket_size(line, 1, &size, err));
}
END_TEST

START_TEST(priors)
{
    ck_assert(bf_prior_bin(0) == 0 && bf_prior_bin(26.52218454781356) == 1 && bf_prior_bin(30) == 4);
    ck_assert(bf_prior_bin(34.57565983834558) == 9 && bf_prior_bin(1000) == 9);
    ck_assert(bf_prior_count(0, 0) == 10 && bf_prior_count(0, 0.1195) == 10 && bf_prior_count(0, 0.1197) == 6);
    ck_assert(bf_prior_count(0, 0.99995) == 41 && bf_prior_count(9, 0.99995) == 86);
    for (unsigned bin = 0; bin < 10; bin++) { /* larger pockets hold larger ligands */
        static double last;
        double mean = 0;
        for (int i = 0; i < 10000; i++) mean += bf_prior_count(bin, (i + 0.5) / 10000) / 10000.0;
        ck_assert_double_gt(mean, bin == 0 ? 10 : last);
        last = mean;
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chem");
    TCase *standard = tcase_create("standard"), *pockets = tcase_create("pockets");
    tcase_add_test(standard, standard_forms);
    tcase_add_test(standard, refused_molecules);
    tcase_add_test(standard, ligand_types);
    tcase_add_test(standard, ligand_files);
    suite_add_tcase(s, standard);
    tcase_add_test(pockets, residues);
    tcase_add_test(pockets, refused_proteins);
    tcase_add_test(pockets, cutting);
    tcase_add_test(pockets, sites);
    tcase_add_test(pockets, sizes);
    tcase_add_test(pockets, priors);
    suite_add_tcase(s, pockets);
    return test_main(s);
}
