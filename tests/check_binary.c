/* Programs kept between runs: found again, refused when damaged or of another key, bounded in size. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/cl.h"
#include "support.h"

#define OPTIONS "-cl-std=CL1.2"

static char source[256]; /* of this run alone: nothing of it is kept yet */
static char path[700];   /* of the file with the program */

static bf_ctx *any_ctx(void)
{
    return test_ctx(test_class_on(BF_CLASS_CPU) ? BF_CLASS_CPU : BF_CLASS_WIDE);
}

static size_t read_all(const char *name, char *data, size_t room)
{
    FILE *f = fopen(name, "rb");
    if (f == NULL) return 0;
    const size_t n = fread(data, 1, room, f);
    fclose(f);
    return n;
}

static void write_all(const char *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

static bool has(const char *data, size_t size, const char *part)
{
    const size_t n = strlen(part);
    for (size_t i = 0; i + n <= size; i++)
        if (memcmp(data + i, part, n) == 0) return true;
    return false;
}

/* Sets `path` to the file that holds `source`; returns its bytes, of which there are *size. The caller frees. */
static char *kept(size_t *size)
{
    enum { ROOM = 16 << 20 };
    DIR *dir = opendir(bf_program_dir());
    char *data = malloc(ROOM);
    ck_assert(dir && data);
    *size = 0;
    for (struct dirent *e; *size == 0 && (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%.500s/%.100s", bf_program_dir(), e->d_name);
        const size_t n = read_all(path, data, ROOM);
        if (has(data, n, source)) *size = n;
    }
    closedir(dir);
    ck_assert_uint_gt(*size, 0);
    return data;
}

static cl_program built(bf_ctx *ctx)
{
    const char *text = source;
    cl_int code;
    cl_program p = clCreateProgramWithSource(ctx->context, 1, &text, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    ck_assert_int_eq(clBuildProgram(p, 1, &ctx->device.id, OPTIONS, NULL, NULL), CL_SUCCESS);
    return p;
}

static void keep(bf_ctx *ctx)
{
    static int turn;
    snprintf(source, sizeof source,
             "__kernel void f(__global float *x) { x[get_global_id(0)] = 4711.0f; } /* %ld %d */\n", (long)getpid(),
             turn++);
    cl_program p = built(ctx);
    ck_assert_ptr_null(bf_binary_load(ctx, OPTIONS, source));
    bf_binary_keep(ctx, OPTIONS, source, p);
    clReleaseProgram(p);
}

static bool loads(bf_ctx *ctx, const char *options, const char *text)
{
    cl_program p = bf_binary_load(ctx, options, text);
    if (p != NULL) clReleaseProgram(p);
    return p != NULL;
}

/* What was kept computes the same. */
START_TEST(found_again)
{
    bf_ctx *ctx = any_ctx();
    float x = 0;
    cl_int code;
    const size_t one = 1;
    keep(ctx);
    cl_program p = bf_binary_load(ctx, OPTIONS, source);
    ck_assert_ptr_nonnull(p);
    cl_kernel k = clCreateKernel(p, "f", &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    cl_mem mem = clCreateBuffer(ctx->context, CL_MEM_READ_WRITE, sizeof x, NULL, &code);
    ck_assert_int_eq(clSetKernelArg(k, 0, sizeof mem, &mem), CL_SUCCESS);
    ck_assert_int_eq(clEnqueueNDRangeKernel(ctx->queue, k, 1, NULL, &one, &one, 0, NULL, NULL), CL_SUCCESS);
    ck_assert_int_eq(clEnqueueReadBuffer(ctx->queue, mem, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL), CL_SUCCESS);
    ck_assert_float_eq(x, 4711.0f);
    clReleaseMemObject(mem);
    clReleaseKernel(k);
    clReleaseProgram(p);
    free(kept(&(size_t){0}));
    unlink(path);
}
END_TEST

START_TEST(another_key)
{
    bf_ctx *ctx = any_ctx();
    bf_ctx other = *ctx;
    char text[256];
    keep(ctx);
    ck_assert(loads(ctx, OPTIONS, source));
    ck_assert(!loads(ctx, OPTIONS " -DA=1", source));
    snprintf(text, sizeof text, "%.200s ", source);
    ck_assert(!loads(ctx, OPTIONS, text));
    snprintf(other.driver, sizeof other.driver, "another version");
    ck_assert(!loads(&other, OPTIONS, source));
    other = *ctx;
    snprintf(other.name, sizeof other.name, "another device");
    ck_assert(!loads(&other, OPTIONS, source));
    free(kept(&(size_t){0}));
    unlink(path);
}
END_TEST

/* Every byte of the head, bytes all over the rest, every kind of cut. */
START_TEST(damaged)
{
    bf_ctx *ctx = any_ctx();
    size_t size;
    keep(ctx);
    char *data = kept(&size);
    for (size_t i = 0; i < size; i += i < 40 ? 1 : 1 + size / 50) {
        if (i >= 36 && i < 40) continue; /* padding */
        data[i] ^= 0x10;
        write_all(data, size);
        ck_assert_msg(!loads(ctx, OPTIONS, source), "byte %zu", i);
        data[i] ^= 0x10;
    }
    for (size_t n = 0; n < size; n += n < 64 ? 1 : 1 + size / 20) {
        write_all(data, n);
        ck_assert_msg(!loads(ctx, OPTIONS, source), "%zu bytes", n);
    }
    memset(data, 0xff, size);
    write_all(data, size);
    ck_assert(!loads(ctx, OPTIONS, source));
    cl_program p = built(ctx);
    bf_binary_keep(ctx, OPTIONS, source, p); /* replaces it */
    clReleaseProgram(p);
    ck_assert(loads(ctx, OPTIONS, source));
    unlink(path);
    free(data);
}
END_TEST

/* The file that was not used for longest goes first, and only as many as must. */
START_TEST(bounded)
{
    bf_ctx *ctx = any_ctx();
    char name[2][700];
    const struct timespec times[2][2] = {{{.tv_sec = 1000}, {.tv_sec = 1000}}, {{.tv_sec = 2000}, {.tv_sec = 2000}}};
    for (int i = 0; i < 2; i++) {
        snprintf(name[i], sizeof name[i], "%.500s/test-%ld-%d", bf_program_dir(), (long)getpid(), i);
        const int fd = open(name[i], O_CREAT | O_WRONLY, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, i == 0 ? 250 << 20 : 1 << 10), 0); /* takes no room on the disk */
        ck_assert_int_eq(futimens(fd, times[i]), 0);
        close(fd);
    }
    keep(ctx); /* may fit */
    size_t size;
    free(kept(&size));
    ck_assert_int_eq(truncate(path, 8 << 20), 0); /* now it does not */
    char first[700];
    memcpy(first, path, sizeof first);
    keep(ctx);
    free(kept(&size));
    ck_assert_int_ne(access(name[0], F_OK), 0);
    ck_assert_int_eq(access(name[1], F_OK), 0);
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(name[1]);
    unlink(first);
    unlink(path);
}
END_TEST

static Suite *binary_suite(void)
{
    Suite *s = suite_create("binary");
    TCase *t = tcase_create("binary");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, found_again);
    tcase_add_test(t, another_key);
    tcase_add_test(t, damaged);
    tcase_add_test(t, bounded);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return test_main(binary_suite());
}
