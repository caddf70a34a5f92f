#include "ref/linear.h"

#include "ref/gemm.h"

void ref_linear_forward(float *y, float *pre, const float *x, const float *w, const float *b, const float *residual,
                        bf_act act, int rows, int in, int out)
{
    for (int r = 0; r < rows; r++) {
        for (int o = 0; o < out; o++) {
            double sum = b != NULL ? b[o] : 0.0;
            for (int i = 0; i < in; i++) sum += (double)x[r * in + i] * (double)w[o * in + i];
            if (pre != NULL) pre[r * out + o] = (float)sum;
            y[r * out + o] = (float)(ref_act(act, sum) + (residual != NULL ? (double)residual[r * out + o] : 0.0));
        }
    }
}

void ref_linear_backward(float *dx, float *dw, float *db, bool acc, const float *dy, const float *x, const float *w,
                         int rows, int in, int out)
{
    for (int i = 0; i < in; i++) {
        for (int r = 0; r < rows; r++) {
            double sum = acc ? dx[r * in + i] : 0.0;
            for (int o = 0; o < out; o++) sum += (double)dy[r * out + o] * (double)w[o * in + i];
            dx[r * in + i] = (float)sum;
        }
        for (int o = 0; o < out; o++) {
            double sum = acc ? dw[o * in + i] : 0.0;
            for (int r = 0; r < rows; r++) sum += (double)dy[r * out + o] * (double)x[r * in + i];
            dw[o * in + i] = (float)sum;
        }
    }
    for (int o = 0; o < out; o++) {
        double sum = acc ? db[o] : 0.0;
        for (int r = 0; r < rows; r++) sum += (double)dy[r * out + o];
        db[o] = (float)sum;
    }
}
