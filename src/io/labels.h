/*
 * Class labels of examples.
 *
 * Classes have names, which are stored with a model as one text: words separated by commas ("shirt, trouser"; spaces
 * around a word do not count), or "0..9" where the classes are the numbers themselves. Class n of n is "none": an
 * example whose class is not told.
 *
 * Labels come from
 *   IDX or IDX.gz, NPY     unsigned bytes, or integers of any size: [n]
 *   a folder of pictures   the name of the sub-folder that a picture lies in (of several levels the first)
 *   CIFAR-10 binary files  the byte in front of a picture
 */
#ifndef BF_IO_LABELS_H
#define BF_IO_LABELS_H

#include <stdbool.h>

#include "base/err.h"
#include "io/npy.h"

enum { BF_CLASSES_TEXT = 1024, BF_CLASSES_NAMED = 512, BF_CLASSES_MAX = 65536, BF_CLASS_NAME = 64 };

typedef struct bf_classes {
    uint32_t n;                     /* 1..BF_CLASSES_MAX */
    bool numbers;                   /* class k is called k */
    uint16_t at[BF_CLASSES_NAMED];  /* else: where its name begins in `text` */
    char text[BF_CLASSES_TEXT + 1]; /* names, each closed by NUL */
} bf_classes;

/* BF_USAGE for a text that names no classes, one twice, or one "none" or "all". */
bf_status bf_classes_parse(const char *text, bf_classes *out, bf_err *err);
void bf_classes_name(const bf_classes *c, uint32_t k, char out[BF_CLASS_NAME]); /* of k = n: "none" */
/* The next word of such a list, without the spaces around it: its bytes; *next: what comes behind its comma, or NULL.
 */
size_t bf_classes_word(const char **word, const char **next);
/* The class that the first `bytes` of a word name; false: none does. */
bool bf_classes_find(const bf_classes *c, const char *word, size_t bytes, uint32_t *k);
/* "0 to 9", or the words, for messages; cut with "..." where they do not fit. */
void bf_classes_list(const bf_classes *c, char *text, size_t size);

/* Labels of `count` examples, each below the number of classes, whose names are `names`. */
typedef struct bf_labels {
    uint64_t count;
    uint32_t *label; /* owned */
    char names[BF_CLASSES_TEXT];
} bf_labels;
void bf_labels_free(bf_labels *l);

/* `names` is what the classes are called; NULL or "": numbers up to the largest label, of a folder its sub-folders.
 * BF_FILE names the file and the record of a label that is none of them. On failure *out is empty. */
bf_status bf_labels_read(const char *path, const char *names, bf_labels *out, bf_err *err);
bf_status bf_labels_of_folder(const char *root, const char *const *files, uint64_t count, const char *names,
                              bf_labels *out, bf_err *err);
/* From bytes [count]; `path` is for messages. */
bf_status bf_labels_of_bytes(const char *path, const uint8_t *bytes, uint64_t count, const char *names, bf_labels *out,
                             bf_err *err);

/* The file of labels that usually lies beside these images: train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz,
 * images.npy and labels.npy, shoes.npy and shoes-labels.npy; either may be compressed. False: there is none; `path` is
 * then what was looked for, or "". */
bool bf_labels_beside(const char *images, char path[1024]);

#endif
