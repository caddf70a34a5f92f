/*
 * Elementary functions of whole vectors, part of common.h. On the cpu class they are polynomials of our own: a driver's exp
 * of a float16 may cost twice as much, its log three times, its sin and cos twelve (POCL 3.1). GPUs have hardware behind
 * theirs. Errors, over the whole domain (tests/check_vmath.c): vexp 1.1 ulp, vexp2 1.0 ulp, vlog 1.1 ulp, vlog1p and vtanh 2 ulp.
 *
 *   vexp(x)  0 below -87, infinity from 2.4e38 on, NaN of NaN; vexp1 is the same for one float
 *   vexp2(x) 0 below -126; of x up to 127, NaN of NaN; cheaper than vexp
 *   vlog(x)  -infinity of 0, NaN of negative numbers, NaN and infinity; numbers below 2^-126 count as about 2^-127
 *   vlog1p(x)  of x from 0 on
 *   vtanh(x)  NaN of NaN
 */
#ifndef BF_VMATH_H
#define BF_VMATH_H

#if WIDE
#define vexp exp
#define vexp1 exp
#define vexp2 exp2
#define vlog log
#define vlog1p log1p
#define vtanh tanh
#else

/* x = n ln 2 + r with n rounded by the addition of 1.5 2^23, which also leaves n in the lowest bits of t; e^r is a polynomial
 * of degree 7. Only the ternary forms of the limits let NaN through. */
#define DEFINE_EXP(name, T, I, as_T, as_I)                                                                             \
    static inline T name(const T x)                                                                                    \
    {                                                                                                                  \
        const T top = x > (T)(89.0f) ? (T)(89.0f) : x;                                                                 \
        const T t = fma(top, (T)(1.44269504f), (T)(12582912.0f)), n = t - 12582912.0f;                                 \
        const T r = fma(n, (T)(2.12194440e-4f), fma(n, (T)(-0.693359375f), top));                                      \
        T p = (T)(1.9875691500e-4f);                                                                                   \
        p = fma(p, r, (T)(1.3981999507e-3f));                                                                          \
        p = fma(p, r, (T)(8.3334519073e-3f));                                                                          \
        p = fma(p, r, (T)(4.1665795894e-2f));                                                                          \
        p = fma(p, r, (T)(1.6666665459e-1f));                                                                          \
        p = fma(p, r, (T)(5.0000001201e-1f));                                                                          \
        p = fma(p, r * r, r) + 1.0f;                                                                                   \
        return x < (T)(-87.0f) ? (T)(0.0f) : p * as_T((as_I(t) << 23) + (127 << 23));                                  \
    }
DEFINE_EXP(vexp, float16, int16, as_float16, as_int16)
DEFINE_EXP(vexp1, float, int, as_float, as_int)

/* x = n + r as above, without an error in r. */
static inline float16 vexp2(const float16 x)
{
    const float16 t = x + 12582912.0f, r = x - (t - 12582912.0f);
    float16 p = (float16)(1.55946778e-4f);
    p = fma(p, r, (float16)(1.34066434e-3f));
    p = fma(p, r, (float16)(9.61769279e-3f));
    p = fma(p, r, (float16)(5.55031039e-2f));
    p = fma(p, r, (float16)(2.40226522e-1f));
    p = fma(p, r, (float16)(6.93147242e-1f));
    p = fma(p, r, (float16)(1.0f));
    return x < (float16)(-126.0f) ? (float16)(0.0f) : as_float16(as_int16(p) + (as_int16(t) << 23));
}

/* x = 2^e (1 + f) with 1 + f between sqrt(1/2) and sqrt(2). */
static inline float16 vlog(const float16 x)
{
    const int16 bits = as_int16(x) - 0x3f3504f3;
    const float16 e = convert_float16(bits >> 23);
    const float16 f = as_float16((bits & 0x7fffff) + 0x3f3504f3) - 1.0f, f2 = f * f;
    float16 p = (float16)(7.0376836292e-2f);
    p = fma(p, f, (float16)(-1.1514610310e-1f));
    p = fma(p, f, (float16)(1.1676998740e-1f));
    p = fma(p, f, (float16)(-1.2420140846e-1f));
    p = fma(p, f, (float16)(1.4249322787e-1f));
    p = fma(p, f, (float16)(-1.6668057665e-1f));
    p = fma(p, f, (float16)(2.0000714765e-1f));
    p = fma(p, f, (float16)(-2.4999993993e-1f));
    p = fma(p, f, (float16)(3.3333331174e-1f));
    p = fma(e, (float16)(-2.12194440e-4f), p * f * f2);
    p = fma(f2, (float16)(-0.5f), p) + f;
    p = fma(e, (float16)(0.693359375f), p) + (x - x); /* the difference: NaN or 0 */
    return x <= 0.0f ? (x < 0.0f ? (float16)(NAN) : (float16)(-INFINITY)) : p;
}

/* ln(1 + x), and what the rounding of 1 + x took away. */
static inline float16 vlog1p(const float16 x)
{
    const float16 u = 1.0f + x;
    return vlog(u) + (x - (u - 1.0f)) / u;
}

/* A polynomial where the exponential form, 1 - 2 / (exp(2 |x|) + 1), would lose digits. */
static inline float16 vtanh(const float16 x)
{
    const float16 a = fabs(x), z = x * x, far = 1.0f - 2.0f / (vexp(2.0f * a) + 1.0f);
    float16 p = (float16)(-5.70498872745e-3f);
    p = fma(p, z, (float16)(2.06390887954e-2f));
    p = fma(p, z, (float16)(-5.37397155531e-2f));
    p = fma(p, z, (float16)(1.33314422036e-1f));
    p = fma(p, z, (float16)(-3.33332819422e-1f));
    return a < 0.625f ? fma(p, z * x, x) : copysign(far, x);
}
#endif

#endif
