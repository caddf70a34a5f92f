/*
 * Zip archives as PyTorch writes them, from memory (a mapped file): entries are found through the central directory,
 * and stored ones are used where they lie.
 *
 * Read here rather than by libzip because that hands out copies only, and because exactly one reading of an archive
 * shall be possible: the local header of an entry has to agree with the directory, entries must not overlap each other
 * or the directory, names are unique, and the end record closes the file. Zip64 is understood; encryption, several
 * volumes and methods other than stored and deflated are refused.
 */
#ifndef BF_IO_ZIP_H
#define BF_IO_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define BF_ZIP_MAX_ENTRIES ((uint64_t)1 << 20)

typedef struct bf_zip_entry {
    const char *name; /* in the archive, no NUL behind it */
    size_t name_bytes;
    uint64_t size;   /* of the content */
    uint64_t packed; /* bytes in the archive; equal to size when stored */
    uint64_t header; /* offsets of local header and content */
    uint64_t at;
    uint32_t crc;  /* CRC-32 of the content; 0 of something not empty: the writer computed none */
    bool deflated; /* else stored */
    bool checked;  /* the CRC was compared */
} bf_zip_entry;

typedef struct bf_zip bf_zip;

/* data[size] must outlive the archive; `name` is the file, for messages. */
bf_status bf_zip_open(const char *name, const void *data, size_t size, bf_zip **out, bf_err *err);
void bf_zip_close(bf_zip *z);

size_t bf_zip_count(const bf_zip *z);
bf_zip_entry *bf_zip_at(bf_zip *z, size_t i); /* in the order of the names */
/* The entry "FOLDER/NAME", both given with their lengths; NULL when absent. */
bf_zip_entry *bf_zip_find(bf_zip *z, const char *folder, size_t folder_bytes, const char *name, size_t name_bytes);

/* The content, e->size bytes, CRC checked at the first use. A stored entry stays where it is; of the deflated ones only
 * the latest is kept in memory: *data is valid until the next call or the end of the archive. */
bf_status bf_zip_content(bf_zip *z, bf_zip_entry *e, const void **data, bf_err *err);

#endif
