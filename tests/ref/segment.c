#include "segment.h"

#include <math.h>

void ref_gather(double *y, const double *x, const uint32_t *index, size_t rows, size_t cols)
{
    for (size_t e = 0; e < rows; e++)
        for (size_t c = 0; c < cols; c++) y[e * cols + c] = index[e] == UINT32_MAX ? 0 : x[index[e] * cols + c];
}

void ref_segment_sum(double *y, bool mean, const double *x, const uint32_t *offset, const uint32_t *entry,
                     size_t segments, size_t cols)
{
    for (size_t s = 0; s < segments; s++)
        for (size_t c = 0; c < cols; c++) {
            const uint32_t n = offset[s + 1] - offset[s];
            double sum = 0;
            for (uint32_t m = offset[s]; m < offset[s + 1]; m++) sum += x[(entry ? entry[m] : m) * cols + c];
            y[s * cols + c] = mean && n ? sum / n : sum;
        }
}

void ref_segment_softmax(double *y, const double *x, const uint32_t *offset, size_t segments, size_t cols)
{
    for (size_t s = 0; s < segments; s++)
        for (size_t c = 0; c < cols; c++) {
            double top = -INFINITY, sum = 0;
            for (uint32_t m = offset[s]; m < offset[s + 1]; m++) top = fmax(top, x[m * cols + c]);
            for (uint32_t m = offset[s]; m < offset[s + 1]; m++) sum += y[m * cols + c] = exp(x[m * cols + c] - top);
            for (uint32_t m = offset[s]; m < offset[s + 1]; m++) y[m * cols + c] /= sum;
        }
}

void ref_segment_centre(double *y, const double *x, const double *weight, const uint32_t *offset, size_t segments,
                        size_t cols)
{
    for (size_t s = 0; s < segments; s++)
        for (size_t c = 0; c < cols; c++) {
            double sum = 0, whole = 0;
            for (uint32_t m = offset[s]; m < offset[s + 1]; m++) {
                const double w = weight ? weight[m] : 1;
                sum += w * x[m * cols + c];
                whole += w;
            }
            for (uint32_t m = offset[s]; m < offset[s + 1]; m++)
                y[m * cols + c] = x[m * cols + c] - (whole > 0 ? sum / whole : 0);
        }
}
