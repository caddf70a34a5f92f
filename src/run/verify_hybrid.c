/*
 * Replay of "molcraft flow, updates and losses": coordinates (continuous) and types (classes) of the atoms of a few
 * complexes as two groups of a hybrid flow, with fixed network outputs.
 *
 * The file holds outputs as probabilities p where ours are logits, and gradients by p where ours are by logits: logits
 * are ln p, and the stored gradient goes through the softmax's Jacobian on the host,
 * dL/dlogit_k = p_k (dL/dp_k - sum_j p_j dL/dp_j).
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "flow/sampler.h"
#include "io/json.h"
#include "run/replay.h"
#include "run/verify_flow.h"

enum { POSITION, TYPE, GROUPS };
enum { AXES = 3 };

/* Probabilities of 0 must have a logarithm. */
#define LEAST_PROB 1e-30f
#define SAMPLER_MIN_PROB 1e-6

typedef struct molecules {
    bf_verify *v;
    bf_replay r;
    bf_pool pool;
    uint64_t atoms, complexes;
    int classes;
    float *complex, *p; /* [atoms] complex of each, [atoms, classes] */
    float *size;        /* [complexes]: atoms */
    bf_group group[GROUPS];
    bf_hybrid hybrid;
    bf_flow_loss_spec spec;
    double sigma;
} molecules;

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static bf_status read_atoms(molecules *m, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *x;
    uint64_t n = 0, wide = 0;
    const double classes = bf_golden_meta(m->v, "n_classes", 0.0);
    BF_TRY(bf_st_need(bf_verify_file(m->v), "x", &x, err));
    BF_CHECK(x->ndim == 2 && x->dims[0] >= 1 && x->dims[0] <= 100000 && x->dims[1] == AXES, BF_FILE, "x: wrong shape");
    BF_CHECK(classes >= 3.0 && classes <= 1000.0, BF_FILE, "metadata: n_classes is %g", classes);
    m->atoms = x->dims[0];
    m->classes = (int)classes;
    BF_TRY(bf_pool_load(&m->pool, "batch_ligand", &m->complex, NULL, &n, err));
    BF_TRY(bf_pool_load(&m->pool, "p", &m->p, NULL, &wide, err));
    BF_CHECK(n == m->atoms && wide == n * (uint64_t)m->classes, BF_FILE, "batch_ligand, p: wrong number of elements");
    for (uint64_t i = 0; i < n; i++) {
        BF_CHECK(m->complex[i] >= 0.0f && m->complex[i] < (float)n, BF_FILE, "batch_ligand: complex %g", m->complex[i]);
        m->complexes = BF_MAX(m->complexes, (uint64_t)m->complex[i] + 1);
    }
    BF_NEW(m->size, m->complexes);
    for (uint64_t i = 0; i < n; i++) m->size[(size_t)m->complex[i]] += 1.0f;
out:
    return st;
}

/* Flows, weights and loss of a case: an entry of the metadata's `cases`. */
static bf_status read_case(molecules *m, const json_t *c, bf_err *err)
{
    bf_status st = BF_OK;
    const double beta1 = json_number_value(json_object_get(c, "beta1"));
    const double steps = json_number_value(json_object_get(c, "discrete_steps"));
    const json_t *weight = json_object_get(c, "v_loss_weight");
    bf_flow position = bf_flow_defaults(BF_FLOW_CONTINUOUS), type = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    m->sigma = json_number_value(json_object_get(c, "sigma1_coord"));
    position.min_variance = m->sigma * m->sigma;
    position.predict = BF_PREDICT_DATA;
    position.clip = 0.0;
    type.classes = m->classes;
    type.max_sqrt_beta = sqrt(beta1);
    type.max_t = 1.0;
    type.min_prob = SAMPLER_MIN_PROB;
    BF_CHECK(steps >= 1.0 && steps <= 1e6, BF_FILE, "metadata: discrete_steps is %g", steps);
    m->spec = (bf_flow_loss_spec){.kind = BF_LOSS_CTS};
    if (json_is_true(json_object_get(c, "use_discrete_t")))
        m->spec = (bf_flow_loss_spec){
            .kind = BF_LOSS_N_STEP, .steps = (int)steps, .receiver = BF_RECEIVER_CLAMPED, .any_time = true};
    m->group[POSITION] = (bf_group){.name = "position", .flow = position, .dims = AXES, .weight = 1.0};
    m->group[TYPE] = (bf_group){
        .name = "type", .flow = type, .dims = 1, .weight = json_is_number(weight) ? json_number_value(weight) : 1.0};
    m->hybrid = (bf_hybrid){GROUPS, m->group};
    if (bf_hybrid_check(&m->hybrid, err) != BF_OK) st = BF_FILE;
out:
    return st;
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

typedef struct loss_graph {
    bf_tid t, logits;
    bf_group_nodes group[GROUPS];
    bf_tid total;
} loss_graph;

static bool discrete(const molecules *m)
{
    return m->spec.kind == BF_LOSS_N_STEP;
}

static bf_status build_losses(molecules *m, const char *name, loss_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay *r = &m->r;
    char full[128];
    const uint64_t dims[] = {m->atoms, (uint64_t)m->classes};
    BF_TRY(bf_replay_graph(r, false, err));
    for (int i = 0; i < GROUPS; i++) {
        bf_group_nodes *n = &g->group[i];
        *n = (bf_group_nodes){.mask = BF_NONE, .mc_noise = BF_NONE};
        BF_TRY(bf_replay_input(r, i == POSITION ? "x" : "types", false, &n->data, err));
        BF_TRY(bf_replay_input(r, bf_golden_name(full, name, i == POSITION ? "noise_mu" : "noise_theta"), false,
                               &n->noise, err));
        n->weight = bf_graph_input(r->graph, i == POSITION ? "position weight" : "type weight", 1, dims);
    }
    BF_TRY(bf_replay_input(r, "x_hat", false, &g->group[POSITION].net_out, err));
    g->t = bf_graph_input(r->graph, "t", 1, dims);
    g->group[TYPE].net_out = bf_graph_input(r->graph, "logits", 2, dims);
    if (discrete(m)) {
        BF_TRY(bf_replay_input(r, bf_golden_name(full, name, "mc_noise"), false, &g->group[TYPE].mc_noise, err));
        m->spec.draws = (int)bf_graph_dim(r->graph, g->group[TYPE].mc_noise, 0);
    }
    bf_hybrid_input(r->graph, &m->hybrid, g->t, g->group);
    g->total = bf_hybrid_loss(r->graph, &m->hybrid, &m->spec, g->t, g->group, true);
    BF_TRY(bf_graph_status(r->graph, err));
    bf_graph_keep(r->graph, g->total);
    for (int i = 0; i < GROUPS; i++) {
        const bf_tid kept[] = {g->group[i].state.input, g->group[i].losses.sample, g->group[i].losses.grad};
        for (size_t k = 0; k < BF_COUNT(kept); k++) bf_graph_keep(r->graph, kept[k]);
    }
    BF_TRY(bf_graph_plan(r->graph, true, NULL, err));
    BF_TRY(bf_graph_emit(r->graph, r->cmds, err));
out:
    return st;
}

static bf_status put(molecules *m, bf_tid t, const float *x, bf_err *err)
{
    const size_t bytes = (size_t)bf_graph_numel(m->r.graph, t) * sizeof *x;
    return bf_write(bf_verify_ctx(m->v), bf_graph_mem(m->r.graph, t), x, bytes, err);
}

/* ln p into fresh memory of the pool. */
static bf_status logits_of(molecules *m, const float *p, uint64_t count, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_pool_host(&m->pool, count, out, err));
    for (uint64_t i = 0; i < count; i++) (*out)[i] = logf(fmaxf(p[i], LEAST_PROB));
out:
    return st;
}

/* w_g of flow/hybrid.h: coordinates (and in continuous time types) are a mean over complexes of means over their atoms,
 * types in discrete time a mean over all atoms. */
static bf_status fill_weights(molecules *m, const loss_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    float *w;
    const float variables = (float)(m->atoms * bf_hybrid_dims(&m->hybrid));
    BF_TRY(bf_pool_host(&m->pool, m->atoms, &w, err));
    for (int i = 0; i < GROUPS; i++) {
        const bool by_complex = i == POSITION || !discrete(m);
        for (uint64_t k = 0; k < m->atoms; k++)
            w[k] = variables / (by_complex ? (float)m->complexes * m->size[(size_t)m->complex[k]] : (float)m->atoms);
        BF_TRY(put(m, g->group[i].weight, w, err));
    }
out:
    return st;
}

static bf_status fill_losses(molecules *m, const char *name, const loss_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    bf_replay *r = &m->r;
    char full[128];
    float *times, *of_atoms, *logits;
    uint64_t n = 0;
    BF_TRY(bf_pool_load(&m->pool, bf_golden_name(full, name, "t"), &times, NULL, &n, err));
    BF_CHECK(n == m->complexes, BF_FILE, "%s: wrong number of elements", full);
    BF_TRY(bf_pool_host(&m->pool, m->atoms, &of_atoms, err));
    for (uint64_t i = 0; i < m->atoms; i++) of_atoms[i] = times[(size_t)m->complex[i]];
    BF_TRY(put(m, g->t, of_atoms, err));
    BF_TRY(logits_of(m, m->p, m->atoms * (uint64_t)m->classes, &logits, err));
    BF_TRY(put(m, g->group[TYPE].net_out, logits, err));
    BF_TRY(fill_weights(m, g, err));
    BF_TRY(bf_replay_fill(r, g->group[POSITION].data, "x", -1, err));
    BF_TRY(bf_replay_fill(r, g->group[TYPE].data, "types", -1, err));
    BF_TRY(bf_replay_fill(r, g->group[POSITION].net_out, "x_hat", -1, err));
    BF_TRY(bf_replay_fill(r, g->group[POSITION].noise, bf_golden_name(full, name, "noise_mu"), -1, err));
    BF_TRY(bf_replay_fill(r, g->group[TYPE].noise, bf_golden_name(full, name, "noise_theta"), -1, err));
    if (discrete(m))
        BF_TRY(bf_replay_fill(r, g->group[TYPE].mc_noise, bf_golden_name(full, name, "mc_noise"), -1, err));
out:
    return st;
}

/* loss_pos and loss_type from the losses per variable. */
static bf_status check_parts(molecules *m, const char *name, const loss_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    char full[128];
    for (int i = 0; i < GROUPS; i++) {
        const bool one = i == TYPE && discrete(m); /* a mean over all atoms */
        const uint64_t n = one ? 1 : m->complexes;
        float *sample = NULL, *sums;
        double *sum = NULL;
        BF_TRY(bf_pool_host(&m->pool, n, &sums, err));
        BF_NEW(sum, n);
        st = bf_replay_read(&m->r, g->group[i].losses.sample, &sample, err);
        for (uint64_t k = 0; st == BF_OK && k < m->atoms; k++)
            sum[one ? 0 : (size_t)m->complex[k]] += (double)sample[k] * (double)m->group[i].dims;
        for (uint64_t k = 0; k < n; k++) sums[k] = (float)(sum[k] / (one ? (double)m->atoms : (double)m->size[k]));
        free(sample);
        free(sum);
        BF_TRY(st);
        bf_verify_tensor(m->v, bf_golden_name(full, name, i == POSITION ? "loss_pos" : "loss_type"), sums, n,
                         BF_VERIFY_FORWARD);
    }
out:
    return st;
}

static bf_status check_total(molecules *m, const char *name, const loss_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    char full[128];
    float *total = NULL;
    double sum = 0.0;
    BF_TRY(bf_replay_read(&m->r, g->total, &total, err));
    for (uint64_t i = 0; i < m->atoms; i++) sum += total[i];
    bf_verify_tensor(m->v, bf_golden_name(full, name, "loss"), &(float){(float)(sum / (double)m->atoms)}, 1,
                     BF_VERIFY_FORWARD);
out:
    free(total);
    return st;
}

/* The gradient by logits against the stored one by probabilities (see the head of this file). */
static bf_status check_grad_p(molecules *m, const char *name, const loss_graph *g, bf_err *err)
{
    bf_status st = BF_OK;
    char full[128];
    const uint64_t k = (uint64_t)m->classes, wide = m->atoms * k;
    float *mine = NULL, *by_p;
    double *tolerance = NULL;
    uint64_t n = 0;
    BF_TRY(bf_pool_load(&m->pool, bf_golden_name(full, name, "grad_p"), &by_p, NULL, &n, err));
    BF_CHECK(n == wide, BF_FILE, "%s: wrong number of elements", full);
    for (uint64_t i = 0; i < wide; i += k) {
        double inner = 0.0;
        for (uint64_t j = 0; j < k; j++) inner += (double)m->p[i + j] * by_p[i + j];
        for (uint64_t j = 0; j < k; j++) by_p[i + j] = (float)(m->p[i + j] * (by_p[i + j] - inner));
    }
    BF_TRY(bf_replay_read(&m->r, g->group[TYPE].losses.grad, &mine, err));
    BF_NEW(tolerance, wide);
    bf_verify_tolerances(m->v, full, by_p, wide, BF_VERIFY_GRADIENT, tolerance);
    bf_verify_array(m->v, full, mine, by_p, tolerance, wide);
out:
    free(mine);
    free(tolerance);
    return st;
}

/* Every draw's divergence: sender_logp - receiver_logp, from the loss of one draw, all draws in one batch. */
static bf_status check_draws(molecules *m, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    char full[128];
    const bf_pool mark = m->pool;
    const uint64_t draws = (uint64_t)m->spec.draws, n = draws * m->atoms, k = (uint64_t)m->classes;
    const bf_flow_shape shape = {n, 1};
    bf_flow_loss_spec one = m->spec;
    bf_flow_loss_args a = {.draw_pitch = n * k, .sample_pitch = k};
    float *sender, *receiver, *mine, *types, *logits, *times, *many[3];
    double *tolerance = NULL;
    uint64_t count = 0;
    one.draws = 1;
    BF_TRY(bf_pool_load(&m->pool, bf_golden_name(full, name, "receiver_logp"), &receiver, NULL, &count, err));
    BF_CHECK(count == n, BF_FILE, "%s: wrong number of elements", full);
    BF_TRY(bf_pool_load(&m->pool, bf_golden_name(full, name, "mc_noise"), NULL, &a.noise, NULL, err));
    BF_TRY(bf_pool_load(&m->pool, "types", &types, NULL, NULL, err));
    BF_TRY(bf_pool_load(&m->pool, bf_golden_name(full, name, "t"), &times, NULL, NULL, err));
    BF_TRY(logits_of(m, m->p, m->atoms * k, &logits, err));
    for (int i = 0; i < 3; i++) BF_TRY(bf_pool_host(&m->pool, i == 2 ? n * k : n, &many[i], err));
    for (uint64_t i = 0; i < n; i++) {
        many[0][i] = types[i % m->atoms];
        many[1][i] = times[(size_t)m->complex[i % m->atoms]];
        memcpy(many[2] + i * k, logits + i % m->atoms * k, (size_t)k * sizeof *logits);
    }
    BF_TRY(bf_pool_put(&m->pool, many[0], n, &a.x, err));
    BF_TRY(bf_pool_put(&m->pool, many[1], n, &a.t, err));
    BF_TRY(bf_pool_put(&m->pool, many[2], n * k, &a.net, err));
    BF_TRY(bf_pool_new(&m->pool, n, &a.loss, err));
    BF_TRY(bf_pool_new(&m->pool, bf_flow_loss_workspace(&m->group[TYPE].flow, &one, shape, false) / sizeof(float),
                       &a.ws, err));
    BF_TRY(bf_flow_op_loss(m->pool.cmds, &m->group[TYPE].flow, &one, shape, &a, err));
    BF_TRY(bf_pool_run(&m->pool, a.loss, n, &mine, err));
    BF_NEW(tolerance, n);
    bf_verify_tolerances(m->v, full, receiver, n, BF_VERIFY_FORWARD, tolerance);
    BF_TRY(bf_pool_load(&m->pool, bf_golden_name(full, name, "sender_logp"), &sender, NULL, &count, err));
    BF_CHECK(count == n, BF_FILE, "%s: wrong number of elements", full);
    for (uint64_t i = 0; i < n; i++) mine[i] = sender[i] - mine[i] / (float)m->spec.steps;
    bf_verify_array(m->v, bf_golden_name(full, name, "receiver_logp"), mine, receiver, tolerance, n);
out:
    free(tolerance);
    bf_pool_reset(&m->pool, &mark);
    return st;
}

/* gamma of every atom: mu of x = 1 without noise. */
static bf_status check_gamma(molecules *m, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    char full[128];
    float *times, *host[3];
    bf_mem mem[4];
    BF_TRY(bf_pool_load(&m->pool, bf_golden_name(full, name, "t"), &times, NULL, NULL, err));
    for (int i = 0; i < 3; i++) BF_TRY(bf_pool_host(&m->pool, m->atoms, &host[i], err)); /* x, noise, t */
    for (uint64_t i = 0; i < m->atoms; i++) {
        host[0][i] = 1.0f;
        host[2][i] = times[(size_t)m->complex[i]];
    }
    for (int i = 0; i < 3; i++) BF_TRY(bf_pool_put(&m->pool, host[i], m->atoms, &mem[i], err));
    BF_TRY(bf_pool_new(&m->pool, m->atoms, &mem[3], err));
    BF_TRY(bf_flow_op_sample(m->pool.cmds, &m->group[POSITION].flow, (bf_flow_shape){m->atoms, 1}, mem[3], mem[0],
                             mem[1], mem[2], err));
    BF_TRY(
        bf_pool_check(&m->pool, bf_golden_name(full, name, "gamma"), mem[3], m->atoms, BF_VERIFY_FORWARD, NULL, err));
out:
    return st;
}

static bf_status check_case(molecules *m, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    char full[128];
    const bf_pool mark = m->pool;
    loss_graph g;
    BF_TRY(build_losses(m, name, &g, err));
    BF_TRY(fill_losses(m, name, &g, err));
    BF_TRY(bf_replay_run(&m->r, err));
    BF_TRY(bf_replay_compare(&m->r, bf_golden_name(full, name, "mu"), g.group[POSITION].state.input, BF_VERIFY_FORWARD,
                             err));
    BF_TRY(bf_replay_compare(&m->r, bf_golden_name(full, name, "theta"), g.group[TYPE].state.input, BF_VERIFY_FORWARD,
                             err));
    BF_TRY(check_parts(m, name, &g, err));
    BF_TRY(check_total(m, name, &g, err));
    BF_TRY(bf_replay_compare(&m->r, bf_golden_name(full, name, "grad_x_hat"), g.group[POSITION].losses.grad,
                             BF_VERIFY_GRADIENT, err));
    BF_TRY(check_grad_p(m, name, &g, err));
    BF_TRY(check_gamma(m, name, err));
    if (discrete(m)) BF_TRY(check_draws(m, name, err));
out:
    bf_pool_reset(&m->pool, &mark);
    return st;
}

/* ---- index of a step --------------------------------------------------------------------------------------------- */

/* i of every time, as the loss of n steps has it: for an error of 1 that is n alpha_i / 2, which gives i back. */
static bf_status check_index(molecules *m, int n, const float *t, uint64_t count, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = m->pool;
    const bf_flow *f = &m->group[POSITION].flow;
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_N_STEP, .steps = n, .any_time = true};
    const double per_step = 1.0 - pow(f->min_variance, 1.0 / n);
    bf_flow_loss_args a = {0};
    float *zero, *one, *mine;
    BF_TRY(bf_pool_host(&m->pool, count, &zero, err));
    BF_TRY(bf_pool_host(&m->pool, count, &one, err));
    for (uint64_t i = 0; i < count; i++) one[i] = 1.0f;
    BF_TRY(bf_pool_put(&m->pool, zero, count, &a.x, err));
    BF_TRY(bf_pool_put(&m->pool, zero, count, &a.mu, err));
    BF_TRY(bf_pool_put(&m->pool, one, count, &a.net, err));
    BF_TRY(bf_pool_put(&m->pool, t, count, &a.t, err));
    BF_TRY(bf_pool_new(&m->pool, count, &a.loss, err));
    BF_TRY(bf_flow_op_loss(m->pool.cmds, f, &spec, (bf_flow_shape){count, 1}, &a, err));
    BF_TRY(bf_pool_run(&m->pool, a.loss, count, &mine, err));
    for (uint64_t i = 0; i < count; i++)
        mine[i] = (float)round(-log(2.0 * mine[i] / (n * per_step)) * n / log(f->min_variance));
    bf_verify_within(m->v, name, mine, count, 0.0, NULL);
out:
    bf_pool_reset(&m->pool, &mark);
    return st;
}

/* The table of step indices, N by N. */
static bf_status check_indices(molecules *m, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *file = bf_verify_file(m->v);
    char last[8], full[128];
    int n = 0;
    for (size_t k = 0; k < bf_st_count(file); k++) {
        const bf_pool mark = m->pool;
        const char *name = bf_st_at(file, k)->name;
        float *t;
        uint64_t count = 0;
        if (sscanf(name, "step_index.N%d.%7s", &n, last) != 2 || strcmp(last, "t") != 0 || n < 1) continue;
        BF_TRY(bf_pool_load(&m->pool, name, &t, NULL, &count, err));
        snprintf(full, sizeof full, "step_index.N%d.i", n);
        BF_TRY(check_index(m, n, t, count, full, err));
        bf_pool_reset(&m->pool, &mark);
    }
out:
    return st;
}

/* ---- updates ----------------------------------------------------------------------------------------------------- */

/* A run of the sampler on stored network outputs. */
typedef struct updates {
    molecules *m;
    int steps;
    float *outputs[GROUPS]; /* [steps + 1, ...] positions and logits */
    float *t, *input[GROUPS], *y[GROUPS], *drawn, *final;
} updates;

static void stored_net(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    updates *u = user;
    const uint64_t n = bf_graph_numel(g, t);
    (void)input;
    out[POSITION] = bf_graph_input(g, "x_hat", 2, (uint64_t[]){n, AXES});
    out[TYPE] = bf_graph_input(g, "logits", 2, (uint64_t[]){n, (uint64_t)u->m->classes});
}

/* What the network says in call number `call`, from 0. */
static bf_status put_outputs(const updates *u, const bf_sampler *s, int call, bf_err *err)
{
    static const char *const names[GROUPS] = {"x_hat", "logits"};
    bf_status st = BF_OK;
    const bf_graph *g = bf_sampler_graph(s);
    for (int i = 0; i < GROUPS; i++) {
        const bf_tid t = bf_graph_find(g, names[i]);
        const uint64_t n = bf_graph_numel(g, t);
        BF_TRY(bf_write(bf_verify_ctx(u->m->v), bf_graph_mem(g, t), u->outputs[i] + (uint64_t)call * n,
                        (size_t)n * sizeof(float), err));
    }
out:
    return st;
}

static bf_status record_update(void *user, bf_sampler *s, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    updates *u = user;
    const uint64_t at = (uint64_t)(i - 1);
    u->t[at] = (float)t;
    for (int k = 0; k < GROUPS; k++)
        BF_TRY(bf_sampler_get(s, k, BF_SAMPLER_INPUT, u->input[k] + at * bf_sampler_size(s, k, BF_SAMPLER_INPUT), err));
    if (i > u->steps) return bf_sampler_get(s, TYPE, BF_SAMPLER_PARAMS, u->final, err);
    for (int k = 0; k < GROUPS; k++)
        BF_TRY(bf_sampler_get(s, k, BF_SAMPLER_Y, u->y[k] + at * bf_sampler_size(s, k, BF_SAMPLER_Y), err));
    BF_TRY(bf_sampler_get(s, TYPE, BF_SAMPLER_DRAWN, u->drawn + at * u->m->atoms, err));
    BF_TRY(put_outputs(u, s, i, err));
out:
    return st;
}

static bf_status run_updates(updates *u, bf_sampler_mode mode, const char *uniforms, bf_err *err)
{
    bf_status st = BF_OK;
    molecules *m = u->m;
    bf_params *params = NULL;
    bf_sampler *s = NULL;
    float *pick, *noise[GROUPS], *out;
    uint64_t n[3] = {0};
    const uint64_t all = (uint64_t)u->steps * m->atoms;
    BF_TRY(bf_params_new(bf_verify_ctx(m->v), &params, err));
    const bf_sampler_options o = {.ctx = bf_verify_ctx(m->v),
                                  .params = params,
                                  .hybrid = &m->hybrid,
                                  .ndim = 1,
                                  .dims = {m->atoms},
                                  .net = stored_net,
                                  .user = u,
                                  .mode = mode};
    BF_TRY(bf_sampler_new(&o, &s, NULL, err));
    BF_TRY(bf_pool_load(&m->pool, uniforms, &pick, NULL, &n[0], err));
    BF_TRY(bf_pool_load(&m->pool, "upd.noise_y_coord", &noise[POSITION], NULL, &n[1], err));
    BF_TRY(bf_pool_load(&m->pool, "upd.noise_y_type", &noise[TYPE], NULL, &n[2], err));
    BF_CHECK(n[0] == all && n[1] == all * AXES && n[2] == all * (uint64_t)m->classes, BF_FILE,
             "the noise of the updates has the wrong number of elements");
    BF_TRY(bf_pool_host(&m->pool, m->atoms * (AXES + 1), &out, err));
    const bf_sampler_draws draws[GROUPS] = {{.noise_y = noise[POSITION]}, {.noise_data = pick, .noise_y = noise[TYPE]}};
    const bf_sampler_run_options run = {.steps = u->steps, .draws = draws, .on_step = record_update, .user = u};
    BF_TRY(put_outputs(u, s, 0, err));
    BF_TRY(bf_sampler_run(s, &run, out, err));
out:
    bf_sampler_free(s);
    bf_params_free(params);
    return st;
}

static bf_status new_updates(molecules *m, updates *u, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t k = (uint64_t)m->classes;
    uint64_t n = 0, wide = 0;
    float *p;
    *u = (updates){.m = m};
    BF_TRY(bf_pool_load(&m->pool, "upd.x_hat", &u->outputs[POSITION], NULL, &n, err));
    BF_TRY(bf_pool_load(&m->pool, "upd.p", &p, NULL, &wide, err));
    const uint64_t calls = n / (m->atoms * AXES);
    BF_CHECK(calls >= 2 && calls <= 100000 && n == calls * m->atoms * AXES && wide == calls * m->atoms * k, BF_FILE,
             "upd.x_hat, upd.p: wrong number of elements");
    u->steps = (int)calls - 1;
    BF_TRY(logits_of(m, p, wide, &u->outputs[TYPE], err));
    for (int i = 0; i < GROUPS; i++) {
        BF_TRY(bf_pool_host(&m->pool, i == POSITION ? n : wide, &u->input[i], err));
        BF_TRY(bf_pool_host(&m->pool, i == POSITION ? n : wide, &u->y[i], err));
    }
    BF_TRY(bf_pool_host(&m->pool, calls, &u->t, err));
    BF_TRY(bf_pool_host(&m->pool, calls * m->atoms, &u->drawn, err));
    BF_TRY(bf_pool_host(&m->pool, m->atoms * k, &u->final, err));
out:
    return st;
}

/* The ancestral branch; and the class that the release records, a draw of its own, which the mode END_BACK makes. */
static bf_status check_updates(molecules *m, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = m->pool;
    updates u;
    BF_TRY(new_updates(m, &u, err));
    BF_TRY(run_updates(&u, BF_SAMPLER_ANCESTRAL, "upd.u", err));
    const uint64_t n = (uint64_t)u.steps, calls = n + 1, k = (uint64_t)m->classes;
    bf_verify_tensor(m->v, "upd.t", u.t, calls, BF_VERIFY_FORWARD);
    bf_verify_tensor(m->v, "upd.mu", u.input[POSITION], calls * m->atoms * AXES, BF_VERIFY_FORWARD);
    bf_verify_tensor(m->v, "upd.theta", u.input[TYPE], calls * m->atoms * k, BF_VERIFY_FORWARD);
    bf_verify_tensor(m->v, "upd.y_coord", u.y[POSITION], n * m->atoms * AXES, BF_VERIFY_FORWARD);
    bf_verify_tensor(m->v, "upd.y_type", u.y[TYPE], n * m->atoms * k, BF_VERIFY_FORWARD);
    bf_verify_tensor(m->v, "upd.k", u.drawn, n * m->atoms, BF_VERIFY_FORWARD);
    bf_verify_tensor(m->v, "upd.final_p", u.final, m->atoms * k, BF_VERIFY_FORWARD);
    BF_TRY(run_updates(&u, BF_SAMPLER_END_BACK, "upd.u_record", err));
    bf_verify_tensor(m->v, "upd.k_record", u.drawn, n * m->atoms, BF_VERIFY_FORWARD);
out:
    bf_pool_reset(&m->pool, &mark);
    return st;
}

/* ---- the replay -------------------------------------------------------------------------------------------------- */

static bf_status check_cases(molecules *m, json_t *cases, bf_err *err)
{
    bf_status st = BF_OK;
    const char *name;
    json_t *one;
    char full[128];
    json_object_foreach(cases, name, one)
    {
        BF_CHECK(strlen(name) < 64, BF_FILE, "metadata: a case called %.64s...", name);
        BF_TRY(read_case(m, one, err));
        BF_TRY(check_case(m, name, err));
        if (bf_st_find(bf_verify_file(m->v), bf_golden_name(full, name, "i"))) {
            float *t;
            uint64_t n = 0;
            const bf_pool mark = m->pool;
            char times[128];
            BF_TRY(bf_pool_load(&m->pool, bf_golden_name(times, name, "t"), &t, NULL, &n, err));
            BF_TRY(check_index(m, m->spec.steps, t, n, full, err));
            bf_pool_reset(&m->pool, &mark);
        }
    }
out:
    return st;
}

bf_status bf_verify_hybrid(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    molecules m = {.v = v};
    json_t *cases = NULL;
    const char *text = bf_st_meta_get(bf_verify_file(v), "cases");
    BF_TRY(bf_replay_new(&m.r, v, err));
    BF_TRY(bf_pool_open(v, &m.pool, err));
    BF_CHECK(text, BF_FILE, "metadata: no cases");
    BF_TRY(bf_json_parse("cases", text, strlen(text), 10000, &cases, err));
    BF_CHECK(json_is_object(cases) && json_object_size(cases) > 0, BF_FILE, "metadata: no cases");
    BF_TRY(read_atoms(&m, err));
    BF_TRY(check_cases(&m, cases, err));
    BF_TRY(check_indices(&m, err));
    BF_TRY(check_updates(&m, err)); /* with the settings of the last case */
out:
    json_decref(cases);
    free(m.size);
    bf_pool_close(&m.pool);
    bf_replay_free(&m.r);
    return st;
}
