/* The way of the parameters of vectors of one or two numbers. run/film.h */
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "io/plot.h"
#include "run/film_parts.h"

enum { SAMPLES = 64, PATHS = 10, POINTS = 2000, MOMENTS = 1000, SIDE = 480, LONG_SIDE = 640, SHORT_SIDE = 400 };
enum { SHADE_COLUMNS = 145, SHADE_ROWS = 90, SHADE_POINTS = 300 };
#define SHADE_DECAY 8.0 /* how far the logarithm of a density falls from dark to white */
enum { TRAIL = 6 };     /* moments of a path in the plane that a frame of a GIF shows */

/* Colours that the palette of a GIF has. */
static const uint8_t colours[][3] = {{204, 42, 51},  {51, 85, 204}, {51, 127, 51}, {204, 127, 0},
                                     {153, 42, 153}, {0, 127, 153}, {102, 85, 51}, {204, 42, 153}};
static const uint8_t pale[3] = {153, 170, 204}, dark[3] = {51, 42, 51};

typedef struct state {
    uint64_t points;      /* of the data */
    double (*data)[2];    /* [points] */
    double (*path)[2];    /* [n, moments + 1]: theta, and the sample behind it */
    double (*end)[2];     /* [n]: of the paths so far */
    float *read;          /* [batch, dims] */
    bf_plot_layer *layer; /* [n + 2] */
    uint8_t *shade;       /* of single numbers: [SHADE_ROWS, SHADE_COLUMNS] */
} state;

/* The first points of the training data, where they are at hand: of single numbers at t = 1. */
static bf_status read_data(bf_film *f, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = f->state;
    const bf_config *c = &f->m->config;
    bf_dataset_options o = bf_setup_data(c);
    bf_dataset *ds = NULL;
    float *values = NULL;
    bf_err ignored;
    o.limit = POINTS;
    o.validation = 0;
    if (!c->data.train[0] || bf_dataset_open(c->data.train, &o, &ds, &ignored) != BF_OK) goto out;
    const bf_dataset_info info = bf_dataset_get_info(ds);
    if (info.dims != f->m->dims || !info.values) goto out;
    BF_NEW(values, info.count * info.dims);
    BF_NEW(s->data, info.count);
    const bf_rows rows = {.values = values};
    BF_TRY(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, 0, (uint32_t)info.count, 0, &rows, err));
    s->points = info.count;
    for (uint64_t i = 0; i < s->points; i++) {
        s->data[i][0] = info.dims == 2 ? (double)values[2 * i] : 1;
        s->data[i][1] = (double)values[info.dims * i + info.dims - 1];
    }
out:
    free(values);
    bf_dataset_free(ds);
    return st;
}

static bf_status open(bf_film *f, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = NULL;
    BF_NEW(s, 1);
    f->state = s;
    if (!f->animated) f->n = BF_MIN(f->n, (uint32_t)PATHS);
    BF_NEW(s->path, (uint64_t)f->n * ((uint64_t)f->moments + 1));
    BF_NEW(s->end, f->n);
    BF_NEW(s->read, f->batch * f->m->dims);
    BF_NEW(s->layer, f->n + 2);
    BF_TRY(read_data(f, err));
out:
    return st;
}

static void release(bf_film *f)
{
    state *s = f->state;
    free(s->data);
    free(s->path);
    free(s->end);
    free(s->read);
    free(s->layer);
    free(s->shade);
}

static void keep(bf_film *f, int place, double t)
{
    state *s = f->state;
    const uint64_t dims = f->m->dims;
    for (uint32_t k = 0; k < f->n; k++) {
        double *to = s->path[(uint64_t)k * ((uint64_t)f->moments + 1) + (uint64_t)place];
        to[0] = dims == 2 ? (double)s->read[2 * k] : t;
        to[1] = (double)s->read[dims * k + dims - 1];
    }
}

static bf_status step(bf_film *f, bf_sampler *sampler, double t, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = f->state;
    BF_TRY(bf_sampler_get(sampler, 0, BF_SAMPLER_INPUT, s->read, err));
    keep(f, f->seen, t);
    if (!f->last) goto out;
    BF_TRY(bf_sampler_get(sampler, 0, BF_SAMPLER_MODE, s->read, err));
    keep(f, f->seen + 1, 1);
out:
    return st;
}

static void widen(bf_plot *p, double (*at)[2], uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        for (int c = 0; c < 2; c++) {
            if (!isfinite(at[i][c])) continue;
            p->low[c] = fmin(p->low[c], at[i][c]);
            p->high[c] = fmax(p->high[c], at[i][c]);
        }
}

/* Everything that will be seen, the same for all frames; two numbers share one scale. */
static void fit(const bf_film *f, bf_plot *p)
{
    const state *s = f->state;
    for (int c = 0; c < 2; c++) {
        p->low[c] = HUGE_VAL;
        p->high[c] = -HUGE_VAL;
    }
    widen(p, s->data, s->points);
    widen(p, s->path, (uint64_t)f->n * ((uint64_t)f->moments + 1));
    const double span = fmax(p->high[0] - p->low[0], p->high[1] - p->low[1]);
    for (int c = 0; c < 2; c++) {
        const double own = p->high[c] - p->low[c], wide = f->m->dims == 2 ? span : own;
        const double room = (wide - own) / 2 + (c == 1 || f->m->dims == 2 ? 0.03 : 0.01) * (wide > 0 ? wide : 1);
        p->low[c] -= room;
        p->high[c] += room;
    }
}

/* Density of theta at time t when a point of the data is in the message (spec 2.2): the mean over the points of normal
 * densities with mean gamma x and variance gamma (1 - gamma), gamma = 1 - sigma1^(2 t). */
static double density(const bf_film *f, double t, double theta)
{
    const state *s = f->state;
    const double gamma = 1 - pow(f->m->hybrid.group[0].flow.min_variance, t), variance = gamma * (1 - gamma);
    const uint64_t n = BF_MIN(s->points, (uint64_t)SHADE_POINTS);
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        const double d = theta - gamma * s->data[i][1];
        sum += exp(-0.5 * d * d / variance) / sqrt(variance);
    }
    return sum / (double)n;
}

/* Its logarithm as shades, at every time as far below its largest. */
static bf_status shade(bf_film *f, bf_plot *p, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = f->state;
    if (f->m->dims != 1 || s->points == 0) goto out;
    BF_NEW(s->shade, SHADE_ROWS * SHADE_COLUMNS);
    for (uint32_t c = 0; c < SHADE_COLUMNS; c++) {
        const double t = p->low[0] + (p->high[0] - p->low[0]) * (c + 0.5) / SHADE_COLUMNS;
        double of[SHADE_ROWS], most = 0;
        for (uint32_t r = 0; r < SHADE_ROWS && t > 0; r++) {
            of[r] = density(f, fmin(t, 1), p->high[1] - (p->high[1] - p->low[1]) * (r + 0.5) / SHADE_ROWS);
            most = fmax(most, of[r]);
        }
        for (uint32_t r = 0; r < SHADE_ROWS && most > 0; r++) {
            const double part = 1 + log(of[r] / most) / SHADE_DECAY; /* -infinity: white */
            s->shade[r * SHADE_COLUMNS + c] = (uint8_t)(part > 0 ? fmin(part * BF_PLOT_LEVELS, BF_PLOT_LEVELS - 1) : 0);
        }
    }
    p->shade = s->shade;
    p->shade_rows = SHADE_ROWS;
    p->shade_columns = SHADE_COLUMNS;
out:
    return st;
}

/* The paths up to and with place `seen`. */
static void layers(bf_film *f, int seen, bf_plot *p)
{
    state *s = f->state;
    size_t n = 0;
    s->layer[n++] = (bf_plot_layer){.at = (const double(*)[2])s->data,
                                    .n = (size_t)s->points,
                                    .colour = {pale[0], pale[1], pale[2]},
                                    .width = 3,
                                    .alpha = 1};
    for (uint32_t k = 0; k < f->n; k++) {
        const uint8_t *c = colours[k % BF_COUNT(colours)];
        const double(*path)[2] = (const double(*)[2])s->path + (uint64_t)k * ((uint64_t)f->moments + 1);
        const int first = f->animated && f->m->dims == 2 ? BF_MAX(seen - TRAIL, 0) : 0;
        s->layer[n++] = (bf_plot_layer){.at = path + first,
                                        .n = (size_t)(seen - first) + 1,
                                        .line = true,
                                        .colour = {c[0], c[1], c[2]},
                                        .width = 1,
                                        .alpha = f->animated ? 1 : 0.7};
        for (int i = 0; i < 2; i++) s->end[k][i] = path[seen][i];
    }
    s->layer[n++] = (bf_plot_layer){
        .at = (const double(*)[2])s->end, .n = f->n, .colour = {dark[0], dark[1], dark[2]}, .width = 5, .alpha = 1};
    p->layer = s->layer;
    p->layers = n;
}

static bf_status finish(bf_film *f, bf_err *err)
{
    bf_status st = BF_OK;
    const bool plane = f->m->dims == 2;
    bf_image im = {0};
    bf_plot p = {.width = plane ? SIDE : LONG_SIDE,
                 .height = plane ? SIDE : SHORT_SIDE,
                 .x_label = plane ? "" : "t",
                 .y_label = plane ? "theta from the prior to the data" : "theta"};
    if (f->seen == 0) goto out;
    fit(f, &p);
    BF_TRY(shade(f, &p, err));
    for (int seen = f->animated ? 0 : f->seen; seen <= f->seen; seen++) {
        layers(f, seen, &p);
        f->last = seen == f->seen;
        if (bf_film_ends_in(f->path, "svg")) {
            BF_TRY(bf_plot_svg(f->path, &p, err));
            goto out;
        }
        BF_TRY(bf_plot_draw(&p, &im, err));
        BF_TRY(f->animated ? bf_film_frame(f, &im, err) : bf_png_write(f->path, &im, err));
        bf_image_free(&im);
    }
out:
    bf_image_free(&im);
    return st;
}

const bf_film_kind bf_film_paths = {.formats = "gif png svg",
                                    .samples = SAMPLES,
                                    .strip = MOMENTS,
                                    .open = open,
                                    .step = step,
                                    .close = finish,
                                    .free = release};
