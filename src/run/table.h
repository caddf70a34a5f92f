/*
 * Models of tables: the groups of their columns, and cells drawn by the sampler.
 *
 * Columns of one kind and number of levels are one group. flow.min_variance is that of continuous columns; levels have
 * sigma1 = a quarter of the distance of two levels (the released 16 bins: 1e-3), K words beta(1) = 20 / K, as the
 * released 27 characters and ChemBFN have about. With flow.kind categorical levels are classes.
 */
#ifndef BF_RUN_TABLE_H
#define BF_RUN_TABLE_H

#include "io/table.h"
#include "run/model.h"

/* The groups of a schema; free in every case. */
bf_status bf_table_hybrid(const bf_config *c, const bf_schema *s, bf_hybrid *out, bf_err *err);

/* What a sampler is told about one row: `hold` [dims], values that stay as they are or NaN, and the condition. cells
 * [dims] as in io/table.h: NaN is to be drawn; NULL: all are. `fed`: scratch of m->row floats. */
void bf_table_hold(const bf_model *m, const float *cells, float *fed, float *hold, float *condition);

/* `draws` samples of each of `rows` rows, sampled[rows, draws, dims], as value[rows, dims] of bf_column_value: numbers
 * are the mean of the draws (integers the nearest one), words the most frequent. Places inside bins depend on seed and
 * the number of the sample. */
void bf_table_values(const bf_model *m, const float *sampled, uint64_t rows, uint32_t draws, uint64_t seed,
                     double *value);

#endif
