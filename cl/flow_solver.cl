/*
 * Steps of the sampler, one kernel per group of variables: what the network says becomes a value v, and the state moves on by
 *
 *   state' = keep state + base base + value v + prev v_prev + shift + noise xi
 *
 * with six numbers of the step record that the host has computed in double for the mode, the schedule and the grid of times
 * (src/flow/solver.c). v_prev is the value of the call before, `base` the state that call had. What a number of 0 would
 * multiply is never read. KIND: enum bf_flow_kind.
 */
#include "flow_bins.h"
#include "flow_classes.h"

#ifndef KIND
#define KIND 0
#endif

/* Words of the step record (enum bf_flow_word in src/flow/ops.h). */
#define STEP_VALUE 11
#define STEP_PREV 12
#define STEP_BASE 13
#define STEP_SHIFT 14
#define STEP_NOISE 15

#define KIND_DISCRETISED 1

typedef struct step_numbers {
    float keep, value, prev, base, shift, noise;
} step_numbers;

static inline step_numbers step_read(__global const float *record)
{
    const step_numbers s = {record[STEP_KEEP], record[STEP_VALUE], record[STEP_PREV],
                            record[STEP_BASE], record[STEP_SHIFT], record[STEP_NOISE]};
    return s;
}

/* keep state + base base + shift + noise xi of the VW numbers at `at`; base becomes the state when has_base. */
static inline vf step_own(const step_numbers *s, __global const float *state, __global float *base,
                          __global const float *xi, const ulong at, const int left, const int has_base)
{
    const vf old = ldv(state + at, left);
    vf next = s->keep * old + s->shift;
    if (s->base != 0.0f) next += s->base * ldv(base + at, left);
    if (s->noise != 0.0f) next += s->noise * ldv(xi + at, left);
    if (has_base) stv(old, base + at, left);
    return next;
}

#if KIND != 2

/* The state mu [B, dims] is what the network received. value [B, dims]: v_prev before, v after. noise: of the draw, as
 * continuous_value and bins_value take it; xi [B, dims]. given [B, dims]: v where it is not NaN. */
__kernel void real_step(ARG(mu), ARG(value), ARG(base), ARG_CONST(net), ARG_CONST(noise), ARG_CONST(xi), ARG_CONST(given),
                        ARG_CONST(t), ARG_CONST(record), const int dims, HEAD_ARGS, const int bins, const int what,
                        const int has_base, const int has_given)
{
    PTR(mu);
    PTR(value);
    PTR(base);
    PTR_CONST(net);
    PTR_CONST(noise);
    PTR_CONST(xi);
    PTR_CONST(given);
    PTR_CONST(t);
    PTR_CONST(record);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims, all = (ulong)get_num_groups(1) * (ulong)dims;
    const head h = HEAD(t[get_group_id(1)]);
    const step_numbers s = step_read(record);
    const int draw = what == VALUE_DRAW && out != OUT_DELTA;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = row + (ulong)d;
        __global const float *lane = net + at * (ulong)h.width;
        const lf state = ldn(mu + at, left);
#if KIND == KIND_DISCRETISED
        lf v = bins_value_at(&h, state, lane, left, bins, what, draw ? ldn(noise + at, left) : (lf)(0.0f));
#else
        const lf u = MIXTURE && draw ? ldn(noise + at, left) : (lf)(0.0f);
        lf v = head_value(&h, state, lane, left, what, u,
                          draw ? ldn(noise + (MIXTURE ? all : 0) + at, left) : (lf)(0.0f));
#endif
        if (has_given) {
            const lf held = ldn(given + at, left);
            v = select(held, v, isnan(held));
        }
        lf next = step_own(&s, mu, base, xi, at, left, has_base) + s.value * v;
        if (s.prev != 0.0f) next += s.prev * ldn(value + at, left);
        stn(v, value + at, left);
        stn(next, mu + at, left);
    }
}

/* Where sampling begins after t = 0: mu = value mean + noise xi, mean [dims] or 0; given: value given + prev xi. */
__kernel void real_start(ARG(mu), ARG_CONST(mean), ARG_CONST(xi), ARG_CONST(given), ARG_CONST(record), const int dims,
                         const int has_mean, const int has_given)
{
    PTR(mu);
    PTR_CONST(mean);
    PTR_CONST(xi);
    PTR_CONST(given);
    PTR_CONST(record);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const step_numbers s = step_read(record);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = row + (ulong)d;
        const lf held = has_given ? ldn(given + at, left) : (lf)(NAN), eps = ldn(xi + at, left);
        const lf centre = has_mean ? ldn(mean + d, left) : (lf)(0.0f);
        stn(select(s.value * held + s.prev * eps, s.value * centre + s.noise * eps, isnan(held)), mu + at, left);
    }
}

#else

/* Classes of up to LANES variables: of each one number of all. */
#if WIDE
#define LABELS(name) float name[1]
#define PUT_LABELS(v, to) ((to)[0] = (v))
#else
#define LABELS(name) LINES(name, LANES)
#define PUT_LABELS(v, to) stp16(v, to)
#endif

static inline void class_add(__global float *z, const float *label, const int rows, const int classes, const float by)
{
    for (int r = 0; r < rows; r++) {
        const int k = (int)label[r];
        if (k >= 0 && k < classes && label[r] == (float)k) z[r * classes + k] += by;
    }
}

/* The state z [B, dims, K]. what 0: v are probabilities, kept in probs [B, dims, K]; 1, 2: v is 1 for the class in value
 * [B, dims] (discretize: the class of the bin's centre there), drawn with the uniforms in noise or the mode. given [B, dims]:
 * the class where it is not NaN. xi [B, dims, K]. */
__kernel void class_step(ARG(z), ARG(value), ARG(probs), ARG(base), ARG_CONST(net), ARG_CONST(noise), ARG_CONST(xi),
                         ARG_CONST(given), ARG_CONST(record), const int dims, const int classes, const int what,
                         const int discretize, const float min_prob, const int has_base, const int has_given)
{
    PTR(z);
    PTR(value);
    PTR(probs);
    PTR(base);
    PTR_CONST(net);
    PTR_CONST(noise);
    PTR_CONST(xi);
    PTR_CONST(given);
    PTR_CONST(record);
    HELD(held_net);
    HELD(held_p);
    LABELS(now);
    LABELS(before);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const step_numbers s = step_read(record);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d, rows = min(left, LANES), count = rows * classes;
        const ulong at = (row + (ulong)d) * (ulong)classes;
        const columns logits = class_columns(net + (row + (ulong)d) * (ulong)width, classes, left, held_net);
        const lf fixed = has_given ? class_of(ldn(given + row + d, left), classes, discretize) : (lf)(NAN);
        const li open = isnan(has_given ? ldn(given + row + d, left) : (lf)(NAN));
        for (int i = 0; i < count; i += VW) {
            vf next = step_own(&s, z, base, xi, at + i, count - i, has_base);
            if (what == 0 && s.prev != 0.0f) next += s.prev * ldv(probs + at + i, count - i);
            stv(next, z + at + i, count - i);
        }
        if (what == 0) {
            soft p = class_soft(logits);
            new_columns to = new_columns_of(probs + at, classes, left, held_p);
            for (int k = 0; k < classes; k++)
                put_column(select(class_hit(fixed, k), class_prob_from(&p, k, min_prob), open), &to, k);
            for (int i = 0; i < count; i += VW)
                stv(ldv(z + at + i, count - i) + s.value * ldv(probs + at + i, count - i), z + at + i, count - i);
        } else {
            const lf u = what == 1 ? ldn(noise + row + d, left) : (lf)(0.0f);
            const lf index = select(fixed, class_value_at(logits, what, u, min_prob), open);
            if (s.prev != 0.0f) {
                PUT_LABELS(class_of(ldn(value + row + d, left), classes, discretize), before);
                class_add(z + at, before, rows, classes, s.prev);
            }
            PUT_LABELS(index, now);
            class_add(z + at, now, rows, classes, s.value);
            stn(discretize ? bin_centre(index, (float)classes) : index, value + row + d, left);
        }
    }
}

/* Where sampling begins after t = 0: z = value mean + shift + noise xi, mean [dims, K], or noise xi; given: value for the
 * class + shift + prev xi. */
__kernel void class_start(ARG(z), ARG_CONST(mean), ARG_CONST(xi), ARG_CONST(given), ARG_CONST(record), const int dims,
                          const int classes, const int discretize, const int has_mean, const int has_given)
{
    PTR(z);
    PTR_CONST(mean);
    PTR_CONST(xi);
    PTR_CONST(given);
    PTR_CONST(record);
    LABELS(fixed);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const step_numbers s = step_read(record);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d, rows = min(left, LANES);
        const ulong at = (row + (ulong)d) * (ulong)classes;
        const lf held = has_given ? ldn(given + row + d, left) : (lf)(NAN);
        PUT_LABELS(select(class_of(held, classes, discretize), held, isnan(held)), fixed);
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < classes; k++) {
                const ulong i = at + (ulong)(r * classes + k);
                const float eps = xi[i];
                if (!isnan(fixed[r]))
                    z[i] = (fixed[r] == (float)k ? s.value : 0.0f) + s.shift + s.prev * eps;
                else
                    z[i] = (has_mean ? s.value * mean[(d + r) * classes + k] + s.shift : 0.0f) + s.noise * eps;
            }
    }
}

#endif
