/* Films of texts. run/film.h, run/film_text.h */
#include "run/film_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"
#include "io/canvas.h"
#include "run/film_parts.h"

enum { COLUMNS = 64, MARGIN = 8, LINE = BF_FONT_HEIGHT + 2, SAMPLES = 8, MOMENTS = 12, BAR = 4 };
#define VISIBLE_BLANK 0.8
enum { TIME = 6 }; /* columns in front of a line of a single picture */

/* From unlikely to certain, in colours that the palette of a GIF has. */
static const uint8_t ramp[][3] = {{102, 85, 153},  {102, 127, 204}, {51, 170, 204},
                                  {102, 212, 102}, {204, 212, 51},  {255, 255, 255}};
static const double from[] = {0, 0.2, 0.4, 0.6, 0.8, 0.95};
static const char *const legend[] = {"< 20 % ", "< 40 % ", "< 60 % ", "< 80 % ", "< 95 % ", "sure"};
static const uint8_t black[3] = {0, 0, 0}, grey[3] = {153, 127, 153};

typedef struct state {
    bf_text_reader reader;
    char (*character)[5];
    float *probability;
    bf_image all;
} state;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bf_status bf_text_reader_open(bf_text_reader *r, const bf_model *m, uint32_t batch, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_group *c = bf_hybrid_categorical(&m->hybrid);
    r->m = m;
    r->batch = batch;
    BF_TRY(bf_vocabulary_parse(m->config.data.vocabulary, &r->vocabulary, err));
    BF_NEW(r->probability, batch * m->dims * (uint64_t)c->flow.classes);
out:
    return st;
}

void bf_text_reader_free(bf_text_reader *r)
{
    free(r->probability);
}

/* Whatever cannot stand in a line is a blank. */
static void put_character(const bf_vocabulary *v, uint64_t k, char out[5])
{
    uint32_t code;
    const size_t n = bf_vocabulary_put(v, (int64_t)k, out);
    if (bf_utf8_decode((const unsigned char *)out, n > 0 ? n : 1, &code) != n || n == 0 || code < 32 || code == 127 ||
        (code >= 128 && code < 160)) {
        strcpy(out, " ");
        return;
    }
    out[n] = '\0';
}

bf_status bf_text_reader_read(bf_text_reader *r, bf_sampler *s, uint32_t n, char (*character)[5], float *probability,
                              bf_err *err)
{
    bf_status st = BF_OK;
    const uint64_t classes = (uint64_t)bf_hybrid_categorical(&r->m->hybrid)->flow.classes;
    BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_PARAMS, r->probability, err));
    for (uint64_t i = 0; i < n * r->m->dims; i++) {
        const float *p = r->probability + i * classes;
        uint64_t best = 0;
        for (uint64_t k = 1; k < classes; k++)
            if (p[k] > p[best]) best = k;
        probability[i] = p[best];
        put_character(&r->vocabulary, best, character[i]);
    }
out:
    return st;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* Texts are broken into lines of so many characters. */
static uint32_t columns(const bf_film *f)
{
    return (uint32_t)BF_MIN(f->m->dims, (uint64_t)COLUMNS);
}

static uint32_t lines(const bf_film *f)
{
    return (uint32_t)bf_ceil_div(f->m->dims, columns(f));
}

static bf_status open(bf_film *f, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = NULL;
    BF_NEW(s, 1);
    f->state = s;
    BF_NEW(s->character, f->n * f->m->dims);
    BF_NEW(s->probability, f->n * f->m->dims);
    BF_TRY(bf_text_reader_open(&s->reader, f->m, f->batch, err));
    const uint64_t rows = f->animated ? f->n * (lines(f) + 1) : f->n * ((uint64_t)f->moments * lines(f) + 1);
    const uint64_t wide = BF_MAX(columns(f) + (f->animated ? 0 : TIME), 42u) * BF_FONT_WIDTH;
    const uint64_t high = (rows + 1) * LINE + (f->animated ? BAR : 0);
    BF_CHECK(high + 2 * MARGIN <= BF_IMAGE_MAX_SIDE, BF_USAGE,
             "%s: texts of %llu characters are too long for a picture", f->path, (unsigned long long)f->m->dims);
    BF_TRY(bf_image_new((uint32_t)wide + 2 * MARGIN, (uint32_t)high + 2 * MARGIN, 3, black, &s->all, err));
out:
    return st;
}

static void release(bf_film *f)
{
    state *s = f->state;
    bf_text_reader_free(&s->reader);
    bf_image_free(&s->all);
    free(s->character);
    free(s->probability);
}

static const uint8_t *colour_of(double p)
{
    size_t i = BF_COUNT(from) - 1;
    while (i > 0 && !(p >= from[i])) i--;
    return ramp[i];
}

/* Text k, its upper left corner at (x, y). */
static void put_text(bf_film *f, uint32_t k, int64_t x, int64_t y)
{
    state *s = f->state;
    const uint32_t wide = columns(f);
    for (uint64_t i = 0; i < f->m->dims; i++) {
        const uint64_t at = k * f->m->dims + i;
        const char *character = s->character[at];
        const double p = (double)s->probability[at];
        if (character[0] == ' ' && p < VISIBLE_BLANK) character = "\xc2\xb7"; /* else its colour could not be seen */
        (void)bf_image_text(&s->all, x + (int64_t)(i % wide) * BF_FONT_WIDTH, y + (int64_t)(i / wide) * LINE, character,
                            colour_of(p));
    }
}

static void put_legend(bf_image *im, int64_t y)
{
    int64_t x = MARGIN;
    for (size_t i = 0; i < BF_COUNT(legend); i++) x = bf_image_text(im, x, y, legend[i], ramp[i]);
}

static bf_status step(bf_film *f, bf_sampler *sampler, double t, bf_err *err)
{
    bf_status st = BF_OK;
    state *s = f->state;
    bf_image *im = &s->all;
    char text[16];
    BF_TRY(bf_text_reader_read(&s->reader, sampler, f->n, s->character, s->probability, err));
    if (f->animated) bf_image_fill(im, 0, 0, im->width, im->height, black);
    for (uint32_t k = 0; k < f->n; k++) {
        const int64_t moments = f->animated ? 1 : f->moments, moment = f->animated ? 0 : f->seen;
        const int64_t row = k * (moments * lines(f) + 1) + moment * lines(f);
        snprintf(text, sizeof text, "%.2f", t);
        if (!f->animated) (void)bf_image_text(im, MARGIN, MARGIN + row * LINE, text, grey);
        put_text(f, k, MARGIN + (f->animated ? 0 : TIME) * BF_FONT_WIDTH, MARGIN + row * LINE);
    }
    put_legend(im, im->height - MARGIN - LINE - (f->animated ? BAR : 0));
    if (!f->animated) goto out;
    bf_image_fill(im, 0, im->height - BAR + 1, (int64_t)(t * im->width), BAR - 1, ramp[BF_COUNT(ramp) - 1]);
    BF_TRY(bf_film_frame(f, im, err));
out:
    return st;
}

static bf_status finish(bf_film *f, bf_err *err)
{
    const state *s = f->state;
    return f->animated ? BF_OK : bf_png_write(f->path, &s->all, err);
}

const bf_film_kind bf_film_texts = {.formats = "gif png",
                                    .samples = SAMPLES,
                                    .strip = MOMENTS,
                                    .open = open,
                                    .step = step,
                                    .close = finish,
                                    .free = release};
