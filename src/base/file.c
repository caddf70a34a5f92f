#define _XOPEN_SOURCE 700 /* realpath */
#define _DEFAULT_SOURCE   /* madvise */

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clocale.h"
#include "base/parse.h"
#include "base/size.h"

static bf_status copy_text(const char *text, char **out, bf_err *err)
{
    bf_status st = bf_calloc(out, strlen(text) + 1, 1, err);
    if (st == BF_OK) strcpy(*out, text);
    return st;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

struct bf_source {
    char *name;
    int fd;              /* -1: memory */
    const uint8_t *data; /* memory or, once it is wanted, mapped file */
    bool mapped;
    uint64_t size;
};

bf_status bf_source_open(const char *path, bf_source **out, bf_err *err)
{
    bf_status st = BF_OK;
    struct stat info;
    bf_source *s = NULL;
    BF_NEW(s, 1);
    s->fd = -1;
    BF_TRY(copy_text(path, &s->name, err));
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe must not block here */
    BF_CHECK(s->fd >= 0, BF_FILE, "%s: cannot open: %s", path, strerror(errno));
    BF_CHECK(fstat(s->fd, &info) == 0, BF_RUNTIME, "%s: cannot get its size: %s", path, strerror(errno));
    BF_CHECK(!S_ISDIR(info.st_mode), BF_FILE, "%s: is a folder, expected a file", path);
    BF_CHECK(S_ISREG(info.st_mode), BF_FILE, "%s: is not a regular file", path);
    s->size = (uint64_t)info.st_size;
    *out = s;
    s = NULL;
out:
    bf_source_close(s);
    return st;
}

bf_status bf_source_memory(const char *name, const void *data, size_t size, bf_source **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_source *s = NULL;
    BF_NEW(s, 1);
    s->fd = -1;
    s->data = data;
    s->size = size;
    BF_TRY(copy_text(name, &s->name, err));
    *out = s;
    s = NULL;
out:
    bf_source_close(s);
    return st;
}

void bf_source_close(bf_source *s)
{
    if (s == NULL) return;
    if (s->mapped) munmap((void *)s->data, (size_t)s->size);
    if (s->fd >= 0) close(s->fd);
    free(s->name);
    free(s);
}

const char *bf_source_name(const bf_source *s)
{
    return s->name;
}

uint64_t bf_source_size(const bf_source *s)
{
    return s->size;
}

bf_status bf_source_read(const bf_source *s, uint64_t offset, void *out, size_t size, bf_err *err)
{
    char *to = out;
    if (offset > s->size || size > s->size - offset) {
        return bf_fail(err, BF_FILE, "%s: ends at byte %" PRIu64 ", but %zu bytes at offset %" PRIu64 " are needed",
                       s->name, s->size, size, offset);
    }
    if (s->fd < 0) {
        if (size > 0) memcpy(out, s->data + offset, size);
        return BF_OK;
    }
    while (size > 0) {
        ssize_t got = pread(s->fd, to, BF_MIN(size, (size_t)1 << 30), (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return bf_fail(err, BF_RUNTIME, "%s: cannot read: %s", s->name, strerror(errno));
        if (got == 0)
            return bf_fail(err, BF_FILE, "%s: was cut at byte %" PRIu64 " while it was read", s->name, offset);
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return BF_OK;
}

bf_status bf_source_map(bf_source *s, const void **data, bf_err *err)
{
    bf_status st = BF_OK;
    if (s->data == NULL && s->size > 0) {
        BF_CHECK(s->size <= SIZE_MAX, BF_RUNTIME, "%s: too large for this machine's addresses", s->name);
        void *p = mmap(NULL, (size_t)s->size, PROT_READ, MAP_PRIVATE, s->fd, 0);
        BF_CHECK(p != MAP_FAILED, BF_RUNTIME, "%s: cannot map: %s", s->name, strerror(errno));
        s->data = p;
        s->mapped = true;
    }
    *data = s->data != NULL ? s->data : (const uint8_t *)"";
out:
    return st;
}

void bf_source_release(const bf_source *s, uint64_t offset, uint64_t size)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = BF_MIN(offset + size, s->size);
    const uint64_t start = offset / page * page;
    /* Only a hint: whether it is heard does not matter. */
    if (s->mapped && start < end) (void)madvise((void *)(s->data + start), (size_t)(end - start), MADV_DONTNEED);
}

bf_status bf_source_intact(const bf_source *s, bf_err *err)
{
    struct stat info;
    if (s->fd < 0 || (fstat(s->fd, &info) == 0 && (uint64_t)info.st_size >= s->size)) return BF_OK;
    return bf_fail(err, BF_FILE, "%s: was cut while it was read", s->name);
}

bf_status bf_source_read_all(const bf_source *s, uint64_t max_bytes, void **data, size_t *size, bf_err *err)
{
    bf_status st = BF_OK;
    char *buffer = NULL;
    BF_CHECK(s->size <= max_bytes && s->size < SIZE_MAX, BF_FILE,
             "%s: has %" PRIu64 " bytes, at most %" PRIu64 " are accepted", s->name, s->size, max_bytes);
    BF_NEW(buffer, s->size + 1);
    BF_TRY(bf_source_read(s, 0, buffer, (size_t)s->size, err));
    *data = buffer;
    *size = (size_t)s->size;
    buffer = NULL;
out:
    free(buffer);
    return st;
}

bf_status bf_file_read(const char *path, uint64_t max_bytes, void **data, size_t *size, bf_err *err)
{
    bf_source *s = NULL;
    bf_status st = bf_source_open(path, &s, err);
    if (st == BF_OK) st = bf_source_read_all(s, max_bytes, data, size, err);
    bf_source_close(s);
    return st;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

struct bf_writer {
    char *path;   /* final name, symbolic links resolved */
    char *temp;   /* NULL: a pipe or device, written directly */
    char *folder; /* of path */
    FILE *file;
};

static void writer_free(bf_writer *w)
{
    if (w == NULL) return;
    if (w->file != NULL) fclose(w->file);
    free(w->path);
    free(w->temp);
    free(w->folder);
    free(w);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Removes BASE.tmp.PID files in the folder whose process no longer exists; failures do not matter. */
static void remove_leftovers(const char *folder, const char *base)
{
    DIR *dir = opendir(folder);
    size_t n = strlen(base);
    if (dir == NULL) return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        bf_err ignored;
        int64_t pid;
        if (strncmp(e->d_name, base, n) != 0 || strncmp(e->d_name + n, ".tmp.", 5) != 0) continue;
        if (bf_parse_i64("pid", e->d_name + n + 5, 1, INT_MAX, &pid, &ignored) != BF_OK) continue;
        if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) unlinkat(dirfd(dir), e->d_name, 0);
    }
    closedir(dir);
}

/* Sets path, folder and, unless the target is a pipe or device, temp. */
static bf_status writer_names(bf_writer *w, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    struct stat info;
    size_t room;
    bool exists = stat(path, &info) == 0;
    BF_CHECK(*base_name(path) != '\0', BF_RUNTIME, "cannot write \"%s\": not a file name", path);
    BF_CHECK(!exists || !S_ISDIR(info.st_mode), BF_RUNTIME, "%s: cannot write: is a folder", path);
    /* Renaming must replace the file a link points to, not the link. */
    w->path = exists ? realpath(path, NULL) : NULL;
    if (w->path == NULL) BF_TRY(copy_text(path, &w->path, err));
    BF_TRY(copy_text(w->path, &w->folder, err));
    char *slash = strrchr(w->folder, '/');
    if (slash != NULL) slash[slash == w->folder] = '\0'; /* "/name" is in "/" */
    if (slash == NULL) strcpy(w->folder, ".");           /* a name has at least one character */
    if (exists && !S_ISREG(info.st_mode)) goto out;
    room = strlen(w->path) + 32;
    BF_NEW(w->temp, room);
    snprintf(w->temp, room, "%s.tmp.%ld", w->path, (long)getpid());
out:
    return st;
}

bf_status bf_writer_open(const char *path, bf_writer **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_writer *w = NULL;
    int fd = -1;
    BF_NEW(w, 1);
    BF_TRY(writer_names(w, path, err));
    if (w->temp != NULL) {
        remove_leftovers(w->folder, base_name(w->path));
        unlink(w->temp);
        fd = open(w->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } else {
        fd = open(path, O_WRONLY | O_CLOEXEC);
    }
    BF_CHECK(fd >= 0, BF_RUNTIME, "%s: cannot create: %s", w->temp ? w->temp : path, strerror(errno));
    w->file = fdopen(fd, w->temp != NULL ? "w+" : "w");
    BF_CHECK(w->file != NULL, BF_RUNTIME, "%s: cannot open for writing: %s", path, strerror(errno));
    fd = -1;
    *out = w;
    w = NULL;
out:
    if (fd >= 0) {
        close(fd);
        if (w->temp != NULL) unlink(w->temp);
    }
    writer_free(w);
    return st;
}

static bf_status write_failed(const bf_writer *w, const char *what, bf_err *err)
{
    int code = errno;
    bf_fail(err, BF_RUNTIME, "%s: cannot %s: %s", w->path, what, strerror(code));
    if (code == ENOSPC || code == EDQUOT) bf_hint(err, "free some space; what was there before is unchanged");
    return BF_RUNTIME;
}

bf_status bf_writer_put(bf_writer *w, const void *data, size_t size, bf_err *err)
{
    if (size > 0 && fwrite(data, 1, size, w->file) != size) return write_failed(w, "write", err);
    return BF_OK;
}

bf_status bf_writer_patch(bf_writer *w, uint64_t offset, const void *data, size_t size, bf_err *err)
{
    off_t end = ftello(w->file);
    if (end < 0 || fseeko(w->file, (off_t)offset, SEEK_SET) != 0) return write_failed(w, "seek", err);
    bf_status st = bf_writer_put(w, data, size, err);
    if (st == BF_OK && fseeko(w->file, end, SEEK_SET) != 0) st = write_failed(w, "seek", err);
    return st;
}

/* A rename is on disk only when its folder is. Some file systems cannot sync a folder; that is no failure. */
static bf_status sync_folder(const bf_writer *w, bf_err *err)
{
    bf_status st = BF_OK;
    int fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return write_failed(w, "open its folder", err);
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) st = write_failed(w, "sync its folder", err);
    close(fd);
    return st;
}

bf_status bf_writer_commit(bf_writer *w, bf_err *err)
{
    bf_status st = BF_OK;
    if (fflush(w->file) != 0) st = write_failed(w, "write", err);
    if (st == BF_OK && w->temp != NULL && fsync(fileno(w->file)) != 0) st = write_failed(w, "sync", err);
    if (fclose(w->file) != 0 && st == BF_OK) st = write_failed(w, "close", err);
    w->file = NULL;
    if (w->temp != NULL) {
        if (st == BF_OK && rename(w->temp, w->path) != 0) st = write_failed(w, "rename the temporary file to it", err);
        if (st != BF_OK) unlink(w->temp);
        if (st == BF_OK) st = sync_folder(w, err);
    }
    writer_free(w);
    return st;
}

void bf_writer_discard(bf_writer *w)
{
    if (w == NULL) return;
    if (w->temp != NULL) unlink(w->temp);
    writer_free(w);
}

bf_status bf_file_write(const char *path, const void *data, size_t size, bf_err *err)
{
    bf_writer *w = NULL;
    bf_status st = bf_writer_open(path, &w, err);
    if (st != BF_OK) return st;
    st = bf_writer_put(w, data, size, err);
    if (st != BF_OK) {
        bf_writer_discard(w);
        return st;
    }
    return bf_writer_commit(w, err);
}

bf_status bf_file_print(const char *path, void (*put)(FILE *f, const void *what), const void *what, bf_err *err)
{
    bf_status st = BF_OK;
    char *text = NULL;
    size_t size = 0;
    bool good;
    FILE *f = open_memstream(&text, &size);
    BF_CHECK(f != NULL, BF_RUNTIME, "%s: out of memory", path);
    bf_clocale l = bf_clocale_begin();
    put(f, what);
    bf_clocale_end(l);
    good = !ferror(f);
    good = fclose(f) == 0 && good;
    BF_CHECK(good, BF_RUNTIME, "%s: out of memory", path);
    BF_TRY(bf_file_write(path, text, size, err));
out:
    free(text);
    return st;
}
