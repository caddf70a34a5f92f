/* Reading and writing of CSV. */
#include "base/size.h"
#include "files.h"
#include "io/csv.h"

/* All cells of a text, as texts: columns by '|', rows by '/'; the header first. */
static bf_status flatten(const char *data, size_t size, char *out, bf_err *err)
{
    static char buffer[BF_CSV_CELL];
    bf_status st = BF_OK;
    bf_csv *c = NULL;
    const bf_csv_cell *cells;
    out[0] = '\0';
    BF_TRY(bf_csv_parse("x.file", data, size, &c, err));
    for (uint32_t i = 0; i < bf_csv_columns(c); i++) sprintf(out + strlen(out), "%s|", bf_csv_column(c, i));
    for (;;) {
        BF_TRY(bf_csv_next(c, &cells, err));
        if (!cells) break;
        strcat(out, "/");
        for (uint32_t i = 0; i < bf_csv_columns(c); i++)
            sprintf(out + strlen(out), "%s|", bf_csv_text(&cells[i], buffer));
    }
out:
    bf_csv_close(c);
    return st;
}

static void reads(const char *text, const char *want)
{
    char got[4096];
    OK(flatten(text, strlen(text), got, err));
    ck_assert_str_eq(got, want);
}

static void refuses(const char *text, const char *part)
{
    char got[4096];
    FAILS(BF_FILE, part, flatten(text, strlen(text), got, err));
    FAILS(BF_FILE, "x.file", flatten(text, strlen(text), got, err));
}

START_TEST(plain_cells)
{
    reads("a,b\n1,2\n", "a|b|/1|2|");
    reads("a,b\n1,2", "a|b|/1|2|");
    reads("a,b\r\n1,2\r\n3,4\r\n", "a|b|/1|2|/3|4|");
    reads("a,b\r1,2\r", "a|b|/1|2|");
    reads("\xef\xbb\xbf"
          "a,b\n1,2\n",
          "a|b|/1|2|");
    reads("a,b", "a|b|");
    reads("a\n", "a|");
    reads("a\n1\n\n2\n", "a|/1|/|/2|");                 /* one column: an empty line is an empty cell */
    reads("a,b\n\n1,2\n\n\n3,4\n\n", "a|b|/1|2|/3|4|"); /* otherwise it is nothing */
    reads("a,b\n,\n", "a|b|/||");
    reads("a,b\n,", "a|b|/||");
    reads("a;b\n1,5;2\n", "a|b|/1,5|2|");
    reads("a\tb,c\td\n1\t2\t3\n", "a|b,c|d|/1|2|3|");
    reads("\"a,;;;b\",c\n1,2\n", "a,;;;b|c|/1|2|"); /* separators inside quotes are not counted */
    reads("a,b\n \" x\" , y \n", "a|b|/ \" x\" | y |");
    reads("\xc3\xa9,b\n\xe2\x82\xac,\xf0\x9f\x98\x80\n", "\xc3\xa9|b|/\xe2\x82\xac|\xf0\x9f\x98\x80|");
}
END_TEST

START_TEST(quotes)
{
    reads("a,b\n\"1\",\"2\"\n", "a|b|/1|2|");
    reads("a,b\n\"\",\"\"\"\"\n", "a|b|/|\"|");
    reads("a,b\n\"x\"\"y\",\"\"\"\"\"\"\n", "a|b|/x\"y|\"\"|");
    reads("a,b\n\"1,5\",\"two\nlines\"\n3,4", "a|b|/1,5|two\nlines|/3|4|");
    reads("a,b\n5\" pipe,2\n", "a|b|/5\" pipe|2|");
    refuses("a,b\n\"1,2\n", "row 2: a quote is opened and not closed");
    refuses("a,b\n1,\"", "row 2: a quote is opened and not closed");
    refuses("a,b\n1,2\n3,\"4\"x\n", "row 3: text behind the quotes");
    refuses("\"a,b\n1,2", "row 1: a quote");
}
END_TEST

START_TEST(damage)
{
    char text[3 * BF_CSV_COLUMNS + 16] = "";
    refuses("", "empty");
    refuses("\n1\n", "column 1 has no name");
    refuses("a,\n1,2\n", "column 2 has no name");
    refuses("a,b,a\n", "two columns are called \"a\"");
    refuses("a,b\n1,2\n1\n", "row 3: 1 cells, the header has 2");
    refuses("a,b\n1,2,3\n", "row 2: more than the 2 cells");
    refuses("a,b\n\n\n1\n", "row 4: 1 cells");
    refuses("a,b\n1,\xff\n", "row 2, byte 6 of the file: 0xff is not UTF-8");
    refuses("a,b\n1,\xc3", "not UTF-8");
    char got[64];
    FAILS(BF_FILE, "0x00 is not UTF-8", flatten("a,b\n1,\0\n", 8, got, err));
    for (int i = 0; i <= BF_CSV_COLUMNS; i++) strcat(text + (i ? 2 * i - 2 : 0), "a,");
    refuses(text, "more than 4096 columns");
    char *wide = malloc(BF_CSV_CELL + 8);
    memset(wide, 'x', BF_CSV_CELL + 8);
    memcpy(wide, "a\n", 2);
    wide[BF_CSV_CELL + 7] = '\0';
    refuses(wide, "row 2: a cell of more than 64 KiB");
    wide[2] = '"';
    refuses(wide, "not closed within 64 KiB");
    wide[BF_CSV_CELL] = '\0';
    memset(wide + 2, 'x', BF_CSV_CELL - 2);
    bf_csv *c;
    const bf_csv_cell *cells;
    OK(bf_csv_parse("x.file", wide, strlen(wide), &c, err));
    OK(bf_csv_next(c, &cells, err));
    ck_assert_uint_eq(cells[0].size, BF_CSV_CELL - 2);
    bf_csv_close(c);
    free(wide);
    FAILS(BF_FILE, "no.csv", bf_csv_open(test_path("no.csv"), &c, err));
}
END_TEST

START_TEST(rewinding_and_rows)
{
    const char text[] = "a,b\n1,2\n\n\"x\ny\",4\n";
    bf_csv *c;
    const bf_csv_cell *cells;
    size_t size;
    test_spill(test_path("t.csv"), text, strlen(text));
    OK(bf_csv_open(test_path("t.csv"), &c, err));
    ck_assert_int_eq(bf_csv_separator(c), ',');
    for (int pass = 0; pass < 2; pass++) {
        bf_csv_rewind(c);
        OK(bf_csv_next(c, &cells, err));
        ck_assert_uint_eq(bf_csv_row(c), 2);
        OK(bf_csv_next(c, &cells, err));
        ck_assert_uint_eq(bf_csv_row(c), 4); /* the empty line is row 3 */
        ck_assert(cells[0].quoted && cells[0].size == 5 && !cells[1].quoted);
        OK(bf_csv_next(c, &cells, err));
        ck_assert_ptr_null(cells);
        OK(bf_csv_next(c, &cells, err));
        ck_assert_ptr_null(cells);
    }
    ck_assert_mem_eq(bf_csv_bytes(c, &size), text, strlen(text));
    ck_assert_uint_eq(size, strlen(text));
    bf_csv_close(c);
}
END_TEST

/* What is written reads back, whatever it is. */
START_TEST(quoting)
{
    static const char *const texts[] = {"",           "x",  " x ", "a,b",  "a;b",      "\"",      "say \"no\"",
                                        "two\nlines", "\r", ",",   "\"\"", "\xc3\xa9", "5\" pipe"};
    for (size_t i = 0; i < BF_COUNT(texts); i++) {
        char file[128] = "a,b\n", cell[BF_CSV_QUOTED(32)], got[256], want[128];
        ck_assert_uint_eq(bf_csv_quote(texts[i], ',', cell), strlen(cell));
        ck_assert_uint_lt(strlen(cell), BF_CSV_QUOTED(strlen(texts[i])));
        strcat(strcat(strcat(file, cell), ","), cell);
        OK(flatten(file, strlen(file), got, err));
        snprintf(want, sizeof want, "a|b|/%s|%s|", texts[i], texts[i]);
        ck_assert_str_eq(got, want);
    }
    char cell[16];
    bf_csv_quote("plain", ',', cell);
    ck_assert_str_eq(cell, "plain");
    bf_csv_quote("a;b", ',', cell);
    ck_assert_str_eq(cell, "a;b");
}
END_TEST

static bf_status parse_any(const void *data, size_t size, bf_err *err)
{
    char got[4096];
    return flatten(data, size, got, err);
}

START_TEST(damaged_bytes)
{
    const char text[] = "\xef\xbb\xbf"
                        "name,\"n,\"\"2\"\r\n\"x\ny\",4\r\n\xc3\xa9,\r\n";
    ck_assert_uint_gt(test_flips(parse_any, text, strlen(text)), 0);
    for (size_t n = 0; n <= strlen(text); n++) { /* every prefix is refused or a shorter table; each in its own block */
        bf_err err = {0};
        char *copy = malloc(n + 1), got[4096];
        ck_assert_ptr_nonnull(copy);
        copy = realloc(copy, n > 0 ? n : 1);
        memcpy(copy, text, n);
        const bf_status st = flatten(copy, n, got, &err);
        ck_assert(st == BF_OK || st == BF_FILE);
        free(copy);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("csv");
    TCase *c = tcase_create("csv");
    tcase_add_test(c, plain_cells);
    tcase_add_test(c, quotes);
    tcase_add_test(c, damage);
    tcase_add_test(c, rewinding_and_rows);
    tcase_add_test(c, quoting);
    tcase_add_test(c, damaged_bytes);
    suite_add_tcase(s, c);
    return test_main(s);
}
