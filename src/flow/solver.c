#include "flow/solver.h"

#include <math.h>

#include "base/size.h"

/* How the state moves. */
typedef enum form { FORM_MESSAGE, FORM_FLOW, FORM_SDE, FORM_ODE, FORM_SDE_EULER, FORM_ODE_EULER } form;

static const struct mode_def {
    const char *name;
    form form;
    bf_sampler_choose choose;
    int order;   /* 2: the value is linear over a step */
    bool single; /* two calls per step */
    bool fixed;  /* the same noise in all steps */
} modes[BF_SAMPLER_MODES] = {
    [BF_SAMPLER_ANCESTRAL] = {"ancestral", FORM_MESSAGE, BF_CHOOSE_DRAW, 1, false, false},
    [BF_SAMPLER_END_BACK] = {"end_back", FORM_FLOW, BF_CHOOSE_DRAW, 1, false, false},
    [BF_SAMPLER_END_BACK_PMF] = {"end_back_pmf", FORM_FLOW, BF_CHOOSE_MEAN, 1, false, false},
    [BF_SAMPLER_END_BACK_MODE] = {"end_back_mode", FORM_FLOW, BF_CHOOSE_MODE, 1, false, false},
    [BF_SAMPLER_END_BACK_FIXED] = {"end_back_fixed", FORM_FLOW, BF_CHOOSE_MEAN, 1, false, true},
    [BF_SAMPLER_SDE1] = {"sde1", FORM_SDE, BF_CHOOSE_MEAN, 1, false, false},
    [BF_SAMPLER_SDE2] = {"sde2", FORM_SDE, BF_CHOOSE_MEAN, 2, false, false},
    [BF_SAMPLER_ODE1] = {"ode1", FORM_ODE, BF_CHOOSE_MEAN, 1, false, false},
    [BF_SAMPLER_ODE2] = {"ode2", FORM_ODE, BF_CHOOSE_MEAN, 2, false, false},
    [BF_SAMPLER_ODE2_SINGLE] = {"ode2_single", FORM_ODE, BF_CHOOSE_MEAN, 2, true, false},
    [BF_SAMPLER_SDE_EULER] = {"sde_euler", FORM_SDE_EULER, BF_CHOOSE_MEAN, 1, false, false},
    [BF_SAMPLER_ODE_EULER] = {"ode_euler", FORM_ODE_EULER, BF_CHOOSE_MEAN, 1, false, false},
};

const char *bf_sampler_mode_name(bf_sampler_mode mode)
{
    return modes[mode].name;
}

bool bf_sampler_solves(bf_sampler_mode mode)
{
    return modes[mode].form >= FORM_SDE;
}

int bf_sampler_calls_per_step(bf_sampler_mode mode)
{
    return modes[mode].single ? 2 : 1;
}

int bf_sampler_evaluations(bf_sampler_mode mode, bf_sampler_last last, int steps)
{
    return steps * bf_sampler_calls_per_step(mode) + (last == BF_LAST_CALL);
}

bool bf_sampler_adds_noise(bf_sampler_mode mode)
{
    return modes[mode].form != FORM_ODE && modes[mode].form != FORM_ODE_EULER;
}

bool bf_sampler_noise_is_fixed(bf_sampler_mode mode)
{
    return modes[mode].fixed;
}

bool bf_sampler_looks_back(bf_sampler_mode mode)
{
    return modes[mode].order == 2;
}

bf_sampler_choose bf_sampler_chooses(bf_sampler_mode mode, bf_sampler_choose choose)
{
    return choose == BF_CHOOSE_BY_MODE ? modes[mode].choose : choose;
}

bf_sampler_mode bf_sampler_auto(int evaluations)
{
    return evaluations <= BF_AUTO_ODE ? BF_SAMPLER_ODE2 : BF_SAMPLER_SDE2;
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

void bf_sampler_grid(double eta, int n, double *t)
{
    for (int k = 0; k <= n; k++) t[k] = k == n ? 1.0 : eta + (1.0 - eta) * (double)k / (double)n;
}

void bf_sampler_grid_early(double eta, int n, double *t)
{
    for (int k = 0; k <= n; k++) t[k] = k == n ? 1.0 : eta + (1.0 - eta) * pow((double)k / (double)n, BF_EARLY_POWER);
}

/* The state at t = 0 is one point, and these divide by its deviation. */
static bool starts_later(bf_sampler_mode mode)
{
    return modes[mode].form >= FORM_ODE;
}

bf_status bf_sampler_check_times(bf_sampler_mode mode, const double *t, int n, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(n >= 1, BF_USAGE, "sampler: the number of steps must be positive, got %d", n);
    for (int k = 0; k <= n; k++)
        BF_CHECK(t[k] >= 0.0 && t[k] <= 1.0 && (k == 0 || t[k] > t[k - 1]), BF_USAGE,
                 "sampler: times increase from 0 or later to 1, number %d is %g", k + 1, t[k]);
    BF_CHECK(t[n] == 1.0, BF_USAGE, "sampler: the last time is 1, not %g", t[n]);
    BF_CHECK(t[0] > 0.0 || !starts_later(mode), BF_USAGE,
             "sampler: %s cannot start at t = 0, where the state is one point: choose the grid shifted or early, or "
             "sde1, sde2, "
             "ancestral or end_back",
             bf_sampler_mode_name(mode));
out:
    return st;
}

/* ---- real-valued data -------------------------------------------------------------------------------------------- */

/* mu(t) has mean a x and deviation s; post = sigma_1^(2t) = 1 - a. */
typedef struct real_at {
    double post, a, s, lambda;
} real_at;

static real_at real_time(const bf_flow *f, double t)
{
    real_at r;
    r.post = pow(f->min_variance, t);
    r.a = -expm1(t * log(f->min_variance));
    r.s = sqrt(r.a * r.post);
    r.lambda = 0.5 * log(r.a / r.post); /* ln(a / s) */
    return r;
}

/* The exact forms with the value constant over the step. The stochastic one is the Bayesian update: (s' / s) e^-h is
 * rho / rho', and a' (1 - e^-2h) the rest. */
static bf_sampler_numbers real_exact(const real_at *from, const real_at *to, bool noisy)
{
    bf_sampler_numbers c = {0};
    if (noisy) {
        c.keep = to->post / from->post;
        c.value = 1.0 - c.keep;
        c.alpha = 1.0 / to->post - 1.0 / from->post;
        c.noise = c.value / sqrt(c.alpha);
    } else {
        c.keep = to->s / from->s;
        c.value = to->a - c.keep * from->a;
    }
    return c;
}

/* One Euler step of d mu = (f mu + g^2 eps / s) dt (half of the second term without noise), eps = (mu - a v) / s. */
static bf_sampler_numbers real_euler(const bf_flow *f, const real_at *from, double dt, bool noisy)
{
    bf_sampler_numbers c = {0};
    const double ln_v = log(f->min_variance), drift = ln_v * from->post / from->a, g2 = -ln_v * from->post;
    const double pull = (noisy ? g2 : 0.5 * g2) / (from->s * from->s) * dt;
    c.keep = 1.0 - drift * dt - pull;
    c.value = pull * from->a;
    c.noise = noisy ? sqrt(g2 * dt) : 0.0;
    return c;
}

/* The value is a line through v_prev and v in place of a constant, w what that adds for a difference of 1. In the
 * second call of a step the line begins at v_prev, with the state before. */
static void lean(bf_sampler_numbers *c, double w, bool second)
{
    if (second) {
        c->base = c->keep;
        c->keep = 0.0;
        c->prev = c->value - w;
        c->value = w;
    } else {
        c->value += w;
        c->prev -= w;
    }
}

static bf_sampler_numbers real_step(const bf_flow *f, bf_sampler_mode mode, const bf_sampler_span *span)
{
    const struct mode_def *m = &modes[mode];
    const double begin = span->second ? span->before : span->t;
    const real_at from = real_time(f, begin), to = real_time(f, span->to);
    const bool noisy = bf_sampler_adds_noise(mode);
    bf_sampler_numbers c;
    if (m->form == FORM_FLOW) return (bf_sampler_numbers){.value = to.a, .noise = to.s};
    if (m->form == FORM_SDE_EULER || m->form == FORM_ODE_EULER) return real_euler(f, &from, span->to - begin, noisy);
    c = real_exact(&from, &to, noisy);
    if (m->order == 2 && span->before >= 0.0) {
        const real_at before = real_time(f, span->before), now = real_time(f, span->t);
        const double w = 0.5 * c.value * (to.lambda - from.lambda) / (now.lambda - before.lambda);
        lean(&c, w, span->second);
    }
    return c;
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

static double beta_at(const bf_flow *f, double t)
{
    return bf_flow_beta(f, t);
}

/* One Euler step of dz = ((f + g^2 / (2 K beta)) z - g^2 (v - 1/K) / 2) dt, f = -beta' / beta, g^2 = K beta'; with
 * noise dz = -g^2 (v - 1/K) dt + g dw. */
static bf_sampler_numbers class_euler(const bf_flow *f, const bf_sampler_span *span, bool noisy)
{
    bf_sampler_numbers c = {.keep = 1.0};
    const double classes = f->classes, rate = bf_flow_beta_rate(f, span->t), dt = span->to - span->t;
    c.value = (noisy ? 1.0 : 0.5) * classes * rate * dt;
    c.shift = -c.value / classes;
    if (noisy)
        c.noise = sqrt(classes * rate * dt);
    else
        c.keep += 0.5 * rate / beta_at(f, span->t) * dt;
    return c;
}

/* With r = sqrt(beta), in which the latent is linear, in place of t: any schedule. */
static bf_sampler_numbers class_step(const bf_flow *f, bf_sampler_mode mode, const bf_sampler_span *span)
{
    const struct mode_def *m = &modes[mode];
    const double classes = f->classes, begin = span->second ? span->before : span->t;
    const double b0 = beta_at(f, begin), b1 = beta_at(f, span->to), r0 = sqrt(b0), r1 = sqrt(b1);
    const bool noisy = bf_sampler_adds_noise(mode);
    bf_sampler_numbers c = {.keep = 1.0, .alpha = b1 - b0};
    if (m->form == FORM_FLOW) {
        const double b = beta_at(f, fmin(span->to, f->max_t));
        return (bf_sampler_numbers){.value = classes * b, .shift = -b, .noise = sqrt(classes * b)};
    }
    if (m->form == FORM_SDE_EULER || m->form == FORM_ODE_EULER) return class_euler(f, span, noisy);
    if (noisy) {
        c.value = classes * (b1 - b0);
        c.noise = sqrt(c.value);
    } else {
        c.keep = r1 / r0;
        c.value = classes * r1 * (r1 - r0);
    }
    c.shift = -c.value / classes;
    if (m->order == 2 && span->before >= 0.0) {
        const double slope = 1.0 / (sqrt(beta_at(f, span->t)) - sqrt(beta_at(f, span->before))), d = r1 - r0;
        const double w = classes * d * d * slope * (noisy ? (r0 + 2.0 * r1) / 3.0 : r1 / 2.0);
        lean(&c, w, span->second);
    }
    return c;
}

bf_sampler_numbers bf_sampler_step(const bf_flow *f, bf_sampler_mode mode, const bf_sampler_span *span)
{
    return f->kind == BF_FLOW_CATEGORICAL ? class_step(f, mode, span) : real_step(f, mode, span);
}

bf_sampler_begin bf_sampler_begin_at(const bf_flow *f, double t, double spread)
{
    bf_sampler_begin b = {0};
    const double known = fmax(spread, 0.0);
    if (f->kind == BF_FLOW_CATEGORICAL) {
        const double beta = beta_at(f, t), classes = f->classes;
        b.value = classes * beta;
        b.shift = -beta;
        b.held = sqrt(classes * beta);
        b.noise = sqrt(classes * beta + classes * beta * beta * known);
    } else {
        const real_at r = real_time(f, t);
        b.value = r.a;
        b.held = r.s;
        b.noise = sqrt(r.s * r.s + r.a * r.a * known);
    }
    return b;
}
