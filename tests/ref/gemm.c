#include "ref/gemm.h"

void ref_gemm(const bf_gemm *g, float *c, const float *a, const float *b, const float *bias, const float *residual,
              float *pre)
{
    const int lda = g->lda ? g->lda : g->trans_a ? g->m : g->k;
    const int ldb = g->ldb ? g->ldb : g->trans_b ? g->k : g->n;
    const int ldc = g->ldc ? g->ldc : g->n;
    for (int z = 0; z < (g->batch ? g->batch : 1); z++) {
        const float *az = a + z * g->stride_a, *bz = b + z * g->stride_b;
        for (int i = 0; i < g->m; i++) {
            for (int j = 0; j < g->n; j++) {
                const uint64_t at = z * g->stride_c + (uint64_t)i * (uint64_t)ldc + (uint64_t)j;
                double sum = 0.0;
                for (int k = 0; k < g->k; k++)
                    sum += (double)(g->trans_a ? az[k * lda + i] : az[i * lda + k]) *
                           (double)(g->trans_b ? bz[j * ldb + k] : bz[k * ldb + j]);
                sum *= g->alpha;
                if (g->beta != 0.0f) sum += g->beta * c[at];
                if (g->bias) sum += bias[j];
                if (g->save_pre) pre[at] = (float)sum;
                sum = ref_act(g->act, sum);
                if (g->residual) sum += residual[at];
                c[at] = (float)sum;
            }
        }
    }
}
