/* Reading configuration files with libyaml events, so that every message can name the line. run/config.h */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "base/size.h"
#include "run/config_value.h"

#define CONFIG_BYTES_MAX (1u << 20)

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool have_event;
    const char *name; /* of the file */
    bf_config *config;
    int seen[BF_CONFIG_KEYS_MAX]; /* line of the first occurrence */
    char where[BF_CONFIG_TEXT + 32];
} reader;

static void set_where(reader *r, size_t line)
{
    snprintf(r->where, sizeof r->where, "%.*s:%zu: ", BF_CONFIG_TEXT - 1, r->name, line);
}

/* Next event into r->event; r->where is its line. Anchors and aliases are refused: a config has no use for them. */
static bf_status next(reader *r, bf_err *err)
{
    bf_status st = BF_OK;
    if (r->have_event) yaml_event_delete(&r->event);
    r->have_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        set_where(r, r->parser.problem_mark.line + 1);
        st = bf_fail(err, BF_USAGE, "%snot valid YAML: %s", r->where,
                     r->parser.problem ? r->parser.problem : "unreadable");
        goto out;
    }
    r->have_event = true;
    set_where(r, r->event.start_mark.line + 1);
    bool alias = r->event.type == YAML_ALIAS_EVENT ||
                 (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.anchor) ||
                 (r->event.type == YAML_MAPPING_START_EVENT && r->event.data.mapping_start.anchor);
    BF_CHECK(!alias, BF_USAGE, "%sanchors and aliases (& and *) are not supported", r->where);
out:
    return st;
}

/* The text of the scalar at hand; refuses one with a zero byte. */
static bf_status scalar(const reader *r, const char *what, const char **text, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(r->event.type == YAML_SCALAR_EVENT, BF_USAGE, "%s%s is wanted here", r->where, what);
    *text = (const char *)r->event.data.scalar.value;
    BF_CHECK(strlen(*text) == r->event.data.scalar.length, BF_USAGE, "%sa zero byte inside a value", r->where);
out:
    return st;
}

static bf_status read_value(reader *r, const bf_key *key, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text;
    BF_TRY(next(r, err));
    if (r->event.type == YAML_SEQUENCE_START_EVENT) {
        BF_CHECK(key->type == BF_KEY_INTS, BF_USAGE, "%s%s: one value is wanted, not a list", r->where, key->name);
        bf_value_clear_list(key, r->config);
        for (;;) {
            BF_TRY(next(r, err));
            if (r->event.type == YAML_SEQUENCE_END_EVENT) break;
            BF_TRY(scalar(r, "a whole number", &text, err));
            BF_TRY(bf_value_append(key, r->config, r->where, text, err));
        }
    } else {
        BF_CHECK(r->event.type == YAML_SCALAR_EVENT, BF_USAGE, "%s%s: a value is wanted, not a section", r->where,
                 key->name);
        BF_TRY(scalar(r, "a value", &text, err));
        BF_TRY(bf_value_set(key, r->config, r->where, text, err));
    }
    r->config->origin[key - bf_config_keys] = BF_ORIGIN_FILE;
out:
    return st;
}

static bf_status read_section(reader *r, const char *section, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text;
    char name[192];
    for (;;) {
        BF_TRY(next(r, err));
        if (r->event.type == YAML_MAPPING_END_EVENT) break;
        BF_TRY(scalar(r, "a key", &text, err));
        snprintf(name, sizeof name, "%s.%.90s", section, text);
        const bf_key *key = bf_key_find(name);
        BF_CHECK(key, BF_USAGE, "%sunknown key \"%s\"; the nearest is \"%s\"", r->where, name, bf_key_nearest(name));
        int *seen = &r->seen[key - bf_config_keys];
        BF_CHECK(*seen == 0, BF_USAGE, "%s%s was given before, in line %d", r->where, name, *seen);
        *seen = (int)r->event.start_mark.line + 1;
        BF_TRY(read_value(r, key, err));
    }
out:
    return st;
}

static bool is_section(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < bf_config_key_count; i++)
        if (strncmp(bf_config_keys[i].name, name, n) == 0 && bf_config_keys[i].name[n] == '.') return true;
    return false;
}

static bf_status read_document(reader *r, bf_err *err)
{
    bf_status st = BF_OK;
    const char *text;
    char section[64];
    BF_TRY(next(r, err));
    BF_CHECK(r->event.type == YAML_MAPPING_START_EVENT, BF_USAGE, "%ssections are wanted (\"data:\", \"train:\", ...)",
             r->where);
    for (;;) {
        BF_TRY(next(r, err));
        if (r->event.type == YAML_MAPPING_END_EVENT) break;
        BF_TRY(scalar(r, "a section", &text, err));
        BF_CHECK(is_section(text), BF_USAGE, "%sunknown section \"%.60s\"; the nearest key is \"%s\"", r->where, text,
                 bf_key_nearest(text));
        snprintf(section, sizeof section, "%s", text);
        BF_TRY(next(r, err));
        bool empty = r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0;
        if (empty) continue;
        BF_CHECK(r->event.type == YAML_MAPPING_START_EVENT, BF_USAGE, "%s%s: keys are wanted below this section",
                 r->where, section);
        BF_TRY(read_section(r, section, err));
    }
out:
    return st;
}

/* True when the last line that is neither blank nor a comment is "...", newline included. */
static bool has_end_mark(const char *text, size_t n)
{
    if (n == 0 || text[n - 1] != '\n') return false;
    while (n > 0) {
        size_t end = n - 1, start = end;
        while (start > 0 && text[start - 1] != '\n') start--;
        while (end > start && strchr(" \t\r", text[end - 1]) && text[end - 1]) end--;
        if (end > start && text[start] != '#') return end - start == 3 && memcmp(text + start, "...", 3) == 0;
        n = start;
    }
    return false;
}

bf_status bf_config_parse(const char *text, size_t bytes, const char *name, bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    reader r = {.name = name, .config = c};
    bool parser = false;
    bf_config_defaults(c);
    BF_CHECK(yaml_parser_initialize(&r.parser), BF_RUNTIME, "out of memory while reading %s", name);
    parser = true;
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes);
    BF_TRY(next(&r, err)); /* stream start */
    BF_TRY(next(&r, err));
    BF_CHECK(r.event.type == YAML_DOCUMENT_START_EVENT, BF_USAGE, "%s: the file is empty", name);
    BF_TRY(read_document(&r, err));
    BF_TRY(next(&r, err)); /* document end */
    BF_TRY(next(&r, err));
    BF_CHECK(r.event.type == YAML_STREAM_END_EVENT, BF_USAGE, "%sa second document; a config is one", r.where);
    if (!has_end_mark(text, bytes)) {
        st = bf_fail(err, BF_USAGE, "%s: the last line is not the end mark \"...\": the file may have been cut off",
                     name);
        bf_hint(err, "if the file is complete, end it with a line \"...\"");
    }
out:
    if (r.have_event) yaml_event_delete(&r.event);
    if (parser) yaml_parser_delete(&r.parser);
    return st;
}

bf_status bf_config_load(const char *path, bf_config *c, bf_err *err)
{
    bf_status st = BF_OK;
    FILE *f = NULL;
    char *text = NULL;
    struct stat info;
    f = fopen(path, "rb");
    BF_CHECK(f, BF_USAGE, "cannot open the configuration %s: %s", path, strerror(errno));
    BF_CHECK(fstat(fileno(f), &info) == 0 && S_ISREG(info.st_mode), BF_USAGE, "%s is not a file", path);
    BF_CHECK((uint64_t)info.st_size <= CONFIG_BYTES_MAX, BF_USAGE, "%s: larger than 1 MiB, not a configuration", path);
    BF_NEW(text, (size_t)info.st_size + 1);
    size_t got = fread(text, 1, (size_t)info.st_size, f);
    BF_CHECK(!ferror(f), BF_USAGE, "cannot read %s: %s", path, strerror(errno));
    BF_TRY(bf_config_parse(text, got, path, c, err));
out:
    free(text);
    if (f) fclose(f);
    return st;
}
