#ifndef BF_TESTS_REF_CONV_H
#define BF_TESTS_REF_CONV_H

#include "op/op.h"

/* By definition, sums in double, shapes of op.h. bias, per_sample, residual may be NULL; acc adds to what is there. */
void ref_conv_forward(const bf_conv *s, float *y, const float *x, const float *w, const float *bias,
                      const float *per_sample, const float *residual);
void ref_conv_backward(const bf_conv *s, float *dx, float *dw, bool acc, const float *dy, const float *x,
                       const float *w);

#endif
