/* Time codes in double precision, column by column; kind as in enum bf_time_code. */
#ifndef BF_TESTS_REF_CODE_H
#define BF_TESTS_REF_CODE_H

double ref_time_code(int kind, double t, int dim, int column);

#endif
