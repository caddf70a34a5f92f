/* What the program says to people, all of it on stderr: errors, hints, log lines, progress; and the stop signals. */
#ifndef BF_CLI_TERM_H
#define BF_CLI_TERM_H

#include <bfncl.h>
#include <stdio.h>

#if defined(__GNUC__)
#define CLI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CLI_PRINTF(format, first)
#endif

/* How much is said. Quiet keeps warnings: "the checkpoint could not be written" must not get lost. */
typedef enum cli_level { CLI_QUIET, CLI_NORMAL, CLI_LOUD } cli_level;

/* Looks at stderr, NO_COLOR and TERM, and receives the log lines of the library from now on. */
void cli_term_init(cli_level level);

/* "bfncl: error: ..." and "hint: ...". The hint may be NULL. */
void cli_error(const char *fmt, ...) CLI_PRINTF(1, 2);
void cli_hint(const char *fmt, ...) CLI_PRINTF(1, 2);
/* A line of information; not with -q. */
void cli_note(const char *fmt, ...) CLI_PRINTF(1, 2);

/* Text that may come from a file or a driver: control characters, which could steer a terminal, become '?'. */
void cli_put_text(FILE *to, const char *text);
/* printf() of such texts, up to 2 KiB. */
void cli_printf(FILE *to, const char *fmt, ...) CLI_PRINTF(2, 3);

/* Says what failed and returns the exit code: the status, or 128 + signal when a signal stopped the work. */
int cli_fail(const bfncl_error *err);

/* Flushes stdout. Returns `code`, or 1 after a message when the results could not be written. */
int cli_finish(int code);

/* The progress callback of all commands: one line, rewritten at most ten times a second, on a terminal; a full line
 * every few seconds elsewhere. False once a signal has asked to stop. */
bool cli_progress(void *user, const bfncl_progress *p);

/* Columns of the terminal. */
size_t cli_columns(void);

/* Ends the progress line, if there is one, so that other text starts on a line of its own. */
void cli_progress_end(void);

/* SIGPIPE and SIGXFSZ become errors of the write that met them. */
void cli_signals_init(void);
/* For commands that report progress: SIGINT and SIGTERM ask the running operation to save and stop; a second one ends
 * the process at once. Other commands keep the default action, since nothing would look at the request. */
void cli_signals_stop(void);
/* The signal that asked to stop; 0: none. */
int cli_signal(void);

#endif
