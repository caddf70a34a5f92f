/* bfncl_info: what is in a file, as JSON. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/dataset.h"
#include "io/image.h"
#include "io/kind.h"
#include "io/mol.h"
#include "io/pt_contents.h"
#include "io/tensors.h"
#include "io/text.h"
#include "run/info_molecules.h"
#include "run/model.h"
#include "run/molcraft.h"

static bf_status out_of_memory(bf_err *err)
{
    return bf_fail(err, BF_RUNTIME, "out of memory while describing a file");
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static json_t *shape_json(const bf_tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++) json_array_append_new(shape, json_integer((json_int_t)t->dims[i]));
    return shape;
}

/* Beside a model on a device that computes in the host's memory: program and driver (95 MiB with POCL 3.1), and its
 * compiler, which stays in the process after the first use (115 MiB). */
#define HOST_BYTES ((uint64_t)210 << 20)

/* "params", what they take in memory once loaded, as 32-bit floats, and about what a small run with them takes in all.
 */
static bool set_params(json_t *root, uint64_t params)
{
    return json_object_set_new(root, "params", json_integer((json_int_t)params)) == 0 &&
           json_object_set_new(root, "param_bytes", json_integer((json_int_t)(4 * params))) == 0 &&
           json_object_set_new(root, "memory_bytes", json_integer((json_int_t)(4 * params + HOST_BYTES))) == 0;
}

/* "tensors", "params" (of the tensors whose names begin so; all of a file that is no model), "bytes". */
static bf_status add_tensors(json_t *root, const bf_tensors *f, const char *prefix, bf_err *err)
{
    json_t *list = json_array();
    uint64_t params = 0, bytes = 0;
    bool ok = list != NULL;
    for (size_t i = 0; i < bf_tensors_count(f); i++) {
        const bf_tensor t = bf_tensors_at(f, i);
        json_t *item = json_pack("{s:s,s:o,s:s}", "name", t.name, "shape", shape_json(&t), "dtype", t.type);
        ok = json_array_append_new(list, item) == 0 && ok;
        if (strncmp(t.name, prefix, strlen(prefix)) == 0) params += t.count;
        if (t.readable) bytes += t.count * bf_dtype_size(t.dtype);
    }
    ok = set_params(root, params) && ok;
    ok = json_object_set_new(root, "tensors", list) == 0 && ok;
    ok = json_object_set_new(root, "bytes", json_integer((json_int_t)bytes)) == 0 && ok;
    return ok ? BF_OK : out_of_memory(err);
}

static bf_status add_metadata(json_t *root, const bf_st *f, bf_err *err)
{
    json_t *meta = json_object();
    bool ok = meta != NULL;
    for (size_t i = 0; i < bf_st_meta_count(f); i++) {
        const bf_st_meta m = bf_st_meta_at(f, i);
        ok = json_object_set_new(meta, m.key, json_string(m.value)) == 0 && ok;
    }
    ok = json_object_set_new(root, "metadata", meta) == 0 && ok;
    return ok ? BF_OK : out_of_memory(err);
}

/* {"name","type","missing"}, of numbers "low" and "high", of words "words", of bins "levels". */
static json_t *column_json(const bf_column *c)
{
    json_t *j =
        json_pack("{s:s,s:s,s:I}", "name", c->name, "type", bf_column_type_name(c), "missing", (json_int_t)c->missing);
    if (c->type >= BF_COLUMN_CONTINUOUS && c->type <= BF_COLUMN_INTEGER) {
        (void)json_object_set_new(j, "low", json_real(c->low));
        (void)json_object_set_new(j, "high", json_real(c->high));
    }
    if (c->type == BF_COLUMN_BINS) (void)json_object_set_new(j, "levels", json_integer(c->levels));
    if (!c->word) return j;
    json_t *words = json_array();
    for (uint32_t k = 0; k < c->levels; k++) (void)json_array_append_new(words, json_string(c->word[k]));
    (void)json_object_set_new(j, "words", words);
    return j;
}

/* "columns" of a table. */
static bf_status add_columns(json_t *root, const bf_schema *s, bf_err *err)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (uint32_t i = 0; i < s->columns; i++) ok = json_array_append_new(list, column_json(&s->column[i])) == 0 && ok;
    ok = json_object_set_new(root, "columns", list) == 0 && ok;
    return ok ? BF_OK : out_of_memory(err);
}

static bf_status add_model(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_model_file f = {0};
    json_t *config = NULL, *state;
    BF_TRY(bf_model_file_open(path, &f, err));
    BF_TRY(bf_config_json(&f.config, &config, err));
    if (f.schema) BF_TRY(add_columns(root, f.schema, err));
    state = json_pack("{s:I,s:I,s:I}", "step", (json_int_t)f.state.step, "position", (json_int_t)f.state.position,
                      "best_step", (json_int_t)f.state.best_step);
    if (json_object_set_new(root, "kind", json_string(f.checkpoint ? "checkpoint" : "model")) ||
        json_object_set(root, "config", config) || json_object_set_new(root, "state", state) ||
        json_object_set_new(root, "example", json_pack("[i,i,i]", (int)f.shape[0], (int)f.shape[1], (int)f.shape[2])))
        st = out_of_memory(err);
out:
    json_decref(config);
    bf_model_file_close(&f);
    return st;
}

static bf_status describe_tensors(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tensors *f = NULL;
    BF_TRY(bf_tensors_open(path, &f, err));
    BF_TRY(bf_tensors_verify(f, err));
    const bf_st *s = bf_tensors_st(f);
    const bool model = bf_st_meta_get(s, "bfncl.format") != NULL;
    json_object_set_new(root, "kind", json_string("safetensors"));
    /* the averaged weights are exactly the trained numbers; net. also holds fixed tables */
    BF_TRY(add_tensors(root, f, model ? "ema." : "", err));
    json_object_set_new(root, "checksums", json_boolean(bf_st_has_crc(s)));
    if (model)
        BF_TRY(add_model(root, path, err));
    else
        BF_TRY(add_metadata(root, s, err));
out:
    bf_tensors_close(f);
    return st;
}

/* ---- PyTorch files ----------------------------------------------------------------------------------------------- */

/* A dictionary: tensors that follow each other with the same path. */
typedef struct folder {
    const char *path; /* `bytes` of a tensor's name */
    size_t bytes, tensors;
    uint64_t numbers;
} folder;

/* The dictionary that begins with tensor i. */
static folder folder_at(const bf_tensors *f, size_t i)
{
    const bf_tensor first = bf_tensors_at(f, i);
    folder d = {.path = first.name, .bytes = first.folder};
    for (; i < bf_tensors_count(f); i++, d.tensors++) {
        const bf_tensor t = bf_tensors_at(f, i);
        if (t.folder != d.bytes || strncmp(t.name, d.path, d.bytes) != 0) break;
        d.numbers += t.count;
    }
    return d;
}

/* "weights": the dictionaries that can hold a model's weights, which are those at least half as large as the largest
 * (optimisers have a small one per weight); "params": numbers in the first of the largest. */
static bf_status add_folders(json_t *root, const bf_tensors *f, bf_err *err)
{
    json_t *list = json_array();
    uint64_t most = 0;
    bool ok = list != NULL;
    for (size_t i = 0; i < bf_tensors_count(f);) {
        const folder d = folder_at(f, i);
        most = BF_MAX(most, d.numbers);
        i += d.tensors;
    }
    for (size_t i = 0; i < bf_tensors_count(f) && ok;) {
        const folder d = folder_at(f, i);
        i += d.tensors;
        if (d.numbers < most / 2) continue;
        ok = json_array_append_new(list, json_pack("{s:s#,s:I,s:I}", "path", d.path, (int)d.bytes, "tensors",
                                                   (json_int_t)d.tensors, "numbers", (json_int_t)d.numbers)) == 0;
    }
    ok = json_object_set_new(root, "weights", list) == 0 && ok;
    ok = set_params(root, most) && ok;
    return ok ? BF_OK : out_of_memory(err);
}

/* "molcraft": what its release stored as settings, with the time input that the weights have; {"unsupported": why}. */
static bf_status add_molcraft(json_t *root, const bf_tensors *f, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *hyper = NULL;
    const json_t *dynamics;
    bf_molcraft m;
    bf_err why = {0};
    BF_TRY(bf_molcraft_hyper(bf_tensors_pt(f), &hyper, &dynamics, err));
    if (dynamics == NULL) goto out;
    bf_status known = bf_molcraft_read(dynamics, &m, &why);
    if (known == BF_OK) known = bf_molcraft_time_input(&m, f, &why);
    json_t *j = known == BF_OK ? bf_molcraft_json(&m) : json_pack("{s:s}", "unsupported", why.message);
    if (json_object_set_new(root, "molcraft", j) != 0) st = out_of_memory(err);
out:
    json_decref(hyper);
    return st;
}

static bf_status describe_torch(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tensors *f = NULL;
    json_t *contents = NULL;
    BF_TRY(bf_tensors_open(path, &f, err));
    BF_TRY(bf_tensors_verify(f, err));
    const bf_pt *p = bf_tensors_pt(f);
    BF_TRY(add_tensors(root, f, "", err));
    BF_TRY(add_folders(root, f, err));
    BF_TRY(bf_pt_contents(p, &contents, err));
    BF_TRY(add_molcraft(root, f, err));
    if (json_object_set_new(root, "kind", json_string("pytorch")) ||
        json_object_set_new(root, "container", json_string(bf_pt_legacy(p) ? "pickles" : "zip")) ||
        json_object_set_new(root, "protocol", json_integer(bf_pt_protocol(p))) ||
        json_object_set_new(root, "byte_order", json_string(bf_pt_big_endian(p) ? "big" : "little")) ||
        json_object_set(root, "contents", contents))
        st = out_of_memory(err);
out:
    json_decref(contents);
    bf_tensors_close(f);
    return st;
}

/* ---- data and pictures ------------------------------------------------------------------------------------------- */

static bf_status describe_data(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset_options o;
    bf_dataset *ds = NULL;
    bf_dataset_defaults(&o);
    o.validation = 0;
    BF_TRY(bf_dataset_open(path, &o, &ds, err));
    const bf_dataset_info i = bf_dataset_get_info(ds);
    json_object_set_new(root, "kind", json_string("data"));
    json_object_set_new(root, "examples", json_integer((json_int_t)i.count));
    json_object_set_new(root, "example", json_pack("[i,i,i]", (int)i.height, (int)i.width, (int)i.channels));
    json_object_set_new(root, "crc32c", json_integer((json_int_t)i.crc));
out:
    bf_dataset_free(ds);
    return st;
}

/* A table: what its columns are taken for where a configuration says nothing else. */
static bf_status describe_table(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config c;
    bf_dataset *ds = NULL;
    bf_config_defaults(&c);
    c.data.transform = BF_TRANSFORM_TABLE;
    bf_dataset_options o = bf_setup_data(&c);
    o.validation = 0;
    BF_TRY(bf_dataset_open(path, &o, &ds, err));
    json_object_set_new(root, "kind", json_string("table"));
    json_object_set_new(root, "rows", json_integer((json_int_t)bf_dataset_get_info(ds).count));
    BF_TRY(add_columns(root, bf_dataset_schema(ds), err));
out:
    bf_dataset_free(ds);
    return st;
}

static bf_status describe_picture(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_image im = {0};
    BF_TRY(bf_png_read(path, 0, &im, err));
    json_object_set_new(root, "kind", json_string("picture"));
    json_object_set_new(root, "example", json_pack("[i,i,i]", (int)im.height, (int)im.width, (int)im.channels));
out:
    bf_image_free(&im);
    return st;
}

/* "vocabularies": the settings of data.vocabulary that read this file. */
static bf_status describe_text(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_text_info i;
    json_t *list = json_array();
    BF_TRY(bf_text_describe(path, &i, err));
    if (i.text8) json_array_append_new(list, json_string("text8"));
    if (i.learned) json_array_append_new(list, json_string("learned"));
    json_array_append_new(list, json_string("bytes"));
    json_object_set_new(root, "kind", json_string("text"));
    json_object_set_new(root, "characters", json_integer((json_int_t)i.characters));
    json_object_set_new(root, "lines", json_integer((json_int_t)i.lines));
    json_object_set_new(root, "vocabulary_size", json_integer((json_int_t)i.different));
    if (i.learned) json_object_set_new(root, "vocabulary", json_string(i.vocabulary));
    json_object_set(root, "vocabularies", list);
out:
    json_decref(list);
    return st;
}

static bf_status describe_config(json_t *root, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config c;
    json_t *config = NULL;
    BF_TRY(bf_config_load(path, &c, err));
    BF_TRY(bf_config_check(&c, err));
    BF_TRY(bf_config_json(&c, &config, err));
    json_object_set_new(root, "kind", json_string("config"));
    json_object_set(root, "config", config);
out:
    json_decref(config);
    return st;
}

/* ---- dispatch ---------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *suffix)
{
    const size_t n = strlen(s), k = strlen(suffix);
    return n >= k && strcmp(s + n - k, suffix) == 0;
}

static bf_status describe(json_t *root, const char *given, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kind kind;
    char path[1024];
    const bool config = ends_with(given, ".yaml") || ends_with(given, ".yml");
    snprintf(path, sizeof path, "%.1023s", given);
    BF_TRY(bf_file_kind(given, &kind, err));
    if (kind == BF_KIND_FOLDER) { /* a run folder stands for its model, another folder for its pictures */
        if (bf_model_path(given, path, err) == BF_OK)
            kind = BF_KIND_SAFETENSORS;
        else
            memset(err, 0, sizeof *err);
    }
    if (kind == BF_KIND_UNKNOWN && ends_with(given, ".safetensors")) kind = BF_KIND_SAFETENSORS;
    json_object_set_new(root, "file", json_string(path));
    if (config) return describe_config(root, path, err);
    if ((kind == BF_KIND_UNKNOWN || kind == BF_KIND_GZIP) && bf_mol_format_of(path) != BF_MOL_UNKNOWN)
        return bf_info_molecules(root, path, err);
    switch (kind) {
    case BF_KIND_SAFETENSORS: return describe_tensors(root, path, err);
    case BF_KIND_TORCH: return describe_torch(root, path, err);
    case BF_KIND_FOLDER:
    case BF_KIND_NPY:
    case BF_KIND_IDX:
    case BF_KIND_GZIP: return describe_data(root, path, err);
    case BF_KIND_PNG: return describe_picture(root, path, err);
    case BF_KIND_UNKNOWN:
        if (ends_with(given, ".csv")) return describe_table(root, path, err);
        if (describe_text(root, path, err) == BF_OK) return BF_OK;
        break;
    default: break;
    }
    st = bf_fail(err, BF_FILE, "%s: this is %s, which bfncl cannot describe", given, bf_kind_text(kind));
    if (kind == BF_KIND_UNKNOWN) bf_hint(err, "it is no UTF-8 text either; data.vocabulary=bytes trains on any file");
out:
    return st;
}

/* The keys that every description has. */
static void add_missing(json_t *root)
{
    if (!json_object_get(root, "params")) json_object_set_new(root, "params", json_null());
    if (!json_object_get(root, "tensors")) json_object_set_new(root, "tensors", json_array());
    if (!json_object_get(root, "config")) json_object_set_new(root, "config", json_null());
}

bfncl_status bfncl_info(const char *path, char **json, bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    json_t *root = json_object();
    memset(err, 0, sizeof *err);
    *json = NULL;
    BF_CHECK(root, BF_RUNTIME, "out of memory while describing %s", path);
    BF_TRY(describe(root, path, err));
    add_missing(root);
    *json = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    if (!*json) st = out_of_memory(err);
out:
    json_decref(root);
    return st;
}
