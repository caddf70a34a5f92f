/* Nearest up-sampling by two. A group takes one row of the small image: w pixels of ch channels. */
#include "common.h"

/* x [B,H,W,C] -> y [B,2H,2W,C]. Element i = (pixel, channel c) of the small row goes to 2 i - c and 2 i - c + C of two
 * rows of the large image. */
__kernel void upsample_forward(ARG(y), ARG_CONST(x), const int w, const int ch)
{
    PTR(y);
    PTR_CONST(x);
    const ulong row = get_group_id(0), width = (ulong)w * (ulong)ch;
    __global const float *src = x + row * width;
    __global float *upper = y + 4 * row * width, *lower = upper + 2 * width;
    TILE_FOR(p, c, w, ch)
    {
        const int at = 2 * p * ch + c;
        const vf v = ldv(src + p * ch + c, ch - c);
        stv(v, upper + at, ch - c);
        stv(v, upper + at + ch, ch - c);
        stv(v, lower + at, ch - c);
        stv(v, lower + at + ch, ch - c);
    }
}

/* dx (+)= sum of the four */
__kernel void upsample_backward(ARG(dx), const int acc, ARG_CONST(dy), const int w, const int ch)
{
    PTR(dx);
    PTR_CONST(dy);
    const ulong row = get_group_id(0), width = (ulong)w * (ulong)ch;
    __global float *dst = dx + row * width;
    __global const float *upper = dy + 4 * row * width, *lower = upper + 2 * width;
    TILE_FOR(p, c, w, ch)
    {
        const int at = 2 * p * ch + c;
        const vf above = ldv(upper + at, ch - c) + ldv(upper + at + ch, ch - c);
        const vf below = ldv(lower + at, ch - c) + ldv(lower + at + ch, ch - c);
        stv_acc(above + below, dst + p * ch + c, ch - c, acc);
    }
}
