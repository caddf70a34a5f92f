/* The manual page, from the tables of options.c. */
#include "cli/help.h"

/* Text with the characters that roff would interpret made harmless; lists a|b get room to be broken. `start`: at the
 * start of a line. */
static void roff(FILE *to, const char *text, bool start)
{
    if (start && (*text == '.' || *text == '\'')) fputs("\\&", to);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '-')
            fputs("\\-", to);
        else if (*text == '|' && text[1] != ' ')
            fputs(" | ", to);
        else
            fputc(*text, to);
    }
}

static void line(FILE *to, const char *text)
{
    roff(to, text, true);
    fputc('\n', to);
}

static void option(FILE *to, const cli_option *o)
{
    fputs(".TP\n", to);
    if (o->letter) fprintf(to, "\\fB\\-%c\\fR%s", o->letter, o->name ? ", " : "");
    if (o->name) {
        fputs("\\fB\\-\\-", to);
        roff(to, o->name, false);
        fputs("\\fR", to);
    }
    if (o->argument) {
        fputs(" \\fI", to);
        roff(to, o->argument, false);
        fputs("\\fR", to);
    }
    fputc('\n', to);
    line(to, o->help);
    if (o->def) {
        fputs("(default: ", to);
        roff(to, o->def, false);
        fputs(")\n", to);
    }
    fputs(".br\nFor: ", to);
    for (size_t i = 0, n = 0; i < cli_command_count; i++)
        if (o->commands & cli_commands[i].bit) fprintf(to, "%s%s", n++ ? ", " : "", cli_commands[i].name);
    if (o->commands == CLI_PROGRAM) fputs("the program itself", to);
    fputc('\n', to);
    if (o->text) {
        fputs(".br\n", to);
        line(to, o->text);
    }
}

static void commands(FILE *to)
{
    fputs(".SH COMMANDS\n", to);
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *c = &cli_commands[i];
        fprintf(to, ".TP\n\\fBbfncl %s\\fR %s\n", c->name, c->operands);
        line(to, c->help);
        fputs(".br\n", to);
        line(to, c->text);
    }
}

static void examples(FILE *to)
{
    fputs(".SH EXAMPLES\n.nf\n", to);
    for (size_t i = 0; i < cli_command_count; i++)
        for (int j = 0; cli_commands[i].examples[j]; j++) line(to, cli_commands[i].examples[j]);
    fputs(".fi\n", to);
}

static void config_keys(FILE *to)
{
    const char *name, *def, *help;
    char type[192];
    fputs(".SH CONFIGURATION\nA YAML file of two levels; its last line is three dots, so that a file that was cut off "
          "is recognised. The keys:\n",
          to);
    for (size_t i = 0; bfncl_config_key(i, &name, type, &def, &help); i++) {
        fputs(".TP\n\\fB", to);
        roff(to, name, false);
        fputs("\\fR\n", to);
        line(to, help);
        fputs("(", to);
        roff(to, type, false);
        fputs("; default ", to);
        roff(to, def[0] ? def : "empty", false);
        fputs(")\n", to);
    }
}

void cli_print_man(FILE *to)
{
    fprintf(to, ".TH BFNCL 1 \"\" \"bfncl %s\" \"User Commands\"\n", bfncl_version());
    fputs(".SH NAME\nbfncl \\- train, score and sample Bayesian Flow Networks on any OpenCL device\n"
          ".SH SYNOPSIS\n.B bfncl\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n.br\n.B bfncl\n\\-\\-device list [\\-v | "
          "\\-\\-json]\n"
          ".SH DESCRIPTION\nResults go to standard output; messages and progress go to standard error. Options may be "
          "written \\-\\-name=value or \\-\\-name value.\n",
          to);
    commands(to);
    fputs(".SH OPTIONS\n", to);
    for (int i = 0; i < OPT_COUNT; i++) option(to, &cli_options[i]);
    config_keys(to);
    fputs(".SH EXIT STATUS\n", to);
    for (const cli_exit_code *e = cli_exit_codes; e->text; e++) {
        fprintf(to, ".TP\n%d\n", e->code);
        line(to, e->text);
    }
    fputs(".SH ENVIRONMENT\n", to);
    for (const cli_variable *v = cli_variables; v->name; v++) {
        fprintf(to, ".TP\n%s\n", v->name);
        line(to, v->text);
    }
    examples(to);
}
