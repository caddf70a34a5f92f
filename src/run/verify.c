/* The driver of verification: finds golden files, opens each, calls the replay of its kind, keeps the counts. */
#include "run/verify.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/size.h"
#include "io/json.h"
#include "run/model.h"

#ifndef BF_DATADIR
#define BF_DATADIR "/usr/local/share/bfncl" /* the Makefile passes DATADIR */
#endif

#define MAX_DEPTH 16
#define NOTE_ROOM 512
#define LIST_BYTES ((size_t)16 << 20)
#define LIST_VALUES 1000000

typedef bf_status (*replay_fn)(bf_verify *v, bf_err *err);

static const struct {
    const char *kind;
    replay_fn replay;
} replays[] = {
    {"continuous", bf_verify_real},
    {"discretised", bf_verify_real},
    {"discrete", bf_verify_discrete},
    {"tables", bf_verify_tables},
    {"network", bf_verify_network},
    {"adapters", bf_verify_adapters},
    {"embeddings", bf_verify_embeddings},
    {"molcraft network", bf_verify_molecule_network},
    {"training", bf_verify_training},
    {"checkpoint expectation", bf_verify_checkpoint},
    {"loader expectation", bf_verify_loader},
    {"molcraft pocket", bf_verify_pocket},
    {"molcraft ligand types", bf_verify_ligand_types},
    {"molcraft flow, updates and losses", bf_verify_hybrid},
    {"molcraft sampling", bf_verify_mol_sampling},
    {"molcraft clipping and learning rate", bf_verify_clipping},
    {"solver continuous", bf_verify_solver},
    {"solver categorical", bf_verify_solver},
    {"chembfn schedule and loss", bf_verify_chembfn},
};

/* A whole run. */
typedef struct run {
    const bfncl_verify_options *options;
    bfncl_verify_result *result;
    bf_ctx *ctx;
} run;

struct bf_verify {
    run *run;
    const char *path, *kind;
    bf_st *file;                 /* NULL for a list of parameters */
    json_t *floors, *row_floors; /* objects or NULL */
    unsigned compared, wrong, skipped;
    double error, tolerance; /* of the tensor that used most of its tolerance */
    char worst[BF_ST_MAX_NAME + 1];
    char note[NOTE_ROOM];
};

bf_ctx *bf_verify_ctx(const bf_verify *v)
{
    return v->run->ctx;
}

const bf_st *bf_verify_file(const bf_verify *v)
{
    return v->file;
}

const char *bf_verify_kind(const bf_verify *v)
{
    return v->kind;
}

static void say(const bf_verify *v, const bfncl_verify_line *line)
{
    if (v->run->options->on_line) v->run->options->on_line(v->run->options->user, line);
}

void bf_verify_skip(bf_verify *v, const char *what, const char *why)
{
    v->skipped++;
    v->run->result->skipped++;
    say(v, &(bfncl_verify_line){
               .path = v->path, .kind = bf_verify_kind(v), .tensor = what, .state = BFNCL_VERIFY_SKIPPED, .note = why});
}

/* ---- comparison ------------------------------------------------------------------------------------------------- */

/* The part of its tolerance that an error uses. */
static double share_used(double error, double tolerance)
{
    if (error == 0.0) return 0.0;
    return tolerance > 0.0 ? error / tolerance : INFINITY;
}

/* Counts one compared tensor. error, tolerance: of its worst element. */
static void record(bf_verify *v, const char *name, bool passed, double error, double tolerance, const char *note)
{
    v->compared++;
    v->run->result->tensors++;
    if (!passed) {
        if (v->wrong == 0) snprintf(v->note, sizeof v->note, "%s%s%s", name, note[0] ? ": " : "", note);
        v->wrong++;
    }
    if (v->worst[0] == '\0' || share_used(error, tolerance) > share_used(v->error, v->tolerance)) {
        v->error = error;
        v->tolerance = tolerance;
        snprintf(v->worst, sizeof v->worst, "%s", name);
    }
    say(v, &(bfncl_verify_line){.path = v->path,
                                .kind = bf_verify_kind(v),
                                .tensor = name,
                                .state = passed ? BFNCL_VERIFY_PASSED : BFNCL_VERIFY_FAILED,
                                .error = error,
                                .tolerance = tolerance,
                                .note = note});
}

/* One tolerance per element when `each`, else the one in `tolerance`. */
static void compare(bf_verify *v, const char *name, const float *mine, const float *expected, const double *tolerance,
                    bool each, const uint8_t *mask, uint64_t n)
{
    double worst_error = 0.0, worst_tolerance = n > 0 ? tolerance[0] : 0.0;
    const char *note = "";
    bool passed = true;
    for (uint64_t i = 0; i < n; i++) {
        const double room = tolerance[each ? i : 0];
        double error = fabs((double)mine[i] - (double)expected[i]);
        if (mask != NULL && mask[i] == 0) continue;
        if (!isfinite(error) || !isfinite(room)) {
            error = INFINITY;
            passed = false; /* an infinite stored value makes its own tolerance infinite */
            note = isfinite(expected[i]) ? "the computed value is not finite" : "the stored value is not finite";
        }
        if (!(error <= room)) passed = false;
        if (share_used(error, room) > share_used(worst_error, worst_tolerance)) {
            worst_error = error;
            worst_tolerance = room;
        }
    }
    record(v, name, passed, worst_error, worst_tolerance, note);
}

void bf_verify_fact(bf_verify *v, const char *name, bool holds, const char *note)
{
    record(v, name, holds, holds ? 0.0 : INFINITY, 0.0, holds ? "" : note);
}

void bf_verify_array(bf_verify *v, const char *name, const float *mine, const float *expected, const double *tolerance,
                     uint64_t n)
{
    compare(v, name, mine, expected, tolerance, true, NULL, n);
}

double bf_verify_floor(const bf_verify *v, const char *name)
{
    const json_t *pair = json_object_get(v->floors, name);
    return json_number_value(json_array_get(pair, 0));
}

/* The stored tensor, or NULL after recording why it cannot be compared. */
static float *expected_values(bf_verify *v, const char *name, uint64_t n)
{
    bf_err err;
    float *values = NULL;
    uint64_t stored = 0;
    char note[NOTE_ROOM];
    if (bf_verify_read(v, name, &values, &stored, &err) != BF_OK) {
        record(v, name, false, INFINITY, 0.0, err.message);
        return NULL;
    }
    if (stored != n) {
        snprintf(note, sizeof note, "%llu elements stored, %llu computed", (unsigned long long)stored,
                 (unsigned long long)n);
        record(v, name, false, INFINITY, 0.0, note);
        free(values);
        return NULL;
    }
    return values;
}

void bf_verify_within(bf_verify *v, const char *name, const float *mine, uint64_t n, double tolerance,
                      const uint8_t *mask)
{
    float *expected = expected_values(v, name, n);
    if (expected) compare(v, name, mine, expected, &tolerance, false, mask, n);
    free(expected);
}

void bf_verify_tolerances(const bf_verify *v, const char *name, const float *expected, uint64_t n, bf_verify_rule rule,
                          double *out)
{
    const double per_floor = rule == BF_VERIFY_GRADIENT ? 30.0 : 10.0,
                 per_max = rule == BF_VERIFY_GRADIENT ? 1e-5 : 2e-6;
    const json_t *rows = json_object_get(v->row_floors, name);
    const size_t n_rows = json_array_size(rows);
    const bool by_row = n_rows > 0 && n % n_rows == 0;
    const double floor_all = bf_verify_floor(v, name);
    double top = 0.0;
    for (uint64_t i = 0; i < n; i++) top = fmax(top, fabs((double)expected[i]));
    for (uint64_t i = 0; i < n; i++) {
        const double at = by_row ? json_number_value(json_array_get(rows, (size_t)(i / (n / n_rows)))) : floor_all;
        out[i] = per_floor * at + per_max * top;
    }
}

void bf_verify_tensor(bf_verify *v, const char *name, const float *mine, uint64_t n, bf_verify_rule rule)
{
    float *expected = expected_values(v, name, n);
    double *tolerance = malloc((size_t)n * sizeof *tolerance + 1);
    if (expected && tolerance) {
        bf_verify_tolerances(v, name, expected, n, rule, tolerance);
        compare(v, name, mine, expected, tolerance, true, NULL, n);
    } else if (expected) {
        record(v, name, false, INFINITY, 0.0, "out of memory");
    }
    free(expected);
    free(tolerance);
}

bf_status bf_verify_read(const bf_verify *v, const char *name, float **out, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *t = NULL;
    float *values = NULL;
    *out = NULL;
    BF_TRY(bf_st_need(v->file, name, &t, err));
    BF_NEW(values, t->count);
    BF_TRY(bf_st_read_f32(v->file, t, values, err));
    if (n) *n = t->count;
    *out = values;
    values = NULL;
out:
    free(values);
    return st;
}

bf_status bf_verify_scalar(const bf_verify *v, const char *name, double *out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *t = NULL;
    double *values = NULL;
    BF_TRY(bf_st_need(v->file, name, &t, err));
    BF_CHECK(t->count > 0, BF_FILE, "%s: tensor '%s' is empty", v->path, name);
    BF_NEW(values, t->count);
    BF_TRY(bf_st_read_f64(v->file, t, values, err));
    *out = values[0];
out:
    free(values);
    return st;
}

bf_status bf_verify_beside(const bf_verify *v, const char *end, char out[BF_VERIFY_PATH], bf_err *err)
{
    static const char expected_end[] = "_expected.safetensors";
    bf_status st = BF_OK;
    const size_t n = strlen(v->path), m = strlen(expected_end);
    BF_CHECK(n > m && strcmp(v->path + n - m, expected_end) == 0, BF_FILE,
             "%s: an expectation is called NAME%s, and what it is about NAME...", v->path, expected_end);
    const int length = snprintf(out, BF_VERIFY_PATH, "%.*s%s", (int)(n - m), v->path, end);
    BF_CHECK(length < BF_VERIFY_PATH, BF_FILE, "%s: path too long", v->path);
out:
    return st;
}

/* ---- one file --------------------------------------------------------------------------------------------------- */

static bf_status parse_floors(const bf_verify *v, const char *key, json_t **out, bf_err *err)
{
    const char *text = bf_st_meta_get(v->file, key);
    *out = NULL;
    if (text == NULL) return BF_OK;
    return bf_json_parse(v->path, text, strlen(text), 1000000, out, err);
}

static replay_fn find_replay(const char *kind)
{
    for (size_t i = 0; i < BF_COUNT(replays); i++) {
        if (strcmp(replays[i].kind, kind) == 0) return replays[i].replay;
    }
    return NULL;
}

static void say_file(bf_verify *v, bfncl_verify_state state, const char *note)
{
    bfncl_verify_result *r = v->run->result;
    unsigned *count = state == BFNCL_VERIFY_PASSED ? &r->passed : &r->failed;
    if (state == BFNCL_VERIFY_SKIPPED) count = &r->skipped;
    ++*count;
    say(v, &(bfncl_verify_line){.path = v->path,
                                .kind = v->kind,
                                .state = state,
                                .error = v->error,
                                .tolerance = v->tolerance,
                                .worst = v->worst[0] ? v->worst : NULL,
                                .compared = v->compared,
                                .wrong = v->wrong,
                                .note = note});
}

/* Says how a file came out whose replay returned `st`. Only failures of the machine (not of the file) are returned. */
static bf_status conclude(bf_verify *v, bf_status st, bf_err *why, bf_err *err)
{
    if (st == BF_DEVICE || st == BF_RUNTIME) {
        *err = *why;
        bf_err_context(err, "%s", v->path);
        return st;
    }
    if (st == BF_OK && v->compared == 0 && v->skipped > 0) {
        v->run->result->skipped -= v->skipped; /* its parts are counted as the file */
        say_file(v, BFNCL_VERIFY_SKIPPED, "nothing in it is implemented yet");
        return BF_OK;
    }
    if (st == BF_OK && v->compared == 0) {
        st = BF_FILE;
        snprintf(why->message, sizeof why->message, "nothing in it could be compared");
    }
    const bool passed = st == BF_OK && v->wrong == 0;
    say_file(v, passed ? BFNCL_VERIFY_PASSED : BFNCL_VERIFY_FAILED, st != BF_OK ? why->message : v->note);
    return BF_OK;
}

/* A file that cannot be opened: an error when the user gave this very path, else one more failure. */
static bf_status unreadable(bf_verify *v, bool named, const bf_err *why, bf_err *err)
{
    if (!named) {
        say_file(v, BFNCL_VERIFY_FAILED, why->message);
        return BF_OK;
    }
    *err = *why;
    return why->status;
}

/* Replays a file of vectors. named: the user gave this very path, so a file that is no golden file is an error; in a
 * folder it is passed over. */
static bf_status verify_vectors(run *r, const char *path, bool named, bf_err *err)
{
    bf_status st = BF_OK;
    bf_verify v = {.run = r, .path = path};
    bf_err why = {0};
    if (bf_st_open(path, &v.file, &why) != BF_OK) return unreadable(&v, named, &why, err);
    v.kind = bf_st_meta_get(v.file, "kind");
    if (v.kind == NULL) {
        if (named) st = bf_fail(err, BF_FILE, "%s: not a golden file: its metadata have no 'kind'", path);
        goto out;
    }
    const replay_fn replay = find_replay(v.kind);
    if (replay == NULL) {
        snprintf(v.note, sizeof v.note, "kind '%s' is not implemented yet", v.kind);
        say_file(&v, BFNCL_VERIFY_SKIPPED, v.note);
        goto out;
    }
    st = parse_floors(&v, "noise_floor", &v.floors, &why);
    if (st == BF_OK) st = parse_floors(&v, "noise_floor_rows", &v.row_floors, &why);
    if (st == BF_OK) st = replay(&v, &why);
    st = conclude(&v, st, &why, err);
out:
    json_decref(v.floors);
    json_decref(v.row_floors);
    bf_st_close(v.file);
    return st;
}

/* A JSON file: the list of parameters of a network, or (in a folder) something else that is passed over. */
static bf_status verify_list(run *r, const char *path, bool named, bf_err *err)
{
    bf_status st = BF_OK;
    bf_verify v = {.run = r, .path = path, .kind = "shapes"};
    bf_err why = {0};
    json_t *root = NULL;
    void *text = NULL;
    size_t n = 0;
    st = bf_file_read(path, LIST_BYTES, &text, &n, &why);
    if (st == BF_OK) st = bf_json_parse(path, text, n, LIST_VALUES, &root, &why);
    if (st != BF_OK) {
        st = unreadable(&v, named, &why, err);
        goto out;
    }
    if (!json_is_array(json_object_get(root, "tensors"))) {
        if (named) st = bf_fail(err, BF_FILE, "%s: not a golden file: it has no list of tensors", path);
        goto out;
    }
    st = conclude(&v, bf_verify_shapes(&v, root, &why), &why, err);
out:
    json_decref(root);
    free(text);
    return st;
}

/* ---- finding files ---------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a folder, sorted; the caller frees each and the array. */
static bf_status list_folder(const char *path, char ***names, size_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    size_t room = 0;
    DIR *dir = opendir(path);
    *names = NULL;
    *n = 0;
    BF_CHECK(dir != NULL, BF_FILE, "%s: cannot read this folder", path);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] == '.') continue;
        if (*n == room) {
            room = room ? 2 * room : 32;
            char **more = realloc(*names, room * sizeof **names);
            BF_CHECK(more != NULL, BF_RUNTIME, "out of memory");
            *names = more;
        }
        (*names)[*n] = strdup(e->d_name);
        BF_CHECK((*names)[*n] != NULL, BF_RUNTIME, "out of memory");
        ++*n;
    }
    if (*n > 1) qsort(*names, *n, sizeof **names, by_name);
out:
    if (dir) closedir(dir);
    return st;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bf_status verify_path(run *r, const char *path, int depth, bf_err *err);

static bf_status verify_folder(run *r, const char *path, int depth, bf_err *err)
{
    bf_status st = BF_OK;
    char **names = NULL, inner[BF_VERIFY_PATH];
    size_t n = 0;
    BF_CHECK(depth < MAX_DEPTH, BF_FILE, "%s: folders nested deeper than %d", path, MAX_DEPTH);
    BF_TRY(list_folder(path, &names, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], "bad") == 0) continue; /* damaged files are for the loaders' own tests */
        BF_CHECK(snprintf(inner, sizeof inner, "%s/%s", path, names[i]) < (int)sizeof inner, BF_FILE,
                 "%s: path too long", path);
        BF_TRY(verify_path(r, inner, depth + 1, err));
    }
out:
    for (size_t i = 0; i < n; i++) free(names[i]);
    free(names);
    return st;
}

static bf_status verify_path(run *r, const char *path, int depth, bf_err *err)
{
    bf_status st = BF_OK;
    struct stat info;
    BF_CHECK(stat(path, &info) == 0, BF_FILE, "%s: no such file or folder", path);
    if (S_ISDIR(info.st_mode)) return verify_folder(r, path, depth, err);
    if (ends_with(path, ".json")) return verify_list(r, path, depth == 0, err);
    if (depth == 0 || ends_with(path, ".safetensors")) return verify_vectors(r, path, depth == 0, err);
out:
    return st;
}

/* $BFNCL_DATADIR/golden, the installed set, or that of a source tree the program is run from. */
static bf_status installed_set(char path[BF_VERIFY_PATH], bf_err *err)
{
    bf_status st = BF_OK;
    struct stat info;
    const char *data = getenv("BFNCL_DATADIR");
    const char *const places[] = {data ? data : BF_DATADIR, BF_DATADIR};
    for (size_t i = 0; i < BF_COUNT(places); i++) {
        snprintf(path, BF_VERIFY_PATH, "%s/golden", places[i]);
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return BF_OK;
    }
    snprintf(path, BF_VERIFY_PATH, "tests/golden/installed");
    BF_CHECK(stat(path, &info) == 0 && S_ISDIR(info.st_mode), BF_FILE,
             "no golden files: neither %s/golden nor tests/golden/installed exists", data ? data : BF_DATADIR);
out:
    if (st != BF_OK) bf_hint(err, "name a file or folder, set BFNCL_DATADIR, or run make install");
    return st;
}

void bfncl_verify_defaults(bfncl_verify_options *o)
{
    *o = (bfncl_verify_options){0};
}

bf_status bf_verify_run(bf_ctx *ctx, const bfncl_verify_options *o, bfncl_verify_result *out, bf_err *err)
{
    bf_status st = BF_OK;
    run r = {.options = o, .result = out, .ctx = ctx};
    char path[BF_VERIFY_PATH];
    *out = (bfncl_verify_result){0};
    snprintf(out->device, sizeof out->device, "%s", bf_ctx_name(ctx));
    if (o->n_paths == 0) {
        BF_TRY(installed_set(path, err));
        BF_TRY(verify_path(&r, path, 0, err));
    }
    for (size_t i = 0; i < o->n_paths; i++) BF_TRY(verify_path(&r, o->paths[i], 0, err));
    BF_CHECK(out->passed + out->failed + out->skipped > 0, BF_FILE, "%s: no golden file in it",
             o->n_paths ? o->paths[0] : path);
    BF_CHECK(out->failed == 0, BF_NUMERIC, "verification failed: %u of %u files on %s", out->failed,
             out->passed + out->failed, out->device);
out:
    return st;
}

bfncl_status bfncl_verify(const bfncl_verify_options *o, bfncl_verify_result *result, bfncl_error *error)
{
    bf_status st = BF_OK;
    bf_err spare, *err = error ? error : &spare;
    bfncl_verify_result none;
    bf_config config;
    bf_ctx *ctx = NULL;
    bf_config_defaults(&config);
    BF_TRY(bf_setup_ctx(&config, &o->device, &ctx, err));
    BF_TRY(bf_verify_run(ctx, o, result ? result : &none, err));
out:
    bf_ctx_close(ctx);
    return st;
}
