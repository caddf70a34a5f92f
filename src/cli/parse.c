/* The command line, checked against the tables of options.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/term.h"

typedef struct parser {
    int argc;
    char **argv;
    cli_args *a;
    char *storage; /* texts made here; see storage_size() */
} parser;

static unsigned who(const cli_args *a)
{
    return a->command ? a->command->bit : CLI_PROGRAM;
}

/* "--name", or "-n" for an option that has no long name. */
static const char *spelled(const cli_option *o)
{
    static char text[40];
    if (o->name)
        snprintf(text, sizeof text, "--%s", o->name);
    else
        snprintf(text, sizeof text, "-%c", o->letter);
    return text;
}

static int bad_usage(const cli_args *a)
{
    cli_print_usage(stderr, a->command);
    return BFNCL_ERR_USAGE;
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static int find_long(const char *name, size_t length)
{
    for (int i = 0; i < OPT_COUNT; i++)
        if (cli_options[i].name && strlen(cli_options[i].name) == length &&
            strncmp(cli_options[i].name, name, length) == 0)
            return i;
    return -1;
}

static int find_letter(char letter)
{
    for (int i = 0; i < OPT_COUNT; i++)
        if (cli_options[i].letter == letter) return i;
    return -1;
}

const cli_command *cli_find_command(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, name) == 0) return &cli_commands[i];
    return NULL;
}

/* A word so far away that nobody can have meant it is not worth a hint. */
static bool near_enough(const char *word, int distance)
{
    int length = (int)strlen(word);
    return distance <= (length < 4 ? 1 : length < 8 ? 2 : 3);
}

const char *cli_nearest(const char *word, const char *(*name)(size_t i), size_t count)
{
    const char *best = NULL;
    int least = 0;
    for (size_t i = 0; i < count; i++) {
        if (!name(i)) continue;
        int distance = bfncl_edit_distance(word, name(i));
        if (!best || distance < least) best = name(i), least = distance;
    }
    return best && near_enough(word, least) ? best : NULL;
}

static const char *command_name(size_t i)
{
    return cli_commands[i].name;
}
static const char *option_name(size_t i)
{
    return cli_options[i].name;
}

static int unknown_option(const cli_args *a, const char *word, size_t length)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    const char *nearest = cli_nearest(name, option_name, OPT_COUNT);
    cli_error("unknown option --%s", name);
    if (nearest)
        cli_hint("did you mean --%s?", nearest);
    else
        cli_hint("bfncl help%s%s lists the options", a->command ? " " : "", a->command ? a->command->name : "");
    return bad_usage(a);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* A whole number in decimal digits, nothing before or after it. */
static bool whole_number(const char *text, double min, double max, int64_t *out)
{
    char *end;
    if (strspn(text, "0123456789") == 0 && text[0] != '-') return false;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || *end || (double)n < min || (double)n > max) return false;
    *out = n;
    return true;
}

/* A number in decimal notation, nothing before or after it. */
static bool real_number(const char *text, double min, double max, double *out)
{
    char *end;
    if (text[0] == 0 || strspn(text, "0123456789.eE+-") != strlen(text)) return false;
    errno = 0;
    const double x = strtod(text, &end);
    if (errno || *end || !(x >= min && x <= max)) return false;
    *out = x;
    return true;
}

/* Bytes: a whole number with an optional unit. K, M, G, T and KiB ... TiB are powers of 1024, kB ... TB of 1000. */
static bool byte_size(const char *text, double min, double max, int64_t *out)
{
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"", 1},       {"B", 1},        {"K", 0x1p10},   {"KiB", 0x1p10}, {"kB", 1e3},
                 {"M", 0x1p20}, {"MiB", 0x1p20}, {"MB", 1e6},     {"G", 0x1p30},   {"GiB", 0x1p30},
                 {"GB", 1e9},   {"T", 0x1p40},   {"TiB", 0x1p40}, {"TB", 1e12}};
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 15) return false;
    double n = (double)strtoll(text, NULL, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + digits, units[i].unit) != 0) continue;
        n *= units[i].factor;
        if (n < min || n > max) return false;
        *out = (int64_t)n;
        return true;
    }
    return false;
}

/* Is `word` one of "a|b|c"? */
static bool in_choices(const char *word, const char *choices)
{
    size_t length = strlen(word);
    for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (length > 0 && strcspn(c, "|") == length && strncmp(c, word, length) == 0) return true;
    return false;
}

/* "inf,10,100" */
static bool steps_list(const char *text, cli_args *a)
{
    free(a->loss_steps);
    a->n_loss_steps = 0;
    a->loss_steps = calloc(strlen(text) + 1, sizeof *a->loss_steps);
    for (const char *p = text; a->loss_steps;) {
        char item[16];
        size_t length = strcspn(p, ",");
        if (length == 0 || length >= sizeof item) return false;
        snprintf(item, sizeof item, "%.*s", (int)length, p);
        int64_t *steps = &a->loss_steps[a->n_loss_steps++];
        if (strcmp(item, "inf") != 0 && !whole_number(item, 1, 1e6, steps)) return false;
        if (p[length] == 0) return true;
        p += length + 1;
    }
    return false;
}

static int wrong_value(const cli_args *a, const cli_option *o, const char *value)
{
    const char *name = spelled(o);
    switch (o->type) {
    case CLI_INTEGER:
        cli_error("%s: \"%s\" is not a whole number from %.0f to %.0f", name, value, o->min, o->max);
        break;
    case CLI_NUMBER: cli_error("%s: \"%s\" is not a number from %g to %g", name, value, o->min, o->max); break;
    case CLI_SIZE: cli_error("%s: \"%s\" is not a number of bytes such as 512MiB, 2G or 1000000", name, value); break;
    case CLI_CHOICE: cli_error("%s: \"%s\" is not one of %s", name, value, o->choices); break;
    case CLI_STEPS_LIST:
        cli_error("%s: \"%s\" is not a list of inf and numbers from 1 to 1000000, such as inf,10,100", name, value);
        break;
    default: cli_error("%s: the value is empty", name);
    }
    return bad_usage(a);
}

/* Values that stand for a configuration key join the list of --set: those of train, and of options of one command. */
static void add_override(parser *p, const cli_option *o, const char *value)
{
    cli_value *set = &p->a->value[OPT_SET];
    set->list[set->count++] = p->storage;
    if (o->type == CLI_FLAG) value = "true";
    size_t size = strlen(o->key) + strlen(value) + 2;
    snprintf(p->storage, size, "%s=%s", o->key, value);
    p->storage += size;
}

static int store(parser *p, int id, const char *value)
{
    cli_args *a = p->a;
    const cli_option *o = &cli_options[id];
    cli_value *v = &a->value[id];
    bool good = true;
    switch (o->type) {
    case CLI_FLAG: break;
    case CLI_INTEGER: good = whole_number(value, o->min, o->max, &v->number); break;
    case CLI_NUMBER: good = real_number(value, o->min, o->max, &v->real); break;
    case CLI_SIZE: good = byte_size(value, o->min, o->max, &v->number); break;
    case CLI_CHOICE: good = in_choices(value, o->choices); break;
    case CLI_STEPS_LIST: good = steps_list(value, a); break;
    default: good = value[0] != 0;
    }
    if (!good) return wrong_value(a, o, value);
    if (o->repeats) v->list[v->count] = value;
    v->count++;
    v->text = value;
    if (o->key && a->command && (a->command->bit == CLI_TRAIN || a->command->bit == o->commands))
        add_override(p, o, value);
    return 0;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* Is argv[i] an option (and not an operand such as "-")? */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != 0;
}

/* Does option `word` take the next word as its argument? For the search for the command, before anything is checked. */
static bool takes_next(const char *word)
{
    if (word[1] == '-') {
        int id = find_long(word + 2, strlen(word + 2));
        return id >= 0 && cli_options[id].argument;
    }
    for (const char *c = word + 1; *c; c++) {
        int id = find_letter(*c);
        if (id >= 0 && cli_options[id].argument) return c[1] == 0;
    }
    return false;
}

/* Checks that the option belongs to the command and stores it. `attached` is the text after = or the letter, or NULL;
 * *i moves on when the argument is the next word. */
static int one_option(parser *p, int id, const char *attached, int *i)
{
    const cli_option *o = &cli_options[id];
    cli_args *a = p->a;
    if (!(o->commands & who(a))) {
        if (a->command)
            cli_error("%s is not an option of bfncl %s", spelled(o), a->command->name);
        else
            cli_error("%s needs a command before it", spelled(o));
        for (size_t c = 0; c < cli_command_count; c++)
            if (o->commands & cli_commands[c].bit) {
                cli_hint("it belongs to bfncl %s", cli_commands[c].name);
                break;
            }
        return bad_usage(a);
    }
    if (!o->argument) {
        if (!attached) return store(p, id, "");
        cli_error("%s takes no value", spelled(o));
        return bad_usage(a);
    }
    if (attached) return store(p, id, attached);
    if (*i + 1 < p->argc) return store(p, id, p->argv[++*i]);
    cli_error("%s needs a value: %s", spelled(o), o->argument);
    return bad_usage(a);
}

static int long_option(parser *p, int *i)
{
    const char *word = p->argv[*i] + 2;
    size_t length = strcspn(word, "=");
    int id = find_long(word, length);
    if (id < 0) return unknown_option(p->a, word, length);
    return one_option(p, id, word[length] == '=' ? word + length + 1 : NULL, i);
}

/* "-vq", "-n64", "-n 64" */
static int letters(parser *p, int *i)
{
    int code = 0;
    for (const char *c = p->argv[*i] + 1; *c && code == 0; c++) {
        int id = find_letter(*c);
        if (id < 0) {
            cli_error("unknown option -%c", *c);
            return bad_usage(p->a);
        }
        bool argument = cli_options[id].argument != NULL;
        code = one_option(p, id, argument && c[1] ? c + 1 : NULL, i);
        if (argument) break;
    }
    return code;
}

/* The first word that is neither an option nor the argument of one. Index into argv; argc: none. */
static int command_index(const parser *p)
{
    int i = 1;
    while (i < p->argc && is_option(p->argv[i]) && strcmp(p->argv[i], "--") != 0) i += takes_next(p->argv[i]) ? 2 : 1;
    return i < p->argc && strcmp(p->argv[i], "--") != 0 ? i : p->argc;
}

static int check_operands(const cli_args *a)
{
    const cli_command *c = a->command;
    if (a->n_operands < (size_t)c->min_operands) {
        cli_error("bfncl %s needs %s", c->name, c->operands);
        return bad_usage(a);
    }
    if (c->max_operands >= 0 && a->n_operands > (size_t)c->max_operands) {
        cli_error("bfncl %s: unexpected argument \"%s\"", c->name, a->operands[c->max_operands]);
        return bad_usage(a);
    }
    return 0;
}

static int parse_words(parser *p)
{
    cli_args *a = p->a;
    int at = command_index(p), code = 0;
    bool only_operands = false;
    if (at < p->argc) {
        a->command = cli_find_command(p->argv[at]);
        if (!a->command) {
            const char *nearest = cli_nearest(p->argv[at], command_name, cli_command_count);
            cli_error("unknown command \"%s\"", p->argv[at]);
            if (nearest) cli_hint("did you mean bfncl %s?", nearest);
            return bad_usage(a);
        }
    }
    for (int i = 1; i < p->argc && code == 0; i++) {
        const char *word = p->argv[i];
        if (i == at) continue;
        if (only_operands || !is_option(word))
            a->operands[a->n_operands++] = word;
        else if (strcmp(word, "--") == 0)
            only_operands = true;
        else
            code = word[1] == '-' ? long_option(p, &i) : letters(p, &i);
    }
    bool other = cli_given(a, OPT_HELP) || cli_wants_device_list(a);
    return code || !a->command || other ? code : check_operands(a);
}

/* Room for the overrides that add_override() writes. */
static size_t storage_size(int argc, char **argv)
{
    size_t longest_key = 0, size = 1;
    for (int i = 0; i < OPT_COUNT; i++)
        if (cli_options[i].key && strlen(cli_options[i].key) > longest_key) longest_key = strlen(cli_options[i].key);
    for (int i = 1; i < argc; i++) size += strlen(argv[i]) + longest_key + 2;
    return size;
}

bool cli_wants_device_list(const cli_args *a)
{
    return cli_given(a, OPT_DEVICE) && strcmp(a->value[OPT_DEVICE].text, "list") == 0;
}

int cli_parse(int argc, char **argv, cli_args *a)
{
    memset(a, 0, sizeof *a);
    a->operands = calloc((size_t)argc + 1, sizeof *a->operands);
    a->storage = malloc(storage_size(argc, argv));
    bool memory = a->operands && a->storage;
    for (int i = 0; i < OPT_COUNT; i++)
        if (cli_options[i].repeats) {
            a->value[i].list = calloc((size_t)argc + 1, sizeof *a->value[i].list);
            memory = memory && a->value[i].list;
        }
    if (!memory) {
        cli_error("out of memory");
        return BFNCL_ERR_RUNTIME;
    }
    return parse_words(&(parser){argc, argv, a, a->storage});
}

void cli_args_free(cli_args *a)
{
    for (int i = 0; i < OPT_COUNT; i++) free(a->value[i].list);
    free(a->operands);
    free(a->storage);
    free(a->loss_steps);
}
