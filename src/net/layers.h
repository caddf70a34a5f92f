/* Parameters of the usual layers under their official names. `prefix` and `name` are joined: "input_blocks.1.0."
 * "in_layers.2" -> .weight, .bias. Where nothing else is said they start as PyTorch's do, U(-1/sqrt(fan_in),
 * 1/sqrt(fan_in)) for weights and biases, ones and zeros for norms, and weight decay applies to all of them. */
#ifndef BF_NET_LAYERS_H
#define BF_NET_LAYERS_H

#include "graph/graph.h"

#define BF_NET_NAME 192

typedef struct bf_layer_params {
    bf_tid weight, bias; /* bias: BF_NONE where the layer has none */
} bf_layer_params;

bf_layer_params bf_linear_params(bf_graph *g, const char *prefix, const char *name, int in, int out);
/* The same, but it starts as zeros. */
bf_layer_params bf_zero_linear_params(bf_graph *g, const char *prefix, const char *name, int in, int out);
/* No bias, starts as zeros. */
bf_tid bf_zero_linear_weight(bf_graph *g, const char *prefix, const char *name, int in, int out);
/* k = 1 keeps the plain layout: a 1x1 convolution is a linear layer over the channels. `zero`: starts as zeros. */
bf_layer_params bf_conv_params(bf_graph *g, const char *prefix, const char *name, int in, int out, int k, bool zero);
/* One-dimensional 1x1 convolution, weight [out,in,1]; a linear layer. */
bf_layer_params bf_conv1d_params(bf_graph *g, const char *prefix, const char *name, int in, int out, bool zero);
bf_layer_params bf_norm_params(bf_graph *g, const char *prefix, const char *name, int channels);

/* The same by the rules of the text transformer: weights N(0, sd^2), biases 0, and only the weights of linear layers
 * decay. */
#define BF_TEXT_SD 0.02f
bf_layer_params bf_text_linear_params(bf_graph *g, const char *prefix, const char *name, int in, int out, float sd,
                                      bool bias);
bf_layer_params bf_text_norm_params(bf_graph *g, const char *prefix, const char *name, int channels, bool bias);

/* A vector per class label: rows of the table "label_emb.weight" [classes + 1, width], whose last one stands for
 * "none"; [batch, width]. Labels are the graph's input "label" [batch], words; a graph that trains also has the lists
 * that gather wants: "label_offset" [classes + 2], "label_entry" [batch] (io/packed.h). They are made where they are
 * not there. The table starts as N(0, 1) as PyTorch's does, with `text` by the rules of the text transformer. */
bf_tid bf_label_rows(bf_graph *g, int classes, int width, uint64_t batch, bool text);

/* Dropout, called like the official module: a graph input "drop.PREFIX NAME" of the shape of x replaces the random keep
 * mask (golden files store such masks). */
bf_tid bf_dropout_layer(bf_graph *g, const char *prefix, const char *name, bf_tid x, float p);

/* The end of a residual block: convolution `conv`, 3x3, which starts at zero, of h, plus x; where their channels
 * differ, x goes through `skip`, 1x1. */
bf_tid bf_block_end(bf_graph *g, const char *prefix, const char *conv, const char *skip, bf_tid h, bf_tid x);

#endif
