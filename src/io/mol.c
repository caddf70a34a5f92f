#include "io/mol.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clocale.h"
#include "base/size.h"
#include "io/mol_file.h"

/* ---- the molecule ----------------------------------------------------------------------------------------------- */

void bf_mol_free(bf_mol *m)
{
    free(m->name);
    free(m->atom);
    free(m->bond);
    for (uint32_t i = 0; i < m->properties; i++) {
        free(m->property[i].name);
        free(m->property[i].value);
    }
    free(m->property);
    *m = (bf_mol){0};
}

void bf_mol_free_all(bf_mol *list, size_t n)
{
    for (size_t i = 0; i < n; i++) bf_mol_free(&list[i]);
    free(list);
}

/* Room for one more of `count` things. */
static bf_status grow(void *list_ptr, uint32_t count, uint32_t *room, size_t size, bf_err *err)
{
    void *list, *more;
    if (count < *room) return BF_OK;
    memcpy(&list, list_ptr, sizeof list);
    const uint32_t want = *room > 0 ? 2 * *room : 16;
    more = realloc(list, want * size);
    if (more == NULL) return bf_fail(err, BF_RUNTIME, "out of memory for a molecule");
    memcpy(list_ptr, &more, sizeof more);
    *room = want;
    return BF_OK;
}

bf_status bf_mol_add_atom(bf_mol *m, bf_atom a, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(m->atoms < BF_MOL_MAX_ATOMS, BF_FILE, "a molecule of more than %d atoms", BF_MOL_MAX_ATOMS);
    BF_TRY(grow(&m->atom, m->atoms, &m->room_atoms, sizeof *m->atom, err));
    m->atom[m->atoms++] = a;
out:
    return st;
}

bf_status bf_mol_add_bond(bf_mol *m, bf_bond b, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(m->bonds < BF_MOL_MAX_BONDS, BF_FILE, "a molecule of more than %d bonds", BF_MOL_MAX_BONDS);
    BF_CHECK(b.a < m->atoms && b.b < m->atoms && b.a != b.b, BF_FILE,
             "a bond between atoms %" PRIu32 " and %" PRIu32 " of %" PRIu32, b.a + 1, b.b + 1, m->atoms);
    BF_TRY(grow(&m->bond, m->bonds, &m->room_bonds, sizeof *m->bond, err));
    m->bond[m->bonds++] = b;
out:
    return st;
}

static bf_status copy_text(char **out, const char *text, bf_err *err)
{
    char *copy = strdup(text);
    if (copy == NULL) return bf_fail(err, BF_RUNTIME, "out of memory for a molecule");
    free(*out);
    *out = copy;
    return BF_OK;
}

bf_status bf_mol_set_name(bf_mol *m, const char *name, bf_err *err)
{
    return copy_text(&m->name, name, err);
}

static bf_mol_property *find_property(const bf_mol *m, const char *name)
{
    for (uint32_t i = 0; i < m->properties; i++) {
        if (strcmp(m->property[i].name, name) == 0) return &m->property[i];
    }
    return NULL;
}

const char *bf_mol_get_property(const bf_mol *m, const char *name)
{
    const bf_mol_property *p = find_property(m, name);
    return p != NULL ? p->value : NULL;
}

bf_status bf_mol_set_property(bf_mol *m, const char *name, const char *value, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_property fresh = {0}, *p = find_property(m, name);
    if (p != NULL) return copy_text(&p->value, value, err);
    BF_TRY(grow(&m->property, m->properties, &m->room_properties, sizeof *m->property, err));
    BF_TRY(copy_text(&fresh.name, name, err));
    BF_TRY(copy_text(&fresh.value, value, err));
    m->property[m->properties++] = fresh;
    fresh = (bf_mol_property){0};
out:
    free(fresh.name);
    free(fresh.value);
    return st;
}

bf_status bf_mol_subset(bf_mol *out, const bf_mol *m, const uint8_t *keep, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol s = {.dimensions = m->dimensions};
    uint32_t *place = NULL;
    BF_NEW(place, m->atoms);
    for (uint32_t i = 0; i < m->atoms; i++) {
        place[i] = s.atoms;
        if (keep[i]) BF_TRY(bf_mol_add_atom(&s, m->atom[i], err));
    }
    for (uint32_t i = 0; i < m->bonds; i++) {
        bf_bond b = m->bond[i];
        if (!keep[b.a] || !keep[b.b]) continue;
        b.a = place[b.a];
        b.b = place[b.b];
        BF_TRY(bf_mol_add_bond(&s, b, err));
    }
    if (m->name != NULL) BF_TRY(bf_mol_set_name(&s, m->name, err));
    *out = s;
    s = (bf_mol){0};
out:
    bf_mol_free(&s);
    free(place);
    return st;
}

bf_status bf_mol_copy(bf_mol *out, const bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol c = {.dimensions = m->dimensions};
    for (uint32_t i = 0; i < m->atoms; i++) BF_TRY(bf_mol_add_atom(&c, m->atom[i], err));
    for (uint32_t i = 0; i < m->bonds; i++) BF_TRY(bf_mol_add_bond(&c, m->bond[i], err));
    for (uint32_t i = 0; i < m->properties; i++)
        BF_TRY(bf_mol_set_property(&c, m->property[i].name, m->property[i].value, err));
    if (m->name != NULL) BF_TRY(bf_mol_set_name(&c, m->name, err));
    *out = c;
    c = (bf_mol){0};
out:
    bf_mol_free(&c);
    return st;
}

/* ---- fields of a line -------------------------------------------------------------------------------------------- */

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

bf_field bf_columns(const char *line, size_t bytes, size_t at, size_t n)
{
    bf_field f = {line + BF_MIN(at, bytes), 0};
    f.n = BF_MIN(n, bytes - BF_MIN(at, bytes));
    while (f.n > 0 && blank(f.text[0])) f.text++, f.n--;
    while (f.n > 0 && blank(f.text[f.n - 1])) f.n--;
    return f;
}

bf_field bf_word(const char **p)
{
    bf_field f;
    while (blank(**p)) ++*p;
    f.text = *p;
    while (**p != '\0' && !blank(**p)) ++*p;
    f.n = (size_t)(*p - f.text);
    return f;
}

bool bf_field_is(bf_field f, const char *text)
{
    return strlen(text) == f.n && memcmp(f.text, text, f.n) == 0;
}

bool bf_field_int(bf_field f, int64_t min, int64_t max, int64_t *out)
{
    char buffer[24], *end;
    if (f.n == 0 || f.n >= sizeof buffer) return false;
    memcpy(buffer, f.text, f.n);
    buffer[f.n] = '\0';
    if (strspn(buffer, "+-0123456789") != f.n) return false;
    const long long v = strtoll(buffer, &end, 10); /* at most 23 digits: saturates at worst */
    if (*end != '\0' || end == buffer || v < min || v > max) return false;
    *out = v;
    return true;
}

bool bf_field_coordinate(bf_field f, float *out)
{
    char buffer[64], *end;
    if (f.n == 0 || f.n >= sizeof buffer) return false;
    memcpy(buffer, f.text, f.n);
    buffer[f.n] = '\0';
    /* Only these characters: strtod alone would also take "nan", "inf" and hexadecimal. */
    if (strspn(buffer, "+-.0123456789eE") != f.n) return false;
    const double v = strtod(buffer, &end);
    if (*end != '\0' || end == buffer || !(fabs(v) < BF_MOL_MAX_COORDINATE)) return false;
    *out = (float)v;
    return true;
}

bf_status bf_line_fail(const bf_lines *l, bf_err *err, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return bf_fail(err, BF_FILE, "%s: line %" PRIu64 ": %s", bf_lines_name(l), bf_lines_number(l), text);
}

bf_status bf_line_add_atom(const bf_lines *l, bf_mol *m, bf_atom a, bf_err *err)
{
    const bf_status st = bf_mol_add_atom(m, a, err);
    if (st != BF_OK) bf_err_context(err, "%s: line %" PRIu64, bf_lines_name(l), bf_lines_number(l));
    return st;
}

bf_status bf_line_add_bond(const bf_lines *l, bf_mol *m, bf_bond b, bf_err *err)
{
    const bf_status st = bf_mol_add_bond(m, b, err);
    if (st != BF_OK) bf_err_context(err, "%s: line %" PRIu64, bf_lines_name(l), bf_lines_number(l));
    return st;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef bf_status (*next_fn)(bf_lines *l, bf_mol *m, bool *end, bf_err *err);

static const struct {
    bf_mol_format format;
    const char *name, *endings[5];
    next_fn next;
} formats[] = {
    {BF_MOL_SDF, "SDF", {".sdf", ".sd", ".mol", ".mdl"}, bf_sdf_next},
    {BF_MOL_PDB, "PDB", {".pdb", ".ent", ".pdbqt"}, bf_pdb_next},
    {BF_MOL_XYZ, "XYZ", {".xyz"}, bf_xyz_next},
};

struct bf_mol_reader {
    bf_source *source;
    bf_lines *lines;
    bf_mol_format format;
    next_fn next;
    uint64_t record;
    bool failed; /* the last record was refused: the lines stand inside it */
};

const char *bf_mol_format_name(bf_mol_format f)
{
    for (size_t i = 0; i < BF_COUNT(formats); i++) {
        if (formats[i].format == f) return formats[i].name;
    }
    return "unknown";
}

bf_mol_format bf_mol_format_of(const char *path)
{
    size_t n = strlen(path);
    if (n > 3 && strcasecmp(path + n - 3, ".gz") == 0) n -= 3;
    for (size_t i = 0; i < BF_COUNT(formats); i++) {
        for (const char *const *e = formats[i].endings; *e != NULL; e++) {
            const size_t k = strlen(*e);
            if (n > k && strncasecmp(path + n - k, *e, k) == 0) return formats[i].format;
        }
    }
    return BF_MOL_UNKNOWN;
}

/* Takes the source, also when it fails. */
static bf_status open_source(bf_source *s, bf_mol_format format, bf_mol_reader **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_reader *r = NULL;
    *out = NULL;
    if (format == BF_MOL_UNKNOWN) format = bf_mol_format_of(bf_source_name(s));
    BF_CHECK(format != BF_MOL_UNKNOWN, BF_FILE, "%s: not a molecule file by its name (.sdf, .mol, .pdb, .pdbqt, .xyz)",
             bf_source_name(s));
    BF_NEW(r, 1);
    r->format = format;
    for (size_t i = 0; i < BF_COUNT(formats); i++) {
        if (formats[i].format == format) r->next = formats[i].next;
    }
    BF_TRY(bf_lines_open(s, &r->lines, err));
    r->source = s;
    s = NULL;
    *out = r;
    r = NULL;
out:
    bf_mol_close(r);
    bf_source_close(s);
    return st;
}

bf_status bf_mol_open(const char *path, bf_mol_format format, bf_mol_reader **out, bf_err *err)
{
    bf_source *s = NULL;
    *out = NULL;
    bf_status st = bf_source_open(path, &s, err);
    return st == BF_OK ? open_source(s, format, out, err) : st;
}

bf_status bf_mol_open_memory(const char *name, const void *data, size_t size, bf_mol_format format, bf_mol_reader **out,
                             bf_err *err)
{
    bf_source *s = NULL;
    *out = NULL;
    bf_status st = bf_source_memory(name, data, size, &s, err);
    return st == BF_OK ? open_source(s, format, out, err) : st;
}

void bf_mol_close(bf_mol_reader *r)
{
    if (r == NULL) return;
    bf_lines_close(r->lines);
    bf_source_close(r->source);
    free(r);
}

bf_mol_format bf_mol_reader_format(const bf_mol_reader *r)
{
    return r->format;
}

uint64_t bf_mol_record(const bf_mol_reader *r)
{
    return r->record;
}

bf_status bf_mol_next(bf_mol_reader *r, bf_mol *out, bool *end, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol m = {0};
    *out = m;
    *end = false;
    bf_clocale locale = bf_clocale_begin();
    if (r->failed) {
        if (r->format == BF_MOL_SDF)
            BF_TRY(bf_sdf_skip(r->lines, err));
        else
            *end = true;
    }
    r->failed = false;
    if (!*end) BF_TRY(r->next(r->lines, &m, end, err));
    if (!*end) r->record++;
    *out = m;
    m = (bf_mol){0};
out:
    bf_clocale_end(locale);
    if (st != BF_OK) r->failed = true, r->record++;
    bf_mol_free(&m);
    return st;
}

bf_status bf_mol_read(const char *path, bf_mol *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_reader *r = NULL;
    bool end = false;
    *out = (bf_mol){0};
    BF_TRY(bf_mol_open(path, BF_MOL_UNKNOWN, &r, err));
    BF_TRY(bf_mol_next(r, out, &end, err));
    BF_CHECK(!end, BF_FILE, "%s: holds no molecule", path);
out:
    bf_mol_close(r);
    return st;
}

bf_status bf_mol_read_all(const char *path, size_t max, bf_mol **out, size_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_reader *r = NULL;
    bf_mol *list = NULL;
    size_t count = 0, room = 0;
    *out = NULL;
    *n = 0;
    BF_TRY(bf_mol_open(path, BF_MOL_UNKNOWN, &r, err));
    while (max == 0 || count < max) {
        bool end;
        if (count == room) {
            bf_mol *more = realloc(list, (room = room > 0 ? 2 * room : 16) * sizeof *list);
            BF_CHECK(more != NULL, BF_RUNTIME, "%s: out of memory", path);
            list = more;
        }
        BF_TRY(bf_mol_next(r, &list[count], &end, err));
        if (end) break;
        count++;
    }
    *out = list;
    *n = count;
    list = NULL;
    count = 0;
out:
    bf_mol_free_all(list, count);
    bf_mol_close(r);
    return st;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static bf_status print_one(FILE *f, bf_mol_format format, const bf_mol *m, size_t model, bf_err *err)
{
    switch (format) {
    case BF_MOL_PDB: return bf_pdb_print(f, m, model, err);
    case BF_MOL_XYZ: return bf_xyz_print(f, m, err);
    default: return bf_sdf_print(f, m, false, err);
    }
}

/* n molecules as text; the caller frees it. */
static bf_status print_all(bf_mol_format format, const bf_mol *list, size_t n, char **text, size_t *size, bf_err *err)
{
    bf_status st = BF_OK;
    bool good = true;
    *text = NULL;
    bf_clocale locale = bf_clocale_begin();
    FILE *f = open_memstream(text, size);
    BF_CHECK(f != NULL, BF_RUNTIME, "out of memory while writing molecules");
    for (size_t i = 0; i < n && st == BF_OK; i++) st = print_one(f, format, &list[i], n > 1 ? i + 1 : 0, err);
    if (format == BF_MOL_PDB) fputs("END\n", f);
    good = !ferror(f);
    good = fclose(f) == 0 && good;
    if (st == BF_OK && !good) st = bf_fail(err, BF_RUNTIME, "out of memory while writing molecules");
out:
    bf_clocale_end(locale);
    return st;
}

bf_status bf_mol_write(const char *path, const bf_mol *list, size_t n, bf_err *err)
{
    bf_status st = BF_OK;
    char *text = NULL;
    size_t size = 0;
    const bf_mol_format format = bf_mol_format_of(path);
    const char *end = strrchr(path, '.');
    BF_CHECK(format != BF_MOL_UNKNOWN && strcasecmp(end, ".gz") != 0 && strcasecmp(end, ".pdbqt") != 0, BF_USAGE,
             "%s: molecules are written to names that end in .sdf, .mol, .pdb or .xyz", path);
    st = print_all(format, list, n, &text, &size, err);
    if (st != BF_OK) bf_err_context(err, "%s", path);
    if (st == BF_OK) st = bf_file_write(path, text, size, err);
out:
    free(text);
    return st;
}

bf_status bf_mol_print(const bf_mol *m, bool v3000, char **text, size_t *size, bf_err *err)
{
    bf_status st = BF_OK;
    *text = NULL;
    bf_clocale locale = bf_clocale_begin();
    FILE *f = open_memstream(text, size);
    if (f == NULL) st = bf_fail(err, BF_RUNTIME, "out of memory for a molecule");
    if (st == BF_OK) st = bf_sdf_print(f, m, v3000, err);
    if (f != NULL && fclose(f) != 0 && st == BF_OK) st = bf_fail(err, BF_RUNTIME, "out of memory for a molecule");
    bf_clocale_end(locale);
    if (st != BF_OK) {
        free(*text);
        *text = NULL;
    }
    return st;
}
