/* Flows, one variable at a time, in doubles, straight from the formulas: no series, no fused gradients. Independent of
 * the engine but for the struct of settings. */
#ifndef BF_TESTS_REF_FLOW_H
#define BF_TESTS_REF_FLOW_H

#include "flow/flow.h"

/* Real-valued data: x and mu of one variable at time t, net: its bf_flow_outputs() numbers, noise: one normal per draw
 * of the n-step loss. */
double ref_real_loss(const bf_flow *f, const bf_flow_loss_spec *spec, double x, double mu, double t, const double *net,
                     const double *noise, int draws);
/* Probabilities of the bins; expectation of the output distribution; its ln density at x (not for a delta). */
void ref_bins(const bf_flow *f, double mu, double t, const double *net, double *p);
double ref_mean(const bf_flow *f, double mu, double t, const double *net);
double ref_log_density(const bf_flow *f, double mu, double t, const double *net, double x);

/* Classes: noise [draws, K]. */
double ref_class_loss(const bf_flow *f, const bf_flow_loss_spec *spec, int label, double t, const double *net,
                      const double *noise, int draws);
void ref_probs(int classes, const double *net, double *p);

#endif
