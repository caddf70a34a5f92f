/* Replay of the tables of heads and quantisation: golden README, section 6. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/verify_flow.h"

/* A head over `n` independent variables: network numbers that are parameters of the data themselves. */
typedef struct table {
    bf_verify *v;
    bf_pool pool;
    bf_flow flow;
    bf_flow_shape shape;
    bf_mem net, x, mu, t; /* mu is not read: the head predicts data */
} table;

static const char *const tail_words[] = {"clip", "noclip"};

static bool has(const table *s, const char *name)
{
    return bf_st_find(bf_verify_file(s->v), name) != NULL;
}

/* Index and centre of the bins of q.x and of the 256 byte values. */
static bf_status check_quantiser(table *s, const char *what, const float *x, uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = s->pool;
    const bf_st *file = bf_verify_file(s->v);
    char format[32], name[64];
    bf_mem in, index, centre;
    BF_TRY(bf_pool_put(&s->pool, x, n, &in, err));
    BF_TRY(bf_pool_new(&s->pool, n, &index, err));
    BF_TRY(bf_pool_new(&s->pool, n, &centre, err));
    snprintf(format, sizeof format, "%s.idx", what);
    for (size_t i = 0; i < bf_st_count(file); i++) {
        const char *tensor = bf_st_at(file, i)->name;
        const size_t stem = strlen(format);
        const bf_pool inner = s->pool;
        if (strncmp(tensor, format, stem) != 0) continue;
        const int bins = atoi(tensor + stem);
        BF_CHECK(bins >= 2, BF_FILE, "%s: no number of bins in the name", tensor);
        BF_TRY(bf_flow_op_quantise(s->pool.cmds, bins, (bf_flow_shape){1, n}, index, centre, in, err));
        BF_TRY(bf_pool_check(&s->pool, tensor, index, n, BF_VERIFY_FORWARD, NULL, err));
        snprintf(name, sizeof name, "%s.val%d", what, bins);
        BF_TRY(bf_pool_check(&s->pool, name, centre, n, BF_VERIFY_FORWARD, NULL, err));
        bf_pool_reset(&s->pool, &inner);
    }
out:
    bf_pool_reset(&s->pool, &mark);
    return st;
}

static bf_status check_quantisers(table *s, bf_err *err)
{
    bf_status st = BF_OK;
    float *x, bytes[256];
    uint64_t n = 0;
    for (int p = 0; p < 256; p++) bytes[p] = (float)p / 255.0f * 2.0f - 1.0f;
    BF_TRY(check_quantiser(s, "pixel", bytes, 256, err));
    if (has(s, "q.x")) {
        BF_TRY(bf_pool_load(&s->pool, "q.x", &x, NULL, &n, err));
        BF_TRY(check_quantiser(s, "q", x, n, err));
    }
out:
    return st;
}

/* Numbers of `count` columns side by side on the device. */
static bf_status interleave(table *s, float *const *columns, int count, uint64_t n, bf_mem *out, bf_err *err)
{
    bf_status st = BF_OK;
    float *both = NULL;
    BF_NEW(both, n * (uint64_t)count);
    for (uint64_t i = 0; i < n; i++) {
        for (int c = 0; c < count; c++) both[i * (uint64_t)count + (uint64_t)c] = columns[c][i];
    }
    BF_TRY(bf_pool_put(&s->pool, both, n * (uint64_t)count, out, err));
out:
    free(both);
    return st;
}

/* Inputs of a head: x, zeros for mu and t. */
static bf_status open_head(table *s, const char *x_name, uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    float *zeros = NULL;
    uint64_t count = 0;
    s->shape = (bf_flow_shape){1, n};
    BF_TRY(bf_pool_load(&s->pool, x_name, NULL, &s->x, &count, err));
    BF_CHECK(count == n, BF_FILE, "%s: wrong number of elements", x_name);
    BF_NEW(zeros, n);
    BF_TRY(bf_pool_put(&s->pool, zeros, n, &s->mu, err));
    BF_TRY(bf_pool_put(&s->pool, zeros, 1, &s->t, err));
out:
    free(zeros);
    return st;
}

/* The clamped deviations of a normal head. */
static bf_status check_sigma(table *s, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t n = s->shape.dims;
    bf_mem params;
    float *host, *sigma = NULL;
    if (!has(s, name)) return BF_OK;
    BF_TRY(bf_pool_new(&s->pool, 2 * n, &params, err));
    BF_TRY(bf_flow_op_params(s->pool.cmds, &s->flow, s->shape, params, s->mu, s->net, s->t, true, err));
    BF_TRY(bf_pool_run(&s->pool, params, 2 * n, &host, err));
    BF_NEW(sigma, n);
    for (uint64_t i = 0; i < n; i++) sigma[i] = host[2 * i + 1];
    bf_verify_tensor(s->v, name, sigma, n, BF_VERIFY_FORWARD);
out:
    free(sigma);
    return st;
}

/* Probability of the data's bin; its logarithm, off by up to 2e-7 / p where it is one of a difference of CDF values. */
static bf_status check_own_bin(table *s, const char *stem, const float *probs, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128];
    const uint64_t n = s->shape.dims, nb = (uint64_t)s->flow.bins;
    const bf_flow_loss_spec recon = {.kind = BF_LOSS_RECON};
    bf_mem a, b;
    float *index, *own = NULL, *loss, *stored;
    double *tolerance = NULL;
    uint64_t count = 0;
    BF_TRY(bf_pool_new(&s->pool, n, &a, err));
    BF_TRY(bf_pool_new(&s->pool, n, &b, err));
    BF_TRY(bf_flow_op_quantise(s->pool.cmds, s->flow.bins, s->shape, a, b, s->x, err));
    BF_TRY(bf_pool_run(&s->pool, a, n, &index, err));
    BF_NEW(own, n);
    for (uint64_t i = 0; i < n; i++) own[i] = probs[i * nb + (uint64_t)index[i]];
    bf_golden_name(name, stem, "prob_x");
    if (has(s, name)) bf_verify_tensor(s->v, name, own, n, BF_VERIFY_FORWARD);
    const bf_flow_loss_args args = {.loss = b, .x = s->x, .mu = s->mu, .net = s->net, .t = s->t};
    BF_TRY(bf_flow_op_loss(s->pool.cmds, &s->flow, &recon, s->shape, &args, err));
    BF_TRY(bf_pool_run(&s->pool, b, n, &loss, err));
    bf_golden_name(name, stem, "log_prob_x");
    BF_TRY(bf_pool_load(&s->pool, name, &stored, NULL, &count, err));
    BF_CHECK(count == n, BF_FILE, "%s: wrong number of elements", name);
    BF_NEW(tolerance, n);
    bf_verify_tolerances(s->v, name, stored, n, BF_VERIFY_FORWARD, tolerance);
    for (uint64_t i = 0; i < n; i++) {
        loss[i] = -loss[i];
        if (own[i] >= 1e-5f) tolerance[i] += 2e-7 / own[i];
    }
    bf_verify_array(s->v, name, loss, stored, tolerance, n);
out:
    free(own);
    free(tolerance);
    return st;
}

/* STEM.probs, .mean, .sigma, .prob_x, .log_prob_x of a discretised head. */
static bf_status check_binned(table *s, const char *stem, bf_err *err)
{
    bf_status st = BF_OK;
    char name[128];
    const bf_pool mark = s->pool;
    const uint64_t n = s->shape.dims, nb = (uint64_t)s->flow.bins;
    bf_mem p, mean;
    float *probs;
    BF_TRY(bf_flow_check(&s->flow, err));
    BF_TRY(bf_pool_new(&s->pool, n * nb, &p, err));
    BF_TRY(bf_pool_new(&s->pool, n, &mean, err));
    BF_TRY(bf_flow_op_bins(s->pool.cmds, &s->flow, s->shape, p, s->mu, s->net, s->t, err));
    BF_TRY(bf_pool_run(&s->pool, p, n * nb, &probs, err));
    bf_golden_name(name, stem, "probs");
    if (has(s, name)) bf_verify_tensor(s->v, name, probs, n * nb, BF_VERIFY_FORWARD);
    BF_TRY(
        bf_flow_op_value(s->pool.cmds, &s->flow, s->shape, BF_VALUE_MEAN, mean, s->mu, s->net, s->t, BF_MEM_NONE, err));
    bf_golden_name(name, stem, "mean");
    BF_TRY(bf_pool_check(&s->pool, name, mean, n, BF_VERIFY_FORWARD, NULL, err));
    bf_golden_name(name, stem, "sigma");
    BF_TRY(check_sigma(s, name, err));
    BF_TRY(check_own_bin(s, stem, probs, err));
out:
    bf_pool_reset(&s->pool, &mark);
    return st;
}

/* Every STEM.b<bins>.{clip,noclip}[.SUFFIX] that has a mean. */
static bf_status each_binning(table *s, const char *stem, const char *suffix, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *file = bf_verify_file(s->v);
    char want[128], found[64];
    for (size_t i = 0; i < bf_st_count(file); i++) {
        for (int w = 0; w < 2; w++) {
            int bins = 0;
            snprintf(found, sizeof found, "%s.b%%d.", stem);
            if (sscanf(bf_st_at(file, i)->name, found, &bins) != 1) continue;
            snprintf(found, sizeof found, "%s.b%d.%s%s", stem, bins, tail_words[w], suffix);
            if (strcmp(bf_st_at(file, i)->name, bf_golden_name(want, found, "mean")) != 0) continue;
            s->flow.bins = bins;
            s->flow.truncated = w == 1;
            BF_TRY(check_binned(s, found, err));
        }
    }
out:
    return st;
}

/* ln density and mean of the head as one of continuous data. */
static bf_status check_continuous(table *s, const char *mean_name, const char *density_name, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mem y;
    s->flow.kind = BF_FLOW_CONTINUOUS;
    BF_TRY(bf_pool_new(&s->pool, s->shape.dims, &y, err));
    BF_TRY(bf_flow_op_value(s->pool.cmds, &s->flow, s->shape, BF_VALUE_MEAN, y, s->mu, s->net, s->t, BF_MEM_NONE, err));
    BF_TRY(bf_pool_check(&s->pool, mean_name, y, s->shape.dims, BF_VERIFY_FORWARD, NULL, err));
    BF_TRY(bf_flow_op_log_density(s->pool.cmds, &s->flow, s->shape, y, s->x, s->mu, s->net, s->t, err));
    BF_TRY(bf_pool_check(&s->pool, density_name, y, s->shape.dims, BF_VERIFY_FORWARD, NULL, err));
out:
    return st;
}

static bf_status check_normals(table *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = s->pool;
    float *columns[2];
    uint64_t n = 0, devs = 0;
    if (!has(s, "dn.mu")) return BF_OK;
    BF_TRY(bf_pool_load(&s->pool, "dn.mu", &columns[0], NULL, &n, err));
    BF_TRY(bf_pool_load(&s->pool, "dn.raw_dev", &columns[1], NULL, &devs, err));
    BF_CHECK(devs == n, BF_FILE, "dn.raw_dev: wrong number of elements");
    BF_TRY(interleave(s, columns, 2, n, &s->net, err));
    BF_TRY(open_head(s, "dn.x", n, err));
    s->flow = bf_flow_defaults(BF_FLOW_DISCRETISED);
    s->flow.predict = BF_PREDICT_DATA;
    BF_TRY(each_binning(s, "dn", ".logdev", err));
    s->flow.predict = BF_PREDICT_DATA_SD;
    BF_TRY(each_binning(s, "dn", ".dev", err));
    s->flow.predict = BF_PREDICT_DATA;
    BF_TRY(check_sigma(s, "normal.sigma", err));
    if (has(s, "normal.mean")) BF_TRY(check_continuous(s, "normal.mean", "normal.log_prob_x", err));
out:
    bf_pool_reset(&s->pool, &mark);
    return st;
}

static bf_status check_mixtures(table *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_pool mark = s->pool;
    const bf_st_tensor *params = bf_st_find(bf_verify_file(s->v), "gmm.params");
    if (params == NULL) return BF_OK;
    BF_CHECK(params->ndim == 2 && params->dims[1] >= 3 && params->dims[1] % 3 == 0 && params->dims[1] < 1000, BF_FILE,
             "gmm.params: wrong shape");
    s->flow = bf_flow_defaults(BF_FLOW_DISCRETISED);
    s->flow.output = BF_OUT_MIXTURE;
    s->flow.predict = BF_PREDICT_DATA;
    s->flow.mixture = (int)(params->dims[1] / 3);
    BF_TRY(bf_pool_load(&s->pool, "gmm.params", NULL, &s->net, NULL, err));
    BF_TRY(open_head(s, "gmm.x", params->dims[0], err));
    BF_TRY(each_binning(s, "gmm", "", err));
    if (has(s, "gmm.cts_mean")) BF_TRY(check_continuous(s, "gmm.cts_mean", "gmm.cts_log_prob_x", err));
out:
    bf_pool_reset(&s->pool, &mark);
    return st;
}

/* npc.p<P>.mv<v>: noise to data around the smallest time. */
static bf_status check_noise_to_data(table *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st *file = bf_verify_file(s->v);
    bf_mem mu, t;
    uint64_t batch = 0, all = 0, numbers = 0;
    char net_name[64];
    if (!has(s, "npc.t")) return BF_OK;
    BF_TRY(bf_pool_load(&s->pool, "npc.t", NULL, &t, &batch, err));
    BF_TRY(bf_pool_load(&s->pool, "npc.mu_in", NULL, &mu, &all, err));
    BF_CHECK(batch > 0 && all % batch == 0, BF_FILE, "npc.mu_in: wrong number of elements");
    for (size_t i = 0; i < bf_st_count(file); i++) {
        const char *name = bf_st_at(file, i)->name;
        const bf_pool mark = s->pool;
        int width = 0;
        double v = 0.0;
        bf_mem net, params;
        if (sscanf(name, "npc.p%d.mv%lf", &width, &v) != 2) continue;
        s->flow = bf_flow_defaults(BF_FLOW_CONTINUOUS);
        s->flow.min_variance = v;
        s->flow.output = width == 1 ? BF_OUT_DELTA : width == 2 ? BF_OUT_NORMAL : BF_OUT_MIXTURE;
        s->flow.mixture = width / 3;
        BF_TRY(bf_flow_check(&s->flow, err));
        snprintf(net_name, sizeof net_name, "npc.p%d.net_out", width);
        BF_TRY(bf_pool_load(&s->pool, net_name, NULL, &net, &numbers, err));
        BF_CHECK(numbers == all * (uint64_t)bf_flow_outputs(&s->flow), BF_FILE, "%s: wrong number of elements",
                 net_name);
        BF_TRY(bf_pool_new(&s->pool, numbers, &params, err));
        BF_TRY(bf_flow_op_params(s->pool.cmds, &s->flow, (bf_flow_shape){batch, all / batch}, params, mu, net, t, false,
                                 err));
        BF_TRY(bf_pool_check(&s->pool, name, params, numbers, BF_VERIFY_FORWARD, NULL, err));
        bf_pool_reset(&s->pool, &mark);
    }
out:
    return st;
}

bf_status bf_verify_tables(bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;
    table s = {.v = v};
    BF_TRY(bf_pool_open(v, &s.pool, err));
    BF_TRY(check_quantisers(&s, err));
    BF_TRY(check_normals(&s, err));
    BF_TRY(check_mixtures(&s, err));
    BF_TRY(check_noise_to_data(&s, err));
out:
    bf_pool_close(&s.pool);
    return st;
}
