/*
 * Discretised data (spec 2.3): P(bin k) = F(right) - F(left) for F the CDF of a normal or a mixture of normals.
 *   TRUNCATED 0: F := 0 left of the first bin and 1 right of the last, so the outer bins take the tails.
 *   TRUNCATED 1: divided by R = F(1) - F(-1); where R < 1e-5 every bin has 1 / bins.
 * Boundary j is at 2 j / bins - 1, j = 0..bins.
 */
#ifndef BF_FLOW_BINS_H
#define BF_FLOW_BINS_H

#include "flow_real.h"

/* Normalise by the mass in [-1, 1] instead of giving the outer bins the tails. */
#ifndef TRUNCATED
#define TRUNCATED 0
#endif

static inline float boundary(const int j, const float nb)
{
    return 2.0f * (float)j / nb - 1.0f;
}

/* Boundary j of a component in standard deviations from its mean. */
static inline lf boundary_z(const component *c, const lf inv_s, const int j, const int bins)
{
    if (!TRUNCATED && j == 0) return (lf)(-FLOW_FAR);
    if (!TRUNCATED && j == bins) return (lf)(FLOW_FAR);
    return (boundary(j, (float)bins) - c->m) * inv_s;
}

/* Sums over the boundaries of one component that the expected bin centre and its gradient need. With e = exp(-z^2/2):
 *   mean  sum of P centre; clipped: -(1/bins) sum of erf(z_j / sqrt 2) over the inner boundaries (summed by parts)
 *   mass  sum of P: 1, or the component's share of R
 *   e, ze sums of e and z e over the inner boundaries
 *   ends  e and z e at -1 and 1, zero when clipped */
typedef struct bin_sums {
    lf mean, mass, e, ze, e_lo, ze_lo, e_hi, ze_hi;
} bin_sums;

static inline bin_sums sum_clipped(const component *c, const int bins)
{
    const lf inv_s = 1.0f / c->s;
    const float nb = (float)bins;
    bin_sums s;
    lf erf_sum = (lf)(0.0f);
    s.e = (lf)(0.0f);
    s.ze = (lf)(0.0f);
    for (int j = 1; j < bins; j++) {
        const edge b = edge_at((boundary(j, nb) - c->m) * inv_s);
        erf_sum += copysign(1.0f - 2.0f * b.q, b.z);
        s.e += b.e;
        s.ze += b.z * b.e;
    }
    s.mean = -erf_sum / nb;
    s.mass = (lf)(1.0f);
    s.e_lo = (lf)(0.0f);
    s.ze_lo = (lf)(0.0f);
    s.e_hi = (lf)(0.0f);
    s.ze_hi = (lf)(0.0f);
    return s;
}

static inline bin_sums sum_truncated(const component *c, const int bins)
{
    const lf inv_s = 1.0f / c->s;
    const float nb = (float)bins;
    const lf width = 2.0f / nb * inv_s;
    bin_sums s;
    edge right = edge_at(boundary_z(c, inv_s, 0, bins));
    s.mean = (lf)(0.0f);
    s.mass = (lf)(0.0f);
    s.e = (lf)(0.0f);
    s.ze = (lf)(0.0f);
    s.e_lo = right.e;
    s.ze_lo = right.z * right.e;
    for (int j = 1; j <= bins; j++) {
        const edge left = right;
        right = edge_at(boundary_z(c, inv_s, j, bins));
        const lf p = interval_mass(left, right, width);
        s.mass += p;
        s.mean += p * (boundary(j, nb) - 1.0f / nb);
        if (j < bins) {
            s.e += right.e;
            s.ze += right.z * right.e;
        }
    }
    s.e_hi = right.e;
    s.ze_hi = right.z * right.e;
    return s;
}

static inline bin_sums sum_bins(const component *c, const int bins)
{
    return TRUNCATED ? sum_truncated(c, bins) : sum_clipped(c, bins);
}

/* Expected bin centre; *range = R, 1 when clipped, 0 where the mass in [-1, 1] is too small to divide by. *last: sums
 * of the last component, for distributions that have only one. */
static inline lf bins_mean(const head *h, const weights *w, const lf mu, __global const float *net, const int left,
                    const int bins, lf *range, bin_sums *last)
{
    lf mean = (lf)(0.0f), mass = (lf)(0.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        const lf weight = head_weight(h, w, net, left, i);
        *last = sum_bins(&c, bins);
        mean += weight * last->mean;
        mass += weight * last->mass;
    }
    *range = mass;
    if (TRUNCATED) {
        const li thin = mass < FLOW_MIN_PROB;
        *range = select(mass, (lf)(0.0f), thin);
        mean = select(mean / mass, (lf)(0.0f), thin);
    }
    return mean;
}

/* A component at the two ends of one bin per lane, and the bin's mass. */
typedef struct bin_edges {
    edge lo, hi;
    lf p;
} bin_edges;

static inline bin_edges edges_at(const component *c, const lf index, const float nb)
{
    bin_edges b;
    lf lo = (2.0f * index / nb - 1.0f - c->m) / c->s, hi = (2.0f * (index + 1.0f) / nb - 1.0f - c->m) / c->s;
    if (!TRUNCATED) {
        lo = select(lo, (lf)(-FLOW_FAR), index <= 0.0f);
        hi = select(hi, (lf)(FLOW_FAR), index >= nb - 1.0f);
    }
    b.lo = edge_at(lo);
    b.hi = edge_at(hi);
    b.p = interval_mass(b.lo, b.hi, 2.0f / (nb * c->s));
    return b;
}

/* The whole of [-1, 1] as one bin: its p is the component's share of R. */
static inline bin_edges range_at(const component *c)
{
    return edges_at(c, (lf)(0.0f), 1.0f);
}

/* R = F(1) - F(-1): 1 when clipped, 0 where it is too small to divide by and all bins are equal. */
static inline lf bins_range(const head *h, const weights *w, const lf mu, __global const float *net, const int left)
{
    lf range = (lf)(0.0f);
    if (!TRUNCATED) return (lf)(1.0f);
    for (int i = 0; i < h->n; i++) {
        const component c = head_component(h, mu, net, left, i);
        range += head_weight(h, w, net, left, i) * range_at(&c).p;
    }
    return select(range, (lf)(0.0f), range < FLOW_MIN_PROB);
}

/* A value on a bin's centre. VALUE_DRAW: of one clipped normal mean + sd eps, rounded to its bin; else the bin is found by
 * inverse CDF of the uniform eps. VALUE_MODE: the first of equals. */
static inline lf bins_pick(const head *h, const lf state, __global const float *net, const int left, const int bins,
                           const int what, const lf eps)
{
    const float nb = (float)bins;
    component c = head_component(h, state, net, left, 0);
    if (!(MIXTURE | TRUNCATED) && what == VALUE_DRAW) return bin_centre(bin_index(c.m + c.s * eps, nb), nb);
    const weights w = head_mix(h, net, left);
    const lf range = bins_range(h, &w, state, net, left);
    const li flat = range == 0.0f;
    /* shares are not divided by R: u is multiplied by it */
    const lf u = eps * select(range, (lf)(1.0f), flat);
    lf index = (lf)(0.0f), sum = (lf)(0.0f), top = (lf)(-1.0f);
    edge upper = edge_at((lf)(0.0f));
    for (int k = 0; k < bins; k++) {
        lf share = (lf)(0.0f);
        for (int i = 0; i < h->n; i++) {
            if (MIXTURE) c = head_component(h, state, net, left, i);
            const lf inv_s = 1.0f / c.s;
            const edge lower = MIXTURE || k == 0 ? edge_at(boundary_z(&c, inv_s, k, bins)) : upper;
            upper = edge_at(boundary_z(&c, inv_s, k + 1, bins));
            share += head_weight(h, &w, net, left, i) * interval_mass(lower, upper, 2.0f / nb * inv_s);
        }
        share = select(share, (lf)(1.0f / nb), flat);
        const li take = what == VALUE_DRAW ? (u >= sum) & (li)(k > 0 ? -1 : 0) : share > top;
        index = select(index, (lf)((float)k), take);
        top = fmax(top, share);
        sum += share;
    }
    return bin_centre(index, nb);
}

/* Any of the three values of enum bf_flow_value. */
static inline lf bins_value_at(const head *h, const lf state, __global const float *net, const int left, const int bins,
                               const int what, const lf eps)
{
    const weights w = head_mix(h, net, left);
    lf range;
    bin_sums s;
    if (what == VALUE_MEAN) return bins_mean(h, &w, state, net, left, bins, &range, &s);
    return bins_pick(h, state, net, left, bins, what, eps);
}

#endif
