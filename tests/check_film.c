/* Letters, dots and lines, plots, and films of the sampler. */
#include <gif_lib.h>
#include <math.h>

#include "io/canvas.h"
#include "io/plot.h"
#include "run/film_parts.h"
#include "toy.h"

static int count(const bf_image *im, int value)
{
    int n = 0;
    for (uint32_t i = 0; i < im->width * im->height * im->channels; i++) n += im->pixels[i] == value;
    return n;
}

START_TEST(letters)
{
    static const uint8_t white[3] = {255, 255, 255}, black[3] = {0, 0, 0};
    bf_image im = {0}, one = {0};
    OK(bf_image_new(40, 20, 1, black, &im, err));
    ck_assert_int_eq(count(&im, 0), 800);
    ck_assert_int_eq(bf_image_text(&im, 2, 3, "I", white), 10);
    for (int y = 0; y < BF_FONT_HEIGHT; y++)
        for (int x = 0; x < BF_FONT_WIDTH; x++)
            ck_assert_int_eq(im.pixels[(y + 3) * 40 + x + 2] == 255, bf_font_glyph('I')[y] >> (7 - x) & 1);
    const int lit = count(&im, 255);
    ck_assert_int_gt(lit, 5);
    bf_image_text(&im, -3, -5, "W", white); /* what is outside is left out */
    bf_image_text(&im, 36, 15, "WW", white);
    ck_assert_int_gt(count(&im, 255), lit);
    ck_assert_ptr_eq(bf_font_glyph(0x4e00), bf_font_glyph(7)); /* a box */
    ck_assert_ptr_ne(bf_font_glyph(0xe4), bf_font_glyph(7));
    ck_assert_ptr_ne(bf_font_glyph(0xff), bf_font_glyph(7));
    ck_assert_ptr_ne(bf_font_glyph('~'), bf_font_glyph(7));
    ck_assert_int_eq(bf_image_text(&im, 0, 0, "\xc3\xa4\xff!", white), 24); /* two bytes, one that is wrong, '!' */
    OK(bf_image_new(5, 4, 3, white, &one, err));
    bf_image_paste(&one, 3, 2, &im);
    bf_image_paste(&one, -39, -19, &im);
    ck_assert_int_eq(one.pixels[3 * (2 * 5 + 3)], im.pixels[0]);
    ck_assert_int_eq(one.pixels[2], im.pixels[40 * 20 - 1]);
    bf_image_free(&im);
    bf_image_free(&one);
    FAILS(BF_USAGE, "too large or empty", bf_image_new(0, 1, 1, black, &im, err));
}
END_TEST

START_TEST(dots_and_lines)
{
    static const uint8_t white[3] = {255, 255, 255}, black[3] = {0, 0, 0};
    bf_image im = {0};
    double sum = 0;
    OK(bf_image_new(50, 50, 1, black, &im, err));
    bf_image_line(&im, (double[]){25, 25}, (double[]){25, 25}, 20, white, 1);
    for (int i = 0; i < 2500; i++) sum += im.pixels[i] / 255.0;
    ck_assert_msg(fabs(sum - acos(-1) * 100) < 3, "area %g", sum);
    bf_image_fill(&im, 0, 0, 50, 50, black);
    bf_image_line(&im, (double[]){10, 5.5}, (double[]){40, 5.5}, 1, white, 0.5);
    ck_assert_int_le(abs(im.pixels[5 * 50 + 25] - 128), 1);
    ck_assert_int_eq(im.pixels[4 * 50 + 25], 0);
    ck_assert_int_eq(im.pixels[7 * 50 + 25], 0);
    bf_image_line(&im, (double[]){-1e9, 1e9}, (double[]){1e9, -1e9}, 1, white, 1);
    bf_image_line(&im, (double[]){NAN, 1}, (double[]){1, INFINITY}, 1, white, 1);
    bf_image_free(&im);
}
END_TEST

START_TEST(plots)
{
    static const double line[][2] = {{0, 0}, {1, 1}, {2, 0}}, dots[][2] = {{0.5, 0.25}, {NAN, 1}};
    const bf_plot_layer layer[] = {{.at = dots, .n = 2, .colour = {255, 0, 0}, .width = 9, .alpha = 1},
                                   {.at = line, .n = 3, .line = true, .colour = {0, 0, 255}, .width = 1, .alpha = 1}};
    static const uint8_t shade[] = {0, 3, 3, BF_PLOT_LEVELS - 1, 0, 0};
    const bf_plot p = {.width = 140,
                       .height = 140,
                       .low = {0, 0},
                       .high = {2, 1},
                       .x_label = "x",
                       .y_label = "y",
                       .shade = shade,
                       .shade_rows = 2,
                       .shade_columns = 3,
                       .layer = layer,
                       .layers = 2};
    const char *path = test_path("plot.svg");
    bf_image im = {0};
    size_t size;
    OK(bf_plot_draw(&p, &im, err));
    const uint8_t *dot = im.pixels + 3 * (95 * 140 + 45); /* 20 + 100 * 0.25, 120 - 100 * 0.25 */
    ck_assert(dot[0] == 255 && dot[1] == 0 && dot[2] == 0);
    const uint8_t *cell[] = {im.pixels + 3 * (30 * 140 + 30), im.pixels + 3 * (60 * 140 + 110),
                             im.pixels + 3 * (100 * 140 + 25)};
    ck_assert(cell[0][0] == 255 && cell[1][0] < 255 && cell[2][0] < cell[1][0] && cell[2][2] > cell[2][0]);
    bf_image_free(&im);
    OK(bf_plot_svg(path, &p, err));
    char *text = (char *)test_slurp(path, &size);
    ck_assert_ptr_nonnull(strstr(text, "M53.3 20.0H120.0V70.3H53.3"));
    ck_assert_ptr_nonnull(strstr(text, "M45.0 95.0h0\""));
    ck_assert_ptr_nonnull(strstr(text, "M20.0 120.0L70.0 20.0L120.0 120.0\""));
    free(text);
}
END_TEST

/* Frames of a GIF, and the pixels of the last one laid over the others. */
static int frames_of(const char *path)
{
    int code;
    GifFileType *f = DGifOpenFileName(path, &code);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(DGifSlurp(f), GIF_OK);
    const int n = f->ImageCount;
    DGifCloseFile(f, NULL);
    return n;
}

/* In colours a frame holds only what has changed. */
START_TEST(frames_in_colours)
{
    enum { N = 16 * 8 };
    static const uint8_t colours[3][3] = {{255, 0, 51}, {0, 0, 0}, {255, 255, 255}};
    const char *path = test_path("c.gif");
    uint8_t pixels[N * 3];
    bf_gif *g;
    int code;
    OK(bf_gif_open(path, 16, 8, 3, &g, err));
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < N; i++) memcpy(pixels + 3 * i, colours[k == 1 && i < 40 ? 0 : k], 3);
        OK(bf_gif_frame(g, pixels, 5, err));
    }
    OK(bf_gif_close(g, err));
    GifFileType *f = DGifOpenFileName(path, &code);
    ck_assert_int_eq(DGifSlurp(f), GIF_OK);
    int shown[N];
    for (int k = 0; k < 3; k++) {
        GraphicsControlBlock c;
        ck_assert_int_eq(DGifSavedExtensionToGCB(f, k, &c), GIF_OK);
        ck_assert_int_eq(c.TransparentColor, k == 0 ? NO_TRANSPARENT_COLOR : 255);
        for (int i = 0; i < N; i++) {
            const int at = f->SavedImages[k].RasterBits[i];
            if (at != c.TransparentColor) shown[i] = at;
            ck_assert(k != 1 || (at == 255) == (i < 40));
            const GifColorType rgb = f->SColorMap->Colors[shown[i]];
            ck_assert_int_eq(rgb.Red, colours[k == 1 && i < 40 ? 0 : k][0]);
        }
    }
    DGifCloseFile(f, NULL);
}
END_TEST

START_TEST(moments_are_spread)
{
    for (int calls = 1; calls < 130; calls++)
        for (int moments = 1; moments <= BF_MIN(calls, 60); moments++) {
            int n = 0, before = 0;
            for (int i = 1; i <= calls; i++) {
                if (!bf_film_is_moment(i, calls, moments)) continue;
                ck_assert(n > 0 || i == 1 || moments == 1);
                ck_assert(n == 0 || i - before <= (calls - 1 + moments - 2) / (moments - 1));
                before = i;
                n++;
            }
            ck_assert_int_eq(n, moments);
            ck_assert_int_eq(before, calls);
        }
}
END_TEST

static void film(const char *path, int64_t n, int64_t steps)
{
    bfncl_sample_options s;
    bfncl_sample_result r;
    bfncl_sample_defaults(&s);
    s.model = reference();
    s.n = n;
    s.steps = steps;
    s.out = test_path("s.npy");
    s.animation = path;
    s.device = device();
    OK(bfncl_sample(&s, &r, err));
    bfncl_sample_result_free(&r);
}

START_TEST(films_of_pictures)
{
    char gif[128], png[128];
    bf_image im = {0};
    strcpy(gif, test_path("a.gif"));
    strcpy(png, test_path("a.png"));
    film(gif, 3, 4);
    ck_assert_int_eq(frames_of(gif), 5);
    film(gif, 1, 1);
    ck_assert_int_eq(frames_of(gif), 2);
    film(gif, 1, 130);
    ck_assert_int_eq(frames_of(gif), 60);
    film(png, 2, 20);
    OK(bf_png_read(png, 0, &im, err));
    ck_assert_uint_eq(im.width, 10 * (8 * SIDE + 4));
    bf_image_free(&im);
    film(png, 2, 2);
    OK(bf_png_read(png, 0, &im, err));
    ck_assert_uint_eq(im.width, 3 * (8 * SIDE + 4));
    bf_image_free(&im);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("film");
    TCase *t = tcase_create("film");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, letters);
    tcase_add_test(t, dots_and_lines);
    tcase_add_test(t, plots);
    tcase_add_test(t, frames_in_colours);
    tcase_add_test(t, moments_are_spread);
    tcase_add_test(t, films_of_pictures);
    suite_add_tcase(s, t);
    return test_main(s);
}
