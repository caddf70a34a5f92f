/* io/words.h: a hash table with open addressing; words stand one behind the other, each closed by a NUL. */
#include "io/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"

#define MAX_FILE ((uint64_t)1 << 30)
#define FIRST_SLOTS 1024 /* a power of two */

struct bf_words {
    char *text;
    size_t used, room;
    size_t *slot; /* [slots]: 1 + where the word begins, 0: free */
    size_t slots;
    uint64_t count;
};

void bf_words_free(bf_words *w)
{
    if (!w) return;
    free(w->text);
    free(w->slot);
    free(w);
}

uint64_t bf_words_count(const bf_words *w)
{
    return w->count;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_letter(char c)
{
    const char l = lower(c);
    return (l >= 'a' && l <= 'z') || (unsigned char)c >= 0x80;
}

/* The next word from *at on: its first byte, with *at behind its last; NULL when there is none. */
static const char *next_word(const char *text, size_t size, size_t *at)
{
    size_t begin = *at;
    while (begin < size && !is_letter(text[begin])) begin++;
    *at = begin;
    while (*at < size && is_letter(text[*at])) (*at)++;
    return *at > begin ? text + begin : NULL;
}

/* FNV-1a */
static uint64_t hash(const char *word, size_t size)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++) h = (h ^ (unsigned char)lower(word[i])) * 1099511628211u;
    return h;
}

static bool equal(const char *stored, const char *word, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (stored[i] != lower(word[i])) return false; /* also at the end of what is stored */
    return stored[size] == '\0';
}

/* The slot of a word, or the free one where it would be. */
static size_t *find(const bf_words *w, const char *word, size_t size)
{
    size_t i = (size_t)hash(word, size) & (w->slots - 1);
    while (w->slot[i] && !equal(w->text + w->slot[i] - 1, word, size)) i = (i + 1) & (w->slots - 1);
    return &w->slot[i];
}

static bf_status grow_slots(bf_words *w, bf_err *err)
{
    bf_status st = BF_OK;
    bf_words larger = *w;
    larger.slots = w->slots ? 2 * w->slots : FIRST_SLOTS;
    BF_NEW(larger.slot, larger.slots);
    for (size_t i = 0; i < w->slots; i++) {
        if (!w->slot[i]) continue;
        const char *word = w->text + w->slot[i] - 1;
        *find(&larger, word, strlen(word)) = w->slot[i];
    }
    free(w->slot);
    *w = larger;
out:
    return st;
}

static bf_status add(bf_words *w, const char *word, size_t size, bf_err *err)
{
    bf_status st = BF_OK;
    if (2 * w->count >= w->slots) BF_TRY(grow_slots(w, err));
    size_t *slot = find(w, word, size);
    if (*slot) goto out;
    if (w->room - w->used <= size) {
        const size_t room = 2 * w->room + size + 1024;
        char *text = realloc(w->text, room);
        BF_CHECK(text, BF_RUNTIME, "out of memory for %zu bytes of words", room);
        w->text = text;
        w->room = room;
    }
    for (size_t i = 0; i < size; i++) w->text[w->used + i] = lower(word[i]);
    w->text[w->used + size] = '\0';
    *slot = w->used + 1;
    w->used += size + 1;
    w->count++;
out:
    return st;
}

static bf_status add_all(bf_words *w, const char *text, size_t size, bf_err *err)
{
    bf_status st = BF_OK;
    size_t at = 0;
    for (const char *word; (word = next_word(text, size, &at)) != NULL;)
        BF_TRY(add(w, word, (size_t)(text + at - word), err));
out:
    return st;
}

bf_status bf_words_of(const char *text, size_t size, bf_words **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_words *w = NULL;
    BF_NEW(w, 1);
    BF_TRY(grow_slots(w, err));
    BF_TRY(add_all(w, text, size, err));
    *out = w;
    w = NULL;
out:
    bf_words_free(w);
    return st;
}

bf_status bf_words_read(const char *path, bf_words **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_words *w = NULL;
    void *data = NULL;
    size_t size;
    BF_TRY(bf_file_read(path, MAX_FILE, &data, &size, err));
    BF_TRY(bf_words_of("", 0, &w, err));
    const char *line = data, *end = line + size;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        const char *slash = memchr(line, '/', (size_t)(stop - line));
        BF_TRY(add_all(w, line, (size_t)((slash ? slash : stop) - line), err));
        line = stop + 1;
    }
    BF_CHECK(w->count > 0, BF_FILE, "%s: no word in this dictionary", path);
    *out = w;
    w = NULL;
out:
    free(data);
    bf_words_free(w);
    return st;
}

void bf_words_match(const bf_words *w, const char *text, size_t size, bool window, uint64_t *all, uint64_t *known)
{
    size_t at = 0;
    *all = *known = 0;
    for (const char *word; (word = next_word(text, size, &at)) != NULL;) {
        if (window && (word == text || at == size)) continue;
        *all += 1;
        *known += *find(w, word, (size_t)(text + at - word)) != 0;
    }
}
