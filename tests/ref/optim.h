/* AdamW with averaged weights in double precision, one element. */
#ifndef BF_TESTS_REF_OPTIM_H
#define BF_TESTS_REF_OPTIM_H

typedef struct ref_adamw {
    double lr, beta1, beta2, eps, weight_decay, decay; /* decay of the average */
    int step;                                          /* 1 for the first */
} ref_adamw;

void ref_adamw_step(const ref_adamw *s, double g, double *p, double *m, double *v, double *ema);

/* Clipping limit after n past norms: 1.5 mean + 2 standard deviations. */
double ref_clip_limit(const double *norms, int n);

#endif
