/*
 * Categorical data (spec 2.4, 2.5). The state is z = ln theta + const, [B, dims, K]: the update is a sum and cannot
 * overflow. K = 2 has one logit per variable (of class one), otherwise K. Work planes are [B, K, dims], so that lanes
 * read whole vectors.
 */
#include "flow_classes.h"

#define CLASS_MIN_SQRT_BETA 1e-10f

/* Gradient by logit k; K = 2 keeps that of the one logit. */
static inline void class_put_grad(const lf g, new_columns *grad, const int k)
{
    if (grad->cols != 2) {
        put_column(g, grad, k);
    } else if (k == 1) {
        stn(g, grad->rows, grad->left);
    }
}

/* accuracy (K e_x - 1) + sd noise of the variables of one group. */
static inline void class_message(__global float *y, __global const float *x, __global const float *noise, const int dims,
                                 const int classes, const int discretize, const float accuracy, const float sd)
{
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float hit = accuracy * (float)(classes - 1);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)classes;
        const lf label = class_of(ldn(x + row + d, left), classes, discretize);
#if WIDE
        for (int k = 0; k < classes; k++)
            y[at + k] = (label == (float)k ? hit : -accuracy) + sd * noise[at + k];
#else
        /* as one row: whatever is not the variable's class, then what is */
        const int rows = min(left, LANES), count = rows * classes;
        LINES(labels, LANES);
        stp16(label, labels);
        for (int i = 0; i < count; i += VW) stv(-accuracy + sd * ldv(noise + at + i, count - i), y + at + i, count - i);
        for (int r = 0; r < rows; r++) {
            const int k = (int)labels[r];
            if (k >= 0 && k < classes && labels[r] == (float)k)
                y[at + r * classes + k] = hit + sd * noise[at + r * classes + k];
        }
#endif
    }
}

/* z = beta (K e_x - 1) + sqrt(K beta) noise at min(t, max_t); uniform where s t is below 1e-10. entropy: q of class_beta. */
__kernel void class_sample(ARG(z), ARG_CONST(x), ARG_CONST(noise), ARG_CONST(t), const int dims, const int classes,
                           const int discretize, const float max_sqrt_beta, const float entropy, const float max_t)
{
    PTR(z);
    PTR_CONST(x);
    PTR_CONST(noise);
    PTR_CONST(t);
    const float time = fmin(t[get_group_id(1)], max_t);
    const float beta = max_sqrt_beta * time < CLASS_MIN_SQRT_BETA ? 0.0f : class_beta(time, classes, max_sqrt_beta, entropy);
    class_message(z, x, noise, dims, classes, discretize, beta, sqrt((float)classes * beta));
}

/* What the network receives: theta, or for K = 2 the number 2 theta_0 - 1 = tanh((z_0 - z_1) / 2). */
__kernel void class_input(ARG(y), ARG_CONST(z), const int dims, const int classes)
{
    PTR(y);
    PTR_CONST(z);
    HELD(held_z);
    HELD(held_y);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)classes;
        columns from = columns_of(z + at, classes, left, held_z);
        if (classes == 2) {
            const lf first = column(&from, 0), second = column(&from, 1);
            stn(vtanh(0.5f * (first - second)), y + row + d, left);
        } else {
            class_put_probs(from, new_columns_of(y + at, classes, left, held_y), 0.0f);
        }
    }
}

/* p [B, dims, K]. */
__kernel void class_probs(ARG(p), ARG_CONST(net), const int dims, const int classes, const float min_prob)
{
    PTR(p);
    PTR_CONST(net);
    HELD(held_net);
    HELD(held_p);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        class_put_probs(class_columns(net + (row + (ulong)d) * (ulong)width, classes, left, held_net),
                        new_columns_of(p + (row + (ulong)d) * (ulong)classes, classes, left, held_p), min_prob);
    }
}

/* what 0: expected index, 1: class drawn by inverse CDF from the uniform noise, 2: mode, first of equals (K = 2: class
 * one from p = 0.5 on). centres 1: the bin's centre instead of the index. */
__kernel void class_value(ARG(y), ARG_CONST(net), ARG_CONST(noise), const int dims, const int classes, const int what,
                          const int centres, const float min_prob)
{
    PTR(y);
    PTR_CONST(net);
    PTR_CONST(noise);
    HELD(held);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const columns logits = class_columns(net + (row + (ulong)d) * (ulong)width, classes, left, held);
        const lf u = what == 1 ? ldn(noise + row + d, left) : (lf)(0.0f);
        const lf index = class_value_at(logits, what, u, min_prob);
        stn(centres ? bin_centre(index, (float)classes) : index, y + row + d, left);
    }
}

/* y = alpha (K e_k - 1) + sqrt(K alpha) noise. */
__kernel void class_send(ARG(y), ARG_CONST(x), ARG_CONST(noise), ARG_CONST(step), const int dims, const int classes,
                         const int discretize)
{
    PTR(y);
    PTR_CONST(x);
    PTR_CONST(noise);
    PTR_CONST(step);
    class_message(y, x, noise, dims, classes, discretize, step[STEP_SENDER_MEAN], step[STEP_SENDER_SD]);
}

/* z += y, all K x variables per sample: theta' = theta exp(y) / sum. */
__kernel void class_update(ARG(z), ARG_CONST(y), const int dims)
{
    PTR(z);
    PTR_CONST(y);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        stn(ldn(z + row + d, left) + ldn(y + row + d, left), z + row + d, left);
    }
}

/* loss = K beta'(t) / 2 sum_k (e_k - p_k)^2. */
__kernel void class_loss(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(net), ARG_CONST(t), const int dims,
                         const int classes, const int discretize, const float max_sqrt_beta, const float entropy,
                         const int has_grad, const float scale)
{
    PTR(loss);
    PTR(grad);
    PTR_CONST(x);
    PTR_CONST(net);
    PTR_CONST(t);
    HELD(held_net);
    HELD(held_grad);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const float weight = class_rate(t[get_group_id(1)], classes, max_sqrt_beta, entropy);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)width;
        const lf label = class_of(ldn(x + row + d, left), classes, discretize);
        soft s = class_soft(class_columns(net + at, classes, left, held_net));
        new_columns to = new_columns_of(grad + at, classes, left, held_grad);
        lf sum = (lf)(0.0f), inner = (lf)(0.0f);
        for (int k = 0; k < classes; k++) {
            const lf p = class_prob(&s, k), miss = p - class_hit(label, k);
            sum += miss * miss;
            inner += miss * p;
        }
        stn(weight * sum, loss + row + d, left);
        for (int k = 0; has_grad && k < classes; k++) {
            const lf p = class_prob(&s, k), miss = p - class_hit(label, k);
            class_put_grad(2.0f * scale * weight * p * (miss - inner), &to, k);
        }
    }
}

/* loss = -ln p[x]. */
__kernel void class_recon(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(net), const int dims, const int classes,
                          const int discretize, const int has_grad, const float scale)
{
    PTR(loss);
    PTR(grad);
    PTR_CONST(x);
    PTR_CONST(net);
    HELD(held_net);
    HELD(held_grad);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)width;
        const lf label = class_of(ldn(x + row + d, left), classes, discretize);
        soft s = class_max(class_columns(net + at, classes, left, held_net));
        new_columns to = new_columns_of(grad + at, classes, left, held_grad);
        lf own = (lf)(0.0f), rest = (lf)(0.0f);
        for (int k = 0; k < classes; k++) own = select(own, class_logit(&s.net, k), label == (float)k);
        class_sum(&s);
        for (int k = 0; k < classes; k++) rest += select(class_exp(&s, k), (lf)(0.0f), label == (float)k);
        /* ln(1 + rest / own): keeps its digits where p is nearly 1 */
        const lf top = s.max - own;
        stn(select(top + vlog(s.sum), vlog1p(rest), top == 0.0f), loss + row + d, left);
        for (int k = 0; has_grad && k < classes; k++)
            class_put_grad(scale * (class_prob(&s, k) - class_hit(label, k)), &to, k);
    }
}

/* enum bf_receiver */
#define RECEIVER_JOINT 0
#define RECEIVER_OFFICIAL 1
#define RECEIVER_CLAMPED 2

/* The receiver of the n-step loss and one draw. Its weights are w = plane / total (official), or exp(plane) / total. */
typedef struct receiver {
    int kind;
    __global float *weight, *by_w; /* planes; by_w: sums of w dL/dw over the draws */
    columns noise;
    int plane, classes, left;
    float alpha, sd;
    lf label, total, by_total, ln_total;
    lf most;      /* index of the largest weight */
    lf most_rest; /* 1 - that weight, summed from the others: no digits lost */
} receiver;

static inline __global float *plane_at(const receiver *r, __global float *planes, const int k)
{
    return planes + (size_t)k * (size_t)r->plane;
}

static inline lf sent(receiver *r, const int k)
{
    const lf mean = select((lf)(-r->alpha), (lf)(r->alpha * (float)(r->classes - 1)), r->label == (float)k);
    return mean + r->sd * column(&r->noise, k);
}

static inline void add_plane(const receiver *r, const int k, const lf g, const int first)
{
    __global float *at = plane_at(r, r->by_w, k);
    stn(first ? g : ldn(at, r->left) + g, at, r->left);
}

/* Joint mixture: y_x - ln sum_k w_k exp(y_k). The planes collect -r_k (responsibilities) = w_k dL/dw_k. */
static inline lf draw_joint(receiver *r, const int first, const int has_grad)
{
    lf top = (lf)(-FLT_MAX), sum = (lf)(0.0f), own = (lf)(0.0f);
    for (int k = 0; k < r->classes; k++) {
        const lf y = sent(r, k);
        own = select(own, y, r->label == (float)k);
        top = fmax(top, y + ldn(plane_at(r, r->weight, k), r->left));
    }
    for (int k = 0; k < r->classes; k++) sum += vexp(sent(r, k) + ldn(plane_at(r, r->weight, k), r->left) - top);
    const lf share = -1.0f / sum;
    for (int k = 0; has_grad && k < r->classes; k++)
        add_plane(r, k, vexp(sent(r, k) + ldn(plane_at(r, r->weight, k), r->left) - top) * share, first);
    return (own - top) - vlog(sum) + r->ln_total;
}

/* Released form: per coordinate j a mixture of two normals, ratio exp(d) with d = y_j - alpha (K - 2) / 2:
 *   -ln(w_x + (1 - w_x) exp(-d)) for the true class, -ln(1 - w_j + w_j exp(d)) for the others. */
static inline lf draw_official(receiver *r, const int first, const int has_grad)
{
    lf loss = (lf)(0.0f);
    for (int k = 0; k < r->classes; k++) {
        const li own = r->label == (float)k;
        const lf y = sent(r, k) - 0.5f * r->alpha * (float)(r->classes - 2);
        const lf d = select(y, -y, own);
        const lf w = ldn(plane_at(r, r->weight, k), r->left) * r->by_total;
        const lf rest = select(1.0f - w, r->most_rest, r->most == (float)k);
        const lf stay = select(rest, w, own), swap = select(w, rest, own);
        /* exp(0) and exp(d), divided by the larger one */
        const lf less = vexp(-fabs(d));
        const li up = d > 0.0f;
        const lf e_stay = select((lf)(1.0f), less, up), e_swap = select(less, (lf)(1.0f), up);
        const lf sum = stay * e_stay + swap * e_swap;
        loss -= fmax(d, (lf)(0.0f)) + vlog(sum);
        if (has_grad) {
            const lf g = (e_stay - e_swap) / sum;
            add_plane(r, k, w * select(g, -g, own), first);
        }
    }
    return loss;
}

/* A probability as the releases' receivers see it. */
static inline lf clamped(const lf p)
{
    return clamp(p, (lf)(FLOW_EPS), (lf)(1.0f - FLOW_EPS));
}

/* Fills the planes of the weights, and what belongs to them. */
static inline void receiver_weights(receiver *r, soft *s)
{
    lf top = (lf)(0.0f);
    const int joint = r->kind == RECEIVER_JOINT;
    for (int k = 0; joint && k < r->classes; k++)
        stn(class_logit(&s->net, k) - s->max, plane_at(r, r->weight, k), r->left);
    class_sum(s);
    r->total = joint ? s->sum : (lf)(0.0f);
    r->most = (lf)(0.0f);
    r->most_rest = (lf)(0.0f);
    for (int k = 0; !joint && k < r->classes; k++) {
        const lf w = clamped(class_prob(s, k));
        const li more = w > top;
        r->most_rest += select(w, top, more);
        r->most = select(r->most, (lf)((float)k), more);
        top = fmax(top, w);
        r->total += w;
        stn(r->kind == RECEIVER_CLAMPED ? vlog(w) : w, plane_at(r, r->weight, k), r->left);
    }
    r->by_total = 1.0f / r->total;
    r->most_rest *= r->by_total;
    r->ln_total = vlog(r->total);
}

/* The planes hold S = sum over draws of w dL/dw: through the normalisation, the clamp, the softmax. */
static inline void receiver_grad(const receiver *r, soft *s, new_columns *to, const float scale)
{
    lf mean = (lf)(0.0f), inner = (lf)(0.0f);
    const int joint = r->kind == RECEIVER_JOINT;
    for (int k = 0; k < r->classes; k++) mean += ldn(plane_at(r, r->by_w, k), r->left);
    for (int k = 0; k < r->classes; k++) {
        __global float *plane = plane_at(r, r->by_w, k);
        const lf p = class_prob(s, k), w = joint ? p : clamped(p) * r->by_total;
        const lf by_ln = ldn(plane, r->left) - mean * w;
        const lf open = joint ? by_ln : select((lf)(0.0f), by_ln, (p > FLOW_EPS) & (p < 1.0f - FLOW_EPS));
        inner += open;
        stn(open, plane, r->left);
    }
    for (int k = 0; k < r->classes; k++)
        class_put_grad((ldn(plane_at(r, r->by_w, k), r->left) - class_prob(s, k) * inner) * scale, to, k);
}

/* n-step loss: y = alpha (K e_x - 1) + sqrt(K alpha) noise, loss = n mean over draws of the divergence per draw;
 * alpha_i = beta(i / n) - beta((i - 1) / n), i = t n + 1 (any_time: rounded down). The receiver's weights are the probabilities, unless it
 * is JOINT clamped to [eps, 1 - eps] and normalised. Noise as in bins_n_step with K numbers per variable.
 * ws: [B, K, dims], twice when has_grad. */
__kernel void class_n_step(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(net), ARG_CONST(t), ARG_CONST(noise), ARG(ws),
                           const int dims, const int classes, const int discretize, const float max_sqrt_beta,
                           const float entropy, const int kind, const int n_steps, const int any_time, const int draws,
                           const ulong draw_pitch, const ulong sample_pitch, const int has_grad, const float scale)
{
    PTR(loss);
    PTR(grad);
    PTR_CONST(x);
    PTR_CONST(net);
    PTR_CONST(t);
    PTR_CONST(noise);
    PTR(ws);
    HELD(held_net);
    HELD(held_noise);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const float n = (float)n_steps;
    const float at_step = t[get_group_id(1)] * n, step = (any_time ? floor(at_step) : at_step) + 1.0f;
    const int end = LANE_END(dims);
    receiver r;
    r.kind = kind;
    r.plane = dims;
    r.classes = classes;
    r.alpha = class_alpha(step, n, classes, max_sqrt_beta, entropy);
    r.sd = sqrt((float)classes * r.alpha);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)width;
        __global const float *first = noise + get_group_id(1) * sample_pitch + (ulong)d * (ulong)classes;
        soft s = class_max(class_columns(net + at, classes, left, held_net));
        lf sum = (lf)(0.0f);
        r.left = left;
        r.weight = ws + row * (ulong)classes + d;
        r.by_w = r.weight + (ulong)get_num_groups(1) * (ulong)dims * (ulong)classes;
        r.label = class_of(ldn(x + row + d, left), classes, discretize);
        receiver_weights(&r, &s);
        for (int i = 0; i < draws; i++) {
            r.noise = columns_of(first + (ulong)i * draw_pitch, classes, left, held_noise);
            sum += kind == RECEIVER_OFFICIAL ? draw_official(&r, i == 0, has_grad) : draw_joint(&r, i == 0, has_grad);
        }
        stn(n * sum / (float)draws, loss + row + d, left);
        if (has_grad) {
            new_columns to = new_columns_of(grad + at, classes, left, held_noise);
            receiver_grad(&r, &s, &to, scale * n / (float)draws);
        }
    }
}
