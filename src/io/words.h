/* Words of a text, and how many of them stand in a dictionary. A word is a run of letters (a to z in either case, which
 * is ignored, and all bytes of UTF-8 above ASCII); whatever is between words, apostrophes too, parts them. */
#ifndef BF_IO_WORDS_H
#define BF_IO_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct bf_words bf_words; /* a set */

/* The words of a file: a list with one a line, or a dictionary of Hunspell (.dic), where what follows a slash is left
 * out: its affixes are not applied. BF_FILE when there are none. */
bf_status bf_words_read(const char *path, bf_words **out, bf_err *err);
/* The words of a text. */
bf_status bf_words_of(const char *text, size_t size, bf_words **out, bf_err *err);
void bf_words_free(bf_words *w);
uint64_t bf_words_count(const bf_words *w);

/* Of the words of a text: how many, and how many of them are in the set. `window`: a word that touches the beginning or
 * the end of the text may have been cut and does not count. */
void bf_words_match(const bf_words *w, const char *text, size_t size, bool window, uint64_t *all, uint64_t *known);

#endif
