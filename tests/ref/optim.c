#include "optim.h"

#include <math.h>

void ref_adamw_step(const ref_adamw *s, double g, double *p, double *m, double *v, double *ema)
{
    *p *= 1 - s->lr * s->weight_decay;
    *m = s->beta1 * *m + (1 - s->beta1) * g;
    *v = s->beta2 * *v + (1 - s->beta2) * g * g;
    const double mean = *m / (1 - pow(s->beta1, s->step)), square = *v / (1 - pow(s->beta2, s->step));
    *p -= s->lr * mean / (sqrt(square) + s->eps);
    *ema -= (1 - s->decay) * (*ema - *p);
}

double ref_clip_limit(const double *norms, int n)
{
    double mean = 0, square = 0;
    for (int i = 0; i < n; i++) mean += norms[i] / n;
    for (int i = 0; i < n; i++) square += (norms[i] - mean) * (norms[i] - mean) / n;
    return 1.5 * mean + 2 * sqrt(square);
}
