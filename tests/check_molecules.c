/* Molecules as data: kinds of atoms, centring, packed blocks, stream, held-out part. */
#include <math.h>

#include "base/size.h"
#include "files.h"
#include "io/dataset.h"
#include "io/loader.h"
#include "io/packed.h"
#include "io/sizes.h"

enum { COUNT = 40 };

/* Atoms of molecule i. */
static int atoms_of(int i)
{
    return 1 + i * 7 % 11;
}

/* Molecule i: a line of atoms at i + 2 a, 1, 0; elements C, N, O in turn. */
static const char *save(const char *name)
{
    static const char *const symbols[] = {"C", "N", "O"};
    const char *path = test_path(name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < COUNT; i++) {
        fprintf(f, "%d\nmolecule %d\n", atoms_of(i), i);
        for (int a = 0; a < atoms_of(i); a++) fprintf(f, "%s %d 1 0\n", symbols[(i + a) % 3], i + 2 * a);
    }
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

static bf_dataset *open_set(uint64_t seed, double validation)
{
    bf_dataset *ds = NULL;
    const bf_dataset_options o = {
        .transform = BF_TRANSFORM_MOLECULES, .seed = seed, .validation = validation, .scale = 2.0};
    OK(bf_dataset_open(save("line.xyz"), &o, &ds, err));
    return ds;
}

START_TEST(kinds)
{
    bf_kinds k;
    char text[BF_ELEMENTS_TEXT];
    OK(bf_kinds_parse("H  C Br ", &k, err));
    ck_assert_uint_eq(k.n, 3);
    ck_assert(k.element[0] == 1 && k.element[1] == 6 && k.element[2] == 35);
    ck_assert(bf_kinds_find(&k, 6) == 1 && bf_kinds_find(&k, 7) == -1);
    bf_kinds_text(&k, text);
    ck_assert_str_eq(text, "H C Br");
    FAILS(BF_USAGE, "order", bf_kinds_parse("C H O", &k, err));
    FAILS(BF_USAGE, "order", bf_kinds_parse("H H C", &k, err));
    FAILS(BF_USAGE, "no element", bf_kinds_parse("H C Xx", &k, err));
    FAILS(BF_USAGE, "at least 3", bf_kinds_parse("H C", &k, err));
    FAILS(BF_USAGE, "at least 3", bf_kinds_parse("", &k, err));
    FAILS(BF_USAGE, "no element", bf_kinds_parse("learned", &k, err));
    ck_assert(bf_kinds_learned("learned") && !bf_kinds_learned("H C N"));
}
END_TEST

START_TEST(reading)
{
    bf_molecules m;
    char text[BF_ELEMENTS_TEXT];
    OK(bf_molecules_read(save("line.xyz"), "learned", 2.0, 0, &m, err));
    bf_kinds_text(&m.kinds, text);
    ck_assert_str_eq(text, "C N O");
    ck_assert_uint_eq(m.count, COUNT);
    ck_assert_uint_eq(m.largest, 11);
    ck_assert_int_eq(atoms_of((int)m.largest_record - 1), 11);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(m.first[i + 1] - m.first[i], (uint64_t)atoms_of(i));
        for (int a = 0; a < atoms_of(i); a++) {
            const float *x = m.x[m.first[i] + (uint64_t)a];
            ck_assert_float_eq_tol(x[0], (float)a - (float)(atoms_of(i) - 1) / 2, 1e-5f);
            ck_assert(x[1] == 0 && x[2] == 0);
            ck_assert_uint_eq(m.kind[m.first[i] + (uint64_t)a], (uint8_t)((i + a) % 3));
        }
    }
    bf_molecules_free(&m);
    OK(bf_molecules_read(save("line.xyz"), "learned", 2.0, 3, &m, err));
    ck_assert_uint_eq(m.count, 3);
    bf_molecules_free(&m);
    FAILS(BF_FILE, "molecule 2, atom 2: O is not among the elements H C N",
          bf_molecules_read(test_path("line.xyz"), "H C N", 2.0, 0, &m, err));
    test_spill(test_path("one.xyz"), "1\n\nBr 0 0 0\n", 12);
    OK(bf_molecules_read(test_path("one.xyz"), "learned", 1.0, 0, &m, err)); /* as many kinds as a flow needs */
    bf_kinds_text(&m.kinds, text);
    ck_assert_str_eq(text, "H C Br");
    bf_molecules_free(&m);
    test_spill(test_path("none.xyz"), "", 0);
    FAILS(BF_FILE, "none.xyz", bf_molecules_read(test_path("none.xyz"), "learned", 1.0, 0, &m, err));
    test_spill(test_path("zero.xyz"), "1\n\nC 0 0 0\n0\n\n", 14);
    FAILS(BF_FILE, "2", bf_molecules_read(test_path("zero.xyz"), "learned", 1.0, 0, &m, err));
    test_spill(test_path("nan.xyz"), "1\n\nC nan 0 0\n", 13);
    FAILS(BF_FILE, "nan.xyz", bf_molecules_read(test_path("nan.xyz"), "learned", 1.0, 0, &m, err));
}
END_TEST

static uint32_t word(const float *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* A block's parts agree with each other; returns its examples. */
static uint64_t check_block(const bf_packed *p, const float *b, uint64_t parts, uint64_t all)
{
    const uint64_t n = bf_packed_examples(p, b);
    const uint64_t end = bf_packed_first(p, b, n);
    double sum = 0;
    ck_assert_uint_eq(word(b + p->offset), 0);
    ck_assert_uint_eq(word(b + p->offset + p->segments), p->items);
    for (uint64_t s = 0; s < p->segments; s++) {
        const uint32_t from = word(b + p->offset + s), to = word(b + p->offset + s + 1);
        ck_assert_uint_le(from, to);
        for (uint32_t i = from; i < to; i++) {
            ck_assert_uint_eq(word(b + p->segment + i), s);
            const double expected = s < n ? (double)(parts * p->items) / ((double)all * (double)(to - from)) : 0.0;
            ck_assert_float_eq_tol(b[p->weight + i], (float)expected, 1e-5f);
            sum += b[p->weight + i];
            for (uint32_t d = 0; s >= n && d < p->dims; d++) ck_assert(b[p->rows + i * p->dims + d] == 0);
        }
    }
    for (uint64_t s = n; s + 1 < p->segments; s++) ck_assert_uint_eq(word(b + p->offset + s), end);
    ck_assert_double_eq_tol(sum, (double)(parts * p->items * n) / (double)all, 1e-3);
    return n;
}

START_TEST(blocks_are_packed)
{
    static const uint64_t capacity[] = {11, 12, 31, 32, 33, 64, 127, 600};
    bf_dataset *ds = open_set(5, 0);
    const bf_molecules *m = bf_dataset_molecules(ds);
    for (size_t c = 0; c < BF_COUNT(capacity); c++) {
        const bf_packed p = bf_packed_of(capacity[c], BF_MOLECULE_DIMS);
        enum { PARTS = 2 };
        float *blocks = calloc(PARTS * p.size, sizeof *blocks);
        uint32_t index[400];
        uint64_t at = 0, next;
        ck_assert_uint_eq(bf_dataset_block(ds, capacity[c]), p.size);
        for (int step = 0; step < 6; step++, at = next) {
            uint64_t n[PARTS], all = 0, k = 0;
            OK(bf_dataset_train_block(ds, at, PARTS, capacity[c], blocks, &next, err));
            ck_assert_uint_gt(next, at);
            OK(bf_dataset_train_rows(ds, at, (uint32_t)(next - at + 1), &(bf_rows){.index = index}, err));
            for (uint64_t i = 0; i < PARTS; i++) n[i] = bf_packed_examples(&p, blocks + i * p.size);
            for (uint64_t i = 0; i < PARTS; i++) all += n[i];
            ck_assert_uint_eq(all, next - at);
            for (uint64_t i = 0; i < PARTS; i++) {
                const float *b = blocks + i * p.size;
                ck_assert_uint_eq(check_block(&p, b, PARTS, all), n[i]);
                for (uint64_t e = 0; e < n[i]; e++, k++) { /* the molecules of the stream, in its order */
                    const uint64_t size = m->first[index[k] + 1] - m->first[index[k]];
                    float rows[11 * BF_MOLECULE_DIMS];
                    ck_assert_uint_eq(bf_packed_first(&p, b, e + 1) - bf_packed_first(&p, b, e), size);
                    bf_molecules_rows(m, index[k], rows);
                    ck_assert_mem_eq(rows, b + p.rows + bf_packed_first(&p, b, e) * BF_MOLECULE_DIMS,
                                     size * BF_MOLECULE_DIMS * sizeof *rows);
                }
                const uint64_t left = capacity[c] - bf_packed_first(&p, b, n[i]); /* the next one did not fit */
                const bool full = n[i] + 1 == p.segments;
                ck_assert(full || m->first[index[k] + 1] - m->first[index[k]] > left);
            }
        }
        free(blocks);
    }
    bf_dataset_free(ds);
}
END_TEST

START_TEST(too_large)
{
    bf_dataset *ds = open_set(5, 0);
    float block[200];
    uint64_t next;
    uint32_t count;
    OK(bf_dataset_fits(ds, "line.xyz", 11, err));
    FAILS(BF_USAGE, "has 11 atoms, a batch of this model holds 10", bf_dataset_fits(ds, "line.xyz", 10, err));
    bool refused = false;
    for (uint64_t at = 0; at < COUNT && !refused; at = next) {
        bf_err err = {0};
        refused = bf_dataset_train_block(ds, at, 1, 10, block, &next, &err) == BF_USAGE;
    }
    ck_assert(refused);
    for (uint64_t i = 0; i < COUNT; i++) /* a block of exactly one */
        if (atoms_of((int)i) == 11) {
            OK(bf_dataset_eval_block(ds, BF_SPLIT_ALL, i, COUNT, 11, 0, block, &count, err));
            ck_assert_uint_eq(count, 1);
            const bf_packed p = bf_packed_of(11, BF_MOLECULE_DIMS);
            ck_assert_uint_eq(check_block(&p, block, 1, 1), 1);
        }
    FAILS(BF_USAGE, "blocks", bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, 1, 0, &(bf_rows){.values = block}, err));
    bf_dataset_free(ds);
}
END_TEST

/* A batch is a function of its position alone. */
START_TEST(stream)
{
    enum { CAPACITY = 40, STEPS = 30 };
    const bf_packed p = bf_packed_of(CAPACITY, BF_MOLECULE_DIMS);
    static float all[STEPS][1024], again[1024];
    uint64_t at[STEPS + 1] = {0}, position, next;
    bf_dataset *ds = open_set(7, 0.1), *other = open_set(8, 0.1);
    bf_loader *l;
    const float *b;
    ck_assert_uint_le(p.size, 1024);
    OK(bf_loader_start(ds, 0, 1, CAPACITY, &l, err));
    for (int i = 0; i < STEPS; i++) {
        OK(bf_loader_next(l, &b, &position, &at[i + 1], err));
        ck_assert_uint_eq(position, at[i]);
        memcpy(all[i], b, p.size * sizeof *b);
    }
    bf_loader_stop(l);
    ck_assert_uint_gt(at[STEPS], 3 * 36); /* several epochs */
    for (int i = STEPS - 1; i >= 0; i -= 3) {
        OK(bf_loader_start(ds, at[i], 1, CAPACITY, &l, err));
        OK(bf_loader_next(l, &b, &position, &next, err));
        ck_assert_uint_eq(next, at[i + 1]);
        ck_assert_mem_eq(b, all[i], p.size * sizeof *b);
        bf_loader_stop(l);
    }
    OK(bf_dataset_train_block(other, 0, 1, CAPACITY, again, &next, err));
    ck_assert_mem_ne(again, all[0], p.size * sizeof *b);
    bf_dataset_free(ds);
    bf_dataset_free(other);
}
END_TEST

START_TEST(held_out)
{
    bf_dataset *a = open_set(1, 0.1), *b = open_set(2, 0.1);
    const bf_dataset_info info = bf_dataset_get_info(a);
    uint32_t held[4], held_b[4], train[COUNT], seen[COUNT] = {0};
    ck_assert(info.count == COUNT && info.validation == 4 && info.train == COUNT - 4 && info.packed);
    ck_assert_uint_eq(info.crc, bf_dataset_get_info(b).crc);
    OK(bf_dataset_eval_rows(a, BF_SPLIT_VALIDATION, 0, 4, 0, &(bf_rows){.index = held}, err));
    OK(bf_dataset_eval_rows(b, BF_SPLIT_VALIDATION, 0, 4, 0, &(bf_rows){.index = held_b}, err));
    ck_assert_mem_eq(held, held_b, sizeof held); /* whatever the run's seed */
    OK(bf_dataset_train_rows(a, 0, COUNT - 4, &(bf_rows){.index = train}, err));
    for (int i = 0; i < 4; i++) seen[held[i]]++;
    for (int i = 0; i < COUNT - 4; i++) seen[train[i]]++;
    for (int i = 0; i < COUNT; i++) ck_assert_uint_eq(seen[i], 1);
    /* one after the other, until there are none left */
    const bf_packed p = bf_packed_of(24, BF_MOLECULE_DIMS);
    float block[512];
    uint32_t count = 0;
    ck_assert_uint_le(p.size, 512);
    for (uint64_t first = 0; first < 4; first += count) {
        OK(bf_dataset_eval_block(a, BF_SPLIT_VALIDATION, first, 4, 24, 0, block, &count, err));
        for (uint64_t e = 0; e < count; e++)
            ck_assert_uint_eq(bf_packed_first(&p, block, e + 1) - bf_packed_first(&p, block, e),
                              (uint64_t)atoms_of((int)held[first + e]));
    }
    bf_dataset_free(a);
    bf_dataset_free(b);
}
END_TEST

START_TEST(sizes)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "[[3]]",
                                      "[[3,1,1]]",
                                      "[[0,1]]",
                                      "[[3,0]]",
                                      "[[3,1],[3,1]]",
                                      "[[5,1],[3,1]]",
                                      "[[3,-1]]",
                                      "[[70000,1]]",
                                      "[3]",
                                      "[[3,1.5]]"};
    bf_dataset *ds = open_set(1, 0.1);
    bf_sizes s = {0}, again = {0};
    char *text = NULL;
    uint64_t count[12] = {0}, of_train = 0;
    OK(bf_sizes_of(ds, &s, err));
    OK(bf_sizes_text(&s, &text, err));
    OK(bf_sizes_parse(text, "model", &again, err));
    ck_assert(again.n == s.n && again.total == s.total && s.total == COUNT - 4);
    ck_assert_mem_eq(again.size, s.size, s.n * sizeof *s.size);
    ck_assert_uint_eq(bf_sizes_largest(&s), 11);
    for (uint64_t i = 0; i < s.total; i++) count[bf_sizes_draw(&s, ((double)i + 0.5) / (double)s.total)]++;
    for (size_t i = 0; i < s.n; i++) {
        ck_assert_uint_eq(count[s.size[i].atoms], s.size[i].count); /* each as often as it is in the data */
        of_train += s.size[i].count;
    }
    ck_assert_uint_eq(of_train, COUNT - 4);
    ck_assert_uint_eq(bf_sizes_draw(&s, 0.0), s.size[0].atoms);
    ck_assert_uint_eq(bf_sizes_draw(&s, 1.0), 11);
    for (size_t i = 0; i < BF_COUNT(bad); i++) FAILS(BF_FILE, "model", bf_sizes_parse(bad[i], "model", &again, err));
    free(text);
    bf_sizes_free(&s);
    bf_sizes_free(&again);
    bf_dataset_free(ds);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("molecules");
    TCase *c = tcase_create("molecules");
    tcase_add_test(c, kinds);
    tcase_add_test(c, reading);
    tcase_add_test(c, blocks_are_packed);
    tcase_add_test(c, too_large);
    tcase_add_test(c, stream);
    tcase_add_test(c, held_out);
    tcase_add_test(c, sizes);
    tcase_set_timeout(c, 30);
    suite_add_tcase(s, c);
    return test_main(s);
}
