/*
 * The official CIFAR-10 U-Net, after Variational Diffusion Models: one resolution throughout. Residual block:
 * GN-SiLU-conv3, plus a bias-free Linear(cond) per channel, GN-SiLU-dropout-conv3, plus the input (through a 1x1
 * convolution where widths differ). Attention: GN, q k v, softmax, projection, plus the input. Every output of the way
 * down joins the input of a block on the way up, last first. For recomputation (graph.h) each residual block with the
 * concatenation in front of it and each attention is a block.
 */
#include "net/vdm_unet.h"

#include <stdio.h>

#define EPS 1e-5f

typedef struct vdm {
    bf_graph *g;
    const bf_net_config *c;
    bf_tid cond; /* [B, 4 width] */
} vdm;

static int channels_of(const vdm *u, bf_tid x)
{
    return (int)bf_graph_dim(u->g, x, -1);
}

static bf_tid norm(const vdm *u, const char *prefix, const char *name, bf_tid x, bf_act act)
{
    const bf_layer_params p = bf_norm_params(u->g, prefix, name, channels_of(u, x));

    return bf_graph_group_norm(u->g, x, p.weight, p.bias, u->c->groups, EPS, act, BF_NONE);
}

/* Parameters are registered in the official order: net1, cond_proj, net2, skip_conv. */
static bf_tid res_block(const vdm *u, const char *prefix, bf_tid x)
{
    bf_graph *g = u->g;
    const int in = channels_of(u, x), out = u->c->width;
    bf_tid h = norm(u, prefix, "net1.0", x, BF_ACT_SILU);
    const bf_layer_params conv1 = bf_conv_params(g, prefix, "net1.2", in, out, 3, false);
    const bf_tid proj = bf_zero_linear_weight(g, prefix, "cond_proj", channels_of(u, u->cond), out);
    const bf_tid time = bf_graph_linear_shared(g, u->cond, proj, BF_NONE);

    h = bf_graph_conv(g, h, conv1.weight, conv1.bias, 1, time, BF_NONE);
    h = norm(u, prefix, "net2.0", h, BF_ACT_SILU);
    h = bf_dropout_layer(g, prefix, "net2.2", h, u->c->dropout);
    return bf_block_end(g, prefix, "net2.3", "skip_conv", h, x);
}

static bf_tid attention(const vdm *u, const char *prefix, bf_tid x)
{
    bf_graph *g = u->g;
    const int ch = channels_of(u, x);
    const uint64_t dims[4] = {bf_graph_dim(g, x, 0), bf_graph_dim(g, x, 1), bf_graph_dim(g, x, 2), (uint64_t)ch};
    bf_tid h = norm(u, prefix, "layers.0", x, BF_ACT_NONE);
    const bf_layer_params qkv = bf_conv_params(g, prefix, "layers.1", ch, 3 * ch, 1, false);
    const bf_layer_params proj = bf_conv_params(g, prefix, "layers.3", ch, ch, 1, true);

    h = bf_graph_linear(g, h, qkv.weight, qkv.bias, BF_ACT_NONE, BF_NONE);
    h = bf_graph_attention(g, h, u->c->heads, BF_QKV_THIRDS, false);
    h = bf_graph_linear(g, h, proj.weight, proj.bias, BF_ACT_NONE, x);
    return bf_graph_reshape(g, h, 4, dims);
}

/* Block `index` of one side ("down_blocks", "up_blocks"), attention included where it is everywhere. */
static bf_tid block(const vdm *u, const char *side, int index, bf_tid x)
{
    char name[BF_NET_NAME];

    snprintf(name, sizeof name, "%s.%d.resnet_block.", side, index);
    x = res_block(u, name, x);
    if (u->c->attention_everywhere) {
        bf_graph_block(u->g);
        snprintf(name, sizeof name, "%s.%d.attention_block.", side, index);
        x = attention(u, name, x);
    }
    snprintf(name, sizeof name, "act.%s.%d", side, index);
    bf_graph_label(u->g, x, name);
    return x;
}

/* cond = SiLU(Linear(SiLU(Linear(code(t)))) + vector of the label) */
static void embed_time(vdm *u, bf_tid t)
{
    bf_graph *g = u->g;
    const int width = u->c->width;
    const bf_layer_params first = bf_linear_params(g, "", "embed_conditioning.0", width, 4 * width);
    const bf_layer_params second = bf_linear_params(g, "", "embed_conditioning.2", 4 * width, 4 * width);
    bf_tid e = bf_graph_time_code(g, t, BF_CODE_VDM, width);

    e = bf_graph_linear(g, e, first.weight, first.bias, BF_ACT_SILU, BF_NONE);
    if (u->c->classes > 0) {
        const bf_tid label = bf_label_rows(g, u->c->classes, 4 * width, bf_graph_numel(g, t), false);
        e = bf_graph_linear(g, e, second.weight, second.bias, BF_ACT_NONE, label);
        u->cond = bf_graph_act(g, e, BF_ACT_SILU);
    } else {
        u->cond = bf_graph_linear(g, e, second.weight, second.bias, BF_ACT_SILU, BF_NONE);
    }
    bf_graph_label(g, u->cond, "act.embed_conditioning");
}

static bf_tid first_conv(const vdm *u, bf_tid x)
{
    bf_graph *g = u->g;

    if (u->c->fourier) {
        const bf_tid waves = bf_graph_fourier(g, x);
        bf_graph_label(g, waves, "act.fourier_features");
        x = bf_graph_concat(g, x, waves);
    }
    const bf_layer_params p = bf_conv_params(g, "", "conv_in", channels_of(u, x), u->c->width, 3, false);
    x = bf_graph_conv(g, x, p.weight, p.bias, 1, BF_NONE, BF_NONE);
    bf_graph_label(g, x, "act.conv_in");
    return x;
}

static bf_tid middle(const vdm *u, bf_tid h)
{
    bf_graph_block(u->g);
    h = res_block(u, "mid_resnet_block_1.", h);
    bf_graph_label(u->g, h, "act.mid_resnet_block_1");
    bf_graph_block(u->g);
    h = attention(u, "mid_attn_block.", h);
    bf_graph_label(u->g, h, "act.mid_attn_block");
    bf_graph_block(u->g);
    h = res_block(u, "mid_resnet_block_2.", h);
    bf_graph_label(u->g, h, "act.mid_resnet_block_2");
    return h;
}

bf_tid bf_vdm_unet_build(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t)
{
    vdm u = {.g = g, .c = c};
    const int features = c->input.output;
    const bf_output_adapter out = {(c->skip ? features : 0) + c->width, c->channels, c->outputs};
    bf_tid skip[BF_NET_BLOCKS + 1];
    bf_tid x = bf_image_adapter_build(g, &c->input, "input_adapter.", net_in, t);
    const bf_layer_params last = bf_output_adapter_params(g, &out, "output_adapter.");
    const uint64_t dims[4] = {bf_graph_dim(g, x, 0), (uint64_t)c->input.height, (uint64_t)c->input.width,
                              (uint64_t)features};

    x = bf_graph_reshape(g, x, 4, dims);
    embed_time(&u, t);
    bf_tid h = first_conv(&u, x);
    for (int i = 0; i < c->blocks; i++) {
        skip[i] = h;
        bf_graph_block(g);
        h = block(&u, "down_blocks", i, h);
    }
    skip[c->blocks] = h;
    h = middle(&u, h);
    for (int i = 0; i <= c->blocks; i++) {
        bf_graph_block(g);
        h = block(&u, "up_blocks", i, bf_graph_concat(g, h, skip[c->blocks - i]));
    }
    bf_graph_block_end(g);
    h = norm(&u, "", "conv_out.0", h, BF_ACT_SILU);
    const bf_layer_params conv = bf_conv_params(g, "", "conv_out.2", c->width, c->width, 3, true);
    h = bf_graph_conv(g, h, conv.weight, conv.bias, 1, BF_NONE, BF_NONE);
    bf_graph_label(g, h, "act.conv_out");
    if (c->skip) h = bf_graph_concat(g, x, h);
    return bf_output_adapter_build(g, &out, last, h);
}
