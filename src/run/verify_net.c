/* Replays of kind network, adapters and embeddings. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"
#include "run/official.h"
#include "run/replay.h"

/* ---- network ----------------------------------------------------------------------------------------------------- */

/* Images are stored [B,C,H,W], ours are [B,H,W,C]. */
static bf_status compare_image(bf_replay *r, const char *name, bf_tid t, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_graph *g = r->graph;
    const size_t batch = bf_graph_dim(g, t, 0), points = bf_graph_dim(g, t, 1) * bf_graph_dim(g, t, 2);
    const size_t ch = bf_graph_dim(g, t, 3), n = batch * points * ch;
    float *mine = NULL, *turned = NULL;

    BF_TRY(bf_replay_read(r, t, &mine, err));
    BF_NEW(turned, n);
    for (size_t b = 0; b < batch; b++)
        for (size_t p = 0; p < points; p++)
            for (size_t c = 0; c < ch; c++) turned[(b * ch + c) * points + p] = mine[(b * points + p) * ch + c];
    bf_verify_tensor(r->v, name, turned, n, BF_VERIFY_FORWARD);
out:
    free(mine);
    free(turned);
    return st;
}

/* Inner outputs of the file: keeps those the graph has (before the plan), or compares them (after the run). */
static bf_status inner_outputs(bf_replay *r, bool compare, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(r->v);

    for (size_t i = 0; i < bf_st_count(f); i++) {
        const char *name = bf_st_at(f, i)->name;
        if (strncmp(name, "act.", 4) != 0) continue;
        const bf_tid t = bf_graph_find(r->graph, name);
        if (!compare)
            bf_graph_keep(r->graph, t);
        else if (t < 0)
            bf_verify_skip(r->v, name, "no such inner output");
        else if (bf_graph_ndim(r->graph, t) == 4 && strcmp(name, "act.input_projection") != 0)
            BF_TRY(compare_image(r, name, t, err));
        else
            BF_TRY(bf_replay_compare(r, name, t, BF_VERIFY_FORWARD, err));
    }
out:
    return st;
}

/* Stored per element of the input: every point's first channel carries 2t - 1, the first element also the time code. */
static bf_status compare_time_gradient(bf_replay *r, bf_tid x, bf_tid t, bf_tid by_point, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t batch = bf_graph_numel(r->graph, t), n = bf_graph_numel(r->graph, x);
    const size_t points = bf_graph_numel(r->graph, by_point) / batch, ch = n / (batch * points);
    float *point = NULL, *sum = NULL, *mine = NULL;

    BF_TRY(bf_replay_read(r, by_point, &point, err));
    BF_TRY(bf_replay_read(r, bf_graph_grad_of(r->graph, t), &sum, err));
    BF_NEW(mine, n);
    for (size_t b = 0; b < batch; b++) {
        double first = sum[b];
        for (size_t p = 1; p < points; p++) {
            mine[(b * points + p) * ch] = point[b * points + p];
            first -= point[b * points + p];
        }
        mine[b * points * ch] = (float)first;
    }
    bf_verify_tensor(r->v, "g_t", mine, n, BF_VERIFY_GRADIENT);
out:
    free(point);
    free(sum);
    free(mine);
    return st;
}

typedef struct ends {
    bf_tid x, t, out, weight, loss;
} ends;

static bf_status replay_network(bf_replay *r, const bf_net_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    bf_graph *g = r->graph;
    ends e;

    BF_TRY(bf_replay_input(r, "x", false, &e.x, err));
    BF_TRY(bf_replay_input(r, "t", false, &e.t, err));
    BF_TRY(bf_replay_input(r, "out_weight", false, &e.weight, err));
    bf_graph_want_grad(g, e.x);
    bf_graph_want_grad(g, e.t);
    e.out = bf_net_build(g, c, e.x, e.t);
    e.loss = bf_graph_dot(g, e.out, e.weight);
    bf_graph_keep(g, e.out);
    bf_graph_keep(g, e.loss);
    BF_TRY(inner_outputs(r, false, err));
    BF_TRY(bf_graph_backward(g, e.loss, BF_NONE, err));
    const bf_tid by_point = bf_graph_find(g, "grad.features.t");
    bf_graph_keep(g, by_point);
    BF_TRY(bf_replay_prepare(r, 1u << BF_SET_VALUE | 1u << BF_SET_GRAD, "w.net.", "b.net.", err));
    BF_TRY(bf_replay_fill(r, e.x, "x", -1, err));
    BF_TRY(bf_replay_fill(r, e.t, "t", -1, err));
    BF_TRY(bf_replay_fill(r, e.weight, "out_weight", -1, err));
    BF_TRY(bf_replay_run(r, err));
    BF_TRY(inner_outputs(r, true, err));
    BF_TRY(bf_replay_compare(r, "out", e.out, BF_VERIFY_FORWARD, err));
    BF_TRY(bf_replay_compare(r, "loss", e.loss, BF_VERIFY_FORWARD, err));
    BF_TRY(bf_replay_compare(r, "g_x", bf_graph_grad_of(g, e.x), BF_VERIFY_GRADIENT, err));
    if (by_point >= 0 && bf_st_find(bf_verify_file(r->v), "g_t"))
        BF_TRY(compare_time_gradient(r, e.x, e.t, by_point, err));
    BF_TRY(bf_replay_params(r, BF_SET_GRAD, "g.net.", BF_VERIFY_GRADIENT, err));
out:
    return st;
}

bf_status bf_verify_network(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    const char *net_class = bf_st_meta_get(f, "net_class");
    bf_replay r = {.v = v};
    bf_net_config c;
    json_t *config = NULL;

    if (!net_class || strcmp(net_class, "UNetModel") != 0) {
        bf_verify_skip(v, net_class ? net_class : "network", "this network is not implemented yet");
        return BF_OK;
    }
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "config"), &config, err));
    BF_TRY(bf_official_unet(config, &c, err));
    const char *mode = bf_st_meta_get(f, "mode");
    if (mode && strcmp(mode, "eval") == 0) c.dropout = 0.0f;
    BF_TRY(bf_replay_new(&r, v, err));
    BF_TRY(replay_network(&r, &c, err));
out:
    bf_replay_free(&r);
    json_decref(config);
    return st;
}

/* ---- adapters ---------------------------------------------------------------------------------------------------- */

#define NAME_SIZE 256

static const char *join(char *name, const char *a, const char *b)
{
    snprintf(name, NAME_SIZE, "%s.%s", a, b);
    return name;
}

/* BF_NONE with *known false for a class that is not an adapter. */
static bf_status build_adapter(bf_replay *r, const json_t *part, const ends *e, bf_tid *out, bool *known, bf_err *err)
{
    bf_status st = BF_OK;
    const char *name = bf_official_class(part);
    bf_image_adapter image;
    bf_text_adapter text;
    bf_output_adapter last;

    *known = true;
    if (strcmp(name, "FourierImageInputAdapter") == 0) {
        BF_TRY(bf_official_image_adapter(part, &image, err));
        *out = bf_image_adapter_build(r->graph, &image, "", e->x, e->t);
    } else if (strcmp(name, "TextInputAdapter") == 0) {
        BF_TRY(bf_official_text_adapter(part, &text, err));
        *out = bf_text_adapter_build(r->graph, &text, "", e->x, e->t);
    } else if (strcmp(name, "OutputAdapter") == 0) {
        BF_TRY(bf_official_output_adapter(part, &last, err));
        *out = bf_output_adapter_build(r->graph, &last, bf_output_adapter_params(r->graph, &last, ""), e->x);
    } else {
        *known = false;
    }
out:
    return st;
}

static bf_status run_adapter(bf_replay *r, const char *name, const ends *e, bf_err *err)
{
    bf_status st = BF_OK;
    char text[NAME_SIZE], prefix[NAME_SIZE];

    BF_TRY(bf_graph_backward(r->graph, e->loss, BF_NONE, err));
    BF_TRY(bf_replay_prepare(r, 1u << BF_SET_VALUE | 1u << BF_SET_GRAD, join(prefix, name, "w."), prefix, err));
    BF_TRY(bf_replay_fill(r, e->x, join(text, name, "x"), -1, err));
    if (e->t >= 0) BF_TRY(bf_replay_fill(r, e->t, join(text, name, "t"), -1, err));
    BF_TRY(bf_replay_fill(r, e->weight, join(text, name, "out_weight"), -1, err));
    BF_TRY(bf_replay_run(r, err));
    BF_TRY(bf_replay_compare(r, join(text, name, "out"), e->out, BF_VERIFY_FORWARD, err));
    BF_TRY(bf_replay_compare(r, join(text, name, "g_x"), bf_graph_grad_of(r->graph, e->x), BF_VERIFY_GRADIENT, err));
    BF_TRY(bf_replay_params(r, BF_SET_GRAD, join(prefix, name, "g."), BF_VERIFY_GRADIENT, err));
out:
    return st;
}

static bf_status replay_adapter(bf_verify *v, const char *name, const json_t *part, bf_err *err)
{
    bf_status st = BF_OK;
    char text[NAME_SIZE];
    ends e = {.t = BF_NONE};
    bool known;
    bf_replay r = {.v = v};

    BF_TRY(bf_replay_new(&r, v, err));
    BF_TRY(bf_replay_input(&r, join(text, name, "x"), false, &e.x, err));
    BF_TRY(bf_replay_input(&r, join(text, name, "out_weight"), false, &e.weight, err));
    if (bf_st_find(bf_verify_file(v), join(text, name, "t"))) BF_TRY(bf_replay_input(&r, text, false, &e.t, err));
    bf_graph_want_grad(r.graph, e.x);
    BF_TRY(build_adapter(&r, part, &e, &e.out, &known, err));
    if (!known) {
        bf_verify_skip(v, name, "this adapter is not implemented yet");
        goto out;
    }
    e.loss = bf_graph_dot(r.graph, e.out, e.weight);
    bf_graph_keep(r.graph, e.out);
    BF_TRY(run_adapter(&r, name, &e, err));
out:
    bf_replay_free(&r);
    return st;
}

bf_status bf_verify_adapters(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);
    json_t *config = NULL;

    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "config"), &config, err));
    for (void *it = json_object_iter(config); it; it = json_object_iter_next(config, it))
        BF_TRY(replay_adapter(v, json_object_iter_key(it), json_object_iter_value(it), err));
out:
    json_decref(config);
    return st;
}

/* ---- embeddings -------------------------------------------------------------------------------------------------- */

#define PI 3.14159265358979323846

/* Runs a code over all elements of `from` (mapped by a x + b on the host, as the official code does): [n,dim]. */
static bf_status run_code(bf_verify *v, const char *from, double a, double b, bf_time_code kind, int dim, float **out,
                          float **angles, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay r = {.v = v};
    float *x = NULL;

    BF_TRY(bf_replay_new(&r, v, err));
    BF_TRY(bf_verify_read(v, from, &x, n, err));
    for (uint64_t i = 0; i < *n; i++) x[i] = (float)a * (x[i] + (float)b);
    const bf_tid t = bf_graph_input(r.graph, "t", 1, n), y = bf_graph_time_code(r.graph, t, kind, dim);
    bf_graph_keep(r.graph, y);
    BF_TRY(bf_graph_status(r.graph, err));
    BF_TRY(bf_graph_plan(r.graph, true, NULL, err));
    BF_TRY(bf_graph_emit(r.graph, r.cmds, err));
    BF_TRY(bf_write(bf_verify_ctx(v), bf_graph_mem(r.graph, t), x, (size_t)*n * sizeof *x, err));
    BF_TRY(bf_replay_run(&r, err));
    BF_TRY(bf_replay_read(&r, y, out, err));
    *angles = x;
    x = NULL;
out:
    free(x);
    bf_replay_free(&r);
    return st;
}

/* Angular speed of the fastest column: the argument of a sine is a float32 product and carries that rounding. */
static double top_speed(bf_time_code kind, int dim)
{
    switch (kind) {
    case BF_CODE_UNET: return 4000.0;
    case BF_CODE_VDM: return 1000.0;
    case BF_CODE_FOURIER: return 2.0 * PI * ldexp(1.0, 4 + dim / 2);
    case BF_CODE_POSITION: break;
    }
    return 1.0;
}

/* Compares [n,dim] with the stored tensor; `inner` > 0: that is stored [.., dim, channels, inner] (Fourier features of
 * an image). A few roundings of the largest angle of each element are allowed. */
static bf_status compare_code(bf_verify *v, const char *name, const float *mine, const float *x, uint64_t n, int dim,
                              double speed, uint64_t channels, uint64_t inner, bf_err *err)
{
    bf_status st = BF_OK;
    float *stored = NULL, *turned = NULL;
    double *tolerance = NULL;
    uint64_t count;

    BF_TRY(bf_verify_read(v, name, &stored, &count, err));
    BF_CHECK(count == n * (uint64_t)dim, BF_FILE, "%s: tensor '%s' has %llu elements, not %llu",
             bf_st_name(bf_verify_file(v)), name, (unsigned long long)count, (unsigned long long)(n * (uint64_t)dim));
    BF_NEW(turned, count);
    BF_NEW(tolerance, count);
    for (uint64_t i = 0; i < n; i++)
        for (int k = 0; k < dim; k++) {
            uint64_t at = i * (uint64_t)dim + (uint64_t)k;
            if (inner > 0) {
                const uint64_t b = i / (channels * inner), c = i / inner % channels, p = i % inner;
                at = ((b * (uint64_t)dim + (uint64_t)k) * channels + c) * inner + p;
            }
            turned[at] = mine[i * (uint64_t)dim + (uint64_t)k];
            tolerance[at] = 2e-6 + 3e-7 * speed * fabs((double)x[i]);
        }
    bf_verify_array(v, name, turned, stored, tolerance, count);
out:
    free(stored);
    free(turned);
    free(tolerance);
    return st;
}

static bf_status replay_code(bf_verify *v, const char *name, const char *from, double a, double b, bf_time_code kind,
                             int dim, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL, *x = NULL;
    uint64_t n, channels = 1, inner = 0;
    const bf_st_tensor *t;

    BF_TRY(bf_st_need(bf_verify_file(v), from, &t, err));
    if (kind == BF_CODE_FOURIER) {
        BF_CHECK(t->ndim == 4 && t->count > 0, BF_FILE, "%s: tensor '%s' is no image", bf_st_name(bf_verify_file(v)),
                 from);
        channels = t->dims[1];
        inner = t->dims[2] * t->dims[3];
    }
    BF_TRY(run_code(v, from, a, b, kind, dim, &mine, &x, &n, err));
    BF_TRY(compare_code(v, name, mine, x, n, dim, top_speed(kind, dim), channels, inner, err));
out:
    free(mine);
    free(x);
    return st;
}

/* Position tables are made on the host: element count and content. */
static bf_status compare_positions(bf_verify *v, const char *name, int rows, int cols, int bands, bf_err *err)
{
    bf_status st = BF_OK;
    const int width = bands > 0 ? 4 * bands + 2 : cols;
    const size_t points = bands > 0 ? (size_t)rows * (size_t)cols : (size_t)rows, n = points * (size_t)width;
    float *mine = NULL;

    BF_NEW(mine, n);
    if (bands > 0)
        bf_image_positions(mine, rows, cols, bands);
    else
        bf_text_positions(mine, rows, cols);
    /* sin and cos of up to pi side / 2, or of the position itself */
    bf_verify_within(v, name, mine, n, 2e-6 + 1.2e-7 * (bands > 0 ? PI * BF_MAX(rows, cols) / 2 : rows), NULL);
out:
    free(mine);
    return st;
}

static bool small(int n)
{
    return n >= 1 && n <= 4096;
}

static bf_status replay_embedding(bf_verify *v, const char *name, bf_err *err)
{
    int a, b, c;

    if (sscanf(name, "unet_model.dim%d", &a) == 1 && small(a))
        return replay_code(v, name, "t", 1.0, 0.0, BF_CODE_UNET, a, err);
    if (sscanf(name, "unet_vdm.dim%d", &a) == 1 && small(a))
        return replay_code(v, name, "t", 1.0, 0.0, BF_CODE_VDM, a, err);
    if (sscanf(name, "float_pos.res%d_size%d", &a, &b) == 2 && small(a) && small(b))
        return replay_code(v, name, "float_pos.x", a / 2.0, 1.0, BF_CODE_POSITION, b, err);
    if (strcmp(name, "vdm_fourier.out") == 0)
        return replay_code(v, name, "vdm_fourier.x", 1.0, 0.0, BF_CODE_FOURIER, 4, err);
    if (sscanf(name, "text_pos.%dx%d", &a, &b) == 2 && small(a) && small(b))
        return compare_positions(v, name, a, b, 0, err);
    if (sscanf(name, "image_pos.%dx%d_bands%d", &a, &b, &c) == 3 && small(a) && small(b) && small(c))
        return compare_positions(v, name, a, b, c, err);
    if (strcmp(name, "t") != 0 && strcmp(name, "float_pos.x") != 0 && strcmp(name, "vdm_fourier.x") != 0)
        bf_verify_skip(v, name, "this code is not known");
    return BF_OK;
}

bf_status bf_verify_embeddings(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(v);

    for (size_t i = 0; i < bf_st_count(f); i++) BF_TRY(replay_embedding(v, bf_st_at(f, i)->name, err));
out:
    return st;
}
