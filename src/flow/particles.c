/* flow/particles.h; kernels: cl/flow_particles.cl */
#include "flow/particles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/size.h"
#include "op/columns.h"

#define CL_FILE "flow_particles.cl"

/* Buffers of a group. */
enum { BUF_PARAMS, BUF_MESSAGE, BUF_FOUND, BUF_MOVED, BUFS };

typedef struct part {
    bf_particles_group g;
    bf_buf *buf[BUFS];
    bf_mem mem[BUFS];
} part;

struct bf_particles {
    bf_ctx *ctx;
    int particles, groups;
    uint64_t rows;
    part *part;
    bf_buf *index_buf;
    bf_mem index;
    bf_cmds *share, *hear, *last, *move;
    float *found;       /* [rows, most dims of a group] */
    uint32_t *ancestor; /* [rows] */
    double *weight;     /* [rows], logarithms */
};

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static uint64_t wide(const bf_particles_group *g)
{
    return g->shape.batch * g->shape.dims * (uint64_t)bf_flow_noise_width(g->flow);
}

/* Probabilities, or parameters. */
static int levels_of(const bf_flow *f)
{
    if (f->kind == BF_FLOW_CATEGORICAL) return f->classes;
    return f->kind == BF_FLOW_DISCRETISED ? f->bins : bf_flow_outputs(f);
}

static uint64_t count_of(const bf_particles_group *g, int buf)
{
    const uint64_t n = g->shape.batch * g->shape.dims;
    if (buf == BUF_PARAMS) return n * (uint64_t)levels_of(g->flow);
    return buf == BUF_FOUND ? n : wide(g);
}

uint64_t bf_particles_bytes(int groups, const bf_particles_group *group)
{
    uint64_t count = group[0].shape.batch;
    for (int g = 0; g < groups; g++)
        for (int i = 0; i < BUFS; i++) count += count_of(&group[g], i);
    return count * sizeof(float);
}

static bf_status emit_share(bf_particles *p, const part *q, bf_err *err)
{
    const uint64_t cols = q->g.shape.dims * (uint64_t)bf_flow_noise_width(q->g.flow), block = bf_block_rows(cols);
    const bf_arg args[] = {bf_arg_mem(q->g.xi),
                           bf_arg_mem(q->g.given),
                           bf_arg_u64(p->rows),
                           bf_arg_i32((int32_t)q->g.shape.dims),
                           bf_arg_i32(bf_flow_noise_width(q->g.flow)),
                           bf_arg_i32(p->particles),
                           bf_arg_i32((int32_t)block)};
    bf_call call = {.file = CL_FILE, .kernel = "particle_share", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 8.0 * (double)p->rows * (double)cols;
    bf_call_rows(&call, p->ctx, (size_t)bf_ceil_div(p->rows, block));
    return bf_cmds_kernel(p->share, &call, err);
}

/* What every variable found of what it heard; last: of what is given. */
static bf_status emit_found(bf_cmds *c, const part *q, bool last, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_particles_group *g = &q->g;
    const bf_flow *f = g->flow;
    const bf_mem *m = q->mem;
    const bool classes = f->kind == BF_FLOW_CATEGORICAL;
    const bf_arg found = bf_arg_mem(m[BUF_FOUND]), params = bf_arg_mem(m[BUF_PARAMS]);
    const bf_arg heard = bf_arg_mem(m[BUF_MESSAGE]), given = bf_arg_mem(g->given), record = bf_arg_mem(g->record);
    const bf_arg dims = bf_arg_i32((int32_t)g->shape.dims);
    const int levels = levels_of(f);
    if (f->kind == BF_FLOW_DISCRETISED)
        BF_TRY(bf_flow_op_bins(c, f, g->shape, m[BUF_PARAMS], g->input, g->net, g->t, err));
    else
        BF_TRY(bf_flow_op_params(c, f, g->shape, m[BUF_PARAMS], g->input, g->net, g->t, true, err));
    if (!last) BF_TRY(bf_flow_op_send(c, f, g->shape, m[BUF_MESSAGE], g->value, g->xi, g->record, err));
    if (f->kind == BF_FLOW_CONTINUOUS) {
        const bf_arg args[] = {found,
                               params,
                               heard,
                               given,
                               record,
                               dims,
                               bf_arg_i32(f->output == BF_OUT_MIXTURE ? f->mixture : 1),
                               bf_arg_i32(levels)};
        if (last) return bf_cmds_fill(c, m[BUF_FOUND], 0, count_of(g, BUF_FOUND) * sizeof(float), err);
        return bf_flow_launch(c, CL_FILE, "particle_real", NULL, g->shape, (uint64_t)levels, args, BF_COUNT(args), err);
    }
    const bf_arg args[] = {found,
                           params,
                           heard,
                           given,
                           record,
                           dims,
                           bf_arg_i32(levels),
                           bf_arg_i32(classes),
                           bf_arg_i32(f->discretize),
                           bf_arg_i32(last)};
    return bf_flow_launch(c, CL_FILE, "particle_levels", NULL, g->shape, (uint64_t)levels, args, BF_COUNT(args), err);
out:
    return st;
}

static bf_status emit_group(bf_particles *p, part *q, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t bytes = wide(&q->g) * sizeof(float);
    const uint64_t cols = q->g.shape.dims * (uint64_t)bf_flow_noise_width(q->g.flow);
    for (int i = 0; i < BUFS; i++) {
        BF_TRY(bf_buf_new(p->ctx, count_of(&q->g, i) * sizeof(float), "particles", &q->buf[i], err));
        q->mem[i] = (bf_mem){q->buf[i], 0};
    }
    BF_TRY(emit_share(p, q, err));
    BF_TRY(emit_found(p->hear, q, false, err));
    BF_TRY(emit_found(p->last, q, true, err));
    BF_TRY(bf_gather(p->move, q->mem[BUF_MOVED], false, q->g.state, p->index, BF_MEM_NONE, p->rows, (int)cols, err));
    BF_TRY(bf_cmds_copy(p->move, q->g.state, q->mem[BUF_MOVED], bytes, err));
out:
    return st;
}

bf_status bf_particles_new(bf_ctx *ctx, int particles, int groups, const bf_particles_group *group, bf_particles **out,
                           bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t most = 0;
    bf_particles *p = NULL;
    *out = NULL;
    BF_NEW(p, 1);
    bf_cmds **const lists[] = {&p->share, &p->hear, &p->last, &p->move};
    p->ctx = ctx;
    p->particles = particles;
    p->groups = groups;
    p->rows = group[0].shape.batch;
    BF_CHECK(particles >= 1 && p->rows % (uint64_t)particles == 0, BF_USAGE,
             "%d particles do not divide a batch of %llu", particles, (unsigned long long)p->rows);
    BF_NEW(p->part, groups);
    for (size_t i = 0; i < BF_COUNT(lists); i++) BF_TRY(bf_cmds_new(ctx, lists[i], err));
    BF_TRY(bf_buf_new(ctx, p->rows * sizeof(uint32_t), "particles", &p->index_buf, err));
    p->index = (bf_mem){p->index_buf, 0};
    for (int g = 0; g < groups; g++) {
        p->part[g].g = group[g];
        most = BF_MAX(most, group[g].shape.dims);
        BF_TRY(emit_group(p, &p->part[g], err));
    }
    BF_NEW(p->found, p->rows * most);
    BF_NEW(p->ancestor, p->rows);
    BF_NEW(p->weight, p->rows);
    *out = p;
    p = NULL;
out:
    bf_particles_free(p);
    return st;
}

void bf_particles_free(bf_particles *p)
{
    if (p == NULL) return;
    bf_cmds *const lists[] = {p->share, p->hear, p->last, p->move};
    for (size_t i = 0; i < BF_COUNT(lists); i++) bf_cmds_free(lists[i]);
    for (int g = 0; p->part && g < p->groups; g++)
        for (int i = 0; i < BUFS; i++) bf_buf_free(p->part[g].buf[i]);
    bf_buf_free(p->index_buf);
    free(p->part);
    free(p->found);
    free(p->ancestor);
    free(p->weight);
    free(p);
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

void bf_particles_begin(bf_particles *p)
{
    memset(p->weight, 0, (size_t)p->rows * sizeof *p->weight);
}

const double *bf_particles_weights(const bf_particles *p)
{
    return p->weight;
}

bf_status bf_particles_share(bf_particles *p, bf_err *err)
{
    return bf_cmds_run(p->share, err);
}

/* Adds what the particles found. */
static bf_status weigh(bf_particles *p, bf_cmds *found, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(bf_cmds_run(found, err));
    for (int g = 0; g < p->groups; g++) {
        const uint64_t dims = p->part[g].g.shape.dims;
        BF_TRY(bf_read(p->ctx, p->found, p->part[g].mem[BUF_FOUND], (size_t)(p->rows * dims) * sizeof *p->found, err));
        for (uint64_t r = 0; r < p->rows; r++)
            for (uint64_t d = 0; d < dims; d++) p->weight[r] += (double)p->found[r * dims + d];
    }
    for (uint64_t r = 0; r < p->rows; r++)
        BF_CHECK(isfinite(p->weight[r]), BF_NUMERIC, "the weight of particle %llu is not finite",
                 (unsigned long long)r);
out:
    return st;
}

/* The effective number of particles of the sample whose first row is `first`. */
static double effective(const bf_particles *p, uint64_t first)
{
    const double *w = p->weight + first;
    double top = w[0], sum = 0, squares = 0;
    for (int i = 1; i < p->particles; i++) top = fmax(top, w[i]);
    for (int i = 0; i < p->particles; i++) {
        const double x = exp(w[i] - top);
        sum += x;
        squares += x * x;
    }
    return sum * sum / squares;
}

/* Systematic: `count` equally spaced points, of which one is at u in [0, 1). row: those of the particles they hit. */
static void draw(const bf_particles *p, uint64_t first, double u, int count, uint32_t *row)
{
    const double *w = p->weight + first;
    double top = w[0], sum = 0, reached;
    int at = 0;
    for (int i = 1; i < p->particles; i++) top = fmax(top, w[i]);
    for (int i = 0; i < p->particles; i++) sum += exp(w[i] - top);
    reached = exp(w[0] - top);
    for (int i = 0; i < count; i++) {
        const double point = (i + u) / count * sum;
        while (reached <= point && at < p->particles - 1) reached += exp(w[++at] - top);
        row[i] = (uint32_t)(first + (uint64_t)at);
    }
}

bf_status bf_particles_hear(bf_particles *p, const bf_particles_key *key, bf_err *err)
{
    bf_status st = BF_OK;
    bool moves = false;
    const uint64_t each = (uint64_t)p->particles;
    BF_TRY(weigh(p, p->hear, err));
    for (uint64_t first = 0; first < p->rows; first += each) {
        const uint32_t sample = key->first + (uint32_t)(first / each);
        for (uint64_t i = 0; i < each; i++) p->ancestor[first + i] = (uint32_t)(first + i);
        if (effective(p, first) >= 0.5 * p->particles) continue;
        const double u = (double)bf_philox_uniform(key->seed, 0, sample, key->step, BF_STREAM_PARTICLES);
        draw(p, first, u, p->particles, p->ancestor + first);
        memset(p->weight + first, 0, (size_t)each * sizeof *p->weight);
        moves = true;
    }
    if (!moves) goto out;
    BF_TRY(bf_write(p->ctx, p->index, p->ancestor, (size_t)p->rows * sizeof *p->ancestor, err));
    BF_TRY(bf_cmds_run(p->move, err));
out:
    return st;
}

bf_status bf_particles_choose(bf_particles *p, const bf_particles_key *key, bool stepped, uint32_t *row, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t each = (uint64_t)p->particles;
    BF_TRY(weigh(p, stepped ? p->hear : p->last, err));
    for (uint64_t s = 0; s < p->rows / each; s++) {
        const uint32_t sample = key->first + (uint32_t)s;
        const double u = (double)bf_philox_uniform(key->seed, 0, sample, key->step, BF_STREAM_PARTICLES);
        draw(p, s * each, u, 1, row + s);
    }
out:
    return st;
}
