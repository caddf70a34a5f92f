/* bfncl tune */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/term.h"

static int print_json(const bfncl_tune_result *r)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < r->n_rows; i++) {
        const bfncl_tune_row *row = &r->rows[i];
        json_array_append_new(rows, json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:[i,i,i,i], s:o, s:o}", "class",
                                              row->name, "m", row->shape.m, "n", row->shape.n, "k", row->shape.k,
                                              "batch", row->shape.batch, "trans", row->shape.trans, "provider",
                                              row->provider, "tile", row->tile[0], row->tile[1], row->tile[2],
                                              row->tile[3], "gflops", cli_json_number(row->gflops), "default_gflops",
                                              cli_json_number(row->default_gflops)));
    }
    return cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "device", r->device, "driver",
                                    r->driver, "table", r->table, "id", r->id, "time", r->time, "clblast", r->clblast,
                                    "tried", (json_int_t)r->tried, "wrong", (json_int_t)r->wrong, "refused",
                                    (json_int_t)r->fails, "rows", rows),
                          0);
}

static void print(const bfncl_tune_result *r)
{
    printf("device   %s\ndriver   %s\ntable    %s\nnumber   %s of %s\n", r->device, r->driver, r->table, r->id,
           r->time);
    if (r->clblast[0]) printf("CLBlast  %s\n", r->clblast);
    printf("%-18s %6s %6s %6s %6s  %-8s  %-16s  %9s  %9s\n", "class", "m", "n", "k", "batch", "provider", "sizes",
           "GFLOP/s", "default");
    for (size_t i = 0; i < r->n_rows; i++) {
        const bfncl_tune_row *row = &r->rows[i];
        char sizes[48] = "default";
        if (row->tile[0])
            snprintf(sizes, sizeof sizes, row->tile[2] ? "%dx%dx%d/%d" : "%dx%d", row->tile[0], row->tile[1],
                     row->tile[2], row->tile[3]);
        printf("%-18s %6d %6d %6d %6d  %-8s  %-16s  %9.1f  %9.1f\n", row->name, row->shape.m, row->shape.n,
               row->shape.k, row->shape.batch, row->provider, sizes, row->gflops, row->default_gflops);
    }
}

static int reset(const bfncl_tune_options *o)
{
    bfncl_tune_result r;
    bfncl_error err;
    if (bfncl_tune_reset(o, &r, &err) != BFNCL_OK) return cli_fail(&err);
    if (r.table[0])
        printf("removed %s\n", r.table);
    else
        printf("%s is not tuned\n", r.device);
    return 0;
}

int cli_tune(const cli_args *a)
{
    bfncl_tune_options o;
    bfncl_tune_result r;
    bfncl_error err;
    bfncl_tune_defaults(&o);
    cli_device_options(a, &o.device);
    o.table = a->value[OPT_OUTPUT].text;
    if (cli_given(a, OPT_LIST) && cli_given(a, OPT_RESET)) {
        cli_error("tune: --list shows the table that --reset removes; give one of them");
        return BFNCL_ERR_USAGE;
    }
    if (cli_given(a, OPT_RESET)) return reset(&o);
    if (cli_given(a, OPT_SECONDS)) o.seconds = (double)a->value[OPT_SECONDS].number;
    o.progress = cli_progress;
    if (!cli_given(a, OPT_LIST)) cli_signals_stop();
    const bfncl_status st = cli_given(a, OPT_LIST) ? bfncl_tune_read(&o, &r, &err) : bfncl_tune(&o, &r, &err);
    cli_progress_end();
    if (st != BFNCL_OK) return cli_fail(&err);
    if (cli_given(a, OPT_JSON)) return print_json(&r);
    print(&r);
    return 0;
}
