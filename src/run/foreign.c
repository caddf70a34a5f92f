/* Models from the weights of other programs, and bfncl_convert. run/model.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "io/kind.h"
#include "run/model.h"
#include "run/molcraft.h"
#include "run/official.h"
#include "run/weights.h"

#define MAX_CONFIG ((uint64_t)1 << 20)

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* Ours, or the JSON of the official releases, which also tells the shape and the network (else shape[0] = 0). */
static bf_status read_config(const char *path, bf_config *c, uint32_t shape[3], bf_net_config *net, bf_err *err)
{
    bf_status st = BF_OK;
    void *data = NULL;
    size_t size;
    json_t *root = NULL;
    shape[0] = 0;
    BF_TRY(bf_file_read(path, MAX_CONFIG, &data, &size, err));
    const char *text = data; /* ends with a NUL byte */
    if (text[strspn(text, " \t\r\n")] != '{') {
        BF_TRY(bf_config_load(path, c, err));
        goto out;
    }
    BF_TRY(bf_official_parse(path, text, &root, err));
    st = bf_official_config(root, c, shape, net, err);
    if (st != BF_OK) bf_err_context(err, "%s", path);
out:
    json_decref(root);
    free(data);
    return st;
}

/* The settings of MolCRAFT in a checkpoint; *found is false when it has none. */
static bf_status read_settings(const bf_tensors *f, bf_config *c, bool *found, bf_err *err)
{
    bf_status st = BF_OK;
    json_t *hyper = NULL;
    const json_t *dynamics = NULL;
    bf_molcraft m;
    if (bf_tensors_pt(f) != NULL) BF_TRY(bf_molcraft_hyper(bf_tensors_pt(f), &hyper, &dynamics, err));
    *found = dynamics != NULL;
    if (!*found) goto out;
    BF_TRY(bf_molcraft_read(dynamics, &m, err));
    BF_TRY(bf_molcraft_time_input(&m, f, err));
    BF_TRY(bf_molcraft_config(&m, hyper, c, err));
out:
    if (st != BF_OK) bf_err_context(err, "%s", bf_tensors_name(f));
    json_decref(hyper);
    return st;
}

bf_status bf_foreign_settles(const char *path, bool *settled, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kind kind;
    bf_tensors *f = NULL;
    bf_config c;
    bf_err ignored;
    *settled = false;
    if (bf_file_kind(path, &kind, &ignored) != BF_OK || kind != BF_KIND_TORCH) return BF_OK;
    BF_TRY(bf_tensors_open(path, &f, err));
    BF_TRY(read_settings(f, &c, settled, err));
out:
    bf_tensors_close(f);
    return st;
}

static bf_status own_settings(const char *path, bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tensors *f = NULL;
    bool found;
    BF_TRY(bf_tensors_open(path, &f, err));
    BF_TRY(read_settings(f, c, &found, err));
    BF_CHECK(found, BF_FILE, "%s: it has no settings of a network that is known", path);
out:
    bf_tensors_close(f);
    return st;
}

bf_status bf_foreign_new(const bf_open_options *o, bf_model **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_config c;
    uint32_t shape[3] = {0};
    bf_net_config official;
    bf_model *m = NULL;
    if (o->config)
        BF_TRY(read_config(o->config, &c, shape, &official, err));
    else
        BF_TRY(own_settings(o->path, &c, err));
    const bool json = shape[0] != 0;
    BF_TRY(bf_setup_overrides(&c, o->set, o->n_set, err));
    if (o->size || shape[0] == 0) BF_TRY(bf_setup_shape(&c, o->size, shape, err));
    BF_TRY(bf_model_new(&c, shape, NULL, o->device, &m, err));
    BF_CHECK(!json || o->size || o->n_set > 0 || bf_official_same_net(&official, &m->net), BF_FILE,
             "%s: its input or output layers have options that no configuration of bfncl has", o->config);
    BF_TRY(bf_model_register(m, err));
    *out = m;
    m = NULL;
out:
    bf_model_free(m);
    return st;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

bf_status bf_foreign_load(bf_model *m, const bf_open_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tensors *f = NULL;
    bf_weights w = {0};
    const bool raw = o->weights && strcmp(o->weights, "raw") == 0;
    BF_TRY(bf_tensors_open(o->path, &f, err));
    BF_TRY(bf_weights_find(m->params, f, !raw, &w, err));
    bf_log(BFNCL_LOG_INFO, "%s weights, \"%s\", of %s", w.averaged ? "averaged" : "raw", w.prefix, o->path);
    if (o->dry_run) goto out;
    BF_TRY(bf_params_alloc(m->params, 1u << BF_SET_VALUE, err));
    BF_TRY(bf_weights_put(&w, m->params, BF_SET_VALUE, err));
out:
    bf_weights_free(&w);
    bf_tensors_close(f);
    return st;
}

/* ---- converting -------------------------------------------------------------------------------------------------- */

typedef struct both {
    bf_weights raw, averaged;
} both;

/* bf_model_fetch */
static bf_status fetch_weights(void *user, bf_param_set set, int index, float *out, bf_err *err)
{
    const both *b = user;
    return bf_weights_read(set == BF_SET_EMA ? &b->averaged : &b->raw, index, out, err);
}

static bf_status convert_model(const bfncl_convert_options *o, bf_tensors *f, bfncl_convert_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_model *m = NULL;
    both b = {0};
    const bf_open_options open = {
        .path = o->in, .set = o->set, .n_set = o->n_set, .device = &o->device, .config = o->config, .size = o->size};
    BF_TRY(bf_foreign_new(&open, &m, err));
    BF_TRY(bf_weights_find(m->params, f, false, &b.raw, err));
    BF_TRY(bf_weights_find(m->params, f, true, &b.averaged, err));
    BF_TRY(bf_model_write(m, o->out, false, fetch_weights, &b, err));
    r->params = bf_params_numel(m->params);
    for (int i = 0; i < bf_params_count(m->params); i++)
        r->tensors += bf_params_spec(m->params, i)->buffer ? 1 : 2; /* tables have no average */
    snprintf(r->raw, sizeof r->raw, "%s", b.raw.prefix);
    snprintf(r->ema, sizeof r->ema, "%s", b.averaged.prefix);
out:
    bf_weights_free(&b.raw);
    bf_weights_free(&b.averaged);
    bf_model_free(m);
    return st;
}

typedef struct copy {
    bf_tensors *file;
    size_t index;
    char *scratch; /* shared by all: pieces come in order */
} copy;

static bf_status fill_copy(void *user, uint64_t offset, size_t bytes, void *out, bf_err *err)
{
    bf_status st = BF_OK;
    const copy *c = user;
    if (offset == 0) BF_TRY(bf_tensors_read_raw(c->file, c->index, c->scratch, err));
    memcpy(out, c->scratch + offset, bytes);
out:
    return st;
}

/* The name without "module." and "net." behind the path of its dictionary. */
static void plain_name(const bf_tensor *t, char out[BF_ST_MAX_NAME + 1])
{
    static const char *const known[] = {"module.", "net."};
    const char *rest = t->name + t->folder;
    for (size_t i = 0; i < BF_COUNT(known); i++)
        if (strncmp(rest, known[i], strlen(known[i])) == 0) rest += strlen(known[i]);
    snprintf(out, BF_ST_MAX_NAME + 1, "%.*s%s", (int)t->folder, t->name, rest);
}

static bf_status convert_tensors(const bfncl_convert_options *o, bf_tensors *f, bfncl_convert_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t n = bf_tensors_count(f);
    bf_st_item *items = NULL;
    copy *copies = NULL;
    char(*names)[BF_ST_MAX_NAME + 1] = NULL, *scratch = NULL;
    uint64_t most = 1;
    BF_NEW(items, n);
    BF_NEW(copies, n);
    BF_NEW(names, n);
    for (size_t i = 0; i < n; i++) {
        const bf_tensor t = bf_tensors_at(f, i);
        BF_CHECK(t.readable, BF_FILE, "%s: tensor \"%s\": element type %s is not supported", o->in, t.name, t.type);
        plain_name(&t, names[i]);
        items[i] =
            (bf_st_item){.name = names[i], .dtype = t.dtype, .ndim = t.ndim, .fill = fill_copy, .user = &copies[i]};
        memcpy(items[i].dims, t.dims, sizeof items[i].dims);
        most = BF_MAX(most, t.count * bf_dtype_size(t.dtype));
    }
    BF_NEW(scratch, most);
    for (size_t i = 0; i < n; i++) copies[i] = (copy){f, i, scratch};
    BF_TRY(bf_st_write(o->out, items, n, NULL, 0, err));
    r->tensors = n;
out:
    free(items);
    free(copies);
    free(names);
    free(scratch);
    return st;
}

void bfncl_convert_defaults(bfncl_convert_options *o)
{
    memset(o, 0, sizeof *o);
}

bfncl_status bfncl_convert(const bfncl_convert_options *o, bfncl_convert_result *result, bfncl_error *caller_err)
{
    bf_status st = BF_OK;
    bf_err own = {0}, *err = caller_err ? caller_err : &own;
    bfncl_convert_result r = {0};
    bf_tensors *f = NULL;
    bf_config settings;
    bool settled = false;
    memset(err, 0, sizeof *err);
    BF_CHECK(o->in && o->out, BF_USAGE, "nothing to convert, or nowhere to");
    BF_TRY(bf_tensors_open(o->in, &f, err));
    if (!o->config) BF_TRY(read_settings(f, &settings, &settled, err));
    BF_CHECK(o->config || settled || o->n_set == 0, BF_USAGE,
             "%s: --set changes a configuration, and there is none: --config is missing", o->in);
    BF_TRY(o->config || settled ? convert_model(o, f, &r, err) : convert_tensors(o, f, &r, err));
    if (result) *result = r;
out:
    bf_tensors_close(f);
    return st;
}
