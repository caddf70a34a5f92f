/* Group norm of [B,P,C] with activation and optional scale and shift, in double precision. */
#ifndef BF_TESTS_REF_GROUP_NORM_H
#define BF_TESTS_REF_GROUP_NORM_H

typedef struct ref_group_norm {
    int batch, points, ch, groups, pitch, act;
    double eps;
    const double *x, *gamma, *beta, *scale, *shift; /* scale, shift: rows of `pitch`, may be NULL */
} ref_group_norm;

/* mean, rstd [B,G] may be NULL. */
void ref_group_norm_forward(const ref_group_norm *s, double *y, double *mean, double *rstd);

#endif
