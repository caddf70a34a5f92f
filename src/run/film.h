/*
 * Films of the sampler at work, of the first samples of the first batch.
 *
 * Pictures: what the network receives (theta), what it expects (mean) and what is drawn, side by side, as a GIF; or as
 * a PNG, a strip with two rows for each sample, theta above mean, and columns over time.
 *
 * Texts: the most likely characters, coloured by their probability; as a PNG with rows over time.
 *
 * Vectors of one or two numbers: the way of theta from the prior to the data, as SVG, PNG or GIF; of one number over
 * time, on the logarithm of the density that theta has when data are sent.
 *
 * Molecules: run/film_mol.h.
 */
#ifndef BF_RUN_FILM_H
#define BF_RUN_FILM_H

#include "run/sample_file.h"

typedef struct bf_film bf_film;

/* Can a film of this model go to `path`? Else BF_USAGE. */
bf_status bf_film_check(const bf_model *m, const char *path, bf_err *err);
/* For runs of `evaluations` network calls with batches of `batch` items, of which the first `n` are shown at most. Both
 * m and path must outlive the film. */
bf_status bf_film_open(const bf_model *m, const char *path, uint32_t batch, uint64_t n, int evaluations, bf_film **out,
                       bf_err *err);
/* bf_sampler_step_fn: `film` is a bf_film *. */
bf_status bf_film_step(void *film, bf_sampler *s, int i, double t, bf_err *err);
/* Writes the file, atomically. Frees the film in every case. */
bf_status bf_film_close(bf_film *f, bf_err *err);
void bf_film_discard(bf_film *f); /* NULL is fine */

#endif
