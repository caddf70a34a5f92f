/* Reading and writing model files. run/model.h */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/json.h"
#include "io/table.h"
#include "run/model.h"

#define FORMAT_VERSION "1"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bf_status need_meta(const bf_st *f, const char *key, const char **out, bf_err *err)
{
    bf_status st = BF_OK;
    *out = bf_st_meta_get(f, key);
    BF_CHECK(*out, BF_FILE, "%s: not a bfncl model (no %s in its metadata)", bf_st_name(f), key);
out:
    return st;
}

bf_run_state bf_run_state_new(const bf_config *c)
{
    return (bf_run_state){.best = NAN, .validated = UINT64_MAX, .plateau = {.rate = c->train.lr, .best = NAN}};
}

static bool read_plateau(const json_t *j, bf_plateau *p)
{
    const json_t *rate = json_object_get(j, "rate"), *best = json_object_get(j, "best"),
                 *bad = json_object_get(j, "bad");
    *p = (bf_plateau){.rate = json_number_value(rate),
                      .best = json_is_null(best) ? NAN : json_number_value(best),
                      .bad = (int64_t)json_integer_value(bad)};
    return json_is_number(rate) && p->rate >= 0 && (json_is_number(best) || json_is_null(best)) &&
           json_is_integer(bad) && p->bad >= 0;
}

static bf_status read_state(const bf_st *f, const bf_config *c, bf_run_state *s, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text;
    json_t *j = NULL;
    BF_TRY(need_meta(f, "bfncl.state", &text, err));
    BF_TRY(bf_json_parse(bf_st_name(f), text, strlen(text), 64, &j, err));
    const json_t *step = json_object_get(j, "step"), *position = json_object_get(j, "position");
    const json_t *best = json_object_get(j, "best"), *best_step = json_object_get(j, "best_step");
    const json_t *crc = json_object_get(j, "data_crc"), *validated = json_object_get(j, "validated");
    const json_t *plateau = json_object_get(j, "plateau");
    BF_CHECK(json_is_integer(step) && json_is_integer(position) && json_is_integer(best_step) && json_is_integer(crc) &&
                 (json_is_number(best) || json_is_null(best)) && json_integer_value(step) >= 0 &&
                 json_integer_value(position) >= 0,
             BF_FILE, "%s: the metadata entry bfncl.state is damaged", bf_st_name(f));
    *s = (bf_run_state){.step = (uint64_t)json_integer_value(step),
                        .position = (uint64_t)json_integer_value(position),
                        .best = json_is_null(best) ? NAN : json_number_value(best),
                        .best_step = (uint64_t)json_integer_value(best_step),
                        .data_crc = (uint32_t)json_integer_value(crc)};
    s->validated = json_is_integer(validated) ? (uint64_t)json_integer_value(validated) : s->step;
    s->plateau = bf_run_state_new(c).plateau;
    BF_CHECK(!plateau || read_plateau(plateau, &s->plateau), BF_FILE, "%s: the metadata entry bfncl.state is damaged",
             bf_st_name(f));
    const char *gemm = json_string_value(json_object_get(j, "gemm"));
    if (gemm != NULL) snprintf(s->gemm, sizeof s->gemm, "%s", gemm);
out:
    json_decref(j);
    return st;
}

/* The columns of a table, which must be as many as the shape says. */
static bf_status read_schema(bf_model_file *f, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text;
    if (f->config.data.transform != BF_TRANSFORM_TABLE) return BF_OK;
    BF_TRY(need_meta(f->st, "bfncl.table", &text, err));
    BF_TRY(bf_schema_parse(bf_st_name(f->st), text, &f->schema, err));
    BF_CHECK(f->shape[0] == 1 && f->shape[1] == f->schema->dims && f->shape[2] == 1, BF_FILE,
             "%s: the metadata entries bfncl.shape and bfncl.table do not agree", bf_st_name(f->st));
out:
    return st;
}

static bf_status read_meta(bf_model_file *f, bf_err *err)
{
    bf_status st = BF_OK;
    const char *format, *version, *config, *shape, *name = bf_st_name(f->st);
    char where[1100], rest;
    BF_TRY(need_meta(f->st, "bfncl.format", &format, err));
    BF_TRY(need_meta(f->st, "bfncl.format_version", &version, err));
    BF_CHECK(strcmp(version, FORMAT_VERSION) == 0, BF_FILE,
             "%s: written in format version %.20s, this program reads version " FORMAT_VERSION, name, version);
    f->checkpoint = strcmp(format, "checkpoint") == 0;
    BF_CHECK(f->checkpoint || strcmp(format, "model") == 0, BF_FILE, "%s: unknown kind of file \"%.20s\"", name,
             format);
    BF_TRY(need_meta(f->st, "bfncl.config", &config, err));
    snprintf(where, sizeof where, "%s, its configuration", name);
    st = bf_config_parse(config, strlen(config), where, &f->config, err);
    if (st == BF_OK) st = bf_config_check(&f->config, err);
    if (st == BF_USAGE) st = err->status = BF_FILE; /* the file is at fault, not the user */
    BF_TRY(st);
    BF_TRY(need_meta(f->st, "bfncl.shape", &shape, err));
    BF_CHECK(sscanf(shape, "%" SCNu32 " %" SCNu32 " %" SCNu32 " %c", &f->shape[0], &f->shape[1], &f->shape[2], &rest) ==
                     3 &&
                 f->shape[0] - 1 < 32768 && f->shape[1] - 1 < 32768 && f->shape[2] - 1 < 1024,
             BF_FILE, "%s: the metadata entry bfncl.shape is damaged", name);
    BF_TRY(read_schema(f, err));
    BF_TRY(read_state(f->st, &f->config, &f->state, err));
    const char *sizes = bf_st_meta_get(f->st, "bfncl.sizes");
    if (sizes) BF_TRY(bf_sizes_parse(sizes, name, &f->sizes, err));
out:
    return st;
}

bf_status bf_model_file_open(const char *path, bf_model_file *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_model_file f = {0};
    BF_TRY(bf_st_open(path, &f.st, err));
    BF_TRY(read_meta(&f, err));
    *out = f;
    f = (bf_model_file){0};
out:
    bf_model_file_close(&f);
    return st;
}

void bf_model_file_close(bf_model_file *f)
{
    bf_st_close(f->st);
    bf_schema_free(f->schema);
    f->st = NULL;
    f->schema = NULL;
    bf_sizes_free(&f->sizes);
}

static uint64_t numel(const bf_param_spec *s)
{
    uint64_t n = 1;
    for (int i = 0; i < s->ndim; i++) n *= s->dims[i];
    return n;
}

/* The tensor PREFIX NAME of the file, checked against the parameter. */
static bf_status find_tensor(const bf_st *f, const char *prefix, const bf_param_spec *s, const bf_st_tensor **out,
                             bf_err *err)
{
    bf_status st = BF_OK;
    char name[BF_ST_MAX_NAME];
    snprintf(name, sizeof name, "%s%s", prefix, s->name);
    BF_TRY(bf_st_need(f, name, out, err));
    const bf_st_tensor *t = *out;
    bool same = t->ndim == s->ndim;
    for (int i = 0; same && i < s->ndim; i++) same = t->dims[i] == s->dims[i];
    BF_CHECK(same, BF_FILE,
             "%s: tensor %s has %" PRIu64 " numbers in %d dimensions, the network wants %" PRIu64
             " in %d (or another order of sizes)",
             bf_st_name(f), name, t->count, t->ndim, numel(s), s->ndim);
    BF_CHECK(t->dtype == BF_F32, BF_FILE, "%s: tensor %s has type %s, F32 is wanted", bf_st_name(f), name,
             bf_dtype_name(t->dtype));
out:
    return st;
}

/* Calls `each` for every tensor of the parts, in a fixed order. */
typedef bf_status (*tensor_fn)(void *user, const bf_model_part *part, int index, const bf_st_tensor *t, bf_err *err);

static bf_status for_tensors(const bf_model *m, const bf_model_file *f, const bf_model_part *parts, size_t n,
                             tensor_fn each, void *user, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *t;
    for (size_t k = 0; k < n; k++)
        for (int i = 0; i < bf_params_count(m->params); i++) {
            const bf_param_spec *s = bf_params_spec(m->params, i);
            if (s->buffer && parts[k].set != BF_SET_VALUE) continue; /* a buffer exists once */
            BF_TRY(find_tensor(f->st, s->buffer ? "net." : parts[k].prefix, s, &t, err));
            BF_TRY(each(user, &parts[k], i, t, err));
        }
out:
    return st;
}

typedef struct loading {
    const bf_model_file *f;
    bf_model *m;
    float *data; /* all tensors, one behind the other */
    uint64_t at;
} loading;

static bf_status count_tensor(void *user, const bf_model_part *part, int index, const bf_st_tensor *t, bf_err *err)
{
    (void)part, (void)index, (void)err;
    ((loading *)user)->at += t->count;
    return BF_OK;
}

static bf_status read_tensor(void *user, const bf_model_part *part, int index, const bf_st_tensor *t, bf_err *err)
{
    loading *l = user;
    (void)part, (void)index;
    bf_status st = bf_st_read_f32(l->f->st, t, l->data + l->at, err);
    l->at += t->count;
    return st;
}

static bf_status copy_tensor(void *user, const bf_model_part *part, int index, const bf_st_tensor *t, bf_err *err)
{
    loading *l = user;
    bf_status st = bf_params_set(l->m->params, part->set, index, l->data + l->at, err);
    l->at += t->count;
    return st;
}

bf_status bf_model_file_check(const bf_model *m, const bf_model_file *f, const bf_model_part *parts, size_t n,
                              bf_err *err)
{
    loading l = {0};
    return for_tensors(m, f, parts, n, count_tensor, &l, err);
}

bf_status bf_model_load(bf_model *m, const bf_model_file *f, const bf_model_part *parts, size_t n, bf_err *err)
{
    bf_status st = BF_OK;
    loading l = {.f = f, .m = m};
    BF_TRY(for_tensors(m, f, parts, n, count_tensor, &l, err));
    BF_NEW(l.data, l.at + 1);
    l.at = 0;
    BF_TRY(for_tensors(m, f, parts, n, read_tensor, &l, err));
    l.at = 0;
    BF_TRY(for_tensors(m, f, parts, n, copy_tensor, &l, err));
out:
    free(l.data);
    return st;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct source { /* of one tensor: fetched when its first piece is asked for */
    bf_model_fetch fetch;
    void *user;
    bf_param_set set;
    int index;
    float *scratch; /* shared by all: pieces come in order */
} source;

/* bf_model_fetch from the device. */
static bf_status fetch_params(void *user, bf_param_set set, int index, float *out, bf_err *err)
{
    return bf_params_get(user, set, index, out, err);
}

static bf_status fill(void *user, uint64_t offset, size_t bytes, void *out, bf_err *err)
{
    bf_status st = BF_OK;
    const source *s = user;
    if (offset == 0) BF_TRY(s->fetch(s->user, s->set, s->index, s->scratch, err));
    memcpy(out, (const char *)s->scratch + offset, bytes);
out:
    return st;
}

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static bf_status state_text(const bf_run_state *s, char **out, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *j = json_pack("{s:I,s:I,s:o,s:I,s:I,s:s,s:I,s:{s:f,s:o,s:I}}", "step", (json_int_t)s->step, "position",
                          (json_int_t)s->position, "best", number_or_null(s->best), "best_step",
                          (json_int_t)s->best_step, "data_crc", (json_int_t)s->data_crc, "gemm", s->gemm, "validated",
                          (json_int_t)s->validated, "plateau", "rate", s->plateau.rate, "best",
                          number_or_null(s->plateau.best), "bad", (json_int_t)s->plateau.bad);
    *out = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    BF_CHECK(*out, BF_RUNTIME, "out of memory while saving");
out:
    return st;
}

static const struct {
    const char *prefix;
    bf_param_set set;
    bool checkpoint;
} PARTS[] = {{"net.", BF_SET_VALUE, false},
             {"ema.", BF_SET_EMA, false},
             {"adam_m.", BF_SET_M, true},
             {"adam_v.", BF_SET_V, true}};

/* One item per tensor; names[i] and sources[i] belong to item i. */
static bf_status make_items(const bf_model *m, bool checkpoint, const source *like, bf_st_item *items,
                            char (*names)[BF_ST_MAX_NAME], source *sources, size_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    *n = 0;
    for (size_t k = 0; k < BF_COUNT(PARTS); k++) {
        if (PARTS[k].checkpoint && !checkpoint) continue;
        for (int i = 0; i < bf_params_count(m->params); i++) {
            const bf_param_spec *s = bf_params_spec(m->params, i);
            if (s->buffer && PARTS[k].set != BF_SET_VALUE) continue;
            size_t j = (*n)++;
            int len = snprintf(names[j], BF_ST_MAX_NAME, "%s%s", PARTS[k].prefix, s->name);
            BF_CHECK(len < BF_ST_MAX_NAME, BF_RUNTIME, "the parameter name %.40s... is too long for a file", s->name);
            sources[j] = *like;
            sources[j].set = PARTS[k].set;
            sources[j].index = i;
            items[j] =
                (bf_st_item){.name = names[j], .dtype = BF_F32, .ndim = s->ndim, .fill = fill, .user = &sources[j]};
            memcpy(items[j].dims, s->dims, (size_t)s->ndim * sizeof s->dims[0]);
        }
    }
out:
    return st;
}

bf_status bf_model_save(const bf_model *m, const char *path, bool checkpoint, bf_err *err)
{
    return bf_model_write(m, path, checkpoint, fetch_params, m->params, err);
}

bf_status bf_model_write(const bf_model *m, const char *path, bool checkpoint, bf_model_fetch fetch, void *user,
                         bf_err *err)
{
    bf_status st = BF_OK;
    bf_st_item *items = NULL;
    bf_norms norms = {.n = 0};
    char(*names)[BF_ST_MAX_NAME] = NULL, *config = NULL, *state = NULL, *table = NULL, *sizes = NULL, shape[64];
    source *sources = NULL, like = {.fetch = fetch, .user = user};
    uint64_t largest = 1;
    size_t n = 0, room = BF_COUNT(PARTS) * (size_t)bf_params_count(m->params) + BF_NORMS_ITEMS;
    for (int i = 0; i < bf_params_count(m->params); i++) largest = BF_MAX(largest, numel(bf_params_spec(m->params, i)));
    BF_NEW(items, room);
    BF_NEW(names, room);
    BF_NEW(sources, room);
    BF_NEW(like.scratch, largest);
    BF_TRY(make_items(m, checkpoint, &like, items, names, sources, &n, err));
    if (checkpoint) BF_TRY(bf_clip_queue_get(m, &norms, err));
    if (norms.n > 0) {
        bf_norms_items(&norms, items + n);
        n += BF_NORMS_ITEMS;
    }
    BF_TRY(bf_config_text(&m->config, false, &config, err));
    BF_TRY(state_text(&m->state, &state, err));
    if (m->schema) BF_TRY(bf_schema_text(m->schema, &table, err));
    if (m->sizes.n > 0) BF_TRY(bf_sizes_text(&m->sizes, &sizes, err));
    snprintf(shape, sizeof shape, "%" PRIu32 " %" PRIu32 " %" PRIu32, m->shape[0], m->shape[1], m->shape[2]);
    const bf_st_meta meta[] = {{"bfncl.format", checkpoint ? "checkpoint" : "model"},
                               {"bfncl.format_version", FORMAT_VERSION},
                               {"bfncl.version", BFNCL_VERSION},
                               {"bfncl.config", config},
                               {"bfncl.shape", shape},
                               {"bfncl.state", state},
                               {table ? "bfncl.table" : "bfncl.sizes", table ? table : sizes}};
    BF_TRY(bf_st_write(path, items, n, meta, BF_COUNT(meta) - (table || sizes ? 0 : 1), err));
out:
    bf_norms_free(&norms);
    free(items);
    free(names);
    free(sources);
    free(like.scratch);
    free(config);
    free(state);
    free(table);
    free(sizes);
    return st;
}
