#include "io/pdb.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clocale.h"
#include "base/size.h"
#include "io/mol_file.h"

void bf_pdb_free(bf_pdb *p)
{
    free(p->atom);
    free(p->bond);
    *p = (bf_pdb){0};
}

static void copy_field(char *out, size_t room, bf_field f)
{
    const size_t n = BF_MIN(f.n, room - 1);
    memcpy(out, f.text, n);
    out[n] = '\0';
}

/* One column; ' ' where the line has ended. */
static char column(const char *line, size_t n, size_t at)
{
    return at < n ? line[at] : ' ';
}

/* AutoDock's PDBQT files have a charge in the columns of the segment and types in those behind the element: aromatic
 * carbon A, acceptors NA and OA, hydrogens of donors HD, ... */
static bool is_pdbqt(const char *name)
{
    size_t n = strlen(name);
    if (n > 3 && strcasecmp(name + n - 3, ".gz") == 0) n -= 3;
    return n > 6 && strncasecmp(name + n - 6, ".pdbqt", 6) == 0;
}

static unsigned element_of_type(bf_field type)
{
    static const char *const types[][2] = {{"A", "C"},  {"HD", "H"}, {"HS", "H"}, {"NA", "N"},
                                           {"NS", "N"}, {"OA", "O"}, {"OS", "O"}, {"SA", "S"}};
    for (size_t i = 0; i < BF_COUNT(types); i++) {
        if (bf_field_is(type, types[i][0])) return bf_element_number(types[i][1], 1);
    }
    return bf_element_number(type.text, type.n);
}

static bf_status read_atom(const bf_lines *l, const char *line, size_t n, bf_pdb_atom *a, bf_err *err)
{
    const bool pdbqt = is_pdbqt(bf_lines_name(l));
    int64_t number = 0;
    const bf_field residue_number = bf_columns(line, n, 22, 4);
    bf_field symbol = pdbqt ? bf_columns(line, n, 77, 2) : bf_columns(line, n, 76, 2);
    for (size_t k = 0; k < 3; k++) {
        const bf_field f = bf_columns(line, n, 30 + 8 * k, 8);
        if (!bf_field_coordinate(f, &a->x[k]))
            return bf_line_fail(l, err, "coordinate %c (columns %zu-%zu) is \"%.*s\", not a finite number",
                                (int)('x' + k), 31 + 8 * k, 38 + 8 * k, BF_SHOW(f));
    }
    if (!bf_field_int(residue_number, INT32_MIN, INT32_MAX, &number))
        return bf_line_fail(l, err, "residue number (columns 23-26) is \"%.*s\"", BF_SHOW(residue_number));
    a->number = (int32_t)number;
    a->serial = bf_field_int(bf_columns(line, n, 6, 5), 0, INT32_MAX, &number) ? (int32_t)number : -1;
    if (symbol.n == 0) symbol = bf_columns(line, n, 13, 1);
    a->element = (uint8_t)(pdbqt ? element_of_type(symbol) : bf_element_number(symbol.text, symbol.n));
    a->chain = column(line, n, 21);
    a->insertion = column(line, n, 26);
    copy_field(a->symbol, sizeof a->symbol, symbol);
    copy_field(a->name, sizeof a->name, bf_columns(line, n, 12, 4));
    copy_field(a->residue, sizeof a->residue, bf_columns(line, n, 17, 3));
    copy_field(a->segment, sizeof a->segment, bf_columns(line, n, 72, pdbqt ? 0 : 4));
    a->line = bf_lines_number(l);
    return BF_OK;
}

/* Room for one more; *list_ptr is the list. */
static bf_status grow(void *list_ptr, uint32_t count, uint32_t *room, uint32_t max, size_t size, bf_err *err)
{
    void *list, *more;
    if (count < *room) return BF_OK;
    if (count >= max) return bf_fail(err, BF_FILE, "more than %" PRIu32 " atoms or bonds", max);
    memcpy(&list, list_ptr, sizeof list);
    const uint32_t want = *room > 0 ? 2 * *room : 256;
    more = realloc(list, want * size);
    if (more == NULL) return bf_fail(err, BF_RUNTIME, "out of memory for a PDB file");
    memcpy(list_ptr, &more, sizeof more);
    *room = want;
    return BF_OK;
}

static bf_status add_atom(const bf_lines *l, const char *line, size_t n, bool hetero, bf_pdb *p, bf_err *err)
{
    bf_status st = BF_OK;
    bf_pdb_atom a = {.hetero = hetero};
    BF_TRY(read_atom(l, line, n, &a, err));
    BF_TRY(grow(&p->atom, p->atoms, &p->room_atoms, BF_MOL_MAX_ATOMS, sizeof *p->atom, err));
    p->atom[p->atoms++] = a;
out:
    return st;
}

/* CONECT: an atom and up to four others, five columns each. */
static bf_status add_bonds(const char *line, size_t n, bf_pdb *p, bf_err *err)
{
    bf_status st = BF_OK;
    int64_t a, b;
    if (!bf_field_int(bf_columns(line, n, 6, 5), 0, INT32_MAX, &a)) return BF_OK;
    for (size_t k = 0; k < 4; k++) {
        if (!bf_field_int(bf_columns(line, n, 11 + 5 * k, 5), 0, INT32_MAX, &b)) continue;
        BF_TRY(grow(&p->bond, p->bonds, &p->room_bonds, BF_MOL_MAX_BONDS, sizeof *p->bond, err));
        p->bond[p->bonds++] = (bf_pdb_bond){(int32_t)a, (int32_t)b};
    }
out:
    return st;
}

/* Records up to the end of a model (*ended) or of the file. */
static bf_status read_model(bf_lines *l, bf_pdb *p, bool *ended, bf_err *err)
{
    bf_status st = BF_OK;
    char *line;
    size_t n;
    *ended = false;
    for (;;) {
        BF_TRY(bf_lines_next(l, &line, &n, err));
        if (line == NULL) break;
        const bf_field record = bf_columns(line, n, 0, 6);
        if (bf_field_is(record, "ATOM") || bf_field_is(record, "HETATM")) {
            st = add_atom(l, line, n, record.n == 6, p, err);
        } else if (bf_field_is(record, "CONECT")) {
            st = add_bonds(line, n, p, err);
        } else if (bf_field_is(record, "ENDMDL")) {
            *ended = true;
            break;
        }
        if (st != BF_OK) goto out;
    }
out:
    return st;
}

static bf_status read_source(bf_source *s, bf_pdb *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_pdb p = {0};
    bf_lines *l = NULL;
    bool ended;
    bf_clocale locale = bf_clocale_begin();
    BF_TRY(bf_lines_open(s, &l, err));
    BF_TRY(read_model(l, &p, &ended, err));
    BF_CHECK(p.atoms > 0, BF_FILE, "%s: holds no ATOM or HETATM record", bf_source_name(s));
    *out = p;
    p = (bf_pdb){0};
out:
    bf_clocale_end(locale);
    bf_lines_close(l);
    bf_pdb_free(&p);
    return st;
}

bf_status bf_pdb_read(const char *path, bf_pdb *out, bf_err *err)
{
    bf_source *s = NULL;
    *out = (bf_pdb){0};
    bf_status st = bf_source_open(path, &s, err);
    if (st == BF_OK) st = read_source(s, out, err);
    bf_source_close(s);
    return st;
}

bf_status bf_pdb_parse(const char *name, const void *data, size_t size, bf_pdb *out, bf_err *err)
{
    bf_source *s = NULL;
    *out = (bf_pdb){0};
    bf_status st = bf_source_memory(name, data, size, &s, err);
    if (st == BF_OK) st = read_source(s, out, err);
    bf_source_close(s);
    return st;
}

/* ---- as a molecule ----------------------------------------------------------------------------------------------- */

typedef struct serial_of {
    int32_t serial;
    uint32_t atom;
} serial_of;

static int by_serial(const void *a, const void *b)
{
    const serial_of *x = a, *y = b;
    return (x->serial > y->serial) - (x->serial < y->serial);
}

/* A bond as one of its ends names it. */
typedef struct mention {
    uint32_t low, high;
    bool from_high;
} mention;

static int by_mention(const void *a, const void *b)
{
    const mention *x = a, *y = b;
    if (x->low != y->low) return x->low < y->low ? -1 : 1;
    if (x->high != y->high) return x->high < y->high ? -1 : 1;
    return x->from_high - y->from_high;
}

/* CONECT lines name a bond from either end or from both, a double bond twice. */
static bf_status join_bonds(const bf_pdb *p, bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    serial_of *serials = NULL;
    mention *list = NULL;
    uint32_t n = 0;
    BF_NEW(serials, p->atoms);
    BF_NEW(list, p->bonds);
    for (uint32_t i = 0; i < p->atoms; i++) serials[i] = (serial_of){p->atom[i].serial, i};
    qsort(serials, p->atoms, sizeof *serials, by_serial);
    for (uint32_t i = 0; i < p->bonds; i++) {
        const serial_of ka = {p->bond[i].a, 0}, kb = {p->bond[i].b, 0};
        const serial_of *a = bsearch(&ka, serials, p->atoms, sizeof *serials, by_serial);
        const serial_of *b = bsearch(&kb, serials, p->atoms, sizeof *serials, by_serial);
        if (a == NULL || b == NULL || a->atom == b->atom) continue;
        list[n++] = (mention){BF_MIN(a->atom, b->atom), BF_MAX(a->atom, b->atom), a->atom > b->atom};
    }
    qsort(list, n, sizeof *list, by_mention);
    for (uint32_t i = 0, j = 0; i < n; i = j) {
        uint32_t times[2] = {0, 0};
        for (; j < n && list[j].low == list[i].low && list[j].high == list[i].high; j++) times[list[j].from_high]++;
        const uint32_t order = BF_MIN(BF_MAX(times[0], times[1]), (uint32_t)BF_BOND_TRIPLE);
        BF_TRY(bf_mol_add_bond(m, (bf_bond){.a = list[i].low, .b = list[i].high, .order = (uint8_t)order}, err));
    }
out:
    free(serials);
    free(list);
    return st;
}

static bf_status to_mol(const bf_pdb *p, bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    m->dimensions = 3;
    for (uint32_t i = 0; i < p->atoms; i++) {
        const bf_pdb_atom *a = &p->atom[i];
        BF_TRY(bf_mol_add_atom(m, (bf_atom){.x = {a->x[0], a->x[1], a->x[2]}, .element = a->element}, err));
    }
    if (p->bonds > 0) BF_TRY(join_bonds(p, m, err));
out:
    return st;
}

bf_status bf_pdb_next(bf_lines *l, bf_mol *m, bool *end, bf_err *err)
{
    bf_status st = BF_OK;
    bf_pdb p = {0};
    bool ended = true;
    while (ended && p.atoms == 0) BF_TRY(read_model(l, &p, &ended, err)); /* models without atoms are no molecules */
    *end = p.atoms == 0;
    for (uint32_t i = 0; i < p.atoms; i++) {
        const bf_pdb_atom *a = &p.atom[i];
        BF_CHECK(a->element > 0, BF_FILE, "%s: line %" PRIu64 ": \"%s\" is not an element", bf_lines_name(l), a->line,
                 a->symbol);
    }
    BF_TRY(to_mol(&p, m, err));
out:
    bf_pdb_free(&p);
    return st;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void put_atoms(FILE *f, const bf_mol *m)
{
    for (uint32_t i = 0; i < m->atoms; i++) {
        const bf_atom *a = &m->atom[i];
        const char *symbol = bf_element_of(a->element)->symbol;
        char name[16], charge[4] = "  ";
        snprintf(name, sizeof name, "%s%" PRIu32, symbol, (i + 1) % 1000);
        if (a->charge != 0 && abs(a->charge) < 10)
            snprintf(charge, sizeof charge, "%d%c", abs(a->charge), a->charge > 0 ? '+' : '-');
        /* names of one-letter elements begin in the second of their four columns */
        fprintf(f, "HETATM%5" PRIu32 " %s%-*.4s UNL A   1    %8.3f%8.3f%8.3f  1.00  0.00          %2s%s\n", i + 1,
                symbol[1] == '\0' ? " " : "", symbol[1] == '\0' ? 3 : 4, name, a->x[0], a->x[1], a->x[2], symbol,
                charge);
    }
}

bf_status bf_pdb_print(FILE *f, const bf_mol *m, size_t model, bf_err *err)
{
    bf_status st = BF_OK;
    BF_CHECK(m->atoms <= 99999, BF_USAGE, "%" PRIu32 " atoms do not fit a PDB file (99999)", m->atoms);
    for (uint32_t i = 0; i < m->atoms; i++) {
        for (int k = 0; k < 3; k++)
            BF_CHECK(m->atom[i].x[k] > -999.9f && m->atom[i].x[k] < 9999.9f, BF_USAGE,
                     "atom %" PRIu32 " at %g does not fit the columns of a PDB file", i + 1, m->atom[i].x[k]);
    }
    if (model > 0) fprintf(f, "MODEL     %4zu\n", model);
    put_atoms(f, m);
    for (uint32_t i = 0; i < m->bonds; i++) {
        const bf_bond *b = &m->bond[i];
        const int times = b->order == BF_BOND_AROMATIC ? 1 : b->order;
        for (int k = 0; k < times; k++) fprintf(f, "CONECT%5" PRIu32 "%5" PRIu32 "\n", b->a + 1, b->b + 1);
    }
    if (model > 0) fputs("ENDMDL\n", f);
out:
    return st;
}
