/*
 * The device list, its three printed forms and the selector grammar, mostly on tables that are made up here. What
 * depends on the environment of a process runs in a child: this program with an argument.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/cli/device_list.h"
#include "base/size.h"
#include "device/cl.h"
#include "support.h"

#define GIB (UINT64_C(1) << 30)

/* ---- made-up devices ------------------------------------------------------------------------------------------- */

static const bfncl_property odd_properties[] = {{"quirks", "one: \"a\"\ntwo: \\b\x01"}};

#define DEVICE(i, sel, n, plat, ven, t, mem, cu, why, last)                                                            \
    {                                                                                                                  \
        .index = i, .selector = sel, .name = n, .platform = plat, .vendor = ven, .type = t, .usable = !(why)[0],       \
        .reason = why, .last_choice = last, .global_mem_bytes = (mem)*GIB, .max_alloc_bytes = (mem)*GIB / 4,           \
        .compute_units = cu, .opencl_c = "1.2", .driver = "1.0"                                                        \
    }

static const bfncl_device_info zoo[] = {
    DEVICE(0, "pocl:0", "pthread-skylake-AMD EPYC", "Portable Computing Language", "GenuineIntel", "CPU", 15, 2, "", 0),
    DEVICE(1, "nvidia:0", "Tesla T4", "NVIDIA CUDA", "NVIDIA Corporation", "GPU", 16, 40, "", 0),
    DEVICE(2, "nvidia:1", "Tesla V100", "NVIDIA CUDA", "NVIDIA Corporation", "GPU", 16, 80, "", 0),
    DEVICE(3, "intel:0", "Iris Xe", "Intel(R) OpenCL Graphics", "Intel(R) Corporation", "GPU", 12, 96,
           "no context: CL_OUT_OF_HOST_MEMORY (-6)", 0),
    DEVICE(4, "oclgrind:0", "Oclgrind Simulator", "Oclgrind", "University of Bristol", "CPU", 99, 99, "", 1),
    DEVICE(5, "acme:0", "Accel 1", "Acme", "Acme", "ACC", 99, 99, "", 0),
};

/* Index of the chosen device, or -1 with `part` found in message and hint. */
static int pick(const bfncl_device_info *info, size_t count, const char *selector, const char *part)
{
    bf_err e = {0};
    char reason[512] = "", all[2 * BFNCL_MESSAGE_SIZE + 2];
    size_t index = 999;
    const bf_status st = bf_select(info, count, selector, "--device", &index, reason, sizeof reason, &e);
    if (st == BF_OK) {
        ck_assert_msg(strstr(reason, part) != NULL, "'%s' is not in: %s", part, reason);
        return (int)index;
    }
    ck_assert_int_eq(st, BF_DEVICE);
    snprintf(all, sizeof all, "%s\n%s", e.message, e.hint);
    ck_assert_msg(strstr(all, part) != NULL, "'%s' is not in: %s", part, all);
    return -1;
}

#define PICK(selector, part) pick(zoo, BF_COUNT(zoo), selector, part)

START_TEST(by_number_and_platform)
{
    ck_assert_int_eq(PICK("0", "pocl:0"), 0);
    ck_assert_int_eq(PICK("2", "nvidia:1"), 2);
    ck_assert_int_eq(PICK("nvidia:1", "named"), 2);
    ck_assert_int_eq(PICK("NVIDIA:0", "named"), 1);
    ck_assert_int_eq(PICK("6", "out of range: there are 6 devices"), -1);
    ck_assert_int_eq(PICK("99999999999999999999999", "out of range"), -1);
    ck_assert_int_eq(PICK("3", "CL_OUT_OF_HOST_MEMORY (-6)"), -1);
    ck_assert_int_eq(PICK("intel:0", "cannot be used"), -1);
    ck_assert_int_eq(PICK("nvidia:2", "no device matches"), -1);
    ck_assert_int_eq(PICK("nvidia:2", "1 = nvidia:0 GPU 'Tesla T4'"), -1);
    ck_assert_int_eq(PICK("-1", "no device matches"), -1);
}
END_TEST

START_TEST(by_kind)
{
    ck_assert_int_eq(PICK("auto", "most memory x units"), 2);
    ck_assert_int_eq(PICK(NULL, "most memory x units"), 2);
    ck_assert_int_eq(PICK("", "[--device: auto]"), 2);
    ck_assert_int_eq(PICK("GPU", "best of 2 usable GPU"), 2);
    ck_assert_int_eq(PICK("cpu", "best of 2 usable CPU"), 0); /* a simulator comes last however big it says it is */
    ck_assert_int_eq(PICK("acc", "the only usable ACC"), 5);
    ck_assert_int_eq(pick(zoo, 1, "auto", "no usable GPU or accelerator, so the CPU device"), 0);
    ck_assert_int_eq(pick(zoo, 1, "gpu", "no usable OpenCL GPU device on this machine"), -1);
    ck_assert_int_eq(pick(zoo + 3, 1, "gpu", "CL_OUT_OF_HOST_MEMORY"), -1);
    ck_assert_int_eq(pick(zoo + 3, 3, "auto", "usable ACC"), 2);
    ck_assert_int_eq(pick(NULL, 0, "auto", "no usable OpenCL device"), -1);
    ck_assert_int_eq(pick(NULL, 0, "0", "out of range"), -1);
}
END_TEST

START_TEST(by_text)
{
    ck_assert_int_eq(PICK("epyc", "named"), 0);
    ck_assert_int_eq(PICK("portable", "named"), 0);
    ck_assert_int_eq(PICK("Bristol", "named"), 4);
    ck_assert_int_eq(PICK("language pthread", "named"), 0); /* across "platform device vendor" */
    ck_assert_int_eq(PICK("tesla", "ambiguous: it matches 2 devices"), -1);
    ck_assert_int_eq(PICK("tesla", "2 = nvidia:1 GPU 'Tesla V100'"), -1);
    ck_assert_int_eq(PICK("iris", "cannot be used"), -1);
    ck_assert_int_eq(PICK("voodoo", "no device matches 'voodoo'"), -1);
    ck_assert_int_eq(PICK("voodoo", "--device: "), -1);
    ck_assert_int_eq(PICK("t4:", "no device matches"), -1);
}
END_TEST

START_TEST(precedence)
{
    const char *from;
    setenv("BFNCL_DEVICE", "gpu", 1);
    ck_assert_str_eq(bfncl_device_choice("cpu", "0", &from), "cpu");
    ck_assert_str_eq(from, "--device");
    ck_assert_str_eq(bfncl_device_choice(NULL, "0", &from), "gpu");
    ck_assert_str_eq(from, "BFNCL_DEVICE");
    unsetenv("BFNCL_DEVICE");
    ck_assert_str_eq(bfncl_device_choice("", "0", &from), "0");
    ck_assert_str_eq(from, "the configuration");
    ck_assert_str_eq(bfncl_device_choice(NULL, NULL, NULL), "auto");
}
END_TEST

START_TEST(quirk_table)
{
    char text[1024];
    ck_assert_uint_eq(bf_quirks("Clover", "llvmpipe", "22.3.6", text, sizeof text) & BF_QUIRK_REFUSE, BF_QUIRK_REFUSE);
    ck_assert_uint_ne(bf_quirks("rusticl", "x", "22.3.6", text, sizeof text) & BF_QUIRK_NO_PROFILING, 0);
    ck_assert_ptr_nonnull(strstr(text, "CL_KERNEL_WORK_GROUP_SIZE"));
    ck_assert_uint_eq(bf_quirks("rusticl", "x", "24.1.0", text, sizeof text), BF_QUIRK_FINISH);
    ck_assert_ptr_null(strstr(text, "CL_KERNEL_WORK_GROUP_SIZE"));
    ck_assert_uint_eq(bf_quirks("Portable Computing Language", "x", "3.1+debian", text, sizeof text),
                      BF_QUIRK_HOST_PTR | BF_QUIRK_SLOW_BINARY | BF_QUIRK_BARRIERS);
    ck_assert_uint_eq(bf_quirks("NVIDIA CUDA", "Tesla T4", "535.1", text, sizeof text), 0);
    ck_assert_str_eq(text, "");
}
END_TEST

/* ---- printed forms --------------------------------------------------------------------------------------------- */

static const bfncl_device_info odd = {
    .index = 0,
    .selector = "odd:0",
    .name = "a \"quoted\" \\ device, \xe2\x84\xa2, bad \xff\xc0\xaf byte\tand a name much longer than its column",
    .platform = "\xed\xa0\x80",
    .vendor = "",
    .type = "CPU",
    .usable = true,
    .reason = "",
    .selected = true,
    .global_mem_bytes = UINT64_C(9007199254740993),
    .max_alloc_bytes = 1,
    .opencl_c = "",
    .driver = "",
    .properties = odd_properties,
    .n_properties = 1,
};

/* What the printer wrote, 0-terminated; the caller frees. */
static char *printed(char form, const bfncl_device_info *info, size_t count)
{
    FILE *f = tmpfile();
    char *text = calloc(1 << 16, 1);
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(text);
    if (form == 's') device_list_short(f, info, count, "why");
    if (form == 'v') device_list_verbose(f, info, count, "why");
    if (form == 'j') ck_assert(device_list_json(f, info, count));
    rewind(f);
    ck_assert_uint_lt(fread(text, 1, (1 << 16) - 1, f), (1 << 16) - 1);
    fclose(f);
    return text;
}

START_TEST(json_of_odd_names)
{
    char *text = printed('j', &odd, 1);
    json_error_t e;
    json_t *root = json_loads(text, 0, &e), *d;
    ck_assert_msg(root != NULL, "%s", e.text);
    ck_assert_int_eq(json_integer_value(json_object_get(root, "schema_version")), 1);
    d = json_array_get(json_object_get(root, "devices"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(d, "name")),
                     "a \"quoted\" \\ device, \xe2\x84\xa2, bad ??? byte?and a name much longer than its column");
    ck_assert_str_eq(json_string_value(json_object_get(d, "platform")), "???");
    ck_assert(json_integer_value(json_object_get(d, "global_mem_bytes")) == 9007199254740993);
    ck_assert(json_is_true(json_object_get(d, "usable")));
    ck_assert(json_is_true(json_object_get(d, "selected")));
    json_decref(root);
    free(text);
}
END_TEST

START_TEST(json_keys)
{
    static const char *const keys[] = {"index",    "selector", "name",          "platform",       "vendor",
                                       "type",     "usable",   "reason",        "selected",       "global_mem_bytes",
                                       "opencl_c", "driver",   "compute_units", "max_alloc_bytes"};
    char *text = printed('j', zoo, BF_COUNT(zoo)), *none = printed('j', NULL, 0);
    json_t *root = json_loads(text, 0, NULL), *empty = json_loads(none, 0, NULL), *devices;
    ck_assert_ptr_nonnull(root);
    devices = json_object_get(root, "devices");
    ck_assert_uint_eq(json_array_size(devices), BF_COUNT(zoo));
    for (size_t i = 0; i < BF_COUNT(zoo); i++) {
        const json_t *d = json_array_get(devices, i);
        for (size_t k = 0; k < BF_COUNT(keys); k++) ck_assert_ptr_nonnull(json_object_get(d, keys[k]));
        ck_assert(json_is_true(json_object_get(d, "usable")) == zoo[i].usable);
    }
    ck_assert_uint_eq(json_array_size(json_object_get(empty, "devices")), 0);
    ck_assert(json_is_array(json_object_get(empty, "devices")));
    json_decref(root);
    json_decref(empty);
    free(text);
    free(none);
}
END_TEST

START_TEST(short_and_long_form)
{
    char *table = printed('s', zoo, BF_COUNT(zoo)), *one = printed('s', &odd, 1), *all = printed('v', &odd, 1);
    ck_assert_ptr_nonnull(strstr(table, "skipped: no context: CL_OUT_OF_HOST_MEMORY (-6)"));
    ck_assert_ptr_nonnull(strstr(table, "no device is selected: why"));
    ck_assert_ptr_nonnull(strstr(one, "*    0  odd:0"));
    ck_assert_ptr_nonnull(strstr(one, "..."));
    ck_assert_ptr_null(strchr(one, '\t'));
    ck_assert_ptr_null(strchr(one, '\xff'));
    ck_assert_ptr_nonnull(strstr(all, "one: \"a\"\n"));
    ck_assert_ptr_nonnull(strstr(all, "two: \\b?"));
    free(table);
    free(one);
    free(all);
}
END_TEST

/* ---- the real list --------------------------------------------------------------------------------------------- */

START_TEST(device_under_test_is_listed)
{
    const char *device = getenv("BFNCL_TEST_DEVICE");
    bfncl_device_list *list = NULL;
    size_t selected = 0;
    OK(bfncl_device_list_new(device ? device : "pocl:0", &list, err));
    ck_assert_uint_ge(bfncl_device_list_count(list), 1);
    for (size_t i = 0; i < bfncl_device_list_count(list); i++) {
        const bfncl_device_info *d = bfncl_device_list_get(list, i);
        ck_assert_int_eq(d->index, (int)i);
        ck_assert_int_eq(d->usable, d->reason[0] == '\0');
        if (!d->selected) continue;
        selected++;
        ck_assert_str_eq(d->selector, device ? device : "pocl:0");
        ck_assert_uint_gt(d->global_mem_bytes, 0);
        ck_assert_uint_gt(d->n_properties, 10);
    }
    ck_assert_uint_eq(selected, 1);
    ck_assert_str_eq(bfncl_device_list_explain(list), "");
    ck_assert_ptr_null(bfncl_device_list_get(list, bfncl_device_list_count(list)));
    bfncl_device_list_free(list);
    OK(bfncl_device_list_new("no such device", &list, err));
    for (size_t i = 0; i < bfncl_device_list_count(list); i++) {
        ck_assert(!bfncl_device_list_get(list, i)->selected);
    }
    ck_assert_ptr_nonnull(strstr(bfncl_device_list_choice(list), "no device matches 'no such device'"));
    bfncl_device_list_free(list);
}
END_TEST

START_TEST(named_device_is_never_replaced)
{
    const bf_ctx_options o = {.selector = "no such device", .selector_from = "--device"};
    bf_ctx *ctx = NULL;
    bf_err e = {0};
    ck_assert_int_eq(bf_ctx_open(&o, &ctx, &e), BF_DEVICE);
    ck_assert_ptr_null(ctx);
    ck_assert_ptr_nonnull(strstr(e.message, "no device matches 'no such device'"));
    ck_assert_ptr_nonnull(strstr(e.hint, "0 = "));
}
END_TEST

/* ---- child processes ------------------------------------------------------------------------------------------- */

/* Opens the automatic device; prints the error and the explanation. */
static int child_open(void)
{
    bf_ctx *ctx = NULL;
    bf_err e = {0};
    bfncl_device_list *list = NULL;
    const bf_status st = bf_ctx_open(NULL, &ctx, &e);
    printf("status %d\n", (int)st);
    if (st != BF_OK) printf("%s\n%s\n", e.message, e.hint);
    bf_ctx_close(ctx);
    if (bfncl_device_list_new(NULL, &list, NULL) != BF_OK) return 1;
    printf("%s\n%s", bfncl_device_list_choice(list), bfncl_device_list_explain(list));
    bfncl_device_list_free(list);
    return 0;
}

/* Takes memory until it is refused while the process may hold little: the refusal must be a message. */
static int child_memory(void)
{
    const struct rlimit limit = {UINT64_C(1) << 30, UINT64_C(1) << 30};
    bf_ctx *ctx = NULL;
    bf_buf *bufs[64] = {NULL};
    bf_err e = {0};
    size_t n = 0;
    if (bf_ctx_open(NULL, &ctx, &e) != BF_OK || setrlimit(RLIMIT_DATA, &limit) != 0) return 1;
    while (n < BF_COUNT(bufs) && bf_buf_new(ctx, 64 << 20, "activations", &bufs[n], &e) == BF_OK) n++;
    printf("%zu buffers, then: %s\n", n, e.message);
    for (size_t i = 0; i < n; i++) bf_buf_free(bufs[i]);
    bf_ctx_close(ctx);
    return 0;
}

/* Output of this program with the argument, in the environment `env` (shell syntax). The caller frees. */
static char *child(const char *env, const char *argument)
{
    char self[512] = "", command[1200], *text = calloc(1 << 15, 1);
    FILE *p;
    ck_assert_ptr_nonnull(text);
    ck_assert_int_gt((int)readlink("/proc/self/exe", self, sizeof self - 1), 0);
    snprintf(command, sizeof command, "env -u POCL_CACHE_DIR -u BFNCL_DEVICE %s '%s' %s 2>&1", env, self, argument);
    p = popen(command, "r");
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_lt(fread(text, 1, (1 << 15) - 1, p), (1 << 15) - 1);
    ck_assert_msg(pclose(p) == 0, "%s failed: %s", command, text);
    return text;
}

static void child_says(const char *env, const char *argument, const char *part)
{
    char *text = child(env, argument);
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in the output with %s:\n%s", part, env, text);
    free(text);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[256];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

START_TEST(no_driver)
{
    char dir[] = "/tmp/bfncl-icd-XXXXXX", env[128];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(env, sizeof env, "OCL_ICD_VENDORS=%s", dir);
    child_says(env, "open", "status 3");
    child_says(env, "open", "no .icd file in this folder");
    child_says(env, "open", "apt-get install pocl-opencl-icd");
    child_says(env, "open", "CL_PLATFORM_NOT_FOUND_KHR (-1001)");
    rmdir(dir);
    child_says(env, "open", "no such folder");
    child_says("OCL_ICD_VENDORS=nonexistent.icd", "open", "/etc/OpenCL/vendors/nonexistent.icd: cannot be read");
}
END_TEST

START_TEST(broken_drivers)
{
    static const char *const names[] = {"missing.icd", "math.icd", "empty.icd", "noise.icd", "good.icd"};
    char dir[] = "/tmp/bfncl-icd-XXXXXX", env[128], line[256] = "";
    FILE *f = fopen("/etc/OpenCL/vendors/pocl.icd", "r");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(env, sizeof env, "OCL_ICD_VENDORS=%s", dir);
    write_text(dir, names[0], "libbfncl-nothing.so.9\n");
    write_text(dir, names[1], "libm.so.6\n");
    write_text(dir, names[2], "");
    write_text(dir, names[3], "\x7f\x45\x01\x02\xff\n");
    child_says(env, "open", "status 3");
    child_says(env, "open", "libbfncl-nothing.so.9: cannot open shared object file");
    child_says(env, "open", "libm.so.6 loads but is not an OpenCL driver");
    child_says(env, "open", "empty.icd: does not name a library");
    child_says(env, "open", "noise.icd: does not name a library");
    if (f != NULL && fgets(line, sizeof line, f) != NULL) { /* a broken driver never hides a good one */
        write_text(dir, names[4], line);
        child_says(env, "open", "status 0");
        child_says(env, "open", "pocl:0");
    }
    if (f != NULL) fclose(f);
    for (size_t i = 0; i < BF_COUNT(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}
END_TEST

/* The device is there without home folder; a cache folder that cannot be is explained. */
START_TEST(cache_folders)
{
    child_says("HOME=/dev/null XDG_CACHE_HOME=/dev/null/x OCL_ICD_VENDORS=pocl.icd", "open", "status 0");
    child_says("POCL_CACHE_DIR=/dev/null/x OCL_ICD_VENDORS=pocl.icd", "open", "status 3");
    child_says("POCL_CACHE_DIR=/dev/null/x OCL_ICD_VENDORS=pocl.icd", "open", "POCL_CACHE_DIR");
    child_says("BFNCL_CACHE=/dev/null/x OCL_ICD_VENDORS=pocl.icd", "open", "status 0");
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) /* its shadow memory is more than any limit */
START_TEST(memory_runs_out)
{
    child_says("OCL_ICD_VENDORS=pocl.icd", "memory", "then: activations: 64.0 MiB do not fit: the host has");
}
END_TEST
#endif

static Suite *select_suite(void)
{
    Suite *s = suite_create("select");
    TCase *grammar = tcase_create("grammar"), *forms = tcase_create("forms"), *real = tcase_create("real");
    tcase_add_test(grammar, by_number_and_platform);
    tcase_add_test(grammar, by_kind);
    tcase_add_test(grammar, by_text);
    tcase_add_test(grammar, precedence);
    tcase_add_test(grammar, quirk_table);
    tcase_add_test(forms, json_of_odd_names);
    tcase_add_test(forms, json_keys);
    tcase_add_test(forms, short_and_long_form);
    tcase_add_test(real, device_under_test_is_listed);
    tcase_add_test(real, named_device_is_never_replaced);
    tcase_add_test(real, no_driver);
    tcase_add_test(real, broken_drivers);
    tcase_add_test(real, cache_folders);
#if !defined(__SANITIZE_ADDRESS__)
    tcase_add_test(real, memory_runs_out);
#endif
    suite_add_tcase(s, grammar);
    suite_add_tcase(s, forms);
    suite_add_tcase(s, real);
    return s;
}

int main(int argc, char **argv)
{
    if (argc > 1) return strcmp(argv[1], "open") == 0 ? child_open() : child_memory();
    return test_main(select_suite());
}
