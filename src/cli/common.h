/* What several commands do alike. */
#ifndef BF_CLI_COMMON_H
#define BF_CLI_COMMON_H

#include <jansson.h>

#include "cli/cli.h"

/* --device, --gemm, --memory, --kernel-dir. */
void cli_device_options(const cli_args *a, bfncl_device_options *o);

/* A number, or null when it is not finite (JSON has no other numbers). */
json_t *cli_json_number(double x);

/* Prints a value on stdout and releases it; `indent` spaces, 0 = one line. Returns the exit code. */
int cli_print_json(json_t *value, int indent);

/* What --dry-run prints: as an object that the caller extends, or as text. `held` is what the memory of the
 * parameters is for, `work` what the arithmetic is of. */
json_t *cli_plan_json(const bfncl_plan *p, const char *device);
void cli_print_plan(const bfncl_plan *p, const char *device, const char *held, const char *work);

/* "3.4 GiB" into out. */
void cli_bytes(double bytes, char out[32]);

#endif
