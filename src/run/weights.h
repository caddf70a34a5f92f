/*
 * The weights of a network in a file of another program: safetensors or PyTorch, under the official names behind
 * whatever prefix ("net.", "module.net.", "state_dict.dynamics."), in any dictionary, raw and averaged ones apart.
 */
#ifndef BF_RUN_WEIGHTS_H
#define BF_RUN_WEIGHTS_H

#include "graph/params.h"
#include "io/tensors.h"

typedef struct bf_weights {
    bf_tensors *file; /* not owned */
    const bf_params *params;
    ptrdiff_t *tensor;               /* per parameter; -1: a fixed table that the file leaves out */
    char prefix[BF_PT_MAX_NAME + 1]; /* in front of the official names */
    bool averaged;                   /* the prefix says so */
} bf_weights;

/*
 * Finds every registered parameter. A prefix qualifies by the parameters behind it; of several complete ones `averaged`
 * prefers those that name an average ("ema_state_dict."), else those that do not; a file with one set has it for both.
 * BF_FILE, with the names and both shapes, when a parameter is missing or has another shape, or when its dictionary
 * holds a tensor that the network has not. Fixed tables may be absent. The file must stay open.
 */
bf_status bf_weights_find(const bf_params *p, bf_tensors *file, bool averaged, bf_weights *out, bf_err *err);
void bf_weights_free(bf_weights *w);

/* Parameter i in its official shape. */
bf_status bf_weights_read(const bf_weights *w, int i, float *out, bf_err *err);
/* All of them into a set of the store they were found for, which is allocated; one at a time in memory. */
bf_status bf_weights_put(const bf_weights *w, bf_params *p, bf_param_set set, bf_err *err);

#endif
