#include "io/safetensors.h"
#include "op_test.h"
#include "ref/code.h"

#define GOLDEN "tests/golden/nets/embeddings_a.safetensors"

/* The angular speeds of a code on the device. */
static op_tensor speeds(bf_ctx *ctx, int kind, int dim)
{
    float *f = malloc((size_t)dim * sizeof *f);
    ck_assert_ptr_nonnull(f);
    OK(bf_time_code_speeds((bf_time_code)kind, f, dim, err));
    return op_from(ctx, (size_t)dim, f);
}

static const int widths[] = {2, 4, 16, 31, 32, 33, 65, 128, 514};

/* The angle is a float32 product up to 4000: half an ulp of it (1.2e-4) and the roundings of the speed (2e-4) show. */
#define ANGLE_TOLERANCE 1e-3

START_TEST(time_codes)
{
    TEST_BOTH(ctx)
    for (int kind = BF_CODE_UNET; kind <= BF_CODE_POSITION; kind++)
        for (size_t k = 0; k < BF_COUNT(widths); k++) {
            const int dim = widths[k], batch = 7;
            const size_t n = (size_t)(dim * batch);
            if (kind == BF_CODE_VDM && dim % 2) continue;
            op_tensor t = op_rand(ctx, (size_t)batch, 0.5f, 0.5f, 1), y = op_out(ctx, n, false, 0);
            op_tensor speed = speeds(ctx, kind, dim);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_time_code_forward(c, (bf_time_code)kind, y.mem, t.mem, speed.mem, batch, dim, err));
            test_run(c);
            double *want = malloc(n * sizeof *want);
            for (size_t i = 0; i < n; i++)
                want[i] = ref_time_code(kind, t.d[i / (size_t)dim], dim, (int)(i % (size_t)dim));
            op_expect(ctx, "code", &y, false, want, ANGLE_TOLERANCE);
            free(want);
            op_free(&t);
            op_free(&speed);
            op_free(&y);
        }
}
END_TEST

/* At small times the angles are exact enough to hold the kernel to float32 rounding. */
START_TEST(small_times_are_accurate)
{
    TEST_BOTH(ctx)
    {
        op_tensor t = op_rand(ctx, 5, 5e-4f, 5e-4f, 1), y = op_out(ctx, 5 * 64, false, 0);
        op_tensor speed = speeds(ctx, BF_CODE_UNET, 64);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_time_code_forward(c, BF_CODE_UNET, y.mem, t.mem, speed.mem, 5, 64, err));
        test_run(c);
        double want[5 * 64];
        for (size_t i = 0; i < 5 * 64; i++) want[i] = ref_time_code(0, t.d[i / 64], 64, (int)(i % 64));
        op_expect(ctx, "code", &y, false, want, 2e-6);
        op_free(&t);
        op_free(&speed);
        op_free(&y);
    }
}
END_TEST

START_TEST(time_code_gradient)
{
    TEST_BOTH(ctx)
    for (int kind = BF_CODE_UNET; kind <= BF_CODE_POSITION; kind++)
        for (int acc = 0; acc < 2; acc++) {
            const int dim = kind == BF_CODE_VDM ? 34 : 33, batch = 3;
            op_tensor t = op_rand(ctx, (size_t)batch, 2e-3f, 2e-3f, 1), dt = op_out(ctx, (size_t)batch, acc, 5);
            op_tensor dy = op_rand(ctx, (size_t)(dim * batch), 0, 1, 2), speed = speeds(ctx, kind, dim);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_time_code_backward(c, (bf_time_code)kind, dt.mem, acc, dy.mem, t.mem, speed.mem, batch, dim, err));
            test_run(c);
            double want[3] = {0};
            for (int b = 0; b < batch; b++)
                for (int i = 0; i < dim; i++) {
                    const double h = 1e-8, at = t.d[b];
                    want[b] += dy.d[b * dim + i] *
                               (ref_time_code(kind, at + h, dim, i) - ref_time_code(kind, at - h, dim, i)) / (2 * h);
                }
            op_expect(ctx, "dt", &dt, acc, want, 2e-5);
            op_free(&t);
            op_free(&dt);
            op_free(&dy);
            op_free(&speed);
        }
}
END_TEST

/* The official code's values: times up to 1, an odd width among them; to an ulp of the largest angle, since a few
 * speeds differ in their last bit. */
START_TEST(golden_embeddings)
{
    static const struct {
        const char *name;
        int kind, dim;
    } cases[] = {{"unet_model.dim32", 0, 32},
                 {"unet_model.dim33", 0, 33},
                 {"unet_model.dim128", 0, 128},
                 {"unet_vdm.dim16", 1, 16},
                 {"unet_vdm.dim128", 1, 128}};
    bf_st *file = NULL;
    OK(bf_st_open(GOLDEN, &file, err));
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(cases); k++) {
        const int dim = cases[k].dim;
        float t[16], *want = malloc(16 * (size_t)dim * sizeof *want), *got = malloc(16 * (size_t)dim * sizeof *got);
        OK(bf_st_read_f32(file, bf_st_find(file, "t"), t, err));
        OK(bf_st_read_f32(file, bf_st_find(file, cases[k].name), want, err));
        test_tensor tt = test_new(ctx, 16, t), y = test_new(ctx, 16 * (size_t)dim, NULL);
        op_tensor speed = speeds(ctx, cases[k].kind, dim);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_time_code_forward(c, (bf_time_code)cases[k].kind, y.mem, tt.mem, speed.mem, 16, dim, err));
        test_run(c);
        test_get(ctx, &y, got);
        test_close(cases[k].name, got, want, 16 * (size_t)dim, 2.5e-4, 0);
        test_free(&tt);
        test_free(&y);
        op_free(&speed);
        free(want);
        free(got);
    }
    bf_st_close(file);
}
END_TEST

START_TEST(fourier_features)
{
    static const struct {
        size_t rows;
        int cx;
    } shapes[] = {{1, 1}, {31, 3}, {1024, 1}, {345, 3}, {64, 17}, {3, 1031}};
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(shapes); k++) {
        const size_t rows = shapes[k].rows, cx = (size_t)shapes[k].cx, n = rows * cx;
        const bool acc = k % 2;
        op_tensor x = op_rand(ctx, n, 0, 2, 1), y = op_out(ctx, 4 * n, false, 0);
        op_tensor dy = op_rand(ctx, 4 * n, 0, 1, 2), dx = op_out(ctx, n, acc, 3);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_fourier_forward(c, y.mem, x.mem, rows, (int)cx, err));
        OK(bf_fourier_backward(c, dx.mem, acc, dy.mem, x.mem, rows, (int)cx, err));
        test_run(c);
        double *want = malloc(4 * n * sizeof *want), *slope = calloc(n, sizeof *slope);
        for (size_t i = 0; i < 4 * n; i++) {
            const size_t r = i / (4 * cx), at = r * cx + i % cx;
            const int part = (int)(i / cx % 4);
            const double h = 1e-8;
            want[i] = ref_fourier(x.d[at], part);
            slope[at] += dy.d[i] * (ref_fourier(x.d[at] + h, part) - ref_fourier(x.d[at] - h, part)) / (2 * h);
        }
        op_expect(ctx, "fourier", &y, false, want, 1e-4); /* angles up to 804: half an ulp is 3e-5 */
        op_expect(ctx, "dx", &dx, acc, slope, 1e-4);
        op_tensor *all[] = {&x, &y, &dy, &dx};
        for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
        free(want);
        free(slope);
    }
}
END_TEST

/* batch, points, cx, t given, cp */
static const int features[][5] = {{1, 1, 1, 1, 0},    {3, 49, 1, 1, 0},   {2, 64, 3, 0, 18}, {48, 31, 2, 1, 33},
                                  {2, 300, 16, 1, 0}, {3, 37, 1, 1, 257}, {1, 5003, 1, 1, 0}};

START_TEST(features_forward_and_backward)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < BF_COUNT(features); k++) {
        const int *s = features[k], batch = s[0], points = s[1], cx = s[2], ct = s[3], cp = s[4], cy = cx + ct + cp;
        const size_t rows = (size_t)(batch * points), np = (size_t)(points * cp);
        const bool acc = k % 2;
        op_tensor x = op_rand(ctx, rows * (size_t)cx, 0, 1, 1), t = op_rand(ctx, (size_t)batch, 0.5f, 0.5f, 2);
        op_tensor pos = op_rand(ctx, np, 0, 1, 3), y = op_out(ctx, rows * (size_t)cy, false, 0);
        op_tensor dy = op_rand(ctx, rows * (size_t)cy, 0, 1, 4), dx = op_out(ctx, rows * (size_t)cx, acc, 5);
        op_tensor dt = op_out(ctx, rows, acc, 6), dpos = op_out(ctx, np, acc, 7);
        bf_cmds *c = op_cmds(ctx);
        OK(bf_features_forward(c, y.mem, x.mem, ct ? t.mem : BF_MEM_NONE, cp ? pos.mem : BF_MEM_NONE, batch, points, cx,
                               cp, err));
        OK(bf_features_backward(c, dx.mem, acc, ct ? dt.mem : BF_MEM_NONE, acc, cp ? dpos.mem : BF_MEM_NONE, acc,
                                dy.mem, ct, batch, points, cx, cp, err));
        test_run(c);
        double *want = malloc(rows * (size_t)cy * sizeof *want), *wx = malloc(rows * (size_t)cx * sizeof *wx);
        double *wt = malloc(rows * sizeof *wt), *wp = calloc(np + 1, sizeof *wp);
        for (size_t r = 0; r < rows; r++)
            for (int i = 0; i < cy; i++) {
                const size_t p = r % (size_t)points, at = r * (size_t)cy + (size_t)i;
                if (i < cx) {
                    want[at] = x.d[r * (size_t)cx + (size_t)i];
                    wx[r * (size_t)cx + (size_t)i] = dy.d[at];
                } else if (ct && i == cx) {
                    want[at] = 2 * t.d[r / (size_t)points] - 1;
                    wt[r] = 2 * dy.d[at];
                } else {
                    want[at] = pos.d[p * (size_t)cp + (size_t)(i - cx - ct)];
                    wp[p * (size_t)cp + (size_t)(i - cx - ct)] += dy.d[at];
                }
            }
        op_expect(ctx, "y", &y, false, want, 1e-7);
        op_expect(ctx, "dx", &dx, acc, wx, 1e-7);
        if (ct) op_expect(ctx, "dt", &dt, acc, wt, 1e-7);
        if (cp) op_expect(ctx, "dpos", &dpos, acc, wp, 1e-6);
        op_tensor *all[] = {&x, &t, &pos, &y, &dy, &dx, &dt, &dpos};
        for (size_t i = 0; i < BF_COUNT(all); i++) op_free(all[i]);
        free(want);
        free(wx);
        free(wt);
        free(wp);
    }
}
END_TEST

START_TEST(time_bins)
{
    TEST_BOTH(ctx)
    for (size_t k = 0; k < 6; k++)
        for (int acc = 0; acc < 2; acc++) {
            const int dim = widths[k], batch = 65;
            const size_t n = (size_t)(dim * batch);
            op_tensor t = op_rand(ctx, (size_t)batch, 0.5f, 0.5f, 1), y = op_out(ctx, n, false, 0);
            op_tensor dy = op_rand(ctx, n, 0, 1, 2), dt = op_out(ctx, (size_t)batch, acc, 5);
            bf_cmds *c = op_cmds(ctx);
            OK(bf_time_bins_forward(c, y.mem, t.mem, (uint64_t)batch, dim, err));
            OK(bf_time_bins_backward(c, dt.mem, acc, dy.mem, t.mem, (uint64_t)batch, dim, err));
            test_run(c);
            double *want = calloc(n, sizeof *want), slope[65] = {0};
            ck_assert_ptr_nonnull(want);
            for (size_t i = 0; i < n; i++) {
                const double h = 1e-5, at = t.d[i / (size_t)dim];
                const int column = (int)(i % (size_t)dim);
                want[i] = ref_time_bin(at, dim, column);
                slope[i / (size_t)dim] +=
                    dy.d[i] * (ref_time_bin(at + h, dim, column) - ref_time_bin(at - h, dim, column)) / (2 * h);
            }
            op_expect(ctx, "bins", &y, false, want, 2e-6);
            op_expect(ctx, "slope", &dt, acc, slope, 2e-5);
            free(want);
            op_free(&t);
            op_free(&y);
            op_free(&dy);
            op_free(&dt);
        }
}
END_TEST

START_TEST(odd_width_of_the_vdm_code_is_refused)
{
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_err e = {0};
    op_tensor t = op_rand(ctx, 1, 0, 1, 1);
    float speed[33];
    bf_cmds *c = op_cmds(ctx);
    ck_assert_int_eq(bf_time_code_speeds(BF_CODE_VDM, speed, 33, &e), BF_USAGE);
    ck_assert_int_eq(bf_time_code_forward(c, BF_CODE_VDM, t.mem, t.mem, t.mem, 1, 33, &e), BF_USAGE);
    bf_cmds_free(c);
    op_free(&t);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        time_codes,       small_times_are_accurate,      time_code_gradient, golden_embeddings,
        fourier_features, features_forward_and_backward, time_bins,          odd_width_of_the_vdm_code_is_refused};
    return op_main("code", tests, BF_COUNT(tests));
}
