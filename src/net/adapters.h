/*
 * Input and output layers of the official networks ("adapters"), with their parameter names. `prefix` stands in front
 * of every name ("input_adapter.").
 */
#ifndef BF_NET_ADAPTERS_H
#define BF_NET_ADAPTERS_H

#include "net/layers.h"

/* FourierImageInputAdapter. Features of a point: [pixel channels, time (if time), position (if positions)]; a linear
 * layer brings them to `output` channels unless they already are that many. */
typedef struct bf_image_adapter {
    int height, width, channels;
    int output;
    bool time;           /* 2t - 1 */
    int time_resolution; /* > 0: time also as 2 bands sine and cosine codes of t * time_resolution */
    bool positions;
    bool learned_positions; /* a trained vector of position_size per point instead of the fixed code */
    int position_size;
    int bands; /* of the fixed position code: 4 bands + 2 numbers per point */
} bf_image_adapter;

/* The official defaults: 64 bands, positions and time on, learned size 32. */
bf_image_adapter bf_image_adapter_defaults(void);

/* Numbers per point before the linear layer. */
int bf_image_adapter_features(const bf_image_adapter *a);

/* x [B,H,W,C], t [B] -> [B, H*W, output]. The position code is registered whether it is used or not. */
bf_tid bf_image_adapter_build(bf_graph *g, const bf_image_adapter *a, const char *prefix, bf_tid x, bf_tid t);

/* Fixed position code of an image, [H*W, 4 bands + 2]: for coordinates in [-1,1] and bands spaced from 1 to half the
 * side [sin(pi row band), sin(pi column band), cos(pi row band), cos(pi column band), row, column]. */
void bf_image_positions(float *out, int height, int width, int bands);

/* TextInputAdapter: Linear(2 theta - 1) + position code + Linear(2t - 1). `length` positions have a code; sequences of
 * a graph that does not train may be shorter. */
typedef struct bf_text_adapter {
    int classes, length, output;
    bool learned_positions;
} bf_text_adapter;

/* theta [B,T,K], t [B] -> [B,T,output]; T <= length */
bf_tid bf_text_adapter_build(bf_graph *g, const bf_text_adapter *a, const char *prefix, bf_tid theta, bf_tid t);

/* Fixed position code of a sequence, [length, dim]: column j is sin (even j) or cos (odd j) of pos / 1000^(j / dim). */
void bf_text_positions(float *out, int length, int dim);

/* OutputAdapter: Linear from [B,P,input] to [B,P,channels,outputs]. `weight` and `bias` come from _params, which is
 * called first because the official order lists them in front of the network. */
typedef struct bf_output_adapter {
    int input, channels, outputs;
} bf_output_adapter;
bf_layer_params bf_output_adapter_params(bf_graph *g, const bf_output_adapter *a, const char *prefix);
bf_tid bf_output_adapter_build(bf_graph *g, const bf_output_adapter *a, bf_layer_params p, bf_tid x);

#endif
