/* Files of samples: pictures, texts and arrays. */
#ifndef BF_RUN_SAMPLE_FILE_H
#define BF_RUN_SAMPLE_FILE_H

#include "io/image.h"
#include "run/model.h"

typedef enum bf_format {
    BF_FORMAT_PNG,
    BF_FORMAT_NPY,
    BF_FORMAT_SAFETENSORS,
    BF_FORMAT_GIF,
    BF_FORMAT_TXT,
    BF_FORMAT_CSV
} bf_format;

/* By the end of the name; BF_USAGE for another. */
bf_status bf_samples_format(const char *path, bf_format *out, bf_err *err);

/* True for a model of texts. */
bool bf_samples_are_text(const bf_model *m);

/* Samples x [n, dims] of a model of pictures as one, in rows of `columns` (0: about as many as there are rows);
 * BF_USAGE for other than 1 or 3 channels. */
bf_status bf_samples_grid(const bf_model *m, const float *x, uint32_t n, uint32_t columns, bf_image *im, bf_err *err);

/* Writes samples x [n, dims]; atomic. */
bf_status bf_samples_png(const bf_model *m, const char *path, const float *x, uint64_t n, uint32_t columns,
                         bf_err *err);
bf_status bf_samples_npy(const bf_model *m, const char *path, float *x, uint64_t n, bf_err *err);
/* Seed and steps go into the metadata. */
bf_status bf_samples_safetensors(const bf_model *m, const char *path, const float *x, uint64_t n, uint64_t seed,
                                 int steps, bf_err *err);
/* One text after the other, each closed by a line end. length [n]: characters that count; NULL: all. */
bf_status bf_samples_txt(const bf_model *m, const char *path, const float *x, const uint32_t *length, uint64_t n,
                         bf_err *err);

/* The texts as UTF-8, closed by NULL; the caller frees each and the list. */
bf_status bf_samples_texts(const bf_model *m, const float *x, const uint32_t *length, uint64_t n, char ***texts,
                           bf_err *err);

#endif
