/* Lists of prepared commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "device/cl.h"

#define FILL_WORDS 16 /* a fill by 64 bytes runs three times as fast as by 4 (POCL 3.1) */

enum { MAX_ARGS = 40, TURN_ARGS = 4 };

typedef enum cmd_kind { CMD_KERNEL, CMD_COPY, CMD_FILL, CMD_HOST } cmd_kind;

typedef struct cmd {
    cmd_kind kind;
    bool ran;           /* a driver may compile at the first run */
    size_t profile_row; /* when the context profiles */
    bf_work work;
    union {
        struct {
            cl_kernel kernel; /* owned: its arguments are set once */
            size_t items[3], local[3];
            char name[96]; /* "norm.cl: group_norm_fwd" */
        } k;
        struct {
            bf_mem dst, src;
            uint64_t bytes;
            cl_uint pattern[FILL_WORDS];
            size_t pattern_bytes;
        } m;
        struct {
            const char *name;
            bf_host_fn fn;
            void *data;
            void (*free_data)(void *);
        } h;
    } u;
} cmd;

struct bf_cmds {
    bf_ctx *ctx;
    cmd *list;
    size_t count, room;
};

bf_status bf_cmds_new(bf_ctx *ctx, bf_cmds **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_cmds *c = NULL;
    BF_NEW(c, 1);
    c->ctx = ctx;
out:
    *out = c;
    return st;
}

static void cmd_free(cmd *c)
{
    if (c->kind == CMD_KERNEL && c->u.k.kernel != NULL) clReleaseKernel(c->u.k.kernel);
    if (c->kind == CMD_HOST && c->u.h.free_data != NULL) c->u.h.free_data(c->u.h.data);
}

void bf_cmds_free(bf_cmds *cmds)
{
    if (cmds == NULL) return;
    for (size_t i = 0; i < cmds->count; i++) cmd_free(&cmds->list[i]);
    free(cmds->list);
    free(cmds);
}

bf_ctx *bf_cmds_ctx(const bf_cmds *cmds)
{
    return cmds->ctx;
}

size_t bf_cmds_count(const bf_cmds *cmds)
{
    return cmds->count;
}

/* A copy of *c at the end of the list; on failure what *c owns is freed. */
static bf_status append(bf_cmds *cmds, cmd *c, const char *file, const char *name, const char *defines, bf_err *err)
{
    bf_status st = BF_OK;
    if (cmds->ctx->profile != NULL) {
        BF_TRY(bf_profile_row_index(cmds->ctx, file, name, defines, &c->profile_row, err));
    }
    if (cmds->count == cmds->room) {
        const size_t room = 2 * cmds->room + 32;
        cmd *bigger = realloc(cmds->list, room * sizeof *bigger);
        BF_CHECK(bigger != NULL, BF_RUNTIME, "out of memory: a list of %zu commands", room);
        cmds->list = bigger;
        cmds->room = room;
    }
    cmds->list[cmds->count++] = *c;
out:
    if (st != BF_OK) cmd_free(c);
    return st;
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

static bf_status set_arg(const bf_ctx *ctx, cl_kernel kernel, const bf_call *call, cl_uint *slot, const bf_arg *a,
                         bf_err *err)
{
    bf_status st = BF_OK;
    const char *what = "setting argument %u of %s";
    const void *value = &a->v;
    size_t size = 4;
    cl_mem mem = NULL;
    cl_ulong off = 0;
    char name[128];
    snprintf(name, sizeof name, "%s:%s", call->file, call->kernel);
    switch (a->kind) {
    case BF_ARG_MEM:
        if (!bf_mem_is_none(a->v.mem)) {
            BF_TRY(bf_range_check(ctx, a->v.mem, 0, name, err));
            mem = a->v.mem.buf->mem;
            off = a->v.mem.off / 4;
        }
        BF_CL(clSetKernelArg(kernel, *slot, sizeof mem, &mem), what, *slot, name);
        ++*slot;
        value = &off;
        size = sizeof off;
        break;
    case BF_ARG_U64: size = sizeof(cl_ulong); break;
    case BF_ARG_LOCAL:
        value = NULL;
        size = (size_t)a->v.u64;
        BF_CHECK(size <= ctx->local_bytes, BF_DEVICE, "%s: %zu bytes of local memory, %s has %llu", name, size,
                 ctx->name, (unsigned long long)ctx->local_bytes);
        break;
    case BF_ARG_I32:
    case BF_ARG_U32:
    case BF_ARG_F32: break;
    }
    BF_CL(clSetKernelArg(kernel, *slot, size, value), what, *slot, name);
    ++*slot;
out:
    return st;
}

static bf_status set_args(const bf_ctx *ctx, cl_kernel kernel, const bf_call *call, bf_err *err)
{
    bf_status st = BF_OK;
    cl_uint slot = 0, wanted = 0;
    for (size_t i = 0; i < call->n_args; i++) slot += 1 + (call->args[i].kind == BF_ARG_MEM);
    BF_CL(clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof wanted, &wanted, NULL),
          "asking for the arguments of %s:%s", call->file, call->kernel);
    BF_CHECK(slot == wanted, BF_RUNTIME, "%s:%s takes %u arguments (two for each memory), %u were given", call->file,
             call->kernel, wanted, slot);
    slot = 0;
    for (size_t i = 0; i < call->n_args; i++) BF_TRY(set_arg(ctx, kernel, call, &slot, &call->args[i], err));
out:
    return st;
}

/* Rounds the work-items up to whole groups and checks the group against device and kernel. */
static bf_status set_sizes(const bf_ctx *ctx, cmd *c, const bf_call *call, bf_err *err)
{
    bf_status st = BF_OK;
    size_t group = 1, limit = ctx->max_group;
    for (int i = 0; i < 3; i++) {
        c->u.k.local[i] = BF_MAX(call->local[i], (size_t)1);
        c->u.k.items[i] = (size_t)bf_round_up(BF_MAX(call->items[i], (size_t)1), c->u.k.local[i]);
        group *= c->u.k.local[i];
    }
    if (!(ctx->device.quirks & BF_QUIRK_GROUP_HINT)) {
        size_t kernel_limit = 0;
        BF_CL(clGetKernelWorkGroupInfo(c->u.k.kernel, ctx->device.id, CL_KERNEL_WORK_GROUP_SIZE, sizeof kernel_limit,
                                       &kernel_limit, NULL),
              "asking for the group size of %s:%s", call->file, call->kernel);
        if (kernel_limit > 0) limit = BF_MIN(limit, kernel_limit);
    }
    if (group > limit) {
        st = bf_fail(err, BF_DEVICE, "%s:%s needs groups of %zu work-items, %s allows %zu", call->file, call->kernel,
                     group, ctx->name, limit);
        bf_hint(err, "set BFNCL_GROUP to a smaller power of two (64), or use --device cpu");
    }
out:
    return st;
}

/* For cl/common.h: the counter and the numbers of groups as arguments, and as many groups as there are compute units.
 */
static bf_status kernel_in_turn(bf_cmds *cmds, const bf_call *call, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = cmds->ctx;
    bf_arg args[MAX_ARGS];
    bf_call all = *call;
    uint64_t groups[3];
    for (int i = 0; i < 3; i++)
        groups[i] = bf_ceil_div(BF_MAX(call->items[i], (size_t)1), BF_MAX(call->local[i], (size_t)1));
    const uint64_t n = groups[0] * groups[1] * groups[2];
    BF_CHECK(n <= INT32_MAX, BF_RUNTIME, "%s:%s: %llu groups are too many", call->file, call->kernel,
             (unsigned long long)n);
    BF_CHECK(call->n_args + TURN_ARGS <= MAX_ARGS, BF_RUNTIME, "%s:%s: %zu arguments are too many", call->file,
             call->kernel, call->n_args);
    if (ctx->turn == NULL) BF_TRY(bf_buf_new(ctx, sizeof(cl_uint), "counter of groups", &ctx->turn, err));
    const bf_arg turn[TURN_ARGS] = {bf_arg_mem((bf_mem){ctx->turn, 0}), bf_arg_u32((uint32_t)groups[0]),
                                    bf_arg_u32((uint32_t)groups[1]), bf_arg_u32((uint32_t)n)};
    memcpy(args, call->args, call->n_args * sizeof *args);
    memcpy(args + call->n_args, turn, sizeof turn);
    all.args = args;
    all.n_args += TURN_ARGS;
    all.items[0] = (size_t)BF_MIN(n, (uint64_t)ctx->units) * BF_MAX(call->local[0], (size_t)1);
    all.items[1] = all.items[2] = 0;
    all.in_turn = false;
    return bf_cmds_kernel(cmds, &all, err);
out:
    return st;
}

bf_status bf_cmds_kernel(bf_cmds *cmds, const bf_call *call, bf_err *err)
{
    bf_status st = BF_OK;
    if (call->in_turn && cmds->ctx->cls == BF_CLASS_CPU) return kernel_in_turn(cmds, call, err);
    bf_ctx *ctx = cmds->ctx;
    cl_program program;
    cl_int code;
    cmd c = {.kind = CMD_KERNEL};
    snprintf(c.u.k.name, sizeof c.u.k.name, "%s:%s", call->file, call->kernel);
    c.work.flops = call->flops;
    c.work.bytes = call->bytes;
    BF_TRY(bf_program_get(ctx, call->file, call->defines, &program, err));
    c.u.k.kernel = clCreateKernel(program, call->kernel, &code);
    BF_CL(code, "no kernel %s in %s (%s)", call->kernel, call->file, call->defines ? call->defines : "no defines");
    BF_TRY(set_args(ctx, c.u.k.kernel, call, err));
    BF_TRY(set_sizes(ctx, &c, call, err));
    return append(cmds, &c, call->file, call->kernel, call->defines, err);
out:
    cmd_free(&c);
    return st;
}

/* ---- copies, fills, host commands ------------------------------------------------------------------------------ */

bf_status bf_cmds_copy(bf_cmds *cmds, bf_mem dst, bf_mem src, uint64_t bytes, bf_err *err)
{
    bf_status st = BF_OK;
    cmd c = {.kind = CMD_COPY};
    if (bytes == 0) return BF_OK;
    BF_TRY(bf_range_check(cmds->ctx, dst, bytes, "copy, destination", err));
    BF_TRY(bf_range_check(cmds->ctx, src, bytes, "copy, source", err));
    BF_CHECK(dst.buf != src.buf || dst.off + bytes <= src.off || src.off + bytes <= dst.off, BF_RUNTIME,
             "copy of %llu bytes onto itself", (unsigned long long)bytes);
    c.u.m.dst = dst;
    c.u.m.src = src;
    c.u.m.bytes = bytes;
    return append(cmds, &c, "", "copy", "", err);
out:
    return st;
}

bf_status bf_cmds_fill(bf_cmds *cmds, bf_mem dst, uint32_t word, uint64_t bytes, bf_err *err)
{
    bf_status st = BF_OK;
    cmd c = {.kind = CMD_FILL};
    if (bytes == 0) return BF_OK;
    BF_TRY(bf_range_check(cmds->ctx, dst, bytes, "fill", err));
    BF_CHECK(bytes % 4 == 0, BF_RUNTIME, "fill of %llu bytes, not a multiple of 4", (unsigned long long)bytes);
    c.u.m.dst = dst;
    c.u.m.bytes = bytes;
    for (int i = 0; i < FILL_WORDS; i++) c.u.m.pattern[i] = word;
    c.u.m.pattern_bytes = (dst.off | bytes) % sizeof c.u.m.pattern == 0 ? sizeof c.u.m.pattern : sizeof word;
    return append(cmds, &c, "", "fill", "", err);
out:
    return st;
}

bf_status bf_cmds_host(bf_cmds *cmds, const char *name, bf_host_fn fn, void *data, void (*free_data)(void *),
                       bf_err *err)
{
    cmd c = {.kind = CMD_HOST};
    c.u.h.name = name;
    c.u.h.fn = fn;
    c.u.h.data = data;
    c.u.h.free_data = free_data;
    return append(cmds, &c, "", name, "", err);
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static bf_status enqueue(bf_ctx *ctx, const cmd *c, cl_event *event, bf_err *err)
{
    bf_status st = BF_OK;
    switch (c->kind) {
    case CMD_KERNEL:
        BF_CL(clEnqueueNDRangeKernel(ctx->queue, c->u.k.kernel, 3, NULL, c->u.k.items, c->u.k.local, 0, NULL, event),
              "running %s with %zux%zux%zu work-items in groups of %zux%zux%zu on %s", c->u.k.name, c->u.k.items[0],
              c->u.k.items[1], c->u.k.items[2], c->u.k.local[0], c->u.k.local[1], c->u.k.local[2], ctx->name);
        break;
    case CMD_COPY:
        BF_CL(clEnqueueCopyBuffer(ctx->queue, c->u.m.src.buf->mem, c->u.m.dst.buf->mem, (size_t)c->u.m.src.off,
                                  (size_t)c->u.m.dst.off, (size_t)c->u.m.bytes, 0, NULL, event),
              "copying %llu bytes on %s", (unsigned long long)c->u.m.bytes, ctx->name);
        break;
    case CMD_FILL:
        BF_CL(clEnqueueFillBuffer(ctx->queue, c->u.m.dst.buf->mem, c->u.m.pattern, c->u.m.pattern_bytes,
                                  (size_t)c->u.m.dst.off, (size_t)c->u.m.bytes, 0, NULL, event),
              "filling %llu bytes on %s", (unsigned long long)c->u.m.bytes, ctx->name);
        break;
    case CMD_HOST: BF_TRY(c->u.h.fn(ctx, c->u.h.data, err)); break;
    }
out:
    return st;
}

static const char *cmd_name(const cmd *c)
{
    switch (c->kind) {
    case CMD_KERNEL: return c->u.k.name;
    case CMD_COPY: return "copy";
    case CMD_FILL: return "fill";
    case CMD_HOST: return c->u.h.name;
    }
    return "?";
}

/* One command with its time; waits for it when the device's own timers are no good or a check of each was asked for. */
static bf_status enqueue_watched(bf_ctx *ctx, const cmd *c, bf_err *err)
{
    bf_status st = BF_OK;
    cl_event event = NULL;
    const bool wall = ctx->sync || c->kind == CMD_HOST || bf_profile_wall(ctx);
    double start;
    if (wall) BF_CL(bf_queue_finish(ctx), "waiting for %s", ctx->name);
    start = bf_seconds();
    BF_TRY(enqueue(ctx, c, wall ? NULL : &event, err));
    if (wall) {
        BF_CL(bf_queue_finish(ctx), "%s on %s", cmd_name(c), ctx->name);
        if (ctx->profile != NULL) bf_profile_add(ctx, c->profile_row, start, bf_seconds(), c->work);
    } else {
        BF_TRY(bf_profile_event(ctx, c->profile_row, event, start, c->work, err));
    }
out:
    return st;
}

bf_status bf_cmds_run_range(bf_cmds *cmds, size_t first, size_t count, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = cmds->ctx;
    const double start = bf_seconds();
    bool fresh = false;
    BF_CHECK(first <= cmds->count && count <= cmds->count - first, BF_RUNTIME, "commands %zu..%zu of a list of %zu",
             first, first + count, cmds->count);
    for (size_t i = first; i < first + count; i++) {
        cmd *c = &cmds->list[i];
        if (ctx->profile != NULL || ctx->sync) {
            BF_TRY(enqueue_watched(ctx, c, err));
        } else {
            BF_TRY(enqueue(ctx, c, NULL, err));
        }
        fresh = fresh || !c->ran;
        c->ran = true;
    }
    if (fresh) {
        BF_CL(bf_queue_finish(ctx), "the first run of %zu commands on %s", count, ctx->name);
        ctx->first_run_seconds += bf_seconds() - start;
    } else {
        BF_CL(clFlush(ctx->queue), "submitting %zu commands to %s", count, ctx->name);
    }
out:
    return st;
}

bf_status bf_cmds_run(bf_cmds *cmds, bf_err *err)
{
    return bf_cmds_run_range(cmds, 0, cmds->count, err);
}
