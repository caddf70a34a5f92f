/* Replays of kind network, adapters and embeddings. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"
#include "run/official.h"
#include "run/replay.h"

/* ---- network ----------------------------------------------------------------------------------------------------- */

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
            BF_TRY(bf_replay_compare_image(r, name, t, BF_VERIFY_FORWARD, err));
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

/* Where the network reads one time of a sample (VDM U-Net) or adds the same code everywhere (transformer), the stored
 * gradients of the data's times add up to ours. */
static bf_status compare_time_sum(bf_replay *r, bf_tid t, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t batch = bf_graph_numel(r->graph, t);
    float *mine = NULL, *stored = NULL, *sum = NULL;
    double *each = NULL, *tolerance = NULL;
    uint64_t n;

    BF_TRY(bf_replay_read(r, bf_graph_grad_of(r->graph, t), &mine, err));
    BF_TRY(bf_verify_read(r->v, "g_t", &stored, &n, err));
    BF_CHECK(n > 0 && n % batch == 0, BF_FILE, "%s: 'g_t' does not fit %llu samples", bf_st_name(bf_verify_file(r->v)),
             (unsigned long long)batch);
    BF_NEW(each, n);
    BF_NEW(sum, batch);
    BF_NEW(tolerance, batch);
    bf_verify_tolerances(r->v, "g_t", stored, n, BF_VERIFY_GRADIENT, each);
    for (uint64_t b = 0; b < batch; b++) {
        double total = 0.0;
        for (uint64_t i = b * (n / batch); i < (b + 1) * (n / batch); i++) {
            total += (double)stored[i];
            if (stored[i] != 0.0f) tolerance[b] += each[i];
        }
        sum[b] = (float)total;
    }
    bf_verify_array(r->v, "g_t", mine, sum, tolerance, batch);
out:
    free(mine);
    free(stored);
    free(sum);
    free(each);
    free(tolerance);
    return st;
}

/* Keep masks of a run with dropout become inputs, which the networks find by name (`fill`: after the plan). */
static bf_status keep_masks(bf_replay *r, bool fill, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(r->v);

    for (size_t i = 0; i < bf_st_count(f); i++) {
        const bf_st_tensor *t = bf_st_at(f, i);
        bf_tid mask;
        if (strncmp(t->name, "drop.", 5) != 0) continue;
        if (fill) {
            mask = bf_graph_find(r->graph, t->name);
            BF_TRY(t->ndim == 4 ? bf_replay_fill_image(r, mask, t->name, err)
                                : bf_replay_fill(r, mask, t->name, -1, err));
        } else {
            BF_TRY(t->ndim == 4 ? bf_replay_input_image(r, t->name, &mask, err)
                                : bf_replay_input(r, t->name, false, &mask, err));
        }
    }
out:
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
    BF_TRY(keep_masks(r, false, err));
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
    BF_TRY(keep_masks(r, true, err));
    BF_TRY(bf_replay_run(r, err));
    BF_TRY(inner_outputs(r, true, err));
    BF_TRY(bf_replay_compare(r, "out", e.out, BF_VERIFY_FORWARD, err));
    BF_TRY(bf_replay_compare(r, "loss", e.loss, BF_VERIFY_FORWARD, err));
    BF_TRY(bf_replay_compare(r, "g_x", bf_graph_grad_of(g, e.x), BF_VERIFY_GRADIENT, err));
    if (bf_st_find(bf_verify_file(r->v), "g_t"))
        BF_TRY(by_point >= 0 ? compare_time_gradient(r, e.x, e.t, by_point, err) : compare_time_sum(r, e.t, err));
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

    if (!net_class || !bf_official_net_known(net_class)) {
        bf_verify_skip(v, net_class ? net_class : "network", "this network is not implemented yet");
        return BF_OK;
    }
    BF_TRY(bf_official_parse(bf_st_name(f), bf_st_meta_get(f, "config"), &config, err));
    BF_TRY(bf_official_net(config, &c, err));
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
