#ifndef BF_REF_HALF_H
#define BF_REF_HALF_H

/* The half nearest to x, ties to even, by arithmetic on the value; 65504 beyond that. NaN stays NaN. */
double ref_half(double x);

#endif
