/* Checked size arithmetic: each returns false on overflow and then leaves *out untouched. */
#ifndef BF_BASE_SIZE_H
#define BF_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool bf_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > UINT64_MAX / b) return false;
    *out = a * b;
    return true;
}

static inline bool bf_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b) return false;
    *out = a + b;
    return true;
}

static inline uint64_t bf_ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}
static inline uint64_t bf_round_up(uint64_t a, uint64_t b)
{
    return bf_ceil_div(a, b) * b;
}

#define BF_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BF_MIN(a, b) ((a) < (b) ? (a) : (b))
#define BF_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
