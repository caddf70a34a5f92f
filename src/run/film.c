/* run/film.h */
#include "run/film_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"

#define FRAMES 60 /* of a GIF at most, whatever the number of steps */
#define FRAME_TIME 8
#define LAST_FRAME_TIME 250 /* centiseconds */

bool bf_film_ends_in(const char *path, const char *ending)
{
    const size_t n = strlen(path), len = strlen(ending);
    return n > len + 1 && path[n - len - 1] == '.' && strcmp(path + n - len, ending) == 0;
}

/* NULL: none. */
static const bf_film_kind *kind_of(const bf_model *m)
{
    if (m->schema || m->packed) return NULL;
    if (bf_samples_are_text(m)) return &bf_film_texts;
    if (m->shape[0] > 1) return m->shape[2] == 1 || m->shape[2] == 3 ? &bf_film_pictures : NULL;
    return m->dims <= 2 && !bf_hybrid_categorical(&m->hybrid) ? &bf_film_paths : NULL;
}

bf_status bf_film_check(const bf_model *m, const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_film_kind *k = kind_of(m);
    BF_CHECK(k, BF_USAGE,
             "%s: a trajectory shows pictures of 1 or 3 channels, texts, molecules and vectors of one or two real "
             "numbers, this model makes %s",
             path, m->schema ? "tables" : "none of them");
    const char *const endings[] = {"gif", "png", "svg"};
    for (size_t i = 0; i < BF_COUNT(endings); i++)
        if (strstr(k->formats, endings[i]) && bf_film_ends_in(path, endings[i])) goto out;
    st = bf_fail(err, BF_USAGE, "%s: a trajectory of this model is a .gif or a .png%s file", path,
                 strstr(k->formats, "svg") ? " or a .svg" : "");
out:
    return st;
}

bf_status bf_film_open(const bf_model *m, const char *path, uint32_t batch, uint64_t n, int evaluations, bf_film **out,
                       bf_err *err)
{
    bf_status st = BF_OK;
    bf_film *f = NULL;
    BF_TRY(bf_film_check(m, path, err));
    BF_NEW(f, 1);
    *f = (bf_film){.kind = kind_of(m), .m = m, .path = path, .batch = batch, .evaluations = evaluations};
    f->n = (uint32_t)BF_MIN(BF_MIN((uint64_t)batch, n), (uint64_t)f->kind->samples);
    f->animated = bf_film_ends_in(path, "gif");
    f->moments = BF_MIN(evaluations, f->animated || !f->kind->strip ? FRAMES : f->kind->strip);
    BF_TRY(f->kind->open(f, err));
    *out = f;
    f = NULL;
out:
    bf_film_discard(f);
    return st;
}

bool bf_film_is_moment(int i, int calls, int moments)
{
    if (i == calls) return true;
    if (moments < 2) return false;
    const int64_t apart = calls - 1, k = ((i - 1) * (int64_t)(moments - 1) + apart - 1) / apart;
    return 1 + apart * k / (moments - 1) == i;
}

bf_status bf_film_step(void *film, bf_sampler *s, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    bf_film *f = film;
    f->last = i == f->evaluations;
    if (!bf_film_is_moment(i, f->evaluations, f->moments)) return BF_OK;
    BF_TRY(f->kind->step(f, s, t, err));
    f->seen++;
out:
    return st;
}

bf_status bf_film_frame(bf_film *f, const bf_image *im, bf_err *err)
{
    bf_status st = BF_OK;
    if (!f->gif) BF_TRY(bf_gif_open(f->path, im->width, im->height, im->channels, &f->gif, err));
    BF_TRY(bf_gif_frame(f->gif, im->pixels, f->last ? LAST_FRAME_TIME : FRAME_TIME, err));
out:
    return st;
}

bf_status bf_film_close(bf_film *f, bf_err *err)
{
    bf_status st = BF_OK;
    f->last = true;
    BF_TRY(f->kind->close(f, err));
    bf_gif *gif = f->gif;
    f->gif = NULL;
    if (gif) st = bf_gif_close(gif, err);
out:
    bf_film_discard(f);
    return st;
}

void bf_film_discard(bf_film *f)
{
    if (!f) return;
    bf_gif_discard(f->gif);
    if (f->state) f->kind->free(f);
    free(f->state);
    free(f);
}
