/*
 * What the columns of a table are, and how a cell becomes a number of the model: learned from the training data, kept
 * in the model file, and applied to every table that the model meets.
 *
 *   continuous   a number, mapped to [-1, 1] by a rising line of straight pieces (`knots`): either one piece over the
 *                range of the training data, or normal scores of its quantiles (so that tails do not squeeze the rest)
 *   bins         a number, by `levels` parts of its range: equal ones, or of equal shares of the training data, where
 *                equal values stay together (so that there may be fewer)
 *   integer      low, low + 1, ... low + levels - 1
 *   categorical  one of `levels` words; two of them: "binary"
 *   constant     one value in all of the training data: nothing to learn, kept for the output
 *   ignore       not read
 *
 * A number outside the range of the training data counts as its end. In a row of the model the columns stand in groups
 * of one kind and number of levels, continuous ones first, then levels ascending, then categories ascending.
 */
#ifndef BF_IO_SCHEMA_H
#define BF_IO_SCHEMA_H

#include "io/csv.h"

#define BF_COLUMN_WORDS 256      /* words of a categorical column, at most */
#define BF_COLUMN_WORD_BYTES 256 /* of a word, closing NUL included */
#define BF_COLUMN_KNOTS 65
#define BF_COLUMN_LEVELS 256 /* of integers and bins, at most */
#define BF_NO_PLACE UINT32_MAX

typedef enum bf_column_type {
    BF_COLUMN_IGNORE,
    BF_COLUMN_CONSTANT,
    BF_COLUMN_CONTINUOUS,
    BF_COLUMN_BINS,
    BF_COLUMN_INTEGER,
    BF_COLUMN_CATEGORICAL
} bf_column_type;

typedef struct bf_column {
    char *name;
    bf_column_type type;
    uint32_t place;   /* in a row of the model; BF_NO_PLACE: none */
    uint32_t levels;  /* BINS, INTEGER, CATEGORICAL */
    uint64_t missing; /* cells in the training data */

    /* numbers */
    double low, high; /* range of the training data */
    int decimals;     /* digits behind the point, 0..15 */
    bool zeros;       /* all of them are written, "1.50" */
    int knots;        /* CONTINUOUS: of the map; BINS: levels */
    double *at, *to; /* [knots], both strictly ascending; CONTINUOUS: `to` within [-1, 1] is where `at` is mapped; BINS:
                        least and largest number of a level */

    char **word; /* CATEGORICAL: [levels], bytewise ascending; CONSTANT: [1] */
} bf_column;

/* Columns with the places first .. first + count - 1. */
typedef struct bf_column_group {
    bf_column_type type; /* CONTINUOUS, BINS (and INTEGER), CATEGORICAL */
    uint32_t levels;     /* 0 of continuous ones */
    uint32_t first, count;
} bf_column_group;

typedef struct bf_schema {
    char separator;
    char *missing; /* words that stand for a missing cell, beside the empty one; separated by spaces */
    uint32_t columns;
    bf_column *column;  /* in the order of the file */
    uint32_t dims;      /* columns that have a place */
    uint32_t *by_place; /* [dims]: index of the column */
    uint32_t groups;
    bf_column_group *group;
} bf_schema;

typedef struct bf_schema_options {
    const char *columns; /* "age=continuous, id=ignore, width=bins:32, \"a,b\"=categorical": types that are not
                            inferred; continuous, bins, bins:N, integer, categorical, binary, ignore */
    const char *missing;
    bool bins;       /* numbers that are not integers of a small range: bins instead of continuous */
    uint32_t levels; /* of bins */
    bool quantiles;  /* else the range */
} bf_schema_options;

/* From all rows of `c`, which is rewound before and after. What is not in o->columns: two different values are binary,
 * whole numbers over a range of at most BF_COLUMN_LEVELS integer, other numbers continuous (or bins), at most
 * BF_COLUMN_WORDS words, and at most half as many as rows, categorical; the rest is ignored with a warning. BF_USAGE
 * for what is wrong with the options, BF_FILE for a table without rows or columns to learn. */
bf_status bf_schema_infer(bf_csv *c, const bf_schema_options *o, bf_schema **out, bf_err *err);
void bf_schema_free(bf_schema *s);

/* As JSON, for the model file; freed by the caller. */
bf_status bf_schema_text(const bf_schema *s, char **text, bf_err *err);
/* Back, every number checked; BF_FILE. `name` is for messages. */
bf_status bf_schema_parse(const char *name, const char *text, bf_schema **out, bf_err *err);

/* By way of its text. */
bf_status bf_schema_copy(const bf_schema *s, bf_schema **out, bf_err *err);

/* "continuous", "binary", ... as in bf_schema_options. */
const char *bf_column_type_name(const bf_column *c);

/* The cell's text without quotes and, where it has none, without blanks around it; in `buffer` of BF_CSV_CELL bytes.
 * *missing: it stands for nothing. */
const char *bf_schema_cell(const bf_schema *s, const bf_csv_cell *cell, char *buffer, bool *missing);

/* CONTINUOUS: both directions of the map of a number; x -> [-1, 1], ends beyond the range. */
double bf_column_map(const bf_column *c, double x);
double bf_column_unmap(const bf_column *c, double v);
/* BINS: the level of a number; the nearest one where it lies in none. */
uint32_t bf_column_bin(const bf_column *c, double x);

#endif
