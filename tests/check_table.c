/* Tables: types of columns, their place in the model file, cells to numbers and back. */
#include <math.h>

#include "base/size.h"
#include "files.h"
#include "io/table.h"

static const bf_schema_options plain = {.missing = "NA ?", .levels = 16, .quantiles = true};

static bf_status infer(const char *text, const bf_schema_options *o, bf_schema **out, bf_err *err)
{
    bf_csv *c = NULL;
    bf_status st = bf_csv_parse("x.file", text, strlen(text), &c, err);
    if (st == BF_OK) st = bf_schema_infer(c, o, out, err);
    bf_csv_close(c);
    return st;
}

static bf_schema *schema_of(const char *text, const char *columns)
{
    bf_schema_options o = plain;
    bf_schema *s = NULL;
    o.columns = columns;
    OK(infer(text, &o, &s, err));
    return s;
}

static bf_table table_of(const char *text, const bf_schema *s)
{
    bf_table t;
    test_spill(test_path("t.csv"), text, strlen(text));
    OK(bf_table_read(test_path("t.csv"), s, 0, &t, err));
    return t;
}

/* 24 rows: number, small integer, word, flag, constant, text of its own in every row, one value with a gap, quoted. */
static const char *mixed(void)
{
    static char text[4096];
    static const char *const words[] = {"red", "green", "blue, dark"};
    strcpy(text, "id,size,count,colour,flag,unit,note\r\n");
    for (int i = 0; i < 24; i++)
        sprintf(text + strlen(text), "n%d,%.2f,%d,\"%s\",%s,m,%s\r\n", i, i * i / 7.0, i % 9 - 3, words[i % 3],
                i % 2 ? "yes" : "no", i == 5 ? "" : "NA");
    return text;
}

START_TEST(types)
{
    static const struct {
        const char *name, *type;
        uint32_t place, levels;
    } want[] = {{"id", "ignore", BF_NO_PLACE, 0},  {"size", "continuous", 0, 0}, {"count", "integer", 1, 9},
                {"colour", "categorical", 3, 3},   {"flag", "binary", 2, 2},     {"unit", "constant", BF_NO_PLACE, 1},
                {"note", "ignore", BF_NO_PLACE, 0}};
    bf_schema *s = schema_of(mixed(), NULL);
    ck_assert_uint_eq(s->columns, BF_COUNT(want));
    for (size_t i = 0; i < BF_COUNT(want); i++) {
        ck_assert_str_eq(s->column[i].name, want[i].name);
        ck_assert_str_eq(bf_column_type_name(&s->column[i]), want[i].type);
        ck_assert_uint_eq(s->column[i].place, want[i].place);
        ck_assert_uint_eq(s->column[i].levels, want[i].levels);
    }
    ck_assert_uint_eq(s->dims, 4);
    ck_assert_uint_eq(s->groups, 4);
    ck_assert(s->group[2].type == BF_COLUMN_CATEGORICAL && s->group[2].levels == 2 && s->group[2].first == 2);
    ck_assert_uint_eq(s->column[6].missing, 24);
    ck_assert_str_eq(s->column[3].word[0], "blue, dark");
    ck_assert_int_eq(s->column[1].decimals, 2);
    ck_assert(s->column[1].zeros);
    ck_assert(s->column[2].low == -3 && s->column[2].high == 5);
    bf_schema_free(s);

    s = schema_of(mixed(), "size=bins:8, count = continuous,flag=ignore, colour=categorical,\tid=categorical");
    ck_assert_str_eq(bf_column_type_name(&s->column[1]), "bins");
    ck_assert_uint_eq(s->column[1].levels, 8);
    ck_assert_str_eq(bf_column_type_name(&s->column[2]), "continuous");
    ck_assert_uint_eq(s->column[0].levels, 24);
    ck_assert_uint_eq(s->dims, 4);
    bf_schema_free(s);
}
END_TEST

/* Columns of one kind and number of levels stand together, in the order of the file. */
START_TEST(groups)
{
    bf_schema *s = schema_of("a,b,c,d,e,f\nx,1,y,1.5,7,u\ny,2,z,2.5,8,v\nx,3,q,3.25,9,w\nx,1,y,0.5,7,u\n",
                             "c=categorical,f=categorical");
    static const uint32_t order[] = {3, 1, 4, 0, 2, 5};
    ck_assert_uint_eq(s->dims, 6);
    for (uint32_t i = 0; i < 6; i++) ck_assert_uint_eq(s->by_place[i], order[i]);
    ck_assert_uint_eq(s->groups, 4);
    ck_assert(s->group[1].type == BF_COLUMN_BINS && s->group[1].levels == 3 && s->group[1].count == 2);
    ck_assert(s->group[3].levels == 3 && s->group[3].first == 4 && s->group[3].count == 2);
    bf_schema_free(s);
}
END_TEST

START_TEST(options_refused)
{
    static const struct {
        const char *columns, *message;
        bf_status status;
    } cases[] = {{"size", "\"size\" is not of the form name=type", BF_USAGE},
                 {"size=", "\"\" is not one of", BF_USAGE},
                 {"=bins", "not of the form", BF_USAGE},
                 {"size=numeric", "\"numeric\" is not one of continuous", BF_USAGE},
                 {"nope=ignore", "no column \"nope\"", BF_USAGE},
                 {"size=bins:1", "bins", BF_USAGE},
                 {"size=bins:257", "bins", BF_USAGE},
                 {"size=bins:x", "bins", BF_USAGE},
                 {"size=ignore,size=bins", "named twice", BF_USAGE},
                 {"size=ignore count=bins", "not of the form", BF_USAGE},
                 {"colour=continuous", "column \"colour\" has cells that are not numbers", BF_FILE},
                 {"size=integer", "column \"size\" has other numbers than integers", BF_FILE},
                 {"colour=binary", "\"colour\" has 3 different values", BF_FILE},
                 {"note=binary", "only missing cells", BF_FILE}};
    for (size_t i = 0; i < BF_COUNT(cases); i++) {
        bf_schema_options o = plain;
        bf_schema *s = NULL;
        o.columns = cases[i].columns;
        FAILS(cases[i].status, cases[i].message, infer(mixed(), &o, &s, err));
        ck_assert_ptr_null(s);
    }
    bf_schema *s = NULL;
    FAILS(BF_FILE, "a header and no rows", infer("a,b\n", &plain, &s, err));
    FAILS(BF_FILE, "no column has anything to learn", infer("a,b\n1,\n1,\n", &plain, &s, err));
    FAILS(BF_FILE, "row 3: 1 cells", infer("a,b\n1,2\n3\n", &plain, &s, err));
}
END_TEST

START_TEST(edge_shapes)
{
    /* one column; one row is constant; everything missing but one cell; numbers written in two ways */
    bf_schema *s = schema_of("a\n1.5\n2.5\n3.25\n", NULL), *none = NULL;
    ck_assert_str_eq(bf_column_type_name(&s->column[0]), "continuous");
    bf_schema_free(s);
    FAILS(BF_FILE, "no column has anything to learn", infer("a,b\n1,x\n", &plain, &none, err));
    FAILS(BF_FILE, "no column", infer("a,b\n1,\n,NA\n?, \n", &plain, &none, err));
    FAILS(BF_FILE, "no column", infer("a\n1\n1.0\n1e0\n", &plain, &none, err));
    s = schema_of("a,b\n1,x\n2,x\n4.5,x\n", NULL);
    ck_assert_str_eq(bf_column_type_name(&s->column[1]), "constant");
    bf_schema_free(s);
    s = schema_of("a,b\n1,x\n1.0,y\n,\n", NULL);
    ck_assert_str_eq(bf_column_type_name(&s->column[0]), "constant");
    ck_assert_str_eq(bf_column_type_name(&s->column[1]), "binary");
    bf_table t = table_of("a,b\n1e0,x\n,\n", s);
    ck_assert(t.rows == 2 && t.x[0] == 0 && isnan(t.x[1]));
    bf_table_free(&t);
    bf_schema_free(s);
    /* 300 columns; the same with a range beyond integers */
    char *wide = calloc(1, 300 * 40);
    for (int i = 0; i < 300; i++) sprintf(wide + strlen(wide), "%sc%d", i ? "," : "", i);
    for (int r = 0; r < 3; r++)
        for (int i = 0; i < 300; i++) sprintf(wide + strlen(wide), "%s%d", i ? "," : "\n", i % 2 ? r * 128 : r * 127);
    s = schema_of(wide, NULL);
    ck_assert_uint_eq(s->dims, 300);
    ck_assert_str_eq(bf_column_type_name(&s->column[0]), "integer");
    ck_assert_str_eq(bf_column_type_name(&s->column[1]), "continuous");
    ck_assert(s->column[0].levels == 255 && s->group[0].count == 150 && s->group[1].count == 150);
    bf_schema_free(s);
    free(wide);
}
END_TEST

static bf_schema *tails(bool quantiles, const char *columns)
{
    char text[8192] = "a,b\n";
    bf_schema_options o = plain;
    bf_schema *s;
    for (int i = 0; i < 200; i++) /* a: a third zeros and a tail; b: even */
        sprintf(text + strlen(text), "%.3f,%d\n", i < 66 ? 0.0 : exp((i - 66) / 20.0), i * 10);
    o.quantiles = quantiles;
    o.columns = columns;
    OK(infer(text, &o, &s, err));
    return s;
}

/* v = map(x) is monotone, hits the ends, and comes back. */
START_TEST(maps)
{
    for (int quantiles = 0; quantiles < 2; quantiles++) {
        bf_schema *s = tails(quantiles, NULL);
        for (int i = 0; i < 2; i++) {
            const bf_column *c = &s->column[i];
            ck_assert(c->knots >= 2 && c->knots <= BF_COLUMN_KNOTS && (quantiles || c->knots == 2));
            ck_assert(c->at[0] == c->low && c->at[c->knots - 1] == c->high);
            double last = -2;
            for (double p = 0; p <= 1; p += 1.0 / 64) {
                const double x = c->low + p * (c->high - c->low), v = bf_column_map(c, x);
                ck_assert(v > last && v >= -1 && v <= 1);
                ck_assert_double_eq_tol(bf_column_unmap(c, v), x, 1e-9 * c->high);
                last = v;
            }
            ck_assert_double_eq(bf_column_map(c, c->low - 1e6), bf_column_map(c, c->low));
            ck_assert_double_eq(bf_column_map(c, c->high + 1e6), bf_column_map(c, c->high));
        }
        if (quantiles) /* normal scores: the median is in the middle */
            ck_assert_double_eq_tol(bf_column_map(&s->column[0], exp(34 / 20.0)), 0, 0.05);
        bf_schema_free(s);
    }
}
END_TEST

/* Equal shares, equal values together, no level empty; or equal parts of the range. */
START_TEST(bins)
{
    bf_schema *s = tails(true, "a=bins:10,b=bins:10");
    const bf_column *a = &s->column[0], *b = &s->column[1];
    ck_assert_uint_eq(b->levels, 10);
    for (uint32_t k = 0; k < 10; k++) ck_assert(b->at[k] == 200 * k && b->to[k] == 200 * k + 190);
    ck_assert(bf_column_bin(b, 194) == 0 && bf_column_bin(b, 196) == 1 && bf_column_bin(b, 1e9) == 9);
    ck_assert(bf_column_bin(b, -5) == 0 && bf_column_bin(b, 1990) == 9 && bf_column_bin(b, 1800) == 9);
    ck_assert_uint_eq(a->levels, 10);
    ck_assert(a->at[0] == 0 && a->to[0] == 0 && a->at[1] == 1); /* the zeros are one level */
    ck_assert_double_eq(bf_column_value(a, 0, 0.9), 0);
    bf_schema_free(s);
    s = tails(false, "b=bins:10");
    for (uint32_t k = 0; k < 10; k++) ck_assert_uint_eq(bf_column_bin(&s->column[1], 199 * k + 1), k);
    ck_assert_uint_eq(bf_column_bin(&s->column[1], 1990), 9);
    bf_schema_free(s);
    s = schema_of("a\n1\n5\n5\n5\n5\n", "a=bins:2");
    ck_assert(s->column[0].levels == 2 && s->column[0].to[0] == 1 && s->column[0].at[1] == 5);
    bf_schema_free(s);
    s = schema_of("a\n1\n1\n1\n1\n2.5\n300\n", "a=bins:16"); /* fewer values than bins */
    ck_assert_uint_eq(s->column[0].levels, 3);
    bf_schema_free(s);
}
END_TEST

/* The density of a map's x integrates to one over the numbers: bits are those of the resolution. */
START_TEST(bits_of_density)
{
    bf_schema *s = schema_of("a\n0.00\n1.00\n2.50\n10.00\n3.00\n", NULL);
    const bf_column *c = &s->column[0];
    double sum = 0;
    const double step = 0.01;
    for (double x = step / 2; x < 10; x += step) {
        const double v = bf_column_map(c, x), width = bf_column_map(c, c->high) - bf_column_map(c, c->low);
        sum += exp2(-(bf_column_bits(c, (float)v) - log2(1 / width))); /* uniform density of v */
    }
    ck_assert_double_eq_tol(sum, 1, 1e-3);
    bf_schema_free(s);
}
END_TEST

START_TEST(model_file)
{
    bf_schema *s = schema_of(mixed(), "size=bins"), *t = NULL;
    char *text, *again;
    OK(bf_schema_text(s, &text, err));
    OK(bf_schema_parse("x.file", text, &t, err));
    OK(bf_schema_text(t, &again, err));
    ck_assert_str_eq(text, again);
    ck_assert_uint_eq(t->dims, s->dims);
    ck_assert_mem_eq(t->column[1].at, s->column[1].at, sizeof(double) * (size_t)s->column[1].knots);
    bf_schema_free(t);
    free(again);
    /* every change of a number or word is noticed or harmless, never a crash */
    static const char *const damage[][2] = {{"\"integer\"", "\"what\""},
                                            {"\"levels\":9", "\"levels\":8"},
                                            {"\"levels\":3", "\"levels\":300"},
                                            {"\"levels\":16", "\"levels\":1"},
                                            {"\"low\":-3", "\"low\":5"},
                                            {"\"decimals\":2", "\"decimals\":99"},
                                            {"\"green\",\"red\"", "\"red\",\"green\""},
                                            {"\"to\":[", "\"to\":[5,"},
                                            {"\"at\":[", "\"at\":[1e9,"},
                                            {"\"separator\":\",\"", "\"separator\":\"x\""},
                                            {"\"columns\":[", "\"columns\":[1,"},
                                            {"\"name\":\"size\"", "\"name\":7"},
                                            {"\"missing\":0", "\"missing\":-1"},
                                            {"\"missing\":\"NA ?\"", "\"missing\":3"}};
    for (size_t i = 0; i < BF_COUNT(damage); i++) {
        char *p = strstr(text, damage[i][0]), *bad = calloc(1, strlen(text) + 64);
        ck_assert_msg(p != NULL, "%s is not in %s", damage[i][0], text);
        memcpy(bad, text, (size_t)(p - text));
        strcat(strcat(bad, damage[i][1]), p + strlen(damage[i][0]));
        t = NULL;
        FAILS(BF_FILE, "x.file", bf_schema_parse("x.file", bad, &t, err));
        ck_assert_ptr_null(t);
        free(bad);
    }
    FAILS(BF_FILE, "x.file", bf_schema_parse("x.file", "{}", &t, err));
    FAILS(BF_FILE, "x.file", bf_schema_parse("x.file", "[", &t, err));
    free(text);
    bf_schema_free(s);
}
END_TEST

START_TEST(rows)
{
    bf_schema *s = schema_of(mixed(), NULL);
    /* columns in another order, one more, the ignored ones absent */
    bf_table t =
        table_of("more,flag,unit,count,colour,size\nx,yes,m,5,red,7.00\n,no,m,,\"blue, dark\",NA\n,no,,99,?,-5\n", s);
    ck_assert_uint_eq(t.rows, 3);
    ck_assert_float_eq_tol(t.x[0], (float)bf_column_map(&s->column[1], 7.0), 1e-7f);
    ck_assert_float_eq(t.x[1], 8);
    ck_assert_float_eq(t.x[2], 1);
    ck_assert_float_eq(t.x[3], 2);
    ck_assert(isnan(t.x[4]) && isnan(t.x[5]) && t.x[6] == 0 && t.x[7] == 0);
    ck_assert_float_eq(t.x[9], 8); /* beyond the range: its end */
    ck_assert_float_eq(t.x[8], -1);
    ck_assert(isnan(t.x[11]));
    bf_table_free(&t);
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"size,count,colour,flag,unit\n1,1,red,yes,m\n1,2,pink,yes,m\n", "row 3, column \"colour\": \"pink\" was not"},
        {"size,count,colour,flag,unit\nbig,1,red,yes,m\n", "row 2, column \"size\": \"big\" is not a number"},
        {"size,count,colour,flag,unit\n1,1.5,red,yes,m\n", "row 2, column \"count\": 1.5 is not a whole number"},
        {"size,count,colour,flag,unit\n1,1,red,yes,km\n", "row 2, column \"unit\": \"km\" was not"},
        {"size,count,colour,flag,unit\n1,1,red,maybe,m\n", "row 2, column \"flag\": \"maybe\" was not"},
        {"size,count,colour,unit\n1,1,red,m\n", "column \"flag\" of the training data is missing"},
        {"size,count,colour,flag,unit\nnan,1,red,yes,m\n", "\"nan\" is not a number"},
        {"size,count,colour,flag,unit\n1e999,1,red,yes,m\n", "is not a number"},
        {"size,count,colour,flag,unit\n", "0 rows"}};
    for (size_t i = 0; i < BF_COUNT(bad); i++) {
        test_spill(test_path("bad.csv"), bad[i].text, strlen(bad[i].text));
        FAILS(BF_FILE, bad[i].message, bf_table_read(test_path("bad.csv"), s, 0, &t, err));
        FAILS(BF_FILE, "bad.csv", bf_table_read(test_path("bad.csv"), s, 0, &t, err));
    }
    bf_schema_free(s);
}
END_TEST

/* Values of all cells; missing ones count as x = 0. */
static double *values_of(const bf_schema *s, const float *x, uint64_t n)
{
    double *value = calloc(n * s->dims, sizeof *value);
    ck_assert_ptr_nonnull(value);
    for (uint64_t i = 0; i < n * s->dims; i++)
        value[i] = bf_column_value(&s->column[s->by_place[i % s->dims]], x[i], 0.5);
    return value;
}

/* What is read and written is what was read. */
START_TEST(round_trip)
{
    static const char first[] = "id,size,count,colour,flag,unit,note\n,0.00,-3,red,no,m,\n,0.14,-2,green,yes,m,\n"
                                ",0.57,-1,\"blue, dark\",no,m,\n";
    bf_schema *s = schema_of(mixed(), NULL);
    bf_table t = table_of(mixed(), s), u;
    char *text;
    size_t size;
    double *value = values_of(s, t.x, t.rows);
    OK(bf_table_write(s, value, t.rows, &text, &size, err));
    ck_assert(strncmp(text, first, strlen(first)) == 0);
    u = table_of(text, s);
    ck_assert_uint_eq(u.rows, t.rows);
    for (uint64_t i = 0; i < t.rows * s->dims; i++) ck_assert_float_eq_tol(t.x[i], u.x[i], 1e-6f);
    bf_table_free(&u);
    free(text);
    free(value);
    /* any numbers at all make a table that reads back */
    for (uint64_t i = 0; i < t.rows * s->dims; i++) t.x[i] = i % 5 == 0 ? NAN : i % 3 ? 1e30f : -1e30f;
    value = values_of(s, t.x, t.rows);
    OK(bf_table_write(s, value, t.rows, &text, &size, err));
    u = table_of(text, s);
    bf_table_free(&u);
    free(text);
    free(value);
    bf_table_free(&t);
    bf_schema_free(s);
}
END_TEST

START_TEST(values_as_text)
{
    bf_schema *s = schema_of("a,b,c\n1.5,10,1e-3\n2.25,-400,2e-3\n9.5,900,4e-3\n3,5,7e-3\n", "b=bins:4");
    char out[BF_COLUMN_WORD_BYTES];
    bf_column_text(&s->column[0], 9.5, out);
    ck_assert_str_eq(out, "9.5"); /* not 9.50 */
    bf_column_text(&s->column[0], 3.0, out);
    ck_assert_str_eq(out, "3");
    bf_column_text(&s->column[2], 0.002, out);
    ck_assert_str_eq(out, "0.002");
    bf_column_text(&s->column[0], 1e6, out);
    ck_assert_str_eq(out, "9.5"); /* never outside the range */
    for (int k = 0; k < 4; k++) { /* anywhere inside a bin: here each has one value */
        const bf_column *c = &s->column[1];
        for (int i = 0; i < 8; i++) {
            bf_column_text(c, bf_column_value(c, (float)k, i / 8.0), out);
            ck_assert_uint_eq(bf_column_bin(c, strtod(out, NULL)), (uint32_t)k);
            ck_assert_double_eq(strtod(out, NULL), c->at[k]);
        }
    }
    bf_schema_free(s);
}
END_TEST

/* What the model is fed: cells, what is known, what is given, values of what is given. */
START_TEST(feeding)
{
    bf_schema *s = schema_of(mixed(), NULL); /* places: size, count (9 levels), flag (2), colour (3) */
    const float x[] = {0.25f, 4, 1, 2}, gap[] = {NAN, 8, 0, NAN};
    const uint8_t given[] = {1, 1, 1, 1};
    float got[18];
    ck_assert_uint_eq(bf_table_condition(s), 8 + 3 + 3);
    ck_assert_uint_eq(bf_table_width(s), 18);
    static const float all[18] = {0.25f, 0, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0.25f, 0, 1, 0, 0, 1};
    bf_table_feed(s, x, given, false, got);
    for (int i = 0; i < 18; i++) ck_assert_float_eq_tol(got[i], all[i], 1e-6f);
    bf_table_feed(s, x, NULL, true, got);
    ck_assert_float_eq(got[1], 4); /* a class */
    for (int i = 8; i < 18; i++) ck_assert_float_eq(got[i], 0);
    bf_table_feed(s, gap, given, false, got);
    static const float rest[14] = {0, 1, 1, 0, 0, 1, 1, 0, 0, 8.0f / 9, -1, 0, 0, 0};
    ck_assert(isnan(got[0]) && isnan(got[3]));
    for (int i = 0; i < 14; i++) ck_assert_float_eq_tol(got[4 + i], rest[i], 1e-6f);
    bf_schema_free(s);
}
END_TEST

/* Only what is missing changes: quotes, blanks, line ends, byte order mark stay. */
START_TEST(filling)
{
    static const char file[] =
        "\xef\xbb\xbf"
        "colour;note;size;flag;count;unit\r\n\"red\";;7.000;yes; 5 ;m\r\n\r\n?;;;no;NA;\"m\"\n\"\"; x ;1;;3;";
    static const char want[] = "\xef\xbb\xbf"
                               "colour;note;size;flag;count;unit\r\n\"red\";;7.000;yes; 5 ;m\r\n\r\nblue, "
                               "dark;;9.14;no;-3;\"m\"\n\"blue, dark\"; x ;1;no;3;m";
    bf_schema *s = schema_of(mixed(), NULL);
    bf_csv *c;
    char *text;
    size_t size;
    const double row[] = {64 / 7.0, -3, 0, 0};
    double x[12];
    for (int i = 0; i < 12; i++) x[i] = row[i % 4];
    OK(bf_csv_parse("x.file", file, strlen(file), &c, err));
    OK(bf_table_fill(s, c, x, 3, &text, &size, err));
    ck_assert_uint_eq(size, strlen(text));
    char expected[256];
    strcpy(expected, want);
    char *quoted = strstr(expected, "\"blue, dark\""); /* with semicolons the comma needs no quotes */
    memmove(quoted, quoted + 1, strlen(quoted));
    quoted = strstr(quoted, "\"");
    memmove(quoted, quoted + 1, strlen(quoted));
    ck_assert_str_eq(text, expected);
    free(text);
    bf_csv_close(c);
    bf_schema_free(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("table");
    TCase *c = tcase_create("table");
    tcase_add_test(c, types);
    tcase_add_test(c, groups);
    tcase_add_test(c, options_refused);
    tcase_add_test(c, edge_shapes);
    tcase_add_test(c, maps);
    tcase_add_test(c, bins);
    tcase_add_test(c, bits_of_density);
    tcase_add_test(c, model_file);
    tcase_add_test(c, rows);
    tcase_add_test(c, round_trip);
    tcase_add_test(c, values_as_text);
    tcase_add_test(c, feeding);
    tcase_add_test(c, filling);
    suite_add_tcase(s, c);
    return test_main(s);
}
