#include "flow/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/philox.h"
#include "base/size.h"
#include "flow/ops.h"

/* The sampler's own buffers of a group; the network's input, output and time are tensors of the graph. */
enum { BUF_STATE, BUF_VALUE, BUF_MEAN, BUF_MODE, BUF_PARAMS, BUF_Y, BUF_NOISE, BUF_NOISE_Y, BUF_GIVEN, BUFS };

typedef struct part {
    bf_flow flow;
    bf_flow_shape shape;
    uint32_t streams; /* added to the number of a stream */
    bf_tid input, out;
    bf_buf *buf[BUFS];
    bf_mem mem[BUFS];
    double rho; /* precision of mu so far */
} part;

struct bf_sampler {
    bf_ctx *ctx;
    bf_sampler_mode mode;
    bool given;
    uint64_t items, dims; /* N, and variables of all groups */
    int groups;
    part *part;
    bf_graph *graph;
    bf_tid time;
    bf_buf *schedule_buf;
    bf_mem schedule;                  /* what differs between steps: a record per group, then t_i [N] */
    bf_cmds *prior;                   /* the weights as the kernels want them; the state before anything was said */
    bf_cmds *predict;                 /* network input, network */
    bf_cmds *random;                  /* the numbers of a step, from Philox */
    bf_cmds *advance;                 /* value, state at the step's end */
    bf_cmds *params, *mode_of, *mean; /* what the network says about the data: when somebody asks */
    float *staging[2];                /* of time and schedule, for step i in staging[i % 2] */
    float *rows;                      /* [N, D of one group] on the host */
};

/* ---- modes ------------------------------------------------------------------------------------------------------- */

/* `probs`: of classes, p itself is what the state is drawn around. */
typedef struct mode_def {
    const char *name;
    bf_flow_value value;
    bool probs;
    bf_status (*advance)(bf_sampler *s, part *p, bf_err *err);
} mode_def;

static bf_status advance_by_message(bf_sampler *s, part *p, bf_err *err);
static bf_status advance_by_flow(bf_sampler *s, part *p, bf_err *err);

static const mode_def modes[BF_SAMPLER_MODES] = {
    [BF_SAMPLER_ANCESTRAL] = {"ancestral", BF_VALUE_DRAW, false, advance_by_message},
    [BF_SAMPLER_END_BACK] = {"end_back", BF_VALUE_DRAW, false, advance_by_flow},
    [BF_SAMPLER_END_BACK_PMF] = {"end_back_pmf", BF_VALUE_MEAN, true, advance_by_flow},
    [BF_SAMPLER_END_BACK_MODE] = {"end_back_mode", BF_VALUE_MODE, false, advance_by_flow},
};

const char *bf_sampler_mode_name(bf_sampler_mode mode)
{
    return modes[mode].name;
}

/* The draw of a step takes two numbers per variable (component, then normal), one, or none. */
static bool picks_component(const bf_flow *f)
{
    return f->kind == BF_FLOW_CONTINUOUS && f->output == BF_OUT_MIXTURE;
}

static bool draws_nothing(const bf_flow *f)
{
    return f->kind == BF_FLOW_CONTINUOUS && f->output == BF_OUT_DELTA;
}

static bool draws_normal(const bf_flow *f)
{
    if (f->kind == BF_FLOW_CONTINUOUS) return true;
    return f->kind == BF_FLOW_DISCRETISED && f->output == BF_OUT_NORMAL && !f->truncated;
}

/* The state is drawn around probabilities of classes. */
static bool says_probs(const bf_sampler *s, const part *p)
{
    return modes[s->mode].probs && p->flow.kind == BF_FLOW_CATEGORICAL;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static uint64_t count_of(const bf_sampler *s, const part *p, int buf)
{
    const uint64_t n = p->shape.batch * p->shape.dims, wide = n * (uint64_t)bf_flow_noise_width(&p->flow);
    switch (buf) {
    case BUF_STATE:
    case BUF_NOISE_Y: return wide;
    case BUF_Y: return s->mode == BF_SAMPLER_ANCESTRAL ? wide : 0;
    case BUF_PARAMS: return p->flow.kind == BF_FLOW_CATEGORICAL ? wide : n * (uint64_t)bf_flow_outputs(&p->flow);
    case BUF_NOISE: return picks_component(&p->flow) ? 2 * n : n;
    case BUF_GIVEN: return s->given ? n : 0;
    default: return n;
    }
}

static uint64_t schedule_count(const bf_sampler *s)
{
    return (uint64_t)s->groups * BF_STEP_WORDS + s->items;
}

static uint64_t own_bytes(const bf_sampler *s)
{
    uint64_t count = schedule_count(s);
    for (int g = 0; g < s->groups; g++)
        for (int i = 0; i < BUFS; i++) count += count_of(s, &s->part[g], i);
    return count * sizeof(float);
}

void bf_sampler_free(bf_sampler *s)
{
    if (s == NULL) return;
    bf_cmds_free(s->prior);
    bf_cmds_free(s->predict);
    bf_cmds_free(s->random);
    bf_cmds_free(s->advance);
    bf_cmds_free(s->params);
    bf_cmds_free(s->mode_of);
    bf_cmds_free(s->mean);
    bf_graph_free(s->graph);
    bf_buf_free(s->schedule_buf);
    for (int g = 0; s->part && g < s->groups; g++)
        for (int i = 0; i < BUFS; i++) bf_buf_free(s->part[g].buf[i]);
    free(s->part);
    free(s->staging[0]);
    free(s->staging[1]);
    free(s->rows);
    free(s);
}

/* What the network receives of a group: as its data, and [K] behind them. */
static bf_status add_input(bf_sampler *s, const bf_sampler_options *o, int group, bf_err *err)
{
    bf_status st = BF_OK;
    part *p = &s->part[group];
    char name[32];
    uint64_t dims[BF_MAX_DIMS];
    int ndim = o->ndim;
    memcpy(dims, o->dims, sizeof dims);
    if (ndim == 1) dims[ndim++] = p->shape.dims;
    if (bf_flow_inputs(&p->flow) > 1) {
        BF_CHECK(ndim < BF_MAX_DIMS, BF_USAGE, "sampler: class data may have at most %d dimensions", BF_MAX_DIMS - 1);
        dims[ndim++] = (uint64_t)bf_flow_inputs(&p->flow);
    }
    snprintf(name, sizeof name, group == 0 ? "state" : "state %d", group);
    p->input = bf_graph_input(s->graph, name, ndim, dims);
out:
    return st;
}

static bf_status build_graph(bf_sampler *s, const bf_sampler_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    bf_tid input[BF_MAX_GROUPS], out[BF_MAX_GROUPS];
    const bf_graph_options go = {.training = false, .weights = o->weights, .fixed_weights = true};
    BF_TRY(bf_graph_new(s->ctx, o->params, &go, &s->graph, err));
    s->time = bf_graph_input(s->graph, "t", 1, o->dims);
    for (int g = 0; g < s->groups; g++) {
        BF_TRY(add_input(s, o, g, err));
        input[g] = s->part[g].input;
        out[g] = BF_NONE;
    }
    o->net(o->user, s->graph, input, s->time, out);
    BF_TRY(bf_graph_status(s->graph, err));
    for (int g = 0; g < s->groups; g++) {
        part *p = &s->part[g];
        const uint64_t want = p->shape.batch * p->shape.dims * (uint64_t)bf_flow_outputs(&p->flow);
        p->out = out[g];
        BF_CHECK(p->out >= 0 && bf_graph_numel(s->graph, p->out) == want, BF_USAGE,
                 "sampler: the network emits %llu numbers, a %s flow of this shape needs %llu",
                 p->out < 0 ? 0ull : (unsigned long long)bf_graph_numel(s->graph, p->out),
                 bf_flow_kind_name(p->flow.kind), (unsigned long long)want);
        bf_graph_keep(s->graph, p->out);
    }
out:
    return st;
}

static bf_status allocate(bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    bf_cmds **const lists[] = {&s->prior, &s->predict, &s->random, &s->advance, &s->params, &s->mode_of, &s->mean};
    for (int g = 0; g < s->groups; g++) {
        part *p = &s->part[g];
        for (int i = 0; i < BUFS; i++) {
            if (count_of(s, p, i) == 0) continue;
            BF_TRY(bf_buf_new(s->ctx, count_of(s, p, i) * sizeof(float), "sampler", &p->buf[i], err));
            p->mem[i] = (bf_mem){p->buf[i], 0};
        }
    }
    BF_TRY(bf_buf_new(s->ctx, schedule_count(s) * sizeof(float), "sampler schedule", &s->schedule_buf, err));
    s->schedule = (bf_mem){s->schedule_buf, 0};
    BF_NEW(s->staging[0], s->items + schedule_count(s));
    BF_NEW(s->staging[1], s->items + schedule_count(s));
    BF_NEW(s->rows, s->items * s->dims);
    for (size_t i = 0; i < BF_COUNT(lists); i++) BF_TRY(bf_cmds_new(s->ctx, lists[i], err));
out:
    return st;
}

static bf_mem record_of(const bf_sampler *s, const part *p)
{
    return bf_mem_at(s->schedule, (uint64_t)(p - s->part) * BF_STEP_WORDS * sizeof(float));
}

static bf_mem step_end(const bf_sampler *s)
{
    return bf_mem_at(s->schedule, (uint64_t)s->groups * BF_STEP_WORDS * sizeof(float));
}

static bf_status emit_random(bf_sampler *s, const part *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow *f = &p->flow;
    const bf_mem step = bf_graph_step(s->graph);
    const uint64_t batch = p->shape.batch, dims = p->shape.dims;
    bf_mem data = p->mem[BUF_NOISE];
    if (picks_component(f)) {
        BF_TRY(
            bf_random(s->random, BF_RANDOM_UNIFORM, data, BF_STREAM_SAMPLE_PICK + p->streams, step, batch, dims, err));
        data = bf_mem_at(data, batch * dims * sizeof(float));
    }
    if (!draws_nothing(f)) {
        const bf_random_kind kind = draws_normal(f) ? BF_RANDOM_NORMAL : BF_RANDOM_UNIFORM;
        BF_TRY(bf_random(s->random, kind, data, BF_STREAM_SAMPLE_DATA + p->streams, step, batch, dims, err));
    }
    BF_TRY(bf_random(s->random, BF_RANDOM_NORMAL, p->mem[BUF_NOISE_Y], BF_STREAM_SAMPLE_Y + p->streams, step, batch,
                     dims * (uint64_t)bf_flow_noise_width(f), err));
out:
    return st;
}

static bf_status advance_by_message(bf_sampler *s, part *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mem *m = p->mem, record = record_of(s, p);
    BF_TRY(bf_flow_op_send(s->advance, &p->flow, p->shape, m[BUF_Y], m[BUF_VALUE], m[BUF_NOISE_Y], record, err));
    BF_TRY(bf_flow_op_update(s->advance, &p->flow, p->shape, m[BUF_STATE], m[BUF_Y], record, err));
out:
    return st;
}

static bf_status advance_by_flow(bf_sampler *s, part *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mem *m = p->mem, end = step_end(s);
    if (says_probs(s, p))
        BF_TRY(bf_class_op_sample_around(s->advance, &p->flow, p->shape, m[BUF_STATE], m[BUF_PARAMS], m[BUF_NOISE_Y],
                                         end, err));
    else
        BF_TRY(bf_flow_op_sample(s->advance, &p->flow, p->shape, m[BUF_STATE], m[BUF_VALUE], m[BUF_NOISE_Y], end, err));
out:
    return st;
}

static bf_status emit_advance(bf_sampler *s, part *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow *f = &p->flow;
    const bf_mem *m = p->mem, net = bf_graph_mem(s->graph, p->out);
    const bf_mem t = bf_graph_mem(s->graph, s->time), in = bf_graph_mem(s->graph, p->input);
    const bool probs = says_probs(s, p);
    const bf_flow_value what = probs ? BF_VALUE_DRAW : modes[s->mode].value;
    BF_TRY(bf_flow_op_value(s->advance, f, p->shape, what, m[BUF_VALUE], in, net, t, m[BUF_NOISE], err));
    if (s->given) BF_TRY(bf_group_op_hold(s->advance, p->shape, 1, m[BUF_VALUE], m[BUF_GIVEN], err));
    if (probs) {
        BF_TRY(bf_flow_op_params(s->advance, f, p->shape, m[BUF_PARAMS], in, net, t, true, err));
        if (s->given) BF_TRY(bf_group_op_hold(s->advance, p->shape, f->classes, m[BUF_PARAMS], m[BUF_GIVEN], err));
    }
    BF_TRY(modes[s->mode].advance(s, p, err));
out:
    return st;
}

/* Everything of one group but the network. */
static bf_status emit_group(bf_sampler *s, part *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow *f = &p->flow;
    const bf_flow_shape shape = p->shape;
    const bf_mem *m = p->mem, net = bf_graph_mem(s->graph, p->out);
    const bf_mem t = bf_graph_mem(s->graph, s->time), in = bf_graph_mem(s->graph, p->input);
    const uint64_t state_bytes = count_of(s, p, BUF_STATE) * sizeof(float);
    BF_TRY(bf_cmds_fill(s->prior, m[BUF_STATE], 0, state_bytes, err));
    if (f->kind == BF_FLOW_CATEGORICAL) {
        BF_TRY(bf_flow_op_input(s->predict, f, shape, in, m[BUF_STATE], err));
    } else {
        BF_TRY(bf_cmds_copy(s->predict, in, m[BUF_STATE], state_bytes, err));
    }
    BF_TRY(bf_flow_op_params(s->params, f, shape, m[BUF_PARAMS], in, net, t, true, err));
    BF_TRY(bf_flow_op_value(s->mode_of, f, shape, BF_VALUE_MODE, m[BUF_MODE], in, net, t, BF_MEM_NONE, err));
    BF_TRY(bf_flow_op_value(s->mean, f, shape, BF_VALUE_MEAN, m[BUF_MEAN], in, net, t, BF_MEM_NONE, err));
    BF_TRY(emit_random(s, p, err));
    BF_TRY(emit_advance(s, p, err));
out:
    return st;
}

static bf_status emit(bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_graph_emit_prepare(s->graph, s->prior, err));
    for (int g = 0; g < s->groups; g++) BF_TRY(emit_group(s, &s->part[g], err));
    BF_TRY(bf_graph_emit(s->graph, s->predict, err));
out:
    return st;
}

/* Shapes of the groups. */
static bf_status describe(bf_sampler *s, const bf_sampler_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t per_item = 1;
    BF_CHECK(o->ndim >= 1 && o->ndim <= BF_MAX_DIMS, BF_USAGE, "sampler: data of %d dimensions", o->ndim);
    BF_CHECK(o->ndim == 1 || o->hybrid->groups == 1, BF_USAGE, "sampler: several groups have data of two dimensions");
    BF_CHECK((unsigned)o->mode < BF_SAMPLER_MODES, BF_USAGE, "sampler: unknown mode %d", o->mode);
    for (int i = 1; i < o->ndim; i++)
        BF_CHECK(bf_mul_u64(per_item, o->dims[i], &per_item), BF_USAGE, "sampler: the data are too large");
    BF_CHECK(o->dims[0] > 0 && per_item > 0, BF_USAGE, "sampler: no dimension may be 0");
    BF_CHECK(o->ndim == 1 || per_item == o->hybrid->group[0].dims, BF_USAGE,
             "sampler: data of %llu numbers, the flow has %llu variables", (unsigned long long)per_item,
             (unsigned long long)o->hybrid->group[0].dims);
    s->items = o->dims[0];
    s->dims = bf_hybrid_dims(o->hybrid);
    s->groups = o->hybrid->groups;
    BF_NEW(s->part, s->groups);
    for (int g = 0; g < s->groups; g++) {
        const bf_group *group = &o->hybrid->group[g];
        s->part[g] = (part){
            .flow = group->flow, .shape = {s->items, group->dims}, .streams = (uint32_t)g * (uint32_t)BF_STREAM_GROUP};
        BF_CHECK(!s->given || !group->flow.discretize || !says_probs(s, &s->part[g]), BF_USAGE,
                 "sampler: bins that stand for classes cannot be given in the mode %s", bf_sampler_mode_name(s->mode));
    }
out:
    return st;
}

bf_status bf_sampler_new(const bf_sampler_options *o, bf_sampler **out, bf_plan *plan, bf_err *err)
{
    bf_status st = BF_OK;
    bf_sampler *s = NULL;
    bf_plan p;
    *out = NULL;
    BF_TRY(bf_hybrid_check(o->hybrid, err));
    BF_NEW(s, 1);
    s->ctx = o->ctx;
    s->mode = o->mode;
    s->given = o->given;
    BF_TRY(describe(s, o, err));
    BF_TRY(build_graph(s, o, err));
    if (!o->dry_run && !bf_params_allocated(o->params) && bf_params_count(o->params) > 0) {
        BF_TRY(bf_params_alloc(o->params, 1u << o->weights, err));
    }
    BF_TRY(bf_graph_plan(s->graph, !o->dry_run, &p, err));
    p.io_bytes += own_bytes(s);
    p.peak_bytes += own_bytes(s);
    if (!o->dry_run) {
        BF_TRY(allocate(s, err));
        BF_TRY(emit(s, err));
    }
    if (plan) *plan = p;
    *out = s;
    s = NULL;
out:
    bf_sampler_free(s);
    return st;
}

size_t bf_sampler_commands(const bf_sampler *s)
{
    return bf_cmds_count(s->predict) + bf_cmds_count(s->random) + bf_cmds_count(s->advance);
}

const bf_graph *bf_sampler_graph(const bf_sampler *s)
{
    return s->graph;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

uint64_t bf_sampler_size(const bf_sampler *s, int group, bf_sampler_item item)
{
    const part *p = &s->part[group];
    switch (item) {
    case BF_SAMPLER_INPUT: return bf_graph_numel(s->graph, p->input);
    case BF_SAMPLER_NET_OUT: return bf_graph_numel(s->graph, p->out);
    case BF_SAMPLER_PARAMS: return count_of(s, p, BUF_PARAMS);
    case BF_SAMPLER_Y: return count_of(s, p, BUF_Y);
    case BF_SAMPLER_STATE: return count_of(s, p, BUF_STATE);
    default: return p->shape.batch * p->shape.dims;
    }
}

/* z to theta, in place. */
static void softmax_rows(float *z, uint64_t rows, int cols)
{
    for (uint64_t r = 0; r < rows; r++, z += cols) {
        float top = z[0];
        double sum = 0.0;
        for (int k = 1; k < cols; k++) top = fmaxf(top, z[k]);
        for (int k = 0; k < cols; k++) sum += exp((double)z[k] - top);
        for (int k = 0; k < cols; k++) z[k] = (float)(exp((double)z[k] - top) / sum);
    }
}

bf_status bf_sampler_get(bf_sampler *s, int group, bf_sampler_item item, float *out, bf_err *err)
{
    static const int buffers[BF_SAMPLER_ITEMS] = {
        [BF_SAMPLER_MEAN] = BUF_MEAN,   [BF_SAMPLER_MODE] = BUF_MODE, [BF_SAMPLER_PARAMS] = BUF_PARAMS,
        [BF_SAMPLER_DRAWN] = BUF_VALUE, [BF_SAMPLER_Y] = BUF_Y,       [BF_SAMPLER_STATE] = BUF_STATE};
    bf_status st = BF_OK;
    const part *p = &s->part[group];
    bf_mem from = p->mem[buffers[item]];
    if (bf_sampler_size(s, group, item) == 0) return BF_OK;
    if (item == BF_SAMPLER_INPUT) from = bf_graph_mem(s->graph, p->input);
    if (item == BF_SAMPLER_NET_OUT) from = bf_graph_mem(s->graph, p->out);
    if (item == BF_SAMPLER_MEAN) BF_TRY(bf_cmds_run(s->mean, err));
    if (item == BF_SAMPLER_MODE) BF_TRY(bf_cmds_run(s->mode_of, err));
    if (item == BF_SAMPLER_PARAMS) BF_TRY(bf_cmds_run(s->params, err));
    BF_TRY(bf_read(s->ctx, out, from, (size_t)bf_sampler_size(s, group, item) * sizeof *out, err));
    if (item == BF_SAMPLER_STATE && p->flow.kind == BF_FLOW_CATEGORICAL) {
        softmax_rows(out, p->shape.batch * p->shape.dims, p->flow.classes);
    }
out:
    return st;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Where a group's columns begin in a row of all groups. */
static uint64_t first_column(const bf_sampler *s, int group)
{
    uint64_t first = 0;
    for (int g = 0; g < group; g++) first += s->part[g].shape.dims;
    return first;
}

/* Before the first step: prior, start, given values. */
static bf_status begin(bf_sampler *s, const bf_sampler_run_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(s->predict != NULL, BF_USAGE, "sampler: built for a dry run");
    BF_CHECK(o->steps >= 1, BF_USAGE, "sampler: the number of steps must be positive, got %d", o->steps);
    BF_CHECK(s->given || o->given == NULL, BF_USAGE, "sampler: not built for given values");
    BF_TRY(bf_cmds_run(s->prior, err));
    for (int g = 0; g < s->groups; g++) {
        part *p = &s->part[g];
        const uint64_t n = s->items * p->shape.dims;
        p->rho = 1.0;
        if (o->draws && o->draws[g].start && p->flow.kind != BF_FLOW_CATEGORICAL)
            BF_TRY(bf_write(s->ctx, p->mem[BUF_STATE], o->draws[g].start, (size_t)n * sizeof(float), err));
        if (!s->given) continue;
        for (uint64_t i = 0; i < n; i++) s->rows[i] = NAN;
        for (uint64_t i = 0; o->given && i < s->items; i++)
            memcpy(s->rows + i * p->shape.dims, o->given + i * s->dims + first_column(s, g),
                   (size_t)p->shape.dims * sizeof(float));
        BF_TRY(bf_write(s->ctx, p->mem[BUF_GIVEN], s->rows, (size_t)n * sizeof(float), err));
    }
out:
    return st;
}

/* The accuracy of step i, from doubles. */
static void set_record(part *p, int i, int steps, float *record)
{
    const double alpha = bf_flow_alpha(&p->flow, i, steps);
    const bool classes = p->flow.kind == BF_FLOW_CATEGORICAL;
    record[BF_FLOW_SENDER_MEAN] = (float)alpha;
    record[BF_FLOW_SENDER_SD] = (float)(classes ? sqrt(p->flow.classes * alpha) : 1.0 / sqrt(alpha));
    record[BF_FLOW_KEEP] = (float)(p->rho / (p->rho + alpha));
    record[BF_FLOW_GAIN] = (float)(alpha / (p->rho + alpha));
    p->rho += alpha;
}

/* Everything that differs between steps. i = n + 1 is the final call. */
static bf_status set_step(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t words[BF_STEP_WORDS] = {0};
    const double t = (double)(i - 1) / o->steps, end = (double)i / o->steps;
    float *times = s->staging[i % 2], *schedule = times + s->items;
    words[BF_STEP_SEED_LO] = (uint32_t)o->seed;
    words[BF_STEP_SEED_HI] = (uint32_t)(o->seed >> 32);
    words[BF_STEP_STEP] = (uint32_t)i;
    words[BF_STEP_SAMPLE0] = o->first;
    for (uint64_t b = 0; b < s->items; b++) times[b] = (float)t;
    BF_TRY(bf_graph_set_step(s->graph, words, err));
    BF_TRY(bf_write_async(s->ctx, bf_graph_mem(s->graph, s->time), times, s->items * sizeof(float), err));
    if (i > o->steps) goto out;
    for (int g = 0; g < s->groups; g++) set_record(&s->part[g], i, o->steps, schedule + g * BF_STEP_WORDS);
    for (uint64_t b = 0; b < s->items; b++) schedule[(uint64_t)s->groups * BF_STEP_WORDS + b] = (float)end;
    BF_TRY(bf_write_async(s->ctx, s->schedule, schedule, (size_t)schedule_count(s) * sizeof(float), err));
out:
    return st;
}

/* Numbers of step i from a replay, when it has them. */
static bf_status put_draws(bf_sampler *s, bf_mem to, const float *all, uint64_t n, int i, bf_err *err)
{
    if (all == NULL) return BF_OK;
    return bf_write_async(s->ctx, to, all + (uint64_t)(i - 1) * n, (size_t)n * sizeof(float), err);
}

/* The random numbers of step i: replayed, or drawn. */
static bf_status set_noise(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_err *err)
{
    bf_status st = BF_OK;
    bool all = o->draws != NULL;
    for (int g = 0; all && g < s->groups; g++) all = o->draws[g].noise_data != NULL && o->draws[g].noise_y != NULL;
    if (!all) BF_TRY(bf_cmds_run(s->random, err));
    for (int g = 0; o->draws && g < s->groups; g++) {
        const part *p = &s->part[g];
        const bf_sampler_draws *d = &o->draws[g];
        BF_TRY(put_draws(s, p->mem[BUF_NOISE], d->noise_data, count_of(s, p, BUF_NOISE), i, err));
        BF_TRY(put_draws(s, p->mem[BUF_NOISE_Y], d->noise_y, count_of(s, p, BUF_NOISE_Y), i, err));
    }
out:
    return st;
}

/* Enqueues step i. */
static bf_status submit(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_mark **end, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(set_step(s, o, i, err));
    BF_TRY(bf_cmds_run(s->predict, err));
    if (i <= o->steps) {
        BF_TRY(set_noise(s, o, i, err));
        BF_TRY(bf_cmds_run(s->advance, err));
    }
    BF_TRY(bf_mark_new(s->ctx, end, err));
out:
    return st;
}

/* What the final call says, and what was given. */
static bf_status finish(bf_sampler *s, const float *given, float *out, bf_err *err)
{
    bf_status st = BF_OK;
    for (int g = 0; g < s->groups; g++) {
        const uint64_t dims = s->part[g].shape.dims;
        BF_TRY(bf_sampler_get(s, g, BF_SAMPLER_MODE, s->rows, err));
        for (uint64_t i = 0; i < s->items; i++)
            memcpy(out + i * s->dims + first_column(s, g), s->rows + i * dims, (size_t)dims * sizeof *out);
    }
    for (uint64_t i = 0; given && i < s->items * s->dims; i++)
        if (!isnan(given[i])) out[i] = given[i];
out:
    return st;
}

bf_status bf_sampler_run(bf_sampler *s, const bf_sampler_run_options *o, float *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_err ignored;
    double seconds = INFINITY;
    bf_mark *end[2] = {NULL, NULL};
    int submitted = 0;
    BF_TRY(begin(s, o, err));
    for (int i = 1; i <= o->steps + 1; i++) {
        const int ahead = o->ahead && bf_ctx_ahead(s->ctx, seconds);
        const double start = bf_seconds();
        while (submitted < BF_MIN(i + ahead, o->steps + 1)) {
            submitted++;
            BF_TRY(submit(s, o, submitted, &end[submitted % 2], err));
        }
        BF_TRY(bf_mark_wait(end[i % 2], err));
        bf_mark_free(end[i % 2]);
        end[i % 2] = NULL;
        seconds = bf_seconds() - start;
        if (o->on_step) BF_TRY(o->on_step(o->user, s, i, (double)(i - 1) / o->steps, err));
    }
    BF_TRY(finish(s, o->given, out, err));
out:
    if (st != BF_OK && submitted > 0) (void)bf_finish(s->ctx, &ignored); /* the queue still reads what is ours */
    bf_mark_free(end[0]);
    bf_mark_free(end[1]);
    return st;
}
