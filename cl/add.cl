/* Sums of tensors. */
#include "common.h"

/* y = alpha a + beta b; without b: y = alpha a */
__kernel void axpby(ARG(y), const float alpha, ARG_CONST(a), const float beta, ARG_CONST(b), const int has_b,
                    const ulong n)
{
    PTR(y);
    PTR_CONST(a);
    PTR_CONST(b);
    FLAT_BLOCK(base, m, n);
    ROW_FOR(i, m)
    {
        vf v = alpha * ldv(a + base + i, m - i);
        if (has_b) v += beta * ldv(b + base + i, m - i);
        stv(v, y + base + i, m - i);
    }
}

/* y[o,m,i] = x[o,m,i] + t[o,i]; a group takes `rows` values of m of one o, `parts` groups make up one o. */
__kernel void add_mid(ARG(y), ARG_CONST(x), ARG_CONST(t), const ulong mid, const int inner, const int rows,
                      const ulong parts)
{
    PTR(y);
    PTR_CONST(x);
    PTR_CONST(t);
    const ulong o = get_group_id(0) / parts, m0 = get_group_id(0) % parts * (ulong)rows;
    const int count = (int)min((ulong)rows, mid - m0);
    const ulong base = (o * mid + m0) * (ulong)inner;
    __global const float *term = t + o * (ulong)inner;
    TILE_FOR(r, c, count, inner)
    {
        const ulong at = base + (ulong)r * (ulong)inner + (ulong)c;
        stv(ldv(x + at, inner - c) + ldv(term + c, inner - c), y + at, inner - c);
    }
}
