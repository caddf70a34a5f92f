/* The network of vectors and tables. net/mlp.h */
#include "net/mlp.h"

#include <stdio.h>

#define EPS 1e-5f
#define RATIO 2 /* width inside a block */

static bf_tid linear(bf_graph *g, const char *prefix, const char *name, bf_tid x, int out, bf_act act)
{
    const bf_layer_params p = bf_linear_params(g, prefix, name, (int)bf_graph_dim(g, x, -1), out);

    return bf_graph_linear(g, x, p.weight, p.bias, act, BF_NONE);
}

static bf_tid norm(bf_graph *g, const char *prefix, bf_tid x)
{
    const bf_layer_params p = bf_norm_params(g, prefix, "norm", (int)bf_graph_dim(g, x, -1));

    return bf_graph_layer_norm(g, x, p.weight, p.bias, EPS);
}

static bf_tid block(bf_graph *g, const bf_net_config *c, int index, bf_tid x, bf_tid e)
{
    const int inner = RATIO * c->width;
    char prefix[BF_NET_NAME];
    bf_layer_params p;

    snprintf(prefix, sizeof prefix, "blocks.%d.", index);
    bf_graph_block(g);
    p = bf_linear_params(g, prefix, "time", c->width, inner);
    const bf_tid time = bf_graph_linear_shared(g, e, p.weight, p.bias);
    p = bf_linear_params(g, prefix, "fc1", c->width, inner);
    bf_tid h = bf_graph_linear(g, norm(g, prefix, x), p.weight, p.bias, BF_ACT_NONE, time);
    h = bf_dropout_layer(g, prefix, "dropout", bf_graph_act(g, h, BF_ACT_SILU), c->dropout);
    p = bf_zero_linear_params(g, prefix, "fc2", inner, c->width);
    return bf_graph_linear(g, h, p.weight, p.bias, BF_ACT_NONE, x);
}

/* All inputs, each as [B, numbers], side by side. */
static bf_tid side_by_side(bf_graph *g, int inputs, const bf_tid *in, uint64_t batch)
{
    bf_tid all = BF_NONE;

    for (int i = 0; i < inputs; i++) {
        const bf_tid x = bf_graph_reshape(g, in[i], 2, (uint64_t[]){batch, bf_graph_numel(g, in[i]) / batch});
        all = i ? bf_graph_concat(g, all, x) : x;
    }
    return all;
}

void bf_mlp_build(bf_graph *g, const bf_net_config *c, int inputs, const bf_tid *in, bf_tid t, int outputs,
                  const char *const *names, const uint64_t *sizes, bf_tid *out)
{
    bf_err failed;
    const uint64_t batch = bf_graph_status(g, &failed) == BF_OK ? BF_MAX(bf_graph_numel(g, t), (uint64_t)1) : 1;
    bf_tid first = linear(g, "", "input", side_by_side(g, inputs, in, batch), c->width, BF_ACT_NONE);
    if (c->classes > 0) first = bf_graph_add(g, first, bf_label_rows(g, c->classes, c->width, batch, false));
    bf_tid e = bf_graph_time_code(g, t, BF_CODE_UNET, c->width), x = first;

    e = linear(g, "", "time.0", e, c->width, BF_ACT_SILU);
    e = linear(g, "", "time.2", e, c->width, BF_ACT_SILU);
    for (int i = 0; i < c->blocks; i++) x = block(g, c, i, x, e);
    bf_graph_block_end(g);
    x = norm(g, "", x);
    if (c->skip) x = bf_graph_concat(g, x, first);
    for (int i = 0; i < outputs; i++) out[i] = linear(g, "", names[i], x, (int)sizes[i], BF_ACT_NONE);
}
