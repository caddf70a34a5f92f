/* The progress line. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/term.h"
#include "cli/term_state.h"

#define REWRITE_SECONDS 0.1 /* on a terminal */
#define LINE_SECONDS 5.0    /* elsewhere */
#define PHASE_SECONDS 1.0   /* elsewhere, when the phase has changed */
#define LINE_SIZE 256
#define LN2 0.693147180559945309417

/* The last thing shown. */
static struct {
    double time;
    char phase[48];
    uint64_t done;
} shown;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

size_t cli_columns(void)
{
    const char *text = getenv("COLUMNS");
    long n = text ? strtol(text, NULL, 10) : 0;
#ifdef TIOCGWINSZ
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) n = size.ws_col;
#endif
    return n >= 20 && n < LINE_SIZE ? (size_t)n : 80;
}

/* Appends to a line of LINE_SIZE bytes and cuts what does not fit. */
static void append(char *line, const char *fmt, ...) CLI_PRINTF(2, 3);
static void append(char *line, const char *fmt, ...)
{
    size_t used = strlen(line);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + used, LINE_SIZE - used, fmt, ap);
    va_end(ap);
}

/* "12 s", "3 min 20 s", "2 h 05 min" */
static void append_duration(char *line, double seconds)
{
    long s = seconds < 1e8 ? (long)(seconds + 0.5) : 100000000;
    if (s < 60)
        append(line, "%ld s", s);
    else if (s < 3600)
        append(line, "%ld min %02ld s", s / 60, s % 60);
    else
        append(line, "%ld h %02ld min", s / 3600, s / 60 % 60);
}

static void compose(char *line, const bfncl_progress *p)
{
    bool last = p->total && p->done >= p->total;
    line[0] = 0;
    append(line, "%s", p->phase);
    if (p->total)
        append(line, " %llu/%llu", (unsigned long long)p->done, (unsigned long long)p->total);
    else if (p->done)
        append(line, " %llu", (unsigned long long)p->done);
    if (strncmp(p->phase, "compiling", 9) == 0 && !last) append(line, " (slow on the first run only)");
    if (isfinite(p->loss)) append(line, " | loss %.4f bits/dim", p->loss / LN2);
    if (isfinite(p->grad_norm)) append(line, " | grad %.2f", p->grad_norm);
    if (isfinite(p->lr)) append(line, " | lr %.1e", p->lr);
    if (isfinite(p->step_ms)) append(line, " | %.0f ms", p->step_ms);
    if (isfinite(p->eta) && !last) {
        append(line, " | eta ");
        append_duration(line, p->eta);
    }
}

void cli_progress_end(void)
{
    if (cli_term.open_line) fputc('\n', stderr);
    cli_term.open_line = false;
}

bool cli_progress(void *user, const bfncl_progress *p)
{
    (void)user;
    char line[LINE_SIZE];
    double time = now();
    bool changed = strncmp(shown.phase, p->phase, sizeof shown.phase - 1) != 0;
    bool last = p->total && p->done >= p->total && (changed || p->done != shown.done);
    double pause = cli_term.terminal ? REWRITE_SECONDS : changed ? PHASE_SECONDS : LINE_SECONDS;
    bool due = last || shown.phase[0] == 0 || time - shown.time >= pause;
    if (cli_term.level < CLI_NORMAL || !due) return cli_signal() == 0;
    compose(line, p);
    if (changed && time - shown.time >= PHASE_SECONDS) cli_progress_end(); /* what it replaces stays readable */
    if (cli_term.terminal) {
        fprintf(stderr, "\r%.*s\033[K", (int)cli_columns() - 1, line);
        cli_term.open_line = true;
    } else {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
    shown.time = time;
    shown.done = p->done;
    snprintf(shown.phase, sizeof shown.phase, "%s", p->phase);
    return cli_signal() == 0;
}
