/*
 * The gate of every edge, sigmoid of an MLP of its distance alone. Packed weights: EDGE_SIZE floats of one kind (edges.h),
 * whose last weight row is the bias, then the second layer [F + 1][HP] with one head, the last row its bias.
 *
 * edge_gate_forward   gate [N][SLOTS], 0 where there is no edge. A group takes `chunk` nodes.
 * edge_gate_backward  the gradients of the packed weights, summed over a group's nodes, and with has_x of the positions, of
 *                     the sources per edge; edge_gate_sources adds these up
 */
#define KINDS 1
#ifdef ONE_ITEM /* the form of the cpu class on a device of the other one */
#undef WIDE
#undef WG
#define WIDE 0
#define WG 1
#endif
#include "common.h"
#include "edges.h"

#define FOLD EDGE_SIZE
#define PACK_SIZE (FOLD + (F + 1) * HP)
#define SCRATCH (2 * SLOTS * FP + 2 * FP * HP + FP)

#define GATE_ARGS ARG_CONST(x), ARG_U32_CONST(src), ARG_U32_CONST(count), const int begin, const int nodes, const int chunk
#define GATE_SETUP                                                                                                     \
    PTR_CONST(x);                                                                                                      \
    PTR_U32_CONST(src);                                                                                                \
    PTR_U32_CONST(count);                                                                                              \
    const edge_graph graph = {src, count, 0, x, 0, 0};                                                                 \
    const int first = begin + (int)get_group_id(0) * chunk, last = min(first + chunk, nodes)

/* q[FP][HP] = the second layer without its bias, zeros behind it. */
INLINE void copy_fold(BIG float *q, __global const float *fold)
{
    FOR_LANES(i, FP * HP) stb(i < F * HP ? ldg(fold + i) : (vf)(0.0f), q + i);
    sync();
}

__kernel void edge_gate_forward(ARG(gate), ARG(scratch), ARG_CONST(pack), GATE_ARGS)
{
    PTR(gate);
    PTR_CONST(pack);
    GATE_SETUP;
#if WIDE
    PTR(scratch);
    BIG float *own_scratch = scratch + get_group_id(0) * (ulong)SCRATCH;
#endif
    BIG_ARRAY(hat, SLOTS * FP);
    BIG_ARRAY(y, SLOTS * FP);
    BIG_ARRAY(q, FP * HP);
    SMALL_MEMORY((CODES + 16) * SP + SLOTS * HP);
    SMALL_ARRAY(step, 3 * SP);
    SMALL_ARRAY(distance, SP);
    SMALL_ARRAY(code, CODES * SP);
    SMALL_ARRAY(rstd, 3 * SP);
    SMALL_ARRAY(v, SLOTS * HP);
    SMALL_INTS(order, SLOTS);
    SMALL_INTS(from, SLOTS);
    const edge_layer layer = {0, 0, pack, 0};
    const float bias = pack[FOLD + F * HP];
    copy_fold(q, pack + FOLD);
    for (int i = first; i < last; i++) {
        sync();
        const int n = (int)min(count[i], (uint)SLOTS);
        FOR_ITEMS(r, SLOTS - n) gate[(ulong)i * SLOTS + n + r] = 0.0f;
        sort_edges(order, from, &graph, (uint)i, n);
        geometry(step, distance, code, from, &graph, (uint)i, n);
        rows_forward(hat, y, rstd, &layer, code, from, 1, n, n);
        product_heads(v, y, q, n);
        FOR_ITEMS(r, n) gate[(ulong)i * SLOTS + order[r]] = 1.0f / (1.0f + exp(-(v[r * HP] + bias)));
        sync();
    }
}

__kernel void edge_gate_backward(ARG(part), ARG(by_step), ARG(by_target), ARG(scratch), ARG_CONST(dgate),
                                 ARG_CONST(gate), ARG_CONST(pack), const int has_x, GATE_ARGS)
{
    PTR(part);
    PTR(by_step);
    PTR(by_target);
    PTR_CONST(dgate);
    PTR_CONST(gate);
    PTR_CONST(pack);
    GATE_SETUP;
#if WIDE
    PTR(scratch);
    BIG float *own_scratch = scratch + get_group_id(0) * (ulong)SCRATCH;
#endif
    BIG_ARRAY(hat, SLOTS * FP);
    BIG_ARRAY(y, SLOTS * FP);
    BIG_ARRAY(q, FP * HP);
    BIG_ARRAY(sum, FP * HP);
    BIG_ARRAY(dsum, FP);
    SMALL_MEMORY((CODES + 16) * SP + SLOTS * HP);
    SMALL_ARRAY(step, 3 * SP);
    SMALL_ARRAY(distance, SP);
    SMALL_ARRAY(slope, SP);
    SMALL_ARRAY(code, CODES * SP);
    SMALL_ARRAY(rstd, 3 * SP);
    SMALL_ARRAY(b, SLOTS * HP);
    SMALL_INTS(order, SLOTS);
    SMALL_INTS(from, SLOTS);
    const edge_layer layer = {0, 0, pack, 0};
    __global float *const dpack = part + get_group_id(0) * (ulong)PACK_SIZE;
    if (begin == 0) FOR_LANES(k, PACK_SIZE) stv((vf)(0.0f), dpack + k, VW);
    copy_fold(q, pack + FOLD);
    for (int i = first; i < last; i++) {
        sync();
        const int n = (int)min(count[i], (uint)SLOTS);
        sort_edges(order, from, &graph, (uint)i, n);
        geometry(step, distance, code, from, &graph, (uint)i, n);
        FOR_ITEMS(r, SP) slope[r] = 0.0f;
        FOR_ITEMS(k, n * HP)
        {
            const ulong e = (ulong)i * SLOTS + order[k / HP];
            b[k] = k % HP == 0 ? dgate[e] * gate[e] * (1.0f - gate[e]) : 0.0f;
        }
        sync();
        rows_forward(hat, y, rstd, &layer, code, from, 1, n, n);
        product_features(sum, y, b, n);
        FOR_LANES(k, F * HP) addg(ldb(sum + k), dpack + FOLD + k);
        FOR_ITEMS(k, 1)
        {
            float total = 0.0f;
            for (int r = 0; r < n; r++) total += b[r * HP];
            dpack[FOLD + F * HP] += total;
        }
        rows_backward(hat, y, rstd, b, q, pack + NORM_AT, dpack + NORM_AT, dsum, n);
        weights_backward(dpack, code, y, 0, n);
        if (has_x) rows_slope(slope, pack, code, distance, y, 0, n);
        sync();
        FOR_ITEMS(r, n)
        {
            const float s = distance[r] > 0.0f ? slope[r] / distance[r] : 0.0f;
            for (int k = 0; k < 3; k++) {
                step[k * SP + r] *= s;
                by_step[((ulong)i * SLOTS + order[r]) * 4 + k] = -step[k * SP + r];
            }
        }
        sync();
        FOR_ITEMS(k, 3)
        {
            float total = 0.0f;
            for (int r = 0; r < n; r++) total += step[k * SP + r];
            by_target[4 * (ulong)i + k] = total;
        }
        sync();
    }
}

/* dx [N][3] (+)= what a node has as a target and the edges that come from it. */
__kernel void edge_gate_sources(ARG(dx), const int acc, ARG_CONST(by_step), ARG_CONST(by_target),
                                ARG_U32_CONST(rev_offset), ARG_U32_CONST(rev_edge), const int nodes, const int chunk)
{
    PTR(dx);
    PTR_CONST(by_step);
    PTR_CONST(by_target);
    PTR_U32_CONST(rev_offset);
    PTR_U32_CONST(rev_edge);
    const int first = (int)get_group_id(0) * chunk, last = min(first + chunk, nodes);
    FOR_ITEMS(i, 3 * (last - first))
    {
        const int j = first + i / 3, k = i % 3;
        float sum = by_target[4 * (ulong)j + k];
        for (uint e = rev_offset[j]; e < rev_offset[j + 1]; e++) sum += by_step[(ulong)rev_edge[e] * 4 + k];
        dx[3 * (ulong)j + k] = sum + (acc ? dx[3 * (ulong)j + k] : 0.0f);
    }
}
