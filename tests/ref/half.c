#include "half.h"

#include <math.h>

double ref_half(double x)
{
    int e;

    if (isnan(x)) return x;
    if (fabs(x) > 65504) return copysign(65504, x);
    (void)frexp(x, &e); /* |x| in [2^(e-1), 2^e): 11 bits from there down, but none below 2^-24 */
    const double unit = ldexp(1, e - 11 > -24 ? e - 11 : -24);
    return nearbyint(x / unit) * unit;
}
