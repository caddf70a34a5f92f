/* io/canvas.h */
#include "io/canvas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"

static uint8_t *pixel(bf_image *im, int64_t x, int64_t y)
{
    if (x < 0 || y < 0 || x >= im->width || y >= im->height) return NULL;
    return im->pixels + ((uint64_t)y * im->width + (uint64_t)x) * im->channels;
}

bf_status bf_image_new(uint32_t width, uint32_t height, uint32_t channels, const uint8_t *colour, bf_image *out,
                       bf_err *err)
{
    bf_status st = BF_OK;
    *out = (bf_image){.width = width, .height = height, .channels = channels};
    BF_CHECK(width > 0 && height > 0 && width <= BF_IMAGE_MAX_SIDE && height <= BF_IMAGE_MAX_SIDE, BF_USAGE,
             "a picture of %u x %u pixels is too large or empty", width, height);
    BF_NEW(out->pixels, (uint64_t)width * height * channels);
    bf_image_fill(out, 0, 0, width, height, colour);
out:
    return st;
}

void bf_image_fill(bf_image *im, int64_t x, int64_t y, int64_t width, int64_t height, const uint8_t *colour)
{
    for (int64_t i = BF_MAX(y, (int64_t)0); i < BF_MIN(y + height, (int64_t)im->height); i++)
        for (int64_t k = BF_MAX(x, (int64_t)0); k < BF_MIN(x + width, (int64_t)im->width); k++)
            memcpy(pixel(im, k, i), colour, im->channels);
}

void bf_image_paste(bf_image *im, int64_t x, int64_t y, const bf_image *from)
{
    for (uint32_t i = 0; i < from->height; i++)
        for (uint32_t k = 0; k < from->width; k++) {
            const uint8_t *p = from->pixels + ((uint64_t)i * from->width + k) * from->channels;
            uint8_t *to = pixel(im, x + k, y + i);
            for (uint32_t c = 0; to && c < im->channels; c++) to[c] = p[from->channels == 1 ? 0 : c];
        }
}

int64_t bf_image_text(bf_image *im, int64_t x, int64_t y, const char *text, const uint8_t *colour)
{
    const size_t size = strlen(text);
    for (size_t at = 0; at < size; x += BF_FONT_WIDTH) {
        uint32_t code;
        const size_t n = bf_utf8_decode((const unsigned char *)text + at, size - at, &code);
        const uint8_t *rows = bf_font_glyph(n > 0 ? code : 0);
        at += n > 0 ? n : 1;
        for (int i = 0; i < BF_FONT_HEIGHT; i++)
            for (int k = 0; k < BF_FONT_WIDTH; k++) {
                uint8_t *to = rows[i] & 0x80 >> k ? pixel(im, x + k, y + i) : NULL;
                if (to) memcpy(to, colour, im->channels);
            }
    }
    return x;
}

/* Distance of a point from the line. */
static double distance(const double from[2], const double to[2], double x, double y)
{
    const double dx = to[0] - from[0], dy = to[1] - from[1], square = dx * dx + dy * dy;
    double along = square > 0 ? ((x - from[0]) * dx + (y - from[1]) * dy) / square : 0;
    along = fmin(fmax(along, 0), 1);
    return hypot(x - from[0] - along * dx, y - from[1] - along * dy);
}

void bf_image_line(bf_image *im, const double from[2], const double to[2], double width, const uint8_t *colour,
                   double alpha)
{
    const double room = width / 2 + 1;
    if (!isfinite(from[0] + from[1] + to[0] + to[1])) return;
    const int64_t left = (int64_t)fmax(fmin(from[0], to[0]) - room, 0),
                  top = (int64_t)fmax(fmin(from[1], to[1]) - room, 0);
    const int64_t right = (int64_t)fmin(fmax(from[0], to[0]) + room, im->width);
    const int64_t bottom = (int64_t)fmin(fmax(from[1], to[1]) + room, im->height);
    for (int64_t y = top; y <= bottom; y++)
        for (int64_t x = left; x <= right; x++) {
            const double d = distance(from, to, (double)x + 0.5, (double)y + 0.5);
            const double cover = alpha * fmin(fmax(width / 2 + 0.5 - d, 0), 1);
            uint8_t *p = cover > 0 ? pixel(im, x, y) : NULL;
            for (uint32_t c = 0; p && c < im->channels; c++)
                p[c] = (uint8_t)(p[c] + cover * ((double)colour[c] - p[c]) + 0.5);
        }
}
