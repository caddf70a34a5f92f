/* Scores of every example as a table for other programs (CSV). */
#ifndef BF_RUN_PER_EXAMPLE_H
#define BF_RUN_PER_EXAMPLE_H

#include "base/file.h"
#include "flow/hybrid.h"
#include "io/dataset.h"

/* In nats per dimension; `samples` numbers each. */
typedef struct bf_example_scores {
    uint64_t samples;
    const double *recon;
    const double *const *loss; /* [n] */
    int groups;                /* of variables */
    const bf_group *group;
    const double *recon_of;       /* [groups, samples], per variable of the group; of several groups only */
    const double *const *loss_of; /* [n][groups, samples] */
    const int64_t *steps;         /* [n], 0 = continuous time */
    size_t n;
} bf_example_scores;

/*
 * One line per example of `ds` in its order, a table's rows with the largest total of the first loss first; in bits per
 * dimension, of a table in bits per row; after a line of names, in which a table has _row for _dim:
 *   index                   from 0
 *   row                     tables only: index + 2, as the header is row 1
 *   file                    folders of pictures only
 *   offset, characters      texts only: number in the file of the first character that is scored here, and how many are
 *   recon_bits_per_dim      reconstruction
 *   loss_X_bits_per_dim     for each loss, X = inf or the number of steps,
 *   total_X_bits_per_dim    and with reconstruction
 *   total_X_bits NAME       the same for every one of several groups, of all its variables
 * A file name or header with a comma, quote or line end is quoted as RFC 4180 says; lines end in "\n". Does not commit.
 */
bf_status bf_example_scores_write(const bf_example_scores *s, const bf_dataset *ds, bf_writer *w, bf_err *err);

#endif
