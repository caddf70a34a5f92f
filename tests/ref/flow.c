#include "ref/flow.h"

#include <math.h>

#define MAX_PARTS 64
#define MAX_BINS 4096

static const double eps = 1.0 / 8388608.0; /* 2^-23 */

static double clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* ---- real values ------------------------------------------------------------------------------------------------ */

typedef struct parts {
    int n;
    double w[MAX_PARTS], m[MAX_PARTS], s[MAX_PARTS];
} parts;

/* The output distribution as a mixture; times are compared with the float nearest min_t. */
static parts output(const bf_flow *f, double mu, double t, const double *net)
{
    parts d = {.n = f->output == BF_OUT_MIXTURE ? f->mixture : 1};
    const bool mixture = f->output == BF_OUT_MIXTURE, noise = f->predict == BF_PREDICT_NOISE;
    const double limit = (double)(float)f->min_t, post = pow((double)(float)f->min_variance, fmax(t, limit));
    const double gamma = 1.0 - post, min_sd = f->min_sd < 0 ? 1.0 / (5.0 * f->bins) : f->min_sd;
    double sum = 0.0;
    for (int i = 0; i < d.n; i++) {
        const double first = net[mixture ? d.n + i : 0];
        const double second = f->output == BF_OUT_DELTA ? 0.0 : net[mixture ? 2 * d.n + i : 1];
        d.w[i] = mixture ? exp(net[i]) : 1.0;
        sum += d.w[i];
        d.m[i] = noise ? mu / gamma - sqrt(post / gamma) * first : first;
        d.s[i] = f->predict == BF_PREDICT_DATA_SD ? second : exp(clamp(second, -10.0, 10.0));
        if (noise) d.s[i] *= sqrt(post / gamma);
        if (noise && t < limit) d.m[i] = 0.0;
        if (noise && t < limit) d.s[i] = 1.0;
        d.s[i] = clamp(d.s[i], min_sd, f->max_sd);
    }
    for (int i = 0; i < d.n; i++) d.w[i] /= sum;
    return d;
}

static double normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2.0));
}

/* P(lo < x <= hi) on the side where nothing cancels */
static double mass(const parts *d, double lo, double hi)
{
    double p = 0.0;
    for (int i = 0; i < d->n; i++) {
        const double a = (lo - d->m[i]) / d->s[i], b = (hi - d->m[i]) / d->s[i];
        p += d->w[i] * (a > 0 ? normal_cdf(-a) - normal_cdf(-b) : normal_cdf(b) - normal_cdf(a));
    }
    return p;
}

/* ln sum_k exp(a_k) */
static double log_sum(const double *a, int n)
{
    double top = -INFINITY, sum = 0.0;
    for (int k = 0; k < n; k++) top = fmax(top, a[k]);
    for (int k = 0; k < n; k++) sum += exp(a[k] - top);
    return top + log(sum);
}

static double log_normal(double y, double mean, double variance)
{
    return -0.5 * (y - mean) * (y - mean) / variance - 0.5 * log(8.0 * atan(1.0) * variance);
}

static double log_density(const parts *d, double x)
{
    double a[MAX_PARTS];
    for (int i = 0; i < d->n; i++) a[i] = log(d->w[i]) + log_normal(x, d->m[i], d->s[i] * d->s[i]);
    return log_sum(a, d->n);
}

static double centre(int k, int bins)
{
    return (2.0 * k + 1.0) / bins - 1.0;
}

static double bin_mass(const parts *d, int k, int bins, bool truncated)
{
    const double lo = 2.0 * k / bins - 1.0, hi = 2.0 * (k + 1) / bins - 1.0;
    if (!truncated) return mass(d, k == 0 ? -INFINITY : lo, k == bins - 1 ? INFINITY : hi);
    const double range = mass(d, -1.0, 1.0);
    return range < 1e-5 ? 1.0 / bins : mass(d, lo, hi) / range;
}

void ref_bins(const bf_flow *f, double mu, double t, const double *net, double *p)
{
    const parts d = output(f, mu, t, net);
    for (int k = 0; k < f->bins; k++) p[k] = bin_mass(&d, k, f->bins, f->truncated);
}

double ref_mean(const bf_flow *f, double mu, double t, const double *net)
{
    const parts d = output(f, mu, t, net);
    double sum = 0.0;
    if (f->kind == BF_FLOW_DISCRETISED) {
        for (int k = 0; k < f->bins; k++) sum += centre(k, f->bins) * bin_mass(&d, k, f->bins, f->truncated);
        return sum;
    }
    for (int i = 0; i < d.n; i++) sum += d.w[i] * d.m[i];
    return f->output == BF_OUT_DELTA
               ? clamp(sum, -(f->clip > 0.0 ? f->clip : INFINITY), f->clip > 0.0 ? f->clip : INFINITY)
               : sum;
}

double ref_log_density(const bf_flow *f, double mu, double t, const double *net, double x)
{
    const parts d = output(f, mu, t, net);
    return log_density(&d, x);
}

static double log_prob(const parts *d, double x, int bins, bool truncated)
{
    const int k = (int)clamp(floor((x / 2.0 + 0.5) * bins), 0.0, bins - 1.0);
    const double p = bin_mass(d, k, bins, truncated);
    return p < 1e-5 ? log_density(d, centre(k, bins)) + log(2.0 / bins) : log(p);
}

/* w: normalised, clamped, normalised again */
static void receiver_weights(double *w, int n)
{
    double sum = 0.0, all = 0.0;
    for (int k = 0; k < n; k++) sum += w[k];
    for (int k = 0; k < n; k++) w[k] = clamp(w[k] / sum, eps, 1.0 - eps);
    for (int k = 0; k < n; k++) all += w[k];
    for (int k = 0; k < n; k++) w[k] /= all;
}

/* i of the n-step loss */
static double step_index(const bf_flow_loss_spec *spec, double t)
{
    return spec->any_time ? floor((double)((float)t * (float)spec->steps)) + 1.0 : t * spec->steps + 1.0;
}

static double binned_steps(const bf_flow *f, int n, double i, double x, const parts *d, const double *noise, int draws)
{
    const double v = (double)(float)f->min_variance;
    const double alpha = pow(v, -i / n) * (1.0 - pow(v, 1.0 / n));
    double w[MAX_BINS], a[MAX_BINS], sum = 0.0;
    for (int k = 0; k < f->bins; k++) w[k] = bin_mass(d, k, f->bins, f->truncated);
    receiver_weights(w, f->bins);
    for (int s = 0; s < draws; s++) {
        const double y = x + noise[s] / sqrt(alpha);
        for (int k = 0; k < f->bins; k++) a[k] = log(w[k]) - 0.5 * alpha * pow(y - centre(k, f->bins), 2.0);
        sum += -0.5 * alpha * (y - x) * (y - x) - log_sum(a, f->bins);
    }
    return n * sum / draws;
}

double ref_real_loss(const bf_flow *f, const bf_flow_loss_spec *spec, double x, double mu, double t, const double *net,
                     const double *noise, int draws)
{
    const parts d = output(f, mu, t, net);
    const double v = (double)(float)f->min_variance, mean = ref_mean(f, mu, t, net), n = spec->steps;
    if (spec->kind == BF_LOSS_CTS) {
        return -0.5 * log(v) * (x - mean) * (x - mean) / fmax(pow(v, t), f->min_loss_variance);
    }
    if (spec->kind == BF_LOSS_RECON && f->kind == BF_FLOW_CONTINUOUS) {
        const bool coarse = f->min_variance == 1e-3;
        const parts point = {.n = 1, .w = {1.0}, .m = {mean}, .s = {(coarse ? 0.7 : 1.0) * sqrt(f->min_variance)}};
        return -log_prob(&point, x, coarse ? 16 : 256, false);
    }
    if (spec->kind == BF_LOSS_RECON) return -log_prob(&d, x, f->bins, f->truncated);
    if (f->kind == BF_FLOW_DISCRETISED) return binned_steps(f, spec->steps, step_index(spec, t), x, &d, noise, draws);
    return n * pow(v, -step_index(spec, t) / n) * (1.0 - pow(v, 1.0 / n)) * (x - mean) * (x - mean) / 2.0;
}

/* ---- classes ---------------------------------------------------------------------------------------------------- */

void ref_probs(int classes, const double *net, double *p)
{
    const double both[2] = {0.0, net[0]};
    const double *logits = classes == 2 ? both : net;
    const double total = log_sum(logits, classes);
    for (int k = 0; k < classes; k++) p[k] = exp(logits[k] - total);
}

/* The definitions of spec 2.5 with whole densities: a mixture of K-dimensional normals, or one mixture per coordinate.
 */
static double class_steps(int classes, bool joint, int label, double alpha, const double *w, const double *noise)
{
    const double variance = classes * alpha;
    double y[MAX_BINS], a[MAX_BINS], loss = 0.0;
    for (int j = 0; j < classes; j++) {
        const double mean = alpha * (classes * (j == label) - 1.0);
        y[j] = mean + sqrt(variance) * noise[j];
        loss += log_normal(y[j], mean, variance);
    }
    if (joint) {
        for (int k = 0; k < classes; k++) {
            a[k] = log(w[k]);
            for (int j = 0; j < classes; j++) a[k] += log_normal(y[j], alpha * (classes * (j == k) - 1.0), variance);
        }
        return loss - log_sum(a, classes);
    }
    for (int j = 0; j < classes; j++) {
        for (int k = 0; k < classes; k++) {
            a[k] = log(w[k]) + log_normal(y[j], alpha * (classes * (j == k) - 1.0), variance);
        }
        loss -= log_sum(a, classes);
    }
    return loss;
}

/* Accuracy of classes, by its definition. */
static double beta(const bf_flow *f, double t)
{
    const double whole = f->classes * f->max_sqrt_beta * f->max_sqrt_beta;
    if (f->schedule == BF_SCHEDULE_ENTROPY) return -4.0 / f->classes * log(1.0 - t + t * exp(-whole / 4.0));
    return pow(f->max_sqrt_beta * t, 2.0);
}

static double beta_rate(const bf_flow *f, double t)
{
    const double whole = f->classes * f->max_sqrt_beta * f->max_sqrt_beta, q = exp(-whole / 4.0);
    if (f->schedule == BF_SCHEDULE_ENTROPY) return 4.0 / f->classes * (1.0 - q) / (1.0 - t + t * q);
    return 2.0 * t * whole / f->classes;
}

double ref_class_loss(const bf_flow *f, const bf_flow_loss_spec *spec, int label, double t, const double *net,
                      const double *noise, int draws)
{
    const int classes = f->classes;
    const bool joint = spec->receiver != BF_RECEIVER_OFFICIAL;
    double p[MAX_BINS], sum = 0.0;
    ref_probs(classes, net, p);
    if (spec->kind == BF_LOSS_RECON) return -log(p[label]);
    if (spec->kind == BF_LOSS_CTS) {
        for (int k = 0; k < classes; k++) sum += pow((k == label) - p[k], 2.0);
        return 0.5 * classes * beta_rate(f, t) * sum;
    }
    const double n = spec->steps, i = step_index(spec, t);
    const double alpha = beta(f, i / n) - beta(f, (i - 1.0) / n);
    if (spec->receiver != BF_RECEIVER_JOINT) receiver_weights(p, classes);
    for (int s = 0; s < draws; s++) sum += class_steps(classes, joint, label, alpha, p, noise + s * classes);
    return n * sum / draws;
}
