#include "io/molecules.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/size.h"
#include "io/dtype.h"
#include "io/mol.h"

enum { LEAST_KINDS = 3 };

/* ---- kinds of atoms ---------------------------------------------------------------------------------------------- */

const bf_kinds bf_kinds_molcraft = {.n = 13,
                                    .element = {1, 6, 6, 7, 7, 8, 8, 9, 15, 15, 16, 16, 17},
                                    .aromatic = {[2] = true, [4] = true, [6] = true, [9] = true, [11] = true}};

bool bf_kinds_learned(const char *text)
{
    return strcmp(text, "learned") == 0;
}

bf_status bf_kinds_parse(const char *text, bf_kinds *out, bf_err *err)
{
    bf_status st = BF_OK;
    unsigned last = 0;
    if (strcmp(text, "molcraft") == 0) {
        *out = bf_kinds_molcraft;
        return BF_OK;
    }
    *out = (bf_kinds){0};
    for (const char *at = text + strspn(text, " "); *at;) {
        const size_t n = strcspn(at, " ");
        const unsigned z = bf_element_number(at, n);
        BF_CHECK(z > 0, BF_USAGE, "elements: \"%.*s\" is no element", n > 16 ? 16 : (int)n, at);
        BF_CHECK(z > last, BF_USAGE, "elements: %s is not in the order of atomic numbers", bf_element_of(z)->symbol);
        out->element[out->n++] = (uint8_t)z;
        last = z;
        at += n + strspn(at + n, " ");
    }
    BF_CHECK(out->n >= LEAST_KINDS, BF_USAGE, "elements: %" PRIu32 " in \"%.80s\", at least %d are needed", out->n,
             text, LEAST_KINDS);
out:
    return st;
}

void bf_kinds_text(const bf_kinds *k, char out[BF_ELEMENTS_TEXT])
{
    size_t used = 0;
    out[0] = '\0';
    if (memcmp(k, &bf_kinds_molcraft, sizeof *k) == 0) {
        snprintf(out, BF_ELEMENTS_TEXT, "molcraft");
        return;
    }
    for (uint32_t i = 0; i < k->n; i++)
        used += (size_t)snprintf(out + used, BF_ELEMENTS_TEXT - used, "%s%s", i > 0 ? " " : "",
                                 bf_element_of(k->element[i])->symbol);
}

int bf_kinds_find(const bf_kinds *k, unsigned element)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (k->element[i] == element) return (int)i;
    return -1;
}

/* The elements of atoms [n]. */
static bf_kinds learn(const uint8_t *element, uint64_t n)
{
    static const uint8_t usual[] = {1, 6, 7};
    bool seen[BF_ELEMENTS] = {false};
    bf_kinds k = {0};
    uint32_t count = 0;
    for (uint64_t i = 0; i < n; i++) seen[element[i]] = true;
    for (unsigned z = 1; z < BF_ELEMENTS; z++) count += seen[z];
    for (size_t i = 0; i < BF_COUNT(usual) && count < LEAST_KINDS; i++) {
        count += !seen[usual[i]];
        seen[usual[i]] = true;
    }
    for (unsigned z = 1; z < BF_ELEMENTS; z++)
        if (seen[z]) k.element[k.n++] = (uint8_t)z;
    return k;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bf_status grow(void *list_ptr, uint64_t *room, uint64_t wanted, size_t size, bf_err *err)
{
    bf_status st = BF_OK;
    void *list, *more;
    uint64_t bytes;
    if (wanted <= *room) return BF_OK;
    memcpy(&list, list_ptr, sizeof list);
    const uint64_t next = BF_MAX(wanted, *room + *room / 2);
    BF_CHECK(bf_mul_u64(next, size, &bytes) && bytes <= SIZE_MAX, BF_RUNTIME, "out of memory for molecules");
    more = realloc(list, (size_t)bytes);
    BF_CHECK(more != NULL, BF_RUNTIME, "out of memory for molecules");
    memcpy(list_ptr, &more, sizeof more);
    *room = next;
out:
    return st;
}

typedef struct rooms {
    uint64_t first, x, kind;
} rooms;

/* Appends a molecule; its kinds are still atomic numbers. */
static bf_status append(bf_molecules *m, rooms *room, const bf_mol *mol, double scale, bf_err *err)
{
    bf_status st = BF_OK;
    double mean[3] = {0, 0, 0};
    BF_TRY(grow(&m->first, &room->first, m->count + 2, sizeof *m->first, err));
    BF_TRY(grow(&m->x, &room->x, m->atoms + mol->atoms, sizeof *m->x, err));
    BF_TRY(grow(&m->kind, &room->kind, m->atoms + mol->atoms, sizeof *m->kind, err));
    for (uint32_t i = 0; i < mol->atoms; i++)
        for (int c = 0; c < 3; c++) mean[c] += mol->atom[i].x[c];
    for (uint32_t i = 0; i < mol->atoms; i++) {
        for (int c = 0; c < 3; c++) m->x[m->atoms + i][c] = (float)((mol->atom[i].x[c] - mean[c] / mol->atoms) / scale);
        m->kind[m->atoms + i] = mol->atom[i].element;
    }
    m->first[m->count++] = m->atoms;
    m->atoms += mol->atoms;
    m->first[m->count] = m->atoms;
    if (mol->atoms > m->largest) {
        m->largest = mol->atoms;
        m->largest_record = m->count;
    }
out:
    return st;
}

static bf_status read_all(const char *path, double scale, uint64_t limit, bf_molecules *m, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_reader *r = NULL;
    bf_mol mol = {0};
    rooms room = {0};
    BF_TRY(bf_mol_open(path, BF_MOL_UNKNOWN, &r, err));
    for (bool end = false; limit == 0 || m->count < limit;) {
        BF_TRY(bf_mol_next(r, &mol, &end, err));
        if (end) break;
        BF_CHECK(mol.atoms > 0, BF_FILE, "%s: molecule %" PRIu64 " has no atoms", path, bf_mol_record(r));
        BF_TRY(append(m, &room, &mol, scale, err));
        bf_mol_free(&mol);
    }
    BF_CHECK(m->count > 0, BF_FILE, "%s: holds no molecule", path);
    BF_CHECK(m->atoms <= UINT32_MAX, BF_FILE, "%s: more than 2^32 atoms", path);
out:
    bf_mol_free(&mol);
    bf_mol_close(r);
    return st;
}

/* Sizes as little-endian words, atomic numbers, coordinates: the same on every machine. */
static uint32_t checksum(bf_molecules *m)
{
    bf_swap_le(m->first, BF_U64, (size_t)m->count + 1);
    bf_swap_le(m->x, BF_F32, (size_t)m->atoms * 3);
    uint32_t crc = bf_crc32c(0, m->first, ((size_t)m->count + 1) * sizeof *m->first);
    crc = bf_crc32c(crc, m->kind, (size_t)m->atoms);
    crc = bf_crc32c(crc, m->x, (size_t)m->atoms * sizeof *m->x);
    bf_swap_le(m->first, BF_U64, (size_t)m->count + 1);
    bf_swap_le(m->x, BF_F32, (size_t)m->atoms * 3);
    if (m->around == NULL) return crc;
    const size_t n = (size_t)m->around[m->count];
    crc = bf_crc32c(crc, m->around_v, n * m->features);
    bf_swap_le(m->around_x, BF_F32, n * 3);
    crc = bf_crc32c(crc, m->around_x, n * sizeof *m->around_x);
    bf_swap_le(m->around_x, BF_F32, n * 3);
    return crc;
}

/* Atomic numbers become kinds. */
static bf_status set_kinds(const char *path, bf_molecules *m, bf_err *err)
{
    bf_status st = BF_OK;
    char list[BF_ELEMENTS_TEXT];
    for (uint64_t i = 0; i < m->count; i++)
        for (uint64_t a = m->first[i]; a < m->first[i + 1]; a++) {
            const int k = bf_kinds_find(&m->kinds, m->kind[a]);
            if (k < 0) bf_kinds_text(&m->kinds, list);
            BF_CHECK(k >= 0, BF_FILE, "%s: molecule %" PRIu64 ", atom %" PRIu64 ": %s is not among the elements %s",
                     path, i + 1, a - m->first[i] + 1, bf_element_of(m->kind[a])->symbol, list);
            m->kind[a] = (uint8_t)k;
        }
out:
    return st;
}

bf_status bf_molecules_read(const char *path, const char *elements, double scale, uint64_t limit, bf_molecules *out,
                            bf_err *err)
{
    bf_status st = BF_OK;
    bf_molecules m = {0};
    BF_CHECK(scale > 0, BF_USAGE, "molecules: a scale of %g", scale);
    if (!bf_kinds_learned(elements)) BF_TRY(bf_kinds_parse(elements, &m.kinds, err));
    BF_TRY(read_all(path, scale, limit, &m, err));
    m.crc = checksum(&m);
    if (bf_kinds_learned(elements)) m.kinds = learn(m.kind, m.atoms);
    BF_TRY(set_kinds(path, &m, err));
    *out = m;
    m = (bf_molecules){0};
out:
    bf_molecules_free(&m);
    return st;
}

void bf_molecules_free(bf_molecules *m)
{
    free(m->first);
    free(m->x);
    free(m->kind);
    free(m->around);
    free(m->around_x);
    free(m->around_v);
    *m = (bf_molecules){0};
}

void bf_molecules_rows(const bf_molecules *m, uint64_t i, float *rows)
{
    for (uint64_t a = m->first[i]; a < m->first[i + 1]; a++, rows += BF_MOLECULE_DIMS) {
        memcpy(rows, m->x[a], sizeof m->x[a]);
        rows[3] = (float)m->kind[a];
    }
}

void bf_molecules_around(const bf_molecules *m, uint64_t i, float *x, float *v)
{
    const uint64_t first = m->around[i], n = m->around[i + 1] - first;
    memcpy(x, m->around_x[first], (size_t)n * sizeof m->around_x[0]);
    for (uint64_t k = 0; k < n * m->features; k++) v[k] = m->around_v[first * m->features + k];
}

void bf_molecules_sum(bf_molecules *m)
{
    m->largest = m->most_around = 0;
    for (uint64_t i = 0; i < m->count; i++) {
        const uint64_t atoms = m->first[i + 1] - m->first[i], around = m->around ? m->around[i + 1] - m->around[i] : 0;
        if (atoms > m->largest) m->largest_record = i + 1;
        if (around > m->most_around) m->most_around_record = i + 1;
        m->largest = BF_MAX(m->largest, atoms);
        m->most_around = BF_MAX(m->most_around, around);
    }
    m->crc = checksum(m);
}
