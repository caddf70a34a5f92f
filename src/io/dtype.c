#include "io/dtype.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} types[BF_DTYPE_COUNT] = {
    [BF_F32] = {"F32", 4},   [BF_F64] = {"F64", 8}, [BF_F16] = {"F16", 2}, [BF_BF16] = {"BF16", 2},
    [BF_I64] = {"I64", 8},   [BF_I32] = {"I32", 4}, [BF_I16] = {"I16", 2}, [BF_I8] = {"I8", 1},
    [BF_U64] = {"U64", 8},   [BF_U32] = {"U32", 4}, [BF_U16] = {"U16", 2}, [BF_U8] = {"U8", 1},
    [BF_BOOL] = {"BOOL", 1},
};

size_t bf_dtype_size(bf_dtype type)
{
    return types[type].size;
}

const char *bf_dtype_name(bf_dtype type)
{
    return types[type].name;
}

bool bf_dtype_parse(const char *name, bf_dtype *out)
{
    for (int t = 0; t < BF_DTYPE_COUNT; t++) {
        if (strcmp(types[t].name, name) != 0) continue;
        *out = (bf_dtype)t;
        return true;
    }
    return false;
}

void bf_swap_bytes(void *data, size_t element, size_t count)
{
    uint8_t *p = data;
    for (size_t i = 0; i < count; i++, p += element) {
        for (size_t a = 0, b = element - 1; a < b; a++, b--) {
            uint8_t t = p[a];
            p[a] = p[b];
            p[b] = t;
        }
    }
}

void bf_swap_le(void *data, bf_dtype type, size_t count)
{
    if (!bf_is_little_endian()) bf_swap_bytes(data, types[type].size, count);
}

/* IEEE half: 1 sign, 5 exponent, 10 mantissa bits. */
static float half_to_float(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float magnitude;
    if (exponent == 31) {
        magnitude = mantissa != 0 ? NAN : INFINITY;
    } else if (exponent == 0) {
        magnitude = ldexpf((float)mantissa, -24);
    } else {
        magnitude = ldexpf((float)(1024 + mantissa), exponent - 25);
    }
    return h & 0x8000 ? -magnitude : magnitude;
}

/* bfloat16 is the upper half of a float. */
static float bf16_to_float(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* One loop per type; elements may be unaligned. */
#define CONVERT(ctype, expr)                                                                                           \
    for (size_t i = 0; i < count; i++) {                                                                               \
        ctype v;                                                                                                       \
        memcpy(&v, (const char *)in + i * sizeof v, sizeof v);                                                         \
        out[i] = (expr);                                                                                               \
    }                                                                                                                  \
    break

#define CONVERT_ALL(real)                                                                                              \
    switch (type) {                                                                                                    \
    case BF_F32: CONVERT(float, (real)v);                                                                              \
    case BF_F64: CONVERT(double, (real)v);                                                                             \
    case BF_F16: CONVERT(uint16_t, (real)half_to_float(v));                                                            \
    case BF_BF16: CONVERT(uint16_t, (real)bf16_to_float(v));                                                           \
    case BF_I64: CONVERT(int64_t, (real)v);                                                                            \
    case BF_I32: CONVERT(int32_t, (real)v);                                                                            \
    case BF_I16: CONVERT(int16_t, (real)v);                                                                            \
    case BF_I8: CONVERT(int8_t, (real)v);                                                                              \
    case BF_U64: CONVERT(uint64_t, (real)v);                                                                           \
    case BF_U32: CONVERT(uint32_t, (real)v);                                                                           \
    case BF_U16: CONVERT(uint16_t, (real)v);                                                                           \
    case BF_U8: CONVERT(uint8_t, (real)v);                                                                             \
    case BF_BOOL: CONVERT(uint8_t, (real)(v != 0));                                                                    \
    case BF_DTYPE_COUNT: break;                                                                                        \
    }

void bf_to_f32(const void *in, bf_dtype type, size_t count, float *out)
{
    CONVERT_ALL(float)
}

void bf_to_f64(const void *in, bf_dtype type, size_t count, double *out)
{
    CONVERT_ALL(double)
}
