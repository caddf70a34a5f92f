/* Stop signals: the first asks the work to save and end, the second ends the process. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/term.h"

static volatile sig_atomic_t stop_signal;

/* Only calls that are safe in a handler. */
static void on_stop(int sig)
{
    static const char text[] =
        "\nbfncl: stopping: what is done is saved first; a second signal (Ctrl-C) stops at once\n";
    if (stop_signal) {
        signal(sig, SIG_DFL);
        raise(sig);
        return;
    }
    stop_signal = sig;
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
}

static void handle(int sig, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    action.sa_handler = handler;
    sigaction(sig, &action, NULL);
}

void cli_signals_init(void)
{
    handle(SIGPIPE, SIG_IGN);
    handle(SIGXFSZ, SIG_IGN);
}

void cli_signals_stop(void)
{
    handle(SIGINT, on_stop);
    handle(SIGTERM, on_stop);
}

int cli_signal(void)
{
    return (int)stop_signal;
}
