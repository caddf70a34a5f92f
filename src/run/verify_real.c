/* Replay of continuous and discretised data: golden README, section 4. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/verify_flow.h"

/* mu of a section from x, its noise and its times (`t` may be one that the file does not hold). */
static bf_status check_mu(bf_flow_case *r, const char *prefix, bf_mem t, bf_mem *mu, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128];
    bf_mem noise, mine;
    uint64_t n = 0;
    const uint64_t want = r->shape.batch * r->shape.dims;
    BF_TRY(bf_pool_load(&r->pool, bf_golden_name(name, prefix, "mu"), NULL, mu, &n, err));
    BF_CHECK(n == want, BF_FILE, "%s: wrong number of elements", name);
    BF_TRY(bf_pool_load(&r->pool, bf_golden_name(name, prefix, "noise"), NULL, &noise, &n, err));
    BF_CHECK(n == want, BF_FILE, "%s: wrong number of elements", name);
    BF_TRY(bf_pool_new(&r->pool, want, &mine, err));
    BF_TRY(bf_flow_op_sample(r->pool.cmds, &r->flow, r->shape, mine, r->x, noise, t, err));
    BF_TRY(bf_pool_check(&r->pool, bf_golden_name(name, prefix, "mu"), mine, want, BF_VERIFY_FORWARD, NULL, err));
    if (bf_golden_has(r, prefix, "net_input")) {
        BF_TRY(bf_pool_check(&r->pool, bf_golden_name(name, prefix, "net_input"), mine, want, BF_VERIFY_FORWARD, NULL,
                             err));
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

/* Every second number of `both`, from `first` on, against a tensor. */
static bf_status check_part(bf_flow_case *r, const char *name, const float *both, int first, int width, bf_err *err)
{
    bf_status st = BF_OK;
    float *part = NULL;
    const uint64_t n = r->shape.batch * r->shape.dims;
    BF_NEW(part, n);
    for (uint64_t i = 0; i < n; i++) part[i] = both[i * (uint64_t)width + (uint64_t)first];
    bf_verify_tensor(r->v, name, part, n, BF_VERIFY_FORWARD);
out:
    free(part);
    return st;
}

/* ln P of the data: probabilities are differences of CDF values, so their logarithms may be off by 2e-7 / p. */
static bf_status check_log_prob(bf_flow_case *r, const char *name, const float *loss, const float *p, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL, *stored = NULL;
    double *tolerance = NULL;
    uint64_t n = 0;
    const uint64_t want = r->shape.batch * r->shape.dims;
    BF_TRY(bf_verify_read(r->v, name, &stored, &n, err));
    BF_CHECK(n == want, BF_FILE, "%s: wrong number of elements", name);
    BF_NEW(mine, n);
    BF_NEW(tolerance, n);
    bf_verify_tolerances(r->v, name, stored, n, BF_VERIFY_FORWARD, tolerance);
    for (uint64_t i = 0; i < n; i++) {
        mine[i] = -loss[i];
        if (p && p[i] >= 1e-5f) tolerance[i] += 2e-7 / p[i];
    }
    bf_verify_array(r->v, name, mine, stored, tolerance, n);
out:
    free(mine);
    free(stored);
    free(tolerance);
    return st;
}

/* The mode is defined where no two bins tie. */
static bf_status check_mode(bf_flow_case *r, bf_mem mu, bf_mem net, bf_mem t, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t n = r->shape.batch * r->shape.dims;
    const bf_st_tensor *ok = NULL;
    float *mode = NULL;
    uint8_t *mask = NULL;
    bf_mem y;
    BF_TRY(bf_pool_new(&r->pool, n, &y, err));
    BF_TRY(bf_flow_op_value(r->pool.cmds, &r->flow, r->shape, BF_VALUE_MODE, y, mu, net, t, BF_MEM_NONE, err));
    BF_TRY(bf_pool_run(&r->pool, y, n, &mode, err));
    BF_TRY(bf_st_need(bf_verify_file(r->v), "pred.mode_ok", &ok, err));
    BF_CHECK(ok->dtype == BF_U8 && ok->count == n, BF_FILE, "pred.mode_ok: wrong type or size");
    BF_NEW(mask, n);
    BF_TRY(bf_st_read_raw(bf_verify_file(r->v), ok, mask, err));
    bf_verify_within(r->v, "pred.mode", mode, n, 1e-6, mask);
out:
    free(mask);
    return st;
}

static void bin_tables(bf_flow_case *r, float *centres, float *bounds)
{
    const int nb = r->flow.bins;
    for (int k = 0; k < nb; k++) centres[k] = (float)((2.0 * k + 1.0) / nb - 1.0);
    for (int k = 1; k < nb; k++) bounds[k - 1] = (float)(2.0 * k / nb - 1.0);
    bf_verify_tensor(r->v, "pred.class_centres", centres, (uint64_t)nb, BF_VERIFY_FORWARD);
    bf_verify_tensor(r->v, "pred.class_boundaries", bounds, (uint64_t)nb - 1, BF_VERIFY_FORWARD);
}

/* Bins of the data, probabilities, expectation, mode, probability of the data. */
static bf_status check_bins(bf_flow_case *r, bf_mem mu, bf_mem net, bf_mem t, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t n = r->shape.batch * r->shape.dims, nb = (uint64_t)r->flow.bins;
    const bf_flow_loss_spec recon = {.kind = BF_LOSS_RECON};
    float *index, *probs, *loss, tables[2 * 1024], *own = NULL;
    bf_mem a, b, p, mean;
    bin_tables(r, tables, tables + 1024);
    BF_TRY(bf_pool_new(&r->pool, n, &a, err));
    BF_TRY(bf_pool_new(&r->pool, n, &b, err));
    BF_TRY(bf_pool_new(&r->pool, n, &mean, err));
    BF_TRY(bf_pool_new(&r->pool, n * nb, &p, err));
    BF_TRY(bf_flow_op_quantise(r->pool.cmds, r->flow.bins, r->shape, a, b, r->x, err));
    BF_TRY(bf_pool_check(&r->pool, "pred.x_idx", a, n, BF_VERIFY_FORWARD, &index, err));
    BF_TRY(bf_flow_op_bins(r->pool.cmds, &r->flow, r->shape, p, mu, net, t, err));
    BF_TRY(bf_pool_check(&r->pool, "pred.probs", p, n * nb, BF_VERIFY_FORWARD, &probs, err));
    BF_TRY(bf_flow_op_value(r->pool.cmds, &r->flow, r->shape, BF_VALUE_MEAN, mean, mu, net, t, BF_MEM_NONE, err));
    BF_TRY(bf_pool_check(&r->pool, "pred.mean", mean, n, BF_VERIFY_FORWARD, NULL, err));
    BF_TRY(check_mode(r, mu, net, t, err));
    BF_NEW(own, n);
    for (uint64_t i = 0; i < n; i++) own[i] = probs[i * nb + (uint64_t)index[i]];
    bf_verify_tensor(r->v, "pred.prob_x", own, n, BF_VERIFY_FORWARD);
    const bf_flow_loss_args args = {.loss = b, .x = r->x, .mu = mu, .net = net, .t = t};
    BF_TRY(bf_flow_op_loss(r->pool.cmds, &r->flow, &recon, r->shape, &args, err));
    BF_TRY(bf_pool_run(&r->pool, b, n, &loss, err));
    BF_TRY(check_log_prob(r, "pred.log_prob_x", loss, own, err));
out:
    free(own);
    return st;
}

static bf_status check_pred(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const int width = bf_flow_outputs(&r->flow);
    const uint64_t n = r->shape.batch * r->shape.dims, all = n * (uint64_t)width;
    bf_mem t, mu, net, params;
    uint64_t count = 0;
    float *clamped;
    BF_TRY(load_times(r, "flow.t", NULL, &t, err));
    BF_TRY(check_mu(r, "flow", t, &mu, err));
    BF_TRY(bf_pool_load(&r->pool, "pred.net_out", NULL, &net, &count, err));
    BF_CHECK(count == all, BF_FILE, "pred.net_out: wrong number of elements");
    BF_TRY(bf_pool_new(&r->pool, all, &params, err));
    BF_TRY(bf_flow_op_params(r->pool.cmds, &r->flow, r->shape, params, mu, net, t, false, err));
    BF_TRY(bf_pool_check(&r->pool, "pred.data_params", params, all, BF_VERIFY_FORWARD, NULL, err));
    BF_TRY(bf_flow_op_params(r->pool.cmds, &r->flow, r->shape, params, mu, net, t, true, err));
    BF_TRY(bf_pool_run(&r->pool, params, all, &clamped, err));
    if (r->flow.kind == BF_FLOW_CONTINUOUS) {
        bf_mem mean;
        BF_TRY(bf_pool_new(&r->pool, n, &mean, err));
        BF_TRY(bf_flow_op_value(r->pool.cmds, &r->flow, r->shape, BF_VALUE_MEAN, mean, mu, net, t, BF_MEM_NONE, err));
        BF_TRY(bf_pool_check(&r->pool, "pred.x_hat", mean, n, BF_VERIFY_FORWARD, NULL, err));
    } else {
        BF_TRY(check_part(r, "pred.mu", clamped, 0, width, err));
        BF_TRY(check_part(r, "pred.sigma", clamped, 1, width, err));
        BF_TRY(check_bins(r, mu, net, t, err));
    }
out:
    bf_pool_reset(&r->pool, &mark);
    return st;
}

/* Six messages after each other from the prior. */
static bf_status check_updates(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const uint64_t n = r->shape.batch * r->shape.dims;
    float *mine = NULL, *rho = NULL, *state, *prior = NULL;
    uint64_t count = 0;
    bf_mem mu, y, step;
    double precision = 1.0;
    BF_TRY(bf_pool_load(&r->pool, "upd.y", NULL, &y, &count, err));
    BF_CHECK(count > 0 && count % n == 0, BF_FILE, "upd.y: wrong number of elements");
    const uint64_t steps = count / n;
    BF_NEW(mine, (steps + 1) * n);
    BF_NEW(rho, steps + 1);
    BF_NEW(prior, n);
    BF_TRY(bf_pool_put(&r->pool, prior, n, &mu, err));
    BF_TRY(bf_pool_new(&r->pool, BF_STEP_WORDS, &step, err));
    rho[0] = 1.0f;
    for (uint64_t i = 0; i < steps; i++) {
        const bf_pool inner = r->pool;
        const double alpha = bf_flow_alpha(&r->flow, (double)(i + 1), (double)steps);
        float words[BF_STEP_WORDS] = {0};
        words[BF_FLOW_KEEP] = (float)(precision / (precision + alpha));
        words[BF_FLOW_GAIN] = (float)(alpha / (precision + alpha));
        precision += alpha;
        rho[i + 1] = (float)precision;
        BF_TRY(bf_write(bf_verify_ctx(r->v), step, words, sizeof words, err));
        BF_TRY(bf_flow_op_update(r->pool.cmds, &r->flow, r->shape, mu, bf_mem_at(y, i * n * sizeof(float)), step, err));
        BF_TRY(bf_pool_run(&r->pool, mu, n, &state, err));
        memcpy(mine + (i + 1) * n, state, n * sizeof *mine);
        bf_pool_reset(&r->pool, &inner);
    }
    bf_verify_tensor(r->v, "upd.mu", mine, (steps + 1) * n, BF_VERIFY_FORWARD);
    bf_verify_tensor(r->v, "upd.rho_f64", rho, steps + 1, BF_VERIFY_FORWARD);
out:
    free(mine);
    free(rho);
    free(prior);
    bf_pool_reset(&r->pool, &mark);
    return st;
}

static bf_status check_continuous_time(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_CTS};
    bf_mem t, mu;
    BF_TRY(load_times(r, "closs.t", NULL, &t, err));
    BF_TRY(check_mu(r, "closs", t, &mu, err));
    BF_TRY(bf_golden_loss(r, "closs", NULL, &spec, mu, t, err));
    if (bf_golden_has(r, "closs_minvar", "loss")) {
        BF_TRY(bf_verify_scalar(r->v, "cfg.min_loss_variance", &r->flow.min_loss_variance, err));
        BF_TRY(bf_golden_loss(r, "closs", "closs_minvar", &spec, mu, t, err));
        r->flow.min_loss_variance = 0.0;
    }
out:
    bf_pool_reset(&r->pool, &mark);
    return st;
}

static bf_status check_steps(bf_flow_case *r, const char *prefix, int n, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = r->pool;
    const bf_flow_loss_spec spec = {.kind = BF_LOSS_N_STEP, .steps = n};
    char name[128];
    float *times;
    bf_mem t, mu;
    BF_TRY(load_times(r, bf_golden_name(name, prefix, "t"), &times, &t, err));
    BF_TRY(check_mu(r, prefix, t, &mu, err));
    BF_TRY(bf_golden_loss(r, prefix, NULL, &spec, mu, t, err));
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
    bf_mem t, mu;
    BF_NEW(ones, r->shape.batch);
    for (uint64_t b = 0; b < r->shape.batch; b++) ones[b] = 1.0f;
    BF_TRY(bf_pool_put(&r->pool, ones, r->shape.batch, &t, err));
    BF_TRY(check_mu(r, "recon", t, &mu, err));
    BF_TRY(bf_golden_loss(r, "recon", NULL, &spec, mu, t, err));
out:
    free(ones);
    bf_pool_reset(&r->pool, &mark);
    return st;
}

static bf_status read_settings(bf_flow_case *r, bf_err *err)
{
    bf_status st = BF_OK;
    double bins = 0.0;
    const bf_st_tensor *x = NULL, *out = NULL;
    const bool binned = strcmp(bf_verify_kind(r->v), "discretised") == 0;
    r->flow = bf_flow_defaults(binned ? BF_FLOW_DISCRETISED : BF_FLOW_CONTINUOUS);
    BF_TRY(bf_verify_scalar(r->v, "cfg.min_variance", &r->flow.min_variance, err));
    BF_TRY(bf_verify_scalar(r->v, "cfg.num_bins", &bins, err));
    BF_TRY(bf_st_need(bf_verify_file(r->v), "x", &x, err));
    BF_TRY(bf_st_need(bf_verify_file(r->v), "pred.net_out", &out, err));
    BF_CHECK(x->ndim >= 2 && x->count > 0 && out->ndim >= 1, BF_FILE, "x or pred.net_out: wrong shape");
    BF_CHECK(bins >= 0.0 && bins <= 1e6, BF_FILE, "cfg.num_bins is %g", bins);
    r->shape = (bf_flow_shape){x->dims[0], x->count / x->dims[0]};
    const uint64_t width = out->dims[out->ndim - 1];
    r->flow.output = width == 1 ? BF_OUT_DELTA : width == 2 ? BF_OUT_NORMAL : BF_OUT_MIXTURE;
    if (r->flow.output == BF_OUT_MIXTURE) r->flow.mixture = (int)BF_MIN(width / 3, 1000);
    if (binned) r->flow.bins = (int)bins;
    r->flow.min_sd = bf_golden_meta(r->v, "min_std_dev", r->flow.min_sd);
    r->flow.max_sd = bf_golden_meta(r->v, "max_std_dev", r->flow.max_sd);
    r->flow.truncated = bf_golden_meta(r->v, "clip", 1.0) == 0.0;
    if (bf_flow_check(&r->flow, err) != BF_OK) st = BF_FILE;
out:
    return st;
}

bf_status bf_verify_real(bf_verify *v, bf_err *err)
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
    BF_TRY(bf_golden_trajectory(&r, bf_golden_has(&r, "traj", "noise_sample") ? "traj.noise_sample" : NULL, err));
out:
    bf_pool_close(&r.pool);
    return st;
}
