/*
 * Modes of the sampler as numbers: every step of every mode (spec 2.2-2.4, 2.7, 2.10, 5) is, for a state, the value v
 * that the network's output stands for, the value v_prev of the call before and standard normals xi,
 *
 *   state' = keep state + base base + value v + prev v_prev + shift + noise xi
 *
 * with six numbers that depend on the mode, the flow's schedule and the times alone. They are computed here, in double.
 * State: mu of real-valued data, z = ln theta + const of classes. v of classes: probabilities, or 1 for one class.
 *
 * - ancestral: v a draw; Bayesian update by a message about it, of any accuracy.
 * - end_back, end_back_pmf, end_back_mode: v a draw, the expected value (probabilities), the mode; the flow
 * distribution around it (noise-reduced sampling).
 * - end_back_fixed: as end_back_pmf, with one xi for all steps.
 * - sde1, ode1: v the expected value; the reverse stochastic or ordinary differential equation, its linear part exactly
 *   and v constant over the step.
 * - sde2, ode2: the same with v linear over the step, from this call and the one before.
 * - ode2_single: the same from this call and one in the middle of the step.
 * - sde_euler, ode_euler: Euler's step of either equation.
 */
#ifndef BF_FLOW_SOLVER_H
#define BF_FLOW_SOLVER_H

#include "flow/hybrid.h"

typedef enum bf_sampler_mode {
    BF_SAMPLER_ANCESTRAL,
    BF_SAMPLER_END_BACK,
    BF_SAMPLER_END_BACK_PMF,
    BF_SAMPLER_END_BACK_MODE,
    BF_SAMPLER_END_BACK_FIXED,
    BF_SAMPLER_SDE1,
    BF_SAMPLER_SDE2,
    BF_SAMPLER_ODE1,
    BF_SAMPLER_ODE2,
    BF_SAMPLER_ODE2_SINGLE,
    BF_SAMPLER_SDE_EULER,
    BF_SAMPLER_ODE_EULER,
    BF_SAMPLER_MODES
} bf_sampler_mode;

/* Value of a variable that the network's output stands for. */
typedef enum bf_sampler_choose {
    BF_CHOOSE_BY_MODE, /* as the table above says */
    BF_CHOOSE_MEAN,    /* expected value; of classes probabilities */
    BF_CHOOSE_DRAW,
    BF_CHOOSE_MODE /* the most likely one: nothing is drawn from the output distribution */
} bf_sampler_choose;

typedef enum bf_sampler_last {
    BF_LAST_CALL,       /* after the last step one more call at t = 1, whose mode is the sample */
    BF_LAST_PREDICTION, /* the last step is none: the mode of its call is the sample */
    BF_LAST_STATE       /* mu, or the largest of z, at t = 1, without a call there */
} bf_sampler_last;

const char *bf_sampler_mode_name(bf_sampler_mode mode); /* "ancestral", "end_back", ... */
/* Is it a solver of differential equations: sde1 and what follows? */
bool bf_sampler_solves(bf_sampler_mode mode);
/* Calls of the network per step: 2 for ode2_single, else 1. */
int bf_sampler_calls_per_step(bf_sampler_mode mode);
/* Calls of a run. */
int bf_sampler_evaluations(bf_sampler_mode mode, bf_sampler_last last, int steps);
/* Do steps add noise? */
bool bf_sampler_adds_noise(bf_sampler_mode mode);
/* Is it the same noise in all steps? */
bool bf_sampler_noise_is_fixed(bf_sampler_mode mode);
/* Does a step use the value of the call before? */
bool bf_sampler_looks_back(bf_sampler_mode mode);
/* What is chosen in the end. */
bf_sampler_choose bf_sampler_chooses(bf_sampler_mode mode, bf_sampler_choose choose);

/* The solver for so many evaluations: ode2 up to BF_AUTO_ODE, from there on sde2 (measured: README, "Sampling"). */
#define BF_AUTO_ODE 15
bf_sampler_mode bf_sampler_auto(int evaluations);

/* t_k = eta + (1 - eta) k / n, k = 0..n; eta 0: uniform. */
void bf_sampler_grid(double eta, int n, double *t);

/* t_k = eta + (1 - eta) (k / n)^BF_EARLY_POWER: shorter steps early, where real-valued data take shape. */
#define BF_EARLY_POWER 2.0
void bf_sampler_grid_early(double eta, int n, double *t);

/* BF_USAGE unless t[0..n] is increasing from t[0] >= 0 to 1, and t[0] is above 0 where the mode needs that. */
bf_status bf_sampler_check_times(bf_sampler_mode mode, const double *t, int n, bf_err *err);

typedef struct bf_sampler_numbers {
    double keep, base, value, prev, shift, noise;
    double alpha; /* accuracy that the step adds: of the message in ancestral sampling */
} bf_sampler_numbers;

/* What a call at time t leads to: the state at t_to. */
typedef struct bf_sampler_span {
    double t, to;
    double before; /* time of the call before; below 0: there was none */
    bool second;   /* the second call of a step (`before` is where that step began) */
} bf_sampler_span;

/* The numbers of a call. Of ode2_single `to` is the middle in the first call, and the step's end in the second. */
bf_sampler_numbers bf_sampler_step(const bf_flow *f, bf_sampler_mode mode, const bf_sampler_span *span);

/* The state at t > 0 from which sampling begins: around 0, or around what is known of the data (spec 5.2, 5.3). */
typedef struct bf_sampler_begin {
    double value; /* factor of the data's mean, or of what is given */
    double shift; /* classes: is added where there is such a mean or value */
    double noise; /* deviation */
    double held;  /* deviation where a value is given */
} bf_sampler_begin;

/* spread: variance of the data, mean over the variables (of classes: the sum over the classes, too); < 0: nothing is
 * known, and the mean is 0. */
bf_sampler_begin bf_sampler_begin_at(const bf_flow *f, double t, double spread);

#endif
