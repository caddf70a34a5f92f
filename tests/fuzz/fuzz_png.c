/* Any bytes as a PNG picture, in each of the three channel choices. */
#include "fuzz.h"
#include "io/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t channels[] = {0, 1, 3};
    for (int i = 0; i < 3; i++) {
        bf_err err;
        bf_image im;
        if (bf_png_parse("input", data, size, channels[i], &im, &err) == BF_OK) {
            FUZZ_CHECK(im.pixels != NULL && im.width > 0 && im.height > 0);
            FUZZ_CHECK(i == 0 ? im.channels == 1 || im.channels == 3 : im.channels == channels[i]);
        }
        bf_image_free(&im);
    }
    return 0;
}
