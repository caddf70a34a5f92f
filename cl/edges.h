/*
 * The edges that enter a node, shared by edge_attention.cl and edge_gate.cl: their geometry, the hidden layer of an MLP
 * over all of them (Linear, layer norm, ReLU), its backward pass, and products with the edges as rows. Include after
 * common.h.
 *
 * Sources of the ligand come first, so that all edges of one kind are neighbours: row r of an array is edge order[r] of the
 * node's list. Rows have FP features or HP heads, zeros behind the real ones. A feature before the norm is
 *   own[f] + source[f] + bias of the kind[f] + sum over g of code[g] weight of the kind[g][f]
 * and all that an MLP needs from its edges lies packed behind one pointer (edge_pack.cl):
 *   KINDS x [CODES][FP] weights of the radial code and, last, of the constant 1;  [FP] gamma;  [FP] beta
 *
 * On the wide class a group of items shares the work, arrays lie in local memory (SMALL) or in the group's own part of a
 * workspace (BIG); on the cpu class both are private and products keep their sums in registers.
 */
#ifndef BF_EDGES_H
#define BF_EDGES_H

/* Features, heads (of the widest product), edges of a node at most, kinds of edges. */
#ifndef F
#define F 128
#endif
#ifndef HEADS
#define HEADS 16
#endif
#ifndef SLOTS
#define SLOTS 33
#endif
#ifndef KINDS
#define KINDS 4
#endif

#define FP ((F + 15) / 16 * 16)
#define HP ((HEADS + 15) / 16 * 16)
#define SP ((SLOTS + 15) / 16 * 16)
#define RADIAL 20
#define CODES (RADIAL + 1)
#define KIND_SIZE (CODES * FP)
#define NORM_AT (KINDS * KIND_SIZE)
#define EDGE_SIZE (NORM_AT + 2 * FP)
#define EPS 1e-5f

/* Angstroms or whatever the positions are in; the width of every function is 1. */
__constant float radial_offset[RADIAL] = {0.0f, 1.0f, 1.25f, 1.5f, 1.75f, 2.0f, 2.25f, 2.5f, 2.75f, 3.0f,
                                          3.5f, 4.0f, 4.5f,  5.0f, 5.5f,  6.0f, 7.0f,  8.0f, 9.0f,  10.0f};

#if WIDE
#define SMALL __local
#define BIG __global
#define SMALL_MEMORY(n)                                                                                                \
    __local float small_memory[n];                                                                                     \
    SMALL float *own_small = small_memory
#define SMALL_ARRAY(name, n)                                                                                           \
    SMALL float *const name = own_small;                                                                               \
    own_small += n
#define BIG_ARRAY(name, n)                                                                                             \
    BIG float *const name = own_scratch;                                                                               \
    own_scratch += n
#define SMALL_INTS(name, n)                                                                                            \
    SMALL int *const name = (SMALL int *)own_small;                                                                    \
    own_small += n
#define FOR_ITEMS(i, n) for (int i = (int)get_local_id(0); i < (n); i += WG)
#define FOR_LANES FOR_ITEMS
#define LANE_WIDTH 1
#else
#define SMALL
#define BIG
#define SMALL_MEMORY(n)
#define SMALL_ARRAY LINES
#define BIG_ARRAY LINES
#define SMALL_INTS(name, n) int name[n]
#define FOR_ITEMS(i, n) for (int i = 0; i < (n); i++)
#define FOR_LANES(i, n) for (int i = 0; i < (n); i += 16)
#define LANE_WIDTH 16
#define CALLED static __attribute__((noinline))
#pragma OPENCL FP_CONTRACT ON
#endif

/* What one item wrote into SMALL or BIG arrays is read by others. */
INLINE void sync(void)
{
#if WIDE
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
#endif
}

/* A lane or a vector of SMALL memory and of BIG memory. */
INLINE vf lds(SMALL const float *p)
{
#if WIDE
    return p[0];
#else
    return ldp16(p);
#endif
}
INLINE void sts(const vf v, SMALL float *p)
{
#if WIDE
    p[0] = v;
#else
    stp16(v, p);
#endif
}
INLINE vf ldb(BIG const float *p)
{
#if WIDE
    return p[0];
#else
    return ldp16(p);
#endif
}
INLINE void stb(const vf v, BIG float *p)
{
#if WIDE
    p[0] = v;
#else
    stp16(v, p);
#endif
}
INLINE vf ldg(__global const float *p)
{
    return ldv(p, VW);
}
INLINE void addg(const vf v, __global float *p)
{
    stv(v + ldv(p, VW), p, VW);
}

/* ---- the edges of a node ----------------------------------------------------------------------------------------- */

/* The graph: in words src [N][SLOTS] and count [N]; row [N], the number of a node among (pocket atoms, ligand atoms), of
 * which the first `pocket` are no ligand. Without row all are. */
typedef struct edge_graph {
    __global const uint *src, *count, *row;
    __global const float *x;
    int has_row;
    uint pocket;
} edge_graph;

INLINE int in_ligand(const edge_graph *g, const uint node)
{
    return !g->has_row || g->row[node] >= g->pocket;
}

/* The n edges that enter `node`: order and source of every row; returns how many of them come from the ligand. */
INLINE int sort_edges(SMALL int *order, SMALL int *from, const edge_graph *g, const uint node, const int n)
{
    __global const uint *const src = g->src + (ulong)node * SLOTS;
    int ligands = 0;
    for (int s = 0; s < n; s++) ligands += in_ligand(g, src[s]);
#if WIDE
    FOR_ITEMS(s, n)
    {
        int before = 0;
        for (int k = 0; k < s; k++) before += in_ligand(g, src[k]);
        const int r = in_ligand(g, src[s]) ? before : ligands + s - before;
        order[r] = s;
        from[r] = (int)src[s];
    }
#else
    int next[2] = {ligands, 0};
    for (int s = 0; s < n; s++) {
        const int r = next[in_ligand(g, src[s])]++;
        order[r] = s;
        from[r] = (int)src[s];
    }
#endif
    sync();
    return ligands;
}

/* step[3][SP] = x of the node - x of the source, distance[SP], and code[CODES][SP]: exp(-(d - o)^2 / 2) and 1. Everything
 * is 0 behind row n. */
INLINE void geometry(SMALL float *step, SMALL float *distance, SMALL float *code, SMALL const int *from,
                     const edge_graph *g, const uint node, const int n)
{
    __global const float *const own = g->x + 3 * (ulong)node;
    FOR_ITEMS(r, SP)
    {
        float sum = 0.0f;
        for (int k = 0; k < 3; k++) {
            const float d = r < n ? own[k] - g->x[3 * (ulong)from[r < n ? r : 0] + k] : 0.0f;
            step[k * SP + r] = d;
            sum += d * d;
        }
        distance[r] = sqrt(sum);
        code[RADIAL * SP + r] = r < n ? 1.0f : 0.0f;
    }
    sync();
#if WIDE
    FOR_ITEMS(i, RADIAL * SP)
    {
        const float d = distance[i % SP] - radial_offset[i / SP];
        code[i] = i % SP < n ? exp(-0.5f * d * d) : 0.0f;
    }
#else
    for (int r = 0; r < n; r += 16) {
        const float16 d0 = ldp16(distance + r);
        for (int k = 0; k < RADIAL; k++) {
            const float16 d = d0 - radial_offset[k];
            stp16(vexp(-0.5f * d * d), code + k * SP + r);
        }
    }
#endif
    sync();
}

/* The kind of the edges whose source is of the ligand (0) or not (1). */
INLINE int kind_of(const int part, const int ligand_node)
{
    return KINDS == 1 ? 0 : part * 2 + !ligand_node;
}

/* ---- the hidden layer -------------------------------------------------------------------------------------------- */

/* own: FP features of the node; source: the nodes' rows, `pitch` floats apart; neither where KINDS == 1. edge: the packed
 * weights. */
typedef struct edge_layer {
    __global const float *own, *source, *edge;
    int pitch;
} edge_layer;

#if WIDE

/* hat[r][f] = (feature - mean) / deviation, y[r][f] = ReLU(hat gamma + beta), rstd[r]. */
INLINE void rows_forward(BIG float *hat, BIG float *y, SMALL float *rstd, const edge_layer *l, SMALL const float *code,
                         SMALL const int *from, const int ligand_node, const int ligands, const int n)
{
    FOR_ITEMS(i, n * FP)
    {
        const int r = i / FP, f = i % FP;
        __global const float *const w = l->edge + kind_of(r >= ligands, ligand_node) * KIND_SIZE + f;
        float sum = w[RADIAL * FP];
        if (KINDS > 1) sum += l->own[f] + l->source[(ulong)from[r] * l->pitch + f];
        for (int k = 0; k < RADIAL; k++) sum += code[k * SP + r] * w[k * FP];
        hat[i] = sum;
    }
    sync();
    FOR_ITEMS(r, n)
    {
        float sum = 0.0f, dist = 0.0f;
        for (int f = 0; f < F; f++) sum += hat[r * FP + f];
        const float mean = sum / (float)F;
        for (int f = 0; f < F; f++) dist += (hat[r * FP + f] - mean) * (hat[r * FP + f] - mean);
        rstd[r] = 1.0f / sqrt(dist / (float)F + EPS);
        rstd[SP + r] = mean;
    }
    sync();
    __global const float *const norm = l->edge + NORM_AT;
    FOR_ITEMS(i, n * FP)
    {
        const int r = i / FP, f = i % FP;
        const float h = (hat[i] - rstd[SP + r]) * rstd[r];
        hat[i] = h;
        y[i] = fmax(h * norm[f] + norm[FP + f], 0.0f);
    }
    sync();
}

/* c[r][h] = sum over f of a[r][f] b[f][h] */
INLINE void product_heads(SMALL float *c, BIG const float *a, BIG const float *b, const int n)
{
    FOR_ITEMS(i, n * HP)
    {
        float sum = 0.0f;
        for (int f = 0; f < FP; f++) sum += a[i / HP * FP + f] * b[f * HP + i % HP];
        c[i] = sum;
    }
    sync();
}

/* c[f][h] = sum over r of a[r][f] b[r][h] */
INLINE void product_features(BIG float *c, BIG const float *a, SMALL const float *b, const int n)
{
    FOR_ITEMS(i, FP * HP)
    {
        float sum = 0.0f;
        for (int r = 0; r < n; r++) sum += a[r * FP + i / HP] * b[r * HP + i % HP];
        c[i] = sum;
    }
    sync();
}

/* The gradient of the hidden layer: y, which has its output, becomes the gradient of the features, given
 * dy[r][f] = sum over h of b[r][h] q[f][h]. dnorm (gamma, beta) is added to; sum[f] = the sum over the edges. */
INLINE void rows_backward(BIG const float *hat, BIG float *y, SMALL float *rstd, SMALL const float *b,
                          BIG const float *q, __global const float *norm, __global float *dnorm, BIG float *sum,
                          const int n)
{
    FOR_ITEMS(f, FP)
    {
        float dgamma = 0.0f, dbeta = 0.0f;
        for (int r = 0; r < n; r++) {
            float dy = 0.0f;
            for (int h = 0; h < HEADS; h++) dy += b[r * HP + h] * q[f * HP + h];
            if (y[r * FP + f] <= 0.0f) dy = 0.0f;
            dgamma += dy * hat[r * FP + f];
            dbeta += dy;
            y[r * FP + f] = dy * norm[f];
        }
        dnorm[f] += dgamma;
        dnorm[FP + f] += dbeta;
    }
    sync();
    FOR_ITEMS(r, n)
    {
        float sum_g = 0.0f, sum_h = 0.0f;
        for (int f = 0; f < F; f++) {
            sum_g += y[r * FP + f];
            sum_h += y[r * FP + f] * hat[r * FP + f];
        }
        rstd[SP + r] = sum_g / (float)F;
        rstd[2 * SP + r] = sum_h / (float)F;
    }
    sync();
    FOR_ITEMS(f, FP)
    {
        float total = 0.0f;
        for (int r = 0; r < n; r++) {
            const float d = rstd[r] * (y[r * FP + f] - rstd[SP + r] - hat[r * FP + f] * rstd[2 * SP + r]);
            y[r * FP + f] = f < F ? d : 0.0f;
            total += f < F ? d : 0.0f;
        }
        sum[f] = total;
    }
    sync();
}

/* dw[CODES][FP] += sum over the rows of code[k][r] y[r][f] */
INLINE void weights_backward(__global float *dw, SMALL const float *code, BIG const float *y, const int first,
                             const int last)
{
    FOR_ITEMS(i, CODES * FP)
    {
        float sum = 0.0f;
        for (int r = first; r < last; r++) sum += code[i / FP * SP + r] * y[r * FP + i % FP];
        dw[i] += sum;
    }
}

/* slope[r] += the derivative by the distance, y being the gradient of the features. */
INLINE void rows_slope(SMALL float *slope, __global const float *w, SMALL const float *code,
                       SMALL const float *distance, BIG const float *y, const int first, const int last)
{
    FOR_ITEMS(i, last - first)
    {
        const int r = first + i;
        float total = 0.0f;
        for (int k = 0; k < RADIAL; k++) {
            float sum = 0.0f;
            for (int f = 0; f < F; f++) sum += w[k * FP + f] * y[r * FP + f];
            total += sum * (radial_offset[k] - distance[r]) * code[k * SP + r];
        }
        slope[r] += total;
    }
}

#else

#include "transpose.h"

#define NV (FP / 16) /* vectors of a row */
/* Rows that are worked on together: their sums stay in registers. */
#define ROWS (NV >= 12 ? 1 : NV >= 8 ? 3 : NV >= 5 ? 4 : NV >= 3 ? 6 : 8)

/* 0 in the lanes of vector v behind the last feature. */
INLINE float16 real_lanes(const float16 x, const int v)
{
    if (16 * v + 16 <= F) return x;
    const int16 lane = 16 * v + (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return select((float16)(0.0f), x, lane < F);
}

/* The rows at[]: what rows_forward does, from their features. */
INLINE void norm_row(float *hat, float *y, float *rstd, float16 *x, __global const float *norm)
{
    float16 sum = x[0], dist = (float16)(0.0f);
#pragma unroll
    for (int v = 1; v < NV; v++) sum += x[v];
    const float mean = vsum(sum) * (1.0f / (float)F);
#pragma unroll
    for (int v = 0; v < NV; v++) {
        x[v] = real_lanes(x[v] - mean, v);
        dist += x[v] * x[v];
    }
    const float s = 1.0f / sqrt(vsum(dist) * (1.0f / (float)F) + EPS);
    rstd[0] = s;
#pragma unroll
    for (int v = 0; v < NV; v++) {
        x[v] *= s;
        stp16(x[v], hat + 16 * v);
        stp16(fmax(x[v] * ld16(norm + 16 * v) + ld16(norm + FP + 16 * v), (float16)(0.0f)), y + 16 * v);
    }
}

INLINE void rows_of_kind(float *hat, float *y, float *rstd, const edge_layer *l, __global const float *w,
                         const float *code, const int *from, const int first, const int last)
{
    LINES(base, FP);
    for (int f = 0; f < FP; f += 16) stp16(ld16(w + RADIAL * FP + f) + (KINDS > 1 ? ld16(l->own + f) : 0.0f), base + f);
    for (int r = first; r < last; r += ROWS) {
        float16 x[ROWS][NV];
        int at[ROWS];
#pragma unroll
        for (int j = 0; j < ROWS; j++) {
            at[j] = min(r + j, last - 1); /* the last row again rather than one that is not there */
            __global const float *const source = l->source + (KINDS > 1 ? (ulong)from[at[j]] * l->pitch : 0);
#pragma unroll
            for (int v = 0; v < NV; v++) x[j][v] = ldp16(base + 16 * v) + (KINDS > 1 ? ld16(source + 16 * v) : 0.0f);
        }
        for (int k = 0; k < RADIAL; k++) {
            float c[ROWS];
#pragma unroll
            for (int j = 0; j < ROWS; j++) c[j] = code[k * SP + at[j]];
#pragma unroll
            for (int v = 0; v < NV; v++) {
                const float16 row = ld16(w + k * FP + 16 * v);
#pragma unroll
                for (int j = 0; j < ROWS; j++) x[j][v] += c[j] * row;
            }
        }
#pragma unroll
        for (int j = 0; j < ROWS; j++)
            norm_row(hat + at[j] * FP, y + at[j] * FP, rstd + at[j], x[j], l->edge + NORM_AT);
    }
}

CALLED void rows_forward(float *hat, float *y, float *rstd, const edge_layer *l, const float *code, const int *from,
                         const int ligand_node, const int ligands, const int n)
{
    const int end[3] = {0, ligands, n};
    for (int part = 0; part < 2; part++)
        rows_of_kind(hat, y, rstd, l, l->edge + kind_of(part, ligand_node) * KIND_SIZE, code, from, end[part],
                     end[part + 1]);
}

#define HEAD_ROWS 11 /* three blocks of them are the 33 edges of the released setting */

CALLED void product_heads(float *c, const float *a, const float *b, const int n)
{
    for (int v = 0; v < HP; v += 16)
        for (int r = 0; r < n; r += HEAD_ROWS) {
            float16 sum[HEAD_ROWS];
            const float *row[HEAD_ROWS];
#pragma unroll
            for (int j = 0; j < HEAD_ROWS; j++) {
                row[j] = a + min(r + j, n - 1) * FP;
                sum[j] = (float16)(0.0f);
            }
            for (int f = 0; f < FP; f++) {
                const float16 x = ldp16(b + f * HP + v);
#pragma unroll
                for (int j = 0; j < HEAD_ROWS; j++) sum[j] += row[j][f] * x;
            }
#pragma unroll
            for (int j = 0; j < HEAD_ROWS; j++) stp16(sum[j], c + min(r + j, n - 1) * HP + v);
        }
}

CALLED void product_features(float *c, const float *a, const float *b, const int n)
{
    for (int v = 0; v < HP; v += 16)
        for (int f = 0; f < FP; f += 16) {
            float16 sum[16];
#pragma unroll
            for (int j = 0; j < 16; j++) sum[j] = (float16)(0.0f);
            for (int r = 0; r < n; r++) {
                const float16 x = ldp16(b + r * HP + v);
#pragma unroll
                for (int j = 0; j < 16; j++) sum[j] += a[r * FP + f + j] * x;
            }
#pragma unroll
            for (int j = 0; j < 16; j++) stp16(sum[j], c + (f + j) * HP + v);
        }
}

/* to[h][FP] = from[f][HP] */
CALLED void turn_heads(float *to, const float *from)
{
    for (int v = 0; v < HP; v += 16)
        for (int f = 0; f < FP; f += 16) {
            float16 x[16];
#pragma unroll
            for (int j = 0; j < 16; j++) x[j] = ldp16(from + (f + j) * HP + v);
            transpose_16(x);
#pragma unroll
            for (int j = 0; j < 16; j++) stp16(x[j], to + (v + j) * FP + f);
        }
}

/* The gradient of the features of one row from dy of its hidden layer. */
INLINE void norm_row_backward(const float *hat, float *y, const float rstd, float16 *dy, __global const float *norm,
                              float *dnorm, float *sum)
{
    float16 sum_g = (float16)(0.0f), sum_h = (float16)(0.0f);
#pragma unroll
    for (int v = 0; v < NV; v++) {
        const float16 h = ldp16(hat + 16 * v);
        const float16 d = select((float16)(0.0f), dy[v], ldp16(y + 16 * v) > 0.0f);
        stp16(ldp16(dnorm + 16 * v) + d * h, dnorm + 16 * v);
        stp16(ldp16(dnorm + FP + 16 * v) + d, dnorm + FP + 16 * v);
        dy[v] = d * ld16(norm + 16 * v);
        sum_g += dy[v];
        sum_h += dy[v] * h;
    }
    const float mean_g = vsum(sum_g) * (1.0f / (float)F), mean_h = vsum(sum_h) * (1.0f / (float)F);
#pragma unroll
    for (int v = 0; v < NV; v++) {
        const float16 d = real_lanes(rstd * (dy[v] - mean_g - ldp16(hat + 16 * v) * mean_h), v);
        stp16(d, y + 16 * v);
        stp16(ldp16(sum + 16 * v) + d, sum + 16 * v);
    }
}

CALLED void rows_backward(const float *hat, float *y, const float *rstd, const float *b, const float *q,
                          __global const float *norm, __global float *dnorm, float *sum, const int n)
{
    LINES(turned, HP * FP);
    LINES(norms, 2 * FP);
    turn_heads(turned, q);
    for (int f = 0; f < 2 * FP; f += 16) stp16(ld16(dnorm + f), norms + f);
    for (int f = 0; f < FP; f += 16) stp16((float16)(0.0f), sum + f);
    for (int r = 0; r < n; r += ROWS) {
        float16 x[ROWS][NV];
#pragma unroll
        for (int j = 0; j < ROWS; j++)
#pragma unroll
            for (int v = 0; v < NV; v++) x[j][v] = (float16)(0.0f);
        for (int h = 0; h < HEADS; h++) {
            float c[ROWS];
#pragma unroll
            for (int j = 0; j < ROWS; j++) c[j] = b[min(r + j, n - 1) * HP + h];
#pragma unroll
            for (int v = 0; v < NV; v++) {
                const float16 row = ldp16(turned + h * FP + 16 * v);
#pragma unroll
                for (int j = 0; j < ROWS; j++) x[j][v] += c[j] * row;
            }
        }
#pragma unroll
        for (int j = 0; j < ROWS; j++)
            if (r + j < n)
                norm_row_backward(hat + (r + j) * FP, y + (r + j) * FP, rstd[r + j], x[j], norm, norms, sum);
    }
    for (int f = 0; f < 2 * FP; f += 16) st16(ldp16(norms + f), dnorm + f);
}

#define CODE_ROWS 7 /* of CODES */
#define CODE_V (NV % 2 == 0 ? 2 : 1)

CALLED void weights_backward(__global float *dw, const float *code, const float *y, const int first, const int last)
{
    for (int k = 0; k < CODES; k += CODE_ROWS)
        for (int f = 0; f < FP; f += 16 * CODE_V) {
            float16 sum[CODE_ROWS][CODE_V];
#pragma unroll
            for (int j = 0; j < CODE_ROWS; j++)
#pragma unroll
                for (int v = 0; v < CODE_V; v++) sum[j][v] = ld16(dw + (k + j) * FP + f + 16 * v);
            for (int r = first; r < last; r++) {
                float16 x[CODE_V];
#pragma unroll
                for (int v = 0; v < CODE_V; v++) x[v] = ldp16(y + r * FP + f + 16 * v);
#pragma unroll
                for (int j = 0; j < CODE_ROWS; j++)
#pragma unroll
                    for (int v = 0; v < CODE_V; v++) sum[j][v] += code[(k + j) * SP + r] * x[v];
            }
#pragma unroll
            for (int j = 0; j < CODE_ROWS; j++)
#pragma unroll
                for (int v = 0; v < CODE_V; v++) st16(sum[j][v], dw + (k + j) * FP + f + 16 * v);
        }
}

CALLED void rows_slope(float *slope, __global const float *w, const float *code, const float *distance, const float *y,
                       const int first, const int last)
{
    for (int r = first; r < last; r += ROWS) {
        float16 x[ROWS][NV];
        int at[ROWS];
#pragma unroll
        for (int j = 0; j < ROWS; j++) {
            at[j] = min(r + j, last - 1);
#pragma unroll
            for (int v = 0; v < NV; v++) x[j][v] = (float16)(0.0f);
        }
        for (int k = 0; k < RADIAL; k++) {
            float c[ROWS];
#pragma unroll
            for (int j = 0; j < ROWS; j++) c[j] = (radial_offset[k] - distance[at[j]]) * code[k * SP + at[j]];
#pragma unroll
            for (int v = 0; v < NV; v++) {
                const float16 row = ld16(w + k * FP + 16 * v);
#pragma unroll
                for (int j = 0; j < ROWS; j++) x[j][v] += c[j] * row;
            }
        }
#pragma unroll
        for (int j = 0; j < ROWS; j++) {
            float16 sum = (float16)(0.0f);
#pragma unroll
            for (int v = 0; v < NV; v++) sum += x[j][v] * ldp16(y + at[j] * FP + 16 * v);
            if (r + j < last) slope[r + j] += vsum(sum);
        }
    }
}

#endif

/* ---- both classes ------------------------------------------------------------------------------------------------- */

/* dot[r] = sum over h of a[r][h] b[r][h] */
INLINE void dot_heads(SMALL float *dot, SMALL const float *a, SMALL const float *b, const int n)
{
    FOR_ITEMS(r, n)
    {
        vf sum = (vf)(0.0f);
        for (int h = 0; h < HP; h += LANE_WIDTH) sum += lds(a + r * HP + h) * lds(b + r * HP + h);
        dot[r] = vsum(sum);
    }
    sync();
}

#endif
