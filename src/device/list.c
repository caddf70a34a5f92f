/* All devices of all platforms in one flat list. A driver or device that fails marks its own row only. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "device/cl.h"
#include "device/tune.h"

#define MAX_PLATFORMS 32
#define MAX_DEVICES 64 /* per platform */
#define MAX_PROPERTIES 32
#define OPENCL_C_ALL_VERSIONS 0x1066 /* CL_DEVICE_OPENCL_C_ALL_VERSIONS, absent from the headers of 1.2 */

/* ---- strings owned by the list --------------------------------------------------------------------------------- */

/* Takes ownership of `block`; NULL when it is NULL or there is no memory to note it. */
static void *own(bfncl_device_list *list, void *block)
{
    char **bigger;
    if (block == NULL) return NULL;
    bigger = realloc(list->strings, (list->n_strings + 1) * sizeof *bigger);
    if (bigger == NULL) {
        free(block);
        return NULL;
    }
    list->strings = bigger;
    list->strings[list->n_strings++] = block;
    return block;
}

BF_PRINTF(2, 3) static const char *text(bfncl_device_list *list, const char *fmt, ...)
{
    char buffer[4096], *copy;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buffer, sizeof buffer, fmt, ap);
    va_end(ap);
    copy = malloc(strlen(buffer) + 1);
    if (copy != NULL) strcpy(copy, buffer);
    copy = own(list, copy);
    return copy != NULL ? copy : "";
}

/* ---- queries: a failing query gives the fallback, never an error ------------------------------------------------- */

/* Outer blanks removed, inner runs of blanks made one. */
static void squeeze(char *s)
{
    char *to = s;
    for (const char *from = s; *from != '\0'; from++) {
        if (isspace((unsigned char)*from)) {
            if (to != s && to[-1] != ' ') *to++ = ' ';
        } else {
            *to++ = *from;
        }
    }
    if (to != s && to[-1] == ' ') to--;
    *to = '\0';
}

static void device_text(cl_device_id id, cl_device_info what, char *out, size_t size)
{
    char *value = NULL;
    size_t n = 0;
    out[0] = '\0';
    if (clGetDeviceInfo(id, what, 0, NULL, &n) != CL_SUCCESS || n == 0) return;
    value = calloc(n + 1, 1);
    if (value != NULL && clGetDeviceInfo(id, what, n, value, NULL) == CL_SUCCESS) {
        squeeze(value);
        snprintf(out, size, "%s", value);
    }
    free(value);
}

static void platform_text(cl_platform_id id, cl_platform_info what, char *out, size_t size)
{
    char value[256] = "";
    if (clGetPlatformInfo(id, what, sizeof value - 1, value, NULL) != CL_SUCCESS) value[0] = '\0';
    squeeze(value);
    snprintf(out, size, "%s", value);
}

static uint64_t device_u64(cl_device_id id, cl_device_info what)
{
    cl_ulong v = 0;
    return clGetDeviceInfo(id, what, sizeof v, &v, NULL) == CL_SUCCESS ? v : 0;
}

static unsigned device_uint(cl_device_id id, cl_device_info what)
{
    cl_uint v = 0;
    return clGetDeviceInfo(id, what, sizeof v, &v, NULL) == CL_SUCCESS ? v : 0;
}

static size_t device_size(cl_device_id id, cl_device_info what)
{
    size_t v = 0;
    return clGetDeviceInfo(id, what, sizeof v, &v, NULL) == CL_SUCCESS ? v : 0;
}

static bool has_extension(const char *extensions, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = extensions; (p = strstr(p, name)) != NULL; p += n) {
        if ((p == extensions || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' ')) return true;
    }
    return false;
}

/* ---- one device ------------------------------------------------------------------------------------------------ */

/* Short name for selectors: known platforms by table, others by their first word. */
static void short_platform(const char *platform, char *out, size_t size)
{
    static const struct {
        const char *part, *name;
    } known[] = {{"portable computing language", "pocl"},
                 {"nvidia", "nvidia"},
                 {"amd accelerated", "amd"},
                 {"intel", "intel"},
                 {"rusticl", "rusticl"},
                 {"clover", "clover"},
                 {"oclgrind", "oclgrind"}};
    size_t n = 0;
    for (size_t i = 0; i < BF_COUNT(known); i++) {
        if (bf_contains(platform, known[i].part)) {
            snprintf(out, size, "%s", known[i].name);
            return;
        }
    }
    while (n + 1 < size && isalnum((unsigned char)platform[n])) {
        out[n] = (char)tolower((unsigned char)platform[n]);
        n++;
    }
    out[n] = '\0';
    if (n == 0) snprintf(out, size, "platform");
}

static const char *type_name(cl_device_id id, unsigned quirks)
{
    cl_device_type type = 0;
    clGetDeviceInfo(id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    if (quirks & BF_QUIRK_IS_CPU) return "CPU";
    if (type & CL_DEVICE_TYPE_GPU) return "GPU";
    if (type & CL_DEVICE_TYPE_ACCELERATOR) return "ACC";
    return "CPU";
}

/* Can a context and a queue be made? Kernels are not built. */
static cl_int trial(const bf_device *d)
{
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)d->platform, 0};
    cl_int code;
    cl_command_queue queue;
    cl_context context = clCreateContext(properties, 1, &d->id, NULL, NULL, &code);
    if (code != CL_SUCCESS) return code;
    queue = clCreateCommandQueue(context, d->id, 0, &code);
    if (code == CL_SUCCESS) clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return code;
}

/* "" when the device can be used. */
static const char *unusable(bfncl_device_list *list, const bf_device *d, const char *version)
{
    int major = 0, minor = 0;
    cl_int code;
    if (d->quirks & BF_QUIRK_REFUSE) return "refused: this driver ends the process while building kernels";
    if (!device_uint(d->id, CL_DEVICE_AVAILABLE)) return "the driver says it is not available";
    if (!device_uint(d->id, CL_DEVICE_COMPILER_AVAILABLE)) return "no kernel compiler";
    if (!device_uint(d->id, CL_DEVICE_ENDIAN_LITTLE)) return "big-endian";
    if (sscanf(version, "OpenCL %4d.%4d", &major, &minor) == 2 && (major < 1 || (major == 1 && minor < 2))) {
        return text(list, "OpenCL %d.%d, 1.2 is needed", major, minor);
    }
    code = trial(d);
    return code == CL_SUCCESS ? "" : text(list, "no context: %s (%d)", bf_cl_name(code), (int)code);
}

/* All versions of the kernel language; drivers before OpenCL 3.0 name one. */
static void language_versions(cl_device_id id, char *out, size_t size)
{
    struct {
        cl_uint version; /* major << 22 | minor << 12 | patch */
        char name[64];
    } v[16]; /* cl_name_version */
    size_t bytes = 0;
    device_text(id, CL_DEVICE_OPENCL_C_VERSION, out, size);
    if (clGetDeviceInfo(id, OPENCL_C_ALL_VERSIONS, sizeof v, v, &bytes) != CL_SUCCESS) return;
    for (size_t i = 0; i < bytes / sizeof v[0]; i++) {
        bf_append(out, size, "%s%u.%u", i == 0 ? "; takes " : ", ", v[i].version >> 22, v[i].version >> 12 & 1023u);
    }
}

typedef struct properties {
    bfncl_device_list *list;
    bfncl_property *rows;
    size_t n;
} properties;

static void property(properties *p, const char *name, const char *value)
{
    if (p->n == MAX_PROPERTIES || value == NULL || value[0] == '\0') return;
    p->rows[p->n].name = name;
    p->rows[p->n++].value = value;
}

static void environment(properties *p)
{
    static const char *const names[] = {
        "BFNCL_DEVICE",         "BFNCL_CACHE",          "BFNCL_GROUP",         "OCL_ICD_VENDORS",
        "OPENCL_VENDOR_PATH",   "POCL_CACHE_DIR",       "POCL_DEVICES",        "POCL_MAX_PTHREAD_COUNT",
        "POCL_MEMORY_LIMIT",    "RUSTICL_ENABLE",       "RUSTICL_DEVICE_TYPE", "LP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "NEOReadDebugKeys"};
    char all[2000] = "";
    for (size_t i = 0; i < BF_COUNT(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL) bf_append(all, sizeof all, "%s%s=%.200s", all[0] ? "\n" : "", names[i], value);
    }
    property(p, "environment", text(p->list, "%s", all));
}

/* Is there a table of `bfncl tune` for the device, and can it be used? */
static void tuned(properties *p, const bfncl_device_info *info, const bf_device *d)
{
    const bool cpu = strcmp(info->type, "CPU") == 0 && !(d->quirks & BF_QUIRK_WIDE);
    bf_ctx ctx = {.cls = cpu ? BF_CLASS_CPU : BF_CLASS_WIDE,
                  .max_group = device_size(d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE),
                  .local_bytes = device_u64(d->id, CL_DEVICE_LOCAL_MEM_SIZE)};
    char path[1024];
    bf_tune table;
    bf_err err;
    snprintf(ctx.name, sizeof ctx.name, "%s", info->name);
    snprintf(ctx.platform, sizeof ctx.platform, "%s", info->platform);
    snprintf(ctx.driver, sizeof ctx.driver, "%s", info->driver);
    bf_tune_path(&ctx, path);
    if (path[0] == '\0' || access(path, F_OK) != 0)
        property(p, "matrix products", "not tuned");
    else if (bf_tune_load(&ctx, path, &table, &err) == BF_OK)
        property(p, "matrix products", text(p->list, "tuned %s: %s", table.time, path));
    else
        property(p, "matrix products", text(p->list, "not tuned: %s", err.message));
}

/* Everything the engine depends on, for `-v` and problem reports. */
static void describe(bfncl_device_list *list, bfncl_device_info *info, const bf_device *d, const char *quirk_text)
{
    static const char *const local_type[] = {"none", "local", "global"};
    properties p = {.list = list};
    const unsigned local = device_uint(d->id, CL_DEVICE_LOCAL_MEM_TYPE);
    char value[4096];
    p.rows = own(list, calloc(MAX_PROPERTIES, sizeof *p.rows));
    if (p.rows == NULL) return;
    device_text(d->id, CL_DEVICE_VERSION, value, sizeof value);
    property(&p, "device version", text(list, "%s", value));
    platform_text(d->platform, CL_PLATFORM_VERSION, value, sizeof value);
    property(&p, "platform version", text(list, "%s", value));
    language_versions(d->id, value, sizeof value);
    property(&p, "kernel language", text(list, "%s", value));
    property(&p, "clock", text(list, "%u MHz", device_uint(d->id, CL_DEVICE_MAX_CLOCK_FREQUENCY)));
    property(&p, "largest work-group", text(list, "%zu", device_size(d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE)));
    property(&p, "local memory",
             text(list, "%.1f KiB, %s", device_u64(d->id, CL_DEVICE_LOCAL_MEM_SIZE) / 1024.0,
                  local_type[BF_MIN(local, 2u)]));
    property(&p, "base alignment", text(list, "%u bytes", device_uint(d->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8));
    property(&p, "memory shared with the host", d->unified ? "yes" : "no");
    if (d->unified) {
        property(&p, "host memory available", text(list, "%.1f MiB", (double)bf_host_available() / 1048576.0));
    }
    device_text(d->id, CL_DEVICE_EXTENSIONS, value, sizeof value);
    property(&p, "fp64", has_extension(value, "cl_khr_fp64") ? "yes (not used)" : "no");
    property(&p, "fp16 arithmetic", has_extension(value, "cl_khr_fp16") ? "yes" : "no");
    property(&p, "sub-groups", has_extension(value, "cl_khr_subgroups") ? "yes (not used)" : "no");
    property(&p, "images", device_uint(d->id, CL_DEVICE_IMAGE_SUPPORT) ? "yes (not used)" : "no");
    property(&p, "timer resolution", text(list, "%zu ns", device_size(d->id, CL_DEVICE_PROFILING_TIMER_RESOLUTION)));
    property(&p, "quirks", quirk_text[0] ? text(list, "%s", quirk_text) : "none");
    property(&p, "cache folder", bf_cache_dir() ? bf_cache_dir() : "none: no folder can be written");
    property(&p, "built kernels", bf_program_dir() ? bf_program_dir() : "not kept");
    value[0] = '\0';
    bf_driver_files(value, sizeof value);
    property(&p, "driver files", text(list, "%s", value));
    if (info->usable) tuned(&p, info, d);
    environment(&p);
    info->properties = p.rows;
    info->n_properties = p.n;
}

/* "OpenCL C 1.2 something" -> "1.2" */
static const char *language_version(bfncl_device_list *list, cl_device_id id)
{
    char value[256];
    int major, minor;
    device_text(id, CL_DEVICE_OPENCL_C_VERSION, value, sizeof value);
    if (sscanf(value, "OpenCL C %4d.%4d", &major, &minor) != 2) return "";
    return text(list, "%d.%d", major, minor);
}

static void add_device(bfncl_device_list *list, cl_platform_id platform, cl_device_id id)
{
    bfncl_device_info *info = &list->info[list->count];
    bf_device *d = &list->device[list->count];
    char name[256], platform_name[256], vendor[256], driver[256], version[256], quirk_text[2048];
    char start[32], *prefix;
    cl_bool unified = CL_FALSE;
    unsigned n = 0;
    device_text(id, CL_DEVICE_NAME, name, sizeof name);
    device_text(id, CL_DEVICE_VENDOR, vendor, sizeof vendor);
    device_text(id, CL_DRIVER_VERSION, driver, sizeof driver);
    device_text(id, CL_DEVICE_VERSION, version, sizeof version);
    platform_text(platform, CL_PLATFORM_NAME, platform_name, sizeof platform_name);
    d->platform = platform;
    d->id = id;
    d->quirks = bf_quirks(platform_name, name, driver, quirk_text, sizeof quirk_text);
    short_platform(platform_name, start, sizeof start);
    for (size_t i = 0; i < list->count; i++) {
        prefix = strchr(list->info[i].selector, ':');
        n += prefix != NULL && (size_t)(prefix - list->info[i].selector) == strlen(start) &&
             strncmp(list->info[i].selector, start, strlen(start)) == 0;
    }
    info->index = (int)list->count;
    info->selector = text(list, "%s:%u", start, n);
    info->name = text(list, "%s", name);
    info->platform = text(list, "%s", platform_name);
    info->vendor = text(list, "%s", vendor);
    info->driver = text(list, "%s", driver);
    info->type = type_name(id, d->quirks);
    info->opencl_c = language_version(list, id);
    info->global_mem_bytes = device_u64(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->max_alloc_bytes = device_u64(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    info->compute_units = device_uint(id, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->last_choice = (d->quirks & BF_QUIRK_LAST) != 0;
    clGetDeviceInfo(id, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified, &unified, NULL);
    d->unified = unified || strcmp(info->type, "CPU") == 0;
    if (strcmp(info->type, "CPU") == 0) d->quirks |= BF_QUIRK_HOST_PTR;
    info->reason = unusable(list, d, version);
    info->usable = info->reason[0] == '\0';
    describe(list, info, d, quirk_text);
    list->count++;
}

/* ---- the list -------------------------------------------------------------------------------------------------- */

static bf_status add_platform(bfncl_device_list *list, cl_platform_id platform, bf_err *err)
{
    bf_status st = BF_OK;
    cl_device_id ids[MAX_DEVICES];
    cl_uint n = 0;
    bfncl_device_info *info;
    bf_device *device;
    /* a platform without a device is normal: the driver is installed, the hardware is not there */
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &n) != CL_SUCCESS || n == 0) return BF_OK;
    n = BF_MIN(n, (cl_uint)MAX_DEVICES);
    info = realloc(list->info, (list->count + n) * sizeof *info);
    BF_CHECK(info != NULL, BF_RUNTIME, "out of memory: a list of %zu devices", list->count + n);
    memset(info + list->count, 0, n * sizeof *info);
    list->info = info;
    device = realloc(list->device, (list->count + n) * sizeof *device);
    BF_CHECK(device != NULL, BF_RUNTIME, "out of memory: a list of %zu devices", list->count + n);
    memset(device + list->count, 0, n * sizeof *device);
    list->device = device;
    for (cl_uint i = 0; i < n; i++) add_device(list, platform, ids[i]);
out:
    return st;
}

static void explain(bfncl_device_list *list, const cl_platform_id *platforms, cl_int code)
{
    char *t = list->explanation;
    const size_t size = sizeof list->explanation;
    if (list->platforms == 0) {
        bf_append(t, size, "no OpenCL driver was found: %s (%d)\n", bf_cl_name(code), (int)code);
    } else {
        bf_append(t, size, "%zu OpenCL driver%s, but no usable device\n", list->platforms,
                  list->platforms == 1 ? "" : "s");
    }
    for (size_t i = 0; i < list->platforms; i++) {
        char name[256], start[32];
        platform_text(platforms[i], CL_PLATFORM_NAME, name, sizeof name);
        short_platform(name, start, sizeof start);
        bf_append(t, size, "  %s: %s\n", name,
                  strcmp(start, "rusticl") == 0
                      ? "set RUSTICL_ENABLE to the Mesa driver of your GPU (radeonsi, iris, ...)"
                  : strcmp(start, "pocl") == 0 ? "is its kernel cache (POCL_CACHE_DIR) a folder that can be written?"
                                               : "no such hardware, or no permission on its device nodes");
    }
    for (size_t i = 0; i < list->count; i++) {
        bf_append(t, size, "  %s '%s': %s\n", list->info[i].selector, list->info[i].name, list->info[i].reason);
    }
    bf_explain_drivers(t, size);
}

bf_status bf_device_list_build(bfncl_device_list **out, bf_err *err)
{
    bf_status st = BF_OK;
    bfncl_device_list *list = NULL;
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n = 0;
    cl_int code;
    bool any = false;
    *out = NULL;
    bf_cl_prepare();
    BF_NEW(list, 1);
    code = clGetPlatformIDs(MAX_PLATFORMS, platforms, &n);
    if (code != CL_SUCCESS) n = 0;
    list->platforms = BF_MIN(n, (cl_uint)MAX_PLATFORMS);
    for (size_t i = 0; i < list->platforms; i++) BF_TRY(add_platform(list, platforms[i], err));
    for (size_t i = 0; i < list->count; i++) any = any || list->info[i].usable;
    if (!any) explain(list, platforms, code);
    *out = list;
    list = NULL;
out:
    bfncl_device_list_free(list);
    return st;
}

bfncl_status bfncl_device_list_new(const char *selector, bfncl_device_list **list, bfncl_error *err)
{
    bf_err local = {0}, choice = {0};
    const char *from;
    size_t index;
    bf_status st;
    if (err == NULL) err = &local;
    selector = bfncl_device_choice(selector, NULL, &from);
    st = bf_device_list_build(list, err);
    if (st != BF_OK) return st;
    if (bf_select((*list)->info, (*list)->count, selector, from, &index, (*list)->choice, sizeof(*list)->choice,
                  &choice) == BF_OK) {
        (*list)->info[index].selected = true;
    } else {
        snprintf((*list)->choice, sizeof(*list)->choice, "%s", choice.message);
    }
    return BF_OK;
}

void bfncl_device_list_free(bfncl_device_list *list)
{
    if (list == NULL) return;
    for (size_t i = 0; i < list->n_strings; i++) free(list->strings[i]);
    free(list->strings);
    free(list->info);
    free(list->device);
    free(list);
}

size_t bfncl_device_list_count(const bfncl_device_list *list)
{
    return list->count;
}

const bfncl_device_info *bfncl_device_list_get(const bfncl_device_list *list, size_t index)
{
    return index < list->count ? &list->info[index] : NULL;
}

const char *bfncl_device_list_choice(const bfncl_device_list *list)
{
    return list->choice;
}

const char *bfncl_device_list_explain(const bfncl_device_list *list)
{
    return list->explanation;
}
