/*
 * Multi-head attention, softmax(q k' / sqrt(d)) v, without a T x T matrix in memory (online softmax; the backward pass
 * recomputes the probabilities from the saved log-sum-exp).
 *
 * Every lane owns one query (forward, query gradient) or one key (key and value gradients) and walks the other side in
 * steps of STEP rows, which are read as scalars common to all lanes. So the softmax needs no exchange between lanes and
 * the inner loops are multiply-adds on whole vectors. On the cpu class the lanes are those of a vector, on the wide
 * class 64 work-items.
 *
 * q, k, v of (sample b, token t, head h) start at qkv + (b T + t) pitch + h head_stride + {0, 1, 2} part_stride.
 */
#include "common.h"

/* Channels of a head. */
#ifndef HD
#define HD 16
#endif
/* 1: a token sees itself and those before it. */
#ifndef CAUSAL
#define CAUSAL 0
#endif

#define STEP 8 /* rows of the other side taken at once: as many independent sums hide the latency of a multiply-add */

#if WIDE
#define LANES 64
#define EXP_LOOP _Pragma("unroll") /* keeps the array it runs over in registers */
#define MY_LANES(l) for (int l = (int)get_local_id(0), once_ = 1; once_; once_ = 0)
#define LANE(a, l) (a)
#else
#define LANES VW
#define EXP_LOOP _Pragma("unroll 1") /* copies of a vector exp cost far more to compile than they save */
#define MY_LANES(l) for (int l = 0; l < LANES; l++)
#define LANE(a, l) (((LANE_MEM float *)&(a))[l])
#endif

/* Where the rows that the lanes own lie. Private arrays become registers on the wide class; on the cpu class they are
 * memory anyway, and local memory keeps compilers from unrolling all their loops to avoid it (Mesa needs minutes). The
 * limit keeps four arrays within the 32 KiB that every device has. */
#if WIDE || HD > 96
#define LANE_MEM __private
#else
#define LANE_MEM __local
#endif

/* a[j] = channel j of the rows t0 + lane; rows beyond `len` repeat the last one. */
static inline void load_rows(LANE_MEM vf *a, __global const float *x, ulong pitch, int t0, int len)
{
    MY_LANES(l)
    {
        __global const float *row = x + (ulong)min(t0 + l, len - 1) * pitch;
        for (int j = 0; j < HD; j++) LANE(a[j], l) = row[j];
    }
}

static inline void store_rows(LANE_MEM vf *a, __global float *y, ulong pitch, int t0, int len, int acc)
{
    MY_LANES(l)
    {
        if (t0 + l < len) {
            __global float *row = y + (ulong)(t0 + l) * pitch;
            for (int j = 0; j < HD; j++) row[j] = acc ? row[j] + LANE(a[j], l) : LANE(a[j], l);
        }
    }
}

/* Sum of a[j] * b[j]. */
static inline vf dot_lanes(LANE_MEM vf *a, LANE_MEM vf *b)
{
    vf sum = (vf)(0.0f);
    for (int j = 0; j < HD; j++) sum += a[j] * b[j];
    return sum;
}

static inline void clear_rows(LANE_MEM vf *a)
{
    for (int j = 0; j < HD; j++) a[j] = (vf)(0.0f);
}

/* One value per token: x[t0 + lane]. `left` tokens exist; the others read the last one's value or are not written. */
static inline vf load_tokens(__global const float *x, int t0, int len)
{
#if WIDE
    return x[min(t0 + (int)get_local_id(0), len - 1)];
#else
    return ldv(x + t0, len - t0);
#endif
}

static inline void store_tokens(vf v, __global float *x, int t0, int len)
{
#if WIDE
    if (t0 + (int)get_local_id(0) < len) x[t0 + (int)get_local_id(0)] = v;
#else
    stv(v, x + t0, len - t0);
#endif
}

/* Token of each lane, as a float (exact to 2^24). */
static inline vf lane_tokens(int t0)
{
#if WIDE
    return (float)(t0 + (int)get_local_id(0));
#else
    return (float)t0 + (vf)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#endif
}

/* out[s] = a . (row t + s of x), for STEP rows; rows beyond `len` repeat the last one. */
static inline void dot_rows(LANE_MEM vf *out, LANE_MEM vf *a, __global const float *x, ulong pitch, int t, int len)
{
    __global const float *row[STEP];
    vf sum[STEP];
#pragma unroll
    for (int s = 0; s < STEP; s++) {
        row[s] = x + (ulong)min(t + s, len - 1) * pitch;
        sum[s] = (vf)(0.0f);
    }
    for (int j = 0; j < HD; j++)
#pragma unroll
        for (int s = 0; s < STEP; s++) sum[s] += row[s][j] * a[j];
#pragma unroll
    for (int s = 0; s < STEP; s++) out[s] = sum[s];
}

/* acc = alpha acc + sum_s w[s] (row t + s of x); w is 0 for rows beyond `len`. */
static inline void add_rows(LANE_MEM vf *acc, const vf alpha, LANE_MEM vf *w, __global const float *x, ulong pitch,
                            int t, int len)
{
    __global const float *row[STEP];
    vf weight[STEP];
#pragma unroll
    for (int s = 0; s < STEP; s++) {
        row[s] = x + (ulong)min(t + s, len - 1) * pitch;
        weight[s] = w[s];
    }
    for (int j = 0; j < HD; j++) {
        vf sum = alpha * acc[j];
#pragma unroll
        for (int s = 0; s < STEP; s++) sum += row[s][j] * weight[s];
        acc[j] = sum;
    }
}

/* Which sample, head and lanes a group has. Group: (b, h, block of lanes), the block fastest. */
#define ATTENTION_SETUP                                                                                                \
    const ulong id = get_group_id(0);                                                                                  \
    const ulong bh = id / (ulong)blocks, b = bh / (ulong)heads, h = bh % (ulong)heads;                                 \
    const int t0 = (int)(id % (ulong)blocks) * LANES;                                                                  \
    const ulong pitch = 3 * (ulong)heads * HD, pitch_y = (ulong)heads * HD;                                            \
    const ulong at_q = b * (ulong)len * pitch + h * (ulong)head_stride;                                                \
    const ulong at_k = at_q + (ulong)part_stride, at_v = at_k + (ulong)part_stride;                                    \
    const ulong at_y = b * (ulong)len * pitch_y + h * HD

/* y and lse = max + ln(sum exp(score - max)); lanes are queries. */
__kernel void attention_forward(ARG(y), ARG(lse), ARG_CONST(qkv), const int len, const int heads, const int head_stride,
                                const int part_stride, const float scale, const int blocks)
{
    PTR(y);
    PTR(lse);
    PTR_CONST(qkv);
    LANE_MEM vf q[HD], out[HD], w[STEP];
    ATTENTION_SETUP;
    load_rows(q, qkv + at_q, pitch, t0, len);
    clear_rows(out);
    const vf token = lane_tokens(t0);
    vf top = (vf)(-INFINITY), sum = (vf)(0.0f);
    const int end = CAUSAL ? min(len, t0 + LANES) : len;
    for (int k = 0; k < end; k += STEP) {
        dot_rows(w, q, qkv + at_k, pitch, k, len);
        vf most = top;
#pragma unroll
        for (int s = 0; s < STEP; s++) {
            vf score = scale * w[s];
            if (k + s >= len) score = (vf)(-INFINITY);
            if (CAUSAL) score = select(score, (vf)(-INFINITY), (vf)((float)(k + s)) > token);
            most = fmax(most, score);
            w[s] = score;
        }
        const vf alpha = exp(top - most); /* the first step holds key 0, which every query sees: most is a number */
        top = most;
        sum *= alpha;
        EXP_LOOP
        for (int s = 0; s < STEP; s++) {
            const vf p = exp(w[s] - most);
            w[s] = p;
            sum += p;
        }
        add_rows(out, alpha, w, qkv + at_v, pitch, k, len);
    }
    for (int j = 0; j < HD; j++) out[j] /= sum;
    store_rows(out, y + at_y, pitch_y, t0, len, 0);
    store_tokens(top + log(sum), lse + bh * (ulong)len, t0, len);
}

/* dq (+)= scale sum_k p (dp - delta) k with p = exp(score - lse), dp = dy . v, delta = dy . y (kept for the other
 * kernel); lanes are queries. */
__kernel void attention_backward_query(ARG(dqkv), const int acc, ARG(delta), ARG_CONST(dy), ARG_CONST(y),
                                       ARG_CONST(lse), ARG_CONST(qkv), const int len, const int heads,
                                       const int head_stride, const int part_stride, const float scale,
                                       const int blocks)
{
    PTR(dqkv);
    PTR(delta);
    PTR_CONST(dy);
    PTR_CONST(y);
    PTR_CONST(lse);
    PTR_CONST(qkv);
    LANE_MEM vf q[HD], g[HD], dq[HD], w[STEP], dp[STEP];
    ATTENTION_SETUP;
    load_rows(dq, y + at_y, pitch_y, t0, len);
    load_rows(g, dy + at_y, pitch_y, t0, len);
    load_rows(q, qkv + at_q, pitch, t0, len);
    const vf log_sum = load_tokens(lse + bh * (ulong)len, t0, len), dot_y = dot_lanes(g, dq), token = lane_tokens(t0);
    clear_rows(dq);
    store_tokens(dot_y, delta + bh * (ulong)len, t0, len);
    const int end = CAUSAL ? min(len, t0 + LANES) : len;
    for (int k = 0; k < end; k += STEP) {
        dot_rows(w, q, qkv + at_k, pitch, k, len);
        dot_rows(dp, g, qkv + at_v, pitch, k, len);
        EXP_LOOP
        for (int s = 0; s < STEP; s++) {
            vf v = exp(scale * w[s] - log_sum) * (dp[s] - dot_y) * scale;
            if (k + s >= len) v = (vf)(0.0f);
            if (CAUSAL) v = select(v, (vf)(0.0f), (vf)((float)(k + s)) > token);
            w[s] = v;
        }
        add_rows(dq, (vf)(1.0f), w, qkv + at_k, pitch, k, len);
    }
    store_rows(dq, dqkv + at_q, pitch, t0, len, acc);
}

/* dv (+)= sum_q p dy, dk (+)= scale sum_q p (dp - delta) q; lanes are keys. */
__kernel void attention_backward_key(ARG(dqkv), const int acc, ARG_CONST(delta), ARG_CONST(dy), ARG_CONST(lse),
                                     ARG_CONST(qkv), const int len, const int heads, const int head_stride,
                                     const int part_stride, const float scale, const int blocks)
{
    PTR(dqkv);
    PTR_CONST(delta);
    PTR_CONST(dy);
    PTR_CONST(lse);
    PTR_CONST(qkv);
    LANE_MEM vf key[HD], val[HD], dk[HD], dv[HD], p[STEP], w[STEP];
    ATTENTION_SETUP;
    __global const float *my_lse = lse + bh * (ulong)len, *my_delta = delta + bh * (ulong)len;
    load_rows(key, qkv + at_k, pitch, t0, len);
    load_rows(val, qkv + at_v, pitch, t0, len);
    clear_rows(dk);
    clear_rows(dv);
    const vf token = lane_tokens(t0);
    /* A key is seen by itself and later queries: those before the first lane have nothing to add. */
    for (int t = CAUSAL ? t0 / STEP * STEP : 0; t < len; t += STEP) {
        dot_rows(p, key, qkv + at_q, pitch, t, len);
        dot_rows(w, val, dy + at_y, pitch_y, t, len);
        EXP_LOOP
        for (int s = 0; s < STEP; s++) {
            const int at = min(t + s, len - 1);
            vf v = exp(scale * p[s] - my_lse[at]);
            if (t + s >= len) v = (vf)(0.0f);
            if (CAUSAL) v = select(v, (vf)(0.0f), token > (vf)((float)(t + s)));
            p[s] = v;
            w[s] = v * (w[s] - my_delta[at]) * scale;
        }
        add_rows(dv, (vf)(1.0f), p, dy + at_y, pitch_y, t, len);
        add_rows(dk, (vf)(1.0f), w, qkv + at_q, pitch, t, len);
    }
    store_rows(dk, dqkv + at_k, pitch, t0, len, acc);
    store_rows(dv, dqkv + at_v, pitch, t0, len, acc);
}
