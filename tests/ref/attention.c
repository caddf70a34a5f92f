#include "attention.h"

#include <math.h>
#include <stddef.h>

/* part 0 q, 1 k, 2 v */
static const double *row(const ref_attention *s, int b, int t, int h, int part)
{
    const int d = s->head_dim, place = s->thirds ? (part * s->heads + h) * d : (h * 3 + part) * d;
    return s->qkv + (size_t)(b * s->len + t) * (size_t)(3 * s->heads * d) + place;
}

static double score(const ref_attention *s, int b, int h, int q, int k)
{
    double sum = 0;
    for (int j = 0; j < s->head_dim; j++) sum += row(s, b, q, h, 0)[j] * row(s, b, k, h, 1)[j];
    return sum / sqrt(s->head_dim);
}

void ref_attention_forward(const ref_attention *s, double *y, double *lse)
{
    for (int b = 0; b < s->batch; b++)
        for (int h = 0; h < s->heads; h++)
            for (int q = 0; q < s->len; q++) {
                const int end = s->causal ? q + 1 : s->len;
                double *out = y + ((size_t)(b * s->len + q) * (size_t)s->heads + (size_t)h) * (size_t)s->head_dim;
                double top = -INFINITY, sum = 0;
                for (int k = 0; k < end; k++) top = fmax(top, score(s, b, h, q, k));
                for (int k = 0; k < end; k++) sum += exp(score(s, b, h, q, k) - top);
                for (int j = 0; j < s->head_dim; j++) out[j] = 0;
                for (int k = 0; k < end; k++) {
                    const double p = exp(score(s, b, h, q, k) - top) / sum;
                    for (int j = 0; j < s->head_dim; j++) out[j] += p * row(s, b, k, h, 2)[j];
                }
                if (lse) lse[(b * s->heads + h) * s->len + q] = top + log(sum);
            }
}
