/* What a PyTorch file holds besides tensors, as JSON for people: settings, counters, states. */
#ifndef BF_IO_PT_CONTENTS_H
#define BF_IO_PT_CONTENTS_H

#include <jansson.h>

#include "io/pt.h"

/*
 * Dictionaries become objects, lists arrays. A tensor inside a dictionary is only counted ("tensors": 12), elsewhere it
 * is the text "tensor". An object is {"class", "arguments", "items", "state"} without what is empty. Long texts and
 * lists are cut and what is left out is said. The caller decrefs *out.
 */
bf_status bf_pt_contents(const bf_pt *f, json_t **out, bf_err *err);
/* The same of one entry of the outermost dictionary; NULL where there is none. */
bf_status bf_pt_contents_of(const bf_pt *f, const char *key, json_t **out, bf_err *err);

#endif
