#include "run/label.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"

static bf_status unknown(const bf_model *m, const char *word, size_t n, bf_err *err)
{
    char list[400];
    bf_classes_list(&m->classes, list, sizeof list);
    return bf_fail(err, BF_USAGE, "\"%.*s\" is no class of this model: expected %s, all or none", (int)BF_MIN(n, 60),
                   word, list);
}

static bf_status choose_all(const bf_model *m, uint32_t **classes, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(*classes, m->classes.n);
    for (; *n < m->classes.n; (*n)++) (*classes)[*n] = (uint32_t)*n;
out:
    return st;
}

static bf_status choose_words(const bf_model *m, const char *text, uint32_t **classes, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(*classes, strlen(text) + 1); /* more than there are words */
    for (const char *word = text, *next; word; word = next) {
        const size_t bytes = bf_classes_word(&word, &next);
        if (!bf_classes_find(&m->classes, word, bytes, &(*classes)[*n])) BF_TRY(unknown(m, word, bytes, err));
        (*n)++;
    }
out:
    return st;
}

bf_status bf_label_choose(const bf_model *m, const char *text, uint32_t **classes, uint64_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    *classes = NULL;
    *n = 0;
    BF_CHECK(m->classes.n > 0 || !text, BF_USAGE,
             "this model was trained without labels (data.labels): it has no classes");
    if (text && strcmp(text, "all") == 0) return choose_all(m, classes, n, err);
    if (text && strcmp(text, "none") != 0) return choose_words(m, text, classes, n, err);
    if (m->classes.n > 0 && m->config.train.label_dropout <= 0) {
        char list[400];
        bf_classes_list(&m->classes, list, sizeof list);
        BF_CHECK(false, BF_USAGE,
                 "this model was trained without train.label_dropout and must be told a class: %s, or all", list);
    }
    BF_NEW(*classes, 1);
    (*classes)[(*n)++] = m->classes.n;
out:
    return st;
}

bf_status bf_label_tell(const bf_model *m, const bf_graph *g, const uint32_t *label, uint64_t n, uint64_t each,
                        bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t *words = NULL;
    if (m->classes.n == 0) return BF_OK;
    const bf_tid input = bf_graph_find(g, "label");
    const uint64_t items = bf_graph_numel(g, input);
    BF_NEW(words, items);
    for (uint64_t i = 0; i < items; i++) words[i] = label && i / each < n ? label[i / each] : m->classes.n;
    BF_TRY(bf_write(m->ctx, bf_graph_mem(g, input), words, (size_t)items * sizeof *words, err));
out:
    free(words);
    return st;
}
