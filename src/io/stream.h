/* The bytes of a source in order, inflated on the way where it is compressed by gzip (told by its content). */
#ifndef BF_IO_STREAM_H
#define BF_IO_STREAM_H

#include "base/file.h"

/* No deflate stream expands further than this: a bound for what a compressed file can hold. */
enum { BF_STREAM_MAX_INFLATE = 1032 };

typedef struct bf_stream bf_stream;

/* The source must outlive the stream. */
bf_status bf_stream_open(const bf_source *s, bf_stream **out, bf_err *err);
void bf_stream_close(bf_stream *r);

bool bf_stream_compressed(const bf_stream *r);
/* Bytes of the source that were not taken from it yet. */
uint64_t bf_stream_left(const bf_stream *r);

/* Up to `size` bytes, *got of them; 0 at the end only. Files that hold several compressed members are read through. */
bf_status bf_stream_some(bf_stream *r, void *out, size_t size, size_t *got, bf_err *err);
/* Exactly `size` bytes of the first member; BF_FILE when it ends before. */
bf_status bf_stream_take(bf_stream *r, void *out, uint64_t size, bf_err *err);
/* BF_FILE unless the first member ends here and nothing follows it; this also checks its CRC. */
bf_status bf_stream_finish(bf_stream *r, bf_err *err);

#endif
