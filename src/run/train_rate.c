/* Learning rates. run/train.h */
#include <math.h>

#include "base/size.h"
#include "run/train.h"

static const double PI = 3.14159265358979323846;

bf_plateau_rule bf_train_plateau(const bf_config *c)
{
    return (bf_plateau_rule){.factor = c->train.plateau_factor,
                             .patience = c->train.plateau_patience,
                             .floor = c->train.lr_final,
                             .threshold = 1e-4,
                             .least = 1e-8};
}

void bf_plateau_add(bf_plateau *p, const bf_plateau_rule *r, double loss)
{
    if (loss < p->best * (1.0 - r->threshold) || isnan(p->best)) {
        p->best = loss;
        p->bad = 0;
    } else {
        p->bad++;
    }
    if (p->bad <= r->patience) return;
    const double lower = BF_MAX(p->rate * r->factor, r->floor);
    if (p->rate - lower > r->least) p->rate = lower;
    p->bad = 0;
}

double bf_learning_rate(const bf_config *c, const bf_plateau *p, uint64_t step)
{
    const double warmup = (double)c->train.warmup, s = (double)step;
    const double total = (double)(c->train.schedule_steps ? c->train.schedule_steps : c->train.steps);
    const double top = c->train.schedule == BF_SCHEDULE_PLATEAU ? p->rate : c->train.lr;
    if (s < warmup) return top * (s + 1) / (warmup + 1);
    if (c->train.schedule == BF_SCHEDULE_CONSTANT || c->train.schedule == BF_SCHEDULE_PLATEAU) return top;
    const double part = total > warmup ? (s - warmup) / (total - warmup) : 1.0;
    const double angle = PI * (c->train.schedule == BF_SCHEDULE_WAVES ? part : BF_MIN(part, 1.0));
    return c->train.lr_final + (top - c->train.lr_final) * 0.5 * (1 + cos(angle));
}
