/* Activations and their derivatives in double precision; numbers of enum bf_act. */
#ifndef BF_TESTS_REF_ACT_H
#define BF_TESTS_REF_ACT_H

double ref_act(int act, double x);
double ref_act_slope(int act, double x);

#endif
