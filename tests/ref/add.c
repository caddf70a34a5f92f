#include "add.h"

void ref_axpby(double *y, double alpha, const double *a, double beta, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = alpha * a[i] + (b ? beta * b[i] : 0);
}

void ref_add_mid(double *y, const double *x, const double *t, size_t outer, size_t mid, size_t inner)
{
    for (size_t o = 0; o < outer; o++)
        for (size_t m = 0; m < mid; m++)
            for (size_t i = 0; i < inner; i++)
                y[(o * mid + m) * inner + i] = x[(o * mid + m) * inner + i] + t[o * inner + i];
}
