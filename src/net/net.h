/*
 * Networks: functions that append nodes. One plain description holds every option, so that configurations fill it and
 * model files store it.
 *
 * Every network maps what the flow feeds it, and one time per sample, to numbers per variable:
 *   net_in [B,H,W,Cin], t [B]  ->  [B, H*W, channels, outputs]   (B * D * outputs elements, D = H W channels)
 *
 * With classes > 0 it is told a class label per sample, by the graph's inputs of bf_label_rows (net/layers.h). A vector
 * per class joins the code of the time: of the U-Nets behind its two layers, in front of the last activation; of the
 * transformer the vectors of all positions; of the mlp the first layer's result.
 */
#ifndef BF_NET_NET_H
#define BF_NET_NET_H

#include "net/adapters.h"

typedef enum bf_net_kind {
    BF_NET_UNET,        /* "UNetModel": MNIST */
    BF_NET_VDM_UNET,    /* "UNetVDM": CIFAR-10 */
    BF_NET_TRANSFORMER, /* "GPT": text; a point is a position, H W of them */
    BF_NET_MLP,         /* vectors and tables: net/mlp.h; whatever shape the data have is one row */
    BF_NET_UNIO2        /* molecules: net/unio2.h, which builds it */
} bf_net_kind;

#define BF_NET_LEVELS 8
#define BF_NET_BLOCKS 64
#define BF_NET_CLASSES 65536

typedef struct bf_net_config {
    bf_net_kind kind;
    bf_image_adapter input; /* height, width, channels of net_in; output = what the first layer gets. The transformer
                               takes only the sizes and learned_positions from here */
    int channels;           /* variables per point of the data */
    int outputs;            /* numbers per variable, bf_flow_outputs() */

    /* all */
    int width;  /* channels of the first level */
    int blocks; /* U-Nets: residual blocks on the way down, of a level or in all (one more on the way up) */
    int heads;
    float dropout; /* transformer: of the input and of what is added to it, not of attention weights */
    bool skip;     /* the input of the first layer joins the output layer */
    int classes;   /* of the labels that it is told; 0: it is told none */

    /* both U-Nets */
    int groups; /* of the group norms; 0: as many as leave 4 channels to a group, at most 32 (the official number) */

    /* U-Net */
    int levels;
    int mult[BF_NET_LEVELS]; /* width of a level as a multiple; the first is 1 */
    int attentions;
    int attention[BF_NET_LEVELS]; /* down-sampling rates 1, 2, 4, ... that get attention; the middle always has it */
    bool scale_shift;             /* time as scale and shift of the second norm, instead of a sum in front of it */
    bool project_input;           /* linear layer from the input features to `width` */
    int out_features;             /* channels of the last convolution; 0: width */

    /* VDM U-Net */
    bool fourier;              /* sines and cosines of the input join it */
    bool attention_everywhere; /* not only in the middle */

    /* transformer */
    bool bias;   /* in linear layers and norms */
    bool causal; /* a position sees itself and those before it */
} bf_net_config;

/* The released settings: MNIST (28 x 28 x 1), CIFAR-10 (32 x 32 x 3, one number per variable), text8 (256 characters,
 * 27 classes). */
bf_net_config bf_net_defaults(bf_net_kind kind);

/* BF_USAGE with one sentence when an option is out of range or two contradict each other. */
bf_status bf_net_check(const bf_net_config *c, bf_err *err);

/* Replaces the zeros that stand for "automatic" and checks everything. Warns through bf_log when the time signal would
 * be lost in the group norms. */
bf_status bf_net_resolve(bf_net_config *c, bf_err *err);

const char *bf_net_kind_name(bf_net_kind kind); /* "unet", "vdm-unet", "transformer", "mlp", "unio2" */

/* Registers the parameters under their official names (without "net.") and appends the network. `c` is resolved.
 * Labels inner outputs "act.<module>" as the official modules are called. */
bf_tid bf_net_build(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t);

/* One line for people: "unet 28x28, width 128 x (1,2,2), 2 blocks, 32 groups, attention in the middle". */
void bf_net_describe(const bf_net_config *c, char *text, size_t size);

#endif
