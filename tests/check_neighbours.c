/* Neighbours inside segments and the lists of who is whose neighbour, against sorting. */
#include "io/safetensors.h"
#include "op_test.h"
#include "ref/neighbours.h"

/* How points lie. */
typedef enum cloud { SPREAD, ON_A_GRID, TWO_PLACES, ONE_PLACE, NOT_FINITE } cloud;

typedef struct shape {
    uint32_t size[8]; /* of the segments */
    int segments, k;
    cloud cloud;
} shape;

/* Those of a quick run stand first. */
static const shape shapes[] = {{{1}, 1, 1, SPREAD},
                               {{2, 0, 1, 3}, 4, 1, SPREAD},
                               {{97, 0, 7}, 3, 1, NOT_FINITE},
                               {{33, 35}, 2, 32, ONE_PLACE},
                               {{31, 32, 33, 0}, 4, 32, SPREAD},
                               {{63, 64, 65}, 3, 32, SPREAD},
                               {{0, 7, 97, 0, 16}, 5, 8, SPREAD},
                               {{101, 43}, 2, 15, ON_A_GRID},
                               {{375, 350, 24}, 3, 32, SPREAD},
                               {{120, 300}, 2, 5, TWO_PLACES},
                               {{33, 34, 35, 200}, 4, 32, ONE_PLACE},
                               {{50, 130}, 2, 16, NOT_FINITE},
                               {{257, 300}, 2, 127, ON_A_GRID},
                               {{2003, 17}, 2, 32, SPREAD}};
#define QUICK_SHAPES 4

static float *points(const shape *s, size_t n)
{
    float *x = malloc(3 * n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    test_fill(x, 3 * n, 7);
    for (size_t i = 0; i < 3 * n; i++) {
        if (s->cloud == ON_A_GRID) x[i] = rintf(2 * x[i]); /* many equal distances */
        if (s->cloud == TWO_PLACES) x[i] = i / 3 % 3 == 0 ? 0.1f : 0.2f;
        if (s->cloud == ONE_PLACE) x[i] = 0.3f;
    }
    if (s->cloud == NOT_FINITE)
        for (size_t i = 0; i < n; i += 5) x[3 * i + i % 3] = i % 2 ? NAN : i % 4 ? INFINITY : -3e38f;
    return x;
}

static void expect_words(bf_ctx *ctx, const char *what, test_tensor *t, const uint32_t *want, size_t n)
{
    float *f = malloc(t->n * sizeof *f);
    uint32_t got;
    ck_assert_ptr_nonnull(f);
    test_get(ctx, t, f);
    for (size_t i = 0; i < n; i++) {
        memcpy(&got, f + i, sizeof got);
        ck_assert_msg(got == want[i], "class %d %s: word %zu is %u, expected %u", (int)bf_ctx_class(ctx), what, i, got,
                      want[i]);
    }
    free(f);
}

/* Runs the op on points x and compares with the edges given. */
static void check_edges(bf_ctx *ctx, const float *x, const uint32_t *offset, size_t segments, int k,
                        const uint32_t *src, const uint32_t *count)
{
    const size_t n = offset[segments], slots = (size_t)k + 1, edges = n * slots;
    uint32_t *segment = malloc(n * sizeof *segment);
    uint32_t *rev_offset = malloc((n + 1) * sizeof *rev_offset), *rev_edge = malloc(edges * sizeof *rev_edge);
    for (uint32_t s = 0; s < segments; s++)
        for (uint32_t i = offset[s]; i < offset[s + 1]; i++) segment[i] = s;
    ref_reverse(rev_offset, rev_edge, src, n, (int)slots);

    test_tensor tx = test_new(ctx, 3 * n, x), toffset = op_words(ctx, segments + 1, offset);
    test_tensor tsegment = op_words(ctx, n, segment), tsrc = op_words(ctx, edges, NULL),
                tcount = op_words(ctx, n, NULL);
    test_tensor trev = op_words(ctx, n + 1, NULL), tedge = op_words(ctx, edges, NULL);
    const bf_neighbours s = {n, segments, k, toffset.mem, tsegment.mem};
    test_tensor ws = op_workspace(ctx, bf_neighbours_workspace(&s));
    bf_cmds *c = op_cmds(ctx);
    OK(bf_neighbours_find(c, &s, tsrc.mem, tcount.mem, tx.mem, ws.mem, err));
    OK(bf_neighbours_reverse(c, &s, trev.mem, tedge.mem, tsrc.mem, tcount.mem, ws.mem, err));
    test_run(c);
    expect_words(ctx, "src", &tsrc, src, edges);
    expect_words(ctx, "count", &tcount, count, n);
    expect_words(ctx, "rev_offset", &trev, rev_offset, n + 1);
    expect_words(ctx, "rev_edge", &tedge, rev_edge, rev_offset[n]);
    test_tensor *all[] = {&tx, &toffset, &tsegment, &tsrc, &tcount, &trev, &tedge};
    for (size_t i = 0; i < BF_COUNT(all); i++) test_free(all[i]);
    op_workspace_free(ctx, &ws);
    free(segment), free(rev_offset), free(rev_edge);
}

static void check_shape(bf_ctx *ctx, const shape *s)
{
    uint32_t offset[9] = {0};
    for (int i = 0; i < s->segments; i++) offset[i + 1] = offset[i] + s->size[i];
    const size_t n = offset[s->segments];
    uint32_t *src = malloc(n * ((size_t)s->k + 1) * sizeof *src), *count = malloc(n * sizeof *count);
    float *x = points(s, n);
    ref_neighbours(src, count, x, offset, (size_t)s->segments, s->k);
    check_edges(ctx, x, offset, (size_t)s->segments, s->k, src, count);
    free(src), free(count), free(x);
}

START_TEST(neighbours)
{
    TEST_BOTH(ctx)
    for (size_t i = 0; i < (test_quick() ? QUICK_SHAPES : BF_COUNT(shapes)); i++) check_shape(ctx, &shapes[i]);
}
END_TEST

static int32_t *read_i32(const bf_st *file, const char *name, size_t *n)
{
    const bf_st_tensor *t = bf_st_find(file, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    int32_t *x = malloc((t->count + 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    OK(bf_st_read_i32(file, t, x, err));
    *n = t->count;
    return x;
}

static float *read_f32(const bf_st *file, const char *name)
{
    const bf_st_tensor *t = bf_st_find(file, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    float *x = malloc((t->count + 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    OK(bf_st_read_f32(file, t, x, err));
    return x;
}

/* The graph of the official code, pocket atoms in front of the ligand's; in one complex all of the ligand's atoms are
 * at one point, so that some keep k + 1 edges. */
START_TEST(golden_edges)
{
    bf_st *file = NULL;
    OK(bf_st_open("tests/golden/molcraft/net_notime.safetensors", &file, err));
    enum { K = 4, SLOTS = K + 1 };
    size_t n, edges;
    int32_t *batch = read_i32(file, "node_batch", &n), *ligand = read_i32(file, "node_ligand", &n);
    int32_t *from = read_i32(file, "edge_src", &edges), *to = read_i32(file, "edge_dst", &edges);
    float *pocket = read_f32(file, "protein_pos"), *mu = read_f32(file, "mu");
    float *x = malloc(3 * n * sizeof *x);
    uint32_t *src = malloc(n * SLOTS * sizeof *src), *count = calloc(n, sizeof *count), offset[8] = {0};
    for (size_t i = 0, p = 0, l = 0; i < n; i++) {
        memcpy(x + 3 * i, ligand[i] ? mu + 3 * l++ : pocket + 3 * p++, 3 * sizeof *x);
        offset[batch[i] + 1] = (uint32_t)i + 1;
    }
    memset(src, 0xff, n * SLOTS * sizeof *src);
    for (size_t e = 0; e < edges; e++) src[to[e] * SLOTS + (int)count[to[e]]++] = (uint32_t)from[e];
    ck_assert_uint_gt(edges, K * n);
    TEST_BOTH(ctx) check_edges(ctx, x, offset, (size_t)batch[n - 1] + 1, K, src, count);
    free(batch), free(ligand), free(from), free(to), free(pocket), free(mu), free(x), free(src), free(count);
    bf_st_close(file);
}
END_TEST

/* Where more than k others coincide with an item that is not among the first k + 1, it keeps k + 1 edges. */
START_TEST(coincident_items_keep_one_more)
{
    const float x[5 * 3] = {0};
    const uint32_t offset[2] = {0, 5};
    uint32_t src[5 * 3], count[5];
    ref_neighbours(src, count, x, offset, 1, 2);
    ck_assert_mem_eq(count, ((uint32_t[]){2, 2, 2, 3, 3}), sizeof count);
    ck_assert_mem_eq(src + 3, ((uint32_t[]){0, 2, UINT32_MAX}), 12);
    ck_assert_mem_eq(src + 12, ((uint32_t[]){0, 1, 2}), 12);
}
END_TEST

START_TEST(impossible_numbers_are_refused)
{
    static const bf_neighbours bad[] = {{.items = 4, .segments = 1, .k = 0},
                                        {.items = 4, .segments = 1, .k = BF_NEIGHBOURS_MOST + 1},
                                        {.items = 0, .segments = 1, .k = 1},
                                        {.items = 4, .segments = 0, .k = 1},
                                        {.items = UINT64_C(1) << 30, .segments = 1, .k = 3}};
    TEST_BOTH(ctx)
    {
        test_tensor t = test_new(ctx, 64, NULL);
        bf_cmds *c = op_cmds(ctx);
        for (size_t i = 0; i < BF_COUNT(bad); i++) {
            bf_err e = {0};
            ck_assert_int_eq(bf_neighbours_find(c, &bad[i], t.mem, t.mem, t.mem, t.mem, &e), BF_USAGE);
            ck_assert_int_eq(bf_neighbours_reverse(c, &bad[i], t.mem, t.mem, t.mem, t.mem, t.mem, &e), BF_USAGE);
        }
        ck_assert_uint_eq(bf_cmds_count(c), 0);
        bf_cmds_free(c);
        test_free(&t);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {neighbours, golden_edges, coincident_items_keep_one_more,
                                  impossible_numbers_are_refused};
    return op_main("neighbours", tests, BF_COUNT(tests));
}
