#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/replay.h"

#define NAME_SIZE 512

bf_status bf_replay_new(bf_replay *r, bf_verify *v, bf_err *err)
{
    bf_status st = BF_OK;

    *r = (bf_replay){.v = v};
    BF_TRY(bf_params_new(bf_verify_ctx(v), &r->params, err));
    BF_TRY(bf_replay_graph(r, true, err));
out:
    return st;
}

bf_status bf_replay_graph(bf_replay *r, bool training, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_graph_options options = {.training = training, .weights = BF_SET_VALUE};
    bf_ctx *ctx = bf_verify_ctx(r->v);

    bf_cmds_free(r->cmds);
    bf_graph_free(r->graph);
    r->cmds = NULL;
    r->graph = NULL;
    BF_TRY(bf_graph_new(ctx, r->params, &options, &r->graph, err));
    BF_TRY(bf_cmds_new(ctx, &r->cmds, err));
out:
    return st;
}

void bf_replay_free(bf_replay *r)
{
    bf_cmds_free(r->cmds);
    bf_graph_free(r->graph);
    bf_params_free(r->params);
    *r = (bf_replay){.v = NULL};
}

bf_status bf_replay_input(bf_replay *r, const char *name, bool rows, bf_tid *out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *t;

    BF_TRY(bf_st_need(bf_verify_file(r->v), name, &t, err));
    const int skip = rows ? 1 : 0;
    BF_CHECK(t->ndim > skip && t->ndim - skip <= BF_MAX_DIMS && t->count > 0, BF_FILE,
             "%s: tensor '%s' has an unexpected shape", bf_st_name(bf_verify_file(r->v)), name);
    *out = bf_graph_input(r->graph, name, t->ndim - skip, t->dims + skip);
    BF_TRY(bf_graph_status(r->graph, err));
out:
    return st;
}

bf_status bf_replay_fill(bf_replay *r, bf_tid t, const char *name, int row, bf_err *err)
{
    bf_status st = BF_OK;
    float *data = NULL;
    uint64_t n;
    const uint64_t want = bf_graph_numel(r->graph, t), first = row < 0 ? 0 : want * (uint64_t)row;

    BF_TRY(bf_verify_read(r->v, name, &data, &n, err));
    BF_CHECK(first + want <= n, BF_FILE, "%s: tensor '%s' is too short", bf_st_name(bf_verify_file(r->v)), name);
    BF_TRY(bf_write(bf_verify_ctx(r->v), bf_graph_mem(r->graph, t), data + first, (size_t)want * sizeof *data, err));
out:
    free(data);
    return st;
}

/* A stored parameter that the network does not have is a failure of that tensor. */
static void report_unknown(bf_replay *r, const char *prefix)
{
    const bf_st *f = bf_verify_file(r->v);
    const size_t n = strlen(prefix);
    const float nothing = 0.0f;

    for (size_t i = 0; i < bf_st_count(f); i++) {
        const char *name = bf_st_at(f, i)->name;
        if (strncmp(name, prefix, n) == 0 && bf_params_find(r->params, name + n) < 0)
            bf_verify_tensor(r->v, name, &nothing, 0, BF_VERIFY_FORWARD);
    }
}

static bool may_be_absent(const bf_replay *r, const char *param)
{
    return r->unread != NULL && strncmp(param, r->unread, strlen(r->unread)) == 0;
}

static bf_status load(bf_replay *r, const char *prefix, const char *buffer_prefix, bf_err *err)
{
    bf_status st = BF_OK;
    float *data = NULL;

    for (int i = 0; i < bf_params_count(r->params); i++) {
        const bf_param_spec *s = bf_params_spec(r->params, i);
        char name[NAME_SIZE];
        const uint64_t want = bf_param_numel(s);
        uint64_t n;
        snprintf(name, sizeof name, "%s%s", s->buffer ? buffer_prefix : prefix, s->name);
        if (may_be_absent(r, s->name) && bf_st_find(bf_verify_file(r->v), name) == NULL) continue;
        if (s->buffer) {
            bf_verify_tensor(r->v, name, s->data, want, BF_VERIFY_FORWARD);
            continue;
        }
        BF_TRY(bf_verify_read(r->v, name, &data, &n, err));
        BF_CHECK(n == want, BF_FILE, "%s: tensor '%s' has %llu elements, the network %llu",
                 bf_st_name(bf_verify_file(r->v)), name, (unsigned long long)n, (unsigned long long)want);
        BF_TRY(bf_params_set(r->params, BF_SET_VALUE, i, data, err));
        free(data);
        data = NULL;
    }
    report_unknown(r, prefix);
out:
    free(data);
    return st;
}

bf_status bf_replay_prepare(bf_replay *r, unsigned sets, const char *prefix, const char *buffer_prefix, bf_err *err)
{
    bf_status st = BF_OK;

    BF_TRY(bf_graph_status(r->graph, err));
    if (bf_params_count(r->params) > 0) {
        BF_TRY(bf_params_alloc(r->params, sets, err));
        BF_TRY(load(r, prefix, buffer_prefix, err));
    }
    BF_TRY(bf_graph_plan(r->graph, true, NULL, err));
    BF_TRY(bf_graph_emit(r->graph, r->cmds, err));
out:
    return st;
}

bf_status bf_replay_run(bf_replay *r, bf_err *err)
{
    bf_status st = BF_OK;

    BF_TRY(bf_cmds_run(r->cmds, err));
    BF_TRY(bf_finish(bf_verify_ctx(r->v), err));
out:
    return st;
}

bf_status bf_replay_read(bf_replay *r, bf_tid t, float **out, bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t n = bf_graph_numel(r->graph, t);
    float *data = NULL;

    BF_NEW(data, n);
    BF_TRY(bf_read(bf_verify_ctx(r->v), data, bf_graph_mem(r->graph, t), (size_t)n * sizeof *data, err));
    *out = data;
    data = NULL;
out:
    free(data);
    return st;
}

bf_status bf_replay_compare(bf_replay *r, const char *name, bf_tid t, bf_verify_rule rule, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL;

    BF_TRY(bf_replay_read(r, t, &mine, err));
    bf_verify_tensor(r->v, name, mine, bf_graph_numel(r->graph, t), rule);
out:
    free(mine);
    return st;
}

bf_status bf_replay_params(bf_replay *r, bf_param_set set, const char *prefix, bf_verify_rule rule, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL;

    for (int i = 0; i < bf_params_count(r->params); i++) {
        const bf_param_spec *s = bf_params_spec(r->params, i);
        char name[NAME_SIZE];
        const uint64_t n = bf_param_numel(s);
        if (s->buffer) continue;
        snprintf(name, sizeof name, "%s%s", prefix, s->name);
        BF_NEW(mine, n);
        BF_TRY(bf_params_get(r->params, set, i, mine, err));
        bf_verify_tensor(r->v, name, mine, n, rule);
        free(mine);
        mine = NULL;
    }
out:
    free(mine);
    return st;
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

/* [outer,a,b] -> [outer,b,a] */
static void transpose(float *to, const float *from, size_t outer, size_t a, size_t b)
{
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < a; i++)
            for (size_t j = 0; j < b; j++) to[(o * b + j) * a + i] = from[(o * a + i) * b + j];
}

bf_status bf_replay_input_image(bf_replay *r, const char *name, bf_tid *out, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_st_tensor *t;

    BF_TRY(bf_st_need(bf_verify_file(r->v), name, &t, err));
    BF_CHECK(t->ndim == 4 && t->count > 0, BF_FILE, "%s: tensor '%s' is no image", bf_st_name(bf_verify_file(r->v)),
             name);
    *out = bf_graph_input(r->graph, name, 4, (uint64_t[]){t->dims[0], t->dims[2], t->dims[3], t->dims[1]});
    BF_TRY(bf_graph_status(r->graph, err));
out:
    return st;
}

bf_status bf_replay_fill_image(bf_replay *r, bf_tid t, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t batch = bf_graph_dim(r->graph, t, 0), ch = bf_graph_dim(r->graph, t, 3);
    const size_t points = bf_graph_dim(r->graph, t, 1) * bf_graph_dim(r->graph, t, 2);
    float *stored = NULL, *turned = NULL;
    uint64_t n;

    BF_TRY(bf_verify_read(r->v, name, &stored, &n, err));
    BF_NEW(turned, n);
    transpose(turned, stored, batch, ch, points);
    BF_TRY(bf_write(bf_verify_ctx(r->v), bf_graph_mem(r->graph, t), turned, (size_t)n * sizeof *turned, err));
out:
    free(stored);
    free(turned);
    return st;
}

bf_status bf_replay_read_image(bf_replay *r, bf_tid t, float **out, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t batch = bf_graph_dim(r->graph, t, 0), ch = bf_graph_dim(r->graph, t, 3);
    const size_t points = bf_graph_dim(r->graph, t, 1) * bf_graph_dim(r->graph, t, 2);
    float *mine = NULL, *turned = NULL;

    BF_TRY(bf_replay_read(r, t, &mine, err));
    BF_NEW(turned, batch * points * ch);
    transpose(turned, mine, batch, points, ch);
    if (n) *n = batch * points * ch;
    *out = turned;
    turned = NULL;
out:
    free(mine);
    free(turned);
    return st;
}

bf_status bf_replay_compare_image(bf_replay *r, const char *name, bf_tid t, bf_verify_rule rule, bf_err *err)
{
    bf_status st = BF_OK;
    float *mine = NULL;
    uint64_t n;

    BF_TRY(bf_replay_read_image(r, t, &mine, &n, err));
    bf_verify_tensor(r->v, name, mine, n, rule);
out:
    free(mine);
    return st;
}
