/* Time codes in double precision, row by row; VDM when vdm is not 0. */
#ifndef BF_TESTS_REF_CODE_H
#define BF_TESTS_REF_CODE_H

double ref_time_code(int vdm, double t, int dim, int column);

#endif
