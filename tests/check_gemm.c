/* Matrix products of both providers and both device classes against the definition. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "device/gemm.h"
#include "ref/gemm.h"
#include "support.h"

/* Steps of k times tiles (of 64 x 64) of the largest product when every work-item is simulated. */
#define QUICK_TILE_STEPS 35

/* A sum that is cut into parts. */
#define CUT_K 1030

static float *random_floats(size_t n, uint32_t seed)
{
    float *x = malloc((n + 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    test_fill(x, n, seed);
    return x;
}

/* Floats of a stored matrix with the pitches of a test: rows x ld, `batch` times. */
static size_t floats(int rows, int ld, int batch, uint64_t stride)
{
    return (size_t)((uint64_t)(batch - 1) * stride) + (size_t)rows * (size_t)ld;
}

/* Runs *g on ctx and compares C and pre, padding columns included; with beta = 0 C holds NaN before. */
static void check_product(bf_ctx *ctx, const bf_gemm *g)
{
    const int lda = g->lda ? g->lda : g->trans_a ? g->m : g->k, batch = g->batch ? g->batch : 1;
    const int ldb = g->ldb ? g->ldb : g->trans_b ? g->k : g->n, ldc = g->ldc ? g->ldc : g->n;
    const double tiles = (double)bf_ceil_div((uint64_t)g->m, 64) * (double)bf_ceil_div((uint64_t)g->n, 64) * batch;
    /* Two such sums stay, whose parts are folded. */
    const bool cut = g->k == CUT_K && (g->act == BF_ACT_SILU || g->m < 10);
    if (test_quick() && tiles * g->k > QUICK_TILE_STEPS && !cut) return;
    const size_t na = floats(g->trans_a ? g->k : g->m, lda, batch, g->stride_a);
    const size_t nb = floats(g->trans_b ? g->n : g->k, ldb, batch, g->stride_b);
    const size_t nc = floats(g->m, ldc, batch, g->stride_c);
    float *a = random_floats(na, 1), *b = random_floats(nb, 2), *bias = random_floats((size_t)g->n, 3);
    float *residual = random_floats(nc, 4), *c = random_floats(nc, 5), *pre = random_floats(nc, 6);
    float *got = random_floats(nc, 7);
    char what[160];
    if (g->beta == 0.0f)
        for (size_t i = 0; i < nc; i++)
            if ((int)(i % (size_t)ldc) < g->n) c[i] = NAN;
    const uint64_t need = bf_gemm_workspace(ctx, g);
    test_tensor ta = test_new(ctx, na, a), tb = test_new(ctx, nb, b), tc = test_new(ctx, nc, c);
    test_tensor tbias = test_new(ctx, (size_t)g->n, bias), tres = test_new(ctx, nc, residual);
    test_tensor tpre = test_new(ctx, nc, pre), tw = test_new(ctx, (size_t)need / 4 + 1, NULL);
    const bf_gemm_mem mem = {.c = tc.mem,
                             .a = ta.mem,
                             .b = tb.mem,
                             .bias = g->bias ? tbias.mem : BF_MEM_NONE,
                             .residual = g->residual ? tres.mem : BF_MEM_NONE,
                             .pre = g->save_pre ? tpre.mem : BF_MEM_NONE,
                             .workspace = tw.mem};
    bf_cmds *cmds;
    OK(bf_cmds_new(ctx, &cmds, err));
    OK(bf_cmds_gemm(cmds, g, &mem, err));
    test_run(cmds);
    ref_gemm(g, c, a, b, bias, residual, pre);
    snprintf(what, sizeof what, "%s%s %dx%dx%d batch %d ld %d %d %d beta %g act %d", g->trans_a ? "t" : "n",
             g->trans_b ? "t" : "n", g->m, g->n, g->k, batch, lda, ldb, ldc, (double)g->beta, (int)g->act);
    test_get(ctx, &tc, got);
    test_close(what, got, c, nc, 1e-6, 3e-7 * (4.0 + sqrt(g->k)));
    test_get(ctx, &tpre, got);
    test_close(what, got, pre, nc, 1e-6, 3e-7 * (4.0 + sqrt(g->k)));
    test_get(ctx, &tw, got = realloc(got, (tw.n + nc) * sizeof *got)); /* sentinels around the workspace */
    test_tensor *all[] = {&ta, &tb, &tc, &tbias, &tres, &tpre, &tw};
    for (size_t i = 0; i < BF_COUNT(all); i++) test_free(all[i]);
    float *host[] = {a, b, bias, residual, c, pre, got};
    for (size_t i = 0; i < BF_COUNT(host); i++) free(host[i]);
}

/* Sizes around every edge of the tiles (12, 32, 64), one, primes, and a sum long enough to be cut. */
static void check_sizes(bf_ctx *ctx)
{
    static const int sizes[][3] = {{1, 1, 1},       {1, 33, 7},    {31, 1, 65},  {12, 32, 16},   {13, 31, 17},
                                   {24, 64, 33},    {63, 65, 64},  {65, 63, 2},  {37, 48, 400},  {8, 16, 31},
                                   {4, 17, 5},      {48, 128, 64}, {97, 101, 3}, {200, 96, 130}, {5, 33, 1500},
                                   {200, 1168, 20}, {67, 129, 40}, {13, 800, 31}};
    for (size_t i = 0; i < BF_COUNT(sizes); i++) {
        for (int half = 0; half < 2; half++) {
            const int t = half ? 3 - (int)(i % 4) : (int)(i % 4); /* two of the four transposes each */
            const bf_gemm g = {.m = sizes[i][0],
                               .n = sizes[i][1],
                               .k = sizes[i][2],
                               .trans_a = t & 1,
                               .trans_b = t >> 1,
                               .alpha = 1.0f};
            check_product(ctx, &g);
        }
    }
}

/* Pitches wider than the rows, alpha and beta, batches with gaps and with a shared factor. */
static void check_strides(bf_ctx *ctx)
{
    for (int t = 0; t < 4; t++) {
        const int ta = t & 1, tb = t >> 1;
        bf_gemm g = {.m = 29, .n = 45, .k = 19, .trans_a = ta, .trans_b = tb, .alpha = -0.5f, .beta = 1.0f};
        g.lda = (ta ? g.m : g.k) + 3;
        g.ldb = (tb ? g.k : g.n) + 5;
        g.ldc = g.n + 7;
        check_product(ctx, &g);
        g.beta = 0.25f;
        g.batch = 3;
        g.stride_a = (uint64_t)g.lda * (uint64_t)(ta ? g.k : g.m) + 11;
        g.stride_b = (uint64_t)g.ldb * (uint64_t)(tb ? g.n : g.k) + 2;
        g.stride_c = (uint64_t)g.ldc * (uint64_t)g.m + 1;
        check_product(ctx, &g);
        g.beta = 0.0f;
        g.stride_b = 0;
        check_product(ctx, &g);
        g.stride_a = 0;
        check_product(ctx, &g);
    }
    const bf_gemm long_sum = {.m = 7,
                              .n = 9,
                              .k = CUT_K,
                              .batch = 2,
                              .stride_a = 7 * CUT_K,
                              .stride_b = 9 * CUT_K,
                              .stride_c = 70,
                              .ldc = 10,
                              .alpha = 2.0f,
                              .beta = -1.0f};
    check_product(ctx, &long_sum);
}

static void check_epilogues(bf_ctx *ctx)
{
    for (int act = BF_ACT_NONE; act <= BF_ACT_RELU; act++) {
        bf_gemm g = {.m = 26, .n = 37, .k = 23, .alpha = 1.0f, .act = (bf_act)act, .bias = true, .save_pre = act != 0};
        check_product(ctx, &g);
        g.residual = true;
        g.ldc = 40;
        check_product(ctx, &g);
        g.bias = false;
        g.k = CUT_K;
        check_product(ctx, &g);
        g.residual = false;
        g.k = 450; /* two runs */
        g.beta = 0.5f;
        check_product(ctx, &g);
    }
}

START_TEST(packed_sizes)
{
    TEST_BOTH(ctx)
    {
        check_sizes(ctx);
    }
}
END_TEST

START_TEST(packed_strides)
{
    TEST_BOTH(ctx)
    {
        check_strides(ctx);
    }
}
END_TEST

START_TEST(packed_epilogues)
{
    TEST_BOTH(ctx)
    {
        check_epilogues(ctx);
    }
}
END_TEST

START_TEST(empty_products)
{
    TEST_BOTH(ctx)
    {
        const bf_gemm no_rows = {.m = 0, .n = 3, .k = 4, .alpha = 1.0f};
        const bf_gemm no_sum = {.m = 5, .n = 3, .k = 0, .alpha = 1.0f, .bias = true};
        const bf_gemm no_sum_beta = {.m = 5, .n = 3, .k = 0, .lda = 1, .alpha = 1.0f, .beta = 2.0f};
        check_product(ctx, &no_rows);
        check_product(ctx, &no_sum);
        check_product(ctx, &no_sum_beta);
    }
}
END_TEST

START_TEST(selftest_passes)
{
    TEST_BOTH(ctx)
    {
        OK(bf_gemm_selftest(ctx, err));
    }
}
END_TEST

/* Every size of pieces that tuning may choose: edges inside, at and past a piece, all transpositions. */
START_TEST(pieces_of_any_size)
{
    static const bf_gemm_tile wide[] = {{32, 64, 32, 32}, {128, 64, 4, 256}, {16, 16, 16, 16}, {64, 64, 20, 16}};
    static const bf_gemm_tile cpu[] = {{1, 1, 0, 0}, {8, 24, 0, 0}, {64, 4, 0, 0}, {256, 64, 0, 0}};
    TEST_BOTH(ctx)
    {
        const bool is_cpu = bf_ctx_class(ctx) == BF_CLASS_CPU;
        const bf_gemm_tile *tiles = is_cpu ? cpu : wide;
        for (size_t i = 0; i < (is_cpu ? BF_COUNT(cpu) : BF_COUNT(wide)); i++) {
            const bf_gemm_how how = {.provider = BF_GEMM_PACKED, .tile = tiles[i]};
            if (!bf_gemm_tile_ok(ctx, &tiles[i])) continue;
            bf_ctx_force_gemm(ctx, &how);
            for (int t = 0; t < 4; t++) {
                bf_gemm g = {.m = 65, .n = 33, .k = 31, .trans_a = t & 1, .trans_b = t >> 1, .alpha = 1.0f};
                check_product(ctx, &g);
                g = (bf_gemm){.m = 31,
                              .n = 130,
                              .k = 64,
                              .trans_a = t & 1,
                              .trans_b = t >> 1,
                              .alpha = -0.5f,
                              .beta = 2.0f,
                              .bias = true,
                              .save_pre = true};
                check_product(ctx, &g);
            }
            bf_ctx_force_gemm(ctx, NULL);
        }
        const bf_gemm_tile bad[] = {{64, 64, 16, 48}, {24, 64, 16, 64},  {64, 64, 2, 64},
                                    {-1, 64, 16, 64}, {64, 64, 16, 512}, {0, 0, 0, 1}};
        for (size_t i = 0; i < BF_COUNT(bad); i++) ck_assert(!bf_gemm_tile_ok(ctx, &bad[i]));
    }
}
END_TEST

START_TEST(wrong_use_is_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    test_tensor t = test_new(ctx, 64, NULL);
    bf_cmds *cmds;
    bf_err e = {0};
    bf_gemm g = {.m = 8, .n = 8, .k = 9, .alpha = 1.0f};
    bf_gemm_mem mem = {.c = t.mem, .a = t.mem, .b = t.mem};
    OK(bf_cmds_new(ctx, &cmds, err));
    mem.a = (bf_mem){t.buf, t.mem.off + 64 * 4}; /* 72 floats wanted */
    ck_assert_int_eq(bf_cmds_gemm(cmds, &g, &mem, &e), BF_RUNTIME);
    ck_assert_ptr_nonnull(strstr(e.message, "gemm, A"));
    g.k = 8;
    g.lda = 7;
    mem.a = t.mem;
    ck_assert_int_eq(bf_cmds_gemm(cmds, &g, &mem, &e), BF_RUNTIME);
    g.lda = 0;
    g.residual = true;
    g.beta = 1.0f;
    ck_assert_int_eq(bf_cmds_gemm(cmds, &g, &mem, &e), BF_RUNTIME);
    ck_assert_uint_eq(bf_cmds_count(cmds), 0);
    bf_cmds_free(cmds);
    test_free(&t);
}
END_TEST

/* CLBlast compiles each of its kernels for seconds on POCL: two shapes in one context, the rest with
 * BFNCL_TEST_LONG=1. */
START_TEST(clblast)
{
    const char *device = getenv("BFNCL_TEST_DEVICE");
    const bf_ctx_options o = {.selector = device ? device : "pocl:0", .cls = BF_CLASS_WIDE, .gemm = BF_GEMM_CLBLAST};
    bf_gemm g = {.m = 33, .n = 21, .k = 17, .alpha = 0.5f, .ldc = 24};
    bf_gemm epilogue = {
        .m = 31, .n = 33, .k = 12, .alpha = 1.0f, .act = BF_ACT_SILU, .bias = true, .residual = true, .save_pre = true};
    const bf_gemm batched = {
        .m = 15, .n = 16, .k = 9, .batch = 3, .stride_a = 135, .stride_b = 144, .stride_c = 240, .alpha = 1.0f};
    bf_ctx *ctx;
    if (test_quick()) return; /* kernels of CLBlast are not ours to check */
    OK(bf_ctx_open(&o, &ctx, err));
    check_product(ctx, &g);
    g.beta = -2.0f;
    check_product(ctx, &g);
    check_product(ctx, &epilogue);
    epilogue.k = 0;
    check_product(ctx, &epilogue);
    if (getenv("BFNCL_TEST_LONG") != NULL) {
        OK(bf_gemm_selftest(ctx, err));
        check_product(ctx, &batched);
        for (int t = 1; t < 4; t++) {
            g.trans_a = t & 1;
            g.trans_b = t >> 1;
            check_product(ctx, &g);
        }
    }
    bf_ctx_close(ctx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gemm");
    TCase *packed = tcase_create("packed"), *both = tcase_create("both"), *blast = tcase_create("clblast");
    tcase_add_test(packed, packed_sizes);
    tcase_add_test(packed, packed_strides);
    tcase_add_test(packed, packed_epilogues);
    tcase_add_test(packed, pieces_of_any_size);
    tcase_add_test(both, empty_products);
    tcase_add_test(both, selftest_passes);
    tcase_add_test(both, wrong_use_is_refused);
    tcase_add_test(blast, clblast);
    TCase *all[] = {packed, both, blast};
    for (size_t i = 0; i < BF_COUNT(all); i++) {
        tcase_set_timeout(all[i], 120);
        suite_add_tcase(s, all[i]);
    }
    return test_main(s);
}
