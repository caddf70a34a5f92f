#include "io/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/size.h"
#include "base/stats.h"

enum {
    PARTS = 64,        /* of the histogram of a continuous column */
    ROUNDS = 30,       /* of the EM, after which R has settled to 0.01 */
    DRAWS = 256,       /* of a row's integral */
    MOST_ROWS = 20000, /* that R is fitted to */
    STREAM_FIT = 1,    /* of the generator's seed */
    STREAM_SCORE = 2
};
#define RIDGE 1e-4 /* added to the diagonal of R, which keeps it positive */

/* One column: the cells of its distribution, in the order of the copula. */
typedef struct marginal {
    uint32_t cells;
    uint32_t *rank; /* [cells]: place of level or word k in that order */
    double *share;  /* [cells], by k */
    double *edge;   /* [cells + 1]: z between neighbours in the order; the ends are infinite */
    double mean, deviation;
} marginal;

struct bf_baseline {
    const bf_schema *s;
    uint32_t dims;
    marginal *column; /* [dims] */
    double *r, *root; /* [dims, dims]: correlations, and L with R = L L' */
};

/* Uniform numbers on (0, 1), one after the other. */
typedef struct generator {
    uint64_t seed;
    uint32_t stream, block, sample, words[4], left;
} generator;

static double uniform(generator *g)
{
    if (g->left == 0) {
        bf_philox(g->seed, g->block++, g->sample, g->stream, BF_STREAM_CELL, g->words);
        g->left = 4;
    }
    return ((double)g->words[--g->left] + 0.5) / 4294967296.0;
}

/* ---- marginals --------------------------------------------------------------------------------------------------- */

static const bf_column *column_at(const bf_baseline *b, uint32_t place)
{
    return &b->s->column[b->s->by_place[place]];
}

/* The cell of a number of io/table.h. */
static uint32_t cell_of(const bf_column *c, const marginal *m, float x)
{
    const double k = c->type == BF_COLUMN_CONTINUOUS ? ((double)x + 1) / 2 * PARTS : (double)x;
    return k > 0 ? (uint32_t)BF_MIN(k, (double)(m->cells - 1)) : 0;
}

static bf_status count_column(bf_baseline *b, uint32_t place, const float *x, uint64_t rows, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_column *c = column_at(b, place);
    marginal *m = &b->column[place];
    uint64_t n = 0;
    uint32_t most = 0;
    double sum = 0, squares = 0;
    m->cells = c->type == BF_COLUMN_CONTINUOUS ? PARTS : c->levels;
    BF_NEW(m->rank, m->cells);
    BF_NEW(m->share, m->cells);
    BF_NEW(m->edge, m->cells + 1);
    for (uint64_t i = 0; i < rows; i++) {
        const float v = x[i * b->dims + place];
        if (isnan(v)) continue;
        const double value = bf_column_value(c, v, 0.5);
        sum += value;
        squares += value * value;
        m->share[cell_of(c, m, v)]++;
        n++;
    }
    for (uint32_t k = 0; k < m->cells; k++) {
        if (m->share[k] > m->share[most]) most = k;
        m->rank[k] = k;
    }
    m->mean = n ? sum / (double)n : 0;
    m->deviation = n ? sqrt(BF_MAX(squares / (double)n - m->mean * m->mean, 0)) : 0;
    if (c->type == BF_COLUMN_CATEGORICAL) m->mean = most;
    for (uint32_t k = 0; k < m->cells; k++) m->share[k] = (m->share[k] + 1) / (double)(n + m->cells);
out:
    return st;
}

/* z between the cells, in the order of m->rank. */
static void set_edges(marginal *m)
{
    double sum = 0;
    for (uint32_t k = 0; k < m->cells; k++) m->edge[m->rank[k] + 1] = m->share[k];
    m->edge[0] = -HUGE_VAL;
    for (uint32_t k = 1; k < m->cells; k++) {
        sum += m->edge[k];
        m->edge[k] = bf_normal_quantile(sum);
    }
    m->edge[m->cells] = HUGE_VAL;
}

/* ---- an order for words ------------------------------------------------------------------------------------------ */

typedef struct ranked {
    double key;
    uint32_t word;
} ranked;

static int by_key(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->word > y->word) - (x->word < y->word);
}

/* Means of column `other` by word of column `place` into mean[]; returns the part of its variance that they explain. */
static double explained(const bf_baseline *b, uint32_t place, uint32_t other, const float *x, uint64_t rows,
                        double *mean)
{
    const bf_column *c = column_at(b, other);
    double count[BF_COLUMN_WORDS] = {0}, n = 0, all = 0, squares = 0, between = 0;
    for (uint32_t k = 0; k < BF_COLUMN_WORDS; k++) mean[k] = 0;
    for (uint64_t i = 0; i < rows; i++) {
        const float word = x[i * b->dims + place], v = x[i * b->dims + other];
        if (isnan(word) || isnan(v)) continue;
        const double scaled = c->type == BF_COLUMN_CONTINUOUS ? (double)v : (double)v / c->levels;
        mean[(uint32_t)word] += scaled;
        count[(uint32_t)word]++;
        all += scaled;
        squares += scaled * scaled;
        n++;
    }
    if (n == 0) return 0;
    all /= n;
    for (uint32_t k = 0; k < b->column[place].cells; k++) {
        mean[k] = count[k] > 0 ? mean[k] / count[k] : all;
        between += count[k] * (mean[k] - all) * (mean[k] - all);
    }
    return between / BF_MAX(squares - n * all * all, 1e-300);
}

static void order_words(bf_baseline *b, uint32_t place, const float *x, uint64_t rows)
{
    marginal *m = &b->column[place];
    double mean[BF_COLUMN_WORDS], best = 0;
    ranked order[BF_COLUMN_WORDS];
    for (uint32_t k = 0; k < m->cells; k++) order[k] = (ranked){m->share[k], k};
    for (uint32_t j = 0; j < b->dims; j++) {
        if (column_at(b, j)->type == BF_COLUMN_CATEGORICAL) continue;
        const double part = explained(b, place, j, x, rows, mean);
        if (!(part > best)) continue;
        best = part;
        for (uint32_t k = 0; k < m->cells; k++) order[k].key = mean[k];
    }
    qsort(order, m->cells, sizeof *order, by_key);
    for (uint32_t k = 0; k < m->cells; k++) m->rank[order[k].word] = k;
}

/* ---- the copula -------------------------------------------------------------------------------------------------- */

/* Where z of a cell lies: low == high when it is known exactly. */
static void bounds(const bf_baseline *b, uint32_t place, float x, double *low, double *high)
{
    const bf_column *c = column_at(b, place);
    const marginal *m = &b->column[place];
    *low = -HUGE_VAL;
    *high = HUGE_VAL;
    if (isnan(x)) return;
    const uint32_t k = cell_of(c, m, x), at = m->rank[k];
    *low = m->edge[at];
    *high = m->edge[at + 1];
    if (c->type != BF_COLUMN_CONTINUOUS) return;
    const double inside = ((double)x + 1) / 2 * PARTS - k, p = bf_normal_cdf(*low);
    *low = *high = bf_normal_quantile(p + BF_MAX(1e-6, BF_MIN(inside, 1 - 1e-6)) * (bf_normal_cdf(*high) - p));
}

/* A standard normal between two bounds, and in *mass its probability to lie there. Upper tails are mirrored, where
 * differences of 1 - tiny numbers would be lost. */
static double between(double low, double high, double u, double *mass)
{
    const bool mirror = low > 0;
    const double a = bf_normal_cdf(mirror ? -high : low), c = bf_normal_cdf(mirror ? -low : high);
    *mass = BF_MAX(c - a, 1e-300);
    if (!(c > 1e-290)) return mirror ? low : high; /* too far out: the nearer end */
    const double z = bf_normal_quantile(a + u * (c - a));
    return BF_MAX(low, BF_MIN(mirror ? -z : z, high));
}

/* L of a positive matrix; what is not positive gets a small pivot. */
static void factor(double *l, const double *r, uint32_t n)
{
    memset(l, 0, (size_t)n * n * sizeof *l);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double sum = r[(size_t)i * n + j];
            for (uint32_t k = 0; k < j; k++) sum -= l[(size_t)i * n + k] * l[(size_t)j * n + k];
            if (i == j)
                l[(size_t)i * n + i] = sqrt(BF_MAX(sum, 1e-8));
            else
                l[(size_t)i * n + j] = sum / l[(size_t)j * n + j];
        }
}

/* Inverse of L L'. */
static void invert(double *q, const double *l, uint32_t n, double *column)
{
    for (uint32_t c = 0; c < n; c++) {
        for (uint32_t i = 0; i < n; i++) {
            double sum = i == c;
            for (uint32_t k = 0; k < i; k++) sum -= l[(size_t)i * n + k] * column[k];
            column[i] = sum / l[(size_t)i * n + i];
        }
        for (uint32_t i = n; i-- > 0;) {
            double sum = column[i];
            for (uint32_t k = i + 1; k < n; k++) sum -= l[(size_t)k * n + i] * column[k];
            column[i] = sum / l[(size_t)i * n + i];
        }
        for (uint32_t i = 0; i < n; i++) q[(size_t)i * n + c] = column[i];
    }
}

/* Correlations of z [rows, n], times 1 - RIDGE off the diagonal. */
static void correlate(double *r, const double *z, uint64_t rows, uint32_t n)
{
    memset(r, 0, (size_t)n * n * sizeof *r);
    for (uint64_t i = 0; i < rows; i++)
        for (uint32_t a = 0; a < n; a++)
            for (uint32_t c = 0; c <= a; c++) r[(size_t)a * n + c] += z[i * n + a] * z[i * n + c];
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t c = 0; c < a; c++) {
            const double both = sqrt(r[(size_t)a * n + a] * r[(size_t)c * n + c]);
            r[(size_t)a * n + c] = r[(size_t)c * n + a] = (1 - RIDGE) * r[(size_t)a * n + c] / BF_MAX(both, 1e-300);
        }
    for (uint32_t a = 0; a < n; a++) r[(size_t)a * n + a] = 1;
}

/* One sweep over the row's z that are not known exactly, given the others and the precision q. */
static void sweep(double *z, const double *low, const double *high, const double *q, uint32_t n, generator *g)
{
    for (uint32_t j = 0; j < n; j++) {
        double sum = 0, mass;
        if (low[j] == high[j]) continue;
        for (uint32_t k = 0; k < n; k++)
            if (k != j) sum += q[(size_t)j * n + k] * z[k];
        const double scale = 1 / sqrt(q[(size_t)j * n + j]), mean = -sum / q[(size_t)j * n + j];
        const double y = between((low[j] - mean) / scale, (high[j] - mean) / scale, uniform(g), &mass);
        z[j] = BF_MAX(low[j], BF_MIN(mean + scale * y, high[j]));
    }
}

static bf_status fit_copula(bf_baseline *b, const float *x, uint64_t rows, uint64_t seed, bf_err *err)
{
    bf_status st = BF_OK;
    const uint32_t n = b->dims;
    const uint64_t affordable = 4000000000u / ROUNDS / ((uint64_t)n * n), used = BF_MIN(rows, (uint64_t)MOST_ROWS);
    const uint64_t kept = BF_MAX((uint64_t)1, BF_MIN(used, affordable));
    double *z = NULL, *low = NULL, *high = NULL, *q = NULL, *sum = NULL, *scratch = NULL, mass;
    generator g = {.seed = seed, .stream = STREAM_FIT};
    BF_NEW(z, kept * n);
    BF_NEW(low, kept * n);
    BF_NEW(high, kept * n);
    BF_NEW(q, (uint64_t)n * n);
    BF_NEW(sum, (uint64_t)n * n);
    BF_NEW(scratch, n);
    for (uint64_t i = 0; i < kept * n; i++) {
        const uint64_t row = i / n * rows / kept; /* spread over the data */
        bounds(b, (uint32_t)(i % n), x[row * n + i % n], &low[i], &high[i]);
        z[i] = low[i] == high[i] ? low[i] : between(low[i], high[i], 0.5, &mass);
    }
    correlate(b->r, z, kept, n);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        factor(b->root, b->r, n);
        invert(q, b->root, n, scratch);
        for (uint64_t i = 0; i < kept; i++) sweep(z + i * n, low + i * n, high + i * n, q, n, &g);
        correlate(b->r, z, kept, n);
        for (uint64_t i = 0; round >= ROUNDS / 2 && i < (uint64_t)n * n; i++) sum[i] += b->r[i];
    }
    for (uint64_t i = 0; i < (uint64_t)n * n; i++) b->r[i] = sum[i] / (ROUNDS - ROUNDS / 2);
    factor(b->root, b->r, n);
out:
    free(z);
    free(low);
    free(high);
    free(q);
    free(sum);
    free(scratch);
    return st;
}

bf_status bf_baseline_fit(const bf_schema *s, const float *x, uint64_t rows, uint64_t seed, bf_baseline **out,
                          bf_err *err)
{
    bf_status st = BF_OK;
    bf_baseline *b = NULL;
    BF_NEW(b, 1);
    b->s = s;
    b->dims = s->dims;
    BF_NEW(b->column, b->dims);
    BF_NEW(b->r, (uint64_t)b->dims * b->dims);
    BF_NEW(b->root, (uint64_t)b->dims * b->dims);
    for (uint32_t p = 0; p < b->dims; p++) BF_TRY(count_column(b, p, x, rows, err));
    for (uint32_t p = 0; p < b->dims; p++) {
        if (column_at(b, p)->type == BF_COLUMN_CATEGORICAL) order_words(b, p, x, rows);
        set_edges(&b->column[p]);
    }
    BF_TRY(fit_copula(b, x, rows, seed, err));
    *out = b;
    b = NULL;
out:
    bf_baseline_free(b);
    return st;
}

void bf_baseline_free(bf_baseline *b)
{
    if (!b) return;
    for (uint32_t p = 0; b->column && p < b->dims; p++) {
        free(b->column[p].rank);
        free(b->column[p].share);
        free(b->column[p].edge);
    }
    free(b->column);
    free(b->r);
    free(b->root);
    free(b);
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

/* Bits of a cell under its marginal. */
static double cell_bits(const bf_baseline *b, uint32_t place, float x)
{
    const bf_column *c = column_at(b, place);
    const marginal *m = &b->column[place];
    const double p = m->share[cell_of(c, m, x)];
    return c->type == BF_COLUMN_CONTINUOUS ? -log2(p * PARTS / 2) + bf_column_bits(c, x) : -log2(p);
}

/* One draw of the integral: ln of its weight. What is known exactly counts as density over that of z alone. */
static double draw_weight(const bf_baseline *b, const double *low, const double *high, double *y, generator *g)
{
    double weight = 0, mass;
    for (uint32_t j = 0; j < b->dims; j++) {
        const double *l = b->root + (size_t)j * b->dims;
        double mean = 0;
        for (uint32_t k = 0; k < j; k++) mean += l[k] * y[k];
        if (low[j] == high[j]) {
            y[j] = (low[j] - mean) / l[j];
            weight += 0.5 * (low[j] * low[j] - y[j] * y[j]) - log(l[j]);
        } else {
            y[j] = between((low[j] - mean) / l[j], (high[j] - mean) / l[j], uniform(g), &mass);
            weight += log(mass);
        }
    }
    return weight;
}

/* ln of the mean of exp(w[i]). */
static double log_mean_exp(const double *w, uint32_t n)
{
    double most = -HUGE_VAL, sum = 0;
    for (uint32_t i = 0; i < n; i++) most = BF_MAX(most, w[i]);
    for (uint32_t i = 0; i < n; i++) sum += exp(w[i] - most);
    return most + log(sum / n);
}

bf_status bf_baseline_score(const bf_baseline *b, const float *x, uint64_t rows, uint64_t seed, double *marginal_bits,
                            double *copula, bf_err *err)
{
    bf_status st = BF_OK;
    const uint32_t n = b->dims;
    double *low = NULL, *high = NULL, *y = NULL, weight[DRAWS];
    BF_NEW(low, n);
    BF_NEW(high, n);
    BF_NEW(y, n);
    for (uint64_t i = 0; i < rows; i++) {
        generator g = {.seed = seed, .stream = STREAM_SCORE, .sample = (uint32_t)i};
        double exact = 0; /* bits of what is known exactly */
        marginal_bits[i] = 0;
        for (uint32_t p = 0; p < n; p++) {
            const float v = x[i * n + p];
            bounds(b, p, v, &low[p], &high[p]);
            if (isnan(v)) continue;
            marginal_bits[i] += cell_bits(b, p, v);
            if (low[p] == high[p]) exact += cell_bits(b, p, v);
        }
        for (uint32_t d = 0; d < DRAWS; d++) weight[d] = draw_weight(b, low, high, y, &g);
        copula[i] = exact - log_mean_exp(weight, DRAWS) / BF_LN2;
    }
out:
    free(low);
    free(high);
    free(y);
    return st;
}

double bf_baseline_correlation(const bf_baseline *b, uint32_t i, uint32_t j)
{
    return b->r[(size_t)i * b->dims + j];
}

double bf_baseline_mean(const bf_baseline *b, uint32_t place)
{
    return b->column[place].mean;
}

double bf_baseline_deviation(const bf_baseline *b, uint32_t place)
{
    return b->column[place].deviation;
}
