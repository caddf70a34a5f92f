/* The commands: each takes a parsed command line, prints its results on stdout and returns the exit code. */
#ifndef BF_CLI_COMMANDS_H
#define BF_CLI_COMMANDS_H

#include "cli/cli.h"

int cli_train(const cli_args *a);
int cli_eval(const cli_args *a);
int cli_eval_samples(const cli_args *a); /* eval --samples */
int cli_sample(const cli_args *a);
int cli_info(const cli_args *a);
int cli_convert(const cli_args *a);
int cli_verify(const cli_args *a);
int cli_bench(const cli_args *a);
int cli_tune(const cli_args *a);
int cli_help(const cli_args *a);

/* --device list. */
int cli_devices(const cli_args *a);

#endif
