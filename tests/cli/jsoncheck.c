/*
 * jsoncheck FILE [PATH[=TEXT]]...: FILE holds one or more JSON documents; each must have every PATH (keys and indices
 * joined by dots, "devices.0.index"), with the value TEXT where one is given. Says what is wrong and exits 1.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_t *find(const json_t *value, const char *path, size_t length)
{
    while (value && length) {
        char key[64];
        size_t n = strcspn(path, ".");
        if (n > length) n = length;
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10)) : json_object_get(value, key);
        n += n < length; /* the dot */
        path += n;
        length -= n;
    }
    return value;
}

static int check(const json_t *document, const char *wanted)
{
    size_t length = strcspn(wanted, "=");
    const json_t *value = find(document, wanted, length);
    if (!value) {
        fprintf(stderr, "jsoncheck: no %.*s\n", (int)length, wanted);
        return 1;
    }
    if (!wanted[length]) return 0;
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *found = text ? text : json_string_value(value);
    int wrong = !found || strcmp(found, wanted + length + 1) != 0;
    if (wrong) fprintf(stderr, "jsoncheck: %s, found %s\n", wanted, found ? found : "nothing");
    free(text);
    return wrong;
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    int documents = 0, wrong = 0, c;
    if (!file) {
        fprintf(stderr, "jsoncheck: cannot open the file\n");
        return 1;
    }
    for (;;) {
        json_error_t where;
        while ((c = fgetc(file)) == ' ' || c == '\n') continue;
        if (c == EOF) break;
        ungetc(c, file);
        json_t *document = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &where);
        if (!document) {
            fprintf(stderr, "jsoncheck: document %d, line %d: %s\n", documents + 1, where.line, where.text);
            fclose(file);
            return 1;
        }
        for (int i = 2; i < argc; i++) wrong += check(document, argv[i]);
        json_decref(document);
        documents++;
    }
    fclose(file);
    if (!documents) fprintf(stderr, "jsoncheck: no JSON in the file\n");
    return !documents || wrong > 0;
}
