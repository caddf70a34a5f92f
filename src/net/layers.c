#include "net/layers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* "weight" and "bias" of a layer; dims are those of the weight, the bias has dims[0] numbers. */
static bf_layer_params layer(bf_graph *g, const char *prefix, const char *name, int ndim, const uint64_t *dims,
                             bf_layout layout, bf_init init, float scale, bf_init bias_init)
{
    char full[BF_NET_NAME];
    bf_layer_params p;
    bf_param_spec s = {.name = full, .ndim = ndim, .layout = layout, .decay = true, .init = init, .init_scale = scale};

    memcpy(s.dims, dims, (size_t)ndim * sizeof *dims);
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    p.weight = bf_graph_param(g, &s);
    s.ndim = 1;
    s.layout = BF_LAYOUT_PLAIN;
    s.init = bias_init;
    snprintf(full, sizeof full, "%s%s.bias", prefix, name);
    p.bias = bf_graph_param(g, &s);
    return p;
}

static float fan_in_scale(int fan_in)
{
    return (float)(1.0 / sqrt((double)fan_in));
}

bf_layer_params bf_linear_params(bf_graph *g, const char *prefix, const char *name, int in, int out)
{
    const uint64_t dims[2] = {(uint64_t)out, (uint64_t)in};

    return layer(g, prefix, name, 2, dims, BF_LAYOUT_PLAIN, BF_INIT_UNIFORM, fan_in_scale(in), BF_INIT_UNIFORM);
}

bf_layer_params bf_conv_params(bf_graph *g, const char *prefix, const char *name, int in, int out, int k, bool zero)
{
    const uint64_t dims[4] = {(uint64_t)out, (uint64_t)in, (uint64_t)k, (uint64_t)k};
    const bf_init init = zero ? BF_INIT_ZERO : BF_INIT_UNIFORM;

    return layer(g, prefix, name, 4, dims, k == 1 ? BF_LAYOUT_PLAIN : BF_LAYOUT_CONV, init, fan_in_scale(in * k * k),
                 init);
}

bf_layer_params bf_conv1d_params(bf_graph *g, const char *prefix, const char *name, int in, int out, bool zero)
{
    const uint64_t dims[3] = {(uint64_t)out, (uint64_t)in, 1};
    const bf_init init = zero ? BF_INIT_ZERO : BF_INIT_UNIFORM;

    return layer(g, prefix, name, 3, dims, BF_LAYOUT_PLAIN, init, fan_in_scale(in), init);
}

bf_layer_params bf_norm_params(bf_graph *g, const char *prefix, const char *name, int channels)
{
    const uint64_t dims[1] = {(uint64_t)channels};

    return layer(g, prefix, name, 1, dims, BF_LAYOUT_PLAIN, BF_INIT_ONE, 0.0f, BF_INIT_ZERO);
}
