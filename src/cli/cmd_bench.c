/* bfncl bench: chooses what is measured. */
#include <string.h>

#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/term.h"

#define BIT(option) (UINT64_C(1) << (option))
#define MODEL (BIT(OPT_STEPS) | BIT(OPT_SET) | BIT(OPT_SIZE) | BIT(OPT_BATCH) | BIT(OPT_PROFILE) | BIT(OPT_TRACE))
/* Options that only some of the subjects read. */
#define SPECIAL (MODEL | BIT(OPT_SHAPE) | BIT(OPT_ONLY))

static const struct subject {
    const char *name;
    bool config;      /* a configuration follows */
    uint64_t options; /* those of SPECIAL that it reads */
    int (*run)(const cli_args *a);
} subjects[] = {{"gemm", false, BIT(OPT_SHAPE), cli_bench_gemm},
                {"peak", false, 0, cli_bench_peak},
                {"conv", false, BIT(OPT_SHAPE) | BIT(OPT_ONLY), cli_bench_conv},
                {"attention", false, BIT(OPT_SHAPE) | BIT(OPT_ONLY), cli_bench_attention},
                {"ops", false, BIT(OPT_ONLY), cli_bench_ops},
                {"train", true, MODEL, cli_bench_train},
                {"sample", true, MODEL, cli_bench_sample}};

enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static const char *name_of(size_t i)
{
    return subjects[i].name;
}

static int unknown(const cli_args *a)
{
    const char *near = cli_nearest(a->operands[0], name_of, SUBJECTS);
    cli_error("bench: nothing called \"%s\" can be measured", a->operands[0]);
    cli_hint("bfncl bench %s", near ? near : subjects[0].name);
    cli_print_usage(stderr, a->command);
    return BFNCL_ERR_USAGE;
}

/* Operands and options against what the subject reads. */
static bool fits(const struct subject *s, const cli_args *a)
{
    const size_t wanted = s->config ? 2 : 1;
    for (int i = 0; i < OPT_COUNT; i++) {
        if (!cli_given(a, i) || !(SPECIAL & BIT(i)) || (s->options & BIT(i))) continue;
        cli_error("bench %s does not read --%s", s->name, cli_options[i].name);
        return false;
    }
    if (a->n_operands == wanted) return true;
    if (s->config)
        cli_error("bench %s needs CONFIG", s->name);
    else
        cli_error("bench %s takes nothing else, \"%s\" was given", s->name, a->operands[1]);
    return false;
}

int cli_bench(const cli_args *a)
{
    size_t i = 0;
    while (i < SUBJECTS && strcmp(a->operands[0], subjects[i].name) != 0) i++;
    if (i == SUBJECTS) return unknown(a);
    if (fits(&subjects[i], a)) return subjects[i].run(a);
    cli_print_usage(stderr, a->command);
    return BFNCL_ERR_USAGE;
}
