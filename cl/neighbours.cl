/*
 * The nearest items of every item inside its segment, and for every item the edges that come out of it.
 *
 * Squared distances are compared as the integers their bits are, which order alike; a distance that is not a number counts as
 * infinite. Candidates are walked in rising order and those that are nearer than the last of the `slots` nearest so far are
 * appended to a list; a full list is cut down to its `slots` nearest, in order.
 */
#include "common.h"

#define MOST 128                   /* slots, k + 1 */
#define SPARE (WIDE ? 2 * WG : 48) /* places of a list behind the slots */
#define ROOM (MOST + SPARE)
#define NOTHING 0x7fffffff /* further than any candidate */
#define NO_ITEM 0xffffffffu
#define PITCH(n) ((n) + 16) /* of a coordinate in the workspace */

#pragma OPENCL FP_CONTRACT OFF /* the same distances, and so the same neighbours, on every device */

/* The coordinates one after the other, each with 16 zeros behind it. */
__kernel void neighbours_split(ARG(axes), ARG_CONST(x), const ulong n)
{
    PTR(axes);
    PTR_CONST(x);
    FLAT_BLOCK(base, m, PITCH(n));
    for (int i = (int)get_local_id(0); i < m; i += WG) {
        const ulong at = base + (ulong)i;
        for (int a = 0; a < 3; a++) axes[(ulong)a * PITCH(n) + at] = at < n ? x[at * 3 + a] : 0.0f;
    }
}

#if WIDE
typedef int vi;
#define as_vi as_int
#define ld_axis(p) (*(p))
#define MEMORY __local
#else
typedef int16 vi;
#define as_vi as_int16
#define ld_axis ld16
#define MEMORY
#endif

/* `count` candidates; with `slots` of them or more, only what is below `limit` can still be among the nearest. */
typedef struct candidates {
    MEMORY int *key, *item;
    int slots, count, limit;
} candidates;

/* Keys of the candidates from j on: the squared distance to the point `at`. */
INLINE vi keys_from(__global const float *axes, const ulong pitch, const float4 at, const int j)
{
    const vf x = ld_axis(axes + j) - at.x, y = ld_axis(axes + pitch + j) - at.y, z = ld_axis(axes + 2 * pitch + j) - at.z;
    const vf d = x * x + y * y + z * z;
    return as_vi(d < (vf)(INFINITY) ? d : (vf)(INFINITY));
}

#if WIDE

/* Leaves the nearest, sorted. A candidate goes where as many others stand in front of it; at equal distance the one
 * with the lower index does. */
INLINE void cut(candidates *l, __local int *sorted)
{
    const int lane = (int)get_local_id(0), kept = min(l->count, l->slots);
    for (int e = lane; e < l->count; e += WG) {
        const int key = l->key[e], item = l->item[e];
        int rank = 0;
        for (int o = 0; o < l->count; o++) rank += l->key[o] < key || (l->key[o] == key && l->item[o] < item);
        if (rank < l->slots) {
            sorted[rank] = key;
            sorted[MOST + rank] = item;
        }
    }
    group_sync();
    for (int e = lane; e < kept; e += WG) {
        l->key[e] = sorted[e];
        l->item[e] = sorted[MOST + e];
    }
    group_sync();
    l->count = kept;
    l->limit = kept < l->slots ? NOTHING : l->key[kept - 1];
}

/* Items append in any order: cut() sorts by index as well. */
INLINE void collect(candidates *l, __global const float *axes, const ulong pitch, const float4 at, const int begin,
                    const int end, __local int *sorted, __local int *count)
{
    for (int first = begin; first < end; first += WG) {
        const int j = first + (int)get_local_id(0);
        const int key = j < end ? keys_from(axes, pitch, at, j) : NOTHING;
        if (get_local_id(0) == 0) *count = l->count;
        group_sync();
        if (key < l->limit) {
            const int e = atomic_inc(count);
            l->key[e] = key;
            l->item[e] = j;
        }
        group_sync();
        l->count = *count;
        group_sync();
        if (l->count + WG > l->slots + SPARE) cut(l, sorted);
    }
    cut(l, sorted);
}

#else

typedef int16 __attribute__((aligned(4))) int16_anywhere;
#define LANES_0_15 ((int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))

/* 1 where a < b, of numbers below 2^31, else 0. Not from a comparison, whose vectors Oclgrind 21.10 takes for 255. */
INLINE uint16 less(const uint16 a, const uint16 b)
{
    return (a - b) >> 31;
}

/* Leaves the nearest, sorted. A candidate goes where as many others stand in front of it; at equal distance those do
 * that came before it, which have the lower index. */
INLINE void cut(candidates *l)
{
    int16 key_lines[ROOM / 16], item_lines[ROOM / 16];
    int *const key = (int *)key_lines, *const item = (int *)item_lines;
    for (int e = l->count; e % 16; e++) l->key[e] = NOTHING;
    for (int b = 0; b < l->count; b += 16) {
        const uint16 mine = as_uint16(*(const int16_anywhere *)(l->key + b));
        uint16 rank = (uint16)(0);
        int place[16];
        for (int o = 0; o < b; o++) rank += less((uint16)((uint)l->key[o]), mine + 1);
        for (int o = 0; o < 16; o++)
            rank += less((uint16)((uint)l->key[b + o]), mine + less((uint16)((uint)o), as_uint16(LANES_0_15)));
        for (int o = b + 16; o < l->count; o++) rank += less((uint16)((uint)l->key[o]), mine);
        *(int16_anywhere *)place = as_int16(rank);
        for (int e = 0; e < 16; e++) {
            key[place[e]] = l->key[b + e];
            item[place[e]] = l->item[b + e];
        }
    }
    l->count = min(l->count, l->slots);
    for (int b = 0; b < l->count; b += 16) {
        *(int16_anywhere *)(l->key + b) = key_lines[b / 16];
        *(int16_anywhere *)(l->item + b) = item_lines[b / 16];
    }
    l->limit = l->count < l->slots ? NOTHING : l->key[l->count - 1];
}

INLINE void collect(candidates *l, __global const float *axes, const ulong pitch, const float4 at, const int begin,
                    const int end)
{
    for (int j = begin; j < end; j += 16) {
        int16 key = keys_from(axes, pitch, at, j);
        if (end - j < 16) key = select(key, (int16)(NOTHING), LANES_0_15 >= (int16)(end - j));
        if (!any(key < (int16)(l->limit))) continue;
        if (l->count + 16 > l->slots + SPARE) cut(l);
        int keys[16];
        *(int16_anywhere *)keys = key;
        for (int e = 0; e < 16; e++) { /* without a jump: each is written, the next one over it unless it counts */
            l->key[l->count] = keys[e];
            l->item[l->count] = j + e;
            l->count += keys[e] < l->limit;
        }
    }
    cut(l);
}

#endif

/* src[i] = the nearest items of i in its segment, i itself left out of the `slots` nearest, then NO_ITEM; count[i] = how many.
 * A group takes `block` items. */
__kernel void neighbours_find(ARG_U32(src), ARG_U32(count), ARG_CONST(axes), ARG_U32_CONST(offset),
                              ARG_U32_CONST(segment), const ulong n, const int slots, const int block)
{
    PTR_U32(src);
    PTR_U32(count);
    PTR_CONST(axes);
    PTR_U32_CONST(offset);
    PTR_U32_CONST(segment);
    const ulong first = get_group_id(0) * (ulong)block, pitch = PITCH(n);
    const int items = (int)min((ulong)block, n - first);
#if WIDE
    __local int key[ROOM], item[ROOM], sorted[2 * MOST], appended;
#else
    int16 key_lines[ROOM / 16], item_lines[ROOM / 16];
    int *const key = (int *)key_lines, *const item = (int *)item_lines;
#endif
    for (int r = 0; r < items; r++) {
        const ulong i = first + (ulong)r;
        const uint s = segment[i];
        const float4 at = (float4)(axes[i], axes[pitch + i], axes[2 * pitch + i], 0.0f);
        candidates l = {key, item, slots, 0, NOTHING};
#if WIDE
        collect(&l, axes, pitch, at, (int)offset[s], (int)offset[s + 1], sorted, &appended);
#else
        collect(&l, axes, pitch, at, (int)offset[s], (int)offset[s + 1]);
#endif
        int self = l.count; /* its place in the list; behind it when there are enough others at the same point */
        for (int e = 0; e < l.count; e++) self = item[e] == (int)i ? e : self;
        for (int e = (int)get_local_id(0); e < slots; e += WG) {
            const int from = e < self ? e : e + 1;
            src[i * (ulong)slots + (ulong)e] = from < l.count ? (uint)item[from] : NO_ITEM;
        }
        if (get_local_id(0) == 0) count[i] = (uint)(l.count - (self < l.count));
        group_sync();
    }
}

/* ---- who is whose neighbour -------------------------------------------------------------------------------------------- */

/* Sum over the items in front of this one; uniform control flow. */
INLINE uint group_before(const uint mine, __local uint *scratch)
{
    uint sum = 0;
    scratch[get_local_id(0)] = mine;
    group_sync();
    for (int o = 0; o < (int)get_local_id(0); o++) sum += scratch[o];
    group_sync();
    return sum;
}

#if WIDE
/* Walks the edges from j that go to an item's share of the segment's items, in rising order. */
#define EDGES_FROM(e, j)                                                                                               \
    const uint begin = offset[segment[j]], end = offset[segment[j] + 1], share = (end - begin + WG - 1) / WG;          \
    const uint t0 = begin + (uint)get_local_id(0) * share, t1 = min(t0 + share, end);                                  \
    for (uint t = t0; t < t1; t++)                                                                                     \
        for (ulong e = (ulong)t * (ulong)slots; e < (ulong)t * (ulong)slots + count[t]; e++)                           \
            if (src[e] == (uint)(j))
#else
/* Walks the edges between the items of segment s, in rising order. */
#define EDGES_OF(e, s)                                                                                                 \
    for (uint t = offset[s]; t < offset[s + 1]; t++)                                                                   \
        for (ulong e = (ulong)t * (ulong)slots; e < (ulong)t * (ulong)slots + count[t]; e++)
#endif

/* edges[j + 1] = number of edges from j. A group per item (wide class) or per segment (cpu class). */
__kernel void neighbours_count(ARG_U32(edges), ARG_U32_CONST(src), ARG_U32_CONST(count), ARG_U32_CONST(offset),
                               ARG_U32_CONST(segment), const int slots)
{
    PTR_U32(edges);
    PTR_U32_CONST(src);
    PTR_U32_CONST(count);
    PTR_U32_CONST(offset);
    PTR_U32_CONST(segment);
    const ulong id = get_group_id(0);
#if WIDE
    __local uint scratch[WG];
    uint n = 0;
    EDGES_FROM(e, id) n++;
    const uint before = group_before(n, scratch);
    if (get_local_id(0) == WG - 1) edges[id + 1] = before + n;
#else
    (void)segment;
    for (uint j = offset[id]; j < offset[id + 1]; j++) edges[j + 1] = 0;
    EDGES_OF(e, id) edges[src[e] + 1]++;
#endif
}

/* edges[j] = sum of the numbers in front of it: where the list of j begins. One group. */
__kernel void neighbours_begin(ARG_U32(edges), const ulong n)
{
    PTR_U32(edges);
    __local uint scratch[WG];
    const ulong share = (n + WG - 1) / WG, first = get_local_id(0) * share, end = min(first + share, n);
    uint sum = 0;
    for (ulong j = first; j < end; j++) sum += edges[j + 1];
    sum = group_before(sum, scratch);
    if (get_local_id(0) == 0) edges[0] = 0;
    for (ulong j = first; j < end; j++) edges[j + 1] = sum += edges[j + 1];
}

/* entry = the edges from item 0, from item 1, .., each list in rising order. `next` (cpu class): scratch of n words. Groups as
 * in neighbours_count. */
__kernel void neighbours_list(ARG_U32(entry), ARG_U32_CONST(edges), ARG_U32(next), ARG_U32_CONST(src),
                              ARG_U32_CONST(count), ARG_U32_CONST(offset), ARG_U32_CONST(segment), const int slots)
{
    PTR_U32(entry);
    PTR_U32_CONST(edges);
    PTR_U32(next);
    PTR_U32_CONST(src);
    PTR_U32_CONST(count);
    PTR_U32_CONST(offset);
    PTR_U32_CONST(segment);
    const ulong id = get_group_id(0);
#if WIDE
    __local uint scratch[WG];
    uint n = 0;
    (void)next;
    {
        EDGES_FROM(e, id) n++;
    }
    uint at = edges[id] + group_before(n, scratch);
    EDGES_FROM(e, id) entry[at++] = (uint)e;
#else
    (void)segment;
    for (uint j = offset[id]; j < offset[id + 1]; j++) next[j] = edges[j];
    EDGES_OF(e, id) entry[next[src[e]]++] = (uint)e;
#endif
}
