/*
 * train.jsonl, one JSON object per line, only ever appended to:
 *   {"event":"start","version","device","driver","config_hash","seed","params","time"}   first line of a run
 *   {"event":"resume","step", the same}
 *   {"event":"step","step","loss","lr","grad_norm","clip","ms"}   loss: nats per dimension, mean since the line
 *                                                                  before; clip: the largest norm allowed, 0: any
 *   {"event":"eval","step","loss","best"}                     averaged weights on the fixed validation examples
 *   {"event":"save"|"bad_step"|"rollback"|"stop"|"end","step",...}
 * Numbers that are not finite are null. loss.svg is drawn from this file, so that a resumed run shows all of its curve.
 */
#ifndef BF_RUN_TRAINLOG_H
#define BF_RUN_TRAINLOG_H

#include <jansson.h>

#include "base/err.h"

typedef struct bf_trainlog bf_trainlog;

bf_status bf_trainlog_open(const char *path, bf_trainlog **out, bf_err *err);
/* Appends event + step + the fields of `extra` (consumed; may be NULL). A line that cannot be written is reported once
 * through the log callback: a full disk does not end a run. */
void bf_trainlog_add(bf_trainlog *log, const char *event, uint64_t step, json_t *extra);
void bf_trainlog_close(bf_trainlog *log);

/* A number, or null when it is not finite. */
json_t *bf_trainlog_number(double x);

/* Draws training and validation loss in bits per dimension. */
bf_status bf_trainlog_chart(const char *jsonl, const char *svg, bf_err *err);

#endif
