#include "graph/params.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/size.h"

#define MAX_AHEAD (UINT64_C(256) << 20) /* bytes of initial values computed ahead */

/* Which arenas a parameter lives in: the optimiser walks the first two kinds, buffers exist in BF_SET_VALUE alone. */
enum group { GROUP_DECAY, GROUP_PLAIN, GROUP_BUFFER, GROUP_COUNT };

typedef struct param {
    bf_param_spec spec; /* name and data owned */
    uint64_t numel;
    int leader; /* bf_params_follow; -1: none */
    int arena;
    uint64_t off; /* bytes inside the arena */
} param;

typedef struct arena {
    enum group group;
    uint64_t bytes;
    bf_buf *buf[BF_SET_COUNT];
} arena;

/* Initial values on their way, bf_params_expect_init. */
typedef struct ahead {
    bool wanted, running;
    uint64_t seed;
    float *values; /* of all parameters, one behind the other; NULL: none */
    pthread_t thread;
} ahead;

struct bf_params {
    bf_ctx *ctx;
    param *param;
    int count, capacity;
    arena *arena;
    int arenas;
    bf_param_range *range;
    int ranges;
    bool allocated;
    ahead ahead;
};

static enum group group_of(const param *p)
{
    if (p->spec.buffer) return GROUP_BUFFER;
    return p->spec.decay ? GROUP_DECAY : GROUP_PLAIN;
}

/* ---- initial values ---------------------------------------------------------------------------------------------- */

static void fill_init(const param *q, uint64_t seed, uint32_t index, float *x)
{
    const bf_param_spec *s = &q->spec;
    const uint64_t n = q->numel;

    switch (s->init) {
    case BF_INIT_ZERO: memset(x, 0, (size_t)n * sizeof *x); break;
    case BF_INIT_ONE:
        for (uint64_t e = 0; e < n; e++) x[e] = 1.0f;
        break;
    case BF_INIT_UNIFORM:
        bf_philox_uniforms(seed, 0, index, BF_STREAM_INIT, x, n);
        for (uint64_t e = 0; e < n; e++) x[e] = s->init_scale * (2.0f * x[e] - 1.0f);
        break;
    case BF_INIT_NORMAL:
        bf_philox_normals(seed, 0, index, BF_STREAM_INIT, x, n);
        for (uint64_t e = 0; e < n; e++) x[e] *= s->init_scale;
        break;
    }
}

static void *run_ahead(void *data)
{
    const bf_params *p = data; /* the list does not change any more */
    float *x = p->ahead.values;

    for (int i = 0; i < p->count; i++) {
        if (!p->param[i].spec.data) fill_init(&p->param[i], p->ahead.seed, (uint32_t)i, x);
        x += p->param[i].numel;
    }
    return NULL;
}

/* Without memory or a thread bf_params_init does all of it. */
static void start_ahead(bf_params *p)
{
    ahead *a = &p->ahead;
    uint64_t n = 0;

    for (int i = 0; i < p->count; i++) n += p->param[i].numel;
    if (!a->wanted || n == 0 || n > MAX_AHEAD / sizeof(float)) return;
    a->values = malloc((size_t)n * sizeof *a->values);
    a->running = a->values != NULL && pthread_create(&a->thread, NULL, run_ahead, p) == 0;
    if (a->running) return;
    free(a->values);
    a->values = NULL;
}

static void end_ahead(bf_params *p)
{
    if (p->ahead.running) pthread_join(p->ahead.thread, NULL);
    p->ahead.running = false;
}

void bf_params_expect_init(bf_params *p, uint64_t seed)
{
    p->ahead.wanted = true;
    p->ahead.seed = seed;
}

bf_status bf_params_new(bf_ctx *ctx, bf_params **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_params *p = NULL;

    BF_NEW(p, 1);
    p->ctx = ctx;
    *out = p;
out:
    return st;
}

void bf_params_free(bf_params *p)
{
    if (!p) return;
    end_ahead(p);
    free(p->ahead.values);
    for (int i = 0; i < p->count; i++) {
        free((char *)p->param[i].spec.name);
        free((float *)p->param[i].spec.data);
    }
    for (int i = 0; i < p->arenas; i++)
        for (int s = 0; s < BF_SET_COUNT; s++) bf_buf_free(p->arena[i].buf[s]);
    free(p->param);
    free(p->arena);
    free(p->range);
    free(p);
}

/* ---- registration ------------------------------------------------------------------------------------------------ */

static bf_status check_spec(const bf_param_spec *s, uint64_t *numel, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t n = 1, bytes;

    BF_CHECK(s->ndim >= 1 && s->ndim <= 6, BF_USAGE, "parameter '%s' has %d dimensions, 1 to 6 are possible", s->name,
             s->ndim);
    for (int i = 0; i < s->ndim; i++)
        BF_CHECK(s->dims[i] > 0 && bf_mul_u64(n, s->dims[i], &n), BF_USAGE,
                 "parameter '%s' has an impossible size in dimension %d", s->name, i);
    BF_CHECK(bf_mul_u64(n, sizeof(float), &bytes) && n <= UINT32_MAX, BF_USAGE, "parameter '%s' is too large", s->name);
    if (s->layout == BF_LAYOUT_CONV)
        BF_CHECK(s->ndim == 4 && s->dims[2] == s->dims[3], BF_USAGE, "parameter '%s' is not a square convolution",
                 s->name);
    *numel = n;
out:
    return st;
}

static bool same_shape(const bf_param_spec *a, const bf_param_spec *b)
{
    return a->ndim == b->ndim && a->layout == b->layout && a->buffer == b->buffer &&
           memcmp(a->dims, b->dims, (size_t)a->ndim * sizeof a->dims[0]) == 0;
}

static bf_status grow(bf_params *p, bf_err *err)
{
    bf_status st = BF_OK;

    if (p->count == p->capacity) {
        int capacity = p->capacity ? 2 * p->capacity : 64;
        param *more = realloc(p->param, (size_t)capacity * sizeof *more);
        BF_CHECK(more, BF_RUNTIME, "out of memory for the list of parameters");
        p->param = more;
        p->capacity = capacity;
    }
out:
    return st;
}

bf_status bf_params_add(bf_params *p, const bf_param_spec *spec, int *index, bf_err *err)
{
    bf_status st = BF_OK;
    char *name = NULL;
    float *data = NULL;
    uint64_t numel = 0;
    int have = bf_params_find(p, spec->name);

    if (have >= 0) {
        BF_CHECK(same_shape(&p->param[have].spec, spec), BF_USAGE, "parameter '%s' is used with two different shapes",
                 spec->name);
        *index = have;
        return BF_OK;
    }
    BF_CHECK(!p->allocated, BF_USAGE, "parameter '%s' is not part of the model that is in memory", spec->name);
    BF_TRY(check_spec(spec, &numel, err));
    BF_TRY(grow(p, err));
    BF_NEW(name, strlen(spec->name) + 1);
    memcpy(name, spec->name, strlen(spec->name) + 1);
    if (spec->data) {
        BF_NEW(data, numel);
        memcpy(data, spec->data, (size_t)numel * sizeof *data);
    }
    p->param[p->count] = (param){.spec = *spec, .numel = numel, .leader = -1, .arena = -1};
    p->param[p->count].spec.name = name;
    p->param[p->count].spec.data = data;
    *index = p->count++;
    return BF_OK;
out:
    free(name);
    free(data);
    return st;
}

int bf_params_count(const bf_params *p)
{
    return p->count;
}

const bf_param_spec *bf_params_spec(const bf_params *p, int index)
{
    return &p->param[index].spec;
}

int bf_params_find(const bf_params *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->param[i].spec.name, name) == 0) return i;
    return -1;
}

uint64_t bf_params_numel(const bf_params *p)
{
    uint64_t n = 0;

    for (int i = 0; i < p->count; i++)
        if (!p->param[i].spec.buffer) n += p->param[i].numel;
    return n;
}

/* ---- placement --------------------------------------------------------------------------------------------------- */

void bf_params_follow(bf_params *p, int index, int leader)
{
    const param *a = &p->param[index], *b = &p->param[leader];

    if (!p->allocated && index != leader && b->leader < 0 && a->numel == b->numel && group_of(a) == group_of(b))
        p->param[index].leader = leader;
}

/* A walk over the parameters that gives each a place. */
typedef struct walk {
    uint64_t align, limit;
    uint64_t at;     /* end of the current arena */
    uint64_t *bytes; /* of each group */
    int arenas;
    bf_params *p; /* receives the places, or NULL */
} walk;

/* A new arena starts where the largest allocation of the device would be exceeded. */
static void place_one(walk *w, const param *q, int index)
{
    const enum group g = group_of(q);
    const uint64_t size = bf_round_up(q->numel * sizeof(float), w->align);

    if (w->bytes[g] == 0 || w->at + size > w->limit) {
        w->at = 0;
        w->arenas++;
    }
    if (w->p) {
        arena *a = &w->p->arena[w->arenas - 1];
        w->p->param[index].arena = w->arenas - 1;
        w->p->param[index].off = w->at;
        a->group = g;
        a->bytes = w->at + size;
    }
    w->at += size;
    w->bytes[g] += size;
}

/* Group by group in order of registration, followers behind their leader. bytes[group] are the sizes found, *arenas the
 * number of arenas; the places themselves go to `to` (= p, or NULL when only the sizes are wanted). A parameter that is
 * larger than any arena gets one of its own (allocation then fails with the device's sentence). */
static void place(const bf_params *p, bf_params *to, uint64_t bytes[GROUP_COUNT], int *arenas)
{
    const uint64_t align = bf_ctx_align(p->ctx), limit = bf_ctx_max_alloc(p->ctx) / align * align;
    walk w = {.align = align, .limit = limit, .bytes = bytes, .p = to};

    for (int g = 0; g < GROUP_COUNT; g++) {
        bytes[g] = 0;
        for (int i = 0; i < p->count; i++) {
            if ((int)group_of(&p->param[i]) != g || p->param[i].leader >= 0) continue;
            place_one(&w, &p->param[i], i);
            for (int k = 0; k < p->count; k++)
                if (p->param[k].leader == i) place_one(&w, &p->param[k], k);
        }
    }
    *arenas = w.arenas;
}

uint64_t bf_params_bytes(const bf_params *p, unsigned sets)
{
    uint64_t bytes[GROUP_COUNT], total = 0;
    int arenas;

    place(p, NULL, bytes, &arenas);
    for (int s = 0; s < BF_SET_COUNT; s++)
        if (sets & (1u << s)) total += bytes[GROUP_DECAY] + bytes[GROUP_PLAIN];
    return total + bytes[GROUP_BUFFER];
}

static const char *const SET_NAMES[BF_SET_COUNT] = {"weights", "gradients", "first moments", "second moments",
                                                    "averaged weights"};

static bf_status make_ranges(bf_params *p, bf_err *err)
{
    bf_status st = BF_OK;

    BF_NEW(p->range, p->arenas + 1);
    for (int i = 0; i < p->arenas; i++) {
        const arena *a = &p->arena[i];
        if (a->group == GROUP_BUFFER) continue;
        bf_param_range *r = &p->range[p->ranges++];
        for (int s = 0; s < BF_SET_COUNT; s++) r->mem[s] = (bf_mem){a->buf[s], 0};
        r->count = a->bytes / sizeof(float);
        r->decay = a->group == GROUP_DECAY;
    }
out:
    return st;
}

bf_status bf_params_alloc(bf_params *p, unsigned sets, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t bytes[GROUP_COUNT];
    int arenas;

    BF_CHECK(!p->allocated, BF_USAGE, "the parameters are already in memory");
    BF_CHECK(sets & (1u << BF_SET_VALUE), BF_USAGE, "parameters need a set of values");
    place(p, NULL, bytes, &arenas);
    BF_NEW(p->arena, arenas + 1);
    p->arenas = arenas;
    place(p, p, bytes, &arenas);
    for (int i = 0; i < p->arenas; i++)
        for (int s = 0; s < BF_SET_COUNT; s++) {
            if (!(sets & (1u << s)) || (p->arena[i].group == GROUP_BUFFER && s != BF_SET_VALUE)) continue;
            BF_TRY(bf_buf_new(p->ctx, p->arena[i].bytes, SET_NAMES[s], &p->arena[i].buf[s], err));
        }
    BF_TRY(make_ranges(p, err));
    p->allocated = true;
    for (int i = 0; i < p->count && !p->ahead.wanted; i++) /* else bf_params_init writes all, when memory is there */
        if (p->param[i].spec.data) BF_TRY(bf_params_set(p, BF_SET_VALUE, i, p->param[i].spec.data, err));
    start_ahead(p);
out:
    return st;
}

bool bf_params_allocated(const bf_params *p)
{
    return p->allocated;
}

bf_mem bf_params_mem(const bf_params *p, bf_param_set set, int index)
{
    const param *q = &p->param[index];

    if (!p->allocated) return BF_MEM_NONE;
    if (q->spec.buffer && set == BF_SET_EMA) set = BF_SET_VALUE;
    bf_buf *buf = p->arena[q->arena].buf[set];
    return buf ? (bf_mem){buf, q->off} : BF_MEM_NONE;
}

int bf_params_ranges(const bf_params *p, const bf_param_range **ranges)
{
    *ranges = p->range;
    return p->ranges;
}

/* ---- host transfers ---------------------------------------------------------------------------------------------- */

/* [Co,Ci,taps] <-> [taps,Ci,Co]: the convolution kernels read the output channels of one tap and input channel as a
 * vector. */
static void conv_layout(const bf_param_spec *s, bool to_device, float *dst, const float *src)
{
    const size_t co = s->dims[0], ci = s->dims[1], taps = s->dims[2] * s->dims[3];

    for (size_t o = 0; o < co; o++)
        for (size_t i = 0; i < ci; i++)
            for (size_t t = 0; t < taps; t++) {
                size_t file = (o * ci + i) * taps + t, device = (t * ci + i) * co + o;
                if (to_device)
                    dst[device] = src[file];
                else
                    dst[file] = src[device];
            }
}

bf_status bf_params_set(bf_params *p, bf_param_set set, int index, const float *data, bf_err *err)
{
    bf_status st = BF_OK;
    const param *q = &p->param[index];
    const size_t bytes = (size_t)q->numel * sizeof(float);
    bf_mem mem = bf_params_mem(p, set, index);
    float *turned = NULL;

    BF_CHECK(!bf_mem_is_none(mem), BF_USAGE, "parameter '%s': no %s in memory", q->spec.name, SET_NAMES[set]);
    if (q->spec.layout == BF_LAYOUT_CONV) {
        BF_NEW(turned, q->numel);
        conv_layout(&q->spec, true, turned, data);
        data = turned;
    }
    BF_TRY(bf_write(p->ctx, mem, data, bytes, err));
out:
    free(turned);
    return st;
}

bf_status bf_params_get(const bf_params *p, bf_param_set set, int index, float *data, bf_err *err)
{
    bf_status st = BF_OK;
    const param *q = &p->param[index];
    const size_t bytes = (size_t)q->numel * sizeof(float);
    bf_mem mem = bf_params_mem(p, set, index);
    float *turned = NULL;

    BF_CHECK(!bf_mem_is_none(mem), BF_USAGE, "parameter '%s': no %s in memory", q->spec.name, SET_NAMES[set]);
    if (q->spec.layout == BF_LAYOUT_CONV) {
        BF_NEW(turned, q->numel);
        BF_TRY(bf_read(p->ctx, turned, mem, bytes, err));
        conv_layout(&q->spec, false, data, turned);
    } else {
        BF_TRY(bf_read(p->ctx, data, mem, bytes, err));
    }
out:
    free(turned);
    return st;
}

bf_status bf_params_copy(bf_params *p, bf_param_set to, bf_param_set from, bf_err *err)
{
    bf_status st = BF_OK;
    bf_cmds *c = NULL;

    BF_TRY(bf_cmds_new(p->ctx, &c, err));
    for (int i = 0; i < p->ranges; i++) {
        const bf_param_range *r = &p->range[i];
        BF_CHECK(!bf_mem_is_none(r->mem[to]) && !bf_mem_is_none(r->mem[from]), BF_USAGE, "no %s in memory",
                 SET_NAMES[bf_mem_is_none(r->mem[to]) ? to : from]);
        BF_TRY(bf_cmds_copy(c, r->mem[to], r->mem[from], r->count * sizeof(float), err));
    }
    BF_TRY(bf_cmds_run(c, err));
    BF_TRY(bf_finish(p->ctx, err));
out:
    bf_cmds_free(c);
    return st;
}

/* The values of all parameters, if they were computed ahead for this seed; freed by the caller. */
static float *take_ahead(bf_params *p, uint64_t seed)
{
    float *values = p->ahead.values;

    end_ahead(p);
    p->ahead.values = NULL;
    if (p->ahead.seed == seed) return values;
    free(values);
    return NULL;
}

bf_status bf_params_init(bf_params *p, uint64_t seed, bf_err *err)
{
    bf_status st = BF_OK;
    float *own = NULL, *all = take_ahead(p, seed);
    const float *next = all;
    uint64_t largest = 1;

    BF_CHECK(p->allocated, BF_USAGE, "parameters have to be in memory before they are initialised");
    for (int i = 0; i < p->count; i++) largest = BF_MAX(largest, p->param[i].numel);
    if (!all) BF_NEW(own, largest);
    for (int i = 0; i < p->count; i++) {
        const param *q = &p->param[i];
        const float *from = q->spec.data ? q->spec.data : all ? next : own;
        if (from == own) fill_init(q, seed, (uint32_t)i, own);
        if (all) next += q->numel;
        BF_TRY(bf_params_set(p, BF_SET_VALUE, i, from, err));
    }
    if (p->ranges > 0 && !bf_mem_is_none(p->range[0].mem[BF_SET_EMA]))
        BF_TRY(bf_params_copy(p, BF_SET_EMA, BF_SET_VALUE, err));
out:
    free(own);
    free(all);
    return st;
}
