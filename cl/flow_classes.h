/* Categorical data: what the network's numbers say about a class. */
#ifndef BF_FLOW_CLASSES_H
#define BF_FLOW_CLASSES_H

#include "flow.h"
#include "rows.h"

/* Schedules (bf_flow_schedule): q 0: beta = (s t)^2; else q = exp(-K s^2 / 4) and beta = -(4/K) ln(1 - t + t q), where 1 - t is
 * what keeps its digits late and t (1 - q) early. */
static inline float class_beta(const float t, const int classes, const float max_sqrt_beta, const float q)
{
    if (q == 0.0f) return max_sqrt_beta * t * (max_sqrt_beta * t);
    return -4.0f / (float)classes * (t < 0.5f ? log1p(-t * (1.0f - q)) : log((1.0f - t) + t * q));
}

/* K beta'(t) / 2 */
static inline float class_rate(const float t, const int classes, const float max_sqrt_beta, const float q)
{
    if (q == 0.0f) return (float)classes * max_sqrt_beta * max_sqrt_beta * t;
    return 2.0f * (1.0f - q) / ((1.0f - t) + t * q);
}

/* beta(i / n) - beta((i - 1) / n) */
static inline float class_alpha(const float i, const float n, const int classes, const float max_sqrt_beta, const float q)
{
    const float unit = max_sqrt_beta / n;
    if (q == 0.0f) return unit * unit * (2.0f * i - 1.0f);
    return 4.0f / (float)classes * log1p((1.0f - q) / ((n - i) + i * q));
}

/* Class of a variable as a float: the data hold it, or (discretize) a real value that falls into a bin. */
static inline lf class_of(const lf x, const int classes, const int discretize)
{
    return discretize ? bin_index(x, (float)classes) : x;
}

/* e_x: 1 for the variable's class, 0 for the others. */
static inline lf class_hit(const lf label, const int k)
{
    return select((lf)(0.0f), (lf)(1.0f), label == (float)k);
}

/* The logits of variables; K = 2 has one in memory, class zero's is 0. */
static inline columns class_columns(__global const float *net, const int classes, const int left, float *held)
{
    columns c = columns_of(net, classes, left, held);
#if !WIDE
    if (classes == 2) {
        stp16((lf)(0.0f), held);
        stp16(ldn(net, left), held + LANES);
        c.n = 2;
    }
#endif
    return c;
}

static inline lf class_logit(columns *net, const int k)
{
#if WIDE
    if (net->cols == 2) return k == 0 ? 0.0f : net->rows[0];
#endif
    return column(net, k);
}

/* Probabilities from the network's numbers: p_k = e_k scale, e_k = exp(logit - max), scale = 1 / sum. */
typedef struct soft {
    columns net; /* its window holds logits at first, after class_sum() e_k */
    lf max, sum, scale;
} soft;

static inline soft class_max(const columns net)
{
    soft s;
    s.net = net;
    s.max = (lf)(-FLT_MAX);
    for (int k = 0; k < net.cols; k++) s.max = fmax(s.max, class_logit(&s.net, k));
    return s;
}

static inline void class_sum(soft *s)
{
    s->sum = (lf)(0.0f);
    for (int k = 0; k < s->net.cols; k++) {
        const lf e = vexp(class_logit(&s->net, k) - s->max);
        hold_column(e, &s->net, k);
        s->sum += e;
    }
    s->scale = 1.0f / s->sum;
}

static inline soft class_soft(const columns net)
{
    soft s = class_max(net);
    class_sum(&s);
    return s;
}

#if !WIDE
/* A window of logits becomes one of e_k. */
CALLED void class_exps(float *held, const int n, const float16 max)
{
    for (int i = 0; i < n; i++) stp16(vexp(ldp16(held + i * LANES) - max), held + i * LANES);
}
#endif

static inline lf class_exp(soft *s, const int k)
{
#if WIDE
    return vexp(class_logit(&s->net, k) - s->max);
#else
    columns *c = &s->net;
    if (window_moves(c, k)) class_exps(c->held, c->n, s->max);
    return column(c, k);
#endif
}

static inline lf class_prob(soft *s, const int k)
{
    return class_exp(s, k) * s->scale;
}

/* The same, raised to min_prob where there is one. */
static inline lf class_prob_from(soft *s, const int k, const float min_prob)
{
    const lf p = class_prob(s, k);
    return min_prob > 0.0f ? fmax(p, (lf)(min_prob)) : p;
}

static inline void class_put_probs(const columns net, new_columns p, const float min_prob)
{
    soft s = class_soft(net);
    for (int k = 0; k < net.cols; k++) put_column(class_prob_from(&s, k, min_prob), &p, k);
}

/* what 0: expected index, 1: class drawn by inverse CDF of the uniform u, 2: mode, first of equals (K = 2: class one from
 * p = 0.5 on). */
static inline lf class_value_at(columns logits, const int what, const lf u, const float min_prob)
{
    lf index = (lf)(0.0f), sum = (lf)(0.0f), total = (lf)(1.0f);
    if (what == 2) {
        lf top = class_logit(&logits, 0);
        for (int k = 1; k < logits.cols; k++) {
            const lf logit = class_logit(&logits, k);
            index = select(index, (lf)((float)k), logits.cols == 2 ? logit >= top : logit > top);
            top = fmax(top, logit);
        }
        return index;
    }
    soft s = class_soft(logits);
    if (what == 1 && min_prob > 0.0f) { /* the sum is no longer 1 */
        total = (lf)(0.0f);
        for (int k = 0; k < s.net.cols; k++) total += class_prob_from(&s, k, min_prob);
    }
    for (int k = 0; k < s.net.cols; k++) {
        const lf p = class_prob_from(&s, k, what == 1 ? min_prob : 0.0f);
        index = what == 0 ? index + p * (float)k : k == 0 ? index : select(index, (lf)((float)k), u * total >= sum);
        sum += p;
    }
    return index;
}

#endif
