/* run/film_mol.h */
#include "run/film_mol.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "chem/bonds.h"
#include "chem/draw.h"
#include "io/canvas.h"
#include "run/film_parts.h"

enum { FRAMES = 60, TURN = 40, STRIP = 8, SIDE = 240, FRAME_TIME = 8 };
#define LEAST_BOND 0.7 /* Angstrom: atoms that are closer are not apart yet */

struct bf_mol_forming {
    const char *path;
    const bf_kinds *kinds;
    double scale;
    uint32_t atoms;
    int evaluations, moments, seen;
    float *rows;            /* [moments, atoms, BF_MOLECULE_DIMS] */
    float *position, *type; /* of a batch */
};

bf_status bf_mol_forming_check(const char *path, bf_err *err)
{
    if (bf_film_ends_in(path, "gif") || bf_film_ends_in(path, "png")) return BF_OK;
    return bf_fail(err, BF_USAGE, "%s: a trajectory of this model is a .gif or a .png file", path);
}

bf_status bf_mol_forming_open(const char *path, const bf_kinds *kinds, double scale, uint32_t atoms, int evaluations,
                              bf_mol_forming **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol_forming *f = NULL;
    BF_NEW(f, 1);
    *f = (bf_mol_forming){.path = path, .kinds = kinds, .scale = scale, .atoms = atoms, .evaluations = evaluations};
    f->moments = BF_MIN(evaluations, bf_film_ends_in(path, "gif") ? FRAMES : STRIP);
    BF_NEW(f->rows, (uint64_t)f->moments * atoms * BF_MOLECULE_DIMS);
    *out = f;
    f = NULL;
out:
    bf_mol_forming_free(f);
    return st;
}

void bf_mol_forming_free(bf_mol_forming *f)
{
    if (!f) return;
    free(f->rows);
    free(f->position);
    free(f->type);
    free(f);
}

bf_status bf_mol_forming_step(bf_mol_forming *f, bf_sampler *s, int i, bf_err *err)
{
    bf_status st = BF_OK;
    if (!bf_film_is_moment(i, f->evaluations, f->moments)) return BF_OK;
    if (!f->position) BF_NEW(f->position, bf_sampler_size(s, 0, BF_SAMPLER_MEAN));
    if (!f->type) BF_NEW(f->type, bf_sampler_size(s, 1, BF_SAMPLER_MODE));
    BF_TRY(bf_sampler_get(s, 0, BF_SAMPLER_MEAN, f->position, err));
    BF_TRY(bf_sampler_get(s, 1, BF_SAMPLER_MODE, f->type, err));
    for (uint32_t k = 0; k < f->atoms; k++) {
        float *row = f->rows + ((uint64_t)f->seen * f->atoms + k) * BF_MOLECULE_DIMS;
        memcpy(row, f->position + 3 * (uint64_t)k, 3 * sizeof *row);
        row[3] = f->type[k];
    }
    f->seen++;
out:
    return st;
}

static bf_status to_mol(const bf_mol_forming *f, const float *rows, bf_mol *m, bf_err *err)
{
    bf_status st = BF_OK;
    *m = (bf_mol){.dimensions = 3};
    for (uint32_t i = 0; i < f->atoms; i++, rows += BF_MOLECULE_DIMS) {
        bf_atom a = {.element = f->kinds->element[(uint32_t)rows[3]]};
        for (int c = 0; c < 3; c++) a.x[c] = (float)(rows[c] * f->scale);
        BF_TRY(bf_mol_add_atom(m, a, err));
        for (uint32_t j = 0; j < i; j++) {
            double square = 0;
            for (int c = 0; c < 3; c++) square += pow((double)(a.x[c] - m->atom[j].x[c]), 2);
            const int order = bf_bond_order(a.element, m->atom[j].element, sqrt(square));
            if (order > 0 && sqrt(square) > LEAST_BOND)
                BF_TRY(bf_mol_add_bond(m, (bf_bond){.a = j, .b = i, .order = (uint8_t)order}, err));
        }
    }
out:
    return st;
}

/* Moment k of the film, those behind the last of which show the sample, seen from `angle`. */
static bf_status draw(const bf_mol_forming *f, int k, const float *sample, const bf_view *view, double angle,
                      bf_image *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol m = {0};
    bf_view v = *view;
    bf_draw d;
    bf_draw_defaults(&d);
    d.width = d.height = SIDE;
    bf_view_turn(&v, angle);
    BF_TRY(to_mol(f, k < f->seen ? f->rows + (uint64_t)k * f->atoms * BF_MOLECULE_DIMS : sample, &m, err));
    BF_TRY(bf_mol_draw(&m, &v, &d, out, err));
out:
    bf_mol_free(&m);
    return st;
}

static bf_status write_gif(const bf_mol_forming *f, const float *sample, const bf_view *v, bf_err *err)
{
    bf_status st = BF_OK;
    const double turn = 2 * acos(-1.0);
    bf_image im = {0};
    bf_gif *g = NULL;
    BF_TRY(bf_gif_open(f->path, SIDE, SIDE, 3, &g, err));
    for (int k = 0; k < f->seen + TURN; k++) {
        const double angle = k < f->seen ? turn * k / f->seen : turn * (k - f->seen) / TURN;
        BF_TRY(draw(f, k, sample, v, angle, &im, err));
        BF_TRY(bf_gif_frame(g, im.pixels, FRAME_TIME, err));
        bf_image_free(&im);
    }
    st = bf_gif_close(g, err);
    g = NULL;
out:
    bf_gif_discard(g);
    bf_image_free(&im);
    return st;
}

static bf_status write_strip(const bf_mol_forming *f, const float *sample, const bf_view *v, bf_err *err)
{
    static const uint8_t white[3] = {255, 255, 255};
    bf_status st = BF_OK;
    bf_image im = {0}, all = {0};
    BF_TRY(bf_image_new((uint32_t)f->seen * SIDE, SIDE, 3, white, &all, err));
    for (int k = 0; k < f->seen; k++) { /* in the place of the last moment the sample */
        BF_TRY(draw(f, k + 1 < f->seen ? k : f->seen, sample, v, 0, &im, err));
        bf_image_paste(&all, (int64_t)k * SIDE, 0, &im);
        bf_image_free(&im);
    }
    BF_TRY(bf_png_write(f->path, &all, err));
out:
    bf_image_free(&im);
    bf_image_free(&all);
    return st;
}

bf_status bf_mol_forming_close(bf_mol_forming *f, const float *rows, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol m = {0};
    bf_view v;
    BF_TRY(to_mol(f, rows, &m, err));
    bf_view_of(&m, &v);
    BF_TRY(bf_film_ends_in(f->path, "gif") ? write_gif(f, rows, &v, err) : write_strip(f, rows, &v, err));
out:
    bf_mol_free(&m);
    bf_mol_forming_free(f);
    return st;
}
