/* Rows and columns of 16 x 16 numbers in the registers of the "cpu" class; include after common.h. */
#ifndef BF_TRANSPOSE_H
#define BF_TRANSPOSE_H

#if !WIDE

/* One step of the perfect shuffle: four of them transpose 16 x 16. */
#define MIX_LO(x, y)                                                                                                   \
    (float16)(x.s0, y.s0, x.s1, y.s1, x.s2, y.s2, x.s3, y.s3, x.s4, y.s4, x.s5, y.s5, x.s6, y.s6, x.s7, y.s7)
#define MIX_HI(x, y)                                                                                                   \
    (float16)(x.s8, y.s8, x.s9, y.s9, x.sa, y.sa, x.sb, y.sb, x.sc, y.sc, x.sd, y.sd, x.se, y.se, x.sf, y.sf)

/* Exchanges the rows and columns of 16 x 16. */
INLINE void transpose_16(float16 *x)
{
    float16 y[16];
#pragma unroll
    for (int step = 0; step < 2; step++) {
#pragma unroll
        for (int r = 0; r < 8; r++) {
            y[2 * r] = MIX_LO(x[r], x[r + 8]);
            y[2 * r + 1] = MIX_HI(x[r], x[r + 8]);
        }
#pragma unroll
        for (int r = 0; r < 8; r++) {
            x[2 * r] = MIX_LO(y[r], y[r + 8]);
            x[2 * r + 1] = MIX_HI(y[r], y[r + 8]);
        }
    }
}

#endif
#endif
