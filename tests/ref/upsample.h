/* Nearest up-sampling by two, [B,H,W,C] -> [B,2H,2W,C]. */
#ifndef BF_TESTS_REF_UPSAMPLE_H
#define BF_TESTS_REF_UPSAMPLE_H

void ref_upsample(double *y, const double *x, int batch, int h, int w, int ch);
void ref_upsample_gradient(double *dx, const double *dy, int batch, int h, int w, int ch);

#endif
