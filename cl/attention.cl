/*
 * Multi-head attention, softmax(q k' / sqrt(d)) v, without a T x T matrix in memory (online softmax; the backward pass
 * recomputes the probabilities from the saved log-sum-exp).
 *
 * q, k, v of (sample b, token t, head h) start at qkv + (b T + t) pitch + h head_stride + {0, 1, 2} part_stride.
 *
 * attention_forward         y and lse = max + ln(sum exp(score - max)); a group owns a block of queries
 * attention_backward        CPU: all three gradients; a group owns a range of keys of one head and walks the queries.
 *                           Only the query gradient crosses ranges: with several of them each writes its part, and
 * attention_backward_fold   adds the parts in order
 * attention_backward_query  WIDE: the query gradient; a group owns a block of queries
 * attention_backward_key    WIDE: key and value gradients; a group owns a block of keys
 */
#include "common.h"
#include "tile.h"

/* Channels of a head. */
#ifndef HD
#define HD 16
#endif
/* 1: a token sees itself and those before it. */
#ifndef CAUSAL
#define CAUSAL 0
#endif

/* Where a head lies in qkv and in y: the group's sample b and head h come from number `bh`. */
#define HEAD_SETUP(bh)                                                                                                 \
    const ulong b = (bh) / (ulong)heads, h = (bh) % (ulong)heads;                                                      \
    const ulong pitch = 3 * (ulong)heads * HD, pitch_y = (ulong)heads * HD;                                            \
    const ulong at_q = b * (ulong)len * pitch + h * (ulong)head_stride;                                                \
    const ulong at_k = at_q + (ulong)part_stride, at_v = at_k + (ulong)part_stride;                                    \
    const ulong at_y = b * (ulong)len * pitch_y + h * HD

#if !WIDE

/*
 * Every product is made of register blocks (cl/tile.h): rows x 32 sums, elements of one operand broadcast, the other
 * read as vectors. Queries are the lanes of scores [key][query] and of what is summed over keys, the output and the
 * query gradient [channel][query]: their vector operands are the queries, transposed once, and the probabilities, and
 * keys and values are broadcast from where they lie. Softmax runs down the rows, without exchange between lanes. Key
 * and value gradients [key][channel] broadcast the probabilities; their vector operands are the queries as they are.
 */

/* Queries (cpu_queries in src/op/attention.c) and keys of a block: what a group holds stays near 100 KB, what a product
 * reads in half a first-level cache. */
#define QUERIES (HD > 64 ? 32 : 64)
#define KEYS 48
/* Channels rounded up to whole pairs of vectors. */
#define HP ((HD + TILE_N - 1) / TILE_N * TILE_N)

/* Scores are kept in powers of 2. */
#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f

/* c[r cs ..] (+)= sum over k < kn of a[r rs + k ks] b[k bs ..], ROWS rows of 32 columns. */
#define DEFINE_PRODUCT(name, SPACE, ROWS)                                                                              \
    INLINE void name(float *c, const int cs, SPACE const float *a, const int rs, const int ks, const float *b,         \
                     const int bs, const int kn, const int add)                                                        \
    {                                                                                                                  \
        float16 acc[ROWS][2];                                                                                          \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < 2; v++)                                                              \
                acc[r][v] = add ? ldp16(c + r * cs + 16 * v) : (float16)(0.0f);                                        \
        for (int k = 0; k < kn; k++) {                                                                                 \
            const float16 row[2] = {ldp16(b), ldp16(b + 16)};                                                          \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                           \
            {                                                                                                          \
                const float x = a[(long)r * rs];                                                                       \
                _Pragma("unroll") for (int v = 0; v < 2; v++) acc[r][v] += x * row[v];                                 \
            }                                                                                                          \
            a += ks;                                                                                                   \
            b += bs;                                                                                                   \
        }                                                                                                              \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                               \
            _Pragma("unroll") for (int v = 0; v < 2; v++) stp16(acc[r][v], c + r * cs + 16 * v);                       \
    }

/* The same for any number of rows and a multiple of 32 columns. */
#define DEFINE_PRODUCTS(name, SPACE)                                                                                   \
    DEFINE_PRODUCT(name##_12, SPACE, 12)                                                                               \
    DEFINE_PRODUCT(name##_8, SPACE, 8)                                                                                 \
    DEFINE_PRODUCT(name##_4, SPACE, 4)                                                                                 \
    DEFINE_PRODUCT(name##_1, SPACE, 1)                                                                                 \
    INLINE void name(float *c, const int cs, SPACE const float *a, const int rs, const int ks, const float *b,         \
                     const int bs, const int kn, const int rows, const int cols, const int add)                        \
    {                                                                                                                  \
        for (int r = 0; r < rows;) {                                                                                   \
            const int left = rows - r, n = left >= TILE_M ? TILE_M : left >= 8 ? 8 : left >= 4 ? 4 : 1;                \
            for (int j = 0; j < cols; j += TILE_N) {                                                                   \
                float *const to = c + r * cs + j;                                                                      \
                SPACE const float *const from = a + (long)r * rs;                                                      \
                if (n == TILE_M)                                                                                       \
                    name##_12(to, cs, from, rs, ks, b + j, bs, kn, add);                                               \
                else if (n == 8)                                                                                       \
                    name##_8(to, cs, from, rs, ks, b + j, bs, kn, add);                                                \
                else if (n == 4)                                                                                       \
                    name##_4(to, cs, from, rs, ks, b + j, bs, kn, add);                                                \
                else                                                                                                   \
                    name##_1(to, cs, from, rs, ks, b + j, bs, kn, add);                                                \
            }                                                                                                          \
            r += n;                                                                                                    \
        }                                                                                                              \
    }
DEFINE_PRODUCTS(product, __global)
DEFINE_PRODUCTS(product_own, __private)

/* to[r][HP] = factor * row r of x; zeros beyond the channels and from row `rows` up to `padded`. */
INLINE void gather_rows(float *to, __global const float *x, const ulong pitch, const int rows, const int padded,
                        const float factor)
{
#pragma unroll 1
    for (int r = 0; r < padded; r++)
#pragma unroll 1
        for (int j = 0; j < HP; j += VW)
            stp16(r < rows && j < HD ? factor * ldv(x + r * pitch + j, HD - j) : (float16)(0.0f), to + r * HP + j);
}

/* Row r of x (+)= factor[r] from[r][HP]. */
INLINE void scatter_rows(__global float *x, const ulong pitch, const float *from, const float *factor, const int rows,
                         const int acc)
{
#pragma unroll 1
    for (int r = 0; r < rows; r++)
#pragma unroll 1
        for (int j = 0; j < HD; j += VW)
            stv_acc(factor[r] * ldp16(from + r * HP + j), x + r * pitch + j, HD - j, acc);
}

/* to[j ts + r] = factor from[r fs + j] for multiples of 16 rows and columns. */
INLINE void transpose(float *to, const int ts, const float *from, const int fs, const int rows, const int cols,
                      const float factor)
{
#pragma unroll 1
    for (int r = 0; r < rows; r += VW) {
#pragma unroll 1
        for (int j = 0; j < cols; j += VW) {
            float16 x[VW];
#pragma unroll
            for (int i = 0; i < VW; i++) x[i] = factor * ldp16(from + (r + i) * fs + j);
            transpose_16(x);
#pragma unroll
            for (int i = 0; i < VW; i++) stp16(x[i], to + (j + i) * ts + r);
        }
    }
}

INLINE void fill(float *x, const int n, const float value)
{
    for (int i = 0; i < n; i += VW) stp16((float16)(value), x + i);
}

/* Scores of keys k0 .. that queries t0 .. + 16 do not see become -inf. */
INLINE void hide_later(float *score, const int keys, const int k0, const int t0)
{
    const float16 query = (float)t0 + (float16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#pragma unroll 1
    for (int r = 0; r < keys; r++) {
        float *const row = score + r * QUERIES;
        stp16(select(ldp16(row), (float16)(-INFINITY), (float16)((float)(k0 + r)) > query), row);
    }
}

/* One step of online softmax for 32 queries: scores become exponentials above the largest score so far, and `out` and
 * `sum` are brought to that level. The first step holds key 0, which every query sees: the largest is a number. */
INLINE void softmax_step(float *score, const int keys, float *top, float *sum, float *out)
{
    const float16 before[2] = {ldp16(top), ldp16(top + VW)};
    float16 most[2] = {before[0], before[1]}, total[2] = {(float16)(0.0f), (float16)(0.0f)};
    for (int r = 0; r < keys; r++)
#pragma unroll
        for (int v = 0; v < 2; v++) most[v] = fmax(most[v], ldp16(score + r * QUERIES + v * VW));
    for (int r = 0; r < keys; r++) {
#pragma unroll
        for (int v = 0; v < 2; v++) {
            const float16 p = vexp2(ldp16(score + r * QUERIES + v * VW) - most[v]);
            stp16(p, score + r * QUERIES + v * VW);
            total[v] += p;
        }
    }
#pragma unroll
    for (int v = 0; v < 2; v++) {
        const float16 keep = vexp2(before[v] - most[v]);
        stp16(most[v], top + v * VW);
        stp16(keep * ldp16(sum + v * VW) + total[v], sum + v * VW);
        for (int j = 0; j < HD; j++) stp16(keep * ldp16(out + j * QUERIES + v * VW), out + j * QUERIES + v * VW);
    }
}

/* Asks for rows of x that are needed soon: they lie too far apart for the processor to foresee (forward pass of 6 heads of
 * 64 channels: 10 % faster). */
INLINE void expect_rows(__global const float *x, const ulong pitch, const int rows)
{
    for (int r = 0; r < rows; r++)
#pragma unroll
        for (int j = 0; j < HD; j += VW) PREFETCH(x + r * pitch + j);
}

/* Group: (b, h, block of queries), the block fastest. */
__kernel void attention_forward(ARG(y), ARG(lse), ARG_CONST(qkv), const int len, const int heads, const int head_stride,
                                const int part_stride, const float scale, const int blocks TURNS)
{
    PTR(y);
    PTR(lse);
    PTR_CONST(qkv);
    LINES(rows, QUERIES * HP);
    LINES(q, HP * QUERIES);
    LINES(out, HP * QUERIES);
    LINES(p, KEYS * QUERIES);
    LINES(top, QUERIES);
    LINES(sum, QUERIES);
    FOR_GROUPS(group)
    {
        const ulong bh = group.x / (ulong)blocks;
        const int t0 = (int)(group.x % (ulong)blocks) * QUERIES, queries = min(QUERIES, len - t0);
        const int lanes = (queries + TILE_N - 1) / TILE_N * TILE_N;
        HEAD_SETUP(bh);
        gather_rows(rows, qkv + at_q + t0 * pitch, pitch, queries, lanes, scale * LOG2E);
        transpose(q, QUERIES, rows, HP, lanes, HP, 1.0f);
        fill(out, HP * QUERIES, 0.0f);
        fill(top, QUERIES, -INFINITY);
        fill(sum, QUERIES, 0.0f);
        const int end = CAUSAL ? min(len, t0 + QUERIES) : len;
        for (int k0 = 0; k0 < end; k0 += KEYS) {
            const int keys = min(KEYS, end - k0);
            expect_rows(qkv + at_v + k0 * pitch, pitch, keys);
            product(p, QUERIES, qkv + at_k + k0 * pitch, (int)pitch, 1, q, QUERIES, HD, keys, lanes, 0);
            for (int v = 0; CAUSAL && v < lanes; v += VW)
                if (k0 + keys > t0 + v) hide_later(p + v, keys, k0, t0 + v);
            for (int v = 0; v < lanes; v += TILE_N) softmax_step(p + v, keys, top + v, sum + v, out + v);
            product(out, QUERIES, qkv + at_v + k0 * pitch, 1, (int)pitch, p, QUERIES, keys, HD, lanes, 1);
        }
        for (int v = 0; v < lanes; v += VW) {
            const float16 s = ldp16(sum + v);
            stv(LN2 * ldp16(top + v) + vlog(s), lse + bh * (ulong)len + t0 + v, queries - v);
            stp16(1.0f / s, sum + v);
        }
        transpose(rows, HP, out, QUERIES, HP, lanes, 1.0f);
        scatter_rows(y + at_y + t0 * pitch_y, pitch_y, rows, sum, queries, 0);
    }
}

/* delta[r] = dy . y */
INLINE void row_products(float *delta, const float *dy, __global const float *y, const ulong pitch, const int rows)
{
#pragma unroll 1
    for (int r = 0; r < rows; r++) {
        float16 sum = (float16)(0.0f);
        for (int j = 0; j < HD; j += VW) sum += ldp16(dy + r * HP + j) * ldv(y + r * pitch + j, HD - j);
        delta[r] = vsum(sum);
    }
}

/* In the backward pass, with score = scale q . k:  p = exp(score - lse), dp = dy . v, delta = dy . y, ds = p (dp - delta).
 * Both become p and ds here, for 16 queries; scores and lse are in powers
 * of 2. */
INLINE void score_gradient(float *score, float *dp, const int keys, const float *lse, const float *delta)
{
    const float16 level = ldp16(lse), mean = ldp16(delta);
    for (int r = 0; r < keys; r++) {
        const float16 p = vexp2(ldp16(score + r * QUERIES) - level);
        stp16(p, score + r * QUERIES);
        stp16(p * (ldp16(dp + r * QUERIES) - mean), dp + r * QUERIES);
    }
}

/* Rows of x (+)= sum over queries of w[row][query] from[query][channel]. */
INLINE void key_gradient(__global float *x, const ulong pitch, const float *w, const float *from, const int queries,
                         const int keys, const int acc)
{
    LINES(t, TILE_M * TILE_N);
    for (int r = 0; r < keys; r += TILE_M) {
        const int rows = min(TILE_M, keys - r);
        for (int j = 0; j < HD; j += TILE_N) {
            product_own(t, TILE_N, w + r * QUERIES, QUERIES, 1, from + j, HP, queries, rows, TILE_N, 0);
            for (int i = 0; i < rows; i++)
                for (int v = 0; v < TILE_N && j + v < HD; v += VW)
                    stv_acc(ldp16(t + i * TILE_N + v), x + (r + i) * pitch + j + v, HD - j - v, acc);
        }
    }
}

/* dv (+)= sum_q p dy, dk (+)= scale sum_q ds q, dq (+)= scale sum_k ds k. Group: (b, h, range of `range` keys), the range
 * fastest. With several ranges their parts of dq go to part [range][b][h][T][HD]. */
__kernel void attention_backward(ARG(dqkv), const int acc, ARG(part), ARG_CONST(dy), ARG_CONST(y), ARG_CONST(lse),
                                 ARG_CONST(qkv), const int batch, const int range, const int len, const int heads,
                                 const int head_stride, const int part_stride, const float scale, const int blocks TURNS)
{
    PTR(dqkv);
    PTR(part);
    PTR_CONST(dy);
    PTR_CONST(y);
    PTR_CONST(lse);
    PTR_CONST(qkv);
    LINES(q, QUERIES * HP);  /* scale q [query][channel] */
    LINES(g, QUERIES * HP);  /* dy [query][channel] */
    LINES(qt, HP * QUERIES); /* [channel][query]; in powers of 2 */
    LINES(gt, HP * QUERIES);
    LINES(dq, HP * QUERIES); /* [channel][query] */
    LINES(p, KEYS * QUERIES);
    LINES(ds, KEYS * QUERIES);
    LINES(level, QUERIES);
    LINES(delta, QUERIES);
    LINES(factor, QUERIES);
    FOR_GROUPS(group)
    {
        const ulong bh = group.x / (ulong)blocks;
        const int number = (int)(group.x % (ulong)blocks), begin = number * range, end = min(len, begin + range);
        HEAD_SETUP(bh);
        fill(factor, QUERIES, scale);
        fill(delta, QUERIES, 0.0f);
        for (int t0 = CAUSAL ? begin / QUERIES * QUERIES : 0; t0 < len; t0 += QUERIES) {
            const int queries = min(QUERIES, len - t0), lanes = (queries + TILE_N - 1) / TILE_N * TILE_N;
            gather_rows(q, qkv + at_q + t0 * pitch, pitch, queries, lanes, scale);
            gather_rows(g, dy + at_y + t0 * pitch_y, pitch_y, queries, lanes, 1.0f);
            transpose(qt, QUERIES, q, HP, lanes, HP, LOG2E);
            transpose(gt, QUERIES, g, HP, lanes, HP, 1.0f);
            row_products(delta, g, y + at_y + t0 * pitch_y, pitch_y, queries);
            for (int v = 0; v < lanes; v += VW)
                stp16(LOG2E * (v < queries ? ldv(lse + bh * (ulong)len + t0 + v, queries - v) : (float16)(0.0f)),
                      level + v);
            fill(dq, HP * QUERIES, 0.0f);
            const int stop = CAUSAL ? min(end, t0 + QUERIES) : end;
            for (int k0 = begin; k0 < stop; k0 += KEYS) {
                const int keys = min(KEYS, end - k0);
                const int add = acc || t0 > (CAUSAL ? k0 / QUERIES * QUERIES : 0);
                product(p, QUERIES, qkv + at_k + k0 * pitch, (int)pitch, 1, qt, QUERIES, HD, keys, lanes, 0);
                product(ds, QUERIES, qkv + at_v + k0 * pitch, (int)pitch, 1, gt, QUERIES, HD, keys, lanes, 0);
                for (int v = 0; v < lanes; v += VW) {
                    if (CAUSAL && k0 + keys > t0 + v) hide_later(p + v, keys, k0, t0 + v);
                    score_gradient(p + v, ds + v, keys, level + v, delta + v);
                }
                key_gradient(dqkv + at_v + k0 * pitch, pitch, p, g, queries, keys, add);
                key_gradient(dqkv + at_k + k0 * pitch, pitch, ds, q, queries, keys, add);
                product(dq, QUERIES, qkv + at_k + k0 * pitch, 1, (int)pitch, ds, QUERIES, keys, HD, lanes, 1);
            }
            transpose(q, HP, dq, QUERIES, HP, lanes, 1.0f);
            if (blocks == 1)
                scatter_rows(dqkv + at_q + t0 * pitch, pitch, q, factor, queries, acc);
            else
                scatter_rows(part + (((ulong)number * batch * heads + bh) * len + t0) * HD, HD, q, factor, queries, 0);
        }
    }
}

/* dq (+)= its parts in order. Group: (b, h, block of queries), the block fastest. */
__kernel void attention_backward_fold(ARG(dqkv), const int acc, ARG_CONST(part), const int batch, const int range,
                                      const int len, const int heads, const int head_stride, const int part_stride,
                                      const float scale, const int blocks)
{
    PTR(dqkv);
    PTR_CONST(part);
    const ulong bh = get_group_id(0) / (ulong)blocks, step = (ulong)batch * (ulong)heads * (ulong)len * HD;
    const int t0 = (int)(get_group_id(0) % (ulong)blocks) * QUERIES, t1 = min(len, t0 + QUERIES);
    const int parts = ((CAUSAL ? t1 : len) + range - 1) / range; /* later keys have nothing to add */
    const ulong pitch = 3 * (ulong)heads * HD, b = bh / (ulong)heads, h = bh % (ulong)heads;
    __global float *const dq = dqkv + b * (ulong)len * pitch + h * (ulong)head_stride;
    for (int t = t0; t < t1; t++) {
        for (int j = 0; j < HD; j += VW) {
            float16 sum = (float16)(0.0f);
            for (int i = 0; i < parts; i++) sum += ldv(part + i * step + (bh * (ulong)len + t) * HD + j, HD - j);
            stv_acc(sum, dq + t * pitch + j, HD - j, acc);
        }
    }
}

#else

/*
 * Every item owns one query (forward, query gradient) or one key (key and value gradients) and walks the other side in
 * steps of STEP rows, which are read as scalars common to all items. So the softmax needs no exchange between them.
 */
#define LANES 64
#define STEP 8 /* rows of the other side taken at once: as many independent sums hide the latency of a multiply-add */

/* a[j] = channel j of row t of x. */
static inline void load_row(float *a, __global const float *x, const ulong pitch, const int t)
{
    for (int j = 0; j < HD; j++) a[j] = x[(ulong)t * pitch + j];
}

static inline void store_row(const float *a, __global float *x, const ulong pitch, const int t, const int acc)
{
    __global float *row = x + (ulong)t * pitch;
    for (int j = 0; j < HD; j++) row[j] = acc ? row[j] + a[j] : a[j];
}

static inline void clear_row(float *a)
{
    for (int j = 0; j < HD; j++) a[j] = 0.0f;
}

/* out[s] = a . (row t + s of x), for STEP rows; rows beyond `len` repeat the last one. */
static inline void dot_rows(float *out, const float *a, __global const float *x, ulong pitch, int t, int len)
{
    __global const float *row[STEP];
    float sum[STEP];
#pragma unroll
    for (int s = 0; s < STEP; s++) {
        row[s] = x + (ulong)min(t + s, len - 1) * pitch;
        sum[s] = 0.0f;
    }
    for (int j = 0; j < HD; j++)
#pragma unroll
        for (int s = 0; s < STEP; s++) sum[s] += row[s][j] * a[j];
#pragma unroll
    for (int s = 0; s < STEP; s++) out[s] = sum[s];
}

/* acc = alpha acc + sum_s w[s] (row t + s of x); w is 0 for rows beyond `len`. */
static inline void add_rows(float *acc, const float alpha, const float *w, __global const float *x, ulong pitch, int t,
                            int len)
{
    __global const float *row[STEP];
    float weight[STEP];
#pragma unroll
    for (int s = 0; s < STEP; s++) {
        row[s] = x + (ulong)min(t + s, len - 1) * pitch;
        weight[s] = w[s];
    }
    for (int j = 0; j < HD; j++) {
        float sum = alpha * acc[j];
#pragma unroll
        for (int s = 0; s < STEP; s++) sum += row[s][j] * weight[s];
        acc[j] = sum;
    }
}

/* Does the query see the key? */
static inline int sees(const int query, const int key, const int len)
{
    const int seen = CAUSAL ? query + 1 : len;
    return key < min(len, seen);
}

/* Group: (b, h, block of LANES tokens), the block fastest. `token` may lie beyond the end; `at` is then the last one. */
#define LANE_SETUP                                                                                                     \
    const ulong bh = get_group_id(0) / (ulong)blocks;                                                                  \
    const int t0 = (int)(get_group_id(0) % (ulong)blocks) * LANES, token = t0 + (int)get_local_id(0);                  \
    const int at = min(token, len - 1);                                                                                \
    HEAD_SETUP(bh)

__kernel void attention_forward(ARG(y), ARG(lse), ARG_CONST(qkv), const int len, const int heads, const int head_stride,
                                const int part_stride, const float scale, const int blocks)
{
    PTR(y);
    PTR(lse);
    PTR_CONST(qkv);
    float q[HD], out[HD], w[STEP];
    LANE_SETUP;
    load_row(q, qkv + at_q, pitch, at);
    clear_row(out);
    float top = -INFINITY, sum = 0.0f;
    const int end = CAUSAL ? min(len, t0 + LANES) : len;
    for (int k = 0; k < end; k += STEP) {
        dot_rows(w, q, qkv + at_k, pitch, k, len);
        float most = top;
#pragma unroll
        for (int s = 0; s < STEP; s++) {
            w[s] = sees(token, k + s, len) ? scale * w[s] : -INFINITY;
            most = fmax(most, w[s]);
        }
        const float alpha = exp(top - most); /* the first step holds key 0, which every query sees: most is a number */
        top = most;
        sum *= alpha;
#pragma unroll
        for (int s = 0; s < STEP; s++) {
            w[s] = exp(w[s] - most);
            sum += w[s];
        }
        add_rows(out, alpha, w, qkv + at_v, pitch, k, len);
    }
    if (token >= len) return;
    for (int j = 0; j < HD; j++) out[j] /= sum;
    store_row(out, y + at_y, pitch_y, token, 0);
    lse[bh * (ulong)len + token] = top + log(sum);
}

/* dq (+)= scale sum_k p (dp - delta) k with p = exp(score - lse), dp = dy . v, delta = dy . y (kept for the other
 * kernel). */
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
    float q[HD], g[HD], dq[HD], w[STEP], dp[STEP];
    LANE_SETUP;
    load_row(dq, y + at_y, pitch_y, at);
    load_row(g, dy + at_y, pitch_y, at);
    load_row(q, qkv + at_q, pitch, at);
    const float log_sum = lse[bh * (ulong)len + at];
    float dot_y = 0.0f;
    for (int j = 0; j < HD; j++) dot_y += g[j] * dq[j];
    clear_row(dq);
    if (token < len) delta[bh * (ulong)len + token] = dot_y;
    const int end = CAUSAL ? min(len, t0 + LANES) : len;
    for (int k = 0; k < end; k += STEP) {
        dot_rows(w, q, qkv + at_k, pitch, k, len);
        dot_rows(dp, g, qkv + at_v, pitch, k, len);
#pragma unroll
        for (int s = 0; s < STEP; s++) {
            const float v = exp(scale * w[s] - log_sum) * (dp[s] - dot_y) * scale;
            w[s] = sees(token, k + s, len) ? v : 0.0f;
        }
        add_rows(dq, 1.0f, w, qkv + at_k, pitch, k, len);
    }
    if (token < len) store_row(dq, dqkv + at_q, pitch, token, acc);
}

/* dv (+)= sum_q p dy, dk (+)= scale sum_q p (dp - delta) q. */
__kernel void attention_backward_key(ARG(dqkv), const int acc, ARG_CONST(delta), ARG_CONST(dy), ARG_CONST(lse),
                                     ARG_CONST(qkv), const int len, const int heads, const int head_stride,
                                     const int part_stride, const float scale, const int blocks)
{
    PTR(dqkv);
    PTR_CONST(delta);
    PTR_CONST(dy);
    PTR_CONST(lse);
    PTR_CONST(qkv);
    float key[HD], val[HD], dk[HD], dv[HD], p[STEP], w[STEP];
    LANE_SETUP;
    __global const float *my_lse = lse + bh * (ulong)len, *my_delta = delta + bh * (ulong)len;
    load_row(key, qkv + at_k, pitch, at);
    load_row(val, qkv + at_v, pitch, at);
    clear_row(dk);
    clear_row(dv);
    /* A key is seen by itself and later queries: those before the first item have nothing to add. */
    for (int t = CAUSAL ? t0 / STEP * STEP : 0; t < len; t += STEP) {
        dot_rows(p, key, qkv + at_q, pitch, t, len);
        dot_rows(w, val, dy + at_y, pitch_y, t, len);
#pragma unroll
        for (int s = 0; s < STEP; s++) {
            const int query = min(t + s, len - 1);
            const float v = exp(scale * p[s] - my_lse[query]);
            p[s] = t + s < len && sees(t + s, token, len) ? v : 0.0f;
            w[s] = p[s] * (w[s] - my_delta[query]) * scale;
        }
        add_rows(dv, 1.0f, p, dy + at_y, pitch_y, t, len);
        add_rows(dk, 1.0f, w, qkv + at_q, pitch, t, len);
    }
    if (token >= len) return;
    store_row(dk, dqkv + at_k, pitch, token, acc);
    store_row(dv, dqkv + at_v, pitch, token, acc);
}

#endif
