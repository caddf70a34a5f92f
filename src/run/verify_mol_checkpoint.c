/* Replays of kind "checkpoint expectation" with net_class "molcraft": golden README, section 12, "Checkpoint". */
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "flow/ops.h"
#include "run/verify_mol.h"

enum { POSITION, TYPE, GROUPS };

/* One call of the network, and what the flow makes of what it says. */
typedef struct call {
    bf_mol_case *c;
    bf_replay *r;
    bf_tid input[GROUPS], t, out[GROUPS];
    bf_buf *said[GROUPS];
    float *pocket_x, *pocket_v, *mu, *theta, *times;
} call;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bf_status read(const call *k, const char *name, uint64_t n, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t stored;
    BF_TRY(bf_verify_read(k->c->v, name, out, &stored, err));
    BF_CHECK(stored == n, BF_FILE, "%s: wrong number of elements", name);
out:
    return st;
}

static bf_status read_call(call *k, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol_batch *b = k->c->batch;
    float *t = NULL;
    BF_TRY(read(k, "protein_pos", (uint64_t)b->pocket * 3, &k->pocket_x, err));
    BF_TRY(read(k, "protein_v", (uint64_t)b->pocket * (uint64_t)k->c->net.pocket_features, &k->pocket_v, err));
    BF_TRY(read(k, "mu", (uint64_t)b->ligand * 3, &k->mu, err));
    BF_TRY(read(k, "theta", (uint64_t)b->ligand * (uint64_t)k->c->net.types, &k->theta, err));
    BF_TRY(read(k, "t", b->complexes, &t, err));
    BF_NEW(k->times, b->ligand);
    for (uint32_t i = 0; i < b->ligand; i++) k->times[i] = t[(uint32_t)b->ligand_of[i]];
out:
    free(t);
    return st;
}

static void close_call(call *k)
{
    for (int g = 0; g < GROUPS; g++) bf_buf_free(k->said[g]);
    free(k->pocket_x);
    free(k->pocket_v);
    free(k->mu);
    free(k->theta);
    free(k->times);
}

/* ---- outputs ----------------------------------------------------------------------------------------------------- */

static bf_status build(call *k, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t atoms = k->c->batch->ligand;
    bf_ctx *ctx = bf_verify_ctx(k->c->v);
    BF_TRY(bf_replay_graph(k->r, false, err));
    bf_graph *g = k->r->graph;
    k->input[POSITION] = bf_graph_input(g, "mu", 2, (uint64_t[]){atoms, 3});
    k->input[TYPE] = bf_graph_input(g, "theta", 2, (uint64_t[]){atoms, (uint64_t)k->c->net.types});
    k->t = bf_graph_input(g, "t", 1, &atoms);
    bf_mol_net(k->c, g, k->input, k->t, k->out);
    for (int i = 0; i < GROUPS; i++) bf_graph_keep(g, k->out[i]);
    BF_TRY(bf_graph_status(g, err));
    BF_TRY(bf_params_alloc(k->r->params, 1u << BF_SET_VALUE, err));
    BF_TRY(bf_graph_plan(g, true, NULL, err));
    BF_TRY(bf_graph_emit(g, k->r->cmds, err));
    for (int i = 0; i < GROUPS; i++) {
        const bf_group *group = &k->c->hybrid.group[i];
        BF_TRY(bf_buf_new(ctx, bf_graph_numel(g, k->out[i]) * sizeof(float), "replay", &k->said[i], err));
        BF_TRY(bf_flow_op_params(k->r->cmds, &group->flow, (bf_flow_shape){atoms, group->dims}, (bf_mem){k->said[i], 0},
                                 bf_graph_mem(g, k->input[i]), bf_graph_mem(g, k->out[i]), bf_graph_mem(g, k->t), true,
                                 err));
    }
out:
    return st;
}

static bf_status write(const call *k, bf_tid to, const float *data, bf_err *err)
{
    const bf_graph *g = k->r->graph;
    return bf_write(bf_verify_ctx(k->c->v), bf_graph_mem(g, to), data, (size_t)bf_graph_numel(g, to) * sizeof *data,
                    err);
}

static bf_status check_outputs(call *k, const char *const names[GROUPS], bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL;
    BF_TRY(bf_mol_fill(k->c, k->r->graph, k->pocket_x, k->pocket_v, err));
    BF_TRY(write(k, k->input[POSITION], k->mu, err));
    BF_TRY(write(k, k->input[TYPE], k->theta, err));
    BF_TRY(write(k, k->t, k->times, err));
    BF_TRY(bf_replay_run(k->r, err));
    for (int i = 0; i < GROUPS; i++) {
        const uint64_t n = bf_graph_numel(k->r->graph, k->out[i]);
        BF_NEW(mine, n);
        BF_TRY(bf_read(bf_verify_ctx(k->c->v), mine, (bf_mem){k->said[i], 0}, (size_t)n * sizeof *mine, err));
        bf_verify_tensor(k->c->v, names[i], mine, n, BF_VERIFY_FORWARD);
        free(mine);
        mine = NULL;
    }
out:
    free(mine);
    return st;
}

/* With both sets of weights; leaves the averaged ones in the store. */
static bf_status replay_outputs(bf_mol_case *c, bf_replay *r, bf_err *err)
{
    static const char *const names[2][GROUPS] = {{"x_hat_raw", "p_raw"}, {"x_hat_ema", "p_ema"}};
    bf_status st = BF_OK;
    call k = {.c = c, .r = r};
    BF_TRY(read_call(&k, err));
    BF_TRY(build(&k, err));
    for (int averaged = 0; averaged < 2; averaged++) {
        BF_TRY(bf_replay_weights(r, averaged, err));
        BF_TRY(check_outputs(&k, names[averaged], err));
    }
    BF_TRY(bf_mol_check_edges(c, "edges", k.pocket_x, k.mu, err));
out:
    close_call(&k);
    return st;
}

/* ---- loss and sampling ------------------------------------------------------------------------------------------- */

static bf_status replay_loss(bf_mol_case *c, bf_replay *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_loss loss = {.c = c, .data = "", .draws = "loss.", .framed = true};
    BF_TRY(bf_mol_loss_read(&loss, err));
    BF_TRY(bf_mol_loss_build(&loss, r, false, err));
    BF_TRY(bf_graph_plan(r->graph, true, NULL, err));
    BF_TRY(bf_graph_emit(r->graph, r->cmds, err));
    BF_TRY(bf_mol_loss_fill(&loss, err));
    BF_TRY(bf_replay_run(r, err));
    BF_TRY(bf_mol_loss_check(&loss, err));
out:
    bf_mol_loss_free(&loss);
    return st;
}

static bf_status replay_sampling(bf_mol_case *c, bf_replay *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol_batch *b = c->batch;
    float *pocket_x = NULL, *pocket_v = NULL;
    double *centre = NULL;
    bf_sampler_mode mode;
    const call k = {.c = c};
    BF_TRY(bf_mol_mode(bf_st_meta_get(bf_verify_file(c->v), "sampling_mode"), &mode, err));
    BF_TRY(read(&k, "sample.protein_pos", (uint64_t)b->pocket * 3, &pocket_x, err));
    BF_TRY(read(&k, "protein_v", (uint64_t)b->pocket * (uint64_t)c->net.pocket_features, &pocket_v, err));
    BF_NEW(centre, (size_t)b->complexes * 3);
    bf_mol_frame(c, pocket_x, NULL, NULL, NULL, centre);
    BF_TRY(bf_mol_check_sampling(c, r->params, "sample.", mode, pocket_x, pocket_v, centre, err));
out:
    free(pocket_x);
    free(pocket_v);
    free(centre);
    return st;
}

bf_status bf_verify_mol_checkpoint(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_case c = {.v = v};
    bf_replay r = {.v = v};
    bf_mol_batch batch = {0};
    BF_TRY(bf_mol_case_open(v, 1.0, &c, err));
    BF_TRY(bf_replay_new(&r, v, err));
    BF_TRY(bf_mol_batch_read(v, "batch_protein", "batch_ligand", &batch, err));
    c.batch = &batch;
    BF_TRY(replay_outputs(&c, &r, err));
    if (bf_st_find(bf_verify_file(v), "loss.t")) BF_TRY(replay_loss(&c, &r, err));
    c.batch = &batch;
    if (bf_st_find(bf_verify_file(v), "sample.t")) BF_TRY(replay_sampling(&c, &r, err));
out:
    bf_replay_free(&r);
    bf_mol_batch_free(&batch);
    bf_mol_case_close(&c);
    return st;
}
