/* The configuration files of the official releases as configurations of ours. run/official.h */
#include <string.h>

#include "run/model.h"
#include "run/official.h"

static void set_net(const bf_net_config *n, bf_config *c)
{
    c->net.width = n->width;
    c->net.blocks = n->blocks;
    c->net.groups = n->groups;
    c->net.heads = n->heads;
    c->net.mult.n = n->levels;
    memcpy(c->net.mult.v, n->mult, (size_t)n->levels * sizeof n->mult[0]);
    c->net.attention.n = n->attentions;
    memcpy(c->net.attention.v, n->attention, (size_t)n->attentions * sizeof n->attention[0]);
    c->net.dropout = n->dropout;
    c->net.scale_shift = n->scale_shift;
    c->net.project_input = n->project_input;
    c->net.skip = n->skip;
    c->net.positions = n->input.positions;
}

bool bf_official_same_net(const bf_net_config *a, const bf_net_config *b)
{
    const bf_image_adapter *x = &a->input, *y = &b->input;
    return x->channels == y->channels && x->output == y->output && x->time == y->time && x->bands == y->bands &&
           x->time_resolution == y->time_resolution && x->learned_positions == y->learned_positions &&
           a->channels == b->channels && a->outputs == b->outputs && a->out_features == b->out_features;
}

bf_status bf_official_config(const json_t *root, bf_config *c, uint32_t shape[3], bf_net_config *net, bf_err *err)
{
    bf_status st = BF_OK;
    const json_t *model = json_object_get(root, "model");
    const char *class = bf_official_class(json_object_get(model, "net"));
    bf_net_config n;
    bf_flow f;
    BF_CHECK(strcmp(class, "UNetModel") == 0, BF_FILE, "configuration: the network '%.60s' is not known", class);
    BF_TRY(bf_official_unet(model, &n, err));
    BF_TRY(bf_official_flow(json_object_get(model, "bayesian_flow"), &f, err));
    bf_config_defaults(c);
    set_net(&n, c);
    c->flow.kind = BF_CONFIG_CATEGORICAL;
    c->flow.max_sqrt_beta = f.max_sqrt_beta;
    c->data.transform = f.classes == 2 ? BF_TRANSFORM_BINARISE : BF_TRANSFORM_BINS;
    c->data.bins = f.classes;
    shape[0] = (uint32_t)n.input.height;
    shape[1] = (uint32_t)n.input.width;
    shape[2] = (uint32_t)n.channels;
    BF_TRY(bf_config_check(c, err));
    *net = n;
out:
    return st;
}
