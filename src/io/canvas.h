/* Drawing into pictures: letters, dots and lines. Colours are those of the picture: one number (grey) or three. */
#ifndef BF_IO_CANVAS_H
#define BF_IO_CANVAS_H

#include "io/image.h"

enum { BF_FONT_WIDTH = 8, BF_FONT_HEIGHT = 13 };

/* Rows of a character from the top, the leftmost pixel in the highest bit; a box for what the font has not. */
const uint8_t *bf_font_glyph(uint32_t code);

/* All of one colour. */
bf_status bf_image_new(uint32_t width, uint32_t height, uint32_t channels, const uint8_t *colour, bf_image *out,
                       bf_err *err);

/* All of these leave out what is outside the picture. */
void bf_image_fill(bf_image *im, int64_t x, int64_t y, int64_t width, int64_t height, const uint8_t *colour);
/* A picture with its upper left corner at (x, y); grey ones also into colours. */
void bf_image_paste(bf_image *im, int64_t x, int64_t y, const bf_image *from);
/* A text of UTF-8 with its upper left corner at (x, y); returns where the next character would be. */
int64_t bf_image_text(bf_image *im, int64_t x, int64_t y, const char *text, const uint8_t *colour);
/* A line with round ends from (x0, y0) to (x1, y1), pixel (0, 0) being the square 0..1; a dot where they are the same.
 * Smooth edges; `alpha`: 1 covers what is below. */
void bf_image_line(bf_image *im, const double from[2], const double to[2], double width, const uint8_t *colour,
                   double alpha);

#endif
