#ifndef BF_TESTS_REF_LINEAR_H
#define BF_TESTS_REF_LINEAR_H

#include "op/op.h"

/* y[r,o] = act(sum_i x[r,i] w[o,i] + b[o]) + residual[r,o]; b, residual and pre may be NULL. */
void ref_linear_forward(float *y, float *pre, const float *x, const float *w, const float *b, const float *residual,
                        bf_act act, int rows, int in, int out);
void ref_linear_backward(float *dx, float *dw, float *db, bool acc, const float *dy, const float *x, const float *w,
                         int rows, int in, int out);

#endif
