/*
 * Inside of the device layer: what its files share. Nothing outside src/device includes this or CL/cl.h.
 */
#ifndef BF_DEVICE_CL_H
#define BF_DEVICE_CL_H

#include <CL/cl.h>

#include "base/clock.h"
#include "device/device.h"

/* ---- errors ---------------------------------------------------------------------------------------------------- */

/* BF_RUNTIME with the text, ": ", and the symbolic name of `code`, which is also kept in err->cl_code. */
bf_status bf_cl_fail(bf_err *err, cl_int code, const char *fmt, ...) BF_PRINTF(3, 4);

/* BF_TRY for an OpenCL call: the rest of the arguments say what was done, on what. */
#define BF_CL(call, ...)                                                                                               \
    do {                                                                                                               \
        cl_int cl_code_ = (call);                                                                                      \
        if (cl_code_ != CL_SUCCESS) {                                                                                  \
            st = bf_cl_fail(err, cl_code_, __VA_ARGS__);                                                               \
            goto out;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* ---- environment (env.c) --------------------------------------------------------------------------------------- */

/* Before the first OpenCL call of the process: gives POCL a cache folder that can be written. Idempotent. */
void bf_cl_prepare(void);

/* Folder of our own files (build logs), created and tested for writing; NULL when there is none. */
const char *bf_cache_dir(void);

/* Folder of built programs (binary.c), ours alone and in bf_cache_dir(); NULL when there is none or BFNCL_CACHE=off. */
const char *bf_program_dir(void);

/* Bytes the host can still give: the least of MemAvailable, the control group's and the process's limits.
 * UINT64_MAX when the system does not say. */
uint64_t bf_host_available(void);

/* Appends what to install, what the OpenCL loader searched and what each driver file gave (several lines). */
void bf_explain_drivers(char *text, size_t size);

/* Appends where the loader looks for drivers and the .icd files there, on one line. */
void bf_driver_files(char *text, size_t size);

/* Appends printf text to a 0-terminated string of `size` bytes; what does not fit is cut. */
void bf_append(char *text, size_t size, const char *fmt, ...) BF_PRINTF(3, 4);

/* ---- quirks (quirks.c) ----------------------------------------------------------------------------------------- */

enum {
    BF_QUIRK_REFUSE = 1u << 0,       /* not usable */
    BF_QUIRK_NO_PROFILING = 1u << 1, /* event timers are meaningless: measure by the wall clock */
    BF_QUIRK_GROUP_HINT = 1u << 2,   /* CL_KERNEL_WORK_GROUP_SIZE is too low: ignore it */
    BF_QUIRK_HOST_PTR = 1u << 3,     /* allocate with CL_MEM_ALLOC_HOST_PTR */
    BF_QUIRK_LAST = 1u << 4,         /* correct but slow: automatic choice takes it last among its type */
    BF_QUIRK_IS_CPU = 1u << 5,       /* runs on the processor, whatever type it reports */
    BF_QUIRK_WIDE = 1u << 6,         /* shaped by work-groups, although it is a CPU */
    BF_QUIRK_FINISH = 1u << 7,       /* clFinish waits only for what was enqueued since the last clFlush */
    BF_QUIRK_BARRIERS = 1u << 9,     /* kernels with dozens of barriers go wrong */
    BF_QUIRK_SLOW_BINARY = 1u << 8   /* handing out a program's binary takes seconds */
};

/* Is `part` in `text`, letters of any case? */
bool bf_contains(const char *text, const char *part);

/* Flags for a device; `text` receives one line per quirk that applies ("name: reason\n"), cut to `size`. */
unsigned bf_quirks(const char *platform, const char *device, const char *version, char *text, size_t size);

/* ---- device list (list.c) and choice (select.c) ---------------------------------------------------------------- */

typedef struct bf_device {
    cl_platform_id platform;
    cl_device_id id;
    unsigned quirks;
    bool unified; /* device memory is host memory */
} bf_device;

struct bfncl_device_list {
    size_t count;
    bfncl_device_info *info; /* [count], strings owned here */
    bf_device *device;       /* [count] */
    size_t platforms;
    char **strings; /* every string and table above, for freeing */
    size_t n_strings;
    char choice[BFNCL_MESSAGE_SIZE];
    char explanation[8192];
};

/* The list without a selection: bfncl_device_list_new minus the choice. */
bf_status bf_device_list_build(bfncl_device_list **out, bf_err *err);

/* Puts the index of the device that `selector` (NULL or "auto": automatic) names into *index and one line of why into
 * `reason`. BF_DEVICE with the candidates when it is ambiguous, unmatched, out of range or not usable. `from` (who
 * decided) may be NULL. Pure: looks at `info` only. */
bf_status bf_select(const bfncl_device_info *info, size_t count, const char *selector, const char *from, size_t *index,
                    char *reason, size_t reason_size, bf_err *err);

/* ---- contexts -------------------------------------------------------------------------------------------------- */

typedef struct bf_program bf_program;
typedef struct bf_profile bf_profile;

struct bf_ctx {
    char name[256];
    char platform[128];
    char driver[128];
    char selector[64];
    char reason[512];
    bf_device device;
    cl_context context;
    cl_command_queue queue;
    bf_class cls;
    bf_gemm_choice gemm; /* never AUTO */
    bool gemm_auto;      /* the choice was ours: the self-test may revise it */
    bool used_clblast;
    bool is_cpu; /* the processor computes */
    unsigned units;
    size_t group, align, max_group;
    uint64_t local_bytes, max_alloc, global_bytes, budget, memory_limit;
    uint64_t used, peak;
    double opened; /* bf_seconds */
    char *kernel_dir;
    bool sync;            /* wait for every command and check it */
    bf_program *programs; /* linked list, newest first */
    double compile_seconds, first_run_seconds;
    bf_profile *profile;              /* NULL unless asked for */
    bf_buf *zeros;                    /* NULL until bf_ctx_zeros */
    bf_buf *turn;                     /* counter of bf_call.in_turn, NULL until the first such call */
    struct bf_tune *tune;             /* tune.h; NULL: none */
    const struct bf_gemm_how *forced; /* bf_ctx_force_gemm */
};

struct bf_buf {
    bf_ctx *ctx;
    cl_mem mem;
    uint64_t size;
};

/* Waits for everything that was enqueued; clFinish alone does not on every driver. */
cl_int bf_queue_finish(bf_ctx *ctx);

/* BF_RUNTIME unless `m` is memory of ctx with `bytes` bytes behind its offset; `what` starts the message. */
bf_status bf_range_check(const bf_ctx *ctx, bf_mem m, uint64_t bytes, const char *what, bf_err *err);

/* A command that is a host function: it enqueues work on ctx->queue itself and does not wait (library calls). `name` is
 * a literal. `data` is owned by the list from here on, also on failure; free_data may be NULL. */
typedef bf_status (*bf_host_fn)(bf_ctx *ctx, void *data, bf_err *err);
bf_status bf_cmds_host(bf_cmds *cmds, const char *name, bf_host_fn fn, void *data, void (*free_data)(void *),
                       bf_err *err);

/* ---- programs (program.c) -------------------------------------------------------------------------------------- */

/* The built program of (file, defines), from the context's cache or built now. Owned by the context. */
bf_status bf_program_get(bf_ctx *ctx, const char *file, const char *defines, cl_program *out, bf_err *err);
void bf_programs_free(bf_ctx *ctx); /* before it, some time may go into keeping them for the next run */

/* A kernel file of this context with all #include "x.h" expanded and #line marks; *out is freed by the caller. */
bf_status bf_kernel_source(const bf_ctx *ctx, const char *file, char **out, bf_err *err);

/* ---- built programs kept between runs (binary.c) --------------------------------------------------------------- */

/* The program, built, as an earlier run left it; NULL when there is none that can be used. Never an error. */
cl_program bf_binary_load(const bf_ctx *ctx, const char *options, const char *src);

/* Keeps what the driver made of a source that was just built; a failure costs only time in the next run. */
void bf_binary_keep(const bf_ctx *ctx, const char *options, const char *src, cl_program program);

/* ---- profile (profile.c) --------------------------------------------------------------------------------------- */

bf_status bf_profile_new(bf_ctx *ctx, size_t trace, bf_err *err);
void bf_profile_free(bf_ctx *ctx);

/* What one run of a command does, as its call said; 0 = unknown. */
typedef struct bf_work {
    double flops, bytes;
} bf_work;

/* Called around every command when ctx->profile is set: `event` of the command (released here), or measured by the
 * wall clock when the device's timers are no good. `row` is the index from bf_profile_row_index, `start` when it was
 * enqueued, `end` when it was over (bf_seconds). */
bf_status bf_profile_row_index(bf_ctx *ctx, const char *file, const char *kernel, const char *defines, size_t *row,
                               bf_err *err);
bool bf_profile_wall(const bf_ctx *ctx);
bf_status bf_profile_event(bf_ctx *ctx, size_t row, cl_event event, double start, bf_work work, bf_err *err);
void bf_profile_add(bf_ctx *ctx, size_t row, double start, double end, bf_work work);
bf_status bf_profile_collect(bf_ctx *ctx, bf_err *err); /* after a finish */

#endif
