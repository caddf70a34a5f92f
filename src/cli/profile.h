/* --profile and --trace of the commands that compute. */
#ifndef BF_CLI_PROFILE_H
#define BF_CLI_PROFILE_H

#include <jansson.h>

#include "cli/cli.h"

/* Sets what the options ask for; `profile` receives the result. */
void cli_profile_options(const cli_args *a, bfncl_device_options *o, bfncl_profile *profile);

/* With --json: the profile as member "profile" of the result, if there is one. */
void cli_add_profile(json_t *object, const bfncl_profile *p);

/* Prints the table on stderr, unless --json was given, and frees the profile. */
void cli_profile_end(const cli_args *a, bfncl_profile *p);

#endif
