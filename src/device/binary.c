/*
 * Programs kept between runs. A driver's compiler reads a program's source again in every process, also where it finds
 * the machine code in a cache of its own (POCL: 45 ms each time); the program as the driver gave it back loads in 1 ms.
 *
 * One file per program in CACHE/programs, named by a hash of its key: everything that can change what the driver makes
 * of it. The whole key is in the file and compared, and a CRC covers the rest, because a damaged binary ends the
 * process in some drivers (rusticl).
 */
#define _XOPEN_SOURCE 700 /* utimensat, fstatat */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/size.h"
#include "device/cl.h"

#define MAX_ENTRY (UINT64_C(64) << 20) /* a larger program is not kept */
#define MAX_TOTAL (UINT64_C(256) << 20)
#define MAGIC "bfncl program 1\n"

typedef struct entry_head {
    char magic[16];
    uint64_t key_bytes, binary_bytes;
    uint32_t crc, zero; /* CRC-32C of key and binary */
} entry_head;

typedef struct entry_key {
    char *text;
    size_t size;
    char path[700];
} entry_key;

/* ---- the key --------------------------------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "";
}

/* false when nothing is kept: no folder, or switched off. The text is freed by the caller. */
static bool key_new(const bf_ctx *ctx, const char *options, const char *src, entry_key *key)
{
    const char *dir = bf_program_dir(), *flags = environment("POCL_EXTRA_BUILD_FLAGS");
    char device[256] = "", platform[256] = "";
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    key->text = NULL;
    if (dir == NULL) return false;
    clGetDeviceInfo(ctx->device.id, CL_DEVICE_VERSION, sizeof device - 1, device, NULL);
    clGetPlatformInfo(ctx->device.platform, CL_PLATFORM_VERSION, sizeof platform - 1, platform, NULL);
    const size_t room = strlen(options) + strlen(src) + strlen(flags) + 2048;
    key->text = malloc(room);
    if (key->text == NULL) return false;
    snprintf(key->text, room, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s", ctx->platform, platform, ctx->name, ctx->driver, device,
             flags, options, src);
    key->size = strlen(key->text);
    for (const char *p = key->text; *p != '\0'; p++) hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    snprintf(key->path, sizeof key->path, "%s/%016llx", dir, (unsigned long long)hash);
    return true;
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

/* The binary inside the file's bytes; NULL unless it is this key's and whole. */
static const unsigned char *entry_binary(const entry_key *key, const char *data, size_t size, size_t *binary_bytes)
{
    entry_head head;
    if (size < sizeof head) return NULL;
    memcpy(&head, data, sizeof head);
    if (memcmp(head.magic, MAGIC, sizeof head.magic) != 0 || head.key_bytes != key->size || head.binary_bytes == 0 ||
        head.binary_bytes != size - sizeof head - BF_MIN(key->size, size - sizeof head))
        return NULL;
    data += sizeof head;
    if (memcmp(data, key->text, key->size) != 0 || bf_crc32c(0, data, size - sizeof head) != head.crc) return NULL;
    *binary_bytes = (size_t)head.binary_bytes;
    return (const unsigned char *)data + key->size;
}

cl_program bf_binary_load(const bf_ctx *ctx, const char *options, const char *src)
{
    bf_err ignored;
    entry_key key;
    void *data = NULL;
    size_t size = 0, binary_bytes = 0;
    const unsigned char *binary;
    cl_program program = NULL;
    cl_int status = CL_SUCCESS, code = CL_SUCCESS;
    if (!key_new(ctx, options, src, &key)) goto out;
    if (bf_file_read(key.path, sizeof(entry_head) + key.size + MAX_ENTRY, &data, &size, &ignored) != BF_OK) goto out;
    binary = entry_binary(&key, data, size, &binary_bytes);
    if (binary == NULL) goto out;
    program = clCreateProgramWithBinary(ctx->context, 1, &ctx->device.id, &binary_bytes, &binary, &status, &code);
    if (program != NULL && (code != CL_SUCCESS || status != CL_SUCCESS ||
                            clBuildProgram(program, 1, &ctx->device.id, options, NULL, NULL) != CL_SUCCESS)) {
        clReleaseProgram(program);
        program = NULL;
    }
    if (program != NULL) utimensat(AT_FDCWD, key.path, NULL, 0); /* used: not the next to go */
out:
    free(data);
    free(key.text);
    return program;
}

/* ---- keeping --------------------------------------------------------------------------------------------------- */

typedef struct old_file {
    char name[64];
    struct timespec used;
    uint64_t bytes;
} old_file;

static int by_age(const void *a, const void *b)
{
    const struct timespec x = ((const old_file *)a)->used, y = ((const old_file *)b)->used;
    if (x.tv_sec != y.tv_sec) return x.tv_sec < y.tv_sec ? -1 : 1;
    return (x.tv_nsec > y.tv_nsec) - (x.tv_nsec < y.tv_nsec);
}

/* Removes the files unused for longest while all together exceed MAX_TOTAL. */
static void prune(const char *folder)
{
    DIR *dir = opendir(folder);
    old_file *files = NULL;
    size_t n = 0, room = 0;
    uint64_t total = 0;
    if (dir == NULL) return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct stat info;
        if (strlen(e->d_name) >= sizeof files->name || fstatat(dirfd(dir), e->d_name, &info, 0) != 0) continue;
        if (!S_ISREG(info.st_mode)) continue;
        if (n == room) {
            room = 2 * room + 64;
            old_file *bigger = realloc(files, room * sizeof *files);
            if (bigger == NULL) goto out;
            files = bigger;
        }
        files[n] = (old_file){.used = info.st_mtim, .bytes = (uint64_t)info.st_size};
        memcpy(files[n].name, e->d_name, strlen(e->d_name) + 1);
        total += files[n++].bytes;
    }
    if (total > MAX_TOTAL) qsort(files, n, sizeof *files, by_age);
    for (size_t i = 0; i < n && total > MAX_TOTAL; i++) {
        if (unlinkat(dirfd(dir), files[i].name, 0) == 0) total -= files[i].bytes;
    }
out:
    free(files);
    closedir(dir);
}

static bf_status write_entry(const entry_key *key, const unsigned char *binary, size_t size, bf_err *err)
{
    bf_status st = BF_OK;
    bf_writer *w = NULL;
    entry_head head = {.key_bytes = key->size, .binary_bytes = size};
    memcpy(head.magic, MAGIC, sizeof head.magic);
    head.crc = bf_crc32c(bf_crc32c(0, key->text, key->size), binary, size);
    BF_TRY(bf_writer_open(key->path, &w, err));
    BF_TRY(bf_writer_put(w, &head, sizeof head, err));
    BF_TRY(bf_writer_put(w, key->text, key->size, err));
    BF_TRY(bf_writer_put(w, binary, size, err));
    st = bf_writer_commit(w, err);
    w = NULL;
out:
    bf_writer_discard(w);
    return st;
}

void bf_binary_keep(const bf_ctx *ctx, const char *options, const char *src, cl_program program)
{
    bf_err failure = {0};
    entry_key key;
    size_t size = 0;
    unsigned char *binary = NULL;
    if (!key_new(ctx, options, src, &key)) goto out;
    /* one device in the context, so one binary */
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS) goto out;
    if (size == 0 || size > MAX_ENTRY) goto out;
    binary = malloc(size);
    if (binary == NULL) goto out;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) != CL_SUCCESS) goto out;
    if (write_entry(&key, binary, size, &failure) != BF_OK) {
        bf_log(BFNCL_LOG_DEBUG, "a built program is not kept: %s", failure.message);
        goto out;
    }
    prune(bf_program_dir());
out:
    free(binary);
    free(key.text);
}
