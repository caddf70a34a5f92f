/* Points and lines in a plane, as SVG or as a picture. */
#ifndef BF_IO_PLOT_H
#define BF_IO_PLOT_H

#include "io/image.h"

typedef struct bf_plot_layer {
    const double (*at)[2]; /* [n] */
    size_t n;
    bool line; /* through all points; else a dot at each */
    uint8_t colour[3];
    double width; /* pixels: of the line, or across a dot */
    double alpha;
} bf_plot_layer;

enum { BF_PLOT_LEVELS = 8 };

typedef struct bf_plot {
    uint32_t width, height;        /* pixels, with a margin of BF_PLOT_MARGIN */
    double low[2], high[2];        /* what the picture shows: from the lower left corner to the upper right one */
    const char *x_label, *y_label; /* ASCII */
    const uint8_t *shade;          /* below everything, [rows, columns] from the upper left corner: 0 white to
                                      BF_PLOT_LEVELS - 1; NULL: white */
    uint32_t shade_rows, shade_columns;
    const bf_plot_layer *layer; /* the first is the lowest */
    size_t layers;
} bf_plot;

enum { BF_PLOT_MARGIN = 20 };

/* RGB; the caller frees. */
bf_status bf_plot_draw(const bf_plot *p, bf_image *out, bf_err *err);
/* Atomic. */
bf_status bf_plot_svg(const char *path, const bf_plot *p, bf_err *err);

#endif
