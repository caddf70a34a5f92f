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
    fputs(",recon_bits_per_dim", f);
    for (size_t k = 0; k < s->n; k++) {
        char name[24] = "inf", of_group[96];
        if (s->steps[k]) snprintf(name, sizeof name, "%" PRId64, s->steps[k]);
        fprintf(f, ",loss_%s_bits_per_dim,total_%s_bits_per_dim", name, name);
        for (int g = 0; s->groups > 1 && g < s->groups; g++) {
            snprintf(of_group, sizeof of_group, "total_%s_bits %s", name, s->group[g].name);
            fputc(',', f);
            put_text(f, of_group);
        }
    }
    fputc('\n', f);
}

/* Loss k of example i. */
static void put_losses(FILE *f, const bf_example_scores *s, size_t k, uint64_t i)
{
    fprintf(f, ",%.9g,%.9g", s->loss[k][i] / BF_LN2, (s->loss[k][i] + s->recon[i]) / BF_LN2);
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
    fprintf(f, ",%.9g", s->recon[i] / BF_LN2);
    for (size_t k = 0; k < s->n; k++) put_losses(f, s, k, i);
    fputc('\n', f);
}

/* The lines of examples first .. end - 1; those of 0 with the header. */
static bf_status put_lines(const bf_example_scores *s, const bf_dataset *ds, uint64_t first, uint64_t end, bf_writer *w,
                           bf_err *err)
{
    bf_status st = BF_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    BF_CHECK(f != NULL, BF_RUNTIME, "out of memory for the scores per example");
    const bf_clocale l = bf_clocale_begin();
    if (first == 0) put_header(f, s, ds);
    for (uint64_t i = first; i < end; i++) put_example(f, s, ds, i);
    bf_clocale_end(l);
    const bool good = !ferror(f);
    BF_CHECK(fclose(f) == 0 && good, BF_RUNTIME, "out of memory for the scores per example");
    BF_TRY(bf_writer_put(w, text, size, err));
out:
    free(text);
    return st;
}

bf_status bf_example_scores_write(const bf_example_scores *s, const bf_dataset *ds, bf_writer *w, bf_err *err)
{
    enum { LINES = 4096 }; /* formatted at a time */
    bf_status st = BF_OK;
    for (uint64_t at = 0; at < s->samples; at += LINES)
        BF_TRY(put_lines(s, ds, at, BF_MIN(at + LINES, s->samples), w, err));
out:
    return st;
}
