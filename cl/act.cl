/* Activations as ops of their own (where no epilogue of another kernel can take them). ACT: number of the activation.
 */
#include "common.h"

#ifndef ACT
#define ACT ACT_SILU
#endif

__kernel void act_forward(ARG(y), ARG_CONST(x), const ulong n)
{
    PTR(y);
    PTR_CONST(x);
    FLAT_BLOCK(base, m, n);
    ROW_FOR(i, m) stv(act_fwd(ACT, ldv(x + base + i, m - i)), y + base + i, m - i);
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
        const vf g = ldv(dy + base + i, m - i) * act_bwd(ACT, ldv(x + base + i, m - i));
        stv_acc(g, dx + base + i, m - i, acc);
    }
}
