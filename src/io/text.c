#include "io/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "base/utf8.h"
#include "io/kind.h"

enum { BYTE_ORDER_MARK = 0xfeff, REPLACEMENT = 0xfffd };

/* ---- texts ------------------------------------------------------------------------------------------------------- */

void bf_text_clean(const char *text, size_t n, char *out)
{
    uint32_t code;
    for (size_t at = 0; at < n;) {
        size_t length = bf_utf8_decode((const unsigned char *)text + at, n - at, &code);
        if (length == 0 || code == 0) code = REPLACEMENT;
        out += bf_utf8_encode(code, out);
        at += BF_MAX(length, (size_t)1);
    }
    *out = '\0';
}

/* ---- vocabularies ------------------------------------------------------------------------------------------------ */

bool bf_vocabulary_learned(const char *text)
{
    return strcmp(text, "learned") == 0;
}

bf_status bf_vocabulary_parse(const char *text, bf_vocabulary *out, bf_err *err)
{
    static const char text8[] = " abcdefghijklmnopqrstuvwxyz";
    bf_status st = BF_OK;
    memset(out, 0, sizeof *out);
    BF_CHECK(!bf_vocabulary_learned(text), BF_USAGE, "data.vocabulary is \"learned\", but no text has been read yet");
    out->bytes = strcmp(text, "bytes") == 0;
    if (out->bytes) out->n = 256;
    if (out->bytes) goto out;
    out->letters = strcmp(text, "letters") == 0;
    if (out->letters || strcmp(text, "text8") == 0) text = text8;
    const size_t size = strlen(text);
    for (size_t at = 0, n; at < size; at += n) {
        n = bf_utf8_decode((const unsigned char *)text + at, size - at,
                           &out->code[BF_MIN(out->n, BF_VOCABULARY_MAX - 1)]);
        BF_CHECK(n > 0 && out->n < BF_VOCABULARY_MAX, BF_USAGE, "data.vocabulary is not valid UTF-8, or too long");
        BF_CHECK(out->n == 0 || out->code[out->n] > out->code[out->n - 1], BF_USAGE,
                 "data.vocabulary \"%.40s\" is neither text8, letters, bytes or learned, nor a list of characters in "
                 "ascending order",
                 text);
        out->n++;
    }
    BF_CHECK(out->n >= 2, BF_USAGE, "data.vocabulary \"%.40s\" has fewer than two characters", text);
out:
    if (st == BF_USAGE)
        bf_hint(err, "text8: a to z and space; letters: any text reduced to these; bytes: any file; learned: the "
                     "characters of the training file");
    return st;
}

size_t bf_vocabulary_put(const bf_vocabulary *v, int64_t k, char out[4])
{
    if (k < 0 || k >= v->n) return 0;
    if (!v->bytes) return bf_utf8_encode(v->code[k], out);
    out[0] = (char)(unsigned char)k;
    return 1;
}

int32_t bf_vocabulary_class(const bf_vocabulary *v, uint32_t code)
{
    uint32_t low = 0, high = v->n;
    if (v->bytes) return code < v->n ? (int32_t)code : -1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (v->code[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < v->n && v->code[low] == code ? (int32_t)low : -1;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *path;
    bf_status blame; /* for what does not fit */
    const unsigned char *p;
    size_t size, at;
    uint64_t line;
} reader;

/* The next character; false at the end of the file (st BF_OK) and when it is not UTF-8. */
static bool next(reader *r, uint32_t *code, bf_status *st, bf_err *err)
{
    if (r->at == 0 && r->size >= 3 && bf_utf8_decode(r->p, 3, code) == 3 && *code == BYTE_ORDER_MARK) r->at = 3;
    if (r->at == r->size) return false;
    const size_t n = bf_utf8_decode(r->p + r->at, r->size - r->at, code);
    if (n == 0 || *code == 0) {
        *st = bf_fail(err, r->blame, "%s: line %" PRIu64 ", byte %zu of the %s: 0x%02x is not UTF-8 text", r->path,
                      r->line, r->at, r->blame == BF_FILE ? "file" : "text", r->p[r->at]);
        bf_hint(err, "data.vocabulary=bytes takes any file, every byte as it is");
        return false;
    }
    r->at += n;
    r->line += *code == '\n';
    return true;
}

/* What learn() and bf_text_describe() count. `fits`: the different characters, ascending, are in `text`. */
typedef struct census {
    uint64_t characters;
    uint32_t different;
    bool fits;
    char text[BF_VOCABULARY_TEXT];
} census;

static bf_status count(reader *r, census *out, bf_err *err)
{
    bf_status st = BF_OK;
    unsigned char *seen = NULL;
    uint32_t code;
    size_t used = 0;
    char bytes[4];
    *out = (census){.fits = true};
    BF_NEW(seen, BF_UTF8_CODES);
    for (; next(r, &code, &st, err); out->characters++) seen[code] = 1;
    BF_TRY(st);
    for (code = 0; code < BF_UTF8_CODES; code++) {
        if (!seen[code]) continue;
        const size_t n = bf_utf8_encode(code, bytes);
        out->different++;
        out->fits = out->fits && used + n < BF_VOCABULARY_TEXT;
        if (out->fits) memcpy(out->text + used, bytes, n);
        if (out->fits) used += n;
    }
    out->fits = out->fits && out->different >= 2;
out:
    free(seen);
    return st;
}

/* The characters of the file, as a text. */
static bf_status learn(reader r, char resolved[BF_VOCABULARY_TEXT], bf_err *err)
{
    census c;
    bf_status st = count(&r, &c, err);
    if (st != BF_OK) return st;
    memcpy(resolved, c.text, sizeof c.text);
    if (c.fits) return BF_OK;
    (void)bf_fail(err, BF_FILE,
                  "%s: %" PRIu32 " different characters; a vocabulary has at least 2 and fits into %d bytes of UTF-8",
                  r.path, c.different, BF_VOCABULARY_MAX);
    bf_hint(err, "data.vocabulary=bytes takes any file, every byte as it is");
    return BF_FILE;
}

static bf_status outside(const reader *r, uint32_t code, const char *vocabulary, bf_err *err)
{
    char shown[32];
    const bool text8 = strcmp(vocabulary, "text8") == 0;
    if (code > ' ' && code < 0x7f)
        snprintf(shown, sizeof shown, "'%c'", (char)code);
    else
        snprintf(shown, sizeof shown, "%s (U+%04" PRIX32 ")",
                 code == '\n'  ? "the line end"
                 : code == ' ' ? "the space"
                               : "the character",
                 code);
    (void)bf_fail(err, r->blame, "%s: line %" PRIu64 ": %s is not in the vocabulary (%s)", r->path,
                  r->line - (code == '\n'), shown, text8 ? "text8: a to z and space" : "of the model or configuration");
    bf_hint(err, text8 ? "data.vocabulary=learned takes all characters of the training file, data.vocabulary=letters "
                         "reduces any text to a to z and spaces"
                       : "a model knows only the characters it was trained with: change the text, or train with it");
    return r->blame;
}

/* As text8 was made from its source: what is no letter of a to z is a space. */
static uint32_t letter(uint32_t code)
{
    if (code >= 'A' && code <= 'Z') return code - 'A' + 'a';
    return code >= 'a' && code <= 'z' ? code : ' ';
}

/* Characters that stand for a hole. */
typedef struct holes {
    int n;
    uint32_t code[2];
} holes;

static bool is_hole(const holes *h, uint32_t code)
{
    for (int i = 0; i < h->n; i++)
        if (h->code[i] == code) return true;
    return false;
}

static bf_status to_classes(reader r, const char *vocabulary, const bf_vocabulary *v, const holes *h, bf_array *out,
                            bf_err *err)
{
    bf_status st = BF_OK;
    uint32_t code;
    uint16_t *ids = NULL;
    uint64_t n = 0;
    BF_NEW(ids, r.size);
    if (v->bytes)
        for (; n < r.size; n++) ids[n] = is_hole(h, r.p[n]) ? BF_TEXT_HOLE : r.p[n];
    while (!v->bytes && next(&r, &code, &st, err)) {
        if (is_hole(h, code)) {
            ids[n++] = BF_TEXT_HOLE;
            continue;
        }
        if (v->letters) code = letter(code);
        if (v->letters && code == ' ' && (n == 0 || ids[n - 1] == 0)) continue;
        const int32_t k = bf_vocabulary_class(v, code);
        if (k < 0 && code == '\n' && r.at == r.size) break;
        if (k < 0) BF_TRY(outside(&r, code, vocabulary, err));
        ids[n++] = (uint16_t)k;
    }
    BF_TRY(st);
    BF_CHECK(n > 0 && n <= UINT32_MAX, r.blame, "%s: %" PRIu64 " characters, expected 1 to 2^32 - 1", r.path, n);
    *out = (bf_array){.dtype = BF_U16, .ndim = 1, .dims = {n}, .count = n, .data = ids};
    ids = NULL;
out:
    free(ids);
    return st;
}

/* Things that somebody may take for a text but that are none. */
static bf_status check_kind(const char *path, bool bytes, bf_err *err)
{
    bf_status st = BF_OK;
    bf_kind kind;
    BF_TRY(bf_file_kind(path, &kind, err));
    if (kind == BF_KIND_FOLDER || (kind != BF_KIND_UNKNOWN && kind != BF_KIND_IDX && !bytes)) {
        st = bf_fail(err, BF_FILE, "%s: is %s, expected a text file", path, bf_kind_text(kind));
        if (kind == BF_KIND_GZIP || kind == BF_KIND_TORCH) bf_hint(err, "unpack an archive first (gunzip, unzip)");
    }
out:
    return st;
}

/* Opens and maps a file that is not empty. The caller closes *s, also after a failure. */
static bf_status open_reader(const char *path, bool bytes, bf_source **s, reader *r, bf_err *err)
{
    bf_status st = BF_OK;
    const void *data = NULL;
    BF_TRY(check_kind(path, bytes, err));
    BF_TRY(bf_source_open(path, s, err));
    BF_CHECK(bf_source_size(*s) > 0, BF_FILE, "%s: is empty, expected a text file", path);
    BF_TRY(bf_source_map(*s, &data, err));
    BF_TRY(bf_source_intact(*s, err));
    *r = (reader){.path = path, .blame = BF_FILE, .p = data, .size = (size_t)bf_source_size(*s), .line = 1};
out:
    return st;
}

bf_status bf_text_read(const char *path, const char *vocabulary, char resolved[BF_VOCABULARY_TEXT], bf_array *out,
                       bf_err *err)
{
    bf_status st = BF_OK;
    bf_source *s = NULL;
    bf_vocabulary v;
    reader r;
    *out = (bf_array){0};
    BF_TRY(open_reader(path, strcmp(vocabulary, "bytes") == 0, &s, &r, err));
    if (bf_vocabulary_learned(vocabulary))
        BF_TRY(learn(r, resolved, err));
    else
        snprintf(resolved, BF_VOCABULARY_TEXT, "%s", vocabulary);
    BF_TRY(bf_vocabulary_parse(resolved, &v, err));
    BF_TRY(to_classes(r, vocabulary, &v, &(holes){0}, out, err));
out:
    bf_source_close(s);
    return st;
}

static bf_status find_holes(const bf_vocabulary *v, const char *hole, holes *out, bf_err *err)
{
    static const uint32_t usual[] = {'_', '?'};
    bf_status st = BF_OK;
    *out = (holes){0};
    if (hole) {
        const size_t size = strlen(hole);
        BF_CHECK(size > 0 && bf_utf8_decode((const unsigned char *)hole, size, &out->code[0]) == size, BF_USAGE,
                 "\"%.20s\" cannot stand for a hole, which one character does", hole);
        BF_CHECK(!v->bytes || size == 1, BF_USAGE, "\"%.20s\" cannot stand for a hole among bytes", hole);
        out->n = 1;
        goto out;
    }
    for (size_t i = 0; i < BF_COUNT(usual); i++)
        if (bf_vocabulary_class(v, usual[i]) < 0) out->code[out->n++] = usual[i];
    BF_CHECK(out->n > 0, BF_USAGE, "the model knows both _ and ? as characters: another one must be named for holes");
out:
    return st;
}

bf_status bf_text_with_holes(const char *given, bool file, const char *vocabulary, const char *hole, bf_array *out,
                             bf_err *err)
{
    bf_status st = BF_OK;
    bf_source *s = NULL;
    bf_vocabulary v;
    holes h;
    reader r = {.path = "the given text",
                .blame = BF_USAGE,
                .p = (const unsigned char *)given,
                .size = strlen(given),
                .line = 1};
    *out = (bf_array){0};
    BF_TRY(bf_vocabulary_parse(vocabulary, &v, err));
    BF_TRY(find_holes(&v, hole, &h, err));
    if (file) BF_TRY(open_reader(given, v.bytes, &s, &r, err));
    BF_TRY(to_classes(r, vocabulary, &v, &h, out, err));
out:
    bf_source_close(s);
    return st;
}

/* Are all characters, but for a line end at the very end, of text8? */
static bool all_text8(reader r, bf_err *err)
{
    bf_vocabulary v;
    uint32_t code;
    bf_status st = bf_vocabulary_parse("text8", &v, err);
    while (st == BF_OK && next(&r, &code, &st, err))
        if (bf_vocabulary_class(&v, code) < 0 && !(code == '\n' && r.at == r.size)) return false;
    return st == BF_OK;
}

bf_status bf_text_describe(const char *path, bf_text_info *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_source *s = NULL;
    reader r, again;
    census c;
    BF_TRY(open_reader(path, false, &s, &r, err));
    again = r;
    BF_TRY(count(&r, &c, err));
    *out = (bf_text_info){.characters = c.characters,
                          .lines = r.line - (r.p[r.size - 1] == '\n'),
                          .different = c.different,
                          .learned = c.fits,
                          .text8 = all_text8(again, err)};
    if (c.fits) memcpy(out->vocabulary, c.text, sizeof c.text);
out:
    bf_source_close(s);
    return st;
}
