/* Replay of class data: golden README, section 5. */
#include <stdlib.h>
#include <string.h>

#include "run/verify_flow.h"

/* theta of a section from x, noise and times: K > 2 the network's input itself; K = 2 stores theta_0, the network gets
 * 2 theta_0 - 1. */
static bf_status check_theta(bf_flow_case *r, const char *prefix, bf_mem t, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128];
    const uint64_t n = r->shape.batch * r->shape.dims, wide = n * (uint64_t)r->flow.classes;
    const uint64_t seen = n * (uint64_t)bf_flow_inputs(&r->flow);
    bf_mem noise, z, input;
    float *host;
    uint64_t count = 0;
    BF_TRY(bf_pool_load(&r->pool, bf_golden_name(name, prefix, "noise"), NULL, &noise, &count, err));
    BF_CHECK(count == wide, BF_FILE, "%s: wrong number of elements", name);
    BF_TRY(bf_pool_new(&r->pool, wide, &z, err));
    BF_TRY(bf_pool_new(&r->pool, seen, &input, err));
    BF_TRY(bf_flow_op_sample(r->pool.cmds, &r->flow, r->shape, z, r->x, noise, t, err));
    BF_TRY(bf_flow_op_input(r->pool.cmds, &r->flow, r->shape, input, z, err));
    BF_TRY(bf_pool_run(&r->pool, input, seen, &host, err));
    if (bf_golden_has(r, prefix, "net_input")) {
        bf_verify_tensor(r->v, bf_golden_name(name, prefix, "net_input"), host, seen, BF_VERIFY_FORWARD);
    }
    for (uint64_t i = 0; r->flow.classes == 2 && i < seen; i++) host[i] = 0.5f * (host[i] + 1.0f);
    bf_verify_tensor(r->v, bf_golden_name(name, prefix, "theta"), host, seen, BF_VERIFY_FORWARD);
    if (bf_golden_has(r, prefix, "logits")) {
        BF_TRY(bf_pool_check(&r->pool, bf_golden_name(name, prefix, "logits"), z, wide, BF_VERIFY_FORWARD, NULL, err));
    }
out:
    return st;
}

static bf_status load_times(bf_flow_case *r, const char *name, float **host, bf_mem *t, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t n = 0;
    BF_TRY(bf_pool_load(&r->pool, name, host, t, &n, err));
    BF_CHECK(n == r->shape.batch, BF_FILE, "%s: %llu times for %llu samples", name, (unsigned long long)n,
             (unsigned long long)r->shape.batch);
out:
    return st;
}

/* Classes of real-valued data: the quantiser's index. */
static bf_status check_index(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t n = r->shape.batch * r->shape.dims;
    bf_mem index, centre;
    BF_TRY(bf_pool_new(&r->pool, n, &index, err));
    BF_TRY(bf_pool_new(&r->pool, n, &centre, err));
    BF_TRY(bf_flow_op_quantise(r->pool.cmds, r->flow.classes, r->shape, index, centre, r->x, err));
    BF_TRY(bf_pool_check(&r->pool, "x_idx", index, n, BF_VERIFY_FORWARD, NULL, err));
out:
    return st;
}

static bf_status check_pred(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const uint64_t n = r->shape.batch * r->shape.dims, wide = n * (uint64_t)r->flow.classes;
    const bf_flow_loss_spec recon = {.kind = BF_LOSS_RECON};
    bf_mem t, net, probs, value;
    uint64_t count = 0;
    float *host;
    BF_TRY(load_times(r, "flow.t", NULL, &t, err));
    BF_TRY(check_theta(r, "flow", t, err));
    if (bf_st_find(bf_verify_file(r->v), "x_idx")) BF_TRY(check_index(r, err));
    BF_TRY(bf_pool_load(&r->pool, "pred.net_out", NULL, &net, &count, err));
    BF_CHECK(count == n * (uint64_t)bf_flow_outputs(&r->flow), BF_FILE, "pred.net_out: wrong number of elements");
    BF_TRY(bf_pool_new(&r->pool, wide, &probs, err));
    BF_TRY(bf_pool_new(&r->pool, n, &value, err));
    BF_TRY(bf_flow_op_params(r->pool.cmds, &r->flow, r->shape, probs, BF_MEM_NONE, net, t, true, err));
    BF_TRY(bf_pool_check(&r->pool, "pred.probs", probs, wide, BF_VERIFY_FORWARD, NULL, err));
    BF_TRY(bf_flow_op_value(r->pool.cmds, &r->flow, r->shape, BF_VALUE_MODE, value, BF_MEM_NONE, net, t, BF_MEM_NONE,
                            err));
    BF_TRY(bf_pool_check(&r->pool, "pred.mode", value, n, BF_VERIFY_FORWARD, NULL, err));
    const bf_flow_loss_args args = {.loss = value, .x = r->x, .net = net, .t = t};
    BF_TRY(bf_flow_op_loss(r->pool.cmds, &r->flow, &recon, r->shape, &args, err));
    BF_TRY(bf_pool_run(&r->pool, value, n, &host, err));
    for (uint64_t i = 0; i < n; i++) host[i] = -host[i];
    bf_verify_tensor(r->v, "pred.log_prob_x", host, n, BF_VERIFY_FORWARD);
out:
    bf_pool_reset(&r->pool, &mark);
    return st;
}

/* theta [n, K] of the state z through the network's input. */
static bf_status read_theta(bf_flow_case *r, bf_mem z, bf_mem input, float *theta, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const uint64_t n = r->shape.batch * r->shape.dims, seen = n * (uint64_t)bf_flow_inputs(&r->flow);
    float *host;
    BF_TRY(bf_flow_op_input(r->pool.cmds, &r->flow, r->shape, input, z, err));
    BF_TRY(bf_pool_run(&r->pool, input, seen, &host, err));
    if (r->flow.classes > 2) {
        memcpy(theta, host, (size_t)seen * sizeof *host);
    } else {
        for (uint64_t i = 0; i < n; i++) {
            theta[2 * i] = 0.5f * (1.0f + host[i]);
            theta[2 * i + 1] = 0.5f * (1.0f - host[i]);
        }
    }
out:
    bf_pool_reset(&r->pool, &mark);
    return st;
}

static bf_status check_updates(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const uint64_t n = r->shape.batch * r->shape.dims, wide = n * (uint64_t)r->flow.classes;
    float *mine = NULL, *prior = NULL;
    uint64_t count = 0;
    bf_mem y, z, input;
    BF_TRY(bf_pool_load(&r->pool, "upd.y", NULL, &y, &count, err));
    BF_CHECK(count > 0 && count % wide == 0, BF_FILE, "upd.y: wrong number of elements");
    const uint64_t steps = count / wide;
    BF_NEW(mine, (steps + 1) * wide);
    BF_NEW(prior, wide);
    BF_TRY(bf_pool_put(&r->pool, prior, wide, &z, err));
    BF_TRY(bf_pool_new(&r->pool, wide, &input, err));
    BF_TRY(read_theta(r, z, input, mine, err));
    for (uint64_t i = 0; i < steps; i++) {
        BF_TRY(bf_flow_op_update(r->pool.cmds, &r->flow, r->shape, z, bf_mem_at(y, i * wide * sizeof(float)),
                                 BF_MEM_NONE, err));
        BF_TRY(read_theta(r, z, input, mine + (i + 1) * wide, err));
    }
    bf_verify_tensor(r->v, "upd.theta", mine, (steps + 1) * wide, BF_VERIFY_FORWARD);
out:
    free(mine);
    free(prior);
    bf_pool_reset(&r->pool, &mark);
    return st;
}

static bf_status check_continuous_time(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_CTS};
    bf_mem t;
    BF_TRY(load_times(r, "closs.t", NULL, &t, err));
    BF_TRY(check_theta(r, "closs", t, err));
    BF_TRY(bf_golden_loss(r, "closs", NULL, &spec, BF_MEM_NONE, t, err));
out:
    bf_pool_reset(&r->pool, &mark);
    return st;
}

static bf_status check_steps(bf_flow_case *r, const char *prefix, int n, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const bf_flow_loss_spec official = {.kind = BF_LOSS_N_STEP, .steps = n, .receiver = BF_RECEIVER_OFFICIAL};
    const bf_flow_loss_spec joint = {.kind = BF_LOSS_N_STEP, .steps = n, .receiver = BF_RECEIVER_JOINT};
    char name[128];
    float *times;
    bf_mem t;
    BF_TRY(load_times(r, bf_golden_name(name, prefix, "t"), &times, &t, err));
    BF_TRY(check_theta(r, prefix, t, err));
    BF_TRY(bf_golden_loss(r, prefix, NULL, &official, BF_MEM_NONE, t, err));
    if (bf_golden_has(r, prefix, "loss_joint_f64")) {
        BF_TRY(bf_golden_loss(r, prefix, NULL, &joint, BF_MEM_NONE, t, err));
    }
    if (bf_golden_has(r, prefix, "mc_y")) BF_TRY(bf_golden_sender(r, prefix, n, times, err));
out:
    bf_pool_reset(&r->pool, &mark);
    return st;
}

static bf_status check_recon(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_RECON};
    float *ones = NULL;
    bf_mem t;
    BF_NEW(ones, r->shape.batch);
    for (uint64_t b = 0; b < r->shape.batch; b++) ones[b] = 1.0f;
    BF_TRY(bf_pool_put(&r->pool, ones, r->shape.batch, &t, err));
    BF_TRY(check_theta(r, "recon", t, err));
    BF_TRY(bf_golden_loss(r, "recon", NULL, &spec, BF_MEM_NONE, t, err));
out:
    free(ones);
    bf_pool_reset(&r->pool, &mark);
    return st;
}

static bf_status read_settings(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    double classes = 0.0;
    const bf_st_tensor *x = NULL;
    r->flow = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    BF_TRY(bf_verify_scalar(r->v, "cfg.n_classes", &classes, err));
    BF_TRY(bf_verify_scalar(r->v, "cfg.max_sqrt_beta", &r->flow.max_sqrt_beta, err));
    BF_TRY(bf_st_need(bf_verify_file(r->v), "x", &x, err));
    BF_CHECK(x->ndim >= 2 && x->count > 0, BF_FILE, "x: wrong shape");
    BF_CHECK(classes >= 2.0 && classes <= 1e6, BF_FILE, "cfg.n_classes is %g", classes);
    r->flow.classes = (int)classes;
    r->flow.discretize = bf_golden_meta(r->v, "discretize", 0.0) != 0.0;
    r->shape = (bf_flow_shape){x->dims[0], x->count / x->dims[0]};
    if (bf_flow_check(&r->flow, err) != BF_OK) st = BF_FILE;
out:
    return st;
}

bf_status bf_verify_discrete(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    bf_flow_case r = {.v = v};
    BF_TRY(bf_pool_open(v, &r.pool, err));
    BF_TRY(read_settings(&r, err));
    BF_TRY(bf_pool_load(&r.pool, "x", NULL, &r.x, NULL, err));
    BF_TRY(bf_golden_alphas(&r, err));
    BF_TRY(check_pred(&r, err));
    BF_TRY(check_updates(&r, err));
    BF_TRY(check_continuous_time(&r, err));
    BF_TRY(bf_golden_each_steps(&r, check_steps, err));
    BF_TRY(check_recon(&r, err));
    BF_TRY(bf_golden_trajectory(&r, "traj.u", err));
out:
    bf_pool_close(&r.pool);
    return st;
}
