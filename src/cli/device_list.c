#include "device_list.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define GIB (1024.0 * 1024.0 * 1024.0)
#define MAX_NAME 44 /* columns of a device name in the short form */

/* Bytes of the UTF-8 sequence at s, 0 when it is not one (RFC 3629: no surrogates, no overlong forms). */
static size_t utf8_length(const unsigned char *s)
{
    const unsigned char c = s[0];
    unsigned char low = 0x80, high = 0xbf;
    size_t n;
    if (c < 0x80) return 1;
    if (c < 0xc2 || c > 0xf4) return 0;
    n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c == 0xe0) low = 0xa0;
    if (c == 0xed) high = 0x9f;
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if (s[i] < 0x80 || s[i] > 0xbf) return 0;
    }
    return n;
}

/* A copy in valid UTF-8, other bytes and control characters (except newlines when `lines`) as '?'. NULL: no memory. */
static char *clean(const char *text, bool lines)
{
    const unsigned char *s = (const unsigned char *)text;
    char *out = malloc(strlen(text) + 1), *to = out;
    if (out == NULL) return NULL;
    while (*s != '\0') {
        const size_t n = utf8_length(s);
        const bool control = (*s < 0x20 || *s == 0x7f) && !(lines && *s == '\n');
        if (n == 0 || control) {
            *to++ = '?';
            s++;
        } else {
            memcpy(to, s, n);
            to += n;
            s += n;
        }
    }
    *to = '\0';
    return out;
}

static void put(FILE *f, const char *text)
{
    char *c = clean(text, false);
    fputs(c != NULL ? c : "?", f);
    free(c);
}

/* Columns a cleaned text takes: continuation bytes do not count. */
static size_t columns(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* The text in exactly `width` columns, cut with "..." when it is longer. */
static void put_column(FILE *f, const char *text, size_t width)
{
    char *c = clean(text, false);
    size_t used = 0;
    const char *p;
    if (c == NULL) return;
    p = c;
    if (columns(c) > width && width > 3) {
        while (used < width - 3) {
            const size_t n = utf8_length((const unsigned char *)p);
            fwrite(p, 1, n, f);
            p += n;
            used++;
        }
        fputs("...", f);
    } else {
        used = columns(c);
        fputs(c, f);
        while (used++ < width) fputc(' ', f);
    }
    free(c);
}

static size_t column_width(const bfncl_device_info *devices, size_t count, bool names, size_t least, size_t most)
{
    size_t width = least;
    for (size_t i = 0; i < count; i++) {
        const size_t n = columns(names ? devices[i].name : devices[i].selector);
        if (n > width) width = n;
    }
    return width < most ? width : most;
}

void device_list_short(FILE *f, const bfncl_device_info *devices, size_t count, const char *choice)
{
    const size_t selectors = column_width(devices, count, false, 8, 20);
    const size_t names = column_width(devices, count, true, 4, MAX_NAME);
    bool selected = false;
    if (count == 0) {
        fputs("no OpenCL device\n", f);
        return;
    }
    fprintf(f, "    id  %-*s  type  %-*s  memory (max one buffer)  units  OpenCL C  state\n", (int)selectors,
            "selector", (int)names, "name");
    for (size_t i = 0; i < count; i++) {
        const bfncl_device_info *d = &devices[i];
        char memory[64];
        selected = selected || d->selected;
        snprintf(memory, sizeof memory, "%.1f GiB (%.1f GiB)", (double)d->global_mem_bytes / GIB,
                 (double)d->max_alloc_bytes / GIB);
        fprintf(f, "%c  %3d  ", d->selected ? '*' : ' ', d->index);
        put_column(f, d->selector, selectors);
        fprintf(f, "  %-4s  ", d->type);
        put_column(f, d->name, names);
        fprintf(f, "  %-23s  %5u  %-8s  ", d->global_mem_bytes > 0 ? memory : "-", d->compute_units,
                d->opencl_c[0] ? d->opencl_c : "-");
        if (!d->usable) fputs("skipped: ", f);
        put(f, d->usable ? "ok" : d->reason);
        fputc('\n', f);
    }
    fputs(selected ? "* = used when --device is not given: " : "no device is selected: ", f);
    put(f, choice);
    fputs("\nChoose with --device INDEX, SELECTOR, gpu, cpu, acc or a part of the name; or export BFNCL_DEVICE=...\n"
          "More: bfncl --device list -v      JSON: bfncl --device list --json      Prove it works: bfncl verify\n",
          f);
}

/* "label  value", further lines of the value under the first. */
static void put_row(FILE *f, const char *label, const char *value)
{
    char *c = clean(value, true);
    fprintf(f, "    %-26s ", label);
    for (const char *p = c != NULL ? c : ""; *p != '\0'; p++) {
        if (*p == '\n') {
            fprintf(f, "\n    %-26s ", "");
        } else {
            fputc(*p, f);
        }
    }
    fputc('\n', f);
    free(c);
}

void device_list_verbose(FILE *f, const bfncl_device_info *devices, size_t count, const char *choice)
{
    for (size_t i = 0; i < count; i++) {
        const bfncl_device_info *d = &devices[i];
        char number[64];
        fprintf(f, "%s%d  ", d->selected ? "* " : "  ", d->index);
        put(f, d->selector);
        fputs("  ", f);
        put(f, d->name);
        fputc('\n', f);
        put_row(f, "state", d->usable ? "ok" : d->reason);
        put_row(f, "type", d->type);
        put_row(f, "platform", d->platform);
        put_row(f, "vendor", d->vendor);
        put_row(f, "driver", d->driver);
        snprintf(number, sizeof number, "%.2f GiB", (double)d->global_mem_bytes / GIB);
        put_row(f, "memory", number);
        snprintf(number, sizeof number, "%.2f GiB", (double)d->max_alloc_bytes / GIB);
        put_row(f, "largest buffer", number);
        snprintf(number, sizeof number, "%u", d->compute_units);
        put_row(f, "compute units", number);
        for (size_t k = 0; k < d->n_properties; k++) put_row(f, d->properties[k].name, d->properties[k].value);
    }
    fputs(count == 0 ? "no OpenCL device" : "chosen: ", f);
    if (count > 0) put(f, choice);
    fputc('\n', f);
}

static json_t *json_text(const char *text)
{
    char *c = clean(text, true);
    json_t *j = c != NULL ? json_string(c) : NULL;
    free(c);
    return j;
}

static json_t *json_device(const bfncl_device_info *d)
{
    json_t *properties = json_object();
    for (size_t i = 0; i < d->n_properties; i++) {
        json_object_set_new(properties, d->properties[i].name, json_text(d->properties[i].value));
    }
    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:b, s:I, s:I, s:I, s:o, s:o, s:o}", "index", d->index,
                     "selector", json_text(d->selector), "name", json_text(d->name), "platform", json_text(d->platform),
                     "vendor", json_text(d->vendor), "type", json_text(d->type), "usable", d->usable, "reason",
                     json_text(d->reason), "selected", d->selected, "global_mem_bytes", (json_int_t)d->global_mem_bytes,
                     "max_alloc_bytes", (json_int_t)d->max_alloc_bytes, "compute_units", (json_int_t)d->compute_units,
                     "opencl_c", json_text(d->opencl_c), "driver", json_text(d->driver), "properties", properties);
}

bool device_list_json(FILE *f, const bfncl_device_info *devices, size_t count)
{
    json_t *list = json_array(), *root = NULL;
    bool ok = list != NULL;
    for (size_t i = 0; i < count; i++) ok = ok && json_array_append_new(list, json_device(&devices[i])) == 0;
    root = json_pack("{s:i, s:o}", "schema_version", 1, "devices", list);
    ok = ok && root != NULL && json_dumpf(root, f, JSON_INDENT(2)) == 0 && fputc('\n', f) != EOF;
    json_decref(root);
    return ok;
}
