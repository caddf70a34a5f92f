/* A film of the sampler at work: what the network expects at every step, as an animated GIF. */
#ifndef BF_RUN_FILM_H
#define BF_RUN_FILM_H

#include "run/sample_file.h"

typedef struct bf_film bf_film;

/* For runs of `steps` steps with batches of `batch` items. */
bf_status bf_film_open(const bf_model *m, const char *path, uint32_t batch, int steps, bf_film **out, bf_err *err);
/* bf_sampler_step_fn: `film` is a bf_film *. */
bf_status bf_film_step(void *film, bf_sampler *s, int i, double t, bf_err *err);
/* Writes the file, atomically. Frees the film in every case. */
bf_status bf_film_close(bf_film *f, bf_err *err);
void bf_film_discard(bf_film *f); /* NULL is fine */

#endif
