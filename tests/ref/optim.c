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
