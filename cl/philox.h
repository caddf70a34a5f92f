/*
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The words are
 * those of src/base/philox.h, the conversions too; include after common.h.
 *
 *   key = seed, counter = (element / 4, sample, step, stream); word element % 4 belongs to the element.
 *
 * Two forms: one counter at a time, and VW counters in the lanes of a vector (vu beside vf of common.h).
 */
#ifndef BF_PHILOX_H
#define BF_PHILOX_H

#define PHILOX_UNIT 5.9604644775390625e-8f /* 2^-24 */
#define PHILOX_TWO_PI 6.2831853071795865f

#if WIDE
typedef uint vu;
#define LANE_NUMBERS 0u
#define vu_to_vf(w) convert_float(w)
#define put_lanes(v, p) ((p)[0] = (v))
#else
typedef uint16 vu;
#define LANE_NUMBERS ((uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#define vu_to_vf(w) convert_float16(w)
#define put_lanes(v, p) vstore16(v, 0, p)
#endif

/* The upper half of a product; compilers inline the first, where mul_hi of a scalar becomes a call (POCL 3.1). */
#define HIGH_SCALAR(m, c) (uint)((ulong)(m) * (c) >> 32)
#define HIGH_LANES(m, c) mul_hi((vu)(m), c)

/* The four words of the counter c[0..3], in place. U is uint or a vector of it, HIGH one of the above. */
#define DEFINE_PHILOX(name, U, HIGH)                                                                                   \
    static inline void name(U *c, uint key0, uint key1)                                                                \
    {                                                                                                                  \
        for (int round = 0; round < 10; round++) {                                                                     \
            const U hi0 = HIGH(0xD2511F53u, c[0]), lo0 = 0xD2511F53u * c[0];                                           \
            const U hi1 = HIGH(0xCD9E8D57u, c[2]), lo1 = 0xCD9E8D57u * c[2];                                           \
            c[0] = hi1 ^ c[1] ^ key0;                                                                                  \
            c[1] = lo1;                                                                                                \
            c[2] = hi0 ^ c[3] ^ key1;                                                                                  \
            c[3] = lo0;                                                                                                \
            key0 += 0x9E3779B9u;                                                                                       \
            key1 += 0xBB67AE85u;                                                                                       \
        }                                                                                                              \
    }

DEFINE_PHILOX(philox_words, uint, HIGH_SCALAR)
DEFINE_PHILOX(philox_lanes, vu, HIGH_LANES)

/* Words of elements 4 block .. 4 block + 3 of row `row` of the batch; `record` is the step record. */
static inline uint4 philox_row(__global const uint *record, const uint stream, const uint row, const uint block)
{
    uint c[4] = {block, record[STEP_SAMPLE0] + row, record[STEP_STEP], stream};
    philox_words(c, record[STEP_SEED_LO], record[STEP_SEED_HI]);
    return vload4(0, c);
}

/* The same for blocks block .. block + VW - 1: lane l of w[j] belongs to element 4 (block + l) + j. */
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
static inline float4 uniform4(const uint4 w)
{
    return convert_float4(w >> 8u) * PHILOX_UNIT;
}

static inline void uniform_lanes(vf *u, const vu *w)
{
    for (int j = 0; j < 4; j++) u[j] = vu_to_vf(w[j] >> 8u) * PHILOX_UNIT;
}

/* Box-Muller: the first word of a pair gives the radius from (0,1], the second the angle from [0,1). */
static inline void normal_lanes(vf *n, const vu *w)
{
    for (int j = 0; j < 4; j += 2) {
        const vf r = sqrt(-2.0f * log(vu_to_vf((w[j] >> 8u) + 1u) * PHILOX_UNIT));
        const vf a = PHILOX_TWO_PI * (vu_to_vf(w[j + 1] >> 8u) * PHILOX_UNIT);
        n[j] = r * cos(a);
        n[j + 1] = r * sin(a);
    }
}

#endif
