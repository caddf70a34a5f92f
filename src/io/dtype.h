/* Element types of tensor files, and their conversion to float. */
#ifndef BF_IO_DTYPE_H
#define BF_IO_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum bf_dtype {
    BF_F32,
    BF_F64,
    BF_F16,
    BF_BF16,
    BF_I64,
    BF_I32,
    BF_I16,
    BF_I8,
    BF_U64,
    BF_U32,
    BF_U16,
    BF_U8,
    BF_BOOL,
    BF_DTYPE_COUNT
} bf_dtype;

#define BF_FILE_DIMS 8

size_t bf_dtype_size(bf_dtype type);      /* bytes of an element */
const char *bf_dtype_name(bf_dtype type); /* as in safetensors: "F32" */
bool bf_dtype_parse(const char *name, bf_dtype *out);

static inline bool bf_is_little_endian(void)
{
    const uint16_t one = 1;
    return *(const unsigned char *)&one == 1;
}
/* Reverses the bytes of each of `count` elements of `element` bytes. */
void bf_swap_bytes(void *data, size_t element, size_t count);
/* Little-endian file order <-> order of this machine, in place; does nothing where they agree. */
void bf_swap_le(void *data, bf_dtype type, size_t count);

/* count elements in this machine's byte order -> float (nearest; F64 and 64-bit integers round), or double. */
void bf_to_f32(const void *in, bf_dtype type, size_t count, float *out);
void bf_to_f64(const void *in, bf_dtype type, size_t count, double *out);

#endif
