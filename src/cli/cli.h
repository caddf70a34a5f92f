/*
 * The program. Everything a user can type is described once, in the two tables of options.c (commands and options);
 * the parser, --help, the manual page and the shell completions are all derived from them. What a command computes
 * comes from the library through bfncl.h alone.
 *
 * Results go to stdout; messages, progress and errors go to stderr (term.h).
 */
#ifndef BF_CLI_CLI_H
#define BF_CLI_CLI_H

#include <bfncl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- the tables (options.c) -------------------------------------------------------------------------------------- */

/* Who takes an option: a set of commands. CLI_PROGRAM is `bfncl` without a command. */
enum {
    CLI_TRAIN = 1 << 0,
    CLI_EVAL = 1 << 1,
    CLI_SAMPLE = 1 << 2,
    CLI_INFO = 1 << 3,
    CLI_VERIFY = 1 << 4,
    CLI_BENCH = 1 << 5,
    CLI_HELP = 1 << 6,
    CLI_PROGRAM = 1 << 7,
    CLI_CONVERT = 1 << 8,
    CLI_TUNE = 1 << 9,
    CLI_COMPUTE = CLI_TRAIN | CLI_EVAL | CLI_SAMPLE | CLI_VERIFY | CLI_BENCH | CLI_TUNE,
    CLI_ALL = CLI_COMPUTE | CLI_CONVERT | CLI_INFO | CLI_HELP | CLI_PROGRAM
};

typedef enum cli_option_id {
    OPT_OUT,
    OPT_RESUME,
    OPT_RECOMPUTE,
    OPT_STORAGE,
    OPT_STEPS,
    OPT_SEED,
    OPT_SET,
    OPT_DRY_RUN,
    OPT_PRINT_CONFIG,
    OPT_CONFIG,
    OPT_SIZE,
    OPT_DATA,
    OPT_LOSS_STEPS,
    OPT_RECEIVER,
    OPT_REPEATS,
    OPT_LIMIT,
    OPT_WEIGHTS,
    OPT_PER_EXAMPLE,
    OPT_OVER_TIME,
    OPT_STRIDE,
    OPT_BASELINES,
    OPT_IMPUTE,
    OPT_N,
    OPT_LENGTH,
    OPT_LENGTHS,
    OPT_GIVEN,
    OPT_MASK,
    OPT_HOLE,
    OPT_PARTICLES,
    OPT_SAMPLER,
    OPT_GRID,
    OPT_TIMES,
    OPT_LABEL,
    OPT_GUIDANCE,
    OPT_TEMPERATURE,
    OPT_SCAFFOLD,
    OPT_POCKET,
    OPT_LIGAND,
    OPT_CENTER,
    OPT_RADIUS,
    OPT_ATOMS,
    OPT_SAMPLES,
    OPT_DICTIONARY,
    OPT_ENCODER,
    OPT_NEIGHBOURS,
    OPT_CHART,
    OPT_OUTPUT,
    OPT_TRAJECTORY,
    OPT_LIVE,
    OPT_SHAPE,
    OPT_ONLY,
    OPT_BATCH,
    OPT_SECONDS,
    OPT_LIST,
    OPT_RESET,
    OPT_DEVICE,
    OPT_GEMM,
    OPT_MEMORY,
    OPT_KERNEL_DIR,
    OPT_PROFILE,
    OPT_TRACE,
    OPT_JSON,
    OPT_QUIET,
    OPT_VERBOSE,
    OPT_HELP,
    OPT_VERSION,
    OPT_MAN,
    OPT_COMPLETION,
    OPT_COUNT
} cli_option_id;

/* How the argument of an option is checked. */
typedef enum cli_type {
    CLI_FLAG,      /* no argument */
    CLI_TEXT,      /* anything but the empty string */
    CLI_PATH,      /* the same; completed as a file name */
    CLI_DIRECTORY, /* the same; completed as a folder */
    CLI_INTEGER,   /* min .. max */
    CLI_NUMBER,    /* min .. max, with decimals */
    CLI_SIZE,      /* bytes: 512MiB, 2G, 1000000 */
    CLI_CHOICE,    /* one of the words in `choices` */
    CLI_STEPS_LIST /* inf|N,... : step counts, inf = continuous time */
} cli_type;

typedef struct cli_option {
    const char *name; /* long name without the dashes; NULL: only the letter exists */
    char letter;      /* 0: none */
    cli_type type;
    bool repeats;         /* may be given more than once: every value counts */
    const char *argument; /* name of the argument in the help; NULL for a flag */
    const char *choices;  /* CLI_CHOICE: words separated by '|' */
    double min, max;      /* CLI_INTEGER, CLI_NUMBER */
    unsigned commands;
    const char *key;   /* shorthand for `--set KEY=VALUE`, of a flag KEY=true, of train and where only one command has
                          the option; NULL: none */
    const char *def;   /* default as shown; NULL: none worth showing */
    const char *group; /* heading in the help */
    const char *help;  /* one line */
    const char *text;  /* paragraph of the manual */
} cli_option;

/* By cli_option_id. */
extern const cli_option cli_options[OPT_COUNT];

typedef struct cli_args cli_args;

typedef struct cli_command {
    const char *name;
    unsigned bit;
    const char *operands;          /* synopsis after the name: "CONFIG", "[PATH...]" */
    int min_operands;              /* how many it needs ... */
    int max_operands;              /* ... and takes; -1: any number */
    const char *help;              /* one line */
    const char *text;              /* paragraph of the manual */
    const char *examples[4];       /* that work, NULL-terminated */
    int (*run)(const cli_args *a); /* returns the exit code */
} cli_command;

extern const cli_command cli_commands[];
extern const size_t cli_command_count;

/* NULL when there is none of that name. */
const cli_command *cli_find_command(const char *name);

/* The exit codes with their meaning, for the manual; text NULL ends the table. */
typedef struct cli_exit_code {
    int code;
    const char *text;
} cli_exit_code;
extern const cli_exit_code cli_exit_codes[];

/* Environment variables with their meaning; name NULL ends the table. */
typedef struct cli_variable {
    const char *name, *text;
} cli_variable;
extern const cli_variable cli_variables[];

/* ---- parsed command line (parse.c) ------------------------------------------------------------------------------- */

/* What was given for one option. Texts point into argv. With train, options that stand for a configuration key also
 * appear in the list of OPT_SET, in the order of the command line. */
typedef struct cli_value {
    size_t count;      /* times given; 0: not at all */
    const char *text;  /* last value */
    const char **list; /* all values of an option that repeats */
    int64_t number;    /* last value of CLI_INTEGER and CLI_SIZE */
    double real;       /* last value of CLI_NUMBER */
} cli_value;

struct cli_args {
    const cli_command *command; /* NULL: program without a command */
    cli_value value[OPT_COUNT];
    const char **operands;
    size_t n_operands;
    int64_t *loss_steps; /* OPT_LOSS_STEPS, 0 = continuous time */
    size_t n_loss_steps;
    char *storage; /* of texts in value[OPT_SET].list that are not in argv */
};

/* Parses argv[1..]. Returns 0, or exit code 2 after it has said what is wrong. Free with cli_args_free either way. */
int cli_parse(int argc, char **argv, cli_args *a);
void cli_args_free(cli_args *a);

/* Is this `--device list`? It goes before whatever the command would do. */
bool cli_wants_device_list(const cli_args *a);

/* The name(i) nearest to `word`, i < count (NULL names are left out), or NULL when none is near. */
const char *cli_nearest(const char *word, const char *(*name)(size_t i), size_t count);

static inline bool cli_given(const cli_args *a, cli_option_id id)
{
    return a->value[id].count > 0;
}

#endif
