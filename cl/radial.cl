/* Lengths of edges, and codes of distances by radial functions. */
#include "common.h"

#define NO_ITEM 0xffffffffu

INLINE float3 point(__global const float *x, const ulong i)
{
    return (float3)(x[3 * i], x[3 * i + 1], x[3 * i + 2]);
}

/* d[i,s] = |x[i] - x[src[i,s]]|, 0 of NO_ITEM. A group takes `block` items. */
__kernel void edge_length_forward(ARG(d), ARG_CONST(x), ARG_U32_CONST(src), const ulong items, const int slots,
                                  const int block)
{
    PTR(d);
    PTR_CONST(x);
    PTR_U32_CONST(src);
    const ulong first = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, items - first);
    ELEM_FOR(r, s, count, slots)
    {
        const ulong i = first + (ulong)r, e = i * (ulong)slots + (ulong)s;
        float3 v = (float3)(0.0f);
        if (src[e] != NO_ITEM) v = point(x, i) - point(x, src[e]);
        d[e] = sqrt(v.x * v.x + v.y * v.y + v.z * v.z);
    }
}

/* dx[i] (+)= sum of dd / d (x[i] - x of the other end) over the edges that go to i, then over those that come from it; nothing
 * where d = 0. A group takes `block` items. */
__kernel void edge_length_backward(ARG(dx), const int acc, ARG_CONST(dd), ARG_CONST(d), ARG_CONST(x),
                                   ARG_U32_CONST(src), ARG_U32_CONST(rev_offset), ARG_U32_CONST(rev_edge),
                                   const ulong items, const int slots, const int block)
{
    PTR(dx);
    PTR_CONST(dd);
    PTR_CONST(d);
    PTR_CONST(x);
    PTR_U32_CONST(src);
    PTR_U32_CONST(rev_offset);
    PTR_U32_CONST(rev_edge);
    const ulong first = get_group_id(0) * (ulong)block, end = min(first + (ulong)block, items);
    for (ulong i = first + get_local_id(0); i < end; i += WG) {
        const float3 here = point(x, i);
        float3 to = (float3)(0.0f), from = (float3)(0.0f);
        for (ulong e = i * (ulong)slots; e < (i + 1) * (ulong)slots; e++)
            if (d[e] > 0.0f) to += dd[e] / d[e] * (here - point(x, src[e]));
        for (uint m = rev_offset[i]; m < rev_offset[i + 1]; m++) {
            const uint e = rev_edge[m];
            if (d[e] > 0.0f) from += dd[e] / d[e] * (here - point(x, e / (uint)slots));
        }
        const float3 sum = to + from;
        dx[3 * i] = acc ? dx[3 * i] + sum.x : sum.x;
        dx[3 * i + 1] = acc ? dx[3 * i + 1] + sum.y : sum.y;
        dx[3 * i + 2] = acc ? dx[3 * i + 2] + sum.z : sum.z;
    }
}

/* ---- radial functions: e = -((d - offset) scale)^2 / 2; y = exp(e), or e itself where EXPONENT ------------------------- */

#ifndef EXPONENT
#define EXPONENT 0
#endif
#define MOST 256 /* functions */

#if EXPONENT
#define RADIAL(e) (e)
#else
#define RADIAL(e) vexp(e)
#endif

#if !WIDE
/* The offsets and what fills up their last vector. */
#define LOAD_OFFSETS(name, from, cols)                                                                                 \
    LINES(name, MOST);                                                                                                 \
    for (int c = 0; c < (cols); c += VW) stp16(ldv(from + c, (cols)-c), name + c)
#endif

/* y[n,cols] from d [n] and offset [cols]. A group takes `block` rows. */
__kernel void radial_forward(ARG(y), ARG_CONST(d), ARG_CONST(offset), const float scale, const ulong n, const int cols,
                             const int block)
{
    PTR(y);
    PTR_CONST(d);
    PTR_CONST(offset);
    const ulong first = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, n - first);
    __global float *to = y + first * (ulong)cols;
#if WIDE
    ELEM_FOR(r, c, count, cols)
    {
        const float z = scale * (d[first + (ulong)r] - offset[c]);
        to[(ulong)r * (ulong)cols + (ulong)c] = RADIAL(-0.5f * z * z);
    }
#else
    LOAD_OFFSETS(centre, offset, cols);
    for (int r = 0; r < count; r++)
        for (int c = 0; c < cols; c += VW) {
            const vf z = scale * (d[first + (ulong)r] - ldp16(centre + c));
            const int at = r * cols + c;
            /* Whole vectors where the rows behind this one, which come later, write over what is too much. */
            stv(RADIAL(-0.5f * z * z), to + at, at + VW <= count * cols ? VW : cols - c);
        }
#endif
}

/* dd[n] (+)= sum over the functions of dy * dy/dd. A group takes `block` rows. */
__kernel void radial_backward(ARG(dd), const int acc, ARG_CONST(dy), ARG_CONST(y), ARG_CONST(d), ARG_CONST(offset),
                              const float scale, const ulong n, const int cols, const int block)
{
    PTR(dd);
    PTR_CONST(dy);
    PTR_CONST(y);
    PTR_CONST(d);
    PTR_CONST(offset);
    const ulong first = get_group_id(0) * (ulong)block;
    const int count = (int)min((ulong)block, n - first);
    const ulong base = first * (ulong)cols;
#if WIDE
    for (int r = (int)get_local_id(0); r < count; r += WG) {
        float sum = 0.0f;
        for (int c = 0; c < cols; c++) {
            const ulong at = base + (ulong)r * (ulong)cols + (ulong)c;
            sum += dy[at] * (EXPONENT ? 1.0f : y[at]) * (offset[c] - d[first + (ulong)r]);
        }
        const float slope = scale * scale * sum;
        dd[first + (ulong)r] = acc ? dd[first + (ulong)r] + slope : slope;
    }
#else
    const vf lane = (vf)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    LOAD_OFFSETS(centre, offset, cols);
    for (int r = 0; r < count; r++) {
        vf sum = (vf)(0.0f);
        for (int c = 0; c < cols; c += VW) {
            const int at = r * cols + c, left = at + VW <= count * cols ? VW : cols - c;
            const vf w = EXPONENT ? (vf)(1.0f) : ldv(y + base + at, left);
            const vf v = ldv(dy + base + at, left) * w * (ldp16(centre + c) - d[first + (ulong)r]);
            sum += lane < (vf)((float)(cols - c)) ? v : (vf)(0.0f);
        }
        const float slope = scale * scale * vsum(sum);
        dd[first + (ulong)r] = acc ? dd[first + (ulong)r] + slope : slope;
    }
#endif
}
