/* JSON from untrusted bytes: depth, size of the tree and duplicate keys are checked before or while it is built. */
#ifndef BF_IO_JSON_H
#define BF_IO_JSON_H

#include <jansson.h>

#include "base/err.h"

#define BF_JSON_MAX_DEPTH 64

/*
 * Parses exactly size bytes. BF_FILE when they are not JSON, nest deeper than BF_JSON_MAX_DEPTH, contain more than
 * max_values values and keys (this bounds memory: a tree takes far more than its text), or repeat a key. `name` is the
 * file, for messages. The caller decrefs *out.
 */
bf_status bf_json_parse(const char *name, const char *text, size_t size, size_t max_values, json_t **out, bf_err *err);

#endif
