#include <inttypes.h>
#include <spng.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "io/image.h"
#include "io/kind.h"

enum {
    MAX_PIXELS = 1 << 28,
    MAX_EXPANSION = 1032, /* no deflate stream expands further */
    MAX_CHUNK = 16 << 20, /* ancillary data */
    GRID_GREY = 128
};
static const uint64_t max_file = (uint64_t)1 << 30;

void bf_image_free(bf_image *im)
{
    free(im->pixels);
    *im = (bf_image){0};
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* RGBA -> RGB as it looks on white paper, in place: what colour a transparent pixel has is arbitrary. */
static void on_white(uint8_t *p, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        const unsigned alpha = p[4 * i + 3];
        for (size_t c = 0; c < 3; c++)
            p[3 * i + c] = (uint8_t)((p[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
}

/* RGB -> grey in place, weights in 16-bit fixed point. */
static void to_grey(uint8_t *p, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++)
        p[i] = (uint8_t)((p[3 * i] * 19595u + p[3 * i + 1] * 38470u + p[3 * i + 2] * 7471u + 32768u) >> 16);
}

static bf_status check_header(const char *name, const struct spng_ihdr *h, size_t file_size, bf_err *err)
{
    static const uint8_t samples[] = {[SPNG_COLOR_TYPE_GRAYSCALE] = 1,
                                      [SPNG_COLOR_TYPE_TRUECOLOR] = 3,
                                      [SPNG_COLOR_TYPE_INDEXED] = 1,
                                      [SPNG_COLOR_TYPE_GRAYSCALE_ALPHA] = 2,
                                      [SPNG_COLOR_TYPE_TRUECOLOR_ALPHA] = 4};
    uint64_t bits = (uint64_t)samples[h->color_type] * h->bit_depth * h->width;
    uint64_t bytes = (bf_ceil_div(bits, 8) + 1) * h->height;
    if ((uint64_t)h->width * h->height > MAX_PIXELS) {
        return bf_fail(err, BF_FILE, "%s: %" PRIu32 " x %" PRIu32 " pixels, at most %d are accepted", name, h->width,
                       h->height, MAX_PIXELS);
    }
    if (bytes / MAX_EXPANSION > file_size) {
        return bf_fail(err, BF_FILE, "%s: %" PRIu32 " x %" PRIu32 " pixels cannot come out of %zu bytes", name,
                       h->width, h->height, file_size);
    }
    return BF_OK;
}

/* The decoder does not insist on the complete end mark, so that a cut file could pass. Trailing bytes are allowed. */
static bool has_end_mark(const void *data, size_t size)
{
    static const char mark[] = "\0\0\0\0IEND\xae\x42\x60\x82";
    const size_t n = sizeof mark - 1;
    for (size_t at = size; at >= n; at--) {
        if (memcmp((const char *)data + at - n, mark, n) == 0) return true;
    }
    return false;
}

/* `opacity` (may be NULL) receives [height,width]. */
static bf_status decode(spng_ctx *ctx, const char *name, size_t file_size, uint32_t channels, bf_image *out,
                        uint8_t **opacity, bf_err *err)
{
    bf_status st = BF_OK;
    struct spng_ihdr h;
    uint8_t *pixels = NULL;
    size_t size, n;
    int code = spng_get_ihdr(ctx, &h);
    BF_CHECK(code == 0, BF_FILE, "%s: damaged PNG header: %s", name, spng_strerror(code));
    BF_TRY(check_header(name, &h, file_size, err));
    if (channels == 0) {
        bool is_grey = h.color_type == SPNG_COLOR_TYPE_GRAYSCALE || h.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
        channels = is_grey ? 1 : 3;
    }
    n = (size_t)h.width * h.height;
    /* RGBA is the one format with transparency that the library makes from every kind of PNG. */
    code = spng_decoded_image_size(ctx, SPNG_FMT_RGBA8, &size);
    BF_CHECK(code == 0 && size == 4 * n, BF_FILE, "%s: damaged PNG: %s", name, spng_strerror(code));
    BF_NEW(pixels, size);
    code = spng_decode_image(ctx, pixels, size, SPNG_FMT_RGBA8, SPNG_DECODE_TRNS);
    if (code == 0) code = spng_decode_chunks(ctx); /* the rest of the file */
    BF_CHECK(code == 0, BF_FILE, "%s: damaged PNG: %s", name, spng_strerror(code));
    if (opacity != NULL) BF_NEW(*opacity, n);
    for (size_t i = 0; opacity != NULL && i < n; i++) (*opacity)[i] = pixels[4 * i + 3];
    on_white(pixels, n);
    if (channels == 1) to_grey(pixels, n);
    *out = (bf_image){h.width, h.height, channels, realloc(pixels, n * channels)};
    if (out->pixels == NULL) out->pixels = pixels; /* shrinking failed: the longer block serves as well */
    pixels = NULL;
out:
    free(pixels);
    return st;
}

static bf_status parse(const char *name, const void *data, size_t size, uint32_t channels, bf_image *out,
                       uint8_t **opacity, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kind kind = bf_kind_of_bytes(data, size);
    spng_ctx *ctx = NULL;
    *out = (bf_image){0};
    BF_CHECK(kind == BF_KIND_PNG, BF_FILE, "%s: is %s, expected a PNG picture", name, bf_kind_text(kind));
    BF_CHECK(has_end_mark(data, size), BF_FILE, "%s: damaged PNG: its end is missing", name);
    ctx = spng_ctx_new(0);
    BF_CHECK(ctx != NULL && spng_set_image_limits(ctx, BF_IMAGE_MAX_SIDE, BF_IMAGE_MAX_SIDE) == 0 &&
                 spng_set_chunk_limits(ctx, MAX_CHUNK, MAX_CHUNK) == 0 && spng_set_png_buffer(ctx, data, size) == 0,
             BF_RUNTIME, "%s: cannot start the PNG reader", name);
    BF_TRY(decode(ctx, name, size, channels, out, opacity, err));
out:
    spng_ctx_free(ctx);
    return st;
}

bf_status bf_png_parse(const char *name, const void *data, size_t size, uint32_t channels, bf_image *out, bf_err *err)
{
    return parse(name, data, size, channels, out, NULL, err);
}

static bf_status read_png(const char *path, uint32_t channels, bf_image *out, uint8_t **opacity, bf_err *err)
{
    void *data = NULL;
    size_t size = 0;
    *out = (bf_image){0};
    bf_status st = bf_file_read(path, max_file, &data, &size, err);
    if (st == BF_OK) st = parse(path, data, size, channels, out, opacity, err);
    free(data);
    return st;
}

bf_status bf_png_read(const char *path, uint32_t channels, bf_image *out, bf_err *err)
{
    return read_png(path, channels, out, NULL, err);
}

bf_status bf_png_read_opacity(const char *path, uint32_t channels, bf_image *out, uint8_t **opacity, bf_err *err)
{
    *opacity = NULL;
    bf_status st = read_png(path, channels, out, opacity, err);
    if (st == BF_OK) return BF_OK;
    free(*opacity);
    *opacity = NULL;
    return st;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

bf_status bf_png_write(const char *path, const bf_image *im, bf_err *err)
{
    bf_status st = BF_OK;
    struct spng_ihdr h = {.width = im->width, .height = im->height, .bit_depth = 8};
    size_t bytes = (size_t)im->width * im->height * im->channels, size = 0;
    void *png = NULL;
    int code = 0;
    h.color_type = im->channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR;
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    BF_CHECK(ctx != NULL && spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1) == 0, BF_RUNTIME,
             "%s: cannot start the PNG writer", path);
    code = spng_set_ihdr(ctx, &h);
    if (code == 0) code = spng_encode_image(ctx, im->pixels, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    if (code == 0) png = spng_get_png_buffer(ctx, &size, &code);
    BF_CHECK(code == 0 && png != NULL, BF_RUNTIME, "%s: cannot encode a picture of %" PRIu32 " x %" PRIu32 ": %s", path,
             im->width, im->height, spng_strerror(code));
    BF_TRY(bf_file_write(path, png, size, err));
out:
    free(png);
    spng_ctx_free(ctx);
    return st;
}

bf_status bf_image_grid(const uint8_t *images, uint32_t n, uint32_t h, uint32_t w, uint32_t channels, uint32_t columns,
                        uint32_t scale, uint32_t pad, bf_image *out, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t rows = columns > 0 ? bf_ceil_div(n, columns) : 0;
    uint64_t cell_w = (uint64_t)w * scale + pad, cell_h = (uint64_t)h * scale + pad, width, height;
    *out = (bf_image){0};
    BF_CHECK(n > 0 && h > 0 && w > 0 && columns > 0 && scale > 0 && (channels == 1 || channels == 3), BF_USAGE,
             "picture grid: %" PRIu32 " images of %" PRIu32 " x %" PRIu32 " x %" PRIu32 " in %" PRIu32
             " columns cannot be drawn",
             n, h, w, channels, columns);
    columns = BF_MIN(columns, n);
    width = cell_w * columns + pad;
    height = cell_h * rows + pad;
    BF_CHECK(width <= BF_IMAGE_MAX_SIDE && height <= BF_IMAGE_MAX_SIDE && width * height <= MAX_PIXELS, BF_USAGE,
             "picture grid: %" PRIu64 " x %" PRIu64 " pixels are too many", width, height);
    BF_TRY(bf_calloc(&out->pixels, (size_t)(width * height * channels), 1, err));
    out->width = (uint32_t)width;
    out->height = (uint32_t)height;
    out->channels = channels;
    memset(out->pixels, GRID_GREY, (size_t)(width * height * channels));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t left = pad + cell_w * (i % columns), top = pad + cell_h * (i / columns);
        for (uint64_t y = 0; y < (uint64_t)h * scale; y++) {
            uint8_t *to = out->pixels + ((top + y) * width + left) * channels;
            const uint8_t *from = images + ((uint64_t)i * h + y / scale) * w * channels;
            for (uint64_t x = 0; x < (uint64_t)w * scale; x++) {
                memcpy(to + x * channels, from + x / scale * channels, channels);
            }
        }
    }
out:
    return st;
}
