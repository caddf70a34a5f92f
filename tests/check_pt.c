/* PyTorch files: stored variants, containers and pickles made by hand, hostile ones, damage at every byte. */
#include <math.h>

#include "base/crc32c.h"
#include "io/kind.h"
#include "io/pt_contents.h"
#include "io/tensors.h"
#include "pt_files.h"

#define VARIANTS "tests/golden/checkpoints/variants/"

/* CRC-32C over names and values of all tensors. */
static uint32_t digest;

/* Opens, reads and describes everything. */
static bf_status parse(const void *data, size_t size, bf_err *err)
{
    bf_pt *f;
    json_t *contents = NULL;
    bf_status st = bf_pt_open_memory("x.file", data, size, &f, err);
    if (st != BF_OK) return st;
    digest = 0;
    for (size_t i = 0; i < bf_pt_count(f) && st == BF_OK; i++) {
        const bf_pt_tensor *t = bf_pt_at(f, i);
        ck_assert_ptr_eq(bf_pt_find(f, t->name), t);
        float *values = malloc((size_t)t->count * sizeof *values + 1);
        ck_assert_ptr_nonnull(values);
        if (t->readable) st = bf_pt_read_f32(f, t, values, err);
        if (st == BF_OK && t->readable) digest = bf_crc32c(digest, values, (size_t)t->count * sizeof *values);
        digest = bf_crc32c(digest, t->name, strlen(t->name));
        free(values);
    }
    if (st == BF_OK) st = bf_pt_verify(f, err);
    if (st == BF_OK) st = bf_pt_contents(f, &contents, err);
    json_decref(contents);
    bf_pt_close(f);
    return st;
}

static const float six[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
#define SIX ((bytes){(const char *)six, sizeof six})

/* A complete archive around a pickle, with the six floats as storage "0". */
static unsigned char *wrap(bytes pickle, size_t *size)
{
    part parts[] = {{.name = "top/data.pkl", .content = pickle},
                    {.name = "top/byteorder", .content = BYTES("little")},
                    {.name = "top/data/0", .content = SIX},
                    {.name = "top/version", .content = BYTES("3\n")}};
    return zip_compose(parts, 4, false, "", size);
}

static bf_status parse_pickle(bytes pickle, bf_err *err)
{
    size_t size;
    unsigned char *p = wrap(pickle, &size);
    bf_status st = parse(p, size, err);
    free(p);
    return st;
}

static void expect_six(const void *data, size_t size)
{
    bf_pt *f;
    float got[6];
    OK(bf_pt_open_memory("six", data, size, &f, err));
    ck_assert_uint_eq(bf_pt_count(f), 1);
    const bf_pt_tensor *t = bf_pt_at(f, 0);
    ck_assert_str_eq(t->name, "a");
    ck_assert(t->ndim == 2 && t->dims[0] == 2 && t->dims[1] == 3 && t->count == 6 && t->dtype == BF_F32);
    OK(bf_pt_read_f32(f, t, got, err));
    ck_assert_mem_eq(got, six, sizeof six);
    bf_pt_close(f);
}

/* ---- stored files ------------------------------------------------------------------------------------------------ */

START_TEST(views_strides_and_types)
{
    bf_pt *f;
    bf_st *expected;
    OK(bf_pt_open(VARIANTS "views_strides_dtypes.pt", &f, err));
    OK(bf_st_open(VARIANTS "views_strides_dtypes_expected.safetensors", &expected, err));
    ck_assert(!bf_pt_legacy(f) && !bf_pt_big_endian(f) && bf_pt_protocol(f) == 2);
    ck_assert_uint_eq(bf_pt_count(f), bf_st_count(expected));
    for (size_t i = 0; i < bf_st_count(expected); i++) {
        const bf_st_tensor *s = bf_st_at(expected, i);
        const bf_pt_tensor *t = bf_pt_find(f, s->name);
        float a[64], b[64];
        ck_assert_msg(t != NULL && t->ndim == s->ndim && t->count == s->count && s->count <= 64, "%s", s->name);
        for (int k = 0; k < t->ndim; k++) ck_assert_uint_eq(t->dims[k], s->dims[k]);
        OK(bf_pt_read_f32(f, t, a, err));
        OK(bf_st_read_f32(expected, s, b, err));
        ck_assert_msg(memcmp(a, b, s->count * sizeof *a) == 0, "%s", s->name);
        for (uint64_t from = 0; from < t->count; from++) { /* pieces that begin and end anywhere */
            char piece[64 * 8];
            const size_t n = (size_t)(t->count - from < 5 ? t->count - from : 5);
            OK(bf_pt_read(f, t, from, n, piece, err));
            bf_to_f32(piece, t->dtype, n, a);
            ck_assert_msg(memcmp(a, b + from, n * sizeof *a) == 0, "%s from %d", s->name, (int)from);
        }
        FAILS(BF_RUNTIME, "beyond", bf_pt_read(f, t, t->count, 1, a, err));
    }
    ck_assert_str_eq(bf_pt_find(f, "bool")->type, "BOOL");
    ck_assert_str_eq(bf_pt_find(f, "bf16")->type, "BF16");
    ck_assert_ptr_null(bf_pt_find(f, "nothing"));
    bf_st_close(expected);
    bf_pt_close(f);
}
END_TEST

/* The same weights with a prefix, and in the layout of newer writers; the CRC-32C of the values is PyTorch's. */
START_TEST(layouts)
{
    static const char *const files[] = {"newer_layout.pt", "ddp_prefix.pt"};
    for (int k = 0; k < 2; k++) {
        char path[128];
        bf_tensors *f;
        uint32_t crc = 0;
        snprintf(path, sizeof path, VARIANTS "%s", files[k]);
        OK(bf_tensors_open(path, &f, err));
        OK(bf_tensors_verify(f, err));
        ck_assert_uint_eq(bf_tensors_count(f), 33);
        for (size_t i = 0; i < 33; i++) {
            const bf_tensor t = bf_tensors_at(f, i);
            float *x = malloc(t.count * sizeof *x), *y = malloc(t.count * sizeof *y);
            ck_assert(x != NULL && y != NULL && bf_tensors_find(f, t.name) == (ptrdiff_t)i);
            OK(bf_tensors_read_f32(f, i, x, err));
            OK(bf_tensors_read_raw(f, i, y, err));
            ck_assert_mem_eq(x, y, t.count * sizeof *x);
            crc = bf_crc32c(crc, x, t.count * sizeof *x);
            free(x);
            free(y);
        }
        ck_assert_uint_eq(crc, 0xb31c2d70);
        ck_assert(bf_tensors_find(f, k == 0 ? "net.lm_head.bias" : "module.net.lm_head.bias") == 32);
        bf_tensors_close(f);
    }
}
END_TEST

START_TEST(wrapped_in_the_older_container)
{
    bf_pt *f;
    json_t *contents;
    float x[2];
    OK(bf_pt_open("tests/golden/checkpoints/tiny_unet.pt", &f, err));
    ck_assert(bf_pt_legacy(f) && bf_pt_protocol(f) == 4 && bf_pt_count(f) == 148);
    const bf_pt_tensor *t = bf_pt_find(f, "state_dict.module.net.output_adapter.output_projection.bias");
    const bf_pt_tensor *e = bf_pt_find(f, "ema_state_dict.net.output_adapter.output_projection.bias");
    ck_assert(t != NULL && e != NULL && t->dtype == BF_F16 && t->folder == 11 && e->folder == 15);
    OK(bf_pt_read_f32(f, t, x, err));
    ck_assert(x[0] == -0.102783203125f);
    OK(bf_pt_read_f32(f, e, x, err));
    ck_assert(x[0] == -0.0513916015625f); /* a parameter object */
    OK(bf_pt_contents(f, &contents, err));
    ck_assert_int_eq(json_integer_value(json_object_get(contents, "epoch")), 3);
    const json_t *settings = json_object_get(contents, "hyper_parameters");
    ck_assert_str_eq(json_string_value(json_object_get(settings, "name")), "tiny");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(contents, "state_dict"), "tensors")), 74);
    json_decref(contents);
    bf_pt_close(f);
}
END_TEST

START_TEST(damaged_files)
{
    bf_pt *f;
    FAILS(BF_FILE, "os.system", bf_pt_open("tests/golden/bad/pickle_os_system.pt", &f, err));
    FAILS(BF_FILE, "cut short", bf_pt_open("tests/golden/bad/truncated.pt", &f, err));
    FAILS(BF_FILE, "missing.pt", bf_pt_open("missing.pt", &f, err));
    FAILS(BF_FILE, "expected a PyTorch file", bf_pt_open("tests/golden/checkpoints/tiny_unet.yaml", &f, err));
}
END_TEST

/* Accepted after one changed byte: then every value is still right. */
static uint32_t undamaged;
static bf_status parse_same(const void *data, size_t size, bf_err *err)
{
    bf_status st = parse(data, size, err);
    ck_assert_msg(st != BF_OK || digest == undamaged, "a damaged file was accepted with other values");
    return st;
}

START_TEST(every_byte_of_an_archive)
{
    size_t size;
    unsigned char *p = test_slurp(VARIANTS "views_strides_dtypes.pt", &size);
    OK(parse(p, size, err));
    undamaged = digest;
    test_truncations(parse, p, size);
    size_t accepted = test_flips(parse_same, p, size);
    ck_assert_uint_gt(accepted, 0); /* dates, padding */
    free(p);
}
END_TEST

/* ---- containers -------------------------------------------------------------------------------------------------- */

START_TEST(archives)
{
    const bytes pickle = BYTES(ONE_ENTRY(TENSOR));
    const struct {
        part changes; /* of the storage */
        bool zip64;
        const char *comment, *message; /* NULL: the file is fine */
    } cases[] = {
        {{0}, false, "", NULL},
        {{0}, false, "a comment PK\5\6 with a trap", NULL},
        {{0}, true, "", NULL},
        {{.zip64 = true}, true, "", NULL},
        {{.zip64 = true}, false, "", NULL},
        {{.deflate = true}, false, "", NULL},
        {{.no_crc = true}, false, "", NULL},
        {{.more = 1}, false, "", "run into the directory"},
        {{.more = 1000}, false, "", "run into the directory"},
        {{.more = 1000, .deflate = true}, false, "", "damaged"},
        {{.more = UINT64_C(1) << 40, .deflate = true, .zip64 = true}, false, "", "cannot come from"},
        {{.more = UINT64_C(1) << 63, .zip64 = true}, false, "", "run into the directory"},
        {{.flags = 1}, false, "", "encrypted"},
        {{.method = 12}, false, "", "method 12"},
        {{.method = 8}, false, "", "does not agree"},
        {{.local_name = "top/data/1"}, false, "", "does not agree"},
        {{.local_name = "top/data/00"}, false, "", "does not agree"},
        {{.shift = 1}, false, "", "no local header"},
        {{.shift = 1 << 30}, false, "", "no local header"},
        {{.name = "top/data/1"}, false, "", "\"0\" is not in the archive"},
        {{.name = "top/data.pkl"}, false, "", "two archive entries"},
        {{.name = "other/data.pkl"}, false, "", "two data.pkl"},
        {{.content = {"four", 4}}, false, "", "has 4 bytes, expected 24"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        part parts[] = {{.name = "top/data.pkl", .content = pickle}, cases[i].changes};
        size_t size;
        bf_err e = {0};
        if (parts[1].name == NULL) parts[1].name = "top/data/0";
        if (parts[1].content.p == NULL) parts[1].content = SIX;
        unsigned char *p = zip_compose(parts, 2, cases[i].zip64, cases[i].comment, &size);
        bf_status st = parse(p, size, &e);
        if (cases[i].message == NULL) {
            ck_assert_msg(st == BF_OK, "case %zu: %s", i, e.message);
            expect_six(p, size);
        } else {
            ck_assert_msg(st == BF_FILE && strstr(e.message, cases[i].message) != NULL, "case %zu: status %d: %s", i,
                          st, e.message);
        }
        free(p);
    }
}
END_TEST

START_TEST(more_archives)
{
    size_t size;
    part overlap[] = {{.name = "t/data.pkl", .content = BYTES(ONE_ENTRY("N"))},
                      {.name = "t/x", .content = BYTES("xx")},
                      {.name = "t/x", .content = BYTES("xx")}};
    unsigned char *p = zip_compose(overlap, 3, false, "", &size);
    FAILS(BF_FILE, "two archive entries", parse(p, size, err));
    free(p);
    overlap[2].shift = -(int64_t)(overlap[2].at - overlap[1].at); /* both names for the same bytes */
    p = zip_compose(overlap, 3, false, "", &size);
    FAILS(BF_FILE, "overlap", parse(p, size, err));
    free(p);

    part none[] = {{.name = "t/other", .content = BYTES("x")}, {.name = "t/a/data.pkl", .content = BYTES("x")}};
    p = zip_compose(none, 2, false, "", &size);
    FAILS(BF_FILE, "no data.pkl", parse(p, size, err));
    free(p);

    part deflated[] = {{.name = "t/data.pkl", .content = BYTES(ONE_ENTRY(TENSOR)), .deflate = true},
                       {.name = "t/data/0", .content = SIX, .deflate = true}};
    p = zip_compose(deflated, 2, true, "", &size);
    expect_six(p, size);
    OK(parse(p, size, err));
    undamaged = digest;
    test_truncations(parse, p, size);
    (void)test_flips(parse_same, p, size);
    free(p);
}
END_TEST

START_TEST(byte_order)
{
    const bytes pickle = BYTES(ONE_ENTRY(TENSOR));
    float turned[6];
    size_t size;
    memcpy(turned, six, sizeof six);
    bf_swap_bytes(turned, 4, 6);
    part parts[] = {{.name = "t/data.pkl", .content = pickle},
                    {.name = "t/data/0", .content = {(const char *)turned, sizeof turned}},
                    {.name = "t/byteorder", .content = BYTES("big")}};
    unsigned char *p = zip_compose(parts, 3, false, "", &size);
    expect_six(p, size);
    free(p);
    parts[2].content = BYTES("huge");
    p = zip_compose(parts, 3, false, "", &size);
    FAILS(BF_FILE, "byte order", parse(p, size, err));
    free(p);
}
END_TEST

#define OLD_HEAD "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}."
#define OLD_KEYS "\x80\2]" TEXT("\1", "0") "a."
#define OLD_COUNT "\6\0\0\0\0\0\0\0"

static unsigned char *compose_old(bytes head, bytes object, bytes keys, bytes count, bytes data, size_t *size)
{
    const bytes all[] = {head, object, keys, count, data};
    draft d = {0};
    for (int i = 0; i < 5; i++) draft_put(&d, all[i].p, all[i].n);
    *size = d.n;
    return d.p;
}

START_TEST(older_container)
{
    const bytes head = BYTES(OLD_HEAD), object = BYTES(ONE_ENTRY(TENSOR)), keys = BYTES(OLD_KEYS);
    const bytes count = BYTES(OLD_COUNT), none = BYTES("");
    const struct {
        bytes head, object, keys, count, data;
        const char *message;
    } cases[] = {
        {head, object, keys, count, SIX, NULL},
        {head, object, keys, count, {SIX.p, 23}, "cut short"},
        {head, object, keys, none, none, "cut short"},
        {head, object, keys, count, {"0123456789012345678901234", 25}, "1 bytes follow"},
        {head, object, keys, BYTES("\7\0\0\0\0\0\0\0"), SIX, "has 7 elements, expected 6"},
        {head, object, BYTES("\x80\2]."), none, none, "not in the file"},
        {head, object, BYTES("\x80\2]" TEXT("\1", "1") "a."), count, SIX, "not used"},
        {head, object, BYTES("\x80\2](" TEXT("\1", "0") TEXT("\1", "0") "e."), count,
         BYTES("012345678901234567890123\6\0\0\0\0\0\0\0012345678901234567890123"), "listed twice"},
        {head, object, BYTES("\x80\2}."), count, SIX, "list of storages"},
        {head, object, BYTES("\x80\2]K\1a."), count, SIX, "not used"},
        {BYTES("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x18."), object, keys, count, SIX, "torch.save"},
        {BYTES("\x80\2}."), none, none, none, none, "torch.save"},
        {BYTES("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xea\3.\x80\2}."), object, keys, count,
         SIX, "version"},
        {head,
         BYTES("\x80\2}(" TEXT("\1", "a") TENSOR TEXT("\1", "b")
                   TENSOR_OF(STORAGE_OF("Double", "0", "\3"), "K\0", "K\1\x85", "K\1\x85") "u."),
         keys, count, SIX, "two sizes"},
        {head, BYTES(ONE_ENTRY(TENSOR_OF(STORAGE_OF("Float", "0", "\6N"), "K\0", "K\2K\3\x86", "K\3K\1\x86"))), keys,
         count, SIX, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        bf_err e = {0};
        unsigned char *p =
            compose_old(cases[i].head, cases[i].object, cases[i].keys, cases[i].count, cases[i].data, &size);
        bf_status st = parse(p, size, &e);
        if (cases[i].message == NULL) {
            ck_assert_msg(st == BF_OK, "case %zu: %s", i, e.message);
            expect_six(p, size);
            test_truncations(parse, p, size);
            (void)test_flips(parse, p, size); /* no checksums here: only that nothing breaks */
        } else {
            ck_assert_msg(st == BF_FILE && strstr(e.message, cases[i].message) != NULL, "case %zu: status %d: %s", i,
                          st, e.message);
        }
        free(p);
    }
}
END_TEST

/* A part of a storage, as the oldest writers have them: elements 1 .. 4. */
START_TEST(part_of_a_storage)
{
    size_t size;
    bf_pt *f;
    float got[4];
    const bytes object = BYTES(
        ONE_ENTRY(TENSOR_OF(STORAGE_OF("Float", "0", "\6(" TEXT("\1", "v") "K\1K\4t"), "K\0", "K\4\x85", "K\1\x85")));
    unsigned char *p = compose_old(BYTES(OLD_HEAD), object, BYTES(OLD_KEYS), BYTES(OLD_COUNT), SIX, &size);
    OK(bf_pt_open_memory("part", p, size, &f, err));
    OK(bf_pt_read_f32(f, bf_pt_at(f, 0), got, err));
    ck_assert_mem_eq(got, six + 1, sizeof got);
    bf_pt_close(f);
    free(p);
    p = compose_old(
        BYTES(OLD_HEAD),
        BYTES(ONE_ENTRY(TENSOR_OF(STORAGE_OF("Float", "0", "\6(" TEXT("\1", "v") "K\3K\4t"), "K\0", ")", ")"))),
        BYTES(OLD_KEYS), BYTES(OLD_COUNT), SIX, &size);
    FAILS(BF_FILE, "does not lie inside", parse(p, size, err));
    free(p);
}
END_TEST

/* ---- pickles ----------------------------------------------------------------------------------------------------- */

START_TEST(refused_pickles)
{
    static const struct {
        bytes pickle;
        const char *message;
    } cases[] = {
#define CASE(literal, text) {{"" literal, sizeof("" literal) - 1}, text}
        /* calls */
        CASE("\x80\2cos\nsystem\n(" TEXT("\2", "id") "tR.", "it calls os.system,"),
        CASE("\x80\4\x8c\5posix\x8c\6system\x93(\x8c\2idtR.", "it calls posix.system,"),
        CASE("\x80\2(" TEXT("\2", "id") "ios\nsystem\n.", "it calls os.system,"),
        CASE("\x80\2(cos\nsystem\n" TEXT("\2", "id") "o.", "it calls os.system,"),
        CASE("\x80\2cbuiltins\neval\n" TEXT("\1", "1") "\x85R.", "it calls builtins.eval,"),
        CASE("\x80\2cbuiltins\ngetattr\nNN\x86R.", "it calls builtins.getattr,"),
        CASE("\x80\2ctorch.storage\n_load_from_bytes\nN\x85R.", "it calls torch.storage._load_from_bytes,"),
        CASE("\x80\2}" TEXT("\1", "a") "cos\nsystem\n)Rs.", "it calls os.system,"),
        CASE("\x80\2cos\nsystem\n)R0N.", "it calls os.system,"), /* thrown away again */
        CASE("\x80\2K\1)R.", "not named"),
        CASE("\x80\2ccollections\nOrderedDict\n)R)R.", "not named"),
        CASE("\x80\2ccollections\nOrderedDict\nK\1R.", "no tuple"),
        CASE("\x80\2K\1)\x81.", "not named"),
        CASE("\x80\2(o.", "not named"),
        CASE("\x80\2(" TEXT("\6", "module") "cos\nsystem\ntQ)R.", "it calls os.system,"),
        CASE("\x80\4K\1K\2\x93.", "no text"),
        /* the machine */
        CASE("", "cut short"),
        CASE("N.", "does not begin"),
        CASE("\x80\1N.", "protocol 1"),
        CASE("\x80\6N.", "protocol 6"),
        CASE("\x80\2.", "ends with 0 values"),
        CASE("\x80\2NN.", "ends with 2 values"),
        CASE("\x80\2(N.", "1 marks"),
        CASE("\x80\2N.N", "1 bytes follow the pickle"),
        CASE("\x80\2N", "cut short"),
        CASE("\x80\2P0\n.", "0x50"),
        CASE("\x80\2\x82\1.", "0x82"),
        CASE("\x80\5\x97.", "0x97"),
        CASE("\x80\2"
             "0.",
             "no mark"),
        CASE("\x80\2N(0.", NULL),
        CASE("\x80\2(N0"
             "0N.",
             NULL),
        CASE("\x80\2N(0"
             "0N.",
             NULL),
        CASE("\x80\2N(\x85.", "1 values are needed"),
        CASE("\x80\2t.", "no mark"),
        CASE("\x80\2"
             "2.",
             "nothing is on the stack"),
        CASE("\x80\2q\0.", "nothing is on the stack"),
        CASE("\x80\2h\0.", "never set"),
        CASE("\x80\2Nr\xff\xff\xff\x7f.", "out of range"),
        CASE("\x80\2Nq\5h\4.", "never set"),
        CASE("\x80\2N)s.", "nothing is on the stack"),
        CASE("\x80\2NK\1K\2s.", "cannot change"),
        CASE("\x80\2)K\1a.", "cannot change"),
        CASE("\x80\2]K\1K\2s.", "holds none"),
        CASE("\x80\2}K\1a.", "holds none"),
        CASE("\x80\2}(K\1u.", "without a value"),
        CASE("\x80\2(K\1d.", "without a value"),
        CASE("\x80\2K\1}b.", "no object"),
        CASE("\x80\2cx\ny\n)\x81(K\1eK\1K\2s.", "both a list and a dictionary"),
        CASE("\x80\2X\xff\xff\xff\xff.", "text of 4294967295 bytes"),
        CASE("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "text of 18446744073709551615 bytes"),
        CASE("\x80\4\x95\xff\xff\xff\xff\xff\xff\xff\xff.", "a frame of"),
        CASE("\x80\2\x8b\xff\xff\xff\x7f.", "text of 2147483647 bytes"),
        CASE("\x80\2J\1\2.", "cut short"),
        CASE("\x80\2G\1.", "cut short"),
        CASE("\x80\2cx\n", "without an end"),
        CASE("\x80\2]q\0h\0a.", "nested deeper"), /* holds itself */
        CASE("\x80\2}q\0" TEXT("\1", "a") "h\0s.", "nested deeper"),
        /* storages and tensors */
        CASE(ONE_ENTRY(TENSOR_OF("K\1", "K\0", "K\1\x85", "K\1\x85")), "no storage"),
        CASE(ONE_ENTRY(TENSOR_OF("K\1Q", "K\0", "K\1\x85", "K\1\x85")), "no storage"),
        CASE(ONE_ENTRY(TENSOR_OF("(" TEXT("\5", "other") "NNNNtQ", "K\0", "K\1\x85", "K\1\x85")), "no storage"),
        CASE(ONE_ENTRY(TENSOR_OF("(" TEXT("\7", "storage") "NNNNtQ", "K\0", ")", ")")), "no key"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE_OF("Flat", "0", "\6"), "K\0", ")", ")")), "torch.FlatStorage"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE_OF("Float", "7", "\6"), "K\0", ")", ")")), "\"7\" is not in the archive"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE_OF("Float", "0", "\7"), "K\0", ")", ")")), "has 24 bytes, expected 28"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE_OF("Double", "0", "\6"), "K\0", ")", ")")), "has 24 bytes, expected 48"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE_OF("Float", "0",
                                            "\6"
                                            "0J\xff\xff\xff\xff"),
                                 "K\0", ")", ")")),
             "negative"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE_OF("Float", "0",
                                            "\6"
                                            "0\x8a\x8\0\0\0\0\0\0\0\x7f"),
                                 "K\0", ")", ")")),
             "2^64"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "J\xff\xff\xff\xff", "K\1\x85", "K\1\x85")), "offset"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "J\xff\xff\xff\xff\x85", "K\1\x85")), "dimension 0"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "K\2\x85", "J\xff\xff\xff\xff\x85")), "stride 0"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "K\7\x85", "K\1\x85")), "beyond element 6"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\6", ")", ")")), "beyond element 6"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\1", "K\2K\3\x86", "K\3K\1\x86")), "beyond element 6"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "K\2\x85", "\x8a\x8\0\0\0\0\0\0\0\x7f\x85")), "beyond element 6"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "K\3\x85", "\x8a\x8\0\0\0\0\0\0\0\x7f\x85")), "beyond element 6"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "K\1\x85", ")")), "do not match"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "K\1", "K\1")), "do not match"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t")),
             "9 dimensions"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "\x8a\5\0\0\0\0\1\x8a\5\0\0\0\0\1\x86", "K\0K\0\x86")), "2^64"),
        CASE(ONE_ENTRY(TENSOR_OF(STORAGE, "K\0", "\x8a\5\0\0\0\0\1\x85", "K\0\x85")), "4294967296 elements"),
        CASE(ONE_ENTRY("ctorch._utils\n_rebuild_tensor_v2\n" STORAGE "\x85R"), "arguments are too few"),
        CASE(ONE_ENTRY("ctorch._utils\n_rebuild_tensor_v3\n(" STORAGE "K\0))\x89NtR"), "arguments are too few"),
        CASE(ONE_ENTRY("ctorch._utils\n_rebuild_tensor_v3\n(" STORAGE "K\0))\x89Nctorch\nint3\ntR"),
             "type is not known"),
        CASE(ONE_ENTRY("ctorch._utils\n_rebuild_tensor_v3\n(" STORAGE "K\0K\4\x85K\1\x85\x89Nctorch\nint64\ntR"),
             "beyond element 3"),
        /* names */
        CASE("\x80\2}(" TEXT("\1", "a") TENSOR TEXT("\1", "a") TENSOR "u.", "two tensors are called \"a\""),
        CASE("\x80\2}" TEXT("\1", "\xff") TENSOR "s.", "is no text"),
        CASE("\x80\2}" TEXT("\3", "a\0b") TENSOR "s.", "is no text"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bf_err e = {0};
        const bool fine = cases[i].message == NULL;
        bf_status st = parse_pickle(cases[i].pickle, &e);
        ck_assert_msg(st == (fine ? BF_OK : BF_FILE) && (fine || strstr(e.message, cases[i].message) != NULL),
                      "case %zu: status %d: %s; expected \"%s\"", i, st, e.message, fine ? "" : cases[i].message);
    }
}
END_TEST

/* `before`, `n` times `again`, `after`. */
static void expect_repeated(bytes before, bytes again, size_t n, bytes after, const char *message)
{
    draft d = {0};
    bf_err e = {0};
    draft_put(&d, before.p, before.n);
    while (n-- > 0) draft_put(&d, again.p, again.n);
    draft_put(&d, after.p, after.n);
    bf_status st = parse_pickle((bytes){(const char *)d.p, d.n}, &e);
    ck_assert_msg(message != NULL ? st == BF_FILE && strstr(e.message, message) != NULL : st == BF_OK,
                  "status %d: %s; expected \"%s\"", st, e.message, message != NULL ? message : "");
    free(d.p);
}

/* Small in the file and large in memory, deep, or endless. */
START_TEST(bombs)
{
    expect_repeated(BYTES("\x80\2N"), BYTES("\x85"), 50, BYTES("."), NULL);
    expect_repeated(BYTES("\x80\2N"), BYTES("\x85"), 5000, BYTES("."), "nested deeper");
    expect_repeated(BYTES("\x80\2"), BYTES("("), 5000, BYTES("."), "nested deeper");
    expect_repeated(BYTES("\x80\2N"), BYTES("2\x86"), 60, BYTES("."), "refer to each other"); /* 2^60 leaves */
    expect_repeated(BYTES("\x80\2("), BYTES("N"), 1100000, BYTES("t."), "on the stack");
    expect_repeated(BYTES("\x80\2("),
                    BYTES("K\1"
                          "0"),
                    2200000, BYTES("t."), "more than 2097152 values");
    expect_repeated(BYTES("\x80\4N"), BYTES("\x94"), 100000, BYTES("."), NULL);
    /* one tensor, 65 537 times under as many names */
    draft d = {0};
    draft_put(&d, "\x80\2]", 3);
    draft_put(&d, TENSOR, sizeof TENSOR - 1);
    draft_put(&d, "q\0a(", 4);
    for (int i = 0; i < BF_PT_MAX_TENSORS; i++) draft_put(&d, "h\0", 2);
    draft_put(&d, "e.", 2);
    FAILS(BF_FILE, "more than 65536 tensors", parse_pickle((bytes){(const char *)d.p, d.n}, err));
    free(d.p);
    /* a name of 1100 bytes */
    d = (draft){0};
    draft_put(&d, "\x80\2}X\x4c\4\0\0", 8);
    for (int i = 0; i < 1100; i++) draft_put(&d, "n", 1);
    draft_put(&d, TENSOR, sizeof TENSOR - 1);
    draft_put(&d, "s.", 2);
    FAILS(BF_FILE, "longer than 1024", parse_pickle((bytes){(const char *)d.p, d.n}, err));
    free(d.p);
}
END_TEST

/* Every kind of value, protocols 2 to 5, names of nested tensors, classes that nobody knows. */
START_TEST(accepted_pickles)
{
    static const struct {
        bytes pickle;
        const char *name, *json; /* of the first tensor; of the contents */
    } cases[] = {
#define GOOD(literal, first, contents) {{"" literal, sizeof("" literal) - 1}, first, contents}
        GOOD(ONE_ENTRY(TENSOR), "a", "{\"tensors\":1}"),
        GOOD("\x80\2" TENSOR ".", "", "\"tensor\""),
        GOOD("\x80\3]q\0(" TENSOR "NK\7e.", "0", "[\"tensor\",null,7]"),
        GOOD("\x80\2}K\5}" TEXT("\1", "x") TENSOR "ss.", "5.x", "{\"5\":{\"tensors\":1}}"),
        GOOD("\x80\2ccollections\nOrderedDict\n)R(" TEXT("\1", "a") TENSOR "u}" TEXT("\1", "m") "Nsb.", "a",
             "{\"tensors\":1}"),
        GOOD("\x80\2ccollections\nOrderedDict\n]]U\1a"
             "a" TENSOR "aa\x85R.",
             "a", NULL), /* Python 2 */
        GOOD(ONE_ENTRY("ctorch._utils\n_rebuild_parameter\n" TENSOR "\x88}\x87R"), "a", "{\"tensors\":1}"),
        GOOD(ONE_ENTRY(
                 "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\ncmy.own\nTensor\n(" STORAGE
                 "K\0K\6\x85K\1\x85\x89}t}tR"),
             "a", "{\"tensors\":1}"),
        GOOD(ONE_ENTRY("ctorch._utils\n_rebuild_tensor\n(" STORAGE "K\0ctorch\nSize\nK\6\x85\x85RK\1\x85tR"), "a",
             "{\"tensors\":1}"),
        GOOD("\x80\2cmy.own\nModule\n)\x81}(" TEXT("\x8", "_modules") "}" TEXT("\3", "lin") "cmy.own\nLin\n)\x81}" TEXT(
                 "\13", "_parameters") "}" TEXT("\1", "w") TENSOR "ssbs" TEXT("\4", "mode") "\x88ub.",
             "lin.w", NULL),
        GOOD("\x80\2]cos\nsystem\na.", NULL, "[\"os.system\"]"), /* only mentioned */
        GOOD("\x80\2cmy\nThing\nK\1\x85\x81}" TEXT("\1", "s") "G\x3f\xe0\0\0\0\0\0\0sb.", NULL,
             "{\"class\":\"my.Thing\",\"arguments\":[1],\"state\":{\"s\":0.5}}"),
        GOOD("\x80\4\x95\2\0\0\0\0\0\0\0\x88.", NULL, "true"),
        GOOD("\x80\5\x96\3\0\0\0\0\0\0\0abc.", NULL, "\"3 bytes\""),
        GOOD("\x80\4\x8f(K\1\x90.", NULL, "[1]"),
        GOOD("\x80\4(K\1\x91.", NULL, "[1]"),
        GOOD("\x80\2(" TEXT("\6", "module") "cmy\nNet\nNNtQ)\x81.", NULL, "{\"class\":\"my.Net\"}"),
        GOOD("\x80\2(K\1J\xfe\xff\xff\xffM\0\1\x8a\1\xff\x8a\0t.", NULL, "[1,-2,256,-1,0]"),
        GOOD("\x80\2\x8a\x9\1\2\3\4\5\6\7\x8\x9.", NULL, "\"integer of 9 bytes\""),
        GOOD("\x80\2G\x7f\xf0\0\0\0\0\0\0.", NULL, "\"inf\""),
        GOOD("\x80\2X\2\0\0\0\xc3\x28.", NULL, "\"?(\""),
        GOOD("\x80\2(K\1K\2l(K\1K\2d\x86.", NULL, "[[1,2],{\"1\":2}]"),
        GOOD("\x80\4ctorch\ndevice\n\x8c\4cuda\x85R.", NULL, "{\"class\":\"torch.device\",\"arguments\":[\"cuda\"]}"),
        GOOD("\x80\4cmy\nThing\n)}\x92.", NULL, "{\"class\":\"my.Thing\"}"),
        GOOD("\x80\2(ccollections\ndeque\no.", NULL, "{\"class\":\"collections.deque\"}"),
        GOOD("\x80\2(icollections\ndeque\n.", NULL, "{\"class\":\"collections.deque\"}"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        bf_pt *f;
        json_t *contents;
        unsigned char *p = wrap(cases[i].pickle, &size);
        OK(parse(p, size, err));
        OK(bf_pt_open_memory("good", p, size, &f, err));
        ck_assert_msg(bf_pt_count(f) == (cases[i].name != NULL), "case %zu", i);
        if (cases[i].name != NULL) {
            float got[6];
            ck_assert_str_eq(bf_pt_at(f, 0)->name, cases[i].name);
            OK(bf_pt_read_f32(f, bf_pt_at(f, 0), got, err));
            ck_assert_mem_eq(got, six, sizeof six);
        }
        OK(bf_pt_contents(f, &contents, err));
        char *text = json_dumps(contents, JSON_COMPACT | JSON_ENCODE_ANY);
        if (cases[i].json != NULL) ck_assert_str_eq(text, cases[i].json);
        free(text);
        json_decref(contents);
        bf_pt_close(f);
        free(p);
    }
}
END_TEST

/* Listed with their own type, and refused when read. */
START_TEST(unsupported_type)
{
    size_t size;
    bf_pt *f;
    float x[3];
    unsigned char *p =
        wrap(BYTES(ONE_ENTRY(TENSOR_OF(STORAGE_OF("ComplexFloat", "0", "\3"), "K\0", "K\3\x85", "K\1\x85"))), &size);
    OK(bf_pt_open_memory("x.file", p, size, &f, err));
    ck_assert(!bf_pt_at(f, 0)->readable);
    ck_assert_str_eq(bf_pt_at(f, 0)->type, "complex64");
    FAILS(BF_FILE, "complex64", bf_pt_read_f32(f, bf_pt_at(f, 0), x, err));
    bf_pt_close(f);
    free(p);
}
END_TEST

/* A file that shrinks while it is open is refused, not read. */
START_TEST(shrinking_file)
{
    size_t size;
    bf_pt *f;
    float x[6];
    unsigned char *p = wrap(BYTES(ONE_ENTRY(TENSOR)), &size);
    const char *path = test_path("shrinks.pt");
    test_spill(path, p, size);
    OK(bf_pt_open(path, &f, err));
    test_spill(path, p, size / 2);
    FAILS(BF_FILE, "was cut", bf_pt_read_f32(f, bf_pt_at(f, 0), x, err));
    bf_pt_close(f);
    free(p);
}
END_TEST

START_TEST(kinds)
{
    ck_assert_int_eq(bf_kind_of_bytes("\x80\4\x95", 3), BF_KIND_TORCH);
    ck_assert_int_eq(bf_kind_of_bytes("\x80\1\x95", 3), BF_KIND_UNKNOWN);
    ck_assert_int_eq(bf_kind_of_bytes("PK\3\4", 4), BF_KIND_TORCH);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pt");
    TCase *files = tcase_create("files"), *containers = tcase_create("containers"), *pickles = tcase_create("pickles");
    tcase_set_timeout(files, 120);
    tcase_add_test(files, views_strides_and_types);
    tcase_add_test(files, layouts);
    tcase_add_test(files, wrapped_in_the_older_container);
    tcase_add_test(files, damaged_files);
    tcase_add_test(files, every_byte_of_an_archive);
    tcase_add_test(files, shrinking_file);
    tcase_add_test(files, kinds);
    suite_add_tcase(s, files);
    tcase_set_timeout(containers, 120);
    tcase_add_test(containers, archives);
    tcase_add_test(containers, more_archives);
    tcase_add_test(containers, byte_order);
    tcase_add_test(containers, older_container);
    tcase_add_test(containers, part_of_a_storage);
    suite_add_tcase(s, containers);
    tcase_set_timeout(pickles, 120);
    tcase_add_test(pickles, refused_pickles);
    tcase_add_test(pickles, bombs);
    tcase_add_test(pickles, accepted_pickles);
    tcase_add_test(pickles, unsupported_type);
    suite_add_tcase(s, pickles);
    return test_main(s);
}
