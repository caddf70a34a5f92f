/* Configuration files: every key and default, messages with line and nearest key, truncation, round trip. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "run/config.h"
#include "support.h"

static bf_status parse(const char *text, bf_config *c, bf_err *err)
{
    return bf_config_parse(text, strlen(text), "x.yaml", c, err);
}

/* The text is refused with BF_USAGE and a message that contains `part`. */
static void refused(const char *text, const char *part)
{
    bf_config c;
    bf_err err = {0};
    ck_assert_int_eq(parse(text, &c, &err), BF_USAGE);
    ck_assert_msg(strstr(err.message, part), "message \"%s\" lacks \"%s\"", err.message, part);
}

START_TEST(defaults_are_valid)
{
    bf_config c;
    char set[1200];
    bf_config_defaults(&c);
    OK(bf_config_check(&c, err));
    for (size_t i = 0; i < bf_config_key_count; i++) { /* bf_config_defaults cannot report a bad table */
        snprintf(set, sizeof set, "%s=%s", bf_config_keys[i].name, bf_config_keys[i].def);
        OK(bf_config_set(&c, set, err));
    }
    ck_assert_int_eq(c.train.batch, 48);
    ck_assert_int_eq(c.net.mult.n, 3);
    ck_assert(c.net.skip && !c.data.flip);
}
END_TEST

START_TEST(every_config_loads)
{
    glob_t g;
    ck_assert_int_eq(glob("configs/*.yaml", 0, NULL, &g), 0);
    ck_assert_uint_ge(g.gl_pathc, 5);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        bf_config c;
        OK(bf_config_load(g.gl_pathv[i], &c, err));
        OK(bf_config_check(&c, err));
    }
    globfree(&g);
}
END_TEST

START_TEST(messages_name_line_and_key)
{
    refused("train:\n  steps: 5\n  lrr: 1\n...\n", "x.yaml:3: unknown key \"train.lrr\"; the nearest is \"train.lr\"");
    refused("train:\n  width: 5\n...\n", "the nearest is \"net.width\"");
    refused("trian:\n  lr: 1\n...\n", "x.yaml:1: unknown section \"trian\"");
    refused("data:\n  bins: many\n...\n", "x.yaml:2: data.bins: \"many\" is not a whole number");
    refused("data:\n  bins: 2.5\n...\n", "not a whole number");
    refused("train:\n\n  lr: 11\n...\n", "x.yaml:3: train.lr = 11 is out of range (0 to 10)");
    refused("train:\n  lr: nan\n...\n", "not a number");
    refused("train:\n  lr: 0x10\n...\n", "not a number");
    refused("flow:\n  kind: discrete\n...\n", "x.yaml:2: flow.kind: \"discrete\" is not one of continuous, ");
    refused("net:\n  skip: yes\n...\n", "x.yaml:2: net.skip: \"yes\" is not true or false");
    refused("net:\n  mult: 3\n...\n", "x.yaml:2: net.mult: a list is wanted");
    refused("net:\n  mult:\n    - 1\n    - x\n...\n", "x.yaml:4: net.mult: \"x\"");
    refused("net:\n  width: [1, 2]\n...\n", "x.yaml:2: net.width: one value is wanted");
    refused("net:\n  width: {a: 1}\n...\n", "x.yaml:2: net.width: a value is wanted");
    refused("net:\n  mult: [1,1,1,1,1,1,1,1,1]\n...\n", "more than 8 values");
    refused("net:\n  width: 8\n  width: 9\n...\n", "x.yaml:3: net.width was given before, in line 2");
    refused("net: &a\n  width: 8\n...\n", "anchors and aliases");
    refused("- 1\n...\n", "x.yaml:1: sections are wanted");
    refused("net:\n  width: \"8\n...\n", "not valid YAML");
    refused("net:\n  width: 8\n---\nnet:\n  width: 8\n...\n", "second document");
    refused("", "empty");
}
END_TEST

START_TEST(contradictions)
{
    static const struct {
        const char *set, *part;
    } cases[] = {{"data.transform=binarise", "needs flow.kind categorical"},
                 {"data.transform=continuous", "needs flow.kind continuous"},
                 {"flow.output=delta", "needs flow.kind continuous"},
                 {"data.transform=text", "needs flow.kind categorical"},
                 {"net.groups=7", "net.groups = 7 does not divide"},
                 {"net.mult=[]", "net.mult is empty"},
                 {"net.heads=3", "net.heads = 3 does not divide"},
                 {"net.causal=true", "net.causal has no meaning with net.kind unet"},
                 {"net.neighbours=5", "net.neighbours has no meaning with net.kind unet"},
                 {"net.kind=unio2", "go together"},
                 {"data.transform=molecules", "go together"},
                 {"data.size=[32]", "data.size is a height and a width"},
                 {"data.size=[32, 32, 2]", "data.size: 2 channels"},
                 {"train.accumulate=5", "train.accumulate = 5 does not divide train.batch = 48"},
                 {"train.lr_final=1", "train.lr_final is larger"},
                 {"eval.loss_steps=[]", "eval.loss_steps is empty"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bf_config c;
        bf_err bad = {0};
        bf_config_defaults(&c);
        OK(bf_config_set(&c, cases[i].set, err));
        ck_assert_int_eq(bf_config_check(&c, &bad), BF_USAGE);
        ck_assert_msg(strstr(bad.message, cases[i].part), "%s: \"%s\"", cases[i].set, bad.message);
    }
}
END_TEST

START_TEST(texts_are_not_mirrored)
{
    bf_config c;
    bf_err bad = {0};
    OK(bf_config_load("configs/text_small.yaml", &c, err));
    OK(bf_config_check(&c, err));
    OK(bf_config_set(&c, "data.flip=true", err));
    ck_assert_int_eq(bf_config_check(&c, &bad), BF_USAGE);
    ck_assert_ptr_nonnull(strstr(bad.message, "data.flip has no meaning for a text"));
}
END_TEST

/* Characters that YAML does not print, or folds as line ends, survive in a vocabulary. */
START_TEST(vocabulary_round_trip)
{
    static const char set[] = "data.vocabulary=\t\n \"\\a\x7f\xc2\x80\xc2\x85\xc2\x9f\xc2\xa0\xc3\xa9\xe2\x80\xa8"
                              "\xe2\x80\xa9\xef\xbb\xbf\xef\xbf\xbe\xef\xbf\xbf\xf0\x9f\x98\x80";
    bf_config c, d;
    char *text = NULL;
    bf_config_defaults(&c);
    OK(bf_config_set(&c, set, err));
    OK(bf_config_text(&c, false, &text, err));
    OK(parse(text, &d, err));
    ck_assert_str_eq(c.data.vocabulary, strchr(set, '=') + 1);
    ck_assert_str_eq(d.data.vocabulary, c.data.vocabulary);
    free(text);
}
END_TEST

START_TEST(overrides)
{
    bf_config c;
    bf_err bad = {0};
    bf_config_defaults(&c);
    OK(bf_config_set(&c, "net.mult=1,3", err));
    ck_assert(c.net.mult.n == 2 && c.net.mult.v[1] == 3);
    OK(bf_config_set(&c, "net.mult=[2]", err));
    ck_assert(c.net.mult.n == 1 && c.net.mult.v[0] == 2);
    OK(bf_config_set(&c, "data.train=a=b.npy", err));
    ck_assert_str_eq(c.data.train, "a=b.npy");
    ck_assert_int_eq(bf_config_set(&c, "train.lr", &bad), BF_USAGE);
    ck_assert_int_eq(bf_config_set(&c, "train.stepz=1", &bad), BF_USAGE);
    ck_assert(strstr(bad.message, "train.steps"));
    /* a file that said so could not be read back: not UTF-8, long forms, surrogates, beyond U+10FFFF, cut off */
    static const char *const texts[] = {"\xff",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
                                        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "a\xe2\x80"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char set[32];
        snprintf(set, sizeof set, "data.train=%s", texts[i]);
        ck_assert_msg(bf_config_set(&c, set, &bad) == BF_USAGE, "text %zu was accepted", i);
        ck_assert(strstr(bad.message, "UTF-8"));
    }
    ck_assert_int_eq(bf_config_set(&c, "net.width=1e300", &bad), BF_USAGE);
}
END_TEST

START_TEST(resolved_text_reads_back)
{
    bf_config a, b;
    char *text = NULL, *again = NULL, *origins = NULL;
    OK(bf_config_load("configs/tiny.yaml", &a, err));
    OK(bf_config_set(&a, "train.lr=0.1234567890123", err));
    OK(bf_config_set(&a, "data.test=a \"b\" \\ \t\xc3\xa9.npy", err));
    OK(bf_config_text(&a, false, &text, err));
    OK(parse(text, &b, err));
    OK(bf_config_text(&b, false, &again, err));
    ck_assert_str_eq(text, again);
    ck_assert_str_eq(a.data.test, b.data.test);
    ck_assert(a.train.lr == b.train.lr);
    OK(bf_config_text(&a, true, &origins, err));
    ck_assert(strstr(origins, "# option") && strstr(origins, "# file") && strstr(origins, "# default"));
    OK(parse(origins, &b, err));
    free(text);
    free(again);
    free(origins);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    void *text = NULL;
    size_t n = 0;
    OK(bf_file_read("configs/tiny.yaml", 1 << 20, &text, &n, err));
    for (size_t i = 0; i < n; i++) {
        bf_config c;
        bf_err err = {0};
        ck_assert_int_eq(bf_config_parse(text, i, "cut", &c, &err), BF_USAGE);
        ck_assert(err.message[0]);
    }
    free(text);
}
END_TEST

START_TEST(every_flipped_byte_is_survived)
{
    void *text = NULL;
    size_t n = 0;
    OK(bf_file_read("configs/tiny.yaml", 1 << 20, &text, &n, err));
    for (size_t i = 0; i < n; i++) {
        bf_config c;
        bf_err err = {0};
        char *p = (char *)text + i;
        const char old = *p;
        *p = (char)(old ^ 0x80);
        const bf_status st = bf_config_parse(text, n, "flipped", &c, &err);
        ck_assert(st == BF_OK || (st == BF_USAGE && err.message[0]));
        *p = old;
    }
    free(text);
}
END_TEST

START_TEST(json_has_every_key)
{
    bf_config c;
    json_t *j = NULL;
    size_t n = 0;
    bf_config_defaults(&c);
    OK(bf_config_json(&c, &j, err));
    const char *name;
    json_t *section;
    json_object_foreach(j, name, section) n += json_object_size(section);
    ck_assert_uint_eq(n, bf_config_key_count);
    json_decref(j);
}
END_TEST

START_TEST(fingerprint)
{
    bf_config a, b;
    bf_config_defaults(&a);
    b = a;
    OK(bf_config_set(&b, "device.select=gpu", err));
    OK(bf_config_set(&b, "train.save_every=7", err));
    ck_assert(bf_config_hash(&a) == bf_config_hash(&b));
    OK(bf_config_set(&b, "train.lr=0.5", err));
    ck_assert(bf_config_hash(&a) != bf_config_hash(&b));
}
END_TEST

START_TEST(edit_distance)
{
    ck_assert_int_eq(bf_edit_distance("width", "width"), 0);
    ck_assert_int_eq(bf_edit_distance("width", "WIDht"), 1);
    ck_assert_int_eq(bf_edit_distance("", "abc"), 3);
    ck_assert_int_eq(bf_edit_distance("kitten", "sitting"), 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config");
    TCase *t = tcase_create("config");
    tcase_add_test(t, defaults_are_valid);
    tcase_add_test(t, every_config_loads);
    tcase_add_test(t, messages_name_line_and_key);
    tcase_add_test(t, contradictions);
    tcase_add_test(t, texts_are_not_mirrored);
    tcase_add_test(t, overrides);
    tcase_add_test(t, vocabulary_round_trip);
    tcase_add_test(t, resolved_text_reads_back);
    tcase_add_test(t, every_truncation_is_refused);
    tcase_add_test(t, every_flipped_byte_is_survived);
    tcase_add_test(t, json_has_every_key);
    tcase_add_test(t, fingerprint);
    tcase_add_test(t, edit_distance);
    suite_add_tcase(s, t);
    return test_main(s);
}
