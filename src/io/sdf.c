/*
 * MDL MOL and SDF files ("CTfile formats"). A V2000 record is three lines of header, a line of counts, atoms and bonds
 * in fixed columns, lines "M  ..." up to "M  END"; a V3000 record has its atoms and bonds in lines "M  V30 ...". In an
 * SDF properties follow ("> <NAME>", lines, an empty line) up to "$$$$". Queries (atom lists, bond types 5 to 8) are
 * refused; what concerns pictures, collections and reactions is passed over.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/mol_file.h"

/* ---- both versions ----------------------------------------------------------------------------------------------- */

/* The next line of a record that must have one. */
static bf_status need_line(bf_lines *l, const char *what, char **line, size_t *n, bf_err *err)
{
    bf_status st = bf_lines_next(l, line, n, err);
    if (st == BF_OK && *line == NULL) st = bf_line_fail(l, err, "the file ends before %s", what);
    return st;
}

/* Element symbol, also D and T. */
static bf_status set_element(const bf_lines *l, bf_field f, bf_atom *a, bf_err *err)
{
    a->element = (uint8_t)bf_element_number(f.text, f.n);
    if (a->element == 0) return bf_line_fail(l, err, "\"%.*s\" is not an element", BF_SHOW(f));
    if (bf_field_is(f, "D")) a->isotope = 2;
    if (bf_field_is(f, "T")) a->isotope = 3;
    return BF_OK;
}

static bf_status set_position(const bf_lines *l, const bf_field field[3], bf_atom *a, bf_err *err)
{
    for (int k = 0; k < 3; k++) {
        if (!bf_field_coordinate(field[k], &a->x[k]))
            return bf_line_fail(l, err, "coordinate %c is \"%.*s\", not a finite number", 'x' + k, BF_SHOW(field[k]));
    }
    return BF_OK;
}

/* ---- V2000 ------------------------------------------------------------------------------------------------------- */

/* A whole number in fixed columns; 0 where they are blank. */
static bool column_int(const char *line, size_t bytes, size_t at, size_t n, int64_t min, int64_t max, int64_t *out)
{
    const bf_field f = bf_columns(line, bytes, at, n);
    *out = 0;
    return f.n == 0 || bf_field_int(f, min, max, out);
}

/* Columns: x y z of 10 each, symbol, difference of mass, code of charge, ..., valence at 48. */
static bf_status v2000_atom(const bf_lines *l, const char *line, size_t n, bf_mol *m, bf_err *err)
{
    static const int8_t charges[] = {0, 3, 2, 1, 0, -1, -2, -3}; /* code 4: a doublet radical */
    bf_status st = BF_OK;
    bf_atom a = {0};
    int64_t mass = 0, charge = 0, valence = 0;
    const bf_field x[3] = {bf_columns(line, n, 0, 10), bf_columns(line, n, 10, 10), bf_columns(line, n, 20, 10)};
    BF_TRY(set_position(l, x, &a, err));
    BF_TRY(set_element(l, bf_columns(line, n, 31, 3), &a, err));
    if (!column_int(line, n, 34, 2, -9, 99, &mass) || !column_int(line, n, 36, 3, 0, 7, &charge) ||
        !column_int(line, n, 48, 3, 0, 15, &valence)) {
        st = bf_line_fail(l, err, "difference of mass, charge or valence of an atom is not a number in its range");
        goto out;
    }
    if (mass != 0) a.isotope = (uint16_t)fmax(1, round(bf_element_of(a.element)->weight) + (double)mass);
    a.charge = charges[charge];
    a.radical = charge == 4 ? 2 : 0;
    a.valence = (uint8_t)valence;
    BF_TRY(bf_line_add_atom(l, m, a, err));
out:
    return st;
}

static bf_status add_bond(const bf_lines *l, bf_mol *m, int64_t a, int64_t b, int64_t order, int64_t stereo,
                          bf_err *err)
{
    if (order < BF_BOND_SINGLE || order > BF_BOND_AROMATIC)
        return bf_line_fail(l, err, "bond type %" PRId64 " (only 1 to 4 are bonds, others are queries)", order);
    return bf_line_add_bond(l, m, (bf_bond){(uint32_t)a - 1, (uint32_t)b - 1, (uint8_t)order, (uint8_t)stereo}, err);
}

static bf_status v2000_bond(const bf_lines *l, const char *line, size_t n, bf_mol *m, bf_err *err)
{
    int64_t a, b, order, stereo;
    if (!column_int(line, n, 0, 3, 1, m->atoms, &a) || !column_int(line, n, 3, 3, 1, m->atoms, &b) || a == 0 || b == 0)
        return bf_line_fail(l, err, "\"%.6s\" are not two of the %" PRIu32 " atoms", line, m->atoms);
    if (!column_int(line, n, 6, 3, 0, 999, &order) || !column_int(line, n, 9, 3, 0, 6, &stereo))
        return bf_line_fail(l, err, "type or stereo of a bond is not a number in its range");
    return add_bond(l, m, a, b, order, stereo, err);
}

/* "M  CHG  2   1  -1   5   1" and the like for isotopes and radicals. The first line about charges or radicals replaces
 * what the atom lines say of both. */
static bf_status v2000_values(const bf_lines *l, const char *line, bool *seen, bf_mol *m, bf_err *err)
{
    const char *p = line + 6;
    int64_t count, atom, value;
    const bool charge = strncmp(line, "M  CHG", 6) == 0, isotope = strncmp(line, "M  ISO", 6) == 0;
    if (!isotope && !*seen) {
        for (uint32_t i = 0; i < m->atoms; i++) m->atom[i].charge = 0, m->atom[i].radical = 0;
        *seen = true;
    }
    if (!bf_field_int(bf_word(&p), 0, 999, &count)) return bf_line_fail(l, err, "%.6s without a count", line);
    for (int64_t i = 0; i < count; i++) {
        if (!bf_field_int(bf_word(&p), 1, m->atoms, &atom))
            return bf_line_fail(l, err, "%.6s names no atom of %" PRIu32, line, m->atoms);
        if (!bf_field_int(bf_word(&p), charge ? -15 : 0, charge ? 15 : isotope ? 999 : 3, &value))
            return bf_line_fail(l, err, "%.6s of atom %" PRId64 " is out of its range", line, atom);
        bf_atom *a = &m->atom[atom - 1];
        if (charge)
            a->charge = (int8_t)value;
        else if (isotope)
            a->isotope = (uint16_t)value;
        else
            a->radical = (uint8_t)value;
    }
    return BF_OK;
}

/* Lines behind the bonds up to "M  END". */
static bf_status v2000_end(bf_lines *l, bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    bool seen = false;
    char *line;
    size_t n;
    for (;;) {
        BF_TRY(need_line(l, "\"M  END\"", &line, &n, err));
        if (strncmp(line, "M  END", 6) == 0) break;
        if (strncmp(line, "$$$$", 4) == 0) {
            st = bf_line_fail(l, err, "the record ends before \"M  END\"");
            break;
        }
        if (line[0] == 'A' || line[0] == 'G')
            BF_TRY(need_line(l, "\"M  END\"", &line, &n, err)); /* a text of its own */
        else if (strncmp(line, "M  CHG", 6) == 0 || strncmp(line, "M  ISO", 6) == 0 || strncmp(line, "M  RAD", 6) == 0)
            BF_TRY(v2000_values(l, line, &seen, m, err));
    }
out:
    return st;
}

static bf_status v2000(bf_lines *l, const char *counts, size_t n, bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    int64_t atoms, bonds;
    char *line;
    if (!bf_field_int(bf_columns(counts, n, 0, 3), 0, 999, &atoms) || !column_int(counts, n, 3, 3, 0, 999, &bonds)) {
        st = bf_line_fail(l, err, "\"%.6s\" are not the numbers of atoms and bonds of a MOL or SDF record", counts);
        goto out;
    }
    for (int64_t i = 0; i < atoms; i++) {
        BF_TRY(need_line(l, "the last of its atoms", &line, &n, err));
        BF_TRY(v2000_atom(l, line, n, m, err));
    }
    for (int64_t i = 0; i < bonds; i++) {
        BF_TRY(need_line(l, "the last of its bonds", &line, &n, err));
        BF_TRY(v2000_bond(l, line, n, m, err));
    }
    BF_TRY(v2000_end(l, m, err));
out:
    return st;
}

/* ---- V3000 ------------------------------------------------------------------------------------------------------- */

/* A logical line without its "M  V30 ": lines that end in '-' go on in the next. */
typedef struct v30 {
    bf_lines *lines;
    char *text; /* owned */
    size_t room;
} v30;

static bf_status v30_next(v30 *r, bf_err *err)
{
    bf_status st = BF_OK;
    size_t used = 0;
    bool more = true;
    while (more) {
        char *line;
        size_t n;
        BF_TRY(need_line(r->lines, "\"M  END\"", &line, &n, err));
        if (strncmp(line, "M  V30 ", 7) != 0) {
            st = bf_line_fail(r->lines, err, "\"%.20s\": expected \"M  V30 ...\"", line);
            goto out;
        }
        line += 7;
        n -= 7;
        more = n > 0 && line[n - 1] == '-';
        n -= more;
        if (used + n > BF_LINES_MAX) {
            st = bf_line_fail(r->lines, err, "continued beyond %d bytes", BF_LINES_MAX);
            goto out;
        }
        if (used + n + 1 > r->room) {
            char *text = realloc(r->text, 2 * (used + n + 1));
            BF_CHECK(text != NULL, BF_RUNTIME, "%s: out of memory", bf_lines_name(r->lines));
            r->text = text;
            r->room = 2 * (used + n + 1);
        }
        memcpy(r->text + used, line, n);
        used += n;
        r->text[used] = '\0';
    }
out:
    return st;
}

/* "KEY=value" among the words of an atom or bond; false when it is another key. */
static bool keyed(bf_field word, const char *key, bf_field *value)
{
    const size_t k = strlen(key);
    if (word.n < k || memcmp(word.text, key, k) != 0) return false;
    *value = (bf_field){word.text + k, word.n - k};
    return true;
}

/* Numbers that the file gives its atoms; they need not be 1, 2, 3. */
typedef struct number_of {
    int64_t number;
    uint32_t atom;
} number_of;

static int by_number(const void *a, const void *b)
{
    const int64_t x = ((const number_of *)a)->number, y = ((const number_of *)b)->number;
    return (x > y) - (x < y);
}

/* index type x y z mapping [CHG=] [RAD=] [MASS=] [VAL=] */
static bf_status v30_atom(const v30 *r, const char *text, bf_mol *m, int64_t *number, bf_err *err)
{
    bf_status st = BF_OK;
    bf_atom a = {0};
    const char *p = text;
    bf_field x[3], word, value;
    int64_t v;
    if (!bf_field_int(bf_word(&p), 1, INT32_MAX, number)) {
        st = bf_line_fail(r->lines, err, "an atom without a number of its own");
        goto out;
    }
    BF_TRY(set_element(r->lines, bf_word(&p), &a, err));
    for (int k = 0; k < 3; k++) x[k] = bf_word(&p);
    BF_TRY(set_position(r->lines, x, &a, err));
    bf_word(&p); /* mapping */
    for (word = bf_word(&p); word.n > 0; word = bf_word(&p)) {
        bool ok = true;
        if (keyed(word, "CHG=", &value) && (ok = bf_field_int(value, -15, 15, &v))) a.charge = (int8_t)v;
        if (keyed(word, "RAD=", &value) && (ok = bf_field_int(value, 0, 3, &v))) a.radical = (uint8_t)v;
        if (keyed(word, "MASS=", &value) && (ok = bf_field_int(value, 0, 999, &v))) a.isotope = (uint16_t)v;
        if (keyed(word, "VAL=", &value) && (ok = bf_field_int(value, -1, 14, &v)))
            a.valence = (uint8_t)(v < 0 ? 15 : v);
        if (!ok) {
            st = bf_line_fail(r->lines, err, "\"%.*s\" is out of its range", BF_SHOW(word));
            goto out;
        }
    }
    BF_TRY(bf_line_add_atom(r->lines, m, a, err));
out:
    return st;
}

/* index type atom atom [CFG=] */
static bf_status v30_bond(const v30 *r, const char *text, const number_of *names, bf_mol *m, bf_err *err)
{
    static const int64_t stereo_of[] = {0, 1, 4, 6};
    const char *p = text;
    int64_t number, order, stereo = 0, end[2];
    bf_field value;
    if (!bf_field_int(bf_word(&p), 0, INT32_MAX, &number) || !bf_field_int(bf_word(&p), 0, 99, &order))
        return bf_line_fail(r->lines, err, "a bond without number or type");
    for (int k = 0; k < 2; k++) {
        number_of key = {0};
        const bf_field f = bf_word(&p);
        const number_of *found = NULL;
        if (bf_field_int(f, 1, INT32_MAX, &key.number))
            found = bsearch(&key, names, m->atoms, sizeof *names, by_number);
        if (found == NULL) return bf_line_fail(r->lines, err, "a bond to atom \"%.*s\", which is none", BF_SHOW(f));
        end[k] = (int64_t)found->atom + 1;
    }
    for (bf_field word = bf_word(&p); word.n > 0; word = bf_word(&p)) {
        int64_t v = 0;
        if (!keyed(word, "CFG=", &value)) continue;
        if (!bf_field_int(value, 0, 3, &v)) return bf_line_fail(r->lines, err, "CFG is out of its range");
        stereo = order == BF_BOND_DOUBLE && v == 2 ? 3 : stereo_of[v];
    }
    return add_bond(r->lines, m, end[0], end[1], order, stereo, err);
}

static bf_status v30_atoms(v30 *r, int64_t count, bf_mol *m, number_of **names, bf_err *err)
{
    bf_status st = BF_OK;
    size_t room = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t number;
        BF_TRY(v30_next(r, err));
        BF_TRY(v30_atom(r, r->text, m, &number, err));
        if (m->atoms > room) { /* grows with what is read: a count may lie */
            room = room > 0 ? 2 * room : 64;
            number_of *more = realloc(*names, room * sizeof **names);
            BF_CHECK(more != NULL, BF_RUNTIME, "%s: out of memory", bf_lines_name(r->lines));
            *names = more;
        }
        (*names)[i] = (number_of){number, m->atoms - 1};
    }
    qsort(*names, m->atoms, sizeof **names, by_number);
    for (uint32_t i = 1; i < m->atoms; i++) {
        if ((*names)[i].number != (*names)[i - 1].number) continue;
        st = bf_line_fail(r->lines, err, "two atoms have the number %" PRId64, (*names)[i].number);
        goto out;
    }
out:
    return st;
}

/* The next line that is exactly this. */
static bf_status v30_expect(v30 *r, const char *text, bf_err *err)
{
    bf_status st = v30_next(r, err);
    if (st == BF_OK && strncmp(r->text, text, strlen(text)) != 0)
        st = bf_line_fail(r->lines, err, "\"%.20s\": expected \"%s\"", r->text, text);
    return st;
}

static bf_status v3000(bf_lines *l, bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    v30 r = {.lines = l};
    number_of *names = NULL;
    char *line;
    size_t n;
    int64_t atoms = 0, bonds = 0;
    BF_TRY(v30_expect(&r, "BEGIN CTAB", err));
    BF_TRY(v30_expect(&r, "COUNTS ", err));
    const char *p = r.text + 7;
    if (!bf_field_int(bf_word(&p), 0, BF_MOL_MAX_ATOMS, &atoms) ||
        !bf_field_int(bf_word(&p), 0, BF_MOL_MAX_BONDS, &bonds)) {
        st = bf_line_fail(l, err, "COUNTS are not numbers of atoms and bonds (at most %d and %d)", BF_MOL_MAX_ATOMS,
                          BF_MOL_MAX_BONDS);
        goto out;
    }
    if (atoms > 0) {
        BF_TRY(v30_expect(&r, "BEGIN ATOM", err));
        BF_TRY(v30_atoms(&r, atoms, m, &names, err));
        BF_TRY(v30_expect(&r, "END ATOM", err));
    }
    if (bonds > 0) {
        BF_TRY(v30_expect(&r, "BEGIN BOND", err));
        for (int64_t i = 0; i < bonds; i++) {
            BF_TRY(v30_next(&r, err));
            BF_TRY(v30_bond(&r, r.text, names, m, err));
        }
        BF_TRY(v30_expect(&r, "END BOND", err));
    }
    do { /* groups and collections are passed over */
        BF_TRY(need_line(l, "\"M  END\"", &line, &n, err));
    } while (strncmp(line, "M  END", 6) != 0 && strncmp(line, "$$$$", 4) != 0);
    if (line[0] == '$') st = bf_line_fail(l, err, "the record ends before \"M  END\"");
out:
    free(r.text);
    free(names);
    return st;
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

/* Appends a line to a value. */
static bf_status append(char **value, size_t *bytes, const char *line, size_t n, bf_err *err)
{
    char *more;
    if (*bytes + n + 2 > BF_LINES_MAX) return bf_fail(err, BF_FILE, "a property of more than %d bytes", BF_LINES_MAX);
    more = realloc(*value, *bytes + n + 2);
    if (more == NULL) return bf_fail(err, BF_RUNTIME, "out of memory for a molecule");
    if (*bytes > 0) more[(*bytes)++] = '\n';
    memcpy(more + *bytes, line, n + 1);
    *bytes += n;
    *value = more;
    return BF_OK;
}

/* The name in "> 25 <MELTING.POINT>"; the whole rest where there are no brackets. */
static char *property_name(char *line)
{
    char *begin = strchr(line, '<'), *end = strrchr(line, '>');
    if (begin == NULL || end <= begin) return line + 1 + strspn(line + 1, " \t");
    *end = '\0';
    return begin + 1;
}

/* Up to "$$$$" or the end of the file. */
static bf_status read_properties(bf_lines *l, bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    char *line, *name = NULL, *value = NULL;
    size_t n, bytes = 0;
    for (;;) {
        BF_TRY(bf_lines_next(l, &line, &n, err));
        const bool stop = line == NULL || strncmp(line, "$$$$", 4) == 0;
        if (name != NULL && (stop || n == 0)) {
            BF_TRY(bf_mol_set_property(m, name, value != NULL ? value : "", err));
            free(name);
            free(value);
            name = value = NULL;
            bytes = 0;
        } else if (!stop && name != NULL) {
            BF_TRY(append(&value, &bytes, line, n, err));
        } else if (!stop && line[0] == '>') {
            name = strdup(property_name(line));
            BF_CHECK(name != NULL, BF_RUNTIME, "%s: out of memory", bf_lines_name(l));
        }
        if (stop) break;
    }
out:
    if (st == BF_FILE && name != NULL) bf_err_context(err, "%s: line %" PRIu64, bf_lines_name(l), bf_lines_number(l));
    free(name);
    free(value);
    return st;
}

bf_status bf_sdf_skip(bf_lines *l, bf_err *err)
{
    char *line;
    size_t n;
    bf_status st;
    bf_lines_back(l); /* the record may have failed at its last line */
    do {
        st = bf_lines_next(l, &line, &n, err);
    } while (st == BF_OK && line != NULL && strncmp(line, "$$$$", 4) != 0);
    return st;
}

/* Name, program and dimensions, comment, counts: *line is the last of them. Blank lines up to the end of the file are
 * no record. */
static bf_status read_header(bf_lines *l, bf_mol *m, char **line, size_t *n, bool *end, bf_err *err)
{
    bf_status st = BF_OK;
    bool blank = true;
    *end = false;
    for (int i = 0; i < 4; i++) {
        BF_TRY(bf_lines_next(l, line, n, err));
        if (*line == NULL && !blank) st = bf_line_fail(l, err, "the file ends in the header of a record");
        *end = *line == NULL && blank;
        if (*line == NULL) break;
        blank = blank && bf_columns(*line, *n, 0, *n).n == 0;
        const bf_field d = bf_columns(*line, *n, 20, 2);
        if (i == 0 && *n > 0) BF_TRY(bf_mol_set_name(m, *line, err));
        if (i == 1) m->dimensions = bf_field_is(d, "3D") ? 3 : bf_field_is(d, "2D") ? 2 : 0;
    }
out:
    return st;
}

bf_status bf_sdf_next(bf_lines *l, bf_mol *m, bool *end, bf_err *err)
{
    bf_status st = BF_OK;
    char *line;
    size_t n;
    BF_TRY(read_header(l, m, &line, &n, end, err));
    if (*end) goto out;
    if (bf_field_is(bf_columns(line, n, 33, 6), "V3000"))
        BF_TRY(v3000(l, m, err));
    else
        BF_TRY(v2000(l, line, n, m, err));
    BF_TRY(read_properties(l, m, err));
out:
    return st;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* A text that must stay on its line. */
static void put_line(FILE *f, const char *text)
{
    for (const char *p = text; p != NULL && *p != '\0'; p++) fputc((unsigned char)*p < 32 ? ' ' : *p, f);
    fputc('\n', f);
}

/* "M  CHG" and its kin, eight atoms per line. */
static void put_values(FILE *f, const bf_mol *m, const char *key, int (*value)(const bf_atom *a))
{
    uint32_t listed[8], n = 0;
    for (uint32_t i = 0; i <= m->atoms; i++) {
        if (i < m->atoms && value(&m->atom[i]) != 0) listed[n++] = i;
        if (n == 0 || (n < 8 && i < m->atoms)) continue;
        fprintf(f, "M  %s%3" PRIu32, key, n);
        for (uint32_t k = 0; k < n; k++) fprintf(f, " %3" PRIu32 " %3d", listed[k] + 1, value(&m->atom[listed[k]]));
        fputc('\n', f);
        n = 0;
    }
}

static int charge_of(const bf_atom *a)
{
    return a->charge;
}
static int isotope_of(const bf_atom *a)
{
    return a->isotope;
}
static int radical_of(const bf_atom *a)
{
    return a->radical;
}

static void put_v2000(FILE *f, const bf_mol *m)
{
    fprintf(f, "%3" PRIu32 "%3" PRIu32 "  0  0  0  0  0  0  0  0999 V2000\n", m->atoms, m->bonds);
    for (uint32_t i = 0; i < m->atoms; i++) {
        const bf_atom *a = &m->atom[i];
        fprintf(f, "%10.4f%10.4f%10.4f %-3s 0  0  0  0  0%3d  0  0  0  0  0  0\n", a->x[0], a->x[1], a->x[2],
                bf_element_of(a->element)->symbol, a->valence);
    }
    for (uint32_t i = 0; i < m->bonds; i++) {
        const bf_bond *b = &m->bond[i];
        fprintf(f, "%3" PRIu32 "%3" PRIu32 "%3d%3d\n", b->a + 1, b->b + 1, b->order, b->stereo);
    }
    put_values(f, m, "CHG", charge_of);
    put_values(f, m, "ISO", isotope_of);
    put_values(f, m, "RAD", radical_of);
}

static void put_v3000(FILE *f, const bf_mol *m)
{
    static const int cfg_of[] = {0, 1, 0, 2, 2, 0, 3};
    fprintf(f,
            "  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\nM  V30 COUNTS %" PRIu32 " %" PRIu32 " 0 0 0\n",
            m->atoms, m->bonds);
    fputs("M  V30 BEGIN ATOM\n", f);
    for (uint32_t i = 0; i < m->atoms; i++) {
        const bf_atom *a = &m->atom[i];
        fprintf(f, "M  V30 %" PRIu32 " %s %.6f %.6f %.6f 0", i + 1, bf_element_of(a->element)->symbol, a->x[0], a->x[1],
                a->x[2]);
        if (a->charge != 0) fprintf(f, " CHG=%d", a->charge);
        if (a->radical != 0) fprintf(f, " RAD=%d", a->radical);
        if (a->isotope != 0) fprintf(f, " MASS=%d", a->isotope);
        if (a->valence != 0) fprintf(f, " VAL=%d", a->valence == 15 ? -1 : a->valence);
        fputc('\n', f);
    }
    fputs("M  V30 END ATOM\nM  V30 BEGIN BOND\n", f);
    for (uint32_t i = 0; i < m->bonds; i++) {
        const bf_bond *b = &m->bond[i];
        fprintf(f, "M  V30 %" PRIu32 " %d %" PRIu32 " %" PRIu32, i + 1, b->order, b->a + 1, b->b + 1);
        if (b->stereo < BF_COUNT(cfg_of) && cfg_of[b->stereo] != 0) fprintf(f, " CFG=%d", cfg_of[b->stereo]);
        fputc('\n', f);
    }
    fputs("M  V30 END BOND\nM  V30 END CTAB\n", f);
}

/* Whether coordinates fit "%10.4f" with a blank between them. */
static bool fits(const bf_mol *m)
{
    bool ok = m->atoms <= 999 && m->bonds <= 999;
    for (uint32_t i = 0; i < m->atoms && ok; i++) {
        for (int k = 0; k < 3; k++) ok = ok && m->atom[i].x[k] < 9999.9f && m->atom[i].x[k] > -999.9f;
    }
    return ok;
}

bf_status bf_sdf_print(FILE *f, const bf_mol *m, bool v3000_, bf_err *err)
{
    (void)err;
    put_line(f, m->name);
    fprintf(f, "  bfncl             %s\n\n", m->dimensions == 3 ? "3D" : m->dimensions == 2 ? "2D" : "");
    if (v3000_ || !fits(m))
        put_v3000(f, m);
    else
        put_v2000(f, m);
    fputs("M  END\n", f);
    for (uint32_t i = 0; i < m->properties; i++) {
        const bf_mol_property *p = &m->property[i];
        fprintf(f, "> <");
        for (const char *c = p->name; *c != '\0'; c++)
            fputc((unsigned char)*c < 32 || *c == '<' || *c == '>' ? '_' : *c, f);
        fputs(">\n", f);
        for (const char *c = p->value; *c != '\0'; c++) { /* an empty line would end it */
            if (*c != '\n' || (c[1] != '\n' && c[1] != '\0' && c != p->value)) fputc(*c, f);
        }
        fputs("\n\n", f);
    }
    fputs("$$$$\n", f);
    return BF_OK;
}
