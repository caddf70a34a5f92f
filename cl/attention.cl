/*
 * Multi-head attention, softmax(q k' / sqrt(d)) v, without a T x T matrix in memory (online softmax; the backward pass
 * recomputes the probabilities from the saved log-sum-exp).
 *
 * Every lane owns one query (forward, query gradient) or one key (key and value gradients) and walks the other side in
 * steps of STEP rows, which are read as scalars common to all lanes. So the softmax needs no exchange between lanes and
 * the inner loops are multiply-adds on whole vectors. A wide group has 64 lanes; on the cpu class a work-item carries
 * NV vectors of lanes.
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

#define STEP 8 /* rows of the other side taken at once */

/* Vectors of lanes per work-item: enough independent chains to hide latency without leaving the first-level cache. */
#if WIDE
#define NV 1
#define GROUP_LANES 64
#else
#define NV 2
#define GROUP_LANES (NV * VW)
#endif

/* Value of lane l of vector array a[NV] (cpu class), of this item (wide). */
#if WIDE
#define MY_LANES(l) for (int l = (int)get_local_id(0), once_ = 1; once_; once_ = 0)
#define LANE(a, l) ((a)[0])
#else
#define MY_LANES(l) for (int l = 0; l < GROUP_LANES; l++)
#define LANE(a, l) (((float *)(a))[l])
#endif

/* a[j][NV] = HD channels of the rows t0 + lane; rows beyond `len` repeat the last one. */
static inline void load_rows(vf (*a)[NV], __global const float *x, ulong pitch, int t0, int len)
{
    MY_LANES(l)
    {
        __global const float *row = x + (ulong)min(t0 + l, len - 1) * pitch;
        for (int j = 0; j < HD; j++) LANE(a[j], l) = row[j];
    }
}

static inline void store_rows(vf (*a)[NV], __global float *y, ulong pitch, int t0, int len, int acc)
{
    MY_LANES(l)
    {
        if (t0 + l < len) {
            __global float *row = y + (ulong)(t0 + l) * pitch;
            for (int j = 0; j < HD; j++) row[j] = acc ? row[j] + LANE(a[j], l) : LANE(a[j], l);
        }
    }
}

static inline void load_lanes(vf *a, __global const float *x, int t0, int len)
{
    MY_LANES(l) LANE(a, l) = x[min(t0 + l, len - 1)];
}

static inline void store_lanes(vf *a, __global float *y, int t0, int len)
{
    MY_LANES(l) if (t0 + l < len) y[t0 + l] = LANE(a, l);
}

/* Token of each lane, as a float (exact to 2^24). */
static inline void lane_tokens(vf *a, int t0)
{
    MY_LANES(l) LANE(a, l) = (float)(t0 + l);
}

/* out[s] = a . (row t + s of x), for STEP rows; rows beyond `len` repeat the last one. */
static inline void dot_rows(vf (*out)[NV], vf (*a)[NV], __global const float *x, ulong pitch, int t, int len)
{
    __global const float *row[STEP];
#pragma unroll
    for (int s = 0; s < STEP; s++) {
        row[s] = x + (ulong)min(t + s, len - 1) * pitch;
#pragma unroll
        for (int v = 0; v < NV; v++) out[s][v] = (vf)(0.0f);
    }
    for (int j = 0; j < HD; j++)
#pragma unroll
        for (int s = 0; s < STEP; s++)
#pragma unroll
            for (int v = 0; v < NV; v++) out[s][v] += row[s][j] * a[j][v];
}

/* acc = alpha acc + sum_s w[s] (row t + s of x); w is 0 for rows beyond `len`. */
static inline void add_rows(vf (*acc)[NV], const vf *alpha, vf (*w)[NV], __global const float *x, ulong pitch, int t,
                            int len)
{
    __global const float *row[STEP];
#pragma unroll
    for (int s = 0; s < STEP; s++) row[s] = x + (ulong)min(t + s, len - 1) * pitch;
    for (int j = 0; j < HD; j++)
#pragma unroll
        for (int v = 0; v < NV; v++) {
            vf sum = alpha[v] * acc[j][v];
#pragma unroll
            for (int s = 0; s < STEP; s++) sum += row[s][j] * w[s][v];
            acc[j][v] = sum;
        }
}

/* Which sample, head and lanes a group has. Group: (b, h, block of lanes), the block fastest. */
#define ATTENTION_SETUP                                                                                                \
    const ulong id = get_group_id(0);                                                                                  \
    const ulong bh = id / (ulong)blocks, b = bh / (ulong)heads, h = bh % (ulong)heads;                                 \
    const int t0 = (int)(id % (ulong)blocks) * GROUP_LANES;                                                            \
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
    ATTENTION_SETUP;
    vf q[HD][NV], out[HD][NV], top[NV], sum[NV], token[NV];
    load_rows(q, qkv + at_q, pitch, t0, len);
    lane_tokens(token, t0);
    for (int v = 0; v < NV; v++) {
        top[v] = (vf)(-INFINITY);
        sum[v] = (vf)(0.0f);
    }
    for (int j = 0; j < HD; j++)
        for (int v = 0; v < NV; v++) {
            q[j][v] *= scale;
            out[j][v] = (vf)(0.0f);
        }
    const int end = CAUSAL ? min(len, t0 + GROUP_LANES) : len;
    for (int k = 0; k < end; k += STEP) {
        vf w[STEP][NV], alpha[NV];
        dot_rows(w, q, qkv + at_k, pitch, k, len);
#pragma unroll
        for (int v = 0; v < NV; v++) {
            vf most = top[v];
#pragma unroll
            for (int s = 0; s < STEP; s++) {
                if (k + s >= len) w[s][v] = (vf)(-INFINITY);
                if (CAUSAL) w[s][v] = select(w[s][v], (vf)(-INFINITY), (vf)((float)(k + s)) > token[v]);
                most = fmax(most, w[s][v]);
            }
            alpha[v] = exp(top[v] - most); /* the first step holds key 0, which every query sees: most is a number */
            top[v] = most;
            sum[v] *= alpha[v];
#pragma unroll
            for (int s = 0; s < STEP; s++) {
                w[s][v] = exp(w[s][v] - most);
                sum[v] += w[s][v];
            }
        }
        add_rows(out, alpha, w, qkv + at_v, pitch, k, len);
    }
    for (int v = 0; v < NV; v++) {
        for (int j = 0; j < HD; j++) out[j][v] /= sum[v];
        top[v] += log(sum[v]);
    }
    store_rows(out, y + at_y, pitch_y, t0, len, 0);
    store_lanes(top, lse + bh * (ulong)len, t0, len);
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
    ATTENTION_SETUP;
    vf q[HD][NV], g[HD][NV], dq[HD][NV], log_sum[NV], dot_y[NV], token[NV], one[NV];
    load_rows(dq, y + at_y, pitch_y, t0, len);
    load_rows(g, dy + at_y, pitch_y, t0, len);
    load_rows(q, qkv + at_q, pitch, t0, len);
    load_lanes(log_sum, lse + bh * (ulong)len, t0, len);
    lane_tokens(token, t0);
    for (int v = 0; v < NV; v++) {
        dot_y[v] = (vf)(0.0f);
        one[v] = (vf)(1.0f);
        for (int j = 0; j < HD; j++) {
            dot_y[v] += g[j][v] * dq[j][v];
            dq[j][v] = (vf)(0.0f);
        }
    }
    store_lanes(dot_y, delta + bh * (ulong)len, t0, len);
    const int end = CAUSAL ? min(len, t0 + GROUP_LANES) : len;
    for (int k = 0; k < end; k += STEP) {
        vf w[STEP][NV], dp[STEP][NV];
        dot_rows(w, q, qkv + at_k, pitch, k, len);
        dot_rows(dp, g, qkv + at_v, pitch, k, len);
#pragma unroll
        for (int s = 0; s < STEP; s++)
#pragma unroll
            for (int v = 0; v < NV; v++) {
                w[s][v] = exp(scale * w[s][v] - log_sum[v]) * (dp[s][v] - dot_y[v]) * scale;
                if (k + s >= len) w[s][v] = (vf)(0.0f);
                if (CAUSAL) w[s][v] = select(w[s][v], (vf)(0.0f), (vf)((float)(k + s)) > token[v]);
            }
        add_rows(dq, one, w, qkv + at_k, pitch, k, len);
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
    ATTENTION_SETUP;
    __global const float *my_lse = lse + bh * (ulong)len, *my_delta = delta + bh * (ulong)len;
    vf key[HD][NV], val[HD][NV], dk[HD][NV], dv[HD][NV], token[NV], one[NV];
    load_rows(key, qkv + at_k, pitch, t0, len);
    load_rows(val, qkv + at_v, pitch, t0, len);
    lane_tokens(token, t0);
    for (int v = 0; v < NV; v++) {
        one[v] = (vf)(1.0f);
        for (int j = 0; j < HD; j++) dk[j][v] = dv[j][v] = (vf)(0.0f);
    }
    /* A key is seen by itself and later queries: those before the first lane have nothing to add. */
    for (int t = CAUSAL ? t0 / STEP * STEP : 0; t < len; t += STEP) {
        vf p[STEP][NV], w[STEP][NV];
        dot_rows(p, key, qkv + at_q, pitch, t, len);
        dot_rows(w, val, dy + at_y, pitch_y, t, len);
#pragma unroll
        for (int s = 0; s < STEP; s++) {
            const int at = min(t + s, len - 1);
#pragma unroll
            for (int v = 0; v < NV; v++) {
                p[s][v] = exp(scale * p[s][v] - my_lse[at]);
                if (t + s >= len) p[s][v] = (vf)(0.0f);
                if (CAUSAL) p[s][v] = select(p[s][v], (vf)(0.0f), token[v] > (vf)((float)(t + s)));
                w[s][v] = p[s][v] * (w[s][v] - my_delta[at]) * scale;
            }
        }
        add_rows(dv, one, p, dy + at_y, pitch_y, t, len);
        add_rows(dk, one, w, qkv + at_q, pitch, t, len);
    }
    store_rows(dk, dqkv + at_k, pitch, t0, len, acc);
    store_rows(dv, dqkv + at_v, pitch, t0, len, acc);
}
