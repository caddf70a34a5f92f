/* XYZ: a line with the number of atoms, a comment, then element and coordinates (Angstrom) per line; any number of such
 * records. */
#include <inttypes.h>

#include "io/mol_file.h"

static bf_status read_atom(bf_lines *l, const char *line, bf_mol *m, bf_err *err)
{
    bf_atom a = {0};
    const char *p = line;
    const bf_field symbol = bf_word(&p);
    int64_t number = 0;
    a.element = (uint8_t)bf_element_number(symbol.text, symbol.n);
    if (bf_field_int(symbol, 1, BF_ELEMENTS - 1, &number)) a.element = (uint8_t)number;
    if (a.element == 0) return bf_line_fail(l, err, "\"%.*s\" is not an element", BF_SHOW(symbol));
    for (int k = 0; k < 3; k++) {
        const bf_field f = bf_word(&p);
        if (!bf_field_coordinate(f, &a.x[k]))
            return bf_line_fail(l, err, "coordinate %c is \"%.*s\", not a finite number", 'x' + k, BF_SHOW(f));
    }
    return bf_line_add_atom(l, m, a, err);
}

bf_status bf_xyz_next(bf_lines *l, bf_mol *m, bool *end, bf_err *err)
{
    bf_status st = BF_OK;
    char *line;
    size_t n;
    int64_t atoms = 0;
    bf_field f;
    do { /* blank lines between records */
        BF_TRY(bf_lines_next(l, &line, &n, err));
        *end = line == NULL;
        if (*end) goto out;
        f = bf_columns(line, n, 0, n);
    } while (f.n == 0);
    if (!bf_field_int(f, 0, BF_MOL_MAX_ATOMS, &atoms)) {
        st = bf_line_fail(l, err, "\"%.*s\" is not a number of atoms (0 to %d)", BF_SHOW(f), BF_MOL_MAX_ATOMS);
        goto out;
    }
    m->dimensions = 3;
    BF_TRY(bf_lines_next(l, &line, &n, err));
    if (line != NULL && n > 0) BF_TRY(bf_mol_set_name(m, line, err));
    for (int64_t i = 0; i < atoms; i++) {
        BF_TRY(bf_lines_next(l, &line, &n, err));
        if (line == NULL) {
            st = bf_line_fail(l, err, "the file ends after %" PRId64 " of %" PRId64 " atoms", i, atoms);
            goto out;
        }
        BF_TRY(read_atom(l, line, m, err));
    }
out:
    return st;
}

bf_status bf_xyz_print(FILE *f, const bf_mol *m, bf_err *err)
{
    (void)err;
    fprintf(f, "%" PRIu32 "\n", m->atoms);
    for (const char *p = m->name; p != NULL && *p != '\0'; p++) fputc((unsigned char)*p < 32 ? ' ' : *p, f);
    fputc('\n', f);
    for (uint32_t i = 0; i < m->atoms; i++) {
        const bf_atom *a = &m->atom[i];
        fprintf(f, "%-2s %12.6f %12.6f %12.6f\n", bf_element_of(a->element)->symbol, a->x[0], a->x[1], a->x[2]);
    }
    return BF_OK;
}
