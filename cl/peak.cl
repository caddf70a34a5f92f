/* What the device can do at best: arithmetic without memory, and memory without arithmetic. For `bfncl bench`. */
#include "common.h"

/* Sums that are under way at the same time: enough to hide the latency of a multiply-add on any device, and few enough
 * for the registers of all (32 on AVX-512). */
#define CHAINS 16

/* out[group] = what `rounds` multiply-adds in each lane of CHAINS vectors end in. */
__kernel void peak_arithmetic(ARG(out), const float x, const float y, const int rounds)
{
    PTR(out);
    ROW_SCRATCH(scratch);
    vf a[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; i++) a[i] = (vf)((float)(i + (int)get_local_id(0)));
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y;
    }
    vf sum = a[0];
#pragma unroll
    for (int i = 1; i < CHAINS; i++) sum += a[i];
    const float total = row_sum(vsum(sum), scratch);
    if (get_local_id(0) == 0) out[get_group_id(0)] = total;
}

/* y = x */
__kernel void peak_copy(ARG(y), ARG_CONST(x), const ulong n)
{
    PTR(y);
    PTR_CONST(x);
    FLAT_BLOCK(base, m, n);
    ROW_FOR(i, m)
    stv(ldv(x + base + i, m - i), y + base + i, m - i);
}
