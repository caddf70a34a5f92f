/* The output distribution of continuous data: its expected value, and values taken from it. */
#ifndef BF_FLOW_REAL_H
#define BF_FLOW_REAL_H

#include "flow.h"

#define VALUE_MEAN 0 /* enum bf_flow_value */
#define VALUE_DRAW 1
#define VALUE_MODE 2

/* Expected value of the distribution; a delta is clipped, and `pass` is 0 where that stops the gradient. */
static inline lf head_mean(const head *h, const weights *w, const lf mu, __global const float *net, const int left, lf *pass)
{
    lf mean = (lf)(0.0f);
    *pass = (lf)(1.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        mean += head_weight(h, w, net, left, i) * c.m;
    }
    if (h->out == OUT_DELTA) {
        const lf clipped = clamp(mean, (lf)(h->lo), (lf)(h->hi));
        *pass = select((lf)(0.0f), (lf)(1.0f), clipped == mean);
        mean = clipped;
    }
    return mean;
}

/* what: the mean; a draw (delta: its value; normal: mean + sd eps; mixture: the component by inverse CDF of the uniform u, then
 * its normal); the mode (mixture: mean of the component with the highest peak). */
static inline lf head_value(const head *h, const lf state, __global const float *net, const int left, const int what,
                            const lf u, const lf eps)
{
    const weights w = head_mix(h, net, left);
    const int draw = what == VALUE_DRAW;
    lf pass, value = (lf)(0.0f), sum = (lf)(0.0f), top = (lf)(-1.0f);
    if (what == VALUE_MEAN || h->out == OUT_DELTA || (what == VALUE_MODE && h->out == OUT_NORMAL))
        return head_mean(h, &w, state, net, left, &pass);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, state, net, left, i);
        const lf weight = head_weight(h, &w, net, left, i);
        const li better = draw ? (u >= sum) | (li)(i == 0 ? -1 : 0) : (weight / c.s > top);
        value = select(value, c.m + c.s * eps, better);
        top = fmax(top, weight / c.s);
        sum += weight;
    }
    return value;
}

#endif
