/* Ligands for a pocket, as the program makes them, with a small model of the published kind. */
#include <bfncl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/size.h"
#include "chem/site.h"
#include "chem/standard.h"
#include "files.h"
#include "io/packed.h"
#include "run/pairs.h"

#define MODEL "tests/golden/molcraft/checkpoint.pt"
#define POCKETS "tests/golden/molcraft/pockets/"

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

/* Three ligands of 2, 1 and 3 atoms with pockets of 2, 1 and 2 atoms; room for two more of each. */
START_TEST(nodes)
{
    static const uint32_t atoms[] = {2, 1, 3}, around[] = {2, 1, 2}, begin[] = {0, 4, 6, 11};
    const bf_packed p = bf_packed_around(8, 4, 7, 3);
    bf_packing at = {0};
    float *block = malloc(p.size * sizeof *block), *x, *v;
    ck_assert_ptr_nonnull(block);
    for (size_t i = 0; i < p.size; i++) block[i] = NAN;
    for (int k = 0; k < 3; k++) {
        ck_assert(bf_packed_fits(&p, &at, atoms[k], around[k]));
        float *rows = bf_packed_add_around(&p, &at, block, atoms[k], around[k], &x, &v);
        for (uint32_t i = 0; i < atoms[k] * 4; i++) rows[i] = (float)k;
        for (uint32_t i = 0; i < around[k] * 3; i++) x[i] = v[i] = (float)k;
    }
    ck_assert(!bf_packed_fits(&p, &at, 2, 3) && !bf_packed_fits(&p, &at, 3, 2) && at.given == 5 && at.items == 6);
    bf_packed_close(&p, &at, block);
    for (size_t i = 0; i < p.row; i++) /* words are small whole numbers: denormal floats, no NaN */
        ck_assert_msg(!isnan(block[i]), "place %zu", i);
    uint32_t *words = malloc(p.size * sizeof *words);
    ck_assert_ptr_nonnull(words);
    memcpy(words, block, p.size * sizeof *words);
    const uint32_t *offset = words + p.node_offset, *segment = words + p.node_segment, *row = words + p.row;
    for (uint32_t k = 0, own = 0, given = 0; k < 3; k++) {
        ck_assert_uint_eq(offset[k], begin[k]);
        for (uint32_t i = begin[k]; i < begin[k + 1]; i++) {
            ck_assert_uint_eq(segment[i], k);
            ck_assert_uint_eq(row[i], i - begin[k] < around[k] ? given++ : 7 + own++);
        }
    }
    ck_assert(p.segments == 4 && offset[3] == 11 && offset[4] == 15);
    for (uint32_t i = 0; i < 15; i++) ck_assert_uint_eq(words[p.node + row[i]], i);
    for (uint32_t i = 11; i < 15; i++) ck_assert_uint_eq(segment[i], 3);
    ck_assert_float_eq(block[p.given_x + 3 * 2], 1);
    ck_assert_float_eq(block[p.given_v + 3 * 3 + 2], 2);
    ck_assert_float_eq(block[p.given_v + 3 * 5], 0);
    free(words);
    free(block);
}
END_TEST

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static bfncl_sample_options options(const char *out)
{
    bfncl_sample_options o;
    const char *device = getenv("BFNCL_TEST_DEVICE");
    bfncl_sample_defaults(&o);
    o.model = MODEL;
    o.pocket = POCKETS "synthetic.pdb";
    o.ligand = POCKETS "synthetic.sdf";
    o.n = 3;
    o.steps = 3;
    o.out = test_path(out);
    o.device.selector = device ? device : "pocl:0";
    return o;
}

/* Draws and reads what was written. */
static bf_mol *draw(const bfncl_sample_options *o, size_t *n)
{
    bf_mol *list = NULL;
    bfncl_error e;
    bfncl_sample_result r;
    ck_assert_msg(bfncl_sample(o, &r, &e) == BFNCL_OK, "%s", e.message);
    OK(bf_mol_read_all(r.out, 0, &list, n, err));
    ck_assert_uint_eq(*n, r.samples);
    ck_assert_uint_eq(r.n_ligands, r.samples);
    for (size_t k = 0; k < *n; k++) {
        ck_assert_uint_eq(r.ligands[k].atoms, list[k].atoms);
        ck_assert_uint_eq(r.ligands[k].clashes, strtoull(bf_mol_get_property(&list[k], "clashes"), NULL, 10));
        ck_assert(isfinite(r.ligands[k].distance) && r.ligands[k].distance < r.pocket.size);
    }
    bfncl_sample_result_free(&r);
    return list;
}

static double farthest(const bf_mol *a, const bf_mol *b, const double shift[3])
{
    double most = 0;
    ck_assert_uint_eq(a->atoms, b->atoms);
    for (uint32_t i = 0; i < a->atoms; i++) {
        if (a->atom[i].element != b->atom[i].element) return INFINITY;
        for (int c = 0; c < 3; c++)
            most = fmax(most, fabs((double)a->atom[i].x[c] + shift[c] - (double)b->atom[i].x[c]));
    }
    return most;
}

static const double nowhere[3];

/* A sample depends on its number alone, not on how many there are or how many at a time. */
START_TEST(batches)
{
    static const char *const small[] = {"sample.batch=1"};
    size_t n, m;
    bfncl_sample_options o = options("a.sdf");
    bf_mol *a = draw(&o, &n);
    o.n = 2;
    o.set = small;
    o.n_set = 1;
    o.out = test_path("b.sdf");
    bf_mol *b = draw(&o, &m);
    ck_assert(n == 3 && m == 2);
    for (size_t k = 0; k < m; k++) ck_assert_double_le(farthest(&a[k], &b[k], nowhere), 1e-3);
    ck_assert(farthest(&a[0], &a[1], nowhere) > 0.01);
    bf_mol_free_all(a, n);
    bf_mol_free_all(b, m);
}
END_TEST

/* A copy of the receptor, moved by whole Angstroms. */
static const char *move_receptor(const char *from, const double shift[3])
{
    const char *path = test_path("moved.pdb");
    char line[128];
    FILE *in = fopen(from, "r"), *out = fopen(path, "w");
    ck_assert(in && out);
    while (fgets(line, sizeof line, in)) {
        char text[9] = {0};
        for (int c = 0; c < 3 && strncmp(line, "ATOM", 4) == 0; c++) {
            char number[16];
            memcpy(text, line + 30 + 8 * c, 8);
            snprintf(number, sizeof number, "%8.3f", atof(text) + shift[c]);
            ck_assert_uint_eq(strlen(number), 8);
            memcpy(line + 30 + 8 * c, number, 8);
        }
        fputs(line, out);
    }
    fclose(in);
    ck_assert_int_eq(fclose(out), 0);
    return path;
}

/* Ligands move with the receptor. */
START_TEST(frame)
{
    static const double shift[3] = {10, -20, 40};
    size_t n, m;
    bf_mol ligand;
    bfncl_sample_options o = options("here.sdf");
    bf_mol *here = draw(&o, &n);
    OK(bf_mol_read(o.ligand, &ligand, err));
    for (uint32_t i = 0; i < ligand.atoms; i++)
        for (int c = 0; c < 3; c++) ligand.atom[i].x[c] += (float)shift[c];
    o.pocket = move_receptor(o.pocket, shift);
    o.ligand = test_path("moved.sdf");
    o.out = test_path("there.sdf");
    OK(bf_mol_write(o.ligand, &ligand, 1, err));
    bf_mol *there = draw(&o, &m);
    for (size_t k = 0; k < n; k++) ck_assert_double_le(farthest(&here[k], &there[k], shift), 5e-3);
    bf_mol_free(&ligand);
    bf_mol_free_all(here, n);
    bf_mol_free_all(there, m);
}
END_TEST

/* The modes, both sets of weights, and where the atoms begin give different ligands. */
START_TEST(modes)
{
    static const char *const mode[] = {"ancestral",     "end_back",      "end_back_pmf",
                                       "end_back_mode", "end_back_mode", "end_back_mode"};
    static const char *const start = "sample.start=random";
    bf_mol *list[BF_COUNT(mode)];
    size_t n[BF_COUNT(mode)];
    for (size_t i = 0; i < BF_COUNT(mode); i++) {
        bfncl_sample_options o = options("mode.sdf");
        o.sampler = mode[i];
        if (i == 4) o.weights = "raw";
        if (i == 5) o.set = &start, o.n_set = 1;
        list[i] = draw(&o, &n[i]);
        ck_assert_str_eq(bf_mol_get_property(list[i], "mode"), mode[i]);
        for (size_t k = 0; k < i; k++) ck_assert(farthest(list[i], list[k], nowhere) > 1e-3);
    }
    for (size_t i = 0; i < BF_COUNT(mode); i++) bf_mol_free_all(list[i], n[i]);
}
END_TEST

/* Numbers of atoms: of the prior, or given; and a scaffold, which stays where it is. */
START_TEST(numbers)
{
    size_t n;
    bf_site site;
    const bf_site_options where = {
        .receptor = POCKETS "synthetic.pdb", .ligand = POCKETS "synthetic.sdf", .radius = 10};
    bfncl_sample_options o = options("numbers.sdf");
    OK(bf_site_read(&where, &site, err));
    o.seed = 5;
    o.atoms = "prior";
    bf_mol *list = draw(&o, &n);
    for (size_t k = 0; k < n; k++) {
        const double u = (double)bf_philox_uniform(5, 0, (uint32_t)k, 0, BF_STREAM_SAMPLE_SIZE);
        ck_assert_uint_eq(list[k].atoms, bf_prior_count(bf_prior_bin(site.size), u));
    }
    bf_mol_free_all(list, n);

    bf_mol part = {0};
    for (int i = 0; i < 2; i++)
        OK(bf_mol_add_atom(&part,
                           (bf_atom){.element = i == 0 ? 6 : 8,
                                     .x = {site.pocket.centre[0] + (float)i, site.pocket.centre[1], 0.125f}},
                           err));
    OK(bf_mol_write(test_path("part.sdf"), &part, 1, err));
    o.scaffold = test_path("part.sdf");
    o.atoms = "7";
    list = draw(&o, &n);
    for (size_t k = 0; k < n; k++) {
        ck_assert_uint_eq(list[k].atoms, 7);
        ck_assert(list[k].atom[0].element == 6 && list[k].atom[1].element == 8);
        for (int i = 0; i < 2; i++)
            for (int c = 0; c < 3; c++) ck_assert_float_eq_tol(list[k].atom[i].x[c], part.atom[i].x[c], 2e-3f);
    }
    bf_mol_free_all(list, n);
    bf_mol_free(&part);
    bf_site_free(&site);
}
END_TEST

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

/* The two receptors of the folder that have a ligand beside them, in the order of their names. */
START_TEST(pairs)
{
    bf_config c;
    bf_molecules m;
    bf_site site;
    bf_site_options o = {.receptor = POCKETS "synthetic.pdb", .ligand = POCKETS "synthetic.sdf", .radius = 10};
    bf_config_defaults(&c);
    strcpy(c.mol.elements, bf_standard_available() ? "molcraft" : "C N O F P S Cl Br");
    OK(bf_pairs_read("tests/golden/molcraft/pockets", &c, 0, &m, err));
    OK(bf_site_read(&o, &site, err));
    ck_assert(m.count == 2 && m.features == BF_POCKET_FEATURES);
    ck_assert_uint_eq(m.first[2] - m.first[1], site.reference);
    ck_assert_uint_eq(m.around[2] - m.around[1], site.pocket.atoms);
    for (uint32_t i = 0; i < site.pocket.atoms; i++)
        for (int k = 0; k < 3; k++)
            ck_assert_float_eq_tol(m.around_x[m.around[1] + i][k], (site.pocket.x[i][k] - site.pocket.centre[k]) / 2,
                                   1e-5f);
    ck_assert_mem_eq(m.around_v + m.around[1] * BF_POCKET_FEATURES, site.pocket.feature,
                     site.pocket.atoms * (size_t)BF_POCKET_FEATURES);
    const uint32_t crc = m.crc;
    bf_molecules_free(&m);
    OK(bf_pairs_read("tests/golden/molcraft/pockets", &c, 1, &m, err));
    ck_assert(m.count == 1 && m.crc != crc);
    bf_molecules_free(&m);
    FAILS(BF_FILE, "holds no NAME.pdb", bf_pairs_read("configs", &c, 0, &m, err));
    FAILS(BF_FILE, "cannot list", bf_pairs_read("/nowhere", &c, 0, &m, err));
    strcpy(c.mol.elements, "N O F"); /* there is carbon, too */
    FAILS(BF_FILE, "sdf: atom", bf_pairs_read("tests/golden/molcraft/pockets", &c, 0, &m, err));
    bf_site_free(&site);
}
END_TEST

static double between(const float *a, const float *b)
{
    double square = 0;
    for (int c = 0; c < 3; c++) square += pow((double)a[c] - (double)b[c], 2);
    return sqrt(square);
}

/* Turned examples keep their distances; noise leaves the mean of the pocket at the origin. */
START_TEST(disturbed)
{
    bf_config c;
    bf_dataset *ds = NULL;
    float rows[2][4] = {{1, 2, 3, 5}, {-1, 0, 2, 4}}, x[3][3] = {{2, 1, 0}, {-2, 1, 0}, {0, -2, 0}};
    float same[2][4], same_x[3][3], other[2][4], other_x[3][3];
    bf_config_defaults(&c);
    c.data.transform = BF_TRANSFORM_MOLECULES;
    c.mol.pocket = true;
    strcpy(c.mol.elements, "C N O F P S Cl Br");
    for (int noisy = 0; noisy < 2; noisy++) {
        const bf_dataset_options o = {.transform = BF_TRANSFORM_MOLECULES,
                                      .seed = 3,
                                      .scale = 2,
                                      .room_around = 16,
                                      .noise = noisy ? 0.5 : 0,
                                      .rotate = true};
        OK(bf_pairs_or_dataset("tests/golden/molcraft/pockets", &c, &o, &ds, err));
        memcpy(same, rows, sizeof rows);
        memcpy(same_x, x, sizeof x);
        memcpy(other, rows, sizeof rows);
        memcpy(other_x, x, sizeof x);
        bf_dataset_disturb(ds, 1, 0, same[0], 2, same_x[0], 3);
        bf_dataset_disturb(ds, 1, 2, other[0], 2, other_x[0], 3); /* of the next epoch */
        ck_assert(between(same[0], other[0]) > 1e-3 && between(same[0], rows[0]) > 1e-3);
        ck_assert_double_eq_tol(between(same[0], same[1]), between(rows[0], rows[1]), 1e-5);
        ck_assert_float_eq(same[0][3], 5);
        const bool kept = fabs(between(same[0], same_x[0]) - between(rows[0], x[0])) < 1e-5;
        ck_assert_int_eq(kept, !noisy);
        for (int k = 0; k < 3; k++) ck_assert_float_eq_tol(same_x[0][k] + same_x[1][k] + same_x[2][k], 0, 1e-5f);
        memcpy(other, rows, sizeof rows);
        memcpy(other_x, x, sizeof x);
        bf_dataset_disturb(ds, 1, 1, other[0], 2, other_x[0], 3); /* of the same epoch */
        ck_assert_mem_eq(other, same, sizeof same);
        ck_assert_mem_eq(other_x, same_x, sizeof same_x);
        bf_dataset_free(ds);
    }
}
END_TEST

/* A model that is trained for a few steps on them, and scored. */
START_TEST(trained)
{
    const char *device = getenv("BFNCL_TEST_DEVICE"), *folder = test_path("run");
    const char *const set[] = {"data.train=tests/golden/molcraft/pockets",
                               "data.validation=0",
                               "net.width=16",
                               "net.heads=2",
                               "net.blocks=1",
                               "net.neighbours=6",
                               "train.batch=60",
                               "train.schedule=constant",
                               "mol.elements=C N O F P S Cl Br",
                               "mol.noise=0.05",
                               "mol.rotate=true",
                               "train.steps=3"};
    bfncl_error e;
    bfncl_train_options o;
    bfncl_train_result r;
    bfncl_train_defaults(&o);
    o.config = "configs/pockets.yaml";
    o.set = set;
    o.n_set = BF_COUNT(set);
    o.out = folder;
    o.device.selector = device ? device : "pocl:0";
    ck_assert_msg(bfncl_train(&o, &r, &e) == BFNCL_OK, "%s", e.message);
    ck_assert(r.steps == 3 && isfinite(r.loss));

    bfncl_eval_options eval;
    bfncl_eval_result score;
    bfncl_eval_defaults(&eval);
    eval.model = folder;
    eval.data = "tests/golden/molcraft/pockets";
    eval.device = o.device;
    ck_assert_msg(bfncl_eval(&eval, &score, &e) == BFNCL_OK, "%s", e.message);
    ck_assert(score.rows[0].samples == 2 && isfinite(score.rows[0].bits_per_dim) && score.rows[0].bits_per_dim > 0);
    bfncl_eval_result_free(&score);

    size_t n;
    bfncl_sample_options s = options("trained.sdf");
    s.model = folder;
    bf_mol_free_all(draw(&s, &n), 3);
    ck_assert_uint_eq(n, 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pocket");
    TCase *host = tcase_create("nodes"), *device = tcase_create("samples");
    tcase_add_test(host, nodes);
    tcase_add_test(host, pairs);
    tcase_add_test(host, disturbed);
    tcase_add_test(device, batches);
    tcase_add_test(device, frame);
    tcase_add_test(device, modes);
    tcase_add_test(device, numbers);
    tcase_add_test(device, trained);
    tcase_set_timeout(device, 600);
    suite_add_tcase(s, host);
    suite_add_tcase(s, device);
    return test_main(s);
}
