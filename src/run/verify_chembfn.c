/* Replays of the kind "chembfn schedule and loss": golden README, section 14. Its loss is that of the paper, in nats
 * per variable, divided by the number of classes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "flow/sampler.h"
#include "run/official.h"
#include "run/verify_flow.h"
#include "run/verify_tanh.h"

#define NAME_SIZE 192
#define MAX_STEPS 100000
#define FAR 200.0f /* exp(-FAR) is 0 */

static bf_flow flow_of(const bf_verify *v, int classes)
{
    bf_flow f = bf_flow_defaults(BF_FLOW_CATEGORICAL);
    f.classes = classes;
    f.schedule = BF_SCHEDULE_ENTROPY;
    f.max_sqrt_beta = sqrt(bf_golden_meta(v, "K_times_beta1", 20.4054) / classes);
    f.max_t = 1.0;
    return f;
}

/* ---- schedules --------------------------------------------------------------------------------------------------- */

static bf_status read_times(const bf_verify *v, double **t, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *tensor;
    BF_TRY(bf_st_need(bf_verify_file(v), "schedule.t_f64", &tensor, err));
    *n = tensor->count;
    BF_NEW(*t, *n);
    BF_TRY(bf_st_read_f64(bf_verify_file(v), tensor, *t, err));
out:
    return st;
}

/* schedule.K<K>.beta_f64, .half_rate_f64 and .alpha.n<n>_f64. */
static bf_status check_schedule(bf_verify *v, const bf_st_tensor *tensor, const double *t, uint64_t times, bf_err *err)
{
    bf_status st = BF_OK;
    char what[32];
    int classes = 0, n = 0;
    float *mine = NULL;
    if (sscanf(tensor->name, "schedule.K%d.%31s", &classes, what) != 2) return BF_OK;
    const bf_flow f = flow_of(v, classes);
    BF_TRY(bf_flow_check(&f, err));
    const bool steps = sscanf(what, "alpha.n%d_f64", &n) == 1;
    BF_CHECK(steps ? n >= 1 && n <= MAX_STEPS && tensor->count == (uint64_t)n : tensor->count == times, BF_FILE,
             "%s: unexpected shape", tensor->name);
    BF_NEW(mine, tensor->count);
    for (uint64_t i = 0; i < tensor->count; i++) {
        if (steps)
            mine[i] = (float)bf_flow_alpha(&f, (double)i + 1.0, n);
        else if (strcmp(what, "beta_f64") == 0)
            mine[i] = (float)bf_flow_beta(&f, t[i]);
        else
            mine[i] = (float)(0.5 * bf_flow_beta_rate(&f, t[i]));
    }
    bf_verify_tensor(v, tensor->name, mine, tensor->count, BF_VERIFY_FORWARD);
out:
    free(mine);
    return st;
}

static bf_status check_schedules(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    double *t = NULL;
    uint64_t times = 0;
    BF_TRY(read_times(v, &t, &times, err));
    for (size_t i = 0; i < bf_st_count(bf_verify_file(v)); i++)
        BF_TRY(check_schedule(v, bf_st_at(bf_verify_file(v), i), t, times, err));
out:
    free(t);
    return st;
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

/* One case: its data on the device. */
typedef struct loss_case {
    bf_verify *v;
    const char *name;
    bf_flow flow;
    bf_flow_shape shape;
    uint64_t n, wide; /* variables; numbers of theta */
    bf_pool pool;
    float *x_host, *logits_host;
    bf_mem x, t, logits; /* as the flow has them: of two classes one logit */
} loss_case;

static const char *name_of(const loss_case *c, const char *part, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%.128s.%s", c->name, part);
    return out;
}

static void check(loss_case *c, const char *part, const float *mine, uint64_t n, bf_verify_rule rule)
{
    char name[NAME_SIZE];
    bf_verify_tensor(c->v, name_of(c, part, name), mine, n, rule);
}

/* The logits that the flow's kernels take. */
static bf_status put_logits(loss_case *c, const float *logits, bf_mem *out, bf_err *err)
{
    bf_status st = BF_OK;
    float *one = NULL;
    if (c->flow.classes > 2) return bf_pool_put(&c->pool, logits, c->wide, out, err);
    BF_TRY(bf_pool_host(&c->pool, c->n, &one, err));
    for (uint64_t i = 0; i < c->n; i++) one[i] = logits[2 * i + 1] - logits[2 * i];
    BF_TRY(bf_pool_put(&c->pool, one, c->n, out, err));
out:
    return st;
}

static bf_status load_case(loss_case *c, bool masked, bf_mem *noise, bf_mem *mask, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    const bf_st_tensor *x;
    float *given, *marks;
    uint64_t n;
    BF_TRY(bf_st_need(bf_verify_file(c->v), name_of(c, "x", name), &x, err));
    BF_CHECK(x->ndim >= 2 && x->count > 0, BF_FILE, "%s: unexpected shape", name);
    c->n = x->count;
    c->shape = (bf_flow_shape){x->dims[0], x->count / x->dims[0]};
    c->wide = c->n * (uint64_t)c->flow.classes;
    BF_TRY(bf_pool_load(&c->pool, name, &c->x_host, &c->x, NULL, err));
    for (uint64_t i = 0; i < c->n; i++)
        BF_CHECK(c->x_host[i] >= 0.0f && c->x_host[i] < (float)c->flow.classes, BF_FILE, "%s: no class", name);
    BF_TRY(bf_pool_load(&c->pool, name_of(c, "t", name), NULL, &c->t, &n, err));
    BF_CHECK(n == c->shape.batch, BF_FILE, "%s: wrong number of elements", name);
    BF_TRY(bf_pool_load(&c->pool, name_of(c, "noise", name), NULL, noise, &n, err));
    BF_CHECK(n == c->wide, BF_FILE, "%s: wrong number of elements", name);
    BF_TRY(bf_pool_load(&c->pool, name_of(c, "logits", name), &c->logits_host, NULL, &n, err));
    BF_CHECK(n == c->wide, BF_FILE, "%s: wrong number of elements", name);
    BF_TRY(put_logits(c, c->logits_host, &c->logits, err));
    *mask = BF_MEM_NONE;
    if (!masked) goto out;
    BF_TRY(bf_pool_load(&c->pool, name_of(c, "mask", name), &marks, NULL, &n, err));
    BF_CHECK(n == c->n, BF_FILE, "%s: wrong number of elements", name);
    BF_TRY(bf_pool_host(&c->pool, c->n, &given, err));
    for (uint64_t i = 0; i < c->n; i++) given[i] = marks[i] != 0.0f ? c->x_host[i] : NAN;
    BF_TRY(bf_pool_put(&c->pool, given, c->n, mask, err));
out:
    return st;
}

/* theta, with what is given in place, and 2 theta - 1. */
static bf_status check_theta(loss_case *c, bf_mem noise, bf_mem mask, bf_err *err)
{
    bf_status st = BF_OK;
    const int inputs = bf_flow_inputs(&c->flow);
    const uint64_t seen = c->n * (uint64_t)inputs;
    bf_mem z, input;
    float *host, *theta;
    BF_TRY(bf_pool_new(&c->pool, c->wide, &z, err));
    BF_TRY(bf_pool_new(&c->pool, seen, &input, err));
    BF_TRY(bf_pool_host(&c->pool, c->wide, &theta, err));
    BF_TRY(bf_flow_op_sample(c->pool.cmds, &c->flow, c->shape, z, c->x, noise, c->t, err));
    BF_TRY(bf_flow_op_input(c->pool.cmds, &c->flow, c->shape, input, z, err));
    if (!bf_mem_is_none(mask) && inputs > 1) BF_TRY(bf_group_op_hold(c->pool.cmds, c->shape, inputs, input, mask, err));
    BF_TRY(bf_pool_run(&c->pool, input, seen, &host, err));
    for (uint64_t i = 0; i < c->wide; i++)
        theta[i] = inputs > 1 ? host[i] : 0.5f * (1.0f + (i % 2 ? -1.0f : 1.0f) * host[i / 2]);
    check(c, "theta_f64", theta, c->wide, BF_VERIFY_FORWARD);
    for (uint64_t i = 0; i < c->wide; i++) theta[i] = 2.0f * theta[i] - 1.0f;
    check(c, "net_input_f64", theta, c->wide, BF_VERIFY_FORWARD);
out:
    return st;
}

/* Both logits' gradients from that of their difference. */
static void check_grad(loss_case *c, const float *grad, float *both)
{
    for (uint64_t i = 0; i < c->wide; i++) both[i] = c->flow.classes > 2 ? grad[i] : i % 2 ? grad[i / 2] : -grad[i / 2];
    check(c, "grad_logits_f64", both, c->wide, BF_VERIFY_GRADIENT);
}

static bf_status check_losses(loss_case *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow_loss_spec cts = {.kind = BF_LOSS_CTS}, recon = {.kind = BF_LOSS_RECON};
    const uint64_t outputs = c->n * (uint64_t)bf_flow_outputs(&c->flow);
    const int classes = c->flow.classes;
    bf_mem loss, grad, p;
    float *host, *grad_host, *sample, *both;
    double total = 0.0, nll = 0.0, raw = 0.0;
    BF_TRY(bf_pool_new(&c->pool, c->n, &loss, err));
    BF_TRY(bf_pool_new(&c->pool, outputs, &grad, err));
    BF_TRY(bf_pool_new(&c->pool, c->wide, &p, err));
    BF_TRY(bf_pool_host(&c->pool, c->shape.batch, &sample, err));
    BF_TRY(bf_pool_host(&c->pool, c->wide, &both, err));
    bf_flow_loss_args args = {
        .loss = loss, .grad = grad, .scale = 1.0 / ((double)c->n * classes), .x = c->x, .net = c->logits, .t = c->t};
    BF_TRY(bf_flow_op_params(c->pool.cmds, &c->flow, c->shape, p, BF_MEM_NONE, c->logits, c->t, true, err));
    BF_TRY(bf_flow_op_loss(c->pool.cmds, &c->flow, &cts, c->shape, &args, err));
    BF_TRY(bf_pool_run(&c->pool, loss, c->n, &host, err));
    for (uint64_t i = 0; i < c->n; i++) {
        sample[i / c->shape.dims] += (float)((double)host[i] / ((double)c->shape.dims * classes));
        total += (double)host[i] / ((double)c->n * classes);
    }
    check(c, "loss_per_sample_f64", sample, c->shape.batch, BF_VERIFY_FORWARD);
    check(c, "loss_f64", &(float){(float)total}, 1, BF_VERIFY_FORWARD);
    BF_TRY(bf_pool_run(&c->pool, grad, outputs, &grad_host, err));
    check_grad(c, grad_host, both);
    BF_TRY(bf_pool_run(&c->pool, p, c->wide, &host, err));
    check(c, "p_f64", host, c->wide, BF_VERIFY_FORWARD);
    args.grad = BF_MEM_NONE;
    BF_TRY(bf_flow_op_loss(c->pool.cmds, &c->flow, &recon, c->shape, &args, err));
    BF_TRY(bf_pool_run(&c->pool, loss, c->n, &host, err));
    for (uint64_t i = 0; i < c->n; i++) {
        nll += (double)host[i] / (double)c->n;
        raw -= (double)c->logits_host[i * (uint64_t)classes + (uint64_t)c->x_host[i]] / (double)c->n;
    }
    check(c, "recon_nll_f64", &(float){(float)nll}, 1, BF_VERIFY_FORWARD);
    check(c, "recon_official_f64", &(float){(float)raw}, 1, BF_VERIFY_FORWARD);
out:
    return st;
}

/* <case>.p_guided_w<w>_f64: probabilities of (1 + w) logits - w logits_uncond. */
static bf_status check_guided(loss_case *c, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *file = bf_verify_file(c->v);
    char name[NAME_SIZE];
    float *without, *mixed, *host;
    bf_mem net, p;
    uint64_t n;
    const size_t prefix = strlen(c->name);
    BF_TRY(bf_pool_load(&c->pool, name_of(c, "logits_uncond", name), &without, NULL, &n, err));
    BF_CHECK(n == c->wide, BF_FILE, "%s: wrong number of elements", name);
    BF_TRY(bf_pool_host(&c->pool, c->wide, &mixed, err));
    BF_TRY(bf_pool_new(&c->pool, c->wide, &p, err));
    for (size_t i = 0; i < bf_st_count(file); i++) {
        const bf_st_tensor *tensor = bf_st_at(file, i);
        double w;
        if (strncmp(tensor->name, c->name, prefix) != 0) continue;
        if (sscanf(tensor->name + prefix, ".p_guided_w%lf_f64", &w) != 1) continue;
        const bf_pool mark = c->pool;
        for (uint64_t k = 0; k < c->wide; k++)
            mixed[k] = (float)((1.0 + w) * (double)c->logits_host[k] - w * (double)without[k]);
        BF_TRY(put_logits(c, mixed, &net, err));
        BF_TRY(bf_flow_op_params(c->pool.cmds, &c->flow, c->shape, p, BF_MEM_NONE, net, c->t, true, err));
        BF_TRY(bf_pool_run(&c->pool, p, c->wide, &host, err));
        bf_verify_tensor(c->v, tensor->name, host, c->wide, BF_VERIFY_FORWARD);
        bf_pool_reset(&c->pool, &mark);
    }
out:
    return st;
}

static bf_status replay_case(bf_verify *v, const char *name, const json_t *o, bf_err *err)
{
    bf_status st = BF_OK;
    loss_case c = {.v = v, .name = name};
    bf_mem noise, mask;
    c.flow = flow_of(v, (int)json_integer_value(json_object_get(o, "n_classes")));
    BF_TRY(bf_flow_check(&c.flow, err));
    BF_TRY(bf_pool_open(v, &c.pool, err));
    BF_TRY(load_case(&c, json_is_true(json_object_get(o, "masked")), &noise, &mask, err));
    BF_TRY(check_theta(&c, noise, mask, err));
    BF_TRY(check_losses(&c, err));
    BF_TRY(check_guided(&c, err));
out:
    bf_pool_close(&c.pool);
    return st;
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

/* sample.* and inpaint.*: ancestral, with the likeliest class in place of a draw. */
typedef struct chem_run {
    bf_verify *v;
    const char *name;
    bf_flow flow;
    int steps;
    uint64_t batch, dims, wide;
    float *noise, *known, *start; /* known: classes, 0: not known; NULL: nothing is */
    float *theta, *p, *k, *latent, *final;
} chem_run;

/* z of known variables: theta is 1 for the class. */
static void reset(const chem_run *r, float *z)
{
    const uint64_t classes = (uint64_t)r->flow.classes;
    for (uint64_t i = 0; i < r->batch * r->dims; i++)
        for (uint64_t c = 0; r->known[i] != 0.0f && c < classes; c++)
            z[i * classes + c] = r->known[i] == (float)c ? 0.0f : -FAR;
}

/* bf_sampler_step_fn */
static bf_status on_call(void *user, bf_sampler *s, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    chem_run *r = user;
    const uint64_t at = (uint64_t)(i - 1), n = r->batch * r->dims;
    float *theta = r->theta + at * r->wide;
    (void)t;
    BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_INPUT, theta, err));
    for (uint64_t k = n; r->flow.classes == 2 && k-- > 0;) {
        const float x = theta[k];
        theta[2 * k] = 0.5f * (1.0f + x);
        theta[2 * k + 1] = 0.5f * (1.0f - x);
    }
    BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_PARAMS, r->p + at * r->wide, err));
    if (i > r->steps) goto out;
    BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_DRAWN, r->k + at * n, err));
    if (!r->known) goto out;
    BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_LATENT, r->latent, err));
    reset(r, r->latent);
    BF_TRY(bf_sampler_put(s, 0, r->latent, err));
out:
    return st;
}

static bf_status read_exactly(const chem_run *r, const char *part, uint64_t count, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    uint64_t n;
    snprintf(name, sizeof name, "%.128s.%s", r->name, part);
    BF_TRY(bf_verify_read(r->v, name, out, &n, err));
    BF_CHECK(n == count, BF_FILE, "%s: wrong number of elements", name);
out:
    return st;
}

static bf_status open_run(chem_run *r, const json_t *o, bf_err *err)
{
    bf_status st = BF_OK;
    char name[NAME_SIZE];
    const json_int_t batch = json_integer_value(json_object_get(o, "batch"));
    const json_int_t length = json_integer_value(json_object_get(o, "length"));
    const json_int_t steps = json_integer_value(json_object_get(o, "n_steps"));
    BF_TRY(bf_flow_check(&r->flow, err));
    BF_CHECK(batch >= 1 && batch < 65536 && length >= 1 && length < 65536 && steps >= 1 && steps <= MAX_STEPS &&
                 (double)batch * (double)length * (double)steps * r->flow.classes < 1e8,
             BF_FILE, "sampling: batch, length or steps out of range");
    r->batch = (uint64_t)batch;
    r->dims = (uint64_t)length;
    r->steps = (int)steps;
    r->wide = r->batch * r->dims * (uint64_t)r->flow.classes;
    BF_TRY(read_exactly(r, "noise", (uint64_t)steps * r->wide, &r->noise, err));
    snprintf(name, sizeof name, "%.128s.known", r->name);
    if (bf_st_find(bf_verify_file(r->v), name)) {
        BF_TRY(read_exactly(r, "known", r->batch * r->dims, &r->known, err));
        BF_NEW(r->start, r->wide);
        reset(r, r->start);
    }
    BF_NEW(r->theta, (uint64_t)(r->steps + 1) * r->wide);
    BF_NEW(r->p, (uint64_t)(r->steps + 1) * r->wide);
    BF_NEW(r->k, (uint64_t)r->steps * r->batch * r->dims);
    BF_NEW(r->latent, r->wide);
    BF_NEW(r->final, r->batch * r->dims);
out:
    return st;
}

static bf_status run_sampler(chem_run *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tanh_net net = {0};
    bf_params *params = NULL;
    bf_sampler *sampler = NULL;
    bf_group group = bf_group_alone(&r->flow, r->dims);
    const bf_hybrid hybrid = {1, &group};
    bf_sampler_options o = {.ctx = bf_verify_ctx(r->v),
                            .weights = BF_SET_VALUE,
                            .hybrid = &hybrid,
                            .ndim = 2,
                            .dims = {r->batch, r->dims},
                            .net = bf_tanh_build,
                            .user = &net,
                            .mode = BF_SAMPLER_ANCESTRAL,
                            .choose = BF_CHOOSE_MODE};
    const bf_sampler_draws draws = {.noise_y = r->noise, .start = r->start};
    const bf_sampler_run_options how = {.steps = r->steps, .draws = &draws, .on_step = on_call, .user = r};
    BF_TRY(bf_tanh_open(r->v, &r->flow, r->dims, 2.0, -1.0, &net, err));
    BF_TRY(bf_params_new(o.ctx, &params, err));
    o.params = params;
    BF_TRY(bf_sampler_new(&o, &sampler, NULL, err));
    BF_TRY(bf_tanh_fill(&net, params, err));
    BF_TRY(bf_sampler_run(sampler, &how, r->final, err));
out:
    bf_sampler_free(sampler);
    bf_params_free(params);
    bf_tanh_close(&net);
    return st;
}

static bf_status replay_run(bf_verify *v, const char *name, const json_t *o, bf_err *err)
{
    bf_status st = BF_OK;
    chem_run r = {.v = v, .name = name};
    const uint64_t calls = (uint64_t)json_integer_value(json_object_get(o, "n_steps")) + 1;
    char full[NAME_SIZE];
    snprintf(full, sizeof full, "%s.noise", name);
    if (!bf_st_find(bf_verify_file(v), full)) return BF_OK;
    r.flow = flow_of(v, (int)json_integer_value(json_object_get(o, "n_classes")));
    BF_TRY(open_run(&r, o, err));
    BF_TRY(run_sampler(&r, err));
    const struct {
        const char *part;
        const float *mine;
        uint64_t n;
    } all[] = {{"theta_f64", r.theta, calls * r.wide},
               {"p_f64", r.p, calls * r.wide},
               {"k", r.k, (calls - 1) * r.batch * r.dims},
               {"final", r.final, r.batch * r.dims}};
    for (size_t i = 0; i < BF_COUNT(all); i++) {
        snprintf(full, sizeof full, "%s.%s", name, all[i].part);
        bf_verify_tensor(v, full, all[i].mine, all[i].n, BF_VERIFY_FORWARD);
    }
out:
    free(r.noise);
    free(r.known);
    free(r.start);
    free(r.theta);
    free(r.p);
    free(r.k);
    free(r.latent);
    free(r.final);
    return st;
}

bf_status bf_verify_chembfn(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *file = bf_verify_file(v);
    json_t *cases = NULL, *sampling = NULL, *o;
    const char *name;
    BF_TRY(check_schedules(v, err));
    BF_TRY(bf_official_parse(bf_st_name(file), bf_st_meta_get(file, "cases"), &cases, err));
    json_object_foreach(cases, name, o) BF_TRY(replay_case(v, name, o, err));
    if (!bf_st_meta_get(file, "sampling")) goto out;
    BF_TRY(bf_official_parse(bf_st_name(file), bf_st_meta_get(file, "sampling"), &sampling, err));
    BF_TRY(replay_run(v, "sample", sampling, err));
    BF_TRY(replay_run(v, "inpaint", sampling, err));
out:
    json_decref(cases);
    json_decref(sampling);
    return st;
}
