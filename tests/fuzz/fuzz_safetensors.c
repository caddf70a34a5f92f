/* Any bytes as a safetensors file: opened, every tensor read and converted, every entry of the metadata looked at. */
#include <string.h>

#include "fuzz.h"
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bf_err err;
    bf_st *f;
    size_t total = 0;
    if (bf_st_open_memory("input", data, size, &f, &err) != BF_OK) return 0;
    for (size_t i = 0; i < bf_st_count(f); i++) {
        const bf_st_tensor *t = bf_st_at(f, i);
        FUZZ_CHECK(t->offset + t->bytes <= size && bf_st_find(f, t->name) == t);
        double *values = malloc(t->count * sizeof *values + 1);
        FUZZ_CHECK(values != NULL);
        if (bf_st_read_f64(f, t, values, &err) == BF_OK) total += (size_t)t->count;
        (void)bf_st_read_f32(f, t, (float *)values, &err);
        (void)bf_st_read_i32(f, t, (int32_t *)values, &err);
        (void)bf_st_read_raw(f, t, values, &err);
        free(values);
    }
    for (size_t i = 0; i < bf_st_meta_count(f); i++) {
        bf_st_meta m = bf_st_meta_at(f, i);
        FUZZ_CHECK(strcmp(bf_st_meta_get(f, m.key), m.value) == 0);
    }
    FUZZ_CHECK(total <= size);
    (void)bf_st_verify(f, &err);
    bf_st_close(f);
    return 0;
}
