#include "chem/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "chem/bonds.h"
#include "chem/standard.h"
#include "io/chart.h"

static double distance(const float a[3], const float b[3])
{
    const double d[3] = {(double)a[0] - b[0], (double)a[1] - b[1], (double)a[2] - b[2]};
    return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

/* ---- stability --------------------------------------------------------------------------------------------------- */

static bool valence_fits(unsigned element, int valence)
{
    static const struct {
        uint8_t element, valence[2];
    } allowed[] = {{1, {1}},     {5, {3}},  {6, {4}},  {7, {3}},  {8, {2}},  {9, {1}},  {13, {3}},    {14, {4}},
                   {15, {3, 5}}, {16, {4}}, {17, {1}}, {33, {3}}, {35, {1}}, {53, {1}}, {80, {1, 2}}, {83, {3, 5}}};
    for (size_t i = 0; i < BF_COUNT(allowed); i++) {
        if (allowed[i].element == element)
            return valence > 0 && (allowed[i].valence[0] == valence || allowed[i].valence[1] == valence);
    }
    return false;
}

void bf_stability_add(bf_stability *s, const bf_mol *m)
{
    static const double beyond = 3; /* no bond of the table is longer */
    uint32_t stable = 0;
    for (uint32_t i = 0; i < m->atoms; i++) {
        int valence = 0;
        for (uint32_t j = 0; j < m->atoms; j++) {
            const double d = distance(m->atom[i].x, m->atom[j].x);
            if (i != j && d < beyond) valence += bf_bond_order(m->atom[i].element, m->atom[j].element, d);
        }
        stable += valence_fits(m->atom[i].element, valence);
    }
    s->atoms += m->atoms;
    s->stable_atoms += stable;
    s->molecules++;
    s->stable_molecules += m->atoms > 0 && stable == m->atoms;
}

/* ---- validity ---------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    if (x == NULL || y == NULL) return (x == NULL) - (y == NULL); /* NULLs last */
    return strcmp(x, y);
}

size_t bf_smiles_sort(char **list, size_t n)
{
    size_t kept = 0;
    if (n > 0) qsort(list, n, sizeof *list, by_text);
    for (size_t i = 0; i < n && list[i] != NULL; i++) {
        if (kept > 0 && strcmp(list[kept - 1], list[i]) == 0)
            free(list[i]);
        else
            list[kept++] = list[i];
    }
    return kept;
}

/* Counts what is different in a list (left as it is) and what of it is in the reference. */
static bf_status count_different(char *const *list, size_t n, char *const *reference, size_t n_reference,
                                 bf_validity *v, bf_err *err)
{
    bf_status st = BF_OK;
    const char **sorted = NULL;
    BF_NEW(sorted, n);
    memcpy(sorted, list, n * sizeof *sorted);
    if (n > 0) qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 0; i < n && sorted[i] != NULL; i++) {
        if (i > 0 && strcmp(sorted[i - 1], sorted[i]) == 0) continue;
        v->unique++;
        v->known += n_reference > 0 && bsearch(&sorted[i], reference, n_reference, sizeof *reference, by_text) != NULL;
    }
out:
    free(sorted);
    return st;
}

bf_status bf_validity_of(const bf_mol *list, size_t n, char *const *reference, size_t n_reference, char **smiles,
                         bf_validity *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_validity v = {.molecules = n};
    char **text = NULL;
    *out = v;
    BF_NEW(text, n);
    for (size_t i = 0; i < n; i++) {
        bf_standard s;
        st = bf_standardise(&list[i], &s, err);
        if (st == BF_FILE) continue; /* refused: not valid */
        if (st != BF_OK) goto out;
        v.valid++;
        v.connected += s.fragments == 1;
        text[i] = s.plain;
        s.plain = NULL;
        bf_standard_free(&s);
    }
    BF_TRY(count_different(text, n, reference, n_reference, &v, err));
    *out = v;
    if (smiles != NULL) {
        memcpy(smiles, text, n * sizeof *smiles);
        memset(text, 0, n * sizeof *text);
    }
out:
    for (size_t i = 0; i < n && text != NULL; i++) free(text[i]);
    free(text);
    return st;
}

/* ---- distributions ----------------------------------------------------------------------------------------------- */

static void count(bf_histogram *h, double v)
{
    const double place = (v - h->low) / (h->high - h->low) * h->bins;
    if (place >= 0 && place < h->bins) h->count[(uint32_t)place]++;
}

void bf_count_bond_lengths(const bf_mol *m, unsigned element_a, unsigned element_b, int order, bf_histogram *h)
{
    for (uint32_t i = 0; i < m->bonds; i++) {
        const bf_bond *b = &m->bond[i];
        const unsigned x = m->atom[b->a].element, y = m->atom[b->b].element;
        const bool forward = (element_a == 0 || element_a == x) && (element_b == 0 || element_b == y);
        const bool backward = (element_a == 0 || element_a == y) && (element_b == 0 || element_b == x);
        if ((forward || backward) && (order == 0 || order == b->order))
            count(h, distance(m->atom[b->a].x, m->atom[b->b].x));
    }
}

void bf_count_distances(const bf_mol *m, bf_histogram *h)
{
    for (uint32_t i = 0; i < m->atoms; i++) {
        for (uint32_t j = 0; j < i; j++) count(h, distance(m->atom[i].x, m->atom[j].x));
    }
}

static double sum_of(const double *p, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += p[i];
    return sum;
}

double bf_jensen_shannon(const double *p, const double *q, uint32_t n)
{
    const double all_p = sum_of(p, n), all_q = sum_of(q, n);
    double js = 0;
    if (!(all_p > 0) || !(all_q > 0)) return NAN;
    for (uint32_t i = 0; i < n; i++) {
        const double a = p[i] / all_p, b = q[i] / all_q, middle = 0.5 * (a + b);
        if (a > 0) js += 0.5 * a * log(a / middle);
        if (b > 0) js += 0.5 * b * log(b / middle);
    }
    return sqrt(fmax(js, 0));
}

bf_status bf_histogram_chart(const char *path, const char *title, const char *x_label, const char *const *names,
                             const bf_histogram *h, size_t n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_series *series = NULL;
    double *points = NULL;
    size_t corners = 0, used = 0;
    BF_NEW(series, n);
    for (size_t k = 0; k < n; k++) corners += 2 * ((size_t)h[k].bins + 1);
    BF_NEW(points, 2 * corners);
    for (size_t k = 0; k < n; k++) { /* the outline: up, along, down, bin by bin */
        const uint32_t bins = h[k].bins;
        const double width = (h[k].high - h[k].low) / bins, all = sum_of(h[k].count, bins);
        double *x = points + 2 * used, *y = x + 2 * ((size_t)bins + 1);
        for (uint32_t i = 0; i <= bins; i++) {
            x[2 * i] = x[2 * i + 1] = h[k].low + width * i;
            y[2 * i] = i > 0 && all > 0 ? h[k].count[i - 1] / (all * width) : 0;
            y[2 * i + 1] = i < bins && all > 0 ? h[k].count[i] / (all * width) : 0;
        }
        series[k] = (bf_series){.name = names[k], .x = x, .y = y, .n = 2 * ((size_t)bins + 1)};
        used += series[k].n;
    }
    BF_TRY(bf_chart_write(
        path, &(bf_chart){.title = title, .x_label = x_label, .y_label = "density", .series = series, .n_series = n},
        err));
out:
    free(points);
    free(series);
    return st;
}

/* ---- in a pocket ------------------------------------------------------------------------------------------------- */

bf_clashes bf_count_clashes(const bf_mol *ligand, const float (*x)[3], const uint8_t *element, uint32_t n)
{
    static const double tolerance = 0.5;
    bf_clashes c = {.closest = INFINITY};
    for (uint32_t i = 0; i < ligand->atoms; i++) {
        const bf_atom *a = &ligand->atom[i];
        const uint64_t before = c.pairs;
        if (a->element == 1) continue;
        for (uint32_t j = 0; j < n; j++) {
            if (element[j] == 1) continue;
            const double d = distance(a->x, x[j]);
            const double reach =
                (double)bf_element_of(a->element)->van_der_waals + bf_element_of(element[j])->van_der_waals;
            c.closest = fmin(c.closest, d);
            c.pairs += d < reach - tolerance;
        }
        c.ligand_atoms += c.pairs > before;
    }
    return c;
}
