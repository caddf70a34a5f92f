/* Bonds from positions, measures of molecules, pictures of them. */
#include <math.h>

#include "base/size.h"
#include "chem/bonds.h"
#include "chem/draw.h"
#include "chem/metrics.h"
#include "chem/standard.h"
#include "files.h"

#define POCKETS "tests/golden/molcraft/pockets/"

static void add(bf_mol *m, unsigned element, float x, float y, float z)
{
    OK(bf_mol_add_atom(m, (bf_atom){.x = {x, y, z}, .element = (uint8_t)element}, err));
}

/* A regular tetrahedron of hydrogens around a carbon. */
static bf_mol methane(float length)
{
    bf_mol m = {0};
    const float s = length / sqrtf(3);
    add(&m, 6, 0, 0, 0);
    add(&m, 1, s, s, s);
    add(&m, 1, s, -s, -s);
    add(&m, 1, -s, s, -s);
    add(&m, 1, -s, -s, s);
    return m;
}

/* A ring of n atoms, all sides of one length; `out`: hydrogens outside. */
static bf_mol ring(const char *elements, float side, bool hydrogens)
{
    bf_mol m = {0};
    const int n = (int)strlen(elements);
    const double step = 2 * 3.14159265358979 / n, r = side / (2 * sin(step / 2));
    for (int i = 0; i < n; i++)
        add(&m, bf_element_number(&elements[i], 1), (float)(r * cos(i * step)), (float)(r * sin(i * step)), 0);
    for (int i = 0; i < n && hydrogens; i++) {
        if (elements[i] == 'C') add(&m, 1, (float)((r + 1.09) * cos(i * step)), (float)((r + 1.09) * sin(i * step)), 0);
    }
    return m;
}

/* Atoms on a line. */
static bf_mol row(const char *elements, const float *gaps)
{
    bf_mol m = {0};
    float x = 0;
    for (int i = 0; elements[i] != '\0'; i++) {
        add(&m, bf_element_number(&elements[i], 1), x, 0, 0);
        x += gaps[i];
    }
    return m;
}

static int orders_at(const bf_mol *m, uint32_t atom)
{
    int sum = 0;
    for (uint32_t i = 0; i < m->bonds; i++) sum += m->bond[i].a == atom || m->bond[i].b == atom ? m->bond[i].order : 0;
    return sum;
}

/* ---- bonds ------------------------------------------------------------------------------------------------------- */

START_TEST(order_table)
{
    ck_assert_int_eq(bf_bond_order(6, 6, 1.19), 3);
    ck_assert_int_eq(bf_bond_order(6, 6, 1.24), 2);
    ck_assert_int_eq(bf_bond_order(6, 6, 1.40), 1);
    ck_assert_int_eq(bf_bond_order(6, 6, 1.65), 0);
    ck_assert_int_eq(bf_bond_order(8, 7, 1.25), 2);
    ck_assert_int_eq(bf_bond_order(35, 6, 1.9), 1);
    ck_assert_int_eq(bf_bond_order(26, 6, 1.0), 0);
    ck_assert_int_eq(bf_bond_order(6, 6, NAN), 0);
    ck_assert_double_eq(bf_bond_length(7, 6, 3), 1.16);
    ck_assert_double_eq(bf_bond_length(7, 6, 4), 0);
    for (unsigned a = 0; a < BF_ELEMENTS; a++)
        for (unsigned b = 0; b < a; b++) ck_assert_double_eq(bf_bond_length(a, b, 1), bf_bond_length(b, a, 1));
}
END_TEST

START_TEST(perceived_rings)
{
    for (int hydrogens = 0; hydrogens < 2; hydrogens++) {
        bf_mol m = ring("CCCCCC", 1.395f, hydrogens);
        OK(bf_perceive_bonds(&m, NULL, err));
        ck_assert_uint_eq(m.bonds, hydrogens ? 12 : 6);
        for (uint32_t i = 0; i < 6; i++) ck_assert_int_eq(orders_at(&m, i), hydrogens ? 4 : 3);
        bf_mol_free(&m);
    }
    /* seven-ring without a perfect choice: three double bonds, the seventh atom is left with two single ones */
    bf_mol m = ring("CCCCCCC", 1.40f, false);
    int sum = 0;
    OK(bf_perceive_bonds(&m, NULL, err));
    for (uint32_t i = 0; i < 7; i++) sum += orders_at(&m, i);
    ck_assert_int_eq(sum, 2 * (7 + 3));
    bf_mol_free(&m);
    m = ring("CCCCCC", 1.53f, false); /* flat, but with single lengths */
    OK(bf_perceive_bonds(&m, NULL, err));
    for (uint32_t i = 0; i < 6; i++) ck_assert_int_eq(orders_at(&m, i), 2);
    static const uint8_t aromatic[6] = {1, 1, 1, 1, 1, 1}; /* a model's word for it moves the limit */
    for (uint32_t i = 0; i < 6; i++) m.atom[i].x[0] *= 0.97f, m.atom[i].x[1] *= 0.97f;
    OK(bf_perceive_bonds(&m, NULL, err));
    ck_assert_int_eq(orders_at(&m, 0), 2);
    OK(bf_perceive_bonds(&m, aromatic, err));
    for (uint32_t i = 0; i < 6; i++) ck_assert_int_eq(orders_at(&m, i), 3);
    bf_mol_free(&m);
}
END_TEST

START_TEST(perceived_chains)
{
    static const float nitrile[] = {1.46f, 1.16f, 0}, allene[] = {1.31f, 1.31f, 0}, azide[] = {1.47f, 1.24f, 1.13f, 0};
    bf_mol m = row("CCN", nitrile);
    OK(bf_perceive_bonds(&m, NULL, err));
    ck_assert(m.bond[0].order == 1 && m.bond[1].order == 3);
    bf_mol_free(&m);
    m = row("CCC", allene);
    OK(bf_perceive_bonds(&m, NULL, err));
    ck_assert(m.bond[0].order == 2 && m.bond[1].order == 2);
    bf_mol_free(&m);
    m = row("CNNN", azide);
    OK(bf_perceive_bonds(&m, NULL, err));
    ck_assert(m.atom[2].charge == 1 && m.atom[3].charge == -1);
    ck_assert_int_eq(orders_at(&m, 2), 4);
    bf_mol_free(&m);
}
END_TEST

START_TEST(crowded_atoms)
{
    bf_mol m = methane(1.09f);
    add(&m, 1, 0, 0, 1.2f); /* a fifth hydrogen, farther away, stays alone */
    OK(bf_perceive_bonds(&m, NULL, err));
    ck_assert_uint_eq(m.bonds, 4);
    ck_assert(orders_at(&m, 0) == 4 && orders_at(&m, 5) == 0);
    m.atoms = 0;
    m.bonds = 0;
    OK(bf_perceive_bonds(&m, NULL, err)); /* nothing is fine */
    for (int i = 0; i < 2000; i++) {      /* a ball of a few Angstrom: refused before the pairs take memory */
        add(&m, 6, (float)(i % 13) * 0.1f, (float)(i / 13 % 13) * 0.1f, (float)(i / 169) * 0.1f);
    }
    FAILS(BF_FILE, "too close together", bf_perceive_bonds(&m, NULL, err));
    while (m.atoms <= BF_PERCEIVE_MAX_ATOMS) add(&m, 6, (float)m.atoms, 0, 0);
    FAILS(BF_FILE, "5001 atoms", bf_perceive_bonds(&m, NULL, err));
    m.atoms = 0;
    for (int i = 0; i < BF_PERCEIVE_MAX_ATOMS; i++) /* a sheet of carbon, the hardest choice of double bonds */
        add(&m, 6, 1.23f * (float)(i % 70), 2.13f * (float)(i / 70) + ((i + i / 70) % 2 ? 0.71f : 0), 0);
    OK(bf_perceive_bonds(&m, NULL, err));
    ck_assert_uint_gt(m.bonds, BF_PERCEIVE_MAX_ATOMS);
    bf_mol_free(&m);
}
END_TEST

/* The bonds of real ligands are found again from their positions, with and without hydrogens. */
START_TEST(real_ligands)
{
    static const char *const files[] = {POCKETS "synthetic.sdf", POCKETS "1hpv.sdf"};
    if (!bf_standard_available()) return;
    for (size_t k = 0; k < 3; k++) {
        bf_mol m, heavy;
        bf_standard truth, found;
        uint8_t keep[64];
        OK(bf_mol_read(files[k % 2], &m, err));
        for (uint32_t i = 0; i < m.atoms; i++) keep[i] = k == 0 || m.atom[i].element != 1;
        OK(bf_standardise(&m, &truth, err));
        OK(bf_mol_subset(&heavy, &m, keep, err));
        OK(bf_perceive_bonds(&heavy, k == 1 ? truth.aromatic : NULL, err));
        OK(bf_standardise(&heavy, &found, err));
        /* in the crystal structure one amide is drawn out of shape, its hydrogens are not known */
        if (k != 1) ck_assert_str_eq(found.plain, truth.plain);
        ck_assert_uint_eq(found.bonds, truth.bonds);
        bf_standard_free(&truth);
        bf_standard_free(&found);
        bf_mol_free(&heavy);
        bf_mol_free(&m);
    }
}
END_TEST

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

START_TEST(stability)
{
    bf_stability s = {0};
    bf_mol m = methane(1.09f), none = {0};
    bf_stability_add(&s, &m);
    ck_assert(s.atoms == 5 && s.stable_atoms == 5 && s.stable_molecules == 1);
    m.atom[1].x[0] += 0.3f; /* one hydrogen leaves */
    bf_stability_add(&s, &m);
    ck_assert(s.atoms == 10 && s.stable_atoms == 8 && s.molecules == 2 && s.stable_molecules == 1);
    bf_stability_add(&s, &none);
    ck_assert(s.molecules == 3 && s.stable_molecules == 1);
    bf_mol_free(&m);
}
END_TEST

START_TEST(validity)
{
    bf_mol list[5] = {methane(1.09f), ring("CCCCCC", 1.395f, true), methane(1.1f), ring("CCCCCC", 1.395f, true), {0}};
    char *known[] = {strdup("c1ccccc1"), strdup("CCO"), strdup("CCO"), NULL}, *smiles[5];
    const size_t n_known = bf_smiles_sort(known, 4);
    bf_validity v;
    ck_assert_uint_eq(n_known, 2);
    for (int i = 0; i < 5; i++) OK(bf_perceive_bonds(&list[i], NULL, err));
    list[3].bond[0].order = BF_BOND_TRIPLE; /* a carbon with five */
    if (bf_standard_available()) {
        OK(bf_validity_of(list, 5, known, n_known, smiles, &v, err));
        ck_assert(v.molecules == 5 && v.valid == 3 && v.connected == 3 && v.unique == 2 && v.known == 1);
        ck_assert_str_eq(smiles[0], "C");
        ck_assert_str_eq(smiles[1], "c1ccccc1");
        ck_assert(smiles[3] == NULL && smiles[4] == NULL);
        for (int i = 0; i < 3; i++) free(smiles[i]);
    } else {
        FAILS(BF_RUNTIME, "without RDKit", bf_validity_of(list, 5, NULL, 0, NULL, &v, err));
    }
    for (size_t i = 0; i < n_known; i++) free(known[i]);
    for (int i = 0; i < 5; i++) bf_mol_free(&list[i]);
}
END_TEST

START_TEST(distributions)
{
    double a[4] = {0}, b[4] = {2, 0, 0, 6};
    bf_histogram h = {.low = 1, .high = 1.4, .bins = 4, .count = a};
    bf_mol m = methane(1.09f);
    OK(bf_perceive_bonds(&m, NULL, err));
    bf_count_bond_lengths(&m, 1, 6, 1, &h);
    ck_assert(a[0] == 4 && a[1] + a[2] + a[3] == 0);
    bf_count_bond_lengths(&m, 0, 6, 0, &h);
    bf_count_bond_lengths(&m, 1, 1, 0, &h);
    bf_count_bond_lengths(&m, 6, 1, 2, &h);
    ck_assert_double_eq(a[0], 8);
    h.high = 9;
    memset(a, 0, sizeof a);
    bf_count_distances(&m, &h);
    ck_assert_double_eq(a[0], 10);
    ck_assert_double_eq(bf_jensen_shannon(a, a, 4), 0);
    /* p = (1, 0), q = (1/4, 3/4): m = (5/8, 3/8) */
    ck_assert_double_eq_tol(bf_jensen_shannon(a, b, 4),
                            sqrt(0.5 * (log(1 / 0.625) + 0.25 * log(0.25 / 0.625) + 0.75 * log(2))), 1e-12);
    double c[4] = {0, 3, 0, 0};
    ck_assert_double_eq_tol(bf_jensen_shannon(a, c, 4), sqrt(log(2)), 1e-12);
    ck_assert(isnan(bf_jensen_shannon(a, (double[4]){0}, 4)));
    const char *const names[] = {"data", "samples"};
    const bf_histogram both[] = {h, {.low = 1, .high = 9, .bins = 4, .count = c}};
    size_t size;
    OK(bf_histogram_chart(test_path("h.svg"), "lengths", "Angstrom", names, both, 2, err));
    unsigned char *svg = test_slurp(test_path("h.svg"), &size);
    ck_assert_ptr_nonnull(strstr((char *)svg, "samples"));
    free(svg);
    bf_mol_free(&m);
}
END_TEST

START_TEST(clashes)
{
    static const float pocket[][3] = {{0, 0, 2.7f}, {0, 0, 2.95f}, {0, 0, 1}};
    static const uint8_t elements[] = {6, 6, 1};
    bf_mol m = methane(1.09f);
    const bf_clashes c = bf_count_clashes(&m, pocket, elements, 3); /* reach of C with C: 1.7 + 1.7 - 0.5 */
    ck_assert(c.pairs == 1 && c.ligand_atoms == 1);
    ck_assert_double_eq_tol(c.closest, 2.7, 1e-6);
    ck_assert(isinf(bf_count_clashes(&m, pocket, elements, 0).closest));
    bf_mol_free(&m);
}
END_TEST

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

START_TEST(views)
{
    bf_mol m = {0};
    bf_view v;
    for (int i = -3; i <= 3; i++) add(&m, 6, 1.0f + (float)i, 2.0f + (float)i, 3.0f - (float)i);
    add(&m, 6, 2.0f, 1.0f, 3.0f);
    bf_view_of(&m, &v);
    ck_assert_double_eq_tol(fabs(v.axis[0][0] + v.axis[0][1] - v.axis[0][2]) / sqrt(3), 1, 0.02); /* along the row */
    for (int turn = 0; turn < 2; turn++) {
        for (int a = 0; a < 3; a++) {
            for (int b = 0; b < 3; b++) {
                double dot = 0;
                for (int c = 0; c < 3; c++) dot += v.axis[a][c] * v.axis[b][c];
                ck_assert_double_eq_tol(dot, a == b, 1e-9);
            }
        }
        bf_view_turn(&v, 1.3);
    }
    bf_mol_free(&m);
}
END_TEST

/* Oxygen in front of carbon: red in the middle, background in the corners, the same whatever lies behind. */
START_TEST(pictures)
{
    bf_mol m = {0}, none = {0};
    bf_view v = {.axis = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, .radius = 2};
    bf_draw d;
    bf_image im;
    bf_draw_defaults(&d);
    d.width = 64;
    d.height = 48;
    add(&m, 6, 0, 0, -1.2f);
    add(&m, 8, 0, 0, 0);
    add(&m, 1, 1, 0, 0);
    OK(bf_mol_add_bond(&m, (bf_bond){.a = 0, .b = 1, .order = 2}, err));
    OK(bf_mol_add_bond(&m, (bf_bond){.a = 1, .b = 2, .order = 1}, err));
    for (int hydrogens = 0; hydrogens < 2; hydrogens++) {
        d.hydrogens = hydrogens;
        OK(bf_mol_draw(&m, &v, &d, &im, err));
        ck_assert(im.width == 64 && im.height == 48 && im.channels == 3);
        const uint8_t *middle = &im.pixels[3 * (24 * 64 + 32)], *corner = im.pixels,
                      *right = &im.pixels[3 * (24 * 64 + 43)];
        ck_assert(middle[0] > 150 && middle[1] < 140 && middle[2] < 140);
        ck_assert(corner[0] == 255 && corner[1] == 255 && corner[2] == 255);
        ck_assert_int_eq(right[0] < 250, hydrogens);
        bf_image_free(&im);
    }
    bf_view_of(&none, &v);
    OK(bf_mol_draw(&none, &v, &d, &im, err)); /* an empty picture */
    bf_image_free(&im);
    OK(bf_mol_film(test_path("a.gif"), &m, &d, 4, 5, err));
    size_t size;
    unsigned char *gif = test_slurp(test_path("a.gif"), &size);
    ck_assert(size > 100 && memcmp(gif, "GIF8", 4) == 0);
    free(gif);
    d.width = 0;
    FAILS(BF_USAGE, "0 x 48", bf_mol_draw(&m, &v, &d, &im, err));
    bf_mol_free(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bonds");
    TCase *bonds = tcase_create("bonds"), *metrics = tcase_create("metrics"), *pictures_ = tcase_create("pictures");
    tcase_set_timeout(bonds, 120);
    tcase_add_test(bonds, order_table);
    tcase_add_test(bonds, perceived_rings);
    tcase_add_test(bonds, perceived_chains);
    tcase_add_test(bonds, crowded_atoms);
    tcase_add_test(bonds, real_ligands);
    suite_add_tcase(s, bonds);
    tcase_add_test(metrics, stability);
    tcase_add_test(metrics, validity);
    tcase_add_test(metrics, distributions);
    tcase_add_test(metrics, clashes);
    suite_add_tcase(s, metrics);
    tcase_add_test(pictures_, views);
    tcase_add_test(pictures_, pictures);
    suite_add_tcase(s, pictures_);
    return test_main(s);
}
