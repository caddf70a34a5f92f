/* Films of pictures. run/film.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/canvas.h"
#include "run/film_parts.h"
#include "run/sample.h"

enum { PANELS = 3, GAP = 8, CAPTION = BF_FONT_HEIGHT + 4, BAR = 4, MOMENTS = 10, ROWS = 2 };

typedef struct state {
    float *input, *shown; /* what the sampler gives: [batch, dims] of one number, or of classes [batch, dims, K] */
    bf_image strip;       /* the single picture */
} state;

static const uint8_t black[3] = {0, 0, 0}, white[3] = {255, 255, 255}, grey[3] = {64, 64, 64};

static bf_status open(bf_film *f, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = NULL;
    BF_NEW(s, 1);
    f->state = s;
    BF_NEW(s->shown, f->batch * f->m->dims);
out:
    return st;
}

static void release(bf_film *f)
{
    state *s = f->state;
    free(s->input);
    free(s->shown);
    bf_image_free(&s->strip);
}

/* What the network receives becomes numbers like those of samples: of classes theta (of two 2 theta_0 - 1), which
 * stands for the class that is expected. */
static bf_status read_input(bf_film *f, bf_sampler *sampler, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = f->state;
    const bf_group *c = bf_hybrid_categorical(&f->m->hybrid);
    const uint64_t size = bf_sampler_size(sampler, 0, BF_SAMPLER_INPUT), n = f->batch * f->m->dims, k = size / n;
    if (!s->input) BF_NEW(s->input, size);
    BF_TRY(bf_sampler_get(sampler, 0, BF_SAMPLER_INPUT, s->input, err));
    for (uint64_t i = 0; c && i < n; i++) {
        float sum = k == 1 ? (1 - s->input[i]) / 2 : 0;
        for (uint64_t j = 1; j < k; j++) sum += (float)j * s->input[i * k + j];
        s->input[i] = sum;
    }
out:
    return st;
}

/* Panel 0: what the network receives, 1: what it expects, 2: what is drawn, in the end the sample. */
static bf_status read_panel(bf_film *f, bf_sampler *sampler, int panel, const float **out, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = f->state;
    *out = s->shown;
    if (panel == 0) {
        BF_TRY(read_input(f, sampler, err));
        *out = s->input;
    } else if (panel == 1) {
        BF_TRY(bf_sampler_get(sampler, 0, BF_SAMPLER_MEAN, s->shown, err));
    } else {
        BF_TRY(bf_sampler_get(sampler, 0, f->last ? BF_SAMPLER_MODE : BF_SAMPLER_DRAWN, s->shown, err));
    }
out:
    return st;
}

static bf_status frame(bf_film *f, bf_sampler *sampler, double t, bf_err *err)
{
    static const char *const captions[PANELS] = {"theta", "mean", "sample"};
    bf_status st = BF_OK;
    bf_image all = {0}, im = {0};
    for (int i = 0; i < PANELS; i++) {
        const float *x;
        BF_TRY(read_panel(f, sampler, i, &x, err));
        BF_TRY(bf_samples_grid(f->m, x, f->n, 0, &im, err));
        const uint32_t width = PANELS * im.width + (PANELS - 1) * GAP, height = CAPTION + im.height + BAR;
        if (!all.pixels) BF_TRY(bf_image_new(width, height, im.channels, black, &all, err));
        const int64_t x0 = (int64_t)i * (im.width + GAP);
        bf_image_paste(&all, x0, CAPTION, &im);
        bf_image_fill(&all, x0 + im.width, 0, GAP, height, black); /* also what the picture left of it has too much */
        (void)bf_image_text(&all, x0 + 2, 2, captions[i], white);
        bf_image_free(&im);
    }
    bf_image_fill(&all, 0, all.height - BAR + 1, (int64_t)(t * all.width), BAR - 1, white);
    BF_TRY(bf_film_frame(f, &all, err));
out:
    bf_image_free(&im);
    bf_image_free(&all);
    return st;
}

/* Samples of one panel into column f->seen. */
static bf_status paste_column(bf_film *f, const float *x, int row, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = f->state;
    bf_image im = {0};
    for (uint32_t k = 0; k < f->n; k++) {
        BF_TRY(bf_samples_grid(f->m, x + k * f->m->dims, 1, 0, &im, err));
        const uint32_t width = f->moments * im.width, height = CAPTION + f->n * (ROWS * im.height + GAP) - GAP;
        if (!s->strip.pixels) BF_TRY(bf_image_new((uint32_t)width, height, im.channels, grey, &s->strip, err));
        bf_image_paste(&s->strip, (int64_t)f->seen * im.width,
                       CAPTION + (int64_t)k * (ROWS * im.height + GAP) + (int64_t)row * im.height, &im);
        bf_image_free(&im);
    }
out:
    bf_image_free(&im);
    return st;
}

static bf_status step(bf_film *f, bf_sampler *sampler, double t, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = f->state;
    char text[16];
    if (f->animated) return frame(f, sampler, t, err);
    for (int row = 0; row < ROWS; row++) {
        const float *x;
        BF_TRY(read_panel(f, sampler, f->last && row == 1 ? PANELS - 1 : row, &x, err));
        BF_TRY(paste_column(f, x, row, err));
    }
    const uint32_t width = s->strip.width / (uint32_t)f->moments;
    snprintf(text, sizeof text, "%.2f", t);
    if (width >= 5 * BF_FONT_WIDTH || f->seen % 2 == 0) /* narrow: every other one */
        (void)bf_image_text(&s->strip, (int64_t)f->seen * width + 4, 2, text, white);
out:
    return st;
}

static bf_status finish(bf_film *f, bf_err *err)
{
    const state *s = f->state;
    return f->animated || !s->strip.pixels ? BF_OK : bf_png_write(f->path, &s->strip, err);
}

const bf_film_kind bf_film_pictures = {.formats = "gif png",
                                       .samples = 16,
                                       .strip = MOMENTS,
                                       .open = open,
                                       .step = step,
                                       .close = finish,
                                       .free = release};
