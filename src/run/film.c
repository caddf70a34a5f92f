/* run/film.h */
#include "run/film.h"

#include <stdlib.h>

#include "base/size.h"

#define FRAMES 60  /* at most, whatever the number of steps */
#define SAMPLES 64 /* at most, of the first batch */

struct bf_film {
    const bf_model *m;
    const char *path;
    bf_gif *gif; /* opened with the first frame */
    uint32_t n;
    int steps, every;
    float *mean; /* [batch, dims] */
};

bf_status bf_film_open(const bf_model *m, const char *path, uint32_t batch, int steps, bf_film **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_film *f = NULL;
    BF_NEW(f, 1);
    *f = (bf_film){.m = m, .path = path, .steps = steps};
    f->n = BF_MIN(batch, (uint32_t)SAMPLES);
    f->every = (steps + FRAMES - 1) / FRAMES;
    BF_NEW(f->mean, batch * m->dims);
    *out = f;
    f = NULL;
out:
    bf_film_discard(f);
    return st;
}

bf_status bf_film_step(void *film, bf_sampler *s, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    bf_film *f = film;
    bf_image im = {0};
    const bool last = i == f->steps + 1;
    (void)t;
    if (!last && i % f->every != 0) return BF_OK;
    BF_TRY(bf_sampler_get(s, 0, last ? BF_SAMPLER_MODE : BF_SAMPLER_MEAN, f->mean, err));
    BF_TRY(bf_samples_grid(f->m, f->mean, f->n, &im, err));
    if (!f->gif) BF_TRY(bf_gif_open(f->path, im.width, im.height, im.channels, &f->gif, err));
    BF_TRY(bf_gif_frame(f->gif, im.pixels, last ? 200 : 8, err));
out:
    bf_image_free(&im);
    return st;
}

bf_status bf_film_close(bf_film *f, bf_err *err)
{
    bf_status st = BF_OK;
    bf_gif *gif = f->gif;
    f->gif = NULL;
    if (gif) st = bf_gif_close(gif, err);
    bf_film_discard(f);
    return st;
}

void bf_film_discard(bf_film *f)
{
    if (!f) return;
    bf_gif_discard(f->gif);
    free(f->mean);
    free(f);
}
