/*
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The words are
 * those of src/base/philox.h, the conversions too; include after common.h.
 *
 *   key = seed, counter = (element / 4, sample, step, stream); word element % 4 belongs to the element.
 *
 * VW counters at a time, in the lanes of a vector (vu beside vf of common.h).
 */
#ifndef BF_PHILOX_H
#define BF_PHILOX_H

#include "transpose.h"

#define PHILOX_UNIT 5.9604644775390625e-8f /* 2^-24 */
#define PHILOX_TWO_PI 6.2831853071795865f

#if WIDE
typedef uint vu;
typedef int vi;
#define LANE_NUMBERS 0u
#define vu_to_vf(w) convert_float(w)
#define vi_to_vf(w) convert_float(w)
#define vu_as_vi(w) as_int(w)
#define vf_as_vu(x) as_uint(x)
#define vu_as_vf(w) as_float(w)
#define PUT_LANES(v, p) ((p)[0] = (v))
#else
typedef uint16 vu;
typedef int16 vi;
#define LANE_NUMBERS ((uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#define vu_to_vf(w) convert_float16(w)
#define vi_to_vf(w) convert_float16(w)
#define vu_as_vi(w) as_int16(w)
#define vf_as_vu(x) as_uint16(x)
#define vu_as_vf(w) as_float16(w)
#define PUT_LANES(v, p) stp16(v, p)
#endif

/* Both halves of the product m c; 64-bit arithmetic is inlined, where mul_hi becomes a call (POCL 3.1). */
static inline void product_lanes(const uint m, const vu c, vu *high, vu *low)
{
#if WIDE
    const ulong p = (ulong)m * c;
    *high = (uint)(p >> 32);
    *low = (uint)p;
#else
    /* every second word at a time: processors multiply the lower words of 64-bit lanes */
    const ulong8 upper = (ulong8)(0xffffffff00000000ul), lower = (ulong8)(0xfffffffful), pairs = as_ulong8(c);
    const ulong8 first = (pairs & lower) * (ulong8)((ulong)m), second = (pairs >> 32ul) * (ulong8)((ulong)m);
    *high = as_uint16((first >> 32ul) | (second & upper));
    *low = as_uint16((first & lower) | (second << 32ul));
#endif
}

/* The four words of the counters c[0..3], in place. */
static inline void philox_lanes(vu *c, uint key0, uint key1)
{
    for (int round = 0; round < 10; round++) {
        vu high0, low0, high1, low1;
        product_lanes(0xD2511F53u, c[0], &high0, &low0);
        product_lanes(0xCD9E8D57u, c[2], &high1, &low1);
        c[0] = high1 ^ c[1] ^ key0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

/* Words of the counters block .. block + VW - 1 of row `row` of the batch: lane l of w[j] belongs to element
 * 4 (block + l) + j. `record` is the step record. */
static inline void philox_row_lanes(vu *w, __global const uint *record, const uint stream, const uint row,
                                    const uint block)
{
    w[0] = block + LANE_NUMBERS;
    w[1] = (vu)(record[STEP_SAMPLE0] + row);
    w[2] = (vu)(record[STEP_STEP]);
    w[3] = (vu)(stream);
    philox_lanes(w, record[STEP_SEED_LO], record[STEP_SEED_HI]);
}

/* [0,1) */
static inline void uniform_lanes(vf *u, const vu *w)
{
    for (int j = 0; j < 4; j++) u[j] = vu_to_vf(w[j] >> 8u) * PHILOX_UNIT;
}

/* Sine and cosine of k / 2^24 turns, k < 2^24, error below 1.5e-7: the nearest quarter of a turn is taken off in integers, so
 * no digit of the angle is lost. */
static inline void turn_lanes(const vu k, vf *sine, vf *cosine)
{
    const vu quarter = (k + (1u << 21)) >> 22u;
    const vf r = vi_to_vf(vu_as_vi(k - (quarter << 22u))) * (PHILOX_TWO_PI * PHILOX_UNIT), z = r * r;
    vf s = fma(z, (vf)(-1.9515295891e-4f), (vf)(8.3321608736e-3f));
    vf c = fma(z, (vf)(2.4433157118e-5f), (vf)(-1.3887316255e-3f));
    s = fma(fma(s, z, (vf)(-1.6666654611e-1f)) * z, r, r);
    c = fma(fma(c, z, (vf)(4.1666645683e-2f)) * z, z, fma(z, (vf)(-0.5f), (vf)(1.0f)));
    const vi swap = vu_as_vi(quarter << 31u);
    const vu sign_s = (quarter << 30u) & 0x80000000u, sign_c = ((quarter + 1u) << 30u) & 0x80000000u;
    *sine = vu_as_vf(vf_as_vu(swap < 0 ? c : s) ^ sign_s);
    *cosine = vu_as_vf(vf_as_vu(swap < 0 ? s : c) ^ sign_c);
}

/* Box-Muller: the first word of a pair gives the radius from (0,1], the second the angle from [0,1). */
static inline void normal_lanes(vf *n, const vu *w)
{
    for (int j = 0; j < 4; j += 2) {
        const vf r = sqrt(-2.0f * vlog(vu_to_vf((w[j] >> 8u) + 1u) * PHILOX_UNIT));
        vf sine, cosine;
        turn_lanes(w[j + 1] >> 8u, &sine, &cosine);
        n[j] = r * cosine;
        n[j + 1] = r * sine;
    }
}

/* ---- chunks: the 4 VW elements of VW counters ------------------------------------------------------------------------ */

#define CHUNK (4 * VW)

/* Walks this item's chunks of one block of BLOCK elements: the first element `e`, a multiple of CHUNK, and the number `n` of
 * elements that there are. */
#define CHUNK_FOR(e, n, block, per_sample)                                                                             \
    for (uint e = (block)*BLOCK + (uint)get_local_id(0) * CHUNK, e##_end = min(((block) + 1u) * BLOCK, (per_sample)),  \
              n = 0;                                                                                                   \
         e < e##_end && (n = min((uint)CHUNK, e##_end - e)) > 0; e += WG * CHUNK)

/* Number j of the vectors that hold the n elements of a chunk. */
#define VECTOR_FOR(j, n) for (int j = 0; j < 4 && j * VW < (int)(n); j++)

/* From word j of the counters in v[j] to VW neighbouring elements in each. */
static inline void chunk_order(vf *v)
{
#if WIDE
    (void)v;
#else
    zip_four(v);
#endif
}

/* Uniform numbers of a chunk in the order of its elements. */
static inline void uniform_chunk(vf *u, __global const uint *record, const uint stream, const uint row, const uint e)
{
    vu w[4];
    philox_row_lanes(w, record, stream, row, e / 4u);
    uniform_lanes(u, w);
    chunk_order(u);
}

#endif
