/* Replays of checkpoints: golden README, section 9. The weights come from the PyTorch files beside the expectation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/size.h"
#include "io/tensors.h"
#include "net/net.h"
#include "run/official.h"
#include "run/replay.h"
#include "run/verify_flow.h"
#include "run/weights.h"

#define MAX_CONFIG ((uint64_t)1 << 20)
#define MAX_STEPS 100000

typedef struct checkpoint {
    bf_replay r;
    bf_net_config net;
    bf_flow flow;
} checkpoint;

/* ---- files beside the expectation -------------------------------------------------------------------------------- */

/* NAME_raw.pt and NAME_ema.pt; where they are not, one NAME.pt with both sets of weights. */
static bf_status weights_path(const bf_verify *v, bool averaged, char out[BF_VERIFY_PATH], bf_err *err)
{
    const char *const ends[] = {averaged ? "_ema.pt" : "_raw.pt", ".pt", averaged ? "_ema.pt" : "_raw.pt"};
    bf_status st = BF_OK;
    struct stat info;
    for (size_t i = 0; i < BF_COUNT(ends); i++) { /* nowhere: the message is about the first name */
        BF_TRY(bf_verify_beside(v, ends[i], out, err));
        if (stat(out, &info) == 0) break;
    }
out:
    return st;
}

bf_status bf_replay_weights(bf_replay *r, bool averaged, bf_err *err)
{
    bf_status st = BF_OK;
    char path[BF_VERIFY_PATH];
    bf_tensors *f = NULL;
    bf_weights w = {0};
    BF_TRY(weights_path(r->v, averaged, path, err));
    BF_TRY(bf_tensors_open(path, &f, err));
    BF_TRY(bf_weights_find(r->params, f, averaged, &w, err));
    BF_TRY(bf_weights_put(&w, r->params, BF_SET_VALUE, err));
out:
    bf_weights_free(&w);
    bf_tensors_close(f);
    return st;
}

/* From the metadata, else from NAME_config.json. */
static bf_status read_config(checkpoint *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(c->r.v);
    const char *name = bf_st_name(f), *text = bf_st_meta_get(f, "config");
    char path[BF_VERIFY_PATH];
    void *data = NULL;
    json_t *root = NULL;
    if (!text) {
        size_t size;
        BF_TRY(bf_verify_beside(c->r.v, "_config.json", path, err));
        BF_TRY(bf_file_read(path, MAX_CONFIG, &data, &size, err));
        name = path;
        text = data; /* ends with a NUL byte */
    }
    BF_TRY(bf_official_parse(name, text, &root, err));
    const json_t *model = json_object_get(root, "model");
    if (!model) model = root;
    BF_TRY(bf_official_net(model, &c->net, err));
    BF_TRY(bf_official_flow(model, &c->flow, err));
    c->net.dropout = 0.0f; /* everything was stored in evaluation mode */
out:
    if (st != BF_OK && text) bf_err_context(err, "%s", name);
    json_decref(root);
    free(data);
    return st;
}

/* ---- network ----------------------------------------------------------------------------------------------------- */

/* Classes of an image arrive as [B,H,W,C,K]; the network sees C K channels. */
static bf_tid build_net(const checkpoint *c, bf_graph *g, bf_tid input, bf_tid t)
{
    if (bf_graph_ndim(g, input) == 5) {
        uint64_t dims[4];
        for (int i = 0; i < 4; i++) dims[i] = bf_graph_dim(g, input, i);
        dims[3] *= bf_graph_dim(g, input, 4);
        input = bf_graph_reshape(g, input, 4, dims);
    }
    return bf_net_build(g, &c->net, input, t);
}

/* bf_net_fn */
static void sampled_net(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    *out = build_net(user, g, *input, t);
}

static bf_status prepare(checkpoint *c, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_graph_plan(c->r.graph, true, NULL, err));
    BF_TRY(bf_graph_emit(c->r.graph, c->r.cmds, err));
out:
    return st;
}

/* out_raw and out_ema, as far as stored. Leaves the averaged weights in the store. */
static bf_status replay_outputs(checkpoint *c, bf_err *err)
{
    static const char *const names[] = {"out_raw", "out_ema"};
    bf_status st = BF_OK;
    bf_replay *r = &c->r;
    bf_tid x, t;
    BF_TRY(bf_replay_graph(r, false, err));
    BF_TRY(bf_replay_input(r, "x", false, &x, err));
    BF_TRY(bf_replay_input(r, "t", false, &t, err));
    const bf_tid out = build_net(c, r->graph, x, t);
    bf_graph_keep(r->graph, out);
    BF_TRY(bf_graph_status(r->graph, err));
    BF_TRY(bf_params_alloc(r->params, 1u << BF_SET_VALUE, err));
    BF_TRY(prepare(c, err));
    for (int averaged = 0; averaged < 2; averaged++) {
        const bool stored = bf_st_find(bf_verify_file(r->v), names[averaged]) != NULL;
        if (!stored && !averaged) continue;
        BF_TRY(bf_replay_weights(r, averaged, err));
        if (!stored) continue;
        BF_TRY(bf_replay_fill(r, x, "x", -1, err)); /* a run may reuse the memory of its inputs */
        BF_TRY(bf_replay_fill(r, t, "t", -1, err));
        BF_TRY(bf_replay_run(r, err));
        BF_TRY(bf_replay_compare(r, names[averaged], out, BF_VERIFY_FORWARD, err));
    }
out:
    return st;
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

typedef struct loss_case {
    bf_loss_kind kind;
    const char *loss, *noise, *mc_noise, *t; /* without times: t = 1 */
} loss_case;

static const loss_case loss_cases[] = {
    {BF_LOSS_CTS, "eval.cts_loss", "eval.cts_noise", NULL, "eval.t_cts"},
    {BF_LOSS_N_STEP, "eval.dis_loss", "eval.dis_noise", "eval.dis_mc_noise", "eval.t_dis"},
    {BF_LOSS_RECON, "eval.recon_loss", "eval.recon_noise", NULL, NULL},
};

typedef struct loss_nodes {
    bf_tid data, t, noise, mc_noise, sample;
} loss_nodes;

static bf_status loss_spec(checkpoint *c, const loss_case *k, bool draws, bf_flow_loss_spec *spec, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *mc;
    *spec = (bf_flow_loss_spec){.kind = k->kind, .receiver = BF_RECEIVER_OFFICIAL};
    if (k->kind == BF_LOSS_N_STEP) {
        const double steps = bf_golden_meta(c->r.v, "n_steps_discrete_loss", 0.0);
        BF_CHECK(steps >= 1.0 && steps <= 1e6, BF_FILE, "metadata: the number of steps of the n-step loss is missing");
        spec->steps = (int)steps;
    }
    if (draws) {
        BF_TRY(bf_st_need(bf_verify_file(c->r.v), k->mc_noise, &mc, err));
        BF_CHECK(mc->ndim > 1 && mc->dims[0] >= 1 && mc->dims[0] <= 10000, BF_FILE, "%s: unexpected shape",
                 k->mc_noise);
        spec->draws = (int)mc->dims[0];
    }
out:
    return st;
}

static bf_status build_loss(checkpoint *c, const loss_case *k, loss_nodes *n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay *r = &c->r;
    bf_flow_loss_spec spec;
    const bf_flow_loss_spec any = {.kind = k->kind, .steps = 1};
    const bool draws = k->mc_noise && bf_flow_loss_draws(&c->flow, &any) > 0;
    *n = (loss_nodes){.mc_noise = BF_NONE};
    BF_TRY(loss_spec(c, k, draws, &spec, err));
    BF_TRY(bf_replay_graph(r, false, err));
    BF_TRY(bf_replay_input(r, "eval.data", false, &n->data, err));
    n->t = bf_graph_input(r->graph, "t", 1, (uint64_t[]){bf_graph_dim(r->graph, n->data, 0)});
    BF_TRY(bf_replay_input(r, k->noise, false, &n->noise, err));
    if (draws) BF_TRY(bf_replay_input(r, k->mc_noise, false, &n->mc_noise, err));
    const bf_flow_state state = bf_flow_input(r->graph, &c->flow, n->data, n->t, n->noise);
    BF_TRY(bf_graph_status(r->graph, err));
    const bf_tid out = build_net(c, r->graph, state.input, n->t);
    n->sample = bf_flow_loss(r->graph, &c->flow, &spec, state, n->data, n->t, out, n->mc_noise, false).sample;
    bf_graph_keep(r->graph, n->sample);
    BF_TRY(prepare(c, err));
out:
    return st;
}

static bf_status fill_loss(checkpoint *c, const loss_case *k, const loss_nodes *n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay *r = &c->r;
    const uint64_t batch = bf_graph_numel(r->graph, n->t);
    float *ones = NULL;
    BF_TRY(bf_replay_fill(r, n->data, "eval.data", -1, err));
    BF_TRY(bf_replay_fill(r, n->noise, k->noise, -1, err));
    if (n->mc_noise >= 0) BF_TRY(bf_replay_fill(r, n->mc_noise, k->mc_noise, -1, err));
    if (k->t) {
        BF_TRY(bf_replay_fill(r, n->t, k->t, -1, err));
    } else {
        BF_NEW(ones, batch);
        for (uint64_t i = 0; i < batch; i++) ones[i] = 1.0f;
        BF_TRY(bf_write(bf_verify_ctx(r->v), bf_graph_mem(r->graph, n->t), ones, (size_t)batch * sizeof *ones, err));
    }
out:
    free(ones);
    return st;
}

/* Stored as the mean over the batch, or per sample. */
static bf_status replay_loss(checkpoint *c, const loss_case *k, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay *r = &c->r;
    const bf_st_tensor *stored = bf_st_find(bf_verify_file(r->v), k->loss);
    loss_nodes n;
    float *sample = NULL;
    if (!stored) return BF_OK;
    BF_TRY(build_loss(c, k, &n, err));
    BF_TRY(fill_loss(c, k, &n, err));
    BF_TRY(bf_replay_run(r, err));
    BF_TRY(bf_replay_read(r, n.sample, &sample, err));
    uint64_t batch = bf_graph_numel(r->graph, n.sample);
    if (stored->count == 1) {
        double sum = 0.0;
        for (uint64_t i = 0; i < batch; i++) sum += sample[i];
        sample[0] = (float)(sum / (double)batch);
        batch = 1;
    }
    bf_verify_tensor(r->v, k->loss, sample, batch, BF_VERIFY_FORWARD);
out:
    free(sample);
    return st;
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

/* Draws of a sampling run: `per_step` numbers for each of *steps steps (0: as many as the tensor has). */
static bf_status read_draws(checkpoint *c, const char *name, uint64_t per_step, uint64_t *steps, float **out,
                            bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t n = 0;
    BF_TRY(bf_verify_read(c->r.v, name, out, &n, err));
    if (*steps == 0) *steps = n / per_step;
    BF_CHECK(*steps >= 1 && *steps <= MAX_STEPS && n == *steps * per_step, BF_FILE,
             "%s: %llu numbers are no draws of %llu steps", name, (unsigned long long)n, (unsigned long long)*steps);
out:
    return st;
}

static void compare_run(checkpoint *c, const bf_recording *rec)
{
    static const struct {
        const char *name;
        bf_sampler_item item;
        uint64_t more; /* the final call has it too */
    } rows[] = {{"sample.params", BF_SAMPLER_STATE, 0},
                {"sample.net_out", BF_SAMPLER_NET_OUT, 1},
                {"sample.x", BF_SAMPLER_DRAWN, 0},
                {"sample.k", BF_SAMPLER_DRAWN, 0}};
    bf_verify *v = c->r.v;
    for (size_t i = 0; i < BF_COUNT(rows); i++) {
        const uint64_t n = ((uint64_t)rec->steps + rows[i].more) * rec->size[rows[i].item];
        if (bf_st_find(bf_verify_file(v), rows[i].name))
            bf_verify_tensor(v, rows[i].name, rec->all[rows[i].item], n, BF_VERIFY_FORWARD);
    }
    bf_verify_tensor(v, "sample.final", rec->final, rec->size[BF_SAMPLER_MODE], BF_VERIFY_FORWARD);
}

static bf_status replay_sampling(checkpoint *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *f = bf_verify_file(c->r.v);
    const bf_st_tensor *final = bf_st_find(f, "sample.final");
    bf_sampler *sampler = NULL;
    bf_recording rec = {.steps = 0};
    float *data = NULL, *message = NULL;
    uint64_t steps = 0;
    bf_group group;
    const bf_hybrid hybrid = {1, &group};
    bf_sampler_options o = {.ctx = bf_verify_ctx(c->r.v),
                            .params = c->r.params,
                            .weights = BF_SET_VALUE,
                            .hybrid = &hybrid,
                            .net = sampled_net,
                            .user = c};
    if (!final) return BF_OK;
    BF_CHECK(final->ndim >= 2 && final->ndim < BF_MAX_DIMS && final->count > 0, BF_FILE,
             "sample.final: unexpected shape");
    o.ndim = final->ndim;
    group = bf_group_alone(&c->flow, final->count / final->dims[0]);
    memcpy(o.dims, final->dims, (size_t) final->ndim * sizeof *o.dims);
    BF_TRY(
        read_draws(c, "sample.noise_y", final->count * (uint64_t)bf_flow_noise_width(&c->flow), &steps, &message, err));
    if (c->flow.kind == BF_FLOW_CATEGORICAL)
        BF_TRY(read_draws(c, "sample.u", final->count, &steps, &data, err));
    else if (c->flow.output != BF_OUT_DELTA)
        BF_TRY(read_draws(c, "sample.noise_sample", final->count, &steps, &data, err));
    BF_TRY(bf_sampler_new(&o, &sampler, NULL, err));
    BF_TRY(bf_record(sampler, (int)steps, data, message, &rec, err));
    compare_run(c, &rec);
out:
    bf_recording_free(&rec);
    bf_sampler_free(sampler);
    free(data);
    free(message);
    return st;
}

bf_status bf_verify_checkpoint(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const char *net_class = bf_st_meta_get(bf_verify_file(v), "net_class");
    checkpoint c = {.r = {.v = v}};
    if (net_class && strcmp(net_class, "molcraft") == 0) return bf_verify_mol_checkpoint(v, err);
    if (net_class && !bf_official_net_known(net_class)) {
        bf_verify_skip(v, net_class, "this network is not implemented yet");
        return BF_OK;
    }
    BF_TRY(read_config(&c, err));
    BF_TRY(bf_replay_new(&c.r, v, err));
    BF_TRY(replay_outputs(&c, err));
    for (size_t i = 0; i < BF_COUNT(loss_cases); i++) BF_TRY(replay_loss(&c, &loss_cases[i], err));
    BF_TRY(replay_sampling(&c, err));
out:
    bf_replay_free(&c.r);
    return st;
}

/* ---- reading alone ----------------------------------------------------------------------------------------------- */

/* The same shape and exactly the same values; where both have one type, the same bytes. */
static bf_status compare_loaded(bf_verify *v, const bf_st_tensor *want, bf_tensors *f, bf_err *err)
{
    bf_status st = BF_OK;
    const ptrdiff_t at = bf_tensors_find(f, want->name);
    char shape[BF_SHAPE_TEXT], note[BF_SHAPE_TEXT + 64];
    void *mine = NULL, *stored = NULL;
    if (at < 0) {
        bf_verify_fact(v, want->name, false, "not in the file");
        goto out;
    }
    const bf_tensor t = bf_tensors_at(f, (size_t)at);
    if (!t.readable) {
        bf_verify_skip(v, want->name, "elements of this type are not supported");
        goto out;
    }
    if (t.ndim != want->ndim || memcmp(t.dims, want->dims, (size_t)t.ndim * sizeof *t.dims) != 0) {
        bf_shape_text(t.ndim, t.dims, shape);
        snprintf(note, sizeof note, "its shape was read as %s", shape);
        bf_verify_fact(v, want->name, false, note);
    } else if (t.dtype == want->dtype) {
        mine = malloc((size_t)want->bytes + 1);
        stored = malloc((size_t)want->bytes + 1);
        BF_CHECK(mine && stored, BF_RUNTIME, "out of memory");
        BF_TRY(bf_tensors_read_raw(f, (size_t)at, mine, err));
        BF_TRY(bf_st_read_raw(bf_verify_file(v), want, stored, err));
        bf_verify_fact(v, want->name, memcmp(mine, stored, (size_t)want->bytes) == 0, "other values were read");
    } else {
        mine = malloc((size_t)want->count * sizeof(float) + 1);
        BF_CHECK(mine, BF_RUNTIME, "out of memory");
        BF_TRY(bf_tensors_read_f32(f, (size_t)at, mine, err));
        bf_verify_within(v, want->name, mine, want->count, 0.0, NULL);
    }
out:
    free(mine);
    free(stored);
    return st;
}

bf_status bf_verify_loader(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *want = bf_verify_file(v);
    char path[BF_VERIFY_PATH];
    bf_tensors *f = NULL;
    BF_TRY(bf_verify_beside(v, ".pt", path, err));
    BF_TRY(bf_tensors_open(path, &f, err));
    for (size_t i = 0; i < bf_st_count(want); i++) BF_TRY(compare_loaded(v, bf_st_at(want, i), f, err));
    for (size_t i = 0; i < bf_tensors_count(f); i++) {
        const bf_tensor t = bf_tensors_at(f, i);
        if (!bf_st_find(want, t.name)) bf_verify_fact(v, t.name, false, "read, but not expected");
    }
out:
    bf_tensors_close(f);
    return st;
}
