/*
 * One training step as prepared commands. run/train.h
 *
 * With train.accumulate = A > 1 the batch goes through the network in A parts of batch / A examples. Their gradients
 * and losses are added up on the device, each with weight 1 / A, so that the optimiser sees the means of the whole
 * batch. Random numbers and times are those that the examples have in the whole batch.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "run/train.h"

#define ALL_SETS ((1u << BF_SET_COUNT) - 1)

/* The record that is read back after a step: the optimiser's statistics, then the loss. */
enum { RECORD_LOSS = BF_STATS, RECORD_FLOATS };

struct bf_stepper {
    bf_model *m;
    bf_graph *g;
    uint64_t parts, rows;           /* train.accumulate, and the items of one part */
    bf_cmds *clear, *part, *update; /* gradients and loss to 0 (only with several parts), one part, the optimiser */
    bf_loss_nodes nodes;
    bf_flow_loss_spec spec;
    bf_buf *record, *ws;
    bf_upload *upload; /* of a step: the blocks of the parts, then times [batch] */
    float *x, *t;      /* in the slot that is being filled */
    float *times;      /* [batch]: of the examples */
    struct {
        float record[RECORD_FLOATS];
        bf_mark *end;
    } flight[2]; /* step number i of this stepper in flight[i % 2] */
    uint64_t submitted, waited;
};

/* Floats of the blocks of a step. */
static uint64_t block_floats(const bf_stepper *s)
{
    return s->parts * bf_model_block(s->m, s->rows);
}

static size_t upload_bytes(const bf_stepper *s)
{
    return (size_t)(block_floats(s) + s->parts * s->rows) * sizeof(float);
}

bf_flow_loss_spec bf_train_loss(const bf_config *c)
{
    const bool steps = c->train.loss == BF_CONFIG_LOSS_NSTEP;
    return (bf_flow_loss_spec){.kind = steps ? BF_LOSS_N_STEP : BF_LOSS_CTS,
                               .steps = (int)c->train.loss_steps,
                               .draws = 1,
                               .receiver = c->train.receiver == 0 ? BF_RECEIVER_JOINT : BF_RECEIVER_OFFICIAL};
}

static bf_status build_graph(bf_stepper *s, bool allocate, bf_plan *plan, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_graph_options o = {.training = true,
                                .weights = BF_SET_VALUE,
                                .add_gradients = s->parts > 1,
                                .recompute = s->m->config.train.recompute,
                                .half_storage = s->m->config.train.storage == BF_STORAGE_HALF};
    BF_TRY(bf_graph_new(s->m->ctx, s->m->params, &o, &s->g, err));
    bf_model_loss(s->m, s->g, &s->spec, s->rows, true, &s->nodes);
    bf_graph_keep(s->g, s->nodes.total);
    BF_TRY(bf_hybrid_backward(s->g, &s->m->hybrid, s->nodes.group, 1.0f / (float)s->parts, err));
    if (allocate) BF_TRY(bf_params_alloc(s->m->params, ALL_SETS, err));
    BF_TRY(bf_graph_plan(s->g, allocate, plan, err));
    plan->io_bytes += bf_upload_device_bytes(s->m->ctx, upload_bytes(s));
    plan->peak_bytes += bf_upload_device_bytes(s->m->ctx, upload_bytes(s));
out:
    return st;
}

static uint64_t workspace(const bf_stepper *s)
{
    const bf_param_range *ranges;
    const int n = bf_params_ranges(s->m->params, &ranges);
    uint64_t bytes = bf_sum_mid_workspace(s->m->ctx, 1, s->rows, 1);
    for (int i = 0; i < n; i++) bytes = BF_MAX(bytes, bf_grad_norm_workspace(s->m->ctx, ranges[i].count));
    return BF_MAX(bytes, sizeof(float));
}

static bf_mem loss_mem(const bf_stepper *s)
{
    return (bf_mem){s->record, RECORD_LOSS * sizeof(float)};
}

static bf_status append_clear(bf_stepper *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_param_range *r;
    const int n = bf_params_ranges(s->m->params, &r);
    for (int i = 0; i < n; i++)
        BF_TRY(bf_cmds_fill(s->clear, r[i].mem[BF_SET_GRAD], 0, r[i].count * sizeof(float), err));
    BF_TRY(bf_cmds_fill(s->clear, loss_mem(s), 0, sizeof(float), err));
out:
    return st;
}

static bf_status append_part(bf_stepper *s, bf_err *err)
{
    bf_status st = BF_OK;
    const float share = 1.0f / (float)(s->parts * s->rows);
    BF_TRY(bf_graph_emit(s->g, s->part, err));
    BF_TRY(bf_sum_mid(s->part, loss_mem(s), s->parts > 1, share, bf_graph_mem(s->g, s->nodes.total), 1, s->rows, 1,
                      (bf_mem){s->ws, 0}, err));
out:
    return st;
}

static bf_status append_update(bf_stepper *s, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &s->m->config;
    const bf_mem stats = {s->record, 0}, ws = {s->ws, 0};
    const bf_param_range *r;
    const int n = bf_params_ranges(s->m->params, &r);
    for (int i = 0; i < n; i++)
        BF_TRY(bf_grad_sumsq(s->update, stats, i > 0, r[i].mem[BF_SET_GRAD], r[i].count, ws, err));
    if (s->m->clip_queue)
        BF_TRY(bf_clip_by_queue(s->update, stats, (bf_mem){s->m->clip_queue, 0}, (uint32_t)c->train.clip_queue, err));
    else
        BF_TRY(bf_clip_factor(s->update, stats, (float)c->train.clip, err));
    for (int i = 0; i < n; i++) {
        const bf_adamw o = {.beta1 = (float)c->train.beta1,
                            .beta2 = (float)c->train.beta2,
                            .eps = (float)c->train.eps,
                            .weight_decay = r[i].decay ? (float)c->train.weight_decay : 0.0f};
        const bf_mem *mem = r[i].mem;
        BF_TRY(bf_adamw_step(s->update, &o, mem[BF_SET_VALUE], mem[BF_SET_GRAD], mem[BF_SET_M], mem[BF_SET_V],
                             mem[BF_SET_EMA], stats, bf_graph_step(s->g), r[i].count, err));
    }
out:
    return st;
}

bf_status bf_stepper_new(bf_model *m, bool allocate, bf_stepper **out, bf_plan *plan, bf_err *err)
{
    bf_status st = BF_OK;
    bf_stepper *s = NULL;
    BF_NEW(s, 1);
    s->m = m;
    s->spec = bf_train_loss(&m->config);
    s->parts = (uint64_t)m->config.train.accumulate;
    s->rows = bf_setup_batch(&m->config);
    BF_NEW(s->times, s->parts * s->rows);
    BF_TRY(build_graph(s, allocate, plan, err));
    if (allocate) {
        BF_TRY(bf_clip_queue_new(m, err));
        BF_TRY(bf_upload_new(m->ctx, upload_bytes(s), !bf_ctx_unified(m->ctx), &s->upload, err));
        BF_TRY(bf_buf_new(m->ctx, RECORD_FLOATS * sizeof(float), "step record", &s->record, err));
        BF_TRY(bf_buf_new(m->ctx, workspace(s), "optimiser workspace", &s->ws, err));
        BF_TRY(bf_cmds_new(m->ctx, &s->clear, err));
        BF_TRY(bf_cmds_new(m->ctx, &s->part, err));
        BF_TRY(bf_cmds_new(m->ctx, &s->update, err));
        if (s->parts > 1) BF_TRY(append_clear(s, err));
        BF_TRY(append_part(s, err));
        BF_TRY(append_update(s, err));
    }
    *out = s;
    s = NULL;
out:
    bf_stepper_free(s);
    return st;
}

void bf_stepper_free(bf_stepper *s)
{
    bf_err ignored;
    if (!s) return;
    if (s->submitted > 0) (void)bf_finish(s->m->ctx, &ignored); /* the queue may still use what is ours */
    for (size_t i = 0; i < BF_COUNT(s->flight); i++) bf_mark_free(s->flight[i].end);
    bf_cmds_free(s->clear);
    bf_cmds_free(s->part);
    bf_cmds_free(s->update);
    bf_graph_free(s->g);
    bf_buf_free(s->record);
    bf_buf_free(s->ws);
    bf_upload_free(s->upload);
    free(s->times);
    free(s);
}

const bf_graph *bf_stepper_graph(const bf_stepper *s)
{
    return s->g;
}

size_t bf_stepper_commands(const bf_stepper *s)
{
    return (s->parts > 1 ? bf_cmds_count(s->clear) : 0) + (size_t)s->parts * bf_cmds_count(s->part) +
           bf_cmds_count(s->update);
}

void bf_stepper_report(const bf_stepper *s, void (*line)(void *user, const char *text), void *user)
{
    char text[64];
    bf_graph_report(s->g, line, user);
    if (!s->update) return; /* only a plan */
    snprintf(text, sizeof text, "commands          %zu per step", bf_stepper_commands(s));
    line(user, text);
}

static uint32_t float_word(double x)
{
    const float f = (float)x;
    uint32_t w;
    memcpy(&w, &f, sizeof w);
    return w;
}

/* Part number i of the batch, with the times that its items have in it. */
static bf_status run_part(bf_stepper *s, uint64_t i, uint32_t words[BF_STEP_WORDS], bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t part = bf_model_block(s->m, s->rows) * sizeof(float), batch = s->parts * part;
    const uint64_t first = i * s->rows;
    words[BF_STEP_SAMPLE0] = (uint32_t)first;
    BF_TRY(bf_model_take(&s->nodes, s->g, s->upload, (size_t)(i * part), err));
    BF_TRY(bf_upload_take(s->upload, bf_graph_mem(s->g, s->nodes.t), batch + first * sizeof(float),
                          (size_t)s->rows * sizeof(float), err));
    BF_TRY(bf_graph_set_step(s->g, words, err));
    BF_TRY(bf_cmds_run(s->part, err));
out:
    return st;
}

bf_status bf_stepper_rows(bf_stepper *s, float **x, bf_err *err)
{
    bf_status st = BF_OK;
    void *host;
    BF_TRY(bf_upload_next(s->upload, &host, err));
    s->x = *x = host;
    s->t = s->x + block_floats(s);
out:
    return st;
}

/* Times of the examples in all parts, and from them those of the items. */
static void set_times(bf_stepper *s, uint64_t step)
{
    const bf_config *c = &s->m->config;
    const uint64_t part = bf_model_block(s->m, s->rows);
    uint64_t examples = 0;
    for (uint64_t i = 0; i < s->parts; i++) examples += bf_model_examples(s->m, s->x + i * part, s->rows);
    const bf_flow_time_key key = {.seed = (uint64_t)c->train.seed,
                                  .step = (uint32_t)step,
                                  .total = (uint32_t)examples,
                                  .low_discrepancy = c->train.times == 0};
    bf_flow_times(s->times, (int)examples, &s->spec, &key);
    examples = 0;
    for (uint64_t i = 0; i < s->parts; i++) {
        bf_model_times(s->m, s->x + i * part, s->rows, s->times + examples, s->t + i * s->rows);
        examples += bf_model_examples(s->m, s->x + i * part, s->rows);
    }
}

bf_status bf_stepper_submit(bf_stepper *s, uint64_t step, double lr, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &s->m->config;
    const uint64_t seed = (uint64_t)c->train.seed;
    const size_t slot = s->submitted % 2;
    uint32_t words[BF_STEP_WORDS] = {0};
    BF_CHECK(s->submitted - s->waited < 2, BF_RUNTIME, "two training steps are under way already");
    words[BF_STEP_SEED_LO] = (uint32_t)seed;
    words[BF_STEP_SEED_HI] = (uint32_t)(seed >> 32);
    words[BF_STEP_STEP] = (uint32_t)step;
    words[BF_STEP_LR] = float_word(lr);
    words[BF_STEP_BIAS1] = float_word(1 - pow(c->train.beta1, (double)(step + 1)));
    words[BF_STEP_BIAS2] = float_word(1 - pow(c->train.beta2, (double)(step + 1)));
    words[BF_STEP_EMA] = float_word(1 - c->train.ema);
    set_times(s, step);
    BF_TRY(bf_upload_send(s->upload, err));
    if (s->parts > 1) BF_TRY(bf_cmds_run(s->clear, err));
    for (uint64_t i = 0; i < s->parts; i++) BF_TRY(run_part(s, i, words, err));
    BF_TRY(bf_cmds_run(s->update, err));
    BF_TRY(
        bf_read_async(s->m->ctx, s->flight[slot].record, (bf_mem){s->record, 0}, sizeof s->flight[slot].record, err));
    BF_TRY(bf_mark_new(s->m->ctx, &s->flight[slot].end, err));
    s->submitted++;
out:
    return st;
}

bf_status bf_stepper_wait(bf_stepper *s, bf_step_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t slot = s->waited % 2;
    const float *record = s->flight[slot].record;
    BF_CHECK(s->waited < s->submitted, BF_RUNTIME, "no training step is under way");
    BF_TRY(bf_mark_wait(s->flight[slot].end, err));
    bf_mark_free(s->flight[slot].end);
    s->flight[slot].end = NULL;
    s->waited++;
    r->loss = (double)record[RECORD_LOSS];
    r->grad_norm = (double)record[BF_STAT_NORM];
    r->clip_limit = (double)record[BF_STAT_LIMIT];
    r->finite = record[BF_STAT_FINITE] != 0 && isfinite(r->loss);
out:
    return st;
}

bf_status bf_stepper_run(bf_stepper *s, const float *x, uint64_t step, double lr, bf_step_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    float *rows;
    BF_TRY(bf_stepper_rows(s, &rows, err));
    memcpy(rows, x, (size_t)block_floats(s) * sizeof *x);
    BF_TRY(bf_stepper_submit(s, step, lr, err));
    BF_TRY(bf_stepper_wait(s, r, err));
out:
    return st;
}
