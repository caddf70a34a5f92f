/* bfncl info: the library delivers JSON; without --json it is laid out for people. */
#include <string.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/term.h"

enum { COLUMN = 20 };

/* A value as people write it: texts without quotes, unless they would break the line. */
static void print_value(const json_t *value)
{
    if (json_is_string(value) && !strpbrk(json_string_value(value), "\n\t"))
        cli_put_text(stdout, json_string_value(value));
    else
        json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
}

static void print_pair(int indent, const char *key, const json_t *value)
{
    int width = COLUMN - indent - (int)strlen(key);
    printf("%*s", indent, "");
    cli_put_text(stdout, key);
    printf("%*s ", width > 0 ? width : 0, "");
    print_value(value);
    putchar('\n');
}

static void print_heading(int indent, const char *key)
{
    printf("%*s", indent, "");
    cli_put_text(stdout, key);
    putchar('\n');
}

/* {"a":1,"b":{"c":2}}: nested objects get a heading of their own. */
static void print_object(json_t *object, int indent)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (json_is_object(value)) {
            print_heading(indent, key);
            print_object(value, indent + 2);
        } else {
            print_pair(indent, key, value);
        }
    }
}

static void print_tensors(const json_t *tensors)
{
    size_t i;
    json_t *tensor;
    printf("%-*s %zu\n", COLUMN, "tensors", json_array_size(tensors));
    json_array_foreach(tensors, i, tensor)
    {
        static const char *const columns[] = {"dtype", "shape", "name"};
        for (int c = 0; c < 3; c++) {
            printf(c == 1 ? " " : "  ");
            print_value(json_object_get(tensor, columns[c]));
        }
        putchar('\n');
    }
}

/* What a column of a table can be: "blue, dark", 0 to 14.29, 32 levels. */
static void print_column(const json_t *column)
{
    const json_t *words = json_object_get(column, "words"), *levels = json_object_get(column, "levels");
    const json_int_t missing = json_integer_value(json_object_get(column, "missing"));
    const char *type = json_string_value(json_object_get(column, "type"));
    size_t i;
    json_t *word;
    printf("  ");
    cli_put_text(stdout, json_string_value(json_object_get(column, "name")));
    const int width = COLUMN - 2 - (int)json_string_length(json_object_get(column, "name"));
    printf("%*s %s", width > 0 ? width : 0, "", type ? type : "?");
    json_array_foreach(words, i, word)
    {
        const bool quoted = strchr(json_string_value(word), ',') != NULL;
        printf("%s%s", i ? ", " : ": ", quoted ? "\"" : "");
        cli_put_text(stdout, json_string_value(word));
        printf("%s", quoted ? "\"" : "");
    }
    if (json_object_get(column, "low"))
        printf(": %.9g to %.9g", json_number_value(json_object_get(column, "low")),
               json_number_value(json_object_get(column, "high")));
    if (levels) printf(", %lld levels", (long long)json_integer_value(levels));
    if (missing) printf("; %lld missing", (long long)missing);
    putchar('\n');
}

static void print_columns(const json_t *columns)
{
    size_t i;
    json_t *column;
    printf("%-*s %zu\n", COLUMN, "columns", json_array_size(columns));
    json_array_foreach(columns, i, column) print_column(column);
}

static void print_text(json_t *root)
{
    const char *key;
    json_t *value;
    print_pair(0, "kind", json_object_get(root, "kind"));
    json_object_foreach(root, key, value)
    {
        bool elsewhere = strcmp(key, "kind") == 0 || strcmp(key, "tensors") == 0 ||
                         strcmp(key, "columns") == 0; /* first line, long parts */
        if (elsewhere || json_is_null(value)) continue;
        if (json_is_object(value)) {
            print_heading(0, key);
            print_object(value, 2);
        } else {
            print_pair(0, key, value);
        }
    }
    if (json_array_size(json_object_get(root, "columns"))) print_columns(json_object_get(root, "columns"));
    if (json_array_size(json_object_get(root, "tensors"))) print_tensors(json_object_get(root, "tensors"));
}

int cli_info(const cli_args *a)
{
    char *text = NULL;
    bfncl_error err;
    json_error_t where;
    if (bfncl_info(a->operands[0], &text, &err) != BFNCL_OK) return cli_fail(&err);
    if (cli_given(a, OPT_JSON)) {
        puts(text);
        bfncl_free(text);
        return 0;
    }
    json_t *root = json_loads(text, 0, &where);
    bfncl_free(text);
    if (!root) {
        cli_error("%s: the description cannot be read: %s", a->operands[0], where.text);
        return BFNCL_ERR_RUNTIME;
    }
    print_text(root);
    json_decref(root);
    return 0;
}
