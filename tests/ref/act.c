#include "ref/act.h"

#include <math.h>

double ref_act(int act, double x)
{
    switch (act) {
    case 1: return x / (1 + exp(-x));
    case 2: return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case 3: return x > 0 ? x : 0;
    case 4: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case 5: return log1p(exp(-fabs(x))) + fmax(x, 0) - log(2);
    default: return x;
    }
}

double ref_act_slope(int act, double x)
{
    const double h = 1e-5;
    return (ref_act(act, x + h) - ref_act(act, x - h)) / (2 * h);
}
