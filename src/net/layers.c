#include "net/layers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* How the parameters of a layer start and whether they decay. */
typedef struct layer_rules {
    bf_layout layout;
    bf_init weight, bias;
    float scale; /* of both */
    bool has_bias, decay_weight, decay_bias;
} layer_rules;

/* "weight" and "bias" of a layer; dims are those of the weight, the bias has dims[0] numbers. */
static bf_layer_params layer(bf_graph *g, const char *prefix, const char *name, int ndim, const uint64_t *dims,
                             const layer_rules *r)
{
    char full[BF_NET_NAME];
    bf_layer_params p = {.bias = BF_NONE};
    bf_param_spec s = {.name = full,
                       .ndim = ndim,
                       .layout = r->layout,
                       .decay = r->decay_weight,
                       .init = r->weight,
                       .init_scale = r->scale};

    memcpy(s.dims, dims, (size_t)ndim * sizeof *dims);
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    p.weight = bf_graph_param(g, &s);
    if (!r->has_bias) return p;
    s.ndim = 1;
    s.layout = BF_LAYOUT_PLAIN;
    s.decay = r->decay_bias;
    s.init = r->bias;
    snprintf(full, sizeof full, "%s%s.bias", prefix, name);
    p.bias = bf_graph_param(g, &s);
    return p;
}

/* PyTorch's own start, everything decays; `zero`: both start as zeros. */
static layer_rules default_rules(int fan_in, bool zero)
{
    const bf_init init = zero ? BF_INIT_ZERO : BF_INIT_UNIFORM;

    return (layer_rules){.weight = init,
                         .bias = init,
                         .scale = (float)(1.0 / sqrt((double)fan_in)),
                         .has_bias = true,
                         .decay_weight = true,
                         .decay_bias = true};
}

bf_layer_params bf_linear_params(bf_graph *g, const char *prefix, const char *name, int in, int out)
{
    const layer_rules r = default_rules(in, false);

    return layer(g, prefix, name, 2, (uint64_t[]){(uint64_t)out, (uint64_t)in}, &r);
}

bf_layer_params bf_zero_linear_params(bf_graph *g, const char *prefix, const char *name, int in, int out)
{
    const layer_rules r = default_rules(in, true);

    return layer(g, prefix, name, 2, (uint64_t[]){(uint64_t)out, (uint64_t)in}, &r);
}

bf_tid bf_zero_linear_weight(bf_graph *g, const char *prefix, const char *name, int in, int out)
{
    layer_rules r = default_rules(in, true);

    r.has_bias = false;
    return layer(g, prefix, name, 2, (uint64_t[]){(uint64_t)out, (uint64_t)in}, &r).weight;
}

bf_layer_params bf_conv_params(bf_graph *g, const char *prefix, const char *name, int in, int out, int k, bool zero)
{
    layer_rules r = default_rules(in * k * k, zero);

    r.layout = k == 1 ? BF_LAYOUT_PLAIN : BF_LAYOUT_CONV;
    return layer(g, prefix, name, 4, (uint64_t[]){(uint64_t)out, (uint64_t)in, (uint64_t)k, (uint64_t)k}, &r);
}

bf_layer_params bf_conv1d_params(bf_graph *g, const char *prefix, const char *name, int in, int out, bool zero)
{
    const layer_rules r = default_rules(in, zero);

    return layer(g, prefix, name, 3, (uint64_t[]){(uint64_t)out, (uint64_t)in, 1}, &r);
}

bf_layer_params bf_norm_params(bf_graph *g, const char *prefix, const char *name, int channels)
{
    layer_rules r = default_rules(1, true);

    r.weight = BF_INIT_ONE;
    return layer(g, prefix, name, 1, (uint64_t[]){(uint64_t)channels}, &r);
}

bf_layer_params bf_text_linear_params(bf_graph *g, const char *prefix, const char *name, int in, int out, float sd,
                                      bool bias)
{
    const layer_rules r = {
        .weight = BF_INIT_NORMAL, .bias = BF_INIT_ZERO, .scale = sd, .has_bias = bias, .decay_weight = true};

    return layer(g, prefix, name, 2, (uint64_t[]){(uint64_t)out, (uint64_t)in}, &r);
}

bf_layer_params bf_text_norm_params(bf_graph *g, const char *prefix, const char *name, int channels, bool bias)
{
    const layer_rules r = {.weight = BF_INIT_ONE, .bias = BF_INIT_ZERO, .has_bias = bias};

    return layer(g, prefix, name, 1, (uint64_t[]){(uint64_t)channels}, &r);
}

static bf_tid found_or_input(bf_graph *g, const char *name, uint64_t n)
{
    const bf_tid t = bf_graph_find(g, name);

    return t >= 0 ? t : bf_graph_input(g, name, 1, &n);
}

bf_tid bf_label_rows(bf_graph *g, int classes, int width, uint64_t batch, bool text)
{
    const uint64_t rows = (uint64_t)classes + 1;
    const bf_param_spec s = {.name = "label_emb.weight",
                             .ndim = 2,
                             .dims = {rows, (uint64_t)width},
                             .decay = !text,
                             .init = BF_INIT_NORMAL,
                             .init_scale = text ? BF_TEXT_SD : 1.0f};
    const bf_tid table = bf_graph_param(g, &s), label = found_or_input(g, "label", batch);
    const bool lists = bf_graph_training(g);
    const bf_tid offset = lists ? found_or_input(g, "label_offset", rows + 1) : BF_NONE;
    const bf_tid entry = lists ? found_or_input(g, "label_entry", batch) : BF_NONE;

    return bf_graph_gather(g, table, label, offset, entry);
}

bf_tid bf_dropout_layer(bf_graph *g, const char *prefix, const char *name, bf_tid x, float p)
{
    char full[BF_NET_NAME];

    if (p <= 0.0f || !bf_graph_training(g)) return x;
    snprintf(full, sizeof full, "drop.%s%s", prefix, name);
    return bf_graph_dropout(g, x, p, bf_graph_find(g, full));
}

bf_tid bf_block_end(bf_graph *g, const char *prefix, const char *conv, const char *skip, bf_tid h, bf_tid x)
{
    const int in = (int)bf_graph_dim(g, x, -1), out = (int)bf_graph_dim(g, h, -1);
    const bf_layer_params p = bf_conv_params(g, prefix, conv, out, out, 3, true);

    if (in != out) {
        const bf_layer_params q = bf_conv_params(g, prefix, skip, in, out, 1, false);
        x = bf_graph_linear(g, x, q.weight, q.bias, BF_ACT_NONE, BF_NONE);
    }
    return bf_graph_conv(g, h, p.weight, p.bias, 1, BF_NONE, x);
}
