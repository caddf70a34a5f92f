/* What `bfncl eval` says of tables beyond code lengths per variable. */
#ifndef BF_RUN_EVAL_TABLE_H
#define BF_RUN_EVAL_TABLE_H

#include "run/progress.h"
#include "run/table.h"

/* From the code length of the bin in which a continuous cell's mapped number lies to that of the number at the
 * resolution of its last decimal: adds the difference to nats[i], per variable, of row i; to that of its group in
 * groups[groups, rows] (may be NULL); and to columns[D], sums over the rows in nats. */
void bf_eval_resolution(const bf_model *m, const bf_dataset *ds, uint64_t rows, double *nats, double *groups,
                        double *columns);

/* The marginal model and the Gaussian copula of the training rows of `train`, on the first `rows` rows of `ds`: means
 * and standard errors in bits per variable into the result. */
bf_status bf_eval_table_baselines(const bf_model *m, const bf_dataset *train, const bf_dataset *ds, uint64_t rows,
                                  bfncl_eval_result *r, bf_err *err);

/* Hides a part of the cells of the first `rows` rows, draws them `draws` times given the rest, and compares with the
 * means and most frequent words of the training rows: fills r->impute and the columns' errors. */
bf_status bf_eval_impute(bf_model *m, const bf_dataset *train, const bf_dataset *ds, uint64_t rows, double part,
                         uint32_t draws, uint64_t seed, bf_report *report, bfncl_eval_result *r, bf_err *err);

#endif
