/* Inside of training: the prepared step (train_step.c) and the checkpoints of a run folder (train_folder.c). */
#ifndef BF_RUN_TRAIN_H
#define BF_RUN_TRAIN_H

#include "io/dataset.h"
#include "run/model.h"
#include "run/score.h"
#include "run/trainlog.h"

/* ---- the step ---------------------------------------------------------------------------------------------------- */

/* Flow, network, loss and gradients of the examples that are in memory at once (bf_setup_batch); clip, AdamW and
 * average of the whole batch. */
typedef struct bf_stepper bf_stepper;

/* Builds the step; with allocate, parameters get all their sets. Without, only the plan: that of one part of the batch,
 * of which a step runs train.accumulate. */
bf_status bf_stepper_new(bf_model *m, bool allocate, bf_stepper **out, bf_plan *plan, bf_err *err);
void bf_stepper_free(bf_stepper *s);
/* Kernels, copies and fills of a step. */
size_t bf_stepper_commands(const bf_stepper *s);
/* What a graph that never runs while a step does may have beside it (bf_graph_options). */
const bf_graph *bf_stepper_graph(const bf_stepper *s);
void bf_stepper_report(const bf_stepper *s, void (*line)(void *user, const char *text), void *user);

typedef struct bf_step_result {
    double loss;                  /* nats per dimension, mean of the batch */
    double grad_norm, clip_limit; /* 0: not clipped */
    bool finite;                  /* false: the update was left out */
} bf_step_result;

/* Two steps may be under way. For each: fill the memory of bf_stepper_rows, [batch, D], as the flow wants it; submit
 * step number `step` (0, 1, ...); wait for the result of the oldest one that was submitted. */
bf_status bf_stepper_rows(bf_stepper *s, float **x, bf_err *err);
bf_status bf_stepper_submit(bf_stepper *s, uint64_t step, double lr, bf_err *err);
bf_status bf_stepper_wait(bf_stepper *s, bf_step_result *r, bf_err *err);

/* All three for a copy of x [batch, D]. */
bf_status bf_stepper_run(bf_stepper *s, const float *x, uint64_t step, double lr, bf_step_result *r, bf_err *err);

/* Learning rate of step 0, 1, ...: linear warm-up, then as train.schedule says. */
double bf_learning_rate(const bf_config *c, const bf_plateau *p, uint64_t step);

/* When `patience` losses in a row did not beat the best one by the factor 1 - threshold and one more does not either,
 * the rate is multiplied by `factor`, down to `floor`; changes of at most `least` are left out. The count then
 * restarts. */
typedef struct bf_plateau_rule {
    double factor, floor, threshold, least;
    int64_t patience;
} bf_plateau_rule;
bf_plateau_rule bf_train_plateau(const bf_config *c);
void bf_plateau_add(bf_plateau *p, const bf_plateau_rule *r, double loss);

/* The training loss as the configuration has it. */
bf_flow_loss_spec bf_train_loss(const bf_config *c);

/* ---- the folder -------------------------------------------------------------------------------------------------- */

/* Paths of a run. */
typedef struct bf_run_folder {
    char root[1024], config[1024], log[1024], last[1024], previous[1024], best[1024], chart[1024];
} bf_run_folder;
bf_status bf_run_folder_init(bf_run_folder *f, const char *root, bf_err *err);

/* Makes the folder. One that holds a run already is renamed to ROOT.1, ROOT.2, ... and that is said in the log. */
bf_status bf_run_folder_start(const bf_run_folder *f, bf_err *err);

/* Writes last.safetensors; the one before becomes previous.safetensors. */
bf_status bf_run_folder_save(const bf_run_folder *f, const bf_model *m, bf_err *err);

/* Loads the newest valid checkpoint into an allocated model; *found is false when there is none. An invalid one is
 * renamed to .bad, which is said in the log, and the one before is tried. A checkpoint of another network or flow is
 * BF_FILE. */
bf_status bf_run_folder_load(const bf_run_folder *f, bf_model *m, bool *found, bf_err *err);

#endif
