/* Molecules from a model. run/sample_mol.h */
#include "run/sample_mol.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/size.h"
#include "chem/bonds.h"
#include "chem/draw.h"
#include "io/image.h"
#include "io/packed.h"
#include "run/film_mol.h"

#define PICTURE 240    /* pixels of the side of a molecule in a grid */
#define PICTURES 10000 /* at most */

/* What all batches of a run share. */
typedef struct run {
    const bf_mol_sampling *s;
    bf_kinds kinds;
    bf_packed p;
    uint32_t *atoms;      /* [n] of every molecule */
    float *held;          /* [atoms of the scaffold, D] in model units, relative to their mean */
    double centre[3];     /* that mean, or the centre of the pocket: the origin, Angstrom */
    float *block, *given; /* [p.size], [p.items, D] */
    float *frame;         /* [p.items] */
    float *start;         /* [p.items, 3] where the atoms begin; NULL: at the origin */
    float *out;           /* [p.items, D] */
    uint64_t done, total; /* network evaluations */
    bf_mol_forming *film; /* of the first batch; NULL: none, or done */
} run;

/* ---- before the first batch -------------------------------------------------------------------------------------- */

/* Rows of the scaffold's atoms. */
static bf_status hold(run *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol *part = r->s->scaffold;
    const double scale = r->s->m->config.mol.scale;
    const bf_docking *docking = r->s->docking;
    for (int c = 0; docking && c < 3; c++) r->centre[c] = (double)docking->site.pocket.centre[c];
    if (!part) return BF_OK;
    BF_CHECK(part->atoms > 0, BF_FILE, "the scaffold has no atoms");
    BF_NEW(r->held, (uint64_t)part->atoms * BF_MOLECULE_DIMS);
    for (uint32_t i = 0; i < part->atoms && !docking; i++)
        for (int c = 0; c < 3; c++) r->centre[c] += (double)part->atom[i].x[c] / part->atoms;
    for (uint32_t i = 0; i < part->atoms; i++) {
        const bf_atom *a = &part->atom[i];
        const int kind = bf_kinds_find(&r->kinds, a->element);
        BF_CHECK(kind >= 0, BF_FILE, "scaffold, atom %u: %s is not among the model's elements (%s)", i + 1,
                 bf_element_of(a->element)->symbol, r->s->m->config.mol.elements);
        float *row = r->held + (uint64_t)i * BF_MOLECULE_DIMS;
        for (int c = 0; c < 3; c++) row[c] = (float)((a->x[c] - r->centre[c]) / scale);
        row[3] = (float)kind;
    }
out:
    return st;
}

/* How many atoms every molecule has: more than the scaffold, where there is one. */
static bf_status draw_sizes(run *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_sizes *all = &r->s->m->sizes;
    bf_sizes s = *all;
    const uint32_t least = r->s->scaffold ? r->s->scaffold->atoms + 1 : 1;
    BF_CHECK(all->n > 0, BF_FILE, "the model does not say how many atoms molecules have");
    while (s.n > 0 && s.size->atoms < least) {
        s.total -= s.size->count;
        s.size++;
        s.n--;
    }
    BF_CHECK(s.n > 0, BF_USAGE, "the scaffold has %u atoms, the largest molecule of the training data %u", least - 1,
             bf_sizes_largest(all));
    BF_NEW(r->atoms, r->s->n);
    for (uint64_t k = 0; k < r->s->n; k++) {
        const float u = bf_philox_uniform(r->s->seed, 0, (uint32_t)k, 0, BF_STREAM_SAMPLE_SIZE);
        r->atoms[k] = bf_sizes_draw(&s, (double)u);
        if (r->atoms[k] > r->p.items) {
            st = bf_fail(err, BF_USAGE, "a molecule of %u atoms does not fit into a batch of %u", r->atoms[k],
                         r->s->batch);
            bf_hint(err, "raise sample.batch, which counts atoms");
            goto out;
        }
    }
out:
    return st;
}

/* Where molecule k, whose atoms are the items from `first` on, begins: all of it in one point. */
static void begin_at(run *r, uint64_t k, uint64_t first)
{
    if (!r->start) return;
    for (uint32_t c = 0; c < 3; c++) {
        const float x = bf_philox_normal(r->s->seed, c, (uint32_t)k, 1, BF_STREAM_SAMPLE_SIZE);
        for (uint64_t i = 0; i < r->atoms[k]; i++) r->start[3 * (first + i) + c] = x;
    }
}

/* The next molecule of a block, and its pocket. */
static void add(run *r, bf_packing *at, uint64_t atoms)
{
    float *x, *v;
    if (!r->s->docking) {
        (void)bf_packed_add(&r->p, at, r->block, atoms);
        return;
    }
    const bf_pocket *k = &r->s->docking->site.pocket;
    (void)bf_packed_add_around(&r->p, at, r->block, atoms, k->atoms, &x, &v);
    bf_site_rows(k, r->s->m->config.mol.scale, x);
    for (uint64_t i = 0; i < (uint64_t)k->atoms * BF_POCKET_FEATURES; i++) v[i] = k->feature[i];
}

/* Packs molecules first .. into the block; returns how many. */
static uint64_t pack(run *r, uint64_t first)
{
    const uint32_t held = r->s->scaffold ? r->s->scaffold->atoms : 0;
    const uint64_t given = r->s->docking ? r->s->docking->site.pocket.atoms : 0;
    bf_packing at = {0};
    uint64_t k = first;
    for (uint64_t i = 0; i < r->p.items * BF_MOLECULE_DIMS; i++) r->given[i] = NAN;
    memset(r->frame, 0, (size_t)r->p.items * sizeof *r->frame);
    for (; k < r->s->n && bf_packed_fits(&r->p, &at, r->atoms[k], given); k++) {
        for (uint32_t i = 0; i < held; i++) r->frame[at.items + i] = 1.0f;
        if (held > 0)
            memcpy(r->given + at.items * BF_MOLECULE_DIMS, r->held, (size_t)held * BF_MOLECULE_DIMS * sizeof *r->held);
        begin_at(r, k, at.items);
        add(r, &at, r->atoms[k]);
    }
    bf_packed_close(&r->p, &at, r->block);
    return k - first;
}

/* Batches of the run. */
static uint64_t count_batches(run *r)
{
    uint64_t batches = 0;
    for (uint64_t k = 0; k < r->s->n; batches++) k += pack(r, k);
    return batches;
}

static bf_status begin(run *r, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_model *m = r->s->m;
    const bf_docking *docking = r->s->docking;
    BF_CHECK(m->packed, BF_USAGE, "this is not a model of molecules");
    BF_TRY(bf_kinds_parse(m->config.mol.elements, &r->kinds, err));
    BF_TRY(hold(r, err));
    r->p = bf_model_packed(m, docking ? (uint64_t)r->s->batch * docking->largest : r->s->batch);
    if (docking) {
        BF_NEW(r->atoms, r->s->n);
        memcpy(r->atoms, docking->atoms, (size_t)r->s->n * sizeof *r->atoms);
    } else {
        BF_TRY(draw_sizes(r, err));
    }
    BF_NEW(r->block, r->p.size);
    BF_NEW(r->given, r->p.items * BF_MOLECULE_DIMS);
    BF_NEW(r->frame, r->p.items);
    BF_NEW(r->out, r->p.items * BF_MOLECULE_DIMS);
    if (m->config.sample.start == BF_CONFIG_START_RANDOM) BF_NEW(r->start, r->p.items * 3);
    r->total = count_batches(r) * (uint64_t)r->s->how->evaluations;
out:
    return st;
}

/* ---- one batch --------------------------------------------------------------------------------------------------- */

static bf_status on_step(void *user, bf_sampler *sampler, int i, double t, bf_err *err)
{
    bf_status st = BF_OK;
    run *r = user;
    (void)t;
    if (r->film) BF_TRY(bf_mol_forming_step(r->film, sampler, i, err));
    BF_TRY(bf_profiler_unit(r->s->m->profiler, err));
    r->done++;
    BF_CHECK(!r->s->report || bf_report_done(r->s->report, r->done, r->total), BF_STOPPED, "sampling was stopped");
out:
    return st;
}

static bf_status put_input(const run *r, const char *name, const float *data, uint64_t count, bf_err *err)
{
    const bf_graph *g = bf_sampler_graph(r->s->sampler);
    return bf_write(r->s->m->ctx, bf_graph_mem(g, bf_graph_find(g, name)), data, (size_t)count * sizeof *data, err);
}

/* Tells the graph which atoms belong together. */
static bf_status put_batch(run *r, bf_err *err)
{
    bf_status st = BF_OK;
    bf_packed_input input[BF_PACKED_INPUTS];
    const int inputs = bf_model_inputs(r->s->m, r->p.items, input);
    for (int i = 0; i < inputs; i++)
        BF_TRY(put_input(r, input[i].name, r->block + input[i].first, input[i].count, err));
    if (r->s->scaffold && !r->s->docking) BF_TRY(put_input(r, "frame", r->frame, r->p.items, err));
out:
    return st;
}

/* How a molecule was made, for its file. */
static bf_status sign(const run *r, bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)r->s->seed);
    BF_TRY(bf_mol_set_property(m, "seed", text, err));
    snprintf(text, sizeof text, "%d", r->s->how->steps);
    BF_TRY(bf_mol_set_property(m, "steps", text, err));
    BF_TRY(bf_mol_set_property(m, "mode", bf_sampler_mode_name(r->s->how->mode), err));
out:
    return st;
}

/* The atoms of rows [n, D]. */
static bf_status to_mol(const run *r, const float *rows, uint32_t n, uint64_t k, bf_mol *out, bf_err *err)
{
    bf_status st = BF_OK;
    const double scale = r->s->m->config.mol.scale;
    char name[64];
    bf_mol m = {.dimensions = 3};
    uint8_t *aromatic = NULL;
    BF_NEW(aromatic, BF_MAX(n, 1u));
    for (uint32_t i = 0; i < n; i++, rows += BF_MOLECULE_DIMS) {
        bf_atom a = {.element = r->kinds.element[(uint32_t)rows[3]]};
        aromatic[i] = r->kinds.aromatic[(uint32_t)rows[3]];
        for (int c = 0; c < 3; c++) a.x[c] = (float)(rows[c] * scale + r->centre[c]);
        for (int c = 0; c < 3; c++)
            BF_CHECK(fabsf(a.x[c]) <= BF_MOL_MAX_COORDINATE, BF_NUMERIC, "molecule %llu: atom %u is nowhere (%g)",
                     (unsigned long long)k + 1, i + 1, (double)a.x[c]);
        BF_TRY(bf_mol_add_atom(&m, a, err));
    }
    snprintf(name, sizeof name, "sample %llu", (unsigned long long)k);
    BF_TRY(bf_mol_set_name(&m, name, err));
    BF_TRY(sign(r, &m, err));
    if (m.atoms <= BF_PERCEIVE_MAX_ATOMS) BF_TRY(bf_perceive_bonds(&m, aromatic, err));
    *out = m;
    m = (bf_mol){0};
out:
    free(aromatic);
    bf_mol_free(&m);
    return st;
}

/* Molecules first .. as many as fit; *count. `atoms`: those of all molecules before. */
static bf_status one_batch(run *r, uint64_t first, uint64_t atoms, bf_mol *list, uint64_t *count, bf_err *err)
{
    bf_status st = BF_OK;
    const bf_mol_sampling *s = r->s;
    const bf_sampler_draws draws[2] = {{.start = r->start}};
    const bf_sampler_run_options o = {.steps = s->how->steps,
                                      .times = s->how->times,
                                      .last = s->how->last,
                                      .guide = s->how->guide.fn ? &s->how->guide : NULL,
                                      .seed = s->seed,
                                      .draws = r->start ? draws : NULL,
                                      .first = (uint32_t)atoms,
                                      .given = s->scaffold ? r->given : NULL,
                                      .on_step = on_step,
                                      .ahead = r->film == NULL,
                                      .user = r};
    *count = pack(r, first);
    BF_TRY(put_batch(r, err));
    BF_TRY(bf_sampler_run(s->sampler, &o, r->out, err));
    if (r->film) {
        bf_mol_forming *film = r->film;
        r->film = NULL;
        BF_TRY(bf_mol_forming_close(film, r->out, err));
    }
    for (uint64_t k = 0; k < *count; k++) {
        const uint64_t item = bf_packed_first(&r->p, r->block, k);
        BF_TRY(to_mol(r, r->out + item * BF_MOLECULE_DIMS, r->atoms[first + k], first + k, &list[first + k], err));
    }
out:
    return st;
}

bf_status bf_mol_sampling_run(const bf_mol_sampling *s, bf_mol **list, bf_err *err)
{
    bf_status st = BF_OK;
    run r = {.s = s};
    bf_mol *all = NULL;
    uint64_t atoms = 0, count;
    BF_TRY(begin(&r, err));
    if (s->film)
        BF_TRY(bf_mol_forming_open(s->film, &r.kinds, s->m->config.mol.scale, r.atoms[0], s->how->evaluations, &r.film,
                                   err));
    BF_NEW(all, s->n);
    for (uint64_t k = 0; k < s->n; k += count) {
        BF_CHECK(atoms <= UINT32_MAX - r.p.items, BF_USAGE, "the atoms of all samples are more than 2^32");
        BF_TRY(one_batch(&r, k, atoms, all, &count, err));
        for (uint64_t i = 0; i < count; i++) atoms += r.atoms[k + i];
    }
    *list = all;
    all = NULL;
out:
    if (all) bf_mol_free_all(all, s->n);
    bf_mol_forming_free(r.film);
    free(r.atoms);
    free(r.held);
    free(r.block);
    free(r.given);
    free(r.frame);
    free(r.start);
    free(r.out);
    return st;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool is_png(const char *path)
{
    const size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, ".png") == 0;
}

bf_status bf_mol_samples_format(const char *path, bf_err *err)
{
    if (is_png(path) || bf_mol_format_of(path) != BF_MOL_UNKNOWN) return BF_OK;
    return bf_fail(err, BF_USAGE, "%s: molecules go to .sdf, .xyz, .pdb or, as pictures, .png", path);
}

static bf_status write_png(const char *path, const bf_mol *list, uint64_t n, bf_err *err)
{
    bf_status st = BF_OK;
    const size_t bytes = 3 * (size_t)PICTURE * PICTURE;
    uint8_t *all = NULL;
    bf_image one = {0}, grid = {0};
    bf_draw d;
    bf_draw_defaults(&d);
    d.width = d.height = PICTURE;
    BF_CHECK(n <= PICTURES, BF_USAGE, "%s: a picture shows at most %d molecules", path, PICTURES);
    BF_NEW(all, n * bytes);
    for (uint64_t i = 0; i < n; i++) {
        bf_view v;
        bf_view_of(&list[i], &v);
        BF_TRY(bf_mol_draw(&list[i], &v, &d, &one, err));
        memcpy(all + i * bytes, one.pixels, bytes);
        bf_image_free(&one);
    }
    const uint32_t columns = (uint32_t)ceil(sqrt((double)n));
    BF_TRY(bf_image_grid(all, (uint32_t)n, PICTURE, PICTURE, 3, columns, 1, 2, &grid, err));
    BF_TRY(bf_png_write(path, &grid, err));
out:
    bf_image_free(&one);
    bf_image_free(&grid);
    free(all);
    return st;
}

bf_status bf_mol_samples_write(const char *path, const bf_mol *list, uint64_t n, bf_err *err)
{
    return is_png(path) ? write_png(path, list, n, err) : bf_mol_write(path, list, (size_t)n, err);
}
