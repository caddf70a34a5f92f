/*
 * The official MNIST U-Net. Residual block: GN-SiLU-conv3, plus Linear(SiLU(e)) per channel (or, with scale_shift,
 * (1 + scale) GN + shift), GN-SiLU-dropout-conv3, plus the input (through a 1x1 convolution where widths differ).
 * Attention: GN, q k v, softmax, projection, plus the input. Down: stride-2 conv3; up: nearest x2, conv3. Every output
 * of the way down joins the input of a block on the way up. For recomputation (graph.h) each residual block with the
 * concatenation in front of it, each attention and each up-sampling is a block.
 */
#include "net/unet.h"

#include <stdio.h>

#define EPS 1e-5f
/* Levels x (blocks + downsampler) + the first convolution: the limits of bf_net_check. */
#define MAX_SKIPS (BF_NET_LEVELS * 65 + 1)

typedef struct unet {
    bf_graph *g;
    const bf_net_config *c;
    bf_tid time; /* SiLU(e) [B, 4 width] */
    int time_width;
    bf_tid skip[MAX_SKIPS];
    int skips;
} unet;

static int channels_of(const unet *u, bf_tid x)
{
    return (int)bf_graph_dim(u->g, x, -1);
}

static bf_tid norm(unet *u, const char *prefix, const char *name, bf_tid x, bf_act act, bf_tid scale_shift)
{
    const bf_layer_params p = bf_norm_params(u->g, prefix, name, channels_of(u, x));

    return bf_graph_group_norm(u->g, x, p.weight, p.bias, u->c->groups, EPS, act, scale_shift);
}

/* 3x3 with its parameters */
static bf_tid conv3(unet *u, const char *prefix, const char *name, bf_tid x, int out, int stride)
{
    const bf_layer_params p = bf_conv_params(u->g, prefix, name, channels_of(u, x), out, 3, false);

    return bf_graph_conv(u->g, x, p.weight, p.bias, stride, BF_NONE, BF_NONE);
}

/* Parameters are registered in the official order: in_layers, emb_layers, out_layers, skip_connection. */
static bf_tid res_block(unet *u, const char *prefix, bf_tid x, int out)
{
    bf_graph *g = u->g;
    const int in = channels_of(u, x);
    const bool ss = u->c->scale_shift;
    bf_tid h = norm(u, prefix, "in_layers.0", x, BF_ACT_SILU, BF_NONE);
    const bf_layer_params conv1 = bf_conv_params(g, prefix, "in_layers.2", in, out, 3, false);
    const bf_layer_params emb = bf_linear_params(g, prefix, "emb_layers.1", u->time_width, ss ? 2 * out : out);
    const bf_tid time = bf_graph_linear_shared(g, u->time, emb.weight, emb.bias);

    h = bf_graph_conv(g, h, conv1.weight, conv1.bias, 1, ss ? BF_NONE : time, BF_NONE);
    h = norm(u, prefix, "out_layers.0", h, BF_ACT_SILU, ss ? time : BF_NONE);
    h = bf_dropout_layer(g, prefix, "out_layers.2", h, u->c->dropout);
    return bf_block_end(g, prefix, "out_layers.3", "skip_connection", h, x);
}

static bf_tid attention(unet *u, const char *prefix, bf_tid x)
{
    bf_graph *g = u->g;
    const int ch = channels_of(u, x);
    const uint64_t dims[4] = {bf_graph_dim(g, x, 0), bf_graph_dim(g, x, 1), bf_graph_dim(g, x, 2), (uint64_t)ch};
    bf_tid h = norm(u, prefix, "norm", x, BF_ACT_NONE, BF_NONE);
    const bf_layer_params qkv = bf_conv1d_params(g, prefix, "qkv", ch, 3 * ch, false);
    const bf_layer_params proj = bf_conv1d_params(g, prefix, "proj_out", ch, ch, true);

    h = bf_graph_linear(g, h, qkv.weight, qkv.bias, BF_ACT_NONE, BF_NONE);
    h = bf_graph_attention(g, h, u->c->heads, BF_QKV_PER_HEAD, false);
    h = bf_graph_linear(g, h, proj.weight, proj.bias, BF_ACT_NONE, x);
    return bf_graph_reshape(g, h, 4, dims);
}

static bool attends(const unet *u, int rate)
{
    for (int i = 0; i < u->c->attentions; i++)
        if (u->c->attention[i] == rate) return true;
    return false;
}

static const char *block_name(char *name, size_t size, const char *side, int index, int part)
{
    snprintf(name, size, "%s.%d.%d.", side, index, part);
    return name;
}

/* Labels the output of a module of the way down or up and, on the way down, keeps it for the way up. */
static bf_tid finish(unet *u, const char *side, int index, bf_tid h, bool push)
{
    char name[BF_NET_NAME];

    snprintf(name, sizeof name, "act.%s.%d", side, index);
    bf_graph_label(u->g, h, name);
    if (push) u->skip[u->skips++] = h;
    return h;
}

static bf_tid way_down(unet *u, bf_tid h)
{
    const bf_net_config *c = u->c;
    char name[BF_NET_NAME];
    int index = 0;

    h = conv3(u, "", "input_blocks.0.0", h, c->width, 1);
    h = finish(u, "input_blocks", index++, h, true);
    for (int level = 0; level < c->levels; level++) {
        for (int b = 0; b < c->blocks; b++, index++) {
            bf_graph_block(u->g);
            h = res_block(u, block_name(name, sizeof name, "input_blocks", index, 0), h, c->width * c->mult[level]);
            bf_graph_block(u->g);
            if (attends(u, 1 << level)) h = attention(u, block_name(name, sizeof name, "input_blocks", index, 1), h);
            h = finish(u, "input_blocks", index, h, true);
        }
        if (level == c->levels - 1) break;
        h = conv3(u, block_name(name, sizeof name, "input_blocks", index, 0), "op", h, channels_of(u, h), 2);
        h = finish(u, "input_blocks", index++, h, true);
    }
    return h;
}

static bf_tid way_up(unet *u, bf_tid h)
{
    const bf_net_config *c = u->c;
    char name[BF_NET_NAME];
    int index = 0;

    for (int level = c->levels - 1; level >= 0; level--)
        for (int b = 0; b <= c->blocks; b++, index++) {
            int part = 1;
            bf_graph_block(u->g);
            h = bf_graph_concat(u->g, h, u->skip[--u->skips]);
            h = res_block(u, block_name(name, sizeof name, "output_blocks", index, 0), h, c->width * c->mult[level]);
            bf_graph_block(u->g);
            if (attends(u, 1 << level))
                h = attention(u, block_name(name, sizeof name, "output_blocks", index, part++), h);
            bf_graph_block(u->g);
            if (level > 0 && b == c->blocks) {
                h = bf_graph_upsample(u->g, h);
                block_name(name, sizeof name, "output_blocks", index, part);
                h = conv3(u, name, "conv", h, channels_of(u, h), 1);
            }
            h = finish(u, "output_blocks", index, h, false);
        }
    return h;
}

/* e = Linear(SiLU(Linear(code(t)))), plus the vector of the label; the blocks use SiLU(e). */
static void embed_time(unet *u, bf_tid t)
{
    bf_graph *g = u->g;
    const int width = u->c->width;
    bf_layer_params first, second;

    u->time_width = 4 * width;
    first = bf_linear_params(g, "", "time_embed.0", width, u->time_width);
    second = bf_linear_params(g, "", "time_embed.2", u->time_width, u->time_width);
    const bf_tid label =
        u->c->classes > 0 ? bf_label_rows(g, u->c->classes, u->time_width, bf_graph_numel(g, t), false) : BF_NONE;
    bf_tid e = bf_graph_time_code(g, t, BF_CODE_UNET, width);
    e = bf_graph_linear(g, e, first.weight, first.bias, BF_ACT_SILU, BF_NONE);
    e = bf_graph_linear(g, e, second.weight, second.bias, BF_ACT_NONE, label);
    bf_graph_label(g, e, "act.time_embed");
    u->time = bf_graph_act(g, e, BF_ACT_SILU);
}

bf_tid bf_unet_build(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t)
{
    unet u = {.g = g, .c = c};
    const int first = c->project_input ? c->width : c->input.output;
    const bf_output_adapter out = {(c->skip ? first : 0) + c->out_features, c->channels, c->outputs};
    bf_tid x = bf_image_adapter_build(g, &c->input, "input_adapter.", net_in, t);
    const bf_layer_params last = bf_output_adapter_params(g, &out, "output_adapter.");
    const uint64_t batch = bf_graph_dim(g, x, 0), h = (uint64_t)c->input.height, w = (uint64_t)c->input.width;

    bf_graph_label(g, x, "act.input_adapter");
    if (c->project_input) {
        const bf_layer_params p = bf_linear_params(g, "", "input_projection", c->input.output, c->width);
        x = bf_graph_linear(g, x, p.weight, p.bias, BF_ACT_NONE, BF_NONE);
    }
    x = bf_graph_reshape(g, x, 4, (uint64_t[]){batch, h, w, (uint64_t)first});
    if (c->project_input) bf_graph_label(g, x, "act.input_projection");
    embed_time(&u, t);
    bf_tid y = way_down(&u, x);
    bf_graph_block(g);
    y = res_block(&u, "middle_block.0.", y, channels_of(&u, y));
    bf_graph_block(g);
    y = attention(&u, "middle_block.1.", y);
    bf_graph_block(g);
    y = res_block(&u, "middle_block.2.", y, channels_of(&u, y));
    bf_graph_label(g, y, "act.middle_block");
    y = way_up(&u, y);
    bf_graph_block_end(g);
    y = norm(&u, "", "out.0", y, BF_ACT_SILU, BF_NONE);
    const bf_layer_params conv = bf_conv_params(g, "", "out.2", channels_of(&u, y), c->out_features, 3, true);
    y = bf_graph_conv(g, y, conv.weight, conv.bias, 1, BF_NONE, BF_NONE);
    bf_graph_label(g, y, "act.out");
    if (c->skip) y = bf_graph_concat(g, x, y);
    return bf_output_adapter_build(g, &out, last, y);
}
