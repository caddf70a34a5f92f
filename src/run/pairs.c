/* Receptors and their ligands. run/pairs.h */
#include "run/pairs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/size.h"
#include "chem/site.h"

/* ---- the folder -------------------------------------------------------------------------------------------------- */

/* The name with another ending, three letters long. */
static char *with_ending(const char *path, const char *ending)
{
    char *copy = strdup(path);
    if (copy) memcpy(copy + strlen(copy) - 3, ending, 3);
    return copy;
}

typedef struct names {
    char **path; /* of the receptors */
    size_t n, room;
} names;

static void names_free(names *list)
{
    for (size_t i = 0; i < list->n; i++) free(list->path[i]);
    free(list->path);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends the receptor if it has a ligand. */
static bf_status add_name(names *list, const char *folder, const char *name, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t size = strlen(folder) + strlen(name) + 2;
    struct stat info;
    char *path = NULL, *ligand = NULL;
    BF_NEW(path, size);
    snprintf(path, size, "%s/%s", folder, name);
    ligand = with_ending(path, "sdf");
    BF_CHECK(ligand != NULL, BF_RUNTIME, "out of memory");
    if (stat(ligand, &info) != 0) goto out;
    if (list->n == list->room) {
        const size_t room = list->room * 2 + 64;
        char **more = realloc(list->path, room * sizeof *more);
        BF_CHECK(more != NULL, BF_RUNTIME, "out of memory");
        list->path = more;
        list->room = room;
    }
    list->path[list->n++] = path;
    path = NULL;
out:
    free(path);
    free(ligand);
    return st;
}

static bf_status list_receptors(const char *folder, names *out, bf_err *err)
{
    bf_status st = BF_OK;
    DIR *dir = opendir(folder);
    BF_CHECK(dir != NULL, BF_FILE, "%s: cannot list the folder of receptors and ligands: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        const size_t n = strlen(e->d_name);
        if (n > 4 && strcmp(e->d_name + n - 4, ".pdb") == 0) BF_TRY(add_name(out, folder, e->d_name, err));
    }
    BF_CHECK(out->n > 0, BF_FILE, "%s: holds no NAME.pdb with a NAME.sdf", folder);
    qsort(out->path, out->n, sizeof *out->path, compare_names);
out:
    if (dir != NULL) closedir(dir);
    return st;
}

/* ---- one pair ---------------------------------------------------------------------------------------------------- */

typedef struct pair {
    uint32_t atoms;
    float (*x)[3];
    uint8_t *kind;
    bf_site site;
} pair;

static void pair_free(pair *p)
{
    free(p->x);
    free(p->kind);
    bf_site_free(&p->site);
    *p = (pair){0};
}

/* Kinds that tell aromatic atoms from others are those of the published models; the aromatic ones are RDKit's. */
static bf_status published_kinds(const bf_mol *m, pair *p, bf_err *err)
{
    bf_status st = BF_OK;
    bf_ligand l;
    BF_TRY(bf_ligand_of(m, &l, err));
    p->atoms = l.atoms;
    p->x = l.x;
    p->kind = l.type;
    l.x = NULL;
    l.type = NULL;
    bf_ligand_free(&l);
out:
    return st;
}

static bf_status listed_kinds(const bf_mol *m, const bf_kinds *kinds, pair *p, bf_err *err)
{
    bf_status st = BF_OK;
    BF_NEW(p->x, BF_MAX(m->atoms, 1u));
    BF_NEW(p->kind, BF_MAX(m->atoms, 1u));
    for (uint32_t i = 0; i < m->atoms; i++) {
        const int k = bf_kinds_find(kinds, m->atom[i].element);
        if (m->atom[i].element == 1) continue;
        BF_CHECK(k >= 0, BF_FILE, "atom %u: %s is not among the elements of mol.elements", i + 1,
                 bf_element_of(m->atom[i].element)->symbol);
        memcpy(p->x[p->atoms], m->atom[i].x, sizeof *p->x);
        p->kind[p->atoms++] = (uint8_t)k;
    }
out:
    return st;
}

static bf_status read_pair(const char *receptor, const bf_kinds *kinds, pair *p, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol m = {0};
    char *ligand = with_ending(receptor, "sdf");
    BF_CHECK(ligand != NULL, BF_RUNTIME, "out of memory");
    const bf_site_options o = {.receptor = receptor, .ligand = ligand, .radius = BF_POCKET_RADIUS};
    BF_TRY(bf_site_read(&o, &p->site, err));
    BF_TRY(bf_mol_read(ligand, &m, err));
    const bool published = memcmp(kinds, &bf_kinds_molcraft, sizeof *kinds) == 0;
    st = published ? published_kinds(&m, p, err) : listed_kinds(&m, kinds, p, err);
    if (st != BF_OK) bf_err_context(err, "%s", ligand);
out:
    bf_mol_free(&m);
    free(ligand);
    return st;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static bf_status make_room(const pair *list, size_t n, bf_molecules *m, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t around = 0;
    BF_NEW(m->first, n + 1);
    BF_NEW(m->around, n + 1);
    for (size_t i = 0; i < n; i++) {
        m->first[i + 1] = m->atoms += list[i].atoms;
        m->around[i + 1] = around += list[i].site.pocket.atoms;
    }
    m->count = n;
    m->features = BF_POCKET_FEATURES;
    BF_NEW(m->x, m->atoms);
    BF_NEW(m->kind, m->atoms);
    BF_NEW(m->around_x, around);
    BF_NEW(m->around_v, around * BF_POCKET_FEATURES);
out:
    return st;
}

static void put_pair(const pair *p, double scale, size_t i, bf_molecules *m)
{
    const bf_pocket *k = &p->site.pocket;
    memcpy(m->kind + m->first[i], p->kind, p->atoms);
    for (uint32_t a = 0; a < p->atoms; a++)
        for (int c = 0; c < 3; c++) m->x[m->first[i] + a][c] = (float)(((double)p->x[a][c] - k->centre[c]) / scale);
    bf_site_rows(k, scale, m->around_x[m->around[i]]);
    memcpy(m->around_v + m->around[i] * BF_POCKET_FEATURES, k->feature, (size_t)k->atoms * BF_POCKET_FEATURES);
}

bf_status bf_pairs_read(const char *folder, const bf_config *c, uint64_t limit, bf_molecules *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_molecules m = {0};
    names list = {0};
    pair *all = NULL;
    BF_TRY(bf_kinds_parse(c->mol.elements, &m.kinds, err));
    BF_TRY(list_receptors(folder, &list, err));
    const size_t n = limit > 0 ? (size_t)BF_MIN(limit, (uint64_t)list.n) : list.n;
    BF_NEW(all, n);
    for (size_t i = 0; i < n; i++) BF_TRY(read_pair(list.path[i], &m.kinds, &all[i], err));
    BF_TRY(make_room(all, n, &m, err));
    for (size_t i = 0; i < n; i++) put_pair(&all[i], c->mol.scale, i, &m);
    bf_molecules_sum(&m);
    *out = m;
    m = (bf_molecules){0};
out:
    for (size_t i = 0; all && i < list.n && i < (limit > 0 ? limit : list.n); i++) pair_free(&all[i]);
    free(all);
    names_free(&list);
    bf_molecules_free(&m);
    return st;
}

bf_status bf_pairs_or_dataset(const char *path, const bf_config *c, const bf_dataset_options *o, bf_dataset **out,
                              bf_err *err)
{
    bf_status st = BF_OK;
    bf_dataset_options with = *o;
    bf_molecules m = {0};
    if (c->data.transform != BF_TRANSFORM_MOLECULES || !c->mol.pocket) return bf_dataset_open(path, o, out, err);
    BF_TRY(bf_pairs_read(path, c, o->limit, &m, err));
    with.molecules = &m;
    BF_TRY(bf_dataset_open(path, &with, out, err));
out:
    bf_molecules_free(&m);
    return st;
}
