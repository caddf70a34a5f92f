/*
 * Text as classes. A vocabulary is a list of characters in ascending order of their code points; the class of a
 * character is its place in the list. It is written as a text:
 *   text8       space and a to z (27 classes), the alphabet of the text8 corpus
 *   letters     the same classes for any text: capitals are read as small letters, and whatever stands between letters
 *               as one space
 *   bytes       the 256 values of a byte, whatever they stand for
 *   learned     the characters that the training file holds; known once it has been read, see `resolved`
 *   otherwise   the characters themselves, ascending, as a learned vocabulary is stored in a model
 * (None of these words is ascending, so they cannot be mistaken for a list.) All but bytes read UTF-8; a byte order
 * mark at the beginning and one line end at the end that is outside the vocabulary are no data.
 */
#ifndef BF_IO_TEXT_H
#define BF_IO_TEXT_H

#include "base/err.h"
#include "io/npy.h"

enum { BF_VOCABULARY_TEXT = 1024, BF_VOCABULARY_MAX = BF_VOCABULARY_TEXT - 1 };

typedef struct bf_vocabulary {
    bool bytes, letters;
    uint32_t n;
    uint32_t code[BF_VOCABULARY_MAX]; /* ascending; unused for bytes */
} bf_vocabulary;

bool bf_vocabulary_learned(const char *text);
/* BF_USAGE for a text that is no vocabulary, and for "learned". */
bf_status bf_vocabulary_parse(const char *text, bf_vocabulary *out, bf_err *err);
/* The class of a character (of bytes: of one), -1 when there is none. */
int32_t bf_vocabulary_class(const bf_vocabulary *v, uint32_t code);
/* The bytes of class k; returns how many, 0 for a class that does not exist. */
size_t bf_vocabulary_put(const bf_vocabulary *v, int64_t k, char out[4]);

/* Copies n bytes and a final NUL; NUL bytes and what is not UTF-8 become U+FFFD. `out` has room for 3n + 1 bytes. */
void bf_text_clean(const char *text, size_t n, char *out);

/* The classes of a whole file, U16 [characters]. `resolved` receives a vocabulary that is not "learned". BF_FILE names
 * the line of a character that is outside the vocabulary or is not UTF-8. */
bf_status bf_text_read(const char *path, const char *vocabulary, char resolved[BF_VOCABULARY_TEXT], bf_array *out,
                       bf_err *err);

/* The class of a hole in a text. */
#define BF_TEXT_HOLE UINT16_MAX
/* A text with holes: `given` is the path of a file, or the text itself (BF_USAGE where it does not fit, else BF_FILE).
 * `hole` is the character that stands for one; NULL: _ and ?, unless they are in the vocabulary. */
bf_status bf_text_with_holes(const char *given, bool file, const char *vocabulary, const char *hole, bf_array *out,
                             bf_err *err);

/* What a UTF-8 file holds, without a vocabulary; a line end at the end of the file counts as a character. */
typedef struct bf_text_info {
    uint64_t characters, lines;
    uint32_t different; /* characters */
    bool text8;         /* can be read with the vocabulary text8 */
    bool learned;       /* the same for learned; `vocabulary` is then what that gives, else "" */
    char vocabulary[BF_VOCABULARY_TEXT];
} bf_text_info;
/* BF_FILE for a file that is empty, of another kind or not UTF-8. */
bf_status bf_text_describe(const char *path, bf_text_info *out, bf_err *err);

#endif
