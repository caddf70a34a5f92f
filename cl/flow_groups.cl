/*
 * What the groups of a hybrid flow need besides the flows themselves: columns of rows, variables that are not observed,
 * weights of items, values that are given, temperature. A group of work-items takes `block` rows.
 */
#include "common.h"

#define ROWS_BEGIN ((ulong)get_group_id(0) * (ulong)block)
#define ROWS_COUNT(rows) ((int)min((ulong)block, (rows)-ROWS_BEGIN))

/* x[r] = columns first .. first + dims of a row of `pitch`. has_mask: NaN stands for a variable that is not observed;
 * x is 0 there and mask 0, elsewhere mask is 1. */
__kernel void group_take(ARG(x), ARG(mask), ARG_CONST(data), const ulong rows, const int dims, const int first,
                         const int pitch, const int has_mask, const int block)
{
    PTR(x);
    PTR(mask);
    PTR_CONST(data);
    const int count = ROWS_COUNT(rows);
    ELEM_FOR(r, c, count, dims)
    {
        const ulong row = ROWS_BEGIN + (ulong)r, at = row * (ulong)dims + (ulong)c;
        const float v = data[row * (ulong)pitch + (ulong)(first + c)];
        const int missing = has_mask && isnan(v);
        x[at] = missing ? 0.0f : v;
        if (has_mask) mask[at] = missing ? 0.0f : 1.0f;
    }
}

/* x [rows, dims, width] becomes 0 where mask [rows, dims] or weight [rows] is, and is multiplied by weight. */
__kernel void group_mask(ARG(x), ARG_CONST(mask), const int has_mask, ARG_CONST(weight), const int has_weight,
                         const ulong rows, const int dims, const int width, const int block)
{
    PTR(x);
    PTR_CONST(mask);
    PTR_CONST(weight);
    const int count = ROWS_COUNT(rows);
    ELEM_FOR(r, c, count, dims * width)
    {
        const ulong row = ROWS_BEGIN + (ulong)r, at = row * (ulong)dims * (ulong)width + (ulong)c;
        const float w = has_weight ? weight[row] : 1.0f;
        const int seen = w != 0.0f && (!has_mask || mask[row * (ulong)dims + (ulong)(c / width)] != 0.0f);
        x[at] = seen ? w * x[at] : 0.0f; /* not a product with 0: what nobody sees may be anything, also NaN */
    }
}

/* total (+)= factor weight loss, over n items. */
__kernel void group_total(ARG(total), const int acc, const float factor, ARG_CONST(loss), ARG_CONST(weight),
                          const int has_weight, const ulong n)
{
    PTR(total);
    PTR_CONST(loss);
    PTR_CONST(weight);
    FLAT_BLOCK(base, m, n);
    ROW_FOR(i, m)
    {
        vf v = factor * ldv(loss + base + i, m - i);
        if (has_weight) {
            const vf w = ldv(weight + base + i, m - i);
            v = select(w * v, (vf)(0.0f), w == 0.0f);
        }
        stv_acc(v, total + base + i, m - i, acc);
    }
}

/* y [rows, dims, width] is what is given [rows, dims], NaN: nothing is. width > 1: probabilities, and a class. */
__kernel void group_hold(ARG(y), ARG_CONST(given), const ulong rows, const int dims, const int width, const int block)
{
    PTR(y);
    PTR_CONST(given);
    const int count = ROWS_COUNT(rows);
    ELEM_FOR(r, c, count, dims * width)
    {
        const ulong row = ROWS_BEGIN + (ulong)r, at = row * (ulong)dims * (ulong)width + (ulong)c;
        const float v = given[row * (ulong)dims + (ulong)(c / width)];
        if (!isnan(v)) y[at] = width == 1 ? v : v == (float)(c % width) ? 1.0f : 0.0f;
    }
}

/* The network's numbers net [rows, width] of an output distribution at a temperature: `logits` numbers are multiplied by
 * sharper, then `means` stay, and the rest is widened: log deviations by adding, deviations by multiplying. */
__kernel void group_temper(ARG(net), const ulong rows, const int width, const int logits, const int means,
                           const float sharper, const float plus, const float times, const int block)
{
    PTR(net);
    const int count = ROWS_COUNT(rows);
    ELEM_FOR(r, c, count, width)
    {
        const ulong at = (ROWS_BEGIN + (ulong)r) * (ulong)width + (ulong)c;
        const float v = net[at];
        net[at] = c < logits ? v * sharper : c < logits + means ? v : fma(v, times, plus);
    }
}
