/* The program: reads the command line, calls the command, returns its exit code. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/term.h"

static void print_version(void)
{
    printf("bfncl %s (library %s)\n", BFNCL_VERSION, bfncl_version());
#if defined(__clang__)
    printf("compiler: %s\n", __VERSION__);
#elif defined(__GNUC__)
    printf("compiler: gcc %s\n", __VERSION__);
#endif
}

static int run(const cli_args *a)
{
    if (cli_given(a, OPT_VERSION)) {
        print_version();
        return 0;
    }
    if (cli_given(a, OPT_HELP)) {
        cli_print_help(stdout, a->command);
        return 0;
    }
    if (cli_wants_device_list(a)) return cli_devices(a);
    if (a->command) return a->command->run(a);
    cli_error("no command given");
    cli_print_usage(stderr, NULL);
    return BFNCL_ERR_USAGE;
}

int main(int argc, char **argv)
{
    cli_args a;
    cli_term_init(CLI_NORMAL); /* so that complaints about the command line have their colours */
    int code = cli_parse(argc, argv, &a);
    if (code == 0) {
        cli_term_init(cli_given(&a, OPT_QUIET) ? CLI_QUIET : cli_given(&a, OPT_VERBOSE) ? CLI_LOUD : CLI_NORMAL);
        cli_signals_init();
        code = run(&a);
        cli_progress_end();
    }
    cli_args_free(&a);
    return cli_finish(code);
}
