/* The elementary functions of cl/vmath.h and the angles of cl/philox.h against double precision, over their domains. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device/kernels.h"
#include "op_test.h"

#define COUNT (1u << 20) /* numbers of one launch, a multiple of 16 */

/* x = the float with these bits, then every `step`-th one; out = f(x) */
static const char probe[] = "#include \"common.h\"\n"
                            "#include \"philox.h\"\n"
                            "#define WALK(NAME, EXPRESSION)\\\n"
                            "__kernel void NAME(ARG(y), const uint first, const uint step, const ulong n)\\\n"
                            "{\\\n"
                            "    PTR(y);\\\n"
                            "    FLAT_BLOCK(base, m, n);\\\n"
                            "    ROW_FOR(i, m)\\\n"
                            "    {\\\n"
                            "        const vu bits = first + step * ((uint)base + (uint)i + LANE_NUMBERS);\\\n"
                            "        const vf x = vu_as_vf(bits);\\\n"
                            "        (void)x;\\\n"
                            "        stv(EXPRESSION, y + base + i, m - i);\\\n"
                            "    }\\\n"
                            "}\n"
                            "static inline vf sine(vu k) { vf s, c; turn_lanes(k, &s, &c); return s; }\n"
                            "static inline vf cosine(vu k) { vf s, c; turn_lanes(k, &s, &c); return c; }\n"
                            "WALK(walk_exp, vexp(x))\n"
                            "WALK(walk_exp2, vexp2(x))\n"
                            "WALK(walk_log, vlog(x))\n"
                            "WALK(walk_log1p, vlog1p(x))\n"
                            "WALK(walk_tanh, vtanh(x))\n"
                            "WALK(walk_sine, sine(bits))\n"
                            "WALK(walk_cosine, cosine(bits))\n";

static char folder[64];

static void write_file(const char *name, const void *bytes, size_t size)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

static const char *const needed[] = {"common.h", "vmath.h", "transpose.h", "philox.h"};

/* A context that reads the probe beside the library's own headers. */
static bf_ctx *open_probe(bf_class cls)
{
    const char *device = getenv("BFNCL_TEST_DEVICE");
    bf_ctx_options o = {.selector = device ? device : "pocl:0", .selector_from = "the test", .cls = cls};
    bf_ctx *ctx = NULL;
    strcpy(folder, "/tmp/bfncl-vmath-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (size_t i = 0; i < bf_kernel_file_count; i++)
        for (size_t k = 0; k < BF_COUNT(needed); k++)
            if (strcmp(bf_kernel_files[i].name, needed[k]) == 0)
                write_file(needed[k], bf_kernel_files[i].bytes, bf_kernel_files[i].size);
    write_file("probe.cl", probe, sizeof probe - 1);
    o.kernel_dir = folder;
    OK(bf_ctx_open(&o, &ctx, err));
    return ctx;
}

static void close_probe(bf_ctx *ctx)
{
    char path[160];
    bf_ctx_close(ctx);
    for (size_t k = 0; k <= BF_COUNT(needed); k++) {
        snprintf(path, sizeof path, "%s/%s", folder, k < BF_COUNT(needed) ? needed[k] : "probe.cl");
        unlink(path);
    }
    rmdir(folder);
}

/* out[i] = kernel(first + i step) */
static void walk(bf_ctx *ctx, const char *kernel, const test_tensor *t, uint32_t first, uint32_t step, size_t n,
                 float *out)
{
    const bf_arg args[] = {bf_arg_mem(t->mem), bf_arg_u32(first), bf_arg_u32(step), bf_arg_u64(n)};
    bf_call call = {.file = "probe.cl", .kernel = kernel, .args = args, .n_args = BF_COUNT(args)};
    bf_cmds *c = op_cmds(ctx);
    bf_call_flat(&call, ctx, n);
    OK(bf_cmds_kernel(c, &call, err));
    test_run(c);
    test_get(ctx, t, out);
}

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Distance in units of the last place of `want`, normal numbers. */
static double ulps(float got, double want)
{
    int e;
    frexp(want, &e);
    return fabs((double)got - want) / ldexp(1.0, e - 24);
}

/* Largest error over [from, to] (both of one sign), every step-th float: `own` ulp of ours; a driver's functions may be
 * wrong by 5 (OpenCL 1.2, 7.4, allows 3 for exp and log, 5 for tanh). */
static void check_ulps(bf_ctx *ctx, const char *kernel, double (*f)(double), float from, float to, uint32_t step,
                       double own)
{
    const double limit = bf_ctx_class(ctx) == BF_CLASS_CPU ? own : 5.0;
    const uint32_t low = to_bits(fabsf(from) < fabsf(to) ? from : to), high = to_bits(low == to_bits(to) ? from : to);
    const uint64_t total = ((uint64_t)high - low) / step + 1;
    test_tensor t = test_new(ctx, COUNT, NULL);
    float *y = malloc(COUNT * sizeof *y);
    double worst = 0;
    ck_assert_ptr_nonnull(y);
    for (uint64_t done = 0; done < total; done += COUNT) {
        const size_t n = (size_t)BF_MIN(total - done, COUNT);
        const uint32_t first = low + (uint32_t)done * step;
        walk(ctx, kernel, &t, first, step, n, y);
        for (size_t i = 0; i < n; i++) {
            const float x = from_bits(first + (uint32_t)i * step);
            const double want = f((double)x), miss = want == 0 ? fabs((double)y[i]) : ulps(y[i], want);
            if (miss > worst) worst = miss;
            if (!(miss <= limit)) /* an assertion each would take longer than the computation */
                ck_abort_msg("%s(%.9g) = %.9g, not %.9g: %g ulp", kernel, (double)x, (double)y[i], want, miss);
        }
    }
    ck_assert_msg(worst > 0, "%s: nothing was compared", kernel);
    free(y);
    test_free(&t);
}

static void check_range(bf_ctx *ctx, const char *kernel, double (*f)(double), float from, float to, uint32_t step)
{
    check_ulps(ctx, kernel, f, from, to, step, 1.2);
}

START_TEST(exponential)
{
    const uint32_t step = test_quick() ? 1000003 : 997;
    TEST_BOTH(ctx)
    {
        bf_ctx *own = open_probe(bf_ctx_class(ctx));
        check_range(own, "walk_exp", exp, 1e-10f, 88.3f, step);
        check_range(own, "walk_exp", exp, -1e-10f, -86.9f, step);
        check_range(own, "walk_exp2", exp2, 1e-10f, 127.0f, step);
        check_range(own, "walk_exp2", exp2, -1e-10f, -126.0f, step);
        close_probe(own);
    }
}
END_TEST

/* Saturation, and NaN stays NaN: 16 floats that begin with the one looked at. */
START_TEST(exponential_at_the_ends)
{
    TEST_BOTH(ctx)
    {
        bf_ctx *own = open_probe(bf_ctx_class(ctx));
        test_tensor t = test_new(own, 16, NULL);
        const float low[] = {-88.0f, -1e4f, -1e30f, -INFINITY}, high[] = {89.0f, 1e4f, 1e30f, INFINITY};
        float y[16];
        for (size_t k = 0; k < BF_COUNT(low); k++) {
            walk(own, "walk_exp", &t, to_bits(low[k]), 0, 16, y);
            ck_assert_msg(y[0] >= 0 && y[0] < 1e-38f, "exp(%g) = %g", (double)low[k], (double)y[0]);
            walk(own, "walk_exp2", &t, to_bits(1.5f * low[k]), 0, 16, y);
            ck_assert_msg(y[0] >= 0 && y[0] < 1e-38f, "exp2(%g) = %g", (double)(1.5f * low[k]), (double)y[0]);
            walk(own, "walk_exp", &t, to_bits(high[k]), 0, 16, y);
            ck_assert_msg(isinf(y[0]) && y[0] > 0, "exp(%g) = %g", (double)high[k], (double)y[0]);
        }
        walk(own, "walk_exp", &t, to_bits(NAN), 0, 16, y);
        ck_assert_msg(isnan(y[0]), "exp hides NaN");
        walk(own, "walk_exp2", &t, to_bits(NAN), 0, 16, y);
        ck_assert_msg(isnan(y[0]), "exp2 hides NaN");
        walk(own, "walk_log", &t, to_bits(NAN), 0, 16, y);
        ck_assert_msg(isnan(y[0]), "log hides NaN");
        walk(own, "walk_exp", &t, 0, 0, 16, y);
        ck_assert_float_eq(y[0], 1.0f);
        walk(own, "walk_exp2", &t, 0, 0, 16, y);
        ck_assert_float_eq(y[0], 1.0f);
        walk(own, "walk_log", &t, to_bits(1.0f), 0, 16, y);
        ck_assert_float_eq(y[0], 0.0f);
        walk(own, "walk_log1p", &t, 0, 0, 16, y);
        ck_assert_float_eq(y[0], 0.0f);
        test_free(&t);
        close_probe(own);
    }
}
END_TEST

START_TEST(logarithm)
{
    const uint32_t step = test_quick() ? 1000003 : 1999;
    TEST_BOTH(ctx)
    {
        bf_ctx *own = open_probe(bf_ctx_class(ctx));
        check_range(own, "walk_log", log, 1.2e-38f, 3.4e38f, step);
        check_range(own, "walk_log", log, 0.5f, 2.0f, test_quick() ? 100003 : 31); /* where it crosses 0 */
        close_probe(own);
    }
}
END_TEST

START_TEST(logarithm_from_one)
{
    const uint32_t step = test_quick() ? 1000003 : 1999;
    TEST_BOTH(ctx)
    {
        bf_ctx *own = open_probe(bf_ctx_class(ctx));
        check_ulps(own, "walk_log1p", log1p, 1.2e-38f, 3.4e38f, step, 2.0);
        check_ulps(own, "walk_log1p", log1p, 1e-4f, 2.0f, test_quick() ? 100003 : 307, 2.0);
        close_probe(own);
    }
}
END_TEST

START_TEST(hyperbolic_tangent)
{
    const uint32_t step = test_quick() ? 1000003 : 997;
    TEST_BOTH(ctx)
    {
        bf_ctx *own = open_probe(bf_ctx_class(ctx));
        test_tensor t = test_new(own, 16, NULL);
        float y[16];
        check_ulps(own, "walk_tanh", tanh, 1.2e-38f, INFINITY, step, 2.0);
        check_ulps(own, "walk_tanh", tanh, -0.1f, -2.0f, test_quick() ? 100003 : 307, 2.0);
        walk(own, "walk_tanh", &t, to_bits(NAN), 0, 16, y);
        ck_assert_msg(isnan(y[0]), "tanh hides NaN");
        test_free(&t);
        close_probe(own);
    }
}
END_TEST

/* Every angle that Box-Muller can draw; the wide class computes the same, so some of them do. */
START_TEST(turns)
{
    const size_t n = test_quick() ? 256 : COUNT;
    float *s = malloc(COUNT * sizeof *s), *k = malloc(COUNT * sizeof *k);
    ck_assert_msg(s != NULL && k != NULL, "out of memory");
    TEST_BOTH(ctx)
    {
        bf_ctx *own = open_probe(bf_ctx_class(ctx));
        test_tensor t = test_new(own, COUNT, NULL);
        const uint32_t step = test_quick() ? 1u << 16 : bf_ctx_class(ctx) == BF_CLASS_CPU ? 1 : 16;
        for (uint32_t first = 0; first < 1u << 24; first += (uint32_t)n * step) {
            walk(own, "walk_sine", &t, first, step, n, s);
            walk(own, "walk_cosine", &t, first, step, n, k);
            for (size_t i = 0; i < n; i++) {
                const double angle = 6.283185307179586 * (first + (uint32_t)i * step) / 16777216.0;
                if (!(fabs((double)s[i] - sin(angle)) < 1.5e-7 && fabs((double)k[i] - cos(angle)) < 1.5e-7))
                    ck_abort_msg("sine and cosine of %.9g: %.9g and %.9g", angle, (double)s[i], (double)k[i]);
            }
        }
        test_free(&t);
        close_probe(own);
    }
    free(s);
    free(k);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {exponential,        exponential_at_the_ends, logarithm,
                                  logarithm_from_one, hyperbolic_tangent,      turns};
    return op_main("vmath", tests, BF_COUNT(tests));
}
