/* Tables of tuned matrix products: classes, place, file. device/tune.h */
#include "device/tune.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/size.h"
#include "device/cl.h"

#define FORMAT "bfncl tune"
#define VERSION 1
#define MAX_FILE (UINT64_C(256) << 10)
#define NARROW 96
#define SMALL (UINT64_C(1) << 18)
#define LONG_SUM 1024

/* ---- classes ----------------------------------------------------------------------------------------------------- */

enum { BATCHED, NARROW_C, FLAT_C, SMALL_C, LARGE_C, KINDS };
static const char *const trans_names[] = {"nn", "nt", "tn"};
static const char *const kind_names[KINDS] = {"batched", "narrow", "flat", "small", "large"};
static const char *const sum_names[] = {"short", "long"};

int bf_tune_class(const bf_gemm *g)
{
    const int trans = g->trans_a ? 2 : g->trans_b;
    const bool small = (uint64_t)g->m * (uint64_t)g->n < SMALL;
    const int kind = g->batch > 1     ? BATCHED
                     : g->n <= NARROW ? NARROW_C
                     : g->m <= NARROW ? FLAT_C
                     : small          ? SMALL_C
                                      : LARGE_C;
    return (trans * KINDS + kind) * 2 + (g->k >= LONG_SUM);
}

void bf_tune_class_name(int class, char name[24])
{
    snprintf(name, 24, "%s-%s-%s", trans_names[class / (2 * KINDS)], kind_names[class / 2 % KINDS],
             sum_names[class % 2]);
}

bf_gemm bf_tune_class_product(int class)
{
    static const bf_gemm products[KINDS][2] = {
        [BATCHED] = {{.m = 256, .n = 256, .k = 64, .batch = 64}, {.m = 128, .n = 128, .k = 1024, .batch = 8}},
        [NARROW_C] = {{.m = 8192, .n = 64, .k = 576}, {.m = 576, .n = 64, .k = 8192}},
        [FLAT_C] = {{.m = 32, .n = 768, .k = 256}, {.m = 32, .n = 768, .k = 3072}},
        [SMALL_C] = {{.m = 384, .n = 384, .k = 384}, {.m = 384, .n = 384, .k = 2048}},
        [LARGE_C] = {{.m = 2048, .n = 768, .k = 768}, {.m = 768, .n = 3072, .k = 2048}}};
    bf_gemm g = products[class / 2 % KINDS][class % 2];
    g.batch = BF_MAX(g.batch, 1);
    g.trans_a = class / (2 * KINDS) == 2;
    g.trans_b = class / (2 * KINDS) == 1;
    return g;
}

/* ---- place ------------------------------------------------------------------------------------------------------- */

static const char *class_text(const bf_ctx *ctx)
{
    return ctx->cls == BF_CLASS_CPU ? "cpu" : "wide";
}

void bf_tune_path(const bf_ctx *ctx, char path[1024])
{
    const char *given = getenv("BFNCL_TUNE"), *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char name[41];
    uint32_t crc = bf_crc32c(0, ctx->platform, strlen(ctx->platform) + 1);
    size_t n = 0;
    path[0] = '\0';
    if (given != NULL) {
        if (strlen(given) < 1024) strcpy(path, given);
        return;
    }
    crc = bf_crc32c(crc, ctx->name, strlen(ctx->name) + 1);
    crc = bf_crc32c(crc, class_text(ctx), strlen(class_text(ctx)));
    for (const char *c = ctx->name; *c != '\0' && n + 1 < sizeof name; c++) {
        const bool word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        if (word || (n > 0 && name[n - 1] != '-')) name[n++] = word ? *c : '-';
    }
    name[n] = '\0';
    if (xdg != NULL && xdg[0] == '/' && strlen(xdg) < 900)
        snprintf(path, 1024, "%s/bfncl/tune-%s-%08x.json", xdg, name, crc);
    else if (home != NULL && home[0] == '/' && strlen(home) < 900)
        snprintf(path, 1024, "%s/.config/bfncl/tune-%s-%08x.json", home, name, crc);
}

/* ---- file -------------------------------------------------------------------------------------------------------- */

/* CRC of the kernel as this context compiles it: sizes are measured and checked for one text only. */
static bf_status kernel_crc(const bf_ctx *ctx, char out[9], bf_err *err)
{
    bf_status st = BF_OK;
    char *source = NULL;
    BF_TRY(bf_kernel_source(ctx, "gemm.cl", &source, err));
    snprintf(out, 9, "%08x", bf_crc32c(0, source, strlen(source)));
out:
    free(source);
    return st;
}

/* Of all members but "crc". */
static bf_status content_crc(const json_t *j, uint32_t *out, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *copy = json_copy((json_t *)j);
    char *text = NULL;
    if (copy != NULL) {
        json_object_del(copy, "crc");
        text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    }
    json_decref(copy);
    BF_CHECK(text != NULL, BF_RUNTIME, "out of memory: a table of tuned products");
    *out = bf_crc32c(0, text, strlen(text));
out:
    free(text);
    return st;
}

static bool is_text(const json_t *j, const char *key, const char *want)
{
    const char *text = json_string_value(json_object_get(j, key));
    return text != NULL && strcmp(text, want) == 0;
}

static bool read_row(const bf_ctx *ctx, const json_t *j, bf_tune *t)
{
    const json_t *tile = json_object_get(j, "tile"), *gflops = json_object_get(j, "gflops");
    const json_t *plain = json_object_get(j, "default_gflops");
    bf_tune_row row = {.gflops = json_number_value(gflops), .default_gflops = json_number_value(plain)};
    int *const sizes[] = {&row.how.tile.m, &row.how.tile.n, &row.how.tile.k, &row.how.tile.group};
    char name[24];
    row.how.provider = is_text(j, "provider", "clblast") ? BF_GEMM_CLBLAST : BF_GEMM_PACKED;
    if (row.how.provider == BF_GEMM_PACKED && !is_text(j, "provider", "packed")) return false;
    if (!json_is_number(gflops) || !json_is_number(plain) || !(row.gflops > 0) || json_array_size(tile) != 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        const json_int_t v = json_integer_value(json_array_get(tile, i));
        if (v < 0 || v > 4096) return false;
        *sizes[i] = (int)v;
    }
    if (!bf_gemm_tile_ok(ctx, &row.how.tile)) return false;
    for (int i = 0; i < BF_TUNE_CLASSES; i++) {
        bf_tune_class_name(i, name);
        if (!is_text(j, "class", name)) continue;
        t->rows[i] = row;
        return true;
    }
    return false;
}

static bool read_clblast(const bf_ctx *ctx, const json_t *all, bf_clblast_tune *c)
{
    size_t known = 0;
    for (int k = 0; k < BF_CLBLAST_KERNELS; k++) {
        const json_t *j = json_object_get(all, bf_clblast_kernel_name((bf_clblast_kernel)k));
        const char *name;
        if (j == NULL) continue;
        for (int i = 0; (name = bf_clblast_param_name((bf_clblast_kernel)k, i)) != NULL; i++) {
            const json_t *v = json_object_get(j, name);
            if (!json_is_integer(v) || json_integer_value(v) < 0) return false;
            c->value[k][i] = (size_t)json_integer_value(v);
        }
        if (!bf_clblast_legal(ctx, (bf_clblast_kernel)k, c->value[k])) return false;
        c->has[k] = c->set = true;
        known++;
    }
    return json_is_object(all) && json_object_size(all) == known;
}

static bf_status read_table(const bf_ctx *ctx, const char *path, const json_t *j, bf_tune *t, bf_err *err)
{
    bf_status st = BF_OK;
    char kernels[9], crc[9];
    const json_t *rows = json_object_get(j, "rows");
    const char *when = json_string_value(json_object_get(j, "time"));
    BF_CHECK(is_text(j, "format", FORMAT) && json_integer_value(json_object_get(j, "version")) == VERSION, BF_FILE,
             "%s: not a table of tuned products that this program knows", path);
    BF_TRY(content_crc(j, &t->id, err));
    snprintf(crc, sizeof crc, "%08x", t->id);
    BF_CHECK(is_text(j, "crc", crc), BF_FILE, "%s: damaged: its contents do not have its checksum", path);
    BF_CHECK(is_text(j, "platform", ctx->platform) && is_text(j, "device", ctx->name) &&
                 is_text(j, "class", class_text(ctx)),
             BF_FILE, "%s: measured on another device than %s", path, ctx->name);
    BF_CHECK(is_text(j, "driver", ctx->driver), BF_FILE, "%s: measured with another driver than %s", path, ctx->driver);
    BF_TRY(kernel_crc(ctx, kernels, err));
    BF_CHECK(is_text(j, "kernels", kernels), BF_FILE, "%s: measured with other kernels than this version's", path);
    BF_CHECK(when != NULL && strlen(when) < sizeof t->time && json_is_array(rows), BF_FILE, "%s: damaged", path);
    strcpy(t->time, when);
    for (size_t i = 0; i < json_array_size(rows); i++)
        BF_CHECK(read_row(ctx, json_array_get(rows, i), t), BF_FILE, "%s: row %zu is not possible on %s", path, i + 1,
                 ctx->name);
    BF_CHECK(read_clblast(ctx, json_object_get(j, "clblast"), &t->clblast), BF_FILE,
             "%s: parameters of CLBlast that are not possible on %s", path, ctx->name);
out:
    return st;
}

bf_status bf_tune_load(const bf_ctx *ctx, const char *path, bf_tune *out, bf_err *err)
{
    bf_status st = BF_OK;
    void *text = NULL;
    size_t size;
    json_error_t why;
    json_t *j = NULL;
    *out = (bf_tune){.id = 0};
    BF_TRY(bf_file_read(path, MAX_FILE, &text, &size, err));
    j = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    BF_CHECK(j != NULL, BF_FILE, "%s: line %d: %s", path, why.line, why.text);
    BF_TRY(read_table(ctx, path, j, out, err));
out:
    json_decref(j);
    free(text);
    return st;
}

static json_t *rows_json(const bf_tune *t)
{
    json_t *rows = json_array();
    for (int i = 0; i < BF_TUNE_CLASSES; i++) {
        const bf_tune_row *r = &t->rows[i];
        const bf_gemm_tile *tile = &r->how.tile;
        char name[24];
        if (r->gflops <= 0) continue;
        bf_tune_class_name(i, name);
        json_array_append_new(rows, json_pack("{s:s,s:s,s:[i,i,i,i],s:f,s:f}", "class", name, "provider",
                                              r->how.provider == BF_GEMM_CLBLAST ? "clblast" : "packed", "tile",
                                              tile->m, tile->n, tile->k, tile->group, "gflops", r->gflops,
                                              "default_gflops", r->default_gflops));
    }
    return rows;
}

static json_t *clblast_json(const bf_clblast_tune *c)
{
    json_t *all = json_object();
    for (int k = 0; k < BF_CLBLAST_KERNELS; k++) {
        const char *name;
        json_t *j;
        if (!c->has[k]) continue;
        j = json_object();
        for (int i = 0; (name = bf_clblast_param_name((bf_clblast_kernel)k, i)) != NULL; i++)
            json_object_set_new(j, name, json_integer((json_int_t)c->value[k][i]));
        json_object_set_new(all, bf_clblast_kernel_name((bf_clblast_kernel)k), j);
    }
    return all;
}

/* The folder of `path` with the one above it. */
static void make_folder(const char *path)
{
    char part[1024];
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) return;
    snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
    char *above = strrchr(part, '/');
    if (above != NULL && above != part) {
        *above = '\0';
        mkdir(part, 0700); /* whether it worked shows when the file is written */
        *above = '/';
    }
    mkdir(part, 0700);
}

bf_status bf_tune_save(const bf_ctx *ctx, const char *path, bf_tune *t, bf_err *err)
{
    bf_status st = BF_OK;
    char kernels[9], crc[9], *text = NULL;
    json_t *j = NULL;
    const time_t now = time(NULL);
    struct tm utc;
    strftime(t->time, sizeof t->time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    BF_TRY(kernel_crc(ctx, kernels, err));
    j = json_pack("{s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "format", FORMAT, "version", VERSION, "platform",
                  ctx->platform, "device", ctx->name, "driver", ctx->driver, "class", class_text(ctx), "kernels",
                  kernels, "time", t->time, "rows", rows_json(t), "clblast", clblast_json(&t->clblast));
    BF_CHECK(j != NULL, BF_RUNTIME, "out of memory: a table of tuned products");
    BF_TRY(content_crc(j, &t->id, err));
    snprintf(crc, sizeof crc, "%08x", t->id);
    json_object_set_new(j, "crc", json_string(crc));
    text = json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    BF_CHECK(text != NULL, BF_RUNTIME, "out of memory: a table of tuned products");
    make_folder(path);
    BF_TRY(bf_file_write(path, text, strlen(text), err));
out:
    json_decref(j);
    free(text);
    return st;
}

/* ---- contexts ---------------------------------------------------------------------------------------------------- */

void bf_ctx_load_tune(bf_ctx *ctx)
{
    char path[1024];
    bf_err err = {0};
    bf_tune *t = NULL;
    struct stat s;
    bf_tune_path(ctx, path);
    if (path[0] == '\0' || (stat(path, &s) != 0 && errno == ENOENT)) return;
    bf_status st = bf_calloc(&t, 1, sizeof *t, &err);
    if (st == BF_OK) st = bf_tune_load(ctx, path, t, &err);
    for (int k = 0; k < BF_CLBLAST_KERNELS && st == BF_OK; k++)
        if (t->clblast.has[k]) st = bf_clblast_override(ctx, (bf_clblast_kernel)k, t->clblast.value[k], &err);
    if (st == BF_OK) {
        ctx->tune = t;
        bf_log(BFNCL_LOG_DEBUG, "matrix products as in %s", path);
        return;
    }
    free(t);
    bf_log(BFNCL_LOG_WARN, "%s; not used, `bfncl tune` measures anew", err.message);
}

void bf_ctx_drop_tune(bf_ctx *ctx)
{
    free(ctx->tune);
    ctx->tune = NULL;
}

void bf_ctx_gemm_text(const bf_ctx *ctx, char out[32])
{
    if (ctx->tune != NULL)
        snprintf(out, 32, "tuned %08x", ctx->tune->id);
    else
        snprintf(out, 32, "%s", ctx->gemm == BF_GEMM_CLBLAST ? "clblast" : "packed");
}
