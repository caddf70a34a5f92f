/* Any bytes as a table: read, described, stored, coded, written and read again. */
#include <string.h>

#include "fuzz.h"
#include "io/table.h"

/* The rows of a table by its own schema, written and filled. */
static void use(const bf_schema *s, bf_csv *c)
{
    bf_err err;
    const bf_csv_cell *cells;
    uint32_t *from = calloc(s->columns, sizeof *from);
    char *buffer = malloc(BF_CSV_CELL), *text = NULL;
    float *x = calloc(s->dims, sizeof *x), *fed = calloc(bf_table_width(s), sizeof *fed);
    double *value = calloc(s->dims, sizeof *value);
    uint8_t *given = malloc(s->dims);
    size_t size, all;
    FUZZ_CHECK(from && buffer && x && fed && value && given && bf_table_match(s, c, from, &err) == BF_OK);
    memset(given, 1, s->dims);
    for (bf_csv_rewind(c); bf_csv_next(c, &cells, &err) == BF_OK && cells;) {
        FUZZ_CHECK(bf_table_row(s, c, cells, from, buffer, x, &err) == BF_OK);
        bf_table_feed(s, x, given, false, fed);
        for (uint32_t p = 0; p < s->dims; p++) value[p] = bf_column_value(&s->column[s->by_place[p]], x[p], 0.25);
    }
    FUZZ_CHECK(bf_table_write(s, value, 1, &text, &size, &err) == BF_OK);
    free(text);
    FUZZ_CHECK(bf_table_fill(s, c, value, 0, &text, &size, &err) == BF_OK);
    FUZZ_CHECK(size == (bf_csv_bytes(c, &all), all) && memcmp(text, bf_csv_bytes(c, &all), size) == 0);
    free(text);
    free(from);
    free(buffer);
    free(x);
    free(fed);
    free(value);
    free(given);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bf_schema_options o = {.missing = "NA ?", .levels = 16, .quantiles = size % 2, .bins = size % 3};
    bf_err err;
    bf_csv *c = NULL;
    bf_schema *s = NULL, *again = NULL;
    char *text = NULL;
    if (bf_csv_parse("input", data, size, &c, &err) != BF_OK) return 0;
    if (bf_schema_infer(c, &o, &s, &err) == BF_OK) {
        FUZZ_CHECK(bf_schema_text(s, &text, &err) == BF_OK);
        FUZZ_CHECK(bf_schema_parse("input", text, &again, &err) == BF_OK && again->dims == s->dims);
        use(again, c);
    }
    bf_schema_free(again);
    bf_schema_free(s);
    free(text);
    bf_csv_close(c);
    return 0;
}
