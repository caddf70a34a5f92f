/*
 * Categorical data (spec 2.4, 2.5). The state is z = ln theta + const, [B, dims, K]: the update is a sum and cannot
 * overflow. K = 2 has one logit per variable (of class one), otherwise K. Work planes are [B, K, dims], so that lanes
 * read whole vectors.
 */
#include "flow.h"

#define CLASS_MAX_T (1.0f - 1e-6f)
#define CLASS_MIN_SQRT_BETA 1e-10f

/* Class of a variable as a float: the data hold it, or (discretize) a real value that falls into a bin. */
static inline lf class_of(const lf x, const int classes, const int discretize)
{
    return discretize ? bin_index(x, (float)classes) : x;
}

/* Probabilities from the network's numbers: p_k = exp(logit - max) / sum; K = 2: one logit, its sigmoid is class one. */
typedef struct soft {
    lf max, sum;
} soft;

static inline lf class_logit(__global const float *net, const int classes, const int left, const int k)
{
    if (classes == 2) return k == 0 ? (lf)(0.0f) : ldg(net, 1, left);
    return ldg(net + k, classes, left);
}

static inline soft class_soft(__global const float *net, const int classes, const int left)
{
    soft s;
    s.max = (lf)(-FLT_MAX);
    s.sum = (lf)(0.0f);
    for (int k = 0; k < classes; k++) s.max = fmax(s.max, class_logit(net, classes, left, k));
    for (int k = 0; k < classes; k++) s.sum += vexp(class_logit(net, classes, left, k) - s.max);
    return s;
}

static inline lf class_prob(const soft *s, __global const float *net, const int classes, const int left, const int k)
{
    return vexp(class_logit(net, classes, left, k) - s->max) / s->sum;
}

/* Gradient by logit k; K = 2 keeps that of the one logit. */
static inline void class_store_grad(const lf g, __global float *grad, const int classes, const int left, const int k)
{
    if (classes != 2) {
        stg(g, grad + k, classes, left);
    } else if (k == 1) {
        stg(g, grad, 1, left);
    }
}

/* z = beta (K e_x - 1) + sqrt(K beta) noise, sqrt(beta) = s min(t, 1 - 1e-6); uniform where that is below 1e-10. */
__kernel void class_sample(ARG(z), ARG_CONST(x), ARG_CONST(noise), ARG_CONST(t), const int dims, const int classes,
                           const int discretize, const float max_sqrt_beta)
{
    PTR(z);
    PTR_CONST(x);
    PTR_CONST(noise);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float root = max_sqrt_beta * fmin(t[get_group_id(1)], CLASS_MAX_T);
    const float beta = root < CLASS_MIN_SQRT_BETA ? 0.0f : root * root;
    const float sd = sqrt((float)classes * beta);
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)classes;
        const lf label = class_of(ldn(x + row + d, left), classes, discretize);
        for (int k = 0; k < classes; k++) {
            const lf mean = select((lf)(-beta), (lf)(beta * (float)(classes - 1)), label == (float)k);
            stg(mean + sd * ldg(noise + at + k, classes, left), z + at + k, classes, left);
        }
    }
}

/* What the network receives: theta, or for K = 2 the number 2 theta_0 - 1 = tanh((z_0 - z_1) / 2). */
__kernel void class_input(ARG(y), ARG_CONST(z), const int dims, const int classes)
{
    PTR(y);
    PTR_CONST(z);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)classes;
        if (classes == 2) {
            stn(tanh(0.5f * (ldg(z + at, 2, left) - ldg(z + at + 1, 2, left))), y + row + d, left);
            continue;
        }
        const soft s = class_soft(z + at, classes, left);
        for (int k = 0; k < classes; k++)
            stg(class_prob(&s, z + at, classes, left, k), y + at + k, classes, left);
    }
}

/* p [B, dims, K]. */
__kernel void class_probs(ARG(p), ARG_CONST(net), const int dims, const int classes)
{
    PTR(p);
    PTR_CONST(net);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        __global const float *lane = net + (row + (ulong)d) * (ulong)width;
        __global float *at = p + (row + (ulong)d) * (ulong)classes;
        const soft s = class_soft(lane, classes, left);
        for (int k = 0; k < classes; k++) stg(class_prob(&s, lane, classes, left, k), at + k, classes, left);
    }
}

/* what 0: expected index, 1: class drawn by inverse CDF from the uniform noise, 2: mode, first of equals (K = 2: class
 * one from p = 0.5 on). centres 1: the bin's centre instead of the index. */
__kernel void class_value(ARG(y), ARG_CONST(net), ARG_CONST(noise), const int dims, const int classes, const int what,
                          const int centres)
{
    PTR(y);
    PTR_CONST(net);
    PTR_CONST(noise);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        __global const float *lane = net + (row + (ulong)d) * (ulong)width;
        const soft s = class_soft(lane, classes, left);
        const lf u = what == 1 ? ldn(noise + row + d, left) : (lf)(0.0f);
        lf index = (lf)(0.0f), sum = (lf)(0.0f), top = class_logit(lane, classes, left, 0);
        for (int k = 0; k < classes; k++) {
            const lf logit = class_logit(lane, classes, left, k);
            const lf p = class_prob(&s, lane, classes, left, k);
            if (what == 0) {
                index += p * (float)k;
            } else if (k > 0) {
                const li take = what == 1 ? u >= sum : classes == 2 ? logit >= top : logit > top;
                index = select(index, (lf)((float)k), take);
            }
            top = fmax(top, logit);
            sum += p;
        }
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
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const float alpha = step[STEP_SENDER_MEAN], sd = step[STEP_SENDER_SD];
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)classes;
        const lf label = class_of(ldn(x + row + d, left), classes, discretize);
        for (int k = 0; k < classes; k++) {
            const lf mean = select((lf)(-alpha), (lf)(alpha * (float)(classes - 1)), label == (float)k);
            stg(mean + sd * ldg(noise + at + k, classes, left), y + at + k, classes, left);
        }
    }
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

/* loss = K beta(1) t sum_k (e_k - p_k)^2, factor = K beta(1). */
__kernel void class_loss(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(net), ARG_CONST(t), const int dims,
                         const int classes, const int discretize, const float factor, const int has_grad,
                         const float scale)
{
    PTR(loss);
    PTR(grad);
    PTR_CONST(x);
    PTR_CONST(net);
    PTR_CONST(t);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const float weight = factor * t[get_group_id(1)];
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)width;
        const lf label = class_of(ldn(x + row + d, left), classes, discretize);
        const soft s = class_soft(net + at, classes, left);
        lf sum = (lf)(0.0f), inner = (lf)(0.0f);
        for (int k = 0; k < classes; k++) {
            const lf p = class_prob(&s, net + at, classes, left, k);
            const lf miss = p - select((lf)(0.0f), (lf)(1.0f), label == (float)k);
            sum += miss * miss;
            inner += miss * p;
        }
        stn(weight * sum, loss + row + d, left);
        for (int k = 0; has_grad && k < classes; k++) {
            const lf p = class_prob(&s, net + at, classes, left, k);
            const lf miss = p - select((lf)(0.0f), (lf)(1.0f), label == (float)k);
            class_store_grad(2.0f * scale * weight * p * (miss - inner), grad + at, classes, left, k);
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
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const int end = LANE_END(dims);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)width;
        const lf label = class_of(ldn(x + row + d, left), classes, discretize);
        const soft s = class_soft(net + at, classes, left);
        lf own = (lf)(0.0f), rest = (lf)(0.0f);
        for (int k = 0; k < classes; k++) {
            const lf logit = class_logit(net + at, classes, left, k);
            own = select(own, logit, label == (float)k);
            rest += select(vexp(logit - s.max), (lf)(0.0f), label == (float)k);
        }
        /* ln(1 + rest / own): keeps its digits where p is nearly 1 */
        const lf top = s.max - own;
        stn(select(top + vlog(s.sum), log1p(rest), top == 0.0f), loss + row + d, left);
        for (int k = 0; has_grad && k < classes; k++) {
            const lf p = class_prob(&s, net + at, classes, left, k);
            const lf hit = select((lf)(0.0f), (lf)(1.0f), label == (float)k);
            class_store_grad(scale * (p - hit), grad + at, classes, left, k);
        }
    }
}

/* One draw of the n-step loss. The receiver's weights are w = exp(lnw) / total. */
typedef struct receiver {
    __global float *lnw, *by_w; /* planes: ln of the clamped probabilities; sums of dL/dw over the draws */
    __global const float *noise;
    int plane, classes, left;
    float alpha, sd;
    lf label, total, ln_total;
    lf most;      /* index of the largest weight */
    lf most_rest; /* 1 - that weight, summed from the others: no digits lost */
} receiver;

static inline lf sent(const receiver *r, __global const float *noise, const int k)
{
    const lf mean = select((lf)(-r->alpha), (lf)(r->alpha * (float)(r->classes - 1)), r->label == (float)k);
    return mean + r->sd * ldg(noise + k, r->classes, r->left);
}

static inline void add_plane(const receiver *r, const int k, const lf g, const int first)
{
    __global float *at = r->by_w + (size_t)k * (size_t)r->plane;
    stn(first ? g : ldn(at, r->left) + g, at, r->left);
}

/* Joint mixture: y_x - ln sum_k w_k exp(y_k). The planes collect -r_k (responsibilities) = w_k dL/dw_k. */
static inline lf draw_joint(const receiver *r, __global const float *noise, const int first, const int has_grad)
{
    lf top = (lf)(-FLT_MAX), sum = (lf)(0.0f), own = (lf)(0.0f);
    for (int k = 0; k < r->classes; k++) {
        const lf y = sent(r, noise, k);
        own = select(own, y, r->label == (float)k);
        top = fmax(top, y + ldn(r->lnw + (size_t)k * (size_t)r->plane, r->left));
    }
    for (int k = 0; k < r->classes; k++)
        sum += vexp(sent(r, noise, k) + ldn(r->lnw + (size_t)k * (size_t)r->plane, r->left) - top);
    for (int k = 0; has_grad && k < r->classes; k++) {
        const lf e = vexp(sent(r, noise, k) + ldn(r->lnw + (size_t)k * (size_t)r->plane, r->left) - top);
        add_plane(r, k, -e / sum, first);
    }
    return (own - top) - vlog(sum) + r->ln_total;
}

/* Released form: per coordinate j a mixture of two normals, ratio exp(d) with d = y_j - alpha (K - 2) / 2:
 *   -ln(w_x + (1 - w_x) exp(-d)) for the true class, -ln(1 - w_j + w_j exp(d)) for the others. */
static inline lf draw_official(const receiver *r, __global const float *noise, const int first, const int has_grad)
{
    lf loss = (lf)(0.0f);
    for (int k = 0; k < r->classes; k++) {
        const li own = r->label == (float)k;
        const lf y = sent(r, noise, k) - 0.5f * r->alpha * (float)(r->classes - 2);
        const lf d = select(y, -y, own);
        const lf w = vexp(ldn(r->lnw + (size_t)k * (size_t)r->plane, r->left)) / r->total;
        const lf rest = select(1.0f - w, r->most_rest, r->most == (float)k);
        const lf stay = select(rest, w, own), swap = select(w, rest, own);
        const lf top = fmax(d, (lf)(0.0f));
        const lf e_stay = vexp(-top), e_swap = vexp(d - top);
        const lf sum = stay * e_stay + swap * e_swap;
        loss -= top + vlog(sum);
        if (has_grad) {
            const lf g = (e_stay - e_swap) / sum;
            add_plane(r, k, w * select(g, -g, own), first);
        }
    }
    return loss;
}

/* n-step loss: y = alpha (K e_x - 1) + sqrt(K alpha) noise, loss = n mean over draws of the divergence per draw;
 * alpha_i = (s / n)^2 (2 i - 1), i = t n + 1. joint: which receiver. Its weights are the probabilities, those of the
 * released form clamped to [eps, 1 - eps] and normalised. Noise as in bins_n_step with K numbers per variable.
 * ws: [B, K, dims], twice when has_grad. */
__kernel void class_n_step(ARG(loss), ARG(grad), ARG_CONST(x), ARG_CONST(net), ARG_CONST(t), ARG_CONST(noise), ARG(ws),
                           const int dims, const int classes, const int discretize, const float max_sqrt_beta,
                           const int joint, const int n_steps, const int draws, const ulong draw_pitch,
                           const ulong sample_pitch, const int has_grad, const float scale)
{
    PTR(loss);
    PTR(grad);
    PTR_CONST(x);
    PTR_CONST(net);
    PTR_CONST(t);
    PTR_CONST(noise);
    PTR(ws);
    const ulong row = (ulong)get_group_id(1) * (ulong)dims;
    const int width = classes == 2 ? 1 : classes;
    const float n = (float)n_steps, unit = max_sqrt_beta / n;
    const float step = t[get_group_id(1)] * n + 1.0f;
    const float ln_lo = log(FLOW_EPS), ln_hi = log(1.0f - FLOW_EPS);
    const int end = LANE_END(dims);
    receiver r;
    r.plane = dims;
    r.classes = classes;
    r.alpha = unit * unit * (2.0f * step - 1.0f);
    r.sd = sqrt((float)classes * r.alpha);
    LANE_FOR(d, end)
    {
        const int left = end - d;
        const ulong at = (row + (ulong)d) * (ulong)width;
        const soft s = class_soft(net + at, classes, left);
        __global const float *first = noise + get_group_id(1) * sample_pitch + (ulong)d * (ulong)classes;
        lf sum = (lf)(0.0f), top = (lf)(0.0f), inner = (lf)(0.0f);
        r.left = left;
        r.lnw = ws + row * (ulong)classes + d;
        r.by_w = r.lnw + (ulong)get_num_groups(1) * (ulong)dims * (ulong)classes;
        r.label = class_of(ldn(x + row + d, left), classes, discretize);
        r.total = (lf)(0.0f);
        r.most = (lf)(0.0f);
        r.most_rest = (lf)(0.0f);
        const lf ln_sum = vlog(s.sum);
        for (int k = 0; k < classes; k++) {
            const lf ln_p = class_logit(net + at, classes, left, k) - s.max - ln_sum;
            const lf p = vexp(ln_p);
            const lf c = joint ? p : clamp(p, (lf)(FLOW_EPS), (lf)(1.0f - FLOW_EPS));
            const li more = c > top;
            r.most_rest += select(c, top, more);
            r.most = select(r.most, (lf)((float)k), more);
            top = fmax(top, c);
            r.total += c;
            stn(joint ? ln_p : vlog(c), r.lnw + (size_t)k * (size_t)dims, left);
        }
        if (joint) r.total = (lf)(1.0f);
        r.most_rest /= r.total;
        r.ln_total = vlog(r.total);
        for (int i = 0; i < draws; i++) {
            __global const float *draw = first + (ulong)i * draw_pitch;
            sum += joint ? draw_joint(&r, draw, i == 0, has_grad) : draw_official(&r, draw, i == 0, has_grad);
        }
        stn(n * sum / (float)draws, loss + row + d, left);
        if (!has_grad) continue;
        /* planes hold S = sum over draws of w dL/dw; through the normalisation, the clamp, the softmax */
        lf mean = (lf)(0.0f);
        for (int k = 0; k < classes; k++) mean += ldn(r.by_w + (size_t)k * (size_t)dims, left);
        for (int k = 0; k < classes; k++) {
            __global float *plane = r.by_w + (size_t)k * (size_t)dims;
            const lf ln_c = ldn(r.lnw + (size_t)k * (size_t)dims, left);
            const lf by_ln = ldn(plane, left) - mean * vexp(ln_c) / r.total;
            const lf open = joint ? by_ln : select((lf)(0.0f), by_ln, (ln_c > ln_lo) & (ln_c < ln_hi));
            inner += open;
            stn(open, plane, left);
        }
        for (int k = 0; k < classes; k++) {
            const lf p = class_prob(&s, net + at, classes, left, k);
            const lf g = ldn(r.by_w + (size_t)k * (size_t)dims, left) - p * inner;
            class_store_grad(g * (scale * n / (float)draws), grad + at, classes, left, k);
        }
    }
}
