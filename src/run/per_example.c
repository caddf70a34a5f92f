/* Scores per example. run/per_example.h */
#include "run/per_example.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clocale.h"
#include "base/size.h"
#include "base/stats.h"

static void put_text(FILE *f, const char *text)
{
    const bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    if (quoted) fputc('"', f);
    for (; *text; text++) {
        if (*text == '"') fputc('"', f);
        fputc(*text, f);
    }
    if (quoted) fputc('"', f);
}

static void put_header(FILE *f, const bf_example_scores *s, const bf_dataset *ds)
{
    fputs("index", f);
    if (bf_dataset_file(ds, 0)) fputs(",file", f);
    if (bf_dataset_get_info(ds).text) fputs(",offset,characters", f);
    const char *unit = bf_dataset_get_info(ds).table ? "row" : "dim";
    if (bf_dataset_get_info(ds).table) fputs(",row", f);
    fprintf(f, ",recon_bits_per_%s", unit);
    for (size_t k = 0; k < s->n; k++) {
        char name[24] = "inf", of_group[96];
        if (s->steps[k]) snprintf(name, sizeof name, "%" PRId64, s->steps[k]);
        fprintf(f, ",loss_%s_bits_per_%s,total_%s_bits_per_%s", name, unit, name, unit);
        for (int g = 0; s->groups > 1 && g < s->groups; g++) {
            snprintf(of_group, sizeof of_group, "total_%s_bits %s", name, s->group[g].name);
            fputc(',', f);
            put_text(f, of_group);
        }
    }
    fputc('\n', f);
}

/* From nats per variable to bits per variable, of a table per row. */
static double unit_of(bf_dataset_info info)
{
    return (info.table ? (double)info.dims : 1) / BF_LN2;
}

/* Loss k of example i. */
static void put_losses(FILE *f, const bf_example_scores *s, double unit, size_t k, uint64_t i)
{
    fprintf(f, ",%.9g,%.9g", s->loss[k][i] * unit, (s->loss[k][i] + s->recon[i]) * unit);
    for (int g = 0; s->groups > 1 && g < s->groups; g++) {
        const uint64_t at = (uint64_t)g * s->samples + i;
        fprintf(f, ",%.9g", (s->loss_of[k][at] + s->recon_of[at]) * (double)s->group[g].dims / BF_LN2);
    }
}

static void put_example(FILE *f, const bf_example_scores *s, const bf_dataset *ds, uint64_t i)
{
    const bf_dataset_info info = bf_dataset_get_info(ds);
    fprintf(f, "%" PRIu64, i);
    if (bf_dataset_file(ds, i)) {
        fputc(',', f);
        put_text(f, bf_dataset_file(ds, i));
    }
    if (info.text) fprintf(f, ",%" PRIu64 ",%" PRIu64, bf_dataset_offset(ds, i), info.dims - bf_dataset_overlap(ds, i));
    if (info.table) fprintf(f, ",%" PRIu64, i + 2);
    fprintf(f, ",%.9g", s->recon[i] * unit_of(info));
    for (size_t k = 0; k < s->n; k++) put_losses(f, s, unit_of(info), k, i);
    fputc('\n', f);
}

/* Lines first .. end - 1; those of 0 with the header. order[i]: example of line i; NULL: i. */
static bf_status put_lines(const bf_example_scores *s, const bf_dataset *ds, const uint64_t *order, uint64_t first,
                           uint64_t end, bf_writer *w, bf_err *err)
{
    bf_status st = BF_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    BF_CHECK(f != NULL, BF_RUNTIME, "out of memory for the scores per example");
    const bf_clocale l = bf_clocale_begin();
    if (first == 0) put_header(f, s, ds);
    for (uint64_t i = first; i < end; i++) put_example(f, s, ds, order ? order[i] : i);
    bf_clocale_end(l);
    const bool good = !ferror(f);
    BF_CHECK(fclose(f) == 0 && good, BF_RUNTIME, "out of memory for the scores per example");
    BF_TRY(bf_writer_put(w, text, size, err));
out:
    free(text);
    return st;
}

typedef struct ranked {
    double total;
    uint64_t index;
} ranked;

static int by_total(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->total != y->total) return x->total > y->total ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* All examples by the total of the first loss, the largest first. */
static bf_status outliers_first(const bf_example_scores *s, uint64_t **order, bf_err *err)
{
    bf_status st = BF_OK;
    ranked *list = NULL;
    BF_NEW(list, s->samples);
    BF_NEW(*order, s->samples);
    for (uint64_t i = 0; i < s->samples; i++) list[i] = (ranked){s->loss[0][i] + s->recon[i], i};
    qsort(list, s->samples, sizeof *list, by_total);
    for (uint64_t i = 0; i < s->samples; i++) (*order)[i] = list[i].index;
out:
    free(list);
    return st;
}

bf_status bf_example_scores_write(const bf_example_scores *s, const bf_dataset *ds, bf_writer *w, bf_err *err)
{
    enum { LINES = 4096 }; /* formatted at a time */
    bf_status st = BF_OK;
    uint64_t *order = NULL;
    if (bf_dataset_get_info(ds).table) BF_TRY(outliers_first(s, &order, err));
    for (uint64_t at = 0; at < s->samples; at += LINES)
        BF_TRY(put_lines(s, ds, order, at, BF_MIN(at + LINES, s->samples), w, err));
out:
    free(order);
    return st;
}
