#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "base/stats.h"
#include "io/dataset.h"

enum { ROWS = 64 /* examples fetched at a time */ };

/* counts [places, K]: how often each class occurs at each place of the training part, or (places 1) at all of them. */
static bf_status count_classes(const bf_dataset *ds, uint64_t places, uint64_t *counts, int32_t *rows, bf_err *err)
{
    bf_dataset_info info = bf_dataset_get_info(ds);
    for (uint64_t at = 0; at < info.train; at += ROWS) {
        uint32_t n = (uint32_t)BF_MIN(info.train - at, ROWS);
        bf_status st = bf_dataset_eval_rows(ds, BF_SPLIT_TRAIN, at, n, 0, &(bf_rows){.classes = rows}, err);
        if (st != BF_OK) return st;
        for (uint64_t i = 0; i < n * info.dims; i++) counts[i % places * info.classes + (uint32_t)rows[i]]++;
    }
    return BF_OK;
}

/* Bits per variable of the examples of `test`, bits[count], and how many variables that are, weight[count]. */
static bf_status score(const bf_dataset *test, const uint64_t *counts, uint64_t places, double total, int32_t *rows,
                       double *bits, double *weight, bf_err *err)
{
    const bf_dataset_info info = bf_dataset_get_info(test);
    for (uint64_t at = 0; at < info.count; at += ROWS) {
        const uint32_t n = (uint32_t)BF_MIN(info.count - at, ROWS);
        bf_status st = bf_dataset_eval_rows(test, BF_SPLIT_ALL, at, n, 0, &(bf_rows){.classes = rows}, err);
        if (st != BF_OK) return st;
        for (uint64_t i = 0; i < n; i++) {
            const uint32_t first = bf_dataset_overlap(test, at + i);
            double sum = 0;
            for (uint64_t d = first; d < info.dims; d++)
                sum -=
                    log2((1.0 + (double)counts[d % places * info.classes + (uint32_t)rows[i * info.dims + d]]) / total);
            weight[at + i] = (double)(info.dims - first);
            bits[at + i] = sum / weight[at + i];
        }
    }
    return BF_OK;
}

bf_status bf_marginal_score(const bf_dataset *train, const bf_dataset *test, double *bits_per_dim, double *stderr_bits,
                            bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset_info a = bf_dataset_get_info(train), b = bf_dataset_get_info(test);
    const uint64_t places = a.text ? 1 : a.dims;
    const double total = (double)a.train * (double)(a.dims / places) + a.classes;
    uint64_t *counts = NULL;
    int32_t *rows = NULL;
    double *bits = NULL, *weight = NULL;
    BF_CHECK(a.classes > 0 && a.classes == b.classes && a.height == b.height && a.width == b.width &&
                 a.channels == b.channels,
             BF_USAGE, "marginal model: the two data sets need the same shape and number of classes");
    BF_NEW(counts, places * a.classes);
    BF_NEW(rows, ROWS * a.dims);
    BF_NEW(bits, b.count);
    BF_NEW(weight, b.count);
    BF_TRY(count_classes(train, places, counts, rows, err));
    BF_TRY(score(test, counts, places, total, rows, bits, weight, err));
    bf_mean_stderr(bits, weight, b.count, bits_per_dim, stderr_bits);
out:
    free(counts);
    free(rows);
    free(bits);
    free(weight);
    return st;
}
