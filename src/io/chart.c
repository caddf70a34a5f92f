#include "io/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/size.h"

/* The drawing area in a picture of WIDTH x HEIGHT. */
enum { WIDTH = 860, HEIGHT = 480, LEFT = 80, RIGHT = 190, TOP = 50, BOTTOM = 60, MAX_POINTS = 4000, MAX_TICKS = 64 };

static const char *const colours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"};

typedef struct axis {
    bool log;
    double low, high; /* in the units of to_scale */
    double pixel_low, pixel_high;
    double tick[MAX_TICKS]; /* values, not logarithms */
    int ticks;
} axis;

static double to_scale(const axis *a, double v)
{
    return a->log ? log10(v) : v;
}

static double to_pixel(const axis *a, double v)
{
    return a->pixel_low + (to_scale(a, v) - a->low) / (a->high - a->low) * (a->pixel_high - a->pixel_low);
}

static bool drawable(const axis *a, double v)
{
    return isfinite(v) && (!a->log || v > 0);
}

/* 1, 2 or 5 times a power of ten, so that `span` has about `count` of them. */
static double nice_step(double span, int count)
{
    double raw = span / count, power = pow(10, floor(log10(raw))), lead = raw / power;
    return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

static void add_tick(axis *a, double v)
{
    double at = to_scale(a, v), slack = 1e-9 * (a->high - a->low);
    if (a->ticks < MAX_TICKS && at >= a->low - slack && at <= a->high + slack) a->tick[a->ticks++] = v;
}

static void linear_ticks(axis *a, double low, double high)
{
    double step = nice_step(high - low, 6);
    double first = ceil(low / step - 1e-9);
    for (int i = 0; i < MAX_TICKS && (first + i) * step <= high + 1e-9 * step; i++) {
        double v = (first + i) * step;
        if (!a->log || v > 0) add_tick(a, fabs(v) < 1e-9 * step ? 0 : v);
    }
}

/* Powers of ten over many decades, 1-2-5 over few, ordinary steps within one. */
static void set_ticks(axis *a)
{
    double decades = a->high - a->low;
    if (!a->log || decades < 1) {
        linear_ticks(a, a->log ? pow(10, a->low) : a->low, a->log ? pow(10, a->high) : a->high);
        return;
    }
    double stride = decades > 12 ? ceil(decades / 12) : 1;
    for (double d = floor(a->low); d <= a->high; d += stride) {
        add_tick(a, pow(10, d));
        if (decades < 3) {
            add_tick(a, 2 * pow(10, d));
            add_tick(a, 5 * pow(10, d));
        }
    }
}

/* Fits both axes to all points that can be drawn. */
static void set_ranges(const bf_chart *c, axis *x, axis *y)
{
    x->low = y->low = INFINITY;
    x->high = y->high = -INFINITY;
    for (size_t s = 0; s < c->n_series; s++) {
        for (size_t i = 0; i < c->series[s].n; i++) {
            double px = c->series[s].x[i], py = c->series[s].y[i];
            if (!drawable(x, px) || !drawable(y, py)) continue;
            x->low = fmin(x->low, to_scale(x, px)), x->high = fmax(x->high, to_scale(x, px));
            y->low = fmin(y->low, to_scale(y, py)), y->high = fmax(y->high, to_scale(y, py));
        }
    }
    for (int i = 0; i < 2; i++) {
        axis *a = i == 0 ? x : y;
        if (a->low > a->high) a->low = 0, a->high = 1; /* no point at all */
        double span = a->high - a->low, room = span > 0 ? (i == 0 ? 0 : 0.04 * span) : fmax(fabs(a->low) * 0.1, 0.1);
        a->low -= room;
        a->high += room;
        set_ticks(a);
    }
}

static void put_text(FILE *f, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        switch (*text) {
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '&': fputs("&amp;", f); break;
        case '"': fputs("&quot;", f); break;
        default:
            if ((unsigned char)*text >= 32) fputc(*text, f);
        }
    }
}

static void put_label(FILE *f, double x, double y, const char *attributes, const char *text)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    put_text(f, text);
    fputs("</text>\n", f);
}

static void put_axes(FILE *f, const bf_chart *c, const axis *x, const axis *y)
{
    char number[32];
    for (int i = 0; i < x->ticks; i++) {
        double p = to_pixel(x, x->tick[i]);
        fprintf(f, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", p, y->pixel_low, y->pixel_high);
        snprintf(number, sizeof number, "%g", x->tick[i]);
        put_label(f, p, y->pixel_low + 18, "text-anchor=\"middle\"", number);
    }
    for (int i = 0; i < y->ticks; i++) {
        double p = to_pixel(y, y->tick[i]);
        fprintf(f, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", x->pixel_low, p, x->pixel_high);
        snprintf(number, sizeof number, "%g", y->tick[i]);
        put_label(f, x->pixel_low - 8, p + 4, "text-anchor=\"end\"", number);
    }
    fprintf(f, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n", x->pixel_low, y->pixel_high, y->pixel_low,
            x->pixel_high);
    put_label(f, (x->pixel_low + x->pixel_high) / 2, TOP - 20, "text-anchor=\"middle\" font-size=\"16\"", c->title);
    put_label(f, (x->pixel_low + x->pixel_high) / 2, HEIGHT - 14, "text-anchor=\"middle\"", c->x_label);
    fprintf(f, "<g transform=\"rotate(-90 20 %.1f)\">", (y->pixel_low + y->pixel_high) / 2);
    put_label(f, 20, (y->pixel_low + y->pixel_high) / 2, "text-anchor=\"middle\"", c->y_label);
    fputs("</g>\n", f);
}

/* A long series is thinned to MAX_POINTS; a point that cannot be drawn interrupts the line. */
static void put_series(FILE *f, const bf_series *s, size_t index, const axis *x, const axis *y)
{
    const char *colour = colours[index % BF_COUNT(colours)];
    size_t stride = (size_t)bf_ceil_div(BF_MAX(s->n, 1), MAX_POINTS);
    double legend_y = TOP + 10 + 20.0 * (double)index, legend_x = x->pixel_high + 16;
    bool pen_down = false;
    fprintf(f, "<path class=\"line\" stroke=\"%s\" d=\"", colour);
    for (size_t i = 0; i < s->n; i += stride) {
        bool ok = drawable(x, s->x[i]) && drawable(y, s->y[i]);
        if (ok) {
            /* A single point still shows: a line to itself has round ends. */
            double px = to_pixel(x, s->x[i]), py = to_pixel(y, s->y[i]);
            if (!pen_down) fprintf(f, "M%.1f %.1f", px, py);
            fprintf(f, "L%.1f %.1f", px, py);
        }
        pen_down = ok;
    }
    fputs("\"/>\n", f);
    fprintf(f, "<path class=\"line\" stroke=\"%s\" d=\"M%.1f %.1fh18\"/>\n", colour, legend_x, legend_y);
    put_label(f, legend_x + 24, legend_y + 4, "", s->name);
}

static void put_chart(FILE *f, const void *chart)
{
    const bf_chart *c = chart;
    axis x = {.log = c->log_x, .pixel_low = LEFT, .pixel_high = WIDTH - RIGHT};
    axis y = {.log = c->log_y, .pixel_low = HEIGHT - BOTTOM, .pixel_high = TOP};
    set_ranges(c, &x, &y);
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<style>.grid{stroke:#ddd;fill:none}.axis{stroke:#333;fill:none}"
            ".line{fill:none;stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_axes(f, c, &x, &y);
    for (size_t i = 0; i < c->n_series; i++) put_series(f, &c->series[i], i, &x, &y);
    fputs("</svg>\n", f);
}

bf_status bf_chart_write(const char *path, const bf_chart *chart, bf_err *err)
{
    return bf_file_print(path, put_chart, chart, err);
}
