/*
 * The official text transformer. Block: x += proj(attention(LN(x))), x += proj(GELU(fc(LN(x)))) with the tanh form of
 * GELU; after the last block LN and, with `skip`, the input of the first block behind it, then one linear layer. Time
 * enters only with the input. For recomputation (graph.h) each of these blocks is one.
 */
#include "net/transformer.h"

#include <math.h>
#include <stdio.h>

#define EPS 1e-5f
#define MLP_RATIO 4

typedef struct transformer {
    bf_graph *g;
    const bf_net_config *c;
    float residual_sd; /* start of the layers that end in a residual sum */
} transformer;

static bf_tid norm(const transformer *u, const char *prefix, const char *name, bf_tid x)
{
    const bf_layer_params p = bf_text_norm_params(u->g, prefix, name, u->c->width, u->c->bias);

    return bf_graph_layer_norm(u->g, x, p.weight, p.bias, EPS);
}

static bf_tid linear(const transformer *u, const char *prefix, const char *name, bf_tid x, int out, bf_act act)
{
    const int in = (int)bf_graph_dim(u->g, x, -1);
    const bf_layer_params p = bf_text_linear_params(u->g, prefix, name, in, out, BF_TEXT_SD, u->c->bias);

    return bf_graph_linear(u->g, x, p.weight, p.bias, act, BF_NONE);
}

/* x + dropout(Linear(h)): the end of both halves of a block. */
static bf_tid residual(const transformer *u, const char *prefix, const char *name, const char *drop, bf_tid h, bf_tid x)
{
    bf_graph *g = u->g;
    const int in = (int)bf_graph_dim(g, h, -1);
    const bf_layer_params p = bf_text_linear_params(g, prefix, name, in, u->c->width, u->residual_sd, u->c->bias);

    if (u->c->dropout <= 0.0f) return bf_graph_linear(g, h, p.weight, p.bias, BF_ACT_NONE, x);
    h = bf_graph_linear(g, h, p.weight, p.bias, BF_ACT_NONE, BF_NONE);
    return bf_graph_add(g, x, bf_dropout_layer(g, prefix, drop, h, u->c->dropout));
}

static bf_tid block(const transformer *u, int index, bf_tid x)
{
    const int width = u->c->width;
    char prefix[BF_NET_NAME], label[BF_NET_NAME];
    bf_tid h;

    bf_graph_block(u->g);
    snprintf(prefix, sizeof prefix, "transformer.h.%d.", index);
    h = linear(u, prefix, "attn.c_attn", norm(u, prefix, "ln_1", x), 3 * width, BF_ACT_NONE);
    h = bf_graph_attention(u->g, h, u->c->heads, BF_QKV_THIRDS, u->c->causal);
    x = residual(u, prefix, "attn.c_proj", "attn.resid_dropout", h, x);
    h = linear(u, prefix, "mlp.c_fc", norm(u, prefix, "ln_2", x), MLP_RATIO * width, BF_ACT_GELU);
    x = residual(u, prefix, "mlp.c_proj", "mlp.dropout", h, x);
    snprintf(label, sizeof label, "act.transformer.h.%d", index);
    bf_graph_label(u->g, x, label);
    return x;
}

bf_tid bf_transformer_build(bf_graph *g, const bf_net_config *c, bf_tid net_in, bf_tid t)
{
    const transformer u = {g, c, (float)(BF_TEXT_SD / sqrt(2.0 * c->blocks))};
    const bf_text_adapter in = {.classes = c->input.channels,
                                .length = c->input.height * c->input.width,
                                .output = c->width,
                                .learned_positions = c->input.learned_positions};
    const uint64_t batch = BF_MAX(bf_graph_numel(g, t), (uint64_t)1);
    const uint64_t length = bf_graph_numel(g, net_in) / (batch * (uint64_t)in.classes);
    const uint64_t out[4] = {batch, length, (uint64_t)c->channels, (uint64_t)c->outputs};
    bf_tid first, x;

    net_in = bf_graph_reshape(g, net_in, 3, (uint64_t[]){batch, length, (uint64_t)in.classes});
    first = bf_text_adapter_build(g, &in, "input_adapter.", net_in, t);
    bf_graph_label(g, first, "act.input_adapter");
    if (c->classes > 0) first = bf_graph_add_mid(g, first, bf_label_rows(g, c->classes, c->width, batch, true));
    x = first = bf_dropout_layer(g, "transformer.", "drop", first, c->dropout);
    for (int i = 0; i < c->blocks; i++) x = block(&u, i, x);
    bf_graph_block_end(g);
    x = norm(&u, "transformer.", "ln_f", x);
    bf_graph_label(g, x, "act.transformer.ln_f");
    if (c->skip) x = bf_graph_concat(g, x, first);
    x = linear(&u, "", "lm_head", x, c->channels * c->outputs, BF_ACT_NONE);
    return bf_graph_reshape(g, x, 4, out);
}
