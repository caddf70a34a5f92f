/* Floats stored as halves, two in the place of one; only their storage is 16 bits wide, so no extension is needed. */
#include "common.h"

#define HALF_LARGEST 65504.0f

/* h[i] = x[i] rounded to the nearest half, ties to even; beyond the largest half that one. NaN stays NaN. */
__kernel void half_pack(ARG(h), ARG_CONST(x), const ulong n)
{
    PTR(h);
    PTR_CONST(x);
    FLAT_BLOCK(base, m, n);
    __global half *out = (__global half *)h + base;
    ROW_FOR(i, m)
    {
        vf v = ldv(x + base + i, m - i);
        v = v > HALF_LARGEST ? (vf)(HALF_LARGEST) : v;
        v = v < -HALF_LARGEST ? (vf)(-HALF_LARGEST) : v;
#if WIDE
        vstore_half_rte(v, 0, out + i);
#else
        if (m - i >= VW) {
            vstore_half16_rte(v, 0, out + i);
        } else {
            float t[VW];
            stp16(v, t);
            for (int k = 0; k < m - i; k++) vstore_half_rte(t[k], (size_t)k, out + i);
        }
#endif
    }
}

/* x[i] = h[i], exactly */
__kernel void half_unpack(ARG(x), ARG_CONST(h), const ulong n)
{
    PTR(x);
    PTR_CONST(h);
    FLAT_BLOCK(base, m, n);
    __global const half *in = (__global const half *)h + base;
    ROW_FOR(i, m)
    {
#if WIDE
        x[base + i] = vload_half(0, in + i);
#else
        if (m - i >= VW)
            st16(vload_half16(0, in + i), x + base + i);
        else
            for (int k = i; k < m; k++) x[base + k] = vload_half((size_t)k, in);
#endif
    }
}
