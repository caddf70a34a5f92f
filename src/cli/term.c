/* Messages on stderr. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/term.h"
#include "cli/term_state.h"

#define RED "\033[1;31m"
#define YELLOW "\033[1;33m"
#define PLAIN "\033[0m"

cli_term_state cli_term = {.level = CLI_NORMAL};

void cli_put_text(FILE *to, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        fputc(control ? '?' : c, to);
    }
}

static void put_format(FILE *to, const char *fmt, va_list ap)
{
    char text[2 * BFNCL_MESSAGE_SIZE];
    vsnprintf(text, sizeof text, fmt, ap);
    cli_put_text(to, text);
}

void cli_printf(FILE *to, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_format(to, fmt, ap);
    va_end(ap);
}

/* "bfncl: error: " with the second word in colour. */
static void label(const char *word, const char *colour)
{
    cli_progress_end();
    fprintf(stderr, "bfncl: %s%s:%s ", cli_term.colour ? colour : "", word, cli_term.colour ? PLAIN : "");
}

static void on_log(void *user, bfncl_log_level level, const char *line)
{
    (void)user;
    switch (level) {
    case BFNCL_LOG_ERROR: label("error", RED); break;
    case BFNCL_LOG_WARN: label("warning", YELLOW); break;
    case BFNCL_LOG_INFO:
        if (cli_term.level < CLI_NORMAL) return;
        cli_progress_end();
        break;
    default:
        if (cli_term.level < CLI_LOUD) return;
        cli_progress_end();
    }
    cli_put_text(stderr, line);
    fputc('\n', stderr);
}

void cli_term_init(cli_level level)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool rewritable = terminal && *terminal && strcmp(terminal, "dumb") != 0;
    cli_term.level = level;
    cli_term.terminal = isatty(STDERR_FILENO) && rewritable;
    cli_term.colour = cli_term.terminal && !(no_colour && *no_colour);
    bfncl_set_log(on_log, NULL);
}

void cli_error(const char *fmt, ...)
{
    va_list ap;
    label("error", RED);
    va_start(ap, fmt);
    put_format(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void cli_hint(const char *fmt, ...)
{
    va_list ap;
    fputs("hint: ", stderr);
    va_start(ap, fmt);
    put_format(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void cli_note(const char *fmt, ...)
{
    va_list ap;
    if (cli_term.level < CLI_NORMAL) return;
    cli_progress_end();
    va_start(ap, fmt);
    put_format(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

int cli_fail(const bfncl_error *err)
{
    if (err->status == BFNCL_STOPPED) {
        cli_note("bfncl: stopped: %s", err->message[0] ? err->message : bfncl_status_text(err->status));
        if (err->hint[0] && cli_term.level >= CLI_NORMAL) cli_hint("%s", err->hint);
        return cli_signal() ? 128 + cli_signal() : BFNCL_ERR_RUNTIME;
    }
    cli_error("%s", err->message[0] ? err->message : bfncl_status_text(err->status));
    if (err->hint[0]) cli_hint("%s", err->hint);
    return err->status;
}

int cli_finish(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    cli_error("standard output: cannot write: %s", errno ? strerror(errno) : "an earlier write failed");
    return code ? code : BFNCL_ERR_RUNTIME;
}
