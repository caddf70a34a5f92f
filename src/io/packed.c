#include "io/packed.h"

#include <string.h>

#include "base/size.h"

bf_packed bf_packed_of(uint64_t items, uint32_t dims)
{
    bf_packed p = {.items = items, .segments = items / 4 + 2, .dims = dims};
    p.weight = items * dims;
    p.segment = p.weight + items;
    p.offset = p.segment + items;
    p.size = p.offset + p.segments + 1;
    return p;
}

bf_packed bf_packed_around(uint64_t items, uint32_t dims, uint64_t given, uint32_t features)
{
    bf_packed p = bf_packed_of(items, dims);
    p.given = given;
    p.features = features;
    p.given_x = p.size;
    p.given_v = p.given_x + given * 3;
    p.node_offset = p.given_v + given * features;
    p.node_segment = p.node_offset + p.segments + 1;
    p.row = p.node_segment + given + items;
    p.node = p.row + given + items;
    p.size = p.node + given + items;
    return p;
}

static void put_word(float *to, uint64_t value)
{
    const uint32_t word = (uint32_t)value;
    memcpy(to, &word, sizeof word);
}

static uint64_t get_word(const float *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

bool bf_packed_fits(const bf_packed *p, const bf_packing *at, uint64_t items, uint64_t given)
{
    return items <= p->items - at->items && given <= p->given - at->given && at->examples + 1 < p->segments;
}

/* `count` nodes of a segment from `node` on are rows from `row` on. */
static void put_nodes(const bf_packed *p, float *block, uint64_t node, uint64_t row, uint64_t count, uint64_t segment)
{
    for (uint64_t i = 0; i < count; i++) {
        put_word(block + p->node_segment + node + i, segment);
        put_word(block + p->row + node + i, row + i);
        put_word(block + p->node + row + i, node + i);
    }
}

float *bf_packed_add_around(const bf_packed *p, bf_packing *at, float *block, uint64_t items, uint64_t given, float **x,
                            float **v)
{
    const uint64_t node = at->given + at->items;
    put_word(block + p->node_offset + at->examples, node);
    put_nodes(p, block, node, at->given, given, at->examples);
    put_nodes(p, block, node + given, p->given + at->items, items, at->examples);
    *x = block + p->given_x + at->given * 3;
    *v = block + p->given_v + at->given * p->features;
    at->given += given;
    return bf_packed_add(p, at, block, items);
}

float *bf_packed_add(const bf_packed *p, bf_packing *at, float *block, uint64_t items)
{
    float *rows = block + p->rows + at->items * p->dims;
    put_word(block + p->offset + at->examples, at->items);
    for (uint64_t i = 0; i < items; i++) put_word(block + p->segment + at->items + i, at->examples);
    at->examples++;
    at->items += items;
    return rows;
}

static void close_nodes(const bf_packed *p, const bf_packing *at, float *block)
{
    const uint64_t node = at->given + at->items, given = p->given - at->given, last = p->segments - 1;
    memset(block + p->given_x + at->given * 3, 0, (size_t)(given * 3) * sizeof *block);
    memset(block + p->given_v + at->given * p->features, 0, (size_t)(given * p->features) * sizeof *block);
    put_nodes(p, block, node, at->given, given, last);
    put_nodes(p, block, node + given, p->given + at->items, p->items - at->items, last);
    for (uint64_t s = at->examples; s < p->segments; s++) put_word(block + p->node_offset + s, node);
    put_word(block + p->node_offset + p->segments, p->given + p->items);
}

void bf_packed_close(const bf_packed *p, const bf_packing *at, float *block)
{
    const uint64_t rest = p->items - at->items;
    memset(block + p->rows + at->items * p->dims, 0, (size_t)(rest * p->dims) * sizeof *block);
    for (uint64_t i = at->items; i < p->items; i++) put_word(block + p->segment + i, p->segments - 1);
    for (uint64_t s = at->examples; s < p->segments; s++) put_word(block + p->offset + s, at->items);
    put_word(block + p->offset + p->segments, p->items);
    bf_packed_weigh(p, block, 1, at->examples);
    if (p->features > 0) close_nodes(p, at, block);
}

void bf_packed_weigh(const bf_packed *p, float *block, uint64_t parts, uint64_t examples)
{
    const uint64_t own = bf_packed_examples(p, block);
    memset(block + p->weight, 0, (size_t)p->items * sizeof *block);
    for (uint64_t e = 0; e < own; e++) {
        const uint64_t first = bf_packed_first(p, block, e), end = bf_packed_first(p, block, e + 1);
        const double share = (double)(parts * p->items) / ((double)examples * (double)(end - first));
        for (uint64_t i = first; i < end; i++) block[p->weight + i] = (float)share;
    }
}

uint64_t bf_packed_examples(const bf_packed *p, const float *block)
{
    const uint64_t end = get_word(block + p->offset + p->segments - 1);
    return end > 0 ? get_word(block + p->segment + end - 1) + 1 : 0;
}

uint64_t bf_packed_first(const bf_packed *p, const float *block, uint64_t example)
{
    return get_word(block + p->offset + example);
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

bf_label_block bf_label_block_of(uint64_t rows, uint64_t items, uint32_t classes)
{
    bf_label_block b = {.items = items, .classes = classes, .label = rows};
    b.offset = b.label + items;
    b.entry = b.offset + classes + 2;
    b.size = b.entry + items;
    return b;
}

void bf_label_block_put(const bf_label_block *b, const uint32_t *label, uint64_t n, float *block)
{
    float *of_item = block + b->label, *offset = block + b->offset, *entry = block + b->entry;
    const uint64_t lists = (uint64_t)b->classes + 1;
    for (uint64_t i = 0; i < b->items; i++) put_word(of_item + i, label[BF_MIN(i, n - 1)]);
    /* How many there are of each; where their lists end; and, filled from behind, where they begin. */
    for (uint64_t k = 0; k <= lists; k++) put_word(offset + k, 0);
    for (uint64_t i = 0; i < b->items; i++) {
        float *count = offset + get_word(of_item + i);
        put_word(count, (uint64_t)get_word(count) + 1);
    }
    for (uint64_t k = 1; k < lists; k++)
        put_word(offset + k, (uint64_t)get_word(offset + k - 1) + get_word(offset + k));
    put_word(offset + lists, b->items);
    for (uint64_t i = b->items; i-- > 0;) {
        float *end = offset + get_word(of_item + i);
        put_word(end, get_word(end) - 1);
        put_word(entry + get_word(end), i);
    }
}
