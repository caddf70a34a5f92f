#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/image.h"

struct bf_gif {
    bf_writer *writer; /* NULL once committed or discarded */
    GifFileType *gif;
    GifByteType *row;
    GifByteType *shown; /* [height, width]: of the frames so far; grey: NULL */
    uint64_t frames;
    uint32_t width, height, channels;
    bf_status write_status; /* of the writer, inside the library's callback */
    bf_err write_err;
};

static int put_bytes(GifFileType *file, const GifByteType *bytes, int n)
{
    bf_gif *g = file->UserData;
    if (g->writer == NULL) return n; /* closing after a failure: nothing is kept */
    if (g->write_status == BF_OK) g->write_status = bf_writer_put(g->writer, bytes, (size_t)n, &g->write_err);
    return g->write_status == BF_OK ? n : 0;
}

/* Colour index = (r * 7 + g) * 6 + b with 6, 7 and 6 levels; grey: the value itself. */
enum { RED = 6, GREEN = 7, BLUE = 6, COLOURS = 256 };
/* No colour: what is there stays. Long runs of it take few bytes. */
enum { SAME = 255 };

static void palette(GifColorType c[COLOURS], uint32_t channels)
{
    memset(c, 0, COLOURS * sizeof *c);
    for (int i = 0; i < COLOURS && channels == 1; i++) c[i].Red = c[i].Green = c[i].Blue = (GifByteType)i;
    for (int i = 0; i < RED * GREEN * BLUE && channels == 3; i++) {
        c[i].Red = (GifByteType)(i / (GREEN * BLUE) * 255 / (RED - 1));
        c[i].Green = (GifByteType)(i / BLUE % GREEN * 255 / (GREEN - 1));
        c[i].Blue = (GifByteType)(i % BLUE * 255 / (BLUE - 1));
    }
}

/* Nearest of `levels` levels after a threshold from the 4x4 Bayer matrix. */
static int dither(int value, int levels, uint32_t x, uint32_t y)
{
    static const int bayer[4][4] = {{0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}};
    int steps = value * (levels - 1) * 16 + (bayer[y % 4][x % 4] * 2 + 1) * 255 / 2;
    return steps / (255 * 16);
}

static void quantise_row(const bf_gif *g, const uint8_t *pixels, uint32_t y, GifByteType *row)
{
    const uint8_t *p = pixels + (size_t)y * g->width * g->channels;
    if (g->channels == 1) {
        memcpy(row, p, g->width);
        return;
    }
    for (uint32_t x = 0; x < g->width; x++, p += 3) {
        int r = dither(p[0], RED, x, y), gr = dither(p[1], GREEN, x, y), b = dither(p[2], BLUE, x, y);
        row[x] = (GifByteType)((r * GREEN + gr) * BLUE + b);
    }
}

static bf_status failed(const bf_gif *g, bf_err *err)
{
    if (g->write_status == BF_OK)
        return bf_fail(err, BF_RUNTIME, "cannot write GIF: %s", GifErrorString(g->gif->Error));
    *err = g->write_err;
    return g->write_status;
}

/* Screen size, palette, "repeat for ever". */
static bool put_head(bf_gif *g)
{
    GifColorType colours[COLOURS];
    palette(colours, g->channels);
    ColorMapObject *map = GifMakeMapObject(COLOURS, colours);
    if (map == NULL) return false;
    EGifSetGifVersion(g->gif, true);
    int code = EGifPutScreenDesc(g->gif, (int)g->width, (int)g->height, 8, 0, map);
    GifFreeMapObject(map);
    return code == GIF_OK && EGifPutExtensionLeader(g->gif, APPLICATION_EXT_FUNC_CODE) == GIF_OK &&
           EGifPutExtensionBlock(g->gif, 11, "NETSCAPE2.0") == GIF_OK &&
           EGifPutExtensionBlock(g->gif, 3, "\1\0\0") == GIF_OK && EGifPutExtensionTrailer(g->gif) == GIF_OK;
}

bf_status bf_gif_open(const char *path, uint32_t width, uint32_t height, uint32_t channels, bf_gif **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_gif *g = NULL;
    int code = 0;
    BF_CHECK(width > 0 && height > 0 && width <= 65535 && height <= 65535 && (channels == 1 || channels == 3), BF_USAGE,
             "%s: a GIF cannot have this size", path);
    BF_NEW(g, 1);
    g->width = width;
    g->height = height;
    g->channels = channels;
    BF_NEW(g->row, width);
    if (channels == 3) BF_NEW(g->shown, (uint64_t)width * height);
    BF_TRY(bf_writer_open(path, &g->writer, err));
    g->gif = EGifOpen(g, put_bytes, &code);
    BF_CHECK(g->gif != NULL, BF_RUNTIME, "%s: cannot start the GIF writer: %s", path, GifErrorString(code));
    if (!put_head(g)) {
        st = failed(g, err);
        goto out;
    }
    *out = g;
    g = NULL;
out:
    bf_gif_discard(g);
    return st;
}

/* Leaves out what is as in the frame before. */
static void only_changes(bf_gif *g, uint32_t y)
{
    GifByteType *shown = g->shown + (size_t)y * g->width;
    for (uint32_t x = 0; x < g->width; x++) {
        const GifByteType now = g->row[x];
        if (g->frames > 0 && now == shown[x]) g->row[x] = SAME;
        shown[x] = now;
    }
}

bf_status bf_gif_frame(bf_gif *g, const uint8_t *pixels, uint32_t centiseconds, bf_err *err)
{
    GraphicsControlBlock control = {DISPOSE_DO_NOT, false, (int)centiseconds,
                                    g->shown && g->frames > 0 ? SAME : NO_TRANSPARENT_COLOR};
    GifByteType bytes[4];
    size_t n = EGifGCBToExtension(&control, bytes);
    if (EGifPutExtension(g->gif, GRAPHICS_EXT_FUNC_CODE, (int)n, bytes) != GIF_OK) return failed(g, err);
    if (EGifPutImageDesc(g->gif, 0, 0, (int)g->width, (int)g->height, false, NULL) != GIF_OK) return failed(g, err);
    for (uint32_t y = 0; y < g->height; y++) {
        quantise_row(g, pixels, y, g->row);
        if (g->shown) only_changes(g, y);
        if (EGifPutLine(g->gif, g->row, (int)g->width) != GIF_OK) return failed(g, err);
    }
    g->frames++;
    return BF_OK;
}

bf_status bf_gif_close(bf_gif *g, bf_err *err)
{
    bf_status st = BF_OK;
    int code = 0;
    int closed = EGifCloseFile(g->gif, &code);
    g->gif = NULL;
    if (g->write_status != BF_OK) {
        *err = g->write_err;
        st = g->write_status;
    } else if (closed != GIF_OK) {
        st = bf_fail(err, BF_RUNTIME, "cannot finish GIF: %s", GifErrorString(code));
    } else {
        st = bf_writer_commit(g->writer, err);
        g->writer = NULL;
    }
    bf_gif_discard(g);
    return st;
}

void bf_gif_discard(bf_gif *g)
{
    if (g == NULL) return;
    bf_writer_discard(g->writer);
    g->writer = NULL;
    if (g->gif != NULL) EGifCloseFile(g->gif, NULL);
    free(g->row);
    free(g->shown);
    free(g);
}
