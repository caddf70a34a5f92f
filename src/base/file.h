/*
 * Files: bounded reading from a path or from memory, and writing that never leaves half a file under the final name.
 * A missing file is BF_FILE, a failed read or write BF_RUNTIME; messages name the path.
 */
#ifndef BF_BASE_FILE_H
#define BF_BASE_FILE_H

#include <stdio.h>

#include "base/err.h"

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Something that can be read at any offset; its size is fixed when it is opened. */
typedef struct bf_source bf_source;

bf_status bf_source_open(const char *path, bf_source **out, bf_err *err);
/* Reads from `data`, which must outlive the source and may be NULL when size is 0; `name` is for messages. */
bf_status bf_source_memory(const char *name, const void *data, size_t size, bf_source **out, bf_err *err);
void bf_source_close(bf_source *s);

const char *bf_source_name(const bf_source *s);
uint64_t bf_source_size(const bf_source *s);
/* Exactly `size` bytes; BF_FILE when the source ends before. Safe from several threads. */
bf_status bf_source_read(const bf_source *s, uint64_t offset, void *out, size_t size, bf_err *err);

/*
 * All bytes in place: *data is valid until the source is closed, and takes no memory of its own. A file that somebody
 * shortens meanwhile must not be touched any more, so call bf_source_intact before a piece of work on mapped bytes.
 */
bf_status bf_source_map(bf_source *s, const void **data, bf_err *err);
/* Mapped bytes that are not needed for now: they stop counting as memory of the process until they are touched again.
 */
void bf_source_release(const bf_source *s, uint64_t offset, uint64_t size);
/* BF_FILE when the file has become shorter since it was opened. */
bf_status bf_source_intact(const bf_source *s, bf_err *err);

/* The whole file with one NUL byte behind it (not counted in *size). Larger than max_bytes is BF_FILE. Caller frees. */
bf_status bf_file_read(const char *path, uint64_t max_bytes, void **data, size_t *size, bf_err *err);
bf_status bf_source_read_all(const bf_source *s, uint64_t max_bytes, void **data, size_t *size, bf_err *err);

/* ---- writing --------------------------------------------------------------------------------------------------- */

/*
 * Writes PATH.tmp.PID in the folder of PATH; commit syncs it, renames it over PATH and syncs the folder. Until then
 * PATH keeps its old content, whatever happens.
 */
typedef struct bf_writer bf_writer;

/* Also removes left-over PATH.tmp.* of processes that no longer run. */
bf_status bf_writer_open(const char *path, bf_writer **out, bf_err *err);
bf_status bf_writer_put(bf_writer *w, const void *data, size_t size, bf_err *err);
/* Replaces bytes that were already put. */
bf_status bf_writer_patch(bf_writer *w, uint64_t offset, const void *data, size_t size, bf_err *err);
/* Frees the writer in every case. When it fails the temporary file is gone and PATH as before, unless only the last
 * step, syncing the folder, failed. */
bf_status bf_writer_commit(bf_writer *w, bf_err *err);
/* Gives up: removes the temporary file and frees the writer. NULL is fine. */
void bf_writer_discard(bf_writer *w);

/* A whole file at once, the same way. */
bf_status bf_file_write(const char *path, const void *data, size_t size, bf_err *err);
/* The same with what `put` prints of `what`, numbers as in the "C" locale. */
bf_status bf_file_print(const char *path, void (*put)(FILE *f, const void *what), const void *what, bf_err *err);

#endif
