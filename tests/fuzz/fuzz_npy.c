/* Any bytes as an NPY array. */
#include "fuzz.h"
#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bf_err err;
    bf_array a;
    if (bf_npy_parse("input", data, size, &a, &err) == BF_OK) {
        FUZZ_CHECK(a.count * bf_dtype_size(a.dtype) < size && a.ndim <= BF_FILE_DIMS);
    }
    bf_array_free(&a);
    return 0;
}
