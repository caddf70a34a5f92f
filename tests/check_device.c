/* The device layer: commands, memory under a budget, programs, profile. The list and the selectors: check_select.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "device/cl.h"
#include "support.h"

#define N 100

/* ---- a folder of kernels for these tests ----------------------------------------------------------------------- */

static char folder[] = "/tmp/bfncl-kernels-XXXXXX";

static const struct {
    const char *name, *text;
} files[] = {
    {"part.h", "#ifndef PART_H\n#define PART_H\ninline float twice(float x) { return 2.0f * x; }\n#endif\n"},
    {"good.cl",
     "#include \"part.h\"\n"
     "#include \"part.h\"\n"
     "#ifndef ADD\n#define ADD 1\n#endif\n"
     "__kernel void advance(__global float *x, const ulong x_off, const uint n)\n"
     "{\n"
     "    const size_t i = get_global_id(0);\n"
     "    if (i < n) x[x_off + i] = twice(x[x_off + i]) + (float)ADD;\n"
     "}\n"
     "__kernel void kinds(__global float *y, const ulong y_off, __global const float *none, const ulong none_off,\n"
     "                    const int i, const uint u, const float f, const ulong l, __local float *s)\n"
     "{\n"
     "    const size_t k = get_local_id(0);\n"
     "    s[k] = (float)k;\n"
     "    barrier(CLK_LOCAL_MEM_FENCE);\n"
     "    if (get_global_id(0) != 0) return;\n"
     "    y += y_off;\n"
     "    y[0] = (float)i;\n"
     "    y[1] = (float)u;\n"
     "    y[2] = f;\n"
     "    y[3] = (float)(l >> 32);\n"
     "    y[4] = s[get_local_size(0) - 1];\n"
     "    y[5] = none == 0 ? 1.0f : 0.0f;\n"
     "    y[6] = (float)get_global_size(0);\n"
     "}\n"},
    {"bad.cl", "#include \"part.h\"\n\n__kernel void f(__global float *x)\n{\n    x[0] = nonsense;\n}\n"},
    {"bad_inside.cl", "\n#include \"broken.h\"\n__kernel void f(__global float *x) { x[0] = 0.0f; }\n"},
    {"broken.h", "float g(float x)\n{\n    return x +;\n}\n"},
    {"lost.cl", "\n\n#include \"nowhere.h\"\n"},
};

static bool write_folder(void)
{
    if (mkdtemp(folder) == NULL) return false;
    for (size_t i = 0; i < BF_COUNT(files); i++) {
        char path[128];
        FILE *f;
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        f = fopen(path, "w");
        if (f == NULL) return false;
        fputs(files[i].text, f);
        if (fclose(f) != 0) return false;
    }
    return true;
}

static void remove_folder(void)
{
    for (size_t i = 0; i < BF_COUNT(files); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        unlink(path);
    }
    rmdir(folder);
}

static bf_ctx_options test_options(void)
{
    const char *device = getenv("BFNCL_TEST_DEVICE");
    return (bf_ctx_options){.selector = device ? device : "pocl:0", .selector_from = "the test"};
}

/* A context of its own that reads the kernels above. */
static bf_ctx *folder_ctx(bool profile, bool sync)
{
    bf_ctx_options o = test_options();
    bf_ctx *ctx = NULL;
    o.kernel_dir = folder;
    o.profile = profile;
    o.sync = sync;
    OK(bf_ctx_open(&o, &ctx, err));
    return ctx;
}

/* x = 2 x + add, n floats */
static bf_status add_step(bf_cmds *c, bf_mem x, uint32_t n, const char *defines, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(x), bf_arg_u32(n)};
    const bf_call call = {.file = "good.cl",
                          .kernel = "advance",
                          .defines = defines,
                          .items = {n},
                          .local = {64},
                          .args = args,
                          .n_args = BF_COUNT(args),
                          .flops = 2.0 * n,
                          .bytes = 8.0 * n};
    return bf_cmds_kernel(c, &call, err);
}

static bf_cmds *new_cmds(bf_ctx *ctx)
{
    bf_cmds *c = NULL;
    OK(bf_cmds_new(ctx, &c, err));
    return c;
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

START_TEST(fills_and_copies)
{
    TEST_BOTH(ctx)
    {
        float x[N], y[N];
        bf_cmds *c = new_cmds(ctx);
        test_fill(x, N, 3);
        test_tensor a = test_new(ctx, N, x), b = test_new(ctx, N, NULL);
        OK(bf_cmds_copy(c, b.mem, a.mem, 4 * N, err));
        OK(bf_cmds_fill(c, bf_mem_at(b.mem, 40), 0x3f800000u, 80, err));
        OK(bf_cmds_copy(c, bf_mem_at(a.mem, 200), bf_mem_at(b.mem, 40), 4, err));
        ck_assert_uint_eq(bf_cmds_count(c), 3);
        test_run(c);
        test_get(ctx, &b, y);
        for (int i = 0; i < N; i++) ck_assert_float_eq(y[i], i >= 10 && i < 30 ? 1.0f : x[i]);
        test_get(ctx, &a, y);
        ck_assert_float_eq(y[50], 1.0f);
        test_free(&a);
        test_free(&b);
    }
}
END_TEST

/* In order, again and again, also by ranges; the offset and the odd length are honoured. */
START_TEST(order)
{
    bf_ctx *ctx = folder_ctx(false, false);
    float x[N], y[N];
    bf_cmds *c = new_cmds(ctx);
    test_fill(x, N, 5);
    test_tensor t = test_new(ctx, N, x);
    OK(add_step(c, bf_mem_at(t.mem, 4), N - 2, NULL, err));
    OK(add_step(c, bf_mem_at(t.mem, 4), N - 2, "-DADD=5", err));
    OK(bf_cmds_run(c, err));
    OK(bf_cmds_run(c, err));
    OK(bf_cmds_run_range(c, 1, 1, err));
    OK(bf_finish(ctx, err));
    test_get(ctx, &t, y);
    for (int i = 0; i < N; i++) {
        float want = x[i];
        if (i > 0 && i < N - 1) {
            for (int k = 0; k < 2; k++) want = 2 * (2 * want + 1) + 5;
            want = 2 * want + 5;
        }
        ck_assert_float_eq(y[i], want);
    }
    ck_assert_double_gt(bf_ctx_compile_seconds(ctx), 0);
    ck_assert_double_gt(bf_ctx_first_run_seconds(ctx), 0);
    bf_cmds_free(c);
    test_free(&t);
    bf_ctx_close(ctx);
}
END_TEST

START_TEST(argument_kinds)
{
    bf_ctx *ctx = folder_ctx(false, false);
    float y[7];
    bf_cmds *c = new_cmds(ctx);
    test_tensor t = test_new(ctx, 7, NULL);
    const bf_arg args[] = {bf_arg_mem(t.mem),
                           bf_arg_mem(BF_MEM_NONE),
                           bf_arg_i32(-7),
                           bf_arg_u32(3000000000u),
                           bf_arg_f32(0.25f),
                           bf_arg_u64(UINT64_C(5) << 32),
                           bf_arg_local(64 * sizeof y[0])};
    const bf_call call = {.file = "good.cl",
                          .kernel = "kinds",
                          .defines = NULL,
                          .items = {65},
                          .local = {64},
                          .args = args,
                          .n_args = BF_COUNT(args)};
    OK(bf_cmds_kernel(c, &call, err));
    test_run(c);
    test_get(ctx, &t, y);
    ck_assert_float_eq(y[0], -7);
    ck_assert_float_eq(y[1], 3e9f);
    ck_assert_float_eq(y[2], 0.25f);
    ck_assert_float_eq(y[3], 5);
    ck_assert_float_eq(y[4], 63);
    ck_assert_float_eq(y[5], 1);
    ck_assert_float_eq(y[6], 128); /* 65 items in whole groups of 64 */
    test_free(&t);
    bf_ctx_close(ctx);
}
END_TEST

/* The status and a part of the message of a call that must fail; the list stays as it was. */
#define FAILS(call, wanted, part)                                                                                      \
    do {                                                                                                               \
        bf_err e_ = {0}, *err = &e_;                                                                                   \
        ck_assert_int_eq((call), (wanted));                                                                            \
        ck_assert_msg(strstr(e_.message, (part)) != NULL, "'%s' is not in: %s", (part), e_.message);                   \
    } while (0)

START_TEST(wrong_commands)
{
    bf_ctx *ctx = folder_ctx(false, false);
    bf_cmds *c = new_cmds(ctx);
    test_tensor t = test_new(ctx, N, NULL);
    const bf_arg one[] = {bf_arg_mem(t.mem)}, two[] = {bf_arg_mem(t.mem), bf_arg_u32(N)};
    const uint64_t all = bf_buf_size(t.buf);
    float x;
    FAILS(bf_cmds_kernel(c,
                         &(bf_call){.file = "good.cl",
                                    .kernel = "advance",
                                    .defines = NULL,
                                    .items = {N},
                                    .local = {64},
                                    .args = one,
                                    .n_args = 1},
                         err),
          BF_RUNTIME, "3 arguments");
    FAILS(bf_cmds_kernel(c,
                         &(bf_call){.file = "good.cl",
                                    .kernel = "nothing",
                                    .defines = NULL,
                                    .items = {N},
                                    .local = {64},
                                    .args = two,
                                    .n_args = 2},
                         err),
          BF_RUNTIME, "CL_INVALID_KERNEL_NAME (-46)");
    FAILS(bf_cmds_kernel(c,
                         &(bf_call){.file = "good.cl",
                                    .kernel = "advance",
                                    .defines = NULL,
                                    .items = {N},
                                    .local = {1 << 20},
                                    .args = two,
                                    .n_args = 2},
                         err),
          BF_DEVICE, "good.cl:advance");
    FAILS(bf_cmds_copy(c, t.mem, (bf_mem){t.buf, all - 4}, 8, err), BF_RUNTIME, "source");
    FAILS(bf_cmds_copy(c, t.mem, bf_mem_at(t.mem, 4), 8, err), BF_RUNTIME, "onto itself");
    FAILS(bf_cmds_copy(c, t.mem, BF_MEM_NONE, 8, err), BF_RUNTIME, "no memory");
    FAILS(bf_cmds_fill(c, bf_mem_at(t.mem, 2), 0, 8, err), BF_RUNTIME, "multiple of 4");
    FAILS(bf_cmds_fill(c, t.mem, 0, 6, err), BF_RUNTIME, "multiple of 4");
    FAILS(bf_cmds_run_range(c, 0, 1, err), BF_RUNTIME, "commands");
    FAILS(bf_read(ctx, &x, (bf_mem){t.buf, all}, 4, err), BF_RUNTIME, "buffer of");
    FAILS(bf_write(test_ctx(BF_CLASS_CPU), t.mem, &x, 4, err), BF_RUNTIME, "another context");
    ck_assert_uint_eq(bf_cmds_count(c), 0);
    bf_cmds_free(c);
    test_free(&t);
    bf_ctx_close(ctx);
}
END_TEST

START_TEST(transfers)
{
    TEST_BOTH(ctx)
    {
        float x[N], y[N] = {0};
        bf_buf *buf = NULL;
        test_fill(x, N, 9);
        OK(bf_buf_new(ctx, sizeof x + 4, "transfer", &buf, err));
        OK(bf_read(ctx, y, (bf_mem){buf, 4}, sizeof y, err));
        for (int i = 0; i < N; i++) ck_assert_float_eq(y[i], 0); /* new memory is there, and 0 */
        OK(bf_write_async(ctx, (bf_mem){buf, 4}, x, sizeof x, err));
        OK(bf_finish(ctx, err));
        OK(bf_read(ctx, y, (bf_mem){buf, 4}, sizeof y, err));
        ck_assert_mem_eq(x, y, sizeof x);
        bf_buf_free(buf);
    }
}
END_TEST

/* Parts of a slot arrive where they were taken to, in order with kernels, while the next slot is being filled. */
static void uploads_arrive(bf_ctx *ctx, bool staged)
{
    enum { TURNS = 7 };
    bf_upload *u = NULL;
    bf_buf *buf = NULL, *kept = NULL;
    bf_cmds *keep = new_cmds(ctx);
    float y[2 * N];
    const uint64_t used = bf_ctx_used(ctx);
    OK(bf_upload_new(ctx, 2 * N * sizeof(float), staged, &u, err));
    ck_assert_uint_eq(bf_ctx_used(ctx) - used, staged ? 4 * N * sizeof(float) : 0);
    OK(bf_buf_new(ctx, sizeof y, "taken", &buf, err));
    OK(bf_buf_new(ctx, TURNS * sizeof y, "kept", &kept, err));
    for (uint64_t turn = 0; turn < TURNS; turn++)
        OK(bf_cmds_copy(keep, (bf_mem){kept, turn * sizeof y}, (bf_mem){buf, 0}, sizeof y, err));
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        void *host;
        OK(bf_upload_next(u, &host, err));
        test_fill(host, 2 * N, turn);
        OK(bf_upload_send(u, err));
        OK(bf_upload_take(u, (bf_mem){buf, 0}, N * sizeof(float), N * sizeof(float), err)); /* halves exchanged */
        OK(bf_upload_take(u, (bf_mem){buf, N * sizeof(float)}, 0, N * sizeof(float), err));
        OK(bf_cmds_run_range(keep, turn, 1, err));
    }
    FAILS(bf_upload_take(u, (bf_mem){buf, 0}, N * sizeof(float), (N + 1) * sizeof(float), err), BF_RUNTIME, "bytes");
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        float x[2 * N];
        bf_mark *mark = NULL;
        test_fill(x, 2 * N, turn);
        OK(bf_read_async(ctx, y, (bf_mem){kept, turn * sizeof y}, sizeof y, err));
        OK(bf_mark_new(ctx, &mark, err));
        OK(bf_mark_wait(mark, err));
        bf_mark_free(mark);
        ck_assert_mem_eq(x, y + N, N * sizeof(float));
        ck_assert_mem_eq(x + N, y, N * sizeof(float));
    }
    bf_upload_free(u);
    bf_cmds_free(keep);
    bf_buf_free(buf);
    bf_buf_free(kept);
    ck_assert_uint_eq(bf_ctx_used(ctx), used);
}

START_TEST(uploads)
{
    TEST_BOTH(ctx)
    {
        uploads_arrive(ctx, false);
        uploads_arrive(ctx, true);
    }
}
END_TEST

/* bf_finish waits also when everything was submitted before: what was written asynchronously may then be overwritten.
 */
START_TEST(finish_waits)
{
    enum { LONG = 1 << 20, COPIES = 40 };
    bf_ctx *ctx = test_ctx(BF_CLASS_CPU);
    bf_buf *from = NULL, *to = NULL;
    bf_cmds *slow = new_cmds(ctx);
    float *x = malloc(LONG * sizeof *x), *y = malloc(LONG * sizeof *y);
    ck_assert(x && y);
    OK(bf_buf_new(ctx, LONG * sizeof *x, "source", &from, err));
    OK(bf_buf_new(ctx, LONG * sizeof *x, "copy", &to, err));
    for (int i = 0; i < COPIES; i++) OK(bf_cmds_copy(slow, (bf_mem){to, 0}, (bf_mem){from, 0}, LONG * sizeof *x, err));
    OK(bf_cmds_run(slow, err));
    for (int turn = 1; turn <= 3; turn++) {
        for (int i = 0; i < LONG; i++) x[i] = (float)turn;
        OK(bf_cmds_run(slow, err));
        OK(bf_write_async(ctx, (bf_mem){from, 0}, x, LONG * sizeof *x, err));
        OK(bf_cmds_run_range(slow, 0, 1, err));
        OK(bf_finish(ctx, err));
        for (int i = 0; i < LONG; i++) x[i] = -1.0f;
        OK(bf_read(ctx, y, (bf_mem){to, 0}, LONG * sizeof *y, err));
        for (int i = 0; i < LONG; i++) ck_assert_float_eq(y[i], (float)turn);
    }
    bf_cmds_free(slow);
    bf_buf_free(from);
    bf_buf_free(to);
    free(x);
    free(y);
}
END_TEST

/* ---- programs -------------------------------------------------------------------------------------------------- */

static void build_fails(const char *file, const char *part)
{
    bf_ctx *ctx = folder_ctx(false, false);
    bf_cmds *c = new_cmds(ctx);
    const bf_call call = {.file = file, .kernel = "f"};
    FAILS(bf_cmds_kernel(c, &call, err), BF_RUNTIME, part);
    bf_cmds_free(c);
    bf_ctx_close(ctx);
}

START_TEST(build_errors_name_file_and_line)
{
    build_fails("bad.cl", "cl/bad.cl:5");
    build_fails("bad.cl", "CL_BUILD_PROGRAM_FAILURE (-11)");
    build_fails("bad_inside.cl", "cl/broken.h:3");
}
END_TEST

START_TEST(missing_files)
{
    bf_ctx *ctx = folder_ctx(false, false);
    bf_cmds *c = new_cmds(ctx);
    FAILS(bf_cmds_kernel(c, &(bf_call){.file = "lost.cl", .kernel = "f"}, err), BF_FILE, "cl/lost.cl:3");
    FAILS(bf_cmds_kernel(c, &(bf_call){.file = "absent.cl", .kernel = "f"}, err), BF_FILE, folder);
    bf_cmds_free(c);
    bf_ctx_close(ctx);
    c = new_cmds(test_ctx(BF_CLASS_CPU));
    FAILS(bf_cmds_kernel(c, &(bf_call){.file = "absent.cl", .kernel = "f"}, err), BF_RUNTIME, "absent.cl");
    bf_cmds_free(c);
}
END_TEST

START_TEST(whole_log_is_kept)
{
    bf_ctx *ctx = folder_ctx(false, false);
    bf_cmds *c = new_cmds(ctx);
    bf_err e = {0};
    char text[4096] = "";
    const char *path;
    FILE *f;
    ck_assert_int_eq(bf_cmds_kernel(c, &(bf_call){.file = "bad.cl", .kernel = "f"}, &e), BF_RUNTIME);
    path = strstr(e.hint, "source: ");
    ck_assert_msg(path != NULL, "no path in: %s", e.hint);
    f = fopen(path + strlen("source: "), "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, f), 0);
    fclose(f);
    unlink(path + strlen("source: "));
    ck_assert_ptr_nonnull(strstr(text, "x[0] = nonsense;"));
    ck_assert_ptr_nonnull(strstr(text, "-cl-std=CL1.2"));
    bf_cmds_free(c);
    bf_ctx_close(ctx);
}
END_TEST

/* The same (file, defines) is built once. */
START_TEST(programs_are_kept)
{
    bf_ctx *ctx = folder_ctx(false, false);
    cl_program a, b, other;
    OK(bf_program_get(ctx, "good.cl", NULL, &a, err));
    OK(bf_program_get(ctx, "good.cl", "-DADD=3", &other, err));
    OK(bf_program_get(ctx, "good.cl", "", &b, err));
    ck_assert_ptr_eq(a, b);
    ck_assert_ptr_ne(a, other);
    bf_ctx_close(ctx);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------------------------- */

START_TEST(budget)
{
    bf_ctx_options o = test_options();
    bf_ctx *ctx = NULL;
    bf_buf *a = NULL, *b = NULL;
    o.memory_limit = 1 << 20;
    OK(bf_ctx_open(&o, &ctx, err));
    ck_assert_uint_eq(bf_ctx_budget(ctx), 1 << 20);
    OK(bf_buf_new(ctx, 600 << 10, "weights", &a, err));
    FAILS(bf_buf_new(ctx, 600 << 10, "activations", &b, err), BF_RUNTIME, "activations: 0.6 MiB more do not fit");
    ck_assert_ptr_null(b);
    ck_assert_uint_eq(bf_ctx_used(ctx), 600 << 10);
    bf_buf_free(a);
    ck_assert_uint_eq(bf_ctx_used(ctx), 0);
    OK(bf_buf_new(ctx, 1 << 20, "activations", &b, err));
    ck_assert_uint_eq(bf_ctx_peak(ctx), 1 << 20);
    FAILS(bf_buf_new(ctx, 2 << 20, "weights", &a, err), BF_RUNTIME, "2.0 MiB");
    FAILS(bf_buf_new(ctx, 0, "weights", &a, err), BF_USAGE, "0 bytes");
    bf_buf_free(b);
    bf_ctx_close(ctx);
}
END_TEST

START_TEST(limits)
{
    TEST_BOTH(ctx)
    {
        bf_buf *buf = NULL;
        bf_err e = {0};
        ck_assert_uint_ge(bf_ctx_align(ctx), 256);
        ck_assert_uint_ge(bf_ctx_units(ctx), 1);
        ck_assert_uint_le(bf_ctx_max_alloc(ctx), bf_ctx_budget(ctx));
        ck_assert_uint_eq(bf_ctx_group(ctx) & (bf_ctx_group(ctx) - 1), 0);
        if (bf_ctx_class(ctx) == BF_CLASS_CPU) ck_assert_uint_eq(bf_ctx_group(ctx), 1);
        FAILS(bf_buf_new(ctx, bf_ctx_max_alloc(ctx) + 1, "activations", &buf, err), BF_RUNTIME, "in one buffer");
        ck_assert_int_eq(bf_buf_new(ctx, UINT64_MAX, "activations", &buf, &e), BF_RUNTIME);
        ck_assert_ptr_nonnull(strstr(e.hint, "batch size"));
    }
}
END_TEST

START_TEST(group_size)
{
    bf_ctx_options o = test_options();
    bf_ctx *ctx = NULL;
    o.cls = BF_CLASS_WIDE;
    setenv("BFNCL_GROUP", "32", 1);
    OK(bf_ctx_open(&o, &ctx, err));
    ck_assert_uint_eq(bf_ctx_group(ctx), 32);
    bf_ctx_close(ctx);
    setenv("BFNCL_GROUP", "100", 1);
    FAILS(bf_ctx_open(&o, &ctx, err), BF_USAGE, "BFNCL_GROUP is '100'");
    ck_assert_ptr_null(ctx);
    unsetenv("BFNCL_GROUP");
}
END_TEST

/* ---- profile --------------------------------------------------------------------------------------------------- */

/* Spans of the runs in order, on the host's clock, none inside another; what is too much is counted. */
static void trace_of(bool sync, double before)
{
    enum { ROOM = 5, RUNS = 8 };
    bf_ctx_options o = test_options();
    bf_ctx *ctx = NULL;
    o.kernel_dir = folder;
    o.profile = true;
    o.trace = ROOM;
    o.sync = sync;
    OK(bf_ctx_open(&o, &ctx, err));
    bf_cmds *c = new_cmds(ctx);
    test_tensor t = test_new(ctx, N, NULL);
    const bf_trace_span *span;
    uint64_t dropped;
    OK(add_step(c, t.mem, N, NULL, err));
    OK(add_step(c, t.mem, N, "-DADD=5", err));
    for (int i = 0; i < RUNS / 2; i++) OK(bf_cmds_run(c, err));
    OK(bf_finish(ctx, err));
    const double after = bf_seconds();
    ck_assert_uint_eq(bf_ctx_trace(ctx, &span, &dropped), ROOM);
    ck_assert_uint_eq(dropped, RUNS - ROOM);
    for (size_t i = 0; i < ROOM; i++) {
        ck_assert_uint_eq(span[i].row, i % 2);
        ck_assert_double_gt(span[i].end, span[i].start);
        ck_assert_double_ge(span[i].start, i == 0 ? before : span[i - 1].end - 1e-6);
    }
    ck_assert_double_le(span[ROOM - 1].end, after + 1e-3);
    bf_cmds_free(c);
    test_free(&t);
    bf_ctx_close(ctx);
}

static void profile_counts(bool sync)
{
    bf_ctx *ctx = folder_ctx(true, sync);
    bf_cmds *c = new_cmds(ctx);
    test_tensor t = test_new(ctx, N, NULL);
    const bf_profile_row *rows;
    OK(add_step(c, t.mem, N, NULL, err));
    OK(add_step(c, t.mem, N, "-DADD=5", err));
    OK(add_step(c, t.mem, N, NULL, err));
    OK(bf_cmds_fill(c, t.mem, 0, 4, err));
    OK(bf_cmds_run(c, err));
    OK(bf_cmds_run(c, err));
    OK(bf_finish(ctx, err));
    ck_assert_uint_eq(bf_ctx_profile(ctx, &rows), 3);
    ck_assert_str_eq(rows[0].kernel, "advance");
    ck_assert_str_eq(rows[1].defines, "-DADD=5");
    ck_assert_str_eq(rows[2].kernel, "fill");
    ck_assert_uint_eq(rows[0].runs, 4);
    ck_assert_uint_eq(rows[1].runs, 2);
    ck_assert_double_gt(rows[0].seconds, 0);
    ck_assert_double_lt(rows[0].seconds, 10);
    ck_assert_double_eq(rows[0].flops, 4.0 * 2 * N);
    ck_assert_double_eq(rows[0].bytes, 4.0 * 8 * N);
    ck_assert_double_eq(rows[2].flops, 0);
    bf_cmds_free(c);
    test_free(&t);
    bf_ctx_close(ctx);
}

START_TEST(profile)
{
    const bf_profile_row *rows;
    profile_counts(false);
    profile_counts(true);
    trace_of(false, bf_seconds());
    trace_of(true, bf_seconds());
    ck_assert_uint_eq(bf_ctx_profile(test_ctx(BF_CLASS_CPU), &rows), 0);
}
END_TEST

START_TEST(code_names)
{
    bf_err e = {0};
    ck_assert_str_eq(bf_cl_name(CL_OUT_OF_RESOURCES), "CL_OUT_OF_RESOURCES");
    ck_assert_str_eq(bf_cl_name(-1001), "CL_PLATFORM_NOT_FOUND_KHR");
    ck_assert_str_eq(bf_cl_name(-12345), "unknown OpenCL code");
    ck_assert_int_eq(bf_cl_fail(&e, CL_OUT_OF_RESOURCES, "running %s", "norm.cl:f"), BF_RUNTIME);
    ck_assert_str_eq(e.message, "running norm.cl:f: CL_OUT_OF_RESOURCES (-5)");
    ck_assert_int_eq(e.cl_code, -5);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("device");
    TCase *commands = tcase_create("commands"), *programs = tcase_create("programs"), *memory = tcase_create("memory");
    int status;
    tcase_add_test(commands, fills_and_copies);
    tcase_add_test(commands, order);
    tcase_add_test(commands, argument_kinds);
    tcase_add_test(commands, wrong_commands);
    tcase_add_test(commands, transfers);
    tcase_add_test(commands, uploads);
    tcase_add_test(commands, finish_waits);
    tcase_add_test(commands, profile);
    tcase_add_test(commands, code_names);
    tcase_add_test(programs, build_errors_name_file_and_line);
    tcase_add_test(programs, missing_files);
    tcase_add_test(programs, whole_log_is_kept);
    tcase_add_test(programs, programs_are_kept);
    tcase_add_test(memory, budget);
    tcase_add_test(memory, limits);
    tcase_add_test(memory, group_size);
    suite_add_tcase(s, commands);
    suite_add_tcase(s, programs);
    suite_add_tcase(s, memory);
    if (!write_folder()) {
        perror(folder);
        return EXIT_FAILURE;
    }
    status = test_main(s);
    remove_folder();
    return status;
}
