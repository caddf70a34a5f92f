/*
 * A data set: n examples of shape [H,W,C] (vectors [D] have H = 1, W = D, C = 1), from
 *   IDX or IDX.gz          unsigned bytes [n,H,W]
 *   a folder of PNG files  sorted by name
 *   CIFAR-10 binary files  one .bin file, or a folder with data_batch_*.bin: [n,32,32,3]
 *   NPY                    uint8 or float32: [n,D], [n,H,W] or [n,H,W,C]
 *   text                   (transform TEXT) windows of `length` characters: H = 1, W = length, C = 1
 *   SDF, MOL, PDB, XYZ     (transform MOLECULES) molecules, whose atoms are the items: H = W = 1, C = 4 numbers of an
 * atom
 *   CSV                    (transform TABLE) rows: H = 1, W = columns that are modelled, C = 1 (io/table.h)
 *
 * What a batch holds is decided by the transform (pixel p of 0..255; v = 2p/255 - 1; float32 data are v themselves):
 *   CONTINUOUS   values v
 *   BINS         values: centre of v's bin, 2(k + 1/2)/bins - 1;  classes: k = clamp(floor((v/2 + 1/2) bins), 0,
 * bins-1) BINARISE     classes: Bernoulli(p/255), a fresh draw each time an example is read (float32 data: Bernoulli of
 * the value itself, which must lie in [0,1]) Draws come from bf_philox with stream BF_STREAM_BINARISE, sample = index
 * in the data set, step = how often it was read (training: the epoch), so that they do not depend on batch size or on
 * what was read before.
 *
 * TEXT         classes: place of the character in the vocabulary (io/text.h)
 * TABLE        values: what bf_table_feed makes of the row, `row` numbers. When read for training, with probability
 * `given` a part of the cells is marked as given: each with a probability of its own row, uniform in [0, 1)
 *
 * A text is one row of characters: the last fraction `test` is never seen in training, the fraction `validation`
 * before it is for validation, training takes the rest. Scoring reads windows one after the other without overlap (a
 * last short one is left out); training reads windows at any offset, the one at place i of epoch e begins at
 * floor(u (characters - length + 1)) with u a function of (seed, e, i) alone. An epoch has as many windows as fit
 * without overlap. The index of a window is the number of its first character.
 *
 * With a stride below `length` the windows of BF_SPLIT_ALL overlap. Each character then belongs to the first window
 * that holds it: all of window 0, the last `stride` characters of the others; those before them are context.
 *
 * MOLECULES    io/molecules.h; they come in blocks only
 *
 * Pictures and vectors may have class labels (io/labels.h). When read for training, an example's label becomes "none"
 * with probability `label_dropout`: where a uniform number of bf_philox with stream BF_STREAM_LABEL, sample = index in
 * the data set, step = epoch lies below it.
 *
 * Training order: an endless stream. Position p is place p % n of epoch p / n; an epoch is a permutation of the
 * training part and a function of (seed, epoch) alone. The last short batch of an epoch wraps into the next one. The
 * validation part is chosen by a fixed seed, not by the run's. A data set is read-only once open and may be shared by
 * threads.
 */
#ifndef BF_IO_DATASET_H
#define BF_IO_DATASET_H

#include "io/labels.h"
#include "io/molecules.h"
#include "io/schema.h"

#define BF_VALIDATION_SEED 2147483647u

typedef enum bf_transform {
    BF_TRANSFORM_CONTINUOUS,
    BF_TRANSFORM_BINS,
    BF_TRANSFORM_BINARISE,
    BF_TRANSFORM_TEXT,
    BF_TRANSFORM_TABLE,
    BF_TRANSFORM_MOLECULES
} bf_transform;

/* What a transform makes of a pixel p of 0..255, or of a value v, above: the value (CONTINUOUS, BINS) and the class
 * (BINS, and BINARISE where nothing is drawn: 1 from the middle on). */
float bf_pixel_value(bf_transform transform, uint32_t bins, uint32_t p);
int32_t bf_pixel_class(bf_transform transform, uint32_t bins, uint32_t p);
float bf_number_value(bf_transform transform, uint32_t bins, float v);
int32_t bf_number_class(bf_transform transform, uint32_t bins, float v);

typedef enum bf_split { BF_SPLIT_TRAIN, BF_SPLIT_VALIDATION, BF_SPLIT_ALL } bf_split;

typedef struct bf_dataset_options {
    bf_transform transform;
    uint32_t bins;     /* BINS: 2..65536 */
    uint64_t seed;     /* order, binarisation, flips */
    double validation; /* fraction held out, [0,1); at least one example when > 0 */
    bool flip;         /* training batches: left-right mirror with probability 1/2 */
    uint32_t channels; /* PNG folders: 0 as in the files, 1 grey, 3 RGB */
    uint32_t size[2];  /* PNG folders: take only pictures of this height and width; 0, 0 = all must be alike */
    uint64_t limit;    /* only the first so many examples; 0 = all */

    /* Class labels, of CONTINUOUS, BINS and BINARISE */
    bool labelled;      /* examples have them */
    const char *labels; /* a file, or "auto": the sub-folders of a folder, the bytes of CIFAR-10, the file beside the
                           images. NULL: every example has `label`, and label_names are known */
    const char *label_names; /* NULL or "": as the labels have it */
    uint32_t label;
    double label_dropout; /* [0, 1) */

    /* TEXT */
    uint32_t length;        /* characters of an example, at least 1 */
    const char *vocabulary; /* see io/text.h; NULL: text8 */
    double test;            /* fraction at the end that is not trained on, [0,1) */
    bool test_part;         /* open that end instead of the rest */
    uint32_t stride;        /* windows of BF_SPLIT_ALL begin every so many characters, at most `length`; 0: length */

    /* MOLECULES */
    const char *elements;    /* see io/molecules.h; NULL: learned */
    double scale;            /* Angstrom per unit of the data */
    bf_molecules *molecules; /* that somebody has read already, taken over (and left empty); NULL: none */
    /* With something around them, in training batches: */
    double noise;         /* deviation of noise on what is around, whose mean is the origin again afterwards */
    bool rotate;          /* turned or mirrored at random */
    uint32_t room_around; /* atoms around molecules that a block has room for, per atom of molecules */

    bool class_blocks; /* blocks hold class numbers instead of values */
    /* TABLE */
    const bf_schema *schema; /* how to read it; NULL: learned from the file, by `table` */
    bf_schema_options table;
    bool classes; /* levels go as classes */
    double given; /* [0, 1] */
} bf_dataset_options;

/* CONTINUOUS, validation 0.01, the rest 0. */
void bf_dataset_defaults(bf_dataset_options *o);

typedef struct bf_dataset bf_dataset;

/* A missing, damaged or unsuitable file is BF_FILE, a bad option BF_USAGE. */
bf_status bf_dataset_open(const char *path, const bf_dataset_options *o, bf_dataset **out, bf_err *err);
void bf_dataset_free(bf_dataset *ds);

typedef struct bf_dataset_info {
    uint64_t count; /* examples */
    uint64_t train, validation;
    uint32_t height, width, channels;
    uint64_t dims;        /* D = height * width * channels */
    uint64_t row;         /* numbers of an example (of molecules: of an item) in a block: D, of a table more */
    bool values;          /* CONTINUOUS, BINS and TABLE */
    bool text;            /* TEXT */
    bool table;           /* TABLE */
    bool packed;          /* MOLECULES: an example is several items of D numbers */
    uint32_t room_around; /* MOLECULES: as in the options; 0: nothing is around them */
    bool class_blocks;
    uint32_t labels;  /* classes that labels stand for; 0: there are none */
    uint32_t classes; /* BINS: bins, BINARISE: 2, TEXT: characters of the vocabulary, CONTINUOUS: 0 */
    uint32_t crc;     /* CRC-32C of shape, type and contents, for "is this the data the checkpoint was trained on" */
} bf_dataset_info;
bf_dataset_info bf_dataset_get_info(const bf_dataset *ds);
/* MOLECULES: all of them; else NULL. Valid as long as the data set. */
const bf_molecules *bf_dataset_molecules(const bf_dataset *ds);
/* MOLECULES with something around them: rows [atoms, BF_MOLECULE_DIMS] and places x [around, 3] of molecule `index` as
 * they are at a position of the training stream: with noise, turned; a function of seed, index and epoch. */
void bf_dataset_disturb(const bf_dataset *ds, uint32_t index, uint64_t position, float *rows, uint64_t atoms, float *x,
                        uint64_t around);
/* TEXT: the vocabulary, never "learned"; "" for other data. Valid as long as the data set. */
const char *bf_dataset_vocabulary(const bf_dataset *ds);
/* TABLE: its columns. Valid as long as the data set. NULL for other data. */
const bf_schema *bf_dataset_schema(const bf_dataset *ds);
/* TABLE: the cells of example i of BF_SPLIT_ALL, x [D] as in io/table.h. */
const float *bf_dataset_cells(const bf_dataset *ds, uint64_t i);
/* What the classes of labels are called, as io/labels.h reads it; "" without labels. Valid as long as the data set. */
const char *bf_dataset_label_names(const bf_dataset *ds);
/* How many variables at the beginning of example i of BF_SPLIT_ALL belong to the example before: 0 but for windows of a
 * text that overlap. */
uint32_t bf_dataset_overlap(const bf_dataset *ds, uint64_t i);
/* TEXT: number in the file of the first character that belongs to example i of BF_SPLIT_ALL; else i. */
uint64_t bf_dataset_offset(const bf_dataset *ds, uint64_t i);
/* Path of the file that is example i of a folder; NULL for other data. Valid as long as the data set. */
const char *bf_dataset_file(const bf_dataset *ds, uint64_t i);

/* Where a batch goes; a NULL member is not delivered. Values need CONTINUOUS or BINS, classes any but CONTINUOUS. */
typedef struct bf_rows {
    float *values;    /* [rows, row] */
    int32_t *classes; /* [rows, D] */
    uint32_t *index;  /* [rows]: index in the data set */
    uint32_t *labels; /* [rows]: info.labels stands for "none"; of data that have them */
} bf_rows;

/* Positions first .. first + rows - 1 of the training stream. */
bf_status bf_dataset_train_rows(const bf_dataset *ds, uint64_t first, uint32_t rows, const bf_rows *out, bf_err *err);
/* Examples first .. first + rows - 1 of a split, in ascending order of index, unmirrored; `draw` numbers the passes. */
bf_status bf_dataset_eval_rows(const bf_dataset *ds, bf_split split, uint64_t first, uint32_t rows, uint32_t draw,
                               const bf_rows *out, bf_err *err);

/* ---- blocks (blocks.c) ---------------------------------------------------------------------------------------- */

/*
 * What a model's graph is fed: `items` rows of `row` floats, values or (class_blocks) class numbers, with labels behind
 * them where there are any (bf_label_block); or, of MOLECULES, a packed block (io/packed.h) that holds as many examples
 * as fit, in their order.
 */
uint64_t bf_dataset_block(const bf_dataset *ds, uint64_t items); /* its floats */

/* `parts` blocks, one behind the other, from position `first` of the training stream on; *next: the position behind
 * them. Weights of packed blocks are those of a mean over all parts. BF_USAGE for a molecule that no block holds. */
bf_status bf_dataset_train_block(const bf_dataset *ds, uint64_t first, uint64_t parts, uint64_t items, float *blocks,
                                 uint64_t *next, bf_err *err);
/* Examples of a split from number `first` up to `end` in ascending order of index, as many as one block holds: *count.
 * Of rows, those behind the last example are not written. */
bf_status bf_dataset_eval_block(const bf_dataset *ds, bf_split split, uint64_t first, uint64_t end, uint64_t items,
                                uint32_t draw, float *block, uint32_t *count, bf_err *err);
/* BF_USAGE, naming it, when there is an example that no block of so many items holds. */
bf_status bf_dataset_fits(const bf_dataset *ds, const char *path, uint64_t items, bf_err *err);

/*
 * The model every trained one must beat: each variable independent, its class probabilities counted on the training
 * part of `train` with one added to every count. The characters of a text, whose windows begin anywhere, share one
 * table (a unigram model). Scores all examples of `test` in bits per dimension; *stderr_bits is the standard error over
 * examples. Both data sets need classes.
 */
bf_status bf_marginal_score(const bf_dataset *train, const bf_dataset *test, double *bits_per_dim, double *stderr_bits,
                            bf_err *err);

#endif
