/* One golden case on the device: a graph with its parameters, and the ways its tensors are compared. Used by the
 * replays of networks, adapters and training. */
#ifndef BF_RUN_REPLAY_H
#define BF_RUN_REPLAY_H

#include "graph/graph.h"
#include "run/verify.h"

typedef struct bf_replay {
    bf_verify *v;
    bf_params *params;
    bf_graph *graph;
    bf_cmds *cmds;
    const char
        *unread; /* beginning of the names of parameters that nothing reads: a file may leave them out; or NULL */
} bf_replay;

bf_status bf_replay_new(bf_replay *r, bf_verify *v, bf_err *err);
void bf_replay_free(bf_replay *r);
/* Starts again with an empty graph on the same parameters, which keep their values. bf_replay_new makes the first one,
 * for training. */
bf_status bf_replay_graph(bf_replay *r, bool training, bf_err *err);

/* A graph input of the shape of the stored tensor (`rows`: of one entry of its first dimension); BF_FILE when it is
 * absent. */
bf_status bf_replay_input(bf_replay *r, const char *name, bool rows, bf_tid *out, bf_err *err);
/* Fills such an input: `row` >= 0 takes one entry of the first dimension. */
bf_status bf_replay_fill(bf_replay *r, bf_tid t, const char *name, int row, bf_err *err);

/* Allocates the store (if the graph has parameters), loads PREFIX + name of every parameter from the file (buffers keep
 * their computed content, which is compared with BUFFER_PREFIX + name), plans and prepares the graph. */
bf_status bf_replay_prepare(bf_replay *r, unsigned sets, const char *prefix, const char *buffer_prefix, bf_err *err);

/* Weights beside an expectation NAME_expected.safetensors: NAME_raw.pt or NAME_ema.pt, else of NAME.pt. The store has
 * BF_SET_VALUE. */
bf_status bf_replay_weights(bf_replay *r, bool averaged, bf_err *err);

/* The same for images and keep masks, which files store channels first: [B,C,H,W] there, [B,H,W,C] on the device. */
bf_status bf_replay_input_image(bf_replay *r, const char *name, bf_tid *out, bf_err *err);
bf_status bf_replay_fill_image(bf_replay *r, bf_tid t, const char *name, bf_err *err);
/* Content of such a tensor in the order of the files, fresh memory; *n may be NULL. */
bf_status bf_replay_read_image(bf_replay *r, bf_tid t, float **out, uint64_t *n, bf_err *err);
bf_status bf_replay_compare_image(bf_replay *r, const char *name, bf_tid t, bf_verify_rule rule, bf_err *err);

/* Runs everything once and waits. */
bf_status bf_replay_run(bf_replay *r, bf_err *err);

/* Content of a tensor in fresh memory. */
bf_status bf_replay_read(bf_replay *r, bf_tid t, float **out, bf_err *err);
/* Reads and compares. */
bf_status bf_replay_compare(bf_replay *r, const char *name, bf_tid t, bf_verify_rule rule, bf_err *err);
/* Every trained parameter of a set against PREFIX + name. */
bf_status bf_replay_params(bf_replay *r, bf_param_set set, const char *prefix, bf_verify_rule rule, bf_err *err);

#endif
