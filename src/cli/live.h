/* Texts that form on the terminal. */
#ifndef BF_CLI_LIVE_H
#define BF_CLI_LIVE_H

#include <bfncl.h>

/* Can they be shown: is stderr a terminal whose lines can be rewritten? */
bool cli_live_possible(void);
/* bfncl_live_fn: writes over what it showed before, one line for each text. */
void cli_live(void *user, const bfncl_live *state);

#endif
