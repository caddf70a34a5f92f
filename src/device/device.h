/*
 * The device layer: the only code that sees CL/cl.h. Lists and selects devices, owns one context with one in-order
 * queue, memory under a budget, programs, and lists of prepared commands.
 */
#ifndef BF_DEVICE_DEVICE_H
#define BF_DEVICE_DEVICE_H

#include "base/err.h"

/* ---- contexts ------------------------------------------------------------------------------------------------- */

typedef struct bf_ctx bf_ctx;

/* How kernels are shaped. CPU: work-group size 1, one work-item per row chunk, float16 vectors. WIDE: a work-group per
 * row or tile, local memory. Tests set it; otherwise it follows the device type. */
typedef enum bf_class { BF_CLASS_AUTO = 0, BF_CLASS_CPU, BF_CLASS_WIDE } bf_class;

typedef enum bf_gemm_choice { BF_GEMM_AUTO = 0, BF_GEMM_CLBLAST, BF_GEMM_PACKED } bf_gemm_choice;

typedef struct bf_ctx_options {
    const char *selector; /* NULL: $BFNCL_DEVICE, else auto */
    const char
        *selector_from; /* who decided, for the start line and messages: "--device", "config", ...; may be NULL */
    bf_class cls;
    bf_gemm_choice gemm;
    const char *kernel_dir; /* NULL: the embedded kernels */
    uint64_t memory_limit;  /* bytes; 0: what the device allows */
    bool profile;           /* time every command: bf_ctx_profile */
    size_t trace;           /* with profile: keep the times of so many runs, bf_ctx_trace */
    bool sync;              /* wait for every command, so that a failing one is named */
    bool untuned;           /* leave out what `bfncl tune` wrote */
    unsigned units;         /* plan for so many compute units; 0: those of the device. For tests */
} bf_ctx_options;

/* Symbolic name of an OpenCL code, "CL_OUT_OF_RESOURCES"; never NULL. */
const char *bf_cl_name(int code);

bf_status bf_ctx_open(const bf_ctx_options *options, bf_ctx **out, bf_err *err);
void bf_ctx_close(bf_ctx *ctx);

const char *bf_ctx_name(const bf_ctx *ctx);    /* device name as the driver gives it */
const char *bf_ctx_driver(const bf_ctx *ctx);  /* version of the driver */
const char *bf_ctx_reason(const bf_ctx *ctx);  /* one line: which device and why it was taken */
bf_class bf_ctx_class(const bf_ctx *ctx);      /* never AUTO */
bf_gemm_choice bf_ctx_gemm(const bf_ctx *ctx); /* where no table of `bfncl tune` says otherwise */
/* "packed", "clblast" or "tuned" and the number of the table: what decides how products are done, and so their bits. */
void bf_ctx_gemm_text(const bf_ctx *ctx, char out[32]);
unsigned bf_ctx_units(const bf_ctx *ctx); /* compute units, at least 1: may decide who computes what, not the result */
size_t bf_ctx_group(const bf_ctx *ctx);   /* work-items of a WIDE group: a power of two, 64..256; 1 for CPU */
bool bf_ctx_many_barriers(const bf_ctx *ctx); /* may a kernel have dozens of barriers? */
size_t bf_ctx_align(const bf_ctx *ctx);       /* bytes; arena placement, at least 256 */
bool bf_ctx_unified(const bf_ctx *ctx);       /* device memory is host memory */
uint64_t bf_ctx_max_alloc(const bf_ctx *ctx); /* bytes in one buffer */
uint64_t bf_ctx_local(const bf_ctx *ctx);     /* bytes of local memory that a work-group may have */
uint64_t bf_ctx_budget(const bf_ctx *ctx);    /* bytes the engine may hold in all */
uint64_t bf_ctx_used(const bf_ctx *ctx);
uint64_t bf_ctx_peak(const bf_ctx *ctx);
double bf_ctx_compile_seconds(const bf_ctx *ctx); /* spent building programs so far */

/* Spent in runs of commands that had never run before, start to finish: some drivers (POCL) make machine code there. */
double bf_ctx_first_run_seconds(const bf_ctx *ctx);

/* Time of all runs of one kernel so far; needs options.profile. Strings live as long as the context. */
typedef struct bf_profile_row {
    const char *file, *kernel, *defines; /* copies and fills: file "" */
    uint64_t runs;
    double seconds;
    double flops, bytes; /* of all runs, from bf_call */
} bf_profile_row;
size_t bf_ctx_profile(const bf_ctx *ctx, const bf_profile_row **rows);

/* One run of a command: which row of bf_ctx_profile, and when, on the clock of bf_seconds(). The first options.trace of
 * them; *dropped (may be NULL) counts the others. */
typedef struct bf_trace_span {
    size_t row;
    double start, end;
} bf_trace_span;
size_t bf_ctx_trace(const bf_ctx *ctx, const bf_trace_span **spans, uint64_t *dropped);

/* ---- memory --------------------------------------------------------------------------------------------------- */

typedef struct bf_buf bf_buf;

/* A place in device memory: `off` in bytes, a multiple of 4 (of bf_ctx_align for anything the planner makes). */
typedef struct bf_mem {
    bf_buf *buf;
    uint64_t off;
} bf_mem;

#define BF_MEM_NONE ((bf_mem){NULL, 0})
static inline bool bf_mem_is_none(bf_mem m)
{
    return m.buf == NULL;
}
static inline bf_mem bf_mem_at(bf_mem m, uint64_t bytes)
{
    return (bf_mem){m.buf, m.off + bytes};
}

/* `what` appears in messages ("activations", "weights"). Fails with a sentence when the budget or the largest
 * allocation of the device does not allow it; memory is really there on success, and 0 (whole words). bytes > 0. */
bf_status bf_buf_new(bf_ctx *ctx, uint64_t bytes, const char *what, bf_buf **out, bf_err *err);
void bf_buf_free(bf_buf *buf);
uint64_t bf_buf_size(const bf_buf *buf);

/* BF_ZEROS floats 0, made at the first call and never written: what kernels read for pixels outside an image. */
#define BF_ZEROS 16384
bf_status bf_ctx_zeros(bf_ctx *ctx, bf_mem *out, bf_err *err);

/* Blocking transfers. */
bf_status bf_write(bf_ctx *ctx, bf_mem dst, const void *src, size_t bytes, bf_err *err);
bf_status bf_read(bf_ctx *ctx, void *dst, bf_mem src, size_t bytes, bf_err *err);

/* Enqueued; `src` must stay untouched until the next bf_finish or blocking call. */
bf_status bf_write_async(bf_ctx *ctx, bf_mem dst, const void *src, size_t bytes, bf_err *err);

/* Enqueued; `dst` holds the bytes once a mark that was set afterwards has been waited for. */
bf_status bf_read_async(bf_ctx *ctx, void *dst, bf_mem src, size_t bytes, bf_err *err);

bf_status bf_finish(bf_ctx *ctx, bf_err *err);

/* A point in the queue: waiting for it leaves what was enqueued later under way. */
typedef struct bf_mark bf_mark;
bf_status bf_mark_new(bf_ctx *ctx, bf_mark **out, bf_err *err);
bf_status bf_mark_wait(bf_mark *mark, bf_err *err);
void bf_mark_free(bf_mark *mark); /* NULL is fine */

/* Where the host wants to see every piece of a work, may it enqueue the next piece before one has ended that takes so
 * many seconds? A device other than the processor then never waits for the host; who wants to stop waits for two. Not
 * while profiling, so that a piece is measured by itself. */
bool bf_ctx_ahead(const bf_ctx *ctx, double seconds);

/* Host data for the device, `bytes` at a time, sent without waiting. Two slots in turn: the host fills one while the
 * device still takes, or computes with, the other. `staged` (a device with memory of its own): from pinned memory
 * through a queue of its own, so that the transfer runs beside kernels; else a slot is written where it is taken. */
typedef struct bf_upload bf_upload;
bf_status bf_upload_new(bf_ctx *ctx, uint64_t bytes, bool staged, bf_upload **out, bf_err *err);
void bf_upload_free(bf_upload *u);
/* Device memory of an upload that is staged where the device is not unified. */
uint64_t bf_upload_device_bytes(const bf_ctx *ctx, uint64_t bytes);
/* The next slot, to be filled; waits until nothing reads what it held before. */
bf_status bf_upload_next(bf_upload *u, void **host, bf_err *err);
/* The slot is filled: from here on it must not be touched. */
bf_status bf_upload_send(bf_upload *u, bf_err *err);
/* Enqueues `bytes` bytes from offset `from` of the slot that was sent last to dst. */
bf_status bf_upload_take(bf_upload *u, bf_mem dst, uint64_t from, size_t bytes, bf_err *err);

/* ---- commands ------------------------------------------------------------------------------------------------- */

/* A list of prepared commands: arguments set once, enqueued in order as often as wanted. */
typedef struct bf_cmds bf_cmds;

typedef enum bf_arg_kind { BF_ARG_MEM, BF_ARG_I32, BF_ARG_U32, BF_ARG_F32, BF_ARG_U64, BF_ARG_LOCAL } bf_arg_kind;

typedef struct bf_arg {
    bf_arg_kind kind;
    union {
        bf_mem mem;
        int32_t i32;
        uint32_t u32;
        float f32;
        uint64_t u64; /* value, or bytes of local memory */
    } v;
} bf_arg;

/* A MEM argument becomes two kernel arguments: the buffer and a ulong offset counted in floats (4-byte units). In the
 * kernel: `ARG(x)` / `ARG_CONST(x)` in the parameter list and `PTR(x)` / `PTR_CONST(x)` at the top (cl/common.h).
 * A none mem is passed as a NULL buffer: the kernel must not touch it. */
static inline bf_arg bf_arg_mem(bf_mem m)
{
    bf_arg a = {.kind = BF_ARG_MEM};
    a.v.mem = m;
    return a;
}
static inline bf_arg bf_arg_i32(int32_t x)
{
    bf_arg a = {.kind = BF_ARG_I32};
    a.v.i32 = x;
    return a;
}
static inline bf_arg bf_arg_u32(uint32_t x)
{
    bf_arg a = {.kind = BF_ARG_U32};
    a.v.u32 = x;
    return a;
}
static inline bf_arg bf_arg_f32(float x)
{
    bf_arg a = {.kind = BF_ARG_F32};
    a.v.f32 = x;
    return a;
}
static inline bf_arg bf_arg_u64(uint64_t x)
{
    bf_arg a = {.kind = BF_ARG_U64};
    a.v.u64 = x;
    return a;
}
static inline bf_arg bf_arg_local(size_t bytes)
{
    bf_arg a = {.kind = BF_ARG_LOCAL};
    a.v.u64 = bytes;
    return a;
}

typedef struct bf_call {
    const char *file;    /* "norm.cl" */
    const char *kernel;  /* "group_norm_fwd" */
    const char *defines; /* "-DACT=1 -DSCALE_SHIFT=0", fixed order; NULL for none */
    size_t items[3];     /* work-items wanted; rounded up to local here, so kernels test bounds. 0 = 1 */
    size_t local[3];     /* work-group size, 0 = 1; from {1, 8, 16, 32, 64, 128, 256} */
    const bf_arg *args;
    size_t n_args;
    bool in_turn; /* the kernel has TURNS and FOR_GROUPS (cl/common.h) */
    double flops; /* for the profile; 0 when unknown */
    double bytes;
} bf_call;

bf_status bf_cmds_new(bf_ctx *ctx, bf_cmds **out, bf_err *err);
void bf_cmds_free(bf_cmds *cmds);
bf_ctx *bf_cmds_ctx(const bf_cmds *cmds);
size_t bf_cmds_count(const bf_cmds *cmds);

bf_status bf_cmds_kernel(bf_cmds *cmds, const bf_call *call, bf_err *err); /* builds the program on first use */
bf_status bf_cmds_copy(bf_cmds *cmds, bf_mem dst, bf_mem src, uint64_t bytes, bf_err *err);
bf_status bf_cmds_fill(bf_cmds *cmds, bf_mem dst, uint32_t word, uint64_t bytes, bf_err *err);

/* Enqueues commands first..first+count-1 (all of them with bf_cmds_run) and flushes; does not wait. */
bf_status bf_cmds_run(bf_cmds *cmds, bf_err *err);
bf_status bf_cmds_run_range(bf_cmds *cmds, size_t first, size_t count, bf_err *err);

#endif
