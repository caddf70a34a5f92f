/* safetensors: round trips, element types, CRCs, hand-made bad headers, damage at every byte. */
#include <math.h>

#include "files.h"
#include "io/kind.h"
#include "io/safetensors.h"

/* Opens and reads everything, as a model loader would. */
static bf_status parse(const void *data, size_t size, bf_err *err)
{
    bf_st *f;
    bf_status st = bf_st_open_memory("x.file", data, size, &f, err);
    if (st != BF_OK) return st;
    for (size_t i = 0; i < bf_st_count(f) && st == BF_OK; i++) {
        const bf_st_tensor *t = bf_st_at(f, i);
        float *values = malloc(t->count * sizeof *values + 1);
        ck_assert_ptr_nonnull(values);
        st = bf_st_read_f32(f, t, values, err);
        free(values);
    }
    bf_st_close(f);
    return st;
}

/* A file of a header (not padded) and n bytes of data; the caller frees. */
static unsigned char *compose(const char *header, size_t n, size_t *size)
{
    size_t length = strlen(header);
    unsigned char *p = calloc(8 + length + n + 1, 1);
    ck_assert_ptr_nonnull(p);
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(p + 8, header, length);
    *size = 8 + length + n;
    return p;
}

static const float values[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
static const int32_t labels[3] = {5, -6, INT32_MAX};

/* Delivers `values` and fails at byte *(uint64_t *)user. */
static bf_status deliver(void *user, uint64_t offset, size_t bytes, void *out, bf_err *err)
{
    if (offset + bytes > *(uint64_t *)user) return bf_fail(err, BF_DEVICE, "device lost");
    memcpy(out, (const char *)values + offset, bytes);
    return BF_OK;
}

static bf_status write_small(const char *path, uint64_t *limit, bf_err *err)
{
    const bf_st_item items[] = {
        {.name = "blocks.0.weight", .dtype = BF_F32, .ndim = 2, .dims = {2, 3}, .fill = deliver, .user = limit},
        {.name = "empty", .dtype = BF_F32, .ndim = 2, .dims = {0, 3}, .data = values},
        {.name = "labels", .dtype = BF_I32, .ndim = 1, .dims = {3}, .data = labels},
        {.name = "scalar", .dtype = BF_U8, .ndim = 0, .data = "\x2a"},
    };
    const bf_st_meta meta[] = {{"config", "{\"a\": \"\xc3\xa4\\n\"}"}, {"bfncl.version", "1"}};
    return bf_st_write(path, items, 4, meta, 2, err);
}

START_TEST(round_trip)
{
    bf_st *f;
    const bf_st_tensor *t;
    float got[6];
    int32_t ints[3];
    double wide[3];
    unsigned char raw[24];
    OK(write_small(test_path("m"), &(uint64_t){24}, err));
    OK(bf_st_open(test_path("m"), &f, err));
    ck_assert_uint_eq(bf_st_count(f), 4);
    ck_assert(bf_st_has_crc(f));
    OK(bf_st_verify(f, err));
    OK(bf_st_need(f, "blocks.0.weight", &t, err));
    ck_assert_uint_eq(t->offset % 64, 0);
    ck_assert(t->ndim == 2 && t->dims[0] == 2 && t->dims[1] == 3 && t->count == 6 && t->bytes == 24);
    OK(bf_st_read_f32(f, t, got, err));
    ck_assert_mem_eq(got, values, sizeof got);
    OK(bf_st_read_raw(f, t, raw, err));
    ck_assert_mem_eq(raw, values, sizeof raw);
    FAILS(BF_FILE, "integer type", bf_st_read_i32(f, t, ints, err));
    OK(bf_st_need(f, "labels", &t, err));
    OK(bf_st_read_i32(f, t, ints, err));
    ck_assert_mem_eq(ints, labels, sizeof ints);
    OK(bf_st_read_f64(f, t, wide, err));
    ck_assert(wide[2] == INT32_MAX && wide[1] == -6);
    t = bf_st_find(f, "scalar");
    ck_assert(t != NULL && t->ndim == 0 && t->count == 1);
    OK(bf_st_read_f32(f, t, got, err));
    ck_assert(got[0] == 42);
    ck_assert(bf_st_find(f, "empty")->count == 0);
    OK(bf_st_read_f32(f, bf_st_find(f, "empty"), NULL, err));
    ck_assert_ptr_null(bf_st_find(f, "nothing"));
    FAILS(BF_FILE, "nothing", bf_st_need(f, "nothing", &t, err));
    ck_assert_str_eq(bf_st_meta_get(f, "config"), "{\"a\": \"\xc3\xa4\\n\"}");
    ck_assert_ptr_null(bf_st_meta_get(f, "nothing"));
    ck_assert_uint_eq(bf_st_meta_count(f), 4);
    ck_assert_str_eq(bf_st_meta_at(f, 3).key, "bfncl.version");
    bf_st_close(f);
}
END_TEST

START_TEST(large_tensor_in_pieces)
{
    enum { N = 3000001 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    bf_st *f;
    ck_assert(x != NULL && y != NULL);
    test_fill(x, N, 3);
    const bf_st_item item = {.name = "x", .dtype = BF_F32, .ndim = 1, .dims = {N}, .data = x};
    OK(bf_st_write(test_path("large"), &item, 1, NULL, 0, err));
    OK(bf_st_open(test_path("large"), &f, err));
    OK(bf_st_read_f32(f, bf_st_at(f, 0), y, err));
    ck_assert_mem_eq(x, y, N * sizeof *x);
    bf_st_close(f);
    free(x);
    free(y);
}
END_TEST

START_TEST(failed_write_keeps_the_old_file)
{
    size_t before, after;
    OK(write_small(test_path("m"), &(uint64_t){24}, err));
    unsigned char *a = test_slurp(test_path("m"), &before);
    FAILS(BF_DEVICE, "device lost", write_small(test_path("m"), &(uint64_t){23}, err));
    unsigned char *b = test_slurp(test_path("m"), &after);
    ck_assert_uint_eq(before, after);
    ck_assert_mem_eq(a, b, before);
    free(a);
    free(b);
}
END_TEST

START_TEST(refuses_to_write)
{
    bf_st_item items[2] = {{.name = "a", .dtype = BF_U8, .ndim = 1, .dims = {1}, .data = "x"}};
    const bf_st_meta own = {"bfncl.crc32c", "0"};
    items[1] = items[0];
    FAILS(BF_RUNTIME, "twice", bf_st_write(test_path("w"), items, 2, NULL, 0, err));
    FAILS(BF_RUNTIME, "twice", bf_st_write(test_path("w"), items, 1, &own, 1, err));
    items[0].name = "\xff";
    FAILS(BF_RUNTIME, "UTF-8", bf_st_write(test_path("w"), items, 1, NULL, 0, err));
    items[0].name = "a";
    items[0].ndim = 3;
    items[0].dims[0] = items[0].dims[1] = items[0].dims[2] = UINT64_C(1) << 31;
    FAILS(BF_RUNTIME, "\"a\"", bf_st_write(test_path("w"), items, 1, NULL, 0, err));
    FAILS(BF_FILE, "w", bf_st_open(test_path("w"), &(bf_st *){NULL}, err));
}
END_TEST

START_TEST(element_types)
{
    static const struct {
        const char *type;
        unsigned char bytes[8];
        int size;
        double value;
    } cases[] = {
        {"F64", {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, 8, 1.5},
        {"F32", {0, 0, 0xc0, 0xbf}, 4, -1.5},
        {"F16", {0x00, 0x3e}, 2, 1.5},
        {"F16", {0xff, 0x7b}, 2, 65504},
        {"F16", {0x01, 0x80}, 2, -5.9604644775390625e-8},
        {"F16", {0xff, 0x03}, 2, 6.097555160522461e-5},
        {"F16", {0x00, 0x7c}, 2, INFINITY},
        {"F16", {0x00, 0xfc}, 2, -INFINITY},
        {"BF16", {0xc0, 0xbf}, 2, -1.5},
        {"I64", {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 8, -2},
        {"I32", {0xfe, 0xff, 0xff, 0xff}, 4, -2},
        {"I16", {0xfe, 0xff}, 2, -2},
        {"I8", {0xfe}, 1, -2},
        {"U64", {0, 0, 0, 0, 1}, 8, 4294967296.0},
        {"U32", {0xfe, 0xff, 0xff, 0xff}, 4, 4294967294.0},
        {"U16", {0xfe, 0xff}, 2, 65534},
        {"U8", {0xfe}, 1, 254},
        {"BOOL", {1}, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[128];
        size_t size;
        bf_st *f;
        float narrow;
        double wide;
        snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[1],\"data_offsets\":[0,%d]}}",
                 cases[i].type, cases[i].size);
        unsigned char *p = compose(header, (size_t)cases[i].size, &size);
        memcpy(p + size - cases[i].size, cases[i].bytes, (size_t)cases[i].size);
        OK(bf_st_open_memory("types", p, size, &f, err));
        OK(bf_st_read_f32(f, bf_st_at(f, 0), &narrow, err));
        OK(bf_st_read_f64(f, bf_st_at(f, 0), &wide, err));
        ck_assert_msg(wide == cases[i].value && narrow == (float)wide, "%s %zu: %g, expected %g", cases[i].type, i,
                      wide, cases[i].value);
        if (fabs(wide) > INT32_MAX && cases[i].type[0] != 'F') {
            FAILS(BF_FILE, "32 bits", bf_st_read_i32(f, bf_st_at(f, 0), &(int32_t){0}, err));
        }
        bf_st_close(f);
        free(p);
    }
}
END_TEST

#define T(type, shape, range) "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" range "}"

START_TEST(bad_headers)
{
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } cases[] = {
        {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"a\":" T("F32", "[1]", "[0,4]") "}", 4, "duplicate"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[8,12]") "}", 12, "hole"},
        {"{\"a\":" T("F32", "[1]", "[4,8]") "}", 8, "hole"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[0,4]") "}", 4, "overlaps"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") "}", 5, "the file has 5"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") "}", 3, "cut short"},
        {"{\"a\":" T("F32", "[1]", "[4,0]") "}", 4, "backwards"},
        {"{\"a\":" T("F32", "[1]", "[-4,0]") "}", 4, "backwards"},
        {"{\"a\":" T("F32", "[2]", "[0,4]") "}", 4, "do not take"},
        {"{\"a\":" T("F32", "[4611686018427387904]", "[0,0]") "}", 0, "do not take"},
        {"{\"a\":" T("F32", "[4294967296,4294967296]", "[0,0]") "}", 0, "2^64"},
        {"{\"a\":" T("F32", "[-1]", "[0,4]") "}", 4, "dimension 0"},
        {"{\"a\":" T("F32", "[1.0]", "[0,4]") "}", 4, "dimension 0"},
        {"{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "9 dimensions"},
        {"{\"a\":" T("F32", "1", "[0,4]") "}", 4, "shape"},
        {"{\"a\":" T("F8_E4M3", "[1]", "[0,1]") "}", 1, "F8_E4M3"},
        {"{\"a\":" T("F32", "[1]", "[0,4,4]") "}", 4, "data_offsets"},
        {"{\"a\":" T("F32", "[1]", "[0,\"4\"]") "}", 4, "data_offsets"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype"},
        {"{\"a\":[]}", 0, "not an object"},
        {"{\"__metadata__\":[]}", 0, "__metadata__"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "\"a\""},
        {"{\"__metadata__\":{\"bfncl.crc32c\":\"\"}}", 0, "CRC"},
        {"{\"__metadata__\":{\"bfncl.header_crc32c\":\"00000000\"}}", 0, "CRC"},
        {"{\"a\\u0000\":" T("F32", "[1]", "[0,4]") "}", 4, "JSON"},
        {"{\"\xff\":" T("F32", "[1]", "[0,4]") "}", 4, "JSON"},
        {"{}x", 0, "JSON"},
        {"{", 0, "JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        unsigned char *p = compose(cases[i].header, cases[i].data, &size);
        bf_err e = {0};
        bf_status st = parse(p, size, &e);
        ck_assert_msg(st == BF_FILE && strstr(e.message, cases[i].message) != NULL, "%s: status %d: %s",
                      cases[i].header, st, e.message);
        free(p);
    }
}
END_TEST

START_TEST(unusual_but_valid)
{
    static const char *const headers[] = {
        "{}",
        "{}     ",
        "{\"__metadata__\":{}}",
        "{\"b\":" T("F32", "[0]", "[0,0]") ",\"a\":" T("F32", "[]", "[0,4]") ",\"c\":" T("U8", "[0]", "[4,4]") "}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        size_t size;
        unsigned char *p = compose(headers[i], i == 3 ? 4 : 0, &size);
        OK(parse(p, size, err));
        free(p);
    }
}
END_TEST

/* Headers that are small in the file and would be large in memory. */
START_TEST(limits)
{
    size_t size, n = 0;
    char *text = malloc(8 << 20);
    ck_assert_ptr_nonnull(text);
    memset(text, '[', 4000);
    strcpy(text + 4000, "");
    text[0] = '{';
    strcpy(text + 1, "\"a\":");
    text[5] = '[';
    unsigned char *p = compose(text, 0, &size);
    FAILS(BF_FILE, "deeper", parse(p, size, err));
    free(p);

    n = (size_t)sprintf(text, "{\"a\":[0");
    for (int i = 0; i < 3 << 20; i++) n += (size_t)sprintf(text + n, ",0");
    strcpy(text + n, "]}");
    p = compose(text, 0, &size);
    FAILS(BF_FILE, "more than", parse(p, size, err));
    free(p);

    n = (size_t)sprintf(text, "{\"");
    memset(text + n, 'n', BF_ST_MAX_NAME + 1);
    strcpy(text + n + BF_ST_MAX_NAME + 1, "\":" T("F32", "[1]", "[0,4]") "}");
    p = compose(text, 4, &size);
    FAILS(BF_FILE, "name of 1025 bytes", parse(p, size, err));
    free(p);

    n = (size_t)sprintf(text, "{\"0\":" T("U8", "[0]", "[0,0]"));
    for (int i = 1; i <= BF_ST_MAX_TENSORS; i++) n += (size_t)sprintf(text + n, ",\"%x\":" T("U8", "[0]", "[0,0]"), i);
    strcpy(text + n, "}");
    p = compose(text, 0, &size);
    FAILS(BF_FILE, "65537 tensors", parse(p, size, err));
    free(p);
    free(text);
}
END_TEST

/* A file of 4 KB as bfncl writes it: every byte is under a CRC, so no change goes unnoticed. */
START_TEST(damage)
{
    static float weight[29 * 32];
    const bf_st_item items[] = {
        {.name = "blocks.0.weight", .dtype = BF_F32, .ndim = 2, .dims = {29, 32}, .data = weight},
        {.name = "labels", .dtype = BF_I32, .ndim = 1, .dims = {3}, .data = labels},
        {.name = "scalar", .dtype = BF_U8, .ndim = 0, .data = "\x2a"},
    };
    const bf_st_meta meta = {"config", "{\"a\": \"\xc3\xa4\\n\"}"};
    size_t size;
    test_fill(weight, 29 * 32, 1);
    OK(bf_st_write(test_path("w"), items, 3, &meta, 1, err));
    unsigned char *p = test_slurp(test_path("w"), &size);
    ck_assert_msg(size > 4000 && size < 4200, "%zu bytes", size);
    OK(parse(p, size, err));
    test_truncations(parse, p, size);
    ck_assert_uint_eq(test_flips(parse, p, size), 0);
    free(p);
}
END_TEST

/* Accepted: then the tensors take every byte behind the header, once. */
enum { DATA = 3800 };
static bf_status parse_complete(const void *data, size_t size, bf_err *err)
{
    bf_st *f;
    size_t bytes = 0;
    bf_status st = parse(data, size, err);
    if (st != BF_OK) return st;
    ck_assert_int_eq(bf_st_open_memory("x.file", data, size, &f, err), BF_OK);
    for (size_t i = 0; i < bf_st_count(f); i++) bytes += (size_t)bf_st_at(f, i)->bytes;
    bf_st_close(f);
    ck_assert_uint_eq(bytes, DATA);
    return BF_OK;
}

/* A file of 4 KB without CRCs. */
START_TEST(damage_without_crc)
{
    size_t size;
    unsigned char *p = compose("{\"__metadata__\":{\"k\":\"v\"},\"a\":" T("F16", "[20,18,5]", "[0,3600]") ",\"b\":" T(
                                   "I64", "[]", "[3600,3608]") ",\"c\":" T("BOOL", "[192]", "[3608,3800]") "}",
                               DATA, &size);
    ck_assert_msg(size > 3900 && size < 4200, "%zu bytes", size);
    OK(parse_complete(p, size, err));
    test_truncations(parse_complete, p, size);
    const size_t accepted = test_flips(parse_complete, p, size);
    ck_assert_uint_gt(accepted, DATA); /* other numbers */
    ck_assert_uint_lt(accepted, 9 * size);
    free(p);
}
END_TEST

START_TEST(crc_mismatch_names_the_tensor)
{
    size_t size;
    bf_st *f;
    float got[6];
    OK(write_small(test_path("small"), &(uint64_t){24}, err));
    unsigned char *p = test_slurp(test_path("small"), &size);
    p[size - 1 - 12 - 24] ^= 4; /* behind the weight come 3 labels and 1 byte */
    OK(bf_st_open_memory("x.file", p, size, &f, err));
    FAILS(BF_FILE, "blocks.0.weight", bf_st_verify(f, err));
    FAILS(BF_FILE, "blocks.0.weight", bf_st_read_f32(f, bf_st_find(f, "blocks.0.weight"), got, err));
    bf_st_close(f);
    free(p);
}
END_TEST

START_TEST(golden_bad_files)
{
    static const struct {
        const char *path, *message;
    } bad[] = {
        {"tests/golden/bad/header_length_beyond_end.safetensors", "header length"},
        {"tests/golden/bad/overlapping_offsets.safetensors", "overlaps"},
        {"tests/golden/bad/shape_2pow63.safetensors", "too big"},
        {"tests/golden/bad/truncated.safetensors", "cut short"},
        {"tests/golden/bad/pickle_os_system.pt", "is a PyTorch file"},
        {"tests/golden/bad/truncated.pt", "is a PyTorch file"},
    };
    bf_kind kind;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FAILS(BF_FILE, bad[i].message, bf_st_open(bad[i].path, &(bf_st *){NULL}, err));
        FAILS(BF_FILE, bad[i].path, bf_st_open(bad[i].path, &(bf_st *){NULL}, err));
        OK(bf_file_kind(bad[i].path, &kind, err));
        ck_assert_int_eq(kind, i < 4 ? BF_KIND_SAFETENSORS : BF_KIND_TORCH);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors");
    TCase *c = tcase_create("safetensors");
    tcase_add_test(c, round_trip);
    tcase_add_test(c, large_tensor_in_pieces);
    tcase_add_test(c, failed_write_keeps_the_old_file);
    tcase_add_test(c, refuses_to_write);
    tcase_add_test(c, element_types);
    tcase_add_test(c, bad_headers);
    tcase_add_test(c, unusual_but_valid);
    tcase_add_test(c, limits);
    tcase_add_test(c, damage);
    tcase_add_test(c, damage_without_crc);
    tcase_add_test(c, crc_mismatch_names_the_tensor);
    tcase_add_test(c, golden_bad_files);
    tcase_set_timeout(c, 60);
    suite_add_tcase(s, c);
    return test_main(s);
}
