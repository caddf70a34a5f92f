/* Batches on their way to the device while it computes. device/device.h */
#include <stdlib.h>

#include "base/size.h"
#include "device/cl.h"

enum { SLOTS = 2 };

typedef struct slot {
    cl_mem pinned;  /* staged: holds `host`; else NULL */
    cl_mem device;  /* staged: where the transfer queue puts it; else NULL */
    cl_event there; /* staged: the transfer */
    cl_event taken; /* the newest command that reads the slot; NULL: it is free */
    void *host;
} slot;

struct bf_upload {
    bf_ctx *ctx;
    uint64_t bytes;
    bool staged;
    cl_command_queue queue; /* staged: for transfers alone */
    slot slots[SLOTS];
    int now; /* the slot that was handed out last */
};

uint64_t bf_upload_device_bytes(const bf_ctx *ctx, uint64_t bytes)
{
    return bf_ctx_unified(ctx) ? 0 : SLOTS * bytes;
}

static bf_status staged_new(bf_upload *u, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = u->ctx;
    const size_t bytes = (size_t)u->bytes;
    cl_int code;
    u->queue = clCreateCommandQueue(ctx->context, ctx->device.id, 0, &code);
    BF_CL(code, "opening a queue for transfers on %s", ctx->name);
    for (int i = 0; i < SLOTS; i++) {
        slot *s = &u->slots[i];
        s->device = clCreateBuffer(ctx->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
        BF_CL(code, "allocating %zu bytes for transfers on %s", bytes, ctx->name);
        ctx->used += u->bytes;
        ctx->peak = BF_MAX(ctx->peak, ctx->used);
        s->pinned = clCreateBuffer(ctx->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, bytes, NULL, &code);
        BF_CL(code, "allocating %zu bytes of host memory for transfers to %s", bytes, ctx->name);
        s->host = clEnqueueMapBuffer(u->queue, s->pinned, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes, 0, NULL, NULL,
                                     &code);
        BF_CL(code, "mapping %zu bytes of host memory for transfers to %s", bytes, ctx->name);
    }
out:
    return st;
}

bf_status bf_upload_new(bf_ctx *ctx, uint64_t bytes, bool staged, bf_upload **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_upload *u = NULL;
    BF_NEW(u, 1);
    u->ctx = ctx;
    u->bytes = bytes;
    u->staged = staged;
    if (staged) {
        BF_TRY(staged_new(u, err));
    } else {
        for (int i = 0; i < SLOTS; i++) BF_TRY(bf_calloc(&u->slots[i].host, 1, (size_t)bytes, err));
    }
    *out = u;
    u = NULL;
out:
    bf_upload_free(u);
    return st;
}

static void forget(cl_event *event)
{
    if (*event != NULL) clReleaseEvent(*event);
    *event = NULL;
}

static void slot_free(bf_upload *u, slot *s)
{
    if (s->taken != NULL) clWaitForEvents(1, &s->taken);
    if (s->there != NULL) clWaitForEvents(1, &s->there);
    forget(&s->taken);
    forget(&s->there);
    if (!u->staged) {
        free(s->host);
        return;
    }
    if (s->host != NULL) clEnqueueUnmapMemObject(u->queue, s->pinned, s->host, 0, NULL, NULL);
    if (u->queue != NULL) clFinish(u->queue);
    if (s->pinned != NULL) clReleaseMemObject(s->pinned);
    if (s->device != NULL) {
        clReleaseMemObject(s->device);
        u->ctx->used -= u->bytes;
    }
}

void bf_upload_free(bf_upload *u)
{
    if (u == NULL) return;
    for (int i = 0; i < SLOTS; i++) slot_free(u, &u->slots[i]);
    if (u->queue != NULL) clReleaseCommandQueue(u->queue);
    free(u);
}

bf_status bf_upload_next(bf_upload *u, void **host, bf_err *err)
{
    bf_status st = BF_OK;
    u->now = (u->now + 1) % SLOTS;
    slot *s = &u->slots[u->now];
    if (s->taken != NULL) BF_CL(clWaitForEvents(1, &s->taken), "waiting for a transfer to %s", u->ctx->name);
    forget(&s->taken);
    forget(&s->there);
    *host = s->host;
out:
    return st;
}

bf_status bf_upload_send(bf_upload *u, bf_err *err)
{
    bf_status st = BF_OK;
    slot *s = &u->slots[u->now];
    if (!u->staged) return BF_OK;
    BF_CL(clEnqueueWriteBuffer(u->queue, s->device, CL_FALSE, 0, (size_t)u->bytes, s->host, 0, NULL, &s->there),
          "sending %llu bytes to %s", (unsigned long long)u->bytes, u->ctx->name);
    BF_CL(clFlush(u->queue), "sending %llu bytes to %s", (unsigned long long)u->bytes, u->ctx->name);
out:
    return st;
}

bf_status bf_upload_take(bf_upload *u, bf_mem dst, uint64_t from, size_t bytes, bf_err *err)
{
    bf_status st = BF_OK;
    slot *s = &u->slots[u->now];
    const char *name = u->ctx->name;
    BF_CHECK(from <= u->bytes && bytes <= u->bytes - from, BF_RUNTIME, "bytes %llu..%llu of a transfer of %llu",
             (unsigned long long)from, (unsigned long long)(from + bytes), (unsigned long long)u->bytes);
    BF_TRY(bf_range_check(u->ctx, dst, bytes, "taking a transfer", err));
    forget(&s->taken); /* the queue is in order: the newest command is the last to end */
    if (u->staged)
        BF_CL(clEnqueueCopyBuffer(u->ctx->queue, s->device, dst.buf->mem, (size_t)from, (size_t)dst.off, bytes, 1,
                                  &s->there, &s->taken),
              "copying %zu bytes on %s", bytes, name);
    else
        BF_CL(clEnqueueWriteBuffer(u->ctx->queue, dst.buf->mem, CL_FALSE, (size_t)dst.off, bytes,
                                   (const char *)s->host + from, 0, NULL, &s->taken),
              "writing %zu bytes to %s", bytes, name);
out:
    return st;
}
