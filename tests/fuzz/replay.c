/* main() for a fuzz target without a fuzzing engine: runs it on every file given, and on every prefix of small ones. */
#include <string.h>

#include "base/file.h"
#include "fuzz.h"

enum { SMALL = 4096 };

/* The input as a block of exactly its size, so that sanitizers see a read beyond it. */
static void feed(const void *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bf_err err;
        void *data;
        size_t size;
        if (bf_file_read(argv[i], 1 << 28, &data, &size, &err) != BF_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        feed(data, size);
        for (size_t n = 0; n < size && size <= SMALL; n++) feed(data, n);
        free(data);
    }
    printf("%s: %d inputs\n", argv[0], argc - 1);
    return argc > 1 ? 0 : 1;
}
