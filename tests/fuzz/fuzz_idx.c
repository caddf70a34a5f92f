/* Any bytes as an IDX file, plain or compressed. */
#include "fuzz.h"
#include "io/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bf_err err;
    bf_array a;
    if (bf_idx_parse("input", data, size, &a, &err) == BF_OK) {
        FUZZ_CHECK(a.ndim >= 1 && a.ndim <= 4 && a.count / 1033 <= size);
    }
    bf_array_free(&a);
    return 0;
}
