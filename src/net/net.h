/*
 * Networks: functions that append nodes. One plain description holds every option, so that configurations fill it and
 * model files store it.
 *
 * Every network maps what the flow feeds it, and one time per sample, to numbers per variable:
 *   net_in [B,H,W,Cin], t [B]  ->  [B, H*W, channels, outputs]   (B * D * outputs elements, D = H W channels)
 */
#ifndef BF_NET_NET_H
#define BF_NET_NET_H

#include "net/adapters.h"

typedef enum bf_net_kind { BF_NET_UNET } bf_net_kind;

#define BF_NET_LEVELS 8

typedef struct bf_net_config {
    bf_net_kind kind;
    bf_image_adapter input; /* height, width, channels of net_in; output = what the first layer gets */
    int channels;           /* variables per point of the data */
    int outputs;            /* numbers per variable, bf_flow_outputs() */

    /* U-Net */
    int width; /* channels of the first level */
    int levels;
    int mult[BF_NET_LEVELS]; /* width of a level as a multiple; the first is 1 */
    int blocks;              /* residual blocks per level on the way down (one more on the way up) */
    int attentions;
    int attention[BF_NET_LEVELS]; /* down-sampling rates 1, 2, 4, ... that get attention; the middle always has it */
    int heads;
    int groups; /* of the group norms; 0: as many as leave 4 channels to a group, at most 32 (the official number) */
    float dropout;
    bool scale_shift;   /* time as scale and shift of the second norm, instead of a sum in front of it */
    bool project_input; /* linear layer from the input features to `width` */
    bool skip;          /* its result joins the output layer */
    int out_features;   /* channels of the last convolution; 0: width */
} bf_net_config;

/* The released MNIST settings for one-channel 28 x 28 images. */
bf_net_config bf_net_defaults(bf_net_kind kind);

/* BF_USAGE with one sentence when an option is out of range or two contradict each other. */
bf_status bf_net_check(const bf_net_config *c, bf_err *err);

/* Replaces the zeros that stand for "automatic" and checks everything. Warns through bf_log when the time signal would
 * be lost in the group norms. */
bf_status bf_net_resolve(bf_net_config *c, bf_err *err);

const char *bf_net_kind_name(bf_net_kind kind); /* "unet" */

/* Registers the parameters under their official names (without "net.") and appends the network. `c` is resolved.
 * Labels inner outputs "act.<module>" as the official modules are called. */
bf_tid bf_net_build(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t);

/* One line for people: "unet 28x28, width 128 x (1,2,2), 2 blocks, 32 groups, attention in the middle". */
void bf_net_describe(const bf_net_config *c, char *text, size_t size);

#endif
