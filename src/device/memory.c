/* Device memory under the engine's own budget, and transfers. */
#include <stdlib.h>

#include "base/size.h"
#include "device/cl.h"

#define MIB (1024.0 * 1024.0)
#define HOST_RESERVE (UINT64_C(128) << 20) /* left to the rest of the process when device memory is host memory */

static bf_status check_room(const bf_ctx *ctx, uint64_t bytes, const char *what, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(bytes <= ctx->max_alloc, BF_RUNTIME,
             "%s: one buffer of %.1f MiB does not fit on %s, which allows %.1f MiB in one buffer", what, bytes / MIB,
             ctx->name, ctx->max_alloc / MIB);
    BF_CHECK(bytes <= ctx->budget - BF_MIN(ctx->used, ctx->budget), BF_RUNTIME,
             "%s: %.1f MiB more do not fit on %s: %.1f MiB of %.1f MiB are in use", what, bytes / MIB, ctx->name,
             ctx->used / MIB, ctx->budget / MIB);
    if (ctx->device.unified) {
        const uint64_t host = bf_host_available();
        BF_CHECK(host > HOST_RESERVE && bytes <= host - HOST_RESERVE, BF_RUNTIME,
                 "%s: %.1f MiB do not fit: the host has %.1f MiB left, of which %.1f MiB stay free", what, bytes / MIB,
                 host / MIB, HOST_RESERVE / MIB);
    }
out:
    if (st != BF_OK)
        bf_hint(err, "lower the batch size or the width of the model, or choose a device with more memory");
    return st;
}

cl_int bf_queue_finish(bf_ctx *ctx)
{
    if (ctx->device.quirks & BF_QUIRK_FINISH) {
        const cl_int code = clEnqueueMarkerWithWaitList(ctx->queue, 0, NULL, NULL);
        if (code != CL_SUCCESS) return code;
    }
    return clFinish(ctx->queue);
}

/* Drivers hand out memory at first use and may end the process when it is not there: use it now, once. A processor does
 * so beside what the host does next, such as building programs; check_room has seen that the memory is there. */
static bf_status touch(bf_buf *buf, const char *what, bf_err *err)
{
    bf_status st = BF_OK;
    const cl_uint zeros[16] = {0}; /* 64 bytes at a time are three times as fast as 4 (POCL 3.1) */
    const size_t most = (size_t)(buf->size / sizeof zeros * sizeof zeros), rest = (size_t)(buf->size - most) / 4 * 4;
    cl_int code = CL_SUCCESS;
    if (most > 0) code = clEnqueueFillBuffer(buf->ctx->queue, buf->mem, zeros, sizeof zeros, 0, most, 0, NULL, NULL);
    if (code == CL_SUCCESS && rest > 0)
        code = clEnqueueFillBuffer(buf->ctx->queue, buf->mem, zeros, sizeof zeros[0], most, rest, 0, NULL, NULL);
    BF_CL(code, "%s: filling %.1f MiB on %s", what, buf->size / MIB, buf->ctx->name);
    code = buf->ctx->is_cpu ? clFlush(buf->ctx->queue) : bf_queue_finish(buf->ctx);
    BF_CL(code, "%s: filling %.1f MiB on %s", what, buf->size / MIB, buf->ctx->name);
out:
    return st;
}

bf_status bf_buf_new(bf_ctx *ctx, uint64_t bytes, const char *what, bf_buf **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_buf *buf = NULL;
    cl_int code;
    const cl_mem_flags flags =
        CL_MEM_READ_WRITE | (ctx->device.quirks & BF_QUIRK_HOST_PTR ? (cl_mem_flags)CL_MEM_ALLOC_HOST_PTR : 0);
    *out = NULL;
    BF_CHECK(bytes > 0, BF_USAGE, "%s: a buffer of 0 bytes", what);
    BF_TRY(check_room(ctx, bytes, what, err));
    BF_NEW(buf, 1);
    buf->ctx = ctx;
    buf->size = bytes;
    buf->mem = clCreateBuffer(ctx->context, flags, (size_t)bytes, NULL, &code);
    BF_CL(code, "%s: allocating %.1f MiB on %s", what, bytes / MIB, ctx->name);
    ctx->used += bytes;
    ctx->peak = BF_MAX(ctx->peak, ctx->used);
    BF_TRY(touch(buf, what, err));
    *out = buf;
    buf = NULL;
out:
    if (buf != NULL && buf->mem == NULL) {
        free(buf);
    } else {
        bf_buf_free(buf);
    }
    return st;
}

void bf_buf_free(bf_buf *buf)
{
    if (buf == NULL) return;
    clReleaseMemObject(buf->mem);
    buf->ctx->used -= buf->size;
    free(buf);
}

uint64_t bf_buf_size(const bf_buf *buf)
{
    return buf->size;
}

bf_status bf_range_check(const bf_ctx *ctx, bf_mem m, uint64_t bytes, const char *what, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(m.buf != NULL, BF_RUNTIME, "%s: no memory given", what);
    BF_CHECK(m.buf->ctx == ctx, BF_RUNTIME, "%s: memory of another context", what);
    BF_CHECK(m.off % 4 == 0, BF_RUNTIME, "%s: offset %llu is not a multiple of 4", what, (unsigned long long)m.off);
    BF_CHECK(m.off <= m.buf->size && bytes <= m.buf->size - m.off, BF_RUNTIME,
             "%s: bytes %llu..%llu of a buffer of %llu", what, (unsigned long long)m.off,
             (unsigned long long)(m.off + bytes), (unsigned long long)m.buf->size);
out:
    return st;
}

static bf_status write_memory(bf_ctx *ctx, bf_mem dst, const void *src, size_t bytes, cl_bool blocking, bf_err *err)
{
    bf_status st = BF_OK;
    if (bytes == 0) return BF_OK;
    BF_TRY(bf_range_check(ctx, dst, bytes, "writing to the device", err));
    BF_CL(clEnqueueWriteBuffer(ctx->queue, dst.buf->mem, blocking, (size_t)dst.off, bytes, src, 0, NULL, NULL),
          "writing %zu bytes to %s", bytes, ctx->name);
out:
    return st;
}

bf_status bf_write(bf_ctx *ctx, bf_mem dst, const void *src, size_t bytes, bf_err *err)
{
    return write_memory(ctx, dst, src, bytes, CL_TRUE, err);
}

bf_status bf_write_async(bf_ctx *ctx, bf_mem dst, const void *src, size_t bytes, bf_err *err)
{
    return write_memory(ctx, dst, src, bytes, CL_FALSE, err);
}

static bf_status read_memory(bf_ctx *ctx, void *dst, bf_mem src, size_t bytes, cl_bool block, bf_err *err)
{
    bf_status st = BF_OK;
    if (bytes == 0) return BF_OK;
    BF_TRY(bf_range_check(ctx, src, bytes, "reading from the device", err));
    BF_CL(clEnqueueReadBuffer(ctx->queue, src.buf->mem, block, (size_t)src.off, bytes, dst, 0, NULL, NULL),
          "reading %zu bytes from %s", bytes, ctx->name);
    /* The queue is in order: everything before a blocking read has ended. */
    if (block && ctx->profile != NULL) BF_TRY(bf_profile_collect(ctx, err));
out:
    return st;
}

bf_status bf_read(bf_ctx *ctx, void *dst, bf_mem src, size_t bytes, bf_err *err)
{
    return read_memory(ctx, dst, src, bytes, CL_TRUE, err);
}

bf_status bf_read_async(bf_ctx *ctx, void *dst, bf_mem src, size_t bytes, bf_err *err)
{
    return read_memory(ctx, dst, src, bytes, CL_FALSE, err);
}

struct bf_mark {
    bf_ctx *ctx;
    cl_event event;
};

bf_status bf_mark_new(bf_ctx *ctx, bf_mark **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mark *mark = NULL;
    BF_NEW(mark, 1);
    mark->ctx = ctx;
    BF_CL(clEnqueueMarkerWithWaitList(ctx->queue, 0, NULL, &mark->event), "marking the queue of %s", ctx->name);
    BF_CL(clFlush(ctx->queue), "submitting commands to %s", ctx->name);
    *out = mark;
    mark = NULL;
out:
    bf_mark_free(mark);
    return st;
}

bf_status bf_mark_wait(bf_mark *mark, bf_err *err)
{
    bf_status st = BF_OK;
    if (mark->ctx->profile != NULL) return bf_finish(mark->ctx, err); /* timers are read when all commands have ended */
    BF_CL(clWaitForEvents(1, &mark->event), "waiting for %s", mark->ctx->name);
out:
    return st;
}

void bf_mark_free(bf_mark *mark)
{
    if (mark == NULL) return;
    if (mark->event != NULL) clReleaseEvent(mark->event);
    free(mark);
}

bf_status bf_finish(bf_ctx *ctx, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CL(bf_queue_finish(ctx), "waiting for %s", ctx->name);
    if (ctx->profile != NULL) BF_TRY(bf_profile_collect(ctx, err));
out:
    return st;
}

bf_status bf_ctx_zeros(bf_ctx *ctx, bf_mem *out, bf_err *err)
{
    bf_status st = BF_OK;
    float *zeros = NULL;
    bf_buf *buf = NULL;
    if (ctx->zeros == NULL) {
        BF_NEW(zeros, BF_ZEROS);
        BF_TRY(bf_buf_new(ctx, BF_ZEROS * sizeof *zeros, "zeros", &buf, err));
        BF_TRY(bf_write(ctx, (bf_mem){buf, 0}, zeros, BF_ZEROS * sizeof *zeros, err));
        ctx->zeros = buf;
        buf = NULL;
    }
    *out = (bf_mem){ctx->zeros, 0};
out:
    bf_buf_free(buf);
    free(zeros);
    return st;
}
