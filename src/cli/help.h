/* Everything printed from the tables: help, manual, completions. */
#ifndef BF_CLI_HELP_H
#define BF_CLI_HELP_H

#include "cli/cli.h"

/* "usage: bfncl train CONFIG [options]"; command NULL: the program. */
void cli_print_usage(FILE *to, const cli_command *command);
/* The page of --help. */
void cli_print_help(FILE *to, const cli_command *command);
/* All configuration keys with type, default and meaning. */
void cli_print_config_keys(FILE *to);
void cli_print_man(FILE *to);
/* shell: "bash", "zsh" or "fish". */
void cli_print_completion(FILE *to, const char *shell);

#endif
