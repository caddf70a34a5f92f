/* Pictures: 8 bits per channel, grey or RGB, rows from the top, [height, width, channels]. */
#ifndef BF_IO_IMAGE_H
#define BF_IO_IMAGE_H

#include "base/err.h"
#include "io/npy.h"

#define BF_IMAGE_MAX_SIDE 32768

typedef struct bf_image {
    uint32_t width, height;
    uint32_t channels; /* 1 grey, 3 RGB */
    uint8_t *pixels;   /* owned */
} bf_image;

void bf_image_free(bf_image *im);

/*
 * Any PNG: palette and sub-byte samples are expanded, 16-bit samples keep their upper byte, what is transparent shows
 * white. `channels` 0: as in the file; 1: colours become luminance (0.299 R + 0.587 G + 0.114 B); 3: grey is repeated.
 */
bf_status bf_png_read(const char *path, uint32_t channels, bf_image *out, bf_err *err);
bf_status bf_png_parse(const char *name, const void *data, size_t size, uint32_t channels, bf_image *out, bf_err *err);
/* bf_png_read, and how opaque its pixels are: *opacity [height,width], 0 = transparent; the caller frees it. */
bf_status bf_png_read_opacity(const char *path, uint32_t channels, bf_image *out, uint8_t **opacity, bf_err *err);
/* Atomic. */
bf_status bf_png_write(const char *path, const bf_image *im, bf_err *err);

/*
 * n images [n,h,w,channels] as one picture of `columns` columns, every pixel `scale` x `scale`, with `pad` pixels of
 * middle grey between and around them.
 */
bf_status bf_image_grid(const uint8_t *images, uint32_t n, uint32_t h, uint32_t w, uint32_t channels, uint32_t columns,
                        uint32_t scale, uint32_t pad, bf_image *out, bf_err *err);

/* All *.png of a folder and the folders in it, in the order of their paths (bytewise), all of one size: U8
 * [n,h,w,channels]; channels as in bf_png_read, 0 = 3 when any has colours. Links are followed, and a file that several
 * paths lead to counts once; names that begin with a dot are left out.
 * `size`, height and width: pictures of another are left out, and that is said in the log; 0, 0: all must be alike.
 * `files` (may be NULL) receives the paths [n]; the caller frees each and the list. */
bf_status bf_folder_read(const char *path, uint32_t channels, const uint32_t size[2], bf_array *out, char ***files,
                         bf_err *err);

/* Animated GIF, repeated for ever. All frames have the size and channels of the first call's arguments. Atomic. */
typedef struct bf_gif bf_gif;
bf_status bf_gif_open(const char *path, uint32_t width, uint32_t height, uint32_t channels, bf_gif **out, bf_err *err);
/* Shown for `centiseconds`. Grey is exact, RGB is reduced to 252 colours with ordered dithering. */
bf_status bf_gif_frame(bf_gif *g, const uint8_t *pixels, uint32_t centiseconds, bf_err *err);
/* Frees g in every case. */
bf_status bf_gif_close(bf_gif *g, bf_err *err);
void bf_gif_discard(bf_gif *g);

#endif
