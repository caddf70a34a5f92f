#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
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

bf_status bf_marginal_score(const bf_dataset *train, const bf_dataset *test, double *bits_per_dim, double *stderr_bits,
                            bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset_info a = bf_dataset_get_info(train), b = bf_dataset_get_info(test);
    uint64_t *counts = NULL;
    int32_t *rows = NULL;
    const uint64_t places = a.text ? 1 : a.dims;
    double sum = 0, squares = 0, total = (double)a.train * (double)(a.dims / places) + a.classes;
    BF_CHECK(a.classes > 0 && a.classes == b.classes && a.height == b.height && a.width == b.width &&
                 a.channels == b.channels,
             BF_USAGE, "marginal model: the two data sets need the same shape and number of classes");
    BF_NEW(counts, places * a.classes);
    BF_NEW(rows, ROWS * a.dims);
    BF_TRY(count_classes(train, places, counts, rows, err));
    for (uint64_t at = 0; at < b.count; at += ROWS) {
        uint32_t n = (uint32_t)BF_MIN(b.count - at, ROWS);
        BF_TRY(bf_dataset_eval_rows(test, BF_SPLIT_ALL, at, n, 0, &(bf_rows){.classes = rows}, err));
        for (uint32_t i = 0; i < n; i++) {
            double bits = 0;
            for (uint64_t d = 0; d < b.dims; d++) {
                bits -= log2((1.0 + (double)counts[d % places * b.classes + (uint32_t)rows[i * b.dims + d]]) / total);
            }
            bits /= (double)b.dims;
            sum += bits;
            squares += bits * bits;
        }
    }
    *bits_per_dim = sum / (double)b.count;
    *stderr_bits = 0;
    if (b.count > 1) {
        double variance = (squares - sum * *bits_per_dim) / (double)(b.count - 1);
        *stderr_bits = sqrt(fmax(variance, 0) / (double)b.count);
    }
out:
    free(counts);
    free(rows);
    return st;
}
