/* The selector grammar, once for option, environment, configuration and tests. Looks at device descriptions only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/size.h"
#include "device/cl.h"

const char *bfncl_device_choice(const char *option, const char *config, const char **from)
{
    const char *env = getenv("BFNCL_DEVICE");
    const char *choice = "auto", *who = "default";
    if (option != NULL && option[0] != '\0') {
        choice = option;
        who = "--device";
    } else if (env != NULL && env[0] != '\0') {
        choice = env;
        who = "BFNCL_DEVICE";
    } else if (config != NULL && config[0] != '\0') {
        choice = config;
        who = "the configuration";
    }
    if (from != NULL) *from = who;
    return choice;
}

typedef bool (*match_fn)(const bfncl_device_info *d, const char *text);

static bool match_any(const bfncl_device_info *d, const char *text)
{
    (void)d;
    (void)text;
    return true;
}

static bool match_type(const bfncl_device_info *d, const char *text)
{
    return strcasecmp(d->type, text) == 0;
}

static bool match_selector(const bfncl_device_info *d, const char *text)
{
    return strcasecmp(d->selector, text) == 0;
}

static bool match_text(const bfncl_device_info *d, const char *text)
{
    char all[1024] = "";
    bf_append(all, sizeof all, "%s %s %s", d->platform, d->name, d->vendor);
    return bf_contains(all, text);
}

static void candidates(const bfncl_device_info *info, size_t count, match_fn match, const char *text, char *out,
                       size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!match(&info[i], text)) continue;
        bf_append(out, size, "%s%d = %s %s '%s'%s%s", out[0] ? "\n" : "", info[i].index, info[i].selector, info[i].type,
                  info[i].name, info[i].usable ? "" : ", not usable: ", info[i].usable ? "" : info[i].reason);
    }
}

/* Higher is better. GPU before accelerator before CPU, then the last choices of a type, then memory times units. */
static bool better(const bfncl_device_info *a, const bfncl_device_info *b)
{
    static const char *const order[] = {"GPU", "ACC", "CPU"};
    size_t ra = 0, rb = 0;
    double pa, pb;
    while (ra < BF_COUNT(order) && strcmp(a->type, order[ra]) != 0) ra++;
    while (rb < BF_COUNT(order) && strcmp(b->type, order[rb]) != 0) rb++;
    if (ra != rb) return ra < rb;
    if (a->last_choice != b->last_choice) return b->last_choice;
    pa = (double)a->global_mem_bytes * a->compute_units;
    pb = (double)b->global_mem_bytes * b->compute_units;
    return pa > pb;
}

static const bfncl_device_info *best(const bfncl_device_info *info, size_t count, match_fn match, const char *text,
                                     size_t *usable, size_t *matched)
{
    const bfncl_device_info *b = NULL;
    *usable = *matched = 0;
    for (size_t i = 0; i < count; i++) {
        if (!match(&info[i], text)) continue;
        ++*matched;
        if (!info[i].usable) continue;
        ++*usable;
        if (b == NULL || better(&info[i], b)) b = &info[i];
    }
    return b;
}

/* auto, gpu, cpu, acc: the best usable device of the kind. */
static const bfncl_device_info *pick_kind(const bfncl_device_info *info, size_t count, const char *kind, char *why,
                                          size_t size, bf_err *err)
{
    const bool any = kind[0] == '\0';
    const match_fn match = any ? match_any : match_type;
    char list[600];
    size_t usable, matched;
    const bfncl_device_info *b = best(info, count, match, kind, &usable, &matched);
    if (b == NULL) {
        candidates(info, count, match_any, "", list, sizeof list);
        bf_fail(err, BF_DEVICE, "no usable OpenCL %s%s%s", any ? "device" : kind, any ? "" : " device",
                matched ? "" : " on this machine");
        if (list[0] != '\0') bf_hint(err, "devices:\n%s", list);
        return NULL;
    }
    if (any && strcmp(b->type, "CPU") == 0) {
        snprintf(why, size, "no usable GPU or accelerator, so the %sCPU device", usable > 1 ? "best " : "");
    } else if (usable == 1) {
        snprintf(why, size, "the only usable %s", any ? "device" : kind);
    } else if (any) {
        snprintf(why, size, "the usable %s with most memory x units of %zu usable devices", b->type, usable);
    } else {
        snprintf(why, size, "the best of %zu usable %s devices (most memory x units)", usable, kind);
    }
    return b;
}

/* A device named by selector or text: exactly one must be meant, and it must be usable. */
static const bfncl_device_info *pick_named(const bfncl_device_info *info, size_t count, const char *selector,
                                           match_fn match, bf_err *err)
{
    char list[600];
    size_t usable, matched;
    const bfncl_device_info *b = best(info, count, match, selector, &usable, &matched);
    if (usable == 1) return b;
    if (matched == 0) {
        candidates(info, count, match_any, "", list, sizeof list);
        bf_fail(err, BF_DEVICE, "no device matches '%.100s'", selector);
    } else {
        candidates(info, count, match, selector, list, sizeof list);
        if (usable == 0) {
            bf_fail(err, BF_DEVICE, "'%.100s' names a device that cannot be used", selector);
        } else {
            bf_fail(err, BF_DEVICE, "'%.100s' is ambiguous: it matches %zu devices", selector, matched);
        }
    }
    bf_hint(err, "devices:\n%s", list[0] ? list : "none");
    return NULL;
}

static const bfncl_device_info *pick_index(const bfncl_device_info *info, size_t count, const char *selector,
                                           bf_err *err)
{
    char list[600];
    char *end;
    unsigned long n;
    errno = 0;
    n = strtoul(selector, &end, 10);
    if (errno == 0 && n < count && info[n].usable) return &info[n];
    if (errno != 0 || n >= count) {
        candidates(info, count, match_any, "", list, sizeof list);
        bf_fail(err, BF_DEVICE, "device index %.20s is out of range: there are %zu devices", selector, count);
        bf_hint(err, "devices:\n%s", list[0] ? list : "none");
    } else {
        bf_fail(err, BF_DEVICE, "device %lu (%s, '%s') cannot be used: %s", n, info[n].selector, info[n].name,
                info[n].reason);
    }
    return NULL;
}

/* "pocl:0": something, a colon, digits only. */
static bool is_platform_selector(const char *s)
{
    const char *colon = strrchr(s, ':');
    return colon != NULL && colon != s && colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] == '\0';
}

bf_status bf_select(const bfncl_device_info *info, size_t count, const char *selector, const char *from, size_t *index,
                    char *reason, size_t reason_size, bf_err *err)
{
    static const char *const kinds[] = {"gpu", "cpu", "acc"};
    static const char *const names[] = {"GPU", "CPU", "ACC"};
    char why[200];
    const bfncl_device_info *d = NULL;
    if (selector == NULL || selector[0] == '\0') selector = "auto";
    snprintf(why, sizeof why, "named");
    if (strcasecmp(selector, "auto") == 0) {
        d = pick_kind(info, count, "", why, sizeof why, err);
    } else if (selector[strspn(selector, "0123456789")] == '\0') {
        d = pick_index(info, count, selector, err);
    } else if (is_platform_selector(selector)) {
        d = pick_named(info, count, selector, match_selector, err);
    } else {
        size_t k = 0;
        while (k < BF_COUNT(kinds) && strcasecmp(selector, kinds[k]) != 0) k++;
        d = k < BF_COUNT(kinds) ? pick_kind(info, count, names[k], why, sizeof why, err)
                                : pick_named(info, count, selector, match_text, err);
    }
    if (d == NULL) {
        char hint[BFNCL_MESSAGE_SIZE];
        memcpy(hint, err->hint, sizeof hint);
        if (from != NULL && strcmp(from, "default") != 0) bf_err_context(err, "%s", from);
        bf_hint(err, "%s", hint);
        return BF_DEVICE;
    }
    *index = (size_t)(d - info);
    snprintf(reason, reason_size, "%s '%.150s' (%.80s): %s [%s: %.80s]", d->selector, d->name, d->platform, why,
             from ? from : "selector", selector);
    return BF_OK;
}
