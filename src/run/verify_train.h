/* What the replays of training share: clipping, optimiser, averages, and how their results are compared (golden README,
 * section 8). */
#ifndef BF_RUN_VERIFY_TRAIN_H
#define BF_RUN_VERIFY_TRAIN_H

#include "run/replay.h"

typedef struct bf_train_recipe {
    bf_adamw adamw;
    double lr, clip;
    uint32_t queue; /* length of the queue of norms that limits them; 0: `clip` does */
    int steps;
} bf_train_recipe;

/* "optimizer", "n_steps" and what says the clipping; "param_groups" where the file has them. */
bf_status bf_train_recipe_read(const bf_st *f, bf_train_recipe *out, bf_err *err);

typedef struct bf_train_replay {
    bf_replay r;
    bf_train_recipe recipe;
    const char *owner; /* in front of the names of parameters: "net." */
    double ema_decay;
    bf_cmds *update; /* norm, clipping, optimiser */
    bf_buf *stats, *workspace, *record, *queue;
    float *loss, *norm, *clip, *limit; /* [recipe.steps]; the caller fills in `loss` */
} bf_train_replay;

/* Free in every case. */
bf_status bf_train_replay_new(bf_verify *v, const char *owner, double ema_decay, bf_train_replay *out, bf_err *err);
void bf_train_replay_free(bf_train_replay *u);
/* Once the parameters have their first values: averages begin there, and the commands are prepared. */
bf_status bf_train_replay_begin(bf_train_replay *u, bf_err *err);
/* What the optimiser makes of the gradients of step 0, 1, ... */
bf_status bf_train_replay_step(bf_train_replay *u, int step, bf_err *err);
/* The gradients of step 0 as they are now, against "grad1.". */
bf_status bf_train_replay_first_gradient(bf_train_replay *u, bf_err *err);
/* Losses, norms, clipping, weights and moments after the last step, as far as they are stored. */
bf_status bf_train_replay_compare(bf_train_replay *u, bf_err *err);
/* One set of parameters after the last step, where "trust." allows. */
bf_status bf_train_replay_weights(bf_train_replay *u, bf_param_set set, const char *prefix, bf_err *err);

/* Calls `replay` for every average the file has: its decay, its prefix ("ema09."), and whether it is the first one. */
typedef bf_status (*bf_train_replay_fn)(void *user, bf_verify *v, double decay, const char *prefix, bool first,
                                        bf_err *err);
bf_status bf_train_replay_averages(bf_verify *v, bf_train_replay_fn replay, void *user, bf_err *err);

#endif
