/*
 * tanh(x) is p_0 - p_1 of the softmax of (x, -x): the first layer has every unit twice, with both signs, and so has the
 * second.
 */
#include "run/verify_tanh.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"

#define MAX_WIDTH (UINT64_C(1) << 24)

enum { W1, B1, V1, W2, B2, PARTS };
static const char *const names[PARTS] = {"w1", "b1", "v1", "w2", "b2"};

void bf_tanh_close(bf_tanh_net *net)
{
    for (int i = 0; i < PARTS; i++) free(net->host[i]);
    memset(net->host, 0, sizeof net->host);
}

/* Row `unit` of the first layer: weights of the flow's input, and what belongs to the bias. Of two classes the input is
 * x = 2 theta_0 - 1: theta = ((1 + x) / 2, (1 - x) / 2). */
static double fold_row(const float *w, uint64_t dims, bool two, double scale, double shift, double *out)
{
    double bias = 0.0;
    for (uint64_t d = 0; d < dims; d++) {
        if (two) {
            out[d] = 0.5 * scale * ((double)w[2 * d] - (double)w[2 * d + 1]);
            bias += (0.5 * scale + shift) * ((double)w[2 * d] + (double)w[2 * d + 1]);
        } else {
            out[d] = scale * (double)w[d];
            bias += shift * (double)w[d];
        }
    }
    return bias;
}

static bf_status first_layer(bf_tanh_net *net, const float *w1, const float *b1, const float *v1, bool two,
                             double scale, double shift, bf_err *err)
{
    bf_status st = BF_OK;
    double *row = NULL;
    BF_NEW(row, net->in);
    BF_NEW(net->host[W1], 2 * net->hidden * net->in);
    BF_NEW(net->host[B1], 2 * net->hidden);
    BF_NEW(net->host[V1], 2 * net->hidden);
    for (uint64_t h = 0; h < 2 * net->hidden; h++) {
        const double sign = h % 2 ? -1.0 : 1.0;
        const double bias = fold_row(w1 + h / 2 * net->in * (two ? 2 : 1), net->in, two, scale, shift, row);
        for (uint64_t d = 0; d < net->in; d++) net->host[W1][h * net->in + d] = (float)(sign * row[d]);
        net->host[B1][h] = (float)(sign * ((double)b1[h / 2] + bias));
        net->host[V1][h] = (float)(sign * (double)v1[h / 2]);
    }
out:
    free(row);
    return st;
}

static bf_status second_layer(bf_tanh_net *net, const float *w2, const float *b2, bool two, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t hidden = net->hidden;
    BF_NEW(net->host[W2], net->out * 2 * hidden);
    BF_NEW(net->host[B2], net->out);
    for (uint64_t o = 0; o < net->out; o++) {
        const float *row = w2 + (two ? 2 * o + 1 : o) * hidden;
        for (uint64_t h = 0; h < 2 * hidden; h++) {
            const float w = two ? row[h / 2] - row[h / 2 - hidden] : row[h / 2]; /* logit of class one alone */
            net->host[W2][o * 2 * hidden + h] = h % 2 ? -w : w;
        }
        net->host[B2][o] = two ? b2[2 * o + 1] - b2[2 * o] : b2[o];
    }
out:
    return st;
}

bf_status bf_tanh_open(const bf_verify *v, const bf_flow *f, uint64_t dims, double scale, double shift,
                       bf_tanh_net *net, bf_err *err)
{
    static const char *const stored[PARTS] = {"net.W1", "net.b1", "net.v1", "net.W2", "net.b2"};
    bf_status st = BF_OK;
    const bool classes = f->kind == BF_FLOW_CATEGORICAL, two = classes && f->classes == 2;
    const uint64_t width = dims * (uint64_t)(classes ? f->classes : 1);
    float *raw[PARTS] = {NULL};
    uint64_t n[PARTS];
    *net = (bf_tanh_net){.in = dims * (uint64_t)bf_flow_inputs(f), .out = dims * (uint64_t)bf_flow_outputs(f)};
    for (int i = 0; i < PARTS; i++) BF_TRY(bf_verify_read(v, stored[i], &raw[i], &n[i], err));
    net->hidden = n[B1];
    BF_CHECK(n[B1] > 0 && n[B1] < MAX_WIDTH && width < MAX_WIDTH && n[V1] == n[B1] && n[B2] == width &&
                 n[W1] == n[B1] * width && n[W2] == n[B1] * width,
             BF_FILE, "net.*: the shapes do not fit each other or the state");
    BF_TRY(first_layer(net, raw[W1], raw[B1], raw[V1], two, scale, shift, err));
    BF_TRY(second_layer(net, raw[W2], raw[B2], two, err));
out:
    for (int i = 0; i < PARTS; i++) free(raw[i]);
    return st;
}

static bf_tid param(bf_graph *g, int which, int ndim, uint64_t rows, uint64_t cols)
{
    const bf_param_spec spec = {.name = names[which], .ndim = ndim, .dims = {rows, cols}, .init = BF_INIT_ZERO};
    return bf_graph_param(g, &spec);
}

void bf_tanh_build(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    const bf_tanh_net *net = user;
    const uint64_t batch = bf_graph_dim(g, t, 0), flat[] = {batch, net->in}, column[] = {batch, 1};
    const uint64_t pairs[] = {batch, net->hidden, 2}, units[] = {batch, 2 * net->hidden};
    const bf_tid w1 = param(g, W1, 2, 2 * net->hidden, net->in), b1 = param(g, B1, 1, 2 * net->hidden, 1);
    const bf_tid v1 = param(g, V1, 2, 2 * net->hidden, 1);
    const bf_tid w2 = param(g, W2, 2, net->out, 2 * net->hidden), b2 = param(g, B2, 1, net->out, 1);
    const bf_tid by_time = bf_graph_linear(g, bf_graph_reshape(g, t, 2, column), v1, BF_NONE, BF_ACT_NONE, BF_NONE);
    const bf_tid x = bf_graph_linear(g, bf_graph_reshape(g, *input, 2, flat), w1, b1, BF_ACT_NONE, by_time);
    const bf_tid p = bf_graph_softmax(g, bf_graph_reshape(g, x, 3, pairs));
    *out = bf_graph_linear(g, bf_graph_reshape(g, p, 2, units), w2, b2, BF_ACT_NONE, BF_NONE);
}

bf_status bf_tanh_fill(const bf_tanh_net *net, bf_params *params, bf_err *err)
{
    bf_status st = BF_OK;
    for (int i = 0; i < PARTS; i++)
        BF_TRY(bf_params_set(params, BF_SET_VALUE, bf_params_find(params, names[i]), net->host[i], err));
out:
    return st;
}
