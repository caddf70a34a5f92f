/* A model in memory. run/model.h */
#include "run/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/resident.h"
#include "base/size.h"
#include "io/packed.h"
#include "io/table.h"
#include "net/mlp.h"

bf_status bf_model_new(const bf_config *c, const uint32_t shape[3], const bf_schema *s, const bfncl_device_options *d,
                       bf_model **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_model *m = NULL;
    BF_CHECK(c->data.transform != BF_TRANSFORM_TEXT || !bf_vocabulary_learned(c->data.vocabulary), BF_USAGE,
             "data.vocabulary is \"learned\", but no text has been read: give the characters themselves");
    BF_CHECK(c->data.transform != BF_TRANSFORM_TABLE || s, BF_USAGE,
             "the columns of a table are learned from its rows: only `bfncl train` makes a model of them");
    BF_CHECK(c->data.transform != BF_TRANSFORM_MOLECULES || !bf_kinds_learned(c->mol.elements), BF_USAGE,
             "mol.elements is \"learned\", but no molecules have been read: give the elements themselves");
    BF_NEW(m, 1);
    m->config = *c;
    if (s) BF_TRY(bf_schema_copy(s, &m->schema, err));
    memcpy(m->shape, shape, sizeof m->shape);
    m->dims = m->row = (uint64_t)shape[0] * shape[1] * shape[2];
    if (s) m->row = bf_table_width(s);
    m->missing = s != NULL;
    m->packed = c->data.transform == BF_TRANSFORM_MOLECULES;
    m->room.ligand = 1;
    m->room.pocket = (uint64_t)c->mol.room;
    m->state = bf_run_state_new(c);
    BF_TRY(bf_setup_hybrid(c, m->schema, shape, &m->hybrid, err));
    BF_TRY(bf_hybrid_check(&m->hybrid, err));
    BF_TRY(bf_setup_classes(c, &m->classes, err));
    BF_TRY(bf_setup_net(c, &m->hybrid.group[0].flow, shape, &m->net, err));
    if (m->packed) m->unio2 = bf_setup_unio2(c, &m->hybrid);
    if (m->packed) BF_TRY(bf_unio2_check(&m->unio2, err));
    const double start = bf_seconds();
    BF_TRY(bf_setup_ctx(c, d, &m->ctx, err));
    BF_TRY(bf_profiler_new(m->ctx, d, &m->profiler, err));
    bf_profiler_span(m->profiler, "open the device", start, bf_seconds());
    BF_TRY(bf_params_new(m->ctx, &m->params, err));
    *out = m;
    m = NULL;
out:
    bf_model_free(m);
    return st;
}

void bf_model_free(bf_model *m)
{
    if (!m) return;
    bf_hybrid_free(&m->hybrid);
    bf_schema_free(m->schema);
    bf_sizes_free(&m->sizes);
    bf_params_free(m->params);
    bf_buf_free(m->clip_queue);
    bf_profiler_free(m->profiler);
    bf_ctx_close(m->ctx);
    free(m);
}

bf_status bf_model_shorten(bf_model *m, uint64_t length, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(m->config.data.transform == BF_TRANSFORM_TEXT, BF_USAGE,
             "only texts can be made in another length; examples of this model are %u x %u x %u", m->shape[0],
             m->shape[1], m->shape[2]);
    BF_CHECK(m->net.kind == BF_NET_TRANSFORMER, BF_USAGE,
             "only a transformer can make texts of another length than it was trained with");
    BF_CHECK(length >= 1 && length <= m->dims, BF_USAGE,
             "this model makes texts of 1 to %llu characters, the length asked for is %llu",
             (unsigned long long)m->dims, (unsigned long long)length);
    m->shape[0] = m->shape[2] = 1;
    m->shape[1] = (uint32_t)length;
    m->dims = m->row = m->hybrid.group[0].dims = length;
out:
    return st;
}

/* Several groups: their inputs side by side, and of a table what is known in advance (the tensor "given", which is an
 * input where nothing else is called so); an output layer "output.GROUP" for each. */
static void net_of_groups(const bf_model *m, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    char names[BF_MAX_GROUPS][64];
    const char *name[BF_MAX_GROUPS];
    uint64_t sizes[BF_MAX_GROUPS];
    bf_tid in[BF_MAX_GROUPS + 1];
    int inputs = m->hybrid.groups;
    if (m->net.kind != BF_NET_MLP) {
        (void)bf_graph_fail(g, BF_USAGE, "several groups of variables need net.kind mlp");
        return;
    }
    for (int i = 0; i < m->hybrid.groups; i++) {
        const bf_group *one = &m->hybrid.group[i];
        snprintf(names[i], sizeof names[i], "output.%s", one->name);
        name[i] = names[i];
        sizes[i] = one->dims * (uint64_t)bf_flow_outputs(&one->flow);
        in[i] = input[i];
    }
    if (m->schema) {
        const bf_tid given = bf_graph_find(g, "given");
        const uint64_t dims[] = {bf_graph_numel(g, t), m->row - m->dims};
        in[inputs++] = given >= 0 ? given : bf_graph_input(g, "given", 2, dims);
    }
    bf_mlp_build(g, &m->net, inputs, in, t, m->hybrid.groups, name, sizes, out);
}

/* Molecules: in and out, places are relative to the mean of the atoms, so that nothing depends on where a molecule is;
 * the network itself knows no direction. (The noise of the flow has a mean that this takes out with it.) */
static void net_of_molecules(const bf_model *m, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    const uint64_t items = bf_graph_dim(g, t, 0), places[] = {items, 3}, types[] = {items, (uint64_t)m->unio2.types};
    const bf_ragged r = bf_model_ragged(g, items);
    const bf_tid frame = m->frame ? bf_graph_input(g, "frame", 1, &items) : BF_NONE;
    const bf_unio2_batch b = {.pocket_x = BF_NONE,
                              .pocket_v = BF_NONE,
                              .x = bf_graph_segment_centre(g, bf_graph_reshape(g, input[0], 2, places), BF_NONE, &r),
                              .types = bf_graph_reshape(g, input[1], 2, types),
                              .t = m->unio2.time_dim > 0 ? t : BF_NONE,
                              .nodes = r,
                              .row = BF_NONE,
                              .node = BF_NONE};
    bf_tid x;
    bf_unio2_build(g, &m->unio2, &b, &x, &out[1]);
    out[0] = bf_graph_segment_centre(g, x, frame, &r);
}

/* Ligands in pockets, whose mean is the origin: places are what they are. */
static void net_of_complexes(const bf_model *m, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    const uint64_t items = bf_graph_dim(g, t, 0);
    const bf_packed p = bf_model_packed(m, items);
    const uint64_t pocket = p.given, nodes = pocket + items, offsets = p.segments + 1;
    const bf_unio2_batch b = {
        .pocket_x = bf_graph_input(g, "pocket_x", 2, (uint64_t[]){pocket, 3}),
        .pocket_v = bf_graph_input(g, "pocket_v", 2, (uint64_t[]){pocket, (uint64_t)m->unio2.pocket_features}),
        .x = bf_graph_reshape(g, input[0], 2, (uint64_t[]){items, 3}),
        .types = bf_graph_reshape(g, input[1], 2, (uint64_t[]){items, (uint64_t)m->unio2.types}),
        .t = m->unio2.time_dim > 0 ? t : BF_NONE,
        .nodes = {.offset = bf_graph_input(g, "node_offset", 1, &offsets),
                  .segment = bf_graph_input(g, "node_segment", 1, &nodes)},
        .row = bf_graph_input(g, "row", 1, &nodes),
        .node = bf_graph_input(g, "node", 1, &nodes)};
    bf_unio2_build(g, &m->unio2, &b, &out[0], &out[1]);
}

/* Classes K > 2 arrive as [B,H,W,C,K]; the network sees C K channels. */
static bf_tid plain_net(const bf_model *m, bf_graph *g, bf_tid input, bf_tid t)
{
    const uint64_t dims[4] = {bf_graph_dim(g, t, 0), m->shape[0], m->shape[1], (uint64_t)m->net.input.channels};
    return bf_net_build(g, &m->net, bf_graph_reshape(g, input, 4, dims), t);
}

static bf_tid guided_net(const bf_model *m, bf_graph *g, bf_tid input, bf_tid t)
{
    const float w = (float)m->guidance;
    const bf_tid both = plain_net(m, g, bf_graph_twice(g, input), bf_graph_twice(g, t));
    return bf_graph_mix_halves(g, both, 1.0f + w, -w);
}

void bf_model_net(void *model, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    const bf_model *m = model;
    if (m->packed) {
        if (m->unio2.pocket_features > 0)
            net_of_complexes(m, g, input, t, out);
        else
            net_of_molecules(m, g, input, t, out);
        return;
    }
    if (m->hybrid.groups > 1 || m->schema) {
        net_of_groups(m, g, input, t, out);
        return;
    }
    if (m->classes.n > 0 && m->guidance > 0.0)
        out[0] = guided_net(m, g, input[0], t);
    else
        out[0] = plain_net(m, g, input[0], t);
}

static void add_part(bf_loss_nodes *n, bf_tid t, uint64_t first, uint64_t count)
{
    n->part[n->parts++] = (bf_block_part){.t = t, .first = first, .count = count};
}

/* The inputs that the network of a packed model has made. */
static void add_inputs(const bf_model *m, const bf_graph *g, uint64_t batch, bf_loss_nodes *n)
{
    bf_packed_input input[BF_PACKED_INPUTS];
    const int inputs = bf_model_inputs(m, batch, input);
    for (int i = 0; i < inputs; i++) add_part(n, bf_graph_find(g, input[i].name), input[i].first, input[i].count);
}

/* Those of labels. */
static void add_labels(const bf_model *m, bf_graph *g, uint64_t batch, bf_loss_nodes *n)
{
    const bf_label_block b = bf_label_block_of(batch * m->row, batch, m->classes.n);
    const uint64_t offsets = b.entry - b.offset;
    add_part(n, bf_graph_input(g, "label", 1, &batch), b.label, batch);
    if (!bf_graph_training(g)) return;
    add_part(n, bf_graph_input(g, "label_offset", 1, &offsets), b.offset, offsets);
    add_part(n, bf_graph_input(g, "label_entry", 1, &batch), b.entry, batch);
}

void bf_model_loss(bf_model *m, bf_graph *g, const bf_flow_loss_spec *spec, uint64_t batch, bool want_grad,
                   bf_loss_nodes *n)
{
    const uint64_t dims[4] = {batch, m->shape[0], m->shape[1], m->shape[2]};
    const bf_tid data =
        m->schema ? bf_graph_input(g, "data", 2, (uint64_t[]){batch, m->row}) : bf_graph_input(g, "data", 4, dims);
    n->parts = 0;
    n->t = bf_graph_input(g, "t", 1, dims);
    add_part(n, data, 0, batch * m->row);
    if (m->schema) bf_graph_label(g, bf_hybrid_rest(g, &m->hybrid, data), "given");
    bf_hybrid_rows(g, &m->hybrid, data, m->missing, n->group);
    if (m->packed) {
        const bf_tid weight = bf_graph_input(g, "weight", 1, dims);
        for (int i = 0; i < m->hybrid.groups; i++) n->group[i].weight = weight;
        add_part(n, weight, bf_model_packed(m, batch).weight, batch);
    }
    if (m->classes.n > 0) add_labels(m, g, batch, n);
    bf_hybrid_input(g, &m->hybrid, n->t, n->group);
    bf_hybrid_net(g, &m->hybrid, bf_model_net, m, n->t, n->group);
    if (m->packed) add_inputs(m, g, batch, n);
    n->total = bf_hybrid_loss(g, &m->hybrid, spec, n->t, n->group, want_grad);
}

bool bf_model_halve_batch(bf_status status, uint32_t *batch, const bf_err *err)
{
    if (status != BF_RUNTIME || *batch <= 1) return false;
    *batch = (*batch + 1) / 2;
    bf_log(BFNCL_LOG_INFO, "%s; trying batches of %u", err->message, *batch);
    return true;
}

bf_status bf_model_register(bf_model *m, bf_err *err)
{
    bf_status st = BF_OK;
    bf_graph *g = NULL;
    const bf_graph_options o = {.training = false, .weights = BF_SET_VALUE};
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_RECON};
    bf_loss_nodes nodes;
    BF_TRY(bf_graph_new(m->ctx, m->params, &o, &g, err));
    bf_model_loss(m, g, &spec, 1, false, &nodes);
    BF_TRY(bf_graph_status(g, err));
out:
    bf_graph_free(g);
    return st;
}

bf_status bf_model_path(const char *path, char out[1024], bf_err *err)
{
    static const char *const names[] = {"best.safetensors", "last.safetensors"};
    bf_status st = BF_OK;
    struct stat info;
    BF_CHECK(strlen(path) < 1000, BF_USAGE, "the path %.80s... is too long", path);
    snprintf(out, 1024, "%s", path);
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) return BF_OK;
    for (size_t i = 0; i < BF_COUNT(names); i++) {
        snprintf(out, 1024, "%s/%s", path, names[i]);
        if (stat(out, &info) == 0) return BF_OK;
    }
    st = bf_fail(err, BF_FILE, "%s: no model in this folder (neither best.safetensors nor last.safetensors)", path);
out:
    return st;
}

bfncl_plan bf_model_plan(const bf_model *m, const bf_plan *p, uint64_t batch)
{
    return (bfncl_plan){.params = bf_params_numel(m->params),
                        .param_bytes = p->params_bytes,
                        .activation_bytes = p->activation_bytes,
                        .io_bytes = p->io_bytes,
                        .peak_bytes = p->params_bytes + p->activation_bytes + p->io_bytes,
                        .budget_bytes = p->budget_bytes,
                        .host_bytes = bf_params_allocated(m->params) ? 0 : bf_resident_peak(),
                        .batch = batch,
                        .gflop = p->flops / 1e9};
}

/* Where the weights of "ema" or "raw" are in a file. */
static bf_status weights_prefix(const char *weights, const char **prefix, bf_err *err)
{
    bf_status st = BF_OK;
    const bool raw = weights && strcmp(weights, "raw") == 0;
    BF_CHECK(!weights || raw || strcmp(weights, "ema") == 0, BF_USAGE, "weights are \"ema\" or \"raw\", not \"%.32s\"",
             weights);
    *prefix = raw ? "net." : "ema.";
out:
    return st;
}

/* Weights of another program. */
static bf_status open_foreign(const bf_open_options *o, char path[1024], bf_model **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_model *m = NULL;
    BF_CHECK(strlen(o->path) < 1000, BF_USAGE, "the path %.80s... is too long", o->path);
    snprintf(path, 1024, "%s", o->path);
    BF_TRY(bf_foreign_new(o, &m, err));
    if (!o->dry_run) BF_TRY(bf_gemm_selftest(m->ctx, err));
    BF_TRY(bf_foreign_load(m, o, err));
    *out = m;
    m = NULL;
out:
    bf_model_free(m);
    return st;
}

bf_status bf_model_open(const bf_open_options *o, char path[1024], bf_model **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_model_file f = {0};
    bf_model *m = NULL;
    bf_model_part part = {.set = BF_SET_VALUE};
    bool settled;
    BF_CHECK(o->path, BF_USAGE, "no model given");
    BF_TRY(weights_prefix(o->weights, &part.prefix, err));
    BF_TRY(bf_foreign_settles(o->path, &settled, err));
    if (o->config || settled) return open_foreign(o, path, out, err);
    BF_TRY(bf_model_path(o->path, path, err));
    BF_TRY(bf_model_file_open(path, &f, err));
    BF_TRY(bf_setup_overrides(&f.config, o->set, o->n_set, err));
    BF_TRY(bf_model_new(&f.config, f.shape, f.schema, o->device, &m, err));
    m->state = f.state;
    m->sizes = f.sizes;
    f.sizes = (bf_sizes){0};
    BF_TRY(bf_model_register(m, err));
    BF_TRY(bf_model_file_check(m, &f, &part, 1, err)); /* a damaged file is found before memory is taken */
    if (!o->dry_run) {
        BF_TRY(bf_gemm_selftest(m->ctx, err));
        BF_TRY(bf_params_alloc(m->params, 1u << BF_SET_VALUE, err));
        BF_TRY(bf_model_load(m, &f, &part, 1, err));
    }
    *out = m;
    m = NULL;
out:
    bf_model_file_close(&f);
    bf_model_free(m);
    return st;
}
