#include "run/official.h"

#include <string.h>

#include "base/size.h"
#include "io/json.h"
#include "run/official_read.h"

#define MAX_VALUES 100000 /* a list of parameter names is the longest there is */

bf_status bf_official_parse(const char *name, const char *text, json_t **out, bf_err *err)
{
    bf_status st = BF_OK;

    BF_CHECK(text, BF_FILE, "%s: a part of the metadata is missing", name);
    BF_TRY(bf_json_parse(name, text, strlen(text), MAX_VALUES, out, err));
out:
    return st;
}

const char *bf_official_class(const json_t *part)
{
    const char *name = json_string_value(json_object_get(part, "class_name"));

    return name ? name : "";
}

static bf_reader parameters(const json_t *part)
{
    return bf_reader_of(json_object_get(part, "parameters"));
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

bf_status bf_official_image_adapter(const json_t *part, bf_image_adapter *out, bf_err *err)
{
    bf_reader r = parameters(part);
    int shape[2] = {224, 224}, dims = 2;

    *out = bf_image_adapter_defaults();
    out->channels = 3;
    out->output = 256;
    bf_reader_int(&r, "input_channels", &out->channels);
    bf_reader_ints(&r, "input_shape", 2, shape, &dims);
    bf_reader_int(&r, "n_freq_bands", &out->bands);
    bf_reader_int(&r, "output_height", &out->output);
    bf_reader_int(&r, "mask_res", &out->time_resolution);
    bf_reader_bool(&r, "add_pos_feats", &out->positions);
    bf_reader_bool(&r, "add_mask", &out->time);
    bf_reader_bool(&r, "learn_pos_feats", &out->learned_positions);
    bf_reader_int(&r, "pos_embed_size", &out->position_size);
    if (dims != 2) r.bad = "input_shape";
    out->height = shape[0];
    out->width = shape[1];
    return bf_reader_end(&r, "input_adapter", err);
}

bf_status bf_official_text_adapter(const json_t *part, bf_text_adapter *out, bf_err *err)
{
    bf_reader r = parameters(part);

    *out = (bf_text_adapter){.output = 256};
    bf_reader_int(&r, "vocab_size", &out->classes);
    bf_reader_int(&r, "seq_len", &out->length);
    bf_reader_int(&r, "output_size", &out->output);
    bf_reader_bool(&r, "learn_pos_embedding", &out->learned_positions);
    if (out->classes < 1) r.bad = "vocab_size";
    if (out->length < 1) r.bad = "seq_len";
    return bf_reader_end(&r, "input_adapter", err);
}

bf_status bf_official_output_adapter(const json_t *part, bf_output_adapter *out, bf_err *err)
{
    bf_reader r = parameters(part);

    *out = (bf_output_adapter){.channels = 1, .outputs = 1};
    bf_reader_int(&r, "input_height", &out->input);
    bf_reader_int(&r, "output_channels", &out->channels);
    bf_reader_int(&r, "output_height", &out->outputs);
    if (out->input < 1) r.bad = "input_height";
    return bf_reader_end(&r, "output_adapter", err);
}

static bf_status check_image_size(const bf_net_config *c, int image_size, bf_err *err)
{
    if (image_size == c->input.height && image_size == c->input.width) return BF_OK;
    return bf_fail(err, BF_FILE, "configuration: net.image_size %d does not fit an input of %d x %d", image_size,
                   c->input.height, c->input.width);
}

/* What the official class fixes, or what only works one way there. */
static bf_status check_unet(const bf_net_config *c, bool resample, int up_heads, const bf_output_adapter *o,
                            bf_err *err)
{
    const int first = c->project_input ? c->width : c->input.output;

    if (!resample) return bf_fail(err, BF_FILE, "configuration: net.conv_resample false has no official meaning");
    if (up_heads != -1 && up_heads != c->heads)
        return bf_fail(err, BF_FILE, "configuration: net.num_heads_upsample differs from net.num_heads");
    if (o->input != (c->skip ? first : 0) + c->out_features)
        return bf_fail(err, BF_FILE, "configuration: output_adapter.input_height is %d, the network ends in %d",
                       o->input, (c->skip ? first : 0) + c->out_features);
    return BF_OK;
}

static bf_status official_unet(const json_t *model, bf_net_config *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_reader r = parameters(json_object_get(model, "net"));
    bf_output_adapter o;
    int image_size = 0, up_heads = -1;
    bool resample = true;
    double dropout = 0.0;

    *out = bf_net_defaults(BF_NET_UNET);
    BF_TRY(bf_official_image_adapter(json_object_get(model, "input_adapter"), &out->input, err));
    BF_TRY(bf_official_output_adapter(json_object_get(model, "output_adapter"), &o, err));
    bf_reader_int(&r, "image_size", &image_size);
    bf_reader_int(&r, "model_channels", &out->width);
    bf_reader_int(&r, "out_channels", &out->out_features);
    bf_reader_int(&r, "num_res_blocks", &out->blocks);
    bf_reader_ints(&r, "attention_resolutions", BF_NET_LEVELS, out->attention, &out->attentions);
    bf_reader_ints(&r, "channel_mult", BF_NET_LEVELS, out->mult, &out->levels);
    bf_reader_float(&r, "dropout", &dropout);
    bf_reader_bool(&r, "conv_resample", &resample);
    bf_reader_int(&r, "num_heads", &out->heads);
    bf_reader_int(&r, "num_heads_upsample", &up_heads);
    bf_reader_bool(&r, "project_input", &out->project_input);
    bf_reader_bool(&r, "skip", &out->skip);
    bf_reader_bool(&r, "use_scale_shift_norm", &out->scale_shift);
    BF_TRY(bf_reader_end(&r, "net", err));
    out->dropout = (float)dropout;
    out->channels = o.channels;
    out->outputs = o.outputs;
    BF_TRY(check_image_size(out, image_size, err));
    BF_TRY(check_unet(out, resample, up_heads, &o, err));
    BF_TRY(bf_net_check(out, err));
out:
    return st;
}

static bf_status official_vdm_unet(const json_t *model, bf_net_config *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_reader r = parameters(json_object_get(model, "net"));
    bf_output_adapter o;
    int image_size = 32, input_channels = 3;
    double dropout = 0.1;

    *out = bf_net_defaults(BF_NET_VDM_UNET);
    BF_TRY(bf_official_image_adapter(json_object_get(model, "input_adapter"), &out->input, err));
    BF_TRY(bf_official_output_adapter(json_object_get(model, "output_adapter"), &o, err));
    bf_reader_int(&r, "embedding_dim", &out->width);
    bf_reader_int(&r, "n_blocks", &out->blocks);
    bf_reader_int(&r, "n_attention_heads", &out->heads);
    bf_reader_float(&r, "dropout_prob", &dropout);
    bf_reader_int(&r, "norm_groups", &out->groups);
    bf_reader_int(&r, "input_channels", &input_channels);
    bf_reader_bool(&r, "use_fourier_features", &out->fourier);
    bf_reader_bool(&r, "attention_everywhere", &out->attention_everywhere);
    bf_reader_int(&r, "image_size", &image_size);
    BF_TRY(bf_reader_end(&r, "net", err));
    out->dropout = (float)dropout;
    out->out_features = out->width;
    out->channels = o.channels;
    out->outputs = o.outputs;
    BF_TRY(check_image_size(out, image_size, err));
    BF_CHECK(input_channels == out->input.output, BF_FILE,
             "configuration: net.input_channels is %d, the input adapter gives %d", input_channels, out->input.output);
    BF_CHECK(o.input == out->input.output + out->width, BF_FILE,
             "configuration: output_adapter.input_height is %d, the network ends in %d", o.input,
             out->input.output + out->width);
    BF_TRY(bf_net_check(out, err));
out:
    return st;
}

static bf_status official_transformer(const json_t *model, bf_net_config *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_reader r = parameters(json_object_get(model, "net"));
    bf_text_adapter in;
    double dropout = 0.0;

    *out = bf_net_defaults(BF_NET_TRANSFORMER);
    out->skip = false;
    out->outputs = 0;
    BF_TRY(bf_official_text_adapter(json_object_get(model, "input_adapter"), &in, err));
    bf_reader_int(&r, "vocab_size", &out->outputs);
    bf_reader_int(&r, "n_layer", &out->blocks);
    bf_reader_int(&r, "n_head", &out->heads);
    bf_reader_int(&r, "n_embd", &out->width);
    bf_reader_float(&r, "dropout", &dropout);
    bf_reader_bool(&r, "skip", &out->skip);
    bf_reader_bool(&r, "bias", &out->bias);
    bf_reader_bool(&r, "is_causal", &out->causal);
    BF_TRY(bf_reader_end(&r, "net", err));
    BF_CHECK(in.output == out->width, BF_FILE, "configuration: input_adapter.output_size is %d, net.n_embd is %d",
             in.output, out->width);
    out->dropout = (float)dropout;
    out->input.height = 1;
    out->input.width = in.length;
    out->input.channels = in.classes;
    out->input.learned_positions = in.learned_positions;
    out->input.output = out->width;
    BF_TRY(bf_net_check(out, err));
out:
    return st;
}

static const struct {
    const char *name;
    bf_status (*read)(const json_t *model, bf_net_config *out, bf_err *err);
} net_classes[] = {{"UNetModel", official_unet}, {"UNetVDM", official_vdm_unet}, {"GPT", official_transformer}};

bool bf_official_net_known(const char *class_name)
{
    for (size_t i = 0; i < BF_COUNT(net_classes); i++)
        if (strcmp(net_classes[i].name, class_name) == 0) return true;
    return false;
}

bf_status bf_official_net(const json_t *model, bf_net_config *out, bf_err *err)
{
    const char *name = bf_official_class(json_object_get(model, "net"));

    for (size_t i = 0; i < BF_COUNT(net_classes); i++)
        if (strcmp(net_classes[i].name, name) == 0) return net_classes[i].read(model, out, err);
    return bf_fail(err, BF_FILE, "configuration: the network class '%.60s' is not known", name);
}

/* ---- flow -------------------------------------------------------------------------------------------------------- */

static bf_status categorical_flow(const json_t *part, bf_flow *out, bf_err *err)
{
    bf_reader r = parameters(part);

    *out = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    bf_reader_int(&r, "n_classes", &out->classes);
    bf_reader_float(&r, "max_sqrt_beta", &out->max_sqrt_beta);
    bf_reader_bool(&r, "discretize", &out->discretize);
    return bf_reader_end(&r, "bayesian_flow", err);
}

/* The output distribution decides whether real-valued data are continuous or discretised. */
static bf_status output_distribution(const json_t *part, bf_flow *out, bool *log_sd, bf_err *err)
{
    bf_status st = BF_OK;
    bf_reader r = parameters(part);
    const char *name = bf_official_class(part);
    bool clip = true;

    if (strcmp(name, "DeltaFactory") == 0) {
        *out = bf_flow_defaults(BF_FLOW_CONTINUOUS);
        return BF_OK;
    }
    BF_CHECK(strcmp(name, "DiscretizedNormalFactory") == 0, BF_FILE,
             "configuration: the output distribution '%.60s' is not known", name);
    *out = bf_flow_defaults(BF_FLOW_DISCRETISED);
    bf_reader_int(&r, "num_bins", &out->bins);
    bf_reader_bool(&r, "clip", &clip);
    bf_reader_bool(&r, "log_dev", log_sd);
    bf_reader_float(&r, "min_std_dev", &out->min_sd);
    bf_reader_float(&r, "max_std_dev", &out->max_sd);
    out->truncated = !clip;
    BF_TRY(bf_reader_end(&r, "distribution_factory", err));
out:
    return st;
}

static bf_status real_flow(const json_t *model, bf_flow *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_reader flow = parameters(json_object_get(model, "bayesian_flow")),
              loss = parameters(json_object_get(model, "loss"));
    bool noise = true, log_sd = true;
    double min_loss_variance = -1.0;

    BF_TRY(output_distribution(json_object_get(model, "distribution_factory"), out, &log_sd, err));
    bf_reader_float(&flow, "min_variance", &out->min_variance);
    BF_TRY(bf_reader_end(&flow, "bayesian_flow", err));
    bf_reader_bool(&loss, "noise_pred", &noise);
    bf_reader_float(&loss, "min_loss_variance", &min_loss_variance);
    BF_TRY(bf_reader_end(&loss, "loss", err));
    BF_CHECK(log_sd || !noise, BF_FILE, "configuration: noise prediction needs a logarithm of the deviation");
    out->predict = noise ? BF_PREDICT_NOISE : log_sd ? BF_PREDICT_DATA : BF_PREDICT_DATA_SD;
    out->min_loss_variance = min_loss_variance > 0.0 ? min_loss_variance : 0.0;
out:
    return st;
}

bf_status bf_official_flow(const json_t *model, bf_flow *out, bf_err *err)
{
    bf_status st = BF_OK;
    const json_t *part = json_object_get(model, "bayesian_flow");
    const char *name = bf_official_class(part);

    if (strcmp(name, "DiscreteBayesianFlow") == 0)
        BF_TRY(categorical_flow(part, out, err));
    else if (strcmp(name, "CtsBayesianFlow") == 0)
        BF_TRY(real_flow(model, out, err));
    else
        BF_TRY(bf_fail(err, BF_FILE, "configuration: the flow '%.60s' is not known", name));
    BF_TRY(bf_flow_check(out, err));
out:
    return st;
}
