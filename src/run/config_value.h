/* Shared by config.c and config_yaml.c: looking keys up and setting one value. `where` is "file:line: " or "". */
#ifndef BF_RUN_CONFIG_VALUE_H
#define BF_RUN_CONFIG_VALUE_H

#include "run/config.h"

const bf_key *bf_key_find(const char *name);
const char *bf_key_nearest(const char *name); /* never NULL */

bf_status bf_value_set(const bf_key *key, bf_config *c, const char *where, const char *text, bf_err *err);
bf_status bf_value_append(const bf_key *key, bf_config *c, const char *where, const char *text, bf_err *err);
void bf_value_clear_list(const bf_key *key, bf_config *c);

#endif
