/* Scoring: one prepared evaluation of the network and a loss, used by validation, eval and the embedded model. */
#ifndef BF_RUN_SCORE_H
#define BF_RUN_SCORE_H

#include "io/dataset.h"
#include "run/model.h"

typedef struct bf_scorer bf_scorer;

/* Registers the parameters if nobody has; allocates BF_SET_VALUE if nothing is allocated; `plan` may be NULL.
 * `beside`: see bf_graph_options, may be NULL. `dry_run`: only the plan, *out is NULL. */
bf_status bf_scorer_new(bf_model *m, bf_param_set weights, const bf_flow_loss_spec *spec, uint32_t batch,
                        const bf_graph *beside, bool dry_run, bf_scorer **out, bf_plan *plan, bf_err *err);
/* The same for the values of a model that is in memory, with batches of at most *batch examples: fewer where memory
 * does not allow it (said in the log), which is then *batch. */
bf_status bf_scorer_fit(bf_model *m, const bf_flow_loss_spec *spec, uint32_t *batch, bool dry_run, bf_scorer **out,
                        bf_plan *plan, bf_err *err);
void bf_scorer_free(bf_scorer *s);
uint32_t bf_scorer_batch(const bf_scorer *s);
const bf_flow_loss_spec *bf_scorer_spec(const bf_scorer *s);

/* Random numbers of a score: a function of (seed, pass, index of the example), not of the batch. */
typedef struct bf_score_key {
    uint64_t seed;
    uint32_t pass, passes; /* this is pass number `pass` of `passes` over the same examples; their times spread */
    uint32_t first;        /* index of the first row among `total` */
    uint32_t total;
    bool low_discrepancy;
    double *variables;    /* [D], or NULL: the loss of each variable, summed over the rows, is added to it */
    const uint32_t *skip; /* [rows], or NULL: that many variables at the beginning of a row do not count (one group
                             only) */
} bf_score_key;

/* The times at which bf_scorer_rows scores rows first .. first + rows - 1. */
void bf_scorer_times(const bf_scorer *s, const bf_score_key *key, uint32_t rows, float *t);

/* Losses of rows <= batch examples x [rows, D], as the flow wants them, without labels, in nats per dimension into
 * nats[rows]: sums over the groups, without their weights, divided by D. `groups` [groups, rows], may be NULL: of each
 * group, in nats per variable of its own. */
bf_status bf_scorer_rows(bf_scorer *s, const float *x, uint32_t rows, const bf_score_key *key, float *nats,
                         float *groups, bf_err *err);

/* Called after every batch with the number of examples done; false stops with BF_STOPPED. */
typedef bool (*bf_score_fn)(void *user, uint64_t done, uint64_t total);

/* One pass over the first key->total examples of a split (key->first and skip are not looked at); adds the loss of
 * example i to sums[i], of BF_SPLIT_ALL without what overlaps with the example before, and that of its group g to
 * groups[g key->total + i] (groups may be NULL). A loss that is not finite is BF_NUMERIC. */
bf_status bf_scorer_pass(bf_scorer *s, const bf_dataset *ds, bf_split split, const bf_score_key *key, double *sums,
                         double *groups, bf_score_fn progress, void *user, bf_err *err);

#endif
