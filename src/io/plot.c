/* io/plot.h */
#include "io/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "io/canvas.h"

static const uint8_t white[3] = {255, 255, 255}, grey[3] = {153, 170, 153};
static const uint8_t darkest[3] = {140, 168, 230}; /* shade */

static void shade_colour(int level, uint8_t out[3])
{
    for (int c = 0; c < 3; c++) out[c] = (uint8_t)(255 - (255 - darkest[c]) * level / (BF_PLOT_LEVELS - 1));
}

static void to_pixel(const bf_plot *p, const double at[2], double out[2])
{
    const double size[2] = {p->width - 2.0 * BF_PLOT_MARGIN, p->height - 2.0 * BF_PLOT_MARGIN};
    for (int i = 0; i < 2; i++) {
        const double part = (at[i] - p->low[i]) / (p->high[i] - p->low[i]);
        out[i] = BF_PLOT_MARGIN + size[i] * (i == 0 ? part : 1 - part);
    }
}

/* The n-th run of cells of one level in a row: where it begins and ends, from column *at on; false: there is no more.
 */
static bool next_run(const bf_plot *p, uint32_t row, uint32_t *at, uint32_t *begin)
{
    const uint8_t *cell = p->shade + (uint64_t)row * p->shade_columns;
    *begin = *at;
    while (*at < p->shade_columns && cell[*at] == cell[*begin]) (*at)++;
    return *begin < p->shade_columns;
}

/* Left, top, right and bottom of the cells begin .. end - 1 of a row. */
static void run_box(const bf_plot *p, uint32_t row, uint32_t begin, uint32_t end, double box[4])
{
    const double w = (p->width - 2.0 * BF_PLOT_MARGIN) / p->shade_columns;
    const double h = (p->height - 2.0 * BF_PLOT_MARGIN) / p->shade_rows;
    box[0] = BF_PLOT_MARGIN + w * begin;
    box[1] = BF_PLOT_MARGIN + h * row;
    box[2] = BF_PLOT_MARGIN + w * end;
    box[3] = box[1] + h;
}

static void draw_shade(const bf_plot *p, bf_image *out)
{
    for (uint32_t row = 0; p->shade && row < p->shade_rows; row++) {
        uint32_t begin;
        double b[4];
        for (uint32_t end = 0; next_run(p, row, &end, &begin);) {
            uint8_t colour[3];
            shade_colour(p->shade[(uint64_t)row * p->shade_columns + begin], colour);
            run_box(p, row, begin, end, b);
            const int64_t x = lround(b[0]), y = lround(b[1]);
            bf_image_fill(out, x, y, lround(b[2]) - x, lround(b[3]) - y, colour);
        }
    }
}

static void put_shade(FILE *f, const bf_plot *p)
{
    for (uint32_t row = 0; p->shade && row < p->shade_rows; row++) {
        uint32_t begin;
        double b[4];
        for (uint32_t end = 0; next_run(p, row, &end, &begin);) {
            const uint8_t level = p->shade[(uint64_t)row * p->shade_columns + begin];
            uint8_t c[3];
            shade_colour(level, c);
            run_box(p, row, begin, end, b);
            if (level > 0)
                fprintf(f, "<path fill=\"#%02x%02x%02x\" d=\"M%.1f %.1fH%.1fV%.1fH%.1f\"/>\n", c[0], c[1], c[2], b[0],
                        b[1], b[2], b[3] + 0.3, b[0]);
        }
    }
}

bf_status bf_plot_draw(const bf_plot *p, bf_image *out, bf_err *err)
{
    bf_status st = BF_OK;
    const double corner[2][2] = {{BF_PLOT_MARGIN, BF_PLOT_MARGIN},
                                 {p->width - BF_PLOT_MARGIN, p->height - BF_PLOT_MARGIN}};
    BF_TRY(bf_image_new(p->width, p->height, 3, white, out, err));
    draw_shade(p, out);
    for (int i = 0; i < 2; i++) {
        const double a[2] = {corner[0][0], corner[i][1]}, b[2] = {corner[1][0], corner[i][1]};
        const double c[2] = {corner[i][0], corner[0][1]}, d[2] = {corner[i][0], corner[1][1]};
        bf_image_line(out, a, b, 1, grey, 1);
        bf_image_line(out, c, d, 1, grey, 1);
    }
    for (size_t l = 0; l < p->layers; l++) {
        const bf_plot_layer *y = &p->layer[l];
        for (size_t i = y->line ? 1 : 0; i < y->n; i++) {
            double from[2], to[2];
            to_pixel(p, y->at[y->line ? i - 1 : i], from);
            to_pixel(p, y->at[i], to);
            bf_image_line(out, from, to, y->width, y->colour, y->alpha);
        }
    }
    (void)bf_image_text(out, (int64_t)p->width - BF_PLOT_MARGIN - BF_FONT_WIDTH * (int64_t)strlen(p->x_label),
                        (int64_t)p->height - BF_PLOT_MARGIN + 4, p->x_label, grey);
    (void)bf_image_text(out, BF_PLOT_MARGIN, BF_PLOT_MARGIN - BF_FONT_HEIGHT - 3, p->y_label, grey);
out:
    return st;
}

/* A dot is a line of no length with round ends. */
static void put_layer(FILE *f, const bf_plot *p, const bf_plot_layer *y)
{
    bool pen_down = false;
    fprintf(f, "<path stroke=\"#%02x%02x%02x\" stroke-width=\"%.1f\" stroke-opacity=\"%.2f\" d=\"", y->colour[0],
            y->colour[1], y->colour[2], y->width, y->alpha);
    for (size_t i = 0; i < y->n; i++) {
        double at[2];
        to_pixel(p, y->at[i], at);
        if (!isfinite(at[0] + at[1])) continue;
        fprintf(f, "%c%.1f %.1f%s", pen_down && y->line ? 'L' : 'M', at[0], at[1], y->line ? "" : "h0");
        pen_down = true;
    }
    fputs("\"/>\n", f);
}

static void put_plot(FILE *f, const void *plot)
{
    const bf_plot *p = plot;
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"none\" stroke-linecap=\"round\" "
            "stroke-linejoin=\"round\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
            "<rect x=\"%d\" y=\"%d\" width=\"%u\" height=\"%u\" stroke=\"#9a9\"/>\n",
            p->width, p->height, p->width, p->height, BF_PLOT_MARGIN, BF_PLOT_MARGIN, p->width - 2 * BF_PLOT_MARGIN,
            p->height - 2 * BF_PLOT_MARGIN);
    put_shade(f, p);
    for (size_t l = 0; l < p->layers; l++) put_layer(f, p, &p->layer[l]);
    fprintf(f, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\" fill=\"#676\">%s</text>\n", p->width - BF_PLOT_MARGIN,
            p->height - BF_PLOT_MARGIN + 14, p->x_label);
    fprintf(f, "<text x=\"%d\" y=\"%d\" fill=\"#676\">%s</text>\n</svg>\n", BF_PLOT_MARGIN, BF_PLOT_MARGIN - 6,
            p->y_label);
}

bf_status bf_plot_svg(const char *path, const bf_plot *p, bf_err *err)
{
    return bf_file_print(path, put_plot, p, err);
}
