#ifndef BF_TESTS_REF_GEMM_H
#define BF_TESTS_REF_GEMM_H

#include "device/gemm.h"
#include "ref/act.h"

/* The product of struct bf_gemm by definition, sums in double. c, residual and pre have pitch ldc and stride_c; those
 * not used are NULL. */
void ref_gemm(const bf_gemm *g, float *c, const float *a, const float *b, const float *bias, const float *residual,
              float *pre);

#endif
