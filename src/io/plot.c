/* io/plot.h */
#include "io/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clocale.h"
#include "base/file.h"
#include "io/canvas.h"

static const uint8_t white[3] = {255, 255, 255}, grey[3] = {153, 170, 153};

static void to_pixel(const bf_plot *p, const double at[2], double out[2])
{
    const double size[2] = {p->width - 2.0 * BF_PLOT_MARGIN, p->height - 2.0 * BF_PLOT_MARGIN};
    for (int i = 0; i < 2; i++) {
        const double part = (at[i] - p->low[i]) / (p->high[i] - p->low[i]);
        out[i] = BF_PLOT_MARGIN + size[i] * (i == 0 ? part : 1 - part);
    }
}

bf_status bf_plot_draw(const bf_plot *p, bf_image *out, bf_err *err)
{
    bf_status st = BF_OK;
    const double corner[2][2] = {{BF_PLOT_MARGIN, BF_PLOT_MARGIN},
                                 {p->width - BF_PLOT_MARGIN, p->height - BF_PLOT_MARGIN}};
    BF_TRY(bf_image_new(p->width, p->height, 3, white, out, err));
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

static void put_plot(FILE *f, const bf_plot *p)
{
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"none\" stroke-linecap=\"round\" "
            "stroke-linejoin=\"round\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
            "<rect x=\"%d\" y=\"%d\" width=\"%u\" height=\"%u\" stroke=\"#9a9\"/>\n",
            p->width, p->height, p->width, p->height, BF_PLOT_MARGIN, BF_PLOT_MARGIN, p->width - 2 * BF_PLOT_MARGIN,
            p->height - 2 * BF_PLOT_MARGIN);
    for (size_t l = 0; l < p->layers; l++) put_layer(f, p, &p->layer[l]);
    fprintf(f, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\" fill=\"#676\">%s</text>\n", p->width - BF_PLOT_MARGIN,
            p->height - BF_PLOT_MARGIN + 14, p->x_label);
    fprintf(f, "<text x=\"%d\" y=\"%d\" fill=\"#676\">%s</text>\n</svg>\n", BF_PLOT_MARGIN, BF_PLOT_MARGIN - 6,
            p->y_label);
}

bf_status bf_plot_svg(const char *path, const bf_plot *p, bf_err *err)
{
    bf_status st = BF_OK;
    char *text = NULL;
    size_t size = 0;
    bool good;
    FILE *f = open_memstream(&text, &size);
    BF_CHECK(f != NULL, BF_RUNTIME, "%s: out of memory", path);
    bf_clocale l = bf_clocale_begin();
    put_plot(f, p);
    bf_clocale_end(l);
    good = !ferror(f);
    good = fclose(f) == 0 && good;
    BF_CHECK(good, BF_RUNTIME, "%s: out of memory", path);
    BF_TRY(bf_file_write(path, text, size, err));
out:
    free(text);
    return st;
}
