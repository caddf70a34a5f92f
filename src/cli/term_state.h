/* What term.c and progress.c know about stderr. */
#ifndef BF_CLI_TERM_STATE_H
#define BF_CLI_TERM_STATE_H

#include "cli/term.h"

typedef struct cli_term_state {
    cli_level level;
    bool terminal; /* lines can be rewritten */
    bool colour;
    bool open_line; /* a progress line is on the screen, without its end */
} cli_term_state;

extern cli_term_state cli_term;

#endif
