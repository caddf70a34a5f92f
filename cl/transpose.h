/* Rows and columns of 16 x 16 numbers in the registers of the "cpu" class; include after common.h. */
#ifndef BF_TRANSPOSE_H
#define BF_TRANSPOSE_H

#if !WIDE

/* a0 b0 a1 b1 ... */
INLINE void zip_lanes(const float16 a, const float16 b, float16 *first, float16 *second)
{
    first->even = a.lo;
    first->odd = b.lo;
    second->even = a.hi;
    second->odd = b.hi;
}

/* v0[0] v1[0] v2[0] v3[0] v0[1] ...: two steps of the perfect shuffle. */
INLINE void zip_four(float16 *v)
{
    float16 a, b, c, d;
    zip_lanes(v[0], v[2], &a, &b);
    zip_lanes(v[1], v[3], &c, &d);
    zip_lanes(a, c, &v[0], &v[1]);
    zip_lanes(b, d, &v[2], &v[3]);
}

/* Exchanges the rows and columns of 16 x 16: four steps, of rows r, r + 4, r + 8, r + 12 each. */
INLINE void transpose_16(float16 *x)
{
#pragma unroll
    for (int half_way = 0; half_way < 2; half_way++) {
        float16 y[16];
#pragma unroll
        for (int r = 0; r < 4; r++) {
#pragma unroll
            for (int j = 0; j < 4; j++) y[4 * r + j] = x[r + 4 * j];
            zip_four(y + 4 * r);
        }
#pragma unroll
        for (int r = 0; r < 16; r++) x[r] = y[r];
    }
}

#endif
#endif
