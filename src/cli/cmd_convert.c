/* bfncl convert */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/term.h"

/* The file to write: second operand or --output, one of them. */
static const char *output(const cli_args *a)
{
    const char *option = a->value[OPT_OUTPUT].text, *operand = a->n_operands > 1 ? a->operands[1] : NULL;
    if (option && operand) {
        cli_error("two files to write: %s and %s", operand, option);
        return NULL;
    }
    if (!option && !operand) {
        cli_error("no file to write");
        cli_hint("bfncl convert %s OUT.safetensors", a->operands[0]);
    }
    return option ? option : operand;
}

int cli_convert(const cli_args *a)
{
    bfncl_convert_options o;
    bfncl_convert_result r;
    bfncl_error err;
    bfncl_convert_defaults(&o);
    o.in = a->operands[0];
    o.out = output(a);
    if (!o.out) return BFNCL_ERR_USAGE;
    o.config = a->value[OPT_CONFIG].text;
    o.size = a->value[OPT_SIZE].text;
    o.set = a->value[OPT_SET].list;
    o.n_set = a->value[OPT_SET].count;
    cli_device_options(a, &o.device);
    if (!o.config && o.size) {
        cli_error("--size belongs to a configuration: --config is missing");
        return BFNCL_ERR_USAGE;
    }
    if (bfncl_convert(&o, &r, &err) != BFNCL_OK) return cli_fail(&err);
    if (cli_given(a, OPT_JSON))
        return cli_print_json(json_pack("{s:s, s:I, s:I, s:s, s:s}", "out", o.out, "tensors", (json_int_t)r.tensors,
                                        "params", (json_int_t)r.params, "raw", r.raw, "ema", r.ema),
                              0);
    if (r.params)
        cli_note("%llu weights from \"%s\", averaged ones from \"%s\"", (unsigned long long)r.params, r.raw, r.ema);
    puts(o.out);
    return 0;
}
