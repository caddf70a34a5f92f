/*
 * What a model of a table must beat.
 *
 * Marginals: every column independent. Of levels and words the counts of the training rows, one added to each; of a
 * continuous column a histogram of 64 equal parts of its mapped range, one added to each count.
 *
 * Gaussian copula: these marginals, and a normal vector z with correlations R behind them, a cell being known when z
 * lies between two quantiles. Words have an order for this: that of the mean of the column of numbers they tell most
 * about (without one: of their frequency). R maximises the likelihood of the training rows (stochastic EM: z is drawn
 * given the cells and R, R becomes the correlations of z, averaged over the second half of the rounds). The likelihood
 * of a row is an integral over a box, estimated without bias by sequential importance sampling (Geweke, Hajivassiliou
 * and Keane).
 */
#ifndef BF_IO_BASELINE_H
#define BF_IO_BASELINE_H

#include "io/table.h"

typedef struct bf_baseline bf_baseline;

/* Fits both to rows x [rows, dims] of io/table.h, of which `s` is the schema (which must outlive it). */
bf_status bf_baseline_fit(const bf_schema *s, const float *x, uint64_t rows, uint64_t seed, bf_baseline **out,
                          bf_err *err);
void bf_baseline_free(bf_baseline *b);

/* Bits of each of the rows x [rows, dims] under both, missing cells left out: marginal[rows], copula[rows]. Continuous
 * cells count at the resolution of their last decimal, as bf_column_bits. */
bf_status bf_baseline_score(const bf_baseline *b, const float *x, uint64_t rows, uint64_t seed, double *marginal,
                            double *copula, bf_err *err);

/* Correlation of the columns at places i and j. */
double bf_baseline_correlation(const bf_baseline *b, uint32_t i, uint32_t j);

/* The value (bf_column_value) that fills the gaps of a column: the mean of the training rows, or their most frequent
 * word; and the deviation of the values. */
double bf_baseline_mean(const bf_baseline *b, uint32_t place);
double bf_baseline_deviation(const bf_baseline *b, uint32_t place);

#endif
