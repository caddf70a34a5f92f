/* Small public functions: configuration text and keys, freeing. */
#include <stdio.h>
#include <stdlib.h>

#include "run/config.h"
#include "run/model.h"

void bfncl_free(void *p)
{
    free(p);
}

int bfncl_edit_distance(const char *a, const char *b)
{
    return bf_edit_distance(a, b);
}

bfncl_status bfncl_config_text(const char *config, const char *const *set, size_t n_set, bool origins, char **text,
                               bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    bf_config c;
    bf_config_defaults(&c);
    if (config) BF_TRY(bf_config_load(config, &c, err));
    BF_TRY(bf_setup_overrides(&c, set, n_set, err));
    BF_TRY(bf_config_text(&c, origins, text, err));
out:
    return st;
}

bool bfncl_config_key(size_t i, const char **name, char type[192], const char **def, const char **help)
{
    if (i >= bf_config_key_count) return false;
    const bf_key *k = &bf_config_keys[i];
    *name = k->name;
    *def = k->def;
    *help = k->help;
    switch (k->type) {
    case BF_KEY_BOOL: snprintf(type, 192, "true|false"); break;
    case BF_KEY_INT: snprintf(type, 192, "whole number, %.0f to %.0f", k->min, k->max); break;
    case BF_KEY_FLOAT: snprintf(type, 192, "number, %g to %g", k->min, k->max); break;
    case BF_KEY_TEXT: snprintf(type, 192, "text"); break;
    case BF_KEY_CHOICE: snprintf(type, 192, "%.180s", k->choices); break;
    case BF_KEY_INTS: snprintf(type, 192, "list of whole numbers, %.0f to %.0f", k->min, k->max); break;
    }
    return true;
}
