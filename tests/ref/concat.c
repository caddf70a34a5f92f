#include "concat.h"

void ref_columns(double *y, int cy, int to, const double *x, int cx, int first, int cols, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) y[r * (size_t)cy + (size_t)(to + c)] = x[r * (size_t)cx + (size_t)(first + c)];
}
