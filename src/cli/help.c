/* --help and usage lines, from the tables of options.c. */
#include <string.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/term.h"

#define WIDTH 80

/* Prints words up to WIDTH columns; the first line continues at column `at`, the others start at `indent`. */
static void wrap(FILE *to, const char *text, int at, int indent)
{
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (at > indent && at + length > WIDTH) {
            fprintf(to, "\n%*s", indent, "");
            at = indent;
        }
        fprintf(to, "%.*s", length, text);
        at += length;
        text += length;
        if (*text == ' ') {
            text++;
            if (at + 1 + (int)strcspn(text, " ") <= WIDTH) {
                fputc(' ', to);
                at++;
            } else {
                at = WIDTH + 1;
            }
        }
    }
    fputc('\n', to);
}

void cli_print_usage(FILE *to, const cli_command *command)
{
    if (command)
        fprintf(to, "usage: bfncl %s %s [options]   (bfncl %s --help)\n", command->name, command->operands,
                command->name);
    else
        fprintf(to, "usage: bfncl COMMAND [options]   (bfncl --help)\n");
}

/* "  -o, --output FILE" into a line of text; returns its length. */
static int spell(const cli_option *o, char *out, size_t size)
{
    char letter[8] = "   ", name[40] = "";
    if (o->letter) snprintf(letter, sizeof letter, "-%c%s", o->letter, o->name ? "," : "");
    if (o->name) snprintf(name, sizeof name, " --%s", o->name);
    return snprintf(out, size, "  %s%s%s%s", letter, name, o->argument ? " " : "", o->argument ? o->argument : "");
}

static void print_option(FILE *to, const cli_option *o)
{
    enum { COLUMN = 28 };
    char line[80];
    int at = spell(o, line, sizeof line);
    fputs(line, to);
    if (at >= COLUMN) {
        fputc('\n', to);
        at = 0;
    }
    fprintf(to, "%*s", COLUMN - at, "");
    wrap(to, o->help, COLUMN, COLUMN);
    if (o->def) {
        char text[128];
        snprintf(text, sizeof text, "(default: %s)", o->def);
        fprintf(to, "%*s", COLUMN, "");
        wrap(to, text, COLUMN, COLUMN);
    }
}

static void print_options(FILE *to, unsigned command)
{
    const char *group = NULL;
    for (int i = 0; i < OPT_COUNT; i++) {
        const cli_option *o = &cli_options[i];
        if (!(o->commands & command)) continue;
        if (!group || strcmp(group, o->group) != 0) fprintf(to, "\n%s:\n", o->group);
        group = o->group;
        print_option(to, o);
    }
}

static void print_command_help(FILE *to, const cli_command *c)
{
    fprintf(to, "usage: bfncl %s %s [options]\n\n", c->name, c->operands);
    wrap(to, c->text, 0, 0);
    fputs("\nExamples:\n", to);
    for (int i = 0; c->examples[i]; i++) fprintf(to, "  %s\n", c->examples[i]);
    print_options(to, c->bit);
}

static void print_overview(FILE *to)
{
    fprintf(to, "bfncl %s: Bayesian Flow Networks on any OpenCL device\n\nusage: bfncl COMMAND [options]\n\n",
            bfncl_version());
    for (size_t i = 0; i < cli_command_count; i++)
        fprintf(to, "  %-7s %-20s %s\n", cli_commands[i].name, cli_commands[i].operands, cli_commands[i].help);
    fputs("\nExamples:\n"
          "  bfncl --device list                          all devices, the chosen one marked\n"
          "  bfncl train configs/tiny.yaml --out tiny     some seconds on a CPU\n"
          "  bfncl sample tiny -n 16 -o samples.png       a picture of 16 samples\n\n",
          to);
    static const cli_option_id common[] = {OPT_DEVICE, OPT_QUIET, OPT_VERBOSE, OPT_HELP, OPT_VERSION};
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        char line[80];
        const cli_option *o = &cli_options[common[i]];
        int at = spell(o, line, sizeof line);
        fprintf(to, "%s%*s", line, at < 20 ? 20 - at : 1, "");
        wrap(to, o->help, 20, 20);
    }
    fputs("\nMore: bfncl help COMMAND, bfncl help config, bfncl help --man | man -l -\n", to);
}

void cli_print_help(FILE *to, const cli_command *command)
{
    if (command)
        print_command_help(to, command);
    else
        print_overview(to);
}

void cli_print_config_keys(FILE *to)
{
    enum { COLUMN = 24, LONG = 60 };
    const char *name, *def, *help;
    char type[192];
    fputs("Keys of a configuration (YAML: \"section:\", then \"key: value\" indented; the last line is \"...\").\n"
          "Override one with --set section.key=value.\n\n",
          to);
    for (size_t i = 0; bfncl_config_key(i, &name, type, &def, &help); i++) {
        int at = fprintf(to, "%s", name);
        fprintf(to, "%*s", at < COLUMN ? COLUMN - at : 1, "");
        wrap(to, help, COLUMN, COLUMN);
        fprintf(to, "%*s", COLUMN, "");
        if (strlen(type) <= LONG) {
            fprintf(to, "%s; default %s\n", type, def[0] ? def : "empty");
            continue;
        }
        for (char *p = type; (p = strchr(p, '|')) != NULL; p++) *p = ' '; /* words, between which a line may end */
        wrap(to, type, COLUMN, COLUMN);
        fprintf(to, "%*sdefault %s\n", COLUMN, "", def);
    }
}

static const char *command_name(size_t i)
{
    return cli_commands[i].name;
}

int cli_help(const cli_args *a)
{
    const char *topic = a->n_operands ? a->operands[0] : NULL;
    const cli_command *command = topic ? cli_find_command(topic) : NULL;
    if (cli_given(a, OPT_MAN))
        cli_print_man(stdout);
    else if (cli_given(a, OPT_COMPLETION))
        cli_print_completion(stdout, a->value[OPT_COMPLETION].text);
    else if (topic && strcmp(topic, "config") == 0)
        cli_print_config_keys(stdout);
    else if (!topic || command)
        cli_print_help(stdout, command);
    else {
        const char *nearest = cli_nearest(topic, command_name, cli_command_count);
        cli_error("there is no help on \"%s\"", topic);
        if (nearest) cli_hint("did you mean bfncl help %s?", nearest);
        cli_print_usage(stderr, a->command);
        return BFNCL_ERR_USAGE;
    }
    return 0;
}
