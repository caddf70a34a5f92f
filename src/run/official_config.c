/* The configuration files of the official releases as configurations of ours. run/official.h */
#include <string.h>

#include "run/model.h"
#include "run/official.h"

/* The official text model is that of text8, the default vocabulary. */
enum { TEXT8_CLASSES = 27 };

static void set_net(const bf_net_config *n, bf_config *c)
{
    c->net.kind = n->kind;
    c->net.width = n->width;
    c->net.blocks = n->blocks;
    c->net.heads = n->heads;
    c->net.dropout = n->dropout;
    c->net.skip = n->skip;
    c->net.learned_positions = n->input.learned_positions;
    switch (n->kind) { /* keys that a network does not read keep their defaults */
    case BF_NET_UNET:
        c->net.groups = n->groups;
        c->net.mult.n = n->levels;
        memcpy(c->net.mult.v, n->mult, (size_t)n->levels * sizeof n->mult[0]);
        c->net.attention.n = n->attentions;
        memcpy(c->net.attention.v, n->attention, (size_t)n->attentions * sizeof n->attention[0]);
        c->net.scale_shift = n->scale_shift;
        c->net.project_input = n->project_input;
        c->net.positions = n->input.positions;
        break;
    case BF_NET_VDM_UNET:
        c->net.groups = n->groups;
        c->net.fourier = n->fourier;
        c->net.attention_everywhere = n->attention_everywhere;
        c->net.positions = n->input.positions;
        break;
    case BF_NET_TRANSFORMER:
        c->net.bias = n->bias;
        c->net.causal = n->causal;
        break;
    case BF_NET_MLP:
    case BF_NET_UNIO2: break; /* no release has one */
    }
}

/* BF_FILE when the flow has a setting that no key describes. */
static bf_status set_flow(const bf_flow *f, bf_config *c, bf_err *err)
{
    static const int kinds[] = {BF_CONFIG_CONTINUOUS, BF_CONFIG_DISCRETISED, BF_CONFIG_CATEGORICAL};
    bf_status st = BF_OK;
    c->flow.kind = kinds[f->kind];
    if (f->kind == BF_FLOW_CATEGORICAL) {
        c->flow.max_sqrt_beta = f->max_sqrt_beta;
        c->data.transform = f->classes == 2 ? BF_TRANSFORM_BINARISE : BF_TRANSFORM_BINS;
        c->data.bins = f->classes;
    } else {
        c->flow.min_variance = f->min_variance;
        c->flow.predict_data = f->predict == BF_PREDICT_DATA;
        c->flow.truncate = f->truncated;
        c->data.transform = f->kind == BF_FLOW_CONTINUOUS ? BF_TRANSFORM_CONTINUOUS : BF_TRANSFORM_BINS;
        if (f->kind == BF_FLOW_DISCRETISED) c->data.bins = f->bins;
    }
    const bf_flow ours = bf_setup_flow(c);
    BF_CHECK(ours.predict == f->predict && ours.output == f->output, BF_FILE,
             "configuration: this form of the output distribution is not supported in a model");
    BF_CHECK(f->kind == BF_FLOW_CATEGORICAL || ours.min_loss_variance == f->min_loss_variance, BF_FILE,
             "configuration: loss.min_loss_variance %g is not supported in a model", f->min_loss_variance);
    BF_CHECK(f->kind != BF_FLOW_DISCRETISED || (ours.min_sd == f->min_sd && ours.max_sd == f->max_sd), BF_FILE,
             "configuration: deviations from %g to %g are not supported in a model", f->min_sd, f->max_sd);
out:
    return st;
}

bool bf_official_same_net(const bf_net_config *a, const bf_net_config *b)
{
    const bf_image_adapter *x = &a->input, *y = &b->input;
    const bool same = x->channels == y->channels && x->learned_positions == y->learned_positions &&
                      a->channels == b->channels && a->outputs == b->outputs;
    if (a->kind == BF_NET_TRANSFORMER || !same) return same; /* it reads no more of these */
    return x->output == y->output && x->time == y->time && x->bands == y->bands &&
           x->time_resolution == y->time_resolution && a->out_features == b->out_features;
}

bf_status bf_official_config(const json_t *root, bf_config *c, uint32_t shape[3], bf_net_config *net, bf_err *err)
{
    bf_status st = BF_OK;
    const json_t *model = json_object_get(root, "model");
    bf_net_config n;
    bf_flow f;
    BF_TRY(bf_official_net(model, &n, err));
    BF_TRY(bf_official_flow(model, &f, err));
    bf_config_defaults(c);
    set_net(&n, c);
    BF_TRY(set_flow(&f, c, err));
    if (n.kind == BF_NET_TRANSFORMER && f.kind == BF_FLOW_CATEGORICAL && f.classes == TEXT8_CLASSES) {
        c->data.transform = BF_TRANSFORM_TEXT;
        c->data.length = n.input.width;
    }
    shape[0] = (uint32_t)n.input.height;
    shape[1] = (uint32_t)n.input.width;
    shape[2] = (uint32_t)n.channels;
    BF_TRY(bf_config_check(c, err));
    *net = n;
out:
    return st;
}
