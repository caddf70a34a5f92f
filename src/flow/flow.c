/* Settings of a flow, its schedule and times, and its nodes on the graph. */
#include "flow/flow.h"

#include <math.h>

#include "base/philox.h"
#include "flow/ops.h"

#define MAX_MIXTURE 32
#define MAX_BINS 1024
#define MAX_CLASSES 4096
#define MAX_ENTROPY_BETA 320.0 /* exp(-a quarter of it) is a float */

/* ---- settings --------------------------------------------------------------------------------------------------- */

bf_flow bf_flow_defaults(bf_flow_kind kind)
{
    bf_flow f = {
        .kind = kind, .min_sd = 1e-3, .max_sd = 10.0, .mixture = 1, .clip = 1.0, .min_t = 1e-6, .max_t = 1.0 - 1e-6};
    switch (kind) {
    case BF_FLOW_CONTINUOUS:
        f.min_variance = 1e-6;
        f.output = BF_OUT_DELTA;
        break;
    case BF_FLOW_DISCRETISED:
        f.min_variance = 1e-3;
        f.output = BF_OUT_NORMAL;
        f.bins = 16;
        break;
    case BF_FLOW_CATEGORICAL:
        f.classes = 2;
        f.max_sqrt_beta = 3.0;
        break;
    }
    return f;
}

static bf_status check_real(const bf_flow *f, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(f->min_variance >= 1e-12 && f->min_variance < 1.0, BF_USAGE,
             "flow: min_variance must be in [1e-12, 1), got %g", f->min_variance);
    BF_CHECK(f->min_loss_variance >= 0.0 && f->min_loss_variance < 1.0, BF_USAGE,
             "flow: min_loss_variance must be in [0, 1), got %g", f->min_loss_variance);
    BF_CHECK(f->output != BF_OUT_MIXTURE || (f->mixture >= 1 && f->mixture <= MAX_MIXTURE), BF_USAGE,
             "flow: a mixture has 1 to %d components, got %d", MAX_MIXTURE, f->mixture);
    BF_CHECK(f->min_sd != 0.0 && f->max_sd <= 1e3 && f->max_sd > f->min_sd, BF_USAGE,
             "flow: deviations are clamped to [min_sd, max_sd], got [%g, %g]", f->min_sd, f->max_sd);
    BF_CHECK(f->clip >= 0.0 && f->clip <= 1e30, BF_USAGE, "flow: a clip of %g", f->clip);
    BF_CHECK(f->min_t >= 1e-7 && f->min_t <= 0.1, BF_USAGE, "flow: min_t must be in [1e-7, 0.1], got %g", f->min_t);
    BF_CHECK(f->min_sd > 0.0 || f->kind == BF_FLOW_DISCRETISED, BF_USAGE,
             "flow: a negative min_sd stands for 1 / (5 bins), but %s data have no bins", bf_flow_kind_name(f->kind));
    if (f->kind == BF_FLOW_DISCRETISED) {
        BF_CHECK(f->bins >= 2 && f->bins <= MAX_BINS, BF_USAGE, "flow: bins must be 2 to %d, got %d", MAX_BINS,
                 f->bins);
        BF_CHECK(f->output != BF_OUT_DELTA, BF_USAGE,
                 "flow: discretised data need a normal or a mixture as output, a delta has no probabilities");
    }
out:
    return st;
}

bf_status bf_flow_check(const bf_flow *f, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK((unsigned)f->kind <= BF_FLOW_CATEGORICAL && (unsigned)f->output <= BF_OUT_MIXTURE &&
                 (unsigned)f->predict <= BF_PREDICT_DATA_SD,
             BF_USAGE, "flow: unknown kind %d, output %d or prediction %d", f->kind, f->output, f->predict);
    if (f->kind != BF_FLOW_CATEGORICAL) return check_real(f, err);
    BF_CHECK(f->classes >= 2 && f->classes <= MAX_CLASSES, BF_USAGE, "flow: classes must be 2 to %d, got %d",
             MAX_CLASSES, f->classes);
    BF_CHECK(f->max_sqrt_beta > 0.0 && f->max_sqrt_beta <= 100.0, BF_USAGE,
             "flow: max_sqrt_beta must be in (0, 100], got %g", f->max_sqrt_beta);
    BF_CHECK((unsigned)f->schedule <= BF_SCHEDULE_ENTROPY, BF_USAGE, "flow: unknown schedule %d", f->schedule);
    BF_CHECK(
        f->schedule != BF_SCHEDULE_ENTROPY || f->classes * f->max_sqrt_beta * f->max_sqrt_beta <= MAX_ENTROPY_BETA,
        BF_USAGE,
        "flow: classes * max_sqrt_beta^2 is at most %g with the entropy schedule (20.4 is usual), and here it is %g",
        MAX_ENTROPY_BETA, f->classes * f->max_sqrt_beta * f->max_sqrt_beta);
    BF_CHECK(f->max_t >= 0.5 && f->max_t <= 1.0, BF_USAGE, "flow: max_t must be in [0.5, 1], got %g", f->max_t);
    BF_CHECK(f->min_prob >= 0.0 && f->min_prob < 1.0, BF_USAGE, "flow: min_prob must be in [0, 1), got %g",
             f->min_prob);
out:
    return st;
}

const char *bf_flow_kind_name(bf_flow_kind kind)
{
    static const char *const names[] = {"continuous", "discretised", "categorical"};
    return names[kind];
}

int bf_flow_inputs(const bf_flow *f)
{
    return f->kind == BF_FLOW_CATEGORICAL && f->classes > 2 ? f->classes : 1;
}

int bf_flow_outputs(const bf_flow *f)
{
    if (f->kind == BF_FLOW_CATEGORICAL) return f->classes == 2 ? 1 : f->classes;
    switch (f->output) {
    case BF_OUT_DELTA: return 1;
    case BF_OUT_NORMAL: return 2;
    default: return 3 * f->mixture;
    }
}

/* 1 - q of the entropy schedule. */
static double entropy_span(const bf_flow *f)
{
    return -expm1(-0.25 * f->classes * f->max_sqrt_beta * f->max_sqrt_beta);
}

double bf_flow_beta(const bf_flow *f, double t)
{
    if (f->schedule == BF_SCHEDULE_ENTROPY) return -4.0 / f->classes * log1p(-t * entropy_span(f));
    return f->max_sqrt_beta * f->max_sqrt_beta * t * t;
}

double bf_flow_beta_rate(const bf_flow *f, double t)
{
    const double span = entropy_span(f);
    if (f->schedule == BF_SCHEDULE_ENTROPY) return 4.0 / f->classes * span / (1.0 - t * span);
    return 2.0 * f->max_sqrt_beta * f->max_sqrt_beta * t;
}

double bf_flow_alpha(const bf_flow *f, double i, double n)
{
    if (f->kind == BF_FLOW_CATEGORICAL && f->schedule == BF_SCHEDULE_ENTROPY)
        return bf_flow_beta(f, i / n) - bf_flow_beta(f, (i - 1.0) / n);
    if (f->kind == BF_FLOW_CATEGORICAL) {
        const double unit = f->max_sqrt_beta / n;
        return unit * unit * (2.0 * i - 1.0);
    }
    return pow(f->min_variance, -i / n) * (1.0 - pow(f->min_variance, 1.0 / n));
}

/* ---- times ------------------------------------------------------------------------------------------------------ */

void bf_flow_times(float *t, int count, const bf_flow_loss_spec *spec, const bf_flow_time_key *key)
{
    const double offset = bf_philox_uniform(key->seed, 1, 0, key->step - key->repeat, BF_STREAM_TIME) +
                          (double)key->repeat / (double)BF_MAX(key->repeats, 1u);
    for (int b = 0; b < count; b++) {
        const uint32_t sample = key->first + (uint32_t)b;
        double u = 1.0;
        if (key->low_discrepancy) {
            u = offset + (double)sample / (double)key->total;
            u -= floor(u);
        } else {
            u = bf_philox_uniform(key->seed, 0, sample, key->step, BF_STREAM_TIME);
        }
        if (spec->kind == BF_LOSS_RECON) u = 1.0;
        if (spec->kind == BF_LOSS_N_STEP && !spec->any_time) u = floor(u * spec->steps) / spec->steps;
        /* rounding to float must not reach 1 */
        t[b] = spec->kind == BF_LOSS_RECON ? 1.0f : fminf((float)u, 0x1.fffffep-1f);
    }
}

/* ---- graph ------------------------------------------------------------------------------------------------------ */

static const bf_flow_part alone = {.mask = BF_NONE, .weight = BF_NONE};

/* What every node of this file is about. */
typedef struct flow_attr {
    bf_flow flow;
    bf_flow_loss_spec spec;
    bf_flow_shape shape;
    uint32_t streams; /* added to the number of a stream */
    double scale;     /* of the gradient */
} flow_attr;

enum { SAMPLE_X, SAMPLE_T, SAMPLE_NOISE, SAMPLE_MASK, SAMPLE_INPUTS };

static uint64_t noise_bytes(const flow_attr *a)
{
    return a->shape.batch * a->shape.dims * (uint64_t)bf_flow_noise_width(&a->flow) * sizeof(float);
}

static uint64_t sample_workspace(const bf_graph *g, const bf_node *n)
{
    (void)g;
    return n->in[SAMPLE_NOISE] == BF_NONE ? noise_bytes(n->attr) : 0;
}

static bf_status sample_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    const flow_attr *a = n->attr;
    const int width = bf_flow_noise_width(&a->flow);
    bf_mem noise = bf_graph_in(g, n, SAMPLE_NOISE);
    if (bf_mem_is_none(noise)) {
        noise = bf_graph_ws(g, n);
        BF_TRY(bf_random(c, BF_RANDOM_NORMAL, noise, BF_STREAM_FLOW + a->streams, bf_graph_step(g), a->shape.batch,
                         a->shape.dims * (uint64_t)width, err));
    }
    BF_TRY(bf_flow_op_sample(c, &a->flow, a->shape, bf_graph_out(g, n, 0), bf_graph_in(g, n, SAMPLE_X), noise,
                             bf_graph_in(g, n, SAMPLE_T), err));
    if (n->in[SAMPLE_MASK] != BF_NONE) {
        BF_TRY(bf_group_op_mask(c, a->shape, width, bf_graph_out(g, n, 0), bf_graph_in(g, n, SAMPLE_MASK), BF_MEM_NONE,
                                err));
    }
out:
    return st;
}

static const bf_node_def sample_def = {
    .name = "flow_sample", .attr_size = sizeof(flow_attr), .workspace = sample_workspace, .emit = sample_emit};

static bf_status input_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    const flow_attr *a = n->attr;
    return bf_flow_op_input(c, &a->flow, a->shape, bf_graph_out(g, n, 0), bf_graph_in(g, n, 0), err);
}

static const bf_node_def input_def = {.name = "flow_input", .attr_size = sizeof(flow_attr), .emit = input_emit};

static bool has_size(bf_graph *g, const char *what, bf_tid t, uint64_t numel)
{
    if (t < 0 || bf_graph_numel(g, t) == numel) return true;
    bf_graph_fail(g, BF_USAGE, "flow: %s has %llu elements, needs %llu", what, (unsigned long long)bf_graph_numel(g, t),
                  (unsigned long long)numel);
    return false;
}

/* Fills `a` from the data tensor and checks what else is given (BF_NONE: not given) against it. */
static bool describe(bf_graph *g, const bf_flow *f, const bf_flow_part *part, bf_tid data, bf_tid t, flow_attr *a)
{
    bf_err err;
    if (bf_graph_status(g, &err) != BF_OK) return false;
    if (bf_flow_check(f, &err) != BF_OK) {
        bf_graph_fail(g, BF_USAGE, "%s", err.message);
        return false;
    }
    if (data < 0 || t < 0 || bf_graph_ndim(g, data) < 1 || bf_graph_numel(g, t) != bf_graph_dim(g, data, 0)) {
        bf_graph_fail(g, BF_USAGE, "flow: data need a batch dimension and one time per sample");
        return false;
    }
    *a = (flow_attr){.flow = *f, .streams = part->group * (uint32_t)BF_STREAM_GROUP, .scale = part->scale};
    a->shape.batch = bf_graph_dim(g, data, 0);
    a->shape.dims = bf_graph_numel(g, data) / a->shape.batch;
    return has_size(g, "the mask", part->mask, a->shape.batch * a->shape.dims) &&
           has_size(g, "the weight", part->weight, a->shape.batch);
}

/* A temp with the data's dims, and [K] behind them when `width` > 1. */
static bf_tid temp_wide(bf_graph *g, bf_tid data, int width)
{
    uint64_t dims[BF_MAX_DIMS];
    int ndim = bf_graph_ndim(g, data);
    if (width > 1 && ndim == BF_MAX_DIMS) {
        return bf_graph_fail(g, BF_USAGE, "flow: class data may have at most %d dimensions", BF_MAX_DIMS - 1);
    }
    for (int i = 0; i < ndim; i++) dims[i] = bf_graph_dim(g, data, i);
    if (width > 1) dims[ndim++] = (uint64_t)width;
    return bf_graph_temp(g, ndim, dims);
}

bf_flow_state bf_flow_part_input(bf_graph *g, const bf_flow *f, const bf_flow_part *part, bf_tid data, bf_tid t,
                                 bf_tid noise)
{
    bf_flow_state s = {BF_NONE, BF_NONE};
    flow_attr a;
    if (!describe(g, f, part, data, t, &a)) return s;
    if (!has_size(g, "flow noise", noise, noise_bytes(&a) / sizeof(float))) return s;
    s.param = temp_wide(g, data, bf_flow_noise_width(f));
    s.input = s.param;
    bf_graph_node(g, &sample_def, &a, SAMPLE_INPUTS, (bf_tid[]){data, t, noise, part->mask}, 1, &s.param, NULL);
    if (f->kind == BF_FLOW_CATEGORICAL) {
        s.input = temp_wide(g, data, bf_flow_inputs(f));
        bf_graph_node(g, &input_def, &a, 1, &s.param, 1, &s.input, NULL);
    }
    return s;
}

bf_flow_state bf_flow_input(bf_graph *g, const bf_flow *f, bf_tid data, bf_tid t, bf_tid noise)
{
    return bf_flow_part_input(g, f, &alone, data, t, noise);
}

enum { LOSS_X, LOSS_T, LOSS_MU, LOSS_NET, LOSS_NOISE, LOSS_MASK, LOSS_WEIGHT, LOSS_INPUTS };
enum { LOSS_SAMPLE, LOSS_ELEMENT, LOSS_GRAD };

/* The workspace of a loss node, in this order: Monte-Carlo noise unless it is an input, planes of the loss, fold. */
typedef struct loss_space {
    uint64_t noise, planes, fold;
} loss_space;

static loss_space loss_layout(const bf_graph *g, const bf_node *n)
{
    const flow_attr *a = n->attr;
    loss_space s = {0, 0, 0};
    const uint64_t align = bf_ctx_align(bf_graph_ctx(g));
    const bool want_grad = n->out[LOSS_GRAD] != BF_NONE;
    if (n->in[LOSS_NOISE] == BF_NONE) s.noise = noise_bytes(a) * (uint64_t)bf_flow_loss_draws(&a->flow, &a->spec);
    s.noise = bf_round_up(s.noise, align);
    s.planes = bf_round_up(bf_flow_loss_workspace(&a->flow, &a->spec, a->shape, want_grad), align);
    s.fold = bf_sum_mid_workspace(bf_graph_ctx(g), a->shape.batch, a->shape.dims, 1);
    return s;
}

static uint64_t loss_workspace(const bf_graph *g, const bf_node *n)
{
    const loss_space s = loss_layout(g, n);
    return s.noise + s.planes + s.fold;
}

static bf_status mask_losses(const bf_graph *g, const bf_node *n, bf_cmds *c, const bf_flow_loss_args *args,
                             bf_err *err)
{
    bf_status st = BF_OK;
    const flow_attr *a = n->attr;
    const bf_mem mask = bf_graph_in(g, n, LOSS_MASK), weight = bf_graph_in(g, n, LOSS_WEIGHT);
    if (!bf_mem_is_none(mask)) BF_TRY(bf_group_op_mask(c, a->shape, 1, args->loss, mask, BF_MEM_NONE, err));
    if ((!bf_mem_is_none(mask) || !bf_mem_is_none(weight)) && !bf_mem_is_none(args->grad))
        BF_TRY(bf_group_op_mask(c, a->shape, bf_flow_outputs(&a->flow), args->grad, mask, weight, err));
out:
    return st;
}

static bf_status loss_emit(const bf_graph *g, const bf_node *n, bf_cmds *c, bf_err *err)
{
    bf_status st = BF_OK;
    const flow_attr *a = n->attr;
    const loss_space s = loss_layout(g, n);
    const bf_mem ws = bf_graph_ws(g, n);
    const uint64_t draws = (uint64_t)bf_flow_loss_draws(&a->flow, &a->spec);
    const uint64_t width = a->shape.dims * (uint64_t)bf_flow_noise_width(&a->flow);
    bf_flow_loss_args args = {.loss = bf_graph_out(g, n, LOSS_ELEMENT),
                              .x = bf_graph_in(g, n, LOSS_X),
                              .mu = bf_graph_in(g, n, LOSS_MU),
                              .net = bf_graph_in(g, n, LOSS_NET),
                              .t = bf_graph_in(g, n, LOSS_T),
                              .noise = bf_graph_in(g, n, LOSS_NOISE),
                              .draw_pitch = a->shape.batch * width,
                              .sample_pitch = width,
                              .scale = a->scale};
    if (n->out[LOSS_GRAD] != BF_NONE) args.grad = bf_graph_out(g, n, LOSS_GRAD);
    if (s.planes > 0) args.ws = bf_mem_at(ws, s.noise);
    if (s.noise > 0) {
        args.noise = ws;
        args.draw_pitch = width;
        args.sample_pitch = draws * width;
        BF_TRY(bf_random(c, BF_RANDOM_NORMAL, ws, BF_STREAM_SENDER + a->streams, bf_graph_step(g), a->shape.batch,
                         draws * width, err));
    }
    BF_TRY(bf_flow_op_loss(c, &a->flow, &a->spec, a->shape, &args, err));
    BF_TRY(mask_losses(g, n, c, &args, err));
    BF_TRY(bf_sum_mid(c, bf_graph_out(g, n, LOSS_SAMPLE), false, (float)(1.0 / (double)a->shape.dims), args.loss,
                      a->shape.batch, a->shape.dims, 1, s.fold > 0 ? bf_mem_at(ws, s.noise + s.planes) : BF_MEM_NONE,
                      err));
out:
    return st;
}

static const bf_node_def loss_def = {
    .name = "flow_loss", .attr_size = sizeof(flow_attr), .workspace = loss_workspace, .emit = loss_emit};

bf_flow_losses bf_flow_part_loss(bf_graph *g, const bf_flow *f, const bf_flow_part *part, const bf_flow_loss_spec *spec,
                                 bf_flow_state state, bf_tid data, bf_tid t, bf_tid net_out, bf_tid mc_noise,
                                 bool want_grad)
{
    bf_flow_losses out = {BF_NONE, BF_NONE, BF_NONE};
    flow_attr a;
    uint64_t dims[BF_MAX_DIMS];
    if (!describe(g, f, part, data, t, &a) || net_out < 0) return out;
    a.spec = *spec;
    if (spec->kind == BF_LOSS_N_STEP && spec->steps < 1) {
        bf_graph_fail(g, BF_USAGE, "flow: the n-step loss needs a number of steps, got %d", spec->steps);
        return out;
    }
    const int draws = bf_flow_loss_draws(f, spec);
    if (!has_size(g, "the network's output", net_out, a.shape.batch * a.shape.dims * (uint64_t)bf_flow_outputs(f)) ||
        !has_size(g, "Monte-Carlo noise", mc_noise, noise_bytes(&a) / sizeof(float) * (uint64_t)draws)) {
        return out;
    }
    dims[0] = a.shape.batch;
    dims[1] = a.shape.dims;
    out.sample = bf_graph_temp(g, 1, dims);
    out.element = bf_graph_temp(g, 2, dims);
    if (want_grad) {
        const int ndim = bf_graph_ndim(g, net_out);
        for (int i = 0; i < ndim; i++) dims[i] = bf_graph_dim(g, net_out, i);
        out.grad = bf_graph_temp(g, ndim, dims);
    }
    bf_graph_node(g, &loss_def, &a, LOSS_INPUTS,
                  (bf_tid[]){data, t, f->kind == BF_FLOW_CATEGORICAL ? BF_NONE : state.param, net_out, mc_noise,
                             part->mask, part->weight},
                  3, (bf_tid[]){out.sample, out.element, out.grad}, NULL);
    return out;
}

bf_flow_losses bf_flow_loss(bf_graph *g, const bf_flow *f, const bf_flow_loss_spec *spec, bf_flow_state state,
                            bf_tid data, bf_tid t, bf_tid net_out, bf_tid mc_noise, bool want_grad)
{
    return bf_flow_part_loss(g, f, &alone, spec, state, data, t, net_out, mc_noise, want_grad);
}
