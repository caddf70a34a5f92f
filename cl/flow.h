/*
 * Shared by the flow kernels. A lane is one variable of one sample: a group takes up to FLOW_CHUNK variables of sample
 * get_group_id(1), LANES variables at a time, and every lane loops over its bins, classes or mixture components itself.
 * Vectors therefore run over variables in both device classes, and no kernel needs a fold over the group.
 */
#ifndef BF_FLOW_CL_H
#define BF_FLOW_CL_H

#include "common.h"

/* Variables of one group; the host launches ceil(dims / FLOW_CHUNK) groups per sample (src/flow/ops.c). */
#define FLOW_CHUNK 256

#define LANE_BEGIN ((int)get_group_id(0) * FLOW_CHUNK)
#define LANE_END(dims) min((dims), LANE_BEGIN + FLOW_CHUNK)
#define LANE_FOR(d, end) for (int d = LANE_BEGIN + (int)get_local_id(0) * LANES; d < (end); d += WG * LANES)

#define LANES VW
typedef vf lf;
#if WIDE
typedef int li;
#else
typedef int16 li;
#endif

/* One number per lane, `stride` floats apart; lanes beyond `left` repeat the first one and are not written. */
static inline lf ldg(__global const float *p, const int stride, const int left)
{
#if WIDE
    (void)stride;
    (void)left;
    return p[0];
#else
    if (left < LANES) {
        LINES(t, LANES);
        stp16((lf)(p[0]), t);
#pragma unroll 1
        for (int i = 1; i < left; i++) t[i] = p[i * stride];
        return ldp16(t);
    }
    if (stride == 1) return ld16(p);
    if (stride == 2) {
        lf v;
        v.lo = ld16(p).even;
        v.hi = ld16(p + 15).odd; /* ends where the last lane does */
        return v;
    }
    return (lf)(p[0], p[stride], p[2 * stride], p[3 * stride], p[4 * stride], p[5 * stride], p[6 * stride],
                p[7 * stride], p[8 * stride], p[9 * stride], p[10 * stride], p[11 * stride], p[12 * stride],
                p[13 * stride], p[14 * stride], p[15 * stride]);
#endif
}

static inline void stg(const lf v, __global float *p, const int stride, const int left)
{
#if WIDE
    (void)stride;
    (void)left;
    p[0] = v;
#else
    if (stride == 1 && left >= LANES) {
        st16(v, p);
    } else {
        LINES(t, LANES);
        stp16(v, t);
        for (int i = 0; i < min(left, LANES); i++) p[i * stride] = t[i];
    }
#endif
}

/* The same for neighbours. */
static inline lf ldn(__global const float *p, const int left)
{
    return ldg(p, 1, left);
}

static inline void stn(const lf v, __global float *p, const int left)
{
    stg(v, p, 1, left);
}

/* Words of the step record that the sampler fills (enum bf_flow_word in src/flow/ops.h). */
#define STEP_SENDER_MEAN 8
#define STEP_SENDER_SD 9
#define STEP_KEEP 10
#define STEP_GAIN 11

/* Guards of the reference (spec 2.12). */
#define FLOW_EXP_LIMIT 10.0f
#define FLOW_MIN_PROB 1e-5f
#define FLOW_LOG_FLOOR 1e-10f
#define FLOW_EPS 1.1920929e-7f /* 2^-23: clamp of the receiver's weights */

#define FLOW_FAR 1e3f            /* standard deviations; stands for infinity: tail 0, density 0 */
#define SQRT_1_2PI 0.3989422804f /* 1 / sqrt(2 pi) */
#define LN_SQRT_2PI 0.9189385332f

/* 1 - Phi(a) for a >= 0, relative error below 3e-7 until it underflows; *e = exp(-a^2 / 2). The polynomial in
 * 1 / (1 + 0.3 a) fits (1 - Phi(a)) exp(a^2 / 2) on [0, 13.2]: no difference of nearly equal numbers, so bins far in
 * the tails keep their digits. */
static inline lf upper_tail(const lf a, lf *e)
{
    const lf t = 1.0f / fma(a, (lf)(0.3f), (lf)(1.0f));
    lf r = (lf)(-0.020815175f);
    r = fma(r, t, (lf)(0.113509864f));
    r = fma(r, t, (lf)(-0.230815127f));
    r = fma(r, t, (lf)(0.195348069f));
    r = fma(r, t, (lf)(-0.0824569389f));
    r = fma(r, t, (lf)(0.0978155881f));
    r = fma(r, t, (lf)(0.0778089091f));
    r = fma(r, t, (lf)(0.110360555f));
    r = fma(r, t, (lf)(0.1195568f));
    r = fma(r, t, (lf)(0.119687453f));
    *e = vexp(-0.5f * a * a);
    return *e * (r * t);
}

/* One end of an interval in standard deviations: z, its tail 1 - Phi(|z|) and e = exp(-z^2 / 2). */
typedef struct edge {
    lf z, q, e;
} edge;

static inline edge edge_at(const lf z)
{
    edge a;
    a.z = z;
    a.q = upper_tail(fabs(z), &a.e);
    return a;
}

/* Phi(hi) - Phi(lo), to full relative precision: from the tails, on the side where nothing cancels; for an interval
 * narrower than 1/4 by the Euler-Maclaurin sum over its two ends, error below 1e-7. width = hi - lo, from the caller,
 * who knows it without rounding. */
static inline lf interval_mass(const edge lo, const edge hi, const lf width)
{
    const lf one_side = fabs(lo.q - hi.q);
    const lf wide = select(one_side, 1.0f - lo.q - hi.q, (lo.z < 0.0f) & (hi.z > 0.0f));
    const lf w2 = width * width;
    const lf first = hi.z * hi.e - lo.z * lo.e;
    const lf third = hi.z * hi.e * (3.0f - hi.z * hi.z) - lo.z * lo.e * (3.0f - lo.z * lo.z);
    const lf sum = 0.5f * width * (lo.e + hi.e) + w2 * (first / 12.0f + w2 * third / 720.0f);
    return select(wide, SQRT_1_2PI * sum, (width < 0.25f) & (hi.z - lo.z < 0.5f));
}

/* Index of the bin that v falls into, as a float (spec 2.1). */
static inline lf bin_index(const lf v, const float bins)
{
    return clamp(floor((v * 0.5f + 0.5f) * bins), (lf)(0.0f), (lf)(bins - 1.0f));
}

static inline lf bin_centre(const lf index, const float bins)
{
    return (2.0f * index + 1.0f) / bins - 1.0f;
}

/* ---- heads: what the network's numbers mean for real-valued data ---------------------------------------------------
 */

/* The output distribution is a mixture; without it the loops over components vanish. */
#ifndef MIXTURE
#define MIXTURE 0
#endif

#define OUT_DELTA 0 /* enum bf_flow_output */
#define OUT_NORMAL 1
#define PREDICT_NOISE 0 /* enum bf_flow_predict */
#define PREDICT_DATA 1
#define PREDICT_DATA_SD 2

typedef struct head {
    int out, predict, n; /* n: components, 1 unless MIXTURE */
    int width;           /* numbers per variable */
    float lo, hi;        /* clamp of the deviation; DELTA: of the value */
    float gamma, b;      /* noise to data: mean = mu / gamma - b eps, sd = b exp(log sd) */
    int early;           /* t below min_t: mean 0, sd 1, whatever the network says */
} head;

/* post = v^t, correctly rounded but for rare cases, and gamma = 1 - post. Near t = 0 gamma is a difference of nearly
 * equal numbers, and everything divided by it shows the rounding of post, here as in the reference: so both round
 * alike. ln v comes as the sum of two floats. */
typedef struct schedule {
    float post, gamma;
} schedule;

static inline schedule schedule_at(const float ln_v, const float ln_v_low, const float t)
{
    schedule s;
    const float x = t * ln_v;
    const float rest = fma(t, ln_v, -x) + t * ln_v_low;
    const float power = exp(x);
    s.post = x > -0.5f ? 1.0f + fma(power, rest, expm1(x)) : fma(power, rest, power);
    s.gamma = 1.0f - s.post;
    return s;
}

/* v = sigma_1^2 */
static inline head head_at(const int out, const int predict, const int n, const float lo, const float hi,
                           const float min_t, const float ln_v, const float ln_v_low, const float t)
{
    head h;
    const schedule s = schedule_at(ln_v, ln_v_low, fmax(t, min_t));
    h.out = out;
    h.predict = predict;
    h.n = MIXTURE ? n : 1;
    h.width = MIXTURE ? 3 * n : out == OUT_DELTA ? 1 : 2;
    h.lo = lo;
    h.hi = hi;
    h.gamma = s.gamma;
    h.b = sqrt(s.post / s.gamma);
    h.early = predict == PREDICT_NOISE && t < min_t;
    return h;
}

/* The arguments every kernel with a head has, and the head of this group's sample. */
#define HEAD_ARGS                                                                                                      \
    const int out, const int predict, const int mixture, const float lo, const float hi, const float min_t,            \
        const float ln_v, const float ln_v_low
#define HEAD(t) head_at(out, predict, mixture, lo, hi, min_t, ln_v, ln_v_low, (t))

typedef struct component {
    lf m, s;   /* mean and (clamped) deviation */
    lf raw;    /* deviation before the clamp */
    lf dm, ds; /* derivatives of m and s by the two numbers of the network */
} component;

/* Component i of the lanes at `net` (their first number). Clamps stop gradients. */
static inline component head_component(const head *h, const lf mu, __global const float *net, const int left,
                                       const int i)
{
    component c;
    const int at = MIXTURE ? h->n + i : 0;
    const lf first = ldg(net + at, h->width, left);
    c.m = h->predict == PREDICT_NOISE ? mu / h->gamma - h->b * first : first;
    c.dm = (lf)(h->predict == PREDICT_NOISE ? -h->b : 1.0f);
    c.raw = (lf)(1.0f);
    c.ds = (lf)(0.0f);
    if (h->out != OUT_DELTA) {
        const lf second = ldg(net + at + h->n, h->width, left);
        if (h->predict == PREDICT_DATA_SD) {
            c.raw = second;
            c.ds = (lf)(1.0f);
        } else {
            const lf x = clamp(second, (lf)(-FLOW_EXP_LIMIT), (lf)(FLOW_EXP_LIMIT));
            c.raw = vexp(x) * (h->predict == PREDICT_NOISE ? h->b : 1.0f);
            c.ds = select((lf)(0.0f), c.raw, x == second);
        }
    }
    if (h->early) {
        c.m = (lf)(0.0f);
        c.raw = (lf)(1.0f);
        c.dm = (lf)(0.0f);
        c.ds = (lf)(0.0f);
    }
    c.s = h->out == OUT_DELTA ? c.raw : clamp(c.raw, (lf)(h->lo), (lf)(h->hi));
    c.ds = select((lf)(0.0f), c.ds, c.s == c.raw);
    return c;
}

/* Softmax of the mixture logits: weight i = exp(logit_i - max) * scale; 1 without a mixture. */
typedef struct weights {
    lf max, scale;
} weights;

static inline weights head_mix(const head *h, __global const float *net, const int left)
{
    weights x;
    x.max = (lf)(-FLT_MAX);
    x.scale = (lf)(1.0f);
    if (MIXTURE) {
        lf sum = (lf)(0.0f);
        for (int i = 0; i < h->n; i++) x.max = fmax(x.max, ldg(net + i, h->width, left));
        for (int i = 0; i < h->n; i++) sum += vexp(ldg(net + i, h->width, left) - x.max);
        x.scale = 1.0f / sum;
    }
    return x;
}

static inline lf head_weight(const head *h, const weights *x, __global const float *net, const int left, const int i)
{
    if (!MIXTURE) return (lf)(1.0f);
    return vexp(ldg(net + i, h->width, left) - x->max) * x->scale;
}

/* Writes the gradient of component i: g_w by its logit, g_m by its mean, g_s by its deviation. */
static inline void head_store_grad(const head *h, const component *c, __global float *grad, const int left, const int i,
                                   const lf g_w, const lf g_m, const lf g_s)
{
    const int at = MIXTURE ? h->n + i : 0;
    if (MIXTURE) stg(g_w, grad + i, h->width, left);
    stg(g_m * c->dm, grad + at, h->width, left);
    if (h->out != OUT_DELTA) stg(g_s * c->ds, grad + at + h->n, h->width, left);
}

/* Time of the step that an n-step loss belongs to: t lies on the grid, or (any_time) somewhere behind its point. */
static inline float step_time(const float t, const int n_steps, const int any_time)
{
    const float n = (float)n_steps;
    return any_time ? floor(t * n) / n : t;
}

/* ln N(x; m, s) */
static inline lf log_normal(const lf x, const lf m, const lf s)
{
    const lf z = (x - m) / s;
    return -0.5f * z * z - vlog(s) - LN_SQRT_2PI;
}

/* ln of the mixture's density at x. */
static inline lf head_log_density(const head *h, const weights *w, const lf mu, __global const float *net,
                                  const int left, const lf x)
{
    lf top = (lf)(-FLT_MAX), sum = (lf)(0.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        top = fmax(top, log_normal(x, c.m, c.s));
    }
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        sum += head_weight(h, w, net, left, i) * vexp(log_normal(x, c.m, c.s) - top);
    }
    return top + vlog(sum);
}

#endif
