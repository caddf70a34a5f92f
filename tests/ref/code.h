/* Time codes in double precision, column by column; kind as in enum bf_time_code. */
#ifndef BF_TESTS_REF_CODE_H
#define BF_TESTS_REF_CODE_H

double ref_time_code(int kind, double t, int dim, int column);

/* Fourier features of one number: part 0, 1: sin(2 pi 2^5 x), sin(2 pi 2^6 x); 2, 3: the cosines. */
double ref_fourier(double x, int part);

/* Soft bin `column` of dim of the time t: 2 exp(-z^2 / 2) / sum - 1, z = dim (t - column / (dim - 1)). */
double ref_time_bin(double t, int dim, int column);

#endif
