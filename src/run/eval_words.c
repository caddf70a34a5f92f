/* Words of generated texts. run/eval_samples.h */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "base/stats.h"
#include "io/words.h"
#include "run/eval_samples.h"

#define MAX_SAMPLES ((uint64_t)1 << 30) /* bytes of a file */
#define HELD_OUT 1000                   /* texts at most */

/* The words of the training part of a text. */
static bf_status training_words(const bf_sample_eval *e, const char *path, bf_words **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_vocabulary *v = NULL;
    char resolved[BF_VOCABULARY_TEXT], *text = NULL;
    bf_array classes = {0};
    size_t used = 0;
    const bf_dataset_options o = bf_setup_data(&e->config);
    BF_NEW(v, 1);
    BF_TRY(bf_text_read(path, e->config.data.vocabulary, resolved, &classes, err));
    BF_TRY(bf_vocabulary_parse(resolved, v, err));
    const uint64_t n = classes.count - (uint64_t)((o.test + o.validation) * (double)classes.count);
    BF_NEW(text, 4 * n + 1);
    for (uint64_t i = 0; i < n; i++) used += bf_vocabulary_put(v, ((const uint16_t *)classes.data)[i], text + used);
    BF_TRY(bf_words_of(text, used, out, err));
out:
    bf_array_free(&classes);
    free(text);
    free(v);
    return st;
}

/* Share of known words in the windows that were kept for test; NaN without any. */
static bf_status held_out(const bf_sample_eval *e, const bf_words *w, double *share, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_config *c = &e->config;
    const bool own = bf_setup_tests_training_text(c);
    bf_dataset_options o = bf_setup_data(c);
    bf_dataset *ds = NULL;
    bf_vocabulary *v = NULL;
    int32_t *classes = NULL;
    char *text = NULL;
    uint64_t sum = 0, known = 0;
    bf_err ignored;
    o.validation = 0;
    o.test_part = own;
    if (!own) o.test = 0;
    if (bf_dataset_open(own ? c->data.train : c->data.test, &o, &ds, &ignored) != BF_OK) goto out;
    const uint64_t n = BF_MIN(bf_dataset_get_info(ds).count, (uint64_t)HELD_OUT);
    BF_NEW(v, 1);
    BF_NEW(classes, o.length);
    BF_NEW(text, 4 * (uint64_t)o.length);
    BF_TRY(bf_vocabulary_parse(bf_dataset_vocabulary(ds), v, err));
    for (uint64_t i = 0; i < n; i++) {
        const bf_rows rows = {.classes = classes};
        uint64_t all, some;
        size_t used = 0;
        BF_TRY(bf_dataset_eval_rows(ds, BF_SPLIT_ALL, i, 1, 0, &rows, err));
        for (uint32_t k = 0; k < o.length; k++) used += bf_vocabulary_put(v, classes[k], text + used);
        bf_words_match(w, text, used, true, &all, &some);
        sum += all;
        known += some;
    }
    *share = sum > 0 ? (double)known / (double)sum : NAN;
out:
    bf_dataset_free(ds);
    free(v);
    free(classes);
    free(text);
    return st;
}

/* Every line is a text. Without words its weight is 0, so it does not count for the standard error either. */
static bf_status match_lines(const bf_words *w, const char *text, size_t size, bfncl_words_result *r, bf_err *err)
{
    bf_status st = BF_OK;
    double *share = NULL, *words = NULL;
    uint64_t used = 0, lines = 1;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    BF_NEW(share, lines);
    BF_NEW(words, lines);
    for (size_t at = 0; at < size;) {
        const char *stop = memchr(text + at, '\n', size - at);
        const size_t n = (stop ? (size_t)(stop - text) : size) - at;
        uint64_t all, known;
        bf_words_match(w, text + at, n, true, &all, &known);
        at += n + 1;
        r->texts++;
        r->words += all;
        r->known += known;
        if (all == 0) continue;
        words[used] = (double)all;
        share[used++] = (double)known / (double)all;
    }
    bf_mean_stderr(share, words, used, &r->share, &r->stderr_share);
out:
    free(share);
    free(words);
    return st;
}

bf_status bf_eval_words(bf_sample_eval *e, bf_err *err)
{
    bf_status st = BF_OK;
    bfncl_words_result *r = &e->r->words;
    const char *data = e->o->data ? e->o->data : e->config.data.train;
    bf_words *w = NULL;
    void *text = NULL;
    size_t size, length = strlen(e->o->samples);
    BF_CHECK(length > 4 && strcmp(e->o->samples + length - 4, ".txt") == 0, BF_USAGE,
             "%s: samples of texts are read from .txt files, one a line, as `bfncl sample -o FILE.txt` writes them",
             e->o->samples);
    BF_TRY(bf_file_read(e->o->samples, MAX_SAMPLES, &text, &size, err));
    r->own = e->o->dictionary == NULL;
    snprintf(r->dictionary, sizeof r->dictionary, "%s", r->own ? data : e->o->dictionary);
    snprintf(e->r->data, sizeof e->r->data, "%s", data);
    BF_TRY(r->own ? training_words(e, data, &w, err) : bf_words_read(e->o->dictionary, &w, err));
    r->dictionary_words = bf_words_count(w);
    BF_TRY(match_lines(w, text, size, r, err));
    BF_TRY(held_out(e, w, &r->held_out, err));
out:
    bf_words_free(w);
    free(text);
    return st;
}
