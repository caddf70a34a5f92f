/* NPY, IDX, PNG, folders of pictures, GIF, charts, file kinds. */
#include <gif_lib.h>
#include <spng.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/size.h"
#include "files.h"
#include "io/chart.h"
#include "io/idx.h"
#include "io/image.h"
#include "io/kind.h"
#include "io/npy.h"

/* ---- NPY ------------------------------------------------------------------------------------------------------- */

static bf_status parse_npy(const void *data, size_t size, bf_err *err)
{
    bf_array a;
    bf_status st = bf_npy_parse("x.file", data, size, &a, err);
    bf_array_free(&a);
    return st;
}

START_TEST(npy_round_trip)
{
    static const struct {
        bf_dtype type;
        int ndim;
        uint64_t dims[3];
    } cases[] = {
        {BF_F32, 3, {2, 3, 4}}, {BF_U8, 1, {5}},     {BF_I32, 2, {1, 7}},
        {BF_I64, 0, {0}},       {BF_F64, 2, {0, 3}}, {BF_F16, 1, {3}},
    };
    static unsigned char bytes[24 * 8];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(37 * i + 11);
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        bf_array a = {.dtype = cases[i].type, .ndim = cases[i].ndim, .count = 1, .data = bytes}, b;
        for (int d = 0; d < a.ndim; d++) a.count *= a.dims[d] = cases[i].dims[d];
        OK(bf_npy_write(test_path("a.npy"), &a, err));
        OK(bf_npy_read(test_path("a.npy"), &b, err));
        ck_assert(b.dtype == a.dtype && b.ndim == a.ndim && b.count == a.count);
        ck_assert_mem_eq(a.dims, b.dims, sizeof a.dims[0] * (size_t)a.ndim);
        ck_assert_mem_eq(b.data, bytes, (size_t)a.count * bf_dtype_size(a.dtype));
        bf_array_free(&b);
        size_t size;
        unsigned char *p = test_slurp(test_path("a.npy"), &size);
        ck_assert_uint_eq((size - a.count * bf_dtype_size(a.dtype)) % 64, 0);
        free(p);
    }
    const bf_array odd = {.dtype = BF_BF16, .ndim = 1, .dims = {1}, .count = 1, .data = bytes};
    FAILS(BF_RUNTIME, "BF16", bf_npy_write(test_path("b.npy"), &odd, err));
}
END_TEST

/* magic, version, header, data; the caller frees. */
static unsigned char *compose_npy(int version, const char *header, const void *data, size_t n, size_t *size)
{
    size_t length = strlen(header), prefix = version == 1 ? 10 : 12;
    unsigned char *p = calloc(prefix + length + n + 1, 1);
    ck_assert_ptr_nonnull(p);
    memcpy(p, "\x93NUMPY", 6);
    p[6] = (unsigned char)version;
    p[8] = (unsigned char)(length & 255);
    p[9] = (unsigned char)(length >> 8);
    memcpy(p + prefix, header, length);
    if (n > 0) memcpy(p + prefix + length, data, n);
    *size = prefix + length + n;
    return p;
}

START_TEST(npy_headers)
{
    static const struct {
        const char *header, *message; /* NULL: accepted */
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }   \n", NULL},
        {"{\"shape\":(2),\"fortran_order\":False,\"descr\":\"<i4\"}", NULL},
        {"{'descr': '>u2', 'fortran_order': False, 'shape': (2, 2)}", NULL},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}", "Fortran"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "numeric"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "simple"},
        {"{'descr': '<f4', 'fortran_order': False}", "before the end"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "once"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "do not take"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "dimension"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "2^64"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387906,)}", "do not take"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "2^64"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}", "8 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "before this"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", "behind"},
        {"", "\"{\""},
    };
    for (int version = 1; version <= 3; version++) {
        for (size_t i = 0; i < BF_COUNT(cases); i++) {
            size_t size;
            bf_err e = {0};
            unsigned char *p = compose_npy(version, cases[i].header, "\1\2\3\4\5\6\7\10", 8, &size);
            bf_status st = parse_npy(p, size, &e);
            bool good = cases[i].message == NULL ? st == BF_OK : st == BF_FILE && strstr(e.message, cases[i].message);
            ck_assert_msg(good, "%s: status %d: %s", cases[i].header, st, e.message);
            free(p);
        }
    }
    size_t size;
    unsigned char *p = compose_npy(4, cases[0].header, "\1\2\3\4\5\6\7\10", 8, &size);
    FAILS(BF_FILE, "version 4", parse_npy(p, size, err));
    free(p);
    /* Big-endian elements arrive in this machine's order. */
    bf_array a;
    p = compose_npy(1, "{'descr': '>i4', 'fortran_order': False, 'shape': (2,)}", "\0\0\1\2\xff\xff\xff\xfe", 8, &size);
    OK(bf_npy_parse("big", p, size, &a, err));
    ck_assert_int_eq(((int32_t *)a.data)[0], 258);
    ck_assert_int_eq(((int32_t *)a.data)[1], -2);
    bf_array_free(&a);
    free(p);
}
END_TEST

START_TEST(npy_damage)
{
    size_t size;
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    const bf_array a = {.dtype = BF_F32, .ndim = 2, .dims = {2, 3}, .count = 6, .data = (void *)x};
    OK(bf_npy_write(test_path("a.npy"), &a, err));
    unsigned char *p = test_slurp(test_path("a.npy"), &size);
    OK(parse_npy(p, size, err));
    test_truncations(parse_npy, p, size);
    test_flips(parse_npy, p, size);
    free(p);
}
END_TEST

/* ---- IDX ------------------------------------------------------------------------------------------------------- */

static bf_status parse_idx(const void *data, size_t size, bf_err *err)
{
    bf_array a;
    bf_status st = bf_idx_parse("x.file", data, size, &a, err);
    bf_array_free(&a);
    return st;
}

static const unsigned char idx[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,  0,  0,
                                    0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

/* gzip of n bytes; the caller frees. */
static unsigned char *gzip(const void *data, size_t n, size_t *size)
{
    z_stream z = {0};
    unsigned char *p = malloc(n + 1000);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)data;
    z.avail_in = (uInt)n;
    z.next_out = p;
    z.avail_out = (uInt)(n + 1000);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    *size = z.total_out;
    deflateEnd(&z);
    return p;
}

static void expect_idx(const bf_array *a)
{
    ck_assert(a->dtype == BF_U8 && a->ndim == 3 && a->dims[0] == 2 && a->dims[1] == 2 && a->dims[2] == 3);
    ck_assert_mem_eq(a->data, idx + 16, 12);
}

START_TEST(idx_plain_and_compressed)
{
    bf_array a;
    size_t size;
    test_spill(test_path("images"), idx, sizeof idx);
    OK(bf_idx_read(test_path("images"), &a, err));
    expect_idx(&a);
    bf_array_free(&a);
    unsigned char *z = gzip(idx, sizeof idx, &size);
    test_spill(test_path("images.gz"), z, size);
    OK(bf_idx_read(test_path("images.gz"), &a, err));
    expect_idx(&a);
    bf_array_free(&a);
    test_truncations(parse_idx, idx, sizeof idx);
    test_flips(parse_idx, idx, sizeof idx);
    test_truncations(parse_idx, z, size);
    test_flips(parse_idx, z, size);
    free(z);
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9};
    OK(bf_idx_parse("labels", labels, sizeof labels, &a, err));
    ck_assert(a.ndim == 1 && a.count == 3 && ((unsigned char *)a.data)[2] == 9);
    bf_array_free(&a);
}
END_TEST

START_TEST(idx_refusals)
{
    unsigned char p[sizeof idx + 1];
    size_t size;
    memcpy(p, idx, sizeof idx);
    p[sizeof idx] = 0;
    FAILS(BF_FILE, "12 elements expected, 13 bytes", parse_idx(p, sizeof p, err));
    p[2] = 0x0d;
    FAILS(BF_FILE, "0x0d", parse_idx(p, sizeof idx, err));
    FAILS(BF_FILE, "expected an IDX", parse_idx("hello, world", 12, err));
    FAILS(BF_FILE, "empty", parse_idx("", 0, err));
    /* A small compressed file that claims gigabytes is refused before anything is allocated. */
    memcpy(p, idx, sizeof idx);
    p[4] = p[8] = p[12] = 0x70;
    unsigned char *z = gzip(p, sizeof idx, &size);
    FAILS(BF_FILE, "2^64", parse_idx(z, size, err));
    free(z);
    p[12] = 0;
    z = gzip(p, sizeof idx, &size);
    FAILS(BF_FILE, "cannot come out", parse_idx(z, size, err));
    free(z);
    memcpy(p, idx, sizeof idx);
    z = gzip(p, sizeof p, &size); /* one byte too many inside */
    FAILS(BF_FILE, "more data", parse_idx(z, size, err));
    free(z);
    z = gzip(idx, sizeof idx, &size);
    z[size] = 0; /* one byte too many behind */
    FAILS(BF_FILE, "at its end", parse_idx(z, size + 1, err));
    z[size - 8] ^= 1; /* gzip's own CRC */
    FAILS(BF_FILE, "damaged", parse_idx(z, size, err));
    free(z);
}
END_TEST

/* ---- PNG ------------------------------------------------------------------------------------------------------- */

static bf_status parse_png(const void *data, size_t size, bf_err *err)
{
    bf_image im;
    bf_status st = bf_png_parse("x.file", data, size, 0, &im, err);
    bf_image_free(&im);
    return st;
}

START_TEST(png_round_trip)
{
    static uint8_t pixels[7 * 5 * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 29);
    for (uint32_t channels = 1; channels <= 3; channels += 2) {
        bf_image im = {7, 5, channels, pixels}, got;
        size_t size;
        OK(bf_png_write(test_path("a.png"), &im, err));
        OK(bf_png_read(test_path("a.png"), 0, &got, err));
        ck_assert(got.width == 7 && got.height == 5 && got.channels == channels);
        ck_assert_mem_eq(got.pixels, pixels, 35 * channels);
        bf_image_free(&got);
        OK(bf_png_read(test_path("a.png"), 4 - channels, &got, err)); /* grey <-> RGB */
        ck_assert_uint_eq(got.channels, 4 - channels);
        if (channels == 1) ck_assert(got.pixels[6] == pixels[2] && got.pixels[7] == pixels[2]);
        if (channels == 3) {
            double grey = 0.299 * pixels[3] + 0.587 * pixels[4] + 0.114 * pixels[5];
            ck_assert(got.pixels[1] >= grey - 1 && got.pixels[1] <= grey + 1);
        }
        bf_image_free(&got);
        unsigned char *p = test_slurp(test_path("a.png"), &size);
        test_truncations(parse_png, p, size);
        test_flips(parse_png, p, size);
        free(p);
    }
}
END_TEST

/* Encodes raw samples of any PNG type; the caller frees. */
static void *encode(uint8_t type, uint8_t depth, uint32_t w, uint32_t h, const void *raw, size_t n, size_t *size)
{
    struct spng_ihdr ihdr = {.width = w, .height = h, .bit_depth = depth, .color_type = type};
    struct spng_plte plte = {.n_entries = 2, .entries = {{10, 20, 30, 0}, {40, 50, 60, 0}}};
    struct spng_trns trns = {.n_type3_entries = 1}; /* the first colour of the palette is transparent */
    int code;
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    ck_assert_int_eq(spng_set_ihdr(ctx, &ihdr), 0);
    if (type == SPNG_COLOR_TYPE_INDEXED) ck_assert(spng_set_plte(ctx, &plte) == 0 && spng_set_trns(ctx, &trns) == 0);
    ck_assert_int_eq(spng_encode_image(ctx, raw, n, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
    void *png = spng_get_png_buffer(ctx, size, &code);
    ck_assert_ptr_nonnull(png);
    spng_ctx_free(ctx);
    return png;
}

START_TEST(png_types)
{
    static const uint16_t wide[2] = {0x1234, 0xfedc}; /* 16-bit samples keep the upper byte */
    static const struct {
        uint8_t type, depth;
        const void *raw;
        size_t n;
        uint32_t channels;
        uint8_t expected[6];
    } cases[] = {
        {SPNG_COLOR_TYPE_GRAYSCALE, 1, "\x40", 1, 1, {0, 255}},
        {SPNG_COLOR_TYPE_GRAYSCALE, 2, "\x60", 1, 1, {85, 170}},
        {SPNG_COLOR_TYPE_GRAYSCALE, 16, wide, 4, 1, {0x12, 0xfe}},
        {SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 8, "\x11\x80\x22\x00", 4, 1, {136, 255}},
        {SPNG_COLOR_TYPE_INDEXED, 8, "\1\0", 2, 3, {40, 50, 60, 255, 255, 255}},
        {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 8, "\1\2\3\4\5\6\7\0", 8, 3, {251, 251, 251, 255, 255, 255}},
    };
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        size_t size;
        bf_image im;
        void *png = encode(cases[i].type, cases[i].depth, 2, 1, cases[i].raw, cases[i].n, &size);
        OK(bf_png_parse("types", png, size, 0, &im, err));
        ck_assert(im.width == 2 && im.height == 1 && im.channels == cases[i].channels);
        ck_assert_mem_eq(im.pixels, cases[i].expected, 2 * im.channels);
        bf_image_free(&im);
        free(png);
    }
    FAILS(BF_FILE, "unknown kind", parse_png("not a picture", 13, err));
}
END_TEST

START_TEST(png_opacity)
{
    size_t size;
    bf_image im;
    uint8_t *opacity;
    void *png = encode(SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 8, 2, 1, "\x11\x80\x22\x00", 4, &size);
    OK(bf_file_write(test_path("alpha.png"), png, size, err));
    OK(bf_png_read_opacity(test_path("alpha.png"), 0, &im, &opacity, err));
    ck_assert(opacity[0] == 128 && opacity[1] == 0 && im.pixels[0] == 136 && im.channels == 1);
    bf_image_free(&im);
    free(opacity);
    OK(bf_file_write(test_path("alpha.png"), png, size - 12, err));
    FAILS(BF_FILE, "end is missing", bf_png_read_opacity(test_path("alpha.png"), 0, &im, &opacity, err));
    ck_assert_ptr_null(opacity);
    free(png);
}
END_TEST

START_TEST(png_bombs)
{
    /* A valid head that announces far more pixels than the file can hold. */
    size_t size;
    unsigned char *png = encode(SPNG_COLOR_TYPE_GRAYSCALE, 8, 2, 1, "\1\2", 2, &size);
    png[18] = 0x40; /* width 0x4002; the head's CRC is made good again */
    png[22] = 0x40;
    uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), png + 12, 17);
    for (int i = 0; i < 4; i++) png[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    FAILS(BF_FILE, "pixels", parse_png(png, size, err));
    png[16] = 0x7f;
    crc = (uint32_t)crc32(crc32(0, NULL, 0), png + 12, 17);
    for (int i = 0; i < 4; i++) png[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    FAILS(BF_FILE, "header", parse_png(png, size, err));
    free(png);
}
END_TEST

START_TEST(grid)
{
    static const uint8_t images[3 * 2 * 2] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint8_t expected[] = {
        128, 128, 128, 128, 128, 128, 128, /**/
        128, 1,   2,   128, 5,   6,   128, /**/
        128, 3,   4,   128, 7,   8,   128, /**/
        128, 128, 128, 128, 128, 128, 128, /**/
        128, 9,   10,  128, 128, 128, 128, /**/
        128, 11,  12,  128, 128, 128, 128, /**/
        128, 128, 128, 128, 128, 128, 128,
    };
    bf_image im;
    OK(bf_image_grid(images, 3, 2, 2, 1, 2, 1, 1, &im, err));
    ck_assert(im.width == 7 && im.height == 7);
    ck_assert_mem_eq(im.pixels, expected, sizeof expected);
    bf_image_free(&im);
    OK(bf_image_grid(images, 2, 1, 2, 3, 8, 3, 0, &im, err)); /* RGB, tripled, fewer images than columns */
    ck_assert(im.width == 12 && im.height == 3 && im.channels == 3);
    for (int i = 0; i < 12 * 3; i++) ck_assert_mem_eq(im.pixels + 3 * i, images + i % 12 / 3 * 3, 3);
    bf_image_free(&im);
    FAILS(BF_USAGE, "grid", bf_image_grid(images, 1, 2, 2, 2, 1, 1, 1, &im, err));
    FAILS(BF_USAGE, "too many", bf_image_grid(images, 1, 2, 2, 1, 1, 1u << 30, 1, &im, err));
}
END_TEST

static void write_grey(const char *path, uint32_t w, uint32_t h, uint8_t level)
{
    uint8_t pixels[64];
    memset(pixels, level, sizeof pixels);
    OK(bf_png_write(path, &(bf_image){w, h, 1, pixels}, err));
}

START_TEST(folder)
{
    static const uint32_t any[2] = {0, 0};
    static uint8_t colours[18] = {1, 2, 3};
    bf_array a;
    char **files;
    FAILS(BF_FILE, "folder", bf_folder_read("/nowhere", 0, any, &a, NULL, err));
    ck_assert_int_eq(mkdir(test_path("pics"), 0777), 0);
    FAILS(BF_FILE, "no .png", bf_folder_read(test_path("pics"), 0, any, &a, NULL, err));
    write_grey(test_path("pics/b.png"), 3, 2, 2);
    write_grey(test_path("pics/a.PNG"), 3, 2, 1);
    write_grey(test_path("pics/c10.png"), 3, 2, 3);
    write_grey(test_path("pics/.hidden.png"), 8, 8, 9);
    test_spill(test_path("pics/readme.txt"), "x", 1);
    OK(bf_folder_read(test_path("pics"), 0, any, &a, NULL, err));
    ck_assert(a.ndim == 4 && a.dims[0] == 3 && a.dims[1] == 2 && a.dims[2] == 3 && a.dims[3] == 1);
    for (int i = 0; i < 18; i++) ck_assert_int_eq(((uint8_t *)a.data)[i], 1 + i / 6);
    bf_array_free(&a);
    OK(bf_folder_read(test_path("pics"), 3, any, &a, NULL, err));
    ck_assert(a.dims[3] == 3 && a.count == 54);
    bf_array_free(&a);
    /* folders in it, and links to what is there already */
    ck_assert(mkdir(test_path("pics/b"), 0777) == 0 && symlink("..", test_path("pics/b/up")) == 0 &&
              symlink("../b.png", test_path("pics/b/again.png")) == 0);
    OK(bf_png_write(test_path("pics/b/z.png"), &(bf_image){3, 2, 3, colours}, err));
    OK(bf_folder_read(test_path("pics"), 0, any, &a, NULL, err));
    ck_assert(a.dims[0] == 4 && a.dims[3] == 3); /* one in colour: all are */
    for (int i = 0; i < 18; i++) ck_assert_int_eq(((uint8_t *)a.data)[i], 1);
    ck_assert_mem_eq((uint8_t *)a.data + 36, colours, 18); /* after b.png, which b/again.png is too */
    bf_array_free(&a);
    write_grey(test_path("pics/d.png"), 2, 3, 2);
    OK(bf_folder_read(test_path("pics"), 0, (const uint32_t[]){2, 3}, &a, NULL, err)); /* all but d */
    ck_assert(a.dims[0] == 4 && a.dims[1] == 2 && a.dims[2] == 3);
    bf_array_free(&a);
    OK(bf_folder_read(test_path("pics"), 0, (const uint32_t[]){3, 2}, &a, &files, err)); /* d alone */
    ck_assert(a.dims[0] == 1 && a.dims[1] == 3 && a.dims[2] == 2);
    ck_assert_str_eq(files[0], test_path("pics/d.png"));
    free(files[0]);
    free(files);
    bf_array_free(&a);
    FAILS(BF_FILE, "none of 5", bf_folder_read(test_path("pics"), 0, (const uint32_t[]){4, 4}, &a, NULL, err));
    FAILS(BF_FILE, "pics/d.png", bf_folder_read(test_path("pics"), 0, any, &a, NULL, err));
    test_spill(test_path("pics/d.png"), "x", 1);
    FAILS(BF_FILE, "pics/d.png", bf_folder_read(test_path("pics"), 0, any, &a, NULL, err));
}
END_TEST

/* ---- GIF, chart, kinds ----------------------------------------------------------------------------------------- */

START_TEST(gif)
{
    static uint8_t frames[2][5 * 4 * 3];
    bf_gif *g;
    int code;
    for (size_t i = 0; i < sizeof frames; i++) frames[i / 60][i % 60] = (uint8_t)(i * 41);
    OK(bf_gif_open(test_path("a.gif"), 5, 4, 1, &g, err));
    OK(bf_gif_frame(g, frames[0], 10, err));
    OK(bf_gif_frame(g, frames[1], 200, err));
    OK(bf_gif_close(g, err));
    GifFileType *f = DGifOpenFileName(test_path("a.gif"), &code);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(DGifSlurp(f), GIF_OK);
    ck_assert(f->ImageCount == 2 && f->SWidth == 5 && f->SHeight == 4);
    for (int i = 0; i < 2; i++) {
        GraphicsControlBlock control;
        ck_assert_mem_eq(f->SavedImages[i].RasterBits, frames[i], 20);
        ck_assert_int_eq(DGifSavedExtensionToGCB(f, i, &control), GIF_OK);
        ck_assert_int_eq(control.DelayTime, i == 0 ? 10 : 200);
    }
    for (int i = 0; i < 256; i++) ck_assert_int_eq(f->SColorMap->Colors[i].Green, i);
    DGifCloseFile(f, &code);

    /* Colours: the average over a dithered area is the colour asked for. */
    static uint8_t flat[32 * 32 * 3];
    for (size_t i = 0; i < sizeof flat; i++) flat[i] = (uint8_t[]){200, 100, 30}[i % 3];
    OK(bf_gif_open(test_path("c.gif"), 32, 32, 3, &g, err));
    OK(bf_gif_frame(g, flat, 1, err));
    OK(bf_gif_close(g, err));
    f = DGifOpenFileName(test_path("c.gif"), &code);
    ck_assert(f != NULL && DGifSlurp(f) == GIF_OK);
    double sum[3] = {0};
    for (int i = 0; i < 32 * 32; i++) {
        GifColorType c = f->SColorMap->Colors[f->SavedImages[0].RasterBits[i]];
        sum[0] += c.Red, sum[1] += c.Green, sum[2] += c.Blue;
    }
    for (int i = 0; i < 3; i++) ck_assert_double_eq_tol(sum[i] / 1024, flat[i], 3);
    DGifCloseFile(f, &code);

    OK(bf_gif_open(test_path("never.gif"), 5, 4, 1, &g, err));
    OK(bf_gif_frame(g, frames[0], 10, err));
    bf_gif_discard(g);
    FAILS(BF_FILE, "never", bf_file_read(test_path("never.gif"), 100, &(void *){NULL}, &(size_t){0}, err));
    FAILS(BF_RUNTIME, "/nowhere", bf_gif_open("/nowhere/a.gif", 5, 4, 1, &g, err));
    OK(bf_gif_open("/dev/full", 5, 4, 1, &g, err));
    FAILS(BF_RUNTIME, "/dev/full", bf_gif_close(g, err));
}
END_TEST

START_TEST(chart)
{
    static const double x[] = {0, 1, 2, 3, 4}, y[] = {5, 4, -1.0 / 0.0, 2, 0}, flat[] = {1, 1, 1, 1, 1};
    const bf_series series[] = {{"train <loss>", x, y, 5}, {"flat & even", x, flat, 5}, {"none", x, y, 0}};
    size_t size;
    for (int i = 0; i < 5; i++) {
        /* linear, log y, log x, only a flat line, nothing */
        const bf_chart c = {.title = "Loss",
                            .x_label = "step",
                            .y_label = "bits per dim",
                            .log_x = i == 2,
                            .log_y = i == 1,
                            .series = series + (i == 3 ? 1 : 0),
                            .n_series = i == 4   ? 0
                                        : i == 3 ? 1
                                                 : 3};
        OK(bf_chart_write(test_path("c.svg"), &c, err));
        char *svg = (char *)test_slurp(test_path("c.svg"), &size);
        ck_assert_ptr_null(strstr(svg, "nan"));
        ck_assert_ptr_null(strstr(svg, "inf"));
        ck_assert_ptr_nonnull(strstr(svg, "bits per dim"));
        ck_assert_ptr_nonnull(strstr(svg, "</svg>"));
        if (i < 3) ck_assert_ptr_nonnull(strstr(svg, "train &lt;loss&gt;"));
        if (i < 4) ck_assert_ptr_nonnull(strstr(svg, "flat &amp; even"));
        free(svg);
    }
}
END_TEST

START_TEST(kinds)
{
    static const struct {
        const char *bytes;
        size_t size;
        bf_kind kind;
    } cases[] = {
        {"", 0, BF_KIND_UNKNOWN},
        {"hello, world", 12, BF_KIND_UNKNOWN},
        {"PK\3\4........", 12, BF_KIND_TORCH},
        {"\x80\2\x8a\n", 4, BF_KIND_TORCH},
        {"\x93NUMPY\1\0", 8, BF_KIND_NPY},
        {"\x89PNG\r\n\x1a\n", 8, BF_KIND_PNG},
        {"GIF89a", 6, BF_KIND_GIF},
        {"\0\0\10\3", 4, BF_KIND_IDX},
        {"\x1f\x8b\10", 3, BF_KIND_GZIP},
        {"\2\0\0\0\0\0\0\0{}", 10, BF_KIND_SAFETENSORS},
        {"\x1f\x8b\0\0\0\0\0\0{}", 10, BF_KIND_SAFETENSORS}, /* a length that looks like gzip */
    };
    bf_kind kind;
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        ck_assert_int_eq(bf_kind_of_bytes(cases[i].bytes, cases[i].size), cases[i].kind);
        test_spill(test_path("kind"), cases[i].bytes, cases[i].size);
        OK(bf_file_kind(test_path("kind"), &kind, err));
        ck_assert_int_eq(kind, cases[i].kind);
    }
    OK(bf_file_kind("/tmp", &kind, err));
    ck_assert_int_eq(kind, BF_KIND_FOLDER);
    FAILS(BF_FILE, "/nowhere", bf_file_kind("/nowhere", &kind, err));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("io");
    TCase *c = tcase_create("arrays"), *p = tcase_create("pictures");
    tcase_add_test(c, npy_round_trip);
    tcase_add_test(c, npy_headers);
    tcase_add_test(c, npy_damage);
    tcase_add_test(c, idx_plain_and_compressed);
    tcase_add_test(c, idx_refusals);
    tcase_add_test(c, kinds);
    tcase_add_test(p, png_round_trip);
    tcase_add_test(p, png_types);
    tcase_add_test(p, png_opacity);
    tcase_add_test(p, png_bombs);
    tcase_add_test(p, grid);
    tcase_add_test(p, folder);
    tcase_add_test(p, gif);
    tcase_add_test(p, chart);
    tcase_set_timeout(p, 60);
    suite_add_tcase(s, c);
    suite_add_tcase(s, p);
    return test_main(s);
}
