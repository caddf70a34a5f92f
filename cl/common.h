/*
 * Shared by every kernel file. The loader expands #include lines itself (embedded and --kernel-dir alike), so a .cl
 * file compiles alone with any OpenCL C 1.2 compiler and no options.
 *
 *   WIDE  0: "cpu" class, work-group size 1, explicit float16 vectors. 1: "wide" class, a group of WG items per row.
 *   WG    work-items of a group (1 when WIDE is 0; a power of two otherwise).
 *
 * Three idioms, each written once for both classes with vectors `vf` of VW lanes; ldv/stv treat the ragged end.
 *   row      a group owns m elements (a real row, or a block of BLOCK elements of a flat array): ROW_FOR walks them,
 *            vsum/vmax fold a vector, row_sum/row_max fold over the group (all items get the result).
 *   tile     a group owns rows x cols elements and needs the column of each: TILE_FOR (vectors), ELEM_FOR (scalars).
 *   columns  a group folds rows into COL_TILE columns: COL_SETUP says which columns and rows an item takes, col_sum
 *            folds the items of one column. The host side is src/op/columns.h.
 */
#ifndef BF_COMMON_H
#define BF_COMMON_H

#ifndef WIDE
#define WIDE 0
#endif
#ifndef WG
#define WG 1
#endif

/* A memory argument is a buffer and an offset counted in 4-byte units. */
#define ARG(x) __global float *x##_buf, const ulong x##_off
#define ARG_CONST(x) __global const float *x##_buf, const ulong x##_off
#define ARG_U32(x) __global uint *x##_buf, const ulong x##_off
#define ARG_U32_CONST(x) __global const uint *x##_buf, const ulong x##_off
#define ARG_I32(x) __global int *x##_buf, const ulong x##_off
#define ARG_I32_CONST(x) __global const int *x##_buf, const ulong x##_off
#define PTR(x) __global float *const x = x##_buf + x##_off
#define PTR_CONST(x) __global const float *const x = x##_buf + x##_off
#define PTR_U32(x) __global uint *const x = x##_buf + x##_off
#define PTR_U32_CONST(x) __global const uint *const x = x##_buf + x##_off
#define PTR_I32(x) __global int *const x = x##_buf + x##_off
#define PTR_I32_CONST(x) __global const int *const x = x##_buf + x##_off

/* Elements of a flat array that one group handles (bf_call_flat on the host uses the same number). */
#define BLOCK 4096
/* Declares the first element `base` and the length `m` of this group's block of an array of n elements. */
#define FLAT_BLOCK(base, m, n)                                                                                         \
    const ulong base = (ulong)get_group_id(0) * BLOCK;                                                                 \
    const int m = (int)min((ulong)BLOCK, (n)-base)

#if WIDE
#define VW 1
typedef float vf;
#else
#define VW 16
typedef float16 vf;
#endif

#define INLINE static inline __attribute__((always_inline))

/* Groups in turn, for kernels of much work (bf_call.in_turn): TURNS ends the list of arguments, FOR_GROUPS(g) stands before
 * the body, which uses g.x, g.y, g.z for get_group_id(). A driver may deal groups out in large pieces (POCL: half of those
 * left), and the thread that starts last or shares its core holds up the others: 2 to 10 % of a product on 2 cores. So as
 * many groups as there are compute units take one number after the other from a counter, in the order of get_group_id(). The
 * last to look leaves the counter at 0, as it was found. */
#if WIDE
#define TURNS
#define FOR_GROUPS(g)                                                                                                  \
    const uint3 g = (uint3)((uint)get_group_id(0), (uint)get_group_id(1), (uint)get_group_id(2));
#else
#define TURNS , ARG_U32(turn), const uint groups_x, const uint groups_y, const uint groups
#define FOR_GROUPS(g) for (uint3 g; next_group(&g, turn_buf + turn_off, groups_x, groups_y, groups);)

INLINE int next_group(uint3 *g, volatile __global uint *turn, const uint x, const uint y, const uint groups)
{
    const uint i = atomic_inc(turn);
    if (i == groups + (uint)get_num_groups(0) - 1) atomic_xchg(turn, 0);
    *g = (uint3)(i % x, i / x % y, i / x / y);
    return i < groups;
}
#endif

#if !WIDE
/* 16 floats at the address of any: in global memory (ld16, st16) and in private memory (ldp16, stp16). vload16 and vstore16
 * mean the same, but a driver may build them from pieces that its compiler does not always join again (POCL 3.1: kernels up
 * to twice as slow). Functions, not macros: clang uses 512-bit registers only where such a vector is passed or returned. */
typedef float16 __attribute__((aligned(4))) float16_anywhere;
INLINE float16 ld16(__global const float *p)
{
    return *(__global const float16_anywhere *)p;
}
INLINE void st16(const float16 v, __global float *p)
{
    *(__global float16_anywhere *)p = v;
}
INLINE float16 ldp16(const float *p)
{
    return *(const float16_anywhere *)p;
}
INLINE void stp16(const float16 v, float *p)
{
    *(float16_anywhere *)p = v;
}
/* A private array of n floats (a multiple of 16) that begins at a multiple of 64 bytes. */
#define LINES(name, n)                                                                                                 \
    float16 name##_lines[(n) / 16];                                                                                    \
    float *const name = (float *)name##_lines
#endif

/* Asks for a cache line that is needed soon (L2: later, in the second-level cache). prefetch() does nothing in some
 * drivers, and the builtin exists only where kernels become machine code of the processor without a detour. */
#if !WIDE && (defined(__x86_64__) || defined(__aarch64__))
#define PREFETCH(p) __builtin_prefetch((const void *)(size_t)(p))
#define PREFETCH_L2(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#else
#define PREFETCH(p)
#define PREFETCH_L2(p)
#endif

#define ROW_FOR(i, m) for (int i = (int)get_local_id(0) * VW; i < (m); i += WG * VW)

/* Walks rows x cols elements; at (r, c) a vector of cols - c valid lanes (TILE_FOR) or one element (ELEM_FOR). The wide
 * form divides once and then steps, so consecutive items touch consecutive elements whatever cols is. */
#if WIDE
#define TILE_FOR(r, c, rows, cols)                                                                                     \
    for (int r = (int)get_local_id(0) / (cols), c = (int)get_local_id(0) % (cols); r < (rows);                         \
         r += WG / (cols) + (c + WG % (cols) >= (cols)), c += WG % (cols) - (c + WG % (cols) >= (cols) ? (cols) : 0))
#define ELEM_FOR TILE_FOR
#else
#define TILE_FOR(r, c, rows, cols)                                                                                     \
    for (int r = 0; r < (rows); r++)                                                                                   \
        for (int c = 0; c < (cols); c += VW)
#define ELEM_FOR(r, c, rows, cols)                                                                                     \
    for (int r = 0; r < (rows); r++)                                                                                   \
        for (int c = 0; c < (cols); c++)
#endif

/* ldv/stv: up to VW elements at p, `left` of them valid (left >= 1); missing lanes read as 0 (ldv_or: as `fill`) and
 * are not written. */
static inline vf ldv_or(__global const float *p, int left, float fill)
{
#if WIDE
    (void)left;
    (void)fill;
    return p[0];
#else
    if (left >= VW) return ld16(p);
    float t[VW];
    stp16((vf)(fill), t);
#pragma unroll 1 /* the rare path: keep it small, it is compiled into every loop of every kernel */
    for (int i = 0; i < left; i++) t[i] = p[i];
    return ldp16(t);
#endif
}

static inline vf ldv(__global const float *p, int left)
{
    return ldv_or(p, left, 0.0f);
}

static inline void stv(vf v, __global float *p, int left)
{
#if WIDE
    (void)left;
    p[0] = v;
#else
    if (left >= VW) {
        st16(v, p);
    } else {
        float t[VW];
        stp16(v, t);
#pragma unroll 1
        for (int i = 0; i < left; i++) p[i] = t[i];
    }
#endif
}

/* Stores v, or adds it to what is there. */
static inline void stv_acc(vf v, __global float *p, int left, int acc)
{
    stv(acc ? v + ldv(p, left) : v, p, left);
}

/* A whole vector of local memory (arrays that kernels pad to a multiple of VW). */
static inline vf ldl(__local const float *p)
{
#if WIDE
    return p[0];
#else
    return *(__local const float16_anywhere *)p;
#endif
}

static inline void stl(vf v, __local float *p)
{
#if WIDE
    p[0] = v;
#else
    *(__local float16_anywhere *)p = v;
#endif
}

static inline float vsum(vf v)
{
#if WIDE
    return v;
#else
    float8 a = v.lo + v.hi;
    float4 b = a.lo + a.hi;
    float2 c = b.lo + b.hi;
    return c.x + c.y;
#endif
}

static inline float vmax(vf v)
{
#if WIDE
    return v;
#else
    float8 a = fmax(v.lo, v.hi);
    float4 b = fmax(a.lo, a.hi);
    float2 c = fmax(b.lo, b.hi);
    return fmax(c.x, c.y);
#endif
}

/* Local memory written by one item is read by others after this; nothing to do in a group of one. */
static inline void group_sync(void)
{
#if WIDE
    barrier(CLK_LOCAL_MEM_FENCE);
#endif
}

/* Group-wide folds; call from uniform control flow only. Declare the scratch at kernel scope: ROW_SCRATCH(name). */
#define ROW_SCRATCH(name) __local float name[WG]

static inline float row_sum(float v, __local float *scratch)
{
#if WIDE
    const int lane = (int)get_local_id(0);
    scratch[lane] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_size = WG / 2; half_size > 0; half_size >>= 1) {
        if (lane < half_size) scratch[lane] += scratch[lane + half_size];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    v = scratch[0];
    barrier(CLK_LOCAL_MEM_FENCE);
#else
    (void)scratch;
#endif
    return v;
}

static inline float row_max(float v, __local float *scratch)
{
#if WIDE
    const int lane = (int)get_local_id(0);
    scratch[lane] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_size = WG / 2; half_size > 0; half_size >>= 1) {
        if (lane < half_size) scratch[lane] = fmax(scratch[lane], scratch[lane + half_size]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    v = scratch[0];
    barrier(CLK_LOCAL_MEM_FENCE);
#else
    (void)scratch;
#endif
    return v;
}

/* Columns: `lanes` items (a power of two, 1 on the cpu class) stand side by side and WG / lanes rows of them take every
 * step-th row. An item owns COLV vectors from column `col` on: two on the cpu class, so that neighbouring lines are read
 * together and two sums are under way; more would mostly cost time to compile. */
#if WIDE
#define COLV 1
#else
#define COLV 2
#endif
#define COL_TILE(lanes) ((ulong)(lanes) * (COLV * VW))
#define COL_SETUP(col, row, step, tile, lanes)                                                                         \
    const ulong col = (ulong)(tile)*COL_TILE(lanes) + (get_local_id(0) % (uint)(lanes)) * (COLV * VW);                 \
    const int row = (int)get_local_id(0) / (lanes), step = WG / (lanes)

/* Sum over the items of a column; every item gets it. Uniform control flow; scratch: ROW_SCRATCH. */
static inline vf col_sum(vf v, int lanes, __local float *scratch)
{
#if WIDE
    const int lane = (int)get_local_id(0);
    scratch[lane] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_size = WG / 2; half_size >= lanes; half_size >>= 1) {
        if (lane < half_size) scratch[lane] += scratch[lane + half_size];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    v = scratch[lane % lanes];
    barrier(CLK_LOCAL_MEM_FENCE);
#else
    (void)lanes;
    (void)scratch;
#endif
    return v;
}

#include "vmath.h"

/* Activations, the numbers of enum bf_act. T is float or vf. */
#define ACT_NONE 0
#define ACT_SILU 1
#define ACT_GELU 2
#define ACT_RELU 3

/* GELU, tanh form: 0.5 x (1 + tanh(z)) = x / (1 + exp(-2 z)), z = sqrt(2/pi) (x + 0.044715 x^3); the exponential form
 * loses no digits where tanh is close to -1. */
#define GELU_2C 1.5957691216057308f /* 2 sqrt(2/pi) */
#define GELU_A 0.044715f

#define DEFINE_ACT(T, EXP, fwd, bwd)                                                                                   \
    static inline T fwd(const int act, const T x)                                                                      \
    {                                                                                                                  \
        if (act == ACT_SILU) return x / (1.0f + EXP(-x));                                                              \
        if (act == ACT_GELU) return x / (1.0f + EXP(-GELU_2C * (x + GELU_A * x * x * x)));                             \
        if (act == ACT_RELU) return select(x, (T)(0.0f), x < (T)(0.0f));                                               \
        return x;                                                                                                      \
    }                                                                                                                  \
    /* derivative at x (the value before the activation) */                                                            \
    static inline T bwd(const int act, const T x)                                                                      \
    {                                                                                                                  \
        if (act == ACT_SILU) {                                                                                         \
            const T s = 1.0f / (1.0f + EXP(-x));                                                                       \
            return s * (1.0f + x * (1.0f - s));                                                                        \
        }                                                                                                              \
        if (act == ACT_GELU) {                                                                                         \
            const T z = GELU_2C * (x + GELU_A * x * x * x), e = EXP(-fabs(z)), r = 1.0f / (1.0f + e);                  \
            const T s = select(r, e * r, z < (T)(0.0f)); /* sigmoid(z); its slope is e r^2 */                          \
            return s + x * (e * r * r) * (GELU_2C * (1.0f + 3.0f * GELU_A * x * x));                                   \
        }                                                                                                              \
        if (act == ACT_RELU) return select((T)(0.0f), (T)(1.0f), x > (T)(0.0f));                                       \
        return (T)(1.0f);                                                                                              \
    }

DEFINE_ACT(vf, vexp, act_fwd, act_bwd)
#if WIDE
#define act_fwd1 act_fwd
#define act_bwd1 act_bwd
#else
DEFINE_ACT(float, vexp1, act_fwd1, act_bwd1)
#endif

/* The step record: 16 words the host writes once a step (enum bf_step_word in src/op/op.h). */
#define STEP_SEED_LO 0
#define STEP_SEED_HI 1
#define STEP_STEP 2
#define STEP_SAMPLE0 3
#define STEP_LR 4
#define STEP_BIAS1 5
#define STEP_BIAS2 6
#define STEP_EMA 7

#endif
