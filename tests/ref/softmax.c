#include "softmax.h"

#include <math.h>

void ref_softmax(double *y, const double *x, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        double top = -INFINITY, sum = 0;
        for (size_t i = 0; i < cols; i++) top = fmax(top, x[r * cols + i]);
        for (size_t i = 0; i < cols; i++) sum += y[r * cols + i] = exp(x[r * cols + i] - top);
        for (size_t i = 0; i < cols; i++) y[r * cols + i] /= sum;
    }
}
