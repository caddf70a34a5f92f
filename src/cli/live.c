/* cli/live.h */
#include "cli/live.h"

#include <stdio.h>
#include <string.h>

#include "cli/term.h"
#include "cli/term_state.h"

/* From unlikely to certain, in the 256 colours of terminals. */
static const int colours[] = {61, 69, 38, 77, 184, 231};
static const double from[] = {0, 0.2, 0.4, 0.6, 0.8, 0.95};
#define LEVELS (sizeof from / sizeof from[0])
#define VISIBLE_BLANK 0.8 /* a blank that is less likely shows as a dot */

static int level(double p)
{
    int i = (int)LEVELS - 1;
    while (i > 0 && !(p >= from[i])) i--;
    return i;
}

bool cli_live_possible(void)
{
    return cli_term.terminal && cli_term.level >= CLI_NORMAL;
}

static void put_text(const bfncl_live *s, uint64_t k, uint64_t most)
{
    int now = -1;
    for (uint64_t i = 0; i < s->length && i < most; i++) {
        const double p = (double)s->probability[k * s->length + i];
        const char *character = s->character[k * s->length + i];
        if (cli_term.colour && level(p) != now) {
            now = level(p);
            fprintf(stderr, "\033[38;5;%dm", colours[now]);
        }
        fputs(strcmp(character, " ") == 0 && p < VISIBLE_BLANK ? "\xc2\xb7" : character, stderr);
    }
    if (cli_term.colour) fputs("\033[0m", stderr);
    fputs("\033[K\n", stderr);
}

void cli_live(void *user, const bfncl_live *s)
{
    (void)user;
    if (s->evaluation > 1)
        fprintf(stderr, "\r\033[%lluA", (unsigned long long)s->texts + 1);
    else
        cli_progress_end();
    for (uint64_t k = 0; k < s->texts; k++) put_text(s, k, cli_columns() - 1);
    fprintf(stderr, "t = %.2f\033[K\n", s->t);
    fflush(stderr);
}
