/* Parameters of the usual layers, initialised as PyTorch does: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and
 * biases, ones and zeros for norms. `prefix` and `name` are joined: "input_blocks.1.0." "in_layers.2" -> .weight,
 * .bias. */
#ifndef BF_NET_LAYERS_H
#define BF_NET_LAYERS_H

#include "graph/graph.h"

#define BF_NET_NAME 192

typedef struct bf_layer_params {
    bf_tid weight, bias;
} bf_layer_params;

bf_layer_params bf_linear_params(bf_graph *g, const char *prefix, const char *name, int in, int out);
/* k = 1 keeps the plain layout: a 1x1 convolution is a linear layer over the channels. `zero`: starts as zeros. */
bf_layer_params bf_conv_params(bf_graph *g, const char *prefix, const char *name, int in, int out, int k, bool zero);
/* One-dimensional 1x1 convolution, weight [out,in,1]; a linear layer. */
bf_layer_params bf_conv1d_params(bf_graph *g, const char *prefix, const char *name, int in, int out, bool zero);
bf_layer_params bf_norm_params(bf_graph *g, const char *prefix, const char *name, int channels);

#endif
