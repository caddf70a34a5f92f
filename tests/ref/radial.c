#include "radial.h"

#include <math.h>

void ref_edge_length(double *d, const double *x, const uint32_t *src, size_t items, size_t slots)
{
    for (size_t e = 0; e < items * slots; e++) {
        const size_t i = e / slots, j = src[e] == UINT32_MAX ? i : src[e];
        const double dx = x[3 * i] - x[3 * j], dy = x[3 * i + 1] - x[3 * j + 1], dz = x[3 * i + 2] - x[3 * j + 2];
        d[e] = sqrt(dx * dx + dy * dy + dz * dz);
    }
}

void ref_radial(double *y, const double *d, const double *offset, double scale, bool exponent, size_t n, size_t cols)
{
    for (size_t e = 0; e < n; e++)
        for (size_t c = 0; c < cols; c++) {
            const double z = (d[e] - offset[c]) * scale;
            y[e * cols + c] = exponent ? -z * z / 2 : exp(-z * z / 2);
        }
}
