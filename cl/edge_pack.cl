/*
 * The weights of an edge MLP (Linear, layer norm, ReLU, Linear) as edge_attention.cl and edge_gate.cl want them, and back
 * for their gradients. The first Linear of an attention's MLP reads [kinds | kind x radial code | node | source]:
 *   own_w, source_w [FP][F], own_b [FP]      its last column blocks, products per node, and its bias
 *   edge [KINDS][21][FP], gamma [FP], beta   the columns of a kind of edge, its radial code first
 *   fold [F + 1][DEPTH][HP]                  the second Linear [HEADS DEPTH][F], channels of a head apart; last its bias
 * With KINDS 1 (the gate) there are the radial columns alone, and the bias is the 21st row. Zeros wherever padding is.
 */
#include "common.h"

#ifndef F
#define F 128
#endif
#ifndef HEADS
#define HEADS 16
#endif
#ifndef KINDS
#define KINDS 4
#endif
#ifndef DEPTH
#define DEPTH 8
#endif

#define FP ((F + 15) / 16 * 16)
#define HP ((HEADS + 15) / 16 * 16)
#define RADIAL 20
#define NODES (KINDS > 1)
#define NODE_COLUMN (KINDS * (RADIAL + 1)) /* where the columns of nodes begin */
#define COLUMNS (NODES ? NODE_COLUMN + 2 * F : RADIAL)
#define EDGE_ROWS (KINDS * (RADIAL + 1) + 2)
#define NODE_ROWS (NODES ? 2 * FP : 0)

#if WIDE
#define FOR_ITEMS(i, n) for (int i = (int)get_local_id(0); i < (n); i += WG)
#else
#define FOR_ITEMS(i, n) for (int i = 0; i < (n); i++)
#endif

/* The column of the first Linear that is row `row` of an edge's weights; -1: none (the bias of the gate). */
static inline int column_of(const int row)
{
    const int kind = row / (RADIAL + 1), k = row % (RADIAL + 1);
    if (!NODES) return k < RADIAL ? k : -1;
    return k < RADIAL ? KINDS + kind * RADIAL + k : kind;
}

/* Group: a row of the results, node rows first, then edge's, then fold's. */
__kernel void edge_pack(ARG(own_w), ARG(source_w), ARG(own_b), ARG(edge), ARG(fold), ARG_CONST(w), ARG_CONST(bias),
                        ARG_CONST(gamma), ARG_CONST(beta), ARG_CONST(w2), ARG_CONST(bias2))
{
    PTR(own_w);
    PTR(source_w);
    PTR(own_b);
    PTR(edge);
    PTR(fold);
    PTR_CONST(w);
    PTR_CONST(bias);
    PTR_CONST(gamma);
    PTR_CONST(beta);
    PTR_CONST(w2);
    PTR_CONST(bias2);
    const int row = (int)get_group_id(0);
    if (row < NODE_ROWS) {
        const int o = row % FP, second = row >= FP;
        __global float *const to = (second ? source_w : own_w) + o * F;
        __global const float *const from = w + min(o, F - 1) * COLUMNS + NODE_COLUMN + second * F;
        ROW_FOR(i, F) stv(o < F ? ldv(from + i, F - i) : (vf)(0.0f), to + i, F - i);
        if (!second && get_local_id(0) == 0) own_b[o] = o < F ? bias[o] : 0.0f;
        return;
    }
    const int k = row - NODE_ROWS, f = k - EDGE_ROWS;
    if (f < 0) {
        const int column = k < EDGE_ROWS - 2 ? column_of(k) : -1;
        __global const float *const vector = k == EDGE_ROWS - 2 ? gamma : k == EDGE_ROWS - 1 ? beta : bias;
        FOR_ITEMS(o, FP) edge[k * FP + o] = o >= F ? 0.0f : column >= 0 ? w[o * COLUMNS + column] : vector[o];
        return;
    }
    FOR_ITEMS(i, DEPTH * HP)
    {
        const int c = i / HP, h = i % HP, o = h * DEPTH + c;
        fold[f * DEPTH * HP + i] = h >= HEADS ? 0.0f : f < F ? w2[o * F + f] : bias2[o];
    }
}

/* x[i] = or += v */
INLINE void put(__global float *x, const ulong i, const float v, const int acc)
{
    x[i] = acc ? x[i] + v : v;
}

/* The same for gradients, from the arrays back to the parameters; bit b of `acc`: add to the b-th of them. Group: row o of
 * the first Linear and, if there is one, of the second. */
__kernel void edge_unpack(ARG(w), ARG(bias), ARG(gamma), ARG(beta), ARG(w2), ARG(bias2), const int acc, ARG_CONST(own_w),
                          ARG_CONST(source_w), ARG_CONST(own_b), ARG_CONST(edge), ARG_CONST(fold))
{
    PTR(w);
    PTR(bias);
    PTR(gamma);
    PTR(beta);
    PTR(w2);
    PTR(bias2);
    PTR_CONST(own_w);
    PTR_CONST(source_w);
    PTR_CONST(own_b);
    PTR_CONST(edge);
    PTR_CONST(fold);
    const int o = (int)get_group_id(0);
    const ulong to = (ulong)o * COLUMNS;
    FOR_ITEMS(k, EDGE_ROWS - 2)
    {
        const int column = column_of(k);
        if (column >= 0) put(w, to + column, edge[k * FP + o], acc & 1);
    }
    if (NODES) {
        ROW_FOR(i, F) stv_acc(ldv(own_w + o * F + i, F - i), w + to + NODE_COLUMN + i, F - i, acc & 1);
        ROW_FOR(i, F) stv_acc(ldv(source_w + o * F + i, F - i), w + to + NODE_COLUMN + F + i, F - i, acc & 1);
    }
    if (get_local_id(0) == 0) {
        put(bias, o, NODES ? own_b[o] : edge[RADIAL * FP + o], acc >> 1 & 1);
        put(gamma, o, edge[(EDGE_ROWS - 2) * FP + o], acc >> 2 & 1);
        put(beta, o, edge[(EDGE_ROWS - 1) * FP + o], acc >> 3 & 1);
    }
    if (o >= HEADS * DEPTH) return;
    const int c = o % DEPTH, h = o / DEPTH;
    FOR_ITEMS(f, F) put(w2, (ulong)o * F + f, fold[(f * DEPTH + c) * HP + h], acc >> 4 & 1);
    if (get_local_id(0) == 0) put(bias2, o, fold[(F * DEPTH + c) * HP + h], acc >> 5 & 1);
}
