/* The loss of a batch of complexes on stored draws, with or without its gradients: golden README, section 12, "Flow and
 * losses". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "run/verify_mol.h"

#define NAME_SIZE 64

enum { POSITION, TYPE };

static const char *name_of(const char *prefix, const char *what, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s%s", prefix, what);
    return out;
}

/* A stored tensor of `n` numbers. */
static bf_status read(const bf_mol_loss *s, const char *prefix, const char *what, uint64_t n, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    uint64_t stored;
    BF_TRY(bf_verify_read(s->c->v, name_of(prefix, what, name), out, &stored, err));
    BF_CHECK(stored == n, BF_FILE, "%s: %llu numbers instead of %llu", name, (unsigned long long)stored,
             (unsigned long long)n);
out:
    return st;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

/* Into the frame of the network. */
static bf_status move_atoms(bf_mol_loss *s, bf_err *err)
{
    bf_status st = BF_OK;
    float *noise = NULL, *rotation = NULL;
    double *centre = NULL;
    const uint64_t n = (uint64_t)s->batch.pocket * 3;
    BF_NEW(centre, (size_t)s->batch.complexes * 3);
    if (s->noise_std > 0.0) {
        BF_TRY(read(s, s->draws, "noise_pocket", n, &noise, err));
        for (uint64_t i = 0; i < n; i++) noise[i] = (float)(s->noise_std * (double)noise[i]);
    }
    if (s->rotate) BF_TRY(read(s, s->draws, "rotation", 9, &rotation, err));
    bf_mol_frame(s->c, s->pocket_x, s->ligand_x, noise, rotation, centre);
out:
    free(noise);
    free(rotation);
    free(centre);
    return st;
}

/* Times and weights of the atoms. */
static bf_status spread(bf_mol_loss *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_molcraft *m = &s->c->settings;
    const bf_mol_batch *b = &s->batch;
    const double floor = m->discrete && m->destination ? 0.0 : m->t_min;
    uint32_t *atoms = NULL;
    BF_NEW(atoms, b->complexes);
    BF_NEW(s->times, b->ligand);
    BF_NEW(s->weight, b->ligand);
    for (uint32_t i = 0; i < b->ligand; i++) atoms[(uint32_t)b->ligand_of[i]]++;
    for (uint32_t i = 0; i < b->ligand; i++) {
        const uint32_t own = (uint32_t)b->ligand_of[i];
        s->times[i] = fmaxf(s->t[own], (float)floor);
        s->weight[i] = (float)((double)b->ligand / ((double)b->complexes * (double)atoms[own]));
    }
out:
    free(atoms);
    return st;
}

bf_status bf_mol_loss_read(bf_mol_loss *s, bf_err *err)
{
    bf_status st = BF_OK;
    char pocket_of[NAME_SIZE], ligand_of[NAME_SIZE];
    BF_TRY(bf_mol_batch_read(s->c->v, name_of(s->data, "batch_protein", pocket_of),
                             name_of(s->data, "batch_ligand", ligand_of), &s->batch, err));
    s->c->batch = &s->batch;
    const uint64_t pocket = s->batch.pocket, ligand = s->batch.ligand;
    BF_TRY(read(s, s->data, "protein_pos", 3 * pocket, &s->pocket_x, err));
    BF_TRY(read(s, s->data, "protein_v", pocket * (uint64_t)s->c->net.pocket_features, &s->pocket_v, err));
    BF_TRY(read(s, s->data, "ligand_pos", 3 * ligand, &s->ligand_x, err));
    BF_TRY(read(s, s->data, "types", ligand, &s->types, err));
    for (uint64_t i = 0; i < ligand; i++)
        BF_CHECK(s->types[i] >= 0.0f && s->types[i] < (float)s->c->net.types, BF_FILE, "%stypes: no type of an atom",
                 s->data);
    BF_TRY(read(s, s->draws, "t", s->batch.complexes, &s->t, err));
    if (!s->framed) BF_TRY(move_atoms(s, err));
    BF_TRY(spread(s, err));
out:
    return st;
}

void bf_mol_loss_free(bf_mol_loss *s)
{
    free(s->pocket_x);
    free(s->pocket_v);
    free(s->ligand_x);
    free(s->types);
    free(s->t);
    free(s->times);
    free(s->weight);
    bf_mol_batch_free(&s->batch);
}

/* ---- the graph --------------------------------------------------------------------------------------------------- */

static bf_status loss_spec(const bf_mol_loss *s, bf_flow_loss_spec *out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *t;
    char name[NAME_SIZE];
    *out = (bf_flow_loss_spec){.kind = BF_LOSS_CTS};
    if (!s->c->settings.discrete) return BF_OK;
    BF_TRY(bf_st_need(bf_verify_file(s->c->v), name_of(s->draws, "mc_noise", name), &t, err));
    BF_CHECK(t->ndim == 3 && t->dims[0] >= 1 && t->dims[0] <= 10000, BF_FILE, "%s: unexpected shape", name);
    *out = (bf_flow_loss_spec){
        .kind = BF_LOSS_N_STEP, .steps = s->c->settings.steps, .draws = (int)t->dims[0], .any_time = true};
out:
    return st;
}

bf_status bf_mol_loss_build(bf_mol_loss *s, bf_replay *r, bool gradients, bf_err *err)
{
    bf_status st = BF_OK;
    bf_graph *g;
    bf_flow_loss_spec spec;
    const bf_hybrid *h = &s->c->hybrid;
    const uint64_t atoms = s->batch.ligand, types = (uint64_t)s->c->net.types;
    BF_TRY(loss_spec(s, &spec, err));
    s->r = r;
    BF_TRY(bf_replay_graph(r, gradients, err));
    g = r->graph;
    const bf_tid rows = bf_graph_input(g, "rows", 2, (uint64_t[]){atoms, 4});
    s->time = bf_graph_input(g, "t", 1, &atoms);
    s->weights = bf_graph_input(g, "weight", 1, &atoms);
    bf_hybrid_rows(g, h, rows, false, s->nodes);
    s->nodes[POSITION].noise = bf_graph_input(g, "noise_mu", 2, (uint64_t[]){atoms, 3});
    s->nodes[TYPE].noise = bf_graph_input(g, "noise_theta", 3, (uint64_t[]){atoms, 1, types});
    s->nodes[POSITION].weight = s->weights;
    if (spec.draws > 0)
        s->nodes[TYPE].mc_noise = bf_graph_input(g, "mc_noise", 4, (uint64_t[]){(uint64_t)spec.draws, atoms, 1, types});
    else
        s->nodes[TYPE].weight = s->weights; /* this loss of types is one of complexes, the other one of atoms */
    bf_hybrid_input(g, h, s->time, s->nodes);
    bf_hybrid_net(g, h, bf_mol_net, s->c, s->time, s->nodes);
    s->total = bf_hybrid_loss(g, h, &spec, s->time, s->nodes, gradients);
    bf_graph_keep(g, s->total);
    for (int i = 0; i < 2; i++) bf_graph_keep(g, s->nodes[i].losses.sample);
    bf_graph_keep(g, s->nodes[POSITION].state.param);
    BF_TRY(bf_graph_status(g, err));
    /* a mean over variables is minimised there, a sum here */
    if (gradients) BF_TRY(bf_hybrid_backward(g, h, s->nodes, (float)bf_hybrid_dims(h), err));
out:
    return st;
}

static bf_status write(const bf_mol_loss *s, const char *input, const float *data, bf_err *err)
{
    const bf_graph *g = s->r->graph;
    const bf_tid t = bf_graph_find(g, input);
    return bf_write(bf_verify_ctx(s->c->v), bf_graph_mem(g, t), data, (size_t)bf_graph_numel(g, t) * sizeof *data, err);
}

bf_status bf_mol_loss_fill(const bf_mol_loss *s, bf_err *err)
{
    static const char *const draws[] = {"noise_mu", "noise_theta", "mc_noise"};
    bf_status st = BF_OK;
    const bf_graph *g = s->r->graph;
    float *rows = NULL, *numbers = NULL;
    BF_NEW(rows, (size_t)s->batch.ligand * 4);
    for (size_t i = 0; i < s->batch.ligand; i++) {
        memcpy(rows + 4 * i, s->ligand_x + 3 * i, 3 * sizeof *rows);
        rows[4 * i + 3] = s->types[i];
    }
    BF_TRY(write(s, "rows", rows, err));
    BF_TRY(write(s, "t", s->times, err));
    BF_TRY(write(s, "weight", s->weight, err));
    BF_TRY(bf_mol_fill(s->c, g, s->pocket_x, s->pocket_v, err));
    for (size_t i = 0; i < BF_COUNT(draws); i++) {
        const bf_tid t = bf_graph_find(g, draws[i]);
        if (t < 0) continue;
        BF_TRY(read(s, s->draws, draws[i], bf_graph_numel(g, t), &numbers, err));
        BF_TRY(write(s, draws[i], numbers, err));
        free(numbers);
        numbers = NULL;
    }
out:
    free(rows);
    free(numbers);
    return st;
}

/* ---- comparison -------------------------------------------------------------------------------------------------- */

static double largest(const float *x, uint32_t n)
{
    double top = 0.0;
    for (uint32_t i = 0; i < n; i++) top = fmax(top, fabs((double)x[i]));
    return top;
}

/* The loss of a group in nats per item, as the release reports it: a mean over the atoms of each complex, or over all.
 */
static bf_status check_group(const bf_mol_loss *s, int group, const char *what, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol_batch *b = &s->batch;
    const bool complexes = s->nodes[group].weight >= 0;
    const double dims = (double)s->c->hybrid.group[group].dims;
    char name[NAME_SIZE];
    float *sample = NULL, *mean = NULL;
    double *sum = NULL, *atoms = NULL;
    BF_TRY(bf_replay_read(s->r, s->nodes[group].losses.sample, &sample, err));
    BF_NEW(sum, b->complexes);
    BF_NEW(atoms, b->complexes);
    BF_NEW(mean, b->complexes);
    for (uint32_t i = 0; i < b->ligand; i++) {
        const size_t to = complexes ? (size_t)b->ligand_of[i] : 0;
        sum[to] += dims * (double)sample[i];
        atoms[to] += 1.0;
    }
    const uint32_t n = complexes ? b->complexes : 1;
    for (uint32_t i = 0; i < n; i++) mean[i] = (float)(sum[i] / fmax(atoms[i], 1.0));
    name_of(s->draws, what, name);
    if (s->relative > 0.0)
        bf_verify_within(s->c->v, name, mean, n, 10.0 * bf_verify_floor(s->c->v, name) + s->relative * largest(mean, n),
                         NULL);
    else
        bf_verify_tensor(s->c->v, name, mean, n, BF_VERIFY_FORWARD);
out:
    free(sample);
    free(mean);
    free(sum);
    free(atoms);
    return st;
}

bf_status bf_mol_loss_value(const bf_mol_loss *s, float *loss, bf_err *err)
{
    bf_status st = BF_OK;
    float *total = NULL;
    double sum = 0.0;
    BF_TRY(bf_replay_read(s->r, s->total, &total, err));
    for (uint32_t i = 0; i < s->batch.ligand; i++) sum += (double)total[i];
    *loss = (float)(sum / s->batch.ligand * (double)bf_hybrid_dims(&s->c->hybrid));
out:
    free(total);
    return st;
}

bf_status bf_mol_loss_check(const bf_mol_loss *s, bf_err *err)
{
    bf_status st = BF_OK;
    float *mu = NULL;
    char name[NAME_SIZE];
    BF_TRY(check_group(s, POSITION, "loss_pos", err));
    BF_TRY(check_group(s, TYPE, "loss_type", err));
    BF_TRY(bf_replay_read(s->r, s->nodes[POSITION].state.param, &mu, err));
    BF_TRY(bf_mol_check_edges(s->c, name_of(s->draws, "edges", name), s->pocket_x, mu, err));
out:
    free(mu);
    return st;
}
