/*
 * Packed blocks: examples of several items each (molecules and their atoms), one behind the other without padding, as
 * the model's graph takes them (graph.h: ragged batches). A block has a fixed capacity of N items in S segments.
 * Segment i holds the items of example i; what is left of the capacity is the last segment and weighs nothing. A block
 * is floats:
 *
 *   rows     [N, D]   the numbers of every item; 0 behind the last one
 *   weight   [N]      of an item in a mean over all N: the mean over examples of the mean over an example's items
 *   segment  [N]      words (bits of a uint32_t in the place of a float): segment of every item, ascending
 *   offset   [S + 1]  words: where every segment begins; offset[S] = N
 *
 * Examples may have items that are given and no data (the atoms of a pocket around a ligand): P of them, with a place
 * and F features. Nodes are both, example after example, in each the given items first:
 *
 *   given_x      [P, 3], given_v [P, F]     0 behind the last one
 *   node_segment [P + N], node_offset [S + 1]  words, as above, of the nodes
 *   row, node    [P + N]                    words: row of a node (given items first), node of a row
 */
#ifndef BF_IO_PACKED_H
#define BF_IO_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Places in a block, in floats. */
typedef struct bf_packed {
    uint64_t items, segments;
    uint32_t dims; /* D */
    uint64_t given;
    uint32_t features; /* F; 0: there are no nodes */
    uint64_t rows, weight, segment, offset;
    uint64_t given_x, given_v, node_offset, node_segment, row, node;
    uint64_t size;
} bf_packed;

/* For N >= 1 items of `dims` numbers; S = N / 4 + 2. */
bf_packed bf_packed_of(uint64_t items, uint32_t dims);
/* With room for P >= 1 given ones of `features` numbers. */
bf_packed bf_packed_around(uint64_t items, uint32_t dims, uint64_t given, uint32_t features);

/* Examples and items that a block holds so far; all zero: none. */
typedef struct bf_packing {
    uint64_t examples, items, given;
} bf_packing;

bool bf_packed_fits(const bf_packed *p, const bf_packing *at, uint64_t items, uint64_t given);
/* Begins the next example, which fits: its rows [items, D], for the caller to fill. */
float *bf_packed_add(const bf_packed *p, bf_packing *at, float *block, uint64_t items);
/* With given items: their places and features in *x [given, 3] and *v [given, F]. */
float *bf_packed_add_around(const bf_packed *p, bf_packing *at, float *block, uint64_t items, uint64_t given, float **x,
                            float **v);
/* Closes a block: the rest of it. */
void bf_packed_close(const bf_packed *p, const bf_packing *at, float *block);
/* Weights of a closed block that is one of `parts` with `examples` examples in all, over which the mean goes. */
void bf_packed_weigh(const bf_packed *p, float *block, uint64_t parts, uint64_t examples);

/* Of a closed block: examples, and where one begins (that of their number: where the last one ends). */
uint64_t bf_packed_examples(const bf_packed *p, const float *block);
uint64_t bf_packed_first(const bf_packed *p, const float *block, uint64_t example);

/* ---- labels of rows (io/labels.h) -------------------------------------------------------------------------------- */

/* Places, in floats, of what stands behind the rows of a block of N examples: words (bits of a uint32_t in the place of
 * a float). entry[offset[k]] .. entry[offset[k + 1] - 1] are the examples of class k, ascending; the last list is
 * "none". */
typedef struct bf_label_block {
    uint64_t items;
    uint32_t classes;
    uint64_t label;         /* [N] */
    uint64_t offset, entry; /* [classes + 2], [N] */
    uint64_t size;
} bf_label_block;
/* Behind `rows` floats. */
bf_label_block bf_label_block_of(uint64_t rows, uint64_t items, uint32_t classes);
/* label[n], n <= N, which are at most `classes`; the rest of the block gets the last one. */
void bf_label_block_put(const bf_label_block *b, const uint32_t *label, uint64_t n, float *block);

#endif
