#include "flow/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/philox.h"
#include "base/size.h"
#include "flow/ops.h"

/* The sampler's own buffers; the network's input, output and time are tensors of the graph. */
enum { BUF_STATE, BUF_VALUE, BUF_MEAN, BUF_MODE, BUF_PARAMS, BUF_Y, BUF_NOISE, BUF_NOISE_Y, BUFS };

struct bf_sampler {
    bf_ctx *ctx;
    bf_flow flow;
    bf_flow_shape shape;
    bf_graph *graph;
    bf_tid input, time, out;
    bf_buf *buf[BUFS];
    bf_mem mem[BUFS];
    bf_cmds *prior;                /* the weights as the kernels want them; the state before anything was said */
    bf_cmds *predict;              /* network input, network */
    bf_cmds *random;               /* the numbers of a step, from Philox */
    bf_cmds *advance;              /* draw, message, update */
    bf_cmds *params, *mode, *mean; /* what the network says about the data: when somebody asks */
    float *times[2];               /* staging of the time tensor, for step i in times[i % 2] */
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

static uint64_t count_of(const bf_sampler *s, int buf)
{
    const uint64_t n = s->shape.batch * s->shape.dims, wide = n * (uint64_t)bf_flow_noise_width(&s->flow);
    switch (buf) {
    case BUF_STATE:
    case BUF_Y:
    case BUF_NOISE_Y: return wide;
    case BUF_PARAMS: return s->flow.kind == BF_FLOW_CATEGORICAL ? wide : n * (uint64_t)bf_flow_outputs(&s->flow);
    case BUF_NOISE: return picks_component(&s->flow) ? 2 * n : n;
    default: return n;
    }
}

void bf_sampler_free(bf_sampler *s)
{
    if (s == NULL) return;
    bf_cmds_free(s->prior);
    bf_cmds_free(s->predict);
    bf_cmds_free(s->random);
    bf_cmds_free(s->advance);
    bf_cmds_free(s->params);
    bf_cmds_free(s->mode);
    bf_cmds_free(s->mean);
    bf_graph_free(s->graph);
    for (int i = 0; i < BUFS; i++) bf_buf_free(s->buf[i]);
    free(s->times[0]);
    free(s->times[1]);
    free(s);
}

static bf_status build_graph(bf_sampler *s, const bf_sampler_options *o, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t dims[BF_MAX_DIMS];
    int ndim = o->ndim;
    const bf_graph_options go = {.training = false, .weights = o->weights, .fixed_weights = true};
    memcpy(dims, o->dims, sizeof dims);
    BF_TRY(bf_graph_new(s->ctx, o->params, &go, &s->graph, err));
    s->time = bf_graph_input(s->graph, "t", 1, dims);
    if (bf_flow_inputs(&s->flow) > 1) {
        BF_CHECK(ndim < BF_MAX_DIMS, BF_USAGE, "sampler: class data may have at most %d dimensions", BF_MAX_DIMS - 1);
        dims[ndim++] = (uint64_t)bf_flow_inputs(&s->flow);
    }
    s->input = bf_graph_input(s->graph, "state", ndim, dims);
    s->out = o->net(o->user, s->graph, s->input, s->time);
    BF_TRY(bf_graph_status(s->graph, err));
    const uint64_t want = s->shape.batch * s->shape.dims * (uint64_t)bf_flow_outputs(&s->flow);
    BF_CHECK(s->out >= 0 && bf_graph_numel(s->graph, s->out) == want, BF_USAGE,
             "sampler: the network emits %llu numbers, a %s flow of this shape needs %llu",
             s->out < 0 ? 0ull : (unsigned long long)bf_graph_numel(s->graph, s->out), bf_flow_kind_name(s->flow.kind),
             (unsigned long long)want);
    bf_graph_keep(s->graph, s->out);
out:
    return st;
}

static bf_status allocate(bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    for (int i = 0; i < BUFS; i++) {
        if (count_of(s, i) == 0) continue;
        BF_TRY(bf_buf_new(s->ctx, count_of(s, i) * sizeof(float), "sampler", &s->buf[i], err));
        s->mem[i] = (bf_mem){s->buf[i], 0};
    }
    BF_NEW(s->times[0], s->shape.batch);
    BF_NEW(s->times[1], s->shape.batch);
    BF_TRY(bf_cmds_new(s->ctx, &s->prior, err));
    BF_TRY(bf_cmds_new(s->ctx, &s->predict, err));
    BF_TRY(bf_cmds_new(s->ctx, &s->random, err));
    BF_TRY(bf_cmds_new(s->ctx, &s->advance, err));
    BF_TRY(bf_cmds_new(s->ctx, &s->params, err));
    BF_TRY(bf_cmds_new(s->ctx, &s->mode, err));
    BF_TRY(bf_cmds_new(s->ctx, &s->mean, err));
out:
    return st;
}

static bf_status emit_random(bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow *f = &s->flow;
    const bf_mem step = bf_graph_step(s->graph);
    const uint64_t batch = s->shape.batch, dims = s->shape.dims;
    bf_mem data = s->mem[BUF_NOISE];
    if (picks_component(f)) {
        BF_TRY(bf_random(s->random, BF_RANDOM_UNIFORM, data, BF_STREAM_SAMPLE_PICK, step, batch, dims, err));
        data = bf_mem_at(data, batch * dims * sizeof(float));
    }
    if (!draws_nothing(f)) {
        const bf_random_kind kind = draws_normal(f) ? BF_RANDOM_NORMAL : BF_RANDOM_UNIFORM;
        BF_TRY(bf_random(s->random, kind, data, BF_STREAM_SAMPLE_DATA, step, batch, dims, err));
    }
    BF_TRY(bf_random(s->random, BF_RANDOM_NORMAL, s->mem[BUF_NOISE_Y], BF_STREAM_SAMPLE_Y, step, batch,
                     dims * (uint64_t)bf_flow_noise_width(f), err));
out:
    return st;
}

static bf_status emit(bf_sampler *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_flow *f = &s->flow;
    const bf_flow_shape shape = s->shape;
    const bf_mem *m = s->mem;
    const bf_mem step = bf_graph_step(s->graph), net = bf_graph_mem(s->graph, s->out);
    const bf_mem t = bf_graph_mem(s->graph, s->time), in = bf_graph_mem(s->graph, s->input);
    const uint64_t state_bytes = count_of(s, BUF_STATE) * sizeof(float);

    BF_TRY(bf_graph_emit_prepare(s->graph, s->prior, err));
    BF_TRY(bf_cmds_fill(s->prior, m[BUF_STATE], 0, state_bytes, err));
    if (f->kind == BF_FLOW_CATEGORICAL) {
        BF_TRY(bf_flow_op_input(s->predict, f, shape, in, m[BUF_STATE], err));
    } else {
        BF_TRY(bf_cmds_copy(s->predict, in, m[BUF_STATE], state_bytes, err));
    }
    BF_TRY(bf_graph_emit(s->graph, s->predict, err));
    BF_TRY(bf_flow_op_params(s->params, f, shape, m[BUF_PARAMS], in, net, t, true, err));
    BF_TRY(bf_flow_op_value(s->mode, f, shape, BF_VALUE_MODE, m[BUF_MODE], in, net, t, BF_MEM_NONE, err));
    BF_TRY(bf_flow_op_value(s->mean, f, shape, BF_VALUE_MEAN, m[BUF_MEAN], in, net, t, BF_MEM_NONE, err));
    BF_TRY(emit_random(s, err));
    BF_TRY(bf_flow_op_value(s->advance, f, shape, BF_VALUE_DRAW, m[BUF_VALUE], in, net, t, m[BUF_NOISE], err));
    BF_TRY(bf_flow_op_send(s->advance, f, shape, m[BUF_Y], m[BUF_VALUE], m[BUF_NOISE_Y], step, err));
    BF_TRY(bf_flow_op_update(s->advance, f, shape, m[BUF_STATE], m[BUF_Y], step, err));
out:
    return st;
}

bf_status bf_sampler_new(const bf_sampler_options *o, bf_sampler **out, bf_plan *plan, bf_err *err)
{
    bf_status st = BF_OK;
    bf_sampler *s = NULL;
    bf_plan p;
    *out = NULL;
    BF_TRY(bf_flow_check(&o->flow, err));
    BF_CHECK(o->ndim >= 1 && o->ndim <= BF_MAX_DIMS, BF_USAGE, "sampler: data of %d dimensions", o->ndim);
    BF_NEW(s, 1);
    s->ctx = o->ctx;
    s->flow = o->flow;
    s->shape = (bf_flow_shape){o->dims[0], 1};
    for (int i = 1; i < o->ndim; i++) {
        BF_CHECK(bf_mul_u64(s->shape.dims, o->dims[i], &s->shape.dims), BF_USAGE, "sampler: the data are too large");
    }
    BF_CHECK(s->shape.batch > 0 && s->shape.dims > 0, BF_USAGE, "sampler: no dimension may be 0");
    BF_TRY(build_graph(s, o, err));
    if (!o->dry_run && !bf_params_allocated(o->params) && bf_params_count(o->params) > 0) {
        BF_TRY(bf_params_alloc(o->params, 1u << o->weights, err));
    }
    BF_TRY(bf_graph_plan(s->graph, !o->dry_run, &p, err));
    for (int i = 0; i < BUFS; i++) p.io_bytes += count_of(s, i) * sizeof(float);
    for (int i = 0; i < BUFS; i++) p.peak_bytes += count_of(s, i) * sizeof(float);
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

uint64_t bf_sampler_size(const bf_sampler *s, bf_sampler_item item)
{
    switch (item) {
    case BF_SAMPLER_INPUT: return bf_graph_numel(s->graph, s->input);
    case BF_SAMPLER_NET_OUT: return bf_graph_numel(s->graph, s->out);
    case BF_SAMPLER_PARAMS: return count_of(s, BUF_PARAMS);
    case BF_SAMPLER_Y: return count_of(s, BUF_Y);
    case BF_SAMPLER_STATE: return count_of(s, BUF_STATE);
    default: return s->shape.batch * s->shape.dims;
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

bf_status bf_sampler_get(bf_sampler *s, bf_sampler_item item, float *out, bf_err *err)
{
    static const int buffers[BF_SAMPLER_ITEMS] = {
        [BF_SAMPLER_MEAN] = BUF_MEAN,   [BF_SAMPLER_MODE] = BUF_MODE, [BF_SAMPLER_PARAMS] = BUF_PARAMS,
        [BF_SAMPLER_DRAWN] = BUF_VALUE, [BF_SAMPLER_Y] = BUF_Y,       [BF_SAMPLER_STATE] = BUF_STATE};
    bf_status st = BF_OK;
    bf_mem from = s->mem[buffers[item]];
    if (item == BF_SAMPLER_INPUT) from = bf_graph_mem(s->graph, s->input);
    if (item == BF_SAMPLER_NET_OUT) from = bf_graph_mem(s->graph, s->out);
    if (item == BF_SAMPLER_MEAN) BF_TRY(bf_cmds_run(s->mean, err));
    if (item == BF_SAMPLER_MODE) BF_TRY(bf_cmds_run(s->mode, err));
    if (item == BF_SAMPLER_PARAMS) BF_TRY(bf_cmds_run(s->params, err));
    BF_TRY(bf_read(s->ctx, out, from, (size_t)bf_sampler_size(s, item) * sizeof *out, err));
    if (item == BF_SAMPLER_STATE && s->flow.kind == BF_FLOW_CATEGORICAL) {
        softmax_rows(out, s->shape.batch * s->shape.dims, s->flow.classes);
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

/* Everything that differs between steps, from doubles. i = n + 1 is the final call. */
static bf_status set_step(bf_sampler *s, const bf_sampler_run_options *o, int i, double *rho, bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t words[BF_STEP_WORDS] = {0};
    const double t = (double)(i - 1) / o->steps;
    float *times = s->times[i % 2];
    words[BF_STEP_SEED_LO] = (uint32_t)o->seed;
    words[BF_STEP_SEED_HI] = (uint32_t)(o->seed >> 32);
    words[BF_STEP_STEP] = (uint32_t)i;
    words[BF_STEP_SAMPLE0] = o->first;
    if (i <= o->steps) {
        const double alpha = bf_flow_alpha(&s->flow, i, o->steps);
        const bool classes = s->flow.kind == BF_FLOW_CATEGORICAL;
        words[BF_FLOW_SENDER_MEAN] = float_bits(alpha);
        words[BF_FLOW_SENDER_SD] = float_bits(classes ? sqrt(s->flow.classes * alpha) : 1.0 / sqrt(alpha));
        words[BF_FLOW_KEEP] = float_bits(*rho / (*rho + alpha));
        words[BF_FLOW_GAIN] = float_bits(alpha / (*rho + alpha));
        *rho += alpha;
    }
    for (uint64_t b = 0; b < s->shape.batch; b++) times[b] = (float)t;
    BF_TRY(bf_graph_set_step(s->graph, words, err));
    BF_TRY(bf_write_async(s->ctx, bf_graph_mem(s->graph, s->time), times, s->shape.batch * sizeof(float), err));
out:
    return st;
}

/* The random numbers of step i: replayed, or drawn. */
static bf_status set_noise(bf_sampler *s, const bf_sampler_run_options *o, int i, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t n = (size_t)count_of(s, BUF_NOISE), wide = (size_t)count_of(s, BUF_NOISE_Y);
    if (o->noise_data == NULL || o->noise_y == NULL) BF_TRY(bf_cmds_run(s->random, err));
    if (o->noise_data != NULL) {
        BF_TRY(bf_write_async(s->ctx, s->mem[BUF_NOISE], o->noise_data + (size_t)(i - 1) * n, n * sizeof(float), err));
    }
    if (o->noise_y != NULL) {
        BF_TRY(bf_write_async(s->ctx, s->mem[BUF_NOISE_Y], o->noise_y + (size_t)(i - 1) * wide, wide * sizeof(float),
                              err));
    }
out:
    return st;
}

/* Enqueues step i. */
static bf_status submit(bf_sampler *s, const bf_sampler_run_options *o, int i, double *rho, bf_mark **end, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(set_step(s, o, i, rho, err));
    BF_TRY(bf_cmds_run(s->predict, err));
    if (i <= o->steps) {
        BF_TRY(set_noise(s, o, i, err));
        BF_TRY(bf_cmds_run(s->advance, err));
    }
    BF_TRY(bf_mark_new(s->ctx, end, err));
out:
    return st;
}

bf_status bf_sampler_run(bf_sampler *s, const bf_sampler_run_options *o, float *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_err ignored;
    double rho = 1.0, seconds = INFINITY;
    bf_mark *end[2] = {NULL, NULL};
    int submitted = 0;
    BF_CHECK(s->predict != NULL, BF_USAGE, "sampler: built for a dry run");
    BF_CHECK(o->steps >= 1, BF_USAGE, "sampler: the number of steps must be positive, got %d", o->steps);
    BF_TRY(bf_cmds_run(s->prior, err));
    for (int i = 1; i <= o->steps + 1; i++) {
        const int ahead = o->ahead && bf_ctx_ahead(s->ctx, seconds);
        const double start = bf_seconds();
        while (submitted < BF_MIN(i + ahead, o->steps + 1)) {
            submitted++;
            BF_TRY(submit(s, o, submitted, &rho, &end[submitted % 2], err));
        }
        BF_TRY(bf_mark_wait(end[i % 2], err));
        bf_mark_free(end[i % 2]);
        end[i % 2] = NULL;
        seconds = bf_seconds() - start;
        if (o->on_step) BF_TRY(o->on_step(o->user, s, i, (double)(i - 1) / o->steps, err));
    }
    BF_TRY(bf_sampler_get(s, BF_SAMPLER_MODE, out, err));
out:
    if (st != BF_OK && submitted > 0) (void)bf_finish(s->ctx, &ignored); /* the queue still reads what is ours */
    bf_mark_free(end[0]);
    bf_mark_free(end[1]);
    return st;
}
