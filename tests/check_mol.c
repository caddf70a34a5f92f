/* Molecule files: what the readers take and refuse, round trips, damage. */
#include <math.h>
#include <zlib.h>

#include "base/size.h"
#include "files.h"
#include "io/mol.h"
#include "io/pdb.h"

#define POCKETS "tests/golden/molcraft/pockets/"

/* Acetate with a deuterium and a carbon radical, and two properties. */
static const char small[] = "acetate\n"
                            "  program           3D\n"
                            "comment\n"
                            "  5  4  0  0  0  0  0  0  0  0999 V2000\n"
                            "    0.0000    0.0000    0.0000 C   0  4  0  0  0  0  0  0  0  0  0  0\n"
                            "    1.5000    0.0000   -0.1250 C   0  0  0  0  0  0  0  0  0  0  0  0\n"
                            "    2.1000    1.1000    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0\n"
                            "    2.1000   -1.1000    0.0000 O   0  5  0  0  0  0  0  0  0  0  0  0\n"
                            "   -0.4000    1.0000    0.0000 D   0  0  0  0  0 15  0  0  0  0  0  0\n"
                            "  1  2  1  0\n"
                            "  2  3  2  0\n"
                            "  2  4  1  0\n"
                            "  1  5  1  6\n"
                            "M  END\n"
                            "> 25 <melting point>\n"
                            "289\n"
                            "\n"
                            "> <lines>\n"
                            "one\n"
                            "two\n"
                            "\n"
                            "$$$$\n";

static bf_status parse_as(bf_mol_format format, const void *data, size_t size, bf_mol *first, size_t *n, bf_err *err)
{
    bf_mol_reader *r = NULL;
    bool end = false;
    *n = 0;
    bf_status st = bf_mol_open_memory("x.file", data, size, format, &r, err);
    while (st == BF_OK) {
        bf_mol m;
        st = bf_mol_next(r, &m, &end, err);
        if (st != BF_OK || end) break;
        if (first != NULL && *n == 0)
            *first = m;
        else
            bf_mol_free(&m);
        ++*n;
    }
    bf_mol_close(r);
    return st;
}

static bf_mol parse_one(bf_mol_format format, const char *text)
{
    bf_mol m = {0};
    size_t n;
    OK(parse_as(format, text, strlen(text), &m, &n, err));
    ck_assert_uint_eq(n, 1);
    return m;
}

static void expect_same(const bf_mol *a, const bf_mol *b, float tolerance)
{
    ck_assert_uint_eq(a->atoms, b->atoms);
    ck_assert_uint_eq(a->bonds, b->bonds);
    for (uint32_t i = 0; i < a->atoms; i++) {
        const bf_atom *p = &a->atom[i], *q = &b->atom[i];
        ck_assert(p->element == q->element && p->charge == q->charge && p->radical == q->radical);
        ck_assert(p->isotope == q->isotope && p->valence == q->valence);
        for (int k = 0; k < 3; k++) ck_assert_float_le(fabsf(p->x[k] - q->x[k]), tolerance);
    }
    for (uint32_t i = 0; i < a->bonds; i++) {
        const bf_bond *p = &a->bond[i], *q = &b->bond[i];
        ck_assert(p->a == q->a && p->b == q->b && p->order == q->order && p->stereo == q->stereo);
    }
}

START_TEST(sdf_fields)
{
    bf_mol m = parse_one(BF_MOL_SDF, small);
    ck_assert_str_eq(m.name, "acetate");
    ck_assert(m.atoms == 5 && m.bonds == 4 && m.dimensions == 3);
    ck_assert(m.atom[0].element == 6 && m.atom[0].radical == 2 && m.atom[0].charge == 0);
    ck_assert(m.atom[1].x[0] == 1.5f && m.atom[1].x[2] == -0.125f);
    ck_assert(m.atom[3].element == 8 && m.atom[3].charge == -1);
    ck_assert(m.atom[4].element == 1 && m.atom[4].isotope == 2 && m.atom[4].valence == 15);
    ck_assert(m.bond[1].a == 1 && m.bond[1].b == 2 && m.bond[1].order == BF_BOND_DOUBLE);
    ck_assert(m.bond[3].stereo == 6);
    ck_assert_str_eq(bf_mol_get_property(&m, "melting point"), "289");
    ck_assert_str_eq(bf_mol_get_property(&m, "lines"), "one\ntwo");
    ck_assert_ptr_null(bf_mol_get_property(&m, "density"));
    bf_mol_free(&m);
}
END_TEST

/* Lines "M  CHG" replace the charges and radicals of the atom lines; carriage returns, a missing end of file and lines
 * of a MOL file without "$$$$" are fine. */
START_TEST(sdf_variants)
{
    static const char mol[] = "\r\n\r\n\r\n  3  2  0     0  0            999 V2000\r\n"
                              "    0.0000    0.0000    0.0000 N   0  3\r\n"
                              "    0.0000    0.0000    1.0000 CL  0  0\r\n"
                              "    0.0000    1.0000    0.0000 C  -1  4\r\n"
                              "  1  2  1\r\n  1  3  4\r\n"
                              "A    1\r\nM  END of a text\r\n"
                              "M  ISO  1   1  15\r\nM  RAD  1   2   3\r\nM  CHG  2   1  -1   3   2\r\nM  END";
    bf_mol m = parse_one(BF_MOL_SDF, mol);
    ck_assert_ptr_null(m.name);
    ck_assert(m.atom[0].charge == -1 && m.atom[0].isotope == 15);
    ck_assert(m.atom[1].element == 17 && m.atom[1].radical == 3);
    ck_assert(m.atom[2].charge == 2 && m.atom[2].radical == 0 && m.atom[2].isotope == 11);
    ck_assert(m.bond[1].order == BF_BOND_AROMATIC);
    bf_mol_free(&m);
}
END_TEST

START_TEST(v3000_fields)
{
    static const char text[] = "name\n\n\n  0  0  0     0  0            999 V3000\n"
                               "M  V30 BEGIN CTAB\nM  V30 COUNTS 3 2 1 0 0\nM  V30 BEGIN ATOM\n"
                               "M  V30 10 C 1 2 3 0 CHG=1 RAD=-\nM  V30 2\nM  V30 7 O -1.5e0 +2 .25 0 MASS=18 VAL=-1\n"
                               "M  V30 1 N 0 0 0 0\nM  V30 END ATOM\nM  V30 BEGIN BOND\nM  V30 1 2 10 7 CFG=2\n"
                               "M  V30 2 1 7 1 CFG=3\nM  V30 END BOND\nM  V30 BEGIN SGROUP\nM  V30 anything\n"
                               "M  V30 END SGROUP\nM  V30 END CTAB\nM  END\n";
    bf_mol m = parse_one(BF_MOL_SDF, text);
    ck_assert(m.atoms == 3 && m.bonds == 2);
    ck_assert(m.atom[0].element == 6 && m.atom[0].charge == 1 && m.atom[0].radical == 2);
    ck_assert(m.atom[1].x[0] == -1.5f && m.atom[1].x[2] == 0.25f && m.atom[1].isotope == 18 && m.atom[1].valence == 15);
    ck_assert(m.bond[0].a == 0 && m.bond[0].b == 1 && m.bond[0].order == 2 && m.bond[0].stereo == 3);
    ck_assert(m.bond[1].a == 1 && m.bond[1].b == 2 && m.bond[1].stereo == 6);
    bf_mol_free(&m);
}
END_TEST

/* Written and read back: V2000, V3000, PDB, XYZ. */
START_TEST(round_trips)
{
    bf_mol m = parse_one(BF_MOL_SDF, small), back;
    char *text;
    size_t size, n;
    for (int v3000 = 0; v3000 < 2; v3000++) {
        OK(bf_mol_print(&m, v3000, &text, &size, err));
        ck_assert_int_eq(strstr(text, "V3000") != NULL, v3000);
        OK(parse_as(BF_MOL_SDF, text, size, &back, &n, err));
        expect_same(&m, &back, 1e-6f);
        ck_assert_str_eq(back.name, m.name);
        ck_assert_str_eq(bf_mol_get_property(&back, "lines"), "one\ntwo");
        bf_mol_free(&back);
        free(text);
    }
    m.atom[0].radical = m.atom[4].valence = 0; /* what PDB and XYZ have no place for */
    m.atom[3].charge = 0;
    m.atom[4].isotope = 0;
    m.bond[3].stereo = 0;
    OK(bf_mol_write(test_path("a.pdb"), &m, 1, err));
    OK(bf_mol_read(test_path("a.pdb"), &back, err));
    for (uint32_t i = 0; i < back.bonds; i++) ck_assert(back.bond[i].a < back.bond[i].b);
    ck_assert_uint_eq(back.bonds, m.bonds);
    ck_assert_uint_eq(back.bond[2].order, 2); /* sorted by atoms: 1-2, 1-5, 2-3, 2-4 */
    back.bonds = m.bonds = 0;
    expect_same(&m, &back, 6e-4f);
    bf_mol_free(&back);
    OK(bf_mol_write(test_path("a.xyz"), &m, 1, err));
    OK(bf_mol_read(test_path("a.xyz"), &back, err));
    ck_assert_str_eq(back.name, "acetate");
    expect_same(&m, &back, 1e-6f);
    bf_mol_free(&back);
    bf_mol_free(&m);
}
END_TEST

/* Several records of every format; the compressed file is made of two members. */
START_TEST(many_records)
{
    static const char *const names[] = {"a.sdf", "a.pdb", "a.xyz"};
    bf_mol list[3], *all;
    size_t n, size;
    for (int i = 0; i < 3; i++) list[i] = parse_one(BF_MOL_SDF, small);
    for (size_t i = 0; i < BF_COUNT(names); i++) {
        OK(bf_mol_write(test_path(names[i]), list, 3, err));
        OK(bf_mol_read_all(test_path(names[i]), 0, &all, &n, err));
        ck_assert_uint_eq(n, 3);
        bf_mol_free_all(all, n);
        OK(bf_mol_read_all(test_path(names[i]), 2, &all, &n, err));
        ck_assert_uint_eq(n, 2);
        bf_mol_free_all(all, n);
    }
    unsigned char *text = test_slurp(test_path("a.sdf"), &size);
    for (int part = 0; part < 2; part++) {
        gzFile z = gzopen(test_path("a.sdf.gz"), part == 0 ? "wb" : "ab");
        ck_assert_int_gt(gzwrite(z, text, (unsigned)size), 0);
        gzclose(z);
    }
    OK(bf_mol_read_all(test_path("a.sdf.gz"), 0, &all, &n, err));
    ck_assert_uint_eq(n, 6);
    expect_same(&all[0], &all[5], 0);
    bf_mol_free_all(all, n);
    free(text);
    for (int i = 0; i < 3; i++) bf_mol_free(&list[i]);
}
END_TEST

START_TEST(real_files)
{
    bf_mol *all;
    size_t n;
    bf_pdb p;
    OK(bf_mol_read_all(POCKETS "ligand_types.sdf", 0, &all, &n, err));
    ck_assert_uint_eq(n, 42);
    bf_mol_free_all(all, n);
    OK(bf_pdb_read(POCKETS "synthetic.pdb", &p, err)); /* a second model follows */
    ck_assert_uint_eq(p.atoms, 198);
    ck_assert_str_eq(p.atom[1].name, "CA");
    ck_assert_str_eq(p.atom[1].residue, "ALA");
    ck_assert(p.atom[1].chain == 'A' && p.atom[1].number == 1 && p.atom[1].insertion == ' ' && !p.atom[1].hetero);
    ck_assert(p.atom[197].hetero && p.atom[197].element == 34);
    bf_pdb_free(&p);
    OK(bf_mol_read_all(POCKETS "synthetic.pdb", 0, &all, &n, err));
    ck_assert_uint_eq(n, 2);
    ck_assert(all[0].atoms == 198 && all[1].atoms == 1);
    bf_mol_free_all(all, n);
}
END_TEST

/* A record that is refused does not end the file. */
START_TEST(next_after_a_failure)
{
    static char text[3 * sizeof small];
    bf_mol_reader *r;
    bf_mol m;
    bool end;
    snprintf(text, sizeof text, "%s%s%s", small, small, small);
    char *symbol = strstr(text + sizeof small, " O ");
    symbol[1] = 'J';
    OK(bf_mol_open_memory("x.sdf", text, strlen(text), BF_MOL_UNKNOWN, &r, err));
    OK(bf_mol_next(r, &m, &end, err));
    bf_mol_free(&m);
    FAILS(BF_FILE, "x.sdf: line 29: \"J\" is not an element", bf_mol_next(r, &m, &end, err));
    ck_assert_uint_eq(bf_mol_record(r), 2);
    OK(bf_mol_next(r, &m, &end, err));
    ck_assert(!end && m.atoms == 5 && bf_mol_record(r) == 3);
    bf_mol_free(&m);
    OK(bf_mol_next(r, &m, &end, err));
    ck_assert(end);
    bf_mol_close(r);
}
END_TEST

/* `small` with the first `from` replaced. */
static bf_status parse_edited(const char *from, const char *to, bf_err *err)
{
    char text[2 * sizeof small];
    const char *at = strstr(small, from);
    size_t n;
    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - small), small, to, at + strlen(from));
    return parse_as(BF_MOL_SDF, text, strlen(text), NULL, &n, err);
}

START_TEST(refused_sdf)
{
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        {"    1.5000", "       nan", "line 6: coordinate x is \"nan\""},
        {"   -0.1250", "       inf", "coordinate z"},
        {"   -0.1250", "1234567890", "coordinate z"},
        {"   -0.1250", "          ", "coordinate z is \"\""},
        {" C  ", " Xx ", "\"Xx\" is not an element"},
        {" C  ", " R# ", "\"R#\" is not an element"},
        {" C  ", "    ", "\"\" is not an element"},
        {"  5  4", "  6  4", "coordinate"},
        {"  5  4", "  5  5", "not two of the 5 atoms"},
        {"  5  4", " -5  4", "numbers of atoms and bonds"},
        {"  5  4", "      ", "numbers of atoms and bonds"},
        {"  5  4", "999999", "coordinate"},
        {"  1  2  1", "  1  6  1", "line 10: \"  1  6\" are not two of the 5 atoms"},
        {"  1  2  1", "  1  1  1", "bond between atoms 1 and 1"},
        {"  1  2  1", "  0  1  1", "not two of"},
        {"  1  2  1", "  1  2  8", "bond type 8"},
        {"  1  2  1", "  1  2   ", "bond type 0"},
        {"M  END", "M  CHG  1   6   1", "names no atom of 5"},
        {"M  END", "M  CHG  1   5  99", "out of its range"},
        {"M  END", "M  CHG  2   5   1", "names no atom"},
        {"M  END", "M  ENC", "before \"M  END\""},
    };
    for (size_t i = 0; i < BF_COUNT(cases); i++)
        FAILS(BF_FILE, cases[i].message, parse_edited(cases[i].from, cases[i].to, err));
}
END_TEST

START_TEST(refused_others)
{
    static const struct {
        bf_mol_format format;
        const char *text, *message;
    } cases[] = {
        {BF_MOL_XYZ, "2\n\nC 0 0 0\n", "ends after 1 of 2 atoms"},
        {BF_MOL_XYZ, "-1\n\n", "\"-1\" is not a number of atoms"},
        {BF_MOL_XYZ, "99999999999\n\n", "is not a number of atoms"},
        {BF_MOL_XYZ, "1\n\nC 0 nan 0\n", "line 3: coordinate y is \"nan\""},
        {BF_MOL_XYZ, "1\n\nQq 0 0 0\n", "\"Qq\" is not an element"},
        {BF_MOL_PDB, "ATOM      1  CA  ALA A   1       1.000   2.000     nan  1.00 20.00           C\n",
         "columns 47-54"},
        {BF_MOL_PDB, "ATOM      1  CA  ALA A   x       1.000   2.000   3.000  1.00 20.00           C\n",
         "residue number"},
        {BF_MOL_PDB, "ATOM      1  CA  ALA A   1       1.000   2.000   3.000  1.00 20.00          12\n",
         "\"12\" is not"},
        {BF_MOL_PDB, "ATOM\n", "coordinate x"},
        {BF_MOL_SDF, "a\nb\n", "ends in the header"},
        {BF_MOL_SDF, "a\nb\nc\n  0  0  0  0  0  0  0  0  0  0999 V3000\n", "before \"M  END\""},
        {BF_MOL_SDF, "a\nb\nc\n  0  0  0  0  0  0  0  0  0  0999 V3000\nM  V30 BEGIN CTAB\nM  V30 COUNTS 9999999 1\n",
         "COUNTS"},
    };
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        size_t n;
        FAILS(BF_FILE, cases[i].message,
              parse_as(cases[i].format, cases[i].text, strlen(cases[i].text), NULL, &n, err));
    }
    bf_mol m;
    bf_pdb p;
    FAILS(BF_FILE, "not a molecule file by its name", bf_mol_read("tests/files.h", &m, err));
    FAILS(BF_FILE, "cannot open", bf_mol_read("/nowhere/a.sdf", &m, err));
    FAILS(BF_FILE, "x.file: holds no ATOM", bf_pdb_parse("x.file", "END\n", 4, &p, err));
    FAILS(BF_USAGE, "names that end in", bf_mol_write(test_path("a.cif"), NULL, 0, err));
    test_spill(test_path("empty.sdf"), "\n\n", 2);
    FAILS(BF_FILE, "holds no molecule", bf_mol_read(test_path("empty.sdf"), &m, err));
}
END_TEST

static bf_status parse_sdf(const void *data, size_t size, bf_err *err)
{
    size_t n;
    return parse_as(BF_MOL_SDF, data, size, NULL, &n, err);
}

static bf_status parse_pdb(const void *data, size_t size, bf_err *err)
{
    bf_pdb p;
    const bf_status st = bf_pdb_parse("x.file", data, size, &p, err);
    bf_pdb_free(&p);
    return st;
}

START_TEST(damaged)
{
    static const char atom[] = "ATOM      1  CA  ALA A   1      -9.040  -0.371  -0.588  1.00 20.00           C  \n";
    const size_t end = (size_t)(strstr(small, "M  END") - small) + 5;
    char *text;
    size_t size;
    bf_mol m = parse_one(BF_MOL_SDF, small);
    for (size_t n = 1; n < end; n++) { /* cut before "M  END": never taken for a molecule */
        size_t count = 0;
        bf_err e = {0};
        char *copy = malloc(n);
        memcpy(copy, small, n);
        bf_status st = parse_as(BF_MOL_SDF, copy, n, NULL, &count, &e);
        ck_assert_msg(st == BF_FILE && count == 0 && strstr(e.message, "x.file: line"), "cut to %zu: %s", n, e.message);
        free(copy);
    }
    ck_assert_uint_gt(test_flips(parse_sdf, small, sizeof small - 1), 0);
    OK(bf_mol_print(&m, true, &text, &size, err));
    ck_assert_uint_gt(test_flips(parse_sdf, text, size), 0);
    ck_assert_uint_gt(test_flips(parse_pdb, atom, sizeof atom - 1), 0);
    free(text);
    bf_mol_free(&m);
}
END_TEST

/* 100,000 atoms do not fit V2000; too many for the reader are refused without memory for them. */
START_TEST(large)
{
    bf_mol m = {0}, back;
    for (int i = 0; i < 100000; i++)
        OK(bf_mol_add_atom(
            &m, (bf_atom){.x = {(float)(i % 100), (float)(i / 100 % 100), (float)(i / 10000)}, .element = 6}, err));
    for (uint32_t i = 1; i < m.atoms; i++) OK(bf_mol_add_bond(&m, (bf_bond){.a = i - 1, .b = i, .order = 1}, err));
    OK(bf_mol_write(test_path("a.sdf"), &m, 1, err));
    OK(bf_mol_read(test_path("a.sdf"), &back, err));
    expect_same(&m, &back, 0);
    bf_mol_free(&back);
    FAILS(BF_USAGE, "do not fit a PDB file", bf_mol_write(test_path("a.pdb"), &m, 1, err));
    bf_mol_free(&m);
}
END_TEST

START_TEST(editing)
{
    static const uint8_t keep[] = {0, 1, 1, 0, 1};
    bf_mol m = parse_one(BF_MOL_SDF, small), s, c;
    OK(bf_mol_subset(&s, &m, keep, err));
    ck_assert(s.atoms == 3 && s.bonds == 1 && s.bond[0].a == 0 && s.bond[0].b == 1 && s.atom[2].isotope == 2);
    OK(bf_mol_copy(&c, &m, err));
    expect_same(&m, &c, 0);
    OK(bf_mol_set_property(&c, "lines", "\nthree\n\n\nfour\n", err));
    OK(bf_mol_write(test_path("c.sdf"), &c, 1, err));
    bf_mol_free(&c);
    OK(bf_mol_read(test_path("c.sdf"), &c, err));
    ck_assert_str_eq(bf_mol_get_property(&c, "lines"), "three\nfour");
    ck_assert_uint_eq(c.properties, 2);
    FAILS(BF_FILE, "bond between atoms 1 and 9", bf_mol_add_bond(&c, (bf_bond){.a = 0, .b = 8, .order = 1}, err));
    bf_mol_free(&c);
    bf_mol_free(&s);
    bf_mol_free(&m);
}
END_TEST

START_TEST(elements)
{
    for (unsigned z = 1; z < BF_ELEMENTS; z++) {
        const char *symbol = bf_element_of(z)->symbol;
        ck_assert_uint_eq(bf_element_number(symbol, strlen(symbol)), z);
    }
    ck_assert(bf_element_number("CL", 2) == 17 && bf_element_number("d", 1) == 1 && bf_element_number("*", 1) == 0);
    ck_assert(bf_element_number("", 0) == 0 && bf_element_number("Chl", 3) == 0 && bf_element_number("\0\0", 2) == 0);
    ck_assert_double_eq(bf_element_of(34)->weight, 78.96);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mol");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_test(files, sdf_fields);
    tcase_add_test(files, sdf_variants);
    tcase_add_test(files, v3000_fields);
    tcase_add_test(files, round_trips);
    tcase_add_test(files, many_records);
    tcase_add_test(files, real_files);
    tcase_add_test(files, next_after_a_failure);
    tcase_add_test(files, refused_sdf);
    tcase_add_test(files, refused_others);
    tcase_add_test(files, damaged);
    tcase_add_test(files, large);
    tcase_add_test(files, editing);
    tcase_add_test(files, elements);
    suite_add_tcase(s, files);
    return test_main(s);
}
