/* Opening a device: selection, queue, limits, memory budget. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "device/cl.h"
#include "device/gemm_provider.h"
#include "device/tune.h"

#define MIN_ALIGN 256 /* bytes; enough for any vector type and for sub-buffers of the known drivers */
#define MIN_GROUP 64
#define MAX_GROUP 256
#define AHEAD_SECONDS 0.25
#define BUDGET_SHARE 0.9 /* of the device's memory; the rest is the driver's */

static void CL_CALLBACK on_context_error(const char *what, const void *info, size_t size, void *user)
{
    (void)info;
    (void)size;
    bf_log(BFNCL_LOG_WARN, "%s: %s", (const char *)user, what);
}

/* Work-items of a wide group: $BFNCL_GROUP or the largest power of two in 64..256 that the device allows (less on a
 * device that allows less). */
static bf_status choose_group(bf_ctx *ctx, bf_err *err)
{
    bf_status st = BF_OK;
    const char *env = getenv("BFNCL_GROUP");
    size_t limit = MAX_GROUP;
    ctx->group = 1;
    if (ctx->cls == BF_CLASS_CPU) return BF_OK;
    if (env != NULL && env[0] != '\0') {
        char *end;
        const long n = strtol(env, &end, 10);
        BF_CHECK(*end == '\0' && n >= 1 && n <= MAX_GROUP && (n & (n - 1)) == 0, BF_USAGE,
                 "BFNCL_GROUP is '%.40s', a power of two in 1..%d is needed", env, MAX_GROUP);
        limit = (size_t)n;
    }
    limit = BF_MIN(limit, ctx->max_group);
    while (2 * ctx->group <= limit) ctx->group *= 2;
    if (ctx->group < MIN_GROUP) {
        bf_log(BFNCL_LOG_WARN, "%s: work-groups of %zu only, expect low speed", ctx->name, ctx->group);
    }
out:
    return st;
}

static void choose_budget(bf_ctx *ctx, const bfncl_device_info *info, uint64_t limit)
{
    ctx->global_bytes = info->global_mem_bytes;
    ctx->budget = (uint64_t)(BUDGET_SHARE * (double)info->global_mem_bytes);
    if (ctx->device.unified) {
        const uint64_t host = bf_host_available();
        if (host != UINT64_MAX) ctx->budget = BF_MIN(ctx->budget, (uint64_t)(BUDGET_SHARE * (double)host));
    }
    if (limit > 0) ctx->budget = BF_MIN(ctx->budget, limit);
    ctx->max_alloc = BF_MIN(info->max_alloc_bytes, ctx->budget);
}

static bf_status read_limits(bf_ctx *ctx, const bfncl_device_info *info, const bf_ctx_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    const cl_device_id id = ctx->device.id;
    const char *discrete = getenv("BFNCL_DISCRETE");
    cl_uint align_bits = 0;
    cl_ulong local = 0;
    ctx->units = o->units > 0 ? o->units : BF_MAX(info->compute_units, 1u);
    BF_CL(clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof ctx->max_group, &ctx->max_group, NULL),
          "asking %s for its limits", ctx->name);
    BF_CL(clGetDeviceInfo(id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL), "asking %s for its limits",
          ctx->name);
    BF_CL(clGetDeviceInfo(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof align_bits, &align_bits, NULL),
          "asking %s for its limits", ctx->name);
    ctx->local_bytes = local;
    ctx->align = MIN_ALIGN;
    while (ctx->align < align_bits / 8) ctx->align *= 2;
    ctx->is_cpu = strcmp(info->type, "CPU") == 0;
    ctx->cls = o->cls;
    if (ctx->cls == BF_CLASS_AUTO)
        ctx->cls = ctx->is_cpu && !(ctx->device.quirks & BF_QUIRK_WIDE) ? BF_CLASS_CPU : BF_CLASS_WIDE;
    ctx->gemm = o->gemm;
    ctx->gemm_auto = o->gemm == BF_GEMM_AUTO;
    if (ctx->gemm_auto) ctx->gemm = ctx->is_cpu ? BF_GEMM_PACKED : BF_GEMM_CLBLAST;
    choose_budget(ctx, info, o->memory_limit);
    if (discrete != NULL && discrete[0] != '\0') ctx->device.unified = ctx->is_cpu = false; /* for tests */
    BF_TRY(choose_group(ctx, err));
out:
    return st;
}

static bf_status open_device(bf_ctx *ctx, const bf_ctx_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)ctx->device.platform, 0};
    const cl_command_queue_properties queue =
        o->profile && !(ctx->device.quirks & BF_QUIRK_NO_PROFILING) ? CL_QUEUE_PROFILING_ENABLE : 0;
    cl_int code;
    ctx->context = clCreateContext(properties, 1, &ctx->device.id, on_context_error, ctx->name, &code);
    BF_CL(code, "opening %s", ctx->name);
    ctx->queue = clCreateCommandQueue(ctx->context, ctx->device.id, queue, &code);
    BF_CL(code, "opening a queue on %s", ctx->name);
    if (o->profile) BF_TRY(bf_profile_new(ctx, o->trace, err));
    if (o->kernel_dir != NULL) {
        BF_NEW(ctx->kernel_dir, strlen(o->kernel_dir) + 1);
        strcpy(ctx->kernel_dir, o->kernel_dir);
    }
    ctx->sync = o->sync;
    ctx->opened = bf_seconds();
out:
    return st;
}

static bf_status choose_device(bf_ctx *ctx, const bf_ctx_options *o, const bfncl_device_list *list, size_t *index,
                               bf_err *err)
{
    const char *from = o->selector_from, *who;
    const char *selector = bfncl_device_choice(o->selector, NULL, &who);
    bf_status st;
    if (o->selector == NULL || from == NULL) from = who;
    st = bf_select(list->info, list->count, selector, from, index, ctx->reason, sizeof ctx->reason, err);
    if (st != BF_OK && list->explanation[0] != '\0') bf_hint(err, "%s", list->explanation);
    return st;
}

bf_status bf_ctx_open(const bf_ctx_options *options, bf_ctx **out, bf_err *err)
{
    static const bf_ctx_options defaults = {0};
    bf_status st = BF_OK;
    bf_ctx *ctx = NULL;
    bfncl_device_list *list = NULL;
    size_t index = 0;
    if (options == NULL) options = &defaults;
    *out = NULL;
    BF_NEW(ctx, 1);
    BF_TRY(bf_device_list_build(&list, err));
    BF_TRY(choose_device(ctx, options, list, &index, err));
    ctx->device = list->device[index];
    snprintf(ctx->name, sizeof ctx->name, "%s", list->info[index].name);
    snprintf(ctx->driver, sizeof ctx->driver, "%s", list->info[index].driver);
    snprintf(ctx->platform, sizeof ctx->platform, "%s", list->info[index].platform);
    snprintf(ctx->selector, sizeof ctx->selector, "%s", list->info[index].selector);
    BF_TRY(read_limits(ctx, &list->info[index], options, err));
    BF_TRY(open_device(ctx, options, err));
    if (ctx->gemm_auto && !options->untuned) bf_ctx_load_tune(ctx);
    *out = ctx;
    ctx = NULL;
out:
    bfncl_device_list_free(list);
    bf_ctx_close(ctx);
    return st;
}

void bf_ctx_close(bf_ctx *ctx)
{
    if (ctx == NULL) return;
    if (ctx->queue != NULL) bf_queue_finish(ctx);
    bf_buf_free(ctx->zeros);
    bf_buf_free(ctx->turn);
    bf_profile_free(ctx);
    bf_programs_free(ctx);
    if (ctx->used_clblast) bf_clblast_forget();
    if (ctx->queue != NULL) clReleaseCommandQueue(ctx->queue);
    if (ctx->context != NULL) clReleaseContext(ctx->context);
    bf_ctx_drop_tune(ctx);
    free(ctx->kernel_dir);
    free(ctx);
}

const char *bf_ctx_name(const bf_ctx *ctx)
{
    return ctx->name;
}

const char *bf_ctx_driver(const bf_ctx *ctx)
{
    return ctx->driver;
}

const char *bf_ctx_reason(const bf_ctx *ctx)
{
    return ctx->reason;
}

bf_class bf_ctx_class(const bf_ctx *ctx)
{
    return ctx->cls;
}

bf_gemm_choice bf_ctx_gemm(const bf_ctx *ctx)
{
    return ctx->gemm;
}

unsigned bf_ctx_units(const bf_ctx *ctx)
{
    return ctx->units;
}

size_t bf_ctx_group(const bf_ctx *ctx)
{
    return ctx->group;
}

bool bf_ctx_many_barriers(const bf_ctx *ctx)
{
    return !(ctx->device.quirks & BF_QUIRK_BARRIERS);
}

size_t bf_ctx_align(const bf_ctx *ctx)
{
    return ctx->align;
}

uint64_t bf_ctx_local(const bf_ctx *ctx)
{
    return ctx->local_bytes;
}

bool bf_ctx_unified(const bf_ctx *ctx)
{
    return ctx->device.unified;
}

bool bf_ctx_ahead(const bf_ctx *ctx, double seconds)
{
    return !ctx->is_cpu && ctx->profile == NULL && seconds < AHEAD_SECONDS;
}

uint64_t bf_ctx_max_alloc(const bf_ctx *ctx)
{
    return ctx->max_alloc;
}

uint64_t bf_ctx_budget(const bf_ctx *ctx)
{
    return ctx->budget;
}

uint64_t bf_ctx_used(const bf_ctx *ctx)
{
    return ctx->used;
}

uint64_t bf_ctx_peak(const bf_ctx *ctx)
{
    return ctx->peak;
}

double bf_ctx_compile_seconds(const bf_ctx *ctx)
{
    return ctx->compile_seconds;
}

double bf_ctx_first_run_seconds(const bf_ctx *ctx)
{
    return ctx->first_run_seconds;
}
