/* Weights of a network in files of other programs: prefixes, averages, and what does not fit. */
#include "files.h"
#include "pt_files.h"
#include "run/weights.h"

/* A network of two parameters and a fixed table. */
static bf_params *network(void)
{
    static const float table[2] = {5, 6};
    const bf_param_spec specs[] = {{.name = "out.weight", .ndim = 2, .dims = {2, 3}},
                                   {.name = "out.bias", .ndim = 1, .dims = {2}},
                                   {.name = "table", .ndim = 1, .dims = {2}, .buffer = true, .data = table}};
    bf_params *p;
    OK(bf_params_new(test_ctx(BF_CLASS_CPU), &p, err));
    for (int i = 0; i < 3; i++) OK(bf_params_add(p, &specs[i], &(int){0}, err));
    return p;
}

/* A tensor of the numbers start, start + 1, ... */
typedef struct entry {
    const char *name;
    float start;
    int ndim;
    uint64_t dims[2];
} entry;

#define WEIGHT(name, start)                                                                                            \
    {                                                                                                                  \
        name, start, 2,                                                                                                \
        {                                                                                                              \
            2, 3                                                                                                       \
        }                                                                                                              \
    }
#define BIAS(name, start)                                                                                              \
    {                                                                                                                  \
        name, start, 1,                                                                                                \
        {                                                                                                              \
            2                                                                                                          \
        }                                                                                                              \
    }

/* Up to 8 entries; a name of NULL ends the list. */
static const char *write_entries(const entry e[8])
{
    static float numbers[8][8];
    bf_st_item items[8] = {{0}};
    size_t n = 0;
    for (; n < 8 && e[n].name != NULL; n++) {
        for (int k = 0; k < 8; k++) numbers[n][k] = e[n].start + (float)k;
        items[n] = (bf_st_item){.name = e[n].name, .dtype = BF_F32, .ndim = e[n].ndim, .data = numbers[n]};
        memcpy(items[n].dims, e[n].dims, sizeof e[n].dims);
    }
    const char *path = test_path("weights");
    OK(bf_st_write(path, items, n, NULL, 0, err));
    return path;
}

static bf_status find(const entry e[8], bool averaged, char prefix[64], float first[3], bf_err *err)
{
    bf_status st = BF_OK;
    bf_params *p = network();
    bf_tensors *f = NULL;
    bf_weights w = {0};
    BF_TRY(bf_tensors_open(write_entries(e), &f, err));
    BF_TRY(bf_weights_find(p, f, averaged, &w, err));
    snprintf(prefix, 64, "%.63s", w.prefix);
    for (int i = 0; i < 3; i++) {
        float x[6];
        BF_TRY(bf_weights_read(&w, i, x, err));
        first[i] = x[0];
    }
out:
    bf_weights_free(&w);
    bf_tensors_close(f);
    bf_params_free(p);
    return st;
}

START_TEST(prefixes)
{
    static const struct {
        entry entries[8];
        const char *raw, *averaged; /* expected prefixes */
        float start[2];             /* of the weights found behind them */
        float table;
    } cases[] = {
        {{WEIGHT("out.weight", 1), BIAS("out.bias", 2)}, "", "", {1, 1}, 5},
        {{WEIGHT("net.out.weight", 1), BIAS("net.out.bias", 2), BIAS("net.table", 7)}, "net.", "net.", {1, 1}, 7},
        {{WEIGHT("module.net.out.weight", 1), BIAS("module.net.out.bias", 2)}, "module.net.", "module.net.", {1, 1}, 5},
        {{WEIGHT("ema.out.weight", 1), BIAS("ema.out.bias", 2), WEIGHT("net.out.weight", 3), BIAS("net.out.bias", 4)},
         "net.",
         "ema.",
         {3, 1},
         5},
        {{WEIGHT("a.exp_avg.out.weight", 1), BIAS("a.exp_avg.out.bias", 2), WEIGHT("model.net.out.weight", 3),
          BIAS("model.net.out.bias", 4), WEIGHT("model_ema.module.out.weight", 5),
          BIAS("model_ema.module.out.bias", 6)},
         "model.net.",
         "model_ema.module.",
         {3, 5},
         5},
        {{WEIGHT("other.out.weight", 1), WEIGHT("net.out.weight", 3), BIAS("net.out.bias", 4)}, /* one is incomplete */
         "net.",
         "net.",
         {3, 3},
         5},
        {{WEIGHT("cinema.out.weight", 1), BIAS("cinema.out.bias", 2), WEIGHT("zz_ema.out.weight", 3),
          BIAS("zz_ema.out.bias", 4)},
         "cinema.",
         "zz_ema.",
         {1, 3},
         5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int averaged = 0; averaged < 2; averaged++) {
            char prefix[64];
            float first[3];
            OK(find(cases[i].entries, averaged, prefix, first, err));
            ck_assert_str_eq(prefix, averaged ? cases[i].averaged : cases[i].raw);
            ck_assert_msg(first[0] == cases[i].start[averaged] && first[1] == first[0] + 1, "case %zu", i);
            ck_assert_msg(first[2] == cases[i].table, "case %zu", i);
        }
}
END_TEST

START_TEST(what_does_not_fit)
{
    static const struct {
        entry entries[8];
        const char *message;
    } cases[] = {
        {{WEIGHT("something", 1)}, "none of the 2 weights of the network is in it, not even \"out.weight\""},
        {{WEIGHT("without.weight", 1)}, "none of the 2 weights"}, /* not after a dot */
        {{WEIGHT("net.out.weight", 1)}, "tensor \"net.out.bias\" of shape [2] is missing"},
        {{BIAS("net.out.bias", 1)}, "tensor \"net.out.weight\" of shape [2,3] is missing"},
        {{{"net.out.weight", 1, 2, {3, 2}}, BIAS("net.out.bias", 1)},
         "tensor \"net.out.weight\" has shape [3,2], expected [2,3]"},
        {{{"net.out.weight", 1, 1, {6}}, BIAS("net.out.bias", 1)},
         "tensor \"net.out.weight\" has shape [6], expected [2,3]"},
        {{WEIGHT("net.out.weight", 1), BIAS("net.out.bias", 1), {"net.table", 1, 1, {3}}},
         "tensor \"net.table\" has shape [3], expected [2]"},
        {{WEIGHT("net.out.weight", 1), BIAS("net.out.bias", 1), BIAS("net.more", 1)},
         "tensor \"net.more\" of shape [2] is not expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char prefix[64];
        float first[3];
        FAILS(BF_FILE, cases[i].message, find(cases[i].entries, false, prefix, first, err));
    }
}
END_TEST

/* In a PyTorch file the whole dictionary has to belong to the network, and only that dictionary. */
START_TEST(dictionaries)
{
#define NUMBERS(sizes, strides) TENSOR_OF(STORAGE, "K\0", sizes, strides)
#define OUT_WEIGHT NUMBERS("K\2K\3\x86", "K\3K\1\x86")
#define OUT_BIAS NUMBERS("K\2\x85", "K\1\x85")
#define STATE TEXT("\12", "out.weight") OUT_WEIGHT TEXT("\10", "out.bias") OUT_BIAS
    static const float six[6] = {1, 2, 3, 4, 5, 6};
    const struct {
        bytes pickle;
        const char *message; /* NULL: fits */
    } cases[] = {
        {BYTES("\x80\2}(" STATE "u."), NULL},
        {BYTES("\x80\2}(" TEXT("\1", "m") "}(" STATE "u" TEXT("\1", "o") NUMBERS(")", ")") "u."), NULL},
        {BYTES("\x80\2}(" STATE TEXT("\1", "o") NUMBERS(")", ")") "u."), "tensor \"o\" of shape [] is not expected"},
        {BYTES("\x80\2}(" TEXT("\12", "out.weight")
                   TENSOR_OF(STORAGE_OF("QInt32", "0", "\6"), "K\0", "K\2K\3\x86", "K\3K\1\x86") TEXT("\10", "out.bias")
                       NUMBERS("K\2\x85", "K\1\x85") "u."),
         "element type qint32 is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        bf_err e = {0};
        bf_tensors *f;
        bf_weights w = {0};
        bf_params *p = network();
        part parts[] = {{.name = "t/data.pkl", .content = cases[i].pickle},
                        {.name = "t/data/0", .content = {(const char *)six, sizeof six}}};
        unsigned char *data = zip_compose(parts, 2, false, "", &size);
        test_spill(test_path("weights.pt"), data, size);
        OK(bf_tensors_open(test_path("weights.pt"), &f, err));
        bf_status st = bf_weights_find(p, f, false, &w, &e);
        if (cases[i].message == NULL) {
            ck_assert_msg(st == BF_OK, "case %zu: %s", i, e.message);
        } else {
            ck_assert_msg(st == BF_FILE && strstr(e.message, cases[i].message) != NULL, "case %zu: status %d: %s", i,
                          st, e.message);
        }
        bf_weights_free(&w);
        bf_tensors_close(f);
        bf_params_free(p);
        free(data);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("weights");
    TCase *c = tcase_create("weights");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, prefixes);
    tcase_add_test(c, what_does_not_fit);
    tcase_add_test(c, dictionaries);
    suite_add_tcase(s, c);
    return test_main(s);
}
