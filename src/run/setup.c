/* From the configuration to the descriptions that the layers below want. run/model.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "run/model.h"
#include "run/table.h"

#define POCKET_FEATURES 27     /* chem/pocket.h */
#define LEAST_PROBABILITY 1e-6 /* of a type while sampling, as MolCRAFT has it */

/* Of the vocabulary; 0 as long as it is not known. */
static int characters(const bf_config *c)
{
    bf_vocabulary v;
    bf_err ignored;
    return bf_vocabulary_parse(c->data.vocabulary, &v, &ignored) == BF_OK ? (int)v.n : 0;
}

bf_status bf_setup_classes(const bf_config *c, bf_classes *out, bf_err *err)
{
    bf_status st = BF_OK;
    *out = (bf_classes){0};
    if (!c->data.labels[0]) return BF_OK;
    BF_CHECK(c->data.label_names[0], BF_USAGE,
             "the classes of data.labels are not known, as no data have been read: give data.label_names");
    BF_TRY(bf_classes_parse(c->data.label_names, out, err));
out:
    return st;
}

bf_flow bf_setup_flow(const bf_config *c)
{
    static const bf_flow_kind kinds[] = {BF_FLOW_CONTINUOUS, BF_FLOW_DISCRETISED, BF_FLOW_CATEGORICAL};
    static const bf_flow_output outputs[] = {BF_OUT_DELTA, BF_OUT_DELTA, BF_OUT_NORMAL, BF_OUT_MIXTURE};
    bf_flow f = bf_flow_defaults(kinds[c->flow.kind]);
    f.min_variance = c->flow.min_variance;
    f.min_t = c->flow.min_t;
    if (c->flow.output != BF_CONFIG_OUT_AUTO) f.output = outputs[c->flow.output];
    f.predict = c->flow.predict_data ? BF_PREDICT_DATA : BF_PREDICT_NOISE;
    f.mixture = (int)c->flow.mixture;
    f.bins = (int)c->data.bins;
    f.truncated = c->flow.truncate;
    f.classes = c->data.transform == BF_TRANSFORM_BINARISE ? 2
                : c->data.transform == BF_TRANSFORM_TEXT   ? characters(c)
                                                           : (int)c->data.bins;
    f.max_sqrt_beta = c->flow.max_sqrt_beta;
    f.schedule = (bf_flow_schedule)c->flow.schedule;
    return f;
}

/* The numbers of an atom: its place, whose distance to the centre has no bound, and its kind. */
static bf_status molecule_groups(const bf_config *c, bf_hybrid *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kinds kinds;
    BF_TRY(bf_hybrid_new(2, out, err));
    BF_TRY(bf_kinds_parse(c->mol.elements, &kinds, err));
    out->group[0] = (bf_group){.name = "position", .flow = bf_setup_flow(c), .dims = 3, .weight = 1.0};
    out->group[0].flow.clip = 0.0;
    out->group[1] = (bf_group){
        .name = "type", .flow = bf_flow_defaults(BF_FLOW_CATEGORICAL), .dims = 1, .weight = c->mol.type_weight};
    out->group[1].flow.classes = (int)kinds.n;
    out->group[1].flow.max_sqrt_beta = c->flow.max_sqrt_beta;
    if (c->mol.pocket) out->group[1].flow.min_prob = LEAST_PROBABILITY;
out:
    return st;
}

bf_status bf_setup_hybrid(const bf_config *c, const bf_schema *s, const uint32_t shape[3], bf_hybrid *out, bf_err *err)
{
    bf_status st = BF_OK;
    if (s) return bf_table_hybrid(c, s, out, err);
    const bf_flow f = bf_setup_flow(c);
    if (c->data.transform == BF_TRANSFORM_MOLECULES) return molecule_groups(c, out, err);
    BF_TRY(bf_hybrid_new(1, out, err));
    out->group[0] = bf_group_alone(&f, (uint64_t)shape[0] * shape[1] * shape[2]);
out:
    return st;
}

bf_status bf_setup_net(const bf_config *c, const bf_flow *f, const uint32_t shape[3], bf_net_config *net, bf_err *err)
{
    bf_status st = BF_OK;
    bf_classes classes;
    bf_net_config n = bf_net_defaults((bf_net_kind)c->net.kind);
    n.input.height = (int)shape[0];
    n.input.width = (int)shape[1];
    n.input.channels = (int)shape[2] * bf_flow_inputs(f);
    n.input.positions = c->net.positions;
    n.input.learned_positions = c->net.learned_positions;
    n.input.output = 0; /* no linear layer of its own */
    n.channels = (int)shape[2];
    n.outputs = bf_flow_outputs(f);
    n.width = (int)c->net.width;
    n.levels = BF_MIN(c->net.mult.n, BF_NET_LEVELS);
    memcpy(n.mult, c->net.mult.v, (size_t)n.levels * sizeof n.mult[0]);
    n.blocks = (int)c->net.blocks;
    n.attentions = BF_MIN(c->net.attention.n, BF_NET_LEVELS);
    memcpy(n.attention, c->net.attention.v, (size_t)n.attentions * sizeof n.attention[0]);
    n.heads = (int)c->net.heads;
    n.groups = (int)c->net.groups;
    n.dropout = (float)c->net.dropout;
    n.scale_shift = c->net.scale_shift;
    n.project_input = c->net.project_input;
    n.skip = c->net.skip;
    n.fourier = c->net.fourier;
    n.attention_everywhere = c->net.attention_everywhere;
    n.bias = c->net.bias;
    n.causal = c->net.causal;
    n.out_features = 0;
    BF_TRY(bf_setup_classes(c, &classes, err));
    n.classes = (int)classes.n;
    BF_TRY(bf_net_resolve(&n, err));
    *net = n;
out:
    return st;
}

bf_unio2 bf_setup_unio2(const bf_config *c, const bf_hybrid *h)
{
    static const bf_unio2_time times[] = {BF_UNIO2_SIMPLE, BF_UNIO2_SIMPLE, BF_UNIO2_RBF, BF_UNIO2_RBFNN};
    bf_unio2 u = bf_unio2_defaults();
    u.width = (int)c->net.width;
    u.heads = (int)c->net.heads;
    u.layers = (int)c->net.blocks;
    u.neighbours = (int)c->net.neighbours;
    u.pocket_features = c->mol.pocket ? POCKET_FEATURES : 0;
    u.time_mode = times[c->net.time];
    u.time_dim = c->net.time == BF_CONFIG_TIME_NONE  ? 0
                 : c->net.time == BF_CONFIG_TIME_RAW ? 1
                                                     : (int)c->net.time_features;
    u.types = h->group[1].flow.classes;
    return u;
}

bool bf_setup_tests_training_text(const bf_config *c)
{
    return c->data.transform == BF_TRANSFORM_TEXT &&
           (c->data.test[0] == '\0' || strcmp(c->data.test, c->data.train) == 0);
}

bf_dataset_options bf_setup_data(const bf_config *c)
{
    bf_dataset_options o;
    bf_dataset_defaults(&o);
    o.transform = (bf_transform)c->data.transform;
    o.bins = (uint32_t)c->data.bins;
    o.seed = (uint64_t)c->train.seed;
    o.validation = c->data.validation;
    o.flip = c->data.flip;
    o.labelled = c->data.labels[0] != '\0';
    o.labels = c->data.labels;
    o.label_names = c->data.label_names;
    o.label_dropout = c->train.label_dropout;
    for (int i = 0; i < BF_MIN(c->data.size.n, 2); i++) o.size[i] = (uint32_t)c->data.size.v[i];
    if (c->data.size.n == 3) o.channels = (uint32_t)c->data.size.v[2];
    o.limit = (uint64_t)c->data.limit;
    o.length = (uint32_t)c->data.length;
    o.vocabulary = c->data.vocabulary;
    o.class_blocks = bf_setup_wants_classes(c);
    o.table = (bf_schema_options){.columns = c->data.columns,
                                  .missing = c->data.missing,
                                  .bins = c->data.numbers == BF_NUMBERS_BINS,
                                  .levels = (uint32_t)c->data.bins,
                                  .quantiles = c->data.normalise == BF_NORMALISE_QUANTILES};
    o.classes = c->flow.kind == BF_CONFIG_CATEGORICAL;
    o.given = c->data.given;
    o.elements = c->mol.elements;
    o.scale = c->mol.scale;
    o.room_around = c->mol.pocket ? (uint32_t)c->mol.room : 0;
    o.noise = c->mol.noise;
    o.rotate = c->mol.rotate;
    o.test = bf_setup_tests_training_text(c) ? c->data.validation : 0;
    return o;
}

/* "28x28x1" */
static bf_status parse_size(const char *text, uint32_t shape[3], bf_err *err)
{
    char rest;
    if (sscanf(text, "%5ux%5ux%4u%c", &shape[0], &shape[1], &shape[2], &rest) == 3 && shape[0] - 1 < 32768 &&
        shape[1] - 1 < 32768 && shape[2] - 1 < 1024)
        return BF_OK;
    return bf_fail(err, BF_USAGE, "the size of an example is HEIGHTxWIDTHxCHANNELS, such as 28x28x1, not \"%.40s\"",
                   text);
}

static bf_status shape_of_data(const bf_config *c, uint32_t shape[3], bf_err *err)
{
    bf_status st = BF_OK;
    const char *paths[] = {c->data.train, c->data.test};
    bf_dataset_options o = bf_setup_data(c);
    o.validation = 0;
    o.labelled = false;
    for (size_t i = 0; i < BF_COUNT(paths); i++) {
        bf_dataset *ds = NULL;
        if (!paths[i][0] || bf_dataset_open(paths[i], &o, &ds, err) != BF_OK) continue;
        const bf_dataset_info info = bf_dataset_get_info(ds);
        bf_dataset_free(ds);
        shape[0] = info.height;
        shape[1] = info.width;
        shape[2] = info.channels;
        return BF_OK;
    }
    st = bf_fail(err, BF_USAGE, "the size of an example is not known: none of the configuration's data can be read");
    bf_hint(err, "give it as --size HEIGHTxWIDTHxCHANNELS, or as data.size with all three numbers");
    return st;
}

bf_status bf_setup_shape(const bf_config *c, const char *size, uint32_t shape[3], bf_err *err)
{
    if (size) return parse_size(size, shape, err);
    if (c->data.transform == BF_TRANSFORM_TEXT) {
        shape[0] = shape[2] = 1;
        shape[1] = (uint32_t)c->data.length;
        return BF_OK;
    }
    if (c->data.transform == BF_TRANSFORM_MOLECULES) {
        shape[0] = shape[1] = 1;
        shape[2] = BF_MOLECULE_DIMS;
        return BF_OK;
    }
    if (c->data.size.n < 3) return shape_of_data(c, shape, err);
    for (int i = 0; i < 3; i++) shape[i] = (uint32_t)c->data.size.v[i];
    return BF_OK;
}

uint64_t bf_setup_batch(const bf_config *c)
{
    return (uint64_t)(c->train.batch / c->train.accumulate);
}

static bf_status gemm_choice(const bf_config *c, const char *name, bf_gemm_choice *out, bf_err *err)
{
    static const bf_gemm_choice choices[] = {BF_GEMM_AUTO, BF_GEMM_CLBLAST, BF_GEMM_PACKED};
    bf_status st = BF_OK;
    bf_config copy = *c;
    char assignment[64] = "device.gemm=";
    if (name) {
        strncat(assignment, name, 32);
        BF_TRY(bf_config_set(&copy, assignment, err));
    }
    *out = choices[copy.device.gemm];
out:
    return st;
}

bf_status bf_setup_ctx(const bf_config *c, const bfncl_device_options *d, bf_ctx **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = NULL;
    bf_ctx_options o = {0};
    const char *from = NULL;
    o.selector = bfncl_device_choice(d ? d->selector : NULL, c->device.select, &from);
    o.selector_from = d && d->selector_from && d->selector ? d->selector_from : from;
    o.kernel_dir = d ? d->kernel_dir : NULL;
    o.profile = d && (d->profile || d->trace);
    o.trace = d && d->trace ? BF_TRACE_RUNS : 0;
    o.memory_limit = d && d->memory_limit ? d->memory_limit : (uint64_t)c->device.memory_mib << 20;
    BF_TRY(gemm_choice(c, d ? d->gemm : NULL, &o.gemm, err));
    BF_TRY(bf_ctx_open(&o, &ctx, err));
    bf_log(BFNCL_LOG_INFO, "%s", bf_ctx_reason(ctx));
    *out = ctx;
    ctx = NULL;
out:
    bf_ctx_close(ctx);
    return st;
}

bf_status bf_setup_overrides(bf_config *c, const char *const *set, size_t n_set, bf_err *err)
{
    bf_status st = BF_OK;
    for (size_t i = 0; i < n_set; i++) BF_TRY(bf_config_set(c, set[i], err));
    BF_TRY(bf_config_check(c, err));
out:
    return st;
}

bf_status bf_setup_same_shape(const bf_model *m, const char *path, const bf_dataset *ds, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_dataset_info i = bf_dataset_get_info(ds);
    BF_CHECK(i.height == m->shape[0] && i.width == m->shape[1] && i.channels == m->shape[2], BF_FILE,
             "%s: examples of %u x %u x %u, the model wants %u x %u x %u", path, i.height, i.width, i.channels,
             m->shape[0], m->shape[1], m->shape[2]);
out:
    return st;
}

bool bf_setup_wants_classes(const bf_config *c)
{
    return c->flow.kind == BF_CONFIG_CATEGORICAL && c->data.transform != BF_TRANSFORM_TABLE;
}
