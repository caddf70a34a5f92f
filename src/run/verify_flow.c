/* Replay of what real-valued and class data have in common: accuracies, losses, sender, sampling runs. */
#include "run/verify_flow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

double bf_golden_meta(const bf_verify *v, const char *key, double otherwise)
{
    const char *text = bf_st_meta_get(bf_verify_file(v), key);
    double x = otherwise;
    bf_err err;
    if (text != NULL && bf_parse_double(key, text, -1e300, 1e300, &x, &err) != BF_OK) x = otherwise;
    return x;
}

const char *bf_golden_name(char buffer[128], const char *prefix, const char *part)
{
    snprintf(buffer, 128, "%s.%s", prefix, part);
    return buffer;
}

bool bf_golden_has(const bf_flow_case *r, const char *prefix, const char *part)
{
    char name[128];
    return bf_st_find(bf_verify_file(r->v), bf_golden_name(name, prefix, part)) != NULL;
}

bf_status bf_golden_alphas(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL;
    const bf_st *file = bf_verify_file(r->v);
    for (size_t i = 0; i < bf_st_count(file); i++) {
        const bf_st_tensor *t = bf_st_at(file, i);
        if (strncmp(t->name, "alpha.n", 7) != 0 && strncmp(t->name, "alpha32.n", 9) != 0) continue;
        BF_NEW(mine, t->count);
        for (uint64_t k = 0; k < t->count; k++) {
            mine[k] = (float)bf_flow_alpha(&r->flow, (double)(k + 1), (double)t->count);
        }
        bf_verify_tensor(r->v, t->name, mine, t->count, BF_VERIFY_FORWARD);
        free(mine);
        mine = NULL;
    }
out:
    free(mine);
    return st;
}

/* Per sample means of `loss` [B,D], on the device. */
static bf_status sample_means(bf_flow_case *r, bf_mem loss, bf_mem *means, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ctx *ctx = bf_verify_ctx(r->v);
    bf_mem ws = BF_MEM_NONE;
    const uint64_t bytes = bf_sum_mid_workspace(ctx, r->shape.batch, r->shape.dims, 1);
    BF_TRY(bf_pool_new(&r->pool, r->shape.batch, means, err));
    if (bytes > 0) BF_TRY(bf_pool_new(&r->pool, bytes / sizeof(float) + 1, &ws, err));
    BF_TRY(bf_sum_mid(r->pool.cmds, *means, false, (float)(1.0 / (double)r->shape.dims), loss, r->shape.batch,
                      r->shape.dims, 1, ws, err));
out:
    return st;
}

/* Compares a loss that lies in `loss` [B,D] with the stored one, which is per element or per sample, and its mean. */
static bf_status check_loss(bf_flow_case *r, const char *results, bf_mem loss, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128];
    float *host = NULL;
    const bf_st_tensor *stored = NULL;
    uint64_t n = r->shape.batch * r->shape.dims;
    BF_TRY(bf_st_need(bf_verify_file(r->v), bf_golden_name(name, results, "loss"), &stored, err));
    if (stored->count == r->shape.batch && r->shape.dims > 1) {
        BF_TRY(sample_means(r, loss, &loss, err));
        n = r->shape.batch;
    }
    BF_TRY(bf_pool_check(&r->pool, name, loss, n, BF_VERIFY_FORWARD, &host, err));
    if (bf_golden_has(r, results, "loss_mean")) {
        double sum = 0.0;
        for (uint64_t i = 0; i < n; i++) sum += host[i];
        bf_verify_tensor(r->v, bf_golden_name(name, results, "loss_mean"), &(float){(float)(sum / (double)n)}, 1,
                         BF_VERIFY_FORWARD);
    }
out:
    return st;
}

/* The joint receiver's loss, stored in doubles without a floor of its own: that of the official loss holds. */
static bf_status check_joint(bf_flow_case *r, const char *prefix, bf_mem loss, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128], floor_of[128];
    float *mine = NULL, *stored = NULL;
    double *tolerance = NULL;
    uint64_t n = 0;
    bf_mem means;
    BF_TRY(sample_means(r, loss, &means, err));
    BF_TRY(bf_pool_run(&r->pool, means, r->shape.batch, &mine, err));
    BF_TRY(bf_pool_load(&r->pool, bf_golden_name(name, prefix, "loss_joint_f64"), &stored, NULL, &n, err));
    BF_CHECK(n == r->shape.batch, BF_FILE, "%s: wrong number of elements", name);
    BF_NEW(tolerance, n);
    bf_verify_tolerances(r->v, bf_golden_name(floor_of, prefix, "loss"), stored, n, BF_VERIFY_FORWARD, tolerance);
    bf_verify_array(r->v, name, mine, stored, tolerance, n);
out:
    free(tolerance);
    return st;
}

bf_status bf_golden_loss(bf_flow_case *r, const char *prefix, const char *results, const bf_flow_loss_spec *spec,
                         bf_mem mu, bf_mem t, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128];
    const bf_pool mark = r->pool;
    const uint64_t n = r->shape.batch * r->shape.dims, wide = n * (uint64_t)bf_flow_noise_width(&r->flow);
    const uint64_t space = bf_flow_loss_workspace(&r->flow, spec, r->shape, true);
    const bool joint =
        spec->kind == BF_LOSS_N_STEP && spec->receiver == BF_RECEIVER_JOINT && r->flow.kind == BF_FLOW_CATEGORICAL;
    bf_flow_loss_spec counted = *spec;
    bf_flow_loss_args a = {.x = r->x, .mu = mu, .t = t};
    uint64_t outputs = 0, noises = 0;
    if (results == NULL) results = prefix;
    BF_TRY(bf_pool_load(&r->pool, bf_golden_name(name, prefix, "net_out"), NULL, &a.net, &outputs, err));
    BF_CHECK(outputs == n * (uint64_t)bf_flow_outputs(&r->flow), BF_FILE, "%s: wrong number of elements", name);
    if (bf_flow_loss_draws(&r->flow, spec) > 0) {
        BF_TRY(bf_pool_load(&r->pool, bf_golden_name(name, prefix, "mc_noise"), NULL, &a.noise, &noises, err));
        BF_CHECK(noises > 0 && noises % wide == 0, BF_FILE, "%s: wrong number of elements", name);
        counted.draws = (int)(noises / wide);
        a.draw_pitch = wide;
        a.sample_pitch = wide / r->shape.batch;
    }
    BF_TRY(bf_pool_new(&r->pool, n, &a.loss, err));
    BF_TRY(bf_pool_new(&r->pool, outputs, &a.grad, err));
    if (space > 0) BF_TRY(bf_pool_new(&r->pool, space / sizeof(float), &a.ws, err));
    BF_TRY(bf_flow_op_loss(r->pool.cmds, &r->flow, &counted, r->shape, &a, err));
    if (joint) {
        BF_TRY(check_joint(r, prefix, a.loss, err));
    } else {
        BF_TRY(check_loss(r, results, a.loss, err));
        if (bf_golden_has(r, results, "grad_net_out")) {
            BF_TRY(bf_pool_check(&r->pool, bf_golden_name(name, results, "grad_net_out"), a.grad, outputs,
                                 BF_VERIFY_GRADIENT, NULL, err));
        }
    }
out:
    bf_pool_reset(&r->pool, &mark);
    return st;
}

bf_status bf_golden_each_steps(bf_flow_case *r,
                               bf_status (*one)(bf_flow_case *r, const char *prefix, int n, bf_err *err), bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *file = bf_verify_file(r->v);
    char prefix[128], last[8];
    int n = 0;
    for (size_t i = 0; i < bf_st_count(file); i++) {
        const char *name = bf_st_at(file, i)->name;
        if (sscanf(name, "dloss.n%d.%7s", &n, last) != 2 || strcmp(last, "t") != 0 || n < 1) continue;
        snprintf(prefix, sizeof prefix, "dloss.n%d", n);
        BF_TRY(one(r, prefix, n, err));
    }
out:
    return st;
}

static uint32_t float_bits(double x)
{
    const float f = (float)x;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* One sample's messages: x the same for every draw, noise and y [draws, variables (, K)] of that sample. */
static bf_status send_sample(bf_flow_case *r, uint64_t b, uint64_t draws, double alpha, const float *x,
                             const float *noise, float *y, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const uint64_t dims = r->shape.dims, wide = dims * (uint64_t)bf_flow_noise_width(&r->flow);
    const bool classes = r->flow.kind == BF_FLOW_CATEGORICAL;
    uint32_t words[BF_STEP_WORDS] = {0};
    float *many = NULL, *picked = NULL, *sent;
    bf_mem dx, dn, dy, step;
    BF_NEW(many, draws * dims);
    BF_NEW(picked, draws * wide);
    for (uint64_t s = 0; s < draws; s++) {
        memcpy(many + s * dims, x + b * dims, (size_t)dims * sizeof *x);
        memcpy(picked + s * wide, noise + (s * r->shape.batch + b) * wide, (size_t)wide * sizeof *noise);
    }
    words[BF_FLOW_SENDER_MEAN] = float_bits(alpha);
    words[BF_FLOW_SENDER_SD] = float_bits(classes ? sqrt(r->flow.classes * alpha) : 1.0 / sqrt(alpha));
    BF_TRY(bf_pool_put(&r->pool, many, draws * dims, &dx, err));
    BF_TRY(bf_pool_put(&r->pool, picked, draws * wide, &dn, err));
    BF_TRY(bf_pool_new(&r->pool, draws * wide, &dy, err));
    BF_TRY(bf_pool_new(&r->pool, BF_STEP_WORDS, &step, err));
    BF_TRY(bf_write(bf_verify_ctx(r->v), step, words, sizeof words, err));
    BF_TRY(bf_flow_op_send(r->pool.cmds, &r->flow, (bf_flow_shape){draws, dims}, dy, dx, dn, step, err));
    BF_TRY(bf_pool_run(&r->pool, dy, draws * wide, &sent, err));
    for (uint64_t s = 0; s < draws; s++) {
        memcpy(y + (s * r->shape.batch + b) * wide, sent + s * wide, (size_t)wide * sizeof *y);
    }
out:
    free(many);
    free(picked);
    bf_pool_reset(&r->pool, &mark);
    return st;
}

bf_status bf_golden_sender(bf_flow_case *r, const char *prefix, int n, const float *t, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128];
    const bf_pool mark = r->pool;
    const uint64_t wide = r->shape.batch * r->shape.dims * (uint64_t)bf_flow_noise_width(&r->flow);
    uint64_t count = 0;
    float *x, *noise, *y = NULL;
    BF_TRY(bf_pool_load(&r->pool, "x", &x, NULL, NULL, err));
    BF_TRY(bf_pool_load(&r->pool, bf_golden_name(name, prefix, "mc_noise"), &noise, NULL, &count, err));
    BF_CHECK(count > 0 && count % wide == 0, BF_FILE, "%s: wrong number of elements", name);
    BF_NEW(y, count);
    for (uint64_t b = 0; b < r->shape.batch; b++) {
        const double alpha = bf_flow_alpha(&r->flow, (double)(t[b] * (float)n + 1.0f), n);
        BF_TRY(send_sample(r, b, count / wide, alpha, x, noise, y, err));
    }
    bf_verify_tensor(r->v, bf_golden_name(name, prefix, "mc_y"), y, count, BF_VERIFY_FORWARD);
out:
    free(y);
    bf_pool_reset(&r->pool, &mark);
    return st;
}

/* ---- sampling runs ---------------------------------------------------------------------------------------------- */

/* The network of a stored run: out = W flatten(input) + b + v t. */
typedef struct linear_net {
    uint64_t in, out;
} linear_net;

static bf_tid linear_param(bf_graph *g, const char *name, int ndim, uint64_t rows, uint64_t cols)
{
    const bf_param_spec spec = {.name = name, .ndim = ndim, .dims = {rows, cols}, .init = BF_INIT_ZERO};
    return bf_graph_param(g, &spec);
}

static void linear_build(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out)
{
    const linear_net *net = user;
    const uint64_t batch = bf_graph_dim(g, t, 0), flat[] = {batch, net->in}, column[] = {batch, 1};
    const bf_tid w = linear_param(g, "W", 2, net->out, net->in), b = linear_param(g, "b", 1, net->out, 1);
    const bf_tid v = linear_param(g, "v", 2, net->out, 1);
    const bf_tid by_time = bf_graph_linear(g, bf_graph_reshape(g, t, 2, column), v, BF_NONE, BF_ACT_NONE, BF_NONE);
    *out = bf_graph_linear(g, bf_graph_reshape(g, *input, 2, flat), w, b, BF_ACT_NONE, by_time);
}

static bf_status record_step(void *user, bf_sampler *s, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    bf_recording *rec = user;
    rec->t[i - 1] = (float)t;
    for (int item = 0; item < BF_SAMPLER_ITEMS; item++) {
        const bool drawn = item == BF_SAMPLER_DRAWN || item == BF_SAMPLER_Y || item == BF_SAMPLER_STATE;
        if (drawn && i > rec->steps) continue;
        BF_TRY(bf_sampler_get(s, 0, (bf_sampler_item)item, rec->all[item] + (uint64_t)(i - 1) * rec->size[item], err));
    }
out:
    return st;
}

bf_status bf_record(bf_sampler *s, int steps, const float *noise_data, const float *noise_y, bf_recording *rec,
                    bf_err *err)
{
    bf_status st = BF_OK;
    *rec = (bf_recording){.steps = steps};
    for (int i = 0; i < BF_SAMPLER_ITEMS; i++) {
        rec->size[i] = bf_sampler_size(s, 0, (bf_sampler_item)i);
        BF_NEW(rec->all[i], rec->size[i] * (uint64_t)(steps + 1));
    }
    BF_NEW(rec->t, steps + 1);
    BF_NEW(rec->final, rec->size[BF_SAMPLER_MODE]);
    const bf_sampler_draws draws = {.noise_data = noise_data, .noise_y = noise_y};
    const bf_sampler_run_options run = {.steps = steps, .draws = &draws, .on_step = record_step, .user = rec};
    BF_TRY(bf_sampler_run(s, &run, rec->final, err));
out:
    return st;
}

void bf_recording_free(bf_recording *rec)
{
    for (int i = 0; i < BF_SAMPLER_ITEMS; i++) free(rec->all[i]);
    free(rec->t);
    free(rec->final);
    *rec = (bf_recording){.steps = 0};
}

static bf_status set_param(bf_flow_case *r, bf_params *params, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    char full[128];
    float *host = NULL;
    uint64_t n = 0;
    const int index = bf_params_find(params, name);
    const bf_param_spec *spec = bf_params_spec(params, index);
    BF_TRY(bf_verify_read(r->v, bf_golden_name(full, "traj", name), &host, &n, err));
    BF_CHECK(n == spec->dims[0] * (spec->ndim > 1 ? spec->dims[1] : 1), BF_FILE, "%s: wrong number of elements", full);
    BF_TRY(bf_params_set(params, BF_SET_VALUE, index, host, err));
out:
    free(host);
    return st;
}

/* mean and sd of a normal output apart: pred_mu, pred_sigma. */
static bf_status check_normals(bf_flow_case *r, const bf_recording *rec, uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    float *part = NULL;
    BF_NEW(part, n);
    for (int which = 0; which < 2; which++) {
        for (uint64_t i = 0; i < n; i++) part[i] = rec->all[BF_SAMPLER_PARAMS][2 * i + (uint64_t)which];
        bf_verify_tensor(r->v, which == 0 ? "traj.pred_mu" : "traj.pred_sigma", part, n, BF_VERIFY_FORWARD);
    }
out:
    free(part);
    return st;
}

static bf_status check_run(bf_flow_case *r, const bf_recording *rec, bf_err *err)
{
    bf_status st = BF_OK;
    const bool classes = r->flow.kind == BF_FLOW_CATEGORICAL;
    const uint64_t n = (uint64_t)rec->steps, m = n + 1;
    const uint64_t *size = rec->size, finals = size[BF_SAMPLER_MODE];
    float *const *all = rec->all;
    bf_verify_tensor(r->v, "traj.t", rec->t, m, BF_VERIFY_FORWARD);
    bf_verify_tensor(r->v, "traj.net_in", all[BF_SAMPLER_INPUT], m * size[BF_SAMPLER_INPUT], BF_VERIFY_FORWARD);
    bf_verify_tensor(r->v, "traj.net_out", all[BF_SAMPLER_NET_OUT], m * size[BF_SAMPLER_NET_OUT], BF_VERIFY_FORWARD);
    bf_verify_tensor(r->v, classes ? "traj.k" : "traj.sample", all[BF_SAMPLER_DRAWN], n * size[BF_SAMPLER_DRAWN],
                     BF_VERIFY_FORWARD);
    bf_verify_tensor(r->v, "traj.y", all[BF_SAMPLER_Y], n * size[BF_SAMPLER_Y], BF_VERIFY_FORWARD);
    bf_verify_tensor(r->v, classes ? "traj.theta" : "traj.mu", all[BF_SAMPLER_STATE], n * size[BF_SAMPLER_STATE],
                     BF_VERIFY_FORWARD);
    if (classes) {
        bf_verify_tensor(r->v, "traj.probs", all[BF_SAMPLER_PARAMS], m * size[BF_SAMPLER_PARAMS], BF_VERIFY_FORWARD);
    }
    if (bf_golden_has(r, "traj", "pred_mu")) BF_TRY(check_normals(r, rec, m * finals, err));
    bf_verify_tensor(r->v, "traj.final", rec->final, finals, BF_VERIFY_FORWARD);
out:
    return st;
}

bf_status bf_golden_trajectory(bf_flow_case *r, const char *noise_data, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const bf_st_tensor *noise = NULL;
    bf_params *params = NULL;
    bf_sampler *sampler = NULL;
    bf_recording rec = {.steps = 0};
    float *data = NULL, *message = NULL;
    linear_net net = {r->shape.dims * (uint64_t)bf_flow_inputs(&r->flow),
                      r->shape.dims * (uint64_t)bf_flow_outputs(&r->flow)};
    bf_group group = bf_group_alone(&r->flow, r->shape.dims);
    const bf_hybrid hybrid = {1, &group};
    if (!bf_golden_has(r, "traj", "noise_y")) return BF_OK;
    BF_TRY(bf_st_need(bf_verify_file(r->v), "traj.noise_y", &noise, err));
    BF_CHECK(noise->ndim >= 3 && noise->dims[2] == r->shape.dims && noise->dims[0] < 100000, BF_FILE,
             "traj.noise_y: wrong shape");
    BF_TRY(bf_params_new(bf_verify_ctx(r->v), &params, err));
    const bf_sampler_options o = {.ctx = bf_verify_ctx(r->v),
                                  .params = params,
                                  .weights = BF_SET_VALUE,
                                  .hybrid = &hybrid,
                                  .ndim = 2,
                                  .dims = {noise->dims[1], r->shape.dims},
                                  .net = linear_build,
                                  .user = &net};
    BF_TRY(bf_sampler_new(&o, &sampler, NULL, err));
    BF_TRY(set_param(r, params, "W", err));
    BF_TRY(set_param(r, params, "b", err));
    BF_TRY(set_param(r, params, "v", err));
    BF_TRY(bf_pool_load(&r->pool, "traj.noise_y", &message, NULL, NULL, err));
    if (noise_data) BF_TRY(bf_pool_load(&r->pool, noise_data, &data, NULL, NULL, err));
    BF_TRY(bf_record(sampler, (int)noise->dims[0], data, message, &rec, err));
    BF_TRY(check_run(r, &rec, err));
out:
    bf_recording_free(&rec);
    bf_sampler_free(sampler);
    bf_params_free(params);
    bf_pool_reset(&r->pool, &mark);
    return st;
}
