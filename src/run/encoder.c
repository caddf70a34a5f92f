/* run/encoder.h */
#include "run/encoder.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/philox.h"
#include "base/size.h"
#include "io/safetensors.h"

#define RANDOM_SIDE 4
#define RANDOM_CHANNELS 16
#define RANDOM_FEATURES 128

/* A layer, in the order in which it runs. */
typedef struct layer {
    char name[64]; /* in the file, without ".weight" */
    uint64_t number;
    bool conv;
    uint64_t in, out, k; /* of a linear layer k = 1 */
    int stride;
    const bf_st_tensor *weight, *bias; /* NULL: random; none */
    bf_tid w, b;
} layer;

struct bf_encoder {
    bf_ctx *ctx;
    const char *path; /* NULL: random */
    uint32_t shape[3], batch, features;
    layer *layer; /* [layers] */
    int layers, convs;
    uint64_t h, w, c; /* of what the convolutions leave */
    bf_params *params;
    bf_graph *graph;
    bf_cmds *cmds;
    bf_tid x, y;
    bool pooled; /* means over the picture, and not all of it, go on behind the convolutions */
};

/* ---- which layers ------------------------------------------------------------------------------------------------ */

/* The number at the end of a layer's name. */
static bool number_of(const char *name, uint64_t *out)
{
    const size_t n = strlen(name);
    size_t digits = 0;
    while (digits < n && isdigit((unsigned char)name[n - 1 - digits])) digits++;
    *out = digits > 0 && digits < 10 ? strtoull(name + n - digits, NULL, 10) : 0;
    return digits > 0 && digits < 10;
}

static int compare_layers(const void *a, const void *b)
{
    const layer *x = a, *y = b;
    if (x->conv != y->conv) return x->conv ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bf_status read_layer(bf_encoder *e, const bf_st *f, const bf_st_tensor *t, layer *l, bf_err *err)
{
    static const char suffix[] = ".weight";
    bf_status st = BF_OK;
    char bias[80];
    const size_t n = strlen(t->name), cut = sizeof suffix - 1;
    *l = (layer){.conv = t->ndim == 4, .weight = t, .out = t->dims[0], .in = t->dims[1], .k = 1, .stride = 1};
    BF_CHECK(n > cut && n - cut < sizeof l->name && strcmp(t->name + n - cut, suffix) == 0 &&
                 (t->ndim == 2 || t->ndim == 4),
             BF_FILE, "%s: tensor '%.80s' belongs to no convolution and no linear layer", e->path, t->name);
    snprintf(l->name, sizeof l->name, "%.*s", (int)(n - cut), t->name);
    BF_CHECK(number_of(l->name, &l->number), BF_FILE, "%s: layer '%s' has no number at its end, which says its place",
             e->path, l->name);
    if (l->conv) {
        l->k = t->dims[2];
        BF_CHECK(t->dims[3] == l->k && (l->k == 1 || l->k == 3), BF_FILE,
                 "%s: convolution '%s' is %llu x %llu, only 3 x 3 and 1 x 1 are known", e->path, l->name,
                 (unsigned long long)t->dims[2], (unsigned long long)t->dims[3]);
        l->stride = 2;
    }
    BF_CHECK(l->in > 0 && l->out > 0 && l->out <= BF_ENCODER_WIDTH && (!l->conv || l->in <= BF_ENCODER_WIDTH), BF_FILE,
             "%s: layer '%s' has %llu inputs and %llu outputs, at most %d are possible", e->path, l->name,
             (unsigned long long)l->in, (unsigned long long)l->out, BF_ENCODER_WIDTH);
    snprintf(bias, sizeof bias, "%s.bias", l->name);
    l->bias = bf_st_find(f, bias);
    BF_CHECK(!l->bias || (l->bias->ndim == 1 && l->bias->dims[0] == l->out), BF_FILE,
             "%s: '%s' does not have the %llu numbers of its layer", e->path, bias, (unsigned long long)l->out);
out:
    return st;
}

/* "1,2,2" of the metadata, one for each convolution. */
static bf_status read_strides(bf_encoder *e, const bf_st *f, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text = bf_st_meta_get(f, "strides");
    if (!text) goto out;
    BF_CHECK(strlen(text) == (size_t)(2 * e->convs - (e->convs > 0)), BF_FILE,
             "%s: metadata strides \"%.80s\" are not those of %d convolutions", e->path, text, e->convs);
    for (int i = 0; i < e->convs; i++) {
        const char at = text[2 * i];
        BF_CHECK((at == '1' || at == '2') && (i == 0 || text[2 * i - 1] == ','), BF_FILE,
                 "%s: metadata strides \"%.80s\", expected 1 or 2 for each convolution, with commas", e->path, text);
        e->layer[i].stride = at - '0';
    }
out:
    return st;
}

static bool is_bias(const bf_st *f, const char *name)
{
    char weight[BF_ST_MAX_NAME + 16];
    const size_t n = strlen(name);
    if (n < 5 || strcmp(name + n - 5, ".bias") != 0) return false;
    snprintf(weight, sizeof weight, "%.*s.weight", (int)(n - 5), name);
    return bf_st_find(f, weight) != NULL;
}

static bf_status layers_of_file(bf_encoder *e, const bf_st *f, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(e->layer, BF_ENCODER_LAYERS);
    for (size_t i = 0; i < bf_st_count(f); i++) {
        const bf_st_tensor *t = bf_st_at(f, i);
        if (is_bias(f, t->name)) continue;
        BF_CHECK(e->layers < BF_ENCODER_LAYERS, BF_FILE, "%s: more than %d layers", e->path, BF_ENCODER_LAYERS);
        BF_TRY(read_layer(e, f, t, &e->layer[e->layers], err));
        e->convs += e->layer[e->layers++].conv;
    }
    BF_CHECK(e->layers > 0, BF_FILE, "%s: holds no layers", e->path);
    qsort(e->layer, (size_t)e->layers, sizeof *e->layer, compare_layers);
    for (int i = 1; i < e->layers; i++)
        BF_CHECK(compare_layers(&e->layer[i - 1], &e->layer[i]) != 0, BF_FILE,
                 "%s: layers '%s' and '%s' have the same number", e->path, e->layer[i - 1].name, e->layer[i].name);
    BF_TRY(read_strides(e, f, err));
out:
    return st;
}

static bf_status random_layers(bf_encoder *e, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t h = e->shape[0], w = e->shape[1], c = e->shape[2];
    BF_NEW(e->layer, BF_ENCODER_LAYERS);
    while (BF_MAX(h, w) > RANDOM_SIDE) {
        layer *l = &e->layer[e->layers];
        const uint64_t out = (uint64_t)RANDOM_CHANNELS << e->layers;
        BF_CHECK(out <= BF_ENCODER_WIDTH, BF_USAGE, "pictures of %u x %u are too large for random features",
                 e->shape[0], e->shape[1]);
        *l = (layer){.conv = true, .in = c, .out = out, .k = 3, .stride = 2};
        snprintf(l->name, sizeof l->name, "%d", e->layers++);
        h = bf_ceil_div(h, 2);
        w = bf_ceil_div(w, 2);
        c = l->out;
    }
    e->convs = e->layers;
    layer *last = &e->layer[e->layers];
    *last = (layer){.in = h * w * c, .out = RANDOM_FEATURES, .k = 1, .stride = 1};
    snprintf(last->name, sizeof last->name, "%d", e->layers++);
out:
    return st;
}

/* Does every layer fit what comes before it? */
static bf_status fit(bf_encoder *e, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t in = e->c = e->shape[2];
    e->h = e->shape[0];
    e->w = e->shape[1];
    for (int i = 0; i < e->layers; i++) {
        const layer *l = &e->layer[i];
        const uint64_t all = e->h * e->w * e->c;
        if (i == e->convs) {
            e->pooled = l->in == e->c;
            in = e->pooled ? e->c : all;
        }
        BF_CHECK(l->in == in, BF_FILE, "%s: layer '%s' reads %llu numbers, there are %llu%s", e->path, l->name,
                 (unsigned long long)l->in, (unsigned long long)in, l->conv ? " channels" : "");
        if (l->conv) {
            e->h = bf_ceil_div(e->h, (uint64_t)l->stride);
            e->w = bf_ceil_div(e->w, (uint64_t)l->stride);
            e->c = l->out;
        }
        in = l->out;
    }
    if (e->convs == e->layers) e->pooled = true;
    BF_CHECK(in <= BF_ENCODER_FEATURES, BF_FILE, "%s: %llu features, at most %d are possible", e->path,
             (unsigned long long)in, BF_ENCODER_FEATURES);
    e->features = (uint32_t)in;
out:
    return st;
}

/* ---- the graph --------------------------------------------------------------------------------------------------- */

static void add_params(bf_encoder *e, layer *l)
{
    char name[80];
    bf_param_spec s = {.name = name, .ndim = 2, .dims = {l->out, l->in, l->k, l->k}};
    if (l->conv) {
        s.ndim = 4;
        s.layout = BF_LAYOUT_CONV;
    }
    snprintf(name, sizeof name, "%s.weight", l->name);
    l->w = bf_graph_param(e->graph, &s);
    s = (bf_param_spec){.name = name, .ndim = 1, .dims = {l->out}};
    snprintf(name, sizeof name, "%s.bias", l->name);
    l->b = l->bias ? bf_graph_param(e->graph, &s) : BF_NONE;
}

/* The means of all channels over each picture. */
static bf_tid pool(bf_encoder *e, bf_tid x)
{
    const uint64_t rows = e->batch * e->h * e->w, segments = (uint64_t)e->batch + 1;
    const bf_ragged pictures = {.offset = bf_graph_input(e->graph, "offset", 1, &segments),
                                .segment = bf_graph_input(e->graph, "segment", 1, &rows)};
    return bf_graph_segment_mean(e->graph, bf_graph_reshape(e->graph, x, 2, (uint64_t[]){rows, e->c}), &pictures);
}

static bf_status build(bf_encoder *e, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_graph_options o = {.weights = BF_SET_VALUE};
    const uint64_t dims[] = {e->batch, e->shape[0], e->shape[1], e->shape[2]};
    BF_TRY(bf_params_new(e->ctx, &e->params, err));
    BF_TRY(bf_graph_new(e->ctx, e->params, &o, &e->graph, err));
    bf_tid x = e->x = bf_graph_input(e->graph, "x", 4, dims);
    for (int i = 0; i < e->layers; i++) {
        layer *l = &e->layer[i];
        const bf_act act = i + 1 < e->layers ? BF_ACT_RELU : BF_ACT_NONE;
        add_params(e, l);
        if (i == e->convs)
            x = e->pooled ? pool(e, x) : bf_graph_reshape(e->graph, x, 2, (uint64_t[]){e->batch, e->h * e->w * e->c});
        x = l->conv ? bf_graph_conv(e->graph, x, l->w, l->b, l->stride, BF_NONE, BF_NONE)
                    : bf_graph_linear(e->graph, x, l->w, l->b, BF_ACT_NONE, BF_NONE);
        if (act != BF_ACT_NONE) x = bf_graph_act(e->graph, x, act);
    }
    e->y = e->convs == e->layers ? pool(e, x) : x;
    bf_graph_keep(e->graph, e->y);
    BF_TRY(bf_graph_status(e->graph, err));
    BF_TRY(bf_params_alloc(e->params, 1u << BF_SET_VALUE, err));
    BF_TRY(bf_graph_plan(e->graph, true, NULL, err));
    BF_TRY(bf_cmds_new(e->ctx, &e->cmds, err));
    BF_TRY(bf_graph_emit(e->graph, e->cmds, err));
out:
    return st;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* Rows of a linear layer that reads a picture as [C,H,W]: now as [H,W,C]. */
static void turn(const bf_encoder *e, const float *from, uint64_t rows, float *to)
{
    const uint64_t pixels = e->h * e->w, all = pixels * e->c;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < e->c; c++)
            for (uint64_t p = 0; p < pixels; p++) to[r * all + p * e->c + c] = from[r * all + c * pixels + p];
}

static bf_status set_param(bf_encoder *e, const layer *l, const char *what, const float *data, bf_err *err)
{
    char name[80];
    snprintf(name, sizeof name, "%s.%s", l->name, what);
    return bf_params_set(e->params, BF_SET_VALUE, bf_params_find(e->params, name), data, err);
}

static bf_status fill_layer(bf_encoder *e, const bf_st *f, int index, bf_err *err)
{
    bf_status st = BF_OK;
    const layer *l = &e->layer[index];
    const uint64_t in = l->in * l->k * l->k, n = l->out * in;
    float *w = NULL, *turned = NULL;
    BF_NEW(w, BF_MAX(n, l->out));
    if (f) {
        BF_TRY(bf_st_read_f32(f, l->weight, w, err));
    } else {
        const double scale = sqrt((index + 1 < e->layers ? 2.0 : 1.0) / (double)in);
        bf_philox_normals(BF_ENCODER_SEED, (uint32_t)index, 0, BF_STREAM_INIT, w, n);
        for (uint64_t i = 0; i < n; i++) w[i] = (float)(scale * (double)w[i]);
    }
    if (index == e->convs && !e->pooled) {
        BF_NEW(turned, n);
        turn(e, w, l->out, turned);
    }
    BF_TRY(set_param(e, l, "weight", turned ? turned : w, err));
    if (!l->bias) goto out;
    BF_TRY(bf_st_read_f32(f, l->bias, w, err));
    BF_TRY(set_param(e, l, "bias", w, err));
out:
    free(w);
    free(turned);
    return st;
}

/* Which picture a pixel belongs to. */
static bf_status fill_segments(const bf_encoder *e, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t pixels = e->h * e->w, rows = e->batch * pixels;
    uint32_t *offset = NULL, *segment = NULL;
    const bf_tid to[] = {bf_graph_find(e->graph, "offset"), bf_graph_find(e->graph, "segment")};
    BF_NEW(offset, (uint64_t)e->batch + 1);
    BF_NEW(segment, rows);
    for (uint64_t i = 0; i <= e->batch; i++) offset[i] = (uint32_t)(i * pixels);
    for (uint64_t i = 0; i < rows; i++) segment[i] = (uint32_t)(i / pixels);
    const bf_mem at[] = {bf_graph_mem(e->graph, to[0]), bf_graph_mem(e->graph, to[1])};
    if (!bf_mem_is_none(at[0])) BF_TRY(bf_write(e->ctx, at[0], offset, ((size_t)e->batch + 1) * sizeof *offset, err));
    if (!bf_mem_is_none(at[1])) BF_TRY(bf_write(e->ctx, at[1], segment, (size_t)rows * sizeof *segment, err));
out:
    free(offset);
    free(segment);
    return st;
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

bf_status bf_encoder_new(bf_ctx *ctx, const char *path, const uint32_t shape[3], uint32_t batch, bf_encoder **out,
                         bf_err *err)
{
    bf_status st = BF_OK;
    bf_encoder *e = NULL;
    bf_st *f = NULL;
    BF_NEW(e, 1);
    *e = (bf_encoder){.ctx = ctx, .path = path, .shape = {shape[0], shape[1], shape[2]}, .batch = batch};
    if (path) BF_TRY(bf_st_open(path, &f, err));
    BF_TRY(f ? layers_of_file(e, f, err) : random_layers(e, err));
    BF_TRY(fit(e, err));
    BF_TRY(build(e, err));
    for (int i = 0; i < e->layers; i++) BF_TRY(fill_layer(e, f, i, err));
    if (e->pooled) BF_TRY(fill_segments(e, err));
    e->path = NULL;
    *out = e;
    e = NULL;
out:
    bf_st_close(f);
    bf_encoder_free(e);
    return st;
}

void bf_encoder_free(bf_encoder *e)
{
    if (!e) return;
    bf_cmds_free(e->cmds);
    bf_graph_free(e->graph);
    bf_params_free(e->params);
    free(e->layer);
    free(e);
}

uint32_t bf_encoder_features(const bf_encoder *e)
{
    return e->features;
}

bf_status bf_encoder_run(bf_encoder *e, const float *x, uint32_t rows, float *features, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t dims = (uint64_t)e->shape[0] * e->shape[1] * e->shape[2];
    BF_TRY(bf_write(e->ctx, bf_graph_mem(e->graph, e->x), x, (size_t)(rows * dims) * sizeof *x, err));
    BF_TRY(bf_cmds_run(e->cmds, err));
    BF_TRY(bf_read(e->ctx, features, bf_graph_mem(e->graph, e->y), (size_t)rows * e->features * sizeof *features, err));
out:
    return st;
}
