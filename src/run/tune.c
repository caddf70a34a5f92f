/* bfncl_tune: looks for the fastest correct way to do each class of matrix products. include/bfncl.h, device/tune.h */
#include "device/tune.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "run/bench.h"

#define DEFAULT_SECONDS 300
#define ROW_SECONDS 0.03 /* of timed runs */
#define GAIN 1.03        /* what is kept is faster than this times what it replaces: more than noise */

typedef struct tuner {
    const bfncl_tune_options *o;
    bf_ctx *ctx;
    double start, seconds;
    bool packed, clblast; /* what may be tried */
    bool stopped;
    bf_product *product[BF_TUNE_CLASSES];
    bf_tune tune;
    bfncl_tune_result *r;
} tuner;

/* Ways of the packed provider, sensible ones first. */
static const bf_gemm_tile wide_tiles[] = {
    {64, 64, 16, 64},   {64, 64, 16, 128},  {64, 64, 16, 256},   {128, 64, 16, 128}, {64, 128, 16, 128},
    {32, 64, 16, 64},   {64, 32, 16, 64},   {128, 128, 16, 256}, {32, 32, 16, 64},   {128, 128, 8, 256},
    {64, 64, 32, 256},  {32, 32, 32, 64},   {64, 64, 8, 64},     {64, 64, 32, 64},   {128, 64, 16, 256},
    {64, 128, 16, 256}, {32, 128, 16, 128}, {128, 32, 16, 128},  {128, 64, 8, 128},  {64, 128, 8, 128}};
static const bf_gemm_tile cpu_tiles[] = {{16, 12, 0, 0}, {64, 12, 0, 0}, {32, 6, 0, 0},  {32, 24, 0, 0}, {8, 12, 0, 0},
                                         {16, 6, 0, 0},  {64, 6, 0, 0},  {16, 24, 0, 0}, {32, 4, 0, 0},  {8, 24, 0, 0}};

static double left(const tuner *t, double share)
{
    return share * t->seconds - (bf_seconds() - t->start);
}

/* May one more way be tried within this share of the time? */
static bool go_on(tuner *t, double share)
{
    const double used = bf_seconds() - t->start;
    const bfncl_progress p = {.phase = "tuning",
                              .done = (uint64_t)used,
                              .total = (uint64_t)ceil(BF_MAX(t->seconds, used + 1)),
                              .eta = BF_MAX(t->seconds - used, 0),
                              .loss = NAN,
                              .lr = NAN,
                              .grad_norm = NAN,
                              .step_ms = NAN};
    if (!t->stopped && t->o->progress != NULL) t->stopped = !t->o->progress(t->o->user, &p);
    return !t->stopped && left(t, share) > 0;
}

/* GFLOP/s of a class done in one way, of the fastest run; 0 when it is not taken or wrong. */
static double measure(tuner *t, int class, const bf_gemm_how *how)
{
    const bf_gemm g = bf_tune_class_product(class);
    bf_bench_times times = {0};
    bf_err err = {0};
    bf_ctx_force_gemm(t->ctx, how);
    t->r->tried++;
    bf_status st = BF_OK;
    if (t->product[class] == NULL) st = bf_product_new(t->ctx, &g, &t->product[class], &err);
    if (st == BF_OK) st = bf_product_prepare(t->product[class], &err);
    if (st == BF_OK) st = bf_product_check(t->product[class], &err);
    if (st == BF_OK) st = bf_bench_time(t->ctx, bf_product_cmds(t->product[class]), ROW_SECONDS, &times, &err);
    bf_ctx_force_gemm(t->ctx, NULL);
    if (st == BF_OK) return 2e-9 * g.m * g.n * (double)g.k * g.batch / times.least;
    if (st == BF_DEVICE)
        t->r->wrong++;
    else
        t->r->fails++;
    bf_log(st == BF_DEVICE ? BFNCL_LOG_WARN : BFNCL_LOG_DEBUG, "not taken: %s", err.message);
    return 0;
}

/* Keeps a way of a class if it is faster than the present one ever was, when both are measured in turn once more: a
 * machine drifts. */
static void keep_if_faster(tuner *t, int class, const bf_gemm_how *how, double gflops)
{
    bf_tune_row *row = &t->tune.rows[class];
    if (gflops <= GAIN * row->gflops) return;
    row->gflops = BF_MAX(row->gflops, measure(t, class, &row->how));
    gflops = measure(t, class, how);
    if (row->how.provider == bf_ctx_gemm(t->ctx) && row->how.tile.m == 0) row->default_gflops = row->gflops;
    if (gflops <= GAIN * row->gflops) return;
    row->gflops = gflops;
    row->how = *how;
}

/* Every class in one way, as long as there is time. */
static void try_way(tuner *t, const bf_gemm_how *how, double share)
{
    for (int i = 0; i < BF_TUNE_CLASSES && go_on(t, share); i++) {
        if (t->tune.rows[i].gflops <= 0) continue; /* without a default to compare with */
        keep_if_faster(t, i, how, measure(t, i, how));
    }
}

/* The default of every class; what there is no time for keeps it without a row. */
static void measure_defaults(tuner *t)
{
    const bf_gemm_how how = {.provider = bf_ctx_gemm(t->ctx)};
    for (int i = 0; i < BF_TUNE_CLASSES && go_on(t, 1); i++) {
        const double gflops = measure(t, i, &how);
        t->tune.rows[i] = (bf_tune_row){.how = how, .gflops = gflops, .default_gflops = gflops};
    }
}

static void try_tiles(tuner *t, double share)
{
    const bool cpu = bf_ctx_class(t->ctx) == BF_CLASS_CPU;
    const bf_gemm_tile *tiles = cpu ? cpu_tiles : wide_tiles;
    const size_t n = cpu ? BF_COUNT(cpu_tiles) : BF_COUNT(wide_tiles);
    for (size_t i = 0; i < n && go_on(t, share); i++) {
        const bf_gemm_how how = {.provider = BF_GEMM_PACKED, .tile = tiles[i]};
        if (bf_gemm_tile_ok(t->ctx, &tiles[i])) try_way(t, &how, share);
    }
}

/* Parameters of one kernel of CLBlast: random ones and neighbours of the best in turn, on one class. */
static void search_clblast(tuner *t, bf_clblast_kernel kernel, int class, double share)
{
    const bf_gemm_how how = {.provider = BF_GEMM_CLBLAST};
    size_t best[BF_CLBLAST_PARAMS], value[BF_CLBLAST_PARAMS];
    uint64_t random = 1 + (uint64_t)kernel;
    double fastest = measure(t, class, &how);
    bool found = false, changed = false;
    bf_err err = {0};
    for (int i = 0; go_on(t, share); i++) {
        if (!bf_clblast_draw(t->ctx, kernel, found && i % 2 ? best : NULL, &random, value)) break;
        if (bf_clblast_override(t->ctx, kernel, value, &err) != BF_OK) break;
        changed = true;
        const double gflops = measure(t, class, &how);
        if (gflops <= GAIN * fastest) continue;
        fastest = gflops;
        found = true;
        memcpy(best, value, sizeof best);
    }
    if (found && bf_clblast_override(t->ctx, kernel, best, &err) == BF_OK) {
        t->tune.clblast.set = t->tune.clblast.has[kernel] = true;
        memcpy(t->tune.clblast.value[kernel], best, sizeof best);
    } else if (changed) {
        bf_log(BFNCL_LOG_DEBUG, "CLBlast: its own parameters of %s are best", bf_clblast_kernel_name(kernel));
    }
}

/* Both kernels; then, with what was found, every class anew: a stop in between leaves CLBlast's own parameters. */
static void tune_clblast(tuner *t)
{
    const bf_gemm_how how = {.provider = BF_GEMM_CLBLAST};
    const bf_gemm large = {.m = 2048, .n = 768, .k = 768, .batch = 1},
                  small = {.m = 384, .n = 384, .k = 384, .batch = 1};
    const bf_tune before = t->tune;
    search_clblast(t, BF_CLBLAST_XGEMM, bf_tune_class(&large), 0.7);
    search_clblast(t, BF_CLBLAST_DIRECT, bf_tune_class(&small), 0.9);
    for (int i = 0; i < BF_TUNE_CLASSES && t->tune.clblast.set; i++) {
        bf_tune_row *row = &t->tune.rows[i];
        if (row->gflops <= 0) continue;
        if (!go_on(t, INFINITY)) {
            t->tune = before;
            return;
        }
        const double gflops = measure(t, i, &how);
        if (row->how.provider == BF_GEMM_CLBLAST)
            row->gflops = gflops; /* 0: only its old parameters were right; the row goes */
        else
            keep_if_faster(t, i, &how, gflops);
    }
    bool used = false;
    for (int i = 0; i < BF_TUNE_CLASSES; i++)
        used = used || (t->tune.rows[i].gflops > 0 && t->tune.rows[i].how.provider == BF_GEMM_CLBLAST);
    if (!used) t->tune.clblast = before.clblast;
}

static void search(tuner *t)
{
    const bf_gemm_how other = {.provider = bf_ctx_gemm(t->ctx) == BF_GEMM_CLBLAST ? BF_GEMM_PACKED : BF_GEMM_CLBLAST};
    const double share = t->clblast ? 0.5 : 1;
    measure_defaults(t);
    if (t->packed && t->clblast) try_way(t, &other, share);
    if (t->packed) try_tiles(t, share);
    if (t->clblast && go_on(t, 1)) tune_clblast(t);
}

/* Appends to the text of parameters, cut to its size. */
static void append(char text[1024], const char *name, const char *end, size_t value, bool number)
{
    const size_t used = strlen(text);
    if (number)
        snprintf(text + used, 1024 - used, " %s %zu%s", name, value, end);
    else
        snprintf(text + used, 1024 - used, "%s%s", name, end);
}

static void describe(const bf_tune *tune, bfncl_tune_result *r)
{
    for (int i = 0; i < BF_TUNE_CLASSES; i++) {
        const bf_tune_row *row = &tune->rows[i];
        const bf_gemm g = bf_tune_class_product(i);
        bfncl_tune_row *out = &r->rows[r->n_rows];
        if (row->gflops <= 0) continue;
        bf_tune_class_name(i, out->name);
        out->shape = (bfncl_gemm_shape){.m = g.m, .n = g.n, .k = g.k, .batch = g.batch};
        snprintf(out->shape.trans, sizeof out->shape.trans, "%c%c", g.trans_a ? 't' : 'n', g.trans_b ? 't' : 'n');
        snprintf(out->provider, sizeof out->provider, "%s",
                 row->how.provider == BF_GEMM_CLBLAST ? "clblast" : "packed");
        memcpy(out->tile, (const int[]){row->how.tile.m, row->how.tile.n, row->how.tile.k, row->how.tile.group},
               sizeof out->tile);
        out->gflops = row->gflops;
        out->default_gflops = row->default_gflops;
        r->n_rows++;
    }
    for (int k = 0; k < BF_CLBLAST_KERNELS; k++) {
        const char *name;
        if (!tune->clblast.has[k]) continue;
        if (r->clblast[0] != '\0') append(r->clblast, "; ", "", 0, false);
        append(r->clblast, bf_clblast_kernel_name((bf_clblast_kernel)k), ":", 0, false);
        for (int i = 0; (name = bf_clblast_param_name((bf_clblast_kernel)k, i)) != NULL; i++)
            append(r->clblast, name, "", tune->clblast.value[k][i], true);
    }
    snprintf(r->time, sizeof r->time, "%s", tune->time);
    snprintf(r->id, sizeof r->id, "%08x", tune->id);
}

/* The device without its table, and where that is or goes. */
static bf_status open_device(const bfncl_tune_options *o, bf_ctx **ctx, bfncl_tune_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_ctx_options options = {.selector = o->device.selector,
                                    .selector_from = o->device.selector_from,
                                    .gemm = BF_GEMM_AUTO,
                                    .kernel_dir = o->device.kernel_dir,
                                    .memory_limit = o->device.memory_limit,
                                    .untuned = true};
    *r = (bfncl_tune_result){.n_rows = 0};
    BF_TRY(bf_ctx_open(&options, ctx, err));
    snprintf(r->device, sizeof r->device, "%s", bf_ctx_name(*ctx));
    snprintf(r->driver, sizeof r->driver, "%s", bf_ctx_driver(*ctx));
    if (o->table != NULL) {
        BF_CHECK(strlen(o->table) < sizeof r->table, BF_USAGE, "the path %.80s... is too long", o->table);
        snprintf(r->table, sizeof r->table, "%s", o->table);
    } else {
        bf_tune_path(*ctx, r->table);
    }
    if (r->table[0] == '\0') {
        st = bf_fail(err, BF_USAGE, "there is no folder for the table: neither XDG_CONFIG_HOME nor HOME is set");
        bf_hint(err, "name a file with --output, or in BFNCL_TUNE");
    }
out:
    return st;
}

void bfncl_tune_defaults(bfncl_tune_options *o)
{
    *o = (bfncl_tune_options){.seconds = DEFAULT_SECONDS};
}

bfncl_status bfncl_tune(const bfncl_tune_options *o, bfncl_tune_result *result, bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    tuner *t = NULL;
    bfncl_tune_result *r = NULL;
    const char *gemm = o->device.gemm != NULL ? o->device.gemm : "auto";
    BF_NEW(t, 1);
    BF_NEW(r, 1);
    t->o = o;
    t->r = r;
    t->seconds = o->seconds > 0 ? o->seconds : DEFAULT_SECONDS;
    t->packed = strcmp(gemm, "clblast") != 0;
    BF_CHECK(!t->packed || strcmp(gemm, "packed") == 0 || strcmp(gemm, "auto") == 0, BF_USAGE,
             "no matrix product provider '%.40s': packed, clblast or auto", gemm);
    BF_TRY(open_device(o, &t->ctx, r, err));
    /* On a processor CLBlast is at most half as fast and compiles for long: only when it is asked for. */
    t->clblast = strcmp(gemm, "clblast") == 0 || (strcmp(gemm, "auto") == 0 && bf_ctx_gemm(t->ctx) == BF_GEMM_CLBLAST);
    t->start = bf_seconds();
    search(t);
    BF_TRY(bf_tune_save(t->ctx, r->table, &t->tune, err));
    describe(&t->tune, r);
    if (t->stopped) st = bf_fail(err, BF_STOPPED, "stopped; what was found so far is in %s", r->table);
out:
    if (t != NULL) {
        for (int i = 0; i < BF_TUNE_CLASSES; i++) bf_product_free(t->product[i]);
        bf_ctx_close(t->ctx);
    }
    if (result != NULL && r != NULL) *result = *r;
    free(r);
    free(t);
    return st;
}

bfncl_status bfncl_tune_read(const bfncl_tune_options *o, bfncl_tune_result *r, bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    bf_ctx *ctx = NULL;
    bf_tune *tune = NULL;
    BF_NEW(tune, 1);
    BF_TRY(open_device(o, &ctx, r, err));
    st = bf_tune_load(ctx, r->table, tune, err);
    if (st != BF_OK) bf_hint(err, "`bfncl tune` writes the table of a device");
    BF_TRY(st);
    describe(tune, r);
out:
    bf_ctx_close(ctx);
    free(tune);
    return st;
}

bfncl_status bfncl_tune_reset(const bfncl_tune_options *o, bfncl_tune_result *r, bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    bf_ctx *ctx = NULL;
    BF_TRY(open_device(o, &ctx, r, err));
    if (unlink(r->table) != 0) {
        BF_CHECK(errno == ENOENT, BF_RUNTIME, "%s: cannot be removed: %s", r->table, strerror(errno));
        r->table[0] = '\0';
    }
out:
    bf_ctx_close(ctx);
    return st;
}
