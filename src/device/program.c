/* Kernel sources, their expansion, building and the cache of built programs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "device/cl.h"
#include "device/kernels.h"

#define MAX_INCLUDES 32       /* distinct files in one program */
#define MAX_SOURCE (4u << 20) /* bytes of one kernel file read from disk */
#define LOG_LINES 12          /* of a build log shown in the message */
#define KEEP_SHARE 0.05       /* of the time that a context was open */
#define KEEP_SECONDS 10.0     /* at most */
#define KEEP_ONE 2.0          /* about what one program takes */

struct bf_program {
    struct bf_program *next;
    char *key; /* file + '\n' + options */
    char *src; /* when it is still to be kept for the next run */
    cl_program program;
};

/* ---- sources --------------------------------------------------------------------------------------------------- */

typedef struct source {
    const bf_ctx *ctx;
    char *text;
    size_t size, room;
    char names[MAX_INCLUDES][64]; /* files expanded so far: each goes in once */
    size_t n_names;
} source;

static bf_status source_put(source *s, const char *text, size_t size, bf_err *err)
{
    if (s->size + size + 1 > s->room) {
        const size_t room = 2 * (s->size + size) + 4096;
        char *bigger = realloc(s->text, room);
        if (bigger == NULL) return bf_fail(err, BF_RUNTIME, "out of memory: %zu bytes of kernel source", room);
        s->text = bigger;
        s->room = room;
    }
    memcpy(s->text + s->size, text, size);
    s->size += size;
    s->text[s->size] = '\0';
    return BF_OK;
}

static bf_status source_line_mark(source *s, unsigned line, const char *name, bf_err *err)
{
    char mark[128];
    const int n = snprintf(mark, sizeof mark, "#line %u \"cl/%s\"\n", line, name);
    return source_put(s, mark, (size_t)n, err);
}

/* The text of one kernel file, 0-terminated; *owned is what the caller frees, NULL for an embedded file. */
static bf_status kernel_file(const bf_ctx *ctx, const char *name, const char **text, char **owned, bf_err *err)
{
    bf_status st = BF_OK;
    FILE *f = NULL;
    char path[1024];
    char *data = NULL;
    *owned = NULL;
    if (ctx->kernel_dir == NULL) {
        for (size_t i = 0; i < bf_kernel_file_count; i++) {
            if (strcmp(bf_kernel_files[i].name, name) == 0) {
                *text = (const char *)bf_kernel_files[i].bytes;
                return BF_OK;
            }
        }
        return bf_fail(err, BF_RUNTIME, "no kernel file '%s' in this library", name);
    }
    snprintf(path, sizeof path, "%s/%s", ctx->kernel_dir, name);
    f = fopen(path, "rb");
    BF_CHECK(f != NULL, BF_FILE, "cannot open kernel file %s: %s", path, strerror(errno));
    BF_NEW(data, MAX_SOURCE + 1);
    const size_t n = fread(data, 1, MAX_SOURCE, f);
    BF_CHECK(!ferror(f), BF_FILE, "cannot read kernel file %s: %s", path, strerror(errno));
    BF_CHECK(n < MAX_SOURCE, BF_FILE, "kernel file %s is larger than %u bytes", path, MAX_SOURCE);
    *text = data;
    *owned = data;
    data = NULL;
out:
    free(data);
    if (f != NULL) fclose(f);
    return st;
}

/* The name in a line `#include "name"`; false for any other line. */
static bool include_name(const char *line, size_t size, char *name, size_t room)
{
    const char *end = line + size, *quote;
    while (line < end && (*line == ' ' || *line == '\t')) line++;
    if (line == end || *line++ != '#') return false;
    while (line < end && (*line == ' ' || *line == '\t')) line++;
    if (end - line < 7 || memcmp(line, "include", 7) != 0) return false;
    line += 7;
    while (line < end && (*line == ' ' || *line == '\t')) line++;
    if (line == end || *line++ != '"') return false;
    quote = memchr(line, '"', (size_t)(end - line));
    if (quote == NULL || (size_t)(quote - line) >= room) return false;
    memcpy(name, line, (size_t)(quote - line));
    name[quote - line] = '\0';
    return true;
}

static bf_status source_expand(source *s, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text = NULL;
    char *owned = NULL, inner[64];
    unsigned line = 1;
    for (size_t i = 0; i < s->n_names; i++) {
        if (strcmp(s->names[i], name) == 0) return BF_OK;
    }
    BF_CHECK(s->n_names < MAX_INCLUDES, BF_RUNTIME, "%s: more than %d kernel files in one program", name, MAX_INCLUDES);
    BF_CHECK(strlen(name) < sizeof s->names[0], BF_RUNTIME, "kernel file name too long: %s", name);
    strcpy(s->names[s->n_names++], name);
    BF_TRY(kernel_file(s->ctx, name, &text, &owned, err));
    BF_TRY(source_line_mark(s, 1, name, err));
    for (const char *p = text; *p != '\0'; line++) {
        const char *newline = strchr(p, '\n');
        const size_t n = newline ? (size_t)(newline - p) : strlen(p);
        if (include_name(p, n, inner, sizeof inner)) {
            st = source_expand(s, inner, err);
            if (st != BF_OK) {
                bf_err_context(err, "cl/%s:%u", name, line);
                goto out;
            }
            BF_TRY(source_line_mark(s, line + 1, name, err));
        } else {
            BF_TRY(source_put(s, p, n, err));
            BF_TRY(source_put(s, "\n", 1, err));
        }
        p += n + (newline != NULL);
    }
out:
    free(owned);
    return st;
}

bf_status bf_kernel_source(const bf_ctx *ctx, const char *file, char **out, bf_err *err)
{
    source s = {.ctx = ctx};
    const bf_status st = source_expand(&s, file, err);
    if (st != BF_OK) {
        free(s.text);
        return st;
    }
    *out = s.text;
    return BF_OK;
}

/* ---- build ----------------------------------------------------------------------------------------------------- */

/* The driver's log of the last build; freed by the caller; NULL when out of memory. */
static char *build_log(const bf_ctx *ctx, cl_program program)
{
    size_t size = 0;
    char *log;
    if (clGetProgramBuildInfo(program, ctx->device.id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS) size = 0;
    log = calloc(size + 1, 1);
    if (log != NULL && size > 0) {
        clGetProgramBuildInfo(program, ctx->device.id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    }
    return log;
}

/* Writes log and source to the cache folder; false when that is not possible. */
static bool save_log(const bf_ctx *ctx, const char *file, const char *options, const char *log, const char *src,
                     char *path, size_t room)
{
    const char *dir = bf_cache_dir();
    FILE *f;
    if (dir == NULL) return false;
    snprintf(path, room, "%s/build-%s-%ld.log", dir, file, (long)getpid());
    f = fopen(path, "w");
    if (f == NULL) return false;
    fprintf(f, "file:    cl/%s\noptions: %s\ndevice:  %s (%s)\n\n%s\n---- source ----\n%s", file, options, ctx->name,
            ctx->platform, log, src);
    return fclose(f) == 0;
}

static bf_status build_failed(bf_ctx *ctx, const char *file, const char *options, cl_program program, cl_int code,
                              const char *src, bf_err *err)
{
    char path[1200], head[700];
    char *log = build_log(ctx, program);
    const char *text = log != NULL && log[0] != '\0' ? log : "(the driver gave no build log)";
    const char *end = text;
    for (int i = 0; i < LOG_LINES && *end != '\0'; i++) {
        const char *newline = strchr(end, '\n');
        end = newline ? newline + 1 : end + strlen(end);
    }
    snprintf(head, sizeof head, "%.*s", (int)BF_MIN(end - text, (ptrdiff_t)sizeof head - 1), text);
    bf_fail(err, BF_RUNTIME, "cl/%s does not build on %s: %s (%d)\n%s", file, ctx->name, bf_cl_name(code), (int)code,
            head);
    err->cl_code = (int)code;
    if (save_log(ctx, file, options, text, src, path, sizeof path)) {
        bf_hint(err, "options: %.300s\nthe whole log and the source: %.500s", options, path);
    } else {
        bf_hint(err, "options: %.300s\nis the kernel cache folder of the driver writable and not full?", options);
    }
    free(log);
    return BF_RUNTIME;
}

static bf_status build_source(bf_ctx *ctx, const char *file, const char *options, const char *src, cl_program *out,
                              bf_err *err)
{
    bf_status st = BF_OK;
    cl_program program = NULL;
    char *log = NULL;
    cl_int code;
    program = clCreateProgramWithSource(ctx->context, 1, &src, NULL, &code);
    BF_CL(code, "creating the program cl/%s on %s", file, ctx->name);
    code = clBuildProgram(program, 1, &ctx->device.id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        st = build_failed(ctx, file, options, program, code, src, err);
        goto out;
    }
    log = build_log(ctx, program);
    if (log != NULL && log[strspn(log, " \t\r\n")] != '\0') {
        bf_log(BFNCL_LOG_DEBUG, "build log of cl/%s with %s on %s:\n%s", file, options, ctx->name, log);
    }
    *out = program;
    program = NULL;
out:
    if (program != NULL) clReleaseProgram(program);
    free(log);
    return st;
}

static bf_status build(bf_ctx *ctx, const char *file, const char *options, bf_program *p, bf_err *err)
{
    bf_status st = BF_OK;
    char *src = NULL;
    const double start = bf_seconds();
    BF_TRY(bf_kernel_source(ctx, file, &src, err));
    p->program = bf_binary_load(ctx, options, src);
    if (p->program == NULL) {
        BF_TRY(build_source(ctx, file, options, src, &p->program, err));
        if (ctx->device.quirks & BF_QUIRK_SLOW_BINARY) {
            p->src = src;
            src = NULL;
        } else {
            bf_binary_keep(ctx, options, src, p->program);
        }
    }
    ctx->compile_seconds += bf_seconds() - start;
out:
    free(src);
    return st;
}

bf_status bf_program_get(bf_ctx *ctx, const char *file, const char *defines, cl_program *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_program *p = NULL;
    const size_t room = strlen(file) + (defines ? strlen(defines) : 0) + 128;
    const char *options;
    char *key = NULL;
    BF_NEW(key, room);
    snprintf(key, room, "%s\n-cl-std=CL1.2 -DWIDE=%d -DWG=%zu%s%s", file, ctx->cls == BF_CLASS_WIDE, ctx->group,
             defines && defines[0] ? " " : "", defines ? defines : "");
    options = key + strlen(file) + 1;
    for (p = ctx->programs; p != NULL; p = p->next) {
        if (strcmp(p->key, key) == 0) {
            *out = p->program;
            p = NULL;
            goto out;
        }
    }
    BF_NEW(p, 1);
    BF_TRY(build(ctx, file, options, p, err));
    *out = p->program;
    p->key = key;
    p->next = ctx->programs;
    ctx->programs = p;
    p = NULL;
    key = NULL;
out:
    free(p);
    free(key);
    return st;
}

static const char *options_of(const bf_program *p)
{
    return strchr(p->key, '\n') + 1;
}

/* Where that is slow, programs are kept when the context closes, as many as fit into a small part of the time that it
 * was open: short runs do not pay for it, and after some longer ones all are there. */
static void keep_some(const bf_ctx *ctx)
{
    const double now = bf_seconds(), until = now + BF_MIN(KEEP_SHARE * (now - ctx->opened), KEEP_SECONDS);
    for (const bf_program *p = ctx->programs; p != NULL; p = p->next) {
        if (p->src == NULL) continue;
        if (bf_seconds() + KEEP_ONE > until) return;
        bf_binary_keep(ctx, options_of(p), p->src, p->program);
    }
}

void bf_programs_free(bf_ctx *ctx)
{
    keep_some(ctx);
    while (ctx->programs != NULL) {
        bf_program *p = ctx->programs;
        ctx->programs = p->next;
        clReleaseProgram(p->program);
        free(p->key);
        free(p->src);
        free(p);
    }
}
