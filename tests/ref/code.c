#include "code.h"

#include <math.h>

double ref_time_code(int kind, double t, int dim, int column)
{
    const int half = dim / 2;
    if (kind == 2) {
        const double angle = t / pow(10000, (double)column / dim);
        return column % 2 ? cos(angle) : sin(angle);
    }
    if (column >= 2 * half) return 0;
    const int k = column % half, second = column / half;
    if (kind == 1) {
        const double angle = 1000 * (t + 0.001) * pow(10, half > 1 ? -4.0 * k / (half - 1) : 0);
        return second ? cos(angle) : sin(angle);
    }
    const double angle = 4000 * t * exp(-log(10000) * k / half);
    return second ? sin(angle) : cos(angle);
}

double ref_fourier(double x, int part)
{
    const double angle = 2 * acos(-1) * pow(2, 5 + part % 2) * x;
    return part < 2 ? sin(angle) : cos(angle);
}

static double bump(double t, int dim, int column)
{
    const double z = dim * (t - (dim > 1 ? (double)column / (dim - 1) : 0));
    return exp(-z * z / 2);
}

double ref_time_bin(double t, int dim, int column)
{
    double sum = 0;
    for (int k = 0; k < dim; k++) sum += bump(t, dim, k);
    return 2 * bump(t, dim, column) / sum - 1;
}
