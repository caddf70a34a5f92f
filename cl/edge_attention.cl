/*
 * Attention over the edges that enter a node, with keys and values from MLPs of the edges, and what the second layers of
 * these MLPs would do to every edge done once per node instead:
 *   key . query = hidden layer . Q,      Q[f][h] = sum over the channels c of head h of W2[h c][f] query[h c]
 *   sum of weight value = W2 applied to the sum of weight hidden layer, per head
 * so an edge costs its hidden layers, two products with HEADS columns, and nothing of the size F x F. The bias of the keys
 * is the same for all edges of a node and drops out of the softmax.
 *
 *   POS 0  feature step: out = residual + sum over the edges of weight gate value, per channel
 *   POS 1  position step: one value per head; out [3] = mean over the heads of the sum of weight gate value (x - x source)
 *
 * Packed weights ("pack"): the keys' EDGE_SIZE floats (edges.h), the values', then the second layers, [F + 1][channels of a
 * head][HP], the last row their biases. A group takes `chunk` targets from `begin` on, one
 * after the other (the wide class: one, in several launches); the target t is node t, or where `listed` node[pocket + t].
 *
 * edge_attention_forward   out, and the weights of the edges where they are to be kept
 * edge_attention_backward  all gradients but those by the sources, which it leaves per edge, and the sum over a group's targets
 *                          of the gradient by the packed weights
 * edge_attention_sources   adds up the edges that come from a node, through the reverse lists
 */
#ifdef ONE_ITEM /* the form of the cpu class on a device of the other one */
#undef WIDE
#undef WG
#define WIDE 0
#define WG 1
#endif
#include "common.h"
#include "edges.h"

#ifndef POS
#define POS 0
#endif

#define D (F / HEADS)
#define DV (POS ? 1 : D) /* channels of a head's value */
#define KEY_FOLD (2 * EDGE_SIZE)
#define VALUE_FOLD (KEY_FOLD + (F + 1) * D * HP)
#define PACK_SIZE (VALUE_FOLD + (F + 1) * DV * HP)
/* floats of the workspace that a group of the wide class has for itself */
#define SCRATCH (2 * SLOTS * FP + 2 * FP * HP + FP)

/* ---- second layers ------------------------------------------------------------------------------------------------ */

/* turned[c][HP] = factor x[h depth + c] */
INLINE void turn_channels(SMALL float *turned, __global const float *x, const float factor, const int depth)
{
    FOR_ITEMS(i, depth * HP) turned[i] = i % HP < HEADS ? factor * x[i % HP * depth + i / HP] : 0.0f;
    sync();
}

/* q[f][h] = sum over c of turned[c][h] fold[f][c][h]; turned NULL: 1 */
INLINE void fold_channels(BIG float *q, SMALL const float *turned, __global const float *fold, const int depth)
{
    FOR_LANES(i, FP * HP)
    {
        const int f = i / HP, h = i % HP;
        vf sum = (vf)(0.0f);
        for (int c = 0; f < F && c < depth; c++) sum += lds(turned + c * HP + h) * ldg(fold + (f * depth + c) * HP + h);
        stb(sum, q + i);
    }
    sync();
}

/* out[c][h] = sum over f of fold[f][c][h] q[f][h] */
INLINE void unfold_channels(SMALL float *out, BIG const float *q, __global const float *fold, const int depth)
{
    FOR_LANES(i, depth * HP)
    {
        const int h = i % HP;
        vf sum[4];
        for (int k = 0; k < 4; k++) sum[k] = (vf)(0.0f);
        for (int f = 0; f < F / 4 * 4; f += 4)
#pragma unroll
            for (int k = 0; k < 4; k++) sum[k] += ldg(fold + (f + k) * depth * HP + i) * ldb(q + (f + k) * HP + h);
        for (int f = F / 4 * 4; f < F; f++) sum[0] += ldg(fold + f * depth * HP + i) * ldb(q + f * HP + h);
        sts((sum[0] + sum[1]) + (sum[2] + sum[3]), out + i);
    }
    sync();
}

/* dfold[f][c][h] += turned[c][h] q[f][h], and of the bias turned[c][h] total[h] */
INLINE void fold_backward(__global float *dfold, SMALL const float *turned, BIG const float *q, SMALL const float *total,
                          const int depth)
{
    FOR_LANES(i, F * depth * HP)
    addg(lds(turned + i % (depth * HP)) * ldb(q + i / (depth * HP) * HP + i % HP), dfold + i);
    FOR_LANES(i, depth * HP) addg(lds(turned + i) * lds(total + i % HP), dfold + F * depth * HP + i);
}

/* total[h] = sum over the rows */
INLINE void sum_rows(SMALL float *total, SMALL const float *a, const int n)
{
    FOR_LANES(h, HP)
    {
        vf sum = (vf)(0.0f);
        for (int r = 0; r < n; r++) sum += lds(a + r * HP + h);
        sts(sum, total + h);
    }
    sync();
}

/* ---- softmax over the rows, per head ------------------------------------------------------------------------------ */

INLINE void softmax_rows(SMALL float *w, const int n)
{
    FOR_LANES(h, HP)
    {
        vf top = lds(w + h), sum = (vf)(0.0f);
        for (int r = 1; r < n; r++) top = fmax(top, lds(w + r * HP + h));
        for (int r = 0; r < n; r++) {
            const vf e = vexp(lds(w + r * HP + h) - top);
            sts(e, w + r * HP + h);
            sum += e;
        }
        sum = 1.0f / sum;
        for (int r = 0; r < n; r++) sts(lds(w + r * HP + h) * sum, w + r * HP + h);
    }
    sync();
}

/* dw, the gradient of the weights w, becomes that of the logits. */
INLINE void softmax_rows_backward(SMALL float *dw, SMALL const float *w, const int n)
{
    FOR_LANES(h, HP)
    {
        vf mean = (vf)(0.0f);
        for (int r = 0; r < n; r++) mean += lds(w + r * HP + h) * lds(dw + r * HP + h);
        for (int r = 0; r < n; r++) sts(lds(w + r * HP + h) * (lds(dw + r * HP + h) - mean), dw + r * HP + h);
    }
    sync();
}

/* a[r][h] = b[r][h] scale[r] */
INLINE void scale_rows(SMALL float *a, SMALL const float *b, SMALL const float *scale, const int n)
{
    FOR_LANES(i, n * HP) sts(lds(b + i) * scale[i / HP], a + i);
    sync();
}

/* a[r][h] += b[h] */
INLINE void add_to_rows(SMALL float *a, __global const float *b, const int n)
{
    FOR_LANES(i, n * HP) sts(lds(a + i) + ldg(b + i % HP), a + i);
    sync();
}

/* ---- forward ------------------------------------------------------------------------------------------------------ */

INLINE uint target_node(__global const uint *node, const int listed, const uint pocket, const int t)
{
    return listed ? node[pocket + (uint)t] : (uint)t;
}

#define GRAPH_ARGS                                                                                                     \
    ARG_CONST(x), ARG_U32_CONST(src), ARG_U32_CONST(count), ARG_U32_CONST(row), ARG_U32_CONST(node),                   \
        const int has_row, const uint pocket, const int listed, const int begin, const int targets, const int chunk
#define GRAPH_SETUP                                                                                                    \
    PTR_CONST(x);                                                                                                      \
    PTR_U32_CONST(src);                                                                                                \
    PTR_U32_CONST(count);                                                                                              \
    PTR_U32_CONST(row);                                                                                                \
    PTR_U32_CONST(node);                                                                                               \
    const edge_graph graph = {src, count, row, x, has_row, pocket};                                                    \
    const int first = begin + (int)get_group_id(0) * chunk, last = min(first + chunk, targets)

__kernel void edge_attention_forward(ARG(out), ARG(weight), ARG(scratch), ARG_CONST(residual), ARG_CONST(query),
                                     ARG_CONST(own), ARG_CONST(source), ARG_CONST(pack), ARG_CONST(gate),
                                     const int keep, const float scale, GRAPH_ARGS)
{
    PTR(out);
    PTR(weight);
    PTR_CONST(residual);
    PTR_CONST(query);
    PTR_CONST(own);
    PTR_CONST(source);
    PTR_CONST(pack);
    PTR_CONST(gate);
    GRAPH_SETUP;
#if WIDE
    PTR(scratch);
    BIG float *own_scratch = scratch + get_group_id(0) * (ulong)SCRATCH;
#endif
    BIG_ARRAY(hat, SLOTS * FP);
    BIG_ARRAY(y, SLOTS * FP);
    BIG_ARRAY(q, FP * HP);
    SMALL_MEMORY((CODES + 16) * SP + 3 * SLOTS * HP + (D + 1) * HP);
    SMALL_ARRAY(step, 3 * SP);
    SMALL_ARRAY(distance, SP);
    SMALL_ARRAY(code, CODES * SP);
    SMALL_ARRAY(rstd, 3 * SP);
    SMALL_ARRAY(gates, SP);
    SMALL_ARRAY(w, SLOTS * HP);
    SMALL_ARRAY(turned, D * HP);
#if POS
    SMALL_ARRAY(v, SLOTS * HP);
#else
    SMALL_ARRAY(total, HP);
#endif
    SMALL_INTS(order, SLOTS);
    SMALL_INTS(from, SLOTS);
    for (int t = first; t < last; t++) {
        sync();
        const uint i = target_node(node, listed, pocket, t);
        const int n = (int)min(count[i], (uint)SLOTS), mine = in_ligand(&graph, i);
        const int ligands = sort_edges(order, from, &graph, i, n);
        geometry(step, distance, code, from, &graph, i, n);
        FOR_ITEMS(r, n) gates[r] = gate[(ulong)i * SLOTS + order[r]];
        const edge_layer key = {own + (ulong)t * 2 * FP, source, pack, 2 * FP};
        const edge_layer value = {key.own + FP, source + FP, pack + EDGE_SIZE, 2 * FP};
        rows_forward(hat, y, rstd, &key, code, from, mine, ligands, n);
        turn_channels(turned, query + (ulong)t * F, scale, D);
        fold_channels(q, turned, pack + KEY_FOLD, D);
        product_heads(w, y, q, n);
        softmax_rows(w, n);
        if (keep) FOR_LANES(k, n * HP) stv(lds(w + k), weight + (ulong)t * (SLOTS * HP) + k, VW);
        rows_forward(hat, y, rstd, &value, code, from, mine, ligands, n);
#if POS
        FOR_LANES(k, HP) sts((vf)(1.0f), turned + k);
        sync();
        fold_channels(q, turned, pack + VALUE_FOLD, 1);
        product_heads(v, y, q, n);
        add_to_rows(v, pack + VALUE_FOLD + F * HP, n);
        dot_heads(rstd, w, v, n);
        FOR_ITEMS(k, 3)
        {
            float sum = 0.0f;
            for (int r = 0; r < n; r++) sum += rstd[r] * gates[r] * step[k * SP + r];
            out[3 * (ulong)t + k] = sum * (1.0f / (float)HEADS);
        }
#else
        scale_rows(w, w, gates, n);
        product_features(q, y, w, n);
        sum_rows(total, w, n);
        unfold_channels(turned, q, pack + VALUE_FOLD, D);
        FOR_ITEMS(k, F)
        {
            const int c = k % D, h = k / D;
            out[(ulong)t * F + k] = residual[(ulong)t * F + k] + turned[c * HP + h] +
                                    pack[VALUE_FOLD + (F * D + c) * HP + h] * total[h];
        }
#endif
        sync();
    }
}

/* ---- backward ----------------------------------------------------------------------------------------------------- */

/* y, the gradient of the features of one of the MLPs: goes to the sources' rows, the weights and the distances. */
INLINE void spread_gradient(__global float *by_edge, __global float *dedge, SMALL float *slope,
                            __global const float *edge, SMALL const float *code, SMALL const float *distance,
                            BIG const float *y, SMALL const int *order, const int mine, const int ligands, const int n,
                            const int slopes)
{
    const int end[3] = {0, ligands, n};
    FOR_LANES(k, n * FP) stv(ldb(y + k), by_edge + order[k / FP] * (2 * FP) + k % FP, VW);
    for (int part = 0; part < 2; part++) {
        const int kind = kind_of(part, mine);
        weights_backward(dedge + kind * KIND_SIZE, code, y, end[part], end[part + 1]);
        if (slopes > part) rows_slope(slope, edge + kind * KIND_SIZE, code, distance, y, end[part], end[part + 1]);
    }
    sync();
}

/* What the values' second layer and the step itself leave: `b` and q such that the gradient of the values' hidden layer is b
 * q' (rows_backward), dw of the weights, dgate, and of the packed second layer. POS: the gradient of the step too. */
#if POS
INLINE void values_backward(SMALL float *b, BIG float *q, BIG float *sum, SMALL float *dw, SMALL float *dgate,
                            SMALL float *dstep, __global float *dfold, SMALL float *turned, SMALL float *total,
                            BIG const float *y, SMALL const float *w, SMALL const float *gates, SMALL const float *step,
                            __global const float *dout, __global const float *fold, const int n)
{
    FOR_LANES(k, HP) sts((vf)(1.0f), turned + k);
    sync();
    fold_channels(q, turned, fold, 1);
    product_heads(dw, y, q, n);
    add_to_rows(dw, fold + F * HP, n);
    dot_heads(dgate, w, dw, n); /* the value, weighted over the heads */
    FOR_ITEMS(r, n)
    {
        float along = 0.0f;
        for (int k = 0; k < 3; k++) {
            const float d = dout[k] * (1.0f / (float)HEADS);
            along += d * step[k * SP + r];
            dstep[k * SP + r] = dgate[r] * gates[r] * d;
        }
        dgate[r] *= along;
        dstep[3 * SP + r] = along * gates[r];
    }
    sync();
    scale_rows(b, w, dstep + 3 * SP, n);
    scale_rows(dw, dw, dstep + 3 * SP, n);
    product_features(sum, y, b, n);
    sum_rows(total, b, n);
    fold_backward(dfold, turned, sum, total, 1);
    sync();
}
#else
INLINE void values_backward(SMALL float *b, BIG float *q, BIG float *sum, SMALL float *dw, SMALL float *dgate,
                            SMALL float *dstep, __global float *dfold, SMALL float *turned, SMALL float *total,
                            BIG const float *y, SMALL const float *w, SMALL const float *gates, SMALL const float *step,
                            __global const float *dout, __global const float *fold, const int n)
{
    turn_channels(turned, dout, 1.0f, D);
    fold_channels(q, turned, fold, D);
    product_heads(dw, y, q, n);
    FOR_LANES(h, HP) /* what the bias of the values does to every edge */
    {
        vf same = (vf)(0.0f);
        for (int c = 0; c < D; c++) same += lds(turned + c * HP + h) * ldg(fold + (F * D + c) * HP + h);
        for (int r = 0; r < n; r++) sts(lds(dw + r * HP + h) + same, dw + r * HP + h);
    }
    sync();
    dot_heads(dgate, w, dw, n);
    scale_rows(b, w, gates, n);
    scale_rows(dw, dw, gates, n);
    product_features(sum, y, b, n);
    sum_rows(total, b, n);
    fold_backward(dfold, turned, sum, total, D);
    FOR_ITEMS(k, 3 * SP) dstep[k] = 0.0f;
    sync();
}
#endif

/* The gradient by the positions: of the node into to[0..3), of the sources into by_edge [4] per edge. */
INLINE void positions_backward(__global float *to, __global float *by_edge, SMALL float *dstep,
                               SMALL const float *slope, SMALL const float *step, SMALL const float *distance,
                               SMALL const int *order, const int n)
{
    FOR_ITEMS(r, n)
    {
        const float s = distance[r] > 0.0f ? slope[r] / distance[r] : 0.0f;
        for (int k = 0; k < 3; k++) {
            const float d = dstep[k * SP + r] + s * step[k * SP + r];
            dstep[k * SP + r] = d;
            by_edge[order[r] * 4 + k] = -d;
        }
    }
    sync();
    FOR_ITEMS(k, 3)
    {
        float sum = 0.0f;
        for (int r = 0; r < n; r++) sum += dstep[k * SP + r];
        to[k] = sum;
    }
}

/* slopes: which distances have a gradient that is wanted: 0 none, 1 those of edges that touch the ligand, 2 all. */
__kernel void edge_attention_backward(ARG(dquery), const int acc_query, ARG(down), const int acc_own, ARG(dgate),
                                      ARG(part), ARG(by_edge), ARG(by_step), ARG(by_target), ARG(scratch),
                                      ARG_CONST(dout), ARG_CONST(weight), ARG_CONST(query), ARG_CONST(own),
                                      ARG_CONST(source), ARG_CONST(pack), ARG_CONST(gate), const int slopes,
                                      const float scale, GRAPH_ARGS)
{
    PTR(dquery);
    PTR(down);
    PTR(dgate);
    PTR(part);
    PTR(by_edge);
    PTR(by_step);
    PTR(by_target);
    PTR_CONST(dout);
    PTR_CONST(weight);
    PTR_CONST(query);
    PTR_CONST(own);
    PTR_CONST(source);
    PTR_CONST(pack);
    PTR_CONST(gate);
    GRAPH_SETUP;
#if WIDE
    PTR(scratch);
    BIG float *own_scratch = scratch + get_group_id(0) * (ulong)SCRATCH;
#endif
    BIG_ARRAY(hat, SLOTS * FP);
    BIG_ARRAY(y, SLOTS * FP);
    BIG_ARRAY(q, FP * HP);
    BIG_ARRAY(sum, FP * HP);
    BIG_ARRAY(dsum, FP);
    SMALL_MEMORY((CODES + 16) * SP + 3 * SLOTS * HP + (D + 1) * HP);
    SMALL_ARRAY(step, 3 * SP);
    SMALL_ARRAY(dstep, 4 * SP);
    SMALL_ARRAY(distance, SP);
    SMALL_ARRAY(slope, SP);
    SMALL_ARRAY(code, CODES * SP);
    SMALL_ARRAY(rstd, 3 * SP);
    SMALL_ARRAY(gates, SP);
    SMALL_ARRAY(dgates, SP);
    SMALL_ARRAY(w, SLOTS * HP);
    SMALL_ARRAY(dw, SLOTS * HP);
    SMALL_ARRAY(b, SLOTS * HP);
    SMALL_ARRAY(turned, D * HP);
    SMALL_ARRAY(total, HP);
    SMALL_INTS(order, SLOTS);
    SMALL_INTS(from, SLOTS);
    __global float *const dpack = part + get_group_id(0) * (ulong)PACK_SIZE;
    if (begin == 0) FOR_LANES(k, PACK_SIZE) stv((vf)(0.0f), dpack + k, VW);
    for (int t = first; t < last; t++) {
        sync();
        const uint i = target_node(node, listed, pocket, t);
        const int n = (int)min(count[i], (uint)SLOTS), mine = in_ligand(&graph, i);
        __global float *const edges = by_edge + (ulong)t * (SLOTS * 2 * FP);
        const int wanted = slopes == 0 ? 0 : mine || slopes == 2 ? 2 : 1;
        const int ligands = sort_edges(order, from, &graph, i, n);
        geometry(step, distance, code, from, &graph, i, n);
        FOR_ITEMS(r, n) gates[r] = gate[(ulong)i * SLOTS + order[r]];
        FOR_ITEMS(r, SP) slope[r] = 0.0f;
        FOR_LANES(k, n * HP) sts(ldg(weight + (ulong)t * (SLOTS * HP) + k), w + k);
        sync();
        const edge_layer key = {own + (ulong)t * 2 * FP, source, pack, 2 * FP};
        const edge_layer value = {key.own + FP, source + FP, pack + EDGE_SIZE, 2 * FP};
        __global float *const down_row = down + (ulong)t * 2 * FP;

        rows_forward(hat, y, rstd, &value, code, from, mine, ligands, n);
        values_backward(b, q, sum, dw, dgates, dstep, dpack + VALUE_FOLD, turned, total, y, w, gates, step,
                        dout + (ulong)t * (POS ? 3 : F), pack + VALUE_FOLD, n);
        FOR_ITEMS(r, n) dgate[(ulong)i * SLOTS + order[r]] += dgates[r];
        rows_backward(hat, y, rstd, b, q, value.edge + NORM_AT, dpack + EDGE_SIZE + NORM_AT, dsum, n);
        FOR_LANES(f, FP) stv_acc(ldb(dsum + f), down_row + FP + f, VW, acc_own);
        spread_gradient(edges + FP, dpack + EDGE_SIZE, slope, value.edge, code, distance, y, order, mine, ligands, n,
                        wanted);

        softmax_rows_backward(dw, w, n);
        rows_forward(hat, y, rstd, &key, code, from, mine, ligands, n);
        turn_channels(turned, query + (ulong)t * F, scale, D);
        fold_channels(q, turned, pack + KEY_FOLD, D);
        product_features(sum, y, dw, n);
        FOR_LANES(h, HP) sts((vf)(0.0f), total + h);
        sync();
        fold_backward(dpack + KEY_FOLD, turned, sum, total, D);
        sync();
        unfold_channels(turned, sum, pack + KEY_FOLD, D);
        FOR_ITEMS(k, F)
        {
            __global float *const to = dquery + (ulong)t * F + k;
            to[0] = scale * turned[k % D * HP + k / D] + (acc_query ? to[0] : 0.0f);
        }
        rows_backward(hat, y, rstd, dw, q, key.edge + NORM_AT, dpack + NORM_AT, dsum, n);
        FOR_LANES(f, FP) stv_acc(ldb(dsum + f), down_row + f, VW, acc_own);
        spread_gradient(edges, dpack, slope, key.edge, code, distance, y, order, mine, ligands, n, wanted);
        positions_backward(by_target + 4 * (ulong)t, by_step + (ulong)t * (SLOTS * 4), dstep, slope, step, distance, order,
                           n);
        sync();
    }
}

/* Adds up over the edges that come from a node: dsource [2 FP] and, with has_x, dx [3] together with what the node has as a
 * target. A group takes `chunk` nodes. */
__kernel void edge_attention_sources(ARG(dsource), const int acc_source, ARG(dx), const int acc_x, const int has_x,
                                     ARG_CONST(by_edge), ARG_CONST(by_step), ARG_CONST(by_target),
                                     ARG_U32_CONST(rev_offset), ARG_U32_CONST(rev_edge), ARG_U32_CONST(row),
                                     const int has_row, const uint pocket, const int listed, const int nodes,
                                     const int chunk)
{
    PTR(dsource);
    PTR(dx);
    PTR_CONST(by_edge);
    PTR_CONST(by_step);
    PTR_CONST(by_target);
    PTR_U32_CONST(rev_offset);
    PTR_U32_CONST(rev_edge);
    PTR_U32_CONST(row);
    const int first = (int)get_group_id(0) * chunk, last = min(first + chunk, nodes);
    const uint skip = listed && has_row ? pocket : 0;
    for (int j = first; j < last; j++) {
        const uint begin = rev_offset[j], end = rev_offset[j + 1];
        FOR_LANES(f, 2 * FP)
        {
            vf sum = (vf)(0.0f);
            for (uint e = begin; e < end; e++) {
                const uint i = rev_edge[e] / SLOTS, t = listed && has_row ? row[i] : i;
                if (t >= skip) sum += ldg(by_edge + ((ulong)(t - skip) * SLOTS + rev_edge[e] % SLOTS) * (2 * FP) + f);
            }
            stv_acc(sum, dsource + (ulong)j * (2 * FP) + f, VW, acc_source);
        }
        if (has_x) FOR_ITEMS(k, 3)
            {
                const uint own = listed && has_row ? row[j] : (uint)j;
                float sum = own >= skip ? by_target[4 * (ulong)(own - skip) + k] : 0.0f;
                for (uint e = begin; e < end; e++) {
                    const uint i = rev_edge[e] / SLOTS, t = listed && has_row ? row[i] : i;
                    if (t >= skip) sum += by_step[((ulong)(t - skip) * SLOTS + rev_edge[e] % SLOTS) * 4 + k];
                }
                dx[3 * (ulong)j + k] = sum + (acc_x ? dx[3 * (ulong)j + k] : 0.0f);
            }
    }
}
