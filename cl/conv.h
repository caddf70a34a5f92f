/* What every convolution adds to its result before storing it. */
#ifndef BF_CONV_H
#define BF_CONV_H

/* Bits of `epi`. */
#define EPI_BIAS 1
#define EPI_SAMPLE 2
#define EPI_RESIDUAL 4
#define EPI_ACC 8

/* The epilogue for up to VW channels of pixel `at` (in floats, channel j included) of image b. */
inline vf finish(vf v, __global const float *r, __global const float *bias, __global const float *per_sample,
                 __global const float *residual, const int at, const int b, const int j, const int cr, const int epi)
{
    const int left = cr - j;
    if (epi & EPI_BIAS) v += ldv(bias + j, left);
    if (epi & EPI_SAMPLE) v += ldv(per_sample + (long)b * cr + j, left);
    if (epi & EPI_RESIDUAL) v += ldv(residual + at, left);
    if (epi & EPI_ACC) v += ldv(r + at, left);
    return v;
}

#endif
