/* Activations as ops of their own (where no epilogue of another kernel can take them). ACT: number of the activation.
 */
#include "common.h"

#ifndef ACT
#define ACT ACT_SILU
#endif

/* Those that no epilogue has. */
#define ACT_GELU_ERF 4
#define ACT_SOFTPLUS 5

INLINE vf any_fwd(const vf x)
{
    if (ACT == ACT_GELU_ERF) return 0.5f * x * (1.0f + erf(x * 0.70710678f));
    if (ACT == ACT_SOFTPLUS) return fmax(x, (vf)(0.0f)) + vlog1p(vexp(-fabs(x))) - 0.69314718f;
    return act_fwd(ACT, x);
}

INLINE vf any_bwd(const vf x)
{
    if (ACT == ACT_GELU_ERF) return 0.5f * (1.0f + erf(x * 0.70710678f)) + x * 0.39894228f * vexp(-0.5f * x * x);
    if (ACT == ACT_SOFTPLUS) return 1.0f / (1.0f + vexp(-x));
    return act_bwd(ACT, x);
}

__kernel void act_forward(ARG(y), ARG_CONST(x), const ulong n)
{
    PTR(y);
    PTR_CONST(x);
    FLAT_BLOCK(base, m, n);
    ROW_FOR(i, m) stv(any_fwd(ldv(x + base + i, m - i)), y + base + i, m - i);
}

/* dx (+)= dy act'(x) */
__kernel void act_backward(ARG(dx), const int acc, ARG_CONST(dy), ARG_CONST(x), const ulong n)
{
    PTR(dx);
    PTR_CONST(dy);
    PTR_CONST(x);
    FLAT_BLOCK(base, m, n);
    ROW_FOR(i, m)
    {
        const vf g = ldv(dy + base + i, m - i) * any_bwd(ldv(x + base + i, m - i));
        stv_acc(g, dx + base + i, m - i, acc);
    }
}
