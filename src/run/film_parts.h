/* What the kinds of films (film_*.c) have in common. */
#ifndef BF_RUN_FILM_PARTS_H
#define BF_RUN_FILM_PARTS_H

#include "run/film.h"

typedef struct bf_film_kind {
    const char *formats; /* "gif png": endings */
    uint32_t samples;    /* that are shown at most */
    int strip;           /* moments of a picture that is not a GIF; 0: as many as a GIF has */
    bf_status (*open)(bf_film *f, bf_err *err);
    /* At one of the moments: reads from the sampler what it shows. */
    bf_status (*step)(bf_film *f, bf_sampler *s, double t, bf_err *err);
    /* Writes what was not written at every moment. */
    bf_status (*close)(bf_film *f, bf_err *err);
    void (*free)(bf_film *f);
} bf_film_kind;

extern const bf_film_kind bf_film_pictures, bf_film_texts, bf_film_paths;

struct bf_film {
    const bf_film_kind *kind;
    const bf_model *m;
    const char *path;
    uint32_t batch, n; /* items of a batch, samples that are shown */
    int evaluations;
    int moments, seen; /* how many are shown in all, and have been so far */
    bool last;         /* this one is the last */
    bool animated;     /* a GIF, else a single picture */
    bf_gif *gif;       /* opened with the first frame */
    void *state;       /* of the kind */
};

/* Adds a frame to the GIF. */
bf_status bf_film_frame(bf_film *f, const bf_image *im, bf_err *err);
/* Is call i = 1.. of `calls` one of so many moments? They are spread evenly; the last call is among them, and the first
 * where there are two or more. */
bool bf_film_is_moment(int i, int calls, int moments);
bool bf_film_ends_in(const char *path, const char *ending);

#endif
