#include "io/packed.h"

#include <string.h>

bf_packed bf_packed_of(uint64_t items, uint32_t dims)
{
    bf_packed p = {.items = items, .segments = items / 4 + 2, .dims = dims};
    p.weight = items * dims;
    p.segment = p.weight + items;
    p.offset = p.segment + items;
    p.size = p.offset + p.segments + 1;
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

bool bf_packed_fits(const bf_packed *p, const bf_packing *at, uint64_t items)
{
    return items <= p->items - at->items && at->examples + 1 < p->segments;
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

void bf_packed_close(const bf_packed *p, const bf_packing *at, float *block)
{
    const uint64_t rest = p->items - at->items;
    memset(block + p->rows + at->items * p->dims, 0, (size_t)(rest * p->dims) * sizeof *block);
    for (uint64_t i = at->items; i < p->items; i++) put_word(block + p->segment + i, p->segments - 1);
    for (uint64_t s = at->examples; s < p->segments; s++) put_word(block + p->offset + s, at->items);
    put_word(block + p->offset + p->segments, p->items);
    bf_packed_weigh(p, block, 1, at->examples);
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
