/*
 * The parameter store: every weight of a model by its official name, in a few contiguous arenas per set, so that the
 * optimiser runs over whole ranges. Shared by the training graph, the evaluation graph and the sampler.
 */
#ifndef BF_GRAPH_PARAMS_H
#define BF_GRAPH_PARAMS_H

#include "device/device.h"

typedef enum bf_param_set { BF_SET_VALUE, BF_SET_GRAD, BF_SET_M, BF_SET_V, BF_SET_EMA, BF_SET_COUNT } bf_param_set;

typedef enum bf_layout {
    BF_LAYOUT_PLAIN,
    BF_LAYOUT_CONV /* files and host: [Co,Ci,k,k]; device: [k,k,Ci,Co] */
} bf_layout;

typedef enum bf_init { BF_INIT_ZERO, BF_INIT_ONE, BF_INIT_UNIFORM, BF_INIT_NORMAL } bf_init;

typedef struct bf_param_spec {
    const char *name; /* official name without the "net." prefix; copied */
    int ndim;
    uint64_t dims[6]; /* official shape */
    bf_layout layout;
    bool decay;  /* weight decay applies */
    bool buffer; /* not trained, not averaged (position codes) */
    bf_init init;
    float init_scale;  /* UNIFORM: U(-s, s); NORMAL: sd */
    const float *data; /* buffers: initial content, copied; else NULL */
} bf_param_spec;

static inline uint64_t bf_param_numel(const bf_param_spec *s)
{
    uint64_t n = 1;

    for (int i = 0; i < s->ndim; i++) n *= s->dims[i];
    return n;
}

typedef struct bf_params bf_params;

bf_status bf_params_new(bf_ctx *ctx, bf_params **out, bf_err *err);
void bf_params_free(bf_params *p);

/* Registers; an existing name must have the same shape. *index is stable. */
bf_status bf_params_add(bf_params *p, const bf_param_spec *spec, int *index, bf_err *err);
/* Asks for a place of parameter `index` right behind `leader` and those that followed it before, so that parameters of
 * one size lie at equal distances and one launch can read them all. Without effect on what is in memory already, and
 * where an arena ends: users look at bf_params_mem. */
void bf_params_follow(bf_params *p, int index, int leader);
int bf_params_count(const bf_params *p);
const bf_param_spec *bf_params_spec(const bf_params *p, int index); /* in order of registration */
int bf_params_find(const bf_params *p, const char *name);           /* -1 if absent */
uint64_t bf_params_numel(const bf_params *p);                       /* trained parameters only */

/* Bytes the given sets (bit mask 1 << set) take; and allocation. After bf_params_alloc nothing can be registered. */
uint64_t bf_params_bytes(const bf_params *p, unsigned sets);
bf_status bf_params_alloc(bf_params *p, unsigned sets, bf_err *err);
bool bf_params_allocated(const bf_params *p);
bf_mem bf_params_mem(const bf_params *p, bf_param_set set, int index);
/* Contiguous ranges for the optimiser: each has one decay flag. */
typedef struct bf_param_range {
    bf_mem mem[BF_SET_COUNT];
    uint64_t count; /* floats, padding (always zero) included */
    bool decay;
} bf_param_range;
int bf_params_ranges(const bf_params *p, const bf_param_range **ranges);

/* Initialisation from the specs: element e of parameter i is a function of (seed, i, e) alone. Averages start as
 * copies. */
bf_status bf_params_init(bf_params *p, uint64_t seed, bf_err *err);
/* bf_params_init with this seed will follow: bf_params_alloc starts a thread that computes the numbers beside what the
 * caller does next, such as building programs. Costs host memory of one set until then; too large models do without. */
void bf_params_expect_init(bf_params *p, uint64_t seed);
/* Copies all trained parameters of one set to another on the device. Waits. */
bf_status bf_params_copy(bf_params *p, bf_param_set to, bf_param_set from, bf_err *err);
/* Host transfers in the official shape and order. */
bf_status bf_params_set(bf_params *p, bf_param_set set, int index, const float *data, bf_err *err);
bf_status bf_params_get(const bf_params *p, bf_param_set set, int index, float *data, bf_err *err);

#endif
