#include "flow/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/philox.h"
#include "base/size.h"
#include "flow/ops.h"
#include "flow/particles.h"

/* The sampler's own buffers of a group; the network's input, output and time are tensors of the graph. */
enum {
    BUF_STATE,
    BUF_VALUE,
    BUF_PROBS,
    BUF_BASE,
    BUF_NOISE,
    BUF_NOISE_Y,
    BUF_GIVEN,
    BUF_CENTRE, /* mean of the data */
    BUF_SHOWN,  /* whatever somebody asks for */
    BUF_SHIFT,  /* what a guide adds to a state */
    BUFS
};

typedef struct part {
    bf_flow flow;
    bf_flow_shape shape;
    uint32_t streams; /* added to the number of a stream */
    bf_tid input, out;
    bf_buf *buf[BUFS];
    bf_mem mem[BUFS];
} part;

/* What is computed only when somebody asks for it. */
enum { SHOW_PARAMS, SHOW_MODE, SHOW_MEAN, SHOW_MESSAGE, SHOW_DRAW, SHOWS };

struct bf_sampler {
    bf_ctx *ctx;
    bf_sampler_mode mode;
    bf_sampler_choose choose;
    double temperature;
    bool given, guided;
    int particles;        /* rows of a sample */
    uint64_t items, dims; /* N, and variables of all groups */
    int groups;
    part *part;
    bf_graph *graph;
    bf_tid time;
    bf_buf *schedule_buf;
    bf_mem schedule;      /* what differs between steps: a record per group */
    bf_cmds *prior;       /* the weights as the kernels want them; the state before anything was said */
    bf_cmds *start[2];    /* the state after t = 0: around 0, around the mean of the data */
    bf_cmds *predict;     /* network input, network */
    bf_cmds *draw, *add;  /* from Philox: the numbers for draws, those that steps add */
    bf_cmds *advance;     /* value, state at the step's end */
    bf_cmds *shift;       /* what a guide said */
    bf_particles *filter; /* NULL: a row is a sample */
    bf_cmds *show[SHOWS];
    float *staging[2];             /* of time and schedule, for call i in staging[i % 2] */
    float *rows;                   /* [N, D of one group] on the host */
    uint32_t *chosen;              /* [N / particles]: rows of the samples */
    float *guide[4];               /* of one group, see GUIDE_STATE */
    const bf_sampler_draws *draws; /* of the run */
};

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

/* The step goes on with probabilities of classes. */
static bool says_probs(const bf_sampler *s, const part *p)
{
    return s->choose == BF_CHOOSE_MEAN && p->flow.kind == BF_FLOW_CATEGORICAL;
}

static bool sends(const bf_sampler *s)
{
    return s->mode == BF_SAMPLER_ANCESTRAL;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static uint64_t params_count(const part *p)
{
    const bool classes = p->flow.kind == BF_FLOW_CATEGORICAL;
    const int width = classes ? p->flow.classes : bf_flow_outputs(&p->flow);
    return p->shape.batch * p->shape.dims * (uint64_t)width;
}

static uint64_t count_of(const bf_sampler *s, const part *p, int buf)
{
    const uint64_t n = p->shape.batch * p->shape.dims, wide = n * (uint64_t)bf_flow_noise_width(&p->flow);
    switch (buf) {
    case BUF_STATE:
    case BUF_NOISE_Y: return wide;
    case BUF_PROBS: return says_probs(s, p) ? wide : 0;
    case BUF_BASE: return bf_sampler_calls_per_step(s->mode) > 1 ? wide : 0;
    case BUF_NOISE: return picks_component(&p->flow) ? 2 * n : n;
    case BUF_GIVEN: return s->given ? n : 0;
    case BUF_CENTRE: return wide / p->shape.batch;
    case BUF_SHOWN: return BF_MAX(params_count(p), wide);
    case BUF_SHIFT: return s->guided && p->flow.kind != BF_FLOW_CATEGORICAL ? n : 0;
    default: return n;
    }
}

static uint64_t schedule_count(const bf_sampler *s)
{
    return (uint64_t)s->groups * BF_STEP_WORDS;
}

static uint64_t own_bytes(const bf_sampler *s)
{
    uint64_t count = schedule_count(s);
    for (int g = 0; g < s->groups; g++)
        for (int i = 0; i < BUFS; i++) count += count_of(s, &s->part[g], i);
    uint64_t bytes = count * sizeof(float);
    for (int g = 0; s->particles > 1 && g < s->groups; g++) {
        const bf_particles_group seen = {.flow = &s->part[g].flow, .shape = s->part[g].shape};
        bytes += bf_particles_bytes(1, &seen);
    }
    return bytes;
}

void bf_sampler_free(bf_sampler *s)
{
    if (s == NULL) return;
    bf_cmds *const lists[] = {s->prior, s->start[0], s->start[1], s->predict, s->draw, s->add, s->advance, s->shift};
    for (size_t i = 0; i < BF_COUNT(lists); i++) bf_cmds_free(lists[i]);
    for (int i = 0; i < SHOWS; i++) bf_cmds_free(s->show[i]);
    bf_graph_free(s->graph);
    bf_buf_free(s->schedule_buf);
    for (int g = 0; s->part && g < s->groups; g++)
        for (int i = 0; i < BUFS; i++) bf_buf_free(s->part[g].buf[i]);
    free(s->part);
    free(s->staging[0]);
    free(s->staging[1]);
    free(s->rows);
    free(s->chosen);
    for (size_t i = 0; i < BF_COUNT(s->guide); i++) free(s->guide[i]);
    bf_particles_free(s->filter);
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
    bf_cmds **const lists[] = {&s->prior, &s->start[0], &s->start[1], &s->predict,
                               &s->draw,  &s->add,      &s->advance,  &s->shift};
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
    BF_NEW(s->chosen, s->items);
    for (size_t i = 0; i < BF_COUNT(lists); i++) BF_TRY(bf_cmds_new(s->ctx, lists[i], err));
    for (int i = 0; i < SHOWS; i++) BF_TRY(bf_cmds_new(s->ctx, &s->show[i], err));
out:
    return st;
}

static bf_mem record_of(const bf_sampler *s, const part *p)
{
    return bf_mem_at(s->schedule, (uint64_t)(p - s->part) * BF_STEP_WORDS * sizeof(float));
}

/* The numbers that values are drawn with, and those that steps add. */
static bf_status emit_random(bf_sampler *s, const part *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow *f = &p->flow;
    const bf_mem step = bf_graph_step(s->graph);
    const uint64_t batch = p->shape.batch, dims = p->shape.dims;
    bf_mem data = p->mem[BUF_NOISE];
    if (picks_component(f)) {
        BF_TRY(bf_random(s->draw, BF_RANDOM_UNIFORM, data, BF_STREAM_SAMPLE_PICK + p->streams, step, batch, dims, err));
        data = bf_mem_at(data, batch * dims * sizeof(float));
    }
    if (!draws_nothing(f)) {
        const bf_random_kind kind = draws_normal(f) ? BF_RANDOM_NORMAL : BF_RANDOM_UNIFORM;
        BF_TRY(bf_random(s->draw, kind, data, BF_STREAM_SAMPLE_DATA + p->streams, step, batch, dims, err));
    }
    BF_TRY(bf_random(s->add, BF_RANDOM_NORMAL, p->mem[BUF_NOISE_Y], BF_STREAM_SAMPLE_Y + p->streams, step, batch,
                     dims * (uint64_t)bf_flow_noise_width(f), err));
out:
    return st;
}

static bf_status emit_advance(bf_sampler *s, part *p, bf_err *err)
{
    static const bf_flow_value what[] = {
        [BF_CHOOSE_MEAN] = BF_VALUE_MEAN, [BF_CHOOSE_DRAW] = BF_VALUE_DRAW, [BF_CHOOSE_MODE] = BF_VALUE_MODE};
    const bf_mem *m = p->mem;
    const bf_flow_step_args a = {.what = what[s->choose],
                                 .state = m[BUF_STATE],
                                 .value = m[BUF_VALUE],
                                 .probs = m[BUF_PROBS],
                                 .base = m[BUF_BASE],
                                 .net = bf_graph_mem(s->graph, p->out),
                                 .t = bf_graph_mem(s->graph, s->time),
                                 .noise = m[BUF_NOISE],
                                 .xi = m[BUF_NOISE_Y],
                                 .given = m[BUF_GIVEN],
                                 .record = record_of(s, p)};
    return bf_flow_op_step(s->advance, &p->flow, p->shape, &a, err);
}

static bf_status emit_shown(bf_sampler *s, part *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow *f = &p->flow;
    const bf_flow_shape shape = p->shape;
    const bf_mem *m = p->mem, net = bf_graph_mem(s->graph, p->out), to = m[BUF_SHOWN];
    const bf_mem t = bf_graph_mem(s->graph, s->time), in = bf_graph_mem(s->graph, p->input);
    BF_TRY(bf_flow_op_params(s->show[SHOW_PARAMS], f, shape, to, in, net, t, true, err));
    BF_TRY(bf_flow_op_value(s->show[SHOW_MODE], f, shape, BF_VALUE_MODE, to, in, net, t, BF_MEM_NONE, err));
    BF_TRY(bf_flow_op_value(s->show[SHOW_MEAN], f, shape, BF_VALUE_MEAN, to, in, net, t, BF_MEM_NONE, err));
    if (sends(s))
        BF_TRY(
            bf_flow_op_send(s->show[SHOW_MESSAGE], f, shape, to, m[BUF_VALUE], m[BUF_NOISE_Y], record_of(s, p), err));
    if (!says_probs(s, p)) goto out;
    BF_TRY(bf_flow_op_value(s->show[SHOW_DRAW], f, shape, BF_VALUE_DRAW, to, in, net, t, m[BUF_NOISE], err));
    if (s->given) BF_TRY(bf_group_op_hold(s->show[SHOW_DRAW], shape, 1, to, m[BUF_GIVEN], err));
out:
    return st;
}

/* Everything of one group but the network. */
static bf_status emit_group(bf_sampler *s, part *p, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow *f = &p->flow;
    const bf_mem *m = p->mem, in = bf_graph_mem(s->graph, p->input);
    const uint64_t state_bytes = count_of(s, p, BUF_STATE) * sizeof(float);
    BF_TRY(bf_cmds_fill(s->prior, m[BUF_STATE], 0, state_bytes, err));
    for (int known = 0; known < 2; known++)
        BF_TRY(bf_flow_op_start(s->start[known], f, p->shape, m[BUF_STATE], known ? m[BUF_CENTRE] : BF_MEM_NONE,
                                m[BUF_NOISE_Y], m[BUF_GIVEN], record_of(s, p), err));
    if (f->kind == BF_FLOW_CATEGORICAL) {
        BF_TRY(bf_flow_op_input(s->predict, f, p->shape, in, m[BUF_STATE], err));
    } else {
        BF_TRY(bf_cmds_copy(s->predict, in, m[BUF_STATE], state_bytes, err));
    }
    BF_TRY(emit_random(s, p, err));
    BF_TRY(emit_advance(s, p, err));
    if (count_of(s, p, BUF_SHIFT) > 0)
        BF_TRY(
            bf_axpby(s->shift, m[BUF_STATE], 1.0f, m[BUF_STATE], 1.0f, m[BUF_SHIFT], count_of(s, p, BUF_SHIFT), err));
    BF_TRY(emit_shown(s, p, err));
out:
    return st;
}

/* The groups as the particles see them. */
static bf_status new_filter(bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    bf_particles_group *all = NULL;
    BF_NEW(all, s->groups);
    for (int g = 0; g < s->groups; g++) {
        const part *p = &s->part[g];
        const bf_mem *m = p->mem;
        all[g] = (bf_particles_group){.flow = &p->flow,
                                      .shape = p->shape,
                                      .state = m[BUF_STATE],
                                      .value = m[BUF_VALUE],
                                      .input = bf_graph_mem(s->graph, p->input),
                                      .net = bf_graph_mem(s->graph, p->out),
                                      .t = bf_graph_mem(s->graph, s->time),
                                      .xi = m[BUF_NOISE_Y],
                                      .given = m[BUF_GIVEN],
                                      .record = record_of(s, p)};
    }
    BF_TRY(bf_particles_new(s->ctx, s->particles, s->groups, all, &s->filter, err));
out:
    free(all);
    return st;
}

static bf_status emit(bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_graph_emit_prepare(s->graph, s->prior, err));
    for (int g = 0; g < s->groups; g++) BF_TRY(emit_group(s, &s->part[g], err));
    BF_TRY(bf_graph_emit(s->graph, s->predict, err));
    for (int g = 0; s->temperature != 1.0 && g < s->groups; g++)
        BF_TRY(bf_group_op_temper(s->predict, &s->part[g].flow, s->part[g].shape,
                                  bf_graph_mem(s->graph, s->part[g].out), s->temperature, err));
    if (s->particles > 1) BF_TRY(new_filter(s, err));
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
    BF_CHECK((unsigned)o->mode < BF_SAMPLER_MODES && (unsigned)o->choose <= BF_CHOOSE_MODE, BF_USAGE,
             "sampler: unknown mode %d or choice %d", o->mode, o->choose);
    BF_CHECK(o->temperature >= 0.0 && isfinite(o->temperature), BF_USAGE, "sampler: a temperature of %g",
             o->temperature);
    BF_CHECK(o->particles <= 1 || (o->mode == BF_SAMPLER_ANCESTRAL && o->given), BF_USAGE,
             "sampler: particles weigh the messages about what is given, which ancestral has, and not %s",
             bf_sampler_mode_name(o->mode));
    if (o->guided) BF_TRY(bf_guide_check(o->mode, err));
    BF_NEW(s, 1);
    s->particles = BF_MAX(o->particles, 1);
    s->guided = o->guided;
    s->ctx = o->ctx;
    s->mode = o->mode;
    s->choose = bf_sampler_chooses(o->mode, o->choose);
    s->temperature = o->temperature == 0.0 ? 1.0 : o->temperature;
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
    return bf_cmds_count(s->predict) + bf_cmds_count(s->advance) +
           (s->choose == BF_CHOOSE_DRAW ? bf_cmds_count(s->draw) : 0) +
           (bf_sampler_adds_noise(s->mode) && !bf_sampler_noise_is_fixed(s->mode) ? bf_cmds_count(s->add) : 0);
}

bf_status bf_sampler_run_part(bf_sampler *s, bool network, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t inputs = (size_t)s->groups; /* one command per group, in front of the network's */
    if (network) return bf_cmds_run_range(s->predict, inputs, bf_cmds_count(s->predict) - inputs, err);
    BF_TRY(bf_cmds_run_range(s->predict, 0, inputs, err));
    if (s->choose == BF_CHOOSE_DRAW) BF_TRY(bf_cmds_run(s->draw, err));
    if (bf_sampler_adds_noise(s->mode) && !bf_sampler_noise_is_fixed(s->mode)) BF_TRY(bf_cmds_run(s->add, err));
    BF_TRY(bf_cmds_run(s->advance, err));
out:
    return st;
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
    case BF_SAMPLER_PARAMS: return params_count(p);
    case BF_SAMPLER_Y: return sends(s) ? count_of(s, p, BUF_STATE) : 0;
    case BF_SAMPLER_STATE:
    case BF_SAMPLER_LATENT: return count_of(s, p, BUF_STATE);
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

/* The draw that a step with probabilities did not need. */
static bf_status draw_aside(bf_sampler *s, int group, bf_err *err)
{
    if (s->draws && s->draws[group].noise_data) return BF_OK;
    return bf_cmds_run(s->draw, err);
}

bf_status bf_sampler_get(bf_sampler *s, int group, bf_sampler_item item, float *out, bf_err *err)
{
    static const int shown[BF_SAMPLER_ITEMS] = {[BF_SAMPLER_MEAN] = SHOW_MEAN,
                                                [BF_SAMPLER_MODE] = SHOW_MODE,
                                                [BF_SAMPLER_PARAMS] = SHOW_PARAMS,
                                                [BF_SAMPLER_DRAWN] = SHOW_DRAW,
                                                [BF_SAMPLER_Y] = SHOW_MESSAGE};
    bf_status st = BF_OK;
    const part *p = &s->part[group];
    const bool aside = item == BF_SAMPLER_DRAWN && says_probs(s, p);
    bf_mem from = p->mem[BUF_SHOWN];
    if (bf_sampler_size(s, group, item) == 0) return BF_OK;
    if (item == BF_SAMPLER_INPUT) {
        from = bf_graph_mem(s->graph, p->input);
    } else if (item == BF_SAMPLER_NET_OUT) {
        from = bf_graph_mem(s->graph, p->out);
    } else if (item == BF_SAMPLER_STATE || item == BF_SAMPLER_LATENT) {
        from = p->mem[BUF_STATE];
    } else if (item == BF_SAMPLER_DRAWN && !aside) {
        from = p->mem[BUF_VALUE];
    } else {
        if (aside) BF_TRY(draw_aside(s, group, err));
        BF_TRY(bf_cmds_run(s->show[shown[item]], err));
    }
    BF_TRY(bf_read(s->ctx, out, from, (size_t)bf_sampler_size(s, group, item) * sizeof *out, err));
    if (item == BF_SAMPLER_STATE && p->flow.kind == BF_FLOW_CATEGORICAL) {
        softmax_rows(out, p->shape.batch * p->shape.dims, p->flow.classes);
    }
out:
    return st;
}

bf_status bf_sampler_put(bf_sampler *s, int group, const float *state, bf_err *err)
{
    const part *p = &s->part[group];
    return bf_write(s->ctx, p->mem[BUF_STATE], state, (size_t)count_of(s, p, BUF_STATE) * sizeof *state, err);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Where a group's columns begin in a row of all groups. */
static uint64_t first_column(const bf_sampler *s, int group)
{
    uint64_t first = 0;
    for (int g = 0; g < group; g++) first += s->part[g].shape.dims;
    return first;
}

static double time_at(const bf_sampler_run_options *o, int k)
{
    return o->times ? o->times[k] : k == o->steps ? 1.0 : (double)k / o->steps;
}

static int evaluations(const bf_sampler *s, const bf_sampler_run_options *o)
{
    return bf_sampler_evaluations(s->mode, o->last, o->steps);
}

/* Does a step follow call i? */
static bool steps_after(const bf_sampler *s, const bf_sampler_run_options *o, int i)
{
    return o->last == BF_LAST_STATE || i < evaluations(s, o);
}

/* Where call i = 1.. stands, and where its step leads. */
static bf_sampler_span span_of(const bf_sampler *s, const bf_sampler_run_options *o, int i)
{
    const int per_step = bf_sampler_calls_per_step(s->mode), k = (i - 1) / per_step;
    bf_sampler_span a = {.t = time_at(o, BF_MIN(k, o->steps)), .to = time_at(o, BF_MIN(k + 1, o->steps)), .before = -1};
    if (per_step == 2 && k < o->steps) {
        const double middle = 0.5 * (a.t + a.to);
        a.second = (i - 1) % 2 == 1;
        if (a.second) {
            a.before = a.t;
            a.t = middle;
        } else {
            a.to = middle;
        }
    } else if (per_step == 1 && k > 0) {
        a.before = time_at(o, k - 1);
    }
    return a;
}

static void set_words(const bf_sampler *s, const bf_sampler_run_options *o, int i, uint32_t words[BF_STEP_WORDS])
{
    memset(words, 0, BF_STEP_WORDS * sizeof *words);
    words[BF_STEP_SEED_LO] = (uint32_t)o->seed;
    words[BF_STEP_SEED_HI] = (uint32_t)(o->seed >> 32);
    words[BF_STEP_STEP] = (uint32_t)i;
    words[BF_STEP_SAMPLE0] = o->first * (uint32_t)s->particles;
}

/* The state at the first time, after 0: call 0 has its random numbers. */
static bf_status start(bf_sampler *s, const bf_sampler_run_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t words[BF_STEP_WORDS];
    float *records = s->staging[0];
    set_words(s, o, 0, words);
    BF_TRY(bf_graph_set_step(s->graph, words, err));
    BF_TRY(bf_cmds_run(s->add, err));
    for (int g = 0; g < s->groups; g++) {
        const part *p = &s->part[g];
        const bf_sampler_begin b = bf_sampler_begin_at(&p->flow, time_at(o, 0), o->data ? o->data[g].spread : -1.0);
        float *record = records + g * BF_STEP_WORDS;
        record[BF_FLOW_VALUE] = (float)b.value;
        record[BF_FLOW_PREV] = (float)b.held;
        record[BF_FLOW_SHIFT] = (float)b.shift;
        record[BF_FLOW_NOISE] = (float)b.noise;
        if (o->draws && o->draws[g].noise_start)
            BF_TRY(bf_write(s->ctx, p->mem[BUF_NOISE_Y], o->draws[g].noise_start,
                            (size_t)count_of(s, p, BUF_NOISE_Y) * sizeof(float), err));
        if (o->data)
            BF_TRY(bf_write(s->ctx, p->mem[BUF_CENTRE], o->data[g].mean,
                            (size_t)count_of(s, p, BUF_CENTRE) * sizeof(float), err));
    }
    BF_TRY(bf_write(s->ctx, s->schedule, records, (size_t)schedule_count(s) * sizeof(float), err));
    BF_TRY(bf_cmds_run(s->start[o->data != NULL], err));
out:
    return st;
}

static bf_status put_given(bf_sampler *s, const bf_sampler_run_options *o, int g, bf_err *err)
{
    const part *p = &s->part[g];
    const uint64_t n = s->items * p->shape.dims;
    if (!s->given) return BF_OK;
    for (uint64_t i = 0; i < n; i++) s->rows[i] = NAN;
    for (uint64_t i = 0; o->given && i < s->items; i++)
        memcpy(s->rows + i * p->shape.dims, o->given + i / (uint64_t)s->particles * s->dims + first_column(s, g),
               (size_t)p->shape.dims * sizeof(float));
    return bf_write(s->ctx, p->mem[BUF_GIVEN], s->rows, (size_t)n * sizeof(float), err);
}

/* Before the first step: prior, given values, start. */
static bf_status begin(bf_sampler *s, const bf_sampler_run_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(s->predict != NULL, BF_USAGE, "sampler: built for a dry run");
    BF_CHECK(o->steps >= 1, BF_USAGE, "sampler: the number of steps must be positive, got %d", o->steps);
    BF_CHECK(s->given || o->given == NULL, BF_USAGE, "sampler: not built for given values");
    if (o->times) {
        BF_TRY(bf_sampler_check_times(s->mode, o->times, o->steps, err));
    } else {
        const double zero_one[] = {0.0, 1.0};
        BF_TRY(bf_sampler_check_times(s->mode, zero_one, 1, err));
    }
    BF_CHECK(s->guided || o->guide == NULL, BF_USAGE, "sampler: not built for a guide");
    s->draws = o->draws;
    if (s->filter) bf_particles_begin(s->filter);
    BF_TRY(bf_cmds_run(s->prior, err));
    for (int g = 0; g < s->groups; g++) BF_TRY(put_given(s, o, g, err));
    if (time_at(o, 0) > 0.0) BF_TRY(start(s, o, err));
    for (int g = 0; o->draws && g < s->groups; g++) {
        const part *p = &s->part[g];
        if (o->draws[g].start)
            BF_TRY(bf_write(s->ctx, p->mem[BUF_STATE], o->draws[g].start,
                            (size_t)count_of(s, p, BUF_STATE) * sizeof(float), err));
    }
out:
    return st;
}

/* What the step of a call needs, from doubles. */
static void set_record(const bf_sampler *s, const part *p, const bf_sampler_span *span, float *record)
{
    const bf_sampler_numbers c = bf_sampler_step(&p->flow, s->mode, span);
    const bool classes = p->flow.kind == BF_FLOW_CATEGORICAL;
    record[BF_FLOW_SENDER_MEAN] = (float)c.alpha;
    record[BF_FLOW_SENDER_SD] = (float)(classes ? sqrt(p->flow.classes * c.alpha) : 1.0 / sqrt(c.alpha));
    record[BF_FLOW_KEEP] = (float)c.keep;
    record[BF_FLOW_VALUE] = (float)c.value;
    record[BF_FLOW_PREV] = (float)c.prev;
    record[BF_FLOW_BASE] = (float)c.base;
    record[BF_FLOW_SHIFT] = (float)c.shift;
    record[BF_FLOW_NOISE] = (float)c.noise;
}

/* Everything that differs between calls. */
static bf_status set_step(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t words[BF_STEP_WORDS];
    const bf_sampler_span span = span_of(s, o, i);
    float *times = s->staging[i % 2], *schedule = times + s->items;
    set_words(s, o, i, words);
    for (uint64_t b = 0; b < s->items; b++) times[b] = (float)span.t;
    BF_TRY(bf_graph_set_step(s->graph, words, err));
    BF_TRY(bf_write_async(s->ctx, bf_graph_mem(s->graph, s->time), times, s->items * sizeof(float), err));
    if (!steps_after(s, o, i)) goto out;
    for (int g = 0; g < s->groups; g++) set_record(s, &s->part[g], &span, schedule + g * BF_STEP_WORDS);
    BF_TRY(bf_write_async(s->ctx, s->schedule, schedule, (size_t)schedule_count(s) * sizeof(float), err));
out:
    return st;
}

/* Numbers of call i from a replay, when it has them. */
static bf_status put_draws(bf_sampler *s, bf_mem to, const float *all, uint64_t n, int i, bf_err *err)
{
    if (all == NULL) return BF_OK;
    return bf_write_async(s->ctx, to, all + (uint64_t)(i - 1) * n, (size_t)n * sizeof(float), err);
}

/* The random numbers of call i: replayed, or drawn. */
static bf_status set_noise(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_err *err)
{
    bf_status st = BF_OK;
    const bool draws = s->choose == BF_CHOOSE_DRAW;
    const bool adds = bf_sampler_adds_noise(s->mode) && (i == 1 || !bf_sampler_noise_is_fixed(s->mode));
    bool all_data = o->draws != NULL, all_y = o->draws != NULL;
    for (int g = 0; o->draws && g < s->groups; g++) {
        all_data = all_data && (o->draws[g].noise_data != NULL || draws_nothing(&s->part[g].flow));
        all_y = all_y && o->draws[g].noise_y != NULL;
    }
    if (draws && !all_data) BF_TRY(bf_cmds_run(s->draw, err));
    if (adds && !all_y) BF_TRY(bf_cmds_run(s->add, err));
    for (int g = 0; o->draws && g < s->groups; g++) {
        const part *p = &s->part[g];
        const bf_sampler_draws *d = &o->draws[g];
        BF_TRY(put_draws(s, p->mem[BUF_NOISE], d->noise_data, count_of(s, p, BUF_NOISE), i, err));
        if (adds) BF_TRY(put_draws(s, p->mem[BUF_NOISE_Y], d->noise_y, count_of(s, p, BUF_NOISE_Y), i, err));
    }
out:
    return st;
}

/* What a guide is shown and says of a group; what the network said. */
enum { GUIDE_STATE, GUIDE_EXPECTED, GUIDE_GRADIENT, GUIDE_NET };

/* A gradient by real values becomes what the step's end is moved by; what is given does not move. */
static void scale_gradient(const bf_sampler *s, const bf_sampler_run_options *o, int g, const bf_sampler_span *span,
                           float *gradient)
{
    const part *p = &s->part[g];
    const uint64_t dims = p->shape.dims, first = first_column(s, g);
    const double factor =
        bf_sampler_step(&p->flow, s->mode, span).value * bf_guide_factor(o->guide, &p->flow, span->to);
    for (uint64_t r = 0; r < s->items; r++)
        for (uint64_t d = 0; d < dims; d++) {
            const bool held = o->given && !isnan(o->given[r / (uint64_t)s->particles * s->dims + first + d]);
            float *v = gradient + r * dims + d;
            *v = held ? 0.0f : (float)(factor * (double)*v);
        }
}

/* Asks the guide about a group before its step, and changes what the network said, or what is added to the state. */
static bf_status guide_group(bf_sampler *s, const bf_sampler_run_options *o, int g, int i, bf_err *err)
{
    bf_status st = BF_OK;
    const part *p = &s->part[g];
    float *const *b = s->guide;
    const bool classes = p->flow.kind == BF_FLOW_CATEGORICAL;
    const uint64_t n = s->items * p->shape.dims, count = n * (uint64_t)bf_flow_noise_width(&p->flow);
    const bf_sampler_span span = span_of(s, o, i);
    const bfncl_guide_step step = {.first = o->first,
                                   .samples = s->items,
                                   .group = g,
                                   .dims = p->shape.dims,
                                   .classes = classes ? (uint32_t)p->flow.classes : 0,
                                   .call = i,
                                   .time = span.t,
                                   .to = span.to,
                                   .state = b[GUIDE_STATE],
                                   .expected = b[GUIDE_EXPECTED],
                                   .gradient = b[GUIDE_GRADIENT]};
    BF_TRY(bf_sampler_get(s, g, BF_SAMPLER_STATE, b[GUIDE_STATE], err));
    BF_TRY(bf_sampler_get(s, g, classes ? BF_SAMPLER_PARAMS : BF_SAMPLER_MEAN, b[GUIDE_EXPECTED], err));
    memset(b[GUIDE_GRADIENT], 0, (size_t)count * sizeof(float));
    BF_CHECK(o->guide->fn(o->guide->user, &step), BF_STOPPED, "the guide stopped the run");
    for (uint64_t k = 0; k < count; k++)
        BF_CHECK(isfinite(b[GUIDE_GRADIENT][k]), BF_NUMERIC, "the guide's gradient at t = %g is not finite", span.t);
    if (classes) {
        const size_t bytes = (size_t)bf_sampler_size(s, g, BF_SAMPLER_NET_OUT) * sizeof(float);
        BF_TRY(bf_sampler_get(s, g, BF_SAMPLER_NET_OUT, b[GUIDE_NET], err));
        bf_guide_logits(o->guide, &p->flow, s->mode, b[GUIDE_EXPECTED], b[GUIDE_GRADIENT], n, b[GUIDE_NET]);
        return bf_write(s->ctx, bf_graph_mem(s->graph, p->out), b[GUIDE_NET], bytes, err);
    }
    scale_gradient(s, o, g, &span, b[GUIDE_GRADIENT]);
    BF_TRY(bf_write(s->ctx, p->mem[BUF_SHIFT], b[GUIDE_GRADIENT], (size_t)n * sizeof(float), err));
out:
    return st;
}

static bf_status guide(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t most = 0;
    for (int g = 0; g < s->groups; g++) most = BF_MAX(most, bf_sampler_size(s, g, BF_SAMPLER_STATE));
    for (size_t k = 0; k < BF_COUNT(s->guide); k++)
        if (s->guide[k] == NULL) BF_NEW(s->guide[k], most);
    for (int g = 0; g < s->groups; g++) BF_TRY(guide_group(s, o, g, i, err));
out:
    return st;
}

/* Enqueues call i. */
static bf_status submit(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_mark **end, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(set_step(s, o, i, err));
    BF_TRY(bf_cmds_run(s->predict, err));
    if (steps_after(s, o, i)) {
        BF_TRY(set_noise(s, o, i, err));
        if (s->filter) BF_TRY(bf_particles_share(s->filter, err));
        if (o->guide) BF_TRY(guide(s, o, i, err));
        BF_TRY(bf_cmds_run(s->advance, err));
        if (o->guide) BF_TRY(bf_cmds_run(s->shift, err));
    }
    BF_TRY(bf_mark_new(s->ctx, end, err));
out:
    return st;
}

/* The value that a state at t = 1 stands for: mu (the nearest bin's centre), or the largest of z. */
static void value_of(const bf_flow *f, const float *state, uint64_t n, float *out)
{
    const double bins = f->kind == BF_FLOW_DISCRETISED ? f->bins : f->classes;
    for (uint64_t i = 0; i < n; i++) {
        double index = 0.0;
        if (f->kind == BF_FLOW_CONTINUOUS) {
            out[i] = state[i];
            continue;
        }
        if (f->kind == BF_FLOW_CATEGORICAL) {
            const float *z = state + i * (uint64_t)f->classes;
            for (int k = 1; k < f->classes; k++)
                if (z[k] > z[(int)index]) index = k;
        } else {
            index = fmin(fmax(floor((state[i] / 2.0 + 0.5) * bins), 0.0), bins - 1.0);
        }
        const bool centre = f->kind == BF_FLOW_DISCRETISED || f->discretize;
        out[i] = (float)(centre ? 2.0 * (index + 0.5) / bins - 1.0 : index);
    }
}

/* After call i: the particles are weighed; after the last one chosen among. */
static bf_status filter(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_err *err)
{
    const bf_particles_key key = {o->seed, o->first, (uint32_t)i};
    if (i < evaluations(s, o)) return bf_particles_hear(s->filter, &key, err);
    return bf_particles_choose(s->filter, &key, steps_after(s, o, i), s->chosen, err);
}

/* The samples, and what was given. */
static bf_status finish(bf_sampler *s, const bf_sampler_run_options *o, float *out, bf_err *err)
{
    bf_status st = BF_OK;
    float *state = NULL;
    const uint64_t samples = s->items / (uint64_t)s->particles;
    for (uint64_t i = 0; !s->filter && i < samples; i++) s->chosen[i] = (uint32_t)i;
    for (int g = 0; g < s->groups; g++) {
        const uint64_t dims = s->part[g].shape.dims;
        if (o->last == BF_LAST_STATE) {
            free(state);
            BF_NEW(state, bf_sampler_size(s, g, BF_SAMPLER_LATENT));
            BF_TRY(bf_sampler_get(s, g, BF_SAMPLER_LATENT, state, err));
            value_of(&s->part[g].flow, state, s->items * dims, s->rows);
        } else {
            BF_TRY(bf_sampler_get(s, g, BF_SAMPLER_MODE, s->rows, err));
        }
        for (uint64_t i = 0; i < samples; i++)
            memcpy(out + i * s->dims + first_column(s, g), s->rows + s->chosen[i] * dims, (size_t)dims * sizeof *out);
    }
    for (uint64_t i = 0; o->given && i < samples * s->dims; i++)
        if (!isnan(o->given[i])) out[i] = o->given[i];
out:
    free(state);
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
    const int calls = evaluations(s, o);
    for (int i = 1; i <= calls; i++) {
        const int ahead = o->ahead && !s->filter && !o->guide && bf_ctx_ahead(s->ctx, seconds);
        const double since = bf_seconds();
        while (submitted < BF_MIN(i + ahead, calls)) {
            submitted++;
            BF_TRY(submit(s, o, submitted, &end[submitted % 2], err));
        }
        BF_TRY(bf_mark_wait(end[i % 2], err));
        bf_mark_free(end[i % 2]);
        end[i % 2] = NULL;
        seconds = bf_seconds() - since;
        if (s->filter) BF_TRY(filter(s, o, i, err));
        if (o->on_step) BF_TRY(o->on_step(o->user, s, i, span_of(s, o, i).t, err));
    }
    BF_TRY(finish(s, o, out, err));
out:
    if (st != BF_OK && submitted > 0) (void)bf_finish(s->ctx, &ignored); /* the queue still reads what is ours */
    bf_mark_free(end[0]);
    bf_mark_free(end[1]);
    return st;
}
