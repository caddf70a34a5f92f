#include "neighbours.h"

#include <math.h>
#include <stdlib.h>

typedef struct candidate {
    float distance;
    uint32_t item;
} candidate;

static int by_distance(const void *a, const void *b)
{
    const candidate *p = a, *q = b;

    if (p->distance != q->distance) return p->distance < q->distance ? -1 : 1;
    return p->item < q->item ? -1 : 1;
}

static candidate candidate_of(const float *x, uint32_t i, uint32_t j)
{
    const float dx = x[3 * j] - x[3 * i], dy = x[3 * j + 1] - x[3 * i + 1], dz = x[3 * j + 2] - x[3 * i + 2];
    const float d = dx * dx + dy * dy + dz * dz;

    return (candidate){isfinite(d) ? d : INFINITY, j};
}

void ref_neighbours(uint32_t *src, uint32_t *count, const float *x, const uint32_t *offset, size_t segments, int k)
{
    const uint32_t slots = (uint32_t)k + 1;

    for (size_t s = 0; s < segments; s++) {
        const uint32_t n = offset[s + 1] - offset[s];
        candidate *c = malloc((n ? n : 1) * sizeof *c);
        for (uint32_t i = offset[s]; i < offset[s + 1]; i++) {
            uint32_t m = 0;
            for (uint32_t j = 0; j < n; j++) c[j] = candidate_of(x, i, offset[s] + j);
            qsort(c, n, sizeof *c, by_distance);
            for (uint32_t e = 0; e < n && e < slots; e++)
                if (c[e].item != i) src[i * slots + m++] = c[e].item;
            count[i] = m;
            for (uint32_t e = m; e < slots; e++) src[i * slots + e] = UINT32_MAX;
        }
        free(c);
    }
}

void ref_reverse(uint32_t *rev_offset, uint32_t *rev_edge, const uint32_t *src, size_t n, int slots)
{
    uint32_t edges = 0;

    for (uint32_t j = 0; j < n; j++) {
        rev_offset[j] = edges;
        for (uint32_t e = 0; e < n * (size_t)slots; e++)
            if (src[e] == j) rev_edge[edges++] = e;
    }
    rev_offset[n] = edges;
}
