/*
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The words are those
 * of src/base/philox.h, the conversions too; include after common.h.
 *
 *   key = seed, counter = (element / 4, sample, step, stream); word element % 4 belongs to the element.
 */
#ifndef BF_PHILOX_H
#define BF_PHILOX_H

#define PHILOX_UNIT 5.9604644775390625e-8f /* 2^-24 */
#define PHILOX_TWO_PI 6.2831853071795865f

/* Scalars and a 64-bit product: compilers keep them in registers, where uint4 and mul_hi become shuffles and calls. */
static inline uint4 philox(uint seed_lo, uint seed_hi, const uint block, const uint sample, const uint step,
                           const uint stream)
{
    uint c0 = block, c1 = sample, c2 = step, c3 = stream;
    for (int round = 0; round < 10; round++) {
        const ulong p0 = (ulong)0xD2511F53u * c0, p1 = (ulong)0xCD9E8D57u * c2;
        c0 = (uint)(p1 >> 32) ^ c1 ^ seed_lo;
        c1 = (uint)p1;
        c2 = (uint)(p0 >> 32) ^ c3 ^ seed_hi;
        c3 = (uint)p0;
        seed_lo += 0x9E3779B9u;
        seed_hi += 0xBB67AE85u;
    }
    return (uint4)(c0, c1, c2, c3);
}

/* Words of elements 4 block .. 4 block + 3 of row `row` of the batch; `record` is the step record. */
static inline uint4 philox_row(__global const uint *record, const uint stream, const uint row, const uint block)
{
    return philox(record[STEP_SEED_LO], record[STEP_SEED_HI], block, record[STEP_SAMPLE0] + row, record[STEP_STEP],
                  stream);
}

/* [0,1) */
static inline float uniform_word(const uint w)
{
    return (float)(w >> 8) * PHILOX_UNIT;
}

static inline float4 uniform4(const uint4 w)
{
    return convert_float4(w >> 8u) * PHILOX_UNIT;
}

/* Box-Muller: the first word of a pair gives the radius from (0,1], the second the angle from [0,1). */
static inline float2 normal_pair(const uint w0, const uint w1)
{
    const float r = sqrt(-2.0f * log((float)((w0 >> 8) + 1u) * PHILOX_UNIT));
    const float a = PHILOX_TWO_PI * ((float)(w1 >> 8) * PHILOX_UNIT);
    return (float2)(r * cos(a), r * sin(a));
}

static inline float4 normal4(const uint4 w)
{
    return (float4)(normal_pair(w.x, w.y), normal_pair(w.z, w.w));
}

/* One element; where neighbours are wanted too, take a whole block with philox_row instead. */
static inline uint philox_word(__global const uint *record, const uint stream, const uint row, const uint element)
{
    const uint4 w = philox_row(record, stream, row, element >> 2);
    const uint2 pair = (element & 2u) != 0u ? w.hi : w.lo;
    return (element & 1u) != 0u ? pair.y : pair.x;
}

static inline float philox_uniform(__global const uint *record, const uint stream, const uint row, const uint element)
{
    return uniform_word(philox_word(record, stream, row, element));
}

static inline float philox_normal(__global const uint *record, const uint stream, const uint row, const uint element)
{
    const uint4 w = philox_row(record, stream, row, element >> 2);
    const float2 n = (element & 2u) != 0u ? normal_pair(w.z, w.w) : normal_pair(w.x, w.y);
    return (element & 1u) != 0u ? n.y : n.x;
}

#endif
