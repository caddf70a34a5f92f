#include "code.h"

#include <math.h>

double ref_time_code(int vdm, double t, int dim, int column)
{
    const int half = dim / 2;
    if (column >= 2 * half) return 0;
    const int k = column % half, second = column / half;
    if (vdm) {
        const double angle = 1000 * (t + 0.001) * pow(10, half > 1 ? -4.0 * k / (half - 1) : 0);
        return second ? cos(angle) : sin(angle);
    }
    const double angle = 4000 * t * exp(-log(10000) * k / half);
    return second ? sin(angle) : cos(angle);
}
