/*
 * Features of pictures: a small network of convolutions and linear layers whose weights come from a file, or are fixed
 * random numbers.
 *
 * It reads pictures [H,W,C] with values in [-1, 1]. First all convolutions, 3x3 with a border of zeros or 1x1, then all
 * linear layers, each with a bias or without; a ReLU after every layer but the last. A first linear layer that reads as
 * many numbers as there are channels gets their means over the picture, one that reads them all gets them in PyTorch's
 * order [C,H,W]. Without linear layers the features are the channels' means.
 *
 * From a file (.safetensors): "NAME.weight" [out,in,k,k] or [out,in] and "NAME.bias" [out], any floating type. Names
 * end in numbers, as PyTorch's nn.Sequential gives them ("0.weight", "net.2.bias"): convolutions are in their order,
 * and so are linear layers. Convolutions have stride 2, unless the file's metadata has "strides", such as "1,2,2", one
 * for each.
 *
 * Random (BF_ENCODER_SEED): 3x3 convolutions of stride 2 to 16, 32, 64, ... channels until no side is longer than 4,
 * then a linear layer to 128 features. Weight e of layer l is number e of the normals of bf_philox(BF_ENCODER_SEED,
 * sample l, step 0, BF_STREAM_INIT) times sqrt(2 / in) (in: weights of one output), of the last layer sqrt(1 / in), in
 * the order [out,in,k,k], a flattened picture being [C,H,W]; no biases.
 */
#ifndef BF_RUN_ENCODER_H
#define BF_RUN_ENCODER_H

#include "graph/graph.h"

#define BF_ENCODER_SEED 1
enum { BF_ENCODER_LAYERS = 64, BF_ENCODER_FEATURES = 1024, BF_ENCODER_WIDTH = 16384 };

typedef struct bf_encoder bf_encoder;

/* For pictures of height, width and channels `shape`, up to `batch` at a time. `path` NULL: random. BF_FILE for a file
 * that holds something else, or whose layers do not fit the pictures or each other. */
bf_status bf_encoder_new(bf_ctx *ctx, const char *path, const uint32_t shape[3], uint32_t batch, bf_encoder **out,
                         bf_err *err);
void bf_encoder_free(bf_encoder *e);
uint32_t bf_encoder_features(const bf_encoder *e);
/* x [rows,H,W,C] -> features [rows,F]; rows <= batch. */
bf_status bf_encoder_run(bf_encoder *e, const float *x, uint32_t rows, float *features, bf_err *err);

#endif
