#include "reduce.h"

void ref_sum_mid(double *out, double scale, const double *x, size_t outer, size_t mid, size_t inner)
{
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            double sum = 0;
            for (size_t m = 0; m < mid; m++) sum += x[(o * mid + m) * inner + i];
            out[o * inner + i] = scale * sum;
        }
}
