/* Completions for bash, zsh and fish, from the tables of options.c. */
#include <string.h>

#include "cli/help.h"

/* "a|b|c" with spaces instead of the bars. */
static void print_choices(FILE *to, const char *choices)
{
    for (; *choices; choices++) fputc(*choices == '|' ? ' ' : *choices, to);
}

/* Text inside single quotes of a shell. */
static void quoted(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", to);
        else
            fputc(*text, to);
    }
}

static void command_names(FILE *to)
{
    for (size_t i = 0; i < cli_command_count; i++) fprintf(to, "%s%s", i ? " " : "", cli_commands[i].name);
}

static void option_words(FILE *to, unsigned command)
{
    const char *space = "";
    for (int i = 0; i < OPT_COUNT; i++) {
        const cli_option *o = &cli_options[i];
        if (!(o->commands & command)) continue;
        if (o->name) fprintf(to, "%s--%s", space, o->name), space = " ";
        if (o->letter) fprintf(to, "%s-%c", space, o->letter), space = " ";
    }
}

/* "--name|-n", a pattern of case. */
static void option_pattern(FILE *to, const cli_option *o)
{
    if (o->name) fprintf(to, "--%s", o->name);
    if (o->letter) fprintf(to, "%s-%c", o->name ? "|" : "", o->letter);
}

static void bash(FILE *to)
{
    fputs("_bfncl() {\n    local cur prev command word i\n    cur=${COMP_WORDS[COMP_CWORD]}\n"
          "    prev=${COMP_WORDS[COMP_CWORD-1]}\n    COMPREPLY=()\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n        case ${COMP_WORDS[i]} in\n        ",
          to);
    for (size_t i = 0; i < cli_command_count; i++) fprintf(to, "%s%s", i ? "|" : "", cli_commands[i].name);
    fputs(") command=${COMP_WORDS[i]}; break ;;\n        esac\n    done\n    case $prev in\n", to);
    for (int i = 0; i < OPT_COUNT; i++) {
        const cli_option *o = &cli_options[i];
        if (!o->argument) continue;
        fputs("    ", to);
        option_pattern(to, o);
        if (o->type == CLI_CHOICE) {
            fputs(") mapfile -t COMPREPLY < <(compgen -W \"", to);
            print_choices(to, o->choices);
            fputs("\" -- \"$cur\"); return ;;\n", to);
        } else if (i == OPT_DEVICE) {
            fputs(") mapfile -t COMPREPLY < <(compgen -W \"list auto gpu cpu acc\" -- \"$cur\"); return ;;\n", to);
        } else if (o->type == CLI_PATH || o->type == CLI_DIRECTORY) {
            fprintf(to, ") mapfile -t COMPREPLY < <(compgen -%c -- \"$cur\"); return ;;\n",
                    o->type == CLI_PATH ? 'f' : 'd');
        } else {
            fputs(") return ;;\n", to);
        }
    }
    fputs("    esac\n    case $command in\n", to);
    for (size_t i = 0; i < cli_command_count; i++) {
        fprintf(to, "    %s) word=\"", cli_commands[i].name);
        option_words(to, cli_commands[i].bit);
        fputs("\" ;;\n", to);
    }
    fputs("    *) word=\"", to);
    command_names(to);
    fputc(' ', to);
    option_words(to, CLI_PROGRAM);
    fputs("\" ;;\n    esac\n    if [[ $cur == -* || -z $command ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$word\" -- \"$cur\")\n"
          "    elif [[ $command == help ]]; then\n        mapfile -t COMPREPLY < <(compgen -W \"config ",
          to);
    command_names(to);
    fputs("\" -- \"$cur\")\n    else\n        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n    fi\n}\n"
          "complete -o filenames -F _bfncl bfncl\n",
          to);
}

/* One specification of _arguments. Colons and brackets inside the help have a meaning there. */
static void zsh_option(FILE *to, const cli_option *o)
{
    for (int form = 0; form < 2; form++) {
        if (form == 0 ? !o->name : !o->letter) continue;
        fputs("            '", to);
        if (o->repeats) fputc('*', to);
        if (form == 0)
            fprintf(to, "--%s", o->name);
        else
            fprintf(to, "-%c", o->letter);
        if (o->argument) fputs(form == 0 ? "=" : "+", to);
        fputc('[', to);
        for (const char *c = o->help; *c; c++) fputc(*c == '[' || *c == ']' || *c == '\'' ? ' ' : *c, to);
        fputc(']', to);
        if (o->argument) fprintf(to, ":%s:", o->name ? o->name : "value");
        if (o->type == CLI_CHOICE) {
            fputc('(', to);
            print_choices(to, o->choices);
            fputc(')', to);
        } else if (o->type == CLI_PATH) {
            fputs("_files", to);
        } else if (o->type == CLI_DIRECTORY) {
            fputs("_files -/", to);
        }
        fputs("' \\\n", to);
    }
}

static void zsh(FILE *to)
{
    fputs("#compdef bfncl\n_bfncl() {\n    local -a commands\n    commands=(\n", to);
    for (size_t i = 0; i < cli_command_count; i++) {
        fprintf(to, "        '%s:", cli_commands[i].name);
        quoted(to, cli_commands[i].help);
        fputs("'\n", to);
    }
    fputs("    )\n    local command=${words[(r)(", to);
    for (size_t i = 0; i < cli_command_count; i++) fprintf(to, "%s%s", i ? "|" : "", cli_commands[i].name);
    fputs(")]}\n    case $command in\n", to);
    for (size_t i = 0; i <= cli_command_count; i++) {
        bool program = i == cli_command_count;
        fprintf(to, "        %s) _arguments \\\n", program ? "*" : cli_commands[i].name);
        for (int j = 0; j < OPT_COUNT; j++)
            if (cli_options[j].commands & (program ? (unsigned)CLI_PROGRAM : cli_commands[i].bit))
                zsh_option(to, &cli_options[j]);
        fputs(program ? "            '1:command:{_describe command commands}' ;;\n"
                      : "            '*:file:_files' ;;\n",
              to);
    }
    fputs("    esac\n}\ncompdef _bfncl bfncl\n", to);
}

static void fish(FILE *to)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        fprintf(to, "complete -c bfncl -n __fish_use_subcommand -a %s -d '", cli_commands[i].name);
        quoted(to, cli_commands[i].help);
        fputs("'\n", to);
    }
    for (int i = 0; i < OPT_COUNT; i++) {
        const cli_option *o = &cli_options[i];
        fputs("complete -c bfncl -n '", to);
        if (o->commands & CLI_PROGRAM) {
            fputs("true", to);
        } else {
            fputs("__fish_seen_subcommand_from", to);
            for (size_t c = 0; c < cli_command_count; c++)
                if (o->commands & cli_commands[c].bit) fprintf(to, " %s", cli_commands[c].name);
        }
        fputc('\'', to);
        if (o->name) fprintf(to, " -l %s", o->name);
        if (o->letter) fprintf(to, " -s %c", o->letter);
        if (o->type == CLI_CHOICE) {
            fputs(" -x -a '", to);
            print_choices(to, o->choices);
            fputc('\'', to);
        } else if (o->type == CLI_PATH || o->type == CLI_DIRECTORY) {
            fputs(" -r", to);
        } else if (o->argument) {
            fputs(" -x", to);
        }
        fputs(" -d '", to);
        quoted(to, o->help);
        fputs("'\n", to);
    }
}

void cli_print_completion(FILE *to, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        bash(to);
    else if (strcmp(shell, "zsh") == 0)
        zsh(to);
    else
        fish(to);
}
